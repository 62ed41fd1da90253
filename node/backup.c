#include "node/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/key_file.h"
#include "node/agency.h"
#include "node/blob_file.h"
#include "node/home.h"
#include "node/json.h"
#include "node/node.h"
#include "node/own_keys.h"

enum { BACKUP_FORMAT = 1, FILES_MAX = 1 << 20, NAME_SIZE = 280 };

/* Names of the files of a backup, relative to its folder, but for backup.json. */
struct files {
    uint32_t count, capacity;
    char (*names)[NAME_SIZE];
};

static enum ilea_error
from_errno(void)
{
    switch (errno) {
    case ENOSPC:
    case EDQUOT: return ILEA_ERROR_FULL;
    case EEXIST:
    case ENOTEMPTY: return ILEA_ERROR_EXISTS;
    case ENOENT: return ILEA_ERROR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS: return ILEA_ERROR_PERMISSION;
    default: return ILEA_ERROR_IO;
    }
}

static enum ilea_error
explain(enum ilea_error error, const char *what, char *reason)
{
    if (error != ILEA_ERROR_NONE && reason[0] == '\0') {
        (void)snprintf(reason, ILEA_REASON_SIZE, "%.120s: %s", what, ilea_error_text(error));
    }
    return error;
}

static bool
join(const char *folder, const char *name, char path[ILEA_PATH_SIZE])
{
    return snprintf(path, ILEA_PATH_SIZE, "%s/%s", folder, name) < ILEA_PATH_SIZE;
}

static bool
is_empty(const char *folder)
{
    DIR *stream = opendir(folder);
    if (stream == NULL) return false;
    bool empty = true;
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) empty = false;
    }
    closedir(stream);
    return empty;
}

static enum ilea_error
sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return from_errno();
    enum ilea_error error = fsync(fd) == 0 ? ILEA_ERROR_NONE : from_errno();
    close(fd);
    return error;
}

/* Copy a plain file to a new one that only we may read. */
static enum ilea_error
copy_file(const char *from, const char *to)
{
    char buffer[65536];
    int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0) return from_errno();
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    enum ilea_error error = out >= 0 ? ILEA_ERROR_NONE : from_errno();
    ssize_t part = 0;
    while (error == ILEA_ERROR_NONE && (part = read(in, buffer, sizeof buffer)) > 0) {
        for (ssize_t done = 0; done < part && error == ILEA_ERROR_NONE;) {
            ssize_t written = write(out, buffer + done, (size_t)(part - done));
            if (written <= 0) error = from_errno();
            if (written > 0) done += written;
        }
    }
    if (error == ILEA_ERROR_NONE && part < 0) error = from_errno();
    if (error == ILEA_ERROR_NONE && fsync(out) != 0) error = from_errno();
    ilea_wipe(buffer, sizeof buffer); /* it may have been a key */
    if (out >= 0) close(out);
    close(in);
    return error;
}

static enum ilea_error
hash_file(const char *path, char hex[2 * ILEA_HASH_SIZE + 1])
{
    uint8_t buffer[65536], hash[ILEA_HASH_SIZE];
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return from_errno();
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_STORED);
    ssize_t part;
    while ((part = read(fd, buffer, sizeof buffer)) > 0) ilea_hash_add(&hasher, buffer, (size_t)part);
    close(fd);
    ilea_hash_end(&hasher, hash);
    ilea_wipe(buffer, sizeof buffer);
    for (unsigned i = 0; i < sizeof hash; i++) (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    return part == 0 ? ILEA_ERROR_NONE : from_errno();
}

static bool
has_ending(const char *name, const char *ending)
{
    size_t size = strlen(name), tail = strlen(ending);
    return size > tail && strcmp(name + size - tail, ending) == 0;
}

static enum ilea_error
add_name(struct files *files, const char *folder, const char *name)
{
    if (files->count == files->capacity) {
        uint32_t capacity = files->capacity == 0 ? 64 : 2 * files->capacity;
        char (*larger)[NAME_SIZE] = capacity <= FILES_MAX ? realloc(files->names, capacity * sizeof *larger) : NULL;
        if (larger == NULL) return ILEA_ERROR_NO_MEMORY;
        files->names = larger;
        files->capacity = capacity;
    }
    if (snprintf(files->names[files->count], NAME_SIZE, "%s%s", folder, name) >= NAME_SIZE) {
        return ILEA_ERROR_LIMIT;
    }
    files->count++;
    return ILEA_ERROR_NONE;
}

static enum ilea_error
copy_keys(const char *home, const char *folder, struct files *files, struct ilea_backup *backup)
{
    char keys[ILEA_PATH_SIZE], to[ILEA_PATH_SIZE], from[ILEA_PATH_SIZE];
    ilea_home_path(home, "keys", keys);
    if (!join(folder, "keys", to)) return ILEA_ERROR_LIMIT;
    if (mkdir(to, 0700) != 0) return from_errno();
    int fd = open(keys, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? opendir(keys) : NULL;
    enum ilea_error error = stream != NULL ? ILEA_ERROR_NONE : from_errno();
    const struct dirent *entry;
    backup->keys_protected = true;
    while (error == ILEA_ERROR_NONE && (entry = readdir(stream)) != NULL) {
        bool is_key = has_ending(entry->d_name, ".key");
        if (!is_key && !has_ending(entry->d_name, ".pub")) continue; /* public halves: recovery needs them */
        bool protected = true;
        if (is_key) error = ilea_key_file_needs_passphrase(fd, entry->d_name, &protected);
        if (error != ILEA_ERROR_NONE) break;
        if (!protected) backup->keys_protected = false;
        error = add_name(files, "keys/", entry->d_name);
        if (error == ILEA_ERROR_NONE
            && (!join(keys, entry->d_name, from) || !join(folder, files->names[files->count - 1], to))) {
            error = ILEA_ERROR_LIMIT;
        }
        if (error == ILEA_ERROR_NONE) error = copy_file(from, to);
        if (is_key) backup->key_files++;
    }
    if (stream != NULL) closedir(stream);
    if (fd >= 0) close(fd);
    if (error == ILEA_ERROR_NONE && join(folder, "keys", to)) error = sync_path(to);
    return error;
}

/* The log as it is at one moment, and who it belongs to. */
static enum ilea_error
copy_log(const char *home, const char *folder, struct ilea_backup *backup)
{
    char from[ILEA_PATH_SIZE], to[ILEA_PATH_SIZE];
    struct ilea_log *log = NULL;
    struct ilea_transaction *txn = NULL;
    ilea_home_path(home, "log", from);
    if (!join(folder, "log", to)) return ILEA_ERROR_LIMIT;
    if (mkdir(to, 0700) != 0) return from_errno();
    enum ilea_error error = ilea_log_open(from, true, &log);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_environment_copy(ilea_log_environment(log), to);
    ilea_log_close(log);
    if (error != ILEA_ERROR_NONE) return error;

    error = ilea_log_open(to, true, &log); /* what it says is what the copy says */
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_agency *own = malloc(sizeof *own);
    if (own == NULL) error = ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_log_last(txn, &backup->position);
    if (error == ILEA_ERROR_NONE) error = ilea_agency_load(txn, &ilea_log_identity(log)->agency, own);
    if (error == ILEA_ERROR_NONE) {
        backup->agency = own->row.id;
        (void)snprintf(backup->code, sizeof backup->code, "%.*s", (int)own->manifest.code.size,
                       (const char *)own->manifest.code.data);
    }
    free(own);
    ilea_transaction_abort(txn);
    ilea_log_close(log);
    char lock[ILEA_PATH_SIZE];
    if (join(to, "lock.mdb", lock)) (void)unlink(lock);
    return error;
}

static const char *const blob_files[] = { "list", "data", "have" };
enum { BLOB_FILES = 3 };

static bool
is_another_agencys(struct ilea_transaction *txn, const struct ilea_blob_id *root, const struct ilea_backup *backup)
{
    struct ilea_document_row row;
    return ilea_log_document(txn, root, &row) == ILEA_ERROR_NONE
        && memcmp(row.agency.bytes, backup->agency.bytes, ILEA_ID_SIZE) != 0;
}

static enum ilea_error
copy_document(const char *home, const char *folder, const struct ilea_blob_id *root, struct files *files)
{
    char inner[ILEA_BLOB_NAME_SIZE + 16], from[ILEA_PATH_SIZE], to[ILEA_PATH_SIZE], name[ILEA_BLOB_NAME_SIZE];
    ilea_blob_file_name(root, name);
    (void)snprintf(inner, sizeof inner, "blobs/%s/", name);
    if (!join(folder, inner, to)) return ILEA_ERROR_LIMIT;
    if (mkdir(to, 0700) != 0) return from_errno();
    enum ilea_error error = ILEA_ERROR_NONE;
    for (unsigned i = 0; i < BLOB_FILES && error == ILEA_ERROR_NONE; i++) {
        error = add_name(files, inner, blob_files[i]);
        if (error != ILEA_ERROR_NONE) return error;
        if (!join(folder, files->names[files->count - 1], to)) return ILEA_ERROR_LIMIT;
        ilea_home_path(home, files->names[files->count - 1], from);
        error = copy_file(from, to);
    }
    return error;
}

/* After the log: the documents that its records name were here before. */
static enum ilea_error
copy_documents(const char *home, const char *folder, struct files *files, struct ilea_backup *backup)
{
    char path[ILEA_PATH_SIZE];
    struct ilea_log *log = NULL;
    struct ilea_transaction *txn = NULL;
    struct ilea_blob_id *roots = NULL;
    uint32_t count, leftover;
    enum ilea_error error = ilea_blob_file_roots(home, &roots, &count, &leftover);
    if (error != ILEA_ERROR_NONE || count == 0) return error;
    if (!join(folder, "log", path)) error = ILEA_ERROR_LIMIT;
    if (error == ILEA_ERROR_NONE) error = ilea_log_open(path, true, &log);
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    if (error == ILEA_ERROR_NONE && !join(folder, "blobs", path)) error = ILEA_ERROR_LIMIT;
    if (error == ILEA_ERROR_NONE && mkdir(path, 0700) != 0) error = from_errno();
    for (uint32_t i = 0; i < count && error == ILEA_ERROR_NONE; i++) {
        if (is_another_agencys(txn, &roots[i], backup) || !ilea_blob_file_is_whole(home, &roots[i])) continue;
        error = copy_document(home, folder, &roots[i], files);
        backup->documents++;
    }
    ilea_transaction_abort(txn);
    ilea_log_close(log);
    free(roots);
    char lock[ILEA_PATH_SIZE];
    if (join(folder, "log/lock.mdb", lock)) (void)unlink(lock);
    return error == ILEA_ERROR_NONE ? sync_path(path) : error;
}

static enum ilea_error
write_list(const char *folder, const struct files *files, const struct ilea_backup *backup)
{
    char path[ILEA_PATH_SIZE], hex[2 * ILEA_HASH_SIZE + 1], id[2 * ILEA_ID_SIZE + 1];
    for (unsigned i = 0; i < ILEA_ID_SIZE; i++) (void)snprintf(id + 2 * i, 3, "%02x", backup->agency.bytes[i]);
    json_t *hashes = json_object();
    enum ilea_error error = hashes != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    for (uint32_t i = 0; i < files->count && error == ILEA_ERROR_NONE; i++) {
        if (!join(folder, files->names[i], path)) error = ILEA_ERROR_LIMIT;
        if (error == ILEA_ERROR_NONE) error = hash_file(path, hex);
        if (error == ILEA_ERROR_NONE && json_object_set_new(hashes, files->names[i], json_string(hex)) != 0) {
            error = ILEA_ERROR_NO_MEMORY;
        }
    }
    json_t *list = json_pack("{s:i,s:s,s:s,s:I,s:I,s:b,s:i,s:o}", "format", BACKUP_FORMAT, "agency", backup->code,
                             "agency_id", id, "made_ms", (json_int_t)backup->made_ms, "position",
                             (json_int_t)backup->position, "keys_protected", (int)backup->keys_protected, "key_files",
                             (int)backup->key_files, "files", hashes);
    char *text = list != NULL ? json_dumps(list, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
    if (text == NULL && error == ILEA_ERROR_NONE) error = ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_home_write_file(folder, "backup.json", text, strlen(text));
    free(text);
    json_decref(list);
    return error;
}

enum ilea_error
ilea_backup_make(const char *home, const char *folder, struct ilea_backup *backup, char *reason)
{
    char from[ILEA_PATH_SIZE], to[ILEA_PATH_SIZE];
    reason[0] = '\0';
    *backup = (struct ilea_backup){ .made_ms = ilea_wall_ms() };
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) return explain(from_errno(), folder, reason);
    if (!is_empty(folder)) return explain(ILEA_ERROR_EXISTS, "the folder is not empty; name a new one", reason);
    struct files *files = calloc(1, sizeof *files);
    if (files == NULL) return ILEA_ERROR_NO_MEMORY;
    /* Keys first: should they change meanwhile, the newer log says so, and the older keys do not fit it in silence. */
    enum ilea_error error = explain(copy_keys(home, folder, files, backup), "keys", reason);
    ilea_home_path(home, "ilea.conf", from);
    if (error == ILEA_ERROR_NONE && access(from, F_OK) == 0) {
        error = join(folder, "ilea.conf", to) ? copy_file(from, to) : ILEA_ERROR_LIMIT;
        if (error == ILEA_ERROR_NONE) error = add_name(files, "", "ilea.conf");
        (void)explain(error, "ilea.conf", reason);
    }
    if (error == ILEA_ERROR_NONE) error = explain(copy_log(home, folder, backup), "log", reason);
    if (error == ILEA_ERROR_NONE) error = add_name(files, "", "log/data.mdb");
    if (error == ILEA_ERROR_NONE) error = explain(copy_documents(home, folder, files, backup), "blobs", reason);
    if (error == ILEA_ERROR_NONE) error = explain(write_list(folder, files, backup), "backup.json", reason);
    free(files->names);
    free(files);
    return error;
}

/* backup.json, as far as its form goes (new reference). */
static enum ilea_error
read_list(const char *folder, json_t **list, char *reason)
{
    char path[ILEA_PATH_SIZE];
    if (!join(folder, "backup.json", path) || access(path, F_OK) != 0) {
        return explain(ILEA_ERROR_NOT_FOUND, "no backup: there is no backup.json", reason);
    }
    json_error_t fault;
    *list = json_load_file(path, JSON_REJECT_DUPLICATES, &fault);
    if (!json_is_object(*list) || !json_is_object(json_object_get(*list, "files"))
        || !json_is_string(json_object_get(*list, "agency")) || !json_is_integer(json_object_get(*list, "made_ms"))) {
        json_decref(*list);
        *list = NULL;
        return explain(ILEA_ERROR_CORRUPT, "backup.json", reason);
    }
    if (json_integer_value(json_object_get(*list, "format")) != BACKUP_FORMAT) {
        json_decref(*list);
        *list = NULL;
        return explain(ILEA_ERROR_VERSION, "backup.json", reason);
    }
    return ILEA_ERROR_NONE;
}

/* blobs/ROOT/list and the like. */
static bool
is_of_document(const char *name, struct ilea_blob_id *root)
{
    const size_t before = strlen("blobs/"), digits = ILEA_BLOB_NAME_SIZE - 1;
    if (strncmp(name, "blobs/", before) != 0 || strlen(name) <= before + digits + 1 || name[before + digits] != '/') {
        return false;
    }
    const char *file = name + before + digits + 1;
    bool is_known = false;
    for (unsigned i = 0; i < BLOB_FILES; i++) is_known = is_known || strcmp(file, blob_files[i]) == 0;
    return is_known && ilea_hex_parse((struct ilea_span){ (const uint8_t *)name + before, digits }, root->bytes,
                                      sizeof root->bytes);
}

/* Names as we write them, and nothing that leads elsewhere. */
static bool
is_file_of_backup(const char *name)
{
    if (strcmp(name, "ilea.conf") == 0 || strcmp(name, "log/data.mdb") == 0) return true;
    struct ilea_blob_id root;
    if (is_of_document(name, &root)) return true;
    return strncmp(name, "keys/", 5) == 0 && (has_ending(name, ".key") || has_ending(name, ".pub"))
        && strchr(name + 5, '/') == NULL
        && strlen(name) < NAME_SIZE;
}

enum ilea_error
ilea_backup_check(const char *folder, struct ilea_backup *backup, char *reason)
{
    json_t *list = NULL, *value;
    const char *name;
    char path[ILEA_PATH_SIZE], hex[2 * ILEA_HASH_SIZE + 1];
    reason[0] = '\0';
    *backup = (struct ilea_backup){ .made_ms = 0 };
    enum ilea_error error = read_list(folder, &list, reason);
    if (error != ILEA_ERROR_NONE) return error;
    bool has_log = false;
    json_object_foreach(json_object_get(list, "files"), name, value) {
        if (error != ILEA_ERROR_NONE) break;
        if (!is_file_of_backup(name) || !json_is_string(value) || !join(folder, name, path)) {
            error = explain(ILEA_ERROR_CORRUPT, "backup.json", reason);
            break;
        }
        has_log = has_log || strcmp(name, "log/data.mdb") == 0;
        error = explain(hash_file(path, hex), name, reason);
        if (error == ILEA_ERROR_NONE && strcmp(hex, json_string_value(value)) != 0) {
            (void)snprintf(reason, ILEA_REASON_SIZE, "%.100s is not what was backed up", name);
            error = ILEA_ERROR_CORRUPT;
        }
    }
    if (error == ILEA_ERROR_NONE && !has_log) error = explain(ILEA_ERROR_CORRUPT, "backup.json", reason);
    (void)snprintf(backup->code, sizeof backup->code, "%s", json_string_value(json_object_get(list, "agency")));
    backup->made_ms = (uint64_t)json_integer_value(json_object_get(list, "made_ms"));
    backup->position = (uint64_t)json_integer_value(json_object_get(list, "position"));
    backup->keys_protected = json_is_true(json_object_get(list, "keys_protected"));
    backup->key_files = (uint32_t)json_integer_value(json_object_get(list, "key_files"));
    json_decref(list);
    return error;
}

/* Move what a restore replaces out of the way: nothing of it is lost. */
static enum ilea_error
put_aside(const char *home, char aside[64])
{
    static const char *const names[] = { "log", "view", "keys", "ilea.conf" };
    char folder[ILEA_PATH_SIZE], from[ILEA_PATH_SIZE], to[ILEA_PATH_SIZE];
    aside[0] = '\0';
    for (unsigned n = 1; n < 10000 && aside[0] == '\0'; n++) {
        (void)snprintf(aside, 64, "before-restore-%u", n);
        ilea_home_path(home, aside, folder);
        if (mkdir(folder, 0700) != 0) {
            if (errno != EEXIST) return from_errno();
            aside[0] = '\0';
        }
    }
    if (aside[0] == '\0') return ILEA_ERROR_EXISTS;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        ilea_home_path(home, names[i], from);
        if (!join(folder, names[i], to)) return ILEA_ERROR_LIMIT;
        if (rename(from, to) != 0 && errno != ENOENT) return from_errno();
    }
    enum ilea_error error = sync_path(folder);
    return error == ILEA_ERROR_NONE ? sync_path(home) : error;
}

/* The log comes last: a home is one when it has a log. */
static enum ilea_error
copy_back(const char *folder, const char *home, json_t *names, bool the_log)
{
    const char *name;
    json_t *value;
    char from[ILEA_PATH_SIZE], to[ILEA_PATH_SIZE];
    json_object_foreach(names, name, value) {
        struct ilea_blob_id root;
        bool is_log = strcmp(name, "log/data.mdb") == 0;
        if (is_log != the_log || is_of_document(name, &root)) continue;
        if (!join(folder, name, from)) return ILEA_ERROR_LIMIT;
        ilea_home_path(home, is_log ? "log.new/data.mdb" : name, to);
        enum ilea_error error = copy_file(from, to);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

/* A document that is here in whole stays as it is: its name says what is in it. */
static enum ilea_error
copy_documents_back(const char *folder, const char *home, json_t *names)
{
    const char *name;
    json_t *value;
    char path[ILEA_PATH_SIZE], inner[ILEA_BLOB_NAME_SIZE + 16], hex[ILEA_BLOB_NAME_SIZE];
    json_object_foreach(names, name, value) {
        struct ilea_blob_id root;
        if (!is_of_document(name, &root) || strcmp(strrchr(name, '/'), "/list") != 0) continue; /* once each */
        if (ilea_blob_file_is_whole(home, &root)) continue;
        enum ilea_error error = ilea_blob_file_remove(home, &root);
        ilea_home_path(home, "blobs", path);
        if (error == ILEA_ERROR_NONE && mkdir(path, 0700) != 0 && errno != EEXIST) error = from_errno();
        ilea_blob_file_name(&root, hex);
        (void)snprintf(inner, sizeof inner, "blobs/%s", hex);
        ilea_home_path(home, inner, path);
        if (error == ILEA_ERROR_NONE && mkdir(path, 0700) != 0) error = from_errno();
        for (unsigned i = 0; i < BLOB_FILES && error == ILEA_ERROR_NONE; i++) {
            char from[ILEA_PATH_SIZE], to[ILEA_PATH_SIZE];
            (void)snprintf(inner, sizeof inner, "blobs/%s/%s", hex, blob_files[i]);
            ilea_home_path(home, inner, to);
            error = join(folder, inner, from) ? copy_file(from, to) : ILEA_ERROR_LIMIT;
        }
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

/* Records that came after the backup come back from peers: until then nothing names their documents. */
static void
touch_documents(const char *home)
{
    struct ilea_blob_id *roots = NULL;
    uint32_t count, leftover;
    if (ilea_blob_file_roots(home, &roots, &count, &leftover) != ILEA_ERROR_NONE) return;
    for (uint32_t i = 0; i < count; i++) {
        char path[ILEA_PATH_SIZE], inner[ILEA_BLOB_NAME_SIZE + 16], hex[ILEA_BLOB_NAME_SIZE];
        ilea_blob_file_name(&roots[i], hex);
        (void)snprintf(inner, sizeof inner, "blobs/%s", hex);
        ilea_home_path(home, inner, path);
        (void)utimensat(AT_FDCWD, path, NULL, 0);
    }
    free(roots);
}

enum ilea_error
ilea_backup_restore(const char *folder, const char *home, char aside[64], char *reason)
{
    static const char *const folders[] = { "keys", "view", "state" };
    char path[ILEA_PATH_SIZE], fresh[ILEA_PATH_SIZE];
    json_t *list = NULL;
    reason[0] = '\0';
    aside[0] = '\0';
    enum ilea_error error = read_list(folder, &list, reason);
    if (error == ILEA_ERROR_NONE && mkdir(home, 0700) != 0 && errno != EEXIST) error = from_errno();
    if (error == ILEA_ERROR_NONE && ilea_home_exists(home)) error = put_aside(home, aside);
    for (unsigned i = 0; error == ILEA_ERROR_NONE && i < sizeof folders / sizeof folders[0]; i++) {
        ilea_home_path(home, folders[i], path);
        if (mkdir(path, 0700) != 0 && errno != EEXIST) error = from_errno();
    }
    ilea_home_path(home, "log", path);
    ilea_home_path(home, "log.new", fresh);
    if (error == ILEA_ERROR_NONE && mkdir(fresh, 0700) != 0 && errno != EEXIST) error = from_errno();
    json_t *names = json_object_get(list, "files");
    if (error == ILEA_ERROR_NONE) error = copy_back(folder, home, names, false);
    if (error == ILEA_ERROR_NONE) touch_documents(home);
    if (error == ILEA_ERROR_NONE) error = copy_documents_back(folder, home, names);
    if (error == ILEA_ERROR_NONE) error = copy_back(folder, home, names, true);
    if (error == ILEA_ERROR_NONE) error = ilea_home_sync(home, "keys");
    if (error == ILEA_ERROR_NONE) error = ilea_home_sync(home, "log.new");
    if (error == ILEA_ERROR_NONE && rename(fresh, path) != 0) error = from_errno();
    if (error == ILEA_ERROR_NONE) error = sync_path(home);
    json_decref(list);
    return explain(error, home, reason);
}
