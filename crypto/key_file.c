#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/assert.h"
#include "crypto/key_file.h"
#include "crypto/key_file_format.h"
#include "crypto/random.h"
#include "crypto/secret.h"

enum {
    OPSLIMIT = 3, /* Argon2id moderate: 0.7 s here */
    MEMLIMIT_KIB = 256 * 1024,
    PASSPHRASE_SIZE_MAX = 1024,
    NAME_SIZE_MAX = 200, /* with what a temporary name adds still below NAME_MAX */
    TEMPORARY_SIZE = NAME_SIZE_MAX + 32
};

_Static_assert((int)ILEA_KEY_FILE_SECRET_SIZE == (int)ILEA_SEED_SIZE, "Ed25519 seed");
_Static_assert((int)ILEA_KEY_FILE_SECRET_SIZE == (int)ILEA_BOX_SECRET_SIZE, "X25519 secret");
_Static_assert(ILEA_KEY_FILE_SALT_SIZE == crypto_pwhash_argon2id_SALTBYTES, "salt");
_Static_assert(ILEA_KEY_FILE_NONCE_SIZE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
_Static_assert(ILEA_KEY_FILE_TAG_SIZE == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
_Static_assert((int)ILEA_KEY_FILE_COMMITMENT_SIZE == (int)ILEA_HASH_SIZE, "commitment");
_Static_assert(ILEA_KEY_FILE_MEMLIMIT_KIB_MIN * 1024 >= crypto_pwhash_argon2id_MEMLIMIT_MIN,
               "what we accept, Argon2id accepts");
_Static_assert((int)OPSLIMIT <= (int)ILEA_KEY_FILE_OPSLIMIT_MAX, "we read what we write");
_Static_assert((int)MEMLIMIT_KIB <= (int)ILEA_KEY_FILE_MEMLIMIT_KIB_MAX, "we read what we write");

static bool
is_given(const struct ilea_span *passphrase)
{
    return passphrase != NULL && passphrase->size > 0;
}

static enum ilea_error
error_of(int number)
{
    switch (number) {
    case ENOENT: return ILEA_ERROR_NOT_FOUND;
    case EEXIST: return ILEA_ERROR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP: return ILEA_ERROR_PERMISSION; /* ELOOP: O_NOFOLLOW met a link */
    case ENOSPC:
    case EDQUOT: return ILEA_ERROR_FULL;
    case ENOMEM: return ILEA_ERROR_NO_MEMORY;
    default: return ILEA_ERROR_IO;
    }
}

/* The key and the commitment to it. The limits are in bounds, so only memory can be short. */
static enum ilea_error
stretch(const struct ilea_key_file *file, const struct ilea_span *passphrase,
        uint8_t key[ILEA_KEY_SIZE], uint8_t commitment[ILEA_KEY_FILE_COMMITMENT_SIZE])
{
    if (crypto_pwhash_argon2id(key, ILEA_KEY_SIZE, (const char *)passphrase->data, passphrase->size,
                               file->salt, file->opslimit, (size_t)file->memlimit_kib * 1024,
                               crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0) {
        return ILEA_ERROR_NO_MEMORY;
    }
    struct ilea_hasher hasher;
    ilea_hash_begin_keyed(&hasher, ILEA_DOMAIN_KEY_FILE, key);
    ilea_hash_end(&hasher, commitment);
    ilea_wipe(&hasher, sizeof hasher);
    return ILEA_ERROR_NONE;
}

/* Domain || all before the secret || public key. Returns the size. */
static size_t
put_associated(const struct ilea_key_file *file,
               uint8_t associated[static 64 + ILEA_KEY_FILE_SIZE_MAX])
{
    uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX];
    struct ilea_span text = ilea_domain_text(ILEA_DOMAIN_KEY_FILE);
    size_t size = 0;

    (void)ilea_key_file_encode(file, bytes); /* has a passphrase: no secret in clear */
    associated[size++] = (uint8_t)text.size;
    memcpy(associated + size, text.data, text.size);
    size += text.size;
    memcpy(associated + size, bytes, ILEA_KEY_FILE_HEAD_SIZE);
    size += ILEA_KEY_FILE_HEAD_SIZE;
    memcpy(associated + size, file->public_key, sizeof file->public_key);
    return size + sizeof file->public_key;
}

/* Put `secret` into `file`, whose kind and public key are set, under a passphrase. */
static enum ilea_error
close_secret(struct ilea_key_file *file, const struct ilea_span *passphrase,
             const uint8_t secret[ILEA_KEY_FILE_SECRET_SIZE])
{
    uint8_t associated[64 + ILEA_KEY_FILE_SIZE_MAX];
    uint8_t key[ILEA_KEY_SIZE];

    file->has_passphrase = true;
    file->opslimit = OPSLIMIT;
    file->memlimit_kib = MEMLIMIT_KIB;
    ilea_random_bytes(file->salt, sizeof file->salt);
    ilea_random_bytes(file->nonce, sizeof file->nonce);
    enum ilea_error error = stretch(file, passphrase, key, file->commitment);
    if (error != ILEA_ERROR_NONE) goto out;

    size_t size = put_associated(file, associated);
    int failed = crypto_aead_xchacha20poly1305_ietf_encrypt(
        file->secret, NULL, secret, ILEA_KEY_FILE_SECRET_SIZE, associated, size, NULL, file->nonce,
        key);
    ilea_assert(failed == 0);
out:
    ilea_wipe(key, sizeof key);
    return error;
}

/* The other way. */
static enum ilea_error
open_secret(const struct ilea_key_file *file, const struct ilea_span *passphrase,
            uint8_t secret[ILEA_KEY_FILE_SECRET_SIZE])
{
    uint8_t associated[64 + ILEA_KEY_FILE_SIZE_MAX];
    uint8_t commitment[ILEA_KEY_FILE_COMMITMENT_SIZE];
    uint8_t key[ILEA_KEY_SIZE];

    if (!file->has_passphrase) {
        memcpy(secret, file->secret, ILEA_KEY_FILE_SECRET_SIZE);
        return ILEA_ERROR_NONE;
    }
    if (!is_given(passphrase)) return ILEA_ERROR_PASSPHRASE;
    if (passphrase->size > PASSPHRASE_SIZE_MAX) return ILEA_ERROR_PASSPHRASE; /* none was saved */

    enum ilea_error error = stretch(file, passphrase, key, commitment);
    if (error != ILEA_ERROR_NONE) goto out;
    if (!ilea_equal_secret(commitment, file->commitment, sizeof commitment)) {
        error = ILEA_ERROR_PASSPHRASE;
        goto out;
    }
    size_t size = put_associated(file, associated);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(secret, NULL, NULL, file->secret,
                                                   sizeof file->secret, associated, size,
                                                   file->nonce, key) != 0) {
        error = ILEA_ERROR_CORRUPT;
    }
out:
    ilea_wipe(key, sizeof key);
    return error;
}

/* Is `secret` whole and the one that `public_key` belongs to? */
static bool
secret_fits(enum ilea_key_kind kind, const uint8_t secret[ILEA_KEY_FILE_SECRET_SIZE],
            const uint8_t public_key[32])
{
    uint8_t expanded[crypto_sign_SECRETKEYBYTES] = { 0 };
    uint8_t own[32];
    bool fits = false;

    if (kind == ILEA_KEY_ROOT || kind == ILEA_KEY_NODE || kind == ILEA_KEY_ADMIN) {
        if (crypto_sign_seed_keypair(own, expanded, secret) != 0) goto out;
    } else {
        memcpy(expanded, secret, ILEA_BOX_SECRET_SIZE);
        ilea_box_secret_clamp(expanded);
        if (!ilea_equal_secret(expanded, secret, ILEA_BOX_SECRET_SIZE)) goto out;
        if (crypto_scalarmult_base(own, secret) != 0) goto out;
    }
    fits = ilea_equal_secret(own, public_key, sizeof own);
out:
    ilea_wipe(expanded, sizeof expanded);
    return fits;
}

static enum ilea_error
write_all(int fd, const uint8_t *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t count = write(fd, bytes + done, size - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return error_of(errno);
        done += (size_t)count;
    }
    return ILEA_ERROR_NONE;
}

/* A new file with these bytes, mode 0600, on the disk when this returns. */
static enum ilea_error
write_new(int dir_fd, const char *name, const uint8_t *bytes, size_t size)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return error_of(errno);

    enum ilea_error error = write_all(fd, bytes, size);
    if (error == ILEA_ERROR_NONE && fsync(fd) != 0) error = error_of(errno);
    if (close(fd) != 0 && error == ILEA_ERROR_NONE) error = error_of(errno);
    if (error != ILEA_ERROR_NONE) (void)unlinkat(dir_fd, name, 0);
    return error;
}

/* Rename, never replacing. Takes the temporary name away in any case. */
static enum ilea_error
publish(int dir_fd, const char *temporary, const char *name)
{
    if (renameat2(dir_fd, temporary, dir_fd, name, RENAME_NOREPLACE) != 0) {
        int number = errno;
        /* NFS and FUSE may know no RENAME_NOREPLACE; a hard link does not replace either. */
        if (number == EINVAL || number == ENOSYS) {
            number = linkat(dir_fd, temporary, dir_fd, name, 0) == 0 ? 0 : errno;
        }
        (void)unlinkat(dir_fd, temporary, 0);
        if (number != 0) return error_of(number);
    }
    if (fsync(dir_fd) != 0) {
        enum ilea_error error = error_of(errno);
        (void)unlinkat(dir_fd, name, 0); /* ours, made just now: a failed save leaves nothing */
        return error;
    }
    return ILEA_ERROR_NONE;
}

static bool
name_is_plain(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size <= NAME_SIZE_MAX && strchr(name, '/') == NULL;
}

static enum ilea_error
save(int dir_fd, const char *name, struct ilea_key_file *file, const struct ilea_span *passphrase,
     const uint8_t secret[ILEA_KEY_FILE_SECRET_SIZE])
{
    uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX] = { 0 };
    char temporary[TEMPORARY_SIZE];
    uint64_t draw;
    enum ilea_error error;

    if (!name_is_plain(name)) return ILEA_ERROR_INVALID;
    if (is_given(passphrase) && passphrase->size > PASSPHRASE_SIZE_MAX) return ILEA_ERROR_INVALID;

    if (is_given(passphrase)) {
        error = close_secret(file, passphrase, secret);
        if (error != ILEA_ERROR_NONE) goto out;
    } else {
        memcpy(file->secret, secret, ILEA_KEY_FILE_SECRET_SIZE);
    }
    size_t size = ilea_key_file_encode(file, bytes);

    ilea_random_bytes(&draw, sizeof draw);
    (void)snprintf(temporary, sizeof temporary, ".%s.%016llx", name, (unsigned long long)draw);
    error = write_new(dir_fd, temporary, bytes, size);
    if (error == ILEA_ERROR_NONE) error = publish(dir_fd, temporary, name);
out:
    ilea_wipe(bytes, sizeof bytes);
    ilea_wipe(file, sizeof *file);
    return error;
}

enum ilea_error
ilea_key_file_save_sign(int dir_fd, const char *name, enum ilea_key_kind kind,
                        const struct ilea_sign_secret *secret, const struct ilea_span *passphrase)
{
    ilea_assert(kind == ILEA_KEY_ROOT || kind == ILEA_KEY_NODE || kind == ILEA_KEY_ADMIN);
    struct ilea_key_file file = { .kind = kind };
    memcpy(file.public_key, secret->bytes + ILEA_SEED_SIZE, ILEA_SIGN_PUBLIC_SIZE);
    return save(dir_fd, name, &file, passphrase, secret->bytes);
}

enum ilea_error
ilea_key_file_save_reading(int dir_fd, const char *name, const struct ilea_reading_secret *secret,
                           const struct ilea_span *passphrase)
{
    struct ilea_key_file file = { .kind = ILEA_KEY_READING };
    memcpy(file.public_key, secret->public_key.bytes, ILEA_BOX_PUBLIC_SIZE);
    return save(dir_fd, name, &file, passphrase, secret->bytes);
}

enum ilea_error
ilea_key_file_save_transport(int dir_fd, const char *name,
                             const struct ilea_transport_secret *secret,
                             const struct ilea_span *passphrase)
{
    struct ilea_key_file file = { .kind = ILEA_KEY_TRANSPORT };
    memcpy(file.public_key, secret->public_key.bytes, ILEA_BOX_PUBLIC_SIZE);
    return save(dir_fd, name, &file, passphrase, secret->bytes);
}

/* Ours alone? Asked of the open file: what stands under its name may change. */
static enum ilea_error
check_file(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0) return error_of(errno);
    if (!S_ISREG(status.st_mode)) return ILEA_ERROR_CORRUPT;
    if (status.st_uid != geteuid()) return ILEA_ERROR_PERMISSION;
    if ((status.st_mode & 077) != 0) return ILEA_ERROR_PERMISSION;
    return ILEA_ERROR_NONE;
}

static enum ilea_error
read_all(int fd, uint8_t *bytes, size_t capacity, size_t *size)
{
    size_t done = 0;
    while (done < capacity) {
        ssize_t count = read(fd, bytes + done, capacity - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return error_of(errno);
        if (count == 0) break;
        done += (size_t)count;
    }
    *size = done;
    return ILEA_ERROR_NONE;
}

static enum ilea_error
read_file(int dir_fd, const char *name, struct ilea_key_file *file)
{
    uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX + 1]; /* one more, to see a file that is too long */
    size_t size = 0;

    if (!name_is_plain(name)) return ILEA_ERROR_NOT_FOUND;
    /* O_NONBLOCK: a FIFO in its place must not hang the start. */
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return error_of(errno);

    enum ilea_error error = check_file(fd);
    if (error == ILEA_ERROR_NONE) error = read_all(fd, bytes, sizeof bytes, &size);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_key_file_decode((struct ilea_span){ bytes, size }, file);
    }
    (void)close(fd); /* only read: nothing to lose */
    ilea_wipe(bytes, sizeof bytes);
    return error;
}

enum ilea_error
ilea_key_file_needs_passphrase(int dir_fd, const char *name, bool *needed)
{
    struct ilea_key_file file = { 0 };
    enum ilea_error error = read_file(dir_fd, name, &file);
    if (error == ILEA_ERROR_NONE) *needed = file.has_passphrase;
    ilea_wipe(&file, sizeof file);
    return error;
}

enum ilea_error
ilea_key_file_look(int dir_fd, const char *name, struct ilea_key_file_info *info)
{
    struct ilea_key_file file = { 0 };
    enum ilea_error error = read_file(dir_fd, name, &file);
    if (error == ILEA_ERROR_NONE) {
        info->kind = file.kind;
        info->has_passphrase = file.has_passphrase;
        memcpy(info->public_key, file.public_key, sizeof info->public_key);
    }
    ilea_wipe(&file, sizeof file);
    return error;
}

enum ilea_error
ilea_key_file_destroy(int dir_fd, const char *name)
{
    struct ilea_key_file_info info;
    enum ilea_error error = ilea_key_file_look(dir_fd, name, &info);
    if (error != ILEA_ERROR_NONE) return error;
    int fd = openat(dir_fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return error_of(errno);
    uint8_t noise[ILEA_KEY_FILE_SIZE_MAX];
    ilea_random_bytes(noise, sizeof noise);
    error = write_all(fd, noise, info.has_passphrase ? ILEA_KEY_FILE_SIZE_MAX : ILEA_KEY_FILE_PLAIN_SIZE);
    if (error == ILEA_ERROR_NONE && fsync(fd) != 0) error = error_of(errno);
    (void)close(fd); /* synced, or reported already */
    if (error == ILEA_ERROR_NONE && unlinkat(dir_fd, name, 0) != 0) error = error_of(errno);
    if (error == ILEA_ERROR_NONE && fsync(dir_fd) != 0) error = error_of(errno);
    return error;
}

/* The secret on the caller's stack, checked against its public key. The caller wipes it. */
static enum ilea_error
load(int dir_fd, const char *name, enum ilea_key_kind kind, const struct ilea_span *passphrase,
     uint8_t secret[ILEA_KEY_FILE_SECRET_SIZE])
{
    struct ilea_key_file file = { 0 };
    enum ilea_error error = read_file(dir_fd, name, &file);
    if (error != ILEA_ERROR_NONE) goto out;
    if (file.kind != kind) {
        error = ILEA_ERROR_CORRUPT;
        goto out;
    }
    error = open_secret(&file, passphrase, secret);
    if (error == ILEA_ERROR_NONE && !secret_fits(kind, secret, file.public_key)) {
        error = ILEA_ERROR_CORRUPT;
    }
out:
    ilea_wipe(&file, sizeof file);
    return error;
}

enum ilea_error
ilea_key_file_load_sign(int dir_fd, const char *name, enum ilea_key_kind kind,
                        const struct ilea_span *passphrase, struct ilea_sign_secret **secret)
{
    uint8_t bytes[ILEA_KEY_FILE_SECRET_SIZE];
    ilea_assert(kind == ILEA_KEY_ROOT || kind == ILEA_KEY_NODE || kind == ILEA_KEY_ADMIN);

    enum ilea_error error = load(dir_fd, name, kind, passphrase, bytes);
    if (error == ILEA_ERROR_NONE) error = ilea_sign_secret_new(bytes, secret);
    ilea_wipe(bytes, sizeof bytes);
    return error;
}

enum ilea_error
ilea_key_file_load_reading(int dir_fd, const char *name, const struct ilea_span *passphrase,
                           struct ilea_reading_secret **secret)
{
    uint8_t bytes[ILEA_KEY_FILE_SECRET_SIZE];
    enum ilea_error error = load(dir_fd, name, ILEA_KEY_READING, passphrase, bytes);
    if (error == ILEA_ERROR_NONE) error = ilea_reading_secret_new(bytes, secret);
    ilea_wipe(bytes, sizeof bytes);
    return error;
}

enum ilea_error
ilea_key_file_load_transport(int dir_fd, const char *name, const struct ilea_span *passphrase,
                             struct ilea_transport_secret **secret)
{
    uint8_t bytes[ILEA_KEY_FILE_SECRET_SIZE];
    enum ilea_error error = load(dir_fd, name, ILEA_KEY_TRANSPORT, passphrase, bytes);
    if (error == ILEA_ERROR_NONE) error = ilea_transport_secret_new(bytes, secret);
    ilea_wipe(bytes, sizeof bytes);
    return error;
}
