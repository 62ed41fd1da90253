/*
 * author_own.c - our own epochs in memory, in the order of (number, id): read from the log once, followed
 * through each group commit, and taken back from commits of ours that a restore had lost.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "node/author_state.h"

void
ilea_author_forget_epochs(struct ilea_author *author)
{
    for (uint32_t i = 0; i < author->own_count; i++) free(author->own[i].readers_bytes);
    author->own_count = 0;
    author->own_loaded = false;
}

static enum ilea_error
copy_readers(struct ilea_author_epoch *epoch, struct ilea_span readers)
{
    uint8_t *bytes = malloc(readers.size + 1);
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    if (readers.size > 0) memcpy(bytes, readers.data, readers.size);
    free(epoch->readers_bytes);
    epoch->readers_bytes = bytes;
    epoch->row.readers = (struct ilea_span){ bytes, readers.size };
    epoch->row.reader_count = (uint32_t)(readers.size / ILEA_EPOCH_READER_SIZE);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_author_set_readers(struct ilea_author *author, struct ilea_author_epoch *epoch, struct ilea_span readers)
{
    author->own_changed = true;
    enum ilea_error error = copy_readers(epoch, readers);
    return error == ILEA_ERROR_NONE ? ilea_log_put_epoch(author->txn, &epoch->row) : error;
}

/* Keep a copy of a row, in its place. */
enum ilea_error
ilea_author_note_epoch(struct ilea_author *author, const struct ilea_epoch_row *row)
{
    if (author->own_count == ILEA_OWN_EPOCHS_MAX) return ILEA_ERROR_LIMIT;
    if (author->own_count == author->own_capacity) {
        uint32_t larger = author->own_capacity == 0 ? 64 : author->own_capacity * 2;
        struct ilea_author_epoch *moved = realloc(author->own, larger * sizeof *moved);
        if (moved == NULL) return ILEA_ERROR_NO_MEMORY;
        author->own = moved;
        author->own_capacity = larger;
    }
    struct ilea_author_epoch epoch = { .row = *row };
    enum ilea_error error = copy_readers(&epoch, row->readers);
    if (error != ILEA_ERROR_NONE) return error;
    uint32_t at = author->own_count++;
    for (; at > 0; at--) {
        const struct ilea_epoch_row *before = &author->own[at - 1].row;
        if (before->number < row->number
            || (before->number == row->number
                && memcmp(before->aek_commit, row->aek_commit, ILEA_EPOCH_ID_SIZE) <= 0)) {
            break;
        }
        author->own[at] = author->own[at - 1];
    }
    author->own[at] = epoch;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_author_load_epochs(struct ilea_author *author, struct ilea_transaction *txn)
{
    if (author->own_loaded) return ILEA_ERROR_NONE;
    ilea_author_forget_epochs(author);
    for (uint32_t line = ILEA_LINE_AGENCY; line <= ILEA_LINE_PEERS; line++) {
        for (uint32_t i = 0;; i++) {
            struct ilea_epoch_row row;
            enum ilea_error error = ilea_log_epoch(txn, &author->lines[line].audience, i, &row);
            if (error == ILEA_ERROR_NOT_FOUND) break;
            if (error == ILEA_ERROR_NONE) error = ilea_author_note_epoch(author, &row);
            if (error != ILEA_ERROR_NONE) return error;
        }
    }
    author->own_loaded = true;
    return ILEA_ERROR_NONE;
}

/* One epoch of ours that came back. Who its readers were is not in it: it fits nobody, and a new epoch is
 * started with the next change. */
static enum ilea_error
take_back_epoch(struct ilea_author *author, const struct ilea_feed_row *feed, uint64_t seq, struct ilea_span content,
                const struct ilea_commit_id *id)
{
    struct ilea_epoch_statement statement;
    if (ilea_epoch_decode(content, &statement) != ILEA_ERROR_NONE) return ILEA_ERROR_NONE;
    struct ilea_epoch_row row = { .audience = author->lines[ILEA_LINE_PEERS].audience, .number = statement.number,
                                  .statement = *id, .agency = feed->origin.agency, .feed = feed->number, .seq = seq };
    memcpy(row.aek_commit, statement.aek_commit, sizeof row.aek_commit);
    struct ilea_epoch_id epoch;
    memcpy(epoch.bytes, row.aek_commit, sizeof epoch.bytes);
    if (ilea_keyring_holds(author->ring, &epoch)) return ILEA_ERROR_NONE; /* never lost */
    struct ilea_msgpack_reader wrapped;
    ilea_msgpack_reader_init(&wrapped, statement.wrapped);
    for (uint32_t i = 0; i < statement.wrapped_count; i++) {
        ilea_msgpack_get_bytes(&wrapped, row.wrapped, sizeof row.wrapped);
        enum ilea_error error =
            ilea_keys_unwrap(author->keys, author->ring, &author->identity->network,
                             &author->lines[ILEA_LINE_PEERS].audience, row.aek_commit, row.wrapped);
        if (error == ILEA_ERROR_NONE) {
            author->own_changed = true;
            error = ilea_log_put_epoch(author->txn, &row);
            return error == ILEA_ERROR_NONE ? ilea_author_note_epoch(author, &row) : error;
        }
        if (error != ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE; /* not a key of ours after all */
    }
    return ILEA_ERROR_NONE;
}

/* Whom an epoch of a closed audience was sealed to, as far as that is known: allowed members, by what it names. Where
 * some of that is missing, nobody: who lacks nothing is then handed its key once more. */
static enum ilea_error
closed_readers(struct ilea_author *author, const struct ilea_stated_epoch *stated, struct ilea_epoch_row *row,
               uint8_t *readers)
{
    struct ilea_membership *membership;
    struct ilea_membership_state state;
    enum ilea_error error = ilea_author_membership(author, &stated->audience, &membership);
    if (error == ILEA_ERROR_NONE) error = ilea_membership_state(membership, &state);
    if (error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_LIMIT) return ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE || stated->is_writer || !ilea_author_holds_named(author, membership, stated)) {
        return error;
    }
    for (uint32_t i = 0; i < state.member_count && row->reader_count < ILEA_MEMBERS_MAX; i++) {
        const struct ilea_member *member = &state.members[i];
        enum ilea_access level;
        bool is_self = memcmp(member->agency.bytes, author->identity->agency.bytes, ILEA_ID_SIZE) == 0;
        error = ilea_membership_at(membership, &row->statement, 1, true, &member->agency, &level);
        if (error == ILEA_ERROR_NOT_FOUND) break;
        if (error != ILEA_ERROR_NONE) return error;
        if (level == ILEA_ACCESS_NONE) continue;
        uint8_t *to = readers + (size_t)row->reader_count++ * ILEA_EPOCH_READER_SIZE;
        memcpy(to, member->agency.bytes, ILEA_ID_SIZE);
        memcpy(to + ILEA_ID_SIZE, is_self ? author->reading.bytes : member->reading.bytes,
               sizeof member->reading.bytes);
    }
    row->readers = (struct ilea_span){ readers, (size_t)row->reader_count * ILEA_EPOCH_READER_SIZE };
    return ILEA_ERROR_NONE;
}

/* An AUDIENCE or WRITER of ours that came back. */
static enum ilea_error
take_back_closed(struct ilea_author *author, const struct ilea_feed_row *feed, uint64_t seq, struct ilea_span content,
                 const struct ilea_commit_id *id)
{
    struct ilea_stated_epoch stated;
    if (ilea_author_read_stated(content, &stated) != ILEA_ERROR_NONE) return ILEA_ERROR_NONE;
    struct ilea_epoch_row row = { .audience = feed->origin.audience, .number = stated.number, .statement = *id,
                                  .agency = feed->origin.agency, .feed = feed->number, .seq = seq,
                                  .restricted = stated.restricted };
    memcpy(row.aek_commit, stated.aek_commit, sizeof row.aek_commit);
    if (memcmp(stated.audience.bytes, row.audience.bytes, sizeof row.audience.bytes) != 0) return ILEA_ERROR_NONE;
    if (ilea_log_has_epoch(author->txn, &row) == ILEA_ERROR_NONE) return ILEA_ERROR_NONE; /* never lost */
    uint8_t *readers = malloc((size_t)ILEA_MEMBERS_MAX * ILEA_EPOCH_READER_SIZE);
    if (readers == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ilea_author_unseal(author, &stated, row.wrapped);
    bool is_ours = error == ILEA_ERROR_NONE;
    if (is_ours) error = closed_readers(author, &stated, &row, readers);
    if (error == ILEA_ERROR_NONE) error = ilea_log_put_epoch(author->txn, &row);
    free(readers);
    return error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_BAD_HASH ? ILEA_ERROR_NONE : error;
}

/* Keys that we had handed out before a restore: to whom is not in it, so these epochs fit nobody any more. */
static enum ilea_error
take_back_history(struct ilea_author *author, struct ilea_span content)
{
    struct ilea_history_statement statement;
    if (ilea_history_decode(content, &statement) != ILEA_ERROR_NONE) return ILEA_ERROR_NONE;
    struct ilea_msgpack_reader keys;
    ilea_msgpack_reader_init(&keys, statement.keys);
    for (uint32_t k = 0; k < statement.key_count; k++) {
        uint8_t aek_commit[ILEA_HASH_SIZE], wrapped[ILEA_WRAPPED_KEY_SIZE];
        ilea_history_get_key(&keys, aek_commit, wrapped);
        for (uint32_t i = 0; i < author->own_count; i++) {
            struct ilea_author_epoch *epoch = &author->own[i];
            if (memcmp(epoch->row.aek_commit, aek_commit, sizeof aek_commit) != 0) continue;
            if (epoch->row.reader_count == 0) continue;
            enum ilea_error error = ilea_author_set_readers(author, epoch, (struct ilea_span){ NULL, 0 });
            if (error != ILEA_ERROR_NONE) return error;
        }
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_author_take_back(struct ilea_author *author, struct ilea_span bytes,
                      const struct ilea_commit_id *id)
{
    struct ilea_commit commit;
    enum ilea_error error = ilea_commit_decode(bytes, &commit);
    ilea_assert(error == ILEA_ERROR_NONE); /* the replicator checked it */
    author->epoch_count = 0;
    struct ilea_feed_row feed;
    error = ilea_log_feed_by_id(author->txn, &commit.header.feed, &feed);
    if (error == ILEA_ERROR_NONE) error = ilea_author_load_epochs(author, author->txn);
    struct ilea_msgpack_reader slots;
    ilea_msgpack_reader_init(&slots, commit.slots);
    for (uint32_t i = 0; i < commit.header.item_count && error == ILEA_ERROR_NONE; i++) {
        struct ilea_item item;
        struct ilea_span slot = ilea_slot_next(&slots);
        enum ilea_statement_kind kind;
        if (ilea_item_decode(slot, &item) != ILEA_ERROR_NONE || (item.flags & ILEA_ITEM_CONTROL) == 0
            || ilea_statement_kind_of(item.content, &kind) != ILEA_ERROR_NONE) {
            continue;
        }
        if (kind == ILEA_STATEMENT_EPOCH) error = take_back_epoch(author, &feed, commit.header.seq, item.content, id);
        if (feed.origin.scope == ILEA_SCOPE_AUDIENCE && i == ilea_naming_slot(&commit)) {
            error = take_back_closed(author, &feed, commit.header.seq, item.content, id);
        }
        if (kind == ILEA_STATEMENT_HISTORY) error = take_back_history(author, item.content);
    }
    return error;
}
