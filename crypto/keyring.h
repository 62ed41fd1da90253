/*
 * keyring.h - the epoch keys a node holds, and the only code that uses them.
 *
 * An epoch key is named by its epoch id, the first 16 bytes of a keyed hash of
 * the key itself (aek_commit). XChaCha20-Poly1305 does not commit to its key,
 * so this name does: an item says which epoch id it is under, and no second key
 * fits that name.
 *
 *   aek_commit = BLAKE2b-256(key = epoch key, domain EPOCH_COMMIT || network || audience)
 *   epoch_id   = first 16 bytes of aek_commit
 *   wrapped    = seal(reading key, domain text EPOCH_SEAL || network || audience || epoch key)
 *   nonce      = first 24 bytes of BLAKE2b-256(key = 32 fresh random bytes,
 *                    domain NONCE || associated data || plaintext)
 *
 * The nonce is hedged: a cloned machine that repeats its random numbers still
 * gets another nonce for another plaintext or position.
 *
 * All keys lie in one guarded block. Threads: one at a time.
 */
#ifndef ILEA_CRYPTO_KEYRING_H
#define ILEA_CRYPTO_KEYRING_H

#include "crypto/hash.h"
#include "crypto/seal.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"

enum {
    ILEA_AUDIENCE_ID_SIZE = 16,
    ILEA_EPOCH_ID_SIZE = 16,
    ILEA_EPOCH_KEY_SIZE = 32,
    ILEA_NONCE_SIZE = 24,
    ILEA_AEAD_OVERHEAD = 16,
    /* "ilea/aek/v1" with its length byte, network, audience, key, and the seal's own 48 bytes */
    ILEA_WRAPPED_KEY_SIZE = 12 + 32 + 16 + 32 + ILEA_SEAL_OVERHEAD
};

struct ilea_audience_id { uint8_t bytes[ILEA_AUDIENCE_ID_SIZE]; };
struct ilea_epoch_id { uint8_t bytes[ILEA_EPOCH_ID_SIZE]; };

struct ilea_keyring;

/* Room for count_max keys (1 to 65,536). Gives *ring; end it with ilea_keyring_free().
 *   ILEA_ERROR_NO_MEMORY */
ILEA_MUST_USE enum ilea_error ilea_keyring_new(uint32_t count_max, struct ilea_keyring **ring);
void ilea_keyring_free(struct ilea_keyring *ring);

/* A fresh key for one audience. Writes its aek_commit, whose start is the epoch id.
 *   ILEA_ERROR_FULL    the ring holds count_max keys
 *   ILEA_ERROR_EXISTS  the generator repeated a key that is held; ask again */
ILEA_MUST_USE enum ilea_error
ilea_keyring_generate(struct ilea_keyring *ring, const struct ilea_network_id *network,
                      const struct ilea_audience_id *audience,
                      uint8_t aek_commit[ILEA_HASH_SIZE]);

ILEA_MUST_USE bool ilea_keyring_holds(const struct ilea_keyring *ring,
                                      const struct ilea_epoch_id *epoch);

/* Seal a held key to one reader.
 *   ILEA_ERROR_KEY_MISSING  `epoch` is not held
 *   ILEA_ERROR_INVALID      unusable reading key: leave this reader out and say so */
ILEA_MUST_USE enum ilea_error
ilea_keyring_wrap(const struct ilea_keyring *ring, const struct ilea_epoch_id *epoch,
                  const struct ilea_network_id *network, const struct ilea_audience_id *audience,
                  const struct ilea_reading_public *to, uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE]);

/* Open a wrapped key and keep it, if it is for us and matches aek_commit. Holding it already is
 * success.
 *   ILEA_ERROR_NOT_FOUND  not sealed to this reading key: try the next one
 *   ILEA_ERROR_BAD_HASH   sealed to us, but not the key that was committed to: the author lied
 *   ILEA_ERROR_FULL */
ILEA_MUST_USE enum ilea_error
ilea_keyring_unwrap(struct ilea_keyring *ring, const struct ilea_reading_secret *reading,
                    const struct ilea_network_id *network, const struct ilea_audience_id *audience,
                    const uint8_t aek_commit[ILEA_HASH_SIZE],
                    const uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE]);

/* Encrypt; ciphertext must have plaintext.size + ILEA_AEAD_OVERHEAD bytes. `data` is authenticated,
 * not encrypted; at most 256 bytes. The domain ITEM_AEAD is prefixed to it here.
 *   ILEA_ERROR_KEY_MISSING */
ILEA_MUST_USE enum ilea_error
ilea_keyring_encrypt(const struct ilea_keyring *ring, const struct ilea_epoch_id *epoch,
                     struct ilea_span data, struct ilea_span plaintext,
                     uint8_t nonce[ILEA_NONCE_SIZE], uint8_t *ciphertext);

/* Decrypt; plaintext must have ciphertext.size - ILEA_AEAD_OVERHEAD bytes, zeroed on BAD_HASH.
 *   ILEA_ERROR_KEY_MISSING  park it: the key may come
 *   ILEA_ERROR_BAD_HASH     it does not open under that key, at that place; it never will */
ILEA_MUST_USE enum ilea_error
ilea_keyring_decrypt(const struct ilea_keyring *ring, const struct ilea_epoch_id *epoch,
                     struct ilea_span data, const uint8_t nonce[ILEA_NONCE_SIZE],
                     struct ilea_span ciphertext, uint8_t *plaintext);

#endif
