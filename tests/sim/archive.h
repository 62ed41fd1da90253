/*
 * archive.h - which feeds are closed at a node: complete, not forked, and a held opening of their agency names
 * their last position.
 */
#ifndef ILEA_SIM_ARCHIVE_H
#define ILEA_SIM_ARCHIVE_H

#include "tests/sim/sim.h"

/* The feed's log has changed; true: and it became archived, or is no longer. */
bool sim_archive_update(struct sim_node *node, struct sim_feed *feed);
/* The same of all feeds of one author, as after a cut: what an opening says counts while it is held. */
void sim_archive_update_all(struct sim_node *node, uint32_t author);
/* Commits have become durable: tell the replicator what that closed, or opened again. */
void sim_archive_settle(struct sim_node *node, struct sim_commit *const *commits, uint32_t count);
void sim_archive_describe(const struct sim_node *node, uint32_t author, struct ilea_archive *archive);
bool sim_archive_next(void *node, const struct ilea_agency_id *agency, const struct ilea_feed_id *after,
                      struct ilea_position *position);

#endif
