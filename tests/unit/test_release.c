#include "crypto/hash.h"
#include "replication/record/release.h"
#include "tests/support/codec.h"

/* What is accepted is encoded again and gives the same bytes, whatever order the items come in; no room less is
 * enough. */
static enum ilea_error
decode(struct ilea_span input)
{
    static struct ilea_release_item items[ILEA_RELEASE_RECORDS_MAX];
    struct ilea_release release;
    enum ilea_error error = ilea_release_decode(input, &release);
    if (error != ILEA_ERROR_NONE) return error;
    check_msgpack_c_agrees(input);
    uint32_t count = release.count;
    struct ilea_release left = release;
    assert_true(count > 0 && count <= ILEA_RELEASE_RECORDS_MAX);
    for (uint32_t i = count; i > 0; i--) {
        assert_true(ilea_release_next(&left, &items[i - 1]));
        if (count < 10) assert_true(ilea_release_names(release, items[i - 1].type, &items[i - 1].record));
    }
    assert_false(ilea_release_next(&left, &items[0]));
    uint8_t *again = malloc(input.size);
    size_t size = 0;
    const struct ilea_audience_id *audience = release.scope == ILEA_SCOPE_AUDIENCE ? &release.audience : NULL;
    assert_non_null(again);
    assert_int_equal(ilea_release_encode(release.scope, audience, items, count, again,
                                         input.size, &size), ILEA_ERROR_NONE);
    assert_int_equal(size, input.size);
    assert_memory_equal(again, input.data, input.size);
    assert_int_equal(ilea_release_encode(release.scope, audience, items, count, again,
                                         input.size - 1, &size), ILEA_ERROR_LIMIT);
    free(again);
    return ILEA_ERROR_NONE;
}

/* For all peers. */
static enum ilea_error
encode(struct ilea_release_item *items, uint32_t count, uint8_t *bytes, size_t capacity, size_t *size)
{
    return ilea_release_encode(ILEA_SCOPE_PEERS, NULL, items, count, bytes, capacity, size);
}

static void
check_items(const json_t *vector, struct ilea_release release)
{
    const json_t *items = json_object_get(vector, "items");
    struct ilea_release_item item;
    assert_int_equal(json_array_size(items), release.count);
    for (size_t i = 0; ilea_release_next(&release, &item); i++) {
        const json_t *wanted = json_array_get(items, i);
        assert_int_equal(json_integer_value(json_array_get(wanted, 0)), item.type);
        check_hex(json_array_get(wanted, 1), item.record.bytes, sizeof item.record.bytes);
        assert_int_equal(json_integer_value(json_array_get(wanted, 2)), item.label);
        check_hex(json_array_get(wanted, 3), item.base, sizeof item.base);
        check_hex(json_array_get(wanted, 4), item.put.data, item.put.size);
    }
}

static void
test_vectors(void **state)
{
    json_t *vectors = ilea_vectors_load("release.jsonl");
    const json_t *vector;
    size_t i;
    (void)state;
    json_array_foreach(vectors, i, vector) {
        size_t size;
        if (strcmp(vector_text(vector, "check"), "base") == 0) {
            uint8_t base[ILEA_HASH_SIZE], *bytes = ilea_vector_bytes(vector, "state", &size);
            ilea_release_base((enum ilea_scope)vector_number(vector, "scope"), (struct ilea_span){ bytes, size }, base);
            check_vector_bytes(vector, "base", base, sizeof base);
            free(bytes);
            continue;
        }
        uint8_t *bytes = ilea_vector_bytes(vector, "release", &size);
        const struct ilea_span input = { bytes, size };
        enum ilea_error error = decode(input);
        expect_error(vector, error);
        if (error == ILEA_ERROR_NONE) {
            struct ilea_release release;
            assert_int_equal(ilea_release_decode(input, &release), ILEA_ERROR_NONE);
            assert_int_equal(release.scope, vector_number(vector, "scope"));
            check_vector_bytes(vector, "audience", release.audience.bytes, sizeof release.audience.bytes);
            check_vector_bytes(vector, "hash", release.hash, sizeof release.hash);
            check_items(vector, release);
            if (size < 2000) {
                check_cuts(decode, bytes, size);
                (void)check_mutations(decode, bytes, size, 7);
            }
        }
        free(bytes);
    }
    json_decref(vectors);
}

/* What decode would refuse is not made; limits from both sides. */
static void
test_limits(void **state)
{
    static struct ilea_release_item items[ILEA_RELEASE_RECORDS_MAX + 1];
    static uint8_t bytes[ILEA_RELEASE_SIZE_MAX + 1], put[ILEA_CHANGE_SIZE_MAX + 1];
    size_t size = 0;
    (void)state;
    assert_int_equal(encode(items, 0, bytes, sizeof bytes, &size), ILEA_ERROR_INVALID);
    for (uint32_t i = 0; i <= ILEA_RELEASE_RECORDS_MAX; i++) {
        items[i] = (struct ilea_release_item){ .type = 5, .label = 2, .record = { { (uint8_t)(i >> 8), (uint8_t)i } } };
    }
    assert_int_equal(encode(items, ILEA_RELEASE_RECORDS_MAX, bytes, sizeof bytes, &size), ILEA_ERROR_NONE);
    assert_int_equal(decode((struct ilea_span){ bytes, size }), ILEA_ERROR_NONE);
    assert_int_equal(encode(items, ILEA_RELEASE_RECORDS_MAX + 1, bytes, sizeof bytes, &size),
                     ILEA_ERROR_LIMIT);
    items[1].record = items[0].record;
    assert_int_equal(encode(items, 2, bytes, sizeof bytes, &size), ILEA_ERROR_INVALID);
    items[1].type = 6; /* of another type it is another record */
    assert_int_equal(encode(items, 2, bytes, sizeof bytes, &size), ILEA_ERROR_NONE);
    items[1].label = 6;
    assert_int_equal(encode(items, 2, bytes, sizeof bytes, &size), ILEA_ERROR_INVALID);
    items[1].label = 0;
    assert_int_equal(encode(items, 2, bytes, sizeof bytes, &size), ILEA_ERROR_INVALID);
    items[1].label = 2;
    items[1].put = (struct ilea_span){ put, ILEA_CHANGE_SIZE_MAX };
    assert_int_equal(encode(items, 2, bytes, sizeof bytes, &size), ILEA_ERROR_NONE);
    assert_int_equal(decode((struct ilea_span){ bytes, size }), ILEA_ERROR_NONE);
    items[0].put = (struct ilea_span){ put, 64 * 1024 };
    assert_int_equal(encode(items, 2, bytes, sizeof bytes, &size), ILEA_ERROR_LIMIT);
    static uint8_t large[ILEA_RELEASE_SIZE_MAX + 1];
    struct ilea_release release;
    memcpy(large, bytes, size);
    assert_int_equal(ilea_release_decode((struct ilea_span){ large, sizeof large }, &release), ILEA_ERROR_LIMIT);
    items[1].put.size++;
    assert_int_equal(encode(items + 1, 1, bytes, sizeof bytes, &size), ILEA_ERROR_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors), cmocka_unit_test(test_limits) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
