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
    for (uint64_t seq = from; seq <= feed->durable && count < ILEA_EFFECTS_MAX / 2; seq++) {
        uint32_t size = r->config.commit_size(r->config.context, &feed->id, seq);
        if (size == 0 || *bytes + size > credit || size + COMMIT_OVERHEAD > room) break;
        *bytes += size;
        room -= size + COMMIT_OVERHEAD;
        count++;
    }
    return count;
}

/* Send one message of the feed to the link. False if there is nothing to send, or no credit. */
static bool
pump_feed(struct ilea_replicator *r, uint32_t index, uint32_t at)
{
    struct link *link = &r->links[index];
    const struct feed *feed = &r->feeds[at];
    struct link_feed *state = &r->link_feeds[index][at];
    if (!state->out_eager || state->refused || state->sent_seq >= feed->durable
        || !is_common(r, link, feed)) {
        return false;
    }
    uint64_t bytes;
    uint32_t count = take_run(r, link, feed, state->sent_seq + 1, &bytes);
    if (count == 0 || !has_room(r, 1, 0)) return false;

    struct ilea_effect *effect = emit(r, ILEA_EFFECT_SEND_COMMITS, index);
    memcpy(effect->commits.session, link->session, sizeof effect->commits.session);
    effect->commits.number = ++link->sent_number;
    effect->commits.feed = feed->id;
    effect->commits.seq_first = state->sent_seq + 1;
    effect->commits.count = count;
    state->sent_seq += count;
    link->sent_bytes += bytes;
    link->sent_ms = r->now_ms;
    return true;
}

/* A message of each feed in turn, so that a long one does not hold up the others. */
void
pump(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    if (!link->synced) return;
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
        if (seq > state->remote_seq && seq <= r->feeds[at].durable) state->remote_seq = seq;
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
        ilea_message_put_position(&writer, &r->feeds[i].id, r->feeds[i].durable, NULL);
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

/* Whose feed a first commit opens: it must say so itself. Nothing is kept before its signature is checked. */
static enum ilea_error
read_opening(const struct ilea_replicator *r, const struct ilea_commit *commit,
             struct ilea_feed_origin *origin)
{
    struct ilea_msgpack_reader slots;
    ilea_msgpack_reader_init(&slots, commit->slots);
    struct ilea_item item;
    struct ilea_opening opening;
    enum ilea_error error = ilea_item_decode(ilea_slot_next(&slots), &item);
    if (error == ILEA_ERROR_NONE) {
        error = (item.flags & ILEA_ITEM_CONTROL) != 0 ? ilea_opening_decode(item.content, &opening)
                                                      : ILEA_ERROR_MALFORMED;
    }
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_feed_id id;
    ilea_feed_id_of(&r->config.network, &opening.origin, &id);
    if (memcmp(id.bytes, commit->header.feed.bytes, sizeof id.bytes) != 0) return ILEA_ERROR_BAD_HASH;

    uint32_t agency = find_agency(r, &opening.origin.agency);
    if (agency == NO_INDEX || !r->agencies[agency].followed
        || opening.origin.scope != ILEA_SCOPE_PEERS
        || memcmp(opening.origin.node.bytes, r->agencies[agency].node.bytes,
                  sizeof opening.origin.node.bytes) != 0) {
        return ILEA_ERROR_NOT_FOUND;
    }
    *origin = opening.origin;
    return ILEA_ERROR_NONE;
}

/* The feed of a first commit that is good; whoever announced it may have named a wrong agency. */
static enum ilea_error
open_feed(struct ilea_replicator *r, const struct ilea_feed_id *id,
          const struct ilea_feed_origin *origin, uint32_t *at)
{
    uint32_t agency = find_agency(r, &origin->agency);
    if (*at == NO_INDEX) *at = add_feed(r, id, agency);
    if (*at == NO_INDEX) return ILEA_ERROR_FULL;
    struct feed *feed = &r->feeds[*at];
    if (feed->agency != agency) move_feed(r, *at, agency);
    forget_announcer(r, *at);
    feed->origin = *origin;
    return ILEA_ERROR_NONE;
}

/* Nothing is withheld from anybody in this version: a slot that comes as its leaf alone was left out on
 * the way, and what is stored so would never be completed. */
static bool
is_whole(const struct ilea_commit *commit)
{
    struct ilea_msgpack_reader slots;
    ilea_msgpack_reader_init(&slots, commit->slots);
    for (uint32_t i = 0; i < commit->header.item_count; i++) {
        if (ilea_slot_next(&slots).size == ILEA_HASH_SIZE) return false;
    }
    return true;
}

/* Take one commit that comes next in its feed: everything is checked, then accepted. */
static enum ilea_error
accept_commit(struct ilea_replicator *r, uint32_t index, uint32_t *at,
              const struct ilea_commit *commit, struct ilea_span bytes)
{
    bool first = commit->header.seq == 1;
    struct ilea_feed_origin origin;
    if (first) {
        enum ilea_error error = read_opening(r, commit, &origin);
        if (error != ILEA_ERROR_NONE) return error;
    } else {
        if (!r->agencies[r->feeds[*at].agency].followed) return ILEA_ERROR_NOT_FOUND;
        origin = r->feeds[*at].origin;
    }
    if (!is_whole(commit)) return ILEA_ERROR_NOT_FOUND;
    struct ilea_commit_id id;
    ilea_commit_id_of(commit->header_bytes, &id);
    enum ilea_error error = ilea_commit_check_items(commit);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_commit_verify(commit, &id, &r->config.network, &origin.node);
    }
    if (error == ILEA_ERROR_NONE && first) error = open_feed(r, &commit->header.feed, &origin, at);
    if (error != ILEA_ERROR_NONE) return error;
    struct feed *feed = &r->feeds[*at];
    if (!first && memcmp(commit->header.prev.bytes, feed->head.bytes, sizeof feed->head.bytes) != 0) {
        return ILEA_ERROR_DIVERGED; /* signed, and on top of another history */
    }
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
    case ILEA_ERROR_NOT_FOUND: /* an agency we do not follow (any more), or another node's key */
    case ILEA_ERROR_FULL:
        trace(r, index, ILEA_TRACE_REFUSED, error, id);
        break;
    default:
        return error;
    }
    if (at != NO_INDEX) {
        r->link_feeds[index][at].refused = true;
        prune(r, index, at);
    }
    return ILEA_ERROR_NONE;
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
    uint32_t at = find_feed(r, &id);
    bool refused = at != NO_INDEX && r->link_feeds[index][at].refused;
    bool fresh = false;

    for (uint32_t i = 0; i < count; i++) {
        struct ilea_span bytes = ilea_commits_next(&commits);
        link->received_bytes += bytes.size;
        if (link->received_bytes > link->received_limit) return ILEA_ERROR_LIMIT;
        if (refused) continue;
        struct ilea_commit commit;
        error = ilea_commit_decode(bytes, &commit);
        if (error == ILEA_ERROR_NONE
            && memcmp(commit.header.feed.bytes, id.bytes, sizeof id.bytes) != 0) {
            return ILEA_ERROR_MALFORMED;
        }
        if (error == ILEA_ERROR_NONE) {
            uint64_t held = at != NO_INDEX ? r->feeds[at].seq : 0;
            if (commit.header.seq <= held) continue; /* a repeat */
            if (at == NO_INDEX && commit.header.seq > 1) {
                error = ILEA_ERROR_NOT_FOUND; /* its opening was refused, and the peer pushes on */
            } else if (commit.header.seq > held + 1) {
                return ILEA_ERROR_UNEXPECTED; /* a gap */
            } else {
                error = accept_commit(r, index, &at, &commit, bytes);
            }
        }
        if (error != ILEA_ERROR_NONE) {
            error = refuse_commit(r, index, at, error, &id);
            if (error != ILEA_ERROR_NONE) return error;
            refused = true;
            continue;
        }
        fresh = true;
    }
    if (fresh) link->data_ms = r->now_ms;
    settle(r, index);
    if (at != NO_INDEX) {
        struct link_feed *state = &r->link_feeds[index][at];
        state->credit_due = true;
        if (fresh) r->feeds[at].progress_ms = r->now_ms;
        heard_of(r, index, at, r->feeds[at].seq > state->remote_seq && fresh ? r->feeds[at].seq
                                                                              : state->remote_seq);
        if (!fresh && !refused) prune(r, index, at);
    }
    return ILEA_ERROR_NONE;
}

void
on_stored(struct ilea_replicator *r)
{
    r->storing = false;
    for (uint32_t i = 0; i < r->feed_count; i++) {
        struct feed *feed = &r->feeds[i];
        if (!feed->touched) continue;
        feed->touched = false;
        feed->durable = feed->seq;
        feed->durable_head = feed->head;
        announce(r, i);
    }
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
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (r->links[i].state == SESSION_READY) pump(r, i);
    }
}
