/* command_status.c - status: is all well, at a glance. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/agency.h"
#include "node/command.h"
#include "node/command_attention.h"
#include "node/control_lobby.h"

/* What the daemon says of itself, if one runs: `buffer` for the answer, of ILEA_CONTROL_FRAME_MAX. */
static bool
ask(const char *home, enum ilea_control_kind kind, uint8_t *buffer, struct ilea_control_frame *frame)
{
    if (buffer == NULL) return false;
    buffer[ILEA_CONTROL_HEADER] = 0x90; /* an empty array */
    return ilea_control_ask(home, kind, buffer, 1, frame) == ILEA_ERROR_NONE;
}

bool
ilea_command_daemon(const char *home, struct ilea_control_status *status)
{
    struct ilea_control_frame frame;
    uint8_t *buffer = malloc(ILEA_CONTROL_FRAME_MAX);
    bool good = ask(home, ILEA_CONTROL_STATUS, buffer, &frame)
        && ilea_control_get_status(frame.body, status) == ILEA_ERROR_NONE;
    free(buffer);
    return good;
}

/* The lobby of a running daemon: what became of requests by its desk, and, as "door", what the socket saw. */
static json_t *
lobby_json(const char *home)
{
    static const char *const desk[ILEA_DESK_COUNTS] = { "stored", "invited", "unreadable", "foreign", "mistimed",
                                                        "refused", "known", "full", "wrong_invite" };
    static const char *const door[ILEA_LOBBY_COUNTS] = { "guests", "requests", "invited", "ceremonies", "busy",
                                                         "crowded_out", "late", "malformed", "wrong_invite" };
    struct ilea_control_frame frame;
    struct ilea_control_lobby lobby;
    json_t *json = NULL;
    uint8_t *buffer = malloc(ILEA_CONTROL_FRAME_MAX);
    if (ask(home, ILEA_CONTROL_LOBBY, buffer, &frame)
        && ilea_control_get_lobby(frame.body, &lobby) == ILEA_ERROR_NONE) {
        const uint64_t *counts = (const uint64_t *)&lobby.desk, *door_counts = (const uint64_t *)&lobby.door;
        json_t *at_door = json_object();
        json = json_pack("{s:s,s:s}", "state", lobby.state, "text", lobby.text);
        for (unsigned i = 0; i < ILEA_DESK_COUNTS; i++) {
            json_object_set_new(json, desk[i], json_integer((json_int_t)counts[i]));
        }
        for (unsigned i = 0; i < ILEA_LOBBY_COUNTS; i++) {
            json_object_set_new(at_door, door[i], json_integer((json_int_t)door_counts[i]));
        }
        json_object_set_new(json, "door", at_door);
    }
    free(buffer);
    return json;
}

static json_t *
code_json(struct ilea_transaction *txn, const struct ilea_agency_id *id, struct ilea_agency *agency)
{
    char hex[2 * ILEA_ID_SIZE + 1];
    if (ilea_agency_load(txn, id, agency) == ILEA_ERROR_NONE) {
        return json_stringn((const char *)agency->manifest.code.data, agency->manifest.code.size);
    }
    ilea_command_hex(id->bytes, ILEA_ID_SIZE, hex);
    return json_string(hex);
}

/* What others have for us and we lack, who does not pass it on, and what is damaged: as a running daemon knows it. */
static void
add_gaps(struct ilea_transaction *txn, const struct ilea_control_status *daemon, json_t *status)
{
    json_t *behind = json_array(), *withheld = json_array();
    struct ilea_agency *agency = malloc(sizeof *agency);
    for (uint32_t i = 0; agency != NULL && i < daemon->behind_count; i++) {
        const struct ilea_control_behind *entry = &daemon->behind[i];
        json_array_append_new(behind, json_pack("{s:o,s:I,s:I}", "agency", code_json(txn, &entry->agency, agency),
                                                "told", (json_int_t)entry->told, "held", (json_int_t)entry->held));
    }
    for (uint32_t i = 0; agency != NULL && i < daemon->withheld_count; i++) {
        const struct ilea_control_withheld *entry = &daemon->withheld[i];
        json_array_append_new(withheld, json_pack("{s:o,s:o,s:s}", "agency", code_json(txn, &entry->agency, agency),
                                                  "by", code_json(txn, &entry->by, agency), "what",
                                                  entry->items ? "items" : "commits"));
    }
    free(agency);
    json_object_set_new(status, "behind", behind);
    json_object_set_new(status, "withheld", withheld);
    json_object_set_new(status, "damaged", json_integer((json_int_t)daemon->damaged));
    json_object_set_new(status, "repaired", json_integer((json_int_t)daemon->repaired));
}

static const char *
scope_name(enum ilea_scope scope)
{
    switch (scope) {
    case ILEA_SCOPE_AGENCY: return "agency";
    case ILEA_SCOPE_PEERS: return "all-peers";
    case ILEA_SCOPE_AUDIENCE: return "audience";
    case ILEA_SCOPE_CONTROL: return "control";
    }
    return "";
}

static json_t *
feed_list(struct ilea_transaction *txn)
{
    json_t *feeds = json_array();
    struct ilea_feed_row feed;
    struct ilea_agency *agency = malloc(sizeof *agency);
    for (uint32_t number = 1; agency != NULL; number++) {
        if (ilea_log_feed(txn, number, &feed) != ILEA_ERROR_NONE) break;
        char id[65], head[65], code[ILEA_CODE_SIZE_MAX + 1] = "";
        ilea_command_hex(feed.id.bytes, sizeof feed.id.bytes, id);
        ilea_command_hex(feed.head.bytes, sizeof feed.head.bytes, head);
        if (ilea_agency_load(txn, &feed.origin.agency, agency) == ILEA_ERROR_NONE) {
            (void)snprintf(code, sizeof code, "%.*s", (int)agency->manifest.code.size,
                           (const char *)agency->manifest.code.data);
        }
        json_t *entry = json_pack("{s:s,s:s,s:I,s:s,s:s}", "feed", id, "agency", code, "seq", (json_int_t)feed.seq,
                                  "head", head, "scope", scope_name(feed.origin.scope));
        if (feed.origin.scope == ILEA_SCOPE_AUDIENCE) {
            char audience[2 * ILEA_AUDIENCE_ID_SIZE + 1];
            ilea_command_hex(feed.origin.audience.bytes, sizeof feed.origin.audience.bytes, audience);
            json_object_set_new(entry, "audience", json_string(audience));
        }
        json_array_append_new(feeds, entry);
    }
    free(agency);
    return feeds;
}

/* Documents that are here, that are to come, and that find no room; NULL: there are none. */
static json_t *
documents_json(const struct ilea_command *command, struct ilea_log *log)
{
    struct ilea_transaction *txn = NULL;
    struct ilea_document_row row;
    struct ilea_config config;
    struct ilea_blob_id last;
    char reason[ILEA_REASON_SIZE];
    const struct ilea_blob_id *after = NULL;
    uint64_t held = 0, wanted = 0, bytes = 0, smallest = UINT64_MAX;
    if (ilea_home_config(command->home, &config, reason) != ILEA_ERROR_NONE) return NULL;
    if (ilea_transaction_begin(ilea_log_environment(log), false, &txn) != ILEA_ERROR_NONE) return NULL;
    while (ilea_log_document_next(txn, after, &row) == ILEA_ERROR_NONE) {
        last = row.root;
        after = &last;
        if (row.wanted) {
            wanted++;
            if (row.size < smallest) smallest = row.size;
        } else {
            held++;
            bytes += row.size;
        }
    }
    ilea_transaction_abort(txn);
    if (held + wanted == 0) return NULL;
    bool is_full = wanted > 0 && (bytes > config.documents_max || smallest > config.documents_max - bytes);
    return json_pack("{s:I,s:I,s:I,s:I,s:b}", "held", (json_int_t)held, "wanted", (json_int_t)wanted, "bytes",
                     (json_int_t)bytes, "max", (json_int_t)config.documents_max, "full", is_full ? 1 : 0);
}

static int
collect(const struct ilea_command *command, struct ilea_log *log, struct ilea_replica *replica,
        json_t **status)
{
    struct ilea_transaction *txn = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_replica_status view;
    struct ilea_agency *own = malloc(sizeof *own);
    uint8_t frontier[ILEA_HASH_SIZE];
    uint64_t position = 0;
    enum ilea_error error = own != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_snapshot_begin(replica, &snapshot);
    if (error == ILEA_ERROR_NONE) error = ilea_snapshot_status(snapshot, &view);
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_log_frontier(txn, frontier);
    if (error == ILEA_ERROR_NONE) error = ilea_log_last(txn, &position);
    if (error == ILEA_ERROR_NONE) error = ilea_agency_load(txn, &ilea_log_identity(log)->agency, own);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_control_status daemon;
        bool running = ilea_command_daemon(command->home, &daemon);
        char frontier_hex[65], view_hex[65];
        ilea_command_hex(frontier, sizeof frontier, frontier_hex);
        ilea_command_hex(view.view, sizeof view.view, view_hex);
        *status = json_pack(
            "{s:s%,s:b,s:I,s:I,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o}", "agency",
            own->manifest.code.data, own->manifest.code.size, "running", running ? 1 : 0,
            "records", (json_int_t)view.records, "lsn", (json_int_t)view.lsn, "frontier", frontier_hex,
            "view", view_hex, "position", (json_int_t)position, "view_position",
            (json_int_t)view.position, "waiting_for_keys", (json_int_t)view.parked, "unreadable",
            (json_int_t)view.hidden, "stale", (json_int_t)view.stale, "link_restarts",
            running ? (json_int_t)daemon.link_restarts : 0, "feeds", feed_list(txn),
            "peers", ilea_command_peers(log, running ? &daemon : NULL),
            "attention", ilea_command_attention(command));
        if (*status == NULL) error = ILEA_ERROR_NO_MEMORY;
        if (!running) daemon = (struct ilea_control_status){ .link_count = 0 };
        if (*status != NULL) add_gaps(txn, &daemon, *status);
        json_t *documents = documents_json(command, log);
        if (documents != NULL) json_object_set_new(*status, "documents", documents);
        if (documents != NULL && json_is_true(json_object_get(documents, "full"))) {
            json_array_append_new(json_object_get(*status, "attention"),
                                  json_pack("{s:s,s:s,s:s}", "what", "documents", "text",
                                            "documents that are wanted find no room here", "command",
                                            "raise documents_max in ilea.conf"));
        }
        json_t *lobby = running ? lobby_json(command->home) : NULL;
        if (lobby != NULL) json_object_set_new(*status, "lobby", lobby);
        if (lobby != NULL && strcmp(json_string_value(json_object_get(lobby, "state")), "closed") == 0) {
            json_array_append_new(json_object_get(*status, "attention"),
                                  json_pack("{s:s,s:s+,s:s}", "what", "lobby", "text", "the lobby is closed: ",
                                            json_string_value(json_object_get(lobby, "text")), "command",
                                            "ilea status"));
        }
    }
    ilea_transaction_abort(txn);
    ilea_snapshot_end(snapshot);
    free(own);
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(ilea_exit_code(error), "status cannot be read: %s", ilea_error_text(error));
}

static long long
number(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static const char *
text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void
print_gaps(const json_t *status)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(status, "behind"), i, entry) {
        (void)printf("behind    %s has %lld for us, we hold %lld\n", text(entry, "agency"), number(entry, "told"),
                     number(entry, "held"));
    }
    json_array_foreach(json_object_get(status, "withheld"), i, entry) {
        bool items = strcmp(text(entry, "what"), "items") == 0;
        (void)printf("withheld  %s %s %s\n", text(entry, "by"),
                     items ? "leaves out items of" : "does not pass on all of", text(entry, "agency"));
    }
    if (number(status, "damaged") > 0) {
        (void)printf("damaged   %lld commits on the disk; peers are asked for those that are shared\n",
                     number(status, "damaged"));
    }
    if (number(status, "repaired") > 0) {
        (void)printf("repaired  %lld commits that were damaged on the disk\n", number(status, "repaired"));
    }
}

static void
print_status(const json_t *status)
{
    (void)printf("agency    %s, daemon %s\n", text(status, "agency"),
                 json_is_true(json_object_get(status, "running")) ? "running" : "not running");
    (void)printf("records   %lld (last change %lld)\n", number(status, "records"), number(status, "lsn"));
    (void)printf("frontier  %.16s...  view %.16s...\n", text(status, "frontier"), text(status, "view"));
    long long behind = number(status, "position") - number(status, "view_position");
    if (behind > 0) (void)printf("view      %lld commits behind the log, catching up\n", behind);
    if (number(status, "waiting_for_keys") > 0) {
        (void)printf("waiting   %lld items whose key has not come: their authors must approve us\n",
                     number(status, "waiting_for_keys"));
    }
    if (number(status, "unreadable") > 0) {
        (void)printf("unread    %lld items of a newer or unknown format, or of who might not write them\n",
                     number(status, "unreadable"));
    }
    if (number(status, "stale") > 0) {
        (void)printf("stale     %lld changes in audiences, by writers that did not know yet who had been removed\n",
                     number(status, "stale"));
    }
    (void)printf("feeds     %zu\n", json_array_size(json_object_get(status, "feeds")));
    const json_t *documents = json_object_get(status, "documents");
    if (documents != NULL) {
        enum { MIB = 1024 * 1024 };
        (void)printf("documents %lld here, %.1f MiB of %lld%s", number(documents, "held"),
                     (double)number(documents, "bytes") / MIB, number(documents, "max") / MIB,
                     number(documents, "wanted") > 0 ? "; " : "\n");
        if (number(documents, "wanted") > 0) (void)printf("%lld to come\n", number(documents, "wanted"));
    }
    const json_t *lobby = json_object_get(status, "lobby");
    if (lobby != NULL && strcmp(text(lobby, "state"), "off") != 0) {
        (void)printf("lobby     %s, %s; requests taken since the start: %lld\n", text(lobby, "state"),
                     text(lobby, "text"), number(lobby, "stored"));
    }
    size_t i;
    json_t *peer;
    json_array_foreach(json_object_get(status, "peers"), i, peer) {
        bool known = json_is_integer(json_object_get(peer, "lag_commits"));
        (void)printf("peer      %-16s %-22s link %-5s ", text(peer, "agency"), text(peer, "state_text"),
                     text(peer, "link"));
        if (known) {
            (void)printf("%lld to go", number(peer, "lag_commits"));
            if (number(peer, "waiting_feeds") > 0) {
                (void)printf("; feeds that wait for what they name: %lld", number(peer, "waiting_feeds"));
            }
            (void)printf("\n");
        } else {
            (void)printf("holdings not known\n");
        }
    }
    print_gaps(status);
    json_t *item;
    json_array_foreach(json_object_get(status, "attention"), i, item) {
        (void)printf("to do     %s: %s\n", text(item, "text"), text(item, "command"));
    }
}

int
ilea_command_status(const struct ilea_command *command)
{
    if (command->word_count != 1) return ilea_command_usage("status takes no words");
    struct ilea_replica *replica = NULL;
    int code = ilea_command_replica(command, &replica);
    if (code != 0) return code;
    struct ilea_log *log = NULL;
    code = ilea_command_log(command, &log);
    json_t *status = NULL;
    if (code == 0) code = collect(command, log, replica, &status);
    ilea_log_close(log);
    ilea_replica_close(replica);
    if (code != 0) return code;
    if (command->json) {
        ilea_command_print(status);
        return 0;
    }
    print_status(status);
    json_decref(status);
    return 0;
}
