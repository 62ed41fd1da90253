/*
 * driver_audience.c - closed audiences in the daemon: whom the replicator may tell of their feeds, and whom keys are
 * handed to when more is known of them.
 *
 * What a peer may be told is judged by what is durable alone: a statement that lets somebody in could still be lost.
 */
#include <string.h>

#include "node/driver_state.h"

bool
ilea_driver_is_entitled(struct driver *driver, const struct ilea_agency_id *agency,
                        const struct ilea_audience_id *audience)
{
    struct ilea_transaction *txn = NULL;
    if (ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn) != ILEA_ERROR_NONE) return false;
    bool is = ilea_audience_entitled(driver->audiences.durable, txn, agency, audience);
    ilea_transaction_abort(txn);
    return is;
}

void
ilea_driver_touch_audience(struct driver *driver, const struct ilea_audience_id *audience)
{
    struct audiences *audiences = &driver->audiences;
    for (uint32_t i = 0; i < audiences->due_count; i++) {
        if (memcmp(audiences->due[i].bytes, audience->bytes, sizeof audience->bytes) == 0) return;
    }
    if (audiences->due_count == AUDIENCES_DUE_MAX) {
        audiences->all_due = true;
        return;
    }
    audiences->due[audiences->due_count++] = *audience;
}

typedef enum ilea_error call_audience(struct driver *driver, const struct ilea_audience_id *audience);

static enum ilea_error
for_all(struct driver *driver, struct ilea_transaction *txn, call_audience *call)
{
    struct ilea_audience_row row;
    struct ilea_audience_id last;
    const struct ilea_audience_id *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_audience_next(txn, after, &row)) == ILEA_ERROR_NONE) {
        last = row.audience;
        after = &last;
        error = call(driver, &last);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static enum ilea_error
for_each_due(struct driver *driver, struct ilea_transaction *txn, call_audience *call)
{
    const struct audiences *audiences = &driver->audiences;
    enum ilea_error error = ILEA_ERROR_NONE;
    if (audiences->all_due) return for_all(driver, txn, call);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < audiences->due_count; i++) {
        error = call(driver, &audiences->due[i]);
    }
    return error;
}

static enum ilea_error
hand_over(struct driver *driver, const struct ilea_audience_id *audience)
{
    return ilea_author_audience_changed(driver->node->author, audience);
}

enum ilea_error
ilea_driver_hand_over(struct driver *driver)
{
    return for_each_due(driver, ilea_author_transaction(driver->node->author), hand_over);
}

static enum ilea_error
tell(struct driver *driver, const struct ilea_audience_id *audience)
{
    struct ilea_event event = { .type = ILEA_EVENT_AUDIENCE };
    event.audience = *audience;
    ilea_driver_step(driver, &event);
    return ILEA_ERROR_NONE;
}

void
ilea_driver_tell_audiences(struct driver *driver)
{
    struct ilea_transaction *txn = NULL;
    uint32_t count = 0;
    const struct ilea_audience_id *own = ilea_author_changed(driver->node->author, &count);
    for (uint32_t i = 0; i < count; i++) ilea_driver_touch_audience(driver, &own[i]);
    if (driver->audiences.due_count == 0 && !driver->audiences.all_due) return;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = for_each_due(driver, txn, tell);
    ilea_transaction_abort(txn);
    driver->audiences.due_count = 0;
    driver->audiences.all_due = false;
    if (error != ILEA_ERROR_NONE) ilea_driver_recover(driver, "log_read", error);
}

void
ilea_driver_tell_all_audiences(struct driver *driver)
{
    struct ilea_transaction *txn = NULL;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = for_all(driver, txn, tell);
    ilea_transaction_abort(txn);
    if (error != ILEA_ERROR_NONE) ilea_driver_recover(driver, "log_read", error);
}

enum ilea_error
ilea_driver_begin_audiences(struct driver *driver)
{
    enum ilea_error error = ilea_audience_cache_new(&driver->audiences.durable);
    return error == ILEA_ERROR_NONE ? ilea_audience_cache_new(&driver->audiences.open) : error;
}

void
ilea_driver_end_audiences(struct driver *driver)
{
    ilea_audience_cache_free(driver->audiences.durable);
    ilea_audience_cache_free(driver->audiences.open);
}
