#include "tests/sim/story.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/audience.h"
#include "tests/sim/bundle.h"
#include "tests/sim/byzantine.h"
#include "tests/sim/checks.h"
#include "tests/sim/erase.h"
#include "tests/sim/network.h"
#include "tests/sim/scenario.h"
#include "tests/sim/side.h"
#include "tests/sim/storage.h"
#include "tests/sim/thief.h"
#include "tests/sim/writer.h"

enum { SECOND = 1000 };

static void
write_some(struct sim_node *node, uint32_t count, uint64_t every_ms)
{
    for (uint32_t i = 0; i < count; i++) {
        sim_push(node->world, i * every_ms, (struct sim_event){ .kind = SIM_WRITE,
                                                                .node = node->index });
    }
    sim_run_until(node->world, node->world->now + count * every_ms);
}

static void
expect(const struct sim_world *world, bool holds, const char *what)
{
    if (!holds) sim_fail(world, NULL, "%s", what);
}

/* All agree within so much time. */
static void
expect_agreement(struct sim_world *world, uint64_t ms)
{
    sim_scenario_settle(world, ms);
}

static void
sever(struct sim_world *world, uint32_t a, uint32_t b)
{
    uint32_t link = world->link_between[a][b];
    world->links[link].severed = true;
    sim_network_reset(world, link);
}

static void
mend(struct sim_world *world, uint32_t a, uint32_t b)
{
    uint32_t link = world->link_between[a][b];
    world->links[link].severed = false;
    sim_network_connect(world, link);
}

static uint32_t
durable(const struct sim_node *node, const struct sim_feed *feed)
{
    return node->storage.logs[feed->index].durable;
}

/* A and C follow each other and have no link: B carries, and each commit crosses each link once. */
static void
chain(struct sim_world *world)
{
    sim_add_nodes(world, 3);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    sim_start(world);
    sim_run_until(world, SECOND);
    write_some(&world->nodes[0], 10, 100);
    write_some(&world->nodes[2], 10, 100);
    expect_agreement(world, 2 * SECOND);
    expect(world, world->feed_count == 2, "two feeds");
    expect(world, durable(&world->nodes[2], world->feeds[0]) == 11, "C holds A's");
    expect(world, durable(&world->nodes[0], world->feeds[1]) == 11, "A holds C's");
    sim_check_repeats(world, 1050);
    sim_check_quiet(world);
}

/* Everybody is linked, over lines of all lengths, and writes large commits: each comes once. */
static void
mesh(struct sim_world *world)
{
    sim_add_nodes(world, 6);
    for (uint32_t i = 1; i < 6; i++) {
        for (uint32_t j = 0; j < i; j++) sim_add_link(world, i, j);
    }
    for (uint32_t i = 0; i < world->link_count; i++) {
        for (int way = 0; way < 2; way++) {
            world->links[i].ways[way].delay_min = 1;
            world->links[i].ways[way].delay_max = 1 + 5 * (i % 8);
        }
    }
    sim_start(world);
    for (int round = 0; round < 15; round++) {
        for (uint32_t i = 0; i < 6; i++) {
            world->nodes[i].writer.value_size = 30000;
            write_some(&world->nodes[i], 1, 37);
        }
    }
    expect_agreement(world, 2 * SECOND);
    sim_check_repeats(world, 1050);
}

static uint64_t
bytes_between(struct sim_world *world, uint32_t a, uint32_t b)
{
    return sim_network_channel(world, a, b)->bytes + sim_network_channel(world, b, a)->bytes;
}

/* Nothing new: less than 1 KiB both ways together, and one hash each way. */
static void
reconnect(struct sim_world *world)
{
    sim_add_nodes(world, 2);
    sim_add_link(world, 0, 1);
    sim_start(world);
    write_some(&world->nodes[0], 20, 50);
    write_some(&world->nodes[1], 20, 50);
    sim_run_until(world, world->now + 3 * SECOND);
    uint64_t sessions = world->nodes[0].sessions, bytes = bytes_between(world, 0, 1);
    uint64_t frontiers = sim_network_channel(world, 0, 1)->frames[ILEA_MESSAGE_FRONTIER]
                         + sim_network_channel(world, 1, 0)->frames[ILEA_MESSAGE_FRONTIER];
    sim_network_reset(world, 0);
    sim_run_until(world, world->now + 3 * SECOND);
    frontiers = sim_network_channel(world, 0, 1)->frames[ILEA_MESSAGE_FRONTIER]
                + sim_network_channel(world, 1, 0)->frames[ILEA_MESSAGE_FRONTIER] - frontiers;
    expect(world, world->nodes[0].sessions == sessions + 1, "one new session");
    expect(world, frontiers == 2, "one frontier each way");
    expect(world, bytes_between(world, 0, 1) - bytes < 1024, "less than 1 KiB");
}

/* A to C came through B; once A and C are linked, B has nothing to push to C. */
static void
late_link(struct sim_world *world)
{
    sim_add_nodes(world, 3);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    sim_add_link(world, 0, 2);
    sim_start(world);
    sever(world, 0, 2);
    sim_run_until(world, SECOND);
    write_some(&world->nodes[0], 10, 100);
    expect_agreement(world, 2 * SECOND);
    const struct sim_channel *relay = sim_network_channel(world, 1, 2);
    expect(world, relay->frames[ILEA_MESSAGE_COMMITS] > 0, "B carried");
    mend(world, 0, 2);
    sim_run_until(world, world->now + SECOND);
    uint64_t before = relay->frames[ILEA_MESSAGE_COMMITS];
    write_some(&world->nodes[0], 20, 100);
    expect_agreement(world, 2 * SECOND);
    expect(world, relay->frames[ILEA_MESSAGE_COMMITS] == before, "B carries no more");
    /* and takes over again when the link is gone */
    sever(world, 0, 2);
    write_some(&world->nodes[0], 5, 100);
    expect_agreement(world, 5 * SECOND);
    expect(world, relay->frames[ILEA_MESSAGE_COMMITS] > before, "B carries again");
}

/* A lost frame is a gap in the numbers: the session ends, the next one makes it good. */
static void
lost_frame(struct sim_world *world)
{
    sim_add_nodes(world, 2);
    sim_add_link(world, 0, 1);
    sim_start(world);
    write_some(&world->nodes[0], 5, 50);
    sim_run_until(world, world->now + SECOND);
    uint64_t sessions = world->nodes[1].sessions;
    sim_network_channel(world, 0, 1)->drop_next = 1;
    write_some(&world->nodes[0], 3, 50);
    expect_agreement(world, 2 * SECOND);
    expect(world, world->nodes[1].sessions == sessions + 1, "one new session");
}

/* The last frame is lost and nothing follows it but a keep-alive. */
static void
lost_last_frame(struct sim_world *world)
{
    sim_add_nodes(world, 2);
    sim_add_link(world, 0, 1);
    sim_start(world);
    write_some(&world->nodes[0], 5, 50);
    sim_run_until(world, world->now + SECOND);
    sim_network_channel(world, 0, 1)->drop_next = 1;
    write_some(&world->nodes[0], 1, 50);
    expect_agreement(world, ILEA_KEEPALIVE_MS + 2 * SECOND);
}

/* A thousand commits; the link is reset in the middle: what was durable is not sent again. */
static void
midway(struct sim_world *world)
{
    sim_add_nodes(world, 2);
    sim_add_link(world, 0, 1);
    world->nodes[0].writer.value_size = 4000;
    sim_start(world);
    sever(world, 0, 1);
    write_some(&world->nodes[0], 1000, 10);
    mend(world, 0, 1);
    const struct sim_feed *feed = world->feeds[0];
    while (durable(&world->nodes[1], feed) < 300) sim_run_until(world, world->now + 1);
    expect(world, durable(&world->nodes[1], feed) < 900, "it is in the middle");
    sim_network_reset(world, 0);
    expect_agreement(world, 10 * SECOND);
    uint64_t size = 0;
    for (uint32_t i = 0; i < feed->count; i++) size += feed->commits[i]->size;
    expect(world, size > 2 * (uint64_t)ILEA_CREDIT_WINDOW, "more than a window");
    expect(world, world->nodes[1].ends[0].commit_bytes_in < size + ILEA_CREDIT_WINDOW + size / 50,
           "no more than a window is sent twice");
}

/* Both ends have more for the other than a window, and slow disks: nobody waits for ever. */
static void
both_full(struct sim_world *world)
{
    sim_add_nodes(world, 2);
    sim_add_link(world, 0, 1);
    for (uint32_t i = 0; i < 2; i++) {
        world->nodes[i].writer.value_size = 20000;
        world->nodes[i].storage.latency_min = 100;
        world->nodes[i].storage.latency_max = 300;
    }
    sim_start(world);
    sever(world, 0, 1);
    for (uint32_t i = 0; i < 2; i++) write_some(&world->nodes[i], 200, 400);
    mend(world, 0, 1);
    expect_agreement(world, 60 * SECOND);
}

/* C learns of two hundred feeds at once from B, who did not write them. */
static void
many_feeds(struct sim_world *world)
{
    sim_add_nodes(world, 3);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    sim_start(world);
    sever(world, 1, 2);
    for (int i = 0; i < 200; i++) {
        sim_writer_abandon(&world->nodes[0]);
        write_some(&world->nodes[0], 2, 20);
    }
    mend(world, 1, 2);
    expect_agreement(world, 10 * SECOND);
    expect(world, world->feed_count == 200, "two hundred feeds");
}

/* A's disk is that of yesterday and A does not know: it is told, and gets the rest back. */
static void
restored(struct sim_world *world)
{
    sim_add_nodes(world, 3);
    sim_add_link(world, 1, 0);
    sim_add_link(world, 1, 2);
    sim_start(world);
    struct sim_node *node = &world->nodes[0];
    write_some(node, 20, 50);
    sim_run_until(world, world->now + SECOND);
    sim_node_stop(node);
    sim_storage_cut(node, world->feeds[0], 8);
    node->writer.unnoticed = true;
    node->writer.taken = world->feeds[0];
    sim_node_start(node);
    sim_network_channel(world, 1, 0)->drop_next = 1; /* B's word is enough, before it proves it */
    while (node->sessions < 2) sim_run_until(world, world->now + 1);
    sim_run_until(world, world->now + 100);
    expect(world, node->reincarnations == 1 && durable(node, world->feeds[0]) == 8, "A is told");
    sim_run_until(world, world->now + 10 * SECOND);
    expect(world, node->reincarnations == 1, "A is told once");
    expect(world, durable(node, world->feeds[0]) == 21, "A has its commits back");
    write_some(node, 3, 50);
    expect(world, world->feed_count == 2, "A goes on in a new feed");
    expect_agreement(world, 2 * SECOND);
}

/* B brings A's feed to C; when B is gone, D takes over, though it says nothing new. */
static void
source_dies(struct sim_world *world)
{
    sim_add_nodes(world, 4);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 0, 3);
    sim_add_link(world, 2, 1);
    sim_add_link(world, 2, 3);
    world->nodes[0].writer.value_size = 4000;
    sim_start(world);
    sever(world, 2, 1);
    sever(world, 2, 3);
    write_some(&world->nodes[0], 1000, 10);
    expect_agreement(world, SECOND);
    mend(world, 2, 1);
    mend(world, 2, 3);
    const struct sim_feed *feed = world->feeds[0];
    while (durable(&world->nodes[2], feed) < 100) sim_run_until(world, world->now + 1);
    const struct sim_channel *first = sim_network_channel(world, 1, 2);
    uint32_t source = first->frames[ILEA_MESSAGE_COMMITS] > 0 ? 1 : 3;
    expect(world, durable(&world->nodes[2], feed) < 900, "it is in the middle");
    sever(world, 2, source);
    sim_push(world, 0, (struct sim_event){ .kind = SIM_LINK_DOWN, .node = 2,
                                           .link = world->link_between[2][source] });
    sim_run_until(world, world->now + 2 * SECOND);
    expect(world, durable(&world->nodes[2], feed) == feed->count, "the other brings the rest");
    sim_check_repeats(world, 1200);
}

/* B's HELLO was lost with the old connection: it says it again when A dials. */
static void
hello_lost(struct sim_world *world)
{
    sim_add_nodes(world, 2);
    sim_add_link(world, 0, 1);
    sim_start(world);
    write_some(&world->nodes[0], 3, 50);
    sever(world, 0, 1);
    sim_run_until(world, world->now + ILEA_SILENCE_MS + 3 * SECOND);
    write_some(&world->nodes[0], 3, 50);
    mend(world, 0, 1);
    expect_agreement(world, SECOND);
}

/* Who does not hold the node key that the manifest names gets no session. */
static void
impostor(struct sim_world *world)
{
    sim_add_nodes(world, 2);
    sim_add_link(world, 0, 1);
    ilea_sign_secret_free(world->nodes[0].secret);
    struct ilea_sign_public other;
    enum ilea_error error = ilea_sign_generate(&world->nodes[0].secret, &other);
    expect(world, error == ILEA_ERROR_NONE, "a key");
    sim_start(world);
    sim_run_until(world, 60 * SECOND);
    expect(world, world->nodes[1].sessions == 0, "no session");
    expect(world, bytes_between(world, 0, 1) < 20000, "and no storm of attempts");
}

/* A peer that sends more than it was granted loses its session; nothing beyond is stored. */
static void
over_credit(struct sim_world *world)
{
    sim_add_nodes(world, 2);
    sim_add_link(world, 0, 1);
    world->nodes[0].byzantine = true;
    world->nodes[0].writer.value_size = 60000;
    world->nodes[1].storage.latency_min = world->nodes[1].storage.latency_max = 5000;
    world->faultless = false;
    sim_start(world);
    sever(world, 0, 1);
    write_some(&world->nodes[0], 200, 10);
    mend(world, 0, 1);
    while (world->nodes[1].sessions == 0) sim_run_until(world, world->now + 1);
    sim_liar_push_all(&world->nodes[0], 1);
    sim_run_until(world, world->now + 3 * SECOND);
    expect(world, world->nodes[1].sessions > 1, "the session was ended");
}

/* What a new session of A and B costs, once they hold the same. */
static uint64_t
session_bytes(struct sim_world *world, uint32_t a, uint32_t b)
{
    sim_run_until(world, world->now + 5 * SECOND);
    uint64_t bytes = bytes_between(world, a, b);
    sim_network_reset(world, world->link_between[a][b]);
    sim_run_until(world, world->now + 2 * SECOND);
    return bytes_between(world, a, b) - bytes;
}

/* A's node is started anew again and again, each time with a feed of its own: to B, and to C that comes late, this
 * costs nothing that grows with it. */
static void
thousand_boots(struct sim_world *world)
{
    enum { BOOTS = 1000 };
    sim_add_nodes(world, 3);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    struct sim_node *node = &world->nodes[0];
    node->storage.latency_min = node->storage.latency_max = 1;
    sim_start(world);
    sim_run_until(world, SECOND);
    sever(world, 1, 2);
    write_some(node, 1, 10);
    const uint64_t first = session_bytes(world, 0, 1);
    for (uint32_t boot = 1; boot < BOOTS; boot++) {
        sim_node_stop(node);
        sim_writer_abandon(node);
        sim_node_start(node);
        mend(world, 0, 1);
        write_some(node, 1, 10);
        sim_run_until(world, world->now + 300);
    }
    const uint64_t last = session_bytes(world, 0, 1);
    expect(world, world->feed_count >= BOOTS, "a feed each time");
    expect(world, last < first + 128, "a session costs what it cost after the first boot");
    mend(world, 1, 2);
    expect_agreement(world, 60 * SECOND);
    for (uint32_t i = 0; i < world->feed_count; i++) {
        expect(world, durable(&world->nodes[2], world->feeds[i]) == world->feeds[i]->count, "C holds every feed");
    }
    expect(world, session_bytes(world, 1, 2) < first + 128, "and C's sessions cost no more");
}

/* A changes its keys as planned: C, which hears of it through B, follows without anybody's doing. */
static void
rotation(struct sim_world *world)
{
    sim_add_nodes(world, 3);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    sim_start(world);
    write_some(&world->nodes[0], 5, 50);
    sim_run_until(world, world->now + SECOND);
    sim_rotate(&world->nodes[0]);
    write_some(&world->nodes[0], 5, 50);
    sever(world, 0, 1); /* while the link is down, too: B knows the old transport key alone */
    sim_rotate(&world->nodes[0]);
    write_some(&world->nodes[0], 5, 50);
    mend(world, 0, 1);
    expect_agreement(world, 5 * SECOND);
    for (uint32_t i = 0; i < world->feed_count; i++) {
        expect(world, durable(&world->nodes[2], world->feeds[i]) == world->feeds[i]->count, "C holds all of A's");
    }
    sim_check_quiet(world);
}

/* A, B and C, and D whose disk a thief owns, in a square: A's word reaches C on two ways. */
static struct sim_node *
square_with_thief(struct sim_world *world)
{
    sim_add_nodes(world, 4);
    for (uint32_t i = 0; i < 4; i++) sim_add_link(world, i, (i + 1) % 4);
    world->faultless = false;
    world->nodes[3].byzantine = true;
    sim_start(world);
    for (uint32_t i = 0; i < 3; i++) write_some(&world->nodes[i], 5, 50);
    sim_run_until(world, world->now + 2 * SECOND);
    return &world->nodes[3];
}

/* The thief has A's node key: it writes on, forks what is old, opens feeds. C hears of it before it hears of the
 * revocation, B after it; nobody shows anything of the thief's in the end (sim_check_end). */
static void
stolen_key(struct sim_world *world)
{
    struct sim_node *thief = square_with_thief(world);
    sever(world, 0, 1);
    sever(world, 0, 3);
    sim_thief_act(thief, 0, SIM_DEED_EXTEND);
    sim_thief_act(thief, 0, SIM_DEED_OPEN);
    sim_run_until(world, world->now + 3 * SECOND);
    sim_recover(&world->nodes[0]);
    sim_thief_act(thief, 0, SIM_DEED_FORK); /* it goes on, and dates back */
    sim_thief_act(thief, 0, SIM_DEED_OPEN);
    mend(world, 0, 1);
    write_some(&world->nodes[0], 5, 50);
    mend(world, 0, 3);
    expect_agreement(world, 30 * SECOND);
    expect(world, durable(&world->nodes[2], world->feeds[0]) >= 5, "what was good is still there");
}

/* The thief has A's roots and states keys of its own; the next roots answer, and take over from it. */
static void
stolen_roots(struct sim_world *world)
{
    struct sim_node *thief = square_with_thief(world);
    sever(world, 0, 1);
    sever(world, 0, 3);
    sim_thief_act(thief, 0, SIM_DEED_ROOTS);
    sim_thief_act(thief, 0, SIM_DEED_OPEN);
    sim_run_until(world, world->now + 3 * SECOND);
    expect(world, world->nodes[2].manifest_counts[0] == 2, "C believes the thief, as it must");
    sim_recover(&world->nodes[0]);
    mend(world, 0, 1);
    mend(world, 0, 3);
    write_some(&world->nodes[0], 5, 50);
    expect_agreement(world, 30 * SECOND);
}

/* Two histories of A's feed, and no word of its roots: all come to the same proof, and stop there. */
static void
forked(struct sim_world *world)
{
    struct sim_node *thief = square_with_thief(world);
    sim_thief_act(thief, 0, SIM_DEED_FORK);
    sim_run_until(world, world->now + 5 * SECOND);
    uint64_t found = 0;
    for (uint32_t i = 0; i < 3; i++) found += world->nodes[i].forks_found;
    expect(world, found > 0, "it is found");
    write_some(&world->nodes[0], 5, 50); /* in a new feed */
    write_some(&world->nodes[1], 5, 50); /* others' go on */
    expect_agreement(world, 30 * SECOND);
}

/* A, B and C have no links: what A holds comes to B and on to C by files, in any order, again and again. */
static void
bundle(struct sim_world *world)
{
    sim_add_nodes(world, 3);
    struct sim_node *a = &world->nodes[0], *b = &world->nodes[1], *c = &world->nodes[2];
    sim_start(world);
    write_some(a, 10, 50);
    write_some(b, 3, 50);
    sim_run_until(world, world->now + SECOND);
    struct ilea_imported got = sim_carry(a, b, 5); /* its beginning is missing */
    expect(world, got.taken == 0 && got.waiting > 0 && got.refused == 0, "a gap waits");
    got = sim_carry(a, b, 1);
    expect(world, got.taken == a->storage.logs[0].durable && got.waiting == 0, "all is taken");
    sim_run_until(world, world->now + SECOND);
    expect(world, durable(b, world->feeds[0]) == durable(a, world->feeds[0]), "and durable");
    got = sim_carry(a, b, 1);
    expect(world, got.taken == 0 && got.known == durable(a, world->feeds[0]), "all is known");
    c->ends[1].relays = false;
    got = sim_carry(b, c, 1);
    expect(world, got.refused == 1 && got.waiting + 1 == durable(a, world->feeds[0]), "B may not bring what A wrote");
    expect(world, got.taken == durable(b, world->feeds[1]), "but its own");
    c->ends[1].relays = true;
    write_some(a, 5, 50);
    sim_run_until(world, world->now + SECOND);
    (void)sim_carry(a, b, 4);
    sim_run_until(world, world->now + SECOND);
    got = sim_carry(b, c, 1);
    expect(world, got.refused == 0 && got.waiting == 0, "now it may");
    got = sim_carry(c, a, 1);
    expect(world, got.taken == durable(b, world->feeds[1]), "C brings what B wrote");
    sim_run_until(world, world->now + SECOND);
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t k = 0; k < 3; k++) {
            expect(world, durable(&world->nodes[k], world->feeds[i]) == world->feeds[i]->count, "all hold all");
        }
    }
}

/* Bundles beside links: they are read while the same comes over the link, before and behind it. */
static void
bundle_beside_link(struct sim_world *world)
{
    sim_add_nodes(world, 3);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    sim_start(world);
    sever(world, 1, 2);
    for (uint32_t round = 0; round < 30; round++) {
        write_some(&world->nodes[0], 1, 7);
        write_some(&world->nodes[2], 1, 5);
        (void)sim_carry(&world->nodes[0], &world->nodes[1], 1);
        if (round % 3 == 0) (void)sim_carry(&world->nodes[2], &world->nodes[0], round / 2 + 1);
        if (round == 20) mend(world, 1, 2);
        if (round % 7 == 0) sim_network_reset(world, 0);
    }
    expect_agreement(world, 5 * SECOND);
    sim_check_quiet(world);
}

/* Two histories of A's feed, held at B and C, who have no link: a file shows it, and the next one carries the proof. */
static void
bundle_forked(struct sim_world *world)
{
    struct sim_node *thief = square_with_thief(world);
    sever(world, 0, 1);
    sever(world, 1, 2);
    sever(world, 0, 3);
    sim_thief_act(thief, 0, SIM_DEED_FORK);
    write_some(&world->nodes[0], 3, 50);
    sim_run_until(world, world->now + 3 * SECOND);
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t k = 0; k < 3; k++) {
            if (i != k) (void)sim_carry(&world->nodes[i], &world->nodes[k], 1);
            sim_run_until(world, world->now + SECOND);
        }
    }
    sim_recover(&world->nodes[0]);
    sim_run_until(world, world->now + SECOND);
    for (uint32_t k = 1; k < 3; k++) (void)sim_carry(&world->nodes[0], &world->nodes[k], 1);
    mend(world, 0, 1);
    mend(world, 1, 2);
    mend(world, 0, 3);
    expect_agreement(world, 30 * SECOND);
}

/* What C has of A's becomes known to A through B, and not before it is there. */
static void
receipts(struct sim_world *world)
{
    sim_add_nodes(world, 3);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    sim_start(world);
    write_some(&world->nodes[0], 10, 100);
    expect_agreement(world, 10 * SECOND);
    sim_run_until(world, world->now + 4 * SECOND);
    sim_check_receipts(world);
    const struct sim_receipt *known = &world->nodes[0].side.receipts[0][2];
    uint64_t before = known->held;
    expect(world, before > 0, "it is known");
    sever(world, 1, 2);
    write_some(&world->nodes[0], 10, 100);
    sim_run_until(world, world->now + 20 * SECOND);
    expect(world, known->held == before, "nothing is claimed for who is away");
    expect(world, world->nodes[0].side.receipts[0][1].held > before, "the other one goes on");
    mend(world, 1, 2);
    expect_agreement(world, 30 * SECOND);
    sim_run_until(world, world->now + 4 * SECOND);
    expect(world, known->held > before, "the rest is known, too");
    sim_check_receipts(world);
}

/* A commit is damaged on `node`'s disk: it asks until somebody gives it. */
static void
rot(struct sim_node *node, const struct sim_commit *commit)
{
    struct ilea_event event = { .type = ILEA_EVENT_WANT };
    node->rotten = commit;
    event.want.agency = node->world->nodes[commit->feed->author].agency;
    event.want.feed = commit->feed->id;
    event.want.seq = commit->seq;
    event.want.is_closed = commit->feed->origin.scope == ILEA_SCOPE_AUDIENCE;
    event.want.audience = commit->feed->origin.audience;
    sim_step(node, event);
    sim_run_until(node->world, node->world->now + 3 * SECOND);
}

/* What rots on a disk comes again from whoever holds it, the author or not, and to the author too. */
static void
bit_rot(struct sim_world *world)
{
    sim_add_nodes(world, 3);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    sim_start(world);
    write_some(&world->nodes[0], 10, 100);
    write_some(&world->nodes[2], 3, 100);
    expect_agreement(world, 2 * SECOND);
    struct sim_feed *feed = world->feeds[0];
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t sessions = world->nodes[i].sessions;
        rot(&world->nodes[i], feed->commits[i]);
        expect(world, world->nodes[i].rotten == NULL, "it is repaired");
        expect(world, world->nodes[i].sessions == sessions, "and nobody is blamed");
    }
    /* Who has nobody to ask goes on asking, and does no harm. */
    sever(world, 1, 2);
    rot(&world->nodes[2], feed->commits[5]);
    expect(world, world->nodes[2].rotten != NULL, "nobody has it");
    mend(world, 1, 2);
    sim_run_until(world, world->now + 20 * SECOND);
    expect(world, world->nodes[2].rotten == NULL, "it came with the link");
    sim_check_quiet(world);
}

/* B keeps A's feed from C, and then a part of it: C knows by A's word how much it lacks, until D brings it. */
static void
withheld(struct sim_world *world)
{
    sim_add_nodes(world, 4);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    sim_add_link(world, 0, 3);
    sim_add_link(world, 3, 2);
    world->faultless = false;
    world->nodes[1].byzantine = true;
    world->nodes[1].liars[2].habits = SIM_HIDES;
    sim_start(world);
    sever(world, 3, 2);
    for (int round = 0; round < 2; round++) {
        write_some(&world->nodes[0], 10, 100);
        sim_run_until(world, world->now + 40 * SECOND);
        expect(world, sim_behind(&world->nodes[2], 0) >= 10, "C knows what it lacks");
        expect(world, sim_behind(&world->nodes[3], 0) == 0, "D lacks nothing");
        mend(world, 3, 2);
        sim_run_until(world, world->now + 15 * SECOND);
        expect(world, sim_behind(&world->nodes[2], 0) == 0, "another holder brings it");
        sever(world, 3, 2);
    }
    mend(world, 3, 2);
    expect_agreement(world, 10 * SECOND);
}

/* B leaves items out of A's commits: C takes none of them, names B, and gets them whole from D. */
static void
blanked(struct sim_world *world)
{
    sim_add_nodes(world, 4);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    sim_add_link(world, 0, 3);
    sim_add_link(world, 3, 2);
    world->faultless = false;
    world->nodes[1].byzantine = true;
    world->nodes[1].liars[2].habits = SIM_BLANKS;
    sim_start(world);
    sever(world, 3, 2);
    write_some(&world->nodes[0], 10, 100);
    sim_run_until(world, world->now + 5 * SECOND);
    const struct sim_node *c = &world->nodes[2];
    expect(world, durable(c, world->feeds[0]) < durable(&world->nodes[3], world->feeds[0]), "C takes nothing in part");
    expect(world, ilea_replicator_withholds(c->replicator, 1, &world->nodes[0].agency), "and knows who leaves it out");
    expect(world, !ilea_replicator_withholds(c->replicator, 1, &world->nodes[3].agency), "and of whom");
    mend(world, 3, 2);
    expect_agreement(world, 10 * SECOND);
    expect(world, !ilea_replicator_withholds(c->replicator, 3, &world->nodes[0].agency), "D leaves out nothing");
}

/* C's receipt for A stops at B while A does not follow C, and B's go on. It comes when A does follow, though C says
 * nothing new. */
static void
receipts_late(struct sim_world *world)
{
    sim_add_nodes(world, 3);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    world->nodes[0].follows[2] = false;
    sim_start(world);
    write_some(&world->nodes[0], 10, 100);
    expect_agreement(world, 10 * SECOND);
    sim_run_until(world, world->now + 6 * SECOND);
    const struct sim_receipt *from_b = &world->nodes[0].side.receipts[0][1];
    const struct sim_receipt *from_c = &world->nodes[0].side.receipts[0][2];
    uint64_t before = from_b->held;
    expect(world, before > 0 && from_c->counter == 0, "A knows what B holds, and takes nothing of C's");
    sever(world, 1, 2);
    write_some(&world->nodes[0], 1, 100);
    sim_run_until(world, world->now + 4 * SECOND);
    expect(world, from_b->held > before, "what came to B after it was given");
    sim_follow(&world->nodes[0], 2, true);
    sim_run_until(world, world->now + 6 * SECOND);
    expect(world, from_c->held == before, "A knows what C holds");
    mend(world, 1, 2);
    expect_agreement(world, 30 * SECOND);
    sim_run_until(world, world->now + 4 * SECOND);
    sim_check_receipts(world);
}

/* Beside the feeds no more goes than is allowed; who keeps to that is not blamed, and commits go on meanwhile. */
static void
side_allowance(struct sim_world *world)
{
    enum { TIMES = 200, EVERY_MS = 100 };
    sim_add_nodes(world, 2);
    sim_add_link(world, 0, 1);
    sim_start(world);
    write_some(&world->nodes[0], 5, 50);
    expect_agreement(world, 10 * SECOND);
    const struct sim_channel *channel = sim_network_channel(world, 0, 1);
    uint64_t sessions = world->nodes[1].sessions, bytes = channel->bytes;
    for (int i = 0; i < TIMES; i++) {
        sim_side_crowd(&world->nodes[0], 1, false);
        write_some(&world->nodes[0], 1, EVERY_MS);
    }
    bytes = channel->bytes - bytes;
    expect(world, bytes > ILEA_SIDE_BURST / 2 + (uint64_t)TIMES * EVERY_MS * ILEA_SIDE_RATE / 2, "much goes over");
    expect(world, bytes < ILEA_SIDE_BURST + (uint64_t)TIMES * (EVERY_MS * ILEA_SIDE_RATE + 2048), "and no more");
    expect(world, world->nodes[1].sessions == sessions, "the session goes on");
    expect_agreement(world, 5 * SECOND);
}

/* What was asked for goes beside the allowance, in both directions at once, and uses up nothing of it. */
static void
side_asked(struct sim_world *world)
{
    enum { ROUNDS = 10, FRAMES = 32, FRAME_MIN = 120 * 1024 };
    sim_add_nodes(world, 2);
    sim_add_link(world, 0, 1);
    sim_start(world);
    write_some(&world->nodes[0], 5, 50);
    expect_agreement(world, 10 * SECOND);
    const struct sim_channel *channel = sim_network_channel(world, 0, 1);
    uint64_t sessions = world->nodes[1].sessions, bytes = channel->bytes;
    for (int i = 0; i < ROUNDS; i++) {
        sim_side_ask(&world->nodes[1], 0, ILEA_SIDE_CREDIT_MAX);
        sim_run_until(world, world->now + SECOND);
        for (int k = 0; k < FRAMES; k++) {
            sim_side_crowd(&world->nodes[0], 1, true);
            if (k % 8 == 0) sim_side_crowd(&world->nodes[0], 1, false); /* and what nobody asked for */
        }
        write_some(&world->nodes[0], 3, 100);
    }
    bytes = channel->bytes - bytes;
    expect(world, bytes > (uint64_t)ROUNDS * FRAMES * FRAME_MIN, "all of it goes over");
    expect(world, world->nodes[1].sessions == sessions, "the session goes on");
    expect_agreement(world, 5 * SECOND);
}

/* C, an owner, has lost all, and its own statement comes back before B's, which it names. What A wrote by the light of
 * both waits for both. */
static void
own_comes_first(struct sim_world *world)
{
    sim_add_nodes(world, 4);
    for (uint32_t i = 1; i < 4; i++) sim_add_link(world, i, 0);
    sim_start(world);
    struct sim_node *a = &world->nodes[0], *b = &world->nodes[1], *c = &world->nodes[2];
    uint32_t audience = sim_audience_new(c, (const uint32_t[]){ 0, 1, 3 }, 3);
    sim_run_until(world, world->now + SECOND);
    expect(world, sim_audience_write(a, audience), "A writes"); /* so its feed goes over a link before B's */
    sim_run_until(world, world->now + SECOND);
    sim_audience_suspend(b, audience, 3);
    sim_run_until(world, world->now + SECOND);
    sim_audience_change(c, audience, ILEA_MEMBER_REMOVE, 3);
    sim_run_until(world, world->now + SECOND);
    expect(world, sim_audience_write(a, audience), "A writes again");
    expect_agreement(world, 2 * SECOND);
    uint32_t held = sim_audience_held(c, audience);
    sim_node_stop(c);
    for (uint32_t i = 0; i < world->feed_count; i++) sim_storage_cut(c, world->feeds[i], 0);
    sim_audience_abandon(c);
    sim_node_start(c);
    sim_run_until(world, world->now + 20 * SECOND);
    expect(world, sim_audience_held(c, audience) == held, "C has all of it back");
    expect_agreement(world, SECOND);
}

/* C is told of a closed feed of A that it never saw: it asks whoever may know of it, and B, who is between them and no
 * member, hears nothing (sim_check_sent). When A itself is there C gets it. */
static void
asked_of_members(struct sim_world *world)
{
    sim_add_nodes(world, 4);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    sim_add_link(world, 2, 3);
    sim_add_link(world, 0, 2);
    sim_start(world);
    sever(world, 0, 2);
    struct sim_node *a = &world->nodes[0], *c = &world->nodes[2];
    uint32_t audience = sim_audience_new(a, (const uint32_t[]){ 2, 3 }, 2);
    expect(world, sim_audience_write(a, audience), "A writes");
    sim_run_until(world, world->now + 3 * SECOND);
    expect(world, sim_audience_held(c, audience) == 0, "B passes nothing on");
    for (uint32_t i = 0; i < world->feed_count; i++) {
        const struct sim_feed *feed = world->feeds[i];
        if (feed->origin.scope != ILEA_SCOPE_AUDIENCE) continue;
        struct ilea_event event = { .type = ILEA_EVENT_WANT };
        event.want.agency = a->agency;
        event.want.feed = feed->id;
        event.want.seq = feed->count;
        event.want.is_closed = true;
        event.want.audience = feed->origin.audience;
        sim_step(c, event);
    }
    sim_run_until(world, world->now + 3 * SECOND);
    mend(world, 0, 2);
    sim_run_until(world, world->now + 30 * SECOND);
    expect(world, sim_audience_held(c, audience) >= 2, "A gives it");
    expect_agreement(world, 5 * SECOND);
}

/* B leaves out what A has erased, before it can say why. D does not know of it yet, and brings C the commit whole. When
 * B's reason comes, C takes the item away, and B kept nothing back. */
static void
erased_late(struct sim_world *world)
{
    sim_add_nodes(world, 4);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 0, 3);
    sim_add_link(world, 1, 2);
    sim_add_link(world, 3, 2);
    sim_start(world);
    struct sim_node *a = &world->nodes[0], *b = &world->nodes[1], *c = &world->nodes[2];
    sever(world, 1, 2);
    sever(world, 3, 2);
    write_some(a, 5, 100);
    expect_agreement(world, 2 * SECOND);
    sever(world, 0, 3);
    b->storage.latency_min = b->storage.latency_max = 8 * SECOND;
    while (world->dot_count == 0) sim_erase_act(a);
    sim_run_until(world, world->now + SECOND);
    mend(world, 1, 2);
    sim_run_until(world, world->now + 2 * SECOND);
    const struct sim_commit *commit = world->dots[0].commit;
    expect(world, ilea_replicator_withholds(c->replicator, 1, &a->agency), "C knows who leaves something out");
    expect(world, !sim_is_held(c, commit), "and takes nothing in part");
    mend(world, 3, 2);
    sim_run_until(world, world->now + 2 * SECOND);
    expect(world, sim_is_held(c, commit) && !sim_set_has(&c->erased, 0), "D brings it whole");
    sim_run_until(world, world->now + 8 * SECOND);
    expect(world, sim_set_has(&c->erased, 0), "the reason comes");
    expect(world, !ilea_replicator_withholds(c->replicator, 1, &a->agency), "B kept nothing back");
    mend(world, 0, 3);
    expect_agreement(world, 10 * SECOND);
}

/* A forgot the end of its feed and named what it had left of it: C, which holds as much, archives the feed, though B
 * holds more, and asks for the rest when B has said why an item of the next commit is gone. */
static void
archived_short(struct sim_world *world)
{
    sim_add_nodes(world, 3);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    sim_start(world);
    struct sim_node *a = &world->nodes[0], *b = &world->nodes[1], *c = &world->nodes[2];
    write_some(a, 2, 100);
    expect_agreement(world, 2 * SECOND);
    const struct sim_feed *feed = world->feeds[0];
    uint32_t left = durable(c, feed);
    sever(world, 1, 2);
    write_some(a, 3, 100);
    expect_agreement(world, 2 * SECOND);
    sever(world, 0, 1);
    sim_node_stop(a);
    sim_storage_cut(a, feed, left);
    sim_writer_abandon(a);
    sim_node_start(a);
    write_some(a, 1, 100);
    mend(world, 0, 1);
    expect_agreement(world, 10 * SECOND);
    expect(world, durable(a, feed) == left + 3, "A has its commits back");
    b->storage.latency_min = b->storage.latency_max = 8 * SECOND;
    while (!feed->commits[left]->has_erased) sim_erase_act(a);
    sim_run_until(world, world->now + SECOND);
    mend(world, 1, 2);
    sim_run_until(world, world->now + 4 * SECOND);
    expect(world, c->storage.logs[feed->index].archived && durable(c, feed) == left, "C has archived the feed");
    expect(world, ilea_replicator_withholds(c->replicator, 1, &a->agency), "and waits");
    expect_agreement(world, 30 * SECOND);
}

struct story {
    const char *name;
    void (*tell)(struct sim_world *world);
};

static const struct story stories[] = {
    { "chain", chain },
    { "mesh", mesh },
    { "reconnect", reconnect },
    { "late-link", late_link },
    { "lost-frame", lost_frame },
    { "lost-last-frame", lost_last_frame },
    { "midway", midway },
    { "both-full", both_full },
    { "many-feeds", many_feeds },
    { "restored", restored },
    { "source-dies", source_dies },
    { "hello-lost", hello_lost },
    { "impostor", impostor },
    { "over-credit", over_credit },
    { "thousand-boots", thousand_boots },
    { "rotation", rotation },
    { "stolen-key", stolen_key },
    { "stolen-roots", stolen_roots },
    { "forked", forked },
    { "bundle", bundle },
    { "bundle-beside-link", bundle_beside_link },
    { "bundle-forked", bundle_forked },
    { "receipts", receipts },
    { "receipts-late", receipts_late },
    { "bit-rot", bit_rot },
    { "withheld", withheld },
    { "blanked", blanked },
    { "side-allowance", side_allowance },
    { "side-asked", side_asked },
    { "own-comes-first", own_comes_first },
    { "asked-of-members", asked_of_members },
    { "erased-late", erased_late },
    { "archived-short", archived_short },
};

bool
sim_stories_run(const char *name, bool verbose)
{
    bool found = false;
    for (size_t i = 0; i < sizeof stories / sizeof stories[0]; i++) {
        if (name != NULL && strcmp(name, stories[i].name) != 0) continue;
        found = true;
        struct sim_world *world = sim_world_new(1, verbose);
        world->faultless = true;
        stories[i].tell(world);
        sim_check_end(world);
        sim_world_free(world);
        printf("story %s: ok\n", stories[i].name);
    }
    return found;
}
