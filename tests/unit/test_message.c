#include "crypto/random.h"
#include "replication/core/message.h"
#include "tests/support/codec.h"
#include "crypto/secret.h"

static uint8_t again[ILEA_MESSAGE_SIZE_MAX];

static void
put_frontier(struct ilea_msgpack_writer *writer, struct ilea_span body)
{
    bool is_hash = false;
    struct ilea_frontier_hash hash;
    struct ilea_frontier_list list;
    assert_int_equal(ilea_frontier_decode(body, &is_hash, &hash, &list), ILEA_ERROR_NONE);
    ilea_msgpack_put_array(writer, is_hash ? 3 : 4);
    ilea_msgpack_put_uint(writer, is_hash ? 0 : 1);
    if (is_hash) {
        ilea_msgpack_put_bin(writer, hash.follows, sizeof hash.follows);
        ilea_msgpack_put_bin(writer, hash.entries, sizeof hash.entries);
        return;
    }
    ilea_msgpack_put_uint(writer, list.last ? 1 : 0);
    ilea_msgpack_put_array(writer, list.follow_count);
    for (uint32_t i = 0; i < list.follow_count; i++) {
        uint8_t agency[ILEA_ID_SIZE];
        ilea_msgpack_get_bytes(&list.follows, agency, sizeof agency);
        ilea_msgpack_put_bin(writer, agency, sizeof agency);
    }
    ilea_msgpack_put_array(writer, list.group_count);
    for (uint32_t i = 0; i < list.group_count; i++) {
        struct ilea_agency_id agency;
        uint32_t count = ilea_frontier_group_next(&list.groups, &agency);
        ilea_msgpack_put_array(writer, 2);
        ilea_msgpack_put_bin(writer, agency.bytes, sizeof agency.bytes);
        ilea_msgpack_put_array(writer, count);
        for (uint32_t k = 0; k < count; k++) {
            struct ilea_position position;
            ilea_position_get(&list.groups, &position);
            ilea_message_put_position(writer, &position.feed, position.seq, &position.id);
        }
    }
    assert_true(ilea_msgpack_reader_done(&list.groups));
}

static void
put_credit(struct ilea_msgpack_writer *writer, struct ilea_span body)
{
    struct ilea_credit credit;
    assert_int_equal(ilea_credit_decode(body, &credit), ILEA_ERROR_NONE);
    ilea_msgpack_put_array(writer, 2);
    ilea_msgpack_put_uint(writer, credit.limit);
    ilea_msgpack_put_array(writer, credit.position_count);
    for (uint32_t i = 0; i < credit.position_count; i++) {
        struct ilea_feed_id feed;
        uint64_t seq = 0;
        ilea_credit_position_next(&credit.positions, &feed, &seq);
        ilea_message_put_position(writer, &feed, seq, NULL);
    }
    assert_true(ilea_msgpack_reader_done(&credit.positions));
}

/* The writer holds the frame header; the body follows from what was decoded. HELLO, BIND and
 * COMMITS have putters of their own, which write the header, too. */
static void
put_frame(struct ilea_msgpack_writer *writer, const struct ilea_frame *frame)
{
    struct ilea_hello hello;
    struct ilea_signature signature;
    struct ilea_feed_id feed;
    struct ilea_msgpack_reader reader;
    uint32_t count = 0;
    switch (frame->type) {
    case ILEA_MESSAGE_HELLO:
        assert_int_equal(ilea_hello_decode(frame->body, &hello), ILEA_ERROR_NONE);
        ilea_message_put_hello(writer, &hello);
        return;
    case ILEA_MESSAGE_BIND:
        assert_int_equal(ilea_bind_decode(frame->body, &signature), ILEA_ERROR_NONE);
        ilea_message_put_bind(writer, frame->session, frame->number, &signature);
        return;
    case ILEA_MESSAGE_COMMITS:
        assert_int_equal(ilea_commits_decode(frame->body, &feed, &count, &reader), ILEA_ERROR_NONE);
        ilea_message_put_commits_head(writer, frame->session, frame->number, &feed, count);
        for (uint32_t i = 0; i < count; i++) {
            struct ilea_span commit = ilea_commits_next(&reader);
            ilea_msgpack_put_bin(writer, commit.data, commit.size);
        }
        assert_true(ilea_msgpack_reader_done(&reader));
        return;
    case ILEA_MESSAGE_FRONTIER:
    case ILEA_MESSAGE_CREDIT:
    case ILEA_MESSAGE_NOTE:
        break;
    }
    ilea_message_put_header(writer, frame->session, frame->number, frame->type);
    if (frame->type == ILEA_MESSAGE_FRONTIER) put_frontier(writer, frame->body);
    if (frame->type == ILEA_MESSAGE_CREDIT) put_credit(writer, frame->body);
    if (frame->type == ILEA_MESSAGE_NOTE) {
        assert_int_equal(ilea_notes_decode(frame->body, &count, &reader), ILEA_ERROR_NONE);
        ilea_msgpack_put_array(writer, count);
        for (uint32_t i = 0; i < count; i++) {
            struct ilea_note note;
            ilea_note_next(&reader, &note);
            ilea_message_put_note(writer, &note);
        }
        assert_true(ilea_msgpack_reader_done(&reader));
    }
}

static enum ilea_error
decode_body(const struct ilea_frame *frame)
{
    bool is_hash = false;
    struct ilea_hello hello;
    struct ilea_signature signature;
    struct ilea_frontier_hash hash;
    struct ilea_frontier_list list;
    struct ilea_feed_id feed;
    struct ilea_credit credit;
    struct ilea_msgpack_reader reader;
    uint32_t count = 0;
    switch (frame->type) {
    case ILEA_MESSAGE_HELLO: return ilea_hello_decode(frame->body, &hello);
    case ILEA_MESSAGE_BIND: return ilea_bind_decode(frame->body, &signature);
    case ILEA_MESSAGE_FRONTIER: return ilea_frontier_decode(frame->body, &is_hash, &hash, &list);
    case ILEA_MESSAGE_COMMITS: return ilea_commits_decode(frame->body, &feed, &count, &reader);
    case ILEA_MESSAGE_CREDIT: return ilea_credit_decode(frame->body, &credit);
    case ILEA_MESSAGE_NOTE: return ilea_notes_decode(frame->body, &count, &reader);
    }
    return ILEA_ERROR_INVALID;
}

/* Frame and body; what decodes is put again and gives the same bytes. */
static enum ilea_error
decode(struct ilea_span input)
{
    struct ilea_frame frame;
    enum ilea_error error = ilea_frame_decode(input, &frame);
    if (error == ILEA_ERROR_NONE) error = decode_body(&frame);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, sizeof again);
    put_frame(&writer, &frame);
    assert_false(writer.failed);
    assert_int_equal(writer.size, input.size);
    assert_memory_equal(again, input.data, input.size);
    check_msgpack_c_agrees(frame.body);
    return ILEA_ERROR_NONE;
}

static void
check_position(const json_t *expected, const struct ilea_feed_id *feed, uint64_t seq)
{
    check_hex(json_array_get(expected, 0), feed->bytes, sizeof feed->bytes);
    assert_true(seq == (uint64_t)json_integer_value(json_array_get(expected, 1)));
}

static void
check_frontier_fields(const json_t *vector, struct ilea_span body)
{
    bool is_hash = false;
    struct ilea_frontier_hash hash;
    struct ilea_frontier_list list;
    assert_int_equal(ilea_frontier_decode(body, &is_hash, &hash, &list), ILEA_ERROR_NONE);
    assert_int_equal(is_hash, json_object_get(vector, "follows_hash") != NULL);
    if (is_hash) {
        check_vector_bytes(vector, "follows_hash", hash.follows, sizeof hash.follows);
        check_vector_bytes(vector, "entries_hash", hash.entries, sizeof hash.entries);
        return;
    }
    assert_int_equal(list.last, vector_number(vector, "last"));
    assert_int_equal(list.follow_count, json_array_size(json_object_get(vector, "follows")));
    const json_t *groups = json_object_get(vector, "groups");
    assert_int_equal(list.group_count, json_array_size(groups));
    for (uint32_t i = 0; i < list.group_count; i++) {
        struct ilea_agency_id agency;
        uint32_t count = ilea_frontier_group_next(&list.groups, &agency);
        const json_t *group = json_array_get(groups, i);
        check_hex(json_array_get(group, 0), agency.bytes, sizeof agency.bytes);
        assert_int_equal(count, json_array_size(json_array_get(group, 1)));
        for (uint32_t k = 0; k < count; k++) {
            struct ilea_position position;
            ilea_position_get(&list.groups, &position);
            const json_t *expected = json_array_get(json_array_get(group, 1), k);
            check_position(expected, &position.feed, position.seq);
            check_hex(json_array_get(expected, 2), position.id.bytes, sizeof position.id.bytes);
        }
    }
}

static void
check_hello_fields(const json_t *vector, struct ilea_span body)
{
    struct ilea_hello hello;
    assert_int_equal(ilea_hello_decode(body, &hello), ILEA_ERROR_NONE);
    assert_true(hello.version_min == vector_number(vector, "version_min"));
    assert_true(hello.version_max == vector_number(vector, "version_max"));
    assert_true(hello.features == vector_number(vector, "features"));
    check_vector_bytes(vector, "agency", hello.agency.bytes, sizeof hello.agency.bytes);
    check_vector_bytes(vector, "nonce", hello.nonce, sizeof hello.nonce);
}

static void
check_note_fields(const json_t *vector, struct ilea_span body)
{
    struct ilea_msgpack_reader reader;
    const json_t *notes = json_object_get(vector, "notes");
    uint32_t count = 0;
    assert_int_equal(ilea_notes_decode(body, &count, &reader), ILEA_ERROR_NONE);
    assert_int_equal(count, json_array_size(notes));
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_note note;
        const json_t *expected = json_array_get(notes, i);
        ilea_note_next(&reader, &note);
        check_position(expected, &note.feed, note.seq);
        assert_int_equal(note.mode, json_integer_value(json_array_get(expected, 2)));
        assert_int_equal(note.has_agency, json_array_size(expected) == 4);
        if (note.has_agency) check_hex(json_array_get(expected, 3), note.agency.bytes, 32);
    }
}

static void
check_fields(const json_t *vector, const struct ilea_frame *frame)
{
    check_vector_bytes(vector, "session", frame->session, sizeof frame->session);
    assert_true(frame->number == vector_number(vector, "number"));
    assert_int_equal(frame->type, vector_number(vector, "type"));
    if (frame->type == ILEA_MESSAGE_HELLO) check_hello_fields(vector, frame->body);
    if (frame->type == ILEA_MESSAGE_FRONTIER) check_frontier_fields(vector, frame->body);
    if (frame->type == ILEA_MESSAGE_NOTE) check_note_fields(vector, frame->body);
    if (frame->type == ILEA_MESSAGE_BIND) {
        struct ilea_signature signature;
        assert_int_equal(ilea_bind_decode(frame->body, &signature), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "signature", signature.bytes, sizeof signature.bytes);
    }
    if (frame->type == ILEA_MESSAGE_COMMITS) {
        struct ilea_feed_id feed;
        struct ilea_msgpack_reader reader;
        const json_t *commits = json_object_get(vector, "commits");
        uint32_t count = 0;
        assert_int_equal(ilea_commits_decode(frame->body, &feed, &count, &reader), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "feed", feed.bytes, sizeof feed.bytes);
        assert_int_equal(count, json_array_size(commits));
        for (uint32_t i = 0; i < count; i++) {
            struct ilea_span commit = ilea_commits_next(&reader);
            check_hex(json_array_get(commits, i), commit.data, commit.size);
        }
    }
    if (frame->type == ILEA_MESSAGE_CREDIT) {
        struct ilea_credit credit;
        const json_t *positions = json_object_get(vector, "positions");
        assert_int_equal(ilea_credit_decode(frame->body, &credit), ILEA_ERROR_NONE);
        assert_true(credit.limit == vector_number(vector, "limit"));
        assert_int_equal(credit.position_count, json_array_size(positions));
        for (uint32_t i = 0; i < credit.position_count; i++) {
            struct ilea_feed_id feed;
            uint64_t seq = 0;
            ilea_credit_position_next(&credit.positions, &feed, &seq);
            check_position(json_array_get(positions, i), &feed, seq);
        }
    }
}

static void
check_frame_vector(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "frame", &size);
    enum ilea_error error = decode((struct ilea_span){ bytes, size });
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_frame frame;
        assert_int_equal(ilea_frame_decode((struct ilea_span){ bytes, size }, &frame),
                         ILEA_ERROR_NONE);
        check_fields(vector, &frame);
        check_cuts(decode, bytes, size);
        check_mutations(decode, bytes, size, 1);
    }
    free(bytes);
}

/* What BIND signs, and the signature over it. */
static void
check_bind_vector(const json_t *vector)
{
    struct ilea_transport_public sender, receiver;
    struct ilea_hello sender_hello = {
        .version_min = (uint32_t)vector_number(vector, "sender_version_min"),
        .version_max = (uint32_t)vector_number(vector, "sender_version_max"),
        .features = vector_number(vector, "sender_features") };
    struct ilea_hello receiver_hello = {
        .version_min = (uint32_t)vector_number(vector, "receiver_version_min"),
        .version_max = (uint32_t)vector_number(vector, "receiver_version_max"),
        .features = vector_number(vector, "receiver_features") };
    struct ilea_network_id network;
    struct ilea_sign_secret *node = NULL;
    struct ilea_signature signature;
    uint8_t message[ILEA_BIND_MESSAGE_SIZE], seed[ILEA_SEED_SIZE];
    vector_fixed(vector, "sender_transport", sender.bytes, sizeof sender.bytes);
    vector_fixed(vector, "receiver_transport", receiver.bytes, sizeof receiver.bytes);
    vector_fixed(vector, "sender_nonce", sender_hello.nonce, sizeof sender_hello.nonce);
    vector_fixed(vector, "receiver_nonce", receiver_hello.nonce, sizeof receiver_hello.nonce);
    vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
    vector_fixed(vector, "node_seed", seed, sizeof seed);
    ilea_bind_message(&sender, &receiver, &sender_hello, &receiver_hello, message);
    check_vector_bytes(vector, "message", message, sizeof message);
    assert_int_equal(ilea_sign_secret_new(seed, &node), ILEA_ERROR_NONE);
    ilea_sign(node, ILEA_DOMAIN_BIND_SIG, &network, (struct ilea_span){ message, sizeof message },
              &signature);
    check_vector_bytes(vector, "signature", signature.bytes, sizeof signature.bytes);
    ilea_sign_secret_free(node);
}

/* The two nonces in order, hashed; the first bit set, so that no session is all zeros. */
static void
check_session_vector(const json_t *vector)
{
    uint8_t nonces[2][ILEA_NONCE_HELLO_SIZE], hash[ILEA_HASH_SIZE];
    vector_fixed(vector, "nonce_a", nonces[0], sizeof nonces[0]);
    vector_fixed(vector, "nonce_b", nonces[1], sizeof nonces[1]);
    int low = 0;
    for (size_t i = 0; i < sizeof nonces[0]; i++) {
        if (nonces[0][i] == nonces[1][i]) continue;
        low = nonces[0][i] < nonces[1][i] ? 0 : 1;
        break;
    }
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_SESSION);
    ilea_hash_add(&hasher, nonces[low], sizeof nonces[low]);
    ilea_hash_add(&hasher, nonces[1 - low], sizeof nonces[1 - low]);
    ilea_hash_end(&hasher, hash);
    hash[0] |= 1;
    check_vector_bytes(vector, "session", hash, ILEA_SESSION_ID_SIZE);
}

static void
add_hex(struct ilea_hasher *hasher, const json_t *text)
{
    size_t size;
    json_t *vector = json_object();
    json_object_set_new(vector, "hex", json_string(json_string_value(text)));
    uint8_t *bytes = ilea_vector_bytes(vector, "hex", &size);
    ilea_hash_add(hasher, bytes, size);
    free(bytes);
    json_decref(vector);
}

/* What the hash form of FRONTIER carries. */
static void
check_frontier_hash_vector(const json_t *vector)
{
    struct ilea_hasher hasher;
    uint8_t hash[ILEA_HASH_SIZE];
    size_t index;
    const json_t *agency, *entry;
    json_t *follows = json_object_get(vector, "follows"),
           *entries = json_object_get(vector, "entries");
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    json_array_foreach(follows, index, agency) add_hex(&hasher, agency);
    ilea_hash_end(&hasher, hash);
    check_vector_bytes(vector, "follows_hash", hash, sizeof hash);
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    json_array_foreach(entries, index, entry)
    {
        add_hex(&hasher, json_array_get(entry, 0));
        ilea_hash_add_u64(&hasher, (uint64_t)json_integer_value(json_array_get(entry, 1)));
        add_hex(&hasher, json_array_get(entry, 2));
    }
    ilea_hash_end(&hasher, hash);
    check_vector_bytes(vector, "entries_hash", hash, sizeof hash);
}

static void
check_vector(const json_t *vector)
{
    const char *check = vector_text(vector, "check");
    if (strcmp(check, "session") == 0) check_session_vector(vector);
    if (strcmp(check, "frontier_hash") == 0) check_frontier_hash_vector(vector);
    if (strcmp(check, "frame") == 0) check_frame_vector(vector);
    if (strcmp(check, "bind") == 0) check_bind_vector(vector);
}

static void
test_message_vectors(void **state)
{
    (void)state;
    for_each_vector("message.jsonl", check_vector);
}

static const uint8_t session[ILEA_SESSION_ID_SIZE] = { 1 };

/* Start a frame of `type` in `bytes`. */
static struct ilea_msgpack_writer
start(uint8_t *bytes, size_t capacity, enum ilea_message_type type)
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    ilea_message_put_header(&writer, session, 1, type);
    return writer;
}

static void
test_message_limits(void **state)
{
    (void)state;
    static uint8_t bytes[ILEA_MESSAGE_SIZE_MAX + 64], filler[ILEA_COMMIT_SIZE_MAX + 1];
    static const struct ilea_feed_id feed = { { 2 } };
    static const struct ilea_commit_id id = { { 3 } };
    for (uint32_t more = 0; more < 3; more++) {
        enum ilea_error expected = more < 2 ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
        struct ilea_msgpack_writer writer = start(bytes, sizeof bytes, ILEA_MESSAGE_NOTE);
        uint32_t count = ILEA_NOTES_MAX - 1 + more;
        ilea_msgpack_put_array(&writer, count);
        for (uint32_t i = 0; i < count; i++) {
            struct ilea_note note = { .feed = feed, .seq = i, .mode = ILEA_NOTE_EAGER };
            ilea_message_put_note(&writer, &note);
        }
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        writer = start(bytes, sizeof bytes, ILEA_MESSAGE_CREDIT);
        ilea_msgpack_put_array(&writer, 2);
        ilea_msgpack_put_uint(&writer, UINT64_MAX);
        ilea_msgpack_put_array(&writer, count);
        for (uint32_t i = 0; i < count; i++) ilea_message_put_position(&writer, &feed, i, NULL);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        writer = start(bytes, sizeof bytes, ILEA_MESSAGE_FRONTIER);
        count = ILEA_AGENCIES_MAX - 1 + more;
        ilea_msgpack_put_array(&writer, 4);
        ilea_msgpack_put_uint(&writer, 1);
        ilea_msgpack_put_uint(&writer, 1);
        ilea_msgpack_put_array(&writer, count);
        for (uint32_t i = 0; i < count; i++) ilea_msgpack_put_bin(&writer, feed.bytes, 32);
        ilea_msgpack_put_array(&writer, 0);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        writer = start(bytes, sizeof bytes, ILEA_MESSAGE_FRONTIER);
        count = ILEA_FRONTIER_ENTRIES_MAX - 1 + more;
        ilea_msgpack_put_array(&writer, 4);
        ilea_msgpack_put_uint(&writer, 1);
        ilea_msgpack_put_uint(&writer, 0);
        ilea_msgpack_put_array(&writer, 0);
        ilea_msgpack_put_array(&writer, 1);
        ilea_msgpack_put_array(&writer, 2);
        ilea_msgpack_put_bin(&writer, feed.bytes, 32);
        ilea_msgpack_put_array(&writer, count);
        for (uint32_t i = 0; i < count; i++) ilea_message_put_position(&writer, &feed, i + 1, &id);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        count = ILEA_EFFECTS_MAX / 2 - 1 + more;
        ilea_message_put_commits_head(&writer, session, 1, &feed, count);
        for (uint32_t i = 0; i < count; i++) ilea_msgpack_put_bin(&writer, filler, 100);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_message_put_commits_head(&writer, session, 1, &feed, 1);
        ilea_msgpack_put_bin(&writer, filler, ILEA_COMMIT_SIZE_MAX - 1 + more);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes); /* the whole frame */
        ilea_message_put_commits_head(&writer, session, 1, &feed, 2);
        ilea_msgpack_put_bin(&writer, filler, 100000);
        ilea_msgpack_put_bin(&writer, filler, ILEA_MESSAGE_SIZE_MAX - 1 + more - writer.size - 5);
        assert_int_equal(writer.size, ILEA_MESSAGE_SIZE_MAX - 1 + more);
        if (more == 2) {
            struct ilea_frame frame;
            assert_int_equal(ilea_frame_decode(ilea_msgpack_written(&writer), &frame),
                             ILEA_ERROR_MALFORMED);
        } else {
            assert_int_equal(decode_copy(decode, bytes, writer.size), ILEA_ERROR_NONE);
        }
    }
}

/* Goal: each side's message differs from the other's, and every part of it counts. */
static void
test_bind_message_parts(void **state)
{
    (void)state;
    struct { struct ilea_transport_public keys[2]; struct ilea_hello hellos[2]; } all;
    uint8_t first[ILEA_BIND_MESSAGE_SIZE], other[ILEA_BIND_MESSAGE_SIZE];
    memset(&all, 0, sizeof all);
    all.keys[0].bytes[0] = 1;
    ilea_bind_message(&all.keys[0], &all.keys[1], &all.hellos[0], &all.hellos[1], first);
    ilea_bind_message(&all.keys[1], &all.keys[0], &all.hellos[1], &all.hellos[0], other);
    assert_memory_not_equal(first, other, sizeof first);
    uint8_t *parts[] = { &all.keys[0].bytes[31], &all.keys[1].bytes[31], &all.hellos[0].nonce[31],
                         &all.hellos[1].nonce[31], (uint8_t *)&all.hellos[0].features,
                         (uint8_t *)&all.hellos[1].features, (uint8_t *)&all.hellos[0].version_min,
                         (uint8_t *)&all.hellos[1].version_min, (uint8_t *)&all.hellos[0].version_max,
                         (uint8_t *)&all.hellos[1].version_max };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i] ^= 0x80;
        ilea_bind_message(&all.keys[0], &all.keys[1], &all.hellos[0], &all.hellos[1], other);
        assert_memory_not_equal(first, other, sizeof first);
        *parts[i] ^= 0x80;
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_vectors),
        cmocka_unit_test(test_message_limits),
        cmocka_unit_test(test_bind_message_parts),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
