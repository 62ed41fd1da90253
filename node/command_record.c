/* command_record.c - new, list, show, set: one record at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "node/command_erase.h"
#include "node/command_review.h"
#include "node/command_send.h"
#include "node/json.h"
#include "node/put_builder.h"
#include "node/value.h"
#include "replication/record/uuid.h"

/* The answer to the one put of these commands. */
struct single {
    bool answered;
    enum ilea_error error;
    struct ilea_put_result result;
};

static void
take_answer(void *context, uint64_t tag, enum ilea_error error, const struct ilea_put_result *result)
{
    struct single *single = context;
    (void)tag;
    *single = (struct single){ .answered = true, .error = error, .result = *result };
}

/* FR-PN-N42 where a record id is wanted. */
static enum ilea_error
resolve(void *context, struct ilea_span text, struct ilea_record_id *id)
{
    const struct ilea_command *command = context;
    char ref[ILEA_REF_SIZE];
    if (text.size >= sizeof ref) return ILEA_ERROR_INVALID;
    memcpy(ref, text.data, text.size);
    ref[text.size] = '\0';
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_record_info info;
    enum ilea_error error = ilea_replica_open(command->home, &replica);
    if (error == ILEA_ERROR_NONE) error = ilea_snapshot_begin(replica, &snapshot);
    if (error == ILEA_ERROR_NONE) error = ilea_snapshot_by_ref(snapshot, ref, &info);
    if (error == ILEA_ERROR_NONE) *id = info.id;
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    return error;
}

/* Write one put and say how it went; the answer is in *single. */
static int
write_one(struct ilea_command_send *send, struct ilea_put *put, struct single *single)
{
    single->answered = false;
    enum ilea_error error = ilea_command_send_put(send, 0, put);
    if (error == ILEA_ERROR_NONE) error = ilea_command_send_flush(send);
    if (error == ILEA_ERROR_NONE && single->answered) error = single->error;
    if (error == ILEA_ERROR_NONE) return 0;
    const char *reason = single->answered && single->result.reason[0] != '\0' ? single->result.reason
                                                                              : ilea_error_text(error);
    return ilea_command_fail(ilea_exit_code(error), "nothing was written: %s", reason);
}

static void
print_written(const struct ilea_command *command, const struct ilea_command_written *written)
{
    static const char *const outcomes[] = { "", "created", "updated", "unchanged", "waiting" };
    const struct ilea_put_result *result = &written->result;
    char id[ILEA_UUID_TEXT_SIZE];
    ilea_uuid_print(&result->id, id);
    if (command->json) {
        ilea_command_print(json_pack("{s:s,s:s,s:s,s:o*}", "ref", result->ref, "id", id, "outcome",
                                     outcomes[result->outcome], "releases", ilea_command_send_json(&written->send)));
    } else {
        (void)printf("%s %s\n", result->ref, id);
        ilea_command_send_print(&written->send);
        if (result->outcome == ILEA_PUT_UNCHANGED && written->send.request_count == 0) {
            (void)fprintf(stderr, "ilea: %s is so already: nothing was written\n", result->ref);
        }
    }
}

int
ilea_command_write(const struct ilea_command *command, struct ilea_command_place *place, struct ilea_put *put,
                   struct ilea_command_written *written)
{
    struct single single;
    written->is_written = false;
    int code = ilea_command_send_begin(&written->send, command, place, take_answer, &single);
    if (code == 0) code = write_one(&written->send, put, &single);
    if (code != 0) return code;
    written->result = single.result;
    written->is_written = true;
    return ilea_command_send_ask(&written->send);
}

static int
write_and_print(const struct ilea_command *command, struct ilea_command_place *place, struct ilea_put *put)
{
    struct ilea_command_written written;
    int code = ilea_command_write(command, place, put, &written);
    bool is_draft = written.is_written
        && (written.result.outcome == ILEA_PUT_CREATED || written.result.outcome == ILEA_PUT_UPDATED);
    /* A draft that could not be asked for is there, too. */
    if (written.is_written && (code == 0 || is_draft)) print_written(command, &written);
    ilea_command_send_end(&written.send);
    return code;
}

/* --title and --tlp are other words for --set. */
static enum ilea_error
assign_option(struct ilea_put_builder *builder, const struct ilea_type *type, const char *field, const char *value,
              char *reason)
{
    if (value == NULL) return ILEA_ERROR_NONE;
    size_t size = strlen(field) + 1 + strlen(value) + 1;
    char *text = malloc(size);
    if (text == NULL) return ILEA_ERROR_NO_MEMORY;
    (void)snprintf(text, size, "%s=%s", field, value);
    enum ilea_error error = ilea_value_assign(builder, type, text, reason);
    free(text);
    return error;
}

/* Everything from the command line that names a field: --title, --tlp, --set, and field=value words. */
static int
assign_all(const struct ilea_command *command, struct ilea_put_builder *builder,
           const struct ilea_type *type, int first_word)
{
    char reason[ILEA_REASON_SIZE] = "out of memory";
    enum ilea_error error = assign_option(builder, type, "title", command->title, reason);
    if (error == ILEA_ERROR_NONE) error = assign_option(builder, type, "tlp", command->tlp, reason);
    for (int i = 0; i < command->sets_count && error == ILEA_ERROR_NONE; i++) {
        error = ilea_value_assign(builder, type, command->sets[i], reason);
    }
    for (int i = first_word; i < command->word_count && error == ILEA_ERROR_NONE; i++) {
        error = ilea_value_assign(builder, type, command->words[i], reason);
    }
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(EX_DATAERR, "nothing was written: %s", reason);
}

static int
with_builder(const struct ilea_command *command, struct ilea_put_builder *builder)
{
    if (ilea_put_builder_init(builder) != ILEA_ERROR_NONE) return ilea_command_fail(EX_OSERR, "out of memory");
    union { const void *from; void *to; } context = { .from = command };
    builder->resolve = resolve;
    builder->resolve_context = context.to;
    return 0;
}

static int
new_record(const struct ilea_command *command, const struct ilea_type *type)
{
    struct ilea_command_place place;
    struct ilea_put_builder builder;
    int code = with_builder(command, &builder);
    if (code != 0) return code;
    ilea_put_builder_begin(&builder, ILEA_PUT_CREATE, type->number);
    code = ilea_command_place(command, &place);
    if (code == 0) code = assign_all(command, &builder, type, 2);
    if (code == 0) code = write_and_print(command, &place, builder.put);
    ilea_command_place_end(&place);
    ilea_put_builder_deinit(&builder);
    return code;
}

/* What stands for a record in a list: its title, else its name or a piece of text. */
static struct ilea_span
headline(struct ilea_snapshot *snapshot)
{
    static const char *const fields[] = { "title", "acronym", "name", "labels", "code", "body", "rel", NULL };
    struct ilea_value value;
    for (unsigned i = 0; fields[i] != NULL; i++) {
        if (ilea_snapshot_value(snapshot, fields[i], 0, &value) == ILEA_ERROR_NONE) return value.text;
    }
    return (struct ilea_span){ NULL, 0 };
}

/* Of a list. A long name of an audience pushes the title to the right; it is not cut to nothing. */
static void
print_line(struct ilea_snapshot *snapshot, const struct ilea_record_info *info)
{
    enum { AUDIENCE_MIN = 14, AUDIENCE_MAX = 30 };
    char title[256], audience[ILEA_AUDIENCE_TEXT_SIZE];
    struct ilea_value withdrawn;
    bool is_withdrawn = ilea_snapshot_value(snapshot, "withdrawn", 0, &withdrawn) == ILEA_ERROR_NONE;
    (void)ilea_command_readers(snapshot, audience);
    int width = (int)strlen(audience);
    width = width < AUDIENCE_MIN ? AUDIENCE_MIN : width > AUDIENCE_MAX ? AUDIENCE_MAX : width;
    ilea_command_cut(headline(snapshot), 80 - 18 - width - (is_withdrawn ? 12 : 0), title, sizeof title);
    (void)printf("%-15s %-*s %c%s%s\n", info->ref, AUDIENCE_MIN, audience, info->conflicts > 0 ? '!' : ' ',
                 is_withdrawn ? "(withdrawn) " : "", title);
}

static int
list_records(const struct ilea_command *command, const struct ilea_type *type)
{
    uint64_t limit = UINT64_MAX;
    if (command->limit != NULL && (!ilea_command_number(command->limit, &limit) || limit == 0)) {
        return ilea_command_usage("--limit takes a number from 1");
    }
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    int code = ilea_command_snapshot(command, &replica, &snapshot);
    if (code != 0) return code;
    enum ilea_error error = ILEA_ERROR_NONE;
    struct ilea_record_info info = { .number = 0 };
    unsigned long long count = 0;
    if (command->json) (void)fputs("[", stdout);
    while (error == ILEA_ERROR_NONE && count < limit) {
        error = ilea_snapshot_next(snapshot, type->name, command->agency, &info);
        if (error != ILEA_ERROR_NONE) break;
        if (command->json) {
            json_t *record = ilea_command_record(snapshot, &info);
            char *line = record != NULL ? ilea_json_dump(record) : NULL;
            if (line == NULL) error = ILEA_ERROR_NO_MEMORY;
            else (void)printf("%s%s", count > 0 ? ",\n" : "", line);
            free(line);
            json_decref(record);
        } else {
            print_line(snapshot, &info);
        }
        count++;
    }
    if (command->json) (void)fputs("]\n", stdout);
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    if (error == ILEA_ERROR_INVALID) {
        return ilea_command_fail(EX_NOINPUT, "no agency %s here; see ilea peer list", command->agency);
    }
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) {
        return ilea_command_view_fault(command, error);
    }
    if (count == 0 && !command->json) (void)fprintf(stderr, "No %s records yet.\n", type->name);
    return 0;
}

int
ilea_command_type(const struct ilea_command *command)
{
    const struct ilea_type *type = ilea_type_by_name(
        (struct ilea_span){ (const uint8_t *)command->words[0], strlen(command->words[0]) });
    const char *verb = command->word_count > 1 ? command->words[1] : "";
    if (strcmp(verb, "new") == 0) return new_record(command, type);
    if (strcmp(verb, "list") == 0 && command->word_count == 2) return list_records(command, type);
    return ilea_command_usage("a type takes new or list");
}

/* Nothing here has that ref or id: it never was, or was erased. */
static int
not_found(const struct ilea_command *command, const char *ref)
{
    struct ilea_log *log = NULL;
    struct ilea_transaction *txn = NULL;
    int code = ilea_command_log(command, &log);
    if (code == 0 && ilea_transaction_begin(ilea_log_environment(log), false, &txn) == ILEA_ERROR_NONE) {
        code = ilea_command_was_erased(log, txn, ref);
    }
    ilea_transaction_abort(txn);
    ilea_log_close(log);
    return code != 0 ? code : ilea_command_fail(EX_NOINPUT, "no record %s here", ref);
}

int
ilea_command_find_record(const struct ilea_command *command, const char *ref, struct ilea_replica **replica,
            struct ilea_snapshot **snapshot, struct ilea_record_info *info)
{
    int code = ilea_command_snapshot(command, replica, snapshot);
    if (code != 0) return code;
    enum ilea_error error = ilea_snapshot_by_ref(*snapshot, ref, info);
    if (error == ILEA_ERROR_NONE) return 0;
    if (error == ILEA_ERROR_INVALID) {
        return ilea_command_fail(EX_USAGE, "%s is neither a ref such as FR-PN-N42 nor a record id", ref);
    }
    if (error == ILEA_ERROR_NOT_FOUND) return not_found(command, ref);
    return ilea_command_view_fault(command, error);
}

/* One value, wrapped to 80 columns behind its name. */
static void
print_wrapped(const char *name, const char *text)
{
    enum { INDENT = 22, WIDTH = 80 - INDENT };
    size_t left = strlen(text);
    (void)printf("%-*s", INDENT - 1, name);
    for (bool first = true; first || left > 0; first = false) {
        size_t take = left;
        const char *line_end = memchr(text, '\n', left);
        if (line_end != NULL && (size_t)(line_end - text) <= WIDTH) {
            take = (size_t)(line_end - text);
        } else if (left > WIDTH) {
            take = WIDTH;
            while (take > WIDTH / 2 && text[take] != ' ') take--;
            if (text[take] != ' ') take = WIDTH; /* no blank to break at */
            while (take > 0 && ((unsigned char)text[take] & 0xc0) == 0x80) take--; /* not inside a character */
        }
        (void)printf("%*s%.*s\n", first ? 1 : INDENT, "", (int)take, text);
        text += take;
        left -= take;
        if (left > 0 && (*text == ' ' || *text == '\n')) {
            text++;
            left--;
        }
    }
}

void
ilea_command_print_value(const char *name, json_t *value)
{
    if (json_is_string(value)) {
        print_wrapped(name, json_string_value(value));
    } else if (json_is_array(value)) {
        size_t i;
        json_t *element;
        json_array_foreach(value, i, element) ilea_command_print_value(i == 0 ? name : "", element);
    } else if (json_is_object(value)) { /* parts of a value, or keys of a field: one a line */
        const char *key;
        json_t *part;
        json_object_foreach(value, key, part) {
            char *text = json_is_string(part) ? strdup(json_string_value(part))
                                              : json_dumps(part, JSON_COMPACT | JSON_ENCODE_ANY);
            size_t size = text != NULL ? strlen(key) + strlen(text) + 3 : 0;
            char *line = text != NULL ? malloc(size) : NULL;
            if (line != NULL) {
                (void)snprintf(line, size, "%s: %s", key, text);
                print_wrapped(name, line);
            }
            name = "";
            free(line);
            free(text);
        }
    } else {
        char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
        if (text != NULL) print_wrapped(name, text);
        free(text);
    }
}

int
ilea_command_show(const struct ilea_command *command)
{
    if (command->word_count != 2) return ilea_command_usage("show takes one ref or id");
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_record_info info;
    int code = ilea_command_find_record(command, command->words[1], &replica, &snapshot, &info);
    json_t *record = code == 0 ? ilea_command_record(snapshot, &info) : NULL;
    if (record != NULL && json_object_get(record, "documents") != NULL) {
        json_object_set_new(record, "documents", ilea_command_documents(command, snapshot));
    }
    if (code == 0 && record == NULL) code = ilea_command_fail(EX_OSERR, "out of memory");
    json_t *review = code == 0 ? ilea_command_review_of(command, snapshot, &info.agency) : NULL;
    if (review != NULL) json_object_set_new(record, "review", review);
    if (code == 0 && command->json) {
        ilea_command_print(json_incref(record));
    } else if (code == 0) {
        char audience[ILEA_AUDIENCE_TEXT_SIZE];
        const enum ilea_scope scope = ilea_command_readers(snapshot, audience);
        const char *readers = scope == ILEA_SCOPE_AGENCY ? "the agency alone"
            : scope == ILEA_SCOPE_PEERS ? "all peers"
                                        : audience;
        (void)printf("%s  %s of %s, for %s\n", info.ref[0] != '\0' ? info.ref : "(no ref)", info.type,
                     info.agency_code, readers);
        ilea_command_review_print(json_object_get(record, "review"));
        static const char *const heading[] = { "ref", "type", "agency", "agency_id", "audience", "review", NULL };
        const char *key;
        json_t *value;
        json_object_foreach(record, key, value) {
            bool shown = false;
            for (unsigned i = 0; heading[i] != NULL; i++) shown = shown || strcmp(heading[i], key) == 0;
            if (!shown) ilea_command_print_value(key, value);
        }
    }
    json_decref(record);
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    return code;
}

int
ilea_command_update_record(const struct ilea_command *command, struct ilea_command_place *place, int first_word,
                           const char *field, const char *value)
{
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_record_info info;
    char reason[ILEA_REASON_SIZE] = "out of memory";
    int code = ilea_command_find_record(command, command->words[1], &replica, &snapshot, &info);
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    if (code != 0) return code;
    struct ilea_put_builder builder;
    code = with_builder(command, &builder);
    if (code != 0) return code;
    const struct ilea_type *type = ilea_type_by_number(info.type_number);
    ilea_put_builder_begin(&builder, ILEA_PUT_UPDATE, info.type_number);
    ilea_put_builder_set_id(&builder, &info.id);
    code = assign_all(command, &builder, type, first_word);
    if (code == 0 && assign_option(&builder, type, field, value, reason) != ILEA_ERROR_NONE) {
        code = ilea_command_fail(EX_DATAERR, "nothing was written: %s", reason);
    }
    if (code == 0) code = write_and_print(command, place, builder.put);
    ilea_put_builder_deinit(&builder);
    return code;
}

int
ilea_command_set(const struct ilea_command *command)
{
    if (command->word_count < 2 || (command->word_count == 2 && command->sets_count == 0)) {
        return ilea_command_usage("set takes a ref and at least one field=value");
    }
    return ilea_command_update_record(command, NULL, 2, NULL, NULL);
}
