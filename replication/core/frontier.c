/* frontier.c - finding out what the other side holds (PROTOCOL.md, "Frontier"). */
#include <string.h>

#include "crypto/assert.h"
#include "crypto/hash.h"
#include "replication/core/state.h"

/* Whose feeds may go over the link, by id. */
static void
hash_follows(const struct ilea_replicator *r, const struct link *link, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    for (uint32_t i = 0; i < r->agency_count; i++) {
        uint32_t agency = r->agency_order[i];
        if (!is_carried(r, link, agency)) continue;
        ilea_hash_add(&hasher, r->agencies[agency].id.bytes, ILEA_ID_SIZE);
    }
    ilea_hash_end(&hasher, hash);
}

/* The end of the agency's feeds in order[], which begin at `from`. */
static uint32_t
end_of_agency(const struct ilea_replicator *r, uint32_t agency, uint32_t from)
{
    while (from < r->feed_count && r->feeds[r->order[from]].agency == agency) from++;
    return from;
}

static uint32_t
count_forks(const struct ilea_replicator *r, uint32_t index, uint32_t from, uint32_t end)
{
    uint32_t count = 0;
    for (uint32_t i = from; i < end; i++) count += is_forked_to(r, index, r->order[i]) ? 1 : 0;
    return count;
}

static uint32_t
count_listed(const struct ilea_replicator *r, uint32_t index, uint32_t from, uint32_t end)
{
    uint32_t count = 0;
    for (uint32_t i = from; i < end; i++) count += is_listed_to(r, index, r->order[i]) ? 1 : 0;
    return count;
}

static void
hash_agency(const struct ilea_replicator *r, uint32_t index, struct ilea_hasher *hasher, uint32_t of,
            uint32_t from, uint32_t end)
{
    const struct agency *agency = &r->agencies[of];
    ilea_hash_add(hasher, agency->id.bytes, sizeof agency->id.bytes);
    ilea_hash_add_u64(hasher, agency->manifest_index);
    ilea_hash_add(hasher, agency->manifest_hash, sizeof agency->manifest_hash);
    ilea_hash_add_u64(hasher, agency->archive.count);
    ilea_hash_add(hasher, agency->archive.sum, sizeof agency->archive.sum);
    ilea_hash_add_u64(hasher, count_forks(r, index, from, end));
    for (uint32_t i = from; i < end; i++) {
        const struct feed *feed = &r->feeds[r->order[i]];
        if (!is_forked_to(r, index, r->order[i])) continue;
        ilea_hash_add(hasher, feed->id.bytes, sizeof feed->id.bytes);
        ilea_hash_add(hasher, feed->fork, sizeof feed->fork);
    }
    ilea_hash_add_u64(hasher, count_listed(r, index, from, end));
    for (uint32_t i = from; i < end; i++) {
        const struct feed *feed = &r->feeds[r->order[i]];
        if (!is_listed_to(r, index, r->order[i])) continue;
        ilea_hash_add(hasher, feed->id.bytes, sizeof feed->id.bytes);
        ilea_hash_add_u64(hasher, told_seq(feed));
        ilea_hash_add(hasher, told_id(feed)->bytes, ILEA_ID_SIZE);
    }
}

/* What we hold of the agencies that both follow, and the peer may be told of. */
static void
hash_entries(const struct ilea_replicator *r, uint32_t index, uint8_t hash[ILEA_HASH_SIZE])
{
    const struct link *link = &r->links[index];
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    for (uint32_t i = 0, from = 0; i < r->agency_count; i++) {
        uint32_t agency = r->agency_order[i], end = end_of_agency(r, agency, from);
        if (is_shared(r, link, agency)) hash_agency(r, index, &hasher, agency, from, end);
        from = end;
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
    hash_follows(r, link, follows);
    hash_entries(r, index, entries);
    struct ilea_msgpack_writer writer;
    begin_frame(r, index, ILEA_MESSAGE_FRONTIER, &writer);
    ilea_msgpack_put_array(&writer, 3);
    ilea_msgpack_put_uint(&writer, ILEA_FRONTIER_HASH);
    ilea_msgpack_put_bin(&writer, follows, sizeof follows);
    ilea_msgpack_put_bin(&writer, entries, sizeof entries);
    end_frame(r, index, &writer);
}

/* Where the next part of a list begins: in order[], among the feeds of agency_order[agency]. */
struct cursor { uint32_t agency, feed; };

/* One group: feeds of an agency from order[from] to before order[end]. */
struct group { uint32_t agency, from, end; };

/* MessagePack wants counts first, so a part is planned before it is written. */
static uint32_t
plan_part(const struct ilea_replicator *r, uint32_t index, struct cursor *at,
          struct group groups[ILEA_AGENCIES_MAX])
{
    const struct link *link = &r->links[index];
    uint32_t count = 0, room = ILEA_FRONTIER_ENTRIES_MAX;
    while (at->agency < r->agency_count && count < ILEA_AGENCIES_MAX) {
        uint32_t agency = r->agency_order[at->agency], end = end_of_agency(r, agency, at->feed);
        bool whole = true;
        if (is_carried(r, link, agency)) {
            struct group group = { agency, at->feed, at->feed };
            for (; group.end < end; group.end++) {
                uint32_t feed = r->order[group.end];
                uint32_t weight = (is_forked_to(r, index, feed) ? 1u : 0u) + (is_listed_to(r, index, feed) ? 1u : 0u);
                if (weight > room) break;
                room -= weight;
            }
            groups[count++] = group;
            whole = group.end == end;
            end = group.end;
        }
        at->feed = end;
        if (!whole) break;
        at->agency++;
    }
    return count;
}

static void
put_group(const struct ilea_replicator *r, uint32_t index, struct ilea_msgpack_writer *writer,
          const struct group *group)
{
    const struct agency *agency = &r->agencies[group->agency];
    ilea_message_put_group_head(writer, &agency->id, agency->manifest_index, agency->manifest_hash,
                                &agency->archive);
    ilea_msgpack_put_array(writer, count_forks(r, index, group->from, group->end));
    for (uint32_t i = group->from; i < group->end; i++) {
        const struct feed *feed = &r->feeds[r->order[i]];
        if (!is_forked_to(r, index, r->order[i])) continue;
        ilea_msgpack_put_array(writer, 2);
        ilea_msgpack_put_bin(writer, feed->id.bytes, sizeof feed->id.bytes);
        ilea_msgpack_put_bin(writer, feed->fork, sizeof feed->fork);
    }
    ilea_msgpack_put_array(writer, count_listed(r, index, group->from, group->end));
    for (uint32_t i = group->from; i < group->end; i++) {
        const struct feed *feed = &r->feeds[r->order[i]];
        if (!is_listed_to(r, index, r->order[i])) continue;
        ilea_message_put_position(writer, &feed->id, told_seq(feed), told_id(feed));
    }
}

static void
put_follows(const struct ilea_replicator *r, const struct link *link, struct ilea_msgpack_writer *writer)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->agency_count; i++) count += is_carried(r, link, i) ? 1 : 0;
    ilea_msgpack_put_array(writer, count);
    for (uint32_t i = 0; i < r->agency_count; i++) {
        if (is_carried(r, link, i)) ilea_msgpack_put_bin(writer, r->agencies[i].id.bytes, ILEA_ID_SIZE);
    }
}

static void
send_list(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    link->list_sent = true;
    for (uint32_t i = 0; i < r->feed_count; i++) r->link_feeds[index][i].note_due = false; /* told here */
    struct cursor at = { 0, 0 };
    do {
        if (!has_room(r, 1, ILEA_MESSAGE_SIZE_MAX)) {
            end_session(r, index, ILEA_ERROR_BUSY);
            return;
        }
        struct group groups[ILEA_AGENCIES_MAX];
        uint32_t count = plan_part(r, index, &at, groups);
        struct ilea_msgpack_writer writer;
        begin_frame(r, index, ILEA_MESSAGE_FRONTIER, &writer);
        ilea_msgpack_put_array(&writer, 4);
        ilea_msgpack_put_uint(&writer, ILEA_FRONTIER_LIST);
        ilea_msgpack_put_uint(&writer, at.agency == r->agency_count ? 1 : 0);
        put_follows(r, link, &writer);
        ilea_msgpack_put_array(&writer, count);
        for (uint32_t i = 0; i < count; i++) put_group(r, index, &writer, &groups[i]);
        end_frame(r, index, &writer);
    } while (at.agency < r->agency_count);
}

/* We know what the peer holds: what it lacks can go to it, and what we lack can be asked for. */
static void
become_synced(struct ilea_replicator *r, uint32_t index)
{
    r->links[index].synced = true;
    begin_trust(r, index);
    begin_archives(r, index);
    begin_fanout(r, index);
    ask_archives(r, index);
}

/* The peer holds what we hold of all that both follow. */
static void
take_as_equal(struct ilea_replicator *r, uint32_t index)
{
    const struct link *link = &r->links[index];
    for (uint32_t i = 0; i < r->agency_count; i++) {
        struct link_agency *state = &r->link_agencies[index][i];
        const struct agency *agency = &r->agencies[i];
        state->told = is_shared(r, link, i);
        state->manifest_index = agency->manifest_index;
        memcpy(state->manifest_hash, agency->manifest_hash, sizeof state->manifest_hash);
        state->archive = agency->archive;
        state->archived_count = agency->archive.count;
    }
    for (uint32_t i = 0; i < r->feed_count; i++) {
        const struct feed *feed = &r->feeds[i];
        bool is_held = is_common(r, index, i);
        r->link_feeds[index][i].remote_seq = is_held ? told_seq(feed) : 0;
        r->link_feeds[index][i].fork_known = is_held && is_forked(feed);
    }
}

static enum ilea_error
on_hash(struct ilea_replicator *r, uint32_t index, const struct ilea_frontier_hash *theirs)
{
    struct link *link = &r->links[index];
    if (link->hash_received) return ILEA_ERROR_UNEXPECTED;
    link->hash_received = true;
    memcpy(link->told_follows_hash, theirs->follows, sizeof link->told_follows_hash);
    uint8_t entries[ILEA_HASH_SIZE];
    hash_entries(r, index, entries);
    if (memcmp(link->follows_hash, theirs->follows, sizeof link->follows_hash) != 0
        || memcmp(entries, theirs->entries, sizeof entries) != 0) {
        if (!link->list_sent) send_list(r, index);
        return ILEA_ERROR_NONE; /* and its list is on the way: it finds our hash unequal too */
    }
    take_as_equal(r, index); /* silence */
    become_synced(r, index);
    return ILEA_ERROR_NONE;
}

/* A feed that the peer tells of: ours, or one we have yet to hear from. NO_INDEX: there is nothing to do. */
static uint32_t
feed_of_entry(struct ilea_replicator *r, uint32_t index, uint32_t agency,
              const struct ilea_position *position)
{
    struct link *link = &r->links[index];
    uint32_t feed = find_feed(r, &position->feed);
    if (feed == NO_INDEX && is_settled_entry(r, index, agency, position, &feed)) return NO_INDEX;
    if (feed != NO_INDEX && r->feeds[feed].archived && r->feeds[feed].seq == position->seq) {
        count_as_archived(r, index, agency, position);
    }
    if (feed != NO_INDEX) { /* of one that nobody has proven, anybody may claim the agency */
        return r->feeds[feed].agency == agency || r->feeds[feed].seq == 0 ? feed : NO_INDEX;
    }
    if (link->unverified_feeds >= ILEA_UNVERIFIED_FEEDS_MAX) {
        link->list_cut = true;
        trace(r, index, ILEA_TRACE_REFUSED, ILEA_ERROR_LIMIT, &position->feed);
        return NO_INDEX;
    }
    feed = add_feed(r, &position->feed, agency);
    if (feed == NO_INDEX) {
        trace(r, index, ILEA_TRACE_REFUSED, ILEA_ERROR_FULL, &position->feed);
        return NO_INDEX;
    }
    link->unverified_feeds++;
    r->feeds[feed].announced_by = index;
    return feed;
}

void
on_entry(struct ilea_replicator *r, uint32_t index, uint32_t at, const struct ilea_position *position)
{
    if (!has_same_history(r, at, position->seq, &position->id)) on_diverged(r, index, at, position->seq);
    heard_of(r, index, at, position->seq);
}

/* What the peer says of one agency, or of a part of its feeds. */
static void
on_group(struct ilea_replicator *r, uint32_t index, struct ilea_frontier_group *group)
{
    struct link *link = &r->links[index];
    uint32_t agency = find_agency(r, &group->agency);
    if (agency == NO_INDEX || !is_carried(r, link, agency)) return;
    struct link_agency *state = &r->link_agencies[index][agency];
    if (!state->told) {
        state->told = true;
        state->manifest_index = group->manifest_index;
        memcpy(state->manifest_hash, group->manifest_hash, sizeof state->manifest_hash);
        state->archive = group->archive;
        state->archived_count = group->archive.count;
    }
    for (uint32_t i = 0; i < group->fork_count; i++) {
        struct ilea_feed_id id;
        uint8_t hash[ILEA_HASH_SIZE];
        ilea_frontier_fork_next(&group->forks, &id, hash);
        uint32_t feed = find_feed(r, &id);
        if (feed == NO_INDEX) continue;
        if (memcmp(hash, r->feeds[feed].fork, sizeof hash) == 0) r->link_feeds[index][feed].fork_known = true;
    }
    for (uint32_t i = 0; i < group->entry_count; i++) {
        struct ilea_position position;
        ilea_position_get(&group->entries, &position);
        uint32_t feed = feed_of_entry(r, index, agency, &position);
        if (feed != NO_INDEX) on_entry(r, index, feed, &position);
    }
}

/* What is not listed is not held. */
static void
begin_list(struct ilea_replicator *r, uint32_t index)
{
    r->links[index].list_begun = true;
    for (uint32_t i = 0; i < r->agency_count; i++) r->link_agencies[index][i].told = false;
    for (uint32_t i = 0; i < r->feed_count; i++) {
        r->link_feeds[index][i].remote_seq = 0;
        r->link_feeds[index][i].fork_known = false;
    }
}

static enum ilea_error
on_list(struct ilea_replicator *r, uint32_t index, struct ilea_frontier_list *list)
{
    struct link *link = &r->links[index];
    if (!link->list_sent) send_list(r, index);
    if (link->state != SESSION_READY) return ILEA_ERROR_NONE;

    memset(link->follows, 0, sizeof link->follows);
    for (uint32_t i = 0; i < list->follow_count; i++) {
        struct ilea_agency_id id;
        ilea_msgpack_get_bytes(&list->follows, id.bytes, sizeof id.bytes);
        uint32_t agency = find_agency(r, &id);
        if (agency != NO_INDEX) link->follows[agency / 8] |= (uint8_t)(1u << agency % 8);
    }
    if (!link->list_begun) begin_list(r, index);
    for (uint32_t i = 0; i < list->group_count; i++) {
        struct ilea_frontier_group group;
        ilea_frontier_group_next(&list->groups, &group);
        on_group(r, index, &group);
    }
    if (list->last) memcpy(link->follows_hash, link->told_follows_hash, sizeof link->follows_hash);
    if (!list->last) return ILEA_ERROR_NONE;
    if (!link->synced) {
        become_synced(r, index);
    } else { /* we took its hash as equal; what it holds has changed since, and is told here and nowhere else */
        begin_trust(r, index);
        begin_archives(r, index);
        ask_archives(r, index);
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
on_frontier(struct ilea_replicator *r, uint32_t index, struct ilea_span body)
{
    struct ilea_frontier frontier;
    enum ilea_error error = ilea_frontier_decode(body, &frontier);
    if (error != ILEA_ERROR_NONE) return error;
    if (frontier.form != ILEA_FRONTIER_HASH && !r->links[index].hash_received) return ILEA_ERROR_UNEXPECTED;
    switch (frontier.form) {
    case ILEA_FRONTIER_HASH: return on_hash(r, index, &frontier.hash);
    case ILEA_FRONTIER_LIST: return on_list(r, index, &frontier.list);
    case ILEA_FRONTIER_ARCHIVE: return on_archive(r, index, &frontier.archive);
    case ILEA_FRONTIER_ASK: return on_ask(r, index, &frontier.ask);
    }
    return ILEA_ERROR_UNEXPECTED;
}
