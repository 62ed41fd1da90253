/*
 * driver_link.c - peers and ilea-link: who is dialled by whom, frames in and out, replacing the process when
 * it dies and keeping away whoever makes it die.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/chain.h"
#include "node/driver_state.h"

const struct ilea_transport_secret *
ilea_driver_transport(const struct driver *driver)
{
    const struct ilea_keys *keys = &driver->node->keys;
    return keys->old_transport != NULL ? keys->old_transport : keys->transport;
}

/* Whether we dial a peer: exactly one side does, where both can be dialled. */
static bool
should_dial(const struct driver *driver, const struct peer *peer)
{
    if (peer->endpoint[0] == '\0') return false;
    if (driver->listen[0] == '\0') return true;
    struct ilea_transport_public own;
    ilea_transport_secret_public(ilea_driver_transport(driver), &own);
    return memcmp(own.bytes, peer->transport.bytes, sizeof own.bytes) < 0;
}

void
ilea_driver_send_link(struct driver *driver, enum ilea_link_kind kind, uint32_t peer, struct ilea_span first,
          struct ilea_span second)
{
    if (driver->link.child.pid == 0) return;
    enum ilea_error error =
        ilea_link_pipe_send(&driver->pipe, kind, peer, first, second, LINK_OUT_MAX);
    if (error == ILEA_ERROR_BUSY) { /* the peer's session notices the gap and starts anew */
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "link_overflow", "peer",
                          driver->peers[peer].code, NULL);
    } else if (error == ILEA_ERROR_NO_MEMORY) {
        ilea_driver_log_error(driver, "link_send", error);
    } /* IO: the process is gone, which is noticed elsewhere */
}

static void
send_peer(struct driver *driver, uint32_t index)
{
    const struct peer *peer = &driver->peers[index];
    bool shunned = ilea_monotonic_ms() < peer->shunned_until_ms;
    if (!peer->exists || shunned) {
        ilea_driver_send_link(driver, ILEA_LINK_FORGET, index, (struct ilea_span){ NULL, 0 },
                  (struct ilea_span){ NULL, 0 });
        return;
    }
    uint8_t body[33];
    memcpy(body, peer->transport.bytes, 32);
    body[32] = peer->dials || peer->dials_too ? 1 : 0;
    ilea_driver_send_link(driver, ILEA_LINK_PEER, index, (struct ilea_span){ body, sizeof body },
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

static void
tell_agency(struct driver *driver, const struct ilea_agency *agency, bool followed)
{
    struct ilea_event event = { .type = ILEA_EVENT_AGENCY };
    event.agency.id = agency->row.id;
    event.agency.node = agency->manifest.node;
    event.agency.followed = followed;
    event.agency.manifest_index = agency->manifest.index;
    memcpy(event.agency.manifest_hash, agency->manifest.hash, sizeof event.agency.manifest_hash);
    struct ilea_transaction *own, *txn = ilea_driver_read(driver, &own);
    if (txn != NULL) ilea_driver_archive(txn, &agency->row.id, &event.agency.archive);
    ilea_transaction_abort(own);
    ilea_driver_step(driver, &event);
}

/*
 * The transport keys that the agency may be serving with, the newest first: it goes on with an earlier one until all
 * its peers know the newest. That the node key beside one was revoked does not matter here: BIND is signed by the
 * newest.
 */
static void
find_keys(struct driver *driver, const struct ilea_agency *agency, struct peer *peer)
{
    struct ilea_transaction *own, *txn = ilea_driver_read(driver, &own);
    struct ilea_manifest *before = malloc(sizeof *before);
    peer->keys[0] = agency->manifest.transport;
    peer->key_count = 1;
    for (uint64_t index = agency->manifest.index; txn != NULL && before != NULL && index-- > 0;) {
        if (peer->key_count == ILEA_PEER_KEYS_MAX) break;
        if (ilea_chain_at(txn, &agency->row.id, index, before) != ILEA_ERROR_NONE) break;
        bool is_known = false;
        for (uint32_t i = 0; i < peer->key_count; i++) {
            is_known = is_known || memcmp(&before->transport, &peer->keys[i], sizeof peer->keys[i]) == 0;
        }
        if (!is_known) peer->keys[peer->key_count++] = before->transport;
    }
    ilea_transaction_abort(own);
    free(before);
}

/* Which of the agency's transport keys to use with it: the one that worked, for as long as it does; else the newest. */
static void
choose_key(struct driver *driver, struct peer *peer, const struct ilea_agency *agency)
{
    const struct ilea_transport_public used = peer->transport;
    find_keys(driver, agency, peer);
    peer->key = 0;
    for (uint32_t i = 1; peer->exists && i < peer->key_count; i++) {
        if (memcmp(&used, &peer->keys[i], sizeof used) == 0) peer->key = i;
    }
    peer->transport = peer->keys[peer->key];
}

/* Try the next one after a while. At random: two peers that both changed theirs must not go round in step. */
static void
wait_for_key(struct peer *peer, uint64_t now)
{
    uint16_t chance;
    ilea_random_bytes(&chance, sizeof chance);
    peer->swap_ms = now + KEY_SWAP_MS + chance % KEY_SWAP_MS;
}

static void
tell_peer(struct driver *driver, uint32_t index, bool approved)
{
    struct ilea_event event = { .type = ILEA_EVENT_PEER, .link = index };
    event.peer.agency = driver->peers[index].agency;
    event.peer.transport = driver->peers[index].transport;
    event.peer.approved = approved;
    event.peer.relays = driver->peers[index].relays;
    ilea_driver_step(driver, &event);
}

/* Bring the replicator and ilea-link in line with what the log says of one agency. */
void
ilea_driver_apply_agency(struct driver *driver, const struct ilea_agency *agency)
{
    const struct ilea_agency_row *row = &agency->row;
    if (row->state == ILEA_AGENCY_SELF) {
        tell_agency(driver, agency, true);
        return;
    }
    bool approved = row->state == ILEA_AGENCY_APPROVED;
    if (approved) ilea_driver_touch_receipt(driver, &row->id);
    bool follows = approved && (row->grant.scopes & ILEA_GRANT_FOLLOW) != 0;
    bool connects = approved && (row->grant.scopes & ILEA_GRANT_CONNECT) != 0;
    bool relays = (row->grant.scopes & ILEA_GRANT_RELAY) != 0;
    uint32_t index = find_peer(driver, &row->id);
    bool linked = index < ILEA_LINKS_MAX && driver->peers[index].exists;
    /* Who only asked, or was turned down, was never followed: the replicator need not hear of it. */
    bool is_strange = row->state == ILEA_AGENCY_PENDING || row->state == ILEA_AGENCY_DECLINED;
    if (!is_strange || linked) tell_agency(driver, agency, follows);
    if (!connects && !linked) return;
    if (index == ILEA_LINKS_MAX) {
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "too_many_links", NULL);
        return; /* followed all the same, through others */
    }
    struct peer *peer = &driver->peers[index];
    const struct ilea_transport_public used = peer->transport;
    choose_key(driver, peer, agency);
    bool known = linked && peer->relays == relays && memcmp(peer->transport.bytes, used.bytes, sizeof used.bytes) == 0;
    peer->exists = connects;
    peer->agency = row->id;
    peer->relays = relays;
    (void)snprintf(peer->code, sizeof peer->code, "%.*s", (int)agency->manifest.code.size,
                   (const char *)agency->manifest.code.data);
    (void)snprintf(peer->endpoint, sizeof peer->endpoint, "%.*s", (int)row->endpoint.size,
                   row->endpoint.size > 0 ? (const char *)row->endpoint.data : "");
    peer->dials = should_dial(driver, peer);
    if (!known || !connects) {
        peer->down_since_ms = ilea_monotonic_ms();
        tell_peer(driver, index, connects);
    }
    send_peer(driver, index);
}

/* The same for an agency by its id, as its row and chain are now. */
enum ilea_error
ilea_driver_apply(struct driver *driver, const struct ilea_agency_id *id)
{
    struct ilea_transaction *txn = NULL;
    struct ilea_agency *agency = malloc(sizeof *agency);
    enum ilea_error error = agency != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_agency_load(txn, id, agency);
    ilea_transaction_abort(txn);
    if (error == ILEA_ERROR_NONE) {
        ilea_driver_apply_agency(driver, agency);
        ilea_driver_tell_all_audiences(driver); /* what it stated counts now, or does not any more */
    }
    free(agency);
    return error;
}

enum ilea_error
ilea_driver_load_agencies(struct driver *driver, struct ilea_transaction *txn)
{
    struct ilea_agency *agency = malloc(sizeof *agency);
    if (agency == NULL) return ILEA_ERROR_NO_MEMORY;
    const struct ilea_agency_id *after = NULL;
    enum ilea_error error;
    while ((error = ilea_agency_next(txn, after, agency)) == ILEA_ERROR_NONE) {
        ilea_driver_apply_agency(driver, agency);
        after = &agency->row.id;
    }
    free(agency);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

void
ilea_driver_start_link(struct driver *driver)
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
    memcpy(body, ilea_transport_secret_bytes(ilea_driver_transport(driver)), 32);
    size_t length = strlen(driver->listen);
    body[32] = (uint8_t)(length >> 8);
    body[33] = (uint8_t)length;
    ilea_driver_send_link(driver, ILEA_LINK_CONFIG, 0, (struct ilea_span){ body, sizeof body },
              (struct ilea_span){ (const uint8_t *)driver->listen, length });
    ilea_wipe(body, sizeof body);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (driver->peers[i].exists) send_peer(driver, i);
    }
    ilea_driver_open_lobby(driver);
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
    if (++driver->deaths < SUSPECT_DEATHS) return;
    if (ilea_driver_shut_lobby(driver, now) || !peer->exists) return; /* strangers first */
    uint64_t pause = SUSPECT_MS_MIN;
    for (uint32_t i = 0; i < peer->suspicions && pause < SUSPECT_MS_MAX; i++) pause *= 2;
    peer->suspicions++;
    peer->shunned_until_ms = now + (pause < SUSPECT_MS_MAX ? pause : SUSPECT_MS_MAX);
    driver->deaths = 0;
    ilea_logger_write(&driver->logger, ILEA_LEVEL_ERROR, "peer_suspected", "peer", peer->code, "reason",
                      "ilea-link died while it was talking", NULL);
}

void
ilea_driver_link_ended(struct driver *driver, int code)
{
    uint64_t now = ilea_monotonic_ms();
    char text[16];
    (void)snprintf(text, sizeof text, "%d", code);
    ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "link_ended", "code", text, NULL);
    ilea_link_pipe_deinit(&driver->pipe);
    ilea_driver_lobby_link_ended(driver);
    driver->link_restarts++;
    if (now > driver->link.started_ms + 10 * RESTART_MS_MAX) driver->link.backoff_ms = 0;
    driver->link.backoff_ms = driver->link.backoff_ms == 0 ? RESTART_MS_MIN : driver->link.backoff_ms * 2;
    if (driver->link.backoff_ms > RESTART_MS_MAX) driver->link.backoff_ms = RESTART_MS_MAX;
    driver->link.restart_ms = now + driver->link.backoff_ms;
    suspect(driver, now);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (!driver->peers[i].exists) continue;
        struct ilea_event event = { .type = ILEA_EVENT_LINK_DOWN, .link = i };
        ilea_driver_step(driver, &event);
    }
}

static void
link_frame(struct driver *driver, const struct ilea_link_frame *frame)
{
    if (ilea_driver_lobby_frame(driver, frame)) return;
    if (frame->peer >= ILEA_LINKS_MAX) return;
    const struct peer *peer = &driver->peers[frame->peer];
    struct ilea_event event = { .link = frame->peer };
    char text[ILEA_LINK_TEXT_MAX + 1];
    (void)snprintf(text, sizeof text, "%.*s", frame->body.size > ILEA_LINK_TEXT_MAX ? 0 : (int)frame->body.size,
                   (const char *)frame->body.data);
    char why[ILEA_LINK_TEXT_MAX + 1]; /* of READY: behind the byte that says whether it could listen */
    size_t why_size = frame->body.size > 0 ? frame->body.size - 1 : 0;
    (void)snprintf(why, sizeof why, "%.*s", why_size > ILEA_LINK_TEXT_MAX ? 0 : (int)why_size,
                   why_size > 0 ? (const char *)frame->body.data + 1 : "");
    switch (frame->kind) {
    case ILEA_LINK_READY:
        if (frame->body.size > 0 && frame->body.data[0] == 1 && driver->listen[0] == '\0') return; /* it only dials */
        if (frame->body.size > 0 && frame->body.data[0] == 1) {
            ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "listening", "endpoint", driver->listen, NULL);
        } else {
            ilea_logger_write(&driver->logger, ILEA_LEVEL_ERROR, "cannot_listen", "endpoint", driver->listen,
                              "reason", frame->body.size > 1 ? why : "not said", NULL);
            driver->bind_failed = true;
        }
        return;
    case ILEA_LINK_RECV:
        if (!peer->exists) return;
        driver->last_talker = frame->peer;
        event.type = ILEA_EVENT_MESSAGE;
        event.message = frame->body;
        ilea_driver_step(driver, &event);
        return;
    case ILEA_LINK_UP:
    case ILEA_LINK_DOWN:
        if (!peer->exists) return;
        event.type = frame->kind == ILEA_LINK_UP ? ILEA_EVENT_LINK_UP : ILEA_EVENT_LINK_DOWN;
        if (frame->kind == ILEA_LINK_DOWN) {
            ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "link_down", "peer", peer->code, "reason",
                              text, NULL);
        }
        ilea_driver_step(driver, &event);
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
    case ILEA_LINK_PING:
    case ILEA_LINK_LOBBY:
    case ILEA_LINK_LOBBY_KEY:
    case ILEA_LINK_LOBBY_INVITES:
    case ILEA_LINK_LOBBY_REPLY:
    case ILEA_LINK_LOBBY_READY:
    case ILEA_LINK_LOBBY_ASK:
    case ILEA_LINK_LOBBY_COUNTS: return; /* not for us, or for driver_lobby.c */
    }
}

/* Frames from ilea-link, about a group commit's worth. False: there may be more. */
bool
ilea_driver_read_link(struct driver *driver)
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
        ilea_driver_log_error(driver, "link_speaks_nonsense", error);
        (void)kill(driver->link.child.pid, SIGKILL); /* its end is noticed and it is replaced */
    }
    return error != ILEA_ERROR_NONE;
}

/* The peer should dial us; if it does not soon, we dial it. */
bool
ilea_driver_awaits_dial(const struct peer *peer)
{
    return peer->exists && !peer->up && !peer->dials && !peer->dials_too && peer->endpoint[0] != '\0';
}

void
ilea_driver_check_peers(struct driver *driver, uint64_t now)
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
            wait_for_key(peer, now);
        } else if (peer->key_count > 1 && now >= peer->swap_ms) {
            peer->key = (peer->key + 1) % peer->key_count;
            peer->transport = peer->keys[peer->key];
            wait_for_key(peer, now);
            tell_peer(driver, i, true);
            send_peer(driver, i);
        } else if (ilea_driver_awaits_dial(peer) && now >= peer->down_since_ms + FALLBACK_DIAL_MS) {
            peer->dials_too = true; /* perhaps only this direction is open */
            send_peer(driver, i);
        }
    }
}

/* All peers know our newest manifest: the transport key of the one before has done its work. */
void
ilea_driver_retire_transport(struct driver *driver)
{
    const struct ilea_keys *keys = &driver->node->keys;
    if (keys->old_transport == NULL) return;
    uint32_t peers = 0;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (!driver->peers[i].exists) continue;
        struct ilea_link_status status;
        ilea_replicator_link_status(driver->replicator, i, &status);
        if (!status.ready || !status.has_own_manifest) return;
        peers++;
    }
    if (peers == 0) return; /* nobody can have been told yet */
    char folder[ILEA_PATH_SIZE], path[ILEA_PATH_SIZE + ILEA_KEY_NAME_SIZE + 1], name[ILEA_KEY_NAME_SIZE];
    struct ilea_transport_public old;
    ilea_transport_secret_public(keys->old_transport, &old);
    ilea_home_path(driver->node->home, "keys", folder);
    enum ilea_error error = ilea_keys_find(folder, ILEA_KEY_TRANSPORT, old.bytes, name);
    if (error != ILEA_ERROR_NONE) return;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (unlink(path) != 0) return;
    ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "old_transport_key_retired", NULL);
    driver->reloading = true;
}
