/*
 * keys.h - the keys of this node, from files in keys/ of its home.
 *
 * Which files are current is told by the agency's newest manifest: those whose public keys it names,
 * whatever their names. Names are for people: node.key at first, node-3.key for the one that manifest 3
 * brought. Files of reading keys that came before are kept, because what was sealed to them can only be
 * opened with them.
 */
#ifndef ILEA_NODE_KEYS_H
#define ILEA_NODE_KEYS_H

#include "crypto/key_file.h"
#include "crypto/keyring.h"
#include "replication/store/log_store.h"

enum { ILEA_PASSPHRASE_SIZE_MAX = 1024, ILEA_OLD_READINGS_MAX = 64, ILEA_KEY_NAME_SIZE = 256 };

struct ilea_keys {
    struct ilea_sign_secret *node;
    struct ilea_transport_secret *transport;
    struct ilea_reading_secret *reading;
    /* An earlier transport key that is still in service, because not all peers have heard of the newest: the first
     * of those whose files are there. NULL: none. */
    struct ilea_transport_secret *old_transport;
    uint32_t old_place;   /* among the earlier ones, from the latest on */
    struct ilea_reading_secret *old_readings[ILEA_OLD_READINGS_MAX];
    uint32_t old_reading_count;
};

#define ILEA_KEY_NAME_ROOT "root.key"
#define ILEA_KEY_NAME_NEXT_ROOT "next-root.key"
#define ILEA_KEY_NAME_NODE "node.key"
#define ILEA_KEY_NAME_TRANSPORT "transport.key"
#define ILEA_KEY_NAME_READING "reading.key"

/* Does any file of a key that a running node needs ask for a passphrase? Errors as ilea_key_file_look(). */
ILEA_MUST_USE enum ilea_error ilea_keys_need_passphrase(const char *home, bool *needed);

/*
 * Load what a running node needs (neither roots nor admin keys). Gives *keys; end with ilea_keys_free().
 *   ILEA_ERROR_NOT_FOUND  no file holds a key that the newest manifest in `log` names
 *   ILEA_ERROR_PASSPHRASE, ILEA_ERROR_PERMISSION, ILEA_ERROR_CORRUPT, ILEA_ERROR_NO_MEMORY
 */
ILEA_MUST_USE enum ilea_error ilea_keys_load(const char *home, struct ilea_log *log,
                                             const struct ilea_span *passphrase, struct ilea_keys *keys);
void ilea_keys_free(struct ilea_keys *keys);

/* As ilea_keyring_unwrap(), with the current reading key, then the earlier ones. */
ILEA_MUST_USE enum ilea_error ilea_keys_unwrap(const struct ilea_keys *keys, struct ilea_keyring *ring,
                                               const struct ilea_network_id *network,
                                               const struct ilea_audience_id *audience,
                                               const uint8_t aek_commit[ILEA_HASH_SIZE],
                                               const uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE]);

/* The name of the file in `folder` that holds a key; `public_key` NULL: the first of that kind.
 *   ILEA_ERROR_NOT_FOUND, ILEA_ERROR_PERMISSION (one of the files is open to others or not ours) */
ILEA_MUST_USE enum ilea_error ilea_keys_find(const char *folder, enum ilea_key_kind kind,
                                             const uint8_t *public_key, char name[ILEA_KEY_NAME_SIZE]);

/* Overwrite and remove files of node keys, and of transport keys but the newest and the one in service, that the
 * chain of our manifests names no longer: after a key change has taken effect. What cannot be removed stays. */
void ilea_keys_retire(const char *home, struct ilea_log *log);

#endif
