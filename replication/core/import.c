/*
 * import.c - messages that came in a bundle: by the same checks as over a link, and with nobody at the other end. So
 * nothing is acknowledged, asked for or ended; what cannot be taken is counted (PROTOCOL.md, "Bundles").
 */
#include <string.h>

#include "replication/core/state.h"

/* COMMITS being taken. */
struct import {
    struct link via;  /* what a link to the maker would let through */
    struct ilea_imported counts;
    uint32_t at;      /* the feed; NO_INDEX: new to us */
    bool is_out;      /* it is in the log, and the table has no room for it */
    bool refused;     /* a commit before in this message: what follows stands on it */
    bool forked;      /* `commit` is another one than ours */
    struct ilea_commit commit;
    struct ilea_span bytes;
};

/* Are all these commits of an archived feed the ones that we hold? */
static bool
is_all_archived(const struct ilea_replicator *r, const struct ilea_event_feed *held,
                struct ilea_msgpack_reader commits, uint32_t count)
{
    const struct ilea_replicator_log *log = &r->config.log;
    for (uint32_t i = 0; held->archived && i < count; i++) {
        struct ilea_commit commit;
        struct ilea_commit_id id, ours;
        if (ilea_commit_decode(ilea_commits_next(&commits), &commit) != ILEA_ERROR_NONE) return false;
        if (commit.header.seq > held->seq) return false;
        ilea_commit_id_of(commit.header_bytes, &id);
        if (!log->commit_id(log->context, &held->id, commit.header.seq, &ours)) return false;
        if (memcmp(id.bytes, ours.bytes, sizeof id.bytes) != 0) return false;
    }
    return held->archived;
}

/* One commit. NONE: it was taken, or is known. NOT_FOUND among others: refused. UNEXPECTED, BUSY: it has to wait. */
static enum ilea_error
take_one(struct ilea_replicator *r, struct import *import, const struct ilea_feed_id *id)
{
    enum ilea_error error = ilea_commit_decode(import->bytes, &import->commit);
    const struct ilea_header *header = &import->commit.header;
    if (error != ILEA_ERROR_NONE) return error;
    if (memcmp(header->feed.bytes, id->bytes, sizeof id->bytes) != 0) return ILEA_ERROR_MALFORMED;
    if (import->is_out) return ILEA_ERROR_FULL;
    uint64_t held = import->at != NO_INDEX ? r->feeds[import->at].seq : 0;
    if (header->seq <= held) {
        error = check_repeat(r, import->at, &import->commit);
        import->forked = error == ILEA_ERROR_DIVERGED;
        if (error == ILEA_ERROR_NONE) import->counts.known++;
        return error;
    }
    if (header->seq > held + 1) return ILEA_ERROR_UNEXPECTED;
    error = accept_commit(r, &import->via, ILEA_NO_LINK, &import->at, &import->commit, import->bytes);
    if (error == ILEA_ERROR_NONE) import->counts.taken++;
    return error;
}

static void
import_commits(struct ilea_replicator *r, struct import *import, struct ilea_span body)
{
    struct ilea_feed_id id;
    uint32_t count;
    struct ilea_msgpack_reader commits;
    struct ilea_event_feed held;
    if (ilea_commits_decode(body, &id, &count, &commits) != ILEA_ERROR_NONE) {
        import->counts.refused++;
        return;
    }
    import->at = find_feed(r, &id);
    if (import->at == NO_INDEX && r->config.log.archived(r->config.log.context, &id, &held)) {
        if (is_all_archived(r, &held, commits, count)) {
            import->counts.known += count;
            return;
        }
        import->is_out = revive(r, &held, &import->at) != REVIVAL_DONE;
    }
    for (uint32_t i = 0; i < count && !import->forked; i++) {
        import->bytes = ilea_commits_next(&commits);
        enum ilea_error error = take_one(r, import, &id);
        if (error == ILEA_ERROR_NONE) continue;
        if ((error == ILEA_ERROR_UNEXPECTED || error == ILEA_ERROR_BUSY) && !import->refused) {
            import->counts.waiting++;
            continue;
        }
        import->counts.refused++;
        if (!import->refused) trace(r, ILEA_NO_LINK, ILEA_TRACE_REFUSED, error, &id);
        import->refused = true;
    }
}

static void
import_manifests(struct ilea_replicator *r, const struct import *import, struct ilea_span body)
{
    struct ilea_agency_id id;
    uint32_t count;
    struct ilea_msgpack_reader manifests;
    if (ilea_manifests_decode(body, &id, &count, &manifests) != ILEA_ERROR_NONE) return;
    uint32_t agency = find_agency(r, &id);
    if (agency == NO_INDEX || (agency != import->via.agency && !is_carried(r, &import->via, agency))) return;
    struct ilea_effect *effect = emit(r, ILEA_EFFECT_MANIFEST, ILEA_NO_LINK);
    effect->manifest.agency = id;
    effect->manifest.count = count;
    effect->manifest.manifests = (struct ilea_span){ manifests.next, manifests.left };
}

void
on_import(struct ilea_replicator *r, const struct ilea_event *event)
{
    struct ilea_span proof;
    struct import import = { .at = NO_INDEX };
    import.via.agency = find_agency(r, &event->import.from);
    import.via.relays = event->import.relays;
    switch (event->import.type) {
    case ILEA_MESSAGE_COMMITS: import_commits(r, &import, event->import.body); break;
    case ILEA_MESSAGE_MANIFEST: import_manifests(r, &import, event->import.body); return;
    case ILEA_MESSAGE_FORK:
        if (ilea_fork_message_decode(event->import.body, &proof) != ILEA_ERROR_NONE) return;
        emit(r, ILEA_EFFECT_FORK, ILEA_NO_LINK)->fork = proof;
        return;
    default: return;
    }
    emit(r, ILEA_EFFECT_IMPORTED, ILEA_NO_LINK)->imported = import.counts;
    if (import.forked) report_fork(r, ILEA_NO_LINK, import.at, &import.commit, import.bytes);
}
