/*
 * controls.h - control statements of a closed audience as plain values, their bytes, and what they come to: the rules
 * of PROTOCOL.md 31 once more, with loops over arrays and nothing kept, to hold replication/audience against.
 *
 * Commits and agencies are small numbers; the owner is CONTROLS_OWNER.
 */
#ifndef ILEA_TEST_CONTROLS_H
#define ILEA_TEST_CONTROLS_H

#include "replication/audience/membership.h"

enum {
    CONTROLS_OWNER = 1,
    CONTROLS_MAX = 200,
    CONTROLS_AGENCIES = 16, /* agencies are below this */
    CONTROLS_NAMES_MAX = 64,
    CONTROL_SIZE_MAX = 8 * 1024
};

struct planned_act {
    uint32_t kind, agency, level;
};

struct planned {
    uint32_t id, author;
    uint32_t name_count, names[CONTROLS_NAMES_MAX];
    bool is_audience;
    uint32_t subject;                       /* of a SUSPEND */
    uint64_t number, time_ms, history_ms;   /* of an AUDIENCE; the last without names alone */
    uint32_t act_count;
    struct planned_act acts[CONTROLS_AGENCIES];
};

struct controls {
    uint32_t count;
    struct planned items[CONTROLS_MAX];
};

/* What all rules say; agencies and ids as numbers, 0: none. */
struct verdict {
    uint32_t level[CONTROLS_AGENCIES], suspended_by[CONTROLS_AGENCIES];
    uint32_t epoch;
    uint64_t next_number;
    uint32_t head_count, heads[CONTROLS_MAX];
    uint32_t level_at[CONTROLS_MAX][CONTROLS_AGENCIES];   /* by the ancestors of item i */
    uint32_t allowed_at[CONTROLS_MAX][CONTROLS_AGENCIES]; /* the same, 0 while suspended */
    bool may_have[CONTROLS_MAX][CONTROLS_AGENCIES];
    bool ancestor[CONTROLS_MAX][CONTROLS_MAX];            /* [of][what] */
};

struct ilea_commit_id ilea_planned_commit(uint32_t id);
struct ilea_agency_id ilea_planned_agency(uint32_t agency);
struct ilea_audience_id ilea_planned_audience(void);
/* Bytes of the statement; fewer than CONTROL_SIZE_MAX. */
size_t ilea_planned_encode(const struct planned *planned, uint8_t *bytes);
/* May its author state it? */
bool ilea_planned_counts(const struct planned *planned);

void ilea_controls_judge(const struct controls *controls, struct verdict *verdict);

/* Does what was taken from exactly these say the same? The name of what differs, or NULL. */
const char *ilea_controls_compare(const struct controls *controls, const struct verdict *verdict,
                                  struct ilea_membership *membership);

#endif
