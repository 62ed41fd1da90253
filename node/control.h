/*
 * control.h - what the command line and the daemon say to each other over DIR/control.sock (Unix stream
 * socket; only the daemon's own user and root are served).
 *
 *   frame: uint32 size of what follows, most significant byte first | kind: uint8 | body: canonical MessagePack
 *
 *   PUTS     [ put: bin ... ]                  record/put.h
 *     answer [ [error, outcome, id: bin 16, ref, reason] ... ]    one for each, after it is durable
 *   STATUS   [ ]
 *     answer [ position, view position, restarts of ilea-link,
 *              [ [agency: bin 32, up 0/1, known 0/1, lag, missing] ... ] ]
 *   CARD     [ text: bin ]                     a peer's card
 *   APPROVE  [ name ]
 *     answer of both [ error, reason, agency: bin 32, code, state ]
 *
 * Private to ileanet's own programs: both ends are of one version.
 */
#ifndef ILEA_NODE_CONTROL_H
#define ILEA_NODE_CONTROL_H

#include "node/author.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum {
    ILEA_CONTROL_FRAME_MAX = 512 * 1024,
    ILEA_CONTROL_PUTS_MAX = 2048,
    /* What a client gathers into one PUTS frame; one put alone may be larger. */
    ILEA_CONTROL_BATCH_BYTES = 200 * 1024,
    ILEA_CONTROL_HEADER = 5
};

_Static_assert(ILEA_CONTROL_BATCH_BYTES + ILEA_CHANGE_SIZE_MAX + 4096 <= ILEA_CONTROL_FRAME_MAX,
               "a batch and one more put fit a frame");

enum ilea_control_kind {
    ILEA_CONTROL_PUTS = 1,
    ILEA_CONTROL_STATUS,
    ILEA_CONTROL_CARD,
    ILEA_CONTROL_APPROVE
};

struct ilea_control_frame {
    enum ilea_control_kind kind;
    struct ilea_span body;
};

/* Decode one frame from the start of `input`. NOT_FOUND: not whole yet; MALFORMED: drop the client. */
ILEA_MUST_USE enum ilea_error ilea_control_decode(struct ilea_span input,
                                                  struct ilea_control_frame *frame, size_t *size);
/* Fill in the header of a frame whose body was written behind ILEA_CONTROL_HEADER bytes of `frame`. */
void ilea_control_put_header(uint8_t *frame, enum ilea_control_kind kind, size_t body_size);

/* One answer to a put. */
void ilea_control_put_result(struct ilea_msgpack_writer *writer, enum ilea_error error,
                             const struct ilea_put_result *result);
void ilea_control_get_result(struct ilea_msgpack_reader *reader, enum ilea_error *error,
                             struct ilea_put_result *result);

/* The answer about an agency. */
struct ilea_control_agency {
    enum ilea_error error;
    char reason[ILEA_REASON_SIZE];
    struct ilea_agency_id id;
    char code[ILEA_CODE_SIZE_MAX + 1];
    char state[16];
};
void ilea_control_put_agency(struct ilea_msgpack_writer *writer,
                             const struct ilea_control_agency *agency);
ILEA_MUST_USE enum ilea_error ilea_control_get_agency(struct ilea_span body,
                                                      struct ilea_control_agency *agency);

/* The daemon's answer to STATUS. */
struct ilea_control_link {
    struct ilea_agency_id agency;
    bool up, known;          /* known: what it holds; else the counts say nothing */
    uint64_t lag_commits, missing_commits;
};
struct ilea_control_status {
    uint64_t position, view_position, link_restarts;
    uint32_t link_count;
    struct ilea_control_link links[64];
};
void ilea_control_put_status(struct ilea_msgpack_writer *writer,
                             const struct ilea_control_status *status);
ILEA_MUST_USE enum ilea_error ilea_control_get_status(struct ilea_span body,
                                                      struct ilea_control_status *status);

/* Connect to the daemon of a home. NOT_FOUND: none runs; PERMISSION. Gives *fd. */
ILEA_MUST_USE enum ilea_error ilea_control_connect(const char *home, int *fd);
/* Send a whole frame; receive one whole frame into `buffer` (ILEA_CONTROL_FRAME_MAX), blocking. */
ILEA_MUST_USE enum ilea_error ilea_control_send(int fd, const uint8_t *frame, size_t size);
ILEA_MUST_USE enum ilea_error ilea_control_receive(int fd, uint8_t *buffer,
                                                   struct ilea_control_frame *frame);

/* Listen. A socket left over by a daemon that died is replaced: the caller holds the home's lock. */
ILEA_MUST_USE enum ilea_error ilea_control_listen(const char *home, int *fd);

#endif
