/*
 * author_history.c - what the owner of a closed audience does when more is known of it: members whose reading key is
 * another now are added anew, and those who lack keys that the audience's history gives them get these (PROTOCOL.md
 * 31.7).
 */
#include <stdlib.h>
#include <string.h>

#include "node/author_state.h"
#include "node/reach.h"

/* One epoch whose key members may get, and what it goes by: its AUDIENCE, or what its WRITER names. */
struct known_epoch {
    struct ilea_epoch_row row;      /* its readers are `readers` */
    uint8_t *readers;               /* heap */
    struct ilea_commit_id ids[ILEA_HEADS_MAX];
    uint32_t id_count;
    bool is_writer;
};

struct known_epochs {
    struct known_epoch *epochs;
    uint32_t count, capacity;
};

static void
free_epochs(struct known_epochs *known)
{
    for (uint32_t i = 0; i < known->count; i++) free(known->epochs[i].readers);
    free(known->epochs);
}

/* Whether an agency is one whose feeds we hold, once they come. */
static bool
is_followed(const struct ilea_author *author, const struct ilea_agency_id *id)
{
    struct ilea_agency_row row;
    if (ilea_log_agency(author->txn, id, &row) != ILEA_ERROR_NONE) return false;
    return row.state == ILEA_AGENCY_SELF
        || (row.state == ILEA_AGENCY_APPROVED && (row.grant.scopes & ILEA_GRANT_FOLLOW) != 0);
}

bool
ilea_author_holds_named(const struct ilea_author *author, const struct ilea_membership *membership,
                        const struct ilea_stated_epoch *stated)
{
    struct ilea_msgpack_reader heads;
    ilea_msgpack_reader_init(&heads, stated->heads);
    for (uint32_t i = 0; i < stated->head_count; i++) {
        struct ilea_head head;
        ilea_head_get(&heads, &head);
        if (!ilea_membership_holds(membership, &head.id) && is_followed(author, &head.agency)) return false;
    }
    return true;
}

/* Take an epoch in, unless its key is not for others, or what it names is not all held. */
static enum ilea_error
take_epoch(struct ilea_author *author, const struct ilea_membership *membership, const struct ilea_epoch_row *row,
           struct known_epochs *known)
{
    struct ilea_stated_epoch stated;
    struct ilea_msgpack_reader heads;
    if (row->restricted) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_author_load_stated(author, row->feed, row->seq, &stated);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE; /* it does not count any more */
    if (error != ILEA_ERROR_NONE || !ilea_author_holds_named(author, membership, &stated)) return error;
    if (known->count == known->capacity) {
        uint32_t larger = known->capacity == 0 ? 32 : known->capacity * 2;
        struct known_epoch *moved = realloc(known->epochs, larger * sizeof *moved);
        if (moved == NULL) return ILEA_ERROR_NO_MEMORY;
        known->epochs = moved;
        known->capacity = larger;
    }
    struct known_epoch *epoch = &known->epochs[known->count];
    *epoch = (struct known_epoch){ .row = *row, .is_writer = stated.is_writer, .id_count = 1 };
    epoch->readers = malloc(row->readers.size + 1);
    if (epoch->readers == NULL) return ILEA_ERROR_NO_MEMORY;
    if (row->readers.size > 0) memcpy(epoch->readers, row->readers.data, row->readers.size);
    epoch->row.readers.data = epoch->readers;
    epoch->ids[0] = row->statement;
    if (stated.is_writer) epoch->id_count = stated.head_count;
    ilea_msgpack_reader_init(&heads, stated.heads);
    for (uint32_t i = 0; stated.is_writer && i < stated.head_count; i++) {
        struct ilea_head head;
        ilea_head_get(&heads, &head);
        epoch->ids[i] = head.id;
    }
    known->count++;
    return ILEA_ERROR_NONE;
}

static bool
is_reader(const struct ilea_epoch_row *row, const uint8_t key[ILEA_EPOCH_READER_SIZE])
{
    for (size_t at = 0; at + ILEA_EPOCH_READER_SIZE <= row->readers.size; at += ILEA_EPOCH_READER_SIZE) {
        if (memcmp(row->readers.data + at, key, ILEA_EPOCH_READER_SIZE) == 0) return true;
    }
    return false;
}

/* Whether a member may have keys from before it came at all: whatever label the audience takes may be under them, and
 * with four eyes nobody has seen that it goes to this member. */
static enum ilea_error
may_have_older(struct ilea_author *author, const struct ilea_membership_state *state,
               const struct ilea_member *member, bool *may)
{
    const struct ilea_reach_agencies *agencies;
    const struct ilea_reach_what what = { ILEA_SCOPE_AUDIENCE, state, state->tlp, NULL, NULL };
    enum ilea_error error = ilea_author_agencies(author, &agencies);
    *may = false;
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && !author->four_eyes && i < agencies->count; i++) {
        const struct ilea_reach_agency *agency = &agencies->rows[i];
        if (memcmp(agency->id.bytes, member->agency.bytes, sizeof agency->id.bytes) != 0) continue;
        *may = ilea_reach_to(agency, &what) == ILEA_REACH_GETS;
    }
    return error;
}

/* Whether the member lacks the key of an epoch and may have it; `older`: one from before it came, too. */
static bool
is_due(const struct ilea_membership *membership, const struct known_epoch *epoch, const struct ilea_member *member,
       const uint8_t key[ILEA_EPOCH_READER_SIZE], const struct ilea_agency_id *own, bool older)
{
    enum ilea_access level;
    if (is_reader(&epoch->row, key)) return false;
    /* Of somebody else's we know the readers only as the writer did. */
    bool is_others = memcmp(epoch->row.agency.bytes, own->bytes, sizeof own->bytes) != 0;
    if (is_others && epoch->row.readers.size == 0
        && ilea_membership_at(membership, epoch->ids, epoch->id_count, true, &member->agency, &level)
            == ILEA_ERROR_NONE
        && level != ILEA_ACCESS_NONE) {
        return false;
    }
    bool was_member = ilea_membership_at(membership, epoch->ids, epoch->id_count, false, &member->agency, &level)
            == ILEA_ERROR_NONE
        && level != ILEA_ACCESS_NONE;
    return (was_member || older)
        && ilea_membership_may_have(membership, epoch->ids, epoch->id_count, &member->agency);
}

/* Whether we have the key; if it was sealed to us, we do from now on. */
static enum ilea_error
hold(struct ilea_author *author, struct known_epoch *epoch, bool *holds)
{
    struct ilea_epoch_id id;
    struct ilea_stated_epoch stated;
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE];
    memcpy(id.bytes, epoch->row.aek_commit, sizeof id.bytes);
    *holds = ilea_keyring_holds(author->ring, &id);
    if (*holds) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_author_load_stated(author, epoch->row.feed, epoch->row.seq, &stated);
    if (error == ILEA_ERROR_NONE) error = ilea_author_unseal(author, &stated, wrapped);
    if (error == ILEA_ERROR_NONE) *holds = true;
    return error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_BAD_HASH ? ILEA_ERROR_NONE : error;
}

/* One HISTORY: the keys of some epochs, for one reader. */
static enum ilea_error
state_keys(struct ilea_author *author, uint32_t line, const uint8_t *key, struct known_epoch *const *epochs,
           uint32_t count)
{
    const struct ilea_audience_id audience = author->lines[line].audience;
    struct ilea_reading_public reading;
    struct ilea_msgpack_writer writer;
    uint8_t *bytes = malloc(ILEA_ITEM_SIZE_MAX);
    enum ilea_error error = bytes != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    memcpy(reading.bytes, key + ILEA_ID_SIZE, sizeof reading.bytes);
    ilea_msgpack_writer_init(&writer, bytes, ILEA_ITEM_SIZE_MAX);
    if (error == ILEA_ERROR_NONE) ilea_history_put_head(&writer, &audience, count);
    for (uint32_t i = 0; i < count && error == ILEA_ERROR_NONE; i++) {
        struct ilea_epoch_id id;
        uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE];
        memcpy(id.bytes, epochs[i]->row.aek_commit, sizeof id.bytes);
        error = ilea_keyring_wrap(author->ring, &id, &author->identity->network, &audience, &reading, wrapped);
        if (error == ILEA_ERROR_NONE) ilea_history_put_key(&writer, epochs[i]->row.aek_commit, wrapped);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_author_add_statement(author, line, ilea_msgpack_written(&writer));
    free(bytes);
    return error;
}

/* Whoever was handed a key is among the readers. */
static enum ilea_error
add_reader(struct ilea_author *author, struct known_epoch *epoch, const uint8_t key[ILEA_EPOCH_READER_SIZE])
{
    const size_t size = epoch->row.readers.size;
    uint8_t *moved = realloc(epoch->readers, size + ILEA_EPOCH_READER_SIZE);
    if (moved == NULL) return ILEA_ERROR_NO_MEMORY;
    epoch->readers = moved;
    size_t at = 0;
    while (at < size && memcmp(moved + at, key, ILEA_EPOCH_READER_SIZE) < 0) at += ILEA_EPOCH_READER_SIZE;
    memmove(moved + at + ILEA_EPOCH_READER_SIZE, moved + at, size - at);
    memcpy(moved + at, key, ILEA_EPOCH_READER_SIZE);
    epoch->row.readers = (struct ilea_span){ moved, size + ILEA_EPOCH_READER_SIZE };
    epoch->row.reader_count = (uint32_t)(epoch->row.readers.size / ILEA_EPOCH_READER_SIZE);
    /* A row keeps no more: of who else got the key it does not say, who then gets it once more. */
    if (epoch->row.reader_count > ILEA_MEMBERS_MAX) return ILEA_ERROR_NONE;
    return ilea_log_put_epoch(author->txn, &epoch->row);
}

/* What one member lacks. */
static enum ilea_error
hand_over(struct ilea_author *author, uint32_t line, const struct ilea_membership *membership,
          struct known_epochs *known, const struct ilea_member *member, bool older, struct known_epoch **due)
{
    uint8_t key[ILEA_EPOCH_READER_SIZE];
    uint32_t count = 0;
    enum ilea_error error = ILEA_ERROR_NONE;
    memcpy(key, member->agency.bytes, ILEA_ID_SIZE);
    memcpy(key + ILEA_ID_SIZE, member->reading.bytes, sizeof member->reading.bytes);
    for (uint32_t i = 0; i < known->count && error == ILEA_ERROR_NONE; i++) {
        struct known_epoch *epoch = &known->epochs[i];
        bool holds = false;
        if (!is_due(membership, epoch, member, key, &author->identity->agency, older)) continue;
        error = hold(author, epoch, &holds);
        if (holds) due[count++] = epoch;
    }
    for (uint32_t from = 0; from < count && error == ILEA_ERROR_NONE;) {
        uint32_t part = count - from < ILEA_HISTORY_KEYS_MAX ? count - from : ILEA_HISTORY_KEYS_MAX;
        error = state_keys(author, line, key, due + from, part);
        from += part;
    }
    for (uint32_t i = 0; i < count && error == ILEA_ERROR_NONE; i++) error = add_reader(author, due[i], key);
    return error;
}

static enum ilea_error
hand_over_all(struct ilea_author *author, const struct ilea_audience_id *audience,
              const struct ilea_membership *membership, const struct ilea_membership_state *state)
{
    struct known_epochs known = { .count = 0 };
    struct ilea_epoch_row row;
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; (error = ilea_log_epoch(author->txn, audience, i, &row)) == ILEA_ERROR_NONE; i++) {
        error = take_epoch(author, membership, &row, &known);
        if (error != ILEA_ERROR_NONE) break;
    }
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    struct known_epoch **due = calloc(known.count + 1, sizeof(struct known_epoch *));
    if (due == NULL) error = ILEA_ERROR_NO_MEMORY;
    uint32_t line = ilea_author_line(author, ILEA_SCOPE_AUDIENCE, audience);
    for (uint32_t i = 0; i < state->member_count && error == ILEA_ERROR_NONE; i++) {
        const struct ilea_member *member = &state->members[i];
        if (member->suspended || memcmp(member->agency.bytes, author->identity->agency.bytes, ILEA_ID_SIZE) == 0) {
            continue;
        }
        bool older = false;
        error = may_have_older(author, state, member, &older);
        if (error == ILEA_ERROR_NONE) error = hand_over(author, line, membership, &known, member, older, due);
    }
    free(due);
    free_epochs(&known);
    return error;
}

/* Members whose manifest has another reading key than they were added with, into *acts; ascending. */
static enum ilea_error
find_changed(struct ilea_author *author, const struct ilea_membership_state *state, struct ilea_member_act *acts,
             uint32_t *count)
{
    const struct ilea_reach_agencies *agencies;
    enum ilea_error error = ilea_author_agencies(author, &agencies);
    *count = 0;
    if (error != ILEA_ERROR_NONE) return error;
    for (uint32_t i = 0; i < agencies->count && *count < ILEA_MEMBER_ACTS_MAX; i++) {
        const struct ilea_reach_agency *agency = &agencies->rows[i];
        const struct ilea_member *member = ilea_membership_find(state, &agency->id);
        if (member == NULL || agency->state == ILEA_AGENCY_SELF || member->suspended
            || memcmp(member->reading.bytes, agency->reading.bytes, sizeof member->reading.bytes) == 0) {
            continue; /* an addition would lift a suspension */
        }
        acts[(*count)++] = (struct ilea_member_act){
            .kind = ILEA_MEMBER_ADD, .agency = agency->id, .level = member->level, .reading = agency->reading,
            .code = { (const uint8_t *)agency->code, strlen(agency->code) } };
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_author_audience_changed(struct ilea_author *author, const struct ilea_audience_id *audience)
{
    struct ilea_membership *membership;
    struct ilea_membership_state state;
    bool owns = false;
    enum ilea_error error = ilea_author_owns(author, audience, &owns);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE || !owns) return error;
    struct ilea_member_act *acts = malloc(ILEA_MEMBER_ACTS_MAX * sizeof *acts);
    if (acts == NULL) return ILEA_ERROR_NO_MEMORY;
    error = ilea_author_membership(author, audience, &membership);
    /* As many times as it takes for all members, and once to see that none is left. */
    for (uint32_t turn = 0; error == ILEA_ERROR_NONE && turn <= ILEA_MEMBERS_MAX / ILEA_MEMBER_ACTS_MAX; turn++) {
        uint32_t count = 0;
        error = ilea_membership_state(membership, &state);
        if (error == ILEA_ERROR_NONE) error = find_changed(author, &state, acts, &count);
        if (error != ILEA_ERROR_NONE || count == 0) break;
        error = ilea_author_state_audience(author, audience, acts, count, NULL);
        if (error == ILEA_ERROR_NONE) error = ilea_author_membership(author, audience, &membership);
    }
    free(acts);
    if (error == ILEA_ERROR_NONE) error = ilea_membership_state(membership, &state);
    if (error == ILEA_ERROR_NONE) error = hand_over_all(author, audience, membership, &state);
    /* Frozen, or of too many heads or members: until its owner has ended that nothing is handed over. */
    return error == ILEA_ERROR_LIMIT || error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

enum ilea_error
ilea_author_audiences_changed(struct ilea_author *author)
{
    struct ilea_audience_row row;
    struct ilea_audience_id last;
    const struct ilea_audience_id *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_audience_next(author->txn, after, &row)) == ILEA_ERROR_NONE) {
        last = row.audience;
        after = &last;
        error = ilea_author_audience_changed(author, &last);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}
