/*
 * erase.h - erasure in the simulator: authors take back items of their open and closed feeds, and every node keeps of
 * a commit what the statements that it ever heard leave of it. What it heard lies outside the log, and no crash and no
 * backup takes it back.
 *
 * What must hold at all times: no leaf is stored that nothing explains. In the end: whoever holds a commit holds
 * nothing that was erased of it, and everything else.
 */
#ifndef ILEA_SIM_ERASE_H
#define ILEA_SIM_ERASE_H

#include "tests/sim/sim.h"

/* Some items of a commit of its own that the node holds. */
void sim_erase_act(struct sim_node *node);
/* A commit as the node holds it; `bytes` has room for ILEA_COMMIT_SIZE_MAX, and may be what is returned. */
struct ilea_span sim_erase_form(const struct sim_node *node, const struct sim_commit *commit, uint8_t *bytes);
uint32_t sim_erase_size(const struct sim_node *node, const struct sim_commit *commit);
/* The registered commit with this id, if these are its bytes but for items that the node knows to be erased. */
struct sim_commit *sim_erase_find(const struct sim_node *node, const struct sim_feed *feed, uint64_t seq,
                                  const struct ilea_commit_id *id, struct ilea_span bytes);
/* The replicator's question. */
bool sim_erase_explains(void *node, const struct ilea_agency_id *agency, const struct ilea_feed_id *feed, uint64_t seq,
                        uint32_t index, const uint8_t leaf[ILEA_HASH_SIZE]);
/* A commit comes into the node's log: what it states counts from here on. */
void sim_erase_take(struct sim_node *node, const struct sim_commit *commit);
/* What the node stated, and a restore took from its log, is stated again before anybody asks. */
void sim_erase_resume(struct sim_node *node);
void sim_erase_check_end(const struct sim_world *world);

#endif
