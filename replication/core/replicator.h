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

/*
 * What the replicator asks the log, during a step only. Reads alone, of what is durable or STOREd.
 */
struct ilea_replicator_log {
    /* Size in bytes of a commit, 0 if the log does not hold it. */
    uint32_t (*commit_size)(void *context, const struct ilea_feed_id *feed, uint64_t seq);
    /* Its id; false: not held. */
    bool (*commit_id)(void *context, const struct ilea_feed_id *feed, uint64_t seq,
                      struct ilea_commit_id *id);
    /* May a feed that is new to us exist, and how far? As event.feed.limit_seq and limit_id.
     * ILEA_ERROR_NOT_FOUND: its node key is not in the agency's manifests, or it is revoked and they do
     * not list this feed. */
    enum ilea_error (*feed_limit)(void *context, const struct ilea_feed_origin *origin,
                                  const struct ilea_feed_id *feed, uint64_t *limit_seq,
                                  struct ilea_commit_id *limit_id);
    /* A feed that the log holds, archived or not, by its id; false: there is none. The replicator asks for
     * feeds that it does not know, before it takes them for new ones. */
    bool (*archived)(void *context, const struct ilea_feed_id *feed, struct ilea_event_feed *answer);
    /* The agency's next archived feed in the order of ids (after NULL: the first); false: none. */
    bool (*archived_next)(void *context, const struct ilea_agency_id *agency,
                          const struct ilea_feed_id *after, struct ilea_position *position);
    /* Size of a signed manifest, and hash of the manifest; 0 and false: not held. */
    uint32_t (*manifest_size)(void *context, const struct ilea_agency_id *agency, uint64_t index);
    bool (*manifest_hash)(void *context, const struct ilea_agency_id *agency, uint64_t index,
                          uint8_t hash[ILEA_HASH_SIZE]);
    /* May an agency hear of the feeds of a closed audience: is it allowed by the statements that we hold? The author of
     * a feed always may. false: nobody may, where we hold none. */
    bool (*entitled)(void *context, const struct ilea_agency_id *agency,
                     const struct ilea_audience_id *audience);
    /* Is this commit, with a control statement of the audience, held, and all that it names, through what that names,
     * of agencies that we follow? Our own that came back after a restore may lack some of it. */
    bool (*holds)(void *context, const struct ilea_audience_id *audience,
                  const struct ilea_commit_id *id);
    /* Does the agency say that its item there is erased, and leave this leaf? */
    bool (*erased)(void *context, const struct ilea_agency_id *agency,
                   const struct ilea_feed_id *feed, uint64_t seq, uint32_t index,
                   const uint8_t leaf[ILEA_HASH_SIZE]);
    void *context;
};

struct ilea_replicator_config {
    struct ilea_network_id network;
    struct ilea_agency_id agency;             /* our own; followed from the start */
    struct ilea_sign_public node;
    struct ilea_transport_public transport;
    struct ilea_replicator_log log;
};

/* How many bytes init wants; about 24 MiB of address space, touched as it is used. */
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
    bool has_own_manifest;   /* the peer holds our newest manifest, as it told */
    struct ilea_agency_id agency;
    uint64_t lag_commits;    /* commits still to go: those we push and it has not acknowledged, and those
                              * it has and we lack */
    uint64_t missing_commits; /* the second part: still to come from this peer */
    uint32_t waiting;        /* feeds it brought too early, which come again as soon as what they need is here */
    uint32_t withheld;       /* feeds from which it leaves out items that nothing here says are erased */
};
void ilea_replicator_link_status(const struct ilea_replicator *replicator, uint32_t link,
                                 struct ilea_link_status *status);

/* What goes beside the feeds (SIDE): the bytes are the driver's on both sides. */
struct ilea_side_status {
    bool open;               /* something can be sent */
    uint64_t session;        /* another number for each session, from 1; 0: there is none */
    size_t room;             /* bytes that may be sent now */
};
void ilea_replicator_side(const struct ilea_replicator *replicator, uint32_t link, uint64_t now_ms,
                          struct ilea_side_status *status);
/* Whether what concerns an agency goes over the link: both ends follow it, and it is one of them or the link is for
 * third agencies too. */
bool ilea_replicator_carries(const struct ilea_replicator *replicator, uint32_t link,
                             const struct ilea_agency_id *agency);
/* A hash of all agencies of which that is so; zeros before the peer has told what it follows. Both ends of a session
 * compute the same. */
void ilea_replicator_shared(const struct ilea_replicator *replicator, uint32_t link, uint8_t hash[ILEA_HASH_SIZE]);
/* Whether the peer left out items of an agency's commits, in this session. */
bool ilea_replicator_withholds(const struct ilea_replicator *replicator, uint32_t link,
                               const struct ilea_agency_id *agency);
/* How far the peer holds a feed durably, as it told since this replicator began. */
uint64_t ilea_replicator_acknowledged(const struct ilea_replicator *replicator, uint32_t link,
                                      const struct ilea_feed_id *feed);

#endif
