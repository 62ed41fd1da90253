#include "node/where.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/agency.h"
#include "node/grant.h"
#include "node/reach.h"
#include "replication/record/receipt.h"

/* One of our shared feeds that the record has changes in. */
struct where_feed {
    struct ilea_feed_row row;
    uint64_t first, last;           /* the record's changes in it */
    bool counts;                    /* it is for the same as the newest change; else the record was moved since */
};

/* A change that makes up what the record says now. */
struct where_dot {
    uint32_t feed;
    uint64_t seq;
    uint32_t index;
};

struct where_epoch {
    struct ilea_epoch_id id;
    bool is_known;                  /* for whom it was */
    uint32_t label;
    struct ilea_span readers;       /* borrowed from the log */
};

struct finding {
    struct ilea_transaction *log;
    const struct ilea_log_identity *identity;
    struct ilea_where *where;
    struct where_feed *feeds;
    uint32_t feed_count, feed_capacity;
    struct where_dot *dots;
    uint32_t dot_count, dot_capacity;
    struct where_epoch *epochs;
    uint32_t epoch_count, epoch_capacity;
    bool has_held;
    struct ilea_control_held held;
    const struct ilea_record *record;
    struct ilea_audience_cache *audiences;
    bool is_closed;                 /* it is in a closed audience: */
    struct ilea_audience_found audience;
};

const char *
ilea_where_state_name(enum ilea_where_state state)
{
    switch (state) {
    case ILEA_WHERE_NOT_APPROVED: return "not-approved";
    case ILEA_WHERE_NOT_IN_AUDIENCE: return "not-in-audience";
    case ILEA_WHERE_BLOCKED: return "blocked";
    case ILEA_WHERE_QUEUED: return "queued";
    case ILEA_WHERE_DELIVERED: return "delivered";
    case ILEA_WHERE_READABLE: return "readable";
    case ILEA_WHERE_UNREADABLE: return "unreadable";
    }
    return "";
}

/* Room for one more; NULL: there is none, and the array is as it was. */
static void *
grow(void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity) return array;
    uint32_t larger = *capacity == 0 ? 16 : *capacity * 2;
    void *moved = realloc(array, larger * size);
    if (moved != NULL) *capacity = larger;
    return moved;
}

/* The feed that a dot names; *at is its place. NOT_FOUND: others never hear of it. */
static enum ilea_error
find_feed(struct finding *finding, const uint8_t half[ILEA_DOT_FEED_SIZE], uint32_t *at)
{
    for (*at = 0; *at < finding->feed_count; (*at)++) {
        if (memcmp(finding->feeds[*at].row.id.bytes, half, ILEA_DOT_FEED_SIZE) == 0) return ILEA_ERROR_NONE;
    }
    struct ilea_feed_row row;
    enum ilea_error error = ilea_log_feed_by_dot(finding->log, half, &row);
    if (error != ILEA_ERROR_NONE) return error;
    if (!ilea_scope_is_shared(row.origin.scope)) return ILEA_ERROR_NOT_FOUND;
    struct where_feed *feeds = grow(finding->feeds, finding->feed_count, &finding->feed_capacity, sizeof *feeds);
    if (feeds == NULL) return ILEA_ERROR_NO_MEMORY;
    finding->feeds = feeds;
    finding->feeds[finding->feed_count++] = (struct where_feed){ .row = row, .first = UINT64_MAX };
    return ILEA_ERROR_NONE;
}

static enum ilea_error
add_dot(struct finding *finding, uint32_t feed, uint64_t seq, uint32_t index)
{
    for (uint32_t i = 0; i < finding->dot_count; i++) {
        const struct where_dot *dot = &finding->dots[i];
        if (dot->feed == feed && dot->seq == seq && dot->index == index) return ILEA_ERROR_NONE;
    }
    struct where_dot *dots = grow(finding->dots, finding->dot_count, &finding->dot_capacity, sizeof *dots);
    if (dots == NULL) return ILEA_ERROR_NO_MEMORY;
    finding->dots = dots;
    finding->dots[finding->dot_count++] = (struct where_dot){ feed, seq, index };
    return ILEA_ERROR_NONE;
}

/* All changes say how far others must have come; the newest one, and those whose values stand, what they must read. */
static enum ilea_error
find_changes(struct finding *finding, struct ilea_snapshot *snapshot, const struct ilea_record_info *info)
{
    uint64_t lsn = 0;
    struct where_dot newest = { .seq = 0 };
    uint32_t at;
    enum ilea_error error;
    while ((error = ilea_snapshot_history(snapshot, info->number, &lsn)) == ILEA_ERROR_NONE) {
        struct ilea_change_info change;
        error = ilea_snapshot_change(snapshot, lsn - 1, &change);
        if (error == ILEA_ERROR_NONE) error = find_feed(finding, change.feed, &at);
        if (error == ILEA_ERROR_NOT_FOUND) continue; /* before it was published */
        if (error != ILEA_ERROR_NONE) return error;
        struct where_feed *feed = &finding->feeds[at];
        if (change.seq < feed->first) feed->first = change.seq;
        if (change.seq > feed->last) feed->last = change.seq;
        newest = (struct where_dot){ at, change.seq, change.index };
        finding->where->change_count++;
    }
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    for (uint32_t i = 0; i < finding->feed_count; i++) {
        const struct ilea_feed_origin *one = &finding->feeds[i].row.origin;
        const struct ilea_feed_origin *other = &finding->feeds[newest.feed].row.origin;
        finding->feeds[i].counts =
            one->scope == other->scope && memcmp(&one->audience, &other->audience, sizeof one->audience) == 0;
    }
    error = newest.seq != 0 ? add_dot(finding, newest.feed, newest.seq, newest.index) : ILEA_ERROR_NONE;
    const struct ilea_record *record = ilea_snapshot_record(snapshot);
    for (uint32_t i = 0; i < record->entry_count && error == ILEA_ERROR_NONE; i++) {
        const struct ilea_dot *dot = &record->entries[i].dot;
        error = find_feed(finding, dot->feed, &at);
        if (error == ILEA_ERROR_NONE && !finding->feeds[at].counts) continue;
        if (error == ILEA_ERROR_NONE) error = add_dot(finding, at, dot->seq, dot->index);
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    }
    return error;
}

/* The epoch that a change was written under. */
static enum ilea_error
find_epoch(struct finding *finding, const struct where_dot *dot)
{
    struct ilea_chain_row chain;
    struct ilea_log_commit row;
    struct ilea_commit commit;
    struct ilea_item item;
    enum ilea_error error = ilea_log_chain(finding->log, finding->feeds[dot->feed].row.number, dot->seq, &chain);
    if (error == ILEA_ERROR_NONE) error = ilea_log_commit_at(finding->log, chain.position, &row);
    if (error == ILEA_ERROR_NONE) error = ilea_log_check_commit(finding->log, &row, &commit);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
    struct ilea_msgpack_reader slots;
    struct ilea_span slot = { NULL, 0 };
    ilea_msgpack_reader_init(&slots, commit.slots);
    for (uint32_t i = 0; i <= dot->index && !slots.failed; i++) slot = ilea_slot_next(&slots);
    if (slot.size <= ILEA_HASH_SIZE || ilea_item_decode(slot, &item) != ILEA_ERROR_NONE) return ILEA_ERROR_NONE;
    for (uint32_t i = 0; i < finding->epoch_count; i++) {
        if (memcmp(finding->epochs[i].id.bytes, item.epoch.bytes, sizeof item.epoch.bytes) == 0) return ILEA_ERROR_NONE;
    }
    struct where_epoch *epochs = grow(finding->epochs, finding->epoch_count, &finding->epoch_capacity, sizeof *epochs);
    if (epochs == NULL) return ILEA_ERROR_NO_MEMORY;
    finding->epochs = epochs;
    finding->epochs[finding->epoch_count++] = (struct where_epoch){ .id = item.epoch };
    return ILEA_ERROR_NONE;
}

/* The audience that its newest change is for. */
static enum ilea_error
find_audience(struct finding *finding)
{
    struct ilea_where *where = finding->where;
    (void)snprintf(where->to, sizeof where->to, "%s", where->shared ? "all-peers" : "agency");
    if (finding->dot_count == 0) return ILEA_ERROR_NONE;
    const struct ilea_feed_origin *origin = &finding->feeds[finding->dots[0].feed].row.origin;
    if (origin->scope != ILEA_SCOPE_AUDIENCE) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_audience_cache_new(&finding->audiences);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_audience_load(finding->audiences, finding->log, &origin->audience, &finding->audience);
    }
    if (error != ILEA_ERROR_NONE) return error;
    finding->is_closed = true;
    where->label = ilea_record_label(finding->record, origin->scope);
    (void)snprintf(where->to, sizeof where->to, "%s/%.*s", finding->audience.owner_code,
                   (int)finding->audience.state.name.size, (const char *)finding->audience.state.name.data);
    return ILEA_ERROR_NONE;
}

/* Which epochs of an audience they are, and who reads them. One that came back after a restore, or that is not ours,
 * does not say for whom it was. */
static enum ilea_error
match_epochs(struct finding *finding, const struct ilea_audience_id *audience)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t index = 0; error == ILEA_ERROR_NONE; index++) {
        struct ilea_epoch_row row;
        error = ilea_log_epoch(finding->log, audience, index, &row);
        if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
        for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < finding->epoch_count; i++) {
            struct where_epoch *epoch = &finding->epochs[i];
            if (memcmp(epoch->id.bytes, row.aek_commit, sizeof epoch->id.bytes) != 0) continue;
            epoch->is_known = row.label != 0;
            epoch->label = row.label;
            epoch->readers = row.readers;
            if (i == 0) finding->where->label = row.label; /* of the newest change */
        }
    }
    return error;
}

static enum ilea_error
find_epochs(struct finding *finding)
{
    struct ilea_audience_id peers;
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; i < finding->dot_count && error == ILEA_ERROR_NONE; i++) {
        error = find_epoch(finding, &finding->dots[i]);
    }
    ilea_audience_of_peers(&finding->identity->network, &finding->identity->agency, &peers);
    return error == ILEA_ERROR_NONE ? match_epochs(finding, &peers) : error;
}

static bool
is_reader(const struct where_epoch *epoch, const struct ilea_agency_id *agency)
{
    for (size_t at = 0; at + ILEA_EPOCH_READER_SIZE <= epoch->readers.size; at += ILEA_EPOCH_READER_SIZE) {
        if (memcmp(epoch->readers.data + at, agency->bytes, sizeof agency->bytes) == 0) return true;
    }
    return false;
}

/* What a receipt says of our archived feeds: those that it does not list, if they add up to what we have. */
static enum ilea_error
has_archive(struct ilea_transaction *log, const struct ilea_log_identity *identity,
            const struct ilea_receipt_body *body, bool *has)
{
    uint32_t count = 0;
    uint8_t sum[ILEA_HASH_SIZE], hash[ILEA_HASH_SIZE];
    struct ilea_receipt_archive theirs = { .count = 0 };
    struct ilea_msgpack_reader archives = body->archives, feeds = body->feeds;
    *has = false;
    for (uint32_t i = 0; i < body->archive_count && theirs.count == 0; i++) {
        ilea_receipt_archive_next(&archives, &theirs);
        if (theirs.has_audience) theirs.count = 0;
    }
    if (theirs.count == 0) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_log_archive_sum(log, &identity->agency, &count, sum);
    if (error != ILEA_ERROR_NONE) return error;
    *has = theirs.count == count && memcmp(theirs.sum, sum, sizeof sum) == 0;
    for (uint32_t i = 0; i < body->feed_count && !*has; i++) { /* what it has not archived yet */
        struct ilea_receipt_feed listed;
        struct ilea_feed_row row;
        ilea_receipt_feed_next(&feeds, &listed);
        error = ilea_log_feed_by_id(log, &listed.feed, &row);
        if (error == ILEA_ERROR_NOT_FOUND || (error == ILEA_ERROR_NONE && !row.archived)) continue;
        if (error != ILEA_ERROR_NONE) return error;
        const struct ilea_position position = { row.id, row.seq, row.head };
        ilea_position_hash(&position, hash);
        ilea_hash_sum_subtract(sum, hash);
        count--;
    }
    if (!*has) *has = theirs.count == count && memcmp(theirs.sum, sum, sizeof sum) == 0;
    return ILEA_ERROR_NONE;
}

/* What a receipt says of one feed of ours. `archive`: the archive that it says it has is ours. */
static struct ilea_receipt_feed
said_of(const struct ilea_receipt_body *body, const struct ilea_feed_row *feed, bool archive)
{
    uint64_t archived_seq = feed->archived && archive ? feed->seq : 0;
    struct ilea_receipt_feed said = { .held = archived_seq, .seen = archived_seq };
    struct ilea_msgpack_reader feeds = body->feeds;
    for (uint32_t i = 0; i < body->feed_count; i++) {
        struct ilea_receipt_feed listed;
        ilea_receipt_feed_next(&feeds, &listed);
        if (memcmp(listed.feed.bytes, feed->id.bytes, sizeof listed.feed.bytes) == 0) said = listed;
    }
    return said;
}

enum ilea_error
ilea_where_is_seen(struct ilea_transaction *log, const struct ilea_log_identity *identity, struct ilea_span receipt,
                   const struct ilea_feed_row *feed, uint64_t seq, bool *seen)
{
    struct ilea_receipt_body body;
    bool archive = false;
    *seen = false;
    if (ilea_receipt_body_decode(receipt, &body) != ILEA_ERROR_NONE) return ILEA_ERROR_CORRUPT;
    enum ilea_error error = has_archive(log, identity, &body, &archive);
    if (error == ILEA_ERROR_NONE) *seen = said_of(&body, feed, archive).seen >= seq;
    return error;
}

/* How much of what the record needs an agency has. */
struct reach {
    bool some, held, seen;
    enum ilea_unread why;           /* 0: nothing of it is unreadable there */
};

static void
read_unread(const struct finding *finding, struct ilea_receipt_body *body, struct reach *reach)
{
    for (uint32_t i = 0; i < body->unread_count; i++) {
        struct ilea_receipt_unread item;
        ilea_receipt_unread_next(&body->unread, &item);
        for (uint32_t j = 0; j < finding->dot_count; j++) {
            const struct where_dot *dot = &finding->dots[j];
            if (dot->seq == item.seq && dot->index == item.index
                && memcmp(finding->feeds[dot->feed].row.id.bytes, item.feed, sizeof item.feed) == 0) {
                reach->why = item.why;
            }
        }
    }
}

static enum ilea_error
read_receipt(const struct finding *finding, struct ilea_span bytes, struct reach *reach)
{
    struct ilea_receipt_body body;
    bool archive = false;
    if (ilea_receipt_body_decode(bytes, &body) != ILEA_ERROR_NONE) return ILEA_ERROR_CORRUPT;
    enum ilea_error error = has_archive(finding->log, finding->identity, &body, &archive);
    *reach = (struct reach){ .held = true, .seen = true };
    for (uint32_t i = 0; i < finding->feed_count && error == ILEA_ERROR_NONE; i++) {
        const struct where_feed *feed = &finding->feeds[i];
        if (!feed->counts) continue;
        const struct ilea_receipt_feed said = said_of(&body, &feed->row, archive);
        if (said.held >= feed->first) reach->some = true;
        if (said.held < feed->last) reach->held = false;
        if (said.seen < feed->last) reach->seen = false;
    }
    if (error == ILEA_ERROR_NONE) read_unread(finding, &body, reach);
    return error;
}

/* Over its own link, if it has one, the agency acknowledged all of it. */
static bool
is_acknowledged(const struct finding *finding, const struct ilea_agency_id *agency)
{
    if (!finding->has_held || finding->feed_count > finding->held.feed_count) return false;
    for (uint32_t i = 0; i < finding->held.link_count; i++) {
        if (memcmp(finding->held.links[i].agency.bytes, agency->bytes, sizeof agency->bytes) != 0) continue;
        bool all = true;
        for (uint32_t j = 0; j < finding->feed_count; j++) {
            if (finding->feeds[j].counts && finding->held.links[i].seqs[j] < finding->feeds[j].last) all = false;
        }
        return all;
    }
    return false;
}

static void
say(struct ilea_where_agency *entry, enum ilea_where_state state, const char *why)
{
    entry->state = state;
    (void)snprintf(entry->why, sizeof entry->why, "%s", why);
}

/* An epoch that the record's values are under and that is not for this agency; NULL: it reads all that we know of. */
static const struct where_epoch *
find_closed_epoch(const struct finding *finding, const struct ilea_agency_id *agency)
{
    for (uint32_t i = 0; i < finding->epoch_count; i++) {
        if (finding->epochs[i].is_known && !is_reader(&finding->epochs[i], agency)) return &finding->epochs[i];
    }
    return NULL;
}

static void
say_blocked(struct ilea_where_agency *entry, const struct ilea_agency_row *row, const struct where_epoch *epoch)
{
    if (epoch->label > row->grant.tlp_max) {
        (void)snprintf(entry->why, sizeof entry->why, "ceiling: at most %s", ilea_grant_tlp_name(row->grant.tlp_max));
    } else if (row->grant.areas.size > 0) {
        (void)snprintf(entry->why, sizeof entry->why, "areas: %.*s", (int)row->grant.areas.size,
                       (const char *)row->grant.areas.data);
    } else {
        (void)snprintf(entry->why, sizeof entry->why, "not among its readers");
    }
    entry->state = ILEA_WHERE_BLOCKED;
}

/* What the rules of a closed audience say of an agency, before any receipt; false: nothing against it. */
static bool
say_closed(const struct finding *finding, const struct ilea_agency_row *row, struct ilea_where_agency *entry)
{
    const struct ilea_member *member = ilea_membership_find(&finding->audience.state, &row->id);
    char list[ILEA_AGENCY_TEXT_MAX + 1];
    (void)snprintf(list, sizeof list, "%.*s", (int)row->grant.areas.size, (const char *)row->grant.areas.data);
    if (member == NULL || member->suspended) {
        (void)snprintf(entry->why, sizeof entry->why, "%s%s", member == NULL ? "no member" : "suspended in it",
                       entry->held ? "; holds what came before" : "");
        entry->state = ILEA_WHERE_NOT_IN_AUDIENCE;
        return true;
    }
    enum ilea_reach reach = ilea_reach_of(row->state, row->grant.tlp_max, list[0] != '\0' ? list : NULL,
                                          finding->where->label, ilea_reach_record_within, finding->record);
    if (reach == ILEA_REACH_GETS) return false;
    say(entry, ILEA_WHERE_BLOCKED, ilea_reach_text(reach));
    return true;
}

static void
say_state(const struct finding *finding, const struct ilea_agency_row *row, const struct reach *reach,
          struct ilea_where_agency *entry)
{
    static const char *const whys[] = { "", "waits for a key", "of a newer version", "does not open there",
                                        "refused there" };
    const struct where_epoch *closed = find_closed_epoch(finding, &row->id);
    if (!finding->where->shared) {
        say(entry, ILEA_WHERE_NOT_IN_AUDIENCE, "for our agency alone");
    } else if (row->state != ILEA_AGENCY_APPROVED) {
        (void)snprintf(entry->why, sizeof entry->why, "%s%s", ilea_agency_state_name(row->state),
                       entry->held ? "; holds the record" : "");
        entry->state = ILEA_WHERE_NOT_APPROVED;
    } else if (finding->is_closed && say_closed(finding, row, entry)) {
        return;
    } else if (reach->held && reach->seen && (int)reach->why == 0) {
        say(entry, ILEA_WHERE_READABLE, "");
    } else if (closed != NULL) {
        say_blocked(entry, row, closed);
    } else if (reach->held && (int)reach->why != 0) {
        say(entry, ILEA_WHERE_UNREADABLE, whys[reach->why]);
    } else if (reach->held) {
        say(entry, ILEA_WHERE_DELIVERED, "not shown there yet");
    } else if (entry->held) {
        say(entry, ILEA_WHERE_DELIVERED, "by its link; no receipt yet");
    } else {
        say(entry, ILEA_WHERE_QUEUED, reach->some ? "an earlier state is there" : "not known to be there");
    }
}

static enum ilea_error
add_agency(struct finding *finding, const struct ilea_agency *agency)
{
    const struct ilea_agency_row *row = &agency->row;
    struct ilea_where *where = finding->where;
    struct ilea_receipt_row receipt;
    struct reach reach = { .some = false };
    enum ilea_error error = ilea_log_receipt(finding->log, &finding->identity->agency, &row->id, &receipt);
    bool has_receipt = error == ILEA_ERROR_NONE && finding->feed_count > 0;
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    if (has_receipt) error = read_receipt(finding, receipt.body, &reach);
    if (error != ILEA_ERROR_NONE) return error;
    bool is_known = row->state != ILEA_AGENCY_SELF && row->state != ILEA_AGENCY_DECLINED
        && (row->state != ILEA_AGENCY_PENDING || row->origin == ILEA_FROM_CARD);
    if (!is_known) return ILEA_ERROR_NONE;
    struct ilea_where_agency *entry = &where->agencies[where->count++];
    *entry = (struct ilea_where_agency){ .id = row->id };
    (void)snprintf(entry->code, sizeof entry->code, "%.*s", (int)agency->manifest.code.size,
                   (const char *)agency->manifest.code.data);
    entry->held = reach.held || (finding->feed_count > 0 && is_acknowledged(finding, &row->id));
    if (reach.held) entry->since_ms = receipt.arrived_ms;
    say_state(finding, row, &reach, entry);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
add_agencies(struct finding *finding)
{
    struct ilea_where *where = finding->where;
    uint32_t capacity = 0;
    struct ilea_agency *agency = malloc(sizeof *agency);
    const struct ilea_agency_id *after = NULL;
    enum ilea_error error = agency != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    while (error == ILEA_ERROR_NONE) {
        error = ilea_agency_next(finding->log, after, agency);
        if (error != ILEA_ERROR_NONE) break;
        after = &agency->row.id;
        struct ilea_where_agency *agencies = grow(where->agencies, where->count, &capacity, sizeof *agencies);
        if (agencies == NULL) {
            error = ILEA_ERROR_NO_MEMORY;
        } else {
            where->agencies = agencies;
            error = add_agency(finding, agency);
        }
    }
    free(agency);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static void
ask_links(struct finding *finding, const char *home)
{
    struct ilea_feed_id feeds[ILEA_HELD_FEEDS_MAX];
    if (finding->feed_count == 0 || finding->feed_count > ILEA_HELD_FEEDS_MAX) return;
    for (uint32_t i = 0; i < finding->feed_count; i++) feeds[i] = finding->feeds[i].row.id;
    finding->has_held = ilea_control_ask_held(home, feeds, finding->feed_count, &finding->held) == ILEA_ERROR_NONE;
}

enum ilea_error
ilea_where_make(struct ilea_transaction *log, const struct ilea_log_identity *identity, struct ilea_snapshot *snapshot,
                const struct ilea_record_info *info, const char *home, struct ilea_where *where)
{
    *where = (struct ilea_where){ .shared = info->shared };
    struct finding *finding = calloc(1, sizeof *finding);
    if (finding == NULL) return ILEA_ERROR_NO_MEMORY;
    finding->log = log;
    finding->identity = identity;
    finding->where = where;
    finding->record = ilea_snapshot_record(snapshot);
    enum ilea_error error = ILEA_ERROR_NONE;
    if (info->shared) error = find_changes(finding, snapshot, info);
    if (error == ILEA_ERROR_NONE) error = find_audience(finding);
    if (error == ILEA_ERROR_NONE) error = find_epochs(finding);
    if (error == ILEA_ERROR_NONE) ask_links(finding, home);
    if (error == ILEA_ERROR_NONE) error = add_agencies(finding);
    free(finding->feeds);
    free(finding->dots);
    free(finding->epochs);
    ilea_audience_cache_free(finding->audiences);
    free(finding);
    return error;
}

void
ilea_where_free(struct ilea_where *where)
{
    free(where->agencies);
    where->agencies = NULL;
}
