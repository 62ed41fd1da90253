/*
 * backup.h - a copy of a home that another home can be made of:
 *
 *   DIR/backup.json  who and when, and the hash of every other file
 *   DIR/ilea.conf    DIR/keys/NAME.key
 *   DIR/log/data.mdb one moment of the log; taken while a daemon writes, too
 *   DIR/blobs/ROOT/  documents of our own: nobody else may have fetched them
 *
 * Neither view/, which is rebuilt, nor documents of others, which are fetched again, nor state/, which holds what a
 * restore must not undo, nor the guard: so a node that was restored opens new feeds, and gets back from its peers what
 * it wrote after the backup.
 */
#ifndef ILEA_NODE_BACKUP_H
#define ILEA_NODE_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "replication/record/limits.h"

struct ilea_backup {
    char code[ILEA_CODE_SIZE_MAX + 1];
    struct ilea_agency_id agency;
    uint64_t made_ms;          /* wall clock */
    uint64_t position;         /* of the log */
    uint32_t key_files;
    bool keys_protected;       /* every one of them has a passphrase */
    uint32_t documents;        /* of our own, whole */
};

/* Copy the home to `folder`, which is made if it is not there and must be empty. Durable on return. On failure what
 * was copied stays, without a backup.json, so that nothing restores it. `reason` (ILEA_REASON_SIZE).
 *   EXISTS, FULL, PERMISSION, IO, NO_MEMORY, CORRUPT */
ILEA_MUST_USE enum ilea_error ilea_backup_make(const char *home, const char *folder, struct ilea_backup *backup,
                                               char *reason);

/* Read backup.json and compare the hash of every file.
 *   NOT_FOUND: no backup; CORRUPT: not what was written; VERSION: made by another version */
ILEA_MUST_USE enum ilea_error ilea_backup_check(const char *folder, struct ilea_backup *backup, char *reason);

/* Make `home` of a backup that was checked. A log and a view that are there are moved to
 * before-restore-N/ first, with keys and ilea.conf; state/ and blobs/ stay. `home` is locked by the caller if it
 * exists. *aside: the folder's name, "" if nothing was there. */
ILEA_MUST_USE enum ilea_error ilea_backup_restore(const char *folder, const char *home, char aside[64],
                                                  char *reason);

#endif
