#include "node/blob_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/random.h"
#include "tests/support/codec.h"

static const struct ilea_network_id network = { { 7 } };
static char home[64];

static const struct ilea_span nothing = { NULL, 0 };

/* A document of `size` bytes, attached; `plain` gets what is in it. */
static void
attach(size_t size, struct ilea_document *document, uint8_t **plain)
{
    char path[128];
    *plain = malloc(size);
    assert_non_null(*plain);
    ilea_random_bytes(*plain, size);
    (void)snprintf(path, sizeof path, "%s/file", home);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, *plain, size), (ssize_t)size);
    assert_int_equal(ilea_blob_file_make(home, &network, fd, document, NULL, NULL), ILEA_ERROR_NONE);
    close(fd);
    assert_int_equal(document->size, size);
    assert_true(ilea_blob_file_is_whole(home, &document->root));
}

static struct ilea_blob_file *
open_blob(const struct ilea_document *document, bool write)
{
    struct ilea_blob_file *file = NULL;
    assert_int_equal(ilea_blob_file_open(home, &document->root, write, &file), ILEA_ERROR_NONE);
    assert_int_equal(ilea_blob_file_list(file, &network, &document->key, nothing), ILEA_ERROR_NONE);
    return file;
}

static void
check_plain(struct ilea_blob_file *file, const struct ilea_document *document, const uint8_t *plain)
{
    uint8_t *sealed = malloc(ILEA_BLOB_SEALED_MAX), *opened = malloc(ILEA_BLOB_CHUNK_SIZE);
    assert_true(sealed != NULL && opened != NULL);
    uint32_t count = ilea_blob_file_count(file);
    size_t total = 0;
    assert_int_equal(count, ilea_document_chunks(document->size));
    for (uint32_t i = 0; i < count; i++) {
        size_t size;
        assert_int_equal(ilea_blob_file_get(file, i, sealed, &size), ILEA_ERROR_NONE);
        assert_true(ilea_blob_open(&document->key, &network, count, i, (struct ilea_span){ sealed, size }, opened));
        assert_memory_equal(opened, plain + total, size - ILEA_BLOB_OVERHEAD);
        total += size - ILEA_BLOB_OVERHEAD;
    }
    assert_int_equal(total, document->size);
    free(sealed);
    free(opened);
}

/* Goal: what is attached can be read, of any size around a chunk's; nothing of it lies on the disk in the clear. */
static void
test_make(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 100, ILEA_BLOB_CHUNK_SIZE - 1, ILEA_BLOB_CHUNK_SIZE, ILEA_BLOB_CHUNK_SIZE + 1,
                                    5 * ILEA_BLOB_CHUNK_SIZE };
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ilea_document document;
        uint8_t *plain;
        attach(sizes[i], &document, &plain);
        struct ilea_blob_file *file = open_blob(&document, false);
        check_plain(file, &document, plain);
        ilea_blob_file_close(file);
        struct ilea_blob_key other = document.key;
        other.bytes[0] ^= 1;
        assert_int_equal(ilea_blob_file_open(home, &document.root, false, &file), ILEA_ERROR_NONE);
        assert_int_equal(ilea_blob_file_list(file, &network, &other, nothing), ILEA_ERROR_INVALID);
        ilea_blob_file_close(file);
        free(plain);
    }
    struct ilea_blob_id *roots;
    uint32_t count, leftover;
    assert_int_equal(ilea_blob_file_roots(home, &roots, &count, &leftover), ILEA_ERROR_NONE);
    assert_int_equal(count, sizeof sizes / sizeof sizes[0]);
    assert_int_equal(leftover, 0);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(ilea_blob_file_remove(home, &roots[i]), ILEA_ERROR_NONE);
    free(roots);
    assert_int_equal(ilea_blob_file_roots(home, &roots, &count, &leftover), ILEA_ERROR_NONE);
    assert_int_equal(count, 0);
    free(roots);
}

/* Goal: an empty file, and one that is no plain file, are refused, and nothing is left of them. */
static void
test_refused(void **state)
{
    (void)state;
    char path[128];
    struct ilea_document document;
    struct ilea_blob_id *roots;
    uint32_t count, leftover;
    (void)snprintf(path, sizeof path, "%s/empty", home);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(ilea_blob_file_make(home, &network, fd, &document, NULL, NULL), ILEA_ERROR_INVALID);
    assert_int_equal(ftruncate(fd, (off_t)ILEA_DOCUMENT_SIZE_MAX + 1), 0);
    assert_int_equal(ilea_blob_file_make(home, &network, fd, &document, NULL, NULL), ILEA_ERROR_LIMIT);
    close(fd);
    fd = open(home, O_RDONLY | O_DIRECTORY);
    assert_int_equal(ilea_blob_file_make(home, &network, fd, &document, NULL, NULL), ILEA_ERROR_INVALID);
    close(fd);
    assert_int_equal(ilea_blob_file_roots(home, &roots, &count, &leftover), ILEA_ERROR_NONE);
    assert_int_equal(count, 0);
    free(roots);
}

/* Goal: a copy grows chunk by chunk in any order; after a crash what was synced is there; nothing wrong gets in. */
static void
test_copy(void **state)
{
    (void)state;
    struct ilea_document document;
    uint8_t *plain, *chunks = malloc(4 * ILEA_BLOB_SEALED_MAX), *list = malloc(ILEA_BLOB_SEALED_MAX);
    size_t sizes[4], list_size;
    uint32_t held, count;
    assert_true(chunks != NULL && list != NULL);
    attach(3 * ILEA_BLOB_CHUNK_SIZE + 17, &document, &plain);
    struct ilea_blob_file *file = open_blob(&document, false);
    struct ilea_span sealed = ilea_blob_file_sealed_list(file);
    memcpy(list, sealed.data, list_size = sealed.size);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(ilea_blob_file_get(file, i, chunks + (size_t)i * ILEA_BLOB_SEALED_MAX, &sizes[i]),
                         ILEA_ERROR_NONE);
    }
    ilea_blob_file_close(file);
    assert_int_equal(ilea_blob_file_remove(home, &document.root), ILEA_ERROR_NONE);
    assert_int_equal(ilea_blob_file_open(home, &document.root, false, &file), ILEA_ERROR_NOT_FOUND);

    assert_int_equal(ilea_blob_file_open(home, &document.root, true, &file), ILEA_ERROR_NONE);
    assert_int_equal(ilea_blob_file_list(file, &network, &document.key, nothing), ILEA_ERROR_NOT_FOUND);
    list[0] ^= 1;
    assert_int_equal(ilea_blob_file_list(file, &network, &document.key, (struct ilea_span){ list, list_size }),
                     ILEA_ERROR_BAD_HASH);
    list[0] ^= 1;
    assert_int_equal(ilea_blob_file_list(file, &network, &document.key, (struct ilea_span){ list, list_size }),
                     ILEA_ERROR_NONE);
    struct ilea_span last = { chunks + 3 * ILEA_BLOB_SEALED_MAX, sizes[3] }, first = { chunks, sizes[0] };
    assert_int_equal(ilea_blob_file_put(file, 0, last), ILEA_ERROR_BAD_HASH); /* the right bytes in the wrong place */
    assert_int_equal(ilea_blob_file_put(file, 3, last), ILEA_ERROR_NONE);
    assert_int_equal(ilea_blob_file_sync(file), ILEA_ERROR_NONE);
    assert_int_equal(ilea_blob_file_put(file, 0, first), ILEA_ERROR_NONE);
    assert_int_equal(ilea_blob_file_held(file), 2);
    ilea_blob_file_close(file); /* a crash: the last one was not synced */
    ilea_blob_file_progress(home, &document.root, &held, &count);
    assert_int_equal(held, 1);
    assert_int_equal(count, 4);

    file = open_blob(&document, true);
    assert_int_equal(ilea_blob_file_held(file), 1);
    for (uint32_t i = 0; i < 4; i++) {
        struct ilea_span chunk = { chunks + (size_t)i * ILEA_BLOB_SEALED_MAX, sizes[i] };
        assert_int_equal(ilea_blob_file_put(file, i, chunk), ILEA_ERROR_NONE);
    }
    check_plain(file, &document, plain);
    ilea_blob_file_close(file);
    assert_true(ilea_blob_file_is_whole(home, &document.root));
    assert_int_equal(ilea_blob_file_remove(home, &document.root), ILEA_ERROR_NONE);
    free(plain);
    free(chunks);
    free(list);
}

/* Goal: damage on the disk is found before it is used, and what is damaged can be fetched again. */
static void
test_damage(void **state)
{
    (void)state;
    struct ilea_document document;
    char name[ILEA_BLOB_NAME_SIZE], path[256];
    uint8_t *plain, *sealed = malloc(ILEA_BLOB_SEALED_MAX), *kept = malloc(ILEA_BLOB_SEALED_MAX);
    size_t size;
    assert_true(sealed != NULL && kept != NULL);
    attach(2 * ILEA_BLOB_CHUNK_SIZE, &document, &plain);
    struct ilea_blob_file *file = open_blob(&document, true);
    assert_int_equal(ilea_blob_file_get(file, 1, kept, &size), ILEA_ERROR_NONE);
    ilea_blob_file_name(&document.root, name);
    (void)snprintf(path, sizeof path, "%s/blobs/%s/data", home, name);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "x", 1, ILEA_BLOB_SEALED_MAX + 1000), 1);
    close(fd);
    assert_int_equal(ilea_blob_file_get(file, 0, sealed, &size), ILEA_ERROR_NONE);
    assert_int_equal(ilea_blob_file_get(file, 1, sealed, &size), ILEA_ERROR_BAD_HASH);
    ilea_blob_file_forget(file, 1);
    assert_int_equal(ilea_blob_file_get(file, 1, sealed, &size), ILEA_ERROR_NOT_FOUND);
    assert_int_equal(ilea_blob_file_sync(file), ILEA_ERROR_NONE);
    assert_false(ilea_blob_file_is_whole(home, &document.root));
    assert_int_equal(ilea_blob_file_put(file, 1, (struct ilea_span){ kept, ILEA_BLOB_SEALED_MAX }), ILEA_ERROR_NONE);
    check_plain(file, &document, plain);
    ilea_blob_file_close(file);
    (void)snprintf(path, sizeof path, "%s/blobs/%s/list", home, name);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(ilea_blob_file_open(home, &document.root, false, &file), ILEA_ERROR_NONE);
    assert_int_equal(ilea_blob_file_list(file, &network, &document.key, nothing), ILEA_ERROR_BAD_HASH);
    assert_int_equal(ilea_blob_file_forget_list(file), ILEA_ERROR_NONE);
    assert_int_equal(ilea_blob_file_list(file, &network, &document.key, nothing), ILEA_ERROR_NOT_FOUND);
    assert_false(ilea_blob_file_is_whole(home, &document.root));
    ilea_blob_file_close(file);
    assert_int_equal(ilea_blob_file_remove(home, &document.root), ILEA_ERROR_NONE);
    free(plain);
    free(sealed);
    free(kept);
}

static int
make_home(void **state)
{
    (void)state;
    (void)snprintf(home, sizeof home, "/tmp/ilea-blob-XXXXXX");
    return mkdtemp(home) != NULL ? 0 : -1;
}

static int
remove_home(void **state)
{
    (void)state;
    static const char *const names[] = { "file", "empty" };
    char path[128];
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", home, names[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "%s/blobs", home);
    return rmdir(path) == 0 && rmdir(home) == 0 ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_make), cmocka_unit_test(test_refused),
                                        cmocka_unit_test(test_copy), cmocka_unit_test(test_damage) };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
