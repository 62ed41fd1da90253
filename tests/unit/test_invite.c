#include "crypto/invite.h"
#include "crypto/random.h"
#include "tests/support/codec.h"

static void
check_invite(const json_t *vector)
{
    struct ilea_invite_token token, parsed;
    struct ilea_invite invite;
    struct ilea_lobby_public key;
    uint8_t nonce[ILEA_LOBBY_NONCE_SIZE], tag[ILEA_INVITE_TAG_SIZE];
    char text[ILEA_INVITE_TEXT_SIZE];
    size_t size;
    vector_fixed(vector, "token", token.bytes, sizeof token.bytes);
    vector_fixed(vector, "lobby_key", key.bytes, sizeof key.bytes);
    vector_fixed(vector, "nonce", nonce, sizeof nonce);
    uint8_t *sealed = ilea_vector_bytes(vector, "sealed", &size);
    ilea_invite_derive(&token, &invite);
    check_vector_bytes(vector, "id", invite.id, sizeof invite.id);
    check_vector_bytes(vector, "key", invite.key, sizeof invite.key);
    ilea_invite_format(&token, text);
    assert_string_equal(text, vector_text(vector, "text"));
    assert_int_equal(ilea_invite_parse(text, &parsed), ILEA_ERROR_NONE);
    assert_memory_equal(parsed.bytes, token.bytes, sizeof token.bytes);
    const struct ilea_span span = { sealed, size };
    ilea_invite_tag(invite.key, &key, nonce, span, tag);
    check_vector_bytes(vector, "tag", tag, sizeof tag);
    assert_true(ilea_invite_tag_is_right(invite.key, &key, nonce, span, tag));
    /* It is of this greeting and this message alone. */
    uint8_t *const places[] = { &tag[0], &tag[31], &key.bytes[0], &nonce[15], &sealed[0], &sealed[size - 1],
                                &invite.key[0] };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        *places[i] ^= 1;
        assert_false(ilea_invite_tag_is_right(invite.key, &key, nonce, span, tag));
        *places[i] ^= 1;
    }
    free(sealed);
}

static void
check(const json_t *vector)
{
    const char *kind = vector_text(vector, "check");
    if (strcmp(kind, "invite") == 0) check_invite(vector);
    if (strcmp(kind, "invite_text") != 0) return;
    struct ilea_invite_token token;
    enum ilea_error error = ilea_invite_parse(vector_text(vector, "text"), &token);
    if (json_object_get(vector, "expect") != NULL) {
        if (error != ILEA_ERROR_INVALID) fail_msg("%s", vector_text(vector, "name"));
        return;
    }
    assert_int_equal(error, ILEA_ERROR_NONE);
    check_vector_bytes(vector, "token", token.bytes, sizeof token.bytes);
}

static void
test_vectors(void **state)
{
    (void)state;
    for_each_vector("lobby.jsonl", check);
}

/* One letter wrong is always noticed, or nearly so: the check has 12 bits. */
static void
test_mistyped(void **state)
{
    (void)state;
    struct ilea_invite_token token, parsed;
    char text[ILEA_INVITE_TEXT_SIZE];
    unsigned missed = 0;
    for (unsigned round = 0; round < 200; round++) {
        ilea_invite_generate(&token);
        ilea_invite_format(&token, text);
        for (size_t i = 0; text[i] != '\0'; i++) {
            char right = text[i];
            if (right == '-') continue;
            text[i] = right == '7' ? '8' : '7';
            if (ilea_invite_parse(text, &parsed) == ILEA_ERROR_NONE) missed++;
            text[i] = right;
        }
    }
    assert_true(missed < 20); /* of 5,600: one or two are to be expected */
}

static void
test_seal(void **state)
{
    (void)state;
    struct ilea_lobby_secret *secret = NULL, *other = NULL;
    struct ilea_lobby_public public_key, other_key;
    assert_int_equal(ilea_lobby_generate(&secret, &public_key), ILEA_ERROR_NONE);
    assert_int_equal(ilea_lobby_generate(&other, &other_key), ILEA_ERROR_NONE);
    uint8_t message[100] = "a request", sealed[sizeof message + ILEA_SEAL_OVERHEAD], opened[sizeof message];
    const struct ilea_span span = { message, sizeof message };
    assert_true(ilea_lobby_seal(&public_key, span, sealed));
    const struct ilea_span sealed_span = { sealed, sizeof sealed };
    assert_true(ilea_lobby_unseal(secret, sealed_span, opened));
    assert_memory_equal(opened, message, sizeof message);
    assert_false(ilea_lobby_unseal(other, sealed_span, opened));
    for (size_t cut = 0; cut < sizeof sealed; cut++) {
        assert_false(ilea_lobby_unseal(secret, (struct ilea_span){ sealed, cut }, opened));
    }
    sealed[50] ^= 1;
    assert_false(ilea_lobby_unseal(secret, sealed_span, opened));
    const struct ilea_lobby_public nowhere = { { 0 } };
    assert_false(ilea_lobby_seal(&nowhere, span, sealed));
    ilea_lobby_secret_free(secret);
    ilea_lobby_secret_free(other);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_mistyped),
        cmocka_unit_test(test_seal),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
