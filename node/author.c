#include "node/author.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "node/audience_log.h"
#include "node/author_state.h"
#include "node/erased_file.h"
#include "replication/reader/snapshot.h"

/* All keys of our own epochs, so that any of them can be handed to a reader who comes later. */
static enum ilea_error
load_epoch_keys(struct ilea_author *author, struct ilea_transaction *txn)
{
    enum ilea_error error = ilea_author_load_epochs(author, txn);
    for (uint32_t i = 0; i < author->own_count && error == ILEA_ERROR_NONE; i++) {
        const struct ilea_epoch_row *row = &author->own[i].row;
        error = ilea_keys_unwrap(author->keys, author->ring, &author->identity->network, &row->audience,
                                 row->aek_commit, row->wrapped);
    }
    if (error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_BAD_HASH) {
        return ILEA_ERROR_CORRUPT; /* not our reading keys: keys/ and log/ do not belong together */
    }
    return error;
}

enum ilea_error
ilea_author_new(struct ilea_log *log, const struct ilea_keys *keys, struct ilea_guard *guard,
                struct ilea_author **author)
{
    struct ilea_author *made = calloc(1, sizeof *made);
    if (made == NULL) return ILEA_ERROR_NO_MEMORY;
    made->log = log;
    made->keys = keys;
    made->guard = guard;
    made->identity = ilea_log_identity(log);
    ilea_record_init(&made->record);
    ilea_sign_secret_public(keys->node, &made->node);
    ilea_reading_secret_public(keys->reading, &made->reading);

    struct ilea_transaction *txn = NULL;
    struct ilea_agency_row own;
    enum ilea_error error = ilea_keyring_new(ILEA_OWN_KEYS_MAX, &made->ring);
    if (error == ILEA_ERROR_NONE) error = ilea_commit_builder_new(&made->builder);
    if (error == ILEA_ERROR_NONE) error = ilea_audience_cache_new(&made->audiences);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_log_agency(txn, &made->identity->agency, &own);
    if (error == ILEA_ERROR_NONE) made->agency = own.number;
    if (error == ILEA_ERROR_NONE) error = ilea_author_load_lines(made, txn);
    if (error == ILEA_ERROR_NONE) error = load_epoch_keys(made, txn);
    if (error == ILEA_ERROR_NONE) error = ilea_log_last(txn, &made->position);
    ilea_transaction_abort(txn);
    if (error != ILEA_ERROR_NONE) {
        ilea_author_free(made);
        return error;
    }
    *author = made;
    return ILEA_ERROR_NONE;
}

void
ilea_author_free(struct ilea_author *author)
{
    if (author == NULL) return;
    ilea_author_abort(author);
    ilea_keyring_free(author->ring);
    ilea_audience_cache_free(author->audiences);
    ilea_commit_builder_free(author->builder);
    ilea_record_deinit(&author->record);
    for (unsigned i = 0; i < 2; i++) free(author->pending[i].ids);
    ilea_author_forget_epochs(author);
    ilea_author_forget_readers(author);
    free(author->own);
    free(author->commits);
    free(author->changed);
    free(author);
}

void
ilea_author_use_view(struct ilea_author *author, struct ilea_environment *view)
{
    ilea_assert(author->txn == NULL);
    author->view = view;
}

uint64_t
ilea_author_position(const struct ilea_author *author)
{
    return author->position;
}

struct ilea_transaction *
ilea_author_transaction(struct ilea_author *author)
{
    return author->txn;
}

void
ilea_author_use_erased(struct ilea_author *author, struct ilea_erased_file *erased)
{
    author->erased = erased;
}

struct ilea_erased_file *
ilea_author_erased(const struct ilea_author *author)
{
    return author->erased;
}

const struct ilea_log_identity *
ilea_author_identity(const struct ilea_author *author)
{
    return author->identity;
}

const struct ilea_keys *
ilea_author_keys(const struct ilea_author *author)
{
    return author->keys;
}

uint64_t
ilea_author_now(const struct ilea_author *author)
{
    return author->now_ms;
}

void
ilea_author_set_four_eyes(struct ilea_author *author, bool four_eyes)
{
    author->four_eyes = four_eyes;
}

bool
ilea_author_sees_all(const struct ilea_author *author)
{
    return author->view_txn != NULL && author->view_position >= author->position;
}

void
ilea_author_note_audit(struct ilea_author *author)
{
    author->audited = true;
}

bool
ilea_author_was_audited(const struct ilea_author *author)
{
    return author->audited;
}

/* Forget records that were written so long ago that the view shows them. */
static void
forget_pending(struct ilea_author *author, uint64_t view_position)
{
    for (unsigned i = 0; i < 2; i++) {
        struct pending_ids *pending = &author->pending[i];
        if (pending->count == 0 || pending->position > view_position) continue;
        memset(pending->ids, 0, pending->capacity * sizeof *pending->ids);
        pending->count = 0;
    }
}

/* Records that took a place in this group commit are seen in the view once it has come to `position`. Both
 * sets: the open one may have filled up on the way. */
static void
settle_pending(struct ilea_author *author, uint64_t position)
{
    for (unsigned i = 0; i < 2; i++) {
        if (author->pending[i].position == UINT64_MAX) author->pending[i].position = position;
    }
}

enum ilea_error
ilea_author_begin(struct ilea_author *author, uint64_t now_ms)
{
    ilea_assert(author->txn == NULL);
    author->now_ms = now_ms;
    author->commit_count = author->changed_count = 0;
    ilea_author_save_lines(author);
    ilea_author_forget_readers(author); /* chosen anew: who is approved may have changed */
    author->own_changed = author->audited = false;
    author->counter_count = 0;
    author->saved_position = author->position;
    enum ilea_error error =
        ilea_transaction_begin(ilea_log_environment(author->log), true, &author->txn);
    if (error != ILEA_ERROR_NONE) return error;
    if (author->view != NULL) {
        error = ilea_transaction_begin(author->view, false, &author->view_txn);
    }
    struct ilea_view_meta meta;
    if (error == ILEA_ERROR_NONE && author->view != NULL) {
        error = ilea_view_load_meta(author->view_txn, &meta);
        if (error == ILEA_ERROR_NONE) {
            author->view_position = meta.position;
            forget_pending(author, meta.position);
        }
    }
    if (error != ILEA_ERROR_NONE) ilea_author_abort(author);
    return error;
}

void
ilea_author_abort(struct ilea_author *author)
{
    if (author->txn == NULL) return;
    if (author->erased != NULL) ilea_erased_file_drop(author->erased);
    ilea_transaction_abort(author->txn);
    ilea_transaction_abort(author->view_txn);
    author->txn = author->view_txn = NULL;
    author->is_open = false;
    author->has_epoch_due = false;
    if (author->own_changed) ilea_author_forget_epochs(author);
    author->position = author->saved_position;
    author->commit_count = 0;
    ilea_author_restore_lines(author);
    settle_pending(author, author->saved_position);
}

/* The commit that carries an epoch is its name. */
static enum ilea_error
put_epoch_due(struct ilea_author *author, const struct ilea_feed_row *feed, const struct ilea_commit_id *id)
{
    struct ilea_epoch_row *row = &author->epoch_due;
    if (!author->has_epoch_due) return ILEA_ERROR_NONE;
    author->has_epoch_due = false;
    row->statement = *id;
    row->agency = feed->origin.agency;
    row->feed = feed->number;
    row->seq = feed->seq + 1;
    enum ilea_error error = ilea_log_put_epoch(author->txn, row);
    if (error != ILEA_ERROR_NONE || feed->origin.scope == ILEA_SCOPE_AUDIENCE) return error;
    author->own_changed = true;
    return ilea_author_note_epoch(author, row);
}

/* Another membership is to be told to whoever gives the feeds to others. */
static enum ilea_error
note_changed(struct ilea_author *author, const struct ilea_audience_id *audience)
{
    for (uint32_t i = 0; i < author->changed_count; i++) {
        if (memcmp(author->changed[i].bytes, audience->bytes, sizeof audience->bytes) == 0) return ILEA_ERROR_NONE;
    }
    if (author->changed_count == author->changed_capacity) {
        uint32_t larger = author->changed_capacity == 0 ? 16 : author->changed_capacity * 2;
        struct ilea_audience_id *moved = realloc(author->changed, larger * sizeof *moved);
        if (moved == NULL) return ILEA_ERROR_NO_MEMORY;
        author->changed = moved;
        author->changed_capacity = larger;
    }
    author->changed[author->changed_count++] = *audience;
    return ILEA_ERROR_NONE;
}

const struct ilea_audience_id *
ilea_author_changed(const struct ilea_author *author, uint32_t *count)
{
    *count = author->changed_count;
    return author->changed;
}

/* End the commit that is being built, if any, and put it into the log. */
enum ilea_error
ilea_author_end_commit(struct ilea_author *author)
{
    if (!author->is_open) return ILEA_ERROR_NONE;
    struct ilea_author_line *line = &author->lines[author->open_line];
    struct ilea_feed_row *feed = &line->feed;
    author->is_open = false;
    if (author->commit_count == author->commit_capacity) {
        uint32_t larger = author->commit_capacity == 0 ? 16 : author->commit_capacity * 2;
        struct ilea_author_commit *moved = realloc(author->commits, larger * sizeof *moved);
        if (moved == NULL) return ILEA_ERROR_NO_MEMORY;
        author->commits = moved;
        author->commit_capacity = larger;
    }
    struct ilea_span bytes;
    struct ilea_commit_id id;
    ilea_commit_end(author->builder, author->keys->node, &bytes, &id);
    enum ilea_error error = put_epoch_due(author, feed, &id);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_log_append(author->txn, feed, feed->seq + 1, &id, bytes, &author->position);
    }
    bool audience_changed = false;
    if (error == ILEA_ERROR_NONE) error = ilea_audience_index(author->txn, feed, &id, bytes, &audience_changed);
    if (error == ILEA_ERROR_NONE && audience_changed) error = note_changed(author, &feed->origin.audience);
    if (error != ILEA_ERROR_NONE) return error;
    line->written = author->position;
    author->commits[author->commit_count++] =
        (struct ilea_author_commit){ .feed = *feed, .seq = feed->seq, .id = id };
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_author_open_commit(struct ilea_author *author, uint32_t line)
{
    if (author->is_open && author->open_line == line) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_author_end_commit(author);
    if (error != ILEA_ERROR_NONE) return error;
    const struct ilea_feed_row *feed = &author->lines[line].feed;
    if (feed->number == 0) {
        error = ilea_author_open_feed(author, line);
    } else {
        ilea_commit_begin(author->builder, &author->identity->network, &feed->id, feed->seq + 1,
                          &feed->head);
    }
    author->is_open = error == ILEA_ERROR_NONE;
    author->open_line = line;
    return error;
}

/* Add with `add` to the open commit, or to the next one if it is full. */
enum ilea_error
ilea_author_add_statement(struct ilea_author *author, uint32_t line, struct ilea_span statement)
{
    enum ilea_error error = ilea_author_open_commit(author, line);
    if (error == ILEA_ERROR_NONE) error = ilea_commit_add_statement(author->builder, statement);
    if (error != ILEA_ERROR_FULL) return error;
    error = ilea_author_end_commit(author);
    if (error == ILEA_ERROR_NONE) error = ilea_author_open_commit(author, line);
    if (error == ILEA_ERROR_NONE) error = ilea_commit_add_statement(author->builder, statement);
    return error;
}

/*
 * Encrypt and add one change, whose head and ops the caller wrote to author->ops. Running number and
 * previous leaf are filled in here, because they are the feed's.
 */
enum ilea_error
ilea_author_add_change(struct ilea_author *author, uint32_t line, struct ilea_change *change)
{
    const struct ilea_author_line *to = &author->lines[line];
    struct ilea_epoch_id epoch;
    if (change->label >= ILEA_LABEL_RED && to->scope != ILEA_SCOPE_AGENCY) return ILEA_ERROR_INVALID;
    enum ilea_error error = ilea_author_epoch(author, line, change->label, &epoch);
    if (error == ILEA_ERROR_NONE) error = ilea_author_open_commit(author, line);
    for (unsigned attempt = 0; error == ILEA_ERROR_NONE && attempt < 2; attempt++) {
        struct ilea_feed_row *feed = &author->lines[line].feed;
        change->run = feed->run + 1;
        memcpy(change->prev_leaf, feed->last_leaf, sizeof change->prev_leaf);
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, author->body, sizeof author->body);
        ilea_change_put_head(&writer, change);
        ilea_msgpack_put_raw(&writer, change->ops);
        if (writer.failed || writer.size > ILEA_CHANGE_SIZE_MAX) return ILEA_ERROR_LIMIT;
        uint8_t leaf[ILEA_HASH_SIZE];
        uint32_t flags = to->scope == ILEA_SCOPE_PEERS ? ILEA_ITEM_OPEN : 0;
        error = ilea_commit_add_change(author->builder, author->ring, flags,
                                       &to->audience, &epoch,
                                       ilea_msgpack_written(&writer), leaf);
        if (error == ILEA_ERROR_NONE) {
            feed->run = change->run;
            memcpy(feed->last_leaf, leaf, sizeof feed->last_leaf);
            return ILEA_ERROR_NONE;
        }
        if (error == ILEA_ERROR_FULL) {
            error = ilea_author_end_commit(author);
            if (error == ILEA_ERROR_NONE) error = ilea_author_open_commit(author, line);
        }
    }
    return error == ILEA_ERROR_NONE ? ILEA_ERROR_LIMIT : error;
}

static enum ilea_error
store_counters(struct ilea_author *author)
{
    for (uint32_t i = 0; i < author->counter_count; i++) {
        enum ilea_error error = ilea_log_put_counter(author->txn, author->counters[i].type,
                                                     author->counters[i].last);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_author_next_ref(struct ilea_author *author, uint32_t type, uint64_t *number)
{
    uint32_t i = 0;
    while (i < author->counter_count && author->counters[i].type != type) i++;
    if (i == author->counter_count) {
        if (i == COUNTERS_MAX) return ILEA_ERROR_LIMIT;
        author->counters[i].type = type;
        enum ilea_error error = ilea_log_counter(author->txn, type, &author->counters[i].last);
        if (error != ILEA_ERROR_NONE) return error;
        author->counter_count++;
    }
    if (author->counters[i].last >= UINT32_MAX) return ILEA_ERROR_LIMIT;
    *number = ++author->counters[i].last;
    return ILEA_ERROR_NONE;
}

/* The machine was not put back to an earlier state, as far as anybody tells. */
static bool
is_alone(struct ilea_author *author)
{
    return author->guard == NULL || ilea_guard_is_alone(author->guard);
}

enum ilea_error
ilea_author_commit(struct ilea_author *author, const struct ilea_author_commit **commits,
                   uint32_t *count)
{
    ilea_assert(author->txn != NULL);
    enum ilea_error error = ilea_author_end_commit(author);
    if (error == ILEA_ERROR_NONE) error = store_counters(author);
    /* Before the log: a restore of the log between the two must not undo what was told to be erased. */
    if (error == ILEA_ERROR_NONE && author->erased != NULL) error = ilea_erased_file_sync(author->erased);
    if (error != ILEA_ERROR_NONE) {
        ilea_author_abort(author);
        return error;
    }
    ilea_transaction_abort(author->view_txn);
    author->view_txn = NULL;
    struct ilea_transaction *txn = author->txn;
    if (author->commit_count > 0 && !is_alone(author)) {
        ilea_author_abort(author);
        ilea_author_drop_feeds(author);
        return ILEA_ERROR_BUSY;
    }
    error = ilea_transaction_commit(txn);
    author->txn = NULL;
    if (error != ILEA_ERROR_NONE) {
        ilea_author_restore_lines(author);
        author->position = author->saved_position;
        author->commit_count = 0;
        if (author->own_changed) ilea_author_forget_epochs(author);
        settle_pending(author, author->position);
        return error;
    }
    settle_pending(author, author->position);
    if (author->commit_count > 0) {
        error = ilea_author_write_guard(author);
        if (error != ILEA_ERROR_NONE || !is_alone(author)) {
            /* Durable but without permission to go on: what is in the log may be published, and the
             * next write opens a new incarnation. */
            ilea_author_drop_feeds(author);
        }
    }
    *commits = author->commits;
    *count = author->commit_count;
    return ILEA_ERROR_NONE;
}
