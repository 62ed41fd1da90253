/* link_lobby.c - the lobby's thread as the loop sees it: what it brings, what ilea-node tells it. */
#include <errno.h>
#include <string.h>

#include "crypto/random.h"
#include "node/link_state.h"

enum { COUNTS_MS = 5000 };

/* Bytes that wait for ilea-node already: strangers come after the peers. */
static const size_t wait_bytes = 1024 * 1024;

static const struct ilea_span nothing = { NULL, 0 };

static void
tell_opened(struct link *link, bool ok, const char *text)
{
    uint8_t flag = ok ? 1 : 0;
    size_t size = strlen(text);
    if (size > ILEA_LINK_TEXT_MAX) size = ILEA_LINK_TEXT_MAX;
    ilea_link_tell(link, ILEA_LINK_LOBBY_READY, 0, (struct ilea_span){ &flag, 1 },
                   (struct ilea_span){ (const uint8_t *)text, size });
}

static void
open_lobby(struct link *link, struct ilea_span endpoint)
{
    char text[ILEA_LINK_TEXT_MAX + 1];
    struct ilea_link_endpoint bound;
    int listener;
    memcpy(text, endpoint.data, endpoint.size);
    text[endpoint.size] = '\0';
    enum ilea_error error = ilea_link_socket_listen(text, &listener, &bound);
    if (error != ILEA_ERROR_NONE) {
        tell_opened(link, false, error == ILEA_ERROR_INVALID ? ILEA_LINK_NOT_AN_ENDPOINT : strerror(errno));
        return;
    }
    error = ilea_lobby_open(listener, &link->lobby);
    if (error != ILEA_ERROR_NONE) {
        tell_opened(link, false, ilea_error_text(error));
        return;
    }
    tell_opened(link, true, bound.text);
}

static void
take_key(struct link *link, struct ilea_span body)
{
    struct ilea_lobby_public key;
    memcpy(key.bytes, body.data, sizeof key.bytes);
    ilea_lobby_set_key(link->lobby, &key, body.data[sizeof key.bytes] == 1);
}

static void
take_invites(struct link *link, struct ilea_span body)
{
    struct ilea_invite invites[ILEA_LOBBY_INVITES_MAX] = { 0 };
    _Static_assert(sizeof invites[0] == ILEA_INVITE_ID_BYTES + ILEA_INVITE_KEY_BYTES, "as in the frame");
    size_t count = body.size / sizeof invites[0];
    if (body.size > 0) memcpy(invites, body.data, count * sizeof invites[0]);
    ilea_lobby_set_invites(link->lobby, invites, (unsigned)count);
    ilea_wipe(invites, sizeof invites);
    /* The frame lies in our own buffer, which the decoder hands out as read-only. */
    if (body.size > 0) ilea_wipe(link->pipe.in + (body.data - link->pipe.in), body.size);
}

/* A frame about the lobby; false: it is none. What comes for one that could not be opened is ignored. */
bool
ilea_link_on_lobby(struct link *link, const struct ilea_link_frame *frame)
{
    bool is_open = link->lobby != NULL;
    switch ((int)frame->kind) {
    case ILEA_LINK_LOBBY:
        if (is_open) ilea_link_fail(link, "LOBBY was sent before");
        if (!is_open) open_lobby(link, frame->body);
        return true;
    case ILEA_LINK_LOBBY_KEY:
        if (is_open) take_key(link, frame->body);
        return true;
    case ILEA_LINK_LOBBY_INVITES:
        if (frame->body.size % sizeof(struct ilea_invite) != 0) {
            ilea_link_fail(link, "LOBBY_INVITES is malformed");
        } else if (is_open) {
            take_invites(link, frame->body);
        }
        return true;
    case ILEA_LINK_LOBBY_REPLY:
        if (is_open) ilea_lobby_reply(link->lobby, frame->peer, frame->body);
        return true;
    default: return false;
    }
}

static void
tell_arrival(struct link *link, const struct ilea_lobby_arrival *arrival)
{
    uint8_t head[ILEA_LINK_ASK_HEAD + ILEA_LOBBY_ADDRESS_SIZE];
    size_t address_size = strlen(arrival->address), at = 0;
    head[at++] = (uint8_t)arrival->type;
    memcpy(head + at, arrival->challenge.key.bytes, sizeof arrival->challenge.key.bytes);
    at += sizeof arrival->challenge.key.bytes;
    memcpy(head + at, arrival->challenge.nonce, sizeof arrival->challenge.nonce);
    at += sizeof arrival->challenge.nonce;
    memcpy(head + at, arrival->invite, sizeof arrival->invite);
    at += sizeof arrival->invite;
    head[at++] = (uint8_t)address_size;
    memcpy(head + at, arrival->address, address_size);
    ilea_link_tell(link, ILEA_LINK_LOBBY_ASK, arrival->number, (struct ilea_span){ head, at + address_size },
                   (struct ilea_span){ arrival->sealed, arrival->size });
}

static bool
has_time(const struct link *link)
{
    return ilea_link_has_room(link) && ilea_link_pipe_queued(&link->pipe) < wait_bytes;
}

/* -1: nothing of it is of interest now. */
int
ilea_link_lobby_fd(const struct link *link)
{
    return link->lobby != NULL && has_time(link) ? ilea_lobby_fd(link->lobby) : -1;
}

/* One message a turn: the peers' come in between. */
void
ilea_link_serve_lobby(struct link *link)
{
    struct ilea_lobby_arrival arrival;
    if (has_time(link) && ilea_lobby_take(link->lobby, &arrival)) tell_arrival(link, &arrival);
}

void
ilea_link_tend_lobby(struct link *link)
{
    if (link->lobby == NULL || link->now_ms - link->counted_ms < COUNTS_MS) return;
    link->counted_ms = link->now_ms;
    struct ilea_lobby_counts now;
    ilea_lobby_count(link->lobby, &now);
    const uint64_t values[ILEA_LINK_COUNTS] = { now.guests, now.requests, now.invited, now.ceremonies, now.busy,
                                                now.crowded_out, now.late, now.malformed, now.wrong_invite };
    uint8_t body[8 * ILEA_LINK_COUNTS];
    for (size_t i = 0; i < sizeof body; i++) body[i] = (uint8_t)(values[i / 8] >> (56 - 8 * (i % 8)));
    if (memcmp(body, link->counts_told, sizeof body) == 0) return;
    memcpy(link->counts_told, body, sizeof body);
    ilea_link_tell(link, ILEA_LINK_LOBBY_COUNTS, 0, (struct ilea_span){ body, sizeof body }, nothing);
}
