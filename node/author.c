#include "node/author.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/author_state.h"
#include "replication/reader/snapshot.h"

/* All keys of our own epochs, so that any of them can be handed to a reader who comes later. */
static enum ilea_error
load_epoch_keys(struct ilea_author *author, struct ilea_transaction *txn)
{
    enum ilea_error error = ilea_author_load_epochs(author, txn);
    for (uint32_t i = 0; i < author->own_count && error == ILEA_ERROR_NONE; i++) {
        const struct ilea_epoch_row *row = &author->own[i].row;
        error = ilea_keys_unwrap(author->keys, author->ring, &author->identity->network,
                                 &author->audiences[row->scope - 1], row->aek_commit, row->wrapped);
    }
    if (error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_BAD_HASH) {
        return ILEA_ERROR_CORRUPT; /* not our reading keys: keys/ and log/ do not belong together */
    }
    return error;
}

/* The feed a guard entry allows us to go on with: number 0 if none. */
static enum ilea_error
feed_of_guard(struct ilea_transaction *txn, const struct ilea_guard_entry *entry,
              const struct ilea_sign_public *node, enum ilea_scope scope, struct ilea_feed_row *feed)
{
    *feed = (struct ilea_feed_row){ .number = 0 };
    if (entry->seq == 0) return ILEA_ERROR_NONE;
    struct ilea_feed_row row;
    enum ilea_error error = ilea_log_feed_by_id(txn, &entry->feed, &row);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_chain_row chain;
    error = ilea_log_chain(txn, row.number, entry->seq, &chain);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE; /* the log is older than the guard */
    if (error != ILEA_ERROR_NONE) return error;
    bool matches = memcmp(chain.id.bytes, entry->id.bytes, sizeof chain.id.bytes) == 0
        && memcmp(row.origin.node.bytes, node->bytes, sizeof node->bytes) == 0 /* else the key was replaced */
        && row.origin.scope == scope && !row.closed && row.limit_seq == ILEA_SEQ_NONE;
    if (matches) *feed = row;
    return ILEA_ERROR_NONE;
}

static enum ilea_error
load_feeds(struct ilea_author *author, struct ilea_transaction *txn)
{
    struct ilea_guard_entry entries[ILEA_GUARD_SCOPES];
    memset(entries, 0, sizeof entries);
    if (author->guard != NULL) ilea_guard_read(author->guard, entries);
    for (unsigned i = 0; i < ILEA_GUARD_SCOPES; i++) {
        enum ilea_error error =
            feed_of_guard(txn, &entries[i], &author->node, (enum ilea_scope)(i + 1), &author->feeds[i]);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
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
    ilea_audience_of_agency(&made->identity->network, &made->identity->agency, &made->audiences[0]);
    ilea_audience_of_peers(&made->identity->network, &made->identity->agency, &made->audiences[1]);
    ilea_sign_secret_public(keys->node, &made->node);
    ilea_reading_secret_public(keys->reading, &made->reading);

    struct ilea_transaction *txn = NULL;
    struct ilea_agency_row own;
    enum ilea_error error = ilea_keyring_new(ILEA_OWN_EPOCHS_MAX, &made->ring);
    if (error == ILEA_ERROR_NONE) error = ilea_commit_builder_new(&made->builder);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_log_agency(txn, &made->identity->agency, &own);
    if (error == ILEA_ERROR_NONE) made->agency = own.number;
    if (error == ILEA_ERROR_NONE) error = load_epoch_keys(made, txn);
    if (error == ILEA_ERROR_NONE) error = load_feeds(made, txn);
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
    ilea_commit_builder_free(author->builder);
    ilea_record_deinit(&author->record);
    for (unsigned i = 0; i < 2; i++) free(author->pending[i].ids);
    ilea_author_forget_epochs(author);
    ilea_author_forget_readers(author);
    free(author->own);
    free(author->commits);
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

const struct ilea_feed_row *
ilea_author_feed(const struct ilea_author *author, enum ilea_scope scope)
{
    return &author->feeds[scope - 1];
}

struct ilea_transaction *
ilea_author_transaction(struct ilea_author *author)
{
    return author->txn;
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
    author->commit_count = 0;
    memcpy(author->saved_feeds, author->feeds, sizeof author->feeds);
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
    ilea_transaction_abort(author->txn);
    ilea_transaction_abort(author->view_txn);
    author->txn = author->view_txn = NULL;
    author->open_scope = 0;
    author->epoch_due.number = 0;
    if (author->own_changed) ilea_author_forget_epochs(author);
    author->position = author->saved_position;
    author->commit_count = 0;
    memcpy(author->feeds, author->saved_feeds, sizeof author->feeds);
    settle_pending(author, author->saved_position);
}

/* End the commit that is being built, if any, and put it into the log. */
enum ilea_error
ilea_author_end_commit(struct ilea_author *author)
{
    if (author->open_scope == 0) return ILEA_ERROR_NONE;
    struct ilea_feed_row *feed = &author->feeds[author->open_scope - 1];
    author->open_scope = 0;
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
    if (author->epoch_due.number != 0) { /* the commit that carries an epoch is its name */
        author->epoch_due.statement = id;
        author->own_changed = true;
        enum ilea_error error = ilea_log_put_epoch(author->txn, &author->epoch_due);
        if (error == ILEA_ERROR_NONE) error = ilea_author_note_epoch(author, &author->epoch_due);
        author->epoch_due.number = 0;
        if (error != ILEA_ERROR_NONE) return error;
    }
    enum ilea_error error =
        ilea_log_append(author->txn, feed, feed->seq + 1, &id, bytes, &author->position);
    if (error != ILEA_ERROR_NONE) return error;
    author->commits[author->commit_count++] =
        (struct ilea_author_commit){ .feed = *feed, .seq = feed->seq, .id = id };
    return ILEA_ERROR_NONE;
}

/* The last positions of our other feeds of this scope that no opening of ours names yet, by feed id, into
 * *positions (heap). What is named once need not be again: a thousand starts leave one feed to name. */
static enum ilea_error
predecessors(struct ilea_author *author, enum ilea_scope scope, struct ilea_position **positions,
             uint32_t *count)
{
    *positions = calloc(ILEA_PREDECESSORS_MAX, sizeof **positions);
    if (*positions == NULL) return ILEA_ERROR_NO_MEMORY;
    *count = 0;
    for (uint32_t number = 1; *count < ILEA_PREDECESSORS_MAX; number++) {
        struct ilea_feed_row row;
        enum ilea_error error = ilea_log_feed(author->txn, number, &row);
        if (error == ILEA_ERROR_NOT_FOUND) break;
        if (error != ILEA_ERROR_NONE) return error;
        uint64_t seq = row.seq < row.limit_seq ? row.seq : row.limit_seq; /* of a fork: what all agree on */
        if (row.origin.scope != scope || seq <= row.named_seq
            || memcmp(row.origin.agency.bytes, author->identity->agency.bytes, ILEA_ID_SIZE) != 0) {
            continue;
        }
        struct ilea_chain_row chain;
        error = ilea_log_chain(author->txn, number, seq, &chain);
        if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
        uint32_t at = (*count)++;
        for (; at > 0 && memcmp((*positions)[at - 1].feed.bytes, row.id.bytes, ILEA_ID_SIZE) > 0; at--) {
            (*positions)[at] = (*positions)[at - 1];
        }
        (*positions)[at] = (struct ilea_position){ row.id, seq, chain.id };
    }
    return ILEA_ERROR_NONE;
}

/* A new incarnation: a new feed, whose first commit is begun with its opening statement. */
static enum ilea_error
open_feed(struct ilea_author *author, enum ilea_scope scope)
{
    struct ilea_feed_row row = { .origin = { .agency = author->identity->agency,
                                             .node = author->node, .scope = scope } };
    ilea_random_bytes(row.origin.incarnation, sizeof row.origin.incarnation);
    ilea_feed_id_of(&author->identity->network, &row.origin, &row.id);
    struct ilea_position *positions = NULL;
    uint32_t count = 0;
    enum ilea_error error = predecessors(author, scope, &positions, &count);
    if (error == ILEA_ERROR_NONE) error = ilea_log_add_feed(author->txn, &row);
    uint8_t *bytes = malloc(OPENING_SIZE_MAX);
    if (bytes == NULL) error = ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) {
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, bytes, OPENING_SIZE_MAX);
        ilea_opening_put(&writer, &row.origin, positions, count);
        ilea_assert(!writer.failed);
        ilea_commit_begin(author->builder, &author->identity->network, &row.id, 1, &row.head);
        error = ilea_commit_add_statement(author->builder, ilea_msgpack_written(&writer));
    }
    if (error == ILEA_ERROR_NONE) author->feeds[scope - 1] = row;
    free(positions);
    free(bytes);
    return error;
}

enum ilea_error
ilea_author_open_commit(struct ilea_author *author, enum ilea_scope scope)
{
    if (author->open_scope == scope) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_author_end_commit(author);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_feed_row *feed = &author->feeds[scope - 1];
    if (feed->number == 0) {
        error = open_feed(author, scope);
    } else {
        ilea_commit_begin(author->builder, &author->identity->network, &feed->id, feed->seq + 1,
                          &feed->head);
    }
    if (error == ILEA_ERROR_NONE) author->open_scope = scope;
    return error;
}

/* Add with `add` to the open commit, or to the next one if it is full. */
enum ilea_error
ilea_author_add_statement(struct ilea_author *author, enum ilea_scope scope,
                          struct ilea_span statement)
{
    enum ilea_error error = ilea_author_open_commit(author, scope);
    if (error == ILEA_ERROR_NONE) error = ilea_commit_add_statement(author->builder, statement);
    if (error != ILEA_ERROR_FULL) return error;
    error = ilea_author_end_commit(author);
    if (error == ILEA_ERROR_NONE) error = ilea_author_open_commit(author, scope);
    if (error == ILEA_ERROR_NONE) error = ilea_commit_add_statement(author->builder, statement);
    return error;
}

/*
 * Encrypt and add one change, whose head and ops the caller wrote to author->ops. Running number and
 * previous leaf are filled in here, because they are the feed's.
 */
enum ilea_error
ilea_author_add_change(struct ilea_author *author, enum ilea_scope scope, struct ilea_change *change)
{
    struct ilea_epoch_id epoch;
    enum ilea_error error = ilea_author_epoch(author, scope, change->label, &epoch);
    if (error == ILEA_ERROR_NONE) error = ilea_author_open_commit(author, scope);
    for (unsigned attempt = 0; error == ILEA_ERROR_NONE && attempt < 2; attempt++) {
        struct ilea_feed_row *feed = &author->feeds[scope - 1];
        change->run = feed->run + 1;
        memcpy(change->prev_leaf, feed->last_leaf, sizeof change->prev_leaf);
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, author->body, sizeof author->body);
        ilea_change_put_head(&writer, change);
        ilea_msgpack_put_raw(&writer, change->ops);
        if (writer.failed || writer.size > ILEA_CHANGE_SIZE_MAX) return ILEA_ERROR_LIMIT;
        uint8_t leaf[ILEA_HASH_SIZE];
        uint32_t flags = scope == ILEA_SCOPE_PEERS ? ILEA_ITEM_OPEN : 0;
        error = ilea_commit_add_change(author->builder, author->ring, flags,
                                       &author->audiences[scope - 1], &epoch,
                                       ilea_msgpack_written(&writer), leaf);
        if (error == ILEA_ERROR_NONE) {
            feed->run = change->run;
            memcpy(feed->last_leaf, leaf, sizeof feed->last_leaf);
            return ILEA_ERROR_NONE;
        }
        if (error == ILEA_ERROR_FULL) {
            error = ilea_author_end_commit(author);
            if (error == ILEA_ERROR_NONE) error = ilea_author_open_commit(author, scope);
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

static enum ilea_error
write_guard(struct ilea_author *author)
{
    if (author->guard == NULL) return ILEA_ERROR_NONE;
    struct ilea_guard_entry entries[ILEA_GUARD_SCOPES];
    for (unsigned i = 0; i < ILEA_GUARD_SCOPES; i++) {
        const struct ilea_feed_row *feed = &author->feeds[i];
        entries[i] = (struct ilea_guard_entry){ feed->id, feed->seq, feed->head };
    }
    return ilea_guard_write(author->guard, entries);
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
    if (error != ILEA_ERROR_NONE) {
        ilea_author_abort(author);
        return error;
    }
    ilea_transaction_abort(author->view_txn);
    author->view_txn = NULL;
    struct ilea_transaction *txn = author->txn;
    if (author->commit_count > 0 && !is_alone(author)) {
        ilea_author_abort(author);
        memset(author->feeds, 0, sizeof author->feeds);
        return ILEA_ERROR_BUSY;
    }
    error = ilea_transaction_commit(txn);
    author->txn = NULL;
    if (error != ILEA_ERROR_NONE) {
        memcpy(author->feeds, author->saved_feeds, sizeof author->feeds);
        author->position = author->saved_position;
        author->commit_count = 0;
        if (author->own_changed) ilea_author_forget_epochs(author);
        settle_pending(author, author->position);
        return error;
    }
    settle_pending(author, author->position);
    if (author->commit_count > 0) {
        error = write_guard(author);
        if (error != ILEA_ERROR_NONE || !is_alone(author)) {
            /* Durable but without permission to go on: what is in the log may be published, and the
             * next write opens a new incarnation. */
            memset(author->feeds, 0, sizeof author->feeds);
        }
    }
    *commits = author->commits;
    *count = author->commit_count;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_author_close_feed(struct ilea_author *author, const struct ilea_feed_id *id)
{
    for (unsigned i = 0; i < ILEA_GUARD_SCOPES; i++) {
        struct ilea_feed_row *feed = &author->feeds[i];
        if (feed->number == 0 || memcmp(feed->id.bytes, id->bytes, sizeof id->bytes) != 0) continue;
        if (author->open_scope == i + 1) {
            enum ilea_error error = ilea_author_end_commit(author);
            if (error != ILEA_ERROR_NONE) return error;
        }
        feed->closed = true;
        enum ilea_error error = ilea_log_put_feed(author->txn, feed);
        *feed = (struct ilea_feed_row){ .number = 0 };
        return error;
    }
    return ILEA_ERROR_NONE;
}
