#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sodium.h>

#include "crypto/keyring.h"
#include "crypto/random.h"
#include "tests/support/vectors.h"
#include "crypto/secret.h"

static const struct ilea_network_id network = { { 1, 2, 3 } };
static const struct ilea_audience_id audience = { { 4, 5, 6 } };

static void
read_fixed(const json_t *vector, const char *key, uint8_t *bytes, size_t size)
{
    size_t found;
    uint8_t *copy = ilea_vector_bytes(vector, key, &found);
    assert_int_equal(found, size);
    memcpy(bytes, copy, size);
    free(copy);
}

static enum ilea_error
expected_error(const json_t *vector)
{
    const char *name = json_string_value(json_object_get(vector, "error"));
    if (name == NULL) return ILEA_ERROR_NONE;
    if (strcmp(name, "not_found") == 0) return ILEA_ERROR_NOT_FOUND;
    if (strcmp(name, "bad_hash") == 0) return ILEA_ERROR_BAD_HASH;
    if (strcmp(name, "key_missing") == 0) return ILEA_ERROR_KEY_MISSING;
    fail_msg("unknown error name %s", name);
    return ILEA_ERROR_NONE;
}

static struct ilea_epoch_id
epoch_of(const uint8_t aek_commit[ILEA_HASH_SIZE])
{
    struct ilea_epoch_id epoch;
    memcpy(epoch.bytes, aek_commit, sizeof epoch.bytes);
    return epoch;
}

/* Unwrap what the vector holds into `ring`. */
static enum ilea_error
unwrap(const json_t *vector, struct ilea_keyring *ring)
{
    struct ilea_reading_secret *reading = NULL;
    struct ilea_network_id net;
    struct ilea_audience_id aud;
    uint8_t secret[ILEA_BOX_SECRET_SIZE], aek_commit[ILEA_HASH_SIZE];
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE];
    read_fixed(vector, "reading_secret", secret, sizeof secret);
    read_fixed(vector, "network", net.bytes, sizeof net.bytes);
    read_fixed(vector, "audience", aud.bytes, sizeof aud.bytes);
    read_fixed(vector, "aek_commit", aek_commit, sizeof aek_commit);
    read_fixed(vector, "wrapped", wrapped, sizeof wrapped);

    assert_int_equal(ilea_reading_secret_new(secret, &reading), ILEA_ERROR_NONE);
    enum ilea_error error = ilea_keyring_unwrap(ring, reading, &net, &aud, aek_commit, wrapped);
    struct ilea_epoch_id epoch = epoch_of(aek_commit);
    assert_true(ilea_keyring_holds(ring, &epoch) == (error == ILEA_ERROR_NONE));
    ilea_reading_secret_free(reading);
    return error;
}

static void
check_decrypt(const json_t *vector)
{
    struct ilea_keyring *ring = NULL;
    struct ilea_epoch_id epoch;
    uint8_t nonce[ILEA_NONCE_SIZE];
    size_t data_size, ciphertext_size;
    assert_int_equal(ilea_keyring_new(1, &ring), ILEA_ERROR_NONE);
    assert_int_equal(unwrap(vector, ring), ILEA_ERROR_NONE);
    read_fixed(vector, "epoch_id", epoch.bytes, sizeof epoch.bytes);
    read_fixed(vector, "nonce", nonce, sizeof nonce);
    uint8_t *data = ilea_vector_bytes(vector, "data", &data_size);
    uint8_t *ciphertext = ilea_vector_bytes(vector, "ciphertext", &ciphertext_size);
    size_t size = ciphertext_size > ILEA_AEAD_OVERHEAD ? ciphertext_size - ILEA_AEAD_OVERHEAD : 0;
    uint8_t *plaintext = malloc(size + 1);
    assert_non_null(plaintext);

    enum ilea_error error = ilea_keyring_decrypt(
        ring, &epoch, (struct ilea_span){ data, data_size }, nonce,
        (struct ilea_span){ ciphertext, ciphertext_size }, plaintext);
    if (error != expected_error(vector)) {
        fail_msg("%s: %s", json_string_value(json_object_get(vector, "name")),
                 ilea_error_text(error));
    }
    if (error == ILEA_ERROR_NONE) {
        size_t expected_size;
        uint8_t *expected = ilea_vector_bytes(vector, "plaintext", &expected_size);
        assert_int_equal(expected_size, size);
        if (size > 0) assert_memory_equal(plaintext, expected, size);
        free(expected);
    }
    free(plaintext);
    free(ciphertext);
    free(data);
    ilea_keyring_free(ring);
}

static void
test_keyring_vectors(void **state)
{
    (void)state;
    json_t *vectors = ilea_vectors_load("keyring.jsonl");
    size_t index;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        const char *check = json_string_value(json_object_get(vector, "check"));
        if (strcmp(check, "decrypt") == 0) check_decrypt(vector);
        if (strcmp(check, "commit") == 0 || strcmp(check, "unwrap") == 0) {
            struct ilea_keyring *ring = NULL;
            assert_int_equal(ilea_keyring_new(4, &ring), ILEA_ERROR_NONE);
            enum ilea_error error = unwrap(vector, ring);
            if (error != expected_error(vector)) {
                fail_msg("%s: %s", json_string_value(json_object_get(vector, "name")),
                         ilea_error_text(error));
            }
            ilea_keyring_free(ring);
        }
    }
    json_decref(vectors);
}

/* A generator that repeats itself, as a machine put back with its memory does. */
static uint8_t repeated[32];

static void
fill_repeated(void *const bytes, const size_t size)
{
    uint8_t *to = bytes;
    for (size_t i = 0; i < size; i++) to[i] = repeated[i % sizeof repeated];
}

static const char *
name_of_repeated(void)
{
    return "repeated";
}

static uint32_t
draw_repeated(void)
{
    return 4;
}

static void
repeat_randomness(bool is_on)
{
    static struct randombytes_implementation implementation = {
        .implementation_name = name_of_repeated,
        .random = draw_repeated,
        .buf = fill_repeated,
    };
    randombytes_set_implementation(is_on ? &implementation
                                         : &randombytes_sysrandom_implementation);
}

static void
test_keyring_nonce_is_hedged(void **state)
{
    (void)state;
    struct ilea_keyring *ring = NULL;
    uint8_t aek_commit[ILEA_HASH_SIZE];
    assert_int_equal(ilea_keyring_new(1, &ring), ILEA_ERROR_NONE);
    assert_int_equal(ilea_keyring_generate(ring, &network, &audience, aek_commit), ILEA_ERROR_NONE);
    struct ilea_epoch_id epoch = epoch_of(aek_commit);

    json_t *vectors = ilea_vectors_load("keyring.jsonl");
    size_t index, seen = 0;
    json_t *vector;
    json_array_foreach(vectors, index, vector)
    {
        if (strcmp(json_string_value(json_object_get(vector, "check")), "nonce") != 0) continue;
        uint8_t expected[ILEA_NONCE_SIZE], nonce[ILEA_NONCE_SIZE], ciphertext[256];
        struct ilea_span data, plaintext;
        uint8_t *data_bytes = ilea_vector_bytes(vector, "data", &data.size);
        uint8_t *plain_bytes = ilea_vector_bytes(vector, "plaintext", &plaintext.size);
        data.data = data_bytes;
        plaintext.data = plain_bytes;
        read_fixed(vector, "fresh", repeated, sizeof repeated);
        read_fixed(vector, "nonce", expected, sizeof expected);
        assert_true(plaintext.size + ILEA_AEAD_OVERHEAD <= sizeof ciphertext);

        repeat_randomness(true);
        assert_int_equal(ilea_keyring_encrypt(ring, &epoch, data, plaintext, nonce, ciphertext),
                         ILEA_ERROR_NONE);
        repeat_randomness(false);
        assert_memory_equal(nonce, expected, sizeof nonce);
        free(data_bytes);
        free(plain_bytes);
        seen++;
    }
    assert_true(seen >= 3);
    json_decref(vectors);
    ilea_keyring_free(ring);
}

static void
test_keyring_repeated_key_is_refused(void **state)
{
    (void)state;
    struct ilea_keyring *ring = NULL;
    uint8_t aek_commit[ILEA_HASH_SIZE] = { 0 }, untouched[ILEA_HASH_SIZE] = { 0 };
    assert_int_equal(ilea_keyring_new(3, &ring), ILEA_ERROR_NONE);
    repeat_randomness(true);
    assert_int_equal(ilea_keyring_generate(ring, &network, &audience, aek_commit), ILEA_ERROR_NONE);
    assert_int_equal(ilea_keyring_generate(ring, &network, &audience, untouched),
                     ILEA_ERROR_EXISTS);
    repeat_randomness(false);
    for (size_t i = 0; i < sizeof untouched; i++) assert_int_equal(untouched[i], 0);
    assert_int_equal(ilea_keyring_generate(ring, &network, &audience, untouched), ILEA_ERROR_NONE);
    ilea_keyring_free(ring);
}

/* Many keys, in no order: each found under its name and none under another. */
static void
test_keyring_finds_each_of_many(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    static uint8_t commits[COUNT][ILEA_HASH_SIZE];
    static uint8_t nonces[COUNT][ILEA_NONCE_SIZE], ciphertexts[COUNT][4 + ILEA_AEAD_OVERHEAD];
    const uint8_t data_bytes[3] = { 9, 9, 9 };
    struct ilea_span data = { data_bytes, sizeof data_bytes };
    struct ilea_keyring *ring = NULL;
    assert_int_equal(ilea_keyring_new(COUNT, &ring), ILEA_ERROR_NONE);

    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(ilea_keyring_generate(ring, &network, &audience, commits[i]),
                         ILEA_ERROR_NONE);
        struct ilea_epoch_id epoch = epoch_of(commits[i]);
        struct ilea_span plaintext = { (const uint8_t *)&i, sizeof i };
        assert_int_equal(
            ilea_keyring_encrypt(ring, &epoch, data, plaintext, nonces[i], ciphertexts[i]),
            ILEA_ERROR_NONE);
    }
    uint8_t more[ILEA_HASH_SIZE];
    assert_int_equal(ilea_keyring_generate(ring, &network, &audience, more), ILEA_ERROR_FULL);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct ilea_span ciphertext = { ciphertexts[i], sizeof ciphertexts[i] };
        struct ilea_epoch_id own = epoch_of(commits[i]);
        struct ilea_epoch_id other = epoch_of(commits[(i + 1) % COUNT]);
        uint32_t opened = UINT32_MAX;
        assert_int_equal(
            ilea_keyring_decrypt(ring, &own, data, nonces[i], ciphertext, (uint8_t *)&opened),
            ILEA_ERROR_NONE);
        assert_int_equal(opened, i);
        assert_int_equal(
            ilea_keyring_decrypt(ring, &other, data, nonces[i], ciphertext, (uint8_t *)&opened),
            ILEA_ERROR_BAD_HASH);
        own.bytes[15] ^= 1;
        assert_false(ilea_keyring_holds(ring, &own));
        own.bytes[15] ^= 1;
        own.bytes[0] ^= 0x80;
        assert_false(ilea_keyring_holds(ring, &own));
    }
    ilea_keyring_free(ring);
}

/* A key travels: generated by A, wrapped for B, unwrapped twice, used both ways. */
static void
test_keyring_wrap_and_unwrap(void **state)
{
    (void)state;
    struct ilea_keyring *a = NULL, *b = NULL;
    struct ilea_reading_secret *reading = NULL;
    struct ilea_reading_public to;
    const struct ilea_reading_public low = { { 0 } };
    uint8_t aek_commit[ILEA_HASH_SIZE], second[ILEA_HASH_SIZE];
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE], wrapped_second[ILEA_WRAPPED_KEY_SIZE];
    uint8_t nonce[ILEA_NONCE_SIZE], ciphertext[ILEA_AEAD_OVERHEAD + 5], opened[5];
    struct ilea_span nothing = { NULL, 0 }, plaintext = { (const uint8_t *)"hello", 5 };
    assert_int_equal(ilea_keyring_new(2, &a), ILEA_ERROR_NONE);
    assert_int_equal(ilea_keyring_new(1, &b), ILEA_ERROR_NONE);
    assert_int_equal(ilea_reading_generate(&reading, &to), ILEA_ERROR_NONE);
    assert_int_equal(ilea_keyring_generate(a, &network, &audience, aek_commit), ILEA_ERROR_NONE);
    assert_int_equal(ilea_keyring_generate(a, &network, &audience, second), ILEA_ERROR_NONE);
    struct ilea_epoch_id epoch = epoch_of(aek_commit), epoch_second = epoch_of(second);

    assert_int_equal(ilea_keyring_wrap(b, &epoch, &network, &audience, &to, wrapped),
                     ILEA_ERROR_KEY_MISSING);
    assert_int_equal(ilea_keyring_wrap(a, &epoch, &network, &audience, &low, wrapped),
                     ILEA_ERROR_INVALID);
    assert_int_equal(ilea_keyring_wrap(a, &epoch, &network, &audience, &to, wrapped),
                     ILEA_ERROR_NONE);
    assert_int_equal(
        ilea_keyring_wrap(a, &epoch_second, &network, &audience, &to, wrapped_second),
        ILEA_ERROR_NONE);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(
            ilea_keyring_unwrap(b, reading, &network, &audience, aek_commit, wrapped),
            ILEA_ERROR_NONE);
    }
    assert_int_equal(
        ilea_keyring_unwrap(b, reading, &network, &audience, second, wrapped_second),
        ILEA_ERROR_FULL);
    aek_commit[31] ^= 1; /* held under that name, but not what is said of it */
    assert_int_equal(ilea_keyring_unwrap(b, reading, &network, &audience, aek_commit, wrapped),
                     ILEA_ERROR_BAD_HASH);

    assert_int_equal(ilea_keyring_encrypt(a, &epoch, nothing, plaintext, nonce, ciphertext),
                     ILEA_ERROR_NONE);
    struct ilea_span sealed = { ciphertext, sizeof ciphertext };
    assert_int_equal(ilea_keyring_decrypt(b, &epoch, nothing, nonce, sealed, opened),
                     ILEA_ERROR_NONE);
    assert_memory_equal(opened, "hello", 5);
    assert_int_equal(ilea_keyring_decrypt(b, &epoch_second, nothing, nonce, sealed, opened),
                     ILEA_ERROR_KEY_MISSING);
    assert_int_equal(ilea_keyring_encrypt(b, &epoch_second, nothing, plaintext, nonce, ciphertext),
                     ILEA_ERROR_KEY_MISSING);
    ilea_reading_secret_free(reading);
    ilea_keyring_free(a);
    ilea_keyring_free(b);
    ilea_keyring_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keyring_vectors),
        cmocka_unit_test(test_keyring_nonce_is_hedged),
        cmocka_unit_test(test_keyring_repeated_key_is_refused),
        cmocka_unit_test(test_keyring_finds_each_of_many),
        cmocka_unit_test(test_keyring_wrap_and_unwrap),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
