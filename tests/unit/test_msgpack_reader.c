#include "replication/record/msgpack_reader.h"
#include "replication/record/limits.h"
#include "tests/support/codec.h"

static enum ilea_error
decode_value(struct ilea_span input)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    struct ilea_span value =
        ilea_msgpack_get_value(&reader, ILEA_VALUE_SIZE_MAX, ILEA_VALUE_DEPTH_MAX);
    if (!ilea_msgpack_reader_done(&reader)) return ILEA_ERROR_MALFORMED;
    assert_ptr_equal(value.data, input.data);
    assert_int_equal(value.size, input.size);
    check_msgpack_c_agrees(input);
    return ILEA_ERROR_NONE;
}

/* The value as the vector describes it, by the getters. */
static void
check_described(struct ilea_msgpack_reader *reader, const json_t *value)
{
    const char *number = json_string_value(json_object_get(value, "uint"));
    const json_t *array = json_object_get(value, "array");
    if (number != NULL) {
        assert_true(ilea_msgpack_get_uint(reader) == strtoull(number, NULL, 10));
    } else if (array != NULL) {
        size_t count = json_array_size(array);
        assert_int_equal(ilea_msgpack_get_array(reader, UINT32_MAX), count);
        for (size_t i = 0; i < count; i++) check_described(reader, json_array_get(array, i));
    } else {
        bool is_text = json_object_get(value, "str") != NULL;
        struct ilea_span bytes = is_text ? ilea_msgpack_get_str(reader, UINT32_MAX)
                                         : ilea_msgpack_get_bin(reader, UINT32_MAX);
        check_vector_bytes(value, is_text ? "str" : "bin", bytes.data, bytes.size);
    }
    assert_false(reader->failed);
}

static void
check_vector(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "bytes", &size);
    enum ilea_error error = decode_value((struct ilea_span){ bytes, size });
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_msgpack_reader reader;
        ilea_msgpack_reader_init(&reader, (struct ilea_span){ bytes, size });
        check_described(&reader, json_object_get(vector, "value"));
        assert_true(ilea_msgpack_reader_done(&reader));
        check_cuts(decode_value, bytes, size);
        check_mutations(decode_value, bytes, size, 1);
    }
    free(bytes);
}

static void
test_reader_vectors(void **state)
{
    (void)state;
    for_each_vector("msgpack.jsonl", check_vector);
}

/* Goal: of all inputs of up to 3 bytes we accept none that msgpack-c reads otherwise, and exactly
 * one encoding of each value that fits. */
static void
test_reader_all_short_inputs(void **state)
{
    (void)state;
    size_t accepted = 0;
    for (uint32_t size = 1; size <= 3; size++) {
        for (uint32_t input = 0; input < 1u << 8 * size; input++) {
            uint8_t bytes[3] = {(uint8_t)(input >> 8 * (size - 1)),
                                (uint8_t)(size > 1 ? input >> 8 * (size - 2) : 0), (uint8_t)input};
            if (decode_value((struct ilea_span){ bytes, size }) == ILEA_ERROR_NONE) accepted++;
        }
    }
    /*
     * 1 byte: 128 uint, empty str, empty array. 2: cc80..ccff, str of 1 (95 printable, 2 blanks),
     * empty bin, array of one of the 130. 3: cd0100..cdffff, str of 2 (97 * 97, and 1952 of two
     * bytes but not the 32 of C1), bin of 1, [2 bytes], [1, 1].
     */
    size_t one = 128 + 1 + 1, two = 128 + 97 + 1 + one;
    size_t three = 65536 - 256 + 97 * 97 + 30 * 64 - 32 + 256 + two + one * one;
    assert_int_equal(accepted, one + two + three);
}

/* Goal: each getter takes its own kind alone, and stays failed without moving. */
static void
test_reader_fails_once_and_stays_failed(void **state)
{
    (void)state;
    static const uint8_t bytes[] = { 0x01, 0xa1, 'a', 0xc4, 1, 7, 0x91, 5 };
    struct ilea_msgpack_reader reader;
    for (unsigned right = 0; right < 4; right++) {
        static const size_t at[] = { 0, 1, 3, 6 };
        for (unsigned asked = 0; asked < 4; asked++) {
            ilea_msgpack_reader_init(
                &reader, (struct ilea_span){bytes + at[right], sizeof bytes - at[right]});
            if (asked == 0) (void)ilea_msgpack_get_uint(&reader);
            if (asked == 1) (void)ilea_msgpack_get_str(&reader, 9);
            if (asked == 2) (void)ilea_msgpack_get_bin(&reader, 9);
            if (asked == 3) (void)ilea_msgpack_get_array(&reader, 9);
            assert_int_equal(reader.failed, asked != right);
        }
    }
    ilea_msgpack_reader_init(&reader, (struct ilea_span){ bytes, sizeof bytes });
    assert_int_equal(ilea_msgpack_get_array(&reader, 9), 0);
    const uint8_t *next = reader.next;
    uint8_t copied[4] = { 9, 9, 9, 9 };
    assert_int_equal(ilea_msgpack_get_uint(&reader), 0);
    assert_int_equal(ilea_msgpack_get_uint32(&reader, 9), 0);
    assert_int_equal(ilea_msgpack_get_array(&reader, 9), 0);
    ilea_msgpack_expect_array(&reader, 0);
    ilea_msgpack_get_bytes(&reader, copied, sizeof copied);
    assert_memory_equal(copied, "\0\0\0\0", sizeof copied);
    assert_null(ilea_msgpack_get_bin(&reader, 9).data);
    assert_null(ilea_msgpack_get_str(&reader, 9).data);
    assert_null(ilea_msgpack_get_value(&reader, 9, 3).data);
    assert_ptr_equal(reader.next, next);
    assert_true(reader.failed);
    assert_false(ilea_msgpack_reader_done(&reader));
}

static void
test_reader_limits(void **state)
{
    (void)state;
    uint8_t *bytes = calloc(1, 70000);
    assert_non_null(bytes);
    for (size_t size = 65534; size <= 65537; size++) {
        struct ilea_msgpack_writer writer;
        struct ilea_msgpack_reader reader;
        uint8_t *text = malloc(size);
        assert_non_null(text);
        memset(text, 'x', size);
        for (int is_text = 0; is_text <= 1; is_text++) {
            ilea_msgpack_writer_init(&writer, bytes, 70000);
            if (is_text) ilea_msgpack_put_str(&writer, (struct ilea_span){ text, size });
            if (!is_text) ilea_msgpack_put_bin(&writer, text, size);
            assert_false(writer.failed);
            for (uint32_t limit = 65534; limit <= 65537; limit++) {
                ilea_msgpack_reader_init(&reader, ilea_msgpack_written(&writer));
                struct ilea_span got = is_text ? ilea_msgpack_get_str(&reader, limit)
                                               : ilea_msgpack_get_bin(&reader, limit);
                assert_int_equal(ilea_msgpack_reader_done(&reader), size <= limit);
                assert_int_equal(got.size, size <= limit ? size : 0);
            }
            ilea_msgpack_reader_init(&reader, ilea_msgpack_written(&writer));
            (void)ilea_msgpack_get_value(&reader, (uint32_t)writer.size - 1, 0);
            assert_true(reader.failed);
            ilea_msgpack_reader_init(&reader, ilea_msgpack_written(&writer));
            (void)ilea_msgpack_get_value(&reader, (uint32_t)writer.size, 0);
            assert_true(ilea_msgpack_reader_done(&reader));
        }
        /* An array of so many zeros. */
        ilea_msgpack_writer_init(&writer, bytes, 70000);
        ilea_msgpack_put_array(&writer, (uint32_t)size);
        memset(bytes + writer.size, 0, size);
        struct ilea_span array = { bytes, writer.size + size };
        for (uint32_t limit = 65534; limit <= 65537; limit++) {
            ilea_msgpack_reader_init(&reader, array);
            assert_int_equal(ilea_msgpack_get_array(&reader, limit), size <= limit ? size : 0);
            assert_int_equal(reader.failed, size > limit);
        }
        ilea_msgpack_reader_init(&reader, (struct ilea_span){ bytes, writer.size + size - 1 });
        assert_int_equal(ilea_msgpack_get_array(&reader, UINT32_MAX), 0);
        assert_int_equal(decode_value(array), ILEA_ERROR_NONE);
        free(text);
    }
    free(bytes);

    static const uint32_t values[] = { 0, 1, 127, 128, 255, 256, 65535, 65536, UINT32_MAX };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t encoded[9];
        struct ilea_msgpack_writer writer;
        struct ilea_msgpack_reader reader;
        ilea_msgpack_writer_init(&writer, encoded, sizeof encoded);
        ilea_msgpack_put_uint(&writer, values[i]);
        ilea_msgpack_reader_init(&reader, ilea_msgpack_written(&writer));
        assert_int_equal(ilea_msgpack_get_uint32(&reader, values[i]), values[i]);
        assert_true(ilea_msgpack_reader_done(&reader));
        if (values[i] == 0) continue;
        ilea_msgpack_reader_init(&reader, ilea_msgpack_written(&writer));
        assert_int_equal(ilea_msgpack_get_uint32(&reader, values[i] - 1), 0);
        assert_true(reader.failed);
    }
}

static void
test_reader_depth(void **state)
{
    (void)state;
    uint8_t bytes[64];
    for (uint32_t depth = 0; depth < 40; depth++) {
        memset(bytes, 0x91, depth);
        bytes[depth] = 0x05;
        for (uint32_t limit = 0; limit < 40; limit++) {
            struct ilea_msgpack_reader reader;
            ilea_msgpack_reader_init(&reader, (struct ilea_span){ bytes, depth + 1 });
            struct ilea_span value = ilea_msgpack_get_value(&reader, sizeof bytes, limit);
            bool fits = depth <= limit && depth <= 7; /* more than 7 is never allowed */
            assert_int_equal(ilea_msgpack_reader_done(&reader), fits);
            assert_int_equal(value.size, fits ? depth + 1 : 0);
        }
    }
}

/* The rule told slowly, by code points (RFC 3629), to compare with. */
static bool
is_valid_slowly(const uint8_t *text, size_t size)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    for (size_t at = 0; at < size;) {
        uint8_t lead = text[at];
        size_t length = lead < 0x80 ? 1 : (lead & 0xe0) == 0xc0 ? 2 : (lead & 0xf0) == 0xe0 ? 3
                      : (lead & 0xf8) == 0xf0 ? 4 : 0;
        if (length == 0 || length > size - at) return false;
        uint32_t point = length == 1 ? lead : lead & (0xffu >> (length + 1));
        for (size_t i = 1; i < length; i++) {
            if ((text[at + i] & 0xc0) != 0x80) return false;
            point = point << 6 | (text[at + i] & 0x3f);
        }
        if (point < least[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ||
            (point < 0x20 && point != '\t' && point != '\n') || (point >= 0x7f && point <= 0x9f)) {
            return false;
        }
        at += length;
    }
    return true;
}

static void
check_text(const uint8_t *text, size_t size)
{
    uint8_t *copy = ilea_exact_copy(text, size);
    bool is_valid = ilea_text_is_valid((struct ilea_span){ copy, size });
    free(copy);
    assert_int_equal(is_valid, is_valid_slowly(text, size));
}

/* Goal: the eight bytes at a time of the fast path hide nothing, wherever it stands. */
static void
test_text_at_all_offsets(void **state)
{
    (void)state;
    uint8_t text[32];
    for (uint32_t pair = 0; pair < 0x10000; pair++) {
        memset(text, 'a', sizeof text);
        for (size_t at = 0; at < 10; at++) {
            text[at] = (uint8_t)(pair >> 8);
            text[at + 1] = (uint8_t)pair;
            check_text(text, 11 + at % 3 * 3);
            text[at] = 'a';
        }
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 24; at++) {
            for (size_t size = at + 1; size <= 24; size++) {
                memset(text, byte % 2 == 0 ? 0x20 : 0x7e, sizeof text);
                text[at] = (uint8_t)byte;
                check_text(text, size);
            }
        }
    }
    assert_true(ilea_text_is_valid((struct ilea_span){ NULL, 0 }));
}

/* Goal: all leads with the continuations next to every border, and random text of all lengths. */
static void
test_text_against_the_slow_rule(void **state)
{
    (void)state;
    static const uint8_t borders[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
                                      0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    const size_t count = sizeof borders;
    for (unsigned lead = 0xc0; lead < 256; lead++) {
        for (size_t i = 0; i < count * count * count; i++) {
            uint8_t text[4] = { (uint8_t)lead, borders[i % count], borders[i / count % count],
                                borders[i / count / count] };
            for (size_t size = 1; size <= 4; size++) check_text(text, size);
        }
    }
    uint64_t seed = 20240731;
    for (unsigned round = 0; round < 20000; round++) {
        static const char *const pieces[] = {"a",
                                             "~",
                                             " ",
                                             "\n",
                                             "\t",
                                             "\xc3\xa9",
                                             "\xe2\x82\xac",
                                             "\xed\x9f\xbf",
                                             "\xf0\x9f\x9c\x82",
                                             "12345678",
                                             "\x7f",
                                             "\xc2\x85",
                                             "\xe2\x82",
                                             "\xed\xa0\x80",
                                             "\x01"};
        uint8_t text[128];
        size_t size = 0;
        uint64_t kinds = round % 2 == 0 ? 10 : sizeof pieces / sizeof pieces[0];
        for (uint64_t left = draw(&seed) % 12; left > 0; left--) {
            const char *piece = pieces[draw(&seed) % kinds];
            memcpy(text + size, piece, strlen(piece));
            size += strlen(piece);
        }
        check_text(text, size);
    }
}

static void
put_random(struct ilea_msgpack_writer *writer, uint64_t *seed, unsigned depth)
{
    static const uint8_t filler[300] = { 'f' };
    static uint8_t letters[300];
    memset(letters, 'x', sizeof letters);
    switch (draw(seed) % (depth > 0 ? 5 : 3)) {
    case 0: ilea_msgpack_put_uint(writer, draw(seed) >> draw(seed) % 64); break;
    case 1:
        ilea_msgpack_put_bin(writer, filler, draw(seed) % (draw(seed) % 4 == 0 ? 300 : 20));
        break;
    case 2:
        ilea_msgpack_put_str(writer, (struct ilea_span){
            letters, draw(seed) % (draw(seed) % 4 == 0 ? 300 : 40) });
        break;
    default: {
        uint32_t count = (uint32_t)(draw(seed) % 20);
        ilea_msgpack_put_array(writer, count);
        for (uint32_t i = 0; i < count; i++) put_random(writer, seed, depth - 1);
    }
    }
}

/* Goal: what our writer makes we accept; mutated, we accept it only if msgpack-c reads the same. */
static void
test_reader_differential(void **state)
{
    (void)state;
    static uint8_t bytes[65536];
    uint64_t seed = 4242;
    size_t still_accepted = 0;
    for (unsigned round = 0; round < 3000; round++) {
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        put_random(&writer, &seed, ILEA_VALUE_DEPTH_MAX);
        if (writer.failed) continue;
        assert_int_equal(decode_copy(decode_value, bytes, writer.size), ILEA_ERROR_NONE);
        for (unsigned flip = 0; flip < 30; flip++) {
            size_t at = draw(&seed) % writer.size;
            uint8_t before = bytes[at];
            bytes[at] = (uint8_t)draw(&seed);
            if (decode_copy(decode_value, bytes, writer.size) == ILEA_ERROR_NONE) still_accepted++;
            bytes[at] = before;
        }
    }
    assert_true(still_accepted > 100);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_vectors),
        cmocka_unit_test(test_reader_all_short_inputs),
        cmocka_unit_test(test_reader_fails_once_and_stays_failed),
        cmocka_unit_test(test_reader_limits),
        cmocka_unit_test(test_reader_depth),
        cmocka_unit_test(test_text_at_all_offsets),
        cmocka_unit_test(test_text_against_the_slow_rule),
        cmocka_unit_test(test_reader_differential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
