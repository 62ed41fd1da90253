/*
 * epoch.c - what a change of a closed audience's members costs: a new key sealed to each, the statement that says so,
 * and what it comes to, in memory.
 *
 *   epoch COUNT ROUNDS    an audience of COUNT members beside its owner is begun, then one of them is removed;
 *                         the medians of ROUNDS
 *
 * Prints one JSON object: {"begin_ms":B,"remove_ms":R}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/random.h"
#include "replication/audience/membership.h"

enum { ROUNDS_MAX = 1000, STATEMENT_SIZE_MAX = ILEA_ITEM_SIZE_MAX };

static void
check(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "epoch: %s failed\n", what);
    exit(1);
}

static void
check_error(enum ilea_error error, const char *what)
{
    if (error == ILEA_ERROR_NONE) return;
    fprintf(stderr, "epoch: %s: %s\n", what, ilea_error_text(error));
    exit(1);
}

static double
now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

struct bench {
    struct ilea_network_id network;
    struct ilea_audience_id audience;
    struct ilea_agency_id owner;
    uint32_t count;                /* members beside the owner */
    struct ilea_member_act *acts;  /* that add them */
    uint8_t *wrapped;
    struct ilea_keyring *ring;
    struct ilea_membership *membership;
};

static void
bench_init(struct bench *bench, uint32_t count)
{
    memset(bench, 0, sizeof *bench);
    ilea_random_bytes(bench->network.bytes, sizeof bench->network.bytes);
    ilea_random_bytes(bench->audience.bytes, sizeof bench->audience.bytes);
    ilea_random_bytes(bench->owner.bytes, sizeof bench->owner.bytes);
    bench->count = count;
    bench->acts = calloc(count, sizeof *bench->acts);
    bench->wrapped = malloc((size_t)count * ILEA_WRAPPED_KEY_SIZE);
    check(bench->acts != NULL && bench->wrapped != NULL, "memory");
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_member_act *act = &bench->acts[i];
        struct ilea_reading_secret *secret;
        *act = (struct ilea_member_act){ .kind = ILEA_MEMBER_ADD,
                                         .level = ILEA_ACCESS_WRITE,
                                         .code = { (const uint8_t *)"FR-PN", 5 } };
        ilea_random_bytes(act->agency.bytes, sizeof act->agency.bytes);
        check_error(ilea_reading_generate(&secret, &act->reading), "a reading key");
        ilea_reading_secret_free(secret);
    }
}

static void
bench_start(struct bench *bench)
{
    check_error(ilea_keyring_new(16, &bench->ring), "a keyring");
    check_error(ilea_membership_new(&bench->owner, &bench->audience, &bench->membership), "a membership");
}

static void
bench_end(struct bench *bench)
{
    ilea_keyring_free(bench->ring);
    ilea_membership_free(bench->membership);
}

/* Milliseconds for one AUDIENCE with these acts: who is allowed then, the key sealed to them (but to the owner, whose
 * reading key would be one more), the statement, what it comes to. */
static double
state_audience(struct bench *bench, struct ilea_member_act *acts, uint32_t act_count)
{
    static uint8_t bytes[STATEMENT_SIZE_MAX];
    struct ilea_membership *after;
    struct ilea_membership_state state, planned;
    struct ilea_epoch_id epoch;
    double start = now_ms();
    check_error(ilea_membership_state(bench->membership, &state), "the state");
    check_error(ilea_membership_after(bench->membership, acts, act_count, &after), "the plan");
    check_error(ilea_membership_state(after, &planned), "the planned state");
    struct ilea_audience_statement statement = { .audience = bench->audience,
                                                 .number = state.next_number,
                                                 .head_count = state.head_count,
                                                 .act_count = act_count,
                                                 .has_info = state.head_count == 0,
                                                 .name = { (const uint8_t *)"Bench", 5 },
                                                 .tlp = 3,
                                                 .history_ms = ILEA_HISTORY_ALL };
    check_error(ilea_keyring_generate(bench->ring, &bench->network, &bench->audience, statement.aek_commit), "a key");
    memcpy(epoch.bytes, statement.aek_commit, sizeof epoch.bytes);
    for (uint32_t i = 0; i < planned.member_count; i++) {
        if (planned.members[i].suspended || planned.members[i].code[0] == '\0') continue;
        check_error(ilea_keyring_wrap(bench->ring, &epoch, &bench->network, &bench->audience,
                                      &planned.members[i].reading,
                                      bench->wrapped + (size_t)statement.wrapped_count++ * ILEA_WRAPPED_KEY_SIZE),
                    "sealing");
    }
    ilea_membership_free(after);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_audience_statement_put(&writer, &statement, state.heads, bench->wrapped, acts);
    check(!writer.failed, "encoding");
    struct ilea_commit_id id;
    ilea_random_bytes(id.bytes, sizeof id.bytes);
    check_error(ilea_membership_take(bench->membership, &bench->owner, &id, (struct ilea_span){ bytes, writer.size }),
                "taking it");
    check_error(ilea_membership_state(bench->membership, &state), "the state");
    check(state.has_epoch && memcmp(&state.epoch, &id, sizeof id) == 0, "the current epoch");
    check(state.member_count == planned.member_count, "the members");
    return now_ms() - start;
}

static int
compare(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return one < other ? -1 : one > other;
}

int
main(int argc, char **argv)
{
    static double begin[ROUNDS_MAX], remove[ROUNDS_MAX];
    struct bench bench;
    check(argc == 3 && ilea_crypto_init() == ILEA_ERROR_NONE, "usage: epoch COUNT ROUNDS;");
    const long count = atol(argv[1]), rounds = atol(argv[2]);
    check(count > 0 && count <= ILEA_MEMBER_ACTS_MAX && rounds > 0 && rounds <= ROUNDS_MAX, "COUNT and ROUNDS");
    bench_init(&bench, (uint32_t)count);
    for (long i = 0; i < rounds; i++) {
        bench_start(&bench);
        begin[i] = state_audience(&bench, bench.acts, bench.count);
        struct ilea_member_act gone = { .kind = ILEA_MEMBER_REMOVE, .agency = bench.acts[0].agency };
        remove[i] = state_audience(&bench, &gone, 1);
        bench_end(&bench);
    }
    qsort(begin, (size_t)rounds, sizeof *begin, compare);
    qsort(remove, (size_t)rounds, sizeof *remove, compare);
    printf("{\"begin_ms\":%.3f,\"remove_ms\":%.3f}\n", begin[rounds / 2], remove[rounds / 2]);
    free(bench.acts);
    free(bench.wrapped);
    return 0;
}
