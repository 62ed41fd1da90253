/*
 * link_frame.h - what ilea-node and ilea-link say to each other over their
 * socketpair (stream, one frame after the other):
 *
 *   uint32 body size, most significant byte first | uint8 kind | uint32 peer | body
 *
 * `peer` is a small number that ilea-node gave to an approved peer; it means
 * nothing outside the pair. Body sizes are bounded by kind; a frame that breaks
 * a bound ends ilea-link, or makes ilea-node replace it.
 *
 * node -> link
 *   CONFIG  peer 0; body: transport secret 32 | uint16 size | bind endpoint (empty: do not bind).
 *           The first frame, once. Everything later may come at any time.
 *   PEER    allow a peer, or change it; body: transport public 32 | uint8 dial (0, 1) | endpoint
 *           (may be empty). dial 1: connect to it; 0: wait for it to connect
 *   FORGET  the peer is no longer allowed: drop its link now; empty body
 *   SEND    body: one message for the peer, at most ILEA_LINK_MESSAGE_MAX
 *   RESET   tear the peer's connection down and make it anew; empty body
 *   PING    peer 0; empty; answered by PONG: proves that the loop turns
 *   LOBBY   peer 0; body: endpoint. Open the lobby there (node/lobby.h). At most once
 *   LOBBY_KEY      peer 0; body: lobby key 32 | uint8 whether a ceremony is open (0, 1)
 *   LOBBY_INVITES  peer 0; body: the open invites, each id 16 | key 32
 *   LOBBY_REPLY    peer: the number of a LOBBY_ASK; body: what a message of a ceremony is answered with
 *
 * link -> node
 *   READY   peer 0; body: uint8 ok | text. After CONFIG: bound to the endpoint in text, or why not
 *   UP      a connection to the peer that we dialled is through its handshake; empty body
 *   DOWN    the peer's connection is gone, or a message for it had to be dropped; body: text, why
 *   RECV    body: one message from the peer
 *   REFUSED peer 0; body: text; an unknown key or a bad message was refused (at most one a second)
 *   PONG    peer 0; empty
 *   LOBBY_READY    peer 0; body: uint8 ok | text. After LOBBY: open at the endpoint in text, or why not
 *   LOBBY_ASK      peer: a number for the connection; body: uint8 type (3 REQUEST, 4 CEREMONY) | lobby
 *                  key 32 | nonce 16 | invite id 16, zeros without a right tag | uint8 size | address | sealed
 *   LOBBY_COUNTS   peer 0; body: nine uint64, as in struct ilea_lobby_counts. Every few seconds, if they changed
 */
#ifndef ILEA_NODE_LINK_FRAME_H
#define ILEA_NODE_LINK_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/ilea/error.h"
#include "include/ilea/span.h"

enum {
    ILEA_LINK_HEADER_SIZE = 9,
    ILEA_LINK_MESSAGE_MAX = 256 * 1024, /* also ZMQ_MAXMSGSIZE */
    ILEA_LINK_TEXT_MAX = 256,           /* endpoints and reasons */
    ILEA_LINK_PEERS_MAX = 64,
    ILEA_LINK_ASK_HEAD = 1 + 32 + 16 + 16 + 1, /* of a LOBBY_ASK, up to the address */
    ILEA_LINK_COUNTS = 9,                      /* of a LOBBY_COUNTS */
    ILEA_LINK_QUEUE_BYTES_MAX = 8 * 1024 * 1024 /* a peer's unsent messages; more: DOWN */
};

enum ilea_link_kind {
    ILEA_LINK_CONFIG = 1,
    ILEA_LINK_PEER,
    ILEA_LINK_FORGET,
    ILEA_LINK_SEND,
    ILEA_LINK_RESET,
    ILEA_LINK_PING,
    ILEA_LINK_LOBBY,
    ILEA_LINK_LOBBY_KEY,
    ILEA_LINK_LOBBY_INVITES,
    ILEA_LINK_LOBBY_REPLY,
    ILEA_LINK_READY = 64,
    ILEA_LINK_UP,
    ILEA_LINK_DOWN,
    ILEA_LINK_RECV,
    ILEA_LINK_REFUSED,
    ILEA_LINK_PONG,
    ILEA_LINK_LOBBY_READY,
    ILEA_LINK_LOBBY_ASK,
    ILEA_LINK_LOBBY_COUNTS
};

struct ilea_link_frame {
    enum ilea_link_kind kind;
    uint32_t peer;
    struct ilea_span body; /* borrowed from the decoder's buffer */
};

/*
 * One end of the pair: non-blocking, buffered in both directions. Caller's memory.
 * The buffers grow to what is in flight and never beyond their bounds.
 */
struct ilea_link_pipe {
    int fd;               /* not owned */
    uint8_t *in;          /* bytes read, not yet taken */
    size_t in_start, in_end, in_capacity;
    uint8_t *out;         /* bytes queued, not yet written */
    size_t out_start, out_end, out_capacity;
};

void ilea_link_pipe_init(struct ilea_link_pipe *pipe, int fd);
/* Frees the buffers, wiping them (a CONFIG frame carries a secret); does not close fd. */
void ilea_link_pipe_deinit(struct ilea_link_pipe *pipe);

/* Queue one frame whose body is the two parts in a row (either may be empty), and write what the
 * socket takes. Bytes that it does not take stay queued: poll for POLLOUT and call flush.
 *   ILEA_ERROR_BUSY       more than out_max bytes would be queued: nothing was, try again later
 *   ILEA_ERROR_NO_MEMORY
 *   ILEA_ERROR_IO         the other end is gone: replace it, or exit */
ILEA_MUST_USE enum ilea_error
ilea_link_pipe_send(struct ilea_link_pipe *pipe, enum ilea_link_kind kind, uint32_t peer,
                    struct ilea_span first, struct ilea_span second, size_t out_max);
ILEA_MUST_USE enum ilea_error ilea_link_pipe_flush(struct ilea_link_pipe *pipe);
size_t ilea_link_pipe_queued(const struct ilea_link_pipe *pipe);

/* Read once from the socket (call when poll says POLLIN).
 *   ILEA_ERROR_IO  end of file or error: the other end is gone */
ILEA_MUST_USE enum ilea_error ilea_link_pipe_fill(struct ilea_link_pipe *pipe);

/* Take the next whole frame from what was read; its body is valid until the next call on `pipe`.
 *   ILEA_ERROR_NOT_FOUND  no whole frame yet
 *   ILEA_ERROR_MALFORMED  unknown kind, or a body beyond its bound: the pipe is of no more use */
ILEA_MUST_USE enum ilea_error ilea_link_pipe_next(struct ilea_link_pipe *pipe,
                                                  struct ilea_link_frame *frame);

/* Pure: decode the header of one frame from the start of `input`; the function fuzzed and tested.
 *   ILEA_ERROR_NOT_FOUND  input is too short to tell, or the body is not whole yet
 *   ILEA_ERROR_MALFORMED */
ILEA_MUST_USE enum ilea_error ilea_link_frame_decode(struct ilea_span input,
                                                     struct ilea_link_frame *frame,
                                                     size_t *size);

#endif
