#include "crypto/random.h"
#include "replication/record/statement.h"
#include "tests/support/codec.h"
#include "crypto/secret.h"

static uint8_t again[ILEA_ITEM_SIZE_MAX];

static void
put_opening(struct ilea_msgpack_writer *writer, const struct ilea_opening *opening)
{
    static struct ilea_position positions[ILEA_PREDECESSORS_MAX];
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, opening->predecessors);
    for (uint32_t i = 0; i < opening->predecessor_count; i++) {
        ilea_position_get(&reader, &positions[i]);
    }
    assert_true(ilea_msgpack_reader_done(&reader));
    ilea_opening_put(writer, &opening->origin, positions, opening->predecessor_count);
}

static void
put_epoch(struct ilea_msgpack_writer *writer, const struct ilea_epoch_statement *epoch)
{
    static struct ilea_commit_id heads[ILEA_HEADS_MAX];
    static uint8_t wrapped[ILEA_MEMBERS_MAX * ILEA_WRAPPED_KEY_SIZE];
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, epoch->heads);
    for (uint32_t i = 0; i < epoch->head_count; i++) {
        ilea_msgpack_get_bytes(&reader, heads[i].bytes, sizeof heads[i].bytes);
    }
    assert_true(ilea_msgpack_reader_done(&reader));
    ilea_msgpack_reader_init(&reader, epoch->wrapped);
    for (uint32_t i = 0; i < epoch->wrapped_count; i++) { /* backwards: put sorts them */
        uint32_t at = epoch->wrapped_count - 1 - i;
        ilea_msgpack_get_bytes(&reader, wrapped + (size_t)at * ILEA_WRAPPED_KEY_SIZE,
                               ILEA_WRAPPED_KEY_SIZE);
    }
    assert_true(ilea_msgpack_reader_done(&reader));
    ilea_epoch_put(writer, &epoch->audience, epoch->number, epoch->aek_commit, heads,
                   epoch->head_count, wrapped, epoch->wrapped_count);
}

static void
put_history(struct ilea_msgpack_writer *writer, const struct ilea_history_statement *history)
{
    struct ilea_msgpack_reader reader;
    ilea_history_put_head(writer, &history->audience, history->key_count);
    ilea_msgpack_reader_init(&reader, history->keys);
    for (uint32_t i = 0; i < history->key_count; i++) {
        uint8_t aek_commit[ILEA_HASH_SIZE], wrapped[ILEA_WRAPPED_KEY_SIZE];
        ilea_history_get_key(&reader, aek_commit, wrapped);
        ilea_history_put_key(writer, aek_commit, wrapped);
    }
    assert_true(ilea_msgpack_reader_done(&reader));
}

/* By its kind; what decodes is put again and gives the same bytes. */
static enum ilea_error
decode(struct ilea_span input)
{
    static struct ilea_opening opening;
    static struct ilea_epoch_statement epoch;
    static struct ilea_history_statement history;
    enum ilea_statement_kind kind;
    enum ilea_error error = ilea_statement_kind_of(input, &kind);
    if (error != ILEA_ERROR_NONE) return error;

    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, sizeof again);
    switch (kind) {
    case ILEA_STATEMENT_OPENING:
        assert_int_equal(ilea_epoch_decode(input, &epoch), ILEA_ERROR_MALFORMED);
        error = ilea_opening_decode(input, &opening);
        if (error == ILEA_ERROR_NONE) put_opening(&writer, &opening);
        break;
    case ILEA_STATEMENT_EPOCH:
        assert_int_equal(ilea_opening_decode(input, &opening), ILEA_ERROR_MALFORMED);
        error = ilea_epoch_decode(input, &epoch);
        if (error == ILEA_ERROR_NONE) put_epoch(&writer, &epoch);
        break;
    case ILEA_STATEMENT_HISTORY:
        assert_int_equal(ilea_epoch_decode(input, &epoch), ILEA_ERROR_MALFORMED);
        error = ilea_history_decode(input, &history);
        if (error == ILEA_ERROR_NONE) put_history(&writer, &history);
        break;
    }
    if (error != ILEA_ERROR_NONE) return error;
    assert_false(writer.failed);
    assert_int_equal(writer.size, input.size);
    assert_memory_equal(again, input.data, input.size);
    check_msgpack_c_agrees(input);
    return ILEA_ERROR_NONE;
}

static void
check_opening(const json_t *vector, struct ilea_span input)
{
    struct ilea_opening opening;
    struct ilea_network_id network;
    struct ilea_feed_id feed;
    assert_int_equal(ilea_opening_decode(input, &opening), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "agency", opening.origin.agency.bytes, 32);
    check_vector_bytes(vector, "node", opening.origin.node.bytes, 32);
    check_vector_bytes(vector, "incarnation", opening.origin.incarnation, ILEA_INCARNATION_SIZE);
    assert_int_equal(opening.origin.scope, vector_number(vector, "scope"));
    vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
    ilea_feed_id_of(&network, &opening.origin, &feed);
    check_vector_bytes(vector, "feed", feed.bytes, sizeof feed.bytes);
    uint8_t dot_feed[16];
    ilea_dot_feed_of(&feed, dot_feed);
    assert_memory_equal(dot_feed, feed.bytes, sizeof dot_feed);

    const json_t *expected = json_object_get(vector, "predecessors");
    assert_int_equal(opening.predecessor_count, json_array_size(expected));
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, opening.predecessors);
    for (uint32_t i = 0; i < opening.predecessor_count; i++) {
        const json_t *position = json_array_get(expected, i);
        struct ilea_position found;
        ilea_position_get(&reader, &found);
        check_hex(json_array_get(position, 0), found.feed.bytes, 32);
        assert_true(found.seq == (uint64_t)json_integer_value(json_array_get(position, 1)));
        check_hex(json_array_get(position, 2), found.id.bytes, 32);
    }
}

static void
check_bins(const json_t *expected, struct ilea_span encoded, uint32_t count)
{
    assert_int_equal(count, json_array_size(expected));
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, encoded);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_span bin = ilea_msgpack_get_bin(&reader, 256);
        check_hex(json_array_get(expected, i), bin.data, bin.size);
    }
    assert_true(ilea_msgpack_reader_done(&reader));
}

/* One of the wrapped keys is for the vector's reading key, and opens to the key committed to. */
static void
check_wrapped(const json_t *vector, const struct ilea_epoch_statement *epoch)
{
    struct ilea_keyring *ring = NULL;
    struct ilea_reading_secret *reading = NULL;
    struct ilea_network_id network;
    uint8_t secret[32];
    unsigned opened = 0;
    vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
    vector_fixed(vector, "reading_secret", secret, sizeof secret);
    assert_int_equal(ilea_keyring_new(1, &ring), ILEA_ERROR_NONE);
    assert_int_equal(ilea_reading_secret_new(secret, &reading), ILEA_ERROR_NONE);
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, epoch->wrapped);
    for (uint32_t i = 0; i < epoch->wrapped_count && opened == 0; i++) {
        uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE];
        ilea_msgpack_get_bytes(&reader, wrapped, sizeof wrapped);
        if (ilea_keyring_unwrap(ring, reading, &network, &epoch->audience, epoch->aek_commit,
                                wrapped) == ILEA_ERROR_NONE) {
            opened++;
        }
    }
    assert_int_equal(opened, 1);
    ilea_reading_secret_free(reading);
    ilea_keyring_free(ring);
}

static void
check_epoch(const json_t *vector, struct ilea_span input)
{
    struct ilea_epoch_statement epoch;
    assert_int_equal(ilea_epoch_decode(input, &epoch), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "audience", epoch.audience.bytes, sizeof epoch.audience.bytes);
    check_vector_bytes(vector, "aek_commit", epoch.aek_commit, sizeof epoch.aek_commit);
    assert_true(epoch.number == vector_number(vector, "number"));
    check_bins(json_object_get(vector, "heads"), epoch.heads, epoch.head_count);
    check_bins(json_object_get(vector, "wrapped"), epoch.wrapped, epoch.wrapped_count);
    if (json_object_get(vector, "reading_secret") != NULL) check_wrapped(vector, &epoch);
}

static void
check_history(const json_t *vector, struct ilea_span input)
{
    struct ilea_history_statement history;
    assert_int_equal(ilea_history_decode(input, &history), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "audience", history.audience.bytes, sizeof history.audience.bytes);
    const json_t *expected = json_object_get(vector, "keys");
    assert_int_equal(history.key_count, json_array_size(expected));
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, history.keys);
    for (uint32_t i = 0; i < history.key_count; i++) {
        uint8_t aek_commit[ILEA_HASH_SIZE], wrapped[ILEA_WRAPPED_KEY_SIZE];
        ilea_history_get_key(&reader, aek_commit, wrapped);
        check_hex(json_array_get(json_array_get(expected, i), 0), aek_commit, sizeof aek_commit);
        check_hex(json_array_get(json_array_get(expected, i), 1), wrapped, sizeof wrapped);
    }
}

static void
check_vector(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "bytes", &size);
    struct ilea_span input = { bytes, size };
    enum ilea_error error = decode(input);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        enum ilea_statement_kind kind;
        assert_int_equal(ilea_statement_kind_of(input, &kind), ILEA_ERROR_NONE);
        assert_int_equal(kind, vector_number(vector, "kind"));
        if (kind == ILEA_STATEMENT_OPENING) check_opening(vector, input);
        if (kind == ILEA_STATEMENT_EPOCH) check_epoch(vector, input);
        if (kind == ILEA_STATEMENT_HISTORY) check_history(vector, input);
        check_cuts(decode, bytes, size);
        check_mutations(decode, bytes, size, 1);
    }
    free(bytes);
}

static void
test_statement_vectors(void **state)
{
    (void)state;
    for_each_vector("statement.jsonl", check_vector);
}

/* `number` in the last bytes of an id, so that ids ascend. */
static void
number_id(uint8_t *id, size_t size, uint32_t number)
{
    memset(id, 0, size);
    for (size_t i = 0; i < 4; i++) id[size - 4 + i] = (uint8_t)(number >> (24 - 8 * i));
}

static void
test_statement_limits(void **state)
{
    (void)state;
    enum { COUNT_MAX = 1025 };
    static struct ilea_position positions[COUNT_MAX];
    static struct ilea_commit_id heads[ILEA_HEADS_MAX + 1];
    static uint8_t wrapped[COUNT_MAX][ILEA_WRAPPED_KEY_SIZE];
    static uint8_t bytes[ILEA_ITEM_SIZE_MAX];
    static const struct ilea_feed_origin origin = { .scope = ILEA_SCOPE_PEERS };
    static const struct ilea_audience_id audience = { { 1 } };
    static const uint8_t aek_commit[ILEA_HASH_SIZE] = { 2 };
    for (uint32_t i = 0; i < COUNT_MAX; i++) {
        number_id(positions[i].feed.bytes, 32, i);
        positions[i].seq = i + 1;
        number_id(wrapped[i], sizeof wrapped[i], i);
    }
    for (uint32_t i = 0; i <= ILEA_HEADS_MAX; i++) number_id(heads[i].bytes, 32, i);
    _Static_assert(ILEA_PREDECESSORS_MAX + 1 == COUNT_MAX && ILEA_MEMBERS_MAX + 1 == COUNT_MAX
                   && ILEA_HISTORY_KEYS_MAX + 1 == COUNT_MAX, "one more than any of the limits");

    for (uint32_t less = 0; less < 3; less++) {
        enum ilea_error expected = less > 0 ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_opening_put(&writer, &origin, positions, COUNT_MAX - less);
        assert_false(writer.failed);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_epoch_put(&writer, &audience, 1, aek_commit, heads, ILEA_HEADS_MAX + 1 - less,
                       wrapped[0], 1);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_epoch_put(&writer, &audience, 1, aek_commit, heads, 0, wrapped[0], COUNT_MAX - less);
        assert_false(writer.failed);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_history_put_head(&writer, &audience, COUNT_MAX - less);
        for (uint32_t i = 0; i < COUNT_MAX - less; i++) {
            ilea_history_put_key(&writer, aek_commit, wrapped[i]);
        }
        assert_false(writer.failed);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);
    }
}

/* Goal: every part of an origin counts for the feed's id. */
static void
test_feed_id_parts(void **state)
{
    (void)state;
    struct ilea_network_id network = { { 0 } };
    struct ilea_feed_origin origin = { .scope = ILEA_SCOPE_AGENCY };
    struct ilea_feed_id feeds[6];
    ilea_feed_id_of(&network, &origin, &feeds[0]);
    origin.scope = ILEA_SCOPE_PEERS;
    ilea_feed_id_of(&network, &origin, &feeds[1]);
    origin.incarnation[15] = 1;
    ilea_feed_id_of(&network, &origin, &feeds[2]);
    origin.node.bytes[0] = 1;
    ilea_feed_id_of(&network, &origin, &feeds[3]);
    origin.agency.bytes[0] = 1;
    ilea_feed_id_of(&network, &origin, &feeds[4]);
    network.bytes[0] = 1;
    ilea_feed_id_of(&network, &origin, &feeds[5]);
    for (size_t i = 0; i < 6; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(feeds[i].bytes, feeds[k].bytes, sizeof feeds[i].bytes);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statement_vectors),
        cmocka_unit_test(test_statement_limits),
        cmocka_unit_test(test_feed_id_parts),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
