/*
 * message.h - the frames on a link, byte by byte.
 *
 *   frame   = session: 8 bytes | number: uint32, most significant first | type: uint8 | body
 *   HELLO    1  [ version_min, version_max, features, agency: bin 32, nonce: bin 32, own_index, known_index,
 *                 known_hash: bin 32 ]                             session zeros, number 0
 *   BIND     2  [ sig: bin 64 ]
 *   FRONTIER 3  [ 0, follows_hash: bin 32, entries_hash: bin 32 ]
 *             | [ 1, last 0/1, [ follows: bin 32 ... ],
 *                 [ [ agency: bin 32, manifest_index, manifest_hash: bin 32, archived_count, archived_sum: bin 32,
 *                     [ [feed: bin 32, proof's hash: bin 32] ... ], [ [feed: bin 32, seq, id: bin 32] ... ] ] ... ] ]
 *             | [ 2, agency: bin 32, last 0/1, [ [feed: bin 32, seq, id: bin 32] ... ] ]   archived, ascending
 *             | [ 3, agency: bin 32, after: bin 0|32, sums: bin 0|2048 ]                   asks for them
 *   COMMITS  4  [ feed: bin 32, [ commit: bin ... ] ]          contiguous, ascending
 *   CREDIT   5  [ limit, [ [feed: bin 32, seq] ... ] ]
 *   NOTE     6  [ [ feed: bin 32, seq, mode ] | [ feed, seq, mode, agency: bin 32 ] ... ]    mode 0 lazy, 1 eager;
 *               with the agency where the sender knows of nothing that the receiver holds of the feed
 *   MANIFEST 7  [ agency: bin 32, [ signed: bin ... ] ]        indexes rise by one
 *   FORK     8  [ proof: bin ]
 *   SIDE     9  1 to 131,072 bytes that mean nothing here
 *   WANT    10  [ feed: bin 32, seq ]                          send this commit once more
 *
 * Frames of a session are numbered from 1 in each direction: a lower number than
 * expected is a repeat and is dropped, a higher one is a gap and ends the session.
 * Decoders borrow, allocate nothing, and accept one encoding of each message.
 */
#ifndef ILEA_CORE_MESSAGE_H
#define ILEA_CORE_MESSAGE_H

#include "replication/core/event.h"
#include "replication/record/fork.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum { ILEA_PROTOCOL_VERSION = 1 };

enum ilea_message_type {
    ILEA_MESSAGE_HELLO = 1,
    ILEA_MESSAGE_BIND,
    ILEA_MESSAGE_FRONTIER,
    ILEA_MESSAGE_COMMITS,
    ILEA_MESSAGE_CREDIT,
    ILEA_MESSAGE_NOTE,
    ILEA_MESSAGE_MANIFEST,
    ILEA_MESSAGE_FORK,
    ILEA_MESSAGE_SIDE,
    ILEA_MESSAGE_WANT,
    ILEA_MESSAGE_LAST = ILEA_MESSAGE_WANT
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
    uint64_t own_index;                 /* of the sender's newest manifest */
    uint64_t known_index;               /* of the receiver's newest one that the sender holds */
    uint8_t known_hash[ILEA_HASH_SIZE]; /* and its hash */
};

enum ilea_frontier_form {
    ILEA_FRONTIER_HASH = 0,
    ILEA_FRONTIER_LIST,
    ILEA_FRONTIER_ARCHIVE, /* some archived feeds of an agency */
    ILEA_FRONTIER_ASK      /* which ones do you have? */
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

/* What is told of one agency: all of it, or a part, with the same head each time. */
struct ilea_frontier_group {
    struct ilea_agency_id agency;
    uint64_t manifest_index;
    uint8_t manifest_hash[ILEA_HASH_SIZE];
    struct ilea_archive archive;
    uint32_t fork_count;
    struct ilea_msgpack_reader forks;   /* fork_count times ilea_frontier_fork_next() */
    uint32_t entry_count;
    struct ilea_msgpack_reader entries; /* entry_count times ilea_position_get() */
};

struct ilea_frontier_archive {
    struct ilea_agency_id agency;
    bool last;
    uint32_t entry_count;
    struct ilea_msgpack_reader entries; /* entry_count times ilea_position_get() */
};

struct ilea_frontier_ask {
    struct ilea_agency_id agency;
    bool has_after;
    struct ilea_feed_id after;          /* tell those behind it */
    bool has_sums;
    /* For each bucket the sum of the first 8 bytes of the hashes of what the sender has archived; buckets
     * that are the same need not be told. */
    uint64_t sums[ILEA_ARCHIVE_BUCKETS];
};

struct ilea_frontier {
    enum ilea_frontier_form form;
    union {
        struct ilea_frontier_hash hash;
        struct ilea_frontier_list list;
        struct ilea_frontier_archive archive;
        struct ilea_frontier_ask ask;
    };
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
ILEA_MUST_USE enum ilea_error ilea_frontier_decode(struct ilea_span body,
                                                   struct ilea_frontier *frontier);
ILEA_MUST_USE enum ilea_error ilea_commits_decode(struct ilea_span body, struct ilea_feed_id *feed,
                                                  uint32_t *count,
                                                  struct ilea_msgpack_reader *commits);
ILEA_MUST_USE enum ilea_error ilea_credit_decode(struct ilea_span body, struct ilea_credit *credit);
ILEA_MUST_USE enum ilea_error ilea_notes_decode(struct ilea_span body, uint32_t *count,
                                                struct ilea_msgpack_reader *notes);

ILEA_MUST_USE enum ilea_error ilea_manifests_decode(struct ilea_span body,
                                                    struct ilea_agency_id *agency, uint32_t *count,
                                                    struct ilea_msgpack_reader *manifests);
ILEA_MUST_USE enum ilea_error ilea_fork_message_decode(struct ilea_span body, struct ilea_span *proof);
ILEA_MUST_USE enum ilea_error ilea_want_decode(struct ilea_span body, struct ilea_feed_id *feed, uint64_t *seq);
void ilea_message_put_want(struct ilea_msgpack_writer *writer, const struct ilea_feed_id *feed, uint64_t seq);

void ilea_frontier_group_next(struct ilea_msgpack_reader *groups, struct ilea_frontier_group *group);
void ilea_frontier_fork_next(struct ilea_msgpack_reader *forks, struct ilea_feed_id *feed,
                             uint8_t hash[ILEA_HASH_SIZE]);
void ilea_note_next(struct ilea_msgpack_reader *notes, struct ilea_note *note);
void ilea_credit_position_next(struct ilea_msgpack_reader *positions, struct ilea_feed_id *feed,
                               uint64_t *seq);
/* The next commit's bytes of a COMMITS body. */
struct ilea_span ilea_commits_next(struct ilea_msgpack_reader *commits);
/* The next signed manifest of a MANIFEST body. */
struct ilea_span ilea_manifests_next(struct ilea_msgpack_reader *manifests);

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
/* Then `count` times ilea_msgpack_put_bin() of a signed manifest. */
void ilea_message_put_manifests_head(struct ilea_msgpack_writer *writer,
                                     const uint8_t session[ILEA_SESSION_ID_SIZE], uint32_t number,
                                     const struct ilea_agency_id *agency, uint32_t count);
void ilea_message_put_fork(struct ilea_msgpack_writer *writer,
                           const uint8_t session[ILEA_SESSION_ID_SIZE], uint32_t number,
                           struct ilea_span proof);
/* The head of a group; then the array of forks and the array of positions. */
void ilea_message_put_group_head(struct ilea_msgpack_writer *writer,
                                 const struct ilea_agency_id *agency, uint64_t manifest_index,
                                 const uint8_t manifest_hash[ILEA_HASH_SIZE],
                                 const struct ilea_archive *archive);
void ilea_message_put_ask(struct ilea_msgpack_writer *writer, const struct ilea_frontier_ask *ask);
void ilea_message_put_note(struct ilea_msgpack_writer *writer, const struct ilea_note *note);
void ilea_message_put_position(struct ilea_msgpack_writer *writer, const struct ilea_feed_id *feed,
                               uint64_t seq, const struct ilea_commit_id *id);

/* What BIND signs: sender's and receiver's transport keys and nonces, then what each said in its HELLO, so
 * that nobody between them can talk them down or hide a manifest. */
enum { ILEA_BIND_MESSAGE_SIZE = 4 * 32 + 2 * (5 * 8 + ILEA_HASH_SIZE) };
void ilea_bind_message(const struct ilea_transport_public *sender,
                       const struct ilea_transport_public *receiver,
                       const struct ilea_hello *sender_hello,
                       const struct ilea_hello *receiver_hello,
                       uint8_t message[ILEA_BIND_MESSAGE_SIZE]);

#endif
