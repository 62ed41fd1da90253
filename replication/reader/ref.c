/* ref.c - the short and the long name of a record, as text. */
#include <stdio.h>
#include <string.h>

#include "replication/reader/snapshot.h"

void
ilea_ref_format(struct ilea_span code, char letter, uint32_t number, uint32_t index,
                char ref[ILEA_REF_SIZE])
{
    char suffix[2] = { index == 0 ? '\0' : (char)('a' + (index < 25 ? index : 25)), '\0' };
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

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool
ilea_uuid_parse(const char *text, struct ilea_record_id *id)
{
    if (strlen(text) != 36) return false;
    unsigned size = 0;
    for (unsigned i = 0; i < 36;) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i++] != '-') return false;
            continue;
        }
        int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0) return false;
        id->bytes[size++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    return size == sizeof id->bytes;
}

void
ilea_uuid_format(const struct ilea_record_id *id, char text[37])
{
    static const char digits[] = "0123456789abcdef";
    char *at = text;
    for (unsigned i = 0; i < sizeof id->bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
        *at++ = digits[id->bytes[i] >> 4];
        *at++ = digits[id->bytes[i] & 15];
    }
    *at = '\0';
}
