/*
 * commit.h - a signed header over 1..1024 items.
 *
 *   header    = [ 1, suite 1, feed: bin 32, seq, prev: bin 32, items_root: bin 32, item_count, kind, [crit ...] ]
 *   commit_id = H(COMMIT, header bytes)               the signature is not part of the id
 *   sig       = Ed25519(node key; COMMIT_SIG, network, commit_id)
 *   items_root= H(ITEMS, leaf_0 || ... || leaf_n-1)   flat: a withheld slot travels as its leaf
 *   commit    = [ header: bin, sig: bin 64, [ slot: bin ... ] ]    on the wire and on disk, byte for byte
 *
 * Received bytes are hashed, verified and stored as they came; nothing is ever re-encoded.
 */
#ifndef ILEA_RECORD_COMMIT_H
#define ILEA_RECORD_COMMIT_H

#include "crypto/sign.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"
#include "replication/record/item.h"
#include "replication/record/limits.h"
#include "replication/record/msgpack_reader.h"

enum ilea_commit_kind {
    ILEA_COMMIT_OPEN = 1, /* seq 1: slot 0 is the opening statement (record/statement.h) */
    ILEA_COMMIT_DATA = 2
};

struct ilea_header {
    struct ilea_feed_id feed;
    uint64_t seq;                /* from 1 */
    struct ilea_commit_id prev;  /* zeros for seq 1 */
    uint8_t items_root[ILEA_HASH_SIZE];
    uint32_t item_count;
    enum ilea_commit_kind kind;
};

struct ilea_commit {
    struct ilea_header header;
    struct ilea_span header_bytes;   /* borrowed, as all spans here */
    struct ilea_signature signature;
    struct ilea_span slots;          /* the encoded slots, item_count of them */
};

/*
 * Decode and check the form: canonical, limits, kinds, seq 1 exactly for OPEN.
 *   ILEA_ERROR_MALFORMED
 *   ILEA_ERROR_UNKNOWN    version, suite, kind or critical feature of a newer version: the feed waits
 *                         for an upgrade of this node; its author is not accused */
ILEA_MUST_USE enum ilea_error ilea_commit_decode(struct ilea_span input, struct ilea_commit *commit);

/* Only the header's bytes. Errors as above. */
ILEA_MUST_USE enum ilea_error ilea_header_decode(struct ilea_span input, struct ilea_header *header);

/* Walk the slots: init a reader over commit->slots, call item_count times. A slot of
 * ILEA_HASH_SIZE bytes is a leaf, a longer one an item. */
struct ilea_span ilea_slot_next(struct ilea_msgpack_reader *reader);

void ilea_commit_id_of(struct ilea_span header_bytes, struct ilea_commit_id *id);

/* Do the slots give the header's items_root? ILEA_ERROR_BAD_HASH. One hash over all items. */
ILEA_MUST_USE enum ilea_error ilea_commit_check_items(const struct ilea_commit *commit);

/*
 * Write a decoded commit with the items of some slots replaced by their leaves: header, id and signature stay. `blank`
 * has item_count entries; statements stay whatever it says, for without them the feed could not be taken in. *size: as
 * many bytes as `input` has, or fewer; so many must `bytes` have room for. *blanked: how many items went.
 *   ILEA_ERROR_MALFORMED  `input` is no commit */
ILEA_MUST_USE enum ilea_error ilea_commit_blank(struct ilea_span input, const bool *blank, uint8_t *bytes,
                                                size_t *size, uint32_t *blanked);

/* ILEA_ERROR_BAD_SIGNATURE. About 70 us. */
ILEA_MUST_USE enum ilea_error
ilea_commit_verify(const struct ilea_commit *commit, const struct ilea_commit_id *id,
                   const struct ilea_network_id *network, const struct ilea_sign_public *node);

/*
 * Build one commit. new -> begin -> add... -> end, then begin again. Holds one
 * commit's worth of memory (2 x ILEA_COMMIT_SIZE_MAX).
 */
struct ilea_commit_builder;

ILEA_MUST_USE enum ilea_error ilea_commit_builder_new(struct ilea_commit_builder **builder);
void ilea_commit_builder_free(struct ilea_commit_builder *builder);

/* `network` is borrowed until end. */
void ilea_commit_begin(struct ilea_commit_builder *builder, const struct ilea_network_id *network,
                       const struct ilea_feed_id *feed, uint64_t seq,
                       const struct ilea_commit_id *prev);
uint32_t ilea_commit_item_count(const struct ilea_commit_builder *builder);

/* Add an encrypted change or a statement; writes its leaf (may be NULL).
 *   ILEA_ERROR_FULL   it does not fit this commit: end it and begin the next
 *   ILEA_ERROR_LIMIT  it fits no commit
 *   ILEA_ERROR_KEY_MISSING */
ILEA_MUST_USE enum ilea_error
ilea_commit_add_change(struct ilea_commit_builder *builder, const struct ilea_keyring *ring,
                       uint32_t flags, const struct ilea_audience_id *audience,
                       const struct ilea_epoch_id *epoch, struct ilea_span plaintext,
                       uint8_t leaf[ILEA_HASH_SIZE]);
ILEA_MUST_USE enum ilea_error ilea_commit_add_statement(struct ilea_commit_builder *builder,
                                                        struct ilea_span statement);

/* Sign. *commit borrows the builder until the next begin or free. At least one item must have been added. */
void ilea_commit_end(struct ilea_commit_builder *builder, const struct ilea_sign_secret *node,
                     struct ilea_span *commit, struct ilea_commit_id *id);

#endif
