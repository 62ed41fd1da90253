#include "replication/record/receipt.h"
#include "replication/record/receipt_frame.h"
#include "tests/support/agency.h"

/* What decode() verifies with: the vectors'. */
static struct ilea_network_id network;
static struct ilea_sign_public node;

static enum ilea_error
decode(struct ilea_span input)
{
    struct ilea_receipt receipt;
    enum ilea_error error = ilea_receipt_decode(input, &receipt);
    if (error != ILEA_ERROR_NONE) return error;
    check_msgpack_c_agrees(input);
    return ilea_receipt_verify(&receipt, &network, &node) ? ILEA_ERROR_NONE : ILEA_ERROR_BAD_SIGNATURE;
}

/* What decodes is put again and gives the same bytes. */
static enum ilea_error
decode_body(struct ilea_span input)
{
    struct ilea_receipt_body body;
    enum ilea_error error = ilea_receipt_body_decode(input, &body);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t *again = malloc(input.size);
    assert_non_null(again);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, input.size);
    ilea_msgpack_put_array(&writer, 4);
    ilea_msgpack_put_array(&writer, body.feed_count);
    for (uint32_t i = 0; i < body.feed_count; i++) {
        struct ilea_receipt_feed feed;
        ilea_receipt_feed_next(&body.feeds, &feed);
        ilea_receipt_put_feed(&writer, &feed);
    }
    ilea_msgpack_put_array(&writer, body.archive_count);
    for (uint32_t i = 0; i < body.archive_count; i++) {
        struct ilea_receipt_archive archive;
        ilea_receipt_archive_next(&body.archives, &archive);
        ilea_receipt_put_archive(&writer, &archive);
    }
    ilea_msgpack_put_array(&writer, body.unread_count);
    for (uint32_t i = 0; i < body.unread_count; i++) {
        struct ilea_receipt_unread item;
        ilea_receipt_unread_next(&body.unread, &item);
        ilea_receipt_put_unread(&writer, &item);
    }
    ilea_msgpack_put_array(&writer, body.own_count);
    for (uint32_t i = 0; i < body.own_count; i++) {
        struct ilea_receipt_own feed;
        ilea_receipt_own_next(&body.own, &feed);
        ilea_receipt_put_own(&writer, &feed);
    }
    assert_true(writer.size == input.size);
    assert_false(writer.failed);
    assert_memory_equal(again, input.data, input.size);
    free(again);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
decode_ask(struct ilea_span input)
{
    uint8_t again[ILEA_RECEIPT_HEAD_MAX];
    struct ilea_receipt_ask ask;
    struct ilea_msgpack_writer writer;
    enum ilea_error error = ilea_receipt_ask_decode(input, &ask);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_msgpack_writer_init(&writer, again, sizeof again);
    ilea_receipt_put_ask(&writer, &ask);
    assert_true(!writer.failed && writer.size == input.size);
    assert_memory_equal(again, input.data, input.size);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
decode_give(struct ilea_span input)
{
    struct ilea_receipt_give give;
    struct ilea_msgpack_writer writer;
    enum ilea_error error = ilea_receipt_give_decode(input, &give);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t *again = malloc(input.size);
    assert_non_null(again);
    ilea_msgpack_writer_init(&writer, again, input.size);
    ilea_receipt_put_give(&writer, &give);
    assert_true(writer.size <= ILEA_RECEIPT_HEAD_MAX);
    for (uint32_t i = 0; i < give.count; i++) {
        struct ilea_span receipt = ilea_receipt_given_next(&give.receipts);
        ilea_msgpack_put_bin(&writer, receipt.data, receipt.size);
    }
    assert_true(!writer.failed && writer.size == input.size);
    assert_memory_equal(again, input.data, input.size);
    free(again);
    return ILEA_ERROR_NONE;
}

/* What is said between two nodes, by the vector's name of the form. */
static void
check_frame(const json_t *vector, const char *form)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, form, &size);
    struct ilea_span input = { bytes, size };
    bool is_ask = strcmp(form, "ask") == 0;
    enum ilea_error error = is_ask ? decode_ask(input) : decode_give(input);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_receipt_ask ask;
        struct ilea_receipt_give give;
        assert_int_equal(is_ask ? ilea_receipt_ask_decode(input, &ask) : ilea_receipt_give_decode(input, &give),
                         ILEA_ERROR_NONE);
        assert_true((is_ask ? ask.stamp : give.stamp) == vector_number(vector, "stamp"));
        if (!is_ask) check_vector_bytes(vector, "database", give.database, sizeof give.database);
        if (!is_ask) assert_true(give.more == (vector_number(vector, "more") == 1));
        check_cuts(is_ask ? decode_ask : decode_give, bytes, size);
        (void)check_mutations(is_ask ? decode_ask : decode_give, bytes, size, 1);
    }
    free(bytes);
}

/* It opens with the author's key and for nobody else, and making it anew gives what says the same. */
static void
check_opened(const json_t *vector, struct ilea_receipt *receipt)
{
    uint8_t secret[32], *opened = malloc(ILEA_RECEIPT_SIZE_MAX), *made = malloc(ILEA_RECEIPT_SIZE_MAX);
    uint8_t *scratch = malloc(ILEA_RECEIPT_SIZE_MAX);
    struct ilea_reading_secret *reading = NULL, *other = NULL;
    struct ilea_reading_public reading_public, other_public;
    struct ilea_sign_secret *signer = secret_of(json_object_get(vector, "node_seed"));
    struct ilea_span body, again;
    size_t size = 0;
    assert_true(opened != NULL && made != NULL && scratch != NULL);
    vector_fixed(vector, "reading_secret", secret, sizeof secret);
    assert_int_equal(ilea_reading_secret_new(secret, &reading), ILEA_ERROR_NONE);
    assert_int_equal(ilea_reading_generate(&other, &other_public), ILEA_ERROR_NONE);
    ilea_reading_secret_public(reading, &reading_public);
    assert_int_equal(ilea_receipt_open(receipt, &network, other, opened, &body), ILEA_ERROR_NOT_FOUND);
    assert_int_equal(ilea_receipt_open(receipt, &network, reading, opened, &body), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "body", body.data, body.size);
    assert_int_equal(decode_body(body), ILEA_ERROR_NONE);

    assert_int_equal(ilea_receipt_make(receipt, body, &network, &reading_public, signer, scratch, made, &size),
                     ILEA_ERROR_NONE);
    assert_int_equal(decode((struct ilea_span){ made, size }), ILEA_ERROR_NONE);
    struct ilea_receipt remade;
    assert_int_equal(ilea_receipt_decode((struct ilea_span){ made, size }, &remade), ILEA_ERROR_NONE);
    assert_true(remade.counter == receipt->counter);
    assert_int_equal(ilea_receipt_open(&remade, &network, reading, opened, &again), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "body", again.data, again.size);

    /* What is sealed is bound to whom it is of and for, and to its number. */
    struct ilea_receipt moved = *receipt;
    moved.counter++;
    assert_int_equal(ilea_receipt_open(&moved, &network, reading, opened, &again), ILEA_ERROR_BAD_HASH);
    moved = *receipt;
    moved.holder.bytes[0] ^= 1;
    assert_int_equal(ilea_receipt_open(&moved, &network, reading, opened, &again), ILEA_ERROR_BAD_HASH);
    moved = *receipt;
    moved.sealed.size = ILEA_SEAL_OVERHEAD - 1;
    assert_int_equal(ilea_receipt_open(&moved, &network, reading, opened, &again), ILEA_ERROR_NOT_FOUND);
    ilea_reading_secret_free(reading);
    ilea_reading_secret_free(other);
    ilea_sign_secret_free(signer);
    free(opened);
    free(made);
    free(scratch);
}

static void
check_vector(const json_t *vector)
{
    size_t size;
    const char *check = vector_text(vector, "check");
    if (strcmp(check, "ask") == 0 || strcmp(check, "give") == 0) {
        check_frame(vector, check);
        return;
    }
    bool is_body = strcmp(check, "body") == 0;
    uint8_t *bytes = ilea_vector_bytes(vector, is_body ? "body" : "receipt", &size);
    struct ilea_span input = { bytes, size };
    if (!is_body) {
        vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
        vector_fixed(vector, "node", node.bytes, sizeof node.bytes);
    }
    enum ilea_error error = is_body ? decode_body(input) : decode(input);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE && is_body) {
        check_cuts(decode_body, bytes, size);
        (void)check_mutations(decode_body, bytes, size, 1);
    } else if (error == ILEA_ERROR_NONE) {
        struct ilea_receipt receipt;
        assert_int_equal(ilea_receipt_decode(input, &receipt), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "holder", receipt.holder.bytes, ILEA_ID_SIZE);
        check_vector_bytes(vector, "author", receipt.author.bytes, ILEA_ID_SIZE);
        assert_true(receipt.counter == vector_number(vector, "counter"));
        check_vector_bytes(vector, "sealed", receipt.sealed.data, receipt.sealed.size);
        check_vector_bytes(vector, "signature", receipt.sig.bytes, sizeof receipt.sig.bytes);
        check_vector_bytes(vector, "hash", receipt.hash, sizeof receipt.hash);
        check_opened(vector, &receipt);
        check_cuts(decode, bytes, size);
        assert_int_equal(check_mutations(decode, bytes, size, 41), 0); /* all of it is signed */
    }
    free(bytes);
}

static void
test_receipt_vectors(void **state)
{
    (void)state;
    for_each_vector("receipt.jsonl", check_vector);
}

/* Goal: a body as large as it may be fits a receipt; a larger one is refused. */
static void
test_limits(void **state)
{
    (void)state;
    uint8_t *body = calloc(1, ILEA_RECEIPT_BODY_MAX + 1), *made = malloc(ILEA_RECEIPT_SIZE_MAX);
    uint8_t *scratch = malloc(ILEA_RECEIPT_SIZE_MAX);
    const struct ilea_receipt receipt = { .holder = { { 1 } }, .author = { { 2 } }, .counter = UINT64_MAX };
    struct ilea_reading_secret *reading = NULL;
    struct ilea_reading_public to;
    struct ilea_sign_secret *signer = NULL;
    size_t size = 0;
    assert_true(body != NULL && made != NULL && scratch != NULL);
    assert_int_equal(ilea_reading_generate(&reading, &to), ILEA_ERROR_NONE);
    assert_int_equal(ilea_sign_generate(&signer, &node), ILEA_ERROR_NONE);
    struct ilea_span input = { body, ILEA_RECEIPT_BODY_MAX };
    assert_int_equal(ilea_receipt_make(&receipt, input, &network, &to, signer, scratch, made, &size), ILEA_ERROR_NONE);
    assert_true(size <= ILEA_RECEIPT_SIZE_MAX);
    assert_int_equal(decode((struct ilea_span){ made, size }), ILEA_ERROR_NONE);
    input.size++;
    assert_int_equal(ilea_receipt_make(&receipt, input, &network, &to, signer, scratch, made, &size),
                     ILEA_ERROR_LIMIT);
    ilea_reading_secret_free(reading);
    ilea_sign_secret_free(signer);
    free(body);
    free(made);
    free(scratch);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receipt_vectors),
        cmocka_unit_test(test_limits),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
