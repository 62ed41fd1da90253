/*
 * view_erase.c - what the view does when changes are erased: an erased change replaces nothing any more, so its
 * record is merged anew from the changes that are left, and goes with the last of them. A rebuild, which meets the
 * leaves alone, ends in the same records.
 */
#include <stdlib.h>
#include <string.h>

#include "node/view_builder_state.h"
#include "replication/record/commit.h"
#include "replication/record/receipt.h"
#include "replication/record/schema.h"

enum { TYPE_COMMENT = 20, TYPE_LINK = 21 };

enum ilea_error
ilea_builder_has_erased(struct ilea_view_builder *builder, uint64_t seq, bool *has)
{
    struct ilea_erased_row row = { .agency = builder->feed.origin.agency };
    ilea_dot_feed_of(&builder->feed.id, row.dot.feed);
    row.dot.seq = seq;
    const struct ilea_erased_row from = row; /* no leaf is all zeros */
    enum ilea_error error = ilea_log_erased_next(builder->log_txn, &from, &row);
    *has = error == ILEA_ERROR_NONE && memcmp(row.agency.bytes, from.agency.bytes, sizeof row.agency.bytes) == 0
        && memcmp(row.dot.feed, from.dot.feed, sizeof row.dot.feed) == 0 && row.dot.seq == seq;
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static struct ilea_dot
dot_at(const struct ilea_view_builder *builder, uint64_t seq, uint32_t index)
{
    struct ilea_dot dot = { .seq = seq, .index = index };
    ilea_dot_feed_of(&builder->feed.id, dot.feed);
    return dot;
}

/* An lsn for something that was shown and is no more, as far as anybody knows. */
static enum ilea_error
burn(struct ilea_view_builder *builder, const struct ilea_dot *dot)
{
    struct ilea_view_change change = { .dot = *dot, .kind = ILEA_VIEW_ERASED };
    return ilea_view_add_change(builder->view_txn, &builder->meta, &change);
}

enum ilea_error
ilea_builder_pass_erased(struct ilea_view_builder *builder, uint64_t seq, uint32_t index, struct ilea_span slot,
                         bool *skip)
{
    struct ilea_erased_dot erased = { .seq = seq, .index = index };
    struct ilea_erased_row row;
    ilea_dot_feed_of(&builder->feed.id, erased.feed);
    if (slot.size == ILEA_HASH_SIZE) memcpy(erased.leaf, slot.data, sizeof erased.leaf);
    else ilea_item_leaf(index, slot, erased.leaf);
    enum ilea_error error = ilea_log_erased(builder->log_txn, &builder->feed.origin.agency, &erased, &row);
    *skip = error == ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE || !row.held) return error;
    const struct ilea_dot dot = dot_at(builder, seq, index);
    return burn(builder, &dot);
}

enum ilea_error
ilea_builder_catch_stray(struct ilea_view_builder *builder, const struct ilea_change *change,
                         const struct ilea_view_place *place, bool *is_stray)
{
    static const struct ilea_audience_id none;
    struct ilea_gone_row gone;
    *is_stray = false;
    if (!ilea_builder_is_own(builder)) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_log_gone(builder->log_txn, change->type, &change->record, &gone);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
    if (memcmp(gone.audience.bytes, none.bytes, sizeof none.bytes) != 0) {
        struct ilea_audience_id audience = builder->feed.origin.audience;
        if (builder->feed.origin.scope == ILEA_SCOPE_AGENCY) return ILEA_ERROR_NONE;
        if (builder->feed.origin.scope == ILEA_SCOPE_PEERS) {
            ilea_audience_of_peers(&ilea_log_identity(builder->log)->network, &builder->feed.origin.agency, &audience);
        }
        if (memcmp(audience.bytes, gone.audience.bytes, sizeof audience.bytes) == 0) return ILEA_ERROR_NONE;
    }
    *is_stray = true;
    return ilea_view_put_stray(builder->view_txn, place);
}

/* Ascending, each once. */
static enum ilea_error
note_dirty(struct ilea_view_builder *builder, uint64_t record)
{
    if (builder->dirty_count == ILEA_DIRTY_MAX) {
        enum ilea_error error = ilea_builder_settle_erased(builder);
        if (error != ILEA_ERROR_NONE) return error;
    }
    uint32_t at = builder->dirty_count;
    while (at > 0 && builder->dirty[at - 1] > record) at--;
    if (at > 0 && builder->dirty[at - 1] == record) return ILEA_ERROR_NONE;
    memmove(&builder->dirty[at + 1], &builder->dirty[at], (builder->dirty_count - at) * sizeof builder->dirty[0]);
    builder->dirty[at] = record;
    builder->dirty_count++;
    return ILEA_ERROR_NONE;
}

/* One that could not be read, and is not to be counted as such any more. */
static enum ilea_error
drop_unread(struct ilea_view_builder *builder, const struct ilea_log_commit *row)
{
    struct ilea_view_unread item = { .feed = row->feed, .seq = row->seq, .index = row->index };
    enum ilea_error error = ilea_view_get_unread(builder->view_txn, &item);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
    bool is_hidden = item.why != ILEA_UNREAD_KEY;
    if (is_hidden && builder->meta.hidden > 0) builder->meta.hidden--;
    return ilea_view_drop_unread(builder->view_txn, row->feed, row->seq, row->index);
}

/* A change that may have been shown. */
static enum ilea_error
erase_change(struct ilea_view_builder *builder, const struct ilea_view_record_change *change,
             const struct ilea_dot *dot)
{
    struct ilea_view_row row = { .number = 0 }; /* not there: its other changes were erased before this one */
    enum ilea_error error = ilea_view_get(builder->view_txn, change->record, &row);
    if (error == ILEA_ERROR_NONE) error = note_dirty(builder, change->record);
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE) error = ilea_view_drop_change(builder->view_txn, change);
    if (error != ILEA_ERROR_NONE || change->lsn == 0) return error;
    error = ilea_view_bury_change(builder->view_txn, change->lsn, row.type, &row.id);
    if (error == ILEA_ERROR_NONE && ilea_builder_is_own(builder)) {
        error = ilea_view_drop_history(builder->view_txn, change->record, change->lsn);
    }
    struct ilea_view_change erased = { .record = change->record, .dot = *dot, .kind = ILEA_VIEW_ERASED,
                                       .type = row.type, .id = row.id };
    return error == ILEA_ERROR_NONE ? ilea_view_add_change(builder->view_txn, &builder->meta, &erased) : error;
}

/* The slot of a commit; empty if there is none. */
static struct ilea_span
slot_at(const struct ilea_log_commit *row, uint32_t index)
{
    struct ilea_commit commit;
    struct ilea_msgpack_reader slots;
    struct ilea_span slot = { NULL, 0 };
    if (ilea_commit_decode(row->bytes, &commit) != ILEA_ERROR_NONE || index >= commit.header.item_count) return slot;
    ilea_msgpack_reader_init(&slots, commit.slots);
    for (uint32_t i = 0; i <= index; i++) slot = ilea_slot_next(&slots);
    return slot;
}

/* Whether what a marker says still holds: a cut of the feed that states it takes back what was due. */
static enum ilea_error
still_holds(struct ilea_view_builder *builder, const struct ilea_view_place *place, uint64_t seq, bool *holds)
{
    struct ilea_log_commit row;
    struct ilea_erased_row erased;
    struct ilea_erased_dot dot = { .seq = seq, .index = place->index };
    enum ilea_error error = ilea_log_commit_at(builder->log_txn, place->position, &row);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    struct ilea_span slot = slot_at(&row, place->index);
    *holds = slot.size <= ILEA_HASH_SIZE;
    if (*holds) return ILEA_ERROR_NONE;
    ilea_dot_feed_of(&builder->feed.id, dot.feed);
    ilea_item_leaf(place->index, slot, dot.leaf);
    error = ilea_log_erased(builder->log_txn, &builder->feed.origin.agency, &dot, &erased);
    *holds = error == ILEA_ERROR_NONE;
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

enum ilea_error
ilea_builder_take_marker(struct ilea_view_builder *builder, const struct ilea_log_commit *row)
{
    struct ilea_chain_row chain;
    struct ilea_view_record_change change;
    struct ilea_epoch_id epoch;
    enum ilea_error error = ilea_log_chain(builder->log_txn, row->feed, row->seq, &chain);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE; /* cut off meanwhile */
    if (error == ILEA_ERROR_NONE) error = ilea_builder_load_feed(builder, row->feed);
    if (error != ILEA_ERROR_NONE) return error;
    const struct ilea_view_place place = { chain.position, row->index };
    bool holds = false;
    error = still_holds(builder, &place, row->seq, &holds);
    if (error != ILEA_ERROR_NONE || !holds) return error;
    error = drop_unread(builder, row);
    if (error == ILEA_ERROR_NONE) error = ilea_view_drop_stray(builder->view_txn, &place);
    if (error == ILEA_ERROR_NONE) error = ilea_view_drop_stale(builder->view_txn, &builder->meta, &place);
    if (error == ILEA_ERROR_NONE) error = ilea_view_change_at(builder->view_txn, &place, &change, &epoch);
    const struct ilea_dot dot = dot_at(builder, row->seq, row->index);
    if (error == ILEA_ERROR_NOT_FOUND) return burn(builder, &dot);
    if (error != ILEA_ERROR_NONE) return error;
    if (change.record != 0) return erase_change(builder, &change, &dot);
    error = ilea_view_drop_change(builder->view_txn, &change);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_view_drop_parked(builder->view_txn, &builder->meta, &epoch, &place);
    }
    return error == ILEA_ERROR_NONE ? burn(builder, &dot) : error;
}

/* The scope of a change, by the feed that it is in. */
static enum ilea_error
scope_at(struct ilea_view_builder *builder, const struct ilea_view_place *place, enum ilea_scope *scope)
{
    struct ilea_log_commit row;
    enum ilea_error error = ilea_log_commit_at(builder->log_txn, place->position, &row);
    if (error == ILEA_ERROR_NONE) error = ilea_builder_load_feed(builder, row.feed);
    if (error == ILEA_ERROR_NONE) *scope = builder->feed.origin.scope;
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
}

/* The change at a place, decrypted once more into builder->plaintext. */
static enum ilea_error
read_change(struct ilea_view_builder *builder, const struct ilea_view_place *place, struct ilea_change *change,
            struct ilea_dot *dot)
{
    struct ilea_log_commit row;
    struct ilea_commit commit;
    enum ilea_error error = ilea_log_commit_at(builder->log_txn, place->position, &row);
    if (error == ILEA_ERROR_NONE) error = ilea_builder_decode_commit(builder, &row, &commit);
    if (error == ILEA_ERROR_NONE) error = ilea_builder_load_feed(builder, row.feed);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    struct ilea_msgpack_reader slots;
    struct ilea_span slot = { NULL, 0 };
    struct ilea_item item;
    ilea_msgpack_reader_init(&slots, commit.slots);
    for (uint32_t i = 0; i <= place->index && !slots.failed; i++) slot = ilea_slot_next(&slots);
    const struct ilea_place where = { &ilea_log_identity(builder->log)->network, &builder->feed.id, row.seq,
                                      place->index };
    size_t size = 0;
    if (slot.size <= ILEA_HASH_SIZE || ilea_item_decode(slot, &item) != ILEA_ERROR_NONE
        || item.content.size > sizeof builder->plaintext
        || ilea_item_decrypt(builder->ring, &where, &item, builder->plaintext, &size) != ILEA_ERROR_NONE
        || ilea_change_decode((struct ilea_span){ builder->plaintext, size }, change) != ILEA_ERROR_NONE) {
        return ILEA_ERROR_CORRUPT; /* it could be read before */
    }
    *dot = dot_at(builder, row.seq, place->index);
    return ILEA_ERROR_NONE;
}

/* Erased by a marker that is still to come: the log does not have it any more. */
static bool
is_erased_already(struct ilea_view_builder *builder, const struct ilea_view_place *place)
{
    struct ilea_log_commit row;
    return ilea_log_commit_at(builder->log_txn, place->position, &row) == ILEA_ERROR_NONE
        && slot_at(&row, place->index).size == ILEA_HASH_SIZE;
}

/* Merge one more change into builder->record. What that borrows moves from one buffer to the other, so that a record
 * of any number of changes takes no more room than it needs. */
static enum ilea_error
merge_change(struct ilea_view_builder *builder, const struct ilea_view_place *place, uint8_t **other,
             size_t *other_capacity)
{
    struct ilea_change change;
    struct ilea_dot dot;
    size_t size = 0;
    enum ilea_error error = read_change(builder, place, &change, &dot);
    if (error == ILEA_ERROR_NONE) error = ilea_record_merge(&builder->record, &change, &dot);
    if (error != ILEA_ERROR_NONE) return error;
    size_t needed = ilea_record_encoded_size_max(&builder->record);
    if (needed > *other_capacity) {
        uint8_t *larger = malloc(needed * 2);
        if (larger == NULL) return ILEA_ERROR_NO_MEMORY;
        free(*other);
        *other = larger;
        *other_capacity = needed * 2;
    }
    error = ilea_record_encode(&builder->record, *other, *other_capacity, &size);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t *full = *other;
    size_t capacity = *other_capacity;
    *other = builder->state;
    *other_capacity = builder->state_capacity;
    builder->state = full;
    builder->state_capacity = capacity;
    ilea_record_clear(&builder->record);
    error = ilea_record_decode((struct ilea_span){ full, size }, &builder->record);
    return error == ILEA_ERROR_MALFORMED ? ILEA_ERROR_CORRUPT : error;
}

/* The documents that a record names before it is merged anew. */
static enum ilea_error
note_documents(struct ilea_view_builder *builder, uint64_t number, struct ilea_builder_named *named)
{
    struct ilea_view_row row;
    enum ilea_error error = ilea_view_get(builder->view_txn, number, &row);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    ilea_record_clear(&builder->record);
    error = ilea_record_decode(row.state, &builder->record);
    if (error == ILEA_ERROR_NONE) named->old_count = ilea_builder_collect_documents(&builder->record, named->old);
    return error == ILEA_ERROR_MALFORMED ? ILEA_ERROR_CORRUPT : error;
}

/* The changes that are left of a record and count: all shared ones, or those for the agency alone if there is none. */
struct left {
    bool is_shared, has_closed;
    uint32_t count;
};

/* What they add up to, in builder->record. */
static enum ilea_error
merge_left(struct ilea_view_builder *builder, uint64_t record, struct left *left)
{
    struct ilea_view_record_change change = { .record = record };
    uint8_t *other = NULL;
    size_t capacity = 0;
    enum ilea_scope scope = 0;
    enum ilea_error error;
    *left = (struct left){ .count = 0 };
    while (!left->is_shared && (error = ilea_view_record_change_next(builder->view_txn, &change)) == ILEA_ERROR_NONE) {
        if (is_erased_already(builder, &change.place)) continue;
        error = scope_at(builder, &change.place, &scope);
        if (error != ILEA_ERROR_NONE) return error;
        left->is_shared = ilea_scope_is_shared(scope);
    }
    change = (struct ilea_view_record_change){ .record = record };
    ilea_record_clear(&builder->record);
    while ((error = ilea_view_record_change_next(builder->view_txn, &change)) == ILEA_ERROR_NONE) {
        error = scope_at(builder, &change.place, &scope);
        if (error != ILEA_ERROR_NONE) break;
        if (ilea_scope_is_shared(scope) != left->is_shared || is_erased_already(builder, &change.place)) continue;
        error = merge_change(builder, &change.place, &other, &capacity);
        if (error != ILEA_ERROR_NONE) break;
        left->count++;
        left->has_closed = left->has_closed || scope == ILEA_SCOPE_AUDIENCE;
    }
    free(other);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static enum ilea_error
settle_record(struct ilea_view_builder *builder, uint64_t number)
{
    struct ilea_view_row before, row;
    struct ilea_view_agency agency;
    struct left left = { .count = 0 };
    size_t size = 0;
    struct ilea_builder_named named = { .old_count = 0 };
    enum ilea_error error = note_documents(builder, number, &named);
    if (error == ILEA_ERROR_NONE) error = merge_left(builder, number, &left);
    if (error == ILEA_ERROR_NONE) named.count = ilea_builder_collect_documents(&builder->record, named.rows);
    if (error == ILEA_ERROR_NONE && (named.old_count > 0 || named.count > 0)) {
        error = ilea_builder_index_documents(builder, number, &named);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_view_get(builder->view_txn, number, &before);
    if (error == ILEA_ERROR_NONE) error = ilea_view_agency(builder->view_txn, before.agency, &agency);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    const struct ilea_agency_id id = agency.id; /* what is borrowed moves with the first write */
    if (left.count == 0) { /* and here what it alone referred to goes with it */
        if (builder->fallen_count < ILEA_FALLEN_MAX) builder->fallen[builder->fallen_count++] = before.id;
        return ilea_view_drop_record(builder->view_txn, &builder->meta, &before);
    }
    row = before;
    ilea_builder_set_scope(&builder->record, left.is_shared, left.has_closed, &row);
    row.ref = ilea_builder_ref(&builder->record, row.type);
    uint8_t *bytes = malloc(ilea_record_encoded_size_max(&builder->record));
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY; /* the record borrows builder->state */
    error = ilea_record_encode(&builder->record, bytes, ilea_record_encoded_size_max(&builder->record), &size);
    row.state = (struct ilea_span){ bytes, size };
    if (error == ILEA_ERROR_NONE) error = ilea_view_put(builder->view_txn, &builder->meta, &id, &row, &before);
    free(bytes);
    return error;
}

/* Whether a comment or link is about one of the records that fell. */
static bool
is_about_fallen(const struct ilea_view_builder *builder)
{
    for (uint32_t i = 0; i < builder->record.entry_count; i++) {
        struct ilea_msgpack_reader reader;
        ilea_msgpack_reader_init(&reader, builder->record.entries[i].value);
        struct ilea_span id = ilea_msgpack_get_bin(&reader, sizeof(struct ilea_record_id));
        if (!ilea_msgpack_reader_done(&reader) || id.size != sizeof(struct ilea_record_id)) continue;
        for (uint32_t j = 0; j < builder->fallen_count; j++) {
            if (memcmp(builder->fallen[j].bytes, id.data, id.size) == 0) return true;
        }
    }
    return false;
}

/* What we said about records that are gone is to go, too; what others said is not shown until they erase it. */
static enum ilea_error
find_orphans(struct ilea_view_builder *builder)
{
    static const uint32_t types[] = { TYPE_COMMENT, TYPE_LINK };
    struct ilea_agency_row own;
    enum ilea_error error = ilea_log_agency(builder->log_txn, &ilea_log_identity(builder->log)->agency, &own);
    for (unsigned i = 0; i < 2 && error == ILEA_ERROR_NONE; i++) {
        struct ilea_view_row row = { .number = 0 };
        while ((error = ilea_view_next(builder->view_txn, types[i], 0, &row)) == ILEA_ERROR_NONE) {
            ilea_record_clear(&builder->record);
            error = ilea_record_decode(row.state, &builder->record);
            if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_MALFORMED ? ILEA_ERROR_CORRUPT : error;
            if (!is_about_fallen(builder)) continue;
            error = row.agency == own.number ? ilea_view_put_orphan(builder->view_txn, row.number)
                                             : ilea_view_conceal(builder->view_txn, row.number);
            if (error != ILEA_ERROR_NONE) return error;
        }
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    }
    return error;
}

enum ilea_error
ilea_builder_settle_erased(struct ilea_view_builder *builder)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    if (builder->dirty_count == 0) return ILEA_ERROR_NONE;
    builder->fallen_count = 0;
    for (uint32_t i = 0; i < builder->dirty_count && error == ILEA_ERROR_NONE; i++) {
        error = settle_record(builder, builder->dirty[i]);
    }
    builder->dirty_count = 0;
    if (error == ILEA_ERROR_NONE && builder->fallen_count > 0) error = find_orphans(builder);
    return error;
}
