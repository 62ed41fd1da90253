/* flow.c - COMMITS and CREDIT: commits on their way, never more than the receiver can make durable
 * (PROTOCOL.md, "Commits and credit"). */
#include <string.h>

#include "crypto/assert.h"
#include "replication/core/state.h"
#include "replication/record/commit.h"

enum { COMMITS_OVERHEAD = ILEA_FRAME_HEADER_SIZE + 64, COMMIT_OVERHEAD = 5 };

/* How many commits of the feed fit into one message and into the peer's credit; their bytes. */
static uint32_t
take_run(const struct ilea_replicator *r, const struct link *link, const struct feed *feed,
         uint64_t from, uint64_t *bytes)
{
    uint64_t credit = link->sent_limit - link->sent_bytes;
    uint64_t room = ILEA_MESSAGE_SIZE_MAX - COMMITS_OVERHEAD;
    uint32_t count = 0;
    *bytes = 0;
    for (uint64_t seq = from; seq <= told_seq(feed) && count < ILEA_EFFECTS_MAX / 2; seq++) {
        uint32_t size = r->config.log.commit_size(r->config.log.context, &feed->id, seq);
        if (size == 0 || *bytes + size > credit || size + COMMIT_OVERHEAD > room) break;
        *bytes += size;
        room -= size + COMMIT_OVERHEAD;
        count++;
    }
    return count;
}

void
send_commits(struct ilea_replicator *r, uint32_t index, const struct ilea_feed_id *id, uint64_t seq_first,
             uint32_t count, uint64_t bytes)
{
    struct link *link = &r->links[index];
    struct ilea_effect *effect = emit(r, ILEA_EFFECT_SEND_COMMITS, index);
    memcpy(effect->commits.session, link->session, sizeof effect->commits.session);
    effect->commits.number = ++link->sent_number;
    effect->commits.feed = *id;
    effect->commits.seq_first = seq_first;
    effect->commits.count = count;
    link->sent_bytes += bytes;
    link->sent_ms = r->now_ms;
}

/* Send one message of the feed to the link. False if there is nothing to send, or no credit. */
static bool
pump_feed(struct ilea_replicator *r, uint32_t index, uint32_t at)
{
    struct link *link = &r->links[index];
    const struct feed *feed = &r->feeds[at];
    struct link_feed *state = &r->link_feeds[index][at];
    if (!state->out_eager || state->sent_seq >= told_seq(feed) || !is_common(r, index, at)) {
        return false;
    }
    uint64_t bytes;
    uint32_t count = take_run(r, link, feed, state->sent_seq + 1, &bytes);
    if (count == 0 || !has_room(r, 1, 0)) return false;
    send_commits(r, index, &feed->id, state->sent_seq + 1, count, bytes);
    state->sent_seq += count;
    return true;
}

/* A message of each feed in turn, so that a long one does not hold up the others. */
void
pump(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    if (!link->synced || !flush_trust(r, index)) return;
    for (uint32_t at = 0; at < r->feed_count; at++) { /* what explains the gaps in others goes before them */
        if (r->feeds[at].origin.scope != ILEA_SCOPE_CONTROL) continue;
        while (pump_feed(r, index, at)) {}
    }
    bool moved = true;
    while (moved) {
        moved = false;
        for (uint32_t i = 0; i < r->feed_count; i++) {
            uint32_t at = (link->next_feed + i) % r->feed_count;
            if (pump_feed(r, index, at)) moved = true;
        }
        if (r->feed_count > 0) link->next_feed = (link->next_feed + 1) % r->feed_count;
    }
}

enum ilea_error
on_credit(struct ilea_replicator *r, uint32_t index, struct ilea_span body)
{
    struct link *link = &r->links[index];
    struct ilea_credit credit;
    enum ilea_error error = ilea_credit_decode(body, &credit);
    if (error != ILEA_ERROR_NONE) return error;
    if (credit.limit < link->sent_limit
        || credit.limit > link->sent_bytes + (uint64_t)ILEA_CREDIT_WINDOW * 16) {
        return ILEA_ERROR_LIMIT; /* credit never shrinks, and nobody grants the world */
    }
    link->sent_limit = credit.limit;
    for (uint32_t i = 0; i < credit.position_count; i++) {
        struct ilea_feed_id id;
        uint64_t seq;
        ilea_credit_position_next(&credit.positions, &id, &seq);
        uint32_t at = find_feed(r, &id);
        if (at == NO_INDEX) continue;
        struct link_feed *state = &r->link_feeds[index][at];
        if (seq <= state->remote_seq || seq > r->feeds[at].durable) continue;
        state->remote_seq = seq;
        r->feeds[at].archived_ms = r->now_ms;
    }
    pump(r, index);
    return ILEA_ERROR_NONE;
}

void
send_credit(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->feed_count && count < ILEA_NOTES_MAX; i++) {
        if (r->link_feeds[index][i].credit_due) count++;
    }
    if (!has_room(r, 1, 64 + (size_t)count * 45)) return; /* the keep-alive sends it */
    link->received_limit = link->received_durable + ILEA_CREDIT_WINDOW;

    struct ilea_msgpack_writer writer;
    begin_frame(r, index, ILEA_MESSAGE_CREDIT, &writer);
    ilea_msgpack_put_array(&writer, 2);
    ilea_msgpack_put_uint(&writer, link->received_limit);
    ilea_msgpack_put_array(&writer, count);
    for (uint32_t i = 0; i < r->feed_count && count > 0; i++) {
        struct link_feed *state = &r->link_feeds[index][i];
        if (!state->credit_due) continue;
        state->credit_due = false;
        count--;
        ilea_message_put_position(&writer, &r->feeds[i].id, told_seq(&r->feeds[i]), NULL);
    }
    end_frame(r, index, &writer);
}

/* What came over the link is settled: durable, or of no worth. Until all stores are durable, none is. */
static void
settle(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    if (r->storing) return;
    link->received_durable = link->received_bytes;
    /* Repeats alone cause no STORE, so no STORED will come to give their credit back. */
    if (link->received_limit - link->received_bytes < ILEA_CREDIT_WINDOW / 2) send_credit(r, index);
}

/* Whose feed a first commit opens, and how far it may go. */
struct opened {
    struct ilea_feed_origin origin;
    uint64_t limit_seq;
    struct ilea_commit_id limit_id;
};

/* It must say so itself. Nothing is kept before its signature is checked. */
static enum ilea_error
read_opening(const struct ilea_replicator *r, const struct link *via, const struct ilea_commit *commit,
             struct opened *opened)
{
    struct ilea_msgpack_reader slots;
    ilea_msgpack_reader_init(&slots, commit->slots);
    struct ilea_item item;
    struct ilea_opening opening;
    enum ilea_error error = ilea_item_decode(ilea_slot_next(&slots), &item);
    if (error == ILEA_ERROR_NONE) {
        error = (item.flags & ILEA_ITEM_CONTROL) != 0 ? ilea_opening_decode(item.content, &r->config.network, &opening)
                                                      : ILEA_ERROR_MALFORMED;
    }
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_feed_id id;
    ilea_feed_id_of(&r->config.network, &opening.origin, &id);
    if (memcmp(id.bytes, commit->header.feed.bytes, sizeof id.bytes) != 0) return ILEA_ERROR_BAD_HASH;

    uint32_t agency = find_agency(r, &opening.origin.agency);
    if (agency == NO_INDEX || !is_carried(r, via, agency) || opening.origin.scope == ILEA_SCOPE_AGENCY) {
        return ILEA_ERROR_NOT_FOUND;
    }
    if (opening.origin.scope == ILEA_SCOPE_AUDIENCE) { /* who is in it is for its owner to say, whom we hear */
        uint32_t owner = find_agency(r, &opening.owner);
        if (owner == NO_INDEX || !r->agencies[owner].followed) return ILEA_ERROR_NOT_FOUND;
    }
    opened->origin = opening.origin;
    const struct ilea_replicator_log *log = &r->config.log;
    error = log->feed_limit(log->context, &opening.origin, &id, &opened->limit_seq, &opened->limit_id);
    if (error == ILEA_ERROR_NONE && opened->limit_seq == 0) error = ILEA_ERROR_NOT_FOUND; /* it is void */
    return error;
}

/* The feed of a first commit that is good; whoever announced it may have named a wrong agency. */
static enum ilea_error
open_feed(struct ilea_replicator *r, const struct ilea_feed_id *id, const struct opened *opened,
          uint32_t *at)
{
    uint32_t agency = find_agency(r, &opened->origin.agency);
    if (*at == NO_INDEX) *at = add_feed(r, id, agency);
    if (*at == NO_INDEX) return ILEA_ERROR_FULL;
    struct feed *feed = &r->feeds[*at];
    if (feed->agency != agency) move_feed(r, *at, agency);
    forget_announcer(r, *at);
    feed->origin = opened->origin;
    feed->limit_seq = opened->limit_seq;
    feed->limit_id = opened->limit_id;
    entitle_feed(r, *at);
    return ILEA_ERROR_NONE;
}

/* A commit that is good came too early. Of a feed that is new, the place is kept: it is to be asked for again. */
static enum ilea_error
note_wait(struct ilea_replicator *r, uint32_t index, uint32_t *at, const struct ilea_commit *commit,
          const struct wanting *wanting)
{
    struct link *link = &r->links[index];
    if (*at == NO_INDEX) {
        if (link->unverified_feeds >= ILEA_UNVERIFIED_FEEDS_MAX) return ILEA_ERROR_FULL;
        *at = add_feed(r, &commit->header.feed, link->agency); /* of whom it is, its opening will say again */
        if (*at == NO_INDEX) return ILEA_ERROR_FULL;
        link->unverified_feeds++;
        r->feeds[*at].announced_by = index;
    }
    struct feed *feed = &r->feeds[*at];
    feed->waits = wanting->waits;
    feed->missing = wanting->missing;
    feed->missing_in = wanting->audience;
    if (wanting->waits == WAIT_LEAF) feed->gap = wanting->gap;
    feed->wait_again_ms = feed->wait_again_ms == 0 ? ILEA_WAIT_MS : feed->wait_again_ms * 2;
    if (feed->wait_again_ms > ILEA_WAIT_MS_MAX) feed->wait_again_ms = ILEA_WAIT_MS_MAX;
    feed->wait_ms = r->now_ms + feed->wait_again_ms;
    struct link_feed *state = &r->link_feeds[index][*at];
    if (state->remote_seq < commit->header.seq) state->remote_seq = commit->header.seq;
    return ILEA_ERROR_BUSY;
}

static bool
is_same(const struct ilea_commit_id *a, const struct ilea_commit_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

enum ilea_error
accept_commit(struct ilea_replicator *r, const struct link *via, uint32_t index, uint32_t *at,
              const struct ilea_commit *commit, struct ilea_span bytes)
{
    bool first = commit->header.seq == 1;
    struct opened opened = { .limit_seq = 0 };
    if (first) {
        enum ilea_error error = read_opening(r, via, commit, &opened);
        if (error != ILEA_ERROR_NONE) return error;
        /* A fork of it is known. What the roots say is asked of the log each time: it may have been taken back. */
        if (*at != NO_INDEX && is_forked(&r->feeds[*at]) && r->feeds[*at].limit_seq < opened.limit_seq) {
            opened.limit_seq = r->feeds[*at].limit_seq;
            opened.limit_id = r->feeds[*at].limit_id;
        }
    } else {
        const struct feed *held = &r->feeds[*at];
        opened = (struct opened){ held->origin, held->limit_seq, held->limit_id };
        if (!is_carried(r, via, held->agency)) return ILEA_ERROR_NOT_FOUND;
    }
    if (commit->header.seq > opened.limit_seq) return ILEA_ERROR_NOT_FOUND; /* nobody is to have it */
    struct ilea_commit_id id;
    ilea_commit_id_of(commit->header_bytes, &id);
    enum ilea_error error = ilea_commit_check_items(commit);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_commit_verify(commit, &id, &r->config.network, &opened.origin.node);
    }
    if (error != ILEA_ERROR_NONE) return error;
    if (!first && !is_same(&commit->header.prev, &r->feeds[*at].head)) {
        return ILEA_ERROR_DIVERGED; /* signed, and on top of another history */
    }
    if (commit->header.seq == opened.limit_seq && !is_zero(opened.limit_id.bytes, ILEA_ID_SIZE)
        && !is_same(&id, &opened.limit_id)) {
        return ILEA_ERROR_NOT_FOUND; /* the roots say another one */
    }
    struct wanting wanting;
    error = check_ready(r, &opened.origin, commit, &wanting);
    if (error == ILEA_ERROR_BUSY && index != ILEA_NO_LINK) error = note_wait(r, index, at, commit, &wanting);
    if (error != ILEA_ERROR_NONE) return error;
    if (first) error = open_feed(r, &commit->header.feed, &opened, at);
    if (error != ILEA_ERROR_NONE) return error;
    struct feed *feed = &r->feeds[*at];
    feed->waits = WAIT_NOTHING;
    feed->wait_again_ms = 0;
    take_current(r, index, *at);
    feed->seq = commit->header.seq;
    feed->head = id;
    feed->touched = true;
    r->storing = true;
    struct ilea_effect *effect = emit(r, ILEA_EFFECT_STORE, index);
    effect->store.feed = feed->id;
    effect->store.origin = feed->origin;
    effect->store.seq = feed->seq;
    effect->store.id = id;
    effect->store.commit = bytes;
    return ILEA_ERROR_NONE;
}

/* What is wrong with a commit decides who is blamed: the link's session, or nobody. */
static enum ilea_error
refuse_commit(struct ilea_replicator *r, uint32_t index, uint32_t at, enum ilea_error error,
              const struct ilea_feed_id *id)
{
    switch ((int)error) {
    case ILEA_ERROR_DIVERGED:
        trace(r, index, ILEA_TRACE_DIVERGED, error, id);
        break;
    case ILEA_ERROR_UNKNOWN:   /* of a newer version: wait for an upgrade of this node */
    case ILEA_ERROR_NOT_FOUND: /* not followed (any more), under a key that is not good, or beyond a limit */
    case ILEA_ERROR_FULL:
        trace(r, index, ILEA_TRACE_REFUSED, error, id);
        break;
    default:
        return error;
    }
    if (at == NO_INDEX) return ILEA_ERROR_NONE;
    r->link_feeds[index][at].refused = true;
    prune(r, index, at);
    if (error == ILEA_ERROR_DIVERGED) on_diverged(r, index, at, r->feeds[at].seq);
    return ILEA_ERROR_NONE;
}

/* COMMITS being taken. */
struct intake {
    uint32_t at;      /* the feed; NO_INDEX: new to us */
    bool is_out;      /* it is in the log, and the table has no room for it */
    bool refused, fresh, repeated;
    bool waits;       /* the next one has to: what follows in the message is not looked at */
    bool forked;      /* `commit` is another one than ours */
    struct ilea_commit commit;
    struct ilea_span bytes;
};

static enum ilea_error
take_commit(struct ilea_replicator *r, uint32_t index, const struct ilea_feed_id *id,
            struct intake *intake)
{
    enum ilea_error error = ilea_commit_decode(intake->bytes, &intake->commit);
    const struct ilea_header *header = &intake->commit.header;
    if (error != ILEA_ERROR_NONE) return error;
    if (memcmp(header->feed.bytes, id->bytes, sizeof id->bytes) != 0) return ILEA_ERROR_MALFORMED;
    if (intake->is_out) return ILEA_ERROR_FULL;
    uint64_t held = intake->at != NO_INDEX ? r->feeds[intake->at].seq : 0;
    if (header->seq <= held) {
        intake->repeated = true;
        error = check_repeat(r, intake->at, &intake->commit);
        intake->forked = error == ILEA_ERROR_DIVERGED;
        return intake->forked ? ILEA_ERROR_NONE : error;
    }
    if (intake->refused) return ILEA_ERROR_NONE;
    /* Its opening was refused, and the peer pushes on. */
    if (intake->at == NO_INDEX && header->seq > 1) return ILEA_ERROR_NOT_FOUND;
    if (header->seq > held + 1) { /* a gap, but where we asked for one: what was on its way when it was told to stop */
        return r->link_feeds[index][intake->at].paused ? ILEA_ERROR_NONE : ILEA_ERROR_UNEXPECTED;
    }
    error = accept_commit(r, &r->links[index], index, &intake->at, &intake->commit, intake->bytes);
    if (error == ILEA_ERROR_NONE) intake->fresh = true;
    if (error != ILEA_ERROR_BUSY) return error;
    intake->waits = true;
    pause_feed(r, index, intake->at);
    return ILEA_ERROR_NONE;
}

/* What all of a message amounts to. */
static void
end_intake(struct ilea_replicator *r, uint32_t index, const struct intake *intake)
{
    uint32_t at = intake->at;
    struct link_feed *state = &r->link_feeds[index][at];
    struct feed *feed = &r->feeds[at];
    state->credit_due = true;
    if (intake->fresh) {
        feed->progress_ms = r->now_ms;
        state->urged = state->doubted = false;
    }
    state->brought = state->brought || intake->fresh;
    heard_of(r, index, at, feed->seq > state->remote_seq && intake->fresh ? feed->seq : state->remote_seq);
    /* Of a refused feed, repeats were asked for: they may show where the two histories part. */
    if (!intake->fresh && !intake->forked && intake->refused != intake->repeated) prune(r, index, at);
    if (intake->forked) report_fork(r, index, at, &intake->commit, intake->bytes);
}

enum ilea_error
on_commits(struct ilea_replicator *r, uint32_t index, struct ilea_span body)
{
    struct link *link = &r->links[index];
    struct ilea_feed_id id;
    uint32_t count;
    struct ilea_msgpack_reader commits;
    enum ilea_error error = ilea_commits_decode(body, &id, &count, &commits);
    if (error != ILEA_ERROR_NONE) return error;
    if (count == 1) {
        struct ilea_msgpack_reader alone = commits;
        struct ilea_span bytes = ilea_commits_next(&alone);
        bool is_taken = false;
        if (link->received_bytes + bytes.size <= link->received_limit) {
            error = take_wanted(r, index, &id, bytes, &is_taken);
        }
        if (error != ILEA_ERROR_NONE) return error;
        if (is_taken) {
            link->received_bytes += bytes.size;
            settle(r, index);
            return ILEA_ERROR_NONE;
        }
    }
    struct intake intake = { .at = find_feed(r, &id) };
    if (intake.at == NO_INDEX) intake.is_out = revive_by_id(r, &id, &intake.at) == REVIVAL_NONE;
    intake.refused = intake.at != NO_INDEX && r->link_feeds[index][intake.at].refused;

    for (uint32_t i = 0; i < count; i++) {
        struct ilea_span bytes = ilea_commits_next(&commits);
        link->received_bytes += bytes.size;
        if (link->received_bytes > link->received_limit) return ILEA_ERROR_LIMIT;
        /* A feed that is refused is looked at only for the commit that shows the other history. */
        if (intake.forked || intake.waits || (intake.refused && intake.at == NO_INDEX)) continue;
        intake.bytes = bytes;
        error = take_commit(r, index, &id, &intake);
        if (error == ILEA_ERROR_NONE) continue;
        if (intake.refused && error == ILEA_ERROR_UNKNOWN) continue;
        error = refuse_commit(r, index, intake.at, error, &id);
        if (error != ILEA_ERROR_NONE) return error;
        intake.refused = true;
    }
    if (intake.fresh) link->data_ms = r->now_ms;
    settle(r, index);
    ask_archives(r, index);
    if (intake.at != NO_INDEX) end_intake(r, index, &intake);
    return ILEA_ERROR_NONE;
}

void
on_stored(struct ilea_replicator *r)
{
    bool has_control = false;
    r->storing = false;
    for (uint32_t i = 0; i < r->feed_count; i++) {
        struct feed *feed = &r->feeds[i];
        if (!feed->touched) continue;
        feed->touched = false;
        has_control = has_control || feed->origin.scope == ILEA_SCOPE_CONTROL;
        feed->durable = feed->seq;
        feed->durable_head = feed->head;
        announce(r, i);
    }
    check_waiting(r, has_control);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        struct link *link = &r->links[i];
        if (link->state != SESSION_READY) continue;
        if (link->received_durable != link->received_bytes) {
            link->received_durable = link->received_bytes;
            send_credit(r, i);
        }
        pump(r, i);
    }
}

void
on_appended(struct ilea_replicator *r, const struct ilea_event *event)
{
    uint32_t at = find_feed(r, &event->appended.feed);
    ilea_assert(at != NO_INDEX);
    struct feed *feed = &r->feeds[at];
    ilea_assert(event->appended.seq == feed->seq + 1);
    feed->seq = feed->durable = event->appended.seq;
    feed->head = feed->durable_head = event->appended.id;
    announce(r, at);
    check_waiting(r, feed->origin.scope == ILEA_SCOPE_CONTROL);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (r->links[i].state == SESSION_READY) pump(r, i);
    }
}
