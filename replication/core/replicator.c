#include "replication/core/replicator.h"

#include <string.h>

#include "crypto/assert.h"
#include "replication/core/state.h"

size_t
ilea_replicator_size(void)
{
    return sizeof(struct ilea_replicator);
}

static void
clear_link(struct link *link)
{
    *link = (struct link){ .deadline_ms = ILEA_TIME_NEVER, .notes_deadline_ms = ILEA_TIME_NEVER };
}

struct ilea_replicator *
ilea_replicator_init(void *memory, const struct ilea_replicator_config *config)
{
    struct ilea_replicator *r = memory;
    r->config = *config;
    r->stall_check_ms = ILEA_TIME_NEVER;
    r->agency_count = 1;
    r->agencies[0] = (struct agency){ .id = config->agency, .node = config->node, .followed = true };
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) clear_link(&r->links[i]);
    return r;
}

static void
on_agency(struct ilea_replicator *r, const struct ilea_event *event)
{
    uint32_t index = find_agency(r, &event->agency.id);
    if (index == NO_INDEX) {
        if (r->agency_count == ILEA_AGENCIES_MAX) {
            trace(r, 0, ILEA_TRACE_REFUSED, ILEA_ERROR_FULL, NULL);
            return;
        }
        index = r->agency_count++;
        r->agencies[index].id = event->agency.id;
    }
    ilea_assert(index != 0 || event->agency.followed);
    struct agency *agency = &r->agencies[index];
    bool changed = agency->followed != event->agency.followed;
    agency->node = event->agency.node;
    agency->followed = event->agency.followed;
    if (!changed) return;
    /* What we follow is part of every session's start: begin them anew. */
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (r->links[i].state == SESSION_READY) start_session(r, i);
    }
}

static void
on_feed(struct ilea_replicator *r, const struct ilea_event *event)
{
    uint32_t agency = find_agency(r, &event->feed.origin.agency);
    if (agency == NO_INDEX) return; /* of an agency that is not followed: it stays in the log, untold */
    uint32_t index = find_feed(r, &event->feed.id);
    if (index == NO_INDEX) index = add_feed(r, &event->feed.id, agency);
    if (index == NO_INDEX) {
        trace(r, 0, ILEA_TRACE_REFUSED, ILEA_ERROR_FULL, &event->feed.id);
        return;
    }
    struct feed *feed = &r->feeds[index];
    forget_announcer(r, index);
    if (feed->agency != agency) move_feed(r, index, agency);
    feed->origin = event->feed.origin;
    feed->seq = feed->durable = event->feed.seq;
    feed->head = feed->durable_head = event->feed.head;
    for (uint32_t i = 0; event->feed.current && i < r->feed_count; i++) r->feeds[i].current = false;
    feed->current = event->feed.current;
    feed->resumed = event->feed.current && event->feed.seq > 0;
}

static void
on_peer(struct ilea_replicator *r, const struct ilea_event *event)
{
    struct link *link = &r->links[event->link];
    if (link->exists) drop_session(r, event->link);
    clear_link(link);
    memset(r->link_feeds[event->link], 0, sizeof r->link_feeds[event->link]);
    for (uint32_t i = 0; i < r->feed_count; i++) {
        if (r->feeds[i].announced_by == event->link) r->feeds[i].announced_by = NO_INDEX;
    }
    if (!event->peer.approved) return;
    uint32_t agency = find_agency(r, &event->peer.agency);
    ilea_assert(agency != NO_INDEX); /* the driver tells of the agency first */
    link->exists = true;
    link->agency = agency;
    link->transport = event->peer.transport;
}

/* Session, number, state: then the message itself. */
static enum ilea_error
on_frame(struct ilea_replicator *r, uint32_t index, const struct ilea_frame *frame)
{
    struct link *link = &r->links[index];
    if (frame->type == ILEA_MESSAGE_HELLO) return on_hello(r, index, frame->body);
    if (link->state != SESSION_READY && link->state != SESSION_BINDING) return ILEA_ERROR_NONE;
    if (memcmp(frame->session, link->session, sizeof link->session) != 0) {
        return ILEA_ERROR_NONE; /* of a session that is over: a queue survived the reconnect */
    }
    if (frame->number <= link->received_number) return ILEA_ERROR_NONE; /* a repeat */
    if (frame->number != link->received_number + 1) return ILEA_ERROR_UNEXPECTED; /* a gap */
    link->received_number = frame->number;
    link->heard_ms = r->now_ms;

    if (frame->type == ILEA_MESSAGE_BIND) return on_bind(r, index, frame->body);
    if (link->state != SESSION_READY) return ILEA_ERROR_UNEXPECTED;
    switch (frame->type) {
    case ILEA_MESSAGE_HELLO:
    case ILEA_MESSAGE_BIND: break;
    case ILEA_MESSAGE_FRONTIER: return on_frontier(r, index, frame->body);
    case ILEA_MESSAGE_COMMITS: return on_commits(r, index, frame->body);
    case ILEA_MESSAGE_CREDIT: return on_credit(r, index, frame->body);
    case ILEA_MESSAGE_NOTE: return on_notes(r, index, frame->body);
    }
    return ILEA_ERROR_UNEXPECTED;
}

static void
on_message(struct ilea_replicator *r, const struct ilea_event *event)
{
    if (!r->links[event->link].exists) return; /* revoked meanwhile */
    struct ilea_frame frame;
    enum ilea_error error = ilea_frame_decode(event->message, &frame);
    if (error == ILEA_ERROR_NONE) error = on_frame(r, event->link, &frame);
    if (error != ILEA_ERROR_NONE) end_session(r, event->link, error);
}

/* A session that lives goes on: this is a second connection to the same peer, as when both sides dialled. */
static void
on_link_up(struct ilea_replicator *r, uint32_t index)
{
    const struct link *link = &r->links[index];
    if (!link->exists || link->state == SESSION_READY || link->state == SESSION_BINDING) return;
    drop_session(r, index);
    start_session(r, index);
}

static void
on_timer(struct ilea_replicator *r)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (!r->links[i].exists) continue;
        session_timer(r, i);
        flush_notes(r, i);
    }
    check_stalls(r);
}

void
ilea_replicator_step(struct ilea_replicator *r, const struct ilea_event *event,
                     struct ilea_effects *effects)
{
    ilea_assert(r->effects == NULL); /* not from within itself */
    ilea_assert(event->now_ms >= r->now_ms);
    ilea_assert(event->now_ms <= UINT64_MAX / 2); /* so that adding a timeout cannot wrap */
    ilea_assert(event->link < ILEA_LINKS_MAX);
    r->now_ms = event->now_ms;
    memcpy(r->random, event->random, sizeof r->random);
    effects->count = 0;
    effects->byte_count = 0;
    r->effects = effects;

    switch (event->type) { /* no default: -Wswitch-enum finds a forgotten event */
    case ILEA_EVENT_AGENCY: on_agency(r, event); break;
    case ILEA_EVENT_FEED: on_feed(r, event); break;
    case ILEA_EVENT_PEER: on_peer(r, event); break;
    case ILEA_EVENT_LINK_UP: on_link_up(r, event->link); break;
    case ILEA_EVENT_LINK_DOWN:
        if (r->links[event->link].exists) drop_session(r, event->link);
        break;
    case ILEA_EVENT_MESSAGE: on_message(r, event); break;
    case ILEA_EVENT_STORED: on_stored(r); break;
    case ILEA_EVENT_APPENDED: on_appended(r, event); break;
    case ILEA_EVENT_TIMER: on_timer(r); break;
    }
    r->effects = NULL;
}

uint64_t
ilea_replicator_deadline(const struct ilea_replicator *r)
{
    uint64_t deadline = r->stall_check_ms;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (!r->links[i].exists) continue;
        uint64_t next = session_deadline(&r->links[i]);
        if (next < deadline) deadline = next;
    }
    return deadline;
}

static bool
is_zero(const uint8_t *bytes, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++) any |= bytes[i];
    return any == 0;
}

void
ilea_replicator_link_status(const struct ilea_replicator *r, uint32_t index,
                            struct ilea_link_status *status)
{
    const struct link *link = &r->links[index];
    *status = (struct ilea_link_status){ .exists = link->exists };
    if (!link->exists) return;
    status->ready = link->state == SESSION_READY;
    status->known = !is_zero(link->follows_hash, sizeof link->follows_hash);
    status->agency = r->agencies[link->agency].id;
    for (uint32_t i = 0; i < r->feed_count; i++) {
        const struct feed *feed = &r->feeds[i];
        if (!is_common(r, link, feed)) continue;
        uint64_t theirs = r->link_feeds[index][i].remote_seq;
        if (theirs > feed->seq) status->missing_commits += theirs - feed->seq;
        /* What others bring to them they need not tell us: count what we push. */
        bool pushed = r->link_feeds[index][i].out_eager || feed->agency == 0;
        if (pushed && theirs < feed->durable) status->lag_commits += feed->durable - theirs;
    }
    status->lag_commits += status->missing_commits;
}
