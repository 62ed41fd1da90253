/*
 * author_put.c - from a put to a change: what differs from the record as it stands, and which of its
 * values are replaced.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "node/audience_find.h"
#include "node/author_state.h"
#include "node/date.h"
#include "node/erase.h"
#include "node/reach.h"
#include "replication/reader/snapshot.h"
#include "replication/record/label.h"
#include "replication/record/uuid.h"

static const struct ilea_span nothing = { NULL, 0 };

static enum ilea_error __attribute__((format(printf, 3, 4)))
refuse(struct ilea_put_result *result, enum ilea_error error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(result->reason, sizeof result->reason, format, arguments);
    va_end(arguments);
    return error;
}

static uint32_t
slot_of(const struct pending_ids *pending, const struct ilea_record_id *id)
{
    /* The last bytes are random in both UUID versions that are made here. */
    uint32_t slot = ilea_key_u32(id->bytes + 12) & (pending->capacity - 1);
    const struct ilea_record_id empty = { { 0 } };
    while (memcmp(pending->ids[slot].bytes, empty.bytes, sizeof empty.bytes) != 0
           && memcmp(pending->ids[slot].bytes, id->bytes, sizeof id->bytes) != 0) {
        slot = (slot + 1) & (pending->capacity - 1);
    }
    return slot;
}

static bool
is_pending(const struct ilea_author *author, const struct ilea_record_id *id)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct pending_ids *pending = &author->pending[i];
        if (pending->count == 0) continue;
        if (memcmp(pending->ids[slot_of(pending, id)].bytes, id->bytes, sizeof id->bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* Room for one more record that the view does not show yet. BUSY: wait for it. */
static enum ilea_error
reserve_pending(struct ilea_author *author)
{
    for (unsigned i = 0; i < 2; i++) {
        struct pending_ids *pending = &author->pending[i];
        if (pending->is_open && pending->count < PENDING_MAX) return ILEA_ERROR_NONE;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct pending_ids *pending = &author->pending[i];
        if (pending->count > 0) continue;
        if (pending->ids == NULL) {
            pending->capacity = 2 * PENDING_MAX;
            pending->ids = calloc(pending->capacity, sizeof *pending->ids);
            if (pending->ids == NULL) return ILEA_ERROR_NO_MEMORY;
        }
        author->pending[1 - i].is_open = false;
        pending->is_open = true;
        return ILEA_ERROR_NONE;
    }
    return ILEA_ERROR_BUSY;
}

static void
add_pending(struct ilea_author *author, const struct ilea_record_id *id)
{
    struct pending_ids *pending = &author->pending[author->pending[0].is_open ? 0 : 1];
    uint32_t slot = slot_of(pending, id);
    if (memcmp(pending->ids[slot].bytes, id->bytes, sizeof id->bytes) != 0) pending->count++;
    pending->ids[slot] = *id;
    pending->position = UINT64_MAX; /* until the commit says where */
}

/* Every value must be one that our own writers may write. */
static enum ilea_error
check_entries(const struct ilea_put *put, const struct ilea_type *type,
              struct ilea_put_result *result)
{
    for (uint32_t i = 0; i < put->entry_count; i++) {
        const struct ilea_put_entry *entry = &put->entries[i];
        const struct ilea_field *field = ilea_field_by_number(type, entry->field);
        if (field == NULL) continue; /* kept as it came: a newer version's field */
        if ((field->flags & ILEA_FIELD_INTERNAL) != 0) {
            return refuse(result, ILEA_ERROR_INVALID, "field %s is set by the node", field->name);
        }
        if (entry->action != ILEA_PUT_SET) continue;
        enum ilea_error error = ilea_field_check(field, entry->key, entry->value);
        if (error == ILEA_ERROR_LIMIT) {
            return refuse(result, error, "field %s is over its limit of %u", field->name,
                          field->limit);
        }
        if (error != ILEA_ERROR_NONE) {
            return refuse(result, error, "field %s does not take this value", field->name);
        }
    }
    return ILEA_ERROR_NONE;
}

static bool
sets_field(const struct ilea_put *put, uint32_t field)
{
    for (uint32_t i = 0; i < put->entry_count; i++) {
        if (put->entries[i].field == field && put->entries[i].action == ILEA_PUT_SET) return true;
    }
    return false;
}

static enum ilea_error
check_required(const struct ilea_put *put, const struct ilea_type *type,
               struct ilea_put_result *result)
{
    if (type == NULL) return ILEA_ERROR_NONE;
    const struct ilea_field *tables[] = { ilea_common_fields, type->fields };
    for (unsigned t = 0; t < 2; t++) {
        for (const struct ilea_field *field = tables[t]; field->number != 0; field++) {
            /* A type may restate a common field with its own rules. */
            if (ilea_field_by_number(type, field->number) != field) continue;
            if ((field->flags & ILEA_FIELD_REQUIRED) != 0 && !sets_field(put, field->number)) {
                return refuse(result, ILEA_ERROR_INVALID, "a new %s needs %s", type->name,
                              field->name);
            }
        }
    }
    return ILEA_ERROR_NONE;
}

static bool
spans_equal(struct ilea_span a, struct ilea_span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static enum ilea_error
add_op(struct ilea_author *author, uint32_t field, struct ilea_span key, struct ilea_span value,
       uint32_t first, uint32_t siblings)
{
    if (author->op_count == OPS_MAX) return ILEA_ERROR_LIMIT;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, author->dots + author->dots_size,
                             sizeof author->dots - author->dots_size);
    if (siblings > ILEA_OP_REPLACES_MAX) return ILEA_ERROR_LIMIT;
    ilea_msgpack_put_array(&writer, siblings);
    uint32_t depth = 0;
    struct ilea_dot dots[ILEA_OP_REPLACES_MAX];
    for (uint32_t i = 0; i < siblings; i++) {
        const struct ilea_entry *entry = &author->record.entries[first + i];
        if (entry->depth > depth) depth = entry->depth;
        uint32_t at = i; /* entries are sorted by depth first, dots in an op are not */
        for (; at > 0 && ilea_dot_compare(&dots[at - 1], &entry->dot) > 0; at--) dots[at] = dots[at - 1];
        dots[at] = entry->dot;
    }
    for (uint32_t i = 0; i < siblings; i++) ilea_dot_put(&writer, &dots[i]);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    author->dots_size += writer.size;
    author->ops[author->op_count++] = (struct ilea_op){
        .field = field, .key = key, .value = value, .depth = depth == UINT32_MAX ? depth : depth + 1,
        .replaces = ilea_msgpack_written(&writer) };
    return ILEA_ERROR_NONE;
}

/* Set or remove one (field, key), unless that is how it is already. */
static enum ilea_error
change_value(struct ilea_author *author, uint32_t field, struct ilea_span key, struct ilea_span value)
{
    uint32_t first, siblings = ilea_record_find(&author->record, field, key, &first);
    if (value.size == 0 && siblings == 0) return ILEA_ERROR_NONE;
    if (siblings == 1 && spans_equal(author->record.entries[first].value, value)) return ILEA_ERROR_NONE;
    return add_op(author, field, key, value, first, siblings);
}

static bool
sets_key(const struct ilea_put *put, uint32_t field, struct ilea_span key)
{
    for (uint32_t i = 0; i < put->entry_count; i++) {
        const struct ilea_put_entry *entry = &put->entries[i];
        if (entry->field == field && entry->action == ILEA_PUT_SET && spans_equal(entry->key, key)) {
            return true;
        }
    }
    return false;
}

/* Remove all keys of a field, or all that the put does not set. */
static enum ilea_error
remove_keys(struct ilea_author *author, const struct ilea_put *put, uint32_t field, bool keep_set)
{
    for (uint32_t i = 0; i < author->record.entry_count;) {
        const struct ilea_entry *entry = &author->record.entries[i];
        uint32_t first, siblings = ilea_record_find(&author->record, entry->field, entry->key, &first);
        i = first + siblings;
        if (entry->field != field || (keep_set && sets_key(put, field, entry->key))) continue;
        enum ilea_error error = add_op(author, field, entry->key, nothing, first, siblings);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

/* What a field's merge class does not let change: set once, or only added to. */
static enum ilea_error
check_merge(struct ilea_author *author, const struct ilea_put_entry *entry,
            const struct ilea_field *field, struct ilea_put_result *result)
{
    uint32_t first, siblings = ilea_record_find(&author->record, entry->field, entry->key, &first);
    bool same = siblings > 0 && spans_equal(author->record.entries[first].value, entry->value);
    if (field->merge == ILEA_MERGE_IMMUTABLE && siblings > 0 && !same) {
        return refuse(result, ILEA_ERROR_INVALID, "field %s cannot be changed once it is set", field->name);
    }
    if (field->merge == ILEA_MERGE_GROW && entry->action != ILEA_PUT_SET) {
        return refuse(result, ILEA_ERROR_INVALID, "nothing can be removed from field %s", field->name);
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
difference(struct ilea_author *author, const struct ilea_put *put, const struct ilea_type *type,
           struct ilea_put_result *result)
{
    for (uint32_t i = 0; i < put->entry_count; i++) {
        const struct ilea_put_entry *entry = &put->entries[i];
        const struct ilea_field *field = ilea_field_by_number(type, entry->field);
        bool keyed = field != NULL && ilea_field_has_key(field);
        enum ilea_error error =
            field != NULL ? check_merge(author, entry, field, result) : ILEA_ERROR_NONE;
        if (error != ILEA_ERROR_NONE) return error;
        switch (entry->action) {
        case ILEA_PUT_SET:
            error = change_value(author, entry->field, entry->key, entry->value);
            break;
        case ILEA_PUT_REMOVE:
            error = keyed && entry->key.size == 0
                ? remove_keys(author, put, entry->field, false)
                : change_value(author, entry->field, entry->key, nothing);
            break;
        case ILEA_PUT_ONLY:
            error = remove_keys(author, put, entry->field, true);
            break;
        }
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

static int
compare_ops(const void *a, const void *b)
{
    const struct ilea_op *one = a, *other = b;
    if (one->field != other->field) return one->field < other->field ? -1 : 1;
    size_t size = one->key.size < other->key.size ? one->key.size : other->key.size;
    int order = size == 0 ? 0 : memcmp(one->key.data, other->key.data, size);
    if (order != 0) return order;
    return one->key.size == other->key.size ? 0 : one->key.size < other->key.size ? -1 : 1;
}

/* In order, each place once: of two writes of one place in a put the last counts. */
static void
sort_ops(struct ilea_author *author)
{
    bool sorted = true;
    for (uint32_t i = 1; i < author->op_count && sorted; i++) {
        sorted = compare_ops(&author->ops[i - 1], &author->ops[i]) < 0;
    }
    if (sorted) return;
    /* An insertion sort is stable, and puts are nearly sorted. */
    uint32_t kept = 0;
    for (uint32_t i = 0; i < author->op_count; i++) {
        struct ilea_op op = author->ops[i];
        uint32_t at = kept;
        while (at > 0 && compare_ops(&author->ops[at - 1], &op) > 0) at--;
        if (at > 0 && compare_ops(&author->ops[at - 1], &op) == 0) {
            author->ops[at - 1] = op;
            continue;
        }
        memmove(&author->ops[at + 1], &author->ops[at], (kept - at) * sizeof op);
        author->ops[at] = op;
        kept++;
    }
    author->op_count = kept;
}

/* For whom a record is. */
struct place {
    enum ilea_scope scope;
    struct ilea_audience_id audience; /* of scope AUDIENCE; zeros else */
};

static bool
same_place(const struct place *a, const struct place *b)
{
    return a->scope == b->scope
        && (a->scope != ILEA_SCOPE_AUDIENCE
            || memcmp(a->audience.bytes, b->audience.bytes, sizeof a->audience.bytes) == 0);
}

/* What the record shows, written anew for others than now. `is_first`: as first writes of what is shared, because its
 * past stays in the agency; else over what is there, so that who reads both sees no conflict. */
static enum ilea_error
copy_shown(struct ilea_author *author, const struct ilea_type *type, bool is_first)
{
    const struct ilea_record *shown = &author->record;
    for (uint32_t i = 0; i < shown->entry_count;) {
        const struct ilea_entry *entry = &shown->entries[i];
        uint32_t first, siblings = ilea_record_find(shown, entry->field, entry->key, &first);
        const struct ilea_field *field = ilea_field_by_number(type, entry->field);
        uint32_t at = ilea_record_shown(shown, field, first, siblings);
        enum ilea_error error = ILEA_ERROR_NONE;
        if (entry->field != ILEA_FIELD_AUDIENCE) {
            error = add_op(author, entry->field, entry->key, shown->entries[at].value, is_first ? 0 : first,
                           is_first ? 0 : siblings);
        }
        if (error != ILEA_ERROR_NONE) return error;
        i = first + siblings;
    }
    return ILEA_ERROR_NONE;
}

/* The record says which closed audience it is shared in; with each change, for who joined later may have no other, and
 * what said so before may be erased. */
static enum ilea_error
name_place(struct ilea_author *author, const struct place *place)
{
    struct ilea_msgpack_writer writer;
    uint32_t first;
    if (place->scope != ILEA_SCOPE_AUDIENCE) return change_value(author, ILEA_FIELD_AUDIENCE, nothing, nothing);
    ilea_msgpack_writer_init(&writer, author->audience_value, sizeof author->audience_value);
    ilea_msgpack_put_bin(&writer, place->audience.bytes, sizeof place->audience.bytes);
    uint32_t siblings = ilea_record_find(&author->record, ILEA_FIELD_AUDIENCE, nothing, &first);
    return add_op(author, ILEA_FIELD_AUDIENCE, nothing, ilea_msgpack_written(&writer), first, siblings);
}

/* Where a record of ours is now. */
static enum ilea_error
place_of(const struct ilea_author *author, const struct ilea_view_row *row, struct place *place)
{
    struct ilea_msgpack_reader reader;
    *place = (struct place){ .scope = row->scope };
    if (row->scope != ILEA_SCOPE_AUDIENCE) return ILEA_ERROR_NONE;
    ilea_msgpack_reader_init(&reader, ilea_record_common_value(&author->record, ILEA_FIELD_AUDIENCE));
    ilea_msgpack_get_bytes(&reader, place->audience.bytes, sizeof place->audience.bytes);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

/* The label that goes with the change: the record's own, or the audience's usual one. */
static uint32_t
label_of(const struct ilea_author *author, enum ilea_scope scope)
{
    struct ilea_span value = ilea_record_common_value(&author->record, ILEA_FIELD_TLP);
    for (uint32_t i = 0; i < author->op_count; i++) {
        if (author->ops[i].field == ILEA_FIELD_TLP) value = author->ops[i].value;
    }
    return ilea_label_of_value(value, scope);
}

static bool
is_listed(struct ilea_span element, const char *list)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, element);
    struct ilea_span code = ilea_msgpack_get_str(&reader, (uint32_t)element.size);
    return !reader.failed && ilea_reach_is_listed(code, list);
}

static bool
writes_key(const struct ilea_author *author, const struct ilea_entry *entry)
{
    for (uint32_t i = 0; i < author->op_count; i++) {
        const struct ilea_op *op = &author->ops[i];
        if (op->field == entry->field && spans_equal(op->key, entry->key)) return true;
    }
    return false;
}

bool
ilea_author_is_within(const void *context, const char *areas)
{
    const struct ilea_author *author = context;
    bool has_area = false;
    for (uint32_t i = 0; i < author->op_count; i++) {
        const struct ilea_op *op = &author->ops[i];
        if (op->field != ILEA_FIELD_AREAS || op->value.size == 0) continue;
        has_area = true;
        if (!is_listed(op->key, areas)) return false;
    }
    for (uint32_t i = 0; i < author->record.entry_count; i++) {
        const struct ilea_entry *entry = &author->record.entries[i];
        if (entry->field != ILEA_FIELD_AREAS || writes_key(author, entry)) continue;
        has_area = true;
        if (!is_listed(entry->key, areas)) return false;
    }
    return has_area;
}

/* Whether the ops remove the last value of a field. */
static bool
loses_field(const struct ilea_author *author, uint32_t field)
{
    bool removes = false;
    for (uint32_t i = 0; i < author->op_count; i++) {
        if (author->ops[i].field != field) continue;
        if (author->ops[i].value.size > 0) return false;
        removes = true;
    }
    for (uint32_t i = 0; removes && i < author->record.entry_count; i++) {
        const struct ilea_entry *entry = &author->record.entries[i];
        if (entry->field == field && !writes_key(author, entry)) return false;
    }
    return removes;
}

static enum ilea_error
check_kept(const struct ilea_author *author, const struct ilea_type *type, struct ilea_put_result *result)
{
    if (type == NULL) return ILEA_ERROR_NONE;
    for (uint32_t i = 0; i < author->op_count; i++) {
        const struct ilea_field *field = ilea_field_by_number(type, author->ops[i].field);
        if (field == NULL || (field->flags & ILEA_FIELD_REQUIRED) == 0) continue;
        if (loses_field(author, field->number)) {
            return refuse(result, ILEA_ERROR_INVALID, "a %s needs %s", type->name, field->name);
        }
    }
    return ILEA_ERROR_NONE;
}

/* The one gate on the way out: whether a change, whose ops are in author->ops, has to be approved first. That a record
 * is withdrawn may always be said at once. */
static bool
is_held(const struct ilea_author *author, enum ilea_scope scope)
{
    if (author->gate != ILEA_GATE_POLICY) return author->gate == ILEA_GATE_CLOSED;
    if (!author->four_eyes || scope == ILEA_SCOPE_AGENCY) return false;
    for (uint32_t i = 0; i < author->op_count; i++) {
        if (author->ops[i].field != ILEA_FIELD_WITHDRAWN) return true;
    }
    return false;
}

/* Whether anybody but ourselves gets it; if not, why not: of the first member. */
static enum ilea_error
check_reach(struct ilea_author *author, const struct ilea_reach_what *what, struct ilea_put_result *result)
{
    const struct ilea_reach_agencies *agencies;
    const struct ilea_reach_agency *first = NULL;
    enum ilea_error error = ilea_author_agencies(author, &agencies);
    if (error != ILEA_ERROR_NONE) return error;
    for (uint32_t i = 0; i < agencies->count; i++) {
        const struct ilea_reach_agency *agency = &agencies->rows[i];
        if (agency->state == ILEA_AGENCY_SELF) continue;
        enum ilea_reach reach = ilea_reach_to(agency, what);
        if (reach == ILEA_REACH_GETS) return ILEA_ERROR_NONE;
        if (reach != ILEA_REACH_NOT_MEMBER && first == NULL) first = agency;
    }
    if (first == NULL) {
        return refuse(result, ILEA_ERROR_INVALID, "nobody would get it: no other member is approved here");
    }
    return refuse(result, ILEA_ERROR_INVALID, "nobody would get it: not %s: %s (%s)", first->code,
                  ilea_reach_text(ilea_reach_to(first, what)), ilea_label_name(what->label));
}

/* Members of a closed audience that we may write into. */
static enum ilea_error
check_writer(struct ilea_author *author, const struct place *place, struct ilea_audience_found *found,
             struct ilea_put_result *result)
{
    char name[ILEA_AUDIENCE_TEXT_SIZE];
    const struct ilea_agency_id *own = &author->identity->agency;
    enum ilea_error error = ilea_audience_load(author->audiences, author->txn, &place->audience, found);
    if (error == ILEA_ERROR_NOT_FOUND) return refuse(result, error, "there is no such audience here");
    if (error != ILEA_ERROR_NONE) return error;
    ilea_audience_text(found, own, name);
    const struct ilea_member *self = ilea_membership_find(&found->state, own);
    if (self == NULL) return refuse(result, ILEA_ERROR_PERMISSION, "we are no member of %s", name);
    if (self->suspended) return refuse(result, ILEA_ERROR_PERMISSION, "we are suspended in %s", name);
    if (self->level < ILEA_ACCESS_WRITE) {
        return refuse(result, ILEA_ERROR_PERMISSION, "we may only read in %s", name);
    }
    if (!found->is_frozen) return ILEA_ERROR_NONE;
    return refuse(result, ILEA_ERROR_LIMIT, "%s is frozen: too many statements about its members; its owner begins "
                                            "a new audience", name);
}

/* Whether it may go there, and reaches anybody. `moves`: it was not there before. */
static enum ilea_error
check_place(struct ilea_author *author, const struct place *place, uint32_t label, bool moves,
            struct ilea_put_result *result)
{
    struct ilea_audience_found found;
    struct ilea_reach_what what = { place->scope, NULL, label, ilea_author_is_within, author };
    if (place->scope == ILEA_SCOPE_AUDIENCE) {
        enum ilea_error error = check_writer(author, place, &found, result);
        if (error != ILEA_ERROR_NONE) return error;
        what.members = &found.state;
    }
    const char *why = ilea_reach_refusal(&what);
    if (why != NULL) {
        return refuse(result, ILEA_ERROR_INVALID, "it is %s: %s%s", ilea_label_name(label), why,
                      moves ? "" : "; narrow it first: ilea publish REF --to ...");
    }
    return place->scope == ILEA_SCOPE_AUDIENCE ? check_reach(author, &what, result) : ILEA_ERROR_NONE;
}

/* What is to reach whom by a place; `found`: for the audience. */
static enum ilea_error
what_at(struct ilea_author *author, const struct place *place, uint32_t label, struct ilea_audience_found *found,
        struct ilea_reach_what *what)
{
    *what = (struct ilea_reach_what){ place->scope, NULL, label, ilea_author_is_within, author };
    if (place->scope != ILEA_SCOPE_AUDIENCE) return ILEA_ERROR_NONE;
    what->members = &found->state;
    return ilea_audience_load(author->audiences, author->txn, &place->audience, found);
}

static const struct ilea_audience_id *
audience_of(const struct ilea_author *author, const struct place *place)
{
    return place->scope == ILEA_SCOPE_PEERS ? &author->lines[ILEA_LINE_PEERS].audience : &place->audience;
}

/* An agency that could read a record where it was and does not get it where it goes; empty: there is none. */
static enum ilea_error
who_falls_out(struct ilea_author *author, const struct place *before, const struct place *after, uint32_t label,
              char code[ILEA_CODE_SIZE_MAX + 1])
{
    struct ilea_audience_found was, is;
    struct ilea_reach_what then, now;
    struct ilea_reach_agencies agencies = { .count = 0 };
    code[0] = '\0';
    enum ilea_error error = what_at(author, before, ILEA_LABEL_CLEAR, &was, &then);
    if (error == ILEA_ERROR_NOT_FOUND) { /* nobody can say any more */
        (void)snprintf(code, ILEA_CODE_SIZE_MAX + 1, "somebody");
        return ILEA_ERROR_NONE;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_reach_load(author->txn, false, &agencies);
    if (error == ILEA_ERROR_NONE && then.members != NULL) error = ilea_reach_add_members(&agencies, then.members);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < agencies.count && code[0] == '\0'; i++) {
        const struct ilea_reach_agency *agency = &agencies.rows[i];
        bool had = false;
        if (agency->state == ILEA_AGENCY_SELF && agency->is_known) continue;
        error = ilea_reach_could_read(author->txn, agency, &then, audience_of(author, before), &had);
        if (!had || error != ILEA_ERROR_NONE) continue;
        error = what_at(author, after, label, &is, &now); /* the other one may have taken its place */
        if (error == ILEA_ERROR_NONE && ilea_reach_to(agency, &now) != ILEA_REACH_GETS) {
            (void)snprintf(code, ILEA_CODE_SIZE_MAX + 1, "%s", agency->code);
        }
        if (error == ILEA_ERROR_NONE) error = what_at(author, before, ILEA_LABEL_CLEAR, &was, &then);
    }
    ilea_reach_unload(&agencies);
    return error;
}

/* A shared record goes elsewhere: does that take it from somebody? Only where it was asked for. */
static enum ilea_error
check_narrowing(struct ilea_author *author, const struct ilea_put *put, const struct place *before,
                const struct place *after, bool *narrows, struct ilea_put_result *result)
{
    char code[ILEA_CODE_SIZE_MAX + 1];
    const bool is_wanted = put->mode == ILEA_PUT_NARROW;
    *narrows = is_wanted;
    if (!same_place(before, after)) {
        enum ilea_error error = who_falls_out(author, before, after, label_of(author, after->scope), code);
        if (error != ILEA_ERROR_NONE) return error;
        /* What was narrowed once stays in one place: anything in another is erased wherever it turns up. */
        struct ilea_gone_row gone;
        *narrows = code[0] != '\0' || ilea_log_gone(author->txn, put->type, &put->id, &gone) == ILEA_ERROR_NONE;
    }
    if (*narrows && !is_wanted && code[0] != '\0') {
        return refuse(result, ILEA_ERROR_INVALID, ILEA_REACH_FALLS_OUT "%s", code,
                      put->mode == ILEA_PUT_UPDATE ? ILEA_REACH_CONFIRM : "ilea publish REF --to ... --confirm");
    }
    if (!*narrows) return ILEA_ERROR_NONE;
    if (author->erased == NULL) return refuse(result, ILEA_ERROR_INVALID, "nothing can be erased here");
    return author->view_position >= author->saved_position ? ILEA_ERROR_NONE : ILEA_ERROR_BUSY;
}

/* Its new state is written: what was shared before goes. */
static enum ilea_error
leave_place(struct ilea_author *author, const struct ilea_put *put, const struct place *after)
{
    static const char text[] = "it is for others from now on";
    const struct ilea_span reason = { (const uint8_t *)text, sizeof text - 1 };
    const struct ilea_erase_record record = { put->type, put->id };
    const struct ilea_audience_id audience = *audience_of(author, after);
    uint32_t dots;
    enum ilea_error error = ilea_author_narrow(author, &record, &audience, reason, &dots);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    return ilea_author_refuses(error) ? ILEA_ERROR_CORRUPT : error; /* half of it is written: all or nothing */
}

/* Outcome REVIEW: it was held. */
static enum ilea_error
write_ops(struct ilea_author *author, const struct ilea_put *put, const struct place *place, bool moves,
          struct ilea_put_result *result)
{
    const enum ilea_scope scope = place->scope;
    sort_ops(author);
    enum ilea_error error = check_kept(author, ilea_type_by_number(put->type), result);
    if (error != ILEA_ERROR_NONE) return error;
    uint32_t label = label_of(author, scope);
    error = check_place(author, place, label, moves, result);
    if (error != ILEA_ERROR_NONE) return error;
    if (is_held(author, scope)) {
        result->outcome = ILEA_PUT_REVIEW;
        result->label = label;
        result->scope = scope;
        if (scope == ILEA_SCOPE_AUDIENCE) result->audience = place->audience;
        return ILEA_ERROR_NONE;
    }
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, author->encoded_ops, sizeof author->encoded_ops);
    for (uint32_t i = 0; i < author->op_count; i++) ilea_op_put(&writer, &author->ops[i]);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    struct ilea_change change = { .record = result->id, .type = put->type, .time_ms = author->now_ms,
                                  .label = label, .op_count = author->op_count,
                                  .ops = ilea_msgpack_written(&writer) };
    return ilea_author_add_change(author, ilea_author_line(author, scope, &place->audience), &change);
}

static enum ilea_error
add_ref(struct ilea_author *author, const struct ilea_type *type, uint32_t *ref)
{
    uint64_t number;
    enum ilea_error error = ilea_author_next_ref(author, type->number, &number);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, author->ref_value, sizeof author->ref_value);
    ilea_msgpack_put_uint(&writer, number);
    *ref = (uint32_t)number;
    return add_op(author, ILEA_FIELD_REF, nothing, ilea_msgpack_written(&writer), 0, 0);
}

/* Our own code, which never changes. */
static enum ilea_error
load_code(struct ilea_author *author)
{
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    struct ilea_span bytes;
    if (manifest == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ilea_log_manifest(author->txn, &author->identity->agency, 0, &bytes);
    if (error == ILEA_ERROR_NONE && ilea_manifest_decode(bytes, manifest) != ILEA_ERROR_NONE) {
        error = ILEA_ERROR_CORRUPT;
    }
    if (error == ILEA_ERROR_NONE) {
        memcpy(author->code, manifest->code.data, manifest->code.size);
        author->code_size = manifest->code.size;
    }
    free(manifest);
    return error;
}

/* FR-PN-N42, for the answer. */
static enum ilea_error
name_record(struct ilea_author *author, const struct ilea_type *type, uint32_t ref,
            const struct ilea_view_row *row, struct ilea_put_result *result)
{
    if (type == NULL || ref == 0) return ILEA_ERROR_NONE;
    uint32_t index = 0;
    if (row != NULL) {
        enum ilea_error error = ilea_view_ref_index(author->view_txn, row, &index);
        if (error != ILEA_ERROR_NONE) return error;
    }
    if (author->code_size == 0) {
        enum ilea_error error = load_code(author);
        if (error != ILEA_ERROR_NONE) return error;
    }
    ilea_ref_format((struct ilea_span){ author->code, author->code_size }, type->letter, ref, index,
                    result->ref);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
create(struct ilea_author *author, const struct ilea_put *put, const struct ilea_type *type,
       struct ilea_put_result *result)
{
    enum ilea_error error = check_required(put, type, result);
    /* An id that was made just now is known to nobody, and need not be waited for. */
    if (error == ILEA_ERROR_NONE && put->has_id) error = reserve_pending(author);
    if (error != ILEA_ERROR_NONE) return error;
    const struct place place = { put->scope == 0 ? ILEA_SCOPE_AGENCY : (enum ilea_scope)put->scope, put->audience };
    uint32_t ref = 0;
    error = difference(author, put, type, result);
    if (error == ILEA_ERROR_NONE && author->op_count == 0) {
        return refuse(result, ILEA_ERROR_INVALID, "a record without any field");
    }
    if (error == ILEA_ERROR_NONE) error = name_place(author, &place);
    bool takes_number = type != NULL && !is_held(author, place.scope);
    if (error == ILEA_ERROR_NONE && takes_number) error = add_ref(author, type, &ref);
    if (error == ILEA_ERROR_NONE) error = write_ops(author, put, &place, true, result);
    if (error != ILEA_ERROR_NONE || result->outcome == ILEA_PUT_REVIEW) return error;
    if (put->has_id) add_pending(author, &result->id);
    result->outcome = ILEA_PUT_CREATED;
    return name_record(author, type, ref, NULL, result);
}

static enum ilea_error
update(struct ilea_author *author, const struct ilea_put *put, const struct ilea_type *type,
       const struct ilea_view_row *row, struct ilea_put_result *result)
{
    enum ilea_error error = ilea_view_check(row, &author->identity->agency);
    if (error == ILEA_ERROR_NONE) error = ilea_record_decode(row->state, &author->record);
    if (error == ILEA_ERROR_MALFORMED) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) error = name_record(author, type, row->ref, row, result);
    if (error == ILEA_ERROR_NONE) error = reserve_pending(author);
    if (error != ILEA_ERROR_NONE) return error;

    struct place before, after = { (enum ilea_scope)put->scope, put->audience };
    error = place_of(author, row, &before);
    if (error != ILEA_ERROR_NONE) return error;
    if (put->scope == 0) after = before;
    bool publish = before.scope == ILEA_SCOPE_AGENCY && after.scope != ILEA_SCOPE_AGENCY;
    bool moves = !same_place(&before, &after), narrows = false;
    bool again = put->mode == ILEA_PUT_NARROW && !moves && before.scope != ILEA_SCOPE_AGENCY;
    if (after.scope == ILEA_SCOPE_AGENCY && before.scope != ILEA_SCOPE_AGENCY) {
        return refuse(result, ILEA_ERROR_INVALID,
                      "%s is shared already; it cannot be put back into the agency alone", result->ref);
    }
    if (moves || again) {
        error = copy_shown(author, type, publish);
        if (error == ILEA_ERROR_NONE) error = name_place(author, &after);
    }
    if (publish) {
        if (error == ILEA_ERROR_NONE) {
            /* What the put changes comes after, over the copy, and replaces nothing that others know. */
            uint32_t copied = author->op_count;
            error = difference(author, put, type, result);
            for (uint32_t i = copied; i < author->op_count; i++) {
                author->ops[i].replaces = author->ops[0].replaces; /* none */
                author->ops[i].depth = 1;
            }
        }
    } else if (error == ILEA_ERROR_NONE) {
        error = difference(author, put, type, result);
    }
    if (error != ILEA_ERROR_NONE) return error;
    if (author->op_count == 0) {
        result->outcome = ILEA_PUT_UNCHANGED;
        return ILEA_ERROR_NONE;
    }
    if (!moves && !again && after.scope == ILEA_SCOPE_AUDIENCE) error = name_place(author, &after);
    if (error != ILEA_ERROR_NONE) return error;
    bool was_shared = before.scope != ILEA_SCOPE_AGENCY && (moves || again);
    if (was_shared) error = check_narrowing(author, put, &before, &after, &narrows, result);
    if (error == ILEA_ERROR_NONE) error = write_ops(author, put, &after, moves, result);
    if (error != ILEA_ERROR_NONE) return error;
    if (result->outcome == ILEA_PUT_REVIEW) {
        result->is_shared = row->scope != ILEA_SCOPE_AGENCY;
        ilea_release_base(row->scope, row->state, result->base);
        return ILEA_ERROR_NONE;
    }
    add_pending(author, &result->id);
    result->outcome = ILEA_PUT_UPDATED;
    return narrows ? leave_place(author, put, &after) : ILEA_ERROR_NONE;
}

/* Nobody but its owner changes a record: say whose it is. */
static enum ilea_error
not_ours(struct ilea_author *author, const struct ilea_put *put, struct ilea_put_result *result)
{
    struct ilea_view_row other;
    enum ilea_error error = ilea_view_find_id(author->view_txn, &put->id, 0, &other);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_view_agency owner;
    error = ilea_view_agency(author->view_txn, other.agency, &owner);
    if (error != ILEA_ERROR_NONE) return error;
    if (other.agency == author->agency) {
        return refuse(result, ILEA_ERROR_INVALID, "the record is of another type");
    }
    return refuse(result, ILEA_ERROR_NOT_OWNER, "it belongs to %.*s: only they can change it",
                  (int)owner.code.size, (const char *)owner.code.data);
}

/* What was erased stays so: whatever would be written to it would be erased at once. */
static enum ilea_error
refuse_erased(struct ilea_author *author, const struct ilea_put *put, struct ilea_put_result *result)
{
    static const struct ilea_audience_id none;
    struct ilea_gone_row row;
    char time[ILEA_TIME_SIZE];
    enum ilea_error error = ilea_log_gone(author->txn, put->type, &put->id, &row);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
    if (memcmp(row.audience.bytes, none.bytes, sizeof none.bytes) != 0) return ILEA_ERROR_NONE; /* narrowed */
    ilea_time_format(row.time_ms, time);
    return refuse(result, ILEA_ERROR_INVALID, "the record was erased on %s (%.*s) and does not come back", time,
                  (int)row.reason.size, row.reason.size > 0 ? (const char *)row.reason.data : "");
}

enum ilea_error
ilea_author_put(struct ilea_author *author, const struct ilea_put *put,
                struct ilea_put_result *result)
{
    ilea_assert(author->txn != NULL);
    *result = (struct ilea_put_result){ .id = put->id };
    const struct ilea_type *type = ilea_type_by_number(put->type);
    enum ilea_error error = check_entries(put, type, result);
    if (error != ILEA_ERROR_NONE) return error;
    author->op_count = 0;
    author->dots_size = 0;
    ilea_record_clear(&author->record);

    if (!put->has_id) {
        if (put->mode != ILEA_PUT_CREATE) return refuse(result, ILEA_ERROR_INVALID, "no record named");
        ilea_uuid_make(author->now_ms, &result->id);
        return create(author, put, type, result);
    }
    const struct ilea_record_id empty = { { 0 } }; /* it marks an empty slot of pending ids */
    if (memcmp(put->id.bytes, empty.bytes, sizeof empty.bytes) == 0) {
        return refuse(result, ILEA_ERROR_INVALID, "an id of zeros names no record");
    }
    enum ilea_error gone = refuse_erased(author, put, result);
    if (gone != ILEA_ERROR_NONE) return gone;
    if (is_pending(author, &put->id)) return ILEA_ERROR_BUSY;
    if (author->view_txn == NULL) return ILEA_ERROR_BUSY; /* it is being rebuilt */
    struct ilea_view_row row;
    error = ilea_view_find(author->view_txn, author->agency, put->type, &put->id, &row);
    if (error == ILEA_ERROR_NONE) {
        if (put->mode == ILEA_PUT_CREATE) {
            return refuse(result, ILEA_ERROR_EXISTS, "a record with this id exists");
        }
        return update(author, put, type, &row, result);
    }
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    if (put->mode == ILEA_PUT_UPDATE || put->mode == ILEA_PUT_NARROW) {
        if (author->view_position < author->position) return ILEA_ERROR_BUSY; /* written a moment ago? */
        error = not_ours(author, put, result);
        return error == ILEA_ERROR_NOT_FOUND ? refuse(result, error, "no such record") : error;
    }
    return create(author, put, type, result);
}

static enum ilea_error
put_through(struct ilea_author *author, enum ilea_gate gate, const struct ilea_put *put, struct ilea_put_result *result)
{
    author->gate = gate;
    enum ilea_error error = ilea_author_put(author, put, result);
    author->gate = ILEA_GATE_POLICY;
    return error;
}

enum ilea_error
ilea_author_review(struct ilea_author *author, const struct ilea_put *put, struct ilea_put_result *result)
{
    return put_through(author, ILEA_GATE_CLOSED, put, result);
}

enum ilea_error
ilea_author_release(struct ilea_author *author, const struct ilea_put *put, struct ilea_put_result *result)
{
    return put_through(author, ILEA_GATE_OPEN, put, result);
}

bool
ilea_author_refuses(enum ilea_error error)
{
    return error == ILEA_ERROR_INVALID || error == ILEA_ERROR_LIMIT || error == ILEA_ERROR_NOT_OWNER
        || error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_EXISTS || error == ILEA_ERROR_PERMISSION;
}
