/*
 * random.h - one seeded generator, xoshiro256** (Blackman, Vigna 2018), for every draw of a run:
 * faults, delays, texts, and, put in libsodium's place, keys and nonces. No floating point.
 */
#ifndef ILEA_SIM_RANDOM_H
#define ILEA_SIM_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_random {
    uint64_t seed; /* as given: what a failure prints */
    uint64_t state[4];
};

void sim_random_init(struct sim_random *random, uint64_t seed);
uint64_t sim_next(struct sim_random *random);
/* 0 to count - 1; 0 for a count of 0. */
uint64_t sim_below(struct sim_random *random, uint64_t count);
/* low to high, both included. */
uint64_t sim_between(struct sim_random *random, uint64_t low, uint64_t high);
/* True in so many of a thousand draws. */
bool sim_chance(struct sim_random *random, uint64_t permille);
void sim_fill(struct sim_random *random, void *bytes, size_t size);

/* Before ilea_crypto_init(): libsodium's randomness comes from the generator named last. */
void sim_random_install(void);
void sim_random_use(struct sim_random *random);
/* The seed of the run in progress, for whoever reports a crash. */
uint64_t sim_random_seed(void);

#endif
