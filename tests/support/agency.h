/*
 * agency.h - for tests of what an agency signs: keys from vectors, an agency with fresh keys and the chain of
 * its manifests. Everything here fails the test that calls it when something goes wrong.
 */
#ifndef ILEA_TEST_AGENCY_H
#define ILEA_TEST_AGENCY_H

#include "crypto/random.h"
#include "replication/record/manifest.h"
#include "tests/support/codec.h"
#include "crypto/secret.h" /* last: after it there is no memcmp() */

/* The signing key of a seed in hex; to be freed. */
static inline struct ilea_sign_secret *
secret_of(const json_t *text)
{
    uint8_t seed[ILEA_SEED_SIZE];
    struct ilea_sign_secret *secret = NULL;
    json_t *vector = json_object();
    json_object_set_new(vector, "seed", json_string(json_string_value(text)));
    vector_fixed(vector, "seed", seed, sizeof seed);
    json_decref(vector);
    assert_int_equal(ilea_sign_secret_new(seed, &secret), ILEA_ERROR_NONE);
    return secret;
}

static inline struct ilea_span
span_of(const char *text)
{
    return (struct ilea_span){ (const uint8_t *)text, strlen(text) };
}

static inline bool
key_is_above(const struct ilea_sign_public *one, const struct ilea_sign_public *other)
{
    size_t i = 0;
    while (i + 1 < sizeof one->bytes && one->bytes[i] == other->bytes[i]) i++;
    return one->bytes[i] > other->bytes[i];
}

/* Signing keys, ascending by public key. */
struct keys {
    uint32_t count;
    struct ilea_sign_public publics[ILEA_ROOTS_MAX];
    struct ilea_sign_secret *secrets[ILEA_ROOTS_MAX];
};

static inline void
make_keys(struct keys *keys, uint32_t count)
{
    keys->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_sign_public public_key;
        struct ilea_sign_secret *secret = NULL;
        assert_int_equal(ilea_sign_generate(&secret, &public_key), ILEA_ERROR_NONE);
        uint32_t at = i; /* insert in order */
        for (; at > 0 && key_is_above(&keys->publics[at - 1], &public_key); at--) {
            keys->publics[at] = keys->publics[at - 1];
            keys->secrets[at] = keys->secrets[at - 1];
        }
        keys->publics[at] = public_key;
        keys->secrets[at] = secret;
    }
}

static inline void
free_keys(struct keys *keys)
{
    for (uint32_t i = 0; i < keys->count; i++) ilea_sign_secret_free(keys->secrets[i]);
    keys->count = 0;
}

struct agency {
    struct ilea_manifest manifest; /* the next one to be signed */
    struct keys roots, next_roots;
    struct ilea_sign_secret *node;
    struct ilea_reading_secret *reading;
    struct ilea_transport_secret *transport;
    uint8_t bytes[ILEA_MANIFEST_SIZE_MAX]; /* the last one signed */
    size_t size;
};

/* The roots as they are now, and the hash of the next ones. */
static inline void
take_roots(struct agency *agency)
{
    struct ilea_manifest *manifest = &agency->manifest;
    manifest->root_count = agency->roots.count;
    memcpy(manifest->roots, agency->roots.publics, sizeof manifest->roots);
    ilea_roots_hash(1, agency->next_roots.publics, agency->next_roots.count, manifest->next_roots);
}

/* An agency with fresh keys, ready to sign its first manifest. */
static inline void
make_agency(struct agency *agency, uint32_t root_count)
{
    memset(agency, 0, sizeof *agency);
    struct ilea_manifest *manifest = &agency->manifest;
    manifest->network.bytes[0] = 1;
    manifest->code = span_of("FR-PN");
    manifest->country = span_of("FR");
    manifest->name = span_of("name");
    manifest->threshold = 1;
    make_keys(&agency->roots, root_count);
    make_keys(&agency->next_roots, root_count);
    take_roots(agency);
    assert_int_equal(ilea_sign_generate(&agency->node, &manifest->node), ILEA_ERROR_NONE);
    assert_int_equal(ilea_reading_generate(&agency->reading, &manifest->reading), ILEA_ERROR_NONE);
    assert_int_equal(ilea_transport_generate(&agency->transport, &manifest->transport),
                     ILEA_ERROR_NONE);
}

static inline void
free_agency(struct agency *agency)
{
    free_keys(&agency->roots);
    free_keys(&agency->next_roots);
    ilea_sign_secret_free(agency->node);
    ilea_reading_secret_free(agency->reading);
    ilea_transport_secret_free(agency->transport);
}

/* Sign agency->manifest with all its roots. */
static inline enum ilea_error
sign_manifest(struct agency *agency)
{
    const struct ilea_sign_secret *roots[ILEA_ROOTS_MAX];
    memcpy(roots, agency->roots.secrets, sizeof roots);
    return ilea_manifest_encode(&agency->manifest, agency->node, roots, agency->bytes,
                                sizeof agency->bytes, &agency->size);
}

/* Go on to the manifest after the one that was signed, equal but for its place. */
static inline void
next_manifest(struct agency *agency)
{
    struct ilea_manifest *manifest = &agency->manifest;
    manifest->agency = manifest->id;
    memcpy(manifest->prev, manifest->hash, sizeof manifest->prev);
    manifest->index++;
}

/* A fresh node key in place of the one in use. */
static inline void
rotate_node(struct agency *agency)
{
    ilea_sign_secret_free(agency->node);
    assert_int_equal(ilea_sign_generate(&agency->node, &agency->manifest.node), ILEA_ERROR_NONE);
}

/* The next roots take over, and fresh ones are committed to. */
static inline void
rotate_roots(struct agency *agency)
{
    uint32_t count = agency->next_roots.count;
    free_keys(&agency->roots);
    agency->roots = agency->next_roots;
    make_keys(&agency->next_roots, count);
    take_roots(agency);
}

#endif
