/*
 * trust.c - MANIFEST and FORK: who may write, and where a feed ends, goes before what was written
 * (PROTOCOL.md, "Manifests and forks"). Manifests and proofs are bytes here; the driver judges them.
 */
#include <string.h>

#include "replication/core/state.h"

enum { MANIFESTS_OVERHEAD = ILEA_FRAME_HEADER_SIZE + 64, MANIFEST_OVERHEAD = 5 };

static bool
is_ours(const struct agency *agency, uint64_t index, const uint8_t hash[ILEA_HASH_SIZE])
{
    return agency->manifest_index == index
        && memcmp(agency->manifest_hash, hash, sizeof agency->manifest_hash) == 0;
}

/*
 * From which of our manifests on a peer that has this one must be sent them; 0: it lacks none. If it stands in
 * our chain, what comes after. Else it is newer, or of a chain that ours may take the place of: all of it, but
 * for the first, which who knows the agency's id has. Chains are short, and this is rare.
 */
static uint64_t
first_lacking(const struct ilea_replicator *r, uint32_t index, uint64_t known,
              const uint8_t known_hash[ILEA_HASH_SIZE])
{
    const struct agency *agency = &r->agencies[index];
    const struct ilea_replicator_log *log = &r->config.log;
    uint8_t hash[ILEA_HASH_SIZE];
    if (agency->manifest_index == 0 || is_ours(agency, known, known_hash)) return 0;
    bool is_in_chain = known < agency->manifest_index
                       && log->manifest_hash(log->context, &agency->id, known, hash)
                       && memcmp(hash, known_hash, sizeof hash) == 0;
    return is_in_chain ? known + 1 : 1;
}

/* Our manifests of the agency from *next on; each frame as many as fit. False: there was no room for all. */
static bool
send_manifests(struct ilea_replicator *r, uint32_t index, uint32_t of, uint64_t *next)
{
    struct link *link = &r->links[index];
    const struct agency *agency = &r->agencies[of];
    const struct ilea_replicator_log *log = &r->config.log;
    while (*next != 0 && *next <= agency->manifest_index) {
        uint64_t room = ILEA_MESSAGE_SIZE_MAX - MANIFESTS_OVERHEAD;
        uint32_t count = 0;
        while (count < ILEA_MANIFESTS_MAX && *next + count <= agency->manifest_index) {
            uint32_t size = log->manifest_size(log->context, &agency->id, *next + count);
            if (size == 0 || size + MANIFEST_OVERHEAD > room) break;
            room -= size + MANIFEST_OVERHEAD;
            count++;
        }
        if (count == 0) break; /* the log cannot be read: the next session tries again */
        if (!has_room(r, 1, 0)) return false;
        struct ilea_effect *effect = emit(r, ILEA_EFFECT_SEND_MANIFESTS, index);
        memcpy(effect->send_manifests.session, link->session, sizeof effect->send_manifests.session);
        effect->send_manifests.number = ++link->sent_number;
        effect->send_manifests.agency = agency->id;
        effect->send_manifests.from = *next;
        effect->send_manifests.count = count;
        link->sent_ms = r->now_ms;
        *next += count;
    }
    *next = 0;
    return true;
}

void
send_own_manifests(struct ilea_replicator *r, uint32_t index)
{
    const struct ilea_hello *theirs = &r->links[index].theirs;
    uint64_t next = first_lacking(r, 0, theirs->known_index, theirs->known_hash);
    (void)send_manifests(r, index, 0, &next); /* what has no room comes after the frontiers */
}

/* Does the peer lack the proof of the feed's fork that we have? */
static bool
lacks_fork(const struct ilea_replicator *r, uint32_t index, uint32_t at)
{
    return is_forked_to(r, index, at) && !r->link_feeds[index][at].fork_known;
}

static bool
send_forks(struct ilea_replicator *r, uint32_t index, uint32_t agency)
{
    struct link *link = &r->links[index];
    for (uint32_t at = 0; at < r->feed_count; at++) {
        if (r->feeds[at].agency != agency || !lacks_fork(r, index, at)) continue;
        if (!has_room(r, 1, 0)) return false;
        struct ilea_effect *effect = emit(r, ILEA_EFFECT_SEND_FORK, index);
        memcpy(effect->send_fork.session, link->session, sizeof effect->send_fork.session);
        effect->send_fork.number = ++link->sent_number;
        effect->send_fork.feed = r->feeds[at].id;
        link->sent_ms = r->now_ms;
        r->link_feeds[index][at].fork_known = true;
    }
    return true;
}

bool
flush_trust(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    if (!link->trust_due) return true;
    for (uint32_t i = 0; i < r->agency_count; i++) {
        struct link_agency *state = &r->link_agencies[index][i];
        if (state->manifest_next != 0 && !send_manifests(r, index, i, &state->manifest_next)) return false;
        if (state->forks_due && !send_forks(r, index, i)) return false;
        state->forks_due = false;
    }
    link->trust_due = false;
    return true;
}

/* The peer is to be sent our newest manifest of the agency, and what comes before it. */
static void
set_manifests_due(struct ilea_replicator *r, uint32_t index, uint32_t of)
{
    const struct agency *agency = &r->agencies[of];
    struct link_agency *state = &r->link_agencies[index][of];
    state->manifest_next = first_lacking(r, of, state->manifest_index, state->manifest_hash);
    if (state->manifest_next == 0) return;
    state->manifest_index = agency->manifest_index; /* once it has them */
    memcpy(state->manifest_hash, agency->manifest_hash, sizeof state->manifest_hash);
    r->links[index].trust_due = true;
}

void
begin_trust(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    for (uint32_t i = 0; i < r->agency_count; i++) {
        if (r->link_agencies[index][i].told && is_shared(r, link, i)) set_manifests_due(r, index, i);
    }
    for (uint32_t at = 0; at < r->feed_count; at++) {
        if (!lacks_fork(r, index, at) || !is_common(r, index, at)) continue;
        r->link_agencies[index][r->feeds[at].agency].forks_due = true;
        link->trust_due = true;
    }
    (void)flush_trust(r, index);
}

void
spread_manifest(struct ilea_replicator *r, uint32_t of)
{
    const struct agency *agency = &r->agencies[of];
    if (r->shown_by != NO_INDEX && r->shown_agency == of) { /* who showed it has it */
        struct link_agency *state = &r->link_agencies[r->shown_by][of];
        state->manifest_index = agency->manifest_index;
        memcpy(state->manifest_hash, agency->manifest_hash, sizeof state->manifest_hash);
        r->shown_by = NO_INDEX;
    }
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        const struct link *link = &r->links[i];
        if (!link->synced || !is_shared(r, link, of)) continue;
        set_manifests_due(r, i, of);
        (void)flush_trust(r, i);
    }
}

void
spread_fork(struct ilea_replicator *r, uint32_t at)
{
    const uint32_t shown_by = r->shown_agency == NO_INDEX ? r->shown_by : NO_INDEX;
    r->shown_by = NO_INDEX;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        struct link *link = &r->links[i];
        r->link_feeds[i][at].fork_known = i == shown_by;
        if (!link->synced || !is_common(r, i, at) || !lacks_fork(r, i, at)) continue;
        r->link_agencies[i][r->feeds[at].agency].forks_due = true;
        link->trust_due = true;
        (void)flush_trust(r, i);
    }
}

enum ilea_error
on_manifests(struct ilea_replicator *r, uint32_t index, struct ilea_span body)
{
    const struct link *link = &r->links[index];
    struct ilea_agency_id id;
    uint32_t count;
    struct ilea_msgpack_reader manifests;
    enum ilea_error error = ilea_manifests_decode(body, &id, &count, &manifests);
    if (error != ILEA_ERROR_NONE) return error;
    uint32_t agency = find_agency(r, &id);
    if (link->state == SESSION_BINDING && agency != link->agency) return ILEA_ERROR_UNEXPECTED;
    if (agency == NO_INDEX) return ILEA_ERROR_NONE;
    if (agency != link->agency && !is_carried(r, link, agency)) return ILEA_ERROR_NONE;
    if (!has_room(r, 1, 0)) return ILEA_ERROR_BUSY;
    r->shown_by = index;
    r->shown_agency = agency;
    struct ilea_effect *effect = emit(r, ILEA_EFFECT_MANIFEST, index);
    effect->manifest.agency = id;
    effect->manifest.count = count;
    effect->manifest.manifests = (struct ilea_span){ manifests.next, manifests.left };
    effect->manifest.own_link = agency == link->agency;
    return ILEA_ERROR_NONE;
}

enum ilea_error
on_fork(struct ilea_replicator *r, uint32_t index, struct ilea_span body)
{
    struct ilea_span proof;
    enum ilea_error error = ilea_fork_message_decode(body, &proof);
    if (error != ILEA_ERROR_NONE) return error;
    if (!has_room(r, 1, 0)) return ILEA_ERROR_BUSY;
    r->shown_by = index;
    r->shown_agency = NO_INDEX;
    emit(r, ILEA_EFFECT_FORK, index)->fork = proof;
    return ILEA_ERROR_NONE;
}
