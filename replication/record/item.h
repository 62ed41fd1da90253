/*
 * item.h - the envelope of one change, or one statement in clear.
 *
 *   item = [ flags, audience: bin 16, epoch: bin 16, nonce: bin 24, ciphertext: bin ]   a change, encrypted
 *        | [ flags, statement: bin ]                            flags = CONTROL: for every follower, in clear
 *   leaf = H(LEAF, index as u64, item bytes)
 *
 * A slot of a commit holds an item, or just its 32-byte leaf where the item is
 * withheld or erased: the chain verifies all the same. No item is as short as a leaf.
 */
#ifndef ILEA_RECORD_ITEM_H
#define ILEA_RECORD_ITEM_H

#include "crypto/keyring.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"
#include "replication/record/limits.h"

enum {
    ILEA_ITEM_OPEN = 1,    /* readable by all the author approved: any follower may carry it */
    ILEA_ITEM_CONTROL = 2, /* a statement in clear: never withheld */
    ILEA_AUDIENCE_SALT_SIZE = 16,
    ILEA_ITEM_SIZE_MIN = ILEA_HASH_SIZE + 1,
    ILEA_ITEM_DATA_SIZE = 32 + 32 + 8 + 8 + ILEA_AUDIENCE_ID_SIZE + ILEA_EPOCH_ID_SIZE
};

struct ilea_item {
    uint32_t flags;
    struct ilea_audience_id audience;    /* zeros for a statement */
    struct ilea_epoch_id epoch;          /* zeros for a statement */
    uint8_t nonce[ILEA_NONCE_SIZE];      /* zeros for a statement */
    struct ilea_span content;            /* ciphertext, or the statement: borrowed */
};

/* Where an item stands: what its encryption is bound to. */
struct ilea_place {
    const struct ilea_network_id *network;
    const struct ilea_feed_id *feed;
    uint64_t seq;
    uint32_t index;
};

/* ILEA_ERROR_MALFORMED; ILEA_ERROR_LIMIT for the size; ILEA_ERROR_UNKNOWN for flags of a newer version: keep the
 * bytes, do not read them. */
ILEA_MUST_USE enum ilea_error ilea_item_decode(struct ilea_span input, struct ilea_item *item);

/*
 * Encode an encrypted item straight into `bytes`. *size is what it took.
 *   ILEA_ERROR_LIMIT        plaintext over ILEA_CHANGE_SIZE_MAX, or capacity too small
 *   ILEA_ERROR_KEY_MISSING  */
ILEA_MUST_USE enum ilea_error
ilea_item_encrypt(const struct ilea_keyring *ring, const struct ilea_place *place, uint32_t flags,
                  const struct ilea_audience_id *audience, const struct ilea_epoch_id *epoch,
                  struct ilea_span plaintext, uint8_t *bytes, size_t capacity, size_t *size);

/*
 * Open a decoded item; plaintext must have content.size bytes of room. *size is its length.
 *   ILEA_ERROR_KEY_MISSING  park it    ILEA_ERROR_BAD_HASH  it never opens here */
ILEA_MUST_USE enum ilea_error
ilea_item_decrypt(const struct ilea_keyring *ring, const struct ilea_place *place,
                  const struct ilea_item *item, uint8_t *plaintext, size_t *size);

/* ILEA_ERROR_LIMIT as above. */
ILEA_MUST_USE enum ilea_error ilea_item_put_statement(struct ilea_span statement, uint8_t *bytes,
                                                      size_t capacity, size_t *size);

void ilea_item_leaf(uint32_t index, struct ilea_span item, uint8_t leaf[ILEA_HASH_SIZE]);

/* Audience ids of the two implicit audiences of an agency. */
void ilea_audience_of_agency(const struct ilea_network_id *network,
                             const struct ilea_agency_id *agency, struct ilea_audience_id *audience);
void ilea_audience_of_peers(const struct ilea_network_id *network,
                            const struct ilea_agency_id *agency, struct ilea_audience_id *audience);
/* Of a closed audience. The salt is random; nobody else can make an audience of the same id. */
void ilea_audience_of_salt(const struct ilea_network_id *network, const struct ilea_agency_id *owner,
                           const uint8_t salt[ILEA_AUDIENCE_SALT_SIZE],
                           struct ilea_audience_id *audience);

#endif
