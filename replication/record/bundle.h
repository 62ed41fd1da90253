/*
 * bundle.h - files that carry what a link would carry: signed by who made them, sealed to one agency.
 *
 *   file    = "ILEABNDL" | u32 size of the header | header | chunk ...
 *   header  = [ 1, network: bin 32, from: bin 32, manifest index, to: bin 32, id: bin 16, part, made_ms,
 *               aek_commit: bin 32, wrapped: bin 140, sig: bin 64 ]
 *   sig     = Ed25519(node key of `from`; BUNDLE_SIG, network, H(BUNDLE, the header's bytes up to it))
 *   chunk   = u32 size of what follows | nonce 24 | ciphertext
 *   plaintext of a chunk = [ type, body: bin ]
 *
 * The key is that of an epoch of the audience `id` (crypto/keyring.h), another one in each part. What is encrypted
 * is bound to its place: network, id, part, number of the chunk, and whether it is the last one; so nothing can be
 * cut off, moved or put together anew. Nothing is believed because it is in a bundle: what is inside is signed by
 * its authors, and taken as from a link.
 *
 *   types   4 COMMITS, 7 MANIFEST, 8 FORK     the bodies of core/message.h
 *           32 TOTALS    [ commits, bytes, [] | [agency: bin 32, feed: bin 32, seq, id: bin 32] ]   first in each part
 *           33 FRONTIER  [ agency: bin 32, [ [feed: bin 32, seq, id: bin 32] ... ] ]                ascending by feed
 *
 * Decoders borrow and allocate nothing.
 */
#ifndef ILEA_RECORD_BUNDLE_H
#define ILEA_RECORD_BUNDLE_H

#include "crypto/keyring.h"
#include "crypto/sign.h"
#include "replication/record/limits.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/statement.h"

enum {
    ILEA_BUNDLE_PRELUDE_SIZE = 8 + 4,
    ILEA_BUNDLE_HEADER_MAX = 512,
    ILEA_BUNDLE_PLAIN_MAX = ILEA_MESSAGE_SIZE_MAX,
    ILEA_BUNDLE_CHUNK_MAX = ILEA_NONCE_SIZE + ILEA_BUNDLE_PLAIN_MAX + ILEA_AEAD_OVERHEAD, /* behind its size */
    ILEA_BUNDLE_PARTS_MAX = 9999,
    ILEA_BUNDLE_POSITIONS_MAX = 2048
};

enum ilea_bundle_type {
    ILEA_BUNDLE_COMMITS = 4,
    ILEA_BUNDLE_MANIFEST = 7,
    ILEA_BUNDLE_FORK = 8,
    ILEA_BUNDLE_TOTALS = 32,
    ILEA_BUNDLE_FRONTIER = 33
};

struct ilea_bundle_header {
    struct ilea_network_id network;
    struct ilea_agency_id from;
    uint64_t manifest;            /* index of the manifest of `from` whose node key signed */
    struct ilea_agency_id to;
    struct ilea_audience_id id;   /* the same in all parts */
    uint32_t part;                /* from 1 */
    uint64_t made_ms;             /* the maker's clock: for people */
    uint8_t aek_commit[ILEA_HASH_SIZE];
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE];
    struct ilea_signature signature;
    uint8_t hash[ILEA_HASH_SIZE]; /* what is signed */
};

struct ilea_bundle_totals {
    uint64_t commits, bytes;      /* of all parts */
    bool has_after;               /* the part before ended with this commit */
    struct ilea_agency_id agency;
    struct ilea_position after;
};

struct ilea_bundle_frontier {
    struct ilea_agency_id agency; /* who holds that much */
    uint32_t count;
    struct ilea_msgpack_reader positions; /* count times ilea_position_get() */
};

/* The first 12 bytes of a file: how many bytes of header follow. MALFORMED: it is no bundle. */
ILEA_MUST_USE enum ilea_error ilea_bundle_prelude_decode(const uint8_t prelude[ILEA_BUNDLE_PRELUDE_SIZE],
                                                         size_t *header_size);
void ilea_bundle_prelude_encode(size_t header_size, uint8_t prelude[ILEA_BUNDLE_PRELUDE_SIZE]);

/* ILEA_ERROR_MALFORMED; ILEA_ERROR_UNKNOWN: of a newer version. The signature is not looked at. */
ILEA_MUST_USE enum ilea_error ilea_bundle_header_decode(struct ilea_span input, struct ilea_bundle_header *header);
ILEA_MUST_USE bool ilea_bundle_header_verify(const struct ilea_bundle_header *header,
                                             const struct ilea_sign_public *node);
/* Signs; fills in signature and hash. Capacity ILEA_BUNDLE_HEADER_MAX is enough: ILEA_ERROR_LIMIT. */
ILEA_MUST_USE enum ilea_error ilea_bundle_header_encode(struct ilea_bundle_header *header,
                                                        const struct ilea_sign_secret *node, uint8_t *bytes,
                                                        size_t capacity, size_t *size);

/* Encrypt the chunk with this number under the header's key, which `ring` holds. chunk: nonce and ciphertext;
 * it must have plain.size + 40 bytes. ILEA_ERROR_KEY_MISSING; LIMIT: plain is too long. */
ILEA_MUST_USE enum ilea_error ilea_bundle_chunk_seal(const struct ilea_keyring *ring,
                                                     const struct ilea_bundle_header *header, uint64_t number,
                                                     bool last, struct ilea_span plain, uint8_t *chunk);
/* plain must have chunk.size bytes. BAD_HASH: not this key's, or not of this place; MALFORMED, LIMIT; KEY_MISSING. */
ILEA_MUST_USE enum ilea_error ilea_bundle_chunk_open(const struct ilea_keyring *ring,
                                                     const struct ilea_bundle_header *header, uint64_t number,
                                                     bool last, struct ilea_span chunk, uint8_t *plain,
                                                     size_t *plain_size);

/* A chunk's plaintext; a type that is not known is for the caller to pass over. MALFORMED */
ILEA_MUST_USE enum ilea_error ilea_bundle_content_decode(struct ilea_span plain, uint32_t *type,
                                                         struct ilea_span *body);
ILEA_MUST_USE enum ilea_error ilea_bundle_content_encode(enum ilea_bundle_type type, struct ilea_span body,
                                                         uint8_t *plain, size_t capacity, size_t *size);

ILEA_MUST_USE enum ilea_error ilea_bundle_totals_decode(struct ilea_span body, struct ilea_bundle_totals *totals);
ILEA_MUST_USE enum ilea_error ilea_bundle_totals_encode(const struct ilea_bundle_totals *totals, uint8_t *body,
                                                        size_t capacity, size_t *size);
ILEA_MUST_USE enum ilea_error ilea_bundle_frontier_decode(struct ilea_span body,
                                                          struct ilea_bundle_frontier *frontier);
/* Positions ascending by feed, at most ILEA_BUNDLE_POSITIONS_MAX. */
ILEA_MUST_USE enum ilea_error ilea_bundle_frontier_encode(const struct ilea_agency_id *agency,
                                                          const struct ilea_position *positions, uint32_t count,
                                                          uint8_t *body, size_t capacity, size_t *size);

#endif
