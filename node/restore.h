/*
 * restore.h - what has to be settled between a restored log and what happened since it was backed up.
 */
#ifndef ILEA_NODE_RESTORE_H
#define ILEA_NODE_RESTORE_H

#include "include/ilea/error.h"
#include "replication/record/limits.h"

enum { ILEA_RESTORED_LIST_MAX = 64 };

struct ilea_restored {
    uint32_t merged;        /* refusals and withdrawn approvals that state/ knew of */
    uint32_t waiting_count; /* peers whose approval an admin has to confirm */
    char waiting[ILEA_RESTORED_LIST_MAX][ILEA_CODE_SIZE_MAX + 1]; /* their codes, the first ones */
};

/*
 * Refusals and withdrawn approvals in state/ hold. Where state/ knows nothing at all (the whole disk is old, or
 * another), a peer that is approved in the backup may have been revoked since: each is suspended until an admin
 * resumes it, unless `peers_unchanged`, which is an admin's word for all of them.
 * Takes the home's lock. Errors as ilea_log_open(), ilea_side_open(), ilea_home_lock().
 */
ILEA_MUST_USE enum ilea_error ilea_restore_settle(const char *home, bool peers_unchanged,
                                                  struct ilea_restored *restored);

#endif
