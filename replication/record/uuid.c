#include "replication/record/uuid.h"

#include "crypto/random.h"

static int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool
ilea_uuid_parse(struct ilea_span text, struct ilea_record_id *id)
{
    if (text.size != ILEA_UUID_TEXT_SIZE - 1) return false;
    unsigned size = 0;
    for (unsigned i = 0; i < text.size;) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text.data[i++] != '-') return false;
            continue;
        }
        int high = hex_digit(text.data[i]), low = hex_digit(text.data[i + 1]);
        if (high < 0 || low < 0) return false;
        id->bytes[size++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    return size == sizeof id->bytes;
}

void
ilea_uuid_print(const struct ilea_record_id *id, char text[ILEA_UUID_TEXT_SIZE])
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

void
ilea_uuid_make(uint64_t now_ms, struct ilea_record_id *id)
{
    ilea_random_bytes(id->bytes, sizeof id->bytes);
    for (unsigned i = 0; i < 6; i++) id->bytes[i] = (uint8_t)(now_ms >> (40 - 8 * i));
    id->bytes[6] = (uint8_t)(0x70 | (id->bytes[6] & 0x0f));
    id->bytes[8] = (uint8_t)(0x80 | (id->bytes[8] & 0x3f));
}
