/*
 * author.h - writes for our own agency: puts become changes, changes become signed commits in the log.
 *
 * One author a home, under the home's lock: the daemon's, or the command line's when no daemon runs.
 *
 *   begin -> put ... put -> commit      one group commit: durable when commit returns
 *
 * It keeps the rules of writing: a record changes only by its owner; a change names the values it
 * replaces; a feed goes on only with the guard's permission, else a new incarnation is opened; what all
 * peers may read is encrypted under an epoch whose readers are exactly the agencies approved now; with four eyes
 * nothing that others would read is written but what a second admin approved (trust_release.c).
 */
#ifndef ILEA_NODE_AUTHOR_H
#define ILEA_NODE_AUTHOR_H

#include "node/guard.h"
#include "node/keys.h"
#include "replication/record/put.h"
#include "replication/record/release.h"
#include "replication/store/log_store.h"
#include "replication/store/view_store.h"

struct ilea_author;
struct ilea_erased_file; /* node/erased_file.h */

enum ilea_put_outcome {
    ILEA_PUT_CREATED = 1,
    ILEA_PUT_UPDATED,
    ILEA_PUT_UNCHANGED,
    ILEA_PUT_REVIEW        /* others would read it, and somebody has to approve that first: nothing was written */
};

struct ilea_put_result {
    enum ilea_put_outcome outcome;
    struct ilea_record_id id;
    char ref[48];                    /* "" where the type has none */
    /* REVIEW: what a release says of it. */
    bool is_shared;                  /* others have the record already */
    enum ilea_scope scope;           /* for whom it would be, */
    struct ilea_audience_id audience; /* of scope AUDIENCE; zeros else; */
    uint32_t label;                  /* that would go with it */
    uint8_t base[ILEA_HASH_SIZE];    /* of the record as it stands; zeros: there is none yet */
    char reason[ILEA_REASON_SIZE];   /* on failure: one line for people */
};

/* A commit of ours that a group commit made durable. */
struct ilea_author_commit {
    struct ilea_feed_row feed;
    uint64_t seq;
    struct ilea_commit_id id;
};

/* Borrows all until free; `guard` may be NULL: new feeds at each start. */
ILEA_MUST_USE enum ilea_error ilea_author_new(struct ilea_log *log, const struct ilea_keys *keys,
                                              struct ilea_guard *guard,
                                              struct ilea_author **author);
void ilea_author_free(struct ilea_author *author);

/* The view to look records up in; borrowed until the next call. Outside begin and commit only. */
void ilea_author_use_view(struct ilea_author *author, struct ilea_environment *view);

/* Where what is erased is written down before the transaction that it belongs to; borrowed. Each group commit syncs it
 * first, and an abort drops what was added. NULL: nothing can be erased. */
void ilea_author_use_erased(struct ilea_author *author, struct ilea_erased_file *erased);
struct ilea_erased_file *ilea_author_erased(const struct ilea_author *author);

/* Log position up to which the view must have come before everything written so far can be seen in it. */
uint64_t ilea_author_position(const struct ilea_author *author);

/* Begin a group commit. Errors as ilea_transaction_begin(). */
ILEA_MUST_USE enum ilea_error ilea_author_begin(struct ilea_author *author, uint64_t now_ms);
/* The write transaction of the group commit, for what must become durable with it. */
struct ilea_transaction *ilea_author_transaction(struct ilea_author *author);

/*
 * Write one put. On failure nothing of it is written and result->reason says why.
 *   ILEA_ERROR_BUSY       the view has not caught up with an earlier write of this record: commit,
 *                         wait until it has come to ilea_author_position(), and put again
 *   ILEA_ERROR_INVALID    a field or value that is not allowed; LIMIT: too large
 *   ILEA_ERROR_NOT_OWNER  the record belongs to another agency
 *   ILEA_ERROR_NOT_FOUND, ILEA_ERROR_EXISTS
 *   others: abort
 */
ILEA_MUST_USE enum ilea_error ilea_author_put(struct ilea_author *author, const struct ilea_put *put,
                                              struct ilea_put_result *result);

/* With four eyes ilea_author_put() writes nothing that others would read, but that a record is withdrawn. */
void ilea_author_set_four_eyes(struct ilea_author *author, bool four_eyes);
/* What a put would come to: UNCHANGED or REVIEW, or why it is refused; nothing is written. As ilea_author_put(). */
ILEA_MUST_USE enum ilea_error ilea_author_review(struct ilea_author *author, const struct ilea_put *put,
                                                 struct ilea_put_result *result);
/* As ilea_author_put() without four eyes: for what was approved. */
ILEA_MUST_USE enum ilea_error ilea_author_release(struct ilea_author *author, const struct ilea_put *put,
                                                  struct ilea_put_result *result);
/* Whether the view that the group commit sees shows all that was written before it. */
bool ilea_author_sees_all(const struct ilea_author *author);

/* Of the group commit: whose it is, with which keys, and the wall clock it was begun with. */
const struct ilea_log_identity *ilea_author_identity(const struct ilea_author *author);
const struct ilea_keys *ilea_author_keys(const struct ilea_author *author);
uint64_t ilea_author_now(const struct ilea_author *author);

/* The group commit enters something in the audit feed; whether the last one that was durable did. */
void ilea_author_note_audit(struct ilea_author *author);
bool ilea_author_was_audited(const struct ilea_author *author);

/* Whether an error of put concerns this put alone, so that others may go on. */
bool ilea_author_refuses(enum ilea_error error);

/* Who is approved has changed in this transaction: start an epoch that they can read, and hand them the
 * earlier keys. Does nothing as long as nothing was ever shared. */
ILEA_MUST_USE enum ilea_error ilea_author_readers_changed(struct ilea_author *author);

/* More is known of a closed audience now: if it is ours, add members anew whose reading key has changed, and hand keys
 * of earlier epochs to those who may have them and do not. */
ILEA_MUST_USE enum ilea_error ilea_author_audience_changed(struct ilea_author *author,
                                                           const struct ilea_audience_id *audience);
/* Closed audiences of which this group commit states who is in them: whoever is told of their feeds may be another.
 * Borrowed until the next begin. */
const struct ilea_audience_id *ilea_author_changed(const struct ilea_author *author, uint32_t *count);

/* A commit of ours that was lost here came back from a peer and is in the transaction: keep the keys of
 * the epochs it states, so that they can be handed to readers who come later. */
ILEA_MUST_USE enum ilea_error ilea_author_take_back(struct ilea_author *author,
                                                    struct ilea_span commit,
                                                    const struct ilea_commit_id *id);

/* A peer holds a commit of this feed of ours that we lack: never write to it again. */
ILEA_MUST_USE enum ilea_error ilea_author_close_feed(struct ilea_author *author,
                                                     const struct ilea_feed_id *feed);

/* Make it durable, then the guard. *commits: what was written, borrowed until the next begin.
 * On failure nothing was.
 *   ILEA_ERROR_BUSY  the machine was put back to an earlier state: write again, in new incarnations */
ILEA_MUST_USE enum ilea_error ilea_author_commit(struct ilea_author *author,
                                                 const struct ilea_author_commit **commits,
                                                 uint32_t *count);
void ilea_author_abort(struct ilea_author *author);

/* The feed of a scope that is being written; number 0: none yet. Not of scope AUDIENCE, of which there are many. */
const struct ilea_feed_row *ilea_author_feed(const struct ilea_author *author,
                                             enum ilea_scope scope);
/* All feeds that are being written, index from 0; number 0: none there. NULL past the last. Borrowed until the next
 * call. */
const struct ilea_feed_row *ilea_author_feed_at(const struct ilea_author *author, uint32_t index);
/* Whether the feed with this number in the log is one of them. */
bool ilea_author_writes(const struct ilea_author *author, uint32_t feed);

#endif
