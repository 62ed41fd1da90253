/*
 * link_socket.h - the one place where ZeroMQ sockets are made.
 *
 * libzmq's defaults are not safe towards strangers: messages of any size, no
 * time limit on silence, and a CURVE server that admits every key when nobody
 * answers for access. So no other file calls zmq_socket(), each kind of socket
 * has one constructor, and that sets every option we rely on and fails if
 * libzmq refuses one. All sockets belong to the one thread that runs the loop.
 */
#ifndef ILEA_NODE_LINK_SOCKET_H
#define ILEA_NODE_LINK_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "include/ilea/error.h"
#include "node/link_frame.h"

enum { ILEA_LINK_KEY_SIZE = 32 };

/* Our transport key pair. `secret` is the caller's, in memory of libsodium's. */
struct ilea_link_keys {
    uint8_t *secret;
    uint8_t public[ILEA_LINK_KEY_SIZE];
};

/* An endpoint, with room for its NUL. */
struct ilea_link_endpoint {
    char text[ILEA_LINK_TEXT_MAX + 1];
};

struct ilea_link_zap;

/* A socket and the PAIR that tells of its events (below); both NULL: closed. */
struct ilea_link_socket {
    void *handle, *monitor;
};

/* What both constructors need. `number` is a new one for every socket of the context. */
struct ilea_link_socket_options {
    void *context;
    const struct ilea_link_keys *keys;
    const char *endpoint;
    uint64_t number;
};

/*
 * An endpoint is "tcp://address:port": a numeric IPv4 address, or an IPv6 address in brackets.
 * To listen, "*" may stand for any IPv4 address, or any port. Names are refused: libzmq looks them
 * up in the thread that serves all links, and the sandbox can do without opening files.
 *
 * Listen at the endpoint; *bound says where. The caller closes *listener.
 *   ILEA_ERROR_INVALID  not an endpoint
 *   ILEA_ERROR_BUSY     the system refuses it; errno says why
 * libzmq gets a listener of ours, and not an endpoint to bind: it would ask the system for all
 * network interfaces, and abort if the sandbox refuses; and our listener outlives a ROUTER, so that
 * a new one takes its place without a gap in which the port is nobody's.
 */
ILEA_MUST_USE enum ilea_error ilea_link_socket_listen(const char *endpoint, int *listener,
                                                      struct ilea_link_endpoint *bound);

/*
 * A ROUTER with CURVE on a copy of the listener, which is at the options' endpoint. It monitors
 * ZMQ_EVENT_ACCEPT_FAILED. `zap` must be open: without its handler libzmq would let in, or keep
 * out, everybody.
 *   ILEA_ERROR_BUSY     no file descriptor is left: try again later
 *   ILEA_ERROR_IO       libzmq refused an option: it is not the build that we are safe with
 */
ILEA_MUST_USE enum ilea_error
ilea_link_socket_bind(const struct ilea_link_socket_options *options,
                      const struct ilea_link_zap *zap, int listener,
                      struct ilea_link_socket *socket);

/*
 * A DEALER with CURVE, connecting to the one peer whose key is `server_key`.
 * It monitors the end of the connection and the failure of a handshake.
 *   ILEA_ERROR_INVALID, ILEA_ERROR_IO as above
 */
ILEA_MUST_USE enum ilea_error
ilea_link_socket_dial(const struct ilea_link_socket_options *options,
                      const uint8_t server_key[ILEA_LINK_KEY_SIZE],
                      struct ilea_link_socket *socket);

/*
 * The REP socket at which libzmq asks whether a key may come in (link_zap.h answers).
 *   ILEA_ERROR_IO  it cannot be bound
 */
ILEA_MUST_USE enum ilea_error ilea_link_socket_zap(void *context, struct ilea_link_socket *socket);

/* Take the next event (ZMQ_EVENT_...) of the socket; 0: there is none. Events may come late or get
 * lost: they may trigger a look, and never decide about trust. */
uint16_t ilea_link_socket_event(struct ilea_link_socket *socket);

/* Close both parts, if they are open. Unsent messages are lost. */
void ilea_link_socket_close(struct ilea_link_socket *socket);

#endif
