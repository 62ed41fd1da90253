#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "crypto/random.h"
#include "node/audit.h"
#include "node/own_keys.h"
#include "tests/support/decide.h"

/* Databases of the log, as replication/store/log_rows.h names them: to tamper with what nobody should touch. */
#include "replication/store/log_rows.h"

static struct ilea_control_decision answer;
static struct ilea_test_agency nl;

static int
make_home(void **state)
{
    struct ilea_test_home *home = malloc(sizeof *home);
    if (home == NULL) return -1;
    ilea_test_home_make_with(home, "FR-PN", 2);
    ilea_test_agency_make(&nl, "NL-PO");
    ilea_test_home_meet(home, &nl, false);
    ILEA_TEST_OK(ilea_test_decide(home, "peer.approve", &nl, 1, &answer));
    ILEA_TEST_OK(ilea_test_decide(home, "peer.suspend", &nl, 1, &answer));
    ILEA_TEST_OK(ilea_test_decide(home, "peer.resume", &nl, 2, &answer));
    ILEA_TEST_OK(ilea_test_decide(home, "peer.revoke", &nl, 1, &answer));
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

struct faults {
    unsigned count;
    uint64_t first;
    char text[200];
};

static void
take_fault(void *context, uint64_t seq, const char *what)
{
    struct faults *faults = context;
    if (faults->count++ == 0) {
        faults->first = seq;
        (void)snprintf(faults->text, sizeof faults->text, "%s", what);
    }
}

static struct faults
verify(struct ilea_test_home *home, const struct ilea_audit_head *head, uint64_t *entries)
{
    struct ilea_transaction *txn;
    struct faults faults = { .count = 0 };
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_audit_verify(txn, ilea_log_identity(home->log), head, take_fault, &faults, entries));
    ilea_transaction_abort(txn);
    return faults;
}

static void
read_head(struct ilea_test_home *home, struct ilea_audit_head *head)
{
    struct ilea_transaction *txn;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_log_audit_last(txn, &head->seq, head->hash));
    ilea_transaction_abort(txn);
}

/* A row of the feed as it lies in the log: hash || entry. */
struct stored {
    uint8_t bytes[ILEA_ENTRY_SIZE_MAX + 64];
    size_t size;
};

static void
get_row(struct ilea_transaction *txn, uint64_t seq, struct stored *stored)
{
    uint8_t key[8];
    struct ilea_span value;
    ILEA_TEST_OK(ilea_get(txn, LOG_AUDIT, log_key_u64(key, seq), &value));
    assert_true(value.size <= sizeof stored->bytes);
    memcpy(stored->bytes, value.data, value.size);
    stored->size = value.size;
}

static void
put_row(struct ilea_transaction *txn, uint64_t seq, const struct stored *stored)
{
    uint8_t key[8];
    ILEA_TEST_OK(ilea_put(txn, LOG_AUDIT, log_key_u64(key, seq), (struct ilea_span){ stored->bytes, stored->size }));
}

static void
delete_row(struct ilea_transaction *txn, uint64_t seq)
{
    uint8_t key[8];
    ILEA_TEST_OK(ilea_delete(txn, LOG_AUDIT, log_key_u64(key, seq)));
}

static void
test_audit_whole(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_audit_head head;
    uint64_t entries;
    read_head(home, &head);
    struct faults faults = verify(home, &head, &entries);
    assert_int_equal(faults.count, 0);
    assert_int_equal(entries, 5);
    assert_int_equal(head.seq, 5);
}

/* Every byte of every entry, changed. */
static void
test_audit_altered(void **state)
{
    struct ilea_test_home *home = *state;
    static struct stored stored;
    uint64_t entries;
    for (uint64_t seq = 1; seq <= 5; seq++) {
        struct ilea_transaction *txn;
        ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), true, &txn));
        get_row(txn, seq, &stored);
        struct ilea_log_identity identity = *ilea_log_identity(home->log);
        for (size_t at = 0; at < stored.size; at += 7) {
            struct faults faults = { .count = 0 };
            stored.bytes[at] ^= 0x20;
            put_row(txn, seq, &stored);
            ILEA_TEST_OK(ilea_audit_verify(txn, &identity, NULL, take_fault, &faults, &entries));
            if (faults.count == 0) fail_msg("byte %zu of entry %llu", at, (unsigned long long)seq);
            stored.bytes[at] ^= 0x20;
        }
        ilea_transaction_abort(txn);
    }
}

static void
test_audit_removed(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_audit_head head;
    uint64_t entries;
    read_head(home, &head);
    for (uint64_t seq = 1; seq <= 5; seq++) {
        struct ilea_transaction *txn;
        struct faults faults = { .count = 0 };
        ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), true, &txn));
        delete_row(txn, seq);
        ILEA_TEST_OK(ilea_audit_verify(txn, ilea_log_identity(home->log), &head, take_fault, &faults, &entries));
        assert_true(faults.count > 0);
        ilea_transaction_abort(txn);
    }
}

static void
test_audit_reordered(void **state)
{
    struct ilea_test_home *home = *state;
    static struct stored one, other;
    uint64_t entries;
    struct ilea_transaction *txn;
    struct faults faults = { .count = 0 };
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), true, &txn));
    get_row(txn, 2, &one);
    get_row(txn, 3, &other);
    put_row(txn, 3, &one);
    put_row(txn, 2, &other);
    ILEA_TEST_OK(ilea_audit_verify(txn, ilea_log_identity(home->log), NULL, take_fault, &faults, &entries));
    assert_true(faults.count > 0);
    assert_int_equal(faults.first, 2);
    ilea_transaction_abort(txn);
}

/* Whoever has the node key alone can write entries, but no decisions of admins. */
static void
test_audit_forged_by_the_node(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_test_act act;
    uint64_t entries;
    const struct ilea_author_commit *commits;
    uint32_t count;
    for (unsigned with_stranger = 0; with_stranger < 2; with_stranger++) {
        ilea_test_act_begin(&act, home, "peer.approve", &nl);
        ilea_test_act_end(&act);
        if (with_stranger == 1) {
            act.request.sig_count = 1;
            act.request.sigs[0].admin = nl.manifest.admins[0];
            ilea_act_sign(&act.act, &home->own.manifest.network, nl.admins[0], &act.request.sigs[0].sig);
        }
        ILEA_TEST_OK(ilea_author_begin(home->author, ILEA_TEST_TIME_MS));
        ILEA_TEST_OK(ilea_audit_append(home->author, act.request.act, act.request.sigs, act.request.sig_count, NULL));
        ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
        struct faults faults = verify(home, NULL, &entries);
        assert_int_equal(faults.count, 1 + with_stranger);
        assert_int_equal(faults.first, 6);
    }
}

static void
test_audit_head_outside(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_audit_head head;
    uint64_t entries;
    read_head(home, &head);
    head.seq++;
    assert_int_equal(verify(home, &head, &entries).count, 1);
    head.seq--;
    head.hash[0] ^= 1;
    assert_int_equal(verify(home, &head, &entries).count, 1);
    head = (struct ilea_audit_head){ .seq = 0 };
    assert_int_equal(verify(home, &head, &entries).count, 0);
}

static void
test_audit_notes(void **state)
{
    struct ilea_test_home *home = *state;
    const struct ilea_author_commit *commits;
    uint32_t count;
    uint64_t entries, time_ms;
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[5] = '\n';
    text[999] = (char)0xc3; /* a character that the cut would go through */
    text[1000] = (char)0xa9;
    text[sizeof text - 1] = '\0';
    const struct ilea_audit_pair pairs[] = { { "note", text }, { "from", NULL }, { "address", "192.0.2.1" },
                                             { NULL, NULL } };
    ILEA_TEST_OK(ilea_author_begin(home->author, ILEA_TEST_TIME_MS + UINT64_C(1) * 1000 * 86400 * 3650));
    ILEA_TEST_OK(ilea_audit_note(home->author, "peer.request", &nl.card.agency, pairs));
    ILEA_TEST_OK(ilea_audit_note(home->author, "log.restored", NULL, NULL));
    ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
    assert_int_equal(verify(home, NULL, &entries).count, 0);
    assert_int_equal(entries, 7);
    struct ilea_transaction *txn;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_audit_last_time(txn, &time_ms)); /* what the node noted by a wrong clock does not count */
    ilea_transaction_abort(txn);
    assert_int_equal(time_ms, ILEA_TEST_TIME_MS);
}

#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)

int
main(void)
{
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    const struct CMUnitTest tests[] = {
        IN_HOME(test_audit_whole),     IN_HOME(test_audit_altered),  IN_HOME(test_audit_removed),
        IN_HOME(test_audit_reordered), IN_HOME(test_audit_forged_by_the_node),
        IN_HOME(test_audit_head_outside), IN_HOME(test_audit_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
