/*
 * log_archive.c - which feeds are done with, and what a node holds in one hash.
 *
 * An opening names the last positions of the agency's earlier feeds. A feed that ends where an opening names
 * it is archived: a node that was started a thousand times then says of a thousand feeds a count and a
 * sum. What is named is kept also of feeds that have not come yet, so that the archive is the same in
 * whatever order openings and commits arrive.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "replication/record/item.h"
#include "replication/store/log_rows.h"

enum { NAMING_KEY = ILEA_ID_SIZE + 8 + 4, SUM_SIZE = 4 + ILEA_HASH_SIZE, POSITION_SIZE = 8 + ILEA_ID_SIZE };

static struct ilea_span
naming_key(uint8_t key[NAMING_KEY], const struct ilea_feed_id *feed, uint64_t seq, uint32_t namer)
{
    log_key_id_u64(key, feed->bytes, seq);
    ilea_key_put_u32(key + ILEA_ID_SIZE + 8, namer);
    return (struct ilea_span){ key, NAMING_KEY };
}

/* Whether a row of namings is by a feed of the same agency and scope, and states `id`. */
static enum ilea_error
is_by_kin(struct ilea_transaction *txn, const struct ilea_feed_row *feed, struct ilea_span key,
          struct ilea_span stored, const struct ilea_commit_id *id, bool *is)
{
    struct ilea_span value;
    struct ilea_feed_row namer;
    enum ilea_error error = ilea_untag(LOG_NAMINGS, key, stored, &value);
    if (error == ILEA_ERROR_NONE && value.size != ILEA_ID_SIZE) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_log_feed(txn, ilea_key_u32(key.data + ILEA_ID_SIZE + 8), &namer);
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_CORRUPT;
    }
    if (error != ILEA_ERROR_NONE) return error;
    *is = memcmp(value.data, id->bytes, ILEA_ID_SIZE) == 0 && namer.origin.scope == feed->origin.scope
        && memcmp(namer.origin.audience.bytes, feed->origin.audience.bytes, ILEA_AUDIENCE_ID_SIZE) == 0
        && memcmp(namer.origin.agency.bytes, feed->origin.agency.bytes, ILEA_ID_SIZE) == 0;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_log_is_named(struct ilea_transaction *txn, const struct ilea_feed_row *feed, uint64_t seq,
                  const struct ilea_commit_id *id, bool *named)
{
    *named = false;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_NAMINGS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t from[NAMING_KEY];
    struct ilea_span key, stored;
    error = ilea_cursor_seek(cursor, naming_key(from, &feed->id, seq, 0), &key, &stored);
    while (error == ILEA_ERROR_NONE && !*named && key.size == NAMING_KEY
           && memcmp(key.data, from, ILEA_ID_SIZE + 8) == 0) {
        error = is_by_kin(txn, feed, key, stored, id, named);
        if (error == ILEA_ERROR_NONE && !*named) error = ilea_cursor_next(cursor, &key, &stored);
    }
    ilea_cursor_close(cursor);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

enum ilea_error
ilea_log_find_naming(struct ilea_transaction *txn, struct ilea_feed_row *feed)
{
    feed->named_seq = 0;
    if (feed->seq == 0) return ILEA_ERROR_NONE;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_NAMINGS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t before[NAMING_KEY];
    struct ilea_span key, stored;
    error = ilea_cursor_below(cursor, naming_key(before, &feed->id, feed->seq + 1, 0), &key, &stored);
    while (error == ILEA_ERROR_NONE && feed->named_seq == 0 && key.size == NAMING_KEY
           && memcmp(key.data, feed->id.bytes, ILEA_ID_SIZE) == 0) {
        struct ilea_chain_row chain;
        bool is = false;
        uint64_t seq = ilea_key_u64(key.data + ILEA_ID_SIZE);
        memcpy(before, key.data, sizeof before);
        error = seq > 0 ? ilea_log_chain(txn, feed->number, seq, &chain) : ILEA_ERROR_CORRUPT;
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_CORRUPT;
        if (error == ILEA_ERROR_NONE) error = is_by_kin(txn, feed, key, stored, &chain.id, &is);
        if (is) feed->named_seq = seq;
        if (error == ILEA_ERROR_NONE) {
            error = ilea_cursor_below(cursor, (struct ilea_span){ before, sizeof before }, &key, &stored);
        }
    }
    ilea_cursor_close(cursor);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* The opening statement in a feed's first commit. False: there is none, so it names nothing. */
static bool
find_opening(struct ilea_span bytes, struct ilea_opening *opening)
{
    struct ilea_commit commit;
    struct ilea_item item;
    if (ilea_commit_decode(bytes, &commit) != ILEA_ERROR_NONE) return false;
    struct ilea_msgpack_reader slots;
    ilea_msgpack_reader_init(&slots, commit.slots);
    struct ilea_span slot = ilea_slot_next(&slots);
    return !slots.failed && ilea_item_decode(slot, &item) == ILEA_ERROR_NONE
        && (item.flags & ILEA_ITEM_CONTROL) != 0
        && ilea_opening_decode(item.content, NULL, opening) == ILEA_ERROR_NONE;
}

enum ilea_error
ilea_log_note_opening(struct ilea_transaction *txn, const struct ilea_feed_row *feed,
                      struct ilea_span commit, bool withdraw)
{
    struct ilea_opening opening;
    if (!find_opening(commit, &opening)) return ILEA_ERROR_NONE;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, opening.predecessors);
    for (uint32_t i = 0; i < opening.predecessor_count; i++) {
        struct ilea_position position;
        ilea_position_get(&reader, &position);
        uint8_t key[NAMING_KEY];
        if (position.seq == 0 || position.seq == UINT64_MAX
            || memcmp(position.feed.bytes, feed->id.bytes, ILEA_ID_SIZE) == 0) {
            continue; /* no place in any feed; or its own, of which the hash cannot be known before */
        }
        struct ilea_span at = naming_key(key, &position.feed, position.seq, feed->number);
        enum ilea_error error =
            withdraw ? ilea_delete(txn, LOG_NAMINGS, at)
                     : ilea_put(txn, LOG_NAMINGS, at, (struct ilea_span){ position.id.bytes, ILEA_ID_SIZE });
        struct ilea_feed_row before, named;
        if (error == ILEA_ERROR_NONE) error = ilea_log_feed_by_id(txn, &position.feed, &before);
        if (error == ILEA_ERROR_NOT_FOUND) continue; /* it may come */
        if (error != ILEA_ERROR_NONE) return error;
        named = before;
        error = ilea_log_find_naming(txn, &named);
        if (error == ILEA_ERROR_NONE && named.named_seq != before.named_seq) {
            error = ilea_log_settle_feed(txn, &before, &named);
        }
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_log_archive_sum(struct ilea_transaction *txn, const struct ilea_agency_id *agency, uint32_t *count,
                     uint8_t sum[ILEA_HASH_SIZE])
{
    struct ilea_span value;
    *count = 0;
    memset(sum, 0, ILEA_HASH_SIZE);
    enum ilea_error error =
        ilea_get(txn, LOG_ARCHIVE, (struct ilea_span){ agency->bytes, ILEA_ID_SIZE }, &value);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && value.size != SUM_SIZE) error = ILEA_ERROR_CORRUPT;
    if (error != ILEA_ERROR_NONE) return error;
    *count = ilea_key_u32(value.data);
    memcpy(sum, value.data + 4, ILEA_HASH_SIZE);
    return ILEA_ERROR_NONE;
}

void
ilea_position_hash(const struct ilea_position *position, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    ilea_hash_add(&hasher, position->feed.bytes, sizeof position->feed.bytes);
    ilea_hash_add_u64(&hasher, position->seq);
    ilea_hash_add(&hasher, position->id.bytes, sizeof position->id.bytes);
    ilea_hash_end(&hasher, hash);
}

enum ilea_error
ilea_log_archive_change(struct ilea_transaction *txn, const struct ilea_feed_row *feed, bool leaves)
{
    uint8_t hash[ILEA_HASH_SIZE], sum[ILEA_HASH_SIZE], value[SUM_SIZE], key[2 * ILEA_ID_SIZE];
    const struct ilea_position last = { feed->id, feed->seq, feed->head };
    ilea_position_hash(&last, hash);
    const struct ilea_agency_id *agency = &feed->origin.agency;
    uint32_t count = 0;
    enum ilea_error error = ilea_log_archive_sum(txn, agency, &count, sum);
    if (error == ILEA_ERROR_NONE && leaves && count == 0) error = ILEA_ERROR_CORRUPT;
    if (error != ILEA_ERROR_NONE) return error;
    if (leaves) {
        ilea_hash_sum_subtract(sum, hash);
    } else {
        ilea_hash_sum_add(sum, hash);
    }
    ilea_key_put_u32(value, leaves ? count - 1 : count + 1);
    memcpy(value + 4, sum, sizeof sum);
    error = ilea_put(txn, LOG_ARCHIVE, (struct ilea_span){ agency->bytes, ILEA_ID_SIZE },
                     (struct ilea_span){ value, sizeof value });
    if (error != ILEA_ERROR_NONE) return error;

    uint8_t position[POSITION_SIZE];
    memcpy(key, agency->bytes, ILEA_ID_SIZE);
    memcpy(key + ILEA_ID_SIZE, feed->id.bytes, ILEA_ID_SIZE);
    ilea_key_put_u64(position, feed->seq);
    memcpy(position + 8, feed->head.bytes, ILEA_ID_SIZE);
    const struct ilea_span at = { key, sizeof key };
    return leaves ? ilea_delete(txn, LOG_ARCHIVE, at)
                  : ilea_put(txn, LOG_ARCHIVE, at, (struct ilea_span){ position, sizeof position });
}

enum ilea_error
ilea_log_archive_next(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                      const struct ilea_feed_id *after, struct ilea_position *position)
{
    uint8_t from[2 * ILEA_ID_SIZE];
    memcpy(from, agency->bytes, ILEA_ID_SIZE);
    if (after != NULL) memcpy(from + ILEA_ID_SIZE, after->bytes, ILEA_ID_SIZE);
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_ARCHIVE, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, stored, value;
    size_t size = after != NULL ? sizeof from : ILEA_ID_SIZE;
    error = ilea_cursor_seek(cursor, (struct ilea_span){ from, size }, &key, &stored);
    if (error == ILEA_ERROR_NONE && key.size == size && memcmp(key.data, from, size) == 0) {
        error = ilea_cursor_next(cursor, &key, &stored); /* past `after`, or past the agency's sum */
    }
    if (error == ILEA_ERROR_NONE
        && (key.size != sizeof from || memcmp(key.data, agency->bytes, ILEA_ID_SIZE) != 0)) {
        error = ILEA_ERROR_NOT_FOUND;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_ARCHIVE, key, stored, &value);
    if (error == ILEA_ERROR_NONE && value.size != POSITION_SIZE) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) {
        memcpy(position->feed.bytes, key.data + ILEA_ID_SIZE, ILEA_ID_SIZE);
        position->seq = ilea_key_u64(value.data);
        memcpy(position->id.bytes, value.data + 8, ILEA_ID_SIZE);
    }
    ilea_cursor_close(cursor);
    return error;
}

/* What one shared feed adds to the digest of a log. */
static void
add_feed(struct ilea_hasher *hasher, const struct ilea_feed_row *feed)
{
    static const uint8_t none[ILEA_HASH_SIZE];
    bool is_forked = memcmp(feed->fork, none, sizeof none) != 0;
    if (!is_forked && feed->seq == 0) return;
    ilea_hash_add(hasher, feed->id.bytes, sizeof feed->id.bytes);
    ilea_hash_add_u64(hasher, is_forked ? 0 : feed->seq);
    if (is_forked) {
        ilea_hash_add(hasher, feed->fork, sizeof feed->fork);
    } else {
        ilea_hash_add(hasher, feed->head.bytes, sizeof feed->head.bytes);
    }
}

enum ilea_error
ilea_log_frontier(struct ilea_transaction *txn, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_FEED_IDS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    struct ilea_span key, stored, value;
    error = ilea_cursor_seek(cursor, (struct ilea_span){ NULL, 0 }, &key, &stored);
    while (error == ILEA_ERROR_NONE) {
        struct ilea_feed_row feed;
        error = ilea_untag(LOG_FEED_IDS, key, stored, &value);
        if (error == ILEA_ERROR_NONE && value.size != 4) error = ILEA_ERROR_CORRUPT;
        if (error == ILEA_ERROR_NONE) error = ilea_log_feed(txn, ilea_key_u32(value.data), &feed);
        if (error != ILEA_ERROR_NONE) break;
        if (ilea_scope_is_open(feed.origin.scope)) add_feed(&hasher, &feed);
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    ilea_cursor_close(cursor);
    ilea_hash_end(&hasher, hash);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}
