#include "node/home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "crypto/assert.h"
#include "replication/record/limits.h"

static enum ilea_error
from_errno(void)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR: return ILEA_ERROR_NOT_FOUND;
    case EEXIST: return ILEA_ERROR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS: return ILEA_ERROR_PERMISSION;
    case ENOSPC:
    case EDQUOT: return ILEA_ERROR_FULL;
    case ENOMEM: return ILEA_ERROR_NO_MEMORY;
    default: return ILEA_ERROR_IO;
    }
}

void
ilea_home_path(const char *home, const char *name, char path[ILEA_PATH_SIZE])
{
    int length = snprintf(path, ILEA_PATH_SIZE, "%s/%s", home, name);
    ilea_assert(length > 0 && length < ILEA_PATH_SIZE); /* ilea_home_choose() left room for names */
}

enum ilea_error
ilea_home_choose(const char *option, char home[ILEA_PATH_SIZE])
{
    const char *chosen = option != NULL ? option : getenv("ILEA_HOME");
    if (chosen == NULL || chosen[0] == '\0') chosen = "/var/lib/ilea";
    char folder[ILEA_PATH_SIZE] = "";
    if (chosen[0] != '/' && getcwd(folder, sizeof folder) == NULL) return ILEA_ERROR_INVALID;
    int length = snprintf(home, ILEA_PATH_SIZE, "%s%s%s", folder, folder[0] != '\0' ? "/" : "", chosen);
    if (length <= 0 || length > ILEA_HOME_SIZE_MAX) return ILEA_ERROR_INVALID;
    while (length > 1 && home[length - 1] == '/') home[--length] = '\0';
    return ILEA_ERROR_NONE;
}

bool
ilea_home_exists(const char *home)
{
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home, "log/data.mdb", path);
    return access(path, F_OK) == 0;
}

static enum ilea_error
sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return from_errno();
    enum ilea_error error = fsync(fd) == 0 ? ILEA_ERROR_NONE : from_errno();
    close(fd);
    return error;
}

enum ilea_error
ilea_home_sync(const char *home, const char *folder)
{
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home, folder, path);
    return sync_folder(path);
}

bool
ilea_home_is_local(const char *path)
{
    /* From statfs(2); some are not in linux/magic.h. */
    static const unsigned long remote[] = { NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, 0xff534d42 /* CIFS */,
                                            0xfe534d42 /* SMB2 */, V9FS_MAGIC, 0x65735546 /* FUSE */,
                                            0x00c36400 /* Ceph */, AFS_SUPER_MAGIC, CODA_SUPER_MAGIC };
    struct statfs info;
    if (statfs(path, &info) != 0) return true; /* whoever opens it finds out what is wrong */
    for (unsigned i = 0; i < sizeof remote / sizeof remote[0]; i++) {
        if ((unsigned long)info.f_type == remote[i]) return false;
    }
    return true;
}

enum ilea_error
ilea_home_create(const char *home)
{
    static const char *const folders[] = { "keys", "view", "state" };
    if (mkdir(home, 0700) != 0 && errno != EEXIST) return from_errno();
    if (ilea_home_exists(home)) return ILEA_ERROR_EXISTS;
    if (!ilea_home_is_local(home)) return ILEA_ERROR_INVALID;
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home, "keys/" "node.key", path);
    if (access(path, F_OK) == 0) return ILEA_ERROR_EXISTS; /* keys without a log: not ours to touch */
    if (chmod(home, 0700) != 0) return from_errno();
    for (unsigned i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        ilea_home_path(home, folders[i], path);
        if (mkdir(path, 0700) != 0 && errno != EEXIST) return from_errno();
    }
    return sync_folder(home);
}

/* A folder of ours with plain files in it. */
static void
remove_folder(const char *home, const char *name)
{
    char path[ILEA_PATH_SIZE], file[ILEA_PATH_SIZE + 256];
    ilea_home_path(home, name, path);
    DIR *stream = opendir(path);
    const struct dirent *entry;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        (void)unlink(file);
    }
    if (stream != NULL) closedir(stream);
    (void)rmdir(path);
}

void
ilea_home_take_back(const char *home)
{
    static const char *const folders[] = { "log", "keys", "view", "state" };
    for (unsigned i = 0; i < sizeof folders / sizeof folders[0]; i++) remove_folder(home, folders[i]);
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home, "ilea.conf", path);
    (void)unlink(path);
    (void)rmdir(home);
}

static enum ilea_error
write_whole(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return from_errno();
        bytes += written;
        size -= (size_t)written;
    }
    return fsync(fd) == 0 ? ILEA_ERROR_NONE : from_errno();
}

enum ilea_error
ilea_home_write_file(const char *home, const char *name, const void *bytes, size_t size)
{
    char path[ILEA_PATH_SIZE], temporary[ILEA_PATH_SIZE + 8];
    ilea_home_path(home, name, path);
    (void)snprintf(temporary, sizeof temporary, "%s.new", path);
    (void)unlink(temporary); /* of a write that a crash cut short */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return from_errno();
    enum ilea_error error = write_whole(fd, bytes, size);
    close(fd);
    if (error == ILEA_ERROR_NONE && rename(temporary, path) != 0) error = from_errno();
    if (error != ILEA_ERROR_NONE) {
        (void)unlink(temporary);
        return error;
    }
    char *slash = strrchr(path, '/');
    *slash = '\0';
    return sync_folder(path);
}

enum ilea_error
ilea_home_lock(const char *home, int wait_ms, int *lock)
{
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home, "state/lock", path);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return from_errno();
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += 20) {
        if (errno != EWOULDBLOCK || waited >= wait_ms) {
            close(fd);
            return ILEA_ERROR_BUSY;
        }
        const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
        (void)nanosleep(&pause, NULL);
    }
    *lock = fd;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_home_config(const char *home, struct ilea_config *config, char *reason)
{
    char path[ILEA_PATH_SIZE], text[ILEA_CONFIG_FILE_SIZE_MAX + 1], phrase[100];
    ilea_home_path(home, "ilea.conf", path);
    *config = (struct ilea_config){ .approvals = 1, .documents_max = ILEA_DOCUMENTS_MAX_DEFAULT };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return ILEA_ERROR_NONE;
    if (fd < 0) return from_errno();
    size_t size = 0;
    ssize_t part;
    while (size < sizeof text && (part = read(fd, text + size, sizeof text - size)) > 0) {
        size += (size_t)part;
    }
    close(fd);
    int line = 0;
    enum ilea_error error = ilea_config_parse(text, size, config, &line, phrase, sizeof phrase);
    if (error == ILEA_ERROR_INVALID) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "ilea.conf line %d: %s", line, phrase);
    }
    return error;
}
