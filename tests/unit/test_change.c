#include "replication/record/change.h"
#include "tests/support/codec.h"

/* Encode a decoded change again. */
static void
put_change(struct ilea_msgpack_writer *writer, const struct ilea_change *change)
{
    struct ilea_msgpack_reader ops;
    ilea_change_put_head(writer, change);
    ilea_msgpack_reader_init(&ops, change->ops);
    for (uint32_t i = 0; i < change->op_count; i++) {
        struct ilea_op op;
        ilea_op_next(&ops, &op);
        ilea_op_put(writer, &op);
    }
    assert_true(ilea_msgpack_reader_done(&ops));
}

/* Whatever decodes encodes to the same bytes, and msgpack-c reads it the same. */
static enum ilea_error
decode(struct ilea_span input)
{
    struct ilea_change change;
    enum ilea_error error = ilea_change_decode(input, &change);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t *again = malloc(input.size);
    assert_non_null(again);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, input.size);
    put_change(&writer, &change);
    assert_false(writer.failed);
    assert_int_equal(writer.size, input.size);
    assert_memory_equal(again, input.data, input.size);
    free(again);
    check_msgpack_c_agrees(input);
    return ILEA_ERROR_NONE;
}

static void
check_op(const json_t *expected, const struct ilea_op *op)
{
    assert_int_equal(op->field, vector_number(expected, "field"));
    assert_int_equal(op->depth, vector_number(expected, "depth"));
    check_vector_bytes(expected, "key", op->key.data, op->key.size);
    check_vector_bytes(expected, "value", op->value.data, op->value.size);

    const json_t *dots = json_object_get(expected, "replaces");
    struct ilea_msgpack_reader reader;
    uint32_t count = ilea_op_replaces(op, &reader);
    assert_int_equal(count, json_array_size(dots));
    for (uint32_t i = 0; i < count; i++) {
        const json_t *dot = json_array_get(dots, i);
        struct ilea_dot found;
        ilea_dot_get(&reader, &found);
        check_hex(json_array_get(dot, 0), found.feed, sizeof found.feed);
        assert_true(found.seq == (uint64_t)json_integer_value(json_array_get(dot, 1)));
        assert_true(found.index == (uint64_t)json_integer_value(json_array_get(dot, 2)));
    }
    assert_true(ilea_msgpack_reader_done(&reader));
}

static void
check_vector(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "bytes", &size);
    enum ilea_error error = decode((struct ilea_span){ bytes, size });
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_change change;
        assert_int_equal(ilea_change_decode((struct ilea_span){ bytes, size }, &change),
                         ILEA_ERROR_NONE);
        check_vector_bytes(vector, "record", change.record.bytes, sizeof change.record.bytes);
        check_vector_bytes(vector, "prev_leaf", change.prev_leaf, sizeof change.prev_leaf);
        assert_true(change.type == vector_number(vector, "type"));
        assert_true(change.time_ms == vector_number(vector, "time_ms"));
        assert_true(change.label == vector_number(vector, "label"));
        assert_true(change.handling == vector_number(vector, "handling"));
        assert_true(change.run == vector_number(vector, "run"));
        const json_t *ops = json_object_get(vector, "ops");
        assert_int_equal(change.op_count, json_array_size(ops));
        struct ilea_msgpack_reader reader;
        ilea_msgpack_reader_init(&reader, change.ops);
        for (uint32_t i = 0; i < change.op_count; i++) {
            struct ilea_op op;
            ilea_op_next(&reader, &op);
            check_op(json_array_get(ops, i), &op);
        }
        check_cuts(decode, bytes, size);
        check_mutations(decode, bytes, size, 1);
    }
    free(bytes);
}

static void
test_change_vectors(void **state)
{
    (void)state;
    for_each_vector("change.jsonl", check_vector);
}

static const uint8_t no_dots[] = { 0x90 };

static struct ilea_change
head(uint32_t op_count)
{
    return (struct ilea_change){ .record = { { 1 } }, .type = 6, .time_ms = 1, .label = 1, .run = 1,
                                 .op_count = op_count };
}

/* A change of `count` one-byte registers, fields 1 to count. */
static size_t
put_small_ops(uint8_t *bytes, size_t capacity, uint32_t count)
{
    static const uint8_t one = 1;
    struct ilea_msgpack_writer writer;
    struct ilea_change change = head(count);
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    ilea_change_put_head(&writer, &change);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_op op = { .field = i + 1, .depth = 1, .value = { &one, 1 },
                              .replaces = { no_dots, 1 } };
        ilea_op_put(&writer, &op);
    }
    assert_false(writer.failed);
    return writer.size;
}

/* A change of one op with a bin of `size` as value or as key, its replaced dots `dot_count`. */
static size_t
put_large_op(uint8_t *bytes, size_t capacity, size_t size, bool as_key, uint32_t dot_count)
{
    static uint8_t filler[ILEA_VALUE_SIZE_MAX], encoded[ILEA_VALUE_SIZE_MAX + 16], dots[8192];
    static const uint8_t one = 1;
    struct ilea_msgpack_writer value, replaces, writer;
    ilea_msgpack_writer_init(&value, encoded, sizeof encoded);
    ilea_msgpack_put_bin(&value, filler, size);
    ilea_msgpack_writer_init(&replaces, dots, sizeof dots);
    ilea_msgpack_put_array(&replaces, dot_count);
    for (uint32_t i = 0; i < dot_count; i++) {
        struct ilea_dot dot = { .seq = i + 1, .index = 0 };
        ilea_dot_put(&replaces, &dot);
    }
    assert_false(value.failed || replaces.failed);
    struct ilea_span long_one = ilea_msgpack_written(&value), short_one = { &one, 1 };
    struct ilea_op op = { .field = 1, .depth = 1, .key = as_key ? long_one : short_one,
                          .value = as_key ? short_one : long_one,
                          .replaces = ilea_msgpack_written(&replaces) };
    struct ilea_change change = head(1);
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    ilea_change_put_head(&writer, &change);
    ilea_op_put(&writer, &op);
    assert_false(writer.failed);
    return writer.size;
}

static void
test_change_limits(void **state)
{
    (void)state;
    const size_t capacity = 2 * ILEA_CHANGE_SIZE_MAX;
    uint8_t *bytes = malloc(capacity);
    assert_non_null(bytes);
    for (uint32_t more = 0; more < 3;
         more++) { /* the limit less one, the limit, the limit and one */
        enum ilea_error expected = more < 2 ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
        size_t size = put_small_ops(bytes, capacity, ILEA_CHANGE_OPS_MAX - 1 + more);
        assert_int_equal(decode_copy(decode, bytes, size), expected);
        /* a bin of so many bytes has a header of 5 or 3 */
        size = put_large_op(bytes, capacity, ILEA_VALUE_SIZE_MAX - 5 - 1 + more, false, 0);
        assert_int_equal(decode_copy(decode, bytes, size), expected);
        size = put_large_op(bytes, capacity, ILEA_KEY_SIZE_MAX - 3 - 1 + more, true, 0);
        assert_int_equal(decode_copy(decode, bytes, size), expected);
        size = put_large_op(bytes, capacity, 1, false, ILEA_OP_REPLACES_MAX - 1 + more);
        assert_int_equal(decode_copy(decode, bytes, size), expected);
    }

    /* The whole: two values that fill it to the last byte. */
    for (uint32_t more = 0; more < 3; more++) {
        static uint8_t filler[ILEA_VALUE_SIZE_MAX];
        static uint8_t encoded[2][ILEA_VALUE_SIZE_MAX];
        size_t sizes[2] = { ILEA_VALUE_SIZE_MAX - 5, 0 };
        struct ilea_msgpack_writer writer;
        struct ilea_change change = head(2);
        size_t around = 0;
        for (unsigned round = 0; round < 2; round++) { /* first measure, then fill */
            sizes[1] = round == 0 ? 70000 : ILEA_CHANGE_SIZE_MAX - 1 + more - around + 70000;
            ilea_msgpack_writer_init(&writer, bytes, capacity);
            ilea_change_put_head(&writer, &change);
            for (uint32_t i = 0; i < 2; i++) {
                struct ilea_msgpack_writer value;
                ilea_msgpack_writer_init(&value, encoded[i], sizeof encoded[i]);
                ilea_msgpack_put_bin(&value, filler, sizes[i]);
                assert_false(value.failed);
                struct ilea_op op = { .field = i + 1, .depth = 1,
                                      .value = ilea_msgpack_written(&value),
                                      .replaces = { no_dots, 1 } };
                ilea_op_put(&writer, &op);
            }
            assert_false(writer.failed);
            around = writer.size;
        }
        assert_int_equal(writer.size, ILEA_CHANGE_SIZE_MAX - 1 + more);
        assert_int_equal(decode_copy(decode, bytes, writer.size),
                         more < 2 ? ILEA_ERROR_NONE : ILEA_ERROR_LIMIT);
    }
    free(bytes);
}

static void
test_dot_order(void **state)
{
    (void)state;
    static const struct ilea_dot dots[] = { /* ascending */
        { { 0 }, 1, 0 }, { { 0 }, 1, 1 }, { { 0 }, 2, 0 }, { { 0 }, UINT64_MAX, 3 },
        { { 0, 1 }, 1, 0 }, { { 1 }, 1, 0 }, { { 0xff }, 1, 0 }
    };
    const size_t count = sizeof dots / sizeof dots[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            int order = ilea_dot_compare(&dots[i], &dots[k]);
            assert_int_equal(order > 0, i > k);
            assert_int_equal(order == 0, i == k);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change_vectors),
        cmocka_unit_test(test_change_limits),
        cmocka_unit_test(test_dot_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
