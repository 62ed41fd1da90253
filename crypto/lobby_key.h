/*
 * lobby_key.h - the X25519 keys of the lobby: made for a few seconds, used for what strangers send in that
 * time and for the answer to one message, and forgotten. So what went over the line cannot be opened later,
 * by anybody, whatever else of ours is stolen.
 *
 * Threads: secrets may be used by several threads at once.
 * Source: libsodium crypto_box_seal (X25519, XSalsa20-Poly1305, ephemeral sender).
 */
#ifndef ILEA_CRYPTO_LOBBY_KEY_H
#define ILEA_CRYPTO_LOBBY_KEY_H

#include "crypto/seal.h"

struct ilea_lobby_public { uint8_t bytes[ILEA_BOX_PUBLIC_SIZE]; };

struct ilea_lobby_secret; /* opaque, guarded memory */

/* As ilea_sign_generate(). */
ILEA_MUST_USE enum ilea_error ilea_lobby_generate(struct ilea_lobby_secret **secret,
                                                  struct ilea_lobby_public *public_key);
void ilea_lobby_secret_free(struct ilea_lobby_secret *secret);

/* sealed must have message.size + ILEA_SEAL_OVERHEAD bytes. False: unusable public key. 80 us. */
ILEA_MUST_USE bool ilea_lobby_seal(const struct ilea_lobby_public *to, struct ilea_span message,
                                   uint8_t *sealed);
/* opened must have sealed.size - ILEA_SEAL_OVERHEAD bytes. False: not sealed to this key. 35 us. */
ILEA_MUST_USE bool ilea_lobby_unseal(const struct ilea_lobby_secret *secret, struct ilea_span sealed,
                                     uint8_t *opened);

#endif
