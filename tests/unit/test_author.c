#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/author_state.h"
#include "node/home.h"
#include "replication/record/uuid.h"
#include "tests/support/home.h"

static struct ilea_test_put put;
static struct ilea_put_result result;

static int
make_home(void **state)
{
    struct ilea_test_home *home = malloc(sizeof *home);
    if (home == NULL) return -1;
    ilea_test_home_make(home, "FR-PN");
    ilea_test_home_build(home);
    *state = home;
    return 0;
}

static int
remove_home(void **state)
{
    ilea_test_home_remove(*state);
    free(*state);
    return 0;
}

static void
random_id(struct ilea_record_id *id)
{
    ilea_uuid_make(1700000000000, id);
}

/* One slot of one of our commits, copied, with a ring that opens our own epochs. */
struct slot {
    uint8_t commit[ILEA_COMMIT_SIZE_MAX], plaintext[ILEA_CHANGE_SIZE_MAX];
    uint32_t slot_count;
    struct ilea_item item;
    bool is_statement;
    struct ilea_change change;
};

static void
read_slot(struct ilea_test_home *home, const struct ilea_feed_id *id, uint64_t seq, uint32_t index,
          struct slot *slot)
{
    struct ilea_transaction *txn;
    struct ilea_feed_row feed;
    struct ilea_chain_row chain;
    struct ilea_log_commit row;
    struct ilea_commit commit;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_log_feed_by_id(txn, id, &feed));
    ILEA_TEST_OK(ilea_log_chain(txn, feed.number, seq, &chain));
    ILEA_TEST_OK(ilea_log_commit_at(txn, chain.position, &row));
    memcpy(slot->commit, row.bytes.data, row.bytes.size);
    ILEA_TEST_OK(ilea_commit_decode((struct ilea_span){ slot->commit, row.bytes.size }, &commit));
    ILEA_TEST_OK(ilea_commit_verify(&commit, &chain.id, &home->own.manifest.network,
                                    &home->own.manifest.node));
    ILEA_TEST_OK(ilea_commit_check_items(&commit));
    slot->slot_count = commit.header.item_count;
    assert_true(index < slot->slot_count);
    struct ilea_msgpack_reader slots;
    ilea_msgpack_reader_init(&slots, commit.slots);
    struct ilea_span bytes = { NULL, 0 };
    for (uint32_t i = 0; i <= index; i++) bytes = ilea_slot_next(&slots);
    ILEA_TEST_OK(ilea_item_decode(bytes, &slot->item));
    slot->is_statement = (slot->item.flags & ILEA_ITEM_CONTROL) != 0;
    if (!slot->is_statement) {
        struct ilea_keyring *ring;
        struct ilea_epoch_row epoch;
        ILEA_TEST_OK(ilea_keyring_new(64, &ring));
        for (uint32_t i = 0; ilea_log_epoch(txn, &slot->item.audience, i, &epoch) == ILEA_ERROR_NONE; i++) {
            ILEA_TEST_OK(ilea_keyring_unwrap(ring, home->own.keys.reading, &home->own.manifest.network,
                                             &slot->item.audience, epoch.aek_commit, epoch.wrapped));
        }
        const struct ilea_place place = { &home->own.manifest.network, &feed.id, seq, index };
        size_t size;
        ILEA_TEST_OK(ilea_item_decrypt(ring, &place, &slot->item, slot->plaintext, &size));
        ILEA_TEST_OK(ilea_change_decode((struct ilea_span){ slot->plaintext, size }, &slot->change));
        ilea_keyring_free(ring);
    }
    ilea_transaction_abort(txn);
}

/* The last change of our current feed of a scope. */
static void
last_change(struct ilea_test_home *home, enum ilea_scope scope, struct slot *slot)
{
    const struct ilea_feed_row *feed = ilea_author_feed(home->author, scope);
    read_slot(home, &feed->id, feed->seq, 0, slot);
    if (slot->slot_count > 1) read_slot(home, &feed->id, feed->seq, slot->slot_count - 1, slot);
    assert_false(slot->is_statement);
}

static void
find_op(const struct ilea_change *change, uint32_t field, struct ilea_op *op)
{
    struct ilea_msgpack_reader ops;
    ilea_msgpack_reader_init(&ops, change->ops);
    for (uint32_t i = 0; i < change->op_count; i++) {
        ilea_op_next(&ops, op);
        if (op->field == field) return;
    }
    fail_msg("no op for field %u", field);
}

/* How many values of a field the view shows. */
static uint32_t
count_values(struct ilea_test_home *home, const struct ilea_record_id *id, uint32_t field)
{
    struct ilea_transaction *txn;
    struct ilea_view_row row;
    struct ilea_record record;
    uint32_t count = 0;
    ilea_test_home_build(home);
    ilea_record_init(&record);
    ILEA_TEST_OK(ilea_transaction_begin(home->view, false, &txn));
    ILEA_TEST_OK(ilea_view_find_id(txn, id, 0, &row));
    ILEA_TEST_OK(ilea_record_decode(row.state, &record));
    for (uint32_t i = 0; i < record.entry_count; i++) count += record.entries[i].field == field;
    ilea_transaction_abort(txn);
    ilea_record_deinit(&record);
    return count;
}

static void
test_author_create_update_unchanged(void **state)
{
    struct ilea_test_home *home = *state;
    static struct slot slot;
    struct ilea_op op;
    ilea_test_need(home, 0, "first", &result);
    struct ilea_record_id id = result.id;
    assert_string_equal(result.ref, "FR-PN-N1");
    assert_int_equal(ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->number, 0);
    last_change(home, ILEA_SCOPE_AGENCY, &slot);
    find_op(&slot.change, ILEA_FIELD_TITLE, &op);
    assert_int_equal(op.depth, 1);
    assert_int_equal(slot.change.run, 1);
    assert_int_equal(slot.change.label, ILEA_LABEL_AMBER_STRICT);
    uint32_t first_index = slot.slot_count - 1;

    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "second");
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_BUSY);
    ilea_test_home_build(home);
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_UPDATED);
    assert_string_equal(result.ref, "FR-PN-N1");
    last_change(home, ILEA_SCOPE_AGENCY, &slot);
    assert_int_equal(slot.change.op_count, 1);
    assert_int_equal(slot.change.run, 2);
    find_op(&slot.change, ILEA_FIELD_TITLE, &op);
    assert_int_equal(op.depth, 2);
    struct ilea_msgpack_reader dots;
    struct ilea_dot dot;
    assert_int_equal(ilea_op_replaces(&op, &dots), 1);
    ilea_dot_get(&dots, &dot);
    assert_int_equal(dot.seq, 1);
    assert_int_equal(dot.index, first_index);
    assert_memory_equal(dot.feed, ilea_author_feed(home->author, ILEA_SCOPE_AGENCY)->id.bytes, 16);

    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_BUSY);
    ilea_test_home_build(home);
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_UNCHANGED);
    ilea_test_need(home, 0, "another", &result);
    assert_string_equal(result.ref, "FR-PN-N2");

    ilea_author_use_view(home->author, NULL); /* it is being rebuilt */
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_BUSY);
}

static void
test_author_sets(void **state)
{
    struct ilea_test_home *home = *state;
    static struct slot slot;
    struct ilea_record_id id;
    random_id(&id);
    ilea_test_put_begin(&put, ILEA_PUT_UPSERT, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "sets");
    for (unsigned i = 0; i < 3; i++) {
        ilea_test_put_element(&put, "tags", (const char *[]){ "c", "a", "b" }[i]);
    }
    ilea_test_put_keyed(&put, "x", "one", "1");
    ilea_test_put_keyed(&put, "x", "two", "2");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_CREATED);
    assert_int_equal(count_values(home, &id, 9), 3);
    assert_int_equal(count_values(home, &id, ILEA_FIELD_EXTRA), 2);

    ilea_test_put_begin(&put, ILEA_PUT_UPSERT, 0, ILEA_TEST_NEED, &id); /* b stays, d comes, the others go */
    ilea_test_put_element(&put, "tags", "b");
    ilea_test_put_element(&put, "tags", "d");
    ilea_test_put_only(&put, "tags");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    last_change(home, ILEA_SCOPE_AGENCY, &slot);
    assert_int_equal(slot.change.op_count, 3);
    assert_int_equal(count_values(home, &id, 9), 2);
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_UNCHANGED);

    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_remove(&put, "tags", "d");
    ilea_test_put_remove(&put, "x", NULL);
    ilea_test_put_remove(&put, "tags", "never there");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(count_values(home, &id, 9), 1);
    assert_int_equal(count_values(home, &id, ILEA_FIELD_EXTRA), 0);

    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id); /* the last write of a place counts */
    ilea_test_put_text(&put, "title", "x");
    ilea_test_put_text(&put, "title", "y");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    last_change(home, ILEA_SCOPE_AGENCY, &slot);
    struct ilea_op op;
    find_op(&slot.change, ILEA_FIELD_TITLE, &op);
    assert_int_equal(slot.change.op_count, 1);
    assert_memory_equal(op.value.data, "\xa1y", 2);
}

static void
test_author_publishes_a_copy(void **state)
{
    struct ilea_test_home *home = *state;
    static struct slot slot;
    ilea_test_need(home, ILEA_SCOPE_AGENCY, "draft", &result);
    struct ilea_record_id id = result.id;
    ilea_test_home_build(home);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "better");
    ilea_test_put_element(&put, "tags", "a");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    ilea_test_home_build(home);

    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "best");
    ilea_test_put_remove(&put, "tags", "a");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_UPDATED);
    assert_string_equal(result.ref, "FR-PN-N1");
    last_change(home, ILEA_SCOPE_PEERS, &slot);
    assert_int_equal(slot.item.flags, ILEA_ITEM_OPEN);
    assert_int_equal(slot.change.label, ILEA_LABEL_GREEN);
    struct ilea_msgpack_reader ops;
    ilea_msgpack_reader_init(&ops, slot.change.ops);
    for (uint32_t i = 0; i < slot.change.op_count; i++) { /* nothing of its past in the agency */
        struct ilea_op op;
        ilea_op_next(&ops, &op);
        assert_int_equal(op.depth, 1);
        assert_int_equal(op.replaces.size, 1);
    }
    assert_int_equal(count_values(home, &id, 9), 0);
    assert_int_equal(count_values(home, &id, ILEA_FIELD_TITLE), 1);
    assert_int_equal(count_values(home, &id, ILEA_FIELD_REF), 1);

    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, ILEA_SCOPE_AGENCY, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "no");
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_INVALID);
    put.put.scope = 0; /* unchanged: goes to the shared feed */
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->seq, 2);
}

static void
test_author_refuses(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_record_id id, from, to;
    random_id(&id);
    random_id(&from);
    random_id(&to);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "x");
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_NOT_FOUND);
    put.put.mode = ILEA_PUT_CREATE;
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_BUSY);
    ilea_test_home_build(home);
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_EXISTS);

    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, 1, &id); /* of another type */
    ilea_test_put_text(&put, "title", "x");
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_INVALID);

    ilea_test_put_begin(&put, ILEA_PUT_CREATE, 0, ILEA_TEST_NEED, NULL); /* without what it needs */
    ilea_test_put_text(&put, "problem", "x");
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_INVALID);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_remove(&put, "title", NULL);
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_INVALID);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id); /* not a code of the table */
    ilea_test_put_text(&put, "state", "nonsense");
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_INVALID);
    static char long_title[2000];
    memset(long_title, 'x', sizeof long_title - 1);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", long_title);
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_LIMIT);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id); /* the node's own field */
    ilea_test_put_text(&put, "ref", "7");
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_INVALID);

    static const char *const labels[] = { "amber", "amber+strict", "red" };
    for (unsigned i = 0; i < 3; i++) {
        ilea_test_put_begin(&put, ILEA_PUT_CREATE, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, NULL);
        ilea_test_put_text(&put, "title", "secret");
        ilea_test_put_text(&put, "tlp", labels[i]);
        assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_INVALID);
    }
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "tlp", "red");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    ilea_test_home_build(home);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, &id); /* label of its copy */
    ilea_test_put_text(&put, "title", "published");
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_INVALID);
    ilea_test_put_text(&put, "tlp", "clear");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));

    ilea_test_put_begin(&put, ILEA_PUT_CREATE, 0, ILEA_TEST_LINK, &to);
    ilea_test_put_id(&put, "from", &from);
    ilea_test_put_id(&put, "to", &id);
    ilea_test_put_text(&put, "rel", "cites");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    ilea_test_home_build(home);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_LINK, &to);
    ilea_test_put_id(&put, "from", &from);
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_UNCHANGED);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_LINK, &to);
    ilea_test_put_id(&put, "from", &id);
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_INVALID);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_LINK, &to);
    ilea_test_put_remove(&put, "from", NULL);
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_INVALID);
}

/* Two writes of a place that is set once, in one put: the second must not slip through. */
/* With four eyes what others would read is held, whatever it is but that a record is withdrawn; no number is taken. */
static void
test_author_holds_what_leaves(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_record_id id;
    static const uint8_t zeros[ILEA_HASH_SIZE];
    ilea_test_need(home, ILEA_SCOPE_PEERS, "Shared before", &result);
    id = result.id;
    assert_string_equal(result.ref, "FR-PN-N1");
    ilea_test_home_build(home);
    ilea_author_set_four_eyes(home->author, true);
    ilea_test_put_begin(&put, ILEA_PUT_CREATE, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, NULL);
    ilea_test_put_text(&put, "title", "For others");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_REVIEW);
    assert_false(result.is_shared);
    assert_memory_equal(result.base, zeros, sizeof zeros);
    ilea_test_put_text(&put, "tlp", "red");
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_INVALID);
    ilea_test_need(home, ILEA_SCOPE_AGENCY, "For us", &result);
    assert_string_equal(result.ref, "FR-PN-N2");

    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "Changed");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_REVIEW);
    assert_true(result.is_shared);
    assert_int_equal(result.label, ILEA_LABEL_GREEN);
    assert_memory_not_equal(result.base, zeros, sizeof zeros);
    ilea_test_put_text(&put, "withdrawn", "Not any more");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_REVIEW);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "withdrawn", "Not any more");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_UPDATED);
    ilea_test_home_build(home);

    /* What was approved goes; what is only looked at does not, even in the agency. */
    const struct ilea_author_commit *commits;
    uint32_t count;
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "Approved");
    ILEA_TEST_OK(ilea_author_begin(home->author, 1700000000000));
    ILEA_TEST_OK(ilea_author_review(home->author, &put.put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_REVIEW);
    ILEA_TEST_OK(ilea_author_release(home->author, &put.put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_UPDATED);
    ilea_test_put_begin(&put, ILEA_PUT_CREATE, ILEA_SCOPE_AGENCY, ILEA_TEST_NEED, NULL);
    ilea_test_put_text(&put, "title", "Looked at");
    ILEA_TEST_OK(ilea_author_review(home->author, &put.put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_REVIEW);
    ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
    assert_int_equal(count, 1);
    ilea_author_set_four_eyes(home->author, false);
    ilea_test_need(home, ILEA_SCOPE_PEERS, "Free again", &result);
    assert_string_equal(result.ref, "FR-PN-N3");
}

static void
test_author_immutable_twice_in_one_put(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_record_id id;
    random_id(&id);
    ilea_test_put_begin(&put, ILEA_PUT_CREATE, 0, ILEA_TEST_LINK, NULL);
    ilea_test_put_id(&put, "from", &id);
    ilea_test_put_id(&put, "to", &id);
    ilea_test_put_text(&put, "rel", "cites");
    ilea_test_put_text(&put, "rel", "related");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(count_values(home, &result.id, 34), 1);
}

static void
test_author_not_owner(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_test_home other;
    ilea_test_home_make(&other, "DE-BKA");
    ilea_test_home_build(&other);
    ilea_test_home_meet(&other, &home->own, true);
    ilea_test_home_meet(home, &other.own, false);
    ilea_test_need(&other, ILEA_SCOPE_PEERS, "theirs", &result);
    ilea_test_home_carry(&other, &ilea_author_feed(other.author, ILEA_SCOPE_PEERS)->id, UINT64_MAX, home);
    ilea_test_home_build(home);
    assert_int_equal(home->meta.shared, 1);
    struct ilea_record_id id = result.id;
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "mine");
    assert_int_equal(ilea_test_write(home, &put, &result), ILEA_ERROR_NOT_OWNER);
    assert_non_null(strstr(result.reason, "DE-BKA"));
    /* The same id in our own name is another record. */
    put.put.mode = ILEA_PUT_UPSERT;
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_CREATED);
    ilea_test_home_build(home);
    assert_int_equal(home->meta.records, 2);
    ilea_test_home_remove(&other);
}

/* Whether a reading key opens one of an epoch statement's keys, or a history statement's first. */
static bool
opens(const struct ilea_item *item, const struct ilea_test_agency *reader)
{
    const struct ilea_network_id *network = &reader->manifest.network;
    struct ilea_epoch_statement epoch;
    struct ilea_history_statement history;
    uint8_t aek_commit[ILEA_HASH_SIZE], wrapped[ILEA_WRAPPED_KEY_SIZE];
    struct ilea_keyring *ring;
    bool opened = false;
    ILEA_TEST_OK(ilea_keyring_new(4, &ring));
    struct ilea_msgpack_reader keys;
    if (ilea_epoch_decode(item->content, &epoch) == ILEA_ERROR_NONE) {
        ilea_msgpack_reader_init(&keys, epoch.wrapped);
        for (uint32_t i = 0; i < epoch.wrapped_count; i++) {
            ilea_msgpack_get_bytes(&keys, wrapped, sizeof wrapped);
            opened = opened || ilea_keyring_unwrap(ring, reader->keys.reading, network, &epoch.audience,
                                                   epoch.aek_commit, wrapped) == ILEA_ERROR_NONE;
        }
    } else {
        ILEA_TEST_OK(ilea_history_decode(item->content, &history));
        assert_int_equal(history.key_count, 1);
        ilea_msgpack_reader_init(&keys, history.keys);
        ilea_history_get_key(&keys, aek_commit, wrapped);
        opened = ilea_keyring_unwrap(ring, reader->keys.reading, network, &history.audience, aek_commit,
                                     wrapped) == ILEA_ERROR_NONE;
    }
    ilea_keyring_free(ring);
    return opened;
}

static uint32_t
count_epochs(struct ilea_test_home *home, enum ilea_scope scope)
{
    struct ilea_transaction *txn;
    struct ilea_epoch_row epoch;
    uint32_t count = 0;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    struct ilea_audience_id audience;
    const bool is_open = scope == ILEA_SCOPE_PEERS;
    (is_open ? ilea_audience_of_peers : ilea_audience_of_agency)(&home->own.manifest.network, &home->own.card.agency,
                                                                 &audience);
    while (ilea_log_epoch(txn, &audience, count, &epoch) == ILEA_ERROR_NONE) count++;
    ilea_transaction_abort(txn);
    return count;
}

static void
test_author_epochs_follow_the_readers(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_test_agency b, c, stranger;
    static struct slot slot;
    ilea_test_agency_make(&b, "DE-BKA");
    ilea_test_agency_make(&c, "NL-POL");
    ilea_test_agency_make(&stranger, "XX-XX");
    ilea_test_home_meet(home, &b, true); /* nothing was shared yet: nothing to say */
    ilea_test_home_meet(home, &stranger, false);
    assert_int_equal(count_epochs(home, ILEA_SCOPE_PEERS), 0);
    assert_int_equal(ilea_author_position(home->author), 0);

    ilea_test_need(home, ILEA_SCOPE_PEERS, "one", &result);
    struct ilea_feed_id feed = ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->id;
    read_slot(home, &feed, 1, 1, &slot);
    assert_true(slot.is_statement);
    assert_true(opens(&slot.item, &b));
    assert_true(opens(&slot.item, &home->own));
    assert_false(opens(&slot.item, &c));
    assert_false(opens(&slot.item, &stranger));
    ilea_test_need(home, ILEA_SCOPE_PEERS, "two", &result);
    assert_int_equal(count_epochs(home, ILEA_SCOPE_PEERS), 1);

    ilea_test_home_meet(home, &c, true); /* history for the newcomer alone, and a new epoch */
    assert_int_equal(count_epochs(home, ILEA_SCOPE_PEERS), 2);
    assert_int_equal(ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->seq, 3);
    read_slot(home, &feed, 3, 0, &slot);
    assert_int_equal(slot.slot_count, 2);
    enum ilea_statement_kind kind;
    ILEA_TEST_OK(ilea_statement_kind_of(slot.item.content, &kind));
    assert_int_equal(kind, ILEA_STATEMENT_HISTORY);
    assert_true(opens(&slot.item, &c));
    assert_false(opens(&slot.item, &b));
    assert_false(opens(&slot.item, &stranger));
    read_slot(home, &feed, 3, 1, &slot);
    struct ilea_epoch_statement epoch;
    ILEA_TEST_OK(ilea_epoch_decode(slot.item.content, &epoch));
    assert_int_equal(epoch.number, 2);
    assert_int_equal(epoch.head_count, 1);
    assert_int_equal(epoch.wrapped_count, 3);
    assert_true(opens(&slot.item, &b) && opens(&slot.item, &c) && opens(&slot.item, &home->own));
    assert_false(opens(&slot.item, &stranger));

    ilea_test_home_meet(home, &c, true); /* nobody new */
    assert_int_equal(count_epochs(home, ILEA_SCOPE_PEERS), 2);
    ilea_test_need(home, ILEA_SCOPE_AGENCY, "private", &result); /* nobody but ourselves */
    read_slot(home, &ilea_author_feed(home->author, ILEA_SCOPE_AGENCY)->id, 1, 1, &slot);
    assert_false(opens(&slot.item, &b));
    assert_true(opens(&slot.item, &home->own));

    ilea_test_home_drop_view(home); /* and it all holds after a start, which opens new feeds without a guard */
    ilea_test_home_close(home);
    ilea_test_home_open(home);
    ilea_test_need(home, ILEA_SCOPE_PEERS, "three", &result);
    assert_int_equal(count_epochs(home, ILEA_SCOPE_PEERS), 2);
    ilea_test_agency_free(&b);
    ilea_test_agency_free(&c);
    ilea_test_agency_free(&stranger);
}

static void
test_author_two_scopes_in_one_commit(void **state)
{
    struct ilea_test_home *home = *state;
    const struct ilea_author_commit *commits;
    uint32_t count;
    ILEA_TEST_OK(ilea_author_begin(home->author, 1));
    static const enum ilea_scope scopes[] = { ILEA_SCOPE_AGENCY, ILEA_SCOPE_PEERS, ILEA_SCOPE_AGENCY,
                                              ILEA_SCOPE_AGENCY, ILEA_SCOPE_PEERS };
    for (unsigned i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        char ref[48];
        ilea_test_put_begin(&put, ILEA_PUT_CREATE, scopes[i], ILEA_TEST_NEED, NULL);
        ilea_test_put_text(&put, "title", "x");
        ILEA_TEST_OK(ilea_author_put(home->author, &put.put, &result));
        (void)snprintf(ref, sizeof ref, "FR-PN-N%u", i + 1);
        assert_string_equal(result.ref, ref);
    }
    ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
    assert_int_equal(count, 4);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(commits[i].feed.origin.scope, scopes[i == 3 ? 4 : i]);
        assert_int_equal(commits[i].seq, i / 2 + 1);
    }
    assert_int_equal(ilea_author_position(home->author), 4);
    ilea_test_home_build(home);
    assert_int_equal(home->meta.records, 5);
    assert_int_equal(home->meta.shared, 2);
}

static void
test_author_abort_restores(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_test_agency b;
    static struct slot slot;
    struct ilea_record_id id;
    struct ilea_feed_row row;
    struct ilea_transaction *txn;
    random_id(&id);
    ilea_test_agency_make(&b, "DE-BKA");
    ilea_test_home_meet(home, &b, true);
    for (unsigned round = 0; round < 3; round++) {
        ILEA_TEST_OK(ilea_author_begin(home->author, 1));
        ilea_test_put_begin(&put, ILEA_PUT_UPSERT, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, &id);
        ilea_test_put_text(&put, "title", "x");
        ILEA_TEST_OK(ilea_author_put(home->author, &put.put, &result));
        assert_int_equal(ilea_author_put(home->author, &put.put, &result), ILEA_ERROR_BUSY);
        assert_int_equal(ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->seq, 0);
        ilea_author_abort(home->author); /* with a feed, an epoch and a ref number under way */
        assert_int_equal(ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->number, 0);
        assert_int_equal(ilea_author_position(home->author), 0);
        assert_null(ilea_author_transaction(home->author));
    }
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_string_equal(result.ref, "FR-PN-N1");
    read_slot(home, &ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->id, 1, 1, &slot);
    assert_true(opens(&slot.item, &b));
    assert_int_equal(slot.slot_count, 3);
    assert_int_equal(count_epochs(home, ILEA_SCOPE_PEERS), 1);
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_log_feed(txn, 1, &row));
    assert_int_equal(row.run, 1);
    assert_int_equal(ilea_log_feed(txn, 2, &row), ILEA_ERROR_NOT_FOUND);
    ilea_transaction_abort(txn);
    ilea_test_agency_free(&b);
}

/* More records than one set of pending ids holds, in group commits that do not end where the set does:
 * once the view has come up to the log none of them stays pending. */
static void
test_author_pending_sets_are_emptied(void **state)
{
    struct ilea_test_home *home = *state;
    const struct ilea_author_commit *commits;
    uint32_t count;
    struct ilea_record_id first = { { 1 } }, id = first;
    ILEA_TEST_OK(ilea_author_begin(home->author, 1));
    for (uint32_t i = 0; i < PENDING_MAX + 10; i++) {
        id = first;
        ilea_key_put_u32(id.bytes + 12, i * 2654435761u);
        ilea_test_put_begin(&put, ILEA_PUT_UPSERT, 0, 77, &id);
        put.put.entries[put.put.entry_count++] = (struct ilea_put_entry){
            .field = 40, .action = ILEA_PUT_SET, .value = { (const uint8_t *)"\x01", 1 } };
        if (ilea_author_put(home->author, &put.put, &result) != ILEA_ERROR_NONE) fail_msg("put %u", i);
    }
    ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
    assert_int_equal(home->author->pending[0].count, PENDING_MAX);
    assert_int_equal(home->author->pending[1].count, 10);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(home->author->pending[i].position, ilea_author_position(home->author));
    }
}

/* A guard needs memory-backed storage. */
static bool
make_guard(struct ilea_test_home *home, const char *generation, char folder[64])
{
    struct statfs info;
    if (statfs("/dev/shm", &info) != 0 || (unsigned long)info.f_type != TMPFS_MAGIC) return false;
    (void)snprintf(folder, 64, "/dev/shm/ilea-test-XXXXXX");
    if (mkdtemp(folder) == NULL) return false;
    ILEA_TEST_OK(ilea_guard_open(folder, generation, ilea_log_identity(home->log)->database, &home->guard));
    ilea_test_home_close(home);
    ilea_test_home_open(home);
    return true;
}

static void
test_author_goes_on_only_with_the_guard(void **state)
{
    struct ilea_test_home *home = *state;
    char folder[64], data[ILEA_PATH_SIZE], backup[ILEA_PATH_SIZE];
    static struct slot slot;
    if (!make_guard(home, "", folder)) {
        print_message("/dev/shm is not memory-backed here\n");
        skip();
    }
    ilea_home_path(home->path, "log/data.mdb", data);
    ilea_home_path(home->path, "backup", backup);
    ilea_test_need(home, ILEA_SCOPE_PEERS, "one", &result);
    ilea_test_need(home, ILEA_SCOPE_AGENCY, "own", &result);
    struct ilea_feed_id feed = ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->id;
    struct ilea_feed_id own = ilea_author_feed(home->author, ILEA_SCOPE_AGENCY)->id;
    ilea_test_home_close(home);
    ilea_test_copy_file(data, backup);

    ilea_test_home_open(home); /* the guard matches */
    ilea_test_need(home, ILEA_SCOPE_PEERS, "two", &result);
    const struct ilea_feed_row *current = ilea_author_feed(home->author, ILEA_SCOPE_PEERS);
    assert_memory_equal(current->id.bytes, feed.bytes, ILEA_ID_SIZE);
    assert_int_equal(ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->seq, 2);
    assert_string_equal(result.ref, "FR-PN-N3");

    ilea_test_home_close(home); /* a log from before the last commit */
    ilea_test_copy_file(backup, data);
    ilea_test_home_open(home);
    assert_int_equal(ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->number, 0);
    current = ilea_author_feed(home->author, ILEA_SCOPE_AGENCY);
    assert_memory_equal(current->id.bytes, own.bytes, ILEA_ID_SIZE);
    ilea_test_need(home, ILEA_SCOPE_PEERS, "two again", &result);
    const struct ilea_feed_row *next = ilea_author_feed(home->author, ILEA_SCOPE_PEERS);
    assert_memory_not_equal(next->id.bytes, feed.bytes, ILEA_ID_SIZE);
    assert_int_equal(next->seq, 1);
    read_slot(home, &next->id, 1, 0, &slot);
    struct ilea_opening opening;
    ILEA_TEST_OK(ilea_opening_decode(slot.item.content, NULL, &opening));
    assert_int_equal(opening.origin.scope, ILEA_SCOPE_PEERS);
    assert_int_equal(opening.predecessor_count, 1); /* not the agency's own feed */
    struct ilea_msgpack_reader positions;
    struct ilea_position position;
    ilea_msgpack_reader_init(&positions, opening.predecessors);
    ilea_position_get(&positions, &position);
    assert_memory_equal(position.feed.bytes, feed.bytes, ILEA_ID_SIZE);
    assert_int_equal(position.seq, 1);

    /* A peer holds more of the feed that is being written: never again. */
    struct ilea_feed_id third = next->id;
    const struct ilea_author_commit *commits;
    uint32_t count;
    ILEA_TEST_OK(ilea_author_begin(home->author, 1));
    ILEA_TEST_OK(ilea_author_close_feed(home->author, &third));
    ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
    ilea_test_home_close(home);
    ilea_test_home_open(home);
    ilea_test_need(home, ILEA_SCOPE_PEERS, "three", &result);
    read_slot(home, &ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->id, 1, 0, &slot);
    ILEA_TEST_OK(ilea_opening_decode(slot.item.content, NULL, &opening));
    assert_int_equal(opening.predecessor_count, 1); /* the one before is named already */
    ilea_msgpack_reader_init(&positions, opening.predecessors);
    ilea_position_get(&positions, &position);
    assert_memory_equal(position.feed.bytes, third.bytes, ILEA_ID_SIZE);

    ilea_guard_close(home->guard);
    ilea_test_remove_tree(folder);
    home->guard = NULL;
}

static void
write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A running machine is put back with its memory: what was pending is not kept, and every feed is a new one. */
static void
test_author_notices_another_generation(void **state)
{
    struct ilea_test_home *home = *state;
    char folder[64], generation[ILEA_PATH_SIZE];
    ilea_home_path(home->path, "generation", generation);
    write_text(generation, "first");
    if (!make_guard(home, generation, folder)) {
        print_message("/dev/shm is not memory-backed here\n");
        skip();
    }
    ilea_test_need(home, ILEA_SCOPE_PEERS, "one", &result);
    const struct ilea_feed_id feed = ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->id;
    uint64_t position = ilea_author_position(home->author);
    ilea_test_put_begin(&put, ILEA_PUT_CREATE, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, NULL);
    ilea_test_put_text(&put, "title", "pending");
    ILEA_TEST_OK(ilea_author_begin(home->author, 1));
    ILEA_TEST_OK(ilea_author_put(home->author, &put.put, &result));
    write_text(generation, "second");
    const struct ilea_author_commit *commits;
    uint32_t count;
    assert_int_equal(ilea_author_commit(home->author, &commits, &count), ILEA_ERROR_BUSY);
    assert_int_equal(ilea_author_position(home->author), position);
    ilea_test_need(home, ILEA_SCOPE_PEERS, "two", &result);
    const struct ilea_feed_row *next = ilea_author_feed(home->author, ILEA_SCOPE_PEERS);
    assert_memory_not_equal(next->id.bytes, feed.bytes, ILEA_ID_SIZE);
    assert_int_equal(next->seq, 1);
    const struct ilea_feed_id second = next->id;
    ilea_test_home_close(home); /* and the guard is one of the new generation */
    ilea_test_home_open(home);
    assert_memory_equal(ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->id.bytes, second.bytes, ILEA_ID_SIZE);

    ilea_guard_close(home->guard);
    home->guard = NULL;
    assert_int_equal(ilea_guard_open(folder, "/nowhere/generation", ilea_log_identity(home->log)->database,
                                     &home->guard), ILEA_ERROR_INVALID);
    ilea_test_remove_tree(folder);
}

/* An epoch of ours that a restore forgot comes back with its commit, and goes to later readers. */
static void
test_author_takes_back(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_test_home carrier;
    static struct ilea_test_agency b, c;
    static struct slot slot;
    char data[ILEA_PATH_SIZE], backup[ILEA_PATH_SIZE];
    ilea_test_agency_make(&b, "DE-BKA");
    ilea_test_agency_make(&c, "NL-POL");
    ilea_test_home_make(&carrier, "PT-PJ");
    ilea_test_home_meet(home, &b, true);
    ilea_home_path(home->path, "log/data.mdb", data);
    ilea_home_path(home->path, "backup", backup);
    ilea_test_home_close(home);
    ilea_test_copy_file(data, backup);
    ilea_test_home_open(home);
    ilea_test_need(home, ILEA_SCOPE_PEERS, "lost", &result);
    struct ilea_feed_id feed = ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->id;
    ilea_test_home_carry(home, &feed, 1, &carrier);
    ilea_test_home_close(home);
    ilea_test_copy_file(backup, data);
    ilea_test_home_open(home);
    assert_int_equal(count_epochs(home, ILEA_SCOPE_PEERS), 0);

    ilea_test_home_carry(&carrier, &feed, 1, home);
    read_slot(home, &feed, 1, 1, &slot);
    struct ilea_transaction *txn;
    struct ilea_feed_row row;
    struct ilea_log_commit commit;
    const struct ilea_author_commit *commits;
    uint32_t count;
    ILEA_TEST_OK(ilea_author_begin(home->author, 1));
    txn = ilea_author_transaction(home->author);
    ILEA_TEST_OK(ilea_log_feed_by_id(txn, &feed, &row));
    ILEA_TEST_OK(ilea_log_commit_at(txn, 1, &commit));
    static uint8_t copy[ILEA_COMMIT_SIZE_MAX];
    memcpy(copy, commit.bytes.data, commit.bytes.size);
    for (unsigned twice = 0; twice < 2; twice++) {
        ILEA_TEST_OK(ilea_author_take_back(home->author, (struct ilea_span){ copy, commit.bytes.size },
                                           &row.head));
    }
    ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
    assert_int_equal(count_epochs(home, ILEA_SCOPE_PEERS), 1);

    ilea_test_home_meet(home, &c, true);
    assert_int_equal(count_epochs(home, ILEA_SCOPE_PEERS), 2);
    const struct ilea_feed_row *next = ilea_author_feed(home->author, ILEA_SCOPE_PEERS);
    bool handed = false;
    read_slot(home, &next->id, 1, 0, &slot);
    uint32_t slots = slot.slot_count;
    for (uint32_t i = 1; i < slots; i++) {
        struct ilea_history_statement history;
        read_slot(home, &next->id, 1, i, &slot);
        if (ilea_history_decode(slot.item.content, &history) != ILEA_ERROR_NONE) continue;
        handed = handed || opens(&slot.item, &c);
    }
    assert_true(handed);
    ilea_test_home_remove(&carrier);
    ilea_test_agency_free(&b);
    ilea_test_agency_free(&c);
}

int
main(void)
{
#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)
    const struct CMUnitTest tests[] = {
        IN_HOME(test_author_create_update_unchanged),
        IN_HOME(test_author_sets),
        IN_HOME(test_author_publishes_a_copy),
        IN_HOME(test_author_refuses),
        IN_HOME(test_author_holds_what_leaves),
        IN_HOME(test_author_immutable_twice_in_one_put),
        IN_HOME(test_author_not_owner),
        IN_HOME(test_author_epochs_follow_the_readers),
        IN_HOME(test_author_two_scopes_in_one_commit),
        IN_HOME(test_author_abort_restores),
        IN_HOME(test_author_pending_sets_are_emptied),
        IN_HOME(test_author_goes_on_only_with_the_guard),
        IN_HOME(test_author_notices_another_generation),
        IN_HOME(test_author_takes_back),
    };
#undef IN_HOME
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
