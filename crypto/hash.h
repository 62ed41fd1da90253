/*
 * hash.h - BLAKE2b-256 with a mandatory domain.
 *
 * The hash of a sequence of parts is BLAKE2b-256 over
 *     uint8 length of the domain text || domain text || part || part ...
 * Parts of variable length are the caller's to delimit; in this project every
 * hashed sequence has at most one variable part, and it comes last.
 *
 * Threads: a hasher belongs to one thread. Nothing here fails or allocates.
 * Source: RFC 7693, as libsodium's crypto_generichash.
 */
#ifndef ILEA_CRYPTO_HASH_H
#define ILEA_CRYPTO_HASH_H

#include <sodium.h>

#include "crypto/domain.h"
#include "include/ilea/span.h"

enum { ILEA_HASH_SIZE = 32 };

struct ilea_hash { uint8_t bytes[ILEA_HASH_SIZE]; };

struct ilea_hasher { crypto_generichash_state state; };

void ilea_hash_begin(struct ilea_hasher *hasher, enum ilea_domain domain);
void ilea_hash_add(struct ilea_hasher *hasher, const void *data, size_t size);
/* Adds `value` as 8 bytes, most significant first. */
void ilea_hash_add_u64(struct ilea_hasher *hasher, uint64_t value);
/* Writes the hash; the hasher must not be used again before the next begin. */
void ilea_hash_end(struct ilea_hasher *hasher, uint8_t hash[ILEA_HASH_SIZE]);

/* sum = sum + hash, or sum - hash, mod 2^256, both most significant byte first: what a set of things adds
 * up to, in whatever order they come and go. */
void ilea_hash_sum_add(uint8_t sum[ILEA_HASH_SIZE], const uint8_t hash[ILEA_HASH_SIZE]);
void ilea_hash_sum_subtract(uint8_t sum[ILEA_HASH_SIZE], const uint8_t hash[ILEA_HASH_SIZE]);

/* begin, add one part, end. */
void ilea_hash_once(enum ilea_domain domain, const void *data, size_t size,
                    uint8_t hash[ILEA_HASH_SIZE]);

#endif
