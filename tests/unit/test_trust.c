#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "crypto/random.h"
#include "node/agency.h"
#include "node/audit.h"
#include "node/ceremony_check.h"
#include "node/chain.h"
#include "node/date.h"
#include "node/grant.h"
#include "node/own_keys.h"
#include "tests/support/decide.h"

static struct ilea_test_act act;
static struct ilea_control_decision answer;
static struct ilea_test_agency nl, be;

static const uint64_t day_ms = UINT64_C(24) * 60 * 60 * 1000;

static int
make_homes(void **state)
{
    struct ilea_test_home *home = malloc(sizeof *home);
    if (home == NULL) return -1;
    ilea_test_home_make_with(home, "FR-PN", 2);
    ilea_test_agency_make(&nl, "NL-PO");
    ilea_test_agency_make(&be, "BE-FP");
    ilea_test_home_meet(home, &nl, false);
    *state = home;
    return 0;
}

static int
remove_homes(void **state)
{
    ilea_test_home_remove(*state);
    ilea_test_agency_free(&nl);
    ilea_test_agency_free(&be);
    free(*state);
    return 0;
}

static void
read_row(struct ilea_test_home *home, const struct ilea_test_agency *of, struct ilea_agency *agency)
{
    struct ilea_transaction *txn;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_agency_load(txn, &of->card.agency, agency));
    ilea_transaction_abort(txn);
}

static enum ilea_agency_state
state_of(struct ilea_test_home *home, const struct ilea_test_agency *of)
{
    static struct ilea_agency agency;
    read_row(home, of, &agency);
    return agency.row.state;
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

/* The code that both sides show. */
enum { CODE_SIZE = ILEA_SAS_DIGITS + ILEA_SAS_WORDS * (ILEA_SAS_WORD_SIZE_MAX + 1) + 1 };

static void
find_code(struct ilea_test_home *home, const struct ilea_test_agency *of, char code[CODE_SIZE])
{
    struct ilea_transaction *txn;
    struct ilea_sas_side own, other;
    struct ilea_sas sas;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_ceremony_sides(txn, &ilea_log_identity(home->log)->agency, &of->card.agency, &own, &other));
    ILEA_TEST_OK(ilea_sas_offline(&own, &other, &sas));
    (void)snprintf(code, CODE_SIZE, "%s %s %s %s %s", sas.digits, sas.words[0], sas.words[1], sas.words[2],
                   sas.words[3]);
    ilea_transaction_abort(txn);
}

static enum ilea_error
approve_with(struct ilea_test_home *home, const struct ilea_test_agency *of, const char *code, unsigned admins)
{
    ilea_test_act_begin(&act, home, "peer.approve", of);
    ilea_test_act_add_manifest(&act, home);
    if (code != NULL) ilea_test_act_add(&act, "code", code);
    ilea_test_act_end(&act);
    for (unsigned i = 0; i < admins; i++) ilea_test_act_sign(&act, home, i);
    return ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer);
}

static void
test_trust_states(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_agency agency;
    assert_int_equal(ilea_test_decide(home, "peer.resume", &nl, 1, &answer), ILEA_ERROR_INVALID);
    assert_int_equal(ilea_test_decide(home, "peer.revoke", &nl, 1, &answer), ILEA_ERROR_INVALID);
    assert_int_equal(ilea_test_decide(home, "peer.suspend", &nl, 1, &answer), ILEA_ERROR_INVALID);
    ilea_test_act_begin(&act, home, "peer.approve", &be);
    ilea_test_act_end(&act);
    ilea_test_act_sign(&act, home, 0);
    assert_int_equal(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer), ILEA_ERROR_NOT_FOUND);
    uint64_t before = last_entry(home);
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_PENDING);

    ILEA_TEST_OK(approve_with(home, &nl, NULL, 1));
    assert_int_equal(answer.outcome, ILEA_DECISION_DONE);
    assert_string_equal(answer.state, "approved");
    assert_string_equal(answer.words, "approved, not verified");
    read_row(home, &nl, &agency);
    assert_int_equal(agency.row.verified, ILEA_VERIFIED_NO);
    assert_int_equal(agency.row.grant.scopes, 15);
    assert_int_equal(agency.row.grant.tlp_max, 2);
    assert_int_equal(agency.row.decided, before + 1);
    assert_int_equal(last_entry(home), before + 1);

    ILEA_TEST_OK(ilea_test_decide(home, "peer.suspend", &nl, 1, &answer));
    assert_string_equal(answer.words, "suspended");
    assert_int_equal(ilea_test_decide(home, "peer.decline", &nl, 1, &answer), ILEA_ERROR_INVALID);
    ILEA_TEST_OK(ilea_test_decide(home, "peer.resume", &nl, 1, &answer));
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_APPROVED);
    ILEA_TEST_OK(ilea_test_decide(home, "peer.revoke", &nl, 1, &answer));
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_REVOKED);
    assert_int_equal(ilea_test_decide(home, "peer.resume", &nl, 1, &answer), ILEA_ERROR_INVALID);
}

/* Who was refused comes back by a compared code alone: not by --yes, not by its card, not under another id. */
static void
test_trust_refusals_are_sticky(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_test_agency again;
    static struct ilea_agency agency;
    char code[CODE_SIZE], wrong[CODE_SIZE], digits[ILEA_SAS_DIGITS + 1];
    ILEA_TEST_OK(ilea_test_decide(home, "peer.decline", &nl, 1, &answer));
    ilea_test_home_meet(home, &nl, false); /* the same card again */
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_DECLINED);
    assert_int_equal(approve_with(home, &nl, NULL, 1), ILEA_ERROR_PERMISSION);

    ilea_test_agency_make(&again, "NL-XX");
    again.manifest.roots[0] = nl.manifest.roots[0];
    ilea_sign_secret_free(again.root);
    again.root = nl.root;
    ilea_test_agency_remake(&again);
    ilea_test_home_meet(home, &again, false);
    assert_int_equal(approve_with(home, &again, NULL, 1), ILEA_ERROR_PERMISSION);
    again.root = NULL; /* it is the other's */

    find_code(home, &nl, code);
    memcpy(wrong, code, sizeof wrong);
    wrong[0] = wrong[0] == '0' ? '1' : '0';
    assert_int_equal(approve_with(home, &nl, wrong, 1), ILEA_ERROR_INVALID);
    assert_int_equal(approve_with(home, &nl, "1234567", 1), ILEA_ERROR_INVALID);
    memcpy(digits, code, sizeof digits - 1);
    digits[sizeof digits - 1] = '\0';
    assert_int_equal(approve_with(home, &nl, digits, 1), ILEA_ERROR_INVALID); /* offline, the words count, too */
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_DECLINED);
    ILEA_TEST_OK(approve_with(home, &nl, code, 1));
    assert_string_equal(answer.words, "approved");
    read_row(home, &nl, &agency);
    assert_int_equal(agency.row.verified, ILEA_VERIFIED_OFFLINE_CODE);
    ilea_test_agency_free(&again);
}

static void
test_trust_two_persons(void **state)
{
    struct ilea_test_home *home = *state;
    home->config.approvals = 2;
    ILEA_TEST_OK(approve_with(home, &nl, NULL, 1));
    assert_int_equal(answer.outcome, ILEA_DECISION_WAITS);
    assert_int_equal(answer.have, 1);
    assert_int_equal(answer.needed, 2);
    uint32_t number = answer.proposal;
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_PENDING);
    /* The same admin twice is one person. */
    assert_int_equal(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer), ILEA_ERROR_EXISTS);
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_PENDING);
    /* What the stricter configuration asked for stays, also under a laxer one. */
    home->config.approvals = 1;
    act.request.sig_count = 0;
    ilea_test_act_sign(&act, home, 1);
    ILEA_TEST_OK(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS + day_ms / 2, &answer));
    assert_int_equal(answer.outcome, ILEA_DECISION_DONE);
    assert_int_equal(answer.have, 2);
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_APPROVED);
    /* Carried out once: not again. */
    assert_int_equal(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer), ILEA_ERROR_EXISTS);
    assert_int_equal(number, 1);

    /* To withhold takes one, to give or to end takes both. */
    ILEA_TEST_OK(ilea_test_decide(home, "peer.suspend", &nl, 1, &answer));
    assert_int_equal(answer.outcome, ILEA_DECISION_DONE);
    ILEA_TEST_OK(ilea_test_decide(home, "peer.resume", &nl, 1, &answer));
    assert_int_equal(answer.outcome, ILEA_DECISION_WAITS);
    ILEA_TEST_OK(ilea_test_decide(home, "peer.revoke", &nl, 2, &answer));
    assert_int_equal(answer.outcome, ILEA_DECISION_DONE);
}

static void
test_trust_proposals_end(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_test_act proposed;
    char hex[2 * ILEA_HASH_SIZE + 1];
    home->config.approvals = 2;
    ILEA_TEST_OK(approve_with(home, &nl, NULL, 1));
    proposed = act;
    proposed.request.act.data = proposed.bytes;
    ilea_hex_format(act.act.hash, sizeof act.act.hash, hex);
    /* Too old to be signed. */
    proposed.request.sig_count = 0;
    ilea_test_act_sign(&proposed, home, 1);
    assert_int_equal(ilea_test_decide_at(home, &proposed, ILEA_TEST_TIME_MS + 31 * day_ms, &answer),
                     ILEA_ERROR_INVALID);
    /* Rejected by one. */
    ilea_test_act_begin(&act, home, "admin.reject", NULL);
    ilea_test_act_add(&act, "act", hex);
    ilea_test_act_end(&act);
    ilea_test_act_sign(&act, home, 1);
    ILEA_TEST_OK(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer));
    /* The second admin's signature alone begins a new one. */
    ILEA_TEST_OK(ilea_test_decide_at(home, &proposed, ILEA_TEST_TIME_MS, &answer));
    assert_int_equal(answer.outcome, ILEA_DECISION_WAITS);
    assert_int_equal(answer.have, 1);
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_PENDING);
    /* Which the first may sign days later. */
    proposed.request.sig_count = 0;
    ilea_test_act_sign(&proposed, home, 0);
    ILEA_TEST_OK(ilea_test_decide_at(home, &proposed, ILEA_TEST_TIME_MS + 20 * day_ms, &answer));
    assert_int_equal(answer.outcome, ILEA_DECISION_DONE);
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_APPROVED);
}

static void
test_trust_refuses_bad_acts(void **state)
{
    struct ilea_test_home *home = *state;
    uint64_t before = last_entry(home);
    /* Nobody's signature; a stranger's; an altered act; another agency's; an unknown kind; what the node notes. */
    assert_int_equal(ilea_test_decide(home, "peer.approve", &nl, 0, &answer), ILEA_ERROR_PERMISSION);
    (void)approve_with(home, &nl, NULL, 0);
    act.request.sig_count = 1;
    act.request.sigs[0].admin = nl.manifest.admins[0];
    ilea_act_sign(&act.act, &home->own.manifest.network, nl.admins[0], &act.request.sigs[0].sig);
    assert_int_equal(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer), ILEA_ERROR_PERMISSION);
    ilea_test_act_begin(&act, home, "peer.approve", &nl);
    ilea_test_act_add_manifest(&act, home);
    ilea_test_act_end(&act);
    ilea_test_act_sign(&act, home, 0);
    act.bytes[act.request.act.size - 1] ^= 1; /* a digit of the hash */
    assert_int_not_equal(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer), ILEA_ERROR_NONE);
    ilea_test_act_begin(&act, home, "peer.approve", &nl);
    act.act.agency = be.card.agency;
    ilea_test_act_end(&act);
    ilea_test_act_sign(&act, home, 0);
    assert_int_equal(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer), ILEA_ERROR_INVALID);
    assert_int_equal(ilea_test_decide(home, "peer.dance", &nl, 1, &answer), ILEA_ERROR_INVALID);
    assert_int_equal(ilea_test_decide(home, "peer.expired", &nl, 1, &answer), ILEA_ERROR_INVALID);
    assert_int_equal(ilea_test_decide(home, "peer.approve", NULL, 1, &answer), ILEA_ERROR_INVALID);
    assert_int_equal(ilea_test_decide(home, "peer.approve", &home->own, 1, &answer), ILEA_ERROR_INVALID);
    /* Not of today. */
    (void)approve_with(home, &nl, NULL, 0);
    ilea_test_act_sign(&act, home, 0);
    assert_int_equal(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS + 2 * day_ms, &answer), ILEA_ERROR_INVALID);
    assert_int_equal(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS - 2 * day_ms, &answer), ILEA_ERROR_INVALID);
    assert_int_equal(last_entry(home), before);
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_PENDING);
    ILEA_TEST_OK(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS + day_ms / 2, &answer));
}

static void
test_trust_policy(void **state)
{
    struct ilea_test_home *home = *state;
    home->config.unverified = false;
    assert_int_equal(approve_with(home, &nl, NULL, 1), ILEA_ERROR_PERMISSION);
    home->config.unverified = true;
    ilea_test_act_begin(&act, home, "policy.set", NULL);
    ilea_test_act_add(&act, "unverified", "no");
    ilea_test_act_add(&act, "approvals", "2");
    ilea_test_act_end(&act);
    ilea_test_act_sign(&act, home, 0);
    ILEA_TEST_OK(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer));
    assert_int_equal(approve_with(home, &nl, NULL, 2), ILEA_ERROR_PERMISSION);
    static const char *const bad[] = { "0", "3", "17", "two", "-1", "" };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0] - 1; i++) {
        ilea_test_act_begin(&act, home, "policy.set", NULL);
        ilea_test_act_add(&act, "approvals", bad[i]);
        ilea_test_act_end(&act);
        ilea_test_act_sign(&act, home, 0);
        assert_int_equal(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer), ILEA_ERROR_INVALID);
    }
    /* Lower again: by both. */
    ilea_test_act_begin(&act, home, "policy.set", NULL);
    ilea_test_act_add(&act, "approvals", "1");
    ilea_test_act_end(&act);
    ilea_test_act_sign(&act, home, 0);
    ILEA_TEST_OK(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer));
    assert_int_equal(answer.outcome, ILEA_DECISION_WAITS);
    act.request.sig_count = 0;
    ilea_test_act_sign(&act, home, 1);
    ILEA_TEST_OK(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer));
    assert_int_equal(answer.outcome, ILEA_DECISION_DONE);
    /* More admins than there are cannot sign. */
    home->config.approvals = 3;
    assert_int_equal(ilea_test_decide(home, "peer.decline", &nl, 1, &answer), ILEA_ERROR_NONE);
    ilea_test_home_meet(home, &be, false);
    assert_int_equal(approve_with(home, &be, NULL, 2), ILEA_ERROR_PERMISSION);
}

static void
test_trust_grants_expire(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_agency agency;
    struct ilea_node node;
    struct ilea_agency_id expired;
    const struct ilea_author_commit *commits;
    uint32_t count;
    char date[ILEA_DATE_SIZE];
    ilea_date_format(ILEA_TEST_TIME_MS + 10 * day_ms, date);
    ilea_test_act_begin(&act, home, "peer.approve", &nl);
    ilea_test_act_add_manifest(&act, home);
    ilea_test_act_add(&act, "expires", date);
    ilea_test_act_add(&act, "scope", "connect,follow");
    ilea_test_act_add(&act, "tlp-max", "clear");
    ilea_test_act_add(&act, "areas", "cybercrime,terrorism");
    ilea_test_act_end(&act);
    ilea_test_act_sign(&act, home, 0);
    ILEA_TEST_OK(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer));
    read_row(home, &nl, &agency);
    assert_int_equal(agency.row.grant.scopes, ILEA_GRANT_CONNECT | ILEA_GRANT_FOLLOW);
    assert_int_equal(agency.row.grant.tlp_max, 1);
    assert_memory_equal(agency.row.grant.areas.data, "cybercrime,terrorism", 20);

    static const struct { int days; enum ilea_error error; } times[] = {
        { 9, ILEA_ERROR_NOT_FOUND }, { 500, ILEA_ERROR_NOT_FOUND }, { -3, ILEA_ERROR_NOT_FOUND },
        { 11, ILEA_ERROR_NONE }, { 11, ILEA_ERROR_NOT_FOUND } };
    for (unsigned i = 0; i < sizeof times / sizeof times[0]; i++) {
        uint64_t now = ILEA_TEST_TIME_MS + (uint64_t)((int64_t)day_ms * times[i].days);
        ilea_test_home_node(home, &node);
        ILEA_TEST_OK(ilea_author_begin(home->author, now));
        assert_int_equal(ilea_trust_expire(&node, now, &expired), times[i].error);
        ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
    }
    read_row(home, &nl, &agency);
    assert_int_equal(agency.row.state, ILEA_AGENCY_SUSPENDED);
    assert_memory_equal(agency.row.reason.data, "expired", 7);

    /* A clock that cannot be right decides nothing unless the admin says that it is. */
    for (unsigned confirmed = 0; confirmed < 2; confirmed++) {
        ilea_test_act_begin(&act, home, "peer.revoke", &nl);
        act.act.made_ms = ILEA_TEST_TIME_MS + 3650 * day_ms;
        if (confirmed == 1) ilea_test_act_add(&act, "clock", "right");
        ilea_test_act_end(&act);
        ilea_test_act_sign(&act, home, 0);
        assert_int_equal(ilea_test_decide_at(home, &act, act.act.made_ms, &answer),
                         confirmed == 1 ? ILEA_ERROR_NONE : ILEA_ERROR_INVALID);
    }
}

static void
test_trust_bad_grants(void **state)
{
    struct ilea_test_home *home = *state;
    static const char *const bad[][2] = { { "expires", "2020-01-01" }, { "expires", "2030-02-30" },
                                          { "expires", "soon" },       { "scope", "connect,fly" },
                                          { "scope", "connect," },     { "tlp-max", "ultra" },
                                          { "areas", "a,,b" },         { "areas", "a b" } };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ilea_test_act_begin(&act, home, "peer.approve", &nl);
        ilea_test_act_add_manifest(&act, home);
        ilea_test_act_add(&act, bad[i][0], bad[i][1]);
        ilea_test_act_end(&act);
        ilea_test_act_sign(&act, home, 0);
        assert_int_equal(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer), ILEA_ERROR_INVALID);
    }
    /* Keys that changed since the admin looked. */
    ilea_test_act_begin(&act, home, "peer.approve", &nl);
    ilea_test_act_add(&act, "manifest", "0000000000000000000000000000000000000000000000000000000000000000");
    ilea_test_act_end(&act);
    ilea_test_act_sign(&act, home, 0);
    assert_int_equal(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer), ILEA_ERROR_INVALID);
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_PENDING);
}

static void
test_trust_vouch(void **state)
{
    struct ilea_test_home *home = *state;
    ilea_test_act_begin(&act, home, "peer.vouch", &nl);
    ilea_test_act_add_manifest(&act, home);
    ilea_test_act_add(&act, "how", "telepathy");
    ilea_test_act_add(&act, "status", "current");
    ilea_test_act_end(&act);
    ilea_test_act_sign(&act, home, 0);
    assert_int_equal(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer), ILEA_ERROR_INVALID);
    ilea_test_act_begin(&act, home, "peer.vouch", &nl);
    ilea_test_act_add_manifest(&act, home);
    ilea_test_act_add(&act, "how", "phone");
    ilea_test_act_add(&act, "status", "current");
    ilea_test_act_end(&act);
    ilea_test_act_sign(&act, home, 0);
    uint64_t before = ilea_author_position(home->author);
    ILEA_TEST_OK(ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, &answer));
    assert_int_equal(state_of(home, &nl), ILEA_AGENCY_PENDING);
    assert_true(ilea_author_position(home->author) > before);
    assert_true(ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->number > 0);
}

static void
test_trust_cards(void **state)
{
    struct ilea_test_home *home = *state;
    static char text[2 * ILEA_CARD_SIZE_MAX];
    static uint8_t bytes[ILEA_CARD_SIZE_MAX];
    struct ilea_control_agency card;
    struct ilea_node node;
    ilea_test_home_node(home, &node);
    ILEA_TEST_OK(ilea_author_begin(home->author, ILEA_TEST_TIME_MS));
    /* Our own; cut; altered; of a clock far ahead of ours. */
    ILEA_TEST_OK(ilea_agency_card(&node, (struct ilea_span){ (uint8_t *)home->own.text, home->own.text_size },
                                  ILEA_TEST_TIME_MS, &card));
    assert_int_equal(card.error, ILEA_ERROR_INVALID);
    ILEA_TEST_OK(ilea_agency_card(&node, (struct ilea_span){ (uint8_t *)be.text, be.text_size / 2 },
                                  ILEA_TEST_TIME_MS, &card));
    assert_int_equal(card.error, ILEA_ERROR_MALFORMED);
    ILEA_TEST_OK(ilea_agency_card(&node, (struct ilea_span){ (uint8_t *)be.text, be.text_size },
                                  be.card.made_ms - 2 * day_ms, &card));
    assert_int_equal(card.error, ILEA_ERROR_INVALID);
    assert_non_null(strstr(card.reason, "clock"));
    ilea_author_abort(home->author);
    /* An older card than the one known. */
    const struct ilea_span chain = { nl.signed_manifest, nl.signed_size };
    struct ilea_card decoded;
    size_t size, text_size;
    ILEA_TEST_OK(ilea_card_encode(&chain, 1, (struct ilea_span){ NULL, 0 }, (struct ilea_span){ NULL, 0 },
                                  nl.card.made_ms - 1, nl.keys.node, bytes, sizeof bytes, &size));
    ILEA_TEST_OK(ilea_card_decode((struct ilea_span){ bytes, size }, &decoded));
    ILEA_TEST_OK(ilea_card_format(&decoded, (struct ilea_span){ bytes, size }, text, sizeof text, &text_size));
    ILEA_TEST_OK(ilea_author_begin(home->author, ILEA_TEST_TIME_MS));
    ILEA_TEST_OK(ilea_agency_card(&node, (struct ilea_span){ (uint8_t *)text, text_size }, ILEA_TEST_TIME_MS, &card));
    assert_int_equal(card.error, ILEA_ERROR_INVALID);
    ilea_author_abort(home->author);
}

#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, make_homes, remove_homes)

int
main(void)
{
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    const struct CMUnitTest tests[] = {
        IN_HOME(test_trust_states),        IN_HOME(test_trust_refusals_are_sticky),
        IN_HOME(test_trust_two_persons),   IN_HOME(test_trust_proposals_end),
        IN_HOME(test_trust_refuses_bad_acts), IN_HOME(test_trust_policy),
        IN_HOME(test_trust_grants_expire), IN_HOME(test_trust_bad_grants),
        IN_HOME(test_trust_vouch),         IN_HOME(test_trust_cards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
