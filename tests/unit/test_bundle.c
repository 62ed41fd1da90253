#include "replication/record/bundle.h"
#include "crypto/random.h"
#include "tests/support/codec.h"
#include "crypto/secret.h" /* last: after it there is no memcmp() */

static struct ilea_sign_public node;

/* Form and signature, under `node`. */
static enum ilea_error
decode_header(struct ilea_span input)
{
    struct ilea_bundle_header header;
    enum ilea_error error = ilea_bundle_header_decode(input, &header);
    if (error != ILEA_ERROR_NONE) return error;
    check_msgpack_c_agrees(input);
    return ilea_bundle_header_verify(&header, &node) ? ILEA_ERROR_NONE : ILEA_ERROR_BAD_SIGNATURE;
}

static enum ilea_error
decode_totals(struct ilea_span input)
{
    struct ilea_bundle_totals totals;
    return ilea_bundle_totals_decode(input, &totals);
}

static enum ilea_error
decode_frontier(struct ilea_span input)
{
    struct ilea_bundle_frontier frontier;
    enum ilea_error error = ilea_bundle_frontier_decode(input, &frontier);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < frontier.count; i++) {
        struct ilea_position position;
        ilea_position_get(&frontier.positions, &position);
        assert_false(frontier.positions.failed);
    }
    return error;
}

/* Goal: each bit of a header counts. */
static void
check_bits(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = ilea_exact_copy(bytes, size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (decode_header((struct ilea_span){ copy, size }) == ILEA_ERROR_NONE) fail_msg("bit %zu", bit);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(copy);
}

static void
check_header(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "header", &size);
    struct ilea_bundle_header header;
    vector_fixed(vector, "node", node.bytes, sizeof node.bytes);
    enum ilea_error error = decode_header((struct ilea_span){ bytes, size });
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        assert_int_equal(ilea_bundle_header_decode((struct ilea_span){ bytes, size }, &header), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "network", header.network.bytes, 32);
        check_vector_bytes(vector, "from", header.from.bytes, 32);
        check_vector_bytes(vector, "to", header.to.bytes, 32);
        check_vector_bytes(vector, "id", header.id.bytes, 16);
        check_vector_bytes(vector, "aek_commit", header.aek_commit, 32);
        check_vector_bytes(vector, "wrapped", header.wrapped, sizeof header.wrapped);
        check_vector_bytes(vector, "signature", header.signature.bytes, 64);
        check_vector_bytes(vector, "hash", header.hash, sizeof header.hash);
        assert_true(header.manifest == vector_number(vector, "manifest"));
        assert_true(header.made_ms == vector_number(vector, "made_ms"));
        assert_int_equal(header.part, vector_number(vector, "part"));
        check_cuts(decode_header, bytes, size);
        check_bits(bytes, size);
    }
    free(bytes);
}

static void
check_body(const json_t *vector, enum ilea_error (*decode)(struct ilea_span))
{
    size_t size, made = 0;
    uint8_t *bytes = ilea_vector_bytes(vector, "body", &size), again[4096];
    const struct ilea_span input = { bytes, size };
    enum ilea_error error = decode(input);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        check_msgpack_c_agrees(input);
        check_cuts(decode, bytes, size);
        (void)check_mutations(decode, bytes, size, 7);
        if (decode == decode_totals) {
            struct ilea_bundle_totals totals;
            assert_int_equal(ilea_bundle_totals_decode(input, &totals), ILEA_ERROR_NONE);
            assert_true(totals.commits == vector_number(vector, "commits"));
            assert_true(totals.bytes == vector_number(vector, "bytes"));
            assert_int_equal(totals.has_after, json_array_size(json_object_get(vector, "after")) > 0);
            assert_int_equal(ilea_bundle_totals_encode(&totals, again, sizeof again, &made), ILEA_ERROR_NONE);
        } else {
            struct ilea_bundle_frontier frontier;
            struct ilea_position positions[8];
            assert_int_equal(ilea_bundle_frontier_decode(input, &frontier), ILEA_ERROR_NONE);
            assert_int_equal(frontier.count, json_array_size(json_object_get(vector, "positions")));
            for (uint32_t i = 0; i < frontier.count; i++) ilea_position_get(&frontier.positions, &positions[i]);
            assert_int_equal(ilea_bundle_frontier_encode(&frontier.agency, positions, frontier.count, again,
                                                         sizeof again, &made), ILEA_ERROR_NONE);
            assert_int_equal(ilea_bundle_frontier_encode(&frontier.agency, positions, frontier.count, again, size - 1,
                                                         &made), ILEA_ERROR_LIMIT);
        }
        check_vector_bytes(vector, "body", again, made);
    }
    free(bytes);
}

/* Cut a file into chunks and open each; `contents`: what must be in them, or NULL. */
static enum ilea_error
open_file(struct ilea_span file, const struct ilea_reading_secret *reading, const json_t *contents)
{
    struct ilea_bundle_header header;
    struct ilea_keyring *ring = NULL;
    size_t header_size = 0, at = ILEA_BUNDLE_PRELUDE_SIZE;
    if (file.size < at) return ILEA_ERROR_MALFORMED;
    enum ilea_error error = ilea_bundle_prelude_decode(file.data, &header_size);
    if (error != ILEA_ERROR_NONE) return error;
    if (file.size - at < header_size) return ILEA_ERROR_MALFORMED;
    error = ilea_bundle_header_decode((struct ilea_span){ file.data + at, header_size }, &header);
    if (error != ILEA_ERROR_NONE) return error;
    assert_int_equal(ilea_keyring_new(1, &ring), ILEA_ERROR_NONE);
    assert_int_equal(ilea_keyring_unwrap(ring, reading, &header.network, &header.id, header.aek_commit,
                                         header.wrapped), ILEA_ERROR_NONE);
    at += header_size;
    uint8_t *plain = malloc(ILEA_BUNDLE_CHUNK_MAX);
    assert_non_null(plain);
    if (at == file.size) error = ILEA_ERROR_MALFORMED;
    for (uint64_t number = 0; error == ILEA_ERROR_NONE && at < file.size; number++) {
        uint32_t size = 0, type;
        struct ilea_span text = { plain, 0 }, body;
        if (file.size - at < 4) error = ILEA_ERROR_MALFORMED;
        for (unsigned i = 0; error == ILEA_ERROR_NONE && i < 4; i++) size = size << 8 | file.data[at + i];
        if (error == ILEA_ERROR_NONE && size > ILEA_BUNDLE_CHUNK_MAX) error = ILEA_ERROR_MALFORMED;
        if (error == ILEA_ERROR_NONE && size > file.size - at - 4) error = ILEA_ERROR_MALFORMED;
        if (error != ILEA_ERROR_NONE) break;
        const struct ilea_span chunk = { file.data + at + 4, size };
        at += 4 + (size_t)size;
        error = ilea_bundle_chunk_open(ring, &header, number, at == file.size, chunk, plain, &text.size);
        if (error == ILEA_ERROR_NONE) error = ilea_bundle_content_decode(text, &type, &body);
        if (error != ILEA_ERROR_NONE || contents == NULL) continue;
        const json_t *content = json_array_get(contents, (size_t)number);
        assert_int_equal(type, json_integer_value(json_array_get(content, 0)));
        check_hex(json_array_get(content, 1), body.data, body.size);
    }
    free(plain);
    ilea_keyring_free(ring);
    return error;
}

static void
check_file(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "file", &size), secret[ILEA_BOX_SECRET_SIZE];
    struct ilea_reading_secret *reading = NULL;
    vector_fixed(vector, "reading_secret", secret, sizeof secret);
    assert_int_equal(ilea_reading_secret_new(secret, &reading), ILEA_ERROR_NONE);
    enum ilea_error error = open_file((struct ilea_span){ bytes, size }, reading, json_object_get(vector, "contents"));
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        for (size_t cut = 0; cut < size; cut++) {
            uint8_t *copy = ilea_exact_copy(bytes, cut);
            if (open_file((struct ilea_span){ copy, cut }, reading, NULL) == ILEA_ERROR_NONE) fail_msg("cut %zu", cut);
            free(copy);
        }
        const size_t start = ILEA_BUNDLE_PRELUDE_SIZE + ((size_t)bytes[10] << 8 | bytes[11]);
        for (size_t i = start; i < size; i += 3) { /* the header has its own test, and its signature */
            bytes[i] ^= 1;
            if (open_file((struct ilea_span){ bytes, size }, reading, NULL) == ILEA_ERROR_NONE) fail_msg("byte %zu", i);
            bytes[i] ^= 1;
        }
    }
    ilea_reading_secret_free(reading);
    free(bytes);
}

static void
check_vector(const json_t *vector)
{
    const char *check = vector_text(vector, "check");
    if (strcmp(check, "header") == 0) check_header(vector);
    else if (strcmp(check, "totals") == 0) check_body(vector, decode_totals);
    else if (strcmp(check, "frontier") == 0) check_body(vector, decode_frontier);
    else check_file(vector);
}

static void
test_bundle_vectors(void **state)
{
    (void)state;
    for_each_vector("bundle.jsonl", check_vector);
}

/* A header with a key that `ring` holds, sealed to `reading`. */
static void
make_header(struct ilea_bundle_header *header, struct ilea_keyring *ring, struct ilea_reading_secret **reading,
            struct ilea_sign_secret **secret)
{
    struct ilea_reading_public to;
    struct ilea_epoch_id key;
    *header = (struct ilea_bundle_header){ .network = { { 1 } }, .from = { { 2 } }, .to = { { 3 } }, .id = { { 4 } },
                                           .part = 1 };
    assert_int_equal(ilea_reading_generate(reading, &to), ILEA_ERROR_NONE);
    assert_int_equal(ilea_sign_generate(secret, &node), ILEA_ERROR_NONE);
    assert_int_equal(ilea_keyring_generate(ring, &header->network, &header->id, header->aek_commit), ILEA_ERROR_NONE);
    memcpy(key.bytes, header->aek_commit, sizeof key.bytes);
    assert_int_equal(ilea_keyring_wrap(ring, &key, &header->network, &header->id, &to, header->wrapped),
                     ILEA_ERROR_NONE);
}

/* Goal: what is made is read back, and a chunk opens at its own place alone. */
static void
test_round_trip(void **state)
{
    (void)state;
    struct ilea_keyring *ring = NULL, *other = NULL;
    struct ilea_reading_secret *reading = NULL;
    struct ilea_sign_secret *secret = NULL;
    struct ilea_bundle_header header, read, moved;
    uint8_t bytes[ILEA_BUNDLE_HEADER_MAX], prelude[ILEA_BUNDLE_PRELUDE_SIZE], plain[64], chunk[64 + 40], again[64 + 40];
    size_t size = 0, found = 0;
    assert_int_equal(ilea_keyring_new(2, &ring), ILEA_ERROR_NONE);
    assert_int_equal(ilea_keyring_new(1, &other), ILEA_ERROR_NONE);
    make_header(&header, ring, &reading, &secret);
    assert_int_equal(ilea_bundle_header_encode(&header, secret, bytes, sizeof bytes, &size), ILEA_ERROR_NONE);
    for (size_t capacity = 0; capacity < size; capacity++) {
        size_t ignored;
        uint8_t small[ILEA_BUNDLE_HEADER_MAX];
        assert_int_equal(ilea_bundle_header_encode(&header, secret, small, capacity, &ignored), ILEA_ERROR_LIMIT);
    }
    ilea_bundle_prelude_encode(size, prelude);
    assert_int_equal(ilea_bundle_prelude_decode(prelude, &found), ILEA_ERROR_NONE);
    assert_int_equal(found, size);
    assert_int_equal(ilea_bundle_header_decode((struct ilea_span){ bytes, size }, &read), ILEA_ERROR_NONE);
    assert_true(ilea_bundle_header_verify(&read, &node));
    assert_memory_equal(read.hash, header.hash, sizeof read.hash); /* of all fields */
    assert_memory_equal(&read.signature, &header.signature, sizeof read.signature);
    check_bits(bytes, size);

    memset(plain, 5, sizeof plain);
    const struct ilea_span text = { plain, sizeof plain }, sealed = { chunk, sizeof chunk };
    assert_int_equal(ilea_bundle_chunk_seal(ring, &header, 7, false, text, chunk), ILEA_ERROR_NONE);
    assert_int_equal(ilea_bundle_chunk_open(ring, &read, 7, false, sealed, again, &found), ILEA_ERROR_NONE);
    assert_int_equal(found, sizeof plain);
    assert_memory_equal(again, plain, sizeof plain);
    assert_int_equal(ilea_bundle_chunk_open(ring, &read, 7, true, sealed, again, &found), ILEA_ERROR_BAD_HASH);
    assert_int_equal(ilea_bundle_chunk_open(ring, &read, 8, false, sealed, again, &found), ILEA_ERROR_BAD_HASH);
    for (unsigned i = 0; i < 3; i++) {
        moved = read;
        if (i == 0) moved.part = 2;
        if (i == 1) moved.id.bytes[0] ^= 1;
        if (i == 2) moved.network.bytes[0] ^= 1;
        assert_int_equal(ilea_bundle_chunk_open(ring, &moved, 7, false, sealed, again, &found), ILEA_ERROR_BAD_HASH);
    }
    assert_int_equal(ilea_bundle_chunk_open(other, &read, 7, false, sealed, again, &found), ILEA_ERROR_KEY_MISSING);
    assert_int_equal(ilea_bundle_chunk_open(ring, &read, 7, false, (struct ilea_span){ chunk, 39 }, again, &found),
                     ILEA_ERROR_MALFORMED);
    ilea_keyring_free(ring);
    ilea_keyring_free(other);
    ilea_reading_secret_free(reading);
    ilea_sign_secret_free(secret);
}

static enum ilea_error
decode_content(struct ilea_span input)
{
    uint32_t type;
    struct ilea_span body;
    return ilea_bundle_content_decode(input, &type, &body);
}

/* Goal: sizes are limits from both sides. */
static void
test_limits(void **state)
{
    (void)state;
    struct ilea_keyring *ring = NULL;
    struct ilea_reading_secret *reading = NULL;
    struct ilea_sign_secret *secret = NULL;
    struct ilea_bundle_header header;
    uint8_t *body = calloc(1, ILEA_BUNDLE_PLAIN_MAX + 1), *plain = malloc(ILEA_BUNDLE_CHUNK_MAX),
            *chunk = malloc(ILEA_BUNDLE_CHUNK_MAX + 1), prelude[ILEA_BUNDLE_PRELUDE_SIZE];
    size_t size = 0, most = ILEA_BUNDLE_PLAIN_MAX - 7;
    assert_true(body != NULL && plain != NULL && chunk != NULL);
    assert_int_equal(ilea_bundle_content_encode(ILEA_BUNDLE_COMMITS, (struct ilea_span){ body, most }, plain,
                                                ILEA_BUNDLE_CHUNK_MAX, &size), ILEA_ERROR_NONE);
    assert_int_equal(size, ILEA_BUNDLE_PLAIN_MAX);
    assert_int_equal(ilea_keyring_new(1, &ring), ILEA_ERROR_NONE);
    make_header(&header, ring, &reading, &secret);
    assert_int_equal(ilea_bundle_chunk_seal(ring, &header, 0, true, (struct ilea_span){ plain, size }, chunk),
                     ILEA_ERROR_NONE);
    assert_int_equal(ilea_bundle_chunk_open(ring, &header, 0, true, (struct ilea_span){ chunk, ILEA_BUNDLE_CHUNK_MAX },
                                            plain, &size), ILEA_ERROR_NONE);
    assert_int_equal(ilea_bundle_chunk_open(ring, &header, 0, true,
                                            (struct ilea_span){ chunk, ILEA_BUNDLE_CHUNK_MAX + 1 }, plain, &size),
                     ILEA_ERROR_LIMIT);
    assert_int_equal(ilea_bundle_chunk_seal(ring, &header, 0, true,
                                            (struct ilea_span){ body, ILEA_BUNDLE_PLAIN_MAX + 1 }, chunk),
                     ILEA_ERROR_LIMIT);
    assert_int_equal(ilea_bundle_content_encode(ILEA_BUNDLE_COMMITS, (struct ilea_span){ body, most + 1 }, plain,
                                                ILEA_BUNDLE_CHUNK_MAX, &size), ILEA_ERROR_LIMIT);
    assert_int_equal(ilea_bundle_content_encode(ILEA_BUNDLE_TOTALS, (struct ilea_span){ body, 40 }, plain, 4096,
                                                &size), ILEA_ERROR_NONE);
    check_cuts(decode_content, plain, size);
    ilea_bundle_prelude_encode(ILEA_BUNDLE_HEADER_MAX, prelude);
    assert_int_equal(ilea_bundle_prelude_decode(prelude, &size), ILEA_ERROR_NONE);
    for (unsigned i = 0; i < sizeof prelude; i++) {
        prelude[i] ^= 0x80;
        assert_int_equal(ilea_bundle_prelude_decode(prelude, &size), ILEA_ERROR_MALFORMED);
        prelude[i] ^= 0x80;
    }
    ilea_keyring_free(ring);
    ilea_reading_secret_free(reading);
    ilea_sign_secret_free(secret);
    free(body);
    free(plain);
    free(chunk);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bundle_vectors),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_limits),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
