/*
 * view_builder_state.h - the view builder's memory, shared by view_builder.c and view_erase.c alone.
 */
#ifndef ILEA_NODE_VIEW_BUILDER_STATE_H
#define ILEA_NODE_VIEW_BUILDER_STATE_H

#include "node/view_builder.h"
#include "replication/merge/record.h"
#include "replication/record/document.h"

enum { ILEA_DIRTY_MAX = 1024, ILEA_FALLEN_MAX = 1024 };

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
    uint8_t plaintext[ILEA_CHANGE_SIZE_MAX + ILEA_AEAD_OVERHEAD];
};

/* view_builder.c */
/* The ref number a record's own bytes give it. */
uint32_t ilea_builder_ref(const struct ilea_record *record, uint32_t type);
enum ilea_error ilea_builder_load_feed(struct ilea_view_builder *builder, uint32_t number);
enum ilea_error ilea_builder_decode_commit(struct ilea_view_builder *builder, const struct ilea_log_commit *row,
                                           struct ilea_commit *commit);
bool ilea_builder_is_own(const struct ilea_view_builder *builder);

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
