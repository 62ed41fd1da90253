#include "node/link_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/link_zap.h"

/* ZMQ_ZAP_ENFORCE_DOMAIN: with it a server whose ZAP handler is missing refuses everybody; without
 * it everybody is let in. zmq.h hides the name among its drafts, but the library takes the number. */
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

static bool
is_port(const char *text, bool to_bind)
{
    if (to_bind && strcmp(text, "*") == 0) return true;
    if (text[0] == '\0' || strlen(text) > 5 || strspn(text, "0123456789") != strlen(text)) {
        return false;
    }
    unsigned long port = strtoul(text, NULL, 10);
    return port >= 1 && port <= 65535;
}

static bool
is_ipv6(const char *endpoint)
{
    return strncmp(endpoint, "tcp://[", 7) == 0;
}

bool
ilea_link_socket_is_endpoint(const char *endpoint, bool to_bind)
{
    static const char prefix[] = "tcp://";
    size_t prefix_size = sizeof prefix - 1;
    if (strncmp(endpoint, prefix, prefix_size) != 0) return false;
    const char *address = endpoint + prefix_size;
    const char *colon = strrchr(address, ':');
    if (colon == NULL || !is_port(colon + 1, to_bind)) return false;
    size_t size = (size_t)(colon - address);

    char text[INET6_ADDRSTRLEN];
    struct in6_addr binary; /* the larger of the two */
    if (is_ipv6(endpoint)) {
        if (size < 2 || size - 2 >= sizeof text || address[size - 1] != ']') return false;
        memcpy(text, address + 1, size - 2);
        text[size - 2] = '\0';
        return inet_pton(AF_INET6, text, &binary) == 1;
    }
    if (size >= sizeof text) return false;
    memcpy(text, address, size);
    text[size] = '\0';
    if (to_bind && strcmp(text, "*") == 0) return true;
    return inet_pton(AF_INET, text, &binary) == 1;
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
        { ZMQ_BACKLOG, BACKLOG },
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
    return zmq_connect(socket->monitor, address) == 0 ? ILEA_ERROR_NONE : ILEA_ERROR_IO;
}

/* Set up and bind a ROUTER that is closed by the caller on failure. */
static enum ilea_error
bind_router(const struct ilea_link_socket_options *options, struct ilea_link_socket *socket,
            struct ilea_link_endpoint *bound)
{
    enum ilea_error error = set_router(socket->handle, options->keys, options->endpoint);
    if (error != ILEA_ERROR_NONE) return error;
    error = open_monitor(options, ZMQ_EVENT_ACCEPT_FAILED, socket);
    if (error != ILEA_ERROR_NONE) return error;
    if (zmq_bind(socket->handle, options->endpoint) != 0) return ILEA_ERROR_BUSY;
    size_t size = sizeof bound->text;
    if (zmq_getsockopt(socket->handle, ZMQ_LAST_ENDPOINT, bound->text, &size) != 0) {
        return ILEA_ERROR_IO;
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_link_socket_bind(const struct ilea_link_socket_options *options,
                      const struct ilea_link_zap *zap, struct ilea_link_socket *socket,
                      struct ilea_link_endpoint *bound)
{
    ilea_assert(ilea_link_zap_is_open(zap));
    if (!ilea_link_socket_is_endpoint(options->endpoint, true)) return ILEA_ERROR_INVALID;
    struct ilea_link_socket made = { .handle = zmq_socket(options->context, ZMQ_ROUTER) };
    if (made.handle == NULL) return ILEA_ERROR_IO;
    enum ilea_error error = bind_router(options, &made, bound);
    if (error != ILEA_ERROR_NONE) {
        int reason = errno;
        ilea_link_socket_close(&made);
        errno = reason; /* zmq_errno() reads it */
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
    if (!ilea_link_socket_is_endpoint(options->endpoint, false)) return ILEA_ERROR_INVALID;
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
    if (socket->handle != NULL) zmq_close(socket->handle);
    if (socket->monitor != NULL) zmq_close(socket->monitor);
    *socket = (struct ilea_link_socket){ NULL, NULL };
}
