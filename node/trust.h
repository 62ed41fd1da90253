/*
 * trust.h - decisions: acts that admins signed, checked, carried out, and entered in the audit feed.
 *
 * The command line makes and signs an act; the daemon, or the command line itself where none runs, decides
 * with the same code. An act that fewer admins signed than the policy asks for waits as a proposal until
 * enough of them have. All inside the author's group commit: a decision and its entry are durable together.
 */
#ifndef ILEA_NODE_TRUST_H
#define ILEA_NODE_TRUST_H

#include "node/control.h"
#include "node/node.h"
#include "replication/record/act.h"

enum {
    ILEA_ACT_FRESH_MS = 24 * 60 * 60 * 1000, /* how far an act's clock and ours may be apart */
    ILEA_PROPOSAL_DAYS = 30,                 /* then it is to be made anew */
    ILEA_PROPOSALS_MAX = 64,                 /* of decisions, and as many releases */
    ILEA_CLOCK_BACK_MS = 24 * 60 * 60 * 1000,/* before the last entry by more: the clock is wrong */
    ILEA_CLOCK_AHEAD_DAYS = 400              /* after it by more: it may be */
};

/*
 * Decide. Inside node->author's group commit; the caller commits if *answer.error and the return value are
 * NONE, else aborts. The answer says what was done, or in its reason why not; the return value tells of
 * trouble that is not the admin's; BUSY: the view has not caught up with what was written: abort, wait until it has
 * come to ilea_author_position(), and ask again. answer->own_changed: our own manifest is another now: close the
 * node and open it again once this is durable.
 */
ILEA_MUST_USE enum ilea_error ilea_trust_decide(struct ilea_node *node, const struct ilea_trust_request *request,
                                                uint64_t now_ms, struct ilea_control_decision *answer);

/* Whether an act that waits is a release, which has its own list: ilea review. */
bool ilea_trust_is_release(struct ilea_span act);

/* What counts now: the stricter of configuration and log. */
ILEA_MUST_USE enum ilea_error ilea_trust_policy(struct ilea_transaction *txn, const struct ilea_config *config,
                                                struct ilea_policy *policy);

/*
 * Whether an agency that is to be let in was refused before: it is declined or revoked, or shares a root key
 * with one that is. *refused: that one. NOT_FOUND: it was not.
 */
ILEA_MUST_USE enum ilea_error ilea_trust_refusal(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                                                 struct ilea_agency_id *refused);

/* Whether our clock can be right, by the last entry of the audit feed. Where it cannot, nothing expires. */
enum ilea_clock { ILEA_CLOCK_PLAUSIBLE = 0, ILEA_CLOCK_BEHIND, ILEA_CLOCK_AHEAD };
ILEA_MUST_USE enum ilea_error ilea_trust_clock(struct ilea_transaction *txn, uint64_t now_ms,
                                               enum ilea_clock *clock, uint64_t *last_ms);

/* Suspend the first agency whose approval has expired, inside the author's group commit. *agency: which.
 * NOT_FOUND: none has, or the clock is implausible. */
ILEA_MUST_USE enum ilea_error ilea_trust_expire(struct ilea_node *node, uint64_t now_ms,
                                                struct ilea_agency_id *agency);

/* Two manifests of one index of an agency, neither above the other: an approved agency is suspended until an
 * admin decides. Inside the author's group commit. */
ILEA_MUST_USE enum ilea_error ilea_trust_conflict(struct ilea_node *node, const struct ilea_agency_id *agency,
                                                  uint64_t index, uint64_t now_ms);

#endif
