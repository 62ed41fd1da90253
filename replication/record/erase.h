/*
 * erase.h - the statement that items are erased. It stands in an agency's control feed, which every follower has,
 * and counts for that agency's own feeds alone.
 *
 *   ERASE  [ 7, [ [ feed: bin 16, seq, index, leaf: bin 32 ] ... ], act: bin, [ [ admin: bin 32, sig: bin 64 ] ... ] ]
 *          The dots ascend. The leaf is what remains in the item's slot. act is empty, and then there are no
 *          signatures, or an act of kind record.erase whose pair `dots` is the hex of H(ERASE, the encoded list
 *          of dots); signatures ascend by admin.
 */
#ifndef ILEA_RECORD_ERASE_H
#define ILEA_RECORD_ERASE_H

#include "replication/record/act.h"
#include "replication/record/statement.h"

enum { ILEA_ERASE_DOTS_MAX = 2048 };

struct ilea_erased_dot {
    uint8_t feed[16];       /* first half of the feed's id */
    uint64_t seq;
    uint32_t index;
    uint8_t leaf[ILEA_HASH_SIZE];
};

struct ilea_erase_statement {
    uint32_t dot_count;     /* 1 to ILEA_ERASE_DOTS_MAX */
    struct ilea_span dots;  /* encoded: walk with ilea_erased_dot_get() */
    uint8_t hash[ILEA_HASH_SIZE]; /* H(ERASE, the encoded list with its header) */
    struct ilea_span act;   /* empty: unsigned */
    uint32_t sig_count;
    struct ilea_act_signature sigs[ILEA_ACT_SIGS_MAX];
};

/* ILEA_ERROR_MALFORMED. Form alone: whether the act names these dots and its signers are admins is the caller's to ask.
 * Spans borrow `input`. */
ILEA_MUST_USE enum ilea_error ilea_erase_decode(struct ilea_span input,
                                                struct ilea_erase_statement *statement);
void ilea_erased_dot_get(struct ilea_msgpack_reader *reader, struct ilea_erased_dot *dot);

/* Ascend, each once, 1 to ILEA_ERASE_DOTS_MAX; sorted here, in place. */
void ilea_erase_put(struct ilea_msgpack_writer *writer, struct ilea_erased_dot *dots, uint32_t dot_count,
                    struct ilea_span act, const struct ilea_act_signature *sigs, uint32_t sig_count);

/* What an act signs: H(ERASE, list of dots). Sorts them. */
void ilea_erase_hash(struct ilea_erased_dot *dots, uint32_t dot_count, uint8_t hash[ILEA_HASH_SIZE]);

#endif
