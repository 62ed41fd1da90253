/* log_receipt.c - the newest receipt of each pair of agencies, and the order in which they came. */
#include <stdlib.h>

#include "crypto/assert.h"
#include "replication/record/receipt.h"
#include "replication/store/log_rows.h"

enum { RECEIPT_FIELDS = 6, PAIR_SIZE = 2 * ILEA_ID_SIZE, ROW_MAX = 2 * ILEA_RECEIPT_SIZE_MAX + 128,
       FROM_SIZE = ILEA_DATABASE_ID_SIZE + 8 };

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

enum ilea_error
ilea_log_receipt_next(struct ilea_transaction *txn, const struct ilea_agency_id *author,
                      const struct ilea_agency_id *after, struct ilea_receipt_row *receipt)
{
    static const struct ilea_agency_id lowest;
    uint8_t bytes[PAIR_SIZE];
    struct ilea_span from = pair_key(bytes, author, after != NULL ? after : &lowest), key, stored, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_RECEIPTS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_cursor_seek(cursor, from, &key, &stored);
    if (error == ILEA_ERROR_NONE && after != NULL && key.size == from.size
        && memcmp(key.data, from.data, key.size) == 0) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE && (key.size != PAIR_SIZE || memcmp(key.data, author->bytes, ILEA_ID_SIZE) != 0)) {
        error = ILEA_ERROR_NOT_FOUND;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_RECEIPTS, key, stored, &value);
    if (error == ILEA_ERROR_NONE) error = decode_receipt(key, value, receipt);
    ilea_cursor_close(cursor);
    return error;
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
ilea_log_receipt_from(struct ilea_transaction *txn, const struct ilea_agency_id *peer,
                      uint8_t database[ILEA_DATABASE_ID_SIZE], uint64_t *stamp)
{
    struct ilea_span value;
    memset(database, 0, ILEA_DATABASE_ID_SIZE);
    *stamp = 0;
    enum ilea_error error = ilea_get(txn, LOG_RECEIPT_FROM, (struct ilea_span){ peer->bytes, ILEA_ID_SIZE }, &value);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE) return error;
    if (value.size != FROM_SIZE) return ILEA_ERROR_CORRUPT;
    memcpy(database, value.data, ILEA_DATABASE_ID_SIZE);
    *stamp = ilea_key_u64(value.data + ILEA_DATABASE_ID_SIZE);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_log_put_receipt_from(struct ilea_transaction *txn, const struct ilea_agency_id *peer,
                          const uint8_t database[ILEA_DATABASE_ID_SIZE], uint64_t stamp)
{
    uint8_t value[FROM_SIZE];
    memcpy(value, database, ILEA_DATABASE_ID_SIZE);
    ilea_key_put_u64(value + ILEA_DATABASE_ID_SIZE, stamp);
    return ilea_put(txn, LOG_RECEIPT_FROM, (struct ilea_span){ peer->bytes, ILEA_ID_SIZE },
                    (struct ilea_span){ value, sizeof value });
}
