/*
 * reach.h - whom something reaches: the one rule by which keys are sealed to agencies (author_epoch.c,
 * author_audience.c), documents are served, and a preview says who gets what (command_publish.c).
 *
 * Two things decide. The audience: all that are approved here, or the members of a closed one of whom no suspension
 * stands. And our own grant of each: an agency that is not approved here gets nothing that we write, as a member of
 * somebody's audience neither; one that is gets what its highest label and its areas allow.
 */
#ifndef ILEA_NODE_REACH_H
#define ILEA_NODE_REACH_H

#include "replication/audience/membership.h"
#include "replication/store/log_store.h"

enum ilea_reach {
    ILEA_REACH_GETS = 0,
    ILEA_REACH_LABEL,        /* above the highest label of its grant */
    ILEA_REACH_AREAS,        /* the grant names areas, and not all of the record's are among them */
    ILEA_REACH_PENDING,      /* nobody decided about it yet */
    ILEA_REACH_SUSPENDED,
    ILEA_REACH_REVOKED,
    ILEA_REACH_DECLINED,
    ILEA_REACH_UNKNOWN,      /* a member that we never heard of */
    ILEA_REACH_NOT_MEMBER,
    ILEA_REACH_SUSPENDED_MEMBER /* a suspension of it stands in the audience */
};

/* Whether a record has areas and all of them are in `areas`, codes separated by commas. */
typedef bool ilea_reach_within(const void *context, const char *areas);

/* That, of a struct ilea_record (context). */
bool ilea_reach_record_within(const void *record, const char *areas);

/* Does what bears `label` reach an agency with this state and grant? `areas`: of the grant, NULL if it names none;
 * `is_within` NULL: of no record in particular, so who is restricted to areas is left out. */
enum ilea_reach ilea_reach_of(enum ilea_agency_state state, uint32_t tlp_max, const char *areas, uint32_t label,
                              ilea_reach_within *is_within, const void *context);

/* An agency that something may reach. */
struct ilea_reach_agency {
    struct ilea_agency_id id;
    char code[ILEA_CODE_SIZE_MAX + 1];
    bool is_known;           /* here: else a member of an audience alone */
    enum ilea_agency_state state;
    uint32_t tlp_max;
    char *areas;             /* heap; NULL: not restricted */
    struct ilea_reading_public reading; /* of its newest manifest */
};
struct ilea_reach_agencies {
    struct ilea_reach_agency *rows; /* ascending by id; heap */
    uint32_t count, capacity;
};

/* All agencies that are known here, ourselves among them; `approved`: those that are approved, and ourselves.
 * CORRUPT, NO_MEMORY: nothing is there then. */
ILEA_MUST_USE enum ilea_error ilea_reach_load(struct ilea_transaction *log, bool approved,
                                              struct ilea_reach_agencies *agencies);
/* And the members of an audience that are not known here. */
ILEA_MUST_USE enum ilea_error ilea_reach_add_members(struct ilea_reach_agencies *agencies,
                                                     const struct ilea_membership_state *members);
void ilea_reach_unload(struct ilea_reach_agencies *agencies);

/* What is to reach somebody. */
struct ilea_reach_what {
    enum ilea_scope scope;
    const struct ilea_membership_state *members; /* of scope AUDIENCE; NULL else */
    uint32_t label;
    ilea_reach_within *is_within;
    const void *context;
};
enum ilea_reach ilea_reach_to(const struct ilea_reach_agency *agency, const struct ilea_reach_what *what);

/* Whether an agency can have read what was written where *what says, whatever its label, now or at some time: it gets
 * it (say CLEAR there), is a member, or a key of an epoch of `audience`, which may be an implicit one, was sealed to
 * it. */
ILEA_MUST_USE enum ilea_error ilea_reach_could_read(struct ilea_transaction *log,
                                                    const struct ilea_reach_agency *agency,
                                                    const struct ilea_reach_what *what,
                                                    const struct ilea_audience_id *audience, bool *could);

/* Why a record is not taken from somebody (a code) unasked. */
#define ILEA_REACH_FALLS_OUT "%s has it and would not get it any more: what was shared is erased then; to do that, "
#define ILEA_REACH_CONFIRM "add --confirm"

/* Whether what bears a label may go to a scope, and to an audience, at all: NULL, or in words why not. */
const char *ilea_reach_refusal(const struct ilea_reach_what *what);

/* "above its ceiling"; of GETS "gets it". */
const char *ilea_reach_text(enum ilea_reach reach);
/* One word for JSON: "label". */
const char *ilea_reach_name(enum ilea_reach reach);

/* Whether a code is in a list of codes that are separated by commas. */
bool ilea_reach_is_listed(struct ilea_span code, const char *list);

#endif
