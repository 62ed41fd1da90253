/*
 * scenario.h - what a seed means: how many nodes, which links, who follows whom, which faults and
 * how hard. Each seed draws a few kinds of fault, not all: faults hide one another.
 */
#ifndef ILEA_SIM_SCENARIO_H
#define ILEA_SIM_SCENARIO_H

#include "tests/sim/sim.h"

struct sim_result {
    uint64_t trace, events;
};

/* What a run is about: what all agencies share, or closed audiences beside it. */
enum sim_theme { SIM_THEME_OPEN, SIM_THEME_AUDIENCES };

/* `nodes` 0: drawn. */
struct sim_result sim_scenario_run(enum sim_theme theme, uint64_t seed, uint32_t nodes, bool verbose);
/* Until all agree, `ms_max` at most. */
void sim_scenario_settle(struct sim_world *world, uint64_t ms_max);

void sim_fault_crash(struct sim_world *world, const struct sim_event *event);
void sim_fault_restore(struct sim_world *world, const struct sim_event *event);

#endif
