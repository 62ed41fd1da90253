#include <fcntl.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "node/guard.h"
#include "tests/support/home.h"

static const uint8_t database[ILEA_DATABASE_ID_SIZE] = { 0x5e }, other[ILEA_DATABASE_ID_SIZE] = { 0x5f };

static struct ilea_guard_entry
entry_of(uint8_t byte)
{
    struct ilea_guard_entry entry = { .scope = ILEA_SCOPE_AUDIENCE, .seq = byte };
    memset(entry.audience.bytes, byte, sizeof entry.audience.bytes);
    memset(entry.feed.bytes, byte + 1, sizeof entry.feed.bytes);
    memset(entry.id.bytes, byte + 2, sizeof entry.id.bytes);
    return entry;
}

static void
expect(const struct ilea_guard *guard, uint32_t slot, uint8_t byte)
{
    struct ilea_guard_entry entry, wanted = byte == 0 ? (struct ilea_guard_entry){ .seq = 0 } : entry_of(byte);
    ilea_guard_read(guard, slot, &entry);
    assert_int_equal(entry.scope, wanted.scope);
    assert_int_equal(entry.seq, wanted.seq);
    assert_memory_equal(entry.audience.bytes, wanted.audience.bytes, sizeof entry.audience.bytes);
    assert_memory_equal(entry.feed.bytes, wanted.feed.bytes, sizeof entry.feed.bytes);
    assert_memory_equal(entry.id.bytes, wanted.id.bytes, sizeof entry.id.bytes);
}

/* Copy what stands at one place of the file to another, or damage it. */
static void
move_slot(const char *folder, off_t from, off_t to, uint8_t damage)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/ilea-5e000000000000000000000000000000.guard", folder);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    uint8_t slot[128];
    assert_int_equal(pread(fd, slot, sizeof slot, from * 128), 128);
    slot[60] ^= damage;
    assert_int_equal(pwrite(fd, slot, sizeof slot, to * 128), 128);
    close(fd);
}

/* Each slot stands for itself: a damaged, moved or foreign one says nothing, and the others still do. */
static void
test_guard_slots_stand_alone(void **state)
{
    (void)state;
    struct statfs info;
    if (statfs("/dev/shm", &info) != 0 || (unsigned long)info.f_type != TMPFS_MAGIC) {
        print_message("/dev/shm is not memory-backed here\n");
        skip();
    }
    char folder[] = "/dev/shm/ilea-test-XXXXXX";
    struct ilea_guard *guard;
    assert_non_null(mkdtemp(folder));
    ILEA_TEST_OK(ilea_guard_open(folder, "", database, &guard));
    const uint32_t last = ILEA_GUARD_SLOTS - 1;
    expect(guard, 0, 0);
    expect(guard, last, 0);
    struct ilea_guard_entry entry = entry_of(9);
    ILEA_TEST_OK(ilea_guard_write(guard, last, &entry));
    entry = entry_of(5);
    ILEA_TEST_OK(ilea_guard_write(guard, 1, &entry));
    expect(guard, 0, 0); /* in the file by now, and never written */
    expect(guard, 1, 5);
    expect(guard, last, 9);
    ilea_guard_close(guard);

    move_slot(folder, 1, 2, 0);
    ILEA_TEST_OK(ilea_guard_open(folder, "", database, &guard));
    expect(guard, 1, 5);
    expect(guard, 2, 0);
    expect(guard, last, 9);
    ilea_guard_close(guard);
    move_slot(folder, 1, 1, 1);
    ILEA_TEST_OK(ilea_guard_open(folder, "", database, &guard));
    expect(guard, 1, 0);
    expect(guard, last, 9);
    ilea_guard_close(guard);

    char from[128], to[128];
    (void)snprintf(from, sizeof from, "%s/ilea-5e000000000000000000000000000000.guard", folder);
    (void)snprintf(to, sizeof to, "%s/ilea-5f000000000000000000000000000000.guard", folder);
    ilea_test_copy_file(from, to);
    ILEA_TEST_OK(ilea_guard_open(folder, "", other, &guard));
    expect(guard, last, 0);
    ilea_guard_close(guard);
    ilea_test_remove_tree(folder);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_guard_slots_stand_alone) };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
