/*
 * seal.h - X25519 keys of two kinds: reading keys, to which epoch keys are
 * sealed, and transport keys, which CURVE uses. Never one for the other.
 *
 * Threads: secrets may be used by several threads at once.
 * Source: libsodium crypto_box_seal (X25519, XSalsa20-Poly1305, ephemeral sender).
 */
#ifndef ILEA_CRYPTO_SEAL_H
#define ILEA_CRYPTO_SEAL_H

#include "include/ilea/error.h"
#include "include/ilea/span.h"

enum { ILEA_BOX_PUBLIC_SIZE = 32, ILEA_BOX_SECRET_SIZE = 32, ILEA_SEAL_OVERHEAD = 48 };

struct ilea_reading_public { uint8_t bytes[ILEA_BOX_PUBLIC_SIZE]; };
struct ilea_transport_public { uint8_t bytes[ILEA_BOX_PUBLIC_SIZE]; };

struct ilea_reading_secret;   /* opaque, guarded memory */
struct ilea_transport_secret; /* opaque, guarded memory */

/* As ilea_sign_generate(). */
ILEA_MUST_USE enum ilea_error
ilea_reading_generate(struct ilea_reading_secret **secret, struct ilea_reading_public *public_key);
ILEA_MUST_USE enum ilea_error
ilea_transport_generate(struct ilea_transport_secret **secret,
                        struct ilea_transport_public *public_key);
void ilea_reading_secret_free(struct ilea_reading_secret *secret);
void ilea_transport_secret_free(struct ilea_transport_secret *secret);
void ilea_reading_secret_public(const struct ilea_reading_secret *secret,
                                struct ilea_reading_public *public_key);
void ilea_transport_secret_public(const struct ilea_transport_secret *secret,
                                  struct ilea_transport_public *public_key);

/* False for the few low-order points, to which anybody could open. */
ILEA_MUST_USE bool ilea_box_public_is_acceptable(const uint8_t public_key[ILEA_BOX_PUBLIC_SIZE]);

/*
 * Borrow the 32 secret bytes, until the secret is freed: the one way a transport
 * key leaves crypto/, because libzmq in ilea-link needs it. Wipe every copy.
 */
const uint8_t *ilea_transport_secret_bytes(const struct ilea_transport_secret *secret);

/* sealed must have message.size + ILEA_SEAL_OVERHEAD bytes. False: unusable public key. 80 us. */
ILEA_MUST_USE bool ilea_seal(const struct ilea_reading_public *to, struct ilea_span message,
                             uint8_t *sealed);
/* opened must have sealed.size - ILEA_SEAL_OVERHEAD bytes. False: not sealed to this key. 35 us. */
ILEA_MUST_USE bool ilea_unseal(const struct ilea_reading_secret *secret, struct ilea_span sealed,
                               uint8_t *opened);

#endif
