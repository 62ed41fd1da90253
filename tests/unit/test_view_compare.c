/* test_view_compare.c - a view and a rebuild of it are the same though their records have other numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "node/view_compare.h"
#include "tests/support/home.h"

enum { RECORDS = 12, ROOTS = 6, ROUNDS = 100 };

static const struct ilea_agency_id agency = { { 1 } };

/* What two views hold: `first` also had records that were erased since. */
struct drawn {
    bool is_erased[RECORDS];
    bool has_document[RECORDS][ROOTS];
};

struct built {
    struct ilea_environment *environment;
    struct ilea_transaction *txn; /* writes, and is thrown away */
    struct ilea_view_meta meta;
    uint64_t numbers[RECORDS];
};

struct pair {
    char folder[64];
    struct built live, rebuilt;
};

static uint64_t
draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static struct ilea_view_row
row_of(uint8_t id)
{
    return (struct ilea_view_row){ .agency = 1, .type = ILEA_TEST_NEED, .scope = ILEA_SCOPE_PEERS, .id = { { id } } };
}

static struct ilea_view_document
document_of(const struct built *built, uint32_t record, uint8_t root)
{
    return (struct ilea_view_document){ .root = { { root } }, .record = built->numbers[record], .size = 1000 + root,
                                        .key = { { root } } };
}

static void
put_record(struct built *built, const struct drawn *drawn, uint32_t record)
{
    struct ilea_view_row row = row_of((uint8_t)record);
    ILEA_TEST_OK(ilea_view_put(built->txn, &built->meta, &agency, &row, NULL));
    built->numbers[record] = row.number;
    for (uint8_t root = 0; root < ROOTS; root++) {
        if (!drawn->has_document[record][root]) continue;
        struct ilea_view_document document = document_of(built, record, root);
        ILEA_TEST_OK(ilea_view_put_document(built->txn, &built->meta, &document));
    }
}

static void
drop_record(struct built *built, const struct drawn *drawn, uint32_t record)
{
    struct ilea_view_row row;
    for (uint8_t root = 0; root < ROOTS; root++) {
        if (!drawn->has_document[record][root]) continue;
        struct ilea_view_document document = document_of(built, record, root);
        ILEA_TEST_OK(ilea_view_drop_document(built->txn, &built->meta, &document.root, document.record));
    }
    ILEA_TEST_OK(ilea_view_get(built->txn, built->numbers[record], &row));
    ILEA_TEST_OK(ilea_view_drop_record(built->txn, &built->meta, &row));
}

static void
begin_built(struct built *built, const char *folder, const char *name)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    *built = (struct built){ .environment = NULL };
    ILEA_TEST_OK(ilea_view_open(path, false, true, &built->environment));
    ILEA_TEST_OK(ilea_transaction_begin(built->environment, true, &built->txn));
}

/* The live view saw records come and go; the rebuilt one only what is left. */
static void
build_pair(struct pair *pair, const struct drawn *drawn)
{
    (void)snprintf(pair->folder, sizeof pair->folder, "/tmp/ilea-test.XXXXXX");
    assert_non_null(mkdtemp(pair->folder));
    begin_built(&pair->live, pair->folder, "live");
    begin_built(&pair->rebuilt, pair->folder, "rebuilt");
    for (uint32_t i = 0; i < RECORDS; i++) {
        put_record(&pair->live, drawn, i);
        if (!drawn->is_erased[i]) put_record(&pair->rebuilt, drawn, i);
    }
    for (uint32_t i = 0; i < RECORDS; i++) {
        if (drawn->is_erased[i]) drop_record(&pair->live, drawn, i);
    }
}

static void
end_pair(struct pair *pair)
{
    ilea_transaction_abort(pair->live.txn);
    ilea_transaction_abort(pair->rebuilt.txn);
    ilea_environment_close(pair->live.environment);
    ilea_environment_close(pair->rebuilt.environment);
    ilea_test_remove_tree(pair->folder);
}

static bool
is_same(const struct pair *pair)
{
    return ilea_view_same_documents(pair->live.txn, pair->rebuilt.txn);
}

/* One difference in one of the two: a document less, one of another record, size or key. Then as it was. */
static void
check_difference(struct built *built, const struct drawn *drawn, const struct pair *pair, uint64_t *seed)
{
    uint32_t record = (uint32_t)(draw(seed) % RECORDS);
    uint8_t root = (uint8_t)(draw(seed) % ROOTS);
    if (drawn->is_erased[record] || !drawn->has_document[record][root]) return;
    const struct ilea_view_document right = document_of(built, record, root);
    struct ilea_view_document wrong = right;
    ILEA_TEST_OK(ilea_view_drop_document(built->txn, &built->meta, &right.root, right.record));
    assert_false(is_same(pair));
    uint32_t other = (uint32_t)(draw(seed) % RECORDS);
    if (!drawn->is_erased[other] && !drawn->has_document[other][root]) wrong.record = built->numbers[other];
    if (wrong.record == right.record && draw(seed) % 2 == 0) wrong.size++;
    if (wrong.record == right.record && wrong.size == right.size) wrong.key.bytes[draw(seed) % 32] ^= 1;
    ILEA_TEST_OK(ilea_view_put_document(built->txn, &built->meta, &wrong));
    assert_false(is_same(pair));
    ILEA_TEST_OK(ilea_view_drop_document(built->txn, &built->meta, &wrong.root, wrong.record));
    ILEA_TEST_OK(ilea_view_put_document(built->txn, &built->meta, &right));
    assert_true(is_same(pair));
}

static void
test_view_compare_drawn(void **unused)
{
    (void)unused;
    static struct pair pair;
    const char *given = getenv("SEED");
    uint64_t seed = (given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL)) | 1;
    printf("SEED=%llu\n", (unsigned long long)seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct drawn drawn;
        for (uint32_t i = 0; i < RECORDS; i++) {
            drawn.is_erased[i] = draw(&seed) % 3 == 0;
            for (uint32_t root = 0; root < ROOTS; root++) drawn.has_document[i][root] = draw(&seed) % 3 == 0;
        }
        build_pair(&pair, &drawn);
        assert_true(is_same(&pair));
        for (unsigned i = 0; i < 10; i++) check_difference(&pair.live, &drawn, &pair, &seed);
        for (unsigned i = 0; i < 10; i++) check_difference(&pair.rebuilt, &drawn, &pair, &seed);
        end_pair(&pair);
    }
}

/* What failed once: the record with the document came after one that was erased. */
static void
test_view_compare_erased_before(void **unused)
{
    (void)unused;
    static struct pair pair;
    struct drawn drawn = { .is_erased = { true }, .has_document = { [0] = { true }, [1] = { false, true } } };
    build_pair(&pair, &drawn);
    assert_int_equal(pair.live.numbers[1], 2);
    assert_int_equal(pair.rebuilt.numbers[1], 1);
    assert_true(is_same(&pair));
    end_pair(&pair);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view_compare_drawn),
        cmocka_unit_test(test_view_compare_erased_before),
    };
    return cmocka_run_group_tests_name("view_compare", tests, NULL, NULL);
}
