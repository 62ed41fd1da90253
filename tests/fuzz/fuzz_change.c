/*
 * fuzz_change.c - the decoder of changes: whatever it accepts can be walked to
 * its end and encodes to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/change.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_op(const struct ilea_op *op)
{
    struct ilea_msgpack_reader dots;
    uint32_t count = ilea_op_replaces(op, &dots);
    ilea_assert(op->field > 0 && op->depth > 0);
    ilea_assert(count <= ILEA_OP_REPLACES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_dot dot;
        ilea_dot_get(&dots, &dot);
    }
    ilea_assert(ilea_msgpack_reader_done(&dots));
}

static void
decode(const uint8_t *data, size_t size)
{
    struct ilea_change change;
    if (ilea_change_decode((struct ilea_span){ data, size }, &change) != ILEA_ERROR_NONE) return;
    uint8_t *again = malloc(size);
    if (again == NULL) abort();
    struct ilea_msgpack_writer writer;
    struct ilea_msgpack_reader ops;
    ilea_msgpack_writer_init(&writer, again, size);
    ilea_change_put_head(&writer, &change);
    ilea_msgpack_reader_init(&ops, change.ops);
    for (uint32_t i = 0; i < change.op_count; i++) {
        struct ilea_op op;
        ilea_op_next(&ops, &op);
        ilea_assert(!ops.failed);
        check_op(&op);
        ilea_op_put(&writer, &op);
    }
    ilea_assert(ilea_msgpack_reader_done(&ops));
    ilea_assert(!writer.failed && writer.size == size);
    ilea_assert(memcmp(again, data, size) == 0);
    free(again);
}

/* The same input as the operations of a change whose fixed part is right. */
static void
decode_ops(const uint8_t *data, size_t size)
{
    static const struct ilea_change head = { .type = 6, .label = 1, .run = 1 };
    enum { HEAD_SIZE = 64 }; /* its array header, the last byte, is replaced by the input's */
    uint8_t *bytes = malloc(HEAD_SIZE + size);
    if (bytes == NULL) abort();
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, HEAD_SIZE);
    ilea_change_put_head(&writer, &head);
    ilea_assert(!writer.failed);
    if (size > 0) memcpy(bytes + writer.size - 1, data, size);
    decode(bytes, writer.size - 1 + size);
    free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size);
    decode_ops(data, size);
    return 0;
}
