#include "tests/sim/view.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/merge/record.h"
#include "tests/sim/erase.h"
#include "tests/sim/trust.h"

/* The changes of one agency that a node can read. */
struct view {
    struct sim_change *changes;
    uint32_t count, capacity;
};

static void
free_view(struct view *view)
{
    for (uint32_t i = 0; i < view->count; i++) free(view->changes[i].plaintext);
    free(view->changes);
    *view = (struct view){ NULL, 0, 0 };
}

/* A statement: of an epoch, its key may be sealed to us. */
static void
read_statement(struct sim_node *node, const struct sim_node *author, struct ilea_keyring *ring,
               struct ilea_span bytes)
{
    enum ilea_statement_kind kind;
    struct ilea_epoch_statement epoch;
    if (ilea_statement_kind_of(bytes, &kind) != ILEA_ERROR_NONE) return;
    if (kind != ILEA_STATEMENT_EPOCH) return;
    if (ilea_epoch_decode(bytes, &epoch) != ILEA_ERROR_NONE) {
        sim_fail(node->world, node, "an epoch statement does not decode");
    }
    struct ilea_msgpack_reader wrapped;
    ilea_msgpack_reader_init(&wrapped, epoch.wrapped);
    for (uint32_t i = 0; i < epoch.wrapped_count; i++) {
        struct ilea_span key = ilea_msgpack_get_bin(&wrapped, ILEA_WRAPPED_KEY_SIZE);
        enum ilea_error error =
            ilea_keyring_unwrap(ring, node->reading, &node->world->network, &author->audience,
                                epoch.aek_commit, key.data);
        if (error == ILEA_ERROR_NONE) return;
        ilea_assert(error == ILEA_ERROR_NOT_FOUND);
    }
    sim_fail(node->world, node, "no epoch key of %c is for it", (char)('a' + author->index));
}

static void
add_change(struct view *view, const struct sim_change *change)
{
    if (view->count == view->capacity) {
        view->capacity = view->capacity == 0 ? 64 : view->capacity * 2;
        view->changes = realloc(view->changes, view->capacity * sizeof *view->changes);
        ilea_assert(view->changes != NULL);
    }
    view->changes[view->count++] = *change;
}

static void
read_item(struct sim_node *node, struct ilea_keyring *ring, const struct ilea_place *place,
          const struct ilea_item *item, struct view *view)
{
    uint8_t *plaintext = malloc(item->content.size + 1);
    ilea_assert(plaintext != NULL);
    struct sim_change change = { .plaintext = plaintext };
    enum ilea_error error = ilea_item_decrypt(ring, place, item, plaintext, &change.size);
    struct ilea_change decoded;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_change_decode((struct ilea_span){ plaintext, change.size }, &decoded);
    }
    if (error != ILEA_ERROR_NONE) {
        sim_fail(node->world, node, "cannot read an item: %s", ilea_error_text(error));
    }
    change.record = decoded.record;
    change.dot.seq = place->seq;
    change.dot.index = place->index;
    ilea_dot_feed_of(place->feed, change.dot.feed);
    add_change(view, &change);
}

static void
read_commit(struct sim_node *node, struct ilea_keyring *ring, const struct sim_commit *stored,
            struct view *view)
{
    const struct sim_node *author = &node->world->nodes[stored->feed->author];
    struct ilea_commit commit;
    uint8_t *bytes = malloc(ILEA_COMMIT_SIZE_MAX);
    ilea_assert(bytes != NULL);
    enum ilea_error error = ilea_commit_decode(sim_erase_form(node, stored, bytes), &commit);
    ilea_assert(error == ILEA_ERROR_NONE);
    struct ilea_msgpack_reader slots;
    ilea_msgpack_reader_init(&slots, commit.slots);
    for (uint32_t i = 0; i < commit.header.item_count; i++) {
        struct ilea_item item;
        struct ilea_span slot = ilea_slot_next(&slots);
        if (slot.size == ILEA_HASH_SIZE) continue; /* erased */
        error = ilea_item_decode(slot, &item);
        ilea_assert(error == ILEA_ERROR_NONE);
        const struct ilea_place place = { &node->world->network, &stored->feed->id, stored->seq,
                                          i };
        if ((item.flags & ILEA_ITEM_CONTROL) != 0) {
            read_statement(node, author, ring, item.content);
        } else {
            read_item(node, ring, &place, &item, view);
        }
    }
    free(bytes);
}

static void
read_agency(struct sim_node *node, uint32_t author, struct view *view)
{
    struct ilea_keyring *ring;
    enum ilea_error error = ilea_keyring_new(SIM_FEEDS_MAX, &ring);
    ilea_assert(error == ILEA_ERROR_NONE);
    for (uint32_t i = 0; i < node->world->feed_count; i++) {
        const struct sim_log *log = &node->storage.logs[i];
        const struct sim_feed *feed = node->world->feeds[i];
        if (feed->author != author || feed->origin.scope != ILEA_SCOPE_PEERS || log->durable == 0) continue;
        uint32_t told = sim_trust_told(node, feed);
        for (uint32_t j = 0; j < told; j++) read_commit(node, ring, log->commits[j], view);
    }
    ilea_keyring_free(ring);
}

/* Merge the changes of one record in the order they stand; its encoding is the caller's to free. */
static uint8_t *
merge_record(const struct view *view, const struct ilea_record_id *id, size_t *size)
{
    struct ilea_record record;
    ilea_record_init(&record);
    for (uint32_t i = 0; i < view->count; i++) {
        const struct sim_change *change = &view->changes[i];
        if (memcmp(change->record.bytes, id->bytes, sizeof id->bytes) != 0) continue;
        struct ilea_change decoded;
        enum ilea_error error =
            ilea_change_decode((struct ilea_span){ change->plaintext, change->size }, &decoded);
        ilea_assert(error == ILEA_ERROR_NONE);
        error = ilea_record_merge(&record, &decoded, &change->dot);
        ilea_assert(error == ILEA_ERROR_NONE);
    }
    size_t capacity = ilea_record_encoded_size_max(&record);
    uint8_t *bytes = malloc(capacity);
    ilea_assert(bytes != NULL);
    enum ilea_error error = ilea_record_encode(&record, bytes, capacity, size);
    ilea_assert(error == ILEA_ERROR_NONE);
    ilea_record_deinit(&record);
    return bytes;
}

/* What was encoded decodes, and encodes to the same again. */
static bool
is_stable(const uint8_t *bytes, size_t size)
{
    struct ilea_record record;
    ilea_record_init(&record);
    uint8_t *again = malloc(size);
    ilea_assert(again != NULL);
    size_t again_size = 0;
    bool stable = ilea_record_decode((struct ilea_span){ bytes, size }, &record) == ILEA_ERROR_NONE
                  && ilea_record_encode(&record, again, size, &again_size) == ILEA_ERROR_NONE
                  && again_size == size && memcmp(again, bytes, size) == 0;
    free(again);
    ilea_record_deinit(&record);
    return stable;
}

static void
shuffle(struct sim_random *random, struct view *view)
{
    for (uint32_t i = view->count; i > 1; i--) {
        uint32_t j = (uint32_t)sim_below(random, i);
        struct sim_change change = view->changes[i - 1];
        view->changes[i - 1] = view->changes[j];
        view->changes[j] = change;
    }
}

static void
compare(struct sim_node *node, const struct view *a, const struct view *b, const char *what)
{
    for (uint32_t i = 0; i < SIM_RECORDS_MAX; i++) {
        struct ilea_record_id id = { { 0 } };
        if (a->count == 0) continue;
        id = a->changes[0].record;
        id.bytes[15] = (uint8_t)i;
        size_t a_size, b_size;
        uint8_t *a_bytes = merge_record(a, &id, &a_size), *b_bytes = merge_record(b, &id, &b_size);
        if (a_size != b_size || memcmp(a_bytes, b_bytes, a_size) != 0) {
            sim_fail(node->world, node, "record %u differs %s", i, what);
        }
        if (!is_stable(a_bytes, a_size)) {
            sim_fail(node->world, node, "record %u is not what it was encoded from", i);
        }
        free(a_bytes);
        free(b_bytes);
    }
}

static bool
holds_same(const struct sim_world *world, const struct sim_node *a, const struct sim_node *b,
           uint32_t author)
{
    for (uint32_t i = 0; i < world->feed_count; i++) {
        if (world->feeds[i]->author != author || world->feeds[i]->origin.scope == ILEA_SCOPE_AUDIENCE) continue;
        uint32_t told = sim_trust_told(a, world->feeds[i]);
        if (told != sim_trust_told(b, world->feeds[i])) return false;
        if (told > 0 && a->storage.logs[i].commits[told - 1] != b->storage.logs[i].commits[told - 1]) return false;
    }
    return true;
}

void
sim_check_views(struct sim_world *world)
{
    for (uint32_t author = 0; author < world->node_count; author++) {
        struct view first = { NULL, 0, 0 };
        const struct sim_node *reader = NULL;
        for (uint32_t i = 0; i < world->node_count; i++) {
            struct sim_node *node = &world->nodes[i];
            if (node->byzantine || !node->follows[author]) continue;
            if (reader != NULL && !holds_same(world, reader, node, author)) continue;
            struct view view = { NULL, 0, 0 };
            read_agency(node, author, &view);
            if (reader == NULL) {
                reader = node;
                first = view;
                continue;
            }
            shuffle(&world->random, &view);
            compare(node, &first, &view, "from another node's, or by order");
            free_view(&view);
        }
        free_view(&first);
    }
}
