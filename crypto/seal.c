#include <sodium.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "crypto/secret.h"

_Static_assert(ILEA_BOX_PUBLIC_SIZE == crypto_box_PUBLICKEYBYTES, "public key size");
_Static_assert(ILEA_BOX_SECRET_SIZE == crypto_box_SECRETKEYBYTES, "secret key size");
_Static_assert(ILEA_SEAL_OVERHEAD == crypto_box_SEALBYTES, "seal overhead");

void
ilea_box_secret_clamp(uint8_t bytes[ILEA_BOX_SECRET_SIZE])
{
    bytes[0] &= 248;
    bytes[31] = (uint8_t)((bytes[31] & 127) | 64);
}

/* Fill a fresh secret and its public key from `bytes`. */
static void
derive(const uint8_t bytes[ILEA_BOX_SECRET_SIZE], uint8_t secret[ILEA_BOX_SECRET_SIZE],
       uint8_t public_key[ILEA_BOX_PUBLIC_SIZE])
{
    memcpy(secret, bytes, ILEA_BOX_SECRET_SIZE);
    ilea_box_secret_clamp(secret);
    int failed = crypto_scalarmult_base(public_key, secret);
    ilea_assert(failed == 0);
}

enum ilea_error
ilea_reading_secret_new(const uint8_t bytes[ILEA_BOX_SECRET_SIZE],
                        struct ilea_reading_secret **secret)
{
    struct ilea_reading_secret *fresh = ilea_secret_alloc(sizeof *fresh);
    if (fresh == NULL) return ILEA_ERROR_NO_MEMORY;
    derive(bytes, fresh->bytes, fresh->public_key.bytes);
    *secret = fresh;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_transport_secret_new(const uint8_t bytes[ILEA_BOX_SECRET_SIZE],
                          struct ilea_transport_secret **secret)
{
    struct ilea_transport_secret *fresh = ilea_secret_alloc(sizeof *fresh);
    if (fresh == NULL) return ILEA_ERROR_NO_MEMORY;
    derive(bytes, fresh->bytes, fresh->public_key.bytes);
    *secret = fresh;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_reading_generate(struct ilea_reading_secret **secret, struct ilea_reading_public *public_key)
{
    uint8_t bytes[ILEA_BOX_SECRET_SIZE];
    ilea_random_bytes(bytes, sizeof bytes);
    enum ilea_error error = ilea_reading_secret_new(bytes, secret);
    if (error == ILEA_ERROR_NONE) ilea_reading_secret_public(*secret, public_key);
    ilea_wipe(bytes, sizeof bytes);
    return error;
}

enum ilea_error
ilea_transport_generate(struct ilea_transport_secret **secret,
                        struct ilea_transport_public *public_key)
{
    uint8_t bytes[ILEA_BOX_SECRET_SIZE];
    ilea_random_bytes(bytes, sizeof bytes);
    enum ilea_error error = ilea_transport_secret_new(bytes, secret);
    if (error == ILEA_ERROR_NONE) ilea_transport_secret_public(*secret, public_key);
    ilea_wipe(bytes, sizeof bytes);
    return error;
}

void
ilea_reading_secret_free(struct ilea_reading_secret *secret)
{
    sodium_free(secret);
}

void
ilea_transport_secret_free(struct ilea_transport_secret *secret)
{
    sodium_free(secret);
}

void
ilea_reading_secret_public(const struct ilea_reading_secret *secret,
                           struct ilea_reading_public *public_key)
{
    *public_key = secret->public_key;
}

void
ilea_transport_secret_public(const struct ilea_transport_secret *secret,
                             struct ilea_transport_public *public_key)
{
    *public_key = secret->public_key;
}

const uint8_t *
ilea_transport_secret_bytes(const struct ilea_transport_secret *secret)
{
    return secret->bytes;
}

/* A clamped scalar is a multiple of 8: low-order points give zero, which libsodium reports. */
bool
ilea_box_public_is_acceptable(const uint8_t public_key[ILEA_BOX_PUBLIC_SIZE])
{
    static const uint8_t scalar[ILEA_BOX_SECRET_SIZE] = { [0] = 8, [31] = 64 };
    uint8_t shared[ILEA_BOX_PUBLIC_SIZE];
    return crypto_scalarmult(shared, scalar, public_key) == 0;
}

bool
ilea_seal(const struct ilea_reading_public *to, struct ilea_span message, uint8_t *sealed)
{
    return crypto_box_seal(sealed, message.data, message.size, to->bytes) == 0;
}

bool
ilea_unseal(const struct ilea_reading_secret *secret, struct ilea_span sealed, uint8_t *opened)
{
    if (sealed.size < ILEA_SEAL_OVERHEAD) return false;
    return crypto_box_seal_open(opened, sealed.data, sealed.size, secret->public_key.bytes,
                                secret->bytes) == 0;
}
