/*
 * key_file_format.h - the bytes of a key file, apart from where they are kept
 * and what opens them. Internal to crypto/ and its tests. Pure; integers are
 * most significant byte first.
 *
 *   offset  0  magic "ILEAKEY1"          34  nonce 24        zero without a passphrase
 *           8  kind u8                   58  commitment 32   zero without a passphrase
 *           9  flags u8                  90  secret 32, or ciphertext and tag 48
 *          10  opslimit u32, memlimit u32 (KiB): zero without a passphrase
 *          18  salt 16: likewise         last  public key 32
 *
 * With a passphrase:
 *   key        = Argon2id(passphrase, salt, opslimit, memlimit), 32 bytes
 *   commitment = BLAKE2b-256(key = key, domain KEY_FILE)
 *   ciphertext = XChaCha20-Poly1305(key, nonce, secret, associated data =
 *                domain KEY_FILE || bytes 0 to 89 || public key)
 * so everything else in the file is authenticated, too.
 */
#ifndef ILEA_CRYPTO_KEY_FILE_FORMAT_H
#define ILEA_CRYPTO_KEY_FILE_FORMAT_H

#include "crypto/key_file.h"

enum {
    ILEA_KEY_FILE_SALT_SIZE = 16,
    ILEA_KEY_FILE_NONCE_SIZE = 24,
    ILEA_KEY_FILE_COMMITMENT_SIZE = 32,
    ILEA_KEY_FILE_HEAD_SIZE = 8 + 1 + 1 + 4 + 4 + 16 + 24 + 32, /* all before the secret */
    ILEA_KEY_FILE_SECRET_SIZE = 32,
    ILEA_KEY_FILE_TAG_SIZE = 16,
    ILEA_KEY_FILE_PLAIN_SIZE = ILEA_KEY_FILE_HEAD_SIZE + 32 + 32,
    ILEA_KEY_FILE_SIZE_MAX = ILEA_KEY_FILE_PLAIN_SIZE + ILEA_KEY_FILE_TAG_SIZE,
    ILEA_KEY_FILE_OPSLIMIT_MAX = 10,
    ILEA_KEY_FILE_MEMLIMIT_KIB_MIN = 8,
    ILEA_KEY_FILE_MEMLIMIT_KIB_MAX = 512 * 1024
};

struct ilea_key_file {
    enum ilea_key_kind kind;
    bool has_passphrase;
    uint32_t opslimit;
    uint32_t memlimit_kib;
    uint8_t salt[ILEA_KEY_FILE_SALT_SIZE];
    uint8_t nonce[ILEA_KEY_FILE_NONCE_SIZE];
    uint8_t commitment[ILEA_KEY_FILE_COMMITMENT_SIZE];
    /* The last 16 bytes are zero without a passphrase; and then this is the secret: wipe it. */
    uint8_t secret[ILEA_KEY_FILE_SECRET_SIZE + ILEA_KEY_FILE_TAG_SIZE];
    uint8_t public_key[32];
};

/*
 * Reads what anybody may have written. Does not ask whether the public key belongs to the secret.
 *   ILEA_ERROR_CORRUPT  not exactly one key file within the limits
 */
ILEA_MUST_USE enum ilea_error ilea_key_file_decode(struct ilea_span bytes,
                                                   struct ilea_key_file *file);

/* Returns the size: ILEA_KEY_FILE_PLAIN_SIZE, or ILEA_KEY_FILE_SIZE_MAX with a passphrase. */
size_t ilea_key_file_encode(const struct ilea_key_file *file,
                            uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX]);

#endif
