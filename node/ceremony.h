/*
 * ceremony.h - whether the code that an admin typed is the one of an agency and ourselves.
 */
#ifndef ILEA_NODE_CEREMONY_H
#define ILEA_NODE_CEREMONY_H

#include "replication/store/log_store.h"

/* INVALID: another code, or none; `reason` (ILEA_REASON_SIZE) says so. *how: how it was compared. */
ILEA_MUST_USE enum ilea_error ilea_ceremony_check(struct ilea_transaction *txn,
                                                  const struct ilea_log_identity *identity,
                                                  const struct ilea_agency_id *agency, const char *code,
                                                  enum ilea_verified *how, char *reason);

/* The digits that two nodes show that are not connected: of the two newest manifests. */
ILEA_MUST_USE enum ilea_error ilea_ceremony_offline(struct ilea_transaction *txn, const struct ilea_agency_id *one,
                                                    const struct ilea_agency_id *other, char digits[9]);

#endif
