#include "node/ceremony.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/chain.h"
#include "replication/record/put.h"

enum ilea_error
ilea_ceremony_offline(struct ilea_transaction *txn, const struct ilea_agency_id *one,
                      const struct ilea_agency_id *other, char digits[9])
{
    struct ilea_manifest *manifests = malloc(2 * sizeof *manifests);
    if (manifests == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ilea_chain_last(txn, one, &manifests[0]);
    if (error == ILEA_ERROR_NONE) error = ilea_chain_last(txn, other, &manifests[1]);
    if (error == ILEA_ERROR_NONE) {
        int lower = memcmp(manifests[0].hash, manifests[1].hash, ILEA_HASH_SIZE) < 0 ? 0 : 1;
        struct ilea_hasher hasher;
        uint8_t hash[ILEA_HASH_SIZE];
        uint64_t number = 0;
        ilea_hash_begin(&hasher, ILEA_DOMAIN_SAS);
        ilea_hash_add(&hasher, manifests[lower].hash, ILEA_HASH_SIZE);
        ilea_hash_add(&hasher, manifests[1 - lower].hash, ILEA_HASH_SIZE);
        ilea_hash_end(&hasher, hash);
        for (unsigned i = 0; i < 8; i++) number = number << 8 | hash[i];
        (void)snprintf(digits, 9, "%08u", (unsigned)(number % 100000000));
    }
    free(manifests);
    return error;
}

enum ilea_error
ilea_ceremony_check(struct ilea_transaction *txn, const struct ilea_log_identity *identity,
                    const struct ilea_agency_id *agency, const char *code, enum ilea_verified *how, char *reason)
{
    char digits[9], typed[9];
    size_t count = 0;
    enum ilea_error error = ilea_ceremony_offline(txn, &identity->agency, agency, digits);
    if (error != ILEA_ERROR_NONE) return error;
    for (; *code != '\0' && count < 9; code++) {
        if (*code >= '0' && *code <= '9') typed[count++] = *code;
    }
    *how = ILEA_VERIFIED_OFFLINE_CODE;
    if (count == 8 && memcmp(typed, digits, 8) == 0) return ILEA_ERROR_NONE;
    (void)snprintf(reason, ILEA_REASON_SIZE, count == 8 ? "this is not the code that this node shows: compare again, and "
                                                          "ask who it is" : "a code has 8 digits");
    return ILEA_ERROR_INVALID;
}
