/* What a node claims of others' feeds, and which receipts it keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "node/audience.h"
#include "node/behind.h"
#include "node/receipts.h"
#include "tests/support/home.h"

static struct ilea_test_home holder, author;
static struct ilea_put_result result;

static int
make_homes(void **state)
{
    (void)state;
    ilea_test_home_make(&holder, "FR-PN");
    ilea_test_home_make(&author, "DE-BKA");
    ilea_test_home_meet(&holder, &author.own, true);
    return 0;
}

static int
remove_homes(void **state)
{
    (void)state;
    ilea_test_home_remove(&holder);
    ilea_test_home_remove(&author);
    return 0;
}

/* The holder gets what the author has written so far. */
static void
carry(void)
{
    ilea_test_home_carry(&author, &ilea_author_feed(author.author, ILEA_SCOPE_PEERS)->id, UINT64_MAX, &holder);
}

static struct ilea_claim
make_claim(struct ilea_receipt_body *body, enum ilea_error expected)
{
    struct ilea_transaction *log = NULL, *view = NULL;
    struct ilea_claim claim = { .author = author.own.card.agency };
    ILEA_TEST_OK(ilea_transaction_begin(holder.view, false, &view));
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(holder.log), false, &log));
    struct ilea_audience_cache *audiences = NULL;
    ILEA_TEST_OK(ilea_audience_cache_new(&audiences));
    assert_int_equal(ilea_claims_make(log, view, ilea_log_identity(holder.log), audiences, &claim, 1), expected);
    ilea_audience_cache_free(audiences);
    ilea_transaction_abort(log);
    ilea_transaction_abort(view);
    if (expected == ILEA_ERROR_NONE) {
        ILEA_TEST_OK(ilea_receipt_body_decode((struct ilea_span){ claim.body, claim.size }, body));
    }
    return claim;
}

/* One feed, held to its end; how far it is seen, and how much of it cannot be read. */
static void
expect_claim(uint64_t seen, uint32_t unread)
{
    struct ilea_receipt_body body;
    struct ilea_receipt_feed feed;
    struct ilea_claim claim = make_claim(&body, ILEA_ERROR_NONE);
    const struct ilea_feed_row *row = ilea_author_feed(author.author, ILEA_SCOPE_PEERS);
    assert_int_equal(body.feed_count, 1);
    ilea_receipt_feed_next(&body.feeds, &feed);
    assert_memory_equal(feed.feed.bytes, row->id.bytes, sizeof row->id.bytes);
    assert_true(feed.held == row->seq && feed.seen == seen);
    assert_int_equal(claim.seen, seen == row->seq);
    assert_int_equal(body.unread_count, unread);
    for (uint32_t i = 0; i < unread; i++) {
        struct ilea_receipt_unread item;
        ilea_receipt_unread_next(&body.unread, &item);
        assert_int_equal(item.why, ILEA_UNREAD_KEY);
    }
    free(claim.body);
}

/* Goal: nothing counts as seen before the view shows it, and what waits for a key is named until the key comes. */
static void
test_claims(void **state)
{
    (void)state;
    ilea_test_home_build(&holder);
    struct ilea_receipt_body body;
    struct ilea_claim claim = make_claim(&body, ILEA_ERROR_NONE);
    assert_int_equal(body.feed_count + body.archive_count + body.unread_count, 0);
    free(claim.body);
    for (int i = 0; i < 3; i++) ilea_test_need(&author, ILEA_SCOPE_PEERS, "before we were approved", &result);
    carry();
    expect_claim(0, 0);
    ilea_test_home_build(&holder);
    uint64_t first = ilea_author_feed(author.author, ILEA_SCOPE_PEERS)->seq;
    expect_claim(first, 3);
    ilea_test_need(&author, ILEA_SCOPE_PEERS, "one more", &result);
    carry();
    expect_claim(first, 3);
    ilea_test_home_meet(&author, &holder.own, true);
    ilea_test_need(&author, ILEA_SCOPE_PEERS, "after", &result);
    carry();
    ilea_test_home_build(&holder);
    expect_claim(ilea_author_feed(author.author, ILEA_SCOPE_PEERS)->seq, 0);
}

/* Goal: where more cannot be read than a receipt names, the rest does not count as seen. */
static void
test_many_unread(void **state)
{
    (void)state;
    for (int i = 0; i < ILEA_RECEIPT_UNREAD_MAX + 20; i++) {
        ilea_test_need(&author, ILEA_SCOPE_PEERS, "before we were approved", &result);
    }
    carry();
    ilea_test_home_build(&holder);
    struct ilea_receipt_body body;
    struct ilea_receipt_feed feed;
    struct ilea_claim claim = make_claim(&body, ILEA_ERROR_NONE);
    assert_int_equal(body.unread_count, ILEA_RECEIPT_UNREAD_MAX);
    ilea_receipt_feed_next(&body.feeds, &feed);
    assert_true(feed.held == ilea_author_feed(author.author, ILEA_SCOPE_PEERS)->seq);
    uint64_t last = 0;
    for (uint32_t i = 0; i < body.unread_count; i++) {
        struct ilea_receipt_unread item;
        ilea_receipt_unread_next(&body.unread, &item);
        last = item.seq;
    }
    assert_true(feed.seen >= last && feed.seen < last + 2 && feed.seen < feed.held);
    free(claim.body);
}

/* Issue what there is to claim; the receipt's bytes (heap). */
static uint8_t *
issue(uint64_t now_ms, struct ilea_receipt *receipt, struct ilea_span *bytes)
{
    struct ilea_receipt_body body;
    struct ilea_transaction *txn = NULL;
    struct ilea_receipt_row row;
    struct ilea_claim claim = make_claim(&body, ILEA_ERROR_NONE);
    const struct ilea_log_identity *identity = ilea_log_identity(holder.log);
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(holder.log), true, &txn));
    ILEA_TEST_OK(ilea_receipts_issue(txn, identity, &holder.own.keys, &claim, now_ms));
    ILEA_TEST_OK(ilea_log_receipt(txn, &claim.author, &identity->agency, &row));
    uint8_t *copy = malloc(row.bytes.size);
    assert_non_null(copy);
    memcpy(copy, row.bytes.data, row.bytes.size);
    *bytes = (struct ilea_span){ copy, row.bytes.size };
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    ILEA_TEST_OK(ilea_receipt_decode(*bytes, receipt));
    free(claim.body);
    return copy;
}

static enum ilea_error
take(struct ilea_test_home *home, struct ilea_span bytes, uint64_t now_ms)
{
    struct ilea_transaction *txn = NULL;
    struct ilea_receipt receipt;
    enum ilea_error error = ilea_receipt_decode(bytes, &receipt);
    if (error != ILEA_ERROR_NONE) return error;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), true, &txn));
    error = ilea_receipts_take(txn, ilea_log_identity(home->log), &home->own.keys, &holder.own.card.agency, &receipt,
                               bytes, now_ms);
    if (error == ILEA_ERROR_NONE) {
        ILEA_TEST_OK(ilea_transaction_commit(txn));
    } else {
        ilea_transaction_abort(txn);
    }
    return error;
}

static uint64_t
held_counter(uint64_t *held)
{
    struct ilea_transaction *txn = NULL;
    struct ilea_receipt_row row;
    struct ilea_receipt_body body;
    struct ilea_receipt_feed feed = { .held = 0 };
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(author.log), false, &txn));
    ILEA_TEST_OK(ilea_log_receipt(txn, &author.own.card.agency, &holder.own.card.agency, &row));
    ILEA_TEST_OK(ilea_receipt_body_decode(row.body, &body));
    if (body.feed_count > 0) ilea_receipt_feed_next(&body.feeds, &feed);
    *held = feed.held;
    ilea_transaction_abort(txn);
    return row.counter;
}

/* Goal: the newest claim counts, a smaller one too; an older one, an altered one or a stranger's never does. */
static void
test_take(void **state)
{
    (void)state;
    struct ilea_receipt receipts[3];
    struct ilea_span bytes[3];
    uint8_t *copies[3];
    uint64_t held;
    ilea_test_home_build(&holder);
    copies[0] = issue(5000, &receipts[0], &bytes[0]); /* of nothing */
    ilea_test_need(&author, ILEA_SCOPE_PEERS, "one", &result);
    carry();
    copies[1] = issue(4000, &receipts[1], &bytes[1]); /* the clock went back: the counter does not */
    assert_true(receipts[0].counter == 5000 && receipts[1].counter == 5001);
    assert_int_equal(take(&author, bytes[1], 1), ILEA_ERROR_NOT_FOUND); /* nobody knows this holder */
    ilea_test_home_meet(&author, &holder.own, false);
    ILEA_TEST_OK(take(&author, bytes[1], 1));
    assert_true(held_counter(&held) == 5001 && held > 0);
    assert_int_equal(take(&author, bytes[0], 2), ILEA_ERROR_EXISTS);
    assert_int_equal(take(&author, bytes[1], 2), ILEA_ERROR_EXISTS);
    assert_true(held_counter(&held) == 5001 && held > 0);
    copies[2] = issue(9000, &receipts[2], &bytes[2]);
    copies[2][bytes[2].size - 1] ^= 1;
    assert_int_equal(take(&author, bytes[2], 3), ILEA_ERROR_BAD_SIGNATURE);
    copies[2][bytes[2].size - 1] ^= 1;
    copies[2][100] ^= 1;
    assert_int_not_equal(take(&author, bytes[2], 3), ILEA_ERROR_NONE);
    copies[2][100] ^= 1;
    ILEA_TEST_OK(take(&author, bytes[2], 3));
    assert_true(held_counter(&held) == 9000);
    for (int i = 0; i < 3; i++) free(copies[i]);
}

/* Goal: a node that was put back claims less with a higher number, and that is what its author goes by. */
static void
test_restored(void **state)
{
    (void)state;
    struct ilea_receipt receipt;
    struct ilea_span bytes;
    struct ilea_receipt_body body;
    uint64_t held;
    ilea_test_home_meet(&author, &holder.own, true);
    ilea_test_home_build(&holder);
    struct ilea_claim nothing = make_claim(&body, ILEA_ERROR_NONE); /* as the restored node sees it */
    ilea_test_need(&author, ILEA_SCOPE_PEERS, "one", &result);
    carry();
    uint8_t *copy = issue(5000, &receipt, &bytes);
    ILEA_TEST_OK(take(&author, bytes, 1));
    assert_true(held_counter(&held) == 5000 && held > 0);
    free(copy);

    struct ilea_transaction *txn = NULL;
    struct ilea_receipt_row row;
    const struct ilea_log_identity *identity = ilea_log_identity(holder.log);
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(holder.log), true, &txn));
    ILEA_TEST_OK(ilea_receipts_issue(txn, identity, &holder.own.keys, &nothing, 6000));
    ILEA_TEST_OK(ilea_log_receipt(txn, &nothing.author, &identity->agency, &row));
    ILEA_TEST_OK(take(&author, row.bytes, 2));
    ilea_transaction_abort(txn);
    assert_true(held_counter(&held) == 6000 && held == 0);
    free(nothing.body);
}

/* Goal: stamps rise, over a clock that goes back too; each pair stands once among them. */
static void
test_stamps(void **state)
{
    (void)state;
    static const uint8_t content[3] = { 1, 2, 3 };
    struct ilea_transaction *txn = NULL;
    struct ilea_receipt_row row, found;
    struct ilea_receipt_source source = { .database = { 9 }, .stamp = 77, .shared = { 8 } }, read;
    uint64_t stamp;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(holder.log), true, &txn));
    ILEA_TEST_OK(ilea_log_receipt_stamp(txn, &stamp));
    assert_true(stamp == 0);
    assert_int_equal(ilea_log_receipt_after(txn, 0, &found), ILEA_ERROR_NOT_FOUND);
    for (uint8_t i = 0; i < 4; i++) {
        row = (struct ilea_receipt_row){ .author = { { 1 } }, .holder = { { (uint8_t)(i % 2 + 1) } }, .counter = i,
                                         .bytes = { content, sizeof content } };
        ILEA_TEST_OK(ilea_log_put_receipt(txn, 1000u - i, &row));
        assert_true(row.stamp == 1000u + i);
    }
    ILEA_TEST_OK(ilea_log_receipt_after(txn, 0, &found));
    assert_true(found.stamp == 1002 && found.counter == 2);
    ILEA_TEST_OK(ilea_log_receipt_after(txn, found.stamp, &found));
    assert_true(found.stamp == 1003 && found.counter == 3);
    assert_memory_equal(found.bytes.data, content, sizeof content);
    assert_int_equal(ilea_log_receipt_after(txn, found.stamp, &found), ILEA_ERROR_NOT_FOUND);
    assert_int_equal(ilea_log_receipt_after(txn, UINT64_MAX, &found), ILEA_ERROR_NOT_FOUND);
    const struct ilea_agency_id one = { { 1 } }, two = { { 2 } };
    ILEA_TEST_OK(ilea_log_receipt_next(txn, &one, NULL, &found));
    assert_true(found.counter == 2);
    ILEA_TEST_OK(ilea_log_receipt_next(txn, &one, &found.holder, &found));
    assert_true(found.counter == 3);
    assert_int_equal(ilea_log_receipt_next(txn, &one, &two, &found), ILEA_ERROR_NOT_FOUND);
    ILEA_TEST_OK(ilea_log_receipt_from(txn, &one, &read));
    assert_true(read.stamp == 0);
    ILEA_TEST_OK(ilea_log_put_receipt_from(txn, &one, &source));
    ILEA_TEST_OK(ilea_log_receipt_from(txn, &one, &read));
    assert_memory_equal(&read, &source, sizeof read);
    ilea_transaction_abort(txn);
}

/* Goal: of an agency that is revoked nothing is left but what it said that it holds of ours. */
static void
test_dropped(void **state)
{
    (void)state;
    static const uint8_t content[3] = { 1, 2, 3 };
    const struct ilea_agency_id own = { { 1 } }, gone = { { 2 } }, other = { { 3 } };
    const struct { struct ilea_agency_id author, holder; bool stays; } rows[] = {
        { own, gone, true }, { own, other, true }, { gone, own, false }, { gone, other, false },
        { other, own, true }, { other, gone, false },
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct ilea_transaction *txn = NULL;
    struct ilea_receipt_row row, found;
    struct ilea_receipt_source source = { .stamp = 5 };
    uint32_t left = 0, stamps = 0;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(holder.log), true, &txn));
    for (int i = 0; i < ROWS; i++) {
        row = (struct ilea_receipt_row){ .author = rows[i].author, .holder = rows[i].holder, .counter = 1,
                                         .bytes = { content, sizeof content } };
        ILEA_TEST_OK(ilea_log_put_receipt(txn, 1000, &row));
    }
    ILEA_TEST_OK(ilea_log_put_receipt_from(txn, &gone, &source));
    ILEA_TEST_OK(ilea_log_put_receipt_from(txn, &other, &source));
    ILEA_TEST_OK(ilea_log_drop_receipts(txn, &gone, &own));
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(ilea_log_receipt(txn, &rows[i].author, &rows[i].holder, &found),
                         rows[i].stays ? ILEA_ERROR_NONE : ILEA_ERROR_NOT_FOUND);
    }
    const struct ilea_receipt_row *after = NULL;
    for (; ilea_log_receipt_walk(txn, after, &found) == ILEA_ERROR_NONE; left++, row = found, after = &row) {}
    found.stamp = 0;
    for (; ilea_log_receipt_after(txn, found.stamp, &found) == ILEA_ERROR_NONE; stamps++) {}
    assert_true(left == 3 && stamps == 3);
    ILEA_TEST_OK(ilea_log_receipt_from(txn, &gone, &source));
    assert_true(source.stamp == 0);
    ILEA_TEST_OK(ilea_log_receipt_from(txn, &other, &source));
    assert_true(source.stamp == 5);
    ilea_transaction_abort(txn);
}

static void
expect_behind(uint64_t told, uint64_t held, uint32_t count)
{
    struct ilea_transaction *txn = NULL;
    struct ilea_behind behind;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(author.log), false, &txn));
    ILEA_TEST_OK(ilea_behind_find(txn, ilea_log_identity(author.log), &holder.own.card.agency, &behind));
    ilea_transaction_abort(txn);
    assert_true(behind.told == told && behind.held == held);
    assert_int_equal(behind.count, count);
    if (count == 0) return;
    const struct ilea_feed_row *row = ilea_author_feed(holder.author, ILEA_SCOPE_PEERS);
    assert_memory_equal(behind.feeds[0].feed.bytes, row->id.bytes, sizeof row->id.bytes);
    assert_true(behind.feeds[0].seq == told);
}

/* Goal: a receipt says how long the holder's shared feeds are, not the private ones; what we lack of them is known. */
static void
test_behind(void **state)
{
    (void)state;
    struct ilea_receipt receipt;
    struct ilea_span bytes;
    ilea_test_home_meet(&author, &holder.own, true);
    ilea_test_home_build(&holder);
    expect_behind(0, 0, 0);
    ilea_test_need(&holder, ILEA_SCOPE_AGENCY, "ours alone", &result);
    ilea_test_home_build(&holder);
    uint8_t *copy = issue(5000, &receipt, &bytes);
    ILEA_TEST_OK(take(&author, bytes, 1));
    free(copy);
    expect_behind(0, 0, 0);
    for (int i = 0; i < 3; i++) ilea_test_need(&holder, ILEA_SCOPE_PEERS, "for all", &result);
    const struct ilea_feed_row *row = ilea_author_feed(holder.author, ILEA_SCOPE_PEERS);
    ilea_test_home_build(&holder);
    copy = issue(6000, &receipt, &bytes);
    ILEA_TEST_OK(take(&author, bytes, 2));
    free(copy);
    expect_behind(row->seq, 0, 1);
    ilea_test_home_carry(&holder, &row->id, row->seq - 1, &author);
    expect_behind(row->seq, row->seq - 1, 1);
    ilea_test_home_carry(&holder, &row->id, row->seq, &author);
    expect_behind(row->seq, row->seq, 0);
}

/* Of a feed that it never saw an agency is told the audience, and so whom it may ask. */
static void
test_behind_closed(void **state)
{
    (void)state;
    static struct ilea_audience_request request;
    static const char name[] = "GANGS";
    struct ilea_audience_result made;
    struct ilea_receipt receipt;
    struct ilea_behind behind;
    struct ilea_span bytes;
    struct ilea_transaction *txn;
    const struct ilea_author_commit *commits;
    uint32_t count;
    ilea_test_home_meet(&author, &holder.own, true);
    request = (struct ilea_audience_request){ .verb = ILEA_AUDIENCE_NEW, .tlp = 3, .history_ms = ILEA_HISTORY_ALL,
                                              .name = { (const uint8_t *)name, sizeof name - 1 }, .member_count = 1 };
    request.members[0] = (struct ilea_audience_member){ author.own.card.agency, ILEA_ACCESS_WRITE };
    ILEA_TEST_OK(ilea_author_begin(holder.author, 1700000000000));
    ILEA_TEST_OK(ilea_author_change_audience(holder.author, &request, &made));
    ILEA_TEST_OK(ilea_author_commit(holder.author, &commits, &count));
    ilea_test_home_build(&holder);
    uint8_t *copy = issue(5000, &receipt, &bytes);
    ILEA_TEST_OK(take(&author, bytes, 1));
    free(copy);
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(author.log), false, &txn));
    ILEA_TEST_OK(ilea_behind_find(txn, ilea_log_identity(author.log), &holder.own.card.agency, &behind));
    ilea_transaction_abort(txn);
    assert_int_equal(behind.count, 1);
    assert_true(behind.feeds[0].is_closed);
    assert_memory_equal(behind.feeds[0].audience.bytes, made.audience.bytes, sizeof made.audience.bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_claims, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_many_unread, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_take, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_restored, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_stamps, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_dropped, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_behind, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_behind_closed, make_homes, remove_homes),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
