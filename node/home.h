/*
 * home.h - the folder a node lives in:
 *
 *   ilea.conf    configuration (config/config.h)
 *   keys/        secret keys, mode 0600 each; root.key and next-root.key may be moved to a safe
 *   log/         LMDB: everything that must not be lost
 *   view/N/      LMDB: rebuildable; view/current names N; view/damaged: it is to be rebuilt
 *   blobs/       documents, encrypted (node/blob_file.h)
 *   state/       trust.side: what a restored database must not undo (node/side.h)
 *   state/lock   locked by whoever writes: the daemon, or the command line when no daemon runs
 *   control.sock the daemon's control socket
 *
 * All of it is 0700 or 0600 and belongs to one user.
 */
#ifndef ILEA_NODE_HOME_H
#define ILEA_NODE_HOME_H

#include "config/config.h"
#include "include/ilea/error.h"

enum { ILEA_PATH_SIZE = 1024, ILEA_HOME_SIZE_MAX = 800 };

/* --home, else $ILEA_HOME, else /var/lib/ilea; made absolute. INVALID: too long. */
ILEA_MUST_USE enum ilea_error ilea_home_choose(const char *option, char home[ILEA_PATH_SIZE]);
void ilea_home_path(const char *home, const char *name, char path[ILEA_PATH_SIZE]);
/* A folder with a log in it. */
bool ilea_home_exists(const char *home);

/* False on a network file system, where LMDB's locks and memory map do not work: `path` or its parent. */
bool ilea_home_is_local(const char *path);

/* Make the folders of a new home. EXISTS: there is a home already; INVALID: on a network file
 * system; PERMISSION, FULL, IO. */
ILEA_MUST_USE enum ilea_error ilea_home_create(const char *home);
/* Take back a home that could not be made whole: call it only after ilea_home_create() made this one. A folder
 * that holds anything else stays. */
void ilea_home_take_back(const char *home);
/* Write a small file by a temporary name, fsync and rename. */
ILEA_MUST_USE enum ilea_error ilea_home_write_file(const char *home, const char *name,
                                                   const void *bytes, size_t size);

/* Make what was created or renamed in a folder of the home durable. */
ILEA_MUST_USE enum ilea_error ilea_home_sync(const char *home, const char *folder);

/* Lock for writing, waiting at most wait_ms. Gives *lock (a file descriptor; close it).
 * BUSY: somebody else writes. */
ILEA_MUST_USE enum ilea_error ilea_home_lock(const char *home, int wait_ms, int *lock);

/* Read ilea.conf; a home without one has the defaults. INVALID: `reason` (200 bytes) names line and fault. */
ILEA_MUST_USE enum ilea_error ilea_home_config(const char *home, struct ilea_config *config,
                                               char *reason);

#endif
