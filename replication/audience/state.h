/*
 * state.h - what a membership holds: tables of statements, acts and agencies, and for each statement the set of its
 * ancestors. membership.c fills them, rules.c answers from them. Inside replication/audience/ alone.
 */
#ifndef ILEA_AUDIENCE_STATE_H
#define ILEA_AUDIENCE_STATE_H

#include "replication/audience/membership.h"

#define NONE UINT32_MAX /* no such place; also the end of a list */

enum {
    OWNER = 0, /* the owner's place among the agencies */
    WORD_BITS = 64,
    SET_WORDS = ILEA_CONTROLS_MAX / WORD_BITS
};

/* Statements, by their place in the order in which they came. */
struct set {
    uint64_t words[SET_WORDS];
};

struct control {
    struct ilea_commit_id id; /* first: ilea_membership_find_id() */
    bool is_audience;         /* else a SUSPEND */
    bool is_named;            /* by an AUDIENCE that is held: no head */
    uint32_t author, subject; /* agencies; the subject is a SUSPEND's */
    uint32_t next;            /* the next SUSPEND of the same subject */
    uint32_t missing_first, missing_count; /* names in `missing`, ascending, that were not held when this came */
    uint64_t number, time_ms; /* of an AUDIENCE */
    uint8_t aek_commit[ILEA_HASH_SIZE];
};

struct act {
    uint32_t control;
    uint32_t next; /* the next act on the same agency */
    enum ilea_member_act_kind kind;
    enum ilea_access level;
    struct ilea_reading_public reading;
    char code[ILEA_CODE_SIZE_MAX + 1];
};

struct agency {
    struct ilea_agency_id id; /* first: ilea_membership_find_id() */
    uint32_t acts, suspends;  /* lists */
    uint32_t add;             /* result: the act that makes it a member, or NONE */
    uint32_t suspend;         /* result: a SUSPEND of it that stands, or NONE */
};

struct info {
    uint64_t number;
    struct ilea_commit_id id;
    uint8_t name[ILEA_AUDIENCE_NAME_MAX];
    size_t name_size;
    uint32_t tlp;
    uint64_t history_ms;
    bool list;
};

struct ilea_membership {
    struct ilea_audience_id audience;
    bool is_frozen;

    struct control *controls;
    uint32_t *control_order; /* places in `controls`, ascending by id */
    uint64_t *ancestors;     /* a row of control_capacity bits for each, itself among them */
    uint32_t control_count, control_capacity;

    struct act *acts;
    uint32_t act_count, act_capacity;

    struct agency *agencies;
    uint32_t *agency_order; /* places in `agencies`, ascending by id */
    uint32_t agency_count, agency_capacity;

    struct ilea_head *missing;
    uint32_t missing_count, missing_capacity;

    bool has_info;
    struct info info;

    bool is_computed; /* what follows is of exactly these statements */
    bool is_limited;
    struct ilea_member *members;
    uint32_t member_capacity;
    struct ilea_membership_state state;
};

/* Where in `order` the entry with this id is, or would be. Entries of `size` bytes begin with their id. */
uint32_t ilea_membership_find_id(const void *table, size_t size, const uint32_t *order, uint32_t count,
                                 const uint8_t id[ILEA_ID_SIZE], bool *found);
/* Places, or NONE. */
uint32_t ilea_membership_find_control(const struct ilea_membership *membership, const struct ilea_commit_id *id);
uint32_t ilea_membership_find_agency(const struct ilea_membership *membership, const struct ilea_agency_id *id);

/* By number, then id: which of two AUDIENCEs is the higher. */
bool ilea_audience_is_higher(uint64_t number, const struct ilea_commit_id *id, uint64_t than_number,
                             const struct ilea_commit_id *than);

/* Bring membership->state up to date. ILEA_ERROR_NO_MEMORY */
ILEA_MUST_USE enum ilea_error ilea_membership_compute(struct ilea_membership *membership);

static inline void
set_add(struct set *set, uint32_t place)
{
    set->words[place / WORD_BITS] |= UINT64_C(1) << (place % WORD_BITS);
}

static inline bool
set_has(const struct set *set, uint32_t place)
{
    return (set->words[place / WORD_BITS] >> (place % WORD_BITS) & 1) != 0;
}

/* Words that any set of what is held can use. */
static inline uint32_t
words_used(const struct ilea_membership *membership)
{
    return (membership->control_count + WORD_BITS - 1) / WORD_BITS;
}

static inline uint64_t *
row_of(const struct ilea_membership *membership, uint32_t place)
{
    return membership->ancestors + (size_t)place * (membership->control_capacity / WORD_BITS);
}

static inline bool
row_has(const struct ilea_membership *membership, uint32_t of, uint32_t what)
{
    return (row_of(membership, of)[what / WORD_BITS] >> (what % WORD_BITS) & 1) != 0;
}

static inline bool
row_has_all(const struct ilea_membership *membership, uint32_t of, const struct set *set)
{
    const uint64_t *row = row_of(membership, of);
    for (uint32_t i = 0, count = words_used(membership); i < count; i++) {
        if ((set->words[i] & ~row[i]) != 0) return false;
    }
    return true;
}

static inline bool
row_has_any(const struct ilea_membership *membership, uint32_t of, const struct set *set)
{
    const uint64_t *row = row_of(membership, of);
    for (uint32_t i = 0, count = words_used(membership); i < count; i++) {
        if ((set->words[i] & row[i]) != 0) return true;
    }
    return false;
}

static inline void
set_add_row(struct set *set, const struct ilea_membership *membership, uint32_t place)
{
    const uint64_t *row = row_of(membership, place);
    for (uint32_t i = 0, count = words_used(membership); i < count; i++) set->words[i] |= row[i];
}

static inline void
row_add_set(const struct ilea_membership *membership, uint32_t place, const struct set *set)
{
    uint64_t *row = row_of(membership, place);
    for (uint32_t i = 0, count = words_used(membership); i < count; i++) row[i] |= set->words[i];
}

#endif
