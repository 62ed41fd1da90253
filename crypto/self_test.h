/*
 * self_test.h - known answers that this process's libsodium must give before it
 * is trusted with anything. Internal to crypto/; ilea_crypto_init() asks.
 */
#ifndef ILEA_CRYPTO_SELF_TEST_H
#define ILEA_CRYPTO_SELF_TEST_H

#include "include/ilea/error.h"

/* After sodium_init(). About a millisecond. */
ILEA_MUST_USE bool ilea_self_test_passes(void);

#endif
