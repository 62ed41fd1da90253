/*
 * driver_log.c - what the replicator asks the log, and what it sends out of it: pure reading.
 */
#include <stdlib.h>
#include <string.h>

#include "node/chain.h"
#include "node/driver_state.h"
#include "replication/core/message.h"

/* The open transaction, or one of its own to read in: *own is to be aborted. NULL: it cannot be begun. */
struct ilea_transaction *
ilea_driver_read(struct driver *driver, struct ilea_transaction **own)
{
    *own = NULL;
    struct ilea_transaction *txn = ilea_author_transaction(driver->node->author);
    if (txn != NULL) return txn;
    struct ilea_environment *environment = ilea_log_environment(driver->node->log);
    return ilea_transaction_begin(environment, false, own) == ILEA_ERROR_NONE ? *own : NULL;
}

/* What is held of a feed at seq. */
static bool
read_chain(struct driver *driver, const struct ilea_feed_id *id, uint64_t seq, struct ilea_chain_row *chain)
{
    struct ilea_transaction *own, *txn = ilea_driver_read(driver, &own);
    struct ilea_feed_row feed;
    if (txn == NULL) return false;
    enum ilea_error error = ilea_log_feed_by_id(txn, id, &feed);
    if (error == ILEA_ERROR_NONE) error = ilea_log_chain(txn, feed.number, seq, chain);
    ilea_transaction_abort(own);
    return error == ILEA_ERROR_NONE;
}

static uint32_t
commit_size(void *context, const struct ilea_feed_id *id, uint64_t seq)
{
    struct ilea_chain_row chain;
    return read_chain(context, id, seq, &chain) ? chain.size : 0;
}

static bool
commit_id(void *context, const struct ilea_feed_id *feed, uint64_t seq, struct ilea_commit_id *id)
{
    struct ilea_chain_row chain;
    if (!read_chain(context, feed, seq, &chain)) return false;
    *id = chain.id;
    return true;
}

static enum ilea_error
feed_limit(void *context, const struct ilea_feed_origin *origin, const struct ilea_feed_id *feed,
           uint64_t *limit_seq, struct ilea_commit_id *limit_id)
{
    struct ilea_transaction *own, *txn = ilea_driver_read(context, &own);
    if (txn == NULL) return ILEA_ERROR_NOT_FOUND;
    enum ilea_error error = ilea_chain_limit(txn, origin, feed, limit_seq, limit_id);
    ilea_transaction_abort(own);
    return error == ILEA_ERROR_NONE ? ILEA_ERROR_NONE : ILEA_ERROR_NOT_FOUND;
}

void
ilea_driver_feed_state(const struct ilea_feed_row *row, struct ilea_event_feed *feed)
{
    *feed = (struct ilea_event_feed){ .id = row->id, .origin = row->origin, .seq = row->seq,
                                      .head = row->head, .archived = row->archived,
                                      .limit_seq = row->limit_seq, .limit_id = row->limit_id };
    memcpy(feed->fork, row->fork, sizeof feed->fork);
}

static bool
archived(void *context, const struct ilea_feed_id *id, struct ilea_event_feed *answer)
{
    struct ilea_transaction *own, *txn = ilea_driver_read(context, &own);
    struct ilea_feed_row feed;
    if (txn == NULL) return false;
    enum ilea_error error = ilea_log_feed_by_id(txn, id, &feed);
    ilea_transaction_abort(own);
    if (error != ILEA_ERROR_NONE || !ilea_scope_is_shared(feed.origin.scope)) return false;
    ilea_driver_feed_state(&feed, answer);
    return true;
}

static bool
entitled(void *context, const struct ilea_agency_id *agency, const struct ilea_audience_id *audience)
{
    return ilea_driver_is_entitled(context, agency, audience);
}

static bool
holds(void *context, const struct ilea_audience_id *audience, const struct ilea_commit_id *id)
{
    struct driver *driver = context;
    struct ilea_transaction *own, *txn = ilea_driver_read(driver, &own);
    bool is_held = txn != NULL && ilea_audience_holds(driver->audiences.open, txn, audience, id);
    ilea_transaction_abort(own);
    return is_held;
}

static bool
erased(void *context, const struct ilea_agency_id *agency, const struct ilea_feed_id *feed, uint64_t seq,
       uint32_t index, const uint8_t leaf[ILEA_HASH_SIZE])
{
    struct ilea_transaction *own, *txn = ilea_driver_read(context, &own);
    uint8_t half[ILEA_DOT_FEED_SIZE];
    if (txn == NULL) return false;
    ilea_dot_feed_of(feed, half);
    bool is = ilea_log_is_erased(txn, agency, half, seq, index, leaf);
    ilea_transaction_abort(own);
    return is;
}

static bool
archived_next(void *context, const struct ilea_agency_id *agency, const struct ilea_feed_id *after,
              struct ilea_position *position)
{
    struct ilea_transaction *own, *txn = ilea_driver_read(context, &own);
    if (txn == NULL) return false;
    enum ilea_error error = ilea_log_archive_next(txn, agency, after, position);
    ilea_transaction_abort(own);
    return error == ILEA_ERROR_NONE;
}

void
ilea_driver_archive(struct ilea_transaction *txn, const struct ilea_agency_id *agency, struct ilea_archive *archive)
{
    uint32_t count = 0;
    if (ilea_log_archive_sum(txn, agency, &count, archive->sum) != ILEA_ERROR_NONE) {
        *archive = (struct ilea_archive){ .count = 0 };
        return;
    }
    archive->count = count;
}

static uint32_t
manifest_size(void *context, const struct ilea_agency_id *id, uint64_t index)
{
    struct ilea_transaction *own, *txn = ilea_driver_read(context, &own);
    struct ilea_span bytes = { NULL, 0 };
    if (txn == NULL) return 0;
    enum ilea_error error = ilea_log_manifest(txn, id, index, &bytes);
    ilea_transaction_abort(own);
    return error == ILEA_ERROR_NONE ? (uint32_t)bytes.size : 0;
}

static bool
manifest_hash(void *context, const struct ilea_agency_id *id, uint64_t index, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_transaction *own, *txn = ilea_driver_read(context, &own);
    struct ilea_manifest manifest;
    if (txn == NULL) return false;
    enum ilea_error error = ilea_chain_at(txn, id, index, &manifest);
    if (error == ILEA_ERROR_NONE) memcpy(hash, manifest.hash, ILEA_HASH_SIZE);
    ilea_transaction_abort(own);
    return error == ILEA_ERROR_NONE;
}

void
ilea_driver_replicator_log(struct driver *driver, struct ilea_replicator_log *log)
{
    *log = (struct ilea_replicator_log){ .commit_size = commit_size, .commit_id = commit_id,
                                         .feed_limit = feed_limit, .archived = archived,
                                         .archived_next = archived_next, .entitled = entitled,
                                         .holds = holds, .erased = erased,
                                         .manifest_size = manifest_size,
                                         .manifest_hash = manifest_hash, .context = driver };
}

/* A frame that could not be composed is missing in the numbers: the peer notices, and a new session begins. */
static void
send_composed(struct driver *driver, uint32_t link, const struct ilea_msgpack_writer *writer, enum ilea_error error)
{
    if (error != ILEA_ERROR_NONE || writer->failed) {
        ilea_driver_log_error(driver, "log_read", error != ILEA_ERROR_NONE ? error : ILEA_ERROR_LIMIT);
        return;
    }
    ilea_driver_send_link(driver, ILEA_LINK_SEND, link, ilea_msgpack_written(writer), (struct ilea_span){ NULL, 0 });
}

void
ilea_driver_send_commits(struct driver *driver, const struct ilea_effect *effect)
{
    struct ilea_transaction *own, *txn = ilea_driver_read(driver, &own);
    enum ilea_error error = txn != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_IO;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, driver->message, ILEA_MESSAGE_SIZE_MAX);
    ilea_message_put_commits_head(&writer, effect->commits.session, effect->commits.number,
                                  &effect->commits.feed, effect->commits.count);
    struct ilea_feed_row feed;
    if (error == ILEA_ERROR_NONE) error = ilea_log_feed_by_id(txn, &effect->commits.feed, &feed);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < effect->commits.count; i++) {
        struct ilea_chain_row chain;
        struct ilea_log_commit commit;
        error = ilea_log_chain(txn, feed.number, effect->commits.seq_first + i, &chain);
        struct ilea_commit checked; /* what was damaged on our disk is not passed on */
        if (error == ILEA_ERROR_NONE) error = ilea_log_commit_at(txn, chain.position, &commit);
        if (error == ILEA_ERROR_NONE) error = ilea_log_check_commit(txn, &commit, &checked);
        if (error == ILEA_ERROR_CORRUPT) ilea_driver_suspect(driver, chain.position);
        if (error == ILEA_ERROR_NONE) ilea_msgpack_put_bin(&writer, commit.bytes.data, commit.bytes.size);
    }
    ilea_transaction_abort(own);
    send_composed(driver, effect->link, &writer, error);
}

void
ilea_driver_send_manifests(struct driver *driver, const struct ilea_effect *effect)
{
    struct ilea_transaction *own, *txn = ilea_driver_read(driver, &own);
    enum ilea_error error = txn != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_IO;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, driver->message, ILEA_MESSAGE_SIZE_MAX);
    ilea_message_put_manifests_head(&writer, effect->send_manifests.session, effect->send_manifests.number,
                                    &effect->send_manifests.agency, effect->send_manifests.count);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < effect->send_manifests.count; i++) {
        struct ilea_span bytes;
        error = ilea_log_manifest(txn, &effect->send_manifests.agency, effect->send_manifests.from + i, &bytes);
        if (error == ILEA_ERROR_NONE) ilea_msgpack_put_bin(&writer, bytes.data, bytes.size);
    }
    ilea_transaction_abort(own);
    send_composed(driver, effect->link, &writer, error);
}

void
ilea_driver_send_fork(struct driver *driver, const struct ilea_effect *effect)
{
    struct ilea_transaction *own, *txn = ilea_driver_read(driver, &own);
    enum ilea_error error = txn != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_IO;
    struct ilea_msgpack_writer writer;
    struct ilea_span proof = { NULL, 0 };
    ilea_msgpack_writer_init(&writer, driver->message, ILEA_MESSAGE_SIZE_MAX);
    if (error == ILEA_ERROR_NONE) error = ilea_log_fork(txn, &effect->send_fork.feed, &proof);
    if (error == ILEA_ERROR_NONE) {
        ilea_message_put_fork(&writer, effect->send_fork.session, effect->send_fork.number, proof);
    }
    ilea_transaction_abort(own);
    send_composed(driver, effect->link, &writer, error);
}
