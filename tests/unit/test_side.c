/* test_side.c - state/trust.side: what a restored log must not undo. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "node/side.h"
#include "tests/support/home.h"

#define OTHER(byte) ((struct ilea_agency_id){ { byte } })

static void
side_path(const struct ilea_test_home *home, char path[ILEA_PATH_SIZE])
{
    ilea_home_path(home->path, "state/trust.side", path);
}

static struct ilea_transaction *
begin(struct ilea_test_home *home)
{
    struct ilea_transaction *txn = NULL;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), true, &txn));
    return txn;
}

static void
put_row(struct ilea_transaction *txn, struct ilea_agency_id id, enum ilea_agency_state state, uint64_t decided)
{
    struct ilea_agency_row row = { .id = id, .state = state, .decided = decided };
    ILEA_TEST_OK(ilea_log_put_agency(txn, &row));
    static const uint8_t manifest[] = "a manifest; only its bytes matter here";
    ILEA_TEST_OK(ilea_log_put_manifest(txn, &id, 0, (struct ilea_span){ manifest, sizeof manifest }));
}

static struct ilea_side *
open_side(const struct ilea_test_home *home)
{
    struct ilea_side *side = NULL;
    ILEA_TEST_OK(ilea_side_open(home->path, &side));
    return side;
}

/* Decided later than the log knows: the side file's word; earlier: the log's; unknown to the log: it is put there. */
static void
test_side_merges(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_side *side = open_side(home);
    assert_true(ilea_side_is_empty(side));
    struct ilea_transaction *txn = begin(home);
    put_row(txn, OTHER(1), ILEA_AGENCY_APPROVED, 3);
    put_row(txn, OTHER(2), ILEA_AGENCY_APPROVED, 9);
    put_row(txn, OTHER(3), ILEA_AGENCY_PENDING, 0);
    ILEA_TEST_OK(ilea_side_put_decision(side, txn, &OTHER(1), ILEA_AGENCY_SUSPENDED, 4));
    ILEA_TEST_OK(ilea_side_put_decision(side, txn, &OTHER(1), ILEA_AGENCY_REVOKED, 5));
    ILEA_TEST_OK(ilea_side_put_decision(side, txn, &OTHER(2), ILEA_AGENCY_REVOKED, 8));
    ILEA_TEST_OK(ilea_side_put_decision(side, txn, &OTHER(3), ILEA_AGENCY_DECLINED, 6));
    ILEA_TEST_OK(ilea_log_delete_agency(txn, &OTHER(3)));
    ilea_side_close(side);
    side = open_side(home);
    uint32_t changed = 0;
    ILEA_TEST_OK(ilea_side_merge(side, txn, &changed));
    assert_int_equal(changed, 2);
    struct ilea_agency_row row;
    ILEA_TEST_OK(ilea_log_agency(txn, &OTHER(1), &row));
    assert_int_equal(row.state, ILEA_AGENCY_REVOKED);
    assert_int_equal(row.decided, 5);
    assert_true(row.reason.size > 0);
    ILEA_TEST_OK(ilea_log_agency(txn, &OTHER(2), &row));
    assert_int_equal(row.state, ILEA_AGENCY_APPROVED);
    ILEA_TEST_OK(ilea_log_agency(txn, &OTHER(3), &row));
    assert_int_equal(row.state, ILEA_AGENCY_DECLINED);
    struct ilea_span manifest;
    ILEA_TEST_OK(ilea_log_manifest(txn, &OTHER(3), 0, &manifest));
    ILEA_TEST_OK(ilea_side_merge(side, txn, &changed));
    assert_int_equal(changed, 0);
    ilea_transaction_abort(txn);
    ilea_side_close(side);
}

static void
test_side_keeps_the_head(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_side *side = open_side(home);
    uint8_t hash[ILEA_HASH_SIZE], first[ILEA_HASH_SIZE] = { 1 }, second[ILEA_HASH_SIZE] = { 2 };
    uint64_t seq;
    ilea_side_head(side, &seq, hash);
    assert_int_equal(seq, 0);
    ILEA_TEST_OK(ilea_side_put_head(side, 1, first));
    ILEA_TEST_OK(ilea_side_put_head(side, 2, second));
    ILEA_TEST_OK(ilea_side_put_head(side, 2, second));
    ilea_side_close(side);
    side = open_side(home);
    assert_false(ilea_side_is_empty(side));
    ilea_side_head(side, &seq, hash);
    assert_int_equal(seq, 2);
    assert_memory_equal(hash, second, sizeof hash);
    ilea_side_close(side);
}

/* A file that has grown long is written anew and says the same. */
static void
test_side_is_shortened(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_side *side = open_side(home);
    struct ilea_transaction *txn = begin(home);
    put_row(txn, OTHER(1), ILEA_AGENCY_APPROVED, 1);
    for (uint64_t i = 2; i < 3000; i++) {
        ILEA_TEST_OK(ilea_side_put_decision(side, txn, &OTHER(1), ILEA_AGENCY_REVOKED, i));
    }
    uint8_t hash[ILEA_HASH_SIZE] = { 7 };
    ILEA_TEST_OK(ilea_side_put_head(side, 77, hash));
    ilea_side_close(side);
    char path[ILEA_PATH_SIZE];
    struct stat info;
    side_path(home, path);
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size > 256 * 1024);
    side = open_side(home);
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size < 1024);
    assert_int_equal(info.st_mode & 0777, 0600);
    uint32_t changed = 0;
    ILEA_TEST_OK(ilea_side_merge(side, txn, &changed));
    assert_int_equal(changed, 1);
    uint64_t seq;
    ilea_side_head(side, &seq, hash);
    assert_int_equal(seq, 77);
    ILEA_TEST_OK(ilea_side_put_decision(side, txn, &OTHER(1), ILEA_AGENCY_DECLINED, 9000));
    ilea_side_close(side);
    ilea_side_close(open_side(home));
    ilea_transaction_abort(txn);
}

static size_t
read_file(const char *path, uint8_t *bytes, size_t capacity)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t size = read(fd, bytes, capacity);
    close(fd);
    assert_true(size > 0);
    return (size_t)size;
}

static void
write_file(const char *path, const uint8_t *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

/* A tail that a crash tore off is cut; a bit that flipped is told. */
static void
test_side_finds_damage(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_side *side = open_side(home);
    uint8_t hash[ILEA_HASH_SIZE] = { 1 }, bytes[1024], seen[ILEA_HASH_SIZE];
    for (uint64_t i = 1; i <= 3; i++) ILEA_TEST_OK(ilea_side_put_head(side, i, hash));
    ilea_side_close(side);
    char path[ILEA_PATH_SIZE];
    side_path(home, path);
    const size_t size = read_file(path, bytes, sizeof bytes), record = size / 3;
    for (size_t cut = 0; cut < size; cut++) {
        write_file(path, bytes, cut);
        side = open_side(home);
        uint64_t seq;
        ilea_side_head(side, &seq, seen);
        assert_int_equal(seq, cut / record);
        ilea_side_close(side);
    }
    memset(bytes + size, 0, 300); /* a length without the bytes */
    write_file(path, bytes, size + 300);
    ilea_side_close(open_side(home));
    assert_int_equal(read_file(path, bytes, sizeof bytes), size);
    for (size_t at = 0; at < size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1u << bit);
            write_file(path, bytes, size);
            struct ilea_side *opened = NULL;
            assert_int_equal(ilea_side_open(home->path, &opened), ILEA_ERROR_CORRUPT);
            bytes[at] ^= (uint8_t)(1u << bit);
        }
    }
}

static int
make_home(void **state)
{
    struct ilea_test_home *home = malloc(sizeof *home);
    if (home == NULL) return -1;
    ilea_test_home_make(home, "FR-PN");
    *state = home;
    return 0;
}

static int
remove_home(void **state)
{
    ilea_test_home_remove(*state);
    free(*state);
    return 0;
}

int
main(void)
{
#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)
    const struct CMUnitTest tests[] = { IN_HOME(test_side_merges), IN_HOME(test_side_keeps_the_head),
                                        IN_HOME(test_side_is_shortened), IN_HOME(test_side_finds_damage) };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
