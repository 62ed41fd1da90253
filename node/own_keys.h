/*
 * own_keys.h - which node key and which admins one of our own manifests names, as far as the audit feed needs
 * to know: an entry that brings a manifest says so in pairs, because the manifest itself may be superseded later.
 *
 *   manifest  its hash      node  the node key
 *   admins    the admins' keys, 15 at most, and admins-more the others
 *             all in hex, the lists without blanks
 */
#ifndef ILEA_NODE_OWN_KEYS_H
#define ILEA_NODE_OWN_KEYS_H

#include "replication/record/act.h"
#include "replication/record/manifest.h"
#include "replication/store/log_store.h"

struct ilea_own_keys {
    uint8_t manifest[ILEA_HASH_SIZE];
    struct ilea_sign_public node;
    uint32_t admin_count;
    struct ilea_sign_public admins[ILEA_ADMINS_MAX];
};

/* Hex digits of the four pairs; "" where there is none. */
struct ilea_own_keys_text {
    char manifest[2 * ILEA_HASH_SIZE + 1], node[2 * ILEA_SIGN_PUBLIC_SIZE + 1];
    char admins[15 * 2 * ILEA_SIGN_PUBLIC_SIZE + 1], admins_more[2 * ILEA_SIGN_PUBLIC_SIZE + 1];
};

void ilea_own_keys_of_manifest(const struct ilea_manifest *manifest, struct ilea_own_keys *keys);
void ilea_own_keys_format(const struct ilea_own_keys *keys, struct ilea_own_keys_text *text);
/* False: the act does not say them, or not in this form. */
bool ilea_own_keys_of_act(const struct ilea_act *act, struct ilea_own_keys *keys);
bool ilea_own_keys_equal(const struct ilea_own_keys *one, const struct ilea_own_keys *other);

/* Of the manifest with this index, or hash, of an agency in the log. NOT_FOUND, CORRUPT, NO_MEMORY. */
ILEA_MUST_USE enum ilea_error ilea_own_keys_at(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                                               uint64_t index, struct ilea_own_keys *keys);
ILEA_MUST_USE enum ilea_error ilea_own_keys_by_hash(struct ilea_transaction *txn,
                                                    const struct ilea_agency_id *agency,
                                                    const uint8_t hash[ILEA_HASH_SIZE],
                                                    struct ilea_own_keys *keys);

/* Bytes from hex digits, exactly `size` of them. */
bool ilea_hex_parse(struct ilea_span text, uint8_t *bytes, size_t size);
void ilea_hex_format(const uint8_t *bytes, size_t size, char *text);

#endif
