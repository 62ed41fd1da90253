/*
 * view_rows.h - how rows of the view are keyed, shared by view_*.c of the store alone.
 */
#ifndef ILEA_STORE_VIEW_ROWS_H
#define ILEA_STORE_VIEW_ROWS_H

#include "replication/store/view_store.h"

/* In the order of the names in view_store.c. */
enum view_database { DB_META, DB_RECORDS, DB_IDS, DB_TYPES, DB_REFS, DB_CHANGES, DB_PARKED, DB_EPOCHS, DB_AGENCIES,
                     DB_UNREAD, DB_HISTORY, DB_RECORD_CHANGES, DB_CHANGE_RECORDS, DB_STRAYS, DB_ORPHANS,
                     DB_CONCEALED, DB_DOCUMENTS, DB_EPOCH_PLACES, DB_STATEMENTS, DB_AUDIENCES, DB_STALE };

static inline struct ilea_span
view_key_u64(uint8_t key[8], uint64_t value)
{
    ilea_key_put_u64(key, value);
    return (struct ilea_span){ key, 8 };
}

/* view_store.c: the first row whose key comes after `key`. */
enum ilea_error ilea_view_row_after(struct ilea_cursor *cursor, struct ilea_span key, struct ilea_span *found,
                                    struct ilea_span *value);
/* view_store.c: a record's rows in records, ids, types and refs go; the digest and the numbers follow. */
enum ilea_error ilea_view_delete_record(struct ilea_transaction *txn, struct ilea_view_meta *meta,
                                        const struct ilea_view_row *row);

#endif
