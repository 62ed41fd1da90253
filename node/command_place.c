#include "node/command_place.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "node/agency.h"

int
ilea_command_members(struct ilea_log *log, struct ilea_transaction *txn, const char *codes, enum ilea_access level,
                     struct ilea_audience_request *request)
{
    struct ilea_agency *agency = malloc(sizeof *agency);
    int code = agency != NULL ? 0 : ilea_command_fail(EX_OSERR, "out of memory");
    const struct ilea_agency_id *own = &ilea_log_identity(log)->agency;
    for (const char *at = codes; code == 0 && at != NULL;) {
        char name[2 * ILEA_ID_SIZE + 1];
        const char *end = strchr(at, ',');
        size_t size = end != NULL ? (size_t)(end - at) : strlen(at);
        if (size == 0 || size >= sizeof name) {
            code = ilea_command_fail(EX_USAGE, "codes of agencies are wanted, separated by commas, not '%.60s'", codes);
            break;
        }
        if (request->member_count == ILEA_MEMBER_ACTS_MAX) {
            code = ilea_command_fail(EX_DATAERR, "at most %d agencies at a time; add the others later",
                                     ILEA_MEMBER_ACTS_MAX);
            break;
        }
        memcpy(name, at, size);
        name[size] = '\0';
        enum ilea_error error = ilea_agency_find(txn, name, agency);
        if (error == ILEA_ERROR_NOT_FOUND) {
            code = ilea_command_fail(EX_NOINPUT, "no agency %s here; see: ilea peer list", name);
        } else if (error == ILEA_ERROR_EXISTS) {
            code = ilea_command_fail(EX_DATAERR, "several agencies are called %s; name it by its id (ilea peer list)",
                                     name);
        } else if (error != ILEA_ERROR_NONE) {
            code = ilea_command_fail(ilea_exit_code(error), "the log cannot be read: %s", ilea_error_text(error));
        } else if (memcmp(agency->row.id.bytes, own->bytes, sizeof own->bytes) == 0) {
            code = ilea_command_fail(EX_DATAERR, "%s is this node itself: it need not be named", name);
        } else {
            request->members[request->member_count++] = (struct ilea_audience_member){ agency->row.id, level };
        }
        at = end != NULL ? end + 1 : NULL;
    }
    free(agency);
    return code;
}

int
ilea_command_find_audience(struct ilea_audience_cache *cache, struct ilea_log *log, struct ilea_transaction *txn,
                           const char *text, struct ilea_audience_found *found)
{
    enum ilea_error error = ilea_audience_find(cache, txn, &ilea_log_identity(log)->agency, text, found);
    if (error == ILEA_ERROR_NONE) return 0;
    if (error == ILEA_ERROR_NOT_FOUND) {
        return ilea_command_fail(EX_NOINPUT, "no audience %.120s here; see: ilea audience list", text);
    }
    if (error == ILEA_ERROR_EXISTS) {
        return ilea_command_fail(EX_DATAERR, "several audiences are called %.120s; name it by its id (--json "
                                             "audience list)", text);
    }
    return ilea_command_fail(ilea_exit_code(error), "the log cannot be read: %s", ilea_error_text(error));
}

static int
compare_ids(const void *a, const void *b)
{
    const struct ilea_agency_id *one = a, *other = b;
    return memcmp(one->bytes, other->bytes, sizeof one->bytes);
}

/* A list that is there already is an audience like others. */
static int
find_list(struct ilea_audience_cache *cache, struct ilea_log *log, struct ilea_transaction *txn,
          struct ilea_command_place *place)
{
    struct ilea_audience_found found;
    const struct ilea_audience_request *list = place->list;
    struct ilea_agency_id *ids = calloc(list->member_count + 1, sizeof *ids);
    if (ids == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    for (uint32_t i = 0; i < list->member_count; i++) ids[i] = list->members[i].agency;
    qsort(ids, list->member_count, sizeof *ids, compare_ids);
    enum ilea_error error = ilea_audience_find_list(cache, txn, &ilea_log_identity(log)->agency, ids,
                                                    list->member_count, &found);
    free(ids);
    if (error == ILEA_ERROR_NONE) {
        place->audience = found.row.audience;
        free(place->list);
        place->list = NULL;
    }
    if (error == ILEA_ERROR_NONE || error == ILEA_ERROR_NOT_FOUND) return 0;
    return ilea_command_fail(ilea_exit_code(error), "the log cannot be read: %s", ilea_error_text(error));
}

static bool
is_agency(struct ilea_transaction *txn, const char *text)
{
    struct ilea_agency *agency = malloc(sizeof *agency);
    bool is = agency != NULL && ilea_agency_find(txn, text, agency) != ILEA_ERROR_NOT_FOUND;
    free(agency);
    return is;
}

static int
look_up(const char *to, struct ilea_audience_cache *cache, struct ilea_log *log, struct ilea_transaction *txn,
        struct ilea_command_place *place)
{
    struct ilea_audience_found found;
    place->scope = ILEA_SCOPE_AUDIENCE;
    bool is_list = strchr(to, '/') == NULL && strchr(to, ',') != NULL;
    if (!is_list) {
        enum ilea_error error = ilea_audience_find(cache, txn, &ilea_log_identity(log)->agency, to, &found);
        is_list = error == ILEA_ERROR_NOT_FOUND && is_agency(txn, to);
    }
    if (!is_list) {
        int code = ilea_command_find_audience(cache, log, txn, to, &found);
        if (code != 0) return code;
        place->audience = found.row.audience;
        ilea_audience_text(&found, &ilea_log_identity(log)->agency, place->text);
        return 0;
    }
    place->list = calloc(1, sizeof *place->list);
    if (place->list == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    place->list->verb = ILEA_AUDIENCE_LIST;
    (void)snprintf(place->text, sizeof place->text, "%s", to);
    int code = ilea_command_members(log, txn, to, ILEA_ACCESS_WRITE, place->list);
    return code == 0 ? find_list(cache, log, txn, place) : code;
}

int
ilea_command_place(const struct ilea_command *command, struct ilea_command_place *place)
{
    struct ilea_log *log = NULL;
    struct ilea_transaction *txn = NULL;
    struct ilea_audience_cache *cache = NULL;
    const char *to = command->to;
    *place = (struct ilea_command_place){ .list = NULL };
    if (to == NULL) return 0;
    if (to[0] == '\0') return ilea_command_fail(EX_USAGE, "--to takes agency, all-peers, an audience, or codes");
    if (strcmp(to, "agency") == 0) place->scope = ILEA_SCOPE_AGENCY;
    if (strcmp(to, "all-peers") == 0) place->scope = ILEA_SCOPE_PEERS;
    (void)snprintf(place->text, sizeof place->text, "%s", to);
    if (place->scope != 0) return 0;
    int code = ilea_command_log(command, &log);
    if (code != 0) return code;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_audience_cache_new(&cache);
    code = error == ILEA_ERROR_NONE ? look_up(to, cache, log, txn, place)
                                    : ilea_command_fail(ilea_exit_code(error), "the log cannot be read: %s",
                                                        ilea_error_text(error));
    ilea_audience_cache_free(cache);
    ilea_transaction_abort(txn);
    ilea_log_close(log);
    return code;
}

void
ilea_command_place_end(struct ilea_command_place *place)
{
    free(place->list);
    place->list = NULL;
}

int
ilea_command_place_make(struct ilea_command_place *place, struct ilea_writer *writer)
{
    struct ilea_control_audience answer = { .error = ILEA_ERROR_NONE };
    if (place->list == NULL) return 0;
    enum ilea_error error = ilea_writer_audience(writer, place->list, &answer);
    if (error == ILEA_ERROR_NONE) error = answer.error;
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "nothing was written: %s",
                                 answer.result.reason[0] != '\0' ? answer.result.reason : ilea_error_text(error));
    }
    place->audience = answer.result.audience;
    ilea_command_place_end(place);
    return 0;
}
