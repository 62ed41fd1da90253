/*
 * fuzz_manifest.c - the decoder of manifests: it never accepts what its roots
 * did not sign. The input is tried as it is, and as a list of changes to a
 * manifest that is good: what is then accepted must be that manifest.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "replication/record/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t good[ILEA_MANIFEST_SIZE_MAX];
static size_t good_size;

/* The second manifest of an agency with one root and fresh keys: every list has something in it. */
static void
make_good(void)
{
    struct ilea_manifest manifest = { .index = 1, .agency = { { 1 } }, .prev = { 1 }, .threshold = 1,
                                      .root_count = 1, .admin_count = 1, .revoked_count = 1,
                                      .position_count = 1 };
    struct ilea_sign_secret *root = NULL, *node = NULL, *admin = NULL;
    struct ilea_reading_secret *reading = NULL;
    struct ilea_transport_secret *transport = NULL;
    ilea_assert(ilea_crypto_init() == ILEA_ERROR_NONE);
    ilea_assert(ilea_sign_generate(&root, &manifest.roots[0]) == ILEA_ERROR_NONE);
    ilea_assert(ilea_sign_generate(&node, &manifest.node) == ILEA_ERROR_NONE);
    ilea_assert(ilea_sign_generate(&admin, &manifest.admins[0]) == ILEA_ERROR_NONE);
    ilea_assert(ilea_reading_generate(&reading, &manifest.reading) == ILEA_ERROR_NONE);
    ilea_assert(ilea_transport_generate(&transport, &manifest.transport) == ILEA_ERROR_NONE);
    manifest.code = (struct ilea_span){ (const uint8_t *)"FR-PN", 5 };
    manifest.country = (struct ilea_span){ (const uint8_t *)"FR", 2 };
    manifest.name = (struct ilea_span){ (const uint8_t *)"name", 4 };
    uint8_t positions[80];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, positions, sizeof positions);
    ilea_position_put(&writer, &(struct ilea_position){ .seq = 7 });
    manifest.positions = ilea_msgpack_written(&writer);
    const struct ilea_sign_secret *roots[] = { root };
    ilea_assert(ilea_manifest_encode(&manifest, node, roots, good, sizeof good, &good_size)
                == ILEA_ERROR_NONE);
    ilea_sign_secret_free(root);
    ilea_sign_secret_free(node);
    ilea_sign_secret_free(admin);
    ilea_reading_secret_free(reading);
    ilea_transport_secret_free(transport);
}

/* Accepted, and then it keeps the rules. */
static bool
decodes(const uint8_t *data, size_t size)
{
    struct ilea_manifest manifest;
    if (ilea_manifest_decode((struct ilea_span){ data, size }, &manifest) != ILEA_ERROR_NONE) return false;
    ilea_assert(manifest.root_count >= 1 && manifest.root_count <= ILEA_ROOTS_MAX);
    ilea_assert(manifest.threshold >= 1 && manifest.threshold <= manifest.root_count);
    ilea_assert(manifest.admin_count <= ILEA_ADMINS_MAX && manifest.revoked_count <= ILEA_REVOKED_MAX);
    ilea_assert(ilea_code_is_valid(manifest.code));
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, manifest.positions);
    for (uint32_t i = 0; i < manifest.position_count; i++) {
        struct ilea_position position, found;
        ilea_position_get(&reader, &position);
        ilea_assert(ilea_manifest_position(&manifest, &position.feed, &found) && found.seq == position.seq);
    }
    ilea_assert(ilea_msgpack_reader_done(&reader));
    ilea_assert(ilea_manifest_succession(&manifest, &manifest) == ILEA_SUCCESSION_NONE);
    return true;
}

static void
check_changed(const uint8_t *data, size_t size)
{
    if (decodes(data, size)) ilea_assert(size == good_size && memcmp(data, good, size) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (good_size == 0) make_good();
    (void)decodes(data, size);

    uint8_t changed[4096];
    ilea_assert(good_size <= sizeof changed);
    memcpy(changed, good, good_size);
    for (size_t i = 0; i + 3 <= size; i += 3) { /* two bytes of place, one that is there then */
        changed[(size_t)(data[i] << 8 | data[i + 1]) % good_size] = data[i + 2];
    }
    check_changed(changed, good_size);
    check_changed(changed, size < good_size ? size : good_size);
    return 0;
}
