/* ref.c - the short name of a record, as text. */
#include <stdio.h>
#include <string.h>

#include "replication/reader/snapshot.h"

void
ilea_ref_format(struct ilea_span code, char letter, uint32_t number, uint32_t index,
                char ref[ILEA_REF_SIZE])
{
    char suffix[2] = { index == 0 ? '\0' : (char)('a' + index), '\0' };
    if (index >= ILEA_REF_INDEX_MAX) { /* no more letters: it has no ref, only its id */
        ref[0] = '\0';
        return;
    }
    (void)snprintf(ref, ILEA_REF_SIZE, "%.*s-%c%u%s", (int)code.size, (const char *)code.data, letter,
                   number, suffix);
}

bool
ilea_ref_parse(const char *ref, struct ilea_span *code, char *letter, uint32_t *number,
               uint32_t *index)
{
    const char *dash = strrchr(ref, '-');
    if (dash == NULL || dash == ref || dash[1] < 'A' || dash[1] > 'Z') return false;
    *code = (struct ilea_span){ (const uint8_t *)ref, (size_t)(dash - ref) };
    *letter = dash[1];
    uint64_t value = 0;
    const char *at = dash + 2;
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
        if (value > UINT32_MAX) return false;
    }
    if (at == dash + 2 || value == 0) return false;
    *number = (uint32_t)value;
    *index = 0;
    if (*at >= 'b' && *at <= 'z') *index = (uint32_t)(*at++ - 'a');
    return *at == '\0';
}
