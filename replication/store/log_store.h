/*
 * log_store.h - the log: everything that must not be lost. Folder log/, mode 0700.
 *
 *   meta        "format", "identity"                      network, our agency, database id
 *   feeds       feed number u32               -> whose it is, last seq and commit id, the writer's own state
 *   feed_ids    feed id 32                    -> feed number
 *   commits     log position u64, appended    -> feed number u32 | seq u64 | the commit's bytes     (raw)
 *   chain       feed number u32 | seq u64     -> log position u64 | size u32 | commit id 32
 *   agencies    agency id 32                  -> state, card, number
 *   epochs      scope u8 | number u64 | epoch id 16 -> our own epochs: key sealed to ourselves, readers
 *   counters    type u32                      -> last number given out in a ref
 *
 * A commit is one value under an ever rising position: sequential writing costs an eighth of random
 * writing in LMDB, and readers of the log (the view) walk it in the order of arrival.
 *
 * A write transaction covers many commits (group commit). Nothing is visible or durable before its
 * commit returns. One writer a process, one process a log: guarded by the home's lock.
 */
#ifndef ILEA_STORE_LOG_STORE_H
#define ILEA_STORE_LOG_STORE_H

#include "crypto/keyring.h"
#include "include/ilea/id.h"
#include "replication/record/commit.h"
#include "replication/record/manifest.h"
#include "replication/record/statement.h"
#include "replication/store/environment.h"

enum { ILEA_LOG_FORMAT = 1, ILEA_DATABASE_ID_SIZE = 16 };

struct ilea_log_identity {
    struct ilea_network_id network;
    struct ilea_agency_id agency;
    uint8_t database[ILEA_DATABASE_ID_SIZE]; /* random, made with the log: a copy has the same */
};

struct ilea_feed_row {
    uint32_t number;
    struct ilea_feed_id id;
    struct ilea_feed_origin origin;
    uint64_t seq;                     /* last held; 0: opened and empty */
    struct ilea_commit_id head;
    uint64_t run;                     /* of our own: the last running number written, and its leaf */
    uint8_t last_leaf[ILEA_HASH_SIZE];
    bool closed;                      /* of our own: never written to again */
};

/* The same words everywhere: on screens, in JSON, in the log. */
enum ilea_agency_state {
    ILEA_AGENCY_SELF = 0,
    ILEA_AGENCY_PENDING,
    ILEA_AGENCY_APPROVED,
    ILEA_AGENCY_SUSPENDED,
    ILEA_AGENCY_REVOKED,
    ILEA_AGENCY_DECLINED
};
const char *ilea_agency_state_name(enum ilea_agency_state state);

struct ilea_agency_row {
    struct ilea_agency_id id;
    uint32_t number;                  /* small and local: in keys of the view */
    enum ilea_agency_state state;
    uint64_t changed_ms;              /* wall clock, for people */
    struct ilea_span card;            /* its bytes, borrowed from the transaction */
};

struct ilea_epoch_row {
    enum ilea_scope scope;
    uint64_t number;
    uint8_t aek_commit[ILEA_HASH_SIZE];
    struct ilea_commit_id statement;  /* the commit that carries it */
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE]; /* to our own reading key */
    uint32_t reader_count;
    struct ilea_span readers;         /* agency ids of the readers, ascending, 32 bytes each: borrowed */
};

struct ilea_chain_row {
    uint64_t position;
    uint32_t size;
    struct ilea_commit_id id;
};

struct ilea_log_commit {
    uint64_t position;
    uint32_t feed;
    uint64_t seq;
    struct ilea_span bytes;           /* borrowed from the transaction */
};

struct ilea_log;

/* Make a new log. `own` is our own agency's row. EXISTS if there is one. */
ILEA_MUST_USE enum ilea_error ilea_log_create(const char *path,
                                              const struct ilea_log_identity *identity,
                                              const struct ilea_agency_row *own);
/* Errors as ilea_environment_open(). */
ILEA_MUST_USE enum ilea_error ilea_log_open(const char *path, bool read_only,
                                            struct ilea_log **log);
void ilea_log_close(struct ilea_log *log);
const struct ilea_log_identity *ilea_log_identity(const struct ilea_log *log);
struct ilea_environment *ilea_log_environment(struct ilea_log *log);

/* Reading: inside any transaction of the log's environment. */
ILEA_MUST_USE enum ilea_error ilea_log_feed(struct ilea_transaction *txn, uint32_t number,
                                            struct ilea_feed_row *feed);
ILEA_MUST_USE enum ilea_error ilea_log_feed_by_id(struct ilea_transaction *txn,
                                                  const struct ilea_feed_id *id,
                                                  struct ilea_feed_row *feed);
/* Feeds in the order of their numbers: 1, 2, ... NOT_FOUND past the last. */
ILEA_MUST_USE enum ilea_error ilea_log_chain(struct ilea_transaction *txn, uint32_t feed,
                                             uint64_t seq, struct ilea_chain_row *row);
ILEA_MUST_USE enum ilea_error ilea_log_commit_at(struct ilea_transaction *txn, uint64_t position,
                                                 struct ilea_log_commit *commit);
/* Decode a commit that was read and check it against the id in its chain and its own items: LMDB checks
 * nothing. CORRUPT: damaged on the disk. */
ILEA_MUST_USE enum ilea_error ilea_log_check_commit(struct ilea_transaction *txn,
                                                    const struct ilea_log_commit *row,
                                                    struct ilea_commit *commit);
/* Last position used; 0 if the log is empty. */
ILEA_MUST_USE enum ilea_error ilea_log_last(struct ilea_transaction *txn, uint64_t *position);
ILEA_MUST_USE enum ilea_error ilea_log_agency(struct ilea_transaction *txn,
                                              const struct ilea_agency_id *id,
                                              struct ilea_agency_row *agency);
/* Walk all agencies by id: `after` NULL for the first. NOT_FOUND at the end. */
ILEA_MUST_USE enum ilea_error ilea_log_agency_next(struct ilea_transaction *txn,
                                                   const struct ilea_agency_id *after,
                                                   struct ilea_agency_row *agency);
/* Our own epochs of a scope, by index from 0 in the order of (number, id). NOT_FOUND past the last. */
ILEA_MUST_USE enum ilea_error ilea_log_epoch(struct ilea_transaction *txn, enum ilea_scope scope,
                                             uint32_t index, struct ilea_epoch_row *epoch);
ILEA_MUST_USE enum ilea_error ilea_log_counter(struct ilea_transaction *txn, uint32_t type,
                                               uint64_t *last);

/* Writing: inside a write transaction. */

/* A feed new to the log: gives it a number. */
ILEA_MUST_USE enum ilea_error ilea_log_add_feed(struct ilea_transaction *txn,
                                                struct ilea_feed_row *feed);
ILEA_MUST_USE enum ilea_error ilea_log_put_feed(struct ilea_transaction *txn,
                                                const struct ilea_feed_row *feed);
/* The next commit of *feed, whose seq and head are updated here and in the log.
 *   ILEA_ERROR_EXISTS  seq is not the next one */
ILEA_MUST_USE enum ilea_error ilea_log_append(struct ilea_transaction *txn,
                                              struct ilea_feed_row *feed, uint64_t seq,
                                              const struct ilea_commit_id *id,
                                              struct ilea_span commit, uint64_t *position);
/* agency->number 0: a new number is given. */
ILEA_MUST_USE enum ilea_error ilea_log_put_agency(struct ilea_transaction *txn,
                                                  struct ilea_agency_row *agency);
ILEA_MUST_USE enum ilea_error ilea_log_put_epoch(struct ilea_transaction *txn,
                                                 const struct ilea_epoch_row *epoch);
ILEA_MUST_USE enum ilea_error ilea_log_put_counter(struct ilea_transaction *txn, uint32_t type,
                                                   uint64_t last);

/* Equal on two nodes exactly when they hold the same shared feeds to the same heads:
 * H(FRONTIER, feed id || seq as u64 || head of every shared feed with commits, by feed id). */
ILEA_MUST_USE enum ilea_error ilea_log_frontier(struct ilea_transaction *txn,
                                                uint8_t hash[ILEA_HASH_SIZE]);

#endif
