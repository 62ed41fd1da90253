/*
 * stub_sign.c - crypto/sign.c's functions over a hash keyed with the public key, linked in their
 * place so that thousands of seeds fit a minute. Anybody can forge such a signature; the
 * simulator's liars do not. Keys have the form of the real ones.
 */
#include <sodium.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "crypto/sign.h"

enum ilea_error
ilea_sign_secret_new(const uint8_t seed[ILEA_SEED_SIZE], struct ilea_sign_secret **secret)
{
    struct ilea_sign_secret *fresh = ilea_secret_alloc(sizeof *fresh);
    if (fresh == NULL) return ILEA_ERROR_NO_MEMORY;
    memcpy(fresh->bytes, seed, ILEA_SEED_SIZE);
    (void)crypto_generichash(fresh->bytes + ILEA_SEED_SIZE, ILEA_SIGN_PUBLIC_SIZE, seed,
                             ILEA_SEED_SIZE, NULL, 0);
    *secret = fresh;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_sign_generate(struct ilea_sign_secret **secret, struct ilea_sign_public *public_key)
{
    uint8_t seed[ILEA_SEED_SIZE];
    ilea_random_bytes(seed, sizeof seed);
    enum ilea_error error = ilea_sign_secret_new(seed, secret);
    if (error == ILEA_ERROR_NONE) ilea_sign_secret_public(*secret, public_key);
    return error;
}

void
ilea_sign_secret_free(struct ilea_sign_secret *secret)
{
    sodium_free(secret);
}

void
ilea_sign_secret_public(const struct ilea_sign_secret *secret, struct ilea_sign_public *public_key)
{
    memcpy(public_key->bytes, secret->bytes + ILEA_SEED_SIZE, sizeof public_key->bytes);
}

static void
compute(const uint8_t public_key[ILEA_SIGN_PUBLIC_SIZE], enum ilea_domain domain,
        const struct ilea_network_id *network, struct ilea_span message,
        uint8_t signature[ILEA_SIGNATURE_SIZE])
{
    struct ilea_span text = ilea_domain_text(domain);
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, public_key, ILEA_SIGN_PUBLIC_SIZE, ILEA_SIGNATURE_SIZE);
    (void)crypto_generichash_update(&state, text.data, text.size);
    (void)crypto_generichash_update(&state, network->bytes, sizeof network->bytes);
    (void)crypto_generichash_update(&state, message.data, message.size);
    (void)crypto_generichash_final(&state, signature, ILEA_SIGNATURE_SIZE);
}

void
ilea_sign(const struct ilea_sign_secret *secret, enum ilea_domain domain,
          const struct ilea_network_id *network, struct ilea_span message,
          struct ilea_signature *signature)
{
    compute(secret->bytes + ILEA_SEED_SIZE, domain, network, message, signature->bytes);
}

bool
ilea_sign_verify(const struct ilea_sign_public *public_key, enum ilea_domain domain,
                 const struct ilea_network_id *network, struct ilea_span message,
                 const struct ilea_signature *signature)
{
    uint8_t expected[ILEA_SIGNATURE_SIZE];
    compute(public_key->bytes, domain, network, message, expected);
    return ilea_equal_secret(expected, signature->bytes, sizeof expected);
}

bool
ilea_sign_public_is_acceptable(const struct ilea_sign_public *public_key)
{
    return !sodium_is_zero(public_key->bytes, sizeof public_key->bytes);
}
