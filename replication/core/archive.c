/*
 * archive.c - feeds that are closed and complete. They are in the log and not in the tables: of an agency, peers
 * compare how many there are and what they add up to; who may lack some asks, bucket by bucket, and asks
 * for the feeds themselves by NOTE. What a peer wants comes back into the table until it has it
 * (PROTOCOL.md, "Archived feeds").
 */
#include <string.h>

#include "crypto/hash.h"
#include "replication/core/state.h"

/* What a feed's last position adds to its agency's sum. */
static void
hash_position(const struct ilea_feed_id *feed, uint64_t seq, const struct ilea_commit_id *id,
              uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    ilea_hash_add(&hasher, feed->bytes, sizeof feed->bytes);
    ilea_hash_add_u64(&hasher, seq);
    ilea_hash_add(&hasher, id->bytes, sizeof id->bytes);
    ilea_hash_end(&hasher, hash);
}

static void
add_position(struct ilea_archive *archive, const struct ilea_feed_id *feed, uint64_t seq,
             const struct ilea_commit_id *id)
{
    uint8_t hash[ILEA_HASH_SIZE];
    hash_position(feed, seq, id, hash);
    ilea_hash_sum_add(archive->sum, hash);
    archive->count++;
}

static bool
is_equal(const struct ilea_archive *a, const struct ilea_archive *b)
{
    return a->count == b->count && memcmp(a->sum, b->sum, sizeof a->sum) == 0;
}

static void
check_archived_soon(struct ilea_replicator *r)
{
    uint64_t soon = r->now_ms + ILEA_ARCHIVE_CHECK_MS;
    if (r->archive_check_ms > soon) r->archive_check_ms = soon;
}

enum revival
revive(struct ilea_replicator *r, const struct ilea_event_feed *held, uint32_t *at)
{
    uint32_t agency = find_agency(r, &held->origin.agency);
    if (agency == NO_INDEX) return REVIVAL_NONE;
    uint32_t index = add_feed(r, &held->id, agency);
    if (index == NO_INDEX) {
        trace(r, 0, ILEA_TRACE_REFUSED, ILEA_ERROR_FULL, &held->id);
        return REVIVAL_NONE;
    }
    set_feed(r, index, held);
    if (held->archived) check_archived_soon(r);
    *at = index;
    return REVIVAL_DONE;
}

static bool
is_held(const struct ilea_replicator *r, const struct ilea_feed_id *id, struct ilea_event_feed *held)
{
    return r->config.log.archived(r->config.log.context, id, held);
}

enum revival
revive_by_id(struct ilea_replicator *r, const struct ilea_feed_id *id, uint32_t *at)
{
    struct ilea_event_feed held;
    return is_held(r, id, &held) ? revive(r, &held, at) : REVIVAL_UNKNOWN;
}

/* Is the position the last one of what we hold, or one before it? */
static bool
is_in_history(const struct ilea_replicator *r, const struct ilea_event_feed *held,
              const struct ilea_position *position)
{
    const struct ilea_replicator_log *log = &r->config.log;
    struct ilea_commit_id id = held->head;
    if (position->seq > held->seq) return false;
    if (position->seq < held->seq && !log->commit_id(log->context, &held->id, position->seq, &id)) return false;
    return memcmp(id.bytes, position->id.bytes, sizeof id.bytes) == 0;
}

void
count_as_archived(struct ilea_replicator *r, uint32_t index, uint32_t agency,
                  const struct ilea_position *position)
{
    add_position(&r->link_agencies[index][agency].archive, &position->feed, position->seq, &position->id);
}

bool
is_settled_entry(struct ilea_replicator *r, uint32_t index, uint32_t agency,
                 const struct ilea_position *position, uint32_t *at)
{
    struct ilea_event_feed held;
    if (!is_held(r, &position->feed, &held)) return false;
    if (held.archived && is_in_history(r, &held, position)) {
        if (position->seq == held.seq) count_as_archived(r, index, agency, position);
        return true; /* if it lacks some of it, it will ask */
    }
    return revive(r, &held, at) != REVIVAL_DONE;
}

enum revival
revive_by_note(struct ilea_replicator *r, uint32_t index, const struct ilea_note *note, uint32_t *at)
{
    struct link *link = &r->links[index];
    struct ilea_event_feed held;
    if (!is_held(r, &note->feed, &held)) return REVIVAL_UNKNOWN;
    if (note->seq == held.seq || (note->seq < held.seq && note->mode == ILEA_NOTE_LAZY)) return REVIVAL_NONE;
    if (held.archived && link->revived_feeds >= ILEA_REVIVED_FEEDS_MAX) return REVIVAL_NONE;
    enum revival revival = revive(r, &held, at);
    if (revival == REVIVAL_DONE && held.archived) {
        r->feeds[*at].revived_by = index;
        link->revived_feeds++;
    }
    return revival;
}

/* Feeds of closed audiences never are: who has them all is nobody else's business. */
static bool
may_be_archived(const struct feed *feed)
{
    return is_listed(feed) && ilea_scope_is_open(feed->origin.scope);
}

/*
 * May the peer have archived what we lack? Not if all of its archive is ours, too; what it lists and we
 * archived was counted in. What we have in the table and it does not list, it may have archived already,
 * all of it, or lack.
 */
static bool
may_lack(struct ilea_replicator *r, uint32_t index, uint32_t of)
{
    const struct link_agency *state = &r->link_agencies[index][of];
    const struct agency *agency = &r->agencies[of];
    if (state->archived_count == 0 || is_equal(&state->archive, &agency->archive)) return false;
    struct ilea_archive with = agency->archive;
    for (uint32_t at = 0; at < r->feed_count; at++) {
        const struct feed *feed = &r->feeds[at];
        if (feed->agency != of || !may_be_archived(feed) || r->link_feeds[index][at].remote_seq > 0) continue;
        add_position(&with, &feed->id, told_seq(feed), told_id(feed));
    }
    if (!is_equal(&state->archive, &with)) return true;
    for (uint32_t at = 0; at < r->feed_count; at++) {
        const struct feed *feed = &r->feeds[at];
        struct link_feed *link_feed = &r->link_feeds[index][at];
        if (feed->agency != of || !may_be_archived(feed) || link_feed->remote_seq > 0) continue;
        link_feed->remote_seq = told_seq(feed);
    }
    return false;
}

void
begin_archives(struct ilea_replicator *r, uint32_t index)
{
    const struct link *link = &r->links[index];
    for (uint32_t i = 0; i < r->agency_count; i++) {
        struct link_agency *state = &r->link_agencies[index][i];
        state->archive_due = state->told && is_shared(r, link, i) && may_lack(r, index, i);
    }
}

static uint64_t
short_hash(const struct ilea_position *position)
{
    uint8_t hash[ILEA_HASH_SIZE];
    uint64_t value = 0;
    hash_position(&position->feed, position->seq, &position->id, hash);
    for (int i = 0; i < 8; i++) value = value << 8 | hash[i];
    return value;
}

static void
sum_buckets(const struct ilea_replicator *r, uint32_t agency, uint64_t sums[ILEA_ARCHIVE_BUCKETS])
{
    const struct ilea_replicator_log *log = &r->config.log;
    struct ilea_position position;
    const struct ilea_feed_id *after = NULL;
    memset(sums, 0, ILEA_ARCHIVE_BUCKETS * sizeof sums[0]);
    while (log->archived_next(log->context, &r->agencies[agency].id, after, &position)) {
        sums[position.feed.bytes[0]] += short_hash(&position);
        after = &position.feed;
    }
}

static void
send_ask(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    uint32_t agency = link->asked_agency;
    if (!has_room(r, 1, ILEA_ARCHIVE_BUCKETS * 8 + 256)) return; /* the timer tries again */
    struct ilea_frontier_ask ask = { .agency = r->agencies[agency].id, .has_after = link->asked_some,
                                     .after = link->asked_after };
    ask.has_sums = r->agencies[agency].archive.count > 0
                   && r->link_agencies[index][agency].archived_count > ILEA_ARCHIVE_PLAIN_MAX;
    if (ask.has_sums) sum_buckets(r, agency, ask.sums);
    struct ilea_msgpack_writer writer;
    begin_frame(r, index, ILEA_MESSAGE_FRONTIER, &writer);
    ilea_message_put_ask(&writer, &ask);
    end_frame(r, index, &writer);
    link->asked = true;
}

/* Is there room in the table for what an answer may tell? */
static bool
has_table_room(const struct ilea_replicator *r, uint32_t agency)
{
    return r->feed_count + ILEA_ARCHIVE_PART_MAX <= ILEA_FEEDS_MAX
        && (agency == 0 || count_feeds(r, agency) + ILEA_ARCHIVE_PART_MAX <= ILEA_AGENCY_FEEDS_MAX);
}

void
ask_archives(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    if (!link->synced || link->asked) return;
    if (link->unverified_feeds > ILEA_UNVERIFIED_FEEDS_MAX / 2) return; /* what was told comes first */
    for (uint32_t i = 0; link->asked_agency == NO_INDEX && i < r->agency_count; i++) {
        struct link_agency *state = &r->link_agencies[index][i];
        if (!state->archive_due || !is_shared(r, link, i)) continue;
        state->archive_due = false;
        link->asked_agency = i;
        link->asked_some = false;
    }
    if (link->asked_agency != NO_INDEX && has_table_room(r, link->asked_agency)) send_ask(r, index);
}

enum ilea_error
on_ask(struct ilea_replicator *r, uint32_t index, const struct ilea_frontier_ask *ask)
{
    struct link *link = &r->links[index];
    const struct ilea_replicator_log *log = &r->config.log;
    uint32_t agency = find_agency(r, &ask->agency), count = 0;
    struct ilea_position told[ILEA_ARCHIVE_PART_MAX], position;
    bool last = true;
    if (agency != NO_INDEX && is_shared(r, link, agency)) {
        struct link_agency *state = &r->link_agencies[index][agency];
        /* An answer costs us a walk through the archive. Who takes what it is told asks less often. */
        if (state->asks++ > 8 + r->agencies[agency].archive.count / 16) return ILEA_ERROR_LIMIT;
        uint64_t sums[ILEA_ARCHIVE_BUCKETS];
        if (ask->has_sums) sum_buckets(r, agency, sums);
        const struct ilea_feed_id *after = ask->has_after ? &ask->after : NULL;
        while (log->archived_next(log->context, &ask->agency, after, &position)) {
            uint8_t bucket = position.feed.bytes[0];
            bool is_same = ask->has_sums && sums[bucket] == ask->sums[bucket];
            if (!is_same && count == ILEA_ARCHIVE_PART_MAX) last = false;
            if (!last) break;
            if (!is_same) told[count++] = position;
            after = &position.feed;
        }
    }
    if (!has_room(r, 1, ILEA_ARCHIVE_PART_MAX * 80 + 256)) return ILEA_ERROR_BUSY;
    struct ilea_msgpack_writer writer;
    begin_frame(r, index, ILEA_MESSAGE_FRONTIER, &writer);
    ilea_msgpack_put_array(&writer, 4);
    ilea_msgpack_put_uint(&writer, ILEA_FRONTIER_ARCHIVE);
    ilea_msgpack_put_bin(&writer, ask->agency.bytes, sizeof ask->agency.bytes);
    ilea_msgpack_put_uint(&writer, last ? 1 : 0);
    ilea_msgpack_put_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        ilea_message_put_position(&writer, &told[i].feed, told[i].seq, &told[i].id);
    }
    end_frame(r, index, &writer);
    return ILEA_ERROR_NONE;
}

/* One feed that the peer has archived. False: it cannot be noted down now. */
static bool
take_archived(struct ilea_replicator *r, uint32_t index, uint32_t agency,
              const struct ilea_position *position)
{
    struct link *link = &r->links[index];
    uint32_t at = find_feed(r, &position->feed);
    if (at == NO_INDEX) {
        struct ilea_event_feed held;
        if (is_held(r, &position->feed, &held)) {
            if (is_in_history(r, &held, position)) return true;
            if (revive(r, &held, &at) != REVIVAL_DONE) return true;
        } else {
            if (link->unverified_feeds >= ILEA_UNVERIFIED_FEEDS_MAX) return false;
            at = add_feed(r, &position->feed, agency);
            if (at == NO_INDEX) return false;
            link->unverified_feeds++;
            r->feeds[at].announced_by = index;
        }
    }
    struct feed *feed = &r->feeds[at];
    if (feed->agency != agency && feed->seq > 0) return true; /* of one that nobody has proven, anybody may claim it */
    r->link_feeds[index][at].in_archive = true;
    if (position->seq > feed->closed_seq) feed->closed_seq = position->seq;
    check_archived_soon(r);
    bool is_source = feed->eager_link == index;
    on_entry(r, index, at, position);
    /* It was chosen as the author that pushes unasked; this it does not. */
    if (is_source && feed->eager_link == index) send_note(r, index, at, ILEA_NOTE_EAGER);
    return true;
}

enum ilea_error
on_archive(struct ilea_replicator *r, uint32_t index, struct ilea_frontier_archive *archive)
{
    struct link *link = &r->links[index];
    if (!link->asked) return ILEA_ERROR_UNEXPECTED;
    uint32_t agency = link->asked_agency;
    if (memcmp(archive->agency.bytes, r->agencies[agency].id.bytes, ILEA_ID_SIZE) != 0) return ILEA_ERROR_UNEXPECTED;
    if (archive->entry_count == 0 && !archive->last) return ILEA_ERROR_UNEXPECTED;
    link->asked = false;
    bool all = true;
    for (uint32_t i = 0; all && i < archive->entry_count; i++) {
        struct ilea_position position;
        ilea_position_get(&archive->entries, &position);
        if (link->asked_some && memcmp(position.feed.bytes, link->asked_after.bytes, ILEA_ID_SIZE) <= 0) {
            return ILEA_ERROR_UNEXPECTED; /* or this would have no end */
        }
        all = take_archived(r, index, agency, &position);
        if (!all) break;
        link->asked_some = true;
        link->asked_after = position.feed;
    }
    if (all && archive->last) link->asked_agency = NO_INDEX;
    ask_archives(r, index);
    return ILEA_ERROR_NONE;
}

void
on_archived(struct ilea_replicator *r, const struct ilea_event *event)
{
    uint32_t agency = find_agency(r, &event->archived.agency), at = find_feed(r, &event->archived.feed);
    if (agency != NO_INDEX) r->agencies[agency].archive = event->archived.archive;
    if (at == NO_INDEX) return;
    r->feeds[at].archived = true;
    r->feeds[at].archived_ms = r->now_ms;
    if (r->archive_check_ms > r->now_ms) r->archive_check_ms = r->now_ms;
}

/* Is some peer still taking the feed from us, or about to hear of it? */
static bool
is_in_use(const struct ilea_replicator *r, uint32_t at)
{
    const struct feed *feed = &r->feeds[at];
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        const struct link *link = &r->links[i];
        const struct link_feed *state = &r->link_feeds[i][at];
        if (link->state != SESSION_READY || !is_carried(r, link, feed->agency)) continue;
        if (!link->synced) return true; /* it was listed, or not, and what the peer holds is not known yet */
        if ((state->out_eager || state->note_due) && state->remote_seq < told_seq(feed)
            && link_follows(link, feed->agency)) {
            return true;
        }
    }
    return false;
}

/*
 * Archived feeds go when nobody takes them any more: one that wants some later asks. So do, where an agency has
 * very many, those that are complete as a peer has them archived: what closes them is still on its way.
 */
static bool
is_to_go(const struct ilea_replicator *r, uint32_t at)
{
    const struct feed *feed = &r->feeds[at];
    if (feed->current || feed->touched || feed->durable != feed->seq || is_behind(r, at)) return false;
    if (feed->archived) return !is_in_use(r, at) || r->now_ms >= feed->archived_ms + ILEA_ARCHIVE_MS;
    return feed->seq == feed->closed_seq && feed->limit_seq == ILEA_SEQ_NEVER && !is_in_use(r, at);
}

void
evict_archived(struct ilea_replicator *r)
{
    if (r->now_ms < r->archive_check_ms) return;
    r->archive_check_ms = ILEA_TIME_NEVER;
    bool more = false;
    for (uint32_t at = r->feed_count; at > 0; at--) {
        const struct feed *feed = &r->feeds[at - 1];
        bool is_crowded = feed->closed_seq > 0 && count_feeds(r, feed->agency) > ILEA_AGENCY_FEEDS_MAX / 2;
        if (!feed->archived && !is_crowded) continue;
        if (is_to_go(r, at - 1)) {
            remove_feed(r, at - 1);
        } else {
            more = true;
        }
    }
    if (more) check_archived_soon(r);
}
