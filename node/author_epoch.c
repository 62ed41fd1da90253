/*
 * author_epoch.c - who can read what is written: epochs of the two implicit audiences.
 *
 * An epoch fits if its readers are exactly the agencies approved now (none, for the agency's own
 * audience). Otherwise a new one is started, its key sealed to each of them and to ourselves; agencies
 * that were no readers of the epoch before get the earlier keys too: the policy of these audiences is
 * that who is approved reads everything. (PROTOCOL.md, "Epochs".)
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "node/author_state.h"

struct reader {
    struct ilea_agency_id id;
    struct ilea_reading_public key;
};

/* The approved agencies and their reading keys, ascending by id. */
static enum ilea_error
collect_readers(struct ilea_author *author, struct reader *readers, uint32_t *count)
{
    struct ilea_agency_row row;
    const struct ilea_agency_id *after = NULL;
    struct ilea_agency_id last;
    *count = 0;
    for (;;) {
        enum ilea_error error = ilea_log_agency_next(author->txn, after, &row);
        if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
        if (error != ILEA_ERROR_NONE) return error;
        last = row.id;
        after = &last;
        if (row.state != ILEA_AGENCY_APPROVED) continue;
        if (*count + 1 >= ILEA_MEMBERS_MAX) return ILEA_ERROR_LIMIT; /* one place is our own */
        struct ilea_span bytes;
        struct ilea_manifest manifest;
        uint64_t index;
        error = ilea_log_manifest_last(author->txn, &row.id, &index, &bytes);
        if (error == ILEA_ERROR_NONE) error = ilea_manifest_decode(bytes, &manifest);
        if (error == ILEA_ERROR_NO_MEMORY) return error;
        if (error != ILEA_ERROR_NONE) return ILEA_ERROR_CORRUPT;
        readers[(*count)++] = (struct reader){ row.id, manifest.reading };
    }
}

/* Whether the epoch's key was sealed to this agency under this very reading key. */
static bool
is_reader(const struct ilea_epoch_row *epoch, const struct reader *reader)
{
    for (uint32_t i = 0; i < epoch->reader_count; i++) {
        const uint8_t *at = epoch->readers.data + (size_t)i * ILEA_EPOCH_READER_SIZE;
        if (memcmp(at, reader->id.bytes, ILEA_ID_SIZE) == 0
            && memcmp(at + ILEA_ID_SIZE, reader->key.bytes, sizeof reader->key.bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* The newest epoch of ours in a scope; number 0 if there is none. */
static enum ilea_error
newest_epoch(struct ilea_author *author, enum ilea_scope scope, struct ilea_epoch_row *epoch)
{
    struct ilea_epoch_row row;
    *epoch = (struct ilea_epoch_row){ .number = 0 };
    for (uint32_t i = 0;; i++) {
        enum ilea_error error = ilea_log_epoch(author->txn, scope, i, &row);
        if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
        if (error != ILEA_ERROR_NONE) return error;
        *epoch = row;
    }
}

static bool
readers_fit(const struct ilea_epoch_row *epoch, const struct reader *readers, uint32_t count)
{
    if (epoch->number == 0 || epoch->reader_count != count) return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_reader(epoch, &readers[i])) return false;
    }
    return true;
}

static void
name_epoch(const uint8_t aek_commit[ILEA_HASH_SIZE], struct ilea_epoch_id *id)
{
    memcpy(id->bytes, aek_commit, sizeof id->bytes);
}

/* Seal an epoch's key to all readers and ourselves, in a row. A reader whose key is unusable cannot
 * be in a manifest that was accepted. */
static enum ilea_error
wrap_for_all(struct ilea_author *author, enum ilea_scope scope, const struct ilea_epoch_id *epoch,
             const struct reader *readers, uint32_t count, uint8_t *wrapped)
{
    for (uint32_t i = 0; i <= count; i++) {
        enum ilea_error error = ilea_keyring_wrap(
            author->ring, epoch, &author->identity->network, &author->audiences[scope - 1],
            i < count ? &readers[i].key : &author->reading, wrapped + (size_t)i * ILEA_WRAPPED_KEY_SIZE);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
state_epoch(struct ilea_author *author, enum ilea_scope scope, const struct ilea_epoch_row *before,
            const struct reader *readers, uint32_t count)
{
    struct ilea_epoch_row *row = &author->epoch_due;
    if (row->number != 0) { /* a commit states one epoch at most: it is the epoch's name */
        enum ilea_error ended = ilea_author_end_commit(author);
        if (ended != ILEA_ERROR_NONE) return ended;
    }
    uint8_t *bytes = malloc(ILEA_ITEM_SIZE_MAX);
    uint8_t *wrapped = malloc((size_t)(count + 1) * ILEA_WRAPPED_KEY_SIZE);
    enum ilea_error error =
        bytes != NULL && wrapped != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    uint8_t aek_commit[ILEA_HASH_SIZE];
    if (error == ILEA_ERROR_NONE) {
        error = ilea_keyring_generate(author->ring, &author->identity->network,
                                      &author->audiences[scope - 1], aek_commit);
    }
    struct ilea_epoch_id id;
    if (error == ILEA_ERROR_NONE) {
        name_epoch(aek_commit, &id);
        error = wrap_for_all(author, scope, &id, readers, count, wrapped);
    }
    if (error == ILEA_ERROR_NONE) {
        uint8_t own[ILEA_WRAPPED_KEY_SIZE];
        memcpy(own, wrapped + (size_t)count * ILEA_WRAPPED_KEY_SIZE, sizeof own);
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, bytes, ILEA_ITEM_SIZE_MAX);
        ilea_epoch_put(&writer, &author->audiences[scope - 1], before->number + 1, aek_commit,
                       &before->statement, before->number > 0 ? 1 : 0, wrapped, count + 1);
        ilea_assert(!writer.failed);
        error = ilea_author_add_statement(author, scope, ilea_msgpack_written(&writer));
        for (uint32_t i = 0; i < count; i++) {
            uint8_t *at = author->epoch_readers[i];
            memcpy(at, readers[i].id.bytes, ILEA_ID_SIZE);
            memcpy(at + ILEA_ID_SIZE, readers[i].key.bytes, sizeof readers[i].key.bytes);
        }
        *row = (struct ilea_epoch_row){ .scope = scope, .number = before->number + 1,
                                        .reader_count = count,
                                        .readers = { author->epoch_readers[0],
                                                     (size_t)count * ILEA_EPOCH_READER_SIZE } };
        memcpy(row->aek_commit, aek_commit, sizeof row->aek_commit);
        memcpy(row->wrapped, own, sizeof own);
    }
    free(bytes);
    free(wrapped);
    if (error != ILEA_ERROR_NONE) return error;
    author->epochs[scope - 1].known = true;
    author->epochs[scope - 1].id = id;
    return ILEA_ERROR_NONE;
}

/* One HISTORY statement: the keys of `count` epochs from the index `from` on, for one reader. */
static enum ilea_error
state_keys(struct ilea_author *author, enum ilea_scope scope, const struct reader *reader, uint32_t from,
           uint32_t count, uint8_t *bytes)
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, ILEA_ITEM_SIZE_MAX);
    ilea_history_put_head(&writer, &author->audiences[scope - 1], count);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_epoch_row epoch;
        enum ilea_error error = ilea_log_epoch(author->txn, scope, from + i, &epoch);
        if (error != ILEA_ERROR_NONE) return error;
        struct ilea_epoch_id id;
        uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE];
        name_epoch(epoch.aek_commit, &id);
        error = ilea_keyring_wrap(author->ring, &id, &author->identity->network,
                                  &author->audiences[scope - 1], &reader->key, wrapped);
        if (error != ILEA_ERROR_NONE) return error;
        ilea_history_put_key(&writer, epoch.aek_commit, wrapped);
    }
    ilea_assert(!writer.failed); /* statement.h's limits see to it */
    return ilea_author_add_statement(author, scope, ilea_msgpack_written(&writer));
}

/* Hand the keys of all epochs before the new one to the readers who were not in the one before it. */
static enum ilea_error
state_history(struct ilea_author *author, enum ilea_scope scope, const struct ilea_epoch_row *before,
              const struct reader *readers, uint32_t reader_count)
{
    if (before->number == 0) return ILEA_ERROR_NONE;
    uint32_t epoch_count = 0;
    struct ilea_epoch_row epoch;
    while (ilea_log_epoch(author->txn, scope, epoch_count, &epoch) == ILEA_ERROR_NONE) epoch_count++;
    uint8_t *bytes = malloc(ILEA_ITEM_SIZE_MAX);
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t r = 0; r < reader_count && error == ILEA_ERROR_NONE; r++) {
        if (is_reader(before, &readers[r])) continue;
        for (uint32_t from = 0; from < epoch_count && error == ILEA_ERROR_NONE;) {
            uint32_t count = epoch_count - from < ILEA_HISTORY_KEYS_MAX ? epoch_count - from
                                                                        : ILEA_HISTORY_KEYS_MAX;
            error = state_keys(author, scope, &readers[r], from, count, bytes);
            from += count;
        }
    }
    free(bytes);
    return error;
}

/* The newest epoch if its readers fit; else a new one, begun in the commit being built. */
static enum ilea_error
fit_epoch(struct ilea_author *author, enum ilea_scope scope, bool only_if_shared,
          struct ilea_epoch_id *epoch)
{
    struct reader *readers = malloc(ILEA_MEMBERS_MAX * sizeof *readers);
    if (readers == NULL) return ILEA_ERROR_NO_MEMORY;
    uint32_t count = 0;
    struct ilea_epoch_row newest;
    enum ilea_error error = ILEA_ERROR_NONE;
    if (scope == ILEA_SCOPE_PEERS) error = collect_readers(author, readers, &count);
    if (error == ILEA_ERROR_NONE) error = newest_epoch(author, scope, &newest);
    if (error != ILEA_ERROR_NONE || (only_if_shared && newest.number == 0)) {
        free(readers);
        return error;
    }
    struct ilea_epoch_id id;
    name_epoch(newest.aek_commit, &id);
    if (readers_fit(&newest, readers, count) && ilea_keyring_holds(author->ring, &id)) {
        author->epochs[scope - 1].known = true;
        author->epochs[scope - 1].id = id;
    } else {
        uint8_t *before = malloc(newest.readers.size + 1);
        if (before == NULL) {
            free(readers);
            return ILEA_ERROR_NO_MEMORY;
        }
        /* The row's readers lie in the file, which the next put may move. */
        if (newest.readers.size > 0) memcpy(before, newest.readers.data, newest.readers.size);
        newest.readers.data = before;
        error = state_history(author, scope, &newest, readers, count);
        if (error == ILEA_ERROR_NONE) error = state_epoch(author, scope, &newest, readers, count);
        free(before);
    }
    free(readers);
    if (error == ILEA_ERROR_NONE && epoch != NULL) *epoch = author->epochs[scope - 1].id;
    return error;
}

/* One statement of ours that came back. Who its readers were is not in it: it fits nobody, and a new
 * epoch is started with the next change. */
static enum ilea_error
take_back_epoch(struct ilea_author *author, struct ilea_span content, const struct ilea_commit_id *id)
{
    struct ilea_epoch_statement statement;
    if (ilea_epoch_decode(content, &statement) != ILEA_ERROR_NONE) return ILEA_ERROR_NONE;
    struct ilea_epoch_row row = { .scope = ILEA_SCOPE_PEERS, .number = statement.number,
                                  .statement = *id };
    memcpy(row.aek_commit, statement.aek_commit, sizeof row.aek_commit);
    struct ilea_epoch_id epoch;
    name_epoch(row.aek_commit, &epoch);
    if (ilea_keyring_holds(author->ring, &epoch)) return ILEA_ERROR_NONE; /* never lost */
    struct ilea_msgpack_reader wrapped;
    ilea_msgpack_reader_init(&wrapped, statement.wrapped);
    for (uint32_t i = 0; i < statement.wrapped_count; i++) {
        ilea_msgpack_get_bytes(&wrapped, row.wrapped, sizeof row.wrapped);
        enum ilea_error error =
            ilea_keyring_unwrap(author->ring, author->keys->reading, &author->identity->network,
                                &author->audiences[ILEA_SCOPE_PEERS - 1], row.aek_commit, row.wrapped);
        if (error == ILEA_ERROR_NONE) return ilea_log_put_epoch(author->txn, &row);
        if (error != ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE; /* not a key of ours after all */
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
    struct ilea_msgpack_reader slots;
    ilea_msgpack_reader_init(&slots, commit.slots);
    for (uint32_t i = 0; i < commit.header.item_count && error == ILEA_ERROR_NONE; i++) {
        struct ilea_item item;
        struct ilea_span slot = ilea_slot_next(&slots);
        enum ilea_statement_kind kind;
        if (ilea_item_decode(slot, &item) == ILEA_ERROR_NONE && (item.flags & ILEA_ITEM_CONTROL) != 0
            && ilea_statement_kind_of(item.content, &kind) == ILEA_ERROR_NONE
            && kind == ILEA_STATEMENT_EPOCH) {
            error = take_back_epoch(author, item.content, id);
        }
    }
    return error;
}

enum ilea_error
ilea_author_epoch(struct ilea_author *author, enum ilea_scope scope, struct ilea_epoch_id *epoch)
{
    if (author->epochs[scope - 1].known) {
        *epoch = author->epochs[scope - 1].id;
        return ILEA_ERROR_NONE;
    }
    return fit_epoch(author, scope, false, epoch);
}

enum ilea_error
ilea_author_readers_changed(struct ilea_author *author)
{
    author->epochs[ILEA_SCOPE_PEERS - 1].known = false;
    return fit_epoch(author, ILEA_SCOPE_PEERS, true, NULL);
}
