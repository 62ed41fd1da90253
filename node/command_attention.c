#include "node/command_attention.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/command_act.h"
#include "node/command_fork.h"
#include "node/command_key.h"
#include "node/date.h"
#include "node/trust.h"

static const uint64_t soon_ms = (uint64_t)30 * 24 * 60 * 60 * 1000;

static void __attribute__((format(printf, 4, 5)))
add(json_t *list, const char *what, const char *run, const char *format, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "what", what, "text", text, "command", run));
}

static void
add_proposals(struct ilea_command_act *act, uint64_t now_ms, json_t *list)
{
    const uint64_t kept_ms = (uint64_t)ILEA_PROPOSAL_DAYS * 24 * 60 * 60 * 1000;
    unsigned count = 0, waiting = 0, returned = 0;
    struct ilea_proposal_row row = { .number = 0 };
    while (ilea_log_proposal_next(act->txn, row.number, &row) == ILEA_ERROR_NONE) {
        if (!ilea_trust_is_release(row.act)) count++;
        else if (row.returned_ms == 0) waiting++;
        else if (row.returned_ms + kept_ms > now_ms) returned++; /* later nobody will ask for it anew */
    }
    if (waiting == 1) add(list, "review", "ilea review list", "a release waits for review");
    if (waiting > 1) add(list, "review", "ilea review list", "%u releases wait for review", waiting);
    if (returned == 1) add(list, "returned", "ilea review list", "a release was returned");
    if (returned > 1) add(list, "returned", "ilea review list", "%u releases were returned", returned);
    if (count == 1) add(list, "proposals", "ilea admin pending", "a decision waits for signatures");
    if (count > 1) add(list, "proposals", "ilea admin pending", "%u decisions wait for signatures", count);
}

/* A peer that is suspended, or soon will be. */
static void
add_peer(const struct ilea_agency *agency, uint64_t now_ms, json_t *list)
{
    const struct ilea_agency_row *row = &agency->row;
    char code[ILEA_CODE_SIZE_MAX + 1], run[100], date[ILEA_DATE_SIZE];
    (void)snprintf(code, sizeof code, "%.*s", (int)agency->manifest.code.size,
                   (const char *)agency->manifest.code.data);
    uint64_t expires = row->grant.expires_ms;
    bool is_over = expires != 0 && expires <= now_ms;
    ilea_date_format(expires, date);
    if (row->state == ILEA_AGENCY_SUSPENDED) {
        if (is_over) {
            (void)snprintf(run, sizeof run, "ilea peer approve %s --code CODE --expires DATE", code);
        } else {
            (void)snprintf(run, sizeof run, "ilea peer resume %s", code);
        }
        add(list, "suspended", run, "%s is suspended%s%.*s", code, row->reason.size > 0 ? ": " : "",
            row->reason.size > 150 ? 150 : (int)row->reason.size,
            row->reason.size > 0 ? (const char *)row->reason.data : "");
    } else if (row->state == ILEA_AGENCY_APPROVED && expires != 0 && expires < now_ms + soon_ms) {
        (void)snprintf(run, sizeof run, "ilea peer approve %s --code CODE --expires DATE", code);
        add(list, "expires", run, "the approval of %s expires on %s", code, date);
    }
}

static void
add_agencies(struct ilea_command_act *act, uint64_t now_ms, json_t *list)
{
    struct ilea_agency *agency = malloc(sizeof *agency);
    const struct ilea_agency_id *after = NULL;
    unsigned pending = 0;
    while (agency != NULL && ilea_agency_next(act->txn, after, agency) == ILEA_ERROR_NONE) {
        after = &agency->row.id;
        if (agency->row.state == ILEA_AGENCY_PENDING) pending++;
        add_peer(agency, now_ms, list);
    }
    free(agency);
    if (pending == 1) add(list, "requests", "ilea peer pending", "an agency waits for your decision");
    if (pending > 1) add(list, "requests", "ilea peer pending", "%u agencies wait for your decision", pending);
}

static void
add_forks(struct ilea_command_act *act, json_t *list)
{
    json_t *forks = ilea_command_forks(act, false), *fork;
    size_t i;
    json_array_foreach(forks, i, fork) {
        add(list, "fork", "ilea fork list", "feed %.16s of %s has two histories",
            json_string_value(json_object_get(fork, "feed")), json_string_value(json_object_get(fork, "agency")));
    }
    json_decref(forks);
}

static void
add_clock(struct ilea_command_act *act, uint64_t now_ms, json_t *list)
{
    enum ilea_clock clock;
    uint64_t last = 0;
    char now[ILEA_TIME_SIZE], then[ILEA_TIME_SIZE];
    enum ilea_error error = ilea_trust_clock(act->txn, now_ms, &clock, &last);
    if (error == ILEA_ERROR_CORRUPT) {
        add(list, "audit", "ilea audit verify",
            "the audit feed is damaged: nothing can be decided, and nothing expires");
    }
    if (error != ILEA_ERROR_NONE || clock == ILEA_CLOCK_PLAUSIBLE) return;
    ilea_time_format(now_ms, now);
    ilea_time_format(last, then);
    add(list, "clock", "timedatectl",
        "the clock says %s and the last decision was at %s: no approval expires meanwhile", now, then);
}

static void
add_keys(struct ilea_command_act *act, json_t *list)
{
    json_t *facts = ilea_command_key_facts(act), *line;
    size_t i;
    json_array_foreach(json_object_get(facts, "due"), i, line) {
        add(list, "keys", "ilea key status", "%s", json_string_value(line));
    }
    json_decref(facts);
}

/* Of one audience: what its owner has to decide, and what a member has to ask. */
static void
add_audience(struct ilea_command_act *act, const struct ilea_audience_found *found, json_t *list)
{
    const struct ilea_agency_id *own = &ilea_log_identity(act->log)->agency;
    const struct ilea_membership_state *state = &found->state;
    char name[ILEA_AUDIENCE_TEXT_SIZE];
    uint32_t sealed, allowed;
    ilea_audience_text(found, own, name);
    bool is_ours = memcmp(found->row.owner.bytes, own->bytes, sizeof own->bytes) == 0;
    for (uint32_t i = 0; is_ours && i < state->member_count; i++) {
        const struct ilea_member *member = &state->members[i];
        if (!member->suspended) continue;
        add(list, "audience", "ilea audience confirm", "%s is suspended in %s: confirm or lift it", member->code, name);
    }
    bool is_known = ilea_audience_recipients(act->txn, found, &sealed, &allowed) == ILEA_ERROR_NONE;
    if (is_known && sealed > allowed) {
        add(list, "audience", "ilea audience show", "the key of %s was sealed to %u, and %u are allowed", name, sealed,
            allowed);
    }
}

static void
add_audiences(struct ilea_command_act *act, json_t *list)
{
    struct ilea_audience_cache *cache = NULL;
    struct ilea_audience_found found;
    struct ilea_audience_id last;
    const struct ilea_audience_id *after = NULL;
    if (ilea_audience_cache_new(&cache) != ILEA_ERROR_NONE) return;
    while (ilea_audience_next(cache, act->txn, after, &found) == ILEA_ERROR_NONE) {
        last = found.row.audience;
        after = &last;
        add_audience(act, &found, list);
    }
    ilea_audience_cache_free(cache);
}

json_t *
ilea_command_attention(const struct ilea_command *command)
{
    struct ilea_command_act act;
    json_t *list = json_array();
    if (ilea_command_act_begin(&act, command, "attention", false) == 0) {
        uint64_t now_ms = ilea_wall_ms();
        add_clock(&act, now_ms, list);
        add_proposals(&act, now_ms, list);
        add_agencies(&act, now_ms, list);
        add_forks(&act, list);
        add_keys(&act, list);
        add_audiences(&act, list);
    }
    ilea_command_act_end(&act);
    return list;
}
