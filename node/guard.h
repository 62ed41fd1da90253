/*
 * guard.h - permission to go on with a feed, and nothing else gives it.
 *
 * A signed log must never have two commits with one number. After a restore, in a clone, or after a
 * crash that forgot something, going on from what the database holds would do just that. So the last
 * written position of each current feed also stands in memory-backed storage: gone after a boot, in no
 * backup. It matches if it is of this boot, machine and database, and its commit is in the log; else the
 * node opens a new incarnation, a new feed. (PROTOCOL.md, "Incarnations"; the Spin model behind
 * it says why nothing weaker does.)
 *
 * Order: log durable, then ilea_guard_write(), then publish. A log ahead of the guard is normal; a guard
 * ahead of the log is a mismatch.
 *
 * The file is locked as long as it is open, so that two copies of a database on one machine never both
 * hold permission.
 *
 * A running machine that is put back with its memory takes the guard with it. Where the hypervisor tells of
 * that by a generation id, it is part of the guard, and is looked at before a commit is made durable and
 * again before it is published. Both are needed (the Spin model, GENTWICE): with the second alone, a commit that was
 * pending in the snapshot becomes durable and is published later.
 */
#ifndef ILEA_NODE_GUARD_H
#define ILEA_NODE_GUARD_H

#include "replication/store/log_store.h"

struct ilea_guard;

/* Where a current feed stands, and for whom it is; seq 0: there is none. */
struct ilea_guard_entry {
    enum ilea_scope scope;
    struct ilea_audience_id audience; /* of scope AUDIENCE; zeros else */
    struct ilea_feed_id feed;
    uint64_t seq;
    struct ilea_commit_id id;
};

enum { ILEA_GUARD_SLOTS = 256 }; /* each holds one feed, and has a checksum of its own */

/*
 * Open the guard of a database. `folder`: configured one, or "" for $RUNTIME_DIRECTORY, /run/ilea,
 * /dev/shm, whichever is memory-backed and writable first. `generation`: a file whose content changes when
 * the machine was put back, or "" for QEMU's, where it can be read. Gives *guard.
 *   ILEA_ERROR_INVALID    `generation` is configured and cannot be read
 *   ILEA_ERROR_NOT_FOUND  no memory-backed folder: run without a guard; each start opens new feeds
 *   ILEA_ERROR_BUSY       a copy of this database is running on this machine: the same
 */
ILEA_MUST_USE enum ilea_error ilea_guard_open(const char *folder, const char *generation,
                                              const uint8_t database[ILEA_DATABASE_ID_SIZE],
                                              struct ilea_guard **guard);
void ilea_guard_close(struct ilea_guard *guard);

/* False: the machine was put back since the guard was opened or last said so. What is not durable must not become so,
 * and every feed must go on in a new incarnation. The guard is one of the new generation from here on. */
ILEA_MUST_USE bool ilea_guard_is_alone(struct ilea_guard *guard);

/* What a slot says; all zero if it is new, torn, or of another boot, machine or database. */
void ilea_guard_read(const struct ilea_guard *guard, uint32_t slot, struct ilea_guard_entry *entry);
/* In place of what the slot said. ILEA_ERROR_IO: all slots are empty now; what is durable may be published, but go
 * on in new incarnations. */
ILEA_MUST_USE enum ilea_error ilea_guard_write(struct ilea_guard *guard, uint32_t slot,
                                               const struct ilea_guard_entry *entry);

#endif
