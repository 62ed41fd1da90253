/*
 * log_audience.c - closed audiences: what they are made of, and where their control statements stand. Only that: what
 * these come to is computed from the commits (node/audience_log.h).
 */
#include "crypto/random.h"
#include "replication/store/log_rows.h"

enum { CONTROL_KEY = ILEA_AUDIENCE_ID_SIZE + ILEA_ID_SIZE, CONTROL_SIZE = 4 + 8,
       AUDIENCE_SIZE = ILEA_ID_SIZE + ILEA_AUDIENCE_SALT_SIZE };

static const struct ilea_span stamp_key = { (const uint8_t *)"controls", 8 };

static struct ilea_span
audience_key(const struct ilea_audience_id *audience)
{
    return (struct ilea_span){ audience->bytes, sizeof audience->bytes };
}

static struct ilea_span
control_key(uint8_t key[CONTROL_KEY], const struct ilea_audience_id *audience, const struct ilea_commit_id *id)
{
    memcpy(key, audience->bytes, ILEA_AUDIENCE_ID_SIZE);
    memcpy(key + ILEA_AUDIENCE_ID_SIZE, id->bytes, ILEA_ID_SIZE);
    return (struct ilea_span){ key, CONTROL_KEY };
}

static enum ilea_error
decode_audience(struct ilea_span key, struct ilea_span value, struct ilea_audience_row *audience)
{
    if (key.size != ILEA_AUDIENCE_ID_SIZE || value.size != AUDIENCE_SIZE) return ILEA_ERROR_CORRUPT;
    memcpy(audience->audience.bytes, key.data, key.size);
    memcpy(audience->owner.bytes, value.data, ILEA_ID_SIZE);
    memcpy(audience->salt, value.data + ILEA_ID_SIZE, sizeof audience->salt);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
decode_control(struct ilea_span key, struct ilea_span value, struct ilea_control_row *control)
{
    if (key.size != CONTROL_KEY || value.size != CONTROL_SIZE) return ILEA_ERROR_CORRUPT;
    memcpy(control->audience.bytes, key.data, ILEA_AUDIENCE_ID_SIZE);
    memcpy(control->id.bytes, key.data + ILEA_AUDIENCE_ID_SIZE, ILEA_ID_SIZE);
    control->feed = ilea_key_u32(value.data);
    control->seq = ilea_key_u64(value.data + 4);
    return ILEA_ERROR_NONE;
}

/* The first row behind `from`, or the first at or behind it; its value is checked. */
static enum ilea_error
find_next(struct ilea_cursor *cursor, unsigned database, struct ilea_span from, bool behind, struct ilea_span *key,
          struct ilea_span *value)
{
    struct ilea_span stored;
    enum ilea_error error = ilea_cursor_seek(cursor, from, key, &stored);
    if (error == ILEA_ERROR_NONE && behind && key->size == from.size && memcmp(key->data, from.data, from.size) == 0) {
        error = ilea_cursor_next(cursor, key, &stored);
    }
    return error == ILEA_ERROR_NONE ? ilea_untag(database, *key, stored, value) : error;
}

enum ilea_error
ilea_log_audience(struct ilea_transaction *txn, const struct ilea_audience_id *id, struct ilea_audience_row *audience)
{
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, LOG_AUDIENCES, audience_key(id), &value);
    return error == ILEA_ERROR_NONE ? decode_audience(audience_key(id), value, audience) : error;
}

enum ilea_error
ilea_log_audience_next(struct ilea_transaction *txn, const struct ilea_audience_id *after,
                       struct ilea_audience_row *audience)
{
    static const struct ilea_audience_id lowest;
    struct ilea_span key, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_AUDIENCES, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    const struct ilea_span from = audience_key(after != NULL ? after : &lowest);
    error = find_next(cursor, LOG_AUDIENCES, from, after != NULL, &key, &value);
    if (error == ILEA_ERROR_NONE) error = decode_audience(key, value, audience);
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_log_put_audience(struct ilea_transaction *txn, const struct ilea_audience_row *audience)
{
    uint8_t value[AUDIENCE_SIZE];
    memcpy(value, audience->owner.bytes, ILEA_ID_SIZE);
    memcpy(value + ILEA_ID_SIZE, audience->salt, sizeof audience->salt);
    return ilea_put(txn, LOG_AUDIENCES, audience_key(&audience->audience), (struct ilea_span){ value, sizeof value });
}

enum ilea_error
ilea_log_control(struct ilea_transaction *txn, const struct ilea_audience_id *audience,
                 const struct ilea_commit_id *id, struct ilea_control_row *control)
{
    uint8_t bytes[CONTROL_KEY];
    const struct ilea_span key = control_key(bytes, audience, id);
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, LOG_STATEMENTS, key, &value);
    return error == ILEA_ERROR_NONE ? decode_control(key, value, control) : error;
}

enum ilea_error
ilea_log_control_next(struct ilea_transaction *txn, const struct ilea_audience_id *audience,
                      const struct ilea_commit_id *after, struct ilea_control_row *control)
{
    static const struct ilea_commit_id lowest;
    uint8_t from[CONTROL_KEY];
    struct ilea_span key, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_STATEMENTS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = find_next(cursor, LOG_STATEMENTS, control_key(from, audience, after != NULL ? after : &lowest),
                      after != NULL, &key, &value);
    if (error == ILEA_ERROR_NONE) error = decode_control(key, value, control);
    ilea_cursor_close(cursor);
    if (error == ILEA_ERROR_NONE && memcmp(control->audience.bytes, from, ILEA_AUDIENCE_ID_SIZE) != 0) {
        error = ILEA_ERROR_NOT_FOUND;
    }
    return error;
}

enum ilea_error
ilea_log_put_control(struct ilea_transaction *txn, const struct ilea_control_row *control)
{
    uint8_t key[CONTROL_KEY], value[CONTROL_SIZE];
    ilea_key_put_u32(value, control->feed);
    ilea_key_put_u64(value + 4, control->seq);
    enum ilea_error error = ilea_put(txn, LOG_STATEMENTS, control_key(key, &control->audience, &control->id),
                                     (struct ilea_span){ value, sizeof value });
    return error == ILEA_ERROR_NONE ? ilea_log_controls_changed(txn) : error;
}

enum ilea_error
ilea_log_forget_controls(struct ilea_transaction *txn, const struct ilea_feed_row *feed, uint64_t seq)
{
    const struct ilea_commit_id *after = NULL;
    struct ilea_control_row control;
    struct ilea_commit_id last;
    enum ilea_error error;
    while ((error = ilea_log_control_next(txn, &feed->origin.audience, after, &control)) == ILEA_ERROR_NONE) {
        uint8_t key[CONTROL_KEY];
        last = control.id;
        after = &last;
        if (control.feed != feed->number || control.seq <= seq) continue;
        error = ilea_delete(txn, LOG_STATEMENTS, control_key(key, &control.audience, &control.id));
        if (error == ILEA_ERROR_NONE) error = ilea_log_controls_changed(txn);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

enum ilea_error
ilea_log_controls_stamp(struct ilea_transaction *txn, uint8_t stamp[ILEA_CONTROLS_STAMP_SIZE])
{
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, LOG_META, stamp_key, &value);
    memset(stamp, 0, ILEA_CONTROLS_STAMP_SIZE);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && value.size != ILEA_CONTROLS_STAMP_SIZE) return ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) memcpy(stamp, value.data, value.size);
    return error;
}

enum ilea_error
ilea_log_controls_changed(struct ilea_transaction *txn)
{
    uint8_t stamp[ILEA_CONTROLS_STAMP_SIZE]; /* a number would come again after a transaction that was given up */
    ilea_random_bytes(stamp, sizeof stamp);
    return ilea_put(txn, LOG_META, stamp_key, (struct ilea_span){ stamp, sizeof stamp });
}
