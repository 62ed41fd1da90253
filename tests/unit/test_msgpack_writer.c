#include "replication/record/msgpack_reader.h"
#include "tests/support/codec.h"

/* Goal: the shortest form at every border, and the reader gets back what was put. */
static void
test_writer_shortest_forms(void **state)
{
    (void)state;
    static const struct { uint64_t value; size_t size; } numbers[] = {
        { 0, 1 }, { 127, 1 }, { 128, 2 }, { 255, 2 }, { 256, 3 }, { 65535, 3 }, { 65536, 5 },
        { UINT32_MAX, 5 }, { (uint64_t)UINT32_MAX + 1, 9 }, { UINT64_MAX, 9 }
    };
    static const struct { size_t size, str_header, bin_header; } sizes[] = {
        { 0, 1, 2 }, { 31, 1, 2 }, { 32, 2, 2 }, { 255, 2, 2 }, { 256, 3, 3 }, { 65535, 3, 3 },
        { 65536, 5, 5 }
    };
    static const struct { uint32_t count; size_t size; } counts[] = {
        { 0, 1 }, { 15, 1 }, { 16, 3 }, { 65535, 3 }, { 65536, 5 }, { UINT32_MAX, 5 }
    };
    static uint8_t bytes[140000], text[65536];
    struct ilea_msgpack_writer writer;
    struct ilea_msgpack_reader reader;
    memset(text, 't', sizeof text);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_msgpack_put_uint(&writer, numbers[i].value);
        assert_int_equal(writer.size, numbers[i].size);
        ilea_msgpack_reader_init(&reader, ilea_msgpack_written(&writer));
        assert_true(ilea_msgpack_get_uint(&reader) == numbers[i].value);
        assert_true(ilea_msgpack_reader_done(&reader));
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ilea_span span = { text, sizes[i].size };
        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_msgpack_put_str(&writer, span);
        ilea_msgpack_put_bin(&writer, span.data, span.size);
        assert_int_equal(writer.size, 2 * span.size + sizes[i].str_header + sizes[i].bin_header);
        ilea_msgpack_reader_init(&reader, ilea_msgpack_written(&writer));
        assert_int_equal(ilea_msgpack_get_str(&reader, UINT32_MAX).size, span.size);
        assert_int_equal(ilea_msgpack_get_bin(&reader, UINT32_MAX).size, span.size);
        assert_true(ilea_msgpack_reader_done(&reader));
    }
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_msgpack_put_array(&writer, counts[i].count);
        assert_int_equal(writer.size, counts[i].size);
    }
}

/* A bit of everything. */
static void
put_sample(struct ilea_msgpack_writer *writer)
{
    static const uint8_t bytes[40] = { 1, 2, 3 };
    ilea_msgpack_put_array(writer, 20);
    for (unsigned i = 0; i < 16; i++) ilea_msgpack_put_uint(writer, UINT64_C(1) << 4 * i);
    ilea_msgpack_put_bin(writer, bytes, sizeof bytes);
    ilea_msgpack_put_bin(writer, NULL, 0);
    ilea_msgpack_put_str(writer, (struct ilea_span){ NULL, 0 });
    ilea_msgpack_put_raw(writer, (struct ilea_span){ bytes, 1 });
    ilea_msgpack_put_raw(writer, (struct ilea_span){ NULL, 0 });
}

/* Goal: with too little room it fails at once, stays failed, and writes not a byte past the end. */
static void
test_writer_never_truncates(void **state)
{
    (void)state;
    uint8_t whole[512];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, whole, sizeof whole);
    put_sample(&writer);
    assert_false(writer.failed);
    const size_t size = writer.size;
    check_msgpack_c_agrees(ilea_msgpack_written(&writer));

    for (size_t capacity = 0; capacity <= size; capacity++) {
        uint8_t *bytes = malloc(capacity > 0 ? capacity : 1);
        assert_non_null(bytes);
        ilea_msgpack_writer_init(&writer, capacity > 0 ? bytes : NULL, capacity);
        put_sample(&writer);
        assert_int_equal(writer.failed, capacity < size);
        assert_true(writer.size <= capacity);
        if (writer.size > 0) assert_memory_equal(bytes, whole, writer.size);
        if (writer.failed) { /* room for one more byte or not: it is over */
            size_t before = writer.size;
            ilea_msgpack_put_uint(&writer, 1);
            ilea_msgpack_put_raw(&writer, (struct ilea_span){ whole, 1 });
            assert_true(writer.failed);
            assert_int_equal(writer.size, before);
        }
        free(bytes);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer_shortest_forms),
        cmocka_unit_test(test_writer_never_truncates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
