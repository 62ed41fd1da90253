#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/random.h"
#include "replication/store/environment.h"
#include "tests/support/home.h"

static const char *const names[] = { "first", "second", NULL };
static const struct ilea_environment_options making = { .databases = names, .format = 3, .create = true };
static const struct ilea_environment_options opening = { .databases = names, .format = 3 };

static int
make_folder(void **state)
{
    char *folder = strdup("/tmp/ilea-test-XXXXXX");
    *state = folder;
    return folder != NULL && mkdtemp(folder) != NULL ? 0 : -1;
}

static int
remove_folder(void **state)
{
    ilea_test_remove_tree(*state);
    free(*state);
    return 0;
}

static struct ilea_span
key_of(uint32_t i, uint8_t key[4])
{
    ilea_key_put_u32(key, i);
    return (struct ilea_span){ key, 4 };
}

/* Row i: 10 + 7 * i bytes that tell i. */
static struct ilea_span
value_of(uint32_t i, uint8_t *value)
{
    size_t size = 10 + 7 * (size_t)i;
    for (size_t at = 0; at < size; at++) value[at] = (uint8_t)(i * 31 + at * 7);
    return (struct ilea_span){ value, size };
}

enum { ROWS = 200, VALUE_MAX = 10 + 7 * ROWS };

static void
make_rows(const char *path)
{
    struct ilea_environment *environment;
    struct ilea_transaction *txn;
    uint8_t key[4], value[VALUE_MAX];
    ILEA_TEST_OK(ilea_environment_open(path, &making, &environment));
    ILEA_TEST_OK(ilea_transaction_begin(environment, true, &txn));
    for (uint32_t i = 0; i < ROWS; i++) {
        ILEA_TEST_OK(ilea_put(txn, i % 2, key_of(i, key), value_of(i, value)));
    }
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    ilea_environment_close(environment);
}

static void
path_in(const char *folder, const char *name, char path[256])
{
    (void)snprintf(path, 256, "%s/%s", folder, name);
}

/* Runs before anything here has opened an environment in this process: children may open it. */
enum { CHILD_RIGHT = 0, CHILD_ERROR = 1, CHILD_WRONG = 2 };

static int
read_all(const char *path)
{
    struct ilea_environment *environment;
    struct ilea_transaction *txn;
    uint8_t key[4], expected[VALUE_MAX];
    int outcome = CHILD_RIGHT;
    if (ilea_environment_open(path, &opening, &environment) != ILEA_ERROR_NONE) return CHILD_ERROR;
    if (ilea_transaction_begin(environment, false, &txn) != ILEA_ERROR_NONE) return CHILD_ERROR;
    for (uint32_t i = 0; i < ROWS; i++) {
        struct ilea_span value, right = value_of(i, expected);
        enum ilea_error error = ilea_get(txn, i % 2, key_of(i, key), &value);
        if (error != ILEA_ERROR_NONE) {
            outcome = CHILD_ERROR; /* NOT_FOUND too: a damaged tree may lose a row, never change one */
        } else if (value.size != right.size || memcmp(value.data, right.data, right.size) != 0) {
            return CHILD_WRONG;
        }
    }
    return outcome;
}

static int
read_in_child(const char *path)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(nowhere, STDERR_FILENO);
        (void)alarm(5);
        static const int fatal[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE };
        for (unsigned i = 0; i < 4; i++) (void)signal(fatal[i], SIG_DFL);
        _exit(read_all(path));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
make_in_child(const char *path)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        make_rows(path);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Any one bit of the file: the right value, an error or a death, never another value. */
static void
test_environment_bit_flips(void **state)
{
    char path[256], data[256];
    path_in(*state, "env", path);
    path_in(*state, "env/data.mdb", data);
    make_in_child(path);
    assert_int_equal(read_in_child(path), CHILD_RIGHT);
    static uint8_t whole[4 << 20];
    int fd = open(data, O_RDWR | O_CLOEXEC);
    ssize_t size = pread(fd, whole, sizeof whole, 0);
    assert_true(size > 0 && size < (ssize_t)sizeof whole);
    unsigned seed = (unsigned)time(NULL), wrong = 0, counts[3] = { 0, 0, 0 };
    print_message("seed %u, %zd bytes\n", seed, size);
    srand48((long)seed); /* which bits: not a secret */
    for (unsigned round = 0; round < 300; round++) {
        /* A third in the two meta pages and the first others, where a bit does most harm. */
        size_t bits = (size_t)(round % 3 == 0 ? (size < 16384 ? size : 16384) : size) * 8;
        size_t bit = (size_t)lrand48() % bits;
        uint8_t byte = (uint8_t)(whole[bit / 8] ^ 1u << bit % 8);
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
        int outcome = read_in_child(path);
        if (outcome == CHILD_WRONG) {
            print_message("bit %zu: another value\n", bit);
            wrong++;
        }
        counts[outcome == CHILD_RIGHT ? 0 : outcome == CHILD_ERROR ? 1 : 2]++;
        assert_int_equal(pwrite(fd, whole, (size_t)size, 0), size);
        assert_int_equal(ftruncate(fd, size), 0);
    }
    close(fd);
    print_message("right %u, errors %u, deaths %u\n", counts[0], counts[1], counts[2] - wrong);
    assert_int_equal(wrong, 0);
    assert_true(counts[1] > 0);
}

/* A file that was cut off anywhere. */
static void
test_environment_truncated(void **state)
{
    char path[256], data[256];
    path_in(*state, "env", path);
    path_in(*state, "env/data.mdb", data);
    make_in_child(path);
    struct stat info;
    assert_int_equal(stat(data, &info), 0);
    static uint8_t whole[4 << 20];
    int fd = open(data, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, whole, sizeof whole, 0), info.st_size);
    for (off_t cut = 0; cut < info.st_size; cut += cut < 16384 ? 1777 : 20011) {
        assert_int_equal(pwrite(fd, whole, (size_t)info.st_size, 0), info.st_size);
        assert_int_equal(ftruncate(fd, cut), 0);
        int outcome = read_in_child(path);
        if (outcome != CHILD_ERROR) fail_msg("cut at %lld: %d", (long long)cut, outcome);
    }
    close(fd);
}

/* Open, tell the parent, wait until it has written beyond our map, read what lies there. */
static int
read_beyond_map(const char *path, int to_parent, int from_parent)
{
    struct ilea_environment *environment;
    struct ilea_transaction *txn;
    struct ilea_span value;
    uint8_t key[4], expected[VALUE_MAX];
    char byte;
    (void)alarm(20); /* should the parent's test fail */
    if (ilea_environment_open(path, &opening, &environment) != ILEA_ERROR_NONE) return 1;
    if (write(to_parent, "", 1) != 1 || read(from_parent, &byte, 1) != 1) return 2;
    if (ilea_transaction_begin(environment, false, &txn) != ILEA_ERROR_NONE) return 3;
    if (ilea_get_raw(txn, 0, key_of(1000032, key), &value) != ILEA_ERROR_NONE) return 4;
    for (size_t i = 0; i < value.size; i += 4096) {
        if (value.data[i] != 0) return 5;
    }
    if (ilea_get(txn, 1, key_of(7, key), &value) != ILEA_ERROR_NONE) return 6;
    if (memcmp(value.data, value_of(7, expected).data, value.size) != 0) return 7;
    uint64_t used, map;
    ilea_environment_usage(environment, &used, &map);
    return map >= (uint64_t)2 << 30 ? 0 : 8;
}

/* Another process grows the map beyond what this one has mapped. On memory: it is a gigabyte. */
static void
test_environment_grows_beside_a_reader(void **state)
{
    enum { BIG = 32 << 20, COUNT = 34 };
    char folder[64] = "/dev/shm/ilea-test-XXXXXX", path[256], byte;
    struct statfs room;
    (void)state;
    if (statfs("/dev/shm", &room) != 0 || (unsigned long)room.f_type != TMPFS_MAGIC
        || (uint64_t)room.f_bavail * (uint64_t)room.f_bsize < (uint64_t)3 << 30 || mkdtemp(folder) == NULL) {
        print_message("no 3 GiB of room in /dev/shm\n");
        skip();
    }
    path_in(folder, "env", path);
    make_in_child(path);
    int to_child[2], from_child[2];
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(from_child), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(read_beyond_map(path, from_child[1], to_child[0]));
    assert_int_equal(read(from_child[0], &byte, 1), 1);
    struct ilea_environment *environment;
    struct ilea_transaction *txn;
    uint8_t key[4];
    uint64_t used = 0, map = 0;
    uint8_t *big = calloc(1, BIG);
    assert_non_null(big);
    ILEA_TEST_OK(ilea_environment_open(path, &opening, &environment));
    for (uint32_t i = 0; i < COUNT; i++) { /* one GiB is the map; it is doubled when half of it is used */
        ILEA_TEST_OK(ilea_transaction_begin(environment, true, &txn));
        ilea_environment_usage(environment, &used, &map);
        assert_true(used <= map / 2);
        ILEA_TEST_OK(ilea_put_raw(txn, 0, key_of(1000000 + i, key), (struct ilea_span){ big, BIG },
                                  (struct ilea_span){ NULL, 0 }, false));
        ILEA_TEST_OK(ilea_transaction_commit(txn));
    }
    free(big);
    ilea_environment_usage(environment, &used, &map);
    assert_true(used > (uint64_t)1 << 30);
    assert_int_equal(write(to_child[1], "", 1), 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    ilea_environment_close(environment);
    for (unsigned i = 0; i < 2; i++) {
        close(to_child[i]);
        close(from_child[i]);
    }
    ilea_test_remove_tree(folder);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Readers that died hold no slot for ever: more of them than there are slots. */
static void
test_environment_dead_readers_are_cleared(void **state)
{
    char path[256];
    path_in(*state, "env", path);
    make_in_child(path);
    for (unsigned i = 0; i < 5; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct ilea_environment *environment;
            struct ilea_transaction *txn;
            ILEA_TEST_OK(ilea_environment_open(path, &opening, &environment));
            for (unsigned n = 0; n < 60; n++) ILEA_TEST_OK(ilea_transaction_begin(environment, false, &txn));
            (void)raise(SIGKILL);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
    }
    assert_int_equal(read_in_child(path), CHILD_RIGHT);
}

/* What follows opens environments in this process itself. */

static void
test_environment_made_in_one_piece(void **state)
{
    char path[256], leftover[256], file[256];
    struct ilea_environment *environment = NULL;
    struct stat info;
    path_in(*state, "env", path);
    path_in(*state, "env.new", leftover);
    path_in(*state, "env.new/data.mdb", file);
    assert_int_equal(ilea_environment_open(path, &opening, &environment), ILEA_ERROR_NOT_FOUND);
    assert_null(environment);
    assert_int_equal(mkdir(leftover, 0700), 0); /* a creation that a crash cut short */
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "half", 4), 4);
    close(fd);
    ILEA_TEST_OK(ilea_environment_open(path, &making, &environment));
    ilea_environment_close(environment);
    assert_int_not_equal(stat(leftover, &info), 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    path_in(*state, "env/data.mdb", file);
    assert_int_equal(stat(file, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    ILEA_TEST_OK(ilea_environment_open(path, &making, &environment)); /* it is there: not made again */
    ilea_environment_close(environment);

    path_in(*state, "none/env", path);
    assert_int_equal(ilea_environment_open(path, &making, &environment), ILEA_ERROR_NOT_FOUND);
}

static void
test_environment_refuses_what_is_not_one(void **state)
{
    char path[256], file[256];
    struct ilea_environment *environment = NULL;
    path_in(*state, "env", path);
    path_in(*state, "env/data.mdb", file);
    make_rows(path);
    struct ilea_environment_options options = opening;
    options.format = 2;
    assert_int_equal(ilea_environment_open(path, &options, &environment), ILEA_ERROR_VERSION);
    options.format = 4; /* an older one is on the disk */
    assert_int_equal(ilea_environment_open(path, &options, &environment), ILEA_ERROR_VERSION);
    static const char *const more[] = { "first", "second", "third", NULL };
    options = (struct ilea_environment_options){ .databases = more, .format = 3 };
    assert_int_equal(ilea_environment_open(path, &options, &environment), ILEA_ERROR_CORRUPT);
    options.format = 2; /* newer, with other databases: VERSION all the same */
    assert_int_equal(ilea_environment_open(path, &options, &environment), ILEA_ERROR_VERSION);

    int fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);
    static const char noise[20000] = "not what it was";
    assert_int_equal(write(fd, noise, sizeof noise), sizeof noise);
    close(fd);
    assert_int_equal(ilea_environment_open(path, &opening, &environment), ILEA_ERROR_CORRUPT);
    assert_int_equal(unlink(file), 0);
    options = opening;
    options.read_only = true;
    assert_int_equal(ilea_environment_open(path, &options, &environment), ILEA_ERROR_NOT_FOUND);
    if (geteuid() != 0) {
        assert_int_equal(chmod(path, 0), 0);
        assert_int_equal(ilea_environment_open(path, &opening, &environment), ILEA_ERROR_PERMISSION);
        assert_int_equal(chmod(path, 0700), 0);
    }
    assert_null(environment);
}

static void
test_environment_tags_notice_every_byte(void **state)
{
    char path[256];
    struct ilea_environment *environment;
    struct ilea_transaction *txn;
    uint8_t key[4], value[VALUE_MAX], changed[VALUE_MAX + ILEA_TAG_SIZE];
    struct ilea_span stored, found;
    path_in(*state, "env", path);
    make_rows(path);
    ILEA_TEST_OK(ilea_environment_open(path, &opening, &environment));
    ILEA_TEST_OK(ilea_transaction_begin(environment, true, &txn));
    ILEA_TEST_OK(ilea_get_raw(txn, 0, key_of(20, key), &stored));
    assert_int_equal(stored.size, value_of(20, value).size + ILEA_TAG_SIZE);
    size_t size = stored.size;
    memcpy(changed, stored.data, size);
    for (size_t i = 0; i < size; i++) {
        changed[i] ^= (uint8_t)(1u << i % 8);
        ILEA_TEST_OK(ilea_put_raw(txn, 0, key_of(20, key), (struct ilea_span){ changed, size },
                                  (struct ilea_span){ NULL, 0 }, false));
        assert_int_equal(ilea_get(txn, 0, key_of(20, key), &found), ILEA_ERROR_CORRUPT);
        changed[i] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(ilea_untag(0, key_of(20, key), (struct ilea_span){ changed, cut }, &found),
                         ILEA_ERROR_CORRUPT);
    }
    ILEA_TEST_OK(ilea_untag(0, key_of(20, key), (struct ilea_span){ changed, size }, &found));
    /* The same bytes under another key or in another database are damage too. */
    assert_int_equal(ilea_untag(1, key_of(20, key), (struct ilea_span){ changed, size }, &found),
                     ILEA_ERROR_CORRUPT);
    assert_int_equal(ilea_untag(0, key_of(22, key), (struct ilea_span){ changed, size }, &found),
                     ILEA_ERROR_CORRUPT);
    ilea_transaction_abort(txn);
    ilea_environment_close(environment);
}

static void
test_environment_keys_and_cursors(void **state)
{
    char path[256];
    struct ilea_environment *environment;
    struct ilea_transaction *txn;
    struct ilea_cursor *cursor;
    struct ilea_span key, value;
    uint8_t bytes[ILEA_KEY_MAX];
    path_in(*state, "env", path);
    ILEA_TEST_OK(ilea_environment_open(path, &making, &environment));
    ILEA_TEST_OK(ilea_transaction_begin(environment, true, &txn));
    memset(bytes, 0xff, sizeof bytes);
    const struct ilea_span nothing = { NULL, 0 };
    for (size_t size = 1; size <= ILEA_KEY_MAX; size++) {
        ILEA_TEST_OK(ilea_put(txn, 1, (struct ilea_span){ bytes, size }, nothing));
        ILEA_TEST_OK(ilea_get(txn, 1, (struct ilea_span){ bytes, size }, &value));
        assert_int_equal(value.size, 0);
    }
    ILEA_TEST_OK(ilea_cursor_open(txn, 1, &cursor));
    enum ilea_error error = ilea_cursor_seek(cursor, nothing, &key, &value);
    for (size_t size = 1; size <= ILEA_KEY_MAX; size++) {
        ILEA_TEST_OK(error);
        assert_int_equal(key.size, size);
        error = ilea_cursor_next(cursor, &key, &value);
    }
    assert_int_equal(error, ILEA_ERROR_NOT_FOUND);
    ILEA_TEST_OK(ilea_cursor_last(cursor, &key, &value));
    assert_int_equal(key.size, ILEA_KEY_MAX);
    ilea_cursor_close(cursor);
    /* Appending below the highest key is damage, not an overwrite. */
    assert_int_equal(ilea_put_raw(txn, 1, (struct ilea_span){ bytes, 3 }, nothing, nothing, true),
                     ILEA_ERROR_CORRUPT);
    ilea_transaction_abort(txn);
    ILEA_TEST_OK(ilea_transaction_begin(environment, true, &txn));
    ILEA_TEST_OK(ilea_delete(txn, 1, (struct ilea_span){ bytes, 3 }));
    assert_int_equal(ilea_get(txn, 1, (struct ilea_span){ bytes, 3 }, &value), ILEA_ERROR_NOT_FOUND);
    ilea_transaction_abort(txn);
    ilea_key_put_u64(bytes, 0x0102030405060708);
    assert_memory_equal(bytes, "\1\2\3\4\5\6\7\10", 8);
    assert_true(ilea_key_u64(bytes) == 0x0102030405060708 && ilea_key_u32(bytes) == 0x01020304);
    ilea_environment_close(environment);
}

/* Nothing is lost when the disk is full, and writing goes on when there is room again. */
static void
test_environment_full_disk(void **state)
{
    char disk[256], path[256], other[256];
    path_in(*state, "disk", disk);
    path_in(*state, "disk/env", path);
    path_in(*state, "disk/ballast", other);
    assert_int_equal(mkdir(disk, 0700), 0);
    if (mount("none", disk, "tmpfs", 0, "size=3m") != 0) {
        print_message("a small tmpfs cannot be mounted here\n");
        skip();
    }
    static uint8_t block[64 * 1024];
    uint8_t key[4];
    int fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (unsigned i = 0; i < 16; i++) assert_int_equal(write(fd, block, sizeof block), sizeof block);
    close(fd);
    struct ilea_environment *environment;
    struct ilea_transaction *txn;
    struct ilea_span value;
    ILEA_TEST_OK(ilea_environment_open(path, &making, &environment));
    enum ilea_error error = ILEA_ERROR_NONE;
    uint32_t durable = 0;
    for (; error == ILEA_ERROR_NONE && durable < 100;) {
        ILEA_TEST_OK(ilea_transaction_begin(environment, true, &txn));
        error = ilea_put(txn, 0, key_of(durable, key), (struct ilea_span){ block, sizeof block });
        if (error == ILEA_ERROR_NONE) {
            error = ilea_transaction_commit(txn);
        } else {
            ilea_transaction_abort(txn);
        }
        if (error == ILEA_ERROR_NONE) durable++;
    }
    assert_int_equal(error, ILEA_ERROR_FULL);
    assert_true(durable > 0);
    assert_int_equal(unlink(other), 0);
    ILEA_TEST_OK(ilea_transaction_begin(environment, true, &txn));
    for (uint32_t i = 0; i < durable; i++) ILEA_TEST_OK(ilea_get(txn, 0, key_of(i, key), &value));
    assert_int_equal(ilea_get(txn, 0, key_of(durable, key), &value), ILEA_ERROR_NOT_FOUND);
    ILEA_TEST_OK(ilea_put(txn, 0, key_of(durable, key), (struct ilea_span){ block, sizeof block }));
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    ilea_environment_close(environment);
    assert_int_equal(umount(disk), 0);
}

int
main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_environment_bit_flips), /* these first: they fork */
        IN_FOLDER(test_environment_truncated),
        IN_FOLDER(test_environment_dead_readers_are_cleared),
        IN_FOLDER(test_environment_grows_beside_a_reader),
        IN_FOLDER(test_environment_made_in_one_piece),
        IN_FOLDER(test_environment_refuses_what_is_not_one),
        IN_FOLDER(test_environment_tags_notice_every_byte),
        IN_FOLDER(test_environment_keys_and_cursors),
        IN_FOLDER(test_environment_full_disk),
    };
#undef IN_FOLDER
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
