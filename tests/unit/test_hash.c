#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "tests/support/vectors.h"

static enum ilea_domain
domain_named(const char *text)
{
    for (unsigned i = 0; i < ILEA_DOMAIN_COUNT; i++) {
        struct ilea_span span = ilea_domain_text((enum ilea_domain)i);
        if (span.size == strlen(text) && memcmp(span.data, text, span.size) == 0) {
            return (enum ilea_domain)i;
        }
    }
    fail_msg("no domain %s", text);
    return ILEA_DOMAIN_COUNT;
}

/* Every vector, whole and cut in two at each place. */
static void
test_hash_vectors(void **state)
{
    (void)state;
    json_t *vectors = ilea_vectors_load("hash.jsonl");
    size_t index;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        size_t size, expected_size;
        uint8_t *message = ilea_vector_bytes(vector, "message", &size);
        uint8_t *expected = ilea_vector_bytes(vector, "hash", &expected_size);
        enum ilea_domain domain =
            domain_named(json_string_value(json_object_get(vector, "domain")));
        uint8_t hash[ILEA_HASH_SIZE];
        assert_int_equal(expected_size, ILEA_HASH_SIZE);

        ilea_hash_once(domain, message, size, hash);
        assert_memory_equal(hash, expected, ILEA_HASH_SIZE);
        for (size_t cut = 0; cut <= size; cut++) {
            struct ilea_hasher hasher;
            ilea_hash_begin(&hasher, domain);
            ilea_hash_add(&hasher, message, cut);
            ilea_hash_add(&hasher, message + cut, size - cut);
            ilea_hash_end(&hasher, hash);
            assert_memory_equal(hash, expected, ILEA_HASH_SIZE);
        }
        free(message);
        free(expected);
    }
    json_decref(vectors);
}

static void
test_hash_number(void **state)
{
    (void)state;
    json_t *vectors = ilea_vectors_load("hash.jsonl");
    size_t index, seen = 0;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        const char *number = json_string_value(json_object_get(vector, "u64"));
        if (number == NULL) continue;
        size_t size;
        uint8_t *expected = ilea_vector_bytes(vector, "hash", &size);
        uint8_t hash[ILEA_HASH_SIZE];
        struct ilea_hasher hasher;
        ilea_hash_begin(&hasher, ILEA_DOMAIN_LEAF);
        ilea_hash_add_u64(&hasher, strtoull(number, NULL, 16));
        ilea_hash_end(&hasher, hash);
        assert_memory_equal(hash, expected, ILEA_HASH_SIZE);
        free(expected);
        seen++;
    }
    assert_true(seen > 0);
    json_decref(vectors);
}

/* No text is another's or another's beginning, with the length byte that stands before it. */
static void
test_domains_are_distinct(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ILEA_DOMAIN_COUNT; i++) {
        struct ilea_span a = ilea_domain_text((enum ilea_domain)i);
        assert_in_range(a.size, 1, 63);
        for (unsigned k = 0; k < i; k++) {
            struct ilea_span b = ilea_domain_text((enum ilea_domain)k);
            assert_false(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
        }
    }
}

/* What comes and goes leaves nothing, in whatever order; borrows and carries run over all digits. */
static void
test_hash_sums(void **state)
{
    (void)state;
    uint8_t sum[ILEA_HASH_SIZE] = { 0 }, hashes[5][ILEA_HASH_SIZE];
    static const uint8_t none[ILEA_HASH_SIZE], one[ILEA_HASH_SIZE] = { [ILEA_HASH_SIZE - 1] = 1 };
    uint8_t most[ILEA_HASH_SIZE];
    memset(most, 0xff, sizeof most);
    ilea_hash_sum_subtract(sum, one);
    assert_memory_equal(sum, most, sizeof sum);
    ilea_hash_sum_add(sum, one);
    assert_memory_equal(sum, none, sizeof sum);
    for (unsigned i = 0; i < 5; i++) {
        ilea_hash_once(ILEA_DOMAIN_FRONTIER, &i, sizeof i, hashes[i]);
        ilea_hash_sum_add(sum, hashes[i]);
    }
    for (unsigned i = 5; i-- > 0;) ilea_hash_sum_subtract(sum, hashes[(i * 2) % 5]);
    assert_memory_equal(sum, none, sizeof sum);
}

static void
test_error_table(void **state)
{
    (void)state;
    assert_string_equal(ilea_error_text(ILEA_ERROR_NONE), "success");
    assert_string_equal(ilea_error_text(ILEA_ERROR_UNKNOWN),
                        "unknown version, suite or critical feature");
    assert_string_equal(ilea_error_text((enum ilea_error)9999), "unknown error");
    assert_true(ilea_error_is_peer_fault(ILEA_ERROR_BAD_HASH));
    assert_false(ilea_error_is_peer_fault(ILEA_ERROR_CORRUPT));
    assert_false(ilea_error_is_peer_fault((enum ilea_error)9999));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_vectors),
        cmocka_unit_test(test_hash_number),
        cmocka_unit_test(test_domains_are_distinct),
        cmocka_unit_test(test_hash_sums),
        cmocka_unit_test(test_error_table),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
