#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "crypto/random.h"
#include "node/own_keys.h"
#include "replication/record/change.h"
#include "tests/support/decide.h"

static struct ilea_test_act act;
static struct ilea_control_decision answer;
static struct ilea_test_put put;
static struct ilea_put_result result;
static struct ilea_release_item items[2];
static uint8_t payload[ILEA_RELEASE_SIZE_MAX], encoded[4096];
static struct ilea_test_agency nl;

static int
make_home(void **state)
{
    struct ilea_test_home *home = malloc(sizeof *home);
    if (home == NULL) return -1;
    ilea_test_home_make_with(home, "FR-PN", 2);
    ilea_test_agency_make(&nl, "NL-PO");
    ilea_test_home_meet(home, &nl, true);
    ilea_test_home_build(home);
    ilea_author_set_four_eyes(home->author, true);
    *state = home;
    return 0;
}

static int
remove_home(void **state)
{
    ilea_test_home_remove(*state);
    ilea_test_agency_free(&nl);
    free(*state);
    return 0;
}

static uint64_t
last_entry(struct ilea_test_home *home)
{
    struct ilea_transaction *txn;
    uint64_t seq;
    uint8_t hash[ILEA_HASH_SIZE];
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_log_audit_last(txn, &seq, hash));
    ilea_transaction_abort(txn);
    return seq;
}

/* How many wait and how many were returned. */
static void
check_waiting(struct ilea_test_home *home, unsigned waiting, unsigned returned)
{
    struct ilea_transaction *txn;
    struct ilea_proposal_row row = { .number = 0 };
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    while (ilea_log_proposal_next(txn, row.number, &row) == ILEA_ERROR_NONE) {
        unsigned *of = row.returned_ms == 0 ? &waiting : &returned;
        assert_true(*of > 0);
        (*of)--;
    }
    ilea_transaction_abort(txn);
    assert_int_equal(waiting + returned, 0);
}

/* What publishing the record would come to, as an item. */
static struct ilea_release_item
look(struct ilea_test_home *home, const struct ilea_record_id *id)
{
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, id);
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    struct ilea_release_item item = { .type = ILEA_TEST_NEED, .record = *id, .label = result.label };
    memcpy(item.base, result.base, sizeof item.base);
    return item;
}

static struct ilea_release_item
draft(struct ilea_test_home *home, const char *title)
{
    ilea_test_need(home, ILEA_SCOPE_AGENCY, title, &result);
    struct ilea_record_id id = result.id;
    ilea_test_home_build(home);
    struct ilea_release_item item = look(home, &id);
    assert_int_equal(result.outcome, ILEA_PUT_REVIEW);
    assert_false(result.is_shared);
    assert_int_equal(item.label, ILEA_LABEL_GREEN);
    return item;
}

static bool
is_shared(struct ilea_test_home *home, const struct ilea_record_id *id)
{
    ilea_test_home_build(home);
    (void)look(home, id);
    return result.outcome == ILEA_PUT_UNCHANGED;
}

/* A request of items, made by one admin; `author`: whom it names. */
static void
make_request(struct ilea_test_home *home, uint32_t count, unsigned author)
{
    char hex[2 * ILEA_HASH_SIZE + 1];
    struct ilea_release release;
    size_t size;
    ILEA_TEST_OK(ilea_release_encode(ILEA_SCOPE_PEERS, NULL, items, count, payload, sizeof payload, &size));
    ILEA_TEST_OK(ilea_release_decode((struct ilea_span){ payload, size }, &release));
    ilea_test_act_begin(&act, home, "record.release", NULL);
    ilea_hex_format(release.hash, sizeof release.hash, hex);
    ilea_test_act_add(&act, "release", hex);
    ilea_hex_format(home->own.manifest.admins[author].bytes, sizeof home->own.manifest.admins[author].bytes, hex);
    ilea_test_act_add(&act, "author", hex);
    ilea_test_act_end(&act);
    act.request.payload = (struct ilea_span){ payload, size };
}

static enum ilea_error
decide(struct ilea_test_home *home)
{
    return ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer);
}

static void
ask(struct ilea_test_home *home, uint32_t count)
{
    make_request(home, count, 0);
    ilea_test_act_sign(&act, home, 0);
    ILEA_TEST_OK(decide(home));
    assert_int_equal(answer.outcome, ILEA_DECISION_WAITS);
    assert_int_equal(answer.needed, 2);
}

/* The same act, signed by another one, without its payload: as it waits. */
static enum ilea_error
sign(struct ilea_test_home *home, unsigned admin)
{
    act.request.sig_count = 0;
    act.request.payload = (struct ilea_span){ NULL, 0 };
    ilea_test_act_sign(&act, home, admin);
    return decide(home);
}

static void
test_release_is_sent_by_the_second(void **state)
{
    struct ilea_test_home *home = *state;
    items[0] = draft(home, "One");
    items[1] = draft(home, "Two");
    struct ilea_record_id one = items[0].record, two = items[1].record;
    ask(home, 2);
    assert_false(is_shared(home, &one));
    uint64_t seq = last_entry(home);
    assert_int_equal(sign(home, 0), ILEA_ERROR_PERMISSION);
    assert_non_null(strstr(answer.reason, "another admin"));
    assert_int_equal(last_entry(home), seq);
    assert_false(is_shared(home, &one));
    ILEA_TEST_OK(sign(home, 1));
    assert_int_equal(answer.outcome, ILEA_DECISION_DONE);
    assert_int_equal(last_entry(home), seq + 1);
    assert_true(is_shared(home, &one));
    assert_true(is_shared(home, &two));
    check_waiting(home, 0, 0);
    /* Not once more: with one signature, the other, or both. */
    assert_int_equal(sign(home, 1), ILEA_ERROR_EXISTS);
    assert_int_equal(sign(home, 0), ILEA_ERROR_EXISTS);
    ilea_test_act_sign(&act, home, 1);
    assert_int_equal(decide(home), ILEA_ERROR_EXISTS);
}

static void
test_release_is_of_its_author(void **state)
{
    struct ilea_test_home *home = *state;
    items[0] = draft(home, "One");
    make_request(home, 1, 1); /* it names another than signs */
    ilea_test_act_sign(&act, home, 0);
    assert_int_equal(decide(home), ILEA_ERROR_PERMISSION);
    make_request(home, 1, 0);
    assert_int_equal(decide(home), ILEA_ERROR_PERMISSION); /* nobody signed */
    ilea_test_act_begin(&act, home, "record.release", NULL);
    ilea_test_act_end(&act);
    ilea_test_act_sign(&act, home, 0);
    assert_int_equal(decide(home), ILEA_ERROR_MALFORMED);
    /* Another content than was signed. */
    make_request(home, 1, 0);
    ilea_test_act_sign(&act, home, 0);
    payload[act.request.payload.size - 3] ^= 1; /* in the base */
    assert_int_equal(decide(home), ILEA_ERROR_MALFORMED);
    check_waiting(home, 0, 0);
}

static void
test_release_goes_stale(void **state)
{
    struct ilea_test_home *home = *state;
    items[0] = draft(home, "One");
    struct ilea_record_id id = items[0].record;
    ask(home, 1);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "Another");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    /* The view does not show it yet: wait. */
    struct ilea_node node;
    act.request.sig_count = 0;
    ilea_test_act_sign(&act, home, 1);
    ilea_test_home_node(home, &node);
    ILEA_TEST_OK(ilea_author_begin(home->author, ILEA_TEST_TIME_MS));
    assert_int_equal(ilea_trust_decide(&node, &act.request, ILEA_TEST_TIME_MS, &answer), ILEA_ERROR_BUSY);
    ilea_author_abort(home->author);
    ilea_test_home_build(home);
    assert_int_equal(sign(home, 1), ILEA_ERROR_INVALID);
    assert_non_null(strstr(answer.reason, "stale"));
    /* Written back it is another state all the same. */
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "One");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    ilea_test_home_build(home);
    assert_int_equal(sign(home, 1), ILEA_ERROR_INVALID);
    assert_false(is_shared(home, &id));
    /* An old base is no good from the beginning. */
    struct ilea_test_act waiting = act;
    make_request(home, 1, 0);
    ilea_test_act_sign(&act, home, 0);
    assert_int_equal(decide(home), ILEA_ERROR_EXISTS); /* the first one waits */
    act = waiting;
    check_waiting(home, 1, 0);
}

static void
give_back(struct ilea_test_home *home, const struct ilea_test_act *of, const char *reason, enum ilea_error expected)
{
    static struct ilea_test_act giving;
    char hex[2 * ILEA_HASH_SIZE + 1];
    ilea_hex_format(of->act.hash, sizeof of->act.hash, hex);
    ilea_test_act_begin(&giving, home, "record.return", NULL);
    ilea_test_act_add(&giving, "act", hex);
    if (reason != NULL) ilea_test_act_add(&giving, "reason", reason);
    ilea_test_act_end(&giving);
    ilea_test_act_sign(&giving, home, 1);
    assert_int_equal(ilea_test_decide_at(home, &giving, ILEA_TEST_TIME_MS, &answer), expected);
}

static void
test_release_is_returned(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_test_act rejecting;
    char hex[2 * ILEA_HASH_SIZE + 1];
    items[0] = draft(home, "One");
    ask(home, 1);
    give_back(home, &act, NULL, ILEA_ERROR_INVALID);
    ilea_hex_format(act.act.hash, sizeof act.act.hash, hex); /* not as other proposals are */
    ilea_test_act_begin(&rejecting, home, "admin.reject", NULL);
    ilea_test_act_add(&rejecting, "act", hex);
    ilea_test_act_end(&rejecting);
    ilea_test_act_sign(&rejecting, home, 1);
    assert_int_equal(ilea_test_decide_at(home, &rejecting, ILEA_TEST_TIME_MS, &answer), ILEA_ERROR_NOT_FOUND);
    check_waiting(home, 1, 0);
    give_back(home, &act, "Which one?", ILEA_ERROR_NONE);
    check_waiting(home, 0, 1);
    struct ilea_transaction *txn;
    struct ilea_proposal_row row;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_log_proposal_next(txn, 0, &row));
    assert_memory_equal(row.reason.data, "Which one?", row.reason.size);
    assert_memory_equal(row.returned_by, home->own.manifest.admins[1].bytes, sizeof row.returned_by);
    ilea_transaction_abort(txn);
    assert_int_equal(sign(home, 1), ILEA_ERROR_INVALID);
    give_back(home, &act, "Again", ILEA_ERROR_NOT_FOUND);
    ask(home, 1); /* anew: the returned one is gone */
    check_waiting(home, 1, 0);
    ILEA_TEST_OK(sign(home, 1));
    check_waiting(home, 0, 0);
}

/* An item whose put is made by `mode`, `id` and a title. */
static void
put_item(const struct ilea_record_id *id, enum ilea_put_mode mode)
{
    ilea_test_put_begin(&put, mode, 0, ILEA_TEST_NEED, id);
    ilea_test_put_text(&put, "title", "New words");
    ILEA_TEST_OK(ilea_put_encode(&put.put, encoded, sizeof encoded, &items[0].put.size));
    items[0].put.data = encoded;
}

static void
test_release_of_changes(void **state)
{
    struct ilea_test_home *home = *state;
    const struct ilea_record_id other = { { 9 } };
    items[0] = draft(home, "One");
    struct ilea_record_id id = items[0].record;
    ask(home, 1);
    ILEA_TEST_OK(sign(home, 1));
    assert_true(is_shared(home, &id));
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "New words");
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_REVIEW);
    assert_true(result.is_shared);
    memcpy(items[0].base, result.base, sizeof result.base);
    const struct { const struct ilea_record_id *id; enum ilea_put_mode mode; enum ilea_error expected; } cases[] = {
        { &other, ILEA_PUT_UPDATE, ILEA_ERROR_MALFORMED }, { &id, ILEA_PUT_UPSERT, ILEA_ERROR_MALFORMED },
        { &id, ILEA_PUT_CREATE, ILEA_ERROR_MALFORMED }, { &id, ILEA_PUT_UPDATE, ILEA_ERROR_NONE } };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_item(cases[i].id, cases[i].mode);
        make_request(home, 1, 0);
        ilea_test_act_sign(&act, home, 0);
        assert_int_equal(decide(home), cases[i].expected);
    }
    items[0].label = ILEA_LABEL_CLEAR; /* not the one that it would have */
    ILEA_TEST_OK(sign(home, 1));
    ilea_test_home_build(home);
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_UNCHANGED); /* it is so */
    make_request(home, 1, 0);
    ilea_test_act_sign(&act, home, 0);
    assert_int_equal(decide(home), ILEA_ERROR_INVALID);
}

/* 64 at most, and decisions are counted apart. */
static void
test_release_queue(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_release_item drafts[ILEA_PROPOSALS_MAX + 1];
    static struct ilea_test_act first;
    for (unsigned i = 0; i <= ILEA_PROPOSALS_MAX; i++) drafts[i] = draft(home, "One of many");
    for (unsigned i = 0; i < ILEA_PROPOSALS_MAX; i++) {
        items[0] = drafts[i];
        ask(home, 1);
        if (i == 0) first = act;
    }
    items[0] = drafts[ILEA_PROPOSALS_MAX];
    make_request(home, 1, 0);
    ilea_test_act_sign(&act, home, 0);
    assert_int_equal(decide(home), ILEA_ERROR_FULL);
    home->config.approvals = 2;
    ILEA_TEST_OK(ilea_test_decide(home, "peer.revoke", &nl, 1, &answer));
    assert_int_equal(answer.outcome, ILEA_DECISION_WAITS);
    give_back(home, &first, "Not this one", ILEA_ERROR_NONE);
    check_waiting(home, ILEA_PROPOSALS_MAX, 1);
    ILEA_TEST_OK(decide(home)); /* the returned one makes room */
    check_waiting(home, ILEA_PROPOSALS_MAX + 1, 0);
}

#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_HOME(test_release_is_sent_by_the_second),
        IN_HOME(test_release_is_of_its_author),
        IN_HOME(test_release_goes_stale),
        IN_HOME(test_release_is_returned),
        IN_HOME(test_release_of_changes),
        IN_HOME(test_release_queue),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
