/*
 * blob.h - documents as encrypted chunks: the key of one document, and the only code that uses it.
 *
 * A document is cut into chunks of 256 KiB, the last one shorter. Chunk i of n is
 *     XChaCha20-Poly1305(key, nonce = 16 zero bytes || u64(i), chunk,
 *                        associated data = domain BLOB || network || u64(n))
 * and is named by H(BLOB, ciphertext). The names in a row are the list, which is encrypted the same way as chunk 2^32;
 * the list's own name is the root. So anybody can check what he holds, and only who has the key learns what to ask for.
 *
 * The key is made for one document and never used for another, so no nonce comes twice under it. It stands in the
 * record that the document belongs to: who reads the record has it.
 *
 * Threads: any; nothing here is kept.
 */
#ifndef ILEA_CRYPTO_BLOB_H
#define ILEA_CRYPTO_BLOB_H

#include "crypto/hash.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"

enum {
    ILEA_BLOB_KEY_SIZE = 32,
    ILEA_BLOB_OVERHEAD = 16,
    ILEA_BLOB_CHUNK_SIZE = 256 * 1024,
    ILEA_BLOB_SEALED_MAX = ILEA_BLOB_CHUNK_SIZE + ILEA_BLOB_OVERHEAD,
    ILEA_BLOB_CHUNKS_MAX = 8192 /* 2 GiB; their names fill one chunk */
};

/* The number of the list among the chunks. */
#define ILEA_BLOB_LIST (UINT64_C(1) << 32)

_Static_assert(ILEA_BLOB_CHUNKS_MAX * ILEA_HASH_SIZE <= ILEA_BLOB_CHUNK_SIZE, "a list is a chunk");

struct ilea_blob_key { uint8_t bytes[ILEA_BLOB_KEY_SIZE]; }; /* wipe every copy */
struct ilea_blob_id { uint8_t bytes[ILEA_ID_SIZE]; };        /* of a chunk; of the list: the root */

void ilea_blob_key_make(struct ilea_blob_key *key);

/* sealed has plain.size + ILEA_BLOB_OVERHEAD bytes; plain at most ILEA_BLOB_CHUNK_SIZE. Never two texts for one index
 * under one key. */
void ilea_blob_seal(const struct ilea_blob_key *key, const struct ilea_network_id *network, uint32_t count,
                    uint64_t index, struct ilea_span plain, uint8_t *sealed);
/* plain has sealed.size - ILEA_BLOB_OVERHEAD bytes. False: not this chunk of this document, or another key. */
ILEA_MUST_USE bool ilea_blob_open(const struct ilea_blob_key *key, const struct ilea_network_id *network,
                                  uint32_t count, uint64_t index, struct ilea_span sealed, uint8_t *plain);
void ilea_blob_name(struct ilea_span sealed, struct ilea_blob_id *id);

#endif
