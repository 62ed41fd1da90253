/*
 * agency.h - the agencies a node knows: its row in the log with its newest manifest, and cards that come in.
 * What is decided about them is trust.h's.
 */
#ifndef ILEA_NODE_AGENCY_H
#define ILEA_NODE_AGENCY_H

#include "node/control.h"
#include "node/node.h"
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

/* How it stands with an agency, the same words everywhere: "approved, not verified". */
void ilea_agency_words(const struct ilea_agency_row *row, char words[ILEA_STATE_WORDS_SIZE]);

/* Whether no other agency in use here has its code: people tell agencies apart by it. INVALID: `reason`
 * (ILEA_REASON_SIZE) says so. */
ILEA_MUST_USE enum ilea_error ilea_agency_check_code(struct ilea_transaction *txn, const struct ilea_agency *agency,
                                                     char *reason);

/*
 * Take in a card's text, inside node->author's group commit: an agency that is new goes on the pending list; of a
 * known one the keys and addresses are brought up to date and the state stays, unless its keys are in conflict:
 * an approved one is suspended then. *answer says how it went; the return value tells of trouble that is not the
 * admin's. The caller commits if both are NONE, else aborts.
 */
ILEA_MUST_USE enum ilea_error ilea_agency_card(struct ilea_node *node, struct ilea_span text, uint64_t now_ms,
                                               struct ilea_control_agency *answer);

#endif
