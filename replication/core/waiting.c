/*
 * waiting.c - commits that are good and come too early (PROTOCOL.md, "What a commit waits for"). One of a closed
 * audience waits until all statements that it names are held: so what a node holds, and gives on, never lacks the
 * removal that somebody wrote by the light of. One with an item left out waits until its author is known to have
 * erased that item. It is dropped without blame, and asked for again when something was stored.
 */
#include <string.h>

#include "replication/core/state.h"
#include "replication/record/audience.h"

/* The log does not know yet of what is stored in this very step. */
static bool
is_being_stored(const struct ilea_replicator *r, const struct ilea_commit_id *id)
{
    for (uint32_t i = 0; i < r->effects->count; i++) {
        const struct ilea_effect *effect = &r->effects->items[i];
        if (effect->type == ILEA_EFFECT_STORE && memcmp(effect->store.id.bytes, id->bytes, sizeof id->bytes) == 0) {
            return true;
        }
    }
    return false;
}

static bool
holds(const struct ilea_replicator *r, const struct ilea_audience_id *audience, const struct ilea_commit_id *id)
{
    const struct ilea_replicator_log *log = &r->config.log;
    return log->holds(log->context, audience, id) || is_being_stored(r, id);
}

/* Names of agencies that we do not follow never come, and count for nothing here. */
static bool
holds_names(const struct ilea_replicator *r, const struct ilea_audience_id *audience, struct ilea_span content,
            struct ilea_commit_id *missing)
{
    uint32_t count;
    struct ilea_msgpack_reader heads;
    ilea_statement_heads(content, &count, &heads);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_head head;
        ilea_head_get(&heads, &head);
        uint32_t agency = find_agency(r, &head.agency);
        if (agency == NO_INDEX || !r->agencies[agency].followed || holds(r, audience, &head.id)) continue;
        *missing = head.id;
        return false;
    }
    return true;
}

static bool
is_erased(const struct ilea_replicator *r, const struct ilea_feed_id *feed, const struct gap *gap)
{
    const struct ilea_replicator_log *log = &r->config.log;
    return log->erased(log->context, &gap->agency, feed, gap->seq, gap->index, gap->leaf);
}

bool
find_gap(const struct ilea_replicator *r, const struct ilea_agency_id *agency, const struct ilea_commit *commit,
         struct gap *gap)
{
    struct ilea_msgpack_reader slots;
    ilea_msgpack_reader_init(&slots, commit->slots);
    for (uint32_t i = 0; i < commit->header.item_count; i++) {
        struct ilea_span slot = ilea_slot_next(&slots);
        if (slot.size != ILEA_HASH_SIZE) continue;
        *gap = (struct gap){ .agency = *agency, .seq = commit->header.seq, .index = i };
        memcpy(gap->leaf, slot.data, sizeof gap->leaf);
        if (!is_erased(r, &commit->header.feed, gap)) return true;
    }
    return false;
}

enum ilea_error
check_ready(const struct ilea_replicator *r, const struct ilea_feed_origin *origin, const struct ilea_commit *commit,
            struct wanting *wanting)
{
    *wanting = (struct wanting){ .audience = origin->audience };
    if (find_gap(r, &origin->agency, commit, &wanting->gap)) {
        if (origin->scope == ILEA_SCOPE_CONTROL) return ILEA_ERROR_MALFORMED; /* nothing is ever erased there */
        wanting->waits = WAIT_LEAF;
        return ILEA_ERROR_BUSY;
    }
    /* Our own feed that comes back after a restore is no news to us: who gives it back may have left us out since. */
    bool is_own = memcmp(origin->agency.bytes, r->agencies[0].id.bytes, ILEA_ID_SIZE) == 0;
    if (origin->scope != ILEA_SCOPE_AUDIENCE || is_own) return ILEA_ERROR_NONE;
    if (holds_names(r, &origin->audience, ilea_naming_statement(commit), &wanting->missing)) return ILEA_ERROR_NONE;
    wanting->waits = WAIT_NAMES;
    return ILEA_ERROR_BUSY;
}

void
pause_feed(struct ilea_replicator *r, uint32_t index, uint32_t at)
{
    struct feed *feed = &r->feeds[at];
    struct link_feed *state = &r->link_feeds[index][at];
    trace(r, index, ILEA_TRACE_WAITS, feed->waits == WAIT_LEAF ? ILEA_ERROR_BAD_HASH : ILEA_ERROR_NOT_FOUND, &feed->id);
    if (feed->eager_link == index) feed->eager_link = NO_INDEX;
    send_note(r, index, at, ILEA_NOTE_LAZY); /* again, too: it pushes, so it thinks that it is to */
    state->paused = true;
    if (r->stall_check_ms > feed->wait_ms) r->stall_check_ms = feed->wait_ms;
    if (feed->waits == WAIT_NAMES) return;
    state->withheld = true;
    state->shunned_ms = feed->wait_ms; /* another one may have the item */
    choose_source(r, at);
}

void
resume_feed(struct ilea_replicator *r, uint32_t at)
{
    struct feed *feed = &r->feeds[at];
    feed->waits = WAIT_NOTHING;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        struct link_feed *state = &r->link_feeds[i][at];
        if (state->paused) state->shunned_ms = 0;
        state->withheld = false;
    }
    choose_source(r, at);
}

/* Now it is said why the item was left out: nobody kept it back. */
static bool
is_explained(struct ilea_replicator *r, uint32_t at)
{
    struct feed *feed = &r->feeds[at];
    if (feed->gap.seq == 0 || !is_erased(r, &feed->id, &feed->gap)) return false;
    feed->gap.seq = 0;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) r->link_feeds[i][at].withheld = false;
    return true;
}

void
check_waiting(struct ilea_replicator *r, bool has_control)
{
    for (uint32_t at = 0; at < r->feed_count; at++) {
        struct feed *feed = &r->feeds[at];
        bool explained = has_control && is_explained(r, at);
        bool has_come = feed->waits == WAIT_LEAF ? explained
                                                 : feed->waits == WAIT_NAMES
                                                       && holds(r, &feed->missing_in, &feed->missing);
        if (!has_come) continue;
        feed->wait_again_ms = 0;
        resume_feed(r, at);
    }
}
