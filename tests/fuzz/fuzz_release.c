/*
 * fuzz_release.c - the decoder of releases: whatever it accepts keeps its own rules, walks to its end and encodes to
 * the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/release.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ilea_release_item items[ILEA_RELEASE_RECORDS_MAX];
    static struct ilea_put put;
    struct ilea_release release, left;
    if (ilea_release_decode((struct ilea_span){ data, size }, &release) != ILEA_ERROR_NONE) return 0;
    ilea_assert(release.scope >= ILEA_SCOPE_PEERS && release.count > 0 && release.count <= ILEA_RELEASE_RECORDS_MAX);
    left = release;
    uint32_t count = 0;
    while (ilea_release_next(&left, &items[count])) {
        if (items[count].put.size > 0) (void)!ilea_put_decode(items[count].put, &put);
        count++;
    }
    ilea_assert(count == release.count);
    uint8_t *again = malloc(size);
    if (again == NULL) abort();
    size_t again_size = 0;
    const struct ilea_audience_id *audience = release.scope == ILEA_SCOPE_AUDIENCE ? &release.audience : NULL;
    ilea_assert(ilea_release_encode(release.scope, audience, items, count, again, size, &again_size)
                == ILEA_ERROR_NONE);
    ilea_assert(again_size == size && memcmp(again, data, size) == 0);
    free(again);
    return 0;
}
