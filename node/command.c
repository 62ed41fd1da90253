#include "node/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>
#include <utf8proc.h>

#include "crypto/random.h"
#include "node/damage.h"
#include "node/json.h"
#include "replication/record/label.h"

int
ilea_command_fail(int code, const char *format, ...)
{
    va_list arguments;
    (void)fputs("ilea: ", stderr);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    return code;
}

int
ilea_exit_code(enum ilea_error error)
{
    switch (error) {
    case ILEA_ERROR_NONE: return EX_OK;
    case ILEA_ERROR_INVALID:
    case ILEA_ERROR_MALFORMED:
    case ILEA_ERROR_LIMIT:
    case ILEA_ERROR_CORRUPT:
    case ILEA_ERROR_BAD_SIGNATURE:
    case ILEA_ERROR_BAD_HASH:
    case ILEA_ERROR_DIVERGED:
    case ILEA_ERROR_UNKNOWN: return EX_DATAERR;
    case ILEA_ERROR_NOT_FOUND: return EX_NOINPUT;
    case ILEA_ERROR_EXISTS: return EX_CANTCREAT;
    case ILEA_ERROR_BUSY: return EX_TEMPFAIL;
    case ILEA_ERROR_PERMISSION:
    case ILEA_ERROR_PASSPHRASE:
    case ILEA_ERROR_NOT_OWNER: return EX_NOPERM;
    case ILEA_ERROR_VERSION: return EX_CONFIG;
    case ILEA_ERROR_IO:
    case ILEA_ERROR_FULL: return EX_IOERR;
    case ILEA_ERROR_NO_MEMORY: return EX_OSERR;
    case ILEA_ERROR_KEY_MISSING:
    case ILEA_ERROR_UNEXPECTED:
    case ILEA_ERROR_SILENT: return EX_SOFTWARE;
    }
    return EX_SOFTWARE;
}

int
ilea_command_usage(const char *what)
{
    return ilea_command_fail(EX_USAGE, "%s; see ilea --help", what);
}

void
ilea_command_hex(const uint8_t *bytes, size_t size, char *text)
{
    for (size_t i = 0; i < size; i++) (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

void
ilea_command_print(json_t *json)
{
    char *line = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    if (line != NULL) (void)puts(line);
    free(line);
    json_decref(json);
}

/* Read a passphrase from a file: its first line. */
static bool
read_passphrase(const char *path, uint8_t *bytes, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t got = read(fd, bytes, ILEA_PASSPHRASE_SIZE_MAX);
    close(fd);
    if (got <= 0) return false;
    const uint8_t *end = memchr(bytes, '\n', (size_t)got);
    *size = end != NULL ? (size_t)(end - bytes) : (size_t)got;
    return *size > 0;
}

/* One line from the terminal, not echoed. */
static bool
ask_passphrase(const char *prompt, uint8_t *bytes, size_t *size)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return false;
    struct termios before, silent;
    bool good = tcgetattr(fd, &before) == 0;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    good = good && tcsetattr(fd, TCSAFLUSH, &silent) == 0;
    ssize_t got = 0;
    if (good) {
        (void)!write(fd, prompt, strlen(prompt));
        got = read(fd, bytes, ILEA_PASSPHRASE_SIZE_MAX);
        (void)!write(fd, "\n", 1);
        (void)tcsetattr(fd, TCSAFLUSH, &before);
    }
    close(fd);
    if (got > 0 && bytes[got - 1] == '\n') got--;
    *size = got > 0 ? (size_t)got : 0;
    return *size > 0;
}

bool
ilea_command_secret(const char *file, const char *credential, const char *prompt, bool twice, uint8_t *bytes,
                    size_t *size)
{
    if (file != NULL) return read_passphrase(file, bytes, size);
    const char *credentials = getenv("CREDENTIALS_DIRECTORY"); /* systemd's LoadCredential= */
    if (credentials != NULL && credential != NULL) {
        char path[ILEA_PATH_SIZE];
        if (snprintf(path, sizeof path, "%s/%s", credentials, credential) < (int)sizeof path
            && read_passphrase(path, bytes, size)) {
            return true;
        }
    }
    if (!ask_passphrase(prompt, bytes, size)) return false;
    if (!twice) return true;
    uint8_t again[ILEA_PASSPHRASE_SIZE_MAX];
    size_t again_size = 0;
    bool same = ask_passphrase("Once more:  ", again, &again_size) && again_size == *size
        && ilea_equal_secret(bytes, again, *size);
    ilea_wipe(again, sizeof again);
    return same;
}

bool
ilea_command_passphrase(const struct ilea_command *command, bool twice, uint8_t *bytes, size_t *size)
{
    return ilea_command_secret(command->passphrase_file, "passphrase", "Passphrase: ", twice, bytes, size);
}

void
ilea_command_locked_reason(const struct ilea_command *command, char reason[ILEA_REASON_SIZE])
{
    if (command->passphrase_file != NULL && access(command->passphrase_file, R_OK) != 0) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "no passphrase: %.100s: %s", command->passphrase_file,
                       strerror(errno));
    } else if (command->passphrase_file != NULL) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "wrong passphrase: the first line of %.100s does not open the keys",
                       command->passphrase_file);
    } else {
        (void)snprintf(reason, ILEA_REASON_SIZE,
                       "wrong passphrase, or none: the keys are protected; give --passphrase-file FILE");
    }
}

int
ilea_command_locked(const struct ilea_command *command)
{
    char reason[ILEA_REASON_SIZE];
    ilea_command_locked_reason(command, reason);
    return ilea_command_fail(EX_NOPERM, "%s", reason);
}

/* If the keys turn out to be protected, ask and open again. */
int
ilea_command_writer(const struct ilea_command *command, ilea_writer_answer *answer, void *context,
                    struct ilea_writer **writer)
{
    char reason[ILEA_REASON_SIZE] = "";
    enum ilea_error error =
        ilea_writer_open(command->home, NULL, answer, context, writer, reason);
    if (error == ILEA_ERROR_PASSPHRASE) {
        uint8_t bytes[ILEA_PASSPHRASE_SIZE_MAX];
        struct ilea_span passphrase = { bytes, 0 };
        if (ilea_command_passphrase(command, false, bytes, &passphrase.size)) {
            error = ilea_writer_open(command->home, &passphrase, answer, context, writer, reason);
        }
        ilea_wipe(bytes, sizeof bytes);
    }
    if (error == ILEA_ERROR_NONE) return 0;
    if (error == ILEA_ERROR_PASSPHRASE) return ilea_command_locked(command);
    return ilea_command_fail(error == ILEA_ERROR_INVALID ? EX_CONFIG : ilea_exit_code(error), "%s", reason);
}

/* Whether the view shows all that the log holds now. */
static bool
is_current(const struct ilea_command *command)
{
    struct ilea_log *log = NULL;
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_transaction *txn = NULL;
    struct ilea_replica_status status;
    uint64_t position = 0;
    char path[ILEA_PATH_SIZE];
    ilea_home_path(command->home, "log", path);
    bool current = !ilea_damage_is_marked(command->home) && ilea_log_open(path, true, &log) == ILEA_ERROR_NONE
        && ilea_transaction_begin(ilea_log_environment(log), false, &txn) == ILEA_ERROR_NONE
        && ilea_log_last(txn, &position) == ILEA_ERROR_NONE
        && ilea_replica_open(command->home, &replica) == ILEA_ERROR_NONE
        && ilea_snapshot_begin(replica, &snapshot) == ILEA_ERROR_NONE
        && ilea_snapshot_status(snapshot, &status) == ILEA_ERROR_NONE && status.position >= position;
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    ilea_transaction_abort(txn);
    ilea_log_close(log);
    return current;
}

/*
 * Who reads sees what was written before: the daemon's view is waited for, within reason; without a daemon
 * whoever reads first brings the view up to the log.
 */
int
ilea_command_replica(const struct ilea_command *command, struct ilea_replica **replica)
{
    if (!ilea_home_exists(command->home)) {
        return ilea_command_fail(EX_NOINPUT, "%s is not a node's home; make one: ilea init",
                                 command->home);
    }
    if (!is_current(command)) {
        struct ilea_writer *writer = NULL;
        int code = ilea_command_writer(command, NULL, NULL, &writer);
        if (code != 0) return code;
        (void)!ilea_writer_settle(writer, 3000); /* a long import goes on: show what there is */
        ilea_writer_close(writer);
    }
    enum ilea_error error = ilea_replica_open(command->home, replica);
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_view_fault(command, error);
}

int
ilea_command_view_fault(const struct ilea_command *command, enum ilea_error error)
{
    if (error != ILEA_ERROR_CORRUPT) {
        return ilea_command_fail(ilea_exit_code(error), "the view cannot be read: %s", ilea_error_text(error));
    }
    ilea_damage_mark(command->home);
    return ilea_command_fail(EX_DATAERR, "the view is damaged and will be rebuilt from the log: try again");
}

int
ilea_command_snapshot(const struct ilea_command *command, struct ilea_replica **replica,
                      struct ilea_snapshot **snapshot)
{
    int code = ilea_command_replica(command, replica);
    if (code != 0) return code;
    enum ilea_error error = ilea_snapshot_begin(*replica, snapshot);
    if (error == ILEA_ERROR_NONE) return 0;
    ilea_replica_close(*replica);
    *replica = NULL;
    return ilea_command_fail(ilea_exit_code(error), "the view cannot be read: %s", ilea_error_text(error));
}

int
ilea_command_log(const struct ilea_command *command, struct ilea_log **log)
{
    if (!ilea_home_exists(command->home)) {
        return ilea_command_fail(EX_NOINPUT, "%s is not a node's home; make one: ilea init",
                                 command->home);
    }
    char path[ILEA_PATH_SIZE];
    ilea_home_path(command->home, "log", path);
    enum ilea_error error = ilea_log_open(path, true, log);
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(ilea_exit_code(error), "%s cannot be read: %s", path,
                             ilea_error_text(error));
}

int
ilea_command_keys(const struct ilea_command *command, struct ilea_log *log, struct ilea_keys *keys)
{
    uint8_t bytes[ILEA_PASSPHRASE_SIZE_MAX];
    struct ilea_span passphrase = { bytes, 0 };
    enum ilea_error error = ilea_keys_load(command->home, log, NULL, keys);
    if (error == ILEA_ERROR_PASSPHRASE && ilea_command_passphrase(command, false, bytes, &passphrase.size)) {
        error = ilea_keys_load(command->home, log, &passphrase, keys);
    }
    ilea_wipe(bytes, sizeof bytes);
    if (error == ILEA_ERROR_NONE) return 0;
    if (error == ILEA_ERROR_PASSPHRASE) return ilea_command_locked(command);
    return ilea_command_fail(ilea_exit_code(error), "the keys cannot be read: %s", ilea_error_text(error));
}

bool
ilea_command_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

void
ilea_command_say(FILE *to, const char *text)
{
    enum { WIDTH = 80 };
    while (*text != '\0') {
        size_t take = strcspn(text, "\n");
        if (take > WIDTH) {
            take = WIDTH;
            while (take > WIDTH / 2 && text[take] != ' ') take--;
            if (text[take] != ' ') take = strcspn(text, " \n"); /* a word that is longer stays whole */
        }
        (void)fprintf(to, "%.*s\n", (int)take, text);
        text += take;
        if (*text == ' ' || *text == '\n') text++;
    }
}

enum ilea_scope
ilea_command_readers(struct ilea_snapshot *snapshot, char text[ILEA_AUDIENCE_TEXT_SIZE])
{
    struct ilea_audience_name audience;
    const enum ilea_scope scope = ilea_snapshot_row(snapshot)->scope;
    enum ilea_error error = ilea_record_audience(snapshot, &audience);
    if (error == ILEA_ERROR_NONE && audience.name.size > 0) {
        (void)snprintf(text, ILEA_AUDIENCE_TEXT_SIZE, "%s/%.*s", audience.owner_code, (int)audience.name.size,
                       (const char *)audience.name.data);
    } else if (error == ILEA_ERROR_NONE) {
        ilea_command_hex(audience.id, sizeof audience.id, text);
    } else {
        (void)snprintf(text, ILEA_AUDIENCE_TEXT_SIZE, "%s", ilea_scope_name(scope));
    }
    for (char *at = text; *at != '\0'; at++) { /* its owner chose the name */
        if ((unsigned char)*at < 0x20 || *at == 0x7f) *at = ' ';
    }
    return scope;
}

json_t *
ilea_command_record(struct ilea_snapshot *snapshot, const struct ilea_record_info *info)
{
    char audience[ILEA_AUDIENCE_TEXT_SIZE];
    const enum ilea_scope scope = ilea_command_readers(snapshot, audience);
    const struct ilea_json_meta meta = {
        .agency = info->agency_code, .agency_id = &info->agency, .id = &info->id,
        .ref = info->ref[0] != '\0' ? info->ref : NULL, .type = info->type_number,
        .scope = scope, .audience = audience };
    return ilea_json_from_record(&meta, ilea_snapshot_record(snapshot));
}

void
ilea_command_cut(struct ilea_span text, int columns, char *line, size_t size)
{
    size_t at = 0, from = 0;
    int width = 0;
    while (from < text.size) {
        utf8proc_int32_t codepoint;
        utf8proc_ssize_t length =
            utf8proc_iterate(text.data + from, (utf8proc_ssize_t)(text.size - from), &codepoint);
        if (length <= 0) break;
        int wide = codepoint < 0x20 ? 1 : utf8proc_charwidth(codepoint);
        bool last = from + (size_t)length == text.size;
        if (width + wide > columns - (last ? 0 : 1) || at + 8 > size) {
            at += (size_t)snprintf(line + at, size - at, "…");
            break;
        }
        if (codepoint < 0x20) {
            line[at++] = ' ';
        } else {
            memcpy(line + at, text.data + from, (size_t)length);
            at += (size_t)length;
        }
        width += wide;
        from += (size_t)length;
    }
    line[at] = '\0';
}

void
ilea_progress_begin(struct ilea_progress *progress)
{
    *progress = (struct ilea_progress){ .start_ms = ilea_monotonic_ms(),
                                        .is_terminal = isatty(STDERR_FILENO) == 1 };
}

void
ilea_progress_show(struct ilea_progress *progress, const char *what, uint64_t done)
{
    if (!progress->is_terminal) return;
    uint64_t now = ilea_monotonic_ms();
    if (now < progress->start_ms + 1000 || now < progress->shown_ms + 200) return;
    progress->shown_ms = now;
    double seconds = (double)(now - progress->start_ms) / 1000;
    (void)fprintf(stderr, "\r%s: %llu (%.0f/s)   ", what, (unsigned long long)done,
                  (double)done / seconds);
    (void)fflush(stderr);
}

void
ilea_progress_end(struct ilea_progress *progress)
{
    if (progress->shown_ms != 0) (void)fputs("\r                                        \r", stderr);
}
