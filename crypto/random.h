/*
 * random.h - randomness and start-up. libsodium's generator; the simulator
 * replaces it with randombytes_set_implementation() before ilea_crypto_init().
 */
#ifndef ILEA_CRYPTO_RANDOM_H
#define ILEA_CRYPTO_RANDOM_H

#include "include/ilea/error.h"
#include "include/ilea/span.h"

/*
 * Call first, in every process; calling again is harmless. Runs known-answer
 * self-tests, among them the point check that Debian fixed in 1.0.18-1+deb12u1.
 *   ILEA_ERROR_VERSION  this libsodium fails a self-test: refuse to run
 */
ILEA_MUST_USE enum ilea_error ilea_crypto_init(void);

void ilea_random_bytes(void *bytes, size_t size);

/* Overwrite, in a way no optimiser removes. */
void ilea_wipe(void *bytes, size_t size);

/* Equal, in time that depends on `size` alone. */
ILEA_MUST_USE bool ilea_equal_secret(const void *a, const void *b, size_t size);

#endif
