/*
 * audience_log.c - what the log says of closed audiences.
 *
 * What an audience comes to is kept under the log's stamp of all control statements. If that is another one, the
 * audience's rows are looked through: those that are new are taken, and if one that was taken does not count any more,
 * everything is computed anew. So a transaction that is given up leaves nothing behind.
 */
#include "node/audience_log.h"

#include <stdlib.h>
#include <string.h>

enum { AUTHORS_KEPT = 32 };

struct entry {
    struct ilea_audience_id audience;
    struct ilea_membership *membership;   /* NULL: free */
    uint8_t stamp[ILEA_CONTROLS_STAMP_SIZE];
    uint32_t taken;                       /* statements */
    bool is_full;                         /* there are more than it holds */
    uint64_t used;                        /* when, by the cache's clock */
};

struct ilea_audience_cache {
    struct entry entries[ILEA_AUDIENCES_KEPT];
    uint64_t clock;
};

/* Whose a feed is. */
struct author {
    uint32_t feed;                        /* 0: free */
    struct ilea_agency_id agency;
    bool counts;
};

/* One look through an audience's rows. */
struct looking {
    struct ilea_transaction *log;
    const struct ilea_audience_row *row;
    struct entry *entry;
    uint32_t before;                      /* taken before this look, and found again */
    struct author authors[AUTHORS_KEPT];
};

enum ilea_error
ilea_audience_cache_new(struct ilea_audience_cache **cache)
{
    *cache = calloc(1, sizeof **cache);
    return *cache != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
}

static void
drop_entry(struct entry *entry)
{
    ilea_membership_free(entry->membership);
    *entry = (struct entry){ .membership = NULL };
}

void
ilea_audience_cache_free(struct ilea_audience_cache *cache)
{
    if (cache == NULL) return;
    for (uint32_t i = 0; i < ILEA_AUDIENCES_KEPT; i++) drop_entry(&cache->entries[i]);
    free(cache);
}

static bool
same_agency(const struct ilea_agency_id *a, const struct ilea_agency_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static enum ilea_error
agency_counts(struct ilea_transaction *log, const struct ilea_agency_id *id, bool *counts)
{
    struct ilea_agency_row agency;
    enum ilea_error error = ilea_log_agency(log, id, &agency);
    *counts = error == ILEA_ERROR_NONE && ilea_agency_counts(&agency);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* *author: who wrote the feed; borrowed until the next call. */
static enum ilea_error
find_author(struct looking *looking, uint32_t number, const struct author **author)
{
    struct author *kept = &looking->authors[number % AUTHORS_KEPT];
    struct ilea_feed_row feed;
    *author = kept;
    if (kept->feed == number) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_log_feed(looking->log, number, &feed);
    if (error == ILEA_ERROR_NONE) error = agency_counts(looking->log, &feed.origin.agency, &kept->counts);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    kept->feed = number;
    kept->agency = feed.origin.agency;
    return ILEA_ERROR_NONE;
}

/* Take what stands in a commit. What cannot count is left out; LIMIT: there is no room. */
static enum ilea_error
take_control(struct looking *looking, const struct ilea_control_row *control, const struct ilea_agency_id *author)
{
    struct ilea_chain_row chain;
    struct ilea_log_commit row;
    struct ilea_commit commit;
    enum ilea_error error = ilea_log_chain(looking->log, control->feed, control->seq, &chain);
    if (error == ILEA_ERROR_NONE) error = ilea_log_commit_at(looking->log, chain.position, &row);
    if (error == ILEA_ERROR_NONE) error = ilea_log_check_commit(looking->log, &row, &commit);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    error = ilea_membership_take(looking->entry->membership, author, &control->id, ilea_naming_statement(&commit));
    if (error == ILEA_ERROR_NONE) looking->entry->taken++;
    return error == ILEA_ERROR_MALFORMED || error == ILEA_ERROR_INVALID ? ILEA_ERROR_NONE : error;
}

/* The rows of the owner, or of all others. LIMIT: there are more than it holds. */
static enum ilea_error
look_through(struct looking *looking, bool of_owner)
{
    struct ilea_control_row control;
    struct ilea_commit_id last;
    const struct ilea_commit_id *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_control_next(looking->log, &looking->row->audience, after, &control)) == ILEA_ERROR_NONE) {
        const struct author *author;
        last = control.id;
        after = &last;
        error = find_author(looking, control.feed, &author);
        if (error != ILEA_ERROR_NONE) return error;
        if (same_agency(&author->agency, &looking->row->owner) != of_owner) continue;
        if (!author->counts) continue;
        if (ilea_membership_holds(looking->entry->membership, &control.id)) {
            looking->before++;
            continue;
        }
        error = take_control(looking, &control, &author->agency);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* The owner's first: however many suspensions others state, they do not take the place of its statements. */
static enum ilea_error
look(struct looking *looking)
{
    looking->before = 0;
    enum ilea_error error = look_through(looking, true);
    if (error == ILEA_ERROR_NONE) error = look_through(looking, false);
    looking->entry->is_full = error == ILEA_ERROR_LIMIT;
    return error == ILEA_ERROR_LIMIT ? ILEA_ERROR_NONE : error;
}

static enum ilea_error
begin_anew(struct looking *looking)
{
    struct entry *entry = looking->entry;
    ilea_membership_free(entry->membership);
    entry->membership = NULL;
    entry->taken = 0;
    enum ilea_error error =
        ilea_membership_new(&looking->row->owner, &looking->row->audience, &entry->membership);
    return error == ILEA_ERROR_NONE ? look(looking) : error;
}

static enum ilea_error
refresh(struct ilea_transaction *log, const struct ilea_audience_row *row, struct entry *entry)
{
    uint8_t stamp[ILEA_CONTROLS_STAMP_SIZE];
    enum ilea_error error = ilea_log_controls_stamp(log, stamp);
    if (error != ILEA_ERROR_NONE) return error;
    if (entry->membership != NULL && memcmp(stamp, entry->stamp, sizeof stamp) == 0) return ILEA_ERROR_NONE;
    struct looking looking = { .log = log, .row = row, .entry = entry };
    const uint32_t before = entry->taken;
    bool is_anew = entry->membership == NULL || entry->is_full;
    if (!is_anew) error = look(&looking);
    is_anew = is_anew || looking.before != before || entry->is_full;
    if (error == ILEA_ERROR_NONE && is_anew) error = begin_anew(&looking);
    memcpy(entry->stamp, stamp, sizeof stamp);
    return error;
}

/* Its place, or the one that is to make room. */
static struct entry *
find_entry(struct ilea_audience_cache *cache, const struct ilea_audience_id *audience)
{
    struct entry *oldest = &cache->entries[0];
    for (uint32_t i = 0; i < ILEA_AUDIENCES_KEPT; i++) {
        struct entry *entry = &cache->entries[i];
        if (entry->membership != NULL
            && memcmp(entry->audience.bytes, audience->bytes, sizeof audience->bytes) == 0) {
            return entry;
        }
        if (entry->used < oldest->used) oldest = entry;
    }
    drop_entry(oldest);
    oldest->audience = *audience;
    return oldest;
}

enum ilea_error
ilea_audience_get(struct ilea_audience_cache *cache, struct ilea_transaction *log,
                  const struct ilea_audience_id *audience, struct ilea_membership **membership)
{
    struct ilea_audience_row row;
    bool counts = false;
    enum ilea_error error = ilea_log_audience(log, audience, &row);
    if (error == ILEA_ERROR_NONE) error = agency_counts(log, &row.owner, &counts);
    if (error != ILEA_ERROR_NONE) return error;
    if (!counts) return ILEA_ERROR_NOT_FOUND;
    struct entry *entry = find_entry(cache, audience);
    error = refresh(log, &row, entry);
    if (error != ILEA_ERROR_NONE) {
        drop_entry(entry);
        return error;
    }
    entry->used = ++cache->clock;
    *membership = entry->membership;
    return ILEA_ERROR_NONE;
}

bool
ilea_audience_entitled(struct ilea_audience_cache *cache, struct ilea_transaction *log,
                       const struct ilea_agency_id *agency, const struct ilea_audience_id *audience)
{
    struct ilea_membership *membership;
    struct ilea_membership_state state;
    if (ilea_audience_get(cache, log, audience, &membership) != ILEA_ERROR_NONE) return false;
    enum ilea_error error = ilea_membership_state(membership, &state);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_LIMIT) return false; /* LIMIT: writing ends, reading goes on */
    const struct ilea_member *member = ilea_membership_find(&state, agency);
    return member != NULL && !member->suspended;
}

static bool
counts_here(void *context, const struct ilea_agency_id *agency)
{
    bool counts = true;
    return agency_counts(context, agency, &counts) != ILEA_ERROR_NONE || counts;
}

bool
ilea_audience_holds(struct ilea_audience_cache *cache, struct ilea_transaction *log,
                    const struct ilea_audience_id *audience, const struct ilea_commit_id *id)
{
    struct ilea_membership *membership;
    return ilea_audience_get(cache, log, audience, &membership) == ILEA_ERROR_NONE
        && ilea_membership_is_whole(membership, id, counts_here, log);
}

/* ---- Rows of what is stated ---- */

/* What the feed's first commit says of its audience. */
static enum ilea_error
index_opening(struct ilea_transaction *log, const struct ilea_feed_row *feed, const struct ilea_commit *commit)
{
    struct ilea_audience_row row = { .audience = feed->origin.audience };
    struct ilea_msgpack_reader slots;
    struct ilea_item item;
    struct ilea_opening opening;
    enum ilea_error error = ilea_log_audience(log, &feed->origin.audience, &row);
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    ilea_msgpack_reader_init(&slots, commit->slots);
    error = ilea_item_decode(ilea_slot_next(&slots), &item);
    if (error == ILEA_ERROR_NONE) error = ilea_opening_decode(item.content, NULL, &opening);
    if (error != ILEA_ERROR_NONE) return error; /* whoever appended it has checked it */
    row.owner = opening.owner;
    memcpy(row.salt, opening.salt, sizeof row.salt);
    return ilea_log_put_audience(log, &row);
}

/* Another's epoch in an audience of ours: its key goes to members that come later. Not the one that came first under
 * its id: a writer does not choose another's. */
static enum ilea_error
index_writer(struct ilea_transaction *log, const struct ilea_audience_row *row, struct ilea_span content,
             struct ilea_epoch_row *epoch, bool *changed)
{
    struct ilea_writer_epoch writer;
    struct ilea_agency_row owner;
    if (ilea_writer_epoch_decode(content, &writer) != ILEA_ERROR_NONE) return ILEA_ERROR_NONE;
    if (memcmp(writer.audience.bytes, row->audience.bytes, sizeof row->audience.bytes) != 0) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_log_agency(log, &row->owner, &owner);
    if (error != ILEA_ERROR_NONE || owner.state != ILEA_AGENCY_SELF || same_agency(&epoch->agency, &row->owner)) {
        return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
    }
    memcpy(epoch->aek_commit, writer.aek_commit, sizeof epoch->aek_commit);
    epoch->restricted = writer.restricted;
    error = ilea_log_has_epoch(log, epoch);
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    *changed = *changed || !writer.restricted;
    return ilea_log_put_epoch(log, epoch);
}

bool
ilea_audience_is_control(const struct ilea_audience_row *row, const struct ilea_agency_id *author,
                         struct ilea_span content)
{
    struct ilea_audience_statement audience;
    struct ilea_suspend_statement suspend;
    enum ilea_statement_kind kind;
    const struct ilea_audience_id *named = NULL;
    const bool is_owner = same_agency(author, &row->owner);
    if (ilea_statement_kind_of(content, &kind) != ILEA_ERROR_NONE) return false;
    if (kind == ILEA_STATEMENT_AUDIENCE && is_owner
        && ilea_audience_statement_decode(content, &audience) == ILEA_ERROR_NONE) {
        named = &audience.audience;
    }
    if (kind == ILEA_STATEMENT_SUSPEND && !is_owner && ilea_suspend_decode(content, &suspend) == ILEA_ERROR_NONE) {
        named = &suspend.audience;
    }
    return named != NULL && memcmp(named->bytes, row->audience.bytes, sizeof named->bytes) == 0;
}

enum ilea_error
ilea_audience_index(struct ilea_transaction *log, const struct ilea_feed_row *feed, const struct ilea_commit_id *id,
                    struct ilea_span bytes, bool *changed)
{
    struct ilea_commit commit;
    struct ilea_audience_row row;
    *changed = false;
    if (feed->origin.scope != ILEA_SCOPE_AUDIENCE) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_commit_decode(bytes, &commit);
    if (error == ILEA_ERROR_NONE && commit.header.seq == 1) error = index_opening(log, feed, &commit);
    if (error == ILEA_ERROR_NONE) error = ilea_log_audience(log, &feed->origin.audience, &row);
    if (error != ILEA_ERROR_NONE) return error;
    const struct ilea_span content = ilea_naming_statement(&commit);
    if (ilea_audience_is_control(&row, &feed->origin.agency, content)) {
        const struct ilea_control_row control = { feed->origin.audience, *id, feed->number, commit.header.seq };
        *changed = true;
        return ilea_log_put_control(log, &control);
    }
    struct ilea_epoch_row epoch = { .audience = row.audience, .statement = *id, .agency = feed->origin.agency,
                                    .feed = feed->number, .seq = commit.header.seq };
    return index_writer(log, &row, content, &epoch, changed);
}
