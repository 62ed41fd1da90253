/*
 * checks.h - what must hold: after every effect, and when all has come to rest.
 */
#ifndef ILEA_SIM_CHECKS_H
#define ILEA_SIM_CHECKS_H

#include "tests/sim/sim.h"

/* A frame that an honest node's replicator sends, or is given. */
void sim_check_sent(struct sim_node *node, uint32_t link, struct ilea_span frame);
void sim_check_received(struct sim_node *node, uint32_t link, struct ilea_span frame);
/* A commit of the frame received last from a link is stored: within what was granted. */
void sim_check_stored(const struct sim_node *node, uint32_t link, size_t size);
/* True if all honest nodes hold the same of every feed they can reach. With `say`: what differs. */
bool sim_has_converged(const struct sim_world *world, bool say);
/* What concerns an agency goes over the link between two nodes, both honest. */
bool sim_is_carried(const struct sim_world *world, uint32_t author, uint32_t a, uint32_t b);
/* Can what `author` writes come from one to the other, over honest nodes that follow it? */
bool sim_can_reach(const struct sim_world *world, uint32_t author, uint32_t from, uint32_t to);
/* After convergence: heads, nothing lost, equal views, no feed silently forked. */
void sim_check_end(struct sim_world *world);
/* After convergence and a rest: for a minute only keep-alives flow. Takes that minute. */
void sim_check_quiet(struct sim_world *world);
/* In a full mesh without faults each commit comes about once. */
void sim_check_repeats(const struct sim_world *world, uint32_t permille_max);

#endif
