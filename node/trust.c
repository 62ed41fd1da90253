#include "node/trust.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/date.h"
#include "node/trust_state.h"

enum ilea_error
ilea_trust_refuse(struct decide *decide, enum ilea_error error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(decide->answer->reason, sizeof decide->answer->reason, format, arguments);
    va_end(arguments);
    return error;
}

void
ilea_trust_text(const struct decide *decide, const char *key, char *text, size_t size)
{
    struct ilea_span value = ilea_act_value(&decide->act, key);
    (void)snprintf(text, size, "%.*s", (int)value.size, value.size > 0 ? (const char *)value.data : "");
}

enum ilea_error
ilea_trust_policy(struct ilea_transaction *txn, const struct ilea_config *config, struct ilea_policy *policy)
{
    enum ilea_error error = ilea_log_policy(txn, policy);
    if (error != ILEA_ERROR_NONE) return error;
    if (config->approvals > policy->approvals) policy->approvals = config->approvals;
    policy->unverified = policy->unverified && config->unverified;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_trust_clock(struct ilea_transaction *txn, uint64_t now_ms, enum ilea_clock *clock, uint64_t *last_ms)
{
    enum ilea_error error = ilea_audit_last_time(txn, last_ms);
    *clock = ILEA_CLOCK_PLAUSIBLE;
    if (error != ILEA_ERROR_NONE || *last_ms == 0) return error;
    if (now_ms < *last_ms && *last_ms - now_ms > ILEA_CLOCK_BACK_MS) *clock = ILEA_CLOCK_BEHIND;
    if (now_ms > *last_ms && now_ms - *last_ms > ILEA_CLOCK_AHEAD_DAYS * (uint64_t)ILEA_ACT_FRESH_MS) {
        *clock = ILEA_CLOCK_AHEAD;
    }
    return ILEA_ERROR_NONE;
}

/* A signed act is of today, by the node's clock, which is one that can be right. */
static enum ilea_error
check_time(struct decide *decide)
{
    uint64_t made = decide->act.made_ms, now = decide->now_ms, last = 0;
    char one[ILEA_TIME_SIZE], other[ILEA_TIME_SIZE];
    ilea_time_format(made, one);
    ilea_time_format(now, other);
    uint64_t age = now > made ? now - made : made - now;
    if (decide->proposal != 0 && now > made) {
        if (age <= (uint64_t)ILEA_PROPOSAL_DAYS * ILEA_ACT_FRESH_MS) return ILEA_ERROR_NONE;
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID,
                                 "the proposal is of %s and it is %s: too old, %s it and decide anew", one, other,
                                 decide->kind->decider == ILEA_DECIDER_REVIEW ? "return" : "reject");
    }
    if (age > ILEA_ACT_FRESH_MS) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID,
                                 "the decision was made at %s and the node's clock says %s (UTC): set the clock that "
                                 "is wrong and decide anew", one, other);
    }
    enum ilea_clock clock;
    enum ilea_error error = ilea_trust_clock(decide->txn, now, &clock, &last);
    if (error != ILEA_ERROR_NONE || clock == ILEA_CLOCK_PLAUSIBLE) return error;
    char confirmed[8];
    ilea_trust_text(decide, "clock", confirmed, sizeof confirmed);
    if (strcmp(confirmed, "right") == 0) return ILEA_ERROR_NONE;
    ilea_time_format(last, one);
    return ilea_trust_refuse(decide, ILEA_ERROR_INVALID,
                             "the clock says %s and the last decision here was at %s: set it; if it is right, "
                             "add --clock-is-right", other, one);
}

static bool
is_admin(const struct ilea_manifest *own, const struct ilea_sign_public *key)
{
    for (uint32_t i = 0; i < own->admin_count; i++) {
        if (memcmp(own->admins[i].bytes, key->bytes, sizeof key->bytes) == 0) return true;
    }
    return false;
}

static bool
has_signed(const struct decide *decide, const struct ilea_sign_public *admin)
{
    for (uint32_t i = 0; i < decide->sig_count; i++) {
        if (memcmp(decide->sigs[i].admin.bytes, admin->bytes, sizeof admin->bytes) == 0) return true;
    }
    return false;
}

/* All signatures that came are good and of admins, else nothing is done. */
static enum ilea_error
take_signatures(struct decide *decide)
{
    for (uint32_t i = 0; i < decide->request->sig_count; i++) {
        const struct ilea_act_signature *sig = &decide->request->sigs[i];
        if (!is_admin(&decide->own, &sig->admin)) {
            return ilea_trust_refuse(decide, ILEA_ERROR_PERMISSION,
                                     "signed by a key that is no admin's here; see: ilea admin list");
        }
        if (!ilea_act_verify(&decide->act, &decide->identity->network, &sig->admin, &sig->sig)) {
            return ilea_trust_refuse(decide, ILEA_ERROR_BAD_SIGNATURE, "the decision was altered: its signature "
                                                                       "does not match");
        }
        if (has_signed(decide, &sig->admin)) {
            if (decide->proposal == 0) continue;
            if (decide->kind->decider == ILEA_DECIDER_REVIEW) {
                return ilea_trust_refuse(decide, ILEA_ERROR_PERMISSION,
                                         "who asks does not approve: this key asked for it, another admin's must "
                                         "approve it");
            }
            return ilea_trust_refuse(decide, ILEA_ERROR_EXISTS,
                                     "this admin has signed it already: another one must");
        }
        if (decide->sig_count < ILEA_ACT_SIGS_MAX) decide->sigs[decide->sig_count++] = *sig;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
keep_payload(struct decide *decide, struct ilea_span payload)
{
    if (payload.size > ILEA_PAYLOAD_SIZE_MAX) return ILEA_ERROR_LIMIT;
    decide->payload = malloc(payload.size + 1);
    if (decide->payload == NULL) return ILEA_ERROR_NO_MEMORY;
    if (payload.size > 0) memcpy(decide->payload, payload.data, payload.size);
    decide->payload_size = payload.size;
    return ILEA_ERROR_NONE;
}

/* The proposal with this act, if there is one: its signatures of those who are still admins, its payload. */
static enum ilea_error
find_proposal(struct decide *decide)
{
    struct ilea_proposal_row row = { .number = 0 };
    enum ilea_error error;
    while ((error = ilea_log_proposal_next(decide->txn, row.number, &row)) == ILEA_ERROR_NONE) {
        if (row.act.size != decide->request->act.size
            || memcmp(row.act.data, decide->request->act.data, row.act.size) != 0) {
            continue;
        }
        decide->proposal = row.number;
        if (row.returned_ms != 0) {
            return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "release %u was returned: it has to be asked for anew",
                                     row.number);
        }
        for (uint32_t i = 0; i < row.sig_count && i < ILEA_ACT_SIGS_MAX; i++) {
            struct ilea_act_signature sig;
            memcpy(sig.admin.bytes, row.sigs.data + (size_t)i * ILEA_PROPOSAL_SIG_SIZE, sizeof sig.admin.bytes);
            memcpy(sig.sig.bytes, row.sigs.data + (size_t)i * ILEA_PROPOSAL_SIG_SIZE + sizeof sig.admin.bytes,
                   sizeof sig.sig.bytes);
            if (is_admin(&decide->own, &sig.admin)
                && ilea_act_verify(&decide->act, &decide->identity->network, &sig.admin, &sig.sig)) {
                decide->sigs[decide->sig_count++] = sig;
            }
        }
        return keep_payload(decide, row.payload);
    }
    return error == ILEA_ERROR_NOT_FOUND ? keep_payload(decide, decide->request->payload) : error;
}

/* Decisions and releases are counted apart: nobody keeps a decision out by asking for releases. Of releases that were
 * returned the oldest makes room. */
static enum ilea_error
make_room(struct decide *decide)
{
    bool is_release = decide->kind->decider == ILEA_DECIDER_REVIEW;
    uint32_t waiting = 0, returned = 0, oldest = 0;
    struct ilea_proposal_row row = { .number = 0 };
    enum ilea_error error;
    while ((error = ilea_log_proposal_next(decide->txn, row.number, &row)) == ILEA_ERROR_NONE) {
        if (ilea_trust_is_release(row.act) != is_release) continue;
        if (row.returned_ms == 0) waiting++;
        else if (returned++ == 0) oldest = row.number;
    }
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    if (waiting >= ILEA_PROPOSALS_MAX) {
        return ilea_trust_refuse(decide, ILEA_ERROR_FULL,
                                 is_release ? "%u releases wait already: approve or return some; see: ilea review list"
                                            : "%u decisions wait already: sign or reject some; see: ilea admin pending",
                                 waiting);
    }
    bool is_full = waiting + returned >= ILEA_PROPOSALS_MAX;
    return is_full ? ilea_log_delete_proposal(decide->txn, oldest) : ILEA_ERROR_NONE;
}

static enum ilea_error
store_proposal(struct decide *decide)
{
    uint8_t sigs[ILEA_ACT_SIGS_MAX * ILEA_PROPOSAL_SIG_SIZE];
    for (uint32_t i = 0; i < decide->sig_count; i++) {
        uint8_t *to = sigs + (size_t)i * ILEA_PROPOSAL_SIG_SIZE;
        memcpy(to, decide->sigs[i].admin.bytes, sizeof decide->sigs[i].admin.bytes);
        memcpy(to + sizeof decide->sigs[i].admin.bytes, decide->sigs[i].sig.bytes, sizeof decide->sigs[i].sig.bytes);
    }
    enum ilea_error error = decide->proposal == 0 ? make_room(decide) : ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_proposal_row row = { .number = decide->proposal, .made_ms = decide->act.made_ms,
                                      .act = decide->request->act,
                                      .payload = { decide->payload, decide->payload_size },
                                      .sigs = { sigs, (size_t)decide->sig_count * ILEA_PROPOSAL_SIG_SIZE },
                                      .sig_count = decide->sig_count };
    error = ilea_log_put_proposal(decide->txn, &row);
    decide->answer->proposal = row.number;
    decide->answer->outcome = ILEA_DECISION_WAITS;
    if (error != ILEA_ERROR_NONE || decide->kind->decider != ILEA_DECIDER_REVIEW) return error;
    return ilea_trust_note_release(decide);
}

/* Stricter configuration becomes what the log asks for, so that a later, laxer one does not undo it. */
static enum ilea_error
raise_policy(struct decide *decide)
{
    struct ilea_policy recorded;
    enum ilea_error error = ilea_log_policy(decide->txn, &recorded);
    if (error != ILEA_ERROR_NONE || decide->policy.approvals <= recorded.approvals) return error;
    char number[12];
    (void)snprintf(number, sizeof number, "%u", decide->policy.approvals);
    recorded.approvals = decide->policy.approvals;
    error = ilea_log_put_policy(decide->txn, &recorded);
    const struct ilea_audit_pair pairs[] = { { "approvals", number }, { "by", "configuration" }, { NULL, NULL } };
    return error == ILEA_ERROR_NONE ? ilea_audit_note(decide->author, "policy.set", NULL, pairs) : error;
}

static enum ilea_error
carry_out(struct decide *decide)
{
    uint64_t seq = 0;
    enum ilea_error error = ILEA_ERROR_NONE;
    if (decide->proposal != 0) error = ilea_log_delete_proposal(decide->txn, decide->proposal);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_audit_append(decide->author, decide->request->act, decide->sigs, decide->sig_count, &seq);
    }
    if (error == ILEA_ERROR_NONE) {
        error = decide->kind->has_subject ? ilea_trust_do_peer(decide, seq) : ilea_trust_do_own(decide);
    }
    decide->answer->outcome = ILEA_DECISION_DONE;
    return error;
}

static enum ilea_error
load_subject(struct decide *decide)
{
    if (!decide->kind->has_subject) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_agency_load(decide->txn, &decide->act.subject, &decide->subject);
    if (error == ILEA_ERROR_NOT_FOUND) {
        return ilea_trust_refuse(decide, error, "no such agency; see: ilea peer list");
    }
    if (error == ILEA_ERROR_NONE && decide->subject.row.state == ILEA_AGENCY_SELF) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "that is this node itself");
    }
    if (error != ILEA_ERROR_NONE) return error;
    /* A first signature of before a suspension or revocation must not undo it when the second comes. */
    char was[24], now[24];
    ilea_trust_text(decide, "was", was, sizeof was);
    (void)snprintf(now, sizeof now, "%llu", (unsigned long long)decide->subject.row.decided);
    bool is_proposal = decide->proposal != 0;
    if ((was[0] != '\0' || is_proposal) && strcmp(was[0] != '\0' ? was : "0", now) != 0) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID,
                                 "meanwhile the agency was %s (audit entry %s): decide anew%s",
                                 ilea_agency_state_name(decide->subject.row.state), now,
                                 is_proposal ? ", and take this one away: ilea admin reject" : "");
    }
    return ILEA_ERROR_NONE;
}

/* The act itself: ours, of a kind that is decided, and not one that was carried out before. */
static enum ilea_error
check_act(struct decide *decide)
{
    if (ilea_act_decode(decide->request->act, &decide->act) != ILEA_ERROR_NONE) {
        return ilea_trust_refuse(decide, ILEA_ERROR_MALFORMED, "not a decision that this version knows");
    }
    decide->kind = ilea_decision_kind(decide->act.kind);
    if (decide->kind == NULL || decide->kind->decider == ILEA_DECIDER_NODE
        || decide->kind->has_subject != decide->act.has_subject) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "not a decision that admins make");
    }
    if (memcmp(decide->act.agency.bytes, decide->identity->agency.bytes, ILEA_ID_SIZE) != 0) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "a decision of another agency");
    }
    enum ilea_error error = ilea_log_audit_has_act(decide->txn, decide->act.hash);
    if (error == ILEA_ERROR_NONE) {
        return ilea_trust_refuse(decide, ILEA_ERROR_EXISTS, "this decision was carried out before");
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static enum ilea_error
decide_all(struct decide *decide)
{
    enum ilea_error error = check_act(decide);
    if (error == ILEA_ERROR_NONE) error = ilea_chain_last(decide->txn, &decide->identity->agency, &decide->own);
    if (error == ILEA_ERROR_NONE) error = ilea_trust_policy(decide->txn, &decide->node->config, &decide->policy);
    if (error == ILEA_ERROR_NONE) error = find_proposal(decide);
    if (error == ILEA_ERROR_NONE) error = take_signatures(decide);
    if (error == ILEA_ERROR_NONE) error = check_time(decide);
    if (error == ILEA_ERROR_NONE) error = load_subject(decide);
    if (error == ILEA_ERROR_NONE) {
        error = decide->kind->has_subject ? ilea_trust_check_peer(decide) : ilea_trust_check_own(decide);
    }
    if (error != ILEA_ERROR_NONE) return error;
    uint32_t needed = ilea_decision_needed(decide->kind, decide->policy.approvals, decide->own.admin_count);
    decide->answer->have = decide->sig_count;
    decide->answer->needed = needed;
    if (needed > decide->own.admin_count) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID,
                                 "%u admins must sign and there are %u: add one first: ilea admin add NAME", needed,
                                 decide->own.admin_count);
    }
    if (decide->sig_count == 0 && needed > 0) {
        return ilea_trust_refuse(decide, ILEA_ERROR_PERMISSION, "no admin has signed the decision");
    }
    error = raise_policy(decide);
    if (error != ILEA_ERROR_NONE) return error;
    return decide->sig_count >= needed ? carry_out(decide) : store_proposal(decide);
}

static void
fill_answer(struct decide *decide)
{
    struct ilea_control_decision *answer = decide->answer;
    (void)snprintf(answer->kind, sizeof answer->kind, "%s", decide->kind->name);
    if (!decide->kind->has_subject) return;
    answer->has_agency = true;
    answer->agency = decide->subject.row.id;
    (void)snprintf(answer->code, sizeof answer->code, "%.*s", (int)decide->subject.manifest.code.size,
                   (const char *)decide->subject.manifest.code.data);
    (void)snprintf(answer->state, sizeof answer->state, "%s", ilea_agency_state_name(decide->subject.row.state));
    ilea_agency_words(&decide->subject.row, answer->words);
}

enum ilea_error
ilea_trust_decide(struct ilea_node *node, const struct ilea_trust_request *request, uint64_t now_ms,
                  struct ilea_control_decision *answer)
{
    *answer = (struct ilea_control_decision){ .error = ILEA_ERROR_NONE };
    struct decide *decide = calloc(1, sizeof *decide);
    if (decide == NULL) return ILEA_ERROR_NO_MEMORY;
    decide->node = node;
    decide->author = node->author;
    decide->txn = ilea_author_transaction(node->author);
    decide->identity = ilea_log_identity(node->log);
    decide->now_ms = now_ms;
    decide->request = request;
    decide->answer = answer;
    enum ilea_error error = decide_all(decide);
    if (error == ILEA_ERROR_NONE) {
        fill_answer(decide);
    } else if (answer->reason[0] != '\0') { /* the admin's to mend */
        answer->error = error;
        error = ILEA_ERROR_NONE;
    }
    free(decide->payload);
    free(decide);
    return error;
}
