#include "replication/store/view_store.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"
#include "replication/store/view_rows.h"

static const char *const databases[] = { "meta", "records", "ids", "types", "refs", "changes", "parked",
                                         "epochs", "agencies", "unread", "history", "record_changes", "change_records",
                                         "strays", "orphans", "concealed", "documents", "epoch_places", "statements",
                                         "audiences", "stale", NULL };

enum { META_FIELDS = 12, CHANGE_FIELDS = 7, AGENCY_FIELDS = 5, EPOCH_FIELDS = 4,
       CLOSED = 0x80, /* beside a row's scope */
       ROW_PREFIX = 32 + 4 + 4 + 1 + 16 + 4, IDS_KEY = 16 + 4 + 4, TYPES_KEY = 4 + 4 + 8,
       REFS_KEY = 4 + 4 + 4 + 16, PARKED_KEY = 16 + 8 + 4, UNREAD_KEY = 4 + 8 + 4, HISTORY_KEY = 8 + 8,
       DOCUMENTS_KEY = ILEA_ID_SIZE + 8, DOCUMENTS_VALUE = 8 + ILEA_BLOB_KEY_SIZE };

static const struct ilea_span meta_key = { (const uint8_t *)"meta", 4 };

enum ilea_error
ilea_view_open(const char *path, bool read_only, bool create, struct ilea_environment **environment)
{
    const struct ilea_environment_options options = {
        .databases = databases, .format = ILEA_VIEW_FORMAT, .read_only = read_only, .create = create };
    return ilea_environment_open(path, &options, environment);
}

static enum ilea_error
decoded(const struct ilea_msgpack_reader *reader)
{
    return ilea_msgpack_reader_done(reader) ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

enum ilea_error
ilea_view_load_meta(struct ilea_transaction *txn, struct ilea_view_meta *meta)
{
    struct ilea_span value;
    memset(meta, 0, sizeof *meta);
    enum ilea_error error = ilea_get(txn, DB_META, meta_key, &value);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE; /* a new view: all zero */
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, META_FIELDS);
    ilea_msgpack_get_bytes(&reader, meta->database, sizeof meta->database);
    meta->position = ilea_msgpack_get_uint(&reader);
    meta->lsn = ilea_msgpack_get_uint(&reader);
    meta->record = ilea_msgpack_get_uint(&reader);
    meta->records = ilea_msgpack_get_uint(&reader);
    meta->shared = ilea_msgpack_get_uint(&reader);
    meta->parked = ilea_msgpack_get_uint(&reader);
    meta->hidden = ilea_msgpack_get_uint(&reader);
    meta->stale = ilea_msgpack_get_uint(&reader);
    meta->documents = ilea_msgpack_get_uint(&reader);
    meta->truncations = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, meta->digest, sizeof meta->digest);
    return decoded(&reader);
}

enum ilea_error
ilea_view_store_meta(struct ilea_transaction *txn, const struct ilea_view_meta *meta)
{
    uint8_t bytes[256];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, META_FIELDS);
    ilea_msgpack_put_bin(&writer, meta->database, sizeof meta->database);
    ilea_msgpack_put_uint(&writer, meta->position);
    ilea_msgpack_put_uint(&writer, meta->lsn);
    ilea_msgpack_put_uint(&writer, meta->record);
    ilea_msgpack_put_uint(&writer, meta->records);
    ilea_msgpack_put_uint(&writer, meta->shared);
    ilea_msgpack_put_uint(&writer, meta->parked);
    ilea_msgpack_put_uint(&writer, meta->hidden);
    ilea_msgpack_put_uint(&writer, meta->stale);
    ilea_msgpack_put_uint(&writer, meta->documents);
    ilea_msgpack_put_uint(&writer, meta->truncations);
    ilea_msgpack_put_bin(&writer, meta->digest, sizeof meta->digest);
    ilea_assert(!writer.failed);
    return ilea_put(txn, DB_META, meta_key, ilea_msgpack_written(&writer));
}

static enum ilea_error
decode_row(uint64_t number, struct ilea_span value, struct ilea_view_row *row)
{
    if (value.size < ROW_PREFIX) return ILEA_ERROR_CORRUPT;
    const uint8_t *at = value.data;
    row->number = number;
    memcpy(row->hash, at, sizeof row->hash);
    row->agency = ilea_key_u32(at + 32);
    row->type = ilea_key_u32(at + 36);
    const unsigned scope = at[40] & ~(unsigned)CLOSED;
    if (scope < ILEA_SCOPE_AGENCY || scope > ILEA_SCOPE_AUDIENCE) return ILEA_ERROR_CORRUPT;
    row->scope = (enum ilea_scope)scope;
    row->closed = scope != at[40];
    memcpy(row->id.bytes, at + 41, sizeof row->id.bytes);
    row->ref = ilea_key_u32(at + 57);
    row->state = (struct ilea_span){ at + ROW_PREFIX, value.size - ROW_PREFIX };
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_view_get(struct ilea_transaction *txn, uint64_t number, struct ilea_view_row *row)
{
    uint8_t key[8];
    struct ilea_span value;
    enum ilea_error error = ilea_get_raw(txn, DB_RECORDS, view_key_u64(key, number), &value);
    return error == ILEA_ERROR_NONE ? decode_row(number, value, row) : error;
}

static uint8_t
scope_byte(const struct ilea_view_row *row)
{
    return (uint8_t)((unsigned)row->scope | (row->closed ? (unsigned)CLOSED : 0u));
}

static void
hash_row(const struct ilea_view_row *row, const struct ilea_agency_id *agency,
         uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_RECORD);
    ilea_hash_add(&hasher, agency->bytes, sizeof agency->bytes);
    ilea_hash_add_u64(&hasher, row->type);
    ilea_hash_add_u64(&hasher, scope_byte(row));
    ilea_hash_add(&hasher, row->id.bytes, sizeof row->id.bytes);
    ilea_hash_add(&hasher, row->state.data, row->state.size);
    ilea_hash_end(&hasher, hash);
}

enum ilea_error
ilea_view_check(const struct ilea_view_row *row, const struct ilea_agency_id *agency)
{
    uint8_t hash[ILEA_HASH_SIZE];
    hash_row(row, agency, hash);
    return memcmp(hash, row->hash, sizeof hash) == 0 ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

/* The record whose number an index row holds. */
static enum ilea_error
follow(struct ilea_transaction *txn, struct ilea_span value, struct ilea_view_row *row)
{
    if (value.size != 8) return ILEA_ERROR_CORRUPT;
    enum ilea_error error = ilea_view_get(txn, ilea_key_u64(value.data), row);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
}

static struct ilea_span
ids_key(uint8_t key[IDS_KEY], const struct ilea_record_id *id, uint32_t agency, uint32_t type)
{
    memcpy(key, id->bytes, 16);
    ilea_key_put_u32(key + 16, agency);
    ilea_key_put_u32(key + 20, type);
    return (struct ilea_span){ key, IDS_KEY };
}

static struct ilea_span
refs_key(uint8_t key[REFS_KEY], uint32_t agency, uint32_t type, uint32_t ref,
         const struct ilea_record_id *id)
{
    ilea_key_put_u32(key, agency);
    ilea_key_put_u32(key + 4, type);
    ilea_key_put_u32(key + 8, ref);
    memcpy(key + 12, id->bytes, 16);
    return (struct ilea_span){ key, REFS_KEY };
}

enum ilea_error
ilea_view_find(struct ilea_transaction *txn, uint32_t agency, uint32_t type,
               const struct ilea_record_id *id, struct ilea_view_row *row)
{
    uint8_t key[IDS_KEY];
    struct ilea_span value;
    enum ilea_error error = ilea_get_raw(txn, DB_IDS, ids_key(key, id, agency, type), &value);
    return error == ILEA_ERROR_NONE ? follow(txn, value, row) : error;
}

/* The index-th row of a database whose key starts with `prefix`. */
static enum ilea_error
nth_with_prefix(struct ilea_transaction *txn, enum view_database database, struct ilea_span prefix,
                uint32_t index, struct ilea_span *value)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, database, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key;
    error = ilea_cursor_seek(cursor, prefix, &key, value);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < index; i++) {
        error = ilea_cursor_next(cursor, &key, value);
    }
    if (error == ILEA_ERROR_NONE
        && (key.size < prefix.size || memcmp(key.data, prefix.data, prefix.size) != 0)) {
        error = ILEA_ERROR_NOT_FOUND;
    }
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_view_find_id(struct ilea_transaction *txn, const struct ilea_record_id *id, uint32_t index,
                  struct ilea_view_row *row)
{
    struct ilea_span value;
    enum ilea_error error = nth_with_prefix(
        txn, DB_IDS, (struct ilea_span){ id->bytes, sizeof id->bytes }, index, &value);
    return error == ILEA_ERROR_NONE ? follow(txn, value, row) : error;
}

enum ilea_error
ilea_view_find_ref(struct ilea_transaction *txn, uint32_t agency, uint32_t type, uint32_t ref,
                   uint32_t index, struct ilea_view_row *row)
{
    uint8_t key[REFS_KEY];
    const struct ilea_record_id none = { { 0 } };
    struct ilea_span prefix = refs_key(key, agency, type, ref, &none), value;
    prefix.size = 12;
    enum ilea_error error = nth_with_prefix(txn, DB_REFS, prefix, index, &value);
    return error == ILEA_ERROR_NONE ? follow(txn, value, row) : error;
}

enum ilea_error
ilea_view_ref_index(struct ilea_transaction *txn, const struct ilea_view_row *row, uint32_t *index)
{
    uint8_t prefix[REFS_KEY];
    const struct ilea_record_id none = { { 0 } };
    struct ilea_span from = refs_key(prefix, row->agency, row->type, row->ref, &none), key, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_REFS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_cursor_seek(cursor, from, &key, &value);
    for (*index = 0; error == ILEA_ERROR_NONE && *index < ILEA_REF_INDEX_MAX; (*index)++) {
        if (key.size != REFS_KEY || memcmp(key.data, prefix, 12) != 0 || value.size != 8) {
            error = ILEA_ERROR_CORRUPT;
        } else if (ilea_key_u64(value.data) == row->number) {
            break;
        } else {
            error = ilea_cursor_next(cursor, &key, &value);
        }
    }
    ilea_cursor_close(cursor);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
}

enum ilea_error
ilea_view_next(struct ilea_transaction *txn, uint32_t type, uint32_t agency_only,
               struct ilea_view_row *row)
{
    uint8_t from[TYPES_KEY];
    ilea_key_put_u32(from, row->number != 0 ? row->type : type);
    ilea_key_put_u32(from + 4, row->number != 0 ? row->agency : agency_only);
    ilea_key_put_u64(from + 8, row->number != 0 ? row->number + 1 : 0);
    for (;;) {
        struct ilea_span key, value;
        struct ilea_cursor *cursor = NULL;
        enum ilea_error error = ilea_cursor_open(txn, DB_TYPES, &cursor);
        if (error != ILEA_ERROR_NONE) return error;
        error = ilea_cursor_seek(cursor, (struct ilea_span){ from, sizeof from }, &key, &value);
        ilea_cursor_close(cursor);
        if (error != ILEA_ERROR_NONE) return error;
        if (key.size != TYPES_KEY) return ILEA_ERROR_CORRUPT;
        uint32_t found_type = ilea_key_u32(key.data), found_agency = ilea_key_u32(key.data + 4);
        if (type != 0 && found_type != type) return ILEA_ERROR_NOT_FOUND;
        if (agency_only != 0 && found_agency != agency_only) {
            /* Skip to this agency, of the same type or the next one. */
            if (found_agency > agency_only) {
                if (found_type == UINT32_MAX) return ILEA_ERROR_NOT_FOUND;
                found_type++;
            }
            ilea_key_put_u32(from, found_type);
            ilea_key_put_u32(from + 4, agency_only);
            ilea_key_put_u64(from + 8, 0);
            continue;
        }
        error = ilea_view_get(txn, ilea_key_u64(key.data + 8), row);
        return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    }
}

static enum ilea_error
put_index_rows(struct ilea_transaction *txn, const struct ilea_view_row *row)
{
    uint8_t number[8], ids[IDS_KEY], types[TYPES_KEY], refs[REFS_KEY];
    const struct ilea_span nothing = { NULL, 0 };
    struct ilea_span value = view_key_u64(number, row->number);
    enum ilea_error error = ilea_put_raw(txn, DB_IDS, ids_key(ids, &row->id, row->agency, row->type),
                                         value, nothing, false);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_key_put_u32(types, row->type);
    ilea_key_put_u32(types + 4, row->agency);
    ilea_key_put_u64(types + 8, row->number);
    error = ilea_put_raw(txn, DB_TYPES, (struct ilea_span){ types, sizeof types }, nothing, nothing,
                         false);
    if (error != ILEA_ERROR_NONE || row->ref == 0) return error;
    return ilea_put_raw(txn, DB_REFS, refs_key(refs, row->agency, row->type, row->ref, &row->id),
                        value, nothing, false);
}

/* A ref that came or changed with an update: its index row moves. */
static enum ilea_error
move_ref(struct ilea_transaction *txn, const struct ilea_view_row *row,
         const struct ilea_view_row *before)
{
    if (row->ref == before->ref) return ILEA_ERROR_NONE;
    uint8_t key[REFS_KEY], number[8];
    if (before->ref != 0) {
        enum ilea_error error = ilea_delete(
            txn, DB_REFS, refs_key(key, row->agency, row->type, before->ref, &row->id));
        if (error != ILEA_ERROR_NONE) return error;
    }
    if (row->ref == 0) return ILEA_ERROR_NONE;
    return ilea_put_raw(txn, DB_REFS, refs_key(key, row->agency, row->type, row->ref, &row->id),
                        view_key_u64(number, row->number), (struct ilea_span){ NULL, 0 }, false);
}

/* All who follow the same agencies have the same of it, whatever else they are members of. */
static bool
is_in_digest(const struct ilea_view_row *row)
{
    return row->scope == ILEA_SCOPE_PEERS && !row->closed;
}

enum ilea_error
ilea_view_put(struct ilea_transaction *txn, struct ilea_view_meta *meta,
              const struct ilea_agency_id *agency, struct ilea_view_row *row,
              const struct ilea_view_row *before)
{
    bool is_new = row->number == 0;
    ilea_assert(is_new == (before == NULL));
    hash_row(row, agency, row->hash);
    if (before != NULL && is_in_digest(before)) {
        ilea_hash_sum_subtract(meta->digest, before->hash);
        meta->shared--;
    }
    if (is_in_digest(row)) {
        ilea_hash_sum_add(meta->digest, row->hash);
        meta->shared++;
    }
    /* What the old row borrows is gone with the first put: its ref is needed until then. */
    enum ilea_error error = ILEA_ERROR_NONE;
    if (is_new) {
        row->number = ++meta->record;
        meta->records++;
        error = put_index_rows(txn, row);
    } else {
        error = move_ref(txn, row, before);
    }
    if (error != ILEA_ERROR_NONE) return error;

    uint8_t prefix[ROW_PREFIX], key[8];
    memcpy(prefix, row->hash, 32);
    ilea_key_put_u32(prefix + 32, row->agency);
    ilea_key_put_u32(prefix + 36, row->type);
    prefix[40] = scope_byte(row);
    memcpy(prefix + 41, row->id.bytes, 16);
    ilea_key_put_u32(prefix + 57, row->ref);
    return ilea_put_raw(txn, DB_RECORDS, view_key_u64(key, row->number),
                        (struct ilea_span){ prefix, sizeof prefix }, row->state, is_new);
}

enum ilea_error
ilea_view_delete_record(struct ilea_transaction *txn, struct ilea_view_meta *meta, const struct ilea_view_row *row)
{
    uint8_t ids[IDS_KEY], types[TYPES_KEY], refs[REFS_KEY], key[8];
    if (is_in_digest(row)) {
        ilea_hash_sum_subtract(meta->digest, row->hash);
        meta->shared--;
    }
    meta->records--;
    const uint64_t number = row->number;
    ilea_key_put_u32(types, row->type);
    ilea_key_put_u32(types + 4, row->agency);
    ilea_key_put_u64(types + 8, number);
    enum ilea_error error = ilea_delete(txn, DB_IDS, ids_key(ids, &row->id, row->agency, row->type));
    if (error == ILEA_ERROR_NONE) error = ilea_delete(txn, DB_TYPES, (struct ilea_span){ types, sizeof types });
    if (error == ILEA_ERROR_NONE && row->ref != 0) {
        error = ilea_delete(txn, DB_REFS, refs_key(refs, row->agency, row->type, row->ref, &row->id));
    }
    return error == ILEA_ERROR_NONE ? ilea_delete(txn, DB_RECORDS, view_key_u64(key, number)) : error;
}

static enum ilea_error
put_change(struct ilea_transaction *txn, const struct ilea_view_change *change, bool append)
{
    uint8_t bytes[96 + 5 * ILEA_CHANGE_FIELDS_MAX], key[8];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, CHANGE_FIELDS);
    ilea_msgpack_put_uint(&writer, change->record);
    ilea_dot_put(&writer, &change->dot);
    ilea_msgpack_put_uint(&writer, change->time_ms);
    ilea_msgpack_put_uint(&writer, (uint64_t)change->kind);
    ilea_msgpack_put_uint(&writer, change->type);
    ilea_msgpack_put_bin(&writer, change->id.bytes, change->type != 0 ? sizeof change->id.bytes : 0);
    ilea_msgpack_put_array(&writer, change->field_count);
    for (uint32_t i = 0; i < change->field_count; i++) {
        ilea_msgpack_put_uint(&writer, change->fields[i]);
    }
    ilea_assert(!writer.failed);
    return ilea_put_raw(txn, DB_CHANGES, view_key_u64(key, change->lsn), ilea_msgpack_written(&writer),
                        (struct ilea_span){ NULL, 0 }, append);
}

enum ilea_error
ilea_view_add_change(struct ilea_transaction *txn, struct ilea_view_meta *meta,
                     struct ilea_view_change *change)
{
    change->lsn = ++meta->lsn;
    return put_change(txn, change, true);
}

enum ilea_error
ilea_view_bury_change(struct ilea_transaction *txn, uint64_t lsn, uint32_t type, const struct ilea_record_id *id)
{
    struct ilea_view_change change;
    enum ilea_error error = ilea_view_change(txn, lsn, &change);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    change.kind = ILEA_VIEW_ERASED;
    change.time_ms = 0;
    change.type = type;
    change.id = *id;
    change.field_count = 0;
    return put_change(txn, &change, false);
}

enum ilea_error
ilea_view_change(struct ilea_transaction *txn, uint64_t lsn, struct ilea_view_change *change)
{
    uint8_t key[8];
    struct ilea_span value;
    enum ilea_error error = ilea_get_raw(txn, DB_CHANGES, view_key_u64(key, lsn), &value);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, CHANGE_FIELDS);
    change->lsn = lsn;
    change->record = ilea_msgpack_get_uint(&reader);
    ilea_dot_get(&reader, &change->dot);
    change->time_ms = ilea_msgpack_get_uint(&reader);
    change->kind = (enum ilea_view_change_kind)ilea_msgpack_get_uint32(&reader, ILEA_VIEW_ERASED);
    change->type = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    change->id = (struct ilea_record_id){ { 0 } };
    if (change->type != 0) ilea_msgpack_get_bytes(&reader, change->id.bytes, sizeof change->id.bytes);
    else (void)ilea_msgpack_get_bin(&reader, 0);
    change->field_count = ilea_msgpack_get_array(&reader, ILEA_CHANGE_FIELDS_MAX);
    for (uint32_t i = 0; i < change->field_count; i++) {
        change->fields[i] = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    }
    return decoded(&reader);
}

static enum ilea_error
decode_agency(uint32_t number, struct ilea_span value, struct ilea_view_agency *agency)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, AGENCY_FIELDS);
    agency->number = number;
    ilea_msgpack_get_bytes(&reader, agency->id.bytes, sizeof agency->id.bytes);
    agency->code = ilea_msgpack_get_str(&reader, ILEA_CODE_SIZE_MAX);
    agency->country = ilea_msgpack_get_str(&reader, 3);
    agency->name = ilea_msgpack_get_str(&reader, ILEA_NAME_SIZE_MAX);
    ilea_msgpack_get_bytes(&reader, agency->manifest, sizeof agency->manifest);
    return decoded(&reader);
}

enum ilea_error
ilea_view_agency(struct ilea_transaction *txn, uint32_t number, struct ilea_view_agency *agency)
{
    uint8_t key[4];
    ilea_key_put_u32(key, number);
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, DB_AGENCIES, (struct ilea_span){ key, 4 }, &value);
    return error == ILEA_ERROR_NONE ? decode_agency(number, value, agency) : error;
}

enum ilea_error
ilea_view_agency_by_code(struct ilea_transaction *txn, struct ilea_span code,
                         struct ilea_view_agency *agency)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_AGENCIES, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, stored, value;
    error = ilea_cursor_seek(cursor, (struct ilea_span){ NULL, 0 }, &key, &stored);
    while (error == ILEA_ERROR_NONE) {
        error = ilea_untag(DB_AGENCIES, key, stored, &value);
        if (error == ILEA_ERROR_NONE && key.size != 4) error = ILEA_ERROR_CORRUPT;
        if (error == ILEA_ERROR_NONE) error = decode_agency(ilea_key_u32(key.data), value, agency);
        if (error != ILEA_ERROR_NONE) break;
        if (agency->code.size == code.size && memcmp(agency->code.data, code.data, code.size) == 0) {
            break;
        }
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_view_put_agency(struct ilea_transaction *txn, const struct ilea_view_agency *agency)
{
    uint8_t bytes[512], key[4];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, AGENCY_FIELDS);
    ilea_msgpack_put_bin(&writer, agency->id.bytes, sizeof agency->id.bytes);
    ilea_msgpack_put_str(&writer, agency->code);
    ilea_msgpack_put_str(&writer, agency->country);
    ilea_msgpack_put_str(&writer, agency->name);
    ilea_msgpack_put_bin(&writer, agency->manifest, sizeof agency->manifest);
    ilea_assert(!writer.failed);
    ilea_key_put_u32(key, agency->number);
    return ilea_put(txn, DB_AGENCIES, (struct ilea_span){ key, sizeof key },
                    ilea_msgpack_written(&writer));
}

enum ilea_error
ilea_view_put_epoch(struct ilea_transaction *txn, const struct ilea_view_epoch *epoch)
{
    uint8_t bytes[512];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, EPOCH_FIELDS);
    ilea_msgpack_put_uint(&writer, epoch->agency);
    ilea_msgpack_put_bin(&writer, epoch->audience.bytes, sizeof epoch->audience.bytes);
    ilea_msgpack_put_bin(&writer, epoch->aek_commit, sizeof epoch->aek_commit);
    ilea_msgpack_put_bin(&writer, epoch->wrapped, sizeof epoch->wrapped);
    ilea_assert(!writer.failed);
    return ilea_put(txn, DB_EPOCHS, (struct ilea_span){ epoch->aek_commit, ILEA_EPOCH_ID_SIZE },
                    ilea_msgpack_written(&writer));
}

enum ilea_error
ilea_view_epoch(struct ilea_transaction *txn, uint32_t index, struct ilea_view_epoch *epoch)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_EPOCHS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, stored, value;
    error = ilea_cursor_seek(cursor, (struct ilea_span){ NULL, 0 }, &key, &stored);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < index; i++) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_untag(DB_EPOCHS, key, stored, &value);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_msgpack_reader reader;
        ilea_msgpack_reader_init(&reader, value);
        ilea_msgpack_expect_array(&reader, EPOCH_FIELDS);
        epoch->agency = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
        ilea_msgpack_get_bytes(&reader, epoch->audience.bytes, sizeof epoch->audience.bytes);
        ilea_msgpack_get_bytes(&reader, epoch->aek_commit, sizeof epoch->aek_commit);
        ilea_msgpack_get_bytes(&reader, epoch->wrapped, sizeof epoch->wrapped);
        error = decoded(&reader);
    }
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_view_park(struct ilea_transaction *txn, struct ilea_view_meta *meta,
               const struct ilea_epoch_id *epoch, uint64_t position, uint32_t index)
{
    uint8_t key[PARKED_KEY];
    memcpy(key, epoch->bytes, 16);
    ilea_key_put_u64(key + 16, position);
    ilea_key_put_u32(key + 24, index);
    meta->parked++;
    const struct ilea_span nothing = { NULL, 0 };
    return ilea_put_raw(txn, DB_PARKED, (struct ilea_span){ key, sizeof key }, nothing, nothing, false);
}

enum ilea_error
ilea_view_unpark(struct ilea_transaction *txn, struct ilea_view_meta *meta,
                 const struct ilea_epoch_id *epoch, uint64_t *position, uint32_t *index)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_PARKED, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, value;
    error = ilea_cursor_seek(cursor, (struct ilea_span){ epoch->bytes, sizeof epoch->bytes }, &key,
                             &value);
    uint8_t found[PARKED_KEY];
    if (error == ILEA_ERROR_NONE) {
        if (key.size != PARKED_KEY) {
            error = ILEA_ERROR_CORRUPT;
        } else if (memcmp(key.data, epoch->bytes, sizeof epoch->bytes) != 0) {
            error = ILEA_ERROR_NOT_FOUND;
        } else {
            memcpy(found, key.data, sizeof found);
        }
    }
    ilea_cursor_close(cursor);
    if (error != ILEA_ERROR_NONE) return error;
    *position = ilea_key_u64(found + 16);
    *index = ilea_key_u32(found + 24);
    meta->parked--;
    return ilea_delete(txn, DB_PARKED, (struct ilea_span){ found, sizeof found });
}

enum ilea_error
ilea_view_drop_parked(struct ilea_transaction *txn, struct ilea_view_meta *meta, const struct ilea_epoch_id *epoch,
                      const struct ilea_view_place *place)
{
    uint8_t key[PARKED_KEY];
    struct ilea_span value;
    memcpy(key, epoch->bytes, 16);
    ilea_key_put_u64(key + 16, place->position);
    ilea_key_put_u32(key + 24, place->index);
    enum ilea_error error = ilea_get_raw(txn, DB_PARKED, (struct ilea_span){ key, sizeof key }, &value);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
    meta->parked--;
    return ilea_delete(txn, DB_PARKED, (struct ilea_span){ key, sizeof key });
}

static struct ilea_span
unread_key(uint8_t key[UNREAD_KEY], uint32_t feed, uint64_t seq, uint32_t index)
{
    ilea_key_put_u32(key, feed);
    ilea_key_put_u64(key + 4, seq);
    ilea_key_put_u32(key + 12, index);
    return (struct ilea_span){ key, UNREAD_KEY };
}

enum ilea_error
ilea_view_put_unread(struct ilea_transaction *txn, const struct ilea_view_unread *item)
{
    uint8_t key[UNREAD_KEY], why = (uint8_t)item->why;
    return ilea_put_raw(txn, DB_UNREAD, unread_key(key, item->feed, item->seq, item->index),
                        (struct ilea_span){ &why, 1 }, (struct ilea_span){ NULL, 0 }, false);
}

enum ilea_error
ilea_view_drop_unread(struct ilea_transaction *txn, uint32_t feed, uint64_t seq, uint32_t index)
{
    uint8_t key[UNREAD_KEY];
    return ilea_delete(txn, DB_UNREAD, unread_key(key, feed, seq, index));
}

enum ilea_error
ilea_view_get_unread(struct ilea_transaction *txn, struct ilea_view_unread *item)
{
    uint8_t key[UNREAD_KEY];
    struct ilea_span value;
    enum ilea_error error = ilea_get_raw(txn, DB_UNREAD, unread_key(key, item->feed, item->seq, item->index), &value);
    if (error == ILEA_ERROR_NONE && value.size != 1) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) item->why = value.data[0];
    return error;
}

enum ilea_error
ilea_view_row_after(struct ilea_cursor *cursor, struct ilea_span key, struct ilea_span *found, struct ilea_span *value)
{
    enum ilea_error error = ilea_cursor_seek(cursor, key, found, value);
    if (error == ILEA_ERROR_NONE && found->size == key.size && memcmp(found->data, key.data, key.size) == 0) {
        error = ilea_cursor_next(cursor, found, value);
    }
    if (error == ILEA_ERROR_NONE && found->size != key.size) error = ILEA_ERROR_CORRUPT;
    return error;
}

enum ilea_error
ilea_view_unread_next(struct ilea_transaction *txn, struct ilea_view_unread *item)
{
    uint8_t from[UNREAD_KEY];
    struct ilea_span key, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_UNREAD, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_view_row_after(cursor, unread_key(from, item->feed, item->seq, item->index), &key, &value);
    if (error == ILEA_ERROR_NONE && value.size != 1) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) {
        *item = (struct ilea_view_unread){ ilea_key_u32(key.data), ilea_key_u64(key.data + 4),
                                           ilea_key_u32(key.data + 12), value.data[0] };
    }
    ilea_cursor_close(cursor);
    return error;
}

static struct ilea_span
history_key(uint8_t key[HISTORY_KEY], uint64_t record, uint64_t lsn)
{
    ilea_key_put_u64(key, record);
    ilea_key_put_u64(key + 8, lsn);
    return (struct ilea_span){ key, HISTORY_KEY };
}

enum ilea_error
ilea_view_put_history(struct ilea_transaction *txn, uint64_t record, uint64_t lsn)
{
    uint8_t key[HISTORY_KEY];
    const struct ilea_span nothing = { NULL, 0 };
    return ilea_put_raw(txn, DB_HISTORY, history_key(key, record, lsn), nothing, nothing, false);
}

enum ilea_error
ilea_view_drop_history(struct ilea_transaction *txn, uint64_t record, uint64_t lsn)
{
    uint8_t key[HISTORY_KEY];
    return ilea_delete(txn, DB_HISTORY, history_key(key, record, lsn));
}

enum ilea_error
ilea_view_history_next(struct ilea_transaction *txn, uint64_t record, uint64_t *lsn)
{
    uint8_t from[HISTORY_KEY];
    struct ilea_span key, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_HISTORY, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_view_row_after(cursor, history_key(from, record, *lsn), &key, &value);
    if (error == ILEA_ERROR_NONE && ilea_key_u64(key.data) != record) error = ILEA_ERROR_NOT_FOUND;
    if (error == ILEA_ERROR_NONE) *lsn = ilea_key_u64(key.data + 8);
    ilea_cursor_close(cursor);
    return error;
}

static struct ilea_span
documents_key(uint8_t key[DOCUMENTS_KEY], const struct ilea_blob_id *root, uint64_t record)
{
    memcpy(key, root->bytes, ILEA_ID_SIZE);
    ilea_key_put_u64(key + ILEA_ID_SIZE, record);
    return (struct ilea_span){ key, DOCUMENTS_KEY };
}

enum ilea_error
ilea_view_put_document(struct ilea_transaction *txn, struct ilea_view_meta *meta,
                       const struct ilea_view_document *document)
{
    uint8_t key[DOCUMENTS_KEY], value[DOCUMENTS_VALUE];
    ilea_key_put_u64(value, document->size);
    memcpy(value + 8, document->key.bytes, ILEA_BLOB_KEY_SIZE);
    meta->documents++;
    return ilea_put_raw(txn, DB_DOCUMENTS, documents_key(key, &document->root, document->record),
                        (struct ilea_span){ value, sizeof value }, (struct ilea_span){ NULL, 0 }, false);
}

enum ilea_error
ilea_view_drop_document(struct ilea_transaction *txn, struct ilea_view_meta *meta, const struct ilea_blob_id *root,
                        uint64_t record)
{
    uint8_t key[DOCUMENTS_KEY];
    meta->documents++;
    return ilea_delete(txn, DB_DOCUMENTS, documents_key(key, root, record));
}

enum ilea_error
ilea_view_document_next(struct ilea_transaction *txn, struct ilea_view_document *document)
{
    uint8_t from[DOCUMENTS_KEY];
    struct ilea_span key, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_DOCUMENTS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_view_row_after(cursor, documents_key(from, &document->root, document->record), &key, &value);
    if (error == ILEA_ERROR_NONE && value.size != DOCUMENTS_VALUE) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) {
        memcpy(document->root.bytes, key.data, ILEA_ID_SIZE);
        document->record = ilea_key_u64(key.data + ILEA_ID_SIZE);
        document->size = ilea_key_u64(value.data);
        memcpy(document->key.bytes, value.data + 8, ILEA_BLOB_KEY_SIZE);
    }
    ilea_cursor_close(cursor);
    return error;
}

void
ilea_view_digest(const struct ilea_view_meta *meta, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_VIEW);
    ilea_hash_add_u64(&hasher, meta->shared);
    ilea_hash_add(&hasher, meta->digest, sizeof meta->digest);
    ilea_hash_end(&hasher, hash);
}
