/*
 * erased_file.h - what is erased, where a restored database cannot forget it: state/erased, which `ilea backup` leaves
 * out.
 *
 * Every row of the log's erasure set that is not due, and of our own erased records, written and synced before the
 * transaction that they belong to (ilea_author_commit() sees to it) and merged into the log before anything is served.
 * What this file lacks, because state/ was lost or damaged, is written again from the log.
 *
 *   file    row ...                   body | tag 8: first bytes of H(SIDE, body)
 *   body    1 | agency 32 | feed 16 | seq u64 | index u32 | leaf 32            an item is erased
 *         | 3 | the same                                                      silent: for our agency alone
 *         | 2 | type u32 | record id 16 | audience 16 | time u64 | ref u32 | dots u32 | size u16 | reason 200
 *                                                                             a record of ours; zeros behind the reason
 *
 * Rows stand alone: what a crash tore off or the disk damaged is skipped, and the file written anew without it.
 *
 * Under the home's lock. Threads: one.
 */
#ifndef ILEA_NODE_ERASED_FILE_H
#define ILEA_NODE_ERASED_FILE_H

#include "replication/store/log_store.h"

enum { ILEA_ERASED_ROW_MAX = 1 + 4 + 16 + 16 + 8 + 4 + 4 + 2 + ILEA_GONE_REASON_MAX + 8 };

struct ilea_erased_file;

/* Gives *file; end with ilea_erased_file_close(). IO, FULL, PERMISSION, NO_MEMORY */
ILEA_MUST_USE enum ilea_error ilea_erased_file_open(const char *home, struct ilea_erased_file **file);
void ilea_erased_file_close(struct ilea_erased_file *file);

/* Rows to be written with the next sync. NO_MEMORY */
ILEA_MUST_USE enum ilea_error ilea_erased_file_add_dots(struct ilea_erased_file *file,
                                                        const struct ilea_agency_id *agency,
                                                        const struct ilea_erased_dot *dots, uint32_t count,
                                                        bool silent);
ILEA_MUST_USE enum ilea_error ilea_erased_file_add_gone(struct ilea_erased_file *file,
                                                        const struct ilea_gone_row *gone);
/* Durable on return. IO, FULL: do not go on with what they belong to. */
ILEA_MUST_USE enum ilea_error ilea_erased_file_sync(struct ilea_erased_file *file);
/* What was added since the last sync is not to be written after all. */
void ilea_erased_file_drop(struct ilea_erased_file *file);

/* Bring log and file in line, each with what only the other knows. *changed: rows that were new to the log. Inside a
 * write transaction of the log. */
ILEA_MUST_USE enum ilea_error ilea_erased_file_merge(struct ilea_erased_file *file, struct ilea_transaction *txn,
                                                     uint32_t *changed);

/* Pure: the row at the start of `input`; the function that is fuzzed. Spans borrow it.
 *   ILEA_ERROR_NOT_FOUND  not whole
 *   ILEA_ERROR_CORRUPT    no row, or damaged */
struct ilea_erased_record {
    bool is_gone;
    struct ilea_agency_id agency;   /* of a dot, as the next two */
    struct ilea_erased_dot dot;
    bool silent;
    struct ilea_gone_row gone;      /* else */
    size_t size;
};
ILEA_MUST_USE enum ilea_error ilea_erased_record_decode(struct ilea_span input, struct ilea_erased_record *record);

#endif
