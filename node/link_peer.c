/* link_peer.c - the table of peers, and the way out to each. */
#include <string.h>

#include "crypto/random.h"
#include "node/link_state.h"

enum {
    SILENCE_MS_MAX = 3 * HEARTBEAT_MS,
    /* The dialling side gives up first: it is the one that can make the connection anew. */
    ROUTE_SILENCE_MS_MAX = 4 * HEARTBEAT_MS,
    UP_MS_MAX = 20000, /* connecting may take 10 seconds and the handshake 5 */
    BACKOFF_MS_MAX = 30000
};

static const struct ilea_span nothing = { NULL, 0 };

struct peer *
ilea_link_find_number(struct link *link, uint32_t number)
{
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        struct peer *peer = &link->peers[i];
        if (peer->is_used && peer->number == number) return peer;
    }
    return NULL;
}

/* NULL: not allowed. Looks at all, each in constant time: strangers can measure the answer. */
struct peer *
ilea_link_find_key(struct link *link, const uint8_t key[ILEA_LINK_KEY_SIZE])
{
    struct peer *found = NULL;
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        struct peer *peer = &link->peers[i];
        if (ilea_equal_secret(peer->key, key, ILEA_LINK_KEY_SIZE) && peer->is_used) found = peer;
    }
    return found;
}

/* The way out is gone: dial again after a while. */
void
ilea_link_lose_dealer(struct link *link, struct peer *peer, const char *reason)
{
    ilea_link_socket_close(&peer->dealer);
    uint32_t draw;
    ilea_random_bytes(&draw, sizeof draw);
    uint64_t half = peer->backoff_ms / 2;
    peer->dial_ms = link->now_ms + half + draw % (half + 1);
    peer->backoff_ms *= 2;
    if (peer->backoff_ms > BACKOFF_MS_MAX) peer->backoff_ms = BACKOFF_MS_MAX;
    if (peer->is_up || !peer->has_route) {
        ilea_link_drop_queue(link, peer);
        ilea_link_tell_down(link, peer, reason);
    }
    peer->is_up = false;
}

/* The way in is gone. With the way out in use, that is no loss. */
void
ilea_link_lose_route(struct link *link, struct peer *peer, const char *reason)
{
    if (!peer->has_route) return;
    peer->has_route = false;
    if (peer->is_up) return;
    ilea_link_drop_queue(link, peer);
    ilea_link_tell_down(link, peer, reason);
}

/* The connection is of no more use, whichever it is that is used. */
void
ilea_link_lose_peer(struct link *link, struct peer *peer, const char *reason)
{
    if (peer->is_up) {
        ilea_link_lose_dealer(link, peer, reason);
    } else {
        ilea_link_drop_queue(link, peer);
        ilea_link_tell_down(link, peer, reason);
    }
}

static void
dial(struct link *link, struct peer *peer)
{
    struct ilea_link_socket_options options = {
        .context = link->context,
        .keys = &link->keys,
        .endpoint = peer->endpoint.text,
        .number = ++link->socket_number,
    };
    enum ilea_error error = ilea_link_socket_dial(&options, peer->key, &peer->dealer);
    if (error != ILEA_ERROR_NONE) {
        const char *reason = error == ILEA_ERROR_INVALID ? ILEA_LINK_NOT_AN_ENDPOINT
                                                         : zmq_strerror(zmq_errno());
        ilea_link_lose_dealer(link, peer, reason);
        return;
    }
    peer->dealt_ms = link->now_ms;
}

/* Close the way out and make it anew at once; what waits is from before. */
void
ilea_link_redial(struct link *link, struct peer *peer)
{
    ilea_link_socket_close(&peer->dealer);
    ilea_link_drop_queue(link, peer);
    peer->is_up = false;
    peer->is_down_told = false;
    peer->backoff_ms = BACKOFF_MS_MIN;
    peer->dial_ms = link->now_ms;
}

void
ilea_link_forget(struct link *link, struct peer *peer)
{
    ilea_link_socket_close(&peer->dealer);
    ilea_link_drop_queue(link, peer);
    if (peer->is_admitted) link->is_renewal_due = true;
    *peer = (struct peer){ .is_used = false };
}

/* The peer under this number, new if need be; NULL: it cannot be. */
struct peer *
ilea_link_add_peer(struct link *link, uint32_t number, const uint8_t *key)
{
    struct peer *peer = ilea_link_find_number(link, number);
    if (peer != NULL && memcmp(peer->key, key, ILEA_LINK_KEY_SIZE) != 0) {
        ilea_link_forget(link, peer);
    }
    struct peer *same = ilea_link_find_key(link, key);
    if (same != NULL) return same->number == number ? same : NULL;
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        peer = &link->peers[i];
        if (peer->is_used) continue;
        *peer = (struct peer){ .is_used = true, .number = number, .backoff_ms = BACKOFF_MS_MIN };
        memcpy(peer->key, key, ILEA_LINK_KEY_SIZE);
        return peer;
    }
    return NULL;
}

void
ilea_link_deliver(struct link *link, struct peer *peer, zmq_msg_t *body)
{
    peer->is_down_told = false;
    if (zmq_msg_size(body) == 0) return;
    struct ilea_span span = { zmq_msg_data(body), zmq_msg_size(body) };
    ilea_link_tell(link, ILEA_LINK_RECV, peer->number, span, nothing);
}

/* Read a whole message: `body` becomes its last part. Returns the number of parts, 0: none. */
size_t
ilea_link_receive_parts(void *socket, zmq_msg_t *body)
{
    size_t parts = 0;
    while (zmq_msg_recv(body, socket, ZMQ_DONTWAIT) >= 0) {
        parts++;
        if (!zmq_msg_more(body)) break;
    }
    return parts;
}

static void
receive_dealer(struct link *link, struct peer *peer)
{
    zmq_msg_t body;
    zmq_msg_init(&body);
    for (size_t i = 0; i < TURN_MESSAGES_MAX && ilea_link_has_room(link); i++) {
        size_t parts = ilea_link_receive_parts(peer->dealer.handle, &body);
        if (parts == 0) break;
        if (parts != 1 || zmq_msg_size(&body) > ILEA_LINK_MESSAGE_MAX) {
            ilea_link_tell_refused(link, "peer %lu: a message of several parts",
                                   (unsigned long)peer->number);
            ilea_link_lose_dealer(link, peer, "it broke the rules of the connection");
            break;
        }
        peer->dealer_heard_ms = link->now_ms;
        peer->backoff_ms = BACKOFF_MS_MIN;
        ilea_link_deliver(link, peer, &body);
    }
    zmq_msg_close(&body);
}

static const char *
event_text(uint16_t event)
{
    switch (event) {
    case ZMQ_EVENT_DISCONNECTED:
        return "the connection is gone";
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return "the peer does not accept our key";
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        return "the handshake failed: not its key, or not a node";
    default:
        return "the handshake did not end: the peer may not know our key yet";
    }
}

static void
on_writable(struct link *link, struct peer *peer)
{
    if (!peer->is_up) {
        /* With ZMQ_IMMEDIATE a DEALER can be written to when its handshake is done. */
        peer->is_up = true;
        peer->is_down_told = false;
        peer->dealt_ms = peer->dealer_heard_ms = link->now_ms;
        peer->dealer_sent_ms = 0; /* a sign of life goes out at once, so that it learns the route */
        ilea_link_tell(link, ILEA_LINK_UP, peer->number, nothing, nothing);
    }
    ilea_link_drain_queue(link, peer);
}

void
ilea_link_serve_dealer(struct link *link, struct peer *peer, short revents)
{
    if ((revents & ZMQ_POLLIN) != 0) receive_dealer(link, peer);
    if (peer->dealer.handle != NULL && (revents & ZMQ_POLLOUT) != 0) on_writable(link, peer);
    while (peer->dealer.handle != NULL) {
        uint16_t event = ilea_link_socket_event(&peer->dealer);
        if (event == 0) break;
        /* What came before the end is still worth having. */
        receive_dealer(link, peer);
        if (peer->dealer.handle != NULL) ilea_link_lose_dealer(link, peer, event_text(event));
    }
}

/* What the clock alone decides about one peer. */
void
ilea_link_tend_peer(struct link *link, struct peer *peer)
{
    uint64_t now_ms = link->now_ms;
    if (peer->queue_first != NULL && !peer->is_up && now_ms >= peer->retry_ms) {
        ilea_link_drain_queue(link, peer);
    }
    ilea_link_send_heartbeats(link, peer);
    if (link->is_paused) return; /* what we do not read says nothing about its sender */
    if (peer->has_route && now_ms - peer->route_heard_ms >= ROUTE_SILENCE_MS_MAX) {
        ilea_link_lose_route(link, peer, "silent");
    }
    if (peer->dealer.handle == NULL) {
        if (peer->is_dialled && now_ms >= peer->dial_ms) dial(link, peer);
    } else if (peer->is_up && now_ms - peer->dealer_heard_ms >= SILENCE_MS_MAX) {
        ilea_link_lose_dealer(link, peer, "silent");
    } else if (!peer->is_up && now_ms - peer->dealt_ms >= UP_MS_MAX) {
        ilea_link_lose_dealer(link, peer, "no connection");
    }
}
