/*
 * view_audience.c - closed audiences in the view: from which place in the log on an epoch counts, where its owner's
 * statements stand, and what readers are told of an audience.
 */
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"
#include "replication/store/view_rows.h"

enum { PLACE_KEY = ILEA_AUDIENCE_ID_SIZE + ILEA_EPOCH_ID_SIZE + 4, STATEMENT_KEY = ILEA_AUDIENCE_ID_SIZE + 8,
       STATEMENT_VALUE = ILEA_ID_SIZE + 1, AUDIENCE_FIELDS = 4 };

static const struct ilea_span nothing = { NULL, 0 };

static struct ilea_span
place_key(uint8_t key[PLACE_KEY], const struct ilea_audience_id *audience, const struct ilea_epoch_id *epoch,
          uint32_t feed)
{
    memcpy(key, audience->bytes, ILEA_AUDIENCE_ID_SIZE);
    memcpy(key + ILEA_AUDIENCE_ID_SIZE, epoch->bytes, ILEA_EPOCH_ID_SIZE);
    ilea_key_put_u32(key + ILEA_AUDIENCE_ID_SIZE + ILEA_EPOCH_ID_SIZE, feed);
    return (struct ilea_span){ key, PLACE_KEY };
}

enum ilea_error
ilea_view_put_epoch_place(struct ilea_transaction *txn, const struct ilea_audience_id *audience,
                          const struct ilea_epoch_id *epoch, uint32_t feed, uint64_t position)
{
    uint8_t key[PLACE_KEY], value[8];
    uint64_t before;
    enum ilea_error error = ilea_view_epoch_place(txn, audience, epoch, feed, &before);
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    return ilea_put_raw(txn, DB_EPOCH_PLACES, place_key(key, audience, epoch, feed), view_key_u64(value, position),
                        nothing, false);
}

enum ilea_error
ilea_view_epoch_place(struct ilea_transaction *txn, const struct ilea_audience_id *audience,
                      const struct ilea_epoch_id *epoch, uint32_t feed, uint64_t *position)
{
    uint8_t key[PLACE_KEY];
    struct ilea_span value;
    enum ilea_error error = ilea_get_raw(txn, DB_EPOCH_PLACES, place_key(key, audience, epoch, feed), &value);
    if (error == ILEA_ERROR_NONE && value.size != 8) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) *position = ilea_key_u64(value.data);
    return error;
}

static struct ilea_span
statement_key(uint8_t key[STATEMENT_KEY], const struct ilea_audience_id *audience, uint64_t position)
{
    memcpy(key, audience->bytes, ILEA_AUDIENCE_ID_SIZE);
    ilea_key_put_u64(key + ILEA_AUDIENCE_ID_SIZE, position);
    return (struct ilea_span){ key, STATEMENT_KEY };
}

enum ilea_error
ilea_view_put_statement(struct ilea_transaction *txn, const struct ilea_audience_id *audience,
                        const struct ilea_view_statement *statement)
{
    uint8_t key[STATEMENT_KEY];
    const uint8_t removes = statement->removes;
    return ilea_put_raw(txn, DB_STATEMENTS, statement_key(key, audience, statement->position),
                        (struct ilea_span){ statement->id.bytes, sizeof statement->id.bytes },
                        (struct ilea_span){ &removes, 1 }, false);
}

enum ilea_error
ilea_view_statement_next(struct ilea_transaction *txn, const struct ilea_audience_id *audience,
                         struct ilea_view_statement *statement)
{
    uint8_t from[STATEMENT_KEY];
    struct ilea_span key, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_STATEMENTS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_view_row_after(cursor, statement_key(from, audience, statement->position), &key, &value);
    if (error == ILEA_ERROR_NONE && (value.size != STATEMENT_VALUE || value.data[ILEA_ID_SIZE] > 1)) {
        error = ILEA_ERROR_CORRUPT;
    }
    if (error == ILEA_ERROR_NONE && memcmp(key.data, audience->bytes, sizeof audience->bytes) != 0) {
        error = ILEA_ERROR_NOT_FOUND;
    }
    if (error == ILEA_ERROR_NONE) {
        statement->position = ilea_key_u64(key.data + ILEA_AUDIENCE_ID_SIZE);
        memcpy(statement->id.bytes, value.data, sizeof statement->id.bytes);
        statement->removes = value.data[ILEA_ID_SIZE] == 1;
    }
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_view_audience(struct ilea_transaction *txn, const struct ilea_audience_id *id,
                   struct ilea_view_audience *audience)
{
    struct ilea_span value;
    struct ilea_msgpack_reader reader;
    const struct ilea_span key = { id->bytes, sizeof id->bytes };
    enum ilea_error error = ilea_get(txn, DB_AUDIENCES, key, &value);
    if (error != ILEA_ERROR_NONE) return error;
    audience->id = *id;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, AUDIENCE_FIELDS);
    audience->owner = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    audience->tlp = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    audience->level = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    audience->name = ilea_msgpack_get_str(&reader, ILEA_AUDIENCE_NAME_MAX);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

enum ilea_error
ilea_view_put_audience(struct ilea_transaction *txn, const struct ilea_view_audience *audience)
{
    uint8_t bytes[32 + ILEA_AUDIENCE_NAME_MAX];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, AUDIENCE_FIELDS);
    ilea_msgpack_put_uint(&writer, audience->owner);
    ilea_msgpack_put_uint(&writer, audience->tlp);
    ilea_msgpack_put_uint(&writer, audience->level);
    ilea_msgpack_put_str(&writer, audience->name);
    ilea_assert(!writer.failed);
    return ilea_put(txn, DB_AUDIENCES, (struct ilea_span){ audience->id.bytes, sizeof audience->id.bytes },
                    ilea_msgpack_written(&writer));
}
