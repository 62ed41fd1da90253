#include <stdlib.h>
#include <string.h>

#include "replication/audience/state.h"

bool
ilea_audience_is_higher(uint64_t number, const struct ilea_commit_id *id, uint64_t than_number,
                        const struct ilea_commit_id *than)
{
    if (number != than_number) return number > than_number;
    return memcmp(id->bytes, than->bytes, sizeof id->bytes) > 0;
}

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
        if (than == NULL || ilea_audience_is_higher(control->number, &control->id, than->number, &than->id)) {
            best = i;
        }
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
        struct ilea_member *moved = realloc(membership->members, count * sizeof *moved);
        if (moved == NULL) return ILEA_ERROR_NO_MEMORY;
        membership->members = moved;
        membership->member_capacity = count;
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
            member->suspension = membership->controls[agency->suspend].id;
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
        if (state->has_epoch
            && !ilea_audience_is_higher(control->number, &control->id, state->epoch_number, &state->epoch)) {
            continue;
        }
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

enum ilea_error
ilea_membership_compute(struct ilea_membership *membership)
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

bool
ilea_membership_holds(const struct ilea_membership *membership, const struct ilea_commit_id *id)
{
    return ilea_membership_find_control(membership, id) != NONE;
}

bool
ilea_membership_is_whole(const struct ilea_membership *membership, const struct ilea_commit_id *id,
                         bool (*counts)(void *context, const struct ilea_agency_id *agency), void *context)
{
    uint32_t place = ilea_membership_find_control(membership, id);
    if (place == NONE) return false;
    for (uint32_t i = 0; i < membership->control_count; i++) {
        const struct control *control = &membership->controls[i];
        if (control->missing_count == 0 || !row_has(membership, place, i)) continue;
        for (uint32_t j = 0; j < control->missing_count; j++) {
            const struct ilea_head *missing = &membership->missing[control->missing_first + j];
            if (counts(context, &missing->agency) && !ilea_membership_holds(membership, &missing->id)) return false;
        }
    }
    return true;
}

enum ilea_error
ilea_membership_state(struct ilea_membership *membership, struct ilea_membership_state *state)
{
    enum ilea_error error = ilea_membership_compute(membership);
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

bool
ilea_membership_is_ancestor(const struct ilea_membership *membership, const struct ilea_commit_id *what,
                            const struct ilea_commit_id *of)
{
    uint32_t what_place = ilea_membership_find_control(membership, what);
    uint32_t of_place = ilea_membership_find_control(membership, of);
    return what_place != NONE && of_place != NONE && row_has(membership, of_place, what_place);
}

/* These and their ancestors, of what is held; false: none is. */
static bool
gather(const struct ilea_membership *membership, const struct ilea_commit_id *ids, uint32_t count, struct set *set)
{
    bool any = false;
    *set = (struct set){ { 0 } };
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = ilea_membership_find_control(membership, &ids[i]);
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
    uint32_t place = ilea_membership_find_agency(membership, agency);
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
    uint32_t place = ilea_membership_find_agency(membership, agency);
    if (place == NONE) return false;
    if (place == OWNER) return true;
    const uint64_t history_ms = membership->has_info ? membership->info.history_ms : 0;
    if (history_ms == ILEA_HISTORY_ALL) return true;
    if (find_add(membership, &among, place) != NONE) return true;
    for (uint32_t i = 0; i < count && history_ms > 0; i++) {
        uint32_t named = ilea_membership_find_control(membership, &ids[i]);
        if (named != NONE && membership->controls[named].is_audience
            && membership->controls[named].time_ms >= history_ms) {
            return true;
        }
    }
    return false;
}
