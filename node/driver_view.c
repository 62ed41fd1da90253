/*
 * driver_view.c - the view worker: starting it, following it, and going over to a rebuilt generation.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

#include "crypto/random.h"
#include "node/driver_state.h"
#include "node/view.h"

/* Abandon this generation of the view and build the next one beside it. */
static void
rebuild_view(struct driver *driver)
{
    char text[16];
    uint32_t next = (driver->next_generation != 0 ? driver->next_generation : driver->node->generation) + 1;
    enum ilea_error error = ilea_view_make(driver->node->home, next);
    if (error != ILEA_ERROR_NONE) {
        ilea_driver_log_error(driver, "view_rebuild", error);
        return;
    }
    if (driver->next_generation != 0) ilea_view_remove(driver->node->home, driver->next_generation);
    driver->next_generation = next;
    driver->view_position = 0;
    (void)snprintf(text, sizeof text, "%u", next);
    ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "view_rebuild", "generation", text, NULL);
}

/* Something read is damaged: if it may have been the view, go on without one until it is rebuilt. */
bool
ilea_driver_abandon_view(struct driver *driver)
{
    if (driver->node->view == NULL) return false;
    ilea_node_drop_view(driver->node);
    if (driver->next_generation == 0 && driver->worker.child.pid != 0) {
        (void)kill(driver->worker.child.pid, SIGKILL); /* the next one starts anew */
    }
    return true;
}

void
ilea_driver_start_worker(struct driver *driver)
{
    if (driver->node->view == NULL && driver->next_generation == 0) rebuild_view(driver);
    char generation[16];
    uint32_t number = driver->next_generation != 0 ? driver->next_generation : driver->node->generation;
    (void)snprintf(generation, sizeof generation, "%u", number);
    const char *const argv[] = { "/proc/self/exe", "--view-worker", driver->node->home, generation, NULL };
    driver->worker.started_ms = ilea_monotonic_ms();
    driver->report_size = 0;
    enum ilea_error error = ilea_child_start(argv, &driver->worker.child);
    if (error != ILEA_ERROR_NONE) {
        ilea_driver_log_error(driver, "view_worker_start", error);
        driver->worker.restart_ms = driver->worker.started_ms + RESTART_MS_MAX;
        return;
    }
    size_t size = driver->passphrase != NULL ? driver->passphrase->size : 0;
    uint8_t message[2 + ILEA_PASSPHRASE_SIZE_MAX] = { (uint8_t)(size >> 8), (uint8_t)size };
    if (size > 0) memcpy(message + 2, driver->passphrase->data, size);
    (void)!send(driver->worker.child.fd, message, 2 + size, MSG_NOSIGNAL);
    ilea_wipe(message, sizeof message);
}

static void
let_clients_go_on(struct driver *driver)
{
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) driver->control->clients[i].waits_for_view = false;
}

void
ilea_driver_worker_ended(struct driver *driver, int code)
{
    uint64_t now = ilea_monotonic_ms();
    char text[16];
    (void)snprintf(text, sizeof text, "%d", code);
    ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "view_worker_ended", "code", text, NULL);
    bool quick = now < driver->worker.started_ms + RESTART_MS_MAX;
    driver->worker.backoff_ms = quick && driver->worker.backoff_ms > 0 ? driver->worker.backoff_ms * 2
                                                                       : RESTART_MS_MIN;
    if (driver->worker.backoff_ms > RESTART_MS_MAX) driver->worker.backoff_ms = RESTART_MS_MAX;
    driver->worker.restart_ms = now + driver->worker.backoff_ms;
    driver->view_is_full = code == EX_IOERR;
    if (code != EX_OK && !driver->view_is_full) ilea_driver_suspect(driver, driver->view_position + 1);
    if (driver->view_is_full) let_clients_go_on(driver); /* they would wait for nobody knows how long */
    bool damaged = code == EX_DATAERR || code == 128 + SIGSEGV || code == 128 + SIGBUS
        || code == 128 + SIGABRT;
    if (!damaged) return;
    rebuild_view(driver);
}

/* The rebuilt generation has come as far as the log: readers go over to it. */
static void
switch_generation(struct driver *driver)
{
    if (driver->next_generation == 0
        || driver->view_position < ilea_author_position(driver->node->author)) {
        return;
    }
    uint32_t before = driver->node->generation;
    enum ilea_error error = ilea_view_switch(driver->node->home, driver->next_generation, before);
    if (error == ILEA_ERROR_NONE) error = ilea_node_watch_view(driver->node);
    driver->next_generation = 0;
    if (error == ILEA_ERROR_NONE) {
        ilea_damage_unmark(driver->node->home);
    } else {
        ilea_driver_log_error(driver, "view_switch", error);
    }
}

void
ilea_driver_read_worker(struct driver *driver)
{
    for (;;) {
        ssize_t got = recv(driver->worker.child.fd, driver->report + driver->report_size,
                           sizeof driver->report - driver->report_size, MSG_DONTWAIT);
        if (got <= 0) break;
        driver->report_size += (size_t)got;
        if (driver->report_size < sizeof driver->report) continue;
        driver->report_size = 0;
        driver->view_position = ilea_key_u64(driver->report);
        driver->view_is_full = false;
        driver->strays = true;
    }
    if (ilea_author_transaction(driver->node->author) == NULL) switch_generation(driver);
    let_clients_go_on(driver);
}
