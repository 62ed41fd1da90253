/*
 * sim.h - a federation in one process: nodes (replicator, storage, writer), the network between
 * them, and one heap of events ordered by (time, insertion). Everything random comes from one
 * generator, so a seed is a run.
 *
 *   main.c       seeds, the command line           scenario.c   what a seed means: sizes, faults
 *   sim.c        the world: events, steps, effects network.c    links that lose, repeat, reset
 *   storage.c    logs, syncs, crashes              writer.c     feeds, epochs, records, edits
 *   byzantine.c  peers that lie                    checks.c     what must hold, and when
 *   view.c       decrypt and merge, as a reader    story.c      runs told by hand
 *   trust.c      manifests, limits and forks, as   story_trust.c  the same, of keys and forks
 *                a driver judges and keeps them    thief.c      somebody with stolen keys
 *   archive.c    what is closed at a node          bundle.c     what comes by no link
 *   side.c       receipts, beside the feeds        audience.c   closed audiences
 *   erase.c      what is taken back
 *
 * A check that fails ends the process with the line that replays the run.
 */
#ifndef ILEA_SIM_SIM_H
#define ILEA_SIM_SIM_H

#include "replication/core/message.h"
#include "replication/core/replicator.h"
#include "replication/record/audience.h"
#include "replication/record/change.h"
#include "replication/record/commit.h"
#include "replication/record/fork.h"
#include "replication/record/manifest.h"
#include "tests/sim/random.h"

enum {
    SIM_NODES_MAX = 10,
    SIM_FEW_NODES = 7,    /* so many at most, where the run is not about audiences */
    SIM_AUDIENCES_MAX = 4,
    SIM_CONTROLS_MAX = 256, /* statements of all audiences */
    SIM_DOTS_MAX = 128,   /* items that are erased */
    SIM_LINKS_MAX = SIM_NODES_MAX * (SIM_NODES_MAX - 1) / 2,
    SIM_FEEDS_MAX = 5200,
    SIM_FEED_SLOTS = 16384,
    SIM_CHAIN_MAX = 8,    /* manifests of an agency */
    SIM_SECRETS_MAX = 8,  /* node keys of an agency */
    SIM_RECORDS_MAX = 12, /* of one author */
    SIM_MADE_MAX = 4096,  /* receipts of one holder for one author */
    SIM_PAST_FRAMES = 16 /* a liar remembers so many of its frames a link */
};

#define SIM_NONE UINT32_MAX /* no such link */

/* Statements of audiences, or erased items, by their number in the world. */
struct sim_set {
    uint64_t words[SIM_CONTROLS_MAX / 64];
};

/* A change as its author wrote it. */
struct sim_change {
    struct ilea_record_id record;
    struct ilea_dot dot;
    uint8_t *plaintext;
    size_t size;
};

/* Made once, shared by the logs that hold it. */
struct sim_commit {
    struct sim_feed *feed;
    uint64_t seq;
    struct ilea_commit_id id;
    uint8_t *bytes;
    uint32_t size;
    uint32_t change_count;
    struct sim_change *changes;
    uint64_t run;            /* running number and leaf of its last change */
    uint8_t leaf[ILEA_HASH_SIZE];
    struct sim_commit *fork; /* another commit of the same feed and seq */
    bool forged;             /* by who stole the key, or in a copy of the node */
    struct sim_set *known;   /* in an audience: the statements that its author held */
    uint32_t named_count;    /* of an opening: the positions that it names */
    struct ilea_position *named;
    bool has_erased;         /* some of its items */
    struct sim_set *erases;  /* in a control feed: what it states to be erased */
};

struct sim_dot {
    struct sim_commit *commit;
    uint32_t index;
    uint8_t leaf[ILEA_HASH_SIZE];
};

struct sim_act {
    enum ilea_member_act_kind kind;
    uint32_t member;       /* node */
    enum ilea_access access;
};

/* A control statement of an audience. */
struct sim_control {
    struct sim_commit *commit;
    uint32_t audience;
    enum ilea_statement_kind kind; /* AUDIENCE or SUSPEND */
    uint64_t rank;         /* the number of an AUDIENCE */
    uint32_t act_count;
    struct sim_act acts[SIM_NODES_MAX];
    uint32_t subject;      /* of a SUSPEND */
    struct sim_set before; /* all that its author held */
    uint8_t *content;
    size_t size;
};

struct sim_audience {
    struct ilea_audience_id id;
    uint32_t owner;        /* node */
    uint8_t salt[ILEA_AUDIENCE_SALT_SIZE];
};

/* What the engine makes of what a node holds. */
struct sim_seen {
    struct sim_set held;
    struct ilea_membership *membership;
};

/* A node's own feed in an audience. */
struct sim_line {
    struct sim_feed *feed; /* NULL: to be opened */
    struct sim_set named;  /* what its last statement names, and what comes before that */
    struct ilea_epoch_id epoch;
};

/* An opening that names a position of a feed. */
struct sim_naming {
    const struct sim_commit *opening;
    uint64_t seq;
    struct ilea_commit_id id;
};

/* As made by its agency, or by who stole its roots. */
struct sim_manifest {
    uint32_t agency;       /* node */
    bool forged;
    uint8_t *bytes;
    size_t size;
    struct ilea_manifest manifest;
};

struct sim_proof {
    uint8_t bytes[ILEA_FORK_SIZE_MAX];
    size_t size;
    struct ilea_fork fork;
};

struct sim_feed {
    struct ilea_feed_id id;
    struct ilea_feed_origin origin;
    uint32_t index;  /* in the world's feeds */
    uint32_t author; /* node */
    bool forked;     /* there are two histories of it */
    const struct ilea_sign_secret *secret; /* that signs it */
    uint64_t acknowledged; /* durable at its author and said so */
    uint32_t count, capacity;
    struct sim_commit **commits; /* by seq - 1, the first made */
    uint32_t naming_count, naming_capacity;
    struct sim_naming *namings;
};

/* What a node holds of a feed: `durable` of `count` commits survive a crash. */
struct sim_log {
    uint32_t count, durable, capacity;
    struct sim_commit **commits;
    const struct sim_proof *proof; /* the best of a fork that it knows; NULL: none */
    bool was_held; /* some of it, at some time, whatever a restore forgot */
    bool archived;
};

/* The archived feeds of an agency at a node, by id. */
struct sim_archive {
    uint32_t count, capacity;
    struct sim_feed **feeds;
    uint8_t sum[ILEA_HASH_SIZE];
};

struct sim_pending {
    struct sim_commit *commit;
    bool own;
};

struct sim_storage {
    struct sim_log logs[SIM_FEEDS_MAX]; /* by the feed's index */
    struct sim_pending *pending;        /* not durable yet, in order */
    uint32_t pending_count, pending_capacity;
    uint32_t syncing;                   /* so many of them are in the sync under way */
    uint64_t sync_number;
    bool stored_due;                    /* a STORE has not been answered by STORED */
    uint64_t latency_min, latency_max;
    bool blocks;                        /* the node hears nothing while it syncs */
};

struct sim_writer {
    struct sim_feed *feed;  /* NULL: to be opened before the next write */
    struct ilea_epoch_id epoch;
    uint64_t run;
    uint8_t leaf[ILEA_HASH_SIZE];
    uint32_t value_size;    /* largest value written */
    uint32_t items_max;
    bool bare;              /* writes openings, and nothing that could be read */
    bool unnoticed;         /* restored, and going on with a feed whose end it forgot */
    struct sim_feed *taken; /* that feed */
};

/* One end of a link, as its node sees it. */
struct sim_end {
    bool approved, relays;
    uint8_t session[ILEA_SESSION_ID_SIZE]; /* of the last BIND sent */
    uint64_t sent, limit;                  /* data bytes in it, and what the other end granted */
    uint32_t number;                       /* of the last frame that came in it */
    uint64_t taken, granted;               /* data bytes that came, and what this end granted */
    uint64_t before;                       /* that came before the last message of them */
    uint64_t commit_bytes_in;              /* of honest senders: to count repeats */
};

struct sim_liar {
    uint32_t habits;
    uint8_t session[ILEA_SESSION_ID_SIZE];
    uint32_t number;
    uint8_t *past[SIM_PAST_FRAMES];
    size_t past_size[SIM_PAST_FRAMES];
    uint32_t past_next;
};

/* What a holder said that it has of an author's, and how much it wrote itself; from whom a node heard it, and its place
 * among those it heard of. */
struct sim_receipt {
    uint64_t counter, held, own;
    uint32_t from;
    uint64_t stamp;
};

/* How far a node has what a neighbour heard of. */
struct sim_heard {
    uint64_t run, stamp;              /* of the neighbour's process */
    uint8_t shared[ILEA_HASH_SIZE];   /* the agencies that this counts for */
};

/* All that one holder ever said to one author, by counter - 1. */
struct sim_made {
    uint32_t count;
    uint64_t held[SIM_MADE_MAX], own[SIM_MADE_MAX];
};

/* Bytes of SIDE that came in a session, since its first. */
struct sim_flow {
    uint64_t session, since_ms, bytes, asked;
};

struct sim_side {
    struct sim_receipt receipts[SIM_NODES_MAX][SIM_NODES_MAX];       /* by author and holder; counter 0: none */
    uint64_t stamp;                                                  /* the last one given */
    uint64_t asks[SIM_NODES_MAX], asked[SIM_NODES_MAX];              /* sessions in which we asked it, and it us */
    uint64_t after[SIM_NODES_MAX], serials[SIM_NODES_MAX];           /* it needs nothing up to this stamp */
    bool in_flight[SIM_NODES_MAX];
    struct sim_heard heard[SIM_NODES_MAX];
    uint64_t came_sessions[SIM_NODES_MAX], came[SIM_NODES_MAX];
    struct sim_flow flows[SIM_NODES_MAX];
};

struct sim_event;

struct sim_node {
    struct sim_world *world;
    uint32_t index;
    bool up, byzantine;
    bool robbed;            /* its keys are in other hands, or a copy of it runs: its feeds may fork */
    bool stubborn;          /* takes no manifests */
    uint64_t run;           /* events of an earlier run of the process are void */
    uint64_t clock_ms;      /* its monotonic clock is so far ahead of the world's */
    struct ilea_agency_id agency;
    struct ilea_sign_secret *secret;
    struct ilea_sign_public public_key;
    uint32_t old_secret_count;
    struct ilea_sign_secret *old_secrets[SIM_SECRETS_MAX];
    struct ilea_sign_secret *root, *next_root; /* one, of one */
    const struct ilea_sign_secret *stolen;     /* its node key, or the one that stolen roots put in its place */
    bool recovered;         /* its roots have said what counts */
    uint32_t manifest_counts[SIM_NODES_MAX];   /* the chains that it holds */
    const struct sim_manifest *manifests[SIM_NODES_MAX][SIM_CHAIN_MAX];
    struct sim_archive archives[SIM_NODES_MAX];
    struct ilea_reading_secret *reading;
    struct ilea_reading_public reading_public;
    struct ilea_transport_public transport;
    struct ilea_audience_id audience;
    struct ilea_keyring *ring; /* of its own epochs; lies in the log, so it survives */
    bool follows[SIM_NODES_MAX];
    void *memory;
    struct ilea_replicator *replicator;
    uint64_t timer_ms;      /* in the world's time */
    uint64_t timer_repeats; /* timers in a row without the time passing */
    struct sim_end ends[SIM_NODES_MAX];
    struct sim_liar liars[SIM_NODES_MAX];
    struct sim_side side;
    struct sim_storage storage;
    const struct sim_commit *rotten; /* damaged on its disk, until it is repaired */
    struct sim_writer writer;
    struct sim_event *deferred; /* arrived while the node was in a sync */
    uint32_t deferred_count, deferred_capacity;
    struct sim_line closed[SIM_AUDIENCES_MAX];
    struct sim_feed *control;  /* NULL: to be opened */
    struct sim_set erased;     /* that it ever heard of: no crash and no backup takes it back */
    uint32_t taken_count, taken_capacity; /* commits of audiences, in the order in which the log took them */
    const struct sim_commit **taken;
    uint64_t sessions;      /* that became ready */
    uint64_t reincarnations, diverged, refused, forks_found;
    struct ilea_imported imported; /* in the bundle that was brought last */
};

/* One direction of a link. */
struct sim_channel {
    uint32_t loss, repeat, reorder, stale; /* permille */
    uint64_t delay_min, delay_max;
    bool cut;
    uint64_t last_ms;    /* first in, first out */
    uint64_t bytes;
    uint64_t frames[ILEA_MESSAGE_LAST + 1]; /* by type; [0]: of none */
    uint32_t drop_next;  /* a story's: lose the next so many COMMITS */
};

struct sim_link {
    uint32_t nodes[2];   /* [0] dials */
    bool up, severed;    /* severed: not to be connected */
    uint32_t generation; /* frames of an earlier connection are lost */
    bool listener_told;  /* the listening end hears of connections lost */
    struct sim_channel ways[2]; /* [i]: from nodes[i] */
};

enum sim_event_kind {
    SIM_DELIVER,
    SIM_TIMER,
    SIM_SYNC,
    SIM_CONNECT,
    SIM_LINK_UP,
    SIM_LINK_DOWN,
    SIM_WRITE,
    SIM_CRASH,
    SIM_RESTART,
    SIM_RESTORE,
    SIM_RESET,
    SIM_CUT,
    SIM_HEAL,
    SIM_FOLLOW,  /* or no longer: `run` 1 or 0 */
    SIM_APPROVE, /* or revoke */
    SIM_ROTATE,
    SIM_SIDE,
    SIM_AUDIENCE, /* somebody does something in some audience */
    SIM_ROB,     /* `way`: whom; `run`: enum sim_deed */
    SIM_RECOVER,
    SIM_CALM
};

struct sim_event {
    uint64_t time, order;
    enum sim_event_kind kind;
    uint32_t node, link, way;
    uint64_t run, generation;
    bool stale;   /* survives a reset of the link */
    uint8_t *bytes;
    size_t size;
};

struct sim_world {
    struct sim_random random;
    bool verbose;
    uint64_t now, order, event_count, trace;
    struct sim_event *heap;
    uint32_t heap_count, heap_capacity;
    struct ilea_network_id network;
    uint32_t node_count;
    struct sim_node nodes[SIM_NODES_MAX];
    uint32_t link_count;
    struct sim_link links[SIM_LINKS_MAX];
    uint32_t link_between[SIM_NODES_MAX][SIM_NODES_MAX]; /* or SIM_NONE */
    uint32_t feed_count;
    struct sim_feed *feeds[SIM_FEEDS_MAX];
    uint32_t feed_slots[SIM_FEED_SLOTS]; /* hash of feed id -> index + 1 */
    uint32_t manifest_count, manifest_capacity;
    struct sim_manifest **manifests;
    uint32_t proof_count, proof_capacity;
    struct sim_proof **proofs;
    uint32_t audience_count;
    struct sim_audience audiences[SIM_AUDIENCES_MAX];
    uint32_t control_count;
    struct sim_control *controls[SIM_CONTROLS_MAX];
    struct sim_seen seen[SIM_NODES_MAX][SIM_AUDIENCES_MAX];
    uint32_t dot_count;
    struct sim_dot dots[SIM_DOTS_MAX];
    struct ilea_commit_builder *builder;
    struct ilea_effects *effects;
    struct sim_made made[SIM_NODES_MAX][SIM_NODES_MAX]; /* by holder and author */
    bool calm;      /* faults are over */
    bool copies;    /* a restored node may not notice */
    bool faultless; /* there never were any */
};

/* sim.c */
struct sim_world *sim_world_new(uint64_t seed, bool verbose);
void sim_world_free(struct sim_world *world);
/* Identities; then links and follows are set by the caller, then every node is started. */
void sim_add_nodes(struct sim_world *world, uint32_t count);
void sim_add_link(struct sim_world *world, uint32_t dialer, uint32_t listener);
void sim_start(struct sim_world *world);
void sim_push(struct sim_world *world, uint64_t delay, struct sim_event event);
/* Work through the events up to and including `time`. */
void sim_run_until(struct sim_world *world, uint64_t time);
void sim_step(struct sim_node *node, struct ilea_event event);
void sim_node_start(struct sim_node *node);
void sim_node_stop(struct sim_node *node);
/* Follow an agency, or no longer. */
void sim_follow(struct sim_node *node, uint32_t other, bool followed);
/* Approve a peer for a link, or revoke it; the link begins anew. */
void sim_approve(struct sim_node *node, uint32_t other, bool approved);
void sim_mix(struct sim_world *world, const void *bytes, size_t size);
void sim_say(const struct sim_world *world, const struct sim_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void sim_fail(const struct sim_world *world, const struct sim_node *node,
                        const char *format, ...) __attribute__((format(printf, 3, 4)));
struct sim_feed *sim_find_feed(const struct sim_world *world, const struct ilea_feed_id *id);
/* The node whose agency it is; SIM_NONE: no such. */
uint32_t sim_find_agency(const struct sim_world *world, const struct ilea_agency_id *id);
void sim_send(struct sim_node *node, uint32_t to, struct ilea_span frame);
void sim_tell_agency(struct sim_node *node, uint32_t other);
void sim_tell_feed(struct sim_node *node, const struct sim_feed *feed);
/* In the node's log, durable or not. */
bool sim_is_held(const struct sim_node *node, const struct sim_commit *commit);
/* Room for one more in a growing array of pointers or structs of `size` bytes. */
void *sim_grow(void *array, uint32_t count, uint32_t *capacity, size_t size);

static inline bool
sim_set_has(const struct sim_set *set, uint32_t number)
{
    return (set->words[number / 64] >> number % 64 & 1) != 0;
}

static inline void
sim_set_add(struct sim_set *set, uint32_t number)
{
    set->words[number / 64] |= (uint64_t)1 << number % 64;
}

static inline void
sim_set_add_all(struct sim_set *set, const struct sim_set *others)
{
    for (uint32_t i = 0; i < SIM_CONTROLS_MAX / 64; i++) set->words[i] |= others->words[i];
}

static inline bool
sim_set_is_within(const struct sim_set *set, const struct sim_set *of)
{
    for (uint32_t i = 0; i < SIM_CONTROLS_MAX / 64; i++) {
        if ((set->words[i] & ~of->words[i]) != 0) return false;
    }
    return true;
}

#endif
