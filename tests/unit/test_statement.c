#include "crypto/random.h"
#include "tests/support/codec.h"
#include "tests/support/statement.h"
#include "crypto/secret.h"

static uint8_t again[ILEA_ITEM_SIZE_MAX];

/* What decodes is put again and gives the same bytes. */
static enum ilea_error
decode(struct ilea_span input)
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, sizeof again);
    enum ilea_error error = ilea_test_statement_again(input, &writer);
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
    vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
    assert_int_equal(ilea_opening_decode(input, &network, &opening), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "agency", opening.origin.agency.bytes, 32);
    check_vector_bytes(vector, "node", opening.origin.node.bytes, 32);
    check_vector_bytes(vector, "incarnation", opening.origin.incarnation, ILEA_INCARNATION_SIZE);
    assert_int_equal(opening.origin.scope, vector_number(vector, "scope"));
    if (opening.origin.scope == ILEA_SCOPE_AUDIENCE) {
        check_vector_bytes(vector, "owner", opening.owner.bytes, 32);
        check_vector_bytes(vector, "salt", opening.salt, sizeof opening.salt);
        check_vector_bytes(vector, "audience", opening.origin.audience.bytes, ILEA_AUDIENCE_ID_SIZE);
    }
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

/* [id, agency] each. */
static void
check_heads(const json_t *vector, struct ilea_span encoded, uint32_t count)
{
    const json_t *expected = json_object_get(vector, "heads");
    assert_int_equal(count, json_array_size(expected));
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, encoded);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_head head;
        ilea_head_get(&reader, &head);
        check_hex(json_array_get(json_array_get(expected, i), 0), head.id.bytes, 32);
        check_hex(json_array_get(json_array_get(expected, i), 1), head.agency.bytes, 32);
    }
}

static void
check_audience(const json_t *vector, struct ilea_span input)
{
    struct ilea_audience_statement found;
    assert_int_equal(ilea_audience_statement_decode(input, &found), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "audience", found.audience.bytes, sizeof found.audience.bytes);
    assert_true(found.number == vector_number(vector, "number"));
    check_vector_bytes(vector, "aek_commit", found.aek_commit, sizeof found.aek_commit);
    check_heads(vector, found.heads, found.head_count);
    check_bins(json_object_get(vector, "wrapped"), found.wrapped, found.wrapped_count);
    assert_true(found.time_ms == vector_number(vector, "time_ms"));
    const json_t *acts = json_object_get(vector, "acts"), *info = json_object_get(vector, "info");
    assert_int_equal(found.act_count, json_array_size(acts));
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, found.acts);
    for (uint32_t i = 0; i < found.act_count; i++) {
        const json_t *expected = json_array_get(acts, i);
        struct ilea_member_act act;
        ilea_member_act_get(&reader, &act);
        assert_int_equal(act.kind, json_integer_value(json_array_get(expected, 0)));
        check_hex(json_array_get(expected, 1), act.agency.bytes, 32);
        assert_int_equal(act.level, json_integer_value(json_array_get(expected, 2)));
        if (act.kind == ILEA_MEMBER_ADD) check_hex(json_array_get(expected, 3), act.reading.bytes, 32);
        check_hex(json_array_get(expected, 4), act.code.data, act.code.size);
    }
    assert_int_equal(found.has_info, json_array_size(info) != 0);
    if (!found.has_info) return;
    check_hex(json_array_get(info, 0), found.name.data, found.name.size);
    assert_int_equal(found.tlp, json_integer_value(json_array_get(info, 1)));
    assert_true(found.history_ms == (uint64_t)json_integer_value(json_array_get(info, 2)));
    assert_int_equal(found.list, json_integer_value(json_array_get(info, 3)));
}

static void
check_member_statement(const json_t *vector, struct ilea_span input, enum ilea_statement_kind kind)
{
    struct ilea_suspend_statement suspend;
    struct ilea_use_statement use;
    struct ilea_writer_epoch writer;
    if (kind == ILEA_STATEMENT_SUSPEND) {
        assert_int_equal(ilea_suspend_decode(input, &suspend), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "audience", suspend.audience.bytes, sizeof suspend.audience.bytes);
        check_heads(vector, suspend.heads, suspend.head_count);
        check_vector_bytes(vector, "subject", suspend.subject.bytes, 32);
        check_hex(json_object_get(vector, "reason"), suspend.reason.data, suspend.reason.size);
    } else if (kind == ILEA_STATEMENT_USE) {
        assert_int_equal(ilea_use_decode(input, &use), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "audience", use.audience.bytes, sizeof use.audience.bytes);
        check_heads(vector, use.heads, use.head_count);
    } else {
        assert_int_equal(ilea_writer_epoch_decode(input, &writer), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "audience", writer.audience.bytes, sizeof writer.audience.bytes);
        assert_int_equal(writer.restricted, vector_number(vector, "restricted"));
        check_vector_bytes(vector, "aek_commit", writer.aek_commit, sizeof writer.aek_commit);
        check_heads(vector, writer.heads, writer.head_count);
        check_bins(json_object_get(vector, "wrapped"), writer.wrapped, writer.wrapped_count);
    }
}

static void
check_erase(const json_t *vector, struct ilea_span input)
{
    static struct ilea_erase_statement found;
    assert_int_equal(ilea_erase_decode(input, &found), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "hash", found.hash, sizeof found.hash);
    check_hex(json_object_get(vector, "act"), found.act.data, found.act.size);
    const json_t *dots = json_object_get(vector, "dots"), *sigs = json_object_get(vector, "sigs");
    assert_int_equal(found.dot_count, json_array_size(dots));
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, found.dots);
    for (uint32_t i = 0; i < found.dot_count; i++) {
        const json_t *expected = json_array_get(dots, i);
        struct ilea_erased_dot dot;
        ilea_erased_dot_get(&reader, &dot);
        check_hex(json_array_get(expected, 0), dot.feed, sizeof dot.feed);
        assert_true(dot.seq == (uint64_t)json_integer_value(json_array_get(expected, 1)));
        assert_int_equal(dot.index, json_integer_value(json_array_get(expected, 2)));
        check_hex(json_array_get(expected, 3), dot.leaf, sizeof dot.leaf);
    }
    assert_int_equal(found.sig_count, json_array_size(sigs));
    for (uint32_t i = 0; i < found.sig_count; i++) {
        check_hex(json_array_get(json_array_get(sigs, i), 0), found.sigs[i].admin.bytes, 32);
        check_hex(json_array_get(json_array_get(sigs, i), 1), found.sigs[i].sig.bytes, 64);
    }
}

static void
check_kind(const json_t *vector, struct ilea_span input, enum ilea_statement_kind kind)
{
    switch (kind) {
    case ILEA_STATEMENT_OPENING: check_opening(vector, input); break;
    case ILEA_STATEMENT_EPOCH: check_epoch(vector, input); break;
    case ILEA_STATEMENT_HISTORY: check_history(vector, input); break;
    case ILEA_STATEMENT_AUDIENCE: check_audience(vector, input); break;
    case ILEA_STATEMENT_ERASE: check_erase(vector, input); break;
    case ILEA_STATEMENT_SUSPEND:
    case ILEA_STATEMENT_USE:
    case ILEA_STATEMENT_WRITER: check_member_statement(vector, input, kind); break;
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
        check_kind(vector, input, kind);
        check_cuts(decode, bytes, size);
        check_mutations(decode, bytes, size, size < 700 ? 1 : 7);
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
    static const struct ilea_opening opening = { .origin = { .scope = ILEA_SCOPE_PEERS } };
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
        ilea_opening_put(&writer, &opening, positions, COUNT_MAX - less);
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

/* One less than fits, as many, one more: of the lists of audiences and erasure. */
static void
test_statement_list_limits(void **state)
{
    (void)state;
    static struct ilea_head heads[ILEA_HEADS_MAX + 1];
    static struct ilea_member_act acts[ILEA_MEMBER_ACTS_MAX + 1];
    static struct ilea_erased_dot dots[ILEA_ERASE_DOTS_MAX + 1];
    static uint8_t wrapped[ILEA_MEMBERS_MAX + 1][ILEA_WRAPPED_KEY_SIZE];
    static uint8_t bytes[ILEA_ITEM_SIZE_MAX];
    for (uint32_t i = 0; i <= ILEA_HEADS_MAX; i++) number_id(heads[i].id.bytes, 32, i);
    for (uint32_t i = 0; i <= ILEA_MEMBERS_MAX; i++) number_id(wrapped[i], sizeof wrapped[i], i);
    for (uint32_t i = 0; i <= ILEA_MEMBER_ACTS_MAX; i++) {
        acts[i] = (struct ilea_member_act){ .kind = ILEA_MEMBER_ADD, .level = ILEA_ACCESS_READ,
                                            .code = { (const uint8_t *)"LONG-CODE-OF-16B", 16 } };
        number_id(acts[i].agency.bytes, 32, i);
    }
    for (uint32_t i = 0; i <= ILEA_ERASE_DOTS_MAX; i++) dots[i] = (struct ilea_erased_dot){ .seq = 1 + i };

    for (uint32_t less = 0; less < 3; less++) {
        enum ilea_error expected = less > 0 ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
        struct ilea_audience_statement audience = { .number = 1, .head_count = ILEA_HEADS_MAX, .wrapped_count = 1 };
        struct ilea_msgpack_writer writer;
        audience.wrapped_count = ILEA_MEMBERS_MAX + 1 - less; /* with everything else at its largest */
        audience.act_count = ILEA_MEMBER_ACTS_MAX;
        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_audience_statement_put(&writer, &audience, heads, wrapped[0], acts);
        assert_false(writer.failed);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        audience.wrapped_count = 1;
        audience.act_count = ILEA_MEMBER_ACTS_MAX + 1 - less;
        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_audience_statement_put(&writer, &audience, heads, wrapped[0], acts);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        struct ilea_use_statement use = { .head_count = ILEA_HEADS_MAX + 1 - less };
        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_use_put(&writer, &use, heads);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_erase_put(&writer, dots, ILEA_ERASE_DOTS_MAX + 1 - less, (struct ilea_span){ NULL, 0 }, NULL, 0);
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
    struct ilea_feed_id feeds[8];
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
    origin.scope = ILEA_SCOPE_AUDIENCE;
    ilea_feed_id_of(&network, &origin, &feeds[6]);
    origin.audience.bytes[15] = 1;
    ilea_feed_id_of(&network, &origin, &feeds[7]);
    for (size_t i = 0; i < 8; i++) {
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
        cmocka_unit_test(test_statement_list_limits),
        cmocka_unit_test(test_feed_id_parts),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
