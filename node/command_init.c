/* command_init.c - init: a new agency's keys, its first manifest, its home. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/audit.h"
#include "node/command_act.h"
#include "node/own_card.h"

struct identity {
    const char *admin_name;
    struct ilea_sign_secret *roots[ILEA_ROOTS_MAX]; /* in the order of their public keys */
    struct ilea_sign_secret *admin;
    struct ilea_keys keys;
    struct ilea_manifest manifest;
    uint8_t bytes[ILEA_MANIFEST_SIZE_MAX];          /* signed */
    size_t size;
    uint8_t card[ILEA_CARD_SIZE_MAX];
    size_t card_size;
};

static struct ilea_span
text_span(const char *text)
{
    return (struct ilea_span){ (const uint8_t *)text, strlen(text) };
}

static void
network_id(const char *name, struct ilea_network_id *network)
{
    ilea_hash_once(ILEA_DOMAIN_NETWORK, name, strlen(name), network->bytes);
}

static void
free_identity(struct identity *identity)
{
    for (unsigned i = 0; i < ILEA_ROOTS_MAX; i++) ilea_sign_secret_free(identity->roots[i]);
    ilea_sign_secret_free(identity->admin);
    ilea_keys_free(&identity->keys);
    free(identity);
}

/* Root keys in the order of their public keys: as manifests list them. */
static enum ilea_error
make_roots(struct identity *identity)
{
    struct ilea_manifest *manifest = &identity->manifest;
    for (uint32_t i = 0; i < manifest->root_count; i++) {
        struct ilea_sign_secret *secret = NULL;
        struct ilea_sign_public root;
        enum ilea_error error = ilea_sign_generate(&secret, &root);
        if (error != ILEA_ERROR_NONE) return error;
        uint32_t at = i;
        for (; at > 0 && memcmp(manifest->roots[at - 1].bytes, root.bytes, sizeof root.bytes) > 0; at--) {
            manifest->roots[at] = manifest->roots[at - 1];
            identity->roots[at] = identity->roots[at - 1];
        }
        manifest->roots[at] = root;
        identity->roots[at] = secret;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
make_keys(struct identity *identity)
{
    struct ilea_manifest *manifest = &identity->manifest;
    enum ilea_error error = make_roots(identity);
    if (error == ILEA_ERROR_NONE) error = ilea_sign_generate(&identity->admin, &manifest->admins[0]);
    if (error == ILEA_ERROR_NONE) error = ilea_sign_generate(&identity->keys.node, &manifest->node);
    if (error == ILEA_ERROR_NONE) error = ilea_reading_generate(&identity->keys.reading, &manifest->reading);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_transport_generate(&identity->keys.transport, &manifest->transport);
    }
    manifest->admin_count = 1;
    return error;
}

static enum ilea_error
save_roots(const struct identity *identity, int folder, const struct ilea_span *passphrase)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; i < identity->manifest.root_count && error == ILEA_ERROR_NONE; i++) {
        char name[32] = ILEA_KEY_NAME_ROOT;
        if (identity->manifest.root_count > 1) (void)snprintf(name, sizeof name, "root-%u.key", i + 1);
        error = ilea_key_file_save_sign(folder, name, ILEA_KEY_ROOT, identity->roots[i], passphrase);
    }
    return error;
}

static enum ilea_error
save_keys(const struct identity *identity, int folder, const struct ilea_span *passphrase)
{
    char name[ILEA_KEY_NAME_SIZE];
    (void)snprintf(name, sizeof name, "admin-%s.key", identity->admin_name);
    enum ilea_error error = save_roots(identity, folder, passphrase);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_key_file_save_sign(folder, name, ILEA_KEY_ADMIN, identity->admin, passphrase);
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_key_file_save_transport(folder, ILEA_KEY_NAME_TRANSPORT, identity->keys.transport, passphrase);
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_key_file_save_reading(folder, ILEA_KEY_NAME_READING, identity->keys.reading, passphrase);
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_key_file_save_sign(folder, ILEA_KEY_NAME_NODE, ILEA_KEY_NODE, identity->keys.node, passphrase);
    }
    return error;
}

/* The first entry of the audit feed: who may decide from the beginning. */
static enum ilea_error
enter_init(struct identity *identity, struct ilea_author *author)
{
    struct ilea_own_keys keys;
    struct ilea_own_keys_text text;
    char threshold[12], roots[12];
    const struct ilea_manifest *manifest = &identity->manifest;
    ilea_own_keys_of_manifest(manifest, &keys);
    ilea_own_keys_format(&keys, &text);
    (void)snprintf(threshold, sizeof threshold, "%u", manifest->threshold);
    (void)snprintf(roots, sizeof roots, "%u", manifest->root_count);
    struct ilea_act act = { .agency = manifest->id, .made_ms = ilea_author_now(author), .pair_count = 6,
                            .kind = text_span("agency.init"),
                            .pairs = { { text_span("manifest"), text_span(text.manifest) },
                                       { text_span("node"), text_span(text.node) },
                                       { text_span("name"), text_span(identity->admin_name) },
                                       { text_span("key"), text_span(text.admins) },
                                       { text_span("threshold"), text_span(threshold) },
                                       { text_span("roots"), text_span(roots) } } };
    struct ilea_act_signature sig = { .admin = manifest->admins[0] };
    uint8_t bytes[4096];
    size_t size = 0;
    ilea_random_bytes(act.nonce, sizeof act.nonce);
    enum ilea_error error = ilea_act_encode(&act, bytes, sizeof bytes, &size);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_act_sign(&act, &manifest->network, identity->admin, &sig.sig);
    return ilea_audit_append(author, (struct ilea_span){ bytes, size }, &sig, 1, NULL);
}

static enum ilea_error
begin_audit(struct identity *identity, const char *path)
{
    struct ilea_log *log = NULL;
    struct ilea_author *author = NULL;
    const struct ilea_author_commit *commits;
    uint32_t count;
    enum ilea_error error = ilea_log_open(path, false, &log);
    if (error == ILEA_ERROR_NONE) error = ilea_author_new(log, &identity->keys, NULL, &author);
    if (error == ILEA_ERROR_NONE) error = ilea_author_begin(author, ilea_wall_ms());
    if (error == ILEA_ERROR_NONE) error = enter_init(identity, author);
    if (error == ILEA_ERROR_NONE) error = ilea_author_commit(author, &commits, &count);
    ilea_author_free(author);
    ilea_log_close(log);
    return error;
}

/* The log comes last: a home is one when it has a log. */
static enum ilea_error
make_log(struct identity *identity, const char *home, const char *listen)
{
    const struct ilea_sign_secret *roots[ILEA_ROOTS_MAX];
    for (unsigned i = 0; i < ILEA_ROOTS_MAX; i++) roots[i] = identity->roots[i];
    enum ilea_error error = ilea_manifest_encode(&identity->manifest, identity->keys.node, roots, identity->bytes,
                                                 sizeof identity->bytes, &identity->size);
    const struct ilea_span chain = { identity->bytes, identity->size };
    uint64_t now = ilea_wall_ms();
    if (error == ILEA_ERROR_NONE) {
        error = ilea_card_encode(&chain, 1, text_span(listen), text_span(""), now, identity->keys.node, identity->card,
                                 sizeof identity->card, &identity->card_size);
    }
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_log_identity log = { .network = identity->manifest.network, .agency = identity->manifest.id };
    ilea_random_bytes(log.database, sizeof log.database);
    const struct ilea_agency_row own = { .id = log.agency, .state = ILEA_AGENCY_SELF, .changed_ms = now,
                                         .endpoint = text_span(listen), .made_ms = now };
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home, "log", path);
    error = ilea_log_create(path, &log, &own, chain, (struct ilea_span){ identity->card, identity->card_size });
    return error == ILEA_ERROR_NONE ? begin_audit(identity, path) : error;
}

static int
check_roots(const struct ilea_command *command, struct ilea_manifest *manifest)
{
    uint64_t roots = 1, threshold = 1;
    if (command->roots_count > 0
        && (command->roots_count > 1 || !ilea_command_number(command->roots[0], &roots) || roots < 1
            || roots > ILEA_ROOTS_MAX)) {
        return ilea_command_fail(EX_USAGE, "--roots takes a number of root keys from 1 to %d", ILEA_ROOTS_MAX);
    }
    if (command->threshold != NULL
        && (!ilea_command_number(command->threshold, &threshold) || threshold < 1 || threshold > roots)) {
        return ilea_command_fail(EX_USAGE, "--threshold takes how many of the roots must sign: 1 to %llu",
                                 (unsigned long long)roots);
    }
    if (roots > 1 && command->threshold == NULL) {
        return ilea_command_usage("init with several --roots needs --threshold: how many of them must sign");
    }
    manifest->root_count = (uint32_t)roots;
    manifest->threshold = (uint32_t)threshold;
    return 0;
}

static int
check_arguments(const struct ilea_command *command, struct identity *identity)
{
    struct ilea_manifest *manifest = &identity->manifest;
    if (command->word_count != 1) return ilea_command_usage("init takes no words, only options");
    if (command->agency == NULL || command->country == NULL) {
        return ilea_command_usage("init needs --agency CODE and --country CC");
    }
    manifest->code = text_span(command->agency);
    manifest->country = text_span(command->country);
    manifest->name = text_span(command->name != NULL ? command->name : command->agency);
    if (!ilea_code_is_valid(manifest->code)) {
        return ilea_command_fail(EX_USAGE, "--agency takes 2 to %d capital letters, digits and '-', as FR-PN",
                                 ILEA_CODE_SIZE_MAX);
    }
    size_t country = strlen(command->country);
    if (country < 2 || country > 3 || strspn(command->country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != country) {
        return ilea_command_fail(EX_USAGE, "--country takes a code of ISO 3166-1, as FR, or EU or INT");
    }
    if (!ilea_endpoint_is_dialable(command->listen != NULL ? command->listen : "")) {
        return ilea_command_fail(EX_USAGE,
                                 "--listen takes tcp://ADDRESS:PORT with the numeric address that peers reach");
    }
    identity->admin_name = command->admin != NULL ? command->admin : "admin";
    if (!ilea_command_admin_name_is_valid(identity->admin_name)) {
        return ilea_command_usage("an admin's name is 1 to 40 letters, digits, '-', '_' and '.'");
    }
    return check_roots(command, manifest);
}

static enum ilea_error
write_config(const char *home, const char *listen)
{
    char text[1024];
    int length = snprintf(text, sizeof text,
                          "[node]\n%slisten = %s\n\n"
                          "; Where agencies that are not known yet may ask to join; see man ilea.\n"
                          "; lobby = tcp://192.0.2.10:7102\n\n"
                          "; Approving a peer by --yes, without comparing a code, is allowed. Take this line away once "
                          "you rely on it.\nunverified = yes\n",
                          listen[0] == '\0' ? "; " : "", listen[0] == '\0' ? "tcp://192.0.2.10:7101" : listen);
    return ilea_home_write_file(home, "ilea.conf", text, (size_t)length);
}

/* Everything in the home but the log. Exit code, after a message. */
static int
make_files(struct identity *identity, const char *home, const char *listen, const struct ilea_span *passphrase)
{
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home, "keys", path);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum ilea_error error = folder >= 0 ? make_keys(identity) : ILEA_ERROR_IO;
    if (error == ILEA_ERROR_NONE) error = save_keys(identity, folder, passphrase);
    if (folder >= 0) close(folder);
    if (error == ILEA_ERROR_NONE) error = write_config(home, listen);
    if (error == ILEA_ERROR_NONE) {
        return ilea_command_make_next_roots(path, 0, identity->manifest.threshold, identity->manifest.root_count,
                                            passphrase, &identity->manifest);
    }
    return ilea_command_fail(ilea_exit_code(error), "cannot make %s: %s", home, ilea_error_text(error));
}

static int
make_home(const struct ilea_command *command, struct identity *identity, const struct ilea_span *passphrase)
{
    enum ilea_error error = ilea_home_create(command->home);
    if (error == ILEA_ERROR_EXISTS) {
        return ilea_command_fail(EX_CANTCREAT, "%s holds a node or its keys already: nothing was changed",
                                 command->home);
    }
    if (error == ILEA_ERROR_INVALID) {
        return ilea_command_fail(EX_CANTCREAT, "%s is on a network file system; use a local disk",
                                 command->home);
    }
    const char *listen = command->listen != NULL ? command->listen : "";
    if (error == ILEA_ERROR_NOT_FOUND) {
        return ilea_command_fail(EX_CANTCREAT, "cannot make %s: the folder above it does not exist", command->home);
    }
    if (error == ILEA_ERROR_NONE) {
        int code = make_files(identity, command->home, listen, passphrase);
        if (code == 0) error = make_log(identity, command->home, listen);
        if (code != 0 || error != ILEA_ERROR_NONE)
            ilea_home_take_back(command->home); /* so that it can be given again */
        if (code != 0) return code;
    }
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(ilea_exit_code(error), "cannot make %s: %s", command->home, ilea_error_text(error));
}

int
ilea_command_init(const struct ilea_command *command)
{
    struct identity *identity = calloc(1, sizeof *identity);
    if (identity == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    network_id(command->network != NULL ? command->network : "ileanet", &identity->manifest.network);
    int code = check_arguments(command, identity);
    uint8_t bytes[ILEA_PASSPHRASE_SIZE_MAX];
    struct ilea_span passphrase = { bytes, 0 };
    if (code == 0 && (command->passphrase || command->passphrase_file != NULL)
        && !ilea_command_passphrase(command, true, bytes, &passphrase.size)) {
        code = ilea_command_fail(EX_NOPERM, "no passphrase, or the two were not the same: nothing was made");
    }
    if (code == 0) code = make_home(command, identity, &passphrase);
    ilea_wipe(bytes, sizeof bytes);
    free_identity(identity);
    if (code == 0) code = ilea_command_id(command);
    if (code == 0 && !command->json) {
        char advice[ILEA_PATH_SIZE + 200];
        (void)snprintf(advice, sizeof advice, "Move the root and next-root files in %s/keys to two safes; a running "
                                              "node does not need them. admin-%s.key signs your decisions.",
                       command->home, command->admin != NULL ? command->admin : "admin");
        ilea_command_say(stderr, advice);
    }
    return code;
}
