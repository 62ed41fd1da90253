/*
 * fanout.c - who pushes which feed to whom: each feed comes to us over one link
 * at a time (eager), the others only tell us how far they are (lazy). The author's
 * own link is preferred and needs no asking. After Plumtree (Leitao et al. 2007)
 * and EBT, but chosen by the receiver, so that a first sync from several peers
 * is not sent several times (PROTOCOL.md, "Notes").
 */
#include <string.h>

#include "replication/core/state.h"

static bool
is_author(const struct ilea_replicator *r, uint32_t link, uint32_t feed)
{
    return r->links[link].agency == r->feeds[feed].agency;
}

/* Who has archived a feed, or was told to stop, does not push it unasked, not even its author. */
static bool
is_pushed(const struct ilea_replicator *r, uint32_t link, uint32_t feed)
{
    const struct link_feed *state = &r->link_feeds[link][feed];
    return is_author(r, link, feed) && !state->in_archive && !state->paused;
}

/* What we lack of the feed and want, if a peer holds it up to `seq`. */
static bool
is_wanted(const struct feed *feed, uint64_t seq)
{
    return within_limit(feed, seq) > feed->seq;
}

void
send_note(struct ilea_replicator *r, uint32_t index, uint32_t at, enum ilea_note_mode mode)
{
    if (!has_room(r, 1, 256)) return; /* the stall check asks again */
    const struct feed *feed = &r->feeds[at];
    if (mode == ILEA_NOTE_EAGER) r->link_feeds[index][at].paused = false;
    struct ilea_note note = { .feed = feed->id, .seq = within_limit(feed, feed->seq), .mode = mode };
    struct ilea_msgpack_writer writer;
    begin_frame(r, index, ILEA_MESSAGE_NOTE, &writer);
    ilea_msgpack_put_array(&writer, 1);
    ilea_message_put_note(&writer, &note);
    end_frame(r, index, &writer);
}

/* The link is up, knows what we hold, and has the same history of the feed. */
static bool
is_usable(const struct ilea_replicator *r, uint32_t index, uint32_t at)
{
    const struct link *link = &r->links[index];
    return link->state == SESSION_READY && link->synced && !r->link_feeds[index][at].refused;
}

/* Does this link hold more of the feed, by what it told? */
static bool
can_bring(const struct ilea_replicator *r, uint32_t index, uint32_t at)
{
    const struct link_feed *state = &r->link_feeds[index][at];
    const struct feed *feed = &r->feeds[at];
    return is_usable(r, index, at) && is_wanted(feed, state->remote_seq) && r->now_ms >= state->shunned_ms
        && feed->waits != WAIT_NAMES;
}

/* Is it known to be for all that follow its agency? */
static bool
is_open(const struct feed *feed)
{
    return feed->seq > 0 && ilea_scope_is_open(feed->origin.scope);
}

/* The link that can bring the feed best; NO_INDEX: none can. */
static uint32_t
best_source(const struct ilea_replicator *r, uint32_t at)
{
    uint32_t best = NO_INDEX;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (!can_bring(r, i, at)) continue;
        if (best == NO_INDEX || is_author(r, i, at)
            || (!is_author(r, best, at)
                && r->link_feeds[i][at].remote_seq > r->link_feeds[best][at].remote_seq)) {
            best = i;
        }
    }
    return best;
}

/* The next link after one that can bring the feed: each has its turn, so that several that tell of it and do not bring
 * it cannot take turns among themselves. NO_INDEX: there is no other. */
static uint32_t
next_source(const struct ilea_replicator *r, uint32_t at, uint32_t after)
{
    for (uint32_t i = 1; i < ILEA_LINKS_MAX; i++) {
        uint32_t index = (after + i) % ILEA_LINKS_MAX;
        if (can_bring(r, index, at)) return index;
    }
    return NO_INDEX;
}

bool
is_to_come(const struct ilea_replicator *r, uint32_t at)
{
    return best_source(r, at) != NO_INDEX;
}

bool
is_behind(const struct ilea_replicator *r, uint32_t at)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (is_usable(r, i, at) && is_wanted(&r->feeds[at], r->link_feeds[i][at].remote_seq)) return true;
    }
    return false;
}

/* The link to the feed's author, which pushes it unasked; NO_INDEX: there is none, or it did not lately. */
static uint32_t
author_link(const struct ilea_replicator *r, uint32_t at)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        const struct link_feed *state = &r->link_feeds[i][at];
        if (is_author(r, i, at) && is_usable(r, i, at) && !state->doubted && r->now_ms >= state->shunned_ms) return i;
    }
    return NO_INDEX;
}

/* A feed is to come over its eager link: see to it that it does. */
static void
expect(struct ilea_replicator *r, uint32_t at)
{
    r->feeds[at].progress_ms = r->now_ms;
    if (r->stall_check_ms == ILEA_TIME_NEVER) r->stall_check_ms = r->now_ms + ILEA_STALL_MS / 2;
}

/* The feed is to come over this link from now on. An author is never told to stop: it will have the
 * next commit first. */
static void
take_source(struct ilea_replicator *r, uint32_t at, uint32_t index)
{
    struct feed *feed = &r->feeds[at];
    uint32_t before = feed->eager_link;
    feed->eager_link = index;
    expect(r, at);
    if (before == index) return;
    if (before != NO_INDEX && !is_pushed(r, before, at) && r->links[before].synced) {
        send_note(r, before, at, ILEA_NOTE_LAZY);
    }
    /* Before its first commit has come anybody may have claimed whose the feed is: then the author is asked, too. */
    if (!is_pushed(r, index, at) || feed->seq == 0) send_note(r, index, at, ILEA_NOTE_EAGER);
}

/* Nobody can bring the feed; but somebody could, who brought a wrong branch of it lately. */
static void
wait_for_shunned(struct ilea_replicator *r, uint32_t at)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        const struct link_feed *state = &r->link_feeds[i][at];
        if (r->now_ms >= state->shunned_ms || !is_usable(r, i, at) || !is_wanted(&r->feeds[at], state->remote_seq)) {
            continue;
        }
        if (state->shunned_ms < r->stall_check_ms) r->stall_check_ms = state->shunned_ms;
    }
}

/*
 * Without this who is stubborn could go on bringing the branch that the roots do not want, each time before anybody
 * else has a chance to bring the other one.
 */
void
shun_sources(struct ilea_replicator *r, uint32_t at)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        struct link_feed *state = &r->link_feeds[i][at];
        if (state->brought) state->shunned_ms = r->now_ms + ILEA_SHUN_MS;
        state->brought = false;
    }
}

/*
 * If some peer holds more of the feed than we do, see that somebody brings it. Who is bringing it
 * already is given time: what others tell of may be on its way, and check_stalls() looks after it.
 */
void
choose_source(struct ilea_replicator *r, uint32_t at)
{
    struct feed *feed = &r->feeds[at];
    if (!r->agencies[feed->agency].followed) return;
    if (feed->eager_link != NO_INDEX && is_usable(r, feed->eager_link, at)) return;
    uint32_t best = best_source(r, at);
    if (best == NO_INDEX) {
        wait_for_shunned(r, at);
        return;
    }
    uint32_t author = author_link(r, at);
    take_source(r, at, author != NO_INDEX ? author : best);
}

/*
 * The link brought nothing new of the feed, or something we refuse. The author's link is kept, else
 * the one that we asked; others are told to stop, at most once a second: more may be on the way.
 */
void
prune(struct ilea_replicator *r, uint32_t index, uint32_t at)
{
    struct feed *feed = &r->feeds[at];
    struct link_feed *state = &r->link_feeds[index][at];
    if (state->refused) {
        if (feed->eager_link == index) feed->eager_link = NO_INDEX;
        choose_source(r, at);
    } else {
        uint32_t author = author_link(r, at);
        if (author != NO_INDEX && feed->eager_link != author) take_source(r, at, author);
        if (feed->eager_link == index) return;
    }
    if (state->pruned_ms != 0 && r->now_ms < state->pruned_ms + 1000) return;
    state->pruned_ms = r->now_ms;
    send_note(r, index, at, ILEA_NOTE_LAZY);
}

void
take_current(struct ilea_replicator *r, uint32_t index, uint32_t at)
{
    struct feed *feed = &r->feeds[at];
    if (!feed->current) return;
    feed->current = false;
    emit(r, ILEA_EFFECT_REINCARNATE, index)->reincarnate.feed = feed->id;
}

/* The peer holds the feed up to `seq`. */
void
heard_of(struct ilea_replicator *r, uint32_t index, uint32_t at, uint64_t seq)
{
    struct feed *feed = &r->feeds[at];
    struct link_feed *state = &r->link_feeds[index][at];
    bool held_more = is_wanted(feed, state->remote_seq);
    if (seq > state->remote_seq) {
        state->remote_seq = seq;
        state->urged = state->doubted = false;
    }
    /* Somebody says it has a commit of ours that we forgot. Of a feed that was opened since our node
     * was started that is a lie, and a liar must not make us open one after the other; the commit
     * itself would be believed. */
    if (feed->resumed && state->remote_seq > feed->seq && has_room(r, 1, 0)) take_current(r, index, at);
    bool holds_more = is_wanted(feed, state->remote_seq);
    if (!held_more && holds_more && feed->eager_link != NO_INDEX) expect(r, at);
    if (r->links[index].synced && holds_more) choose_source(r, at);
}

static bool
is_note_due(const struct ilea_replicator *r, uint32_t index, uint32_t at)
{
    const struct link_feed *state = &r->link_feeds[index][at];
    const struct feed *feed = &r->feeds[at];
    return state->note_due && !state->out_eager && state->remote_seq < told_seq(feed)
        && is_common(r, index, at);
}

static void
set_notes_deadline(const struct ilea_replicator *r, struct link *link)
{
    if (link->notes_deadline_ms != ILEA_TIME_NEVER) return;
    link->notes_deadline_ms = r->now_ms + ILEA_NOTE_DELAY_MS;
}

void
begin_fanout(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    link->backoff_ms = 0; /* it works: the next failure is a first one again */
    for (uint32_t at = 0; at < r->feed_count; at++) {
        struct feed *feed = &r->feeds[at];
        struct link_feed *state = &r->link_feeds[index][at];
        if (feed->agency == 0 && !feed->archived && !state->refused) {
            state->out_eager = true; /* our own feeds: pushed without being asked */
            state->sent_seq = state->remote_seq < told_seq(feed) ? state->remote_seq : told_seq(feed);
        }
        if (is_author(r, index, at) && feed->eager_link != index) {
            take_source(r, at, index); /* it is here and pushes: whoever brought it may stop */
        } else if (is_wanted(feed, state->remote_seq)) {
            choose_source(r, at);
        }
        if (is_note_due(r, index, at)) set_notes_deadline(r, link); /* durable since our list was sent */
    }
    pump(r, index);
}

void
end_fanout(struct ilea_replicator *r, uint32_t index)
{
    r->links[index].synced = false; /* so that it is not chosen again below */
    for (uint32_t at = 0; at < r->feed_count; at++) {
        if (r->feeds[at].eager_link != index) continue;
        r->feeds[at].eager_link = NO_INDEX;
        choose_source(r, at);
    }
}

void
announce_to(struct ilea_replicator *r, uint32_t index, uint32_t at)
{
    const struct feed *feed = &r->feeds[at];
    struct link *link = &r->links[index];
    struct link_feed *state = &r->link_feeds[index][at];
    if (link->state == SESSION_READY && !link->synced) {
        state->note_due = true; /* our frontier, on its way, does not tell of this */
        return;
    }
    if (!link->synced || !is_common(r, index, at)) return;
    if (feed->agency == 0 && !state->out_eager && state->sent_seq == 0 && !state->refused
        && state->remote_seq == 0 && state->pruned_ms == 0) {
        state->out_eager = true; /* a feed of our own that was opened during the session */
    }
    if (state->out_eager || state->remote_seq >= told_seq(feed)) return;
    state->note_due = true;
    set_notes_deadline(r, link);
}

void
announce(struct ilea_replicator *r, uint32_t at)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) announce_to(r, i, at);
}

void
flush_notes(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    if (!link->synced || r->now_ms < link->notes_deadline_ms) return;
    uint32_t count = 0;
    for (uint32_t at = 0; at < r->feed_count && count < ILEA_NOTES_MAX; at++) {
        if (is_note_due(r, index, at)) count++;
    }
    if (count > 0 && !has_room(r, 1, 64 + (size_t)count * 90)) return; /* the next timer */
    link->notes_deadline_ms = ILEA_TIME_NEVER;
    if (count == 0) return;

    struct ilea_msgpack_writer writer;
    begin_frame(r, index, ILEA_MESSAGE_NOTE, &writer);
    ilea_msgpack_put_array(&writer, count);
    for (uint32_t at = 0; at < r->feed_count && count > 0; at++) {
        if (!is_note_due(r, index, at)) continue;
        struct link_feed *state = &r->link_feeds[index][at];
        const struct feed *feed = &r->feeds[at];
        struct ilea_note note = { .feed = feed->id, .seq = told_seq(feed), .mode = ILEA_NOTE_LAZY,
                                  .has_agency = state->remote_seq == 0,
                                  .agency = r->agencies[feed->agency].id };
        /* The mode is how we want the feed from the receiver: as before. */
        if (feed->eager_link == index || is_author(r, index, at)) note.mode = ILEA_NOTE_EAGER;
        ilea_message_put_note(&writer, &note);
        state->note_due = false;
        count--;
    }
    end_frame(r, index, &writer);
}

/* The feed a note is about; one that is new to us is placed by the agency the note names. */
static uint32_t
feed_of_note(struct ilea_replicator *r, uint32_t index, const struct ilea_note *note)
{
    uint32_t at = find_feed(r, &note->feed);
    if (at != NO_INDEX || revive_by_note(r, index, note, &at) != REVIVAL_UNKNOWN) return at;
    if (!note->has_agency || note->seq == 0) return NO_INDEX;
    uint32_t agency = find_agency(r, &note->agency);
    struct link *link = &r->links[index];
    if (agency == NO_INDEX || !is_carried(r, link, agency)) return NO_INDEX;
    if (link->unverified_feeds >= ILEA_UNVERIFIED_FEEDS_MAX) {
        link->list_cut = true;
        return NO_INDEX;
    }
    at = add_feed(r, &note->feed, agency);
    if (at == NO_INDEX) return NO_INDEX;
    link->unverified_feeds++;
    r->feeds[at].announced_by = index;
    return at;
}

/* May the peer tell of the feed? Of one that is not proven, by its own claim whose it is. */
static bool
may_tell(const struct ilea_replicator *r, uint32_t index, uint32_t at, const struct ilea_note *note)
{
    uint32_t agency = r->feeds[at].agency;
    if (r->feeds[at].seq == 0 && note->has_agency) agency = find_agency(r, &note->agency);
    return agency != NO_INDEX && is_carried(r, &r->links[index], agency);
}

enum ilea_error
on_notes(struct ilea_replicator *r, uint32_t index, struct ilea_span body)
{
    struct link *link = &r->links[index];
    uint32_t count;
    struct ilea_msgpack_reader notes;
    enum ilea_error error = ilea_notes_decode(body, &count, &notes);
    if (error != ILEA_ERROR_NONE) return error;
    if (!link->hash_received) return ILEA_ERROR_UNEXPECTED;

    for (uint32_t i = 0; i < count; i++) {
        struct ilea_note note;
        ilea_note_next(&notes, &note);
        uint32_t at = feed_of_note(r, index, &note);
        if (at == NO_INDEX) continue;
        if (!may_tell(r, index, at, &note)) continue;
        struct link_feed *state = &r->link_feeds[index][at];
        bool was_eager = state->out_eager;
        state->out_eager = note.mode == ILEA_NOTE_EAGER;
        /* It says where to begin. Not when asked again: what was sent since is on its way, for a lost
         * frame would have ended the session. */
        if (state->out_eager && !was_eager) state->sent_seq = note.seq;
        heard_of(r, index, at, note.seq);
    }
    pump(r, index);
    return ILEA_ERROR_NONE;
}

/*
 * What a peer told of a feed that may be an audience's does not come, though asked for twice: it may have learned that
 * the feed is not for us, and does not say so. Take it that it has no more; a feed that nobody has is forgotten.
 */
static void
doubt(struct ilea_replicator *r, uint32_t index, uint32_t at)
{
    struct feed *feed = &r->feeds[at];
    struct link_feed *state = &r->link_feeds[index][at];
    if (!state->urged) {
        send_note(r, index, at, ILEA_NOTE_EAGER);
        expect(r, at);
        state->urged = true;
        return;
    }
    state->urged = false;
    state->doubted = true;
    state->remote_seq = feed->seq;
    feed->eager_link = NO_INDEX;
    choose_source(r, at);
    if (feed->seq == 0 && feed->waits == WAIT_NOTHING && !is_to_come(r, at)) remove_feed(r, at);
}

/* A feed that was asked for and does not come over this link. */
static void
on_stall(struct ilea_replicator *r, uint32_t link, uint32_t at)
{
    struct feed *feed = &r->feeds[at];
    uint64_t busy = r->links[link].data_ms; /* with other feeds, or our disk is */
    if (r->links[link].received_bytes != r->links[link].received_durable) busy = r->now_ms;
    uint64_t last = feed->progress_ms;
    if (busy > last && r->now_ms < last + ILEA_BUSY_MS) last = busy;
    if (r->now_ms < last + ILEA_STALL_MS) return;
    if (!is_open(feed)) {
        doubt(r, link, at);
        return;
    }
    if (r->now_ms >= last + ILEA_STALL_END_MS && r->now_ms >= busy + ILEA_STALL_END_MS) {
        end_session(r, link, ILEA_ERROR_SILENT);
        return;
    }
    uint32_t other = next_source(r, at, link);
    if (other != NO_INDEX) {
        take_source(r, at, other);
    } else {
        send_note(r, link, at, ILEA_NOTE_EAGER); /* once more: there was no room for it? */
    }
}

/* Feeds that were asked for and do not come: ask somebody else, or give them up. */
void
check_stalls(struct ilea_replicator *r)
{
    if (r->now_ms < r->stall_check_ms) return;
    r->stall_check_ms = ILEA_TIME_NEVER;
    for (uint32_t next = r->feed_count; next > 0; next--) {
        uint32_t at = next - 1; /* one that is removed changes places with the last, which was looked at */
        struct feed *feed = &r->feeds[at];
        if (feed->waits != WAIT_NOTHING) { /* it does not come, and that is as it should be */
            if (r->now_ms >= feed->wait_ms) resume_feed(r, at);
            else if (feed->wait_ms < r->stall_check_ms) r->stall_check_ms = feed->wait_ms;
        }
        uint32_t link = feed->eager_link;
        if (link == NO_INDEX) choose_source(r, at); /* who was shunned may be asked again */
        if (link == NO_INDEX || best_source(r, at) == NO_INDEX) continue;
        if (r->stall_check_ms > r->now_ms + ILEA_STALL_MS / 2) r->stall_check_ms = r->now_ms + ILEA_STALL_MS / 2;
        on_stall(r, link, at);
    }
}
