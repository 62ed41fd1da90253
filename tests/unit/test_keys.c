#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/chain.h"
#include "node/home.h"
#include "tests/support/home.h"

static const struct ilea_span none = { NULL, 0 };

static int
open_keys(const struct ilea_test_home *home)
{
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home->path, "keys", path);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder >= 0);
    return folder;
}

static void
save(const struct ilea_test_home *home, const struct ilea_keys *keys, const char *suffix,
     const struct ilea_span *passphrase)
{
    char name[64];
    int folder = open_keys(home);
    (void)snprintf(name, sizeof name, "node%s.key", suffix);
    ILEA_TEST_OK(ilea_key_file_save_sign(folder, name, ILEA_KEY_NODE, keys->node, passphrase));
    (void)snprintf(name, sizeof name, "transport%s.key", suffix);
    ILEA_TEST_OK(ilea_key_file_save_transport(folder, name, keys->transport, passphrase));
    (void)snprintf(name, sizeof name, "reading%s.key", suffix);
    ILEA_TEST_OK(ilea_key_file_save_reading(folder, name, keys->reading, passphrase));
    close(folder);
}

/* The next manifest of a home's agency, with new keys; `revokes` the node key before. */
static void
rotate(struct ilea_test_home *home, struct ilea_keys *keys, struct ilea_manifest *manifest, bool revokes)
{
    static uint8_t bytes[ILEA_MANIFEST_SIZE_MAX];
    const struct ilea_sign_secret *const roots[] = { home->own.root };
    size_t size;
    struct ilea_transaction *txn;
    memcpy(manifest->prev, manifest->hash, sizeof manifest->prev);
    manifest->agency = manifest->id;
    manifest->index++;
    if (revokes) {
        manifest->revoked[0] = manifest->node;
        manifest->revoked_count = 1;
    }
    memset(keys, 0, sizeof *keys);
    ILEA_TEST_OK(ilea_sign_generate(&keys->node, &manifest->node));
    ILEA_TEST_OK(ilea_transport_generate(&keys->transport, &manifest->transport));
    ILEA_TEST_OK(ilea_reading_generate(&keys->reading, &manifest->reading));
    ILEA_TEST_OK(ilea_manifest_encode(manifest, keys->node, roots, bytes, sizeof bytes, &size));
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), true, &txn));
    ILEA_TEST_OK(ilea_log_put_manifest(txn, &manifest->id, manifest->index, (struct ilea_span){ bytes, size }));
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    manifest->revoked_count = 0;
}

static bool
has_file(const struct ilea_test_home *home, const char *name)
{
    int folder = open_keys(home);
    bool there = faccessat(folder, name, F_OK, 0) == 0;
    close(folder);
    return there;
}

static void
assert_node(const struct ilea_keys *keys, const struct ilea_sign_public *expected)
{
    struct ilea_sign_public node;
    ilea_sign_secret_public(keys->node, &node);
    assert_memory_equal(node.bytes, expected->bytes, sizeof node.bytes);
}

static void
test_keys_follow_the_manifest(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_keys made, loaded;
    struct ilea_manifest manifest = home->own.manifest;
    bool needed = true;
    assert_int_equal(ilea_keys_load(home->path, home->log, NULL, &loaded), ILEA_ERROR_NOT_FOUND);
    save(home, &home->own.keys, "", &none);
    ILEA_TEST_OK(ilea_keys_need_passphrase(home->path, &needed));
    assert_false(needed);
    ILEA_TEST_OK(ilea_keys_load(home->path, home->log, NULL, &loaded));
    assert_node(&loaded, &home->own.manifest.node);
    assert_int_equal(loaded.old_reading_count, 0);
    assert_null(loaded.old_transport);
    ilea_keys_free(&loaded);

    rotate(home, &made, &manifest, false);
    assert_int_equal(ilea_keys_load(home->path, home->log, NULL, &loaded), ILEA_ERROR_NOT_FOUND);
    save(home, &made, "-1", &none);
    ILEA_TEST_OK(ilea_keys_load(home->path, home->log, NULL, &loaded));
    assert_node(&loaded, &manifest.node);
    assert_int_equal(loaded.old_reading_count, 1);
    assert_non_null(loaded.old_transport);
    ilea_keys_free(&loaded);
    /* The node key that was replaced goes; its transport and reading key are still of use. */
    ilea_keys_retire(home->path, home->log);
    assert_false(has_file(home, "node.key"));
    assert_true(has_file(home, "node-1.key"));
    assert_true(has_file(home, "transport.key"));
    assert_true(has_file(home, "reading.key"));
    ilea_keys_free(&made);

    /* Beside a revoked node key, too: by it peers can be told. The first one stays in service, those between go. */
    rotate(home, &made, &manifest, true);
    save(home, &made, "-2", &none);
    ILEA_TEST_OK(ilea_keys_load(home->path, home->log, NULL, &loaded));
    assert_node(&loaded, &manifest.node);
    assert_int_equal(loaded.old_reading_count, 2);
    assert_non_null(loaded.old_transport);
    ilea_keys_free(&loaded);
    ilea_keys_retire(home->path, home->log);
    assert_false(has_file(home, "node-1.key"));
    assert_true(has_file(home, "transport.key"));
    assert_false(has_file(home, "transport-1.key"));
    assert_true(has_file(home, "transport-2.key"));
    assert_true(has_file(home, "reading-1.key"));
    ilea_keys_free(&made);
}

/* Other files in keys/ do not matter, whatever is wrong with them. */
static void
test_keys_beside_others(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_keys loaded, strange;
    struct ilea_manifest manifest = home->own.manifest;
    save(home, &home->own.keys, "", &none);
    int folder = open_keys(home);
    int fd = openat(folder, "admin-bad.key", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0 && write(fd, "nothing", 7) == 7);
    assert_int_equal(fchmod(fd, 0644), 0);
    close(fd);
    ILEA_TEST_OK(ilea_key_file_save_sign(folder, "admin-x.key", ILEA_KEY_ADMIN, home->own.admins[0], NULL));
    ILEA_TEST_OK(ilea_key_file_save_sign(folder, "root.key", ILEA_KEY_ROOT, home->own.root, NULL));
    close(folder);
    /* Keys of a proposal that is not in force. */
    memset(&strange, 0, sizeof strange);
    ILEA_TEST_OK(ilea_sign_generate(&strange.node, &manifest.node));
    ILEA_TEST_OK(ilea_transport_generate(&strange.transport, &manifest.transport));
    ILEA_TEST_OK(ilea_reading_generate(&strange.reading, &manifest.reading));
    save(home, &strange, "-1", &none);
    ILEA_TEST_OK(ilea_keys_load(home->path, home->log, NULL, &loaded));
    assert_node(&loaded, &home->own.manifest.node);
    ilea_keys_free(&loaded);
    ilea_keys_retire(home->path, home->log);
    assert_true(has_file(home, "node-1.key"));
    ilea_keys_free(&strange);

    char path[ILEA_PATH_SIZE], name[ILEA_KEY_NAME_SIZE];
    ilea_home_path(home->path, "keys", path);
    ILEA_TEST_OK(ilea_keys_find(path, ILEA_KEY_ADMIN, home->own.manifest.admins[0].bytes, name));
    assert_string_equal(name, "admin-x.key");
    assert_int_equal(ilea_keys_find("/nowhere", ILEA_KEY_ADMIN, NULL, name), ILEA_ERROR_NOT_FOUND);
}

/* What was sealed to an earlier reading key opens still. */
static void
test_keys_unwrap(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_keys made, loaded;
    struct ilea_manifest manifest = home->own.manifest;
    save(home, &home->own.keys, "", &none);
    rotate(home, &made, &manifest, false);
    save(home, &made, "-1", &none);
    ILEA_TEST_OK(ilea_keys_load(home->path, home->log, NULL, &loaded));

    struct ilea_keyring *from, *to;
    struct ilea_audience_id audience;
    struct ilea_epoch_id epoch;
    uint8_t aek_commit[ILEA_HASH_SIZE], wrapped[ILEA_WRAPPED_KEY_SIZE];
    ILEA_TEST_OK(ilea_keyring_new(4, &from));
    ILEA_TEST_OK(ilea_keyring_new(4, &to));
    ilea_audience_of_peers(&manifest.network, &manifest.id, &audience);
    for (unsigned i = 0; i < 2; i++) {
        ILEA_TEST_OK(ilea_keyring_generate(from, &manifest.network, &audience, aek_commit));
        memcpy(epoch.bytes, aek_commit, sizeof epoch.bytes);
        ILEA_TEST_OK(ilea_keyring_wrap(from, &epoch, &manifest.network, &audience,
                                       i == 0 ? &home->own.manifest.reading : &manifest.reading, wrapped));
        ILEA_TEST_OK(ilea_keys_unwrap(&loaded, to, &manifest.network, &audience, aek_commit, wrapped));
        assert_true(ilea_keyring_holds(to, &epoch));
    }
    ilea_keyring_free(from);
    ilea_keyring_free(to);
    ilea_keys_free(&loaded);
    ilea_keys_free(&made);
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

#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)

int
main(void)
{
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    const struct CMUnitTest tests[] = {
        IN_HOME(test_keys_follow_the_manifest),
        IN_HOME(test_keys_beside_others),
        IN_HOME(test_keys_unwrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
