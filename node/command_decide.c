/* command_decide.c - decisions about a peer: approve, decline, suspend, resume, revoke, vouch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "node/command_act.h"
#include "node/command_peer.h"
#include "node/date.h"
#include "node/grant.h"

static const struct ilea_span nothing = { NULL, 0 };

/* A code is eight digits, perhaps with blanks or '-' between them, perhaps with the four words behind. */
static bool
is_code(const char *text)
{
    unsigned digits = 0, words = 0;
    bool in_word = false;
    for (; *text != '\0'; text++) {
        bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
        if (*text >= '0' && *text <= '9' && words == 0) digits++;
        else if (!letter && *text != ' ' && *text != '-') return false;
        if (letter && !in_word) words++;
        in_word = letter;
    }
    return digits == 8 && (words == 0 || words == 4);
}

/* What can be said without asking the node. */
static int
check_approve(const struct ilea_command *command)
{
    uint32_t scopes;
    uint64_t ms;
    if (command->code == NULL && !command->yes) {
        return ilea_command_fail(EX_USAGE,
                                 "approving lets %s read what you share with all-peers: compare codes (ilea peer "
                                 "verify %s) and add --code, or --yes where the policy allows it",
                                 command->words[2], command->words[2]);
    }
    if (command->code != NULL && !is_code(command->code)) {
        return ilea_command_fail(EX_DATAERR, "a code has 8 digits (and may have its 4 words): nothing was decided");
    }
    if (command->scope != NULL && !ilea_grant_scopes_parse(command->scope, &scopes)) {
        return ilea_command_usage("--scope takes a list of connect, follow, relay and invite");
    }
    if (command->tlp_max != NULL && ilea_grant_tlp_parse(command->tlp_max) == 0) {
        return ilea_command_usage("--tlp-max takes clear, green, amber, amber+strict or red");
    }
    if (command->areas != NULL && (command->areas[0] == '\0' || !ilea_grant_areas_are_valid(command->areas))) {
        return ilea_command_usage("--areas takes codes separated by commas");
    }
    if (command->expires != NULL && !ilea_date_parse(command->expires, &ms)) {
        return ilea_command_usage("--expires takes a day, as 2028-01-01");
    }
    return 0;
}

static void
add_manifest(struct ilea_command_act *act, const struct ilea_agency *agency)
{
    char hex[2 * ILEA_HASH_SIZE + 1];
    ilea_command_hex(agency->manifest.hash, sizeof agency->manifest.hash, hex);
    ilea_command_act_add(act, "manifest", hex);
}

/* Begin a decision about the agency that the command names; the caller ends the act and frees *agency. */
static int
begin(struct ilea_command_act *act, const struct ilea_command *command, const char *kind, struct ilea_agency **agency)
{
    *act = (struct ilea_command_act){ .command = command };
    *agency = malloc(sizeof **agency);
    if (*agency == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = ilea_command_act_begin(act, command, kind, true);
    if (code == 0) code = ilea_command_act_agency(act, command->words[2], *agency);
    if (code == 0) ilea_command_act_subject(act, &(*agency)->row.id);
    if (code == 0 && (*agency)->row.decided > 0) { /* what it is decided upon: void if that is over */
        char was[24];
        (void)snprintf(was, sizeof was, "%llu", (unsigned long long)(*agency)->row.decided);
        ilea_command_act_add(act, "was", was);
    }
    return code;
}

static int
finish(struct ilea_command_act *act, const char *format)
{
    struct ilea_control_decision answer;
    char done[300];
    int code = ilea_command_act_send(act, nothing, &answer);
    if (code != 0) return code;
    bool unverified = strcmp(answer.kind, "peer.approve") == 0 && strchr(answer.words, ',') != NULL;
    if (unverified) format = "Compare codes when you can: ilea peer verify %s; until then nobody made sure who it is.";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(done, sizeof done, format, answer.code, answer.code); /* one of the lines below */
#pragma GCC diagnostic pop
    return ilea_command_act_print(act->command, &answer, "", done);
}

int
ilea_command_peer_approve(const struct ilea_command *command)
{
    if (command->word_count != 3) return ilea_command_usage("peer approve takes one agency");
    int code = check_approve(command);
    if (code != 0) return code;
    struct ilea_command_act act;
    struct ilea_agency *agency;
    code = begin(&act, command, "peer.approve", &agency);
    if (code == 0) {
        add_manifest(&act, agency);
        ilea_command_act_add(&act, "code", command->code);
        ilea_command_act_add(&act, "scope", command->scope);
        ilea_command_act_add(&act, "tlp-max", command->tlp_max);
        ilea_command_act_add(&act, "areas", command->areas);
        ilea_command_act_add(&act, "expires", command->expires);
        ilea_command_act_add(&act, "reason", command->reason);
        code = finish(&act, "It gets what you share with all-peers once it has approved you, too; see: ilea status");
    }
    free(agency);
    ilea_command_act_end(&act);
    return code;
}

int
ilea_command_peer_decide(const struct ilea_command *command)
{
    static const struct { const char *verb, *kind, *done; } verbs[] = {
        { "decline", "peer.decline",
          "Nothing of it is taken or sent; it comes back only by: ilea peer approve %s --code CODE" },
        { "suspend", "peer.suspend",
          "From now on nothing is sent to it or taken from it; it keeps what it has. Go on with: ilea peer resume %s" },
        { "resume", "peer.resume", "Links come up again by themselves; see: ilea status" },
        { "revoke", "peer.revoke",
          "It keeps what it had before; what you write from now on it cannot read. If you vouched for it: "
          "ilea peer vouch %s --withdraw. It comes back only by: ilea peer approve %s --code CODE" } };
    const char *verb = command->words[1];
    if (command->word_count != 3) return ilea_command_usage("the command takes one agency");
    for (unsigned i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].verb, verb) != 0) continue;
        struct ilea_command_act act;
        struct ilea_agency *agency;
        int code = begin(&act, command, verbs[i].kind, &agency);
        if (code == 0) {
            ilea_command_act_add(&act, "reason", command->reason);
            code = finish(&act, verbs[i].done);
        }
        free(agency);
        ilea_command_act_end(&act);
        return code;
    }
    return ilea_command_usage("unknown verb of peer");
}

int
ilea_command_peer_vouch(const struct ilea_command *command)
{
    const char *how = command->how;
    if (command->word_count != 3) return ilea_command_usage("peer vouch takes one agency");
    if (how == NULL && command->withdraw) how = "document"; /* it says nothing any more */
    if (how == NULL || (strcmp(how, "phone") != 0 && strcmp(how, "in-person") != 0 && strcmp(how, "document") != 0)) {
        return ilea_command_usage("peer vouch takes --how phone, in-person or document");
    }
    struct ilea_command_act act;
    struct ilea_agency *agency;
    int code = begin(&act, command, "peer.vouch", &agency);
    if (code == 0) {
        add_manifest(&act, agency);
        ilea_command_act_add(&act, "how", how);
        ilea_command_act_add(&act, "status", command->withdraw ? "withdrawn" : "current");
        code = finish(&act, command->withdraw ? "Your vouch is withdrawn; your peers do not see it any more."
                                              : "Your peers see it beside a request of %s; it approves nothing.");
    }
    free(agency);
    ilea_command_act_end(&act);
    return code;
}
