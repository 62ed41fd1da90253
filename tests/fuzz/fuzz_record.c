/*
 * fuzz_record.c - records: whatever decodes encodes to the same from then on,
 * and the changes that an input describes give the same bytes in any order.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/merge/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Heap memory of exactly *size bytes. */
static uint8_t *
encode(struct ilea_record *record, size_t *size)
{
    size_t size_max = ilea_record_encoded_size_max(record);
    uint8_t *bytes = malloc(size_max);
    if (bytes == NULL) abort();
    ilea_assert(ilea_record_encode(record, bytes, size_max, size) == ILEA_ERROR_NONE);
    uint8_t *exact = realloc(bytes, *size);
    if (exact == NULL) abort();
    return exact;
}

static void
decode(const uint8_t *data, size_t size)
{
    struct ilea_record record;
    ilea_record_init(&record);
    if (ilea_record_decode((struct ilea_span){ data, size }, &record) == ILEA_ERROR_NONE) {
        size_t first_size = 0, second_size = 0;
        uint8_t *first = encode(&record, &first_size);
        ilea_assert(first_size <= size); /* less, where a dot was named for nothing */
        ilea_assert(first_size < size || memcmp(first, data, size) == 0);
        ilea_assert(ilea_record_decode((struct ilea_span){ first, first_size }, &record)
                    == ILEA_ERROR_NONE);
        uint8_t *second = encode(&record, &second_size);
        ilea_assert(second_size == first_size);
        ilea_assert(memcmp(first, second, first_size) == 0);
        free(first);
        free(second);
    }
    ilea_record_deinit(&record);
}

enum { CHANGES_MAX = 10, ORDERS = 4, CHANGE_SIZE = 256, PLACES = 3 };

struct made {
    struct ilea_dot dot;
    uint8_t bytes[CHANGE_SIZE];
    struct ilea_change change;
};

/* The dot of change number `number`, which may never be made. */
static struct ilea_dot
dot_of(unsigned number)
{
    return (struct ilea_dot){ { (uint8_t)(number % 3) }, 1 + number / 6, number % 5 };
}

/* Change `number` from one byte of value, and one of replaced dots, a place. */
static void
make(struct made *made, unsigned number, const uint8_t *data)
{
    struct ilea_change head = { .type = 6, .label = 1, .run = 1, .op_count = PLACES };
    struct ilea_msgpack_writer writer;
    made->dot = dot_of(number);
    ilea_msgpack_writer_init(&writer, made->bytes, sizeof made->bytes);
    ilea_change_put_head(&writer, &head);
    for (unsigned place = 0; place < PLACES; place++) {
        uint8_t value = data[2 * place] & 0x3f, key = 1, dots[64];
        struct ilea_dot a = dot_of(data[2 * place + 1] & 15), b = dot_of(data[2 * place + 1] >> 4);
        int order = ilea_dot_compare(&a, &b);
        struct ilea_msgpack_writer replaces;
        ilea_msgpack_writer_init(&replaces, dots, sizeof dots);
        ilea_msgpack_put_array(&replaces, order == 0 ? 0 : 2);
        if (order != 0) {
            ilea_dot_put(&replaces, order < 0 ? &a : &b);
            ilea_dot_put(&replaces, order < 0 ? &b : &a);
        }
        struct ilea_op op = { .field = 1 + place, .depth = 1 + (data[2 * place] >> 6),
                              .key = { &key, place > 0 ? 1 : 0 },
                              .value = { &value, value < 8 ? 0 : 1 },
                              .replaces = ilea_msgpack_written(&replaces) };
        ilea_op_put(&writer, &op);
    }
    ilea_assert(!writer.failed);
    ilea_assert(ilea_change_decode(ilea_msgpack_written(&writer), &made->change) ==
                ILEA_ERROR_NONE);
}

/* Merge in the order that `step` gives: all numbers below count, each once. */
static uint8_t *
merge(const struct made *changes, unsigned count, unsigned step, size_t *size)
{
    struct ilea_record record;
    ilea_record_init(&record);
    bool is_merged[CHANGES_MAX] = { false };
    for (unsigned i = 0, at = 0; i < count; i++, at = (at + step) % count) {
        while (is_merged[at]) at = (at + 1) % count;
        is_merged[at] = true;
        ilea_assert(ilea_record_merge(&record, &changes[at].change, &changes[at].dot)
                    == ILEA_ERROR_NONE);
    }
    uint8_t *bytes = encode(&record, size);
    ilea_record_deinit(&record);
    return bytes;
}

static void
merge_in_orders(const uint8_t *data, size_t size)
{
    static struct made changes[CHANGES_MAX];
    unsigned count = 0;
    while (count < CHANGES_MAX && size - count * 2 * PLACES >= 2 * PLACES) {
        make(&changes[count], count, data + count * 2 * PLACES);
        count++;
    }
    if (count == 0) return;
    size_t first_size = 0;
    uint8_t *first = merge(changes, count, 1, &first_size);
    decode(first, first_size);
    for (unsigned step = 2; step <= count && step <= ORDERS; step++) {
        size_t other_size = 0;
        uint8_t *other = merge(changes, count, step, &other_size);
        ilea_assert(other_size == first_size);
        ilea_assert(memcmp(other, first, first_size) == 0);
        free(other);
    }
    free(first);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size);
    merge_in_orders(data, size);
    return 0;
}
