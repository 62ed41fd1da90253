#include "replication/record/document.h"

#include "crypto/random.h"
#include "replication/core/limits.h"
#include "tests/support/codec.h"

/* What decodes keeps the rules. */
static enum ilea_error
decode_element(struct ilea_span input)
{
    struct ilea_document document;
    enum ilea_error error = ilea_document_decode(input, &document);
    if (error != ILEA_ERROR_NONE) return error;
    check_msgpack_c_agrees(input);
    assert_true(document.name.size > 0 && document.size > 0 && document.size <= ILEA_DOCUMENT_SIZE_MAX);
    assert_true(ilea_document_chunks(document.size) <= ILEA_BLOB_CHUNKS_MAX);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
decode_ask(struct ilea_span input, enum ilea_document_form form)
{
    struct ilea_chunk_ask ask;
    enum ilea_error error = ilea_chunk_ask_decode(input, form, &ask);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t again[1024];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, sizeof again);
    ilea_chunk_ask_put(&writer, form, &ask);
    assert_false(writer.failed);
    assert_int_equal(writer.size, input.size);
    assert_memory_equal(again, input.data, input.size);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
decode_question(struct ilea_span input)
{
    return decode_ask(input, ILEA_DOCUMENT_ASK);
}

static enum ilea_error
decode_none(struct ilea_span input)
{
    return decode_ask(input, ILEA_DOCUMENT_NONE);
}

static enum ilea_error
decode_part(struct ilea_span input)
{
    struct ilea_chunk_part part;
    enum ilea_error error = ilea_chunk_part_decode(input, &part);
    if (error != ILEA_ERROR_NONE) return error;
    assert_true(part.offset + part.bytes.size <= part.total && part.total <= ILEA_BLOB_SEALED_MAX);
    uint8_t *again = malloc(input.size);
    assert_non_null(again);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, input.size);
    ilea_chunk_part_put(&writer, &part);
    assert_false(writer.failed);
    assert_memory_equal(again, input.data, input.size);
    free(again);
    return ILEA_ERROR_NONE;
}

static void
check_chunk(const json_t *vector)
{
    struct ilea_blob_key key;
    struct ilea_network_id network;
    struct ilea_blob_id id;
    size_t size, sealed_size;
    uint8_t *plain = ilea_vector_bytes(vector, "plain", &size);
    uint8_t *sealed = ilea_vector_bytes(vector, "sealed", &sealed_size), *made = malloc(sealed_size);
    uint64_t index = vector_number(vector, "index");
    uint32_t count = (uint32_t)vector_number(vector, "count");
    assert_non_null(made);
    vector_fixed(vector, "key", key.bytes, sizeof key.bytes);
    vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
    ilea_blob_seal(&key, &network, count, index, (struct ilea_span){ plain, size }, made);
    assert_memory_equal(made, sealed, sealed_size);
    ilea_blob_name((struct ilea_span){ sealed, sealed_size }, &id);
    check_vector_bytes(vector, "id", id.bytes, sizeof id.bytes);
    assert_true(ilea_blob_open(&key, &network, count, index, (struct ilea_span){ sealed, sealed_size }, made));
    assert_memory_equal(made, plain, size);

    /* Bound to its place, its document's size, its network and its key; no byte of it can be changed or left out. */
    struct ilea_span input = { sealed, sealed_size };
    assert_false(ilea_blob_open(&key, &network, count, index ^ 1, input, made));
    assert_false(ilea_blob_open(&key, &network, count + 1, index, input, made));
    network.bytes[0] ^= 1;
    assert_false(ilea_blob_open(&key, &network, count, index, input, made));
    network.bytes[0] ^= 1;
    key.bytes[31] ^= 1;
    assert_false(ilea_blob_open(&key, &network, count, index, input, made));
    key.bytes[31] ^= 1;
    for (size_t i = 0; i < sealed_size; i++) {
        sealed[i] ^= 4;
        assert_false(ilea_blob_open(&key, &network, count, index, input, made));
        sealed[i] ^= 4;
        assert_false(ilea_blob_open(&key, &network, count, index, (struct ilea_span){ sealed, i }, made));
    }
    free(plain);
    free(sealed);
    free(made);
}

static void
check_element(const json_t *vector, struct ilea_span input)
{
    struct ilea_document document;
    assert_int_equal(ilea_document_decode(input, &document), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "document_name", document.name.data, document.name.size);
    check_vector_bytes(vector, "media", document.media.data, document.media.size);
    check_vector_bytes(vector, "root", document.root.bytes, sizeof document.root.bytes);
    check_vector_bytes(vector, "key", document.key.bytes, sizeof document.key.bytes);
    assert_true(document.size == vector_number(vector, "size"));
}

static void
check_vector(const json_t *vector)
{
    const char *check = vector_text(vector, "check");
    bool is_element = strcmp(check, "element") == 0, is_part = strcmp(check, "part") == 0;
    if (strcmp(check, "chunk") == 0) {
        check_chunk(vector);
        return;
    }
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, is_element ? "element" : "body", &size);
    struct ilea_span input = { bytes, size };
    enum ilea_error (*decode)(struct ilea_span) =
        is_element ? decode_element : is_part ? decode_part : decode_question;
    if (!is_element && !is_part && size > 1 && bytes[1] == ILEA_DOCUMENT_NONE) decode = decode_none;
    enum ilea_error error = decode(input);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        if (is_element) check_element(vector, input);
        if (size < 4096) check_cuts(decode, bytes, size);
        if (size < 4096) (void)check_mutations(decode, bytes, size, 7);
    }
    free(bytes);
}

static void
test_document_vectors(void **state)
{
    (void)state;
    for_each_vector("document.jsonl", check_vector);
}

/* Goal: a chunk of any size makes parts that fit a SIDE body, and they make the chunk. */
static void
test_parts(void **state)
{
    (void)state;
    static const uint32_t sizes[] = { 17, ILEA_CHUNK_PART_MAX, ILEA_CHUNK_PART_MAX + 1, ILEA_BLOB_SEALED_MAX };
    uint8_t *chunk = calloc(1, ILEA_BLOB_SEALED_MAX), *body = malloc(ILEA_CHUNK_BODY_MAX);
    assert_true(chunk != NULL && body != NULL);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint32_t parts = 0;
        for (uint32_t offset = 0; offset < sizes[i]; offset += ILEA_CHUNK_PART_MAX, parts++) {
            uint32_t left = sizes[i] - offset;
            const struct ilea_chunk_part part = {
                .index = ILEA_BLOB_LIST, .offset = offset, .total = sizes[i],
                .bytes = { chunk + offset, left < ILEA_CHUNK_PART_MAX ? left : ILEA_CHUNK_PART_MAX } };
            struct ilea_msgpack_writer writer;
            ilea_msgpack_writer_init(&writer, body, ILEA_CHUNK_BODY_MAX);
            ilea_chunk_part_put(&writer, &part);
            assert_false(writer.failed);
            assert_true(writer.size <= ILEA_SIDE_SIZE_MAX);
            assert_int_equal(decode_part(ilea_msgpack_written(&writer)), ILEA_ERROR_NONE);
        }
        assert_true(parts <= 2);
    }
    free(chunk);
    free(body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_document_vectors), cmocka_unit_test(test_parts) };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
