#include "replication/store/log_store.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum log_database { DB_META, DB_FEEDS, DB_FEED_IDS, DB_COMMITS, DB_CHAIN, DB_AGENCIES, DB_EPOCHS, DB_COUNTERS };
static const char *const databases[] = { "meta", "feeds", "feed_ids", "commits", "chain", "agencies",
                                         "epochs", "counters", NULL };

enum { FEED_FIELDS = 11, AGENCY_FIELDS = 4, EPOCH_FIELDS = 4, CHAIN_SIZE = 8 + 4 + 32,
       COMMIT_PREFIX = 4 + 8, ROW_SIZE_MAX = 64 * 1024 };

static const struct ilea_span identity_key = { (const uint8_t *)"identity", 8 };

struct ilea_log {
    struct ilea_environment *environment;
    struct ilea_log_identity identity;
};

const char *
ilea_agency_state_name(enum ilea_agency_state state)
{
    switch (state) {
    case ILEA_AGENCY_SELF: return "self";
    case ILEA_AGENCY_PENDING: return "pending";
    case ILEA_AGENCY_APPROVED: return "approved";
    case ILEA_AGENCY_SUSPENDED: return "suspended";
    case ILEA_AGENCY_REVOKED: return "revoked";
    case ILEA_AGENCY_DECLINED: return "declined";
    }
    return "unknown";
}

static struct ilea_span
key_u32(uint8_t key[4], uint32_t value)
{
    ilea_key_put_u32(key, value);
    return (struct ilea_span){ key, 4 };
}

static struct ilea_span
key_u64(uint8_t key[8], uint64_t value)
{
    ilea_key_put_u64(key, value);
    return (struct ilea_span){ key, 8 };
}

/* What does not decode in our own files is damage, not a peer's malice. */
static enum ilea_error
decoded(const struct ilea_msgpack_reader *reader)
{
    return ilea_msgpack_reader_done(reader) ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

static enum ilea_error
open_environment(const char *path, bool read_only, bool create, struct ilea_environment **environment)
{
    const struct ilea_environment_options options = {
        .databases = databases, .format = ILEA_LOG_FORMAT, .read_only = read_only, .create = create };
    return ilea_environment_open(path, &options, environment);
}

enum ilea_error
ilea_log_create(const char *path, const struct ilea_log_identity *identity,
                const struct ilea_agency_row *own)
{
    struct ilea_environment *environment = NULL;
    enum ilea_error error = open_environment(path, false, false, &environment);
    if (error == ILEA_ERROR_NONE) {
        ilea_environment_close(environment);
        return ILEA_ERROR_EXISTS;
    }
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    error = open_environment(path, false, true, &environment);
    if (error != ILEA_ERROR_NONE) return error;

    struct ilea_transaction *txn = NULL;
    error = ilea_transaction_begin(environment, true, &txn);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_put(txn, DB_META, identity_key,
                         (struct ilea_span){ (const uint8_t *)identity, sizeof *identity });
        struct ilea_agency_row row = *own;
        if (error == ILEA_ERROR_NONE) error = ilea_log_put_agency(txn, &row);
        if (error == ILEA_ERROR_NONE) {
            error = ilea_transaction_commit(txn);
        } else {
            ilea_transaction_abort(txn);
        }
    }
    ilea_environment_close(environment);
    return error;
}

_Static_assert(sizeof(struct ilea_log_identity) == 32 + 32 + 16, "identity is stored as its bytes");

static enum ilea_error
read_identity(struct ilea_log *log)
{
    struct ilea_transaction *txn = NULL;
    enum ilea_error error = ilea_transaction_begin(log->environment, false, &txn);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span value = { NULL, 0 };
    error = ilea_get(txn, DB_META, identity_key, &value);
    if (error == ILEA_ERROR_NOT_FOUND
        || (error == ILEA_ERROR_NONE && value.size != sizeof log->identity)) {
        error = ILEA_ERROR_CORRUPT;
    }
    if (error == ILEA_ERROR_NONE) memcpy(&log->identity, value.data, sizeof log->identity);
    ilea_transaction_abort(txn);
    return error;
}

enum ilea_error
ilea_log_open(const char *path, bool read_only, struct ilea_log **log)
{
    struct ilea_log *opened = calloc(1, sizeof *opened);
    if (opened == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = open_environment(path, read_only, false, &opened->environment);
    if (error == ILEA_ERROR_NONE) error = read_identity(opened);
    if (error != ILEA_ERROR_NONE) {
        ilea_log_close(opened);
        return error;
    }
    *log = opened;
    return ILEA_ERROR_NONE;
}

void
ilea_log_close(struct ilea_log *log)
{
    if (log == NULL) return;
    ilea_environment_close(log->environment);
    free(log);
}

const struct ilea_log_identity *
ilea_log_identity(const struct ilea_log *log)
{
    return &log->identity;
}

struct ilea_environment *
ilea_log_environment(struct ilea_log *log)
{
    return log->environment;
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
    uint32_t scope = ilea_msgpack_get_uint32(&reader, ILEA_SCOPE_PEERS);
    feed->seq = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, feed->head.bytes, sizeof feed->head.bytes);
    feed->run = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, feed->last_leaf, sizeof feed->last_leaf);
    feed->closed = ilea_msgpack_get_uint32(&reader, 1) == 1;
    if (scope == 0) return ILEA_ERROR_CORRUPT;
    feed->origin.scope = (enum ilea_scope)scope;
    return decoded(&reader);
}

enum ilea_error
ilea_log_feed(struct ilea_transaction *txn, uint32_t number, struct ilea_feed_row *feed)
{
    uint8_t key[4];
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, DB_FEEDS, key_u32(key, number), &value);
    return error == ILEA_ERROR_NONE ? decode_feed(value, feed) : error;
}

enum ilea_error
ilea_log_feed_by_id(struct ilea_transaction *txn, const struct ilea_feed_id *id,
                    struct ilea_feed_row *feed)
{
    struct ilea_span value;
    enum ilea_error error =
        ilea_get(txn, DB_FEED_IDS, (struct ilea_span){ id->bytes, sizeof id->bytes }, &value);
    if (error != ILEA_ERROR_NONE) return error;
    if (value.size != 4) return ILEA_ERROR_CORRUPT;
    error = ilea_log_feed(txn, ilea_key_u32(value.data), feed);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
}

enum ilea_error
ilea_log_put_feed(struct ilea_transaction *txn, const struct ilea_feed_row *feed)
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
    ilea_msgpack_put_uint(&writer, feed->seq);
    ilea_msgpack_put_bin(&writer, feed->head.bytes, sizeof feed->head.bytes);
    ilea_msgpack_put_uint(&writer, feed->run);
    ilea_msgpack_put_bin(&writer, feed->last_leaf, sizeof feed->last_leaf);
    ilea_msgpack_put_uint(&writer, feed->closed ? 1 : 0);
    ilea_assert(!writer.failed);
    return ilea_put(txn, DB_FEEDS, key_u32(key, feed->number), ilea_msgpack_written(&writer));
}

/* Highest u32 key of a database; 0 if it is empty. */
static enum ilea_error
last_u32(struct ilea_transaction *txn, enum log_database database, uint32_t *last)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, database, &cursor);
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
    enum ilea_error error = last_u32(txn, DB_FEEDS, &last);
    if (error != ILEA_ERROR_NONE) return error;
    if (last == UINT32_MAX) return ILEA_ERROR_FULL;
    feed->number = last + 1;
    uint8_t number[4];
    error = ilea_put(txn, DB_FEED_IDS, (struct ilea_span){ feed->id.bytes, sizeof feed->id.bytes },
                     key_u32(number, feed->number));
    return error == ILEA_ERROR_NONE ? ilea_log_put_feed(txn, feed) : error;
}

static struct ilea_span
chain_key(uint8_t key[12], uint32_t feed, uint64_t seq)
{
    ilea_key_put_u32(key, feed);
    ilea_key_put_u64(key + 4, seq);
    return (struct ilea_span){ key, 12 };
}

enum ilea_error
ilea_log_chain(struct ilea_transaction *txn, uint32_t feed, uint64_t seq, struct ilea_chain_row *row)
{
    uint8_t key[12];
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, DB_CHAIN, chain_key(key, feed, seq), &value);
    if (error != ILEA_ERROR_NONE) return error;
    if (value.size != CHAIN_SIZE) return ILEA_ERROR_CORRUPT;
    row->position = ilea_key_u64(value.data);
    row->size = ilea_key_u32(value.data + 8);
    memcpy(row->id.bytes, value.data + 12, sizeof row->id.bytes);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_log_commit_at(struct ilea_transaction *txn, uint64_t position, struct ilea_log_commit *commit)
{
    uint8_t key[8];
    struct ilea_span value;
    enum ilea_error error = ilea_get_raw(txn, DB_COMMITS, key_u64(key, position), &value);
    if (error != ILEA_ERROR_NONE) return error;
    if (value.size < COMMIT_PREFIX) return ILEA_ERROR_CORRUPT;
    commit->position = position;
    commit->feed = ilea_key_u32(value.data);
    commit->seq = ilea_key_u64(value.data + 4);
    commit->bytes = (struct ilea_span){ value.data + COMMIT_PREFIX, value.size - COMMIT_PREFIX };
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_log_check_commit(struct ilea_transaction *txn, const struct ilea_log_commit *row,
                      struct ilea_commit *commit)
{
    struct ilea_chain_row chain;
    enum ilea_error error = ilea_log_chain(txn, row->feed, row->seq, &chain);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_CORRUPT;
    if (error != ILEA_ERROR_NONE) return error;
    if (ilea_commit_decode(row->bytes, commit) != ILEA_ERROR_NONE) return ILEA_ERROR_CORRUPT;
    struct ilea_commit_id id;
    ilea_commit_id_of(commit->header_bytes, &id);
    bool good = chain.position == row->position && memcmp(id.bytes, chain.id.bytes, sizeof id.bytes) == 0
        && ilea_commit_check_items(commit) == ILEA_ERROR_NONE;
    return good ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

enum ilea_error
ilea_log_last(struct ilea_transaction *txn, uint64_t *position)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_COMMITS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, value;
    error = ilea_cursor_last(cursor, &key, &value);
    ilea_cursor_close(cursor);
    *position = 0;
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && key.size != 8) return ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) *position = ilea_key_u64(key.data);
    return error;
}

enum ilea_error
ilea_log_append(struct ilea_transaction *txn, struct ilea_feed_row *feed, uint64_t seq,
                const struct ilea_commit_id *id, struct ilea_span commit, uint64_t *position)
{
    if (seq != feed->seq + 1) return ILEA_ERROR_EXISTS;
    ilea_assert(commit.size <= ILEA_COMMIT_SIZE_MAX);
    enum ilea_error error = ilea_log_last(txn, position);
    if (error != ILEA_ERROR_NONE) return error;
    (*position)++;

    uint8_t key[12], prefix[COMMIT_PREFIX], row[CHAIN_SIZE];
    ilea_key_put_u32(prefix, feed->number);
    ilea_key_put_u64(prefix + 4, seq);
    error = ilea_put_raw(txn, DB_COMMITS, key_u64(key, *position),
                         (struct ilea_span){ prefix, sizeof prefix }, commit, true);
    if (error != ILEA_ERROR_NONE) return error;

    ilea_key_put_u64(row, *position);
    ilea_key_put_u32(row + 8, (uint32_t)commit.size);
    memcpy(row + 12, id->bytes, sizeof id->bytes);
    error = ilea_put(txn, DB_CHAIN, chain_key(key, feed->number, seq),
                     (struct ilea_span){ row, sizeof row });
    if (error != ILEA_ERROR_NONE) return error;
    feed->seq = seq;
    feed->head = *id;
    return ilea_log_put_feed(txn, feed);
}

static enum ilea_error
decode_agency(struct ilea_span key, struct ilea_span value, struct ilea_agency_row *agency)
{
    if (key.size != sizeof agency->id.bytes) return ILEA_ERROR_CORRUPT;
    memcpy(agency->id.bytes, key.data, key.size);
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, AGENCY_FIELDS);
    agency->number = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    agency->state = (enum ilea_agency_state)ilea_msgpack_get_uint32(&reader, ILEA_AGENCY_DECLINED);
    agency->changed_ms = ilea_msgpack_get_uint(&reader);
    agency->card = ilea_msgpack_get_bin(&reader, ILEA_CARD_SIZE_MAX);
    return decoded(&reader);
}

enum ilea_error
ilea_log_agency(struct ilea_transaction *txn, const struct ilea_agency_id *id,
                struct ilea_agency_row *agency)
{
    const struct ilea_span key = { id->bytes, sizeof id->bytes };
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, DB_AGENCIES, key, &value);
    return error == ILEA_ERROR_NONE ? decode_agency(key, value, agency) : error;
}

enum ilea_error
ilea_log_agency_next(struct ilea_transaction *txn, const struct ilea_agency_id *after,
                     struct ilea_agency_row *agency)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_AGENCIES, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, stored, value;
    struct ilea_span from = { after != NULL ? after->bytes : NULL, after != NULL ? ILEA_ID_SIZE : 0 };
    error = ilea_cursor_seek(cursor, from, &key, &stored);
    if (error == ILEA_ERROR_NONE && after != NULL && key.size == ILEA_ID_SIZE
        && memcmp(key.data, after->bytes, key.size) == 0) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_untag(DB_AGENCIES, key, stored, &value);
    if (error == ILEA_ERROR_NONE) error = decode_agency(key, value, agency);
    ilea_cursor_close(cursor);
    return error;
}

/* How many agencies there are: numbers are given out from 1 in turn, and no row is ever deleted. */
static enum ilea_error
next_agency_number(struct ilea_transaction *txn, uint32_t *number)
{
    struct ilea_agency_row row;
    const struct ilea_agency_id *after = NULL;
    struct ilea_agency_id last;
    *number = 1;
    for (;;) {
        enum ilea_error error = ilea_log_agency_next(txn, after, &row);
        if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
        if (error != ILEA_ERROR_NONE) return error;
        (*number)++;
        last = row.id;
        after = &last;
    }
}

enum ilea_error
ilea_log_put_agency(struct ilea_transaction *txn, struct ilea_agency_row *agency)
{
    if (agency->number == 0) {
        enum ilea_error error = next_agency_number(txn, &agency->number);
        if (error != ILEA_ERROR_NONE) return error;
    }
    uint8_t bytes[ILEA_CARD_SIZE_MAX + 64];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, AGENCY_FIELDS);
    ilea_msgpack_put_uint(&writer, agency->number);
    ilea_msgpack_put_uint(&writer, agency->state);
    ilea_msgpack_put_uint(&writer, agency->changed_ms);
    ilea_msgpack_put_bin(&writer, agency->card.data, agency->card.size);
    ilea_assert(!writer.failed);
    return ilea_put(txn, DB_AGENCIES, (struct ilea_span){ agency->id.bytes, sizeof agency->id.bytes },
                    ilea_msgpack_written(&writer));
}

static struct ilea_span
epoch_key(uint8_t key[25], enum ilea_scope scope, uint64_t number, const uint8_t *aek_commit)
{
    key[0] = (uint8_t)scope;
    ilea_key_put_u64(key + 1, number);
    memcpy(key + 9, aek_commit, ILEA_EPOCH_ID_SIZE);
    return (struct ilea_span){ key, 25 };
}

enum ilea_error
ilea_log_epoch(struct ilea_transaction *txn, enum ilea_scope scope, uint32_t index,
               struct ilea_epoch_row *epoch)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_EPOCHS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t from[1] = { (uint8_t)scope };
    struct ilea_span key, stored, value;
    error = ilea_cursor_seek(cursor, (struct ilea_span){ from, sizeof from }, &key, &stored);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < index; i++) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE && key.size != 25) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE && key.data[0] != scope) error = ILEA_ERROR_NOT_FOUND;
    if (error == ILEA_ERROR_NONE) error = ilea_untag(DB_EPOCHS, key, stored, &value);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_msgpack_reader reader;
        ilea_msgpack_reader_init(&reader, value);
        ilea_msgpack_expect_array(&reader, EPOCH_FIELDS);
        ilea_msgpack_get_bytes(&reader, epoch->aek_commit, sizeof epoch->aek_commit);
        ilea_msgpack_get_bytes(&reader, epoch->statement.bytes, sizeof epoch->statement.bytes);
        ilea_msgpack_get_bytes(&reader, epoch->wrapped, sizeof epoch->wrapped);
        epoch->readers = ilea_msgpack_get_bin(&reader, ROW_SIZE_MAX);
        epoch->reader_count = (uint32_t)(epoch->readers.size / ILEA_ID_SIZE);
        epoch->scope = scope;
        epoch->number = ilea_key_u64(key.data + 1);
        error = decoded(&reader);
    }
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_log_put_epoch(struct ilea_transaction *txn, const struct ilea_epoch_row *epoch)
{
    uint8_t *bytes = malloc(ROW_SIZE_MAX), key[25];
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, ROW_SIZE_MAX);
    ilea_msgpack_put_array(&writer, EPOCH_FIELDS);
    ilea_msgpack_put_bin(&writer, epoch->aek_commit, sizeof epoch->aek_commit);
    ilea_msgpack_put_bin(&writer, epoch->statement.bytes, sizeof epoch->statement.bytes);
    ilea_msgpack_put_bin(&writer, epoch->wrapped, sizeof epoch->wrapped);
    ilea_msgpack_put_bin(&writer, epoch->readers.data, epoch->readers.size);
    enum ilea_error error = ILEA_ERROR_LIMIT;
    if (!writer.failed) {
        error = ilea_put(txn, DB_EPOCHS,
                         epoch_key(key, epoch->scope, epoch->number, epoch->aek_commit),
                         ilea_msgpack_written(&writer));
    }
    free(bytes);
    return error;
}

enum ilea_error
ilea_log_counter(struct ilea_transaction *txn, uint32_t type, uint64_t *last)
{
    uint8_t key[4];
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, DB_COUNTERS, key_u32(key, type), &value);
    *last = 0;
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && value.size != 8) return ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) *last = ilea_key_u64(value.data);
    return error;
}

enum ilea_error
ilea_log_put_counter(struct ilea_transaction *txn, uint32_t type, uint64_t last)
{
    uint8_t key[4], value[8];
    return ilea_put(txn, DB_COUNTERS, key_u32(key, type), key_u64(value, last));
}

enum ilea_error
ilea_log_frontier(struct ilea_transaction *txn, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_FEED_IDS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    struct ilea_span key, stored, value;
    error = ilea_cursor_seek(cursor, (struct ilea_span){ NULL, 0 }, &key, &stored);
    while (error == ILEA_ERROR_NONE) {
        struct ilea_feed_row feed;
        error = ilea_untag(DB_FEED_IDS, key, stored, &value);
        if (error == ILEA_ERROR_NONE && value.size != 4) error = ILEA_ERROR_CORRUPT;
        if (error == ILEA_ERROR_NONE) error = ilea_log_feed(txn, ilea_key_u32(value.data), &feed);
        if (error != ILEA_ERROR_NONE) break;
        if (feed.origin.scope == ILEA_SCOPE_PEERS && feed.seq > 0) {
            ilea_hash_add(&hasher, feed.id.bytes, sizeof feed.id.bytes);
            ilea_hash_add_u64(&hasher, feed.seq);
            ilea_hash_add(&hasher, feed.head.bytes, sizeof feed.head.bytes);
        }
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    ilea_cursor_close(cursor);
    ilea_hash_end(&hasher, hash);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}
