#include "tests/sim/story.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/checks.h"
#include "tests/sim/network.h"
#include "tests/sim/scenario.h"
#include "tests/sim/storage.h"
#include "tests/sim/writer.h"

static void
chain(struct sim_world *world)
{
    sim_add_nodes(world, 3);
    sim_add_link(world, 0, 1);
    sim_add_link(world, 1, 2);
    sim_start(world);
    sim_run_until(world, 1000);
    for (int i = 0; i < 5; i++) {
        sim_write(&world->nodes[0]);
        sim_run_until(world, world->now + 100);
    }
    sim_run_until(world, world->now + 2000);
    if (!sim_has_converged(world, true)) sim_fail(world, NULL, "C did not get it within two seconds");
}

struct story {
    const char *name;
    void (*tell)(struct sim_world *world);
};

static const struct story stories[] = {
    { "chain", chain },
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
