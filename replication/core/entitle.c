/* entitle.c - whom a feed may be told to: of a closed audience's, its author and those who are in the audience
 * (PROTOCOL.md, "Closed audiences"). */
#include <string.h>

#include "replication/core/state.h"

static bool
may_tell(const struct ilea_replicator *r, uint32_t index, uint32_t at)
{
    const struct link *link = &r->links[index];
    const struct feed *feed = &r->feeds[at];
    if (feed->origin.scope != ILEA_SCOPE_AUDIENCE || !link->exists || link->agency == feed->agency) return true;
    const struct ilea_replicator_log *log = &r->config.log;
    return log->entitled(log->context, &r->agencies[link->agency].id, &feed->origin.audience);
}

void
entitle_feed(struct ilea_replicator *r, uint32_t at)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) r->link_feeds[i][at].may_tell = may_tell(r, i, at);
}

void
entitle_link(struct ilea_replicator *r, uint32_t index)
{
    for (uint32_t at = 0; at < r->feed_count; at++) r->link_feeds[index][at].may_tell = may_tell(r, index, at);
}

void
on_audience(struct ilea_replicator *r, const struct ilea_event *event)
{
    for (uint32_t at = 0; at < r->feed_count; at++) {
        const struct feed *feed = &r->feeds[at];
        if (feed->origin.scope != ILEA_SCOPE_AUDIENCE
            || memcmp(feed->origin.audience.bytes, event->audience.bytes, ILEA_AUDIENCE_ID_SIZE) != 0) {
            continue;
        }
        for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
            struct link_feed *state = &r->link_feeds[i][at];
            bool might = state->may_tell;
            state->may_tell = may_tell(r, i, at);
            if (might == state->may_tell) continue;
            if (!state->may_tell) {
                state->out_eager = state->note_due = false; /* nothing more from here on */
                continue;
            }
            if (feed->agency == 0 && r->links[i].synced && !state->refused) { /* as when the session began */
                state->out_eager = true;
                state->sent_seq = state->remote_seq < told_seq(feed) ? state->remote_seq : told_seq(feed);
            }
            announce_to(r, i, at);
        }
    }
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (r->links[i].state == SESSION_READY) pump(r, i);
    }
}
