/*
 * key_file.h - secret keys on disk.
 *
 * A key file is created exclusively with mode 0600 through a temporary name,
 * written, fsynced, renamed without replacing, and its directory fsynced.
 * It is refused when it is a symbolic link, not a plain file, not ours, or
 * open to group or others. Every field is bytes, so struct = file:
 *
 *   magic "ILEAKEY1" | kind u8 | flags u8 (1: passphrase) | opslimit u32 | memlimit u32 (KiB)
 *   | salt 16 | nonce 24 | commitment 32 | seed or ciphertext+tag (32 or 48) | public key 32
 *
 * With a passphrase: key = Argon2id(passphrase, salt); the commitment is a keyed
 * hash of that key, so that a wrong passphrase and a damaged file are told apart
 * and one file cannot open under two passphrases. Limits are bounded on reading
 * (memory 512 MiB, 10 passes): a file cannot make us run out of memory.
 */
#ifndef ILEA_CRYPTO_KEY_FILE_H
#define ILEA_CRYPTO_KEY_FILE_H

#include "crypto/seal.h"
#include "crypto/sign.h"
#include "include/ilea/error.h"
#include "include/ilea/span.h"

enum ilea_key_kind {
    ILEA_KEY_ROOT = 1,      /* Ed25519, signs manifests */
    ILEA_KEY_NODE = 2,      /* Ed25519, signs commits and session binds */
    ILEA_KEY_TRANSPORT = 3, /* X25519, CURVE */
    ILEA_KEY_READING = 4,   /* X25519, epoch keys are sealed to it */
    ILEA_KEY_ADMIN = 5      /* Ed25519, signs decisions of one admin */
};

/*
 * Save a new key under `name` in the directory `dir_fd`. `passphrase` NULL or
 * empty: none; else at most 1,024 bytes, borrowed, the caller wipes it.
 *   ILEA_ERROR_EXISTS     there is one already: never overwritten
 *   ILEA_ERROR_NO_MEMORY  not enough memory for Argon2id (256 MiB)
 *   ILEA_ERROR_INVALID    passphrase too long, or `name` no plain file name of 1 to 200 bytes
 *   ILEA_ERROR_FULL, ILEA_ERROR_IO, ILEA_ERROR_PERMISSION
 */
ILEA_MUST_USE enum ilea_error
ilea_key_file_save_sign(int dir_fd, const char *name, enum ilea_key_kind kind,
                        const struct ilea_sign_secret *secret, const struct ilea_span *passphrase);
ILEA_MUST_USE enum ilea_error
ilea_key_file_save_reading(int dir_fd, const char *name, const struct ilea_reading_secret *secret,
                           const struct ilea_span *passphrase);
ILEA_MUST_USE enum ilea_error
ilea_key_file_save_transport(int dir_fd, const char *name,
                             const struct ilea_transport_secret *secret,
                             const struct ilea_span *passphrase);

/* True in *needed if the file asks for a passphrase. Errors as load. */
ILEA_MUST_USE enum ilea_error
ilea_key_file_needs_passphrase(int dir_fd, const char *name, bool *needed);

/* What a file says of itself without its secret: kind, public key, whether it asks for a passphrase.
 * The public key is the file's word until the secret is loaded. */
struct ilea_key_file_info {
    enum ilea_key_kind kind;
    bool has_passphrase;
    uint8_t public_key[32];
};
ILEA_MUST_USE enum ilea_error
ilea_key_file_look(int dir_fd, const char *name, struct ilea_key_file_info *info);

/* Overwrite a key file and remove it. Copy-on-write disks and backups may keep its bytes all the same.
 *   ILEA_ERROR_CORRUPT  not a key file: left alone; else errors as load, or IO */
ILEA_MUST_USE enum ilea_error ilea_key_file_destroy(int dir_fd, const char *name);

/*
 * Load. Gives *secret.
 *   ILEA_ERROR_NOT_FOUND   no such file
 *   ILEA_ERROR_PERMISSION  not ours, a link, or readable by others: tell the admin to fix its mode
 *   ILEA_ERROR_PASSPHRASE  none given though one is needed, or the wrong one
 *   ILEA_ERROR_CORRUPT     not a key file, of another kind, or damaged
 *   ILEA_ERROR_NO_MEMORY   not enough memory for Argon2id; the passphrase may be right
 */
ILEA_MUST_USE enum ilea_error
ilea_key_file_load_sign(int dir_fd, const char *name, enum ilea_key_kind kind,
                        const struct ilea_span *passphrase, struct ilea_sign_secret **secret);
ILEA_MUST_USE enum ilea_error
ilea_key_file_load_reading(int dir_fd, const char *name, const struct ilea_span *passphrase,
                           struct ilea_reading_secret **secret);
ILEA_MUST_USE enum ilea_error
ilea_key_file_load_transport(int dir_fd, const char *name, const struct ilea_span *passphrase,
                             struct ilea_transport_secret **secret);

#endif
