/*
 * behind.h - what an agency says that it has for us (the last part of its receipt for us) and we do not hold: somebody
 * on the way keeps it back, or nobody passes it on.
 */
#ifndef ILEA_NODE_BEHIND_H
#define ILEA_NODE_BEHIND_H

#include "replication/record/receipt.h"
#include "replication/store/log_store.h"

struct ilea_behind {
    uint64_t told, held;            /* commits of the feeds that its receipt names: equal if we hold all */
    uint32_t count;
    struct ilea_receipt_own feeds[ILEA_RECEIPT_OWN_MAX]; /* of which we hold less, and how long they are */
};

/* NONE, with told and held 0 too, where it says nothing. What the agency's newest key does not sign counts for nothing,
 * and neither does what is beyond a feed's limit. */
ILEA_MUST_USE enum ilea_error ilea_behind_find(struct ilea_transaction *log, const struct ilea_log_identity *identity,
                                               const struct ilea_agency_id *agency, struct ilea_behind *behind);

#endif
