/*
 * driver_gaps.c - what should be in the log and is not: what others say that they have for us and nobody passes on, and
 * commits that were damaged on the disk. Both are asked for (PROTOCOL.md, "WANT").
 */
#include <stdio.h>
#include <string.h>

#include "node/behind.h"
#include "node/driver_state.h"

/* What to ask for when the log is not being read any more: a step may write. */
struct asked {
    struct ilea_agency_id agency;
    struct ilea_receipt_own feed;
};

enum { ASKED_MAX = 64, SCRUB_COMMITS = 4096 };

struct asking {
    uint32_t count;
    struct asked list[ASKED_MAX];
};

static void
add_asked(struct asking *asking, const struct ilea_agency_id *agency, const struct ilea_receipt_own *feed)
{
    if (asking->count < ASKED_MAX) asking->list[asking->count++] = (struct asked){ *agency, *feed };
}

/* One commit of a feed that is here. */
static void
add_damaged(struct asking *asking, const struct ilea_feed_row *feed, uint64_t seq)
{
    const struct ilea_receipt_own lacked = { .feed = feed->id, .seq = seq,
                                             .is_closed = feed->origin.scope == ILEA_SCOPE_AUDIENCE,
                                             .audience = feed->origin.audience };
    add_asked(asking, &feed->origin.agency, &lacked);
}

static void
ask(struct driver *driver, const struct asking *asking)
{
    for (uint32_t i = 0; i < asking->count; i++) {
        struct ilea_event event = { .type = ILEA_EVENT_WANT };
        event.want.agency = asking->list[i].agency;
        event.want.feed = asking->list[i].feed.feed;
        event.want.seq = asking->list[i].feed.seq;
        event.want.is_closed = asking->list[i].feed.is_closed;
        event.want.audience = asking->list[i].feed.audience;
        ilea_driver_step(driver, &event);
    }
}

static bool
has_link(const struct driver *driver, const struct ilea_agency_id *agency)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (driver->peers[i].exists && ilea_replicator_carries(driver->replicator, i, agency)) return true;
    }
    return false;
}

static uint32_t
find_gap(const struct gaps *gaps, const struct ilea_agency_id *agency)
{
    uint32_t at = 0;
    while (at < gaps->count && memcmp(gaps->list[at].agency.bytes, agency->bytes, ILEA_ID_SIZE) != 0) at++;
    return at;
}

/* An agency's word against what we hold. Only where nothing comes for a while although a link is up is it a gap. */
static void
weigh(struct driver *driver, const struct ilea_agency_id *agency, const struct ilea_behind *behind, uint64_t now,
      struct asking *asking)
{
    struct gaps *gaps = &driver->gaps;
    uint32_t at = find_gap(gaps, agency);
    if (behind->count == 0) {
        if (at < gaps->count) gaps->list[at] = gaps->list[--gaps->count];
        return;
    }
    if (at == ILEA_CONTROL_BEHIND_MAX) return;
    if (at == gaps->count) gaps->list[gaps->count++] = (struct gap){ .agency = *agency, .held = UINT64_MAX };
    struct gap *gap = &gaps->list[at];
    bool waits = gap->held == behind->held && has_link(driver, agency);
    gap->told = behind->told;
    gap->held = behind->held;
    if (!waits) {
        gap->since_ms = gap->asked_ms = now;
        gap->is_shown = false;
    }
    if (now < gap->since_ms + BEHIND_MS) return;
    if (!gap->is_shown) {
        char code[2 * 8 + 1], told[24], held[24];
        for (unsigned i = 0; i < 8; i++) (void)snprintf(code + 2 * i, 3, "%02x", agency->bytes[i]);
        (void)snprintf(told, sizeof told, "%llu", (unsigned long long)gap->told);
        (void)snprintf(held, sizeof held, "%llu", (unsigned long long)gap->held);
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "behind", "agency", code, "told", told, "held", held,
                          NULL);
    }
    gap->is_shown = true;
    if (now < gap->asked_ms + BEHIND_MS) return;
    gap->asked_ms = now;
    for (uint32_t i = 0; i < behind->count; i++) {
        add_asked(asking, agency, &behind->feeds[i]);
    }
}

static enum ilea_error
find_gaps(struct driver *driver, struct ilea_transaction *txn, uint64_t now, struct asking *asking)
{
    struct ilea_agency_row row;
    struct ilea_agency_id id;
    const struct ilea_agency_id *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_agency_next(txn, after, &row)) == ILEA_ERROR_NONE) {
        struct ilea_behind behind = { .count = 0 };
        id = row.id;
        after = &id;
        if (row.state == ILEA_AGENCY_APPROVED && (row.grant.scopes & ILEA_GRANT_FOLLOW) != 0) {
            error = ilea_behind_find(txn, ilea_log_identity(driver->node->log), &id, &behind);
        } else if (row.state == ILEA_AGENCY_SELF) {
            continue;
        }
        if (error != ILEA_ERROR_NONE) return error;
        weigh(driver, &id, &behind, now, asking);
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* A commit of a feed as it lies here; CORRUPT: it is damaged. */
static enum ilea_error
check_place(struct ilea_transaction *txn, const struct ilea_feed_row *feed, uint64_t seq, size_t *size)
{
    struct ilea_chain_row chain;
    struct ilea_log_commit row;
    struct ilea_commit commit;
    enum ilea_error error = ilea_log_chain(txn, feed->number, seq, &chain);
    if (error != ILEA_ERROR_NONE) return error;
    *size = chain.size;
    error = ilea_log_commit_at(txn, chain.position, &row);
    if (error == ILEA_ERROR_NONE && (row.feed != feed->number || row.seq != seq)) return ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) error = ilea_log_check_commit(txn, &row, &commit);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
}

static void
note_damage(struct driver *driver, const struct ilea_feed_row *feed, uint64_t seq, struct asking *asking)
{
    char id[2 * 8 + 1], text[24];
    for (unsigned i = 0; i < 8; i++) (void)snprintf(id + 2 * i, 3, "%02x", feed->id.bytes[i]);
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)seq);
    bool is_shared = ilea_scope_is_shared(feed->origin.scope);
    ilea_logger_write(&driver->logger, ILEA_LEVEL_ERROR, "damaged", "feed", id, "seq", text, "advice",
                      is_shared ? "asked of peers" : "restore a backup: nobody else has it", NULL);
    driver->gaps.found++;
    if (is_shared) add_damaged(asking, feed, seq);
}

/* The view could not be built beyond a commit, or one could not be sent: it is asked for at once, and the log is looked
 * through. */
static void
look_at_suspect(struct driver *driver, struct ilea_transaction *txn, struct asking *asking)
{
    struct gaps *gaps = &driver->gaps;
    struct ilea_log_commit row;
    struct ilea_feed_row feed;
    size_t size = 0;
    uint64_t position = gaps->suspect;
    gaps->suspect = 0;
    gaps->scrub_ms = 0; /* it need not be that one; and that counts it */
    if (position == 0 || ilea_log_commit_at(txn, position, &row) != ILEA_ERROR_NONE) return;
    if (ilea_log_feed(txn, row.feed, &feed) != ILEA_ERROR_NONE || row.seq > feed.seq) return;
    if (!ilea_scope_is_shared(feed.origin.scope)) return;
    if (check_place(txn, &feed, row.seq, &size) != ILEA_ERROR_CORRUPT) return;
    add_damaged(asking, &feed, row.seq);
}

/* A little of the log, from where the last look ended: by feeds, for what is damaged may be whose commit it is. */
static void
scrub(struct driver *driver, struct ilea_transaction *txn, uint64_t now, struct asking *asking)
{
    struct gaps *gaps = &driver->gaps;
    struct ilea_feed_row feed = { .seq = 0 };
    size_t bytes = 0;
    enum ilea_error error = ilea_log_feed(txn, gaps->feed, &feed);
    for (uint32_t i = 0; i < SCRUB_COMMITS && bytes < SCRUB_BYTES && asking->count < ASKED_MAX; i++) {
        if (error == ILEA_ERROR_NOT_FOUND) break;
        size_t size = 0;
        if (error == ILEA_ERROR_NONE && gaps->seq <= feed.seq) {
            if (check_place(txn, &feed, gaps->seq, &size) == ILEA_ERROR_CORRUPT) {
                note_damage(driver, &feed, gaps->seq, asking);
            }
            gaps->seq++;
        } else { /* a row that cannot be read is verify's to tell */
            gaps->feed++;
            gaps->seq = 1;
            error = ilea_log_feed(txn, gaps->feed, &feed);
        }
        bytes += size;
    }
    gaps->scrub_ms = now + SCRUB_MS;
    if (error != ILEA_ERROR_NOT_FOUND) return;
    gaps->feed = 1;
    gaps->seq = 1;
    gaps->scrub_ms = now + (gaps->found > 0 ? SCRUB_AGAIN_MS : SCRUB_REST_MS);
    gaps->damaged = gaps->found;
    gaps->found = 0;
}

void
ilea_driver_suspect(struct driver *driver, uint64_t position)
{
    if (driver->gaps.suspect == 0) driver->gaps.suspect = position;
}

void
ilea_driver_tend_gaps(struct driver *driver, uint64_t now)
{
    struct gaps *gaps = &driver->gaps;
    bool weighs = now >= gaps->check_ms, scrubs = now >= gaps->scrub_ms || gaps->suspect != 0;
    if (driver->trouble || driver->reloading || (!weighs && !scrubs)) return;
    if (ilea_author_transaction(driver->node->author) != NULL) return; /* what is durable is looked at */
    struct asking asking = { .count = 0 };
    struct ilea_transaction *txn = NULL;
    if (gaps->feed == 0) gaps->seq = gaps->feed = 1;
    if (ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn) != ILEA_ERROR_NONE) return;
    if (gaps->suspect != 0) look_at_suspect(driver, txn, &asking);
    if (scrubs) scrub(driver, txn, now, &asking);
    if (weighs) {
        gaps->check_ms = now + BEHIND_CHECK_MS;
        enum ilea_error error = find_gaps(driver, txn, now, &asking);
        if (error != ILEA_ERROR_NONE) ilea_driver_log_error(driver, "log_read", error);
    }
    ilea_transaction_abort(txn);
    ask(driver, &asking);
}

enum ilea_error
ilea_driver_repair(struct driver *driver, const struct ilea_effect *effect)
{
    enum ilea_error error = ilea_driver_transaction(driver);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_log_repair(ilea_author_transaction(driver->node->author), &effect->repair.feed, effect->repair.seq,
                            effect->repair.commit);
    if (error == ILEA_ERROR_INVALID || error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE; /* cut off meanwhile */
    if (error != ILEA_ERROR_NONE) return error;
    driver->gaps.repaired++;
    if (driver->gaps.damaged > 0) driver->gaps.damaged--;
    if (driver->gaps.found > 0) driver->gaps.found--;
    ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "repaired", "peer",
                      ilea_driver_peer_code(driver, effect->link), NULL);
    return ILEA_ERROR_NONE;
}

/* Who does not pass something on, as far as it can be said. */
static void
add_withheld(struct ilea_control_status *status, const struct ilea_agency_id *agency, const struct ilea_agency_id *by,
             bool items)
{
    if (status->withheld_count == ILEA_CONTROL_WITHHELD_MAX) return;
    status->withheld[status->withheld_count++] = (struct ilea_control_withheld){ *agency, *by, items };
}

void
ilea_driver_tell_gaps(const struct driver *driver, struct ilea_transaction *txn, struct ilea_control_status *status)
{
    const struct gaps *gaps = &driver->gaps;
    struct ilea_agency_row row;
    struct ilea_agency_id id;
    const struct ilea_agency_id *after = NULL;
    status->damaged = gaps->damaged > gaps->found ? gaps->damaged : gaps->found;
    status->repaired = gaps->repaired;
    for (; ilea_log_agency_next(txn, after, &row) == ILEA_ERROR_NONE; after = &id) {
        id = row.id;
        uint32_t at = find_gap(gaps, &id);
        bool is_behind = at < gaps->count && gaps->list[at].is_shown;
        if (is_behind) {
            status->behind[status->behind_count++] = (struct ilea_control_behind){ id, gaps->list[at].told,
                                                                                   gaps->list[at].held };
        }
        for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
            if (!driver->peers[i].exists) continue;
            bool items = ilea_replicator_withholds(driver->replicator, i, &id);
            bool carries = is_behind && ilea_replicator_carries(driver->replicator, i, &id);
            if (items || carries) add_withheld(status, &id, &driver->peers[i].agency, items);
        }
    }
}
