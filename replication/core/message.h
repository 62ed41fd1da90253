/*
 * message.h - the frames on a link, byte by byte.
 *
 *   frame   = session: 8 bytes | number: uint32, most significant first | type: uint8 | body
 *   HELLO    1  [ version_min, version_max, features, agency: bin 32, nonce: bin 32 ]    session zeros, number 0
 *   BIND     2  [ sig: bin 64 ]
 *   FRONTIER 3  [ 0, follows_hash: bin 32, entries_hash: bin 32 ]
 *             | [ 1, last 0/1, [ follows: bin 32 ... ],
 *                 [ [ agency: bin 32, [ [feed: bin 32, seq, id: bin 32] ... ] ] ... ] ]
 *   COMMITS  4  [ feed: bin 32, [ commit: bin ... ] ]          contiguous, ascending
 *   CREDIT   5  [ limit, [ [feed: bin 32, seq] ... ] ]
 *   NOTE     6  [ [ feed: bin 32, seq, mode ] | [ feed, seq, mode, agency: bin 32 ] ... ]    mode 0 lazy, 1 eager;
 *               with the agency where the sender knows of nothing that the receiver holds of the feed
 *
 * Frames of a session are numbered from 1 in each direction: a lower number than
 * expected is a repeat and is dropped, a higher one is a gap and ends the session.
 * Decoders borrow, allocate nothing, and accept one encoding of each message.
 */
#ifndef ILEA_CORE_MESSAGE_H
#define ILEA_CORE_MESSAGE_H

#include "replication/core/event.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum { ILEA_PROTOCOL_VERSION = 1 };

enum ilea_message_type {
    ILEA_MESSAGE_HELLO = 1,
    ILEA_MESSAGE_BIND,
    ILEA_MESSAGE_FRONTIER,
    ILEA_MESSAGE_COMMITS,
    ILEA_MESSAGE_CREDIT,
    ILEA_MESSAGE_NOTE
};

enum ilea_note_mode { ILEA_NOTE_LAZY = 0, ILEA_NOTE_EAGER = 1 };

struct ilea_frame {
    uint8_t session[ILEA_SESSION_ID_SIZE];
    uint32_t number;
    enum ilea_message_type type;
    struct ilea_span body;
};

struct ilea_hello {
    uint32_t version_min, version_max;
    uint64_t features;
    struct ilea_agency_id agency;
    uint8_t nonce[ILEA_NONCE_HELLO_SIZE];
};

struct ilea_frontier_hash {
    uint8_t follows[ILEA_HASH_SIZE];
    uint8_t entries[ILEA_HASH_SIZE];
};

/* The list form; walk with the getters below, in this order. */
struct ilea_frontier_list {
    bool last;
    uint32_t follow_count;
    struct ilea_msgpack_reader follows; /* follow_count times get_bytes 32 */
    uint32_t group_count;
    struct ilea_msgpack_reader groups;  /* group_count times ilea_frontier_group_next() */
};

struct ilea_credit {
    uint64_t limit;
    uint32_t position_count;
    struct ilea_msgpack_reader positions; /* position_count times ilea_credit_position_next() */
};

struct ilea_note {
    struct ilea_feed_id feed;
    uint64_t seq;
    enum ilea_note_mode mode;
    bool has_agency;
    struct ilea_agency_id agency;
};

/* All decoders: ILEA_ERROR_MALFORMED; whole body checked before anything is returned. */
ILEA_MUST_USE enum ilea_error ilea_frame_decode(struct ilea_span input, struct ilea_frame *frame);
ILEA_MUST_USE enum ilea_error ilea_hello_decode(struct ilea_span body, struct ilea_hello *hello);
ILEA_MUST_USE enum ilea_error ilea_bind_decode(struct ilea_span body, struct ilea_signature *sig);
/* *is_hash tells which of the two was filled. */
ILEA_MUST_USE enum ilea_error ilea_frontier_decode(struct ilea_span body, bool *is_hash,
                                                   struct ilea_frontier_hash *hash,
                                                   struct ilea_frontier_list *list);
ILEA_MUST_USE enum ilea_error ilea_commits_decode(struct ilea_span body, struct ilea_feed_id *feed,
                                                  uint32_t *count,
                                                  struct ilea_msgpack_reader *commits);
ILEA_MUST_USE enum ilea_error ilea_credit_decode(struct ilea_span body, struct ilea_credit *credit);
ILEA_MUST_USE enum ilea_error ilea_notes_decode(struct ilea_span body, uint32_t *count,
                                                struct ilea_msgpack_reader *notes);

uint32_t ilea_frontier_group_next(struct ilea_msgpack_reader *groups, struct ilea_agency_id *agency);
void ilea_note_next(struct ilea_msgpack_reader *notes, struct ilea_note *note);
void ilea_credit_position_next(struct ilea_msgpack_reader *positions, struct ilea_feed_id *feed,
                               uint64_t *seq);
/* The next commit's bytes of a COMMITS body. */
struct ilea_span ilea_commits_next(struct ilea_msgpack_reader *commits);

/* Frame header, then the body by the writer. */
void ilea_message_put_header(struct ilea_msgpack_writer *writer,
                             const uint8_t session[ILEA_SESSION_ID_SIZE], uint32_t number,
                             enum ilea_message_type type);
void ilea_message_put_hello(struct ilea_msgpack_writer *writer, const struct ilea_hello *hello);
void ilea_message_put_bind(struct ilea_msgpack_writer *writer,
                           const uint8_t session[ILEA_SESSION_ID_SIZE], uint32_t number,
                           const struct ilea_signature *sig);
/* Then `count` times ilea_msgpack_put_bin() of a commit's bytes. */
void ilea_message_put_commits_head(struct ilea_msgpack_writer *writer,
                                   const uint8_t session[ILEA_SESSION_ID_SIZE], uint32_t number,
                                   const struct ilea_feed_id *feed, uint32_t count);
void ilea_message_put_note(struct ilea_msgpack_writer *writer, const struct ilea_note *note);
void ilea_message_put_position(struct ilea_msgpack_writer *writer, const struct ilea_feed_id *feed,
                               uint64_t seq, const struct ilea_commit_id *id);

/* What BIND signs: sender's and receiver's transport keys and nonces, then the versions and features that
 * each offered, so that nobody between them can talk them down. */
enum { ILEA_BIND_MESSAGE_SIZE = 4 * 32 + 6 * 8 };
void ilea_bind_message(const struct ilea_transport_public *sender,
                       const struct ilea_transport_public *receiver,
                       const struct ilea_hello *sender_hello,
                       const struct ilea_hello *receiver_hello,
                       uint8_t message[ILEA_BIND_MESSAGE_SIZE]);

#endif
