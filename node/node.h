/*
 * node.h - an opened home: configuration, keys, log, guard and author, under the home's lock. What the
 * daemon and the writing command line share.
 */
#ifndef ILEA_NODE_NODE_H
#define ILEA_NODE_NODE_H

#include "node/author.h"
#include "node/erased_file.h"
#include "node/home.h"
#include "node/side.h"
#include "node/view_builder.h"

struct ilea_ceremonies; /* node/ceremony.h */

struct ilea_node {
    char home[ILEA_PATH_SIZE];
    struct ilea_config config;
    int lock;                        /* -1: not held */
    struct ilea_keys keys;
    struct ilea_log *log;
    struct ilea_side *side;          /* what a restore must not undo */
    struct ilea_erased_file *erased; /* nor that */
    struct ilea_guard *guard;        /* NULL: none; new feeds at each start */
    enum ilea_error guard_error;     /* why not */
    struct ilea_author *author;
    uint32_t generation;             /* of the view */
    struct ilea_environment *view;
    struct ilea_view_builder *builder; /* only where the view is built in this process */
    struct ilea_ceremonies *ceremonies; /* the daemon's, borrowed; NULL: none */
};

/*
 * Open. The caller's memory; end with ilea_node_close(), also after a failure. `passphrase` may be NULL.
 * lock_wait_ms: how long to wait for another writer.
 *   ILEA_ERROR_NOT_FOUND   not a home       ILEA_ERROR_BUSY  another process writes here
 *   ILEA_ERROR_VERSION     of another version   ILEA_ERROR_PASSPHRASE, ILEA_ERROR_PERMISSION,
 *   ILEA_ERROR_INVALID     configuration    ILEA_ERROR_CORRUPT, ILEA_ERROR_FULL, ILEA_ERROR_NO_MEMORY
 * `reason` (ILEA_REASON_SIZE) always says in one line what to do.
 */
ILEA_MUST_USE enum ilea_error ilea_node_open(struct ilea_node *node, const char *home,
                                             const struct ilea_span *passphrase, int lock_wait_ms,
                                             char *reason);
void ilea_node_close(struct ilea_node *node);

/* A group commit is durable: if it entered something in the audit feed, state/ knows how far that has come. A failure
 * is mended by the next one, or when the node is opened again. */
void ilea_node_note_audit(struct ilea_node *node);

/* Open the current view for reading only; somebody else builds it. */
ILEA_MUST_USE enum ilea_error ilea_node_watch_view(struct ilea_node *node);
/* Go on without a view: what needs one waits until it is watched again. Outside begin and commit only. */
void ilea_node_drop_view(struct ilea_node *node);
/* Open the view for building in this process and bring it up to the log; a damaged one is rebuilt. */
ILEA_MUST_USE enum ilea_error ilea_node_build_view(struct ilea_node *node);

/* ms since 1970 UTC, for display; ms of a clock that never goes back. */
uint64_t ilea_wall_ms(void);
uint64_t ilea_monotonic_ms(void);

/* Enter in the audit feed, inside the author's group commit, whether four_eyes was switched on or off since it was seen
 * last: whoever does it by editing a file is seen. */
ILEA_MUST_USE enum ilea_error ilea_node_note_four_eyes(struct ilea_node *node);

/* Where this process builds the view, and has: erase what it found to be left over of erased records. */
ILEA_MUST_USE enum ilea_error ilea_node_erase_strays(struct ilea_node *node);

/* Read approvals, unverified, four_eyes and erase_day of ilea.conf again: they count from the next decision or write
 * on, without a restart. ILEA_ERROR_INVALID: it cannot be read; `reason` (ILEA_REASON_SIZE) says why, and nothing
 * leaves until it can. */
ILEA_MUST_USE enum ilea_error ilea_node_policy_again(struct ilea_node *node, char *reason);

#endif
