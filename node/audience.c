#include "node/audience.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/audience_find.h"
#include "node/audit.h"
#include "node/author_state.h"
#include "node/date.h"
#include "node/own_keys.h"
#include "node/reach.h"
#include "replication/record/label.h"

/* A request that is being carried out. */
struct changing {
    struct ilea_author *author;
    const struct ilea_audience_request *request;
    struct ilea_audience_result *result;
    struct ilea_reach_agencies agencies; /* all that are known here */
    struct ilea_audience_found found;    /* the audience, if it is there */
    struct ilea_member_act acts[ILEA_MEMBER_ACTS_MAX];
    char name[ILEA_AUDIENCE_NAME_MAX + 1];
};

static enum ilea_error __attribute__((format(printf, 3, 4)))
refuse(struct changing *changing, enum ilea_error error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(changing->result->reason, sizeof changing->result->reason, format, arguments);
    va_end(arguments);
    return error;
}

static const struct ilea_agency_id *
own_id(const struct changing *changing)
{
    return &changing->author->identity->agency;
}

static bool
is_own(const struct changing *changing, const struct ilea_agency_id *agency)
{
    return memcmp(agency->bytes, own_id(changing)->bytes, sizeof agency->bytes) == 0;
}

/* The agency, as it is known here; NULL: it is not. */
static const struct ilea_reach_agency *
find_agency(const struct changing *changing, const struct ilea_agency_id *id)
{
    for (uint32_t i = 0; i < changing->agencies.count; i++) {
        if (memcmp(changing->agencies.rows[i].id.bytes, id->bytes, sizeof id->bytes) == 0) {
            return &changing->agencies.rows[i];
        }
    }
    return NULL;
}

/* How it is called, for people. */
static const char *
code_of(const struct changing *changing, const struct ilea_agency_id *id)
{
    const struct ilea_reach_agency *agency = find_agency(changing, id);
    const struct ilea_member *member =
        changing->found.membership != NULL ? ilea_membership_find(&changing->found.state, id) : NULL;
    if (agency != NULL) return agency->code;
    return member != NULL ? member->code : "it";
}

/* The acts that add all members of the request. */
static enum ilea_error
make_adds(struct changing *changing, enum ilea_access level)
{
    const struct ilea_audience_request *request = changing->request;
    for (uint32_t i = 0; i < request->member_count; i++) {
        const struct ilea_audience_member *member = &request->members[i];
        const struct ilea_reach_agency *agency = find_agency(changing, &member->agency);
        if (agency == NULL) return refuse(changing, ILEA_ERROR_NOT_FOUND, "an agency is not known here");
        if (agency->state == ILEA_AGENCY_SELF) {
            return refuse(changing, ILEA_ERROR_INVALID, "%s owns it: it need not be added", agency->code);
        }
        if (agency->state != ILEA_AGENCY_APPROVED) {
            return refuse(changing, ILEA_ERROR_INVALID, "%s is not approved here: ilea peer approve %s", agency->code,
                          agency->code);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (memcmp(request->members[j].agency.bytes, member->agency.bytes, ILEA_ID_SIZE) == 0) {
                return refuse(changing, ILEA_ERROR_INVALID, "%s is named twice", agency->code);
            }
        }
        changing->acts[i] = (struct ilea_member_act){
            .kind = ILEA_MEMBER_ADD, .agency = member->agency,
            .level = level != ILEA_ACCESS_NONE ? level : member->level,
            .reading = agency->reading, .code = { (const uint8_t *)agency->code, strlen(agency->code) } };
        if (changing->acts[i].level < ILEA_ACCESS_READ || changing->acts[i].level > ILEA_ACCESS_ADMIN) {
            return refuse(changing, ILEA_ERROR_INVALID, "a level is read, write or admin");
        }
    }
    return ILEA_ERROR_NONE;
}

/* Note in the audit feed what was done. */
static enum ilea_error
note(struct changing *changing, const char *kind, const char *what)
{
    const struct ilea_audience_request *request = changing->request;
    char id[2 * ILEA_AUDIENCE_ID_SIZE + 1], reason[ILEA_SUSPEND_REASON_MAX + 1];
    char members[ILEA_ACT_VALUE_MAX + 1] = "";
    size_t used = 0;
    ilea_hex_format(changing->result->audience.bytes, ILEA_AUDIENCE_ID_SIZE, id);
    (void)snprintf(reason, sizeof reason, "%.*s", (int)request->reason.size,
                   request->reason.size > 0 ? (const char *)request->reason.data : "");
    for (uint32_t i = 0; i < request->member_count && used < sizeof members - 40; i++) {
        used += (size_t)snprintf(members + used, sizeof members - used, "%s%s", i > 0 ? "," : "",
                                 code_of(changing, &request->members[i].agency));
    }
    const struct ilea_audit_pair pairs[] = { { "audience", id },
                                             { "members", members },
                                             { "name", changing->name },
                                             { "reason", reason[0] != '\0' ? reason : NULL },
                                             { "what", what },
                                             { NULL, NULL } };
    return ilea_audit_note(changing->author, kind, NULL, pairs);
}

/* After a statement of the owner: who lacks keys gets them. */
static enum ilea_error
finish(struct changing *changing)
{
    struct ilea_audience_found *found = &changing->found;
    struct ilea_author *author = changing->author;
    enum ilea_error error = ilea_author_audience_changed(author, &changing->result->audience);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_audience_load(author->audiences, author->txn, &changing->result->audience, found);
    }
    if (error == ILEA_ERROR_NONE) changing->result->epoch = found->state.has_epoch ? found->state.epoch_number : 0;
    return error;
}

/* A new audience, whose members are in changing->acts. */
static enum ilea_error
make_audience(struct changing *changing, const struct ilea_audience_info *info)
{
    struct ilea_author *author = changing->author;
    struct ilea_audience_row row = { .owner = *own_id(changing) };
    ilea_random_bytes(row.salt, sizeof row.salt);
    ilea_audience_of_salt(&author->identity->network, &row.owner, row.salt, &row.audience);
    (void)snprintf(changing->name, sizeof changing->name, "%.*s", (int)info->name.size,
                   (const char *)info->name.data);
    changing->result->audience = row.audience;
    changing->result->is_new = true;
    enum ilea_error error = ilea_log_put_audience(author->txn, &row);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_author_state_audience(author, &row.audience, changing->acts, changing->request->member_count,
                                           info);
    }
    if (error == ILEA_ERROR_NONE) error = finish(changing);
    return error == ILEA_ERROR_NONE ? note(changing, "audience.new", info->list ? "list" : "new") : error;
}

static enum ilea_error
do_new(struct changing *changing)
{
    const struct ilea_audience_request *request = changing->request;
    const struct ilea_audience_info info = { request->name, request->tlp, request->history_ms, false };
    char name[ILEA_AUDIENCE_NAME_MAX + 1];
    if (!ilea_audience_name_is_valid(request->name)) {
        return refuse(changing, ILEA_ERROR_INVALID,
                      "a name is one line of at most %d bytes, without ',' and '/', and neither agency nor all-peers",
                      ILEA_AUDIENCE_NAME_MAX);
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)request->name.size, (const char *)request->name.data);
    if (request->tlp < ILEA_LABEL_CLEAR || request->tlp > ILEA_LABEL_AMBER_STRICT
        || request->history_ms > ILEA_HISTORY_ALL) {
        return refuse(changing, ILEA_ERROR_INVALID, "an audience takes labels up to amber+strict: red never leaves");
    }
    for (uint32_t i = 0; i < changing->agencies.count; i++) {
        if (strcmp(changing->agencies.rows[i].code, name) != 0) continue;
        return refuse(changing, ILEA_ERROR_INVALID, "%s is the code of an agency: take another name", name);
    }
    enum ilea_error error = ilea_audience_find(changing->author->audiences, changing->author->txn, own_id(changing),
                                               name, &changing->found);
    if (error == ILEA_ERROR_NONE || error == ILEA_ERROR_EXISTS) {
        return refuse(changing, ILEA_ERROR_EXISTS, "there is an audience %s already", name);
    }
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    changing->found.membership = NULL;
    if (request->member_count == 0) return refuse(changing, ILEA_ERROR_INVALID, "it needs at least one member");
    error = make_adds(changing, ILEA_ACCESS_NONE);
    return error == ILEA_ERROR_NONE ? make_audience(changing, &info) : error;
}

static int
compare_ids(const void *a, const void *b)
{
    const struct ilea_agency_id *one = a, *other = b;
    return memcmp(one->bytes, other->bytes, sizeof one->bytes);
}

/* What it is called where there is no room for all codes: its first ones, and how many there are. */
static void
name_list(const struct changing *changing, char name[ILEA_AUDIENCE_NAME_MAX + 1])
{
    size_t used = 0;
    const uint32_t count = changing->request->member_count;
    name[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        const char *code = code_of(changing, &changing->request->members[i].agency);
        if (used + strlen(code) + 1 > ILEA_AUDIENCE_NAME_MAX - 16) {
            (void)snprintf(name + used, ILEA_AUDIENCE_NAME_MAX + 1 - used, ", %u in all", count);
            return;
        }
        used += (size_t)snprintf(name + used, ILEA_AUDIENCE_NAME_MAX + 1 - used, "%s%s", i > 0 ? "," : "", code);
    }
}

static enum ilea_error
do_list(struct changing *changing)
{
    const struct ilea_audience_request *request = changing->request;
    struct ilea_agency_id *ids = calloc(request->member_count + 1, sizeof *ids);
    char name[ILEA_AUDIENCE_NAME_MAX + 1];
    if (ids == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = request->member_count > 0 ? make_adds(changing, ILEA_ACCESS_WRITE)
                                                      : refuse(changing, ILEA_ERROR_INVALID, "the list is empty");
    if (error == ILEA_ERROR_NONE) {
        for (uint32_t i = 0; i < request->member_count; i++) ids[i] = request->members[i].agency;
        qsort(ids, request->member_count, sizeof *ids, compare_ids);
        error = ilea_audience_find_list(changing->author->audiences, changing->author->txn, own_id(changing), ids,
                                        request->member_count, &changing->found);
    }
    if (error == ILEA_ERROR_NONE) {
        changing->result->audience = changing->found.row.audience;
        changing->result->epoch = changing->found.state.epoch_number;
    } else if (error == ILEA_ERROR_NOT_FOUND && changing->result->reason[0] == '\0') {
        changing->found.membership = NULL;
        name_list(changing, name);
        const struct ilea_audience_info info = { { (const uint8_t *)name, strlen(name) }, ILEA_LABEL_AMBER_STRICT,
                                                 ILEA_HISTORY_ALL, true };
        error = make_audience(changing, &info);
    }
    free(ids);
    return error;
}

/* The audience and the one member that a request is about. */
static enum ilea_error
load_named(struct changing *changing)
{
    const struct ilea_audience_request *request = changing->request;
    enum ilea_error error = ilea_audience_load(changing->author->audiences, changing->author->txn, &request->audience,
                                               &changing->found);
    if (error == ILEA_ERROR_NOT_FOUND) return refuse(changing, error, "no such audience here; see: ilea audience list");
    if (error != ILEA_ERROR_NONE) return error;
    changing->result->audience = request->audience;
    (void)snprintf(changing->name, sizeof changing->name, "%.*s", (int)changing->found.state.name.size,
                   (const char *)changing->found.state.name.data);
    if (request->member_count != 1) return refuse(changing, ILEA_ERROR_INVALID, "one agency at a time");
    return ILEA_ERROR_NONE;
}

static enum ilea_error
do_suspend(struct changing *changing)
{
    const struct ilea_audience_request *request = changing->request;
    const struct ilea_agency_id *subject = &request->members[0].agency;
    const struct ilea_member *self = ilea_membership_find(&changing->found.state, own_id(changing));
    const struct ilea_member *member = ilea_membership_find(&changing->found.state, subject);
    const char *code = code_of(changing, subject);
    if (is_own(changing, &changing->found.row.owner)) {
        return refuse(changing, ILEA_ERROR_INVALID, "we own it: ilea audience remove %s %s", changing->name, code);
    }
    if (self == NULL || self->level != ILEA_ACCESS_ADMIN) {
        return refuse(changing, ILEA_ERROR_PERMISSION, "its owner and admins alone suspend members of %s",
                      changing->name);
    }
    if (member == NULL) return refuse(changing, ILEA_ERROR_NOT_FOUND, "%s is no member of %s", code, changing->name);
    if (memcmp(subject->bytes, changing->found.row.owner.bytes, sizeof subject->bytes) == 0) {
        return refuse(changing, ILEA_ERROR_INVALID, "%s owns it: an owner cannot be suspended", code);
    }
    if (member->suspended) return refuse(changing, ILEA_ERROR_INVALID, "%s is suspended already", code);
    if (request->reason.size == 0 || request->reason.size > ILEA_SUSPEND_REASON_MAX
        || !ilea_text_is_valid(request->reason) || memchr(request->reason.data, '\n', request->reason.size) != NULL) {
        return refuse(changing, ILEA_ERROR_INVALID, "a reason is one line of text, at most %d bytes",
                      ILEA_SUSPEND_REASON_MAX);
    }
    enum ilea_error error =
        ilea_author_state_suspend(changing->author, &request->audience, subject, request->reason);
    if (error == ILEA_ERROR_NONE) error = finish(changing); /* what was known of members is of before */
    return error == ILEA_ERROR_NONE ? note(changing, "audience.suspend", "suspend") : error;
}

/* What the owner does about one member. */
static enum ilea_error
make_act(struct changing *changing, const char **what)
{
    const struct ilea_audience_request *request = changing->request;
    const struct ilea_agency_id *subject = &request->members[0].agency;
    const struct ilea_member *member = ilea_membership_find(&changing->found.state, subject);
    const char *code = code_of(changing, subject);
    if (request->verb == ILEA_AUDIENCE_ADD) {
        *what = member != NULL ? "level" : "add";
        if (member != NULL && request->members[0].level == ILEA_ACCESS_NONE) {
            return refuse(changing, ILEA_ERROR_INVALID, "%s is a member already (%s): to change that, --level", code,
                          member->level == ILEA_ACCESS_READ        ? "read"
                              : member->level == ILEA_ACCESS_WRITE ? "write"
                                                                   : "admin");
        }
        if (member != NULL && member->level == request->members[0].level && !is_own(changing, subject)) {
            return refuse(changing, ILEA_ERROR_INVALID, "%s is a member already, with that level", code);
        }
        if (member != NULL && member->suspended) {
            return refuse(changing, ILEA_ERROR_INVALID, "%s is suspended: confirm or lift that first", code);
        }
        return make_adds(changing,
                         request->members[0].level == ILEA_ACCESS_NONE ? ILEA_ACCESS_WRITE : ILEA_ACCESS_NONE);
    }
    if (member == NULL) return refuse(changing, ILEA_ERROR_NOT_FOUND, "%s is no member of %s", code, changing->name);
    if (is_own(changing, subject)) {
        return refuse(changing, ILEA_ERROR_INVALID, "%s owns it: it cannot be removed or suspended", code);
    }
    if (request->verb != ILEA_AUDIENCE_REMOVE && !member->suspended) {
        return refuse(changing, ILEA_ERROR_INVALID, "%s is not suspended", code);
    }
    bool lifts = request->verb == ILEA_AUDIENCE_LIFT;
    *what = lifts ? "lift" : request->verb == ILEA_AUDIENCE_CONFIRM ? "confirm" : "remove";
    changing->acts[0] = (struct ilea_member_act){ .kind = lifts ? ILEA_MEMBER_LIFT : ILEA_MEMBER_REMOVE,
                                                  .agency = *subject };
    return ILEA_ERROR_NONE;
}

static enum ilea_error
do_change(struct changing *changing)
{
    const char *what = "change";
    if (!is_own(changing, &changing->found.row.owner)) {
        return refuse(changing, ILEA_ERROR_PERMISSION, "%s owns it: only they change who is in it",
                      changing->found.owner_code[0] != '\0' ? changing->found.owner_code : "another agency");
    }
    if (changing->found.state.list) {
        return refuse(changing, ILEA_ERROR_INVALID, "it is a list, which nobody changes: publish to another one");
    }
    enum ilea_error error = make_act(changing, &what);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_author_state_audience(changing->author, &changing->request->audience, changing->acts, 1, NULL);
    if (error == ILEA_ERROR_LIMIT) {
        return refuse(changing, error, "%s is full or frozen: begin a new audience", changing->name);
    }
    if (error == ILEA_ERROR_NONE) error = finish(changing);
    return error == ILEA_ERROR_NONE ? note(changing, "audience.change", what) : error;
}

enum ilea_error
ilea_author_change_audience(struct ilea_author *author, const struct ilea_audience_request *request,
                            struct ilea_audience_result *result)
{
    ilea_assert(author->txn != NULL);
    *result = (struct ilea_audience_result){ .epoch = 0 };
    struct changing *changing = calloc(1, sizeof *changing);
    if (changing == NULL) return ILEA_ERROR_NO_MEMORY;
    changing->author = author;
    changing->request = request;
    changing->result = result;
    enum ilea_error error = ilea_reach_load(author->txn, false, &changing->agencies);
    if (error == ILEA_ERROR_NONE) {
        switch (request->verb) {
        case ILEA_AUDIENCE_NEW: error = do_new(changing); break;
        case ILEA_AUDIENCE_LIST: error = do_list(changing); break;
        case ILEA_AUDIENCE_SUSPEND:
            error = load_named(changing);
            if (error == ILEA_ERROR_NONE) error = do_suspend(changing);
            break;
        case ILEA_AUDIENCE_ADD:
        case ILEA_AUDIENCE_REMOVE:
        case ILEA_AUDIENCE_CONFIRM:
        case ILEA_AUDIENCE_LIFT:
            error = load_named(changing);
            if (error == ILEA_ERROR_NONE) error = do_change(changing);
            break;
        }
    }
    ilea_reach_unload(&changing->agencies);
    free(changing);
    return error;
}
