/* command_data.c - import, export, changes: many records at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "node/command_send.h"
#include "node/json.h"
#include "node/jsonl.h"
#include "node/profile.h"
#include "node/put_builder.h"
#include "replication/record/uuid.h"

struct import {
    uint64_t created, updated, unchanged, waiting, bad;
    enum ilea_error fatal;
    struct ilea_progress progress;
};

/* A line that was refused: said at once, and the rest goes on. */
static void
bad_line(struct import *import, uint64_t line, const char *reason)
{
    import->bad++;
    (void)fprintf(stderr, "ilea: line %llu: %s; skipped\n", (unsigned long long)line, reason);
}

static void
take_answer(void *context, uint64_t line, enum ilea_error error, const struct ilea_put_result *result)
{
    struct import *import = context;
    if (error != ILEA_ERROR_NONE) {
        if (result->reason[0] != '\0') {
            bad_line(import, line, result->reason);
        } else { /* not this line's fault: said once, at the end */
            import->fatal = error;
        }
        return;
    }
    switch (result->outcome) {
    case ILEA_PUT_CREATED: import->created++; break;
    case ILEA_PUT_UPDATED: import->updated++; break;
    case ILEA_PUT_UNCHANGED: import->unchanged++; break;
    case ILEA_PUT_REVIEW: import->waiting++; break;
    }
    ilea_progress_show(&import->progress, "records",
                       import->created + import->updated + import->unchanged + import->waiting);
}

static enum ilea_error
import_lines(struct import *import, struct ilea_jsonl *input, const struct ilea_profile *profile,
             struct ilea_put_builder *builder, struct ilea_command_send *send)
{
    char reason[ILEA_REASON_SIZE];
    for (;;) {
        json_t *object = NULL;
        enum ilea_error error = ilea_jsonl_next_object(input, &object, reason);
        uint64_t line = input->line_number;
        if (error == ILEA_ERROR_NOT_FOUND) break;
        if (error == ILEA_ERROR_NO_MEMORY) return error;
        if (error != ILEA_ERROR_NONE) {
            bad_line(import, line, reason);
            continue;
        }
        error = ilea_profile_map(profile, object, builder, reason);
        if (error == ILEA_ERROR_NONE) {
            error = ilea_command_send_put(send, line, builder->put);
            if (error == ILEA_ERROR_LIMIT) {
                (void)snprintf(reason, sizeof reason, "the record is too large");
            } else if (error != ILEA_ERROR_NONE) {
                json_decref(object);
                return error;
            }
        }
        if (error != ILEA_ERROR_NONE) bad_line(import, line, reason);
        json_decref(object);
        if (import->fatal != ILEA_ERROR_NONE) return import->fatal;
    }
    return ilea_command_send_flush(send);
}

static int
report(const struct ilea_command *command, const struct import *import, const struct ilea_command_send *send,
       enum ilea_error error)
{
    if (command->json) {
        json_t *waiting = send->four_eyes ? json_integer((json_int_t)import->waiting) : NULL;
        ilea_command_print(json_pack("{s:I,s:I,s:I,s:I,s:o*,s:o*}", "created", (json_int_t)import->created, "updated",
                                     (json_int_t)import->updated, "unchanged",
                                     (json_int_t)import->unchanged, "bad", (json_int_t)import->bad, "waiting",
                                     waiting, "releases", ilea_command_send_json(send)));
    } else {
        (void)printf("%llu created, %llu updated, %llu unchanged, %llu bad",
                     (unsigned long long)import->created, (unsigned long long)import->updated,
                     (unsigned long long)import->unchanged, (unsigned long long)import->bad);
        if (send->four_eyes) (void)printf(", %llu wait", (unsigned long long)import->waiting);
        (void)putchar('\n');
        ilea_command_send_print(send);
    }
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "import stopped: %s; at least what is counted is in; "
                                 "run the same again for the rest", ilea_error_text(error));
    }
    return import->bad > 0 ? EX_DATAERR : 0;
}

int
ilea_command_import(const struct ilea_command *command)
{
    if (command->word_count != 2 || command->profile == NULL) {
        return ilea_command_usage("import takes one file and --profile NAME");
    }
    struct ilea_command_place place;
    char reason[ILEA_REASON_SIZE];
    struct ilea_profile *profile = NULL;
    enum ilea_error error = ilea_profile_open(command->profile, &profile, reason);
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(error == ILEA_ERROR_NOT_FOUND ? EX_NOINPUT : EX_CONFIG, "profile %s: %s",
                                 command->profile, reason);
    }
    struct ilea_jsonl input;
    error = ilea_jsonl_open(&input, command->words[1], reason);
    if (error != ILEA_ERROR_NONE) {
        ilea_profile_close(profile);
        return ilea_command_fail(EX_NOINPUT, "%s", reason);
    }
    struct import import = { .fatal = ILEA_ERROR_NONE };
    struct ilea_put_builder builder;
    struct ilea_command_send send = { .command = command };
    bool has_builder = ilea_put_builder_init(&builder) == ILEA_ERROR_NONE;
    int code = ilea_command_place(command, &place);
    if (code == 0 && !has_builder) code = ilea_command_fail(EX_OSERR, "out of memory");
    if (code == 0) {
        ilea_progress_begin(&import.progress);
        code = ilea_command_send_begin(&send, command, &place, take_answer, &import);
        if (code == 0) {
            error = import_lines(&import, &input, profile, &builder, &send);
            ilea_progress_end(&import.progress);
            int asked = ilea_command_send_ask(&send);
            code = report(command, &import, &send, error);
            if (code == 0) code = asked;
        }
    }
    if (has_builder) ilea_put_builder_deinit(&builder);
    ilea_command_send_end(&send);
    ilea_command_place_end(&place);
    ilea_jsonl_close(&input);
    ilea_profile_close(profile);
    return code;
}

int
ilea_command_export(const struct ilea_command *command)
{
    if (command->word_count != 1) return ilea_command_usage("export takes no words, only --type T");
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    int code = ilea_command_snapshot(command, &replica, &snapshot);
    if (code != 0) return code;
    enum ilea_error error = ILEA_ERROR_NONE;
    struct ilea_record_info info = { .number = 0 };
    while (error == ILEA_ERROR_NONE) {
        error = ilea_snapshot_next(snapshot, command->type, command->agency, &info);
        if (error != ILEA_ERROR_NONE) break;
        json_t *record = ilea_command_record(snapshot, &info);
        char *line = record != NULL ? ilea_json_dump(record) : NULL;
        if (line == NULL || puts(line) == EOF) error = ILEA_ERROR_IO;
        free(line);
        json_decref(record);
    }
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    if (error == ILEA_ERROR_NOT_FOUND) return 0;
    if (error == ILEA_ERROR_INVALID) {
        return ilea_command_fail(EX_USAGE, "no such type or agency; see ilea --help and ilea peer list");
    }
    if (error == ILEA_ERROR_CORRUPT) return ilea_command_view_fault(command, error);
    return ilea_command_fail(ilea_exit_code(error), "export stopped: %s", ilea_error_text(error));
}

/* One that is no more: what names it, and its record as far as that is known. */
static json_t *
erased_json(const struct ilea_change_info *change, const char *dot)
{
    char id[ILEA_UUID_TEXT_SIZE];
    json_t *json = json_pack("{s:I,s:s,s:s}", "lsn", (json_int_t)change->lsn, "op", "erase", "dot", dot);
    if (!change->has_id) return json;
    ilea_uuid_print(&change->id, id);
    json_object_set_new(json, "type", json_string(change->type));
    json_object_set_new(json, "id", json_string(id));
    return json;
}

static json_t *
change_json(struct ilea_snapshot *snapshot, const struct ilea_change_info *change)
{
    char dot[64];
    ilea_command_hex(change->feed, sizeof change->feed, dot);
    (void)snprintf(dot + 32, sizeof dot - 32, ":%llu:%u", (unsigned long long)change->seq, change->index);
    if (change->erased) return erased_json(change, dot);
    json_t *fields = json_array();
    for (uint32_t i = 0; i < change->field_count; i++) {
        const char *name;
        if (ilea_snapshot_change_field(snapshot, i, &name) == ILEA_ERROR_NONE) {
            json_array_append_new(fields, json_string(name));
        }
    }
    struct ilea_record_info info;
    enum ilea_error error = ilea_snapshot_by_number(snapshot, change->record, &info);
    if (error != ILEA_ERROR_NONE) {
        json_decref(fields);
        return error == ILEA_ERROR_NOT_FOUND ? erased_json(change, dot) : NULL; /* it is being erased */
    }
    return json_pack("{s:I,s:s,s:s,s:o,s:I,s:o}", "lsn", (json_int_t)change->lsn, "op",
                     change->created ? "create" : "update", "dot", dot, "fields", fields, "author_time_ms",
                     (json_int_t)change->author_time_ms, "record", ilea_command_record(snapshot, &info));
}

/* All changes there are now after *since; moves it on. */
static enum ilea_error
print_changes(struct ilea_replica *replica, uint64_t *since)
{
    enum { SNAPSHOT_CHANGES = 1000 }; /* then a new snapshot: an old one keeps the file from shrinking */
    enum ilea_error error = ILEA_ERROR_NONE;
    while (error == ILEA_ERROR_NONE) {
        struct ilea_snapshot *snapshot = NULL;
        error = ilea_snapshot_begin(replica, &snapshot);
        for (unsigned i = 0; error == ILEA_ERROR_NONE && i < SNAPSHOT_CHANGES; i++) {
            struct ilea_change_info change;
            error = ilea_snapshot_change(snapshot, *since, &change);
            if (error != ILEA_ERROR_NONE) break;
            json_t *json = change_json(snapshot, &change);
            if (json == NULL) {
                error = ILEA_ERROR_CORRUPT;
            } else {
                ilea_command_print(json);
                *since = change.lsn;
            }
        }
        ilea_snapshot_end(snapshot);
    }
    if (fflush(stdout) != 0) return ILEA_ERROR_IO;
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* INVALID: the cursor is not of this replica. */
static enum ilea_error
check_cursor(struct ilea_replica *replica, uint64_t since)
{
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_replica_status status;
    enum ilea_error error = ilea_snapshot_begin(replica, &snapshot);
    if (error == ILEA_ERROR_NONE) error = ilea_snapshot_status(snapshot, &status);
    ilea_snapshot_end(snapshot);
    return error == ILEA_ERROR_NONE && since > status.lsn ? ILEA_ERROR_INVALID : error;
}

int
ilea_command_changes(const struct ilea_command *command)
{
    uint64_t since = 0;
    if (command->word_count != 1) return ilea_command_usage("changes takes no words, only options");
    if (command->since != NULL && !ilea_command_number(command->since, &since)) {
        return ilea_command_usage("--since takes an lsn");
    }
    struct ilea_replica *replica = NULL;
    int code = ilea_command_replica(command, &replica);
    if (code != 0) return code;
    enum ilea_error error = check_cursor(replica, since);
    if (error == ILEA_ERROR_INVALID) {
        ilea_replica_close(replica);
        return ilea_command_fail(EX_DATAERR, "lsn %llu is beyond the last change: is it another node's cursor? "
                                             "start again at 0", (unsigned long long)since);
    }
    if (error == ILEA_ERROR_NONE) error = print_changes(replica, &since);
    while (error == ILEA_ERROR_NONE && command->follow) {
        const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
        (void)nanosleep(&pause, NULL);
        /* A view that was rebuilt lies elsewhere and numbers its changes as before. */
        struct ilea_replica *again = NULL;
        if (ilea_replica_open(command->home, &again) == ILEA_ERROR_NONE) {
            ilea_replica_close(replica);
            replica = again;
        }
        error = print_changes(replica, &since);
    }
    ilea_replica_close(replica);
    if (error == ILEA_ERROR_NONE) return 0;
    if (error == ILEA_ERROR_CORRUPT) return ilea_command_view_fault(command, error);
    return ilea_command_fail(ilea_exit_code(error), "changes stopped after lsn %llu: %s",
                             (unsigned long long)since, ilea_error_text(error));
}
