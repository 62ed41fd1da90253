/*
 * audience.h - what its own people do about closed audiences: new ones, who comes and goes, who is to get nothing more
 * until the owner has decided.
 *
 * All inside the author's group commit.
 */
#ifndef ILEA_NODE_AUDIENCE_H
#define ILEA_NODE_AUDIENCE_H

#include "node/author.h"
#include "replication/record/audience.h"

enum ilea_audience_verb {
    ILEA_AUDIENCE_NEW = 1,
    ILEA_AUDIENCE_LIST,    /* the list with exactly these members: found, or made */
    ILEA_AUDIENCE_ADD,     /* or give another level */
    ILEA_AUDIENCE_REMOVE,
    ILEA_AUDIENCE_SUSPEND,
    ILEA_AUDIENCE_CONFIRM, /* remove one that is suspended */
    ILEA_AUDIENCE_LIFT,
    ILEA_AUDIENCE_VERB_LAST = ILEA_AUDIENCE_LIFT
};

struct ilea_audience_request {
    enum ilea_audience_verb verb;
    struct ilea_audience_id audience;  /* of NEW and LIST: zeros */
    struct ilea_span name;             /* NEW: this and the next two */
    uint32_t tlp;
    uint64_t history_ms;
    struct ilea_span reason;           /* SUSPEND */
    uint32_t member_count;             /* NEW, LIST: at least one; else exactly one */
    struct ilea_audience_member {
        struct ilea_agency_id agency;
        enum ilea_access level;        /* NEW, ADD; of ADD also NONE: the usual one, for who is no member yet */
    } members[ILEA_MEMBER_ACTS_MAX];
};

struct ilea_audience_result {
    struct ilea_audience_id audience;
    bool is_new;                       /* it was made */
    uint64_t epoch;                    /* number of the current epoch; 0: none is usable */
    char reason[ILEA_REASON_SIZE];     /* on failure: one line for people */
};

/*
 * Carry it out, and enter it in the audit feed.
 *   ILEA_ERROR_NOT_FOUND   no such audience or agency, or it is no member
 *   ILEA_ERROR_INVALID     what cannot be: not approved, twice, a name that is taken, the owner suspended
 *   ILEA_ERROR_PERMISSION  not the owner, or not an admin
 *   ILEA_ERROR_LIMIT       the audience is frozen, or has as many members as there can be
 *   others: abort
 * Where result->reason is not empty nothing was written. */
ILEA_MUST_USE enum ilea_error ilea_author_change_audience(struct ilea_author *author,
                                                          const struct ilea_audience_request *request,
                                                          struct ilea_audience_result *result);

#endif
