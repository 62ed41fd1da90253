/*
 * receipts.h - receipts as a node makes and judges them (PROTOCOL.md, "Receipts"): what it holds and can read of
 * another agency's feeds, by log and view; and whether one that came is to be kept.
 */
#ifndef ILEA_NODE_RECEIPTS_H
#define ILEA_NODE_RECEIPTS_H

#include "node/audience_log.h"
#include "node/keys.h"
#include "replication/record/receipt.h"
#include "replication/store/log_store.h"
#include "replication/store/view_store.h"

/* What is to be said to one author. */
struct ilea_claim {
    struct ilea_agency_id author;
    uint8_t *body;                  /* ILEA_RECEIPT_BODY_MAX of them, given by ilea_claims_make(); free() */
    size_t size;
    bool seen;                      /* all that is held of it is in the view */
    struct ilea_reading_public to;  /* to be sealed to this key of the author's */
};

/*
 * Fill in the bodies, in one pass over the log; *claims ascend by author. The view's transaction is to be begun before
 * the log's, and both are of what is durable.
 *   ILEA_ERROR_BUSY  the view is of another log, or shows what was cut off: wait for the next one
 */
ILEA_MUST_USE enum ilea_error ilea_claims_make(struct ilea_transaction *log, struct ilea_transaction *view,
                                               const struct ilea_log_identity *identity,
                                               struct ilea_audience_cache *audiences, struct ilea_claim *claims,
                                               uint32_t count);

/* Seal, sign and put a claim in place of our last receipt for that author, inside a write transaction. */
ILEA_MUST_USE enum ilea_error ilea_receipts_issue(struct ilea_transaction *txn,
                                                  const struct ilea_log_identity *identity,
                                                  const struct ilea_keys *keys, const struct ilea_claim *claim,
                                                  uint64_t now_ms);

/*
 * One that came from `peer`, inside a write transaction: kept if its holder signed it, nothing newer of that pair is
 * held, and (if it is for us) it can be opened.
 *   ILEA_ERROR_NONE       kept
 *   ILEA_ERROR_EXISTS     not newer than what is held
 *   ILEA_ERROR_UNKNOWN, NOT_FOUND, BAD_SIGNATURE, INVALID   dropped: of a newer version, of a holder that is not known,
 *                         not signed by its newest key, or for us and not to be opened
 *   others                trouble of ours
 */
ILEA_MUST_USE enum ilea_error ilea_receipts_take(struct ilea_transaction *txn,
                                                 const struct ilea_log_identity *identity,
                                                 const struct ilea_keys *keys, const struct ilea_agency_id *peer,
                                                 const struct ilea_receipt *receipt, struct ilea_span bytes,
                                                 uint64_t now_ms);

#endif
