/* command_key_status.c - how old our keys are, where the root keys lie, and what is due. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "node/chain.h"
#include "node/command_key.h"
#include "node/date.h"

enum { KEY_DAYS = 365 }; /* then it is time for new ones */

static const uint64_t day_ms = (uint64_t)24 * 60 * 60 * 1000;

/* When a manifest of ours came into force here: the entry that brought it; 0: unknown. */
static uint64_t
time_of(struct ilea_transaction *txn, const struct ilea_manifest *manifest)
{
    char hex[2 * ILEA_HASH_SIZE + 1];
    uint64_t last = 0, time_ms = 0;
    uint8_t hash[ILEA_HASH_SIZE];
    ilea_command_hex(manifest->hash, sizeof manifest->hash, hex);
    struct ilea_audit_entry *entry = malloc(sizeof *entry);
    if (entry == NULL || ilea_log_audit_last(txn, &last, hash) != ILEA_ERROR_NONE) last = 0;
    for (uint64_t seq = 1; seq <= last && time_ms == 0; seq++) {
        struct ilea_span bytes;
        if (ilea_log_audit(txn, seq, &bytes) != ILEA_ERROR_NONE || ilea_entry_decode(bytes, entry) != ILEA_ERROR_NONE) {
            continue;
        }
        struct ilea_span value = ilea_act_value(&entry->act, "manifest");
        bool names = value.size == strlen(hex) && memcmp(value.data, hex, value.size) == 0 && !entry->act.has_subject;
        if (names) time_ms = entry->time_ms;
    }
    free(entry);
    return time_ms;
}

/* Since which manifest each of our keys is in use. */
struct since {
    const char *name;
    const uint8_t *key;
    uint64_t index, time_ms;
};

static const uint8_t *
key_of(const struct ilea_manifest *manifest, unsigned which)
{
    return which == 0 ? manifest->node.bytes : which == 1 ? manifest->transport.bytes : manifest->reading.bytes;
}

static void
find_since(struct ilea_command_act *act, struct since since[3])
{
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    bool differs[3] = { false };
    if (manifest == NULL) return;
    for (uint64_t index = act->own.index;; index--) {
        if (ilea_chain_at(act->txn, &act->own.id, index, manifest) != ILEA_ERROR_NONE) break;
        for (unsigned i = 0; i < 3; i++) {
            differs[i] = differs[i] || memcmp(key_of(manifest, i), since[i].key, 32) != 0;
            if (!differs[i]) since[i].index = index;
        }
        if (index == 0) break;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (ilea_chain_at(act->txn, &act->own.id, since[i].index, manifest) == ILEA_ERROR_NONE) {
            since[i].time_ms = time_of(act->txn, manifest);
        }
    }
    free(manifest);
}

static void
add_keys(struct ilea_command_act *act, uint64_t now_ms, json_t *keys, json_t *due)
{
    struct since since[3] = { { .name = "node", .key = act->own.node.bytes },
                              { .name = "transport", .key = act->own.transport.bytes },
                              { .name = "reading", .key = act->own.reading.bytes } };
    find_since(act, since);
    for (unsigned i = 0; i < 3; i++) {
        char hex[65], date[ILEA_DATE_SIZE], line[120];
        ilea_command_hex(since[i].key, 32, hex);
        ilea_date_format(since[i].time_ms, date);
        bool known = since[i].time_ms != 0 && since[i].time_ms <= now_ms;
        uint64_t days = known ? (now_ms - since[i].time_ms) / day_ms : 0;
        json_array_append_new(keys, json_pack("{s:s,s:s,s:I,s:o,s:o}", "key", since[i].name, "public", hex, "manifest",
                                              (json_int_t)since[i].index, "since",
                                              known ? json_string(date) : json_null(), "days",
                                              known ? json_integer((json_int_t)days) : json_null()));
        if (days < KEY_DAYS) continue;
        (void)snprintf(line, sizeof line, "the %s key is %llu days old: ilea key rotate --only %s", since[i].name,
                       (unsigned long long)days, since[i].name);
        json_array_append_new(due, json_string(line));
    }
}

static bool
is_here(const struct ilea_command *command, const struct ilea_sign_public *root)
{
    char folder[ILEA_PATH_SIZE], name[ILEA_KEY_NAME_SIZE];
    ilea_home_path(command->home, "keys", folder);
    return ilea_keys_find(folder, ILEA_KEY_ROOT, root->bytes, name) == ILEA_ERROR_NONE;
}

/* Root files in keys/ that are none of the present roots: next ones, we take it. */
static bool
has_next_roots(struct ilea_command_act *act)
{
    struct ilea_command_manifest *manifest = calloc(1, sizeof *manifest);
    char path[ILEA_PATH_SIZE];
    bool here = false;
    ilea_home_path(act->command->home, "keys", path);
    if (manifest != NULL && ilea_command_read_next_roots(path, act->own.next_roots, &manifest->next)) {
        for (uint32_t i = 0; i < manifest->next.root_count; i++) {
            here = here || is_here(act->command, &manifest->next.roots[i]);
        }
    }
    free(manifest);
    return here;
}

json_t *
ilea_command_key_facts(struct ilea_command_act *act)
{
    json_t *keys = json_array(), *due = json_array();
    uint32_t roots_here = 0;
    add_keys(act, ilea_wall_ms(), keys, due);
    for (uint32_t i = 0; i < act->own.root_count; i++) roots_here += is_here(act->command, &act->own.roots[i]);
    bool next_here = has_next_roots(act);
    if (roots_here > 0 && next_here) {
        json_array_append_new(due, json_string("root and next root keys lie in keys/: move them to two safes"));
    } else if (roots_here > 0) {
        json_array_append_new(due, json_string("root keys lie in keys/: move them to a safe"));
    } else if (next_here) {
        json_array_append_new(due, json_string("next root keys lie in keys/: move them to a safe of their own"));
    }
    return json_pack("{s:I,s:o,s:I,s:{s:I,s:I,s:I,s:b},s:o}", "manifest", (json_int_t)act->own.index, "keys", keys,
                     "admins", (json_int_t)act->own.admin_count, "roots", "count", (json_int_t)act->own.root_count,
                     "threshold", (json_int_t)act->own.threshold, "here", (json_int_t)roots_here, "next_here",
                     next_here ? 1 : 0, "due", due);
}

static void
print_facts(const json_t *facts)
{
    size_t i;
    json_t *item, *roots = json_object_get(facts, "roots");
    (void)printf("manifest   %lld\n", (long long)json_integer_value(json_object_get(facts, "manifest")));
    json_array_foreach(json_object_get(facts, "keys"), i, item) {
        const json_t *since = json_object_get(item, "since");
        (void)printf("%-9s  %.16s  since %s (manifest %lld)\n", json_string_value(json_object_get(item, "key")),
                     json_string_value(json_object_get(item, "public")),
                     json_is_string(since) ? json_string_value(since) : "?",
                     (long long)json_integer_value(json_object_get(item, "manifest")));
    }
    (void)printf("admins     %lld; see: ilea admin list\n",
                 (long long)json_integer_value(json_object_get(facts, "admins")));
    (void)printf("roots      %lld of %lld must sign; %lld of them here; next roots %s\n",
                 (long long)json_integer_value(json_object_get(roots, "threshold")),
                 (long long)json_integer_value(json_object_get(roots, "count")),
                 (long long)json_integer_value(json_object_get(roots, "here")),
                 json_is_true(json_object_get(roots, "next_here")) ? "here" : "elsewhere");
    json_array_foreach(json_object_get(facts, "due"), i, item) (void)printf("due        %s\n", json_string_value(item));
}

int
ilea_command_key_status(const struct ilea_command *command)
{
    if (command->word_count != 2) return ilea_command_usage("key status takes no words");
    struct ilea_command_act act;
    int code = ilea_command_act_begin(&act, command, "key.status", false);
    if (code == 0) {
        json_t *facts = ilea_command_key_facts(&act);
        if (command->json) {
            ilea_command_print(facts);
        } else {
            print_facts(facts);
            json_decref(facts);
        }
    }
    ilea_command_act_end(&act);
    return code;
}
