/*
 * bundle.h - what one node holds, brought to another as by a file: IMPORT events and no link.
 */
#ifndef ILEA_SIM_BUNDLE_H
#define ILEA_SIM_BUNDLE_H

#include "tests/sim/sim.h"

/* All that a link from one to the other would carry, `first` the lowest seq of each feed; what became of it. Both
 * nodes are up. */
struct ilea_imported sim_carry(struct sim_node *from, struct sim_node *to, uint32_t first);

#endif
