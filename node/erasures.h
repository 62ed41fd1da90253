/*
 * erasures.h - records of ours that were erased, and which agencies have confirmed it by their receipts.
 */
#ifndef ILEA_NODE_ERASURES_H
#define ILEA_NODE_ERASURES_H

#include "replication/store/log_store.h"

struct ilea_erasure_agency {
    struct ilea_agency_id id;
    char code[ILEA_CODE_SIZE_MAX + 1];
    bool confirmed;         /* it has deleted what it held, and shows it no more */
    uint64_t heard_ms;      /* when its last receipt came; 0: never */
};

struct ilea_erasure {
    struct ilea_gone_row gone;               /* borrows the transaction */
    char ref[48];                            /* "" where it had none */
    uint32_t count, confirmed;               /* agencies, and how many of them have confirmed */
    struct ilea_erasure_agency *agencies;    /* by id; heap */
};

/* Who knows of an erased record: all that are approved, and others that have ever sent a receipt. End with
 * ilea_erasure_free(), after a failure too. Nobody, if nobody else ever had it. */
ILEA_MUST_USE enum ilea_error ilea_erasure_make(struct ilea_transaction *log, const struct ilea_log_identity *identity,
                                                const struct ilea_gone_row *gone, struct ilea_erasure *erasure);
void ilea_erasure_free(struct ilea_erasure *erasure);

/* The erased record of ours that a ref or id names. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_erasure_find(struct ilea_transaction *log, const struct ilea_log_identity *identity,
                                                const char *name, struct ilea_gone_row *gone);
/* Narrowed: it is still there, for fewer. */
bool ilea_erasure_is_narrowing(const struct ilea_gone_row *gone);

#endif
