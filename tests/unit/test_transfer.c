/*
 * test_transfer.c - one document over a simulated network: links that lose, delay, break, have little, or lie.
 */
#include "replication/core/transfer.h"

#include "crypto/random.h"
#include "replication/core/event.h"
#include "tests/support/codec.h"

enum { LINKS = 5, ON_THE_WAY_MAX = 4096, TICK_MS = 10 };

enum temper { HONEST, LIAR, SILENT, EMPTY, HALF };

/* A chunk, or that there is none, on its way to us. */
struct message {
    bool used, none, good;
    uint32_t link, session;
    uint64_t index, due_ms;
};

struct network {
    struct ilea_transfer transfer;
    enum temper tempers[LINKS];
    bool up[LINKS];
    uint32_t session[LINKS], in_flight[LINKS], most[LINKS];
    uint64_t delay_ms[LINKS], asked[LINKS];
    struct message messages[ON_THE_WAY_MAX];
    uint64_t now_ms, seed, cut_ms;
    uint32_t count;
    uint8_t have[ILEA_BLOB_CHUNKS_MAX / 8];
    uint64_t chunks_came;
};

static struct network *
make(uint32_t count, uint64_t seed)
{
    struct network *network = calloc(1, sizeof *network);
    assert_non_null(network);
    network->count = count;
    network->seed = seed | 1;
    network->now_ms = 1000;
    for (uint32_t i = 0; i < LINKS; i++) network->delay_ms[i] = 20;
    ilea_transfer_init(&network->transfer, network->now_ms, 0);
    return network;
}

static void
up(struct network *network, uint32_t link)
{
    network->up[link] = true;
    network->session[link]++;
    network->in_flight[link] = 0;
    ilea_transfer_link_up(&network->transfer, network->now_ms, link);
}

static void
down(struct network *network, uint32_t link)
{
    network->up[link] = false;
    network->session[link]++;
    ilea_transfer_link_down(&network->transfer, network->now_ms, link);
}

/* What a holder does when it is asked for a chunk. */
static void
asked(struct network *network, uint32_t link, uint64_t index)
{
    enum temper temper = network->tempers[link];
    bool none = temper == EMPTY || (temper == HALF && index != ILEA_BLOB_LIST && index % 2 == 0);
    network->asked[link]++;
    network->in_flight[link]++;
    if (network->in_flight[link] > network->most[link]) network->most[link] = network->in_flight[link];
    assert_true(network->in_flight[link] <= ILEA_ASK_CHUNKS_MAX);
    if (temper == SILENT) return;
    for (uint32_t i = 0; i < ON_THE_WAY_MAX; i++) {
        struct message *message = &network->messages[i];
        if (message->used) continue;
        *message = (struct message){ true, none, temper != LIAR, link, network->session[link], index,
                                     network->now_ms + network->delay_ms[link] + draw(&network->seed) % 20 };
        return;
    }
    fail_msg("too much is on its way");
}

static void
ask_all(struct network *network)
{
    struct ilea_chunk_ask ask;
    uint32_t link;
    for (unsigned i = 0; ilea_transfer_next(&network->transfer, network->now_ms, &link, &ask); i++) {
        assert_true(i < 1000);
        assert_true(network->up[link]);
        uint32_t chunks = 0;
        for (uint32_t k = 0; k < ask.range_count; k++) {
            for (uint32_t n = 0; n < ask.ranges[k].count; n++, chunks++) asked(network, link, ask.ranges[k].first + n);
        }
        assert_true(chunks > 0 && chunks <= ILEA_ASK_CHUNKS_MAX);
    }
}

static void
arrives(struct network *network, const struct message *message)
{
    if (message->session != network->session[message->link]) return; /* lost with its session */
    network->in_flight[message->link]--;
    if (message->none) {
        const struct ilea_chunk_range range = { message->index, 1 };
        ilea_transfer_none(&network->transfer, network->now_ms, message->link, &range);
        return;
    }
    if (!ilea_transfer_expects(&network->transfer, message->link, message->index)) return;
    ilea_transfer_heard(&network->transfer, network->now_ms, message->link);
    ilea_transfer_chunk(&network->transfer, network->now_ms, message->link, message->index, message->good);
    if (!message->good) return;
    if (message->index == ILEA_BLOB_LIST) {
        ilea_transfer_list(&network->transfer, network->count, network->have);
    } else {
        network->have[message->index / 8] |= (uint8_t)(1u << (message->index % 8));
        network->chunks_came++;
    }
}

/* Until it is done, or that much time has passed; `cut_ms`: every link breaks about so often. */
static bool
run(struct network *network, uint64_t for_ms)
{
    uint64_t end = network->now_ms + for_ms;
    while (network->now_ms < end && !ilea_transfer_is_done(&network->transfer)) {
        ask_all(network);
        network->now_ms += TICK_MS;
        for (uint32_t i = 0; i < ON_THE_WAY_MAX; i++) {
            struct message message = network->messages[i];
            if (!message.used || message.due_ms > network->now_ms) continue;
            network->messages[i].used = false;
            arrives(network, &message);
        }
        for (uint32_t i = 0; i < LINKS && network->cut_ms > 0; i++) {
            if (draw(&network->seed) % (network->cut_ms / TICK_MS) != 0) continue;
            if (network->up[i]) {
                down(network, i);
            } else if (network->session[i] > 0) {
                up(network, i);
            }
        }
    }
    return ilea_transfer_is_done(&network->transfer);
}

/* Goal: one holder is enough; it is asked for each chunk once, and its window opens. */
static void
test_one_holder(void **state)
{
    (void)state;
    struct network *network = make(1000, 1);
    assert_true(ilea_transfer_is_stuck(&network->transfer));
    up(network, 0);
    assert_false(ilea_transfer_is_stuck(&network->transfer));
    assert_true(run(network, 60000));
    assert_int_equal(network->asked[0], 1001);
    assert_int_equal(network->most[0], ILEA_ASK_CHUNKS_MAX);
    assert_true(ilea_transfer_deadline(&network->transfer) == ILEA_TIME_NEVER);
    free(network);
}

/* Goal: what takes long is asked for a little at a time: others wait behind it. */
static void
test_slow_link(void **state)
{
    (void)state;
    struct network *network = make(20, 2);
    network->delay_ms[0] = 4000;
    up(network, 0);
    assert_true(run(network, 600000));
    assert_true(network->most[0] <= 2);
    free(network);
}

/* Goal: several holders share the work, and one that lies, says nothing, or has nothing does not keep it up. */
static void
test_holders(void **state)
{
    (void)state;
    struct network *network = make(2000, 3);
    for (uint32_t i = 0; i < LINKS; i++) {
        network->tempers[i] = (enum temper)i; /* one of each */
        up(network, i);
    }
    assert_true(run(network, 120000));
    assert_true(ilea_transfer_met_liar(&network->transfer));
    assert_true(network->asked[LIAR] <= ILEA_TRANSFER_WINDOW_START);
    assert_true(network->asked[HALF] > 100 && network->asked[HONEST] > 500);
    free(network);
}

/* Goal: nobody has it, or nobody honest: it is said, and when somebody comes it goes on. */
static void
test_nobody(void **state)
{
    (void)state;
    struct network *network = make(50, 4);
    network->tempers[1] = EMPTY;
    network->tempers[2] = LIAR;
    up(network, 1);
    up(network, 2);
    assert_false(run(network, 5000));
    assert_true(ilea_transfer_is_stuck(&network->transfer));
    assert_true(ilea_transfer_met_liar(&network->transfer));
    network->tempers[1] = HONEST; /* it got it meanwhile, and is asked again after a while */
    assert_true(run(network, 2 * ILEA_TRANSFER_AGAIN_MS));
    assert_int_equal(network->asked[2], 1);
    free(network);
}

/* Goal: chunks that only one holder has come from it, and those that nobody has are missed. */
static void
test_halves(void **state)
{
    (void)state;
    struct network *network = make(100, 5);
    network->tempers[0] = network->tempers[1] = HALF;
    up(network, 0);
    up(network, 1);
    assert_false(run(network, 20000));
    assert_int_equal(network->chunks_came, 50);
    assert_true(ilea_transfer_is_stuck(&network->transfer));
    up(network, 2);
    assert_true(run(network, 20000));
    free(network);
}

/* Goal: however often links break, it ends, with every chunk kept once; and what was held before is not asked for. */
static void
test_cut_links(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct network *network = make(700, seed * 7919);
        network->cut_ms = 300;
        network->tempers[1] = HALF;
        network->tempers[2] = LIAR;
        for (uint32_t i = 0; i < 200; i++) network->have[i / 8] |= (uint8_t)(1u << (i % 8));
        for (uint32_t i = 0; i < 4; i++) up(network, i);
        assert_true(run(network, 600000));
        assert_int_equal(network->chunks_came, 500);
        free(network);
    }
}

/* Goal: what could not be sent is asked for again. */
static void
test_unasked(void **state)
{
    (void)state;
    struct network *network = make(10, 6);
    struct ilea_chunk_ask ask;
    uint32_t link;
    up(network, 0);
    assert_true(ilea_transfer_next(&network->transfer, network->now_ms, &link, &ask));
    assert_true(ask.range_count == 1 && ask.ranges[0].first == ILEA_BLOB_LIST);
    ilea_transfer_unasked(&network->transfer, link, &ask);
    assert_false(ilea_transfer_expects(&network->transfer, link, ILEA_BLOB_LIST));
    assert_false(ilea_transfer_next(&network->transfer, network->now_ms, &link, &ask)); /* it rests */
    assert_true(ilea_transfer_deadline(&network->transfer) <= network->now_ms + ILEA_TRANSFER_QUICK_MS);
    assert_true(run(network, 10000));
    free(network);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_holder), cmocka_unit_test(test_slow_link), cmocka_unit_test(test_holders),
        cmocka_unit_test(test_nobody),     cmocka_unit_test(test_halves),    cmocka_unit_test(test_cut_links),
        cmocka_unit_test(test_unasked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
