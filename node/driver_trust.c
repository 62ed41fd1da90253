/*
 * driver_trust.c - manifests and proofs of forks, as peers show them: judged, made durable, and told to the
 * replicator before its next message, because what it may accept depends on them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/audit.h"
#include "node/chain.h"
#include "node/driver_state.h"
#include "node/own_keys.h"
#include "node/trust.h"
#include "replication/core/message.h"
#include "replication/record/fork.h"

void
ilea_driver_blame(struct driver *driver, uint32_t link, enum ilea_error error)
{
    if (link == ILEA_NO_LINK) { /* nobody is there to be told */
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "refused", "peer", ilea_driver_peer_code(driver, link),
                          "reason", ilea_error_text(error), NULL);
        return;
    }
    struct ilea_event event = { .type = ILEA_EVENT_BLAME, .link = link };
    event.blame = error;
    ilea_driver_step(driver, &event);
}

static void
remember_archived(struct driver *driver, const struct ilea_feed_id *feed)
{
    if (driver->archive_count == driver->archive_capacity) {
        uint32_t larger = driver->archive_capacity == 0 ? 16 : driver->archive_capacity * 2;
        struct ilea_feed_id *moved = realloc(driver->archive_due, larger * sizeof *moved);
        if (moved == NULL) return; /* it is told at the next start, and costs a little until then */
        driver->archive_due = moved;
        driver->archive_capacity = larger;
    }
    driver->archive_due[driver->archive_count++] = *feed;
}

/* The replicator's picture of all feeds of an agency that end somewhere, as the log has them now. `anew`: part of the
 * chain was superseded, so others may end nowhere any more. */
static void
tell_limited_feeds(struct driver *driver, const struct ilea_agency_id *agency, bool anew)
{
    struct ilea_transaction *txn = NULL;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn);
    for (uint32_t number = 1; error == ILEA_ERROR_NONE; number++) {
        struct ilea_feed_row feed;
        error = ilea_log_feed(txn, number, &feed);
        if (error != ILEA_ERROR_NONE) break;
        bool is_told = feed.limit_seq != ILEA_SEQ_NONE || (anew && !feed.archived);
        if (!ilea_scope_is_shared(feed.origin.scope) || !is_told
            || memcmp(feed.origin.agency.bytes, agency->bytes, ILEA_ID_SIZE) != 0) {
            continue;
        }
        ilea_driver_tell_feed(driver, &feed);
        if (feed.archived) remember_archived(driver, &feed.id); /* a fork that was settled is archived like others */
    }
    ilea_transaction_abort(txn);
    if (error != ILEA_ERROR_NOT_FOUND) ilea_driver_log_error(driver, "log_read", error);
    ilea_driver_tell_all_audiences(driver); /* what was stated beyond an end does not count any more */
    ilea_driver_tell_archived(driver);
}

/* The agency itself shows keys that its roots did not sign, or there are two manifests of one index: nothing
 * flows until an admin has decided. */
static enum ilea_error
stop_flow(struct driver *driver, const struct ilea_agency_id *id, uint64_t index)
{
    enum ilea_error error = ilea_driver_transaction(driver);
    if (error == ILEA_ERROR_NONE) error = ilea_trust_conflict(driver->node, id, index, ilea_wall_ms());
    if (error != ILEA_ERROR_NONE) return error;
    ilea_driver_commit_turn(driver);
    return driver->trouble ? ILEA_ERROR_NONE : ilea_driver_apply(driver, id);
}

/* What a changed chain means for us: new readers' keys, feeds that end, a view that shows what is void. */
static enum ilea_error
follow_change(struct driver *driver, const struct ilea_agency_id *id, const struct ilea_chain_change *change)
{
    char index[24];
    (void)snprintf(index, sizeof index, "%llu", (unsigned long long)change->index);
    const struct ilea_audit_pair pairs[] = { { "index", index }, { NULL, NULL } };
    enum ilea_error error = ilea_audit_note(driver->node->author, "peer.manifest", id, pairs);
    if (error == ILEA_ERROR_NONE) error = ilea_author_readers_changed(driver->node->author);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_driver_commit_turn(driver);
    if (driver->trouble) return ILEA_ERROR_NONE; /* forgotten: the peer shows it again */
    if (change->truncated) (void)ilea_driver_abandon_view(driver);
    bool own = memcmp(id->bytes, ilea_log_identity(driver->node->log)->agency.bytes, ILEA_ID_SIZE) == 0;
    if (own) { /* our roots have spoken elsewhere: begin again with the keys that they name */
        driver->reloading = true;
        return ILEA_ERROR_NONE;
    }
    error = ilea_driver_apply(driver, id);
    if (error == ILEA_ERROR_NONE) tell_limited_feeds(driver, id, change->outcome == ILEA_CHAIN_REPLACED);
    ilea_driver_touch_receipt(driver, id);
    return error;
}

static enum ilea_error
judge_manifests(struct driver *driver, const struct ilea_effect *effect)
{
    const struct ilea_agency_id id = effect->manifest.agency;
    struct ilea_chain_change change = { .truncated = false };
    enum ilea_error error = ilea_driver_transaction(driver);
    if (error != ILEA_ERROR_NONE) return error;
    if (driver->stored) { /* what came before it stands, whatever becomes of it */
        ilea_driver_commit_turn(driver);
        if (driver->trouble) return ILEA_ERROR_NONE;
        error = ilea_driver_transaction(driver);
        if (error != ILEA_ERROR_NONE) return error;
    }
    error =
        ilea_chain_take(ilea_author_transaction(driver->node->author), &ilea_log_identity(driver->node->log)->network,
                        &id, effect->manifest.manifests, effect->manifest.count, &change);
    switch ((int)error) {
    case ILEA_ERROR_NONE: break;
    case ILEA_ERROR_NOT_FOUND: /* after a gap: they are shown again from where we are */
        ilea_author_abort(driver->node->author);
        return ILEA_ERROR_NONE;
    case ILEA_ERROR_MALFORMED:
    case ILEA_ERROR_UNKNOWN:
    case ILEA_ERROR_BAD_SIGNATURE:
    case ILEA_ERROR_LIMIT:
    case ILEA_ERROR_INVALID:
        ilea_author_abort(driver->node->author);
        if (effect->manifest.own_link && error != ILEA_ERROR_UNKNOWN) return stop_flow(driver, &id, 0);
        ilea_driver_blame(driver, effect->link, error);
        return ILEA_ERROR_NONE;
    default: return error;
    }
    switch (change.outcome) {
    case ILEA_CHAIN_NEWER:
    case ILEA_CHAIN_REPLACED: return follow_change(driver, &id, &change);
    case ILEA_CHAIN_CONFLICT:
        ilea_author_abort(driver->node->author);
        return stop_flow(driver, &id, change.index);
    case ILEA_CHAIN_SAME:
    case ILEA_CHAIN_OLDER: break;
    }
    ilea_author_abort(driver->node->author);
    return ILEA_ERROR_NONE;
}

/* Keep a proof that is better than the one we have. *changed: it was. */
static enum ilea_error
keep_proof(struct driver *driver, struct ilea_span proof, const struct ilea_fork *fork, bool *changed)
{
    struct ilea_transaction *txn = ilea_author_transaction(driver->node->author);
    uint64_t limit;
    struct ilea_commit_id id;
    *changed = false;
    enum ilea_error error = ilea_chain_limit(txn, &fork->origin, &fork->feed, &limit, &id);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE; /* no agency of ours, or void anyway */
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span held;
    struct ilea_fork known;
    error = ilea_log_fork(txn, &fork->feed, &held);
    if (error == ILEA_ERROR_NONE
        && ilea_fork_decode(held, &ilea_log_identity(driver->node->log)->network, &known) == ILEA_ERROR_NONE
        && !ilea_fork_is_better(fork, &known)) {
        return ILEA_ERROR_NONE;
    }
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) return error;
    struct ilea_feed_row feed = { .id = fork->feed, .origin = fork->origin };
    struct ilea_feed_row row;
    error = ilea_log_feed_by_id(txn, &fork->feed, &row);
    if (error == ILEA_ERROR_NOT_FOUND) {
        feed.closed =
            memcmp(fork->origin.agency.bytes, ilea_log_identity(driver->node->log)->agency.bytes, ILEA_ID_SIZE) == 0;
        error = ilea_log_add_feed(txn, &feed);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_log_put_fork(txn, &fork->feed, proof, fork->hash, fork->seq - 1);
    if (error != ILEA_ERROR_NONE) return error;
    char name[2 * ILEA_ID_SIZE + 1], seq[24];
    ilea_hex_format(fork->feed.bytes, sizeof fork->feed.bytes, name);
    (void)snprintf(seq, sizeof seq, "%llu", (unsigned long long)fork->seq);
    const struct ilea_audit_pair pairs[] = { { "feed", name }, { "seq", seq }, { NULL, NULL } };
    *changed = true;
    return ilea_audit_note(driver->node->author, "fork.seen", &fork->origin.agency, pairs);
}

static enum ilea_error
judge_fork(struct driver *driver, uint32_t link, struct ilea_span proof)
{
    struct ilea_fork fork;
    enum ilea_error error = ilea_fork_decode(proof, &ilea_log_identity(driver->node->log)->network, &fork);
    if (error != ILEA_ERROR_NONE) {
        ilea_driver_blame(driver, link, error);
        return ILEA_ERROR_NONE;
    }
    bool changed = false;
    error = ilea_driver_transaction(driver);
    if (error == ILEA_ERROR_NONE) error = keep_proof(driver, proof, &fork, &changed);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_driver_commit_turn(driver);
    if (driver->trouble || !changed) return ILEA_ERROR_NONE;
    ilea_logger_write(&driver->logger, ILEA_LEVEL_ERROR, "fork_proven", "peer", ilea_driver_peer_code(driver, link),
                      NULL);
    struct ilea_transaction *txn = NULL;
    struct ilea_feed_row feed;
    error = ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_log_feed_by_id(txn, &fork.feed, &feed);
    ilea_transaction_abort(txn);
    if (error == ILEA_ERROR_NONE) ilea_driver_tell_feed(driver, &feed);
    if (error == ILEA_ERROR_NONE) ilea_driver_tell_all_audiences(driver);
    return error;
}

/* A signed commit came beside one that we hold: with both headers that is a proof. */
static enum ilea_error
make_proof(struct driver *driver, const struct ilea_effect *effect)
{
    uint8_t proof[ILEA_FORK_SIZE_MAX];
    size_t size = 0;
    struct ilea_feed_row feed;
    struct ilea_chain_row chain;
    struct ilea_log_commit row;
    struct ilea_commit ours, theirs;
    enum ilea_error error = ilea_driver_transaction(driver);
    struct ilea_transaction *txn = ilea_author_transaction(driver->node->author);
    if (error == ILEA_ERROR_NONE) error = ilea_log_feed_by_id(txn, &effect->fork_found.feed, &feed);
    if (error == ILEA_ERROR_NONE) error = ilea_log_chain(txn, feed.number, effect->fork_found.seq, &chain);
    if (error == ILEA_ERROR_NONE) error = ilea_log_commit_at(txn, chain.position, &row);
    if (error == ILEA_ERROR_NONE) error = ilea_log_check_commit(txn, &row, &ours);
    if (error == ILEA_ERROR_NONE) error = ilea_commit_decode(effect->fork_found.commit, &theirs);
    if (error == ILEA_ERROR_NONE) error = ilea_fork_encode(&feed.origin, &ours, &theirs, proof, sizeof proof, &size);
    if (error != ILEA_ERROR_NONE) return error;
    return judge_fork(driver, effect->link, (struct ilea_span){ proof, size });
}

/* The last effect of a step, if a peer showed something that has to be judged before its next message. */
void
ilea_driver_judge(struct driver *driver, const struct ilea_effect *effect)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    if (effect->type == ILEA_EFFECT_MANIFEST) error = judge_manifests(driver, effect);
    if (effect->type == ILEA_EFFECT_FORK) error = judge_fork(driver, effect->link, effect->fork);
    if (effect->type == ILEA_EFFECT_FORK_FOUND) error = make_proof(driver, effect);
    if (effect->type == ILEA_EFFECT_SIDE) error = ilea_driver_side(driver, effect->link, effect->side);
    if (error != ILEA_ERROR_NONE) ilea_driver_recover(driver, "trust", error);
}

/* A commit was put at the end of a feed: it, or those that its opening names, may be archived now, or no more. */
void
ilea_driver_note_archived(struct driver *driver, const struct ilea_feed_row *feed, bool was_archived,
                          struct ilea_span bytes)
{
    if (feed->archived || was_archived) remember_archived(driver, &feed->id);
    struct ilea_commit commit;
    struct ilea_item item;
    struct ilea_opening opening;
    if (feed->seq != 1 || ilea_commit_decode(bytes, &commit) != ILEA_ERROR_NONE) return;
    struct ilea_msgpack_reader slots, positions;
    ilea_msgpack_reader_init(&slots, commit.slots);
    if (ilea_item_decode(ilea_slot_next(&slots), &item) != ILEA_ERROR_NONE || (item.flags & ILEA_ITEM_CONTROL) == 0
        || ilea_opening_decode(item.content, NULL, &opening) != ILEA_ERROR_NONE) {
        return;
    }
    ilea_msgpack_reader_init(&positions, opening.predecessors);
    for (uint32_t i = 0; i < opening.predecessor_count; i++) {
        struct ilea_position position;
        ilea_position_get(&positions, &position);
        remember_archived(driver, &position.feed);
    }
}

/* All of it is durable: the replicator need not keep them in mind. */
void
ilea_driver_tell_archived(struct driver *driver)
{
    while (driver->archive_count > 0) {
        const struct ilea_feed_id id = driver->archive_due[--driver->archive_count];
        struct ilea_transaction *own, *txn = ilea_driver_read(driver, &own);
        struct ilea_feed_row feed;
        if (txn == NULL) return;
        struct ilea_event event = { .type = ILEA_EVENT_ARCHIVED };
        enum ilea_error error = ilea_log_feed_by_id(txn, &id, &feed);
        if (error == ILEA_ERROR_NONE) {
            event.archived.agency = feed.origin.agency;
            if (feed.archived) event.archived.feed = id;
            ilea_driver_archive(txn, &feed.origin.agency, &event.archived.archive);
        }
        ilea_transaction_abort(own);
        if (error != ILEA_ERROR_NONE || !ilea_scope_is_shared(feed.origin.scope)) continue;
        if (!feed.archived) ilea_driver_tell_feed(driver, &feed); /* it may have been: then it is listed again */
        ilea_driver_step(driver, &event);
    }
}
