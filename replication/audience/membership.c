#include "replication/audience/membership.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"

enum {
    NONE = UINT32_MAX, /* no such index; also the end of a list */
    OWNER = 0,         /* the owner's place among the agencies */
    WORD_BITS = 64,
    SET_WORDS = ILEA_CONTROLS_MAX / WORD_BITS
};

/* Statements, by their place in the order in which they came. */
struct set {
    uint64_t words[SET_WORDS];
};

struct control {
    struct ilea_commit_id id; /* first: find_id() */
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
    struct ilea_agency_id id; /* first: find_id() */
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

    struct ilea_commit_id *missing;
    uint32_t missing_count, missing_capacity;

    bool has_info;
    struct info info;

    bool is_computed; /* what follows is of exactly these statements */
    bool is_limited;
    struct ilea_member *members;
    uint32_t member_capacity;
    struct ilea_membership_state state;
};

/* What a statement says, decoded. */
struct statement {
    bool is_audience;
    struct ilea_audience_statement audience;
    struct ilea_suspend_statement suspend;
    uint32_t head_count;
    struct ilea_head heads[ILEA_HEADS_MAX];
};

/* ---- Sets ---- */

static void
set_add(struct set *set, uint32_t place)
{
    set->words[place / WORD_BITS] |= UINT64_C(1) << (place % WORD_BITS);
}

static bool
set_has(const struct set *set, uint32_t place)
{
    return (set->words[place / WORD_BITS] >> (place % WORD_BITS) & 1) != 0;
}

/* Words that any set of what is held can use. */
static uint32_t
words_used(const struct ilea_membership *membership)
{
    return (membership->control_count + WORD_BITS - 1) / WORD_BITS;
}

static uint64_t *
row_of(const struct ilea_membership *membership, uint32_t place)
{
    return membership->ancestors + (size_t)place * (membership->control_capacity / WORD_BITS);
}

static bool
row_has(const struct ilea_membership *membership, uint32_t of, uint32_t what)
{
    return (row_of(membership, of)[what / WORD_BITS] >> (what % WORD_BITS) & 1) != 0;
}

static bool
row_has_all(const struct ilea_membership *membership, uint32_t of, const struct set *set)
{
    const uint64_t *row = row_of(membership, of);
    for (uint32_t i = 0, count = words_used(membership); i < count; i++) {
        if ((set->words[i] & ~row[i]) != 0) return false;
    }
    return true;
}

static bool
row_has_any(const struct ilea_membership *membership, uint32_t of, const struct set *set)
{
    const uint64_t *row = row_of(membership, of);
    for (uint32_t i = 0, count = words_used(membership); i < count; i++) {
        if ((set->words[i] & row[i]) != 0) return true;
    }
    return false;
}

static void
set_add_row(struct set *set, const struct ilea_membership *membership, uint32_t place)
{
    const uint64_t *row = row_of(membership, place);
    for (uint32_t i = 0, count = words_used(membership); i < count; i++) set->words[i] |= row[i];
}

static void
row_add_set(const struct ilea_membership *membership, uint32_t place, const struct set *set)
{
    uint64_t *row = row_of(membership, place);
    for (uint32_t i = 0, count = words_used(membership); i < count; i++) row[i] |= set->words[i];
}

/* ---- Tables ---- */

/* Where in `order` the entry with this id is, or would be. Entries of `size` bytes begin with their id. */
static uint32_t
find_id(const void *table, size_t size, const uint32_t *order, uint32_t count, const uint8_t id[ILEA_ID_SIZE],
        bool *found)
{
    uint32_t low = 0, high = count;
    *found = false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int difference = memcmp((const uint8_t *)table + order[middle] * size, id, ILEA_ID_SIZE);
        if (difference == 0) {
            *found = true;
            return middle;
        }
        if (difference < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void
order_insert(uint32_t *order, uint32_t count, uint32_t at, uint32_t place)
{
    memmove(order + at + 1, order + at, (count - at) * sizeof *order);
    order[at] = place;
}

static uint32_t
find_control(const struct ilea_membership *membership, const struct ilea_commit_id *id)
{
    bool found;
    uint32_t at = find_id(membership->controls, sizeof *membership->controls, membership->control_order,
                          membership->control_count, id->bytes, &found);
    return found ? membership->control_order[at] : NONE;
}

static uint32_t
find_agency(const struct ilea_membership *membership, const struct ilea_agency_id *id)
{
    bool found;
    uint32_t at = find_id(membership->agencies, sizeof *membership->agencies, membership->agency_order,
                          membership->agency_count, id->bytes, &found);
    return found ? membership->agency_order[at] : NONE;
}

/* Its place; a new one where there is room for it already. */
static uint32_t
take_agency(struct ilea_membership *membership, const struct ilea_agency_id *id)
{
    bool found;
    uint32_t at = find_id(membership->agencies, sizeof *membership->agencies, membership->agency_order,
                          membership->agency_count, id->bytes, &found);
    if (found) return membership->agency_order[at];
    uint32_t place = membership->agency_count;
    ilea_assert(place < membership->agency_capacity);
    membership->agencies[place] = (struct agency){ .id = *id, .acts = NONE, .suspends = NONE };
    order_insert(membership->agency_order, membership->agency_count, at, place);
    membership->agency_count++;
    return place;
}

static uint32_t
larger_capacity(uint32_t capacity, uint32_t count, uint32_t least)
{
    if (capacity < least) capacity = least;
    while (capacity < count) capacity *= 2;
    return capacity;
}

static bool
grow(void *pointer_to_table, size_t size, uint32_t count)
{
    void *table;
    memcpy(&table, pointer_to_table, sizeof table);
    void *moved = realloc(table, count * size);
    if (moved == NULL) return false;
    memcpy(pointer_to_table, &moved, sizeof moved);
    return true;
}

static bool
reserve_control(struct ilea_membership *membership)
{
    if (membership->control_count < membership->control_capacity) return true;
    uint32_t capacity = larger_capacity(membership->control_capacity, membership->control_count + 1, WORD_BITS);
    if (!grow(&membership->controls, sizeof *membership->controls, capacity)
        || !grow(&membership->control_order, sizeof *membership->control_order, capacity)) {
        return false;
    }
    const uint32_t words = membership->control_capacity / WORD_BITS, more = capacity / WORD_BITS;
    uint64_t *ancestors = calloc((size_t)capacity * more, sizeof *ancestors);
    if (ancestors == NULL) return false;
    for (uint32_t i = 0; i < membership->control_count; i++) {
        memcpy(ancestors + (size_t)i * more, membership->ancestors + (size_t)i * words, words * sizeof *ancestors);
    }
    free(membership->ancestors);
    membership->ancestors = ancestors;
    membership->control_capacity = capacity;
    return true;
}

static bool
reserve_acts(struct ilea_membership *membership, uint32_t count)
{
    if (count <= membership->act_capacity) return true;
    uint32_t capacity = larger_capacity(membership->act_capacity, count, 64);
    if (!grow(&membership->acts, sizeof *membership->acts, capacity)) return false;
    membership->act_capacity = capacity;
    return true;
}

static bool
reserve_agencies(struct ilea_membership *membership, uint32_t count)
{
    if (count <= membership->agency_capacity) return true;
    uint32_t capacity = larger_capacity(membership->agency_capacity, count, 16);
    if (!grow(&membership->agencies, sizeof *membership->agencies, capacity)
        || !grow(&membership->agency_order, sizeof *membership->agency_order, capacity)) {
        return false;
    }
    membership->agency_capacity = capacity;
    return true;
}

static bool
reserve_missing(struct ilea_membership *membership, uint32_t count)
{
    if (count <= membership->missing_capacity) return true;
    uint32_t capacity = larger_capacity(membership->missing_capacity, count, 16);
    if (!grow(&membership->missing, sizeof *membership->missing, capacity)) return false;
    membership->missing_capacity = capacity;
    return true;
}

enum ilea_error
ilea_membership_new(const struct ilea_agency_id *owner, const struct ilea_audience_id *audience,
                    struct ilea_membership **membership)
{
    struct ilea_membership *made = calloc(1, sizeof *made);
    if (made == NULL) return ILEA_ERROR_NO_MEMORY;
    made->audience = *audience;
    if (!reserve_agencies(made, 1)) {
        ilea_membership_free(made);
        return ILEA_ERROR_NO_MEMORY;
    }
    ilea_assert(take_agency(made, owner) == OWNER);
    *membership = made;
    return ILEA_ERROR_NONE;
}

void
ilea_membership_free(struct ilea_membership *membership)
{
    if (membership == NULL) return;
    free(membership->controls);
    free(membership->control_order);
    free(membership->ancestors);
    free(membership->acts);
    free(membership->agencies);
    free(membership->agency_order);
    free(membership->missing);
    free(membership->members);
    free(membership);
}

/* ---- Taking a statement ---- */

static enum ilea_error
decode(struct ilea_span content, struct statement *statement)
{
    enum ilea_statement_kind kind;
    enum ilea_error error = ilea_statement_kind_of(content, &kind);
    if (error != ILEA_ERROR_NONE) return ILEA_ERROR_MALFORMED;
    struct ilea_span heads;
    memset(statement, 0, sizeof *statement);
    if (kind == ILEA_STATEMENT_AUDIENCE) {
        error = ilea_audience_statement_decode(content, &statement->audience);
        statement->is_audience = true;
        statement->head_count = statement->audience.head_count;
        heads = statement->audience.heads;
    } else if (kind == ILEA_STATEMENT_SUSPEND) {
        error = ilea_suspend_decode(content, &statement->suspend);
        statement->head_count = statement->suspend.head_count;
        heads = statement->suspend.heads;
    } else {
        error = ILEA_ERROR_MALFORMED;
    }
    if (error != ILEA_ERROR_NONE) return ILEA_ERROR_MALFORMED;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, heads);
    for (uint32_t i = 0; i < statement->head_count; i++) ilea_head_get(&reader, &statement->heads[i]);
    return ILEA_ERROR_NONE;
}

/* How many agencies it names, its author among them, that nothing named before. */
static uint32_t
count_new_agencies(const struct ilea_membership *membership, const struct ilea_agency_id *author,
                   const struct statement *statement)
{
    uint32_t count = find_agency(membership, author) == NONE ? 1 : 0;
    if (!statement->is_audience) {
        const struct ilea_agency_id *subject = &statement->suspend.subject;
        bool is_author = memcmp(subject->bytes, author->bytes, sizeof subject->bytes) == 0;
        return count + (find_agency(membership, subject) == NONE && !is_author ? 1 : 0);
    }
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, statement->audience.acts);
    for (uint32_t i = 0; i < statement->audience.act_count; i++) {
        struct ilea_member_act act;
        ilea_member_act_get(&reader, &act);
        if (find_agency(membership, &act.agency) == NONE) count++;
    }
    return count;
}

/* Room for a statement with all that it brings, so that nothing fails halfway. */
static enum ilea_error
reserve(struct ilea_membership *membership, uint32_t act_count, uint32_t agency_count, uint32_t missing_count)
{
    if (membership->control_count == ILEA_CONTROLS_MAX
        || act_count > ILEA_CONTROL_ACTS_MAX - membership->act_count
        || agency_count > ILEA_CONTROL_AGENCIES_MAX - membership->agency_count) {
        return ILEA_ERROR_LIMIT;
    }
    if (!reserve_control(membership) || !reserve_acts(membership, membership->act_count + act_count)
        || !reserve_agencies(membership, membership->agency_count + agency_count)
        || !reserve_missing(membership, membership->missing_count + missing_count)) {
        return ILEA_ERROR_NO_MEMORY;
    }
    return ILEA_ERROR_NONE;
}

/* The statement's ancestors, of what is held; what is not is remembered. */
static void
join_names(struct ilea_membership *membership, uint32_t place, const struct ilea_head *heads, uint32_t count)
{
    struct control *control = &membership->controls[place];
    struct set ancestors = { { 0 } };
    set_add(&ancestors, place);
    control->missing_first = membership->missing_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t named = find_control(membership, &heads[i].id);
        if (named != NONE && named != place) {
            set_add_row(&ancestors, membership, named);
            if (control->is_audience) membership->controls[named].is_named = true;
        } else if (named == NONE) {
            membership->missing[membership->missing_count++] = heads[i].id;
        }
    }
    control->missing_count = membership->missing_count - control->missing_first;
    row_add_set(membership, place, &ancestors);
}

static bool
misses(const struct ilea_membership *membership, const struct control *control, const struct ilea_commit_id *id)
{
    const struct ilea_commit_id *missing = membership->missing + control->missing_first;
    uint32_t low = 0, high = control->missing_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int difference = memcmp(missing[middle].bytes, id->bytes, sizeof id->bytes);
        if (difference == 0) return true;
        if (difference < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

/*
 * A statement that others named before it came, because its agency was not followed then: from now on it and its
 * ancestors are theirs. So that what counts is which statements are held, and not since when.
 */
static void
join_namers(struct ilea_membership *membership, uint32_t place)
{
    struct set namers = { { 0 } }, ancestors = { { 0 } };
    bool any = false;
    for (uint32_t i = 0; i < place; i++) {
        if (!misses(membership, &membership->controls[i], &membership->controls[place].id)) continue;
        set_add(&namers, i);
        any = true;
        if (membership->controls[i].is_audience) membership->controls[place].is_named = true;
    }
    if (!any) return;
    set_add_row(&ancestors, membership, place);
    for (uint32_t i = 0; i < place; i++) {
        if (row_has_any(membership, i, &namers)) row_add_set(membership, i, &ancestors);
    }
}

/* Room is reserved. The place of the new statement. */
static uint32_t
add_control(struct ilea_membership *membership, const struct control *control)
{
    bool found;
    uint32_t place = membership->control_count;
    uint32_t at = find_id(membership->controls, sizeof *membership->controls, membership->control_order, place,
                          control->id.bytes, &found);
    membership->controls[place] = *control;
    order_insert(membership->control_order, place, at, place);
    membership->control_count++;
    membership->is_computed = false;
    return place;
}

static void
add_act(struct ilea_membership *membership, uint32_t place, const struct ilea_member_act *act)
{
    uint32_t agency = take_agency(membership, &act->agency);
    struct act *added = &membership->acts[membership->act_count];
    *added = (struct act){ .control = place,
                           .next = membership->agencies[agency].acts,
                           .kind = act->kind,
                           .level = act->level,
                           .reading = act->reading };
    if (act->code.size > 0) memcpy(added->code, act->code.data, act->code.size);
    membership->agencies[agency].acts = membership->act_count++;
}

/* By number, then id: which of two AUDIENCEs is the higher. */
static bool
is_higher(uint64_t number, const struct ilea_commit_id *id, uint64_t than_number, const struct ilea_commit_id *than)
{
    if (number != than_number) return number > than_number;
    return memcmp(id->bytes, than->bytes, sizeof id->bytes) > 0;
}

static void
take_info(struct ilea_membership *membership, const struct ilea_commit_id *id,
          const struct ilea_audience_statement *statement)
{
    struct info *info = &membership->info;
    if (!statement->has_info) return;
    if (membership->has_info && !is_higher(statement->number, id, info->number, &info->id)) return;
    membership->has_info = true;
    *info = (struct info){ .number = statement->number,
                           .id = *id,
                           .name_size = statement->name.size,
                           .tlp = statement->tlp,
                           .history_ms = statement->history_ms,
                           .list = statement->list };
    ilea_assert(statement->name.size <= sizeof info->name);
    memcpy(info->name, statement->name.data, statement->name.size);
}

static void
add_statement(struct ilea_membership *membership, const struct ilea_agency_id *author,
              const struct ilea_commit_id *id, const struct statement *statement)
{
    struct control control = { .id = *id,
                               .is_audience = statement->is_audience,
                               .author = take_agency(membership, author),
                               .subject = NONE,
                               .next = NONE };
    if (statement->is_audience) {
        control.number = statement->audience.number;
        control.time_ms = statement->audience.time_ms;
        memcpy(control.aek_commit, statement->audience.aek_commit, sizeof control.aek_commit);
    } else {
        control.subject = take_agency(membership, &statement->suspend.subject);
        control.next = membership->agencies[control.subject].suspends;
    }
    uint32_t place = add_control(membership, &control);
    join_names(membership, place, statement->heads, statement->head_count);
    join_namers(membership, place);
    if (!statement->is_audience) {
        membership->agencies[control.subject].suspends = place;
        return;
    }
    take_info(membership, id, &statement->audience);
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, statement->audience.acts);
    for (uint32_t i = 0; i < statement->audience.act_count; i++) {
        struct ilea_member_act act;
        ilea_member_act_get(&reader, &act);
        add_act(membership, place, &act);
    }
}

enum ilea_error
ilea_membership_take(struct ilea_membership *membership, const struct ilea_agency_id *author,
                     const struct ilea_commit_id *id, struct ilea_span content)
{
    struct statement statement;
    if (ilea_membership_holds(membership, id)) return ILEA_ERROR_EXISTS;
    enum ilea_error error = decode(content, &statement);
    if (error != ILEA_ERROR_NONE) return error;
    const struct ilea_audience_id *audience =
        statement.is_audience ? &statement.audience.audience : &statement.suspend.audience;
    const struct ilea_agency_id *owner = &membership->agencies[OWNER].id;
    bool is_owner = memcmp(author->bytes, owner->bytes, sizeof owner->bytes) == 0;
    if (memcmp(audience->bytes, membership->audience.bytes, sizeof audience->bytes) != 0
        || statement.is_audience != is_owner) {
        return ILEA_ERROR_INVALID;
    }
    error = reserve(membership, statement.is_audience ? statement.audience.act_count : 0,
                    count_new_agencies(membership, author, &statement), statement.head_count);
    if (error == ILEA_ERROR_LIMIT) membership->is_frozen = true;
    if (error != ILEA_ERROR_NONE) return error;
    add_statement(membership, author, id, &statement);
    return ILEA_ERROR_NONE;
}

/* ---- The rules ---- */

/* Rule 2 among the statements of a set that holds the ancestors of each: the act that makes it a member, or NONE. */
static uint32_t
find_add(const struct ilea_membership *membership, const struct set *among, uint32_t agency)
{
    struct set removals = { { 0 } };
    const struct act *acts = membership->acts;
    for (uint32_t i = membership->agencies[agency].acts; i != NONE; i = acts[i].next) {
        if (acts[i].kind == ILEA_MEMBER_REMOVE && set_has(among, acts[i].control)) {
            set_add(&removals, acts[i].control);
        }
    }
    uint32_t best = NONE;
    for (uint32_t i = membership->agencies[agency].acts; i != NONE; i = acts[i].next) {
        if (acts[i].kind != ILEA_MEMBER_ADD || !set_has(among, acts[i].control)) continue;
        if (!row_has_all(membership, acts[i].control, &removals)) continue;
        const struct control *control = &membership->controls[acts[i].control];
        const struct control *than = best == NONE ? NULL : &membership->controls[acts[best].control];
        if (than == NULL || is_higher(control->number, &control->id, than->number, &than->id)) best = i;
    }
    return best;
}

static enum ilea_access
level_by(const struct ilea_membership *membership, uint32_t agency, uint32_t add)
{
    if (agency == OWNER) return ILEA_ACCESS_ADMIN;
    return add == NONE ? ILEA_ACCESS_NONE : membership->acts[add].level;
}

/* Has the owner lifted this SUSPEND, or added its subject again, knowing it? */
static bool
is_lifted(const struct ilea_membership *membership, const struct set *among, uint32_t suspend)
{
    const struct act *acts = membership->acts;
    uint32_t subject = membership->controls[suspend].subject;
    for (uint32_t i = membership->agencies[subject].acts; i != NONE; i = acts[i].next) {
        if (acts[i].kind != ILEA_MEMBER_REMOVE && set_has(among, acts[i].control)
            && row_has(membership, acts[i].control, suspend)) {
            return true;
        }
    }
    return false;
}

/* Rules 2 and 3 for all agencies; what must be in an epoch that is usable (rule 5). */
static void
compute_members(struct ilea_membership *membership, const struct set *all, struct set *must)
{
    for (uint32_t i = 0; i < membership->agency_count; i++) {
        struct agency *agency = &membership->agencies[i];
        agency->add = find_add(membership, all, i);
        agency->suspend = NONE;
        bool is_member = level_by(membership, i, agency->add) != ILEA_ACCESS_NONE;
        for (uint32_t j = agency->acts; j != NONE; j = membership->acts[j].next) {
            enum ilea_member_act_kind kind = membership->acts[j].kind;
            if (kind == (is_member ? ILEA_MEMBER_ADD : ILEA_MEMBER_REMOVE)) set_add(must, membership->acts[j].control);
        }
    }
    for (uint32_t i = 0; i < membership->control_count; i++) {
        const struct control *control = &membership->controls[i];
        if (control->is_audience || control->subject == OWNER) continue;
        struct agency *subject = &membership->agencies[control->subject];
        const struct agency *author = &membership->agencies[control->author];
        if (subject->add == NONE || level_by(membership, control->author, author->add) != ILEA_ACCESS_ADMIN
            || is_lifted(membership, all, i)) {
            continue;
        }
        set_add(must, i);
        const struct agency *other =
            subject->suspend == NONE ? NULL : &membership->agencies[membership->controls[subject->suspend].author];
        if (other == NULL || memcmp(author->id.bytes, other->id.bytes, sizeof author->id.bytes) < 0) {
            subject->suspend = i;
        }
    }
}

static enum ilea_error
list_members(struct ilea_membership *membership)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < membership->agency_count; i++) {
        if (level_by(membership, i, membership->agencies[i].add) != ILEA_ACCESS_NONE) count++;
    }
    if (count > ILEA_MEMBERS_MAX) {
        membership->is_limited = true;
        count = ILEA_MEMBERS_MAX;
    }
    if (count > membership->member_capacity) {
        uint32_t capacity = larger_capacity(membership->member_capacity, count, 8);
        if (!grow(&membership->members, sizeof *membership->members, capacity)) return ILEA_ERROR_NO_MEMORY;
        membership->member_capacity = capacity;
    }
    uint32_t listed = 0;
    for (uint32_t i = 0; i < membership->agency_count && listed < count; i++) {
        uint32_t place = membership->agency_order[i];
        const struct agency *agency = &membership->agencies[place];
        enum ilea_access level = level_by(membership, place, agency->add);
        if (level == ILEA_ACCESS_NONE) continue;
        struct ilea_member *member = &membership->members[listed++];
        *member = (struct ilea_member){ .agency = agency->id, .level = level, .suspended = agency->suspend != NONE };
        if (member->suspended) {
            member->suspended_by = membership->agencies[membership->controls[agency->suspend].author].id;
        }
        if (place == OWNER) continue;
        member->reading = membership->acts[agency->add].reading;
        memcpy(member->code, membership->acts[agency->add].code, sizeof member->code);
    }
    membership->state.member_count = count;
    membership->state.members = membership->members;
    return ILEA_ERROR_NONE;
}

/* Rule 6. */
static void
choose_epoch(struct ilea_membership *membership, const struct set *must)
{
    struct ilea_membership_state *state = &membership->state;
    for (uint32_t i = 0; i < membership->control_count; i++) {
        const struct control *control = &membership->controls[i];
        if (!control->is_audience || !row_has_all(membership, i, must)) continue;
        if (state->has_epoch && !is_higher(control->number, &control->id, state->epoch_number, &state->epoch)) continue;
        state->has_epoch = true;
        state->epoch = control->id;
        state->epoch_number = control->number;
        memcpy(state->aek_commit, control->aek_commit, sizeof state->aek_commit);
    }
}

/* The heads, and rule 7. */
static void
list_heads(struct ilea_membership *membership)
{
    struct ilea_membership_state *state = &membership->state;
    uint32_t audiences = 0, suspends = 0;
    for (uint32_t i = 0; i < membership->control_count; i++) {
        const struct control *control = &membership->controls[i];
        if (control->is_named) continue;
        if (control->is_audience) {
            audiences++;
        } else {
            suspends++;
        }
    }
    if (audiences + suspends > ILEA_HEADS_MAX) membership->is_limited = true;
    if (audiences > ILEA_HEADS_MAX) audiences = ILEA_HEADS_MAX;
    if (suspends > ILEA_HEADS_MAX - audiences) suspends = ILEA_HEADS_MAX - audiences;
    struct set known = { { 0 } };
    for (uint32_t i = 0; i < membership->control_count; i++) {
        uint32_t place = membership->control_order[i];
        const struct control *control = &membership->controls[place];
        uint32_t *left = control->is_audience ? &audiences : &suspends;
        if (control->is_named || *left == 0) continue;
        --*left;
        state->heads[state->head_count++] =
            (struct ilea_head){ .id = control->id, .agency = membership->agencies[control->author].id };
        set_add_row(&known, membership, place);
    }
    for (uint32_t i = 0; i < membership->control_count; i++) {
        uint64_t number = membership->controls[i].number; /* 0 of a SUSPEND */
        if (set_has(&known, i) && number > state->next_number) state->next_number = number;
    }
    if (state->next_number < UINT64_MAX) state->next_number++;
}

static enum ilea_error
compute(struct ilea_membership *membership)
{
    struct set all = { { 0 } }, must = { { 0 } };
    if (membership->is_computed) return ILEA_ERROR_NONE;
    membership->state = (struct ilea_membership_state){ .statement_count = membership->control_count };
    membership->is_limited = false;
    for (uint32_t i = 0; i < membership->control_count; i++) set_add(&all, i);
    compute_members(membership, &all, &must);
    enum ilea_error error = list_members(membership);
    if (error != ILEA_ERROR_NONE) return error;
    choose_epoch(membership, &must);
    list_heads(membership);
    const struct info *info = &membership->info;
    if (membership->has_info) {
        membership->state.has_info = true;
        membership->state.name = (struct ilea_span){ info->name, info->name_size };
        membership->state.tlp = info->tlp;
        membership->state.history_ms = info->history_ms;
        membership->state.list = info->list;
    }
    membership->is_computed = true;
    return ILEA_ERROR_NONE;
}

/* ---- Questions ---- */

enum ilea_error
ilea_membership_state(struct ilea_membership *membership, struct ilea_membership_state *state)
{
    enum ilea_error error = compute(membership);
    if (error != ILEA_ERROR_NONE) return error;
    *state = membership->state;
    return membership->is_limited || membership->is_frozen ? ILEA_ERROR_LIMIT : ILEA_ERROR_NONE;
}

const struct ilea_member *
ilea_membership_find(const struct ilea_membership_state *state, const struct ilea_agency_id *agency)
{
    uint32_t low = 0, high = state->member_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int difference = memcmp(state->members[middle].agency.bytes, agency->bytes, sizeof agency->bytes);
        if (difference == 0) return &state->members[middle];
        if (difference < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* A copy of a table with the room that it has; true if there is nothing to copy. */
static bool
copy_table(void *pointer_to_table, const void *table, size_t size, size_t capacity)
{
    void *copy = NULL;
    if (capacity > 0) {
        copy = malloc(capacity * size);
        if (copy == NULL) return false;
        memcpy(copy, table, capacity * size);
    }
    memcpy(pointer_to_table, &copy, sizeof copy);
    return true;
}

static struct ilea_membership *
copy_membership(const struct ilea_membership *from)
{
    struct ilea_membership *copy = calloc(1, sizeof *copy);
    if (copy == NULL) return NULL;
    *copy = *from;
    copy->is_computed = false;
    copy->controls = NULL;
    copy->control_order = copy->agency_order = NULL;
    copy->ancestors = NULL;
    copy->acts = NULL;
    copy->agencies = NULL;
    copy->missing = NULL;
    copy->members = NULL;
    copy->member_capacity = 0;
    const size_t words = (size_t)from->control_capacity * (from->control_capacity / WORD_BITS);
    if (copy_table(&copy->controls, from->controls, sizeof *from->controls, from->control_capacity)
        && copy_table(&copy->control_order, from->control_order, sizeof *from->control_order, from->control_capacity)
        && copy_table(&copy->ancestors, from->ancestors, sizeof *from->ancestors, words)
        && copy_table(&copy->acts, from->acts, sizeof *from->acts, from->act_capacity)
        && copy_table(&copy->agencies, from->agencies, sizeof *from->agencies, from->agency_capacity)
        && copy_table(&copy->agency_order, from->agency_order, sizeof *from->agency_order, from->agency_capacity)
        && copy_table(&copy->missing, from->missing, sizeof *from->missing, from->missing_capacity)) {
        return copy;
    }
    ilea_membership_free(copy);
    return NULL;
}

enum ilea_error
ilea_membership_after(struct ilea_membership *membership, const struct ilea_member_act *acts, uint32_t act_count,
                      struct ilea_membership **after)
{
    enum ilea_error error = compute(membership);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_membership *made = copy_membership(membership);
    if (made == NULL) return ILEA_ERROR_NO_MEMORY;
    uint32_t agency_count = 0;
    for (uint32_t i = 0; i < act_count; i++) {
        if (find_agency(made, &acts[i].agency) == NONE) agency_count++;
    }
    error = made->is_frozen ? ILEA_ERROR_LIMIT : reserve(made, act_count, agency_count, 0);
    if (error != ILEA_ERROR_NONE) {
        ilea_membership_free(made);
        return error;
    }
    const struct control control = {
        .is_audience = true, .author = OWNER, .subject = NONE, .next = NONE, .number = membership->state.next_number
    };
    uint32_t place = add_control(made, &control);
    /* Nobody has named it: an id of zeros among the names that are missing is somebody's trick. */
    join_names(made, place, membership->state.heads, membership->state.head_count);
    for (uint32_t i = 0; i < act_count; i++) add_act(made, place, &acts[i]);
    *after = made;
    return ILEA_ERROR_NONE;
}

bool
ilea_membership_holds(const struct ilea_membership *membership, const struct ilea_commit_id *id)
{
    return find_control(membership, id) != NONE;
}

bool
ilea_membership_is_ancestor(const struct ilea_membership *membership, const struct ilea_commit_id *what,
                            const struct ilea_commit_id *of)
{
    uint32_t what_place = find_control(membership, what), of_place = find_control(membership, of);
    return what_place != NONE && of_place != NONE && row_has(membership, of_place, what_place);
}

/* These and their ancestors, of what is held; false: none is. */
static bool
gather(const struct ilea_membership *membership, const struct ilea_commit_id *ids, uint32_t count, struct set *set)
{
    bool any = false;
    *set = (struct set){ { 0 } };
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = find_control(membership, &ids[i]);
        if (place == NONE) continue;
        set_add_row(set, membership, place);
        any = true;
    }
    return any;
}

/* Rule 3 for one member, which is not the owner. */
static bool
is_suspended(const struct ilea_membership *membership, const struct set *among, uint32_t agency)
{
    for (uint32_t i = membership->agencies[agency].suspends; i != NONE; i = membership->controls[i].next) {
        if (!set_has(among, i) || is_lifted(membership, among, i)) continue;
        uint32_t author = membership->controls[i].author;
        if (level_by(membership, author, find_add(membership, among, author)) == ILEA_ACCESS_ADMIN) return true;
    }
    return false;
}

enum ilea_error
ilea_membership_at(const struct ilea_membership *membership, const struct ilea_commit_id *ids, uint32_t count,
                   bool with_suspensions, const struct ilea_agency_id *agency, enum ilea_access *level)
{
    struct set among;
    if (!gather(membership, ids, count, &among)) return ILEA_ERROR_NOT_FOUND;
    uint32_t place = find_agency(membership, agency);
    *level = ILEA_ACCESS_NONE;
    if (place == NONE) return ILEA_ERROR_NONE;
    *level = level_by(membership, place, find_add(membership, &among, place));
    if (with_suspensions && place != OWNER && *level != ILEA_ACCESS_NONE
        && is_suspended(membership, &among, place)) {
        *level = ILEA_ACCESS_NONE;
    }
    return ILEA_ERROR_NONE;
}

bool
ilea_membership_may_have(const struct ilea_membership *membership, const struct ilea_commit_id *ids, uint32_t count,
                         const struct ilea_agency_id *agency)
{
    struct set among;
    if (!gather(membership, ids, count, &among)) return false;
    uint32_t place = find_agency(membership, agency);
    if (place == NONE) return false;
    if (place == OWNER) return true;
    const uint64_t history_ms = membership->has_info ? membership->info.history_ms : 0;
    if (history_ms == ILEA_HISTORY_ALL) return true;
    for (uint32_t i = membership->agencies[place].acts; i != NONE; i = membership->acts[i].next) {
        if (membership->acts[i].kind == ILEA_MEMBER_ADD && set_has(&among, membership->acts[i].control)) return true;
    }
    for (uint32_t i = 0; i < count && history_ms > 0; i++) {
        uint32_t named = find_control(membership, &ids[i]);
        if (named != NONE && membership->controls[named].is_audience
            && membership->controls[named].time_ms >= history_ms) {
            return true;
        }
    }
    return false;
}
