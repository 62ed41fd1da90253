#include "node/driver.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "node/compact.h"
#include "node/driver_state.h"
#include "node/notify.h"
#include "node/view.h"

void
ilea_driver_log_error(struct driver *driver, const char *event, enum ilea_error error)
{
    ilea_logger_write(&driver->logger, ILEA_LEVEL_ERROR, event, "error", ilea_error_text(error), NULL);
}

static void
check_helpers(struct driver *driver, uint64_t now)
{
    int code;
    if (ilea_child_has_ended(&driver->link.child, &code)) ilea_driver_link_ended(driver, code);
    if (ilea_child_has_ended(&driver->worker.child, &code)) ilea_driver_worker_ended(driver, code);
    if (driver->link.child.pid == 0 && now >= driver->link.restart_ms) ilea_driver_start_link(driver);
    if (driver->worker.child.pid == 0 && now >= driver->worker.restart_ms) ilea_driver_start_worker(driver);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int
timeout_ms(struct driver *driver, bool more)
{
    if (more) return 0;
    uint64_t now = ilea_monotonic_ms(), due = earlier(ilea_replicator_deadline(driver->replicator),
                                                      now + 1000);
    if (driver->link.child.pid == 0) due = earlier(due, driver->link.restart_ms);
    if (driver->worker.child.pid == 0) due = earlier(due, driver->worker.restart_ms);
    due = earlier(due, ilea_driver_receipts_due(driver));
    due = earlier(due, ilea_driver_documents_due(driver));
    if (driver->trouble) due = earlier(due, driver->retry_ms);
    if (driver->watchdog_ms > 0) due = earlier(due, driver->watchdog_due_ms);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        const struct peer *peer = &driver->peers[i];
        if (ilea_driver_awaits_dial(peer)) due = earlier(due, peer->down_since_ms + FALLBACK_DIAL_MS);
    }
    return due <= now ? 0 : (int)(due - now);
}

static void
do_time(struct driver *driver)
{
    uint64_t now = ilea_monotonic_ms();
    check_helpers(driver, now);
    if (driver->trouble && now >= driver->retry_ms) driver->trouble = false;
    if (now >= ilea_replicator_deadline(driver->replicator)) {
        struct ilea_event event = { .type = ILEA_EVENT_TIMER };
        ilea_driver_step(driver, &event);
    }
    ilea_driver_check_peers(driver, now);
    if (now >= driver->readers_check_ms) {
        driver->readers_check_ms = now + READERS_CHECK_MS;
        ilea_environment_check_readers(ilea_log_environment(driver->node->log));
    }
    if (now >= driver->grants_check_ms) {
        driver->grants_check_ms = now + GRANTS_CHECK_MS;
        ilea_driver_check_grants(driver);
    }
    if (now >= driver->retire_check_ms) {
        driver->retire_check_ms = now + RETIRE_CHECK_MS;
        ilea_driver_retire_transport(driver);
    }
    ilea_driver_tend_erased(driver, now);
    ilea_driver_tend_lobby(driver, now);
    ilea_driver_tend_receipts(driver, now);
    ilea_driver_tend_gaps(driver, now);
    ilea_driver_tend_documents(driver, now);
    if (driver->watchdog_ms > 0 && now >= driver->watchdog_due_ms) {
        driver->watchdog_due_ms = now + driver->watchdog_ms;
        ilea_notify("WATCHDOG=1");
    }
}

/* One turn of the loop. Returns whether there is more to do at once. */
static bool
turn(struct driver *driver, int signals, bool more, struct ilea_put *put)
{
    enum { SIGNALS, CONTROL, LINK, WORKER, CLIENTS };
    struct pollfd polls[CLIENTS + ILEA_CLIENTS_MAX];
    polls[SIGNALS] = (struct pollfd){ .fd = signals, .events = POLLIN };
    polls[CONTROL] = (struct pollfd){ .fd = driver->control->fd, .events = POLLIN };
    bool link = driver->link.child.pid != 0;
    polls[LINK] = (struct pollfd){ .fd = link ? driver->link.child.fd : -1,
                                   .events = driver->trouble ? 0 : POLLIN };
    if (link && ilea_link_pipe_queued(&driver->pipe) > 0) polls[LINK].events |= POLLOUT;
    polls[WORKER] = (struct pollfd){ .fd = driver->worker.child.pid != 0 ? driver->worker.child.fd : -1,
                                     .events = POLLIN };
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) {
        const struct ilea_control_client *client = &driver->control->clients[i];
        bool room = client->in_end < ILEA_CLIENT_IN_MAX || client->in_start > 0;
        polls[CLIENTS + i] = (struct pollfd){ .fd = client->fd, .events = room ? POLLIN : 0 };
        if (client->out_sent < client->out_durable) polls[CLIENTS + i].events |= POLLOUT;
    }
    (void)poll(polls, CLIENTS + ILEA_CLIENTS_MAX, timeout_ms(driver, more));
    more = false;

    if (polls[SIGNALS].revents != 0) {
        struct signalfd_siginfo info;
        if (read(signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGCHLD) {
            driver->stopping = true;
        }
    }
    if (polls[CONTROL].revents != 0) ilea_control_server_accept(driver->control);
    if (polls[WORKER].revents != 0) ilea_driver_read_worker(driver);
    if ((polls[LINK].revents & POLLOUT) != 0) (void)!ilea_link_pipe_flush(&driver->pipe);
    if ((polls[LINK].revents & (POLLIN | POLLHUP)) != 0) more = !ilea_driver_read_link(driver);
    size_t budget = TURN_BYTES;
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) {
        struct ilea_control_client *client = &driver->control->clients[i];
        if (client->fd < 0) continue;
        bool kept = true;
        if ((polls[CLIENTS + i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            kept = ilea_control_client_read(client);
        }
        if (kept && !driver->trouble) ilea_driver_serve_client(driver, client, put, &budget);
        if (client->fd >= 0 && !kept) ilea_control_client_drop(client);
    }
    if (budget == 0) more = true;
    do_time(driver);
    ilea_driver_commit_turn(driver);
    if (ilea_damage_is_marked(driver->node->home)) (void)ilea_driver_abandon_view(driver);
    return more && !driver->trouble;
}

static void
say_start(struct driver *driver)
{
    char code[ILEA_CODE_SIZE_MAX + 1] = "";
    struct ilea_transaction *txn = NULL;
    struct ilea_agency *own = malloc(sizeof *own);
    if (own != NULL
        && ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn) == ILEA_ERROR_NONE
        && ilea_agency_load(txn, &ilea_log_identity(driver->node->log)->agency, own) == ILEA_ERROR_NONE) {
        (void)snprintf(code, sizeof code, "%.*s", (int)own->manifest.code.size,
                       (const char *)own->manifest.code.data);
    }
    ilea_transaction_abort(txn);
    free(own);
    ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "started", "agency", code, "home",
                      driver->node->home, "version", ILEA_VERSION, NULL);
    if (driver->node->guard == NULL) {
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "no_guard", "reason",
                          driver->node->guard_error == ILEA_ERROR_BUSY
                              ? "a copy of this node runs on this machine"
                          : driver->node->guard_error == ILEA_ERROR_INVALID
                              ? "the file of the setting generation cannot be read: each start opens a new feed"
                              : "no memory-backed folder: each start opens a new feed", NULL);
    }
}

/* For all who asked for it: the loop is over, and the worker gone. */
static void
compact(struct driver *driver)
{
    struct ilea_control_compacted compacted = { .error = ILEA_ERROR_NONE };
    bool is_done = false;
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) {
        struct ilea_control_client *client = &driver->control->clients[i];
        if (client->fd < 0 || !client->wants_compacting) continue;
        if (!is_done) compacted.error = ilea_compact(driver->node, &compacted.sizes);
        is_done = true;
        client->wants_compacting = false;
        client->is_compacted = true;
        client->compacted = compacted;
    }
}

int
ilea_driver_run(struct ilea_node *node, struct ilea_control_server *control, const char *listen,
                const struct ilea_span *passphrase, int signals)
{
    struct driver *driver = calloc(1, sizeof *driver);
    struct ilea_put *put = malloc(sizeof *put);
    uint8_t *message = malloc(ILEA_MESSAGE_SIZE_MAX);
    if (driver == NULL || put == NULL || message == NULL) return EX_OSERR;
    driver->node = node;
    driver->control = control;
    driver->listen = listen;
    driver->passphrase = passphrase;
    driver->message = message;
    node->ceremonies = &driver->lobby.ceremonies;
    driver->link.child.fd = driver->worker.child.fd = -1;
    driver->watchdog_ms = ilea_notify_watchdog_ms();
    int code = EX_OK;
    enum ilea_error error = ilea_control_server_open(control, node->home);
    if (error == ILEA_ERROR_NONE) error = ilea_driver_begin_audiences(driver);
    if (error == ILEA_ERROR_NONE) error = ilea_driver_load_replicator(driver);
    if (error != ILEA_ERROR_NONE) {
        ilea_driver_log_error(driver, "start", error);
        code = EX_IOERR;
    } else {
        say_start(driver);
        if (ilea_damage_is_marked(node->home)) {
            error = ilea_view_current(node->home, &node->generation);
        } else {
            error = ilea_node_watch_view(node);
        }
        if (error != ILEA_ERROR_NONE) ilea_driver_log_error(driver, "view_open", error);
        ilea_driver_start_worker(driver);
        ilea_driver_start_link(driver);
        ilea_notify("READY=1");
        bool more = false;
        while (!driver->stopping && !driver->bind_failed && !driver->reloading) {
            more = turn(driver, signals, more, put);
        }
        if (driver->bind_failed) code = EX_UNAVAILABLE;
        if (driver->trouble) code = EX_IOERR;
        bool reload = driver->reloading && code == EX_OK && !driver->stopping;
        if (!reload) ilea_notify("STOPPING=1");
        ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, reload ? "reloading" : "stopped", NULL);
        if (reload) code = ILEA_DRIVER_RELOAD;
    }
    ilea_author_abort(node->author);
    ilea_child_end(&driver->link.child);
    ilea_child_end(&driver->worker.child);
    if (driver->pipe.fd != 0) ilea_link_pipe_deinit(&driver->pipe);
    if (code == ILEA_DRIVER_RELOAD) compact(driver);
    if (code != ILEA_DRIVER_RELOAD) ilea_control_server_close(control, node->home);
    ilea_driver_end_ceremonies(driver);
    ilea_desk_end(&driver->lobby.desk);
    node->ceremonies = NULL;
    ilea_driver_end_bundle(driver);
    ilea_driver_end_documents(driver);
    ilea_driver_end_audiences(driver);
    free(driver->replicator);
    free(driver->archive_due);
    free(driver);
    free(put);
    free(message);
    return code;
}

enum ilea_error
ilea_driver_alone(struct ilea_node *node, struct driver **driver)
{
    struct driver *alone = calloc(1, sizeof *alone);
    if (alone == NULL) return ILEA_ERROR_NO_MEMORY;
    alone->control = calloc(1, sizeof *alone->control);
    if (alone->control == NULL) {
        free(alone);
        return ILEA_ERROR_NO_MEMORY;
    }
    ilea_control_server_init(alone->control);
    alone->node = node;
    alone->listen = "";
    alone->logger.is_silent = true;
    alone->link.child.fd = alone->worker.child.fd = -1;
    enum ilea_error error = ilea_driver_begin_audiences(alone);
    if (error == ILEA_ERROR_NONE) error = ilea_driver_load_replicator(alone);
    if (error != ILEA_ERROR_NONE) {
        ilea_driver_alone_end(alone);
        return error;
    }
    *driver = alone;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_driver_alone_commit(struct driver *driver)
{
    ilea_driver_commit_turn(driver);
    if (driver->trouble) return ILEA_ERROR_IO;
    struct ilea_event event = { .type = ILEA_EVENT_TIMER };
    ilea_driver_step(driver, &event);
    return driver->trouble ? ILEA_ERROR_IO : ILEA_ERROR_NONE;
}

void
ilea_driver_alone_end(struct driver *driver)
{
    if (driver == NULL) return;
    ilea_driver_end_bundle(driver);
    ilea_driver_end_documents(driver);
    ilea_driver_end_audiences(driver);
    free(driver->replicator);
    free(driver->archive_due);
    free(driver->control);
    free(driver);
}
