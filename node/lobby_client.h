/*
 * lobby_client.h - the command line's side of a connection to another agency's lobby (node/lobby_frame.h).
 * Blocking, each wait bounded; names are looked up. Threads: one.
 */
#ifndef ILEA_NODE_LOBBY_CLIENT_H
#define ILEA_NODE_LOBBY_CLIENT_H

#include "node/lobby_frame.h"

enum { ILEA_CALL_REASON_SIZE = 200 };

struct ilea_lobby_connection {
    int fd;                                /* -1: none */
    struct ilea_lobby_challenge challenge; /* of its greeting */
    uint32_t minutes;                      /* its clock */
    size_t size;                           /* bytes received and not taken */
    uint8_t in[ILEA_LOBBY_FRAME_MAX];
};

/* Connect to "tcp://HOST:PORT" and hear the greeting. `invite` NULL: none; else its id is shown at once.
 *   ILEA_ERROR_INVALID    not an endpoint, or no such host
 *   ILEA_ERROR_NOT_FOUND  nobody listens there
 *   ILEA_ERROR_BUSY       it closed without a greeting, or did not greet in time: it may be full
 *   ILEA_ERROR_UNKNOWN    a newer version     ILEA_ERROR_MALFORMED  not a lobby
 * `reason` (ILEA_CALL_REASON_SIZE) says in one line what to do. Close it in any case. */
ILEA_MUST_USE enum ilea_error ilea_lobby_connect(struct ilea_lobby_connection *connection, const char *endpoint,
                                                 const uint8_t *invite, char *reason);
void ilea_lobby_disconnect(struct ilea_lobby_connection *connection);

/* Send a REQUEST or CEREMONY and receive the ANSWER, whose reply lies in the connection. Errors as connect. */
ILEA_MUST_USE enum ilea_error ilea_lobby_exchange(struct ilea_lobby_connection *connection,
                                                  const struct ilea_lobby_frame *message,
                                                  struct ilea_lobby_frame *answer);

#endif
