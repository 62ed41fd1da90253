/* feeds.c - the tables of agencies and feeds. */
#include <string.h>

#include "crypto/assert.h"
#include "replication/core/state.h"

uint32_t
find_agency(const struct ilea_replicator *r, const struct ilea_agency_id *id)
{
    for (uint32_t i = 0; i < r->agency_count; i++) {
        if (memcmp(r->agencies[i].id.bytes, id->bytes, sizeof id->bytes) == 0) return i;
    }
    return NO_INDEX;
}

/* Feed ids are hashes, so their first bytes serve as one. */
static uint32_t
slot_of(const struct ilea_feed_id *id)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value = value << 8 | id->bytes[i];
    return value & (ILEA_FEED_SLOTS - 1);
}

uint32_t
find_feed(const struct ilea_replicator *r, const struct ilea_feed_id *id)
{
    for (uint32_t slot = slot_of(id); r->slots[slot] != 0; slot = (slot + 1) & (ILEA_FEED_SLOTS - 1)) {
        uint32_t index = r->slots[slot] - 1;
        if (memcmp(r->feeds[index].id.bytes, id->bytes, sizeof id->bytes) == 0) return index;
    }
    return NO_INDEX;
}

static bool
comes_before(const struct ilea_replicator *r, const struct feed *a, const struct feed *b)
{
    int order = memcmp(r->agencies[a->agency].id.bytes, r->agencies[b->agency].id.bytes, ILEA_ID_SIZE);
    if (order == 0) order = memcmp(a->id.bytes, b->id.bytes, ILEA_ID_SIZE);
    return order < 0;
}

/* Put the feed in its place among the first `count` of order[]. */
static void
put_in_order(struct ilea_replicator *r, uint32_t index, uint32_t count)
{
    uint32_t at = count;
    while (at > 0 && comes_before(r, &r->feeds[index], &r->feeds[r->order[at - 1]])) at--;
    memmove(&r->order[at + 1], &r->order[at], (count - at) * sizeof r->order[0]);
    r->order[at] = index;
}

static uint32_t
count_feeds(const struct ilea_replicator *r, uint32_t agency)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->feed_count; i++) count += r->feeds[i].agency == agency ? 1 : 0;
    return count;
}

uint32_t
add_feed(struct ilea_replicator *r, const struct ilea_feed_id *id, uint32_t agency)
{
    ilea_assert(agency < r->agency_count);
    if (r->feed_count == ILEA_FEEDS_MAX || (agency != 0 && count_feeds(r, agency) >= ILEA_AGENCY_FEEDS_MAX)) {
        return NO_INDEX;
    }
    uint32_t index = r->feed_count++;
    struct feed *feed = &r->feeds[index];
    *feed = (struct feed){ .id = *id, .agency = agency, .eager_link = NO_INDEX,
                           .announced_by = NO_INDEX };

    uint32_t slot = slot_of(id);
    while (r->slots[slot] != 0) slot = (slot + 1) & (ILEA_FEED_SLOTS - 1);
    r->slots[slot] = index + 1;

    put_in_order(r, index, index);
    return index;
}

void
move_feed(struct ilea_replicator *r, uint32_t index, uint32_t agency)
{
    ilea_assert(agency < r->agency_count && r->feeds[index].seq == 0);
    uint32_t at = 0;
    while (r->order[at] != index) at++;
    memmove(&r->order[at], &r->order[at + 1], (r->feed_count - at - 1) * sizeof r->order[0]);
    r->feeds[index].agency = agency;
    put_in_order(r, index, r->feed_count - 1);
}

void
forget_announcer(struct ilea_replicator *r, uint32_t index)
{
    struct feed *feed = &r->feeds[index];
    if (feed->announced_by != NO_INDEX) r->links[feed->announced_by].unverified_feeds--;
    feed->announced_by = NO_INDEX;
}

bool
link_follows(const struct link *link, uint32_t agency)
{
    return (link->follows[agency / 8] & (1u << agency % 8)) != 0;
}

bool
is_common(const struct ilea_replicator *r, const struct link *link, const struct feed *feed)
{
    return r->agencies[feed->agency].followed && link_follows(link, feed->agency);
}
