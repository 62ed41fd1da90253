#include <sodium.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "crypto/sign.h"

enum {
    MESSAGE_SIZE_MAX = 64 * 1024,
    PREFIX_SIZE_MAX = 1 + 63 + ILEA_ID_SIZE /* length byte, domain text, network */
};

_Static_assert(ILEA_SIGN_PUBLIC_SIZE == crypto_sign_PUBLICKEYBYTES, "public key size");
_Static_assert(ILEA_SIGNATURE_SIZE == crypto_sign_BYTES, "signature size");
_Static_assert(ILEA_SEED_SIZE == crypto_sign_SEEDBYTES, "seed size");
_Static_assert(sizeof(struct ilea_sign_secret) == crypto_sign_SECRETKEYBYTES, "secret key size");

/* What is signed. Of the large buffer, a small message touches the start only. Returns the size. */
static size_t
put_signed_bytes(uint8_t bytes[static PREFIX_SIZE_MAX + MESSAGE_SIZE_MAX], enum ilea_domain domain,
                 const struct ilea_network_id *network, struct ilea_span message)
{
    struct ilea_span text = ilea_domain_text(domain);
    size_t size = 0;

    bytes[size++] = (uint8_t)text.size;
    memcpy(bytes + size, text.data, text.size);
    size += text.size;
    memcpy(bytes + size, network->bytes, sizeof network->bytes);
    size += sizeof network->bytes;
    if (message.size > 0) memcpy(bytes + size, message.data, message.size);
    return size + message.size;
}

enum ilea_error
ilea_sign_secret_new(const uint8_t seed[ILEA_SEED_SIZE], struct ilea_sign_secret **secret)
{
    struct ilea_sign_public public_key;
    struct ilea_sign_secret *fresh = ilea_secret_alloc(sizeof *fresh);
    if (fresh == NULL) return ILEA_ERROR_NO_MEMORY;

    int failed = crypto_sign_seed_keypair(public_key.bytes, fresh->bytes, seed);
    ilea_assert(failed == 0);
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
    ilea_wipe(seed, sizeof seed);
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
    memcpy(public_key->bytes, secret->bytes + ILEA_SEED_SIZE, ILEA_SIGN_PUBLIC_SIZE);
}

void
ilea_sign(const struct ilea_sign_secret *secret, enum ilea_domain domain,
          const struct ilea_network_id *network, struct ilea_span message,
          struct ilea_signature *signature)
{
    uint8_t bytes[PREFIX_SIZE_MAX + MESSAGE_SIZE_MAX];
    ilea_assert(message.size <= MESSAGE_SIZE_MAX);

    size_t size = put_signed_bytes(bytes, domain, network, message);
    int failed = crypto_sign_detached(signature->bytes, NULL, bytes, size, secret->bytes);
    ilea_assert(failed == 0);
}

/* a < b, both 32 bytes, least significant first. Of public values only: not constant time. */
static bool
is_below(const uint8_t a[32], const uint8_t b[32])
{
    for (int i = 31; i >= 0; i--) {
        if (a[i] != b[i]) return a[i] < b[i];
    }
    return false;
}

/* S < L (RFC 8032 section 5.1.7), else S + L would be a second signature of the same message. */
static bool
scalar_is_canonical(const uint8_t scalar[32])
{
    static const uint8_t order[32] = {
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2,
        0xde, 0xf9, 0xde, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10
    };
    return is_below(scalar, order);
}

/*
 * y < p, and not one of the eight points of order 1, 2, 4 or 8. Those are five y
 * with either sign of x; the two "negative zero" encodings of x = 0 are among them.
 */
static bool
point_is_canonical_and_large(const uint8_t point[32])
{
    static const uint8_t prime[32] = {
        0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f
    };
    static const uint8_t small[5][32] = {
        { 0 },
        { 1 },
        { 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
        { 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89,
          0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39,
          0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 },
        { 0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76,
          0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6,
          0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a }
    };
    uint8_t y[32];
    memcpy(y, point, sizeof y);
    y[31] &= 0x7f; /* the top bit is the sign of x */

    if (!is_below(y, prime)) return false;
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
        if (!is_below(y, small[i]) && !is_below(small[i], y)) return false;
    }
    return true;
}

bool
ilea_sign_verify(const struct ilea_sign_public *public_key, enum ilea_domain domain,
                 const struct ilea_network_id *network, struct ilea_span message,
                 const struct ilea_signature *signature)
{
    uint8_t bytes[PREFIX_SIZE_MAX + MESSAGE_SIZE_MAX];

    if (message.size > MESSAGE_SIZE_MAX) return false;
    if (!point_is_canonical_and_large(signature->bytes)) return false; /* R */
    if (!scalar_is_canonical(signature->bytes + 32)) return false;     /* S */
    if (!point_is_canonical_and_large(public_key->bytes)) return false;

    /*
     * libsodium 1.0.18 (library version 10) recomputes R; later ones multiply by the
     * cofactor and so let a part of small order in R pass. All nodes must agree.
     */
    if (sodium_library_version_major() > 10
        && crypto_core_ed25519_is_valid_point(signature->bytes) != 1) {
        return false;
    }
    size_t size = put_signed_bytes(bytes, domain, network, message);
    return crypto_sign_verify_detached(signature->bytes, bytes, size, public_key->bytes) == 0;
}

bool
ilea_sign_public_is_acceptable(const struct ilea_sign_public *public_key)
{
    return point_is_canonical_and_large(public_key->bytes)
           && crypto_core_ed25519_is_valid_point(public_key->bytes) == 1;
}
