#include "node/blob_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/home.h"
#include "node/own_keys.h"

enum { SYNC_EVERY = 16, /* chunks */ LEFTOVER_SECONDS = 24 * 3600 };

struct ilea_blob_file {
    struct ilea_blob_id root;
    int folder, data, have;       /* -1: not there */
    bool writes;
    uint8_t *list;                /* ciphertext */
    size_t list_size;
    uint8_t *names;               /* of all chunks, once the list was opened */
    uint32_t count, held, unsynced;
    uint8_t bits[ILEA_BLOB_HAVE_SIZE];
};

static enum ilea_error
from_errno(void)
{
    switch (errno) {
    case ENOSPC:
    case EFBIG:
    case EDQUOT: return ILEA_ERROR_FULL;
    case ENOENT: return ILEA_ERROR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY: return ILEA_ERROR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS: return ILEA_ERROR_PERMISSION;
    default: return ILEA_ERROR_IO;
    }
}

void
ilea_blob_file_name(const struct ilea_blob_id *root, char name[ILEA_BLOB_NAME_SIZE])
{
    ilea_hex_format(root->bytes, sizeof root->bytes, name);
}

static void
folder_path(const char *home, const char *name, char path[ILEA_PATH_SIZE])
{
    char inner[ILEA_BLOB_NAME_SIZE + 16];
    (void)snprintf(inner, sizeof inner, "blobs/%s", name);
    ilea_home_path(home, inner, path);
}

static bool
is_set(const uint8_t *bits, uint32_t index)
{
    return (bits[index / 8] >> (index % 8) & 1) != 0;
}

static uint32_t
count_bits(const uint8_t *bits, uint32_t count)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < count; i++) set += is_set(bits, i) ? 1 : 0;
    return set;
}

static enum ilea_error
write_at(int fd, const uint8_t *bytes, size_t size, off_t at)
{
    while (size > 0) {
        ssize_t part = pwrite(fd, bytes, size, at);
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) return from_errno();
        bytes += part;
        at += part;
        size -= (size_t)part;
    }
    return ILEA_ERROR_NONE;
}

/* As much as there is, at most size_max. */
static enum ilea_error
read_at(int fd, uint8_t *bytes, size_t size_max, off_t at, size_t *size)
{
    *size = 0;
    while (*size < size_max) {
        ssize_t part = pread(fd, bytes + *size, size_max - *size, at + (off_t)*size);
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) return from_errno();
        if (part == 0) break;
        *size += (size_t)part;
    }
    return ILEA_ERROR_NONE;
}

/* What root attaches is the daemon's to read and to remove. */
static enum ilea_error
give_to_owner(const char *home, const char *path)
{
    struct stat info;
    if (geteuid() != 0 || stat(home, &info) != 0 || info.st_uid == 0) return ILEA_ERROR_NONE;
    return lchown(path, info.st_uid, info.st_gid) == 0 ? ILEA_ERROR_NONE : from_errno();
}

static enum ilea_error
make_folder(const char *home, const char *name)
{
    char path[ILEA_PATH_SIZE];
    enum ilea_error error = ILEA_ERROR_NONE;
    ilea_home_path(home, "blobs", path);
    if (mkdir(path, 0700) == 0) {
        error = give_to_owner(home, path);
    } else if (errno != EEXIST) {
        return from_errno();
    }
    folder_path(home, name, path);
    if (error == ILEA_ERROR_NONE && mkdir(path, 0700) != 0) error = from_errno();
    if (error == ILEA_ERROR_NONE) error = give_to_owner(home, path);
    return error == ILEA_ERROR_NONE ? ilea_home_sync(home, "blobs") : error;
}

/* What the disk has of the list and of the bits. */
static enum ilea_error
load(struct ilea_blob_file *file)
{
    size_t size = 0;
    file->list = malloc(ILEA_BLOB_SEALED_MAX);
    if (file->list == NULL) return ILEA_ERROR_NO_MEMORY;
    int fd = openat(file->folder, "list", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    enum ilea_error error = ILEA_ERROR_NONE;
    if (fd >= 0) error = read_at(fd, file->list, ILEA_BLOB_SEALED_MAX, 0, &file->list_size);
    if (fd >= 0) close(fd);
    if (error == ILEA_ERROR_NONE && file->have >= 0) {
        error = read_at(file->have, file->bits, sizeof file->bits, 0, &size);
    }
    return error;
}

enum ilea_error
ilea_blob_file_open(const char *home, const struct ilea_blob_id *root, bool write, struct ilea_blob_file **file)
{
    char name[ILEA_BLOB_NAME_SIZE], path[ILEA_PATH_SIZE];
    enum ilea_error error = ILEA_ERROR_NONE;
    ilea_blob_file_name(root, name);
    if (write) error = make_folder(home, name);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_EXISTS) return error;
    struct ilea_blob_file *made = calloc(1, sizeof *made);
    if (made == NULL) return ILEA_ERROR_NO_MEMORY;
    folder_path(home, name, path);
    int flags = (write ? O_RDWR | O_CREAT : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC;
    made->root = *root;
    made->writes = write;
    made->data = made->have = -1;
    made->folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    error = made->folder >= 0 ? ILEA_ERROR_NONE : from_errno();
    if (error == ILEA_ERROR_NONE) made->data = openat(made->folder, "data", flags, 0600);
    if (error == ILEA_ERROR_NONE) made->have = openat(made->folder, "have", flags, 0600);
    if (error == ILEA_ERROR_NONE && write && (made->data < 0 || made->have < 0)) error = from_errno();
    if (error == ILEA_ERROR_NONE) error = load(made);
    if (error != ILEA_ERROR_NONE) {
        ilea_blob_file_close(made);
        return error;
    }
    *file = made;
    return ILEA_ERROR_NONE;
}

void
ilea_blob_file_close(struct ilea_blob_file *file)
{
    if (file == NULL) return;
    if (file->data >= 0) close(file->data);
    if (file->have >= 0) close(file->have);
    if (file->folder >= 0) close(file->folder);
    free(file->list);
    free(file->names);
    free(file);
}

/* By a temporary name: a list that is there is whole. */
static enum ilea_error
store_list(struct ilea_blob_file *file, struct ilea_span sealed)
{
    int fd = openat(file->folder, "list.new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return from_errno();
    enum ilea_error error = write_at(fd, sealed.data, sealed.size, 0);
    if (error == ILEA_ERROR_NONE && fsync(fd) != 0) error = from_errno();
    close(fd);
    if (error == ILEA_ERROR_NONE && renameat(file->folder, "list.new", file->folder, "list") != 0) error = from_errno();
    if (error == ILEA_ERROR_NONE && fsync(file->folder) != 0) error = from_errno();
    return error;
}

enum ilea_error
ilea_blob_file_list(struct ilea_blob_file *file, const struct ilea_network_id *network, const struct ilea_blob_key *key,
                    struct ilea_span sealed)
{
    struct ilea_blob_id name;
    bool is_new = sealed.size > 0;
    if (!is_new) sealed = (struct ilea_span){ file->list, file->list_size };
    if (sealed.size == 0) return ILEA_ERROR_NOT_FOUND;
    ilea_blob_name(sealed, &name);
    if (memcmp(name.bytes, file->root.bytes, sizeof name.bytes) != 0) return ILEA_ERROR_BAD_HASH;
    if (sealed.size <= ILEA_BLOB_OVERHEAD || sealed.size > ILEA_BLOB_SEALED_MAX) return ILEA_ERROR_INVALID;
    size_t size = sealed.size - ILEA_BLOB_OVERHEAD;
    if (size % ILEA_HASH_SIZE != 0) return ILEA_ERROR_INVALID;
    uint32_t count = (uint32_t)(size / ILEA_HASH_SIZE);
    uint8_t *names = malloc(size);
    if (names == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ILEA_ERROR_NONE;
    if (!ilea_blob_open(key, network, count, ILEA_BLOB_LIST, sealed, names)) error = ILEA_ERROR_INVALID;
    if (error == ILEA_ERROR_NONE && is_new) error = store_list(file, sealed);
    if (error != ILEA_ERROR_NONE) {
        free(names);
        return error;
    }
    if (is_new) {
        memcpy(file->list, sealed.data, sealed.size);
        file->list_size = sealed.size;
    }
    free(file->names);
    file->names = names;
    file->count = count;
    for (uint32_t i = count; i < ILEA_BLOB_CHUNKS_MAX; i++) file->bits[i / 8] &= (uint8_t)~(1u << (i % 8));
    file->held = count_bits(file->bits, count);
    return ILEA_ERROR_NONE;
}

bool
ilea_blob_file_has_list(const struct ilea_blob_file *file)
{
    return file->names != NULL;
}

struct ilea_span
ilea_blob_file_sealed_list(const struct ilea_blob_file *file)
{
    return (struct ilea_span){ file->list, file->list_size };
}

uint32_t
ilea_blob_file_count(const struct ilea_blob_file *file)
{
    return file->count;
}

uint32_t
ilea_blob_file_held(const struct ilea_blob_file *file)
{
    return file->held;
}

const uint8_t *
ilea_blob_file_have(const struct ilea_blob_file *file)
{
    return file->bits;
}

static bool
is_named(const struct ilea_blob_file *file, uint32_t index, struct ilea_span sealed)
{
    struct ilea_blob_id name;
    ilea_blob_name(sealed, &name);
    return memcmp(name.bytes, file->names + (size_t)index * ILEA_HASH_SIZE, sizeof name.bytes) == 0;
}

enum ilea_error
ilea_blob_file_put(struct ilea_blob_file *file, uint32_t index, struct ilea_span sealed)
{
    ilea_assert(file->writes && file->names != NULL && index < file->count);
    bool is_last = index + 1 == file->count;
    if (sealed.size > ILEA_BLOB_SEALED_MAX || sealed.size <= ILEA_BLOB_OVERHEAD
        || (!is_last && sealed.size != ILEA_BLOB_SEALED_MAX) || !is_named(file, index, sealed)) {
        return ILEA_ERROR_BAD_HASH;
    }
    if (is_set(file->bits, index)) return ILEA_ERROR_NONE;
    enum ilea_error error = write_at(file->data, sealed.data, sealed.size, (off_t)index * ILEA_BLOB_SEALED_MAX);
    if (error != ILEA_ERROR_NONE) return error;
    file->bits[index / 8] |= (uint8_t)(1u << (index % 8));
    file->held++;
    file->unsynced++;
    return file->unsynced >= SYNC_EVERY || file->held == file->count ? ilea_blob_file_sync(file) : ILEA_ERROR_NONE;
}

enum ilea_error
ilea_blob_file_sync(struct ilea_blob_file *file)
{
    if (file->unsynced == 0) return ILEA_ERROR_NONE;
    if (fdatasync(file->data) != 0) return from_errno();
    enum ilea_error error = write_at(file->have, file->bits, (file->count + 7) / 8, 0);
    if (error == ILEA_ERROR_NONE && fdatasync(file->have) != 0) error = from_errno();
    if (error == ILEA_ERROR_NONE) file->unsynced = 0;
    return error;
}

enum ilea_error
ilea_blob_file_get(struct ilea_blob_file *file, uint32_t index, uint8_t *sealed, size_t *size)
{
    if (file->names == NULL || file->data < 0 || index >= file->count || !is_set(file->bits, index)) {
        return ILEA_ERROR_NOT_FOUND;
    }
    off_t at = (off_t)index * ILEA_BLOB_SEALED_MAX;
    enum ilea_error error = read_at(file->data, sealed, ILEA_BLOB_SEALED_MAX, at, size);
    if (error != ILEA_ERROR_NONE) return error;
    return is_named(file, index, (struct ilea_span){ sealed, *size }) ? ILEA_ERROR_NONE : ILEA_ERROR_BAD_HASH;
}

void
ilea_blob_file_forget(struct ilea_blob_file *file, uint32_t index)
{
    if (index >= file->count || !is_set(file->bits, index)) return;
    file->bits[index / 8] &= (uint8_t)~(1u << (index % 8));
    file->held--;
    file->unsynced++;
}

enum ilea_error
ilea_blob_file_forget_list(struct ilea_blob_file *file)
{
    file->list_size = 0;
    if (unlinkat(file->folder, "list", 0) != 0 && errno != ENOENT) return from_errno();
    return fsync(file->folder) == 0 ? ILEA_ERROR_NONE : from_errno();
}

void
ilea_blob_file_progress(const char *home, const struct ilea_blob_id *root, uint32_t *held, uint32_t *count)
{
    char name[ILEA_BLOB_NAME_SIZE], path[ILEA_PATH_SIZE];
    uint8_t bits[ILEA_BLOB_HAVE_SIZE] = { 0 };
    struct stat list;
    size_t size;
    *held = *count = 0;
    ilea_blob_file_name(root, name);
    folder_path(home, name, path);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return;
    int have = openat(folder, "have", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fstatat(folder, "list", &list, AT_SYMLINK_NOFOLLOW) == 0 && list.st_size > ILEA_BLOB_OVERHEAD
        && list.st_size <= ILEA_BLOB_SEALED_MAX) {
        *count = (uint32_t)((list.st_size - ILEA_BLOB_OVERHEAD) / ILEA_HASH_SIZE);
    }
    if (have >= 0 && read_at(have, bits, sizeof bits, 0, &size) == ILEA_ERROR_NONE) *held = count_bits(bits, *count);
    if (have >= 0) close(have);
    close(folder);
}

bool
ilea_blob_file_is_whole(const char *home, const struct ilea_blob_id *root)
{
    uint32_t held, count;
    ilea_blob_file_progress(home, root, &held, &count);
    return count > 0 && held == count;
}

static enum ilea_error
remove_named(const char *home, const char *name)
{
    static const char *const files[] = { "have", "list", "list.new", "data" }; /* the bits first: they stay true */
    char path[ILEA_PATH_SIZE];
    folder_path(home, name, path);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return errno == ENOENT ? ILEA_ERROR_NONE : from_errno();
    enum ilea_error error = ILEA_ERROR_NONE;
    for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (unlinkat(folder, files[i], 0) != 0 && errno != ENOENT && error == ILEA_ERROR_NONE) error = from_errno();
    }
    close(folder);
    if (rmdir(path) != 0 && errno != ENOENT && error == ILEA_ERROR_NONE) error = from_errno();
    return error == ILEA_ERROR_NONE ? ilea_home_sync(home, "blobs") : error;
}

enum ilea_error
ilea_blob_file_remove(const char *home, const struct ilea_blob_id *root)
{
    char name[ILEA_BLOB_NAME_SIZE];
    ilea_blob_file_name(root, name);
    return remove_named(home, name);
}

static bool
is_older(const char *path, unsigned seconds)
{
    struct stat info;
    return stat(path, &info) == 0 && info.st_mtime + (time_t)seconds < time(NULL);
}

bool
ilea_blob_file_is_fresh(const char *home, const struct ilea_blob_id *root, unsigned seconds)
{
    char name[ILEA_BLOB_NAME_SIZE], path[ILEA_PATH_SIZE];
    ilea_blob_file_name(root, name);
    folder_path(home, name, path);
    return !is_older(path, seconds);
}

enum ilea_error
ilea_blob_file_roots(const char *home, struct ilea_blob_id **roots, uint32_t *count, uint32_t *leftover)
{
    char path[ILEA_PATH_SIZE];
    uint32_t capacity = 0;
    *roots = NULL;
    *count = *leftover = 0;
    ilea_home_path(home, "blobs", path);
    DIR *stream = opendir(path);
    if (stream == NULL) return errno == ENOENT ? ILEA_ERROR_NONE : from_errno();
    const struct dirent *entry;
    enum ilea_error error = ILEA_ERROR_NONE;
    while (error == ILEA_ERROR_NONE && (entry = readdir(stream)) != NULL) {
        struct ilea_blob_id root;
        size_t size = strlen(entry->d_name);
        if (strncmp(entry->d_name, "new-", 4) == 0 && size < ILEA_BLOB_NAME_SIZE) {
            folder_path(home, entry->d_name, path);
            if (is_older(path, LEFTOVER_SECONDS) && remove_named(home, entry->d_name) == ILEA_ERROR_NONE) (*leftover)++;
            continue;
        }
        struct ilea_span text = { (const uint8_t *)entry->d_name, size };
        if (!ilea_hex_parse(text, root.bytes, sizeof root.bytes)) continue;
        if (*count == capacity) {
            capacity = capacity == 0 ? 64 : 2 * capacity;
            struct ilea_blob_id *larger = realloc(*roots, capacity * sizeof *larger);
            if (larger == NULL) error = ILEA_ERROR_NO_MEMORY;
            if (larger != NULL) *roots = larger;
        }
        if (error == ILEA_ERROR_NONE) (*roots)[(*count)++] = root;
    }
    closedir(stream);
    if (error != ILEA_ERROR_NONE) {
        free(*roots);
        *roots = NULL;
    }
    return error;
}

/* A document being made: where its files are. */
struct maker {
    int folder, data;
    uint32_t count;
    uint8_t *plain, *sealed, *names;
};

static enum ilea_error
seal_chunks(struct maker *maker, const struct ilea_network_id *network, int from, const struct ilea_document *document,
            ilea_blob_progress *progress, void *context)
{
    for (uint32_t i = 0; i < maker->count; i++) {
        uint64_t at = (uint64_t)i * ILEA_BLOB_CHUNK_SIZE, left = document->size - at;
        size_t due = left < ILEA_BLOB_CHUNK_SIZE ? (size_t)left : ILEA_BLOB_CHUNK_SIZE, size;
        enum ilea_error error = read_at(from, maker->plain, due, (off_t)at, &size);
        if (error != ILEA_ERROR_NONE) return error;
        if (size != due) return ILEA_ERROR_INVALID;
        struct ilea_blob_id name;
        struct ilea_span plain = { maker->plain, size }, sealed = { maker->sealed, size + ILEA_BLOB_OVERHEAD };
        ilea_blob_seal(&document->key, network, maker->count, i, plain, maker->sealed);
        ilea_blob_name(sealed, &name);
        memcpy(maker->names + (size_t)i * ILEA_HASH_SIZE, name.bytes, sizeof name.bytes);
        error = write_at(maker->data, sealed.data, sealed.size, (off_t)i * ILEA_BLOB_SEALED_MAX);
        if (error != ILEA_ERROR_NONE) return error;
        if (progress != NULL) progress(context, i + 1);
    }
    struct stat info;
    bool is_same = fstat(from, &info) == 0 && (uint64_t)info.st_size == document->size;
    return is_same ? ILEA_ERROR_NONE : ILEA_ERROR_INVALID;
}

/* The list and the bits; all of it durable. */
static enum ilea_error
finish(struct maker *maker, const struct ilea_network_id *network, struct ilea_document *document)
{
    size_t size = (size_t)maker->count * ILEA_HASH_SIZE;
    struct ilea_span sealed = { maker->sealed, size + ILEA_BLOB_OVERHEAD };
    uint8_t bits[ILEA_BLOB_HAVE_SIZE] = { 0 };
    ilea_blob_seal(&document->key, network, maker->count, ILEA_BLOB_LIST, (struct ilea_span){ maker->names, size },
                   maker->sealed);
    ilea_blob_name(sealed, &document->root);
    for (uint32_t i = 0; i < maker->count; i++) bits[i / 8] |= (uint8_t)(1u << (i % 8));
    struct { const char *name; struct ilea_span bytes; } files[] = {
        { "list", sealed }, { "have", { bits, (maker->count + 7) / 8 } } };
    enum ilea_error error = fsync(maker->data) == 0 ? ILEA_ERROR_NONE : from_errno();
    for (unsigned i = 0; i < 2 && error == ILEA_ERROR_NONE; i++) {
        int fd = openat(maker->folder, files[i].name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) return from_errno();
        error = write_at(fd, files[i].bytes.data, files[i].bytes.size, 0);
        if (error == ILEA_ERROR_NONE && fsync(fd) != 0) error = from_errno();
        close(fd);
    }
    if (error == ILEA_ERROR_NONE && fsync(maker->folder) != 0) error = from_errno();
    return error;
}

static enum ilea_error
begin_making(struct maker *maker, const char *home, const char *name)
{
    char path[ILEA_PATH_SIZE];
    maker->plain = malloc(ILEA_BLOB_CHUNK_SIZE);
    maker->sealed = malloc(ILEA_BLOB_SEALED_MAX);
    maker->names = malloc((size_t)maker->count * ILEA_HASH_SIZE);
    if (maker->plain == NULL || maker->sealed == NULL || maker->names == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = make_folder(home, name);
    if (error != ILEA_ERROR_NONE) return error;
    folder_path(home, name, path);
    maker->folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (maker->folder >= 0) maker->data = openat(maker->folder, "data", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return maker->data >= 0 ? ILEA_ERROR_NONE : from_errno();
}

static enum ilea_error
give_files(const char *home, const char *name)
{
    static const char *const files[] = { "list", "data", "have" };
    char inner[ILEA_BLOB_NAME_SIZE + 8], path[ILEA_PATH_SIZE];
    enum ilea_error error = ILEA_ERROR_NONE;
    for (unsigned i = 0; i < sizeof files / sizeof files[0] && error == ILEA_ERROR_NONE; i++) {
        (void)snprintf(inner, sizeof inner, "%s/%s", name, files[i]);
        folder_path(home, inner, path);
        error = give_to_owner(home, path);
    }
    return error;
}

enum ilea_error
ilea_blob_file_make(const char *home, const struct ilea_network_id *network, int from, struct ilea_document *document,
                    ilea_blob_progress *progress, void *context)
{
    struct stat info;
    char name[ILEA_BLOB_NAME_SIZE], old[ILEA_PATH_SIZE], new[ILEA_PATH_SIZE];
    uint8_t random[8];
    if (fstat(from, &info) != 0) return from_errno();
    if (!S_ISREG(info.st_mode) || info.st_size <= 0) return ILEA_ERROR_INVALID;
    if ((uint64_t)info.st_size > ILEA_DOCUMENT_SIZE_MAX) return ILEA_ERROR_LIMIT;
    document->size = (uint64_t)info.st_size;
    ilea_blob_key_make(&document->key);
    ilea_random_bytes(random, sizeof random);
    memcpy(name, "new-", 4);
    ilea_hex_format(random, sizeof random, name + 4);
    struct maker maker = { .folder = -1, .data = -1, .count = ilea_document_chunks(document->size) };
    enum ilea_error error = begin_making(&maker, home, name);
    if (error == ILEA_ERROR_NONE) error = seal_chunks(&maker, network, from, document, progress, context);
    if (error == ILEA_ERROR_NONE) error = finish(&maker, network, document);
    if (error == ILEA_ERROR_NONE) error = give_files(home, name);
    if (error == ILEA_ERROR_NONE) {
        folder_path(home, name, old);
        ilea_blob_file_name(&document->root, name);
        folder_path(home, name, new);
        if (rename(old, new) != 0) error = from_errno();
    }
    if (error == ILEA_ERROR_NONE) error = ilea_home_sync(home, "blobs");
    if (error != ILEA_ERROR_NONE) (void)!remove_named(home, name);
    if (maker.data >= 0) close(maker.data);
    if (maker.folder >= 0) close(maker.folder);
    if (maker.plain != NULL) ilea_wipe(maker.plain, ILEA_BLOB_CHUNK_SIZE);
    free(maker.plain);
    free(maker.sealed);
    free(maker.names);
    return error;
}
