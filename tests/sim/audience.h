/*
 * audience.h - closed audiences in the simulator: owners that add, remove and lift, admins that suspend, members that
 * write; a stand-in for the author, and an oracle with plain sets that knows what everybody knew.
 *
 * What must hold at all times: a node gets no commit of an audience whose author knew of its exclusion, and none
 * before what it names. At rest: who may hear of a feed has it, and whoever holds the same statements agrees.
 */
#ifndef ILEA_SIM_AUDIENCE_H
#define ILEA_SIM_AUDIENCE_H

#include "tests/sim/sim.h"

/* Something happens in some audience, by this node's hand, as it sees things: a statement or an item. */
void sim_audience_act(struct sim_node *node);
/* Made by hand, for stories. The audience's number in the world. */
uint32_t sim_audience_new(struct sim_node *owner, const uint32_t *members, uint32_t count);
void sim_audience_change(struct sim_node *owner, uint32_t audience, enum ilea_member_act_kind kind, uint32_t member);
void sim_audience_suspend(struct sim_node *node, uint32_t audience, uint32_t member);
/* An item. False: the node may not write. */
bool sim_audience_write(struct sim_node *node, uint32_t audience);
/* Is the node allowed in it, as `at` sees it? */
bool sim_audience_allows(const struct sim_node *at, uint32_t audience, uint32_t node);
/* How many commits of the audience a node holds, of all its writers. */
uint32_t sim_audience_held(const struct sim_node *node, uint32_t audience);

/* The replicator's questions. */
bool sim_audience_entitled(void *node, const struct ilea_agency_id *agency, const struct ilea_audience_id *audience);
/* May the node tell another one of a closed feed? True too while a statement that it holds is not durable: it does not
 * count yet. */
bool sim_audience_may_tell(const struct sim_node *node, uint32_t to, const struct sim_feed *feed);
bool sim_audience_holds(void *node, const struct ilea_audience_id *audience, const struct ilea_commit_id *id);

/* A commit comes into a node's log. */
void sim_audience_check_put(const struct sim_node *node, const struct sim_commit *commit);
/* And is durable: the replicator is told if it matters. */
void sim_audience_durable(struct sim_node *node, const struct sim_commit *commit);
/* Its disk is that of an earlier day, as far as others hold what is gone. */
void sim_audience_restore(struct sim_node *node);
/* Its feeds in audiences, and its control feed, are not to be written to again. */
void sim_audience_abandon(struct sim_node *node);
/* Two neighbours: does `to` lack something that `from` may tell it? */
const char *sim_audience_compare(const struct sim_node *from, const struct sim_node *to, const struct sim_feed *feed);
/* Does somebody hold a commit of its own without what it names? It came back from who had left it out since. Others
 * wait for that as long as it lasts, and ask ever less often. */
bool sim_audience_is_loose(const struct sim_world *world);
/* Some time later: no feed waits. */
void sim_audience_check_rest(const struct sim_world *world);
/* What everybody makes of what it holds is what the oracle makes of it. */
void sim_audience_check_end(const struct sim_world *world);
void sim_audience_free(struct sim_world *world);

#endif
