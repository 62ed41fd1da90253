#include "node/lobby_message.h"
#include "tests/support/agency.h"

static struct ilea_lobby_challenge challenge; /* of the vector at hand: the decoders under test take one argument */
static struct ilea_network_id network;
static struct ilea_sign_public node;

static enum ilea_error
decode_frame(struct ilea_span input)
{
    struct ilea_lobby_frame frame;
    size_t size;
    enum ilea_error error = ilea_lobby_frame_decode(input, &frame, &size);
    if (error != ILEA_ERROR_NONE) return error;
    return size == input.size ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED; /* the next one follows */
}

static enum ilea_error
decode_request(struct ilea_span input)
{
    struct ilea_lobby_request request;
    enum ilea_error error = ilea_lobby_request_decode(input, &challenge, &request);
    if (error == ILEA_ERROR_NONE) check_msgpack_c_agrees(input);
    return error;
}

static enum ilea_error
decode_ceremony(struct ilea_span input)
{
    struct ilea_lobby_ceremony ceremony;
    enum ilea_error error = ilea_lobby_ceremony_decode(input, &ceremony);
    if (error != ILEA_ERROR_NONE) return error;
    check_msgpack_c_agrees(input);
    return ilea_lobby_ceremony_verify(input, &ceremony, &challenge, &network, &node) ? ILEA_ERROR_NONE
                                                                                     : ILEA_ERROR_BAD_SIGNATURE;
}

static void
check_frame(const json_t *vector)
{
    size_t size, taken;
    uint8_t *bytes = ilea_vector_bytes(vector, "frame", &size);
    struct ilea_lobby_frame frame;
    enum ilea_error error = ilea_lobby_frame_decode((struct ilea_span){ bytes, size }, &frame, &taken);
    /* What is announced and never comes is waited for. */
    if (error != ILEA_ERROR_NOT_FOUND) expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        assert_int_equal(taken, size);
        assert_int_equal(frame.type, vector_number(vector, "type"));
        uint8_t again[ILEA_LOBBY_FRAME_MAX];
        assert_int_equal(ilea_lobby_frame_encode(&frame, again), size);
        assert_memory_equal(again, bytes, size);
        if (frame.type == ILEA_LOBBY_GREETING) {
            assert_int_equal(frame.minutes, vector_number(vector, "minutes"));
            check_vector_bytes(vector, "key", frame.challenge.key.bytes, 32);
            check_vector_bytes(vector, "nonce", frame.challenge.nonce, 16);
        }
        if (size < 1000) check_cuts(decode_frame, bytes, size);
    }
    free(bytes);
}

static void
check_request(const json_t *vector, const uint8_t *bytes, size_t size)
{
    struct ilea_lobby_request request;
    assert_int_equal(ilea_lobby_request_decode((struct ilea_span){ bytes, size }, &challenge, &request),
                     ILEA_ERROR_NONE);
    check_vector_bytes(vector, "card", request.card_bytes.data, request.card_bytes.size);
    check_vector_bytes(vector, "note", request.note.data, request.note.size);
    check_vector_bytes(vector, "invite", request.invite, request.has_invite ? sizeof request.invite : 0);
    assert_int_equal(request.made_ms, vector_number(vector, "made_ms"));
    struct ilea_sign_secret *secret = secret_of(json_object_get(vector, "node_seed"));
    uint8_t again[ILEA_LOBBY_MESSAGE_MAX];
    size_t again_size;
    for (size_t capacity = 0; capacity < size; capacity += 31) {
        assert_int_equal(ilea_lobby_request_encode(&request, &challenge, &network, secret, again, capacity,
                                                   &again_size), ILEA_ERROR_LIMIT);
    }
    assert_int_equal(ilea_lobby_request_encode(&request, &challenge, &network, secret, again, size,
                                               &again_size), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "message", again, again_size);
    ilea_sign_secret_free(secret);
}

static void
check_ceremony(const json_t *vector, const uint8_t *bytes, size_t size)
{
    struct ilea_lobby_ceremony ceremony;
    assert_int_equal(ilea_lobby_ceremony_decode((struct ilea_span){ bytes, size }, &ceremony), ILEA_ERROR_NONE);
    assert_int_equal(ceremony.kind, vector_number(vector, "kind"));
    check_vector_bytes(vector, "from", ceremony.from.bytes, 32);
    check_vector_bytes(vector, "to", ceremony.to.bytes, 32);
    check_vector_bytes(vector, "manifest", ceremony.manifest, 32);
    check_vector_bytes(vector, "value", ceremony.value, 32);
    check_vector_bytes(vector, "reply", ceremony.reply.bytes, 32);
    struct ilea_sign_secret *secret = secret_of(json_object_get(vector, "node_seed"));
    uint8_t again[ILEA_CEREMONY_SIZE_MAX];
    assert_int_equal(ilea_lobby_ceremony_encode(&ceremony, &challenge, &network, secret, again), size);
    assert_memory_equal(again, bytes, size);
    ilea_sign_secret_free(secret);
}

static void
check(const json_t *vector)
{
    const char *kind = vector_text(vector, "check");
    if (strcmp(kind, "frame") == 0) check_frame(vector);
    bool is_request = strcmp(kind, "request") == 0;
    if (!is_request && strcmp(kind, "ceremony") != 0) return;
    uint8_t both[48];
    size_t size;
    vector_fixed(vector, "challenge", both, sizeof both);
    memcpy(challenge.key.bytes, both, 32);
    memcpy(challenge.nonce, both + 32, 16);
    vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
    vector_fixed(vector, "node", node.bytes, sizeof node.bytes);
    uint8_t *bytes = ilea_vector_bytes(vector, "message", &size);
    enum ilea_error (*decode)(struct ilea_span) = is_request ? decode_request : decode_ceremony;
    enum ilea_error error = decode((struct ilea_span){ bytes, size });
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        if (is_request) check_request(vector, bytes, size);
        if (!is_request) check_ceremony(vector, bytes, size);
        check_cuts(decode, bytes, size);
        assert_int_equal(check_mutations(decode, bytes, size, 101), 0); /* all of it is signed */
    }
    free(bytes);
}

static void
test_vectors(void **state)
{
    (void)state;
    for_each_vector("lobby.jsonl", check);
}

static void
test_notes(void **state)
{
    (void)state;
    static const struct { const char *note; bool is_plain; } cases[] = {
        { "", true },           { "Unité 3 – Ωμέγα, 東京", true }, { "a\tb", false },
        { "a\nb", false },      { "a\x1b[31mb", false },          { "a\xe2\x80\xae" "b", false },
        { "\xef\xbb\xbf", false }, { "a\xc2\x85", false },        { "a\xff", false },
        { "\xf3\xa0\x81\x81", false }, { "\xf0\x9f\x9a\xa8", true }
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (ilea_note_is_plain(span_of(cases[i].note)) != cases[i].is_plain) fail_msg("%zu", i);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors), cmocka_unit_test(test_notes) };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
