/*
 * fuzz_document.c - the decoders of documents' elements and of ASK, CHUNK and NONE. What is accepted keeps the rules,
 * and put again gives the same bytes.
 */
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_ask(struct ilea_span input, enum ilea_document_form form)
{
    struct ilea_chunk_ask ask;
    uint8_t again[64 + ILEA_ASK_RANGES_MAX * 12];
    if (ilea_chunk_ask_decode(input, form, &ask) != ILEA_ERROR_NONE) return;
    uint64_t chunks = 0;
    for (uint32_t i = 0; i < ask.range_count; i++) chunks += ask.ranges[i].count;
    ilea_assert(chunks > 0 && chunks <= ILEA_ASK_CHUNKS_MAX);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, sizeof again);
    ilea_chunk_ask_put(&writer, form, &ask);
    ilea_assert(!writer.failed && writer.size == input.size && memcmp(again, input.data, input.size) == 0);
}

static void
try_all(const uint8_t *data, size_t size)
{
    struct ilea_span input = { data, size };
    struct ilea_document document;
    struct ilea_chunk_part part;
    if (ilea_document_decode(input, &document) == ILEA_ERROR_NONE) {
        ilea_assert(document.size > 0 && document.size <= ILEA_DOCUMENT_SIZE_MAX && document.name.size > 0);
        ilea_assert(document.name.data >= data && document.name.data + document.name.size <= data + size);
    }
    try_ask(input, ILEA_DOCUMENT_ASK);
    try_ask(input, ILEA_DOCUMENT_NONE);
    if (ilea_chunk_part_decode(input, &part) == ILEA_ERROR_NONE) {
        static uint8_t again[ILEA_CHUNK_BODY_MAX];
        struct ilea_msgpack_writer writer;
        ilea_assert(part.offset + part.bytes.size <= part.total && part.total <= ILEA_BLOB_SEALED_MAX);
        ilea_msgpack_writer_init(&writer, again, sizeof again);
        ilea_chunk_part_put(&writer, &part);
        ilea_assert(!writer.failed && writer.size == size && memcmp(again, data, size) == 0);
    }
}

/* Good ones, for the input to change. */
static size_t
make_good(unsigned which, uint8_t *bytes, size_t capacity)
{
    static const char digits[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    static const uint8_t zeros[100];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    if (which == 0) {
        static const char *const parts[] = { "plan.pdf", "application/pdf", "1000000", digits, digits };
        ilea_msgpack_put_array(&writer, 5);
        for (unsigned i = 0; i < 5; i++) {
            ilea_msgpack_put_str(&writer, (struct ilea_span){ (const uint8_t *)parts[i], strlen(parts[i]) });
        }
    } else if (which < 3) {
        const struct ilea_chunk_ask ask = { .range_count = 3, .ranges = { { 0, 2 }, { 7, 4 }, { 100, 1 } } };
        ilea_chunk_ask_put(&writer, which == 1 ? ILEA_DOCUMENT_ASK : ILEA_DOCUMENT_NONE, &ask);
    } else {
        const struct ilea_chunk_part part = { .index = 3, .total = sizeof zeros, .bytes = { zeros, sizeof zeros } };
        ilea_chunk_part_put(&writer, &part);
    }
    ilea_assert(!writer.failed);
    return writer.size;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_all(data, size);
    for (unsigned which = 0; which < 4; which++) {
        uint8_t bytes[300];
        size_t good = make_good(which, bytes, sizeof bytes);
        for (size_t i = 0; i + 2 <= size && i < 8; i += 2) bytes[data[i] % good] = data[i + 1];
        try_all(bytes, good);
        try_all(bytes, size > 8 ? data[8] % good : good - 1);
    }
    return 0;
}
