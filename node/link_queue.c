/* link_queue.c - what goes to peers: sent at once, or kept until there is room. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "node/link_state.h"

enum {
    RETRY_MS_MIN = 1, /* a full route has no event that says when to go on */
    RETRY_MS_MAX = 32
};

/* Bytes that wait for all peers together. The memory limit of the process must not be reached by
 * being slow: libzmq aborts when it gets no memory. */
static const size_t queued_bytes_max = 64 * 1024 * 1024;

struct message {
    struct message *next;
    size_t size;
    zmq_msg_t body;
};

enum sent { SENT, SENT_LATER, SENT_NEVER };

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

void
ilea_link_drop_queue(struct link *link, struct peer *peer)
{
    while (peer->queue_first != NULL) drop_first(link, peer);
    ilea_assert(peer->queue_bytes == 0);
}

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
        ilea_link_lose_dealer(link, peer, "the connection is gone");
    } else if (peer->has_route) {
        ilea_link_lose_route(link, peer, "the connection is gone");
    } else {
        ilea_link_drop_queue(link, peer);
        ilea_link_tell_down(link, peer, "not connected");
    }
}

void
ilea_link_drain_queue(struct link *link, struct peer *peer)
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

void
ilea_link_send(struct link *link, const struct ilea_link_frame *frame)
{
    struct peer *peer = ilea_link_find_number(link, frame->peer);
    if (peer == NULL) return; /* it was sent before FORGET was decided */
    zmq_msg_t body;
    if (zmq_msg_init_size(&body, frame->body.size) != 0) {
        ilea_link_lose_peer(link, peer, "out of memory");
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
            ilea_link_lose_peer(link, peer, "too slow: too much was waiting for it");
        } else if (!enqueue(link, peer, &body)) {
            ilea_link_lose_peer(link, peer, "out of memory");
        }
    }
    zmq_msg_close(&body);
}

/* An empty message on each connection that has sent nothing for a while. */
void
ilea_link_send_heartbeats(struct link *link, struct peer *peer)
{
    zmq_msg_t empty;
    zmq_msg_init(&empty);
    if (peer->is_up && link->now_ms - peer->dealer_sent_ms >= HEARTBEAT_MS &&
        send_dealer(link, peer, &empty) == SENT_NEVER) {
        ilea_link_lose_dealer(link, peer, "the connection is gone");
    }
    if (peer->has_route && link->now_ms - peer->route_sent_ms >= HEARTBEAT_MS &&
        send_route(link, peer, &empty) == SENT_NEVER) {
        ilea_link_lose_route(link, peer, "the connection is gone");
    }
    zmq_msg_close(&empty);
}
