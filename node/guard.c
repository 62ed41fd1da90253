#include "node/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "crypto/hash.h"

/* A slot: scope u64 | audience 16 | feed 32 | seq u64 | commit id 32 | hash over whose it is, its number and these. */
enum { IDENTITY_SIZE = 32, BODY_SIZE = 8 + 16 + 32 + 8 + 32, SLOT_SIZE = BODY_SIZE + ILEA_HASH_SIZE };

/* Where QEMU's vmgenid device shows its id to the guest's root. */
#define QEMU_GENERATION "/sys/firmware/qemu_fw_cfg/by_name/etc/vmgenid_guid/raw"

struct ilea_guard {
    int fd;
    char generation_path[1024];           /* "": there is none */
    uint8_t generation[ILEA_HASH_SIZE];   /* of its content */
    uint8_t database[ILEA_DATABASE_ID_SIZE];
    uint8_t identity[IDENTITY_SIZE];      /* hash of boot, machine, database and generation */
};

/* False: it cannot be read. The size comes first, so that nothing runs into what follows. */
static bool
add_file(struct ilea_hasher *hasher, const char *path)
{
    char text[4096] = "";
    ssize_t size = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        size = read(fd, text, sizeof text);
        close(fd);
    }
    ilea_hash_add_u64(hasher, size > 0 ? (uint64_t)size : 0);
    ilea_hash_add(hasher, text, size > 0 ? (size_t)size : 0);
    return size >= 0;
}

/* What the generation file says now. One that was readable and is no more counts as changed. */
static bool
read_generation(const struct ilea_guard *guard, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_STORED);
    bool readable = guard->generation_path[0] == '\0' || add_file(&hasher, guard->generation_path);
    ilea_hash_end(&hasher, hash);
    return readable;
}

static void
set_identity(struct ilea_guard *guard)
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_STORED);
    (void)add_file(&hasher, "/proc/sys/kernel/random/boot_id");
    (void)add_file(&hasher, "/etc/machine-id");
    ilea_hash_add(&hasher, guard->database, sizeof guard->database);
    ilea_hash_add(&hasher, guard->generation, sizeof guard->generation);
    ilea_hash_end(&hasher, guard->identity);
}

/* The hash that makes a slot one of this boot, machine, database and generation. */
static void
check_slot(const struct ilea_guard *guard, uint32_t slot, const uint8_t body[BODY_SIZE], uint8_t check[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_STORED);
    ilea_hash_add(&hasher, guard->identity, sizeof guard->identity);
    ilea_hash_add_u64(&hasher, slot);
    ilea_hash_add(&hasher, body, BODY_SIZE);
    ilea_hash_end(&hasher, check);
}

/* Whether a folder's content is gone after a boot and in no ordinary backup. */
static bool
is_memory_backed(const char *folder)
{
    struct statfs info;
    if (statfs(folder, &info) != 0) return false;
    return (unsigned long)info.f_type == TMPFS_MAGIC || (unsigned long)info.f_type == RAMFS_MAGIC;
}

static bool
is_usable(const char *folder, bool make)
{
    if (folder == NULL || folder[0] == '\0') return false;
    if (make) (void)mkdir(folder, 0700);
    return is_memory_backed(folder) && access(folder, W_OK | X_OK) == 0;
}

static const char *
choose_folder(const char *configured)
{
    if (configured[0] != '\0') return is_usable(configured, true) ? configured : NULL;
    const char *runtime = getenv("RUNTIME_DIRECTORY"); /* set by systemd */
    if (is_usable(runtime, false)) return runtime;
    if (is_usable("/run/ilea", true)) return "/run/ilea";
    return is_usable("/dev/shm", false) ? "/dev/shm" : NULL;
}

enum ilea_error
ilea_guard_open(const char *configured, const char *generation,
                const uint8_t database[ILEA_DATABASE_ID_SIZE], struct ilea_guard **guard)
{
    const char *folder = choose_folder(configured);
    if (folder == NULL) return ILEA_ERROR_NOT_FOUND;
    char path[1024], hex[2 * ILEA_DATABASE_ID_SIZE + 1];
    for (unsigned i = 0; i < ILEA_DATABASE_ID_SIZE; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", database[i]);
    }
    if (snprintf(path, sizeof path, "%s/ilea-%s.guard", folder, hex) >= (int)sizeof path) {
        return ILEA_ERROR_NOT_FOUND;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return ILEA_ERROR_NOT_FOUND;
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_uid != geteuid()) {
        close(fd);
        return ILEA_ERROR_NOT_FOUND; /* somebody else's file tells us nothing */
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return ILEA_ERROR_BUSY;
    }
    struct ilea_guard *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        close(fd);
        return ILEA_ERROR_NO_MEMORY;
    }
    opened->fd = fd;
    memcpy(opened->database, database, sizeof opened->database);
    const char *tells = generation[0] != '\0' ? generation : access(QEMU_GENERATION, R_OK) == 0 ? QEMU_GENERATION : "";
    (void)snprintf(opened->generation_path, sizeof opened->generation_path, "%s", tells);
    if (!read_generation(opened, opened->generation)) {
        ilea_guard_close(opened);
        return ILEA_ERROR_INVALID;
    }
    set_identity(opened);
    *guard = opened;
    return ILEA_ERROR_NONE;
}

void
ilea_guard_close(struct ilea_guard *guard)
{
    if (guard == NULL) return;
    close(guard->fd);
    free(guard);
}

bool
ilea_guard_is_alone(struct ilea_guard *guard)
{
    uint8_t now[ILEA_HASH_SIZE];
    (void)read_generation(guard, now);
    if (memcmp(now, guard->generation, sizeof now) == 0) return true;
    memcpy(guard->generation, now, sizeof now);
    set_identity(guard);
    return false;
}

void
ilea_guard_read(const struct ilea_guard *guard, uint32_t slot, struct ilea_guard_entry *entry)
{
    uint8_t bytes[SLOT_SIZE], check[ILEA_HASH_SIZE];
    memset(entry, 0, sizeof *entry);
    if (pread(guard->fd, bytes, sizeof bytes, (off_t)slot * SLOT_SIZE) != sizeof bytes) return;
    check_slot(guard, slot, bytes, check);
    if (memcmp(check, bytes + BODY_SIZE, sizeof check) != 0) return;
    entry->scope = (enum ilea_scope)ilea_key_u64(bytes);
    memcpy(entry->audience.bytes, bytes + 8, 16);
    memcpy(entry->feed.bytes, bytes + 24, 32);
    entry->seq = ilea_key_u64(bytes + 56);
    memcpy(entry->id.bytes, bytes + 64, 32);
}

enum ilea_error
ilea_guard_write(struct ilea_guard *guard, uint32_t slot, const struct ilea_guard_entry *entry)
{
    uint8_t bytes[SLOT_SIZE];
    ilea_key_put_u64(bytes, entry->scope);
    memcpy(bytes + 8, entry->audience.bytes, 16);
    memcpy(bytes + 24, entry->feed.bytes, 32);
    ilea_key_put_u64(bytes + 56, entry->seq);
    memcpy(bytes + 64, entry->id.bytes, 32);
    check_slot(guard, slot, bytes, bytes + BODY_SIZE);
    ssize_t written = pwrite(guard->fd, bytes, sizeof bytes, (off_t)slot * SLOT_SIZE);
    if (written == (ssize_t)sizeof bytes) return ILEA_ERROR_NONE;
    (void)!ftruncate(guard->fd, 0); /* what stands there gives no permission any more */
    return ILEA_ERROR_IO;
}
