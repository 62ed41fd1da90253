/*
 * log_feed.c - feeds: their rows, the next commit, and where they end.
 *
 * A feed may have a limit. The roots of its agency state one for good (a key was revoked, a fork is resolved);
 * the proof of a fork states one for as long as the roots say nothing. The row's `fork` tells them apart. In
 * the first case what goes beyond the limit is cut off: its rows in `chain` are deleted, its commits stay as
 * evidence.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/store/log_rows.h"

enum { FEED_FIELDS = 17, FORK_PREFIX = ILEA_HASH_SIZE + 8 };

static const struct ilea_commit_id no_commit;

static struct ilea_span
id_key(const struct ilea_feed_id *id)
{
    return (struct ilea_span){ id->bytes, sizeof id->bytes };
}

static enum ilea_error
decode_feed(struct ilea_span value, struct ilea_feed_row *feed)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, FEED_FIELDS);
    feed->number = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    ilea_msgpack_get_bytes(&reader, feed->id.bytes, sizeof feed->id.bytes);
    ilea_msgpack_get_bytes(&reader, feed->origin.agency.bytes, sizeof feed->origin.agency.bytes);
    ilea_msgpack_get_bytes(&reader, feed->origin.node.bytes, sizeof feed->origin.node.bytes);
    ilea_msgpack_get_bytes(&reader, feed->origin.incarnation, sizeof feed->origin.incarnation);
    uint32_t scope = ilea_msgpack_get_uint32(&reader, ILEA_SCOPE_CONTROL);
    ilea_msgpack_get_bytes(&reader, feed->origin.audience.bytes, sizeof feed->origin.audience.bytes);
    feed->seq = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, feed->head.bytes, sizeof feed->head.bytes);
    feed->run = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, feed->last_leaf, sizeof feed->last_leaf);
    feed->closed = ilea_msgpack_get_uint32(&reader, 1) == 1;
    feed->limit_seq = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, feed->limit_id.bytes, sizeof feed->limit_id.bytes);
    ilea_msgpack_get_bytes(&reader, feed->fork, sizeof feed->fork);
    feed->named_seq = ilea_msgpack_get_uint(&reader);
    feed->archived = ilea_msgpack_get_uint32(&reader, 1) == 1;
    if (scope == 0) return ILEA_ERROR_CORRUPT;
    feed->origin.scope = (enum ilea_scope)scope;
    return log_decoded(&reader);
}

enum ilea_error
ilea_log_store_feed(struct ilea_transaction *txn, const struct ilea_feed_row *feed)
{
    uint8_t bytes[512], key[4];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, FEED_FIELDS);
    ilea_msgpack_put_uint(&writer, feed->number);
    ilea_msgpack_put_bin(&writer, feed->id.bytes, sizeof feed->id.bytes);
    ilea_msgpack_put_bin(&writer, feed->origin.agency.bytes, sizeof feed->origin.agency.bytes);
    ilea_msgpack_put_bin(&writer, feed->origin.node.bytes, sizeof feed->origin.node.bytes);
    ilea_msgpack_put_bin(&writer, feed->origin.incarnation, sizeof feed->origin.incarnation);
    ilea_msgpack_put_uint(&writer, feed->origin.scope);
    ilea_msgpack_put_bin(&writer, feed->origin.audience.bytes, sizeof feed->origin.audience.bytes);
    ilea_msgpack_put_uint(&writer, feed->seq);
    ilea_msgpack_put_bin(&writer, feed->head.bytes, sizeof feed->head.bytes);
    ilea_msgpack_put_uint(&writer, feed->run);
    ilea_msgpack_put_bin(&writer, feed->last_leaf, sizeof feed->last_leaf);
    ilea_msgpack_put_uint(&writer, feed->closed ? 1 : 0);
    ilea_msgpack_put_uint(&writer, feed->limit_seq);
    ilea_msgpack_put_bin(&writer, feed->limit_id.bytes, sizeof feed->limit_id.bytes);
    ilea_msgpack_put_bin(&writer, feed->fork, sizeof feed->fork);
    ilea_msgpack_put_uint(&writer, feed->named_seq);
    ilea_msgpack_put_uint(&writer, feed->archived ? 1 : 0);
    ilea_assert(!writer.failed);
    return ilea_put(txn, LOG_FEEDS, log_key_u32(key, feed->number), ilea_msgpack_written(&writer));
}

enum ilea_error
ilea_log_feed(struct ilea_transaction *txn, uint32_t number, struct ilea_feed_row *feed)
{
    uint8_t key[4];
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, LOG_FEEDS, log_key_u32(key, number), &value);
    return error == ILEA_ERROR_NONE ? decode_feed(value, feed) : error;
}

enum ilea_error
ilea_log_feed_by_id(struct ilea_transaction *txn, const struct ilea_feed_id *id,
                    struct ilea_feed_row *feed)
{
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, LOG_FEED_IDS, id_key(id), &value);
    if (error != ILEA_ERROR_NONE) return error;
    if (value.size != 4) return ILEA_ERROR_CORRUPT;
    error = ilea_log_feed(txn, ilea_key_u32(value.data), feed);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
}

enum ilea_error
ilea_log_feed_by_dot(struct ilea_transaction *txn, const uint8_t half[ILEA_ID_SIZE / 2],
                     struct ilea_feed_row *feed)
{
    struct ilea_cursor *cursor = NULL;
    struct ilea_feed_id id;
    struct ilea_span key, value;
    enum ilea_error error = ilea_cursor_open(txn, LOG_FEED_IDS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_cursor_seek(cursor, (struct ilea_span){ half, ILEA_ID_SIZE / 2 }, &key, &value);
    if (error == ILEA_ERROR_NONE && (key.size != ILEA_ID_SIZE || memcmp(key.data, half, ILEA_ID_SIZE / 2) != 0)) {
        error = ILEA_ERROR_NOT_FOUND;
    }
    if (error == ILEA_ERROR_NONE) memcpy(id.bytes, key.data, sizeof id.bytes);
    ilea_cursor_close(cursor);
    return error == ILEA_ERROR_NONE ? ilea_log_feed_by_id(txn, &id, feed) : error;
}

static bool
is_forked(const struct ilea_feed_row *feed)
{
    static const uint8_t none[ILEA_HASH_SIZE];
    return memcmp(feed->fork, none, sizeof none) != 0;
}

enum ilea_error
ilea_log_settle_feed(struct ilea_transaction *txn, const struct ilea_feed_row *before,
                     struct ilea_feed_row *feed)
{
    feed->archived = ilea_scope_is_open(feed->origin.scope) && feed->seq > 0
        && feed->seq == feed->named_seq && !is_forked(feed);
    bool moved = feed->archived != before->archived || feed->seq != before->seq;
    enum ilea_error error = ILEA_ERROR_NONE;
    if (moved && before->archived) error = ilea_log_archive_change(txn, before, true);
    if (error == ILEA_ERROR_NONE && moved && feed->archived) {
        error = ilea_log_archive_change(txn, feed, false);
    }
    return error == ILEA_ERROR_NONE ? ilea_log_store_feed(txn, feed) : error;
}

/* What only the log itself changes. */
static void
take_own_fields(const struct ilea_feed_row *stored, struct ilea_feed_row *feed)
{
    feed->limit_seq = stored->limit_seq;
    feed->limit_id = stored->limit_id;
    memcpy(feed->fork, stored->fork, sizeof feed->fork);
    feed->named_seq = stored->named_seq;
    feed->archived = stored->archived;
}

enum ilea_error
ilea_log_put_feed(struct ilea_transaction *txn, const struct ilea_feed_row *feed)
{
    struct ilea_feed_row row;
    enum ilea_error error = ilea_log_feed(txn, feed->number, &row);
    if (error != ILEA_ERROR_NONE) return error;
    row.run = feed->run;
    memcpy(row.last_leaf, feed->last_leaf, sizeof row.last_leaf);
    row.closed = feed->closed;
    return ilea_log_store_feed(txn, &row);
}

/* Highest number given to a feed; 0: none yet. */
static enum ilea_error
last_number(struct ilea_transaction *txn, uint32_t *last)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_FEEDS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, value;
    error = ilea_cursor_last(cursor, &key, &value);
    ilea_cursor_close(cursor);
    *last = 0;
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && key.size != 4) return ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) *last = ilea_key_u32(key.data);
    return error;
}

enum ilea_error
ilea_log_add_feed(struct ilea_transaction *txn, struct ilea_feed_row *feed)
{
    uint32_t last = 0;
    enum ilea_error error = last_number(txn, &last);
    if (error != ILEA_ERROR_NONE) return error;
    if (last == UINT32_MAX) return ILEA_ERROR_FULL;
    const struct ilea_feed_row none = { .limit_seq = ILEA_SEQ_NONE };
    take_own_fields(&none, feed);
    feed->number = last + 1;
    uint8_t number[4];
    error = ilea_put(txn, LOG_FEED_IDS, id_key(&feed->id), log_key_u32(number, feed->number));
    return error == ILEA_ERROR_NONE ? ilea_log_store_feed(txn, feed) : error;
}

static bool
is_beyond(const struct ilea_feed_row *feed, uint64_t seq, const struct ilea_commit_id *id)
{
    if (seq != feed->limit_seq) return seq > feed->limit_seq;
    return memcmp(feed->limit_id.bytes, no_commit.bytes, sizeof no_commit.bytes) != 0
        && memcmp(feed->limit_id.bytes, id->bytes, sizeof id->bytes) != 0;
}

enum ilea_error
ilea_log_append(struct ilea_transaction *txn, struct ilea_feed_row *feed, uint64_t seq,
                const struct ilea_commit_id *id, struct ilea_span commit, uint64_t *position)
{
    ilea_assert(commit.size <= ILEA_COMMIT_SIZE_MAX);
    struct ilea_feed_row before;
    enum ilea_error error = ilea_log_feed(txn, feed->number, &before);
    if (error != ILEA_ERROR_NONE) return error;
    if (seq != feed->seq + 1 || before.seq != feed->seq
        || memcmp(before.head.bytes, feed->head.bytes, sizeof before.head.bytes) != 0) {
        return ILEA_ERROR_EXISTS;
    }
    if (is_beyond(&before, seq, id)) return ILEA_ERROR_LIMIT;
    uint8_t *without = NULL;
    size_t size = 0;
    error = ilea_log_without_erased(txn, &before, seq, commit, &without, &size);
    if (error == ILEA_ERROR_NONE) {
        const struct ilea_span kept = size > 0 ? (struct ilea_span){ without, size } : commit;
        error = ilea_log_put_commit(txn, feed->number, seq, id, kept, position);
    }
    free(without);
    if (error != ILEA_ERROR_NONE) return error;

    take_own_fields(&before, feed);
    feed->seq = seq;
    feed->head = *id;
    if (seq == feed->limit_seq) feed->limit_id = *id;
    bool named = false;
    error = ilea_log_is_named(txn, feed, seq, id, &named);
    if (named) feed->named_seq = seq;
    if (error == ILEA_ERROR_NONE) error = ilea_log_settle_feed(txn, &before, feed);
    if (error == ILEA_ERROR_NONE && seq == 1) error = ilea_log_note_opening(txn, feed, commit, false);
    return error;
}

/* The opening of a feed that becomes void names nothing any more. */
static enum ilea_error
withdraw_opening(struct ilea_transaction *txn, const struct ilea_feed_row *feed)
{
    struct ilea_chain_row chain;
    struct ilea_log_commit commit;
    enum ilea_error error = ilea_log_chain(txn, feed->number, 1, &chain);
    if (error == ILEA_ERROR_NONE) error = ilea_log_commit_at(txn, chain.position, &commit);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    uint8_t *bytes = malloc(commit.bytes.size + 1); /* the file's pages move under the deletes */
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    if (commit.bytes.size > 0) memcpy(bytes, commit.bytes.data, commit.bytes.size);
    error = ilea_log_note_opening(txn, feed, (struct ilea_span){ bytes, commit.bytes.size }, true);
    free(bytes);
    return error;
}

/* Cut a feed off behind `seq`; the row is changed but not stored. */
static enum ilea_error
cut_off(struct ilea_transaction *txn, struct ilea_feed_row *feed, uint64_t seq, bool *truncated)
{
    if (feed->seq <= seq) return ILEA_ERROR_NONE;
    enum ilea_error error = seq == 0 ? withdraw_opening(txn, feed) : ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && feed->origin.scope == ILEA_SCOPE_CONTROL) {
        error = ilea_log_forget_due(txn, feed, seq);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_log_forget_epochs(txn, feed->number, seq);
    if (error == ILEA_ERROR_NONE && feed->origin.scope == ILEA_SCOPE_AUDIENCE) {
        error = ilea_log_forget_controls(txn, feed, seq);
    }
    struct ilea_chain_row chain = { .position = 0 };
    for (uint64_t at = feed->seq; error == ILEA_ERROR_NONE && at > seq; at--) {
        error = ilea_log_chain(txn, feed->number, at, &chain);
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_CORRUPT;
        if (error == ILEA_ERROR_NONE) error = ilea_log_delete_chain(txn, feed->number, at);
    }
    chain = (struct ilea_chain_row){ .position = 0 };
    if (error == ILEA_ERROR_NONE && seq > 0) {
        error = ilea_log_chain(txn, feed->number, seq, &chain);
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_CORRUPT;
    }
    if (error != ILEA_ERROR_NONE) return error;
    feed->seq = seq;
    feed->head = chain.id;
    *truncated = true;
    uint64_t count = 0;
    error = ilea_log_truncations(txn, &count);
    if (error == ILEA_ERROR_NONE) error = ilea_log_put_meta_u64(txn, "truncations", count + 1);
    return error == ILEA_ERROR_NONE ? ilea_log_find_naming(txn, feed) : error;
}

/* The proof kept of a feed, and the seq up to which it leaves the feed whole. NOT_FOUND: none is kept. */
static enum ilea_error
fork_row(struct ilea_transaction *txn, const struct ilea_feed_id *feed, struct ilea_span *hash,
         uint64_t *limit, struct ilea_span *proof)
{
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, LOG_FORKS, id_key(feed), &value);
    if (error != ILEA_ERROR_NONE) return error;
    if (value.size < FORK_PREFIX) return ILEA_ERROR_CORRUPT;
    *hash = (struct ilea_span){ value.data, ILEA_HASH_SIZE };
    *limit = ilea_key_u64(value.data + ILEA_HASH_SIZE);
    *proof = (struct ilea_span){ value.data + FORK_PREFIX, value.size - FORK_PREFIX };
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_log_fork(struct ilea_transaction *txn, const struct ilea_feed_id *feed, struct ilea_span *proof)
{
    struct ilea_span hash;
    uint64_t limit;
    return fork_row(txn, feed, &hash, &limit, proof);
}

/* How much of a feed is known to lie on the branch that ends at its limit, a limit of the roots. */
static enum ilea_error
length_within(struct ilea_transaction *txn, const struct ilea_feed_row *feed, uint64_t *length)
{
    *length = feed->limit_seq;
    struct ilea_chain_row chain;
    if (feed->limit_seq == 0) return ILEA_ERROR_NONE;
    bool reaches = feed->seq >= feed->limit_seq;
    enum ilea_error error =
        reaches ? ilea_log_chain(txn, feed->number, feed->limit_seq, &chain) : ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    if (reaches && memcmp(chain.id.bytes, feed->limit_id.bytes, sizeof chain.id.bytes) == 0) {
        return ILEA_ERROR_NONE;
    }
    /* Another branch, or nobody can tell yet which one: what is before the fork is common to both. */
    struct ilea_span hash, proof;
    uint64_t whole;
    error = fork_row(txn, &feed->id, &hash, &whole, &proof);
    if (error == ILEA_ERROR_NONE && whole < *length) {
        *length = whole;
        return ILEA_ERROR_NONE;
    }
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    if (reaches) *length = 0;
    return error;
}

enum ilea_error
ilea_log_limit_feed(struct ilea_transaction *txn, struct ilea_feed_row *feed, uint64_t seq,
                    const struct ilea_commit_id *id, bool *truncated)
{
    *truncated = false;
    struct ilea_feed_row before;
    enum ilea_error error = ilea_log_feed(txn, feed->number, &before);
    if (error != ILEA_ERROR_NONE) return error;
    *feed = before;
    if (!is_forked(&before) && before.limit_seq <= seq) return ILEA_ERROR_NONE;
    feed->limit_seq = seq;
    feed->limit_id = seq > 0 ? *id : no_commit;
    memset(feed->fork, 0, sizeof feed->fork);
    uint64_t length = 0;
    error = length_within(txn, feed, &length);
    if (error == ILEA_ERROR_NONE) error = cut_off(txn, feed, length, truncated);
    return error == ILEA_ERROR_NONE ? ilea_log_settle_feed(txn, &before, feed) : error;
}

/* The limit that the proof kept of a feed states. */
static enum ilea_error
fork_feed(struct ilea_transaction *txn, struct ilea_feed_row *feed)
{
    struct ilea_span hash, proof;
    uint64_t limit;
    enum ilea_error error = fork_row(txn, &feed->id, &hash, &limit, &proof);
    if (error != ILEA_ERROR_NONE) return error;
    memcpy(feed->fork, hash.data, sizeof feed->fork);
    feed->limit_seq = limit;
    feed->limit_id = no_commit;
    if (limit == 0 || limit > feed->seq) return ILEA_ERROR_NONE;
    struct ilea_chain_row chain;
    error = ilea_log_chain(txn, feed->number, limit, &chain);
    if (error == ILEA_ERROR_NONE) feed->limit_id = chain.id;
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
}

enum ilea_error
ilea_log_lift_limit(struct ilea_transaction *txn, struct ilea_feed_row *feed)
{
    struct ilea_feed_row before;
    enum ilea_error error = ilea_log_feed(txn, feed->number, &before);
    if (error != ILEA_ERROR_NONE) return error;
    *feed = before;
    feed->limit_seq = ILEA_SEQ_NONE;
    feed->limit_id = no_commit;
    error = fork_feed(txn, feed);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) return error;
    return ilea_log_settle_feed(txn, &before, feed);
}

enum ilea_error
ilea_log_put_fork(struct ilea_transaction *txn, const struct ilea_feed_id *id, struct ilea_span proof,
                  const uint8_t hash[ILEA_HASH_SIZE], uint64_t limit)
{
    struct ilea_feed_row before, feed;
    enum ilea_error error = ilea_log_feed_by_id(txn, id, &before);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t *value = malloc(FORK_PREFIX + proof.size);
    if (value == NULL) return ILEA_ERROR_NO_MEMORY;
    memcpy(value, hash, ILEA_HASH_SIZE);
    ilea_key_put_u64(value + ILEA_HASH_SIZE, limit);
    if (proof.size > 0) memcpy(value + FORK_PREFIX, proof.data, proof.size);
    error = ilea_put(txn, LOG_FORKS, id_key(id), (struct ilea_span){ value, FORK_PREFIX + proof.size });
    free(value);
    if (error != ILEA_ERROR_NONE) return error;

    feed = before;
    bool is_resolved = before.limit_seq != ILEA_SEQ_NONE && !is_forked(&before), truncated = false;
    if (is_resolved) {
        uint64_t length = 0;
        error = length_within(txn, &feed, &length);
        if (error == ILEA_ERROR_NONE) error = cut_off(txn, &feed, length, &truncated);
    } else {
        error = fork_feed(txn, &feed);
    }
    return error == ILEA_ERROR_NONE ? ilea_log_settle_feed(txn, &before, &feed) : error;
}
