#include "tests/sim/writer.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/merge/record.h"
#include "tests/sim/storage.h"

enum { PLAINTEXT_SIZE_MAX = 200 * 1024, TYPE_NUMBER = 3, FIELD_KEYED = 40, FIELD_SET = 41,
       FIELDS_PLAIN = 4 };

/* What an opening names, noted at the feeds that it names. */
static void
note_namings(struct sim_world *world, struct sim_commit *commit, const struct ilea_position *positions,
             uint32_t count)
{
    commit->named_count = count;
    commit->named = calloc(count + 1, sizeof *commit->named);
    ilea_assert(commit->named != NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct sim_feed *feed = sim_find_feed(world, &positions[i].feed);
        ilea_assert(feed != NULL);
        commit->named[i] = positions[i];
        feed->namings = sim_grow(feed->namings, feed->naming_count, &feed->naming_capacity,
                                 sizeof *feed->namings);
        feed->namings[feed->naming_count++] =
            (struct sim_naming){ commit, positions[i].seq, positions[i].id };
    }
}

struct sim_commit *
sim_writer_register(struct sim_feed *feed, uint64_t seq, const struct ilea_commit_id *id,
                    struct ilea_span bytes)
{
    struct sim_commit *commit = calloc(1, sizeof *commit);
    ilea_assert(commit != NULL && bytes.size <= UINT32_MAX);
    *commit = (struct sim_commit){ .feed = feed, .seq = seq, .id = *id };
    commit->bytes = malloc(bytes.size);
    ilea_assert(commit->bytes != NULL);
    memcpy(commit->bytes, bytes.data, bytes.size);
    commit->size = (uint32_t)bytes.size;
    if (seq <= feed->count) {
        feed->forked = true;
        commit->fork = feed->commits[seq - 1]->fork;
        feed->commits[seq - 1]->fork = commit;
        return commit;
    }
    ilea_assert(seq == feed->count + 1);
    feed->commits = sim_grow(feed->commits, feed->count, &feed->capacity, sizeof(struct sim_commit *));
    feed->commits[feed->count++] = commit;
    return commit;
}

struct sim_commit *
sim_find_commit(const struct sim_feed *feed, uint64_t seq, const struct ilea_commit_id *id,
                struct ilea_span bytes)
{
    if (seq == 0 || seq > feed->count) return NULL;
    struct sim_commit *commit = feed->commits[seq - 1];
    for (; commit != NULL; commit = commit->fork) {
        if (memcmp(commit->id.bytes, id->bytes, sizeof id->bytes) == 0 && commit->size == bytes.size
            && memcmp(commit->bytes, bytes.data, bytes.size) == 0) {
            return commit;
        }
    }
    return NULL;
}

static void
free_commit(struct sim_commit *commit)
{
    while (commit != NULL) {
        struct sim_commit *fork = commit->fork;
        for (uint32_t i = 0; i < commit->change_count; i++) free(commit->changes[i].plaintext);
        free(commit->changes);
        free(commit->named);
        free(commit->known);
        free(commit->erases);
        free(commit->bytes);
        free(commit);
        commit = fork;
    }
}

void
sim_feed_free(struct sim_feed *feed)
{
    for (uint32_t i = 0; i < feed->count; i++) free_commit(feed->commits[i]);
    free(feed->namings);
    free(feed->commits);
    free(feed);
}

static int
compare_positions(const void *a, const void *b)
{
    const struct ilea_position *left = a, *right = b;
    return memcmp(left->feed.bytes, right->feed.bytes, sizeof left->feed.bytes);
}

/* The last positions of this author's earlier feeds that it holds and no opening names yet. */
static uint32_t
collect_predecessors(const struct sim_node *node, struct ilea_position *positions)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->world->feed_count; i++) {
        const struct sim_feed *feed = node->world->feeds[i];
        const struct sim_log *log = &node->storage.logs[i];
        if (feed->author != node->index || log->durable == 0 || log->archived
            || feed->origin.scope != ILEA_SCOPE_PEERS) {
            continue;
        }
        const struct sim_commit *last = log->commits[log->durable - 1];
        positions[count++] = (struct ilea_position){ feed->id, last->seq, last->id };
    }
    if (count > 1) qsort(positions, count, sizeof *positions, compare_positions);
    return count;
}

static void
add_opening(struct sim_world *world, const struct sim_feed *feed, const struct ilea_position *positions,
            uint32_t count)
{
    uint8_t bytes[96 * 1024];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    const struct ilea_opening opening = { .origin = feed->origin };
    ilea_opening_put(&writer, &opening, positions, count);
    ilea_assert(!writer.failed);
    enum ilea_error error = ilea_commit_add_statement(world->builder, ilea_msgpack_written(&writer));
    ilea_assert(error == ILEA_ERROR_NONE);
}

/* A fresh epoch key, sealed to all the author approves: every node of the world. */
static void
add_epoch(struct sim_node *node, uint64_t number)
{
    struct sim_world *world = node->world;
    uint8_t aek_commit[ILEA_HASH_SIZE], wrapped[SIM_NODES_MAX * ILEA_WRAPPED_KEY_SIZE];
    enum ilea_error error =
        ilea_keyring_generate(node->ring, &world->network, &node->audience, aek_commit);
    ilea_assert(error == ILEA_ERROR_NONE);
    memcpy(node->writer.epoch.bytes, aek_commit, sizeof node->writer.epoch.bytes);
    for (uint32_t i = 0; i < world->node_count; i++) {
        error = ilea_keyring_wrap(node->ring, &node->writer.epoch, &world->network, &node->audience,
                                  &world->nodes[i].reading_public,
                                  wrapped + (size_t)i * ILEA_WRAPPED_KEY_SIZE);
        ilea_assert(error == ILEA_ERROR_NONE);
    }
    uint8_t bytes[4096];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_epoch_put(&writer, &node->audience, number, aek_commit, NULL, 0, wrapped,
                   world->node_count);
    ilea_assert(!writer.failed);
    error = ilea_commit_add_statement(world->builder, ilea_msgpack_written(&writer));
    ilea_assert(error == ILEA_ERROR_NONE);
}

struct sim_feed *
sim_writer_feed(struct sim_node *node, const struct ilea_sign_secret *secret, enum ilea_scope scope,
                const struct ilea_audience_id *audience)
{
    struct sim_world *world = node->world;
    struct sim_feed *feed = calloc(1, sizeof *feed);
    if (world->feed_count == SIM_FEEDS_MAX) sim_fail(world, node, "too many feeds");
    ilea_assert(feed != NULL);
    feed->index = world->feed_count;
    feed->author = node->index;
    feed->secret = secret;
    feed->origin = (struct ilea_feed_origin){ .agency = node->agency, .scope = scope };
    if (audience != NULL) feed->origin.audience = *audience;
    ilea_sign_secret_public(secret, &feed->origin.node);
    sim_fill(&world->random, feed->origin.incarnation, sizeof feed->origin.incarnation);
    ilea_feed_id_of(&world->network, &feed->origin, &feed->id);
    world->feeds[world->feed_count++] = feed;
    uint32_t slot = 0;
    memcpy(&slot, feed->id.bytes, sizeof slot);
    for (slot %= SIM_FEED_SLOTS; world->feed_slots[slot] != 0;) slot = (slot + 1) % SIM_FEED_SLOTS;
    world->feed_slots[slot] = feed->index + 1;
    return feed;
}

/* The number of feeds so far of this author, its epochs' number. */
static uint64_t
count_own_feeds(const struct sim_node *node)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < node->world->feed_count; i++) {
        if (node->world->feeds[i]->author == node->index) count++;
    }
    return count;
}

static void
open_feed(struct sim_node *node)
{
    struct sim_world *world = node->world;
    struct ilea_position *positions = calloc(SIM_FEEDS_MAX, sizeof *positions);
    ilea_assert(positions != NULL);
    uint32_t count = collect_predecessors(node, positions);
    if (count > ILEA_PREDECESSORS_MAX) count = ILEA_PREDECESSORS_MAX;
    struct sim_feed *feed = sim_writer_feed(node, node->secret, ILEA_SCOPE_PEERS, NULL);
    node->writer.feed = feed;
    node->writer.run = 0;
    memset(node->writer.leaf, 0, sizeof node->writer.leaf);

    ilea_commit_begin(world->builder, &world->network, &feed->id, 1,
                      &(struct ilea_commit_id){ { 0 } });
    add_opening(world, feed, positions, count);
    if (!node->writer.bare) add_epoch(node, count_own_feeds(node));
    struct ilea_span bytes;
    struct ilea_commit_id id;
    ilea_commit_end(world->builder, node->secret, &bytes, &id);
    struct sim_commit *commit = sim_writer_register(feed, 1, &id, bytes);
    note_namings(world, commit, positions, count);
    free(positions);
    sim_storage_put(node, commit, true);
    sim_say(world, node, "opens feed %u", feed->index);
}

struct sim_commit *
sim_writer_forge_blank(struct sim_world *world, struct sim_feed *feed, uint64_t seq,
                       const struct ilea_commit_id *prev)
{
    static const struct ilea_commit_id nothing;
    ilea_commit_begin(world->builder, &world->network, &feed->id, seq, prev != NULL ? prev : &nothing);
    if (seq == 1) add_opening(world, feed, NULL, 0);
    uint8_t noise[32], statement[64]; /* of a kind that nobody knows */
    struct ilea_msgpack_writer writer;
    sim_fill(&world->random, noise, sizeof noise);
    ilea_msgpack_writer_init(&writer, statement, sizeof statement);
    ilea_msgpack_put_array(&writer, 2);
    ilea_msgpack_put_uint(&writer, 99);
    ilea_msgpack_put_bin(&writer, noise, sizeof noise);
    enum ilea_error error = ilea_commit_add_statement(world->builder, ilea_msgpack_written(&writer));
    ilea_assert(error == ILEA_ERROR_NONE);
    struct ilea_span bytes;
    struct ilea_commit_id id;
    ilea_commit_end(world->builder, feed->secret, &bytes, &id);
    struct sim_commit *commit = sim_writer_register(feed, seq, &id, bytes);
    commit->forged = true;
    return commit;
}

void
sim_writer_resume(struct sim_node *node)
{
    struct sim_writer *self = &node->writer;
    if (self->feed == NULL) return;
    const struct sim_log *log = &node->storage.logs[self->feed->index];
    if (log->count == 0) {
        self->feed = NULL;
        return;
    }
    self->run = log->commits[log->count - 1]->run;
    memcpy(self->leaf, log->commits[log->count - 1]->leaf, sizeof self->leaf);
}

void
sim_writer_abandon(struct sim_node *node)
{
    node->writer.feed = NULL;
    node->writer.taken = NULL;
    node->writer.unnoticed = false;
}

/* Everything the author itself wrote about the record and still holds. */
static void
see_record(const struct sim_node *node, const struct ilea_record_id *id, struct ilea_record *record)
{
    for (uint32_t i = 0; i < node->world->feed_count; i++) {
        if (node->world->feeds[i]->author != node->index) continue;
        const struct sim_log *log = &node->storage.logs[i];
        for (uint32_t j = 0; j < log->count; j++) {
            const struct sim_commit *commit = log->commits[j];
            for (uint32_t k = 0; k < commit->change_count; k++) {
                const struct sim_change *change = &commit->changes[k];
                if (memcmp(change->record.bytes, id->bytes, sizeof id->bytes) != 0) continue;
                struct ilea_change decoded;
                enum ilea_error error = ilea_change_decode(
                    (struct ilea_span){ change->plaintext, change->size }, &decoded);
                ilea_assert(error == ILEA_ERROR_NONE);
                error = ilea_record_merge(record, &decoded, &change->dot);
                ilea_assert(error == ILEA_ERROR_NONE);
            }
        }
    }
}

static int
compare_dots(const void *a, const void *b)
{
    return ilea_dot_compare(a, b);
}

/* One operation on (field, key), replacing what is seen there. */
static void
put_op(struct sim_node *node, const struct ilea_record *seen, uint32_t field, struct ilea_span key,
       struct ilea_msgpack_writer *writer)
{
    struct sim_random *random = &node->world->random;
    struct ilea_dot dots[ILEA_OP_REPLACES_MAX];
    uint32_t first, count = ilea_record_find(seen, field, key, &first), depth = 0;
    if (count > ILEA_OP_REPLACES_MAX) count = ILEA_OP_REPLACES_MAX;
    for (uint32_t i = 0; i < count; i++) {
        dots[i] = seen->entries[first + i].dot;
        if (seen->entries[first + i].depth > depth) depth = seen->entries[first + i].depth;
    }
    if (count > 1) qsort(dots, count, sizeof *dots, compare_dots);

    uint8_t replaces[ILEA_OP_REPLACES_MAX * 32 + 8];
    struct ilea_msgpack_writer inner;
    ilea_msgpack_writer_init(&inner, replaces, sizeof replaces);
    ilea_msgpack_put_array(&inner, count);
    for (uint32_t i = 0; i < count; i++) ilea_dot_put(&inner, &dots[i]);

    struct ilea_op op = { .field = field, .depth = depth + 1, .key = key,
                          .replaces = ilea_msgpack_written(&inner) };
    uint8_t *value = malloc((size_t)node->writer.value_size + 8);
    ilea_assert(value != NULL);
    struct ilea_msgpack_writer text;
    ilea_msgpack_writer_init(&text, value, (size_t)node->writer.value_size + 8);
    if (field == FIELD_SET) {
        ilea_msgpack_put_uint(&text, 1);
    } else {
        size_t room = writer->capacity - writer->size; /* of which the other operations want some */
        uint64_t most = room / 2 < node->writer.value_size ? room / 2 : node->writer.value_size;
        uint32_t size = (uint32_t)sim_below(random, most - most / 50 + 1);
        uint8_t *content = malloc((size_t)size + 1);
        ilea_assert(content != NULL);
        sim_fill(random, content, size);
        ilea_msgpack_put_bin(&text, content, size);
        free(content);
    }
    bool removes = count > 0 && sim_chance(random, 200);
    if (!removes) op.value = ilea_msgpack_written(&text);
    ilea_op_put(writer, &op);
    free(value);
}

static uint32_t
put_ops(struct sim_node *node, const struct ilea_record *seen, struct ilea_msgpack_writer *writer)
{
    struct sim_random *random = &node->world->random;
    uint32_t count = 0;
    for (uint32_t field = 2; field < 2 + FIELDS_PLAIN; field++) {
        if (!sim_chance(random, 400)) continue;
        put_op(node, seen, field, (struct ilea_span){ NULL, 0 }, writer);
        count++;
    }
    for (uint32_t field = FIELD_KEYED; field <= FIELD_SET; field++) {
        for (uint8_t letter = 'a'; letter < 'e'; letter++) { /* "a" is 0xa1 'a' */
            if (!sim_chance(random, 150) && !(count == 0 && field == FIELD_SET && letter == 'd')) {
                continue;
            }
            const uint8_t key[2] = { 0xa1, letter };
            put_op(node, seen, field, (struct ilea_span){ key, sizeof key }, writer);
            count++;
        }
    }
    return count;
}

static void
choose_record(struct sim_node *node, struct ilea_record_id *id)
{
    memset(id, 0, sizeof *id);
    id->bytes[0] = (uint8_t)node->index;
    id->bytes[15] = (uint8_t)sim_below(&node->world->random, SIM_RECORDS_MAX);
}

/* Compose one change as plaintext into `bytes`; its size. */
static size_t
compose_change(struct sim_node *node, struct ilea_change *change, uint8_t *bytes)
{
    struct ilea_record seen;
    ilea_record_init(&seen);
    see_record(node, &change->record, &seen);
    uint8_t *ops = malloc(PLAINTEXT_SIZE_MAX);
    ilea_assert(ops != NULL);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, ops, PLAINTEXT_SIZE_MAX);
    change->op_count = put_ops(node, &seen, &writer);
    ilea_assert(!writer.failed);
    struct ilea_span written = ilea_msgpack_written(&writer);

    ilea_msgpack_writer_init(&writer, bytes, PLAINTEXT_SIZE_MAX + 256);
    ilea_change_put_head(&writer, change);
    ilea_msgpack_put_raw(&writer, written);
    ilea_assert(!writer.failed);
    size_t size = writer.size;
    free(ops);
    ilea_record_deinit(&seen);
    return size;
}

/* Add a change to the commit being built. False: it is full. */
static bool
add_change(struct sim_node *node, uint64_t seq, struct sim_change *made)
{
    struct sim_world *world = node->world;
    struct sim_writer *self = &node->writer;
    struct ilea_change change = { .type = TYPE_NUMBER, .time_ms = sim_next(&world->random),
                                  .label = ILEA_LABEL_GREEN, .run = self->run + 1 };
    memcpy(change.prev_leaf, self->leaf, sizeof change.prev_leaf);
    choose_record(node, &change.record);
    uint8_t *bytes = malloc(PLAINTEXT_SIZE_MAX + 256);
    ilea_assert(bytes != NULL);
    size_t size = compose_change(node, &change, bytes);
    *made = (struct sim_change){ .record = change.record, .plaintext = bytes, .size = size };
    made->dot.seq = seq;
    made->dot.index = ilea_commit_item_count(world->builder);
    ilea_dot_feed_of(&self->feed->id, made->dot.feed);
    enum ilea_error error =
        ilea_commit_add_change(world->builder, node->ring, ILEA_ITEM_OPEN, &node->audience,
                               &self->epoch, (struct ilea_span){ bytes, size }, self->leaf);
    if (error == ILEA_ERROR_FULL) {
        free(bytes);
        return false;
    }
    ilea_assert(error == ILEA_ERROR_NONE);
    self->run++;
    return true;
}

struct sim_commit *
sim_writer_forge(struct sim_node *node, uint64_t seq, const struct ilea_commit_id *prev)
{
    struct sim_world *world = node->world;
    struct sim_feed *feed = node->writer.feed;
    static const struct ilea_commit_id nothing;
    ilea_commit_begin(world->builder, &world->network, &feed->id, seq,
                      prev != NULL ? prev : &nothing);
    uint32_t count = 1 + (uint32_t)sim_below(&world->random, node->writer.items_max), made = 0;
    struct sim_change *changes = calloc(count, sizeof *changes);
    ilea_assert(changes != NULL);
    while (made < count && add_change(node, seq, &changes[made])) made++;
    struct ilea_span bytes;
    struct ilea_commit_id id;
    ilea_commit_end(world->builder, feed->secret, &bytes, &id);
    struct sim_commit *commit = sim_writer_register(feed, seq, &id, bytes);
    commit->changes = changes;
    commit->change_count = made;
    commit->run = node->writer.run;
    memcpy(commit->leaf, node->writer.leaf, sizeof commit->leaf);
    return commit;
}

/* Nothing else than the first: for what is about feeds and not what is in them. */
static struct sim_commit *
write_commit(struct sim_node *node, uint64_t seq, const struct ilea_commit_id *prev)
{
    if (!node->writer.bare) return sim_writer_forge(node, seq, prev);
    struct sim_commit *commit = sim_writer_forge_blank(node->world, node->writer.feed, seq, prev);
    commit->forged = false;
    return commit;
}

/* A commit that a crash forgot was told to nobody, and its seq is free; but a liar or a thief may have told it. */
static bool
is_forgotten(const struct sim_node *node, const struct sim_feed *feed)
{
    if (node->byzantine || node->robbed || feed->count <= node->storage.logs[feed->index].count) return false;
    return feed->commits[feed->count - 1]->fork == NULL;
}

void
sim_write(struct sim_node *node)
{
    struct sim_writer *self = &node->writer;
    if (self->unnoticed && !node->robbed) return; /* a fork is another story */
    if (self->feed == NULL) open_feed(node);
    const struct sim_log *log = &node->storage.logs[self->feed->index];
    ilea_assert(log->count > 0);
    while (is_forgotten(node, self->feed)) free_commit(self->feed->commits[--self->feed->count]);
    uint64_t seq = log->count + 1;
    sim_storage_put(node, write_commit(node, seq, &log->commits[log->count - 1]->id), true);
}
