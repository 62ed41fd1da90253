#include "replication/audience/membership.h"

#include <stdio.h>
#include <time.h>

#include "tests/support/codec.h"
#include "tests/support/controls.h"

enum { GRAPHS = 2000, ORDERS = 3 };

static struct ilea_membership *
new_membership(void)
{
    struct ilea_agency_id owner = ilea_planned_agency(CONTROLS_OWNER);
    struct ilea_audience_id audience = ilea_planned_audience();
    struct ilea_membership *membership;
    assert_int_equal(ilea_membership_new(&owner, &audience, &membership), ILEA_ERROR_NONE);
    return membership;
}

static enum ilea_error
take(struct ilea_membership *membership, const struct planned *planned)
{
    uint8_t bytes[CONTROL_SIZE_MAX];
    size_t size = ilea_planned_encode(planned, bytes);
    struct ilea_agency_id author = ilea_planned_agency(planned->author);
    struct ilea_commit_id id = ilea_planned_commit(planned->id);
    uint8_t *copy = ilea_exact_copy(bytes, size); /* gone afterwards: nothing is borrowed */
    enum ilea_error error = ilea_membership_take(membership, &author, &id, (struct ilea_span){ copy, size });
    free(copy);
    return error;
}

static void
take_all(struct ilea_membership *membership, const struct controls *controls, const uint32_t *order)
{
    for (uint32_t i = 0; i < controls->count; i++) {
        const struct planned *planned = &controls->items[order == NULL ? i : order[i]];
        enum ilea_error expected = ilea_planned_counts(planned) ? ILEA_ERROR_NONE : ILEA_ERROR_INVALID;
        assert_int_equal(take(membership, planned), expected);
        assert_int_equal(take(membership, planned), expected == ILEA_ERROR_NONE ? ILEA_ERROR_EXISTS : expected);
    }
}

/* Take them as they stand, backwards and in some other orders; states in between are asked for now and then. */
static void
check_orders(const char *name, const struct controls *controls, uint64_t *seed)
{
    static struct verdict verdict;
    ilea_controls_judge(controls, &verdict);
    for (uint32_t round = 0; round < 2 + ORDERS; round++) {
        uint32_t order[CONTROLS_MAX];
        for (uint32_t i = 0; i < controls->count; i++) {
            order[i] = round == 1 ? controls->count - 1 - i : i;
            uint32_t other = round > 1 ? (uint32_t)(draw(seed) % (i + 1)) : i;
            uint32_t moved = order[i];
            order[i] = order[other];
            order[other] = moved;
        }
        struct ilea_membership *membership = new_membership();
        take_all(membership, controls, order);
        const char *different = ilea_controls_compare(controls, &verdict, membership);
        if (different != NULL) fail_msg("%s, order %u: %s", name, (unsigned)round, different);
        ilea_membership_free(membership);
    }
}

/* ---- Vectors ---- */

static uint32_t
number_of(const json_t *value)
{
    assert_true(json_is_integer(value));
    return (uint32_t)json_integer_value(value);
}

static uint32_t
at(const json_t *array, size_t index)
{
    return number_of(json_array_get(array, index));
}

static void
read_planned(const json_t *vector, struct planned *planned)
{
    size_t index;
    json_t *value;
    *planned = (struct planned){ .id = (uint32_t)vector_number(vector, "id"),
                                 .author = (uint32_t)vector_number(vector, "author") };
    json_array_foreach(json_object_get(vector, "names"), index, value) {
        assert_true(planned->name_count < CONTROLS_NAMES_MAX);
        planned->names[planned->name_count++] = number_of(value);
    }
    planned->is_audience = json_object_get(vector, "acts") != NULL;
    if (!planned->is_audience) {
        planned->subject = (uint32_t)vector_number(vector, "subject");
        return;
    }
    planned->number = vector_number(vector, "number");
    planned->time_ms = vector_number(vector, "time_ms");
    json_array_foreach(json_object_get(vector, "acts"), index, value) {
        assert_true(planned->act_count < CONTROLS_AGENCIES);
        planned->acts[planned->act_count++] = (struct planned_act){ at(value, 0), at(value, 1), at(value, 2) };
    }
    if (planned->name_count > 0) return;
    planned->history_ms = strcmp(vector_text(vector, "history_ms"), "all") == 0 ? ILEA_HISTORY_ALL
                                                                                 : vector_number(vector, "history_ms");
}

static bool
lists(const json_t *agencies, uint32_t agency)
{
    size_t index;
    json_t *value;
    json_array_foreach(agencies, index, value) {
        if (number_of(value) == agency) return true;
    }
    return false;
}

/* `key` of a vector: [id, [agency ...]] of each statement. */
static const json_t *
agencies_at(const json_t *vector, const char *key, uint32_t id)
{
    size_t index;
    json_t *value;
    json_array_foreach(json_object_get(vector, key), index, value) {
        if (at(value, 0) == id) return json_array_get(value, 1);
    }
    fail_msg("%s: nothing at %u in %s", vector_text(vector, "name"), (unsigned)id, key);
    return NULL;
}

/* What the vector says, as the rules in C of this folder say it: what is taken is compared with that. */
static void
check_verdict(const json_t *vector, const struct controls *controls, const struct verdict *verdict)
{
    uint32_t members = 0;
    size_t index;
    json_t *value;
    for (uint32_t agency = 0; agency < CONTROLS_AGENCIES; agency++) members += verdict->level[agency] != 0;
    assert_int_equal(members, json_array_size(json_object_get(vector, "members")));
    json_array_foreach(json_object_get(vector, "members"), index, value) {
        assert_int_equal(verdict->level[at(value, 0)], at(value, 1));
        assert_int_equal(verdict->suspended_by[at(value, 0)], at(value, 2));
    }
    assert_int_equal(verdict->epoch, vector_number(vector, "epoch"));
    assert_int_equal(verdict->next_number, vector_number(vector, "next_number"));
    assert_int_equal(verdict->head_count, json_array_size(json_object_get(vector, "heads")));
    json_array_foreach(json_object_get(vector, "heads"), index, value) {
        assert_int_equal(verdict->heads[index], number_of(value));
    }
    for (uint32_t i = 0; i < controls->count; i++) {
        uint32_t id = controls->items[i].id;
        if (!ilea_planned_counts(&controls->items[i])) continue;
        const json_t *writers = agencies_at(vector, "writers_at", id), *allowed = agencies_at(vector, "allowed_at", id),
                     *may_have = agencies_at(vector, "may_have", id);
        for (uint32_t agency = 0; agency < CONTROLS_AGENCIES; agency++) {
            assert_int_equal(verdict->level_at[i][agency] >= ILEA_ACCESS_WRITE, lists(writers, agency));
            assert_int_equal(verdict->allowed_at[i][agency] != 0, lists(allowed, agency));
            if (verdict->level[agency] != 0) {
                assert_int_equal(verdict->may_have[i][agency], lists(may_have, agency));
            }
        }
    }
}

static void
check_vector(const json_t *vector)
{
    static struct controls controls;
    static struct verdict verdict;
    uint64_t seed = 1;
    size_t index;
    json_t *value;
    assert_int_equal(vector_number(vector, "owner"), CONTROLS_OWNER);
    controls.count = 0;
    json_array_foreach(json_object_get(vector, "statements"), index, value) {
        assert_true(controls.count < CONTROLS_MAX);
        read_planned(value, &controls.items[controls.count++]);
    }
    ilea_controls_judge(&controls, &verdict);
    check_verdict(vector, &controls, &verdict);
    check_orders(vector_text(vector, "name"), &controls, &seed);
}

static void
test_vectors(void **unused)
{
    (void)unused;
    for_each_vector("audience.jsonl", check_vector);
}

/* ---- Drawn graphs ---- */

/* What an author that holds some of the earlier statements would name, sometimes less, sometimes nonsense. */
static void
draw_names(struct controls *controls, struct planned *planned, uint64_t *seed)
{
    const uint32_t made = controls->count;
    uint32_t wanted = draw(seed) % 8 == 0 && made > 0 ? 0 : 1 + (uint32_t)(draw(seed) % 3);
    if (made == 0 && planned->is_audience) wanted = 0;
    bool taken[CONTROLS_MAX + 2] = { false };
    if (draw(seed) % 3 == 0) { /* all there is */
        for (uint32_t i = made > 50 ? made - 50 : 0; i < made; i++) taken[i] = true;
    }
    for (uint32_t i = 0; i < wanted && made > 0; i++) {
        uint32_t back = (uint32_t)(draw(seed) % (draw(seed) % 2 == 0 ? 3 : made));
        taken[back < made ? made - 1 - back : 0] = true;
    }
    if (!planned->is_audience && made == 0) taken[CONTROLS_MAX] = true;
    for (uint32_t i = 0; i < made && (wanted > 0 || !planned->is_audience); i++) {
        if (taken[i]) planned->names[planned->name_count++] = controls->items[i].id;
    }
    if (wanted > 0 && draw(seed) % 8 == 0) { /* never held */
        planned->names[planned->name_count++] = 60000 + (uint32_t)(draw(seed) % 5);
    }
    if (!planned->is_audience && planned->name_count == 0) planned->names[planned->name_count++] = 60000;
}

static void
draw_planned(struct controls *controls, uint32_t id, uint32_t agencies, uint64_t *seed)
{
    struct planned *planned = &controls->items[controls->count];
    *planned = (struct planned){ .id = id, .author = CONTROLS_OWNER, .is_audience = true };
    if (draw(seed) % 3 == 0) planned->author = 1 + (uint32_t)(draw(seed) % agencies);
    planned->is_audience = planned->author == CONTROLS_OWNER;
    if (draw(seed) % 30 == 0) planned->is_audience = !planned->is_audience;
    planned->subject = 1 + (uint32_t)(draw(seed) % agencies);
    draw_names(controls, planned, seed);
    planned->number = 1 + controls->count / 2 + draw(seed) % 3;
    planned->time_ms = 1000 + draw(seed) % 20;
    planned->history_ms = (uint64_t[]){ 0, ILEA_HISTORY_ALL, 1010 }[draw(seed) % 3];
    for (uint32_t agency = 1; planned->is_audience && agency <= agencies; agency++) {
        if (draw(seed) % 3 != 0) continue;
        uint32_t kind = draw(seed) % 2 == 0 ? ILEA_MEMBER_ADD : 1 + (uint32_t)(draw(seed) % 3);
        uint32_t level = kind == ILEA_MEMBER_ADD ? 1 + (uint32_t)(draw(seed) % 3) : 0;
        planned->acts[planned->act_count++] = (struct planned_act){ kind, agency, level };
    }
    controls->count++;
}

static void
test_drawn(void **unused)
{
    (void)unused;
    static struct controls controls;
    uint64_t seed = (uint64_t)time(NULL) | 1;
    const char *given = getenv("SEED");
    if (given != NULL) seed = strtoull(given, NULL, 10) | 1;
    printf("SEED=%llu\n", (unsigned long long)seed);
    for (uint32_t graph = 0; graph < GRAPHS; graph++) {
        uint32_t ids[CONTROLS_MAX];
        uint32_t count = 1 + (uint32_t)(draw(&seed) % (graph % 100 == 99 ? CONTROLS_MAX : 18));
        uint32_t agencies = 2 + (uint32_t)(draw(&seed) % 6);
        for (uint32_t i = 0; i < count; i++) { /* ids in no order */
            uint32_t other = (uint32_t)(draw(&seed) % (i + 1));
            ids[i] = i == other ? 100 + i : ids[other];
            ids[other] = 100 + i;
        }
        controls.count = 0;
        for (uint32_t i = 0; i < count; i++) draw_planned(&controls, ids[i], agencies, &seed);
        char name[32];
        snprintf(name, sizeof name, "graph %u", (unsigned)graph);
        check_orders(name, &controls, &seed);
    }
}

/* ---- Single questions ---- */

/* An AUDIENCE of the owner that names `name` (0: nothing) and has one act. */
static struct planned
audience_of(uint32_t id, uint32_t name, uint64_t number, uint32_t kind, uint32_t agency, uint32_t level)
{
    struct planned planned = { .id = id,
                               .author = CONTROLS_OWNER,
                               .is_audience = true,
                               .number = number,
                               .history_ms = ILEA_HISTORY_ALL };
    if (name != 0) planned.names[planned.name_count++] = name;
    if (kind != 0) planned.acts[planned.act_count++] = (struct planned_act){ kind, agency, level };
    return planned;
}

static struct planned
suspend_of(uint32_t id, uint32_t author, uint32_t name, uint32_t subject)
{
    struct planned planned = { .id = id, .author = author, .name_count = 1, .names = { name }, .subject = subject };
    return planned;
}

static void
must_take(struct ilea_membership *membership, struct planned planned)
{
    assert_int_equal(take(membership, &planned), ILEA_ERROR_NONE);
}

static enum ilea_error
take_bytes(struct ilea_span content)
{
    struct ilea_membership *membership = new_membership();
    struct ilea_agency_id author = ilea_planned_agency(CONTROLS_OWNER);
    struct ilea_commit_id id = ilea_planned_commit(5);
    enum ilea_error error = ilea_membership_take(membership, &author, &id, content);
    if (error != ILEA_ERROR_NONE) assert_false(ilea_membership_holds(membership, &id));
    ilea_membership_free(membership);
    return error;
}

static void
test_refused(void **unused)
{
    (void)unused;
    uint8_t bytes[CONTROL_SIZE_MAX];
    struct planned planned = audience_of(5, 0, 1, ILEA_MEMBER_ADD, 2, ILEA_ACCESS_WRITE);
    size_t size = ilea_planned_encode(&planned, bytes);
    assert_int_equal(decode_copy(take_bytes, bytes, size), ILEA_ERROR_NONE);
    check_cuts(take_bytes, bytes, size);
    check_mutations(take_bytes, bytes, size, 5);

    bytes[4]++; /* behind the array, the kind and the head of a binary: the audience */
    assert_int_equal(decode_copy(take_bytes, bytes, size), ILEA_ERROR_INVALID);

    struct ilea_msgpack_writer writer;
    struct ilea_head head = { .id = ilea_planned_commit(1) };
    const struct ilea_use_statement use = { .audience = ilea_planned_audience(), .head_count = 1 };
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_use_put(&writer, &use, &head);
    assert_int_equal(decode_copy(take_bytes, bytes, writer.size), ILEA_ERROR_MALFORMED);
    const uint8_t newer[] = { 0x91, 0x7f };
    assert_int_equal(decode_copy(take_bytes, newer, sizeof newer), ILEA_ERROR_MALFORMED);
}

static void
test_nothing(void **unused)
{
    (void)unused;
    struct ilea_membership *membership = new_membership();
    struct ilea_membership_state state;
    struct ilea_commit_id id = ilea_planned_commit(1);
    struct ilea_agency_id owner = ilea_planned_agency(CONTROLS_OWNER);
    enum ilea_access level = ILEA_ACCESS_READ;
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_NONE);
    assert_int_equal(state.member_count, 1);
    assert_false(state.has_epoch || state.has_info);
    assert_int_equal(state.next_number, 1);
    assert_int_equal(ilea_membership_at(membership, &id, 1, true, &owner, &level), ILEA_ERROR_NOT_FOUND);
    assert_int_equal(level, ILEA_ACCESS_READ); /* as it was */
    assert_false(ilea_membership_may_have(membership, &id, 1, &owner));
    assert_false(ilea_membership_is_ancestor(membership, &id, &id));
    ilea_membership_free(membership);
    ilea_membership_free(NULL);
}

static void
test_what_a_state_says(void **unused)
{
    (void)unused;
    struct ilea_membership *membership = new_membership();
    struct ilea_membership_state state;
    must_take(membership, audience_of(1, 0, 1, ILEA_MEMBER_ADD, 2, ILEA_ACCESS_WRITE));
    must_take(membership, audience_of(2, 1, 2, ILEA_MEMBER_ADD, 2, ILEA_ACCESS_ADMIN));
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_NONE);
    assert_true(state.has_info && !state.list);
    assert_int_equal(state.name.size, 8);
    assert_memory_equal(state.name.data, "Somebody", 8);
    assert_int_equal(state.tlp, 3);
    assert_true(state.history_ms == ILEA_HISTORY_ALL);
    assert_int_equal(state.statement_count, 2);
    assert_int_equal(state.epoch_number, 2);
    assert_int_equal(state.aek_commit[31], 2);
    assert_int_equal(state.member_count, 2);
    assert_int_equal(state.members[0].level, ILEA_ACCESS_ADMIN);
    assert_string_equal(state.members[0].code, "");
    assert_string_equal(state.members[1].code, "FR-PN");
    assert_int_equal(state.members[1].reading.bytes[31], 2); /* of the addition that counts */
    struct ilea_agency_id owner = ilea_planned_agency(CONTROLS_OWNER), nobody = ilea_planned_agency(9);
    assert_memory_equal(&state.heads[0].agency, &owner, sizeof owner);
    assert_ptr_equal(ilea_membership_find(&state, &owner), &state.members[0]);
    assert_null(ilea_membership_find(&state, &nobody));
    ilea_membership_free(membership);
}

/* A WRITER's epoch is judged by the ancestors of all that it names. */
static void
test_several_ids(void **unused)
{
    (void)unused;
    struct ilea_membership *membership = new_membership();
    must_take(membership, audience_of(1, 0, 1, ILEA_MEMBER_ADD, 2, ILEA_ACCESS_WRITE));
    must_take(membership, audience_of(2, 1, 2, ILEA_MEMBER_REMOVE, 2, 0));
    must_take(membership, audience_of(3, 1, 2, ILEA_MEMBER_ADD, 3, ILEA_ACCESS_READ));
    struct ilea_commit_id ids[] = { ilea_planned_commit(3), ilea_planned_commit(99), ilea_planned_commit(2) };
    struct ilea_agency_id two = ilea_planned_agency(2), three = ilea_planned_agency(3);
    enum ilea_access level;
    assert_int_equal(ilea_membership_at(membership, ids, 1, false, &two, &level), ILEA_ERROR_NONE);
    assert_int_equal(level, ILEA_ACCESS_WRITE);
    assert_int_equal(ilea_membership_at(membership, ids, 3, false, &two, &level), ILEA_ERROR_NONE);
    assert_int_equal(level, ILEA_ACCESS_NONE);
    assert_int_equal(ilea_membership_at(membership, ids + 1, 2, false, &three, &level), ILEA_ERROR_NONE);
    assert_int_equal(level, ILEA_ACCESS_NONE);
    assert_int_equal(ilea_membership_at(membership, ids + 1, 1, false, &three, &level), ILEA_ERROR_NOT_FOUND);
    ilea_membership_free(membership);
}

static bool
is_followed(void *context, const struct ilea_agency_id *agency)
{
    static const struct ilea_agency_id named; /* in all that is planned */
    assert_memory_equal(agency, &named, sizeof named);
    return *(const bool *)context;
}

/* Our own may come back before what it names, and others name ours. */
static void
test_whole(void **unused)
{
    (void)unused;
    struct ilea_membership *membership = new_membership();
    struct ilea_commit_id ids[] = { ilea_planned_commit(1), ilea_planned_commit(3), ilea_planned_commit(4) };
    bool followed = true;
    assert_false(ilea_membership_is_whole(membership, &ids[0], is_followed, &followed));
    must_take(membership, audience_of(1, 0, 1, ILEA_MEMBER_ADD, 2, ILEA_ACCESS_ADMIN));
    must_take(membership, audience_of(3, 2, 2, ILEA_MEMBER_ADD, 3, ILEA_ACCESS_WRITE));
    must_take(membership, audience_of(4, 3, 3, ILEA_MEMBER_ADD, 4, ILEA_ACCESS_WRITE));
    assert_true(ilea_membership_is_whole(membership, &ids[0], is_followed, &followed));
    assert_false(ilea_membership_is_whole(membership, &ids[1], is_followed, &followed));
    assert_false(ilea_membership_is_whole(membership, &ids[2], is_followed, &followed));
    followed = false; /* what it stated need not come */
    assert_true(ilea_membership_is_whole(membership, &ids[2], is_followed, &followed));
    followed = true;
    must_take(membership, suspend_of(2, 2, 1, 3));
    for (uint32_t i = 0; i < 3; i++) assert_true(ilea_membership_is_whole(membership, &ids[i], is_followed, &followed));
    ilea_membership_free(membership);
}

/* What follows from acts that are only planned is what follows once they are stated. */
static void
test_after(void **unused)
{
    (void)unused;
    struct ilea_membership *membership = new_membership(), *after;
    must_take(membership, audience_of(1, 0, 1, ILEA_MEMBER_ADD, 2, ILEA_ACCESS_WRITE));
    must_take(membership, audience_of(2, 1, 2, ILEA_MEMBER_ADD, 3, ILEA_ACCESS_ADMIN));
    must_take(membership, suspend_of(3, 3, 2, 2));
    must_take(membership, suspend_of(4, 5, 2, 3)); /* by who is no member yet */
    const struct ilea_member_act acts[] = {
        { .kind = ILEA_MEMBER_LIFT, .agency = ilea_planned_agency(2) },
        { .kind = ILEA_MEMBER_ADD,
          .agency = ilea_planned_agency(5),
          .level = ILEA_ACCESS_ADMIN,
          .code = { (const uint8_t *)"X", 1 } },
    };
    assert_int_equal(ilea_membership_after(membership, acts, 2, &after), ILEA_ERROR_NONE);
    struct ilea_membership_state state;
    struct ilea_agency_id two = ilea_planned_agency(2), three = ilea_planned_agency(3), five = ilea_planned_agency(5);
    assert_int_equal(ilea_membership_state(after, &state), ILEA_ERROR_NONE);
    assert_int_equal(state.member_count, 4);
    assert_true(state.has_epoch);
    assert_int_equal(state.epoch_number, 3);
    assert_false(ilea_membership_find(&state, &two)->suspended);
    assert_true(ilea_membership_find(&state, &three)->suspended);
    assert_string_equal(ilea_membership_find(&state, &five)->code, "X");
    ilea_membership_free(after);
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_NONE); /* as it was */
    assert_true(ilea_membership_find(&state, &two)->suspended);
    assert_false(state.has_epoch);
    ilea_membership_free(membership);
}

/* Who names zeros names nothing: not what is only planned, which would seem to know its own removal. */
static void
test_after_knows_no_trick(void **unused)
{
    (void)unused;
    struct ilea_membership *membership = new_membership(), *after;
    must_take(membership, audience_of(1, 0, 1, ILEA_MEMBER_ADD, 2, ILEA_ACCESS_WRITE));
    must_take(membership, suspend_of(2, 2, 0, 3));
    must_take(membership, audience_of(3, 2, 2, ILEA_MEMBER_ADD, 2, ILEA_ACCESS_WRITE));
    const struct ilea_member_act act = { .kind = ILEA_MEMBER_REMOVE, .agency = ilea_planned_agency(2) };
    assert_int_equal(ilea_membership_after(membership, &act, 1, &after), ILEA_ERROR_NONE);
    struct ilea_membership_state state;
    assert_int_equal(ilea_membership_state(after, &state), ILEA_ERROR_NONE);
    assert_int_equal(state.member_count, 1);
    ilea_membership_free(after);
    ilea_membership_free(membership);
}

/* ---- Limits ---- */

static void
test_statements_and_numbers(void **unused)
{
    (void)unused;
    struct ilea_membership *membership = new_membership(), *after;
    struct ilea_membership_state state;
    must_take(membership, audience_of(1, 0, 1, ILEA_MEMBER_ADD, 2, ILEA_ACCESS_WRITE));
    for (uint32_t i = 2; i <= ILEA_CONTROLS_MAX; i++) must_take(membership, audience_of(i, i - 1, i, 0, 0, 0));
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_NONE);
    assert_int_equal(state.statement_count, ILEA_CONTROLS_MAX);
    assert_int_equal(state.epoch_number, ILEA_CONTROLS_MAX);
    assert_int_equal(state.head_count, 1);
    assert_int_equal(ilea_membership_after(membership, NULL, 0, &after), ILEA_ERROR_LIMIT);
    struct planned more = audience_of(ILEA_CONTROLS_MAX + 1, 1, 2, 0, 0, 0);
    assert_int_equal(take(membership, &more), ILEA_ERROR_LIMIT);
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_LIMIT);
    assert_int_equal(state.statement_count, ILEA_CONTROLS_MAX);
    struct ilea_commit_id first = ilea_planned_commit(1), last = ilea_planned_commit(ILEA_CONTROLS_MAX);
    assert_true(ilea_membership_is_ancestor(membership, &first, &last));
    assert_false(ilea_membership_is_ancestor(membership, &last, &first));
    ilea_membership_free(membership);

    membership = new_membership();
    must_take(membership, audience_of(1, 0, UINT64_MAX, 0, 0, 0));
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_NONE);
    assert_true(state.next_number == UINT64_MAX);
    ilea_membership_free(membership);
}

/* More heads than fit: the owner's next statement takes them together, AUDIENCEs first. */
static void
test_heads(void **unused)
{
    (void)unused;
    struct ilea_membership *membership = new_membership();
    struct ilea_membership_state state;
    must_take(membership, audience_of(1, 0, 1, ILEA_MEMBER_ADD, 2, ILEA_ACCESS_ADMIN));
    must_take(membership, audience_of(200, 1, 2, ILEA_MEMBER_ADD, 3, ILEA_ACCESS_READ));
    for (uint32_t i = 0; i < ILEA_HEADS_MAX - 1; i++) must_take(membership, suspend_of(10 + i, 2, 1, 3));
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_NONE);
    assert_int_equal(state.head_count, ILEA_HEADS_MAX);
    must_take(membership, suspend_of(150, 2, 1, 3));
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_LIMIT);
    assert_int_equal(state.head_count, ILEA_HEADS_MAX);
    struct ilea_commit_id audience = ilea_planned_commit(200);
    assert_memory_equal(&state.heads[ILEA_HEADS_MAX - 1].id, &audience, sizeof audience);
    struct planned joined = audience_of(201, 0, 3, ILEA_MEMBER_LIFT, 3, 0);
    for (uint32_t i = 0; i < ILEA_HEADS_MAX; i++) joined.names[i] = state.heads[i].id.bytes[31];
    joined.name_count = ILEA_HEADS_MAX;
    must_take(membership, joined);
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_NONE);
    assert_int_equal(state.head_count, 2);
    ilea_membership_free(membership);
}

/* `count` acts of one kind on agencies first, first + 1, ... */
static enum ilea_error
take_many(struct ilea_membership *membership, uint32_t id, uint32_t name, enum ilea_member_act_kind kind,
          uint32_t first, uint32_t count)
{
    static struct ilea_member_act acts[ILEA_MEMBER_ACTS_MAX];
    static uint8_t bytes[128 * 1024], wrapped[ILEA_WRAPPED_KEY_SIZE];
    struct ilea_head head = { .id = ilea_planned_commit(name) };
    const struct ilea_audience_statement statement = { .audience = ilea_planned_audience(),
                                                       .number = id,
                                                       .head_count = name != 0 ? 1 : 0,
                                                       .wrapped_count = 1,
                                                       .act_count = count,
                                                       .has_info = name == 0,
                                                       .name = { (const uint8_t *)"A", 1 },
                                                       .tlp = 1 };
    for (uint32_t i = 0; i < count; i++) {
        acts[i] = (struct ilea_member_act){ .kind = kind,
                                            .agency = ilea_planned_agency(first + i),
                                            .level = kind == ILEA_MEMBER_ADD ? ILEA_ACCESS_READ : ILEA_ACCESS_NONE,
                                            .code = { (const uint8_t *)"A", kind == ILEA_MEMBER_ADD ? 1 : 0 } };
    }
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_audience_statement_put(&writer, &statement, &head, wrapped, acts);
    assert_false(writer.failed);
    struct ilea_agency_id owner = ilea_planned_agency(CONTROLS_OWNER);
    struct ilea_commit_id commit = ilea_planned_commit(id);
    return ilea_membership_take(membership, &owner, &commit, (struct ilea_span){ bytes, writer.size });
}

/* 1,023 members beside the owner are good; one more, and nobody writes until one is removed. */
static void
test_members(void **unused)
{
    (void)unused;
    struct ilea_membership *membership = new_membership();
    struct ilea_membership_state state;
    assert_int_equal(take_many(membership, 1, 0, ILEA_MEMBER_ADD, 2, 512), ILEA_ERROR_NONE);
    assert_int_equal(take_many(membership, 2, 1, ILEA_MEMBER_ADD, 514, 511), ILEA_ERROR_NONE);
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_NONE);
    assert_int_equal(state.member_count, ILEA_MEMBERS_MAX);
    assert_int_equal(take_many(membership, 3, 2, ILEA_MEMBER_ADD, 1025, 1), ILEA_ERROR_NONE);
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_LIMIT);
    assert_int_equal(state.member_count, ILEA_MEMBERS_MAX);
    assert_int_equal(take_many(membership, 4, 3, ILEA_MEMBER_REMOVE, 2, 1), ILEA_ERROR_NONE);
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_NONE);
    assert_int_equal(state.member_count, ILEA_MEMBERS_MAX);
    ilea_membership_free(membership);
}

static void
test_acts_and_agencies(void **unused)
{
    (void)unused;
    struct ilea_membership *membership = new_membership();
    struct ilea_membership_state state;
    assert_int_equal(take_many(membership, 1, 0, ILEA_MEMBER_REMOVE, 2, 512), ILEA_ERROR_NONE);
    for (uint32_t i = 2; i <= ILEA_CONTROL_ACTS_MAX / 512; i++) {
        assert_int_equal(take_many(membership, i, i - 1, ILEA_MEMBER_REMOVE, 2, 512), ILEA_ERROR_NONE);
    }
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_NONE);
    assert_int_equal(take_many(membership, 500, 1, ILEA_MEMBER_ADD, 2, 1), ILEA_ERROR_LIMIT);
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_LIMIT);
    assert_int_equal(state.member_count, 1);
    ilea_membership_free(membership);

    membership = new_membership();
    for (uint32_t i = 0; i < 7; i++) {
        assert_int_equal(take_many(membership, i + 1, i, ILEA_MEMBER_REMOVE, 2 + 512 * i, 512), ILEA_ERROR_NONE);
    }
    assert_int_equal(take_many(membership, 8, 7, ILEA_MEMBER_REMOVE, 2 + 512 * 7, 511), ILEA_ERROR_NONE);
    assert_int_equal(take_many(membership, 9, 8, ILEA_MEMBER_REMOVE, 2, 512), ILEA_ERROR_NONE); /* known */
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_NONE);
    struct planned stranger = suspend_of(400, 9999, 1, 2);
    assert_int_equal(take(membership, &stranger), ILEA_ERROR_LIMIT);
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_LIMIT);
    ilea_membership_free(membership);
}

/* 4,096 statements backwards, each naming what is not there yet: every one is joined when it comes. */
static void
test_backwards(void **unused)
{
    (void)unused;
    struct ilea_membership *membership = new_membership();
    struct ilea_membership_state state;
    for (uint32_t i = ILEA_CONTROLS_MAX; i > 1; i--) {
        struct planned planned = audience_of(i, 0, i, 0, 0, 0);
        uint32_t first = i - 1 > CONTROLS_NAMES_MAX ? i - CONTROLS_NAMES_MAX : 1;
        for (uint32_t name = first; name < i; name++) planned.names[planned.name_count++] = name;
        must_take(membership, planned);
    }
    must_take(membership, audience_of(1, 0, 1, ILEA_MEMBER_ADD, 2, ILEA_ACCESS_READ));
    assert_int_equal(ilea_membership_state(membership, &state), ILEA_ERROR_NONE);
    assert_int_equal(state.head_count, 1);
    assert_int_equal(state.epoch_number, ILEA_CONTROLS_MAX);
    struct ilea_commit_id first = ilea_planned_commit(1), last = ilea_planned_commit(ILEA_CONTROLS_MAX);
    assert_true(ilea_membership_is_ancestor(membership, &first, &last));
    ilea_membership_free(membership);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_drawn),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_what_a_state_says),
        cmocka_unit_test(test_several_ids),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_after),
        cmocka_unit_test(test_after_knows_no_trick),
        cmocka_unit_test(test_statements_and_numbers),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_acts_and_agencies),
        cmocka_unit_test(test_backwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
