/* link_router.c - the way in: the ROUTER, and who is let in. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "node/link_state.h"

enum {
    RENEW_MS_MIN = 60000, /* a new ROUTER interrupts all who dialled us */
    REBIND_MS = 1000,     /* no file descriptor was left */
    ACCEPT_FAILURES_MAX = 10, /* in a second: no file descriptors left, and libzmq would spin */
    UNBIND_MS = 30000
};

static void
bind_router(struct link *link)
{
    struct ilea_link_socket_options options = {
        .context = link->context,
        .keys = &link->keys,
        .endpoint = link->bound.text,
        .number = ++link->socket_number,
    };
    enum ilea_error error =
        ilea_link_socket_bind(&options, &link->zap, link->listener, &link->router);
    if (error == ILEA_ERROR_BUSY) {
        link->rebind_ms = link->now_ms + REBIND_MS;
    } else if (error != ILEA_ERROR_NONE) {
        ilea_link_fail(link, "this libzmq refuses an option that we need");
    }
}

/* With an endpoint: listen there, and tell ilea-node. If that fails we can still dial. */
void
ilea_link_open_router(struct link *link)
{
    if (link->bound.text[0] == '\0') {
        ilea_link_tell_ready(link, true, "");
        return;
    }
    struct ilea_link_endpoint endpoint = link->bound;
    enum ilea_error error =
        ilea_link_socket_listen(endpoint.text, &link->listener, &link->bound);
    if (error != ILEA_ERROR_NONE) {
        const char *reason =
            error == ILEA_ERROR_INVALID ? ILEA_LINK_NOT_AN_ENDPOINT : strerror(errno);
        ilea_link_tell_ready(link, false, reason);
        return;
    }
    bind_router(link);
    ilea_link_tell_ready(link, true, link->bound.text);
}

static void
close_router(struct link *link, uint64_t pause_ms)
{
    ilea_link_socket_close(&link->router);
    link->rebind_ms = link->now_ms + pause_ms;
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        struct peer *peer = &link->peers[i];
        if (!peer->is_used) continue;
        ilea_link_lose_route(link, peer, "all that came in were disconnected");
        peer->is_admitted = false;
        peer->has_reset_route = false;
    }
}

/* libzmq asks about a key at the handshake only: a connection of a key that was allowed then goes
 * on. What comes through it is discarded; a new ROUTER frees what it holds. */
void
ilea_link_tend_router(struct link *link)
{
    if (link->listener < 0) return;
    if (link->router.handle == NULL) {
        if (link->now_ms >= link->rebind_ms) bind_router(link);
        return;
    }
    bool is_late = link->renewed_ms == 0 || link->now_ms - link->renewed_ms >= RENEW_MS_MIN;
    if (!link->is_renewal_due || !is_late) return;
    link->is_renewal_due = false;
    link->renewed_ms = link->now_ms;
    close_router(link, 0);
    bind_router(link);
}

/* Without file descriptors libzmq tries to accept in a tight loop. Stop listening for a while:
 * that also closes what strangers hold open. */
static void
on_accept_failed(struct link *link)
{
    if (link->now_ms - link->accept_second_ms >= 1000) {
        link->accept_second_ms = link->now_ms;
        link->accept_failures = 0;
    }
    if (++link->accept_failures <= ACCEPT_FAILURES_MAX) return;
    link->accept_failures = 0;
    ilea_link_tell_refused(link, "too many connections: not listening for %d seconds",
                           UNBIND_MS / 1000);
    close_router(link, UNBIND_MS);
}

void
ilea_link_serve_router_events(struct link *link)
{
    while (link->router.handle != NULL && ilea_link_socket_event(&link->router) != 0) {
        on_accept_failed(link);
    }
}

/* End the connection that this message came through, not knowing it by any other name. If it has
 * just ended by itself, its number may be another's by now: that one then connects again. */
static void
cut(zmq_msg_t *message)
{
    int fd = zmq_msg_get(message, ZMQ_SRCFD);
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    /* Only what has a peer: never a listener. */
    if (fd < 0 || getpeername(fd, (struct sockaddr *)&address, &size) != 0) return;
    (void)shutdown(fd, SHUT_RDWR);
}

static void
on_router_message(struct link *link, zmq_msg_t *route, zmq_msg_t *body, size_t parts)
{
    uint8_t key[ILEA_LINK_KEY_SIZE];
    struct peer *peer = NULL;
    if (ilea_link_zap_key(zmq_msg_gets(body, "User-Id"), key)) peer = ilea_link_find_key(link, key);
    if (peer == NULL) {
        cut(body);
        ilea_link_tell_refused(link, "a message of a peer that is no longer allowed");
        return;
    }
    const uint8_t *id = zmq_msg_data(route);
    if (parts != 1 || zmq_msg_size(body) > ILEA_LINK_MESSAGE_MAX ||
        zmq_msg_size(route) != ROUTE_SIZE || id[0] != 0) {
        cut(body);
        ilea_link_tell_refused(link,
                               "peer %lu: a message of several parts, or a routing id of its own",
                               (unsigned long)peer->number);
        ilea_link_lose_route(link, peer, "it broke the rules of the connection");
        return;
    }
    if (peer->has_reset_route && memcmp(peer->reset_route, id, ROUTE_SIZE) == 0) {
        cut(body);
        return;
    }
    if (!peer->has_route || memcmp(peer->route, id, ROUTE_SIZE) != 0) {
        memcpy(peer->route, id, ROUTE_SIZE);
        peer->has_route = true;
        peer->route_sent_ms = 0; /* a sign of life goes back at once */
    }
    peer->route_heard_ms = link->now_ms;
    ilea_link_deliver(link, peer, body);
}

void
ilea_link_serve_router(struct link *link)
{
    zmq_msg_t route, body;
    zmq_msg_init(&route);
    zmq_msg_init(&body);
    for (size_t i = 0; i < TURN_MESSAGES_MAX && ilea_link_has_room(link); i++) {
        if (zmq_msg_recv(&route, link->router.handle, ZMQ_DONTWAIT) < 0) break;
        if (!zmq_msg_more(&route)) continue;
        size_t parts = ilea_link_receive_parts(link->router.handle, &body);
        on_router_message(link, &route, &body, parts);
    }
    zmq_msg_close(&body);
    zmq_msg_close(&route);
}

void
ilea_link_serve_zap(struct link *link)
{
    struct ilea_link_zap_request request;
    for (size_t i = 0; i < TURN_MESSAGES_MAX; i++) {
        if (!ilea_link_zap_receive(&link->zap, &request)) return;
        struct peer *peer = request.is_valid ? ilea_link_find_key(link, request.key) : NULL;
        ilea_link_zap_answer(&link->zap, &request, peer != NULL);
        if (peer != NULL) {
            peer->is_admitted = true;
            continue;
        }
        char user_id[ILEA_LINK_KEY_HEX_SIZE];
        ilea_link_zap_user_id(request.key, user_id);
        ilea_link_tell_refused(link, "unknown key %s from %s", user_id, request.address);
    }
}
