/*
 * decision.h - the kinds of entries in the audit feed and who must have signed each.
 */
#ifndef ILEA_NODE_DECISION_H
#define ILEA_NODE_DECISION_H

#include <stdbool.h>
#include <stdint.h>

#include "include/ilea/span.h"

enum ilea_decider {
    ILEA_DECIDER_NODE,   /* what the node noticed: nobody */
    ILEA_DECIDER_ONE,    /* one admin: it only withholds, or only says something */
    ILEA_DECIDER_QUORUM, /* as many admins as the policy asks for */
    ILEA_DECIDER_GROWING,/* so too, but where there are fewer admins, all of them: an admin is added */
    ILEA_DECIDER_REVIEW, /* two, whatever the policy: who asks, and another one */
    ILEA_DECIDER_PAIR,   /* two admins, or the only one: other agencies check that, and do not know our policy */
    ILEA_DECIDER_ROOTS   /* the agency's roots, by the manifest that goes with it; admins may sign too */
};

struct ilea_decision_kind {
    const char *name;
    enum ilea_decider decider;
    bool has_subject;    /* about another agency */
    bool has_manifest;   /* brings a new manifest of our own */
    const char *title;   /* "approve", before the agency's code: what is decided, for people */
};

/* NULL: unknown. */
const struct ilea_decision_kind *ilea_decision_kind(struct ilea_span name);

/* How many admins must sign. */
uint32_t ilea_decision_needed(const struct ilea_decision_kind *kind, uint32_t approvals, uint32_t admins);

#endif
