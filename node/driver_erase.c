/* driver_erase.c - what is left to erase: what the view found, and what other agencies' allowances kept back. */
#include <stdio.h>

#include "node/driver_state.h"
#include "node/erase.h"

static void
say_count(struct driver *driver, const char *event, uint32_t count)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%u", count);
    if (count > 0) ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, event, "count", text, NULL);
}

/* In a group commit of its own, so that the view that the author looks into is all there is. */
static void
erase_strays(struct driver *driver)
{
    struct ilea_transaction *txn = NULL;
    uint32_t count = 0;
    if (driver->node->view == NULL || driver->next_generation != 0) return;
    enum ilea_error error = ilea_transaction_begin(driver->node->view, false, &txn);
    bool has = error == ILEA_ERROR_NONE && ilea_erase_has_strays(txn);
    ilea_transaction_abort(txn);
    if (!has) return;
    ilea_driver_commit_turn(driver);
    if (driver->trouble) return;
    error = ilea_driver_transaction(driver);
    if (error == ILEA_ERROR_NONE) error = ilea_author_erase_strays(driver->node->author, &count);
    if (error == ILEA_ERROR_BUSY) { /* the next report of the view asks again */
        ilea_author_abort(driver->node->author);
        return;
    }
    if (error != ILEA_ERROR_NONE) {
        ilea_driver_recover(driver, "erase", error);
        return;
    }
    ilea_driver_commit_turn(driver);
    say_count(driver, "strays_erased", count);
}

static void
erase_due(struct driver *driver)
{
    uint32_t count = 0;
    enum ilea_error error = ilea_driver_transaction(driver);
    if (error == ILEA_ERROR_NONE) error = ilea_erase_due(driver->node->author, &count);
    if (error != ILEA_ERROR_NONE) ilea_driver_recover(driver, "erase", error);
    else say_count(driver, "due_erased", count);
}

void
ilea_driver_tend_erased(struct driver *driver, uint64_t now)
{
    if (driver->trouble || driver->reloading) return;
    if (driver->strays) {
        driver->strays = false;
        erase_strays(driver);
    }
    if (driver->trouble || now < driver->erase_check_ms) return;
    driver->erase_check_ms = now + ERASE_CHECK_MS;
    erase_due(driver);
}
