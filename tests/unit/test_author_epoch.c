#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "node/author_state.h"
#include "tests/support/home.h"

static struct ilea_test_put put;
static struct ilea_put_result result;
static struct ilea_test_agency nl, be;

static const struct ilea_grant all = { .scopes = 15, .tlp_max = ILEA_LABEL_GREEN };
static const struct ilea_grant clear_only = { .scopes = 15, .tlp_max = ILEA_LABEL_CLEAR };
static const struct ilea_grant cyber = { .scopes = 15, .tlp_max = ILEA_LABEL_RED,
                                         .areas = { (const uint8_t *)"cybercrime,terrorism", 20 } };

static int
make_home(void **state)
{
    struct ilea_test_home *home = malloc(sizeof *home);
    if (home == NULL) return -1;
    ilea_test_home_make(home, "FR-PN");
    ilea_test_home_build(home);
    ilea_test_agency_make(&nl, "NL-PO");
    ilea_test_agency_make(&be, "BE-FP");
    ilea_test_home_meet(home, &nl, false);
    ilea_test_home_meet(home, &be, false);
    *state = home;
    return 0;
}

static int
remove_home(void **state)
{
    ilea_test_home_remove(*state);
    ilea_test_agency_free(&nl);
    ilea_test_agency_free(&be);
    free(*state);
    return 0;
}

/* A shared record with a label and areas. */
static void
write_need(struct ilea_test_home *home, const char *tlp, const char *area, const char *other_area)
{
    ilea_test_put_begin(&put, ILEA_PUT_CREATE, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, NULL);
    ilea_test_put_text(&put, "title", "a need");
    ilea_test_put_text(&put, "tlp", tlp);
    if (area != NULL) ilea_test_put_element(&put, "areas", area);
    if (other_area != NULL) ilea_test_put_element(&put, "areas", other_area);
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
}

/* Borrowed until the next call. */
static const struct ilea_audience_id *
peers_of(const struct ilea_test_home *home)
{
    static struct ilea_audience_id peers;
    ilea_audience_of_peers(&home->own.manifest.network, &home->own.card.agency, &peers);
    return &peers;
}

static uint32_t
count_epochs(struct ilea_test_home *home)
{
    struct ilea_transaction *txn;
    struct ilea_epoch_row row;
    uint32_t count = 0;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    while (ilea_log_epoch(txn, peers_of(home), count, &row) == ILEA_ERROR_NONE) count++;
    ilea_transaction_abort(txn);
    return count;
}

/* Under which epoch the last change was written: by index in the log. */
static uint32_t
last_epoch(struct ilea_test_home *home)
{
    struct ilea_transaction *txn;
    struct ilea_chain_row chain;
    struct ilea_log_commit row;
    struct ilea_commit commit;
    struct ilea_epoch_row epoch;
    struct ilea_item item;
    const struct ilea_feed_row *feed = ilea_author_feed(home->author, ILEA_SCOPE_PEERS);
    uint32_t found = UINT32_MAX;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_log_chain(txn, feed->number, feed->seq, &chain));
    ILEA_TEST_OK(ilea_log_commit_at(txn, chain.position, &row));
    ILEA_TEST_OK(ilea_commit_decode(row.bytes, &commit));
    struct ilea_msgpack_reader slots;
    ilea_msgpack_reader_init(&slots, commit.slots);
    for (uint32_t i = 0; i < commit.header.item_count; i++)
        ILEA_TEST_OK(ilea_item_decode(ilea_slot_next(&slots), &item));
    assert_int_equal(item.flags & ILEA_ITEM_CONTROL, 0);
    for (uint32_t i = 0; ilea_log_epoch(txn, peers_of(home), i, &epoch) == ILEA_ERROR_NONE; i++) {
        if (memcmp(epoch.aek_commit, item.epoch.bytes, sizeof item.epoch.bytes) == 0) found = i;
    }
    ilea_transaction_abort(txn);
    assert_int_not_equal(found, UINT32_MAX);
    return found;
}

static bool
can_read(struct ilea_test_home *home, uint32_t index, const struct ilea_test_agency *agency)
{
    struct ilea_transaction *txn;
    struct ilea_epoch_row epoch;
    bool reads = false;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_log_epoch(txn, peers_of(home), index, &epoch));
    assert_int_equal(epoch.readers.size, epoch.reader_count * ILEA_EPOCH_READER_SIZE);
    for (uint32_t i = 0; i < epoch.reader_count; i++) {
        const uint8_t *reader = epoch.readers.data + (size_t)i * ILEA_EPOCH_READER_SIZE;
        if (i > 0) assert_true(memcmp(reader - ILEA_EPOCH_READER_SIZE, reader, ILEA_EPOCH_READER_SIZE) < 0);
        if (memcmp(reader, agency->card.agency.bytes, ILEA_ID_SIZE) != 0) continue;
        reads = reads || memcmp(reader + ILEA_ID_SIZE, agency->manifest.reading.bytes, 32) == 0;
    }
    ilea_transaction_abort(txn);
    return reads;
}

static void
test_epoch_labels_alternate(void **state)
{
    struct ilea_test_home *home = *state;
    ilea_test_home_grant(home, &nl, ILEA_AGENCY_APPROVED, clear_only);
    ilea_test_home_grant(home, &be, ILEA_AGENCY_APPROVED, all);
    for (unsigned i = 0; i < 6; i++) {
        write_need(home, i % 2 == 0 ? "green" : "clear", NULL, NULL);
        uint32_t epoch = last_epoch(home);
        assert_true(can_read(home, epoch, &home->own));
        assert_true(can_read(home, epoch, &be));
        assert_true(can_read(home, epoch, &nl) == (i % 2 == 1));
    }
    assert_int_equal(count_epochs(home), 2);
    /* And after a start of the node, too. */
    ilea_test_home_close(home);
    ilea_test_home_open(home);
    ilea_test_home_build(home);
    write_need(home, "green", NULL, NULL);
    write_need(home, "clear", NULL, NULL);
    assert_int_equal(count_epochs(home), 2);
}

static void
test_epoch_areas(void **state)
{
    struct ilea_test_home *home = *state;
    ilea_test_home_grant(home, &nl, ILEA_AGENCY_APPROVED, cyber);
    ilea_test_home_grant(home, &be, ILEA_AGENCY_APPROVED, all);
    static const struct { const char *area, *other; bool reads; } cases[] = {
        { "cybercrime", NULL, true },          { "migration", NULL, false }, { NULL, NULL, false },
        { "cybercrime", "terrorism", true },   { "cybercrime", "migration", false },
        { "cyber", NULL, false },              { "cybercrime", NULL, true } };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_need(home, "green", cases[i].area, cases[i].other);
        assert_true(can_read(home, last_epoch(home), &be));
        assert_true(can_read(home, last_epoch(home), &nl) == cases[i].reads);
    }
    assert_int_equal(count_epochs(home), 2);
    /* A record that leaves the area: what is written from then on is not for them. */
    ilea_test_home_build(home);
    struct ilea_record_id id = result.id;
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_element(&put, "areas", "migration");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_false(can_read(home, last_epoch(home), &nl));
    ilea_test_home_build(home);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_remove(&put, "areas", "migration");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_true(can_read(home, last_epoch(home), &nl));
}

static void
test_epoch_history(void **state)
{
    struct ilea_test_home *home = *state;
    ilea_test_home_grant(home, &be, ILEA_AGENCY_APPROVED, all);
    write_need(home, "green", NULL, NULL);
    write_need(home, "clear", NULL, NULL);
    uint32_t green = last_epoch(home) == 0 ? 1 : 0, clear = 1 - green;
    /* To one restricted to areas nothing of before; to one of CLEAR what is CLEAR; then the rest. */
    ilea_test_home_grant(home, &nl, ILEA_AGENCY_APPROVED, cyber);
    assert_false(can_read(home, green, &nl));
    assert_false(can_read(home, clear, &nl));
    ilea_test_home_grant(home, &nl, ILEA_AGENCY_APPROVED, clear_only);
    assert_false(can_read(home, green, &nl));
    assert_true(can_read(home, clear, &nl));
    ilea_test_home_grant(home, &nl, ILEA_AGENCY_APPROVED, all);
    assert_true(can_read(home, green, &nl));
    assert_true(can_read(home, clear, &nl));
}

/* An epoch whose key somebody was handed later does not fit any more once they may not read. */
static void
test_epoch_is_not_reused_after_history(void **state)
{
    struct ilea_test_home *home = *state;
    ilea_test_home_grant(home, &be, ILEA_AGENCY_APPROVED, all);
    write_need(home, "green", NULL, NULL);
    assert_false(can_read(home, last_epoch(home), &nl));
    ilea_test_home_grant(home, &nl, ILEA_AGENCY_APPROVED, all);
    write_need(home, "green", NULL, NULL);
    assert_true(can_read(home, last_epoch(home), &nl));
    ilea_test_home_grant(home, &nl, ILEA_AGENCY_REVOKED, all);
    write_need(home, "green", NULL, NULL);
    assert_false(can_read(home, last_epoch(home), &nl));
    assert_true(can_read(home, last_epoch(home), &be));
    uint32_t count = count_epochs(home);
    ilea_test_home_close(home);
    ilea_test_home_open(home);
    ilea_test_home_build(home);
    write_need(home, "green", NULL, NULL);
    assert_false(can_read(home, last_epoch(home), &nl));
    assert_int_equal(count_epochs(home), count);
}

/* What an aborted group commit began is forgotten. */
static void
test_epoch_abort(void **state)
{
    struct ilea_test_home *home = *state;
    ilea_test_home_grant(home, &be, ILEA_AGENCY_APPROVED, all);
    ilea_test_put_begin(&put, ILEA_PUT_CREATE, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, NULL);
    ilea_test_put_text(&put, "title", "lost");
    ILEA_TEST_OK(ilea_author_begin(home->author, 1700000000000));
    ILEA_TEST_OK(ilea_author_put(home->author, &put.put, &result));
    ILEA_TEST_OK(ilea_author_end_commit(home->author));
    ilea_author_abort(home->author);
    assert_int_equal(count_epochs(home), 0);
    write_need(home, "green", NULL, NULL);
    assert_int_equal(count_epochs(home), 1);
    assert_true(can_read(home, last_epoch(home), &be));
}

#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)

int
main(void)
{
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    const struct CMUnitTest tests[] = {
        IN_HOME(test_epoch_labels_alternate), IN_HOME(test_epoch_areas), IN_HOME(test_epoch_history),
        IN_HOME(test_epoch_is_not_reused_after_history), IN_HOME(test_epoch_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
