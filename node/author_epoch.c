/*
 * author_epoch.c - who can read what is written: epochs of the two implicit audiences.
 *
 * An epoch is for one label and has a set of readers: agencies, each with one reading key. It fits a change
 * if its label is the change's and its readers are exactly those who may read it now: ourselves, and for
 * what is shared each approved agency whose ceiling allows the label and whose areas, if its grant names
 * any, hold all areas of the record. The newest epoch that fits is used, so that changes of alternating
 * labels do not start one each; if none fits, a new one is started.
 *
 * Whoever is new among the readers of a label and is not restricted to areas gets the keys of all earlier
 * epochs of the labels that it may read. From then on it counts as a reader of those: an epoch whose key
 * somebody holds never fits again once that agency is not to read. (PROTOCOL.md, "Epochs".)
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "node/author_state.h"
#include "node/reach.h"

enum { LABELS = 2 }; /* of what all peers may read: CLEAR and GREEN */

/* A set of readers, ascending, as rows have them. */
struct reader_set {
    uint8_t (*keys)[ILEA_EPOCH_READER_SIZE];
    uint32_t count;
};

/* Agency id || reading key, as rows have it. */
static void
make_reader(const struct ilea_author *author, const struct ilea_reach_agency *agency,
            uint8_t key[ILEA_EPOCH_READER_SIZE])
{
    const struct ilea_reading_public *reading =
        agency->state == ILEA_AGENCY_SELF ? &author->reading : &agency->reading;
    memcpy(key, agency->id.bytes, ILEA_ID_SIZE);
    memcpy(key + ILEA_ID_SIZE, reading->bytes, sizeof reading->bytes);
}

void
ilea_author_forget_readers(struct ilea_author *author)
{
    ilea_reach_unload(&author->agencies);
    author->epoch_count = 0;
}

enum ilea_error
ilea_author_agencies(struct ilea_author *author, const struct ilea_reach_agencies **agencies)
{
    *agencies = &author->agencies;
    if (author->agencies.count > 0) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_reach_load(author->txn, true, &author->agencies);
    if (error == ILEA_ERROR_NONE && author->agencies.count > ILEA_MEMBERS_MAX) {
        ilea_author_forget_readers(author);
        error = ILEA_ERROR_LIMIT;
    }
    return error;
}

static bool
is_self(const struct ilea_author *author, const uint8_t *key)
{
    return memcmp(key, author->identity->agency.bytes, ILEA_ID_SIZE) == 0;
}

/* `with_record`: the areas of the record at hand count; else those who are restricted to areas are left out. */
static enum ilea_error
choose_readers(struct ilea_author *author, enum ilea_scope scope, uint32_t label, bool with_record,
               struct reader_set *set)
{
    const struct ilea_reach_agencies *agencies;
    const struct ilea_reach_what what = { scope, NULL, label, with_record ? ilea_author_is_within : NULL, author };
    enum ilea_error error = ilea_author_agencies(author, &agencies);
    if (error != ILEA_ERROR_NONE) return error;
    set->count = 0;
    set->keys = malloc(agencies->count * sizeof *set->keys);
    if (set->keys == NULL) return ILEA_ERROR_NO_MEMORY;
    for (uint32_t i = 0; i < agencies->count; i++) {
        const struct ilea_reach_agency *agency = &agencies->rows[i];
        if (ilea_reach_to(agency, &what) == ILEA_REACH_GETS) make_reader(author, agency, set->keys[set->count++]);
    }
    return ILEA_ERROR_NONE;
}

static void
name_epoch(const uint8_t aek_commit[ILEA_HASH_SIZE], struct ilea_epoch_id *id)
{
    memcpy(id->bytes, aek_commit, sizeof id->bytes);
}

static bool
same_readers(struct ilea_span readers, const struct reader_set *set)
{
    size_t size = (size_t)set->count * ILEA_EPOCH_READER_SIZE;
    return readers.size == size && memcmp(readers.data, set->keys, size) == 0;
}

static bool
is_reader(struct ilea_span readers, const uint8_t *key)
{
    for (size_t at = 0; at + ILEA_EPOCH_READER_SIZE <= readers.size; at += ILEA_EPOCH_READER_SIZE) {
        if (memcmp(readers.data + at, key, ILEA_EPOCH_READER_SIZE) == 0) return true;
    }
    return false;
}

static bool
is_of_line(const struct ilea_author *author, const struct ilea_epoch_row *row, uint32_t line)
{
    return memcmp(row->audience.bytes, author->lines[line].audience.bytes, sizeof row->audience.bytes) == 0;
}

/* The newest epoch of a line that fits. */
static bool
find_epoch(const struct ilea_author *author, uint32_t line, uint32_t label,
           const struct reader_set *set, struct ilea_epoch_id *id)
{
    const struct ilea_epoch_row *due = &author->epoch_due;
    if (author->has_epoch_due && is_of_line(author, due, line) && due->label == label
        && same_readers(due->readers, set)) {
        name_epoch(due->aek_commit, id);
        return true;
    }
    for (uint32_t i = author->own_count; i-- > 0;) {
        const struct ilea_epoch_row *row = &author->own[i].row;
        if (!is_of_line(author, row, line) || row->label != label || !same_readers(row->readers, set)) continue;
        name_epoch(row->aek_commit, id);
        if (ilea_keyring_holds(author->ring, id)) return true;
    }
    return false;
}

/* Seal an epoch's key to all readers, in a row. A reader whose key is unusable cannot be in a manifest
 * that was accepted. */
static enum ilea_error
wrap_for_all(struct ilea_author *author, uint32_t line, const struct ilea_epoch_id *epoch,
             const struct reader_set *set, uint8_t *wrapped, uint8_t own[ILEA_WRAPPED_KEY_SIZE])
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct ilea_reading_public key;
        memcpy(key.bytes, set->keys[i] + ILEA_ID_SIZE, sizeof key.bytes);
        uint8_t *to = wrapped + (size_t)i * ILEA_WRAPPED_KEY_SIZE;
        enum ilea_error error = ilea_keyring_wrap(author->ring, epoch, &author->identity->network,
                                                  &author->lines[line].audience, &key, to);
        if (error != ILEA_ERROR_NONE) return error;
        if (is_self(author, set->keys[i])) memcpy(own, to, ILEA_WRAPPED_KEY_SIZE);
    }
    return ILEA_ERROR_NONE;
}

/* The newest epoch of a line, which the next one names. NULL: there is none. */
static const struct ilea_epoch_row *
newest_epoch(const struct ilea_author *author, uint32_t line)
{
    for (uint32_t i = author->own_count; i-- > 0;) {
        if (is_of_line(author, &author->own[i].row, line)) return &author->own[i].row;
    }
    return NULL;
}

/* Begin an epoch in the commit being built. A commit states one at most: it is the epoch's name. */
static enum ilea_error
state_epoch(struct ilea_author *author, uint32_t line, uint32_t label, const struct reader_set *set,
            struct ilea_epoch_id *id)
{
    struct ilea_epoch_row *row = &author->epoch_due;
    if (author->has_epoch_due) {
        enum ilea_error ended = ilea_author_end_commit(author);
        if (ended != ILEA_ERROR_NONE) return ended;
    }
    const struct ilea_epoch_row *before = newest_epoch(author, line);
    uint64_t number = before != NULL ? before->number + 1 : 1;
    struct ilea_commit_id head = before != NULL ? before->statement : (struct ilea_commit_id){ { 0 } };
    uint8_t aek_commit[ILEA_HASH_SIZE], own[ILEA_WRAPPED_KEY_SIZE] = { 0 };
    uint8_t *bytes = malloc(ILEA_ITEM_SIZE_MAX);
    uint8_t *wrapped = malloc((size_t)set->count * ILEA_WRAPPED_KEY_SIZE);
    enum ilea_error error =
        bytes != NULL && wrapped != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_keyring_generate(author->ring, &author->identity->network,
                                      &author->lines[line].audience, aek_commit);
    }
    if (error == ILEA_ERROR_NONE) {
        name_epoch(aek_commit, id);
        error = wrap_for_all(author, line, id, set, wrapped, own);
    }
    if (error == ILEA_ERROR_NONE) {
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, bytes, ILEA_ITEM_SIZE_MAX);
        ilea_epoch_put(&writer, &author->lines[line].audience, number, aek_commit, &head,
                       before != NULL ? 1 : 0, wrapped, set->count);
        ilea_assert(!writer.failed);
        error = ilea_author_add_statement(author, line, ilea_msgpack_written(&writer));
    }
    if (error == ILEA_ERROR_NONE) {
        size_t size = (size_t)set->count * ILEA_EPOCH_READER_SIZE;
        memcpy(author->due_readers, set->keys, size);
        *row = (struct ilea_epoch_row){ .audience = author->lines[line].audience, .label = label, .number = number,
                                        .reader_count = set->count,
                                        .readers = { author->due_readers, size } };
        memcpy(row->aek_commit, aek_commit, sizeof row->aek_commit);
        memcpy(row->wrapped, own, sizeof own);
        author->has_epoch_due = true;
    }
    free(bytes);
    free(wrapped);
    return error;
}

/* One HISTORY statement: the keys of own[at[0]] ... own[at[count - 1]], for one reader. */
static enum ilea_error
state_keys(struct ilea_author *author, const uint8_t *reader, const uint32_t *at, uint32_t count, uint8_t *bytes)
{
    const struct ilea_audience_id *audience = &author->lines[ILEA_LINE_PEERS].audience;
    struct ilea_reading_public key;
    memcpy(key.bytes, reader + ILEA_ID_SIZE, sizeof key.bytes);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, ILEA_ITEM_SIZE_MAX);
    ilea_history_put_head(&writer, audience, count);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_epoch_id id;
        uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE];
        name_epoch(author->own[at[i]].row.aek_commit, &id);
        enum ilea_error error =
            ilea_keyring_wrap(author->ring, &id, &author->identity->network, audience, &key, wrapped);
        if (error != ILEA_ERROR_NONE) return error;
        ilea_history_put_key(&writer, author->own[at[i]].row.aek_commit, wrapped);
    }
    ilea_assert(!writer.failed); /* statement.h's limits see to it */
    return ilea_author_add_statement(author, ILEA_LINE_PEERS, ilea_msgpack_written(&writer));
}

/* Whoever was handed an epoch's key is a reader of it from now on. The epoch itself is over: every addition
 * starts a new one. So our own place in it, without which it fits nobody, is taken out. */
static enum ilea_error
add_epoch_reader(struct ilea_author *author, struct ilea_author_epoch *epoch, const uint8_t *reader)
{
    struct ilea_span old = epoch->row.readers;
    uint8_t *bytes = malloc(old.size + ILEA_EPOCH_READER_SIZE);
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    size_t size = 0;
    bool added = false;
    for (size_t at = 0; at < old.size; at += ILEA_EPOCH_READER_SIZE) {
        if (!added && memcmp(old.data + at, reader, ILEA_EPOCH_READER_SIZE) > 0) {
            memcpy(bytes + size, reader, ILEA_EPOCH_READER_SIZE);
            size += ILEA_EPOCH_READER_SIZE;
            added = true;
        }
        if (is_self(author, old.data + at)) continue;
        memcpy(bytes + size, old.data + at, ILEA_EPOCH_READER_SIZE);
        size += ILEA_EPOCH_READER_SIZE;
    }
    if (!added) {
        memcpy(bytes + size, reader, ILEA_EPOCH_READER_SIZE);
        size += ILEA_EPOCH_READER_SIZE;
    }
    enum ilea_error error = ilea_author_set_readers(author, epoch, (struct ilea_span){ bytes, size });
    free(bytes);
    return error;
}

/* The keys of earlier epochs that one reader may read and lacks. */
static enum ilea_error
give_history(struct ilea_author *author, const struct ilea_reach_agency *reader, uint32_t *at, uint8_t *bytes)
{
    uint32_t count = 0;
    uint8_t key[ILEA_EPOCH_READER_SIZE];
    make_reader(author, reader, key);
    for (uint32_t i = 0; i < author->own_count; i++) {
        const struct ilea_epoch_row *row = &author->own[i].row;
        struct ilea_epoch_id id;
        name_epoch(row->aek_commit, &id);
        /* One that came back after a restore does not say what it was for. */
        uint32_t label = row->label != 0 ? row->label : ILEA_LABEL_GREEN;
        if (is_of_line(author, row, ILEA_LINE_PEERS) && label <= reader->tlp_max
            && !is_reader(row->readers, key) && ilea_keyring_holds(author->ring, &id)) {
            at[count++] = i;
        }
    }
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t from = 0; from < count && error == ILEA_ERROR_NONE;) {
        uint32_t part = count - from < ILEA_HISTORY_KEYS_MAX ? count - from : ILEA_HISTORY_KEYS_MAX;
        error = state_keys(author, key, at + from, part, bytes);
        from += part;
    }
    for (uint32_t i = 0; i < count && error == ILEA_ERROR_NONE; i++) {
        error = add_epoch_reader(author, &author->own[at[i]], key);
    }
    return error;
}

/* Hand earlier keys to all who may have them and do not. Before a new epoch, so that its readers find what
 * came before it readable. */
static enum ilea_error
give_histories(struct ilea_author *author)
{
    if (author->has_epoch_due) {
        enum ilea_error ended = ilea_author_end_commit(author);
        if (ended != ILEA_ERROR_NONE) return ended;
    }
    uint32_t *at = malloc((author->own_count + 1) * sizeof *at);
    uint8_t *bytes = malloc(ILEA_ITEM_SIZE_MAX);
    const struct ilea_reach_agencies *agencies;
    enum ilea_error error =
        at != NULL && bytes != NULL ? ilea_author_agencies(author, &agencies) : ILEA_ERROR_NO_MEMORY;
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < agencies->count; i++) {
        const struct ilea_reach_agency *reader = &agencies->rows[i];
        if (reader->areas != NULL || reader->state == ILEA_AGENCY_SELF) continue; /* restricted: from now on */
        error = give_history(author, reader, at, bytes);
    }
    free(at);
    free(bytes);
    return error;
}

/* The newest epoch that fits, else a new one, begun in the commit being built. */
static enum ilea_error
fit_epoch(struct ilea_author *author, uint32_t line, uint32_t label, bool with_record,
          struct ilea_epoch_id *id)
{
    struct reader_set set = { .keys = NULL };
    enum ilea_error error = ilea_author_load_epochs(author, author->txn);
    if (error == ILEA_ERROR_NONE) error = choose_readers(author, author->lines[line].scope, label, with_record, &set);
    if (error == ILEA_ERROR_NONE && !find_epoch(author, line, label, &set, id)) {
        if (line == ILEA_LINE_PEERS) error = give_histories(author);
        if (error == ILEA_ERROR_NONE) error = state_epoch(author, line, label, &set, id);
    }
    free(set.keys);
    return error;
}

static bool
any_is_restricted(const struct ilea_author *author)
{
    for (uint32_t i = 0; i < author->agencies.count; i++) {
        if (author->agencies.rows[i].areas != NULL) return true;
    }
    return false;
}

enum ilea_error
ilea_author_epoch(struct ilea_author *author, uint32_t line, uint32_t label, struct ilea_epoch_id *epoch)
{
    if (author->lines[line].scope == ILEA_SCOPE_AUDIENCE) return ilea_author_closed_epoch(author, line, label, epoch);
    if (line == ILEA_LINE_AGENCY) label = 0;
    for (uint32_t i = 0; i < author->epoch_count; i++) {
        if (author->epochs[i].line != line || author->epochs[i].label != label) continue;
        *epoch = author->epochs[i].id;
        return ILEA_ERROR_NONE;
    }
    enum ilea_error error = fit_epoch(author, line, label, true, epoch);
    /* Where nobody is restricted to areas, the label alone decides, as long as this group commit lasts. */
    if (error == ILEA_ERROR_NONE && (line == ILEA_LINE_AGENCY || !any_is_restricted(author))) {
        ilea_assert(author->epoch_count < ILEA_EPOCHS_CHOSEN_MAX);
        author->epochs[author->epoch_count].line = line;
        author->epochs[author->epoch_count].label = label;
        author->epochs[author->epoch_count++].id = *epoch;
    }
    return error;
}

/* Of what all peers may read. */
static enum ilea_error
open_readers_changed(struct ilea_author *author)
{
    enum ilea_error error = ilea_author_load_epochs(author, author->txn);
    if (error != ILEA_ERROR_NONE || newest_epoch(author, ILEA_LINE_PEERS) == NULL) return error;
    bool used[LABELS + 1] = { false };
    for (uint32_t i = 0; i < author->own_count; i++) {
        const struct ilea_epoch_row *row = &author->own[i].row;
        if (is_of_line(author, row, ILEA_LINE_PEERS) && row->label <= LABELS) used[row->label] = true;
    }
    if (used[0]) used[ILEA_LABEL_GREEN] = true;
    error = give_histories(author);
    for (uint32_t label = ILEA_LABEL_CLEAR; label <= LABELS && error == ILEA_ERROR_NONE; label++) {
        struct ilea_epoch_id id;
        if (used[label]) error = fit_epoch(author, ILEA_LINE_PEERS, label, false, &id);
    }
    return error;
}

enum ilea_error
ilea_author_readers_changed(struct ilea_author *author)
{
    ilea_author_forget_readers(author);
    enum ilea_error error = open_readers_changed(author);
    return error == ILEA_ERROR_NONE ? ilea_author_audiences_changed(author) : error;
}
