/* command_publish.c - publish and retract: who is to read a record, and that its owner does not stand by it. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "node/command_act.h"
#include "node/command_place.h"
#include "node/reach.h"
#include "replication/record/label.h"
#include "replication/record/schema.h"

/* A record that is to be published, as it is and as the command line changes it. */
struct preview {
    struct ilea_snapshot *snapshot;
    struct ilea_command_place *place;
    uint32_t label;
    uint32_t label_now;               /* where it is shared; 0: it is not */
    bool confirmed;                   /* who falls out may lose it */
    char loses[ILEA_CODE_SIZE_MAX + 1]; /* one who does; empty: nobody */
    char refused[ILEA_REASON_SIZE];   /* why publishing would write nothing; empty: it would */
    int code;                         /* what it would exit with */
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
    static const struct ilea_span none;
    const enum ilea_scope scope = ilea_snapshot_row(preview->snapshot)->scope;
    const bool has_own = ilea_snapshot_value(preview->snapshot, "tlp", 0, &value) == ILEA_ERROR_NONE;
    const uint32_t own = has_own ? ilea_label_of_code(value.text) : 0;
    if (scope != ILEA_SCOPE_AGENCY) preview->label_now = own != 0 ? own : ilea_label_of_value(none, scope);
    if (command->tlp != NULL) {
        preview->label = ilea_label_of_code((struct ilea_span){ (const uint8_t *)command->tlp, strlen(command->tlp) });
        if (preview->label == 0) {
            return ilea_command_fail(EX_USAGE, "--tlp takes clear, green, amber, amber+strict or red");
        }
        return 0;
    }
    preview->label = !has_own ? ilea_label_of_value(none, preview->place->scope) /* the usual one there */
        : own != 0            ? own
                              : ILEA_LABEL_RED;
    return 0;
}

static void __attribute__((format(printf, 3, 4)))
refuse(struct preview *preview, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(preview->refused, sizeof preview->refused, format, arguments);
    va_end(arguments);
    preview->code = code;
}

/* A list as it would be. */
static enum ilea_error
imagine_list(const struct ilea_log_identity *identity, const struct ilea_audience_request *list,
             struct ilea_membership **membership, struct ilea_membership_state *state)
{
    static const struct ilea_audience_id none;
    struct ilea_membership *empty = NULL;
    struct ilea_member_act *acts = calloc(list->member_count + 1, sizeof *acts);
    static const char code[] = "?";
    enum ilea_error error = acts != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < list->member_count; i++) {
        acts[i] = (struct ilea_member_act){ .kind = ILEA_MEMBER_ADD, .agency = list->members[i].agency,
                                            .level = ILEA_ACCESS_WRITE, .code = { (const uint8_t *)code, 1 } };
    }
    if (error == ILEA_ERROR_NONE) error = ilea_membership_new(&identity->agency, &none, &empty);
    if (error == ILEA_ERROR_NONE) error = ilea_membership_after(empty, acts, list->member_count, membership);
    if (error == ILEA_ERROR_NONE) error = ilea_membership_state(*membership, state);
    state->has_info = state->list = true;
    ilea_membership_free(empty);
    free(acts);
    return error;
}

/* Where a shared record is now; members NULL in scope AUDIENCE: nobody can say any more who they are. */
struct origin {
    struct ilea_audience_id audience; /* implicit ones, too */
    struct ilea_audience_cache *cache;
    struct ilea_audience_found found;
    struct ilea_reach_what what;      /* scope AGENCY: nobody else has it */
};

static enum ilea_error
load_origin(struct ilea_log *log, struct ilea_transaction *txn, const struct preview *preview, struct origin *origin)
{
    const struct ilea_log_identity *identity = ilea_log_identity(log);
    struct ilea_audience_name name;
    *origin = (struct origin){ .what = { .scope = ilea_snapshot_row(preview->snapshot)->scope,
                                         .label = ILEA_LABEL_CLEAR, .is_within = is_within, .context = preview } };
    if (origin->what.scope == ILEA_SCOPE_PEERS) {
        ilea_audience_of_peers(&identity->network, &identity->agency, &origin->audience);
    }
    if (origin->what.scope != ILEA_SCOPE_AUDIENCE) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_record_audience(preview->snapshot, &name);
    if (error != ILEA_ERROR_NONE) return error;
    memcpy(origin->audience.bytes, name.id, sizeof origin->audience.bytes);
    error = ilea_audience_cache_new(&origin->cache);
    if (error == ILEA_ERROR_NONE) error = ilea_audience_load(origin->cache, txn, &origin->audience, &origin->found);
    if (error == ILEA_ERROR_NONE) origin->what.members = &origin->found.state;
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* Whether it goes elsewhere than it is. */
static bool
moves_from(const struct preview *preview, const struct origin *origin)
{
    const struct ilea_command_place *place = preview->place;
    if (origin->what.scope == ILEA_SCOPE_AGENCY) return false;
    if (origin->what.scope != place->scope || place->list != NULL) return true;
    return place->scope == ILEA_SCOPE_AUDIENCE
        && memcmp(place->audience.bytes, origin->audience.bytes, sizeof place->audience.bytes) != 0;
}

/* One line an agency: whether it gets it, by the rule that seals keys, and whether it loses it. */
static enum ilea_error
judge_all(struct ilea_transaction *txn, const struct ilea_reach_what *what, const struct origin *origin,
          struct preview *preview)
{
    struct ilea_reach_agencies agencies;
    const bool moves = moves_from(preview, origin);
    enum ilea_error error = ilea_reach_load(txn, false, &agencies);
    if (error == ILEA_ERROR_NONE && what->members != NULL) error = ilea_reach_add_members(&agencies, what->members);
    if (error == ILEA_ERROR_NONE && moves && origin->what.members != NULL) {
        error = ilea_reach_add_members(&agencies, origin->what.members);
    }
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < agencies.count; i++) {
        const struct ilea_reach_agency *agency = &agencies.rows[i];
        char id[2 * ILEA_ID_SIZE + 1];
        if (agency->is_known && agency->state == ILEA_AGENCY_SELF) continue;
        ilea_command_hex(agency->id.bytes, sizeof agency->id.bytes, id);
        enum ilea_reach reach = ilea_reach_to(agency, what);
        json_t *entry = json_pack("{s:s,s:s}", "code", agency->code, "agency", id);
        if (reach != ILEA_REACH_GETS) {
            json_object_set_new(entry, "why", json_string(ilea_reach_name(reach)));
            json_object_set_new(entry, "text", json_string(ilea_reach_text(reach)));
            bool could = false;
            if (moves) error = ilea_reach_could_read(txn, agency, &origin->what, &origin->audience, &could);
            json_object_set_new(entry, "loses", json_boolean(could));
            if (could) (void)snprintf(preview->loses, sizeof preview->loses, "%s", agency->code);
        }
        json_array_append_new(reach == ILEA_REACH_GETS ? preview->gets : preview->not, entry);
    }
    ilea_reach_unload(&agencies);
    return error;
}

/* Whether we ourselves may write there. */
static void
judge_self(const struct ilea_membership_state *state, const struct ilea_agency_id *own, struct preview *preview)
{
    const struct ilea_member *self = ilea_membership_find(state, own);
    const char *name = preview->place->text;
    if (self == NULL) refuse(preview, EX_NOPERM, "we are no member of %s", name);
    else if (self->suspended) refuse(preview, EX_NOPERM, "we are suspended in %s", name);
    else if (self->level < ILEA_ACCESS_WRITE) refuse(preview, EX_NOPERM, "we may only read in %s", name);
}

static enum ilea_error
collect(struct ilea_log *log, struct preview *preview)
{
    struct ilea_transaction *txn = NULL;
    struct ilea_audience_cache *cache = NULL;
    struct ilea_membership *list = NULL;
    struct ilea_membership_state state;
    struct ilea_audience_found found;
    struct origin origin = { .cache = NULL };
    const struct ilea_command_place *place = preview->place;
    struct ilea_reach_what what = { place->scope, NULL, preview->label, is_within, preview };
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    if (error == ILEA_ERROR_NONE && place->list != NULL) {
        error = imagine_list(ilea_log_identity(log), place->list, &list, &state);
        what.members = &state;
    } else if (error == ILEA_ERROR_NONE && place->scope == ILEA_SCOPE_AUDIENCE) {
        error = ilea_audience_cache_new(&cache);
        if (error == ILEA_ERROR_NONE) error = ilea_audience_load(cache, txn, &place->audience, &found);
        what.members = &found.state;
        if (error == ILEA_ERROR_NONE) judge_self(&found.state, &ilea_log_identity(log)->agency, preview);
        if (error == ILEA_ERROR_NONE && found.is_frozen) refuse(preview, EX_DATAERR, "%s is frozen", place->text);
    }
    const char *why = error == ILEA_ERROR_NONE ? ilea_reach_refusal(&what) : NULL;
    if (why != NULL) refuse(preview, EX_DATAERR, "it is %s: %s", ilea_label_name(preview->label), why);
    if (error == ILEA_ERROR_NONE) error = load_origin(log, txn, preview, &origin);
    if (error == ILEA_ERROR_NONE) error = judge_all(txn, &what, &origin, preview);
    if (error == ILEA_ERROR_NONE && preview->refused[0] == '\0' && place->scope == ILEA_SCOPE_AUDIENCE
        && json_array_size(preview->gets) == 0) {
        refuse(preview, EX_DATAERR, "nobody would get it");
    }
    if (error == ILEA_ERROR_NONE && preview->refused[0] == '\0' && preview->loses[0] != '\0' && !preview->confirmed) {
        refuse(preview, EX_DATAERR, ILEA_REACH_FALLS_OUT ILEA_REACH_CONFIRM, preview->loses);
    }
    ilea_audience_cache_free(origin.cache);
    ilea_membership_free(list);
    ilea_audience_cache_free(cache);
    ilea_transaction_abort(txn);
    return error;
}

static void
print_preview(const struct ilea_record_info *info, const struct preview *preview)
{
    size_t i;
    json_t *entry;
    char readers[ILEA_AUDIENCE_TEXT_SIZE];
    (void)printf("%s to %s, %s", info->ref, preview->place->text, ilea_label_name(preview->label));
    if (ilea_command_readers(preview->snapshot, readers) != ILEA_SCOPE_AGENCY) {
        (void)printf(" (it is published already, to %s)", readers);
    }
    (void)putchar('\n');
    if (preview->refused[0] != '\0' && preview->loses[0] == '\0') { /* why stands in the message */
        (void)puts("Nobody gets it: publishing is refused.");
        return;
    }
    if (preview->label < preview->label_now) {
        (void)printf("It was %s until now: who gets it may pass on more of it.\n",
                     ilea_label_name(preview->label_now));
    }
    json_array_foreach(preview->gets, i, entry) {
        (void)printf("%-16s gets it\n", json_string_value(json_object_get(entry, "code")));
    }
    json_array_foreach(preview->not, i, entry) {
        (void)printf("%-16s %s: %s\n", json_string_value(json_object_get(entry, "code")),
                     json_is_true(json_object_get(entry, "loses")) ? "loses it" : "does not",
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
    if (preview->place->scope == ILEA_SCOPE_PEERS) {
        (void)printf("%zu get it, %zu do not; whoever is approved later gets it, too, as far as\n"
                     "the approval allows. Nothing was written.\n",
                     json_array_size(preview->gets), json_array_size(preview->not));
    } else {
        (void)printf("%zu get it, %zu do not. Nothing was written.\n", json_array_size(preview->gets),
                     json_array_size(preview->not));
        if (preview->loses[0] != '\0') {
            ilea_command_say(stdout, "Who loses it erases it, and its own comments and links about it; what "
                                     "somebody copied elsewhere stays there.");
        }
    }
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

/* Who would get it, by the rule that seals keys; nothing is written. The exit code is what publishing would give.
 * `shows`: it is printed. */
static int
preview_publish(const struct ilea_command *command, struct ilea_command_place *place, bool shows)
{
    struct ilea_replica *replica = NULL;
    struct ilea_record_info info;
    struct ilea_log *log = NULL;
    struct preview preview = { .place = place, .confirmed = command->confirm,
                               .gets = json_array(), .not = json_array() };
    int code = ilea_command_find_record(command, command->words[1], &replica, &preview.snapshot, &info);
    if (code == 0) code = choose_label(command, &preview);
    if (code == 0) code = ilea_command_log(command, &log);
    if (code == 0 && memcmp(info.agency.bytes, ilea_log_identity(log)->agency.bytes, ILEA_ID_SIZE) != 0) {
        code = ilea_command_fail(EX_NOPERM, "it belongs to %s: only they can publish it", info.agency_code);
    }
    if (code == 0) {
        enum ilea_error error = collect(log, &preview);
        if (error != ILEA_ERROR_NONE) code = ilea_command_fail(ilea_exit_code(error), "%s", ilea_error_text(error));
    }
    if (code == 0 && shows) code = find_reviewers(command, &preview);
    if (code == 0 && shows && command->json) {
        json_t *refused = preview.refused[0] != '\0' ? json_string(preview.refused) : json_null();
        ilea_command_print(json_pack("{s:{s:s,s:s,s:s,s:b,s:O,s:O,s:o,s:O*}}", "publish", "ref", info.ref, "to",
                                     place->text, "tlp", ilea_label_name(preview.label), "dry_run", 1, "gets",
                                     preview.gets, "not", preview.not, "refused", refused, "reviewers",
                                     preview.reviewers));
    } else if (code == 0 && shows) {
        print_preview(&info, &preview);
    }
    if (code == 0 && preview.code != 0) code = ilea_command_fail(preview.code, "%s", preview.refused);
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
    if (command->to == NULL) return ilea_command_usage("publish needs --to all-peers, an audience, or codes");
    struct ilea_command_place place;
    int code = ilea_command_place(command, &place);
    if (code == 0 && place.scope == ILEA_SCOPE_AGENCY) {
        code = ilea_command_fail(EX_USAGE, "records are for the agency alone until they are published");
    }
    /* A list is not made for what is refused then. */
    if (code == 0 && (command->dry_run || place.list != NULL)) {
        code = preview_publish(command, &place, command->dry_run);
    }
    if (code == 0 && !command->dry_run) code = ilea_command_update_record(command, &place, 2, NULL, NULL);
    ilea_command_place_end(&place);
    return code;
}

int
ilea_command_retract(const struct ilea_command *command)
{
    if (command->word_count != 2) return ilea_command_usage("retract takes one ref");
    if (command->reason == NULL || command->reason[0] == '\0') return ilea_command_usage("retract needs --reason TEXT");
    return ilea_command_update_record(command, NULL, 2, "withdrawn", command->reason);
}
