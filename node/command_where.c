/* command_where.c - where: which agencies have a record of ours, by their receipts. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "node/command_erase.h"
#include "node/date.h"
#include "node/grant.h"
#include "node/where.h"
#include "replication/record/uuid.h"

enum { WHY_COLUMNS = 80 - 16 - 1 - 15 - 1 - 16 - 2 };

static void
print_json(const struct ilea_where *where, const struct ilea_record_info *info)
{
    json_t *agencies = json_array();
    for (uint32_t i = 0; i < where->count; i++) {
        const struct ilea_where_agency *entry = &where->agencies[i];
        char id[2 * ILEA_ID_SIZE + 1];
        ilea_command_hex(entry->id.bytes, sizeof entry->id.bytes, id);
        json_array_append_new(
            agencies, json_pack("{s:s,s:s,s:s,s:b,s:o,s:s}", "agency", entry->code, "agency_id", id, "state",
                                ilea_where_state_name(entry->state), "held", entry->held ? 1 : 0, "since_ms",
                                entry->since_ms != 0 ? json_integer((json_int_t)entry->since_ms) : json_null(), "why",
                                entry->why));
    }
    char id[ILEA_UUID_TEXT_SIZE];
    ilea_uuid_print(&info->id, id);
    ilea_command_print(json_pack("{s:{s:s,s:s,s:s,s:s,s:I,s:o}}", "where", "ref", info->ref, "id", id, "tlp",
                                 ilea_grant_tlp_name(where->label), "to", where->to,
                                 "changes", (json_int_t)where->change_count, "agencies", agencies));
}

static void
print_text(const struct ilea_where *where, const struct ilea_record_info *info)
{
    uint32_t readers = 0;
    if (where->shared) {
        (void)printf("%s  %s, for %s; changes: %u\n", info->ref, ilea_grant_tlp_name(where->label), where->to,
                     where->change_count);
    } else {
        (void)printf("%s  for our agency alone; to share it: ilea publish %s --to all-peers\n", info->ref, info->ref);
    }
    for (uint32_t i = 0; i < where->count; i++) {
        const struct ilea_where_agency *entry = &where->agencies[i];
        char time[ILEA_TIME_SIZE] = "", why[4 * WHY_COLUMNS + 8];
        if (i == 0) (void)printf("%-16s %-15s %-16s  %s\n", "AGENCY", "STATE", "AS OF (UTC)", "WHY");
        if (entry->since_ms != 0) ilea_time_format(entry->since_ms, time);
        ilea_command_cut((struct ilea_span){ (const uint8_t *)entry->why, strlen(entry->why) }, WHY_COLUMNS, why,
                         sizeof why);
        (void)printf("%-16s %-15s %-16s  %s\n", entry->code, ilea_where_state_name(entry->state), time, why);
        if (entry->state == ILEA_WHERE_READABLE) readers++;
    }
    (void)printf("%u of %u can read it.\n", readers, where->count);
}

static int
show(const struct ilea_command *command, struct ilea_log *log, struct ilea_snapshot *snapshot,
     const struct ilea_record_info *info)
{
    struct ilea_transaction *txn = NULL;
    struct ilea_where where = { .count = 0 };
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_where_make(txn, ilea_log_identity(log), snapshot, info, command->home, &where);
    }
    if (error == ILEA_ERROR_NONE && command->json) print_json(&where, info);
    if (error == ILEA_ERROR_NONE && !command->json) print_text(&where, info);
    ilea_where_free(&where);
    ilea_transaction_abort(txn);
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(ilea_exit_code(error), "where it is cannot be read: %s", ilea_error_text(error));
}

/* A record that was erased: who has confirmed that. NOT_FOUND: it is none. */
static enum ilea_error
show_erased(const struct ilea_command *command, struct ilea_log *log)
{
    struct ilea_transaction *txn = NULL;
    struct ilea_gone_row gone;
    struct ilea_erasure erasure = { .count = 0 };
    char since[ILEA_TIME_SIZE], heard[ILEA_TIME_SIZE];
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_erasure_find(txn, ilea_log_identity(log), command->words[1], &gone);
    if (error == ILEA_ERROR_NONE) error = ilea_erasure_make(txn, ilea_log_identity(log), &gone, &erasure);
    if (error == ILEA_ERROR_NONE && command->json) {
        ilea_command_print(ilea_command_where_erased(&erasure));
    } else if (error == ILEA_ERROR_NONE) {
        ilea_time_format(gone.time_ms, since);
        (void)printf("%s  was erased on %s: %.*s\n", command->words[1], since, (int)gone.reason.size,
                     (const char *)gone.reason.data);
        for (uint32_t i = 0; i < erasure.count; i++) {
            const struct ilea_erasure_agency *entry = &erasure.agencies[i];
            heard[0] = '\0';
            if (entry->heard_ms != 0) ilea_time_format(entry->heard_ms, heard);
            if (i == 0) (void)printf("%-16s %-15s %-16s\n", "AGENCY", "STATE", "LAST HEARD (UTC)");
            (void)printf("%-16s %-15s %s\n", entry->code, entry->confirmed ? "erased" : "not-confirmed", heard);
        }
        (void)printf("%u of %u have confirmed it.\n", erasure.confirmed, erasure.count);
    }
    ilea_erasure_free(&erasure);
    ilea_transaction_abort(txn);
    return error;
}

int
ilea_command_where(const struct ilea_command *command)
{
    if (command->word_count != 2) return ilea_command_usage("where takes one ref or id");
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_record_info info;
    struct ilea_log *log = NULL;
    int code = ilea_command_log(command, &log);
    if (code == 0 && show_erased(command, log) == ILEA_ERROR_NONE) {
        ilea_log_close(log);
        return 0;
    }
    if (code == 0) code = ilea_command_find_record(command, command->words[1], &replica, &snapshot, &info);
    if (code == 0 && memcmp(info.agency.bytes, ilea_log_identity(log)->agency.bytes, sizeof info.agency.bytes) != 0) {
        code = ilea_command_fail(EX_DATAERR, "%s belongs to %s: only they are told where it is", command->words[1],
                                 info.agency_code);
    }
    if (code == 0) code = show(command, log, snapshot, &info);
    ilea_log_close(log);
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    return code;
}
