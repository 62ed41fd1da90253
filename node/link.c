#include "node/link.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/link_frame.h"
#include "node/link_socket.h"
#include "node/link_zap.h"

enum {
    ROUTE_SIZE = 5, /* of a routing id made up by libzmq: a zero and a number */
    IO_THREADS = 2, /* they do the encryption */
    SOCKETS_MAX = 1023,

    TURN_MESSAGES_MAX = 16, /* of one socket, before the others have their turn */
    TICK_MS = 500,
    HEARTBEAT_MS = 5000,
    SILENCE_MS_MAX = 3 * HEARTBEAT_MS,
    /* The dialling side gives up first: it is the one that can make the connection anew. */
    ROUTE_SILENCE_MS_MAX = 4 * HEARTBEAT_MS,
    UP_MS_MAX = 20000, /* connecting may take 10 seconds and the handshake 5 */
    BACKOFF_MS_MIN = 2000, /* the wait is between half of it and all of it */
    BACKOFF_MS_MAX = 30000,
    RETRY_MS_MIN = 1, /* a full route has no event that says when to go on */
    RETRY_MS_MAX = 32,

    RENEW_MS_MIN = 60000, /* a new ROUTER interrupts all who dialled us */
    REBIND_MS = 1000,     /* no file descriptor was left */
    ACCEPT_FAILURES_MAX = 10, /* in a second: no file descriptors left, and libzmq would spin */
    UNBIND_MS = 30000,
    REFUSED_MS_MIN = 1000
};

/* Bytes that wait for ilea-node: beyond the first no message is read, so that the senders wait
 * too; beyond the second even small frames find no room, and ilea-node must have hung. */
static const size_t pause_bytes = 16 * 1024 * 1024;
static const size_t out_bytes_max = 17 * 1024 * 1024;

/* Bytes that wait for all peers together. The memory limit of the process must not be reached by
 * being slow: libzmq aborts when it gets no memory. */
static const size_t queued_bytes_max = 64 * 1024 * 1024;

struct message {
    struct message *next;
    size_t size;
    zmq_msg_t body;
};

struct peer {
    bool is_used;
    bool is_dialled;
    bool is_admitted;       /* came in through the ROUTER since that was made */
    bool is_down_told;
    uint32_t number;
    uint8_t key[ILEA_LINK_KEY_SIZE];
    struct ilea_link_endpoint endpoint;

    /* the way out */
    struct ilea_link_socket dealer;
    bool is_up;
    uint64_t dealt_ms;        /* when the DEALER was made, or became up */
    uint64_t dealer_heard_ms; /* the last valid message on it */
    uint64_t dealer_sent_ms;
    uint64_t dial_ms;         /* no DEALER: when to make it */
    uint64_t backoff_ms;

    /* the way in */
    bool has_route;
    uint8_t route[ROUTE_SIZE];
    uint64_t route_heard_ms, route_sent_ms;
    bool has_reset_route; /* RESET: the connection of this route is to be cut */
    uint8_t reset_route[ROUTE_SIZE];

    struct message *queue_first, *queue_last;
    size_t queue_bytes;
    uint64_t retry_ms; /* when to try the route again */
    uint64_t retry_wait_ms;
};

enum state { STATE_RUNNING, STATE_ENDED, STATE_FAILED };

struct link {
    enum state state;
    uint64_t now_ms;
    struct ilea_link_pipe pipe;
    int signal_fd;
    bool is_paused;

    bool is_configured;
    struct ilea_link_keys keys;
    void *context;
    uint64_t socket_number; /* of the last socket that was made */
    struct ilea_link_zap zap;

    int listener; /* -1: no ROUTER */
    struct ilea_link_endpoint bound;
    struct ilea_link_socket router; /* closed: made at rebind_ms */
    uint64_t rebind_ms;
    bool is_renewal_due;
    uint64_t renewed_ms;
    uint64_t accept_second_ms;
    unsigned accept_failures;

    uint64_t refused_ms; /* when the last REFUSED went out */
    unsigned refused_unsaid;

    size_t queued_bytes;
    struct peer peers[ILEA_LINK_PEERS_MAX];
};

enum sent { SENT, SENT_LATER, SENT_NEVER };

static uint64_t
read_clock(void)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);
    ilea_assert(rc == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The first failure is the one that is told. */
static void
fail(struct link *link, const char *reason)
{
    if (link->state != STATE_RUNNING) return;
    link->state = STATE_FAILED;
    fprintf(stderr, "ilea-link: %s\n", reason);
}

/* --- to ilea-node ----------------------------------------------------------------------------- */

static void
tell(struct link *link, enum ilea_link_kind kind, uint32_t peer, struct ilea_span first,
     struct ilea_span second)
{
    if (link->state != STATE_RUNNING) return;
    enum ilea_error error =
        ilea_link_pipe_send(&link->pipe, kind, peer, first, second, out_bytes_max);
    if (error == ILEA_ERROR_NONE) return;
    if (error == ILEA_ERROR_IO) {
        link->state = STATE_ENDED; /* ilea-node has gone: nothing to complain about */
    } else if (error == ILEA_ERROR_BUSY) {
        fail(link, "ilea-node does not read");
    } else {
        fail(link, ilea_error_text(error));
    }
}

static struct ilea_span
text_span(const char *text)
{
    size_t size = strlen(text);
    if (size > ILEA_LINK_TEXT_MAX) size = ILEA_LINK_TEXT_MAX;
    return (struct ilea_span){ (const uint8_t *)text, size };
}

static const char not_an_endpoint[] = "the endpoint is not tcp://address:port with numbers";

static const struct ilea_span nothing = { NULL, 0 };

static void
tell_ready(struct link *link, bool ok, const char *text)
{
    uint8_t flag = ok ? 1 : 0;
    struct ilea_span first = { &flag, 1 };
    tell(link, ILEA_LINK_READY, 0, first, text_span(text));
}

static void
tell_down(struct link *link, struct peer *peer, const char *reason)
{
    if (peer->is_down_told) return;
    peer->is_down_told = true;
    tell(link, ILEA_LINK_DOWN, peer->number, text_span(reason), nothing);
}

/* At most one a second: strangers decide how often there would be something to tell. */
__attribute__((format(printf, 2, 3))) static void
tell_refused(struct link *link, const char *format, ...)
{
    if (link->refused_ms != 0 && link->now_ms - link->refused_ms < REFUSED_MS_MIN) {
        link->refused_unsaid++;
        return;
    }
    char text[ILEA_LINK_TEXT_MAX + 1];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < sizeof text && link->refused_unsaid > 0) {
        snprintf(text + length, sizeof text - (size_t)length, " (and %u more)",
                 link->refused_unsaid);
    }
    link->refused_unsaid = 0;
    link->refused_ms = link->now_ms;
    tell(link, ILEA_LINK_REFUSED, 0, text_span(text), nothing);
}

/* --- peers ------------------------------------------------------------------------------------ */

static struct peer *
find_number(struct link *link, uint32_t number)
{
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        struct peer *peer = &link->peers[i];
        if (peer->is_used && peer->number == number) return peer;
    }
    return NULL;
}

/* NULL: not allowed. Looks at all, each in constant time: strangers can measure the answer. */
static struct peer *
find_key(struct link *link, const uint8_t key[ILEA_LINK_KEY_SIZE])
{
    struct peer *found = NULL;
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        struct peer *peer = &link->peers[i];
        if (ilea_equal_secret(peer->key, key, ILEA_LINK_KEY_SIZE) && peer->is_used) found = peer;
    }
    return found;
}

static void
drop_first(struct link *link, struct peer *peer)
{
    struct message *message = peer->queue_first;
    ilea_assert(peer->queue_bytes >= message->size);
    ilea_assert(link->queued_bytes >= message->size);
    peer->queue_bytes -= message->size;
    link->queued_bytes -= message->size;
    peer->queue_first = message->next;
    if (peer->queue_first == NULL) peer->queue_last = NULL;
    zmq_msg_close(&message->body);
    free(message);
}

static void
drop_queue(struct link *link, struct peer *peer)
{
    while (peer->queue_first != NULL) drop_first(link, peer);
    ilea_assert(peer->queue_bytes == 0);
}

/* The way out is gone: dial again after a while. */
static void
lose_dealer(struct link *link, struct peer *peer, const char *reason)
{
    ilea_link_socket_close(&peer->dealer);
    uint32_t draw;
    ilea_random_bytes(&draw, sizeof draw);
    uint64_t half = peer->backoff_ms / 2;
    peer->dial_ms = link->now_ms + half + draw % (half + 1);
    peer->backoff_ms *= 2;
    if (peer->backoff_ms > BACKOFF_MS_MAX) peer->backoff_ms = BACKOFF_MS_MAX;
    if (peer->is_up || !peer->has_route) {
        drop_queue(link, peer);
        tell_down(link, peer, reason);
    }
    peer->is_up = false;
}

/* The way in is gone. With the way out in use, that is no loss. */
static void
lose_route(struct link *link, struct peer *peer, const char *reason)
{
    if (!peer->has_route) return;
    peer->has_route = false;
    if (peer->is_up) return;
    drop_queue(link, peer);
    tell_down(link, peer, reason);
}

/* The connection is of no more use, whichever it is that is used. */
static void
lose_peer(struct link *link, struct peer *peer, const char *reason)
{
    if (peer->is_up) {
        lose_dealer(link, peer, reason);
    } else {
        drop_queue(link, peer);
        tell_down(link, peer, reason);
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
        const char *reason = error == ILEA_ERROR_INVALID ? not_an_endpoint
                                                         : zmq_strerror(zmq_errno());
        lose_dealer(link, peer, reason);
        return;
    }
    peer->dealt_ms = link->now_ms;
}

/* Close the way out and make it anew at once; what waits is from before. */
static void
redial(struct link *link, struct peer *peer)
{
    ilea_link_socket_close(&peer->dealer);
    drop_queue(link, peer);
    peer->is_up = false;
    peer->is_down_told = false;
    peer->backoff_ms = BACKOFF_MS_MIN;
    peer->dial_ms = link->now_ms;
}

/* --- the ROUTER ------------------------------------------------------------------------------- */

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
        fail(link, "this libzmq refuses an option that we need");
    }
}

static void
close_router(struct link *link, uint64_t pause_ms)
{
    ilea_link_socket_close(&link->router);
    link->rebind_ms = link->now_ms + pause_ms;
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        struct peer *peer = &link->peers[i];
        if (!peer->is_used) continue;
        lose_route(link, peer, "all that came in were disconnected");
        peer->is_admitted = false;
        peer->has_reset_route = false;
    }
}

/* libzmq asks about a key at the handshake only: a connection of a key that was allowed then goes
 * on. What comes through it is discarded; a new ROUTER frees what it holds. */
static void
tend_router(struct link *link)
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
    tell_refused(link, "too many connections: not listening for %d seconds", UNBIND_MS / 1000);
    close_router(link, UNBIND_MS);
}

static void
serve_router_events(struct link *link)
{
    while (link->router.handle != NULL && ilea_link_socket_event(&link->router) != 0) {
        on_accept_failed(link);
    }
}

/* --- sending ---------------------------------------------------------------------------------- */

static enum sent
send_dealer(struct link *link, struct peer *peer, zmq_msg_t *body)
{
    if (zmq_msg_send(body, peer->dealer.handle, ZMQ_DONTWAIT) < 0) {
        return zmq_errno() == EAGAIN ? SENT_LATER : SENT_NEVER;
    }
    peer->dealer_sent_ms = link->now_ms;
    return SENT;
}

static enum sent
send_route(struct link *link, struct peer *peer, zmq_msg_t *body)
{
    void *router = link->router.handle;
    if (zmq_send(router, peer->route, ROUTE_SIZE, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0) {
        return zmq_errno() == EAGAIN ? SENT_LATER : SENT_NEVER;
    }
    /* The route was taken, so there is room for the message. */
    if (zmq_msg_send(body, router, ZMQ_DONTWAIT) < 0) return SENT_NEVER;
    peer->route_sent_ms = link->now_ms;
    return SENT;
}

/* On SENT `body` is empty, else it is as before. */
static enum sent
send_body(struct link *link, struct peer *peer, zmq_msg_t *body)
{
    if (peer->is_up) return send_dealer(link, peer, body);
    if (peer->has_route) return send_route(link, peer, body);
    return SENT_NEVER;
}

static void
on_send_failed(struct link *link, struct peer *peer)
{
    if (peer->is_up) {
        lose_dealer(link, peer, "the connection is gone");
    } else if (peer->has_route) {
        lose_route(link, peer, "the connection is gone");
    } else {
        drop_queue(link, peer);
        tell_down(link, peer, "not connected");
    }
}

static void
drain_queue(struct link *link, struct peer *peer)
{
    bool has_sent = false;
    while (peer->queue_first != NULL) {
        enum sent sent = send_body(link, peer, &peer->queue_first->body);
        if (sent == SENT_NEVER) {
            on_send_failed(link, peer);
            return;
        }
        if (sent == SENT_LATER) break;
        drop_first(link, peer);
        has_sent = true;
    }
    peer->retry_wait_ms = has_sent ? RETRY_MS_MIN : 2 * peer->retry_wait_ms;
    if (peer->retry_wait_ms > RETRY_MS_MAX) peer->retry_wait_ms = RETRY_MS_MAX;
    peer->retry_ms = link->now_ms + peer->retry_wait_ms;
}

/* Takes the message's bytes; false: no memory. */
static bool
enqueue(struct link *link, struct peer *peer, zmq_msg_t *body)
{
    struct message *message = malloc(sizeof *message);
    if (message == NULL) return false;
    message->next = NULL;
    message->size = zmq_msg_size(body);
    zmq_msg_init(&message->body);
    zmq_msg_move(&message->body, body);
    peer->queue_bytes += message->size;
    link->queued_bytes += message->size;
    if (peer->queue_last == NULL) {
        peer->queue_first = message;
        peer->retry_wait_ms = RETRY_MS_MIN;
        peer->retry_ms = link->now_ms + RETRY_MS_MIN;
    } else {
        peer->queue_last->next = message;
    }
    peer->queue_last = message;
    return true;
}

static void
on_send(struct link *link, const struct ilea_link_frame *frame)
{
    struct peer *peer = find_number(link, frame->peer);
    if (peer == NULL) return; /* it was sent before FORGET was decided */
    zmq_msg_t body;
    if (zmq_msg_init_size(&body, frame->body.size) != 0) {
        lose_peer(link, peer, "out of memory");
        return;
    }
    if (frame->body.size > 0) memcpy(zmq_msg_data(&body), frame->body.data, frame->body.size);
    enum sent sent = peer->queue_first == NULL ? send_body(link, peer, &body) : SENT_LATER;
    if (sent == SENT_NEVER) {
        on_send_failed(link, peer);
    } else if (sent == SENT_LATER) {
        size_t size = frame->body.size;
        if (size > ILEA_LINK_QUEUE_BYTES_MAX - peer->queue_bytes ||
            size > queued_bytes_max - link->queued_bytes) {
            lose_peer(link, peer, "too slow: too much was waiting for it");
        } else if (!enqueue(link, peer, &body)) {
            lose_peer(link, peer, "out of memory");
        }
    }
    zmq_msg_close(&body);
}

/* An empty message on each connection that has sent nothing for a while. */
static void
send_heartbeats(struct link *link, struct peer *peer)
{
    zmq_msg_t empty;
    zmq_msg_init(&empty);
    if (peer->is_up && link->now_ms - peer->dealer_sent_ms >= HEARTBEAT_MS &&
        send_dealer(link, peer, &empty) == SENT_NEVER) {
        lose_dealer(link, peer, "the connection is gone");
    }
    if (peer->has_route && link->now_ms - peer->route_sent_ms >= HEARTBEAT_MS &&
        send_route(link, peer, &empty) == SENT_NEVER) {
        lose_route(link, peer, "the connection is gone");
    }
    zmq_msg_close(&empty);
}

/* --- receiving -------------------------------------------------------------------------------- */

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
deliver(struct link *link, struct peer *peer, zmq_msg_t *body)
{
    peer->is_down_told = false;
    if (zmq_msg_size(body) == 0) return;
    struct ilea_span span = { zmq_msg_data(body), zmq_msg_size(body) };
    tell(link, ILEA_LINK_RECV, peer->number, span, nothing);
}

static void
on_router_message(struct link *link, zmq_msg_t *route, zmq_msg_t *body, size_t parts)
{
    uint8_t key[ILEA_LINK_KEY_SIZE];
    struct peer *peer = NULL;
    if (ilea_link_zap_key(zmq_msg_gets(body, "User-Id"), key)) peer = find_key(link, key);
    if (peer == NULL) {
        cut(body);
        tell_refused(link, "a message of a peer that is no longer allowed");
        return;
    }
    const uint8_t *id = zmq_msg_data(route);
    if (parts != 1 || zmq_msg_size(body) > ILEA_LINK_MESSAGE_MAX ||
        zmq_msg_size(route) != ROUTE_SIZE || id[0] != 0) {
        cut(body);
        tell_refused(link, "peer %lu: a message of several parts, or a routing id of its own",
                     (unsigned long)peer->number);
        lose_route(link, peer, "it broke the rules of the connection");
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
    deliver(link, peer, body);
}

static bool
has_room(const struct link *link)
{
    return link->state == STATE_RUNNING && !link->is_paused &&
           ilea_link_pipe_queued(&link->pipe) < pause_bytes;
}

/* Read a whole message: `body` becomes its last part. Returns the number of parts, 0: none. */
static size_t
receive_parts(void *socket, zmq_msg_t *body)
{
    size_t parts = 0;
    while (zmq_msg_recv(body, socket, ZMQ_DONTWAIT) >= 0) {
        parts++;
        if (!zmq_msg_more(body)) break;
    }
    return parts;
}

static void
serve_router(struct link *link)
{
    zmq_msg_t route, body;
    zmq_msg_init(&route);
    zmq_msg_init(&body);
    for (size_t i = 0; i < TURN_MESSAGES_MAX && has_room(link); i++) {
        if (zmq_msg_recv(&route, link->router.handle, ZMQ_DONTWAIT) < 0) break;
        if (!zmq_msg_more(&route)) continue;
        size_t parts = receive_parts(link->router.handle, &body);
        on_router_message(link, &route, &body, parts);
    }
    zmq_msg_close(&body);
    zmq_msg_close(&route);
}

static void
receive_dealer(struct link *link, struct peer *peer)
{
    zmq_msg_t body;
    zmq_msg_init(&body);
    for (size_t i = 0; i < TURN_MESSAGES_MAX && has_room(link); i++) {
        size_t parts = receive_parts(peer->dealer.handle, &body);
        if (parts == 0) break;
        if (parts != 1 || zmq_msg_size(&body) > ILEA_LINK_MESSAGE_MAX) {
            tell_refused(link, "peer %lu: a message of several parts",
                         (unsigned long)peer->number);
            lose_dealer(link, peer, "it broke the rules of the connection");
            break;
        }
        peer->dealer_heard_ms = link->now_ms;
        peer->backoff_ms = BACKOFF_MS_MIN;
        deliver(link, peer, &body);
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
        tell(link, ILEA_LINK_UP, peer->number, nothing, nothing);
    }
    drain_queue(link, peer);
}

static void
serve_dealer(struct link *link, struct peer *peer, short revents)
{
    if ((revents & ZMQ_POLLIN) != 0) receive_dealer(link, peer);
    if (peer->dealer.handle != NULL && (revents & ZMQ_POLLOUT) != 0) on_writable(link, peer);
    while (peer->dealer.handle != NULL) {
        uint16_t event = ilea_link_socket_event(&peer->dealer);
        if (event == 0) break;
        /* What came before the end is still worth having. */
        receive_dealer(link, peer);
        if (peer->dealer.handle != NULL) lose_dealer(link, peer, event_text(event));
    }
}

static void
serve_zap(struct link *link)
{
    struct ilea_link_zap_request request;
    for (size_t i = 0; i < TURN_MESSAGES_MAX; i++) {
        if (!ilea_link_zap_receive(&link->zap, &request)) return;
        struct peer *peer = request.is_valid ? find_key(link, request.key) : NULL;
        ilea_link_zap_answer(&link->zap, &request, peer != NULL);
        if (peer != NULL) {
            peer->is_admitted = true;
            continue;
        }
        char user_id[ILEA_LINK_KEY_HEX_SIZE];
        ilea_link_zap_user_id(request.key, user_id);
        tell_refused(link, "unknown key %s from %s", user_id, request.address);
    }
}

/* --- from ilea-node --------------------------------------------------------------------------- */

/* Copy text that must hold no NUL. */
static bool
copy_text(struct ilea_link_endpoint *text, struct ilea_span span)
{
    if (span.size > ILEA_LINK_TEXT_MAX) return false;
    if (span.size > 0 && memchr(span.data, '\0', span.size) != NULL) return false;
    *text = (struct ilea_link_endpoint){ { 0 } };
    if (span.size > 0) memcpy(text->text, span.data, span.size);
    return true;
}

/* Our key pair, in memory that is locked and wiped. libzmq keeps copies of its own in plain
 * memory, which is why this process has no core dumps and can be asked for no other key. */
static bool
take_secret(struct link *link, struct ilea_span body)
{
    link->keys.secret = sodium_malloc(ILEA_LINK_KEY_SIZE);
    if (link->keys.secret == NULL) return false;
    memcpy(link->keys.secret, body.data, ILEA_LINK_KEY_SIZE);
    /* The frame lies in our own buffer, which the decoder hands out as read-only. */
    ilea_wipe(link->pipe.in + (body.data - link->pipe.in), ILEA_LINK_KEY_SIZE);
    return crypto_scalarmult_base(link->keys.public, link->keys.secret) == 0;
}

static bool
open_context(struct link *link)
{
    if (zmq_has("curve") != 1) return false;
    link->context = zmq_ctx_new();
    return link->context != NULL &&
           zmq_ctx_set(link->context, ZMQ_IO_THREADS, IO_THREADS) == 0 &&
           zmq_ctx_set(link->context, ZMQ_MAX_SOCKETS, SOCKETS_MAX) == 0 &&
           zmq_ctx_set(link->context, ZMQ_BLOCKY, 0) == 0 &&
           ilea_link_zap_open(&link->zap, link->context) == ILEA_ERROR_NONE;
}

/* With an endpoint: listen there, and tell ilea-node. If that fails we can still dial. */
static void
open_router(struct link *link)
{
    if (link->bound.text[0] == '\0') {
        tell_ready(link, true, "");
        return;
    }
    struct ilea_link_endpoint endpoint = link->bound;
    enum ilea_error error =
        ilea_link_socket_listen(endpoint.text, &link->listener, &link->bound);
    if (error != ILEA_ERROR_NONE) {
        tell_ready(link, false, error == ILEA_ERROR_INVALID ? not_an_endpoint : strerror(errno));
        return;
    }
    bind_router(link);
    tell_ready(link, true, link->bound.text);
}

static void
on_config(struct link *link, const struct ilea_link_frame *frame)
{
    struct ilea_span body = frame->body;
    size_t size = (size_t)body.data[ILEA_LINK_KEY_SIZE] << 8 | body.data[ILEA_LINK_KEY_SIZE + 1];
    struct ilea_span endpoint = { body.data + ILEA_LINK_KEY_SIZE + 2,
                                  body.size - ILEA_LINK_KEY_SIZE - 2 };
    if (link->is_configured || endpoint.size != size ||
        !copy_text(&link->bound, endpoint)) {
        fail(link, "CONFIG is malformed or was sent before");
        return;
    }
    if (!take_secret(link, body)) {
        fail(link, "the transport key cannot be used");
        return;
    }
    if (!open_context(link)) {
        fail(link, "this libzmq has no CURVE, or cannot start");
        return;
    }
    link->is_configured = true;
    open_router(link);
}

static void
forget(struct link *link, struct peer *peer)
{
    ilea_link_socket_close(&peer->dealer);
    drop_queue(link, peer);
    if (peer->is_admitted) link->is_renewal_due = true;
    *peer = (struct peer){ .is_used = false };
}

/* The peer under this number, new if need be; NULL: it cannot be. */
static struct peer *
add_peer(struct link *link, uint32_t number, const uint8_t *key)
{
    struct peer *peer = find_number(link, number);
    if (peer != NULL && memcmp(peer->key, key, ILEA_LINK_KEY_SIZE) != 0) forget(link, peer);
    struct peer *same = find_key(link, key);
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

static void
on_peer(struct link *link, const struct ilea_link_frame *frame)
{
    const uint8_t *key = frame->body.data;
    uint8_t dial_flag = frame->body.data[ILEA_LINK_KEY_SIZE];
    struct ilea_span span = { frame->body.data + ILEA_LINK_KEY_SIZE + 1,
                              frame->body.size - ILEA_LINK_KEY_SIZE - 1 };
    struct ilea_link_endpoint endpoint;
    if (dial_flag > 1 || !copy_text(&endpoint, span)) {
        fail(link, "PEER is malformed");
        return;
    }
    struct peer *peer = add_peer(link, frame->peer, key);
    if (peer == NULL) {
        struct peer unknown = { .number = frame->peer };
        tell_down(link, &unknown, "too many peers, or another has the same key");
        return;
    }
    bool is_dialled = dial_flag == 1 && endpoint.text[0] != '\0';
    if (is_dialled == peer->is_dialled && strcmp(endpoint.text, peer->endpoint.text) == 0) return;
    peer->is_dialled = is_dialled;
    peer->endpoint = endpoint;
    redial(link, peer);
}

static void
on_reset(struct link *link, struct peer *peer)
{
    redial(link, peer);
    if (!peer->has_route) return;
    /* The peer dialled us, and makes its connection anew when its next message finds it cut. */
    memcpy(peer->reset_route, peer->route, ROUTE_SIZE);
    peer->has_reset_route = true;
    peer->has_route = false;
}

static void
on_frame(struct link *link, const struct ilea_link_frame *frame)
{
    if (!link->is_configured && frame->kind != ILEA_LINK_CONFIG) {
        fail(link, "the first frame must be CONFIG");
        return;
    }
    struct peer *peer = find_number(link, frame->peer);
    switch (frame->kind) {
    case ILEA_LINK_CONFIG:
        on_config(link, frame);
        return;
    case ILEA_LINK_PEER:
        on_peer(link, frame);
        return;
    case ILEA_LINK_FORGET:
        if (peer != NULL) forget(link, peer);
        return;
    case ILEA_LINK_SEND:
        on_send(link, frame);
        return;
    case ILEA_LINK_RESET:
        if (peer != NULL) on_reset(link, peer);
        return;
    case ILEA_LINK_PING:
        tell(link, ILEA_LINK_PONG, 0, nothing, nothing);
        return;
    case ILEA_LINK_READY:
    case ILEA_LINK_UP:
    case ILEA_LINK_DOWN:
    case ILEA_LINK_RECV:
    case ILEA_LINK_REFUSED:
    case ILEA_LINK_PONG:
        break;
    }
    fail(link, "a frame that only ilea-link sends");
}

static void
serve_pipe(struct link *link)
{
    enum ilea_error error = ilea_link_pipe_fill(&link->pipe);
    struct ilea_link_frame frame;
    while (link->state == STATE_RUNNING) {
        enum ilea_error next = ilea_link_pipe_next(&link->pipe, &frame);
        if (next == ILEA_ERROR_MALFORMED) fail(link, "a malformed frame");
        if (next != ILEA_ERROR_NONE) break;
        on_frame(link, &frame);
    }
    if (error == ILEA_ERROR_NO_MEMORY) fail(link, ilea_error_text(error));
    if (error == ILEA_ERROR_IO && link->state == STATE_RUNNING) link->state = STATE_ENDED;
}

/* --- the loop --------------------------------------------------------------------------------- */

/* What the clock alone decides about one peer. */
static void
tend_peer(struct link *link, struct peer *peer)
{
    uint64_t now_ms = link->now_ms;
    if (peer->queue_first != NULL && !peer->is_up && now_ms >= peer->retry_ms) {
        drain_queue(link, peer);
    }
    send_heartbeats(link, peer);
    if (link->is_paused) return; /* what we do not read says nothing about its sender */
    if (peer->has_route && now_ms - peer->route_heard_ms >= ROUTE_SILENCE_MS_MAX) {
        lose_route(link, peer, "silent");
    }
    if (peer->dealer.handle == NULL) {
        if (peer->is_dialled && now_ms >= peer->dial_ms) dial(link, peer);
    } else if (peer->is_up && now_ms - peer->dealer_heard_ms >= SILENCE_MS_MAX) {
        lose_dealer(link, peer, "silent");
    } else if (!peer->is_up && now_ms - peer->dealt_ms >= UP_MS_MAX) {
        lose_dealer(link, peer, "no connection");
    }
}

/* Stop reading while ilea-node is behind, and go on when half is gone. */
static void
tend_pause(struct link *link)
{
    size_t queued = ilea_link_pipe_queued(&link->pipe);
    if (!link->is_paused) {
        link->is_paused = queued >= pause_bytes;
        return;
    }
    if (queued > pause_bytes / 2) return;
    link->is_paused = false;
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        struct peer *peer = &link->peers[i];
        peer->dealer_heard_ms = peer->route_heard_ms = link->now_ms;
    }
}

enum {
    ITEM_PIPE,
    ITEM_SIGNAL,
    ITEM_ZAP,
    ITEM_ROUTER,
    ITEM_ROUTER_EVENTS,
    ITEM_PEERS, /* two each: DEALER, its events */
    ITEM_COUNT = ITEM_PEERS + 2 * ILEA_LINK_PEERS_MAX
};

/* The items of what is closed: libzmq skips neither, so they are left out. */
struct poll_set {
    zmq_pollitem_t items[ITEM_COUNT];
    int count;
    int index[ITEM_COUNT]; /* -1: left out */
};

static void
add_item(struct poll_set *set, int item, void *socket, int fd, int events)
{
    set->index[item] = set->count;
    set->items[set->count++] =
        (zmq_pollitem_t){ .socket = socket, .fd = fd, .events = (short)events };
}

static short
item_events(const struct poll_set *set, int item)
{
    return set->index[item] < 0 ? 0 : set->items[set->index[item]].revents;
}

static void
fill_poll_set(struct link *link, struct poll_set *set)
{
    set->count = 0;
    for (int i = 0; i < ITEM_COUNT; i++) set->index[i] = -1;
    int out = ilea_link_pipe_queued(&link->pipe) > 0 ? ZMQ_POLLOUT : 0;
    int in = link->is_paused ? 0 : ZMQ_POLLIN;
    add_item(set, ITEM_PIPE, NULL, link->pipe.fd, ZMQ_POLLIN | out);
    add_item(set, ITEM_SIGNAL, NULL, link->signal_fd, ZMQ_POLLIN);
    if (!link->is_configured) return;
    add_item(set, ITEM_ZAP, link->zap.socket.handle, 0, ZMQ_POLLIN);
    if (link->router.handle != NULL) {
        add_item(set, ITEM_ROUTER, link->router.handle, 0, in);
        add_item(set, ITEM_ROUTER_EVENTS, link->router.monitor, 0, ZMQ_POLLIN);
    }
    for (int i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        struct peer *peer = &link->peers[i];
        if (peer->dealer.handle == NULL) continue;
        bool wants_out = !peer->is_up || peer->queue_first != NULL;
        add_item(set, ITEM_PEERS + 2 * i, peer->dealer.handle, 0,
                 in | (wants_out ? ZMQ_POLLOUT : 0));
        add_item(set, ITEM_PEERS + 2 * i + 1, peer->dealer.monitor, 0, ZMQ_POLLIN);
    }
}

/* Milliseconds until the clock may decide something. */
static long
poll_ms(const struct link *link)
{
    uint64_t wait_ms = TICK_MS;
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        const struct peer *peer = &link->peers[i];
        if (peer->queue_first == NULL || peer->is_up) continue;
        uint64_t left = peer->retry_ms > link->now_ms ? peer->retry_ms - link->now_ms : 0;
        if (left < wait_ms) wait_ms = left;
    }
    return (long)wait_ms;
}

/* Messages first and ilea-node's frames after them: only these close sockets that are in `set`,
 * apart from a peer's own. */
static void
serve(struct link *link, const struct poll_set *set)
{
    if ((item_events(set, ITEM_PIPE) & ZMQ_POLLOUT) != 0 &&
        ilea_link_pipe_flush(&link->pipe) != ILEA_ERROR_NONE) {
        link->state = STATE_ENDED;
    }
    if (item_events(set, ITEM_SIGNAL) != 0) link->state = STATE_ENDED;
    if (link->state != STATE_RUNNING) return;
    if (item_events(set, ITEM_ZAP) != 0) serve_zap(link);
    if (item_events(set, ITEM_ROUTER) != 0) serve_router(link);
    if (item_events(set, ITEM_ROUTER_EVENTS) != 0) serve_router_events(link);
    for (int i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        short events = item_events(set, ITEM_PEERS + 2 * i);
        short monitor_events = item_events(set, ITEM_PEERS + 2 * i + 1);
        if (events != 0 || monitor_events != 0) serve_dealer(link, &link->peers[i], events);
    }
    if ((item_events(set, ITEM_PIPE) & ~ZMQ_POLLOUT) != 0) serve_pipe(link);
}

static void
turn(struct link *link, struct poll_set *set)
{
    fill_poll_set(link, set);
    if (zmq_poll(set->items, set->count, poll_ms(link)) < 0) {
        if (zmq_errno() != EINTR) fail(link, zmq_strerror(zmq_errno()));
        return;
    }
    link->now_ms = read_clock();
    serve(link, set);
    if (link->state != STATE_RUNNING || !link->is_configured) return;
    tend_pause(link);
    tend_router(link);
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        if (link->peers[i].is_used) tend_peer(link, &link->peers[i]);
    }
}

static void
close_link(struct link *link)
{
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        ilea_link_socket_close(&link->peers[i].dealer);
        drop_queue(link, &link->peers[i]);
    }
    ilea_link_socket_close(&link->router);
    /* After the ROUTER: while one listens, the other answers. */
    ilea_link_zap_close(&link->zap);
    if (link->listener >= 0) close(link->listener);
    if (link->context != NULL) zmq_ctx_term(link->context);
    sodium_free(link->keys.secret);
    ilea_link_pipe_deinit(&link->pipe);
}

int
ilea_link_run(int fd, int signal_fd)
{
    struct link *link = calloc(1, sizeof *link);
    struct poll_set *set = calloc(1, sizeof *set);
    int status = 1;
    if (link != NULL && set != NULL) {
        link->signal_fd = signal_fd;
        link->listener = -1;
        link->now_ms = read_clock();
        ilea_link_pipe_init(&link->pipe, fd);
        while (link->state == STATE_RUNNING) turn(link, set);
        status = link->state == STATE_ENDED ? 0 : 1;
        close_link(link);
    }
    free(set);
    free(link);
    return status;
}
