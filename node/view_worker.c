#include "node/view_worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/child.h"
#include "node/keys.h"
#include "node/view.h"
#include "node/view_builder.h"

/* One transaction of the view: long enough to share the disk's sync, short enough to be seen moving. */
enum { RUN_BYTES = 8 * 1024 * 1024 };

static bool
read_whole(int fd, void *bytes, size_t size)
{
    uint8_t *at = bytes;
    while (size > 0) {
        ssize_t got = recv(fd, at, size, MSG_WAITALL);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

static enum ilea_error
load_keys(const char *home, struct ilea_log *log, struct ilea_keys *keys)
{
    uint8_t length[2], bytes[ILEA_PASSPHRASE_SIZE_MAX];
    if (!read_whole(ILEA_CHILD_FD, length, sizeof length)) return ILEA_ERROR_IO;
    struct ilea_span passphrase = { bytes, (size_t)(length[0] << 8 | length[1]) };
    if (passphrase.size > sizeof bytes || !read_whole(ILEA_CHILD_FD, bytes, passphrase.size)) {
        return ILEA_ERROR_IO;
    }
    enum ilea_error error = ilea_keys_load(home, log, passphrase.size > 0 ? &passphrase : NULL, keys);
    ilea_wipe(bytes, sizeof bytes);
    return error;
}

/* Tell the daemon; wait until the log has grown or it is gone (false). */
static bool
report(uint64_t position, bool wait)
{
    uint8_t message[8], pokes[256];
    ilea_key_put_u64(message, position);
    if (send(ILEA_CHILD_FD, message, sizeof message, MSG_NOSIGNAL) != sizeof message) return false;
    ssize_t got = 0;
    if (wait) {
        struct pollfd ready = { .fd = ILEA_CHILD_FD, .events = POLLIN };
        while (poll(&ready, 1, -1) < 0 && errno == EINTR) continue;
    }
    do {
        got = recv(ILEA_CHILD_FD, pokes, sizeof pokes, MSG_DONTWAIT);
    } while (got == sizeof pokes || (got < 0 && errno == EINTR));
    return got > 0 || (got < 0 && errno == EAGAIN);
}

static enum ilea_error
follow(struct ilea_log *log, struct ilea_environment *view, const struct ilea_keys *keys)
{
    struct ilea_view_builder *builder = NULL;
    enum ilea_error error = ilea_view_builder_new(log, view, keys, &builder);
    bool connected = true;
    uint64_t position = UINT64_MAX;
    while (error == ILEA_ERROR_NONE && connected) {
        struct ilea_view_meta meta;
        bool caught_up = false;
        error = ilea_view_builder_run(builder, RUN_BYTES, UINT64_MAX, &caught_up, &meta);
        if (error != ILEA_ERROR_NONE) break;
        if (meta.position != position || caught_up) connected = report(meta.position, caught_up);
        position = meta.position;
    }
    ilea_view_builder_free(builder);
    return error;
}

int
ilea_view_worker_main(const char *home, unsigned generation)
{
    (void)setpriority(PRIO_PROCESS, 0, 5); /* what comes in goes before what is shown */
    struct ilea_keys keys;
    char path[ILEA_PATH_SIZE];
    struct ilea_log *log = NULL;
    struct ilea_environment *view = NULL;
    ilea_home_path(home, "log", path);
    enum ilea_error error = ilea_log_open(path, true, &log);
    if (error != ILEA_ERROR_NONE) return EX_TEMPFAIL;
    error = load_keys(home, log, &keys);
    if (error != ILEA_ERROR_NONE) {
        ilea_log_close(log);
        return EX_NOPERM;
    }
    ilea_view_generation_path(home, generation, path);
    error = ilea_view_open(path, false, false, &view);
    if (error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_VERSION) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) error = follow(log, view, &keys);
    ilea_environment_close(view);
    ilea_log_close(log);
    ilea_keys_free(&keys);
    switch ((int)error) {
    case ILEA_ERROR_NONE: return EX_OK;
    case ILEA_ERROR_CORRUPT: return EX_DATAERR;
    case ILEA_ERROR_FULL: return EX_IOERR;
    default: return EX_TEMPFAIL;
    }
}
