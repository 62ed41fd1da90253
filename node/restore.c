#include "node/restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/agency.h"
#include "node/home.h"
#include "node/side.h"

/* Every approved peer waits for an admin. */
static enum ilea_error
suspend_all(struct ilea_transaction *txn, struct ilea_restored *restored)
{
    static const char why[] = "restored without state/: confirm with ilea peer resume";
    struct ilea_agency *agency = malloc(sizeof *agency);
    if (agency == NULL) return ILEA_ERROR_NO_MEMORY;
    const struct ilea_agency_id *after = NULL;
    struct ilea_agency_id last;
    enum ilea_error error;
    while ((error = ilea_agency_next(txn, after, agency)) == ILEA_ERROR_NONE) {
        last = agency->row.id;
        after = &last;
        if (agency->row.state != ILEA_AGENCY_APPROVED) continue;
        if (restored->waiting_count < ILEA_RESTORED_LIST_MAX) {
            struct ilea_span code = agency->manifest.code;
            (void)snprintf(restored->waiting[restored->waiting_count++], sizeof restored->waiting[0], "%.*s",
                           (int)code.size, (const char *)code.data);
        }
        agency->row.state = ILEA_AGENCY_SUSPENDED;
        agency->row.reason = (struct ilea_span){ (const uint8_t *)why, sizeof why - 1 };
        error = ilea_log_put_agency(txn, &agency->row);
        if (error != ILEA_ERROR_NONE) break;
    }
    free(agency);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

enum ilea_error
ilea_restore_settle(const char *home, bool peers_unchanged, struct ilea_restored *restored)
{
    char path[ILEA_PATH_SIZE];
    int lock = -1;
    struct ilea_log *log = NULL;
    struct ilea_side *side = NULL;
    struct ilea_transaction *txn = NULL;
    *restored = (struct ilea_restored){ .merged = 0 };
    enum ilea_error error = ilea_home_lock(home, 1000, &lock);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_home_path(home, "log", path);
    error = ilea_log_open(path, false, &log);
    if (error == ILEA_ERROR_NONE) error = ilea_side_open(home, &side);
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(ilea_log_environment(log), true, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_side_merge(side, txn, &restored->merged);
    if (error == ILEA_ERROR_NONE && !peers_unchanged && ilea_side_is_empty(side)) error = suspend_all(txn, restored);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_transaction_commit(txn);
    } else {
        ilea_transaction_abort(txn);
    }
    ilea_side_close(side);
    ilea_log_close(log);
    close(lock);
    return error;
}
