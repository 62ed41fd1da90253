/*
 * driver_effects.c - the replicator in its surroundings: loading it from the log, performing its effects in
 * order, and the group commit that ends a turn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/audience_log.h"
#include "node/driver_state.h"
#include "node/erase.h"
#include "replication/core/message.h"

/* The open transaction, begun if there is none. */
enum ilea_error
ilea_driver_transaction(struct driver *driver)
{
    if (ilea_author_transaction(driver->node->author) != NULL) return ILEA_ERROR_NONE;
    return ilea_author_begin(driver->node->author, ilea_wall_ms());
}

static void
fill_random(struct ilea_event *event)
{
    ilea_random_bytes(event->random, sizeof event->random);
    event->now_ms = ilea_monotonic_ms();
}

/* Whether it is being written: the replicator watches over its future. */
static bool
is_current(const struct driver *driver, const struct ilea_feed_row *feed)
{
    return ilea_author_writes(driver->node->author, feed->number);
}

static void
tell_feed(struct driver *driver, const struct ilea_feed_row *feed, uint64_t seq,
          const struct ilea_commit_id *head, bool current)
{
    struct ilea_event event = { .type = ILEA_EVENT_FEED };
    ilea_driver_feed_state(feed, &event.feed);
    event.feed.seq = seq;
    event.feed.head = *head;
    event.feed.current = current;
    ilea_driver_step(driver, &event);
}

/* A feed as the log has it. */
void
ilea_driver_tell_feed(struct driver *driver, const struct ilea_feed_row *feed)
{
    tell_feed(driver, feed, feed->seq, &feed->head, is_current(driver, feed));
}

/* The replicator as the log has it: at start, and after a write that failed. */
enum ilea_error
ilea_driver_load_replicator(struct driver *driver)
{
    struct ilea_node *node = driver->node;
    struct ilea_replicator_config config = { .network = ilea_log_identity(node->log)->network,
                                             .agency = ilea_log_identity(node->log)->agency };
    ilea_driver_replicator_log(driver, &config.log);
    ilea_sign_secret_public(node->keys.node, &config.node);
    ilea_transport_secret_public(ilea_driver_transport(driver), &config.transport);
    void *memory = calloc(1, ilea_replicator_size());
    struct ilea_transaction *txn = NULL;
    if (memory == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(node->log), false, &txn);
    if (error != ILEA_ERROR_NONE) {
        free(memory);
        return error;
    }
    free(driver->replicator);
    driver->replicator = ilea_replicator_init(memory, &config);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) driver->peers[i].exists = false;
    ilea_driver_reset_receipts(driver);
    ilea_driver_reset_documents(driver);
    error = ilea_driver_load_agencies(driver, txn);
    for (uint32_t number = 1; error == ILEA_ERROR_NONE; number++) {
        struct ilea_feed_row feed;
        error = ilea_log_feed(txn, number, &feed);
        if (error == ILEA_ERROR_NOT_FOUND) break;
        if (error != ILEA_ERROR_NONE || !ilea_scope_is_shared(feed.origin.scope) || feed.archived) continue;
        ilea_driver_tell_feed(driver, &feed);
    }
    ilea_transaction_abort(txn);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static void
send_bind(struct driver *driver, const struct ilea_effect *effect)
{
    struct ilea_signature signature;
    ilea_sign(driver->node->keys.node, ILEA_DOMAIN_BIND_SIG,
              &ilea_log_identity(driver->node->log)->network, effect->bind.message, &signature);
    uint8_t frame[256];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, frame, sizeof frame);
    ilea_message_put_bind(&writer, effect->bind.session, effect->bind.number, &signature);
    ilea_assert(!writer.failed);
    ilea_driver_send_link(driver, ILEA_LINK_SEND, effect->link, ilea_msgpack_written(&writer),
              (struct ilea_span){ NULL, 0 });
}

static enum ilea_error
store_commit(struct driver *driver, const struct ilea_effect *effect)
{
    enum ilea_error error = ilea_driver_transaction(driver);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_transaction *txn = ilea_author_transaction(driver->node->author);
    struct ilea_feed_row feed;
    error = ilea_log_feed_by_id(txn, &effect->store.feed, &feed);
    if (error == ILEA_ERROR_NOT_FOUND && effect->store.seq == 1) {
        feed = (struct ilea_feed_row){ .id = effect->store.feed, .origin = effect->store.origin };
        /* Nobody but we write feeds of ours, and these came back from others: they are history. */
        feed.closed = memcmp(feed.origin.agency.bytes, ilea_log_identity(driver->node->log)->agency.bytes,
                             ILEA_ID_SIZE) == 0;
        error = ilea_log_add_feed(txn, &feed);
    }
    uint64_t position;
    const bool was_archived = feed.archived;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_erase_take(driver->node->author, &feed, effect->store.seq, effect->store.commit);
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_log_append(txn, &feed, effect->store.seq, &effect->store.id, effect->store.commit,
                                &position);
    }
    bool audience_changed = false;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_audience_index(txn, &feed, &effect->store.id, effect->store.commit, &audience_changed);
    }
    if (audience_changed) ilea_driver_touch_audience(driver, &feed.origin.audience);
    if (error == ILEA_ERROR_NONE) {
        ilea_driver_note_archived(driver, &feed, was_archived, effect->store.commit);
        ilea_driver_touch_receipt(driver, &feed.origin.agency);
    }
    if (error == ILEA_ERROR_NONE && feed.closed) { /* ours, come back from a peer */
        error = ilea_author_take_back(driver->node->author, effect->store.commit, &effect->store.id);
    }
    return error;
}

const char *
ilea_driver_peer_code(const struct driver *driver, uint32_t link)
{
    return link == ILEA_NO_LINK ? "bundle" : driver->peers[link].code;
}

static void
note_imported(struct driver *driver, const struct ilea_imported *imported)
{
    driver->imported.taken += imported->taken;
    driver->imported.known += imported->known;
    driver->imported.refused += imported->refused;
    driver->imported.waiting += imported->waiting;
}

static void
trace(struct driver *driver, const struct ilea_effect *effect)
{
    const char *code = ilea_driver_peer_code(driver, effect->link);
    char feed[17];
    for (unsigned i = 0; i < 8; i++) (void)snprintf(feed + 2 * i, 3, "%02x", effect->trace.feed.bytes[i]);
    switch (effect->trace.what) {
    case ILEA_TRACE_SESSION_READY:
        driver->peers[effect->link].suspicions = 0;
        ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "session_ready", "peer", code, NULL);
        break;
    case ILEA_TRACE_SESSION_ENDED:
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "session_ended", "peer", code, "reason",
                          ilea_error_text(effect->trace.error), NULL);
        break;
    case ILEA_TRACE_DIVERGED:
        ilea_logger_write(&driver->logger, ILEA_LEVEL_ERROR, "feed_diverged", "peer", code, "feed", feed, NULL);
        break;
    case ILEA_TRACE_WAITS:
        ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "waits", "peer", code, "feed", feed, "for",
                          effect->trace.error == ILEA_ERROR_BAD_HASH ? "an item that is left out" : "what it names",
                          NULL);
        break;
    case ILEA_TRACE_REFUSED:
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "refused", "peer", code, "feed", feed,
                          "reason", ilea_error_text(effect->trace.error), NULL);
        break;
    }
}

/* The log could not be written: nothing of this turn happened. Forget it and begin from what is durable. */
void
ilea_driver_recover(struct driver *driver, const char *what, enum ilea_error error)
{
    ilea_driver_log_error(driver, what, error);
    ilea_author_abort(driver->node->author);
    driver->stored = false;
    driver->audiences.due_count = 0;
    driver->audiences.all_due = false;
    driver->trouble = true;
    driver->retry_ms = ilea_monotonic_ms() + RETRY_MS;
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) { /* they were told nothing, and ask again */
        struct ilea_control_client *client = &driver->control->clients[i];
        if (client->fd >= 0 && (client->out_size > client->out_durable || client->is_answering)) {
            ilea_control_client_drop(client);
        }
    }
    bool blames_view = error == ILEA_ERROR_CORRUPT && ilea_driver_abandon_view(driver);
    /* Errors of the environment itself end the process: systemd starts a fresh one. */
    if (error == ILEA_ERROR_IO || (error == ILEA_ERROR_CORRUPT && !blames_view)) driver->stopping = true;
    if (driver->stopping) return;
    if (ilea_driver_load_replicator(driver) != ILEA_ERROR_NONE) driver->stopping = true;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) { /* their sessions are forgotten: connect anew */
        if (!driver->peers[i].exists) continue;
        ilea_driver_send_link(driver, ILEA_LINK_RESET, i, (struct ilea_span){ NULL, 0 },
                              (struct ilea_span){ NULL, 0 });
    }
}

static void
perform(struct driver *driver)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; i < driver->effects.count && error == ILEA_ERROR_NONE; i++) {
        const struct ilea_effect *effect = &driver->effects.items[i];
        switch (effect->type) {
        case ILEA_EFFECT_SEND:
            ilea_driver_send_link(driver, ILEA_LINK_SEND, effect->link, effect->send, (struct ilea_span){ NULL, 0 });
            break;
        case ILEA_EFFECT_SEND_BIND: send_bind(driver, effect); break;
        case ILEA_EFFECT_SEND_COMMITS: ilea_driver_send_commits(driver, effect); break;
        case ILEA_EFFECT_SEND_MANIFESTS: ilea_driver_send_manifests(driver, effect); break;
        case ILEA_EFFECT_SEND_FORK: ilea_driver_send_fork(driver, effect); break;
        case ILEA_EFFECT_MANIFEST:
        case ILEA_EFFECT_FORK:
        case ILEA_EFFECT_FORK_FOUND:
        case ILEA_EFFECT_SIDE: break; /* the last one; judged when all others are performed */
        case ILEA_EFFECT_STORE:
            error = store_commit(driver, effect);
            driver->stored = true;
            break;
        case ILEA_EFFECT_REPAIR: error = ilea_driver_repair(driver, effect); break;
        case ILEA_EFFECT_IMPORTED: note_imported(driver, &effect->imported); break;
        case ILEA_EFFECT_LINK_RESET:
            ilea_driver_send_link(driver, ILEA_LINK_RESET, effect->link, (struct ilea_span){ NULL, 0 },
                      (struct ilea_span){ NULL, 0 });
            break;
        case ILEA_EFFECT_REINCARNATE:
            ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "new_incarnation", "peer",
                              ilea_driver_peer_code(driver, effect->link), NULL);
            error = ilea_driver_transaction(driver);
            if (error == ILEA_ERROR_NONE) {
                error = ilea_author_close_feed(driver->node->author, &effect->reincarnate.feed);
            }
            break;
        case ILEA_EFFECT_TRACE: trace(driver, effect); break;
        }
    }
    if (error == ILEA_ERROR_NONE) return;
    ilea_driver_recover(driver, "log_write", error);
}

void
ilea_driver_step(struct driver *driver, struct ilea_event *event)
{
    fill_random(event);
    ilea_replicator_step(driver->replicator, event, &driver->effects);
    struct ilea_effect last = { .type = ILEA_EFFECT_TRACE };
    if (driver->effects.count > 0) last = driver->effects.items[driver->effects.count - 1];
    perform(driver);
    ilea_driver_judge(driver, &last);
}

/* What the author wrote is durable: the replicator passes it on. */
static void
tell_own_commits(struct driver *driver, const struct ilea_author_commit *commits, uint32_t count,
                 const struct ilea_replicator *waiting)
{
    for (uint32_t i = 0; i < count; i++) {
        if (driver->replicator != waiting) return; /* loaded anew meanwhile: it knows them from the log */
        if (!ilea_scope_is_shared(commits[i].feed.origin.scope)) continue;
        const struct ilea_commit_id none = { { 0 } };
        if (commits[i].seq == 1) tell_feed(driver, &commits[i].feed, 0, &none, true);
        struct ilea_event event = { .type = ILEA_EVENT_APPENDED };
        event.appended.feed = commits[i].feed.id;
        event.appended.seq = commits[i].seq;
        event.appended.id = commits[i].id;
        ilea_driver_step(driver, &event);
        ilea_driver_own_changed(driver);
    }
}

/* End the turn: one group commit, then everything that waited for it. */
void
ilea_driver_commit_turn(struct driver *driver)
{
    const struct ilea_author_commit *commits = NULL;
    uint32_t count = 0;
    const struct ilea_replicator *waiting = driver->replicator;
    if (ilea_author_transaction(driver->node->author) != NULL) {
        bool stored = driver->stored;
        driver->stored = false;
        enum ilea_error error = ilea_driver_hand_over(driver);
        if (error == ILEA_ERROR_NONE) error = ilea_author_commit(driver->node->author, &commits, &count);
        if (error != ILEA_ERROR_NONE) {
            ilea_driver_recover(driver, "log_commit", error);
            return;
        }
        driver->trouble = false;
        ilea_node_note_audit(driver->node);
        ilea_driver_tell_audiences(driver);
        if (driver->replicator != waiting) return; /* begun anew from the log */
        if (stored) {
            struct ilea_event event = { .type = ILEA_EVENT_STORED };
            ilea_driver_step(driver, &event);
        }
        tell_own_commits(driver, commits, count, waiting);
        ilea_driver_tell_archived(driver);
        if (driver->worker.child.pid != 0) {
            (void)!send(driver->worker.child.fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT); /* a poke */
        }
    }
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) {
        struct ilea_control_client *client = &driver->control->clients[i];
        if (client->fd < 0) continue;
        ilea_control_client_durable(client);
        if (!ilea_control_client_write(client)) ilea_control_client_drop(client);
    }
}
