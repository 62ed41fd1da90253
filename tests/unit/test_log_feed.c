#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "crypto/random.h"
#include "node/view.h"
#include "replication/record/fork.h"
#include "replication/store/log_rows.h"
#include "tests/support/home.h"

enum { LENGTH = 8 };

/* A feed as it came out of a writer's hands: its commits from 1 on. */
struct chain {
    struct ilea_feed_origin origin;
    struct ilea_feed_id id;
    uint64_t length;
    struct ilea_commit_id ids[LENGTH + 1]; /* [0]: zeros */
    struct ilea_span commits[LENGTH + 1];
};

static struct ilea_test_agency writer;
static struct ilea_commit_builder *builder;

static int
begin_group(void **state)
{
    (void)state;
    ilea_test_agency_make(&writer, "DE-BKA");
    return ilea_commit_builder_new(&builder) == ILEA_ERROR_NONE ? 0 : -1;
}

static int
end_group(void **state)
{
    (void)state;
    ilea_commit_builder_free(builder);
    ilea_test_agency_free(&writer);
    return 0;
}

static void
free_chain(struct chain *chain)
{
    for (uint64_t seq = 1; seq <= chain->length; seq++) free((void *)(uintptr_t)chain->commits[seq].data);
    chain->length = 0;
}

/* Add commits up to `length`, of a content that `branch` changes. */
static void
extend(struct chain *chain, uint64_t length, char branch, const struct ilea_position *names, uint32_t count)
{
    static uint8_t opening[ILEA_ITEM_SIZE_MAX];
    for (uint64_t seq = chain->length + 1; seq <= length; seq++) {
        ilea_commit_begin(builder, &writer.manifest.network, &chain->id, seq, &chain->ids[seq - 1]);
        struct ilea_msgpack_writer to;
        ilea_msgpack_writer_init(&to, opening, sizeof opening);
        if (seq == 1) {
            const struct ilea_opening first = { .origin = chain->origin };
            ilea_opening_put(&to, &first, names, count);
            ILEA_TEST_OK(ilea_commit_add_statement(builder, ilea_msgpack_written(&to)));
            ilea_msgpack_writer_init(&to, opening, sizeof opening);
        }
        const uint8_t content[40] = { (uint8_t)branch };
        ilea_msgpack_put_array(&to, 2); /* a statement of a later version */
        ilea_msgpack_put_uint(&to, 1000);
        ilea_msgpack_put_bin(&to, content, sizeof content);
        ILEA_TEST_OK(ilea_commit_add_statement(builder, ilea_msgpack_written(&to)));
        struct ilea_span bytes;
        ilea_commit_end(builder, writer.keys.node, &bytes, &chain->ids[seq]);
        uint8_t *copy = malloc(bytes.size);
        assert_non_null(copy);
        memcpy(copy, bytes.data, bytes.size);
        chain->commits[seq] = (struct ilea_span){ copy, bytes.size };
        chain->length = seq;
    }
}

static void
make_chain(struct chain *chain, enum ilea_scope scope, uint64_t length, const struct ilea_position *names,
           uint32_t count)
{
    memset(chain, 0, sizeof *chain);
    chain->origin.agency = writer.card.agency;
    chain->origin.node = writer.manifest.node;
    chain->origin.scope = scope;
    ilea_random_bytes(chain->origin.incarnation, sizeof chain->origin.incarnation);
    ilea_feed_id_of(&writer.manifest.network, &chain->origin, &chain->id);
    extend(chain, length, 0, names, count);
}

/* The same up to `common`, then another history up to `length`. */
static void
branch_off(struct chain *branch, const struct chain *from, uint64_t common, uint64_t length)
{
    *branch = *from;
    branch->length = common;
    for (uint64_t seq = 1; seq <= common; seq++) {
        uint8_t *copy = malloc(from->commits[seq].size);
        assert_non_null(copy);
        memcpy(copy, from->commits[seq].data, from->commits[seq].size);
        branch->commits[seq].data = copy;
    }
    extend(branch, length, 1, NULL, 0);
}

static struct ilea_position
position_of(const struct chain *chain, uint64_t seq)
{
    return (struct ilea_position){ chain->id, seq, chain->ids[seq] };
}

/* Names have to ascend. */
static void
sort(struct ilea_position *names, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        for (uint32_t at = i; at > 0 && memcmp(&names[at - 1], &names[at], ILEA_ID_SIZE) > 0; at--) {
            struct ilea_position position = names[at];
            names[at] = names[at - 1];
            names[at - 1] = position;
        }
    }
}

static enum ilea_error
append(struct ilea_transaction *txn, const struct chain *chain, uint64_t seq, uint64_t *position)
{
    struct ilea_feed_row feed;
    uint64_t place;
    if (ilea_log_feed_by_id(txn, &chain->id, &feed) == ILEA_ERROR_NOT_FOUND) {
        feed = (struct ilea_feed_row){ .id = chain->id, .origin = chain->origin };
        ILEA_TEST_OK(ilea_log_add_feed(txn, &feed));
    }
    return ilea_log_append(txn, &feed, seq, &chain->ids[seq], chain->commits[seq],
                           position != NULL ? position : &place);
}

static void
append_to(struct ilea_transaction *txn, const struct chain *chain, uint64_t length)
{
    struct ilea_feed_row feed = { .seq = 0 };
    enum ilea_error error = ilea_log_feed_by_id(txn, &chain->id, &feed);
    assert_true(error == ILEA_ERROR_NONE || error == ILEA_ERROR_NOT_FOUND);
    for (uint64_t seq = feed.seq + 1; seq <= length; seq++) ILEA_TEST_OK(append(txn, chain, seq, NULL));
}

static struct ilea_feed_row
row_of(struct ilea_transaction *txn, const struct chain *chain)
{
    struct ilea_feed_row row;
    ILEA_TEST_OK(ilea_log_feed_by_id(txn, &chain->id, &row));
    return row;
}

static void
check_row(struct ilea_transaction *txn, const struct chain *chain, uint64_t seq, uint64_t limit)
{
    struct ilea_feed_row row = row_of(txn, chain);
    assert_int_equal(row.seq, seq);
    assert_memory_equal(row.head.bytes, chain->ids[seq].bytes, ILEA_ID_SIZE);
    assert_int_equal(row.limit_seq, limit);
    for (uint64_t at = 1; at <= LENGTH; at++) {
        struct ilea_chain_row link;
        enum ilea_error error = ilea_log_chain(txn, row.number, at, &link);
        assert_int_equal(error, at <= seq ? ILEA_ERROR_NONE : ILEA_ERROR_NOT_FOUND);
        if (at <= seq) assert_memory_equal(link.id.bytes, chain->ids[at].bytes, ILEA_ID_SIZE);
    }
}

static void
put_proof(struct ilea_transaction *txn, const struct chain *one, const struct chain *other, uint64_t seq)
{
    uint8_t bytes[ILEA_FORK_SIZE_MAX];
    struct ilea_commit a, b;
    struct ilea_fork fork;
    struct ilea_span proof = { bytes, 0 };
    ILEA_TEST_OK(ilea_commit_decode(one->commits[seq], &a));
    ILEA_TEST_OK(ilea_commit_decode(other->commits[seq], &b));
    ILEA_TEST_OK(ilea_fork_encode(&one->origin, &a, &b, bytes, sizeof bytes, &proof.size));
    ILEA_TEST_OK(ilea_fork_decode(proof, &writer.manifest.network, &fork));
    ILEA_TEST_OK(ilea_log_put_fork(txn, &fork.feed, proof, fork.hash, fork.seq - 1));
}

static bool
limit(struct ilea_transaction *txn, const struct chain *chain, uint64_t seq)
{
    struct ilea_feed_row row = row_of(txn, chain);
    bool truncated = true;
    ILEA_TEST_OK(ilea_log_limit_feed(txn, &row, seq, &chain->ids[seq], &truncated));
    struct ilea_feed_row stored = row_of(txn, chain);
    assert_int_equal(stored.seq, row.seq);
    assert_int_equal(stored.limit_seq, row.limit_seq);
    return truncated;
}

static uint64_t
truncations(struct ilea_transaction *txn)
{
    uint64_t count = 0;
    ILEA_TEST_OK(ilea_log_truncations(txn, &count));
    return count;
}

static enum ilea_error
counts(struct ilea_transaction *txn, uint64_t position)
{
    struct ilea_log_commit row;
    ILEA_TEST_OK(ilea_log_commit_at(txn, position, &row));
    return ilea_log_counts(txn, &row);
}

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

static void
test_log_limit_cuts_off(void **state)
{
    struct chain chain;
    struct ilea_transaction *txn = begin(*state);
    uint64_t positions[LENGTH + 1];
    make_chain(&chain, ILEA_SCOPE_PEERS, LENGTH, NULL, 0);
    for (uint64_t seq = 1; seq <= 6; seq++) ILEA_TEST_OK(append(txn, &chain, seq, &positions[seq]));
    assert_int_equal(append(txn, &chain, 6, NULL), ILEA_ERROR_EXISTS);
    assert_int_equal(append(txn, &chain, 8, NULL), ILEA_ERROR_EXISTS);
    check_row(txn, &chain, 6, ILEA_SEQ_NONE);
    assert_false(limit(txn, &chain, 7)); /* not there yet */
    check_row(txn, &chain, 6, 7);
    assert_false(limit(txn, &chain, 8)); /* limits fall, and never rise */
    check_row(txn, &chain, 6, 7);
    assert_true(limit(txn, &chain, 4));
    check_row(txn, &chain, 4, 4);
    assert_false(limit(txn, &chain, 4));
    assert_int_equal(truncations(txn), 1);
    for (uint64_t seq = 1; seq <= 6; seq++) {
        assert_int_equal(counts(txn, positions[seq]), seq <= 4 ? ILEA_ERROR_NONE : ILEA_ERROR_NOT_FOUND);
    }
    assert_int_equal(append(txn, &chain, 5, NULL), ILEA_ERROR_LIMIT);

    struct ilea_feed_row row = row_of(txn, &chain);
    ILEA_TEST_OK(ilea_log_lift_limit(txn, &row)); /* the manifest that said so was void */
    uint64_t again;
    ILEA_TEST_OK(append(txn, &chain, 5, &again));
    check_row(txn, &chain, 5, ILEA_SEQ_NONE);
    assert_int_equal(counts(txn, again), ILEA_ERROR_NONE);
    assert_int_equal(counts(txn, positions[5]), ILEA_ERROR_NOT_FOUND);
    assert_true(limit(txn, &chain, 0)); /* void from its first commit */
    check_row(txn, &chain, 0, 0);
    assert_int_equal(append(txn, &chain, 1, NULL), ILEA_ERROR_LIMIT);
    struct ilea_commit commit;
    struct ilea_log_commit evidence;
    ILEA_TEST_OK(ilea_log_commit_at(txn, positions[6], &evidence));
    assert_int_equal(ilea_log_check_commit(txn, &evidence, &commit), ILEA_ERROR_NOT_FOUND);
    ilea_transaction_abort(txn);
    free_chain(&chain);
}

/* The roots keep the branch that is not ours: with a proof what both share stays, without one nothing does. */
static void
test_log_limit_on_another_branch(void **state)
{
    struct chain ours, theirs;
    make_chain(&ours, ILEA_SCOPE_PEERS, LENGTH, NULL, 0);
    branch_off(&theirs, &ours, 2, LENGTH);
    for (unsigned proven = 0; proven < 2; proven++) {
        struct ilea_transaction *txn = begin(*state);
        append_to(txn, &ours, 6);
        if (proven == 1) put_proof(txn, &ours, &theirs, 3);
        assert_true(limit(txn, &theirs, 5));
        check_row(txn, &theirs, proven == 1 ? 2 : 0, 5);
        append_to(txn, &theirs, 4);
        assert_int_equal(append(txn, &ours, 5, NULL), ILEA_ERROR_LIMIT);
        append_to(txn, &theirs, 5);
        check_row(txn, &theirs, 5, 5);
        assert_int_equal(append(txn, &theirs, 6, NULL), ILEA_ERROR_LIMIT);
        assert_int_equal(truncations(txn), 1);
        put_proof(txn, &ours, &theirs, 3); /* evidence alone */
        check_row(txn, &theirs, 5, 5);
        ilea_transaction_abort(txn);
    }
    free_chain(&ours);
    free_chain(&theirs);
}

static void
test_log_fork(void **state)
{
    struct chain ours, theirs;
    struct ilea_span proof;
    uint8_t before[ILEA_HASH_SIZE], forked[ILEA_HASH_SIZE], after[ILEA_HASH_SIZE];
    static const uint8_t none[ILEA_HASH_SIZE];
    make_chain(&ours, ILEA_SCOPE_PEERS, LENGTH, NULL, 0);
    branch_off(&theirs, &ours, 4, LENGTH);
    struct ilea_transaction *txn = begin(*state);
    assert_int_equal(ilea_log_put_fork(txn, &ours.id, (struct ilea_span){ none, 1 }, none, 4),
                     ILEA_ERROR_NOT_FOUND);
    append_to(txn, &ours, 6);
    ILEA_TEST_OK(ilea_log_frontier(txn, before));
    assert_int_equal(ilea_log_fork(txn, &ours.id, &proof), ILEA_ERROR_NOT_FOUND);
    put_proof(txn, &ours, &theirs, 6);
    put_proof(txn, &ours, &theirs, 5); /* the better one */
    ILEA_TEST_OK(ilea_log_fork(txn, &ours.id, &proof));
    check_row(txn, &ours, 6, 4); /* what is held stays */
    struct ilea_feed_row row = row_of(txn, &ours);
    assert_memory_not_equal(row.fork, none, sizeof none);
    assert_memory_equal(row.limit_id.bytes, ours.ids[4].bytes, ILEA_ID_SIZE);
    assert_int_equal(append(txn, &ours, 7, NULL), ILEA_ERROR_LIMIT);
    ILEA_TEST_OK(ilea_log_frontier(txn, forked));
    assert_memory_not_equal(before, forked, sizeof before);

    assert_false(limit(txn, &ours, 6)); /* the roots keep ours */
    check_row(txn, &ours, 6, 6);
    row = row_of(txn, &ours);
    assert_memory_equal(row.fork, none, sizeof none);
    ILEA_TEST_OK(ilea_log_frontier(txn, after));
    assert_memory_equal(before, after, sizeof before);
    ILEA_TEST_OK(ilea_log_fork(txn, &ours.id, &proof)); /* still there */
    ILEA_TEST_OK(ilea_log_lift_limit(txn, &row)); /* and it counts again once the roots' word does not */
    check_row(txn, &ours, 6, 4);
    ILEA_TEST_OK(ilea_log_frontier(txn, after));
    assert_memory_equal(forked, after, sizeof forked);
    ilea_transaction_abort(txn);

    txn = begin(*state); /* the proof is there before the commits are: the id at the limit is learnt later */
    append_to(txn, &ours, 2);
    put_proof(txn, &ours, &theirs, 5);
    row = row_of(txn, &ours);
    assert_memory_equal(row.limit_id.bytes, none, sizeof none);
    append_to(txn, &ours, 4);
    row = row_of(txn, &ours);
    assert_memory_equal(row.limit_id.bytes, ours.ids[4].bytes, ILEA_ID_SIZE);
    assert_int_equal(append(txn, &theirs, 5, NULL), ILEA_ERROR_LIMIT);
    ILEA_TEST_OK(ilea_log_frontier(txn, after));
    assert_memory_equal(forked, after, sizeof forked); /* the same however much of it is held */
    ilea_transaction_abort(txn);
    free_chain(&ours);
    free_chain(&theirs);
}

/* A feed that forks at 3, in which the roots keep theirs up to 5, and its successors. */
struct family {
    struct chain ours, theirs, second, third, fourth, own;
};

static void
make_family(struct family *family)
{
    make_chain(&family->ours, ILEA_SCOPE_PEERS, 6, NULL, 0);
    branch_off(&family->theirs, &family->ours, 2, 7);
    struct ilea_position names[3] = { position_of(&family->ours, 4) }; /* by a writer that went wrong */
    make_chain(&family->second, ILEA_SCOPE_PEERS, 3, names, 1);
    names[0] = position_of(&family->theirs, 5);
    names[1] = position_of(&family->second, 3);
    sort(names, 2);
    make_chain(&family->third, ILEA_SCOPE_PEERS, 2, names, 2);
    names[0] = position_of(&family->second, 2); /* once more, lower than it is */
    names[1] = position_of(&family->third, 2);
    make_chain(&family->own, ILEA_SCOPE_AGENCY, 2, names, 1); /* another scope: it does not count */
    sort(names, 2);
    make_chain(&family->fourth, ILEA_SCOPE_PEERS, 2, names, 2);
}

/* What a node holds in the end, however it came. */
struct holding {
    uint8_t frontier[ILEA_HASH_SIZE], sum[ILEA_HASH_SIZE];
    uint32_t count;
    uint64_t seqs[5], named[5];
};

static void
read_holding(struct ilea_transaction *txn, const struct family *family, struct holding *holding)
{
    memset(holding, 0, sizeof *holding);
    ILEA_TEST_OK(ilea_log_frontier(txn, holding->frontier));
    ILEA_TEST_OK(ilea_log_archive_sum(txn, &writer.card.agency, &holding->count, holding->sum));
    const struct chain *chains[] = { &family->theirs, &family->second, &family->third, &family->fourth,
                                     &family->own };
    uint8_t sum[ILEA_HASH_SIZE] = { 0 }, hash[ILEA_HASH_SIZE];
    uint32_t listed = 0;
    struct ilea_position position;
    for (unsigned i = 0; i < 5; i++) {
        struct ilea_feed_row row = row_of(txn, chains[i]);
        holding->seqs[i] = row.seq;
        holding->named[i] = row.named_seq;
        assert_true(row.archived == (i < 4 && row.seq == row.named_seq));
    }
    const struct ilea_feed_id *after = NULL;
    while (ilea_log_archive_next(txn, &writer.card.agency, after, &position) == ILEA_ERROR_NONE) {
        ilea_position_hash(&position, hash);
        ilea_hash_sum_add(sum, hash);
        listed++;
        after = &position.feed;
    }
    assert_int_equal(listed, holding->count);
    assert_memory_equal(sum, holding->sum, sizeof sum);
}

static uint32_t
below(uint32_t bound)
{
    uint32_t number;
    ilea_random_bytes(&number, sizeof number);
    return number % bound;
}

/* Everything in a random order: commits as they follow each other, the proof, the limit; of the forked feed
 * either branch comes first. Then what is missing. */
static void
take_in(struct ilea_transaction *txn, const struct family *family)
{
    const struct chain *first = below(2) == 0 ? &family->ours : &family->theirs;
    const struct chain *chains[] = { first, &family->second, &family->third, &family->fourth, &family->own };
    bool proven = false, limited = false;
    append_to(txn, first, below(3));
    if (ilea_log_feed_by_id(txn, &first->id, &(struct ilea_feed_row){ 0 }) != ILEA_ERROR_NONE) append_to(txn, first, 1);
    for (unsigned step = 0; step < 60; step++) {
        unsigned what = below(7);
        if (what < 5) {
            struct ilea_feed_row row = { .seq = 0 };
            (void)!ilea_log_feed_by_id(txn, &chains[what]->id, &row);
            if (what == 0 && (proven || limited)) continue;
            if (row.seq < chains[what]->length) ILEA_TEST_OK(append(txn, chains[what], row.seq + 1, NULL));
        } else if (what == 5 && !proven) {
            put_proof(txn, &family->ours, &family->theirs, 3);
            proven = true;
        } else if (what == 6 && !limited) {
            (void)limit(txn, &family->theirs, 5);
            limited = true;
        }
    }
    if (!proven) put_proof(txn, &family->ours, &family->theirs, 3);
    if (!limited) (void)limit(txn, &family->theirs, 5);
    append_to(txn, &family->theirs, 5);
    for (unsigned i = 1; i < 5; i++) append_to(txn, chains[i], chains[i]->length);
}

static void
test_log_is_the_same_in_any_order(void **state)
{
    struct family family;
    struct holding reference, holding;
    make_family(&family);
    for (unsigned round = 0; round < 200; round++) {
        struct ilea_transaction *txn = begin(*state);
        take_in(txn, &family);
        read_holding(txn, &family, round == 0 ? &reference : &holding);
        ilea_transaction_abort(txn);
        if (round > 0) assert_memory_equal(&reference, &holding, sizeof reference);
    }
    assert_int_equal(reference.count, 3); /* all but the newest */
    static const uint64_t seqs[] = { 5, 3, 2, 2, 2 }, named[] = { 5, 3, 2, 0, 0 };
    assert_memory_equal(reference.seqs, seqs, sizeof seqs);
    assert_memory_equal(reference.named, named, sizeof named);
    free_chain(&family.ours);
    free_chain(&family.theirs);
    free_chain(&family.second);
    free_chain(&family.third);
    free_chain(&family.fourth);
    free_chain(&family.own);
}

/* Named, then it goes on, then it is cut off to where it was named; then who named it becomes void. */
static void
test_log_archive_comes_and_goes(void **state)
{
    struct chain first, second;
    struct ilea_transaction *txn = begin(*state);
    make_chain(&first, ILEA_SCOPE_PEERS, 6, NULL, 0);
    const struct ilea_position name = position_of(&first, 3);
    make_chain(&second, ILEA_SCOPE_PEERS, 2, &name, 1);
    append_to(txn, &second, 1);
    append_to(txn, &first, 2);
    assert_false(row_of(txn, &first).archived);
    append_to(txn, &first, 3);
    assert_true(row_of(txn, &first).archived);
    append_to(txn, &first, 5);
    assert_false(row_of(txn, &first).archived);
    assert_int_equal(row_of(txn, &first).named_seq, 3);
    assert_true(limit(txn, &first, 3));
    assert_true(row_of(txn, &first).archived);
    assert_true(limit(txn, &second, 0));
    assert_false(row_of(txn, &first).archived);
    assert_int_equal(row_of(txn, &first).named_seq, 0);
    uint32_t count = 1;
    uint8_t sum[ILEA_HASH_SIZE];
    static const uint8_t none[ILEA_HASH_SIZE];
    ILEA_TEST_OK(ilea_log_archive_sum(txn, &writer.card.agency, &count, sum));
    assert_int_equal(count, 0);
    assert_memory_equal(sum, none, sizeof sum);
    ilea_transaction_abort(txn);
    free_chain(&first);
    free_chain(&second);
}

/* A thousand starts: each opening names one feed, and the archive holds all others. */
static void
test_log_thousand_incarnations(void **state)
{
    enum { STARTS = 1000 };
    struct ilea_test_home *home = *state;
    static struct ilea_test_put put;
    struct ilea_put_result result;
    const struct ilea_author_commit *commits;
    uint32_t count;
    size_t sizes[STARTS];
    struct ilea_transaction *txn = NULL;
    for (unsigned i = 0; i < STARTS; i++) {
        ILEA_TEST_OK(ilea_author_begin(home->author, 1));
        struct ilea_feed_id current = ilea_author_feed(home->author, ILEA_SCOPE_PEERS)->id;
        if (i > 0) ILEA_TEST_OK(ilea_author_close_feed(home->author, &current));
        ilea_test_put_begin(&put, ILEA_PUT_CREATE, ILEA_SCOPE_PEERS, ILEA_TEST_NEED, NULL);
        ilea_test_put_text(&put, "title", "always the same");
        ILEA_TEST_OK(ilea_author_put(home->author, &put.put, &result));
        ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
        assert_int_equal(count, 1);
        assert_int_equal(commits[0].seq, 1);
        struct ilea_chain_row chain;
        ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
        ILEA_TEST_OK(ilea_log_chain(txn, commits[0].feed.number, 1, &chain));
        sizes[i] = chain.size;
        ilea_transaction_abort(txn);
    }
    /* But for the number in its ref: a byte, three from 128 on, and the length of what holds it. */
    assert_true(sizes[STARTS - 1] <= sizes[1] + 8);
    uint8_t sum[ILEA_HASH_SIZE];
    struct ilea_feed_row row;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_log_archive_sum(txn, &home->own.card.agency, &count, sum));
    assert_int_equal(count, STARTS - 1);
    for (uint32_t number = 1; number <= STARTS; number++) {
        ILEA_TEST_OK(ilea_log_feed(txn, number, &row));
        assert_true(row.archived == (number < STARTS));
    }
    ilea_transaction_abort(txn);
}

/* An epoch that was stated in a commit that is cut off: those who follow the feed never heard of it. */
static void
test_log_forgets_epochs(void **state)
{
    struct ilea_test_home *home = *state;
    struct ilea_put_result result;
    struct ilea_epoch_row epoch;
    ilea_test_need(home, ILEA_SCOPE_PEERS, "one", &result);
    ilea_test_need(home, ILEA_SCOPE_AGENCY, "own", &result);
    struct ilea_feed_row row = *ilea_author_feed(home->author, ILEA_SCOPE_PEERS);
    struct ilea_transaction *txn = begin(home);
    struct ilea_audience_id peers, agency;
    ilea_audience_of_peers(&home->own.manifest.network, &home->own.card.agency, &peers);
    ilea_audience_of_agency(&home->own.manifest.network, &home->own.card.agency, &agency);
    ILEA_TEST_OK(ilea_log_epoch(txn, &peers, 0, &epoch));
    assert_int_equal(epoch.feed, row.number);
    assert_int_equal(epoch.seq, 1);
    assert_memory_equal(epoch.agency.bytes, home->own.card.agency.bytes, ILEA_ID_SIZE);
    bool truncated;
    ILEA_TEST_OK(ilea_log_limit_feed(txn, &row, 0, &row.head, &truncated));
    assert_true(truncated);
    assert_int_equal(ilea_log_epoch(txn, &peers, 0, &epoch), ILEA_ERROR_NOT_FOUND);
    ILEA_TEST_OK(ilea_log_epoch(txn, &agency, 0, &epoch));
    ilea_transaction_abort(txn);
}

/* What a view shows of commits that are cut off goes with the view: it is built anew, without them. */
static void
test_view_is_rebuilt_without_what_was_cut_off(void **state)
{
    struct ilea_test_home *home = *state;
    static struct ilea_test_home other;
    struct ilea_put_result result;
    ilea_test_home_make(&other, "NL-PO");
    ilea_test_home_meet(&other, &home->own, true);
    ilea_test_home_meet(home, &other.own, true);
    ilea_test_need(&other, ILEA_SCOPE_PEERS, "one", &result);
    ilea_test_need(&other, ILEA_SCOPE_PEERS, "two", &result);
    struct ilea_feed_row feed = *ilea_author_feed(other.author, ILEA_SCOPE_PEERS);
    ilea_test_home_carry(&other, &feed.id, 1, home);
    ilea_test_home_build(home);
    struct ilea_view_meta one = home->meta;
    ilea_test_home_carry(&other, &feed.id, 2, home);
    ilea_test_home_build(home);
    assert_int_equal(home->meta.shared, 2);

    struct ilea_transaction *txn = begin(home);
    ILEA_TEST_OK(ilea_log_feed_by_id(txn, &feed.id, &feed));
    struct ilea_chain_row chain;
    bool truncated, caught_up;
    ILEA_TEST_OK(ilea_log_chain(txn, feed.number, 1, &chain));
    ILEA_TEST_OK(ilea_log_limit_feed(txn, &feed, 1, &chain.id, &truncated));
    ILEA_TEST_OK(ilea_transaction_commit(txn));
    struct ilea_view_meta meta;
    assert_int_equal(ilea_view_builder_run(home->builder, 1 << 20, UINT64_MAX, &caught_up, &meta),
                     ILEA_ERROR_CORRUPT);
    ilea_test_home_drop_view(home);
    ILEA_TEST_OK(ilea_view_make(home->path, 2));
    ILEA_TEST_OK(ilea_view_switch(home->path, 2, 1));
    ilea_test_home_build(home);
    assert_int_equal(home->meta.position, 2);
    assert_int_equal(home->meta.shared, 1);
    assert_memory_equal(home->meta.digest, one.digest, sizeof one.digest);
    ilea_test_home_build(home); /* and goes on from there */
    ilea_test_home_remove(&other);
}

/* The commit at a position of the log, with one bit changed. */
static void
rot(struct ilea_transaction *txn, uint64_t position, size_t at)
{
    static uint8_t value[12 + ILEA_COMMIT_SIZE_MAX];
    struct ilea_log_commit row;
    uint8_t key[8];
    ILEA_TEST_OK(ilea_log_commit_at(txn, position, &row));
    ilea_key_put_u32(value, row.feed);
    ilea_key_put_u64(value + 4, row.seq);
    memcpy(value + 12, row.bytes.data, row.bytes.size);
    value[at] ^= 1;
    ILEA_TEST_OK(ilea_put_raw(txn, LOG_COMMITS, log_key_u64(key, position), (struct ilea_span){ value, 0 },
                              (struct ilea_span){ value, 12 + row.bytes.size }, false));
}

/* Goal: what is damaged is put back by its own bytes and by no others; a view that passed it over is built anew. */
static void
test_log_repair(void **state)
{
    struct ilea_transaction *txn = begin(*state);
    struct chain chain, other;
    struct ilea_chain_row place;
    struct ilea_log_commit row;
    struct ilea_commit commit;
    make_chain(&chain, ILEA_SCOPE_PEERS, 4, NULL, 0);
    branch_off(&other, &chain, 2, 4);
    append_to(txn, &chain, 4);
    uint32_t number = row_of(txn, &chain).number;
    ILEA_TEST_OK(ilea_log_chain(txn, number, 3, &place));
    for (size_t at = 0; at < 60; at += 7) { /* whose it is; its header */
        uint64_t before = truncations(txn);
        rot(txn, place.position, at);
        ILEA_TEST_OK(ilea_log_commit_at(txn, place.position, &row));
        enum ilea_error error = ilea_log_check_commit(txn, &row, &commit);
        assert_true(error == ILEA_ERROR_CORRUPT || error == ILEA_ERROR_NOT_FOUND);
        assert_int_equal(ilea_log_repair(txn, &chain.id, 3, other.commits[3]), ILEA_ERROR_INVALID);
        assert_int_equal(ilea_log_repair(txn, &chain.id, 2, chain.commits[3]), ILEA_ERROR_INVALID);
        assert_int_equal(ilea_log_repair(txn, &chain.id, 5, chain.commits[3]), ILEA_ERROR_NOT_FOUND);
        ILEA_TEST_OK(ilea_log_repair(txn, &chain.id, 3, chain.commits[3]));
        ILEA_TEST_OK(ilea_log_commit_at(txn, place.position, &row));
        ILEA_TEST_OK(ilea_log_check_commit(txn, &row, &commit));
        assert_true(row.feed == number && row.seq == 3);
        assert_true(truncations(txn) == before + (at < 12 ? 1 : 0));
    }
    check_row(txn, &chain, 4, ILEA_SEQ_NONE);
    ilea_transaction_abort(txn);
    free_chain(&chain);
    free_chain(&other);
}

int
main(void)
{
#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)
    const struct CMUnitTest tests[] = {
        IN_HOME(test_log_limit_cuts_off),
        IN_HOME(test_log_limit_on_another_branch),
        IN_HOME(test_log_fork),
        IN_HOME(test_log_is_the_same_in_any_order),
        IN_HOME(test_log_archive_comes_and_goes),
        IN_HOME(test_log_thousand_incarnations),
        IN_HOME(test_log_forgets_epochs),
        IN_HOME(test_log_repair),
        IN_HOME(test_view_is_rebuilt_without_what_was_cut_off),
    };
#undef IN_HOME
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, begin_group, end_group);
}
