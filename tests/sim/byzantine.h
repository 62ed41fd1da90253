/*
 * byzantine.h - a peer that lies: an honest replicator whose frames are changed on the way out.
 */
#ifndef ILEA_SIM_BYZANTINE_H
#define ILEA_SIM_BYZANTINE_H

#include "tests/sim/sim.h"

enum sim_habit {
    SIM_FLIPS = 1,          /* a bit of a frame */
    SIM_REPLAYS = 2,        /* earlier frames, also of earlier sessions */
    SIM_FORGES = 4,         /* bad signatures, wrong predecessors */
    SIM_FORKS = 8,          /* two histories of its own feed, to different peers */
    SIM_LIES_FRONTIER = 16, /* claims everything, nothing, or feeds that do not exist */
    SIM_BREAKS_CREDIT = 32, /* sends more than it may, grants the world, takes credit back */
    SIM_BABBLES = 64,       /* unknown types, giant numbers, other agencies' feeds */
    SIM_WITHHOLDS = 128,    /* commits, or credit */
    SIM_LIES_TRUST = 256,   /* manifests, proofs, archives that are none */
    SIM_HIDES = 512,        /* all commits of others, though it tells that it has them */
    SIM_BLANKS = 1024,      /* the last item of each commit of others: its leaf stands there */
    SIM_HABITS_ALL = 2047
};

/* Send what the replicator wants to send, as the liar would. */
void sim_liar_send(struct sim_node *node, uint32_t to, const uint8_t *bytes, size_t size);
/* All of its feed at once, whatever credit it has; it must be in a session. */
void sim_liar_push_all(struct sim_node *node, uint32_t to);
void sim_liar_free(struct sim_liar *liar);

#endif
