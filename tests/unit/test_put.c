#include "replication/record/put.h"
#include "tests/support/codec.h"

static struct ilea_put put, found; /* large */

/* Whatever decodes encodes to the same bytes. */
static enum ilea_error
decode(struct ilea_span input)
{
    enum ilea_error error = ilea_put_decode(input, &found);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t *again = malloc(input.size);
    assert_non_null(again);
    size_t size = 0;
    assert_int_equal(ilea_put_encode(&found, again, input.size, &size), ILEA_ERROR_NONE);
    assert_int_equal(size, input.size);
    assert_memory_equal(again, input.data, size);
    free(again);
    check_msgpack_c_agrees(input);
    return ILEA_ERROR_NONE;
}

static const uint8_t key[] = { 0xa2, 'e', 'n' };
static const uint8_t value[] = { 0x92, 0x01, 0xc4, 1, 0 };
static const uint8_t no_value[] = { 0xc0 };

static void
set_sample(void)
{
    memset(&put, 0, sizeof put);
    put.mode = ILEA_PUT_UPSERT;
    put.scope = ILEA_SCOPE_AUDIENCE;
    memset(put.audience.bytes, 9, sizeof put.audience.bytes);
    put.type = 6;
    put.has_id = true;
    memset(put.id.bytes, 7, sizeof put.id.bytes);
    put.entry_count = 4;
    put.entries[0] = (struct ilea_put_entry){2, ILEA_PUT_SET, {NULL, 0}, {value, sizeof value}};
    put.entries[1] = (struct ilea_put_entry){ 5, ILEA_PUT_ONLY, { NULL, 0 }, { NULL, 0 } };
    put.entries[2] =
        (struct ilea_put_entry){5, ILEA_PUT_SET, {key, sizeof key}, {value, 1 + 1 + 3}};
    put.entries[3] =
        (struct ilea_put_entry){UINT32_MAX, ILEA_PUT_REMOVE, {key, sizeof key}, {NULL, 0}};
}

/* Encode what stands in `put` and decode it. */
static enum ilea_error
round_trip(void)
{
    static uint8_t bytes[1 << 20];
    size_t size = 0;
    assert_int_equal(ilea_put_encode(&put, bytes, sizeof bytes, &size), ILEA_ERROR_NONE);
    return decode_copy(decode, bytes, size);
}

static void
test_put_round_trip(void **state)
{
    (void)state;
    uint8_t bytes[256];
    size_t size = 0;
    set_sample();
    assert_int_equal(ilea_put_encode(&put, bytes, sizeof bytes, &size), ILEA_ERROR_NONE);
    assert_int_equal(ilea_put_decode((struct ilea_span){ bytes, size }, &put), ILEA_ERROR_NONE);
    assert_int_equal(put.mode, ILEA_PUT_UPSERT);
    assert_int_equal(put.scope, ILEA_SCOPE_AUDIENCE);
    assert_int_equal(put.audience.bytes[15], 9);
    assert_int_equal(put.type, 6);
    assert_true(put.has_id);
    assert_int_equal(put.id.bytes[15], 7);
    assert_int_equal(put.entry_count, 4);
    assert_int_equal(put.entries[3].field, UINT32_MAX);
    assert_int_equal(put.entries[3].action, ILEA_PUT_REMOVE);
    assert_int_equal(put.entries[2].key.size, sizeof key);
    assert_memory_equal(put.entries[2].key.data, key, sizeof key);
    assert_int_equal(put.entries[0].key.size, 0);

    assert_int_equal(decode_copy(decode, bytes, size), ILEA_ERROR_NONE);
    check_cuts(decode, bytes, size);
    check_mutations(decode, bytes, size, 1);

    set_sample();
    for (size_t capacity = 0; capacity < size; capacity++) {
        uint8_t *small = malloc(capacity > 0 ? capacity : 1);
        assert_non_null(small);
        size_t written = 99;
        assert_int_equal(ilea_put_encode(&put, small, capacity, &written), ILEA_ERROR_LIMIT);
        assert_int_equal(written, 99);
        free(small);
    }
}

/* Goal: who has no id may only create, and then has the id zeros. */
static void
test_put_without_id(void **state)
{
    (void)state;
    for (unsigned mode = ILEA_PUT_CREATE; mode <= ILEA_PUT_NARROW; mode++) {
        set_sample();
        put.mode = (enum ilea_put_mode)mode;
        assert_int_equal(round_trip(), ILEA_ERROR_NONE);
        assert_true(found.has_id);
        put.has_id = false;
        assert_int_equal(round_trip(),
                         mode == ILEA_PUT_CREATE ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED);
    }
    set_sample();
    put.mode = ILEA_PUT_CREATE;
    put.has_id = false;
    assert_int_equal(round_trip(), ILEA_ERROR_NONE);
    assert_false(found.has_id);
    static const uint8_t zeros[ILEA_RECORD_ID_SIZE];
    assert_memory_equal(found.id.bytes, zeros, sizeof zeros);
}

/* Set the sample, break one thing, and expect a refusal. */
#define CHECK_REFUSED(change)                              \
    do {                                                   \
        set_sample();                                      \
        change;                                            \
        assert_int_equal(round_trip(), ILEA_ERROR_MALFORMED); \
    } while (0)

static void
test_put_refuses(void **state)
{
    (void)state;
    static const uint8_t two_values[] = {1, 2}, wide[] = {0xcc, 1},
                         deep[] = {0x91, 0x91, 0x91, 0x91, 1};
    struct ilea_put_entry *entries = put.entries;
    CHECK_REFUSED(put.mode = (enum ilea_put_mode)0);
    CHECK_REFUSED(put.mode = (enum ilea_put_mode)(ILEA_PUT_NARROW + 1));
    CHECK_REFUSED(put.scope = 4);
    CHECK_REFUSED(put.type = 0);
    CHECK_REFUSED(entries[0].field = 0);
    CHECK_REFUSED(entries[0].action = (enum ilea_put_action)0);
    CHECK_REFUSED(entries[0].action = (enum ilea_put_action)4);
    CHECK_REFUSED(entries[0].value.size = 0);                            /* SET nothing */
    CHECK_REFUSED(entries[0].action = ILEA_PUT_REMOVE);                  /* with a value */
    CHECK_REFUSED(entries[0].action = ILEA_PUT_ONLY);
    CHECK_REFUSED(entries[3].action = ILEA_PUT_ONLY);                    /* with a key */
    CHECK_REFUSED((entries[0].value = (struct ilea_span){ two_values, 2 }));
    CHECK_REFUSED((entries[0].value = (struct ilea_span){ wide, 2 }));
    CHECK_REFUSED((entries[0].value = (struct ilea_span){ deep, 5 }));
    CHECK_REFUSED((entries[0].value = (struct ilea_span){ no_value, 1 }));
    CHECK_REFUSED((entries[3].key = (struct ilea_span){ no_value, 1 }));
    CHECK_REFUSED(entries[3].key.size = 2);

    static const struct { const char *name; uint8_t bytes[16]; size_t size; } cases[] = {
        { "version 2", { 0x97, 2, 1, 0, 0xc4, 0, 6, 0xc4, 0, 0x90 }, 10 },
        { "8 fields", { 0x98, 1, 1, 0, 0xc4, 0, 6, 0xc4, 0, 0x90, 0 }, 11 },
        { "id of 1 byte", { 0x97, 1, 1, 0, 0xc4, 0, 6, 0xc4, 1, 0, 0x90 }, 11 },
        { "4294967295 entries", { 0x97, 1, 1, 0, 0xc4, 0, 6, 0xc4, 0, 0xdd, 0xff, 0xff, 0xff, 0xff }, 14 },
        { "entry of 3", { 0x97, 1, 1, 0, 0xc4, 0, 6, 0xc4, 0, 0x91, 0x93, 2, 3, 0xc4, 0 }, 15 },
        { "scope not shortest", { 0x97, 1, 1, 0xcc, 0, 0xc4, 0, 6, 0xc4, 0, 0x90 }, 11 },
        { "an audience of no scope", { 0x97, 1, 1, 0, 0xc4, 1, 0, 6, 0xc4, 0, 0x90 }, 11 },
        { "no audience", { 0x97, 1, 1, 3, 0xc4, 0, 6, 0xc4, 0, 0x90 }, 10 },
    };
    static const uint8_t good[] = { 0x97, 1, 1, 0, 0xc4, 0, 6, 0xc4, 0, 0x90 };
    assert_int_equal(decode_copy(decode, good, sizeof good), ILEA_ERROR_NONE);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (decode_copy(decode, cases[i].bytes, cases[i].size) != ILEA_ERROR_MALFORMED) {
            fail_msg("%s", cases[i].name);
        }
    }
}

static void
test_put_limits(void **state)
{
    (void)state;
    static uint8_t large[ILEA_VALUE_SIZE_MAX + 16], filler[ILEA_VALUE_SIZE_MAX];
    set_sample();
    for (uint32_t i = 0; i < ILEA_PUT_ENTRIES_MAX; i++) put.entries[i] = put.entries[0];
    put.entry_count = ILEA_PUT_ENTRIES_MAX;
    assert_int_equal(round_trip(), ILEA_ERROR_NONE);

    /* One more than the struct has room for, by hand. */
    size_t capacity = 8 + 3 + 8 * (ILEA_PUT_ENTRIES_MAX + 1);
    uint8_t *bytes = malloc(capacity);
    assert_non_null(bytes);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    static const uint8_t start[] = { 0x96, 1, 1, 0, 6, 0xc4, 0 };
    static const uint8_t entry[] = { 0x94, 5, 3, 0xc4, 0, 0xc4, 0 };
    ilea_msgpack_put_raw(&writer, (struct ilea_span){ start, sizeof start });
    ilea_msgpack_put_array(&writer, ILEA_PUT_ENTRIES_MAX + 1);
    for (uint32_t i = 0; i <= ILEA_PUT_ENTRIES_MAX; i++) {
        ilea_msgpack_put_raw(&writer, (struct ilea_span){ entry, sizeof entry });
    }
    assert_false(writer.failed);
    assert_int_equal(decode_copy(decode, bytes, writer.size), ILEA_ERROR_MALFORMED);
    free(bytes);

    for (uint32_t more = 0; more < 3; more++) {
        enum ilea_error expected = more < 2 ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
        ilea_msgpack_writer_init(&writer, large, sizeof large);
        ilea_msgpack_put_bin(&writer, filler, ILEA_VALUE_SIZE_MAX - 5 - 1 + more);
        set_sample();
        put.entries[0].value = ilea_msgpack_written(&writer);
        assert_int_equal(round_trip(), expected);
        ilea_msgpack_writer_init(&writer, large, sizeof large);
        ilea_msgpack_put_bin(&writer, filler, ILEA_KEY_SIZE_MAX - 3 - 1 + more);
        set_sample();
        put.entries[3].key = ilea_msgpack_written(&writer);
        assert_int_equal(round_trip(), expected);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_round_trip),
        cmocka_unit_test(test_put_without_id),
        cmocka_unit_test(test_put_refuses),
        cmocka_unit_test(test_put_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
