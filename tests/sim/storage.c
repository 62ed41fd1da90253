#include "tests/sim/storage.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "tests/sim/archive.h"
#include "tests/sim/audience.h"
#include "tests/sim/erase.h"

static void
append(struct sim_log *log, struct sim_commit *commit)
{
    log->commits = sim_grow(log->commits, log->count, &log->capacity, sizeof(struct sim_commit *));
    log->commits[log->count++] = commit;
    log->was_held = true;
}

static void
start_sync(struct sim_node *node)
{
    struct sim_storage *storage = &node->storage;
    if (storage->syncing > 0 || storage->pending_count == 0) return;
    storage->syncing = storage->pending_count;
    uint64_t latency = sim_between(&node->world->random, storage->latency_min,
                                   storage->latency_max);
    sim_push(node->world, latency,
             (struct sim_event){ .kind = SIM_SYNC, .node = node->index, .run = node->run,
                                 .generation = ++storage->sync_number });
}

void
sim_storage_put(struct sim_node *node, struct sim_commit *commit, bool own)
{
    struct sim_storage *storage = &node->storage;
    struct sim_log *log = &storage->logs[commit->feed->index];
    if (commit->seq != log->count + 1) {
        sim_fail(node->world, node, "commit %lu put after %u", (unsigned long)commit->seq,
                 log->count);
    }
    if (log->count > 0 && commit->seq > 1) {
        struct ilea_commit decoded;
        enum ilea_error error =
            ilea_commit_decode((struct ilea_span){ commit->bytes, commit->size }, &decoded);
        ilea_assert(error == ILEA_ERROR_NONE);
        if (memcmp(decoded.header.prev.bytes, log->commits[log->count - 1]->id.bytes, 32) != 0) {
            sim_fail(node->world, node, "a commit is stored on top of another history");
        }
    }
    sim_audience_check_put(node, commit);
    sim_erase_take(node, commit);
    append(log, commit);
    if (commit->known != NULL) {
        node->taken = sim_grow(node->taken, node->taken_count, &node->taken_capacity, sizeof *node->taken);
        node->taken[node->taken_count++] = commit;
    }
    storage->pending = sim_grow(storage->pending, storage->pending_count, &storage->pending_capacity,
                                sizeof *storage->pending);
    storage->pending[storage->pending_count++] = (struct sim_pending){ commit, own };
    if (!own) storage->stored_due = true;
    start_sync(node);
}

bool
sim_storage_is_blocking(const struct sim_node *node)
{
    const struct sim_storage *storage = &node->storage;
    if (storage->blocks) return storage->pending_count > 0;
    for (uint32_t i = 0; i < storage->pending_count; i++) {
        /* A driver that writes a commit of its own waits for it before it hears its peers. */
        if (storage->pending[i].own) return true;
    }
    return false;
}

static void
tell_appended(struct sim_node *node, const struct sim_commit *commit)
{
    struct sim_feed *feed = commit->feed;
    if (commit->seq == 1) {
        struct ilea_event opened = { .type = ILEA_EVENT_FEED };
        opened.feed.id = feed->id;
        opened.feed.origin = feed->origin;
        opened.feed.current = true;
        opened.feed.limit_seq = ILEA_SEQ_NEVER;
        sim_step(node, opened);
    }
    struct ilea_event event = { .type = ILEA_EVENT_APPENDED };
    event.appended.feed = feed->id;
    event.appended.seq = commit->seq;
    event.appended.id = commit->id;
    sim_step(node, event);
    if (feed->acknowledged < commit->seq) feed->acknowledged = commit->seq;
}

void
sim_storage_synced(struct sim_node *node)
{
    struct sim_storage *storage = &node->storage;
    uint32_t count = storage->syncing;
    ilea_assert(count > 0 && count <= storage->pending_count);
    struct sim_pending *done = malloc(count * sizeof *done);
    ilea_assert(done != NULL);
    memcpy(done, storage->pending, count * sizeof *done);
    storage->pending_count -= count;
    memmove(storage->pending, storage->pending + count,
            storage->pending_count * sizeof *storage->pending);
    storage->syncing = 0;
    for (uint32_t i = 0; i < count; i++) storage->logs[done[i].commit->feed->index].durable++;
    start_sync(node);
    for (uint32_t i = 0; i < count; i++) sim_audience_durable(node, done[i].commit);

    bool others_left = false;
    for (uint32_t i = 0; i < storage->pending_count; i++) {
        if (!storage->pending[i].own) others_left = true;
    }
    if (storage->stored_due && !others_left) {
        storage->stored_due = false;
        sim_step(node, (struct ilea_event){ .type = ILEA_EVENT_STORED });
    }
    for (uint32_t i = 0; i < count; i++) {
        if (done[i].own) tell_appended(node, done[i].commit);
    }
    struct sim_commit **commits = calloc(count, sizeof(struct sim_commit *));
    ilea_assert(commits != NULL);
    for (uint32_t i = 0; i < count; i++) commits[i] = done[i].commit;
    sim_archive_settle(node, commits, count);
    free(commits);
    free(done);
}

void
sim_storage_flush(struct sim_node *node)
{
    struct sim_storage *storage = &node->storage;
    while (storage->pending_count > 0) {
        storage->sync_number++; /* the one under way is overtaken */
        storage->syncing = storage->pending_count;
        sim_storage_synced(node);
    }
}

void
sim_storage_crash(struct sim_node *node)
{
    struct sim_storage *storage = &node->storage;
    for (uint32_t i = 0; i < SIM_FEEDS_MAX; i++) storage->logs[i].count = storage->logs[i].durable;
    storage->pending_count = storage->syncing = 0;
    storage->stored_due = false;
}

void
sim_storage_put_durable(struct sim_node *node, struct sim_commit *commit)
{
    struct sim_log *log = &node->storage.logs[commit->feed->index];
    ilea_assert(node->storage.pending_count == 0 && commit->seq == log->count + 1);
    append(log, commit);
    log->durable++;
}

void
sim_storage_cut(struct sim_node *node, const struct sim_feed *feed, uint32_t durable)
{
    struct sim_log *log = &node->storage.logs[feed->index];
    ilea_assert(durable <= log->durable && node->storage.pending_count == 0);
    log->count = log->durable = durable;
}

void
sim_storage_free(struct sim_storage *storage)
{
    for (uint32_t i = 0; i < SIM_FEEDS_MAX; i++) free(storage->logs[i].commits);
    free(storage->pending);
}
