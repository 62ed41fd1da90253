/*
 * side.h - receipts as a driver exchanges them beside the feeds, with a table of what was made in place of signatures:
 * who holds how many commits of whom.
 */
#ifndef ILEA_SIM_SIDE_H
#define ILEA_SIM_SIDE_H

#include "tests/sim/sim.h"

void sim_side_start(struct sim_node *node);
/* Once a second: what it holds, and what others said, to all neighbours that have not heard of it. */
void sim_side_tick(struct sim_node *node);
void sim_side_came(struct sim_node *node, const struct ilea_effect *effect);
/* As much as fits a frame, and of no use to anybody. */
void sim_side_crowd(struct sim_node *node, uint32_t to, bool asked);
/* Ask a neighbour for so many bytes of it. */
void sim_side_ask(struct sim_node *node, uint32_t to, uint32_t expects);
/* What a liar sends: noise, what nobody signed, or more than is allowed. */
void sim_side_lie(struct sim_world *world, struct ilea_msgpack_writer *writer);
/* So many commits another says that it wrote, and the node does not hold. */
uint64_t sim_behind(const struct sim_node *node, uint32_t other);
/* Every author that can be reached knows what every holder has. */
void sim_check_receipts(const struct sim_world *world);

#endif
