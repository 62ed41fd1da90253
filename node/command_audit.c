/* command_audit.c - audit and audit verify: what was decided here, by whom, and that nothing of it is missing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "node/audit.h"
#include "node/command_act.h"
#include "node/date.h"
#include "node/decision.h"

/* The code of an agency that an entry is about; its id where it is not known any more. */
static void
name_subject(struct ilea_transaction *txn, const struct ilea_act *act, char text[2 * ILEA_ID_SIZE + 1])
{
    text[0] = '\0';
    if (!act->has_subject) return;
    ilea_command_hex(act->subject.bytes, ILEA_ID_SIZE, text);
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    if (manifest != NULL && ilea_chain_last(txn, &act->subject, manifest) == ILEA_ERROR_NONE) {
        (void)snprintf(text, 2 * ILEA_ID_SIZE + 1, "%.*s", (int)manifest->code.size,
                       (const char *)manifest->code.data);
    }
    free(manifest);
}

static json_t *
entry_json(struct ilea_transaction *txn, const struct ilea_audit_entry *entry)
{
    char time[ILEA_TIME_SIZE], made[ILEA_TIME_SIZE], subject[2 * ILEA_ID_SIZE + 1], hash[2 * ILEA_HASH_SIZE + 1];
    ilea_time_format(entry->time_ms, time);
    ilea_time_format(entry->act.made_ms, made);
    ilea_command_hex(entry->hash, sizeof entry->hash, hash);
    name_subject(txn, &entry->act, subject);
    json_t *admins = json_array();
    for (uint32_t i = 0; i < entry->sig_count; i++) {
        char key[2 * ILEA_SIGN_PUBLIC_SIZE + 1], name[ILEA_ADMIN_NAME_SIZE];
        ilea_command_hex(entry->sigs[i].admin.bytes, sizeof entry->sigs[i].admin.bytes, key);
        ilea_command_admin_name(txn, &entry->sigs[i].admin, name);
        json_array_append_new(admins, json_pack("{s:s,s:s}", "name", name, "key", key));
    }
    json_t *json = json_pack("{s:I,s:s,s:I,s:s,s:s%,s:o,s:o,s:s}", "seq", (json_int_t)entry->seq, "time", time,
                             "time_ms", (json_int_t)entry->time_ms, "made", made, "kind", entry->act.kind.data,
                             entry->act.kind.size, "signed_by", admins, "pairs", ilea_command_pairs(&entry->act),
                             "hash", hash);
    struct ilea_sign_public author;
    if (ilea_hex_parse(ilea_act_value(&entry->act, "author"), author.bytes, sizeof author.bytes)) {
        char name[ILEA_ADMIN_NAME_SIZE];
        ilea_command_admin_name(txn, &author, name);
        json_object_set_new(json, "asked_by", json_string(name));
    }
    if (entry->act.has_subject) {
        char id[2 * ILEA_ID_SIZE + 1];
        ilea_command_hex(entry->act.subject.bytes, ILEA_ID_SIZE, id);
        json_object_set_new(json, "agency", json_string(subject));
        json_object_set_new(json, "agency_id", json_string(id));
    }
    return json;
}

static void
print_entry(const json_t *json)
{
    const char *agency = json_string_value(json_object_get(json, "agency"));
    (void)printf("%5lld  %s  %-14s %s", (long long)json_integer_value(json_object_get(json, "seq")),
                 json_string_value(json_object_get(json, "time")), json_string_value(json_object_get(json, "kind")),
                 agency != NULL ? agency : "");
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(json, "pairs"), key, value) {
        if (json_string_length(value) <= 40) (void)printf("  %s=%s", key, json_string_value(value));
    }
    const char *asked_by = json_string_value(json_object_get(json, "asked_by"));
    if (asked_by != NULL) (void)printf("  asked by %s", asked_by);
    size_t i;
    json_array_foreach(json_object_get(json, "signed_by"), i, value) {
        (void)printf("%s%s", i == 0 ? "  by " : ", ", json_string_value(json_object_get(value, "name")));
    }
    (void)putchar('\n');
}

/* --since as a seq, or as the first seq of a day; false: neither. */
static bool
parse_since(const char *text, uint64_t *seq, uint64_t *time_ms)
{
    *seq = 1;
    *time_ms = 0;
    return text == NULL || ilea_date_parse(text, time_ms) || ilea_command_number(text, seq);
}

static enum ilea_error
print_entries(struct ilea_command_act *act, uint64_t seq, uint64_t time_ms)
{
    uint64_t last = 0;
    uint8_t hash[ILEA_HASH_SIZE];
    struct ilea_audit_entry *entry = malloc(sizeof *entry);
    if (entry == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ilea_log_audit_last(act->txn, &last, hash);
    for (seq = seq > 0 ? seq : 1; seq <= last && error == ILEA_ERROR_NONE; seq++) {
        struct ilea_span bytes;
        error = ilea_log_audit(act->txn, seq, &bytes);
        if (error == ILEA_ERROR_NOT_FOUND) { /* lost by a restore, as a later entry says; else verify tells */
            error = ILEA_ERROR_NONE;
            continue;
        }
        if (error == ILEA_ERROR_NONE && ilea_entry_decode(bytes, entry) != ILEA_ERROR_NONE) error = ILEA_ERROR_CORRUPT;
        if (error != ILEA_ERROR_NONE || entry->time_ms < time_ms) continue;
        json_t *json = entry_json(act->txn, entry);
        if (act->command->json) {
            ilea_command_print(json);
        } else {
            print_entry(json);
            json_decref(json);
        }
    }
    free(entry);
    return error;
}

struct faults {
    const struct ilea_command *command;
    json_t *list;
};

static void
take_fault(void *context, uint64_t seq, const char *what)
{
    struct faults *faults = context;
    if (!faults->command->json) {
        if (seq > 0) (void)printf("entry %llu %s\n", (unsigned long long)seq, what);
        if (seq == 0) (void)printf("the feed: %s\n", what);
    }
    json_array_append_new(faults->list, json_pack("{s:I,s:s}", "seq", (json_int_t)seq, "fault", what));
}

static int
verify(struct ilea_command_act *act)
{
    struct faults faults = { act->command, json_array() };
    uint64_t entries = 0;
    struct ilea_audit_head head;
    /* The head first: what is entered meanwhile makes the feed longer, not shorter. The transaction is older than it,
     * so begin another. */
    enum ilea_error error = ilea_side_look(act->command->home, &head.seq, head.hash);
    if (error == ILEA_ERROR_CORRUPT) {
        take_fault(&faults, 0, "state/trust.side is damaged: nothing outside the log says how long the feed was");
        head.seq = 0;
        error = ILEA_ERROR_NONE;
    }
    struct ilea_transaction *txn = NULL;
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(ilea_log_environment(act->log), false, &txn);
    uint64_t last = 0;
    uint8_t hash[ILEA_HASH_SIZE];
    if (error == ILEA_ERROR_NONE) error = ilea_log_audit_last(txn, &last, hash);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_audit_verify(txn, ilea_log_identity(act->log), &head, take_fault, &faults, &entries);
    }
    ilea_transaction_abort(txn);
    size_t count = json_array_size(faults.list);
    int code = 0;
    if (error != ILEA_ERROR_NONE) {
        code = ilea_command_fail(ilea_exit_code(error), "the audit feed cannot be read: %s", ilea_error_text(error));
    } else if (act->command->json) {
        ilea_command_print(json_pack("{s:b,s:I,s:O}", "ok", count == 0, "entries", (json_int_t)entries, "faults",
                                     faults.list));
    } else if (count == 0) {
        (void)printf("ok: %llu entries, every hash and signature, none missing%s\n", (unsigned long long)entries,
                     last > entries ? " but what a restore lost" : "");
        if (head.seq == 0)
            (void)puts("state/trust.side is not there: nothing outside the log says how long it should be");
    }
    if (error == ILEA_ERROR_NONE && count > 0) {
        code = ilea_command_fail(EX_DATAERR, "%zu fault%s: somebody changed the log; keep it as evidence and compare "
                                             "it with a backup", count, count == 1 ? "" : "s");
    }
    json_decref(faults.list);
    return code;
}

int
ilea_command_audit(const struct ilea_command *command)
{
    bool verifies = command->word_count == 2 && strcmp(command->words[1], "verify") == 0;
    uint64_t seq, time_ms;
    if (command->word_count != 1 && !verifies) return ilea_command_usage("audit takes nothing, or verify");
    if (!parse_since(command->since, &seq, &time_ms)) {
        return ilea_command_usage("--since takes a number of an entry, or a day as 2028-01-01");
    }
    struct ilea_command_act act;
    int code = ilea_command_act_begin(&act, command, "audit.list", false);
    if (code == 0 && verifies) {
        code = verify(&act);
    } else if (code == 0) {
        enum ilea_error error = print_entries(&act, seq, time_ms);
        if (error != ILEA_ERROR_NONE) {
            code = ilea_command_fail(EX_DATAERR, "the audit feed is damaged; run ilea audit verify");
        }
    }
    ilea_command_act_end(&act);
    return code;
}
