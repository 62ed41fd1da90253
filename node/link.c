#include "node/link.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/link_state.h"

enum {
    IO_THREADS = 2, /* they do the encryption */
    SOCKETS_MAX = 1023,
    TICK_MS = 500
};

static uint64_t
read_clock(void)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);
    ilea_assert(rc == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Our key pair, in memory that is locked and wiped. libzmq keeps copies of its own in plain
 * memory, which is why this process has no core dumps and can be asked for no other key. */
bool
ilea_link_take_secret(struct link *link, struct ilea_span body)
{
    link->keys.secret = sodium_malloc(ILEA_LINK_KEY_SIZE);
    if (link->keys.secret == NULL) return false;
    memcpy(link->keys.secret, body.data, ILEA_LINK_KEY_SIZE);
    /* The frame lies in our own buffer, which the decoder hands out as read-only. */
    ilea_wipe(link->pipe.in + (body.data - link->pipe.in), ILEA_LINK_KEY_SIZE);
    return crypto_scalarmult_base(link->keys.public, link->keys.secret) == 0;
}

bool
ilea_link_open_context(struct link *link)
{
    if (zmq_has("curve") != 1) return false;
    link->context = zmq_ctx_new();
    return link->context != NULL &&
           zmq_ctx_set(link->context, ZMQ_IO_THREADS, IO_THREADS) == 0 &&
           zmq_ctx_set(link->context, ZMQ_MAX_SOCKETS, SOCKETS_MAX) == 0 &&
           zmq_ctx_set(link->context, ZMQ_BLOCKY, 0) == 0 &&
           ilea_link_zap_open(&link->zap, link->context) == ILEA_ERROR_NONE;
}

enum {
    ITEM_PIPE,
    ITEM_SIGNAL,
    ITEM_ZAP,
    ITEM_ROUTER,
    ITEM_ROUTER_EVENTS,
    ITEM_LOBBY,
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
    int lobby = ilea_link_lobby_fd(link);
    if (lobby >= 0) add_item(set, ITEM_LOBBY, NULL, lobby, ZMQ_POLLIN);
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
    if (item_events(set, ITEM_ZAP) != 0) ilea_link_serve_zap(link);
    if (item_events(set, ITEM_ROUTER) != 0) ilea_link_serve_router(link);
    if (item_events(set, ITEM_ROUTER_EVENTS) != 0) ilea_link_serve_router_events(link);
    for (int i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        short events = item_events(set, ITEM_PEERS + 2 * i);
        short monitor_events = item_events(set, ITEM_PEERS + 2 * i + 1);
        if (events == 0 && monitor_events == 0) continue;
        ilea_link_serve_dealer(link, &link->peers[i], events);
    }
    if (item_events(set, ITEM_LOBBY) != 0) ilea_link_serve_lobby(link);
    if ((item_events(set, ITEM_PIPE) & ~ZMQ_POLLOUT) != 0) ilea_link_serve_pipe(link);
}

static void
turn(struct link *link, struct poll_set *set)
{
    fill_poll_set(link, set);
    if (zmq_poll(set->items, set->count, poll_ms(link)) < 0) {
        if (zmq_errno() != EINTR) ilea_link_fail(link, zmq_strerror(zmq_errno()));
        return;
    }
    link->now_ms = read_clock();
    serve(link, set);
    if (link->state != STATE_RUNNING || !link->is_configured) return;
    ilea_link_tend_pause(link);
    ilea_link_tend_router(link);
    ilea_link_tend_lobby(link);
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        if (link->peers[i].is_used) ilea_link_tend_peer(link, &link->peers[i]);
    }
}

static void
close_link(struct link *link)
{
    ilea_lobby_close(link->lobby);
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        ilea_link_socket_close(&link->peers[i].dealer);
        ilea_link_drop_queue(link, &link->peers[i]);
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
