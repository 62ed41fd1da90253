#include "crypto/random.h"
#include "node/ceremony.h"
#include "tests/support/codec.h"

/* One node: what it believes of itself and of the other side. */
struct node {
    struct ilea_ceremonies ceremonies;
    struct ilea_sas_side own, other;
    struct ilea_ceremony *ceremony;
    bool has_lobby; /* the other side can reach it */
};

static struct ilea_sas_side
side(uint8_t id, uint8_t manifest)
{
    struct ilea_sas_side made = { .nonce = { 0 } };
    memset(made.agency.bytes, id, sizeof made.agency.bytes);
    memset(made.manifest, manifest, sizeof made.manifest);
    return made;
}

static void
init(struct node *node, struct ilea_sas_side own, struct ilea_sas_side other, bool has_lobby)
{
    memset(node, 0, sizeof *node);
    node->own = own;
    node->other = other;
    node->has_lobby = has_lobby;
}

static void
ask(struct node *node, uint64_t now_ms)
{
    node->ceremony = ilea_ceremony_open(&node->ceremonies, &node->own, &node->other, now_ms);
    assert_non_null(node->ceremony);
}

static bool
is_done(const struct node *node)
{
    return node->ceremony != NULL && ilea_ceremony_state(node->ceremony) == ILEA_CEREMONY_DONE;
}

static struct ilea_sas
code_of(const struct node *node, uint64_t now_ms)
{
    struct ilea_sas sas;
    assert_true(ilea_ceremony_result(&node->ceremonies, &node->own, &node->other, now_ms, &sas));
    return sas;
}

static bool
is_same_code(const struct ilea_sas *a, const struct ilea_sas *b)
{
    return strcmp(a->digits, b->digits) == 0 && memcmp(a->words, b->words, sizeof a->words) == 0;
}

/* What `from` has to say goes to `to`, unless one of the two messages is lost. */
static void
talk(struct node *from, struct node *to, uint64_t now_ms, bool loses_message, bool loses_answer)
{
    struct ilea_lobby_ceremony message = { .kind = 0 }, answer = { .kind = 0 };
    if (!to->has_lobby || from->ceremony == NULL) return;
    if (!ilea_ceremony_next(from->ceremony, now_ms, &message) || loses_message) return;
    struct ilea_ceremony *found = ilea_ceremony_find(&to->ceremonies, &to->other.agency, now_ms);
    if (found == NULL || !ilea_ceremony_receive(&to->ceremonies, found, &message, now_ms, &answer)) return;
    if (!loses_answer) ilea_ceremony_answered(&from->ceremonies, from->ceremony, &answer, now_ms);
}

static void
test_plain_run(void **state)
{
    (void)state;
    for (int initiator = 0; initiator < 2; initiator++) {
        static struct node a, b;
        init(&a, side(1, 11), side(2, 22), initiator == 1);
        init(&b, side(2, 22), side(1, 11), initiator == 0);
        ask(&a, 1000);
        ask(&b, 1000);
        assert_int_equal(ilea_ceremony_state(a.ceremony), ILEA_CEREMONY_WAITING);
        uint64_t now_ms = 1000;
        for (; now_ms < 8000 && !(is_done(&a) && is_done(&b)); now_ms += 100) {
            ask(&a, now_ms);
            ask(&b, now_ms);
            talk(&a, &b, now_ms, false, false);
            talk(&b, &a, now_ms, false, false);
        }
        /* The lower id does not wait. */
        assert_true(initiator == 0 ? now_ms < 1500 : now_ms >= 4000 && now_ms < 5000);
        assert_true(is_done(&a) && is_done(&b));
        const struct ilea_sas one = code_of(&a, now_ms), other = code_of(&b, now_ms);
        assert_true(is_same_code(&one, &other));
    }
}

/* Whatever is lost, and whoever begins anew: two that are done have one code. */
static void
test_losses(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    unsigned both = 0, one_alone = 0;
    for (unsigned round = 0; round < 3000; round++) {
        static struct node nodes[2];
        init(&nodes[0], side(1, 11), side(2, 22), draw(&seed) % 4 != 0);
        init(&nodes[1], side(2, 22), side(1, 11), draw(&seed) % 4 != 0);
        uint64_t loss = draw(&seed) % 60, restarts = draw(&seed) % 3;
        uint64_t now_ms = 1000;
        for (; now_ms < 25000 && !(is_done(&nodes[0]) && is_done(&nodes[1])); now_ms += 100) {
            for (unsigned i = 0; i < 2; i++) {
                struct node *from = &nodes[i], *to = &nodes[1 - i];
                if (restarts > 0 && draw(&seed) % 100 == 0 && from->ceremony != NULL && !is_done(from)) {
                    restarts--;
                    ilea_ceremony_close(from->ceremony);
                    from->ceremony = NULL;
                }
                if (now_ms > 1000 + 3000 * i) ask(from, now_ms);
                talk(from, to, now_ms, draw(&seed) % 100 < loss, draw(&seed) % 100 < loss);
            }
        }
        if (is_done(&nodes[0]) && is_done(&nodes[1])) {
            const struct ilea_sas one = code_of(&nodes[0], now_ms), other = code_of(&nodes[1], now_ms);
            if (!is_same_code(&one, &other)) fail_msg("round %u: two codes", round);
            both++;
        } else if (is_done(&nodes[0]) != is_done(&nodes[1])) {
            one_alone++;
        }
    }
    print_message("%u rounds ended with one code on both sides, %u on one side alone\n", both, one_alone);
    assert_true(both > 2000);
}

/* The one in the middle has given each side its own card as the other's, and runs a ceremony with each. */
static void
test_man_in_the_middle(void **state)
{
    (void)state;
    static struct node a, b, to_a, to_b;
    for (unsigned round = 0; round < 100; round++) {
        init(&a, side(1, 11), side(7, 77), true);   /* believes that 7 is b */
        init(&b, side(2, 22), side(8, 88), true);   /* believes that 8 is a */
        init(&to_a, side(7, 77), side(1, 11), true);
        init(&to_b, side(8, 88), side(2, 22), true);
        uint64_t now_ms = 1000;
        for (; now_ms < 9000; now_ms += 100) {
            ask(&a, now_ms);
            ask(&b, now_ms);
            ask(&to_a, now_ms);
            ask(&to_b, now_ms);
            talk(&a, &to_a, now_ms, false, false);
            talk(&to_a, &a, now_ms, false, false);
            talk(&b, &to_b, now_ms, false, false);
            talk(&to_b, &b, now_ms, false, false);
        }
        assert_true(is_done(&a) && is_done(&b));
        const struct ilea_sas one = code_of(&a, now_ms), other = code_of(&b, now_ms);
        assert_string_not_equal(one.digits, other.digits);
    }
    /* Offline, too. */
    struct ilea_sas one, other;
    assert_int_equal(ilea_sas_offline(&a.own, &a.other, &one), ILEA_ERROR_NONE);
    assert_int_equal(ilea_sas_offline(&b.own, &b.other, &other), ILEA_ERROR_NONE);
    assert_string_not_equal(one.digits, other.digits);
}

static struct ilea_lobby_ceremony
commit_of(const struct ilea_sas_side *own, uint8_t nonce)
{
    struct ilea_lobby_ceremony message = { .kind = ILEA_LOBBY_KIND_COMMIT };
    struct ilea_sas_side with = *own;
    memset(with.nonce, nonce, sizeof with.nonce);
    memcpy(message.manifest, own->manifest, sizeof message.manifest);
    ilea_sas_commitment(&with, message.value);
    return message;
}

static void
test_rules(void **state)
{
    (void)state;
    static struct node a;
    struct ilea_lobby_ceremony answer, again;
    init(&a, side(1, 11), side(2, 22), true);
    assert_null(ilea_ceremony_find(&a.ceremonies, &a.other.agency, 1000));
    ask(&a, 1000);
    /* The same commitment, the same nonce. */
    struct ilea_lobby_ceremony message = commit_of(&a.other, 5);
    assert_true(ilea_ceremony_receive(&a.ceremonies, a.ceremony, &message, 1000, &answer));
    assert_int_equal(answer.kind, ILEA_LOBBY_KIND_NONCE);
    assert_true(ilea_ceremony_receive(&a.ceremonies, a.ceremony, &message, 1001, &again));
    assert_memory_equal(answer.value, again.value, sizeof answer.value);
    /* Another one, another nonce; and not for ever. */
    message = commit_of(&a.other, 6);
    assert_true(ilea_ceremony_receive(&a.ceremonies, a.ceremony, &message, 1002, &again));
    assert_memory_not_equal(answer.value, again.value, sizeof answer.value);
    message = commit_of(&a.other, 7);
    assert_true(ilea_ceremony_receive(&a.ceremonies, a.ceremony, &message, 1002, &again));
    message = commit_of(&a.other, 8);
    assert_false(ilea_ceremony_receive(&a.ceremonies, a.ceremony, &message, 1003, &again));
    /* Another manifest than the one that is known. */
    message = commit_of(&a.other, 7);
    message.manifest[0] ^= 1;
    assert_false(ilea_ceremony_receive(&a.ceremonies, a.ceremony, &message, 1003, &again));
    assert_true(a.ceremony->is_other_card);
    /* A nonce that was not committed to. */
    message = commit_of(&a.other, 7);
    message.kind = ILEA_LOBBY_KIND_REVEAL;
    memset(message.value, 9, sizeof message.value);
    assert_false(ilea_ceremony_receive(&a.ceremonies, a.ceremony, &message, 1004, &again));
    assert_int_equal(ilea_ceremony_state(a.ceremony), ILEA_CEREMONY_BROKEN);
    memset(message.value, 7, sizeof message.value);
    assert_false(ilea_ceremony_receive(&a.ceremonies, a.ceremony, &message, 1004, &again));
    /* Nobody asks any more. */
    assert_true(ilea_ceremony_any(&a.ceremonies, 1000 + ILEA_CEREMONY_LEASE_MS - 1));
    assert_false(ilea_ceremony_any(&a.ceremonies, 1000 + ILEA_CEREMONY_LEASE_MS));
    /* Ten minutes are enough, however often one asks. */
    uint64_t now_ms = 100000, end_ms = now_ms + ILEA_CEREMONY_MS;
    ask(&a, now_ms);
    const uint64_t opened_ms = a.ceremony->opened_ms;
    for (; now_ms < end_ms; now_ms += 1000) {
        ask(&a, now_ms);
        assert_int_equal(a.ceremony->opened_ms, opened_ms);
    }
    ask(&a, now_ms);
    assert_int_equal(a.ceremony->opened_ms, now_ms);
    /* As many as there are places. */
    for (unsigned i = 1; i < ILEA_CEREMONIES_MAX; i++) {
        const struct ilea_sas_side other = side((uint8_t)(100 + i), 1);
        assert_non_null(ilea_ceremony_open(&a.ceremonies, &a.own, &other, now_ms));
    }
    const struct ilea_sas_side other = side(99, 1);
    assert_null(ilea_ceremony_open(&a.ceremonies, &a.own, &other, now_ms));
}

static void
test_check(void **state)
{
    (void)state;
    static struct node a, b;
    init(&a, side(1, 11), side(2, 22), true);
    init(&b, side(2, 22), side(1, 11), true);
    ask(&a, 1000);
    ask(&b, 1000);
    talk(&a, &b, 1000, false, false);
    talk(&a, &b, 1100, false, false);
    const struct ilea_sas online = code_of(&a, 1200);
    struct ilea_sas offline;
    assert_int_equal(ilea_sas_offline(&a.own, &a.other, &offline), ILEA_ERROR_NONE);
    char wrong[] = "00000000", words[80];
    memcpy(wrong, online.digits, sizeof wrong);
    wrong[7] = wrong[7] == '0' ? '1' : '0';
    (void)snprintf(words, sizeof words, "%.4s %s %s %s %s %s", online.digits, online.digits + 4,
                   online.words[0], online.words[1], online.words[2], online.words[3]);
    char whole[60];
    (void)snprintf(whole, sizeof whole, "%s %s %s %s %s", offline.digits, offline.words[0], offline.words[1],
                   offline.words[2], offline.words[3]);
    struct { const char *typed; enum ilea_ceremony_match expected; } cases[] = {
        { online.digits, ILEA_CEREMONY_ONLINE }, { offline.digits, ILEA_CEREMONY_WORDS },
        { whole, ILEA_CEREMONY_OFFLINE },
        { words, ILEA_CEREMONY_ONLINE },         { wrong, ILEA_CEREMONY_WRONG },
        { "1234567", ILEA_CEREMONY_BAD_LENGTH }, { "123456789", ILEA_CEREMONY_BAD_LENGTH },
        { "", ILEA_CEREMONY_BAD_LENGTH },        { "12345678 one two", ILEA_CEREMONY_BAD_LENGTH },
        { "1234567a", ILEA_CEREMONY_BAD_LENGTH }
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ilea_ceremony_compare(&a.ceremonies, &a.own, &a.other, cases[i].typed, 1200),
                         cases[i].expected);
    }
    assert_int_equal(ilea_ceremony_compare(NULL, &a.own, &a.other, online.digits, 1200), ILEA_CEREMONY_WRONG);
    assert_int_equal(ilea_ceremony_compare(NULL, &a.own, &a.other, whole, 1200), ILEA_CEREMONY_OFFLINE);
    /* It is forgotten after a day, and does not hold for another manifest. */
    struct ilea_sas sas;
    assert_false(ilea_ceremony_result(&a.ceremonies, &a.own, &a.other, 1200 + ILEA_CEREMONY_KEPT_MS, &sas));
    const struct ilea_sas_side later = side(2, 23);
    assert_false(ilea_ceremony_result(&a.ceremonies, &a.own, &later, 1200, &sas));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_run),
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_man_in_the_middle),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_check),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
