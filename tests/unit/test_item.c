#include "crypto/random.h"
#include "replication/record/item.h"
#include "replication/record/msgpack_reader.h"
#include "tests/support/codec.h"
#include "crypto/secret.h"

/* What decodes, encodes to the same bytes by the fields that were found. */
static enum ilea_error
decode(struct ilea_span input)
{
    struct ilea_item item;
    enum ilea_error error = ilea_item_decode(input, &item);
    if (error != ILEA_ERROR_NONE) return error;
    bool is_statement = item.flags == ILEA_ITEM_CONTROL;
    uint8_t *again = malloc(input.size);
    assert_non_null(again);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, input.size);
    ilea_msgpack_put_array(&writer, is_statement ? 2 : 5);
    ilea_msgpack_put_uint(&writer, item.flags);
    if (!is_statement) {
        ilea_msgpack_put_bin(&writer, item.audience.bytes, sizeof item.audience.bytes);
        ilea_msgpack_put_bin(&writer, item.epoch.bytes, sizeof item.epoch.bytes);
        ilea_msgpack_put_bin(&writer, item.nonce, sizeof item.nonce);
    }
    ilea_msgpack_put_bin(&writer, item.content.data, item.content.size);
    assert_false(writer.failed);
    assert_int_equal(writer.size, input.size);
    assert_memory_equal(again, input.data, input.size);
    free(again);
    check_msgpack_c_agrees(input);
    return ILEA_ERROR_NONE;
}

/* The vector's epoch key, in a ring. */
static struct ilea_keyring *
ring_of(const json_t *vector)
{
    struct ilea_keyring *ring = NULL;
    struct ilea_reading_secret *reading = NULL;
    struct ilea_network_id network;
    struct ilea_audience_id audience;
    uint8_t secret[32], aek_commit[ILEA_HASH_SIZE], wrapped[ILEA_WRAPPED_KEY_SIZE];
    vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
    vector_fixed(vector, "audience", audience.bytes, sizeof audience.bytes);
    vector_fixed(vector, "reading_secret", secret, sizeof secret);
    vector_fixed(vector, "aek_commit", aek_commit, sizeof aek_commit);
    vector_fixed(vector, "wrapped", wrapped, sizeof wrapped);
    assert_int_equal(ilea_keyring_new(2, &ring), ILEA_ERROR_NONE);
    assert_int_equal(ilea_reading_secret_new(secret, &reading), ILEA_ERROR_NONE);
    assert_int_equal(ilea_keyring_unwrap(ring, reading, &network, &audience, aek_commit, wrapped),
                     ILEA_ERROR_NONE);
    ilea_reading_secret_free(reading);
    return ring;
}

static void
check_open(const json_t *vector, const struct ilea_item *item)
{
    struct ilea_network_id network;
    struct ilea_feed_id feed;
    struct ilea_agency_id agency;
    struct ilea_audience_id audience;
    vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
    vector_fixed(vector, "feed", feed.bytes, sizeof feed.bytes);
    vector_fixed(vector, "agency", agency.bytes, sizeof agency.bytes);
    ilea_audience_of_peers(&network, &agency, &audience);
    assert_memory_equal(audience.bytes, item->audience.bytes, sizeof audience.bytes);
    ilea_audience_of_agency(&network, &agency, &audience);
    assert_memory_not_equal(audience.bytes, item->audience.bytes, sizeof audience.bytes);

    struct ilea_keyring *ring = ring_of(vector);
    struct ilea_place place = { &network, &feed, vector_number(vector, "seq"),
                                (uint32_t)vector_number(vector, "index") };
    uint8_t *plaintext = malloc(item->content.size);
    assert_non_null(plaintext);
    size_t size = 0;
    assert_int_equal(ilea_item_decrypt(ring, &place, item, plaintext, &size), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "plaintext", plaintext, size);

    place.index ^= 1; /* moved, it does not open */
    assert_int_equal(ilea_item_decrypt(ring, &place, item, plaintext, &size), ILEA_ERROR_BAD_HASH);
    place.index ^= 1;
    place.seq++;
    assert_int_equal(ilea_item_decrypt(ring, &place, item, plaintext, &size), ILEA_ERROR_BAD_HASH);
    place.seq--;
    feed.bytes[31] ^= 1;
    assert_int_equal(ilea_item_decrypt(ring, &place, item, plaintext, &size), ILEA_ERROR_BAD_HASH);
    feed.bytes[31] ^= 1;
    network.bytes[0] ^= 1;
    assert_int_equal(ilea_item_decrypt(ring, &place, item, plaintext, &size), ILEA_ERROR_BAD_HASH);
    network.bytes[0] ^= 1;
    struct ilea_item other = *item;
    other.audience.bytes[0] ^= 1;
    assert_int_equal(ilea_item_decrypt(ring, &place, &other, plaintext, &size),
                     ILEA_ERROR_BAD_HASH);
    other = *item;
    other.epoch.bytes[0] ^= 1;
    assert_int_equal(ilea_item_decrypt(ring, &place, &other, plaintext, &size),
                     ILEA_ERROR_KEY_MISSING);
    free(plaintext);
    ilea_keyring_free(ring);
}

static void
check_vector(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "item", &size);
    struct ilea_span input = { bytes, size };
    enum ilea_error error = decode(input);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_item item;
        assert_int_equal(ilea_item_decode(input, &item), ILEA_ERROR_NONE);
        assert_int_equal(item.flags, vector_number(vector, "flags"));
        check_vector_bytes(vector, "content", item.content.data, item.content.size);
        uint8_t leaf[ILEA_HASH_SIZE];
        ilea_item_leaf((uint32_t)vector_number(vector, "index"), input, leaf);
        check_vector_bytes(vector, "leaf", leaf, sizeof leaf);
        if (item.flags == ILEA_ITEM_CONTROL) {
            uint8_t *again = malloc(size);
            assert_non_null(again);
            size_t again_size = 0;
            assert_int_equal(ilea_item_put_statement(item.content, again, size, &again_size),
                             ILEA_ERROR_NONE);
            check_vector_bytes(vector, "item", again, again_size);
            assert_int_equal(ilea_item_put_statement(item.content, again, size - 1, &again_size),
                             ILEA_ERROR_LIMIT);
            free(again);
        } else {
            check_vector_bytes(vector, "audience", item.audience.bytes, sizeof item.audience.bytes);
            check_vector_bytes(vector, "epoch", item.epoch.bytes, sizeof item.epoch.bytes);
            check_vector_bytes(vector, "nonce", item.nonce, sizeof item.nonce);
            check_open(vector, &item);
        }
        check_cuts(decode, bytes, size);
        check_mutations(decode, bytes, size, 1);
    }
    free(bytes);
}

static void
test_item_vectors(void **state)
{
    (void)state;
    for_each_vector("item.jsonl", check_vector);
}

/* Goal: encrypted and opened again at every size at which a header grows, and at the limits. */
static void
test_item_encrypt(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 239, 240, 65519, 65520, ILEA_CHANGE_SIZE_MAX - 1,
                                    ILEA_CHANGE_SIZE_MAX };
    struct ilea_keyring *ring = NULL;
    struct ilea_network_id network = { { 1 } };
    struct ilea_feed_id feed = { { 2 } };
    struct ilea_audience_id audience = { { 3 } };
    struct ilea_epoch_id epoch, missing = { { 9 } };
    struct ilea_place place = { &network, &feed, 5, 6 };
    uint8_t aek_commit[ILEA_HASH_SIZE];
    assert_int_equal(ilea_keyring_new(1, &ring), ILEA_ERROR_NONE);
    assert_int_equal(ilea_keyring_generate(ring, &network, &audience, aek_commit), ILEA_ERROR_NONE);
    memcpy(epoch.bytes, aek_commit, sizeof epoch.bytes);

    uint8_t *plaintext = malloc(ILEA_CHANGE_SIZE_MAX + 1), *opened = malloc(ILEA_ITEM_SIZE_MAX);
    uint8_t *bytes = malloc(ILEA_ITEM_SIZE_MAX);
    assert_true(plaintext != NULL && opened != NULL && bytes != NULL);
    for (size_t i = 0; i <= ILEA_CHANGE_SIZE_MAX; i++) plaintext[i] = (uint8_t)i;
    size_t size = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ilea_span text = { plaintext, sizes[i] };
        assert_int_equal(ilea_item_encrypt(ring, &place, ILEA_ITEM_OPEN, &audience, &epoch, text,
                                           bytes, ILEA_ITEM_SIZE_MAX, &size),
                         ILEA_ERROR_NONE);
        assert_true(size <= sizes[i] + ILEA_ITEM_OVERHEAD_MAX);
        assert_true(size >= ILEA_ITEM_SIZE_MIN);
        assert_int_equal(decode_copy(decode, bytes, size), ILEA_ERROR_NONE);

        struct ilea_item item;
        size_t opened_size = 0;
        assert_int_equal(ilea_item_decode((struct ilea_span){bytes, size}, &item), ILEA_ERROR_NONE);
        assert_int_equal(item.flags, ILEA_ITEM_OPEN);
        assert_int_equal(ilea_item_decrypt(ring, &place, &item, opened, &opened_size),
                         ILEA_ERROR_NONE);
        assert_int_equal(opened_size, sizes[i]);
        if (sizes[i] > 0) assert_memory_equal(opened, plaintext, sizes[i]);

        size_t exact = size,
               unwritten = 77; /* exactly the room it takes is enough, one less is not */
        uint8_t *tight = malloc(exact);
        assert_non_null(tight);
        assert_int_equal(ilea_item_encrypt(ring, &place, 0, &audience, &epoch, text, tight, exact,
                                           &size), ILEA_ERROR_NONE);
        assert_int_equal(size, exact);
        assert_int_equal(ilea_item_encrypt(ring, &place, 0, &audience, &epoch, text, tight,
                                           exact - 1, &unwritten), ILEA_ERROR_LIMIT);
        assert_int_equal(unwritten, 77);
        free(tight);
    }
    struct ilea_span too_long = { plaintext, ILEA_CHANGE_SIZE_MAX + 1 };
    assert_int_equal(ilea_item_encrypt(ring, &place, 0, &audience, &epoch, too_long, bytes,
                                       ILEA_ITEM_SIZE_MAX, &size), ILEA_ERROR_LIMIT);
    assert_int_equal(ilea_item_encrypt(ring, &place, 0, &audience, &missing,
                                       (struct ilea_span){ plaintext, 1 }, bytes,
                                       ILEA_ITEM_SIZE_MAX, &size), ILEA_ERROR_KEY_MISSING);
    free(bytes);
    free(opened);
    free(plaintext);
    ilea_keyring_free(ring);
}

/* Goal: a statement fills an item to the last byte and not further; shorter than a leaf is none. */
static void
test_item_size_limits(void **state)
{
    (void)state;
    uint8_t *statement = calloc(1, ILEA_ITEM_SIZE_MAX);
    uint8_t *bytes = malloc(ILEA_ITEM_SIZE_MAX + 64);
    assert_true(statement != NULL && bytes != NULL);
    for (size_t content = ILEA_ITEM_SIZE_MAX - 9; content < ILEA_ITEM_SIZE_MAX; content++) {
        size_t size = 0; /* 1 array, 1 flags, 5 bin */
        bool fits = content + 7 <= ILEA_ITEM_SIZE_MAX;
        struct ilea_span span = { statement, content };
        assert_int_equal(ilea_item_put_statement(span, bytes, ILEA_ITEM_SIZE_MAX + 64, &size),
                         fits ? ILEA_ERROR_NONE : ILEA_ERROR_LIMIT);
        if (fits) assert_int_equal(decode_copy(decode, bytes, size), ILEA_ERROR_NONE);
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, bytes, ILEA_ITEM_SIZE_MAX + 64);
        ilea_msgpack_put_array(&writer, 2);
        ilea_msgpack_put_uint(&writer, ILEA_ITEM_CONTROL);
        ilea_msgpack_put_bin(&writer, span.data, span.size);
        assert_int_equal(decode_copy(decode, bytes, writer.size),
                         fits ? ILEA_ERROR_NONE : ILEA_ERROR_LIMIT);
    }
    for (size_t content = 0; content < 40; content++) {
        size_t size = 0;
        assert_int_equal(
            ilea_item_put_statement((struct ilea_span){statement, content}, bytes, 64, &size),
            ILEA_ERROR_NONE);
        assert_int_equal(decode_copy(decode, bytes, size),
                         size > ILEA_HASH_SIZE ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED);
    }
    free(bytes);
    free(statement);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_item_vectors),
        cmocka_unit_test(test_item_encrypt),
        cmocka_unit_test(test_item_size_limits),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
