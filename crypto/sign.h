/*
 * sign.h - Ed25519 over (domain, network, message), with acceptance rules of our own.
 *
 * What is signed:  uint8 length of the domain text || domain text || network id || message
 * Accepted is a signature that libsodium's detached verify accepts AND whose S
 * is below the group order AND whose public key and R are canonical encodings of
 * points of large order (checked again here, so that acceptance is ours and not
 * a library version's). No cofactor, never batch-verified.
 *
 * Threads: a secret may be used by several threads at once. Source: RFC 8032.
 */
#ifndef ILEA_CRYPTO_SIGN_H
#define ILEA_CRYPTO_SIGN_H

#include "crypto/domain.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"

enum { ILEA_SIGN_PUBLIC_SIZE = 32, ILEA_SIGNATURE_SIZE = 64, ILEA_SEED_SIZE = 32 };

struct ilea_sign_public { uint8_t bytes[ILEA_SIGN_PUBLIC_SIZE]; };
struct ilea_signature { uint8_t bytes[ILEA_SIGNATURE_SIZE]; };

/* Opaque; lives in guarded memory and has no print, copy or compare function. */
struct ilea_sign_secret;

/*
 * New key pair from fresh randomness. Gives *secret; end it with ilea_sign_secret_free().
 *   ILEA_ERROR_NO_MEMORY  no (locked) memory; report it, do not go on
 */
ILEA_MUST_USE enum ilea_error
ilea_sign_generate(struct ilea_sign_secret **secret, struct ilea_sign_public *public_key);

void ilea_sign_secret_free(struct ilea_sign_secret *secret);

void ilea_sign_secret_public(const struct ilea_sign_secret *secret,
                             struct ilea_sign_public *public_key);

/* Message at most 64 KiB: sign hashes, not payloads. Cannot fail. */
void ilea_sign(const struct ilea_sign_secret *secret, enum ilea_domain domain,
               const struct ilea_network_id *network, struct ilea_span message,
               struct ilea_signature *signature);

/* True if accepted under the rules above. About 70 us. */
ILEA_MUST_USE bool
ilea_sign_verify(const struct ilea_sign_public *public_key, enum ilea_domain domain,
                 const struct ilea_network_id *network, struct ilea_span message,
                 const struct ilea_signature *signature);

/*
 * True if `public_key` may be enrolled: canonical, on the curve, in the main
 * subgroup, not of small order. Ask once, when a manifest is checked.
 */
ILEA_MUST_USE bool ilea_sign_public_is_acceptable(const struct ilea_sign_public *public_key);

#endif
