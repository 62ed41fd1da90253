/*
 * fork.h - the proof that a feed forked: two headers of one feed and seq, both signed by the feed's own key.
 *
 *   proof = [ 1, agency: bin 32, node: bin 32, incarnation: bin 16, scope, audience: bin 0|16,
 *             header a: bin, sig a: bin 64, header b: bin, sig b: bin 64 ]
 *   hash  = H(FORK, proof)
 *
 * These things hash to the feed id that both headers name (the audience of 16 bytes in scope 3 alone), so a proof
 * needs nothing beside it. The commit ids ascend: a < b. Whether the agency ever had that node key is the caller's
 * to ask; a proof under another key is about a feed that nobody follows.
 *
 * Of the proofs of a feed one is kept, the best: the lowest seq, then the lowest hash.
 */
#ifndef ILEA_RECORD_FORK_H
#define ILEA_RECORD_FORK_H

#include "crypto/hash.h"
#include "replication/record/commit.h"
#include "replication/record/statement.h"

enum { ILEA_FORK_SIZE_MAX = 2048 };

struct ilea_fork {
    struct ilea_feed_origin origin;
    struct ilea_feed_id feed;
    uint64_t seq;                /* where the two histories part; the feed is whole up to seq - 1 */
    struct ilea_commit_id a, b;  /* a < b */
    struct ilea_commit_id prev;  /* what header a names as the commit before; zeros at seq 1 */
    uint8_t hash[ILEA_HASH_SIZE];
    size_t size;                 /* of the proof's bytes */
};

/*
 * Decode and verify: form, feed id, order, both signatures. About 150 us.
 *   ILEA_ERROR_MALFORMED, ILEA_ERROR_LIMIT, ILEA_ERROR_BAD_HASH (another feed than the origin's),
 *   ILEA_ERROR_BAD_SIGNATURE
 *   ILEA_ERROR_UNKNOWN  the proof or a header is of a newer version: it proves nothing here */
ILEA_MUST_USE enum ilea_error ilea_fork_decode(struct ilea_span proof,
                                               const struct ilea_network_id *network,
                                               struct ilea_fork *fork);

/*
 * Two decoded commits of the feed that `origin` gives, in any order; their signatures are taken as they are.
 *   ILEA_ERROR_LIMIT    capacity (ILEA_FORK_SIZE_MAX is enough)
 *   ILEA_ERROR_INVALID  not of one feed and seq, or the same commit twice */
ILEA_MUST_USE enum ilea_error ilea_fork_encode(const struct ilea_feed_origin *origin,
                                               const struct ilea_commit *one,
                                               const struct ilea_commit *other, uint8_t *bytes,
                                               size_t capacity, size_t *size);

/* Both of one feed: is `one` to be kept in place of `other`? */
bool ilea_fork_is_better(const struct ilea_fork *one, const struct ilea_fork *other);

#endif
