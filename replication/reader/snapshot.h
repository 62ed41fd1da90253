/*
 * snapshot.h - what the command line sees of a snapshot beyond include/ilea/replica.h.
 */
#ifndef ILEA_READER_SNAPSHOT_H
#define ILEA_READER_SNAPSHOT_H

#include "include/ilea/replica.h"
#include "replication/merge/record.h"
#include "replication/store/view_store.h"

/* The current record, merged; its row: borrowed until the next call on the snapshot. The view's transaction that it
 * reads in. */
const struct ilea_record *ilea_snapshot_record(const struct ilea_snapshot *snapshot);
struct ilea_transaction *ilea_snapshot_transaction(const struct ilea_snapshot *snapshot);
const struct ilea_view_row *ilea_snapshot_row(const struct ilea_snapshot *snapshot);

/* As ilea_view_history_next(): walks the changes of a record of our own agency. */
ILEA_MUST_USE enum ilea_error ilea_snapshot_history(struct ilea_snapshot *snapshot, uint64_t record,
                                                    uint64_t *lsn);

/* Where in `home` the current view lies. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_view_path(const char *home, char *path, size_t capacity,
                                             uint32_t *generation);

/* Text of a ref: code, letter, number, and a letter from b on for the index-th with that number. */
void ilea_ref_format(struct ilea_span code, char letter, uint32_t number, uint32_t index,
                     char ref[ILEA_REF_SIZE]);
/* The parts of a ref; false if it is none. The code borrows `ref`. */
bool ilea_ref_parse(const char *ref, struct ilea_span *code, char *letter, uint32_t *number,
                    uint32_t *index);

#endif
