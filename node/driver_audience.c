/*
 * driver_audience.c - closed audiences on links: whom the replicator may tell of their feeds, by what is durable; and
 * what is done when more is stated about one.
 */
#include <stdlib.h>
#include <string.h>

#include "node/driver_state.h"

enum ilea_error
ilea_driver_load_audiences(struct driver *driver, struct ilea_transaction *txn)
{
    if (driver->audiences.cache == NULL) {
        enum ilea_error error = ilea_audience_cache_new(driver->node->log, &driver->audiences.cache);
        if (error != ILEA_ERROR_NONE) return error;
    }
    driver->audiences.count = 0;
    return ilea_log_controls_stamp(txn, driver->audiences.stamp);
}

void
ilea_driver_end_audiences(struct driver *driver)
{
    ilea_audience_cache_free(driver->audiences.cache);
    free(driver->audiences.changed);
    driver->audiences = (struct audiences){ .cache = NULL };
}

enum ilea_error
ilea_driver_note_audience(struct driver *driver, const struct ilea_audience_id *audience)
{
    struct audiences *audiences = &driver->audiences;
    for (uint32_t i = 0; i < audiences->count; i++) {
        if (memcmp(audiences->changed[i].bytes, audience->bytes, sizeof audience->bytes) == 0) return ILEA_ERROR_NONE;
    }
    if (audiences->count == audiences->capacity) {
        uint32_t larger = audiences->capacity == 0 ? 16 : audiences->capacity * 2;
        struct ilea_audience_id *moved = realloc(audiences->changed, larger * sizeof *moved);
        if (moved == NULL) return ILEA_ERROR_NO_MEMORY;
        audiences->changed = moved;
        audiences->capacity = larger;
    }
    audiences->changed[audiences->count++] = *audience;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_driver_answer_audiences(struct driver *driver)
{
    struct ilea_author *author = driver->node->author;
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < driver->audiences.count; i++) {
        error = ilea_author_audience_changed(author, &driver->audiences.changed[i]);
    }
    uint32_t count;
    const struct ilea_audience_id *own = ilea_author_changed(author, &count);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < count; i++) {
        error = ilea_driver_note_audience(driver, &own[i]);
    }
    return error;
}

/* All that there are: an agency whose statements count was taken in or put out. */
static enum ilea_error
note_all(struct driver *driver, struct ilea_transaction *txn)
{
    struct ilea_audience_row row;
    struct ilea_audience_id last;
    const struct ilea_audience_id *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_audience_next(txn, after, &row)) == ILEA_ERROR_NONE) {
        last = row.audience;
        after = &last;
        error = ilea_driver_note_audience(driver, &last);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

void
ilea_driver_tell_audiences(struct driver *driver)
{
    struct audiences *audiences = &driver->audiences;
    const struct ilea_replicator *told = driver->replicator;
    uint8_t stamp[ILEA_CONTROLS_STAMP_SIZE];
    struct ilea_transaction *txn = NULL;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_log_controls_stamp(txn, stamp);
    bool is_other = error == ILEA_ERROR_NONE && memcmp(stamp, audiences->stamp, sizeof stamp) != 0;
    if (is_other && audiences->count == 0) error = note_all(driver, txn);
    ilea_transaction_abort(txn);
    if (error != ILEA_ERROR_NONE) { /* nobody may be told anything by what was known before */
        ilea_driver_recover(driver, "log_read", error);
        return;
    }
    memcpy(audiences->stamp, stamp, sizeof stamp);
    const uint32_t count = audiences->count;
    struct ilea_audience_id *changed = audiences->changed; /* what follows from telling may change others */
    *audiences = (struct audiences){ .cache = audiences->cache };
    memcpy(audiences->stamp, stamp, sizeof stamp);
    for (uint32_t i = 0; i < count && driver->replicator == told; i++) {
        struct ilea_event event = { .type = ILEA_EVENT_AUDIENCE, .audience = changed[i] };
        ilea_driver_step(driver, &event);
    }
    if (count > 0) ilea_driver_own_changed(driver); /* of which of our feeds others are told */
    free(changed);
}

/*
 * By what is durable alone: whoever is to be let in is not told anything that a crash could take back, and who is put
 * out is told nothing from the moment on where it is durable.
 */
bool
ilea_driver_entitled(struct driver *driver, const struct ilea_agency_id *agency,
                     const struct ilea_audience_id *audience)
{
    struct ilea_transaction *txn = NULL;
    if (ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn) != ILEA_ERROR_NONE) return false;
    bool is = ilea_audience_entitled(driver->audiences.cache, txn, agency, audience);
    ilea_transaction_abort(txn);
    return is;
}
