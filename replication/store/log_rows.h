/*
 * log_rows.h - how rows of the log are keyed and decoded, shared by log_*.c alone.
 */
#ifndef ILEA_STORE_LOG_ROWS_H
#define ILEA_STORE_LOG_ROWS_H

#include <string.h>

#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"
#include "replication/store/log_store.h"

enum log_database {
    LOG_META, LOG_FEEDS, LOG_FEED_IDS, LOG_COMMITS, LOG_CHAIN, LOG_AGENCIES, LOG_EPOCHS, LOG_COUNTERS,
    LOG_MANIFESTS, LOG_FORKS, LOG_NAMINGS, LOG_ARCHIVE, LOG_AUDIT, LOG_AUDIT_ACTS, LOG_PROPOSALS, LOG_INVITES,
    LOG_RECEIPTS, LOG_RECEIPT_STAMPS, LOG_RECEIPT_FROM, LOG_DOCUMENTS,
    LOG_ERASED, LOG_GONE, LOG_ERASE_DAYS, LOG_AUDIENCES, LOG_STATEMENTS
};

static inline struct ilea_span
log_key_u32(uint8_t key[4], uint32_t value)
{
    ilea_key_put_u32(key, value);
    return (struct ilea_span){ key, 4 };
}

static inline struct ilea_span
log_key_u64(uint8_t key[8], uint64_t value)
{
    ilea_key_put_u64(key, value);
    return (struct ilea_span){ key, 8 };
}

/* An id of 32 bytes with a number behind it. */
static inline struct ilea_span
log_key_id_u64(uint8_t key[ILEA_ID_SIZE + 8], const uint8_t id[ILEA_ID_SIZE], uint64_t number)
{
    memcpy(key, id, ILEA_ID_SIZE);
    ilea_key_put_u64(key + ILEA_ID_SIZE, number);
    return (struct ilea_span){ key, ILEA_ID_SIZE + 8 };
}

/* What does not decode in our own files is damage, not a peer's malice. */
static inline enum ilea_error
log_decoded(const struct ilea_msgpack_reader *reader)
{
    return ilea_msgpack_reader_done(reader) ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

/* log_store.c: a number in meta, 0 if it was never put. */
enum ilea_error ilea_log_meta_u64(struct ilea_transaction *txn, const char *name, uint64_t *value);
enum ilea_error ilea_log_put_meta_u64(struct ilea_transaction *txn, const char *name, uint64_t value);

/* log_store.c: a commit under the next position, and its place in the chain; taking that place away. */
enum ilea_error ilea_log_put_commit(struct ilea_transaction *txn, uint32_t feed, uint64_t seq,
                                    const struct ilea_commit_id *id, struct ilea_span commit,
                                    uint64_t *position);
/* log_store.c: other bytes for a commit, whose header they have too; they must not lie in the log's file. */
enum ilea_error ilea_log_replace_commit(struct ilea_transaction *txn, uint32_t feed, uint64_t seq,
                                        struct ilea_span commit);
/* log_store.c: the next position says that an item was erased. */
enum ilea_error ilea_log_put_marker(struct ilea_transaction *txn, uint32_t feed, uint64_t seq, uint32_t index);
enum ilea_error ilea_log_delete_chain(struct ilea_transaction *txn, uint32_t feed, uint64_t seq);

/* log_store.c: whose log it is. */
enum ilea_error ilea_log_own_agency(struct ilea_transaction *txn, struct ilea_agency_id *own);
/* log_epoch.c: epochs that are stated beyond `seq` of a feed are known to nobody any more. */
enum ilea_error ilea_log_forget_epochs(struct ilea_transaction *txn, uint32_t feed, uint64_t seq);
/* log_audience.c: nor is what a feed of a closed audience says beyond `seq`. */
enum ilea_error ilea_log_forget_controls(struct ilea_transaction *txn, const struct ilea_feed_row *feed, uint64_t seq);
/* log_audience.c: other statements count from here on. */
enum ilea_error ilea_log_controls_changed(struct ilea_transaction *txn);

/* log_erased.c: due rows that are stated beyond `seq` of a control feed do not count any more. The view is to be built
 * anew. What was carried out stays: nobody can bring it back. */
enum ilea_error ilea_log_forget_due(struct ilea_transaction *txn, const struct ilea_feed_row *control, uint64_t seq);

/* log_feed.c: the row as it stands in *feed, all of it. */
enum ilea_error ilea_log_store_feed(struct ilea_transaction *txn, const struct ilea_feed_row *feed);
/* log_feed.c: store *feed, whose seq, head, fork or named_seq changed from what `before` says; settles whether
 * it is archived. */
enum ilea_error ilea_log_settle_feed(struct ilea_transaction *txn, const struct ilea_feed_row *before,
                                     struct ilea_feed_row *feed);

/* log_archive.c: the highest seq up to feed->seq that an opening names with the id held, into named_seq. */
enum ilea_error ilea_log_find_naming(struct ilea_transaction *txn, struct ilea_feed_row *feed);
/* log_archive.c: whether an opening names this position of a feed. */
enum ilea_error ilea_log_is_named(struct ilea_transaction *txn, const struct ilea_feed_row *feed,
                                  uint64_t seq, const struct ilea_commit_id *id, bool *named);
/* log_archive.c: note or withdraw what the opening in a feed's first commit names. The commit's bytes must
 * not lie in the log's file. */
enum ilea_error ilea_log_note_opening(struct ilea_transaction *txn, const struct ilea_feed_row *feed,
                                      struct ilea_span commit, bool withdraw);
/* log_archive.c: a feed's last position goes into the archive, or leaves it. */
enum ilea_error ilea_log_archive_change(struct ilea_transaction *txn, const struct ilea_feed_row *feed,
                                        bool leaves);

#endif
