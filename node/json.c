#include "node/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/reason.h"
#include "node/value.h"
#include "replication/record/label.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/uuid.h"

static const uint8_t present_byte = 1;
static const char unknown_type_prefix[] = "type-";

/* ---- out ---- */

/* Siblings: the entries of one (field, key). */
struct group {
    const struct ilea_field *field; /* NULL: not in the tables, or not of the field's shape */
    uint32_t first, count;
    uint32_t number;
    struct ilea_span key;
    struct ilea_span shown;
};

static bool
is_str(struct ilea_span value)
{
    if (value.size == 0) return false;
    uint8_t tag = value.data[0];
    return (tag >= 0xa0 && tag <= 0xbf) || (tag >= 0xd9 && tag <= 0xdb);
}

static bool
is_present(struct ilea_span value)
{
    return value.size == 1 && value.data[0] == present_byte;
}

/* Peers may have written anything: a known field is one only if the entries are shaped like it. */
static bool
has_shape(const struct ilea_field *field, struct ilea_span key, struct ilea_span value)
{
    if (field == NULL) return false;
    if (!ilea_field_has_key(field)) return key.size == 0;
    if (field->merge == ILEA_MERGE_KEYED) return is_str(key);
    return key.size > 0 && is_present(value);
}

static bool
next_group(const struct ilea_record *record, const struct ilea_type *type, struct group *group)
{
    uint32_t first = group->first + group->count;
    if (first == record->entry_count) return false;
    const struct ilea_entry *entry = &record->entries[first];
    uint32_t end = first + 1;
    for (; end < record->entry_count; end++) {
        const struct ilea_entry *other = &record->entries[end];
        if (other->field != entry->field || other->key.size != entry->key.size) break;
        if (entry->key.size > 0 && memcmp(other->key.data, entry->key.data, entry->key.size) != 0) {
            break;
        }
    }
    const struct ilea_field *field = ilea_field_by_number(type, entry->field);
    group->first = first;
    group->count = end - first;
    group->number = entry->field;
    group->key = entry->key;
    group->shown = record->entries[ilea_record_shown(record, field, first, group->count)].value;
    group->field = has_shape(field, group->key, group->shown) ? field : NULL;
    return true;
}

/* The text of an encoded str: a key of a JSON object. */
static struct ilea_span
str_of(struct ilea_span encoded)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, encoded);
    return ilea_msgpack_get_str(&reader, UINT32_MAX);
}

/* The member of `object`, made by `make` if it is not there. */
static json_t *
member(json_t *object, const char *name, json_t *(*make)(void))
{
    json_t *json = json_object_get(object, name);
    if (json != NULL) return json;
    if (json_object_set_new_nocheck(object, name, make()) != 0) return NULL;
    return json_object_get(object, name);
}

static bool
set_by_text(json_t *object, struct ilea_span name, json_t *value)
{
    return json_object_setn_new_nocheck(object, (const char *)name.data, name.size, value) == 0;
}

/* A name of a field that is not in the tables. */
static void
print_number(uint32_t number, char name[16])
{
    (void)snprintf(name, 16, "%u", number);
}

static bool
is_conflict(const struct ilea_record *record, const struct group *group)
{
    enum ilea_merge merge = group->field != NULL ? group->field->merge : ILEA_MERGE_REGISTER;
    if (merge != ILEA_MERGE_REGISTER && merge != ILEA_MERGE_KEYED && merge != ILEA_MERGE_STATE) {
        return false;
    }
    for (uint32_t i = group->first; i < group->first + group->count; i++) {
        struct ilea_span value = record->entries[i].value;
        if (value.size != group->shown.size
            || memcmp(value.data, group->shown.data, value.size) != 0) {
            return true;
        }
    }
    return false;
}

static bool
add_conflict(json_t *object, const struct ilea_record *record, const struct group *group)
{
    if (!is_conflict(record, group)) return true;
    char number[16];
    print_number(group->number, number);
    json_t *values = json_array(), *conflicts = member(object, "conflicts", json_object);
    for (uint32_t i = group->first; i < group->first + group->count; i++) {
        json_t *value = ilea_value_to_json(group->field, record->entries[i].value);
        if (json_array_append_new(values, value) != 0) {
            json_decref(values);
            return false;
        }
    }
    const char *name = group->field != NULL ? group->field->name : number;
    if (group->field != NULL && group->field->merge == ILEA_MERGE_KEYED) {
        conflicts = member(conflicts, name, json_object);
        return set_by_text(conflicts, str_of(group->key), values);
    }
    if (group->field == NULL && group->key.size > 0) { /* the key may be anything: name both */
        conflicts = member(conflicts, name, json_array);
        json_t *pair = json_pack("[o,o]", ilea_value_to_json(NULL, group->key), values);
        return json_array_append_new(conflicts, pair) == 0;
    }
    return json_object_set_new_nocheck(conflicts, name, values) == 0;
}

static bool
add_unknown(json_t *object, const struct group *group)
{
    char number[16];
    print_number(group->number, number);
    json_t *field = member(member(object, "unknown", json_object), number, json_object);
    json_t *key = ilea_value_to_json(NULL, group->key);
    if (group->key.size > 0 && is_present(group->shown)) {
        return json_array_append_new(member(field, "elements", json_array), key) == 0;
    }
    json_t *value = ilea_value_to_json(NULL, group->shown);
    if (group->key.size > 0) {
        json_t *pair = json_pack("[o,o]", key, value);
        return json_array_append_new(member(field, "entries", json_array), pair) == 0;
    }
    json_decref(key);
    return json_object_set_new_nocheck(field, "value", value) == 0;
}

static bool
add_group(json_t *object, const struct group *group)
{
    const struct ilea_field *field = group->field;
    if (field == NULL) return add_unknown(object, group);
    if (field->number == ILEA_FIELD_REF || field->number == ILEA_FIELD_AUDIENCE) return true; /* as text */
    if (!ilea_field_has_key(field)) {
        json_t *value = ilea_value_to_json(field, group->shown);
        return json_object_set_new_nocheck(object, field->name, value) == 0;
    }
    if (field->merge == ILEA_MERGE_KEYED) {
        json_t *values = member(object, field->name, json_object);
        return set_by_text(values, str_of(group->key), ilea_value_to_json(field, group->shown));
    }
    json_t *elements = member(object, field->name, json_array);
    return json_array_append_new(elements, ilea_value_to_json(field, group->key)) == 0;
}

static json_t *
hex_of(const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * ILEA_ID_SIZE];
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    return json_stringn_nocheck(text, 2 * size);
}

static bool
add_meta(json_t *object, const struct ilea_json_meta *meta, const struct ilea_record *record)
{
    char id[ILEA_UUID_TEXT_SIZE], type_name[sizeof unknown_type_prefix + 10];
    const struct ilea_type *type = ilea_type_by_number(meta->type);
    ilea_uuid_print(meta->id, id);
    (void)snprintf(type_name, sizeof type_name, "%s%u", unknown_type_prefix, meta->type);
    const char *audience = meta->scope == ILEA_SCOPE_AUDIENCE ? meta->audience : ilea_scope_name(meta->scope);

    bool ok = json_object_set_new(object, "agency", json_string(meta->agency)) == 0;
    ok = ok && json_object_set_new(object, "agency_id",
                                   hex_of(meta->agency_id->bytes, ILEA_ID_SIZE)) == 0;
    ok = ok && json_object_set_new(object, "audience", json_string(audience)) == 0;
    ok = ok && json_object_set_new(object, "id", json_string(id)) == 0;
    ok = ok && json_object_set_new(object, "type",
                                   json_string(type != NULL ? type->name : type_name)) == 0;
    uint32_t label = ilea_record_label(record, meta->scope);
    ok = ok && json_object_set_new(object, "label", json_string(ilea_label_name(label))) == 0;
    if (meta->ref == NULL) return ok;
    return ok && json_object_set_new(object, "ref", json_string(meta->ref)) == 0;
}

json_t *
ilea_json_from_record(const struct ilea_json_meta *meta, const struct ilea_record *record)
{
    const struct ilea_type *type = ilea_type_by_number(meta->type);
    json_t *object = json_object();
    bool ok = object != NULL && add_meta(object, meta, record);
    struct group group = { .first = 0 };
    while (ok && next_group(record, type, &group)) {
        ok = add_group(object, &group) && add_conflict(object, record, &group);
    }
    if (ok) return object;
    json_decref(object);
    return NULL;
}

char *
ilea_json_dump(const json_t *object)
{
    return json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
}

/* ---- in ---- */

static struct ilea_span
span_of(const json_t *string)
{
    return (struct ilea_span){ (const uint8_t *)json_string_value(string),
                               json_string_length(string) };
}

/* The number of a decimal text without leading zeros; 0 if it is none. */
static uint32_t
number_of(const char *text)
{
    uint64_t number = 0;
    if (text[0] == '0') return 0;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') return 0;
        number = number * 10 + (uint64_t)(*text - '0');
        if (number > UINT32_MAX) return 0;
    }
    return (uint32_t)number;
}

static uint32_t
type_number(const json_t *name)
{
    if (!json_is_string(name)) return 0;
    const struct ilea_type *type = ilea_type_by_name(span_of(name));
    if (type != NULL) return type->number;
    const char *text = json_string_value(name);
    size_t prefix_size = sizeof unknown_type_prefix - 1;
    return strncmp(text, unknown_type_prefix, prefix_size) == 0 ? number_of(text + prefix_size) : 0;
}

/* Keys that are no fields: what the owner's node alone decides. */
static bool
is_ignored(const char *key)
{
    static const char *const names[] = { "type", "id", "agency", "agency_id", "audience",
                                         "conflicts", "created", "lsn", "label", "review" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(key, names[i]) == 0) return true;
    }
    return false;
}

/* An entry under "unknown", whose field this version may know by now. */
struct unknown {
    struct ilea_put_builder *builder;
    const struct ilea_type *type;
    uint32_t number;
    char *reason;
};

/* Of a field that is known by now: the value or element as if it had been written by name. */
static enum ilea_error
normalise(const struct unknown *to, const struct ilea_field *field, struct ilea_span *encoded)
{
    json_t *json = ilea_value_to_json(field, *encoded);
    if (json == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ilea_value_from_json(to->builder, field, json, encoded, to->reason);
    json_decref(json);
    return error;
}

static enum ilea_error
put_unknown(const struct unknown *to, enum ilea_put_action action, const json_t *key,
            const json_t *value)
{
    struct ilea_put_entry entry = { .field = to->number, .action = action };
    enum ilea_error error = ILEA_ERROR_NONE;
    if (key != NULL) error = ilea_value_from_generic(to->builder, key, &entry.key, to->reason);
    if (error != ILEA_ERROR_NONE) return error;
    if (value != NULL) {
        error = ilea_value_from_generic(to->builder, value, &entry.value, to->reason);
    } else if (action == ILEA_PUT_SET) {
        entry.value = (struct ilea_span){ &present_byte, 1 };
    }
    if (error != ILEA_ERROR_NONE) return error;
    const struct ilea_field *field = ilea_field_by_number(to->type, to->number);
    if (field == NULL) return ilea_put_builder_add_unknown(to->builder, &entry, to->reason);
    bool is_set = ilea_field_has_key(field) && field->merge != ILEA_MERGE_KEYED;
    if (action == ILEA_PUT_SET && (!is_set || entry.key.size > 0)) {
        error = normalise(to, field, is_set ? &entry.key : &entry.value);
        if (error != ILEA_ERROR_NONE) return error;
    }
    if (action == ILEA_PUT_SET && field->merge == ILEA_MERGE_KEYED && json_is_string(key)) {
        return ilea_value_put_keyed(to->builder, field, span_of(key), entry.value, to->reason);
    }
    return ilea_put_builder_add(to->builder, field, &entry, to->reason);
}

static enum ilea_error
put_unknown_field(const struct unknown *to, const json_t *json)
{
    const json_t *value = json_object_get(json, "value");
    const json_t *entries = json_object_get(json, "entries");
    const json_t *elements = json_object_get(json, "elements");
    size_t known = (value != NULL ? 1u : 0u) + (entries != NULL ? 1u : 0u)
                 + (elements != NULL ? 1u : 0u);
    bool is_bad = !json_is_object(json) || json_object_size(json) != known
               || (entries != NULL && !json_is_array(entries))
               || (elements != NULL && !json_is_array(elements));
    enum ilea_error error = ILEA_ERROR_NONE;
    if (!is_bad && value != NULL) error = put_unknown(to, ILEA_PUT_SET, NULL, value);
    if (!is_bad && error == ILEA_ERROR_NONE && (entries != NULL || elements != NULL)) {
        error = put_unknown(to, ILEA_PUT_ONLY, NULL, NULL);
    }
    for (size_t i = 0; !is_bad && error == ILEA_ERROR_NONE && i < json_array_size(entries); i++) {
        const json_t *pair = json_array_get(entries, i);
        is_bad = json_array_size(pair) != 2;
        if (is_bad) break;
        error = put_unknown(to, ILEA_PUT_SET, json_array_get(pair, 0), json_array_get(pair, 1));
    }
    for (size_t i = 0; !is_bad && error == ILEA_ERROR_NONE && i < json_array_size(elements); i++) {
        error = put_unknown(to, ILEA_PUT_SET, json_array_get(elements, i), NULL);
    }
    if (!is_bad) return error;
    ilea_reason(to->reason, "unknown field %u: not as it was written", to->number);
    return ILEA_ERROR_INVALID;
}

static enum ilea_error
put_unknowns(struct ilea_put_builder *builder, const struct ilea_type *type, json_t *object,
             char *reason)
{
    if (!json_is_object(object)) {
        ilea_reason(reason, "unknown: must be an object");
        return ILEA_ERROR_INVALID;
    }
    void *at = json_object_iter(object);
    for (; at != NULL; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        struct unknown to = { builder, type, number_of(key), reason };
        if (to.number == 0) {
            ilea_reason(reason, "unknown: '%.60s' is not the number of a field", key);
            return ILEA_ERROR_INVALID;
        }
        enum ilea_error error = put_unknown_field(&to, json_object_iter_value(at));
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
begin(const json_t *object, struct ilea_put_builder *builder, char *reason)
{
    const json_t *id = json_object_get(object, "id");
    uint32_t type = type_number(json_object_get(object, "type"));
    if (type == 0) {
        ilea_reason(reason, "type: missing, or not the name of a type");
        return ILEA_ERROR_INVALID;
    }
    struct ilea_record_id record;
    if (id != NULL && (!json_is_string(id) || !ilea_uuid_parse(span_of(id), &record))) {
        ilea_reason(reason, "id: not a UUID");
        return ILEA_ERROR_INVALID;
    }
    ilea_put_builder_begin(builder, id != NULL ? ILEA_PUT_UPSERT : ILEA_PUT_CREATE, type);
    if (id != NULL) ilea_put_builder_set_id(builder, &record);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_json_to_put(const json_t *object, struct ilea_put_builder *builder, char *reason)
{
    enum ilea_error error = begin(object, builder, reason);
    if (error != ILEA_ERROR_NONE) return error;
    const struct ilea_type *type = ilea_type_by_number(builder->put->type);
    union { const json_t *in; json_t *out; } members = { .in = object }; /* walked, not changed */
    void *at = json_object_iter(members.out);
    for (; at != NULL && error == ILEA_ERROR_NONE; at = json_object_iter_next(members.out, at)) {
        const char *key = json_object_iter_key(at);
        struct ilea_span name = { (const uint8_t *)key, json_object_iter_key_len(at) };
        const struct ilea_field *field = ilea_field_by_name(type, name);
        json_t *value = json_object_iter_value(at);
        if (field != NULL) {
            if ((field->flags & (ILEA_FIELD_INTERNAL | ILEA_FIELD_ATTACHED)) != 0) continue;
            error = ilea_value_put_json(builder, field, value, reason);
        } else if (strcmp(key, "unknown") == 0) {
            error = put_unknowns(builder, type, value, reason);
        } else if (!is_ignored(key)) {
            ilea_reason(reason, "unknown field '%.60s' for type %s", key,
                        json_string_value(json_object_get(object, "type")));
            return ILEA_ERROR_INVALID;
        }
    }
    return error;
}
