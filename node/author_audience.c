/*
 * author_audience.c - what we state in closed audiences, and under which key an item goes there (PROTOCOL.md 31).
 *
 * A statement that names others stands first in a commit. AUDIENCE and SUSPEND are alone in theirs, so that what is
 * known of the audience is right again before anything is written by it; USE and WRITER are followed by the items that
 * they are for.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "node/author_state.h"
#include "node/reach.h"

/* Readers as rows have them, ascending. */
struct readers {
    uint8_t (*keys)[ILEA_EPOCH_READER_SIZE];
    uint32_t count;
};

static void
make_key(uint8_t key[ILEA_EPOCH_READER_SIZE], const struct ilea_agency_id *agency,
         const struct ilea_reading_public *reading)
{
    memcpy(key, agency->bytes, ILEA_ID_SIZE);
    memcpy(key + ILEA_ID_SIZE, reading->bytes, sizeof reading->bytes);
}

static bool
is_self(const struct ilea_author *author, const struct ilea_agency_id *agency)
{
    return memcmp(agency->bytes, author->identity->agency.bytes, ILEA_ID_SIZE) == 0;
}

enum ilea_error
ilea_author_membership(struct ilea_author *author, const struct ilea_audience_id *audience,
                       struct ilea_membership **membership)
{
    return ilea_audience_get(author->audiences, author->txn, audience, membership);
}

enum ilea_error
ilea_author_owns(struct ilea_author *author, const struct ilea_audience_id *audience, bool *owns)
{
    struct ilea_audience_row row;
    enum ilea_error error = ilea_log_audience(author->txn, audience, &row);
    *owns = error == ILEA_ERROR_NONE && is_self(author, &row.owner);
    return error;
}

/* What is known of an audience, for writing by it. LIMIT: nobody does. */
static enum ilea_error
look(struct ilea_author *author, const struct ilea_audience_id *audience, struct ilea_membership **membership,
     struct ilea_membership_state *state)
{
    enum ilea_error error = ilea_author_membership(author, audience, membership);
    return error == ILEA_ERROR_NONE ? ilea_membership_state(*membership, state) : error;
}

static void
hash_heads(const struct ilea_membership_state *state, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_STORED);
    ilea_hash_add_u64(&hasher, state->head_count);
    for (uint32_t i = 0; i < state->head_count; i++) {
        ilea_hash_add(&hasher, state->heads[i].id.bytes, sizeof state->heads[i].id.bytes);
    }
    ilea_hash_end(&hasher, hash);
}

/* Whether the last statement in the feed says that its writer knew these heads. */
static bool
has_named(const struct ilea_author_line *line, const struct ilea_membership_state *state)
{
    uint8_t hash[ILEA_HASH_SIZE];
    if (line->feed.number == 0 || !line->has_named) return false;
    hash_heads(state, hash);
    return memcmp(hash, line->named, sizeof hash) == 0;
}

/* The last statement in the feed says so now; epochs of our own that go by another are over. */
static void
set_named(struct ilea_author_line *line, const struct ilea_membership_state *state)
{
    hash_heads(state, line->named);
    line->has_named = true;
    line->writer_count = 0;
}

/* First in a commit. `epoch`: which it begins; NULL: none. `alone`: the commit ends with it. */
static enum ilea_error
state_first(struct ilea_author *author, uint32_t line, const struct ilea_msgpack_writer *statement,
            const struct ilea_epoch_row *epoch, bool alone)
{
    if (statement->failed) return ILEA_ERROR_LIMIT;
    enum ilea_error error = ilea_author_end_commit(author);
    if (error == ILEA_ERROR_NONE) error = ilea_author_open_commit(author, line);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_commit_add_statement(author->builder, ilea_msgpack_written(statement));
    }
    if (error == ILEA_ERROR_FULL) { /* a long opening and a long list of readers: the next commit's first */
        error = ilea_author_end_commit(author);
        if (error == ILEA_ERROR_NONE) error = ilea_author_open_commit(author, line);
        if (error == ILEA_ERROR_NONE) {
            error = ilea_commit_add_statement(author->builder, ilea_msgpack_written(statement));
        }
    }
    if (error == ILEA_ERROR_NONE && epoch != NULL) {
        author->epoch_due = *epoch;
        author->has_epoch_due = true;
    }
    return error == ILEA_ERROR_NONE && alone ? ilea_author_end_commit(author) : error;
}

/* A new key, sealed to each reader in a row of `wrapped`; *row is to be put into the log with the commit. */
static enum ilea_error
seal_key(struct ilea_author *author, uint32_t line, const struct readers *readers, uint8_t *wrapped,
         struct ilea_epoch_row *row)
{
    const struct ilea_network_id *network = &author->identity->network;
    const struct ilea_audience_id *audience = &author->lines[line].audience;
    const size_t size = (size_t)readers->count * ILEA_EPOCH_READER_SIZE;
    struct ilea_epoch_id id;
    *row = (struct ilea_epoch_row){ .audience = *audience, .agency = author->identity->agency,
                                    .reader_count = readers->count };
    enum ilea_error error = ilea_keyring_generate(author->ring, network, audience, row->aek_commit);
    memcpy(id.bytes, row->aek_commit, sizeof id.bytes);
    for (uint32_t i = 0; i < readers->count && error == ILEA_ERROR_NONE; i++) {
        struct ilea_reading_public key;
        uint8_t *to = wrapped + (size_t)i * ILEA_WRAPPED_KEY_SIZE;
        memcpy(key.bytes, readers->keys[i] + ILEA_ID_SIZE, sizeof key.bytes);
        error = ilea_keyring_wrap(author->ring, &id, network, audience, &key, to);
        if (memcmp(readers->keys[i], author->identity->agency.bytes, ILEA_ID_SIZE) == 0) {
            memcpy(row->wrapped, to, sizeof row->wrapped);
        }
    }
    memcpy(author->due_readers, readers->keys, size);
    row->readers = (struct ilea_span){ author->due_readers, size };
    return error;
}

/* The members that an AUDIENCE leaves allowed: its readers. */
static enum ilea_error
allowed_readers(const struct ilea_author *author, const struct ilea_membership_state *state, struct readers *readers)
{
    if (state->member_count > ILEA_MEMBERS_MAX) return ILEA_ERROR_LIMIT;
    readers->count = 0;
    readers->keys = malloc((size_t)state->member_count * sizeof *readers->keys);
    if (readers->keys == NULL) return ILEA_ERROR_NO_MEMORY;
    for (uint32_t i = 0; i < state->member_count; i++) {
        const struct ilea_member *member = &state->members[i];
        if (member->suspended) continue;
        make_key(readers->keys[readers->count++], &member->agency,
                 is_self(author, &member->agency) ? &author->reading : &member->reading);
    }
    return ILEA_ERROR_NONE;
}

/* K of an audience of ours; one that is new has none in the log. */
static enum ilea_error
look_at_own(struct ilea_author *author, const struct ilea_audience_id *audience, bool is_new,
            struct ilea_membership **membership, struct ilea_membership_state *state)
{
    enum ilea_error error = is_new ? ilea_membership_new(&author->identity->agency, audience, membership)
                                   : ilea_author_membership(author, audience, membership);
    if (error == ILEA_ERROR_NONE) error = ilea_membership_state(*membership, state);
    /* Too many heads, or members: it is the owner who can end that. */
    bool mends = error == ILEA_ERROR_LIMIT && state->statement_count < ILEA_CONTROLS_MAX;
    return mends ? ILEA_ERROR_NONE : error;
}

/* Who can read it, its key, the statement. */
static enum ilea_error
state_members(struct ilea_author *author, uint32_t line, const struct ilea_membership_state *before,
              const struct ilea_membership_state *after, struct ilea_member_act *acts, uint32_t act_count,
              const struct ilea_audience_info *info)
{
    struct readers readers = { .keys = NULL };
    struct ilea_epoch_row row;
    struct ilea_head heads[ILEA_HEADS_MAX];
    uint8_t *bytes = malloc(ILEA_ITEM_SIZE_MAX);
    uint8_t *wrapped = malloc((size_t)ILEA_MEMBERS_MAX * ILEA_WRAPPED_KEY_SIZE);
    enum ilea_error error = bytes != NULL && wrapped != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_author_end_commit(author);
    if (error == ILEA_ERROR_NONE) error = allowed_readers(author, after, &readers);
    if (error == ILEA_ERROR_NONE) error = seal_key(author, line, &readers, wrapped, &row);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_msgpack_writer writer;
        struct ilea_audience_statement statement = {
            .audience = author->lines[line].audience, .number = before->next_number, .head_count = before->head_count,
            .wrapped_count = readers.count, .act_count = act_count, .time_ms = author->now_ms,
            .has_info = info != NULL };
        if (info != NULL) {
            statement.name = info->name;
            statement.tlp = info->tlp;
            statement.history_ms = info->history_ms;
            statement.list = info->list;
        }
        memcpy(statement.aek_commit, row.aek_commit, sizeof statement.aek_commit);
        memcpy(heads, before->heads, before->head_count * sizeof heads[0]);
        ilea_msgpack_writer_init(&writer, bytes, ILEA_ITEM_SIZE_MAX);
        ilea_audience_statement_put(&writer, &statement, heads, wrapped, acts);
        row.number = statement.number;
        error = state_first(author, line, &writer, &row, true);
    }
    free(readers.keys);
    free(bytes);
    free(wrapped);
    return error;
}

enum ilea_error
ilea_author_state_audience(struct ilea_author *author, const struct ilea_audience_id *audience,
                           struct ilea_member_act *acts, uint32_t act_count, const struct ilea_audience_info *info)
{
    struct ilea_membership *membership = NULL, *after = NULL;
    struct ilea_membership_state before, then;
    uint32_t line = ilea_author_line(author, ILEA_SCOPE_AUDIENCE, audience);
    enum ilea_error error = look_at_own(author, audience, info != NULL, &membership, &before);
    if (error == ILEA_ERROR_NONE) error = ilea_membership_after(membership, acts, act_count, &after);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_membership_state(after, &then);
        if (error == ILEA_ERROR_LIMIT && then.statement_count <= ILEA_CONTROLS_MAX) error = ILEA_ERROR_NONE;
    }
    if (error == ILEA_ERROR_NONE) error = state_members(author, line, &before, &then, acts, act_count, info);
    if (info != NULL) ilea_membership_free(membership);
    ilea_membership_free(after);
    if (error == ILEA_ERROR_NONE) error = look_at_own(author, audience, false, &membership, &before);
    if (error == ILEA_ERROR_NONE) set_named(&author->lines[line], &before);
    return error;
}

enum ilea_error
ilea_author_state_suspend(struct ilea_author *author, const struct ilea_audience_id *audience,
                          const struct ilea_agency_id *subject, struct ilea_span reason)
{
    struct ilea_membership *membership;
    struct ilea_membership_state state;
    uint32_t line = ilea_author_line(author, ILEA_SCOPE_AUDIENCE, audience);
    uint8_t *bytes = malloc(ILEA_ITEM_SIZE_MAX);
    enum ilea_error error = bytes != NULL ? look(author, audience, &membership, &state) : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) {
        struct ilea_msgpack_writer writer;
        struct ilea_suspend_statement suspend = { .audience = *audience, .head_count = state.head_count,
                                                  .subject = *subject, .reason = reason };
        struct ilea_head heads[ILEA_HEADS_MAX];
        memcpy(heads, state.heads, state.head_count * sizeof heads[0]);
        ilea_msgpack_writer_init(&writer, bytes, ILEA_ITEM_SIZE_MAX);
        ilea_suspend_put(&writer, &suspend, heads);
        error = state_first(author, line, &writer, NULL, true);
    }
    free(bytes);
    if (error == ILEA_ERROR_NONE) error = look(author, audience, &membership, &state);
    if (error == ILEA_ERROR_NONE) set_named(&author->lines[line], &state);
    return error;
}

enum ilea_error
ilea_author_read_stated(struct ilea_span content, struct ilea_stated_epoch *stated)
{
    struct ilea_audience_statement audience;
    struct ilea_writer_epoch writer;
    if (ilea_audience_statement_decode(content, &audience) == ILEA_ERROR_NONE) {
        *stated = (struct ilea_stated_epoch){ .audience = audience.audience, .number = audience.number,
                                              .head_count = audience.head_count, .heads = audience.heads,
                                              .wrapped_count = audience.wrapped_count, .wrapped = audience.wrapped };
        memcpy(stated->aek_commit, audience.aek_commit, sizeof stated->aek_commit);
        return ILEA_ERROR_NONE;
    }
    if (ilea_writer_epoch_decode(content, &writer) != ILEA_ERROR_NONE) return ILEA_ERROR_NOT_FOUND;
    *stated = (struct ilea_stated_epoch){ .audience = writer.audience, .is_writer = true,
                                          .restricted = writer.restricted, .head_count = writer.head_count,
                                          .heads = writer.heads, .wrapped_count = writer.wrapped_count,
                                          .wrapped = writer.wrapped };
    memcpy(stated->aek_commit, writer.aek_commit, sizeof stated->aek_commit);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_author_load_stated(struct ilea_author *author, uint32_t feed, uint64_t seq, struct ilea_stated_epoch *stated)
{
    struct ilea_chain_row chain;
    struct ilea_log_commit row;
    struct ilea_commit commit;
    enum ilea_error error = ilea_log_chain(author->txn, feed, seq, &chain);
    if (error == ILEA_ERROR_NONE) error = ilea_log_commit_at(author->txn, chain.position, &row);
    if (error == ILEA_ERROR_NONE) error = ilea_log_check_commit(author->txn, &row, &commit);
    return error == ILEA_ERROR_NONE ? ilea_author_read_stated(ilea_naming_statement(&commit), stated) : error;
}

enum ilea_error
ilea_author_unseal(struct ilea_author *author, const struct ilea_stated_epoch *stated,
                   uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE])
{
    struct ilea_msgpack_reader keys;
    ilea_msgpack_reader_init(&keys, stated->wrapped);
    for (uint32_t i = 0; i < stated->wrapped_count; i++) {
        ilea_msgpack_get_bytes(&keys, wrapped, ILEA_WRAPPED_KEY_SIZE);
        enum ilea_error error = ilea_keys_unwrap(author->keys, author->ring, &author->identity->network,
                                                 &stated->audience, stated->aek_commit, wrapped);
        if (error == ILEA_ERROR_FULL) return ILEA_ERROR_LIMIT;
        if (error != ILEA_ERROR_NOT_FOUND) return error;
    }
    return ILEA_ERROR_NOT_FOUND;
}

/* Whether the key of the current epoch is held, or was sealed to us. */
static enum ilea_error
hold_epoch(struct ilea_author *author, uint32_t line, const struct ilea_membership_state *state, bool *holds)
{
    struct ilea_author_line *to = &author->lines[line];
    struct ilea_epoch_id epoch;
    struct ilea_control_row row;
    struct ilea_stated_epoch stated;
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE];
    memcpy(epoch.bytes, state->aek_commit, sizeof epoch.bytes);
    *holds = ilea_keyring_holds(author->ring, &epoch);
    bool is_in_vain = memcmp(to->unopened.bytes, state->epoch.bytes, sizeof to->unopened.bytes) == 0;
    if (*holds || is_in_vain) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_log_control(author->txn, &to->audience, &state->epoch, &row);
    if (error == ILEA_ERROR_NONE) error = ilea_author_load_stated(author, row.feed, row.seq, &stated);
    if (error == ILEA_ERROR_NONE) error = ilea_author_unseal(author, &stated, wrapped);
    if (error == ILEA_ERROR_NONE) {
        *holds = true;
    } else if (error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_BAD_HASH) {
        to->unopened = state->epoch; /* not to be tried again for each item */
        error = ILEA_ERROR_NONE;
    }
    return error;
}

/* Those who receive it, and ourselves. */
static enum ilea_error
reached_readers(struct ilea_author *author, const struct ilea_reach_what *what, struct readers *readers)
{
    const struct ilea_reach_agencies *agencies;
    enum ilea_error error = ilea_author_agencies(author, &agencies);
    if (error != ILEA_ERROR_NONE) return error;
    readers->count = 0;
    readers->keys = malloc(((size_t)agencies->count + 1) * sizeof *readers->keys);
    if (readers->keys == NULL) return ILEA_ERROR_NO_MEMORY;
    for (uint32_t i = 0; i < agencies->count; i++) {
        const struct ilea_reach_agency *agency = &agencies->rows[i];
        if (ilea_reach_to(agency, what) != ILEA_REACH_GETS) continue;
        if (readers->count == ILEA_MEMBERS_MAX) return ILEA_ERROR_LIMIT;
        make_key(readers->keys[readers->count++], &agency->id,
                 is_self(author, &agency->id) ? &author->reading : &agency->reading);
    }
    return ILEA_ERROR_NONE;
}

static uint32_t
count_allowed(const struct ilea_membership_state *state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->member_count; i++) {
        if (!state->members[i].suspended) count++;
    }
    return count;
}

static enum ilea_error
state_use(struct ilea_author *author, uint32_t line, const struct ilea_membership_state *state)
{
    uint8_t bytes[ILEA_HEADS_MAX * 72 + 64];
    struct ilea_msgpack_writer writer;
    struct ilea_head heads[ILEA_HEADS_MAX];
    const struct ilea_use_statement use = { .audience = author->lines[line].audience,
                                            .head_count = state->head_count };
    memcpy(heads, state->heads, state->head_count * sizeof heads[0]);
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_use_put(&writer, &use, heads);
    enum ilea_error error = state_first(author, line, &writer, NULL, false);
    if (error == ILEA_ERROR_NONE) set_named(&author->lines[line], state);
    return error;
}

/* An epoch of our own for these readers, begun with the commit that is opened. */
static enum ilea_error
state_writer(struct ilea_author *author, uint32_t line, const struct ilea_membership_state *state,
             const struct readers *readers, struct ilea_epoch_id *id)
{
    struct ilea_epoch_row row;
    struct ilea_head heads[ILEA_HEADS_MAX];
    uint8_t *bytes = malloc(ILEA_ITEM_SIZE_MAX);
    uint8_t *wrapped = malloc((size_t)readers->count * ILEA_WRAPPED_KEY_SIZE);
    enum ilea_error error = bytes != NULL && wrapped != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_author_end_commit(author);
    if (error == ILEA_ERROR_NONE) error = seal_key(author, line, readers, wrapped, &row);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_msgpack_writer writer;
        struct ilea_writer_epoch statement = { .audience = author->lines[line].audience,
                                               .restricted = readers->count < count_allowed(state),
                                               .head_count = state->head_count, .wrapped_count = readers->count };
        memcpy(statement.aek_commit, row.aek_commit, sizeof statement.aek_commit);
        memcpy(heads, state->heads, state->head_count * sizeof heads[0]);
        ilea_msgpack_writer_init(&writer, bytes, ILEA_ITEM_SIZE_MAX);
        ilea_writer_epoch_put(&writer, &statement, heads, wrapped);
        row.restricted = statement.restricted;
        error = state_first(author, line, &writer, &row, false);
        memcpy(id->bytes, row.aek_commit, sizeof id->bytes);
    }
    free(bytes);
    free(wrapped);
    return error;
}

/* An epoch of our own: the one that these readers had last by the light of the same, else a new one. */
static enum ilea_error
own_epoch(struct ilea_author *author, uint32_t line, const struct ilea_membership_state *state,
          const struct readers *readers, struct ilea_epoch_id *id)
{
    struct ilea_author_line *to = &author->lines[line];
    uint8_t hash[ILEA_HASH_SIZE];
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_STORED);
    ilea_hash_add(&hasher, readers->keys, (size_t)readers->count * ILEA_EPOCH_READER_SIZE);
    ilea_hash_end(&hasher, hash);
    bool same = has_named(to, state);
    for (uint32_t i = 0; same && i < to->writer_count; i++) {
        if (memcmp(to->writers[i].readers, hash, sizeof hash) != 0) continue;
        *id = to->writers[i].epoch;
        return ILEA_ERROR_NONE;
    }
    enum ilea_error error = state_writer(author, line, state, readers, id);
    if (error != ILEA_ERROR_NONE) return error;
    if (!same) set_named(to, state);
    if (to->writer_count == ILEA_LINE_WRITERS_MAX) {
        to->writer_count--;
        memmove(&to->writers[0], &to->writers[1], to->writer_count * sizeof to->writers[0]);
    }
    memcpy(to->writers[to->writer_count].readers, hash, sizeof hash);
    to->writers[to->writer_count++].epoch = *id;
    return ILEA_ERROR_NONE;
}

static enum ilea_error
fit(struct ilea_author *author, uint32_t line, const struct ilea_membership_state *state,
    const struct readers *readers, struct ilea_epoch_id *id)
{
    bool holds = false;
    if (readers->count == count_allowed(state) && state->has_epoch) {
        enum ilea_error error = hold_epoch(author, line, state, &holds);
        if (error != ILEA_ERROR_NONE) return error;
    }
    if (!holds) return own_epoch(author, line, state, readers, id);
    memcpy(id->bytes, state->aek_commit, sizeof id->bytes);
    return has_named(&author->lines[line], state) ? ILEA_ERROR_NONE : state_use(author, line, state);
}

enum ilea_error
ilea_author_closed_epoch(struct ilea_author *author, uint32_t line, uint32_t label, struct ilea_epoch_id *epoch)
{
    struct ilea_membership *membership;
    struct ilea_membership_state state;
    struct readers readers = { .keys = NULL };
    const struct ilea_audience_id audience = author->lines[line].audience;
    enum ilea_error error = look(author, &audience, &membership, &state);
    bool is_own = false;
    if (error == ILEA_ERROR_NONE) error = ilea_author_owns(author, &audience, &is_own);
    if (error == ILEA_ERROR_NONE && is_own && !state.has_epoch) {
        error = ilea_author_state_audience(author, &audience, NULL, 0, NULL);
        if (error == ILEA_ERROR_NONE) error = look(author, &audience, &membership, &state);
    }
    if (error == ILEA_ERROR_NONE) {
        const struct ilea_reach_what what = { ILEA_SCOPE_AUDIENCE, &state, label, ilea_author_is_within, author };
        error = reached_readers(author, &what, &readers);
    }
    if (error == ILEA_ERROR_NONE) error = fit(author, line, &state, &readers, epoch);
    free(readers.keys);
    return error;
}
