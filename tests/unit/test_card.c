#include "tests/support/agency.h"

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

/* The manifests of a card, each on its own. */
static uint32_t
chain_of(const struct ilea_card *card, struct ilea_span *chain, uint32_t capacity)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, card->chain);
    assert_in_range(card->chain_count, 1, capacity);
    for (uint32_t i = 0; i < card->chain_count; i++) {
        chain[i] = ilea_msgpack_get_bin(&reader, ILEA_MANIFEST_SIZE_MAX);
    }
    assert_true(ilea_msgpack_reader_done(&reader));
    return card->chain_count;
}

/* Encoded again with the vector's key it is the same bytes, and no room less is enough. */
static void
check_encode(const json_t *vector, const struct ilea_card *card)
{
    struct ilea_span chain[8];
    uint32_t count = chain_of(card, chain, 8);
    const json_t *expected = json_object_get(vector, "chain");
    assert_int_equal(count, json_array_size(expected));
    for (uint32_t i = 0; i < count; i++) {
        check_hex(json_array_get(expected, i), chain[i].data, chain[i].size);
    }
    struct ilea_sign_secret *node = secret_of(json_object_get(vector, "node_seed"));
    uint8_t *again = malloc(card->size);
    assert_non_null(again);
    size_t written = 0;
    assert_int_equal(ilea_card_encode(chain, count, card->endpoint, card->lobby, card->made_ms, node,
                                      again, card->size, &written), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "card", again, written);
    for (size_t capacity = 0; capacity < card->size; capacity += 31) {
        assert_int_equal(ilea_card_encode(chain, count, card->endpoint, card->lobby, card->made_ms,
                                          node, again, capacity, &written), ILEA_ERROR_LIMIT);
    }
    assert_int_equal(ilea_card_encode(chain, count, card->endpoint, card->lobby, card->made_ms, node,
                                      again, card->size - 1, &written), ILEA_ERROR_LIMIT);
    struct ilea_span not_one = span_of("http://a:1");
    assert_int_equal(ilea_card_encode(chain, count, not_one, card->lobby, card->made_ms, node, again,
                                      card->size, &written), ILEA_ERROR_INVALID);
    assert_int_equal(ilea_card_encode(chain, count, card->endpoint, not_one, card->made_ms, node,
                                      again, card->size, &written), ILEA_ERROR_INVALID);
    assert_int_equal(ilea_card_encode(chain, 0, card->endpoint, card->lobby, card->made_ms, node,
                                      again, card->size, &written), ILEA_ERROR_INVALID);
    free(again);
    ilea_sign_secret_free(node);
}

static void
check_format(const json_t *vector, const struct ilea_card *card, struct ilea_span input)
{
    size_t text_size, written = 0;
    uint8_t *expected = ilea_vector_bytes(vector, "text", &text_size);
    char *text = malloc(text_size + 1);
    assert_non_null(text);
    assert_int_equal(ilea_card_format(card, input, text, text_size + 1, &written), ILEA_ERROR_NONE);
    assert_int_equal(written, text_size);
    assert_memory_equal(text, expected, text_size);
    for (size_t capacity = 0; capacity <= text_size; capacity++) {
        assert_int_equal(ilea_card_format(card, input, text, capacity, &written), ILEA_ERROR_LIMIT);
    }
    free(text);
    free(expected);
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
        assert_int_equal(ilea_card_decode(input, &card), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "endpoint", card.endpoint.data, card.endpoint.size);
        check_vector_bytes(vector, "lobby", card.lobby.data, card.lobby.size);
        check_vector_bytes(vector, "agency", card.agency.bytes, sizeof card.agency.bytes);
        check_vector_bytes(vector, "roots_hash", card.roots_hash, sizeof card.roots_hash);
        assert_true(card.made_ms == vector_number(vector, "made_ms"));
        assert_int_equal(card.size, size);
        assert_int_equal(card.manifest.index + 1, card.chain_count);
        /* Which network it is for is the reader's to compare: here it is only told. */
        check_vector_bytes(vector, "network", card.manifest.network.bytes, 32);
        check_encode(vector, &card);
        check_format(vector, &card, input);
        check_cuts(decode_card, bytes, size);
        assert_int_equal(check_mutations(decode_card, bytes, size, card.chain_count == 1 ? 83 : 254), 0);
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
    if (strcmp(check, "card") == 0) check_card_vector(vector);
    if (strcmp(check, "text") == 0) check_text_vector(vector);
}

static void
test_card_vectors(void **state)
{
    (void)state;
    for_each_vector("manifest.jsonl", check_vector);
}

/* Make a card of one manifest and the card's text, and read that again. */
static enum ilea_error
whole_trip(struct agency *agency, const char *endpoint, const char *lobby, struct ilea_card *card)
{
    static uint8_t bytes[ILEA_CARD_SIZE_MAX], parsed[ILEA_CARD_SIZE_MAX];
    static char text[2 * ILEA_CARD_SIZE_MAX];
    size_t card_size = 0, text_size = 0;
    enum ilea_error error = sign_manifest(agency);
    if (error != ILEA_ERROR_NONE) return error;
    const struct ilea_span chain = { agency->bytes, agency->size };
    error = ilea_card_encode(&chain, 1, span_of(endpoint), span_of(lobby), 5, agency->node, bytes,
                             sizeof bytes, &card_size);
    const struct ilea_span made = { bytes, card_size };
    if (error == ILEA_ERROR_NONE) error = ilea_card_decode(made, card);
    if (error == ILEA_ERROR_NONE) error = ilea_card_format(card, made, text, sizeof text, &text_size);
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
    static struct agency agency;
    char longest[ILEA_NAME_SIZE_MAX + 2];
    memset(longest, 'n', sizeof longest);
    longest[ILEA_NAME_SIZE_MAX] = '\0';
    for (uint32_t root_count = 1; root_count <= ILEA_ROOTS_MAX; root_count += 5) {
        struct ilea_card card;
        make_agency(&agency, root_count);
        agency.manifest.country = span_of("INT");
        agency.manifest.code = span_of("ABCDEFGHIJKLMN-9"); /* 16 bytes */
        agency.manifest.threshold = root_count;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            agency.manifest.name = span_of(names[i]);
            assert_int_equal(whole_trip(&agency, "tcp://[::1]:65535", "tcp://[::1]:1", &card),
                             ILEA_ERROR_NONE);
            assert_int_equal(card.manifest.name.size, strlen(names[i]));
            assert_int_equal(card.manifest.root_count, root_count);
            assert_int_equal(card.made_ms, 5);
        }
        agency.manifest.name = span_of(longest);
        assert_int_equal(whole_trip(&agency, "", "", &card), ILEA_ERROR_NONE);
        assert_int_equal(card.endpoint.size, 0);
        assert_int_equal(card.lobby.size, 0);
        agency.manifest.name.size = ILEA_NAME_SIZE_MAX + 1;
        assert_int_equal(whole_trip(&agency, "", "", &card), ILEA_ERROR_INVALID);
        free_agency(&agency);
    }
}

/* Sign `count` manifests in a row; every seventh has new roots, every other a new node key. */
static void
make_chain(struct agency *agency, struct ilea_span *chain, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) next_manifest(agency);
        if (i % 7 == 6) rotate_roots(agency);
        if (i % 2 == 1) rotate_node(agency);
        assert_int_equal(sign_manifest(agency), ILEA_ERROR_NONE);
        chain[i] = (struct ilea_span){ ilea_exact_copy(agency->bytes, agency->size), agency->size };
    }
}

/* Goal: a card holds a long chain, and no longer one; a text of it is read again. */
static void
test_chain_limits(void **state)
{
    (void)state;
    static struct agency agency;
    static struct ilea_span chain[ILEA_CARD_CHAIN_MAX + 1];
    static uint8_t bytes[ILEA_CARD_SIZE_MAX + 1], parsed[ILEA_CARD_SIZE_MAX];
    static char text[2 * ILEA_CARD_SIZE_MAX];
    const struct ilea_span none = { NULL, 0 };
    struct ilea_card card, again;
    size_t size = 0, text_size = 0;
    make_agency(&agency, 1);
    make_chain(&agency, chain, ILEA_CARD_CHAIN_MAX + 1);
    struct ilea_sign_secret *last = agency.node; /* of an even index: the one before has it, too */
    assert_int_equal(ILEA_CARD_CHAIN_MAX % 2, 0);
    assert_int_equal(ilea_card_encode(chain, ILEA_CARD_CHAIN_MAX + 1, none, none, 5, last, bytes,
                                      sizeof bytes, &size), ILEA_ERROR_INVALID);
    assert_int_equal(ilea_card_encode(chain, ILEA_CARD_CHAIN_MAX, none, none, 5, last, bytes,
                                      sizeof bytes, &size), ILEA_ERROR_NONE);
    assert_int_equal(ilea_card_decode((struct ilea_span){ bytes, size }, &card), ILEA_ERROR_NONE);
    assert_int_equal(card.chain_count, ILEA_CARD_CHAIN_MAX);
    assert_int_equal(card.manifest.index, ILEA_CARD_CHAIN_MAX - 1);
    assert_int_equal(ilea_card_format(&card, (struct ilea_span){ bytes, size }, text, sizeof text,
                                      &text_size), ILEA_ERROR_NONE);
    assert_int_equal(ilea_card_parse((struct ilea_span){ (const uint8_t *)text, text_size }, parsed,
                                     &again), ILEA_ERROR_NONE);
    assert_memory_equal(parsed, bytes, size);
    for (uint32_t i = 0; i <= ILEA_CARD_CHAIN_MAX; i++) free((uint8_t *)(uintptr_t)chain[i].data);
    free_agency(&agency);

    assert_int_equal(decode_card((struct ilea_span){ bytes, sizeof bytes }), ILEA_ERROR_LIMIT);
    memset(text, 'a', sizeof text);
    assert_int_equal(parse_card((struct ilea_span){ (const uint8_t *)text, sizeof text }),
                     ILEA_ERROR_LIMIT);
    assert_int_equal(parse_card((struct ilea_span){ (const uint8_t *)text, sizeof text - 1 }),
                     ILEA_ERROR_MALFORMED);
}

/* Goal: no card is made that others would refuse. */
static void
test_encode_refuses(void **state)
{
    (void)state;
    static struct agency agency;
    static uint8_t bytes[ILEA_CARD_SIZE_MAX];
    const struct ilea_span none = { NULL, 0 };
    struct ilea_span chain[3], wrong[2];
    size_t size = 0;
    make_agency(&agency, 1);
    struct ilea_sign_public first_public = agency.manifest.node;
    make_chain(&agency, chain, 3);
    struct ilea_sign_secret *node = agency.node;
    assert_int_equal(ilea_card_encode(chain, 3, none, none, 5, node, bytes, sizeof bytes, &size),
                     ILEA_ERROR_NONE);
    assert_memory_not_equal(agency.manifest.node.bytes, first_public.bytes, 32);
    assert_int_equal(ilea_card_encode(chain, 1, none, none, 5, node, bytes, sizeof bytes, &size),
                     ILEA_ERROR_INVALID); /* not the key of that manifest */
    assert_int_equal(ilea_card_encode(chain + 1, 2, none, none, 5, node, bytes, sizeof bytes, &size),
                     ILEA_ERROR_INVALID);
    wrong[0] = chain[0];
    wrong[1] = chain[2];
    assert_int_equal(ilea_card_encode(wrong, 2, none, none, 5, node, bytes, sizeof bytes, &size),
                     ILEA_ERROR_INVALID);
    wrong[1] = none;
    assert_int_equal(ilea_card_encode(wrong, 2, none, none, 5, node, bytes, sizeof bytes, &size),
                     ILEA_ERROR_INVALID);
    for (uint32_t i = 0; i < 3; i++) free((uint8_t *)(uintptr_t)chain[i].data);
    free_agency(&agency);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_card_vectors),
        cmocka_unit_test(test_card_of_any_agency),
        cmocka_unit_test(test_chain_limits),
        cmocka_unit_test(test_encode_refuses),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
