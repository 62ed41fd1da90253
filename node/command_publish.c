/* command_publish.c - publish and retract: who is to read a record, and that its owner does not stand by it. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "node/agency.h"
#include "node/command_act.h"
#include "node/reach.h"
#include "replication/record/label.h"
#include "replication/record/schema.h"

/* A record that is to be published, as it is and as the command line changes it. */
struct preview {
    struct ilea_snapshot *snapshot;
    uint32_t label;
    json_t *gets, *not;
    json_t *reviewers;                /* with four eyes: the admins, one of whom has to ask and another to approve */
};

/* The areas of the record in the snapshot: the author asks the same of the record that it writes. */
static bool
is_within(const void *context, const char *areas)
{
    const struct preview *preview = context;
    struct ilea_value value;
    uint32_t count = 0;
    while (ilea_snapshot_value(preview->snapshot, "areas", count, &value) == ILEA_ERROR_NONE) {
        if (!ilea_reach_is_listed(value.text, areas)) return false;
        count++;
    }
    return count > 0;
}

static int
choose_label(const struct ilea_command *command, struct preview *preview)
{
    struct ilea_value value;
    if (command->tlp != NULL) {
        preview->label = ilea_label_of_code((struct ilea_span){ (const uint8_t *)command->tlp, strlen(command->tlp) });
        if (preview->label == 0) {
            return ilea_command_fail(EX_USAGE, "--tlp takes clear, green, amber, amber+strict or red");
        }
        return 0;
    }
    preview->label = ILEA_LABEL_GREEN; /* the usual one of what all peers may read */
    if (ilea_snapshot_value(preview->snapshot, "tlp", 0, &value) == ILEA_ERROR_NONE) {
        preview->label = ilea_label_of_code(value.text);
        if (preview->label == 0) preview->label = ILEA_LABEL_RED;
    }
    return 0;
}

static enum ilea_error
collect(struct ilea_log *log, struct preview *preview)
{
    struct ilea_transaction *txn = NULL;
    struct ilea_agency *agency = malloc(sizeof *agency);
    struct ilea_agency_id after;
    enum ilea_error error = agency != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    for (bool is_first = true; error == ILEA_ERROR_NONE; is_first = false) {
        error = ilea_agency_next(txn, is_first ? NULL : &after, agency);
        if (error != ILEA_ERROR_NONE) break;
        after = agency->row.id;
        if (agency->row.state == ILEA_AGENCY_SELF) continue;
        char areas[ILEA_AGENCY_TEXT_MAX + 1], id[2 * ILEA_ID_SIZE + 1], code[ILEA_CODE_SIZE_MAX + 1];
        (void)snprintf(areas, sizeof areas, "%.*s", (int)agency->row.grant.areas.size,
                       (const char *)agency->row.grant.areas.data);
        (void)snprintf(code, sizeof code, "%.*s", (int)agency->manifest.code.size,
                       (const char *)agency->manifest.code.data);
        ilea_command_hex(after.bytes, sizeof after.bytes, id);
        enum ilea_reach reach =
            ilea_reach_of(agency->row.state, agency->row.grant.tlp_max, areas[0] != '\0' ? areas : NULL, preview->label,
                          is_within, preview);
        json_t *entry = json_pack("{s:s,s:s}", "code", code, "agency", id);
        if (reach != ILEA_REACH_GETS) {
            json_object_set_new(entry, "why", json_string(ilea_reach_name(reach)));
            json_object_set_new(entry, "text", json_string(ilea_reach_text(reach)));
        }
        json_array_append_new(reach == ILEA_REACH_GETS ? preview->gets : preview->not, entry);
    }
    ilea_transaction_abort(txn);
    free(agency);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static void
print_preview(const struct ilea_record_info *info, const struct preview *preview)
{
    size_t i;
    json_t *entry;
    (void)printf("%s to all-peers, %s%s\n", info->ref, ilea_label_name(preview->label),
                 info->shared ? " (it is published already)" : "");
    json_array_foreach(preview->gets, i, entry) {
        (void)printf("%-16s gets it\n", json_string_value(json_object_get(entry, "code")));
    }
    json_array_foreach(preview->not, i, entry) {
        (void)printf("%-16s does not: %s\n", json_string_value(json_object_get(entry, "code")),
                     json_string_value(json_object_get(entry, "text")));
    }
    if (preview->reviewers != NULL) {
        char line[ILEA_ADMINS_MAX * (ILEA_ADMIN_NAME_SIZE + 2) + 100];
        (void)snprintf(line, sizeof line, "It waits until another admin than who asks has approved it; admins:");
        json_array_foreach(preview->reviewers, i, entry) {
            size_t used = strlen(line);
            (void)snprintf(line + used, sizeof line - used, "%s %s", i == 0 ? "" : ",", json_string_value(entry));
        }
        ilea_command_say(stdout, line);
    }
    (void)printf("%zu get it, %zu do not; whoever is approved later gets it, too, as far as\n"
                 "the approval allows. Nothing was written.\n",
                 json_array_size(preview->gets), json_array_size(preview->not));
}

/* With four eyes: who may ask and approve. */
static int
find_reviewers(const struct ilea_command *command, struct preview *preview)
{
    char reason[ILEA_REASON_SIZE] = "ilea.conf cannot be read";
    struct ilea_config config;
    struct ilea_command_act act;
    if (ilea_home_config(command->home, &config, reason) != ILEA_ERROR_NONE) {
        return ilea_command_fail(EX_CONFIG, "%s", reason);
    }
    if (!config.four_eyes) return 0;
    int code = ilea_command_act_begin(&act, command, "record.release", false);
    preview->reviewers = json_array();
    for (uint32_t i = 0; code == 0 && i < act.own.admin_count; i++) {
        char name[ILEA_ADMIN_NAME_SIZE];
        ilea_command_admin_name(act.txn, &act.own.admins[i], name);
        json_array_append_new(preview->reviewers, json_string(name));
    }
    ilea_command_act_end(&act);
    return code;
}

/* Who would get it, by the rule that seals keys; nothing is written. The exit code is what publishing would give. */
static int
preview_publish(const struct ilea_command *command)
{
    struct ilea_replica *replica = NULL;
    struct ilea_record_info info;
    struct ilea_log *log = NULL;
    struct preview preview = { .gets = json_array(), .not = json_array() };
    int code = ilea_command_find_record(command, command->words[1], &replica, &preview.snapshot, &info);
    if (code == 0) code = choose_label(command, &preview);
    if (code == 0) code = ilea_command_log(command, &log);
    if (code == 0 && memcmp(info.agency.bytes, ilea_log_identity(log)->agency.bytes, ILEA_ID_SIZE) != 0) {
        code = ilea_command_fail(EX_NOPERM, "it belongs to %s: only they can publish it", info.agency_code);
    }
    if (code == 0 && preview.label > ILEA_LABEL_GREEN) {
        code = ilea_command_fail(EX_DATAERR,
                                 "what is %s does not go to all peers: nobody gets it; tlp must be green or "
                                 "clear",
                                 ilea_label_name(preview.label));
    }
    if (code == 0) {
        enum ilea_error error = collect(log, &preview);
        if (error != ILEA_ERROR_NONE) code = ilea_command_fail(ilea_exit_code(error), "%s", ilea_error_text(error));
    }
    if (code == 0) code = find_reviewers(command, &preview);
    if (code == 0 && command->json) {
        ilea_command_print(json_pack("{s:{s:s,s:s,s:s,s:b,s:O,s:O,s:O*}}", "publish", "ref", info.ref, "to",
                                     "all-peers",
                                     "tlp", ilea_label_name(preview.label), "dry_run", 1, "gets", preview.gets, "not",
                                     preview.not, "reviewers", preview.reviewers));
    } else if (code == 0) {
        print_preview(&info, &preview);
    }
    json_decref(preview.gets);
    json_decref(preview.not);
    json_decref(preview.reviewers);
    ilea_log_close(log);
    ilea_snapshot_end(preview.snapshot);
    ilea_replica_close(replica);
    return code;
}

int
ilea_command_publish(const struct ilea_command *command)
{
    if (command->word_count != 2) return ilea_command_usage("publish takes one ref");
    if (command->to == NULL) return ilea_command_usage("publish needs --to all-peers");
    int scope = ilea_command_scope(command);
    if (scope < 0) return EX_USAGE;
    if (scope == ILEA_SCOPE_AGENCY) {
        return ilea_command_fail(EX_USAGE, "records are for the agency alone until they are published");
    }
    if (command->dry_run) return preview_publish(command);
    return ilea_command_update_record(command, ILEA_SCOPE_PEERS, 2, NULL, NULL);
}

int
ilea_command_retract(const struct ilea_command *command)
{
    if (command->word_count != 2) return ilea_command_usage("retract takes one ref");
    if (command->reason == NULL || command->reason[0] == '\0') return ilea_command_usage("retract needs --reason TEXT");
    return ilea_command_update_record(command, 0, 2, "withdrawn", command->reason);
}
