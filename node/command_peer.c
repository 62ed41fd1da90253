/* command_peer.c - peer add, list, pending, show: which agencies this node knows, and how it stands with them. */
#include "node/command_peer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "node/command_act.h"
#include "node/date.h"
#include "node/grant.h"

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
        ilea_command_print(json_pack("{s:s,s:s,s:s,s:s,s:s}", "agency", agency->code, "agency_id", id, "state",
                                     agency->state, "state_text", agency->words, "fingerprint", fingerprint));
        return 0;
    }
    (void)printf("%s is %s\nfingerprint %s\n", agency->code, agency->words, fingerprint);
    if (strcmp(agency->state, "pending") == 0) {
        (void)printf("Compare the code with them over another channel: ilea peer verify %s; then:\n"
                     "  ilea peer approve %s --code CODE\n", agency->code, agency->code);
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
    size_t size = 0, capacity = 2 * ILEA_CARD_SIZE_MAX;
    char *text = malloc(capacity);
    ssize_t part;
    while (text != NULL && size < capacity && (part = read(fd, text + size, capacity - size)) > 0) {
        size += (size_t)part;
    }
    if (fd != STDIN_FILENO) close(fd);
    struct ilea_writer *writer = NULL;
    int code = text != NULL ? ilea_command_writer(command, NULL, NULL, &writer)
                            : ilea_command_fail(EX_OSERR, "out of memory");
    struct ilea_control_agency agency;
    enum ilea_error error = ILEA_ERROR_NONE;
    if (code == 0) error = ilea_writer_card(writer, (struct ilea_span){ (const uint8_t *)text, size }, &agency);
    ilea_writer_close(writer);
    free(text);
    if (code != 0) return code;
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "not added: %s", ilea_error_text(error));
    }
    return answer(command, &agency);
}

/* null where nobody knows: a 0 would say that all is well. */
static json_t *
known_count(const struct ilea_control_link *link, uint64_t count)
{
    return link != NULL && link->known ? json_integer((json_int_t)count) : json_null();
}

static json_t *
grant_areas(const struct ilea_grant *grant)
{
    if (grant->areas.size == 0) return json_null();
    json_t *areas = json_array();
    const char *at = (const char *)grant->areas.data, *end = at + grant->areas.size;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        json_array_append_new(areas, json_stringn(at, (size_t)(stop - at)));
        at = stop + 1;
    }
    return areas;
}

/* What we decided about it: null, or an empty word, where nothing was. */
static void
add_decision(const struct ilea_agency_row *row, json_t *json)
{
    static const char *const hows[] = { "no", "code", "offline-code" };
    static const char *const origins[] = { "card", "lobby", "invite" };
    bool granted = row->state == ILEA_AGENCY_APPROVED || row->state == ILEA_AGENCY_SUSPENDED;
    char scopes[ILEA_GRANT_SCOPES_SIZE], date[ILEA_DATE_SIZE], words[ILEA_STATE_WORDS_SIZE];
    ilea_agency_words(row, words);
    ilea_grant_scopes_format(row->grant.scopes, scopes);
    ilea_date_format(row->grant.expires_ms, date);
    json_object_set_new(json, "state_text", json_string(words));
    json_object_set_new(json, "verified", json_boolean(row->verified != ILEA_VERIFIED_NO));
    json_object_set_new(json, "verified_how", json_string(row->verified < 3 ? hows[row->verified] : ""));
    json_object_set_new(json, "scopes", granted ? json_string(scopes) : json_null());
    json_object_set_new(json, "tlp_max", granted ? json_string(ilea_grant_tlp_name(row->grant.tlp_max)) : json_null());
    json_object_set_new(json, "areas", granted ? grant_areas(&row->grant) : json_null());
    json_object_set_new(json, "expires", granted && row->grant.expires_ms != 0 ? json_string(date) : json_null());
    json_object_set_new(json, "reason", json_stringn((const char *)row->reason.data, row->reason.size));
    json_object_set_new(json, "origin", json_string((unsigned)row->origin < 3 ? origins[row->origin] : ""));
    json_object_set_new(json, "decided", json_integer((json_int_t)row->decided));
    if (row->origin == ILEA_FROM_CARD) return;
    json_object_set_new(json, "asked_ms", json_integer((json_int_t)row->asked_ms));
    json_object_set_new(json, "note", json_stringn((const char *)row->note.data, row->note.size));
    json_object_set_new(json, "address", json_stringn((const char *)row->address.data, row->address.size));
}

static json_t *
peer_json(const struct ilea_agency *agency, const struct ilea_control_status *status)
{
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
    json_t *json =
        json_pack("{s:s%,s:s,s:s%,s:s%,s:s,s:s,s:o,s:o,s:s%,s:s,s:I}", "agency", manifest->code.data,
                  manifest->code.size, "agency_id", id, "country", manifest->country.data, manifest->country.size,
                  "name", manifest->name.data, manifest->name.size, "state", ilea_agency_state_name(agency->row.state),
                  "link", link != NULL && link->up ? "up" : "down", "lag_commits",
                  known_count(link, link != NULL ? link->lag_commits : 0), "missing_commits",
                  /* Of one that is away nobody knows what it wrote since. */
                  known_count(link != NULL && link->up ? link : NULL, link != NULL ? link->missing_commits : 0),
                  "endpoint",
                  agency->row.endpoint.size > 0 ? (const char *)agency->row.endpoint.data : "",
                  agency->row.endpoint.size, "fingerprint", fingerprint, "manifest_index",
                  (json_int_t)manifest->index);
    json_object_set_new(json, "waiting_feeds", json_integer(link != NULL ? (json_int_t)link->waiting : 0));
    add_decision(&agency->row, json);
    return json;
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
        if (agency->row.state != ILEA_AGENCY_SELF) json_array_append_new(peers, peer_json(agency, status));
    }
    ilea_transaction_abort(txn);
    free(agency);
    return peers;
}

static const char *
text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "";
}

static int
peer_list(const struct ilea_command *command)
{
    if (command->word_count != 2) return ilea_command_usage("peer list takes no words");
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
        (void)printf("%-16s %-8s  %-22s %-5s %7s  %s\n", "AGENCY", "ID", "STATE", "LINK", "BEHIND", "NAME");
    }
    for (size_t i = 0; i < json_array_size(peers); i++) {
        const json_t *peer = json_array_get(peers, i);
        const char *name = text(peer, "name");
        char cut[200];
        ilea_command_cut((struct ilea_span){ (const uint8_t *)name, strlen(name) }, 27, cut, sizeof cut);
        const json_t *lag = json_object_get(peer, "lag_commits");
        char behind[24] = "?";
        if (json_is_integer(lag)) {
            (void)snprintf(behind, sizeof behind, "%lld", (long long)json_integer_value(lag));
        }
        (void)printf("%-16s %.8s  %-22s %-5s %7s  %s\n", text(peer, "agency"), text(peer, "agency_id"),
                     text(peer, "state_text"), text(peer, "link"), behind, cut);
    }
    json_decref(peers);
    return 0;
}

/* What others say of it, in lines; those about other keys than it has now say so. */
static void
print_vouches(const json_t *peer)
{
    size_t i;
    json_t *vouch;
    json_array_foreach(json_object_get(peer, "vouches"), i, vouch) {
        (void)printf("    %s vouches: %s, %s%s\n", text(vouch, "agency"), text(vouch, "how"), text(vouch, "date"),
                     json_is_true(json_object_get(vouch, "current_keys")) ? "" : " (for earlier keys)");
    }
}

/* Vouches beside what they are about. */
static void
join_vouches(struct ilea_command_act *act, json_t *peer, json_t *vouches)
{
    struct ilea_agency *agency = malloc(sizeof *agency);
    json_t *list = json_object_get(vouches, text(peer, "agency_id")), *vouch;
    size_t i;
    char hex[2 * ILEA_HASH_SIZE + 1] = "";
    if (agency != NULL && ilea_agency_find(act->txn, text(peer, "agency_id"), agency) == ILEA_ERROR_NONE) {
        ilea_command_hex(agency->manifest.hash, sizeof agency->manifest.hash, hex);
    }
    free(agency);
    json_array_foreach(list, i, vouch) {
        json_object_set_new(vouch, "current_keys", json_boolean(strcmp(text(vouch, "manifest"), hex) == 0));
    }
    json_object_set_new(peer, "vouches", list != NULL ? json_incref(list) : json_array());
}

static void
print_pending(const json_t *peer)
{
    char asked[ILEA_TIME_SIZE] = "";
    const json_t *asked_ms = json_object_get(peer, "asked_ms");
    if (json_is_integer(asked_ms)) ilea_time_format((uint64_t)json_integer_value(asked_ms), asked);
    (void)printf("%s  claims to be %s (%s)\n    fingerprint %s\n    by %s%s%s%s%s\n", text(peer, "agency"),
                 text(peer, "name"), text(peer, "country"), text(peer, "fingerprint"), text(peer, "origin"),
                 asked[0] != '\0' ? ", asked " : "", asked, text(peer, "address")[0] != '\0' ? " from " : "",
                 text(peer, "address"));
    if (text(peer, "note")[0] != '\0') (void)printf("    they say: %s\n", text(peer, "note"));
    if (text(peer, "same_code")[0] != '\0') {
        (void)printf("    BEWARE: another agency of this code is %s here; name this one by its id,\n    %.16s\n",
                     text(peer, "same_code"), text(peer, "agency_id"));
    }
    print_vouches(peer);
}

/* A new identity under the code of another one that we know: perhaps it lost its keys, perhaps it is somebody else. */
static void
mark_same_codes(json_t *peers)
{
    size_t i, j;
    json_t *peer, *other;
    json_array_foreach(peers, i, peer) {
        const char *known = "";
        json_array_foreach(peers, j, other) {
            if (i != j && strcmp(text(peer, "agency"), text(other, "agency")) == 0) known = text(other, "state_text");
        }
        json_object_set_new(peer, "same_code", known[0] != '\0' ? json_string(known) : json_null());
    }
}

static int
peer_pending(const struct ilea_command *command)
{
    if (command->word_count != 2) return ilea_command_usage("peer pending takes no words");
    struct ilea_command_act act;
    int code = ilea_command_act_begin(&act, command, "peer.pending", false);
    if (code == 0) {
        json_t *peers = ilea_command_peers(act.log, NULL), *vouches = ilea_command_vouches(command, act.log);
        mark_same_codes(peers);
        for (size_t i = json_array_size(peers); i-- > 0;) {
            json_t *peer = json_array_get(peers, i);
            if (strcmp(text(peer, "state"), "pending") != 0) {
                json_array_remove(peers, i);
                continue;
            }
            join_vouches(&act, peer, vouches);
        }
        for (size_t i = 0; i < json_array_size(peers) && !command->json; i++) print_pending(json_array_get(peers, i));
        if (command->json) {
            ilea_command_print(json_incref(peers));
        } else {
            (void)puts(json_array_size(peers) == 0
                           ? "Nobody waits for a decision."
                           : "Compare codes: ilea peer verify NAME; then: ilea peer approve NAME --code CODE,\n"
                             "or ilea peer decline NAME");
        }
        json_decref(peers);
        json_decref(vouches);
    }
    ilea_command_act_end(&act);
    return code;
}

static void
print_peer(const json_t *peer)
{
    (void)printf("agency       %s (%s) %s\nagency id    %s\nfingerprint  %s\nstate        %s%s%s\n",
                 text(peer, "agency"), text(peer, "country"), text(peer, "name"), text(peer, "agency_id"),
                 text(peer, "fingerprint"), text(peer, "state_text"), text(peer, "reason")[0] != '\0' ? ": " : "",
                 text(peer, "reason"));
    (void)printf("manifest     %lld\nendpoint     %s\n",
                 (long long)json_integer_value(json_object_get(peer, "manifest_index")),
                 text(peer, "endpoint")[0] != '\0' ? text(peer, "endpoint") : "none");
    if (json_is_string(json_object_get(peer, "scopes"))) {
        (void)printf("may          %s\nceiling      %s\n", text(peer, "scopes"), text(peer, "tlp_max"));
        size_t i;
        json_t *area;
        json_array_foreach(json_object_get(peer, "areas"), i, area) {
            (void)printf("%s%s", i == 0 ? "areas        " : ",", json_string_value(area));
        }
        if (json_array_size(json_object_get(peer, "areas")) > 0) (void)putchar('\n');
        if (text(peer, "expires")[0] != '\0') (void)printf("expires      %s\n", text(peer, "expires"));
    }
    (void)printf("came by      %s%s%s\n", text(peer, "origin"), text(peer, "address")[0] != '\0' ? ", from " : "",
                 text(peer, "address"));
    if (text(peer, "note")[0] != '\0') (void)printf("they said    %s\n", text(peer, "note"));
    print_vouches(peer);
    (void)printf("decisions    ilea audit --json, agency %s\n", text(peer, "agency"));
}

static int
peer_show(const struct ilea_command *command)
{
    if (command->word_count != 3) return ilea_command_usage("peer show takes one agency");
    struct ilea_command_act act;
    struct ilea_agency *agency = malloc(sizeof *agency);
    if (agency == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = ilea_command_act_begin(&act, command, "peer.show", false);
    if (code == 0) code = ilea_command_act_agency(&act, command->words[2], agency);
    if (code == 0) {
        struct ilea_control_status status;
        bool running = ilea_command_daemon(command->home, &status);
        json_t *peer = peer_json(agency, running ? &status : NULL);
        json_t *vouches = ilea_command_vouches(command, act.log);
        join_vouches(&act, peer, vouches);
        if (command->json) {
            ilea_command_print(json_incref(peer));
        } else {
            print_peer(peer);
        }
        json_decref(peer);
        json_decref(vouches);
    }
    free(agency);
    ilea_command_act_end(&act);
    return code;
}

int
ilea_command_peer(const struct ilea_command *command)
{
    static const struct { const char *verb; int (*run)(const struct ilea_command *); } verbs[] = {
        { "add", peer_add }, { "list", peer_list }, { "pending", peer_pending }, { "show", peer_show },
        { "approve", ilea_command_peer_approve }, { "decline", ilea_command_peer_decide },
        { "suspend", ilea_command_peer_decide }, { "resume", ilea_command_peer_decide },
        { "revoke", ilea_command_peer_decide }, { "vouch", ilea_command_peer_vouch },
        { "request", ilea_command_peer_request }, { "invite", ilea_command_peer_invite },
        { "verify", ilea_command_peer_verify } };
    const char *verb = command->word_count > 1 ? command->words[1] : "";
    for (unsigned i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].verb, verb) == 0) return verbs[i].run(command);
    }
    return ilea_command_usage(
        "peer takes add, list, pending, show, request, invite, verify, approve, decline, suspend, "
        "resume, revoke or vouch");
}
