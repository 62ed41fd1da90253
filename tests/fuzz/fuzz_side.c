/*
 * fuzz_side.c - records of state/trust.side: any bytes, and any body under a tag that is right.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/hash.h"
#include "node/side.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
walk(const uint8_t *data, size_t size)
{
    uint8_t before[16] = { 0 };
    size_t at = 0;
    while (at < size) {
        struct ilea_side_record record;
        enum ilea_error error = ilea_side_decode((struct ilea_span){ data + at, size - at }, before, &record);
        if (error != ILEA_ERROR_NONE) {
            ilea_assert(error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_CORRUPT);
            break;
        }
        ilea_assert(record.size > 0 && record.size <= size - at);
        ilea_assert(record.is_head || record.manifests.size <= record.size);
        memcpy(before, record.tag, sizeof before);
        at += record.size;
    }
}

static void
put_tag(const uint8_t before[16], const uint8_t *data, size_t size, uint8_t *tag, size_t tag_size)
{
    uint8_t hash[ILEA_HASH_SIZE];
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_SIDE);
    ilea_hash_add(&hasher, before, 16);
    ilea_hash_add(&hasher, data, size);
    ilea_hash_end(&hasher, hash);
    memcpy(tag, hash, tag_size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk(data, size);
    static const uint8_t before[16];
    uint8_t *record = malloc(8 + size + 16);
    if (record == NULL) abort();
    for (unsigned i = 0; i < 4; i++) record[i] = (uint8_t)(size >> (24 - 8 * i));
    put_tag(before, record, 4, record + 4, 4);
    if (size > 0) memcpy(record + 8, data, size);
    put_tag(before, data, size, record + 8 + size, 16);
    walk(record, 8 + size + 16);
    free(record);
    return 0;
}
