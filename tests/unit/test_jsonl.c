#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "node/jsonl.h"
#include "tests/support/vectors.h"

static char path[] = "/tmp/ilea-test-jsonl-XXXXXX";

static int
setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    if (fd < 0) return -1;
    close(fd);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void
write_plain(const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void
write_gzip(const void *bytes, size_t size)
{
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    if (size > 0) assert_int_equal(gzwrite(file, bytes, (unsigned)size), (int)size);
    assert_int_equal(gzclose(file), Z_OK);
}

/* What reading gives: "number:text", "number!reason", one a line. */
static void
assert_lines(const char *expected)
{
    struct ilea_jsonl input;
    char reason[ILEA_REASON_SIZE] = "", seen[4096] = "";
    size_t size = 0;
    assert_int_equal(ilea_jsonl_open(&input, path, reason), ILEA_ERROR_NONE);
    for (;;) {
        struct ilea_span line;
        enum ilea_error error = ilea_jsonl_next(&input, &line, reason);
        if (error == ILEA_ERROR_NOT_FOUND) break;
        unsigned number = (unsigned)input.line_number;
        int written = error == ILEA_ERROR_NONE
            ? snprintf(seen + size, sizeof seen - size, "%u:%.*s\n", number, (int)line.size,
                       (const char *)line.data)
            : snprintf(seen + size, sizeof seen - size, "%u!%s\n", number, reason);
        size += (size_t)written;
        assert_true(size < sizeof seen);
    }
    struct ilea_span line;
    assert_int_equal(ilea_jsonl_next(&input, &line, reason), ILEA_ERROR_NOT_FOUND);
    ilea_jsonl_close(&input);
    assert_string_equal(seen, expected);
}

static void
test_jsonl_lines(void **state)
{
    (void)state;
    static const struct { const char *text, *lines; } cases[] = {
        { "", "" },
        { "\n", "" },
        { "a", "1:a\n" },
        { "a\n", "1:a\n" },
        { "a\nb", "1:a\n2:b\n" },
        { "a\r\n\r\n \t\nb\r\n", "1:a\n4:b\n" },
        { "\xef\xbb\xbf" "a\n\xef\xbb\xbf" "b\n", "1:a\n2:\xef\xbb\xbf" "b\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_plain(cases[i].text, strlen(cases[i].text));
        assert_lines(cases[i].lines);
        write_gzip(cases[i].text, strlen(cases[i].text));
        assert_lines(cases[i].lines);
    }
}

/* Lines around the limit, in the middle and at the end, and around the size of the buffer. */
static void
test_jsonl_long_lines(void **state)
{
    (void)state;
    static const size_t excess[] = { 0, 1, 2, 300000, 5000000 };
    for (size_t i = 0; i < sizeof excess / sizeof excess[0]; i++) {
        size_t size = ILEA_JSONL_LINE_MAX + excess[i];
        char *text = malloc(2 * size + 8);
        assert_non_null(text);
        memcpy(text, "a\n", 2);
        memset(text + 2, 'x', size);
        memcpy(text + 2 + size, "\nb\n", 3);
        memset(text + 5 + size, 'y', size);
        write_plain(text, 5 + 2 * size);
        struct ilea_jsonl input;
        char reason[ILEA_REASON_SIZE] = "";
        enum ilea_error expected = excess[i] == 0 ? ILEA_ERROR_NONE : ILEA_ERROR_LIMIT;
        static const char first[] = "axby";
        assert_int_equal(ilea_jsonl_open(&input, path, reason), ILEA_ERROR_NONE);
        for (size_t line_index = 0; line_index < 4; line_index++) {
            struct ilea_span line;
            enum ilea_error error = ilea_jsonl_next(&input, &line, reason);
            assert_int_equal(error, line_index % 2 == 0 ? ILEA_ERROR_NONE : expected);
            assert_int_equal(input.line_number, line_index + 1);
            if (error != ILEA_ERROR_NONE) continue;
            assert_int_equal(line.data[0], first[line_index]);
            assert_int_equal(line.size, line_index % 2 == 0 ? 1 : size);
        }
        struct ilea_span line;
        assert_int_equal(ilea_jsonl_next(&input, &line, reason), ILEA_ERROR_NOT_FOUND);
        ilea_jsonl_close(&input);
        free(text);
    }
}

/* A file that was cut off gives its whole lines, then one error, wherever it was cut. */
static void
test_jsonl_cut_gzip(void **state)
{
    (void)state;
    enum { LINES = 2000 };
    char *text = malloc(LINES * 16);
    assert_non_null(text);
    size_t size = 0;
    for (unsigned i = 1; i <= LINES; i++) {
        size += (size_t)snprintf(text + size, 16, "%u-%08x\n", i, i * 2654435761u);
    }
    write_gzip(text, size);
    FILE *file = fopen(path, "rb");
    uint8_t *packed = malloc(LINES * 16);
    assert_non_null(file);
    assert_non_null(packed);
    size_t packed_size = fread(packed, 1, LINES * 16, file);
    fclose(file);
    for (size_t cut = 20; cut < packed_size; cut += packed_size / 50) {
        write_plain(packed, cut);
        struct ilea_jsonl input;
        struct ilea_span line;
        char reason[ILEA_REASON_SIZE] = "";
        uint64_t whole = 0;
        enum ilea_error error;
        assert_int_equal(ilea_jsonl_open(&input, path, reason), ILEA_ERROR_NONE);
        while ((error = ilea_jsonl_next(&input, &line, reason)) == ILEA_ERROR_NONE) {
            assert_int_equal(input.line_number, ++whole);
            assert_true(line.size >= 10);
        }
        assert_int_equal(error, ILEA_ERROR_IO);
        assert_int_equal(input.line_number, whole + 1);
        assert_string_equal(reason, "the compressed data is cut off");
        assert_int_equal(ilea_jsonl_next(&input, &line, reason), ILEA_ERROR_NOT_FOUND);
        ilea_jsonl_close(&input);
    }
    packed[packed_size / 2] ^= 0x40; /* damaged: an error, and an end */
    write_plain(packed, packed_size);
    struct ilea_jsonl input;
    struct ilea_span line;
    char reason[ILEA_REASON_SIZE] = "";
    enum ilea_error error;
    assert_int_equal(ilea_jsonl_open(&input, path, reason), ILEA_ERROR_NONE);
    while ((error = ilea_jsonl_next(&input, &line, reason)) == ILEA_ERROR_NONE) continue;
    assert_int_equal(error, ILEA_ERROR_IO);
    ilea_jsonl_close(&input);
    free(packed);
    free(text);
}

static void
test_jsonl_objects(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":1}\n[1]\n\xff\n{\"a\":1,\"a\":2}\n"
                               "{\"a\":\"\xc3\"}\n{\"a\":\n{\"a\":\"\\u0000\"}\n{} x\n7\n{\"b\":2}";
    struct ilea_jsonl input;
    char reason[ILEA_REASON_SIZE] = "";
    write_plain(text, sizeof text - 1);
    assert_int_equal(ilea_jsonl_open(&input, path, reason), ILEA_ERROR_NONE);
    uint32_t good = 0, bad = 0;
    for (;;) {
        json_t *object = NULL;
        reason[0] = '\0';
        enum ilea_error error = ilea_jsonl_next_object(&input, &object, reason);
        if (error == ILEA_ERROR_NOT_FOUND) break;
        if (error == ILEA_ERROR_NONE) {
            good++;
            assert_true(input.line_number == 1 || input.line_number == 10);
            json_decref(object);
            continue;
        }
        bad++;
        assert_int_equal(error, ILEA_ERROR_INVALID);
        assert_true(strlen(reason) > 0);
    }
    assert_int_equal(good, 2);
    assert_int_equal(bad, 8);
    ilea_jsonl_close(&input);
}

static void
test_jsonl_open_errors(void **state)
{
    (void)state;
    struct ilea_jsonl input;
    char reason[ILEA_REASON_SIZE] = "";
    assert_int_equal(ilea_jsonl_open(&input, "/nowhere/at-all", reason), ILEA_ERROR_NOT_FOUND);
    assert_non_null(strstr(reason, "/nowhere/at-all"));
    ilea_jsonl_close(&input);
    assert_int_equal(ilea_jsonl_open(&input, "/tmp", reason), ILEA_ERROR_NOT_FOUND);
    assert_string_equal(reason, "/tmp is a folder");
    ilea_jsonl_close(&input);
}

static void
test_jsonl_standard_input(void **state)
{
    (void)state;
    int saved = dup(STDIN_FILENO);
    write_gzip("a\nb\n", 4);
    assert_non_null(freopen(path, "rb", stdin));
    struct ilea_jsonl input;
    struct ilea_span line;
    char reason[ILEA_REASON_SIZE] = "";
    assert_int_equal(ilea_jsonl_open(&input, "-", reason), ILEA_ERROR_NONE);
    assert_int_equal(ilea_jsonl_next(&input, &line, reason), ILEA_ERROR_NONE);
    assert_int_equal(ilea_jsonl_next(&input, &line, reason), ILEA_ERROR_NONE);
    assert_memory_equal(line.data, "b", 1);
    assert_int_equal(ilea_jsonl_next(&input, &line, reason), ILEA_ERROR_NOT_FOUND);
    ilea_jsonl_close(&input);
    assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO); /* and it was still open */
    close(saved);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jsonl_lines),
        cmocka_unit_test(test_jsonl_long_lines),
        cmocka_unit_test(test_jsonl_cut_gzip),
        cmocka_unit_test(test_jsonl_objects),
        cmocka_unit_test(test_jsonl_open_errors),
        cmocka_unit_test(test_jsonl_standard_input),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
