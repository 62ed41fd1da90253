/*
 * sas.h - the short code that two admins read to each other, so that each knows that the other's node
 * holds the keys that are on the other's card.
 *
 *   side       = agency id 32 || manifest hash 32 || nonce 32, of one of the two
 *   commitment = H(SAS, u64(1) || side)
 *   code       = of the first 12 bytes of H(SAS, u64(2) || lower side || higher side) (as bytes), or, offline,
 *                of Argon2id over that hash: salt = the first 16 bytes of H(SAS, u64(3)), 8 passes, 64 MiB
 *   digits     = the first 8 bytes, as a number, modulo 10^8; words = one for each of the other 4 bytes
 *
 * Online one side commits to its nonce before it sees the other's, so whoever stands between two nodes has
 * one guess a try: 1 in 10^8 by the digits alone. Offline the nonces are zeros, and somebody who makes keys
 * until two codes agree needs about 2 * 10^4 tries for the digits and 2^30 for digits and words: each is made
 * slow, and the words must be read too.
 *
 * Pure; public values only. Threads: any.
 */
#ifndef ILEA_CRYPTO_SAS_H
#define ILEA_CRYPTO_SAS_H

#include "crypto/hash.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"

enum {
    ILEA_SAS_NONCE_SIZE = 32,
    ILEA_SAS_DIGITS = 8,
    ILEA_SAS_WORDS = 4,
    ILEA_SAS_WORD_SIZE_MAX = 6
};

struct ilea_sas_side {
    struct ilea_agency_id agency;
    uint8_t manifest[ILEA_HASH_SIZE];     /* hash of its newest manifest */
    uint8_t nonce[ILEA_SAS_NONCE_SIZE];   /* zeros offline */
};

struct ilea_sas {
    char digits[ILEA_SAS_DIGITS + 1];
    const char *words[ILEA_SAS_WORDS];    /* static storage */
};

/* A word of the list, static storage. */
const char *ilea_sas_word(uint8_t number);

void ilea_sas_commitment(const struct ilea_sas_side *side, uint8_t commitment[ILEA_HASH_SIZE]);

/* The code of two sides, in any order. */
void ilea_sas_online(const struct ilea_sas_side *one, const struct ilea_sas_side *other,
                     struct ilea_sas *sas);
/* The code of two manifests; the nonces must be zeros. About 0.2 s and 64 MiB, for the time of the call.
 *   ILEA_ERROR_NO_MEMORY */
ILEA_MUST_USE enum ilea_error ilea_sas_offline(const struct ilea_sas_side *one,
                                               const struct ilea_sas_side *other,
                                               struct ilea_sas *sas);

/* What a person typed against a code. Blanks and '-' between the digits do not matter; the words may
 * follow, all of them, in any case. */
enum ilea_sas_match {
    ILEA_SAS_EQUAL,
    ILEA_SAS_DIFFERENT,
    ILEA_SAS_BAD_LENGTH   /* not eight digits, or not four words behind them */
};
enum ilea_sas_match ilea_sas_compare(const struct ilea_sas *sas, const char *typed);

#endif
