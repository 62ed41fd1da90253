#include "node/reach.h"

#include <string.h>

enum ilea_reach
ilea_reach_of(enum ilea_agency_state state, uint32_t tlp_max, const char *areas, uint32_t label,
              ilea_reach_within *is_within, const void *context)
{
    switch (state) {
    case ILEA_AGENCY_SELF: return ILEA_REACH_GETS;
    case ILEA_AGENCY_PENDING: return ILEA_REACH_PENDING;
    case ILEA_AGENCY_SUSPENDED: return ILEA_REACH_SUSPENDED;
    case ILEA_AGENCY_REVOKED: return ILEA_REACH_REVOKED;
    case ILEA_AGENCY_DECLINED: return ILEA_REACH_DECLINED;
    case ILEA_AGENCY_APPROVED: break;
    }
    if (label > tlp_max) return ILEA_REACH_LABEL;
    if (areas != NULL && (is_within == NULL || !is_within(context, areas))) return ILEA_REACH_AREAS;
    return ILEA_REACH_GETS;
}

static const struct { const char *name, *text; } words[] = {
    [ILEA_REACH_GETS] = { "gets", "gets it" },
    [ILEA_REACH_LABEL] = { "label", "its approval allows no such label" },
    [ILEA_REACH_AREAS] = { "areas", "its approval does not allow these areas" },
    [ILEA_REACH_PENDING] = { "pending", "it is not approved yet" },
    [ILEA_REACH_SUSPENDED] = { "suspended", "it is suspended" },
    [ILEA_REACH_REVOKED] = { "revoked", "it is revoked" },
    [ILEA_REACH_DECLINED] = { "declined", "it was declined" },
};

const char *
ilea_reach_text(enum ilea_reach reach)
{
    return words[reach].text;
}

const char *
ilea_reach_name(enum ilea_reach reach)
{
    return words[reach].name;
}

bool
ilea_reach_is_listed(struct ilea_span code, const char *list)
{
    for (const char *at = list; at != NULL;) {
        const char *end = strchr(at, ',');
        size_t size = end != NULL ? (size_t)(end - at) : strlen(at);
        if (size == code.size && memcmp(at, code.data, size) == 0) return true;
        at = end != NULL ? end + 1 : NULL;
    }
    return false;
}
