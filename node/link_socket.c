#include "node/link_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/link_zap.h"

/* ZMQ_ZAP_ENFORCE_DOMAIN: with it a server whose ZAP handler is missing refuses everybody, without
 * it everybody is let in. zmq.h hides the name among its drafts; the library takes the number. */
enum { OPTION_ZAP_ENFORCE_DOMAIN = 93 };

/* What CURVE adds to a message: command name 8, short nonce 8, flags 1, authenticator 16. libzmq
 * compares its limit with the size on the wire. */
enum { CURVE_OVERHEAD = 8 + 8 + 1 + 16 };

enum {
    HWM_MESSAGES = 32, /* of 256 KiB: 8 MiB a peer and direction at most */
    BACKLOG = 128,
    HANDSHAKE_MS = 5000,
    HEARTBEAT_MS = 5000,
    SILENCE_MS_MAX = 15000,
    CONNECT_MS_MAX = 10000,
    UNACKNOWLEDGED_MS_MAX = 30000,
    RECONNECT_MS = 1000, /* and up to as much again, at random: no storm after an outage */
    RECONNECT_MS_MAX = 60000
};

static const char zap_domain[] = "ilea";

static enum ilea_error
set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0 ? ILEA_ERROR_NONE
                                                                     : ILEA_ERROR_IO;
}

static enum ilea_error
set_bytes(void *socket, int option, const void *bytes, size_t size)
{
    return zmq_setsockopt(socket, option, bytes, size) == 0 ? ILEA_ERROR_NONE : ILEA_ERROR_IO;
}

/* -1: not a port. 0 stands for "*": any. */
static int
parse_port(const char *text, bool to_bind)
{
    if (to_bind && strcmp(text, "*") == 0) return 0;
    size_t length = strlen(text);
    if (length == 0 || length > 5 || strspn(text, "0123456789") != length) return -1;
    long port = strtol(text, NULL, 10);
    return port >= 1 && port <= 65535 ? (int)port : -1;
}

static bool
is_ipv6(const char *endpoint)
{
    return strncmp(endpoint, "tcp://[", 7) == 0;
}

/* The two kinds of address, as the system calls want them. */
union address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

/* The size of *address; 0: not an endpoint. */
static socklen_t
parse_endpoint(const char *endpoint, bool to_bind, union address *address)
{
    static const char prefix[] = "tcp://";
    size_t prefix_size = sizeof prefix - 1;
    if (strncmp(endpoint, prefix, prefix_size) != 0) return 0;
    const char *host = endpoint + prefix_size;
    const char *colon = strrchr(host, ':');
    int port = colon != NULL ? parse_port(colon + 1, to_bind) : -1;
    if (port < 0) return 0;
    size_t size = (size_t)(colon - host);
    bool is_bracketed = is_ipv6(endpoint);
    if (is_bracketed) {
        if (size < 2 || host[size - 1] != ']') return 0;
        host++;
        size -= 2;
    }
    char text[INET6_ADDRSTRLEN];
    if (size >= sizeof text) return 0;
    memcpy(text, host, size);
    text[size] = '\0';
    *address = (union address){ 0 };
    if (is_bracketed) {
        address->ipv6.sin6_family = AF_INET6;
        address->ipv6.sin6_port = htons((uint16_t)port);
        return inet_pton(AF_INET6, text, &address->ipv6.sin6_addr) == 1 ? sizeof address->ipv6 : 0;
    }
    address->ipv4.sin_family = AF_INET;
    address->ipv4.sin_port = htons((uint16_t)port);
    if (to_bind && strcmp(text, "*") == 0) return sizeof address->ipv4; /* 0.0.0.0 */
    return inet_pton(AF_INET, text, &address->ipv4.sin_addr) == 1 ? sizeof address->ipv4 : 0;
}

static bool
name_endpoint(const union address *address, struct ilea_link_endpoint *endpoint)
{
    char text[INET6_ADDRSTRLEN];
    bool is_bracketed = address->any.sa_family == AF_INET6;
    const void *host = is_bracketed ? (const void *)&address->ipv6.sin6_addr
                                    : (const void *)&address->ipv4.sin_addr;
    if (inet_ntop(address->any.sa_family, host, text, sizeof text) == NULL) return false;
    unsigned port = ntohs(is_bracketed ? address->ipv6.sin6_port : address->ipv4.sin_port);
    *endpoint = (struct ilea_link_endpoint){ { 0 } };
    snprintf(endpoint->text, sizeof endpoint->text, is_bracketed ? "tcp://[%s]:%u" : "tcp://%s:%u",
             text, port);
    return true;
}

/* Bind and listen; errno says why not. */
static bool
listen_at(int fd, union address *address, socklen_t size)
{
    int on = 1;
    /* A restart need not wait for the last connections of the process before it. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return false;
    /* IPv6 only: else IPv4 peers come in under addresses that no list of addresses has. */
    if (address->any.sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) {
        return false;
    }
    return bind(fd, &address->any, size) == 0 && listen(fd, BACKLOG) == 0 &&
           getsockname(fd, &address->any, &size) == 0;
}

enum ilea_error
ilea_link_socket_listen(const char *endpoint, int *listener, struct ilea_link_endpoint *bound)
{
    union address address;
    socklen_t size = parse_endpoint(endpoint, true, &address);
    if (size == 0) return ILEA_ERROR_INVALID;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return ILEA_ERROR_BUSY;
    if (!listen_at(fd, &address, size) || !name_endpoint(&address, bound)) {
        int reason = errno;
        close(fd);
        errno = reason;
        return ILEA_ERROR_BUSY;
    }
    *listener = fd;
    return ILEA_ERROR_NONE;
}

/* Options that both kinds of network socket share. */
static enum ilea_error
set_common(void *socket, const char *endpoint)
{
    uint16_t jitter;
    ilea_random_bytes(&jitter, sizeof jitter);
    const struct {
        int option, value;
    } options[] = {
        { ZMQ_SNDHWM, HWM_MESSAGES },
        { ZMQ_RCVHWM, HWM_MESSAGES },
        { ZMQ_LINGER, 0 },
        { ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS },
        { ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS },
        { ZMQ_HEARTBEAT_TIMEOUT, SILENCE_MS_MAX },
        { ZMQ_HEARTBEAT_TTL, SILENCE_MS_MAX },
        { ZMQ_CONNECT_TIMEOUT, CONNECT_MS_MAX },
        { ZMQ_TCP_MAXRT, UNACKNOWLEDGED_MS_MAX },
        { ZMQ_RECONNECT_IVL, RECONNECT_MS + jitter % RECONNECT_MS },
        { ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX },
        { ZMQ_IMMEDIATE, 1 },
        { ZMQ_IPV6, is_ipv6(endpoint) ? 1 : 0 },
        { OPTION_ZAP_ENFORCE_DOMAIN, 1 },
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        enum ilea_error error = set_int(socket, options[i].option, options[i].value);
        if (error != ILEA_ERROR_NONE) return error;
    }
    int64_t size_max = ILEA_LINK_MESSAGE_MAX + CURVE_OVERHEAD;
    enum ilea_error error = set_bytes(socket, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max);
    if (error != ILEA_ERROR_NONE) return error;
    return set_bytes(socket, ZMQ_ZAP_DOMAIN, zap_domain, sizeof zap_domain - 1);
}

/* The keys were accepted one by one; this says that they made the socket a CURVE socket. */
static enum ilea_error
check_mechanism(void *socket, int as_server)
{
    int mechanism = -1;
    int is_server = -1;
    size_t size = sizeof mechanism;
    if (zmq_getsockopt(socket, ZMQ_MECHANISM, &mechanism, &size) != 0) return ILEA_ERROR_IO;
    size = sizeof is_server;
    if (zmq_getsockopt(socket, ZMQ_CURVE_SERVER, &is_server, &size) != 0) return ILEA_ERROR_IO;
    return mechanism == ZMQ_CURVE && is_server == as_server ? ILEA_ERROR_NONE : ILEA_ERROR_IO;
}

static enum ilea_error
set_router(void *socket, const struct ilea_link_keys *keys, const char *endpoint)
{
    enum ilea_error error = set_common(socket, endpoint);
    if (error != ILEA_ERROR_NONE) return error;
    /* Else a message to a peer that has left would be thrown away in silence. */
    error = set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
    if (error != ILEA_ERROR_NONE) return error;
    error = set_int(socket, ZMQ_CURVE_SERVER, 1);
    if (error != ILEA_ERROR_NONE) return error;
    error = set_bytes(socket, ZMQ_CURVE_SECRETKEY, keys->secret, ILEA_LINK_KEY_SIZE);
    if (error != ILEA_ERROR_NONE) return error;
    return check_mechanism(socket, 1);
}

static enum ilea_error
set_dealer(void *socket, const struct ilea_link_keys *keys, const uint8_t *server_key,
           const char *endpoint)
{
    enum ilea_error error = set_common(socket, endpoint);
    if (error != ILEA_ERROR_NONE) return error;
    error = set_bytes(socket, ZMQ_CURVE_SERVERKEY, server_key, ILEA_LINK_KEY_SIZE);
    if (error != ILEA_ERROR_NONE) return error;
    error = set_bytes(socket, ZMQ_CURVE_PUBLICKEY, keys->public, ILEA_LINK_KEY_SIZE);
    if (error != ILEA_ERROR_NONE) return error;
    error = set_bytes(socket, ZMQ_CURVE_SECRETKEY, keys->secret, ILEA_LINK_KEY_SIZE);
    if (error != ILEA_ERROR_NONE) return error;
    return check_mechanism(socket, 0);
}

/* A PAIR connected to the events of `socket`. */
static enum ilea_error
open_monitor(const struct ilea_link_socket_options *options, int events,
             struct ilea_link_socket *socket)
{
    char address[64];
    snprintf(address, sizeof address, "inproc://monitor-%llu", (unsigned long long)options->number);
    if (zmq_socket_monitor(socket->handle, address, events) != 0) return ILEA_ERROR_IO;
    socket->monitor = zmq_socket(options->context, ZMQ_PAIR);
    if (socket->monitor == NULL) return ILEA_ERROR_IO;
    enum ilea_error error = set_int(socket->monitor, ZMQ_LINGER, 0);
    if (error != ILEA_ERROR_NONE) return error;
    /* No bound: libzmq's I/O thread waits when its events find no room, and all links with it. */
    error = set_int(socket->monitor, ZMQ_RCVHWM, 0);
    if (error != ILEA_ERROR_NONE) return error;
    return zmq_connect(socket->monitor, address) == 0 ? ILEA_ERROR_NONE : ILEA_ERROR_IO;
}

/* Set up and bind a ROUTER that is closed by the caller on failure. Takes `fd`. */
static enum ilea_error
bind_router(const struct ilea_link_socket_options *options, int fd,
            struct ilea_link_socket *socket)
{
    enum ilea_error error = set_router(socket->handle, options->keys, options->endpoint);
    if (error == ILEA_ERROR_NONE) error = open_monitor(options, ZMQ_EVENT_ACCEPT_FAILED, socket);
    if (error == ILEA_ERROR_NONE) error = set_int(socket->handle, ZMQ_USE_FD, fd);
    if (error != ILEA_ERROR_NONE || zmq_bind(socket->handle, options->endpoint) != 0) {
        close(fd);
        return ILEA_ERROR_IO;
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_link_socket_bind(const struct ilea_link_socket_options *options,
                      const struct ilea_link_zap *zap, int listener,
                      struct ilea_link_socket *socket)
{
    ilea_assert(ilea_link_zap_is_open(zap));
    int fd = fcntl(listener, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return ILEA_ERROR_BUSY;
    struct ilea_link_socket made = { .handle = zmq_socket(options->context, ZMQ_ROUTER) };
    if (made.handle == NULL) {
        close(fd);
        return ILEA_ERROR_IO;
    }
    enum ilea_error error = bind_router(options, fd, &made);
    if (error != ILEA_ERROR_NONE) {
        ilea_link_socket_close(&made);
        return error;
    }
    *socket = made;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_link_socket_dial(const struct ilea_link_socket_options *options,
                      const uint8_t server_key[ILEA_LINK_KEY_SIZE],
                      struct ilea_link_socket *socket)
{
    union address address;
    if (parse_endpoint(options->endpoint, false, &address) == 0) return ILEA_ERROR_INVALID;
    struct ilea_link_socket made = { .handle = zmq_socket(options->context, ZMQ_DEALER) };
    if (made.handle == NULL) return ILEA_ERROR_IO;
    enum ilea_error error = set_dealer(made.handle, options->keys, server_key, options->endpoint);
    if (error == ILEA_ERROR_NONE) {
        int events = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
        error = open_monitor(options, events, &made);
    }
    if (error == ILEA_ERROR_NONE && zmq_connect(made.handle, options->endpoint) != 0) {
        error = ILEA_ERROR_IO;
    }
    if (error != ILEA_ERROR_NONE) {
        ilea_link_socket_close(&made);
        return error;
    }
    *socket = made;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_link_socket_zap(void *context, struct ilea_link_socket *socket)
{
    struct ilea_link_socket made = { .handle = zmq_socket(context, ZMQ_REP) };
    if (made.handle == NULL) return ILEA_ERROR_IO;
    if (set_int(made.handle, ZMQ_LINGER, 0) != ILEA_ERROR_NONE ||
        zmq_bind(made.handle, "inproc://zeromq.zap.01") != 0) {
        ilea_link_socket_close(&made);
        return ILEA_ERROR_IO;
    }
    *socket = made;
    return ILEA_ERROR_NONE;
}

uint16_t
ilea_link_socket_event(struct ilea_link_socket *socket)
{
    /* Two frames: event 2 bytes and value 4, both in the machine's order; endpoint. */
    uint8_t bytes[6];
    int size = zmq_recv(socket->monitor, bytes, sizeof bytes, ZMQ_DONTWAIT);
    if (size < 0) return 0;
    uint8_t endpoint;
    (void)zmq_recv(socket->monitor, &endpoint, sizeof endpoint, ZMQ_DONTWAIT);
    uint16_t event = 0;
    if (size == (int)sizeof bytes) memcpy(&event, bytes, sizeof event);
    return event;
}

void
ilea_link_socket_close(struct ilea_link_socket *socket)
{
    /* First no more events: closing goes on in another thread for a while, and an event without a
     * reader would make libzmq's I/O thread wait for ever. */
    if (socket->monitor != NULL) zmq_socket_monitor(socket->handle, NULL, 0);
    if (socket->handle != NULL) zmq_close(socket->handle);
    if (socket->monitor != NULL) zmq_close(socket->monitor);
    *socket = (struct ilea_link_socket){ NULL, NULL };
}
