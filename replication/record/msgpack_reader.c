#include "replication/record/msgpack_reader.h"

#include <string.h>

void
ilea_msgpack_reader_init(struct ilea_msgpack_reader *reader, struct ilea_span input)
{
    *reader = (struct ilea_msgpack_reader){ .next = input.data, .left = input.size };
}

bool
ilea_msgpack_reader_done(const struct ilea_msgpack_reader *reader)
{
    return !reader->failed && reader->left == 0;
}

/* The one place where bytes are consumed: `size` is compared, never added. */
static const uint8_t *
take(struct ilea_msgpack_reader *reader, size_t size)
{
    if (reader->failed || size > reader->left) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *bytes = reader->next;
    reader->next += size;
    reader->left -= size;
    return bytes;
}

/* Big-endian integer of `width` bytes (1 to 8). */
static uint64_t
take_uint(struct ilea_msgpack_reader *reader, size_t width)
{
    const uint8_t *bytes = take(reader, width);
    if (bytes == NULL) return 0;
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) value = value << 8 | bytes[i];
    return value;
}

/* Fail if `value` would have fitted a shorter form. */
static uint64_t
canonical(struct ilea_msgpack_reader *reader, uint64_t value, uint64_t value_min)
{
    if (reader->failed || value < value_min) {
        reader->failed = true;
        return 0;
    }
    return value;
}

static uint64_t
uint_of_tag(struct ilea_msgpack_reader *reader, uint64_t tag)
{
    if (tag <= 0x7f) return tag;
    switch (tag) {
    case 0xcc: return canonical(reader, take_uint(reader, 1), 0x80);
    case 0xcd: return canonical(reader, take_uint(reader, 2), UINT8_MAX + UINT64_C(1));
    case 0xce: return canonical(reader, take_uint(reader, 4), UINT16_MAX + UINT64_C(1));
    case 0xcf: return canonical(reader, take_uint(reader, 8), UINT32_MAX + UINT64_C(1));
    default: reader->failed = true; return 0;
    }
}

static uint64_t
array_of_tag(struct ilea_msgpack_reader *reader, uint64_t tag)
{
    if (tag >= 0x90 && tag <= 0x9f) return tag - 0x90;
    switch (tag) {
    case 0xdc: return canonical(reader, take_uint(reader, 2), 0x10);
    case 0xdd: return canonical(reader, take_uint(reader, 4), UINT16_MAX + UINT64_C(1));
    default: reader->failed = true; return 0;
    }
}

static uint64_t
bin_of_tag(struct ilea_msgpack_reader *reader, uint64_t tag)
{
    switch (tag) {
    case 0xc4: return take_uint(reader, 1);
    case 0xc5: return canonical(reader, take_uint(reader, 2), UINT8_MAX + UINT64_C(1));
    case 0xc6: return canonical(reader, take_uint(reader, 4), UINT16_MAX + UINT64_C(1));
    default: reader->failed = true; return 0;
    }
}

static uint64_t
str_of_tag(struct ilea_msgpack_reader *reader, uint64_t tag)
{
    if (tag >= 0xa0 && tag <= 0xbf) return tag - 0xa0;
    switch (tag) {
    case 0xd9: return canonical(reader, take_uint(reader, 1), 0x20);
    case 0xda: return canonical(reader, take_uint(reader, 2), UINT8_MAX + UINT64_C(1));
    case 0xdb: return canonical(reader, take_uint(reader, 4), UINT16_MAX + UINT64_C(1));
    default: reader->failed = true; return 0;
    }
}

uint64_t
ilea_msgpack_get_uint(struct ilea_msgpack_reader *reader)
{
    uint64_t value = uint_of_tag(reader, take_uint(reader, 1));
    return reader->failed ? 0 : value;
}

uint32_t
ilea_msgpack_get_uint32(struct ilea_msgpack_reader *reader, uint32_t value_max)
{
    uint64_t value = ilea_msgpack_get_uint(reader);
    if (value > value_max) {
        reader->failed = true;
        return 0;
    }
    return (uint32_t)value;
}

uint32_t
ilea_msgpack_get_array(struct ilea_msgpack_reader *reader, uint32_t count_max)
{
    uint64_t count = array_of_tag(reader, take_uint(reader, 1));
    if (reader->failed || count > count_max || count > reader->left) {
        reader->failed = true;
        return 0;
    }
    return (uint32_t)count;
}

void
ilea_msgpack_expect_array(struct ilea_msgpack_reader *reader, uint32_t count)
{
    if (ilea_msgpack_get_array(reader, count) != count) reader->failed = true;
}

struct ilea_span
ilea_msgpack_get_bin(struct ilea_msgpack_reader *reader, uint32_t size_max)
{
    uint64_t size = bin_of_tag(reader, take_uint(reader, 1));
    if (size > size_max) reader->failed = true;
    const uint8_t *data = take(reader, (size_t)size);
    if (data == NULL) return (struct ilea_span){ NULL, 0 };
    return (struct ilea_span){ data, (size_t)size };
}

void
ilea_msgpack_get_bytes(struct ilea_msgpack_reader *reader, void *bytes, uint32_t size)
{
    struct ilea_span span = ilea_msgpack_get_bin(reader, size);
    if (span.size != size) reader->failed = true;
    if (reader->failed) {
        memset(bytes, 0, size);
        return;
    }
    memcpy(bytes, span.data, size);
}

/* Length of the UTF-8 sequence at `at` (1 to 4), or 0 if it is none: RFC 3629, section 4. */
static size_t
sequence_length(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3
                  : lead < 0xf5 ? 4 : 0;
    if (length == 0 || length > left) return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
    }
    if ((lead == 0xe0 && at[1] < 0xa0) || (lead == 0xed && at[1] > 0x9f)
        || (lead == 0xf0 && at[1] < 0x90) || (lead == 0xf4 && at[1] > 0x8f)) {
        return 0; /* overlong, surrogate, or beyond U+10FFFF */
    }
    if (lead == 0xc2 && at[1] < 0xa0) return 0; /* C1 control characters */
    return length;
}

bool
ilea_text_is_valid(struct ilea_span text)
{
    const uint64_t high = UINT64_C(0x8080808080808080), ones = UINT64_C(0x0101010101010101);
    size_t at = 0;
    while (at < text.size) {
        if (text.size - at >= 8) { /* eight bytes of printable ASCII at a time */
            uint64_t word;
            memcpy(&word, text.data + at, sizeof word);
            uint64_t below_space = (word - ones * 0x20) & ~word;
            uint64_t is_del = (word ^ ones * 0x7f) - ones;
            if (((word | below_space | (is_del & ~(word ^ ones * 0x7f))) & high) == 0) {
                at += 8;
                continue;
            }
        }
        uint8_t byte = text.data[at];
        if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f) return false;
        size_t length = sequence_length(text.data + at, text.size - at);
        if (length == 0) return false;
        at += length;
    }
    return true;
}

struct ilea_span
ilea_msgpack_get_str(struct ilea_msgpack_reader *reader, uint32_t size_max)
{
    uint64_t size = str_of_tag(reader, take_uint(reader, 1));
    if (size > size_max) reader->failed = true;
    const uint8_t *data = take(reader, (size_t)size);
    struct ilea_span text = { data, (size_t)size };
    if (data == NULL || !ilea_text_is_valid(text)) {
        reader->failed = true;
        return (struct ilea_span){ NULL, 0 };
    }
    return text;
}

struct ilea_span
ilea_msgpack_get_value(struct ilea_msgpack_reader *reader, uint32_t size_max, uint32_t depth_max)
{
    const struct ilea_span none = { NULL, 0 };
    const uint8_t *start = reader->next;
    uint32_t left_at[8] = { 1 }; /* values still to come, per nesting level */
    uint32_t depth = 0;
    if (depth_max >= sizeof left_at / sizeof left_at[0]) depth_max = 7;

    for (;;) {
        while (left_at[depth] == 0) { /* an array is complete */
            if (depth == 0) {
                size_t size = (size_t)(reader->next - start);
                if (size > size_max) reader->failed = true;
                return reader->failed ? none : (struct ilea_span){ start, size };
            }
            depth--;
        }
        left_at[depth]--;
        if (reader->failed || reader->left == 0) break;
        uint8_t tag = reader->next[0];
        if ((tag >= 0x90 && tag <= 0x9f) || tag == 0xdc || tag == 0xdd) {
            if (depth == depth_max) break;
            left_at[++depth] = ilea_msgpack_get_array(reader, size_max);
        } else if (tag >= 0xc4 && tag <= 0xc6) {
            (void)ilea_msgpack_get_bin(reader, size_max);
        } else if ((tag >= 0xa0 && tag <= 0xbf) || (tag >= 0xd9 && tag <= 0xdb)) {
            (void)ilea_msgpack_get_str(reader, size_max);
        } else {
            (void)ilea_msgpack_get_uint(reader);
        }
        if (reader->failed) break;
    }
    reader->failed = true;
    return none;
}
