#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "crypto/random.h"
#include "node/home.h"
#include "replication/record/commit.h"
#include "replication/record/schema.h"
#include "replication/record/statement.h"
#include "tests/support/home.h"

static struct ilea_test_put put;
static struct ilea_put_result result;

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

/* A view made from nothing in steps of about `bytes_max`; the paths differ, so that both may be open. */
static void
build_beside(struct ilea_test_home *home, const char *name, uint64_t bytes_max, struct ilea_view_meta *meta)
{
    char path[ILEA_PATH_SIZE];
    struct ilea_environment *view;
    struct ilea_view_builder *builder;
    ilea_home_path(home->path, name, path);
    ILEA_TEST_OK(ilea_view_open(path, false, true, &view));
    ILEA_TEST_OK(ilea_view_builder_new(home->log, view, &home->own.keys, &builder));
    for (bool caught_up = false; !caught_up;) {
        ILEA_TEST_OK(ilea_view_builder_run(builder, bytes_max, UINT64_MAX, &caught_up, meta));
    }
    ilea_view_builder_free(builder);
    ilea_environment_close(view);
}

static void
check_rebuilds(struct ilea_test_home *home)
{
    struct ilea_view_meta whole, steps;
    build_beside(home, "whole", UINT64_MAX, &whole);
    build_beside(home, "steps", 1, &steps);
    assert_memory_equal(&whole, &home->meta, sizeof whole);
    assert_memory_equal(&steps, &home->meta, sizeof steps);
}

/* A rebuild ends in the same lsns and digest, also where keys came after the items under them. */
static void
test_view_builder_rebuilds_the_same(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_test_home other;
    ilea_test_home_make(&other, "DE-BKA");
    ilea_test_home_meet(home, &other.own, true);
    for (unsigned i = 0; i < 3; i++) {
        ilea_test_need(&other, ILEA_SCOPE_PEERS, "before we were approved", &result);
        ilea_test_need(home, i % 2 + 1, "ours", &result);
    }
    const struct ilea_feed_row *feed = ilea_author_feed(other.author, ILEA_SCOPE_PEERS);
    ilea_test_home_carry(&other, &feed->id, UINT64_MAX, home);
    ilea_test_home_build(home);
    assert_int_equal(home->meta.parked, 3);
    assert_int_equal(home->meta.records, 3);
    assert_int_equal(home->meta.shared, 1);
    ilea_test_need(home, ILEA_SCOPE_PEERS, "ours between", &result);
    ilea_test_home_build(home);

    ilea_test_home_meet(&other, &home->own, true);
    ilea_test_need(&other, ILEA_SCOPE_PEERS, "after", &result);
    ilea_test_home_carry(&other, &feed->id, UINT64_MAX, home);
    ilea_test_home_build(home);
    assert_int_equal(home->meta.parked, 0);
    assert_int_equal(home->meta.hidden, 0);
    assert_int_equal(home->meta.records, 8);
    assert_int_equal(home->meta.lsn, 8);
    check_rebuilds(home);

    /* Both show the same shared records once they hold the same. */
    ilea_test_home_meet(&other, &home->own, true);
    ilea_test_home_carry(home, &ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->id, UINT64_MAX, &other);
    ilea_test_home_build(&other);
    uint8_t here[ILEA_HASH_SIZE], there[ILEA_HASH_SIZE];
    ilea_view_digest(&home->meta, here);
    ilea_view_digest(&other.meta, there);
    assert_int_equal(home->meta.shared, other.meta.shared);
    assert_memory_equal(here, there, sizeof here);
    ilea_test_home_remove(&other);
}

/* Publishing takes the private past with it, in a rebuild too. */
static void
test_view_builder_published_record(void **state)
{
    struct ilea_test_home *home = *state;
    ilea_test_need(home, ILEA_SCOPE_AGENCY, "draft", &result);
    ilea_test_home_build(home);
    assert_int_equal(home->meta.shared, 0);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, &result.id);
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    ilea_test_home_build(home);
    assert_int_equal(home->meta.shared, 1);
    assert_int_equal(home->meta.records, 1);
    assert_int_equal(home->meta.lsn, 2);
    check_rebuilds(home);
}

static const char digits[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* An element of `documents` whose root is `root` and 31 more bytes; of size 0 it is none. */
static void
put_document(enum ilea_put_action action, const char *name, uint8_t root, const char *size)
{
    static const uint8_t present = 1;
    char hex[65];
    struct ilea_msgpack_writer writer;
    (void)snprintf(hex, sizeof hex, "%02x%.62s", root, digits);
    const char *const parts[] = { name, "", size, hex, digits };
    ilea_msgpack_writer_init(&writer, put.bytes + put.used, sizeof put.bytes - put.used);
    ilea_msgpack_put_array(&writer, 5);
    for (unsigned i = 0; i < 5; i++) {
        ilea_msgpack_put_str(&writer, (struct ilea_span){ (const uint8_t *)parts[i], strlen(parts[i]) });
    }
    assert_false(writer.failed);
    put.used += writer.size;
    put.put.entries[put.put.entry_count++] = (struct ilea_put_entry){
        .field = ILEA_FIELD_DOCUMENTS, .action = action, .key = ilea_msgpack_written(&writer),
        .value = { &present, action == ILEA_PUT_SET ? 1 : 0 } };
}

/* The roots of the view's documents, by their first bytes, all of record 1. */
static void
check_documents(struct ilea_test_home *home, const char *roots)
{
    struct ilea_transaction *txn;
    struct ilea_view_document row = { .record = 0 };
    ilea_test_home_build(home);
    ILEA_TEST_OK(ilea_transaction_begin(home->view, false, &txn));
    for (; *roots != '\0'; roots++) {
        ILEA_TEST_OK(ilea_view_document_next(txn, &row));
        assert_int_equal(row.root.bytes[0], *roots);
        assert_int_equal(row.record, 1);
        assert_int_equal(row.size, 1000);
        assert_int_equal(row.key.bytes[31], 0xef);
    }
    assert_int_equal(ilea_view_document_next(txn, &row), ILEA_ERROR_NOT_FOUND);
    ilea_transaction_abort(txn);
}

static void
write_update(struct ilea_test_home *home)
{
    ILEA_TEST_OK(ilea_test_write(home, &put, &result));
    ilea_test_home_build(home);
}

/* Which documents a record names, through drafts, publishing and removal; what does not decode is none. */
static void
test_view_builder_documents(void **state)
{
    struct ilea_test_home *home = *state;
    ilea_test_need(home, ILEA_SCOPE_AGENCY, "draft", &result);
    check_documents(home, "");
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &result.id);
    put_document(ILEA_PUT_SET, "plan", 'b', "1000");
    put_document(ILEA_PUT_SET, "no size", 'c', "x");
    write_update(home);
    check_documents(home, "b");
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, &result.id);
    put_document(ILEA_PUT_SET, "another", 'a', "1000");
    put_document(ILEA_PUT_SET, "the same by another name", 'b', "1000");
    write_update(home);
    check_documents(home, "ab");
    uint64_t before = home->meta.documents;
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &result.id);
    ilea_test_put_text(&put, "title", "A title has nothing to do with it");
    write_update(home);
    assert_int_equal(home->meta.documents, before);
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &result.id);
    put_document(ILEA_PUT_REMOVE, "plan", 'b', "1000");
    write_update(home);
    check_documents(home, "ab"); /* it has the other name still */
    ilea_test_put_begin(&put, ILEA_PUT_UPDATE, 0, ILEA_TEST_NEED, &result.id);
    put_document(ILEA_PUT_REMOVE, "the same by another name", 'b', "1000");
    write_update(home);
    check_documents(home, "a");
    assert_true(home->meta.documents > before);
    check_rebuilds(home);
}

/* One commit of a writer of another agency, of given content, appended to the log as if it had come. */
struct foreign {
    const struct ilea_test_agency *agency;
    struct ilea_commit_builder *builder;
    struct ilea_feed_row feed;
};

static void
begin_foreign(struct ilea_test_home *home, struct foreign *foreign)
{
    static uint8_t bytes[64 * 1024];
    foreign->feed = (struct ilea_feed_row){ .origin = { .agency = foreign->agency->card.agency,
                                                        .node = foreign->agency->manifest.node,
                                                        .incarnation = "abc",
                                                        .scope = ILEA_SCOPE_PEERS } };
    const struct ilea_network_id *network = &home->own.manifest.network;
    ilea_feed_id_of(network, &foreign->feed.origin, &foreign->feed.id);
    ILEA_TEST_OK(ilea_commit_builder_new(&foreign->builder));
    ilea_commit_begin(foreign->builder, network, &foreign->feed.id, 1, &foreign->feed.head);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    const struct ilea_opening opening = { .origin = foreign->feed.origin };
    ilea_opening_put(&writer, &opening, NULL, 0);
    ILEA_TEST_OK(ilea_commit_add_statement(foreign->builder, ilea_msgpack_written(&writer)));
}

static void
end_foreign(struct ilea_test_home *home, struct foreign *foreign)
{
    struct ilea_transaction *txn;
    struct ilea_span bytes;
    struct ilea_commit_id id;
    uint64_t position;
    ilea_commit_end(foreign->builder, foreign->agency->keys.node, &bytes, &id);
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), true, &txn));
    if (foreign->feed.number == 0) ILEA_TEST_OK(ilea_log_add_feed(txn, &foreign->feed));
    ILEA_TEST_OK(ilea_log_append(txn, &foreign->feed, foreign->feed.seq + 1, &id, bytes, &position));
    ILEA_TEST_OK(ilea_transaction_commit(txn));
}

static void
add_epoch(struct ilea_test_home *home, struct foreign *foreign, struct ilea_keyring *ring,
          const struct ilea_audience_id *audience, uint64_t number, struct ilea_epoch_id *epoch)
{
    static uint8_t bytes[64 * 1024], wrapped[ILEA_WRAPPED_KEY_SIZE];
    uint8_t aek_commit[ILEA_HASH_SIZE];
    const struct ilea_network_id *network = &home->own.manifest.network;
    struct ilea_msgpack_writer writer;
    ILEA_TEST_OK(ilea_keyring_generate(ring, network, audience, aek_commit));
    memcpy(epoch->bytes, aek_commit, sizeof epoch->bytes);
    ILEA_TEST_OK(ilea_keyring_wrap(ring, epoch, network, audience, &home->own.manifest.reading, wrapped));
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_epoch_put(&writer, audience, number, aek_commit, &foreign->feed.head, 0, wrapped, 1);
    enum ilea_error error = ilea_commit_add_statement(foreign->builder, ilea_msgpack_written(&writer));
    if (error == ILEA_ERROR_FULL) {
        end_foreign(home, foreign);
        ilea_commit_begin(foreign->builder, network, &foreign->feed.id, foreign->feed.seq + 1,
                          &foreign->feed.head);
        error = ilea_commit_add_statement(foreign->builder, ilea_msgpack_written(&writer));
    }
    ILEA_TEST_OK(error);
}

/* A change to a record of a type that nobody knows, with one register. */
static void
add_change(struct foreign *foreign, const struct ilea_keyring *ring, const struct ilea_audience_id *audience,
           const struct ilea_epoch_id *epoch, uint8_t which)
{
    uint8_t bytes[512], ops[128];
    struct ilea_msgpack_writer writer;
    const struct ilea_op op = { .field = 40, .depth = 1, .value = { (const uint8_t *)"\x07", 1 },
                                .replaces = { (const uint8_t *)"\x90", 1 } };
    ilea_msgpack_writer_init(&writer, ops, sizeof ops);
    ilea_op_put(&writer, &op);
    struct ilea_change change = { .record = { { which, 1, 2 } }, .type = 77, .label = ILEA_LABEL_GREEN,
                                  .run = 1, .op_count = 1, .ops = ilea_msgpack_written(&writer) };
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_change_put_head(&writer, &change);
    ilea_msgpack_put_raw(&writer, change.ops);
    assert_false(writer.failed);
    ILEA_TEST_OK(ilea_commit_add_change(foreign->builder, ring, ILEA_ITEM_OPEN, audience, epoch,
                                        ilea_msgpack_written(&writer), NULL));
}

/* Items and keys count only in their audience's own feeds; what does not decode hides itself alone. */
static void
test_view_builder_hides_foreign_audiences(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_test_agency b;
    struct ilea_keyring *ring;
    struct ilea_audience_id own, ours, agency_only;
    struct ilea_epoch_id epoch, other_epoch;
    ilea_test_agency_make(&b, "DE-BKA");
    ilea_test_home_meet(home, &b, true);
    const struct ilea_network_id *network = &home->own.manifest.network;
    ilea_audience_of_peers(network, &b.card.agency, &own);
    ilea_audience_of_peers(network, &home->own.card.agency, &ours);
    ilea_audience_of_agency(network, &b.card.agency, &agency_only);
    ILEA_TEST_OK(ilea_keyring_new(16, &ring));
    struct foreign foreign = { .agency = &b };
    begin_foreign(home, &foreign);
    add_epoch(home, &foreign, ring, &own, 1, &epoch);
    add_change(&foreign, ring, &own, &epoch, 1);           /* 1: a record */
    add_epoch(home, &foreign, ring, &ours, 1, &other_epoch); /* hidden: our audience in their feed */
    add_change(&foreign, ring, &ours, &other_epoch, 2);    /* hidden */
    add_change(&foreign, ring, &agency_only, &epoch, 3);   /* hidden */
    ILEA_TEST_OK(ilea_commit_add_change(foreign.builder, ring, ILEA_ITEM_OPEN, &own, &epoch,
                                        (struct ilea_span){ (const uint8_t *)"junk", 4 }, NULL)); /* hidden */
    static const uint8_t statement[3 + 40] = { 0x92, 0x63, 0xc4, 39 };
    ILEA_TEST_OK(ilea_commit_add_statement(foreign.builder,
                                           (struct ilea_span){ statement, sizeof statement })); /* hidden */
    add_change(&foreign, ring, &own, &epoch, 4);           /* 2: a record */
    end_foreign(home, &foreign);
    ilea_test_home_build(home);
    assert_int_equal(home->meta.records, 2);
    assert_int_equal(home->meta.hidden, 5);
    assert_int_equal(home->meta.parked, 0);
    check_rebuilds(home);
    ilea_commit_builder_free(foreign.builder);
    ilea_keyring_free(ring);
    ilea_test_agency_free(&b);
}

/* An agency that states more epochs than are kept for one: the rest stays parked, nothing stops. */
static void
test_view_builder_bounds_keys(void **state)
{
    enum { KEPT = 4096, MORE = 6 };
    struct ilea_test_home *home = *state;
    static struct ilea_test_agency b;
    static struct ilea_epoch_id epochs[KEPT + MORE];
    struct ilea_keyring *ring;
    struct ilea_audience_id own;
    ilea_test_agency_make(&b, "DE-BKA");
    ilea_test_home_meet(home, &b, true);
    ilea_audience_of_peers(&home->own.manifest.network, &b.card.agency, &own);
    ILEA_TEST_OK(ilea_keyring_new(KEPT + MORE, &ring));
    struct foreign foreign = { .agency = &b };
    begin_foreign(home, &foreign);
    for (unsigned i = 0; i < KEPT + MORE; i++) add_epoch(home, &foreign, ring, &own, i + 1, &epochs[i]);
    for (unsigned i = KEPT - 2; i < KEPT + MORE; i++) {
        add_change(&foreign, ring, &own, &epochs[i], (uint8_t)(i & 63));
    }
    end_foreign(home, &foreign);
    ilea_test_need(home, ILEA_SCOPE_PEERS, "ours all the same", &result);
    ilea_test_home_build(home);
    assert_int_equal(home->meta.records, 3);
    assert_int_equal(home->meta.parked, MORE);
    ilea_test_home_drop_view(home);
    ilea_test_home_build(home); /* the count is taken up again */
    assert_int_equal(home->meta.records, 3);
    check_rebuilds(home);
    ilea_commit_builder_free(foreign.builder);
    ilea_keyring_free(ring);
    ilea_test_agency_free(&b);
}

/* A commit that was damaged on the disk is the log's trouble, not the view's. */
static void
test_view_builder_damaged_log(void **state)
{
    struct ilea_test_home *home = *state;
    enum { DB_COMMITS = 3 };
    static uint8_t bytes[ILEA_COMMIT_SIZE_MAX + 12];
    struct ilea_transaction *txn;
    struct ilea_span stored;
    uint8_t key[8];
    bool caught_up = true;
    for (unsigned i = 0; i < 2; i++) ilea_test_need(home, ILEA_SCOPE_PEERS, "x", &result);
    ilea_key_put_u64(key, 2);
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), true, &txn));
    ILEA_TEST_OK(ilea_get_raw(txn, DB_COMMITS, (struct ilea_span){ key, 8 }, &stored));
    size_t size = stored.size;
    memcpy(bytes, stored.data, size);
    bytes[size - 5] ^= 4;
    ILEA_TEST_OK(ilea_put_raw(txn, DB_COMMITS, (struct ilea_span){ key, 8 },
                              (struct ilea_span){ bytes, size }, (struct ilea_span){ NULL, 0 }, false));
    ILEA_TEST_OK(ilea_transaction_commit(txn));

    char path[ILEA_PATH_SIZE];
    struct ilea_environment *view;
    struct ilea_view_builder *builder;
    struct ilea_view_meta meta;
    ilea_home_path(home->path, "damaged", path);
    ILEA_TEST_OK(ilea_view_open(path, false, true, &view));
    ILEA_TEST_OK(ilea_view_builder_new(home->log, view, &home->own.keys, &builder));
    ILEA_TEST_OK(ilea_view_builder_run(builder, UINT64_MAX, 1, &caught_up, &meta)); /* up to it */
    assert_true(caught_up);
    assert_int_equal(meta.position, 1);
    assert_int_equal(ilea_view_builder_run(builder, UINT64_MAX, UINT64_MAX, &caught_up, &meta),
                     ILEA_ERROR_BAD_HASH);
    ilea_view_builder_free(builder);
    ILEA_TEST_OK(ilea_transaction_begin(view, false, &txn));
    ILEA_TEST_OK(ilea_view_load_meta(txn, &meta)); /* nothing of that run is in it */
    assert_int_equal(meta.position, 1);
    assert_int_equal(meta.records, 1);
    ilea_transaction_abort(txn);
    ilea_environment_close(view);
}

static void
test_view_builder_refuses_a_view_of_another_log(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_test_home other;
    struct ilea_view_builder *builder = NULL;
    struct ilea_transaction *txn;
    struct ilea_view_meta meta;
    bool caught_up;
    ilea_test_home_make(&other, "DE-BKA");
    ilea_test_need(home, ILEA_SCOPE_AGENCY, "x", &result);
    ilea_test_need(&other, ILEA_SCOPE_AGENCY, "x", &result);
    ilea_test_home_build(home);
    ilea_view_builder_free(home->builder);
    home->builder = NULL;
    assert_int_equal(ilea_view_builder_new(other.log, home->view, &other.own.keys, &builder),
                     ILEA_ERROR_CORRUPT);
    /* Another's reading key does not open this view's epochs. */
    assert_int_equal(ilea_view_builder_new(home->log, home->view, &other.own.keys, &builder),
                     ILEA_ERROR_CORRUPT);
    assert_null(builder);

    meta = home->meta; /* ahead of its log */
    meta.position += 5;
    ILEA_TEST_OK(ilea_transaction_begin(home->view, true, &txn));
    ILEA_TEST_OK(ilea_view_store_meta(txn, &meta));
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    ILEA_TEST_OK(ilea_view_builder_new(home->log, home->view, &home->own.keys, &builder));
    assert_int_equal(ilea_view_builder_run(builder, UINT64_MAX, UINT64_MAX, &caught_up, &meta),
                     ILEA_ERROR_CORRUPT);
    ilea_view_builder_free(builder);
    ilea_test_home_remove(&other);
}

/* A later manifest may say another name. */
static void
test_view_builder_follows_names(void **state)
{
    struct ilea_test_home *home = *state;
    static uint8_t bytes[ILEA_MANIFEST_SIZE_MAX];
    struct ilea_manifest next = home->own.manifest;
    const struct ilea_sign_secret *const roots[] = { home->own.root };
    struct ilea_view_agency agency;
    struct ilea_transaction *txn;
    size_t size = 0;
    ilea_test_home_build(home);
    next.agency = next.id;
    next.index = 1;
    memcpy(next.prev, home->own.manifest.hash, sizeof next.prev);
    next.name = (struct ilea_span){ (const uint8_t *)"Another name", 12 };
    ILEA_TEST_OK(ilea_manifest_encode(&next, home->own.keys.node, roots, bytes, sizeof bytes, &size));
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), true, &txn));
    ILEA_TEST_OK(ilea_log_put_manifest(txn, &next.id, 1, (struct ilea_span){ bytes, size }));
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    ilea_test_home_build(home);
    ILEA_TEST_OK(ilea_transaction_begin(home->view, false, &txn));
    ILEA_TEST_OK(ilea_view_agency(txn, 1, &agency));
    assert_int_equal(agency.name.size, 12);
    assert_memory_equal(agency.name.data, "Another name", 12);
    ilea_transaction_abort(txn);
}

int
main(void)
{
#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)
    const struct CMUnitTest tests[] = {
        IN_HOME(test_view_builder_rebuilds_the_same),
        IN_HOME(test_view_builder_published_record),
        IN_HOME(test_view_builder_documents),
        IN_HOME(test_view_builder_hides_foreign_audiences),
        IN_HOME(test_view_builder_bounds_keys),
        IN_HOME(test_view_builder_follows_names),
        IN_HOME(test_view_builder_damaged_log),
        IN_HOME(test_view_builder_refuses_a_view_of_another_log),
    };
#undef IN_HOME
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
