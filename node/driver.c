#include "node/driver.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/agency.h"
#include "node/child.h"
#include "node/control_server.h"
#include "node/damage.h"
#include "node/link_frame.h"
#include "node/log.h"
#include "node/notify.h"
#include "node/view.h"
#include "replication/core/message.h"
#include "replication/core/replicator.h"

enum {
    TURN_BYTES = 4 * 1024 * 1024,      /* taken in before a group commit */
    LINK_OUT_MAX = 24 * 1024 * 1024,   /* bytes on their way to ilea-link; more: the peer's session is dropped */
    RESTART_MS_MIN = 100, RESTART_MS_MAX = 5000,
    FALLBACK_DIAL_MS = 300,            /* the peer should dial us and does not: we dial it */
    SUSPECT_DEATHS = 3, SUSPECT_WINDOW_MS = 60000, SUSPECT_MS_MIN = 60000, SUSPECT_MS_MAX = 3600000,
    READERS_CHECK_MS = 60000, RETRY_MS = 1000
};

_Static_assert((int)ILEA_LINKS_MAX <= (int)ILEA_LINK_PEERS_MAX, "a number in ilea-link for every link");
_Static_assert((int)ILEA_MESSAGE_SIZE_MAX == (int)ILEA_LINK_MESSAGE_MAX, "a message fits ilea-link's frames");

/* An approved peer: its number is the link's in the replicator and in ilea-link. */
struct peer {
    bool exists;
    struct ilea_agency_id agency;
    struct ilea_transport_public transport;
    char code[ILEA_CODE_SIZE_MAX + 1];
    char endpoint[ILEA_ENDPOINT_SIZE_MAX + 1];
    bool dials;                /* by the rule: ours is the lower key, or we cannot be dialled */
    bool dials_too;            /* the fallback */
    bool up;                   /* it had a session when last looked at */
    uint64_t down_since_ms;
    uint32_t suspicions;       /* ilea-link died while it was talking */
    uint64_t shunned_until_ms; /* kept away from ilea-link */
};

/* A process of ours that is started again when it ends. */
struct helper {
    struct ilea_child child;
    uint64_t restart_ms, backoff_ms, started_ms;
};

struct driver {
    struct ilea_node *node;
    const char *listen;
    const struct ilea_span *passphrase;
    struct ilea_logger logger;
    struct ilea_replicator *replicator;
    struct ilea_effects effects;
    struct ilea_control_server control;
    struct peer peers[ILEA_LINKS_MAX];

    struct helper link;
    struct ilea_link_pipe pipe;
    uint64_t link_restarts;
    uint32_t last_talker;           /* link whose message came last */
    uint64_t deaths_since_ms;
    uint32_t deaths;
    bool bind_failed;

    struct helper worker;
    uint8_t report[8];              /* of the worker, being received */
    size_t report_size;
    uint64_t view_position;
    uint32_t next_generation;       /* being rebuilt beside the current one; 0: no */

    bool stored;                    /* STOREs are in the open transaction */
    bool trouble;                   /* the log cannot be written: retry at retry_ms */
    uint64_t retry_ms, readers_check_ms, watchdog_ms, watchdog_due_ms;
    bool stopping;
    uint8_t *message;               /* a COMMITS frame being composed */
};

static void step(struct driver *driver, struct ilea_event *event);

static void
log_error(struct driver *driver, const char *event, enum ilea_error error)
{
    ilea_logger_write(&driver->logger, ILEA_LEVEL_ERROR, event, "error", ilea_error_text(error), NULL);
}

/* The open transaction, begun if there is none. */
static enum ilea_error
transaction(struct driver *driver)
{
    if (ilea_author_transaction(driver->node->author) != NULL) return ILEA_ERROR_NONE;
    return ilea_author_begin(driver->node->author, ilea_wall_ms());
}

/* Replicator: loading and effects. */

static uint32_t
commit_size(void *context, const struct ilea_feed_id *id, uint64_t seq)
{
    struct driver *driver = context;
    struct ilea_transaction *own = NULL, *txn = ilea_author_transaction(driver->node->author);
    if (txn == NULL) {
        if (ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &own) != ILEA_ERROR_NONE) {
            return 0;
        }
        txn = own;
    }
    struct ilea_feed_row feed;
    struct ilea_chain_row chain;
    enum ilea_error error = ilea_log_feed_by_id(txn, id, &feed);
    if (error == ILEA_ERROR_NONE) error = ilea_log_chain(txn, feed.number, seq, &chain);
    ilea_transaction_abort(own);
    return error == ILEA_ERROR_NONE ? chain.size : 0;
}

static void
fill_random(struct ilea_event *event)
{
    ilea_random_bytes(event->random, sizeof event->random);
    event->now_ms = ilea_monotonic_ms();
}

/* Which of our feeds is being written: the replicator watches over its future. */
static bool
is_current(const struct driver *driver, const struct ilea_feed_row *feed)
{
    return ilea_author_feed(driver->node->author, ILEA_SCOPE_PEERS)->number == feed->number;
}

static void
tell_feed(struct driver *driver, const struct ilea_feed_row *feed, uint64_t seq,
          const struct ilea_commit_id *head, bool current)
{
    struct ilea_event event = { .type = ILEA_EVENT_FEED };
    event.feed.id = feed->id;
    event.feed.origin = feed->origin;
    event.feed.seq = seq;
    event.feed.head = *head;
    event.feed.current = current;
    step(driver, &event);
}

/* Whether we dial a peer: exactly one side does, where both can be dialled. */
static bool
should_dial(const struct driver *driver, const struct peer *peer)
{
    if (peer->endpoint[0] == '\0') return false;
    if (driver->listen[0] == '\0') return true;
    struct ilea_transport_public own;
    ilea_transport_secret_public(driver->node->keys.transport, &own);
    return memcmp(own.bytes, peer->transport.bytes, sizeof own.bytes) < 0;
}

static void
send_link(struct driver *driver, enum ilea_link_kind kind, uint32_t peer, struct ilea_span first,
          struct ilea_span second)
{
    if (driver->link.child.pid == 0) return;
    enum ilea_error error =
        ilea_link_pipe_send(&driver->pipe, kind, peer, first, second, LINK_OUT_MAX);
    if (error == ILEA_ERROR_BUSY) { /* the peer's session notices the gap and starts anew */
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "link_overflow", "peer",
                          driver->peers[peer].code, NULL);
    } else if (error == ILEA_ERROR_NO_MEMORY) {
        log_error(driver, "link_send", error);
    } /* IO: the process is gone, which is noticed elsewhere */
}

static void
send_peer(struct driver *driver, uint32_t index)
{
    const struct peer *peer = &driver->peers[index];
    bool shunned = ilea_monotonic_ms() < peer->shunned_until_ms;
    if (!peer->exists || shunned) {
        send_link(driver, ILEA_LINK_FORGET, index, (struct ilea_span){ NULL, 0 },
                  (struct ilea_span){ NULL, 0 });
        return;
    }
    uint8_t body[33];
    memcpy(body, peer->transport.bytes, 32);
    body[32] = peer->dials || peer->dials_too ? 1 : 0;
    send_link(driver, ILEA_LINK_PEER, index, (struct ilea_span){ body, sizeof body },
              (struct ilea_span){ (const uint8_t *)peer->endpoint, strlen(peer->endpoint) });
}

static uint32_t
find_peer(const struct driver *driver, const struct ilea_agency_id *agency)
{
    uint32_t free_place = ILEA_LINKS_MAX;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        const struct peer *peer = &driver->peers[i];
        if (peer->exists && memcmp(peer->agency.bytes, agency->bytes, ILEA_ID_SIZE) == 0) return i;
        if (!peer->exists && free_place == ILEA_LINKS_MAX) free_place = i;
    }
    return free_place;
}

/* Bring the replicator and ilea-link in line with what the log says of one agency. */
static void
apply_agency(struct driver *driver, const struct ilea_agency *agency)
{
    if (agency->row.state == ILEA_AGENCY_SELF) return;
    bool approved = agency->row.state == ILEA_AGENCY_APPROVED;
    uint32_t index = find_peer(driver, &agency->row.id);
    if (!approved && (index == ILEA_LINKS_MAX || !driver->peers[index].exists)) return;

    struct ilea_event event = { .type = ILEA_EVENT_AGENCY };
    event.agency.id = agency->row.id;
    event.agency.node = agency->card.manifest.node;
    event.agency.followed = approved;
    step(driver, &event);
    if (index == ILEA_LINKS_MAX) {
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "too_many_links", NULL);
        return; /* followed all the same, through others */
    }
    struct peer *peer = &driver->peers[index];
    bool known = peer->exists
        && memcmp(peer->transport.bytes, agency->card.manifest.transport.bytes, 32) == 0;
    peer->exists = approved;
    peer->agency = agency->row.id;
    peer->transport = agency->card.manifest.transport;
    (void)snprintf(peer->code, sizeof peer->code, "%.*s", (int)agency->card.manifest.code.size,
                   (const char *)agency->card.manifest.code.data);
    (void)snprintf(peer->endpoint, sizeof peer->endpoint, "%.*s", (int)agency->card.endpoint.size,
                   (const char *)agency->card.endpoint.data);
    peer->dials = should_dial(driver, peer);
    if (!known || !approved) {
        peer->down_since_ms = ilea_monotonic_ms();
        event = (struct ilea_event){ .type = ILEA_EVENT_PEER, .link = index };
        event.peer.agency = agency->row.id;
        event.peer.transport = peer->transport;
        event.peer.approved = approved;
        step(driver, &event);
    }
    send_peer(driver, index);
}

static enum ilea_error
load_agencies(struct driver *driver, struct ilea_transaction *txn)
{
    struct ilea_agency *agency = malloc(sizeof *agency);
    if (agency == NULL) return ILEA_ERROR_NO_MEMORY;
    const struct ilea_agency_id *after = NULL;
    enum ilea_error error;
    while ((error = ilea_agency_next(txn, after, agency)) == ILEA_ERROR_NONE) {
        apply_agency(driver, agency);
        after = &agency->row.id;
    }
    free(agency);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* The replicator as the log has it: at start, and after a write that failed. */
static enum ilea_error
load_replicator(struct driver *driver)
{
    struct ilea_node *node = driver->node;
    struct ilea_replicator_config config = { .network = ilea_log_identity(node->log)->network,
                                             .agency = ilea_log_identity(node->log)->agency,
                                             .commit_size = commit_size, .context = driver };
    ilea_sign_secret_public(node->keys.node, &config.node);
    ilea_transport_secret_public(node->keys.transport, &config.transport);
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
    error = load_agencies(driver, txn);
    for (uint32_t number = 1; error == ILEA_ERROR_NONE; number++) {
        struct ilea_feed_row feed;
        error = ilea_log_feed(txn, number, &feed);
        if (error == ILEA_ERROR_NOT_FOUND) break;
        if (error != ILEA_ERROR_NONE || feed.origin.scope != ILEA_SCOPE_PEERS) continue;
        tell_feed(driver, &feed, feed.seq, &feed.head, is_current(driver, &feed));
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
    send_link(driver, ILEA_LINK_SEND, effect->link, ilea_msgpack_written(&writer),
              (struct ilea_span){ NULL, 0 });
}

static void
send_commits(struct driver *driver, const struct ilea_effect *effect)
{
    struct ilea_transaction *own = NULL, *txn = ilea_author_transaction(driver->node->author);
    enum ilea_error error = ILEA_ERROR_NONE;
    if (txn == NULL) {
        error = ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &own);
        txn = own;
    }
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
        if (error == ILEA_ERROR_NONE) error = ilea_log_commit_at(txn, chain.position, &commit);
        if (error == ILEA_ERROR_NONE) ilea_msgpack_put_bin(&writer, commit.bytes.data, commit.bytes.size);
    }
    ilea_transaction_abort(own);
    if (error != ILEA_ERROR_NONE || writer.failed) { /* the frame's number is missing: a new session */
        log_error(driver, "log_read", error);
        return;
    }
    send_link(driver, ILEA_LINK_SEND, effect->link, ilea_msgpack_written(&writer),
              (struct ilea_span){ NULL, 0 });
}

static enum ilea_error
store_commit(struct driver *driver, const struct ilea_effect *effect)
{
    enum ilea_error error = transaction(driver);
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
    if (error == ILEA_ERROR_NONE) {
        error = ilea_log_append(txn, &feed, effect->store.seq, &effect->store.id, effect->store.commit,
                                &position);
    }
    return error;
}

static void
trace(struct driver *driver, const struct ilea_effect *effect)
{
    const char *code = driver->peers[effect->link].code;
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
    case ILEA_TRACE_REFUSED:
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "refused", "peer", code, "feed", feed,
                          "reason", ilea_error_text(effect->trace.error), NULL);
        break;
    }
}

/* Abandon this generation of the view and build the next one beside it. */
static void
rebuild_view(struct driver *driver)
{
    char text[16];
    uint32_t next = (driver->next_generation != 0 ? driver->next_generation : driver->node->generation) + 1;
    enum ilea_error error = ilea_view_make(driver->node->home, next);
    if (error != ILEA_ERROR_NONE) {
        log_error(driver, "view_rebuild", error);
        return;
    }
    if (driver->next_generation != 0) ilea_view_remove(driver->node->home, driver->next_generation);
    driver->next_generation = next;
    driver->view_position = 0;
    (void)snprintf(text, sizeof text, "%u", next);
    ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "view_rebuild", "generation", text, NULL);
}

/* Something read is damaged: if it may have been the view, go on without one until it is rebuilt. */
static bool
abandon_view(struct driver *driver)
{
    if (driver->node->view == NULL) return false;
    ilea_node_drop_view(driver->node);
    if (driver->next_generation == 0 && driver->worker.child.pid != 0) {
        (void)kill(driver->worker.child.pid, SIGKILL); /* the next one starts anew */
    }
    return true;
}

/* The log could not be written: nothing of this turn happened. Forget it and begin from what is durable. */
static void
recover(struct driver *driver, const char *what, enum ilea_error error)
{
    log_error(driver, what, error);
    ilea_author_abort(driver->node->author);
    driver->stored = false;
    driver->trouble = true;
    driver->retry_ms = ilea_monotonic_ms() + RETRY_MS;
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) { /* they were told nothing, and ask again */
        struct ilea_control_client *client = &driver->control.clients[i];
        if (client->fd >= 0 && (client->out_size > client->out_durable || client->is_answering)) {
            ilea_control_client_drop(client);
        }
    }
    if (error == ILEA_ERROR_CORRUPT && abandon_view(driver)) return;
    /* Errors of the environment itself end the process: systemd starts a fresh one. */
    if (error == ILEA_ERROR_IO || error == ILEA_ERROR_CORRUPT) driver->stopping = true;
}

static void
perform(struct driver *driver)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; i < driver->effects.count && error == ILEA_ERROR_NONE; i++) {
        const struct ilea_effect *effect = &driver->effects.items[i];
        switch (effect->type) {
        case ILEA_EFFECT_SEND:
            send_link(driver, ILEA_LINK_SEND, effect->link, effect->send, (struct ilea_span){ NULL, 0 });
            break;
        case ILEA_EFFECT_SEND_BIND: send_bind(driver, effect); break;
        case ILEA_EFFECT_SEND_COMMITS: send_commits(driver, effect); break;
        case ILEA_EFFECT_STORE:
            error = store_commit(driver, effect);
            driver->stored = true;
            break;
        case ILEA_EFFECT_LINK_RESET:
            send_link(driver, ILEA_LINK_RESET, effect->link, (struct ilea_span){ NULL, 0 },
                      (struct ilea_span){ NULL, 0 });
            break;
        case ILEA_EFFECT_REINCARNATE:
            ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "new_incarnation", "peer",
                              driver->peers[effect->link].code, NULL);
            error = transaction(driver);
            if (error == ILEA_ERROR_NONE) {
                error = ilea_author_close_feed(driver->node->author, &effect->reincarnate.feed);
            }
            break;
        case ILEA_EFFECT_TRACE: trace(driver, effect); break;
        }
    }
    if (error == ILEA_ERROR_NONE) return;
    recover(driver, "log_write", error);
    if (!driver->stopping && load_replicator(driver) != ILEA_ERROR_NONE) driver->stopping = true;
}

static void
step(struct driver *driver, struct ilea_event *event)
{
    fill_random(event);
    ilea_replicator_step(driver->replicator, event, &driver->effects);
    perform(driver);
}

/* What the author wrote is durable: the replicator passes it on. */
static void
tell_own_commits(struct driver *driver, const struct ilea_author_commit *commits, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (commits[i].feed.origin.scope != ILEA_SCOPE_PEERS) continue;
        const struct ilea_commit_id none = { { 0 } };
        if (commits[i].seq == 1) tell_feed(driver, &commits[i].feed, 0, &none, true);
        struct ilea_event event = { .type = ILEA_EVENT_APPENDED };
        event.appended.feed = commits[i].feed.id;
        event.appended.seq = commits[i].seq;
        event.appended.id = commits[i].id;
        step(driver, &event);
    }
}

/* End the turn: one group commit, then everything that waited for it. */
static void
commit_turn(struct driver *driver)
{
    const struct ilea_author_commit *commits = NULL;
    uint32_t count = 0;
    if (ilea_author_transaction(driver->node->author) != NULL) {
        bool stored = driver->stored;
        driver->stored = false;
        enum ilea_error error = ilea_author_commit(driver->node->author, &commits, &count);
        if (error != ILEA_ERROR_NONE) {
            recover(driver, "log_commit", error);
            if (!driver->stopping && load_replicator(driver) != ILEA_ERROR_NONE) driver->stopping = true;
            return;
        }
        driver->trouble = false;
        if (stored) {
            struct ilea_event event = { .type = ILEA_EVENT_STORED };
            step(driver, &event);
        }
        tell_own_commits(driver, commits, count);
        if (driver->worker.child.pid != 0) {
            (void)!send(driver->worker.child.fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT); /* a poke */
        }
    }
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) {
        struct ilea_control_client *client = &driver->control.clients[i];
        if (client->fd < 0) continue;
        ilea_control_client_durable(client);
        if (!ilea_control_client_write(client)) ilea_control_client_drop(client);
    }
}

/* Requests. */

static bool
concerns_put(enum ilea_error error)
{
    return error == ILEA_ERROR_INVALID || error == ILEA_ERROR_LIMIT || error == ILEA_ERROR_NOT_OWNER
        || error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_EXISTS;
}

/* Go on with a PUTS request; false if it has to wait. */
static bool
do_puts(struct driver *driver, struct ilea_control_client *client, struct ilea_span body,
        struct ilea_put *put)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    uint32_t count = ilea_msgpack_get_array(&reader, ILEA_CONTROL_PUTS_MAX);
    if (!client->is_answering) {
        client->is_answering = true;
        client->put_index = 0;
        ilea_msgpack_put_array(&client->answer, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_span bytes = ilea_msgpack_get_bin(&reader, ILEA_CONTROL_FRAME_MAX);
        if (i < client->put_index) continue;
        struct ilea_put_result result = { .outcome = 0 };
        enum ilea_error error = reader.failed ? ILEA_ERROR_MALFORMED : ilea_put_decode(bytes, put);
        if (error == ILEA_ERROR_NONE) {
            error = transaction(driver);
            if (error == ILEA_ERROR_NONE) error = ilea_author_put(driver->node->author, put, &result);
            if (error == ILEA_ERROR_BUSY) {
                client->waits_for_view = true;
                return false;
            }
            if (error != ILEA_ERROR_NONE && !concerns_put(error)) {
                recover(driver, "write", error);
                if (!driver->stopping && load_replicator(driver) != ILEA_ERROR_NONE) driver->stopping = true;
                return false;
            }
        }
        ilea_control_put_result(&client->answer, error, &result);
        client->put_index = i + 1;
    }
    return true;
}

static void
answer_status(struct driver *driver, struct ilea_control_client *client)
{
    struct ilea_control_status status = { .position = ilea_author_position(driver->node->author),
                                          .view_position = driver->view_position,
                                          .link_restarts = driver->link_restarts };
    struct ilea_transaction *txn = NULL;
    if (ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn) == ILEA_ERROR_NONE) {
        (void)!ilea_log_last(txn, &status.position);
        ilea_transaction_abort(txn);
    }
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        struct ilea_link_status link;
        ilea_replicator_link_status(driver->replicator, i, &link);
        if (!link.exists) continue;
        status.links[status.link_count++] = (struct ilea_control_link){
            link.agency, link.ready, link.lag_commits, link.missing_commits };
    }
    ilea_control_put_status(&client->answer, &status);
}

static void
do_agency(struct driver *driver, struct ilea_control_client *client,
          const struct ilea_control_frame *frame)
{
    struct ilea_control_agency answer = { .error = ILEA_ERROR_NONE };
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, frame->body);
    ilea_msgpack_expect_array(&reader, 1);
    struct ilea_span argument = ilea_msgpack_get_bin(&reader, ILEA_CONTROL_FRAME_MAX);
    commit_turn(driver); /* a decision has a transaction of its own: it may fail alone */
    enum ilea_error error = transaction(driver);
    if (error == ILEA_ERROR_NONE && !reader.failed) {
        error = ilea_agency_control(driver->node->author, ilea_log_identity(driver->node->log),
                                    frame->kind, argument, ilea_wall_ms(), &answer);
    }
    struct ilea_agency *agency = malloc(sizeof *agency);
    if (agency == NULL && error == ILEA_ERROR_NONE) error = ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE && answer.error == ILEA_ERROR_NONE) {
        error = ilea_agency_load(ilea_author_transaction(driver->node->author), &answer.id, agency);
        commit_turn(driver);
        if (error == ILEA_ERROR_NONE) apply_agency(driver, agency);
    } else {
        ilea_author_abort(driver->node->author);
    }
    if (error != ILEA_ERROR_NONE) {
        answer.error = error;
        (void)snprintf(answer.reason, sizeof answer.reason, "not done: %s", ilea_error_text(error));
    }
    free(agency);
    ilea_control_put_agency(&client->answer, &answer);
}

static void
serve_client(struct driver *driver, struct ilea_control_client *client, struct ilea_put *put,
             size_t *budget)
{
    struct ilea_control_frame frame;
    size_t size;
    while (*budget > 0 && !client->waits_for_view && ilea_control_client_request(client, &frame, &size)) {
        switch (frame.kind) {
        case ILEA_CONTROL_PUTS:
            if (!do_puts(driver, client, frame.body, put)) return;
            break;
        case ILEA_CONTROL_STATUS: answer_status(driver, client); break;
        case ILEA_CONTROL_CARD:
        case ILEA_CONTROL_APPROVE: do_agency(driver, client, &frame); break;
        }
        if (client->fd < 0) return; /* dropped by trouble */
        if (client->answer.failed) {
            ilea_control_client_drop(client);
            return;
        }
        ilea_control_client_finish(client, frame.kind, size);
        *budget -= size < *budget ? size : *budget;
    }
}

/* ilea-link. */

static void
start_link(struct driver *driver)
{
    char path[ILEA_PATH_SIZE];
    ilea_child_path("ilea-link", path, sizeof path);
    const char *const argv[] = { path, "3", NULL };
    driver->link.started_ms = ilea_monotonic_ms();
    enum ilea_error error = ilea_child_start(argv, &driver->link.child);
    if (error != ILEA_ERROR_NONE) {
        ilea_logger_write(&driver->logger, ILEA_LEVEL_ERROR, "link_start", "program", path, "error",
                          ilea_error_text(error), NULL);
        driver->link.restart_ms = driver->link.started_ms + RESTART_MS_MAX;
        return;
    }
    ilea_link_pipe_init(&driver->pipe, driver->link.child.fd);
    uint8_t body[34];
    memcpy(body, ilea_transport_secret_bytes(driver->node->keys.transport), 32);
    size_t length = strlen(driver->listen);
    body[32] = (uint8_t)(length >> 8);
    body[33] = (uint8_t)length;
    send_link(driver, ILEA_LINK_CONFIG, 0, (struct ilea_span){ body, sizeof body },
              (struct ilea_span){ (const uint8_t *)driver->listen, length });
    ilea_wipe(body, sizeof body);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (driver->peers[i].exists) send_peer(driver, i);
    }
}

/* Whoever was talking when ilea-link died again and again is kept away from it for a while. */
static void
suspect(struct driver *driver, uint64_t now)
{
    if (now > driver->deaths_since_ms + SUSPECT_WINDOW_MS) {
        driver->deaths = 0;
        driver->deaths_since_ms = now;
    }
    struct peer *peer = &driver->peers[driver->last_talker];
    if (++driver->deaths < SUSPECT_DEATHS || !peer->exists) return;
    uint64_t pause = SUSPECT_MS_MIN;
    for (uint32_t i = 0; i < peer->suspicions && pause < SUSPECT_MS_MAX; i++) pause *= 2;
    peer->suspicions++;
    peer->shunned_until_ms = now + (pause < SUSPECT_MS_MAX ? pause : SUSPECT_MS_MAX);
    driver->deaths = 0;
    ilea_logger_write(&driver->logger, ILEA_LEVEL_ERROR, "peer_suspected", "peer", peer->code, "reason",
                      "ilea-link died while it was talking", NULL);
}

static void
link_ended(struct driver *driver, int code)
{
    uint64_t now = ilea_monotonic_ms();
    char text[16];
    (void)snprintf(text, sizeof text, "%d", code);
    ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "link_ended", "code", text, NULL);
    ilea_link_pipe_deinit(&driver->pipe);
    driver->link_restarts++;
    if (now > driver->link.started_ms + 10 * RESTART_MS_MAX) driver->link.backoff_ms = 0;
    driver->link.backoff_ms = driver->link.backoff_ms == 0 ? RESTART_MS_MIN : driver->link.backoff_ms * 2;
    if (driver->link.backoff_ms > RESTART_MS_MAX) driver->link.backoff_ms = RESTART_MS_MAX;
    driver->link.restart_ms = now + driver->link.backoff_ms;
    suspect(driver, now);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (!driver->peers[i].exists) continue;
        struct ilea_event event = { .type = ILEA_EVENT_LINK_DOWN, .link = i };
        step(driver, &event);
    }
}

static void
link_frame(struct driver *driver, const struct ilea_link_frame *frame)
{
    if (frame->peer >= ILEA_LINKS_MAX) return;
    const struct peer *peer = &driver->peers[frame->peer];
    struct ilea_event event = { .link = frame->peer };
    char text[ILEA_LINK_TEXT_MAX + 1];
    (void)snprintf(text, sizeof text, "%.*s", frame->body.size > ILEA_LINK_TEXT_MAX ? 0 : (int)frame->body.size,
                   (const char *)frame->body.data);
    switch (frame->kind) {
    case ILEA_LINK_READY:
        if (frame->body.size > 0 && frame->body.data[0] == 1) {
            ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "listening", "endpoint", driver->listen, NULL);
        } else {
            ilea_logger_write(&driver->logger, ILEA_LEVEL_ERROR, "cannot_listen", "endpoint", driver->listen,
                              "reason", text + 1, NULL);
            driver->bind_failed = true;
        }
        return;
    case ILEA_LINK_RECV:
        if (!peer->exists) return;
        driver->last_talker = frame->peer;
        event.type = ILEA_EVENT_MESSAGE;
        event.message = frame->body;
        step(driver, &event);
        return;
    case ILEA_LINK_UP:
    case ILEA_LINK_DOWN:
        if (!peer->exists) return;
        event.type = frame->kind == ILEA_LINK_UP ? ILEA_EVENT_LINK_UP : ILEA_EVENT_LINK_DOWN;
        if (frame->kind == ILEA_LINK_DOWN) {
            ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "link_down", "peer", peer->code, "reason",
                              text, NULL);
        }
        step(driver, &event);
        return;
    case ILEA_LINK_REFUSED:
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "stranger_refused", "reason", text, NULL);
        return;
    case ILEA_LINK_PONG:
    case ILEA_LINK_CONFIG:
    case ILEA_LINK_PEER:
    case ILEA_LINK_FORGET:
    case ILEA_LINK_SEND:
    case ILEA_LINK_RESET:
    case ILEA_LINK_PING: return; /* not for us */
    }
}

/* Frames from ilea-link, about a group commit's worth. False: there may be more. */
static bool
read_link(struct driver *driver)
{
    size_t bytes = 0;
    enum ilea_error error = ILEA_ERROR_NONE;
    while (bytes < TURN_BYTES && error == ILEA_ERROR_NONE && driver->link.child.pid != 0 && !driver->trouble) {
        struct ilea_link_frame frame;
        error = ilea_link_pipe_next(&driver->pipe, &frame);
        if (error == ILEA_ERROR_NONE) {
            bytes += frame.body.size;
            link_frame(driver, &frame);
            continue;
        }
        if (error != ILEA_ERROR_NOT_FOUND) break;
        size_t had = driver->pipe.in_end - driver->pipe.in_start;
        error = ilea_link_pipe_fill(&driver->pipe);
        if (error == ILEA_ERROR_NONE && driver->pipe.in_end - driver->pipe.in_start == had) return true;
    }
    if (error == ILEA_ERROR_MALFORMED) {
        log_error(driver, "link_speaks_nonsense", error);
        (void)kill(driver->link.child.pid, SIGKILL); /* its end is noticed and it is replaced */
    }
    return error != ILEA_ERROR_NONE;
}

/* The view worker. */

static void
start_worker(struct driver *driver)
{
    if (driver->node->view == NULL && driver->next_generation == 0) rebuild_view(driver);
    char generation[16];
    uint32_t number = driver->next_generation != 0 ? driver->next_generation : driver->node->generation;
    (void)snprintf(generation, sizeof generation, "%u", number);
    const char *const argv[] = { "/proc/self/exe", "--view-worker", driver->node->home, generation, NULL };
    driver->worker.started_ms = ilea_monotonic_ms();
    driver->report_size = 0;
    enum ilea_error error = ilea_child_start(argv, &driver->worker.child);
    if (error != ILEA_ERROR_NONE) {
        log_error(driver, "view_worker_start", error);
        driver->worker.restart_ms = driver->worker.started_ms + RESTART_MS_MAX;
        return;
    }
    size_t size = driver->passphrase != NULL ? driver->passphrase->size : 0;
    uint8_t message[2 + ILEA_PASSPHRASE_SIZE_MAX] = { (uint8_t)(size >> 8), (uint8_t)size };
    if (size > 0) memcpy(message + 2, driver->passphrase->data, size);
    (void)!send(driver->worker.child.fd, message, 2 + size, MSG_NOSIGNAL);
    ilea_wipe(message, sizeof message);
}

static void
worker_ended(struct driver *driver, int code)
{
    uint64_t now = ilea_monotonic_ms();
    char text[16];
    (void)snprintf(text, sizeof text, "%d", code);
    ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "view_worker_ended", "code", text, NULL);
    bool quick = now < driver->worker.started_ms + RESTART_MS_MAX;
    driver->worker.backoff_ms = quick && driver->worker.backoff_ms > 0 ? driver->worker.backoff_ms * 2
                                                                       : RESTART_MS_MIN;
    if (driver->worker.backoff_ms > RESTART_MS_MAX) driver->worker.backoff_ms = RESTART_MS_MAX;
    driver->worker.restart_ms = now + driver->worker.backoff_ms;
    bool damaged = code == EX_DATAERR || code == 128 + SIGSEGV || code == 128 + SIGBUS
        || code == 128 + SIGABRT;
    if (!damaged) return;
    rebuild_view(driver);
}

/* The rebuilt generation has come as far as the log: readers go over to it. */
static void
switch_generation(struct driver *driver)
{
    if (driver->next_generation == 0
        || driver->view_position < ilea_author_position(driver->node->author)) {
        return;
    }
    uint32_t before = driver->node->generation;
    enum ilea_error error = ilea_view_switch(driver->node->home, driver->next_generation, before);
    if (error == ILEA_ERROR_NONE) error = ilea_node_watch_view(driver->node);
    driver->next_generation = 0;
    if (error == ILEA_ERROR_NONE) {
        ilea_damage_unmark(driver->node->home);
    } else {
        log_error(driver, "view_switch", error);
    }
}

static void
read_worker(struct driver *driver)
{
    for (;;) {
        ssize_t got = recv(driver->worker.child.fd, driver->report + driver->report_size,
                           sizeof driver->report - driver->report_size, MSG_DONTWAIT);
        if (got <= 0) break;
        driver->report_size += (size_t)got;
        if (driver->report_size < sizeof driver->report) continue;
        driver->report_size = 0;
        driver->view_position = ilea_key_u64(driver->report);
    }
    if (ilea_author_transaction(driver->node->author) == NULL) switch_generation(driver);
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) driver->control.clients[i].waits_for_view = false;
}

/* Time. */

static void
check_helpers(struct driver *driver, uint64_t now)
{
    int code;
    if (ilea_child_has_ended(&driver->link.child, &code)) link_ended(driver, code);
    if (ilea_child_has_ended(&driver->worker.child, &code)) worker_ended(driver, code);
    if (driver->link.child.pid == 0 && now >= driver->link.restart_ms) start_link(driver);
    if (driver->worker.child.pid == 0 && now >= driver->worker.restart_ms) start_worker(driver);
}

/* The peer should dial us; if it does not soon, we dial it. */
static bool
awaits_dial(const struct peer *peer)
{
    return peer->exists && !peer->up && !peer->dials && !peer->dials_too && peer->endpoint[0] != '\0';
}

static void
check_peers(struct driver *driver, uint64_t now)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        struct peer *peer = &driver->peers[i];
        if (!peer->exists) continue;
        if (peer->shunned_until_ms != 0 && now >= peer->shunned_until_ms) {
            peer->shunned_until_ms = 0;
            send_peer(driver, i);
        }
        struct ilea_link_status status;
        ilea_replicator_link_status(driver->replicator, i, &status);
        peer->up = status.ready;
        if (peer->up) {
            peer->down_since_ms = now;
        } else if (awaits_dial(peer) && now >= peer->down_since_ms + FALLBACK_DIAL_MS) {
            peer->dials_too = true; /* perhaps only this direction is open */
            send_peer(driver, i);
        }
    }
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int
timeout_ms(struct driver *driver, bool more)
{
    if (more) return 0;
    uint64_t now = ilea_monotonic_ms(), due = earlier(ilea_replicator_deadline(driver->replicator),
                                                      now + 1000);
    if (driver->link.child.pid == 0) due = earlier(due, driver->link.restart_ms);
    if (driver->worker.child.pid == 0) due = earlier(due, driver->worker.restart_ms);
    if (driver->trouble) due = earlier(due, driver->retry_ms);
    if (driver->watchdog_ms > 0) due = earlier(due, driver->watchdog_due_ms);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        const struct peer *peer = &driver->peers[i];
        if (awaits_dial(peer)) due = earlier(due, peer->down_since_ms + FALLBACK_DIAL_MS);
    }
    return due <= now ? 0 : (int)(due - now);
}

static void
do_time(struct driver *driver)
{
    uint64_t now = ilea_monotonic_ms();
    check_helpers(driver, now);
    if (driver->trouble && now >= driver->retry_ms) driver->trouble = false;
    if (now >= ilea_replicator_deadline(driver->replicator)) {
        struct ilea_event event = { .type = ILEA_EVENT_TIMER };
        step(driver, &event);
    }
    check_peers(driver, now);
    if (now >= driver->readers_check_ms) {
        driver->readers_check_ms = now + READERS_CHECK_MS;
        ilea_environment_check_readers(ilea_log_environment(driver->node->log));
    }
    if (driver->watchdog_ms > 0 && now >= driver->watchdog_due_ms) {
        driver->watchdog_due_ms = now + driver->watchdog_ms;
        ilea_notify("WATCHDOG=1");
    }
}

/* One turn of the loop. Returns whether there is more to do at once. */
static bool
turn(struct driver *driver, int signals, bool more, struct ilea_put *put)
{
    enum { SIGNALS, CONTROL, LINK, WORKER, CLIENTS };
    struct pollfd polls[CLIENTS + ILEA_CLIENTS_MAX];
    polls[SIGNALS] = (struct pollfd){ .fd = signals, .events = POLLIN };
    polls[CONTROL] = (struct pollfd){ .fd = driver->control.fd, .events = POLLIN };
    bool link = driver->link.child.pid != 0;
    polls[LINK] = (struct pollfd){ .fd = link ? driver->link.child.fd : -1,
                                   .events = driver->trouble ? 0 : POLLIN };
    if (link && ilea_link_pipe_queued(&driver->pipe) > 0) polls[LINK].events |= POLLOUT;
    polls[WORKER] = (struct pollfd){ .fd = driver->worker.child.pid != 0 ? driver->worker.child.fd : -1,
                                     .events = POLLIN };
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) {
        const struct ilea_control_client *client = &driver->control.clients[i];
        bool room = client->in_end < ILEA_CLIENT_IN_MAX || client->in_start > 0;
        polls[CLIENTS + i] = (struct pollfd){ .fd = client->fd, .events = room ? POLLIN : 0 };
        if (client->out_sent < client->out_durable) polls[CLIENTS + i].events |= POLLOUT;
    }
    (void)poll(polls, CLIENTS + ILEA_CLIENTS_MAX, timeout_ms(driver, more));
    more = false;

    if (polls[SIGNALS].revents != 0) {
        struct signalfd_siginfo info;
        if (read(signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGCHLD) {
            driver->stopping = true;
        }
    }
    if (polls[CONTROL].revents != 0) ilea_control_server_accept(&driver->control);
    if (polls[WORKER].revents != 0) read_worker(driver);
    if ((polls[LINK].revents & POLLOUT) != 0) (void)!ilea_link_pipe_flush(&driver->pipe);
    if ((polls[LINK].revents & (POLLIN | POLLHUP)) != 0) more = !read_link(driver);
    size_t budget = TURN_BYTES;
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) {
        struct ilea_control_client *client = &driver->control.clients[i];
        if (client->fd < 0) continue;
        bool kept = true;
        if ((polls[CLIENTS + i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            kept = ilea_control_client_read(client);
        }
        if (kept && !driver->trouble) serve_client(driver, client, put, &budget);
        if (client->fd >= 0 && !kept) ilea_control_client_drop(client);
    }
    if (budget == 0) more = true;
    do_time(driver);
    commit_turn(driver);
    if (ilea_damage_is_marked(driver->node->home)) (void)abandon_view(driver);
    return more && !driver->trouble;
}

static void
say_start(struct driver *driver)
{
    char code[ILEA_CODE_SIZE_MAX + 1] = "";
    struct ilea_transaction *txn = NULL;
    struct ilea_agency *own = malloc(sizeof *own);
    if (own != NULL
        && ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn) == ILEA_ERROR_NONE
        && ilea_agency_load(txn, &ilea_log_identity(driver->node->log)->agency, own) == ILEA_ERROR_NONE) {
        (void)snprintf(code, sizeof code, "%.*s", (int)own->card.manifest.code.size,
                       (const char *)own->card.manifest.code.data);
    }
    ilea_transaction_abort(txn);
    free(own);
    ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "started", "agency", code, "home",
                      driver->node->home, "version", ILEA_VERSION, NULL);
    if (driver->node->guard == NULL) {
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "no_guard", "reason",
                          driver->node->guard_error == ILEA_ERROR_BUSY
                              ? "a copy of this node runs on this machine"
                              : "no memory-backed folder: each start opens a new feed", NULL);
    }
}

int
ilea_driver_run(struct ilea_node *node, const char *listen, const struct ilea_span *passphrase,
                int signals)
{
    struct driver *driver = calloc(1, sizeof *driver);
    struct ilea_put *put = malloc(sizeof *put);
    uint8_t *message = malloc(ILEA_MESSAGE_SIZE_MAX);
    if (driver == NULL || put == NULL || message == NULL) return EX_OSERR;
    driver->node = node;
    driver->listen = listen;
    driver->passphrase = passphrase;
    driver->message = message;
    driver->link.child.fd = driver->worker.child.fd = -1;
    driver->watchdog_ms = ilea_notify_watchdog_ms();
    int code = EX_OK;
    enum ilea_error error = ilea_control_server_open(&driver->control, node->home);
    if (error == ILEA_ERROR_NONE) error = load_replicator(driver);
    if (error != ILEA_ERROR_NONE) {
        log_error(driver, "start", error);
        code = EX_IOERR;
    } else {
        say_start(driver);
        if (ilea_damage_is_marked(node->home)) {
            error = ilea_view_current(node->home, &node->generation);
        } else {
            error = ilea_node_watch_view(node);
        }
        if (error != ILEA_ERROR_NONE) log_error(driver, "view_open", error);
        start_worker(driver);
        start_link(driver);
        ilea_notify("READY=1");
        bool more = false;
        while (!driver->stopping && !driver->bind_failed) more = turn(driver, signals, more, put);
        if (driver->bind_failed) code = EX_UNAVAILABLE;
        if (driver->trouble) code = EX_IOERR;
        ilea_notify("STOPPING=1");
        ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "stopped", NULL);
    }
    ilea_author_abort(node->author);
    ilea_child_end(&driver->link.child);
    ilea_child_end(&driver->worker.child);
    if (driver->pipe.fd != 0) ilea_link_pipe_deinit(&driver->pipe);
    ilea_control_server_close(&driver->control, node->home);
    free(driver->replicator);
    free(driver);
    free(put);
    free(message);
    return code;
}
