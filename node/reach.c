#include "node/reach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/merge/record.h"
#include "replication/record/label.h"
#include "replication/record/manifest.h"

bool
ilea_reach_record_within(const void *context, const char *list)
{
    const struct ilea_record *record = context;
    bool has_area = false;
    for (uint32_t i = 0; i < record->entry_count; i++) {
        const struct ilea_entry *entry = &record->entries[i];
        struct ilea_msgpack_reader reader;
        if (entry->field != ILEA_FIELD_AREAS) continue;
        ilea_msgpack_reader_init(&reader, entry->key);
        if (!ilea_reach_is_listed(ilea_msgpack_get_str(&reader, ILEA_KEY_SIZE_MAX), list)) return false;
        has_area = true;
    }
    return has_area;
}

enum ilea_reach
ilea_reach_of(enum ilea_agency_state state, uint32_t tlp_max, const char *areas, uint32_t label,
              ilea_reach_within *is_within, const void *context)
{
    switch (state) {
    case ILEA_AGENCY_SELF: return ILEA_REACH_GETS;
    case ILEA_AGENCY_PENDING: return ILEA_REACH_PENDING;
    case ILEA_AGENCY_SUSPENDED: return ILEA_REACH_SUSPENDED;
    case ILEA_AGENCY_REVOKED: return ILEA_REACH_REVOKED;
    case ILEA_AGENCY_DECLINED: return ILEA_REACH_DECLINED;
    case ILEA_AGENCY_APPROVED: break;
    }
    if (label > tlp_max) return ILEA_REACH_LABEL;
    if (areas != NULL && (is_within == NULL || !is_within(context, areas))) return ILEA_REACH_AREAS;
    return ILEA_REACH_GETS;
}

/* Room for one more. */
static struct ilea_reach_agency *
add_row(struct ilea_reach_agencies *agencies)
{
    if (agencies->count == agencies->capacity) {
        uint32_t larger = agencies->capacity == 0 ? 64 : agencies->capacity * 2;
        struct ilea_reach_agency *moved = realloc(agencies->rows, larger * sizeof *moved);
        if (moved == NULL) return NULL;
        agencies->rows = moved;
        agencies->capacity = larger;
    }
    struct ilea_reach_agency *row = &agencies->rows[agencies->count++];
    *row = (struct ilea_reach_agency){ .areas = NULL };
    return row;
}

static enum ilea_error
load_one(struct ilea_transaction *log, const struct ilea_agency_row *row, struct ilea_manifest *manifest,
         struct ilea_reach_agencies *agencies)
{
    struct ilea_span bytes;
    uint64_t index;
    struct ilea_reach_agency *agency = add_row(agencies);
    if (agency == NULL) return ILEA_ERROR_NO_MEMORY;
    agency->id = row->id;
    agency->is_known = true;
    agency->state = row->state;
    agency->tlp_max = row->grant.tlp_max;
    if (row->grant.areas.size > 0) {
        agency->areas = strndup((const char *)row->grant.areas.data, row->grant.areas.size);
        if (agency->areas == NULL) return ILEA_ERROR_NO_MEMORY;
    }
    enum ilea_error error = ilea_log_manifest_last(log, &row->id, &index, &bytes);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE && ilea_manifest_decode(bytes, manifest) != ILEA_ERROR_NONE) {
        error = ILEA_ERROR_CORRUPT;
    }
    if (error != ILEA_ERROR_NONE) return error;
    (void)snprintf(agency->code, sizeof agency->code, "%.*s", (int)manifest->code.size,
                   (const char *)manifest->code.data);
    agency->reading = manifest->reading;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_reach_load(struct ilea_transaction *log, bool approved, struct ilea_reach_agencies *agencies)
{
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    struct ilea_agency_row row;
    struct ilea_agency_id last;
    const struct ilea_agency_id *after = NULL;
    *agencies = (struct ilea_reach_agencies){ .count = 0 };
    enum ilea_error error = manifest != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    while (error == ILEA_ERROR_NONE && (error = ilea_log_agency_next(log, after, &row)) == ILEA_ERROR_NONE) {
        last = row.id;
        after = &last;
        if (approved && row.state != ILEA_AGENCY_SELF && row.state != ILEA_AGENCY_APPROVED) continue;
        error = load_one(log, &row, manifest, agencies);
    }
    free(manifest);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    ilea_reach_unload(agencies);
    return error;
}

static int
compare_agencies(const void *a, const void *b)
{
    const struct ilea_reach_agency *one = a, *other = b;
    return memcmp(one->id.bytes, other->id.bytes, sizeof one->id.bytes);
}

enum ilea_error
ilea_reach_add_members(struct ilea_reach_agencies *agencies, const struct ilea_membership_state *members)
{
    const uint32_t known = agencies->count;
    for (uint32_t i = 0; i < members->member_count; i++) {
        const struct ilea_member *member = &members->members[i];
        struct ilea_reach_agency row = { .id = member->agency };
        if (known > 0 && bsearch(&row, agencies->rows, known, sizeof row, compare_agencies) != NULL) continue;
        struct ilea_reach_agency *agency = add_row(agencies);
        if (agency == NULL) return ILEA_ERROR_NO_MEMORY;
        agency->id = member->agency;
        memcpy(agency->code, member->code, sizeof agency->code);
    }
    if (agencies->count > 1) qsort(agencies->rows, agencies->count, sizeof *agencies->rows, compare_agencies);
    return ILEA_ERROR_NONE;
}

void
ilea_reach_unload(struct ilea_reach_agencies *agencies)
{
    for (uint32_t i = 0; i < agencies->count; i++) free(agencies->rows[i].areas);
    free(agencies->rows);
    *agencies = (struct ilea_reach_agencies){ .count = 0 };
}

enum ilea_reach
ilea_reach_to(const struct ilea_reach_agency *agency, const struct ilea_reach_what *what)
{
    if (what->scope == ILEA_SCOPE_AGENCY && agency->state != ILEA_AGENCY_SELF) return ILEA_REACH_NOT_MEMBER;
    if (what->members != NULL) {
        const struct ilea_member *member = ilea_membership_find(what->members, &agency->id);
        if (member == NULL) return ILEA_REACH_NOT_MEMBER;
        if (member->suspended) return ILEA_REACH_SUSPENDED_MEMBER;
    }
    if (!agency->is_known) return ILEA_REACH_UNKNOWN;
    return ilea_reach_of(agency->state, agency->tlp_max, agency->areas, what->label, what->is_within, what->context);
}

enum ilea_error
ilea_reach_could_read(struct ilea_transaction *log, const struct ilea_reach_agency *agency,
                      const struct ilea_reach_what *what, const struct ilea_audience_id *audience, bool *could)
{
    struct ilea_epoch_row row;
    enum ilea_error error = ILEA_ERROR_NONE;
    *could = ilea_reach_to(agency, what) == ILEA_REACH_GETS
        || (what->members != NULL && ilea_membership_find(what->members, &agency->id) != NULL);
    for (uint32_t i = 0; !*could && error == ILEA_ERROR_NONE; i++) {
        error = ilea_log_epoch(log, audience, i, &row);
        for (size_t at = 0; error == ILEA_ERROR_NONE && at < row.readers.size; at += ILEA_EPOCH_READER_SIZE) {
            *could = *could || memcmp(row.readers.data + at, agency->id.bytes, sizeof agency->id.bytes) == 0;
        }
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

const char *
ilea_reach_refusal(const struct ilea_reach_what *what)
{
    if (what->scope == ILEA_SCOPE_AGENCY) return NULL;
    if (what->label >= ILEA_LABEL_RED) return "red never leaves the node";
    if (what->scope == ILEA_SCOPE_PEERS) {
        if (what->label <= ILEA_LABEL_GREEN) return NULL;
        return what->label == ILEA_LABEL_AMBER ? "amber needs a list or an audience: --to NL-PO,BE-FP"
                                               : "amber+strict needs a list, or an audience that takes it";
    }
    if (what->members == NULL || !what->members->has_info) return "there is no such audience here";
    if (what->members->list || what->label <= what->members->tlp) return NULL;
    return "that is above what this audience takes; another --tlp, or another audience";
}

static const struct { const char *name, *text; } words[] = {
    [ILEA_REACH_GETS] = { "gets", "gets it" },
    [ILEA_REACH_LABEL] = { "label", "its approval allows no such label" },
    [ILEA_REACH_AREAS] = { "areas", "its approval does not allow these areas" },
    [ILEA_REACH_PENDING] = { "pending", "it is not approved yet" },
    [ILEA_REACH_SUSPENDED] = { "suspended", "it is suspended" },
    [ILEA_REACH_REVOKED] = { "revoked", "it is revoked" },
    [ILEA_REACH_DECLINED] = { "declined", "it was declined" },
    [ILEA_REACH_UNKNOWN] = { "unknown", "it is not approved here" },
    [ILEA_REACH_NOT_MEMBER] = { "not-member", "it is no member" },
    [ILEA_REACH_SUSPENDED_MEMBER] = { "suspended-member", "it is suspended in the audience" },
};

const char *
ilea_reach_text(enum ilea_reach reach)
{
    return words[reach].text;
}

const char *
ilea_reach_name(enum ilea_reach reach)
{
    return words[reach].name;
}

bool
ilea_reach_is_listed(struct ilea_span code, const char *list)
{
    for (const char *at = list; at != NULL;) {
        const char *end = strchr(at, ',');
        size_t size = end != NULL ? (size_t)(end - at) : strlen(at);
        if (size == code.size && memcmp(at, code.data, size) == 0) return true;
        at = end != NULL ? end + 1 : NULL;
    }
    return false;
}
