#include "crypto/random.h"
#include "replication/record/manifest.h"
#include "tests/support/codec.h"
#include "crypto/secret.h"

static enum ilea_error
decode(struct ilea_span input)
{
    struct ilea_manifest manifest;
    struct ilea_agency_id agency;
    enum ilea_error error = ilea_manifest_decode(input, &manifest, &agency);
    if (error == ILEA_ERROR_NONE) check_msgpack_c_agrees(input);
    return error;
}

static enum ilea_error
decode_card(struct ilea_span input)
{
    struct ilea_card card;
    enum ilea_error error = ilea_card_decode(input, &card);
    if (error == ILEA_ERROR_NONE) check_msgpack_c_agrees(input);
    return error;
}

static enum ilea_error
parse_card(struct ilea_span text)
{
    static uint8_t bytes[ILEA_CARD_SIZE_MAX];
    struct ilea_card card;
    return ilea_card_parse(text, bytes, &card);
}

static struct ilea_sign_secret *
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

/* Encoded again with the vector's keys it is the same bytes, and no room less is enough. */
static void
check_encode(const json_t *vector, const struct ilea_manifest *manifest, size_t size)
{
    const json_t *seeds = json_object_get(vector, "root_seeds");
    struct ilea_sign_secret *roots[ILEA_ROOTS_MAX],
        *node = secret_of(json_object_get(vector, "node_seed"));
    const struct ilea_sign_secret *borrowed[ILEA_ROOTS_MAX];
    for (uint32_t i = 0; i < manifest->root_count; i++) {
        borrowed[i] = roots[i] = secret_of(json_array_get(seeds, i));
    }
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    size_t written = 0;
    assert_int_equal(ilea_manifest_encode(manifest, node, borrowed, bytes, size, &written),
                     ILEA_ERROR_NONE);
    check_vector_bytes(vector, "signed", bytes, written);
    for (size_t capacity = 0; capacity < size; capacity += 41) {
        assert_int_equal(ilea_manifest_encode(manifest, node, borrowed, bytes, capacity, &written),
                         ILEA_ERROR_LIMIT);
    }
    struct ilea_manifest other = *manifest;
    other.threshold = manifest->root_count + 1;
    assert_int_equal(ilea_manifest_encode(&other, node, borrowed, bytes, size, &written),
                     ILEA_ERROR_INVALID);
    other = *manifest;
    other.roots[0] = manifest->roots[1];
    other.roots[1] = manifest->roots[0];
    assert_int_equal(ilea_manifest_encode(&other, node, borrowed, bytes, size, &written),
                     ILEA_ERROR_INVALID);
    other = *manifest;
    other.code.size = 1;
    assert_int_equal(ilea_manifest_encode(&other, node, borrowed, bytes, size, &written),
                     ILEA_ERROR_INVALID);
    free(bytes);
    for (uint32_t i = 0; i < manifest->root_count; i++) ilea_sign_secret_free(roots[i]);
    ilea_sign_secret_free(node);
}

static void
check_manifest_vector(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "signed", &size);
    struct ilea_span input = { bytes, size };
    enum ilea_error error = decode(input);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_manifest manifest;
        struct ilea_agency_id agency;
        assert_int_equal(ilea_manifest_decode(input, &manifest, &agency), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "agency", agency.bytes, sizeof agency.bytes);
        check_vector_bytes(vector, "network", manifest.network.bytes, 32);
        check_vector_bytes(vector, "code", manifest.code.data, manifest.code.size);
        check_vector_bytes(vector, "country", manifest.country.data, manifest.country.size);
        check_vector_bytes(vector, "name_text", manifest.name.data, manifest.name.size);
        check_vector_bytes(vector, "next_roots", manifest.next_roots, 32);
        check_vector_bytes(vector, "node", manifest.node.bytes, 32);
        check_vector_bytes(vector, "transport", manifest.transport.bytes, 32);
        check_vector_bytes(vector, "reading", manifest.reading.bytes, 32);
        assert_int_equal(manifest.threshold, vector_number(vector, "threshold"));
        assert_int_equal(manifest.index, 0);
        const json_t *roots = json_object_get(vector, "roots");
        assert_int_equal(manifest.root_count, json_array_size(roots));
        for (uint32_t i = 0; i < manifest.root_count; i++) {
            check_hex(json_array_get(roots, i), manifest.roots[i].bytes, 32);
        }
        char fingerprint[ILEA_FINGERPRINT_SIZE];
        ilea_fingerprint(agency.bytes, fingerprint);
        assert_string_equal(fingerprint, vector_text(vector, "fingerprint"));
        if (json_object_get(vector, "root_seeds") != NULL) check_encode(vector, &manifest, size);
        check_cuts(decode, bytes, size);
        assert_int_equal(check_mutations(decode, bytes, size, 61), 0); /* all of it is signed */
    }
    free(bytes);
}

static void
check_card_vector(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "card", &size);
    struct ilea_span input = { bytes, size };
    enum ilea_error error = decode_card(input);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_card card;
        struct ilea_network_id network;
        assert_int_equal(ilea_card_decode(input, &card), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "signed", card.signed_manifest.data, card.signed_manifest.size);
        check_vector_bytes(vector, "endpoint", card.endpoint.data, card.endpoint.size);
        check_vector_bytes(vector, "agency", card.agency.bytes, sizeof card.agency.bytes);
        assert_true(card.made_ms == vector_number(vector, "made_ms"));
        /* Which network it is for is the reader's to compare: here it is only told. */
        check_vector_bytes(vector, "network", card.manifest.network.bytes, 32);

        struct ilea_sign_secret *node = secret_of(json_object_get(vector, "node_seed"));
        uint8_t *again = malloc(size);
        assert_non_null(again);
        size_t written = 0;
        vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
        assert_int_equal(ilea_card_encode(card.signed_manifest, card.endpoint, card.made_ms,
                                          &network, node, again, size, &written), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "card", again, written);
        assert_int_equal(ilea_card_encode(card.signed_manifest, card.endpoint, card.made_ms,
                                          &network, node, again, size - 1, &written),
                         ILEA_ERROR_LIMIT);
        struct ilea_span not_one = { (const uint8_t *)"http://a:1", 10 };
        assert_int_equal(ilea_card_encode(card.signed_manifest, not_one, card.made_ms, &network,
                                          node, again, size, &written), ILEA_ERROR_INVALID);
        free(again);
        ilea_sign_secret_free(node);

        size_t text_size;
        uint8_t *expected = ilea_vector_bytes(vector, "text", &text_size);
        char *text = malloc(text_size + 1);
        assert_non_null(text);
        assert_int_equal(ilea_card_format(&card, input, text, text_size + 1, &written),
                         ILEA_ERROR_NONE);
        assert_int_equal(written, text_size);
        assert_memory_equal(text, expected, text_size);
        for (size_t capacity = 0; capacity <= text_size; capacity++) {
            assert_int_equal(ilea_card_format(&card, input, text, capacity, &written),
                             ILEA_ERROR_LIMIT);
        }
        free(text);
        free(expected);
        check_cuts(decode_card, bytes, size);
        assert_int_equal(check_mutations(decode_card, bytes, size, 83), 0);
    }
    free(bytes);
}

/* Goal: of the text no byte can change, but for blanks and line feeds where mail changes them. */
static void
check_text_damage(const uint8_t *text, size_t size)
{
    static const uint8_t changes[] = { 0x01, 0x20, 0x80, 'A' ^ 'B' };
    uint8_t *copy = ilea_exact_copy(text, size);
    for (size_t i = 0; i < size; i++) {
        for (size_t k = 0; i + 1 < size && k < sizeof changes; k++) {
            copy[i] = text[i] ^ changes[k];
            if (parse_card((struct ilea_span){ copy, size }) == ILEA_ERROR_NONE) {
                fail_msg("byte %zu changed to %02x", i, copy[i]);
            }
        }
        static const uint8_t white[] = { ' ', '\t', '\r', '\n', '\0' };
        for (size_t k = 0; k < sizeof white; k++) {
            copy[i] = white[k];
            enum ilea_error error = parse_card((struct ilea_span){ copy, size });
            bool is_allowed = white[k] == text[i] || (i + 1 == size && white[k] != '\0');
            assert_int_equal(error == ILEA_ERROR_NONE, is_allowed);
        }
        copy[i] = text[i];
    }
    free(copy);

    for (size_t cut = 0; cut < size; cut++) { /* every line, and every place in it */
        if (text[cut] != '\n' && cut % 7 != 0) continue;
        enum ilea_error error = decode_copy(parse_card, text, cut);
        assert_int_equal(error == ILEA_ERROR_NONE, cut == size - 1); /* the last line feed may go */
    }
    size_t start = 0; /* a line twice */
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '\n') continue;
        size_t length = i + 1 - start;
        uint8_t *doubled = malloc(size + length);
        assert_non_null(doubled);
        memcpy(doubled, text, i + 1);
        memcpy(doubled + i + 1, text + start, size - start);
        assert_int_not_equal(parse_card((struct ilea_span){doubled, size + length}),
                             ILEA_ERROR_NONE);
        free(doubled);
        start = i + 1;
    }
}

static void
check_text_vector(const json_t *vector)
{
    static uint8_t bytes[ILEA_CARD_SIZE_MAX];
    size_t size;
    uint8_t *text = ilea_vector_bytes(vector, "text", &size);
    struct ilea_card card;
    enum ilea_error error = ilea_card_parse((struct ilea_span){ text, size }, bytes, &card);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        size_t card_size;
        uint8_t *expected = ilea_vector_bytes(vector, "card", &card_size);
        assert_memory_equal(bytes, expected, card_size);
        free(expected);
    }
    if (strcmp(vector_text(vector, "name"), "text: as written") == 0) check_text_damage(text, size);
    free(text);
}

static void
check_vector(const json_t *vector)
{
    const char *check = vector_text(vector, "check");
    if (strcmp(check, "manifest") == 0) check_manifest_vector(vector);
    if (strcmp(check, "card") == 0) check_card_vector(vector);
    if (strcmp(check, "text") == 0) check_text_vector(vector);
    if (strcmp(check, "endpoint") == 0) {
        size_t size;
        uint8_t *endpoint = ilea_vector_bytes(vector, "endpoint", &size);
        bool is_valid = ilea_endpoint_is_valid((struct ilea_span){ endpoint, size });
        expect_error(vector, is_valid ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED);
        free(endpoint);
    }
    if (strcmp(check, "roots") == 0) {
        const json_t *texts = json_object_get(vector, "roots");
        struct ilea_sign_public roots[ILEA_ROOTS_MAX];
        uint8_t hash[ILEA_HASH_SIZE];
        uint32_t count = (uint32_t)json_array_size(texts);
        for (uint32_t i = 0; i < count; i++) {
            json_t *one = json_object();
            json_object_set_new(one, "root",
                                json_string(json_string_value(json_array_get(texts, i))));
            vector_fixed(one, "root", roots[i].bytes, sizeof roots[i].bytes);
            json_decref(one);
        }
        ilea_roots_hash((uint32_t)vector_number(vector, "threshold"), roots, count, hash);
        check_vector_bytes(vector, "hash", hash, sizeof hash);
    }
}

static void
test_manifest_vectors(void **state)
{
    (void)state;
    for_each_vector("manifest.jsonl", check_vector);
}

struct agency {
    struct ilea_manifest manifest;
    struct ilea_sign_secret *node, *roots[ILEA_ROOTS_MAX];
    struct ilea_reading_secret *reading;
    struct ilea_transport_secret *transport;
};

/* An agency with fresh keys; its roots in order. */
static void
make_agency(struct agency *agency, uint32_t root_count)
{
    memset(agency, 0, sizeof *agency);
    struct ilea_manifest *manifest = &agency->manifest;
    manifest->network.bytes[0] = 1;
    manifest->threshold = 1;
    manifest->root_count = root_count;
    for (uint32_t i = 0; i < root_count; i++) {
        struct ilea_sign_public public_key;
        struct ilea_sign_secret *secret = NULL;
        assert_int_equal(ilea_sign_generate(&secret, &public_key), ILEA_ERROR_NONE);
        uint32_t at = i; /* insert in order */
        for (; at > 0; at--) {
            int order = 0;
            for (size_t k = 0; order == 0 && k < sizeof public_key.bytes; k++) {
                order = manifest->roots[at - 1].bytes[k] - public_key.bytes[k];
            }
            if (order < 0) break;
            manifest->roots[at] = manifest->roots[at - 1];
            agency->roots[at] = agency->roots[at - 1];
        }
        manifest->roots[at] = public_key;
        agency->roots[at] = secret;
    }
    assert_int_equal(ilea_sign_generate(&agency->node, &manifest->node), ILEA_ERROR_NONE);
    assert_int_equal(ilea_reading_generate(&agency->reading, &manifest->reading), ILEA_ERROR_NONE);
    assert_int_equal(ilea_transport_generate(&agency->transport, &manifest->transport),
                     ILEA_ERROR_NONE);
}

static void
free_agency(struct agency *agency)
{
    for (uint32_t i = 0; i < agency->manifest.root_count; i++)
        ilea_sign_secret_free(agency->roots[i]);
    ilea_sign_secret_free(agency->node);
    ilea_reading_secret_free(agency->reading);
    ilea_transport_secret_free(agency->transport);
}

static struct ilea_span
span_of(const char *text)
{
    return (struct ilea_span){ (const uint8_t *)text, strlen(text) };
}

/* Make the manifest, its card, the card's text, and read that again. */
static enum ilea_error
whole_trip(struct agency *agency, const char *endpoint, struct ilea_card *card)
{
    static uint8_t manifest[ILEA_MANIFEST_SIZE_MAX], bytes[ILEA_CARD_SIZE_MAX];
    static uint8_t parsed[ILEA_CARD_SIZE_MAX];
    static char text[2 * ILEA_CARD_SIZE_MAX];
    const struct ilea_sign_secret *roots[ILEA_ROOTS_MAX];
    size_t size = 0, card_size = 0, text_size = 0;
    memcpy(roots, agency->roots, sizeof roots);
    enum ilea_error error = ilea_manifest_encode(&agency->manifest, agency->node, roots, manifest,
                                                 sizeof manifest, &size);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_card_encode((struct ilea_span){ manifest, size }, span_of(endpoint), 5,
                             &agency->manifest.network, agency->node, bytes, sizeof bytes,
                             &card_size);
    if (error == ILEA_ERROR_NONE)
        error = ilea_card_decode((struct ilea_span){bytes, card_size}, card);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_card_format(card, (struct ilea_span){ bytes, card_size }, text, sizeof text,
                                 &text_size);
    }
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_card_parse((struct ilea_span){ (const uint8_t *)text, text_size }, parsed, card);
}

/* Goal: whatever may be signed can also be written as a card and read again. */
static void
test_card_of_any_agency(void **state)
{
    (void)state;
    static const char *const names[] = { "A", "-----END", "-----END ILEANET CARD-----",
                                         "-----BEGIN ILEANET CARD-----", "Polizei (DE) Zürich",
                                         "%s%n", "警察庁" };
    char longest[ILEA_NAME_SIZE_MAX + 2];
    memset(longest, 'n', sizeof longest);
    longest[ILEA_NAME_SIZE_MAX] = '\0';
    for (uint32_t root_count = 1; root_count <= ILEA_ROOTS_MAX; root_count += 5) {
        struct agency agency;
        struct ilea_card card;
        make_agency(&agency, root_count);
        agency.manifest.country = span_of("INT");
        agency.manifest.code = span_of("ABCDEFGHIJKLMN-9"); /* 16 bytes */
        agency.manifest.threshold = root_count;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            agency.manifest.name = span_of(names[i]);
            assert_int_equal(whole_trip(&agency, "tcp://[::1]:65535", &card), ILEA_ERROR_NONE);
            assert_int_equal(card.manifest.name.size, strlen(names[i]));
            assert_int_equal(card.manifest.root_count, root_count);
            assert_int_equal(card.made_ms, 5);
        }
        agency.manifest.name = span_of(longest);
        assert_int_equal(whole_trip(&agency, "", &card), ILEA_ERROR_NONE);
        assert_int_equal(card.endpoint.size, 0);
        agency.manifest.name = (struct ilea_span){(const uint8_t *)longest, ILEA_NAME_SIZE_MAX + 1};
        assert_int_equal(whole_trip(&agency, "", &card), ILEA_ERROR_INVALID);
        free_agency(&agency);
    }
}

/* Goal: our own mistakes are refused before anything is read out of bounds. */
static void
test_manifest_encode_refuses(void **state)
{
    (void)state;
    struct agency agency;
    struct ilea_card card;
    make_agency(&agency, 1);
    agency.manifest.code = span_of("FR-PN");
    agency.manifest.country = span_of("FR");
    agency.manifest.name = span_of("name");
    assert_int_equal(whole_trip(&agency, "", &card), ILEA_ERROR_NONE);
    agency.manifest.root_count = 0;
    assert_int_equal(whole_trip(&agency, "", &card), ILEA_ERROR_INVALID);
    agency.manifest.root_count = ILEA_ROOTS_MAX + 1;
    assert_int_equal(whole_trip(&agency, "", &card), ILEA_ERROR_INVALID);
    agency.manifest.root_count = 1;
    agency.manifest.index = 1;
    assert_int_equal(whole_trip(&agency, "", &card), ILEA_ERROR_INVALID);
    agency.manifest.index = 0;
    agency.manifest.prev[31] = 1;
    assert_int_equal(whole_trip(&agency, "", &card), ILEA_ERROR_INVALID);
    free_agency(&agency);
}

static void
test_code_is_valid(void **state)
{
    (void)state;
    static const char *const good[] = { "FR", "FR-PN", "A1", "A-1-B", "ABCDEFGHIJKLMNOP" };
    static const char *const bad[] = { "", "F", "1A", "-A", "A-", "Fr", "F R", "FR_PN", "F\xc3\x89",
                                       "ABCDEFGHIJKLMNOPQ" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(ilea_code_is_valid(span_of(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(ilea_code_is_valid(span_of(bad[i])));
    }
    assert_false(ilea_code_is_valid((struct ilea_span){ NULL, 0 }));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest_vectors),
        cmocka_unit_test(test_card_of_any_agency),
        cmocka_unit_test(test_manifest_encode_refuses),
        cmocka_unit_test(test_code_is_valid),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
