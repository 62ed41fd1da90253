#include "replication/audience/membership.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/audience/state.h"

/* What a statement says, decoded. */
struct statement {
    bool is_audience;
    struct ilea_audience_statement audience;
    struct ilea_suspend_statement suspend;
    uint32_t head_count;
    struct ilea_head heads[ILEA_HEADS_MAX];
};

/* ---- Tables ---- */

uint32_t
ilea_membership_find_id(const void *table, size_t size, const uint32_t *order, uint32_t count,
                        const uint8_t id[ILEA_ID_SIZE], bool *found)
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

uint32_t
ilea_membership_find_control(const struct ilea_membership *membership, const struct ilea_commit_id *id)
{
    bool found;
    uint32_t at = ilea_membership_find_id(membership->controls, sizeof *membership->controls,
                                          membership->control_order, membership->control_count, id->bytes, &found);
    return found ? membership->control_order[at] : NONE;
}

uint32_t
ilea_membership_find_agency(const struct ilea_membership *membership, const struct ilea_agency_id *id)
{
    bool found;
    uint32_t at = ilea_membership_find_id(membership->agencies, sizeof *membership->agencies,
                                          membership->agency_order, membership->agency_count, id->bytes, &found);
    return found ? membership->agency_order[at] : NONE;
}

static void
order_insert(uint32_t *order, uint32_t count, uint32_t at, uint32_t place)
{
    memmove(order + at + 1, order + at, (count - at) * sizeof *order);
    order[at] = place;
}

/* Its place; a new one where there is room for it already. */
static uint32_t
take_agency(struct ilea_membership *membership, const struct ilea_agency_id *id)
{
    bool found;
    uint32_t at = ilea_membership_find_id(membership->agencies, sizeof *membership->agencies,
                                          membership->agency_order, membership->agency_count, id->bytes, &found);
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
    uint32_t count = ilea_membership_find_agency(membership, author) == NONE ? 1 : 0;
    if (!statement->is_audience) {
        const struct ilea_agency_id *subject = &statement->suspend.subject;
        bool is_author = memcmp(subject->bytes, author->bytes, sizeof subject->bytes) == 0;
        return count + (ilea_membership_find_agency(membership, subject) == NONE && !is_author ? 1 : 0);
    }
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, statement->audience.acts);
    for (uint32_t i = 0; i < statement->audience.act_count; i++) {
        struct ilea_member_act act;
        ilea_member_act_get(&reader, &act);
        if (ilea_membership_find_agency(membership, &act.agency) == NONE) count++;
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
        uint32_t named = ilea_membership_find_control(membership, &heads[i].id);
        if (named != NONE && named != place) {
            set_add_row(&ancestors, membership, named);
            if (control->is_audience) membership->controls[named].is_named = true;
        } else if (named == NONE) {
            membership->missing[membership->missing_count++] = heads[i];
        }
    }
    control->missing_count = membership->missing_count - control->missing_first;
    row_add_set(membership, place, &ancestors);
}

static bool
misses(const struct ilea_membership *membership, const struct control *control, const struct ilea_commit_id *id)
{
    const struct ilea_head *missing = membership->missing + control->missing_first;
    uint32_t low = 0, high = control->missing_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int difference = memcmp(missing[middle].id.bytes, id->bytes, sizeof id->bytes);
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
    uint32_t at = ilea_membership_find_id(membership->controls, sizeof *membership->controls,
                                          membership->control_order, place, control->id.bytes, &found);
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

static void
take_info(struct ilea_membership *membership, const struct ilea_commit_id *id,
          const struct ilea_audience_statement *statement)
{
    struct info *info = &membership->info;
    if (!statement->has_info) return;
    if (membership->has_info && !ilea_audience_is_higher(statement->number, id, info->number, &info->id)) return;
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

/* ---- What is only planned ---- */

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
    enum ilea_error error = ilea_membership_compute(membership);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_membership *made = copy_membership(membership);
    if (made == NULL) return ILEA_ERROR_NO_MEMORY;
    uint32_t agency_count = 0;
    for (uint32_t i = 0; i < act_count; i++) {
        if (ilea_membership_find_agency(made, &acts[i].agency) == NONE) agency_count++;
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
