#include <sodium.h>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "crypto/seal.h"
#include "crypto/self_test.h"
#include "crypto/sign.h"

/* Computed with another implementation (Python's hashlib). */
static bool
hash_is_right(void)
{
    static const uint8_t expected[ILEA_HASH_SIZE] = {
        0xb7, 0x6e, 0xeb, 0x8a, 0xe2, 0x1c, 0x5c, 0xf8, 0x58, 0x4f, 0xaf, 0xb6, 0x1c, 0xa2,
        0xf1, 0xe5, 0x51, 0x81, 0x66, 0xbd, 0xd4, 0xd4, 0x79, 0xa5, 0x0c, 0x58, 0x69, 0x6b,
        0x27, 0x65, 0x3e, 0xa5
    };
    uint8_t hash[ILEA_HASH_SIZE];
    ilea_hash_once(ILEA_DOMAIN_NETWORK, "abc", 3, hash);
    return ilea_equal_secret(hash, expected, sizeof hash);
}

/* RFC 8032 section 7.1, test 3; and that damage is noticed. */
static bool
signature_is_right(void)
{
    static const uint8_t seed[ILEA_SEED_SIZE] = {
        0xc5, 0xaa, 0x8d, 0xf4, 0x3f, 0x9f, 0x83, 0x7b, 0xed, 0xb7, 0x44, 0x2f, 0x31, 0xdc,
        0xb7, 0xb1, 0x66, 0xd3, 0x85, 0x35, 0x07, 0x6f, 0x09, 0x4b, 0x85, 0xce, 0x3a, 0x2e,
        0x0b, 0x44, 0x58, 0xf7
    };
    static const uint8_t message[2] = { 0xaf, 0x82 };
    static const uint8_t expected[ILEA_SIGNATURE_SIZE] = {
        0x62, 0x91, 0xd6, 0x57, 0xde, 0xec, 0x24, 0x02, 0x48, 0x27, 0xe6, 0x9c, 0x3a, 0xbe,
        0x01, 0xa3, 0x0c, 0xe5, 0x48, 0xa2, 0x84, 0x74, 0x3a, 0x44, 0x5e, 0x36, 0x80, 0xd7,
        0xdb, 0x5a, 0xc3, 0xac, 0x18, 0xff, 0x9b, 0x53, 0x8d, 0x16, 0xf2, 0x90, 0xae, 0x67,
        0xf7, 0x60, 0x98, 0x4d, 0xc6, 0x59, 0x4a, 0x7c, 0x15, 0xe9, 0x71, 0x6e, 0xd2, 0x8d,
        0xc0, 0x27, 0xbe, 0xce, 0xea, 0x1e, 0xc4, 0x0a
    };
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    uint8_t public_key[ILEA_SIGN_PUBLIC_SIZE];
    uint8_t signature[ILEA_SIGNATURE_SIZE];

    if (crypto_sign_seed_keypair(public_key, secret, seed) != 0) return false;
    if (crypto_sign_detached(signature, NULL, message, sizeof message, secret) != 0) return false;
    if (!ilea_equal_secret(signature, expected, sizeof signature)) return false;
    if (crypto_sign_verify_detached(signature, message, 2, public_key) != 0) return false;
    signature[40] ^= 1;
    return crypto_sign_verify_detached(signature, message, 2, public_key) != 0;
}

/*
 * The base point is in the main subgroup; its sum with the point of order 2 is
 * not, which releases before Debian's 1.0.18-1+deb12u1 overlook (CVE-2025-69277).
 */
static bool
point_check_is_right(void)
{
    static const uint8_t base[ILEA_SIGN_PUBLIC_SIZE] = {
        0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
        0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
        0x66, 0x66, 0x66, 0x66
    };
    static const uint8_t mixed[ILEA_SIGN_PUBLIC_SIZE] = {
        0x95, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99,
        0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99,
        0x99, 0x99, 0x99, 0x99
    };
    return crypto_core_ed25519_is_valid_point(base) == 1
           && crypto_core_ed25519_is_valid_point(mixed) == 0;
}

/* draft-irtf-cfrg-xchacha section A.3.1: the tag covers the ciphertext, so it stands for both. */
static bool
aead_is_right(void)
{
    static const char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
                               "only one tip for the future, sunscreen would be it.";
    static const uint8_t data[12] = { 0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1,
                                      0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7 };
    static const uint8_t tag[16] = { 0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79,
                                     0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a, 0xcf, 0x49 };
    enum { TEXT_SIZE = sizeof text - 1 };
    uint8_t key[32];
    uint8_t nonce[24];
    uint8_t sealed[TEXT_SIZE + sizeof tag];
    uint8_t opened[TEXT_SIZE];
    for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)(0x80 + i);
    for (size_t i = 0; i < sizeof nonce; i++) nonce[i] = (uint8_t)(0x40 + i);

    if (crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, (const uint8_t *)text, TEXT_SIZE,
                                                   data, sizeof data, NULL, nonce, key) != 0) {
        return false;
    }
    if (!ilea_equal_secret(sealed + TEXT_SIZE, tag, sizeof tag)) return false;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(opened, NULL, NULL, sealed, sizeof sealed, data,
                                                   sizeof data, nonce, key) != 0
        || !ilea_equal_secret(opened, text, TEXT_SIZE)) {
        return false;
    }
    sealed[0] ^= 1;
    return crypto_aead_xchacha20poly1305_ietf_decrypt(opened, NULL, NULL, sealed, sizeof sealed,
                                                      data, sizeof data, nonce, key) != 0;
}

/* RFC 7748 section 5.2, one iteration; then a sealed box, a round trip as it is random. */
static bool
seal_is_right(void)
{
    static const uint8_t secret[ILEA_BOX_SECRET_SIZE] = { 9 };
    static const uint8_t expected[ILEA_BOX_PUBLIC_SIZE] = {
        0x42, 0x2c, 0x8e, 0x7a, 0x62, 0x27, 0xd7, 0xbc, 0xa1, 0x35, 0x0b, 0x3e, 0x2b, 0xb7,
        0x27, 0x9f, 0x78, 0x97, 0xb8, 0x7b, 0xb6, 0x85, 0x4b, 0x78, 0x3c, 0x60, 0xe8, 0x03,
        0x11, 0xae, 0x30, 0x79
    };
    static const uint8_t message[5] = { 's', 'e', 'a', 'l', 0 };
    uint8_t public_key[ILEA_BOX_PUBLIC_SIZE];
    uint8_t sealed[sizeof message + ILEA_SEAL_OVERHEAD];
    uint8_t opened[sizeof message];

    if (crypto_scalarmult_base(public_key, secret) != 0) return false;
    if (!ilea_equal_secret(public_key, expected, sizeof public_key)) return false;
    if (crypto_box_seal(sealed, message, sizeof message, public_key) != 0) return false;
    if (crypto_box_seal_open(opened, sealed, sizeof sealed, public_key, secret) != 0
        || !ilea_equal_secret(opened, message, sizeof message)) {
        return false;
    }
    sealed[sizeof sealed - 1] ^= 1;
    return crypto_box_seal_open(opened, sealed, sizeof sealed, public_key, secret) != 0;
}

bool
ilea_self_test_passes(void)
{
    return hash_is_right() && signature_is_right() && point_check_is_right() && aead_is_right()
           && seal_is_right();
}
