/*
 * event.h - everything that can happen to the replicator, and everything it can want.
 *
 * Contract between the replicator and its driver:
 *  1. Spans in an event are borrowed until step returns. Spans in effects point into the event or into
 *     the effects' own arena: valid until the next step.
 *  2. Effects are performed in order.
 *  3. STORE puts a commit into the log. The driver may gather STOREs of several steps into one
 *     transaction; when it is durable, it says so with STORED, and only then does the replicator
 *     acknowledge or pass on what was stored. Nothing is acknowledged that a crash could forget.
 *  4. MANIFEST, FORK, FORK_FOUND and SIDE are the driver's to judge: the replicator takes manifests, proofs
 *     and what comes beside as they are. At most one of them is in a step's effects, and it is the last. Before the
 *     next MESSAGE or IMPORT the driver verifies it, makes what it keeps of the first three durable (with all
 *     STOREs so far: STORED comes first) and tells what changed, by AGENCY, FEED, PEER; or, if the bytes are
 *     bad, says BLAME.
 *  5. FEED of a feed that is known sets it anew: its commits may have become fewer, when the agency's
 *     roots say where it ends. All STOREs of it are durable by then.
 *  6. After each step the driver asks ilea_replicator_deadline() and delivers TIMER then.
 *  7. AUDIENCE comes as soon as a commit is durable that changes a closed audience's membership, ours or another's:
 *     before the STORED or APPENDED that lets anything be passed on which was written by its light.
 *  8. Time never goes back. `random` is filled freshly for AGENCY, FEED, LINK_UP, MESSAGE and TIMER.
 *
 * An archived feed is closed and complete: a later feed of its agency names its last position. The log holds
 * it, and the replicator only how many there are of an agency and what they add up to, so that a thousand
 * boots cost nothing. The sum is that of H(FRONTIER, feed id || seq as u64 || commit id) of their last
 * positions mod 2^256.
 */
#ifndef ILEA_CORE_EVENT_H
#define ILEA_CORE_EVENT_H

#include "crypto/hash.h"
#include "crypto/seal.h"
#include "crypto/sign.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"
#include "replication/core/limits.h"
#include "replication/record/statement.h"

#define ILEA_TIME_NEVER UINT64_MAX
#define ILEA_NO_LINK UINT32_MAX   /* of an effect: what it comes of came over no link */
#define ILEA_SEQ_NEVER UINT64_MAX /* of a limit: there is none */

enum { ILEA_NONCE_HELLO_SIZE = 32, ILEA_SESSION_ID_SIZE = 8, ILEA_FRAME_HEADER_SIZE = 8 + 4 + 1 };

enum ilea_event_type {
    ILEA_EVENT_AGENCY,    /* an agency is followed, or no longer; its manifest or its archive changed */
    ILEA_EVENT_FEED,      /* at start: a feed the log holds and has not archived; later: a feed of our own
                             that was opened, or one that was cut, limited, or proven to be forked */
    ILEA_EVENT_ARCHIVED,  /* a feed was archived just now */
    ILEA_EVENT_AUDIENCE,  /* who may hear of a closed audience's feeds may have changed */
    ILEA_EVENT_PEER,      /* a link exists to an approved agency, or no longer */
    ILEA_EVENT_LINK_UP,   /* the transport to a peer that we dialled is up */
    ILEA_EVENT_LINK_DOWN, /* the transport is gone; what was sent may be lost */
    ILEA_EVENT_MESSAGE,   /* one frame from the peer at the other end of a link */
    ILEA_EVENT_BLAME,     /* a MANIFEST, FORK or SIDE from this link cannot be right: end its session */
    ILEA_EVENT_IMPORT,    /* a message that came in a bundle, over no link */
    ILEA_EVENT_SIDE,      /* send this to the peer; it is lost unless ilea_replicator_side() says it is open, and (of
                             what the peer did not ask for) that there is room */
    ILEA_EVENT_WANT,      /* a commit that we hold is damaged; or its agency says that it is for us, and we lack it */
    ILEA_EVENT_STORED,    /* every STORE so far is durable */
    ILEA_EVENT_APPENDED,  /* a commit of our own is durable */
    ILEA_EVENT_TIMER
};

/* The archived feeds of an agency. */
struct ilea_archive {
    uint64_t count;
    uint8_t sum[ILEA_HASH_SIZE];
};

struct ilea_event_feed {
    struct ilea_feed_id id;
    struct ilea_feed_origin origin;
    uint64_t seq;          /* 0: nothing in it (yet) */
    struct ilea_commit_id head;
    bool current;          /* the feed our own node is writing now, of this scope and audience */
    bool archived;         /* only in answers of config.archived() */
    uint64_t limit_seq;    /* nothing beyond it counts; ILEA_SEQ_NEVER: no limit */
    struct ilea_commit_id limit_id; /* of the commit at limit_seq; zeros: not known */
    uint8_t fork[ILEA_HASH_SIZE];   /* hash of the proof kept; zeros: none, or the roots settled it */
};

struct ilea_event {
    enum ilea_event_type type;
    uint64_t now_ms;               /* monotonic */
    uint8_t random[ILEA_NONCE_HELLO_SIZE];
    uint32_t link;                 /* PEER, LINK_*, MESSAGE, BLAME, SIDE: below ILEA_LINKS_MAX */
    union {
        struct {
            struct ilea_agency_id id;
            struct ilea_sign_public node; /* from its newest manifest: who signs BIND */
            bool followed;
            uint64_t manifest_index;      /* of that manifest, and its hash */
            uint8_t manifest_hash[ILEA_HASH_SIZE];
            struct ilea_archive archive;
        } agency;
        struct ilea_event_feed feed;
        struct {
            struct ilea_agency_id agency;
            struct ilea_feed_id feed;
            struct ilea_archive archive;  /* of the agency, with it */
        } archived;
        struct {
            struct ilea_agency_id agency;
            struct ilea_transport_public transport;
            bool approved;
            bool relays; /* feeds of third agencies may go over the link, both ways */
        } peer;
        struct ilea_audience_id audience;
        enum ilea_error blame;
        struct ilea_span message;
        struct {
            struct ilea_span bytes;
            bool asked;       /* the peer asked for them: they go on its credit, and not on our allowance */
            uint32_t expects; /* bytes that the peer is thereby asked for, beyond its allowance */
        } side;
        struct {
            struct ilea_agency_id from; /* who made the bundle: a peer that is approved */
            bool relays;                /* feeds of third agencies may come from it */
            uint32_t type;              /* COMMITS, MANIFEST or FORK (message.h) */
            struct ilea_span body;
        } import;
        struct {
            struct ilea_agency_id agency; /* that writes the feed */
            struct ilea_feed_id feed;     /* not one for the agency alone */
            uint64_t seq;
            bool is_closed;               /* of a closed audience: nobody outside is asked */
            struct ilea_audience_id audience;
        } want;
        struct {
            struct ilea_feed_id feed;
            uint64_t seq;
            struct ilea_commit_id id;
        } appended;
    };
};

enum ilea_effect_type {
    ILEA_EFFECT_SEND,         /* a whole frame to the peer of a link */
    ILEA_EFFECT_SEND_BIND,    /* sign `message`, then send it as BIND: ilea_message_put_bind() */
    ILEA_EFFECT_SEND_COMMITS, /* read commits from the log and send: ilea_message_put_commits_head() */
    ILEA_EFFECT_SEND_MANIFESTS, /* read from the log and send: ilea_message_put_manifests_head() */
    ILEA_EFFECT_SEND_FORK,    /* the proof kept of a feed: ilea_message_put_fork() */
    ILEA_EFFECT_STORE,        /* put a verified commit at the end of its feed */
    ILEA_EFFECT_REPAIR,       /* put a commit in the place of the one with that number and id, which is damaged */
    ILEA_EFFECT_MANIFEST,     /* a peer showed manifests of an agency */
    ILEA_EFFECT_FORK,         /* a peer showed the proof of a fork */
    ILEA_EFFECT_FORK_FOUND,   /* a signed commit beside one that we hold: make the proof */
    ILEA_EFFECT_IMPORTED,     /* what became of the commits of an IMPORT */
    ILEA_EFFECT_SIDE,         /* a peer sent something that is not the replicator's concern */
    ILEA_EFFECT_LINK_RESET,   /* tear the link's connection down and make it anew */
    ILEA_EFFECT_REINCARNATE,  /* a peer holds more of our current feed than we do: never write to it again */
    ILEA_EFFECT_TRACE         /* for logs and status */
};

enum ilea_trace {
    ILEA_TRACE_SESSION_READY,
    ILEA_TRACE_SESSION_ENDED, /* error: why */
    ILEA_TRACE_DIVERGED,      /* feed: the peer holds another history of it */
    ILEA_TRACE_REFUSED,       /* error: a commit or feed was not accepted */
    ILEA_TRACE_WAITS          /* a commit came too early. error: NOT_FOUND, what it names is not here yet; BAD_HASH, an
                                 item was left out and nothing here says that it is erased */
};

/* Commits of an IMPORT; nothing of this ends anything: a bundle is no conversation. */
struct ilea_imported {
    uint64_t taken;   /* STORE was asked for */
    uint64_t known;   /* held already */
    uint64_t refused; /* of agencies not followed or not carried, beyond a limit, damaged, of a newer version */
    uint64_t waiting; /* what comes before them is not held */
};

struct ilea_effect {
    enum ilea_effect_type type;
    uint32_t link;
    union {
        struct ilea_span send;
        struct {
            uint8_t session[ILEA_SESSION_ID_SIZE];
            uint32_t number;
            struct ilea_span message; /* to be signed under BIND_SIG */
        } bind;
        struct {
            uint8_t session[ILEA_SESSION_ID_SIZE];
            uint32_t number;
            struct ilea_feed_id feed;
            uint64_t seq_first;
            uint32_t count;           /* commits, all in the log, together at most one message */
        } commits;
        struct {
            uint8_t session[ILEA_SESSION_ID_SIZE];
            uint32_t number;
            struct ilea_agency_id agency;
            uint64_t from;            /* index of the first */
            uint32_t count;           /* together at most one message */
        } send_manifests;
        struct {
            uint8_t session[ILEA_SESSION_ID_SIZE];
            uint32_t number;
            struct ilea_feed_id feed;
        } send_fork;
        struct {
            struct ilea_agency_id agency;
            uint32_t count;           /* manifests; walk them with ilea_manifests_next() */
            struct ilea_span manifests; /* encoded bins, in the event */
            bool own_link;            /* they came from the agency itself */
        } manifest;
        struct ilea_span fork;        /* the proof, in the event */
        struct ilea_span side;        /* the bytes, in the event */
        struct {
            struct ilea_feed_id feed;
            uint64_t seq;
            struct ilea_span commit;  /* the other one's bytes, in the event; its signature is good */
        } fork_found;
        struct {
            struct ilea_feed_id feed;
            struct ilea_feed_origin origin; /* for seq 1: the feed is new to the log */
            uint64_t seq;
            struct ilea_commit_id id;
            struct ilea_span commit;  /* its bytes, in the event */
        } store;
        struct {
            struct ilea_feed_id feed;
            uint64_t seq;
            struct ilea_span commit;  /* its bytes, in the event */
        } repair;
        struct { struct ilea_feed_id feed; } reincarnate;
        struct ilea_imported imported;
        struct {
            enum ilea_trace what;
            enum ilea_error error;
            struct ilea_feed_id feed;
        } trace;
    };
};

/* Caller's memory, reused for every step. */
struct ilea_effects {
    uint32_t count;
    size_t byte_count;
    struct ilea_effect items[ILEA_EFFECTS_MAX];
    uint8_t bytes[ILEA_EFFECT_BYTES_MAX];
};

#endif
