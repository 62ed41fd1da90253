/*
 * view_builder_state.h - the view builder's memory, shared by view_*.c of the node alone.
 */
#ifndef ILEA_NODE_VIEW_BUILDER_STATE_H
#define ILEA_NODE_VIEW_BUILDER_STATE_H

#include "node/view_builder.h"
#include "replication/audience/membership.h"
#include "replication/merge/record.h"
#include "replication/record/document.h"
#include "replication/record/schema.h"

enum { ILEA_DIRTY_MAX = 1024, ILEA_FALLEN_MAX = 1024, ILEA_JUDGED_MAX = 64, ILEA_BUILDER_AUDIENCES = 8 };

/* An epoch that a feed of a closed audience uses, as the statements of this log have it. */
struct ilea_judged {
    uint32_t feed;             /* 0: free */
    struct ilea_epoch_id epoch;
    bool counts;               /* the feed's agency may write under it, */
    uint64_t from;             /* from this position on: the feed's first naming statement */
    uint64_t lacks;            /* position of the first removal that who stated it did not know; UINT64_MAX: none */
};

/* Who is a member of a closed audience, by its owner's statements up to a position. */
struct ilea_builder_audience {
    struct ilea_audience_id id;
    struct ilea_membership *membership;  /* NULL: free */
    uint64_t position;                   /* of the last statement that was taken */
    uint64_t used;                       /* when, by the builder's clock */
};

/* An epoch as a statement gives it. */
struct ilea_builder_epoch {
    struct ilea_audience_id audience;
    uint8_t aek_commit[ILEA_HASH_SIZE];
    struct ilea_span wrapped;  /* encoded keys, wrapped_count of them */
    uint32_t wrapped_count;
};

struct ilea_view_builder {
    struct ilea_log *log;
    struct ilea_environment *view;
    const struct ilea_keys *keys;
    struct ilea_keyring *ring;
    struct ilea_record record;
    struct ilea_view_meta meta;
    struct ilea_transaction *log_txn, *view_txn; /* during a run */
    struct ilea_feed_row feed;                   /* of the commit at hand */
    uint32_t agency;                             /* its agency's number */
    uint32_t key_counts[ILEA_VIEW_AGENCIES_MAX]; /* keys held, by agency number */
    uint8_t *state;                              /* a record's new bytes */
    size_t state_capacity;
    uint64_t dirty[ILEA_DIRTY_MAX];              /* records that lost a change and are to be merged anew, ascending */
    uint32_t dirty_count;
    struct ilea_record_id fallen[ILEA_FALLEN_MAX]; /* records that lost all */
    uint32_t fallen_count;
    struct ilea_builder_audience audiences[ILEA_BUILDER_AUDIENCES]; /* of what was asked for lately */
    uint64_t clock;
    struct ilea_judged judged[ILEA_JUDGED_MAX];  /* during a run, until a statement changes them */
    uint8_t plaintext[ILEA_CHANGE_SIZE_MAX + ILEA_AEAD_OVERHEAD];
};

/* view_builder.c */
/* The ref number a record's own bytes give it. */
uint32_t ilea_builder_ref(const struct ilea_record *record, uint32_t type);
enum ilea_error ilea_builder_load_feed(struct ilea_view_builder *builder, uint32_t number);
enum ilea_error ilea_builder_decode_commit(struct ilea_view_builder *builder, const struct ilea_log_commit *row,
                                           struct ilea_commit *commit);
bool ilea_builder_is_own(const struct ilea_view_builder *builder);
/* A statement's wrapped keys: if one is for us, everything that waited for it becomes visible. */
enum ilea_error ilea_builder_try_keys(struct ilea_view_builder *builder, const struct ilea_builder_epoch *stated);

/* view_audience.c */
void ilea_builder_free_audiences(struct ilea_view_builder *builder);
/* Whether the feed at hand, of a closed audience, is its owner's. */
enum ilea_error ilea_builder_is_owner(struct ilea_view_builder *builder, bool *is_owner);
/* A statement of a closed audience; where it does not count, it is hidden. */
enum ilea_error ilea_builder_take_naming(struct ilea_view_builder *builder, const struct ilea_log_commit *row,
                                         uint32_t index, enum ilea_statement_kind kind, struct ilea_span content);
/* An item at a position of the feed at hand, of a closed audience: *counts, its agency might write it under this
 * epoch; *is_stale: it did not know of a removal that stood in this log before. */
enum ilea_error ilea_builder_judge(struct ilea_view_builder *builder, const struct ilea_epoch_id *epoch,
                                   uint64_t position, bool *counts, bool *is_stale);
/* For whom a record is, by what it says itself; `has_closed`: by changes some of which stand in feeds of closed
 * audiences. Others see of those only that they are replaced. */
void ilea_builder_set_scope(const struct ilea_record *record, bool is_shared, bool has_closed,
                            struct ilea_view_row *row);

/* view_documents.c */
/* What a record named before a change, and what it names with it. */
struct ilea_builder_named {
    uint32_t old_count, count;
    struct ilea_view_document old[ILEA_DOCUMENTS_MAX], rows[ILEA_DOCUMENTS_MAX];
};
/* The documents that a record names; returns how many, at most ILEA_DOCUMENTS_MAX. */
uint32_t ilea_builder_collect_documents(const struct ilea_record *record, struct ilea_view_document *rows);
enum ilea_error ilea_builder_index_documents(struct ilea_view_builder *builder, uint64_t number,
                                             struct ilea_builder_named *named);

/* view_erase.c */
/* Items of the commit at hand may be erased. */
enum ilea_error ilea_builder_has_erased(struct ilea_view_builder *builder, uint64_t seq, bool *has);
/* A slot of such a commit: *skip, for it is erased. */
enum ilea_error ilea_builder_pass_erased(struct ilea_view_builder *builder, uint64_t seq, uint32_t index,
                                         struct ilea_span slot, bool *skip);
/* Whether an own change is of a record that was erased, or narrowed to another audience: noted as a stray then. */
enum ilea_error ilea_builder_catch_stray(struct ilea_view_builder *builder, const struct ilea_change *change,
                                         const struct ilea_view_place *place, bool *is_stray);
/* An item that was here is erased. */
enum ilea_error ilea_builder_take_marker(struct ilea_view_builder *builder, const struct ilea_log_commit *row);
/* Merge anew what markers left. After each row of them, before anything else is taken in. */
enum ilea_error ilea_builder_settle_erased(struct ilea_view_builder *builder);

#endif
