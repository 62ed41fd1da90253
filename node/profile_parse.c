/* profile_parse.c - the text of a profile becomes its tables. */
#include <stdlib.h>
#include <string.h>

#include "node/profile_state.h"
#include "node/reason.h"

enum { PROFILE_VERSION = 1, TABLE_SIZE_MIN = 16, CODES_MAX = 64 };

static struct ilea_span
span_of_text(const char *text)
{
    return (struct ilea_span){ (const uint8_t *)text, strlen(text) };
}

static struct ilea_span
span_of(const json_t *string)
{
    return (struct ilea_span){ (const uint8_t *)json_string_value(string),
                               json_string_length(string) };
}

/* True if every member of the object is in the list; else `reason` names the first that is not. */
static bool
has_only(json_t *object, const char *const *names, const char *where, char *reason)
{
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        size_t i = 0;
        while (names[i] != NULL && strcmp(names[i], key) != 0) i++;
        if (names[i] == NULL) {
            ilea_reason(reason, "%s: '%.60s' means nothing here", where, key);
            return false;
        }
    }
    return true;
}

static enum ilea_error
bad(char *reason, const char *where, const char *what)
{
    ilea_reason(reason, "%.60s: %s", where, what);
    return ILEA_ERROR_INVALID;
}

static enum ilea_error
read_codes(struct rule *rule, json_t *codes, const json_t *fallback, char *reason)
{
    size_t count = json_object_size(codes);
    if (!json_is_object(codes) || count > CODES_MAX) {
        return bad(reason, rule->source, "codes: an object");
    }
    rule->has_codes = true;
    rule->has_fallback = fallback != NULL;
    if (fallback != NULL && !json_is_string(fallback) && !json_is_null(fallback)) {
        return bad(reason, rule->source, "else: a code or null");
    }
    if (json_is_string(fallback)) rule->fallback = span_of(fallback);
    rule->codes = calloc(count > 0 ? count : 1, sizeof *rule->codes);
    if (rule->codes == NULL) return ILEA_ERROR_NO_MEMORY;
    for (void *at = json_object_iter(codes); at != NULL; at = json_object_iter_next(codes, at)) {
        const json_t *to = json_object_iter_value(at);
        if (!json_is_string(to) && !json_is_null(to)) {
            return bad(reason, rule->source, "codes: to a code or null");
        }
        struct code *code = &rule->codes[rule->code_count++];
        code->from = span_of_text(json_object_iter_key(at));
        if (json_is_string(to)) code->to = span_of(to);
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
read_parts(struct rule *rule, json_t *parts, const json_t *skip, char *reason)
{
    size_t count = json_object_size(parts) + json_array_size(skip);
    if (!json_is_object(parts)) return bad(reason, rule->source, "parts: an object");
    rule->shape = SHAPE_PARTS;
    rule->parts = calloc(count > 0 ? count : 1, sizeof *rule->parts);
    if (rule->parts == NULL) return ILEA_ERROR_NO_MEMORY;
    for (void *at = json_object_iter(parts); at != NULL; at = json_object_iter_next(parts, at)) {
        const json_t *value = json_object_iter_value(at);
        const json_t *to = json_is_object(value) ? json_object_get(value, "to") : value;
        struct part *part = &rule->parts[rule->part_count++];
        part->from = span_of_text(json_object_iter_key(at));
        part->is_id = json_is_true(json_object_get(value, "id"));
        part->part = json_is_string(to) ? ilea_value_part_index(rule->field, json_string_value(to))
                                        : -1;
        if (part->part < 0) return bad(reason, rule->source, "parts: no such part");
    }
    for (size_t i = 0; i < json_array_size(skip); i++) {
        const json_t *name = json_array_get(skip, i);
        if (!json_is_string(name)) return bad(reason, rule->source, "skip: a list of keys");
        rule->parts[rule->part_count++] = (struct part){ .from = span_of(name), .part = -1 };
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
read_part(struct rule *rule, const json_t *part, json_t *with, char *reason)
{
    const char *name = json_string_value(part);
    rule->shape = SHAPE_PART;
    rule->part = name != NULL ? ilea_value_part_index(rule->field, name) : -1;
    if (rule->part < 0) return bad(reason, rule->source, "part: no such part");
    for (void *at = json_object_iter(with); at != NULL; at = json_object_iter_next(with, at)) {
        int index = ilea_value_part_index(rule->field, json_object_iter_key(at));
        const json_t *text = json_object_iter_value(at);
        if (index < 0 || index == rule->part || !json_is_string(text)) {
            return bad(reason, rule->source, "with: other parts and their texts");
        }
        rule->with[index] = span_of(text);
    }
    return ILEA_ERROR_NONE;
}

/* "field" or "field.key" */
static enum ilea_error
read_target(const struct ilea_profile *profile, struct rule *rule, const json_t *to, char *reason)
{
    if (!json_is_string(to)) return bad(reason, rule->source, "\"to\" is missing");
    struct ilea_span name = span_of(to);
    const uint8_t *dot = memchr(name.data, '.', name.size);
    if (dot != NULL) {
        size_t before = (size_t)(dot - name.data);
        rule->name = (struct ilea_span){ dot + 1, name.size - before - 1 };
        name.size = before;
    }
    rule->field = ilea_field_by_name(profile->type, name);
    if (rule->field == NULL || (rule->field->flags & (ILEA_FIELD_INTERNAL | ILEA_FIELD_ATTACHED)) != 0) {
        return bad(reason, rule->source, "to: the type has no such field");
    }
    bool is_keyed = rule->field->merge == ILEA_MERGE_KEYED;
    if (dot != NULL && (!is_keyed || rule->name.size == 0)) {
        return bad(reason, rule->source, "to: that field has no keys");
    }
    return ILEA_ERROR_NONE;
}

/* What the options say together must fit the field. */
static enum ilea_error
check_rule(const struct rule *rule, char *reason)
{
    bool is_keyed = rule->field->merge == ILEA_MERGE_KEYED;
    bool is_struct = rule->field->kind == ILEA_KIND_STRUCT;
    if (rule->shape == SHAPE_SPREAD) {
        bool fits = rule->field->kind == ILEA_KIND_EXTRA && rule->name.size == 0;
        return fits ? ILEA_ERROR_NONE : bad(reason, rule->source, "spread: to x alone");
    }
    if (is_keyed && rule->name.size == 0) {
        return bad(reason, rule->source, "to: needs a key, as name.und");
    }
    if (is_struct != (rule->shape != SHAPE_VALUE)) {
        return bad(reason, rule->source, "to: \"parts\" or \"part\" where a field has parts");
    }
    if (rule->split != 0 && (is_keyed || !ilea_field_has_key(rule->field))) {
        return bad(reason, rule->source, "split: into a set");
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
read_rule(const struct ilea_profile *profile, struct rule *rule, json_t *json, char *reason)
{
    static const char *const names[] = { "to", "codes", "else", "split", "prefix", "id", "parts",
                                         "skip", "part", "with", "spread", "if_empty", NULL };
    if (json_is_string(json)) {
        enum ilea_error error = read_target(profile, rule, json, reason);
        return error != ILEA_ERROR_NONE ? error : check_rule(rule, reason);
    }
    if (!json_is_object(json)) return bad(reason, rule->source, "not a rule");
    if (!has_only(json, names, rule->source, reason)) return ILEA_ERROR_INVALID;
    enum ilea_error error = read_target(profile, rule, json_object_get(json, "to"), reason);
    if (error != ILEA_ERROR_NONE) return error;

    json_t *codes = json_object_get(json, "codes"), *parts = json_object_get(json, "parts");
    const json_t *split = json_object_get(json, "split"), *part = json_object_get(json, "part");
    const json_t *prefix = json_object_get(json, "prefix");
    rule->is_id = json_is_true(json_object_get(json, "id"));
    rule->if_empty = json_is_true(json_object_get(json, "if_empty"));
    if (json_is_true(json_object_get(json, "spread"))) rule->shape = SHAPE_SPREAD;
    if (prefix != NULL) {
        if (!json_is_string(prefix)) return bad(reason, rule->source, "prefix: a text");
        rule->prefix = span_of(prefix);
    }
    if (split != NULL) {
        if (json_string_length(split) != 1) return bad(reason, rule->source, "split: one byte");
        rule->split = json_string_value(split)[0];
    }
    if ((parts != NULL || part != NULL) && rule->field->kind != ILEA_KIND_STRUCT) {
        return bad(reason, rule->source, "to: that field has no parts");
    }
    if (codes != NULL) error = read_codes(rule, codes, json_object_get(json, "else"), reason);
    if (error == ILEA_ERROR_NONE && parts != NULL) {
        error = read_parts(rule, parts, json_object_get(json, "skip"), reason);
    } else if (error == ILEA_ERROR_NONE && part != NULL) {
        error = read_part(rule, part, json_object_get(json, "with"), reason);
    }
    return error != ILEA_ERROR_NONE ? error : check_rule(rule, reason);
}

static enum ilea_error
read_rules(struct ilea_profile *profile, const char *source, json_t *json, char *reason)
{
    struct slot *slot = ilea_profile_find_slot(profile, source, strlen(source));
    *slot = (struct slot){ source, strlen(source), -1 };
    size_t count = json_is_array(json) ? json_array_size(json) : 1;
    for (size_t i = count; i > 0; i--) { /* backwards, so that each names the one after it */
        struct rule *rule = &profile->rules[profile->rule_count];
        *rule = (struct rule){ .source = source, .next = slot->rule };
        slot->rule = (int)profile->rule_count++;
        json_t *spec = json_is_array(json) ? json_array_get(json, i - 1) : json;
        enum ilea_error error = read_rule(profile, rule, spec, reason);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
read_fields(struct ilea_profile *profile, json_t *fields, const json_t *ignore, char *reason)
{
    if (!json_is_object(fields)) return bad(reason, "fields", "missing");
    size_t rule_max = 0, key_max = json_object_size(fields) + json_array_size(ignore);
    void *at;
    for (at = json_object_iter(fields); at != NULL; at = json_object_iter_next(fields, at)) {
        const json_t *rules = json_object_iter_value(at);
        rule_max += json_is_array(rules) ? json_array_size(rules) : 1;
    }
    profile->table_size = TABLE_SIZE_MIN;
    while (profile->table_size < 2 * key_max) profile->table_size *= 2;
    profile->table = calloc(profile->table_size, sizeof *profile->table);
    profile->rules = calloc(rule_max > 0 ? rule_max : 1, sizeof *profile->rules);
    if (profile->table == NULL || profile->rules == NULL) return ILEA_ERROR_NO_MEMORY;

    for (at = json_object_iter(fields); at != NULL; at = json_object_iter_next(fields, at)) {
        enum ilea_error error = read_rules(profile, json_object_iter_key(at),
                                           json_object_iter_value(at), reason);
        if (error != ILEA_ERROR_NONE) return error;
    }
    for (size_t i = 0; i < json_array_size(ignore); i++) {
        const char *key = json_string_value(json_array_get(ignore, i));
        if (key == NULL) return bad(reason, "ignore", "a list of keys");
        struct slot *slot = ilea_profile_find_slot(profile, key, strlen(key));
        if (slot->key != NULL) return bad(reason, key, "both mapped and ignored");
        *slot = (struct slot){ key, strlen(key), -1 };
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
read_id(struct ilea_profile *profile, const json_t *id, char *reason)
{
    const json_t *from = json_object_get(id, "from"), *prefix = json_object_get(id, "prefix");
    profile->id_from_count = (uint32_t)json_array_size(from);
    if (!json_is_string(prefix) || profile->id_from_count == 0
        || json_array_size(from) > ID_PARTS_MAX) {
        return bad(reason, "id", "needs a prefix, and one to four keys in from");
    }
    profile->id_prefix = span_of(prefix);
    for (uint32_t i = 0; i < profile->id_from_count; i++) {
        profile->id_from[i] = json_string_value(json_array_get(from, i));
        if (profile->id_from[i] == NULL) return bad(reason, "id", "from: keys of the source");
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
read_joins(struct ilea_profile *profile, const json_t *joins, char *reason)
{
    size_t count = json_array_size(joins);
    profile->joins = calloc(count > 0 ? count : 1, sizeof *profile->joins);
    if (profile->joins == NULL) return ILEA_ERROR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const json_t *json = json_array_get(joins, i), *to = json_object_get(json, "to");
        const json_t *with = json_object_get(json, "with");
        struct join *join = &profile->joins[profile->join_count++];
        join->from = json_object_get(json, "from");
        if (!json_is_string(to) || !json_is_string(with) || !json_is_array(join->from)) {
            return bad(reason, "join", "needs to, from and with");
        }
        join->with = span_of(with);
        join->field = ilea_field_by_name(profile->type, span_of(to));
        for (size_t k = 0; k < json_array_size(join->from); k++) {
            if (!json_is_string(json_array_get(join->from, k))) join->field = NULL;
        }
        if (join->field == NULL || join->field->kind != ILEA_KIND_TEXT
            || ilea_field_has_key(join->field)) {
            return bad(reason, "join", "keys of the source, to a text field");
        }
    }
    return ILEA_ERROR_NONE;
}

/* The constants are encoded once; what the entries point to moves into the profile. */
static enum ilea_error
copy_constants(struct ilea_profile *profile, const struct ilea_put *put)
{
    size_t size = 0;
    for (uint32_t i = 0; i < put->entry_count; i++) {
        size += put->entries[i].key.size + put->entries[i].value.size;
    }
    profile->constants = calloc(put->entry_count + 1, sizeof *profile->constants);
    profile->constant_bytes = malloc(size + 1);
    if (profile->constants == NULL || profile->constant_bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    uint8_t *to = profile->constant_bytes;
    for (uint32_t i = 0; i < put->entry_count; i++) {
        struct ilea_put_entry *entry = &profile->constants[profile->constant_count++];
        *entry = put->entries[i];
        struct ilea_span *spans[] = { &entry->key, &entry->value };
        for (uint32_t k = 0; k < 2; k++) {
            if (spans[k]->size == 0) continue;
            memcpy(to, spans[k]->data, spans[k]->size);
            spans[k]->data = to;
            to += spans[k]->size;
        }
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
read_constants(struct ilea_profile *profile, json_t *constants, char *reason)
{
    if (constants == NULL) return ILEA_ERROR_NONE;
    if (!json_is_object(constants)) return bad(reason, "constant", "an object");
    struct ilea_put_builder builder;
    enum ilea_error error = ilea_put_builder_init(&builder);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_put_builder_begin(&builder, ILEA_PUT_UPSERT, profile->type->number);
    void *at = json_object_iter(constants);
    for (; at != NULL && error == ILEA_ERROR_NONE; at = json_object_iter_next(constants, at)) {
        struct ilea_span name = span_of_text(json_object_iter_key(at));
        const struct ilea_field *field = ilea_field_by_name(profile->type, name);
        error = field == NULL
            ? bad(reason, json_object_iter_key(at), "constant: no such field")
            : ilea_value_put_json(&builder, field, json_object_iter_value(at), reason);
    }
    if (error == ILEA_ERROR_NONE) error = copy_constants(profile, builder.put);
    ilea_put_builder_deinit(&builder);
    return error;
}

static enum ilea_error
read_rest(struct ilea_profile *profile, const json_t *others, const json_t *keep, char *reason)
{
    const char *what = others != NULL ? json_string_value(others) : "error";
    if (what == NULL || (strcmp(what, "extra") != 0 && strcmp(what, "error") != 0)) {
        return bad(reason, "others", "extra or error");
    }
    profile->others_extra = strcmp(what, "extra") == 0;
    for (size_t i = 0; i < json_array_size(keep); i++) {
        const json_t *name = json_array_get(keep, i);
        const struct ilea_field *field =
            json_is_string(name) ? ilea_field_by_name(profile->type, span_of(name)) : NULL;
        if (field == NULL || field->number >= 64) return bad(reason, "keep", "no such field");
        profile->keep |= UINT64_C(1) << field->number;
    }
    for (const struct ilea_field *field = profile->type->fields; field->number != 0; field++) {
        if ((field->flags & ILEA_FIELD_REQUIRED) == 0) continue;
        if (profile->required_count == REQUIRED_MAX) break;
        profile->required[profile->required_count++] = field;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
read_profile(struct ilea_profile *profile, char *reason)
{
    static const char *const names[] = { "version", "help", "records", "type", "id", "fields",
                                         "join", "constant", "ignore", "others", "keep", NULL };
    json_t *spec = profile->spec;
    if (!has_only(spec, names, "profile", reason)) return ILEA_ERROR_INVALID;
    if (json_integer_value(json_object_get(spec, "version")) != PROFILE_VERSION) {
        return bad(reason, "version", "not 1: made for another version of the program");
    }
    profile->help = json_string_value(json_object_get(spec, "help"));
    if (profile->help == NULL) return bad(reason, "help", "missing");
    if (json_is_true(json_object_get(spec, "records"))) return ILEA_ERROR_NONE;

    const json_t *type = json_object_get(spec, "type");
    profile->type = json_is_string(type) ? ilea_type_by_name(span_of(type)) : NULL;
    if (profile->type == NULL) return bad(reason, "type", "no such type");
    enum ilea_error error = read_id(profile, json_object_get(spec, "id"), reason);
    if (error == ILEA_ERROR_NONE) {
        error = read_fields(profile, json_object_get(spec, "fields"),
                            json_object_get(spec, "ignore"), reason);
    }
    if (error == ILEA_ERROR_NONE) {
        error = read_joins(profile, json_object_get(spec, "join"), reason);
    }
    if (error == ILEA_ERROR_NONE) {
        error = read_constants(profile, json_object_get(spec, "constant"), reason);
    }
    if (error != ILEA_ERROR_NONE) return error;
    const json_t *others = json_object_get(spec, "others"), *keep = json_object_get(spec, "keep");
    return read_rest(profile, others, keep, reason);
}

/* Takes `spec`. */
enum ilea_error
ilea_profile_of_spec(json_t *spec, struct ilea_profile **profile, char *reason)
{
    struct ilea_profile *result = calloc(1, sizeof *result);
    if (result == NULL) {
        json_decref(spec);
        return ILEA_ERROR_NO_MEMORY;
    }
    result->spec = spec;
    enum ilea_error error = json_is_object(spec) ? read_profile(result, reason)
                                                 : bad(reason, "profile", "not an object");
    if (error != ILEA_ERROR_NONE) {
        ilea_profile_close(result);
        return error;
    }
    *profile = result;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_profile_parse(struct ilea_span text, struct ilea_profile **profile, char *reason)
{
    json_error_t error;
    json_t *spec = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    if (spec == NULL) {
        ilea_reason(reason, "line %d: %s", error.line, error.text);
        return ILEA_ERROR_INVALID;
    }
    return ilea_profile_of_spec(spec, profile, reason);
}
