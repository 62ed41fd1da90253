#include "node/erase_dots.h"

#include <stdlib.h>
#include <string.h>

static enum ilea_error
add(struct ilea_erased_dot **array, uint32_t *count, uint32_t *capacity, const struct ilea_erased_dot *dot)
{
    if (*count == *capacity) {
        uint32_t larger = *capacity == 0 ? 64 : *capacity * 2;
        struct ilea_erased_dot *moved = realloc(*array, larger * sizeof *moved);
        if (moved == NULL) return ILEA_ERROR_NO_MEMORY;
        *array = moved;
        *capacity = larger;
    }
    (*array)[(*count)++] = *dot;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_erase_dots_add(struct ilea_erase_dots *dots, struct ilea_transaction *log, const struct ilea_view_place *place)
{
    struct ilea_log_commit row;
    struct ilea_commit commit;
    struct ilea_feed_row feed;
    enum ilea_error error = ilea_log_commit_at(log, place->position, &row);
    if (error == ILEA_ERROR_NONE) error = ilea_log_check_commit(log, &row, &commit);
    if (error == ILEA_ERROR_NONE) error = ilea_log_feed(log, row.feed, &feed);
    if (error == ILEA_ERROR_NOT_FOUND || (error == ILEA_ERROR_NONE && place->index >= commit.header.item_count)) {
        error = ILEA_ERROR_CORRUPT;
    }
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_erased_dot dot = { .seq = row.seq, .index = place->index };
    struct ilea_msgpack_reader slots;
    struct ilea_span slot = { NULL, 0 };
    ilea_dot_feed_of(&feed.id, dot.feed);
    ilea_msgpack_reader_init(&slots, commit.slots);
    for (uint32_t i = 0; i <= place->index; i++) slot = ilea_slot_next(&slots);
    if (slot.size == ILEA_HASH_SIZE) return ILEA_ERROR_NONE;
    ilea_item_leaf(place->index, slot, dot.leaf);
    if (!ilea_scope_is_shared(feed.origin.scope)) {
        return add(&dots->silent, &dots->silent_count, &dots->silent_capacity, &dot);
    }
    return add(&dots->shared, &dots->shared_count, &dots->shared_capacity, &dot);
}

enum ilea_error
ilea_erase_dots_of(struct ilea_erase_dots *dots, struct ilea_transaction *log, struct ilea_transaction *view,
                   uint64_t record, bool shared_alone)
{
    struct ilea_view_record_change change = { .record = record };
    enum ilea_error error;
    const uint32_t silent = dots->silent_count;
    while ((error = ilea_view_record_change_next(view, &change)) == ILEA_ERROR_NONE) {
        error = ilea_erase_dots_add(dots, log, &change.place);
        if (error != ILEA_ERROR_NONE) return error;
    }
    if (shared_alone) dots->silent_count = silent;
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

void
ilea_erase_dots_sort(struct ilea_erase_dots *dots, uint8_t hash[ILEA_HASH_SIZE])
{
    uint8_t other[ILEA_HASH_SIZE];
    if (dots->silent_count > 0) ilea_erase_hash(dots->silent, dots->silent_count, other); /* which sorts them */
    memset(hash, 0, ILEA_HASH_SIZE);
    if (dots->shared_count > 0) ilea_erase_hash(dots->shared, dots->shared_count, hash);
}

void
ilea_erase_dots_free(struct ilea_erase_dots *dots)
{
    free(dots->shared);
    free(dots->silent);
    *dots = (struct ilea_erase_dots){ .shared = NULL };
}
