/*
 * view_changes.c - which changes a record is made of, where they stand in the log, and what is to be erased because
 * it belongs to a record that is.
 */
#include <string.h>

#include "replication/store/view_rows.h"

enum { PLACE_SIZE = 8 + 4, RECORD_CHANGES_KEY = 8 + PLACE_SIZE };

static const struct ilea_span nothing = { NULL, 0 };

static struct ilea_span
place_key(uint8_t key[PLACE_SIZE], const struct ilea_view_place *place)
{
    ilea_key_put_u64(key, place->position);
    ilea_key_put_u32(key + 8, place->index);
    return (struct ilea_span){ key, PLACE_SIZE };
}

static struct ilea_span
record_change_key(uint8_t key[RECORD_CHANGES_KEY], uint64_t record, const struct ilea_view_place *place)
{
    ilea_key_put_u64(key, record);
    (void)place_key(key + 8, place);
    return (struct ilea_span){ key, RECORD_CHANGES_KEY };
}

enum ilea_error
ilea_view_put_record_change(struct ilea_transaction *txn, const struct ilea_view_record_change *change)
{
    uint8_t key[RECORD_CHANGES_KEY], lsn[8], place[PLACE_SIZE], record[8];
    enum ilea_error error = ilea_put_raw(txn, DB_RECORD_CHANGES, record_change_key(key, change->record, &change->place),
                                         view_key_u64(lsn, change->lsn), nothing, false);
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_put_raw(txn, DB_CHANGE_RECORDS, place_key(place, &change->place),
                        view_key_u64(record, change->record), nothing, false);
}

enum ilea_error
ilea_view_note_parked(struct ilea_transaction *txn, const struct ilea_view_place *place,
                      const struct ilea_epoch_id *epoch)
{
    uint8_t key[PLACE_SIZE];
    return ilea_put_raw(txn, DB_CHANGE_RECORDS, place_key(key, place),
                        (struct ilea_span){ epoch->bytes, sizeof epoch->bytes }, nothing, false);
}

enum ilea_error
ilea_view_change_at(struct ilea_transaction *txn, const struct ilea_view_place *place,
                    struct ilea_view_record_change *change, struct ilea_epoch_id *epoch)
{
    uint8_t key[PLACE_SIZE], other[RECORD_CHANGES_KEY];
    struct ilea_span value;
    *change = (struct ilea_view_record_change){ .place = *place };
    enum ilea_error error = ilea_get_raw(txn, DB_CHANGE_RECORDS, place_key(key, place), &value);
    if (error != ILEA_ERROR_NONE) return error;
    if (value.size == sizeof epoch->bytes) {
        memcpy(epoch->bytes, value.data, sizeof epoch->bytes);
        return ILEA_ERROR_NONE;
    }
    if (value.size != 8) return ILEA_ERROR_CORRUPT;
    change->record = ilea_key_u64(value.data);
    error = ilea_get_raw(txn, DB_RECORD_CHANGES, record_change_key(other, change->record, place), &value);
    if (error == ILEA_ERROR_NOT_FOUND || (error == ILEA_ERROR_NONE && value.size != 8)) return ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) change->lsn = ilea_key_u64(value.data);
    return error;
}

enum ilea_error
ilea_view_drop_change(struct ilea_transaction *txn, const struct ilea_view_record_change *change)
{
    uint8_t key[RECORD_CHANGES_KEY], place[PLACE_SIZE];
    enum ilea_error error = ilea_delete(txn, DB_CHANGE_RECORDS, place_key(place, &change->place));
    if (error != ILEA_ERROR_NONE || change->record == 0) return error;
    return ilea_delete(txn, DB_RECORD_CHANGES, record_change_key(key, change->record, &change->place));
}

enum ilea_error
ilea_view_record_change_next(struct ilea_transaction *txn, struct ilea_view_record_change *change)
{
    uint8_t from[RECORD_CHANGES_KEY];
    struct ilea_span key, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_RECORD_CHANGES, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_view_row_after(cursor, record_change_key(from, change->record, &change->place), &key, &value);
    if (error == ILEA_ERROR_NONE && value.size != 8) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE && ilea_key_u64(key.data) != change->record) error = ILEA_ERROR_NOT_FOUND;
    if (error == ILEA_ERROR_NONE) {
        change->place = (struct ilea_view_place){ ilea_key_u64(key.data + 8), ilea_key_u32(key.data + 16) };
        change->lsn = ilea_key_u64(value.data);
    }
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_view_put_stray(struct ilea_transaction *txn, const struct ilea_view_place *place)
{
    uint8_t key[PLACE_SIZE];
    return ilea_put_raw(txn, DB_STRAYS, place_key(key, place), nothing, nothing, false);
}

enum ilea_error
ilea_view_drop_stray(struct ilea_transaction *txn, const struct ilea_view_place *place)
{
    uint8_t key[PLACE_SIZE];
    return ilea_delete(txn, DB_STRAYS, place_key(key, place));
}

enum ilea_error
ilea_view_stray_next(struct ilea_transaction *txn, struct ilea_view_place *place)
{
    uint8_t from[PLACE_SIZE];
    struct ilea_span key, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_STRAYS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_view_row_after(cursor, place_key(from, place), &key, &value);
    if (error == ILEA_ERROR_NONE) {
        *place = (struct ilea_view_place){ ilea_key_u64(key.data), ilea_key_u32(key.data + 8) };
    }
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_view_put_stale(struct ilea_transaction *txn, struct ilea_view_meta *meta, const struct ilea_view_place *place)
{
    uint8_t key[PLACE_SIZE];
    meta->stale++;
    return ilea_put_raw(txn, DB_STALE, place_key(key, place), nothing, nothing, false);
}

enum ilea_error
ilea_view_drop_stale(struct ilea_transaction *txn, struct ilea_view_meta *meta, const struct ilea_view_place *place)
{
    uint8_t key[PLACE_SIZE];
    struct ilea_span value;
    enum ilea_error error = ilea_get_raw(txn, DB_STALE, place_key(key, place), &value);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
    if (meta->stale > 0) meta->stale--;
    return ilea_delete(txn, DB_STALE, place_key(key, place));
}

enum ilea_error
ilea_view_put_orphan(struct ilea_transaction *txn, uint64_t record)
{
    uint8_t key[8];
    return ilea_put_raw(txn, DB_ORPHANS, view_key_u64(key, record), nothing, nothing, false);
}

enum ilea_error
ilea_view_orphan_next(struct ilea_transaction *txn, uint64_t *record)
{
    uint8_t from[8];
    struct ilea_span key, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, DB_ORPHANS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_view_row_after(cursor, view_key_u64(from, *record), &key, &value);
    if (error == ILEA_ERROR_NONE) *record = ilea_key_u64(key.data);
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_view_conceal(struct ilea_transaction *txn, uint64_t record)
{
    uint8_t key[8];
    return ilea_put_raw(txn, DB_CONCEALED, view_key_u64(key, record), nothing, nothing, false);
}

bool
ilea_view_is_concealed(struct ilea_transaction *txn, uint64_t record)
{
    uint8_t key[8];
    struct ilea_span value;
    return ilea_get_raw(txn, DB_CONCEALED, view_key_u64(key, record), &value) == ILEA_ERROR_NONE;
}

enum ilea_error
ilea_view_drop_record(struct ilea_transaction *txn, struct ilea_view_meta *meta, const struct ilea_view_row *row)
{
    uint8_t key[8];
    const uint64_t number = row->number;
    enum ilea_error error = ilea_view_delete_record(txn, meta, row);
    if (error == ILEA_ERROR_NONE) error = ilea_delete(txn, DB_ORPHANS, view_key_u64(key, number));
    return error == ILEA_ERROR_NONE ? ilea_delete(txn, DB_CONCEALED, view_key_u64(key, number)) : error;
}
