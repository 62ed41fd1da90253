#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "crypto/key_file.h"
#include "crypto/key_file_format.h"
#include "crypto/random.h"
#include "tests/support/vectors.h"

static const struct ilea_span right = { (const uint8_t *)"correct horse battery staple", 28 };
static const struct ilea_span wrong = { (const uint8_t *)"correct horse battery stable", 28 };

struct folder {
    char path[64];
    int fd;
};

static int
make_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);
    if (folder == NULL) return -1;
    snprintf(folder->path, sizeof folder->path, "/tmp/ilea-key-file-XXXXXX");
    if (mkdtemp(folder->path) == NULL) return -1;
    folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = folder;
    return folder->fd < 0 ? -1 : 0;
}

/* Entries but "." and "..", which it removes if asked to. */
static int
count_files(const struct folder *folder, bool is_removing)
{
    DIR *dir = opendir(folder->path);
    struct dirent *entry;
    int count = 0;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (is_removing && unlinkat(folder->fd, entry->d_name, 0) != 0) {
            (void)unlinkat(folder->fd, entry->d_name, AT_REMOVEDIR);
        }
        count++;
    }
    closedir(dir);
    return count;
}

static int
remove_folder(void **state)
{
    struct folder *folder = *state;
    (void)count_files(folder, true);
    close(folder->fd);
    int failed = rmdir(folder->path);
    free(folder);
    return failed;
}

static void
put_file(const struct folder *folder, const char *name, const uint8_t *bytes, size_t size)
{
    int fd = openat(folder->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

static size_t
get_file(const struct folder *folder, const char *name, uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX + 1])
{
    int fd = openat(folder->fd, name, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t size = read(fd, bytes, ILEA_KEY_FILE_SIZE_MAX + 1);
    assert_true(size > 0);
    close(fd);
    return (size_t)size;
}

/* Load "key" as an Ed25519 node key; what loads must be `expected`. */
static enum ilea_error
load_node(const struct folder *folder, const struct ilea_span *passphrase,
          const struct ilea_sign_public *expected)
{
    struct ilea_sign_secret *secret = NULL;
    enum ilea_error error =
        ilea_key_file_load_sign(folder->fd, "key", ILEA_KEY_NODE, passphrase, &secret);
    assert_true((error == ILEA_ERROR_NONE) == (secret != NULL));
    if (secret != NULL) {
        struct ilea_sign_public public_key;
        ilea_sign_secret_public(secret, &public_key);
        assert_memory_equal(public_key.bytes, expected->bytes, sizeof public_key.bytes);
        ilea_sign_secret_free(secret);
    }
    return error;
}

static void
save_node(const struct folder *folder, struct ilea_sign_public *public_key)
{
    struct ilea_sign_secret *secret = NULL;
    assert_int_equal(ilea_sign_generate(&secret, public_key), ILEA_ERROR_NONE);
    assert_int_equal(ilea_key_file_save_sign(folder->fd, "key", ILEA_KEY_NODE, secret, NULL),
                     ILEA_ERROR_NONE);
    ilea_sign_secret_free(secret);
}

/*
 * A node key file under `right` with the cheapest limits that are accepted,
 * made here from the description in key_file_format.h and not by the code under test.
 */
static size_t
cheap_file(uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX], struct ilea_sign_public *public_key)
{
    uint8_t seed[32], secret[64], key[32], data[64 + ILEA_KEY_FILE_SIZE_MAX];
    const char *domain = "ilea/key-file/v1";
    size_t domain_size = strlen(domain);
    crypto_generichash_state state;
    randombytes_buf(seed, sizeof seed);
    assert_int_equal(crypto_sign_seed_keypair(public_key->bytes, secret, seed), 0);

    memset(bytes, 0, ILEA_KEY_FILE_SIZE_MAX);
    memcpy(bytes, "ILEAKEY1\x02\x01\x00\x00\x00\x01\x00\x00\x00\x08", 18);
    randombytes_buf(bytes + 18, 16 + 24);
    assert_int_equal(crypto_pwhash(key, sizeof key, (const char *)right.data, right.size,
                                   bytes + 18, 1, 8192, crypto_pwhash_ALG_ARGON2ID13),
                     0);
    data[0] = (uint8_t)domain_size;
    memcpy(data + 1, domain, domain_size);
    crypto_generichash_init(&state, key, sizeof key, 32);
    crypto_generichash_update(&state, data, 1 + domain_size);
    crypto_generichash_final(&state, bytes + 58, 32);
    memcpy(data + 1 + domain_size, bytes, 90);
    memcpy(data + 1 + domain_size + 90, public_key->bytes, 32);
    crypto_aead_xchacha20poly1305_ietf_encrypt(bytes + 90, NULL, seed, sizeof seed, data,
                                               1 + domain_size + 90 + 32, NULL, bytes + 34, key);
    memcpy(bytes + 138, public_key->bytes, 32);
    return ILEA_KEY_FILE_SIZE_MAX;
}

static void
test_key_file_keeps_each_kind(void **state)
{
    struct folder *folder = *state;
    struct ilea_sign_secret *sign = NULL, *sign_again = NULL;
    struct ilea_reading_secret *reading = NULL, *reading_again = NULL;
    struct ilea_transport_secret *transport = NULL, *transport_again = NULL;
    struct ilea_sign_public sign_public, sign_public_again;
    struct ilea_reading_public reading_public, reading_public_again;
    struct ilea_transport_public transport_public;
    bool needed = true;
    assert_int_equal(ilea_sign_generate(&sign, &sign_public), ILEA_ERROR_NONE);
    assert_int_equal(ilea_reading_generate(&reading, &reading_public), ILEA_ERROR_NONE);
    assert_int_equal(ilea_transport_generate(&transport, &transport_public), ILEA_ERROR_NONE);

    assert_int_equal(ilea_key_file_save_sign(folder->fd, "root", ILEA_KEY_ROOT, sign, NULL), 0);
    assert_int_equal(ilea_key_file_save_reading(folder->fd, "reading", reading, NULL), 0);
    assert_int_equal(ilea_key_file_save_transport(folder->fd, "transport", transport, NULL), 0);
    assert_int_equal(count_files(folder, false), 3);
    assert_int_equal(ilea_key_file_needs_passphrase(folder->fd, "root", &needed), 0);
    assert_false(needed);

    assert_int_equal(
        ilea_key_file_load_sign(folder->fd, "root", ILEA_KEY_ROOT, NULL, &sign_again), 0);
    ilea_sign_secret_public(sign_again, &sign_public_again);
    assert_memory_equal(&sign_public_again, &sign_public, sizeof sign_public);
    assert_int_equal(ilea_key_file_load_reading(folder->fd, "reading", NULL, &reading_again), 0);
    ilea_reading_secret_public(reading_again, &reading_public_again);
    assert_memory_equal(&reading_public_again, &reading_public, sizeof reading_public);
    assert_int_equal(ilea_key_file_load_transport(folder->fd, "transport", NULL, &transport_again),
                     0);
    assert_memory_equal(ilea_transport_secret_bytes(transport_again),
                        ilea_transport_secret_bytes(transport), ILEA_BOX_SECRET_SIZE);

    /* A key of one kind is not loaded as another. */
    struct ilea_sign_secret *none = NULL;
    struct ilea_reading_secret *no_reading = NULL;
    assert_int_equal(ilea_key_file_load_sign(folder->fd, "root", ILEA_KEY_NODE, NULL, &none),
                     ILEA_ERROR_CORRUPT);
    assert_int_equal(ilea_key_file_load_sign(folder->fd, "reading", ILEA_KEY_NODE, NULL, &none),
                     ILEA_ERROR_CORRUPT);
    assert_int_equal(ilea_key_file_load_reading(folder->fd, "transport", NULL, &no_reading),
                     ILEA_ERROR_CORRUPT);
    assert_null(none);
    assert_null(no_reading);

    ilea_sign_secret_free(sign);
    ilea_sign_secret_free(sign_again);
    ilea_reading_secret_free(reading);
    ilea_reading_secret_free(reading_again);
    ilea_transport_secret_free(transport);
    ilea_transport_secret_free(transport_again);
}

/* An admin's key; what a file tells without its secret; destroying it. */
static void
test_key_file_looks_and_destroys(void **state)
{
    struct folder *folder = *state;
    struct ilea_sign_secret *admin = NULL, *again = NULL;
    struct ilea_sign_public public_key;
    struct ilea_key_file_info info;
    assert_int_equal(ilea_sign_generate(&admin, &public_key), ILEA_ERROR_NONE);
    assert_int_equal(ilea_key_file_save_sign(folder->fd, "admin", ILEA_KEY_ADMIN, admin, NULL), 0);
    assert_int_equal(ilea_key_file_look(folder->fd, "admin", &info), 0);
    assert_int_equal(info.kind, ILEA_KEY_ADMIN);
    assert_false(info.has_passphrase);
    assert_memory_equal(info.public_key, public_key.bytes, sizeof info.public_key);
    assert_int_equal(ilea_key_file_load_sign(folder->fd, "admin", ILEA_KEY_NODE, NULL, &again), ILEA_ERROR_CORRUPT);
    assert_int_equal(ilea_key_file_load_sign(folder->fd, "admin", ILEA_KEY_ADMIN, NULL, &again), 0);

    assert_int_equal(ilea_key_file_destroy(folder->fd, "nothing"), ILEA_ERROR_NOT_FOUND);
    put_file(folder, "text", (const uint8_t *)"not a key", 9);
    assert_int_equal(ilea_key_file_look(folder->fd, "text", &info), ILEA_ERROR_CORRUPT);
    assert_int_equal(ilea_key_file_destroy(folder->fd, "text"), ILEA_ERROR_CORRUPT);
    assert_int_equal(linkat(folder->fd, "admin", folder->fd, "copy", 0), 0);
    assert_int_equal(ilea_key_file_destroy(folder->fd, "admin"), 0);
    assert_int_equal(ilea_key_file_look(folder->fd, "admin", &info), ILEA_ERROR_NOT_FOUND);
    assert_int_equal(ilea_key_file_look(folder->fd, "copy", &info), ILEA_ERROR_CORRUPT); /* its bytes are gone */
    ilea_sign_secret_free(admin);
    ilea_sign_secret_free(again);
}

/* With the real limits, once each: 0.7 s a time. */
static void
test_key_file_passphrase(void **state)
{
    struct folder *folder = *state;
    struct ilea_sign_secret *secret = NULL;
    struct ilea_sign_public public_key;
    uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX + 1];
    struct ilea_key_file file;
    bool needed = false;
    assert_int_equal(ilea_sign_generate(&secret, &public_key), ILEA_ERROR_NONE);
    assert_int_equal(ilea_key_file_save_sign(folder->fd, "key", ILEA_KEY_NODE, secret, &right),
                     ILEA_ERROR_NONE);
    ilea_sign_secret_free(secret);

    assert_int_equal(ilea_key_file_needs_passphrase(folder->fd, "key", &needed), ILEA_ERROR_NONE);
    assert_true(needed);
    size_t size = get_file(folder, "key", bytes);
    assert_int_equal(ilea_key_file_decode((struct ilea_span){ bytes, size }, &file),
                     ILEA_ERROR_NONE);
    assert_int_equal(file.opslimit, 3);
    assert_int_equal(file.memlimit_kib, 256 * 1024);
    assert_int_equal(load_node(folder, &right, &public_key), ILEA_ERROR_NONE);
    assert_int_equal(load_node(folder, &wrong, &public_key), ILEA_ERROR_PASSPHRASE);
    assert_int_equal(load_node(folder, NULL, &public_key), ILEA_ERROR_PASSPHRASE);
    assert_int_equal(load_node(folder, &(struct ilea_span){ NULL, 0 }, &public_key),
                     ILEA_ERROR_PASSPHRASE);
}

static void
test_key_file_passphrase_too_long(void **state)
{
    struct folder *folder = *state;
    struct ilea_sign_secret *secret = NULL;
    struct ilea_sign_public public_key;
    uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX];
    static const uint8_t letters[1025];
    struct ilea_span passphrase = { letters, sizeof letters };
    assert_int_equal(ilea_sign_generate(&secret, &public_key), ILEA_ERROR_NONE);
    assert_int_equal(ilea_key_file_save_sign(folder->fd, "key", ILEA_KEY_NODE, secret, &passphrase),
                     ILEA_ERROR_INVALID);
    ilea_sign_secret_free(secret);
    assert_int_equal(count_files(folder, false), 0);
    put_file(folder, "key", bytes, cheap_file(bytes, &public_key));
    assert_int_equal(load_node(folder, &passphrase, &public_key), ILEA_ERROR_PASSPHRASE);
    assert_int_equal(load_node(folder, &right, &public_key), ILEA_ERROR_NONE);
}

/* Any bit that differs is noticed; nothing else than the key that was saved is ever loaded. */
static void
test_key_file_every_bit_counts(void **state)
{
    struct folder *folder = *state;
    struct ilea_sign_public public_key;
    uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX + 1];
    save_node(folder, &public_key);
    size_t size = get_file(folder, "key", bytes);
    assert_int_equal(size, ILEA_KEY_FILE_PLAIN_SIZE);
    assert_int_equal(load_node(folder, NULL, &public_key), ILEA_ERROR_NONE);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        put_file(folder, "key", bytes, size);
        assert_int_equal(load_node(folder, NULL, &public_key), ILEA_ERROR_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
test_key_file_every_bit_counts_x25519(void **state)
{
    struct folder *folder = *state;
    struct ilea_reading_secret *secret = NULL, *loaded = NULL;
    struct ilea_reading_public public_key;
    uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX + 1];
    assert_int_equal(ilea_reading_generate(&secret, &public_key), ILEA_ERROR_NONE);
    assert_int_equal(ilea_key_file_save_reading(folder->fd, "key", secret, NULL), ILEA_ERROR_NONE);
    ilea_reading_secret_free(secret);
    size_t size = get_file(folder, "key", bytes);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        put_file(folder, "key", bytes, size);
        assert_int_equal(ilea_key_file_load_reading(folder->fd, "key", NULL, &loaded),
                         ILEA_ERROR_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_null(loaded);
}

/* With a passphrase. Other limits or salt give another key: that looks like a wrong passphrase. */
static void
test_key_file_every_bit_counts_sealed(void **state)
{
    struct folder *folder = *state;
    struct ilea_sign_public public_key;
    uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX];
    size_t size = cheap_file(bytes, &public_key);
    put_file(folder, "key", bytes, size);
    assert_int_equal(load_node(folder, &right, &public_key), ILEA_ERROR_NONE);
    assert_int_equal(load_node(folder, &wrong, &public_key), ILEA_ERROR_PASSPHRASE);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        size_t at = bit / 8;
        bool leads_elsewhere = (at >= 10 && at < 34) || (at >= 58 && at < 90);
        bytes[at] ^= (uint8_t)(1 << bit % 8);
        put_file(folder, "key", bytes, size);
        enum ilea_error error = load_node(folder, &right, &public_key);
        assert_true(error == ILEA_ERROR_CORRUPT
                    || (leads_elsewhere && error == ILEA_ERROR_PASSPHRASE));
        bytes[at] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
test_key_file_truncated(void **state)
{
    struct folder *folder = *state;
    struct ilea_sign_public public_key;
    uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX + 1] = { 0 };
    struct ilea_key_file file;
    for (int is_sealed = 0; is_sealed < 2; is_sealed++) {
        if (is_sealed == 0) save_node(folder, &public_key);
        size_t size = is_sealed == 0 ? get_file(folder, "key", bytes)
                                     : cheap_file(bytes, &public_key);
        for (size_t cut = 0; cut <= size + 1; cut++) {
            if (cut == size) continue;
            uint8_t *exact = ilea_exact_copy(bytes, cut);
            assert_int_equal(ilea_key_file_decode((struct ilea_span){ exact, cut }, &file),
                             ILEA_ERROR_CORRUPT);
            put_file(folder, "key", exact, cut);
            assert_int_equal(load_node(folder, &right, &public_key), ILEA_ERROR_CORRUPT);
            free(exact);
        }
        put_file(folder, "key", bytes, size);
        assert_int_equal(load_node(folder, &right, &public_key), ILEA_ERROR_NONE);
    }
}

static void
put_u32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* The decoder, which calls nothing, refuses limits by which a file could exhaust us. */
static void
test_key_file_limits_are_bounded(void **state)
{
    struct folder *folder = *state;
    static const struct {
        uint32_t opslimit, memlimit_kib;
    } bad[] = { { 0, 8 },  { 11, 8 },           { UINT32_MAX, 8 }, { 1, 0 },
                { 1, 7 },  { 1, 512 * 1024 + 1 }, { 1, UINT32_MAX }, { 3, 1024 * 1024 } };
    struct ilea_sign_public public_key;
    struct ilea_key_file file;
    uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX];
    size_t size = cheap_file(bytes, &public_key);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_u32(bytes + 10, bad[i].opslimit);
        put_u32(bytes + 14, bad[i].memlimit_kib);
        assert_int_equal(ilea_key_file_decode((struct ilea_span){ bytes, size }, &file),
                         ILEA_ERROR_CORRUPT);
        put_file(folder, "key", bytes, size);
        assert_int_equal(load_node(folder, &right, &public_key), ILEA_ERROR_CORRUPT);
    }
    put_u32(bytes + 10, ILEA_KEY_FILE_OPSLIMIT_MAX);
    put_u32(bytes + 14, ILEA_KEY_FILE_MEMLIMIT_KIB_MAX);
    assert_int_equal(ilea_key_file_decode((struct ilea_span){ bytes, size }, &file),
                     ILEA_ERROR_NONE);
}

/* Too little memory for Argon2id is not a wrong passphrase. (Sanitizers need the address space.) */
static void
test_key_file_no_memory(void **state)
{
#ifdef ILEA_SANITIZED
    (void)state;
    skip();
#else
    struct folder *folder = *state;
    struct ilea_sign_public public_key;
    uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX];
    size_t size = cheap_file(bytes, &public_key);
    put_u32(bytes + 14, 256 * 1024);
    put_file(folder, "key", bytes, size);

    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit limit = { 128 << 20, 128 << 20 };
        struct ilea_sign_secret *secret = NULL;
        if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(99);
        _exit((int)ilea_key_file_load_sign(folder->fd, "key", ILEA_KEY_NODE, &right, &secret));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ILEA_ERROR_NO_MEMORY);
#endif
}

static void
test_key_file_is_ours_alone(void **state)
{
    struct folder *folder = *state;
    struct ilea_sign_public public_key = { { 0 } };
    struct stat status;
    bool needed;
    assert_int_equal(load_node(folder, NULL, &public_key), ILEA_ERROR_NOT_FOUND);
    save_node(folder, &public_key);
    assert_int_equal(fstatat(folder->fd, "key", &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_nlink, 1);

    static const mode_t open_modes[] = { 0644, 0640, 0604, 0610, 0601, 0620, 0602 };
    for (size_t i = 0; i < sizeof open_modes / sizeof open_modes[0]; i++) {
        assert_int_equal(fchmodat(folder->fd, "key", open_modes[i], 0), 0);
        assert_int_equal(load_node(folder, NULL, &public_key), ILEA_ERROR_PERMISSION);
        assert_int_equal(ilea_key_file_needs_passphrase(folder->fd, "key", &needed),
                         ILEA_ERROR_PERMISSION);
    }
    assert_int_equal(fchmodat(folder->fd, "key", 0400, 0), 0);
    assert_int_equal(load_node(folder, NULL, &public_key), ILEA_ERROR_NONE);
    if (geteuid() == 0) {
        assert_int_equal(fchownat(folder->fd, "key", 12345, 12345, 0), 0);
        assert_int_equal(load_node(folder, NULL, &public_key), ILEA_ERROR_PERMISSION);
    }
}

static void
test_key_file_is_a_plain_file(void **state)
{
    struct folder *folder = *state;
    struct ilea_sign_public public_key;
    struct ilea_sign_secret *secret = NULL;
    save_node(folder, &public_key);
    assert_int_equal(renameat(folder->fd, "key", folder->fd, "real"), 0);
    assert_int_equal(symlinkat("real", folder->fd, "key"), 0);
    assert_int_equal(load_node(folder, NULL, &public_key), ILEA_ERROR_PERMISSION);
    assert_int_equal(unlinkat(folder->fd, "key", 0), 0);

    assert_int_equal(mkfifoat(folder->fd, "key", 0600), 0); /* must not hang */
    assert_int_equal(load_node(folder, NULL, &public_key), ILEA_ERROR_CORRUPT);
    assert_int_equal(unlinkat(folder->fd, "key", 0), 0);
    assert_int_equal(mkdirat(folder->fd, "key", 0700), 0);
    assert_int_equal(load_node(folder, NULL, &public_key), ILEA_ERROR_CORRUPT);

    static const char *const names[] = { "", "a/b", "../real", "/etc/passwd" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(
            ilea_key_file_load_sign(folder->fd, names[i], ILEA_KEY_NODE, NULL, &secret),
            ILEA_ERROR_NOT_FOUND);
    }
}

/* What exists is never replaced, whatever it is, and a failed save leaves nothing. */
static void
test_key_file_never_replaces(void **state)
{
    struct folder *folder = *state;
    struct ilea_sign_public first, second;
    struct ilea_sign_secret *secret = NULL;
    save_node(folder, &first);
    assert_int_equal(ilea_sign_generate(&secret, &second), ILEA_ERROR_NONE);
    assert_int_equal(ilea_key_file_save_sign(folder->fd, "key", ILEA_KEY_NODE, secret, NULL),
                     ILEA_ERROR_EXISTS);
    assert_int_equal(load_node(folder, NULL, &first), ILEA_ERROR_NONE);
    assert_int_equal(count_files(folder, false), 1);

    assert_int_equal(symlinkat("nowhere", folder->fd, "link"), 0);
    assert_int_equal(ilea_key_file_save_sign(folder->fd, "link", ILEA_KEY_NODE, secret, NULL),
                     ILEA_ERROR_EXISTS);
    assert_int_equal(count_files(folder, false), 2);
    assert_int_equal(ilea_key_file_save_sign(folder->fd, "a/b", ILEA_KEY_NODE, secret, NULL),
                     ILEA_ERROR_INVALID);

    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 10;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum ilea_error error =
        ilea_key_file_save_sign(folder->fd, "other", ILEA_KEY_NODE, secret, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(error, ILEA_ERROR_IO);
    assert_int_equal(count_files(folder, false), 2);
    ilea_sign_secret_free(secret);
}

int
main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_key_file_keeps_each_kind),
        IN_FOLDER(test_key_file_looks_and_destroys),
        IN_FOLDER(test_key_file_passphrase),
        IN_FOLDER(test_key_file_passphrase_too_long),
        IN_FOLDER(test_key_file_every_bit_counts),
        IN_FOLDER(test_key_file_every_bit_counts_x25519),
        IN_FOLDER(test_key_file_every_bit_counts_sealed),
        IN_FOLDER(test_key_file_truncated),
        IN_FOLDER(test_key_file_limits_are_bounded),
        IN_FOLDER(test_key_file_no_memory),
        IN_FOLDER(test_key_file_is_ours_alone),
        IN_FOLDER(test_key_file_is_a_plain_file),
        IN_FOLDER(test_key_file_never_replaces),
    };
#undef IN_FOLDER
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
