#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "tests/support/vectors.h"

static void
test_init_may_be_repeated(void **state)
{
    (void)state;
    assert_int_equal(ilea_crypto_init(), ILEA_ERROR_NONE);
    assert_int_equal(ilea_crypto_init(), ILEA_ERROR_NONE);
}

static void
test_random_fills_every_byte(void **state)
{
    (void)state;
    enum { SIZE = 48, ROUNDS = 64 };
    uint8_t seen[SIZE] = { 0 };
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t bytes[SIZE] = { 0 };
        ilea_random_bytes(bytes, sizeof bytes);
        for (size_t i = 0; i < sizeof bytes; i++) seen[i] |= bytes[i];
    }
    /* A byte that stayed zero 64 times: once in 2^512 by chance. */
    for (size_t i = 0; i < sizeof seen; i++) assert_int_not_equal(seen[i], 0);
    ilea_random_bytes(NULL, 0);
}

static void
test_wipe(void **state)
{
    (void)state;
    uint8_t bytes[5] = { 1, 2, 3, 4, 5 };
    const uint8_t expected[5] = { 0, 0, 0, 4, 5 };
    ilea_wipe(bytes, 3);
    assert_memory_equal(bytes, expected, sizeof bytes);
    ilea_wipe(NULL, 0);
}

static void
test_equal_secret(void **state)
{
    (void)state;
    uint8_t a[32];
    ilea_random_bytes(a, sizeof a);
    uint8_t *b = ilea_exact_copy(a, sizeof a);
    assert_true(ilea_equal_secret(a, b, sizeof a));
    for (size_t bit = 0; bit < 8 * sizeof a; bit++) {
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(ilea_equal_secret(a, b, sizeof a));
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(ilea_equal_secret(a, b, 0));
    free(b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_may_be_repeated),
        cmocka_unit_test(test_random_fills_every_byte),
        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_equal_secret),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
