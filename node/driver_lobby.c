/*
 * driver_lobby.c - the lobby in the daemon: opening it in ilea-link, keys and invites for it, what comes through
 * it, and our own requests to others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/random.h"
#include "node/driver_state.h"

static const struct ilea_span nothing = { NULL, 0 };

static void
tell_key(struct driver *driver)
{
    struct lobby *lobby = &driver->lobby;
    uint8_t body[ILEA_BOX_PUBLIC_SIZE + 1];
    lobby->had_ceremony = ilea_ceremony_any(&lobby->ceremonies, ilea_monotonic_ms());
    memcpy(body, lobby->desk.publics[0].bytes, ILEA_BOX_PUBLIC_SIZE);
    body[ILEA_BOX_PUBLIC_SIZE] = lobby->had_ceremony ? 1 : 0;
    ilea_driver_send_link(driver, ILEA_LINK_LOBBY_KEY, 0, (struct ilea_span){ body, sizeof body }, nothing);
}

void
ilea_driver_tell_invites(struct driver *driver)
{
    struct ilea_invite invites[ILEA_LOBBY_INVITES_MAX];
    struct ilea_transaction *txn = NULL;
    unsigned count = 0;
    if (!driver->lobby.is_told) return;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_desk_invites(txn, ilea_wall_ms(), invites, &count);
    ilea_transaction_abort(txn);
    if (error == ILEA_ERROR_NONE) {
        ilea_driver_send_link(driver, ILEA_LINK_LOBBY_INVITES, 0,
                              (struct ilea_span){ (const uint8_t *)invites, count * sizeof invites[0] }, nothing);
    } else {
        ilea_driver_log_error(driver, "lobby_invites", error);
    }
    ilea_wipe(invites, sizeof invites);
}

/* After ilea-link has started. */
void
ilea_driver_open_lobby(struct driver *driver)
{
    struct lobby *lobby = &driver->lobby;
    const char *endpoint = driver->node->config.lobby;
    uint64_t now = ilea_monotonic_ms();
    if (endpoint[0] == '\0' || now < lobby->shut_until_ms || driver->link.child.pid == 0) return;
    lobby->is_told = true;
    ilea_driver_send_link(driver, ILEA_LINK_LOBBY, 0,
                          (struct ilea_span){ (const uint8_t *)endpoint, strlen(endpoint) }, nothing);
    (void)ilea_desk_rotate(&lobby->desk, now);
    tell_key(driver);
    ilea_driver_tell_invites(driver);
}

/* ilea-link is gone, and the lobby with it. */
void
ilea_driver_lobby_link_ended(struct driver *driver)
{
    struct lobby *lobby = &driver->lobby;
    uint64_t *sum = (uint64_t *)&lobby->door_before;
    const uint64_t *door = (const uint64_t *)&lobby->door;
    for (unsigned i = 0; i < ILEA_LOBBY_COUNTS; i++) sum[i] += door[i];
    lobby->door = (struct ilea_lobby_counts){ 0 };
    lobby->is_told = lobby->is_open = false;
    (void)snprintf(lobby->text, sizeof lobby->text, "ilea-link is being started");
}

/* ilea-link died again and again: for a while it runs without the lobby. False: it did already. */
bool
ilea_driver_shut_lobby(struct driver *driver, uint64_t now)
{
    struct lobby *lobby = &driver->lobby;
    if (driver->node->config.lobby[0] == '\0' || now < lobby->shut_until_ms) return false;
    lobby->shut_until_ms = now + SUSPECT_MS_MAX;
    driver->deaths = 0;
    (void)snprintf(lobby->text, sizeof lobby->text, "closed for an hour: ilea-link died again and again");
    ilea_logger_write(&driver->logger, ILEA_LEVEL_ERROR, "lobby_closed", "reason", "ilea-link died again and again",
                      NULL);
    return true;
}

static void
on_ready(struct driver *driver, struct ilea_span body)
{
    struct lobby *lobby = &driver->lobby;
    lobby->is_open = body.data[0] == 1;
    (void)snprintf(lobby->text, sizeof lobby->text, "%.*s", (int)body.size - 1, (const char *)body.data + 1);
    if (lobby->is_open) {
        ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "lobby_open", "endpoint", lobby->text, NULL);
    } else {
        ilea_logger_write(&driver->logger, ILEA_LEVEL_ERROR, "lobby_not_open", "endpoint",
                          driver->node->config.lobby, "reason", lobby->text, NULL);
    }
}

static void
on_counts(struct driver *driver, struct ilea_span body)
{
    uint64_t *counts = (uint64_t *)&driver->lobby.door;
    for (unsigned i = 0; i < ILEA_LOBBY_COUNTS; i++) {
        counts[i] = 0;
        for (unsigned j = 0; j < 8; j++) counts[i] = counts[i] << 8 | body.data[8 * i + j];
    }
}

/* A request: decided about in a transaction of its own, which fails alone. */
static void
take_request(struct driver *driver, const struct ilea_desk_request *request)
{
    enum ilea_desk_outcome outcome = ILEA_DESK_IGNORED;
    struct ilea_control_agency agency;
    ilea_driver_commit_turn(driver);
    if (driver->trouble) return; /* they ask again */
    enum ilea_error error = ilea_driver_transaction(driver);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_desk_take(&driver->lobby.desk, driver->node, request, ilea_wall_ms(), ilea_monotonic_ms(),
                               &outcome, &agency);
    }
    if (error != ILEA_ERROR_NONE || outcome != ILEA_DESK_STORED) {
        ilea_author_abort(driver->node->author);
        if (error != ILEA_ERROR_NONE) ilea_driver_log_error(driver, "lobby_request", error);
        return;
    }
    ilea_driver_commit_turn(driver);
    if (driver->trouble) return;
    ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "lobby_request", "agency", agency.code, "by",
                      request->has_invite ? "invite" : "lobby", NULL);
    if (request->has_invite) ilea_driver_tell_invites(driver); /* it is used */
}

static void
on_ask(struct driver *driver, uint32_t number, struct ilea_span body)
{
    static const uint8_t no_invite[ILEA_INVITE_ID_BYTES];
    struct ilea_desk_request request;
    const uint8_t *at = body.data;
    uint8_t type = *at++;
    memcpy(request.challenge.key.bytes, at, sizeof request.challenge.key.bytes);
    at += sizeof request.challenge.key.bytes;
    memcpy(request.challenge.nonce, at, sizeof request.challenge.nonce);
    at += sizeof request.challenge.nonce;
    memcpy(request.invite, at, sizeof request.invite);
    at += sizeof request.invite;
    request.has_invite = memcmp(request.invite, no_invite, sizeof no_invite) != 0;
    size_t address_size = *at++, left = body.size - ILEA_LINK_ASK_HEAD;
    if (address_size > left || address_size >= ILEA_LOBBY_ADDRESS_SIZE) return;
    request.address = (struct ilea_span){ at, address_size };
    const struct ilea_span sealed = { at + address_size, left - address_size };
    uint8_t opened[ILEA_LOBBY_MESSAGE_MAX];
    if (sealed.size > ILEA_LOBBY_SEALED_MAX) return;
    if (!ilea_desk_unseal(&driver->lobby.desk, &request.challenge.key, sealed, opened)) {
        driver->lobby.desk.counts.unreadable++;
        return;
    }
    request.message = (struct ilea_span){ opened, sealed.size - ILEA_SEAL_OVERHEAD };
    if (type == ILEA_LOBBY_REQUEST) take_request(driver, &request);
    if (type == ILEA_LOBBY_CEREMONY) {
        ilea_driver_ceremony_came(driver, number, &request.challenge, request.message);
    }
}

/* False: the frame is not about the lobby. */
bool
ilea_driver_lobby_frame(struct driver *driver, const struct ilea_link_frame *frame)
{
    switch ((int)frame->kind) {
    case ILEA_LINK_LOBBY_READY: on_ready(driver, frame->body); return true;
    case ILEA_LINK_LOBBY_ASK: on_ask(driver, frame->peer, frame->body); return true;
    case ILEA_LINK_LOBBY_COUNTS: on_counts(driver, frame->body); return true;
    default: return false;
    }
}

static void
expire(struct driver *driver)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    ilea_driver_commit_turn(driver);
    while (error == ILEA_ERROR_NONE && !driver->trouble) {
        error = ilea_driver_transaction(driver);
        if (error == ILEA_ERROR_NONE) error = ilea_desk_expire(driver->node, ilea_wall_ms());
        if (error == ILEA_ERROR_NONE) ilea_driver_commit_turn(driver);
    }
    ilea_author_abort(driver->node->author);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) {
        ilea_driver_log_error(driver, "lobby_expire", error);
    }
}

void
ilea_driver_tend_lobby(struct driver *driver, uint64_t now)
{
    struct lobby *lobby = &driver->lobby;
    if (now >= driver->requests_check_ms) {
        driver->requests_check_ms = now + REQUESTS_CHECK_MS;
        expire(driver);
    }
    if (!lobby->is_told) {
        if (lobby->shut_until_ms != 0 && now >= lobby->shut_until_ms) {
            lobby->shut_until_ms = 0;
            ilea_driver_open_lobby(driver);
        }
        return;
    }
    bool is_new = ilea_desk_rotate(&lobby->desk, now);
    if (is_new) ilea_driver_tell_invites(driver); /* some may have expired */
    if (is_new || lobby->had_ceremony != ilea_ceremony_any(&lobby->ceremonies, now)) tell_key(driver);
}

void
ilea_driver_lobby_status(struct driver *driver, struct ilea_control_client *client)
{
    const struct lobby *lobby = &driver->lobby;
    bool is_off = driver->node->config.lobby[0] == '\0';
    struct ilea_control_lobby status = { .door = lobby->door_before, .desk = lobby->desk.counts };
    uint64_t *sum = (uint64_t *)&status.door;
    const uint64_t *door = (const uint64_t *)&lobby->door;
    for (unsigned i = 0; i < ILEA_LOBBY_COUNTS; i++) sum[i] += door[i];
    (void)snprintf(status.state, sizeof status.state, "%s", is_off ? "off" : lobby->is_open ? "open" : "closed");
    (void)snprintf(status.text, sizeof status.text, "%s", lobby->text);
    ilea_control_put_lobby(&client->answer, &status);
}

/* A request of ours for another agency's lobby; whoever asked brings it there. */
void
ilea_driver_seal(struct driver *driver, struct ilea_control_client *client, struct ilea_span body)
{
    struct ilea_control_seal seal;
    struct ilea_transaction *txn = NULL;
    struct ilea_control_sealed *sealed = calloc(1, sizeof *sealed);
    if (sealed == NULL) {
        client->answer.failed = true; /* it is dropped, and asks again */
        return;
    }
    sealed->error = ilea_control_get_seal(body, &seal);
    if (sealed->error == ILEA_ERROR_NONE) {
        sealed->error = ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn);
    }
    if (sealed->error == ILEA_ERROR_NONE) ilea_desk_seal(driver->node, txn, &seal, ilea_wall_ms(), sealed);
    ilea_transaction_abort(txn);
    ilea_control_put_sealed(&client->answer, sealed);
    free(sealed);
}
