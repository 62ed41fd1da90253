/*
 * reach.h - whom something reaches: the one rule by which keys are sealed to agencies (author_epoch.c) and
 * by which a preview says who gets what (command_publish.c). Pure.
 */
#ifndef ILEA_NODE_REACH_H
#define ILEA_NODE_REACH_H

#include "replication/store/log_store.h"

enum ilea_reach {
    ILEA_REACH_GETS = 0,
    ILEA_REACH_LABEL,        /* above the highest label of its grant */
    ILEA_REACH_AREAS,        /* the grant names areas, and not all of the record's are among them */
    ILEA_REACH_PENDING,      /* nobody decided about it yet */
    ILEA_REACH_SUSPENDED,
    ILEA_REACH_REVOKED,
    ILEA_REACH_DECLINED
};

/* Whether a record has areas and all of them are in `areas`, codes separated by commas. */
typedef bool ilea_reach_within(const void *context, const char *areas);

/* Does what bears `label` reach an agency with this state and grant? `areas`: of the grant, NULL if it names none;
 * `is_within` NULL: of no record in particular, so who is restricted to areas is left out. */
enum ilea_reach ilea_reach_of(enum ilea_agency_state state, uint32_t tlp_max, const char *areas, uint32_t label,
                              ilea_reach_within *is_within, const void *context);

/* "above its ceiling"; of GETS "gets it". */
const char *ilea_reach_text(enum ilea_reach reach);
/* One word for JSON: "label". */
const char *ilea_reach_name(enum ilea_reach reach);

/* Whether a code is in a list of codes that are separated by commas. */
bool ilea_reach_is_listed(struct ilea_span code, const char *list);

#endif
