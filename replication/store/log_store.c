#include "replication/store/log_store.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/store/log_rows.h"

/* In the order of enum log_database. */
static const char *const databases[] = { "meta", "feeds", "feed_ids", "commits", "chain", "agencies", "epochs",
                                         "counters", "manifests", "forks", "namings", "archive", "audit",
                                         "audit_acts", "proposals", "invites", "receipts", "receipt_stamps",
                                         "receipt_from", "documents", "erased", "gone", "erase_days", "audiences",
                                         "statements", NULL };

enum { CHAIN_SIZE = 8 + 4 + 32, COMMIT_PREFIX = 4 + 8, META_NAME_MAX = 32, MARKER = 0x01, MARKER_SIZE = 1 + 4 };

static const struct ilea_span identity_key = { (const uint8_t *)"identity", 8 };

struct ilea_log {
    struct ilea_environment *environment;
    struct ilea_log_identity identity;
};

static enum ilea_error
open_environment(const char *path, bool read_only, bool create, struct ilea_environment **environment)
{
    const struct ilea_environment_options options = {
        .databases = databases, .format = ILEA_LOG_FORMAT, .read_only = read_only, .create = create };
    return ilea_environment_open(path, &options, environment);
}

enum ilea_error
ilea_log_create(const char *path, const struct ilea_log_identity *identity,
                const struct ilea_agency_row *own, struct ilea_span signed_manifest,
                struct ilea_span card)
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
        error = ilea_put(txn, LOG_META, identity_key,
                         (struct ilea_span){ (const uint8_t *)identity, sizeof *identity });
        struct ilea_agency_row row = *own;
        if (error == ILEA_ERROR_NONE) error = ilea_log_put_agency(txn, &row);
        if (error == ILEA_ERROR_NONE) error = ilea_log_put_manifest(txn, &own->id, 0, signed_manifest);
        if (error == ILEA_ERROR_NONE) error = ilea_log_put_card(txn, card);
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
get_identity(struct ilea_transaction *txn, struct ilea_log_identity *identity)
{
    struct ilea_span value = { NULL, 0 };
    enum ilea_error error = ilea_get(txn, LOG_META, identity_key, &value);
    if (error == ILEA_ERROR_NOT_FOUND || (error == ILEA_ERROR_NONE && value.size != sizeof *identity)) {
        error = ILEA_ERROR_CORRUPT;
    }
    if (error == ILEA_ERROR_NONE) memcpy(identity, value.data, sizeof *identity);
    return error;
}

enum ilea_error
ilea_log_own_agency(struct ilea_transaction *txn, struct ilea_agency_id *own)
{
    struct ilea_log_identity identity;
    enum ilea_error error = get_identity(txn, &identity);
    if (error == ILEA_ERROR_NONE) *own = identity.agency;
    return error;
}

static enum ilea_error
read_identity(struct ilea_log *log)
{
    struct ilea_transaction *txn = NULL;
    enum ilea_error error = ilea_transaction_begin(log->environment, false, &txn);
    if (error != ILEA_ERROR_NONE) return error;
    error = get_identity(txn, &log->identity);
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
    enum ilea_error error = ilea_get(txn, LOG_CHAIN, chain_key(key, feed, seq), &value);
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
    enum ilea_error error = ilea_get_raw(txn, LOG_COMMITS, log_key_u64(key, position), &value);
    if (error != ILEA_ERROR_NONE) return error;
    if (value.size < COMMIT_PREFIX) return ILEA_ERROR_CORRUPT;
    commit->position = position;
    commit->feed = ilea_key_u32(value.data);
    commit->seq = ilea_key_u64(value.data + 4);
    commit->bytes = (struct ilea_span){ value.data + COMMIT_PREFIX, value.size - COMMIT_PREFIX };
    commit->is_marker = commit->bytes.size == MARKER_SIZE && commit->bytes.data[0] == MARKER;
    commit->index = commit->is_marker ? ilea_key_u32(commit->bytes.data + 1) : 0;
    return ILEA_ERROR_NONE;
}

/* Fills *chain where the commit counts. A missing row within the feed's length is damage; beyond it, or one that
 * points to another commit, means that the feed was cut off and perhaps continued otherwise. */
static enum ilea_error
find_place(struct ilea_transaction *txn, const struct ilea_log_commit *row, struct ilea_chain_row *chain)
{
    if (row->is_marker) return ILEA_ERROR_NOT_FOUND;
    enum ilea_error error = ilea_log_chain(txn, row->feed, row->seq, chain);
    if (error == ILEA_ERROR_NONE && chain->position != row->position) return ILEA_ERROR_NOT_FOUND;
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    struct ilea_feed_row feed;
    error = ilea_log_feed(txn, row->feed, &feed);
    if (error == ILEA_ERROR_NOT_FOUND || (error == ILEA_ERROR_NONE && row->seq <= feed.seq)) {
        return ILEA_ERROR_CORRUPT;
    }
    return error == ILEA_ERROR_NONE ? ILEA_ERROR_NOT_FOUND : error;
}

enum ilea_error
ilea_log_counts(struct ilea_transaction *txn, const struct ilea_log_commit *row)
{
    struct ilea_chain_row chain;
    return find_place(txn, row, &chain);
}

enum ilea_error
ilea_log_check_commit(struct ilea_transaction *txn, const struct ilea_log_commit *row,
                      struct ilea_commit *commit)
{
    struct ilea_chain_row chain;
    enum ilea_error error = find_place(txn, row, &chain);
    if (error != ILEA_ERROR_NONE) return error;
    if (ilea_commit_decode(row->bytes, commit) != ILEA_ERROR_NONE) return ILEA_ERROR_CORRUPT;
    struct ilea_commit_id id;
    ilea_commit_id_of(commit->header_bytes, &id);
    bool good = memcmp(id.bytes, chain.id.bytes, sizeof id.bytes) == 0
        && ilea_commit_check_items(commit) == ILEA_ERROR_NONE;
    return good ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

enum ilea_error
ilea_log_last(struct ilea_transaction *txn, uint64_t *position)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_COMMITS, &cursor);
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

/* Append what is to be read in the order of arrival. */
static enum ilea_error
append_row(struct ilea_transaction *txn, uint32_t feed, uint64_t seq, struct ilea_span bytes, uint64_t *position)
{
    enum ilea_error error = ilea_log_last(txn, position);
    if (error != ILEA_ERROR_NONE) return error;
    (*position)++;
    uint8_t key[8], prefix[COMMIT_PREFIX];
    ilea_key_put_u32(prefix, feed);
    ilea_key_put_u64(prefix + 4, seq);
    return ilea_put_raw(txn, LOG_COMMITS, log_key_u64(key, *position), (struct ilea_span){ prefix, sizeof prefix },
                        bytes, true);
}

static enum ilea_error
put_chain(struct ilea_transaction *txn, uint32_t feed, uint64_t seq, const struct ilea_chain_row *chain)
{
    uint8_t key[12], row[CHAIN_SIZE];
    ilea_key_put_u64(row, chain->position);
    ilea_key_put_u32(row + 8, chain->size);
    memcpy(row + 12, chain->id.bytes, sizeof chain->id.bytes);
    return ilea_put(txn, LOG_CHAIN, chain_key(key, feed, seq), (struct ilea_span){ row, sizeof row });
}

/* In place of what lies at the commit's position, which may be anything. */
static enum ilea_error
put_repaired(struct ilea_transaction *txn, const struct ilea_feed_row *feed, uint64_t seq,
             const struct ilea_chain_row *chain, struct ilea_span commit)
{
    uint8_t key[8], prefix[COMMIT_PREFIX];
    struct ilea_log_commit held;
    uint64_t count = 0;
    enum ilea_error error = ilea_log_commit_at(txn, chain->position, &held);
    bool was_told = error == ILEA_ERROR_NONE && held.feed == feed->number && held.seq == seq;
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_CORRUPT && error != ILEA_ERROR_NOT_FOUND) return error;
    ilea_key_put_u32(prefix, feed->number);
    ilea_key_put_u64(prefix + 4, seq);
    error = ilea_put_raw(txn, LOG_COMMITS, log_key_u64(key, chain->position),
                         (struct ilea_span){ prefix, sizeof prefix }, commit, false);
    if (error != ILEA_ERROR_NONE || was_told) return error;
    error = ilea_log_truncations(txn, &count);
    return error == ILEA_ERROR_NONE ? ilea_log_put_meta_u64(txn, "truncations", count + 1) : error;
}

enum ilea_error
ilea_log_repair(struct ilea_transaction *txn, const struct ilea_feed_id *id, uint64_t seq, struct ilea_span commit)
{
    struct ilea_feed_row feed;
    struct ilea_chain_row chain;
    struct ilea_commit decoded;
    struct ilea_commit_id came;
    enum ilea_error error = ilea_log_feed_by_id(txn, id, &feed);
    if (error == ILEA_ERROR_NONE) error = ilea_log_chain(txn, feed.number, seq, &chain);
    if (error != ILEA_ERROR_NONE) return error;
    if (ilea_commit_decode(commit, &decoded) != ILEA_ERROR_NONE) return ILEA_ERROR_INVALID;
    ilea_commit_id_of(decoded.header_bytes, &came);
    if (memcmp(came.bytes, chain.id.bytes, sizeof came.bytes) != 0) return ILEA_ERROR_INVALID;
    uint8_t *bytes = NULL; /* what was erased here does not come back so */
    size_t size = 0;
    error = ilea_log_without_erased(txn, &feed, seq, commit, &bytes, &size);
    if (size > 0) commit = (struct ilea_span){ bytes, size };
    if (error == ILEA_ERROR_NONE && commit.size != chain.size) error = ILEA_ERROR_INVALID;
    if (error == ILEA_ERROR_NONE) error = put_repaired(txn, &feed, seq, &chain, commit);
    free(bytes);
    return error;
}

enum ilea_error
ilea_log_put_commit(struct ilea_transaction *txn, uint32_t feed, uint64_t seq,
                    const struct ilea_commit_id *id, struct ilea_span commit, uint64_t *position)
{
    enum ilea_error error = append_row(txn, feed, seq, commit, position);
    if (error != ILEA_ERROR_NONE) return error;
    const struct ilea_chain_row chain = { .position = *position, .size = (uint32_t)commit.size, .id = *id };
    return put_chain(txn, feed, seq, &chain);
}

enum ilea_error
ilea_log_replace_commit(struct ilea_transaction *txn, uint32_t feed, uint64_t seq, struct ilea_span commit)
{
    struct ilea_chain_row chain;
    enum ilea_error error = ilea_log_chain(txn, feed, seq, &chain);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t key[8], prefix[COMMIT_PREFIX];
    ilea_key_put_u32(prefix, feed);
    ilea_key_put_u64(prefix + 4, seq);
    error = ilea_put_raw(txn, LOG_COMMITS, log_key_u64(key, chain.position),
                         (struct ilea_span){ prefix, sizeof prefix }, commit, false);
    chain.size = (uint32_t)commit.size;
    return error == ILEA_ERROR_NONE ? put_chain(txn, feed, seq, &chain) : error;
}

enum ilea_error
ilea_log_put_marker(struct ilea_transaction *txn, uint32_t feed, uint64_t seq, uint32_t index)
{
    uint8_t bytes[MARKER_SIZE] = { MARKER };
    uint64_t position;
    ilea_key_put_u32(bytes + 1, index);
    return append_row(txn, feed, seq, (struct ilea_span){ bytes, sizeof bytes }, &position);
}

enum ilea_error
ilea_log_delete_chain(struct ilea_transaction *txn, uint32_t feed, uint64_t seq)
{
    uint8_t key[12];
    return ilea_delete(txn, LOG_CHAIN, chain_key(key, feed, seq));
}

enum ilea_error
ilea_log_counter(struct ilea_transaction *txn, uint32_t type, uint64_t *last)
{
    uint8_t key[4];
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, LOG_COUNTERS, log_key_u32(key, type), &value);
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
    return ilea_put(txn, LOG_COUNTERS, log_key_u32(key, type), log_key_u64(value, last));
}

static struct ilea_span
meta_key(const char *name)
{
    size_t size = strlen(name);
    ilea_assert(size <= META_NAME_MAX);
    return (struct ilea_span){ (const uint8_t *)name, size };
}

enum ilea_error
ilea_log_meta_u64(struct ilea_transaction *txn, const char *name, uint64_t *value)
{
    struct ilea_span stored;
    *value = 0;
    enum ilea_error error = ilea_get(txn, LOG_META, meta_key(name), &stored);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && stored.size != 8) return ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) *value = ilea_key_u64(stored.data);
    return error;
}

enum ilea_error
ilea_log_put_meta_u64(struct ilea_transaction *txn, const char *name, uint64_t value)
{
    uint8_t bytes[8];
    return ilea_put(txn, LOG_META, meta_key(name), log_key_u64(bytes, value));
}

enum ilea_error
ilea_log_truncations(struct ilea_transaction *txn, uint64_t *count)
{
    return ilea_log_meta_u64(txn, "truncations", count);
}

enum ilea_error
ilea_log_card(struct ilea_transaction *txn, struct ilea_span *card)
{
    return ilea_get(txn, LOG_META, meta_key("card"), card);
}

enum ilea_error
ilea_log_put_card(struct ilea_transaction *txn, struct ilea_span card)
{
    return ilea_put(txn, LOG_META, meta_key("card"), card);
}

enum ilea_error
ilea_log_policy(struct ilea_transaction *txn, struct ilea_policy *policy)
{
    struct ilea_span stored;
    *policy = (struct ilea_policy){ .approvals = 1, .unverified = true };
    enum ilea_error error = ilea_get(txn, LOG_META, meta_key("policy"), &stored);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, stored);
    ilea_msgpack_expect_array(&reader, 3);
    policy->approvals = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    policy->unverified = ilea_msgpack_get_uint32(&reader, 1) == 1;
    policy->four_eyes = ilea_msgpack_get_uint32(&reader, 1) == 1;
    return log_decoded(&reader);
}

enum ilea_error
ilea_log_put_policy(struct ilea_transaction *txn, const struct ilea_policy *policy)
{
    uint8_t bytes[16];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, 3);
    ilea_msgpack_put_uint(&writer, policy->approvals);
    ilea_msgpack_put_uint(&writer, policy->unverified ? 1 : 0);
    ilea_msgpack_put_uint(&writer, policy->four_eyes ? 1 : 0);
    ilea_assert(!writer.failed);
    return ilea_put(txn, LOG_META, meta_key("policy"), ilea_msgpack_written(&writer));
}
