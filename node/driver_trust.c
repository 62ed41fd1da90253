/*
 * driver_trust.c - what the replicator asks the log about manifests, limits and forks, and what peers show of
 * them. As long as the log holds one card of each agency: its chain is what there is to tell, nothing limits a
 * feed, and what peers show is not taken.
 */
#include <stdlib.h>
#include <string.h>

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

/* The caller frees it; NULL: not known, or no memory. */
static struct ilea_agency *
read_agency(struct driver *driver, const struct ilea_agency_id *id)
{
    struct ilea_transaction *own, *txn = ilea_driver_read(driver, &own);
    struct ilea_agency *agency = txn != NULL ? malloc(sizeof *agency) : NULL;
    if (agency != NULL && ilea_agency_load(txn, id, agency) != ILEA_ERROR_NONE) {
        free(agency);
        agency = NULL;
    }
    ilea_transaction_abort(own);
    return agency;
}

static enum ilea_error
feed_limit(void *context, const struct ilea_feed_origin *origin, const struct ilea_feed_id *feed,
           uint64_t *limit_seq, struct ilea_commit_id *limit_id)
{
    (void)feed;
    struct ilea_agency *agency = read_agency(context, &origin->agency);
    bool is_known = agency != NULL && memcmp(agency->card.manifest.node.bytes, origin->node.bytes,
                                             sizeof origin->node.bytes) == 0;
    free(agency);
    *limit_seq = ILEA_SEQ_NEVER;
    memset(limit_id, 0, sizeof *limit_id);
    return is_known ? ILEA_ERROR_NONE : ILEA_ERROR_NOT_FOUND;
}

void
ilea_driver_feed_state(const struct ilea_feed_row *row, struct ilea_event_feed *feed)
{
    *feed = (struct ilea_event_feed){ .id = row->id, .origin = row->origin, .seq = row->seq,
                                      .head = row->head, .limit_seq = ILEA_SEQ_NEVER };
}

static bool
archived(void *context, const struct ilea_feed_id *id, struct ilea_event_feed *answer)
{
    struct ilea_transaction *own, *txn = ilea_driver_read(context, &own);
    struct ilea_feed_row feed;
    if (txn == NULL) return false;
    enum ilea_error error = ilea_log_feed_by_id(txn, id, &feed);
    ilea_transaction_abort(own);
    if (error != ILEA_ERROR_NONE || feed.origin.scope != ILEA_SCOPE_PEERS) return false;
    ilea_driver_feed_state(&feed, answer);
    return true;
}

static bool
archived_next(void *context, const struct ilea_agency_id *agency, const struct ilea_feed_id *after,
              struct ilea_position *position)
{
    (void)context, (void)agency, (void)after, (void)position;
    return false;
}

/* The signed manifest of an index of the card's chain; empty if there is none. */
static struct ilea_span
find_manifest(const struct ilea_agency *agency, uint64_t index)
{
    struct ilea_msgpack_reader chain;
    ilea_msgpack_reader_init(&chain, agency->card.chain);
    for (uint64_t i = 0; i < agency->card.chain_count; i++) {
        struct ilea_span bytes = ilea_manifests_next(&chain);
        if (i == index) return bytes;
    }
    return (struct ilea_span){ NULL, 0 };
}

static uint32_t
manifest_size(void *context, const struct ilea_agency_id *id, uint64_t index)
{
    struct ilea_agency *agency = read_agency(context, id);
    uint32_t size = agency != NULL ? (uint32_t)find_manifest(agency, index).size : 0;
    free(agency);
    return size;
}

static bool
manifest_hash(void *context, const struct ilea_agency_id *id, uint64_t index, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_agency *agency = read_agency(context, id);
    struct ilea_manifest manifest;
    bool is_held = agency != NULL && index < agency->card.chain_count
                   && ilea_manifest_decode(find_manifest(agency, index), &manifest) == ILEA_ERROR_NONE;
    if (is_held) memcpy(hash, manifest.hash, ILEA_HASH_SIZE);
    free(agency);
    return is_held;
}

void
ilea_driver_replicator_log(struct driver *driver, struct ilea_replicator_log *log)
{
    *log = (struct ilea_replicator_log){ .commit_size = commit_size, .commit_id = commit_id,
                                         .feed_limit = feed_limit, .archived = archived,
                                         .archived_next = archived_next,
                                         .manifest_size = manifest_size,
                                         .manifest_hash = manifest_hash, .context = driver };
}

void
ilea_driver_send_manifests(struct driver *driver, const struct ilea_effect *effect)
{
    struct ilea_agency *agency = read_agency(driver, &effect->send_manifests.agency);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, driver->message, ILEA_MESSAGE_SIZE_MAX);
    ilea_message_put_manifests_head(&writer, effect->send_manifests.session, effect->send_manifests.number,
                                    &effect->send_manifests.agency, effect->send_manifests.count);
    bool is_held = agency != NULL;
    for (uint32_t i = 0; is_held && i < effect->send_manifests.count; i++) {
        struct ilea_span bytes = find_manifest(agency, effect->send_manifests.from + i);
        is_held = bytes.size > 0;
        ilea_msgpack_put_bin(&writer, bytes.data, bytes.size);
    }
    free(agency);
    if (!is_held || writer.failed) { /* the frame's number is missing: a new session */
        ilea_driver_log_error(driver, "log_read", ILEA_ERROR_NOT_FOUND);
        return;
    }
    ilea_driver_send_link(driver, ILEA_LINK_SEND, effect->link, ilea_msgpack_written(&writer),
                          (struct ilea_span){ NULL, 0 });
}

/* MANIFEST, FORK, FORK_FOUND, SEND_FORK: the log has no place for them. */
void
ilea_driver_shown(struct driver *driver, const struct ilea_effect *effect)
{
    const char *event = "fork_found";
    if (effect->type == ILEA_EFFECT_MANIFEST) event = "manifest_shown";
    if (effect->type == ILEA_EFFECT_FORK) event = "fork_shown";
    ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, event, "peer",
                      driver->peers[effect->link].code, NULL);
}
