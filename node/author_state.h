/*
 * author_state.h - the author's memory, shared by author*.c alone.
 */
#ifndef ILEA_NODE_AUTHOR_STATE_H
#define ILEA_NODE_AUTHOR_STATE_H

#include "node/author.h"
#include "replication/merge/record.h"
#include "replication/record/commit.h"

enum {
    ILEA_OWN_EPOCHS_MAX = 4096,
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

struct ilea_author_reader;

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
    struct ilea_author_reader *readers;    /* who is approved now, and ourselves; NULL: to be looked up */
    uint32_t reader_count;
    struct { uint32_t line, label; struct ilea_epoch_id id; } epochs[ILEA_EPOCHS_CHOSEN_MAX];
    uint32_t epoch_count;                  /* chosen for good in this group commit */
    struct ilea_epoch_row epoch_due;       /* stated in the commit being built; number 0: none */
    uint8_t due_readers[ILEA_MEMBERS_MAX * ILEA_EPOCH_READER_SIZE]; /* epoch_due.readers points here */
    struct { uint32_t type; uint64_t last; } counters[COUNTERS_MAX];
    uint32_t counter_count;
    struct ilea_author_commit *commits;
    uint32_t commit_count, commit_capacity;

    /* Scratch of one put. */
    struct ilea_record record;
    struct ilea_op ops[OPS_MAX];
    uint32_t op_count;
    uint8_t dots[DOTS_SIZE];               /* encoded lists of replaced dots */
    size_t dots_size;
    uint8_t ref_value[16];
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
/* author_epoch.c: look up anew who is approved. */
void ilea_author_forget_readers(struct ilea_author *author);

/* author_own.c */
enum ilea_error ilea_author_load_epochs(struct ilea_author *author, struct ilea_transaction *txn);
void ilea_author_forget_epochs(struct ilea_author *author);
/* One that is new. LIMIT, NO_MEMORY. */
enum ilea_error ilea_author_note_epoch(struct ilea_author *author, const struct ilea_epoch_row *row);
/* Its readers are these from now on, in the log too. */
enum ilea_error ilea_author_set_readers(struct ilea_author *author, struct ilea_author_epoch *epoch,
                                        struct ilea_span readers);

#endif
