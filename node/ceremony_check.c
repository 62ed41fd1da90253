#include "node/ceremony_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/chain.h"

enum ilea_error
ilea_ceremony_sides(struct ilea_transaction *txn, const struct ilea_agency_id *own,
                    const struct ilea_agency_id *other, struct ilea_sas_side *own_side,
                    struct ilea_sas_side *other_side)
{
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    if (manifest == NULL) return ILEA_ERROR_NO_MEMORY;
    *own_side = (struct ilea_sas_side){ .agency = *own };
    *other_side = (struct ilea_sas_side){ .agency = *other };
    enum ilea_error error = ilea_chain_last(txn, own, manifest);
    if (error == ILEA_ERROR_NONE) {
        memcpy(own_side->manifest, manifest->hash, sizeof own_side->manifest);
        error = ilea_chain_last(txn, other, manifest);
    }
    if (error == ILEA_ERROR_NONE) memcpy(other_side->manifest, manifest->hash, sizeof other_side->manifest);
    free(manifest);
    return error;
}

enum ilea_error
ilea_ceremony_check(const struct ilea_node *node, struct ilea_transaction *txn,
                    const struct ilea_agency_id *agency, const char *code, enum ilea_verified *how, char *reason)
{
    struct ilea_sas_side own, other;
    enum ilea_error error =
        ilea_ceremony_sides(txn, &ilea_log_identity(node->log)->agency, agency, &own, &other);
    if (error != ILEA_ERROR_NONE) return error;
    const char *why = "";
    switch (ilea_ceremony_compare(node->ceremonies, &own, &other, code, ilea_monotonic_ms())) {
    case ILEA_CEREMONY_ONLINE: *how = ILEA_VERIFIED_CODE; return ILEA_ERROR_NONE;
    case ILEA_CEREMONY_OFFLINE: *how = ILEA_VERIFIED_OFFLINE_CODE; return ILEA_ERROR_NONE;
    case ILEA_CEREMONY_UNKNOWN: return ILEA_ERROR_NO_MEMORY;
    case ILEA_CEREMONY_BAD_LENGTH: why = "a code has 8 digits, and perhaps its 4 words behind them"; break;
    case ILEA_CEREMONY_WORDS:
        why = "these are the digits of an offline code: compare its 4 words too, and give all: --code '12345678 WORD "
              "WORD WORD WORD'";
        break;
    case ILEA_CEREMONY_WRONG:
        why = "this is not the code that this node shows: compare again (ilea peer verify), and ask who it is";
        break;
    }
    (void)snprintf(reason, ILEA_REASON_SIZE, "%s", why);
    return ILEA_ERROR_INVALID;
}
