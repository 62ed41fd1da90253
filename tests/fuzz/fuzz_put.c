/*
 * fuzz_put.c - the decoder of puts: whatever it accepts keeps its own rules and
 * encodes to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/put.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ilea_put put;
    if (ilea_put_decode((struct ilea_span){ data, size }, &put) != ILEA_ERROR_NONE) return 0;
    ilea_assert(put.has_id || put.mode == ILEA_PUT_CREATE);
    ilea_assert(put.entry_count <= ILEA_PUT_ENTRIES_MAX);
    for (uint32_t i = 0; i < put.entry_count; i++) {
        const struct ilea_put_entry *entry = &put.entries[i];
        ilea_assert((entry->action == ILEA_PUT_SET) == (entry->value.size > 0));
        ilea_assert(entry->action != ILEA_PUT_ONLY || entry->key.size == 0);
    }
    uint8_t *again = malloc(size);
    if (again == NULL) abort();
    size_t again_size = 0;
    ilea_assert(ilea_put_encode(&put, again, size, &again_size) == ILEA_ERROR_NONE);
    ilea_assert(again_size == size);
    ilea_assert(memcmp(again, data, size) == 0);
    free(again);
    return 0;
}
