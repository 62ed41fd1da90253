/*
 * audit.h - the audit feed: what the admins decided and what the node itself noticed, each entry naming the
 * one before. It is this node's own and never leaves it; ilea_audit_verify() finds any entry that was altered,
 * removed or moved.
 */
#ifndef ILEA_NODE_AUDIT_H
#define ILEA_NODE_AUDIT_H

#include "node/author.h"
#include "replication/record/act.h"

/* Ended by one whose key is NULL. A value of NULL is left out; one that is too long is cut. */
struct ilea_audit_pair {
    const char *key, *value;
};

/* Enter an act with its admins' signatures, inside the author's group commit, whose durability it shares.
 * *seq (may be NULL): its place.
 *   ILEA_ERROR_EXISTS  this act was entered before */
ILEA_MUST_USE enum ilea_error ilea_audit_append(struct ilea_author *author, struct ilea_span act,
                                                const struct ilea_act_signature *sigs, uint32_t sig_count,
                                                uint64_t *seq);

/* Enter what the node itself noticed: "peer.conflict". `subject` NULL: about no agency. As append. */
ILEA_MUST_USE enum ilea_error ilea_audit_note(struct ilea_author *author, const char *kind,
                                              const struct ilea_agency_id *subject,
                                              const struct ilea_audit_pair *pairs);

/* Time of the last entry that an admin signed, among the last few thousand; 0: there is none. What the node
 * notes by itself does not count: a clock that was wrong for a while must not speak for itself. */
ILEA_MUST_USE enum ilea_error ilea_audit_last_time(struct ilea_transaction *txn, uint64_t *time_ms);

/* A fault at an entry; `seq` 0: of the feed as a whole. */
typedef void ilea_audit_fault(void *context, uint64_t seq, const char *what);

/* Where the feed is known to have come to, from outside the log. */
struct ilea_audit_head {
    uint64_t seq;
    uint8_t hash[ILEA_HASH_SIZE];
};

/*
 * Check every entry: its form, its place and the hash of the one before, the node's signature by the node key
 * of that time, the admins' signatures by admins of that time, and that there are enough of them; at last that
 * the feed ends where `head` says (NULL: nothing is known). *entries: how many there are.
 * What is wrong goes to `fault`, each thing once; an error tells of trouble with the log itself.
 */
ILEA_MUST_USE enum ilea_error ilea_audit_verify(struct ilea_transaction *txn,
                                                const struct ilea_log_identity *identity,
                                                const struct ilea_audit_head *head, ilea_audit_fault *fault,
                                                void *context, uint64_t *entries);

#endif
