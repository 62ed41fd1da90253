/*
 * writer.h - what an agency writes: a shared feed (opening and epoch statement first), then
 * commits of changes that create records and edit them, replacing the dots their author sees.
 */
#ifndef ILEA_SIM_WRITER_H
#define ILEA_SIM_WRITER_H

#include "tests/sim/sim.h"

/* Write one commit to the current feed, opening one first if there is none. */
void sim_write(struct sim_node *node);
/* After a restart: where the current feed's log ends. */
void sim_writer_resume(struct sim_node *node);
/* The current feed is not to be written to again. */
void sim_writer_abandon(struct sim_node *node);
/*
 * Make a commit of `seq` on top of `prev` (NULL: of nothing) in the node's current feed, signed
 * and registered but not stored: for liars.
 */
struct sim_commit *sim_writer_forge(struct sim_node *node, uint64_t seq,
                                    const struct ilea_commit_id *prev);
/* A new feed of the node's agency, under one of its keys; nothing in it. */
struct sim_feed *sim_writer_feed(struct sim_node *node, const struct ilea_sign_secret *secret, enum ilea_scope scope,
                                 const struct ilea_audience_id *audience);
/* A commit's bytes under its feed and seq; a second one of the same seq is a fork. */
struct sim_commit *sim_writer_register(struct sim_feed *feed, uint64_t seq, const struct ilea_commit_id *id,
                                       struct ilea_span bytes);
/* The same with nothing to read in it, in any feed: for thieves. */
struct sim_commit *sim_writer_forge_blank(struct sim_world *world, struct sim_feed *feed, uint64_t seq,
                                          const struct ilea_commit_id *prev);
/* The registered commit with these bytes; NULL: nobody honest or dishonest made it. */
struct sim_commit *sim_find_commit(const struct sim_feed *feed, uint64_t seq,
                                   const struct ilea_commit_id *id, struct ilea_span bytes);
void sim_feed_free(struct sim_feed *feed);

#endif
