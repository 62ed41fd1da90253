/*
 * want.c - commits that should be here and are not (PROTOCOL.md, "WANT"). One that was damaged on our disk is asked for
 * by its number, a link after the other, and taken only if it is the one that we held. What an author says that it has,
 * and nobody tells of, is asked of all.
 */
#include <string.h>

#include "replication/core/state.h"

enum { WANT_BYTES = 128 };

/* Whether the agency's feeds may be asked for over the link now. */
static bool
is_open(const struct ilea_replicator *r, uint32_t index, uint32_t agency)
{
    const struct link *link = &r->links[index];
    return link->state == SESSION_READY && link->synced && is_shared(r, link, agency);
}

/* Whether the peer may hear that there is such a feed: to ask is to tell. It need not be in the table. */
static bool
may_hear(const struct ilea_replicator *r, uint32_t index, const struct want *want)
{
    const struct ilea_replicator_log *log = &r->config.log;
    const struct link *link = &r->links[index];
    return !want->is_closed || link->agency == want->agency
        || log->entitled(log->context, &r->agencies[link->agency].id, &want->audience);
}

/* The peer may have told too little, or we may have missed it: it says nothing if it has nothing. */
static void
ask_all(struct ilea_replicator *r, const struct want *want)
{
    const uint32_t agency = want->agency, at = find_feed(r, &want->feed);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (!is_open(r, i, agency) || (at != NO_INDEX && r->link_feeds[i][at].refused)) continue;
        if (!may_hear(r, i, want)) continue;
        if (!has_room(r, 1, WANT_BYTES)) return; /* the driver asks again */
        struct ilea_note note = { .feed = want->feed, .mode = ILEA_NOTE_EAGER, .has_agency = true,
                                  .agency = r->agencies[agency].id };
        if (at != NO_INDEX) note.seq = within_limit(&r->feeds[at], r->feeds[at].seq);
        struct ilea_msgpack_writer writer;
        begin_frame(r, i, ILEA_MESSAGE_NOTE, &writer);
        ilea_msgpack_put_array(&writer, 1);
        ilea_message_put_note(&writer, &note);
        end_frame(r, i, &writer);
    }
}

/* Whether the peer may hold it; of a feed that is archived it says nothing. */
static bool
may_hold(const struct ilea_replicator *r, uint32_t index, const struct want *want)
{
    uint32_t at = find_feed(r, &want->feed);
    return is_open(r, index, want->agency) && may_hear(r, index, want)
        && (at == NO_INDEX || r->feeds[at].archived || r->link_feeds[index][at].in_archive
            || r->link_feeds[index][at].remote_seq >= want->seq);
}

/* Ask the link behind the one that was asked last; each is asked for one commit at a time. */
static void
ask_next(struct ilea_replicator *r, struct want *want, bool is_busy[ILEA_LINKS_MAX])
{
    for (uint32_t i = 1; i <= ILEA_LINKS_MAX; i++) {
        uint32_t index = (want->link + i) % ILEA_LINKS_MAX;
        if (is_busy[index] || !may_hold(r, index, want)) continue;
        if (!has_room(r, 1, WANT_BYTES)) return;
        want->link = index;
        is_busy[index] = true;
        struct ilea_msgpack_writer writer;
        begin_frame(r, index, ILEA_MESSAGE_WANT, &writer);
        ilea_message_put_want(&writer, &want->feed, want->seq);
        end_frame(r, index, &writer);
        return;
    }
}

void
send_wants(struct ilea_replicator *r)
{
    bool is_busy[ILEA_LINKS_MAX] = { false };
    if (r->now_ms < r->want_ms) return;
    r->want_ms = r->want_count > 0 ? r->now_ms + ILEA_WANT_MS : ILEA_TIME_NEVER;
    for (uint32_t i = 0; i < r->want_count; i++) ask_next(r, &r->wants[i], is_busy);
}

static uint32_t
find_want(const struct ilea_replicator *r, const struct ilea_feed_id *feed, uint64_t seq)
{
    for (uint32_t i = 0; i < r->want_count; i++) {
        if (r->wants[i].seq == seq && memcmp(r->wants[i].feed.bytes, feed->bytes, sizeof feed->bytes) == 0) return i;
    }
    return NO_INDEX;
}

void
on_want(struct ilea_replicator *r, const struct ilea_event *event)
{
    const struct ilea_feed_id *id = &event->want.feed;
    const struct ilea_replicator_log *log = &r->config.log;
    struct ilea_commit_id held;
    uint32_t agency = find_agency(r, &event->want.agency);
    if (agency == NO_INDEX || event->want.seq == 0) return;
    const struct want want = { *id, agency, event->want.seq, event->want.is_closed, event->want.audience,
                               ILEA_LINKS_MAX - 1 };
    if (!log->commit_id(log->context, id, event->want.seq, &held)) {
        ask_all(r, &want);
        return;
    }
    if (find_want(r, id, event->want.seq) != NO_INDEX || r->want_count == ILEA_WANTS_MAX) return;
    if (r->want_count == 0) r->want_ms = r->now_ms;
    r->wants[r->want_count++] = want;
    send_wants(r);
}

/* Where a commit of ours is that a peer wants, and how far it may be told; false: it is not for the peer. */
static bool
is_for_peer(const struct ilea_replicator *r, uint32_t index, const struct ilea_feed_id *id, uint64_t seq)
{
    struct ilea_event_feed held;
    uint32_t at = find_feed(r, id);
    if (at != NO_INDEX) return is_common(r, index, at) && seq <= told_seq(&r->feeds[at]);
    if (!r->config.log.archived(r->config.log.context, id, &held)) return false;
    uint32_t agency = find_agency(r, &held.origin.agency);
    return agency != NO_INDEX && ilea_scope_is_open(held.origin.scope) && is_shared(r, &r->links[index], agency)
        && seq <= held.seq && seq <= held.limit_seq;
}

enum ilea_error
on_want_frame(struct ilea_replicator *r, uint32_t index, struct ilea_span body)
{
    struct link *link = &r->links[index];
    struct ilea_feed_id id;
    uint64_t seq;
    enum ilea_error error = ilea_want_decode(body, &id, &seq);
    if (error != ILEA_ERROR_NONE) return error;
    if (!link->hash_received) return ILEA_ERROR_UNEXPECTED;
    if (!link->synced || r->now_ms < link->want_ms || !is_for_peer(r, index, &id, seq)) return ILEA_ERROR_NONE;
    uint32_t size = r->config.log.commit_size(r->config.log.context, &id, seq);
    if (size == 0 || size > link->sent_limit - link->sent_bytes || !has_room(r, 1, 0)) return ILEA_ERROR_NONE;
    link->want_ms = r->now_ms + ILEA_WANT_MS / 2;
    send_commits(r, index, &id, seq, 1, size);
    return ILEA_ERROR_NONE;
}

/* The key that signs the feed; false: it is none that we hold. */
static bool
find_origin(const struct ilea_replicator *r, const struct ilea_feed_id *id, struct ilea_feed_origin *origin)
{
    struct ilea_event_feed held;
    uint32_t at = find_feed(r, id);
    if (at != NO_INDEX && r->feeds[at].seq > 0) {
        *origin = r->feeds[at].origin;
        return true;
    }
    if (!r->config.log.archived(r->config.log.context, id, &held)) return false;
    *origin = held.origin;
    return true;
}

enum ilea_error
take_wanted(struct ilea_replicator *r, uint32_t index, const struct ilea_feed_id *id, struct ilea_span bytes,
            bool *is_taken)
{
    const struct ilea_replicator_log *log = &r->config.log;
    struct ilea_commit commit;
    struct ilea_commit_id came, held;
    struct ilea_feed_origin origin;
    *is_taken = false;
    if (r->want_count == 0 || ilea_commit_decode(bytes, &commit) != ILEA_ERROR_NONE) return ILEA_ERROR_NONE;
    uint32_t want = find_want(r, id, commit.header.seq);
    if (want == NO_INDEX || memcmp(commit.header.feed.bytes, id->bytes, sizeof id->bytes) != 0) return ILEA_ERROR_NONE;
    ilea_commit_id_of(commit.header_bytes, &came);
    if (!log->commit_id(log->context, id, commit.header.seq, &held) || !find_origin(r, id, &origin)
        || memcmp(came.bytes, held.bytes, sizeof held.bytes) != 0) {
        return ILEA_ERROR_NONE; /* another one, perhaps of a fork: by the usual way */
    }
    *is_taken = true;
    struct gap gap;
    if (find_gap(r, &origin.agency, &commit, &gap)) return ILEA_ERROR_NONE; /* somebody else has all of it */
    enum ilea_error error = ilea_commit_check_items(&commit);
    if (error == ILEA_ERROR_NONE) error = ilea_commit_verify(&commit, &came, &r->config.network, &origin.node);
    if (error != ILEA_ERROR_NONE) return error;
    r->wants[want] = r->wants[--r->want_count];
    struct ilea_effect *effect = emit(r, ILEA_EFFECT_REPAIR, index);
    effect->repair.feed = *id;
    effect->repair.seq = commit.header.seq;
    effect->repair.commit = bytes;
    return ILEA_ERROR_NONE;
}
