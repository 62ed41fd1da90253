/*
 * side.c - SIDE: bytes that the drivers of two nodes exchange beside the feeds (PROTOCOL.md, "Receipts"). They take
 * their place in the session's order and cost no credit of commits, so they are bounded by an allowance of their own,
 * and beyond it by what the receiver asked for.
 */
#include <string.h>

#include "replication/core/state.h"

static uint64_t
allowed(const struct allowance *allowance, uint64_t now_ms, uint64_t rate, uint64_t burst)
{
    uint64_t passed = now_ms > allowance->at_ms ? now_ms - allowance->at_ms : 0;
    if (allowance->bytes >= burst || passed >= burst / rate + 1) return burst;
    uint64_t bytes = allowance->bytes + passed * rate;
    return bytes < burst ? bytes : burst;
}

static void
spend(struct allowance *allowance, uint64_t now_ms, uint64_t rate, uint64_t burst, uint64_t bytes)
{
    *allowance = (struct allowance){ allowed(allowance, now_ms, rate, burst) - bytes, now_ms };
}

void
begin_side(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    link->session_number = ++r->sessions;
    link->side_out = (struct allowance){ ILEA_SIDE_BURST, r->now_ms };
    link->side_in = (struct allowance){ ILEA_SIDE_BURST_IN, r->now_ms };
    link->side_credit = 0;
}

void
ilea_replicator_side(const struct ilea_replicator *r, uint32_t index, uint64_t now_ms,
                     struct ilea_side_status *status)
{
    const struct link *link = &r->links[index];
    *status = (struct ilea_side_status){ .open = link->synced, .session = link->session_number };
    if (!link->synced) return;
    uint64_t room = allowed(&link->side_out, now_ms, ILEA_SIDE_RATE, ILEA_SIDE_BURST);
    status->room = room < ILEA_SIDE_SIZE_MAX ? (size_t)room : ILEA_SIDE_SIZE_MAX;
}

bool
ilea_replicator_carries(const struct ilea_replicator *r, uint32_t index, const struct ilea_agency_id *id)
{
    uint32_t agency = find_agency(r, id);
    return agency != NO_INDEX && r->links[index].synced && is_shared(r, &r->links[index], agency);
}

void
ilea_replicator_shared(const struct ilea_replicator *r, uint32_t index, uint8_t hash[ILEA_HASH_SIZE])
{
    const struct link *link = &r->links[index];
    memset(hash, 0, ILEA_HASH_SIZE);
    if (!link->synced) return;
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    for (uint32_t i = 0; i < r->agency_count; i++) {
        uint32_t agency = r->agency_order[i];
        if (is_shared(r, link, agency)) ilea_hash_add(&hasher, r->agencies[agency].id.bytes, ILEA_ID_SIZE);
    }
    ilea_hash_end(&hasher, hash);
}

uint64_t
ilea_replicator_acknowledged(const struct ilea_replicator *r, uint32_t index, const struct ilea_feed_id *id)
{
    uint32_t at = find_feed(r, id);
    return at != NO_INDEX && r->links[index].exists ? r->link_feeds[index][at].remote_seq : 0;
}

void
send_side(struct ilea_replicator *r, const struct ilea_event *event)
{
    struct ilea_side_status status;
    struct link *link = &r->links[event->link];
    const uint32_t index = event->link;
    const struct ilea_span bytes = event->side.bytes;
    ilea_replicator_side(r, index, r->now_ms, &status);
    size_t room = event->side.asked && status.open ? ILEA_SIDE_SIZE_MAX : status.room;
    if (bytes.size == 0 || bytes.size > room || !has_room(r, 1, bytes.size + ILEA_FRAME_HEADER_SIZE)) return;
    if (!event->side.asked) spend(&link->side_out, r->now_ms, ILEA_SIDE_RATE, ILEA_SIDE_BURST, bytes.size);
    uint32_t more = ILEA_SIDE_CREDIT_MAX - link->side_credit;
    link->side_credit += event->side.expects < more ? event->side.expects : more;
    struct ilea_msgpack_writer writer;
    begin_frame(r, index, ILEA_MESSAGE_SIDE, &writer);
    ilea_msgpack_put_raw(&writer, bytes);
    end_frame(r, index, &writer);
}

enum ilea_error
on_side(struct ilea_replicator *r, uint32_t index, struct ilea_span body)
{
    struct link *link = &r->links[index];
    if (!link->hash_received) return ILEA_ERROR_UNEXPECTED; /* it knows nothing of us yet */
    if (body.size == 0) return ILEA_ERROR_MALFORMED;
    if (body.size > ILEA_SIDE_SIZE_MAX) return ILEA_ERROR_LIMIT;
    /* The allowance first: so what was asked for never uses up what the rest needs, in whatever order they come. */
    uint64_t unasked = allowed(&link->side_in, r->now_ms, ILEA_SIDE_RATE_IN, ILEA_SIDE_BURST_IN);
    if (unasked > body.size) unasked = body.size;
    if (body.size - unasked > link->side_credit) return ILEA_ERROR_LIMIT;
    spend(&link->side_in, r->now_ms, ILEA_SIDE_RATE_IN, ILEA_SIDE_BURST_IN, unasked);
    link->side_credit -= (uint32_t)(body.size - unasked);
    if (!has_room(r, 1, 0)) return ILEA_ERROR_BUSY;
    emit(r, ILEA_EFFECT_SIDE, index)->side = body;
    return ILEA_ERROR_NONE;
}
