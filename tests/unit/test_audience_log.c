/* Closed audiences as the log has them: what is kept in memory of who is a member follows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "node/audience_log.h"
#include "tests/support/home.h"

enum { BYTES_MAX = 64 * 1024 };

/* A writer of another agency in the audience, and the commit that it is making. */
struct writer {
    struct ilea_test_agency agency;
    struct ilea_commit_builder *builder;
    struct ilea_feed_row feed;
    struct ilea_commit_id last;
    bool changed; /* what was told of its last commit */
};

static struct ilea_test_home home;
static struct writer owner, member, reader;
static struct ilea_audience_id audience;
static struct ilea_audience_cache *cache;
static struct ilea_keyring *ring;
static uint8_t bytes[BYTES_MAX];
static const uint8_t salt[ILEA_AUDIENCE_SALT_SIZE] = { 7 };

static const struct ilea_network_id *
network(void)
{
    return &home.own.manifest.network;
}

static void
begin_commit(struct writer *writer)
{
    ilea_commit_begin(writer->builder, network(), &writer->feed.id, writer->feed.seq + 1, &writer->feed.head);
}

static void
state(struct writer *writer, const struct ilea_msgpack_writer *statement)
{
    assert_false(statement->failed);
    ILEA_TEST_OK(ilea_commit_add_statement(writer->builder, ilea_msgpack_written(statement)));
}

/* A feed of its own, whose first commit is begun with the opening. */
static void
open_feed(struct writer *writer, uint8_t incarnation)
{
    struct ilea_msgpack_writer opening;
    struct ilea_opening what = { .owner = owner.agency.card.agency };
    memcpy(what.salt, salt, sizeof salt);
    writer->feed = (struct ilea_feed_row){ .origin = { .agency = writer->agency.card.agency,
                                                       .node = writer->agency.manifest.node,
                                                       .incarnation = { incarnation },
                                                       .scope = ILEA_SCOPE_AUDIENCE, .audience = audience } };
    ilea_feed_id_of(network(), &writer->feed.origin, &writer->feed.id);
    what.origin = writer->feed.origin;
    begin_commit(writer);
    ilea_msgpack_writer_init(&opening, bytes, sizeof bytes);
    ilea_opening_put(&opening, &what, NULL, 0);
    state(writer, &opening);
}

/* Into the log as if it had come; in a transaction that is given up, if it is told so. */
static void
end_commit_how(struct writer *writer, bool keep)
{
    struct ilea_transaction *txn;
    struct ilea_span commit;
    struct ilea_feed_row feed = writer->feed;
    struct ilea_membership *membership;
    uint64_t position;
    ilea_commit_end(writer->builder, writer->agency.keys.node, &commit, &writer->last);
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home.log), true, &txn));
    if (feed.number == 0) ILEA_TEST_OK(ilea_log_add_feed(txn, &feed));
    ILEA_TEST_OK(ilea_log_append(txn, &feed, feed.seq + 1, &writer->last, commit, &position));
    ILEA_TEST_OK(ilea_audience_index(txn, &feed, &writer->last, commit, &writer->changed));
    ILEA_TEST_OK(ilea_audience_get(cache, txn, &audience, &membership));
    if (!keep) {
        ilea_transaction_abort(txn);
        return;
    }
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    writer->feed = feed;
}

static void
end_commit(struct writer *writer)
{
    end_commit_how(writer, true);
}

static void
make_writer(struct writer *writer, const char *code, bool approve)
{
    ilea_test_agency_make(&writer->agency, code);
    ilea_test_home_meet(&home, &writer->agency, false);
    ilea_test_home_grant(&home, &writer->agency, approve ? ILEA_AGENCY_APPROVED : ILEA_AGENCY_DECLINED,
                         ILEA_TEST_GRANT);
    ILEA_TEST_OK(ilea_commit_builder_new(&writer->builder));
}

static void
free_writer(struct writer *writer)
{
    ilea_commit_builder_free(writer->builder);
    ilea_test_agency_free(&writer->agency);
}

static int
setup(void **context)
{
    (void)context;
    ilea_test_home_make(&home, "FR-PN");
    make_writer(&owner, "NL-PO", true);
    make_writer(&member, "BE-FP", true);
    make_writer(&reader, "DE-BK", true);
    ilea_audience_of_salt(network(), &owner.agency.card.agency, salt, &audience);
    ILEA_TEST_OK(ilea_audience_cache_new(&cache));
    ILEA_TEST_OK(ilea_keyring_new(64, &ring));
    return 0;
}

static int
teardown(void **context)
{
    (void)context;
    ilea_keyring_free(ring);
    ilea_audience_cache_free(cache);
    free_writer(&owner);
    free_writer(&member);
    free_writer(&reader);
    ilea_test_home_remove(&home);
    return 0;
}

/* A new key, sealed to us. */
static void
make_key(uint8_t aek_commit[ILEA_HASH_SIZE], uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE], struct ilea_epoch_id *epoch)
{
    ILEA_TEST_OK(ilea_keyring_generate(ring, network(), &audience, aek_commit));
    memcpy(epoch->bytes, aek_commit, sizeof epoch->bytes);
    ILEA_TEST_OK(ilea_keyring_wrap(ring, epoch, network(), &audience, &home.own.manifest.reading, wrapped));
}

static struct ilea_member_act
act_of(enum ilea_member_act_kind kind, const struct ilea_test_agency *agency, enum ilea_access level)
{
    struct ilea_member_act act = { .kind = kind, .agency = agency->card.agency };
    if (kind != ILEA_MEMBER_ADD) return act;
    act.level = level;
    act.reading = agency->manifest.reading;
    act.code = (struct ilea_span){ (const uint8_t *)"XX", 2 };
    return act;
}

static struct ilea_head
head_of(const struct writer *writer)
{
    return (struct ilea_head){ writer->last, writer->agency.card.agency };
}

/* `head` NULL: the first one, with a name. */
static void
state_audience(struct writer *writer, uint64_t number, struct ilea_head *head, struct ilea_member_act *acts,
               uint32_t count, struct ilea_epoch_id *epoch)
{
    static const struct ilea_span name = { (const uint8_t *)"GANGS", 5 };
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE];
    struct ilea_msgpack_writer out;
    struct ilea_audience_statement statement = { .audience = audience, .number = number, .wrapped_count = 1,
                                                 .head_count = head != NULL ? 1 : 0, .act_count = count,
                                                 .time_ms = 1, .has_info = head == NULL, .tlp = ILEA_LABEL_AMBER,
                                                 .history_ms = ILEA_HISTORY_ALL };
    if (head == NULL) statement.name = name;
    make_key(statement.aek_commit, wrapped, epoch);
    ilea_msgpack_writer_init(&out, bytes, sizeof bytes);
    ilea_audience_statement_put(&out, &statement, head, wrapped, acts);
    state(writer, &out);
}

static void
state_writer(struct writer *writer, struct ilea_head *head, struct ilea_epoch_id *epoch)
{
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE];
    struct ilea_msgpack_writer out;
    struct ilea_writer_epoch statement = { .audience = audience, .head_count = 1, .wrapped_count = 1 };
    make_key(statement.aek_commit, wrapped, epoch);
    ilea_msgpack_writer_init(&out, bytes, sizeof bytes);
    ilea_writer_epoch_put(&out, &statement, head, wrapped);
    state(writer, &out);
}

static void
state_suspend(struct writer *writer, struct ilea_head *head, const struct ilea_test_agency *subject)
{
    struct ilea_msgpack_writer out;
    const struct ilea_suspend_statement suspend = { .audience = audience, .head_count = 1,
                                                    .subject = subject->card.agency };
    ilea_msgpack_writer_init(&out, bytes, sizeof bytes);
    ilea_suspend_put(&out, &suspend, head);
    state(writer, &out);
}

/* The owner's first commit: we and the member may write, the reader may read. */
static struct ilea_epoch_id
begin_audience(void)
{
    struct ilea_epoch_id epoch;
    struct ilea_member_act acts[] = { act_of(ILEA_MEMBER_ADD, &home.own, ILEA_ACCESS_WRITE),
                                      act_of(ILEA_MEMBER_ADD, &member.agency, ILEA_ACCESS_ADMIN),
                                      act_of(ILEA_MEMBER_ADD, &reader.agency, ILEA_ACCESS_READ) };
    open_feed(&owner, 1);
    state_audience(&owner, 1, NULL, acts, 3, &epoch);
    end_commit(&owner);
    return epoch;
}

static uint32_t
count_known(struct ilea_transaction *txn)
{
    struct ilea_membership *membership;
    struct ilea_membership_state known;
    ILEA_TEST_OK(ilea_audience_get(cache, txn, &audience, &membership));
    ILEA_TEST_OK(ilea_membership_state(membership, &known));
    return known.statement_count;
}

static bool
is_entitled(const struct writer *writer)
{
    struct ilea_transaction *txn;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home.log), false, &txn));
    bool is = ilea_audience_entitled(cache, txn, &writer->agency.card.agency, &audience);
    ilea_transaction_abort(txn);
    return is;
}

/* What is kept in memory follows the log: what is given up, cut off, or of who is not followed any more. */
static void
test_audience_follows_the_log(void **context)
{
    (void)context;
    struct ilea_transaction *txn;
    struct ilea_epoch_id epoch;
    bool truncated;
    assert_false(is_entitled(&member)); /* nobody is where nothing is known */
    (void)begin_audience();
    struct ilea_head head = head_of(&owner);
    assert_true(is_entitled(&owner) && is_entitled(&member) && is_entitled(&reader));
    struct ilea_member_act act = act_of(ILEA_MEMBER_REMOVE, &reader.agency, ILEA_ACCESS_NONE);
    begin_commit(&owner);
    state_audience(&owner, 2, &head, &act, 1, &epoch);
    end_commit_how(&owner, false);
    assert_true(is_entitled(&reader));
    open_feed(&member, 1);
    state_suspend(&member, &head, &reader.agency);
    end_commit(&member);
    assert_true(member.changed);
    assert_false(is_entitled(&reader));
    /* Of who is not followed any more nothing counts. */
    ilea_test_home_grant(&home, &member.agency, ILEA_AGENCY_REVOKED, ILEA_TEST_GRANT);
    assert_true(is_entitled(&reader));
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home.log), false, &txn));
    assert_int_equal(count_known(txn), 1);
    assert_true(ilea_audience_holds(cache, txn, &audience, &head.id));
    ilea_transaction_abort(txn);
    ilea_test_home_grant(&home, &member.agency, ILEA_AGENCY_SUSPENDED, ILEA_TEST_GRANT);
    assert_false(is_entitled(&reader));
    /* Cut off. */
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home.log), true, &txn));
    ILEA_TEST_OK(ilea_log_limit_feed(txn, &member.feed, 0, &member.last, &truncated));
    assert_true(truncated);
    assert_int_equal(count_known(txn), 1);
    assert_false(ilea_audience_holds(cache, txn, &audience, &member.last));
    ilea_transaction_abort(txn);
    assert_false(is_entitled(&reader));
    /* Nobody is allowed by an owner that is not followed. */
    ilea_test_home_grant(&home, &owner.agency, ILEA_AGENCY_REVOKED, ILEA_TEST_GRANT);
    assert_false(is_entitled(&member));
}

/* In our own audience epochs of others are noted, so that their keys can be handed to who comes later. */
static void
test_audience_notes_epochs(void **context)
{
    (void)context;
    struct ilea_audience_row row = { .owner = home.own.card.agency };
    struct ilea_transaction *txn;
    struct ilea_epoch_id epoch;
    struct ilea_epoch_row noted;
    struct ilea_head head = { { { 1 } }, home.own.card.agency };
    struct ilea_msgpack_writer out;
    struct ilea_opening opening = { .owner = home.own.card.agency };
    memcpy(row.salt, salt, sizeof salt);
    memcpy(opening.salt, salt, sizeof salt);
    ilea_audience_of_salt(network(), &row.owner, salt, &audience);
    row.audience = audience;
    member.feed = (struct ilea_feed_row){ .origin = { .agency = member.agency.card.agency,
                                                      .node = member.agency.manifest.node,
                                                      .scope = ILEA_SCOPE_AUDIENCE, .audience = audience } };
    ilea_feed_id_of(network(), &member.feed.origin, &member.feed.id);
    opening.origin = member.feed.origin;
    begin_commit(&member);
    ilea_msgpack_writer_init(&out, bytes, sizeof bytes);
    ilea_opening_put(&out, &opening, NULL, 0);
    state(&member, &out);
    state_writer(&member, &head, &epoch);
    end_commit(&member);
    assert_true(member.changed);
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home.log), false, &txn));
    ILEA_TEST_OK(ilea_log_audience(txn, &audience, &row));
    ILEA_TEST_OK(ilea_log_epoch(txn, &audience, 0, &noted));
    assert_memory_equal(noted.aek_commit, epoch.bytes, sizeof epoch.bytes);
    assert_memory_equal(noted.agency.bytes, member.agency.card.agency.bytes, ILEA_ID_SIZE);
    assert_true(noted.number == 0 && noted.seq == 1 && noted.feed == member.feed.number && !noted.restricted);
    assert_int_equal(ilea_log_epoch(txn, &audience, 1, &noted), ILEA_ERROR_NOT_FOUND);
    ilea_transaction_abort(txn);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_audience_follows_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_audience_notes_epochs, setup, teardown),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
