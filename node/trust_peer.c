/* trust_peer.c - decisions about other agencies: their state, what they may do, vouching for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/ceremony_check.h"
#include "node/date.h"
#include "node/grant.h"
#include "node/own_keys.h"
#include "node/trust_state.h"
#include "replication/record/put.h"
#include "replication/record/schema.h"

static bool
is_kind(const struct decide *decide, const char *name)
{
    return strcmp(decide->kind->name, name) == 0;
}

static bool
is_refused(enum ilea_agency_state state)
{
    return state == ILEA_AGENCY_DECLINED || state == ILEA_AGENCY_REVOKED;
}

enum ilea_error
ilea_trust_refusal(struct ilea_transaction *txn, const struct ilea_agency_id *agency, struct ilea_agency_id *refused)
{
    struct ilea_agency_row row;
    struct ilea_agency_id last;
    const struct ilea_agency_id *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_agency_next(txn, after, &row)) == ILEA_ERROR_NONE) {
        last = row.id;
        after = &last;
        if (!is_refused(row.state)) continue;
        bool same = memcmp(last.bytes, agency->bytes, ILEA_ID_SIZE) == 0;
        if (!same) error = ilea_chain_shares_root(txn, agency, &last, &same);
        if (error != ILEA_ERROR_NONE) return error;
        if (!same) continue;
        *refused = last;
        return ILEA_ERROR_NONE;
    }
    return error;
}

static const char *
code_of(const struct decide *decide, char text[ILEA_CODE_SIZE_MAX + 1])
{
    struct ilea_span code = decide->subject.manifest.code;
    (void)snprintf(text, ILEA_CODE_SIZE_MAX + 1, "%.*s", (int)code.size, (const char *)code.data);
    return text;
}

/* What the admin saw is what is approved: not keys that came in since. */
static enum ilea_error
check_manifest(struct decide *decide)
{
    uint8_t hash[ILEA_HASH_SIZE];
    if (!ilea_hex_parse(ilea_act_value(&decide->act, "manifest"), hash, sizeof hash)) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "the decision does not say which keys it is about");
    }
    if (memcmp(hash, decide->subject.manifest.hash, sizeof hash) == 0) return ILEA_ERROR_NONE;
    return ilea_trust_refuse(decide, ILEA_ERROR_INVALID,
                             "their keys have changed since the decision was made: look at them and decide anew");
}

static enum ilea_error
check_code(struct decide *decide)
{
    char code[80];
    ilea_trust_text(decide, "code", code, sizeof code);
    return ilea_ceremony_check(decide->node, decide->txn, &decide->act.subject, code, &decide->verified,
                               decide->answer->reason);
}

/* An approval by --yes alone: allowed by the policy, and for nobody who was refused before. */
static enum ilea_error
check_unverified(struct decide *decide)
{
    char code[ILEA_CODE_SIZE_MAX + 1];
    if (decide->subject.row.state == ILEA_AGENCY_APPROVED && decide->subject.row.verified != ILEA_VERIFIED_NO) {
        decide->verified = (enum ilea_verified)decide->subject.row.verified;
        return ILEA_ERROR_NONE; /* it is verified; only the grant changes */
    }
    struct ilea_agency_id refused;
    enum ilea_error error = ilea_trust_refusal(decide->txn, &decide->act.subject, &refused);
    if (error == ILEA_ERROR_NONE) {
        bool same = memcmp(refused.bytes, decide->act.subject.bytes, ILEA_ID_SIZE) == 0;
        return ilea_trust_refuse(decide, ILEA_ERROR_PERMISSION,
                                 "%s %s refused before: compare codes (ilea peer verify %s), then ilea peer approve "
                                 "%s --code 12345678", code_of(decide, code),
                                 same ? "was" : "has a root key of an agency that was", code, code);
    }
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    if (decide->policy.unverified) return ILEA_ERROR_NONE;
    return ilea_trust_refuse(decide, ILEA_ERROR_PERMISSION,
                             "the policy asks for a compared code: ilea peer verify %s, then ilea peer approve %s "
                             "--code 12345678", code_of(decide, code), code);
}

/* What the act grants; areas borrow `areas`. */
static enum ilea_error
read_grant(struct decide *decide, char areas[ILEA_AGENCY_TEXT_MAX + 1], struct ilea_grant *grant)
{
    char text[80];
    *grant = (struct ilea_grant){ .tlp_max = ILEA_LABEL_GREEN };
    ilea_trust_text(decide, "scope", text, sizeof text);
    if (!ilea_grant_scopes_parse(text[0] != '\0' ? text : ILEA_GRANT_SCOPES_ALL, &grant->scopes)) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "scopes are connect, follow, relay and invite");
    }
    ilea_trust_text(decide, "tlp-max", text, sizeof text);
    if (text[0] != '\0') grant->tlp_max = ilea_grant_tlp_parse(text);
    if (grant->tlp_max == 0) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "the ceiling is clear, green, amber, amber+strict or red");
    }
    ilea_trust_text(decide, "areas", areas, ILEA_AGENCY_TEXT_MAX + 1);
    if (!ilea_grant_areas_are_valid(areas)) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "areas are codes separated by commas");
    }
    grant->areas = (struct ilea_span){ (const uint8_t *)areas, strlen(areas) };
    ilea_trust_text(decide, "expires", text, sizeof text);
    if (text[0] == '\0') return ILEA_ERROR_NONE;
    if (!ilea_date_parse(text, &grant->expires_ms)) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "an approval expires on a day, as 2028-01-01");
    }
    if (grant->expires_ms > decide->now_ms) return ILEA_ERROR_NONE;
    return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "%s is over: an approval expires on a day to come", text);
}

static enum ilea_error
check_approve(struct decide *decide)
{
    char areas[ILEA_AGENCY_TEXT_MAX + 1];
    struct ilea_grant grant;
    enum ilea_error error = check_manifest(decide);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_agency_check_code(decide->txn, &decide->subject, decide->answer->reason);
    }
    if (error == ILEA_ERROR_NONE) error = read_grant(decide, areas, &grant);
    if (error != ILEA_ERROR_NONE) return error;
    if (ilea_act_value(&decide->act, "code").data == NULL) return check_unverified(decide);
    /* The code was good when the first admin gave it; its nonces need not last until the second signs. How it
     * was compared is kept with the proposal meanwhile. */
    if (decide->proposal == 0) {
        error = check_code(decide);
        if (error != ILEA_ERROR_NONE) return error;
        decide->payload[0] = (uint8_t)decide->verified; /* there is always room for one byte */
        decide->payload_size = 1;
    } else if (decide->payload_size == 1 && decide->payload[0] <= ILEA_VERIFIED_OFFLINE_CODE) {
        decide->verified = (enum ilea_verified)decide->payload[0];
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
check_vouch(struct decide *decide)
{
    char how[20], status[20];
    ilea_trust_text(decide, "how", how, sizeof how);
    ilea_trust_text(decide, "status", status, sizeof status);
    if (strcmp(how, "phone") != 0 && strcmp(how, "in-person") != 0 && strcmp(how, "document") != 0) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "you made sure by phone, in-person or by document");
    }
    if (strcmp(status, "current") != 0 && strcmp(status, "withdrawn") != 0) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "a vouch is current or withdrawn");
    }
    enum ilea_agency_state state = decide->subject.row.state;
    if (strcmp(status, "current") == 0 && (state == ILEA_AGENCY_REVOKED || state == ILEA_AGENCY_DECLINED)) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "it is %s here: nobody is to be told otherwise",
                                 ilea_agency_state_name(state));
    }
    return check_manifest(decide);
}

enum ilea_error
ilea_trust_check_peer(struct decide *decide)
{
    enum ilea_agency_state state = decide->subject.row.state;
    char code[ILEA_CODE_SIZE_MAX + 1], words[ILEA_STATE_WORDS_SIZE];
    code_of(decide, code);
    ilea_agency_words(&decide->subject.row, words);
    if (is_kind(decide, "peer.approve")) {
        return check_approve(decide);
    } else if (is_kind(decide, "peer.vouch")) {
        return check_vouch(decide);
    } else if (is_kind(decide, "peer.decline")) {
        if (state == ILEA_AGENCY_PENDING) return ILEA_ERROR_NONE;
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "%s is %s, not pending: nothing to decline%s", code, words,
                                 state == ILEA_AGENCY_APPROVED ? "; see peer suspend and peer revoke" : "");
    } else if (is_kind(decide, "peer.suspend")) {
        if (state == ILEA_AGENCY_APPROVED) return ILEA_ERROR_NONE;
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "%s is %s, not approved: nothing to suspend", code, words);
    } else if (is_kind(decide, "peer.resume")) {
        uint64_t expires = decide->subject.row.grant.expires_ms;
        if (state != ILEA_AGENCY_SUSPENDED) {
            return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "%s is %s, not suspended: nothing to resume", code,
                                     words);
        }
        if (expires == 0 || expires > decide->now_ms) return ilea_agency_check_code(decide->txn, &decide->subject,
                                                                                    decide->answer->reason);
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID,
                                 "its approval has expired: approve it again with --expires on a day to come");
    } else if (is_kind(decide, "peer.revoke")) {
        if (state == ILEA_AGENCY_APPROVED || state == ILEA_AGENCY_SUSPENDED) return ILEA_ERROR_NONE;
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "%s is %s: nothing to revoke%s", code, words,
                                 state == ILEA_AGENCY_PENDING ? "; see peer decline" : "");
    }
    return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "this decision is not known here");
}

struct vouch_put {
    struct ilea_put put;
    uint8_t bytes[512];
    size_t used;
};

static void
add_text(struct vouch_put *vouch, const char *field, const char *text)
{
    struct ilea_span name = { (const uint8_t *)field, strlen(field) };
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, vouch->bytes + vouch->used, sizeof vouch->bytes - vouch->used);
    ilea_msgpack_put_str(&writer, (struct ilea_span){ (const uint8_t *)text, strlen(text) });
    vouch->put.entries[vouch->put.entry_count++] = (struct ilea_put_entry){
        .field = ilea_field_by_name(ilea_type_by_number(vouch->put.type), name)->number, .action = ILEA_PUT_SET,
        .value = ilea_msgpack_written(&writer) };
    vouch->used += writer.size;
}

/* Each vouch is a record of its own: what is shown is the newest one of an agency about another. */
static enum ilea_error
do_vouch(struct decide *decide)
{
    static const struct ilea_span type = { (const uint8_t *)"vouch", 5 };
    char subject[2 * ILEA_ID_SIZE + 1], text[100], date[ILEA_DATE_SIZE];
    struct vouch_put *vouch = calloc(1, sizeof *vouch);
    if (vouch == NULL) return ILEA_ERROR_NO_MEMORY;
    vouch->put.mode = ILEA_PUT_CREATE;
    vouch->put.scope = ILEA_SCOPE_PEERS;
    vouch->put.type = ilea_type_by_name(type)->number;
    ilea_hex_format(decide->act.subject.bytes, ILEA_ID_SIZE, subject);
    add_text(vouch, "subject", subject);
    ilea_trust_text(decide, "manifest", text, sizeof text);
    add_text(vouch, "manifest", text);
    ilea_trust_text(decide, "how", text, sizeof text);
    add_text(vouch, "how", text);
    ilea_date_format(decide->now_ms, date);
    add_text(vouch, "date", date);
    ilea_trust_text(decide, "status", text, sizeof text);
    add_text(vouch, "status", text);
    struct ilea_put_result result;
    /* Not for a second admin's eyes: it is a decision, with nothing in it but what this one says. */
    enum ilea_error error = ilea_author_release(decide->author, &vouch->put, &result);
    if (error != ILEA_ERROR_NONE && ilea_author_refuses(error)) {
        (void)snprintf(decide->answer->reason, sizeof decide->answer->reason, "not written: %.150s", result.reason);
    }
    free(vouch);
    return error;
}

/* Bring an agency into a state by an entry of the audit feed; its row's texts may borrow the transaction. What is
 * refused or withdrawn is noted outside the log first: no restore brings it back. */
static enum ilea_error
put_state(struct ilea_node *node, struct ilea_agency_row *row, enum ilea_agency_state state, const char *reason,
          uint64_t audit_seq, uint64_t now_ms)
{
    struct ilea_transaction *txn = ilea_author_transaction(node->author);
    enum ilea_error error = ILEA_ERROR_NONE;
    bool withdraws = state == ILEA_AGENCY_SUSPENDED || state == ILEA_AGENCY_REVOKED || state == ILEA_AGENCY_DECLINED;
    if (withdraws && node->side != NULL) error = ilea_side_put_decision(node->side, txn, &row->id, state, audit_seq);
    if (error != ILEA_ERROR_NONE) return error;
    row->state = state;
    row->decided = audit_seq;
    row->changed_ms = now_ms;
    row->reason = (struct ilea_span){ (const uint8_t *)reason, strlen(reason) };
    error = ilea_log_put_agency(txn, row);
    if (error == ILEA_ERROR_NONE && state == ILEA_AGENCY_REVOKED) {
        error = ilea_log_drop_receipts(txn, &row->id, &ilea_log_identity(node->log)->agency);
    }
    return error == ILEA_ERROR_NONE ? ilea_author_readers_changed(node->author) : error;
}

enum ilea_error
ilea_trust_do_peer(struct decide *decide, uint64_t audit_seq)
{
    char reason[ILEA_AGENCY_TEXT_MAX + 1], areas[ILEA_AGENCY_TEXT_MAX + 1];
    struct ilea_agency_row *row = &decide->subject.row;
    if (is_kind(decide, "peer.vouch")) return do_vouch(decide);
    ilea_trust_text(decide, "reason", reason, sizeof reason);
    if (is_kind(decide, "peer.approve")) {
        enum ilea_error error = read_grant(decide, areas, &row->grant);
        if (error != ILEA_ERROR_NONE) return error;
        row->verified = decide->verified;
        return put_state(decide->node, row, ILEA_AGENCY_APPROVED, "", audit_seq, decide->now_ms);
    }
    enum ilea_agency_state state = is_kind(decide, "peer.decline") ? ILEA_AGENCY_DECLINED
        : is_kind(decide, "peer.suspend") ? ILEA_AGENCY_SUSPENDED
        : is_kind(decide, "peer.revoke") ? ILEA_AGENCY_REVOKED : ILEA_AGENCY_APPROVED;
    return put_state(decide->node, row, state, reason, audit_seq, decide->now_ms);
}

/* By the node itself, with an entry that says why. */
static enum ilea_error
suspend(struct ilea_node *node, struct ilea_agency_row *row, const char *kind, const struct ilea_audit_pair *pairs,
        const char *reason, uint64_t now_ms)
{
    uint64_t last = 0;
    uint8_t hash[ILEA_HASH_SIZE];
    const struct ilea_agency_id id = row->id;
    enum ilea_error error = ilea_log_audit_last(ilea_author_transaction(node->author), &last, hash);
    if (error == ILEA_ERROR_NONE) {
        error = put_state(node, row, ILEA_AGENCY_SUSPENDED, reason, last + 1, now_ms);
    }
    return error == ILEA_ERROR_NONE ? ilea_audit_note(node->author, kind, &id, pairs) : error;
}

enum ilea_error
ilea_trust_expire(struct ilea_node *node, uint64_t now_ms, struct ilea_agency_id *agency)
{
    struct ilea_transaction *txn = ilea_author_transaction(node->author);
    enum ilea_clock clock;
    uint64_t last = 0;
    enum ilea_error error = ilea_trust_clock(txn, now_ms, &clock, &last);
    if (error != ILEA_ERROR_NONE) return error;
    if (clock != ILEA_CLOCK_PLAUSIBLE) return ILEA_ERROR_NOT_FOUND;
    struct ilea_agency_row row;
    const struct ilea_agency_id *after = NULL;
    while ((error = ilea_log_agency_next(txn, after, &row)) == ILEA_ERROR_NONE) {
        *agency = row.id;
        after = agency;
        if (row.state != ILEA_AGENCY_APPROVED || row.grant.expires_ms == 0 || row.grant.expires_ms > now_ms) continue;
        char date[ILEA_DATE_SIZE];
        ilea_date_format(row.grant.expires_ms, date);
        const struct ilea_audit_pair pairs[] = { { "expires", date }, { NULL, NULL } };
        return suspend(node, &row, "peer.expired", pairs, "expired", now_ms);
    }
    return error;
}

enum ilea_error
ilea_trust_conflict(struct ilea_node *node, const struct ilea_agency_id *agency, uint64_t index, uint64_t now_ms)
{
    struct ilea_agency_row row;
    enum ilea_error error = ilea_log_agency(ilea_author_transaction(node->author), agency, &row);
    if (error != ILEA_ERROR_NONE || row.state != ILEA_AGENCY_APPROVED) return error;
    char text[24], reason[100];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)index);
    (void)snprintf(reason, sizeof reason, "its roots signed two different manifests %s: ask them which counts", text);
    const struct ilea_audit_pair pairs[] = { { "index", text }, { NULL, NULL } };
    return suspend(node, &row, "peer.conflict", pairs, reason, now_ms);
}
