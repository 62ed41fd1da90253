/*
 * lobby_bucket.h - how often something may happen: token buckets, one alone or one for each source address,
 * in a table of fixed size. Pure: the time is given.
 */
#ifndef ILEA_NODE_LOBBY_BUCKET_H
#define ILEA_NODE_LOBBY_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* `burst` at once, then one every period_ms. */
struct ilea_rate {
    uint32_t burst;
    uint32_t period_ms;
};

/* Zeroed: full at the first take. */
struct ilea_bucket {
    uint64_t filled_ms; /* when it is, or was, full; 0: never used */
};

/* Take one token; false: there is none. */
bool ilea_bucket_take(struct ilea_bucket *bucket, const struct ilea_rate *rate, uint64_t now_ms);
/* Give one back that was taken for nothing. */
void ilea_bucket_return(struct ilea_bucket *bucket, const struct ilea_rate *rate);

enum { ILEA_SOURCE_SETS = 256, ILEA_SOURCE_WAYS = 4 };

/*
 * Who connects: an IPv4 address, or the first 64 bits of an IPv6 address, which is what one customer gets.
 * A source that was not heard of for longest gives way to a new one of the same set, and then begins with a
 * full bucket again: what all sources together may do is another bucket's to bound.
 */
struct ilea_sources {
    uint64_t seed; /* random: nobody can choose addresses that push others out */
    struct {
        uint64_t source;
        uint64_t used_ms;
        struct ilea_bucket bucket;
    } ways[ILEA_SOURCE_SETS][ILEA_SOURCE_WAYS];
};

/* `address` 4 or 16 bytes. IPv4 within IPv6 is IPv4. Never 0. */
uint64_t ilea_source_of(const uint8_t *address, unsigned size);

/* The bucket of a source, valid until the next call. */
struct ilea_bucket *ilea_sources_bucket(struct ilea_sources *sources, uint64_t source, uint64_t now_ms);

#endif
