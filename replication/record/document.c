#include "replication/record/document.h"

#include <string.h>

enum { ELEMENT_FIELDS = 5, ASK_FIELDS = 3, PART_FIELDS = 6, DIGITS_MAX = 10, HEX_SIZE = 2 * ILEA_ID_SIZE };

uint32_t
ilea_document_chunks(uint64_t size)
{
    return (uint32_t)((size + ILEA_BLOB_CHUNK_SIZE - 1) / ILEA_BLOB_CHUNK_SIZE);
}

static bool
is_one_line(struct ilea_span text)
{
    return text.size == 0
        || (memchr(text.data, '\n', text.size) == NULL && memchr(text.data, '\t', text.size) == NULL);
}

/* One form of each number: no sign, no leading zero. */
static bool
parse_size(struct ilea_span text, uint64_t *size)
{
    *size = 0;
    if (text.size == 0 || text.size > DIGITS_MAX || text.data[0] == '0') return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        *size = *size * 10 + (uint64_t)(text.data[i] - '0');
    }
    return *size <= ILEA_DOCUMENT_SIZE_MAX;
}

static int
hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') return byte - '0';
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool
parse_hex(struct ilea_span text, uint8_t bytes[ILEA_ID_SIZE])
{
    if (text.size != HEX_SIZE) return false;
    for (size_t i = 0; i < ILEA_ID_SIZE; i++) {
        int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

enum ilea_error
ilea_document_decode(struct ilea_span element, struct ilea_document *document)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, element);
    ilea_msgpack_expect_array(&reader, ELEMENT_FIELDS);
    document->name = ilea_msgpack_get_str(&reader, ILEA_DOCUMENT_NAME_MAX);
    document->media = ilea_msgpack_get_str(&reader, ILEA_DOCUMENT_MEDIA_MAX);
    struct ilea_span size = ilea_msgpack_get_str(&reader, DIGITS_MAX);
    struct ilea_span root = ilea_msgpack_get_str(&reader, HEX_SIZE), key = ilea_msgpack_get_str(&reader, HEX_SIZE);
    if (!ilea_msgpack_reader_done(&reader) || document->name.size == 0 || !is_one_line(document->name)
        || !is_one_line(document->media) || !parse_size(size, &document->size)
        || !parse_hex(root, document->root.bytes) || !parse_hex(key, document->key.bytes)) {
        return ILEA_ERROR_MALFORMED;
    }
    return ILEA_ERROR_NONE;
}

/* Chunks of one document, or its list alone; `before`: where the range before ended. */
static bool
is_range(const struct ilea_chunk_range *range, uint32_t ranges, uint64_t before)
{
    if (range->first == ILEA_BLOB_LIST) return ranges == 1 && range->count == 1;
    return range->count > 0 && range->first >= before && range->first < ILEA_BLOB_CHUNKS_MAX
        && range->count <= ILEA_BLOB_CHUNKS_MAX - range->first;
}

enum ilea_error
ilea_chunk_ask_decode(struct ilea_span body, enum ilea_document_form form, struct ilea_chunk_ask *ask)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, ASK_FIELDS);
    if (ilea_msgpack_get_uint(&reader) != (uint64_t)form) return ILEA_ERROR_MALFORMED;
    ilea_msgpack_get_bytes(&reader, ask->root.bytes, sizeof ask->root.bytes);
    ask->range_count = ilea_msgpack_get_array(&reader, ILEA_ASK_RANGES_MAX);
    uint64_t before = 0, chunks = 0;
    for (uint32_t i = 0; i < ask->range_count; i++) {
        struct ilea_chunk_range *range = &ask->ranges[i];
        ilea_msgpack_expect_array(&reader, 2);
        range->first = ilea_msgpack_get_uint(&reader);
        range->count = ilea_msgpack_get_uint32(&reader, ILEA_ASK_CHUNKS_MAX);
        if (reader.failed || !is_range(range, ask->range_count, before)) return ILEA_ERROR_MALFORMED;
        before = range->first + range->count;
        chunks += range->count;
    }
    if (!ilea_msgpack_reader_done(&reader) || chunks == 0 || chunks > ILEA_ASK_CHUNKS_MAX) return ILEA_ERROR_MALFORMED;
    return ILEA_ERROR_NONE;
}

void
ilea_chunk_ask_put(struct ilea_msgpack_writer *writer, enum ilea_document_form form, const struct ilea_chunk_ask *ask)
{
    ilea_msgpack_put_array(writer, ASK_FIELDS);
    ilea_msgpack_put_uint(writer, (uint64_t)form);
    ilea_msgpack_put_bin(writer, ask->root.bytes, sizeof ask->root.bytes);
    ilea_msgpack_put_array(writer, ask->range_count);
    for (uint32_t i = 0; i < ask->range_count; i++) {
        ilea_msgpack_put_array(writer, 2);
        ilea_msgpack_put_uint(writer, ask->ranges[i].first);
        ilea_msgpack_put_uint(writer, ask->ranges[i].count);
    }
}

enum ilea_error
ilea_chunk_part_decode(struct ilea_span body, struct ilea_chunk_part *part)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, PART_FIELDS);
    if (ilea_msgpack_get_uint(&reader) != ILEA_DOCUMENT_CHUNK) return ILEA_ERROR_MALFORMED;
    ilea_msgpack_get_bytes(&reader, part->root.bytes, sizeof part->root.bytes);
    part->index = ilea_msgpack_get_uint(&reader);
    part->offset = ilea_msgpack_get_uint32(&reader, ILEA_CHUNK_PART_MAX);
    part->total = ilea_msgpack_get_uint32(&reader, ILEA_BLOB_SEALED_MAX);
    part->bytes = ilea_msgpack_get_bin(&reader, ILEA_CHUNK_PART_MAX);
    if (!ilea_msgpack_reader_done(&reader)) return ILEA_ERROR_MALFORMED;
    bool is_index = part->index < ILEA_BLOB_CHUNKS_MAX || part->index == ILEA_BLOB_LIST;
    bool is_first = part->offset == 0;
    if (!is_index || part->total <= ILEA_BLOB_OVERHEAD || (!is_first && part->offset != ILEA_CHUNK_PART_MAX)
        || part->offset >= part->total) {
        return ILEA_ERROR_MALFORMED;
    }
    uint32_t left = part->total - part->offset;
    uint32_t due = is_first && left > ILEA_CHUNK_PART_MAX ? ILEA_CHUNK_PART_MAX : left;
    return part->bytes.size == due ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_chunk_part_put(struct ilea_msgpack_writer *writer, const struct ilea_chunk_part *part)
{
    ilea_msgpack_put_array(writer, PART_FIELDS);
    ilea_msgpack_put_uint(writer, ILEA_DOCUMENT_CHUNK);
    ilea_msgpack_put_bin(writer, part->root.bytes, sizeof part->root.bytes);
    ilea_msgpack_put_uint(writer, part->index);
    ilea_msgpack_put_uint(writer, part->offset);
    ilea_msgpack_put_uint(writer, part->total);
    ilea_msgpack_put_bin(writer, part->bytes.data, part->bytes.size);
}
