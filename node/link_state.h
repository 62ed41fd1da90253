/*
 * link_state.h - the memory of ilea-link, shared by link*.c alone.
 *
 *   link.c         the loop, our key pair and the context
 *   link_lobby.c   the lobby's thread, as the loop sees it
 *   link_node.c    ilea-node's side: what it asks for and what it is told
 *   link_peer.c    the table of peers, and the way out to each
 *   link_queue.c   what goes to peers, and what waits
 *   link_router.c  the one way in: the ROUTER, and who is let in
 */
#ifndef ILEA_NODE_LINK_STATE_H
#define ILEA_NODE_LINK_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "include/ilea/span.h"
#include "node/link_frame.h"
#include "node/link_socket.h"
#include "node/link_zap.h"
#include "node/lobby.h"

enum {
    ROUTE_SIZE = 5, /* of a routing id made up by libzmq: a zero and a number */
    TURN_MESSAGES_MAX = 16, /* of one socket, before the others have their turn */
    HEARTBEAT_MS = 5000,
    BACKOFF_MS_MIN = 2000 /* the wait is between half of it and all of it */
};

#define ILEA_LINK_NOT_AN_ENDPOINT "the endpoint is not tcp://address:port with numbers"

struct message; /* link_queue.c */

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

    struct ilea_lobby *lobby; /* NULL: closed */
    uint64_t counted_ms;
    uint8_t counts_told[8 * ILEA_LINK_COUNTS];

    size_t queued_bytes;
    struct peer peers[ILEA_LINK_PEERS_MAX];
};

/* link.c */
bool ilea_link_open_context(struct link *link);
bool ilea_link_take_secret(struct link *link, struct ilea_span body);

/* link_lobby.c */
int ilea_link_lobby_fd(const struct link *link);
bool ilea_link_on_lobby(struct link *link, const struct ilea_link_frame *frame);
void ilea_link_serve_lobby(struct link *link);
void ilea_link_tend_lobby(struct link *link);

/* link_node.c */
void ilea_link_fail(struct link *link, const char *reason);
bool ilea_link_has_room(const struct link *link);
void ilea_link_serve_pipe(struct link *link);
void ilea_link_tell(struct link *link, enum ilea_link_kind kind, uint32_t peer,
                    struct ilea_span first, struct ilea_span second);
void ilea_link_tell_down(struct link *link, struct peer *peer, const char *reason);
void ilea_link_tell_ready(struct link *link, bool ok, const char *text);
void ilea_link_tell_refused(struct link *link, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ilea_link_tend_pause(struct link *link);

/* link_peer.c */
struct peer *ilea_link_add_peer(struct link *link, uint32_t number, const uint8_t *key);
void ilea_link_deliver(struct link *link, struct peer *peer, zmq_msg_t *body);
struct peer *ilea_link_find_key(struct link *link, const uint8_t key[ILEA_LINK_KEY_SIZE]);
struct peer *ilea_link_find_number(struct link *link, uint32_t number);
void ilea_link_forget(struct link *link, struct peer *peer);
void ilea_link_lose_dealer(struct link *link, struct peer *peer, const char *reason);
void ilea_link_lose_peer(struct link *link, struct peer *peer, const char *reason);
void ilea_link_lose_route(struct link *link, struct peer *peer, const char *reason);
size_t ilea_link_receive_parts(void *socket, zmq_msg_t *body);
void ilea_link_redial(struct link *link, struct peer *peer);
void ilea_link_serve_dealer(struct link *link, struct peer *peer, short revents);
void ilea_link_tend_peer(struct link *link, struct peer *peer);

/* link_queue.c */
void ilea_link_drain_queue(struct link *link, struct peer *peer);
void ilea_link_drop_queue(struct link *link, struct peer *peer);
void ilea_link_send(struct link *link, const struct ilea_link_frame *frame);
void ilea_link_send_heartbeats(struct link *link, struct peer *peer);

/* link_router.c */
void ilea_link_open_router(struct link *link);
void ilea_link_serve_router(struct link *link);
void ilea_link_serve_router_events(struct link *link);
void ilea_link_serve_zap(struct link *link);
void ilea_link_tend_router(struct link *link);

#endif
