#include "node/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "node/json.h"
#include "replication/record/uuid.h"

enum {
    PROFILE_VERSION = 1,
    TABLE_SIZE_MIN = 16,
    CODES_MAX = 64,
    PROFILE_PATH_MAX = 4096,
    NAME_MAX_SIZE = 64,
    ID_PARTS_MAX = 4,
    ID_TEXT_MAX = 1024, /* what an id is computed from; also the longest prefixed text */
    REQUIRED_MAX = 8
};

struct code {
    struct ilea_span from;
    struct ilea_span to; /* data NULL: no value */
};

/* A key of a source object and the part of a STRUCT that it becomes; part -1: dropped. */
struct part {
    struct ilea_span from;
    int part;
    bool is_id;
};

enum shape { SHAPE_VALUE, SHAPE_PARTS, SHAPE_PART, SHAPE_SPREAD };

struct rule {
    const struct ilea_field *field;
    const char *source;
    struct ilea_span name; /* of a field with keys: the one that is set; empty otherwise */
    enum shape shape;
    char split;            /* 0: none */
    bool is_id, if_empty, has_codes, has_fallback;
    struct code *codes;
    uint32_t code_count;
    struct ilea_span fallback, prefix;
    struct part *parts;
    uint32_t part_count;
    struct ilea_span with[ILEA_PARTS_MAX]; /* SHAPE_PART: the source's own place holds nothing */
    int part;
    int next;              /* another rule for the same source key; -1: none */
};

/* Source key -> first rule; rule -1: dropped on purpose. */
struct slot {
    const char *key; /* NULL: free */
    size_t size;
    int rule;
};

struct join {
    const struct ilea_field *field;
    const json_t *from;
    struct ilea_span with;
};

/*
 * All tables are made when the profile is opened; texts are borrowed from `spec`.
 * Mapping an object allocates nothing.
 */
struct ilea_profile {
    json_t *spec;
    const char *help;
    const struct ilea_type *type; /* NULL: records */
    struct ilea_span id_prefix;
    const char *id_from[ID_PARTS_MAX];
    uint32_t id_from_count;
    struct rule *rules;
    uint32_t rule_count;
    struct slot *table;
    uint32_t table_size;          /* a power of two, at least twice the keys */
    struct join *joins;
    uint32_t join_count;
    struct ilea_put_entry *constants;
    uint32_t constant_count;
    uint8_t *constant_bytes;
    const struct ilea_field *required[REQUIRED_MAX];
    uint32_t required_count;
    bool others_extra;
    uint64_t keep;                /* bit n: field number n keeps what it has */
};

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

static bool
is_equal(struct ilea_span a, struct ilea_span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

void
ilea_profile_id(struct ilea_span name, struct ilea_record_id *id)
{
    static const uint8_t namespace[ILEA_RECORD_ID_SIZE] = { /* ILEA_PROFILE_NAMESPACE */
        0x04, 0x2b, 0xcd, 0x6c, 0x50, 0xe0, 0x41, 0xd1,
        0xba, 0xfd, 0xc7, 0xbe, 0x24, 0x52, 0x36, 0xb0
    };
    uuid_generate_sha1(id->bytes, namespace, (const char *)name.data, name.size);
}

/* ---- the table of source keys ---- */

static uint32_t
hash_key(const char *key, size_t size)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < size; i++) hash = (hash ^ (uint8_t)key[i]) * 16777619u;
    return hash;
}

static struct slot *
find_slot(const struct ilea_profile *profile, const char *key, size_t size)
{
    uint32_t mask = profile->table_size - 1, at = hash_key(key, size) & mask;
    while (profile->table[at].key != NULL) {
        struct slot *slot = &profile->table[at];
        if (slot->size == size && memcmp(slot->key, key, size) == 0) return slot;
        at = (at + 1) & mask;
    }
    return &profile->table[at];
}

/* ---- reading a profile ---- */

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
    if (rule->field == NULL || (rule->field->flags & ILEA_FIELD_INTERNAL) != 0) {
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
    struct slot *slot = find_slot(profile, source, strlen(source));
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
        struct slot *slot = find_slot(profile, key, strlen(key));
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
static enum ilea_error
profile_of_spec(json_t *spec, struct ilea_profile **profile, char *reason)
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
    return profile_of_spec(spec, profile, reason);
}

void
ilea_profile_close(struct ilea_profile *profile)
{
    if (profile == NULL) return;
    for (uint32_t i = 0; i < profile->rule_count; i++) {
        free(profile->rules[i].codes);
        free(profile->rules[i].parts);
    }
    free(profile->rules);
    free(profile->table);
    free(profile->joins);
    free(profile->constants);
    free(profile->constant_bytes);
    json_decref(profile->spec);
    free(profile);
}

/* ---- finding a profile ---- */

/* Folder of the running program, without a slash at the end; false if unknown. */
static bool
program_folder(char path[PROFILE_PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", path, PROFILE_PATH_MAX - 1);
    if (size <= 0) return false;
    path[size] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL) return false;
    *slash = '\0';
    return true;
}

/* NULL if there is no such file; an unreadable one is an error. */
static enum ilea_error
load(const char *folder, const char *below, const char *name, json_t **spec, char *reason)
{
    char path[PROFILE_PATH_MAX];
    int size = snprintf(path, sizeof path, "%s%s/%s.json", folder, below, name);
    *spec = NULL;
    if (size < 0 || (size_t)size >= sizeof path || access(path, F_OK) != 0) return ILEA_ERROR_NONE;
    json_error_t error;
    *spec = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (*spec != NULL) return ILEA_ERROR_NONE;
    ilea_reason(reason, "profile %s: line %d: %s", name, error.line, error.text);
    return ILEA_ERROR_INVALID;
}

static enum ilea_error
find(const char *name, json_t **spec, char *reason)
{
    const char *set = getenv("ILEA_IMPORT_DIR");
    if (set != NULL && set[0] != '\0') return load(set, "", name, spec, reason);
    char folder[PROFILE_PATH_MAX];
    enum ilea_error error = ILEA_ERROR_NONE;
    *spec = NULL;
    if (program_folder(folder)) {
        error = load(folder, "/../config/import", name, spec, reason);
        if (error == ILEA_ERROR_NONE && *spec == NULL) {
            error = load(folder, "/../../config/import", name, spec, reason);
        }
    }
    if (error != ILEA_ERROR_NONE || *spec != NULL) return error;
    return load(ILEA_IMPORT_DIR, "", name, spec, reason);
}

enum ilea_error
ilea_profile_open(const char *name, struct ilea_profile **profile, char *reason)
{
    size_t size = strlen(name);
    if (size == 0 || size > NAME_MAX_SIZE
        || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != size) {
        ilea_reason(reason, "the name of a profile has small letters, digits and '-'");
        return ILEA_ERROR_INVALID;
    }
    json_t *spec = NULL;
    enum ilea_error error = find(name, &spec, reason);
    if (error != ILEA_ERROR_NONE) return error;
    if (spec == NULL) {
        ilea_reason(reason, "no import profile '%s'", name);
        return ILEA_ERROR_NOT_FOUND;
    }
    char inner[ILEA_REASON_SIZE] = "";
    error = profile_of_spec(spec, profile, inner);
    if (error != ILEA_ERROR_NONE) ilea_reason(reason, "profile %s: %s", name, inner);
    return error;
}

const char *
ilea_profile_help(const struct ilea_profile *profile)
{
    return profile->help;
}

const struct ilea_type *
ilea_profile_type(const struct ilea_profile *profile)
{
    return profile->type;
}

/* ---- mapping ---- */

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
    const struct slot *slot = find_slot(map->profile, (const char *)name.data, name.size);
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
