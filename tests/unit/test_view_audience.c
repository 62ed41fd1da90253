/* test_view_audience.c - which items of closed audiences are shown: feeds written by hand, in the order in which they
 * come, for a member that reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "node/audience_log.h"
#include "node/home.h"
#include "replication/record/commit.h"
#include "replication/record/label.h"
#include "replication/record/receipt.h"
#include "replication/record/schema.h"
#include "replication/reader/snapshot.h"
#include "tests/support/home.h"

enum { TYPE = 77, FIELD = 40, HEADS = 4, RING = 64 };

/* One feed of another agency. */
struct line {
    const struct ilea_test_agency *agency;
    struct ilea_feed_row feed;
    struct ilea_commit_builder *builder;
};

static struct ilea_test_home reader;       /* NL-PO */
static struct ilea_test_agency owner, third; /* FR-PN, BE-FP */
static struct line owners, thirds, open;   /* feeds of the audience; the owner's for all peers */
static struct ilea_keyring *ring;
static struct ilea_audience_id audience, peers;
static uint8_t salt[16];
static const struct ilea_network_id *network;

static void
make_line(struct line *line, const struct ilea_test_agency *agency, enum ilea_scope scope)
{
    *line = (struct line){ .agency = agency };
    line->feed.origin = (struct ilea_feed_origin){ .agency = agency->card.agency, .node = agency->manifest.node,
                                                   .incarnation = "abc", .scope = scope };
    if (scope == ILEA_SCOPE_AUDIENCE) line->feed.origin.audience = audience;
    ilea_feed_id_of(network, &line->feed.origin, &line->feed.id);
    ILEA_TEST_OK(ilea_commit_builder_new(&line->builder));
}

static int
begin_world(void **state)
{
    (void)state;
    ilea_test_home_make(&reader, "NL-PO");
    ilea_test_agency_make(&owner, "FR-PN");
    ilea_test_agency_make(&third, "BE-FP");
    ilea_test_home_meet(&reader, &owner, true);
    ilea_test_home_meet(&reader, &third, true);
    network = &reader.own.manifest.network;
    memset(salt, 7, sizeof salt);
    ilea_audience_of_salt(network, &owner.card.agency, salt, &audience);
    ilea_audience_of_peers(network, &owner.card.agency, &peers);
    make_line(&owners, &owner, ILEA_SCOPE_AUDIENCE);
    make_line(&thirds, &third, ILEA_SCOPE_AUDIENCE);
    make_line(&open, &owner, ILEA_SCOPE_PEERS);
    ILEA_TEST_OK(ilea_keyring_new(RING, &ring));
    return 0;
}

static int
end_world(void **state)
{
    (void)state;
    struct line *const lines[] = { &owners, &thirds, &open };
    for (unsigned i = 0; i < 3; i++) ilea_commit_builder_free(lines[i]->builder);
    ilea_keyring_free(ring);
    ilea_test_agency_free(&owner);
    ilea_test_agency_free(&third);
    ilea_test_home_remove(&reader);
    return 0;
}

/* Until the next one. */
static struct ilea_msgpack_writer
new_writer(void)
{
    static uint8_t bytes[32 * 1024];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    return writer;
}

static void
add_statement(struct line *line, const struct ilea_msgpack_writer *writer)
{
    assert_false(writer->failed);
    ILEA_TEST_OK(ilea_commit_add_statement(line->builder, ilea_msgpack_written(writer)));
}

/* A commit, with the opening if it is the first. */
static void
begin(struct line *line)
{
    ilea_commit_begin(line->builder, network, &line->feed.id, line->feed.seq + 1, &line->feed.head);
    if (line->feed.seq > 0) return;
    struct ilea_msgpack_writer writer = new_writer();
    struct ilea_opening opening = { .origin = line->feed.origin, .owner = owner.card.agency };
    memcpy(opening.salt, salt, sizeof salt);
    ilea_opening_put(&writer, &opening, NULL, 0);
    add_statement(line, &writer);
}

/* It comes. */
static struct ilea_commit_id
end(struct line *line)
{
    struct ilea_transaction *txn;
    struct ilea_span bytes;
    struct ilea_commit_id id;
    uint64_t position;
    bool changed;
    ilea_commit_end(line->builder, line->agency->keys.node, &bytes, &id);
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(reader.log), true, &txn));
    if (line->feed.number == 0) ILEA_TEST_OK(ilea_log_add_feed(txn, &line->feed));
    ILEA_TEST_OK(ilea_log_append(txn, &line->feed, line->feed.seq + 1, &id, bytes, &position));
    ILEA_TEST_OK(ilea_audience_index(txn, &line->feed, &id, bytes, &changed));
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    return id;
}

/* A key for an audience; which name it goes by. */
struct key {
    uint8_t aek_commit[ILEA_HASH_SIZE];
    struct ilea_epoch_id epoch;
};

static struct key
make_key(const struct ilea_audience_id *of)
{
    struct key key;
    ILEA_TEST_OK(ilea_keyring_generate(ring, network, of, key.aek_commit));
    memcpy(key.epoch.bytes, key.aek_commit, sizeof key.epoch.bytes);
    return key;
}

/* Sealed to the owner, and to the reader if it is to read. */
static uint32_t
seal(const struct key *key, const struct ilea_audience_id *of, bool is_for_reader,
     uint8_t wrapped[2 * ILEA_WRAPPED_KEY_SIZE])
{
    ILEA_TEST_OK(ilea_keyring_wrap(ring, &key->epoch, network, of, &owner.manifest.reading, wrapped));
    if (!is_for_reader) return 1;
    ILEA_TEST_OK(ilea_keyring_wrap(ring, &key->epoch, network, of, &reader.own.manifest.reading,
                                   wrapped + ILEA_WRAPPED_KEY_SIZE));
    return 2;
}

static void
set_heads(const struct ilea_commit_id *names, uint32_t count, struct ilea_head *heads)
{
    for (uint32_t i = 0; i < count; i++) heads[i] = (struct ilea_head){ names[i], owner.card.agency };
}

static struct ilea_member_act
act_of(enum ilea_member_act_kind kind, const struct ilea_test_agency *agency, enum ilea_access level)
{
    struct ilea_member_act act = { .kind = kind, .agency = agency->card.agency, .level = level };
    if (kind != ILEA_MEMBER_ADD) return act;
    act.reading = agency->manifest.reading;
    act.code = agency->manifest.code;
    return act;
}

/* An AUDIENCE in a line, with room behind it in its commit. */
static struct key
put_audience(struct line *line, uint64_t number, const struct ilea_commit_id *before, struct ilea_member_act *acts,
             uint32_t act_count, bool is_for_reader)
{
    begin(line);
    struct key key = make_key(&audience);
    struct ilea_head heads[HEADS];
    uint8_t wrapped[2 * ILEA_WRAPPED_KEY_SIZE];
    struct ilea_msgpack_writer writer = new_writer();
    struct ilea_audience_statement statement = { .audience = audience, .number = number, .time_ms = number * 1000,
                                                 .act_count = act_count, .head_count = before != NULL ? 1 : 0 };
    memcpy(statement.aek_commit, key.aek_commit, sizeof key.aek_commit);
    if (before == NULL) {
        statement.has_info = true;
        statement.name = (struct ilea_span){ (const uint8_t *)"GANGS", 5 };
        statement.tlp = ILEA_LABEL_AMBER;
        statement.history_ms = ILEA_HISTORY_ALL;
    } else {
        set_heads(before, 1, heads);
    }
    statement.wrapped_count = seal(&key, &audience, is_for_reader, wrapped);
    ilea_audience_statement_put(&writer, &statement, heads, wrapped, acts);
    add_statement(line, &writer);
    return key;
}

/* The audience begins with the third to write, and the reader to read. */
static struct key
put_first(struct ilea_commit_id *id)
{
    struct ilea_member_act acts[] = { act_of(ILEA_MEMBER_ADD, &third, ILEA_ACCESS_WRITE),
                                      act_of(ILEA_MEMBER_ADD, &reader.own, ILEA_ACCESS_READ) };
    struct key key = put_audience(&owners, 1, NULL, acts, 2, true);
    *id = end(&owners);
    return key;
}

static void
put_use(struct line *line, const struct ilea_commit_id *names, uint32_t count)
{
    begin(line);
    struct ilea_head heads[HEADS];
    struct ilea_msgpack_writer writer = new_writer();
    const struct ilea_use_statement statement = { .audience = audience, .head_count = count };
    set_heads(names, count, heads);
    ilea_use_put(&writer, &statement, heads);
    add_statement(line, &writer);
}

static struct key
put_writer(struct line *line, const struct ilea_commit_id *names, uint32_t count, bool is_for_reader)
{
    begin(line);
    struct key key = make_key(&audience);
    struct ilea_head heads[HEADS];
    uint8_t wrapped[2 * ILEA_WRAPPED_KEY_SIZE];
    struct ilea_msgpack_writer writer = new_writer();
    struct ilea_writer_epoch statement = { .audience = audience, .head_count = count, .restricted = !is_for_reader };
    memcpy(statement.aek_commit, key.aek_commit, sizeof key.aek_commit);
    set_heads(names, count, heads);
    statement.wrapped_count = seal(&key, &audience, is_for_reader, wrapped);
    ilea_writer_epoch_put(&writer, &statement, heads, wrapped);
    add_statement(line, &writer);
    return key;
}

static void
put_history(struct line *line, const struct key *key)
{
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE];
    struct ilea_msgpack_writer writer = new_writer();
    ILEA_TEST_OK(ilea_keyring_wrap(ring, &key->epoch, network, &audience, &reader.own.manifest.reading, wrapped));
    ilea_history_put_head(&writer, &audience, 1);
    ilea_history_put_key(&writer, key->aek_commit, wrapped);
    add_statement(line, &writer);
}

/* A change of a record: its registers, each with what it replaces (dot and depth), and field 24 if it is closed. */
struct written {
    uint8_t record, value;
    const struct ilea_dot *over;    /* NULL: the first */
    uint32_t depth;
    bool closes, opens;             /* sets, takes off which audience it is for */
};

static struct ilea_erased_dot
put_change(struct line *line, const struct key *key, const struct written *written)
{
    uint8_t bytes[512], ops[256], dots[64], id[20];
    struct ilea_erased_dot dot = { .seq = line->feed.seq + 1, .index = ilea_commit_item_count(line->builder) };
    struct ilea_msgpack_writer writer, value;
    const bool is_open = line->feed.origin.scope == ILEA_SCOPE_PEERS;
    ilea_msgpack_writer_init(&writer, dots, sizeof dots);
    ilea_msgpack_put_array(&writer, written->over != NULL ? 1 : 0);
    if (written->over != NULL) ilea_dot_put(&writer, written->over);
    struct ilea_op op = { .field = ILEA_FIELD_AUDIENCE, .depth = written->depth + 1,
                          .replaces = ilea_msgpack_written(&writer) };
    ilea_msgpack_writer_init(&value, id, sizeof id);
    if (written->closes) ilea_msgpack_put_bin(&value, audience.bytes, sizeof audience.bytes);
    op.value = ilea_msgpack_written(&value);
    ilea_msgpack_writer_init(&writer, ops, sizeof ops);
    struct ilea_op first = op;
    if (!written->opens) first.replaces = (struct ilea_span){ (const uint8_t *)"\x90", 1 };
    if (!written->opens) first.depth = 1;
    if (written->closes || written->opens) ilea_op_put(&writer, &first);
    op.field = FIELD;
    op.value = (struct ilea_span){ &written->value, 1 };
    ilea_op_put(&writer, &op);
    struct ilea_change change = { .record = { { written->record, 1, 2 } }, .type = TYPE, .label = ILEA_LABEL_GREEN,
                                  .run = 1, .op_count = written->closes || written->opens ? 2 : 1,
                                  .ops = ilea_msgpack_written(&writer) };
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_change_put_head(&writer, &change);
    ilea_msgpack_put_raw(&writer, change.ops);
    assert_false(writer.failed);
    ILEA_TEST_OK(ilea_commit_add_change(line->builder, ring, is_open ? ILEA_ITEM_OPEN : 0, is_open ? &peers : &audience,
                                        &key->epoch, ilea_msgpack_written(&writer), dot.leaf));
    ilea_dot_feed_of(&line->feed.id, dot.feed);
    return dot;
}

/* A new record in the audience. */
static struct ilea_erased_dot
put_record(struct line *line, const struct key *key, uint8_t record)
{
    const struct written written = { .record = record, .value = 1, .closes = true };
    return put_change(line, key, &written);
}

static struct ilea_dot
dot_of(const struct ilea_erased_dot *erased)
{
    struct ilea_dot dot = { .seq = erased->seq, .index = erased->index };
    memcpy(dot.feed, erased->feed, sizeof dot.feed);
    return dot;
}

/* The owner erases one change, as its statement would. */
static void
erase(const struct ilea_erased_dot *erased)
{
    struct ilea_transaction *txn;
    struct ilea_erased_dot dot = *erased;
    uint32_t changed;
    const struct ilea_erasing erasing = { .agency = owner.card.agency };
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(reader.log), true, &txn));
    ILEA_TEST_OK(ilea_log_erase(txn, &erasing, &dot, 1, &changed));
    assert_int_equal(changed, 1);
    ILEA_TEST_OK(ilea_transaction_commit(txn));
}

static bool
next_row(struct ilea_transaction *txn, struct ilea_view_row *row)
{
    return ilea_view_next(txn, TYPE, 0, row) == ILEA_ERROR_NONE;
}

/* Both views show the same records, for the same readers. */
static void
check_same_rows(struct ilea_environment *one, struct ilea_environment *other)
{
    struct ilea_transaction *txn, *other_txn;
    struct ilea_view_row row = { .number = 0 }, twin;
    ILEA_TEST_OK(ilea_transaction_begin(one, false, &txn));
    ILEA_TEST_OK(ilea_transaction_begin(other, false, &other_txn));
    while (next_row(txn, &row)) {
        ILEA_TEST_OK(ilea_view_find(other_txn, row.agency, row.type, &row.id, &twin));
        assert_int_equal(row.scope, twin.scope);
        assert_int_equal(row.closed, twin.closed);
        assert_memory_equal(row.hash, twin.hash, sizeof row.hash);
        assert_int_equal(row.state.size, twin.state.size);
        assert_memory_equal(row.state.data, twin.state.data, row.state.size);
    }
    ilea_transaction_abort(txn);
    ilea_transaction_abort(other_txn);
}

/* The view as it has become, and one built anew in small steps. `exactly`: nothing was erased, so that they agree in
 * their numbers too. */
static void
check_view(uint64_t records, uint64_t parked, uint64_t hidden, uint64_t stale, bool exactly)
{
    static unsigned serial;
    char name[32], path[ILEA_PATH_SIZE];
    struct ilea_environment *view;
    struct ilea_view_builder *builder;
    struct ilea_view_meta meta = { .lsn = 0 };
    ilea_test_home_build(&reader);
    assert_int_equal(reader.meta.records, records);
    assert_int_equal(reader.meta.parked, parked);
    assert_int_equal(reader.meta.hidden, hidden);
    assert_int_equal(reader.meta.stale, stale);
    (void)snprintf(name, sizeof name, "beside-%u", serial++);
    ilea_home_path(reader.path, name, path);
    ILEA_TEST_OK(ilea_view_open(path, false, true, &view));
    ILEA_TEST_OK(ilea_view_builder_new(reader.log, view, &reader.own.keys, &builder));
    for (bool caught_up = false; !caught_up;) {
        ILEA_TEST_OK(ilea_view_builder_run(builder, 1, UINT64_MAX, &caught_up, &meta));
    }
    ilea_view_builder_free(builder);
    if (exactly) {
        assert_memory_equal(&meta, &reader.meta, sizeof meta);
    } else {
        assert_int_equal(meta.records, records);
        assert_int_equal(meta.parked, parked);
        assert_int_equal(meta.hidden, hidden);
        assert_int_equal(meta.stale, stale);
        assert_memory_equal(meta.digest, reader.meta.digest, sizeof meta.digest);
    }
    check_same_rows(view, reader.view);
    ilea_environment_close(view);
}

static void
check_record(uint8_t record, enum ilea_scope scope, bool closed, uint32_t values)
{
    const struct ilea_record_id id = { { record, 1, 2 } };
    const struct ilea_span none = { NULL, 0 };
    struct ilea_record shown;
    struct ilea_transaction *txn;
    uint32_t first;
    struct ilea_view_row row;
    ILEA_TEST_OK(ilea_transaction_begin(reader.view, false, &txn));
    ILEA_TEST_OK(ilea_view_find_id(txn, &id, 0, &row));
    assert_int_equal(row.scope, scope);
    assert_int_equal(row.closed, closed);
    ilea_record_init(&shown);
    ILEA_TEST_OK(ilea_record_decode(row.state, &shown));
    assert_int_equal(ilea_record_find(&shown, FIELD, none, &first), values);
    ilea_record_deinit(&shown);
    ilea_transaction_abort(txn);
}

/* A member reads what the owner and other writers write, under the owner's epochs and their own. */
static void
test_member_reads(void **state)
{
    (void)state;
    struct ilea_commit_id id;
    const struct key key = put_first(&id);
    check_view(0, 0, 0, 0, true);
    begin(&owners);
    put_record(&owners, &key, 1);
    (void)end(&owners);
    check_view(1, 0, 0, 0, true);
    check_record(1, ILEA_SCOPE_AUDIENCE, true, 1);
    assert_int_equal(reader.meta.shared, 0); /* no part of what all peers have */
    put_use(&thirds, &id, 1);
    put_record(&thirds, &key, 2);
    (void)end(&thirds);
    const struct key own = put_writer(&thirds, &id, 1, true);
    put_record(&thirds, &own, 3);
    (void)end(&thirds);
    const struct key restricted = put_writer(&thirds, &id, 1, false);
    put_record(&thirds, &restricted, 4);
    (void)end(&thirds);
    check_view(3, 1, 0, 0, true);
}

/* Who joins reads what came before only if the owner hands the keys over. */
static void
test_late_joiner(void **state)
{
    (void)state;
    struct ilea_member_act writer = act_of(ILEA_MEMBER_ADD, &third, ILEA_ACCESS_WRITE);
    const struct key first = put_audience(&owners, 1, NULL, &writer, 1, false);
    put_record(&owners, &first, 1);
    const struct ilea_commit_id id = end(&owners);
    put_use(&thirds, &id, 1);
    put_record(&thirds, &first, 2);
    (void)end(&thirds);
    check_view(0, 2, 0, 0, true);
    struct ilea_member_act joiner = act_of(ILEA_MEMBER_ADD, &reader.own, ILEA_ACCESS_READ);
    const struct key second = put_audience(&owners, 2, &id, &joiner, 1, true);
    put_record(&owners, &second, 3);
    const struct ilea_commit_id joined = end(&owners);
    check_view(1, 2, 0, 0, true); /* without history it stays so */
    put_use(&thirds, &joined, 1);
    put_history(&thirds, &first); /* not its to hand out */
    (void)end(&thirds);
    check_view(1, 2, 1, 0, true);
    begin(&owners);
    put_history(&owners, &first);
    (void)end(&owners);
    check_view(3, 0, 1, 0, true);
}

/* The last commit's item: why it cannot be read, as its author is told. */
static void
expect_refused(const struct line *line, uint32_t index)
{
    struct ilea_transaction *txn;
    struct ilea_view_unread item = { .feed = line->feed.number, .seq = line->feed.seq, .index = index };
    ILEA_TEST_OK(ilea_transaction_begin(reader.view, false, &txn));
    ILEA_TEST_OK(ilea_view_get_unread(txn, &item));
    assert_int_equal(item.why, ILEA_UNREAD_REFUSED);
    ilea_transaction_abort(txn);
}

/* Items of those who might not write them, under what is no epoch of theirs, or before they named what they knew. */
static void
test_hidden(void **state)
{
    (void)state;
    struct ilea_commit_id id;
    const struct key key = put_first(&id);
    begin(&thirds);
    put_record(&thirds, &key, 1); /* before the first naming statement */
    (void)end(&thirds);
    check_view(0, 0, 1, 0, true);
    const struct key own = put_writer(&thirds, &id, 1, true);
    put_record(&thirds, &own, 2);
    const struct ilea_commit_id writer_id = end(&thirds);
    begin(&owners);
    put_record(&owners, &own, 3); /* another feed's epoch */
    (void)end(&owners);
    check_view(1, 0, 2, 0, true);
    expect_refused(&owners, 0);
    const struct key none = make_key(&audience);
    begin(&owners);
    put_history(&owners, &none);
    put_record(&owners, &none, 4); /* a key that no statement gives a place */
    (void)end(&owners);
    check_view(1, 0, 3, 0, true);
    struct ilea_member_act self = act_of(ILEA_MEMBER_ADD, &third, ILEA_ACCESS_ADMIN);
    const struct key stolen = put_audience(&thirds, 2, &id, &self, 1, true); /* not the owner */
    put_record(&thirds, &stolen, 5); /* whose key nobody takes */
    (void)end(&thirds);
    check_view(1, 1, 4, 0, true);
    const struct key lost = put_writer(&thirds, &writer_id, 1, true); /* knows no statement of the owner */
    put_record(&thirds, &lost, 6);
    (void)end(&thirds);
    check_view(1, 1, 5, 0, true);
    begin(&owners); /* a statement that is not the first */
    put_record(&owners, &key, 7);
    struct ilea_head head = { id, owner.card.agency };
    struct ilea_msgpack_writer writer = new_writer();
    const struct ilea_use_statement use = { .audience = audience, .head_count = 1 };
    ilea_use_put(&writer, &use, &head);
    add_statement(&owners, &writer);
    (void)end(&owners);
    check_view(2, 1, 6, 0, true);
}

/* By position: who may only read, and who was removed, writes nothing; who did not know it yet counts, and is
 * counted. */
static void
test_removed_and_stale(void **state)
{
    (void)state;
    struct ilea_commit_id id;
    const struct key key = put_first(&id);
    put_use(&thirds, &id, 1);
    put_record(&thirds, &key, 1);
    (void)end(&thirds);
    struct ilea_member_act remove = act_of(ILEA_MEMBER_REMOVE, &third, ILEA_ACCESS_NONE);
    const struct key second = put_audience(&owners, 2, &id, &remove, 1, true);
    put_record(&owners, &second, 2);
    const struct ilea_commit_id removed = end(&owners);
    check_view(2, 0, 0, 0, true);
    begin(&thirds);
    put_record(&thirds, &key, 3); /* it has not heard of it */
    (void)end(&thirds);
    check_view(3, 0, 0, 1, true);
    const struct key own = put_writer(&thirds, &removed, 1, true); /* it has */
    put_record(&thirds, &own, 4);
    (void)end(&thirds);
    check_view(3, 0, 1, 1, true);
    begin(&owners);
    const struct ilea_erased_dot stale = put_record(&owners, &key, 5); /* the owner is never out, but knew better */
    (void)end(&owners);
    check_view(4, 0, 1, 2, true);
    struct ilea_member_act back = act_of(ILEA_MEMBER_ADD, &third, ILEA_ACCESS_READ);
    const struct key last = put_audience(&owners, 3, &removed, &back, 1, true);
    const struct ilea_commit_id back_id = end(&owners);
    put_use(&thirds, &back_id, 1);
    put_record(&thirds, &last, 6); /* back, to read */
    (void)end(&thirds);
    check_view(4, 0, 2, 2, true);
    erase(&stale);
    check_view(3, 0, 2, 1, false);
}

/* From all peers into an audience and back: one record, of which all shared changes count. */
static void
test_moves_are_one_record(void **state)
{
    (void)state;
    struct ilea_commit_id id;
    uint8_t wrapped[2 * ILEA_WRAPPED_KEY_SIZE];
    const struct key key = put_first(&id), all = make_key(&peers);
    begin(&open);
    struct ilea_msgpack_writer writer = new_writer();
    ilea_epoch_put(&writer, &peers, 1, all.aek_commit, NULL, 0, wrapped, seal(&all, &peers, true, wrapped));
    add_statement(&open, &writer);
    const struct written first = { .record = 1, .value = 1 };
    const struct ilea_erased_dot published = put_change(&open, &all, &first);
    (void)end(&open);
    check_view(1, 0, 0, 0, true);
    check_record(1, ILEA_SCOPE_PEERS, false, 1);
    assert_int_equal(reader.meta.shared, 1);
    const struct ilea_dot one = dot_of(&published);
    const struct written narrowing = { .record = 1, .value = 2, .over = &one, .depth = 1, .closes = true };
    begin(&owners);
    const struct ilea_erased_dot narrowed = put_change(&owners, &key, &narrowing);
    (void)end(&owners);
    check_view(1, 0, 0, 0, true);
    check_record(1, ILEA_SCOPE_AUDIENCE, true, 1);
    assert_int_equal(reader.meta.shared, 0);
    erase(&narrowed); /* what it replaced counts again */
    check_view(1, 0, 0, 0, false);
    check_record(1, ILEA_SCOPE_PEERS, false, 1);
    assert_int_equal(reader.meta.shared, 1);
    begin(&owners);
    const struct ilea_erased_dot again = put_change(&owners, &key, &narrowing);
    (void)end(&owners);
    check_record(1, ILEA_SCOPE_PEERS, false, 1);
    check_view(1, 0, 0, 0, false);
    check_record(1, ILEA_SCOPE_AUDIENCE, true, 1);
    const struct ilea_dot two = dot_of(&again);
    const struct written widening = { .record = 1, .value = 3, .over = &two, .depth = 2, .opens = true };
    begin(&open);
    (void)put_change(&open, &all, &widening);
    (void)end(&open);
    check_view(1, 0, 0, 0, false);
    check_record(1, ILEA_SCOPE_PEERS, true, 1);
    assert_int_equal(reader.meta.shared, 0); /* others see it another way: it stays out of the digest */
    erase(&again); /* what it alone replaced counts again, beside what replaces it */
    check_view(1, 0, 0, 0, false);
    check_record(1, ILEA_SCOPE_PEERS, true, 2);
    erase(&published);
    check_view(1, 0, 0, 0, false);
    check_record(1, ILEA_SCOPE_PEERS, true, 1);
}

/* Whoever is no member has the open half of it alone, and agrees with members on what is in the digest. */
static void
test_widened_elsewhere(void **state)
{
    (void)state;
    uint8_t wrapped[2 * ILEA_WRAPPED_KEY_SIZE];
    const struct key all = make_key(&peers);
    begin(&open);
    struct ilea_msgpack_writer writer = new_writer();
    ilea_epoch_put(&writer, &peers, 1, all.aek_commit, NULL, 0, wrapped, seal(&all, &peers, true, wrapped));
    add_statement(&open, &writer);
    struct ilea_dot unknown = { .seq = 2, .index = 0 };
    ilea_dot_feed_of(&owners.feed.id, unknown.feed);
    const struct written widening = { .record = 1, .value = 3, .over = &unknown, .depth = 2, .opens = true };
    (void)put_change(&open, &all, &widening);
    (void)end(&open);
    check_view(1, 0, 0, 0, true);
    check_record(1, ILEA_SCOPE_PEERS, true, 1);
    assert_int_equal(reader.meta.shared, 0);
}

/* What tools are told. */
static void
test_readers_are_told(void **state)
{
    (void)state;
    struct ilea_commit_id id;
    struct ilea_transaction *txn;
    struct ilea_view_audience told;
    struct ilea_view_agency agency;
    const struct key key = put_first(&id);
    begin(&owners);
    put_record(&owners, &key, 1);
    (void)end(&owners);
    check_view(1, 0, 0, 0, true);
    ILEA_TEST_OK(ilea_transaction_begin(reader.view, false, &txn));
    ILEA_TEST_OK(ilea_view_audience(txn, &audience, &told));
    assert_int_equal(told.name.size, 5);
    assert_memory_equal(told.name.data, "GANGS", 5);
    assert_int_equal(told.tlp, ILEA_LABEL_AMBER);
    assert_int_equal(told.level, ILEA_ACCESS_READ);
    ILEA_TEST_OK(ilea_view_agency(txn, told.owner, &agency));
    assert_memory_equal(agency.id.bytes, owner.card.agency.bytes, ILEA_ID_SIZE);
    ilea_transaction_abort(txn);

    struct ilea_replica *replica;
    struct ilea_snapshot *snapshot;
    struct ilea_record_info info;
    struct ilea_audience_name name;
    char text[64];
    ILEA_TEST_OK(ilea_replica_open(reader.path, &replica));
    ILEA_TEST_OK(ilea_snapshot_begin(replica, &snapshot));
    info.number = 0;
    ILEA_TEST_OK(ilea_snapshot_next(snapshot, NULL, NULL, &info));
    assert_true(info.shared);
    ILEA_TEST_OK(ilea_record_audience(snapshot, &name));
    assert_memory_equal(name.id, audience.bytes, sizeof name.id);
    (void)snprintf(text, sizeof text, "%s/%.*s", name.owner_code, (int)name.name.size, (const char *)name.name.data);
    assert_string_equal(text, "FR-PN/GANGS");
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin_world, end_world)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_member_reads),     TEST(test_late_joiner),          TEST(test_hidden),
        TEST(test_removed_and_stale), TEST(test_moves_are_one_record), TEST(test_widened_elsewhere),
        TEST(test_readers_are_told),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
