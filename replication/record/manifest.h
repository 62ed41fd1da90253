/*
 * manifest.h - an agency's signed statement of its keys, and the card that
 * carries it to other agencies' admins.
 *
 *   manifest  = [ 1, network: bin 32, index, prev: bin 32, code, country, name, threshold,
 *                 [ root: bin 32 ... ], next_roots: bin 32, node: bin 32, transport: bin 32,
 *                 reading: bin 32, pop: bin 64 ]
 *   signed    = [ manifest: bin, [ [root index, sig: bin 64] ... ] ]
 *               sig over MANIFEST_SIG, network, H(AGENCY, manifest)
 *   agency_id = H(AGENCY, manifest)       of the manifest with index 0
 *   pop       = signature of the node key (MANIFEST_POP) over roots, node, transport and reading key:
 *               nobody claims a node key that is not theirs
 *   next_roots= H(ROOTS, threshold as u64 || next root keys, ascending)
 *   card      = [ 1, signed: bin, endpoint, made_ms, sig: bin 64 ]
 *               sig of the node key over CARD, network, H(CARD, the first four)
 *
 * Root keys ascend strictly, signatures by root index. Index 0 has prev zeros.
 */
#ifndef ILEA_RECORD_MANIFEST_H
#define ILEA_RECORD_MANIFEST_H

#include "crypto/hash.h"
#include "crypto/seal.h"
#include "crypto/sign.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "replication/record/limits.h"

struct ilea_manifest {
    struct ilea_network_id network;
    uint64_t index;
    uint8_t prev[ILEA_HASH_SIZE];
    struct ilea_span code;    /* "FR-PN": capital letters, digits, '-'; 2 to 16 bytes, a letter first */
    struct ilea_span country; /* ISO 3166-1 alpha-2, or EU, INT */
    struct ilea_span name;
    uint32_t threshold;
    uint32_t root_count;
    struct ilea_sign_public roots[ILEA_ROOTS_MAX];
    uint8_t next_roots[ILEA_HASH_SIZE];
    struct ilea_sign_public node;
    struct ilea_transport_public transport;
    struct ilea_reading_public reading;
};

struct ilea_card {
    struct ilea_span signed_manifest;
    struct ilea_span endpoint; /* "tcp://host:port", or empty: cannot be dialled */
    uint64_t made_ms;
    struct ilea_manifest manifest;
    struct ilea_agency_id agency;
    size_t size;               /* of the card's bytes */
};

/* "tcp://HOST:PORT" with a port from 1 to 65535 and no blanks; or empty. */
bool ilea_endpoint_is_valid(struct ilea_span endpoint);
bool ilea_code_is_valid(struct ilea_span code);

/* H(ROOTS ...) of a root set; `roots` is sorted in place. */
void ilea_roots_hash(uint32_t threshold, struct ilea_sign_public *roots, uint32_t count,
                     uint8_t hash[ILEA_HASH_SIZE]);

/*
 * Decode and verify a signed manifest of index 0: form, key acceptance, proof
 * of possession, threshold signatures. *manifest borrows `input`.
 *   ILEA_ERROR_MALFORMED, ILEA_ERROR_UNKNOWN, ILEA_ERROR_BAD_SIGNATURE */
ILEA_MUST_USE enum ilea_error ilea_manifest_decode(struct ilea_span input,
                                                   struct ilea_manifest *manifest,
                                                   struct ilea_agency_id *agency);

/*
 * Encode and sign. manifest->roots must be the secrets' public keys, ascending.
 *   ILEA_ERROR_LIMIT    capacity
 *   ILEA_ERROR_INVALID  a code, country or name that decode would refuse */
ILEA_MUST_USE enum ilea_error
ilea_manifest_encode(const struct ilea_manifest *manifest, const struct ilea_sign_secret *node,
                     const struct ilea_sign_secret *const *roots, uint8_t *bytes, size_t capacity,
                     size_t *size);

/* Decode and verify a card's bytes. *card borrows `input`. Errors as for a manifest. */
ILEA_MUST_USE enum ilea_error ilea_card_decode(struct ilea_span input, struct ilea_card *card);

ILEA_MUST_USE enum ilea_error
ilea_card_encode(struct ilea_span signed_manifest, struct ilea_span endpoint, uint64_t made_ms,
                 const struct ilea_network_id *network, const struct ilea_sign_secret *node,
                 uint8_t *bytes, size_t capacity, size_t *size);

/*
 * A card as text, one small file: a heading for people, the bytes in base64, an
 * end line. The heading is made from the bytes and must match them, so that
 * nobody reads one name and approves another.
 *   parse: ILEA_ERROR_MALFORMED  truncated, altered or not a card; then errors as decode.
 *   `bytes` (ILEA_CARD_SIZE_MAX) receives the decoded bytes, which *card borrows. */
ILEA_MUST_USE enum ilea_error ilea_card_format(const struct ilea_card *card, struct ilea_span bytes,
                                               char *text, size_t capacity, size_t *size);
ILEA_MUST_USE enum ilea_error ilea_card_parse(struct ilea_span text, uint8_t *bytes,
                                              struct ilea_card *card);

/* 8 groups of 5 digits for people to compare: 128 bits of H(FINGERPRINT, id), in decimal groups. */
enum { ILEA_FINGERPRINT_SIZE = 8 * 6 };
void ilea_fingerprint(const uint8_t id[ILEA_ID_SIZE], char text[ILEA_FINGERPRINT_SIZE]);

#endif
