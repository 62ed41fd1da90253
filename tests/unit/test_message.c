#include "crypto/random.h"
#include "replication/core/message.h"
#include "tests/support/codec.h"
#include "crypto/secret.h"

static uint8_t again[ILEA_MESSAGE_SIZE_MAX];

static void
put_positions(struct ilea_msgpack_writer *writer, struct ilea_msgpack_reader *reader, uint32_t count)
{
    ilea_msgpack_put_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_position position;
        ilea_position_get(reader, &position);
        ilea_message_put_position(writer, &position.feed, position.seq, &position.id);
    }
}

static void
put_list(struct ilea_msgpack_writer *writer, struct ilea_frontier_list *list)
{
    ilea_msgpack_put_uint(writer, list->last ? 1 : 0);
    ilea_msgpack_put_array(writer, list->follow_count);
    for (uint32_t i = 0; i < list->follow_count; i++) {
        uint8_t agency[ILEA_ID_SIZE];
        ilea_msgpack_get_bytes(&list->follows, agency, sizeof agency);
        ilea_msgpack_put_bin(writer, agency, sizeof agency);
    }
    ilea_msgpack_put_array(writer, list->group_count);
    for (uint32_t i = 0; i < list->group_count; i++) {
        struct ilea_frontier_group group;
        ilea_frontier_group_next(&list->groups, &group);
        ilea_message_put_group_head(writer, &group.agency, group.manifest_index, group.manifest_hash,
                                    &group.archive);
        ilea_msgpack_put_array(writer, group.fork_count);
        for (uint32_t k = 0; k < group.fork_count; k++) {
            struct ilea_feed_id feed;
            uint8_t hash[ILEA_HASH_SIZE];
            ilea_frontier_fork_next(&group.forks, &feed, hash);
            ilea_msgpack_put_array(writer, 2);
            ilea_msgpack_put_bin(writer, feed.bytes, sizeof feed.bytes);
            ilea_msgpack_put_bin(writer, hash, sizeof hash);
        }
        put_positions(writer, &group.entries, group.entry_count);
    }
    assert_true(ilea_msgpack_reader_done(&list->groups));
}

static void
put_frontier(struct ilea_msgpack_writer *writer, struct ilea_span body)
{
    struct ilea_frontier frontier;
    assert_int_equal(ilea_frontier_decode(body, &frontier), ILEA_ERROR_NONE);
    if (frontier.form == ILEA_FRONTIER_ASK) {
        ilea_message_put_ask(writer, &frontier.ask);
        return;
    }
    ilea_msgpack_put_array(writer, frontier.form == ILEA_FRONTIER_HASH ? 3 : 4);
    ilea_msgpack_put_uint(writer, frontier.form);
    if (frontier.form == ILEA_FRONTIER_HASH) {
        ilea_msgpack_put_bin(writer, frontier.hash.follows, sizeof frontier.hash.follows);
        ilea_msgpack_put_bin(writer, frontier.hash.entries, sizeof frontier.hash.entries);
    } else if (frontier.form == ILEA_FRONTIER_ARCHIVE) {
        struct ilea_frontier_archive *archive = &frontier.archive;
        ilea_msgpack_put_bin(writer, archive->agency.bytes, sizeof archive->agency.bytes);
        ilea_msgpack_put_uint(writer, archive->last ? 1 : 0);
        put_positions(writer, &archive->entries, archive->entry_count);
        assert_true(ilea_msgpack_reader_done(&archive->entries));
    } else {
        put_list(writer, &frontier.list);
    }
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

static void
put_notes(struct ilea_msgpack_writer *writer, struct ilea_span body)
{
    struct ilea_msgpack_reader reader;
    uint32_t count = 0;
    assert_int_equal(ilea_notes_decode(body, &count, &reader), ILEA_ERROR_NONE);
    ilea_msgpack_put_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_note note;
        ilea_note_next(&reader, &note);
        ilea_message_put_note(writer, &note);
    }
    assert_true(ilea_msgpack_reader_done(&reader));
}

/* COMMITS or MANIFEST: `count` bins. */
static void
put_bins(struct ilea_msgpack_writer *writer, struct ilea_msgpack_reader *reader, uint32_t count,
         struct ilea_span (*next)(struct ilea_msgpack_reader *))
{
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_span bytes = next(reader);
        ilea_msgpack_put_bin(writer, bytes.data, bytes.size);
    }
    assert_true(ilea_msgpack_reader_done(reader));
}

/* What was decoded, put again. FRONTIER, CREDIT and NOTE have no putters of their own for the whole frame. */
static void
put_frame(struct ilea_msgpack_writer *writer, const struct ilea_frame *frame)
{
    struct ilea_hello hello;
    struct ilea_signature signature;
    struct ilea_feed_id feed;
    struct ilea_agency_id agency;
    struct ilea_span proof;
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
        put_bins(writer, &reader, count, ilea_commits_next);
        return;
    case ILEA_MESSAGE_MANIFEST:
        assert_int_equal(ilea_manifests_decode(frame->body, &agency, &count, &reader), ILEA_ERROR_NONE);
        ilea_message_put_manifests_head(writer, frame->session, frame->number, &agency, count);
        put_bins(writer, &reader, count, ilea_manifests_next);
        return;
    case ILEA_MESSAGE_FORK:
        assert_int_equal(ilea_fork_message_decode(frame->body, &proof), ILEA_ERROR_NONE);
        ilea_message_put_fork(writer, frame->session, frame->number, proof);
        return;
    case ILEA_MESSAGE_FRONTIER:
    case ILEA_MESSAGE_CREDIT:
    case ILEA_MESSAGE_NOTE:
    case ILEA_MESSAGE_SIDE:
    case ILEA_MESSAGE_WANT:
        break;
    }
    ilea_message_put_header(writer, frame->session, frame->number, frame->type);
    if (frame->type == ILEA_MESSAGE_SIDE) ilea_msgpack_put_raw(writer, frame->body);
    if (frame->type == ILEA_MESSAGE_FRONTIER) put_frontier(writer, frame->body);
    if (frame->type == ILEA_MESSAGE_CREDIT) put_credit(writer, frame->body);
    if (frame->type == ILEA_MESSAGE_NOTE) put_notes(writer, frame->body);
    if (frame->type == ILEA_MESSAGE_WANT) {
        uint64_t seq;
        assert_int_equal(ilea_want_decode(frame->body, &feed, &seq), ILEA_ERROR_NONE);
        ilea_message_put_want(writer, &feed, seq);
    }
}

static enum ilea_error
decode_body(const struct ilea_frame *frame)
{
    struct ilea_hello hello;
    struct ilea_signature signature;
    struct ilea_frontier frontier;
    struct ilea_agency_id agency;
    struct ilea_span proof;
    struct ilea_feed_id feed;
    struct ilea_credit credit;
    struct ilea_msgpack_reader reader;
    uint32_t count = 0;
    uint64_t seq;
    switch (frame->type) {
    case ILEA_MESSAGE_HELLO: return ilea_hello_decode(frame->body, &hello);
    case ILEA_MESSAGE_BIND: return ilea_bind_decode(frame->body, &signature);
    case ILEA_MESSAGE_FRONTIER: return ilea_frontier_decode(frame->body, &frontier);
    case ILEA_MESSAGE_COMMITS: return ilea_commits_decode(frame->body, &feed, &count, &reader);
    case ILEA_MESSAGE_CREDIT: return ilea_credit_decode(frame->body, &credit);
    case ILEA_MESSAGE_NOTE: return ilea_notes_decode(frame->body, &count, &reader);
    case ILEA_MESSAGE_MANIFEST: return ilea_manifests_decode(frame->body, &agency, &count, &reader);
    case ILEA_MESSAGE_FORK: return ilea_fork_message_decode(frame->body, &proof);
    case ILEA_MESSAGE_WANT: return ilea_want_decode(frame->body, &feed, &seq);
    case ILEA_MESSAGE_SIDE: return ILEA_ERROR_NONE; /* its body means nothing to the replicator */
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
    if (frame.type != ILEA_MESSAGE_SIDE) check_msgpack_c_agrees(frame.body);
    return ILEA_ERROR_NONE;
}

static void
check_position(const json_t *expected, const struct ilea_feed_id *feed, uint64_t seq)
{
    check_hex(json_array_get(expected, 0), feed->bytes, sizeof feed->bytes);
    assert_true(seq == (uint64_t)json_integer_value(json_array_get(expected, 1)));
}

static void
check_entries(const json_t *expected, struct ilea_msgpack_reader *entries, uint32_t count)
{
    assert_int_equal(count, json_array_size(expected));
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_position position;
        ilea_position_get(entries, &position);
        const json_t *entry = json_array_get(expected, i);
        check_position(entry, &position.feed, position.seq);
        check_hex(json_array_get(entry, 2), position.id.bytes, sizeof position.id.bytes);
    }
}

static void
check_group(const json_t *expected, struct ilea_frontier_group *group)
{
    check_vector_bytes(expected, "agency", group->agency.bytes, sizeof group->agency.bytes);
    assert_true(group->manifest_index == vector_number(expected, "manifest_index"));
    check_vector_bytes(expected, "manifest_hash", group->manifest_hash, sizeof group->manifest_hash);
    assert_true(group->archive.count == vector_number(expected, "archived_count"));
    check_vector_bytes(expected, "archived_sum", group->archive.sum, sizeof group->archive.sum);
    const json_t *forks = json_object_get(expected, "forks");
    assert_int_equal(group->fork_count, json_array_size(forks));
    for (uint32_t i = 0; i < group->fork_count; i++) {
        struct ilea_feed_id feed;
        uint8_t hash[ILEA_HASH_SIZE];
        ilea_frontier_fork_next(&group->forks, &feed, hash);
        check_hex(json_array_get(json_array_get(forks, i), 0), feed.bytes, sizeof feed.bytes);
        check_hex(json_array_get(json_array_get(forks, i), 1), hash, sizeof hash);
    }
    check_entries(json_object_get(expected, "entries"), &group->entries, group->entry_count);
}

static void
check_list(const json_t *vector, struct ilea_frontier_list *list)
{
    const json_t *groups = json_object_get(vector, "groups");
    assert_int_equal(list->last, vector_number(vector, "last"));
    assert_int_equal(list->follow_count, json_array_size(json_object_get(vector, "follows")));
    assert_int_equal(list->group_count, json_array_size(groups));
    for (uint32_t i = 0; i < list->group_count; i++) {
        struct ilea_frontier_group group;
        ilea_frontier_group_next(&list->groups, &group);
        check_group(json_array_get(groups, i), &group);
    }
}

static void
check_ask(const json_t *vector, const struct ilea_frontier_ask *ask)
{
    uint8_t sums[ILEA_ARCHIVE_BUCKETS * 8];
    for (size_t i = 0; i < sizeof sums; i++) sums[i] = (uint8_t)(ask->sums[i / 8] >> (56 - 8 * (i % 8)));
    check_vector_bytes(vector, "agency", ask->agency.bytes, sizeof ask->agency.bytes);
    check_vector_bytes(vector, "after", ask->after.bytes, ask->has_after ? sizeof ask->after.bytes : 0);
    check_vector_bytes(vector, "sums", sums, ask->has_sums ? sizeof sums : 0);
}

static void
check_frontier_fields(const json_t *vector, struct ilea_span body)
{
    struct ilea_frontier frontier;
    assert_int_equal(ilea_frontier_decode(body, &frontier), ILEA_ERROR_NONE);
    assert_int_equal(frontier.form, vector_number(vector, "form"));
    struct ilea_frontier_archive *archive = &frontier.archive;
    switch (frontier.form) {
    case ILEA_FRONTIER_HASH:
        check_vector_bytes(vector, "follows_hash", frontier.hash.follows, sizeof frontier.hash.follows);
        check_vector_bytes(vector, "entries_hash", frontier.hash.entries, sizeof frontier.hash.entries);
        break;
    case ILEA_FRONTIER_LIST: check_list(vector, &frontier.list); break;
    case ILEA_FRONTIER_ARCHIVE:
        check_vector_bytes(vector, "agency", archive->agency.bytes, sizeof archive->agency.bytes);
        assert_int_equal(archive->last, vector_number(vector, "last"));
        check_entries(json_object_get(vector, "entries"), &archive->entries, archive->entry_count);
        break;
    case ILEA_FRONTIER_ASK: check_ask(vector, &frontier.ask); break;
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
    assert_true(hello.own_index == vector_number(vector, "own_index"));
    assert_true(hello.known_index == vector_number(vector, "known_index"));
    check_vector_bytes(vector, "known_hash", hello.known_hash, sizeof hello.known_hash);
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
check_bins(const json_t *expected, struct ilea_msgpack_reader *reader, uint32_t count,
           struct ilea_span (*next)(struct ilea_msgpack_reader *))
{
    assert_int_equal(count, json_array_size(expected));
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_span bytes = next(reader);
        check_hex(json_array_get(expected, i), bytes.data, bytes.size);
    }
}

static void
check_credit_fields(const json_t *vector, struct ilea_span body)
{
    struct ilea_credit credit;
    const json_t *positions = json_object_get(vector, "positions");
    assert_int_equal(ilea_credit_decode(body, &credit), ILEA_ERROR_NONE);
    assert_true(credit.limit == vector_number(vector, "limit"));
    assert_int_equal(credit.position_count, json_array_size(positions));
    for (uint32_t i = 0; i < credit.position_count; i++) {
        struct ilea_feed_id feed;
        uint64_t seq = 0;
        ilea_credit_position_next(&credit.positions, &feed, &seq);
        check_position(json_array_get(positions, i), &feed, seq);
    }
}

static void
check_fields(const json_t *vector, const struct ilea_frame *frame)
{
    struct ilea_signature signature;
    struct ilea_feed_id feed;
    struct ilea_agency_id agency;
    struct ilea_span proof;
    struct ilea_msgpack_reader reader;
    uint32_t count = 0;
    check_vector_bytes(vector, "session", frame->session, sizeof frame->session);
    assert_true(frame->number == vector_number(vector, "number"));
    assert_int_equal(frame->type, vector_number(vector, "type"));
    switch (frame->type) {
    case ILEA_MESSAGE_HELLO: check_hello_fields(vector, frame->body); break;
    case ILEA_MESSAGE_FRONTIER: check_frontier_fields(vector, frame->body); break;
    case ILEA_MESSAGE_NOTE: check_note_fields(vector, frame->body); break;
    case ILEA_MESSAGE_CREDIT: check_credit_fields(vector, frame->body); break;
    case ILEA_MESSAGE_BIND:
        assert_int_equal(ilea_bind_decode(frame->body, &signature), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "signature", signature.bytes, sizeof signature.bytes);
        break;
    case ILEA_MESSAGE_COMMITS:
        assert_int_equal(ilea_commits_decode(frame->body, &feed, &count, &reader), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "feed", feed.bytes, sizeof feed.bytes);
        check_bins(json_object_get(vector, "commits"), &reader, count, ilea_commits_next);
        break;
    case ILEA_MESSAGE_MANIFEST:
        assert_int_equal(ilea_manifests_decode(frame->body, &agency, &count, &reader), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "agency", agency.bytes, sizeof agency.bytes);
        check_bins(json_object_get(vector, "manifests"), &reader, count, ilea_manifests_next);
        break;
    case ILEA_MESSAGE_FORK:
        assert_int_equal(ilea_fork_message_decode(frame->body, &proof), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "proof", proof.data, proof.size);
        break;
    case ILEA_MESSAGE_WANT: {
        uint64_t seq;
        assert_int_equal(ilea_want_decode(frame->body, &feed, &seq), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "feed", feed.bytes, sizeof feed.bytes);
        assert_true(seq == vector_number(vector, "seq"));
        break;
    }
    case ILEA_MESSAGE_SIDE: check_vector_bytes(vector, "body", frame->body.data, frame->body.size); break;
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
        if (frame.type == ILEA_MESSAGE_SIDE) { /* whatever stands in it */
            free(bytes);
            return;
        }
        check_cuts(decode, bytes, size);
        check_mutations(decode, bytes, size, size < 700 ? 1 : 7);
    }
    free(bytes);
}

static uint64_t
side_number(const json_t *vector, const char *side, const char *name)
{
    char key[64];
    (void)snprintf(key, sizeof key, "%s_%s", side, name);
    return vector_number(vector, key);
}

static void
side_bytes(const json_t *vector, const char *side, const char *name, uint8_t bytes[32])
{
    char key[64];
    (void)snprintf(key, sizeof key, "%s_%s", side, name);
    vector_fixed(vector, key, bytes, 32);
}

static struct ilea_hello
side_hello(const json_t *vector, const char *side)
{
    struct ilea_hello hello = { .version_min = (uint32_t)side_number(vector, side, "version_min"),
                                .version_max = (uint32_t)side_number(vector, side, "version_max"),
                                .features = side_number(vector, side, "features"),
                                .own_index = side_number(vector, side, "own_index"),
                                .known_index = side_number(vector, side, "known_index") };
    side_bytes(vector, side, "nonce", hello.nonce);
    side_bytes(vector, side, "known_hash", hello.known_hash);
    return hello;
}

/* What BIND signs, and the signature over it. */
static void
check_bind_vector(const json_t *vector)
{
    struct ilea_transport_public sender, receiver;
    struct ilea_hello sender_hello = side_hello(vector, "sender"),
                      receiver_hello = side_hello(vector, "receiver");
    struct ilea_network_id network;
    struct ilea_sign_secret *node = NULL;
    struct ilea_signature signature;
    uint8_t message[ILEA_BIND_MESSAGE_SIZE], seed[ILEA_SEED_SIZE];
    vector_fixed(vector, "sender_transport", sender.bytes, sizeof sender.bytes);
    vector_fixed(vector, "receiver_transport", receiver.bytes, sizeof receiver.bytes);
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

static void
add_number(struct ilea_hasher *hasher, const json_t *group, const char *name)
{
    ilea_hash_add_u64(hasher, (uint64_t)json_integer_value(json_object_get(group, name)));
}

static void
add_group(struct ilea_hasher *hasher, const json_t *group)
{
    size_t index;
    json_t *one, *forks = json_object_get(group, "forks"), *entries = json_object_get(group, "entries");
    add_hex(hasher, json_object_get(group, "agency"));
    add_number(hasher, group, "manifest_index");
    add_hex(hasher, json_object_get(group, "manifest_hash"));
    add_number(hasher, group, "archived_count");
    add_hex(hasher, json_object_get(group, "archived_sum"));
    ilea_hash_add_u64(hasher, json_array_size(forks));
    json_array_foreach(forks, index, one)
    {
        add_hex(hasher, json_array_get(one, 0));
        add_hex(hasher, json_array_get(one, 1));
    }
    ilea_hash_add_u64(hasher, json_array_size(entries));
    json_array_foreach(entries, index, one)
    {
        add_hex(hasher, json_array_get(one, 0));
        ilea_hash_add_u64(hasher, (uint64_t)json_integer_value(json_array_get(one, 1)));
        add_hex(hasher, json_array_get(one, 2));
    }
}

/* What the hash form of FRONTIER carries. */
static void
check_frontier_hash_vector(const json_t *vector)
{
    struct ilea_hasher hasher;
    uint8_t hash[ILEA_HASH_SIZE];
    size_t index;
    json_t *one;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    json_array_foreach(json_object_get(vector, "follows"), index, one) add_hex(&hasher, one);
    ilea_hash_end(&hasher, hash);
    check_vector_bytes(vector, "follows_hash", hash, sizeof hash);
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    json_array_foreach(json_object_get(vector, "groups"), index, one) add_group(&hasher, one);
    ilea_hash_end(&hasher, hash);
    check_vector_bytes(vector, "entries_hash", hash, sizeof hash);
}

/* The sum of archived feeds, and those of the buckets that are asked with. */
static void
check_archive_vector(const json_t *vector)
{
    uint8_t sum[ILEA_HASH_SIZE] = { 0 }, sums[ILEA_ARCHIVE_BUCKETS * 8];
    uint64_t buckets[ILEA_ARCHIVE_BUCKETS] = { 0 };
    size_t index;
    json_t *one;
    json_array_foreach(json_object_get(vector, "positions"), index, one)
    {
        struct ilea_hasher hasher;
        uint8_t hash[ILEA_HASH_SIZE];
        unsigned bucket = 0;
        uint64_t start = 0;
        ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
        add_hex(&hasher, json_array_get(one, 0));
        ilea_hash_add_u64(&hasher, (uint64_t)json_integer_value(json_array_get(one, 1)));
        add_hex(&hasher, json_array_get(one, 2));
        ilea_hash_end(&hasher, hash);
        ilea_hash_sum_add(sum, hash);
        for (int i = 0; i < 8; i++) start = start << 8 | hash[i];
        assert_int_equal(sscanf(json_string_value(json_array_get(one, 0)), "%2x", &bucket), 1);
        buckets[bucket] += start;
    }
    for (size_t i = 0; i < sizeof sums; i++) sums[i] = (uint8_t)(buckets[i / 8] >> (56 - 8 * (i % 8)));
    check_vector_bytes(vector, "sum", sum, sizeof sum);
    check_vector_bytes(vector, "sums", sums, sizeof sums);
}

static void
check_vector(const json_t *vector)
{
    const char *check = vector_text(vector, "check");
    if (strcmp(check, "session") == 0) check_session_vector(vector);
    if (strcmp(check, "frontier_hash") == 0) check_frontier_hash_vector(vector);
    if (strcmp(check, "archive") == 0) check_archive_vector(vector);
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
    static const struct ilea_agency_id agency = { { 4 } };
    static const struct ilea_archive archive = { 5, { 6 } };
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
        ilea_message_put_group_head(&writer, &agency, 1, feed.bytes, &archive);
        ilea_msgpack_put_array(&writer, 0);
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

static void
test_trust_limits(void **state)
{
    (void)state;
    static uint8_t bytes[ILEA_MESSAGE_SIZE_MAX + 64], filler[ILEA_MANIFEST_SIZE_MAX + 1];
    static const struct ilea_agency_id agency = { { 4 } };
    static const struct ilea_commit_id id = { { 3 } };
    for (uint32_t more = 0; more < 3; more++) {
        enum ilea_error expected = more < 2 ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        uint32_t count = ILEA_MANIFESTS_MAX - 1 + more;
        ilea_message_put_manifests_head(&writer, session, 1, &agency, count);
        for (uint32_t i = 0; i < count; i++) ilea_msgpack_put_bin(&writer, filler, 100);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_message_put_manifests_head(&writer, session, 1, &agency, 2);
        for (uint32_t i = 0; i < 2; i++) ilea_msgpack_put_bin(&writer, filler, ILEA_MANIFEST_SIZE_MAX - 1 + more);
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_message_put_fork(&writer, session, 1, (struct ilea_span){ filler, ILEA_FORK_SIZE_MAX - 1 + more });
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);

        writer = start(bytes, sizeof bytes, ILEA_MESSAGE_FRONTIER);
        count = ILEA_ARCHIVE_PART_MAX - 1 + more;
        ilea_msgpack_put_array(&writer, 4);
        ilea_msgpack_put_uint(&writer, ILEA_FRONTIER_ARCHIVE);
        ilea_msgpack_put_bin(&writer, agency.bytes, sizeof agency.bytes);
        ilea_msgpack_put_uint(&writer, 0);
        ilea_msgpack_put_array(&writer, count);
        for (uint8_t i = 0; i < count; i++) {
            struct ilea_feed_id feed = { { i } };
            ilea_message_put_position(&writer, &feed, 1, &id);
        }
        assert_int_equal(decode_copy(decode, bytes, writer.size), expected);
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
                         &all.hellos[1].nonce[31], (uint8_t *)&all.hellos[0].own_index,
                         (uint8_t *)&all.hellos[1].own_index, (uint8_t *)&all.hellos[0].known_index,
                         (uint8_t *)&all.hellos[1].known_index, &all.hellos[0].known_hash[31],
                         &all.hellos[1].known_hash[31], (uint8_t *)&all.hellos[0].features,
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
        cmocka_unit_test(test_trust_limits),
        cmocka_unit_test(test_bind_message_parts),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
