/*
 * thief.h - rotation of keys, somebody with stolen ones, and what the agency's roots do about it.
 */
#ifndef ILEA_SIM_THIEF_H
#define ILEA_SIM_THIEF_H

#include "tests/sim/sim.h"

enum sim_deed {
    SIM_DEED_EXTEND, /* writes on in a feed of the victim */
    SIM_DEED_FORK,   /* writes another history of one, also of one that is long closed */
    SIM_DEED_OPEN,   /* opens a feed in its name */
    SIM_DEED_ROOTS,  /* states another node key, with stolen roots, and cuts the victim's feeds */
    SIM_DEEDS
};

/* A planned change of the node's key. */
void sim_rotate(struct sim_node *node);
/* `thief` is a node whose disk the thief owns; it has the victim's node key, and for ROOTS its roots. */
void sim_thief_act(struct sim_node *thief, uint32_t victim, enum sim_deed deed);
/* The roots state the last good positions and revoke what was stolen; of a node that was copied they state which
 * history is kept. */
void sim_recover(struct sim_node *victim);

#endif
