/* log_epoch.c - our own epochs. */
#include <stdlib.h>
#include <string.h>

#include "replication/store/log_rows.h"

enum { EPOCH_FIELDS = 5, EPOCH_KEY = 1 + 8 + ILEA_EPOCH_ID_SIZE,
       EPOCH_ROW_MAX = ILEA_MEMBERS_MAX * ILEA_EPOCH_READER_SIZE + 1024 };

static struct ilea_span
epoch_key(uint8_t key[EPOCH_KEY], enum ilea_scope scope, uint64_t number, const uint8_t *aek_commit)
{
    key[0] = (uint8_t)scope;
    ilea_key_put_u64(key + 1, number);
    memcpy(key + 9, aek_commit, ILEA_EPOCH_ID_SIZE);
    return (struct ilea_span){ key, EPOCH_KEY };
}

enum ilea_error
ilea_log_epoch(struct ilea_transaction *txn, enum ilea_scope scope, uint32_t index,
               struct ilea_epoch_row *epoch)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_EPOCHS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t from[1] = { (uint8_t)scope };
    struct ilea_span key, stored, value;
    error = ilea_cursor_seek(cursor, (struct ilea_span){ from, sizeof from }, &key, &stored);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < index; i++) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE && key.size != EPOCH_KEY) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE && key.data[0] != scope) error = ILEA_ERROR_NOT_FOUND;
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_EPOCHS, key, stored, &value);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_msgpack_reader reader;
        ilea_msgpack_reader_init(&reader, value);
        ilea_msgpack_expect_array(&reader, EPOCH_FIELDS);
        epoch->label = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
        ilea_msgpack_get_bytes(&reader, epoch->aek_commit, sizeof epoch->aek_commit);
        ilea_msgpack_get_bytes(&reader, epoch->statement.bytes, sizeof epoch->statement.bytes);
        ilea_msgpack_get_bytes(&reader, epoch->wrapped, sizeof epoch->wrapped);
        epoch->readers = ilea_msgpack_get_bin(&reader, EPOCH_ROW_MAX);
        epoch->reader_count = (uint32_t)(epoch->readers.size / ILEA_EPOCH_READER_SIZE);
        epoch->scope = scope;
        epoch->number = ilea_key_u64(key.data + 1);
        error = log_decoded(&reader);
    }
    ilea_cursor_close(cursor);
    return error;
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
    ilea_msgpack_put_bin(&writer, epoch->wrapped, sizeof epoch->wrapped);
    ilea_msgpack_put_bin(&writer, epoch->readers.data, epoch->readers.size);
    enum ilea_error error = ILEA_ERROR_LIMIT;
    if (!writer.failed) {
        error = ilea_put(txn, LOG_EPOCHS,
                         epoch_key(key, epoch->scope, epoch->number, epoch->aek_commit),
                         ilea_msgpack_written(&writer));
    }
    free(bytes);
    return error;
}

enum ilea_error
ilea_log_forget_epochs(struct ilea_transaction *txn, const struct ilea_commit_id *statement)
{
    for (unsigned scope = ILEA_SCOPE_AGENCY; scope <= ILEA_SCOPE_PEERS; scope++) {
        uint32_t index = 0;
        for (;;) {
            struct ilea_epoch_row epoch;
            uint8_t key[EPOCH_KEY];
            enum ilea_error error = ilea_log_epoch(txn, (enum ilea_scope)scope, index, &epoch);
            if (error == ILEA_ERROR_NOT_FOUND) break;
            if (error != ILEA_ERROR_NONE) return error;
            if (memcmp(epoch.statement.bytes, statement->bytes, sizeof statement->bytes) != 0) {
                index++;
                continue;
            }
            error = ilea_delete(txn, LOG_EPOCHS,
                                epoch_key(key, epoch.scope, epoch.number, epoch.aek_commit));
            if (error != ILEA_ERROR_NONE) return error;
        }
    }
    return ILEA_ERROR_NONE;
}
