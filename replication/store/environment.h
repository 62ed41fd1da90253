/*
 * environment.h - one LMDB environment, opened one way (and only this file calls mdb_).
 *
 * LMDB's default durability only: MDB_NOSYNC, NOMETASYNC, WRITEMAP and MAPASYNC
 * lost or damaged acknowledged data in replayed power losses. The environment is
 * made in a temporary folder, synced and renamed, because creation itself is not
 * crash-safe. Keys are short fixed layouts, no duplicates (MDB_DUPSORT) anywhere.
 *
 * LMDB has no checksums. A row written with put is followed by an 8-byte tag, a
 * hash of database, key and value; get checks it: a damaged row is CORRUPT and
 * never a wrong value. Rows written raw carry a hash of their own (commits).
 *
 * Ownership   a span from get borrows the file: valid until the transaction ends
 *             or, in a write transaction, until the next put or delete.
 * Threads     an environment may be shared; a transaction belongs to one thread
 *             at a time. One environment a path a process, and never across fork().
 */
#ifndef ILEA_STORE_ENVIRONMENT_H
#define ILEA_STORE_ENVIRONMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "include/ilea/error.h"
#include "include/ilea/span.h"

struct ilea_environment;
struct ilea_transaction;
struct ilea_cursor;

enum { ILEA_KEY_MAX = 96, ILEA_DATABASES_MAX = 32, ILEA_TAG_SIZE = 8 };

struct ilea_environment_options {
    const char *const *databases; /* names, NULL-terminated; a database is named by its position */
    uint32_t format;              /* version of what is stored; another one on disk is refused */
    bool read_only;
    bool create;                  /* make it if there is none */
};

/*
 * Open the environment in directory `path`. Gives *environment.
 *   ILEA_ERROR_NOT_FOUND   there is none
 *   ILEA_ERROR_VERSION     written in another format, newer or older
 *   ILEA_ERROR_CORRUPT     not an LMDB file, or damaged
 *   ILEA_ERROR_PERMISSION, ILEA_ERROR_FULL, ILEA_ERROR_IO, ILEA_ERROR_NO_MEMORY
 */
ILEA_MUST_USE enum ilea_error
ilea_environment_open(const char *path, const struct ilea_environment_options *options,
                      struct ilea_environment **environment);
void ilea_environment_close(struct ilea_environment *environment);

/* Bytes of the file in use, and of the whole map. */
void ilea_environment_usage(const struct ilea_environment *environment, uint64_t *used,
                            uint64_t *map);
/* Free the slots of readers that died. Once a minute. */
void ilea_environment_check_readers(struct ilea_environment *environment);

/* Begin. Gives *transaction; end it with commit (write only) or abort. A reader keeps pages from
 * being reused while it lives: seconds, not minutes.
 *   ILEA_ERROR_BUSY  too many readers */
ILEA_MUST_USE enum ilea_error ilea_transaction_begin(struct ilea_environment *environment,
                                                     bool write,
                                                     struct ilea_transaction **transaction);
/* Durable when it returns NONE; else nothing of it happened.
 *   ILEA_ERROR_FULL  disk full: nothing is lost, free space and try again
 *   ILEA_ERROR_IO    the environment is of no more use: end the process, start again */
ILEA_MUST_USE enum ilea_error ilea_transaction_commit(struct ilea_transaction *transaction);
void ilea_transaction_abort(struct ilea_transaction *transaction);

/* Row with a tag. NOT_FOUND, CORRUPT. */
ILEA_MUST_USE enum ilea_error ilea_get(struct ilea_transaction *transaction, unsigned database,
                                       struct ilea_span key, struct ilea_span *value);
ILEA_MUST_USE enum ilea_error ilea_put(struct ilea_transaction *transaction, unsigned database,
                                       struct ilea_span key, struct ilea_span value);
/* Row without. `append`: the key is higher than all others. */
ILEA_MUST_USE enum ilea_error ilea_get_raw(struct ilea_transaction *transaction, unsigned database,
                                           struct ilea_span key, struct ilea_span *value);
ILEA_MUST_USE enum ilea_error ilea_put_raw(struct ilea_transaction *transaction, unsigned database,
                                           struct ilea_span key, struct ilea_span first,
                                           struct ilea_span second, bool append);
/* Deleting what is not there is success. */
ILEA_MUST_USE enum ilea_error ilea_delete(struct ilea_transaction *transaction, unsigned database,
                                          struct ilea_span key);

/* Walk a database in key order. One cursor at a time is enough; end it before its transaction. */
ILEA_MUST_USE enum ilea_error ilea_cursor_open(struct ilea_transaction *transaction,
                                               unsigned database, struct ilea_cursor **cursor);
void ilea_cursor_close(struct ilea_cursor *cursor);
/* First row whose key is `from` or higher; then the following. Values as stored (tag included where
 * there is one: ilea_untag()). NOT_FOUND at the end. */
ILEA_MUST_USE enum ilea_error ilea_cursor_seek(struct ilea_cursor *cursor, struct ilea_span from,
                                               struct ilea_span *key, struct ilea_span *value);
ILEA_MUST_USE enum ilea_error ilea_cursor_next(struct ilea_cursor *cursor, struct ilea_span *key,
                                               struct ilea_span *value);
ILEA_MUST_USE enum ilea_error ilea_cursor_last(struct ilea_cursor *cursor, struct ilea_span *key,
                                               struct ilea_span *value);
/* Last row whose key is below `before`. */
ILEA_MUST_USE enum ilea_error ilea_cursor_below(struct ilea_cursor *cursor, struct ilea_span before,
                                                struct ilea_span *key, struct ilea_span *value);
/* Check and take off a row's tag. CORRUPT. */
ILEA_MUST_USE enum ilea_error ilea_untag(unsigned database, struct ilea_span key,
                                         struct ilea_span stored, struct ilea_span *value);

/* Big-endian integers in keys, so that byte order is sort order. */
void ilea_key_put_u32(uint8_t *at, uint32_t value);
void ilea_key_put_u64(uint8_t *at, uint64_t value);
uint32_t ilea_key_u32(const uint8_t *at);
uint64_t ilea_key_u64(const uint8_t *at);

/* Write what the environment holds at this moment to data.mdb in an existing `folder`, without free pages, while
 * others go on writing. Durable on return. The copy opens like the original.
 *   ILEA_ERROR_FULL, IO, NO_MEMORY; INVALID: the path is too long */
ILEA_MUST_USE enum ilea_error ilea_environment_copy(struct ilea_environment *environment, const char *folder);

#endif
