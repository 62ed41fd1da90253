/* command_id.c - id and card: who we are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "node/agency.h"
#include "node/command.h"
#include "node/own_card.h"

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
    const struct ilea_manifest *manifest = &agency->manifest;
    char id[2 * ILEA_ID_SIZE + 1], agency_print[ILEA_FINGERPRINT_SIZE], node_print[ILEA_FINGERPRINT_SIZE],
        transport_print[ILEA_FINGERPRINT_SIZE];
    ilea_command_hex(agency->row.id.bytes, ILEA_ID_SIZE, id);
    ilea_fingerprint(agency->row.id.bytes, agency_print);
    ilea_fingerprint(manifest->node.bytes, node_print);
    ilea_fingerprint(manifest->transport.bytes, transport_print);
    struct ilea_span endpoint = agency->row.endpoint;
    if (json) {
        ilea_command_print(json_pack(
            "{s:s%,s:s%,s:s%,s:s,s:{s:s,s:s,s:s},s:s%}", "agency", manifest->code.data, manifest->code.size,
            "country", manifest->country.data, manifest->country.size, "name", manifest->name.data,
            manifest->name.size, "agency_id", id, "fingerprints", "agency", agency_print, "node", node_print,
            "transport", transport_print, "endpoint",
            endpoint.size > 0 ? (const char *)endpoint.data : "", endpoint.size));
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

/* Our card's bytes into *card (heap), made anew by a writer if our manifest has changed since. */
static int
load_card(const struct ilea_command *command, uint8_t **card, size_t *size)
{
    struct ilea_log *log = NULL;
    struct ilea_transaction *txn = NULL;
    struct ilea_span bytes = { NULL, 0 };
    struct ilea_config config;
    char reason[ILEA_REASON_SIZE];
    if (ilea_home_exists(command->home)
        && ilea_home_config(command->home, &config, reason) != ILEA_ERROR_NONE) {
        return ilea_command_fail(EX_CONFIG, "%s", reason);
    }
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        int code = ilea_command_log(command, &log);
        if (code != 0) return code;
        enum ilea_error error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
        bool current = error == ILEA_ERROR_NONE
            && ilea_own_card_is_current(txn, &ilea_log_identity(log)->agency, &config);
        if (current) error = ilea_log_card(txn, &bytes);
        if (current && error == ILEA_ERROR_NONE && (*card = malloc(bytes.size)) != NULL) {
            memcpy(*card, bytes.data, bytes.size);
            *size = bytes.size;
        }
        ilea_transaction_abort(txn);
        ilea_log_close(log);
        if (*card != NULL) return 0;
        struct ilea_writer *writer = NULL; /* opening the home makes it; so does the daemon when it reloads */
        code = attempt == 0 ? ilea_command_writer(command, NULL, NULL, &writer) : EX_TEMPFAIL;
        ilea_writer_close(writer);
        if (code != 0 && attempt == 0) return code;
    }
    return ilea_command_fail(EX_TEMPFAIL, "our card is being made anew: try again; if ilea.conf was changed, restart "
                                          "ilea-node first");
}

int
ilea_command_card(const struct ilea_command *command)
{
    if (command->word_count != 1) return ilea_command_usage("card takes no words, only --out");
    uint8_t *card = NULL;
    size_t card_size = 0, size = 0;
    int code = load_card(command, &card, &card_size);
    if (code != 0) return code;
    char *text = malloc(2 * ILEA_CARD_SIZE_MAX);
    struct ilea_card *decoded = malloc(sizeof *decoded);
    const struct ilea_span bytes = { card, card_size };
    enum ilea_error error = text != NULL && decoded != NULL ? ilea_card_decode(bytes, decoded) : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_card_format(decoded, bytes, text, 2 * ILEA_CARD_SIZE_MAX, &size);
    code = error == ILEA_ERROR_NONE
        ? write_card(command, text, size)
        : ilea_command_fail(EX_SOFTWARE, "the card cannot be written: %s", ilea_error_text(error));
    free(decoded);
    free(text);
    free(card);
    return code;
}
