/*
 * network.h - links of two directed channels. A frame may be lost, repeated, late, out of order,
 * or, where a queue survives reconnecting, of an earlier connection. A reset loses what is under
 * way; the dialling end then connects again, unless the link is cut or an end is down.
 */
#ifndef ILEA_SIM_NETWORK_H
#define ILEA_SIM_NETWORK_H

#include "tests/sim/sim.h"

void sim_network_send(struct sim_node *from, uint32_t to, const uint8_t *bytes, size_t size);
void sim_network_reset(struct sim_world *world, uint32_t link);
void sim_network_connect(struct sim_world *world, uint32_t link);
/* No more faults; links that are down connect. */
void sim_network_calm(struct sim_world *world);
/* The channel from one node to another. */
struct sim_channel *sim_network_channel(struct sim_world *world, uint32_t from, uint32_t to);

#endif
