/*
 * chain.h - agencies' chains of manifests in the log: taking in what others hold of one, and what a chain
 * says of its agency's feeds.
 *
 * All inside a transaction of the log.
 */
#ifndef ILEA_NODE_CHAIN_H
#define ILEA_NODE_CHAIN_H

#include "replication/record/manifest.h"
#include "replication/store/log_store.h"

enum ilea_chain_outcome {
    ILEA_CHAIN_SAME = 1,  /* nothing that was not held */
    ILEA_CHAIN_OLDER,     /* ours is newer: longer, or by roots that supersede theirs */
    ILEA_CHAIN_NEWER,     /* ours was extended, */
    ILEA_CHAIN_REPLACED,  /* or partly superseded: what it said of feeds is settled anew */
    ILEA_CHAIN_CONFLICT   /* two manifests of one index, neither of which supersedes the other: ours is kept,
                             and nothing of that agency should flow until an admin decides */
};

struct ilea_chain_change {
    enum ilea_chain_outcome outcome;
    uint64_t index;       /* of the newest manifest held now; in a conflict, where it is */
    bool node_changed;    /* another node, transport or reading key than before */
    bool truncated;       /* a feed was cut off: a view that showed it has to be rebuilt */
};

/* The newest manifest of an agency; *manifest borrows the transaction. NOT_FOUND, CORRUPT. */
ILEA_MUST_USE enum ilea_error ilea_chain_last(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                                              struct ilea_manifest *manifest);
/* That with an index. */
ILEA_MUST_USE enum ilea_error ilea_chain_at(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                                            uint64_t index, struct ilea_manifest *manifest);

/*
 * Take in `count` signed manifests of an agency (encoded bins in a row, of indexes that follow each other), as
 * cards and MANIFEST frames carry them. An agency of which nothing is held needs them from index 0 on.
 *   ILEA_ERROR_MALFORMED, ILEA_ERROR_UNKNOWN, ILEA_ERROR_BAD_SIGNATURE, ILEA_ERROR_LIMIT  of a manifest
 *   ILEA_ERROR_INVALID   of another agency or network, or one that does not follow the one before it
 *   ILEA_ERROR_NOT_FOUND they begin after a gap
 * On failure the caller aborts: some may have been stored.
 */
ILEA_MUST_USE enum ilea_error ilea_chain_take(struct ilea_transaction *txn, const struct ilea_network_id *network,
                                              const struct ilea_agency_id *agency, struct ilea_span manifests,
                                              uint32_t count, struct ilea_chain_change *change);

/*
 * Where the chain says that a feed ends; *seq ILEA_SEQ_NONE: nowhere.
 *   ILEA_ERROR_NOT_FOUND  no valid manifest of the agency names the feed's node key, or it was revoked and the
 *                         feed is none of those that were to be kept: nothing of it counts
 */
ILEA_MUST_USE enum ilea_error ilea_chain_limit(struct ilea_transaction *txn, const struct ilea_feed_origin *origin,
                                               const struct ilea_feed_id *feed, uint64_t *seq,
                                               struct ilea_commit_id *id);

/* The node key of one manifest of an agency, for a signature that may be old.
 *   ILEA_ERROR_NOT_FOUND   that manifest is not held
 *   ILEA_ERROR_PERMISSION  a manifest revokes the key; *node is written all the same */
ILEA_MUST_USE enum ilea_error ilea_chain_signer(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                                                uint64_t index, struct ilea_sign_public *node);

/* Make the feeds of an agency end where its chain says. `anew`: part of it was superseded, so forget first what
 * was said before. *truncated: something was cut off. */
ILEA_MUST_USE enum ilea_error ilea_chain_settle(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                                                bool anew, bool *truncated);

/* Whether two agencies' chains name a root key in common. NO_MEMORY, CORRUPT. */
ILEA_MUST_USE enum ilea_error ilea_chain_shares_root(struct ilea_transaction *txn, const struct ilea_agency_id *one,
                                                     const struct ilea_agency_id *other, bool *shares);

#endif
