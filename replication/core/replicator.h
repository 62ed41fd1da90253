/*
 * replicator.h - decides what to say to whom: the pure heart of a node.
 *
 * One replicator knows the feeds that its node follows and the links to its
 * peers, and turns events into effects (event.h): no clock, socket, file,
 * allocation or randomness inside, so that a whole federation runs in one
 * process from one seed. It never sees a record, a key that is secret, or a
 * private feed. The protocol's words and steps are those of replication/PROTOCOL.md.
 *
 * Memory: all of it is given at init. Threads: one at a time.
 */
#ifndef ILEA_CORE_REPLICATOR_H
#define ILEA_CORE_REPLICATOR_H

#include "replication/core/event.h"

struct ilea_replicator;

struct ilea_replicator_config {
    struct ilea_network_id network;
    struct ilea_agency_id agency;             /* our own; followed from the start */
    struct ilea_sign_public node;
    struct ilea_transport_public transport;
    /* Size in bytes of a durable commit, 0 if the log does not hold it. Called during step only. */
    uint32_t (*commit_size)(void *context, const struct ilea_feed_id *feed, uint64_t seq);
    void *context;
};

/* How many bytes init wants; about 16 MiB of address space, touched as it is used. */
size_t ilea_replicator_size(void);

/* `memory` must be zeroed and aligned as for malloc; it is borrowed for good. */
struct ilea_replicator *ilea_replicator_init(void *memory,
                                             const struct ilea_replicator_config *config);

/* Advance by one event. *effects is overwritten. Nothing here fails: what a peer does wrong ends its
 * session, and what does not fit the limits is traced as refused. */
void ilea_replicator_step(struct ilea_replicator *replicator, const struct ilea_event *event,
                          struct ilea_effects *effects);

/* When to deliver TIMER, in the clock of now_ms; ILEA_TIME_NEVER: not at all. */
uint64_t ilea_replicator_deadline(const struct ilea_replicator *replicator);

struct ilea_link_status {
    bool exists, ready;
    bool known;              /* the peer told what it holds, since this replicator began */
    struct ilea_agency_id agency;
    uint64_t lag_commits;    /* commits still to go: those we push and it has not acknowledged, and those
                              * it has and we lack */
    uint64_t missing_commits; /* the second part: still to come from this peer */
};
void ilea_replicator_link_status(const struct ilea_replicator *replicator, uint32_t link,
                                 struct ilea_link_status *status);

#endif
