#include "replication/store/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "crypto/assert.h"
#include "crypto/hash.h"

enum { READERS_MAX = 256, PATH_SIZE = 1024 };

/* Address space, not disk: the file grows as it is used. Doubled when half full. */
static const size_t map_start = (size_t)1 << 30;

static const char format_key[] = "format";

struct ilea_environment {
    MDB_env *env;
    MDB_dbi databases[ILEA_DATABASES_MAX];
    unsigned database_count;
    size_t page_size;
    bool read_only;
};

struct ilea_transaction {
    struct ilea_environment *environment;
    MDB_txn *txn;
};

struct ilea_cursor {
    MDB_cursor *cursor;
};

void
ilea_key_put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (24 - 8 * i));
}

void
ilea_key_put_u64(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++) at[i] = (uint8_t)(value >> (56 - 8 * i));
}

uint32_t
ilea_key_u32(const uint8_t *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value = value << 8 | at[i];
    return value;
}

uint64_t
ilea_key_u64(const uint8_t *at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value = value << 8 | at[i];
    return value;
}

/* All of LMDB's codes are translated here and only here. */
static enum ilea_error
translate(int code)
{
    switch (code) {
    case MDB_SUCCESS: return ILEA_ERROR_NONE;
    case MDB_NOTFOUND: return ILEA_ERROR_NOT_FOUND;
    case MDB_KEYEXIST: return ILEA_ERROR_EXISTS;
    case MDB_READERS_FULL:
    case EAGAIN: return ILEA_ERROR_BUSY;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT: return ILEA_ERROR_FULL;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
    case MDB_CURSOR_FULL: /* from here on: what a damaged tree makes of a call that was right */
    case MDB_PAGE_FULL:
    case MDB_BAD_TXN:
    case MDB_BAD_VALSIZE: return ILEA_ERROR_CORRUPT;
    case MDB_VERSION_MISMATCH: return ILEA_ERROR_VERSION;
    case ENOMEM: return ILEA_ERROR_NO_MEMORY;
    case ENOENT: return ILEA_ERROR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS: return ILEA_ERROR_PERMISSION;
    default: return ILEA_ERROR_IO;
    }
}

/* LMDB calls a write that was cut short an I/O error, also where the disk is just full. */
static enum ilea_error
translate_write(const struct ilea_environment *environment, int code)
{
    enum { ROOM = 1024 * 1024 };
    mdb_filehandle_t fd;
    struct statvfs disk;
    if (code == EIO && mdb_env_get_fd(environment->env, &fd) == 0 && fstatvfs(fd, &disk) == 0
        && (uint64_t)disk.f_bavail * disk.f_frsize < ROOM) {
        return ILEA_ERROR_FULL;
    }
    return translate(code);
}

static MDB_val
val(struct ilea_span span)
{
    /* LMDB's type is not const, but it never writes through a key or value it is given. */
    union { const void *from; void *to; } pointer = { .from = span.data };
    return (MDB_val){ .mv_size = span.size, .mv_data = pointer.to };
}

static int
open_databases(struct ilea_environment *environment, const char *const *names, bool create)
{
    MDB_txn *txn = NULL;
    int code = mdb_txn_begin(environment->env, NULL, create ? 0 : MDB_RDONLY, &txn);
    for (unsigned i = 0; code == 0 && names[i] != NULL; i++) {
        ilea_assert(i < ILEA_DATABASES_MAX);
        code = mdb_dbi_open(txn, names[i], create ? MDB_CREATE : 0, &environment->databases[i]);
        environment->database_count = i + 1;
    }
    if (code != 0) {
        if (txn != NULL) mdb_txn_abort(txn);
        return code;
    }
    return mdb_txn_commit(txn);
}

/*
 * A file that was cut off is brought to its length again, with zeros: LMDB reports a page of them as
 * damaged, where one beyond the end would kill the process. Never shrinks, so it is safe beside a writer.
 */
static void
mend_length(struct ilea_environment *environment, const char *path)
{
    MDB_envinfo info;
    struct stat file;
    mdb_filehandle_t fd;
    char name[PATH_SIZE + 16];
    if (mdb_env_info(environment->env, &info) != 0 || mdb_env_get_fd(environment->env, &fd) != 0) return;
    off_t page = (off_t)environment->page_size, size = page * ((off_t)info.me_last_pgno + 1);
    if (fstat(fd, &file) != 0 || file.st_size >= size) return;
    if (snprintf(name, sizeof name, "%s/data.mdb", path) >= (int)sizeof name) return;
    int writable = open(name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (writable < 0) return;
    (void)fallocate(writable, 0, size - page, page);
    close(writable);
}

/* LMDB's own assertions fail on damaged pages: it would print a line of its own first. */
static void
on_assertion(MDB_env *env, const char *text)
{
    (void)env;
    (void)text;
    abort();
}

static int
open_env(struct ilea_environment *environment, const char *path)
{
    int code = mdb_env_create(&environment->env);
    if (code == 0) code = mdb_env_set_assert(environment->env, on_assertion);
    if (code == 0) code = mdb_env_set_maxdbs(environment->env, ILEA_DATABASES_MAX);
    if (code == 0) code = mdb_env_set_maxreaders(environment->env, READERS_MAX);
    if (code == 0) code = mdb_env_set_mapsize(environment->env, map_start);
    unsigned flags = MDB_NOTLS | (environment->read_only ? MDB_RDONLY : 0u);
    if (code == 0) code = mdb_env_open(environment->env, path, flags, 0600);
    if (code == 0) {
        MDB_stat stat;
        code = mdb_env_stat(environment->env, &stat);
        environment->page_size = stat.ms_psize;
    }
    if (code == 0) mend_length(environment, path);
    return code;
}

static int
sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    int code = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return code;
}

/* Make an empty environment with its format row beside `path`, sync it, and rename it into place. */
static int
create_env(const char *path, const struct ilea_environment_options *options)
{
    char temporary[PATH_SIZE], parent[PATH_SIZE], file[PATH_SIZE + 16];
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary) {
        return ENAMETOOLONG;
    }
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL) return EINVAL;
    *slash = '\0';
    /* Left over from a creation that a crash cut short: nothing was ever acknowledged from it. */
    snprintf(file, sizeof file, "%s/data.mdb", temporary);
    (void)unlink(file);
    snprintf(file, sizeof file, "%s/lock.mdb", temporary);
    (void)unlink(file);
    (void)rmdir(temporary);
    if (mkdir(temporary, 0700) != 0) return errno;

    struct ilea_environment environment = { .read_only = false };
    int code = open_env(&environment, temporary);
    if (code == 0) code = open_databases(&environment, options->databases, true);
    MDB_txn *txn = NULL;
    if (code == 0) code = mdb_txn_begin(environment.env, NULL, 0, &txn);
    if (code == 0) {
        uint8_t format[4];
        ilea_key_put_u32(format, options->format);
        MDB_val key = val((struct ilea_span){ (const uint8_t *)format_key, sizeof format_key - 1 });
        MDB_val value = { sizeof format, format };
        code = mdb_put(txn, environment.databases[0], &key, &value, 0);
        if (code == 0) {
            code = mdb_txn_commit(txn);
        } else {
            mdb_txn_abort(txn);
        }
    }
    if (code == 0) code = mdb_env_sync(environment.env, 1);
    if (environment.env != NULL) mdb_env_close(environment.env);
    if (code == 0) code = sync_directory(temporary);
    if (code == 0 && rename(temporary, path) != 0) code = errno;
    if (code == 0) code = sync_directory(parent);
    return code;
}

static int
check_format(struct ilea_environment *environment, uint32_t format, bool *other)
{
    MDB_txn *txn = NULL;
    int code = mdb_txn_begin(environment->env, NULL, MDB_RDONLY, &txn);
    if (code != 0) return code;
    MDB_val key = val((struct ilea_span){ (const uint8_t *)format_key, sizeof format_key - 1 });
    MDB_val value;
    code = mdb_get(txn, environment->databases[0], &key, &value);
    if (code == 0 && value.mv_size != 4) code = MDB_CORRUPTED;
    if (code == 0) *other = ilea_key_u32(value.mv_data) != format;
    mdb_txn_abort(txn);
    return code == MDB_NOTFOUND ? MDB_CORRUPTED : code;
}

enum ilea_error
ilea_environment_open(const char *path, const struct ilea_environment_options *options,
                      struct ilea_environment **environment)
{
    struct stat stat_buffer;
    int code = stat(path, &stat_buffer) == 0 ? 0 : errno;
    if (code == ENOENT && options->create) code = create_env(path, options);
    if (code != 0) return translate(code);

    struct ilea_environment *opened = calloc(1, sizeof *opened);
    if (opened == NULL) return ILEA_ERROR_NO_MEMORY;
    opened->read_only = options->read_only;
    code = open_env(opened, path);
    /* The first database alone holds the format: another one may have other databases beside it. */
    const char *const first[] = { options->databases[0], NULL };
    if (code == 0) code = open_databases(opened, first, false);
    bool other = false;
    if (code == 0) code = check_format(opened, options->format, &other);
    if (code == 0 && !other) code = open_databases(opened, options->databases, false);
    if (code == MDB_NOTFOUND) code = MDB_CORRUPTED; /* a database of ours is missing */
    if (code != 0 || other) {
        ilea_environment_close(opened);
        return other ? ILEA_ERROR_VERSION : translate(code);
    }
    *environment = opened;
    return ILEA_ERROR_NONE;
}

void
ilea_environment_close(struct ilea_environment *environment)
{
    if (environment == NULL) return;
    if (environment->env != NULL) mdb_env_close(environment->env);
    free(environment);
}

void
ilea_environment_usage(const struct ilea_environment *environment, uint64_t *used, uint64_t *map)
{
    MDB_envinfo info;
    mdb_env_info(environment->env, &info);
    *used = ((uint64_t)info.me_last_pgno + 1) * environment->page_size;
    *map = info.me_mapsize;
}

void
ilea_environment_check_readers(struct ilea_environment *environment)
{
    int dead = 0;
    (void)mdb_reader_check(environment->env, &dead);
}

/* Only called while this process has no transaction open but readers that are about to end. */
static void
grow_map(struct ilea_environment *environment)
{
    uint64_t used, map;
    ilea_environment_usage(environment, &used, &map);
    if (used > map / 2) (void)mdb_env_set_mapsize(environment->env, (size_t)map * 2);
}

enum ilea_error
ilea_transaction_begin(struct ilea_environment *environment, bool write,
                       struct ilea_transaction **transaction)
{
    ilea_assert(!write || !environment->read_only);
    struct ilea_transaction *begun = malloc(sizeof *begun);
    if (begun == NULL) return ILEA_ERROR_NO_MEMORY;
    begun->environment = environment;
    if (write) grow_map(environment);
    int code = mdb_txn_begin(environment->env, NULL, write ? 0 : MDB_RDONLY, &begun->txn);
    if (code == MDB_MAP_RESIZED) { /* another process has grown it */
        code = mdb_env_set_mapsize(environment->env, 0);
        if (code == 0) {
            code = mdb_txn_begin(environment->env, NULL, write ? 0 : MDB_RDONLY, &begun->txn);
        }
    }
    if (code == MDB_READERS_FULL) {
        ilea_environment_check_readers(environment);
        code = mdb_txn_begin(environment->env, NULL, MDB_RDONLY, &begun->txn);
    }
    if (code != 0) {
        free(begun);
        return translate(code);
    }
    *transaction = begun;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_transaction_commit(struct ilea_transaction *transaction)
{
    int code = mdb_txn_commit(transaction->txn);
    enum ilea_error error = translate_write(transaction->environment, code);
    free(transaction);
    return error;
}

void
ilea_transaction_abort(struct ilea_transaction *transaction)
{
    if (transaction == NULL) return;
    mdb_txn_abort(transaction->txn);
    free(transaction);
}

static void
make_tag(unsigned database, struct ilea_span key, struct ilea_span value, uint8_t tag[ILEA_TAG_SIZE])
{
    uint8_t hash[ILEA_HASH_SIZE];
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_STORED);
    ilea_hash_add_u64(&hasher, database);
    ilea_hash_add_u64(&hasher, key.size);
    ilea_hash_add(&hasher, key.data, key.size);
    ilea_hash_add(&hasher, value.data, value.size);
    ilea_hash_end(&hasher, hash);
    memcpy(tag, hash, ILEA_TAG_SIZE);
}

enum ilea_error
ilea_untag(unsigned database, struct ilea_span key, struct ilea_span stored, struct ilea_span *value)
{
    if (stored.size < ILEA_TAG_SIZE) return ILEA_ERROR_CORRUPT;
    struct ilea_span body = { stored.data, stored.size - ILEA_TAG_SIZE };
    uint8_t tag[ILEA_TAG_SIZE];
    make_tag(database, key, body, tag);
    if (memcmp(tag, stored.data + body.size, ILEA_TAG_SIZE) != 0) return ILEA_ERROR_CORRUPT;
    *value = body;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_get_raw(struct ilea_transaction *transaction, unsigned database, struct ilea_span key,
             struct ilea_span *value)
{
    ilea_assert(key.size > 0 && key.size <= ILEA_KEY_MAX);
    MDB_val k = val(key), v;
    int code = mdb_get(transaction->txn, transaction->environment->databases[database], &k, &v);
    if (code != 0) return translate(code);
    *value = (struct ilea_span){ v.mv_data, v.mv_size };
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_get(struct ilea_transaction *transaction, unsigned database, struct ilea_span key,
         struct ilea_span *value)
{
    struct ilea_span stored = { NULL, 0 };
    enum ilea_error error = ilea_get_raw(transaction, database, key, &stored);
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_untag(database, key, stored, value);
}

enum ilea_error
ilea_put_raw(struct ilea_transaction *transaction, unsigned database, struct ilea_span key,
             struct ilea_span first, struct ilea_span second, bool append)
{
    ilea_assert(key.size > 0 && key.size <= ILEA_KEY_MAX);
    MDB_val k = val(key), v = { .mv_size = first.size + second.size };
    unsigned flags = MDB_RESERVE | (append ? MDB_APPEND : 0u);
    int code = mdb_put(transaction->txn, transaction->environment->databases[database], &k, &v, flags);
    if (code == MDB_KEYEXIST && append) code = MDB_CORRUPTED; /* not the highest key after all */
    if (code != 0) return translate_write(transaction->environment, code);
    uint8_t *to = v.mv_data;
    if (first.size > 0) memcpy(to, first.data, first.size);
    if (second.size > 0) memcpy(to + first.size, second.data, second.size);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_put(struct ilea_transaction *transaction, unsigned database, struct ilea_span key,
         struct ilea_span value)
{
    uint8_t tag[ILEA_TAG_SIZE];
    make_tag(database, key, value, tag);
    return ilea_put_raw(transaction, database, key, value, (struct ilea_span){ tag, sizeof tag },
                        false);
}

enum ilea_error
ilea_delete(struct ilea_transaction *transaction, unsigned database, struct ilea_span key)
{
    MDB_val k = val(key);
    int code = mdb_del(transaction->txn, transaction->environment->databases[database], &k, NULL);
    return code == MDB_NOTFOUND ? ILEA_ERROR_NONE : translate_write(transaction->environment, code);
}

enum ilea_error
ilea_cursor_open(struct ilea_transaction *transaction, unsigned database,
                 struct ilea_cursor **cursor)
{
    struct ilea_cursor *opened = malloc(sizeof *opened);
    if (opened == NULL) return ILEA_ERROR_NO_MEMORY;
    int code = mdb_cursor_open(transaction->txn, transaction->environment->databases[database],
                               &opened->cursor);
    if (code != 0) {
        free(opened);
        return translate(code);
    }
    *cursor = opened;
    return ILEA_ERROR_NONE;
}

void
ilea_cursor_close(struct ilea_cursor *cursor)
{
    if (cursor == NULL) return;
    mdb_cursor_close(cursor->cursor);
    free(cursor);
}

static enum ilea_error
move(struct ilea_cursor *cursor, MDB_val *k, MDB_cursor_op operation, struct ilea_span *key,
     struct ilea_span *value)
{
    MDB_val v;
    int code = mdb_cursor_get(cursor->cursor, k, &v, operation);
    if (code != 0) return translate(code);
    *key = (struct ilea_span){ k->mv_data, k->mv_size };
    *value = (struct ilea_span){ v.mv_data, v.mv_size };
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_cursor_seek(struct ilea_cursor *cursor, struct ilea_span from, struct ilea_span *key,
                 struct ilea_span *value)
{
    MDB_val k = val(from);
    return move(cursor, &k, from.size == 0 ? MDB_FIRST : MDB_SET_RANGE, key, value);
}

enum ilea_error
ilea_cursor_next(struct ilea_cursor *cursor, struct ilea_span *key, struct ilea_span *value)
{
    MDB_val k = { 0, NULL };
    return move(cursor, &k, MDB_NEXT, key, value);
}

enum ilea_error
ilea_cursor_last(struct ilea_cursor *cursor, struct ilea_span *key, struct ilea_span *value)
{
    MDB_val k = { 0, NULL };
    return move(cursor, &k, MDB_LAST, key, value);
}

enum ilea_error
ilea_cursor_below(struct ilea_cursor *cursor, struct ilea_span before, struct ilea_span *key,
                  struct ilea_span *value)
{
    MDB_val k = val(before), none = { 0, NULL };
    enum ilea_error error = move(cursor, &k, MDB_SET_RANGE, key, value);
    if (error == ILEA_ERROR_NONE) return move(cursor, &none, MDB_PREV, key, value);
    return error == ILEA_ERROR_NOT_FOUND ? ilea_cursor_last(cursor, key, value) : error;
}
