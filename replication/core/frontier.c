/* frontier.c - finding out what the other side holds (PROTOCOL.md, "Frontier"). */
#include <string.h>

#include "crypto/assert.h"
#include "crypto/hash.h"
#include "replication/core/state.h"

/* Agencies we follow, by index; hashed in the order of their ids. */
static void
hash_follows(const struct ilea_replicator *r, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    const struct ilea_agency_id *before = NULL;
    for (;;) { /* the next higher id each time: a few dozen agencies, once a session */
        const struct ilea_agency_id *next = NULL;
        for (uint32_t i = 0; i < r->agency_count; i++) {
            const struct agency *agency = &r->agencies[i];
            if (!agency->followed || (before != NULL && memcmp(agency->id.bytes, before->bytes, ILEA_ID_SIZE) <= 0)
                || (next != NULL && memcmp(agency->id.bytes, next->bytes, ILEA_ID_SIZE) > 0)) {
                continue;
            }
            next = &agency->id;
        }
        if (next == NULL) break;
        ilea_hash_add(&hasher, next->bytes, sizeof next->bytes);
        before = next;
    }
    ilea_hash_end(&hasher, hash);
}

/* What we hold of the agencies that both follow, in the order of (agency, feed). */
static void
hash_entries(const struct ilea_replicator *r, const struct link *link, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    for (uint32_t i = 0; i < r->feed_count; i++) {
        const struct feed *feed = &r->feeds[r->order[i]];
        if (feed->durable == 0 || !is_common(r, link, feed)) continue;
        ilea_hash_add(&hasher, feed->id.bytes, sizeof feed->id.bytes);
        ilea_hash_add_u64(&hasher, feed->durable);
        ilea_hash_add(&hasher, feed->durable_head.bytes, sizeof feed->durable_head.bytes);
    }
    ilea_hash_end(&hasher, hash);
}

void
send_frontier_hash(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    if (!has_room(r, 1, 256)) {
        end_session(r, index, ILEA_ERROR_BUSY);
        return;
    }
    uint8_t follows[ILEA_HASH_SIZE], entries[ILEA_HASH_SIZE];
    hash_follows(r, follows);
    hash_entries(r, link, entries);
    struct ilea_msgpack_writer writer;
    begin_frame(r, index, ILEA_MESSAGE_FRONTIER, &writer);
    ilea_msgpack_put_array(&writer, 3);
    ilea_msgpack_put_uint(&writer, 0);
    ilea_msgpack_put_bin(&writer, follows, sizeof follows);
    ilea_msgpack_put_bin(&writer, entries, sizeof entries);
    end_frame(r, index, &writer);
}

/* How many of order[from..] that are to be told are of the same agency, at most `max`. */
static uint32_t
group_size(const struct ilea_replicator *r, uint32_t from, uint32_t max)
{
    uint32_t count = 0;
    uint32_t agency = r->feeds[r->order[from]].agency;
    for (uint32_t i = from; i < r->feed_count && count < max; i++) {
        const struct feed *feed = &r->feeds[r->order[i]];
        if (feed->agency != agency) break;
        if (feed->durable > 0) count++;
    }
    return count;
}

static bool
is_told(const struct ilea_replicator *r, uint32_t at)
{
    const struct feed *feed = &r->feeds[r->order[at]];
    return feed->durable > 0 && r->agencies[feed->agency].followed;
}

/* One FRONTIER message of the list form from order[*at] on. */
static void
send_list_part(struct ilea_replicator *r, uint32_t index, uint32_t *at)
{
    /* First count the groups, because MessagePack wants counts first. */
    uint32_t groups = 0, entries = 0, end = *at;
    while (end < r->feed_count && entries < ILEA_FRONTIER_ENTRIES_MAX) {
        if (!is_told(r, end)) {
            end++;
            continue;
        }
        uint32_t size = group_size(r, end, ILEA_FRONTIER_ENTRIES_MAX - entries);
        groups++;
        entries += size;
        for (uint32_t left = size; left > 0; end++) {
            if (is_told(r, end)) left--;
        }
    }
    while (end < r->feed_count && !is_told(r, end)) end++;

    struct ilea_msgpack_writer writer;
    begin_frame(r, index, ILEA_MESSAGE_FRONTIER, &writer);
    ilea_msgpack_put_array(&writer, 4);
    ilea_msgpack_put_uint(&writer, 1);
    ilea_msgpack_put_uint(&writer, end == r->feed_count ? 1 : 0);
    uint32_t follow_count = 0;
    for (uint32_t i = 0; i < r->agency_count; i++) follow_count += r->agencies[i].followed ? 1 : 0;
    ilea_msgpack_put_array(&writer, follow_count);
    for (uint32_t i = 0; i < r->agency_count; i++) {
        if (r->agencies[i].followed) ilea_msgpack_put_bin(&writer, r->agencies[i].id.bytes, 32);
    }
    ilea_msgpack_put_array(&writer, groups);
    for (uint32_t i = *at, left = entries; left > 0;) {
        if (!is_told(r, i)) {
            i++;
            continue;
        }
        uint32_t size = group_size(r, i, left);
        left -= size;
        ilea_msgpack_put_array(&writer, 2);
        ilea_msgpack_put_bin(&writer, r->agencies[r->feeds[r->order[i]].agency].id.bytes, 32);
        ilea_msgpack_put_array(&writer, size);
        for (; size > 0; i++) {
            if (!is_told(r, i)) continue;
            const struct feed *feed = &r->feeds[r->order[i]];
            ilea_message_put_position(&writer, &feed->id, feed->durable, &feed->durable_head);
            size--;
        }
    }
    end_frame(r, index, &writer);
    *at = end;
}

static void
send_list(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    link->list_sent = true;
    for (uint32_t i = 0; i < r->feed_count; i++) r->link_feeds[index][i].note_due = false; /* told here */
    uint32_t at = 0;
    do {
        if (!has_room(r, 1, ILEA_MESSAGE_SIZE_MAX)) {
            end_session(r, index, ILEA_ERROR_BUSY);
            return;
        }
        send_list_part(r, index, &at);
    } while (at < r->feed_count);
}

static enum ilea_error
on_hash(struct ilea_replicator *r, uint32_t index, const struct ilea_frontier_hash *theirs)
{
    struct link *link = &r->links[index];
    if (link->hash_received) return ILEA_ERROR_UNEXPECTED;
    link->hash_received = true;
    memcpy(link->told_follows_hash, theirs->follows, sizeof link->told_follows_hash);
    uint8_t entries[ILEA_HASH_SIZE];
    hash_entries(r, link, entries);
    if (memcmp(link->follows_hash, theirs->follows, sizeof link->follows_hash) != 0
        || memcmp(entries, theirs->entries, sizeof entries) != 0) {
        if (!link->list_sent) send_list(r, index);
        return ILEA_ERROR_NONE; /* and its list is on the way: it finds our hash unequal too */
    }
    for (uint32_t i = 0; i < r->feed_count; i++) { /* equal: silence */
        r->link_feeds[index][i].remote_seq =
            is_common(r, link, &r->feeds[i]) ? r->feeds[i].durable : 0;
    }
    link->synced = true;
    begin_fanout(r, index);
    return ILEA_ERROR_NONE;
}

/* A feed that the peer tells of: ours, or one we have yet to hear from. */
static uint32_t
feed_of_entry(struct ilea_replicator *r, uint32_t index, uint32_t agency,
              const struct ilea_feed_id *id)
{
    struct link *link = &r->links[index];
    uint32_t feed = find_feed(r, id);
    if (feed != NO_INDEX) { /* of one that nobody has proven, anybody may claim the agency */
        return r->feeds[feed].agency == agency || r->feeds[feed].seq == 0 ? feed : NO_INDEX;
    }
    if (link->unverified_feeds >= ILEA_UNVERIFIED_FEEDS_MAX) {
        link->list_cut = true;
        trace(r, index, ILEA_TRACE_REFUSED, ILEA_ERROR_LIMIT, id);
        return NO_INDEX;
    }
    feed = add_feed(r, id, agency);
    if (feed == NO_INDEX) {
        trace(r, index, ILEA_TRACE_REFUSED, ILEA_ERROR_FULL, id);
        return NO_INDEX;
    }
    link->unverified_feeds++;
    r->feeds[feed].announced_by = index;
    return feed;
}

static void
on_entry(struct ilea_replicator *r, uint32_t index, uint32_t agency,
         const struct ilea_position *position)
{
    uint32_t at = feed_of_entry(r, index, agency, &position->feed);
    if (at == NO_INDEX) return;
    struct feed *feed = &r->feeds[at];
    struct link_feed *state = &r->link_feeds[index][at];
    if (position->seq == feed->durable && feed->durable > 0
        && memcmp(position->id.bytes, feed->durable_head.bytes, ILEA_ID_SIZE) != 0) {
        trace(r, index, ILEA_TRACE_DIVERGED, ILEA_ERROR_DIVERGED, &feed->id);
        state->refused = true;
    }
    heard_of(r, index, at, position->seq);
}

static enum ilea_error
on_list(struct ilea_replicator *r, uint32_t index, struct ilea_frontier_list *list)
{
    struct link *link = &r->links[index];
    if (!link->hash_received) return ILEA_ERROR_UNEXPECTED;
    if (!link->list_sent) send_list(r, index);
    if (link->state != SESSION_READY) return ILEA_ERROR_NONE;

    memset(link->follows, 0, sizeof link->follows);
    for (uint32_t i = 0; i < list->follow_count; i++) {
        struct ilea_agency_id id;
        ilea_msgpack_get_bytes(&list->follows, id.bytes, sizeof id.bytes);
        uint32_t agency = find_agency(r, &id);
        if (agency != NO_INDEX) link->follows[agency / 8] |= (uint8_t)(1u << agency % 8);
    }
    if (!link->list_begun) { /* what is not listed is not held */
        link->list_begun = true;
        for (uint32_t i = 0; i < r->feed_count; i++) r->link_feeds[index][i].remote_seq = 0;
    }
    for (uint32_t i = 0; i < list->group_count; i++) {
        struct ilea_agency_id id;
        uint32_t count = ilea_frontier_group_next(&list->groups, &id);
        uint32_t agency = find_agency(r, &id);
        for (uint32_t j = 0; j < count; j++) {
            struct ilea_position position;
            ilea_position_get(&list->groups, &position);
            if (agency == NO_INDEX || !r->agencies[agency].followed) continue;
            on_entry(r, index, agency, &position);
        }
    }
    if (list->last) memcpy(link->follows_hash, link->told_follows_hash, sizeof link->follows_hash);
    if (list->last && !link->synced) {
        link->synced = true;
        begin_fanout(r, index);
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
on_frontier(struct ilea_replicator *r, uint32_t index, struct ilea_span body)
{
    bool is_hash;
    struct ilea_frontier_hash hash;
    struct ilea_frontier_list list;
    enum ilea_error error = ilea_frontier_decode(body, &is_hash, &hash, &list);
    if (error != ILEA_ERROR_NONE) return error;
    return is_hash ? on_hash(r, index, &hash) : on_list(r, index, &list);
}
