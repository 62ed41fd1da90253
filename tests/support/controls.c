#include "tests/support/controls.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"

/* ---- Bytes ---- */

static void
fill(uint8_t *bytes, size_t size, uint32_t number)
{
    memset(bytes, (int)(number & 0xff), size);
    bytes[0] = (uint8_t)(number >> 8); /* ascending as the numbers do */
}

struct ilea_commit_id
ilea_planned_commit(uint32_t id)
{
    struct ilea_commit_id commit;
    fill(commit.bytes, sizeof commit.bytes, id);
    return commit;
}

struct ilea_agency_id
ilea_planned_agency(uint32_t agency)
{
    struct ilea_agency_id id;
    fill(id.bytes, sizeof id.bytes, agency);
    return id;
}

struct ilea_audience_id
ilea_planned_audience(void)
{
    struct ilea_audience_id audience;
    fill(audience.bytes, sizeof audience.bytes, 77);
    return audience;
}

bool
ilea_planned_counts(const struct planned *planned)
{
    return planned->is_audience == (planned->author == CONTROLS_OWNER);
}

static void
encode_audience(struct ilea_msgpack_writer *writer, const struct planned *planned, struct ilea_head *heads)
{
    static const char name[] = "Somebody";
    struct ilea_member_act acts[CONTROLS_AGENCIES];
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE] = { 1 };
    struct ilea_audience_statement statement = { .audience = ilea_planned_audience(),
                                                 .number = planned->number,
                                                 .head_count = planned->name_count,
                                                 .wrapped_count = 1,
                                                 .act_count = planned->act_count,
                                                 .time_ms = planned->time_ms,
                                                 .has_info = planned->name_count == 0,
                                                 .name = { (const uint8_t *)name, sizeof name - 1 },
                                                 .tlp = 3,
                                                 .history_ms = planned->history_ms };
    fill(statement.aek_commit, sizeof statement.aek_commit, planned->id);
    for (uint32_t i = 0; i < planned->act_count; i++) {
        acts[i] = (struct ilea_member_act){ .kind = (enum ilea_member_act_kind)planned->acts[i].kind,
                                            .agency = ilea_planned_agency(planned->acts[i].agency),
                                            .level = (enum ilea_access)planned->acts[i].level,
                                            .code = { (const uint8_t *)"FR-PN", 5 } };
        fill(acts[i].reading.bytes, sizeof acts[i].reading.bytes, planned->id);
    }
    ilea_audience_statement_put(writer, &statement, heads, wrapped, acts);
}

size_t
ilea_planned_encode(const struct planned *planned, uint8_t *bytes)
{
    struct ilea_head heads[CONTROLS_NAMES_MAX];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, CONTROL_SIZE_MAX);
    for (uint32_t i = 0; i < planned->name_count; i++) {
        heads[i] = (struct ilea_head){ .id = ilea_planned_commit(planned->names[i]) };
    }
    if (planned->is_audience) {
        encode_audience(&writer, planned, heads);
    } else {
        const struct ilea_suspend_statement suspend = { .audience = ilea_planned_audience(),
                                                        .head_count = planned->name_count,
                                                        .subject = ilea_planned_agency(planned->subject),
                                                        .reason = { (const uint8_t *)"Key lost", 8 } };
        ilea_suspend_put(&writer, &suspend, heads);
    }
    ilea_assert(!writer.failed);
    return writer.size;
}

/* ---- The rules ---- */

static bool
is_higher(const struct planned *a, const struct planned *b)
{
    return a->number != b->number ? a->number > b->number : a->id > b->id;
}

static bool
names(const struct planned *planned, uint32_t id)
{
    for (uint32_t i = 0; i < planned->name_count; i++) {
        if (planned->names[i] == id) return true;
    }
    return false;
}

/* Is there an act of this kind, or of the other, on the agency? Its level in *level. */
static bool
acts_on(const struct planned *planned, uint32_t kind, uint32_t other, uint32_t agency, uint32_t *level)
{
    if (!planned->is_audience || !ilea_planned_counts(planned)) return false;
    for (uint32_t i = 0; i < planned->act_count; i++) {
        const struct planned_act *act = &planned->acts[i];
        if (act->agency != agency || (act->kind != kind && act->kind != other)) continue;
        if (level != NULL) *level = act->level;
        return true;
    }
    return false;
}

static void
close_ancestors(const struct controls *controls, struct verdict *verdict)
{
    const uint32_t count = controls->count;
    memset(verdict->ancestor, 0, sizeof verdict->ancestor);
    for (uint32_t i = 0; i < count; i++) {
        if (!ilea_planned_counts(&controls->items[i])) continue;
        verdict->ancestor[i][i] = true;
        for (uint32_t j = 0; j < count; j++) {
            if (ilea_planned_counts(&controls->items[j]) && names(&controls->items[i], controls->items[j].id)) {
                verdict->ancestor[i][j] = true;
            }
        }
    }
    for (uint32_t k = 0; k < count; k++) {
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t j = 0; verdict->ancestor[i][k] && j < count; j++) {
                if (verdict->ancestor[k][j]) verdict->ancestor[i][j] = true;
            }
        }
    }
}

/* among: which items there are. */
static uint32_t
level_of(const struct controls *controls, const struct verdict *verdict, const bool *among, uint32_t agency)
{
    const struct planned *best = NULL;
    uint32_t best_level = 0;
    if (agency == CONTROLS_OWNER) return ILEA_ACCESS_ADMIN;
    for (uint32_t i = 0; i < controls->count; i++) {
        uint32_t level = 0;
        bool knows = among[i] && acts_on(&controls->items[i], ILEA_MEMBER_ADD, 0, agency, &level);
        for (uint32_t j = 0; knows && j < controls->count; j++) {
            if (among[j] && acts_on(&controls->items[j], ILEA_MEMBER_REMOVE, 0, agency, NULL)) {
                knows = verdict->ancestor[i][j];
            }
        }
        if (!knows || (best != NULL && is_higher(best, &controls->items[i]))) continue;
        best = &controls->items[i];
        best_level = level;
    }
    return best_level;
}

static bool
stands(const struct controls *controls, const struct verdict *verdict, const bool *among, uint32_t suspend)
{
    const struct planned *planned = &controls->items[suspend];
    if (!among[suspend] || planned->is_audience || !ilea_planned_counts(planned) || planned->subject == CONTROLS_OWNER
        || level_of(controls, verdict, among, planned->subject) == 0
        || level_of(controls, verdict, among, planned->author) != ILEA_ACCESS_ADMIN) {
        return false;
    }
    for (uint32_t i = 0; i < controls->count; i++) {
        if (among[i] && verdict->ancestor[i][suspend]
            && acts_on(&controls->items[i], ILEA_MEMBER_ADD, ILEA_MEMBER_LIFT, planned->subject, NULL)) {
            return false;
        }
    }
    return true;
}

static void
judge_among(const struct controls *controls, const struct verdict *verdict, const bool *among,
            uint32_t level[CONTROLS_AGENCIES], uint32_t suspended_by[CONTROLS_AGENCIES])
{
    for (uint32_t agency = 0; agency < CONTROLS_AGENCIES; agency++) {
        level[agency] = level_of(controls, verdict, among, agency);
        suspended_by[agency] = 0;
    }
    for (uint32_t i = 0; i < controls->count; i++) {
        if (!stands(controls, verdict, among, i)) continue;
        uint32_t *by = &suspended_by[controls->items[i].subject];
        if (*by == 0 || controls->items[i].author < *by) *by = controls->items[i].author;
    }
}

static bool
is_must(const struct controls *controls, const struct verdict *verdict, const bool *all, uint32_t i)
{
    if (stands(controls, verdict, all, i)) return true;
    for (uint32_t agency = 0; agency < CONTROLS_AGENCIES; agency++) {
        uint32_t kind = verdict->level[agency] != 0 ? ILEA_MEMBER_ADD : ILEA_MEMBER_REMOVE;
        if (acts_on(&controls->items[i], kind, 0, agency, NULL)) return true;
    }
    return false;
}

static void
judge_epoch(const struct controls *controls, struct verdict *verdict, const bool *all)
{
    const struct planned *best = NULL;
    bool must[CONTROLS_MAX] = { false };
    for (uint32_t i = 0; i < controls->count; i++) must[i] = is_must(controls, verdict, all, i);
    for (uint32_t i = 0; i < controls->count; i++) {
        const struct planned *planned = &controls->items[i];
        bool usable = planned->is_audience && ilea_planned_counts(planned);
        for (uint32_t j = 0; j < controls->count; j++) {
            if (must[j] && !verdict->ancestor[i][j]) usable = false;
        }
        if (usable && (best == NULL || is_higher(planned, best))) best = planned;
    }
    verdict->epoch = best == NULL ? 0 : best->id;
}

static int
compare_numbers(const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    return one < other ? -1 : one > other;
}

static void
judge_heads(const struct controls *controls, struct verdict *verdict)
{
    uint64_t number = 0;
    verdict->head_count = 0;
    for (uint32_t i = 0; i < controls->count; i++) {
        bool is_head = ilea_planned_counts(&controls->items[i]);
        for (uint32_t j = 0; j < controls->count; j++) {
            const struct planned *other = &controls->items[j];
            if (other->is_audience && ilea_planned_counts(other) && names(other, controls->items[i].id)) {
                is_head = false;
            }
        }
        if (!is_head) continue;
        verdict->heads[verdict->head_count++] = controls->items[i].id;
        for (uint32_t j = 0; j < controls->count; j++) {
            const struct planned *known = &controls->items[j];
            if (verdict->ancestor[i][j] && known->is_audience && known->number > number) number = known->number;
        }
    }
    verdict->next_number = number + 1;
    qsort(verdict->heads, verdict->head_count, sizeof verdict->heads[0], compare_numbers);
}

static void
judge_history(const struct controls *controls, struct verdict *verdict)
{
    const struct planned *info = NULL;
    for (uint32_t i = 0; i < controls->count; i++) {
        const struct planned *planned = &controls->items[i];
        if (!planned->is_audience || !ilea_planned_counts(planned) || planned->name_count > 0) continue;
        if (info == NULL || is_higher(planned, info)) info = planned;
    }
    uint64_t history_ms = info == NULL ? 0 : info->history_ms;
    for (uint32_t i = 0; i < controls->count; i++) {
        const struct planned *epoch = &controls->items[i];
        bool recent = epoch->is_audience && history_ms > 0 && epoch->time_ms >= history_ms;
        for (uint32_t agency = 0; agency < CONTROLS_AGENCIES; agency++) {
            bool *may = &verdict->may_have[i][agency];
            *may = agency == CONTROLS_OWNER || history_ms == ILEA_HISTORY_ALL || recent
                || verdict->level_at[i][agency] != 0;
        }
    }
}

void
ilea_controls_judge(const struct controls *controls, struct verdict *verdict)
{
    bool all[CONTROLS_MAX];
    for (uint32_t i = 0; i < controls->count; i++) all[i] = ilea_planned_counts(&controls->items[i]);
    close_ancestors(controls, verdict);
    judge_among(controls, verdict, all, verdict->level, verdict->suspended_by);
    judge_epoch(controls, verdict, all);
    judge_heads(controls, verdict);
    for (uint32_t i = 0; i < controls->count; i++) {
        uint32_t suspended_by[CONTROLS_AGENCIES];
        judge_among(controls, verdict, verdict->ancestor[i], verdict->level_at[i], suspended_by);
        for (uint32_t agency = 0; agency < CONTROLS_AGENCIES; agency++) {
            verdict->allowed_at[i][agency] = suspended_by[agency] != 0 ? 0 : verdict->level_at[i][agency];
        }
    }
    judge_history(controls, verdict);
}

/* ---- Comparison ---- */

static const char *
compare_members(const struct verdict *verdict, const struct ilea_membership_state *state)
{
    uint32_t count = 0;
    for (uint32_t agency = 0; agency < CONTROLS_AGENCIES; agency++) {
        struct ilea_agency_id id = ilea_planned_agency(agency);
        const struct ilea_member *member = ilea_membership_find(state, &id);
        if ((member == NULL ? 0 : (uint32_t)member->level) != verdict->level[agency]) return "level";
        if (member == NULL) continue;
        struct ilea_agency_id by = ilea_planned_agency(verdict->suspended_by[agency]);
        if (member != &state->members[count++]) return "order of members";
        if (member->suspended != (verdict->suspended_by[agency] != 0)) return "suspended";
        if (member->suspended && memcmp(&by, &member->suspended_by, sizeof by) != 0) return "suspended_by";
    }
    return count == state->member_count ? NULL : "members";
}

static const char *
compare_at(const struct controls *controls, const struct verdict *verdict, const struct ilea_membership *membership,
           uint32_t i)
{
    struct ilea_commit_id id = ilea_planned_commit(controls->items[i].id);
    for (uint32_t agency = 0; agency < CONTROLS_AGENCIES; agency++) {
        struct ilea_agency_id who = ilea_planned_agency(agency);
        enum ilea_access level;
        if (ilea_membership_at(membership, &id, 1, false, &who, &level) != ILEA_ERROR_NONE
            || level != verdict->level_at[i][agency]) {
            return "level at a statement";
        }
        if (ilea_membership_at(membership, &id, 1, true, &who, &level) != ILEA_ERROR_NONE
            || level != verdict->allowed_at[i][agency]) {
            return "allowed at a statement";
        }
        bool known = verdict->level[agency] != 0; /* it is asked for members */
        if (known && ilea_membership_may_have(membership, &id, 1, &who) != verdict->may_have[i][agency]) {
            return "history";
        }
    }
    for (uint32_t j = 0; j < controls->count; j++) {
        struct ilea_commit_id what = ilea_planned_commit(controls->items[j].id);
        if (ilea_membership_is_ancestor(membership, &what, &id) != verdict->ancestor[i][j]) return "ancestors";
    }
    return NULL;
}

const char *
ilea_controls_compare(const struct controls *controls, const struct verdict *verdict,
                      struct ilea_membership *membership)
{
    struct ilea_membership_state state;
    enum ilea_error error = ilea_membership_state(membership, &state);
    bool limited = verdict->head_count > ILEA_HEADS_MAX;
    if (error != (limited ? ILEA_ERROR_LIMIT : ILEA_ERROR_NONE)) return "error";
    const char *different = compare_members(verdict, &state);
    if (different != NULL) return different;
    struct ilea_commit_id epoch = ilea_planned_commit(verdict->epoch);
    if (state.has_epoch != (verdict->epoch != 0)) return "has_epoch";
    if (state.has_epoch && memcmp(&epoch, &state.epoch, sizeof epoch) != 0) return "epoch";
    if (state.head_count != (limited ? (uint32_t)ILEA_HEADS_MAX : verdict->head_count)) return "heads";
    for (uint32_t i = 0; i < state.head_count && !limited; i++) {
        struct ilea_commit_id head = ilea_planned_commit(verdict->heads[i]);
        if (memcmp(&head, &state.heads[i].id, sizeof head) != 0) return "a head";
    }
    if (!limited && state.next_number != verdict->next_number) return "next number";
    for (uint32_t i = 0; i < controls->count && different == NULL; i++) {
        struct ilea_commit_id id = ilea_planned_commit(controls->items[i].id);
        bool counts = ilea_planned_counts(&controls->items[i]);
        if (ilea_membership_holds(membership, &id) != counts) return "holds";
        if (counts) different = compare_at(controls, verdict, membership, i);
    }
    return different;
}
