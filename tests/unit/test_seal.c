#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "crypto/seal.h"
#include "tests/support/vectors.h"

enum { MESSAGE_SIZE = 40, SEALED_SIZE = MESSAGE_SIZE + ILEA_SEAL_OVERHEAD };

/* The low-order points of Curve25519 and what is equal to them modulo p (cr.yp.to/ecdh.html). */
static const uint8_t low_order[7][32] = {
    { 0 },
    { 1 },
    { 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa,
      0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd,
      0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00 },
    { 0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55,
      0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86,
      0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57 },
    { 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
    { 0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
    { 0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f }
};

static void
test_seal_refuses_low_order(void **state)
{
    (void)state;
    const uint8_t message[MESSAGE_SIZE] = { 0 };
    uint8_t sealed[SEALED_SIZE];
    for (size_t i = 0; i < sizeof low_order / sizeof low_order[0]; i++) {
        for (int top = 0; top < 2; top++) { /* X25519 ignores the top bit */
            struct ilea_reading_public key;
            memcpy(key.bytes, low_order[i], sizeof key.bytes);
            key.bytes[31] |= (uint8_t)(top << 7);
            assert_false(ilea_box_public_is_acceptable(key.bytes));
            assert_false(ilea_seal(&key, (struct ilea_span){ message, sizeof message }, sealed));
        }
    }
}

/* What is sealed opens with its key alone, whole alone, and each time looks different. */
static void
test_seal_round_trip(void **state)
{
    (void)state;
    struct ilea_reading_secret *ours = NULL, *others = NULL;
    struct ilea_reading_public our_public, other_public;
    uint8_t message[MESSAGE_SIZE], opened[MESSAGE_SIZE];
    uint8_t sealed[SEALED_SIZE], second[SEALED_SIZE];
    ilea_random_bytes(message, sizeof message);
    struct ilea_span span = { message, sizeof message };
    assert_int_equal(ilea_reading_generate(&ours, &our_public), ILEA_ERROR_NONE);
    assert_int_equal(ilea_reading_generate(&others, &other_public), ILEA_ERROR_NONE);
    assert_true(ilea_box_public_is_acceptable(our_public.bytes));

    assert_true(ilea_seal(&our_public, span, sealed));
    assert_true(ilea_seal(&our_public, span, second));
    assert_memory_not_equal(sealed, second, sizeof sealed);
    assert_true(ilea_unseal(ours, (struct ilea_span){ sealed, sizeof sealed }, opened));
    assert_memory_equal(opened, message, sizeof message);
    assert_false(ilea_unseal(others, (struct ilea_span){ sealed, sizeof sealed }, opened));

    for (size_t cut = 0; cut < sizeof sealed; cut++) {
        uint8_t *exact = ilea_exact_copy(sealed, cut);
        assert_false(ilea_unseal(ours, (struct ilea_span){ exact, cut }, opened));
        free(exact);
    }
    for (size_t at = 0; at < sizeof sealed; at++) {
        sealed[at] ^= 1;
        assert_false(ilea_unseal(ours, (struct ilea_span){ sealed, sizeof sealed }, opened));
        sealed[at] ^= 1;
    }
    ilea_reading_secret_free(ours);
    ilea_reading_secret_free(others);
    ilea_reading_secret_free(NULL);
}

static void
test_transport_keys(void **state)
{
    (void)state;
    struct ilea_transport_secret *a = NULL, *b = NULL;
    struct ilea_transport_public a_public, b_public, again;
    assert_int_equal(ilea_transport_generate(&a, &a_public), ILEA_ERROR_NONE);
    assert_int_equal(ilea_transport_generate(&b, &b_public), ILEA_ERROR_NONE);
    assert_memory_not_equal(a_public.bytes, b_public.bytes, sizeof a_public.bytes);
    assert_memory_not_equal(ilea_transport_secret_bytes(a), ilea_transport_secret_bytes(b),
                            ILEA_BOX_SECRET_SIZE);
    ilea_transport_secret_public(a, &again);
    assert_memory_equal(again.bytes, a_public.bytes, sizeof again.bytes);
    assert_int_equal(ilea_transport_secret_bytes(a)[0] & 7, 0); /* clamped */
    ilea_transport_secret_free(a);
    ilea_transport_secret_free(b);
    ilea_transport_secret_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seal_refuses_low_order),
        cmocka_unit_test(test_seal_round_trip),
        cmocka_unit_test(test_transport_keys),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
