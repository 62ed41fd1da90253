/*
 * view.h - what a reader of a node sees: every change it can decrypt, merged by record. Computed
 * from the node's log, its reading key and the epoch statements alone.
 */
#ifndef ILEA_SIM_VIEW_H
#define ILEA_SIM_VIEW_H

#include "tests/sim/sim.h"

/* Nodes that hold the same of an agency see the same of it, in whatever order they merge. */
void sim_check_views(struct sim_world *world);

#endif
