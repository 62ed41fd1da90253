/* command_audience.c - audience: closed audiences, who is in them, who comes and goes. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "node/command_place.h"
#include "node/date.h"
#include "node/grant.h"
#include "replication/reader/snapshot.h"
#include "replication/record/label.h"
#include "replication/store/view_store.h"

/* What is looked at: end with end_look(). */
struct look {
    struct ilea_log *log;
    struct ilea_transaction *txn;
    struct ilea_audience_cache *cache;
    struct ilea_audience_found found;
};

static int
begin_look(struct look *look, const struct ilea_command *command)
{
    *look = (struct look){ .log = NULL };
    int code = ilea_command_log(command, &look->log);
    if (code != 0) return code;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(look->log), false, &look->txn);
    if (error == ILEA_ERROR_NONE) error = ilea_audience_cache_new(&look->cache);
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(ilea_exit_code(error), "the log cannot be read: %s", ilea_error_text(error));
}

static void
end_look(struct look *look)
{
    ilea_audience_cache_free(look->cache);
    ilea_transaction_abort(look->txn);
    ilea_log_close(look->log);
    look->cache = NULL;
    look->txn = NULL;
    look->log = NULL;
}

static const struct ilea_agency_id *
own_id(const struct look *look)
{
    return &ilea_log_identity(look->log)->agency;
}

static const char *const levels[] = { "none", "read", "write", "admin" };

static bool
parse_level(const char *text, size_t size, enum ilea_access *level)
{
    for (unsigned i = ILEA_ACCESS_READ; i <= ILEA_ACCESS_ADMIN; i++) {
        if (strlen(levels[i]) != size || memcmp(levels[i], text, size) != 0) continue;
        *level = (enum ilea_access)i;
        return true;
    }
    return false;
}

static void
history_text(uint64_t history_ms, char text[ILEA_DATE_SIZE])
{
    if (history_ms == 0) (void)snprintf(text, ILEA_DATE_SIZE, "none");
    else if (history_ms >= ILEA_HISTORY_ALL) (void)snprintf(text, ILEA_DATE_SIZE, "all");
    else ilea_date_format(history_ms, text);
}

/* How a member is called: by the manifest that is held, else as the owner wrote it down. */
static void
member_code(const struct look *look, const struct ilea_member *member, char code[ILEA_CODE_SIZE_MAX + 1])
{
    (void)snprintf(code, ILEA_CODE_SIZE_MAX + 1, "%s", member->code);
    if (memcmp(member->agency.bytes, look->found.row.owner.bytes, ILEA_ID_SIZE) == 0) {
        (void)snprintf(code, ILEA_CODE_SIZE_MAX + 1, "%s", look->found.owner_code);
    }
}

/* The highest label that we give a member; 0: none, for it is not approved here. Ourselves: all. */
static uint32_t
member_ceiling(const struct look *look, const struct ilea_member *member)
{
    struct ilea_agency_row row;
    if (ilea_log_agency(look->txn, &member->agency, &row) != ILEA_ERROR_NONE) return 0;
    if (row.state == ILEA_AGENCY_SELF) return ILEA_LABEL_RED;
    return row.state == ILEA_AGENCY_APPROVED ? row.grant.tlp_max : 0;
}

static json_t *
members_json(const struct look *look)
{
    json_t *list = json_array();
    const struct ilea_membership_state *state = &look->found.state;
    for (uint32_t i = 0; i < state->member_count; i++) {
        const struct ilea_member *member = &state->members[i];
        char id[2 * ILEA_ID_SIZE + 1], code[ILEA_CODE_SIZE_MAX + 1], by[ILEA_CODE_SIZE_MAX + 1] = "";
        char reason[ILEA_REASON_SIZE];
        ilea_command_hex(member->agency.bytes, ILEA_ID_SIZE, id);
        member_code(look, member, code);
        json_t *suspended = member->suspended ? NULL : json_null();
        if (member->suspended) {
            const struct ilea_member *admin = ilea_membership_find(state, &member->suspended_by);
            if (admin != NULL) member_code(look, admin, by);
            suspended = json_string(by);
        }
        ilea_audience_suspension(look->txn, &look->found, member, reason);
        const uint32_t ceiling = member_ceiling(look, member);
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:b,s:o,s:o,s:o}", "agency", id, "code", code, "level",
                                              levels[member->level], "allowed", member->suspended ? 0 : 1,
                                              "suspended_by", suspended, "reason",
                                              reason[0] != '\0' ? json_string(reason) : json_null(), "ceiling",
                                              ceiling != 0 ? json_string(ilea_grant_tlp_name(ceiling)) : json_null()));
    }
    return list;
}

/* Items of closed audiences here whose writers lacked a removal that we had; 0: the view cannot be read. */
static uint64_t
count_stale(const struct ilea_command *command)
{
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_view_meta meta = { .stale = 0 };
    if (ilea_replica_open(command->home, &replica) == ILEA_ERROR_NONE
        && ilea_snapshot_begin(replica, &snapshot) == ILEA_ERROR_NONE
        && ilea_view_load_meta(ilea_snapshot_transaction(snapshot), &meta) != ILEA_ERROR_NONE) {
        meta.stale = 0;
    }
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    return meta.stale;
}

static json_t *
audience_json(const struct look *look)
{
    const struct ilea_audience_found *found = &look->found;
    const struct ilea_membership_state *state = &found->state;
    char id[2 * ILEA_AUDIENCE_ID_SIZE + 1], history[ILEA_DATE_SIZE];
    ilea_command_hex(found->row.audience.bytes, ILEA_AUDIENCE_ID_SIZE, id);
    history_text(state->history_ms, history);
    uint32_t sealed, allowed;
    if (ilea_audience_recipients(look->txn, found, &sealed, &allowed) != ILEA_ERROR_NONE) sealed = 0;
    return json_pack("{s:s,s:s%,s:s,s:s,s:s,s:b,s:b,s:b,s:I,s:I,s:I,s:o}", "id", id, "name", state->name.data,
                     state->name.size, "owner", found->owner_code, "tlp", ilea_label_name(state->tlp), "history",
                     history, "list", state->list ? 1 : 0, "usable", state->has_epoch && !found->is_frozen ? 1 : 0,
                     "frozen", found->is_frozen ? 1 : 0, "epoch",
                     (json_int_t)(state->has_epoch ? state->epoch_number : 0), "sealed", (json_int_t)sealed,
                     "statements", (json_int_t)state->statement_count, "members", members_json(look));
}

static void
print_audience(const struct look *look)
{
    const struct ilea_audience_found *found = &look->found;
    const struct ilea_membership_state *state = &found->state;
    char history[ILEA_DATE_SIZE], name[ILEA_AUDIENCE_TEXT_SIZE];
    history_text(state->history_ms, history);
    ilea_audience_text(found, own_id(look), name);
    (void)printf("%s  %s of %s, up to %s\n", name, state->list ? "list" : "audience", found->owner_code,
                 ilea_label_name(state->tlp));
    (void)printf("Who joins reads of what was written before: %s\n", history);
    for (uint32_t i = 0; i < state->member_count; i++) {
        const struct ilea_member *member = &state->members[i];
        char code[ILEA_CODE_SIZE_MAX + 1], by[ILEA_CODE_SIZE_MAX + 1] = "";
        const struct ilea_member *admin =
            member->suspended ? ilea_membership_find(state, &member->suspended_by) : NULL;
        member_code(look, member, code);
        if (admin != NULL) member_code(look, admin, by);
        bool is_owner = memcmp(member->agency.bytes, found->row.owner.bytes, ILEA_ID_SIZE) == 0;
        const uint32_t ceiling = member_ceiling(look, member);
        (void)printf("%-16s %s%s%s", code, is_owner ? "owner" : levels[member->level],
                     member->suspended ? ", suspended by " : "", by);
        if (ceiling == 0) (void)printf("; not approved here: it gets nothing of ours");
        else if (ceiling < state->tlp) (void)printf("; of ours up to %s (peer approve --tlp-max)",
                                                    ilea_grant_tlp_name(ceiling));
        (void)putchar('\n');
        char reason[ILEA_REASON_SIZE], line[ILEA_REASON_SIZE + 40];
        ilea_audience_suspension(look->txn, found, member, reason);
        (void)snprintf(line, sizeof line, "  reason: %s", reason);
        if (reason[0] != '\0') ilea_command_say(stdout, line);
    }
    uint32_t sealed, allowed;
    if (ilea_audience_recipients(look->txn, found, &sealed, &allowed) == ILEA_ERROR_NONE && sealed > allowed) {
        (void)printf("Its key was sealed to %u, and %u are allowed: ask %s who the others are.\n", sealed, allowed,
                     found->owner_code);
    }
    if (found->is_frozen) {
        (void)puts("Frozen: too many statements about its members; begin a new audience.");
    } else if (!state->has_epoch) {
        (void)puts("No key of its owner is usable: each writer uses one of its own until the\n"
                   "owner has confirmed or lifted.");
    }
}

static int
audience_list(const struct ilea_command *command)
{
    struct look look;
    struct ilea_audience_id last;
    const struct ilea_audience_id *after = NULL;
    uint32_t count = 0;
    if (command->word_count != 2) return ilea_command_usage("audience list takes no words");
    int code = begin_look(&look, command);
    json_t *list = json_array();
    enum ilea_error error = ILEA_ERROR_NONE;
    while (code == 0 && (error = ilea_audience_next(look.cache, look.txn, after, &look.found)) == ILEA_ERROR_NONE) {
        char name[ILEA_AUDIENCE_TEXT_SIZE];
        const struct ilea_member *self = ilea_membership_find(&look.found.state, own_id(&look));
        last = look.found.row.audience;
        after = &last;
        count++;
        if (command->json) {
            json_array_append_new(list, audience_json(&look));
            continue;
        }
        ilea_audience_text(&look.found, own_id(&look), name);
        (void)printf("%-32s %3u members, up to %-12s we: %s%s\n", name, look.found.state.member_count,
                     ilea_label_name(look.found.state.tlp), self != NULL ? levels[self->level] : "no member",
                     self != NULL && self->suspended ? ", suspended" : "");
    }
    if (code == 0 && error != ILEA_ERROR_NOT_FOUND) {
        code = ilea_command_fail(ilea_exit_code(error), "the log cannot be read: %s", ilea_error_text(error));
    }
    if (code == 0 && command->json) ilea_command_print(json_pack("{s:O}", "audiences", list));
    else if (code == 0 && count == 0) ilea_command_say(stdout, "No audiences yet; make one: ilea audience new NAME "
                                                                  "--members NL-PO,BE-FP");
    json_decref(list);
    end_look(&look);
    return code;
}

static int
audience_show(const struct ilea_command *command)
{
    struct look look;
    if (command->word_count != 3) return ilea_command_usage("audience show takes one audience");
    int code = begin_look(&look, command);
    if (code == 0) code = ilea_command_find_audience(look.cache, look.log, look.txn, command->words[2], &look.found);
    if (code == 0 && command->json) {
        json_t *json = audience_json(&look);
        json_object_set_new(json, "stale", json_integer((json_int_t)count_stale(command)));
        ilea_command_print(json_pack("{s:o}", "audience", json));
    } else if (code == 0) {
        print_audience(&look);
    }
    end_look(&look);
    return code;
}

/* Hand it over; then what has become of it, in *look, which is begun anew. */
static int
carry_out(const struct ilea_command *command, const struct ilea_audience_request *request, struct look *look)
{
    struct ilea_writer *writer = NULL;
    struct ilea_control_audience answer = { .error = ILEA_ERROR_NONE };
    int code = ilea_command_writer(command, NULL, NULL, &writer);
    if (code != 0) return code;
    enum ilea_error error = ilea_writer_audience(writer, request, &answer);
    ilea_writer_close(writer);
    if (error == ILEA_ERROR_NONE) error = answer.error;
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "nothing was changed: %s",
                                 answer.result.reason[0] != '\0' ? answer.result.reason : ilea_error_text(error));
    }
    code = begin_look(look, command);
    if (code != 0) return code;
    error = ilea_audience_load(look->cache, look->txn, &answer.result.audience, &look->found);
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(ilea_exit_code(error), "it is done, but cannot be shown: %s", ilea_error_text(error));
}

/* --levels NL-PO=admin,FR-PN=read: over the usual one. */
static int
set_levels(struct look *look, const char *text, struct ilea_audience_request *request)
{
    struct ilea_audience_request *one = calloc(1, sizeof *one);
    int code = one != NULL ? 0 : ilea_command_fail(EX_OSERR, "out of memory");
    for (const char *at = text; code == 0 && at != NULL;) {
        char name[2 * ILEA_ID_SIZE + 1];
        const char *end = strchr(at, ','), *equals = strchr(at, '=');
        size_t size = end != NULL ? (size_t)(end - at) : strlen(at);
        enum ilea_access level = ILEA_ACCESS_NONE;
        if (equals == NULL || (size_t)(equals - at) >= size || (size_t)(equals - at) >= sizeof name) {
            code = ilea_command_fail(EX_USAGE, "--levels takes CODE=LEVEL, separated by commas");
            break;
        }
        size_t code_size = (size_t)(equals - at);
        memcpy(name, at, code_size);
        name[code_size] = '\0';
        if (!parse_level(equals + 1, size - code_size - 1, &level)) {
            code = ilea_command_fail(EX_DATAERR, "a level is read, write or admin, not %.*s",
                                     (int)(size - code_size - 1), equals + 1);
            break;
        }
        one->member_count = 0;
        code = ilea_command_members(look->log, look->txn, name, level, one);
        uint32_t i = 0;
        while (code == 0 && i < request->member_count
               && memcmp(request->members[i].agency.bytes, one->members[0].agency.bytes, ILEA_ID_SIZE) != 0) {
            i++;
        }
        if (code == 0 && i == request->member_count) {
            code = ilea_command_fail(EX_DATAERR, "%s has a level, but is not among --members", name);
        }
        if (code == 0) request->members[i].level = level;
        at = end != NULL ? end + 1 : NULL;
    }
    free(one);
    return code;
}

/* --tlp and --history */
static int
set_policy(const struct ilea_command *command, struct ilea_audience_request *request)
{
    request->tlp = ILEA_LABEL_AMBER;
    request->history_ms = ILEA_HISTORY_ALL;
    if (command->tlp != NULL) {
        request->tlp = ilea_label_of_code((struct ilea_span){ (const uint8_t *)command->tlp, strlen(command->tlp) });
        if (request->tlp == 0) return ilea_command_fail(EX_USAGE, "--tlp takes clear, green, amber or amber+strict");
    }
    if (command->history == NULL || strcmp(command->history, "all") == 0) return 0;
    if (strcmp(command->history, "none") == 0) {
        request->history_ms = 0;
        return 0;
    }
    if (ilea_date_parse(command->history, &request->history_ms) && request->history_ms > 0) return 0;
    return ilea_command_fail(EX_USAGE, "--history takes all, none or a day such as 2026-01-01");
}

static int
audience_new(const struct ilea_command *command)
{
    struct look look;
    if (command->word_count != 3) return ilea_command_usage("audience new takes one name");
    if (command->members == NULL) {
        return ilea_command_fail(EX_DATAERR, "an audience needs members: --members NL-PO,BE-FP");
    }
    struct ilea_audience_request *request = calloc(1, sizeof *request);
    if (request == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    request->verb = ILEA_AUDIENCE_NEW;
    request->name = (struct ilea_span){ (const uint8_t *)command->words[2], strlen(command->words[2]) };
    int code = set_policy(command, request);
    if (code == 0) {
        code = begin_look(&look, command);
        if (code == 0 && command->members[0] == '\0') code = ilea_command_fail(EX_DATAERR, "an audience needs members");
        if (code == 0) {
            code = ilea_command_members(look.log, look.txn, command->members, ILEA_ACCESS_WRITE, request);
        }
        if (code == 0 && command->levels != NULL) code = set_levels(&look, command->levels, request);
        end_look(&look);
    }
    if (code == 0) {
        code = carry_out(command, request, &look);
        if (code == 0 && command->json) ilea_command_print(json_pack("{s:o}", "audience", audience_json(&look)));
        else if (code == 0) print_audience(&look);
        end_look(&look);
    }
    free(request);
    return code;
}

/* The records here that are in the audience; of ours alone, if `own` says so. */
struct records {
    struct ilea_erase_record *rows;  /* heap */
    uint32_t count, capacity;
};

static bool
is_in(struct ilea_snapshot *snapshot, const struct ilea_audience_id *audience)
{
    struct ilea_audience_id in;
    struct ilea_msgpack_reader reader;
    struct ilea_span value = ilea_record_common_value(ilea_snapshot_record(snapshot), ILEA_FIELD_AUDIENCE);
    if (value.size == 0) return false;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_get_bytes(&reader, in.bytes, sizeof in.bytes);
    return ilea_msgpack_reader_done(&reader) && memcmp(in.bytes, audience->bytes, sizeof in.bytes) == 0;
}

/* Exit code, after a message. */
static int
find_records(const struct ilea_command *command, const struct ilea_audience_id *audience,
             const struct ilea_agency_id *own, struct records *records)
{
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_record_info info = { .number = 0 };
    *records = (struct records){ .count = 0 };
    int code = ilea_command_snapshot(command, &replica, &snapshot);
    while (code == 0 && ilea_snapshot_next(snapshot, NULL, NULL, &info) == ILEA_ERROR_NONE) {
        bool is_ours = own == NULL || memcmp(info.agency.bytes, own->bytes, sizeof own->bytes) == 0;
        if (!is_ours || !is_in(snapshot, audience)) continue;
        if (records->count == records->capacity) {
            uint32_t larger = records->capacity == 0 ? 64 : records->capacity * 2;
            void *moved = realloc(records->rows, larger * sizeof *records->rows);
            if (moved == NULL) {
                code = ilea_command_fail(EX_OSERR, "out of memory");
                break;
            }
            records->rows = moved;
            records->capacity = larger;
        }
        records->rows[records->count++] = (struct ilea_erase_record){ info.type_number, info.id };
    }
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    return code;
}

/* What was written anew and what was not. */
struct renewing {
    uint32_t done, held, failed;
    char reason[ILEA_REASON_SIZE];
};

static void
take_answer(void *context, uint64_t tag, enum ilea_error error, const struct ilea_put_result *result)
{
    struct renewing *renewing = context;
    (void)tag;
    if (error != ILEA_ERROR_NONE) {
        renewing->failed++;
        (void)snprintf(renewing->reason, sizeof renewing->reason, "%s",
                       result->reason[0] != '\0' ? result->reason : ilea_error_text(error));
    } else if (result->outcome == ILEA_PUT_REVIEW) {
        renewing->held++;
    } else {
        renewing->done++;
    }
}

/* Write our records in the audience anew, under a key that those who are left have, and erase what was. */
static int
renew(const struct ilea_command *command, const struct ilea_audience_id *audience, const struct records *records)
{
    struct renewing renewing = { .done = 0 };
    struct ilea_writer *writer = NULL;
    struct ilea_put *put = calloc(1, sizeof *put);
    if (put == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = ilea_command_writer(command, take_answer, &renewing, &writer);
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; code == 0 && error == ILEA_ERROR_NONE && i < records->count; i++) {
        put->mode = ILEA_PUT_NARROW;
        put->scope = ILEA_SCOPE_AUDIENCE;
        put->audience = *audience;
        put->type = records->rows[i].type;
        put->has_id = true;
        put->id = records->rows[i].id;
        error = ilea_writer_put(writer, i, put);
    }
    if (code == 0 && error == ILEA_ERROR_NONE) error = ilea_writer_flush(writer);
    ilea_writer_close(writer);
    free(put);
    if (code != 0) return code;
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "it is out; not all records are erased there: %s",
                                 ilea_error_text(error));
    }
    if (renewing.held > 0) {
        return ilea_command_fail(EX_NOPERM, "it is out; four_eyes = yes: %u records must be published to the audience "
                                            "anew, with --confirm, and approved", renewing.held);
    }
    if (renewing.failed > 0) {
        return ilea_command_fail(EX_DATAERR, "it is out; %u of %u records are not erased there: %s", renewing.failed,
                                 records->count, renewing.reason);
    }
    if (!command->json) (void)printf("Records erased there: %u. Who has confirmed it: ilea erasures.\n", renewing.done);
    return 0;
}

/* Why one who was added gets no keys from before, though the audience has a history to give; NULL: it gets them. */
static const char *
why_no_history(const struct ilea_command *command, const struct look *look, const struct ilea_member *member)
{
    struct ilea_config config = { .four_eyes = false };
    char reason[ILEA_REASON_SIZE];
    if (ilea_home_config(command->home, &config, reason) == ILEA_ERROR_NONE && config.four_eyes) {
        return "with four_eyes nobody has approved that it goes to them";
    }
    if (member_ceiling(look, member) >= look->found.state.tlp) return NULL;
    return "its approval here allows less than the audience takes";
}

/* In words what was done; `before`: the level it had, NONE of who was no member. */
static void
print_done(const struct ilea_command *command, const struct look *look, const char *name,
           const struct ilea_agency_id *agency, enum ilea_access before)
{
    struct records records = { .count = 0 };
    const struct ilea_membership_state *state = &look->found.state;
    const struct ilea_member *member = ilea_membership_find(state, agency);
    const char *code = command->words[3];
    char line[400], history[ILEA_DATE_SIZE];
    history_text(state->history_ms, history);
    bool adds = strcmp(command->words[1], "add") == 0 && member != NULL;
    const char *why = adds && before == ILEA_ACCESS_NONE ? why_no_history(command, look, member) : NULL;
    if (adds && before != ILEA_ACCESS_NONE) {
        (void)snprintf(line, sizeof line, "%s has the level %s in %s now; it had %s.", code, levels[member->level],
                       name, levels[before]);
    } else if (adds && why != NULL) {
        (void)snprintf(line, sizeof line, "%s is in %s. What was written before stays closed to it: %s. One by one: "
                                          "ilea publish REF --to %s --confirm", code, name, why, name);
    } else if (strcmp(command->words[1], "add") == 0 && state->history_ms == 0) {
        (void)snprintf(line, sizeof line, "%s is in %s: it reads what is written from now on.", code, name);
    } else if (strcmp(command->words[1], "add") == 0) {
        bool all = state->history_ms >= ILEA_HISTORY_ALL;
        (void)find_records(command, &look->found.row.audience, NULL, &records);
        unsigned long long count = records.count;
        free(records.rows);
        (void)snprintf(line, sizeof line, "%s is in %s. Records that are there already: %llu; they become readable to "
                                          "it%s%s.", code, name,
                       count,
                       all ? "" : ", as far as they were written since ", all ? "" : history);
    } else if (strcmp(command->words[1], "suspend") == 0) {
        (void)snprintf(line, sizeof line, "%s is suspended in %s until %s decides: ilea audience confirm, or lift, "
                                          "there.", code, name, look->found.owner_code);
    } else if (strcmp(command->words[1], "lift") == 0) {
        (void)snprintf(line, sizeof line, "%s is in %s again.", code, name);
    } else {
        (void)snprintf(line, sizeof line, "%s is out of %s. What it had it may have copied; from now on nothing new is "
                                          "readable to it.", code, name);
    }
    ilea_command_say(stdout, line);
}

/* remove --erase: what of ours is in it goes where the member cannot have it; without --confirm only how much. */
static int
erase_there(const struct ilea_command *command, const struct ilea_audience_id *audience,
            const struct ilea_agency_id *own)
{
    struct records records;
    int code = find_records(command, audience, own, &records);
    if (code == 0 && records.count > 0) code = renew(command, audience, &records);
    free(records.rows);
    return code;
}

static int
print_erase_plan(const struct ilea_command *command, const struct look *look, const char *name)
{
    struct records records;
    int code = find_records(command, &look->found.row.audience, own_id(look), &records);
    free(records.rows);
    if (code != 0) return code;
    if (command->json) {
        ilea_command_print(json_pack("{s:{s:s,s:s,s:I,s:b}}", "remove", "audience", name, "code", command->words[3],
                                     "records", (json_int_t)records.count, "confirmed", 0));
    } else {
        char line[300];
        (void)snprintf(line, sizeof line, "%s would be out of %s, and %u record%s of ours would be erased there "
                                          "and written anew for those who are left. Nothing was changed; to do it, add "
                                          "--confirm.", command->words[3], name, records.count,
                                          records.count == 1 ? "" : "s");
        ilea_command_say(stdout, line);
    }
    return 0;
}

/* One member: add, remove, suspend, confirm, lift. */
static int
audience_change(const struct ilea_command *command, enum ilea_audience_verb verb)
{
    struct look look;
    char name[ILEA_AUDIENCE_TEXT_SIZE] = "";
    enum ilea_access level = ILEA_ACCESS_NONE;
    if (command->word_count != 4) return ilea_command_usage("an audience and an agency are wanted");
    if (command->level != NULL && !parse_level(command->level, strlen(command->level), &level)) {
        return ilea_command_fail(EX_DATAERR, "a level is read, write or admin, not %.40s", command->level);
    }
    if (command->erase && verb != ILEA_AUDIENCE_REMOVE && verb != ILEA_AUDIENCE_CONFIRM) {
        return ilea_command_usage("--erase goes with audience remove and confirm");
    }
    if (verb == ILEA_AUDIENCE_SUSPEND && (command->reason == NULL || command->reason[0] == '\0')) {
        return ilea_command_usage("audience suspend needs --reason TEXT");
    }
    struct ilea_audience_request *request = calloc(1, sizeof *request);
    if (request == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    request->verb = verb;
    if (verb == ILEA_AUDIENCE_SUSPEND) {
        request->reason = (struct ilea_span){ (const uint8_t *)command->reason, strlen(command->reason) };
    }
    enum ilea_access before = ILEA_ACCESS_NONE;
    int code = begin_look(&look, command);
    if (code == 0) code = ilea_command_find_audience(look.cache, look.log, look.txn, command->words[2], &look.found);
    if (code == 0) {
        request->audience = look.found.row.audience;
        ilea_audience_text(&look.found, own_id(&look), name);
        code = ilea_command_members(look.log, look.txn, command->words[3], level, request);
    }
    if (code == 0) {
        const struct ilea_member *member = ilea_membership_find(&look.found.state, &request->members[0].agency);
        if (member != NULL) before = member->level;
    }
    const bool only_plan = command->erase && !command->confirm;
    if (code == 0 && only_plan) code = print_erase_plan(command, &look, name);
    end_look(&look);
    if (code == 0 && !only_plan) {
        code = carry_out(command, request, &look);
        if (code == 0 && command->json) ilea_command_print(json_pack("{s:o}", "audience", audience_json(&look)));
        else if (code == 0) print_done(command, &look, name, &request->members[0].agency, before);
        const struct ilea_agency_id own = code == 0 ? *own_id(&look) : (struct ilea_agency_id){ { 0 } };
        end_look(&look);
        if (code == 0 && command->erase) code = erase_there(command, &request->audience, &own);
    }
    free(request);
    return code;
}

int
ilea_command_audience(const struct ilea_command *command)
{
    static const struct { const char *name; enum ilea_audience_verb verb; } verbs[] = {
        { "add", ILEA_AUDIENCE_ADD },         { "remove", ILEA_AUDIENCE_REMOVE }, { "suspend", ILEA_AUDIENCE_SUSPEND },
        { "confirm", ILEA_AUDIENCE_CONFIRM }, { "lift", ILEA_AUDIENCE_LIFT } };
    const char *verb = command->word_count > 1 ? command->words[1] : "";
    if (strcmp(verb, "new") == 0) return audience_new(command);
    if (strcmp(verb, "list") == 0) return audience_list(command);
    if (strcmp(verb, "show") == 0) return audience_show(command);
    for (unsigned i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verb, verbs[i].name) == 0) return audience_change(command, verbs[i].verb);
    }
    return ilea_command_usage("audience takes new, list, show, add, remove, suspend, confirm or lift");
}
