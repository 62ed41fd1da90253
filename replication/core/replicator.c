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
    *link = (struct link){ .deadline_ms = ILEA_TIME_NEVER, .notes_deadline_ms = ILEA_TIME_NEVER,
                           .asked_agency = NO_INDEX };
}

struct ilea_replicator *
ilea_replicator_init(void *memory, const struct ilea_replicator_config *config)
{
    struct ilea_replicator *r = memory;
    r->config = *config;
    r->stall_check_ms = r->archive_check_ms = r->want_ms = ILEA_TIME_NEVER;
    r->shown_by = NO_INDEX;
    uint32_t own = add_agency(r, &config->agency);
    ilea_assert(own == 0);
    r->agencies[0].node = config->node;
    r->agencies[0].followed = true;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) clear_link(&r->links[i]);
    return r;
}

/* What a session's start told is not so any more: begin those that are on anew. */
static void
restart_sessions(struct ilea_replicator *r)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (r->links[i].state == SESSION_READY) start_session(r, i);
    }
}

static void
on_agency(struct ilea_replicator *r, const struct ilea_event *event)
{
    uint32_t index = find_agency(r, &event->agency.id);
    if (index == NO_INDEX) index = add_agency(r, &event->agency.id);
    if (index == NO_INDEX) {
        trace(r, 0, ILEA_TRACE_REFUSED, ILEA_ERROR_FULL, NULL);
        return;
    }
    ilea_assert(index != 0 || event->agency.followed);
    struct agency *agency = &r->agencies[index];
    bool is_turned = agency->followed != event->agency.followed;
    bool has_new_key = memcmp(agency->node.bytes, event->agency.node.bytes, sizeof agency->node.bytes) != 0;
    bool has_new_manifest = agency->manifest_index != event->agency.manifest_index
                            || memcmp(agency->manifest_hash, event->agency.manifest_hash,
                                      sizeof agency->manifest_hash) != 0;
    agency->node = event->agency.node;
    agency->followed = event->agency.followed;
    agency->manifest_index = event->agency.manifest_index;
    memcpy(agency->manifest_hash, event->agency.manifest_hash, sizeof agency->manifest_hash);
    agency->archive = event->agency.archive;
    if (is_turned) restart_sessions(r);
    if (has_new_manifest) spread_manifest(r, index);
    for (uint32_t i = 0; has_new_key && index != 0 && i < ILEA_LINKS_MAX; i++) {
        struct link *link = &r->links[i]; /* its BIND was signed with another one */
        if (link->state == SESSION_READY && link->agency == index) start_session(r, i);
    }
}

/* Whether sessions that are on must begin anew for what the feed has become. */
static bool
is_unforeseen(const struct feed *feed, const struct ilea_event_feed *now, bool is_new)
{
    if (is_new) return now->seq > 0; /* it was archived, or its agency not followed */
    return now->seq < feed->seq || now->limit_seq > feed->limit_seq
        || (now->seq == feed->seq && memcmp(now->head.bytes, feed->head.bytes, sizeof now->head.bytes) != 0);
}

static void
on_feed(struct ilea_replicator *r, const struct ilea_event *event)
{
    const struct ilea_event_feed *now = &event->feed;
    uint32_t agency = find_agency(r, &now->origin.agency);
    if (agency == NO_INDEX) return; /* of an agency that is not followed: it stays in the log, untold */
    uint32_t index = find_feed(r, &now->id);
    bool is_new = index == NO_INDEX;
    if (is_new) index = add_feed(r, &now->id, agency);
    if (index == NO_INDEX) {
        trace(r, 0, ILEA_TRACE_REFUSED, ILEA_ERROR_FULL, &now->id);
        return;
    }
    struct feed *feed = &r->feeds[index];
    forget_announcer(r, index);
    forget_reviver(r, index);
    if (feed->agency != agency) move_feed(r, index, agency);
    bool is_anew = is_unforeseen(feed, now, is_new);
    if (!is_new && now->seq < feed->seq) shun_sources(r, index);
    bool is_forked_now = !is_zero(now->fork, sizeof now->fork)
                         && memcmp(now->fork, feed->fork, sizeof now->fork) != 0;
    set_feed(r, index, now);
    for (uint32_t i = 0; now->current && i < r->feed_count; i++) { /* our node writes one a scope and audience */
        const struct ilea_feed_origin *other = &r->feeds[i].origin;
        if (other->scope == now->origin.scope
            && memcmp(other->audience.bytes, now->origin.audience.bytes, ILEA_AUDIENCE_ID_SIZE) == 0) {
            r->feeds[i].current = false;
        }
    }
    feed->current = now->current;
    if (is_new) feed->resumed = now->current && now->seq > 0;
    if (now->limit_seq != ILEA_SEQ_NEVER && has_room(r, 1, 0)) take_current(r, 0, index);
    if (is_anew) restart_sessions(r);
    if (is_forked_now) spread_fork(r, index);
}

static void
on_peer(struct ilea_replicator *r, const struct ilea_event *event)
{
    struct link *link = &r->links[event->link];
    if (link->exists) drop_session(r, event->link);
    clear_link(link);
    for (uint32_t i = 0; i < r->feed_count; i++) {
        r->link_feeds[event->link][i] = (struct link_feed){ .probed_seq = ILEA_SEQ_NEVER };
        if (r->feeds[i].announced_by == event->link) r->feeds[i].announced_by = NO_INDEX;
        if (r->feeds[i].revived_by == event->link) r->feeds[i].revived_by = NO_INDEX;
    }
    if (!event->peer.approved) return;
    uint32_t agency = find_agency(r, &event->peer.agency);
    ilea_assert(agency != NO_INDEX); /* the driver tells of the agency first */
    link->exists = true;
    link->agency = agency;
    link->relays = event->peer.relays;
    link->transport = event->peer.transport;
    entitle_link(r, event->link);
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
    if (frame->type == ILEA_MESSAGE_MANIFEST) return on_manifests(r, index, frame->body);
    if (link->state != SESSION_READY) return ILEA_ERROR_UNEXPECTED;
    switch (frame->type) {
    case ILEA_MESSAGE_HELLO:
    case ILEA_MESSAGE_BIND:
    case ILEA_MESSAGE_MANIFEST: break;
    case ILEA_MESSAGE_FRONTIER: return on_frontier(r, index, frame->body);
    case ILEA_MESSAGE_COMMITS: return on_commits(r, index, frame->body);
    case ILEA_MESSAGE_CREDIT: return on_credit(r, index, frame->body);
    case ILEA_MESSAGE_NOTE: return on_notes(r, index, frame->body);
    case ILEA_MESSAGE_FORK: return on_fork(r, index, frame->body);
    case ILEA_MESSAGE_SIDE: return on_side(r, index, frame->body);
    case ILEA_MESSAGE_WANT: return on_want_frame(r, index, frame->body);
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
        if (r->links[i].trust_due) pump(r, i);
        flush_notes(r, i);
    }
    check_stalls(r);
    evict_archived(r);
    send_wants(r);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) ask_archives(r, i);
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
    /* Until then the driver tells what came of it. */
    if (event->type == ILEA_EVENT_MESSAGE || event->type == ILEA_EVENT_IMPORT || event->type == ILEA_EVENT_TIMER) {
        r->shown_by = NO_INDEX;
    }

    switch (event->type) { /* no default: -Wswitch-enum finds a forgotten event */
    case ILEA_EVENT_AGENCY: on_agency(r, event); break;
    case ILEA_EVENT_FEED: on_feed(r, event); break;
    case ILEA_EVENT_ARCHIVED: on_archived(r, event); break;
    case ILEA_EVENT_AUDIENCE: on_audience(r, event); break;
    case ILEA_EVENT_PEER: on_peer(r, event); break;
    case ILEA_EVENT_LINK_UP: on_link_up(r, event->link); break;
    case ILEA_EVENT_LINK_DOWN:
        if (r->links[event->link].exists) drop_session(r, event->link);
        break;
    case ILEA_EVENT_MESSAGE: on_message(r, event); break;
    case ILEA_EVENT_SIDE: send_side(r, event); break;
    case ILEA_EVENT_BLAME: end_session(r, event->link, event->blame); break;
    case ILEA_EVENT_IMPORT: on_import(r, event); break;
    case ILEA_EVENT_WANT: on_want(r, event); break;
    case ILEA_EVENT_STORED: on_stored(r); break;
    case ILEA_EVENT_APPENDED: on_appended(r, event); break;
    case ILEA_EVENT_TIMER: on_timer(r); break;
    }
    r->effects = NULL;
}

uint64_t
ilea_replicator_deadline(const struct ilea_replicator *r)
{
    uint64_t deadline = r->stall_check_ms < r->archive_check_ms ? r->stall_check_ms : r->archive_check_ms;
    if (r->want_ms < deadline) deadline = r->want_ms;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (!r->links[i].exists) continue;
        uint64_t next = session_deadline(&r->links[i]);
        if (next < deadline) deadline = next;
    }
    return deadline;
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
    status->has_own_manifest = link->synced && r->link_agencies[index][0].told
        && r->link_agencies[index][0].manifest_index >= r->agencies[0].manifest_index;
    for (uint32_t i = 0; i < r->feed_count; i++) {
        const struct feed *feed = &r->feeds[i];
        if (!is_common(r, index, i)) continue;
        uint64_t theirs = within_limit(feed, r->link_feeds[index][i].remote_seq);
        if (r->link_feeds[index][i].paused && feed->waits == WAIT_NAMES) status->waiting++;
        if (r->link_feeds[index][i].withheld) status->withheld++;
        if (theirs > feed->seq) status->missing_commits += theirs - feed->seq;
        /* What others bring to them they need not tell us: count what we push. */
        bool pushed = r->link_feeds[index][i].out_eager
                      || (feed->agency == 0 && !feed->archived);
        if (pushed && theirs < told_seq(feed)) status->lag_commits += told_seq(feed) - theirs;
    }
    status->lag_commits += status->missing_commits;
}

bool
ilea_replicator_withholds(const struct ilea_replicator *r, uint32_t index, const struct ilea_agency_id *id)
{
    uint32_t agency = find_agency(r, id);
    for (uint32_t i = 0; agency != NO_INDEX && r->links[index].exists && i < r->feed_count; i++) {
        if (r->feeds[i].agency == agency && r->link_feeds[index][i].withheld) return true;
    }
    return false;
}
