/* command_erase.c - erase and erasures: taking records of ours back, everywhere. */
#include "node/command_erase.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "node/command_act.h"
#include "node/date.h"
#include "node/erase_dots.h"
#include "node/erasures.h"
#include "node/where.h"
#include "replication/record/uuid.h"

enum { TYPE_COMMENT = 20, TYPE_LINK = 21 };

/* One agency that has, or may have, something of what is to be erased. */
struct holder {
    struct ilea_agency_id id;
    char code[ILEA_CODE_SIZE_MAX + 1];
    enum ilea_where_state state;
    bool held;
};

struct plan {
    struct ilea_control_erase erase;
    char refs[ILEA_ARGUMENTS_MAX][ILEA_REF_SIZE];
    struct ilea_erase_dots dots;
    uint8_t hash[ILEA_HASH_SIZE];
    struct holder *holders;
    uint32_t holder_count;
    uint32_t comments;              /* by others, about these records */
};

static int
read_fault(const struct ilea_command *command, enum ilea_error error)
{
    if (error == ILEA_ERROR_CORRUPT) return ilea_command_view_fault(command, error);
    return ilea_command_fail(ilea_exit_code(error), "the records cannot be read: %s", ilea_error_text(error));
}

static bool
set_text(struct ilea_span *to, const char *text)
{
    *to = (struct ilea_span){ (const uint8_t *)text, text != NULL ? strlen(text) : 0 };
    if (to->size == 0) return true;
    return to->size <= ILEA_ERASE_TEXT_MAX && ilea_text_is_valid(*to) && strpbrk(text, "\n\t") == NULL;
}

/* What the records' agencies have of them, the worst of all records for each. */
static enum ilea_error
add_holders(struct plan *plan, const struct ilea_where *where)
{
    for (uint32_t i = 0; i < where->count; i++) {
        const struct ilea_where_agency *entry = &where->agencies[i];
        uint32_t at = 0;
        while (at < plan->holder_count && memcmp(plan->holders[at].id.bytes, entry->id.bytes, ILEA_ID_SIZE) != 0) at++;
        if (at == plan->holder_count) {
            struct holder *holders = realloc(plan->holders, (at + 1) * sizeof *holders);
            if (holders == NULL) return ILEA_ERROR_NO_MEMORY;
            plan->holders = holders;
            plan->holders[plan->holder_count++] = (struct holder){ .id = entry->id, .state = entry->state,
                                                                   .held = entry->held };
            (void)snprintf(plan->holders[at].code, sizeof plan->holders[at].code, "%s", entry->code);
        } else if ((entry->held && !plan->holders[at].held) || entry->state > plan->holders[at].state) {
            plan->holders[at].state = entry->state;
            plan->holders[at].held = plan->holders[at].held || entry->held;
        }
    }
    return ILEA_ERROR_NONE;
}

/* How many comments and links of others are about the record. */
static enum ilea_error
count_comments(struct ilea_transaction *view, const struct ilea_record_info *info, uint32_t own, uint32_t *count)
{
    static const uint32_t types[] = { TYPE_COMMENT, TYPE_LINK };
    struct ilea_record record;
    enum ilea_error error = ILEA_ERROR_NONE;
    ilea_record_init(&record);
    for (unsigned t = 0; t < 2 && error == ILEA_ERROR_NONE; t++) {
        struct ilea_view_row row = { .number = 0 };
        while ((error = ilea_view_next(view, types[t], 0, &row)) == ILEA_ERROR_NONE) {
            if (row.agency == own) continue;
            ilea_record_clear(&record);
            if (ilea_record_decode(row.state, &record) != ILEA_ERROR_NONE) continue;
            for (uint32_t i = 0; i < record.entry_count; i++) {
                const struct ilea_span value = record.entries[i].value; /* bin 8, 16 bytes */
                if (value.size == 18 && memcmp(value.data + 2, info->id.bytes, 16) == 0) {
                    (*count)++;
                    break;
                }
            }
        }
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    }
    ilea_record_deinit(&record);
    return error;
}

int
ilea_command_was_erased(struct ilea_log *log, struct ilea_transaction *txn, const char *ref)
{
    struct ilea_gone_row gone;
    char time[ILEA_TIME_SIZE];
    if (ilea_erasure_find(txn, ilea_log_identity(log), ref, &gone) != ILEA_ERROR_NONE) return 0;
    ilea_time_format(gone.time_ms, time);
    return ilea_command_fail(EX_NOINPUT, "%s was erased on %s; see: ilea erasures", ref, time);
}

static int
find_one(const struct ilea_command *command, struct ilea_log *log, struct ilea_transaction *txn,
         struct ilea_snapshot *snapshot, const char *ref, struct ilea_record_info *info)
{
    enum ilea_error error = ilea_snapshot_by_ref(snapshot, ref, info);
    if (error == ILEA_ERROR_INVALID) {
        return ilea_command_fail(EX_USAGE, "%s is neither a ref such as FR-PN-N42 nor a record id", ref);
    }
    if (error == ILEA_ERROR_NOT_FOUND) {
        int code = ilea_command_was_erased(log, txn, ref);
        return code != 0 ? code : ilea_command_fail(EX_NOINPUT, "no record %s here; nothing was erased", ref);
    }
    if (error != ILEA_ERROR_NONE) return read_fault(command, error);
    if (memcmp(info->agency.bytes, ilea_log_identity(log)->agency.bytes, ILEA_ID_SIZE) != 0) {
        return ilea_command_fail(EX_NOPERM, "%s belongs to %s: only they can erase it; nothing was erased", ref,
                                 info->agency_code);
    }
    return 0;
}

/* What erasing these records means. */
static int
make_plan(const struct ilea_command *command, struct ilea_log *log, struct ilea_transaction *txn,
          struct ilea_snapshot *snapshot, struct plan *plan)
{
    for (int i = 1; i < command->word_count; i++) {
        struct ilea_record_info info;
        struct ilea_where where = { .count = 0 };
        int code = find_one(command, log, txn, snapshot, command->words[i], &info);
        if (code != 0) return code;
        for (uint32_t j = 0; j < plan->erase.count; j++) {
            if (memcmp(plan->erase.records[j].id.bytes, info.id.bytes, sizeof info.id.bytes) == 0) {
                return ilea_command_fail(EX_USAGE, "%s is named twice; nothing was erased", command->words[i]);
            }
        }
        (void)snprintf(plan->refs[plan->erase.count], ILEA_REF_SIZE, "%s",
                       info.ref[0] != '\0' ? info.ref : command->words[i]);
        plan->erase.records[plan->erase.count++] = (struct ilea_erase_record){ info.type_number, info.id };
        enum ilea_error error = ilea_where_make(txn, ilea_log_identity(log), snapshot, &info, command->home, &where);
        if (error == ILEA_ERROR_NONE) error = add_holders(plan, &where);
        ilea_where_free(&where);
        struct ilea_transaction *view = ilea_snapshot_transaction(snapshot);
        if (error == ILEA_ERROR_NONE) error = ilea_erase_dots_of(&plan->dots, txn, view, info.number, false);
        const uint32_t own = ilea_snapshot_row(snapshot)->agency;
        if (error == ILEA_ERROR_NONE) error = count_comments(view, &info, own, &plan->comments);
        if (error != ILEA_ERROR_NONE) return read_fault(command, error);
    }
    ilea_erase_dots_sort(&plan->dots, plan->hash);
    return 0;
}

static json_t *
refs_json(const struct plan *plan)
{
    json_t *refs = json_array();
    for (uint32_t i = 0; i < plan->erase.count; i++) json_array_append_new(refs, json_string(plan->refs[i]));
    return refs;
}

static void
print_json(const struct plan *plan, bool confirmed)
{
    json_t *holders = json_array();
    for (uint32_t i = 0; i < plan->holder_count; i++) {
        json_array_append_new(holders, json_pack("{s:s,s:s,s:b}", "code", plan->holders[i].code, "state",
                                                 ilea_where_state_name(plan->holders[i].state), "held",
                                                 plan->holders[i].held ? 1 : 0));
    }
    uint32_t dots = plan->dots.shared_count + plan->dots.silent_count;
    ilea_command_print(json_pack("{s:{s:o,s:I,s:I,s:b,s:o,s:I}}", "erase", "refs", refs_json(plan), "dots",
                                 (json_int_t)dots, "shared_dots", (json_int_t)plan->dots.shared_count, "confirmed",
                                 confirmed ? 1 : 0, "holders", holders, "comments", (json_int_t)plan->comments));
}

static void
print_plan(const struct plan *plan)
{
    uint32_t dots = plan->dots.shared_count + plan->dots.silent_count;
    for (uint32_t i = 0; i < plan->erase.count; i++) (void)printf("%s\n", plan->refs[i]);
    (void)printf("Records: %u; changes: %u, of which others may have %u.\n", plan->erase.count, dots,
                 plan->dots.shared_count);
    for (uint32_t i = 0; i < plan->holder_count && plan->dots.shared_count > 0; i++) {
        if (i == 0) (void)printf("%-16s %s\n", "AGENCY", "STATE");
        (void)printf("%-16s %s\n", plan->holders[i].code, ilea_where_state_name(plan->holders[i].state));
    }
    if (plan->comments > 0) {
        (void)printf("Comments and links of others about them: %u; their nodes erase these.\n", plan->comments);
    }
    ilea_command_say(stdout, "This is final: every node that follows us deletes them, and nothing brings them back. "
                             "What somebody copied elsewhere it does not reach.");
    ilea_command_say(stdout, "Nothing was erased yet; to do it, add --confirm.");
}

/* Signed by admins: at once, or as a proposal that another one signs. */
static int
decide(const struct ilea_command *command, struct plan *plan)
{
    struct ilea_command_act act;
    struct ilea_control_decision answer;
    char hex[2 * ILEA_HASH_SIZE + 1], count[16];
    uint8_t *payload = malloc(ILEA_PAYLOAD_SIZE_MAX);
    struct ilea_msgpack_writer writer;
    if (payload == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    ilea_msgpack_writer_init(&writer, payload, ILEA_PAYLOAD_SIZE_MAX);
    ilea_control_put_erase(&writer, &plan->erase);
    ilea_command_hex(plan->hash, sizeof plan->hash, hex);
    (void)snprintf(count, sizeof count, "%u", plan->erase.count);
    int code = ilea_command_act_begin(&act, command, "record.erase", true);
    ilea_command_act_add(&act, "dots", hex);
    ilea_command_act_add(&act, "records", count);
    if (code == 0) code = ilea_command_act_send(&act, ilea_msgpack_written(&writer), &answer);
    if (code == 0) {
        code = ilea_command_act_print(command, &answer, "the records are erased",
                                      "Who has confirmed it: ilea erasures. What was deleted leaves the files with: "
                                      "ilea compact");
    }
    ilea_command_act_end(&act);
    free(payload);
    return code;
}

static int
confirm(const struct ilea_command *command, struct plan *plan)
{
    struct ilea_writer *writer = NULL;
    struct ilea_control_erased erased = { .error = ILEA_ERROR_NONE };
    int code = ilea_command_writer(command, NULL, NULL, &writer);
    if (code != 0) return code;
    enum ilea_error error = ilea_writer_erase(writer, &plan->erase, &erased);
    if (error == ILEA_ERROR_NONE && erased.error == ILEA_ERROR_NONE) error = ilea_writer_settle(writer, 10000);
    ilea_writer_close(writer);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_BUSY) {
        return ilea_command_fail(ilea_exit_code(error), "the records may not be erased: %s", ilea_error_text(error));
    }
    if (erased.error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(erased.error), "%s", erased.result.reason);
    }
    if (command->json) {
        print_json(plan, true);
        return 0;
    }
    (void)printf("erased; records: %u, changes: %u\n", erased.result.records, erased.result.dots);
    if (erased.result.shared_dots > 0) ilea_command_say(stdout, "Who has confirmed it: ilea erasures.");
    ilea_command_say(stdout, "Freed pages of the databases keep the bytes until they are used again: ilea compact. "
                             "Backups may still hold them.");
    return 0;
}

int
ilea_command_erase(const struct ilea_command *command)
{
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_log *log = NULL;
    struct ilea_transaction *txn = NULL;
    if (command->word_count < 2) return ilea_command_usage("erase takes refs or ids");
    if (command->reason == NULL || command->reason[0] == '\0') return ilea_command_usage("erase needs --reason TEXT");
    struct plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = 0;
    if (!set_text(&plan->erase.reason, command->reason) || !set_text(&plan->erase.basis, command->basis)) {
        code = ilea_command_fail(EX_USAGE, "--reason and --basis take one line each, at most %d bytes",
                                 ILEA_ERASE_TEXT_MAX);
    }
    if (code == 0) code = ilea_command_snapshot(command, &replica, &snapshot);
    if (code == 0) code = ilea_command_log(command, &log);
    if (code == 0 && ilea_transaction_begin(ilea_log_environment(log), false, &txn) != ILEA_ERROR_NONE) {
        code = ilea_command_fail(EX_IOERR, "the log cannot be read");
    }
    if (code == 0) code = make_plan(command, log, txn, snapshot, plan);
    ilea_transaction_abort(txn);
    ilea_log_close(log);
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    if (code == 0 && command->confirm) {
        code = command->admin != NULL ? decide(command, plan) : confirm(command, plan);
    } else if (code == 0 && command->json) {
        print_json(plan, false);
    } else if (code == 0) {
        print_plan(plan);
    }
    ilea_erase_dots_free(&plan->dots);
    free(plan->holders);
    free(plan);
    return code;
}

/* Those that have not confirmed. */
static json_t *
outstanding(const struct ilea_erasure *erasure)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < erasure->count; i++) {
        const struct ilea_erasure_agency *entry = &erasure->agencies[i];
        if (entry->confirmed) continue;
        json_t *heard = entry->heard_ms != 0 ? json_integer((json_int_t)entry->heard_ms) : json_null();
        json_array_append_new(list, json_pack("{s:s,s:I,s:o}", "code", entry->code, "since",
                                              (json_int_t)erasure->gone.time_ms, "last_heard", heard));
    }
    return list;
}

json_t *
ilea_command_where_erased(const struct ilea_erasure *erasure)
{
    const struct ilea_gone_row *gone = &erasure->gone;
    char id[ILEA_UUID_TEXT_SIZE], hex[2 * ILEA_ID_SIZE + 1];
    json_t *agencies = json_array();
    for (uint32_t i = 0; i < erasure->count; i++) {
        const struct ilea_erasure_agency *entry = &erasure->agencies[i];
        ilea_command_hex(entry->id.bytes, sizeof entry->id.bytes, hex);
        json_array_append_new(agencies, json_pack("{s:s,s:s,s:s,s:b,s:o,s:s}", "agency", entry->code, "agency_id", hex,
                                                  "state", entry->confirmed ? "erased" : "not-confirmed", "held",
                                                  entry->confirmed ? 0 : 1, "since_ms",
                                                  entry->heard_ms != 0 ? json_integer((json_int_t)entry->heard_ms)
                                                                       : json_null(),
                                                  "why", ""));
    }
    ilea_uuid_print(&gone->record, id);
    return json_pack("{s:{s:s,s:s,s:I,s:s%,s:I,s:o}}", "where", "ref", erasure->ref, "id", id, "erased_ms",
                     (json_int_t)gone->time_ms, "reason",
                     gone->reason.size > 0 ? (const char *)gone->reason.data : "", gone->reason.size, "changes",
                     (json_int_t)gone->dots, "agencies", agencies);
}

static json_t *
erasure_json(const struct ilea_erasure *erasure)
{
    const struct ilea_gone_row *gone = &erasure->gone;
    const struct ilea_type *type = ilea_type_by_number(gone->type);
    char id[ILEA_UUID_TEXT_SIZE];
    ilea_uuid_print(&gone->record, id);
    json_t *confirmed = json_array();
    for (uint32_t i = 0; i < erasure->count; i++) {
        if (erasure->agencies[i].confirmed) json_array_append_new(confirmed, json_string(erasure->agencies[i].code));
    }
    return json_pack("{s:s,s:s,s:s,s:I,s:s%,s:b,s:I,s:o,s:o}", "id", id, "ref", erasure->ref, "type",
                     type != NULL ? type->name : "", "since", (json_int_t)gone->time_ms, "reason",
                     gone->reason.size > 0 ? (const char *)gone->reason.data : "", gone->reason.size, "narrowed",
                     ilea_erasure_is_narrowing(gone) ? 1 : 0, "dots", (json_int_t)gone->dots, "confirmed", confirmed,
                     "outstanding", outstanding(erasure));
}

static void
print_erasure(const struct ilea_erasure *erasure)
{
    char since[ILEA_TIME_SIZE], reason[120], id[ILEA_UUID_TEXT_SIZE];
    ilea_time_format(erasure->gone.time_ms, since);
    ilea_uuid_print(&erasure->gone.record, id);
    ilea_command_cut(erasure->gone.reason, 36, reason, sizeof reason);
    const char *name = erasure->ref[0] != '\0' ? erasure->ref : id;
    (void)printf("%-20s %s%s  %s\n", name, since, ilea_erasure_is_narrowing(&erasure->gone) ? " narrowed" : "",
                 reason);
    if (erasure->gone.feed == 0) {
        (void)puts("  nobody else had it");
        return;
    }
    (void)printf("  confirmed by %u of %u\n", erasure->confirmed, erasure->count);
    for (uint32_t i = 0; i < erasure->count; i++) {
        const struct ilea_erasure_agency *entry = &erasure->agencies[i];
        char heard[ILEA_TIME_SIZE] = "never";
        if (entry->confirmed) continue;
        if (entry->heard_ms != 0) ilea_time_format(entry->heard_ms, heard);
        (void)printf("  %-16s has not confirmed; last heard of: %s\n", entry->code, heard);
    }
}

int
ilea_command_erasures(const struct ilea_command *command)
{
    struct ilea_log *log = NULL;
    struct ilea_transaction *txn = NULL;
    struct ilea_gone_row gone;
    if (command->word_count != 1) return ilea_command_usage("erasures takes no words");
    int code = ilea_command_log(command, &log);
    if (code != 0) return code;
    json_t *list = json_array();
    uint32_t count = 0;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_log_gone_next(txn, NULL, &gone);
    while (error == ILEA_ERROR_NONE) {
        struct ilea_erasure erasure;
        error = ilea_erasure_make(txn, ilea_log_identity(log), &gone, &erasure);
        if (error == ILEA_ERROR_NONE && command->json) json_array_append_new(list, erasure_json(&erasure));
        if (error == ILEA_ERROR_NONE && !command->json) print_erasure(&erasure);
        ilea_erasure_free(&erasure);
        count++;
        if (error == ILEA_ERROR_NONE) error = ilea_log_gone_next(txn, &gone, &gone);
    }
    ilea_transaction_abort(txn);
    ilea_log_close(log);
    if (error == ILEA_ERROR_NOT_FOUND && command->json) {
        ilea_command_print(json_pack("{s:O}", "erasures", list));
    } else if (error == ILEA_ERROR_NOT_FOUND && count == 0) {
        (void)fputs("We have erased nothing.\n", stderr);
    }
    json_decref(list);
    if (error == ILEA_ERROR_NOT_FOUND) return 0;
    return ilea_command_fail(ilea_exit_code(error), "the log cannot be read: %s", ilea_error_text(error));
}
