#include "tests/sim/random.h"

#include <sodium.h>
#include <string.h>

#include "crypto/assert.h"

/* libsodium's callbacks carry no context: the one mutable global of the simulator. */
static struct sim_random *current;

void
sim_random_init(struct sim_random *random, uint64_t seed)
{
    random->seed = seed;
    for (int i = 0; i < 4; i++) { /* splitmix64, as the generator's authors advise */
        uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        random->state[i] = z ^ z >> 31;
    }
}

static uint64_t
rotate(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

uint64_t
sim_next(struct sim_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t
sim_below(struct sim_random *random, uint64_t count)
{
    uint64_t value = sim_next(random);
    return count == 0 ? 0 : value % count; /* the bias is no matter here */
}

uint64_t
sim_between(struct sim_random *random, uint64_t low, uint64_t high)
{
    ilea_assert(low <= high);
    return low + sim_below(random, high - low + 1);
}

bool
sim_chance(struct sim_random *random, uint64_t permille)
{
    return sim_below(random, 1000) < permille;
}

void
sim_fill(struct sim_random *random, void *bytes, size_t size)
{
    uint8_t *at = bytes;
    while (size > 0) {
        uint64_t value = sim_next(random);
        size_t part = size < sizeof value ? size : sizeof value;
        memcpy(at, &value, part);
        at += part;
        size -= part;
    }
}

static const char *
implementation_name(void)
{
    return "simulator";
}

static uint32_t
implementation_random(void)
{
    return (uint32_t)sim_next(current);
}

static void
implementation_fill(void *const bytes, const size_t size)
{
    sim_fill(current, bytes, size);
}

void
sim_random_install(void)
{
    static struct randombytes_implementation implementation = {
        .implementation_name = implementation_name,
        .random = implementation_random,
        .buf = implementation_fill,
    };
    int failed = randombytes_set_implementation(&implementation);
    ilea_assert(failed == 0);
}

void
sim_random_use(struct sim_random *random)
{
    current = random;
}

uint64_t
sim_random_seed(void)
{
    return current != NULL ? current->seed : 0;
}
