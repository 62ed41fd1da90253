/*
 * storage.h - a node's log. A commit is pending until the sync that took it up has ended; a sync
 * takes all that is pending (group commit); a crash forgets the rest.
 */
#ifndef ILEA_SIM_STORAGE_H
#define ILEA_SIM_STORAGE_H

#include "tests/sim/sim.h"

/* At the end of its feed's log; `own`: written here, to be answered by APPENDED. */
void sim_storage_put(struct sim_node *node, struct sim_commit *commit, bool own);
/* The sync under way has ended. */
void sim_storage_synced(struct sim_node *node);
/* Everything pending is durable now, and said to be: the driver does not wait for it. */
void sim_storage_flush(struct sim_node *node);
void sim_storage_crash(struct sim_node *node);
/* Put into the log of a node that is down. */
void sim_storage_put_durable(struct sim_node *node, struct sim_commit *commit);
/* Only the first `durable` commits of the feed are left, as in an old backup. */
void sim_storage_cut(struct sim_node *node, const struct sim_feed *feed, uint32_t durable);
/* The node hears nothing now. */
bool sim_storage_is_blocking(const struct sim_node *node);
void sim_storage_free(struct sim_storage *storage);

#endif
