/*
 * manifest.h - an agency's signed statements of its keys, each naming the one before, and the card that
 * carries the whole chain to other agencies' admins.
 *
 *   manifest  = [ 2, network: bin 32, agency: bin 32, index, prev: bin 32, code, country, name, threshold,
 *                 [ root: bin 32 ... ], next_roots: bin 32, node: bin 32, transport: bin 32, reading: bin 32,
 *                 [ admin: bin 32 ... ], [ revoked node key: bin 32 ... ],
 *                 [ [feed: bin 32, seq, id: bin 32] ... ], pop: bin 64 ]
 *   signed    = [ manifest: bin, [ [root index, sig: bin 64] ... ] ]
 *               sig over MANIFEST_SIG, network, hash; by threshold or more of the manifest's own roots
 *   hash      = H(AGENCY, manifest)       of index 0: the agency's id
 *   pop       = signature of the node key (MANIFEST_POP) over roots, node, transport and reading key:
 *               nobody claims a node key that is not theirs
 *   next_roots= H(ROOTS, threshold as u64 || next root keys, ascending); never that of its own roots
 *   card      = [ 2, [ signed: bin ... ], endpoint, lobby, made_ms, sig: bin 64 ]
 *               the chain from index 0; sig of the last one's node key over CARD, network, H(CARD, what
 *               stands before it)
 *
 * Keys and positions ascend strictly, signatures by root index. Index 0 has zeros for agency and prev, and
 * neither revoked keys nor positions. Roots, node and admins are different keys, and the node key is not
 * among the revoked.
 *
 * A manifest follows another if the roots stay as they are (ORDINARY), or if they are those that the other
 * committed to beforehand (ROOTS). So who steals the roots can sign ORDINARY ones alone, and the ROOTS
 * manifest that the agency then makes takes the place of those: it supersedes an ORDINARY one of its index.
 */
#ifndef ILEA_RECORD_MANIFEST_H
#define ILEA_RECORD_MANIFEST_H

#include "crypto/hash.h"
#include "crypto/seal.h"
#include "crypto/sign.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "replication/record/limits.h"
#include "replication/record/statement.h"

struct ilea_manifest {
    struct ilea_network_id network;
    struct ilea_agency_id agency;    /* as it stands there: zeros at index 0 */
    struct ilea_agency_id id;        /* whose it is: `agency`, or the hash at index 0 */
    uint64_t index;
    uint8_t prev[ILEA_HASH_SIZE];    /* hash of the manifest before */
    uint8_t hash[ILEA_HASH_SIZE];
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
    uint32_t admin_count;
    struct ilea_sign_public admins[ILEA_ADMINS_MAX];   /* whose signature on a decision counts */
    uint32_t revoked_count;
    struct ilea_sign_public revoked[ILEA_REVOKED_MAX]; /* earlier node keys: their feeds end where `positions` say */
    uint32_t position_count;
    struct ilea_span positions; /* encoded, ascending by feed: where feeds end; walk with ilea_position_get() */
};

enum ilea_succession {
    ILEA_SUCCESSION_NONE = 0, /* does not follow */
    ILEA_SUCCESSION_ORDINARY, /* same roots, threshold and next roots */
    ILEA_SUCCESSION_ROOTS     /* the roots that were committed to */
};

struct ilea_card {
    uint32_t chain_count;
    struct ilea_span chain;    /* chain_count signed manifests, encoded bins, from index 0 */
    struct ilea_span endpoint; /* "tcp://host:port", or empty: cannot be dialled */
    struct ilea_span lobby;    /* where strangers may ask, as endpoint; or empty: nowhere */
    uint64_t made_ms;          /* the maker's clock: to be compared with ours by who takes the card */
    struct ilea_manifest manifest; /* the last of the chain */
    struct ilea_agency_id agency;
    uint8_t roots_hash[ILEA_HASH_SIZE]; /* H(ROOTS ...) of that manifest's roots */
    size_t size;               /* of the card's bytes */
};

/* "tcp://HOST:PORT" with a port from 1 to 65535 and no blanks; or empty. */
bool ilea_endpoint_is_valid(struct ilea_span endpoint);
bool ilea_code_is_valid(struct ilea_span code);

/* H(ROOTS ...) of a root set; `roots` is sorted in place. */
void ilea_roots_hash(uint32_t threshold, struct ilea_sign_public *roots, uint32_t count,
                     uint8_t hash[ILEA_HASH_SIZE]);

/*
 * Decode and verify one signed manifest: form, key acceptance, proof of possession, signatures of its own
 * roots. Whether it follows another is ilea_manifest_succession()'s to say. *manifest borrows `input`. Costs
 * about 70 us a signature and a key.
 *   ILEA_ERROR_MALFORMED, ILEA_ERROR_LIMIT, ILEA_ERROR_UNKNOWN, ILEA_ERROR_BAD_SIGNATURE */
ILEA_MUST_USE enum ilea_error ilea_manifest_decode(struct ilea_span input,
                                                   struct ilea_manifest *manifest);

/* How `next` follows `prev`; both decoded. */
enum ilea_succession ilea_manifest_succession(const struct ilea_manifest *prev,
                                              const struct ilea_manifest *next);

/* H(ROOTS ...) of its own roots: what the manifest before must have committed to if they are new. */
void ilea_manifest_roots_hash(const struct ilea_manifest *manifest, uint8_t hash[ILEA_HASH_SIZE]);

/* Where the manifest says that `feed` ends; false: it says nothing. *manifest decoded, its bytes still there. */
bool ilea_manifest_position(const struct ilea_manifest *manifest, const struct ilea_feed_id *feed,
                            struct ilea_position *position);

/*
 * Encode and sign. roots[i] is the secret of manifest->roots[i], NULL where it is not at hand; at least
 * `threshold` must be. manifest->positions: encoded by ilea_position_put(). Fills in hash and id; what was
 * made is decoded before it is given out.
 *   ILEA_ERROR_LIMIT      capacity
 *   ILEA_ERROR_INVALID    what decode would refuse, a secret of another key, too few secrets
 *   ILEA_ERROR_NO_MEMORY */
ILEA_MUST_USE enum ilea_error
ilea_manifest_encode(struct ilea_manifest *manifest, const struct ilea_sign_secret *node,
                     const struct ilea_sign_secret *const *roots, uint8_t *bytes, size_t capacity,
                     size_t *size);

/* Decode and verify a card's bytes: the whole chain, and the card's own signature. *card borrows `input`.
 * Errors as for a manifest; MALFORMED also where the manifests do not follow each other. */
ILEA_MUST_USE enum ilea_error ilea_card_decode(struct ilea_span input, struct ilea_card *card);

/*
 * chain: `count` signed manifests from index 0; node: the key of the last.
 *   ILEA_ERROR_LIMIT    capacity
 *   ILEA_ERROR_INVALID  an endpoint, a chain or a key that decode would refuse */
ILEA_MUST_USE enum ilea_error
ilea_card_encode(const struct ilea_span *chain, uint32_t count, struct ilea_span endpoint,
                 struct ilea_span lobby, uint64_t made_ms, const struct ilea_sign_secret *node,
                 uint8_t *bytes, size_t capacity, size_t *size);

/*
 * A card as text, one small file: a heading for people, the bytes in base64, an
 * end line. The heading is made from the bytes and must match them, so that
 * nobody reads one name and approves another.
 *   parse: ILEA_ERROR_MALFORMED  truncated, altered or not a card; then errors as decode; NO_MEMORY.
 *   A text takes less than 2 * ILEA_CARD_SIZE_MAX bytes. `bytes` (ILEA_CARD_SIZE_MAX) receives the decoded
 *   bytes, which *card borrows. */
ILEA_MUST_USE enum ilea_error ilea_card_format(const struct ilea_card *card, struct ilea_span bytes,
                                               char *text, size_t capacity, size_t *size);
ILEA_MUST_USE enum ilea_error ilea_card_parse(struct ilea_span text, uint8_t *bytes,
                                              struct ilea_card *card);

/* 8 groups of 5 digits for people to compare: 128 bits of H(FINGERPRINT, id), in decimal groups. */
enum { ILEA_FINGERPRINT_SIZE = 8 * 6 };
void ilea_fingerprint(const uint8_t id[ILEA_ID_SIZE], char text[ILEA_FINGERPRINT_SIZE]);

#endif
