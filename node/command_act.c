/* command_act.c - making a decision, signing it, handing it over, saying how it went. */
#include "node/command_act.h"
#include "node/lobby_message.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/chain.h"

enum { TEXTS_SIZE = ILEA_ACT_PAIRS_MAX * (ILEA_ACT_VALUE_MAX + 1) };

static bool
is_admin(const struct ilea_manifest *own, const uint8_t *key)
{
    for (uint32_t i = 0; i < own->admin_count; i++) {
        if (memcmp(own->admins[i].bytes, key, sizeof own->admins[i].bytes) == 0) return true;
    }
    return false;
}

bool
ilea_command_admin_name_is_valid(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size < ILEA_ADMIN_NAME_SIZE && name[0] != '.'
        && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == size;
}

/* The admin keys of our manifest whose files are in keys/: how many, and the name of the last one seen. */
static unsigned
find_admins(const char *folder, const struct ilea_manifest *own, char file[ILEA_KEY_NAME_SIZE], char *names,
            size_t names_size)
{
    unsigned count = 0;
    DIR *dir = opendir(folder);
    struct dirent *entry;
    names[0] = '\0';
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct ilea_key_file_info info;
        size_t size = strlen(entry->d_name), used = strlen(names);
        if (strncmp(entry->d_name, "admin-", 6) != 0 || size < 11 || size >= ILEA_KEY_NAME_SIZE
            || strcmp(entry->d_name + size - 4, ".key") != 0
            || ilea_key_file_look(dirfd(dir), entry->d_name, &info) != ILEA_ERROR_NONE
            || info.kind != ILEA_KEY_ADMIN || !is_admin(own, info.public_key)) {
            continue;
        }
        count++;
        (void)snprintf(file, ILEA_KEY_NAME_SIZE, "%s", entry->d_name);
        (void)snprintf(names + used, names_size - used, "%s%.*s", used > 0 ? ", " : "", (int)(size - 10),
                       entry->d_name + 6);
    }
    if (dir != NULL) closedir(dir);
    return count;
}

/* Folder and file of the admin's key. */
static int
choose_admin(const struct ilea_command *command, const struct ilea_manifest *own, char folder[ILEA_PATH_SIZE],
             char file[ILEA_KEY_NAME_SIZE])
{
    char names[300];
    ilea_home_path(command->home, "keys", folder);
    if (command->admin == NULL) {
        unsigned count = find_admins(folder, own, file, names, sizeof names);
        if (count == 1) return 0;
        if (count == 0) {
            return ilea_command_fail(EX_NOPERM, "no admin's key in %s: give --admin NAME, or the path of its file",
                                     folder);
        }
        return ilea_command_fail(EX_USAGE, "several admins' keys are here: add --admin and one of %s", names);
    }
    const char *slash = strrchr(command->admin, '/');
    size_t size = strlen(command->admin);
    if (slash != NULL) {
        int length = snprintf(folder, ILEA_PATH_SIZE, "%.*s", (int)(slash - command->admin + 1), command->admin);
        if (length >= ILEA_PATH_SIZE || strlen(slash + 1) >= ILEA_KEY_NAME_SIZE) {
            return ilea_command_usage("the path of --admin is too long");
        }
        (void)snprintf(file, ILEA_KEY_NAME_SIZE, "%s", slash + 1);
        return 0;
    }
    if (size > 4 && size < ILEA_KEY_NAME_SIZE && strcmp(command->admin + size - 4, ".key") == 0) {
        (void)snprintf(folder, ILEA_PATH_SIZE, "."); /* a file where we are; no name of an admin ends so */
        (void)snprintf(file, ILEA_KEY_NAME_SIZE, "%s", command->admin);
        return 0;
    }
    if (!ilea_command_admin_name_is_valid(command->admin)) {
        return ilea_command_usage("--admin takes a name, or the path of a key file");
    }
    (void)snprintf(file, ILEA_KEY_NAME_SIZE, "admin-%s.key", command->admin);
    return 0;
}

static enum ilea_error
open_admin(struct ilea_command_act *act, int folder, const char *file)
{
    const struct ilea_command *command = act->command;
    enum ilea_error error = ilea_key_file_load_sign(folder, file, ILEA_KEY_ADMIN, NULL, &act->admin);
    uint8_t bytes[ILEA_PASSPHRASE_SIZE_MAX];
    struct ilea_span passphrase = { bytes, 0 };
    if (error == ILEA_ERROR_PASSPHRASE && command->admin_passphrase_file == NULL && command->passphrase_file != NULL
        && ilea_command_secret(command->passphrase_file, NULL, NULL, false, bytes, &passphrase.size)) {
        error = ilea_key_file_load_sign(folder, file, ILEA_KEY_ADMIN, &passphrase, &act->admin);
    }
    char prompt[ILEA_KEY_NAME_SIZE + 20];
    (void)snprintf(prompt, sizeof prompt, "Passphrase of %s: ", file);
    if (error == ILEA_ERROR_PASSPHRASE
        && ilea_command_secret(command->admin_passphrase_file, "admin-passphrase", prompt, false, bytes,
                               &passphrase.size)) {
        error = ilea_key_file_load_sign(folder, file, ILEA_KEY_ADMIN, &passphrase, &act->admin);
    }
    ilea_wipe(bytes, sizeof bytes);
    return error;
}

static int
load_admin(struct ilea_command_act *act)
{
    char folder[ILEA_PATH_SIZE], file[ILEA_KEY_NAME_SIZE];
    int code = choose_admin(act->command, &act->own, folder, file);
    if (code != 0) return code;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum ilea_error error = fd < 0 ? ILEA_ERROR_NOT_FOUND : open_admin(act, fd, file);
    if (fd >= 0) close(fd);
    switch ((int)error) {
    case ILEA_ERROR_NONE: break;
    case ILEA_ERROR_NOT_FOUND:
        return ilea_command_fail(EX_NOINPUT, "no admin's key %s/%s: nothing was decided; see: ilea admin list", folder,
                                 file);
    case ILEA_ERROR_PASSPHRASE:
        return ilea_command_fail(EX_NOPERM, "wrong passphrase, or none, for %s: give --admin-passphrase-file FILE",
                                 file);
    case ILEA_ERROR_PERMISSION:
        return ilea_command_fail(EX_NOPERM, "%s is open to others, or not ours: chmod 600 it, if nobody had it", file);
    case ILEA_ERROR_CORRUPT:
        return ilea_command_fail(EX_DATAERR, "%s is damaged, or no admin's key", file);
    default:
        return ilea_command_fail(ilea_exit_code(error), "%s cannot be read: %s", file, ilea_error_text(error));
    }
    ilea_sign_secret_public(act->admin, &act->admin_public);
    if (is_admin(&act->own, act->admin_public.bytes)) return 0;
    return ilea_command_fail(EX_NOPERM, "%s is no admin's key here (any more): nothing was decided; see: ilea admin "
                                        "list", file);
}

int
ilea_command_act_begin(struct ilea_command_act *act, const struct ilea_command *command, const char *kind,
                       bool needs_admin)
{
    *act = (struct ilea_command_act){ .command = command };
    const char *reason = command->reason;
    if (reason != NULL && !ilea_note_is_plain((struct ilea_span){ (const uint8_t *)reason, strlen(reason) })) {
        return ilea_command_fail(EX_DATAERR, "--reason takes one line of plain text, at most 500 bytes");
    }
    act->texts = malloc(TEXTS_SIZE);
    if (act->texts == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = ilea_command_log(command, &act->log);
    if (code != 0) return code;
    const struct ilea_agency_id *own = &ilea_log_identity(act->log)->agency;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(act->log), false, &act->txn);
    if (error == ILEA_ERROR_NONE) error = ilea_chain_last(act->txn, own, &act->own);
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "the log cannot be read: %s", ilea_error_text(error));
    }
    act->act.agency = *own;
    act->act.made_ms = ilea_wall_ms();
    act->act.kind = (struct ilea_span){ (const uint8_t *)kind, strlen(kind) };
    ilea_random_bytes(act->act.nonce, sizeof act->act.nonce);
    if (command->clock_is_right) ilea_command_act_add(act, "clock", "right");
    return needs_admin ? load_admin(act) : 0;
}

void
ilea_command_act_end(struct ilea_command_act *act)
{
    ilea_sign_secret_free(act->admin);
    ilea_transaction_abort(act->txn);
    ilea_log_close(act->log);
    free(act->texts);
    *act = (struct ilea_command_act){ .command = NULL };
}

void
ilea_command_act_subject(struct ilea_command_act *act, const struct ilea_agency_id *subject)
{
    act->act.has_subject = true;
    act->act.subject = *subject;
}

/* A value that is too long is kept whole here and refused when the act is encoded. */
void
ilea_command_act_add(struct ilea_command_act *act, const char *key, const char *value)
{
    if (value == NULL || act->act.pair_count == ILEA_ACT_PAIRS_MAX) return;
    size_t size = strlen(value);
    if (size > ILEA_ACT_VALUE_MAX + 1 || act->texts_used + size > TEXTS_SIZE) size = ILEA_ACT_VALUE_MAX + 1;
    if (act->texts_used + size > TEXTS_SIZE) return;
    char *text = act->texts + act->texts_used;
    memcpy(text, value, size);
    act->texts_used += size;
    act->act.pairs[act->act.pair_count].key = (struct ilea_span){ (const uint8_t *)key, strlen(key) };
    act->act.pairs[act->act.pair_count++].value = (struct ilea_span){ (const uint8_t *)text, size };
}

static int
hand_over(struct ilea_command_act *act, struct ilea_span bytes, struct ilea_span payload,
          struct ilea_control_decision *answer)
{
    struct ilea_trust_request *request = calloc(1, sizeof *request);
    if (request == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    request->act = bytes;
    request->payload = payload;
    if (act->admin != NULL) {
        request->sig_count = 1;
        request->sigs[0].admin = act->admin_public;
        ilea_act_sign(&act->act, &ilea_log_identity(act->log)->network, act->admin, &request->sigs[0].sig);
    }
    struct ilea_writer *writer = NULL;
    int code = ilea_command_writer(act->command, NULL, NULL, &writer);
    enum ilea_error error = ILEA_ERROR_NONE;
    if (code == 0) error = ilea_writer_decide(writer, request, answer);
    ilea_writer_close(writer);
    free(request);
    if (code != 0) return code;
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "nothing was decided: %s", ilea_error_text(error));
    }
    if (answer->error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(ilea_exit_code(answer->error), "%s", answer->reason);
}

int
ilea_command_act_send(struct ilea_command_act *act, struct ilea_span payload, struct ilea_control_decision *answer)
{
    uint8_t *bytes = malloc(ILEA_ACT_SIZE_MAX);
    size_t size = 0;
    if (bytes == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    enum ilea_error error = ilea_act_encode(&act->act, bytes, ILEA_ACT_SIZE_MAX, &size);
    int code = error == ILEA_ERROR_NONE
        ? hand_over(act, (struct ilea_span){ bytes, size }, payload, answer)
        : ilea_command_fail(EX_DATAERR, "a text is too long or holds control characters: nothing was decided");
    free(bytes);
    return code;
}

int
ilea_command_act_sign(struct ilea_command_act *act, struct ilea_span proposed, struct ilea_control_decision *answer)
{
    if (ilea_act_decode(proposed, &act->act) != ILEA_ERROR_NONE) {
        return ilea_command_fail(EX_DATAERR, "the proposal is damaged; run ilea verify");
    }
    return hand_over(act, proposed, (struct ilea_span){ NULL, 0 }, answer);
}

int
ilea_command_act_agency(struct ilea_command_act *act, const char *name, struct ilea_agency *agency)
{
    enum ilea_error error = ilea_agency_find(act->txn, name, agency);
    if (error == ILEA_ERROR_NOT_FOUND) {
        return ilea_command_fail(EX_NOINPUT,
                                 "no agency %.40s; see: ilea peer list, or take its card: ilea peer add FILE", name);
    }
    if (error == ILEA_ERROR_EXISTS) {
        return ilea_command_fail(EX_DATAERR, "several agencies are called %.40s; name it by its id (ilea peer list)",
                                 name);
    }
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "the log cannot be read: %s", ilea_error_text(error));
    }
    if (agency->row.state != ILEA_AGENCY_SELF) return 0;
    return ilea_command_fail(EX_DATAERR, "%.40s is this node itself", name);
}

static json_t *
answer_json(const struct ilea_control_decision *answer, const char *next)
{
    bool waits = answer->outcome == ILEA_DECISION_WAITS;
    json_t *json = json_pack("{s:s,s:s,s:I,s:I,s:s*}", "decision", answer->kind, "outcome",
                             waits ? "waiting" : "done", "signatures", (json_int_t)answer->have, "needed",
                             (json_int_t)answer->needed, "next", next);
    if (waits) json_object_set_new(json, "proposal", json_integer((json_int_t)answer->proposal));
    if (answer->has_agency) {
        char id[2 * ILEA_ID_SIZE + 1], fingerprint[ILEA_FINGERPRINT_SIZE];
        ilea_command_hex(answer->agency.bytes, ILEA_ID_SIZE, id);
        ilea_fingerprint(answer->agency.bytes, fingerprint);
        json_object_set_new(json, "agency", json_string(answer->code));
        json_object_set_new(json, "agency_id", json_string(id));
        json_object_set_new(json, "fingerprint", json_string(fingerprint));
        json_object_set_new(json, "state", json_string(answer->state));
        json_object_set_new(json, "state_text", json_string(answer->words));
    }
    return json;
}

int
ilea_command_act_print(const struct ilea_command *command, const struct ilea_control_decision *answer,
                       const char *title, const char *done)
{
    char next[200];
    bool waits = answer->outcome == ILEA_DECISION_WAITS;
    if (waits) {
        (void)snprintf(next, sizeof next, "another admin signs it with: ilea admin sign %u --admin NAME",
                       answer->proposal);
    }
    if (command->json) {
        ilea_command_print(answer_json(answer, waits ? next : done));
        return 0;
    }
    if (waits) {
        (void)printf("proposal %u waits: %u of %u signatures\n%s\n", answer->proposal, answer->have, answer->needed,
                     next);
        return 0;
    }
    if (answer->has_agency) {
        (void)printf("%s is %s\n", answer->code, answer->words);
    } else {
        (void)printf("%s\n", title);
    }
    if (done != NULL) ilea_command_say(stdout, done);
    return 0;
}

/* Whether an entry says how the key's admin is called. */
static bool
names_admin(const struct ilea_audit_entry *entry, const char *hex, char name[ILEA_ADMIN_NAME_SIZE])
{
    struct ilea_span key = ilea_act_value(&entry->act, "key"), text = ilea_act_value(&entry->act, "name");
    if (key.size != strlen(hex) || memcmp(key.data, hex, key.size) != 0 || text.size == 0) return false;
    (void)snprintf(name, ILEA_ADMIN_NAME_SIZE, "%.*s", (int)text.size, (const char *)text.data);
    return true;
}

void
ilea_command_admin_name(struct ilea_transaction *txn, const struct ilea_sign_public *admin,
                        char name[ILEA_ADMIN_NAME_SIZE])
{
    char hex[2 * ILEA_SIGN_PUBLIC_SIZE + 1];
    uint64_t last = 0;
    uint8_t hash[ILEA_HASH_SIZE];
    name[0] = '\0';
    ilea_command_hex(admin->bytes, sizeof admin->bytes, hex);
    struct ilea_audit_entry *entry = malloc(sizeof *entry);
    if (entry == NULL || ilea_log_audit_last(txn, &last, hash) != ILEA_ERROR_NONE) last = 0;
    for (uint64_t seq = last; seq > 0; seq--) {
        struct ilea_span bytes;
        if (ilea_log_audit(txn, seq, &bytes) == ILEA_ERROR_NONE
            && ilea_entry_decode(bytes, entry) == ILEA_ERROR_NONE && names_admin(entry, hex, name)) {
            break;
        }
    }
    free(entry);
}
