/* profile_map.c - an object of the source becomes a put. */
#include <string.h>

#include "node/json.h"
#include "node/profile_state.h"
#include "node/reason.h"
#include "replication/record/uuid.h"

enum { ID_TEXT_MAX = 1024 }; /* what an id is computed from; also the longest prefixed text */

/* One object on its way into a put. */
struct mapping {
    const struct ilea_profile *profile;
    struct ilea_put_builder *builder;
    char *reason;
};

/* Room for texts that are put together. */
struct text_buffer {
    char bytes[ID_TEXT_MAX];
    size_t size;
};

static bool
is_equal(struct ilea_span a, struct ilea_span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool
append(struct text_buffer *buffer, struct ilea_span text)
{
    if (text.size > sizeof buffer->bytes - buffer->size) return false;
    if (text.size > 0) memcpy(buffer->bytes + buffer->size, text.data, text.size);
    buffer->size += text.size;
    return true;
}

static enum ilea_error
too_long(const struct mapping *map, const char *source)
{
    ilea_reason(map->reason, "%.60s: too long", source);
    return ILEA_ERROR_LIMIT;
}

/* The id, as text, of the row of this source that `text` names. */
static enum ilea_error
id_of_row(const struct mapping *map, const char *source, struct ilea_span *text,
          char uuid[ILEA_UUID_TEXT_SIZE])
{
    struct text_buffer name = { .size = 0 };
    if (!append(&name, map->profile->id_prefix) || !append(&name, *text)) {
        return too_long(map, source);
    }
    struct ilea_record_id id;
    ilea_profile_id((struct ilea_span){ (uint8_t *)name.bytes, name.size }, &id);
    ilea_uuid_print(&id, uuid);
    *text = (struct ilea_span){ (uint8_t *)uuid, ILEA_UUID_TEXT_SIZE - 1 };
    return ILEA_ERROR_NONE;
}

/* *text by the rule's codes; size 0: no value. */
static enum ilea_error
apply_codes(const struct mapping *map, const struct rule *rule, struct ilea_span *text)
{
    for (uint32_t i = 0; i < rule->code_count; i++) {
        if (!is_equal(rule->codes[i].from, *text)) continue;
        *text = rule->codes[i].to;
        return ILEA_ERROR_NONE;
    }
    if (!rule->has_fallback) {
        ilea_reason(map->reason, "%.60s: '%.*s' is not mapped", rule->source,
                    (int)(text->size < 60 ? text->size : 60), (const char *)text->data);
        return ILEA_ERROR_INVALID;
    }
    *text = rule->fallback;
    return ILEA_ERROR_NONE;
}

static struct ilea_span
trim(struct ilea_span text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\n')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0
           && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\n')) {
        text.size--;
    }
    return text;
}

/* Register, element or key, whichever the rule's field takes. */
static enum ilea_error
put_encoded(const struct mapping *map, const struct rule *rule, struct ilea_span encoded)
{
    if (rule->field->merge == ILEA_MERGE_KEYED) {
        return ilea_value_put_keyed(map->builder, rule->field, rule->name, encoded, map->reason);
    }
    return ilea_value_put_encoded(map->builder, rule->field, encoded, map->reason);
}

static enum ilea_error
put_text(const struct mapping *map, const struct rule *rule, struct ilea_span text)
{
    struct text_buffer prefixed = { .size = 0 };
    char uuid[ILEA_UUID_TEXT_SIZE];
    enum ilea_error error = ILEA_ERROR_NONE;
    if (rule->field->kind != ILEA_KIND_EXTRA) {
        text = trim(text);
        if (text.size == 0) return ILEA_ERROR_NONE;
    }
    if (rule->has_codes) {
        error = apply_codes(map, rule, &text);
        if (error != ILEA_ERROR_NONE || text.size == 0) return error;
    }
    if (rule->prefix.size > 0) {
        if (!append(&prefixed, rule->prefix) || !append(&prefixed, text)) {
            return too_long(map, rule->source);
        }
        text = (struct ilea_span){ (uint8_t *)prefixed.bytes, prefixed.size };
    }
    if (rule->is_id) error = id_of_row(map, rule->source, &text, uuid);
    if (error != ILEA_ERROR_NONE) return error;
    if (rule->field->kind == ILEA_KIND_DATE && text.size > 10
        && (text.data[10] == 'T' || text.data[10] == ' ')) {
        text.size = 10; /* the clock time */
    }
    struct ilea_span encoded;
    if (rule->shape == SHAPE_PART) {
        struct ilea_span parts[ILEA_PARTS_MAX];
        memcpy(parts, rule->with, sizeof parts);
        parts[rule->part] = text;
        error = ilea_value_from_parts(map->builder, rule->field, parts, &encoded, map->reason);
    } else {
        error = ilea_value_from_text(map->builder, rule->field, text, &encoded, map->reason);
    }
    return error != ILEA_ERROR_NONE ? error : put_encoded(map, rule, encoded);
}

static enum ilea_error
not_mapped(const struct mapping *map, const char *source, const char *why)
{
    ilea_reason(map->reason, "%.60s: %s", source, why);
    return ILEA_ERROR_INVALID;
}

/* One scalar. */
static enum ilea_error
put_scalar(const struct mapping *map, const struct rule *rule, const json_t *value)
{
    char bytes[ILEA_SCALAR_SIZE];
    struct ilea_span text;
    if (json_is_null(value)) return ILEA_ERROR_NONE;
    if (rule->field->kind == ILEA_KIND_DECIMAL && json_is_real(value)) {
        struct ilea_span encoded;
        enum ilea_error error =
            ilea_value_from_json(map->builder, rule->field, value, &encoded, map->reason);
        return error != ILEA_ERROR_NONE ? error : put_encoded(map, rule, encoded);
    }
    if (!ilea_value_scalar(value, bytes, &text)) {
        return not_mapped(map, rule->source, "a list or an object where a text should be");
    }
    if (rule->split == 0) return put_text(map, rule, text);
    while (text.size > 0) {
        const uint8_t *end = memchr(text.data, rule->split, text.size);
        size_t size = end != NULL ? (size_t)(end - text.data) : text.size;
        enum ilea_error error = put_text(map, rule, (struct ilea_span){ text.data, size });
        if (error != ILEA_ERROR_NONE) return error;
        size_t used = end != NULL ? size + 1 : size;
        text = (struct ilea_span){ text.data + used, text.size - used };
    }
    return ILEA_ERROR_NONE;
}

static const struct part *
find_part(const struct rule *rule, void *member)
{
    struct ilea_span key = { (const uint8_t *)json_object_iter_key(member),
                             json_object_iter_key_len(member) };
    for (uint32_t i = 0; i < rule->part_count; i++) {
        if (is_equal(rule->parts[i].from, key)) return &rule->parts[i];
    }
    return NULL;
}

/* A list of scalars as one text, with ", " between. */
static bool
list_text(const json_t *list, struct text_buffer *buffer, struct ilea_span *text)
{
    buffer->size = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        char bytes[ILEA_SCALAR_SIZE];
        if (i > 0 && !append(buffer, (struct ilea_span){ (const uint8_t *)", ", 2 })) return false;
        if (!ilea_value_scalar(json_array_get(list, i), bytes, text)) return false;
        if (!append(buffer, *text)) return false;
    }
    *text = (struct ilea_span){ (uint8_t *)buffer->bytes, buffer->size };
    return true;
}

/* Where the texts of an object's parts are put together; one of them may be a list. */
struct parts_room {
    char scalars[ILEA_PARTS_MAX][ILEA_SCALAR_SIZE];
    char uuids[ILEA_PARTS_MAX][ILEA_UUID_TEXT_SIZE];
    struct text_buffer list;
};

static enum ilea_error
part_text(const struct mapping *map, const struct rule *rule, const struct part *part,
          const json_t *value, struct parts_room *room, struct ilea_span *text)
{
    *text = (struct ilea_span){ NULL, 0 };
    if (json_is_null(value) || json_is_false(value)) return ILEA_ERROR_NONE;
    bool ok = json_is_array(value) ? room->list.size == 0 && list_text(value, &room->list, text)
                                   : ilea_value_scalar(value, room->scalars[part->part], text);
    if (!ok) return not_mapped(map, rule->source, "a part is no text, or too long");
    if (!part->is_id || text->size == 0) return ILEA_ERROR_NONE;
    return id_of_row(map, rule->source, text, room->uuids[part->part]);
}

/* One object into a STRUCT. */
static enum ilea_error
put_parts(const struct mapping *map, const struct rule *rule, json_t *object)
{
    if (json_is_null(object)) return ILEA_ERROR_NONE;
    if (!json_is_object(object)) return not_mapped(map, rule->source, "not an object");
    struct ilea_span parts[ILEA_PARTS_MAX] = { { NULL, 0 } };
    struct parts_room room;
    room.list.size = 0;
    bool empty = true;
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const struct part *part = find_part(rule, at);
        if (part == NULL) {
            ilea_reason(map->reason, "%.60s: '%.60s' is not mapped", rule->source,
                        json_object_iter_key(at));
            return ILEA_ERROR_INVALID;
        }
        if (part->part < 0) continue;
        struct ilea_span *text = &parts[part->part];
        enum ilea_error error =
            part_text(map, rule, part, json_object_iter_value(at), &room, text);
        if (error != ILEA_ERROR_NONE) return error;
        if (text->size > 0) empty = false;
    }
    if (empty) return ILEA_ERROR_NONE;
    struct ilea_span encoded;
    enum ilea_error error =
        ilea_value_from_parts(map->builder, rule->field, parts, &encoded, map->reason);
    return error != ILEA_ERROR_NONE ? error : put_encoded(map, rule, encoded);
}

/* A scalar or list of scalars under x. */
static enum ilea_error
put_extra(const struct mapping *map, struct ilea_span name, const json_t *value)
{
    const struct ilea_field *x = ilea_field_by_number(NULL, ILEA_FIELD_EXTRA);
    struct ilea_span encoded;
    if (json_is_null(value)) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_value_from_json(map->builder, x, value, &encoded, map->reason);
    if (error != ILEA_ERROR_NONE) {
        char inner[ILEA_REASON_SIZE];
        memcpy(inner, map->reason, sizeof inner);
        ilea_reason(map->reason, "%.*s: %s", (int)(name.size < 60 ? name.size : 60),
                    (const char *)name.data, inner);
        return error;
    }
    return ilea_value_put_keyed(map->builder, x, name, encoded, map->reason);
}

static struct ilea_span
member_name(void *at)
{
    return (struct ilea_span){ (const uint8_t *)json_object_iter_key(at),
                               json_object_iter_key_len(at) };
}

static enum ilea_error
put_spread(const struct mapping *map, const struct rule *rule, json_t *object)
{
    if (!json_is_object(object)) return not_mapped(map, rule->source, "not an object");
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        enum ilea_error error = put_extra(map, member_name(at), json_object_iter_value(at));
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

/* What the record has of this field is what this object says. */
static enum ilea_error
replace(const struct mapping *map, const struct ilea_field *field)
{
    if (!ilea_field_has_key(field)) return ILEA_ERROR_NONE;
    if (field->number < 64 && (map->profile->keep >> field->number & 1) != 0) {
        return ILEA_ERROR_NONE;
    }
    return ilea_value_put_only(map->builder, field, map->reason);
}

static enum ilea_error
apply_rule(const struct mapping *map, const struct rule *rule, json_t *value)
{
    enum ilea_error error = replace(map, rule->field);
    if (error != ILEA_ERROR_NONE) return error;
    if (rule->shape == SHAPE_SPREAD) return put_spread(map, rule, value);
    bool is_set = ilea_field_has_key(rule->field) && rule->field->merge != ILEA_MERGE_KEYED;
    if (rule->field->kind == ILEA_KIND_EXTRA && json_is_array(value)) {
        return put_extra(map, rule->name, value);
    }
    if (!is_set || !json_is_array(value)) {
        return rule->shape == SHAPE_PARTS ? put_parts(map, rule, value)
                                          : put_scalar(map, rule, value);
    }
    for (size_t i = 0; i < json_array_size(value) && error == ILEA_ERROR_NONE; i++) {
        json_t *element = json_array_get(value, i);
        error = rule->shape == SHAPE_PARTS ? put_parts(map, rule, element)
                                           : put_scalar(map, rule, element);
    }
    return error;
}

static enum ilea_error
apply_member(const struct mapping *map, void *member)
{
    json_t *value = json_object_iter_value(member);
    if (json_is_null(value)) return ILEA_ERROR_NONE;
    struct ilea_span name = member_name(member);
    const struct slot *slot =
        ilea_profile_find_slot(map->profile, (const char *)name.data, name.size);
    if (slot->key == NULL) {
        if (!map->profile->others_extra) {
            return not_mapped(map, (const char *)name.data, "not mapped");
        }
        enum ilea_error error = replace(map, ilea_field_by_number(NULL, ILEA_FIELD_EXTRA));
        return error != ILEA_ERROR_NONE ? error : put_extra(map, name, value);
    }
    for (int i = slot->rule; i >= 0; i = map->profile->rules[i].next) {
        if (map->profile->rules[i].if_empty) continue;
        enum ilea_error error = apply_rule(map, &map->profile->rules[i], value);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

static bool
has_value(const struct mapping *map, const struct ilea_field *field)
{
    const struct ilea_put *put = map->builder->put;
    for (uint32_t i = 0; i < put->entry_count; i++) {
        if (put->entries[i].field == field->number && put->entries[i].action == ILEA_PUT_SET) {
            return true;
        }
    }
    return false;
}

static enum ilea_error
apply_fallbacks(const struct mapping *map, const json_t *object)
{
    for (uint32_t i = 0; i < map->profile->rule_count; i++) {
        const struct rule *rule = &map->profile->rules[i];
        if (!rule->if_empty) continue;
        json_t *value = json_object_get(object, rule->source);
        if (value == NULL || json_is_null(value) || has_value(map, rule->field)) continue;
        enum ilea_error error = apply_rule(map, rule, value);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
apply_join(const struct mapping *map, const struct join *join, const json_t *object)
{
    struct text_buffer joined = { .size = 0 };
    for (size_t i = 0; i < json_array_size(join->from); i++) {
        const char *source = json_string_value(json_array_get(join->from, i));
        const json_t *value = json_object_get(object, source);
        char bytes[ILEA_SCALAR_SIZE];
        struct ilea_span text;
        if (value == NULL || json_is_null(value)) continue;
        if (!ilea_value_scalar(value, bytes, &text)) return not_mapped(map, source, "not a text");
        if (joined.size > 0 && !append(&joined, join->with)) return too_long(map, source);
        if (!append(&joined, text)) return too_long(map, source);
    }
    if (joined.size == 0) return ILEA_ERROR_NONE;
    struct ilea_span text = { (uint8_t *)joined.bytes, joined.size }, encoded;
    enum ilea_error error =
        ilea_value_from_text(map->builder, join->field, text, &encoded, map->reason);
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_value_put_encoded(map->builder, join->field, encoded, map->reason);
}

static enum ilea_error
set_id(const struct mapping *map, const json_t *object)
{
    const struct ilea_profile *profile = map->profile;
    struct text_buffer name = { .size = 0 };
    bool fits = append(&name, profile->id_prefix);
    for (uint32_t i = 0; i < profile->id_from_count; i++) {
        const json_t *value = json_object_get(object, profile->id_from[i]);
        char bytes[ILEA_SCALAR_SIZE];
        struct ilea_span text;
        if (value == NULL || !ilea_value_scalar(value, bytes, &text) || text.size == 0) {
            return not_mapped(map, profile->id_from[i], "missing: the record has no id");
        }
        if (i > 0) fits = fits && append(&name, (struct ilea_span){ (const uint8_t *)":", 1 });
        fits = fits && append(&name, text);
    }
    if (!fits) return too_long(map, profile->id_from[0]);
    struct ilea_record_id id;
    ilea_profile_id((struct ilea_span){ (uint8_t *)name.bytes, name.size }, &id);
    ilea_put_builder_set_id(map->builder, &id);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
apply_rest(const struct mapping *map, const json_t *object)
{
    const struct ilea_profile *profile = map->profile;
    enum ilea_error error = apply_fallbacks(map, object);
    for (uint32_t i = 0; i < profile->join_count && error == ILEA_ERROR_NONE; i++) {
        error = apply_join(map, &profile->joins[i], object);
    }
    for (uint32_t i = 0; i < profile->constant_count && error == ILEA_ERROR_NONE; i++) {
        const struct ilea_put_entry *entry = &profile->constants[i];
        const struct ilea_field *field = ilea_field_by_number(profile->type, entry->field);
        error = ilea_put_builder_add(map->builder, field, entry, map->reason);
    }
    for (uint32_t i = 0; i < profile->required_count && error == ILEA_ERROR_NONE; i++) {
        if (!has_value(map, profile->required[i])) {
            return not_mapped(map, profile->required[i]->name, "missing");
        }
    }
    return error;
}

enum ilea_error
ilea_profile_map(const struct ilea_profile *profile, const json_t *object,
                 struct ilea_put_builder *builder, char *reason)
{
    if (profile->type == NULL) return ilea_json_to_put(object, builder, reason);
    struct mapping map = { profile, builder, reason };
    ilea_put_builder_begin(builder, ILEA_PUT_UPSERT, profile->type->number);
    enum ilea_error error = set_id(&map, object);
    if (error != ILEA_ERROR_NONE) return error;
    union { const json_t *in; json_t *out; } members = { .in = object }; /* walked, not changed */
    void *at = json_object_iter(members.out);
    for (; at != NULL; at = json_object_iter_next(members.out, at)) {
        error = apply_member(&map, at);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return apply_rest(&map, object);
}
