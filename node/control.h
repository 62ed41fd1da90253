/*
 * control.h - what the command line and the daemon say to each other over DIR/control.sock (Unix stream
 * socket; only the daemon's own user and root are served).
 *
 *   frame: uint32 size of what follows, most significant byte first | kind: uint8 | body: canonical MessagePack
 *
 *   PUTS     [ put: bin ... ]                  record/put.h
 *     answer [ [error, outcome, id: bin 16, ref, shared 0/1, scope, audience: bin 0|16, label, base: bin 0|32,
 *                reason] ... ]
 *                                            one for each, after it is durable
 *   STATUS   [ ]
 *     answer [ position, view position, restarts of ilea-link, damaged, repaired,
 *              [ [agency: bin 32, told, held] ... ], [ [agency: bin 32, by: bin 32, items 0/1] ... ],
 *              [ [agency: bin 32, up 0/1, known 0/1, lag, missing] ... ] ]
 *   CARD     [ text: bin ]                     a peer's card
 *     answer [ error, reason, agency: bin 32, code, state, words ]
 *   DECIDE   [ act: bin, [ [admin: bin 32, sig: bin 64] ... ], payload: bin ]       trust.h
 *     answer [ error, reason, kind, outcome, proposal, have, needed, agency: bin 0 or 32, code, state, words ]
 *
 *   COMPACT  [ ]                               compact.h
 *     answer [ error, log before, after, view before, after ]
 *   SEAL, CEREMONY, LOBBY                      control_lobby.h
 *   BUNDLE                                     control_bundle.h
 *   HELD                                       control_held.h
 *   DOCUMENT                                   control_document.h
 *   ERASE                                      control_erase.h
 *   AUDIENCE                                   control_audience.h
 *
 * Private to ileanet's own programs: both ends are of one version.
 */
#ifndef ILEA_NODE_CONTROL_H
#define ILEA_NODE_CONTROL_H

#include "node/author.h"
#include "node/compacted.h"
#include "replication/record/act.h"
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

/* How it stands with an agency, in words: "approved, not verified". */
enum { ILEA_STATE_WORDS_SIZE = 32 };

enum ilea_control_kind {
    ILEA_CONTROL_PUTS = 1,
    ILEA_CONTROL_STATUS,
    ILEA_CONTROL_CARD,
    ILEA_CONTROL_DECIDE,
    ILEA_CONTROL_SEAL, /* these three: control_lobby.h */
    ILEA_CONTROL_CEREMONY,
    ILEA_CONTROL_LOBBY,
    ILEA_CONTROL_COMPACT,
    ILEA_CONTROL_BUNDLE, /* control_bundle.h */
    ILEA_CONTROL_HELD,    /* control_held.h */
    ILEA_CONTROL_DOCUMENT, /* control_document.h */
    ILEA_CONTROL_ERASE,   /* control_erase.h */
    ILEA_CONTROL_AUDIENCE, /* control_audience.h */
    ILEA_CONTROL_LAST = ILEA_CONTROL_AUDIENCE
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

/* A text in a body: up to its NUL; into `size` bytes, its NUL included: a longer one fails the reader. */
void ilea_control_put_text(struct ilea_msgpack_writer *writer, const char *text);
void ilea_control_get_text(struct ilea_msgpack_reader *reader, char *text, size_t size);

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
    char words[ILEA_STATE_WORDS_SIZE];
};
void ilea_control_put_agency(struct ilea_msgpack_writer *writer,
                             const struct ilea_control_agency *agency);
ILEA_MUST_USE enum ilea_error ilea_control_get_agency(struct ilea_span body,
                                                      struct ilea_control_agency *agency);

/* The answer to a decision. */
enum ilea_decision_outcome {
    ILEA_DECISION_DONE = 1,
    ILEA_DECISION_WAITS   /* as a proposal: more admins must sign */
};
struct ilea_control_decision {
    enum ilea_error error;           /* NONE: as below; else the reason says what to do */
    char reason[ILEA_REASON_SIZE];
    char kind[ILEA_ACT_KIND_MAX + 1];
    enum ilea_decision_outcome outcome;
    uint32_t proposal, have, needed; /* its number; signatures that there are, and that it takes */
    bool has_agency;
    struct ilea_agency_id agency;
    char code[ILEA_CODE_SIZE_MAX + 1];
    char state[16];
    char words[ILEA_STATE_WORDS_SIZE];
    bool own_changed;                /* not sent: our own manifest is another now */
};
void ilea_control_put_decision(struct ilea_msgpack_writer *writer, const struct ilea_control_decision *decision);
ILEA_MUST_USE enum ilea_error ilea_control_get_decision(struct ilea_span body,
                                                        struct ilea_control_decision *decision);

/* The request: signatures of admins on an act, and what goes with it. */
struct ilea_trust_request {
    struct ilea_span act;            /* encoded */
    struct ilea_act_signature sigs[ILEA_ACT_SIGS_MAX];
    uint32_t sig_count;
    struct ilea_span payload;        /* a signed manifest of ours, where the kind brings one; else empty */
};
void ilea_control_put_request(struct ilea_msgpack_writer *writer, const struct ilea_trust_request *request);
ILEA_MUST_USE enum ilea_error ilea_control_get_request(struct ilea_span body, struct ilea_trust_request *request);

enum { ILEA_CONTROL_BEHIND_MAX = 64, ILEA_CONTROL_WITHHELD_MAX = 256 };

/* The daemon's answer to STATUS. */
struct ilea_control_link {
    struct ilea_agency_id agency;
    bool up, known;          /* known: what it holds; else the counts say nothing */
    uint64_t lag_commits, missing_commits;
    uint32_t waiting;        /* feeds of which it brought commits too early */
};
/* An agency says that it has so many commits for us, of which we hold so many. */
struct ilea_control_behind {
    struct ilea_agency_id agency;
    uint64_t told, held;
};
/* What a peer does not pass on of an agency. */
struct ilea_control_withheld {
    struct ilea_agency_id agency, by;
    bool items;              /* it leaves out items of commits; else, what we are behind */
};
struct ilea_control_status {
    uint64_t position, view_position, link_restarts;
    uint64_t damaged, repaired; /* commits on the disk; since the daemon was started */
    uint32_t behind_count, withheld_count;
    struct ilea_control_behind behind[ILEA_CONTROL_BEHIND_MAX];
    struct ilea_control_withheld withheld[ILEA_CONTROL_WITHHELD_MAX];
    uint32_t link_count;
    struct ilea_control_link links[64];
};
void ilea_control_put_status(struct ilea_msgpack_writer *writer,
                             const struct ilea_control_status *status);
ILEA_MUST_USE enum ilea_error ilea_control_get_status(struct ilea_span body,
                                                      struct ilea_control_status *status);

/* The answer to COMPACT. */
struct ilea_control_compacted {
    enum ilea_error error;
    struct ilea_compacted sizes;
};
void ilea_control_put_compacted(struct ilea_msgpack_writer *writer, const struct ilea_control_compacted *compacted);
ILEA_MUST_USE enum ilea_error ilea_control_get_compacted(struct ilea_span body,
                                                         struct ilea_control_compacted *compacted);

/* Connect to the daemon of a home. NOT_FOUND: none runs; PERMISSION. Gives *fd. */
ILEA_MUST_USE enum ilea_error ilea_control_connect(const char *home, int *fd);
/* Send a whole frame; receive one whole frame into `buffer` (ILEA_CONTROL_FRAME_MAX), blocking. */
ILEA_MUST_USE enum ilea_error ilea_control_send(int fd, const uint8_t *frame, size_t size);
ILEA_MUST_USE enum ilea_error ilea_control_receive(int fd, uint8_t *buffer,
                                                   struct ilea_control_frame *frame);

/* Ask the daemon of a home one thing, over a connection of its own. `buffer` (ILEA_CONTROL_FRAME_MAX) holds the body
 * behind ILEA_CONTROL_HEADER, and takes the answer. Errors as connect, send and receive. */
ILEA_MUST_USE enum ilea_error ilea_control_ask(const char *home, enum ilea_control_kind kind, uint8_t *buffer,
                                               size_t body_size, struct ilea_control_frame *frame);

/* Listen. A socket left over by a daemon that died is replaced: the caller holds the home's lock. */
ILEA_MUST_USE enum ilea_error ilea_control_listen(const char *home, int *fd);

#endif
