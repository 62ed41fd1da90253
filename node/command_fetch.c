/* command_fetch.c - fetch: the documents of a record, from whoever has them, verified and in the clear. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/blob_file.h"
#include "node/command.h"
#include "node/command_document.h"
#include "node/control_document.h"

enum { WAIT_SECONDS = 10, SILENT_SECONDS = 120, POLL_MS = 100, REPAIRS_MAX = 16 };

/* One document on its way to a file. */
struct fetch {
    const struct ilea_command *command;
    const struct ilea_network_id *network;
    const struct ilea_document *document;
    char name[ILEA_DOCUMENT_NAME_MAX + 1]; /* safe as a file's */
    uint64_t wait_ms;
    int folder;
    unsigned repairs;
    uint8_t *sealed, *plain;
};

/* The name came from elsewhere: no path, no hidden file, nothing that reads in another direction than it is written. */
static void
make_safe(const struct ilea_span *name, char safe[ILEA_DOCUMENT_NAME_MAX + 1])
{
    static const char *const turning[] = { "\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e",
                                           "\u2066", "\u2067", "\u2068", "\u2069", NULL };
    size_t size = name->size < ILEA_DOCUMENT_NAME_MAX ? name->size : ILEA_DOCUMENT_NAME_MAX;
    memcpy(safe, name->data, size);
    safe[size] = '\0';
    for (size_t i = 0; i < size; i++) {
        if (safe[i] == '/' || (unsigned char)safe[i] < ' ') safe[i] = '_';
    }
    if (safe[0] == '.') safe[0] = '_';
    for (unsigned i = 0; turning[i] != NULL; i++) {
        for (char *at = strstr(safe, turning[i]); at != NULL; at = strstr(at, turning[i])) memset(at, '_', 3);
    }
}

static void
show(const struct fetch *fetch, uint32_t held, uint32_t count)
{
    if (isatty(STDERR_FILENO) != 1 || count == 0) return;
    (void)fprintf(stderr, "\r%s: %u %% of %llu bytes   ", fetch->name, (unsigned)((uint64_t)held * 100 / count),
                  (unsigned long long)fetch->document->size);
    (void)fflush(stderr);
}

/* Why it is not here, when nothing came for a while. */
static int
give_up(const struct fetch *fetch, enum ilea_document_state state, uint32_t held, uint32_t count)
{
    unsigned here = count == 0 ? 0 : (unsigned)((uint64_t)held * 100 / count);
    if (state == ILEA_DOCUMENT_LIES) {
        return ilea_command_fail(EX_DATAERR, "%s: no holder has a valid copy", fetch->name);
    }
    if (state == ILEA_DOCUMENT_NOBODY) {
        return ilea_command_fail(EX_TEMPFAIL,
                                 "%s: nobody who has it is connected now; %u %% is here, and the daemon goes on when "
                                 "somebody is", fetch->name, here);
    }
    return ilea_command_fail(EX_TEMPFAIL, "%s: nothing came for a while; %u %% is here, and the daemon goes on",
                             fetch->name, here);
}

/* Until all of it is in blobs/. */
static int
wait_whole(struct fetch *fetch, uint32_t damaged)
{
    const struct ilea_blob_id *root = &fetch->document->root;
    const char *home = fetch->command->home;
    struct ilea_control_document answer;
    uint64_t moved_ms = ilea_monotonic_ms();
    uint32_t held_before = 0;
    for (;; damaged = 0) {
        if (damaged == 0 && ilea_blob_file_is_whole(home, root)) return 0;
        enum ilea_error error = ilea_control_ask_document(home, root, damaged, &answer);
        if (error == ILEA_ERROR_NOT_FOUND) {
            return ilea_command_fail(EX_TEMPFAIL, "%s is not here yet, and only the daemon can fetch it: ilea-node",
                                     fetch->name);
        }
        if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_IO) { /* IO: it is starting anew */
            return ilea_command_fail(ilea_exit_code(error), "the daemon: %s", ilea_error_text(error));
        }
        if (error != ILEA_ERROR_NONE) answer = (struct ilea_control_document){ .state = ILEA_DOCUMENT_QUEUED };
        uint64_t now = ilea_monotonic_ms();
        if (answer.held > held_before || answer.state == ILEA_DOCUMENT_QUEUED) {
            held_before = answer.held;
            moved_ms = now;
        }
        show(fetch, answer.held, answer.count);
        bool nobody = answer.state == ILEA_DOCUMENT_NOBODY || answer.state == ILEA_DOCUMENT_LIES;
        uint64_t patience_ms = nobody ? fetch->wait_ms : SILENT_SECONDS * UINT64_C(1000);
        if (answer.state == ILEA_DOCUMENT_UNKNOWN) {
            return ilea_command_fail(EX_NOINPUT, "%s: no record names it any more", fetch->name);
        }
        if (answer.state == ILEA_DOCUMENT_QUOTA) {
            return ilea_command_fail(EX_TEMPFAIL, "%s does not fit: raise documents_max in ilea.conf", fetch->name);
        }
        if (answer.state == ILEA_DOCUMENT_DISK_FULL && now >= moved_ms + 1000) {
            return ilea_command_fail(EX_IOERR, "%s: the disk is full, or cannot be written; what is here stays",
                                     fetch->name);
        }
        if (now >= moved_ms + patience_ms) return give_up(fetch, answer.state, answer.held, answer.count);
        const struct timespec pause = { .tv_nsec = POLL_MS * 1000L * 1000 };
        (void)nanosleep(&pause, NULL);
    }
}

/* Open every chunk into `to`. *damaged: 1 + the chunk that the disk gave back changed. */
static enum ilea_error
open_chunks(struct fetch *fetch, int to, uint32_t *damaged)
{
    const struct ilea_document *document = fetch->document;
    struct ilea_blob_file *file = NULL;
    uint64_t total = 0;
    *damaged = 0;
    enum ilea_error error = ilea_blob_file_open(fetch->command->home, &document->root, false, &file);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_blob_file_list(file, fetch->network, &document->key, (struct ilea_span){ NULL, 0 });
    }
    if (error == ILEA_ERROR_BAD_HASH) *damaged = 1; /* the daemon finds that it is the list */
    uint32_t count = error == ILEA_ERROR_NONE ? ilea_blob_file_count(file) : 0;
    if (error == ILEA_ERROR_NONE && count != ilea_document_chunks(document->size)) error = ILEA_ERROR_INVALID;
    for (uint32_t i = 0; i < count && error == ILEA_ERROR_NONE; i++) {
        size_t size = 0;
        error = ilea_blob_file_get(file, i, fetch->sealed, &size);
        if (error == ILEA_ERROR_BAD_HASH || error == ILEA_ERROR_NOT_FOUND) *damaged = i + 1;
        if (error != ILEA_ERROR_NONE) break;
        struct ilea_span sealed = { fetch->sealed, size };
        if (!ilea_blob_open(&document->key, fetch->network, count, i, sealed, fetch->plain)) error = ILEA_ERROR_INVALID;
        for (size_t done = 0, left = size - ILEA_BLOB_OVERHEAD; error == ILEA_ERROR_NONE && left > 0;) {
            ssize_t part = write(to, fetch->plain + done, left);
            if (part < 0 && errno == EINTR) continue;
            if (part <= 0) error = errno == ENOSPC || errno == EDQUOT ? ILEA_ERROR_FULL : ILEA_ERROR_IO;
            if (part <= 0) break;
            done += (size_t)part;
            left -= (size_t)part;
        }
        total += size - ILEA_BLOB_OVERHEAD;
    }
    if (error == ILEA_ERROR_NONE && total != document->size) error = ILEA_ERROR_INVALID;
    ilea_blob_file_close(file);
    return error;
}

static int
write_failed(const struct fetch *fetch, enum ilea_error error)
{
    switch ((int)error) {
    case ILEA_ERROR_INVALID:
        return ilea_command_fail(EX_DATAERR, "%s is not what its record says: ask its author to attach it again",
                                 fetch->name);
    case ILEA_ERROR_EXISTS: return ilea_command_fail(EX_CANTCREAT, "%s exists already", fetch->name);
    default: return ilea_command_fail(ilea_exit_code(error), "%s: %s", fetch->name, ilea_error_text(error));
    }
}

/* The file appears whole under its name, or not at all. */
static int
write_file(struct fetch *fetch)
{
    char part[64];
    uint8_t random[8];
    ilea_random_bytes(random, sizeof random);
    int at = snprintf(part, sizeof part, ".ilea-");
    for (unsigned i = 0; i < sizeof random; i++) at += snprintf(part + at, sizeof part - (size_t)at, "%02x", random[i]);
    for (;;) {
        uint32_t damaged;
        int to = openat(fetch->folder, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (to < 0) {
            return ilea_command_fail(EX_CANTCREAT, "cannot write to %s: %s",
                                     fetch->command->out != NULL ? fetch->command->out : "this folder",
                                     strerror(errno));
        }
        enum ilea_error error = open_chunks(fetch, to, &damaged);
        if (error == ILEA_ERROR_NONE && fsync(to) != 0) error = ILEA_ERROR_IO;
        close(to);
        if (error == ILEA_ERROR_NONE && linkat(fetch->folder, part, fetch->folder, fetch->name, 0) != 0) {
            error = errno == EEXIST ? ILEA_ERROR_EXISTS : ILEA_ERROR_IO;
        }
        (void)unlinkat(fetch->folder, part, 0);
        if (error == ILEA_ERROR_NONE) (void)fsync(fetch->folder);
        if (damaged == 0 || fetch->repairs == REPAIRS_MAX) {
            return error == ILEA_ERROR_NONE ? 0 : write_failed(fetch, error);
        }
        fetch->repairs++; /* of the disk's making: the daemon fetches that chunk again */
        int code = wait_whole(fetch, damaged);
        if (code != 0) return code;
    }
}

static int
fetch_one(const struct ilea_command *command, const struct ilea_network_id *network,
          const struct ilea_document *document, int folder, uint64_t wait_ms, json_t *list)
{
    struct stat status;
    struct fetch fetch = { .command = command, .network = network, .document = document, .wait_ms = wait_ms,
                           .folder = folder, .sealed = malloc(ILEA_BLOB_SEALED_MAX),
                           .plain = malloc(ILEA_BLOB_CHUNK_SIZE) };
    int code = fetch.sealed != NULL && fetch.plain != NULL ? 0 : ilea_command_fail(EX_OSERR, "out of memory");
    make_safe(&document->name, fetch.name);
    if (code == 0 && fstatat(folder, fetch.name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        code = write_failed(&fetch, ILEA_ERROR_EXISTS);
    }
    if (code == 0) code = wait_whole(&fetch, 0);
    if (isatty(STDERR_FILENO) == 1) (void)fputs("\r\x1b[K", stderr);
    if (code == 0) code = write_file(&fetch);
    if (code == 0 && !command->json) {
        (void)printf("%s, %llu bytes\n", fetch.name, (unsigned long long)document->size);
    }
    if (code == 0) {
        json_array_append_new(list, json_pack("{s:s,s:I}", "name", fetch.name, "size", (json_int_t)document->size));
    }
    if (fetch.plain != NULL) ilea_wipe(fetch.plain, ILEA_BLOB_CHUNK_SIZE);
    free(fetch.plain);
    free(fetch.sealed);
    return code;
}

static int
fetch_all(const struct ilea_command *command, const struct ilea_listed_document *listed, uint32_t count, int folder,
          uint64_t wait_ms)
{
    struct ilea_log *log = NULL;
    int code = ilea_command_log(command, &log);
    if (code != 0) return code;
    const struct ilea_network_id network = ilea_log_identity(log)->network;
    ilea_log_close(log);
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) { /* the others, too, if one cannot be had */
        int one = fetch_one(command, &network, &listed[i].document, folder, wait_ms, list);
        if (one != 0) code = one;
    }
    if (command->json) ilea_command_print(json_pack("{s:O}", "fetch", list));
    json_decref(list);
    return code;
}

int
ilea_command_fetch(const struct ilea_command *command)
{
    uint64_t seconds = WAIT_SECONDS;
    if (command->word_count != 2) return ilea_command_usage("fetch takes one ref or id");
    if (command->wait != NULL && (!ilea_command_number(command->wait, &seconds) || seconds > 86400)) {
        return ilea_command_usage("--wait takes seconds, at most 86400");
    }
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_record_info info;
    struct ilea_listed_document listed[ILEA_DOCUMENTS_MAX];
    const char *out = command->out != NULL ? command->out : ".";
    int folder = -1, code = ilea_command_find_record(command, command->words[1], &replica, &snapshot, &info);
    uint32_t count = code == 0 ? ilea_list_documents(snapshot, listed) : 0;
    if (code == 0 && count == 0) code = ilea_command_fail(EX_NOINPUT, "%s has no documents", command->words[1]);
    if (code == 0 && command->name != NULL) {
        uint32_t at = ilea_find_document(listed, count, command->name);
        if (at == count) {
            code = ilea_command_fail(EX_NOINPUT, "%s has no document %s; see ilea show", command->words[1],
                                     command->name);
        } else {
            listed[0] = listed[at];
            count = 1;
        }
    }
    if (code == 0) folder = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (code == 0 && folder < 0) code = ilea_command_fail(EX_CANTCREAT, "no folder %s: %s", out, strerror(errno));
    if (code == 0) code = fetch_all(command, listed, count, folder, seconds * 1000);
    if (folder >= 0) close(folder);
    ilea_wipe(listed, sizeof listed);
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    return code;
}
