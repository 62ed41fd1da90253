/*
 * fuzz_erased_file.c - rows of state/erased: any bytes, and any body under a tag that is right.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/hash.h"
#include "node/erased_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
walk(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        struct ilea_erased_record record;
        enum ilea_error error = ilea_erased_record_decode((struct ilea_span){ data + at, size - at }, &record);
        if (error != ILEA_ERROR_NONE) {
            ilea_assert(error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_CORRUPT);
            at++;
            continue;
        }
        ilea_assert(record.size > 0 && record.size <= size - at && record.size <= ILEA_ERASED_ROW_MAX);
        ilea_assert(!record.is_gone || record.gone.reason.size <= ILEA_GONE_REASON_MAX);
        ilea_assert(record.is_gone || (record.dot.seq > 0 && record.dot.index < ILEA_COMMIT_ITEMS_MAX));
        at += record.size;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t bodies[] = { 93, 255 }; /* of a dot, of a record */
    walk(data, size);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t row[ILEA_ERASED_ROW_MAX] = { 0 }, hash[ILEA_HASH_SIZE];
        memcpy(row, data, size < bodies[i] ? size : bodies[i]);
        row[0] = (uint8_t)(i == 0 ? 1 + 2 * (row[0] & 1) : 2);
        ilea_hash_once(ILEA_DOMAIN_SIDE, row, bodies[i], hash);
        memcpy(row + bodies[i], hash, 8);
        walk(row, bodies[i] + 8);
    }
    return 0;
}
