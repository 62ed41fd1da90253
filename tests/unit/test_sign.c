#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "crypto/sign.h"
#include "tests/support/vectors.h"
#include "crypto/secret.h"

static enum ilea_domain
domain_named(const char *text)
{
    for (unsigned i = 0; i < ILEA_DOMAIN_COUNT; i++) {
        struct ilea_span span = ilea_domain_text((enum ilea_domain)i);
        if (span.size == strlen(text) && strncmp((const char *)span.data, text, span.size) == 0) {
            return (enum ilea_domain)i;
        }
    }
    fail_msg("no domain %s", text);
    return ILEA_DOMAIN_COUNT;
}

static void
read_fixed(const json_t *vector, const char *key, uint8_t *bytes, size_t size)
{
    size_t found;
    uint8_t *copy = ilea_vector_bytes(vector, key, &found);
    assert_int_equal(found, size);
    memcpy(bytes, copy, size);
    free(copy);
}

static void
check_verify(const json_t *vector, bool is_good)
{
    struct ilea_sign_public public_key;
    struct ilea_network_id network;
    struct ilea_signature signature, again;
    size_t size;
    read_fixed(vector, "public_key", public_key.bytes, sizeof public_key.bytes);
    read_fixed(vector, "network", network.bytes, sizeof network.bytes);
    read_fixed(vector, "signature", signature.bytes, sizeof signature.bytes);
    uint8_t *message = ilea_vector_bytes(vector, "message", &size);
    struct ilea_span span = { message, size };
    enum ilea_domain domain = domain_named(json_string_value(json_object_get(vector, "domain")));

    if (ilea_sign_verify(&public_key, domain, &network, span, &signature) != is_good) {
        fail_msg("%s", json_string_value(json_object_get(vector, "name")));
    }
    if (json_object_get(vector, "seed") != NULL) {
        struct ilea_sign_secret *secret = NULL;
        struct ilea_sign_public own;
        uint8_t seed[ILEA_SEED_SIZE];
        read_fixed(vector, "seed", seed, sizeof seed);
        assert_int_equal(ilea_sign_secret_new(seed, &secret), ILEA_ERROR_NONE);
        ilea_sign_secret_public(secret, &own);
        assert_memory_equal(own.bytes, public_key.bytes, sizeof own.bytes);
        ilea_sign(secret, domain, &network, span, &again);
        assert_memory_equal(again.bytes, signature.bytes, sizeof again.bytes);
        ilea_sign_secret_free(secret);
    }
    free(message);
}

static void
test_sign_vectors(void **state)
{
    (void)state;
    json_t *vectors = ilea_vectors_load("sign.jsonl");
    size_t index;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        const char *check = json_string_value(json_object_get(vector, "check"));
        bool is_good = json_object_get(vector, "expect") == NULL;
        if (strcmp(check, "verify") == 0) {
            check_verify(vector, is_good);
            continue;
        }
        assert_string_equal(check, "enrol");
        struct ilea_sign_public public_key;
        read_fixed(vector, "public_key", public_key.bytes, sizeof public_key.bytes);
        if (ilea_sign_public_is_acceptable(&public_key) != is_good) {
            fail_msg("%s", json_string_value(json_object_get(vector, "name")));
        }
    }
    json_decref(vectors);
}

/* Each bit of message, network, key and signature counts. */
static void
test_sign_notices_every_bit(void **state)
{
    (void)state;
    struct {
        uint8_t message[8];
        struct ilea_network_id network;
        struct ilea_sign_public public_key;
        struct ilea_signature signature;
    } all;
    struct ilea_sign_secret *secret = NULL;
    struct ilea_span message = { all.message, sizeof all.message };
    memset(&all, 7, sizeof all);
    assert_int_equal(ilea_sign_generate(&secret, &all.public_key), ILEA_ERROR_NONE);
    assert_true(ilea_sign_public_is_acceptable(&all.public_key));
    ilea_sign(secret, ILEA_DOMAIN_BIND_SIG, &all.network, message, &all.signature);
    assert_true(ilea_sign_verify(&all.public_key, ILEA_DOMAIN_BIND_SIG, &all.network, message,
                                 &all.signature));

    uint8_t *bytes = (uint8_t *)&all;
    for (size_t bit = 0; bit < 8 * sizeof all; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(ilea_sign_verify(&all.public_key, ILEA_DOMAIN_BIND_SIG, &all.network, message,
                                      &all.signature));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ilea_sign_secret_free(secret);
}

/* A signature for one purpose is worth nothing for any other. */
static void
test_sign_domains_do_not_mix(void **state)
{
    (void)state;
    struct ilea_sign_secret *secret = NULL;
    struct ilea_sign_public public_key;
    struct ilea_signature signature;
    struct ilea_network_id network = { { 1 } };
    struct ilea_span message = { network.bytes, sizeof network.bytes };
    assert_int_equal(ilea_sign_generate(&secret, &public_key), ILEA_ERROR_NONE);
    for (unsigned made = 0; made < ILEA_DOMAIN_COUNT; made += 5) {
        ilea_sign(secret, (enum ilea_domain)made, &network, message, &signature);
        for (unsigned asked = 0; asked < ILEA_DOMAIN_COUNT; asked++) {
            assert_true(ilea_sign_verify(&public_key, (enum ilea_domain)asked, &network, message,
                                         &signature)
                        == (made == asked));
        }
    }
    ilea_sign_secret_free(secret);
}

static void
test_sign_sizes(void **state)
{
    (void)state;
    enum { SIZE_MAX_KIB = 64 };
    struct ilea_sign_secret *secret = NULL;
    struct ilea_sign_public public_key;
    struct ilea_signature signature;
    struct ilea_network_id network = { { 1 } };
    uint8_t *bytes = calloc(1, SIZE_MAX_KIB * 1024 + 1);
    assert_non_null(bytes);
    assert_int_equal(ilea_sign_generate(&secret, &public_key), ILEA_ERROR_NONE);

    struct ilea_span message = { bytes, SIZE_MAX_KIB * 1024 };
    ilea_sign(secret, ILEA_DOMAIN_COMMIT_SIG, &network, message, &signature);
    assert_true(ilea_sign_verify(&public_key, ILEA_DOMAIN_COMMIT_SIG, &network, message,
                                 &signature));
    message.size++; /* a peer's message may be of any size: refused, not a crash */
    assert_false(ilea_sign_verify(&public_key, ILEA_DOMAIN_COMMIT_SIG, &network, message,
                                  &signature));
    message = (struct ilea_span){ NULL, 0 };
    ilea_sign(secret, ILEA_DOMAIN_COMMIT_SIG, &network, message, &signature);
    assert_true(ilea_sign_verify(&public_key, ILEA_DOMAIN_COMMIT_SIG, &network, message,
                                 &signature));
    ilea_sign_secret_free(secret);
    ilea_sign_secret_free(NULL);
    free(bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign_vectors),
        cmocka_unit_test(test_sign_notices_every_bit),
        cmocka_unit_test(test_sign_domains_do_not_mix),
        cmocka_unit_test(test_sign_sizes),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
