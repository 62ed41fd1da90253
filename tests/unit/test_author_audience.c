/* Three agencies, their logs carried to each other by hand: who can read what is written into closed audiences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "node/audience.h"
#include "node/author_state.h"
#include "tests/support/home.h"

enum { FR, NL, BE, HOMES };

static struct ilea_test_home homes[HOMES];
static struct ilea_test_put put;
static struct ilea_put_result result;
static struct ilea_audience_request request;
static struct ilea_audience_result changed;
static struct ilea_audience_id audience;

static const struct ilea_grant wide = { .scopes = 15, .tlp_max = ILEA_LABEL_AMBER_STRICT };

static int
make_homes(void **state)
{
    static const char *const codes[] = { "FR-PN", "NL-PO", "BE-FP" };
    (void)state;
    for (unsigned i = 0; i < HOMES; i++) ilea_test_home_make(&homes[i], codes[i]);
    for (unsigned i = 0; i < HOMES; i++) {
        ilea_test_home_build(&homes[i]);
        for (unsigned j = 0; j < HOMES; j++) {
            if (i == j) continue;
            ilea_test_home_meet(&homes[i], &homes[j].own, false);
            ilea_test_home_grant(&homes[i], &homes[j].own, ILEA_AGENCY_APPROVED, wide);
        }
    }
    return 0;
}

static int
remove_homes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HOMES; i++) ilea_test_home_remove(&homes[i]);
    return 0;
}

static struct ilea_span
text_of(const char *text)
{
    return (struct ilea_span){ (const uint8_t *)text, strlen(text) };
}

/* Ask for a change, in a group commit of its own. */
static enum ilea_error
change(unsigned home, enum ilea_audience_verb verb, int member, enum ilea_access level)
{
    const struct ilea_author_commit *commits;
    uint32_t count;
    struct ilea_author *author = homes[home].author;
    request.verb = verb;
    request.audience = audience;
    request.reason = text_of("a reason");
    request.member_count = member < 0 ? 0 : 1;
    if (member >= 0) {
        request.members[0] = (struct ilea_audience_member){ homes[member].own.card.agency, level };
    }
    ILEA_TEST_OK(ilea_author_begin(author, 1700000000000));
    enum ilea_error error = ilea_author_change_audience(author, &request, &changed);
    if (error != ILEA_ERROR_NONE) {
        assert_true(changed.reason[0] != '\0');
        ilea_author_abort(author);
    } else {
        ILEA_TEST_OK(ilea_author_commit(author, &commits, &count));
    }
    return error;
}

/* A new audience of FR's with one member. */
static void
begin_audience(uint64_t history_ms, unsigned member, enum ilea_access level)
{
    static unsigned serial;
    static char name[16];
    memset(&audience, 0, sizeof audience);
    (void)snprintf(name, sizeof name, "GANGS%u", ++serial);
    request.name = text_of(name);
    request.tlp = ILEA_LABEL_AMBER;
    request.history_ms = history_ms;
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_NEW, (int)member, level));
    audience = changed.audience;
}

static enum ilea_error
write_record(unsigned home, const char *title, const char *tlp)
{
    ilea_test_put_begin(&put, ILEA_PUT_CREATE, ILEA_SCOPE_AUDIENCE, ILEA_TEST_NEED, NULL);
    put.put.audience = audience;
    ilea_test_put_text(&put, "title", title);
    if (tlp != NULL) ilea_test_put_text(&put, "tlp", tlp);
    return ilea_test_write(&homes[home], &put, &result);
}

/* All feeds of the audience that one has go to another, whether it is a member or not; what that changes is seen to. */
static void
carry(unsigned from, unsigned to)
{
    struct ilea_transaction *txn;
    struct ilea_feed_id ids[64];
    const struct ilea_author_commit *commits;
    struct ilea_feed_row feed;
    uint32_t count = 0;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(homes[from].log), false, &txn));
    for (uint32_t i = 1; ilea_log_feed(txn, i, &feed) == ILEA_ERROR_NONE; i++) {
        if (feed.origin.scope == ILEA_SCOPE_AUDIENCE) ids[count++] = feed.id;
    }
    ilea_transaction_abort(txn);
    for (uint32_t i = 0; i < count; i++) ilea_test_home_carry(&homes[from], &ids[i], UINT64_MAX, &homes[to]);
    ILEA_TEST_OK(ilea_author_begin(homes[to].author, 1700000000000));
    ILEA_TEST_OK(ilea_author_audience_changed(homes[to].author, &audience));
    ILEA_TEST_OK(ilea_author_commit(homes[to].author, &commits, &count));
    ilea_test_home_build(&homes[to]);
}

/* Whether a need with this title is shown, and shows nothing else in its place. */
static bool
reads(unsigned home, const char *title)
{
    struct ilea_transaction *txn;
    struct ilea_view_row row = { .number = 0 };
    struct ilea_record record;
    bool found = false;
    ilea_record_init(&record);
    ilea_test_home_build(&homes[home]);
    ILEA_TEST_OK(ilea_transaction_begin(homes[home].view, false, &txn));
    while (!found && ilea_view_next(txn, ILEA_TEST_NEED, 0, &row) == ILEA_ERROR_NONE) {
        ILEA_TEST_OK(ilea_record_decode(row.state, &record));
        struct ilea_span value = ilea_record_common_value(&record, ILEA_FIELD_TITLE);
        uint32_t first;
        const struct ilea_span none = { NULL, 0 };
        found = value.size == strlen(title) + 1 && memcmp(value.data + 1, title, strlen(title)) == 0
            && ilea_record_find(&record, ILEA_FIELD_TITLE, none, &first) == 1;
    }
    ilea_transaction_abort(txn);
    ilea_record_deinit(&record);
    return found;
}

/* How many statements of a kind stand in an agency's feeds of the audience. */
static uint32_t
count_statements(unsigned home, enum ilea_statement_kind kind)
{
    struct ilea_transaction *txn;
    struct ilea_feed_row feed;
    uint32_t count = 0;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(homes[home].log), false, &txn));
    for (uint32_t i = 1; ilea_log_feed(txn, i, &feed) == ILEA_ERROR_NONE; i++) {
        if (feed.origin.scope != ILEA_SCOPE_AUDIENCE
            || memcmp(feed.origin.agency.bytes, homes[home].own.card.agency.bytes, ILEA_ID_SIZE) != 0) {
            continue;
        }
        for (uint64_t seq = 1; seq <= feed.seq; seq++) {
            struct ilea_chain_row chain;
            struct ilea_log_commit row;
            struct ilea_commit commit;
            struct ilea_msgpack_reader slots;
            ILEA_TEST_OK(ilea_log_chain(txn, feed.number, seq, &chain));
            ILEA_TEST_OK(ilea_log_commit_at(txn, chain.position, &row));
            ILEA_TEST_OK(ilea_commit_decode(row.bytes, &commit));
            ilea_msgpack_reader_init(&slots, commit.slots);
            for (uint32_t k = 0; k < commit.header.item_count; k++) {
                struct ilea_item item;
                enum ilea_statement_kind is;
                ILEA_TEST_OK(ilea_item_decode(ilea_slot_next(&slots), &item));
                if ((item.flags & ILEA_ITEM_CONTROL) == 0) continue;
                ILEA_TEST_OK(ilea_statement_kind_of(item.content, &is));
                if (is == kind) count++;
            }
        }
    }
    ilea_transaction_abort(txn);
    return count;
}

static void
test_audience_add_and_remove(void **state)
{
    (void)state;
    begin_audience(ILEA_HISTORY_ALL, NL, ILEA_ACCESS_WRITE);
    ILEA_TEST_OK(write_record(FR, "one", NULL));
    carry(FR, NL);
    carry(FR, BE); /* as a member that lies would */
    assert_true(reads(FR, "one") && reads(NL, "one") && !reads(BE, "one"));
    ILEA_TEST_OK(write_record(NL, "two", NULL));
    carry(NL, FR);
    carry(NL, BE);
    assert_true(reads(FR, "two") && !reads(BE, "two"));
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_ADD, BE, ILEA_ACCESS_READ));
    carry(FR, BE);
    assert_true(reads(BE, "one") && reads(BE, "two"));
    assert_int_equal(write_record(BE, "not allowed", NULL), ILEA_ERROR_PERMISSION);
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_REMOVE, NL, ILEA_ACCESS_NONE));
    ILEA_TEST_OK(write_record(FR, "three", NULL));
    carry(FR, NL);
    carry(FR, BE);
    assert_true(!reads(NL, "three") && reads(BE, "three"));
    assert_int_equal(write_record(NL, "out", NULL), ILEA_ERROR_PERMISSION);
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_ADD, NL, ILEA_ACCESS_WRITE));
    carry(FR, NL);
    assert_true(reads(NL, "three"));
    ILEA_TEST_OK(write_record(NL, "back", NULL));
}

static void
test_audience_history(void **state)
{
    (void)state;
    begin_audience(0, NL, ILEA_ACCESS_WRITE);
    ILEA_TEST_OK(write_record(FR, "before", NULL));
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_ADD, BE, ILEA_ACCESS_WRITE));
    assert_int_equal(count_statements(FR, ILEA_STATEMENT_HISTORY), 0);
    ILEA_TEST_OK(write_record(FR, "after", NULL));
    carry(FR, BE);
    assert_true(!reads(BE, "before") && reads(BE, "after"));
    /* Since a day after the first epoch, and before it. */
    begin_audience(1700000000001, NL, ILEA_ACCESS_WRITE);
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_ADD, BE, ILEA_ACCESS_WRITE));
    assert_int_equal(count_statements(FR, ILEA_STATEMENT_HISTORY), 0);
}

static void
test_audience_suspension(void **state)
{
    (void)state;
    begin_audience(ILEA_HISTORY_ALL, NL, ILEA_ACCESS_ADMIN);
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_ADD, BE, ILEA_ACCESS_WRITE));
    carry(FR, NL);
    carry(FR, BE);
    assert_int_equal(change(BE, ILEA_AUDIENCE_SUSPEND, NL, ILEA_ACCESS_NONE), ILEA_ERROR_PERMISSION);
    assert_int_equal(change(NL, ILEA_AUDIENCE_SUSPEND, FR, ILEA_ACCESS_NONE), ILEA_ERROR_INVALID);
    ILEA_TEST_OK(change(NL, ILEA_AUDIENCE_SUSPEND, BE, ILEA_ACCESS_NONE));
    ILEA_TEST_OK(write_record(NL, "kept back", NULL));
    ILEA_TEST_OK(write_record(NL, "this too", NULL));
    assert_int_equal(count_statements(NL, ILEA_STATEMENT_WRITER), 1); /* the same readers by the same */
    carry(NL, FR);
    carry(NL, BE);
    assert_true(reads(FR, "kept back") && reads(FR, "this too") && !reads(BE, "kept back"));
    assert_int_equal(write_record(BE, "while suspended", NULL), ILEA_ERROR_PERMISSION);
    /* The owner, who knows of it now, starts an epoch of its own when it writes. */
    ILEA_TEST_OK(write_record(FR, "by the owner", NULL));
    assert_int_equal(count_statements(FR, ILEA_STATEMENT_WRITER), 0);
    carry(FR, BE);
    assert_false(reads(BE, "by the owner"));
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_LIFT, BE, ILEA_ACCESS_NONE));
    carry(FR, BE);
    assert_true(reads(BE, "kept back") && reads(BE, "this too") && reads(BE, "by the owner"));
    carry(FR, NL);
    assert_int_equal(count_statements(NL, ILEA_STATEMENT_USE), 0);
    ILEA_TEST_OK(write_record(NL, "used", NULL));
    ILEA_TEST_OK(write_record(NL, "used again", NULL));
    assert_int_equal(count_statements(NL, ILEA_STATEMENT_USE), 1);
    carry(NL, BE);
    assert_true(reads(BE, "used") && reads(BE, "used again"));
}

/* Ceilings of our own approvals hold in audiences too, and nobody hands over what they kept back. */
static void
test_audience_restricted(void **state)
{
    (void)state;
    static const struct ilea_grant narrow = { .scopes = 15, .tlp_max = ILEA_LABEL_GREEN };
    begin_audience(ILEA_HISTORY_ALL, NL, ILEA_ACCESS_WRITE);
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_ADD, BE, ILEA_ACCESS_WRITE));
    carry(FR, NL);
    ilea_test_home_grant(&homes[NL], &homes[BE].own, ILEA_AGENCY_APPROVED, narrow);
    ILEA_TEST_OK(write_record(NL, "amber", "amber"));
    ILEA_TEST_OK(write_record(NL, "green", "green"));
    ILEA_TEST_OK(write_record(NL, "amber again", "amber"));
    assert_int_equal(count_statements(NL, ILEA_STATEMENT_WRITER), 1);
    carry(NL, FR);
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_ADD, BE, ILEA_ACCESS_READ)); /* another epoch: keys are handed over */
    carry(FR, BE);
    carry(NL, BE);
    assert_true(reads(FR, "amber") && reads(FR, "green") && reads(FR, "amber again"));
    assert_true(reads(BE, "green") && !reads(BE, "amber") && !reads(BE, "amber again"));
    assert_int_equal(write_record(FR, "red", "red"), ILEA_ERROR_INVALID);
    assert_int_equal(write_record(FR, "strict", "amber+strict"), ILEA_ERROR_INVALID);
    /* Nobody is left that may have it. */
    ilea_test_home_grant(&homes[FR], &homes[BE].own, ILEA_AGENCY_SUSPENDED, narrow);
    ilea_test_home_grant(&homes[FR], &homes[NL].own, ILEA_AGENCY_SUSPENDED, narrow);
    assert_int_equal(write_record(FR, "for nobody", NULL), ILEA_ERROR_INVALID);
}

static void
test_audience_requests(void **state)
{
    (void)state;
    begin_audience(ILEA_HISTORY_ALL, NL, ILEA_ACCESS_WRITE);
    const struct ilea_audience_id made = audience;
    assert_int_equal(change(FR, ILEA_AUDIENCE_NEW, BE, ILEA_ACCESS_WRITE), ILEA_ERROR_EXISTS);
    request.name = text_of("all-peers");
    assert_int_equal(change(FR, ILEA_AUDIENCE_NEW, BE, ILEA_ACCESS_WRITE), ILEA_ERROR_INVALID);
    request.name = text_of("OTHER");
    assert_int_equal(change(FR, ILEA_AUDIENCE_NEW, -1, ILEA_ACCESS_WRITE), ILEA_ERROR_INVALID);
    assert_int_equal(change(FR, ILEA_AUDIENCE_NEW, FR, ILEA_ACCESS_WRITE), ILEA_ERROR_INVALID);
    assert_int_equal(change(FR, ILEA_AUDIENCE_NEW, BE, ILEA_ACCESS_NONE), ILEA_ERROR_INVALID);
    request.tlp = ILEA_LABEL_RED;
    assert_int_equal(change(FR, ILEA_AUDIENCE_NEW, BE, ILEA_ACCESS_WRITE), ILEA_ERROR_INVALID);
    assert_int_equal(change(FR, ILEA_AUDIENCE_REMOVE, BE, ILEA_ACCESS_NONE), ILEA_ERROR_NOT_FOUND);
    assert_int_equal(change(FR, ILEA_AUDIENCE_REMOVE, FR, ILEA_ACCESS_NONE), ILEA_ERROR_INVALID);
    assert_int_equal(change(FR, ILEA_AUDIENCE_CONFIRM, NL, ILEA_ACCESS_NONE), ILEA_ERROR_INVALID);
    assert_int_equal(change(FR, ILEA_AUDIENCE_ADD, NL, ILEA_ACCESS_WRITE), ILEA_ERROR_INVALID);
    carry(FR, NL);
    assert_int_equal(change(NL, ILEA_AUDIENCE_ADD, BE, ILEA_ACCESS_WRITE), ILEA_ERROR_PERMISSION);
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_LIST, NL, ILEA_ACCESS_NONE));
    assert_true(changed.is_new);
    audience = changed.audience;
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_LIST, NL, ILEA_ACCESS_NONE));
    assert_false(changed.is_new);
    assert_memory_equal(changed.audience.bytes, audience.bytes, sizeof audience.bytes);
    assert_int_equal(change(FR, ILEA_AUDIENCE_ADD, BE, ILEA_ACCESS_WRITE), ILEA_ERROR_INVALID);
    ILEA_TEST_OK(write_record(FR, "strict in a list", "amber+strict"));
    memset(&audience, 7, sizeof audience);
    assert_int_equal(change(FR, ILEA_AUDIENCE_ADD, BE, ILEA_ACCESS_WRITE), ILEA_ERROR_NOT_FOUND);
    assert_int_equal(write_record(FR, "nowhere", NULL), ILEA_ERROR_NOT_FOUND);
    audience = made;
}

/* From the agency into an audience, to all peers and back: one put each, and no conflict. */
static void
test_audience_move(void **state)
{
    (void)state;
    begin_audience(ILEA_HISTORY_ALL, NL, ILEA_ACCESS_WRITE);
    ilea_test_need(&homes[FR], ILEA_SCOPE_AGENCY, "a draft", &result);
    const struct ilea_record_id id = result.id;
    ilea_test_home_build(&homes[FR]);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, ILEA_SCOPE_AUDIENCE, ILEA_TEST_NEED, &id);
    put.put.audience = audience;
    ILEA_TEST_OK(ilea_test_write(&homes[FR], &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_UPDATED);
    carry(FR, NL);
    assert_true(reads(NL, "a draft") && reads(FR, "a draft"));
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "title", "changed in it");
    ILEA_TEST_OK(ilea_test_write(&homes[FR], &put, &result));
    carry(FR, NL);
    assert_true(reads(NL, "changed in it") && reads(FR, "changed in it"));
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &id);
    ilea_test_put_text(&put, "tlp", "amber+strict");
    assert_int_equal(ilea_test_write(&homes[FR], &put, &result), ILEA_ERROR_INVALID);
    assert_non_null(strstr(result.reason, "narrow it first"));
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, &id);
    ILEA_TEST_OK(ilea_test_write(&homes[FR], &put, &result));
    assert_int_equal(result.outcome, ILEA_PUT_UPDATED);
    ilea_test_home_build(&homes[FR]);
    assert_true(reads(FR, "changed in it"));
}

/* Take back every commit of our own feeds of the audience, as the driver does when they come from others. */
static void
take_all_back(unsigned home)
{
    static uint8_t copy[ILEA_COMMIT_SIZE_MAX];
    const struct ilea_author_commit *commits;
    struct ilea_feed_row feed;
    uint32_t count;
    ILEA_TEST_OK(ilea_author_begin(homes[home].author, 1700000000000));
    struct ilea_transaction *txn = ilea_author_transaction(homes[home].author);
    for (uint32_t i = 1; ilea_log_feed(txn, i, &feed) == ILEA_ERROR_NONE; i++) {
        if (feed.origin.scope != ILEA_SCOPE_AUDIENCE
            || memcmp(feed.origin.agency.bytes, homes[home].own.card.agency.bytes, ILEA_ID_SIZE) != 0) {
            continue;
        }
        for (uint64_t seq = 1; seq <= feed.seq; seq++) {
            struct ilea_chain_row chain;
            struct ilea_log_commit row;
            ILEA_TEST_OK(ilea_log_chain(txn, feed.number, seq, &chain));
            ILEA_TEST_OK(ilea_log_commit_at(txn, chain.position, &row));
            const struct ilea_span bytes = { copy, row.bytes.size };
            memcpy(copy, row.bytes.data, row.bytes.size);
            ILEA_TEST_OK(ilea_author_take_back(homes[home].author, bytes, &chain.id));
        }
    }
    ILEA_TEST_OK(ilea_author_commit(homes[home].author, &commits, &count));
}

/* The owner is put back to before its audience, gets it back from a member, and goes on with it. */
static void
test_audience_restored(void **state)
{
    (void)state;
    char data[ILEA_PATH_SIZE], backup[ILEA_PATH_SIZE];
    ilea_home_path(homes[FR].path, "log/data.mdb", data);
    ilea_home_path(homes[FR].path, "backup", backup);
    ilea_test_home_close(&homes[FR]);
    ilea_test_copy_file(data, backup);
    ilea_test_home_open(&homes[FR]);
    ilea_test_home_build(&homes[FR]);
    begin_audience(ILEA_HISTORY_ALL, NL, ILEA_ACCESS_WRITE);
    ILEA_TEST_OK(write_record(FR, "before the restore", NULL));
    carry(FR, NL);
    ilea_test_home_close(&homes[FR]);
    ilea_test_copy_file(backup, data);
    ilea_test_home_open(&homes[FR]);
    assert_int_equal(write_record(FR, "too early", NULL), ILEA_ERROR_NOT_FOUND);
    carry(NL, FR);
    take_all_back(FR);
    /* It knows to whom the key went, and hands it to who comes. */
    ILEA_TEST_OK(change(FR, ILEA_AUDIENCE_ADD, BE, ILEA_ACCESS_WRITE));
    assert_int_equal(count_statements(FR, ILEA_STATEMENT_HISTORY), 1);
    ILEA_TEST_OK(write_record(FR, "after the restore", NULL));
    carry(FR, BE);
    assert_true(reads(BE, "before the restore") && reads(BE, "after the restore"));
    carry(FR, NL);
    assert_true(reads(NL, "after the restore"));
}

/* A member that has another reading key by its manifest is added anew, and gets all keys for it. */
static void
test_audience_reading_key(void **state)
{
    (void)state;
    const struct ilea_author_commit *commits;
    uint32_t count;
    begin_audience(ILEA_HISTORY_ALL, NL, ILEA_ACCESS_WRITE);
    ILEA_TEST_OK(write_record(FR, "for the old key", NULL));
    const struct ilea_agency_id nl = homes[NL].own.card.agency;
    struct ilea_reading_secret *old = homes[NL].own.keys.reading;
    ILEA_TEST_OK(ilea_reading_generate(&homes[NL].own.keys.reading, &homes[NL].own.manifest.reading));
    ilea_test_agency_remake(&homes[NL].own);
    struct ilea_span manifest = { homes[NL].own.signed_manifest, homes[NL].own.signed_size };
    ILEA_TEST_OK(ilea_author_begin(homes[FR].author, 1700000000000));
    struct ilea_transaction *txn = ilea_author_transaction(homes[FR].author);
    ILEA_TEST_OK(ilea_log_put_manifest(txn, &nl, 1, manifest));
    ILEA_TEST_OK(ilea_author_readers_changed(homes[FR].author));
    const struct ilea_audience_id *told = ilea_author_changed(homes[FR].author, &count);
    assert_int_equal(count, 1);
    assert_memory_equal(told->bytes, audience.bytes, sizeof audience.bytes);
    ILEA_TEST_OK(ilea_author_commit(homes[FR].author, &commits, &count));
    assert_int_equal(count_statements(FR, ILEA_STATEMENT_AUDIENCE), 2);
    assert_int_equal(count_statements(FR, ILEA_STATEMENT_HISTORY), 1);
    ilea_reading_secret_free(old);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_audience_add_and_remove, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_audience_history, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_audience_suspension, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_audience_restricted, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_audience_requests, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_audience_move, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_audience_restored, make_homes, remove_homes),
        cmocka_unit_test_setup_teardown(test_audience_reading_key, make_homes, remove_homes),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
