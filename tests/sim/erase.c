#include "tests/sim/erase.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/erase.h"
#include "tests/sim/storage.h"
#include "tests/sim/writer.h"

enum { DOTS_MAX = 8 }; /* that one statement adds */

/* --- what is left of a commit --- */

/* Marks the items that the node knows to be erased; how many. */
static uint32_t
mark(const struct sim_node *node, const struct sim_commit *commit, bool *blank)
{
    const struct sim_world *world = node->world;
    uint32_t count = 0;
    memset(blank, 0, ILEA_COMMIT_ITEMS_MAX * sizeof *blank);
    for (uint32_t i = 0; commit->has_erased && i < world->dot_count; i++) {
        if (world->dots[i].commit != commit || !sim_set_has(&node->erased, i)) continue;
        blank[world->dots[i].index] = true;
        count++;
    }
    return count;
}

struct ilea_span
sim_erase_form(const struct sim_node *node, const struct sim_commit *commit, uint8_t *bytes)
{
    bool blank[ILEA_COMMIT_ITEMS_MAX];
    struct ilea_span whole = { commit->bytes, commit->size };
    uint32_t marked = mark(node, commit, blank), blanked;
    if (marked == 0) return whole;
    size_t size;
    enum ilea_error error = ilea_commit_blank(whole, blank, bytes, &size, &blanked);
    ilea_assert(error == ILEA_ERROR_NONE && blanked == marked);
    return (struct ilea_span){ bytes, size };
}

uint32_t
sim_erase_size(const struct sim_node *node, const struct sim_commit *commit)
{
    if (!commit->has_erased) return commit->size;
    uint8_t *bytes = malloc(ILEA_COMMIT_SIZE_MAX);
    ilea_assert(bytes != NULL);
    uint32_t size = (uint32_t)sim_erase_form(node, commit, bytes).size;
    free(bytes);
    return size;
}

static uint32_t
find_dot(const struct sim_world *world, const struct sim_commit *commit, uint32_t index)
{
    for (uint32_t i = 0; i < world->dot_count; i++) {
        if (world->dots[i].commit == commit && world->dots[i].index == index) return i;
    }
    return SIM_NONE;
}

/* Is it the commit, but for items that are erased here? */
static bool
is_form_of(const struct sim_node *node, const struct sim_commit *commit, struct ilea_span bytes)
{
    struct ilea_commit decoded;
    struct ilea_msgpack_reader slots;
    bool blank[ILEA_COMMIT_ITEMS_MAX] = { false };
    if (ilea_commit_decode(bytes, &decoded) != ILEA_ERROR_NONE) return false;
    ilea_msgpack_reader_init(&slots, decoded.slots);
    for (uint32_t i = 0; i < decoded.header.item_count; i++) {
        if (ilea_slot_next(&slots).size != ILEA_HASH_SIZE) continue;
        uint32_t dot = find_dot(node->world, commit, i);
        if (dot == SIM_NONE || !sim_set_has(&node->erased, dot)) return false;
        blank[i] = true;
    }
    uint8_t *form = malloc(commit->size);
    ilea_assert(form != NULL);
    size_t size;
    uint32_t blanked;
    enum ilea_error error =
        ilea_commit_blank((struct ilea_span){ commit->bytes, commit->size }, blank, form, &size, &blanked);
    bool is = error == ILEA_ERROR_NONE && size == bytes.size && memcmp(form, bytes.data, size) == 0;
    free(form);
    return is;
}

struct sim_commit *
sim_erase_find(const struct sim_node *node, const struct sim_feed *feed, uint64_t seq,
               const struct ilea_commit_id *id, struct ilea_span bytes)
{
    if (seq == 0 || seq > feed->count) return NULL;
    struct sim_commit *commit = feed->commits[seq - 1];
    if (!commit->has_erased || memcmp(commit->id.bytes, id->bytes, sizeof id->bytes) != 0) return NULL;
    return is_form_of(node, commit, bytes) ? commit : NULL;
}

bool
sim_erase_explains(void *context, const struct ilea_agency_id *agency, const struct ilea_feed_id *id, uint64_t seq,
                   uint32_t index, const uint8_t leaf[ILEA_HASH_SIZE])
{
    const struct sim_node *node = context;
    const struct sim_feed *feed = sim_find_feed(node->world, id);
    if (feed == NULL || seq == 0 || seq > feed->count) return false;
    if (memcmp(feed->origin.agency.bytes, agency->bytes, sizeof agency->bytes) != 0) return false;
    uint32_t dot = find_dot(node->world, feed->commits[seq - 1], index);
    return dot != SIM_NONE && sim_set_has(&node->erased, dot)
        && memcmp(node->world->dots[dot].leaf, leaf, ILEA_HASH_SIZE) == 0;
}

void
sim_erase_take(struct sim_node *node, const struct sim_commit *commit)
{
    if (commit->erases != NULL) sim_set_add_all(&node->erased, commit->erases);
}

/* --- stating it --- */

/* The next commit of the node's control feed is begun; a feed is opened if it has none. */
static struct sim_feed *
begin_commit(struct sim_node *node)
{
    struct sim_world *world = node->world;
    struct sim_feed *feed = node->control;
    if (feed != NULL) {
        const struct sim_log *log = &node->storage.logs[feed->index];
        ilea_commit_begin(world->builder, &world->network, &feed->id, log->count + 1,
                          &log->commits[log->count - 1]->id);
        return feed;
    }
    feed = node->control = sim_writer_feed(node, node->secret, ILEA_SCOPE_CONTROL, NULL);
    const struct ilea_opening opening = { .origin = feed->origin };
    uint8_t bytes[512];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_opening_put(&writer, &opening, NULL, 0);
    ilea_commit_begin(world->builder, &world->network, &feed->id, 1, &(struct ilea_commit_id){ { 0 } });
    enum ilea_error error = ilea_commit_add_statement(world->builder, ilea_msgpack_written(&writer));
    ilea_assert(error == ILEA_ERROR_NONE);
    return feed;
}

static void
state_it(struct sim_node *node, const struct sim_set *set)
{
    struct sim_world *world = node->world;
    struct ilea_erased_dot dots[SIM_DOTS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->dot_count; i++) {
        const struct sim_dot *from = &world->dots[i];
        if (!sim_set_has(set, i)) continue;
        dots[count] = (struct ilea_erased_dot){ .seq = from->commit->seq, .index = from->index };
        ilea_dot_feed_of(&from->commit->feed->id, dots[count].feed);
        memcpy(dots[count++].leaf, from->leaf, sizeof from->leaf);
    }
    uint8_t bytes[SIM_DOTS_MAX * 80];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_erase_put(&writer, dots, count, (struct ilea_span){ NULL, 0 }, NULL, 0);
    ilea_assert(!writer.failed);
    struct sim_feed *feed = begin_commit(node);
    enum ilea_error error = ilea_commit_add_statement(world->builder, ilea_msgpack_written(&writer));
    ilea_assert(error == ILEA_ERROR_NONE);
    struct ilea_span signed_bytes;
    struct ilea_commit_id id;
    ilea_commit_end(world->builder, node->secret, &signed_bytes, &id);
    uint64_t seq = node->storage.logs[feed->index].count + 1;
    struct sim_commit *commit = sim_writer_register(feed, seq, &id, signed_bytes);
    commit->erases = malloc(sizeof *commit->erases);
    ilea_assert(commit->erases != NULL);
    *commit->erases = *set;
    sim_say(world, node, "erases %u items in feed %u seq %lu", count, feed->index, (unsigned long)seq);
    sim_storage_put(node, commit, true);
    sim_storage_flush(node); /* the author waits for its own */
}

/* A commit of its own that lies in its log, of a feed with items. */
static struct sim_commit *
pick_commit(const struct sim_node *node)
{
    struct sim_world *world = node->world;
    const struct sim_log *picked = NULL;
    uint64_t count = 0;
    for (uint32_t i = 0; i < world->feed_count; i++) {
        const struct sim_feed *feed = world->feeds[i];
        const struct sim_log *log = &node->storage.logs[i];
        if (feed->author != node->index || log->durable == 0 || feed->origin.scope == ILEA_SCOPE_CONTROL) continue;
        if (sim_below(&world->random, ++count) == 0) picked = log;
    }
    return picked != NULL ? picked->commits[sim_below(&world->random, picked->durable)] : NULL;
}

static void
add_dot(struct sim_world *world, struct sim_commit *commit, uint32_t index, struct ilea_span slot)
{
    struct sim_dot *dot = &world->dots[world->dot_count++];
    *dot = (struct sim_dot){ .commit = commit, .index = index };
    ilea_item_leaf(index, slot, dot->leaf);
    commit->has_erased = true;
}

void
sim_erase_act(struct sim_node *node)
{
    struct sim_world *world = node->world;
    struct sim_commit *commit = pick_commit(node);
    if (commit == NULL) return;
    struct ilea_commit decoded;
    struct ilea_msgpack_reader slots;
    enum ilea_error error = ilea_commit_decode((struct ilea_span){ commit->bytes, commit->size }, &decoded);
    ilea_assert(error == ILEA_ERROR_NONE);
    ilea_msgpack_reader_init(&slots, decoded.slots);
    struct sim_set set = { { 0 } };
    uint32_t count = 0;
    for (uint32_t i = 0; i < decoded.header.item_count; i++) {
        struct ilea_item item;
        struct ilea_span slot = ilea_slot_next(&slots);
        error = ilea_item_decode(slot, &item);
        ilea_assert(error == ILEA_ERROR_NONE);
        if ((item.flags & ILEA_ITEM_CONTROL) != 0 || find_dot(world, commit, i) != SIM_NONE) continue;
        if (count == DOTS_MAX || world->dot_count == SIM_DOTS_MAX || sim_chance(&world->random, 300)) continue;
        sim_set_add(&set, world->dot_count);
        add_dot(world, commit, i, slot);
        count++;
    }
    if (count > 0) state_it(node, &set);
}

void
sim_erase_resume(struct sim_node *node)
{
    const struct sim_world *world = node->world;
    struct sim_set stated = { { 0 } }, lost = { { 0 } };
    for (uint32_t i = 0; i < world->feed_count; i++) {
        const struct sim_log *log = &node->storage.logs[i];
        if (world->feeds[i]->author != node->index) continue;
        for (uint32_t j = 0; j < log->count; j++) {
            if (log->commits[j]->erases != NULL) sim_set_add_all(&stated, log->commits[j]->erases);
        }
    }
    bool any = false;
    for (uint32_t i = 0; i < world->dot_count; i++) {
        if (world->dots[i].commit->feed->author != node->index || sim_set_has(&stated, i)) continue;
        ilea_assert(sim_set_has(&node->erased, i));
        sim_set_add(&lost, i);
        any = true;
    }
    if (any) state_it(node, &lost);
}

void
sim_erase_check_end(const struct sim_world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        const struct sim_node *node = &world->nodes[i];
        for (uint32_t j = 0; j < world->dot_count; j++) {
            const struct sim_commit *commit = world->dots[j].commit;
            if (node->byzantine || !sim_is_held(node, commit) || sim_set_has(&node->erased, j)) continue;
            sim_fail(world, node, "holds item %u of commit %lu of feed %u, which is erased", world->dots[j].index,
                     (unsigned long)commit->seq, commit->feed->index);
        }
    }
}
