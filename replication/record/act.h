/*
 * act.h - decisions of an agency's admins, and the entries of the audit feed that keeps them.
 *
 *   act   = [ 1, agency (our own): bin 32, nonce: bin 16, made_ms, kind: str, subject: bin 0 or 32,
 *             [ [key: str, value: str] ... ] ]
 *           hash = H(ACT, act); each admin signs it (ADMIN_SIG, network, hash)
 *   entry = [ 1, seq, prev: bin 32, time_ms, act: bin, [ [admin: bin 32, sig: bin 64] ... ], node_sig: bin 64 ]
 *           hash = H(AUDIT, entry); node_sig of the node key over AUDIT_SIG, network, H(AUDIT, what stands before it)
 *
 * Kinds and keys are 1 to 32 bytes of a-z, '.' and '-'; values text of up to 1000 bytes. Pairs ascend by key,
 * signatures by admin. The audit feed is local and hash-chained: seq from 1, prev the hash of the entry
 * before, zeros at 1. The nonce keeps the signatures for one decision from serving for an equal one later.
 */
#ifndef ILEA_RECORD_ACT_H
#define ILEA_RECORD_ACT_H

#include "crypto/hash.h"
#include "crypto/sign.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"

enum {
    ILEA_ACT_SIZE_MAX = 16 * 1024,
    ILEA_ACT_PAIRS_MAX = 32,
    ILEA_ACT_KIND_MAX = 32,   /* of a key, too */
    ILEA_ACT_VALUE_MAX = 1000,
    ILEA_ACT_SIGS_MAX = 16,
    ILEA_ACT_NONCE_SIZE = 16,
    ILEA_ENTRY_SIZE_MAX = 24 * 1024
};

struct ilea_act_pair {
    struct ilea_span key, value;
};

struct ilea_act {
    struct ilea_agency_id agency;        /* whose act it is: our own agency */
    uint8_t nonce[ILEA_ACT_NONCE_SIZE];  /* random */
    uint64_t made_ms;                    /* wall clock, for people */
    struct ilea_span kind;               /* "peer.approve" */
    bool has_subject;
    struct ilea_agency_id subject;       /* the agency it is about */
    uint32_t pair_count;
    struct ilea_act_pair pairs[ILEA_ACT_PAIRS_MAX]; /* ascending by key */
    uint8_t hash[ILEA_HASH_SIZE];
};

/* *act borrows `input`. ILEA_ERROR_MALFORMED, ILEA_ERROR_LIMIT, ILEA_ERROR_UNKNOWN */
ILEA_MUST_USE enum ilea_error ilea_act_decode(struct ilea_span input, struct ilea_act *act);

/*
 * Encode; sorts the pairs and fills in the hash.
 *   ILEA_ERROR_INVALID  what decode would refuse; a key twice
 *   ILEA_ERROR_LIMIT    capacity, or more than ILEA_ACT_SIZE_MAX */
ILEA_MUST_USE enum ilea_error ilea_act_encode(struct ilea_act *act, uint8_t *bytes, size_t capacity,
                                              size_t *size);

/* The value of a key; data NULL: it is not there. */
struct ilea_span ilea_act_value(const struct ilea_act *act, const char *key);

/* Of a decoded or encoded act: its hash. */
void ilea_act_sign(const struct ilea_act *act, const struct ilea_network_id *network,
                   const struct ilea_sign_secret *admin, struct ilea_signature *sig);
ILEA_MUST_USE bool ilea_act_verify(const struct ilea_act *act, const struct ilea_network_id *network,
                                   const struct ilea_sign_public *admin,
                                   const struct ilea_signature *sig);

struct ilea_act_signature {
    struct ilea_sign_public admin;
    struct ilea_signature sig;
};

/* One entry of the audit feed. */
struct ilea_audit_entry {
    uint64_t seq;
    uint8_t prev[ILEA_HASH_SIZE];
    uint64_t time_ms;                    /* wall clock when it was written, for people */
    struct ilea_span act_bytes;
    struct ilea_act act;                 /* borrows act_bytes */
    uint32_t sig_count;
    struct ilea_act_signature sigs[ILEA_ACT_SIGS_MAX]; /* ascending by admin */
    struct ilea_signature node_sig;
    uint8_t hash[ILEA_HASH_SIZE];
};

/* Form alone, the act's included; no signature is looked at. *entry borrows `input`.
 * ILEA_ERROR_MALFORMED, ILEA_ERROR_LIMIT, ILEA_ERROR_UNKNOWN */
ILEA_MUST_USE enum ilea_error ilea_entry_decode(struct ilea_span input, struct ilea_audit_entry *entry);

/* node_sig. `input` is what *entry was decoded from. The admins' signatures: ilea_act_verify(), by those whose
 * admins they were then. */
ILEA_MUST_USE bool ilea_entry_verify(const struct ilea_audit_entry *entry, struct ilea_span input,
                                     const struct ilea_network_id *network,
                                     const struct ilea_sign_public *node);

/*
 * Encode and sign; given are seq, prev, time_ms, act_bytes and the signatures, which are sorted here. Fills in
 * act, node_sig and hash.
 *   ILEA_ERROR_INVALID  what decode would refuse; an admin twice
 *   ILEA_ERROR_LIMIT    capacity (ILEA_ENTRY_SIZE_MAX is enough) */
ILEA_MUST_USE enum ilea_error ilea_entry_encode(struct ilea_audit_entry *entry,
                                                const struct ilea_network_id *network,
                                                const struct ilea_sign_secret *node, uint8_t *bytes,
                                                size_t capacity, size_t *size);

#endif
