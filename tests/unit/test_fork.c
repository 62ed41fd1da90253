#include "replication/record/fork.h"
#include "tests/support/agency.h"

/* The network that decode() reads in: the vectors'. */
static struct ilea_network_id network;

static enum ilea_error
decode(struct ilea_span input)
{
    struct ilea_fork fork;
    enum ilea_error error = ilea_fork_decode(input, &network, &fork);
    if (error == ILEA_ERROR_NONE) check_msgpack_c_agrees(input);
    return error;
}

/* The commits of a vector, in either order, give its proof. */
static void
check_encode(const json_t *vector, const struct ilea_fork *fork)
{
    const json_t *texts = json_object_get(vector, "commits");
    struct ilea_commit commits[2], changed;
    uint8_t *bytes[2], *proof = malloc(fork->size);
    size_t written = 0;
    assert_non_null(proof);
    assert_int_equal(json_array_size(texts), 2);
    for (size_t i = 0; i < 2; i++) {
        json_t *one = json_object();
        size_t size;
        json_object_set(one, "commit", json_array_get(texts, i));
        bytes[i] = ilea_vector_bytes(one, "commit", &size);
        json_decref(one);
        assert_int_equal(ilea_commit_decode((struct ilea_span){ bytes[i], size }, &commits[i]),
                         ILEA_ERROR_NONE);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(ilea_fork_encode(&fork->origin, &commits[i], &commits[1 - i], proof, fork->size,
                                          &written), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "proof", proof, written);
        assert_int_equal(ilea_fork_encode(&fork->origin, &commits[i], &commits[i], proof, fork->size,
                                          &written), ILEA_ERROR_INVALID);
    }
    for (size_t capacity = 0; capacity < fork->size; capacity++) {
        assert_int_equal(ilea_fork_encode(&fork->origin, &commits[0], &commits[1], proof, capacity,
                                          &written), ILEA_ERROR_LIMIT);
    }
    changed = commits[1];
    changed.header.seq++;
    assert_int_equal(ilea_fork_encode(&fork->origin, &commits[0], &changed, proof, fork->size, &written),
                     ILEA_ERROR_INVALID);
    changed = commits[1];
    changed.header.feed.bytes[31] ^= 1;
    assert_int_equal(ilea_fork_encode(&fork->origin, &commits[0], &changed, proof, fork->size, &written),
                     ILEA_ERROR_INVALID);
    free(bytes[0]);
    free(bytes[1]);
    free(proof);
}

static void
check_vector(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "proof", &size);
    struct ilea_span input = { bytes, size };
    vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
    enum ilea_error error = decode(input);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_fork fork;
        assert_int_equal(ilea_fork_decode(input, &network, &fork), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "agency", fork.origin.agency.bytes, 32);
        check_vector_bytes(vector, "node", fork.origin.node.bytes, 32);
        check_vector_bytes(vector, "incarnation", fork.origin.incarnation, 16);
        assert_int_equal(fork.origin.scope, vector_number(vector, "scope"));
        check_vector_bytes(vector, "feed", fork.feed.bytes, 32);
        assert_true(fork.seq == vector_number(vector, "seq"));
        check_vector_bytes(vector, "a", fork.a.bytes, 32);
        check_vector_bytes(vector, "b", fork.b.bytes, 32);
        check_vector_bytes(vector, "prev", fork.prev.bytes, 32);
        check_vector_bytes(vector, "hash", fork.hash, sizeof fork.hash);
        assert_int_equal(fork.size, size);
        check_encode(vector, &fork);
        check_cuts(decode, bytes, size);
        assert_int_equal(check_mutations(decode, bytes, size, 41), 0); /* all of it is signed or hashed */
    }
    free(bytes);
}

static void
test_fork_vectors(void **state)
{
    (void)state;
    for_each_vector("fork.jsonl", check_vector);
}

/* Goal: of any proofs of a feed all nodes keep the same one, in whatever order they come. */
static void
test_better(void **state)
{
    (void)state;
    const struct ilea_fork low = { .seq = 3, .hash = { 9 } }, high = { .seq = 4, .hash = { 1 } },
                           low_first = { .seq = 3, .hash = { 8, 255 } };
    assert_true(ilea_fork_is_better(&low, &high));
    assert_false(ilea_fork_is_better(&high, &low));
    assert_true(ilea_fork_is_better(&low_first, &low));
    assert_false(ilea_fork_is_better(&low, &low_first));
    assert_false(ilea_fork_is_better(&low, &low));
}

/* Goal: the size is a limit from both sides. */
static void
test_size(void **state)
{
    (void)state;
    static uint8_t bytes[ILEA_FORK_SIZE_MAX + 1];
    assert_int_equal(decode((struct ilea_span){ bytes, ILEA_FORK_SIZE_MAX }), ILEA_ERROR_MALFORMED);
    assert_int_equal(decode((struct ilea_span){ bytes, sizeof bytes }), ILEA_ERROR_LIMIT);
}

/* Goal: two commits that a builder makes are a proof, however much is in them. */
static void
test_of_built_commits(void **state)
{
    (void)state;
    struct ilea_commit_builder *builder = NULL;
    struct ilea_feed_origin origin = { .scope = ILEA_SCOPE_PEERS, .incarnation = { 5 } };
    struct ilea_sign_secret *node = NULL;
    struct ilea_feed_id feed;
    const struct ilea_commit_id prev = { { 7 } };
    struct ilea_commit commits[2];
    uint8_t *copies[2], proof[ILEA_FORK_SIZE_MAX], statement[40] = { 0 };
    size_t size = 0;
    memset(&network, 3, sizeof network);
    assert_int_equal(ilea_sign_generate(&node, &origin.node), ILEA_ERROR_NONE);
    assert_int_equal(ilea_commit_builder_new(&builder), ILEA_ERROR_NONE);
    ilea_feed_id_of(&network, &origin, &feed);
    for (uint8_t i = 0; i < 2; i++) {
        struct ilea_span made;
        struct ilea_commit_id id;
        ilea_commit_begin(builder, &network, &feed, UINT64_MAX, &prev);
        for (unsigned k = 0; k <= i * 500u; k++) {
            statement[0] = i;
            assert_int_equal(ilea_commit_add_statement(builder, (struct ilea_span){ statement, 40 }),
                             ILEA_ERROR_NONE);
        }
        ilea_commit_end(builder, node, &made, &id);
        copies[i] = ilea_exact_copy(made.data, made.size);
        made.data = copies[i];
        assert_int_equal(ilea_commit_decode(made, &commits[i]), ILEA_ERROR_NONE);
    }
    assert_int_equal(ilea_fork_encode(&origin, &commits[0], &commits[1], proof, sizeof proof, &size),
                     ILEA_ERROR_NONE);
    struct ilea_fork fork;
    assert_int_equal(ilea_fork_decode((struct ilea_span){ proof, size }, &network, &fork), ILEA_ERROR_NONE);
    assert_true(fork.seq == UINT64_MAX);
    assert_memory_equal(fork.prev.bytes, prev.bytes, sizeof prev.bytes);
    commits[0].signature.bytes[3] ^= 1; /* not asked when it is encoded */
    assert_int_equal(ilea_fork_encode(&origin, &commits[0], &commits[1], proof, sizeof proof, &size),
                     ILEA_ERROR_NONE);
    assert_int_equal(decode((struct ilea_span){ proof, size }), ILEA_ERROR_BAD_SIGNATURE);
    free(copies[0]);
    free(copies[1]);
    ilea_commit_builder_free(builder);
    ilea_sign_secret_free(node);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fork_vectors),
        cmocka_unit_test(test_better),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_of_built_commits),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
