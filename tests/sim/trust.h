/*
 * trust.h - what a node's driver does about manifests, limits and forks: it judges what peers show, keeps what
 * is good, cuts logs where the roots say so, and tells its replicator. With the real codecs.
 */
#ifndef ILEA_SIM_TRUST_H
#define ILEA_SIM_TRUST_H

#include "tests/sim/sim.h"

/* The node's agency, its keys and its first manifest. */
void sim_trust_found(struct sim_node *node);
/* Everybody knows everybody's first manifest. */
void sim_trust_introduce(struct sim_world *world);
void sim_trust_free(struct sim_world *world);
void sim_trust_free_node(struct sim_node *node);

const struct sim_manifest *sim_trust_newest(const struct sim_node *node, uint32_t agency);
/* What goes into a manifest after `prev`, besides what stays as it was. */
struct sim_statement {
    uint32_t agency;                   /* node */
    const struct sim_manifest *prev;
    const struct ilea_sign_secret *root, *node_key;
    bool new_roots;                    /* `root` is the one that was committed to; `next` is committed to now */
    const struct ilea_sign_secret *next;
    uint32_t revoked_count;
    struct ilea_sign_public revoked[ILEA_REVOKED_MAX];
    uint32_t position_count;
    const struct ilea_position *positions; /* ascending by feed */
    bool forged;
};
const struct sim_manifest *sim_trust_make(struct sim_world *world, struct sim_statement *statement);
/* The node takes a manifest, of its own or of another's. */
void sim_trust_adopt(struct sim_node *node, const struct sim_manifest *manifest);
/* Before the node starts: what it holds is cut as it knows. */
void sim_trust_apply_all(struct sim_node *node);

/* A fork that nobody settled. */
bool sim_trust_is_forked(const struct sim_node *node, const struct sim_feed *feed);
/* As FEED tells it. */
void sim_trust_describe(const struct sim_node *node, const struct sim_feed *feed, struct ilea_event_feed *state);
/* How many commits of the feed count at the node. */
uint32_t sim_trust_told(const struct sim_node *node, const struct sim_feed *feed);

/* Effects. */
void sim_trust_on_manifests(struct sim_node *node, const struct ilea_effect *effect);
void sim_trust_on_fork(struct sim_node *node, const struct ilea_effect *effect);
void sim_trust_on_fork_found(struct sim_node *node, const struct ilea_effect *effect);
void sim_trust_send_manifests(struct sim_node *node, const struct ilea_effect *effect);
void sim_trust_send_fork(struct sim_node *node, const struct ilea_effect *effect);

/* What the replicator asks. */
enum ilea_error sim_trust_feed_limit(void *node, const struct ilea_feed_origin *origin,
                                     const struct ilea_feed_id *feed, uint64_t *limit_seq,
                                     struct ilea_commit_id *limit_id);
uint32_t sim_trust_manifest_size(void *node, const struct ilea_agency_id *agency, uint64_t index);
bool sim_trust_manifest_hash(void *node, const struct ilea_agency_id *agency, uint64_t index,
                             uint8_t hash[ILEA_HASH_SIZE]);

#endif
