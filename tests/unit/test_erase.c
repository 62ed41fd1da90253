/* test_erase.c - erasure in one node and between two: nothing brings an erased record back. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "node/erase.h"
#include "node/erase_dots.h"
#include "node/erased_file.h"
#include "node/home.h"
#include "node/own_keys.h"
#include "node/receipts.h"
#include "node/view.h"
#include "tests/support/home.h"

enum { DAY_MAX = 100 };

static struct ilea_test_put put;
static struct ilea_put_result made;

/* Two homes that follow each other, each with its side file. */
struct pair {
    struct ilea_test_home a, b;
    struct ilea_erased_file *a_file, *b_file;
};

static struct pair pair;

/* Open the side file, merge it, and state again, as a node does when it is opened. */
static struct ilea_erased_file *
attach(struct ilea_test_home *home, uint32_t *changed, uint32_t *stated)
{
    struct ilea_erased_file *file = NULL;
    struct ilea_transaction *txn = NULL;
    const struct ilea_author_commit *commits;
    uint32_t count;
    ILEA_TEST_OK(ilea_erased_file_open(home->path, &file));
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), true, &txn));
    ILEA_TEST_OK(ilea_erased_file_merge(file, txn, changed));
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    ilea_author_use_erased(home->author, file);
    ILEA_TEST_OK(ilea_author_begin(home->author, 1700000000000));
    ILEA_TEST_OK(ilea_author_restate(home->author, stated));
    ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
    return file;
}

static int
begin_pair(void **state)
{
    uint32_t changed, stated;
    (void)state;
    ilea_test_home_make(&pair.a, "FR-PN");
    ilea_test_home_make(&pair.b, "NL-PO");
    ilea_test_home_meet(&pair.a, &pair.b.own, true);
    ilea_test_home_meet(&pair.b, &pair.a.own, true);
    pair.a_file = attach(&pair.a, &changed, &stated);
    pair.b_file = attach(&pair.b, &changed, &stated);
    ilea_test_home_build(&pair.a);
    ilea_test_home_build(&pair.b);
    return 0;
}

static int
end_pair(void **state)
{
    (void)state;
    ilea_erased_file_close(pair.a_file);
    ilea_erased_file_close(pair.b_file);
    ilea_test_home_remove(&pair.a);
    ilea_test_home_remove(&pair.b);
    return 0;
}

/* Carry all that one home wrote for others to another, control feed last, as a node takes it in. */
static void
carry_feed(struct ilea_test_home *from, const struct ilea_feed_id *id, struct ilea_test_home *to)
{
    struct ilea_transaction *reading;
    struct ilea_feed_row source, feed;
    const struct ilea_author_commit *commits;
    uint32_t count;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(from->log), false, &reading));
    ILEA_TEST_OK(ilea_author_begin(to->author, 1700000000000));
    struct ilea_transaction *writing = ilea_author_transaction(to->author);
    ILEA_TEST_OK(ilea_log_feed_by_id(reading, id, &source));
    if (ilea_log_feed_by_id(writing, id, &feed) == ILEA_ERROR_NOT_FOUND) {
        feed = (struct ilea_feed_row){ .id = source.id, .origin = source.origin };
        ILEA_TEST_OK(ilea_log_add_feed(writing, &feed));
    }
    for (uint64_t next = feed.seq + 1; next <= source.seq; next++) {
        struct ilea_chain_row chain;
        struct ilea_log_commit commit;
        uint64_t position;
        ILEA_TEST_OK(ilea_log_chain(reading, source.number, next, &chain));
        ILEA_TEST_OK(ilea_log_commit_at(reading, chain.position, &commit));
        ILEA_TEST_OK(ilea_erase_take(to->author, &feed, next, commit.bytes));
        ILEA_TEST_OK(ilea_log_append(writing, &feed, next, &chain.id, commit.bytes, &position));
    }
    ILEA_TEST_OK(ilea_author_commit(to->author, &commits, &count));
    ilea_transaction_abort(reading);
}

static void
carry_scope(struct ilea_test_home *from, enum ilea_scope scope, struct ilea_test_home *to)
{
    const struct ilea_feed_row *feed = ilea_author_feed(from->author, scope);
    if (feed->number != 0) carry_feed(from, &feed->id, to);
}

static struct ilea_erase_request
request_of(const struct ilea_erase_record *record)
{
    static const char reason[] = "court order 12/2026";
    return (struct ilea_erase_request){ .records = record, .count = 1, .day_max = DAY_MAX,
                                        .reason = { (const uint8_t *)reason, sizeof reason - 1 } };
}

static enum ilea_error
erase(struct ilea_test_home *home, const struct ilea_erase_record *record, struct ilea_erase_result *result)
{
    const struct ilea_author_commit *commits;
    uint32_t count;
    const struct ilea_erase_request request = request_of(record);
    ilea_test_home_build(home);
    ILEA_TEST_OK(ilea_author_begin(home->author, 1700000000000));
    enum ilea_error error = ilea_author_erase(home->author, &request, result);
    if (error == ILEA_ERROR_NONE) ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
    else ilea_author_abort(home->author);
    return error;
}

static struct ilea_erase_record
make_need(struct ilea_test_home *home, enum ilea_scope scope, const char *title)
{
    ilea_test_need(home, scope, title, &made);
    ilea_test_home_build(home);
    return (struct ilea_erase_record){ ILEA_TEST_NEED, made.id };
}

static void
retitle(struct ilea_test_home *home, const struct ilea_erase_record *record, uint32_t scope, const char *title)
{
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, scope, record->type, &record->id);
    ilea_test_put_text(&put, "title", title);
    ILEA_TEST_OK(ilea_test_write(home, &put, &made));
    ilea_test_home_build(home);
}

static bool
is_shown(struct ilea_test_home *home, const struct ilea_erase_record *record)
{
    struct ilea_transaction *txn = NULL;
    struct ilea_view_row row;
    ilea_test_home_build(home);
    ILEA_TEST_OK(ilea_transaction_begin(home->view, false, &txn));
    enum ilea_error error = ilea_view_find_id(txn, &record->id, 0, &row);
    ilea_transaction_abort(txn);
    return error == ILEA_ERROR_NONE;
}

/* Items of data that lie in the log, of one agency's feeds. */
static unsigned
count_items(struct ilea_test_home *home, const struct ilea_agency_id *agency)
{
    struct ilea_transaction *txn = NULL;
    uint64_t last;
    unsigned items = 0;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_log_last(txn, &last));
    for (uint64_t at = 1; at <= last; at++) {
        struct ilea_log_commit row;
        struct ilea_commit commit;
        struct ilea_feed_row feed;
        struct ilea_msgpack_reader slots;
        ILEA_TEST_OK(ilea_log_commit_at(txn, at, &row));
        if (row.is_marker) continue;
        ILEA_TEST_OK(ilea_log_check_commit(txn, &row, &commit));
        ILEA_TEST_OK(ilea_log_feed(txn, row.feed, &feed));
        ilea_msgpack_reader_init(&slots, commit.slots);
        for (uint32_t i = 0; i < commit.header.item_count; i++) {
            struct ilea_item item;
            struct ilea_span slot = ilea_slot_next(&slots);
            if (slot.size == ILEA_HASH_SIZE || ilea_item_decode(slot, &item) != ILEA_ERROR_NONE) continue;
            if ((item.flags & ILEA_ITEM_CONTROL) != 0) continue;
            if (memcmp(feed.origin.agency.bytes, agency->bytes, ILEA_ID_SIZE) == 0) items++;
        }
    }
    ilea_transaction_abort(txn);
    return items;
}

/* A view made from nothing ends in the same records, and misses no lsn. */
static void
check_rebuilds(struct ilea_test_home *home)
{
    static unsigned number;
    char name[32], path[ILEA_PATH_SIZE];
    struct ilea_environment *view;
    struct ilea_view_builder *builder;
    struct ilea_view_meta meta = { .lsn = 0 };
    (void)snprintf(name, sizeof name, "beside-%u", number++);
    ilea_home_path(home->path, name, path);
    ILEA_TEST_OK(ilea_view_open(path, false, true, &view));
    ILEA_TEST_OK(ilea_view_builder_new(home->log, view, &home->own.keys, &builder));
    for (bool caught_up = false; !caught_up;) {
        ILEA_TEST_OK(ilea_view_builder_run(builder, 1, UINT64_MAX, &caught_up, &meta));
    }
    ilea_test_home_build(home);
    assert_memory_equal(meta.digest, home->meta.digest, sizeof meta.digest);
    assert_int_equal(meta.records, home->meta.records);
    assert_int_equal(meta.shared, home->meta.shared);
    assert_int_equal(meta.parked, home->meta.parked);
    assert_int_equal(meta.hidden, home->meta.hidden);
    assert_true(meta.lsn >= home->meta.lsn);
    ilea_view_builder_free(builder);
    ilea_environment_close(view);
}

static void
check_same(void)
{
    ilea_test_home_build(&pair.a);
    ilea_test_home_build(&pair.b);
    assert_memory_equal(pair.a.meta.digest, pair.b.meta.digest, sizeof pair.a.meta.digest);
}

/* Gone at the owner: items, view, and it cannot be written again; what stands beside it stays. */
static void
test_erase_own_record(void **state)
{
    (void)state;
    struct ilea_erase_result result;
    struct ilea_erase_record kept = make_need(&pair.a, ILEA_SCOPE_PEERS, "kept");
    struct ilea_erase_record gone = make_need(&pair.a, ILEA_SCOPE_AGENCY, "draft");
    retitle(&pair.a, &gone, ILEA_SCOPE_PEERS, "published");
    retitle(&pair.a, &gone, 0, "changed");
    assert_int_equal(count_items(&pair.a, &pair.a.own.card.agency), 4);
    ILEA_TEST_OK(erase(&pair.a, &gone, &result));
    assert_int_equal(result.records, 1);
    assert_int_equal(result.dots, 3);
    assert_int_equal(result.shared_dots, 2);
    assert_false(is_shown(&pair.a, &gone));
    assert_true(is_shown(&pair.a, &kept));
    assert_int_equal(count_items(&pair.a, &pair.a.own.card.agency), 1);
    check_rebuilds(&pair.a);

    ilea_test_put_begin(&put, ILEA_PUT_UPSERT, 0, ILEA_TEST_NEED, &gone.id);
    ilea_test_put_text(&put, "title", "again");
    assert_int_equal(ilea_test_write(&pair.a, &put, &made), ILEA_ERROR_INVALID);
    assert_non_null(strstr(made.reason, "was erased on"));
    assert_int_equal(erase(&pair.a, &gone, &result), ILEA_ERROR_NOT_FOUND);
    ilea_test_home_build(&pair.a);
}

/* The change feed says so: a tombstone where the change was, and a new entry at the end. */
static void
test_erase_shows_in_change_feed(void **state)
{
    (void)state;
    struct ilea_erase_result result;
    struct ilea_transaction *txn = NULL;
    struct ilea_view_change change;
    struct ilea_erase_record gone = make_need(&pair.a, ILEA_SCOPE_PEERS, "a name");
    const uint64_t lsn = pair.a.meta.lsn;
    ILEA_TEST_OK(erase(&pair.a, &gone, &result));
    ilea_test_home_build(&pair.a);
    assert_int_equal(pair.a.meta.lsn, lsn + 1);
    ILEA_TEST_OK(ilea_transaction_begin(pair.a.view, false, &txn));
    for (uint64_t at = lsn; at <= lsn + 1; at++) {
        ILEA_TEST_OK(ilea_view_change(txn, at, &change));
        assert_int_equal(change.kind, ILEA_VIEW_ERASED);
        assert_int_equal(change.type, ILEA_TEST_NEED);
        assert_memory_equal(change.id.bytes, gone.id.bytes, sizeof gone.id.bytes);
        assert_int_equal(change.field_count, 0);
    }
    ilea_transaction_abort(txn);
}

/* A peer that held it deletes it; one that meets the items later takes their leaves alone. */
static void
test_nothing_brings_it_back_a_late_peer(void **state)
{
    (void)state;
    struct ilea_erase_result result;
    struct ilea_erase_record early = make_need(&pair.a, ILEA_SCOPE_PEERS, "early");
    carry_scope(&pair.a, ILEA_SCOPE_PEERS, &pair.b);
    assert_true(is_shown(&pair.b, &early));
    struct ilea_erase_record late = make_need(&pair.a, ILEA_SCOPE_PEERS, "late");
    static struct ilea_test_home copy; /* a peer of the time before, that still holds the items */
    ilea_test_home_make(&copy, "DE-BKA");
    ilea_test_home_meet(&copy, &pair.a.own, true);
    carry_scope(&pair.a, ILEA_SCOPE_PEERS, &copy);
    ILEA_TEST_OK(erase(&pair.a, &early, &result));
    ILEA_TEST_OK(erase(&pair.a, &late, &result));
    carry_scope(&pair.a, ILEA_SCOPE_CONTROL, &pair.b);
    assert_false(is_shown(&pair.b, &early));
    const struct ilea_feed_row *feed = ilea_author_feed(pair.a.author, ILEA_SCOPE_PEERS);
    carry_feed(&copy, &feed->id, &pair.b); /* with the items, from somebody who did not hear of it */
    assert_false(is_shown(&pair.b, &late));
    assert_int_equal(count_items(&pair.b, &pair.a.own.card.agency), 0);
    check_same();
    check_rebuilds(&pair.b);
    ilea_test_home_remove(&copy);
}

/* The statement first, the items after it, in one step. */
static void
test_erase_statement_before_items(void **state)
{
    (void)state;
    struct ilea_erase_result result;
    struct ilea_erase_record gone = make_need(&pair.a, ILEA_SCOPE_PEERS, "gone");
    struct ilea_erase_record kept = make_need(&pair.a, ILEA_SCOPE_PEERS, "kept");
    ILEA_TEST_OK(erase(&pair.a, &gone, &result));
    carry_scope(&pair.a, ILEA_SCOPE_CONTROL, &pair.b);
    carry_scope(&pair.a, ILEA_SCOPE_PEERS, &pair.b);
    assert_false(is_shown(&pair.b, &gone));
    assert_true(is_shown(&pair.b, &kept));
    check_same();
    check_rebuilds(&pair.b);
}

/* An erased change replaces nothing any more, and what replaced it stands. */
static void
test_erase_merges_anew(void **state)
{
    (void)state;
    struct ilea_transaction *txn = NULL;
    struct ilea_erase_record need = make_need(&pair.a, ILEA_SCOPE_PEERS, "one");
    retitle(&pair.a, &need, 0, "two");
    retitle(&pair.a, &need, 0, "three");
    carry_scope(&pair.a, ILEA_SCOPE_PEERS, &pair.b);
    /* The middle one alone, by hand: the node erases whole records. */
    const struct ilea_feed_row *feed = ilea_author_feed(pair.a.author, ILEA_SCOPE_PEERS);
    struct ilea_test_home *homes[] = { &pair.a, &pair.b };
    for (unsigned i = 0; i < 2; i++) {
        struct ilea_feed_row row;
        struct ilea_chain_row chain;
        struct ilea_log_commit commit;
        struct ilea_commit decoded;
        struct ilea_msgpack_reader slots;
        uint32_t changed;
        ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(homes[i]->log), true, &txn));
        ILEA_TEST_OK(ilea_log_feed_by_id(txn, &feed->id, &row));
        ILEA_TEST_OK(ilea_log_chain(txn, row.number, row.seq - 1, &chain));
        ILEA_TEST_OK(ilea_log_commit_at(txn, chain.position, &commit));
        ILEA_TEST_OK(ilea_commit_decode(commit.bytes, &decoded));
        struct ilea_erased_dot dot = { .seq = row.seq - 1 };
        ilea_dot_feed_of(&row.id, dot.feed);
        ilea_msgpack_reader_init(&slots, decoded.slots);
        ilea_item_leaf(0, ilea_slot_next(&slots), dot.leaf);
        const struct ilea_erasing erasing = { .agency = row.origin.agency };
        ILEA_TEST_OK(ilea_log_erase(txn, &erasing, &dot, 1, &changed));
        assert_int_equal(changed, 1);
        ILEA_TEST_OK(ilea_log_erase(txn, &erasing, &dot, 1, &changed));
        assert_int_equal(changed, 0); /* again: nothing */
        ILEA_TEST_OK(ilea_transaction_commit(txn));
        assert_true(is_shown(homes[i], &need));
        check_rebuilds(homes[i]);
    }
    check_same();
}

/* The database of before, the side file of now. */
static void
test_nothing_brings_it_back_a_restored_backup(void **state)
{
    (void)state;
    char log[ILEA_PATH_SIZE], kept[ILEA_PATH_SIZE], from[ILEA_PATH_SIZE + 16], to[ILEA_PATH_SIZE + 16];
    struct ilea_erase_result result;
    uint32_t changed = 0, stated = 0;
    struct ilea_erase_record gone = make_need(&pair.a, ILEA_SCOPE_PEERS, "gone");
    struct ilea_erase_record draft = make_need(&pair.a, ILEA_SCOPE_AGENCY, "draft");
    ilea_home_path(pair.a.path, "log", log);
    ilea_home_path(pair.a.path, "kept.mdb", kept);
    (void)snprintf(from, sizeof from, "%s/data.mdb", log);
    (void)snprintf(to, sizeof to, "%s", kept);
    ilea_test_copy_file(from, to);
    ILEA_TEST_OK(erase(&pair.a, &gone, &result));
    ILEA_TEST_OK(erase(&pair.a, &draft, &result));
    ilea_erased_file_close(pair.a_file);
    ilea_test_home_close(&pair.a);
    ilea_test_copy_file(to, from);
    ilea_test_home_open(&pair.a);
    pair.a_file = attach(&pair.a, &changed, &stated);
    assert_int_equal(changed, 2 + 2); /* a dot and a record for each */
    assert_int_equal(stated, 1);      /* nobody has to know of the draft */
    assert_int_equal(count_items(&pair.a, &pair.a.own.card.agency), 0);
    /* The statement of the time before is lost; the new one reaches the others. */
    carry_scope(&pair.a, ILEA_SCOPE_CONTROL, &pair.b);
    check_rebuilds(&pair.b);
    struct ilea_transaction *txn = NULL;
    struct ilea_gone_row row;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(pair.a.log), false, &txn));
    ILEA_TEST_OK(ilea_log_gone(txn, gone.type, &gone.id, &row));
    assert_true(row.feed != 0);
    assert_memory_equal(row.reason.data, "court order 12/2026", row.reason.size);
    ILEA_TEST_OK(ilea_log_gone(txn, draft.type, &draft.id, &row));
    assert_int_equal(row.feed, 0);
    ilea_transaction_abort(txn);
}

/* An update of the time before a restore, that only another node still had. */
static void
test_nothing_brings_it_back_a_forgotten_incarnation(void **state)
{
    (void)state;
    char log[ILEA_PATH_SIZE], kept[ILEA_PATH_SIZE + 16], file[ILEA_PATH_SIZE + 16];
    struct ilea_erase_result result;
    const struct ilea_author_commit *commits;
    uint32_t count, changed, stated;
    struct ilea_erase_record gone = make_need(&pair.a, ILEA_SCOPE_PEERS, "gone");
    ilea_home_path(pair.a.path, "log", log);
    (void)snprintf(file, sizeof file, "%s/data.mdb", log);
    (void)snprintf(kept, sizeof kept, "%s/kept.mdb", log);
    ilea_test_copy_file(file, kept);
    ilea_test_home_close(&pair.a);
    ilea_test_home_open(&pair.a); /* a new incarnation */
    ilea_author_use_erased(pair.a.author, pair.a_file);
    ilea_test_home_build(&pair.a);
    retitle(&pair.a, &gone, 0, "its update");
    const struct ilea_feed_id forgotten = ilea_author_feed(pair.a.author, ILEA_SCOPE_PEERS)->id;
    carry_feed(&pair.a, &forgotten, &pair.b);
    ilea_erased_file_close(pair.a_file);
    ilea_test_home_close(&pair.a);
    ilea_test_copy_file(kept, file);
    ilea_home_path(pair.a.path, "view", log);
    ilea_test_remove_tree(log);
    assert_int_equal(mkdir(log, 0700), 0);
    ILEA_TEST_OK(ilea_view_make(pair.a.path, 1));
    ILEA_TEST_OK(ilea_view_switch(pair.a.path, 1, 0));
    ilea_test_home_open(&pair.a);
    pair.a_file = attach(&pair.a, &changed, &stated);
    ILEA_TEST_OK(erase(&pair.a, &gone, &result));
    assert_false(is_shown(&pair.a, &gone));

    carry_feed(&pair.b, &forgotten, &pair.a); /* it turns up */
    assert_int_equal(count_items(&pair.a, &pair.a.own.card.agency), 1);
    assert_false(is_shown(&pair.a, &gone)); /* never shown */
    struct ilea_transaction *txn = NULL;
    ILEA_TEST_OK(ilea_transaction_begin(pair.a.view, false, &txn));
    assert_true(ilea_erase_has_strays(txn));
    ilea_transaction_abort(txn);
    ILEA_TEST_OK(ilea_author_begin(pair.a.author, 1700000000000));
    ILEA_TEST_OK(ilea_author_erase_strays(pair.a.author, &count));
    assert_int_equal(count, 1);
    ILEA_TEST_OK(ilea_author_commit(pair.a.author, &commits, &count));
    assert_int_equal(count_items(&pair.a, &pair.a.own.card.agency), 0);
    assert_false(is_shown(&pair.a, &gone));
    ILEA_TEST_OK(ilea_transaction_begin(pair.a.view, false, &txn));
    assert_false(ilea_erase_has_strays(txn));
    ilea_transaction_abort(txn);
    check_rebuilds(&pair.a);
    carry_scope(&pair.a, ILEA_SCOPE_CONTROL, &pair.b);
    assert_false(is_shown(&pair.b, &gone));
    assert_int_equal(count_items(&pair.b, &pair.a.own.card.agency), 0);
}

/* A rebuild that begins after the erasure, and one whose keys come after it. */
static void
test_nothing_brings_it_back_a_rebuild(void **state)
{
    (void)state;
    struct ilea_erase_result result;
    static struct ilea_test_home other; /* approved by nobody yet: items wait for their key */
    uint32_t changed, stated;
    ilea_test_home_make(&other, "DE-BKA");
    ilea_test_home_meet(&other, &pair.a.own, true);
    struct ilea_erased_file *file = attach(&other, &changed, &stated);
    struct ilea_erase_record gone = make_need(&pair.a, ILEA_SCOPE_PEERS, "gone");
    struct ilea_erase_record kept = make_need(&pair.a, ILEA_SCOPE_PEERS, "kept");
    carry_scope(&pair.a, ILEA_SCOPE_PEERS, &other);
    ilea_test_home_build(&other);
    assert_int_equal(other.meta.parked, 2);
    ILEA_TEST_OK(erase(&pair.a, &gone, &result));
    carry_scope(&pair.a, ILEA_SCOPE_CONTROL, &other);
    ilea_test_home_build(&other);
    assert_int_equal(other.meta.parked, 1);
    ilea_test_home_meet(&pair.a, &other.own, true); /* the keys of before are handed over */
    ilea_test_need(&pair.a, ILEA_SCOPE_PEERS, "after", &made);
    carry_scope(&pair.a, ILEA_SCOPE_PEERS, &other);
    assert_true(is_shown(&other, &kept));
    assert_false(is_shown(&other, &gone));
    check_rebuilds(&other);
    check_rebuilds(&pair.a);
    ilea_erased_file_close(file);
    ilea_test_home_remove(&other);
}

/* The crash between any two steps: side file, log, view. Whatever was synced counts; nothing else does. */
static void
test_erase_crash_points(void **state)
{
    (void)state;
    struct ilea_erase_result result;
    uint32_t changed, stated;
    struct ilea_erase_record gone = make_need(&pair.a, ILEA_SCOPE_PEERS, "gone");
    const struct ilea_erase_request request = request_of(&gone);
    for (unsigned step = 0; step < 3; step++) {
        ILEA_TEST_OK(ilea_author_begin(pair.a.author, 1700000000000));
        ILEA_TEST_OK(ilea_author_erase(pair.a.author, &request, &result));
        if (step == 1) ILEA_TEST_OK(ilea_erased_file_sync(pair.a_file)); /* and the log is not written any more */
        if (step == 2) break;
        ilea_author_abort(pair.a.author);
        ilea_erased_file_close(pair.a_file);
        ilea_test_home_close(&pair.a);
        ilea_test_home_open(&pair.a);
        pair.a_file = attach(&pair.a, &changed, &stated);
        ilea_test_home_build(&pair.a);
        assert_int_equal(changed, step == 0 ? 0 : 2);
        assert_int_equal(stated, step == 0 ? 0 : 1);
        assert_int_equal(is_shown(&pair.a, &gone), step == 0);
        if (step == 0) continue;
        check_rebuilds(&pair.a);
        return;
    }
    fail();
}

/* The log is durable and the view is not: it follows when it is built. */
static void
test_erase_before_the_view(void **state)
{
    (void)state;
    struct ilea_erase_result result;
    uint32_t changed, stated;
    struct ilea_erase_record gone = make_need(&pair.a, ILEA_SCOPE_PEERS, "gone");
    ILEA_TEST_OK(erase(&pair.a, &gone, &result));
    ilea_erased_file_close(pair.a_file);
    ilea_test_home_close(&pair.a);
    ilea_test_home_open(&pair.a);
    pair.a_file = attach(&pair.a, &changed, &stated);
    assert_int_equal(changed, 0);
    assert_int_equal(stated, 0);
    assert_false(is_shown(&pair.a, &gone));
    check_rebuilds(&pair.a);
}

/* Another agency's dots name nothing of ours. */
static void
test_erase_counts_for_own_feeds_alone(void **state)
{
    (void)state;
    struct ilea_erase_record ours = make_need(&pair.b, ILEA_SCOPE_PEERS, "ours");
    struct ilea_transaction *txn = NULL;
    struct ilea_feed_row feed = *ilea_author_feed(pair.b.author, ILEA_SCOPE_PEERS);
    struct ilea_chain_row chain;
    struct ilea_log_commit commit;
    struct ilea_commit decoded;
    struct ilea_msgpack_reader slots;
    uint32_t changed;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(pair.b.log), true, &txn));
    ILEA_TEST_OK(ilea_log_chain(txn, feed.number, feed.seq, &chain));
    ILEA_TEST_OK(ilea_log_commit_at(txn, chain.position, &commit));
    ILEA_TEST_OK(ilea_commit_decode(commit.bytes, &decoded));
    struct ilea_erased_dot dots[ILEA_COMMIT_ITEMS_MAX];
    memset(dots, 0, sizeof dots);
    ilea_msgpack_reader_init(&slots, decoded.slots);
    for (uint32_t i = 0; i < decoded.header.item_count; i++) {
        dots[i].seq = feed.seq;
        dots[i].index = i;
        ilea_dot_feed_of(&feed.id, dots[i].feed);
        ilea_item_leaf(i, ilea_slot_next(&slots), dots[i].leaf);
    }
    const struct ilea_erasing foreign = { .agency = pair.a.own.card.agency };
    ILEA_TEST_OK(ilea_log_erase(txn, &foreign, dots, decoded.header.item_count, &changed));
    assert_true(ilea_log_is_erased(txn, &foreign.agency, dots[0].feed, dots[0].seq, 0, dots[0].leaf));
    assert_false(ilea_log_is_erased(txn, &feed.origin.agency, dots[0].feed, dots[0].seq, 0, dots[0].leaf));
    const uint32_t count = decoded.header.item_count;
    dots[count - 1].leaf[0] ^= 1; /* and another leaf is another item */
    const struct ilea_erasing own = { .agency = feed.origin.agency };
    ILEA_TEST_OK(ilea_log_erase(txn, &own, &dots[count - 1], 1, &changed));
    dots[0].leaf[0] ^= 0;
    ILEA_TEST_OK(ilea_log_erase(txn, &own, dots, 1, &changed)); /* a statement stays: slot 0 is the opening */
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    assert_true(is_shown(&pair.b, &ours));
    check_rebuilds(&pair.b);
}

static void
state_dots(struct ilea_test_home *from, struct ilea_test_home *to, uint32_t count, uint64_t seq, uint64_t now_ms)
{
    static struct ilea_erased_dot dots[ILEA_ERASE_DOTS_MAX];
    static uint8_t bytes[ILEA_ITEM_SIZE_MAX];
    const struct ilea_author_commit *commits;
    struct ilea_commit_builder *builder = NULL;
    struct ilea_msgpack_writer writer;
    struct ilea_span commit;
    struct ilea_commit_id id, prev = { { 1 } };
    uint32_t written;
    memset(dots, 0, sizeof dots);
    for (uint32_t i = 0; i < count; i++) {
        dots[i].feed[0] = 77;
        dots[i].seq = 100 * seq + i / 1024;
        dots[i].index = i % 1024;
        dots[i].leaf[0] = (uint8_t)i;
    }
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_erase_put(&writer, dots, count, (struct ilea_span){ NULL, 0 }, NULL, 0);
    ILEA_TEST_OK(ilea_commit_builder_new(&builder));
    struct ilea_feed_row feed = { .origin = { .agency = from->own.card.agency, .node = from->own.manifest.node,
                                              .scope = ILEA_SCOPE_CONTROL, .incarnation = { 9 } } };
    ilea_feed_id_of(&from->own.manifest.network, &feed.origin, &feed.id);
    ilea_commit_begin(builder, &from->own.manifest.network, &feed.id, seq, &prev);
    ILEA_TEST_OK(ilea_commit_add_statement(builder, ilea_msgpack_written(&writer)));
    ilea_commit_end(builder, from->own.keys.node, &commit, &id);
    ILEA_TEST_OK(ilea_author_begin(to->author, now_ms));
    struct ilea_transaction *txn = ilea_author_transaction(to->author);
    struct ilea_feed_row known;
    if (ilea_log_feed_by_id(txn, &feed.id, &known) == ILEA_ERROR_NOT_FOUND) {
        ILEA_TEST_OK(ilea_log_add_feed(txn, &feed));
        known = feed;
    }
    ILEA_TEST_OK(ilea_erase_take(to->author, &known, seq, commit));
    ILEA_TEST_OK(ilea_author_commit(to->author, &commits, &written));
    ilea_commit_builder_free(builder);
}

static struct ilea_erase_day
day_of(struct ilea_test_home *home, const struct ilea_agency_id *agency)
{
    struct ilea_transaction *txn = NULL;
    struct ilea_erase_day day;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_log_erase_day(txn, agency, &day));
    ilea_transaction_abort(txn);
    return day;
}

/* A stolen node key cannot empty the network: a day's allowance, the rest waits, a later day goes on. */
static void
test_erase_allowance(void **state)
{
    (void)state;
    const uint64_t now = 20000ull * ILEA_DAY_MS;
    const struct ilea_agency_id *agency = &pair.a.own.card.agency;
    const struct ilea_author_commit *commits;
    uint32_t count, written;
    state_dots(&pair.a, &pair.b, 900, 2, now);
    assert_int_equal(day_of(&pair.b, agency).count, 900);
    assert_int_equal(day_of(&pair.b, agency).due, 0);
    state_dots(&pair.a, &pair.b, 900, 2, now); /* the same again costs nothing */
    assert_int_equal(day_of(&pair.b, agency).count, 900);
    state_dots(&pair.a, &pair.b, 2048, 3, now);
    assert_int_equal(day_of(&pair.b, agency).count, ILEA_ERASE_FREE);
    assert_int_equal(day_of(&pair.b, agency).due, 2048 - 100);
    for (unsigned day = 1; day <= 2; day++) {
        for (unsigned twice = 0; twice < 2; twice++) {
            ILEA_TEST_OK(ilea_author_begin(pair.b.author, now + day * (uint64_t)ILEA_DAY_MS));
            ILEA_TEST_OK(ilea_erase_due(pair.b.author, &count));
            ILEA_TEST_OK(ilea_author_commit(pair.b.author, &commits, &written));
            assert_int_equal(count, twice == 1 ? 0 : day == 1 ? 1000 : 948);
        }
    }
    assert_int_equal(day_of(&pair.b, agency).due, 0);
    /* A clock that is put back gives nothing new. */
    state_dots(&pair.a, &pair.b, 500, 4, now);
    assert_int_equal(day_of(&pair.b, agency).due, 948 + 500 - 1000);
}

/* What is due is hidden and still there; what states it is cut off: it counts again. */
static void
test_erase_due_is_hidden_and_cut(void **state)
{
    (void)state;
    struct ilea_erase_result result;
    const uint64_t today = 1700000000000 / ILEA_DAY_MS;
    struct ilea_transaction *txn = NULL;
    struct ilea_erase_record need = make_need(&pair.a, ILEA_SCOPE_PEERS, "due");
    carry_scope(&pair.a, ILEA_SCOPE_PEERS, &pair.b);
    assert_true(is_shown(&pair.b, &need));
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(pair.b.log), true, &txn));
    ILEA_TEST_OK(ilea_log_put_erase_day(txn, &pair.a.own.card.agency, (uint32_t)today, ILEA_ERASE_FREE));
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    ILEA_TEST_OK(erase(&pair.a, &need, &result));
    carry_scope(&pair.a, ILEA_SCOPE_CONTROL, &pair.b);
    assert_false(is_shown(&pair.b, &need));
    assert_int_equal(count_items(&pair.b, &pair.a.own.card.agency), 1);
    check_rebuilds(&pair.b);
    check_same();
    assert_int_equal(day_of(&pair.b, &pair.a.own.card.agency).due, 1);
    struct ilea_feed_row control;
    bool truncated = false;
    const struct ilea_commit_id none = { { 0 } };
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(pair.b.log), true, &txn));
    ILEA_TEST_OK(ilea_log_feed_by_id(txn, &ilea_author_feed(pair.a.author, ILEA_SCOPE_CONTROL)->id, &control));
    ILEA_TEST_OK(ilea_log_limit_feed(txn, &control, 0, &none, &truncated));
    assert_true(truncated);
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    assert_int_equal(day_of(&pair.b, &pair.a.own.card.agency).due, 0);
    char path[ILEA_PATH_SIZE];
    struct ilea_environment *view;
    struct ilea_view_builder *builder;
    struct ilea_view_meta meta;
    bool caught_up;
    ilea_home_path(pair.b.path, "again", path);
    ILEA_TEST_OK(ilea_view_open(path, false, true, &view));
    ILEA_TEST_OK(ilea_view_builder_new(pair.b.log, view, &pair.b.own.keys, &builder));
    ILEA_TEST_OK(ilea_view_builder_run(builder, UINT64_MAX, UINT64_MAX, &caught_up, &meta));
    assert_int_equal(meta.records, 1);
    ilea_view_builder_free(builder);
    ilea_environment_close(view);
}

/* What a receipt of ours says of another's control feed. */
static uint64_t
claimed(struct ilea_test_home *home, struct ilea_test_home *author, bool *seen)
{
    struct ilea_transaction *log = NULL, *view = NULL;
    struct ilea_claim claim = { .author = author->own.card.agency };
    struct ilea_receipt_body body;
    uint64_t value = 0;
    ilea_test_home_build(home);
    ILEA_TEST_OK(ilea_transaction_begin(home->view, false, &view));
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &log));
    struct ilea_audience_cache *audiences = NULL;
    ILEA_TEST_OK(ilea_audience_cache_new(&audiences));
    ILEA_TEST_OK(ilea_claims_make(log, view, ilea_log_identity(home->log), audiences, &claim, 1));
    ilea_audience_cache_free(audiences);
    ILEA_TEST_OK(ilea_receipt_body_decode((struct ilea_span){ claim.body, claim.size }, &body));
    for (uint32_t i = 0; i < body.feed_count; i++) {
        struct ilea_receipt_feed feed;
        ilea_receipt_feed_next(&body.feeds, &feed);
        const struct ilea_feed_id *control = &ilea_author_feed(author->author, ILEA_SCOPE_CONTROL)->id;
        if (memcmp(feed.feed.bytes, control->bytes, sizeof control->bytes) == 0) value = feed.seen;
    }
    *seen = claim.seen;
    free(claim.body);
    ilea_transaction_abort(log);
    ilea_transaction_abort(view);
    return value;
}

/* Signed by two admins it is deleted whatever the allowance says, by one alone it is due; and it is confirmed when it
 * is gone, not when it is hidden. */
static void
test_erase_signatures(void **state)
{
    (void)state;
    static struct ilea_test_home owner;
    uint32_t changed, stated, written;
    bool seen;
    const struct ilea_author_commit *commits;
    const uint64_t now = 1700000000000;
    ilea_test_home_make_with(&owner, "DE-BKA", 2);
    ilea_test_home_meet(&owner, &pair.b.own, true);
    ilea_test_home_meet(&pair.b, &owner.own, true);
    struct ilea_erased_file *file = attach(&owner, &changed, &stated);
    const struct ilea_agency_id *agency = &owner.own.card.agency;
    struct ilea_erase_record needs[2] = { make_need(&owner, ILEA_SCOPE_PEERS, "by one"),
                                          make_need(&owner, ILEA_SCOPE_PEERS, "by two") };
    carry_scope(&owner, ILEA_SCOPE_PEERS, &pair.b);
    struct ilea_transaction *txn = NULL;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(pair.b.log), true, &txn));
    ILEA_TEST_OK(ilea_log_put_erase_day(txn, agency, (uint32_t)(now / ILEA_DAY_MS), ILEA_ERASE_FREE));
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    for (unsigned i = 0; i < 2; i++) {
        struct ilea_erase_dots dots = { .shared = NULL };
        struct ilea_act act = { .agency = *agency, .made_ms = now, .pair_count = 1 };
        struct ilea_act_signature sigs[2];
        struct ilea_erase_result result;
        uint8_t hash[ILEA_HASH_SIZE], bytes[1024];
        char hex[2 * ILEA_HASH_SIZE + 1];
        size_t size;
        ilea_test_home_build(&owner);
        ILEA_TEST_OK(ilea_author_begin(owner.author, now));
        struct ilea_view_row row;
        struct ilea_transaction *view = NULL;
        ILEA_TEST_OK(ilea_transaction_begin(owner.view, false, &view));
        ILEA_TEST_OK(ilea_view_find_id(view, &needs[i].id, 0, &row));
        ILEA_TEST_OK(ilea_erase_dots_of(&dots, ilea_author_transaction(owner.author), view, row.number, false));
        ilea_transaction_abort(view);
        ilea_erase_dots_sort(&dots, hash);
        ilea_erase_dots_free(&dots);
        ilea_hex_format(hash, sizeof hash, hex);
        act.nonce[0] = (uint8_t)i;
        act.kind = (struct ilea_span){ (const uint8_t *)"record.erase", 12 };
        act.pairs[0].key = (struct ilea_span){ (const uint8_t *)"dots", 4 };
        act.pairs[0].value = (struct ilea_span){ (const uint8_t *)hex, sizeof hex - 1 };
        ILEA_TEST_OK(ilea_act_encode(&act, bytes, sizeof bytes, &size));
        for (unsigned j = 0; j <= i; j++) {
            sigs[j].admin = owner.own.manifest.admins[j];
            ilea_act_sign(&act, &owner.own.manifest.network, owner.own.admins[j], &sigs[j].sig);
        }
        struct ilea_erase_request request = request_of(&needs[i]);
        request.act = (struct ilea_span){ bytes, size };
        request.sigs = sigs;
        request.sig_count = i + 1;
        request.records = &needs[1 - i];
        assert_int_equal(ilea_author_erase(owner.author, &request, &result),
                         i == 0 ? ILEA_ERROR_INVALID : ILEA_ERROR_NOT_FOUND); /* these it does not name */
        request.records = &needs[i];
        ILEA_TEST_OK(ilea_author_erase(owner.author, &request, &result));
        ILEA_TEST_OK(ilea_author_commit(owner.author, &commits, &written));
        carry_scope(&owner, ILEA_SCOPE_CONTROL, &pair.b);
        assert_false(is_shown(&pair.b, &needs[i]));
        assert_int_equal(day_of(&pair.b, agency).due, 1);
        assert_int_equal(count_items(&pair.b, agency), 2 - i);
        assert_int_equal(claimed(&pair.b, &owner, &seen), 0); /* the first statement is not carried out */
        assert_false(seen);
    }
    ILEA_TEST_OK(ilea_author_begin(pair.b.author, now + ILEA_DAY_MS));
    ILEA_TEST_OK(ilea_erase_due(pair.b.author, &changed));
    assert_int_equal(changed, 1);
    ILEA_TEST_OK(ilea_author_commit(pair.b.author, &commits, &written));
    assert_int_equal(count_items(&pair.b, agency), 0);
    assert_int_equal(claimed(&pair.b, &owner, &seen), 2);
    assert_true(seen);
    check_rebuilds(&pair.b);
    ilea_erased_file_close(file);
    ilea_test_home_remove(&owner);
}

/* More than a day's records need signatures. */
static void
test_erase_day_limit(void **state)
{
    (void)state;
    struct ilea_erase_result result;
    const struct ilea_author_commit *commits;
    uint32_t count;
    struct ilea_erase_record records[3];
    for (unsigned i = 0; i < 3; i++) records[i] = make_need(&pair.a, ILEA_SCOPE_PEERS, "one");
    struct ilea_erase_request request = request_of(records);
    request.day_max = 2;
    request.count = 3;
    ILEA_TEST_OK(ilea_author_begin(pair.a.author, 1700000000000));
    assert_int_equal(ilea_author_erase(pair.a.author, &request, &result), ILEA_ERROR_PERMISSION);
    assert_non_null(strstr(result.reason, "--admin"));
    request.count = 2;
    ILEA_TEST_OK(ilea_author_erase(pair.a.author, &request, &result));
    ILEA_TEST_OK(ilea_author_commit(pair.a.author, &commits, &count));
    ilea_test_home_build(&pair.a);
    request.records = &records[2];
    request.count = 1;
    ILEA_TEST_OK(ilea_author_begin(pair.a.author, 1700000000000 + ILEA_DAY_MS - 1));
    assert_int_equal(ilea_author_erase(pair.a.author, &request, &result), ILEA_ERROR_PERMISSION);
    ilea_author_abort(pair.a.author);
    ILEA_TEST_OK(ilea_author_begin(pair.a.author, 1700000000000 + ILEA_DAY_MS));
    ILEA_TEST_OK(ilea_author_erase(pair.a.author, &request, &result));
    ILEA_TEST_OK(ilea_author_commit(pair.a.author, &commits, &count));
    request.records = records;
    request.count = 1;
    ilea_test_home_build(&pair.a);
    ILEA_TEST_OK(ilea_author_begin(pair.a.author, 1700000000000 + 10ull * ILEA_DAY_MS));
    assert_int_equal(ilea_author_erase(pair.a.author, &request, &result), ILEA_ERROR_NOT_FOUND);
    request.reason.size = 0;
    assert_int_equal(ilea_author_erase(pair.a.author, &request, &result), ILEA_ERROR_INVALID);
    ilea_author_abort(pair.a.author);
}

/* What we said about a record that somebody erases goes with it. */
static void
test_erase_takes_comments_along(void **state)
{
    (void)state;
    struct ilea_erase_result result;
    const struct ilea_author_commit *commits;
    uint32_t count;
    struct ilea_erase_record gone = make_need(&pair.a, ILEA_SCOPE_PEERS, "gone");
    struct ilea_erase_record kept = make_need(&pair.a, ILEA_SCOPE_PEERS, "kept");
    carry_scope(&pair.a, ILEA_SCOPE_PEERS, &pair.b);
    ilea_test_home_build(&pair.b);
    struct ilea_erase_record comments[2];
    for (unsigned i = 0; i < 2; i++) {
        ilea_test_put_begin(&put, ILEA_PUT_CREATE, ILEA_SCOPE_PEERS, 20, NULL);
        ilea_test_put_id(&put, "about", i == 0 ? &gone.id : &kept.id);
        ilea_test_put_text(&put, "body", "quotes it");
        ILEA_TEST_OK(ilea_test_write(&pair.b, &put, &made));
        comments[i] = (struct ilea_erase_record){ 20, made.id };
    }
    carry_scope(&pair.b, ILEA_SCOPE_PEERS, &pair.a);
    ILEA_TEST_OK(erase(&pair.a, &gone, &result));
    assert_true(is_shown(&pair.a, &comments[0])); /* there, for the digest, */
    struct ilea_transaction *txn = NULL;
    struct ilea_view_row row;
    ILEA_TEST_OK(ilea_transaction_begin(pair.a.view, false, &txn));
    ILEA_TEST_OK(ilea_view_find_id(txn, &comments[0].id, 0, &row));
    assert_true(ilea_view_is_concealed(txn, row.number)); /* and not for readers */
    ILEA_TEST_OK(ilea_view_find_id(txn, &comments[1].id, 0, &row));
    assert_false(ilea_view_is_concealed(txn, row.number));
    ilea_transaction_abort(txn);
    carry_scope(&pair.a, ILEA_SCOPE_CONTROL, &pair.b);
    assert_false(is_shown(&pair.b, &gone));
    ILEA_TEST_OK(ilea_author_begin(pair.b.author, 1700000000000));
    ILEA_TEST_OK(ilea_author_erase_strays(pair.b.author, &count));
    assert_int_equal(count, 1);
    ILEA_TEST_OK(ilea_author_commit(pair.b.author, &commits, &count));
    assert_false(is_shown(&pair.b, &comments[0]));
    assert_true(is_shown(&pair.b, &comments[1]));
    carry_scope(&pair.b, ILEA_SCOPE_CONTROL, &pair.a);
    assert_false(is_shown(&pair.a, &comments[0]));
    assert_true(is_shown(&pair.a, &comments[1]));
    check_same();
    check_rebuilds(&pair.a);
    check_rebuilds(&pair.b);
}

/* A record that stays, for fewer: what was shared of it before goes, its own past in the agency stays. */
static void
test_erase_narrowing(void **state)
{
    (void)state;
    const struct ilea_author_commit *commits;
    uint32_t count, dots = 0;
    struct ilea_audience_id closed;
    memset(closed.bytes, 5, sizeof closed.bytes);
    struct ilea_erase_record need = make_need(&pair.a, ILEA_SCOPE_AGENCY, "draft");
    retitle(&pair.a, &need, ILEA_SCOPE_PEERS, "published");
    carry_scope(&pair.a, ILEA_SCOPE_PEERS, &pair.b);
    assert_true(is_shown(&pair.b, &need));
    static const char reason[] = "narrowed";
    const struct ilea_span span = { (const uint8_t *)reason, sizeof reason - 1 };
    ILEA_TEST_OK(ilea_author_begin(pair.a.author, 1700000000000));
    ILEA_TEST_OK(ilea_author_narrow(pair.a.author, &need, &closed, span, &dots));
    assert_int_equal(dots, 1);
    ILEA_TEST_OK(ilea_author_commit(pair.a.author, &commits, &count));
    carry_scope(&pair.a, ILEA_SCOPE_CONTROL, &pair.b);
    assert_false(is_shown(&pair.b, &need));
    assert_true(is_shown(&pair.a, &need)); /* as its draft, until its new state is written */
    check_rebuilds(&pair.a);
    check_rebuilds(&pair.b);
    ILEA_TEST_OK(ilea_author_begin(pair.a.author, 1700000000000));
    assert_int_equal(ilea_author_narrow(pair.a.author, &need, &closed, span, &dots), ILEA_ERROR_NOT_FOUND);
    ilea_author_abort(pair.a.author);
}

/* The side file after any damage: rows that are whole are read, the log gives back the others. */
static void
test_erased_file_damage(void **state)
{
    (void)state;
    char path[ILEA_PATH_SIZE];
    uint8_t bytes[2048];
    struct ilea_erase_result result;
    uint32_t changed, stated;
    for (unsigned i = 0; i < 3; i++) {
        struct ilea_erase_record gone = make_need(&pair.a, ILEA_SCOPE_PEERS, "gone");
        ILEA_TEST_OK(erase(&pair.a, &gone, &result));
    }
    ilea_home_path(pair.a.path, "state/erased", path);
    ilea_erased_file_close(pair.a_file);
    int fd = open(path, O_RDONLY);
    ssize_t size = read(fd, bytes, sizeof bytes);
    close(fd);
    assert_int_equal(size, 3 * (93 + 8 + 255 + 8));
    for (ssize_t cut = 0; cut <= size; cut += 37) {
        fd = open(path, O_WRONLY | O_TRUNC);
        assert_int_equal(write(fd, bytes, (size_t)cut), cut); /* torn */
        if (cut % 2 == 1) assert_int_equal(write(fd, "\0\0\0\0\0", 5), 5);
        close(fd);
        pair.a_file = attach(&pair.a, &changed, &stated);
        assert_int_equal(changed + stated, 0);
        ilea_erased_file_close(pair.a_file);
        fd = open(path, O_RDONLY);
        uint8_t again[2048];
        assert_int_equal(read(fd, again, sizeof again), size); /* as long as it was: whole again */
        close(fd);
    }
    for (ssize_t at = 0; at < size; at += 13) {
        bytes[at] ^= 1;
        fd = open(path, O_WRONLY | O_TRUNC);
        assert_int_equal(write(fd, bytes, (size_t)size), size);
        close(fd);
        bytes[at] ^= 1;
        pair.a_file = attach(&pair.a, &changed, &stated);
        assert_int_equal(changed + stated, 0);
        ilea_erased_file_close(pair.a_file);
    }
    pair.a_file = attach(&pair.a, &changed, &stated);
}

/* Every prefix of a row is refused, and every bit counts. */
static void
test_erased_record_decode(void **state)
{
    (void)state;
    char path[ILEA_PATH_SIZE];
    uint8_t bytes[1024];
    struct ilea_erase_result result;
    struct ilea_erased_record record;
    struct ilea_erase_record gone = make_need(&pair.a, ILEA_SCOPE_PEERS, "gone");
    ILEA_TEST_OK(erase(&pair.a, &gone, &result));
    ilea_home_path(pair.a.path, "state/erased", path);
    int fd = open(path, O_RDONLY);
    ssize_t size = read(fd, bytes, sizeof bytes);
    close(fd);
    for (size_t start = 0; start < (size_t)size; start += record.size) {
        ILEA_TEST_OK(ilea_erased_record_decode((struct ilea_span){ bytes + start, (size_t)size - start }, &record));
        const size_t whole = record.size;
        for (size_t cut = 0; cut < whole; cut++) {
            assert_int_equal(ilea_erased_record_decode((struct ilea_span){ bytes + start, cut }, &record),
                             ILEA_ERROR_NOT_FOUND);
        }
        for (size_t bit = 0; bit < whole * 8; bit++) {
            bytes[start + bit / 8] ^= (uint8_t)(1 << bit % 8);
            enum ilea_error error =
                ilea_erased_record_decode((struct ilea_span){ bytes + start, whole }, &record);
            assert_true(error == ILEA_ERROR_CORRUPT || error == ILEA_ERROR_NOT_FOUND);
            bytes[start + bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        ILEA_TEST_OK(ilea_erased_record_decode((struct ilea_span){ bytes + start, whole }, &record));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_pair, end_pair)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_erase_own_record),
        TEST(test_erase_shows_in_change_feed),
        TEST(test_nothing_brings_it_back_a_late_peer),
        TEST(test_erase_statement_before_items),
        TEST(test_erase_merges_anew),
        TEST(test_nothing_brings_it_back_a_restored_backup),
        TEST(test_nothing_brings_it_back_a_forgotten_incarnation),
        TEST(test_nothing_brings_it_back_a_rebuild),
        TEST(test_erase_crash_points),
        TEST(test_erase_before_the_view),
        TEST(test_erase_counts_for_own_feeds_alone),
        TEST(test_erase_allowance),
        TEST(test_erase_due_is_hidden_and_cut),
        TEST(test_erase_signatures),
        TEST(test_erase_day_limit),
        TEST(test_erase_takes_comments_along),
        TEST(test_erase_narrowing),
        TEST(test_erased_file_damage),
        TEST(test_erased_record_decode),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
