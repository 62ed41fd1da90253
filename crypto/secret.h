/*
 * secret.h - what the files of this folder share about secrets, and nobody else includes.
 *
 * Secrets live in sodium_malloc() memory that is really locked; what must pass
 * over the stack is wiped at the one `out:` of its function.
 */
#ifndef ILEA_CRYPTO_SECRET_H
#define ILEA_CRYPTO_SECRET_H

#include <string.h>

#include "crypto/hash.h"
#include "crypto/seal.h"
#include "crypto/sign.h"
#include "include/ilea/error.h"

enum { ILEA_KEY_SIZE = 32 }; /* every symmetric key here: AEAD, keyed hash, Argon2id's result */

/* Byte arrays only: sodium_malloc() aligns to the end of a page, not to a type. */
struct ilea_sign_secret {
    uint8_t bytes[ILEA_SEED_SIZE + ILEA_SIGN_PUBLIC_SIZE]; /* seed, public key */
};
struct ilea_reading_secret {
    uint8_t bytes[ILEA_BOX_SECRET_SIZE]; /* clamped, see ilea_box_secret_clamp() */
    struct ilea_reading_public public_key;
};
struct ilea_transport_secret {
    uint8_t bytes[ILEA_BOX_SECRET_SIZE]; /* clamped */
    struct ilea_transport_public public_key;
};

/*
 * Guarded and locked memory, NULL if there is none. sodium_malloc() alone says
 * nothing when the lock limit is reached, and the secret might go to swap.
 * End it with sodium_free(), which wipes.
 */
void *ilea_secret_alloc(size_t size);

/* As ilea_sign_generate(), from given bytes, which are borrowed; the caller wipes them.
 *   ILEA_ERROR_NO_MEMORY */
ILEA_MUST_USE enum ilea_error
ilea_sign_secret_new(const uint8_t seed[ILEA_SEED_SIZE], struct ilea_sign_secret **secret);
ILEA_MUST_USE enum ilea_error
ilea_reading_secret_new(const uint8_t bytes[ILEA_BOX_SECRET_SIZE],
                        struct ilea_reading_secret **secret);
ILEA_MUST_USE enum ilea_error
ilea_transport_secret_new(const uint8_t bytes[ILEA_BOX_SECRET_SIZE],
                          struct ilea_transport_secret **secret);

/*
 * X25519 ignores five bits of a secret (RFC 7748 section 5). They are fixed
 * when a key is made, so that one key has one form and a file with another is damaged.
 */
void ilea_box_secret_clamp(uint8_t bytes[ILEA_BOX_SECRET_SIZE]);

/* As ilea_hash_begin(), keyed. The hasher then holds a secret: wipe it after the end. */
void ilea_hash_begin_keyed(struct ilea_hasher *hasher, enum ilea_domain domain,
                           const uint8_t key[ILEA_KEY_SIZE]);

/* A comparison in this folder is either of secrets or soon will be: ilea_equal_secret(). */
#pragma GCC poison memcmp

#endif
