/* command_init.c - init, id and card: who we are. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/agency.h"
#include "node/command.h"

struct identity {
    struct ilea_sign_secret *root, *next_root, *node;
    struct ilea_reading_secret *reading;
    struct ilea_transport_secret *transport;
    struct ilea_sign_public root_public, next_root_public;
    struct ilea_manifest manifest;
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
    ilea_sign_secret_free(identity->root);
    ilea_sign_secret_free(identity->next_root);
    ilea_sign_secret_free(identity->node);
    ilea_reading_secret_free(identity->reading);
    ilea_transport_secret_free(identity->transport);
}

static enum ilea_error
make_keys(struct identity *identity)
{
    struct ilea_manifest *manifest = &identity->manifest;
    enum ilea_error error = ilea_sign_generate(&identity->root, &identity->root_public);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_sign_generate(&identity->next_root, &identity->next_root_public);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_sign_generate(&identity->node, &manifest->node);
    if (error == ILEA_ERROR_NONE) error = ilea_reading_generate(&identity->reading, &manifest->reading);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_transport_generate(&identity->transport, &manifest->transport);
    }
    manifest->threshold = manifest->root_count = 1;
    manifest->roots[0] = identity->root_public;
    ilea_roots_hash(1, &identity->next_root_public, 1, manifest->next_roots);
    return error;
}

static enum ilea_error
save_keys(const struct identity *identity, const char *home, const struct ilea_span *passphrase)
{
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home, "keys", path);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return ILEA_ERROR_IO;
    enum ilea_error error = ilea_key_file_save_sign(folder, ILEA_KEY_NAME_ROOT, ILEA_KEY_ROOT,
                                                    identity->root, passphrase);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_key_file_save_sign(folder, ILEA_KEY_NAME_NEXT_ROOT, ILEA_KEY_ROOT,
                                        identity->next_root, passphrase);
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_key_file_save_transport(folder, ILEA_KEY_NAME_TRANSPORT, identity->transport,
                                             passphrase);
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_key_file_save_reading(folder, ILEA_KEY_NAME_READING, identity->reading, passphrase);
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_key_file_save_sign(folder, ILEA_KEY_NAME_NODE, ILEA_KEY_NODE, identity->node,
                                        passphrase);
    }
    close(folder);
    return error;
}

/* Our own card as the log keeps it; `manifest` and `card` are room for the bytes. */
static enum ilea_error
make_card(struct identity *identity, const char *listen, uint8_t *manifest, uint8_t *card, size_t *card_size)
{
    const struct ilea_sign_secret *const roots[] = { identity->root };
    struct ilea_span chain = { manifest, 0 };
    enum ilea_error error = ilea_manifest_encode(&identity->manifest, identity->node, roots, manifest,
                                                 ILEA_MANIFEST_SIZE_MAX, &chain.size);
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_card_encode(&chain, 1, text_span(listen), text_span(""), ilea_wall_ms(), identity->node, card,
                            ILEA_CARD_SIZE_MAX, card_size);
}

/* The log comes last: a home is one when it has a log. */
static enum ilea_error
make_log(struct identity *identity, const char *home, const char *listen)
{
    uint8_t *bytes = malloc(ILEA_MANIFEST_SIZE_MAX + ILEA_CARD_SIZE_MAX);
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    uint8_t *card = bytes + ILEA_MANIFEST_SIZE_MAX;
    size_t card_size = 0;
    enum ilea_error error = make_card(identity, listen, bytes, card, &card_size);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_log_identity log = { .network = identity->manifest.network,
                                         .agency = identity->manifest.id };
        ilea_random_bytes(log.database, sizeof log.database);
        const struct ilea_agency_row own = { .id = log.agency, .state = ILEA_AGENCY_SELF,
                                             .changed_ms = ilea_wall_ms(), .card = { card, card_size } };
        char path[ILEA_PATH_SIZE];
        ilea_home_path(home, "log", path);
        error = ilea_log_create(path, &log, &own);
    }
    free(bytes);
    return error;
}

/* What stands on the card must lead here from elsewhere: one numeric address. */
static bool
is_dialable(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    if (!ilea_endpoint_is_valid(text_span(endpoint))) return false;
    if (endpoint[0] == '\0') return true;
    char address[ILEA_ENDPOINT_SIZE_MAX];
    uint8_t bytes[16], nowhere[16] = { 0 };
    const char *from = endpoint + strlen("tcp://");
    size_t size = (size_t)(colon - from);
    bool six = from[0] == '[' && from[size - 1] == ']';
    (void)snprintf(address, sizeof address, "%.*s", (int)(six ? size - 2 : size), six ? from + 1 : from);
    int family = six ? AF_INET6 : AF_INET;
    return inet_pton(family, address, bytes) == 1 && memcmp(bytes, nowhere, six ? 16 : 4) != 0;
}

static int
check_arguments(const struct ilea_command *command, struct ilea_manifest *manifest)
{
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
    if (!is_dialable(command->listen != NULL ? command->listen : "")) {
        return ilea_command_fail(EX_USAGE,
                                 "--listen takes tcp://ADDRESS:PORT with the numeric address that peers reach");
    }
    return 0;
}

int
ilea_command_init(const struct ilea_command *command)
{
    struct identity identity = { .root = NULL };
    int code = check_arguments(command, &identity.manifest);
    if (code != 0) return code;
    network_id(command->network != NULL ? command->network : "ileanet", &identity.manifest.network);

    uint8_t bytes[ILEA_PASSPHRASE_SIZE_MAX];
    struct ilea_span passphrase = { bytes, 0 };
    if ((command->passphrase || command->passphrase_file != NULL)
        && !ilea_command_passphrase(command, true, bytes, &passphrase.size)) {
        return ilea_command_fail(EX_NOPERM, "no passphrase, or the two were not the same: nothing was made");
    }
    enum ilea_error error = ilea_home_create(command->home);
    if (error == ILEA_ERROR_EXISTS) {
        return ilea_command_fail(EX_CANTCREAT, "%s holds a node or its keys already: nothing was changed",
                                 command->home);
    }
    if (error == ILEA_ERROR_INVALID) {
        return ilea_command_fail(EX_CANTCREAT, "%s is on a network file system; use a local disk",
                                 command->home);
    }
    if (error == ILEA_ERROR_NONE) error = make_keys(&identity);
    if (error == ILEA_ERROR_NONE) error = save_keys(&identity, command->home, &passphrase);
    const char *listen = command->listen != NULL ? command->listen : "";
    if (error == ILEA_ERROR_NONE) {
        char text[512];
        int length = snprintf(text, sizeof text, "[node]\n%slisten = %s\n", listen[0] == '\0' ? "; " : "",
                              listen[0] == '\0' ? "tcp://192.0.2.10:7101" : listen);
        error = ilea_home_write_file(command->home, "ilea.conf", text, (size_t)length);
    }
    if (error == ILEA_ERROR_NONE) error = make_log(&identity, command->home, listen);
    ilea_wipe(bytes, sizeof bytes);
    free_identity(&identity);
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "cannot make %s: %s", command->home,
                                 ilea_error_text(error));
    }
    code = ilea_command_id(command);
    if (code == 0 && !command->json) {
        (void)fprintf(stderr, "Move %s/keys/root.key and next-root.key to a safe; a running node does not "
                              "need them.\n", command->home);
    }
    return code;
}

/* Our own agency's row and card; to be freed. NULL: *code says how it ended. */
static struct ilea_agency *
load_own(const struct ilea_command *command, int *code)
{
    struct ilea_log *log = NULL;
    *code = ilea_command_log(command, &log);
    if (*code != 0) return NULL;
    struct ilea_agency *agency = malloc(sizeof *agency);
    struct ilea_transaction *txn = NULL;
    enum ilea_error error = agency == NULL ? ILEA_ERROR_NO_MEMORY : ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_agency_load(txn, &ilea_log_identity(log)->agency, agency);
    ilea_transaction_abort(txn);
    ilea_log_close(log);
    if (error == ILEA_ERROR_NONE) return agency;
    free(agency);
    *code = ilea_command_fail(ilea_exit_code(error), "the log cannot be read: %s", ilea_error_text(error));
    return NULL;
}

static void
print_id(const struct ilea_agency *agency, bool json)
{
    const struct ilea_manifest *manifest = &agency->card.manifest;
    char id[2 * ILEA_ID_SIZE + 1], agency_print[ILEA_FINGERPRINT_SIZE], node_print[ILEA_FINGERPRINT_SIZE],
        transport_print[ILEA_FINGERPRINT_SIZE];
    ilea_command_hex(agency->row.id.bytes, ILEA_ID_SIZE, id);
    ilea_fingerprint(agency->row.id.bytes, agency_print);
    ilea_fingerprint(manifest->node.bytes, node_print);
    ilea_fingerprint(manifest->transport.bytes, transport_print);
    struct ilea_span endpoint = agency->card.endpoint;
    if (json) {
        ilea_command_print(json_pack(
            "{s:s%,s:s%,s:s%,s:s,s:{s:s,s:s,s:s},s:s%}", "agency", manifest->code.data, manifest->code.size,
            "country", manifest->country.data, manifest->country.size, "name", manifest->name.data,
            manifest->name.size, "agency_id", id, "fingerprints", "agency", agency_print, "node", node_print,
            "transport", transport_print, "endpoint", endpoint.data, endpoint.size));
        return;
    }
    (void)printf("agency       %.*s (%.*s) %.*s\nagency id    %s\nfingerprint  %s\n"
                 "node key     %s\ntransport    %s\nendpoint     %.*s\n",
                 (int)manifest->code.size, (const char *)manifest->code.data, (int)manifest->country.size,
                 (const char *)manifest->country.data, (int)manifest->name.size,
                 (const char *)manifest->name.data, id, agency_print, node_print, transport_print,
                 endpoint.size > 0 ? (int)endpoint.size : 4,
                 endpoint.size > 0 ? (const char *)endpoint.data : "none");
}

int
ilea_command_id(const struct ilea_command *command)
{
    if (command->word_count != 1) return ilea_command_usage("id takes no words");
    int code = 0;
    struct ilea_agency *agency = load_own(command, &code);
    if (agency != NULL) print_id(agency, command->json);
    free(agency);
    return code;
}

static int
write_card(const struct ilea_command *command, const char *text, size_t size)
{
    if (command->json) {
        ilea_command_print(json_pack("{s:s%}", "card", text, size));
        return 0;
    }
    if (command->out == NULL) {
        (void)fwrite(text, 1, size, stdout);
        return 0;
    }
    FILE *file = fopen(command->out, "w");
    bool written = file != NULL && fwrite(text, 1, size, file) == size;
    if (file != NULL && fclose(file) != 0) written = false;
    if (written) return 0;
    return ilea_command_fail(EX_CANTCREAT, "cannot write %s", command->out);
}

int
ilea_command_card(const struct ilea_command *command)
{
    if (command->word_count != 1) return ilea_command_usage("card takes no words, only --out");
    int code = 0;
    struct ilea_agency *agency = load_own(command, &code);
    if (agency == NULL) return code;
    char *text = malloc(2 * ILEA_CARD_SIZE_MAX);
    size_t size = 0;
    enum ilea_error error = text == NULL ? ILEA_ERROR_NO_MEMORY
                                         : ilea_card_format(&agency->card, agency->row.card, text,
                                                            2 * ILEA_CARD_SIZE_MAX, &size);
    code = error == ILEA_ERROR_NONE
        ? write_card(command, text, size)
        : ilea_command_fail(EX_SOFTWARE, "the card cannot be written: %s", ilea_error_text(error));
    free(text);
    free(agency);
    return code;
}
