/*
 * statement.h - what control items say, in clear, to every follower.
 *
 *   OPENING  [ 1, agency: bin 32, node: bin 32, incarnation: bin 16, scope, [ [feed: bin 32, seq, id: bin 32] ... ] ]
 *            Slot 0 of a feed's first commit. Its first four things hash to the feed id, so a feed
 *            belongs to one agency, node key and incarnation for ever; then the last positions of
 *            the same agency's earlier feeds of that scope that the writer held. In scope 3 two more
 *            things follow, owner: bin 32, salt: bin 16: they make the audience id, which belongs to
 *            the feed id too; the earlier feeds are those of the same audience.
 *   EPOCH    [ 2, audience: bin 16, number, aek_commit: bin 32, [ head: bin 32 ... ], [ wrapped ... ] ]
 *            Starts an epoch: its key, sealed to each reader and to the author. No names stand beside
 *            the sealed keys: who is approved is nobody else's business. Wrapped keys ascend.
 *            heads: commit ids of the audience's earlier epochs that no held statement names yet;
 *            number = 1 + the highest of theirs.
 *   HISTORY  [ 3, audience: bin 16, [ [aek_commit: bin 32, wrapped] ... ] ]
 *            Earlier epochs' keys for a reader who came later.
 *
 *   Kinds 4, 5, 6 and 8 are those of closed audiences (audience.h), 7 of erasure (erase.h).
 *
 *   feed_id = H(FEED, network || agency || node || incarnation || scope as u64, in scope 3: || audience)
 */
#ifndef ILEA_RECORD_STATEMENT_H
#define ILEA_RECORD_STATEMENT_H

#include "crypto/keyring.h"
#include "crypto/sign.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "replication/record/item.h"
#include "replication/record/limits.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"
#include "replication/record/put.h"

enum { ILEA_INCARNATION_SIZE = 16, ILEA_HISTORY_KEYS_MAX = 1024 };

enum ilea_statement_kind {
    ILEA_STATEMENT_OPENING = 1,
    ILEA_STATEMENT_EPOCH = 2,
    ILEA_STATEMENT_HISTORY = 3,
    ILEA_STATEMENT_AUDIENCE = 4,
    ILEA_STATEMENT_SUSPEND = 5,
    ILEA_STATEMENT_USE = 6,
    ILEA_STATEMENT_ERASE = 7,
    ILEA_STATEMENT_WRITER = 8
};

/* Whose feed it is. */
struct ilea_feed_origin {
    struct ilea_agency_id agency;
    struct ilea_sign_public node;
    uint8_t incarnation[ILEA_INCARNATION_SIZE];
    enum ilea_scope scope;
    struct ilea_audience_id audience; /* of scope AUDIENCE; zeros else */
};

struct ilea_position {
    struct ilea_feed_id feed;
    uint64_t seq;
    struct ilea_commit_id id;
};

struct ilea_opening {
    struct ilea_feed_origin origin;
    struct ilea_agency_id owner;   /* these two: of scope AUDIENCE; zeros else */
    uint8_t salt[ILEA_AUDIENCE_SALT_SIZE];
    uint32_t predecessor_count;
    struct ilea_span predecessors; /* encoded positions */
};

struct ilea_epoch_statement {
    struct ilea_audience_id audience;
    uint64_t number;
    uint8_t aek_commit[ILEA_HASH_SIZE];
    uint32_t head_count;
    struct ilea_span heads;        /* encoded commit ids */
    uint32_t wrapped_count;
    struct ilea_span wrapped;      /* encoded wrapped keys */
};

struct ilea_history_statement {
    struct ilea_audience_id audience;
    uint32_t key_count;
    struct ilea_span keys;         /* encoded pairs */
};

void ilea_feed_id_of(const struct ilea_network_id *network, const struct ilea_feed_origin *origin,
                     struct ilea_feed_id *feed);

/* First half of a feed's id, as dots name it. */
void ilea_dot_feed_of(const struct ilea_feed_id *feed, uint8_t dot_feed[16]);

/* Which statement it is. ILEA_ERROR_MALFORMED; ILEA_ERROR_UNKNOWN: kept, passed on, not understood. */
ILEA_MUST_USE enum ilea_error ilea_statement_kind_of(struct ilea_span input,
                                                     enum ilea_statement_kind *kind);

/* Each: ILEA_ERROR_MALFORMED. Spans borrow `input`. The network is what audience ids are made with; NULL leaves
 * origin.audience zeros, for who wants the positions alone. */
ILEA_MUST_USE enum ilea_error ilea_opening_decode(struct ilea_span input,
                                                  const struct ilea_network_id *network,
                                                  struct ilea_opening *opening);
ILEA_MUST_USE enum ilea_error ilea_epoch_decode(struct ilea_span input,
                                                struct ilea_epoch_statement *epoch);
ILEA_MUST_USE enum ilea_error ilea_history_decode(struct ilea_span input,
                                                  struct ilea_history_statement *history);

/* Walk a decoded list: init a reader over the span, call count times. */
void ilea_position_get(struct ilea_msgpack_reader *reader, struct ilea_position *position);
/* Walk `count` positions that must ascend by feed; returns where they stand. */
struct ilea_span ilea_positions_get(struct ilea_msgpack_reader *reader, uint32_t count);
void ilea_position_put(struct ilea_msgpack_writer *writer, const struct ilea_position *position);

/* predecessors: `count` of them; the opening's own span is not looked at. */
void ilea_opening_put(struct ilea_msgpack_writer *writer, const struct ilea_opening *opening,
                      const struct ilea_position *predecessors, uint32_t count);
/* wrapped: count keys of ILEA_WRAPPED_KEY_SIZE bytes each, in a row; sorted here, in place. */
void ilea_epoch_put(struct ilea_msgpack_writer *writer, const struct ilea_audience_id *audience,
                    uint64_t number, const uint8_t aek_commit[ILEA_HASH_SIZE],
                    const struct ilea_commit_id *heads, uint32_t head_count, uint8_t *wrapped,
                    uint32_t wrapped_count);
void ilea_history_put_head(struct ilea_msgpack_writer *writer,
                           const struct ilea_audience_id *audience, uint32_t key_count);
void ilea_history_put_key(struct ilea_msgpack_writer *writer,
                          const uint8_t aek_commit[ILEA_HASH_SIZE],
                          const uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE]);
void ilea_history_get_key(struct ilea_msgpack_reader *reader, uint8_t aek_commit[ILEA_HASH_SIZE],
                          uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE]);

/* For the codecs of single kinds: the array and its kind. */
void ilea_statement_begin(struct ilea_msgpack_reader *reader, struct ilea_span input, uint32_t fields,
                          enum ilea_statement_kind kind);
/* Walk `count` binaries of `size` bytes that ascend strictly; returns where they stand. */
struct ilea_span ilea_ascending_bins_get(struct ilea_msgpack_reader *reader, uint32_t count, uint32_t size);
/* The list of wrapped keys: `count` of ILEA_WRAPPED_KEY_SIZE bytes in a row, sorted here, in place. */
void ilea_wrapped_put(struct ilea_msgpack_writer *writer, uint8_t *wrapped, uint32_t count);

#endif
