/*
 * fuzz_membership.c - sequences of control statements: whatever names whatever, what is taken comes to what the rules
 * of tests/support/controls.c say, forwards and backwards; and raw bytes as one statement.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "tests/support/controls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STATEMENTS_MAX = 16, STATEMENT_BYTES = 10, AGENCIES = 5 };

static struct ilea_membership *
new_membership(void)
{
    struct ilea_agency_id owner = ilea_planned_agency(CONTROLS_OWNER);
    struct ilea_audience_id audience = ilea_planned_audience();
    struct ilea_membership *membership;
    if (ilea_membership_new(&owner, &audience, &membership) != ILEA_ERROR_NONE) abort();
    return membership;
}

static void
take_raw(const uint8_t *data, size_t size)
{
    struct ilea_membership *membership = new_membership();
    struct ilea_agency_id author = ilea_planned_agency(size > 0 && data[size - 1] % 2 == 0 ? 2 : CONTROLS_OWNER);
    struct ilea_commit_id id = ilea_planned_commit(1);
    struct ilea_membership_state state;
    enum ilea_error error = ilea_membership_take(membership, &author, &id, (struct ilea_span){ data, size });
    ilea_assert(ilea_membership_holds(membership, &id) == (error == ILEA_ERROR_NONE));
    ilea_assert(ilea_membership_state(membership, &state) == ILEA_ERROR_NONE);
    ilea_membership_free(membership);
}

/* A statement from ten bytes: author, number and which of the statements before and behind it, it names. */
static void
plan(struct controls *controls, const uint8_t *data)
{
    const uint32_t place = controls->count++;
    struct planned *planned = &controls->items[place];
    *planned = (struct planned){ .id = 1 + (place * 7 + 3) % 29, .author = 1 + data[0] % AGENCIES };
    planned->is_audience = (planned->author == CONTROLS_OWNER) != (data[0] >= 0xf8);
    planned->subject = 1 + (data[0] >> 3) % AGENCIES;
    planned->number = 1 + data[1] % 8;
    planned->time_ms = 1 + data[1] / 8;
    planned->history_ms = data[2] == 0xff ? ILEA_HISTORY_ALL : data[2] % 32;
    for (uint32_t i = 0; i < STATEMENTS_MAX; i++) {
        if (i != place && (data[3 + i / 8] >> (i % 8) & 1) != 0) {
            planned->names[planned->name_count++] = 1 + (i * 7 + 3) % 29;
        }
    }
    if (!planned->is_audience && planned->name_count == 0) planned->names[planned->name_count++] = 99;
    for (uint32_t agency = 1; agency <= AGENCIES && planned->is_audience; agency++) {
        uint32_t kind = agency < AGENCIES ? data[6] >> (2 * agency - 2) & 3u : data[7] & 3u;
        uint32_t level = kind == ILEA_MEMBER_ADD ? 1 + (data[8] + agency * data[9]) % 3u : 0;
        if (kind != 0) planned->acts[planned->act_count++] = (struct planned_act){ kind, agency, level };
    }
}

static void
take_planned(const struct controls *controls, const struct verdict *verdict, bool backwards)
{
    struct ilea_membership *membership = new_membership();
    for (uint32_t i = 0; i < controls->count; i++) {
        uint8_t bytes[CONTROL_SIZE_MAX];
        const struct planned *planned = &controls->items[backwards ? controls->count - 1 - i : i];
        struct ilea_agency_id author = ilea_planned_agency(planned->author);
        struct ilea_commit_id id = ilea_planned_commit(planned->id);
        struct ilea_span content = { bytes, ilea_planned_encode(planned, bytes) };
        ilea_assert(ilea_membership_take(membership, &author, &id, content)
                    == (ilea_planned_counts(planned) ? ILEA_ERROR_NONE : ILEA_ERROR_INVALID));
    }
    ilea_assert(ilea_controls_compare(controls, verdict, membership) == NULL);
    ilea_membership_free(membership);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct controls controls;
    static struct verdict verdict;
    take_raw(data, size);
    controls.count = 0;
    for (size_t at = 0; size - at >= STATEMENT_BYTES && controls.count < STATEMENTS_MAX; at += STATEMENT_BYTES) {
        plan(&controls, data + at);
    }
    ilea_controls_judge(&controls, &verdict);
    take_planned(&controls, &verdict, false);
    take_planned(&controls, &verdict, true);
    return 0;
}
