/* log_epoch.c - our own epochs, and those of others in our closed audiences. */
#include <stdlib.h>
#include <string.h>

#include "replication/store/log_rows.h"

enum { EPOCH_FIELDS = 9, EPOCH_KEY = ILEA_AUDIENCE_ID_SIZE + 8 + ILEA_EPOCH_ID_SIZE,
       EPOCH_ROW_MAX = ILEA_MEMBERS_MAX * ILEA_EPOCH_READER_SIZE + 1024 };

static struct ilea_span
epoch_key(uint8_t key[EPOCH_KEY], const struct ilea_epoch_row *epoch)
{
    memcpy(key, epoch->audience.bytes, ILEA_AUDIENCE_ID_SIZE);
    ilea_key_put_u64(key + ILEA_AUDIENCE_ID_SIZE, epoch->number);
    memcpy(key + ILEA_AUDIENCE_ID_SIZE + 8, epoch->aek_commit, ILEA_EPOCH_ID_SIZE);
    return (struct ilea_span){ key, EPOCH_KEY };
}

static enum ilea_error
decode_epoch(struct ilea_span key, struct ilea_span stored, struct ilea_epoch_row *epoch)
{
    struct ilea_span value;
    struct ilea_msgpack_reader reader;
    if (key.size != EPOCH_KEY) return ILEA_ERROR_CORRUPT;
    enum ilea_error error = ilea_untag(LOG_EPOCHS, key, stored, &value);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, EPOCH_FIELDS);
    epoch->label = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    ilea_msgpack_get_bytes(&reader, epoch->aek_commit, sizeof epoch->aek_commit);
    ilea_msgpack_get_bytes(&reader, epoch->statement.bytes, sizeof epoch->statement.bytes);
    ilea_msgpack_get_bytes(&reader, epoch->agency.bytes, sizeof epoch->agency.bytes);
    epoch->feed = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    epoch->seq = ilea_msgpack_get_uint(&reader);
    epoch->restricted = ilea_msgpack_get_uint32(&reader, 1) == 1;
    ilea_msgpack_get_bytes(&reader, epoch->wrapped, sizeof epoch->wrapped);
    epoch->readers = ilea_msgpack_get_bin(&reader, EPOCH_ROW_MAX);
    epoch->reader_count = (uint32_t)(epoch->readers.size / ILEA_EPOCH_READER_SIZE);
    memcpy(epoch->audience.bytes, key.data, ILEA_AUDIENCE_ID_SIZE);
    epoch->number = ilea_key_u64(key.data + ILEA_AUDIENCE_ID_SIZE);
    return log_decoded(&reader);
}

enum ilea_error
ilea_log_epoch(struct ilea_transaction *txn, const struct ilea_audience_id *audience, uint32_t index,
               struct ilea_epoch_row *epoch)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_EPOCHS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, stored;
    error = ilea_cursor_seek(cursor, (struct ilea_span){ audience->bytes, sizeof audience->bytes }, &key, &stored);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < index; i++) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE) error = decode_epoch(key, stored, epoch);
    if (error == ILEA_ERROR_NONE && memcmp(epoch->audience.bytes, audience->bytes, sizeof audience->bytes) != 0) {
        error = ILEA_ERROR_NOT_FOUND;
    }
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_log_epoch_next(struct ilea_transaction *txn, const struct ilea_epoch_row *after, struct ilea_epoch_row *epoch)
{
    uint8_t bytes[EPOCH_KEY];
    const struct ilea_span from = after != NULL ? epoch_key(bytes, after) : (struct ilea_span){ NULL, 0 };
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_EPOCHS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, stored;
    error = ilea_cursor_seek(cursor, from, &key, &stored);
    if (error == ILEA_ERROR_NONE && after != NULL && key.size == EPOCH_KEY && memcmp(key.data, bytes, EPOCH_KEY) == 0) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE) error = decode_epoch(key, stored, epoch);
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_log_has_epoch(struct ilea_transaction *txn, const struct ilea_epoch_row *epoch)
{
    uint8_t key[EPOCH_KEY];
    struct ilea_span value;
    return ilea_get(txn, LOG_EPOCHS, epoch_key(key, epoch), &value);
}

enum ilea_error
ilea_log_put_epoch(struct ilea_transaction *txn, const struct ilea_epoch_row *epoch)
{
    uint8_t *bytes = malloc(EPOCH_ROW_MAX), key[EPOCH_KEY];
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, EPOCH_ROW_MAX);
    ilea_msgpack_put_array(&writer, EPOCH_FIELDS);
    ilea_msgpack_put_uint(&writer, epoch->label);
    ilea_msgpack_put_bin(&writer, epoch->aek_commit, sizeof epoch->aek_commit);
    ilea_msgpack_put_bin(&writer, epoch->statement.bytes, sizeof epoch->statement.bytes);
    ilea_msgpack_put_bin(&writer, epoch->agency.bytes, sizeof epoch->agency.bytes);
    ilea_msgpack_put_uint(&writer, epoch->feed);
    ilea_msgpack_put_uint(&writer, epoch->seq);
    ilea_msgpack_put_uint(&writer, epoch->restricted ? 1 : 0);
    ilea_msgpack_put_bin(&writer, epoch->wrapped, sizeof epoch->wrapped);
    ilea_msgpack_put_bin(&writer, epoch->readers.data, epoch->readers.size);
    enum ilea_error error = ILEA_ERROR_LIMIT;
    if (!writer.failed) error = ilea_put(txn, LOG_EPOCHS, epoch_key(key, epoch), ilea_msgpack_written(&writer));
    free(bytes);
    return error;
}

enum ilea_error
ilea_log_forget_epochs(struct ilea_transaction *txn, uint32_t feed, uint64_t seq)
{
    struct ilea_epoch_row epoch;
    const struct ilea_epoch_row *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_epoch_next(txn, after, &epoch)) == ILEA_ERROR_NONE) {
        uint8_t key[EPOCH_KEY];
        after = &epoch;
        if (epoch.feed != feed || epoch.seq <= seq) continue;
        error = ilea_delete(txn, LOG_EPOCHS, epoch_key(key, &epoch));
        if (error != ILEA_ERROR_NONE) return error;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}
