/* log_receipt.c - the newest receipt of each pair of agencies, and the order in which they came. */
#include <stdlib.h>

#include "crypto/assert.h"
#include "replication/record/receipt.h"
#include "replication/store/log_rows.h"

enum { RECEIPT_FIELDS = 6, PAIR_SIZE = 2 * ILEA_ID_SIZE, ROW_MAX = 2 * ILEA_RECEIPT_SIZE_MAX + 128,
       FROM_SIZE = ILEA_DATABASE_ID_SIZE + 8 + ILEA_HASH_SIZE };

static struct ilea_span
pair_key(uint8_t key[PAIR_SIZE], const struct ilea_agency_id *author, const struct ilea_agency_id *holder)
{
    memcpy(key, author->bytes, ILEA_ID_SIZE);
    memcpy(key + ILEA_ID_SIZE, holder->bytes, ILEA_ID_SIZE);
    return (struct ilea_span){ key, PAIR_SIZE };
}

static enum ilea_error
decode_receipt(struct ilea_span key, struct ilea_span value, struct ilea_receipt_row *receipt)
{
    if (key.size != PAIR_SIZE) return ILEA_ERROR_CORRUPT;
    memcpy(receipt->author.bytes, key.data, ILEA_ID_SIZE);
    memcpy(receipt->holder.bytes, key.data + ILEA_ID_SIZE, ILEA_ID_SIZE);
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, RECEIPT_FIELDS);
    receipt->counter = ilea_msgpack_get_uint(&reader);
    receipt->stamp = ilea_msgpack_get_uint(&reader);
    receipt->arrived_ms = ilea_msgpack_get_uint(&reader);
    struct ilea_span from = ilea_msgpack_get_bin(&reader, ILEA_ID_SIZE);
    receipt->body = ilea_msgpack_get_bin(&reader, ILEA_RECEIPT_SIZE_MAX);
    receipt->bytes = ilea_msgpack_get_bin(&reader, ILEA_RECEIPT_SIZE_MAX);
    receipt->has_from = from.size == ILEA_ID_SIZE;
    if (receipt->has_from) memcpy(receipt->from.bytes, from.data, ILEA_ID_SIZE);
    return log_decoded(&reader);
}

enum ilea_error
ilea_log_receipt(struct ilea_transaction *txn, const struct ilea_agency_id *author,
                 const struct ilea_agency_id *holder, struct ilea_receipt_row *receipt)
{
    uint8_t bytes[PAIR_SIZE];
    struct ilea_span key = pair_key(bytes, author, holder), value;
    enum ilea_error error = ilea_get(txn, LOG_RECEIPTS, key, &value);
    return error == ILEA_ERROR_NONE ? decode_receipt(key, value, receipt) : error;
}

/* The first row at or, if `above`, behind a pair. */
static enum ilea_error
find_pair(struct ilea_transaction *txn, struct ilea_span from, bool above, struct ilea_receipt_row *receipt)
{
    struct ilea_span key, stored, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_RECEIPTS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_cursor_seek(cursor, from, &key, &stored);
    if (error == ILEA_ERROR_NONE && above && key.size == from.size && memcmp(key.data, from.data, key.size) == 0) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_RECEIPTS, key, stored, &value);
    if (error == ILEA_ERROR_NONE) error = decode_receipt(key, value, receipt);
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_log_receipt_next(struct ilea_transaction *txn, const struct ilea_agency_id *author,
                      const struct ilea_agency_id *after, struct ilea_receipt_row *receipt)
{
    static const struct ilea_agency_id lowest;
    uint8_t bytes[PAIR_SIZE];
    struct ilea_span from = pair_key(bytes, author, after != NULL ? after : &lowest);
    enum ilea_error error = find_pair(txn, from, after != NULL, receipt);
    if (error != ILEA_ERROR_NONE) return error;
    return memcmp(receipt->author.bytes, author->bytes, ILEA_ID_SIZE) == 0 ? ILEA_ERROR_NONE : ILEA_ERROR_NOT_FOUND;
}

enum ilea_error
ilea_log_receipt_walk(struct ilea_transaction *txn, const struct ilea_receipt_row *after,
                      struct ilea_receipt_row *receipt)
{
    static const struct ilea_agency_id lowest;
    uint8_t bytes[PAIR_SIZE];
    struct ilea_span from = after != NULL ? pair_key(bytes, &after->author, &after->holder)
                                          : pair_key(bytes, &lowest, &lowest);
    return find_pair(txn, from, after != NULL, receipt);
}

enum ilea_error
ilea_log_receipt_after(struct ilea_transaction *txn, uint64_t stamp, struct ilea_receipt_row *receipt)
{
    if (stamp == UINT64_MAX) return ILEA_ERROR_NOT_FOUND;
    uint8_t bytes[8];
    struct ilea_span key, stored, pair, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_RECEIPT_STAMPS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_cursor_seek(cursor, log_key_u64(bytes, stamp + 1), &key, &stored);
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_RECEIPT_STAMPS, key, stored, &pair);
    ilea_cursor_close(cursor);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_get(txn, LOG_RECEIPTS, pair, &value);
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_CORRUPT;
    }
    return error == ILEA_ERROR_NONE ? decode_receipt(pair, value, receipt) : error;
}

enum ilea_error
ilea_log_receipt_stamp(struct ilea_transaction *txn, uint64_t *stamp)
{
    *stamp = 0;
    struct ilea_span key, stored;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_RECEIPT_STAMPS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_cursor_last(cursor, &key, &stored);
    if (error == ILEA_ERROR_NONE && key.size != 8) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) *stamp = ilea_key_u64(key.data);
    ilea_cursor_close(cursor);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

enum ilea_error
ilea_log_put_receipt(struct ilea_transaction *txn, uint64_t now_ms, struct ilea_receipt_row *receipt)
{
    uint8_t pair[PAIR_SIZE], old[8], stamp[8];
    uint64_t last = 0;
    struct ilea_receipt_row before = { .stamp = 0 };
    if (receipt->bytes.size > ILEA_RECEIPT_SIZE_MAX || receipt->body.size > ILEA_RECEIPT_SIZE_MAX) {
        return ILEA_ERROR_LIMIT;
    }
    enum ilea_error error = ilea_log_receipt(txn, &receipt->author, &receipt->holder, &before);
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE) error = ilea_log_receipt_stamp(txn, &last);
    uint8_t *bytes = malloc(ROW_MAX);
    if (bytes == NULL) error = ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE && last == UINT64_MAX) error = ILEA_ERROR_FULL;
    if (error == ILEA_ERROR_NONE && before.stamp != 0) {
        error = ilea_delete(txn, LOG_RECEIPT_STAMPS, log_key_u64(old, before.stamp));
    }
    if (error == ILEA_ERROR_NONE) {
        receipt->stamp = now_ms > last ? now_ms : last + 1;
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, bytes, ROW_MAX);
        ilea_msgpack_put_array(&writer, RECEIPT_FIELDS);
        ilea_msgpack_put_uint(&writer, receipt->counter);
        ilea_msgpack_put_uint(&writer, receipt->stamp);
        ilea_msgpack_put_uint(&writer, receipt->arrived_ms);
        ilea_msgpack_put_bin(&writer, receipt->from.bytes, receipt->has_from ? ILEA_ID_SIZE : 0);
        ilea_msgpack_put_bin(&writer, receipt->body.data, receipt->body.size);
        ilea_msgpack_put_bin(&writer, receipt->bytes.data, receipt->bytes.size);
        ilea_assert(!writer.failed);
        struct ilea_span key = pair_key(pair, &receipt->author, &receipt->holder);
        error = ilea_put(txn, LOG_RECEIPTS, key, ilea_msgpack_written(&writer));
        if (error == ILEA_ERROR_NONE) {
            error = ilea_put(txn, LOG_RECEIPT_STAMPS, log_key_u64(stamp, receipt->stamp), key);
        }
    }
    free(bytes);
    return error;
}

enum ilea_error
ilea_log_drop_receipts(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                       const struct ilea_agency_id *own)
{
    struct ilea_receipt_row row, last;
    const struct ilea_receipt_row *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_receipt_walk(txn, after, &row)) == ILEA_ERROR_NONE) {
        uint8_t pair[PAIR_SIZE], stamp[8];
        last = row;
        after = &last;
        bool is_author = memcmp(row.author.bytes, agency->bytes, ILEA_ID_SIZE) == 0;
        bool is_holder = memcmp(row.holder.bytes, agency->bytes, ILEA_ID_SIZE) == 0;
        bool is_ours = memcmp(row.author.bytes, own->bytes, ILEA_ID_SIZE) == 0;
        if (!is_author && (!is_holder || is_ours)) continue;
        error = ilea_delete(txn, LOG_RECEIPTS, pair_key(pair, &row.author, &row.holder));
        if (error == ILEA_ERROR_NONE) error = ilea_delete(txn, LOG_RECEIPT_STAMPS, log_key_u64(stamp, row.stamp));
        if (error != ILEA_ERROR_NONE) return error;
    }
    if (error == ILEA_ERROR_NOT_FOUND) {
        error = ilea_delete(txn, LOG_RECEIPT_FROM, (struct ilea_span){ agency->bytes, ILEA_ID_SIZE });
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

enum ilea_error
ilea_log_receipt_from(struct ilea_transaction *txn, const struct ilea_agency_id *peer,
                      struct ilea_receipt_source *source)
{
    struct ilea_span value;
    memset(source, 0, sizeof *source);
    enum ilea_error error = ilea_get(txn, LOG_RECEIPT_FROM, (struct ilea_span){ peer->bytes, ILEA_ID_SIZE }, &value);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE) return error;
    if (value.size != FROM_SIZE) return ILEA_ERROR_CORRUPT;
    memcpy(source->database, value.data, ILEA_DATABASE_ID_SIZE);
    source->stamp = ilea_key_u64(value.data + ILEA_DATABASE_ID_SIZE);
    memcpy(source->shared, value.data + ILEA_DATABASE_ID_SIZE + 8, ILEA_HASH_SIZE);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_log_put_receipt_from(struct ilea_transaction *txn, const struct ilea_agency_id *peer,
                          const struct ilea_receipt_source *source)
{
    uint8_t value[FROM_SIZE];
    memcpy(value, source->database, ILEA_DATABASE_ID_SIZE);
    ilea_key_put_u64(value + ILEA_DATABASE_ID_SIZE, source->stamp);
    memcpy(value + ILEA_DATABASE_ID_SIZE + 8, source->shared, ILEA_HASH_SIZE);
    return ilea_put(txn, LOG_RECEIPT_FROM, (struct ilea_span){ peer->bytes, ILEA_ID_SIZE },
                    (struct ilea_span){ value, sizeof value });
}
