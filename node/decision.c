#include "node/decision.h"

#include <string.h>

static const struct ilea_decision_kind kinds[] = {
    { "agency.init", ILEA_DECIDER_ONE, false, false, "make the node" },
    { "peer.add", ILEA_DECIDER_NODE, true, false, "take in the card of" },
    { "peer.request", ILEA_DECIDER_NODE, true, false, "take in the request of" },
    { "peer.approve", ILEA_DECIDER_QUORUM, true, false, "approve" },
    { "peer.decline", ILEA_DECIDER_ONE, true, false, "decline" },
    { "peer.suspend", ILEA_DECIDER_ONE, true, false, "suspend" },
    { "peer.resume", ILEA_DECIDER_QUORUM, true, false, "resume" },
    { "peer.revoke", ILEA_DECIDER_QUORUM, true, false, "revoke" },
    { "peer.expired", ILEA_DECIDER_NODE, true, false, "end the expired approval of" },
    { "peer.conflict", ILEA_DECIDER_NODE, true, false, "stop, for a conflict of keys," },
    { "peer.manifest", ILEA_DECIDER_NODE, true, false, "take in new keys of" },
    { "peer.vouch", ILEA_DECIDER_ONE, true, false, "vouch for" },
    { "peer.invite", ILEA_DECIDER_ONE, false, false, "invite an agency" },
    { "policy.four-eyes", ILEA_DECIDER_NODE, false, false, "note whether releases need a second admin" },
    { "policy.set", ILEA_DECIDER_QUORUM, false, false, "set the policy" },
    { "admin.add", ILEA_DECIDER_GROWING, false, true, "add an admin" },
    { "admin.remove", ILEA_DECIDER_QUORUM, false, true, "remove an admin" },
    { "admin.reject", ILEA_DECIDER_ONE, false, false, "reject a proposal" },
    { "key.rotate", ILEA_DECIDER_QUORUM, false, true, "rotate keys" },
    { "key.revoke", ILEA_DECIDER_QUORUM, false, true, "revoke the node key" },
    { "key.recover", ILEA_DECIDER_ROOTS, false, true, "recover with the next roots" },
    { "fork.seen", ILEA_DECIDER_NODE, true, false, "note a fork of" },
    { "fork.resolve", ILEA_DECIDER_QUORUM, false, true, "resolve a fork" },
    { "record.release", ILEA_DECIDER_REVIEW, false, false, "send records to others" },
    { "record.asked", ILEA_DECIDER_NODE, false, false, "note that a release waits for review" },
    { "record.return", ILEA_DECIDER_ONE, false, false, "return a release" },
    { "record.erase", ILEA_DECIDER_PAIR, false, false, "erase" },
    { "record.erased", ILEA_DECIDER_NODE, false, false, "note an erased record" },
    { "audience.new", ILEA_DECIDER_NODE, false, false, "note a new audience" },
    { "audience.change", ILEA_DECIDER_NODE, false, false, "note a change of an audience" },
    { "audience.suspend", ILEA_DECIDER_NODE, false, false, "note a suspension in an audience" },
    { "log.restored", ILEA_DECIDER_NODE, false, false, "note that the log was restored" },
};

const struct ilea_decision_kind *
ilea_decision_kind(struct ilea_span name)
{
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strlen(kinds[i].name) == name.size && memcmp(kinds[i].name, name.data, name.size) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

uint32_t
ilea_decision_needed(const struct ilea_decision_kind *kind, uint32_t approvals, uint32_t admins)
{
    switch (kind->decider) {
    case ILEA_DECIDER_NODE:
    case ILEA_DECIDER_ROOTS: return 0;
    case ILEA_DECIDER_ONE: return 1;
    case ILEA_DECIDER_QUORUM: return approvals;
    case ILEA_DECIDER_REVIEW: return 2;
    case ILEA_DECIDER_PAIR: return admins < 2 ? 1 : 2;
    case ILEA_DECIDER_GROWING: return admins < approvals ? admins : approvals;
    }
    return approvals;
}
