/*
 * ceremony_check.h - codes and the log: the two sides of a ceremony as this node knows them, and whether what
 * an admin typed is their code.
 */
#ifndef ILEA_NODE_CEREMONY_CHECK_H
#define ILEA_NODE_CEREMONY_CHECK_H

#include "node/ceremony.h"
#include "node/node.h"

/* Ids and hashes of the newest manifests, with nonces of zeros. Inside a transaction of the log.
 * NOT_FOUND, CORRUPT, NO_MEMORY. */
ILEA_MUST_USE enum ilea_error ilea_ceremony_sides(struct ilea_transaction *txn, const struct ilea_agency_id *own,
                                                  const struct ilea_agency_id *other,
                                                  struct ilea_sas_side *own_side, struct ilea_sas_side *other_side);

/* INVALID: another code, or none; `reason` (ILEA_REASON_SIZE) says so. *how: how it was compared. The code of a
 * ceremony counts where node->ceremonies has it. */
ILEA_MUST_USE enum ilea_error ilea_ceremony_check(const struct ilea_node *node, struct ilea_transaction *txn,
                                                  const struct ilea_agency_id *agency, const char *code,
                                                  enum ilea_verified *how, char *reason);

#endif
