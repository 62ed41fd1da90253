/* command_peer.c - peer add, approve, list: whom this node shares with. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "node/agency.h"
#include "node/command.h"

static int
answer(const struct ilea_command *command, const struct ilea_control_agency *agency)
{
    if (agency->error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(agency->error), "%s", agency->reason);
    }
    char fingerprint[ILEA_FINGERPRINT_SIZE], id[2 * ILEA_ID_SIZE + 1];
    ilea_fingerprint(agency->id.bytes, fingerprint);
    ilea_command_hex(agency->id.bytes, ILEA_ID_SIZE, id);
    if (command->json) {
        ilea_command_print(json_pack("{s:s,s:s,s:s,s:s}", "agency", agency->code, "agency_id", id, "state",
                                     agency->state, "fingerprint", fingerprint));
        return 0;
    }
    (void)printf("%s is %s\nfingerprint %s\n", agency->code, agency->state, fingerprint);
    if (strcmp(agency->state, "pending") == 0) {
        (void)printf("Compare the fingerprint with them over another channel, then:\n"
                     "  ilea peer approve %s --yes\n", agency->code);
    }
    return 0;
}

static int
peer_add(const struct ilea_command *command)
{
    if (command->word_count != 3) return ilea_command_usage("peer add takes one card file");
    int fd = strcmp(command->words[2], "-") == 0 ? STDIN_FILENO
                                                 : open(command->words[2], O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ilea_command_fail(EX_NOINPUT, "cannot read %s", command->words[2]);
    char text[2 * ILEA_CARD_SIZE_MAX];
    size_t size = 0;
    ssize_t part;
    while (size < sizeof text && (part = read(fd, text + size, sizeof text - size)) > 0) {
        size += (size_t)part;
    }
    if (fd != STDIN_FILENO) close(fd);
    struct ilea_writer *writer = NULL;
    int code = ilea_command_writer(command, NULL, NULL, &writer);
    if (code != 0) return code;
    struct ilea_control_agency agency;
    enum ilea_error error =
        ilea_writer_card(writer, (struct ilea_span){ (const uint8_t *)text, size }, &agency);
    ilea_writer_close(writer);
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "not added: %s", ilea_error_text(error));
    }
    return answer(command, &agency);
}

static int
peer_approve(const struct ilea_command *command)
{
    if (command->word_count != 3) return ilea_command_usage("peer approve takes one agency");
    if (!command->yes) {
        return ilea_command_fail(EX_USAGE, "approving lets %s read all you share with all-peers; if you compared "
                                           "the fingerprint, add --yes", command->words[2]);
    }
    struct ilea_writer *writer = NULL;
    int code = ilea_command_writer(command, NULL, NULL, &writer);
    if (code != 0) return code;
    struct ilea_control_agency agency;
    enum ilea_error error = ilea_writer_approve(writer, command->words[2], &agency);
    ilea_writer_close(writer);
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "not approved: %s", ilea_error_text(error));
    }
    return answer(command, &agency);
}

/* null where nobody knows: a 0 would say that all is well. */
static json_t *
known_count(const struct ilea_control_link *link, uint64_t count)
{
    return link != NULL && link->known ? json_integer((json_int_t)count) : json_null();
}

json_t *
ilea_command_peers(struct ilea_log *log, const struct ilea_control_status *status)
{
    json_t *peers = json_array();
    struct ilea_agency *agency = malloc(sizeof *agency);
    struct ilea_transaction *txn = NULL;
    if (agency == NULL
        || ilea_transaction_begin(ilea_log_environment(log), false, &txn) != ILEA_ERROR_NONE) {
        free(agency);
        return peers;
    }
    const struct ilea_agency_id *after = NULL;
    while (ilea_agency_next(txn, after, agency) == ILEA_ERROR_NONE) {
        after = &agency->row.id;
        if (agency->row.state == ILEA_AGENCY_SELF) continue;
        const struct ilea_manifest *manifest = &agency->manifest;
        char id[2 * ILEA_ID_SIZE + 1], fingerprint[ILEA_FINGERPRINT_SIZE];
        ilea_command_hex(agency->row.id.bytes, ILEA_ID_SIZE, id);
        ilea_fingerprint(agency->row.id.bytes, fingerprint);
        const struct ilea_control_link *link = NULL;
        for (uint32_t i = 0; status != NULL && i < status->link_count; i++) {
            if (memcmp(status->links[i].agency.bytes, agency->row.id.bytes, ILEA_ID_SIZE) == 0) {
                link = &status->links[i];
            }
        }
        json_array_append_new(
            peers, json_pack("{s:s%,s:s,s:s%,s:s%,s:s,s:s,s:o,s:o,s:s%,s:s}", "agency", manifest->code.data,
                             manifest->code.size, "agency_id", id, "country", manifest->country.data,
                             manifest->country.size, "name", manifest->name.data, manifest->name.size,
                             "state", ilea_agency_state_name(agency->row.state), "link",
                             link != NULL && link->up ? "up" : "down", "lag_commits",
                             known_count(link, link != NULL ? link->lag_commits : 0), "missing_commits",
                             known_count(link, link != NULL ? link->missing_commits : 0), "endpoint",
                             agency->row.endpoint.data, agency->row.endpoint.size, "fingerprint",
                             fingerprint));
    }
    ilea_transaction_abort(txn);
    free(agency);
    return peers;
}

static int
peer_list(const struct ilea_command *command)
{
    struct ilea_log *log = NULL;
    int code = ilea_command_log(command, &log);
    if (code != 0) return code;
    struct ilea_control_status status;
    bool running = ilea_command_daemon(command->home, &status);
    json_t *peers = ilea_command_peers(log, running ? &status : NULL);
    ilea_log_close(log);
    if (command->json) {
        ilea_command_print(peers);
        return 0;
    }
    if (json_array_size(peers) == 0) {
        (void)puts("No peers yet. Give yours with: ilea card --out FILE; add theirs with: ilea peer add FILE");
    } else {
        (void)printf("%-16s %-9s %-9s %-5s %7s  %s\n", "AGENCY", "ID", "STATE", "LINK", "BEHIND", "NAME");
    }
    for (size_t i = 0; i < json_array_size(peers); i++) {
        const json_t *peer = json_array_get(peers, i);
        const char *name = json_string_value(json_object_get(peer, "name"));
        char cut[200];
        ilea_command_cut((struct ilea_span){ (const uint8_t *)name, strlen(name) }, 27, cut, sizeof cut);
        const json_t *lag = json_object_get(peer, "lag_commits");
        char behind[24] = "?";
        if (json_is_integer(lag)) {
            (void)snprintf(behind, sizeof behind, "%lld", (long long)json_integer_value(lag));
        }
        (void)printf("%-16s %.8s  %-9s %-5s %7s  %s\n", json_string_value(json_object_get(peer, "agency")),
                     json_string_value(json_object_get(peer, "agency_id")),
                     json_string_value(json_object_get(peer, "state")),
                     json_string_value(json_object_get(peer, "link")), behind, cut);
    }
    json_decref(peers);
    return 0;
}

int
ilea_command_peer(const struct ilea_command *command)
{
    const char *verb = command->word_count > 1 ? command->words[1] : "";
    if (strcmp(verb, "add") == 0) return peer_add(command);
    if (strcmp(verb, "approve") == 0) return peer_approve(command);
    if (strcmp(verb, "list") == 0) return peer_list(command);
    return ilea_command_usage("peer takes add, approve or list");
}
