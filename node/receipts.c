#include "node/receipts.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/manifest.h"

enum { OWN_TOLD = 16 /* feeds of ours: so many starts back, a feed that is kept from somebody is noticed */ };

_Static_assert((int)OWN_TOLD <= (int)ILEA_RECEIPT_OWN_MAX, "they fit a receipt");

/* One feed that a claim lists. */
struct listed {
    uint32_t number;
    struct ilea_receipt_feed feed;
};

/* A claim being put together. */
struct draft {
    struct ilea_claim *claim;
    struct listed *feeds;
    uint32_t feed_count, feed_capacity;
    struct ilea_receipt_unread unread[ILEA_RECEIPT_UNREAD_MAX];
    uint32_t unread_count;
    struct ilea_receipt_own own[OWN_TOLD]; /* the newest last */
    uint32_t own_count;
};

struct drafting {
    struct ilea_transaction *log, *view;
    const struct ilea_agency_id *own;
    struct ilea_audience_cache *audiences;
    uint64_t position;              /* the view has come to */
    struct draft *drafts;           /* by author */
    uint32_t count;
};

static struct draft *
find_draft(const struct drafting *drafting, const struct ilea_agency_id *author)
{
    uint32_t low = 0, high = drafting->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = memcmp(drafting->drafts[middle].claim->author.bytes, author->bytes, ILEA_ID_SIZE);
        if (order == 0) return &drafting->drafts[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

/* How far the view shows a feed: the commits of a feed lie in the log in the order of their numbers. */
static enum ilea_error
find_seen(const struct drafting *drafting, const struct ilea_feed_row *feed, uint64_t *seen)
{
    struct ilea_chain_row chain;
    uint64_t low = 0, high = feed->seq; /* `low` is seen, what is above `high` is not */
    *seen = 0;
    if (feed->seq == 0) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_log_chain(drafting->log, feed->number, feed->seq, &chain);
    if (error == ILEA_ERROR_NONE && chain.position <= drafting->position) low = high;
    while (error == ILEA_ERROR_NONE && low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        error = ilea_log_chain(drafting->log, feed->number, middle, &chain);
        if (chain.position <= drafting->position) low = middle;
        else high = middle - 1;
    }
    *seen = low;
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
}

/* A control feed is seen only up to before a statement of which something is still due: hidden, and not gone. */
static enum ilea_error
limit_to_done(const struct drafting *drafting, const struct ilea_feed_row *feed, uint64_t *seen)
{
    struct ilea_erase_day day;
    struct ilea_erased_row row = { .agency = feed->origin.agency };
    if (feed->origin.scope != ILEA_SCOPE_CONTROL) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_log_erase_day(drafting->log, &feed->origin.agency, &day);
    while (error == ILEA_ERROR_NONE && day.due > 0) {
        error = ilea_log_erased_next(drafting->log, &row, &row);
        if (error != ILEA_ERROR_NONE || memcmp(row.agency.bytes, feed->origin.agency.bytes, ILEA_ID_SIZE) != 0) break;
        if (!row.due) continue;
        day.due--;
        if (row.feed == feed->number && row.seq <= *seen) *seen = row.seq - 1;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static enum ilea_error
list_feed(struct draft *draft, const struct ilea_feed_row *feed, uint64_t seen)
{
    for (uint32_t i = 0; i < draft->feed_count; i++) {
        if (draft->feeds[i].number != feed->number) continue;
        if (seen < draft->feeds[i].feed.seen) draft->feeds[i].feed.seen = seen;
        return ILEA_ERROR_NONE;
    }
    if (draft->feed_count == draft->feed_capacity) {
        uint32_t larger = draft->feed_capacity == 0 ? 16 : draft->feed_capacity * 2;
        struct listed *moved = realloc(draft->feeds, larger * sizeof *moved);
        if (moved == NULL) return ILEA_ERROR_NO_MEMORY;
        draft->feeds = moved;
        draft->feed_capacity = larger;
    }
    draft->feeds[draft->feed_count++] = (struct listed){ feed->number, { feed->id, feed->seq, seen } };
    return ILEA_ERROR_NONE;
}

/* Whether a feed of ours is for an agency: who it tells of is then told how long it is. */
static bool
is_offered(const struct drafting *drafting, const struct ilea_feed_row *feed, const struct ilea_agency_id *agency)
{
    return ilea_scope_is_open(feed->origin.scope)
        || (feed->origin.scope == ILEA_SCOPE_AUDIENCE
            && ilea_audience_entitled(drafting->audiences, drafting->log, agency, &feed->origin.audience));
}

/* A feed of ours, as far as it counts, in the claims for those who may have it. */
static void
offer_feed(const struct drafting *drafting, const struct ilea_feed_row *feed)
{
    uint64_t seq = feed->seq < feed->limit_seq ? feed->seq : feed->limit_seq;
    for (uint32_t i = 0; i < drafting->count && seq > 0; i++) {
        struct draft *draft = &drafting->drafts[i];
        if (!is_offered(drafting, feed, &draft->claim->author)) continue;
        if (draft->own_count == OWN_TOLD) { /* the oldest is left out */
            memmove(draft->own, draft->own + 1, (OWN_TOLD - 1) * sizeof draft->own[0]);
            draft->own_count--;
        }
        draft->own[draft->own_count++] = (struct ilea_receipt_own){
            .feed = feed->id, .seq = seq, .is_closed = feed->origin.scope == ILEA_SCOPE_AUDIENCE,
            .audience = feed->origin.audience };
    }
}

/* A shared feed of an author; an archived one only as far as the view does not show it yet. */
static enum ilea_error
claim_feed(const struct drafting *drafting, struct draft *draft, const struct ilea_feed_row *feed, bool is_current)
{
    uint64_t seen;
    if (feed->archived && is_current && feed->origin.scope != ILEA_SCOPE_CONTROL) return ILEA_ERROR_NONE;
    enum ilea_error error = find_seen(drafting, feed, &seen);
    if (error == ILEA_ERROR_NONE) error = limit_to_done(drafting, feed, &seen);
    if (error != ILEA_ERROR_NONE) return error;
    if (seen < feed->seq) draft->claim->seen = false;
    return !feed->archived || seen < feed->seq ? list_feed(draft, feed, seen) : ILEA_ERROR_NONE;
}

/* All feeds, the authors' and our own. */
static enum ilea_error
list_feeds(const struct drafting *drafting)
{
    uint64_t last = 0;
    enum ilea_error error = ilea_log_last(drafting->log, &last);
    bool is_current = drafting->position >= last;
    for (uint32_t number = 1; error == ILEA_ERROR_NONE; number++) {
        struct ilea_feed_row feed;
        error = ilea_log_feed(drafting->log, number, &feed);
        if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
        if (error != ILEA_ERROR_NONE || !ilea_scope_is_shared(feed.origin.scope) || feed.seq == 0) continue;
        if (memcmp(feed.origin.agency.bytes, drafting->own->bytes, ILEA_ID_SIZE) == 0) offer_feed(drafting, &feed);
        struct draft *draft = find_draft(drafting, &feed.origin.agency);
        if (draft != NULL) error = claim_feed(drafting, draft, &feed, is_current);
    }
    return error;
}

/* What cannot be read. Where there is more of it than a receipt holds, the feed counts as seen up to before it. */
static enum ilea_error
list_unread(const struct drafting *drafting)
{
    struct ilea_view_unread item = { .feed = 0 };
    struct ilea_feed_row feed = { .number = 0 };
    struct draft *draft = NULL;
    for (;;) {
        enum ilea_error error = ilea_view_unread_next(drafting->view, &item);
        if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
        if (error != ILEA_ERROR_NONE) return error;
        if (feed.number != item.feed) {
            error = ilea_log_feed(drafting->log, item.feed, &feed);
            if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_BUSY : error;
            draft = find_draft(drafting, &feed.origin.agency);
        }
        bool counts = draft != NULL && ilea_scope_is_shared(feed.origin.scope) && item.seq <= feed.seq;
        if (counts && draft->unread_count < ILEA_RECEIPT_UNREAD_MAX) {
            struct ilea_receipt_unread *unread = &draft->unread[draft->unread_count++];
            *unread = (struct ilea_receipt_unread){ .seq = item.seq, .index = item.index,
                                                    .why = (enum ilea_unread)item.why };
            memcpy(unread->feed, feed.id.bytes, sizeof unread->feed);
            continue;
        }
        if (counts) error = list_feed(draft, &feed, item.seq - 1);
        if (error != ILEA_ERROR_NONE) return error;
        item.seq = UINT64_MAX; /* the next feed */
        item.index = UINT32_MAX;
    }
}

static int
compare_age(const void *a, const void *b)
{
    uint32_t one = ((const struct listed *)a)->number, other = ((const struct listed *)b)->number;
    return (one < other) - (one > other);
}

static int
compare_feeds(const void *a, const void *b)
{
    return memcmp(((const struct listed *)a)->feed.feed.bytes, ((const struct listed *)b)->feed.feed.bytes,
                  ILEA_ID_SIZE);
}

static int
compare_own(const void *a, const void *b)
{
    return memcmp(((const struct ilea_receipt_own *)a)->feed.bytes, ((const struct ilea_receipt_own *)b)->feed.bytes,
                  ILEA_ID_SIZE);
}

static int
compare_unread(const void *a, const void *b)
{
    const struct ilea_receipt_unread *one = a, *other = b;
    int order = memcmp(one->feed, other->feed, sizeof one->feed);
    if (order != 0) return order;
    if (one->seq != other->seq) return one->seq < other->seq ? -1 : 1;
    return (one->index > other->index) - (one->index < other->index);
}

/* The newest manifest of an agency (heap: free). */
static enum ilea_error
newest_manifest(struct ilea_transaction *txn, const struct ilea_agency_id *agency, struct ilea_manifest **manifest)
{
    struct ilea_span bytes;
    uint64_t index;
    *manifest = malloc(sizeof **manifest);
    if (*manifest == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ilea_log_manifest_last(txn, agency, &index, &bytes);
    if (error == ILEA_ERROR_NONE && ilea_manifest_decode(bytes, *manifest) != ILEA_ERROR_NONE) {
        error = ILEA_ERROR_CORRUPT;
    }
    return error;
}

static void
put_body(struct draft *draft, const struct ilea_receipt_archive *archive)
{
    struct ilea_msgpack_writer writer;
    if (draft->feed_count > 0) qsort(draft->feeds, draft->feed_count, sizeof *draft->feeds, compare_feeds);
    qsort(draft->unread, draft->unread_count, sizeof *draft->unread, compare_unread);
    qsort(draft->own, draft->own_count, sizeof *draft->own, compare_own);
    ilea_msgpack_writer_init(&writer, draft->claim->body, ILEA_RECEIPT_BODY_MAX);
    ilea_msgpack_put_array(&writer, 4);
    ilea_msgpack_put_array(&writer, draft->feed_count);
    for (uint32_t i = 0; i < draft->feed_count; i++) ilea_receipt_put_feed(&writer, &draft->feeds[i].feed);
    ilea_msgpack_put_array(&writer, archive != NULL ? 1 : 0);
    if (archive != NULL) ilea_receipt_put_archive(&writer, archive);
    ilea_msgpack_put_array(&writer, draft->unread_count);
    for (uint32_t i = 0; i < draft->unread_count; i++) ilea_receipt_put_unread(&writer, &draft->unread[i]);
    ilea_msgpack_put_array(&writer, draft->own_count);
    for (uint32_t i = 0; i < draft->own_count; i++) ilea_receipt_put_own(&writer, &draft->own[i]);
    ilea_assert(!writer.failed); /* receipt.h's limits see to it */
    draft->claim->size = writer.size;
}

static enum ilea_error
write_body(const struct drafting *drafting, struct draft *draft)
{
    struct ilea_claim *claim = draft->claim;
    struct ilea_receipt_archive archive = { .has_audience = false };
    uint32_t count = 0;
    enum ilea_error error = ilea_log_archive_sum(drafting->log, &claim->author, &count, archive.sum);
    archive.count = count;
    struct ilea_manifest *author = NULL;
    if (error == ILEA_ERROR_NONE) error = newest_manifest(drafting->log, &claim->author, &author);
    if (error == ILEA_ERROR_NONE) claim->to = author->reading;
    free(author);
    claim->body = malloc(ILEA_RECEIPT_BODY_MAX);
    if (error == ILEA_ERROR_NONE && claim->body == NULL) error = ILEA_ERROR_NO_MEMORY;
    if (error != ILEA_ERROR_NONE) return error;
    if (draft->feed_count > ILEA_RECEIPT_FEEDS_MAX) { /* the oldest ones are left out */
        qsort(draft->feeds, draft->feed_count, sizeof *draft->feeds, compare_age);
        draft->feed_count = ILEA_RECEIPT_FEEDS_MAX;
    }
    put_body(draft, count > 0 ? &archive : NULL);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_claims_make(struct ilea_transaction *log, struct ilea_transaction *view, const struct ilea_log_identity *identity,
                 struct ilea_audience_cache *audiences, struct ilea_claim *claims, uint32_t count)
{
    struct drafting drafting = { .log = log, .view = view, .own = &identity->agency, .audiences = audiences,
                                 .count = count };
    struct ilea_view_meta meta;
    uint64_t truncations = 0;
    for (uint32_t i = 0; i < count; i++) {
        claims[i].body = NULL;
        claims[i].seen = true;
    }
    enum ilea_error error = ilea_view_load_meta(view, &meta);
    if (error == ILEA_ERROR_NONE) error = ilea_log_truncations(log, &truncations);
    if (error == ILEA_ERROR_NONE && meta.position > 0
        && (meta.truncations != truncations
            || memcmp(meta.database, identity->database, sizeof meta.database) != 0)) {
        error = ILEA_ERROR_BUSY;
    }
    drafting.position = meta.position;
    drafting.drafts = calloc(count, sizeof *drafting.drafts);
    if (error == ILEA_ERROR_NONE && drafting.drafts == NULL) error = ILEA_ERROR_NO_MEMORY;
    for (uint32_t i = 0; i < count && drafting.drafts != NULL; i++) drafting.drafts[i].claim = &claims[i];
    if (error == ILEA_ERROR_NONE) error = list_feeds(&drafting);
    if (error == ILEA_ERROR_NONE) error = list_unread(&drafting);
    for (uint32_t i = 0; i < count && drafting.drafts != NULL; i++) {
        if (error == ILEA_ERROR_NONE) error = write_body(&drafting, &drafting.drafts[i]);
        free(drafting.drafts[i].feeds);
    }
    free(drafting.drafts);
    return error;
}

enum ilea_error
ilea_receipts_issue(struct ilea_transaction *txn, const struct ilea_log_identity *identity,
                    const struct ilea_keys *keys, const struct ilea_claim *claim, uint64_t now_ms)
{
    struct ilea_receipt receipt = { .holder = identity->agency, .author = claim->author };
    struct ilea_receipt_row row;
    uint8_t *bytes = malloc(ILEA_RECEIPT_SIZE_MAX), *scratch = malloc(ILEA_RECEIPT_SIZE_MAX);
    size_t size = 0;
    enum ilea_error error = bytes != NULL && scratch != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_log_receipt(txn, &claim->author, &identity->agency, &row);
        uint64_t last = error == ILEA_ERROR_NONE ? row.counter : 0;
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
        receipt.counter = now_ms > last ? now_ms : last + 1; /* over a restore it goes on rising with the clock */
    }
    if (error == ILEA_ERROR_NONE) {
        const struct ilea_span body = { claim->body, claim->size };
        error = ilea_receipt_make(&receipt, body, &identity->network, &claim->to, keys->node, scratch, bytes,
                                  &size);
    }
    if (error == ILEA_ERROR_NONE) {
        row = (struct ilea_receipt_row){ .author = claim->author, .holder = identity->agency,
                                         .counter = receipt.counter, .arrived_ms = now_ms, .bytes = { bytes, size } };
        error = ilea_log_put_receipt(txn, now_ms, &row);
    }
    free(bytes);
    free(scratch);
    return error;
}

/* Whether it counts beside the one that is held. A holder whose key was stolen may have been made to say any number:
 * what its newest key does not sign any more is replaced whatever it says. */
static enum ilea_error
check_newer(struct ilea_transaction *txn, const struct ilea_log_identity *identity, const struct ilea_receipt *receipt,
            const struct ilea_sign_public *node)
{
    struct ilea_receipt_row held;
    struct ilea_receipt before;
    enum ilea_error error = ilea_log_receipt(txn, &receipt->author, &receipt->holder, &held);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE || receipt->counter > held.counter) return error;
    if (ilea_receipt_decode(held.bytes, &before) != ILEA_ERROR_NONE) return ILEA_ERROR_CORRUPT;
    return ilea_receipt_verify(&before, &identity->network, node) ? ILEA_ERROR_EXISTS : ILEA_ERROR_NONE;
}

/* What one for us says: opened with the reading key that we have now, or had before. */
static enum ilea_error
open_body(const struct ilea_log_identity *identity, const struct ilea_keys *keys, const struct ilea_receipt *receipt,
          uint8_t *bytes, struct ilea_span *body)
{
    struct ilea_receipt_body decoded;
    enum ilea_error error = ilea_receipt_open(receipt, &identity->network, keys->reading, bytes, body);
    for (uint32_t i = 0; error == ILEA_ERROR_NOT_FOUND && i < keys->old_reading_count; i++) {
        error = ilea_receipt_open(receipt, &identity->network, keys->old_readings[i], bytes, body);
    }
    if (error != ILEA_ERROR_NONE || ilea_receipt_body_decode(*body, &decoded) != ILEA_ERROR_NONE) {
        return ILEA_ERROR_INVALID;
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_receipts_take(struct ilea_transaction *txn, const struct ilea_log_identity *identity,
                   const struct ilea_keys *keys, const struct ilea_agency_id *peer,
                   const struct ilea_receipt *receipt, struct ilea_span bytes, uint64_t now_ms)
{
    struct ilea_manifest *holder = NULL;
    uint8_t *opened = NULL;
    struct ilea_receipt_row row = { .author = receipt->author, .holder = receipt->holder,
                                    .counter = receipt->counter, .arrived_ms = now_ms, .has_from = true,
                                    .from = *peer, .bytes = bytes };
    enum ilea_error error = newest_manifest(txn, &receipt->holder, &holder);
    if (error == ILEA_ERROR_NONE) error = check_newer(txn, identity, receipt, &holder->node);
    if (error == ILEA_ERROR_NONE && !ilea_receipt_verify(receipt, &identity->network, &holder->node)) {
        error = ILEA_ERROR_BAD_SIGNATURE;
    }
    if (error == ILEA_ERROR_NONE
        && memcmp(receipt->author.bytes, identity->agency.bytes, sizeof identity->agency.bytes) == 0) {
        opened = malloc(ILEA_RECEIPT_SIZE_MAX);
        error = opened != NULL ? open_body(identity, keys, receipt, opened, &row.body) : ILEA_ERROR_NO_MEMORY;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_log_put_receipt(txn, now_ms, &row);
    free(opened);
    free(holder);
    return error;
}
