/*
 * branch.c - two histories of one feed: noticing them, and getting at the two signed commits that prove it
 * (PROTOCOL.md, "Forks").
 */
#include <string.h>

#include "replication/core/state.h"

/*
 * Does it matter to us whether others have another commit at `seq`? Not behind a fork that is proven. Where the
 * agency's roots say how the feed ends, not any more once we have come there: that commit names all before it.
 */
static bool
is_open_question(const struct feed *feed, uint64_t seq)
{
    if (feed->limit_seq == ILEA_SEQ_NEVER) return true;
    return seq <= feed->limit_seq && (is_forked(feed) || feed->seq < feed->limit_seq);
}

static bool
commit_id_of(const struct ilea_replicator *r, const struct feed *feed, uint64_t seq, struct ilea_commit_id *id)
{
    const struct ilea_replicator_log *log = &r->config.log;
    return log->commit_id(log->context, &feed->id, seq, id);
}

bool
has_same_history(const struct ilea_replicator *r, uint32_t at, uint64_t seq, const struct ilea_commit_id *id)
{
    const struct feed *feed = &r->feeds[at];
    struct ilea_commit_id ours = feed->durable_head;
    if (seq == 0 || seq > told_seq(feed)) return true; /* as far as we can tell */
    if (seq != feed->durable && !commit_id_of(r, feed, seq, &ours)) return true;
    return memcmp(ours.bytes, id->bytes, sizeof ours.bytes) == 0;
}

/* Stop, and begin again after `seq`. */
static void
send_rewind(struct ilea_replicator *r, uint32_t index, uint32_t at, uint64_t seq)
{
    if (!has_room(r, 1, 256)) return; /* the next session finds it again */
    struct ilea_note note = { .feed = r->feeds[at].id, .seq = seq, .mode = ILEA_NOTE_LAZY };
    struct ilea_msgpack_writer writer;
    begin_frame(r, index, ILEA_MESSAGE_NOTE, &writer);
    ilea_msgpack_put_array(&writer, 2);
    ilea_message_put_note(&writer, &note);
    note.mode = ILEA_NOTE_EAGER;
    ilea_message_put_note(&writer, &note);
    end_frame(r, index, &writer);
    r->link_feeds[index][at].probed_seq = seq;
}

/*
 * The peer's commit at `seq` is another one, and so may be those below. Ask for it; and if it turns out that the
 * one before is another one, too, from twice as far back each time.
 */
void
on_diverged(struct ilea_replicator *r, uint32_t index, uint32_t at, uint64_t seq)
{
    struct feed *feed = &r->feeds[at];
    struct link_feed *state = &r->link_feeds[index][at];
    bool is_first = !state->refused;
    state->refused = true;
    state->out_eager = false;
    if (feed->eager_link == index) feed->eager_link = NO_INDEX;
    if (is_first) trace(r, index, ILEA_TRACE_DIVERGED, ILEA_ERROR_DIVERGED, &feed->id);
    if (seq == 0 || !is_open_question(feed, seq)) return;
    if (r->links[index].state != SESSION_READY) return;
    uint64_t back = state->probed_back == 0 ? 1 : 2 * state->probed_back;
    uint64_t from = seq > back ? seq - back : 0;
    if (from >= state->probed_seq) return; /* asked for already */
    state->probed_back = back;
    send_rewind(r, index, at, from);
}

enum ilea_error
check_repeat(const struct ilea_replicator *r, uint32_t at, const struct ilea_commit *commit)
{
    const struct feed *feed = &r->feeds[at];
    struct ilea_commit_id id, ours;
    if (!is_open_question(feed, commit->header.seq)) return ILEA_ERROR_NONE;
    if (!commit_id_of(r, feed, commit->header.seq, &ours)) return ILEA_ERROR_NONE;
    ilea_commit_id_of(commit->header_bytes, &id);
    if (memcmp(id.bytes, ours.bytes, sizeof id.bytes) == 0) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_commit_verify(commit, &id, &r->config.network, &feed->origin.node);
    return error == ILEA_ERROR_NONE ? ILEA_ERROR_DIVERGED : error;
}

void
report_fork(struct ilea_replicator *r, uint32_t index, uint32_t at, const struct ilea_commit *commit,
            struct ilea_span bytes)
{
    const struct feed *feed = &r->feeds[at];
    uint64_t seq = commit->header.seq;
    struct ilea_commit_id before;
    bool parts_earlier = seq > 1 && commit_id_of(r, feed, seq - 1, &before)
                         && memcmp(before.bytes, commit->header.prev.bytes, sizeof before.bytes) != 0;
    if (index != ILEA_NO_LINK) on_diverged(r, index, at, parts_earlier ? seq - 1 : 0);
    /* Where the roots spoke, what we hold is cut off before the fork: at once where the two really part. */
    if (parts_earlier && feed->limit_seq != ILEA_SEQ_NEVER && !is_forked(feed)) return;
    if (!has_room(r, 1, 0)) return;
    struct ilea_effect *effect = emit(r, ILEA_EFFECT_FORK_FOUND, index);
    effect->fork_found.feed = feed->id;
    effect->fork_found.seq = seq;
    effect->fork_found.commit = bytes;
}
