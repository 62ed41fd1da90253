/*
 * side.h - what a restored database must not undo: state/trust.side, which `ilea backup` leaves out.
 *
 * Refusals and withdrawn approvals, written before the transaction that they belong to and merged into the
 * log before anything is served; and where the audit feed has come to, written after, so that a feed that is
 * shorter was cut. A file of records that only grows; each is chained to the one before, so that damage in
 * the middle is told from a tail that a crash tore off.
 *
 *   file    record ...                size u32 | check 4 | body | tag 16
 *           tag: first half of H(SIDE, tag before || body); check: first 4 of the same over the size
 *   body    [ 1, agency: bin 32, state, seq, [ signed manifest: bin ... ] ]    a decision, by entry `seq` of the
 *           audit feed, about an agency whose chain is this, as far as it fits
 *         | [ 2, seq, hash: bin 32 ]                                           the head of the audit feed
 *
 * Under the home's lock. Threads: one.
 */
#ifndef ILEA_NODE_SIDE_H
#define ILEA_NODE_SIDE_H

#include "replication/store/log_store.h"

enum { ILEA_SIDE_BODY_MAX = 128 * 1024, ILEA_SIDE_FILE_MAX = 64 * 1024 * 1024 };

struct ilea_side;

/* Gives *side; end with ilea_side_close(). A file that has become long is written anew, shorter.
 *   ILEA_ERROR_CORRUPT  damaged in the middle: move it away, and look at every peer's state
 *   ILEA_ERROR_IO, FULL, PERMISSION, NO_MEMORY */
ILEA_MUST_USE enum ilea_error ilea_side_open(const char *home, struct ilea_side **side);
void ilea_side_close(struct ilea_side *side);

/* Nothing was ever written to it: the home is new, or state/ was lost. */
bool ilea_side_is_empty(const struct ilea_side *side);

/* An agency is about to become suspended, revoked or declined by entry `seq` of the audit feed. Durable on
 * return. `txn`: of the log, for its chain. IO, FULL: do not decide. */
ILEA_MUST_USE enum ilea_error ilea_side_put_decision(struct ilea_side *side, struct ilea_transaction *txn,
                                                     const struct ilea_agency_id *agency,
                                                     enum ilea_agency_state state, uint64_t seq);
/* The audit feed has come to `seq`. Does nothing if that is known. */
ILEA_MUST_USE enum ilea_error ilea_side_put_head(struct ilea_side *side, uint64_t seq,
                                                 const uint8_t hash[ILEA_HASH_SIZE]);
/* The last head; seq 0: none. */
void ilea_side_head(const struct ilea_side *side, uint64_t *seq, uint8_t hash[ILEA_HASH_SIZE]);

/* The last head, read without the home's lock, by whoever only looks: seq 0: none, or no file.
 *   ILEA_ERROR_CORRUPT, IO, PERMISSION, NO_MEMORY */
ILEA_MUST_USE enum ilea_error ilea_side_look(const char *home, uint64_t *seq, uint8_t hash[ILEA_HASH_SIZE]);

/* Bring the log in line: an agency whose state was decided later than the log knows gets that state, and one that the
 * log does not know at all is put there. *changed: how many. Inside a write transaction of the log. */
ILEA_MUST_USE enum ilea_error ilea_side_merge(struct ilea_side *side, struct ilea_transaction *txn,
                                              uint32_t *changed);

/* Pure: decode one record from the start of `input`, whose tag has to follow `before`; the function that is fuzzed.
 *   ILEA_ERROR_NOT_FOUND  not whole
 *   ILEA_ERROR_CORRUPT    another tag, or a body that is none */
struct ilea_side_record {
    bool is_head;
    struct ilea_agency_id agency;
    enum ilea_agency_state state;
    uint64_t seq;
    uint8_t hash[ILEA_HASH_SIZE];      /* of a head */
    uint32_t manifest_count;
    struct ilea_span manifests;        /* encoded bins */
    uint8_t tag[16];
    size_t size;                       /* of the whole record */
};
ILEA_MUST_USE enum ilea_error ilea_side_decode(struct ilea_span input, const uint8_t before[16],
                                               struct ilea_side_record *record);

#endif
