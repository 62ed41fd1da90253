/*
 * state.h - the replicator's memory, shared by the files of this folder alone.
 *
 * A link's session:
 *
 *              HELLO sent            both HELLOs known         both BINDs verified
 *   DOWN  ----------------> GREETING ----------------> BINDING ------------------> READY
 *     ^                        |                          |                          |
 *     |  transport gone        |  5 s without an answer   |                          | gap, violation,
 *     |                        v                          v                          v silence, stall
 *     '--------------------- BACKOFF <-----------------------------------------------'
 *                               | after 0.2 to 30 s: HELLO
 *
 * A HELLO from the peer is answered in every state; in READY it starts over.
 */
#ifndef ILEA_CORE_STATE_H
#define ILEA_CORE_STATE_H

#include "replication/core/message.h"
#include "replication/core/replicator.h"
#include "replication/record/commit.h"

enum session_state { SESSION_DOWN, SESSION_GREETING, SESSION_BINDING, SESSION_READY, SESSION_BACKOFF };

#define NO_INDEX UINT32_MAX

/* What a feed's next commit waits for: a signed commit that is good, and comes too early. */
enum wait { WAIT_NOTHING, WAIT_NAMES, WAIT_LEAF };

enum { FOLLOW_BYTES = ILEA_AGENCIES_MAX / 8 };

struct agency {
    struct ilea_agency_id id;
    struct ilea_sign_public node;
    bool followed;
    uint64_t manifest_index;        /* of the newest manifest, and its hash */
    uint8_t manifest_hash[ILEA_HASH_SIZE];
    struct ilea_archive archive;    /* feeds that are not told one by one */
};

/* An item that was left out, and what stood there instead. */
struct gap {
    struct ilea_agency_id agency;   /* whose it was */
    uint64_t seq;                   /* 0: none */
    uint32_t index;
    uint8_t leaf[ILEA_HASH_SIZE];
};

struct feed {
    struct ilea_feed_id id;
    struct ilea_feed_origin origin; /* valid from seq 1 on; before, only its agency is claimed */
    uint32_t agency;                /* index into agencies */
    uint64_t seq;                   /* accepted; STORE was asked for */
    struct ilea_commit_id head;     /* of seq */
    uint64_t durable;               /* known to be on disk: what is told and sent */
    struct ilea_commit_id durable_head; /* of durable */
    bool current;                   /* our own node writes it */
    bool resumed;                   /* and began it before it was last started */
    bool touched;                   /* has accepted commits since the last STORED */
    uint32_t eager_link;            /* whom we asked to push it to us, or NO_INDEX */
    uint64_t progress_ms;           /* when that link last brought something, or was asked */
    uint32_t announced_by;          /* while seq is 0: the link that told of it, or NO_INDEX */
    uint64_t limit_seq;             /* what goes beyond does not count; ILEA_SEQ_NEVER: no limit */
    struct ilea_commit_id limit_id; /* of limit_seq; zeros: not known */
    uint8_t fork[ILEA_HASH_SIZE];   /* hash of the proof that it forked after limit_seq; zeros: none */
    bool archived;                  /* counted in its agency's archive: here for a peer that wants it, or soon gone */
    uint64_t archived_ms;           /* when it was, or a peer last took some of it */
    uint64_t closed_seq;            /* a peer has it archived at this seq; 0: none said so */
    uint32_t revived_by;            /* the link that asked for it when it was archived, or NO_INDEX */
    enum wait waits;
    uint64_t wait_ms;               /* to be tried again then, whatever happens */
    uint64_t wait_again_ms;         /* and after so long next time */
    struct ilea_commit_id missing;  /* of NAMES: a statement, and of which audience */
    struct ilea_audience_id missing_in;
    struct gap gap;                 /* the last that somebody left, and nothing here said why */
};

/* What is between one peer and one feed. */
struct link_feed {
    uint64_t remote_seq;  /* the peer holds it durably up to here, as far as we know */
    uint64_t sent_seq;    /* sent to it in this session up to here */
    uint64_t pruned_ms;   /* when we last asked it not to push */
    bool out_eager;       /* it wants us to push */
    bool note_due;        /* to be announced */
    bool credit_due;      /* accepted from it and not yet acknowledged */
    bool refused;         /* it has another history, or one we cannot read: not in this session */
    bool withheld;        /* it leaves out items that are not known to be erased */
    bool fork_known;      /* it has the proof that we have */
    bool in_archive;      /* it has the feed archived: it does not push it unasked */
    bool brought;         /* some of what we hold came from it */
    bool may_tell;        /* it may hear of the feed: all may of an open one, of an audience's who is in it */
    bool paused;          /* told to stop, because what it brought has to wait */
    bool urged;           /* asked a second time for what does not come */
    bool doubted;         /* nor came it then */
    uint64_t shunned_ms;  /* it brought what was cut off: others are asked until then */
    uint64_t probed_seq;  /* of another history: asked for what comes after this seq; ILEA_SEQ_NEVER: not yet */
    uint64_t probed_back; /* and so far before where the two were seen to differ */
};

/* What is between one peer and one agency. */
struct link_agency {
    bool told;                  /* it told of it in this session */
    uint64_t manifest_index;    /* of the newest manifest that it has, as far as we know */
    uint8_t manifest_hash[ILEA_HASH_SIZE];
    uint64_t manifest_next;     /* from here on it is to be sent ours; 0: nothing */
    bool forks_due;             /* it lacks proofs of forks that we have */
    uint64_t archived_count;    /* feeds in its archive */
    struct ilea_archive archive; /* that, and what it listed and we have archived */
    bool archive_due;           /* it may have archived what we lack: ask */
    uint64_t asks;              /* that it sent */
};

/* Bytes that may pass: so many at `at_ms`, more as time goes by. */
struct allowance {
    uint64_t bytes, at_ms;
};

struct link {
    bool exists;
    uint32_t agency;
    struct ilea_transport_public transport;

    enum session_state state;
    struct ilea_hello ours, theirs;
    uint8_t session[ILEA_SESSION_ID_SIZE];
    uint32_t sent_number, received_number;
    bool bound;                    /* their BIND verified */
    uint64_t deadline_ms;          /* of GREETING, BINDING, BACKOFF */
    uint64_t backoff_ms;
    uint64_t sent_ms, heard_ms, data_ms;

    bool list_cut;                 /* not all of its feeds could be noted down: ask once more */
    bool synced;                   /* what the peer holds is known */
    bool hash_received, list_begun, list_sent;
    uint8_t follows[FOLLOW_BYTES]; /* agencies the peer follows, by index; kept between sessions */
    uint8_t follows_hash[ILEA_HASH_SIZE]; /* the peer's own hash of them, agencies unknown to us included */
    uint8_t told_follows_hash[ILEA_HASH_SIZE]; /* of this session; becomes follows_hash with the list */

    uint64_t sent_bytes, sent_limit;                          /* to them: commits' bytes */
    uint64_t received_bytes, received_durable, received_limit; /* from them */
    uint64_t notes_deadline_ms;
    uint32_t next_feed;            /* where the next round of sending begins */
    uint32_t unverified_feeds;

    bool relays;                   /* feeds of third agencies may go over it */
    bool trust_due;                /* manifests or proofs are to be sent before anything else */
    uint32_t asked_agency;         /* whose archive is being asked for, or NO_INDEX */
    bool asked;                    /* and no answer came yet */
    bool asked_some;               /* answers came, as far as: */
    struct ilea_feed_id asked_after;
    uint32_t revived_feeds;

    uint64_t session_number;       /* of the session that is READY; 0: none is */
    struct allowance side_out, side_in;
    uint32_t side_credit;          /* bytes that we asked for and that did not come yet */
    uint64_t want_ms;              /* it gets nothing that it wants before */
};

/* A commit that is damaged here. */
struct want {
    struct ilea_feed_id feed;
    uint32_t agency;
    uint64_t seq;
    bool is_closed;
    struct ilea_audience_id audience;
    uint32_t link; /* that was asked last */
};

struct ilea_replicator {
    struct ilea_replicator_config config;
    uint64_t now_ms;
    uint8_t random[ILEA_NONCE_HELLO_SIZE];
    struct ilea_effects *effects;  /* during a step */

    uint32_t agency_count;
    struct agency agencies[ILEA_AGENCIES_MAX]; /* [0] is our own */
    uint32_t agency_order[ILEA_AGENCIES_MAX];  /* by id */
    uint32_t feed_count;
    struct feed feeds[ILEA_FEEDS_MAX];
    uint32_t order[ILEA_FEEDS_MAX];            /* feeds by (agency id, feed id) */
    uint32_t slots[ILEA_FEED_SLOTS];           /* hash of feed id -> index + 1 */
    uint64_t stall_check_ms;
    uint64_t archive_check_ms;
    struct want wants[ILEA_WANTS_MAX];
    uint32_t want_count;
    uint64_t want_ms;                          /* nothing is asked for before */
    uint32_t shown_by;                         /* the link whose MANIFEST or FORK the driver is judging, or NO_INDEX */
    uint32_t shown_agency;                     /* whose manifests; NO_INDEX: it was a FORK */
    bool storing;                              /* a STORE was asked for since the last STORED */
    uint64_t sessions;                         /* that became READY so far */
    struct link links[ILEA_LINKS_MAX];
    struct link_feed link_feeds[ILEA_LINKS_MAX][ILEA_FEEDS_MAX];
    struct link_agency link_agencies[ILEA_LINKS_MAX][ILEA_AGENCIES_MAX];
};

/* feeds.c */
uint32_t find_agency(const struct ilea_replicator *r, const struct ilea_agency_id *id);
/* The agency's place; NO_INDEX if the table is full. */
uint32_t add_agency(struct ilea_replicator *r, const struct ilea_agency_id *id);
uint32_t find_feed(const struct ilea_replicator *r, const struct ilea_feed_id *id);
/* A feed slot with nothing in it; NO_INDEX if the table is full. */
uint32_t add_feed(struct ilea_replicator *r, const struct ilea_feed_id *id, uint32_t agency);
/* Another feed takes its index: nobody may hold one across this. */
void remove_feed(struct ilea_replicator *r, uint32_t feed);
/* A feed of which nothing is held belongs to another agency than was claimed. */
void move_feed(struct ilea_replicator *r, uint32_t feed, uint32_t agency);
uint32_t count_feeds(const struct ilea_replicator *r, uint32_t agency);
/* The feed is as the log says. */
void set_feed(struct ilea_replicator *r, uint32_t feed, const struct ilea_event_feed *from);
/* The feed is proven: it no longer counts against the link that announced it. */
void forget_announcer(struct ilea_replicator *r, uint32_t feed);
void forget_reviver(struct ilea_replicator *r, uint32_t feed);
bool is_zero(const uint8_t *bytes, size_t size);
bool is_forked(const struct feed *feed);
/* How much of `seq` commits counts. */
uint64_t within_limit(const struct feed *feed, uint64_t seq);
/* What is told of it and sent: durable, and within its limit. */
uint64_t told_seq(const struct feed *feed);
const struct ilea_commit_id *told_id(const struct feed *feed);
/* Is the feed told one by one, and not as part of the archive? */
bool is_listed(const struct feed *feed);
bool link_follows(const struct link *link, uint32_t agency);
/* Its feeds may go over the link, and we follow it. */
bool is_carried(const struct ilea_replicator *r, const struct link *link, uint32_t agency);
/* And the peer follows it, too. */
bool is_shared(const struct ilea_replicator *r, const struct link *link, uint32_t agency);
/* And it may be told of this feed. */
bool is_common(const struct ilea_replicator *r, uint32_t link, uint32_t feed);
/* Listed, and to this peer. */
bool is_listed_to(const struct ilea_replicator *r, uint32_t link, uint32_t feed);
bool is_forked_to(const struct ilea_replicator *r, uint32_t link, uint32_t feed);

/* entitle.c */
void entitle_feed(struct ilea_replicator *r, uint32_t feed); /* its scope is known now: who may hear of it? */
void entitle_link(struct ilea_replicator *r, uint32_t link); /* another agency is at its end */
void on_audience(struct ilea_replicator *r, const struct ilea_event *event);

/* waiting.c */
/* Are all items there, but for those that their author is known to have erased? */
/* The commit's first item that is left out and not known to be erased, in *gap; false: there is none. */
bool find_gap(const struct ilea_replicator *r, const struct ilea_agency_id *agency, const struct ilea_commit *commit,
              struct gap *gap);
/* What a commit lacks. */
struct wanting {
    enum wait waits;
    struct ilea_audience_id audience; /* of NAMES: where the statement is missing */
    struct ilea_commit_id missing;
    struct gap gap;                   /* of LEAF */
};
/* Has the time come for a commit that is good? BUSY: no, because of *wanting. MALFORMED: it never comes. */
enum ilea_error check_ready(const struct ilea_replicator *r, const struct ilea_feed_origin *origin,
                            const struct ilea_commit *commit, struct wanting *wanting);
/* The feed's next commit came over this link and waits: who brought it is told to stop. */
void pause_feed(struct ilea_replicator *r, uint32_t link, uint32_t feed);
void resume_feed(struct ilea_replicator *r, uint32_t feed);
/* Something was stored: what waited for it goes on. */
void check_waiting(struct ilea_replicator *r, bool has_control);

/* effects.c */
bool has_room(const struct ilea_replicator *r, uint32_t effects, size_t bytes);
struct ilea_effect *emit(struct ilea_replicator *r, enum ilea_effect_type type, uint32_t link);
void trace(struct ilea_replicator *r, uint32_t link, enum ilea_trace what, enum ilea_error error,
           const struct ilea_feed_id *feed);
/* A frame of the link's session is composed between begin and end, in the effects' arena. */
void begin_frame(struct ilea_replicator *r, uint32_t link, enum ilea_message_type type,
                 struct ilea_msgpack_writer *writer);
void end_frame(struct ilea_replicator *r, uint32_t link, struct ilea_msgpack_writer *writer);

/* session.c */
void start_session(struct ilea_replicator *r, uint32_t link);
void end_session(struct ilea_replicator *r, uint32_t link, enum ilea_error why);
void drop_session(struct ilea_replicator *r, uint32_t link); /* transport gone: wait for it */
enum ilea_error on_hello(struct ilea_replicator *r, uint32_t link, struct ilea_span body);
enum ilea_error on_bind(struct ilea_replicator *r, uint32_t link, struct ilea_span body);
void session_timer(struct ilea_replicator *r, uint32_t link);
uint64_t session_deadline(const struct link *link);

/* trust.c */
/* What the peer lacks of our own manifests, in front of BIND. */
void send_own_manifests(struct ilea_replicator *r, uint32_t link);
void begin_trust(struct ilea_replicator *r, uint32_t link); /* the link has just become synced */
/* Send what is due; false: there was no room for all of it, and commits must wait. */
bool flush_trust(struct ilea_replicator *r, uint32_t link);
void spread_manifest(struct ilea_replicator *r, uint32_t agency);
void spread_fork(struct ilea_replicator *r, uint32_t feed);
enum ilea_error on_manifests(struct ilea_replicator *r, uint32_t link, struct ilea_span body);
enum ilea_error on_fork(struct ilea_replicator *r, uint32_t link, struct ilea_span body);

/* side.c */
void begin_side(struct ilea_replicator *r, uint32_t link); /* its session has just become READY */
void send_side(struct ilea_replicator *r, const struct ilea_event *event);
enum ilea_error on_side(struct ilea_replicator *r, uint32_t link, struct ilea_span body);

/* branch.c */
/* Compare a position that the peer told with our own history of the feed; false: it has another one. */
bool has_same_history(const struct ilea_replicator *r, uint32_t feed, uint64_t seq,
                      const struct ilea_commit_id *id);
/* The peer's commit at seq, or one below, is not ours: refuse the feed, and ask for what shows it. */
void on_diverged(struct ilea_replicator *r, uint32_t link, uint32_t feed, uint64_t seq);
/* A commit that is not new. DIVERGED: it is signed, and another one than ours. */
enum ilea_error check_repeat(const struct ilea_replicator *r, uint32_t feed,
                             const struct ilea_commit *commit);
/* Such a commit is for the driver: the last effect of a step. `link` may be ILEA_NO_LINK: then nobody can be asked
 * for what lies before. */
void report_fork(struct ilea_replicator *r, uint32_t link, uint32_t feed,
                 const struct ilea_commit *commit, struct ilea_span bytes);

/* archive.c */
/* A feed that is not in the table: the log may hold it. UNKNOWN: it is new to us. NONE: it stays out, because
 * nothing is to be done about it, or there is no room. */
enum revival { REVIVAL_UNKNOWN, REVIVAL_DONE, REVIVAL_NONE };
enum revival revive(struct ilea_replicator *r, const struct ilea_event_feed *held, uint32_t *feed);
enum revival revive_by_id(struct ilea_replicator *r, const struct ilea_feed_id *id, uint32_t *feed);
/* A peer listed a feed of its table. True: it is in our archive, and there is no more to it. */
bool is_settled_entry(struct ilea_replicator *r, uint32_t link, uint32_t agency,
                      const struct ilea_position *position, uint32_t *feed);
/* The peer lists what we have archived: it is as if it had it archived, too. */
void count_as_archived(struct ilea_replicator *r, uint32_t link, uint32_t agency,
                       const struct ilea_position *position);
/* A note about a feed that is not in the table. */
enum revival revive_by_note(struct ilea_replicator *r, uint32_t link, const struct ilea_note *note,
                            uint32_t *feed);
void begin_archives(struct ilea_replicator *r, uint32_t link); /* the link has just become synced */
void ask_archives(struct ilea_replicator *r, uint32_t link);
enum ilea_error on_archive(struct ilea_replicator *r, uint32_t link,
                           struct ilea_frontier_archive *archive);
enum ilea_error on_ask(struct ilea_replicator *r, uint32_t link, const struct ilea_frontier_ask *ask);
void on_archived(struct ilea_replicator *r, const struct ilea_event *event);
void evict_archived(struct ilea_replicator *r);

/* frontier.c */
/* A position of a feed that the peer told, listed or archived. */
void on_entry(struct ilea_replicator *r, uint32_t link, uint32_t feed,
              const struct ilea_position *position);
void send_frontier_hash(struct ilea_replicator *r, uint32_t link);
enum ilea_error on_frontier(struct ilea_replicator *r, uint32_t link, struct ilea_span body);

/* want.c */
void on_want(struct ilea_replicator *r, const struct ilea_event *event);
void send_wants(struct ilea_replicator *r);
enum ilea_error on_want_frame(struct ilea_replicator *r, uint32_t link, struct ilea_span body);
/* A commit that came alone. *is_taken: it was asked for, and there is no more to it. */
enum ilea_error take_wanted(struct ilea_replicator *r, uint32_t link, const struct ilea_feed_id *id,
                            struct ilea_span bytes, bool *is_taken);

/* flow.c */
/* Have `count` commits sent, which take `bytes` of the peer's credit. */
void send_commits(struct ilea_replicator *r, uint32_t link, const struct ilea_feed_id *id, uint64_t seq_first,
                  uint32_t count, uint64_t bytes);
/* No slot is a leaf alone. */
void pump(struct ilea_replicator *r, uint32_t link);
void send_credit(struct ilea_replicator *r, uint32_t link);
/* Take one commit that comes next in its feed: everything is checked, then accepted. *at: the feed, or NO_INDEX for
 * one that is new. `via`: what may come; `link`: its number, or ILEA_NO_LINK. */
enum ilea_error accept_commit(struct ilea_replicator *r, const struct link *via, uint32_t link, uint32_t *at,
                              const struct ilea_commit *commit, struct ilea_span bytes);
enum ilea_error on_commits(struct ilea_replicator *r, uint32_t link, struct ilea_span body);
enum ilea_error on_credit(struct ilea_replicator *r, uint32_t link, struct ilea_span body);
void on_stored(struct ilea_replicator *r);
void on_appended(struct ilea_replicator *r, const struct ilea_event *event);

/* import.c */
void on_import(struct ilea_replicator *r, const struct ilea_event *event);

/* fanout.c */
void begin_fanout(struct ilea_replicator *r, uint32_t link); /* the link has just become synced */
void end_fanout(struct ilea_replicator *r, uint32_t link);   /* its session is over */
bool is_to_come(const struct ilea_replicator *r, uint32_t feed); /* a peer holds more of it, and may be asked now */
bool is_behind(const struct ilea_replicator *r, uint32_t feed);  /* a peer holds more of it, asked now or later */
void choose_source(struct ilea_replicator *r, uint32_t feed);
void shun_sources(struct ilea_replicator *r, uint32_t feed); /* what we held of it was of the wrong branch */
void announce(struct ilea_replicator *r, uint32_t feed);     /* its durable position rose */
void announce_to(struct ilea_replicator *r, uint32_t link, uint32_t feed);
void send_note(struct ilea_replicator *r, uint32_t link, uint32_t feed, enum ilea_note_mode mode);
void prune(struct ilea_replicator *r, uint32_t link, uint32_t feed);
/* A peer holds more of a feed than we do: if we write it, its future is taken. */
void take_current(struct ilea_replicator *r, uint32_t link, uint32_t feed);
void heard_of(struct ilea_replicator *r, uint32_t link, uint32_t feed, uint64_t seq);
enum ilea_error on_notes(struct ilea_replicator *r, uint32_t link, struct ilea_span body);
void flush_notes(struct ilea_replicator *r, uint32_t link);
void check_stalls(struct ilea_replicator *r);

#endif
