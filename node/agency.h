/*
 * agency.h - the agencies a node knows: adding a card, deciding about it. Local decisions; the log keeps
 * them, the author starts the epochs that follow from them.
 */
#ifndef ILEA_NODE_AGENCY_H
#define ILEA_NODE_AGENCY_H

#include "node/control.h"
#include "replication/record/manifest.h"

/* One agency with its newest manifest decoded; all spans borrow what stands behind. Large: on the heap. */
struct ilea_agency {
    struct ilea_agency_row row;
    struct ilea_manifest manifest;
    uint8_t bytes[ILEA_MANIFEST_SIZE_MAX];
    uint8_t texts[6 * ILEA_AGENCY_TEXT_MAX];
};

/* Inside a transaction of the log. NOT_FOUND, CORRUPT. */
ILEA_MUST_USE enum ilea_error ilea_agency_load(struct ilea_transaction *txn,
                                               const struct ilea_agency_id *id,
                                               struct ilea_agency *agency);
/* After `after` (NULL: the first) in the order of ids. NOT_FOUND at the end. */
ILEA_MUST_USE enum ilea_error ilea_agency_next(struct ilea_transaction *txn,
                                               const struct ilea_agency_id *after,
                                               struct ilea_agency *agency);
/* By code, or by the start of the agency id in hex (8 digits or more).
 * NOT_FOUND; EXISTS: several match, name it by its id. */
ILEA_MUST_USE enum ilea_error ilea_agency_find(struct ilea_transaction *txn, const char *name,
                                               struct ilea_agency *agency);

/*
 * Check a card's text and put its agency on the pending list; of a known agency it brings newer manifests and
 * addresses, and the state stays. Inside the author's group commit. *agency: what is known now.
 *   ILEA_ERROR_INVALID, MALFORMED, BAD_SIGNATURE, UNKNOWN, LIMIT: `reason` (ILEA_REASON_SIZE) says why
 */
ILEA_MUST_USE enum ilea_error ilea_agency_add(struct ilea_author *author,
                                              const struct ilea_log_identity *identity,
                                              struct ilea_span card_text, uint64_t now_ms,
                                              struct ilea_agency *agency, char *reason);

/* The local admin approves. Inside the author's group commit: the epoch that lets it read goes with it.
 *   ILEA_ERROR_NOT_FOUND, ILEA_ERROR_INVALID  with `reason` */
ILEA_MUST_USE enum ilea_error ilea_agency_approve(struct ilea_author *author, const char *name,
                                                  uint64_t now_ms, struct ilea_agency *agency,
                                                  char *reason);

/* CARD or APPROVE as control.h has them: *answer says how it went; the return value tells of trouble that
 * is not the admin's. The caller commits if both are NONE, else aborts. */
ILEA_MUST_USE enum ilea_error ilea_agency_control(struct ilea_author *author,
                                                  const struct ilea_log_identity *identity,
                                                  enum ilea_control_kind kind,
                                                  struct ilea_span argument, uint64_t now_ms,
                                                  struct ilea_control_agency *answer);

#endif
