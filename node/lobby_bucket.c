#include "node/lobby_bucket.h"

#include <string.h>

#include "crypto/assert.h"

bool
ilea_bucket_take(struct ilea_bucket *bucket, const struct ilea_rate *rate, uint64_t now_ms)
{
    uint64_t depth_ms = (uint64_t)rate->burst * rate->period_ms;
    uint64_t filled_ms = bucket->filled_ms > now_ms ? bucket->filled_ms : now_ms;
    if (filled_ms + rate->period_ms > now_ms + depth_ms) return false;
    bucket->filled_ms = filled_ms + rate->period_ms;
    return true;
}

void
ilea_bucket_return(struct ilea_bucket *bucket, const struct ilea_rate *rate)
{
    if (bucket->filled_ms >= rate->period_ms) bucket->filled_ms -= rate->period_ms;
}

uint64_t
ilea_source_of(const uint8_t *address, unsigned size)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    ilea_assert(size == 4 || size == 16);
    bool is_ipv4 = size == 4 || memcmp(address, mapped, sizeof mapped) == 0;
    uint64_t source = 0;
    if (is_ipv4) { /* where no network has its addresses */
        const uint8_t *bytes = size == 4 ? address : address + sizeof mapped;
        for (int i = 0; i < 4; i++) source = source << 8 | bytes[i];
        return source | UINT64_C(0xffff) << 32;
    }
    for (int i = 0; i < 8; i++) source = source << 8 | address[i];
    return source != 0 ? source : 1;
}

struct ilea_bucket *
ilea_sources_bucket(struct ilea_sources *sources, uint64_t source, uint64_t now_ms)
{
    uint64_t mixed = (source ^ sources->seed) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 32) * UINT64_C(0xd6e8feb86659fd93);
    uint64_t set = mixed >> 56;
    unsigned oldest = 0;
    for (unsigned way = 0; way < ILEA_SOURCE_WAYS; way++) {
        if (sources->ways[set][way].source == source) {
            sources->ways[set][way].used_ms = now_ms;
            return &sources->ways[set][way].bucket;
        }
        if (sources->ways[set][way].used_ms < sources->ways[set][oldest].used_ms) oldest = way;
    }
    sources->ways[set][oldest].source = source;
    sources->ways[set][oldest].used_ms = now_ms;
    sources->ways[set][oldest].bucket = (struct ilea_bucket){ 0 };
    return &sources->ways[set][oldest].bucket;
}
