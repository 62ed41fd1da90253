#include "replication/record/change.h"

#include <string.h>

enum { CHANGE_VERSION = 1, CHANGE_FIELDS = 9, OP_FIELDS = 5, DOT_FIELDS = 3 };

int
ilea_dot_compare(const struct ilea_dot *a, const struct ilea_dot *b)
{
    int order = memcmp(a->feed, b->feed, sizeof a->feed);
    if (order != 0) return order;
    if (a->seq != b->seq) return a->seq < b->seq ? -1 : 1;
    if (a->index != b->index) return a->index < b->index ? -1 : 1;
    return 0;
}

void
ilea_dot_get(struct ilea_msgpack_reader *reader, struct ilea_dot *dot)
{
    ilea_msgpack_expect_array(reader, DOT_FIELDS);
    ilea_msgpack_get_bytes(reader, dot->feed, sizeof dot->feed);
    dot->seq = ilea_msgpack_get_uint(reader);
    dot->index = ilea_msgpack_get_uint32(reader, ILEA_COMMIT_ITEMS_MAX - 1);
    if (dot->seq == 0) reader->failed = true;
}

void
ilea_dot_put(struct ilea_msgpack_writer *writer, const struct ilea_dot *dot)
{
    ilea_msgpack_put_array(writer, DOT_FIELDS);
    ilea_msgpack_put_bin(writer, dot->feed, sizeof dot->feed);
    ilea_msgpack_put_uint(writer, dot->seq);
    ilea_msgpack_put_uint(writer, dot->index);
}

/* The encoding of the array of dots at the reader, checked: ascending strictly. */
static struct ilea_span
get_replaces(struct ilea_msgpack_reader *reader)
{
    const uint8_t *start = reader->next;
    uint32_t count = ilea_msgpack_get_array(reader, ILEA_OP_REPLACES_MAX);
    struct ilea_dot dots[2];
    for (uint32_t i = 0; i < count && !reader->failed; i++) {
        ilea_dot_get(reader, &dots[i % 2]);
        if (i > 0 && ilea_dot_compare(&dots[(i + 1) % 2], &dots[i % 2]) >= 0) {
            reader->failed = true;
        }
    }
    if (reader->failed) return (struct ilea_span){ NULL, 0 };
    return (struct ilea_span){ start, (size_t)(reader->next - start) };
}

/* [] or [value]: the value's encoding, or nothing. */
static struct ilea_span
get_optional(struct ilea_msgpack_reader *reader, uint32_t size_max)
{
    if (ilea_msgpack_get_array(reader, 1) == 0) return (struct ilea_span){ NULL, 0 };
    return ilea_msgpack_get_value(reader, size_max, ILEA_VALUE_DEPTH_MAX);
}

void
ilea_op_next(struct ilea_msgpack_reader *reader, struct ilea_op *op)
{
    ilea_msgpack_expect_array(reader, OP_FIELDS);
    op->field = ilea_msgpack_get_uint32(reader, UINT32_MAX);
    op->key = get_optional(reader, ILEA_KEY_SIZE_MAX);
    op->value = get_optional(reader, ILEA_VALUE_SIZE_MAX);
    op->depth = ilea_msgpack_get_uint32(reader, UINT32_MAX);
    op->replaces = get_replaces(reader);
    if (op->field == 0 || op->depth == 0) reader->failed = true;
}

uint32_t
ilea_op_replaces(const struct ilea_op *op, struct ilea_msgpack_reader *reader)
{
    ilea_msgpack_reader_init(reader, op->replaces);
    return ilea_msgpack_get_array(reader, ILEA_OP_REPLACES_MAX);
}

/* Sorted by length first only where one is a prefix of the other: plain bytes. */
static int
compare_bytes(struct ilea_span a, struct ilea_span b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size == 0 ? 0 : memcmp(a.data, b.data, size);
    if (order != 0) return order;
    return a.size == b.size ? 0 : a.size < b.size ? -1 : 1;
}

static bool
ops_are_canonical(const struct ilea_change *change)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, change->ops);
    struct ilea_op ops[2];
    for (uint32_t i = 0; i < change->op_count; i++) {
        struct ilea_op *op = &ops[i % 2], *before = &ops[(i + 1) % 2];
        ilea_op_next(&reader, op);
        if (reader.failed) return false;
        if (i > 0 && (before->field > op->field
                      || (before->field == op->field && compare_bytes(before->key, op->key) >= 0))) {
            return false;
        }
    }
    return ilea_msgpack_reader_done(&reader);
}

enum ilea_error
ilea_change_decode(struct ilea_span input, struct ilea_change *change)
{
    if (input.size > ILEA_CHANGE_SIZE_MAX) return ILEA_ERROR_LIMIT;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);

    uint32_t fields = ilea_msgpack_get_array(&reader, 32);
    uint64_t version = ilea_msgpack_get_uint(&reader);
    if (!reader.failed && version > CHANGE_VERSION) return ILEA_ERROR_UNKNOWN;
    if (fields != CHANGE_FIELDS || version != CHANGE_VERSION) return ILEA_ERROR_MALFORMED;

    ilea_msgpack_get_bytes(&reader, change->record.bytes, sizeof change->record.bytes);
    change->type = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    change->time_ms = ilea_msgpack_get_uint(&reader);
    change->label = ilea_msgpack_get_uint32(&reader, ILEA_LABEL_RED);
    change->handling = ilea_msgpack_get_uint32(&reader, 255);
    change->run = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, change->prev_leaf, sizeof change->prev_leaf);
    change->op_count = ilea_msgpack_get_array(&reader, ILEA_CHANGE_OPS_MAX);
    if (reader.failed || change->run == 0 || change->label == 0 || change->type == 0) {
        return ILEA_ERROR_MALFORMED;
    }
    change->ops = (struct ilea_span){ reader.next, reader.left };
    return ops_are_canonical(change) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_change_put_head(struct ilea_msgpack_writer *writer, const struct ilea_change *change)
{
    ilea_msgpack_put_array(writer, CHANGE_FIELDS);
    ilea_msgpack_put_uint(writer, CHANGE_VERSION);
    ilea_msgpack_put_bin(writer, change->record.bytes, sizeof change->record.bytes);
    ilea_msgpack_put_uint(writer, change->type);
    ilea_msgpack_put_uint(writer, change->time_ms);
    ilea_msgpack_put_uint(writer, change->label);
    ilea_msgpack_put_uint(writer, change->handling);
    ilea_msgpack_put_uint(writer, change->run);
    ilea_msgpack_put_bin(writer, change->prev_leaf, sizeof change->prev_leaf);
    ilea_msgpack_put_array(writer, change->op_count);
}

static void
put_optional(struct ilea_msgpack_writer *writer, struct ilea_span value)
{
    ilea_msgpack_put_array(writer, value.size > 0 ? 1 : 0);
    ilea_msgpack_put_raw(writer, value);
}

void
ilea_op_put(struct ilea_msgpack_writer *writer, const struct ilea_op *op)
{
    ilea_msgpack_put_array(writer, OP_FIELDS);
    ilea_msgpack_put_uint(writer, op->field);
    put_optional(writer, op->key);
    put_optional(writer, op->value);
    ilea_msgpack_put_uint(writer, op->depth);
    ilea_msgpack_put_raw(writer, op->replaces);
}
