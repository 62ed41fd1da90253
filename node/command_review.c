/* command_review.c - review: what waits for a second admin before it leaves, who would get it, yes or no. */
#include "node/command_review.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "node/audience_find.h"
#include "node/command_act.h"
#include "node/date.h"
#include "node/json.h"
#include "node/reach.h"
#include "node/release_look.h"
#include "replication/record/label.h"
#include "replication/record/uuid.h"

/* What a command works with: end with end_review(). */
struct review {
    struct ilea_command_act act;
    struct ilea_replica *replica;
    struct ilea_snapshot *snapshot;
    struct ilea_act *request;          /* of the release at hand, whose row it borrows */
    struct ilea_proposal_row row;
    struct ilea_release release;
    struct ilea_audience_cache *cache; /* NULL: not asked for yet */
    struct ilea_audience_found audience; /* of the release at hand */
    bool has_audience;
};

/* The closed audience of the release at hand, if it is for one. */
static void
find_audience(struct review *review)
{
    review->has_audience = false;
    if (review->release.scope != ILEA_SCOPE_AUDIENCE) return;
    if (review->cache == NULL && ilea_audience_cache_new(&review->cache) != ILEA_ERROR_NONE) return;
    review->has_audience = ilea_audience_load(review->cache, review->act.txn, &review->release.audience,
                                              &review->audience) == ILEA_ERROR_NONE;
}

static int
begin_review(struct review *review, const struct ilea_command *command, const char *kind, bool needs_admin)
{
    *review = (struct review){ .request = malloc(sizeof *review->request) };
    int code = ilea_command_snapshot(command, &review->replica, &review->snapshot);
    if (code == 0 && review->request == NULL) code = ilea_command_fail(EX_OSERR, "out of memory");
    return code == 0 ? ilea_command_act_begin(&review->act, command, kind, needs_admin) : code;
}

static void
end_review(struct review *review)
{
    ilea_audience_cache_free(review->cache);
    if (review->act.command != NULL) ilea_command_act_end(&review->act);
    ilea_snapshot_end(review->snapshot);
    ilea_replica_close(review->replica);
    free(review->request);
}

/* The next release after the one at hand; false: there is none left. */
static bool
next_release(struct review *review)
{
    while (ilea_log_proposal_next(review->act.txn, review->row.number, &review->row) == ILEA_ERROR_NONE) {
        if (ilea_trust_is_release(review->row.act)
            && ilea_act_decode(review->row.act, review->request) == ILEA_ERROR_NONE
            && ilea_release_decode(review->row.payload, &review->release) == ILEA_ERROR_NONE) {
            find_audience(review);
            return true;
        }
    }
    return false;
}

/* Who gets how many of the records, and who none of them and why. */
static void
add_reach(struct review *review, json_t *json)
{
    json_t *records = json_object_get(json, "records"), *gets = json_array(), *not = json_array();
    struct ilea_reach_agencies agencies;
    struct ilea_reach_what what = { .scope = review->release.scope,
                                    .members = review->has_audience ? &review->audience.state : NULL };
    enum ilea_error error = ilea_reach_load(review->act.txn, false, &agencies);
    if (error == ILEA_ERROR_NONE && what.members != NULL) error = ilea_reach_add_members(&agencies, what.members);
    for (uint32_t k = 0; error == ILEA_ERROR_NONE && k < agencies.count; k++) {
        const struct ilea_reach_agency *agency = &agencies.rows[k];
        if (agency->is_known && agency->state == ILEA_AGENCY_SELF) continue;
        size_t i, count = 0;
        json_t *record;
        enum ilea_reach why = ILEA_REACH_GETS;
        json_array_foreach(records, i, record) {
            enum ilea_reach reach = ilea_release_reach(agency, &what, record);
            if (reach == ILEA_REACH_GETS) count++;
            else why = reach;
        }
        json_t *entry = json_pack("{s:s,s:I}", "code", agency->code, "records", (json_int_t)count);
        if (why != ILEA_REACH_GETS) {
            json_object_set_new(entry, "why", json_string(ilea_reach_name(why)));
            json_object_set_new(entry, "text", json_string(ilea_reach_text(why)));
        }
        json_array_append_new(count > 0 ? gets : not, entry);
    }
    ilea_reach_unload(&agencies);
    json_object_set_new(json, "gets", gets);
    json_object_set_new(json, "not", not);
}

/* What the release at hand says of itself. */
static json_t *
head_json(struct review *review)
{
    char time[ILEA_TIME_SIZE], by[ILEA_ADMIN_NAME_SIZE] = "", digest[2 * ILEA_HASH_SIZE + 1];
    const struct ilea_proposal_row *row = &review->row;
    struct ilea_sign_public admin;
    char to[ILEA_AUDIENCE_TEXT_SIZE];
    (void)snprintf(to, sizeof to, "%s", ilea_scope_name(review->release.scope));
    if (review->has_audience) {
        ilea_audience_text(&review->audience, &ilea_log_identity(review->act.log)->agency, to);
    }
    ilea_time_format(row->made_ms, time);
    ilea_command_hex(review->release.hash, sizeof review->release.hash, digest);
    if (row->sig_count > 0) {
        memcpy(admin.bytes, row->sigs.data, sizeof admin.bytes);
        ilea_command_admin_name(review->act.txn, &admin, by);
    }
    json_t *json = json_pack("{s:I,s:s,s:s,s:s,s:s,s:s}", "release", (json_int_t)row->number, "state",
                             row->returned_ms != 0 ? "returned" : "waiting", "asked", time, "asked_by", by, "to",
                             to, "digest", digest);
    if (row->returned_ms == 0) return json;
    ilea_time_format(row->returned_ms, time);
    memcpy(admin.bytes, row->returned_by, sizeof admin.bytes);
    ilea_command_admin_name(review->act.txn, &admin, by);
    json_object_set_new(json, "returned", json_string(time));
    json_object_set_new(json, "returned_by", json_string(by));
    json_object_set_new(json, "reason", json_stringn((const char *)row->reason.data, row->reason.size));
    return json;
}

/* The release at hand. `details`: with what it writes. */
static json_t *
release_json(struct review *review, bool details)
{
    struct ilea_release_item item;
    struct ilea_release left = review->release;
    const struct ilea_agency_id *own = &ilea_log_identity(review->act.log)->agency;
    json_t *json = head_json(review), *records = json_array();
    bool is_stale = false;
    while (ilea_release_next(&left, &item)) {
        json_t *record = ilea_release_look(review->snapshot, own, &item, details);
        is_stale = is_stale || json_is_true(json_object_get(record, "stale"));
        json_array_append_new(records, record);
    }
    json_object_set_new(json, "records", records);
    if (review->row.returned_ms != 0) return json;
    if (is_stale) json_object_set_new(json, "state", json_string("stale"));
    add_reach(review, json);
    return json;
}

static const char *
text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "";
}

static void
print_head(const json_t *json)
{
    (void)printf("%lld  asked by %s, %s, to %s\n", (long long)json_integer_value(json_object_get(json, "release")),
                 text(json, "asked_by"), text(json, "asked"), text(json, "to"));
    if (strcmp(text(json, "state"), "returned") == 0) {
        char line[ILEA_ACT_VALUE_MAX + 100];
        (void)snprintf(line, sizeof line, "returned by %s, %s: %s", text(json, "returned_by"), text(json, "returned"),
                       text(json, "reason"));
        ilea_command_say(stdout, line);
    } else if (strcmp(text(json, "state"), "stale") == 0) {
        (void)puts("stale: what it names was changed since; it can only be returned");
    }
}

static void
print_record_line(const json_t *record)
{
    char line[300], cut[300];
    (void)snprintf(line, sizeof line, "%s%s, %s: %s", text(record, "tlp"),
                   json_is_true(json_object_get(record, "stale")) ? ", changed since" : "",
                   json_is_true(json_object_get(record, "is_update")) ? "update" : "new to others",
                   text(record, "title"));
    ilea_command_cut((struct ilea_span){ (const uint8_t *)line, strlen(line) }, 80 - 4 - 17, cut, sizeof cut);
    (void)printf("    %-16s %s\n", text(record, "ref"), cut);
}

static void
print_reach(const json_t *json)
{
    size_t i;
    json_t *entry;
    long long all = (long long)json_array_size(json_object_get(json, "records"));
    json_array_foreach(json_object_get(json, "gets"), i, entry) {
        long long count = (long long)json_integer_value(json_object_get(entry, "records"));
        if (count == all) (void)printf("    %-16s gets %s\n", text(entry, "code"), all == 1 ? "it" : "all");
        else (void)printf("    %-16s gets %lld of %lld: %s\n", text(entry, "code"), count, all, text(entry, "text"));
    }
    json_array_foreach(json_object_get(json, "not"), i, entry) {
        (void)printf("    %-16s does not: %s\n", text(entry, "code"), text(entry, "text"));
    }
}

static int
review_list(const struct ilea_command *command)
{
    enum { SHOWN_MAX = 5 };
    struct review review;
    if (command->word_count != 2) return ilea_command_usage("review list takes no words");
    int code = begin_review(&review, command, "record.return", false);
    json_t *list = json_array();
    while (code == 0 && next_release(&review)) {
        json_t *json = release_json(&review, false), *record;
        size_t i;
        json_array_append_new(list, json);
        if (command->json) continue;
        print_head(json);
        json_array_foreach(json_object_get(json, "records"), i, record) {
            if (i < SHOWN_MAX) print_record_line(record);
        }
        if (i > SHOWN_MAX) {
            (void)printf("    and %zu more: ilea review show %u\n", i - SHOWN_MAX, review.row.number);
        }
        print_reach(json);
    }
    if (code == 0 && command->json) {
        ilea_command_print(json_incref(list));
    } else if (code == 0) {
        (void)puts(json_array_size(list) == 0 ? "No release waits for review."
                                              : "See: ilea review show NUMBER; then: ilea review approve NUMBER, or\n"
                                                "ilea review return NUMBER --reason TEXT");
    }
    json_decref(list);
    end_review(&review);
    return code;
}

/* The one word after the verb. */
static int
one_word(const struct ilea_command *command)
{
    if (command->word_count == 3) return 0;
    return ilea_command_usage("the number of a release, or a record's ref, is wanted; see: ilea review list");
}

/* The release with the number, or with the record, that was typed. `waiting`: not one that was returned. */
static int
find_release(struct review *review, const char *word, bool waiting)
{
    uint64_t number = 0;
    struct ilea_record_info info = { .type_number = 0 };
    bool is_number = ilea_command_number(word, &number);
    review->row.number = 0;
    if (!is_number && ilea_snapshot_by_ref(review->snapshot, word, &info) != ILEA_ERROR_NONE) {
        return ilea_command_fail(EX_NOINPUT, "no release or record %.60s; see: ilea review list", word);
    }
    struct ilea_record_id id = info.id;
    while (next_release(review)) {
        bool is_it = is_number ? review->row.number == number
                               : ilea_release_names(review->release, info.type_number, &id);
        if (!is_it) continue;
        if (waiting && review->row.returned_ms != 0) {
            return ilea_command_fail(EX_DATAERR, "release %u was returned already: whoever asked asks anew",
                                     review->row.number);
        }
        return 0;
    }
    return ilea_command_fail(EX_NOINPUT, "%s %.60s does not wait for review; see: ilea review list",
                             is_number ? "release" : "record", word);
}

static void
print_change(const char *name, json_t *change)
{
    json_t *now = json_object_get(change, "now"), *then = json_object_get(change, "then");
    if (!json_is_null(now)) ilea_command_print_value(name, now);
    else (void)printf("%-21s (nothing)\n", name);
    if (!json_is_null(then)) ilea_command_print_value("  becomes", then);
    else (void)printf("%-21s (nothing)\n", "  becomes");
}

static void
print_details(const json_t *record)
{
    const char *key;
    json_t *value;
    (void)putchar('\n');
    print_record_line(record);
    json_object_foreach(json_object_get(record, "fields"), key, value) ilea_command_print_value(key, value);
    json_object_foreach(json_object_get(record, "changes"), key, value) print_change(key, value);
}

static int
review_show(const struct ilea_command *command)
{
    struct review review;
    if (one_word(command) != 0) return EX_USAGE;
    int code = begin_review(&review, command, "record.return", false);
    if (code == 0) code = find_release(&review, command->words[2], false);
    json_t *json = code == 0 ? release_json(&review, true) : NULL, *record;
    if (code == 0 && command->json) {
        ilea_command_print(json_incref(json));
    } else if (code == 0) {
        size_t i;
        print_head(json);
        print_reach(json);
        json_array_foreach(json_object_get(json, "records"), i, record) print_details(record);
    }
    json_decref(json);
    end_review(&review);
    return code;
}

/* A copy of the act that waits (heap). */
static uint8_t *
copy_act(const struct review *review, size_t *size)
{
    uint8_t *bytes = malloc(review->row.act.size);
    *size = review->row.act.size;
    if (bytes != NULL) memcpy(bytes, review->row.act.data, *size);
    return bytes;
}

/* Approve the release that one word names. */
static int
approve_one(struct review *review, const char *word)
{
    struct ilea_control_decision answer;
    size_t size = 0;
    int code = find_release(review, word, true);
    if (code != 0) return code;
    uint8_t *bytes = copy_act(review, &size);
    if (bytes == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    code = ilea_command_act_sign(&review->act, (struct ilea_span){ bytes, size }, &answer);
    if (code == 0) {
        char title[100];
        (void)snprintf(title, sizeof title, "release %u is approved and sent: %u record%s", review->row.number,
                       review->release.count, review->release.count == 1 ? "" : "s");
        code = ilea_command_act_print(review->act.command, &answer, title, NULL);
    }
    free(bytes);
    return code;
}

static int
review_approve(const struct ilea_command *command)
{
    struct review review;
    if (command->word_count < 3) return ilea_command_usage("review approve takes releases; see: ilea review list");
    int code = begin_review(&review, command, "record.release", true), last = code;
    for (int i = 2; code == 0 && i < command->word_count; i++) { /* one that fails does not keep the others back */
        int one = approve_one(&review, command->words[i]);
        if (one != 0) last = one;
    }
    end_review(&review);
    return last;
}

static int
review_return(const struct ilea_command *command)
{
    struct review review;
    struct ilea_control_decision answer;
    char hash[2 * ILEA_HASH_SIZE + 1], record[64];
    if (command->reason == NULL || command->reason[0] == '\0') {
        return ilea_command_usage("review return needs --reason TEXT");
    }
    if (one_word(command) != 0) return EX_USAGE;
    int code = begin_review(&review, command, "record.return", true);
    if (code == 0) code = find_release(&review, command->words[2], true);
    if (code == 0) {
        struct ilea_span first = ilea_act_value(review.request, "record");
        ilea_command_hex(review.request->hash, sizeof review.request->hash, hash);
        (void)snprintf(record, sizeof record, "%.*s", (int)first.size, (const char *)first.data);
        ilea_command_act_add(&review.act, "act", hash);
        ilea_command_act_add(&review.act, "record", record);
        ilea_command_act_add(&review.act, "reason", command->reason);
        code = ilea_command_act_send(&review.act, (struct ilea_span){ NULL, 0 }, &answer);
    }
    if (code == 0) {
        char title[100];
        (void)snprintf(title, sizeof title, "release %u is returned: nothing was sent", review.row.number);
        code = ilea_command_act_print(command, &answer, title, NULL);
    }
    end_review(&review);
    return code;
}

int
ilea_command_review(const struct ilea_command *command)
{
    static const struct { const char *verb; int (*run)(const struct ilea_command *); } verbs[] = {
        { "list", review_list }, { "show", review_show }, { "approve", review_approve }, { "return", review_return } };
    const char *verb = command->word_count > 1 ? command->words[1] : "";
    for (unsigned i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].verb, verb) == 0) return verbs[i].run(command);
    }
    return ilea_command_usage("review takes list, show, approve or return");
}

/* The release at hand, if it holds the snapshot's current record. */
static json_t *
review_of_record(struct review *review, const struct ilea_view_row *record)
{
    struct ilea_release left = review->release;
    struct ilea_release_item item;
    uint8_t base[ILEA_HASH_SIZE];
    while (ilea_release_next(&left, &item)) {
        if (item.type != record->type || memcmp(item.record.bytes, record->id.bytes, sizeof record->id.bytes) != 0) {
            continue;
        }
        json_t *json = head_json(review);
        ilea_release_base(record->scope, record->state, base);
        bool is_stale = review->row.returned_ms == 0 && memcmp(base, item.base, sizeof base) != 0;
        if (is_stale) json_object_set_new(json, "state", json_string("stale"));
        return json;
    }
    return NULL;
}

json_t *
ilea_command_review_of(const struct ilea_command *command, struct ilea_snapshot *snapshot,
                       const struct ilea_agency_id *owner)
{
    struct review review = { .request = malloc(sizeof *review.request) };
    json_t *json = NULL;
    char path[ILEA_PATH_SIZE];
    ilea_home_path(command->home, "log", path);
    bool is_ours = review.request != NULL && ilea_log_open(path, true, &review.act.log) == ILEA_ERROR_NONE
        && memcmp(owner->bytes, ilea_log_identity(review.act.log)->agency.bytes, sizeof owner->bytes) == 0
        && ilea_transaction_begin(ilea_log_environment(review.act.log), false, &review.act.txn) == ILEA_ERROR_NONE;
    while (is_ours && json == NULL && next_release(&review)) {
        json = review_of_record(&review, ilea_snapshot_row(snapshot));
    }
    ilea_audience_cache_free(review.cache);
    ilea_transaction_abort(review.act.txn);
    ilea_log_close(review.act.log);
    free(review.request);
    return json;
}

void
ilea_command_review_print(const json_t *review)
{
    if (review == NULL) return;
    (void)fputs("review: release ", stdout);
    print_head(review);
}
