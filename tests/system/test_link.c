/*
 * test_link.c - real ilea-link processes on 127.0.0.1, each held over a socketpair as ilea-node
 * holds it, against each other, strangers, approved peers that break rules, and a bad wire.
 *
 * Takes the path of ilea-link as its argument or from the environment (ILEA_LINK). Every wait is
 * bounded, and only processes started here are ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "node/link_frame.h"
#include "node/link_socket.h"
#include "node/link_zap.h"

enum {
    KEY_SIZE = 32,
    OUT_MAX = 256 * 1024 * 1024,
    QUIET_MS = 600,   /* long enough for what must not happen to happen on loopback */
    SOON_MS = 5000,   /* what has no reason to wait */
    AGAIN_MS = 20000, /* a connection made anew, with its back-off */
    EXIT_USAGE = 64
};

static const struct ilea_span nothing = { NULL, 0 };

struct key_pair {
    uint8_t public[KEY_SIZE], secret[KEY_SIZE];
};

/* A frame that was read and not yet asked for. */
struct kept {
    struct kept *next;
    enum ilea_link_kind kind;
    uint32_t peer;
    size_t size;
    uint8_t body[];
};

/* One ilea-link and our end of its socketpair. */
struct node {
    pid_t pid;
    struct ilea_link_pipe pipe;
    struct key_pair keys;
    char endpoint[ILEA_LINK_TEXT_MAX + 1];
    struct kept *first, *last;
};

static uint64_t
read_clock(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static const char *
link_path(void)
{
    return getenv("ILEA_LINK");
}

static void
make_keys(struct key_pair *keys)
{
    crypto_box_keypair(keys->public, keys->secret);
}

/* --- the socketpair --------------------------------------------------------------------------- */

static void
keep_frames(struct node *node)
{
    struct ilea_link_frame frame;
    enum ilea_error error;
    while ((error = ilea_link_pipe_next(&node->pipe, &frame)) == ILEA_ERROR_NONE) {
        struct kept *kept = malloc(sizeof *kept + frame.body.size + 1);
        assert_non_null(kept);
        *kept = (struct kept){ .kind = frame.kind, .peer = frame.peer, .size = frame.body.size };
        if (frame.body.size > 0) memcpy(kept->body, frame.body.data, frame.body.size);
        kept->body[frame.body.size] = '\0';
        if (node->last == NULL) {
            node->first = kept;
        } else {
            node->last->next = kept;
        }
        node->last = kept;
    }
    assert_int_equal(error, ILEA_ERROR_NOT_FOUND);
}

/* Write what waits and read what has come, for at most `ms`. False: the process has gone. */
static bool
exchange(struct node *node, int ms)
{
    short out = ilea_link_pipe_queued(&node->pipe) > 0 ? POLLOUT : 0;
    struct pollfd item = { .fd = node->pipe.fd, .events = (short)(POLLIN | out) };
    int count = poll(&item, 1, ms);
    assert_true(count >= 0);
    if (count == 0) return true;
    if ((item.revents & POLLOUT) != 0 && ilea_link_pipe_flush(&node->pipe) != ILEA_ERROR_NONE) {
        return false;
    }
    if ((item.revents & (POLLIN | POLLHUP | POLLERR)) == 0) return true;
    enum ilea_error error = ilea_link_pipe_fill(&node->pipe);
    keep_frames(node);
    return error == ILEA_ERROR_NONE;
}

static void
send_parts(struct node *node, enum ilea_link_kind kind, uint32_t peer, struct ilea_span first,
           struct ilea_span second)
{
    assert_int_equal(ilea_link_pipe_send(&node->pipe, kind, peer, first, second, OUT_MAX),
                     ILEA_ERROR_NONE);
    /* ilea-link always reads. */
    uint64_t deadline = read_clock() + SOON_MS;
    while (ilea_link_pipe_queued(&node->pipe) > 0 && read_clock() < deadline) {
        assert_true(exchange(node, 100));
    }
    assert_int_equal(ilea_link_pipe_queued(&node->pipe), 0);
}

static void
send_frame(struct node *node, enum ilea_link_kind kind, uint32_t peer)
{
    send_parts(node, kind, peer, nothing, nothing);
}

static void
send_bytes(struct node *node, uint32_t peer, const void *bytes, size_t size)
{
    send_parts(node, ILEA_LINK_SEND, peer, (struct ilea_span){ bytes, size }, nothing);
}

static void
send_text(struct node *node, uint32_t peer, const char *text)
{
    send_bytes(node, peer, text, strlen(text));
}

/* The first frame of this kind for this peer, once it has come; NULL: not within `ms`. The caller
 * frees it. */
static struct kept *
take(struct node *node, enum ilea_link_kind kind, uint32_t peer, uint64_t ms)
{
    uint64_t deadline = read_clock() + ms;
    for (;;) {
        struct kept *before = NULL;
        for (struct kept *kept = node->first; kept != NULL; before = kept, kept = kept->next) {
            if (kept->kind != kind || kept->peer != peer) continue;
            if (before == NULL) {
                node->first = kept->next;
            } else {
                before->next = kept->next;
            }
            if (node->last == kept) node->last = before;
            return kept;
        }
        uint64_t now = read_clock();
        if (now >= deadline || !exchange(node, (int)(deadline - now))) return NULL;
    }
}

static bool
has(struct node *node, enum ilea_link_kind kind, uint32_t peer, uint64_t ms)
{
    struct kept *kept = take(node, kind, peer, ms);
    bool is_there = kept != NULL;
    free(kept);
    return is_there;
}

static bool
has_text(struct node *node, enum ilea_link_kind kind, uint32_t peer, const char *text, uint64_t ms)
{
    struct kept *kept = take(node, kind, peer, ms);
    bool is_same = kept != NULL && kept->size == strlen(text) &&
                   memcmp(kept->body, text, kept->size) == 0;
    free(kept);
    return is_same;
}

static void
forget_frames(struct node *node)
{
    while (node->first != NULL) {
        struct kept *next = node->first->next;
        free(node->first);
        node->first = next;
    }
    node->last = NULL;
}

/* --- processes -------------------------------------------------------------------------------- */

static pid_t
run_link(const char *argument, int fd)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid != 0) return pid;
    if (fd >= 0) fcntl(fd, F_SETFD, 0);
    execl(link_path(), "ilea-link", argument, (char *)NULL);
    _exit(127);
}

/* The exit status, once it has ended by itself; -1: it has not within `ms`. 128: by a signal. */
static int
wait_end(pid_t pid, uint64_t ms)
{
    uint64_t deadline = read_clock() + ms;
    do {
        int status;
        if (waitpid(pid, &status, WNOHANG) == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
        }
        usleep(10000);
    } while (read_clock() < deadline);
    return -1;
}

static void
spawn(struct node *node)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    char number[16];
    snprintf(number, sizeof number, "%d", fds[1]);
    node->pid = run_link(number, fds[1]);
    close(fds[1]);
    ilea_link_pipe_init(&node->pipe, fds[0]);
}

static void
configure(struct node *node, const char *endpoint)
{
    uint8_t head[KEY_SIZE + 2];
    memcpy(head, node->keys.secret, KEY_SIZE);
    head[KEY_SIZE] = 0;
    head[KEY_SIZE + 1] = (uint8_t)strlen(endpoint);
    send_parts(node, ILEA_LINK_CONFIG, 0, (struct ilea_span){ head, sizeof head },
               (struct ilea_span){ (const uint8_t *)endpoint, strlen(endpoint) });
}

/* Start with the node's keys; its endpoint is what it says that it is bound to. */
static void
start(struct node *node, const char *endpoint)
{
    spawn(node);
    configure(node, endpoint);
    struct kept *ready = take(node, ILEA_LINK_READY, 0, SOON_MS);
    assert_non_null(ready);
    assert_int_equal(ready->body[0], 1);
    memcpy(node->endpoint, ready->body + 1, ready->size); /* with the NUL behind it */
    free(ready);
}

static void
start_new(struct node *node, const char *endpoint)
{
    *node = (struct node){ 0 };
    make_keys(&node->keys);
    start(node, endpoint);
}

static void
close_pair(struct node *node)
{
    close(node->pipe.fd);
    ilea_link_pipe_deinit(&node->pipe);
    forget_frames(node);
}

static void
stop(struct node *node)
{
    close_pair(node);
    assert_int_equal(wait_end(node->pid, SOON_MS), 0);
}

static void
allow(struct node *node, uint32_t peer, const struct key_pair *keys, const char *dialled)
{
    uint8_t head[KEY_SIZE + 1];
    memcpy(head, keys->public, KEY_SIZE);
    head[KEY_SIZE] = dialled != NULL;
    struct ilea_span endpoint = nothing;
    if (dialled != NULL) {
        endpoint = (struct ilea_span){ (const uint8_t *)dialled, strlen(dialled) };
    }
    send_parts(node, ILEA_LINK_PEER, peer, (struct ilea_span){ head, sizeof head }, endpoint);
}

/* `b` dials `a`; a's number for b is 2, b's for a is 1. */
static void
start_two(struct node *a, struct node *b)
{
    start_new(a, "tcp://127.0.0.1:*");
    start_new(b, "");
    allow(a, 2, &b->keys, NULL);
    allow(b, 1, &a->keys, a->endpoint);
    assert_true(has(b, ILEA_LINK_UP, 1, AGAIN_MS));
}

/* The connection carries messages both ways: until both have come, or the test fails. */
static void
talk(struct node *a, struct node *b, const char *text)
{
    send_text(b, 1, text);
    assert_true(has_text(a, ILEA_LINK_RECV, 2, text, SOON_MS));
    send_text(a, 2, text);
    assert_true(has_text(b, ILEA_LINK_RECV, 1, text, SOON_MS));
}

/* --- raw clients ------------------------------------------------------------------------------ */

static void *
raw_dealer(void *context, const struct key_pair *keys, const struct node *server, const char *id)
{
    void *socket = zmq_socket(context, ZMQ_DEALER);
    int zero = 0;
    int timeout = SOON_MS;
    assert_non_null(socket);
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(socket, ZMQ_SNDTIMEO, &timeout, sizeof timeout);
    if (id != NULL) zmq_setsockopt(socket, ZMQ_ROUTING_ID, id, strlen(id));
    if (keys != NULL) {
        zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server->keys.public, KEY_SIZE);
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->public, KEY_SIZE);
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret, KEY_SIZE);
    }
    assert_int_equal(zmq_connect(socket, server->endpoint), 0);
    return socket;
}

/* The next message that is no sign of life, as text; empty: none within `ms`. */
static const char *
raw_take(void *socket, int ms, char *text, size_t size)
{
    uint64_t deadline = read_clock() + (uint64_t)ms;
    do {
        zmq_pollitem_t item = { .socket = socket, .events = ZMQ_POLLIN };
        if (zmq_poll(&item, 1, 20) <= 0) continue;
        int length = zmq_recv(socket, text, size - 1, ZMQ_DONTWAIT);
        if (length <= 0) continue;
        text[(size_t)length < size ? (size_t)length : size - 1] = '\0';
        return text;
    } while (read_clock() < deadline);
    return "";
}

static int
raw_tcp(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)atoi(colon + 1)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval timeout = { .tv_sec = 2 };
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void
raw_write(int fd, const void *bytes, size_t size)
{
    /* It may be cut off at any point: that is the purpose. */
    ssize_t rc = send(fd, bytes, size, MSG_NOSIGNAL);
    (void)rc;
}

/* --- tests ------------------------------------------------------------------------------------ */

/* Goal: every size up to the limit, both ways, in order; many at once too. */
static void
test_link_exchange(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 33, 34, 255, 256, 65535, 65536, ILEA_LINK_MESSAGE_MAX };
    struct node a, b;
    start_two(&a, &b);
    talk(&a, &b, "hello");
    uint8_t *bytes = malloc(ILEA_LINK_MESSAGE_MAX);
    assert_non_null(bytes);
    randombytes_buf(bytes, ILEA_LINK_MESSAGE_MAX);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        send_bytes(&b, 1, bytes, sizes[i]);
        send_bytes(&a, 2, bytes, sizes[i]);
        struct kept *there = take(&a, ILEA_LINK_RECV, 2, SOON_MS);
        struct kept *back = take(&b, ILEA_LINK_RECV, 1, SOON_MS);
        assert_non_null(there);
        assert_non_null(back);
        assert_int_equal(there->size, sizes[i]);
        assert_int_equal(back->size, sizes[i]);
        assert_memory_equal(there->body, bytes, sizes[i]);
        assert_memory_equal(back->body, bytes, sizes[i]);
        free(there);
        free(back);
    }
    for (uint32_t i = 0; i < 5000; i++) {
        send_bytes(&b, 1, &i, sizeof i);
        send_bytes(&a, 2, &i, sizeof i);
    }
    for (uint32_t i = 0; i < 5000; i++) {
        struct kept *there = take(&a, ILEA_LINK_RECV, 2, SOON_MS);
        struct kept *back = take(&b, ILEA_LINK_RECV, 1, SOON_MS);
        assert_non_null(there);
        assert_non_null(back);
        assert_memory_equal(there->body, &i, sizeof i);
        assert_memory_equal(back->body, &i, sizeof i);
        free(there);
        free(back);
    }
    send_frame(&a, ILEA_LINK_PING, 0);
    assert_true(has(&a, ILEA_LINK_PONG, 0, SOON_MS));
    free(bytes);
    stop(&a);
    stop(&b);
}

/* Goal: each dials the other; messages arrive whichever connection carries them, and if one side
 * stops dialling, the other's connection is used. */
static void
test_link_both_dial(void **state)
{
    (void)state;
    struct node a, b;
    start_new(&a, "tcp://127.0.0.1:*");
    start_new(&b, "tcp://127.0.0.1:*");
    allow(&a, 2, &b.keys, b.endpoint);
    allow(&b, 1, &a.keys, a.endpoint);
    assert_true(has(&a, ILEA_LINK_UP, 2, AGAIN_MS));
    assert_true(has(&b, ILEA_LINK_UP, 1, AGAIN_MS));
    talk(&a, &b, "two connections");
    allow(&a, 2, &b.keys, NULL);
    talk(&a, &b, "one");
    stop(&a);
    stop(&b);
}

/* Goal: a node that does not read makes the senders wait; nothing is lost that fits the queues,
 * and more than that is said to be lost. */
static void
test_link_back_pressure(void **state)
{
    (void)state;
    struct node a, b;
    start_two(&a, &b);
    talk(&a, &b, "hello");
    uint8_t *bytes = calloc(1, ILEA_LINK_MESSAGE_MAX);
    assert_non_null(bytes);
    const uint32_t fitting = 96;
    for (uint32_t i = 0; i < fitting; i++) {
        memcpy(bytes, &i, sizeof i);
        send_bytes(&b, 1, bytes, ILEA_LINK_MESSAGE_MAX);
        usleep(5000); /* let b's ilea-link pass on what a's takes: its own queue is 8 MiB */
    }
    assert_false(has(&b, ILEA_LINK_DOWN, 1, QUIET_MS));
    for (uint32_t i = 0; i < fitting; i++) {
        struct kept *kept = take(&a, ILEA_LINK_RECV, 2, SOON_MS);
        assert_non_null(kept);
        assert_int_equal(kept->size, ILEA_LINK_MESSAGE_MAX);
        assert_memory_equal(kept->body, &i, sizeof i);
        free(kept);
    }
    talk(&a, &b, "flows again");
    for (uint32_t i = 0; i < 400; i++) send_bytes(&b, 1, bytes, ILEA_LINK_MESSAGE_MAX);
    assert_true(has(&b, ILEA_LINK_DOWN, 1, SOON_MS));
    assert_true(has(&b, ILEA_LINK_UP, 1, AGAIN_MS));
    while (has(&a, ILEA_LINK_RECV, 2, QUIET_MS)) continue;
    talk(&a, &b, "and again");
    free(bytes);
    stop(&a);
    stop(&b);
}

static void
shout(void *socket)
{
    /* Into the void: with no connection the message waits in the socket. */
    zmq_send(socket, "let me in", 9, ZMQ_DONTWAIT);
}

/* Goal: strangers get nothing, are told of once a second at most, and disturb nobody. */
static void
test_link_strangers(void **state)
{
    (void)state;
    static const uint8_t greeting_curve[64] = { 0xff, 0, 0,   0,   0,   0,   0,  0,  1,
                                                0x7f, 3, 0,   'C', 'U', 'R', 'V', 'E' };
    static const uint8_t huge_frame[] = { 0x02, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    static const uint8_t greeting_1[] = { 0x01, 0x00, 0x05, 0x00, 'h', 'e', 'y', '!' };
    struct node a, b;
    start_two(&a, &b);
    talk(&a, &b, "before");
    forget_frames(&a);

    void *context = zmq_ctx_new();
    struct key_pair unknown;
    make_keys(&unknown);
    void *stranger = raw_dealer(context, &unknown, &a, NULL);
    void *plain = raw_dealer(context, NULL, &a, NULL);
    shout(stranger);
    shout(plain);
    int fds[4];
    uint8_t garbage[4096];
    for (size_t i = 0; i < 4; i++) fds[i] = raw_tcp(a.endpoint);
    randombytes_buf(garbage, sizeof garbage);
    raw_write(fds[0], garbage, sizeof garbage);
    raw_write(fds[1], greeting_curve, sizeof greeting_curve);
    raw_write(fds[1], huge_frame, sizeof huge_frame);
    raw_write(fds[1], garbage, sizeof garbage);
    raw_write(fds[2], greeting_1, sizeof greeting_1);

    struct kept *refused = take(&a, ILEA_LINK_REFUSED, 0, SOON_MS);
    assert_non_null(refused);
    char hex[2 * KEY_SIZE + 1];
    sodium_bin2hex(hex, sizeof hex, unknown.public, KEY_SIZE);
    assert_non_null(strstr((char *)refused->body, hex));
    free(refused);
    for (int i = 0; i < 5; i++) talk(&a, &b, "meanwhile");
    assert_false(has(&a, ILEA_LINK_RECV, 2, QUIET_MS));
    assert_false(has(&b, ILEA_LINK_DOWN, 1, 0));
    char text[64];
    assert_string_equal(raw_take(stranger, 100, text, sizeof text), "");
    assert_string_equal(raw_take(plain, 100, text, sizeof text), "");
    /* The frame that announces more than 4 EiB cost its sender the connection. */
    uint8_t rest[128];
    ssize_t got;
    do {
        got = recv(fds[1], rest, sizeof rest, 0);
    } while (got > 0);
    assert_true(got == 0 || errno == ECONNRESET);

    for (size_t i = 0; i < 4; i++) close(fds[i]);
    zmq_close(stranger);
    zmq_close(plain);
    zmq_ctx_term(context);
    stop(&a);
    stop(&b);
}

/* Goal: a peer that dials before it is allowed comes in by itself once it is. */
static void
test_link_allowed_late(void **state)
{
    (void)state;
    struct node a, b;
    start_new(&a, "tcp://127.0.0.1:*");
    start_new(&b, "");
    allow(&b, 1, &a.keys, a.endpoint);
    assert_true(has(&a, ILEA_LINK_REFUSED, 0, SOON_MS));
    allow(&a, 2, &b.keys, NULL);
    assert_true(has(&b, ILEA_LINK_UP, 1, AGAIN_MS));
    talk(&a, &b, "at last");
    stop(&a);
    stop(&b);
}

/* A client's message gets through a ROUTER of ours within a moment. */
static bool
gets_through(void *context, const struct ilea_link_socket *router, struct ilea_link_zap *zap,
             const struct node *server)
{
    struct key_pair keys;
    make_keys(&keys);
    void *client = raw_dealer(context, &keys, server, NULL);
    zmq_send(client, "hello", 5, ZMQ_DONTWAIT);
    bool is_through = false;
    for (uint64_t deadline = read_clock() + QUIET_MS; !is_through && read_clock() < deadline;) {
        struct ilea_link_zap_request request;
        if (ilea_link_zap_is_open(zap) && ilea_link_zap_receive(zap, &request)) {
            ilea_link_zap_answer(zap, &request, true);
        }
        zmq_pollitem_t item = { .socket = router->handle, .events = ZMQ_POLLIN };
        is_through = zmq_poll(&item, 1, 10) > 0;
    }
    zmq_close(client);
    return is_through;
}

/* Goal: without its ZAP handler a ROUTER lets in nobody (libzmq's default is: everybody). */
static void
test_link_without_zap(void **state)
{
    (void)state;
    for (int is_open = 0; is_open <= 1; is_open++) {
        void *context = zmq_ctx_new();
        struct node server = { 0 };
        make_keys(&server.keys);
        struct ilea_link_keys keys = { .secret = server.keys.secret };
        memcpy(keys.public, server.keys.public, KEY_SIZE);
        struct ilea_link_endpoint bound;
        int listener;
        assert_int_equal(ilea_link_socket_listen("tcp://127.0.0.1:*", &listener, &bound),
                         ILEA_ERROR_NONE);
        memcpy(server.endpoint, bound.text, sizeof server.endpoint);
        struct ilea_link_zap zap;
        assert_int_equal(ilea_link_zap_open(&zap, context), ILEA_ERROR_NONE);
        struct ilea_link_socket_options options = {
            .context = context, .keys = &keys, .endpoint = bound.text, .number = 1
        };
        struct ilea_link_socket router;
        assert_int_equal(ilea_link_socket_bind(&options, &zap, listener, &router),
                         ILEA_ERROR_NONE);
        if (!is_open) ilea_link_zap_close(&zap);
        assert_int_equal(gets_through(context, &router, &zap, &server), is_open);
        ilea_link_socket_close(&router);
        if (is_open) ilea_link_zap_close(&zap);
        close(listener);
        zmq_ctx_term(context);
    }
}

/* Goal: an endpoint is numbers only. */
static void
test_link_endpoints(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:1x",
        "tcp://localhost:1",
        "tcp://lo:1",
        "tcp://127.0.0.1:1;127.0.0.1:2",
        "tcp://[127.0.0.1]:1",
        "tcp://[::1:1",
        "tcp://]:1",
        "tcp://[]:1",
        "inproc://zeromq.zap.01",
        "ipc:///tmp/x",
    };
    struct ilea_link_endpoint bound;
    int listener;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ilea_link_socket_listen(bad[i], &listener, &bound), ILEA_ERROR_INVALID);
    }
    assert_int_equal(ilea_link_socket_listen("tcp://*:*", &listener, &bound), ILEA_ERROR_NONE);
    assert_memory_equal(bound.text, "tcp://0.0.0.0:", 14);
    close(listener);
    if (ilea_link_socket_listen("tcp://[::1]:*", &listener, &bound) == ILEA_ERROR_NONE) {
        assert_memory_equal(bound.text, "tcp://[::1]:", 12);
        close(listener);
    }
}

/* Goal: out of file descriptors, it stops listening for a while instead of spinning, and frees
 * what was taken; what it dialled itself goes on. */
static void
test_link_no_descriptors(void **state)
{
    (void)state;
    enum { FILES_MAX = 40, STRANGERS = 60 };
    struct node a, b, c;
    start_two(&a, &b);
    start_new(&c, "tcp://127.0.0.1:*");
    allow(&c, 2, &a.keys, NULL);
    allow(&a, 1, &c.keys, c.endpoint);
    assert_true(has(&a, ILEA_LINK_UP, 1, AGAIN_MS));
    struct rlimit files = { FILES_MAX, FILES_MAX };
    assert_int_equal(prlimit(a.pid, RLIMIT_NOFILE, &files, NULL), 0);
    int fds[STRANGERS];
    for (size_t i = 0; i < STRANGERS; i++) fds[i] = raw_tcp(a.endpoint);
    assert_true(has(&a, ILEA_LINK_REFUSED, 0, SOON_MS));
    assert_true(has(&b, ILEA_LINK_DOWN, 1, SOON_MS));
    talk(&c, &a, "what it dialled itself");
    for (size_t i = 0; i < STRANGERS; i++) close(fds[i]);
    stop(&a);
    stop(&b);
    stop(&c);
}

/* Goal: an approved peer that breaks a rule loses that message and its connection, nobody else
 * does, and it may come back. */
static void
test_link_rule_breakers(void **state)
{
    (void)state;
    struct node a, b;
    start_two(&a, &b);
    void *context = zmq_ctx_new();
    struct key_pair keys;
    make_keys(&keys);
    allow(&a, 3, &keys, NULL);
    send_frame(&a, ILEA_LINK_PING, 0);
    assert_true(has(&a, ILEA_LINK_PONG, 0, SOON_MS));
    void *raw = raw_dealer(context, &keys, &a, NULL);
    zmq_send(raw, "fine", 4, 0);
    assert_true(has_text(&a, ILEA_LINK_RECV, 3, "fine", SOON_MS));

    /* Several parts: dropped whole. */
    zmq_send(raw, "one", 3, ZMQ_SNDMORE);
    zmq_send(raw, "two", 3, 0);
    assert_true(has(&a, ILEA_LINK_DOWN, 3, SOON_MS));
    assert_false(has(&a, ILEA_LINK_RECV, 3, QUIET_MS));
    zmq_send(raw, "fine again", 10, 0);
    assert_true(has_text(&a, ILEA_LINK_RECV, 3, "fine again", SOON_MS));

    /* The limit and one more. */
    char *bytes = calloc(1, ILEA_LINK_MESSAGE_MAX + 1);
    assert_non_null(bytes);
    zmq_send(raw, bytes, ILEA_LINK_MESSAGE_MAX, 0);
    struct kept *largest = take(&a, ILEA_LINK_RECV, 3, SOON_MS);
    assert_non_null(largest);
    assert_int_equal(largest->size, ILEA_LINK_MESSAGE_MAX);
    free(largest);
    zmq_send(raw, bytes, ILEA_LINK_MESSAGE_MAX + 1, 0);
    assert_false(has(&a, ILEA_LINK_RECV, 3, QUIET_MS));
    free(bytes);
    zmq_close(raw);

    talk(&a, &b, "undisturbed");
    assert_false(has(&b, ILEA_LINK_DOWN, 1, 0));
    zmq_ctx_term(context);
    stop(&a);
    stop(&b);
}

/* Goal: who a message is from, and where an answer goes, does not depend on what a peer calls
 * itself. */
static void
test_link_routing_ids(void **state)
{
    (void)state;
    struct node a;
    start_new(&a, "tcp://127.0.0.1:*");
    void *context = zmq_ctx_new();
    struct key_pair honest_keys, thief_keys;
    make_keys(&honest_keys);
    make_keys(&thief_keys);
    allow(&a, 2, &honest_keys, NULL);
    allow(&a, 3, &thief_keys, NULL);
    send_frame(&a, ILEA_LINK_PING, 0);
    assert_true(has(&a, ILEA_LINK_PONG, 0, SOON_MS));

    char name[2 * KEY_SIZE + 1];
    sodium_bin2hex(name, sizeof name, honest_keys.public, KEY_SIZE);
    void *thief = raw_dealer(context, &thief_keys, &a, name);
    zmq_send(thief, "I am the other", 14, 0);
    assert_true(has(&a, ILEA_LINK_REFUSED, 0, SOON_MS));
    void *honest = raw_dealer(context, &honest_keys, &a, NULL);
    zmq_send(honest, "me", 2, 0);
    assert_true(has_text(&a, ILEA_LINK_RECV, 2, "me", SOON_MS));
    assert_false(has(&a, ILEA_LINK_RECV, 3, QUIET_MS));
    send_text(&a, 2, "for your eyes only");
    send_text(&a, 3, "to nobody");
    assert_true(has(&a, ILEA_LINK_DOWN, 3, SOON_MS));
    char text[64];
    assert_string_equal(raw_take(honest, SOON_MS, text, sizeof text), "for your eyes only");
    assert_string_equal(raw_take(thief, QUIET_MS, text, sizeof text), "");

    /* The honest one leaves: what is then sent to it goes nowhere else. */
    zmq_close(honest);
    usleep(200000);
    send_text(&a, 2, "still only for you");
    assert_true(has(&a, ILEA_LINK_DOWN, 2, SOON_MS));
    assert_string_equal(raw_take(thief, QUIET_MS, text, sizeof text), "");
    zmq_close(thief);
    zmq_ctx_term(context);
    stop(&a);
}

/* Goal: FORGET ends a living connection at once, in both directions and for more than one peer in
 * a row; allowed again, the peer comes back by itself. */
static void
test_link_forget(void **state)
{
    (void)state;
    struct node a, b, c;
    start_two(&a, &b);
    start_new(&c, "");
    allow(&a, 3, &c.keys, NULL);
    allow(&c, 1, &a.keys, a.endpoint);
    assert_true(has(&c, ILEA_LINK_UP, 1, AGAIN_MS));
    talk(&a, &b, "hello");
    send_text(&c, 1, "hello");
    assert_true(has(&a, ILEA_LINK_RECV, 3, SOON_MS));

    send_frame(&a, ILEA_LINK_FORGET, 2);
    assert_true(has(&b, ILEA_LINK_DOWN, 1, 1000));
    send_text(&b, 1, "am I out?");
    assert_false(has(&a, ILEA_LINK_RECV, 2, QUIET_MS));
    /* All were disconnected; c, which is still allowed, comes back. */
    assert_true(has(&c, ILEA_LINK_UP, 1, AGAIN_MS));
    send_text(&c, 1, "back");
    assert_true(has_text(&a, ILEA_LINK_RECV, 3, "back", SOON_MS));

    /* Within the same minute the ROUTER stays: what comes is discarded, and its sender cut off. */
    send_frame(&a, ILEA_LINK_FORGET, 3);
    send_frame(&a, ILEA_LINK_PING, 0);
    assert_true(has(&a, ILEA_LINK_PONG, 0, SOON_MS));
    send_text(&c, 1, "and I?");
    assert_true(has(&c, ILEA_LINK_DOWN, 1, 1000));
    assert_false(has(&a, ILEA_LINK_RECV, 3, 0));

    forget_frames(&b);
    allow(&a, 2, &b.keys, NULL);
    assert_true(has(&b, ILEA_LINK_UP, 1, AGAIN_MS));
    talk(&a, &b, "allowed again");
    /* The other direction: who dialled forgets. */
    send_frame(&b, ILEA_LINK_FORGET, 1);
    send_frame(&b, ILEA_LINK_PING, 0);
    assert_true(has(&b, ILEA_LINK_PONG, 0, SOON_MS));
    send_text(&a, 2, "anybody?");
    assert_false(has(&b, ILEA_LINK_RECV, 1, QUIET_MS));
    stop(&a);
    stop(&b);
    stop(&c);
}

static void
test_link_reset(void **state)
{
    (void)state;
    struct node a, b;
    start_two(&a, &b);
    talk(&a, &b, "before");
    for (int i = 0; i < 50; i++) { /* who dialled; often, as the closing goes on behind our back */
        send_frame(&b, ILEA_LINK_RESET, 1);
        send_frame(&b, ILEA_LINK_PING, 0);
        assert_true(has(&b, ILEA_LINK_PONG, 0, SOON_MS));
        forget_frames(&b); /* an UP from before */
    }
    assert_true(has(&b, ILEA_LINK_UP, 1, AGAIN_MS));
    talk(&a, &b, "dialled anew");
    forget_frames(&b);
    send_frame(&a, ILEA_LINK_RESET, 2); /* who was dialled: the next message finds it cut */
    assert_true(has(&b, ILEA_LINK_DOWN, 1, AGAIN_MS));
    assert_true(has(&b, ILEA_LINK_UP, 1, AGAIN_MS));
    talk(&a, &b, "anew");
    stop(&a);
    stop(&b);
}

/* Goal: the death of one process is noticed, and its successor found, by the other alone. */
static void
test_link_killed(void **state)
{
    (void)state;
    struct node a, b;
    start_two(&a, &b);
    talk(&a, &b, "before");
    assert_int_equal(kill(a.pid, SIGKILL), 0);
    assert_int_equal(wait_end(a.pid, SOON_MS), 128);
    assert_true(has(&b, ILEA_LINK_DOWN, 1, SOON_MS));
    close_pair(&a);
    char endpoint[sizeof a.endpoint];
    memcpy(endpoint, a.endpoint, sizeof endpoint);
    start(&a, endpoint);
    allow(&a, 2, &b.keys, NULL);
    assert_true(has(&b, ILEA_LINK_UP, 1, AGAIN_MS));
    talk(&a, &b, "after");

    /* And that of the one that dialled. */
    forget_frames(&a);
    assert_int_equal(kill(b.pid, SIGKILL), 0);
    assert_int_equal(wait_end(b.pid, SOON_MS), 128);
    usleep(200000);
    send_text(&a, 2, "anybody?");
    assert_true(has(&a, ILEA_LINK_DOWN, 2, SOON_MS));
    close_pair(&b);
    start(&b, "");
    allow(&b, 1, &a.keys, a.endpoint);
    assert_true(has(&b, ILEA_LINK_UP, 1, AGAIN_MS));
    talk(&a, &b, "after both");
    stop(&a);
    stop(&b);
}

/* --- a wire that changes bytes ---------------------------------------------------------------- */

enum { WIRE_COUNT = 8, FLIP_NONE = 0, FLIP_TO_SERVER, FLIP_TO_CLIENT };

struct wire {
    const char *server;
    int listener;
    char endpoint[64];
    pthread_t thread;
    atomic_int flip; /* change a byte of the next piece in this direction, once */
    atomic_bool is_ended;
    int clients[WIRE_COUNT], servers[WIRE_COUNT];
    int count; /* connections so far; only the last is alive */
};

static void
close_wire(struct wire *wire, int index)
{
    close(wire->clients[index]);
    close(wire->servers[index]);
    wire->clients[index] = -1;
}

/* False: that end has closed. */
static bool
pass_on(struct wire *wire, int from, int to, int direction)
{
    uint8_t bytes[65536];
    ssize_t size = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size <= 0) return size < 0 && errno == EAGAIN;
    int asked = direction;
    if (atomic_compare_exchange_strong(&wire->flip, &asked, FLIP_NONE)) {
        bytes[size / 2] ^= 0x10;
    }
    return send(to, bytes, (size_t)size, MSG_NOSIGNAL) == size;
}

static void *
run_wire(void *context)
{
    struct wire *wire = context;
    while (!atomic_load(&wire->is_ended)) {
        struct pollfd items[1 + 2 * WIRE_COUNT] = { { .fd = wire->listener, .events = POLLIN } };
        for (int i = 0; i < wire->count; i++) {
            int server = wire->clients[i] < 0 ? -1 : wire->servers[i];
            items[1 + 2 * i] = (struct pollfd){ .fd = wire->clients[i], .events = POLLIN };
            items[2 + 2 * i] = (struct pollfd){ .fd = server, .events = POLLIN };
        }
        if (poll(items, (nfds_t)(1 + 2 * wire->count), 20) <= 0) continue;
        for (int i = 0; i < wire->count; i++) {
            if (items[1 + 2 * i].revents != 0 && wire->clients[i] >= 0 &&
                !pass_on(wire, wire->clients[i], wire->servers[i], FLIP_TO_SERVER)) {
                close_wire(wire, i);
            }
            if (items[2 + 2 * i].revents != 0 && wire->clients[i] >= 0 &&
                !pass_on(wire, wire->servers[i], wire->clients[i], FLIP_TO_CLIENT)) {
                close_wire(wire, i);
            }
        }
        if (items[0].revents != 0 && wire->count < WIRE_COUNT) {
            wire->clients[wire->count] = accept4(wire->listener, NULL, NULL, SOCK_CLOEXEC);
            wire->servers[wire->count] = raw_tcp(wire->server);
            wire->count++;
        }
    }
    for (int i = 0; i < wire->count; i++) {
        if (wire->clients[i] >= 0) close_wire(wire, i);
    }
    return NULL;
}

static void
open_wire(struct wire *wire, const char *server)
{
    *wire = (struct wire){ .server = server };
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    wire->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(wire->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(wire->listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(listen(wire->listener, 8), 0);
    snprintf(wire->endpoint, sizeof wire->endpoint, "tcp://127.0.0.1:%u",
             (unsigned)ntohs(address.sin_port));
    assert_int_equal(pthread_create(&wire->thread, NULL, run_wire, wire), 0);
}

/* Goal: one flipped bit in either direction costs the connection, not the link. */
static void
test_link_bad_wire(void **state)
{
    (void)state;
    struct node a, b;
    start_new(&a, "tcp://127.0.0.1:*");
    start_new(&b, "");
    struct wire wire;
    open_wire(&wire, a.endpoint);
    allow(&a, 2, &b.keys, NULL);
    allow(&b, 1, &a.keys, wire.endpoint);
    assert_true(has(&b, ILEA_LINK_UP, 1, AGAIN_MS));
    talk(&a, &b, "before");
    static const int directions[] = { FLIP_TO_CLIENT, FLIP_TO_SERVER };
    for (size_t i = 0; i < 2; i++) {
        forget_frames(&a);
        forget_frames(&b);
        atomic_store(&wire.flip, directions[i]);
        send_text(&a, 2, "this one or the next is hit, it does not matter which");
        send_text(&b, 1, "this one or the next is hit, it does not matter which");
        assert_true(has(&b, ILEA_LINK_DOWN, 1, AGAIN_MS));
        assert_true(has(&b, ILEA_LINK_UP, 1, AGAIN_MS));
        send_text(&b, 1, "after");
        struct kept *kept;
        bool is_after = false;
        while (!is_after && (kept = take(&a, ILEA_LINK_RECV, 2, SOON_MS)) != NULL) {
            is_after = strcmp((char *)kept->body, "after") == 0;
            free(kept);
        }
        assert_true(is_after);
    }
    atomic_store(&wire.is_ended, true);
    pthread_join(wire.thread, NULL);
    close(wire.listener);
    stop(&a);
    stop(&b);
}

/* --- starting and ending ---------------------------------------------------------------------- */

static void
test_link_port_in_use(void **state)
{
    (void)state;
    struct node a, b = { 0 };
    start_new(&a, "tcp://127.0.0.1:*");
    make_keys(&b.keys);
    spawn(&b);
    configure(&b, a.endpoint);
    struct kept *ready = take(&b, ILEA_LINK_READY, 0, SOON_MS);
    assert_non_null(ready);
    assert_int_equal(ready->body[0], 0);
    assert_true(ready->size > 1);
    free(ready);
    /* It still dials. */
    allow(&a, 2, &b.keys, NULL);
    allow(&b, 1, &a.keys, a.endpoint);
    assert_true(has(&b, ILEA_LINK_UP, 1, AGAIN_MS));
    talk(&a, &b, "hello");
    /* Endpoints that are none, and a second peer with the same key. */
    allow(&b, 7, &b.keys, "tcp://name.example:1");
    assert_true(has(&b, ILEA_LINK_DOWN, 7, SOON_MS));
    allow(&b, 8, &a.keys, a.endpoint);
    assert_true(has(&b, ILEA_LINK_DOWN, 8, SOON_MS));
    talk(&a, &b, "still");
    stop(&a);
    stop(&b);
}

static void
test_link_ends(void **state)
{
    (void)state;
    /* A signal, with a connection open. */
    struct node a, b;
    start_two(&a, &b);
    talk(&a, &b, "hello");
    assert_int_equal(kill(a.pid, SIGTERM), 0);
    assert_int_equal(wait_end(a.pid, 5000), 0);
    close_pair(&a);
    stop(&b); /* the end of the socketpair */

    /* A frame that is none; one before CONFIG; CONFIG twice. */
    static const uint8_t unknown[ILEA_LINK_HEADER_SIZE] = { 0, 0, 0, 0, 99 };
    a = (struct node){ 0 };
    spawn(&a);
    assert_int_equal(write(a.pipe.fd, unknown, sizeof unknown), sizeof unknown);
    assert_int_equal(wait_end(a.pid, SOON_MS), 1);
    close_pair(&a);
    spawn(&a);
    send_frame(&a, ILEA_LINK_PING, 0);
    assert_int_equal(wait_end(a.pid, SOON_MS), 1);
    close_pair(&a);
    start_new(&a, "");
    configure(&a, "");
    assert_int_equal(wait_end(a.pid, SOON_MS), 1);
    close_pair(&a);

    /* Started by hand. */
    assert_int_equal(wait_end(run_link("--help", -1), SOON_MS), EXIT_USAGE);
    assert_int_equal(wait_end(run_link("1x", -1), SOON_MS), EXIT_USAGE);
}

#ifndef ILEA_SANITIZED
/* Goal: the process really lives in its cage. */
static void
test_link_sandbox(void **state)
{
    (void)state;
    struct node a;
    start_new(&a, "tcp://127.0.0.1:*");
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)a.pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    int found = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strcmp(line, "NoNewPrivs:\t1\n") == 0 || strcmp(line, "Seccomp:\t2\n") == 0) found++;
    }
    fclose(file);
    assert_int_equal(found, 2);
    stop(&a);
}
#endif

int
main(int argc, char **argv)
{
    if (argc > 1) setenv("ILEA_LINK", argv[1], 1);
    if (link_path() == NULL || sodium_init() < 0) {
        fprintf(stderr, "usage: test_link PATH-OF-ILEA-LINK\n");
        return EXIT_USAGE;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_exchange),
        cmocka_unit_test(test_link_both_dial),
        cmocka_unit_test(test_link_back_pressure),
        cmocka_unit_test(test_link_strangers),
        cmocka_unit_test(test_link_allowed_late),
        cmocka_unit_test(test_link_without_zap),
        cmocka_unit_test(test_link_endpoints),
        cmocka_unit_test(test_link_no_descriptors),
        cmocka_unit_test(test_link_rule_breakers),
        cmocka_unit_test(test_link_routing_ids),
        cmocka_unit_test(test_link_forget),
        cmocka_unit_test(test_link_reset),
        cmocka_unit_test(test_link_killed),
        cmocka_unit_test(test_link_bad_wire),
        cmocka_unit_test(test_link_port_in_use),
        cmocka_unit_test(test_link_ends),
#ifndef ILEA_SANITIZED
        cmocka_unit_test(test_link_sandbox),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
