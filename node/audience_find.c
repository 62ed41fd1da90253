#include "node/audience_find.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/own_keys.h"
#include "replication/record/manifest.h"

/* The code of an agency, by its newest manifest; empty: it is not known here. */
static void
code_of(struct ilea_transaction *log, const struct ilea_agency_id *agency, char code[ILEA_CODE_SIZE_MAX + 1])
{
    struct ilea_span bytes;
    uint64_t index;
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    code[0] = '\0';
    if (manifest != NULL && ilea_log_manifest_last(log, agency, &index, &bytes) == ILEA_ERROR_NONE
        && ilea_manifest_decode(bytes, manifest) == ILEA_ERROR_NONE) {
        (void)snprintf(code, ILEA_CODE_SIZE_MAX + 1, "%.*s", (int)manifest->code.size,
                       (const char *)manifest->code.data);
    }
    free(manifest);
}

static enum ilea_error
load(struct ilea_audience_cache *cache, struct ilea_transaction *log, struct ilea_audience_found *found)
{
    enum ilea_error error = ilea_audience_get(cache, log, &found->row.audience, &found->membership);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_membership_state(found->membership, &found->state);
    found->is_frozen = error == ILEA_ERROR_LIMIT;
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_LIMIT) return error;
    code_of(log, &found->row.owner, found->owner_code);
    return found->state.has_info ? ILEA_ERROR_NONE : ILEA_ERROR_NOT_FOUND;
}

enum ilea_error
ilea_audience_load(struct ilea_audience_cache *cache, struct ilea_transaction *log, const struct ilea_audience_id *id,
                   struct ilea_audience_found *found)
{
    enum ilea_error error = ilea_log_audience(log, id, &found->row);
    return error == ILEA_ERROR_NONE ? load(cache, log, found) : error;
}

enum ilea_error
ilea_audience_next(struct ilea_audience_cache *cache, struct ilea_transaction *log,
                   const struct ilea_audience_id *after, struct ilea_audience_found *found)
{
    struct ilea_audience_id last;
    for (;;) {
        enum ilea_error error = ilea_log_audience_next(log, after, &found->row);
        if (error != ILEA_ERROR_NONE) return error;
        error = load(cache, log, found);
        if (error != ILEA_ERROR_NOT_FOUND) return error;
        last = found->row.audience; /* nothing says yet how it is called */
        after = &last;
    }
}

static bool
is_same(struct ilea_span name, const char *text)
{
    return name.size == strlen(text) && memcmp(name.data, text, name.size) == 0;
}

/* The one that `text` names, after `after`. */
static enum ilea_error
find_next(struct ilea_audience_cache *cache, struct ilea_transaction *log, const struct ilea_agency_id *own,
          const char *text, const struct ilea_audience_id *after, struct ilea_audience_found *found)
{
    const char *slash = strchr(text, '/');
    struct ilea_audience_id last;
    enum ilea_error error;
    while ((error = ilea_audience_next(cache, log, after, found)) == ILEA_ERROR_NONE) {
        last = found->row.audience;
        after = &last;
        bool is_own = memcmp(found->row.owner.bytes, own->bytes, sizeof own->bytes) == 0;
        bool is_named = is_own && is_same(found->state.name, text);
        if (!is_named && slash != NULL && strlen(found->owner_code) == (size_t)(slash - text)) {
            is_named = memcmp(found->owner_code, text, (size_t)(slash - text)) == 0
                && is_same(found->state.name, slash + 1);
        }
        if (is_named) break;
    }
    return error;
}

enum ilea_error
ilea_audience_find(struct ilea_audience_cache *cache, struct ilea_transaction *log, const struct ilea_agency_id *own,
                   const char *text, struct ilea_audience_found *found)
{
    struct ilea_audience_id id;
    const struct ilea_span hex = { (const uint8_t *)text, strlen(text) };
    if (ilea_hex_parse(hex, id.bytes, sizeof id.bytes)) return ilea_audience_load(cache, log, &id, found);
    enum ilea_error error = find_next(cache, log, own, text, NULL, found);
    if (error != ILEA_ERROR_NONE) return error;
    id = found->row.audience;
    error = find_next(cache, log, own, text, &id, found);
    if (error == ILEA_ERROR_NONE) return ILEA_ERROR_EXISTS;
    return error == ILEA_ERROR_NOT_FOUND ? ilea_audience_load(cache, log, &id, found) : error;
}

static bool
has_exactly(const struct ilea_membership_state *state, const struct ilea_agency_id *own,
            const struct ilea_agency_id *members, uint32_t count)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < state->member_count; i++) {
        const struct ilea_member *member = &state->members[i];
        if (memcmp(member->agency.bytes, own->bytes, sizeof own->bytes) == 0) continue;
        if (at == count || member->suspended
            || memcmp(member->agency.bytes, members[at].bytes, sizeof members[at].bytes) != 0) {
            return false;
        }
        at++;
    }
    return at == count;
}

enum ilea_error
ilea_audience_find_list(struct ilea_audience_cache *cache, struct ilea_transaction *log,
                        const struct ilea_agency_id *own, const struct ilea_agency_id *members, uint32_t count,
                        struct ilea_audience_found *found)
{
    struct ilea_audience_id last;
    const struct ilea_audience_id *after = NULL;
    enum ilea_error error;
    while ((error = ilea_audience_next(cache, log, after, found)) == ILEA_ERROR_NONE) {
        last = found->row.audience;
        after = &last;
        if (memcmp(found->row.owner.bytes, own->bytes, sizeof own->bytes) == 0 && found->state.list
            && !found->is_frozen && has_exactly(&found->state, own, members, count)) {
            break;
        }
    }
    return error;
}

/* The statement of a control row; what it gives borrows the transaction. */
static enum ilea_error
read_control(struct ilea_transaction *log, const struct ilea_control_row *control, struct ilea_span *statement)
{
    struct ilea_chain_row chain;
    struct ilea_log_commit row;
    struct ilea_commit commit;
    enum ilea_error error = ilea_log_chain(log, control->feed, control->seq, &chain);
    if (error == ILEA_ERROR_NONE) error = ilea_log_commit_at(log, chain.position, &row);
    if (error == ILEA_ERROR_NONE) error = ilea_log_check_commit(log, &row, &commit);
    if (error == ILEA_ERROR_NONE) *statement = ilea_naming_statement(&commit);
    return error;
}

void
ilea_audience_suspension(struct ilea_transaction *log, const struct ilea_audience_found *found,
                         const struct ilea_member *member, char reason[ILEA_REASON_SIZE])
{
    struct ilea_control_row control;
    struct ilea_span statement;
    struct ilea_suspend_statement suspend;
    reason[0] = '\0';
    if (!member->suspended
        || ilea_log_control(log, &found->row.audience, &member->suspension, &control) != ILEA_ERROR_NONE
        || read_control(log, &control, &statement) != ILEA_ERROR_NONE
        || ilea_suspend_decode(statement, &suspend) != ILEA_ERROR_NONE) {
        return;
    }
    (void)snprintf(reason, ILEA_REASON_SIZE, "%.*s", (int)suspend.reason.size, (const char *)suspend.reason.data);
    for (char *at = reason; *at != '\0'; at++) { /* another agency wrote it */
        if ((unsigned char)*at < 0x20 || *at == 0x7f) *at = ' ';
    }
}

enum ilea_error
ilea_audience_recipients(struct ilea_transaction *log, const struct ilea_audience_found *found, uint32_t *sealed,
                         uint32_t *allowed)
{
    struct ilea_control_row control;
    struct ilea_span content;
    struct ilea_audience_statement statement;
    *sealed = *allowed = 0;
    if (!found->state.has_epoch) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_log_control(log, &found->row.audience, &found->state.epoch, &control);
    if (error == ILEA_ERROR_NONE) error = read_control(log, &control, &content);
    if (error == ILEA_ERROR_NONE) error = ilea_audience_statement_decode(content, &statement);
    if (error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_MALFORMED) return ILEA_ERROR_CORRUPT;
    if (error != ILEA_ERROR_NONE) return error;
    *sealed = statement.wrapped_count;
    for (uint32_t i = 0; i < found->state.member_count; i++) {
        if (!found->state.members[i].suspended) (*allowed)++;
    }
    return ILEA_ERROR_NONE;
}

void
ilea_audience_text(const struct ilea_audience_found *found, const struct ilea_agency_id *own,
                   char text[ILEA_AUDIENCE_TEXT_SIZE])
{
    bool is_own = memcmp(found->row.owner.bytes, own->bytes, sizeof own->bytes) == 0;
    (void)snprintf(text, ILEA_AUDIENCE_TEXT_SIZE, "%s%s%.*s", is_own ? "" : found->owner_code, is_own ? "" : "/",
                   (int)found->state.name.size, (const char *)found->state.name.data);
}

bool
ilea_audience_name_is_valid(struct ilea_span name)
{
    static const char *const words[] = { "agency", "all-peers" };
    if (name.size == 0 || name.size > ILEA_AUDIENCE_NAME_MAX || !ilea_text_is_valid(name)) return false;
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < 0x20 || name.data[i] == 0x7f || name.data[i] == ',' || name.data[i] == '/') return false;
    }
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (is_same(name, words[i])) return false;
    }
    return name.data[0] != ' ' && name.data[0] != '-' && name.data[name.size - 1] != ' ';
}
