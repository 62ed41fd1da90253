/*
 * change.h - what a writer did to a record: the plaintext of a data item.
 *
 *   [ 1, record_id: bin 16, type, time_ms, label, handling, run, prev_leaf: bin 32, [ op ... ] ]
 *   op   = [ field, key: [] or [value], value: [] or [value], depth, [ dot ... ] ]
 *   dot  = [ feed: bin 16 (first half of the feed id), seq, index ]
 *
 * An op sets (field, key) to its value, or to nothing if it has none, and
 * replaces the dots it names: the writes of the same (field, key) that its
 * author saw. A register has no key; a keyed register a str; an element of a
 * set is its own key with the value uint 1. So how an op merges is told by its
 * shape, also for types and fields that this version does not know.
 *
 * Ops ascend strictly by (field, key bytes), dots ascend strictly: one encoding.
 */
#ifndef ILEA_RECORD_CHANGE_H
#define ILEA_RECORD_CHANGE_H

#include "crypto/hash.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"
#include "replication/record/limits.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"
#include "replication/record/schema.h"

enum { ILEA_DOT_FEED_SIZE = 16 };

/* Names one change for ever. */
struct ilea_dot {
    uint8_t feed[ILEA_DOT_FEED_SIZE];
    uint64_t seq;
    uint32_t index; /* of the item in its commit, from 0 */
};

/* As in sorting: by feed bytes, seq, index. */
int ilea_dot_compare(const struct ilea_dot *a, const struct ilea_dot *b);

struct ilea_op {
    uint32_t field;
    uint32_t depth;
    struct ilea_span key;      /* encoded value, or empty */
    struct ilea_span value;    /* encoded value, or empty: removed */
    struct ilea_span replaces; /* encoded array of dots */
};

/* TLP 2.0; 0 is not a label. */
enum ilea_label { ILEA_LABEL_CLEAR = 1, ILEA_LABEL_GREEN, ILEA_LABEL_AMBER, ILEA_LABEL_AMBER_STRICT, ILEA_LABEL_RED };

/* The fixed part; ops are walked from `ops` without allocation. */
struct ilea_change {
    struct ilea_record_id record;
    uint32_t type;
    uint64_t time_ms;  /* author's clock, ms since 1970 UTC; a claim, for display alone */
    uint32_t label;
    uint32_t handling;
    uint64_t run;      /* running number of this feed in this audience, from 1 */
    uint8_t prev_leaf[ILEA_HASH_SIZE]; /* leaf of number run - 1; zeros for 1 */
    uint32_t op_count;
    struct ilea_span ops; /* the encoded ops, one after the other */
};

/*
 * Decode and check everything, ops included. *change borrows `input`.
 *   ILEA_ERROR_MALFORMED  not canonical, or out of order
 *   ILEA_ERROR_LIMIT      over ILEA_CHANGE_SIZE_MAX
 *   ILEA_ERROR_UNKNOWN    a newer schema: keep the item, show it as "newer format"
 */
ILEA_MUST_USE enum ilea_error ilea_change_decode(struct ilea_span input, struct ilea_change *change);

/* Walk the ops of a decoded change: init a reader over change->ops, call op_count times. */
void ilea_op_next(struct ilea_msgpack_reader *reader, struct ilea_op *op);
/* The same for the dots of op->replaces: returns their count and leaves the reader before the first. */
uint32_t ilea_op_replaces(const struct ilea_op *op, struct ilea_msgpack_reader *reader);
void ilea_dot_get(struct ilea_msgpack_reader *reader, struct ilea_dot *dot);

void ilea_dot_put(struct ilea_msgpack_writer *writer, const struct ilea_dot *dot);
/* Fixed part with the op count; then the caller puts its ops in order. */
void ilea_change_put_head(struct ilea_msgpack_writer *writer, const struct ilea_change *change);
/* op->replaces is encoded already. */
void ilea_op_put(struct ilea_msgpack_writer *writer, const struct ilea_op *op);

#endif
