#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "node/home.h"
#include "replication/record/act.h"
#include "replication/store/log_rows.h"
#include "tests/support/home.h"

static int
make_home(void **state)
{
    struct ilea_test_home *home = malloc(sizeof *home);
    if (home == NULL) return -1;
    ilea_test_home_make(home, "FR-PN");
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

static struct ilea_transaction *
begin(struct ilea_test_home *home)
{
    struct ilea_transaction *txn = NULL;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), true, &txn));
    return txn;
}

static struct ilea_span
span(const char *text)
{
    return (struct ilea_span){ (const uint8_t *)text, strlen(text) };
}

static void
check_span(struct ilea_span got, const char *expected)
{
    assert_int_equal(got.size, strlen(expected));
    if (got.size > 0) assert_memory_equal(got.data, expected, got.size);
}

static void
test_log_is_created_whole(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_transaction *txn = begin(home);
    struct ilea_agency_row own;
    struct ilea_span bytes;
    uint64_t index = 7;
    ILEA_TEST_OK(ilea_log_agency(txn, &home->own.card.agency, &own));
    assert_int_equal(own.state, ILEA_AGENCY_SELF);
    assert_int_equal(own.number, 1);
    check_span(own.endpoint, "tcp://192.0.2.1:7101");
    ILEA_TEST_OK(ilea_log_card(txn, &bytes));
    assert_int_equal(bytes.size, home->own.card.size);
    assert_memory_equal(bytes.data, home->own.bytes, bytes.size);
    ILEA_TEST_OK(ilea_log_manifest_last(txn, &own.id, &index, &bytes));
    assert_int_equal(index, 0);
    struct ilea_manifest manifest;
    ILEA_TEST_OK(ilea_manifest_decode(bytes, &manifest));
    assert_memory_equal(manifest.id.bytes, own.id.bytes, ILEA_ID_SIZE);
    ilea_transaction_abort(txn);
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home->path, "log", path);
    assert_int_equal(ilea_log_create(path, ilea_log_identity(home->log), &own, bytes, bytes), ILEA_ERROR_EXISTS);
}

static void
test_log_agencies(void **state)
{
    struct ilea_transaction *txn = begin(*state);
    static char long_text[ILEA_AGENCY_TEXT_MAX + 2];
    struct ilea_agency_row row = {
        .id = { { 5 } }, .state = ILEA_AGENCY_PENDING, .changed_ms = 11, .endpoint = span("tcp://192.0.2.7:1"),
        .lobby = span("tcp://192.0.2.7:2"), .made_ms = UINT64_MAX,
        .grant = { ILEA_GRANT_CONNECT | ILEA_GRANT_RELAY, 3, span("cbrn,drones"), 12 },
        .verified = ILEA_VERIFIED_OFFLINE_CODE, .decided = 13, .reason = span("why"), .origin = ILEA_FROM_INVITE,
        .asked_ms = 14, .note = span("hello"), .address = span("192.0.2.9") }, got;
    ILEA_TEST_OK(ilea_log_put_agency(txn, &row));
    assert_int_equal(row.number, 2);
    ILEA_TEST_OK(ilea_log_agency(txn, &row.id, &got));
    assert_int_equal(got.number, 2);
    assert_int_equal(got.state, row.state);
    assert_int_equal(got.changed_ms, 11);
    check_span(got.endpoint, "tcp://192.0.2.7:1");
    check_span(got.lobby, "tcp://192.0.2.7:2");
    assert_true(got.made_ms == UINT64_MAX);
    assert_int_equal(got.grant.scopes, 5);
    assert_int_equal(got.grant.tlp_max, 3);
    check_span(got.grant.areas, "cbrn,drones");
    assert_int_equal(got.grant.expires_ms, 12);
    assert_int_equal(got.verified, ILEA_VERIFIED_OFFLINE_CODE);
    assert_int_equal(got.decided, 13);
    check_span(got.reason, "why");
    assert_int_equal(got.origin, ILEA_FROM_INVITE);
    assert_int_equal(got.asked_ms, 14);
    check_span(got.note, "hello");
    check_span(got.address, "192.0.2.9");
    got.state = ILEA_AGENCY_APPROVED; /* its texts lie in the file */
    ILEA_TEST_OK(ilea_log_put_agency(txn, &got));
    ILEA_TEST_OK(ilea_log_agency(txn, &row.id, &got));
    check_span(got.address, "192.0.2.9");
    memset(long_text, 'x', sizeof long_text - 1);
    row.note = span(long_text);
    assert_int_equal(ilea_log_put_agency(txn, &row), ILEA_ERROR_LIMIT);
    row.note.size--;
    ILEA_TEST_OK(ilea_log_put_agency(txn, &row));

    /* A number is never given twice: the view may know it. */
    ILEA_TEST_OK(ilea_log_put_manifest(txn, &row.id, 0, span("manifest")));
    ILEA_TEST_OK(ilea_log_delete_agency(txn, &row.id));
    assert_int_equal(ilea_log_agency(txn, &row.id, &got), ILEA_ERROR_NOT_FOUND);
    struct ilea_span bytes;
    assert_int_equal(ilea_log_manifest(txn, &row.id, 0, &bytes), ILEA_ERROR_NOT_FOUND);
    row.number = 0;
    ILEA_TEST_OK(ilea_log_put_agency(txn, &row));
    assert_int_equal(row.number, 3);
    ilea_transaction_abort(txn);
}

static void
test_log_manifests(void **state)
{
    struct ilea_transaction *txn = begin(*state);
    const struct ilea_agency_id low = { { 1 } }, id = { { 2 } }, high = { { 3 } };
    struct ilea_span bytes;
    uint64_t last = 0;
    ILEA_TEST_OK(ilea_log_put_manifest(txn, &low, 9, span("low")));
    assert_int_equal(ilea_log_manifest_last(txn, &id, &last, &bytes), ILEA_ERROR_NOT_FOUND);
    ILEA_TEST_OK(ilea_log_put_manifest(txn, &high, 0, span("high")));
    assert_int_equal(ilea_log_manifest_last(txn, &id, &last, &bytes), ILEA_ERROR_NOT_FOUND);
    ILEA_TEST_OK(ilea_log_put_manifest(txn, &id, 0, span("zero")));
    ILEA_TEST_OK(ilea_log_put_manifest(txn, &id, 1, span("one")));
    ILEA_TEST_OK(ilea_log_put_manifest(txn, &id, 2, span("two")));
    ILEA_TEST_OK(ilea_log_put_manifest(txn, &id, 300, span("300")));
    ILEA_TEST_OK(ilea_log_manifest_last(txn, &id, &last, &bytes));
    assert_int_equal(last, 300);
    check_span(bytes, "300");
    ILEA_TEST_OK(ilea_log_put_manifest(txn, &id, 1, span("another"))); /* it supersedes what came after */
    ILEA_TEST_OK(ilea_log_manifest_last(txn, &id, &last, &bytes));
    assert_int_equal(last, 1);
    check_span(bytes, "another");
    assert_int_equal(ilea_log_manifest(txn, &id, 2, &bytes), ILEA_ERROR_NOT_FOUND);
    ILEA_TEST_OK(ilea_log_manifest(txn, &id, 0, &bytes));
    check_span(bytes, "zero");
    ILEA_TEST_OK(ilea_log_manifest_last(txn, &high, &last, &bytes));
    check_span(bytes, "high");
    ILEA_TEST_OK(ilea_log_manifest_last(txn, &low, &last, &bytes));
    assert_int_equal(last, 9);
    assert_int_equal(ilea_log_put_manifest(txn, &id, UINT64_MAX, span("x")), ILEA_ERROR_LIMIT);
    ilea_transaction_abort(txn);
}

/* An entry of the audit feed about nothing in particular. */
static struct ilea_span
make_entry(struct ilea_test_home *home, uint64_t seq, const uint8_t prev[ILEA_HASH_SIZE], uint8_t nonce,
           struct ilea_audit_entry *entry)
{
    static uint8_t act_bytes[ILEA_ACT_SIZE_MAX], bytes[ILEA_ENTRY_SIZE_MAX];
    struct ilea_act act = { .agency = home->own.card.agency, .nonce = { nonce }, .kind = span("policy.set") };
    size_t size = 0;
    *entry = (struct ilea_audit_entry){ .seq = seq, .act_bytes = { act_bytes, 0 } };
    memcpy(entry->prev, prev, ILEA_HASH_SIZE);
    ILEA_TEST_OK(ilea_act_encode(&act, act_bytes, sizeof act_bytes, &entry->act_bytes.size));
    ILEA_TEST_OK(ilea_entry_encode(entry, &home->own.manifest.network, home->own.keys.node, bytes, sizeof bytes,
                                   &size));
    return (struct ilea_span){ bytes, size };
}

static void
test_log_audit(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_transaction *txn = begin(home);
    static struct ilea_audit_entry entry;
    uint8_t hash[ILEA_HASH_SIZE], act[ILEA_HASH_SIZE];
    uint64_t last = 7;
    struct ilea_span bytes, got;
    ILEA_TEST_OK(ilea_log_audit_last(txn, &last, hash));
    assert_int_equal(last, 0);
    for (uint64_t seq = 1; seq <= 300; seq++) {
        bytes = make_entry(home, seq, hash, (uint8_t)seq, &entry);
        entry.hash[0] ^= seq > 255 ? 1 : 0;
        if (seq == 256) bytes = make_entry(home, seq, hash, 200, &entry); /* an act that was entered before */
        enum ilea_error error = ilea_log_put_audit(txn, seq, entry.hash, bytes);
        assert_int_equal(error, seq < 256 ? ILEA_ERROR_NONE : ILEA_ERROR_EXISTS);
        if (error != ILEA_ERROR_NONE) break;
        ILEA_TEST_OK(ilea_log_audit_has_act(txn, entry.act.hash));
        memcpy(act, entry.act.hash, sizeof act);
        ILEA_TEST_OK(ilea_log_audit_last(txn, &last, hash));
        assert_int_equal(last, seq);
        assert_memory_equal(hash, entry.hash, sizeof hash);
        ILEA_TEST_OK(ilea_log_audit(txn, seq, &got));
        assert_int_equal(got.size, bytes.size);
        assert_memory_equal(got.data, bytes.data, bytes.size);
    }
    act[0] ^= 1;
    assert_int_equal(ilea_log_audit_has_act(txn, act), ILEA_ERROR_NOT_FOUND);
    assert_int_equal(ilea_log_audit(txn, 256, &got), ILEA_ERROR_NOT_FOUND);
    bytes = make_entry(home, 260, hash, 0, &entry);
    assert_int_equal(ilea_log_put_audit(txn, 255, entry.hash, bytes), ILEA_ERROR_EXISTS);
    bytes.size--;
    assert_int_equal(ilea_log_put_audit(txn, 260, entry.hash, bytes), ILEA_ERROR_MALFORMED);
    bytes.size++;
    ILEA_TEST_OK(ilea_log_put_audit(txn, 260, entry.hash, bytes)); /* what a restore lost is left out */
    assert_int_equal(ilea_log_audit(txn, 259, &got), ILEA_ERROR_NOT_FOUND);
    ILEA_TEST_OK(ilea_log_audit_last(txn, &last, hash));
    assert_int_equal(last, 260);
    ilea_transaction_abort(txn);
}

static void
test_log_proposals(void **state)
{
    struct ilea_transaction *txn = begin(*state);
    static uint8_t sigs[ILEA_ACT_SIGS_MAX * ILEA_PROPOSAL_SIG_SIZE], payload[ILEA_PAYLOAD_SIZE_MAX + 1];
    struct ilea_proposal_row row = { .made_ms = 5, .act = span("act") }, got;
    assert_int_equal(ilea_log_proposal_next(txn, 0, &got), ILEA_ERROR_NOT_FOUND);
    for (uint32_t number = 1; number <= 3; number++) {
        row.number = 0;
        ILEA_TEST_OK(ilea_log_put_proposal(txn, &row));
        assert_int_equal(row.number, number);
    }
    row.payload = (struct ilea_span){ payload, ILEA_PAYLOAD_SIZE_MAX };
    row.sigs = (struct ilea_span){ sigs, sizeof sigs };
    row.sig_count = ILEA_ACT_SIGS_MAX;
    ILEA_TEST_OK(ilea_log_put_proposal(txn, &row));
    ILEA_TEST_OK(ilea_log_proposal(txn, 3, &got));
    assert_int_equal(got.sig_count, ILEA_ACT_SIGS_MAX);
    assert_int_equal(got.payload.size, ILEA_PAYLOAD_SIZE_MAX);
    assert_int_equal(got.made_ms, 5);
    check_span(got.act, "act");
    assert_int_equal(got.returned_ms, 0);
    row.payload.size++;
    assert_int_equal(ilea_log_put_proposal(txn, &row), ILEA_ERROR_LIMIT);
    row.payload.size--;
    static char reason[ILEA_ACT_VALUE_MAX + 2];
    memset(reason, 'x', sizeof reason - 1);
    row.reason = span(reason);
    assert_int_equal(ilea_log_put_proposal(txn, &row), ILEA_ERROR_LIMIT);
    row.reason.size--;
    row.returned_ms = 9;
    row.returned_by[31] = 7;
    ILEA_TEST_OK(ilea_log_put_proposal(txn, &row)); /* the same one, given back */
    ILEA_TEST_OK(ilea_log_proposal(txn, row.number, &got));
    assert_int_equal(got.returned_ms, 9);
    assert_int_equal(got.returned_by[31], 7);
    assert_int_equal(got.reason.size, ILEA_ACT_VALUE_MAX);
    ILEA_TEST_OK(ilea_log_delete_proposal(txn, 3));
    ILEA_TEST_OK(ilea_log_delete_proposal(txn, 1));
    ILEA_TEST_OK(ilea_log_proposal_next(txn, 0, &got));
    assert_int_equal(got.number, 2);
    assert_int_equal(ilea_log_proposal_next(txn, 2, &got), ILEA_ERROR_NOT_FOUND);
    assert_int_equal(ilea_log_proposal_next(txn, UINT32_MAX, &got), ILEA_ERROR_NOT_FOUND);
    assert_int_equal(ilea_log_proposal(txn, 3, &got), ILEA_ERROR_NOT_FOUND);
    row = (struct ilea_proposal_row){ .act = span("act") };
    ILEA_TEST_OK(ilea_log_put_proposal(txn, &row));
    assert_int_equal(row.number, 4); /* and not 3 again */
    ilea_transaction_abort(txn);
}

static void
test_log_documents(void **state)
{
    struct ilea_transaction *txn = begin(*state);
    struct ilea_document_row row = { .root = { { 2 } }, .size = 300000, .agency = { { 9 } }, .wanted = true }, found;
    assert_int_equal(ilea_log_document(txn, &row.root, &found), ILEA_ERROR_NOT_FOUND);
    assert_int_equal(ilea_log_document_next(txn, NULL, &found), ILEA_ERROR_NOT_FOUND);
    ILEA_TEST_OK(ilea_log_put_document(txn, &row));
    ILEA_TEST_OK(ilea_log_document(txn, &row.root, &found));
    assert_memory_equal(found.root.bytes, row.root.bytes, sizeof row.root.bytes);
    assert_memory_equal(found.agency.bytes, row.agency.bytes, sizeof row.agency.bytes);
    assert_true(found.size == row.size && found.wanted);
    row.wanted = false;
    ILEA_TEST_OK(ilea_log_put_document(txn, &row)); /* in its place */
    ILEA_TEST_OK(ilea_log_document_next(txn, NULL, &found));
    assert_false(found.wanted);
    assert_int_equal(ilea_log_document_next(txn, &row.root, &found), ILEA_ERROR_NOT_FOUND);
    row.root.bytes[0] = 1;
    ILEA_TEST_OK(ilea_log_put_document(txn, &row));
    ILEA_TEST_OK(ilea_log_document_next(txn, NULL, &found));
    assert_int_equal(found.root.bytes[0], 1);
    ILEA_TEST_OK(ilea_log_document_next(txn, &row.root, &found));
    assert_int_equal(found.root.bytes[0], 2);
    ILEA_TEST_OK(ilea_log_delete_document(txn, &row.root));
    assert_int_equal(ilea_log_document(txn, &row.root, &found), ILEA_ERROR_NOT_FOUND);
    ilea_transaction_abort(txn);
}

static void
test_log_invites_and_policy(void **state)
{
    struct ilea_transaction *txn = begin(*state);
    struct ilea_invite_row one = { { 1 }, { 11 }, 5, 6, false }, two = { { 2 }, { 12 }, 7, 8, true }, got;
    assert_int_equal(ilea_log_invite_next(txn, NULL, &got), ILEA_ERROR_NOT_FOUND);
    ILEA_TEST_OK(ilea_log_put_invite(txn, &two));
    ILEA_TEST_OK(ilea_log_put_invite(txn, &one));
    ILEA_TEST_OK(ilea_log_invite_next(txn, NULL, &got));
    assert_memory_equal(got.id, one.id, sizeof one.id);
    assert_memory_equal(got.key, one.key, sizeof one.key);
    assert_int_equal(got.made_ms, 5);
    assert_int_equal(got.expires_ms, 6);
    assert_false(got.used);
    ILEA_TEST_OK(ilea_log_invite_next(txn, one.id, &got));
    assert_memory_equal(got.id, two.id, sizeof two.id);
    assert_true(got.used);
    assert_int_equal(ilea_log_invite_next(txn, two.id, &got), ILEA_ERROR_NOT_FOUND);
    ILEA_TEST_OK(ilea_log_delete_invite(txn, one.id));
    assert_int_equal(ilea_log_invite(txn, one.id, &got), ILEA_ERROR_NOT_FOUND);
    ILEA_TEST_OK(ilea_log_invite(txn, two.id, &got));

    struct ilea_policy policy = { 0, false, true };
    ILEA_TEST_OK(ilea_log_policy(txn, &policy));
    assert_int_equal(policy.approvals, 1);
    assert_true(policy.unverified);
    assert_false(policy.four_eyes);
    policy = (struct ilea_policy){ 16, false, true };
    ILEA_TEST_OK(ilea_log_put_policy(txn, &policy));
    policy = (struct ilea_policy){ 0, true, false };
    ILEA_TEST_OK(ilea_log_policy(txn, &policy));
    assert_int_equal(policy.approvals, 16);
    assert_false(policy.unverified);
    assert_true(policy.four_eyes);
    ilea_transaction_abort(txn);
}

static enum ilea_error
worse(enum ilea_error one, enum ilea_error other)
{
    bool counts = other != ILEA_ERROR_NONE && other != ILEA_ERROR_NOT_FOUND;
    return counts ? other : one;
}

static enum ilea_error
read_feeds(struct ilea_transaction *txn, const struct ilea_network_id *network)
{
    enum ilea_error error = ILEA_ERROR_NONE, end = ILEA_ERROR_NONE;
    for (uint32_t number = 1; end == ILEA_ERROR_NONE; number++) {
        struct ilea_feed_row row, same;
        struct ilea_span proof;
        end = ilea_log_feed(txn, number, &row);
        error = worse(error, end);
        if (end != ILEA_ERROR_NONE) break;
        error = worse(error, ilea_log_feed_by_id(txn, &row.id, &same));
        error = worse(error, ilea_log_find_naming(txn, &same));
        error = worse(error, ilea_log_fork(txn, &row.id, &proof));
        struct ilea_position position;
        uint32_t count;
        uint8_t sum[ILEA_HASH_SIZE];
        error = worse(error, ilea_log_archive_sum(txn, &row.origin.agency, &count, sum));
        error = worse(error, ilea_log_archive_next(txn, &row.origin.agency, NULL, &position));
    }
    uint64_t last = 0;
    error = worse(error, ilea_log_last(txn, &last));
    for (uint64_t at = 1; at <= last; at++) {
        struct ilea_log_commit row;
        struct ilea_commit commit;
        end = ilea_log_commit_at(txn, at, &row);
        if (end == ILEA_ERROR_NONE) end = ilea_log_check_commit(txn, &row, &commit);
        struct ilea_feed_row feed;
        struct ilea_chain_row chain;
        if (end == ILEA_ERROR_NONE) end = ilea_log_feed(txn, row.feed, &feed);
        if (end == ILEA_ERROR_NONE) end = ilea_log_chain(txn, row.feed, row.seq, &chain);
        if (end == ILEA_ERROR_NONE) end = ilea_commit_verify(&commit, &chain.id, network, &feed.origin.node);
        error = end != ILEA_ERROR_NONE ? ILEA_ERROR_CORRUPT : error;
    }
    return error;
}

static const struct ilea_audience_id planned_audience = { { 7 } };

/* Read everything there is; the error of whatever cannot be. */
static enum ilea_error
read_all(struct ilea_transaction *txn, const struct ilea_network_id *network)
{
    enum ilea_error error = read_feeds(txn, network), end = ILEA_ERROR_NONE;
    struct ilea_agency_row agency;
    struct ilea_agency_id id = { { 0 } };
    struct ilea_span bytes;
    uint64_t number;
    uint8_t hash[ILEA_HASH_SIZE];
    for (const struct ilea_agency_id *after = NULL; end == ILEA_ERROR_NONE; after = &id) {
        end = ilea_log_agency_next(txn, after, &agency);
        error = worse(error, end);
        id = agency.id;
        if (end == ILEA_ERROR_NONE) error = worse(error, ilea_log_manifest(txn, &id, 0, &bytes));
    }
    struct ilea_epoch_row epoch;
    const struct ilea_epoch_row *after_epoch = NULL;
    end = ILEA_ERROR_NONE;
    for (; end == ILEA_ERROR_NONE; after_epoch = &epoch) {
        end = ilea_log_epoch_next(txn, after_epoch, &epoch);
        error = worse(error, end);
    }
    struct ilea_policy policy;
    struct ilea_proposal_row proposal;
    struct ilea_invite_row invite;
    struct ilea_audit_entry entry;
    struct ilea_log_identity identity;
    error = worse(error, ilea_log_own_agency(txn, &identity.agency));
    error = worse(error, ilea_log_counter(txn, ILEA_TEST_NEED, &number));
    error = worse(error, ilea_log_card(txn, &bytes));
    error = worse(error, ilea_log_policy(txn, &policy));
    error = worse(error, ilea_log_truncations(txn, &number));
    uint8_t stamp[ILEA_CONTROLS_STAMP_SIZE];
    struct ilea_audience_row audience;
    struct ilea_control_row control;
    error = worse(error, ilea_log_controls_stamp(txn, stamp));
    error = worse(error, ilea_log_audience_next(txn, NULL, &audience));
    error = worse(error, ilea_log_control_next(txn, &planned_audience, NULL, &control));
    error = worse(error, ilea_log_meta_u64(txn, "agencies", &number));
    error = worse(error, ilea_log_meta_u64(txn, "proposals", &number));
    error = worse(error, ilea_log_proposal_next(txn, 0, &proposal));
    error = worse(error, ilea_log_invite_next(txn, NULL, &invite));
    error = worse(error, ilea_log_audit_last(txn, &number, hash));
    if (ilea_log_audit(txn, 1, &bytes) == ILEA_ERROR_NONE
        && ilea_entry_decode(bytes, &entry) == ILEA_ERROR_NONE) {
        error = worse(error, ilea_log_audit_has_act(txn, entry.act.hash));
    }
    return error;
}

/* One of everything. */
static void
fill(struct ilea_test_home *home)
{
    struct ilea_put_result result;
    for (unsigned i = 0; i < 2; i++) { /* two incarnations, for want of a guard */
        ilea_test_need(home, ILEA_SCOPE_PEERS, "shared", &result);
        ilea_test_need(home, ILEA_SCOPE_AGENCY, "own", &result);
        ilea_test_home_close(home);
        ilea_test_home_open(home);
    }
    struct ilea_transaction *txn = begin(home);
    static struct ilea_audit_entry entry;
    static const uint8_t none[ILEA_HASH_SIZE], hash[ILEA_HASH_SIZE] = { 1 };
    struct ilea_span bytes = make_entry(home, 1, none, 1, &entry);
    struct ilea_proposal_row proposal = { .act = span("act") };
    const struct ilea_invite_row invite = { .id = { 1 } };
    const struct ilea_policy policy = { 2, true, false };
    struct ilea_feed_row feed;
    ILEA_TEST_OK(ilea_log_put_audit(txn, 1, entry.hash, bytes));
    ILEA_TEST_OK(ilea_log_put_proposal(txn, &proposal));
    ILEA_TEST_OK(ilea_log_put_invite(txn, &invite));
    ILEA_TEST_OK(ilea_log_put_policy(txn, &policy));
    const struct ilea_audience_row audience = { .audience = planned_audience };
    const struct ilea_control_row control = { .audience = planned_audience, .feed = 1, .seq = 1 };
    ILEA_TEST_OK(ilea_log_put_audience(txn, &audience));
    ILEA_TEST_OK(ilea_log_put_control(txn, &control));
    ILEA_TEST_OK(ilea_log_put_meta_u64(txn, "truncations", 5));
    ILEA_TEST_OK(ilea_log_feed(txn, 3, &feed));
    ILEA_TEST_OK(ilea_log_put_fork(txn, &feed.id, span("proof"), hash, 5));
    ILEA_TEST_OK(ilea_transaction_commit(txn));
}

/* Any bit of any row: what is read is refused, and never something else. Returns how many rows there were. */
static unsigned
damage_rows(struct ilea_test_home *home, unsigned database)
{
    uint8_t key[ILEA_KEY_MAX] = { 0 };
    struct ilea_span from = { key, 0 }, at, stored;
    unsigned rows = 0;
    for (;; rows++) {
        struct ilea_cursor *cursor = NULL;
        struct ilea_transaction *txn = begin(home);
        ILEA_TEST_OK(ilea_cursor_open(txn, database, &cursor));
        enum ilea_error error = ilea_cursor_seek(cursor, from, &at, &stored);
        if (error == ILEA_ERROR_NONE && rows > 0) error = ilea_cursor_next(cursor, &at, &stored);
        if (error != ILEA_ERROR_NONE) {
            ilea_cursor_close(cursor);
            ilea_transaction_abort(txn);
            return rows;
        }
        memcpy(key, at.data, at.size);
        from.size = at.size;
        uint8_t *copy = malloc(stored.size);
        assert_non_null(copy);
        memcpy(copy, stored.data, stored.size);
        size_t size = stored.size;
        ilea_cursor_close(cursor);
        bool is_format = database == LOG_META && from.size == 6 && memcmp(key, "format", 6) == 0;
        for (size_t bit = 0; bit < 8 * size && !is_format; bit += 1 + size / 16) {
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            ILEA_TEST_OK(ilea_put_raw(txn, database, from, (struct ilea_span){ copy, size },
                                      (struct ilea_span){ NULL, 0 }, false));
            if (read_all(txn, &home->own.manifest.network) == ILEA_ERROR_NONE) {
                fail_msg("database %u row %u bit %zu", database, rows, bit);
            }
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        free(copy);
        ilea_transaction_abort(txn);
    }
}

static void
test_log_notices_damage(void **state)
{
    struct ilea_test_home *home = *state;
    fill(home);
    struct ilea_transaction *txn = begin(home);
    ILEA_TEST_OK(read_all(txn, &home->own.manifest.network));
    ilea_transaction_abort(txn);
    for (unsigned database = LOG_META; database <= LOG_INVITES; database++) {
        if (damage_rows(home, database) == 0) fail_msg("nothing in database %u", database);
    }
    assert_int_equal(damage_rows(home, LOG_AUDIENCES), 1);
    assert_int_equal(damage_rows(home, LOG_STATEMENTS), 1);
}

int
main(void)
{
#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)
    const struct CMUnitTest tests[] = {
        IN_HOME(test_log_is_created_whole),
        IN_HOME(test_log_agencies),
        IN_HOME(test_log_manifests),
        IN_HOME(test_log_audit),
        IN_HOME(test_log_proposals),
        IN_HOME(test_log_invites_and_policy),
        IN_HOME(test_log_documents),
        IN_HOME(test_log_notices_damage),
    };
#undef IN_HOME
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
