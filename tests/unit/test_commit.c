#include "crypto/random.h"
#include "replication/record/commit.h"
#include "replication/record/statement.h"
#include "tests/support/codec.h"
#include "crypto/secret.h"

/* Form alone; whatever passes, its slots can be walked to the end and hashed. */
static enum ilea_error
decode(struct ilea_span input)
{
    struct ilea_commit commit;
    enum ilea_error error = ilea_commit_decode(input, &commit);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, commit.slots);
    for (uint32_t i = 0; i < commit.header.item_count; i++) {
        assert_true(ilea_slot_next(&reader).size >= ILEA_HASH_SIZE);
    }
    assert_true(ilea_msgpack_reader_done(&reader));
    assert_true(commit.header.item_count >= 1);
    assert_true(commit.header.item_count <= ILEA_COMMIT_ITEMS_MAX);
    error = ilea_commit_check_items(&commit);
    assert_true(error == ILEA_ERROR_NONE || error == ILEA_ERROR_BAD_HASH);
    check_msgpack_c_agrees(input);
    return ILEA_ERROR_NONE;
}

/* Form, hashes and signature: what a receiver asks, in its order. */
static enum ilea_error
check_all(struct ilea_span input, const struct ilea_network_id *network,
          const struct ilea_sign_public *node)
{
    struct ilea_commit commit;
    struct ilea_commit_id id;
    enum ilea_error error = ilea_commit_decode(input, &commit);
    if (error == ILEA_ERROR_NONE) error = ilea_commit_check_items(&commit);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_commit_id_of(commit.header_bytes, &id);
    return ilea_commit_verify(&commit, &id, network, node);
}

static struct ilea_network_id vector_network;
static struct ilea_sign_public vector_node;

static enum ilea_error
decode_and_verify(struct ilea_span input)
{
    return check_all(input, &vector_network, &vector_node);
}

/* The vector's items, put in again one by one, give the same commit. */
static void
check_rebuilt(const json_t *vector, const struct ilea_commit *commit)
{
    struct ilea_commit_builder *builder = NULL;
    struct ilea_sign_secret *node = NULL;
    struct ilea_commit_id id;
    struct ilea_span built;
    uint8_t seed[ILEA_SEED_SIZE];
    struct ilea_msgpack_reader reader;
    vector_fixed(vector, "node_seed", seed, sizeof seed);
    assert_int_equal(ilea_sign_secret_new(seed, &node), ILEA_ERROR_NONE);
    assert_int_equal(ilea_commit_builder_new(&builder), ILEA_ERROR_NONE);
    ilea_commit_begin(builder, &vector_network, &commit->header.feed, commit->header.seq,
                      &commit->header.prev);
    ilea_msgpack_reader_init(&reader, commit->slots);
    bool all_statements = true;
    for (uint32_t i = 0; i < commit->header.item_count; i++) {
        struct ilea_span slot = ilea_slot_next(&reader);
        struct ilea_item item;
        if (slot.size == ILEA_HASH_SIZE || ilea_item_decode(slot, &item) != ILEA_ERROR_NONE
            || item.flags != ILEA_ITEM_CONTROL) {
            all_statements = false; /* an encrypted item is never made a second time */
            break;
        }
        assert_int_equal(ilea_commit_add_statement(builder, item.content), ILEA_ERROR_NONE);
        assert_int_equal(ilea_commit_item_count(builder), i + 1);
    }
    if (all_statements) {
        ilea_commit_end(builder, node, &built, &id);
        check_vector_bytes(vector, "commit", built.data, built.size);
        check_vector_bytes(vector, "commit_id", id.bytes, sizeof id.bytes);
    }
    ilea_commit_builder_free(builder);
    ilea_sign_secret_free(node);
}

static void
check_fields(const json_t *vector, struct ilea_span input)
{
    struct ilea_commit commit;
    struct ilea_commit_id id;
    assert_int_equal(ilea_commit_decode(input, &commit), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "header", commit.header_bytes.data, commit.header_bytes.size);
    check_vector_bytes(vector, "signature", commit.signature.bytes, sizeof commit.signature.bytes);
    check_vector_bytes(vector, "feed", commit.header.feed.bytes, 32);
    check_vector_bytes(vector, "prev", commit.header.prev.bytes, 32);
    check_vector_bytes(vector, "items_root", commit.header.items_root, ILEA_HASH_SIZE);
    assert_true(commit.header.seq == vector_number(vector, "seq"));
    assert_int_equal(commit.header.item_count, vector_number(vector, "item_count"));
    assert_int_equal(commit.header.kind, vector_number(vector, "kind"));
    ilea_commit_id_of(commit.header_bytes, &id);
    check_vector_bytes(vector, "commit_id", id.bytes, sizeof id.bytes);

    struct ilea_feed_origin origin;
    struct ilea_feed_id feed;
    vector_fixed(vector, "agency", origin.agency.bytes, 32);
    vector_fixed(vector, "incarnation", origin.incarnation, ILEA_INCARNATION_SIZE);
    origin.node = vector_node;
    origin.scope = (enum ilea_scope)vector_number(vector, "scope");
    ilea_feed_id_of(&vector_network, &origin, &feed);
    check_vector_bytes(vector, "feed", feed.bytes, sizeof feed.bytes);

    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, commit.slots);
    for (uint32_t i = 0; i < commit.header.item_count; i++) {
        struct ilea_span slot = ilea_slot_next(&reader);
        uint8_t leaf[ILEA_HASH_SIZE];
        if (slot.size == ILEA_HASH_SIZE) memcpy(leaf, slot.data, sizeof leaf);
        if (slot.size != ILEA_HASH_SIZE) ilea_item_leaf(i, slot, leaf);
        check_hex(json_array_get(json_object_get(vector, "leaves"), i), leaf, sizeof leaf);
    }
    check_rebuilt(vector, &commit);
}

static void
check_vector(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "commit", &size);
    struct ilea_span input = { bytes, size };
    vector_fixed(vector, "network", vector_network.bytes, sizeof vector_network.bytes);
    vector_fixed(vector, "node", vector_node.bytes, sizeof vector_node.bytes);
    enum ilea_error error = decode_and_verify(input);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        check_fields(vector, input);
        check_cuts(decode, bytes, size);
        check_mutations(decode, bytes, size, 7);
        /* Goal: not a bit can change unseen: the signature covers all. */
        assert_int_equal(check_mutations(decode_and_verify, bytes, size, 37), 0);
    }
    free(bytes);
}

static void
test_commit_vectors(void **state)
{
    (void)state;
    for_each_vector("commit.jsonl", check_vector);
}

struct setup {
    struct ilea_network_id network;
    struct ilea_feed_id feed;
    struct ilea_commit_id prev;
    struct ilea_audience_id audience;
    struct ilea_epoch_id epoch;
    struct ilea_sign_secret *node;
    struct ilea_sign_public node_public;
    struct ilea_keyring *ring;
    struct ilea_commit_builder *builder;
};

static void
set_up(struct setup *setup)
{
    uint8_t aek_commit[ILEA_HASH_SIZE];
    *setup = (struct setup){ .network = { { 1 } }, .feed = { { 2 } }, .prev = { { 3 } },
                             .audience = { { 4 } } };
    assert_int_equal(ilea_sign_generate(&setup->node, &setup->node_public), ILEA_ERROR_NONE);
    assert_int_equal(ilea_keyring_new(1, &setup->ring), ILEA_ERROR_NONE);
    assert_int_equal(ilea_keyring_generate(setup->ring, &setup->network, &setup->audience,
                                           aek_commit), ILEA_ERROR_NONE);
    memcpy(setup->epoch.bytes, aek_commit, sizeof setup->epoch.bytes);
    assert_int_equal(ilea_commit_builder_new(&setup->builder), ILEA_ERROR_NONE);
}

static void
tear_down(struct setup *setup)
{
    ilea_commit_builder_free(setup->builder);
    ilea_commit_builder_free(NULL);
    ilea_keyring_free(setup->ring);
    ilea_sign_secret_free(setup->node);
}

static enum ilea_error
add(struct setup *setup, const uint8_t *plaintext, size_t size, uint8_t *leaf)
{
    return ilea_commit_add_change(setup->builder, setup->ring, ILEA_ITEM_OPEN, &setup->audience,
                                  &setup->epoch, (struct ilea_span){ plaintext, size }, leaf);
}

/* End, check it wholly, and open each item again; returns the commit's size. */
static size_t
end_and_check(struct setup *setup, uint64_t seq, const uint8_t *plaintext, size_t plaintext_size)
{
    struct ilea_span bytes;
    struct ilea_commit_id id, found;
    struct ilea_commit commit;
    uint32_t count = ilea_commit_item_count(setup->builder);
    ilea_commit_end(setup->builder, setup->node, &bytes, &id);
    assert_true(bytes.size <= ILEA_COMMIT_SIZE_MAX);
    assert_int_equal(decode_copy(decode, bytes.data, bytes.size), ILEA_ERROR_NONE);
    assert_int_equal(check_all(bytes, &setup->network, &setup->node_public), ILEA_ERROR_NONE);
    assert_int_equal(ilea_commit_decode(bytes, &commit), ILEA_ERROR_NONE);
    ilea_commit_id_of(commit.header_bytes, &found);
    assert_memory_equal(found.bytes, id.bytes, sizeof id.bytes);
    assert_int_equal(commit.header.item_count, count);
    assert_true(commit.header.seq == seq);

    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, commit.slots);
    uint8_t *opened = malloc(ILEA_ITEM_SIZE_MAX);
    assert_non_null(opened);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_item item;
        struct ilea_place place = { &setup->network, &setup->feed, seq, i };
        size_t size = 0;
        assert_int_equal(ilea_item_decode(ilea_slot_next(&reader), &item), ILEA_ERROR_NONE);
        assert_int_equal(ilea_item_decrypt(setup->ring, &place, &item, opened, &size),
                         ILEA_ERROR_NONE);
        assert_int_equal(size, plaintext_size);
        assert_memory_equal(opened, plaintext, size);
    }
    free(opened);
    return bytes.size;
}

/* Goal: 1024 items go in, the 1025th is told to wait, and the next commit takes it. */
static void
test_commit_item_count(void **state)
{
    (void)state;
    struct setup setup;
    uint8_t plaintext[20] = { 1, 2, 3 }, leaf[ILEA_HASH_SIZE], before[ILEA_HASH_SIZE] = { 0 };
    set_up(&setup);
    ilea_commit_begin(setup.builder, &setup.network, &setup.feed, 2, &setup.prev);
    for (uint32_t i = 0; i < ILEA_COMMIT_ITEMS_MAX; i++) {
        assert_int_equal(add(&setup, plaintext, sizeof plaintext, i % 2 == 0 ? leaf : NULL),
                         ILEA_ERROR_NONE);
        if (i % 2 != 0) continue;
        assert_memory_not_equal(leaf, before, sizeof leaf);
        memcpy(before, leaf, sizeof leaf);
    }
    assert_int_equal(add(&setup, plaintext, sizeof plaintext, NULL), ILEA_ERROR_FULL);
    uint8_t statement[40] = { 0 };
    assert_int_equal(ilea_commit_add_statement(setup.builder,
                                               (struct ilea_span){ statement, sizeof statement }),
                     ILEA_ERROR_FULL);
    assert_int_equal(ilea_commit_item_count(setup.builder), ILEA_COMMIT_ITEMS_MAX);
    (void)end_and_check(&setup, 2, plaintext, sizeof plaintext);

    ilea_commit_begin(setup.builder, &setup.network, &setup.feed, 3, &setup.prev);
    assert_int_equal(ilea_commit_item_count(setup.builder), 0);
    assert_int_equal(add(&setup, plaintext, sizeof plaintext, NULL), ILEA_ERROR_NONE);
    (void)end_and_check(&setup, 3, plaintext, sizeof plaintext);
    tear_down(&setup);
}

/* Goal: whatever the size of the changes, a full commit fits, wastes little, and loses none. */
static void
test_commit_is_filled(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1000, 3000, 60000, 65536, 120000, ILEA_CHANGE_SIZE_MAX };
    struct setup setup;
    uint8_t *plaintext = calloc(1, ILEA_CHANGE_SIZE_MAX + 1);
    assert_non_null(plaintext);
    set_up(&setup);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        enum ilea_error error = ILEA_ERROR_NONE;
        ilea_commit_begin(setup.builder, &setup.network, &setup.feed, 2, &setup.prev);
        while (error == ILEA_ERROR_NONE) error = add(&setup, plaintext, sizes[i], NULL);
        assert_int_equal(error, ILEA_ERROR_FULL);
        assert_true(ilea_commit_item_count(setup.builder) >= 1);
        size_t size = end_and_check(&setup, 2, plaintext, sizes[i]);
        assert_true(size + sizes[i] + 2048 > ILEA_COMMIT_SIZE_MAX);
    }
    ilea_commit_begin(setup.builder, &setup.network, &setup.feed, 2, &setup.prev);
    assert_int_equal(add(&setup, plaintext, ILEA_CHANGE_SIZE_MAX + 1, NULL), ILEA_ERROR_LIMIT);
    struct ilea_span too_long = { plaintext, ILEA_CHANGE_SIZE_MAX };
    assert_int_equal(ilea_commit_add_statement(setup.builder, too_long), ILEA_ERROR_NONE);
    assert_int_equal(ilea_commit_add_statement(setup.builder, too_long), ILEA_ERROR_FULL);
    struct ilea_epoch_id missing = { { 0xff } };
    assert_int_equal(ilea_commit_add_change(setup.builder, setup.ring, 0, &setup.audience, &missing,
                                            (struct ilea_span){ plaintext, 1 }, NULL),
                     ILEA_ERROR_KEY_MISSING);
    assert_int_equal(ilea_commit_item_count(setup.builder), 1);
    free(plaintext);
    tear_down(&setup);
}

/* A commit of `count` leaves, its last slot made longer to reach `size` bytes in all. */
static size_t
put_commit_of_size(uint8_t *bytes, uint32_t count, size_t size)
{
    static const uint8_t id[32] = { 1 }, signature[64];
    static uint8_t slot[ILEA_ITEM_SIZE_MAX + 1];
    uint8_t header[ILEA_HEADER_SIZE_MAX];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, header, sizeof header);
    ilea_msgpack_put_array(&writer, 9);
    ilea_msgpack_put_uint(&writer, 1);
    ilea_msgpack_put_uint(&writer, 1);
    ilea_msgpack_put_bin(&writer, id, 32);
    ilea_msgpack_put_uint(&writer, 2);
    ilea_msgpack_put_bin(&writer, id, 32);
    ilea_msgpack_put_bin(&writer, id, 32);
    ilea_msgpack_put_uint(&writer, count);
    ilea_msgpack_put_uint(&writer, ILEA_COMMIT_DATA);
    ilea_msgpack_put_array(&writer, 0);
    size_t header_size = writer.size;
    ilea_msgpack_writer_init(&writer, bytes, ILEA_COMMIT_SIZE_MAX + 64);
    ilea_msgpack_put_array(&writer, 3);
    ilea_msgpack_put_bin(&writer, header, header_size);
    ilea_msgpack_put_bin(&writer, signature, sizeof signature);
    ilea_msgpack_put_array(&writer, count);
    for (uint32_t i = 0; i + 1 < count; i++) ilea_msgpack_put_bin(&writer, slot, ILEA_HASH_SIZE);
    size_t last = size > writer.size + 5 + 65536 ? size - writer.size - 5 : ILEA_HASH_SIZE;
    ilea_msgpack_put_bin(&writer, slot, last);
    assert_false(writer.failed);
    return writer.size;
}

static void
test_commit_limits(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(ILEA_COMMIT_SIZE_MAX + 64);
    assert_non_null(bytes);
    for (uint32_t more = 0; more < 3; more++) {
        size_t size = put_commit_of_size(bytes, ILEA_COMMIT_ITEMS_MAX - 1 + more, 0);
        assert_int_equal(decode_copy(decode, bytes, size),
                         more < 2 ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED);
        size = put_commit_of_size(bytes, 400, ILEA_COMMIT_SIZE_MAX - 1 + more);
        assert_int_equal(size, ILEA_COMMIT_SIZE_MAX - 1 + more);
        assert_int_equal(decode_copy(decode, bytes, size),
                         more < 2 ? ILEA_ERROR_NONE : ILEA_ERROR_LIMIT);
        size_t around = put_commit_of_size(bytes, 1, 0) - ILEA_HASH_SIZE - 2 + 5;
        size = put_commit_of_size(bytes, 1, around + ILEA_ITEM_SIZE_MAX - 1 + more);
        assert_int_equal(size, around + ILEA_ITEM_SIZE_MAX - 1 + more);
        assert_int_equal(decode_copy(decode, bytes, size),
                         more < 2 ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED);
    }
    free(bytes);
}

/* Items may go, one by one: id, signature and root stay as they are. Statements stay. */
static void
test_commit_blank(void **state)
{
    (void)state;
    enum { ITEMS = 5 };
    struct setup setup;
    struct ilea_span bytes;
    struct ilea_commit_id id;
    const uint8_t statement[60] = { 0x92, 0xcd, 3, 232, 0xc4, 54 };
    set_up(&setup);
    ilea_commit_begin(setup.builder, &setup.network, &setup.feed, 2, &setup.prev);
    assert_int_equal(ilea_commit_add_statement(setup.builder, (struct ilea_span){ statement, sizeof statement }),
                     ILEA_ERROR_NONE);
    for (uint32_t i = 1; i < ITEMS; i++) {
        const uint8_t plaintext[100] = { (uint8_t)i };
        assert_int_equal(add(&setup, plaintext, sizeof plaintext, NULL), ILEA_ERROR_NONE);
    }
    ilea_commit_end(setup.builder, setup.node, &bytes, &id);
    for (unsigned mask = 0; mask < 1u << ITEMS; mask++) {
        bool which[ITEMS];
        uint8_t left[2048], again[2048];
        size_t size = 0, same = 0;
        uint32_t blanked = 0, wanted = 0;
        for (uint32_t i = 0; i < ITEMS; i++) {
            which[i] = (mask >> i & 1) != 0;
            if (i > 0 && which[i]) wanted++;
        }
        assert_true(bytes.size <= sizeof left);
        assert_int_equal(ilea_commit_blank(bytes, which, left, &size, &blanked), ILEA_ERROR_NONE);
        assert_int_equal(blanked, wanted);
        assert_int_equal(check_all((struct ilea_span){ left, size }, &setup.network, &setup.node_public),
                         ILEA_ERROR_NONE);
        assert_int_equal(ilea_commit_blank((struct ilea_span){ left, size }, which, again, &same, &blanked),
                         ILEA_ERROR_NONE);
        assert_int_equal(blanked, 0);
        assert_int_equal(same, size);
        assert_memory_equal(left, again, size);
        for (size_t cut = 0; cut < size && mask == 5; cut++) {
            assert_int_equal(ilea_commit_blank((struct ilea_span){ left, cut }, which, again, &same, &blanked),
                             ILEA_ERROR_MALFORMED);
        }
    }
    tear_down(&setup);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_vectors),
        cmocka_unit_test(test_commit_item_count),
        cmocka_unit_test(test_commit_is_filled),
        cmocka_unit_test(test_commit_limits),
        cmocka_unit_test(test_commit_blank),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
