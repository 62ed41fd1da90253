/* command_key.c - key status, rotate, revoke, recover: our own keys through their lives. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/chain.h"
#include "node/command_act.h"
#include "node/command_key.h"
#include "node/date.h"

enum { KEY_NODE = 1, KEY_TRANSPORT = 2, KEY_READING = 4, KEY_ALL = 7 };

/* New keys of ours, made and saved in keys/ beside the present ones. */
struct new_keys {
    struct ilea_sign_secret *node;
    char names[3][ILEA_KEY_NAME_SIZE]; /* of the files that were made; "": none */
    char next_folder[ILEA_PATH_SIZE];  /* where next roots were made, for that manifest */
    uint64_t next_index;
    uint32_t next_count;               /* 0: none were */
};

static int
open_keys(const struct ilea_command *command)
{
    char folder[ILEA_PATH_SIZE];
    ilea_home_path(command->home, "keys", folder);
    return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* node-3.key, or node-3-2.key where a proposal that was rejected left one behind. */
static void
choose_name(int folder, const char *what, uint64_t index, char name[ILEA_KEY_NAME_SIZE])
{
    (void)snprintf(name, ILEA_KEY_NAME_SIZE, "%s-%llu.key", what, (unsigned long long)index);
    for (unsigned i = 2; faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 && i < 1000; i++) {
        (void)snprintf(name, ILEA_KEY_NAME_SIZE, "%s-%llu-%u.key", what, (unsigned long long)index, i);
    }
}

static enum ilea_error
make_node(int folder, struct ilea_command_manifest *manifest, const struct ilea_span *passphrase,
          struct new_keys *made)
{
    enum ilea_error error = ilea_sign_generate(&made->node, &manifest->next.node);
    if (error != ILEA_ERROR_NONE) return error;
    choose_name(folder, "node", manifest->next.index, made->names[0]);
    return ilea_key_file_save_sign(folder, made->names[0], ILEA_KEY_NODE, made->node, passphrase);
}

static enum ilea_error
make_transport(int folder, struct ilea_command_manifest *manifest, const struct ilea_span *passphrase,
               struct new_keys *made)
{
    struct ilea_transport_secret *secret = NULL;
    enum ilea_error error = ilea_transport_generate(&secret, &manifest->next.transport);
    if (error != ILEA_ERROR_NONE) return error;
    choose_name(folder, "transport", manifest->next.index, made->names[1]);
    error = ilea_key_file_save_transport(folder, made->names[1], secret, passphrase);
    ilea_transport_secret_free(secret);
    return error;
}

static enum ilea_error
make_reading(int folder, struct ilea_command_manifest *manifest, const struct ilea_span *passphrase,
             struct new_keys *made)
{
    struct ilea_reading_secret *secret = NULL;
    enum ilea_error error = ilea_reading_generate(&secret, &manifest->next.reading);
    if (error != ILEA_ERROR_NONE) return error;
    choose_name(folder, "reading", manifest->next.index, made->names[2]);
    error = ilea_key_file_save_reading(folder, made->names[2], secret, passphrase);
    ilea_reading_secret_free(secret);
    return error;
}

static int
make_keys(const struct ilea_command *command, struct ilea_command_manifest *manifest, unsigned which,
          struct new_keys *made)
{
    const struct ilea_span passphrase = { manifest->passphrase, manifest->passphrase_size };
    int folder = open_keys(command);
    enum ilea_error error = folder < 0 ? ILEA_ERROR_IO : ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && (which & KEY_NODE) != 0) error = make_node(folder, manifest, &passphrase, made);
    if (error == ILEA_ERROR_NONE && (which & KEY_TRANSPORT) != 0) {
        error = make_transport(folder, manifest, &passphrase, made);
    }
    if (error == ILEA_ERROR_NONE && (which & KEY_READING) != 0) {
        error = make_reading(folder, manifest, &passphrase, made);
    }
    if (folder >= 0) close(folder);
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(ilea_exit_code(error), "new keys cannot be made in keys/: %s", ilea_error_text(error));
}

/* Keys that nothing came of. */
static void
destroy_keys(const struct ilea_command *command, const struct new_keys *made)
{
    int folder = open_keys(command);
    for (unsigned i = 0; folder >= 0 && i < 3; i++) {
        if (made->names[i][0] != '\0') (void)!ilea_key_file_destroy(folder, made->names[i]);
    }
    if (folder >= 0) close(folder);
    if (made->next_count > 0) {
        ilea_command_drop_next_roots(made->next_folder, made->next_index, made->next_count, made->next_count);
    }
}

/* Sign and hand over. Whether the new keys came into force may be unknown if the answer is lost: then they stay. */
static int
finish_change(struct ilea_command_act *act, struct ilea_command_manifest *manifest, struct new_keys *made,
              const char *title, const char *done)
{
    struct ilea_control_decision answer = { .error = ILEA_ERROR_NONE };
    int code = ilea_command_manifest_sign(act, manifest, made->node != NULL ? made->node : manifest->keys.node);
    bool is_void = code != 0;
    if (code == 0) {
        code = ilea_command_act_send(act, (struct ilea_span){ manifest->bytes, manifest->size }, &answer);
        is_void = code != 0 && answer.error != ILEA_ERROR_NONE;
    }
    if (is_void) destroy_keys(act->command, made);
    ilea_sign_secret_free(made->node);
    made->node = NULL;
    return code == 0 ? ilea_command_act_print(act->command, &answer, title, done) : code;
}

static bool
parse_only(const char *text, unsigned *which)
{
    static const struct { const char *name; unsigned bit; } names[] = {
        { "node", KEY_NODE }, { "transport", KEY_TRANSPORT }, { "reading", KEY_READING } };
    *which = text == NULL ? KEY_ALL : 0;
    for (const char *at = text; at != NULL;) {
        const char *end = strchr(at, ',');
        size_t size = end != NULL ? (size_t)(end - at) : strlen(at);
        unsigned bit = 0;
        for (unsigned i = 0; i < 3; i++) {
            if (strlen(names[i].name) == size && memcmp(names[i].name, at, size) == 0) bit = names[i].bit;
        }
        if (bit == 0) return false;
        *which |= bit;
        at = end != NULL ? end + 1 : NULL;
    }
    return true;
}

/* Begin a change of keys; the caller ends both in any case. */
static int
begin_change(struct ilea_command_act *act, const struct ilea_command *command, const char *kind, bool needs_admin,
             struct ilea_command_manifest **manifest)
{
    *act = (struct ilea_command_act){ .command = command };
    *manifest = calloc(1, sizeof **manifest);
    if (*manifest == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = ilea_command_act_begin(act, command, kind, needs_admin);
    return code == 0 ? ilea_command_manifest_begin(act, *manifest) : code;
}

static void
end_change(struct ilea_command_act *act, struct ilea_command_manifest *manifest)
{
    if (manifest != NULL) ilea_command_manifest_end(manifest);
    free(manifest);
    ilea_command_act_end(act);
}

static int
key_rotate(const struct ilea_command *command)
{
    unsigned which;
    if (command->word_count != 2 || !parse_only(command->only, &which)) {
        return ilea_command_usage("key rotate takes --only and a list of node, transport and reading");
    }
    struct ilea_command_act act;
    struct ilea_command_manifest *manifest;
    struct new_keys made = { .node = NULL };
    char title[80];
    int code = begin_change(&act, command, "key.rotate", true, &manifest);
    if (code == 0) code = make_keys(command, manifest, which, &made);
    if (code == 0) {
        ilea_command_act_add(&act, "only", command->only);
        (void)snprintf(title, sizeof title, "the keys are those of manifest %llu now",
                       (unsigned long long)manifest->next.index);
        code =
            finish_change(&act, manifest, &made, title,
                          "Peers follow by themselves; move the root keys to their safe again; see: ilea key status");
    } else {
        destroy_keys(command, &made);
        ilea_sign_secret_free(made.node);
    }
    end_change(&act, manifest);
    return code;
}

/* --last-good FEED:SEQ for a feed; UINT64_MAX: none was given. */
static uint64_t
last_good(const struct ilea_command *command, const char *hex)
{
    for (int i = 0; i < command->last_good_count; i++) {
        const char *colon = strchr(command->last_good[i], ':');
        uint64_t seq;
        if (colon == NULL || !ilea_command_number(colon + 1, &seq)) continue;
        size_t size = (size_t)(colon - command->last_good[i]);
        if (size >= 8 && size <= strlen(hex) && strncmp(hex, command->last_good[i], size) == 0) return seq;
    }
    return UINT64_MAX;
}

/* Each --last-good names one feed of that key, at a seq that it has. */
static int
check_last_good(struct ilea_command_act *act, const struct ilea_sign_public *node)
{
    const struct ilea_command *command = act->command;
    for (int i = 0; i < command->last_good_count; i++) {
        const char *text = command->last_good[i], *colon = strchr(text, ':');
        uint64_t seq;
        if (colon == NULL || colon - text < 8 || colon - text > 2 * ILEA_ID_SIZE
            || !ilea_command_number(colon + 1, &seq)) {
            return ilea_command_fail(EX_USAGE, "--last-good takes FEED:SEQ, FEED 8 hex digits or more, not %s", text);
        }
        unsigned matches = 0;
        struct ilea_feed_row feed, found = { .seq = 0 };
        for (uint32_t number = 1; ilea_log_feed(act->txn, number, &feed) == ILEA_ERROR_NONE; number++) {
            char hex[2 * ILEA_ID_SIZE + 1];
            ilea_command_hex(feed.id.bytes, sizeof feed.id.bytes, hex);
            if (!ilea_scope_is_shared(feed.origin.scope) || strncmp(hex, text, (size_t)(colon - text)) != 0
                || memcmp(feed.origin.node.bytes, node->bytes, sizeof node->bytes) != 0) {
                continue;
            }
            matches++;
            found = feed;
        }
        if (matches != 1) {
            return ilea_command_fail(EX_DATAERR, "%.*s is %s of the key; see: ilea status --json", (int)(colon - text),
                                     text, matches == 0 ? "no shared feed" : "more than one feed");
        }
        if (seq > found.seq) {
            return ilea_command_fail(EX_DATAERR, "feed %.*s has only %llu commits", (int)(colon - text), text,
                                     (unsigned long long)found.seq);
        }
    }
    return 0;
}

/* Where the shared feeds of the revoked key end: ascending by feed, into *positions. */
static int
collect_positions(struct ilea_command_act *act, const struct ilea_sign_public *node, struct ilea_position **positions,
                  uint32_t *count, json_t *plan)
{
    *positions = calloc(ILEA_PREDECESSORS_MAX, sizeof **positions);
    if (*positions == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    *count = 0;
    struct ilea_feed_row feed;
    for (uint32_t number = 1; ilea_log_feed(act->txn, number, &feed) == ILEA_ERROR_NONE; number++) {
        if (!ilea_scope_is_shared(feed.origin.scope) || feed.seq == 0
            || memcmp(feed.origin.agency.bytes, act->own.id.bytes, ILEA_ID_SIZE) != 0
            || memcmp(feed.origin.node.bytes, node->bytes, sizeof node->bytes) != 0) {
            continue;
        }
        char hex[2 * ILEA_ID_SIZE + 1];
        ilea_command_hex(feed.id.bytes, sizeof feed.id.bytes, hex);
        uint64_t good = last_good(act->command, hex), seq = feed.seq < feed.limit_seq ? feed.seq : feed.limit_seq;
        if (good < seq) seq = good;
        json_array_append_new(plan, json_pack("{s:s,s:I,s:I}", "feed", hex, "keep", (json_int_t)seq, "held",
                                              (json_int_t)feed.seq));
        if (seq == 0) continue; /* not listed: void from its first commit on */
        struct ilea_chain_row chain;
        if (*count == ILEA_PREDECESSORS_MAX) return ilea_command_fail(EX_DATAERR, "too many feeds of one key");
        if (ilea_log_chain(act->txn, number, seq, &chain) != ILEA_ERROR_NONE) {
            return ilea_command_fail(EX_DATAERR, "the log is damaged; run ilea verify");
        }
        uint32_t at = (*count)++;
        for (; at > 0 && memcmp((*positions)[at - 1].feed.bytes, feed.id.bytes, ILEA_ID_SIZE) > 0; at--) {
            (*positions)[at] = (*positions)[at - 1];
        }
        (*positions)[at] = (struct ilea_position){ feed.id, seq, chain.id };
    }
    return 0;
}

static void
print_plan(const struct ilea_command *command, json_t *plan)
{
    if (command->json) {
        ilea_command_print(json_pack("{s:O,s:s}", "plan", plan, "outcome", "planned"));
        return;
    }
    size_t i;
    json_t *feed;
    json_array_foreach(plan, i, feed) {
        (void)printf("feed %.16s  keeps %lld of %lld commits\n", json_string_value(json_object_get(feed, "feed")),
                     (long long)json_integer_value(json_object_get(feed, "keep")),
                     (long long)json_integer_value(json_object_get(feed, "held")));
    }
    (void)printf("New node, transport and reading keys are made. What the old node key signed beyond these places "
                 "counts for nothing, here and at every peer.\n");
}

/* The new manifest revokes `node`, and says where its feeds end. */
static int
revoke_key(struct ilea_command_act *act, struct ilea_command_manifest *manifest, const struct ilea_sign_public *node)
{
    struct ilea_position *positions = NULL;
    uint32_t count = 0;
    json_t *plan = json_array();
    int code = check_last_good(act, node);
    if (code == 0) code = collect_positions(act, node, &positions, &count, plan);
    if (code == 0 && !act->command->yes) {
        print_plan(act->command, plan);
        code = ilea_command_fail(EX_USAGE,
                                 "nothing was done yet: if this is right, add --yes; else --last-good FEED:SEQ");
    }
    size_t capacity = (size_t)(count + 1) * 96;
    if (code == 0 && (manifest->positions = malloc(capacity)) == NULL) {
        code = ilea_command_fail(EX_OSERR, "out of memory");
    }
    if (code == 0) {
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, manifest->positions, capacity);
        for (uint32_t i = 0; i < count; i++) ilea_position_put(&writer, &positions[i]);
        manifest->next.positions = ilea_msgpack_written(&writer);
        manifest->next.position_count = count;
        manifest->next.revoked[0] = *node;
        manifest->next.revoked_count = 1;
    }
    free(positions);
    json_decref(plan);
    return code;
}

static int
key_revoke(const struct ilea_command *command)
{
    if (command->word_count != 2) return ilea_command_usage("key revoke takes no words, only --last-good and --yes");
    struct ilea_command_act act;
    struct ilea_command_manifest *manifest;
    struct new_keys made = { .node = NULL };
    int code = begin_change(&act, command, "key.revoke", true, &manifest);
    if (code == 0) code = revoke_key(&act, manifest, &act.own.node);
    if (code == 0) {
        code = make_keys(command, manifest, KEY_ALL, &made);
        if (code != 0) destroy_keys(command, &made);
    }
    if (code == 0) {
        ilea_command_act_add(&act, "reason", command->reason);
        code = finish_change(&act, manifest, &made, "the old node key is revoked; this node has new keys",
                             "Peers drop what the old key signed beyond; move the root keys to their safe again");
    }
    end_change(&act, manifest);
    return code;
}

/* The manifest that the recovery follows: our newest, or the one before --from INDEX. */
static int
choose_prev(struct ilea_command_act *act, struct ilea_manifest *prev)
{
    uint64_t from = act->own.index + 1;
    if (act->command->from != NULL && (!ilea_command_number(act->command->from, &from) || from == 0)) {
        return ilea_command_usage("--from takes the index of the first manifest that is not ours, 1 or more");
    }
    if (from > act->own.index + 1) {
        return ilea_command_fail(EX_DATAERR, "our newest manifest is %llu: --from is at most one above",
                                 (unsigned long long)act->own.index);
    }
    enum ilea_error error = ilea_chain_at(act->txn, &act->own.id, from - 1, prev);
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(ilea_exit_code(error), "the manifest before cannot be read: %s", ilea_error_text(error));
}

/* In place of all admins one new one: whoever stole the roots may have had their keys, too. */
static int
replace_admins(struct ilea_command_act *act, struct ilea_command_manifest *manifest)
{
    const char *name = act->command->new_admin;
    if (name == NULL) return 0;
    if (!ilea_command_admin_name_is_valid(name)) {
        return ilea_command_usage("an admin's name is 1 to 40 letters, digits, '-', '_' and '.'");
    }
    char file[ILEA_KEY_NAME_SIZE], hex[2 * ILEA_SIGN_PUBLIC_SIZE + 1];
    const struct ilea_span passphrase = { manifest->passphrase, manifest->passphrase_size };
    struct ilea_sign_secret *secret = NULL;
    int folder = open_keys(act->command);
    (void)snprintf(file, sizeof file, "admin-%s.key", name);
    enum ilea_error error = ilea_sign_generate(&secret, &manifest->next.admins[0]);
    if (error == ILEA_ERROR_NONE) error = ilea_key_file_save_sign(folder, file, ILEA_KEY_ADMIN, secret, &passphrase);
    if (folder >= 0) close(folder);
    ilea_sign_secret_free(secret);
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "keys/%s cannot be made: %s", file, ilea_error_text(error));
    }
    manifest->next.admin_count = 1;
    ilea_command_hex(manifest->next.admins[0].bytes, sizeof manifest->next.admins[0].bytes, hex);
    ilea_command_act_add(act, "name", name);
    ilea_command_act_add(act, "key", hex);
    return 0;
}

static int
recover_with(struct ilea_command_act *act, struct ilea_command_manifest *manifest, const struct ilea_manifest *prev,
             struct new_keys *made)
{
    char keys[ILEA_PATH_SIZE];
    const struct ilea_span passphrase = { manifest->passphrase, manifest->passphrase_size };
    struct ilea_manifest *next = &manifest->next;
    next->index = prev->index + 1;
    memcpy(next->prev, prev->hash, sizeof next->prev);
    next->admin_count = prev->admin_count;
    memcpy(next->admins, prev->admins, sizeof next->admins);
    int code = ilea_command_next_roots(act, prev, manifest);
    if (code == 0) code = revoke_key(act, manifest, &prev->node);
    if (code == 0) code = replace_admins(act, manifest);
    if (code == 0) code = make_keys(act->command, manifest, KEY_ALL, made);
    if (code == 0) {
        ilea_home_path(act->command->home, "keys", keys);
        (void)snprintf(made->next_folder, sizeof made->next_folder, "%s",
                       act->command->out != NULL ? act->command->out : keys);
        code = ilea_command_make_next_roots(made->next_folder, next->index, next->threshold, next->root_count,
                                            &passphrase, next);
    }
    if (code == 0) {
        made->next_index = next->index;
        made->next_count = next->root_count;
    }
    if (code != 0) {
        destroy_keys(act->command, made);
        return code;
    }
    ilea_command_act_add(act, "reason", act->command->reason);
    return finish_change(
        act, manifest, made, "the next roots are our roots now; this node has new keys",
        "Move the new next-root files to a safe of their own; the stolen roots can do nothing any more");
}

static int
key_recover(const struct ilea_command *command)
{
    if (command->word_count != 2) {
        return ilea_command_usage(
            "key recover takes no words, only --roots, --from, --last-good, --new-admin and --yes");
    }
    struct ilea_command_act act;
    struct ilea_command_manifest *manifest;
    struct new_keys made = { .node = NULL };
    struct ilea_manifest *prev = malloc(sizeof *prev);
    if (prev == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = begin_change(&act, command, "key.recover", command->admin != NULL, &manifest);
    if (code == 0) code = choose_prev(&act, prev);
    if (code == 0) code = recover_with(&act, manifest, prev, &made);
    end_change(&act, manifest);
    free(prev);
    return code;
}

int
ilea_command_key(const struct ilea_command *command)
{
    const char *verb = command->word_count > 1 ? command->words[1] : "";
    if (strcmp(verb, "status") == 0) return ilea_command_key_status(command);
    if (strcmp(verb, "rotate") == 0) return key_rotate(command);
    if (strcmp(verb, "revoke") == 0) return key_revoke(command);
    if (strcmp(verb, "recover") == 0) return key_recover(command);
    return ilea_command_usage("key takes status, rotate, revoke or recover");
}
