/*
 * keys.h - the keys of this node, from files in keys/ of its home.
 */
#ifndef ILEA_NODE_KEYS_H
#define ILEA_NODE_KEYS_H

#include "crypto/key_file.h"

struct ilea_keys {
    struct ilea_sign_secret *node;
    struct ilea_transport_secret *transport;
    struct ilea_reading_secret *reading;
};

#define ILEA_KEY_NAME_ROOT "root.key"
#define ILEA_KEY_NAME_NEXT_ROOT "next-root.key"
#define ILEA_KEY_NAME_NODE "node.key"
#define ILEA_KEY_NAME_TRANSPORT "transport.key"
#define ILEA_KEY_NAME_READING "reading.key"

enum { ILEA_PASSPHRASE_SIZE_MAX = 1024 };

/* Does any key file ask for a passphrase? Errors as ilea_key_file_load_sign(). */
ILEA_MUST_USE enum ilea_error ilea_keys_need_passphrase(const char *home, bool *needed);
/* Load what a running node needs (not the roots). Gives *keys; end with ilea_keys_free(). */
ILEA_MUST_USE enum ilea_error ilea_keys_load(const char *home, const struct ilea_span *passphrase,
                                             struct ilea_keys *keys);
void ilea_keys_free(struct ilea_keys *keys);

#endif
