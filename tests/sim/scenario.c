#include "tests/sim/scenario.h"

#include <stdio.h>
#include <string.h>

#include "crypto/assert.h"
#include "tests/sim/audience.h"
#include "tests/sim/byzantine.h"
#include "tests/sim/checks.h"
#include "tests/sim/network.h"
#include "tests/sim/storage.h"
#include "tests/sim/thief.h"
#include "tests/sim/writer.h"

enum {
    FAULT_LOSS = 1,
    FAULT_REPEAT = 2,
    FAULT_REORDER = 4,
    FAULT_DELAY = 8,
    FAULT_CUT = 16,
    FAULT_CRASH = 32,
    FAULT_RESTORE = 64,
    FAULT_SLOW_SYNC = 128,
    FAULT_STALE = 256,
    FAULT_RESET = 512,
    FAULT_FOLLOW = 1024,
    FAULT_REVOKE = 2048,
    FAULT_ROTATE = 4096, /* no fault: keys change as planned */
    FAULT_ROB = 8192,
    FAULT_COPY = 16384,  /* a restored node goes on with a feed whose end it forgot */
    FAULT_NO_RELAY = 32768,
    FAULTS_ALL = 65535,
    FAULTS_HONEST = FAULT_LOSS | FAULT_REPEAT | FAULT_REORDER | FAULT_DELAY | FAULT_CUT | FAULT_CRASH | FAULT_RESTORE
                    | FAULT_SLOW_SYNC | FAULT_STALE | FAULT_RESET,

    SETTLE_MS_MAX = 120000
};

enum topology { MESH, CHAIN, STAR, RANDOM, TOPOLOGIES };

struct plan {
    uint32_t nodes, faults;
    enum topology topology;
    uint64_t fault_ms;
    uint32_t liars;
    enum sim_theme theme;
    uint32_t late; /* the node that starts when much has been written already; SIM_NONE: none */
};

static void
add_some_link(struct sim_world *world, uint32_t a, uint32_t b)
{
    if (a == b || world->link_between[a][b] != SIM_NONE) return;
    if (sim_chance(&world->random, 500)) {
        sim_add_link(world, a, b);
    } else {
        sim_add_link(world, b, a);
    }
}

static void
add_links(struct sim_world *world, enum topology topology)
{
    uint32_t count = world->node_count;
    for (uint32_t i = 1; i < count; i++) {
        switch (topology) {
        case MESH:
            for (uint32_t j = 0; j < i; j++) add_some_link(world, i, j);
            break;
        case CHAIN: add_some_link(world, i, i - 1); break;
        case STAR: add_some_link(world, i, 0); break;
        case RANDOM:
        case TOPOLOGIES: add_some_link(world, i, (uint32_t)sim_below(&world->random, i)); break;
        }
    }
    for (uint32_t i = 0; topology == RANDOM && i < count; i++) {
        add_some_link(world, (uint32_t)sim_below(&world->random, count),
                      (uint32_t)sim_below(&world->random, count));
    }
    for (uint32_t i = 0; i < world->link_count; i++) {
        world->links[i].listener_told = sim_chance(&world->random, 500);
    }
}

static void
set_channel(struct sim_random *random, struct sim_channel *channel, uint32_t faults)
{
    static const uint32_t losses[] = { 2, 10, 50, 150, 300 };
    static const uint64_t delays[] = { 50, 200, 1000, 4000 };
    channel->delay_min = 1;
    channel->delay_max = sim_between(random, 1, 40);
    if ((faults & FAULT_LOSS) != 0) channel->loss = losses[sim_below(random, 5)];
    if ((faults & FAULT_REPEAT) != 0) channel->repeat = losses[sim_below(random, 5)];
    if ((faults & FAULT_REORDER) != 0) channel->reorder = losses[sim_below(random, 3)];
    if ((faults & FAULT_DELAY) != 0) channel->delay_max = delays[sim_below(random, 4)];
    if ((faults & FAULT_STALE) != 0) channel->stale = 500;
}

static void
plan_node(struct sim_world *world, struct sim_node *node, const struct plan *plan)
{
    struct sim_random *random = &world->random;
    static const uint32_t sizes[] = { 20, 60, 60, 300, 4000, 60000 };
    static const uint32_t items[] = { 1, 4, 4, 30 };
    node->writer.value_size = sizes[sim_below(random, sizeof sizes / sizeof sizes[0])];
    node->writer.items_max = items[sim_below(random, sizeof items / sizeof items[0])];
    if (node->writer.value_size > 1000) node->writer.items_max = 2;
    node->storage.blocks = sim_chance(random, 300);
    if ((plan->faults & FAULT_SLOW_SYNC) != 0 && sim_chance(random, 500)) {
        node->storage.latency_max = sim_chance(random, 300) ? 5000 : 300;
    }
    uint64_t writes = sim_between(random, 1, sim_chance(random, 100) ? 60 : 12);
    for (uint64_t i = 0; i < writes; i++) {
        sim_push(world, sim_below(random, plan->fault_ms + 4000),
                 (struct sim_event){ .kind = SIM_WRITE, .node = node->index });
    }
    if ((plan->faults & FAULT_CRASH) != 0 && sim_chance(random, 600)) {
        for (uint64_t i = sim_between(random, 1, 4); i > 0; i--) {
            sim_push(world, sim_below(random, plan->fault_ms),
                     (struct sim_event){ .kind = SIM_CRASH, .node = node->index });
        }
    }
    if ((plan->faults & FAULT_FOLLOW) != 0 && sim_chance(random, 500)) {
        uint32_t other = (uint32_t)sim_below(random, world->node_count);
        if (other == node->index || !node->follows[other]) return;
        uint64_t off = sim_below(random, plan->fault_ms);
        struct sim_event event = { .kind = SIM_FOLLOW, .node = node->index, .way = other };
        sim_push(world, off, event);
        event.run = 1;
        sim_push(world, off + sim_below(random, plan->fault_ms - off), event);
    }
}

static void
plan_link(struct sim_world *world, uint32_t at, const struct plan *plan)
{
    struct sim_random *random = &world->random;
    struct sim_link *link = &world->links[at];
    for (uint32_t way = 0; way < 2; way++) {
        set_channel(random, &link->ways[way], plan->faults);
        if ((plan->faults & FAULT_CUT) == 0 || !sim_chance(random, 300)) continue;
        uint64_t from = sim_below(random, plan->fault_ms);
        sim_push(world, from, (struct sim_event){ .kind = SIM_CUT, .link = at, .way = way });
        sim_push(world, from + sim_below(random, 40000),
                 (struct sim_event){ .kind = SIM_HEAL, .link = at, .way = way });
    }
    if ((plan->faults & FAULT_NO_RELAY) != 0 && sim_chance(random, 300)) {
        uint32_t end = (uint32_t)sim_below(random, 2);
        world->nodes[link->nodes[end]].ends[link->nodes[1 - end]].relays = false;
    }
    if ((plan->faults & FAULT_REVOKE) != 0 && sim_chance(random, 300)) {
        uint64_t end = sim_below(random, 2), off = sim_below(random, plan->fault_ms);
        struct sim_event event = { .kind = SIM_APPROVE, .node = link->nodes[end],
                                   .way = link->nodes[1 - end] };
        sim_push(world, off, event);
        event.run = 1;
        sim_push(world, off + sim_below(random, plan->fault_ms - off), event);
    }
    if ((plan->faults & FAULT_RESET) != 0) {
        for (uint64_t i = sim_below(random, 8); i > 0; i--) {
            sim_push(world, sim_below(random, plan->fault_ms),
                     (struct sim_event){ .kind = SIM_RESET, .link = at });
        }
    }
}

/* A node whose keys are stolen, one that the thief owns, and the day when the roots answer. */
static void
plan_theft(struct sim_world *world, const struct plan *plan)
{
    struct sim_random *random = &world->random;
    uint32_t victim = (uint32_t)sim_below(random, plan->nodes), thief = (uint32_t)sim_below(random, plan->nodes);
    if (victim == thief || plan->nodes < 3 || world->nodes[victim].byzantine) return;
    world->nodes[thief].byzantine = true;
    world->nodes[thief].follows[victim] = true;
    world->nodes[thief].stubborn = sim_chance(random, 500);
    uint64_t last = 0;
    bool has_roots = sim_chance(random, 400);
    for (uint64_t i = sim_between(random, 1, 6); i > 0; i--) {
        uint64_t at = sim_between(random, plan->fault_ms / 4, plan->fault_ms - 100);
        uint64_t deed = sim_below(random, has_roots ? SIM_DEEDS : SIM_DEED_ROOTS);
        sim_push(world, at, (struct sim_event){ .kind = SIM_ROB, .node = thief, .way = victim, .run = deed });
        if (at > last) last = at;
    }
    /* Sometimes the thief goes on after that. */
    uint64_t answer = sim_chance(random, 700) ? last + 1 : sim_between(random, plan->fault_ms / 2, plan->fault_ms - 1);
    sim_push(world, answer, (struct sim_event){ .kind = SIM_RECOVER, .node = victim });
    sim_push(world, plan->fault_ms + 100, (struct sim_event){ .kind = SIM_RECOVER, .node = victim });
}

/* All write into audiences, change them, leave them, and erase. */
static void
plan_audiences(struct sim_world *world, struct plan *plan)
{
    struct sim_random *random = &world->random;
    uint64_t acts = sim_between(random, 10, SIM_CONTROLS_MAX);
    for (uint64_t i = 0; i < acts; i++) {
        uint32_t node = (uint32_t)sim_below(random, plan->nodes);
        sim_push(world, sim_below(random, plan->fault_ms + 4000),
                 (struct sim_event){ .kind = SIM_AUDIENCE, .node = node });
    }
    if (world->faultless || !sim_chance(random, 300)) return;
    plan->late = (uint32_t)sim_below(random, plan->nodes);
    sim_push(world, sim_between(random, plan->fault_ms / 4, plan->fault_ms),
             (struct sim_event){ .kind = SIM_RESTART, .node = plan->late });
}

static void
plan_world(struct sim_world *world, struct plan *plan, uint32_t nodes)
{
    struct sim_random *random = &world->random;
    bool closed = plan->theme == SIM_THEME_AUDIENCES;
    plan->nodes = nodes != 0 ? nodes : (uint32_t)sim_between(random, 2, closed ? SIM_NODES_MAX : SIM_FEW_NODES);
    plan->topology = (enum topology)sim_below(random, TOPOLOGIES);
    plan->fault_ms = sim_between(random, 5000, 60000);
    plan->faults = (uint32_t)(sim_next(random) & sim_next(random)) & (closed ? FAULTS_HONEST : FAULTS_ALL);
    plan->liars = 0;
    world->faultless = sim_chance(random, 100);
    if (world->faultless) {
        plan->faults = 0;
        plan->topology = MESH;
    } else if (!closed && plan->nodes >= 3 && sim_chance(random, 400)) {
        plan->liars = (uint32_t)sim_between(random, 1, plan->nodes >= 5 ? 2 : 1);
    }
    sim_add_nodes(world, plan->nodes);
    add_links(world, plan->topology);
    for (uint32_t i = 0; i < plan->liars; i++) {
        struct sim_node *node = &world->nodes[sim_below(random, plan->nodes)];
        node->byzantine = true;
        for (uint32_t j = 0; j < SIM_NODES_MAX; j++) {
            node->liars[j].habits = (uint32_t)sim_below(random, SIM_HABITS_ALL) + 1;
        }
    }
    bool picky = !closed && sim_chance(random, 250);
    for (uint32_t i = 0; picky && i < plan->nodes; i++) {
        for (uint32_t j = 0; j < plan->nodes; j++) {
            if (i != j) world->nodes[i].follows[j] = sim_chance(random, 700);
        }
    }
    for (uint32_t i = 0; i < plan->nodes; i++) plan_node(world, &world->nodes[i], plan);
    for (uint32_t i = 0; i < world->link_count; i++) plan_link(world, i, plan);
    if (closed) plan_audiences(world, plan);
    for (uint32_t i = 0; (plan->faults & FAULT_ROTATE) != 0 && i < plan->nodes; i++) {
        if (!sim_chance(random, 400)) continue;
        sim_push(world, sim_below(random, plan->fault_ms + 2000),
                 (struct sim_event){ .kind = SIM_ROTATE, .node = i });
    }
    if ((plan->faults & FAULT_ROB) != 0) plan_theft(world, plan);
    world->copies = (plan->faults & FAULT_COPY) != 0;
    if ((plan->faults & FAULT_RESTORE) != 0) {
        sim_push(world, sim_between(random, plan->fault_ms / 4, plan->fault_ms),
                 (struct sim_event){ .kind = SIM_RESTORE,
                                     .node = (uint32_t)sim_below(random, plan->nodes) });
    }
    sim_push(world, plan->fault_ms, (struct sim_event){ .kind = SIM_CALM });
}

void
sim_fault_crash(struct sim_world *world, const struct sim_event *event)
{
    struct sim_node *node = &world->nodes[event->node];
    if (world->calm || !node->up) return;
    bool boot = sim_chance(&world->random, 500);
    sim_say(world, node, "crashes%s", boot ? " with its machine" : "");
    sim_node_stop(node);
    if (boot) { /* the guard went with the machine's memory */
        sim_writer_abandon(node);
        sim_audience_abandon(node);
    }
    sim_push(world, sim_between(&world->random, 10, 20000),
             (struct sim_event){ .kind = SIM_RESTART, .node = node->index });
}

/* How much of the feed some other honest node holds that `node` can get it back from. */
static uint32_t
held_by_others(const struct sim_world *world, const struct sim_node *node,
               const struct sim_feed *feed)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < world->node_count; i++) {
        const struct sim_node *other = &world->nodes[i];
        if (other == node || !sim_can_reach(world, feed->author, node->index, i)) continue;
        if (other->storage.logs[feed->index].durable > held) {
            held = other->storage.logs[feed->index].durable;
        }
    }
    return held;
}

/* Its disk is that of an earlier day. Only what others hold goes, and must come back; and what it will state again. */
void
sim_fault_restore(struct sim_world *world, const struct sim_event *event)
{
    struct sim_random *random = &world->random;
    struct sim_node *node = &world->nodes[event->node];
    if (world->calm || node->byzantine) return;
    sim_node_stop(node);
    bool unnoticed = sim_chance(random, 500), lost_own = false;
    for (uint32_t i = 0; i < world->feed_count; i++) {
        struct sim_feed *feed = world->feeds[i];
        const struct sim_log *log = &node->storage.logs[i];
        if (log->durable == 0 || feed->origin.scope == ILEA_SCOPE_AUDIENCE || sim_chance(random, 300)) continue;
        bool states_again = feed->origin.scope == ILEA_SCOPE_CONTROL && feed->author == node->index;
        if (!states_again && held_by_others(world, node, feed) < log->durable) continue;
        sim_storage_cut(node, feed, (uint32_t)sim_below(random, log->durable));
        if (states_again) feed->acknowledged = log->durable;
        if (feed == node->writer.feed) lost_own = true;
    }
    sim_audience_restore(node);
    struct sim_feed *feed = node->writer.feed;
    if (feed == NULL || !unnoticed || node->storage.logs[feed->index].durable == 0 || !lost_own) {
        sim_writer_abandon(node);
    } else {
        node->writer.unnoticed = true;
        node->writer.taken = feed;
        if (world->copies && sim_chance(random, 500)) {
            node->robbed = true; /* it writes on, beside what it forgot */
            if (sim_chance(random, 500)) {
                sim_push(world, sim_between(random, 6000, 30000),
                         (struct sim_event){ .kind = SIM_RECOVER, .node = node->index });
            }
        }
    }
    sim_say(world, node, "is restored from an old backup%s",
            node->writer.unnoticed ? ", and does not know" : "");
    sim_push(world, sim_between(random, 10, 5000),
             (struct sim_event){ .kind = SIM_RESTART, .node = node->index });
}

void
sim_scenario_settle(struct sim_world *world, uint64_t ms_max)
{
    uint64_t end = world->now + ms_max;
    while (!sim_has_converged(world, false)) {
        if (world->now >= end) {
            (void)sim_has_converged(world, true);
            sim_fail(world, NULL, "no convergence in %lu s", (unsigned long)(ms_max / 1000));
        }
        sim_run_until(world, world->now + 500);
    }
}

struct sim_result
sim_scenario_run(enum sim_theme theme, uint64_t seed, uint32_t nodes, bool verbose)
{
    struct sim_world *world = sim_world_new(seed, verbose);
    struct plan plan = { .theme = theme, .late = SIM_NONE };
    plan_world(world, &plan, nodes);
    sim_say(world, NULL, "%u nodes, topology %u, faults %x, %u liars, %lu s%s", plan.nodes,
            (unsigned)plan.topology, plan.faults, plan.liars, (unsigned long)plan.fault_ms / 1000,
            world->faultless ? ", faultless" : "");
    sim_start(world);
    if (plan.late != SIM_NONE) sim_node_stop(&world->nodes[plan.late]);
    sim_run_until(world, plan.fault_ms + 4000); /* the last writes come after the faults */
    sim_scenario_settle(world, SETTLE_MS_MAX);
    sim_say(world, NULL, "converged %lu ms after the last write",
            (unsigned long)(world->now - plan.fault_ms - 4000));
    sim_check_end(world);
    /* What comes before what it names, or from whom one is being left out, comes twice. */
    if (world->faultless && theme == SIM_THEME_OPEN) sim_check_repeats(world, 1100);
    if (plan.liars == 0 && (plan.faults & FAULT_ROB) == 0) sim_check_quiet(world);
    struct sim_result result = { world->trace, world->event_count };
    sim_world_free(world);
    return result;
}
