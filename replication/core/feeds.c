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

uint32_t
add_agency(struct ilea_replicator *r, const struct ilea_agency_id *id)
{
    if (r->agency_count == ILEA_AGENCIES_MAX) return NO_INDEX;
    uint32_t index = r->agency_count++, at = index;
    r->agencies[index] = (struct agency){ .id = *id };
    for (; at > 0; at--) {
        const struct agency *before = &r->agencies[r->agency_order[at - 1]];
        if (memcmp(before->id.bytes, id->bytes, sizeof id->bytes) < 0) break;
        r->agency_order[at] = r->agency_order[at - 1];
    }
    r->agency_order[at] = index;
    return index;
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

uint32_t
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
                           .announced_by = NO_INDEX, .revived_by = NO_INDEX,
                           .limit_seq = ILEA_SEQ_NEVER };
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        r->link_feeds[i][index].probed_seq = ILEA_SEQ_NEVER;
        r->link_feeds[i][index].may_tell = true; /* there is nothing to tell yet */
    }

    uint32_t slot = slot_of(id);
    while (r->slots[slot] != 0) slot = (slot + 1) & (ILEA_FEED_SLOTS - 1);
    r->slots[slot] = index + 1;

    put_in_order(r, index, index);
    return index;
}

static void
take_from_order(struct ilea_replicator *r, uint32_t index)
{
    uint32_t at = 0;
    while (r->order[at] != index) at++;
    memmove(&r->order[at], &r->order[at + 1], (r->feed_count - at - 1) * sizeof r->order[0]);
}

static uint32_t
slot_holding(const struct ilea_replicator *r, uint32_t index)
{
    uint32_t slot = slot_of(&r->feeds[index].id);
    while (r->slots[slot] != index + 1) slot = (slot + 1) & (ILEA_FEED_SLOTS - 1);
    return slot;
}

/* Those behind an emptied slot move up, as far as they may be found from where they belong. */
static void
empty_slot(struct ilea_replicator *r, uint32_t slot)
{
    const uint32_t mask = ILEA_FEED_SLOTS - 1;
    uint32_t hole = slot;
    for (uint32_t at = (hole + 1) & mask; r->slots[at] != 0; at = (at + 1) & mask) {
        uint32_t home = slot_of(&r->feeds[r->slots[at] - 1].id);
        if (((at - home) & mask) < ((at - hole) & mask)) continue;
        r->slots[hole] = r->slots[at];
        hole = at;
    }
    r->slots[hole] = 0;
}

void
remove_feed(struct ilea_replicator *r, uint32_t index)
{
    ilea_assert(index < r->feed_count);
    forget_announcer(r, index);
    forget_reviver(r, index);
    take_from_order(r, index);
    empty_slot(r, slot_holding(r, index));
    uint32_t last = --r->feed_count;
    if (index != last) {
        r->slots[slot_holding(r, last)] = index + 1;
        uint32_t at = 0;
        while (r->order[at] != last) at++;
        r->order[at] = index;
        r->feeds[index] = r->feeds[last];
    }
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        r->link_feeds[i][index] = r->link_feeds[i][last];
        r->link_feeds[i][last] = (struct link_feed){ .remote_seq = 0 };
    }
}

void
move_feed(struct ilea_replicator *r, uint32_t index, uint32_t agency)
{
    ilea_assert(agency < r->agency_count && r->feeds[index].seq == 0);
    take_from_order(r, index);
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

void
forget_reviver(struct ilea_replicator *r, uint32_t index)
{
    struct feed *feed = &r->feeds[index];
    if (feed->revived_by != NO_INDEX) r->links[feed->revived_by].revived_feeds--;
    feed->revived_by = NO_INDEX;
}

void
set_feed(struct ilea_replicator *r, uint32_t index, const struct ilea_event_feed *from)
{
    struct feed *feed = &r->feeds[index];
    feed->origin = from->origin;
    feed->seq = feed->durable = from->seq;
    feed->head = feed->durable_head = from->head;
    feed->limit_seq = from->limit_seq;
    feed->limit_id = from->limit_id;
    memcpy(feed->fork, from->fork, sizeof feed->fork);
    feed->archived = from->archived;
    feed->archived_ms = r->now_ms;
    feed->touched = false;
    entitle_feed(r, index);
}

bool
is_zero(const uint8_t *bytes, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++) any |= bytes[i];
    return any == 0;
}

bool
is_forked(const struct feed *feed)
{
    return !is_zero(feed->fork, sizeof feed->fork);
}

uint64_t
within_limit(const struct feed *feed, uint64_t seq)
{
    return seq < feed->limit_seq ? seq : feed->limit_seq;
}

uint64_t
told_seq(const struct feed *feed)
{
    return within_limit(feed, feed->durable);
}

const struct ilea_commit_id *
told_id(const struct feed *feed)
{
    return feed->durable > feed->limit_seq ? &feed->limit_id : &feed->durable_head;
}

bool
is_listed(const struct feed *feed)
{
    return !feed->archived && told_seq(feed) > 0;
}

bool
link_follows(const struct link *link, uint32_t agency)
{
    return (link->follows[agency / 8] & (1u << agency % 8)) != 0;
}

bool
is_carried(const struct ilea_replicator *r, const struct link *link, uint32_t agency)
{
    return r->agencies[agency].followed && (link->relays || agency == 0 || agency == link->agency);
}

bool
is_shared(const struct ilea_replicator *r, const struct link *link, uint32_t agency)
{
    return is_carried(r, link, agency) && link_follows(link, agency);
}

bool
is_common(const struct ilea_replicator *r, uint32_t link, uint32_t feed)
{
    return r->link_feeds[link][feed].may_tell && is_shared(r, &r->links[link], r->feeds[feed].agency);
}

bool
is_listed_to(const struct ilea_replicator *r, uint32_t link, uint32_t feed)
{
    return r->link_feeds[link][feed].may_tell && is_listed(&r->feeds[feed]);
}

bool
is_forked_to(const struct ilea_replicator *r, uint32_t link, uint32_t feed)
{
    return r->link_feeds[link][feed].may_tell && is_forked(&r->feeds[feed]);
}
