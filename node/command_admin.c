/* command_admin.c - admin add, list, remove, policy, and what waits for signatures. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/command_act.h"
#include "node/date.h"
#include "node/decision.h"
#include "replication/record/uuid.h"

static const struct ilea_span nothing = { NULL, 0 };

/* The key of a new admin: given in hex, or made and saved. */
struct new_admin {
    struct ilea_sign_public key;
    char path[ILEA_PATH_SIZE]; /* of the file that was made; "": none */
};

static int
save_admin(const struct ilea_command *command, const char *name, const struct ilea_sign_secret *secret,
           struct new_admin *made)
{
    char folder[ILEA_PATH_SIZE], file[ILEA_KEY_NAME_SIZE];
    ilea_home_path(command->home, "keys", folder);
    (void)snprintf(file, sizeof file, "admin-%s.key", name);
    if (command->out != NULL) {
        const char *slash = strrchr(command->out, '/');
        const char *base = slash != NULL ? slash + 1 : command->out;
        int length = snprintf(folder, sizeof folder, "%.*s",
                              slash != NULL ? (int)(slash - command->out + 1) : 1, slash != NULL ? command->out : ".");
        if (length >= (int)sizeof folder || strlen(base) >= sizeof file) {
            return ilea_command_usage("the path of --out is too long");
        }
        (void)snprintf(file, sizeof file, "%s", base);
    }
    uint8_t bytes[ILEA_PASSPHRASE_SIZE_MAX];
    struct ilea_span passphrase = { bytes, 0 };
    char prompt[80];
    (void)snprintf(prompt, sizeof prompt, "New passphrase of admin %s: ", name);
    if ((command->passphrase || command->new_passphrase_file != NULL)
        && !ilea_command_secret(command->new_passphrase_file, NULL, prompt, true, bytes, &passphrase.size)) {
        return ilea_command_fail(EX_NOPERM, "no passphrase, or the two were not the same: nothing was made");
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum ilea_error error = fd < 0 ? ILEA_ERROR_NOT_FOUND
                                   : ilea_key_file_save_sign(fd, file, ILEA_KEY_ADMIN, secret, &passphrase);
    if (fd >= 0) close(fd);
    ilea_wipe(bytes, sizeof bytes);
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "the key file %s cannot be made: %s", file,
                                 ilea_error_text(error));
    }
    bool slash = folder[strlen(folder) - 1] == '/';
    (void)snprintf(made->path, sizeof made->path, "%.700s%s%.300s", folder, slash ? "" : "/", file);
    return 0;
}

static int
make_admin(const struct ilea_command *command, const char *name, struct new_admin *made)
{
    made->path[0] = '\0';
    if (command->key != NULL) {
        const struct ilea_span hex = { (const uint8_t *)command->key, strlen(command->key) };
        if (ilea_hex_parse(hex, made->key.bytes, sizeof made->key.bytes)
            && ilea_sign_public_is_acceptable(&made->key)) {
            return 0;
        }
        return ilea_command_fail(EX_DATAERR, "--key takes a public key, 64 hex digits: nothing was added");
    }
    struct ilea_sign_secret *secret = NULL;
    enum ilea_error error = ilea_sign_generate(&secret, &made->key);
    int code = error == ILEA_ERROR_NONE ? save_admin(command, name, secret, made)
                                        : ilea_command_fail(EX_OSERR, "no key: %s", ilea_error_text(error));
    ilea_sign_secret_free(secret);
    return code;
}

/* Into the ascending list; false if it is full or has it. */
static bool
insert_admin(struct ilea_manifest *manifest, const struct ilea_sign_public *key)
{
    if (manifest->admin_count == ILEA_ADMINS_MAX) return false;
    uint32_t at = manifest->admin_count;
    while (at > 0 && memcmp(manifest->admins[at - 1].bytes, key->bytes, sizeof key->bytes) > 0) at--;
    if (at > 0 && memcmp(manifest->admins[at - 1].bytes, key->bytes, sizeof key->bytes) == 0) return false;
    memmove(&manifest->admins[at + 1], &manifest->admins[at],
            (manifest->admin_count - at) * sizeof *manifest->admins);
    manifest->admins[at] = *key;
    manifest->admin_count++;
    return true;
}

/* Sign the new manifest, hand it over, say how it went. */
static int
send_manifest(struct ilea_command_act *act, struct ilea_command_manifest *manifest, const char *title,
              const char *done)
{
    struct ilea_control_decision answer;
    int code = ilea_command_manifest_sign(act, manifest, manifest->keys.node);
    if (code == 0) {
        code = ilea_command_act_send(act, (struct ilea_span){ manifest->bytes, manifest->size }, &answer);
    }
    return code == 0 ? ilea_command_act_print(act->command, &answer, title, done) : code;
}

static int
add_to_manifest(struct ilea_command_act *act, struct ilea_command_manifest *manifest, const char *name)
{
    struct new_admin made;
    char hex[2 * ILEA_SIGN_PUBLIC_SIZE + 1], title[100], done[ILEA_PATH_SIZE + 100];
    for (uint32_t i = 0; i < act->own.admin_count; i++) {
        char taken[ILEA_ADMIN_NAME_SIZE];
        ilea_command_admin_name(act->txn, &act->own.admins[i], taken);
        if (strcmp(taken, name) == 0) {
            return ilea_command_fail(EX_CANTCREAT, "there is an admin %s already: choose another name", name);
        }
    }
    int code = make_admin(act->command, name, &made);
    if (code != 0) return code;
    if (!insert_admin(&manifest->next, &made.key)) {
        return ilea_command_fail(EX_DATAERR, manifest->next.admin_count == ILEA_ADMINS_MAX
                                                 ? "there are 16 admins: remove one first"
                                                 : "this key is an admin's already");
    }
    ilea_command_hex(made.key.bytes, sizeof made.key.bytes, hex);
    ilea_command_act_add(act, "name", name);
    ilea_command_act_add(act, "key", hex);
    (void)snprintf(title, sizeof title, "%s is an admin", name);
    (void)snprintf(done, sizeof done, "%s%s%s",
                   made.path[0] != '\0' ? "Give them " : "They decide with their own key file", made.path,
                   made.path[0] != '\0' ? " and no copy; it is used with --admin" : "; see: ilea admin list");
    code = send_manifest(act, manifest, title, done);
    if (code != 0 && made.path[0] != '\0') (void)unlink(made.path); /* nobody knows it: it would only confuse */
    return code;
}

static int
admin_add(const struct ilea_command *command)
{
    if (command->word_count != 3) return ilea_command_usage("admin add takes one name");
    const char *name = command->words[2];
    if (!ilea_command_admin_name_is_valid(name)) {
        return ilea_command_usage("an admin's name is 1 to 40 letters, digits, '-', '_' and '.'");
    }
    struct ilea_command_act act;
    struct ilea_command_manifest *manifest = calloc(1, sizeof *manifest);
    if (manifest == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = ilea_command_act_begin(&act, command, "admin.add", true);
    if (code == 0) code = ilea_command_manifest_begin(&act, manifest);
    if (code == 0) code = add_to_manifest(&act, manifest, name);
    ilea_command_manifest_end(manifest);
    ilea_command_act_end(&act);
    free(manifest);
    return code;
}

/* An admin by name, or by the start of the key in hex (8 digits or more); -1 after a message. */
static int
find_admin(struct ilea_command_act *act, const char *name)
{
    int found = -1;
    for (uint32_t i = 0; i < act->own.admin_count; i++) {
        char hex[2 * ILEA_SIGN_PUBLIC_SIZE + 1], known[ILEA_ADMIN_NAME_SIZE];
        ilea_command_hex(act->own.admins[i].bytes, sizeof act->own.admins[i].bytes, hex);
        ilea_command_admin_name(act->txn, &act->own.admins[i], known);
        if (strcmp(known, name) != 0 && (strlen(name) < 8 || strncmp(hex, name, strlen(name)) != 0)) continue;
        if (found >= 0) {
            (void)ilea_command_fail(EX_DATAERR, "several admins are called %.40s: name one by its key", name);
            return -1;
        }
        found = (int)i;
    }
    if (found < 0) (void)ilea_command_fail(EX_NOINPUT, "no admin %.40s; see: ilea admin list", name);
    return found;
}

static int
remove_from_manifest(struct ilea_command_act *act, struct ilea_command_manifest *manifest)
{
    const char *name = act->command->words[2];
    int at = find_admin(act, name);
    if (at < 0) return EX_NOINPUT;
    char hex[2 * ILEA_SIGN_PUBLIC_SIZE + 1], title[120], known[ILEA_ADMIN_NAME_SIZE];
    struct ilea_manifest *next = &manifest->next;
    ilea_command_hex(next->admins[at].bytes, sizeof next->admins[at].bytes, hex);
    memmove(&next->admins[at], &next->admins[at + 1], (next->admin_count - (uint32_t)at - 1) * sizeof *next->admins);
    next->admin_count--;
    if (next->admin_count == 0) {
        return ilea_command_fail(EX_NOPERM, "%.40s is the last admin and cannot be removed: add another one first",
                                 name);
    }
    ilea_command_act_add(act, "key", hex);
    ilea_command_admin_name(act->txn, &act->own.admins[at], known);
    ilea_command_act_add(act, "name", known);
    (void)snprintf(title, sizeof title, "%.40s is no admin any more", known);
    return send_manifest(act, manifest, title, "What they signed before stays; see: ilea admin list");
}

static int
admin_remove(const struct ilea_command *command)
{
    if (command->word_count != 3) return ilea_command_usage("admin remove takes one name");
    struct ilea_command_act act;
    struct ilea_command_manifest *manifest = calloc(1, sizeof *manifest);
    if (manifest == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = ilea_command_act_begin(&act, command, "admin.remove", true);
    if (code == 0) code = ilea_command_manifest_begin(&act, manifest);
    if (code == 0) code = remove_from_manifest(&act, manifest);
    ilea_command_manifest_end(manifest);
    ilea_command_act_end(&act);
    free(manifest);
    return code;
}

static int
admin_list(const struct ilea_command *command)
{
    struct ilea_command_act act;
    int code = ilea_command_act_begin(&act, command, "admin.list", false);
    json_t *list = json_array();
    for (uint32_t i = 0; code == 0 && i < act.own.admin_count; i++) {
        char hex[2 * ILEA_SIGN_PUBLIC_SIZE + 1], name[ILEA_ADMIN_NAME_SIZE], file[ILEA_KEY_NAME_SIZE],
            folder[ILEA_PATH_SIZE];
        ilea_command_hex(act.own.admins[i].bytes, sizeof act.own.admins[i].bytes, hex);
        ilea_command_admin_name(act.txn, &act.own.admins[i], name);
        ilea_home_path(command->home, "keys", folder);
        bool here = ilea_keys_find(folder, ILEA_KEY_ADMIN, act.own.admins[i].bytes, file) == ILEA_ERROR_NONE;
        if (!command->json) (void)printf("%-20s %.16s  %s\n", name, hex, here ? file : "key elsewhere");
        json_array_append_new(list, json_pack("{s:s,s:s,s:o}", "name", name, "key", hex, "file",
                                              here ? json_string(file) : json_null()));
    }
    struct ilea_config config = { .four_eyes = false };
    struct ilea_policy policy = { .approvals = 1 };
    char reason[ILEA_REASON_SIZE];
    if (code == 0 && ilea_home_config(command->home, &config, reason) == ILEA_ERROR_NONE
        && ilea_trust_policy(act.txn, &config, &policy) == ILEA_ERROR_NONE) {
        if (!command->json) {
            (void)printf("approvals %u, approving without a code is %s; change it: ilea admin policy\n",
                         policy.approvals, policy.unverified ? "allowed" : "not allowed");
            if (config.four_eyes) (void)puts("four_eyes: what leaves the agency waits for a second admin: ilea review");
        }
    }
    if (code == 0 && command->json) {
        ilea_command_print(json_pack("{s:O,s:I,s:b,s:b}", "admins", list, "approvals", (json_int_t)policy.approvals,
                                     "unverified", policy.unverified ? 1 : 0, "four_eyes", config.four_eyes ? 1 : 0));
    }
    json_decref(list);
    ilea_command_act_end(&act);
    return code;
}

static int
admin_policy(const struct ilea_command *command)
{
    if (command->word_count != 2 || (command->approvals == NULL && command->unverified == NULL)) {
        return ilea_command_usage("admin policy takes --approvals N or --unverified yes|no");
    }
    struct ilea_command_act act;
    struct ilea_control_decision answer;
    char title[120];
    int code = ilea_command_act_begin(&act, command, "policy.set", true);
    ilea_command_act_add(&act, "approvals", command->approvals);
    ilea_command_act_add(&act, "unverified", command->unverified);
    if (code == 0) code = ilea_command_act_send(&act, nothing, &answer);
    (void)snprintf(
        title, sizeof title, "the policy is set%s%.10s%s%.10s", command->approvals != NULL ? ", approvals " : "",
        command->approvals != NULL ? command->approvals : "", command->unverified != NULL ? ", unverified " : "",
        command->unverified != NULL ? command->unverified : "");
    if (code == 0) {
        code = ilea_command_act_print(command, &answer, title, "The stricter of this and ilea.conf counts; see: ilea "
                                                              "admin list");
    }
    ilea_command_act_end(&act);
    return code;
}

/* What a proposal is about, in one line. */
static void
describe(struct ilea_command_act *act, const struct ilea_act *proposed, char *text, size_t size)
{
    const struct ilea_decision_kind *kind = ilea_decision_kind(proposed->kind);
    size_t used = (size_t)snprintf(text, size, "%s", kind != NULL ? kind->title : "unknown");
    if (proposed->has_subject) {
        struct ilea_manifest *manifest = malloc(sizeof *manifest);
        if (manifest != NULL && ilea_chain_last(act->txn, &proposed->subject, manifest) == ILEA_ERROR_NONE
            && used < size) {
            char id[2 * ILEA_ID_SIZE + 1];
            ilea_command_hex(proposed->subject.bytes, sizeof proposed->subject.bytes, id);
            used += (size_t)snprintf(text + used, size - used, " %.*s (id %.8s)", (int)manifest->code.size,
                                     (const char *)manifest->code.data, id);
            bool is_blind = strcmp(kind != NULL ? kind->name : "", "peer.approve") == 0
                && ilea_act_value(proposed, "code").data == NULL;
            if (is_blind && used < size) used += (size_t)snprintf(text + used, size - used, ", NO code was compared");
        }
        free(manifest);
    }
    for (uint32_t i = 0; i < proposed->pair_count && used < size; i++) {
        const struct ilea_act_pair *pair = &proposed->pairs[i];
        if (pair->value.size > 40) continue; /* keys and hashes: see --json */
        used += (size_t)snprintf(text + used, size - used, ", %.*s %.*s", (int)pair->key.size,
                                 (const char *)pair->key.data, (int)pair->value.size, (const char *)pair->value.data);
    }
}

json_t *
ilea_command_pairs(const struct ilea_act *act)
{
    json_t *pairs = json_object();
    for (uint32_t i = 0; i < act->pair_count; i++) {
        char key[ILEA_ACT_KIND_MAX + 1];
        (void)snprintf(key, sizeof key, "%.*s", (int)act->pairs[i].key.size, (const char *)act->pairs[i].key.data);
        json_object_set_new(pairs, key, json_stringn((const char *)act->pairs[i].value.data, act->pairs[i].value.size));
    }
    return pairs;
}

static json_t *
proposal_json(struct ilea_command_act *act, const struct ilea_proposal_row *row, const struct ilea_act *proposed,
              const char *text)
{
    char made[ILEA_TIME_SIZE];
    ilea_time_format(row->made_ms, made);
    json_t *signers = json_array();
    for (uint32_t i = 0; i < row->sig_count; i++) {
        struct ilea_sign_public admin;
        char name[ILEA_ADMIN_NAME_SIZE];
        memcpy(admin.bytes, row->sigs.data + (size_t)i * ILEA_PROPOSAL_SIG_SIZE, sizeof admin.bytes);
        ilea_command_admin_name(act->txn, &admin, name);
        json_array_append_new(signers, json_string(name));
    }
    char id[2 * ILEA_ID_SIZE + 1];
    ilea_command_hex(proposed->subject.bytes, sizeof proposed->subject.bytes, id);
    return json_pack("{s:I,s:s%,s:s,s:s,s:o,s:o,s:o}", "proposal", (json_int_t)row->number, "decision",
                     proposed->kind.data, proposed->kind.size, "made", made, "text", text, "signed_by", signers,
                     "pairs", ilea_command_pairs(proposed), "agency_id",
                     proposed->has_subject ? json_string(id) : json_null());
}

/* What does not go into the act, because other agencies read that: the records that are to be erased, and why. */
static void
add_erase(const struct ilea_proposal_row *row, json_t *json, char *text, size_t size)
{
    struct ilea_control_erase *erase = malloc(sizeof *erase);
    if (erase != NULL && ilea_control_get_erase(row->payload, erase) == ILEA_ERROR_NONE) {
        json_t *records = json_array();
        size_t used = strlen(text);
        for (uint32_t i = 0; i < erase->count; i++) {
            char id[ILEA_UUID_TEXT_SIZE];
            ilea_uuid_print(&erase->records[i].id, id);
            json_array_append_new(records, json_string(id));
        }
        (void)snprintf(text + used, size - used, ", reason: %.*s; which: --json", (int)erase->reason.size,
                       (const char *)erase->reason.data);
        json_object_set_new(json, "records", records);
        json_object_set_new(json, "reason", json_stringn((const char *)erase->reason.data, erase->reason.size));
        json_object_set_new(json, "text", json_string(text));
    }
    free(erase);
}

json_t *
ilea_command_proposals(struct ilea_command_act *act)
{
    json_t *list = json_array();
    struct ilea_act *proposed = malloc(sizeof *proposed);
    struct ilea_proposal_row row = { .number = 0 };
    while (proposed != NULL && ilea_log_proposal_next(act->txn, row.number, &row) == ILEA_ERROR_NONE) {
        char text[600];
        if (ilea_act_decode(row.act, proposed) != ILEA_ERROR_NONE || ilea_trust_is_release(row.act)) continue;
        describe(act, proposed, text, sizeof text);
        json_t *json = proposal_json(act, &row, proposed, text);
        static const char erases[] = "record.erase";
        if (proposed->kind.size == sizeof erases - 1 && memcmp(proposed->kind.data, erases, sizeof erases - 1) == 0) {
            add_erase(&row, json, text, sizeof text);
        }
        json_array_append_new(list, json);
    }
    free(proposed);
    return list;
}

static int
admin_pending(const struct ilea_command *command)
{
    struct ilea_command_act act;
    int code = ilea_command_act_begin(&act, command, "admin.pending", false);
    if (code == 0) {
        json_t *list = ilea_command_proposals(&act), *proposal;
        size_t i;
        json_array_foreach(list, i, proposal) {
            if (command->json) break;
            json_t *signers = json_object_get(proposal, "signed_by");
            (void)printf("%lld  %s  signed by %s%s\n    %s\n",
                         (long long)json_integer_value(json_object_get(proposal, "proposal")),
                         json_string_value(json_object_get(proposal, "made")),
                         json_string_value(json_array_get(signers, 0)),
                         json_array_size(signers) > 1 ? " and others" : "",
                         json_string_value(json_object_get(proposal, "text")));
        }
        if (command->json) {
            ilea_command_print(json_incref(list));
        } else {
            (void)puts(json_array_size(list) == 0
                           ? "No decision waits for signatures."
                           : "Sign: ilea admin sign NUMBER --admin NAME; or: ilea admin reject NUMBER");
        }
        json_decref(list);
    }
    ilea_command_act_end(&act);
    return code;
}

/* The proposal with the number that was typed; a copy of its act (heap) into *bytes. */
static int
load_proposal(struct ilea_command_act *act, uint8_t **bytes, size_t *size)
{
    uint64_t number;
    struct ilea_proposal_row row;
    *bytes = NULL;
    if (act->command->word_count != 3 || !ilea_command_number(act->command->words[2], &number)
        || number > UINT32_MAX) {
        return ilea_command_usage("a proposal's number is wanted; see: ilea admin pending");
    }
    enum ilea_error error = ilea_log_proposal(act->txn, (uint32_t)number, &row);
    if (error == ILEA_ERROR_NOT_FOUND) {
        return ilea_command_fail(EX_NOINPUT, "no proposal %llu; see: ilea admin pending", (unsigned long long)number);
    }
    if (error == ILEA_ERROR_NONE && (*bytes = malloc(row.act.size)) == NULL) error = ILEA_ERROR_NO_MEMORY;
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "the proposal cannot be read: %s", ilea_error_text(error));
    }
    memcpy(*bytes, row.act.data, row.act.size);
    *size = row.act.size;
    if (!ilea_trust_is_release(row.act)) return 0;
    return ilea_command_fail(EX_NOINPUT, "%u is a release: ilea review approve %u, or ilea review return %u --reason "
                                         "TEXT", row.number, row.number, row.number);
}

static int
admin_sign(const struct ilea_command *command)
{
    struct ilea_command_act act;
    struct ilea_control_decision answer;
    uint8_t *bytes = NULL;
    size_t size = 0;
    int code = ilea_command_act_begin(&act, command, "admin.sign", true);
    if (code == 0) code = load_proposal(&act, &bytes, &size);
    if (code == 0) code = ilea_command_act_sign(&act, (struct ilea_span){ bytes, size }, &answer);
    if (code == 0) {
        char title[100];
        const struct ilea_decision_kind *kind = ilea_decision_kind(act.act.kind);
        (void)snprintf(title, sizeof title, "done: %s", kind != NULL ? kind->title : "");
        code = ilea_command_act_print(command, &answer, title, "It is in the audit feed; see: ilea audit");
    }
    free(bytes);
    ilea_command_act_end(&act);
    return code;
}

static int
admin_reject(const struct ilea_command *command)
{
    struct ilea_command_act act;
    struct ilea_control_decision answer;
    struct ilea_act *proposed = malloc(sizeof *proposed);
    uint8_t *bytes = NULL;
    size_t size = 0;
    char hex[2 * ILEA_HASH_SIZE + 1];
    if (proposed == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = ilea_command_act_begin(&act, command, "admin.reject", true);
    if (code == 0) code = load_proposal(&act, &bytes, &size);
    if (code == 0 && ilea_act_decode((struct ilea_span){ bytes, size }, proposed) != ILEA_ERROR_NONE) {
        code = ilea_command_fail(EX_DATAERR, "the proposal is damaged; run ilea verify");
    }
    if (code == 0) {
        char kind[ILEA_ACT_KIND_MAX + 1];
        (void)snprintf(kind, sizeof kind, "%.*s", (int)proposed->kind.size, (const char *)proposed->kind.data);
        ilea_command_hex(proposed->hash, sizeof proposed->hash, hex);
        ilea_command_act_add(&act, "act", hex);
        ilea_command_act_add(&act, "decision", kind);
        ilea_command_act_add(&act, "reason", command->reason);
        code = ilea_command_act_send(&act, nothing, &answer);
    }
    if (code == 0) code = ilea_command_act_print(command, &answer, "the proposal is rejected", NULL);
    free(bytes);
    free(proposed);
    ilea_command_act_end(&act);
    return code;
}

int
ilea_command_admin(const struct ilea_command *command)
{
    static const struct { const char *verb; int (*run)(const struct ilea_command *); } verbs[] = {
        { "add", admin_add }, { "list", admin_list }, { "remove", admin_remove }, { "policy", admin_policy },
        { "pending", admin_pending }, { "sign", admin_sign }, { "reject", admin_reject } };
    const char *verb = command->word_count > 1 ? command->words[1] : "";
    for (unsigned i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].verb, verb) == 0) return verbs[i].run(command);
    }
    return ilea_command_usage("admin takes add, list, remove, policy, pending, sign or reject");
}
