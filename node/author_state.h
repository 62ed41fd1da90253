/*
 * author_state.h - the author's memory, shared by author*.c alone.
 */
#ifndef ILEA_NODE_AUTHOR_STATE_H
#define ILEA_NODE_AUTHOR_STATE_H

#include "node/audience_log.h"
#include "node/author.h"
#include "node/reach.h"
#include "replication/merge/record.h"
#include "replication/record/commit.h"

enum {
    ILEA_OWN_EPOCHS_MAX = 4096,
    ILEA_OWN_KEYS_MAX = 4 * ILEA_OWN_EPOCHS_MAX, /* and those of closed audiences that were used since the start */
    ILEA_LINE_WRITERS_MAX = 4,
    ILEA_EPOCHS_CHOSEN_MAX = 8, /* more than there are fixed lines and labels */
    COUNTERS_MAX = 64,
    OPENING_SIZE_MAX = 128 * 1024,
    PENDING_MAX = 131072, /* records in one of the two sets of those that the view may not show yet */
    OPS_MAX = ILEA_CHANGE_OPS_MAX,
    DOTS_SIZE = 512 * 1024
};

/* What one writes for: each has a feed of its own, and the guard's slot of the same number. */
enum {
    ILEA_LINE_AGENCY = 0,
    ILEA_LINE_PEERS = 1,
    ILEA_LINE_CONTROL = 2,
    ILEA_LINES_FIXED = 3,   /* from here on closed audiences, in no order */
    ILEA_OWN_LINES_MAX = ILEA_GUARD_SLOTS
};

struct ilea_author_line {
    enum ilea_scope scope;            /* 0: free */
    struct ilea_audience_id audience; /* of its items; of CONTROL, which has none, zeros */
    struct ilea_feed_row feed;        /* being written; number 0: none */
    uint64_t written;                 /* log position of its last commit; 0: not since the start */
    /* Of a closed audience: */
    bool has_named;                   /* the feed's last statement says by the light of which heads we write, */
    uint8_t named[ILEA_HASH_SIZE];    /* whose hash this is; */
    struct {
        uint8_t readers[ILEA_HASH_SIZE];
        struct ilea_epoch_id epoch;
    } writers[ILEA_LINE_WRITERS_MAX]; /* and these are epochs of our own by the same, for those readers */
    uint32_t writer_count;
    struct ilea_commit_id unopened;   /* an epoch whose key is not for us */
};

/* Open-addressing set of record ids; all zeros: an empty slot. Whichever set is open takes new ids;
 * when it is full the other one takes over as soon as the view has come far enough to empty it. */
struct pending_ids {
    struct ilea_record_id *ids;
    uint32_t capacity, count;
    uint64_t position; /* in the log: the view shows all of them from here on */
    bool is_open;
};

/* One of our own epochs; row.readers borrows readers_bytes (heap). */
struct ilea_author_epoch {
    struct ilea_epoch_row row;
    uint8_t *readers_bytes;
};

/* What becomes of a change that others would read. */
enum ilea_gate {
    ILEA_GATE_POLICY = 0, /* with four eyes it is held */
    ILEA_GATE_CLOSED,     /* whatever would be written is held */
    ILEA_GATE_OPEN        /* it was approved */
};

struct ilea_author {
    struct ilea_log *log;
    const struct ilea_log_identity *identity;
    const struct ilea_keys *keys;
    struct ilea_guard *guard;
    struct ilea_environment *view;
    struct ilea_erased_file *erased;
    struct ilea_keyring *ring;
    struct ilea_audience_cache *audiences;
    struct ilea_commit_builder *builder;
    struct ilea_sign_public node;
    struct ilea_reading_public reading;
    uint32_t agency;                       /* our number in log and view */
    uint8_t code[ILEA_CODE_SIZE_MAX];      /* our code, once it was asked for */
    size_t code_size;
    struct ilea_author_line lines[ILEA_OWN_LINES_MAX];
    uint32_t line_count;
    uint64_t position;
    struct pending_ids pending[2];
    struct ilea_author_epoch *own;         /* our own epochs */
    uint32_t own_count, own_capacity;
    bool own_loaded;
    bool own_changed;                      /* in this group commit: an abort forgets them */
    bool four_eyes;
    enum ilea_gate gate;                   /* of the put at hand */

    /* During a group commit. */
    struct ilea_transaction *txn, *view_txn;
    uint64_t view_position;                /* of view_txn */
    uint64_t now_ms;
    bool audited;                          /* it enters something in the audit feed */
    struct ilea_author_line saved_lines[ILEA_OWN_LINES_MAX];
    uint32_t saved_line_count;
    uint64_t saved_position;
    bool is_open;                          /* a commit is being built, */
    uint32_t open_line;                    /* of this line */
    struct ilea_reach_agencies agencies;   /* who is approved now, and ourselves; none: to be looked up */
    struct { uint32_t line, label; struct ilea_epoch_id id; } epochs[ILEA_EPOCHS_CHOSEN_MAX];
    uint32_t epoch_count;                  /* chosen for good in this group commit */
    bool has_epoch_due;
    struct ilea_epoch_row epoch_due;       /* stated in the commit being built */
    uint8_t due_readers[ILEA_MEMBERS_MAX * ILEA_EPOCH_READER_SIZE]; /* epoch_due.readers points here */
    struct { uint32_t type; uint64_t last; } counters[COUNTERS_MAX];
    uint32_t counter_count;
    struct ilea_author_commit *commits;
    uint32_t commit_count, commit_capacity;
    struct ilea_audience_id *changed;      /* closed audiences of which we stated something */
    uint32_t changed_count, changed_capacity;

    /* Scratch of one put. */
    struct ilea_record record;
    struct ilea_op ops[OPS_MAX];
    uint32_t op_count;
    uint8_t dots[DOTS_SIZE];               /* encoded lists of replaced dots */
    size_t dots_size;
    uint8_t ref_value[16], audience_value[ILEA_AUDIENCE_ID_SIZE + 2];
    uint8_t encoded_ops[ILEA_CHANGE_SIZE_MAX];
    uint8_t body[ILEA_CHANGE_SIZE_MAX + 256];
};

/* author_line.c: lines as the guard allows to go on with them. */
enum ilea_error ilea_author_load_lines(struct ilea_author *author, struct ilea_transaction *txn);
/* The line of a scope, and of a closed audience. One that is not there yet takes the place of the one that was
 * written longest ago, if there are too many; that one goes on in a new incarnation. */
uint32_t ilea_author_line(struct ilea_author *author, enum ilea_scope scope, const struct ilea_audience_id *audience);
/* No line may go on with its feed. */
void ilea_author_drop_feeds(struct ilea_author *author);
void ilea_author_save_lines(struct ilea_author *author);
void ilea_author_restore_lines(struct ilea_author *author);
/* Enter what this group commit wrote. */
enum ilea_error ilea_author_write_guard(struct ilea_author *author);
/* A new incarnation: a new feed, whose first commit is begun with its opening statement. */
enum ilea_error ilea_author_open_feed(struct ilea_author *author, uint32_t line);

/* author.c: these take a line by its number. */
enum ilea_error ilea_author_open_commit(struct ilea_author *author, uint32_t line);
/* Put the commit being built, if any, into the log's transaction. */
enum ilea_error ilea_author_end_commit(struct ilea_author *author);
enum ilea_error ilea_author_add_statement(struct ilea_author *author, uint32_t line,
                                          struct ilea_span statement);
enum ilea_error ilea_author_add_change(struct ilea_author *author, uint32_t line, struct ilea_change *change);
enum ilea_error ilea_author_next_ref(struct ilea_author *author, uint32_t type, uint64_t *number);

/* author_put.c: whether the record at hand, as it is being written, has areas and all are in a list
 * separated by commas. */
bool ilea_author_is_within(const void *author, const char *areas);

/* author_epoch.c: the epoch under which a change of this label is written now; one is started if none fits. */
enum ilea_error ilea_author_epoch(struct ilea_author *author, uint32_t line, uint32_t label,
                                  struct ilea_epoch_id *epoch);
/* author_epoch.c: who is approved now, and ourselves; borrowed until they are looked up anew. */
enum ilea_error ilea_author_agencies(struct ilea_author *author, const struct ilea_reach_agencies **agencies);
void ilea_author_forget_readers(struct ilea_author *author);

/* author_audience.c: as ilea_author_epoch(), for a line of a closed audience. LIMIT: it is frozen. */
enum ilea_error ilea_author_closed_epoch(struct ilea_author *author, uint32_t line, uint32_t label,
                                         struct ilea_epoch_id *epoch);

/* K of an audience, as of now; NOT_FOUND. Borrowed until anything is asked or written of one. */
enum ilea_error ilea_author_membership(struct ilea_author *author, const struct ilea_audience_id *audience,
                                       struct ilea_membership **membership);
enum ilea_error ilea_author_owns(struct ilea_author *author, const struct ilea_audience_id *audience, bool *owns);

/* What the first statement says of an audience. */
struct ilea_audience_info {
    struct ilea_span name;
    uint32_t tlp;
    uint64_t history_ms;
    bool list;
};
/* As its owner: an AUDIENCE with these acts, which are sorted, and its epoch. `info` NULL: not the first one; for
 * the first the log has the audience's row already. LIMIT: frozen, or full. */
enum ilea_error ilea_author_state_audience(struct ilea_author *author, const struct ilea_audience_id *audience,
                                           struct ilea_member_act *acts, uint32_t act_count,
                                           const struct ilea_audience_info *info);
/* As a member with access admin. */
enum ilea_error ilea_author_state_suspend(struct ilea_author *author, const struct ilea_audience_id *audience,
                                          const struct ilea_agency_id *subject, struct ilea_span reason);

/* An epoch of a closed audience, as its AUDIENCE or WRITER states it; spans borrow that. */
struct ilea_stated_epoch {
    struct ilea_audience_id audience;
    bool is_writer, restricted;
    uint64_t number;               /* of an AUDIENCE */
    uint8_t aek_commit[ILEA_HASH_SIZE];
    uint32_t head_count, wrapped_count;
    struct ilea_span heads, wrapped;
};
/* NOT_FOUND: it is neither. */
enum ilea_error ilea_author_read_stated(struct ilea_span content, struct ilea_stated_epoch *stated);
/* That of a commit in the log. NOT_FOUND: there is none, or it does not count. */
enum ilea_error ilea_author_load_stated(struct ilea_author *author, uint32_t feed, uint64_t seq,
                                        struct ilea_stated_epoch *stated);
/* Unseal its key and keep it; `wrapped`: as it was sealed to us. NOT_FOUND: it was not. BAD_HASH: another was. LIMIT */
enum ilea_error ilea_author_unseal(struct ilea_author *author, const struct ilea_stated_epoch *stated,
                                   uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE]);

/* author_history.c: whether all that it names is held, as far as it is of agencies that we follow. */
bool ilea_author_holds_named(const struct ilea_author *author, const struct ilea_membership *membership,
                             const struct ilea_stated_epoch *stated);
/* ilea_author_audience_changed() of all. */
enum ilea_error ilea_author_audiences_changed(struct ilea_author *author);

/* author_own.c */
enum ilea_error ilea_author_load_epochs(struct ilea_author *author, struct ilea_transaction *txn);
void ilea_author_forget_epochs(struct ilea_author *author);
/* One that is new. LIMIT, NO_MEMORY. */
enum ilea_error ilea_author_note_epoch(struct ilea_author *author, const struct ilea_epoch_row *row);
/* Its readers are these from now on, in the log too. */
enum ilea_error ilea_author_set_readers(struct ilea_author *author, struct ilea_author_epoch *epoch,
                                        struct ilea_span readers);

#endif
