/*
 * fuzz_profile.c - JSON through the `records` profile, and through one that uses
 * every transform: a put that is accepted encodes and decodes to itself, and its
 * JSON is read as the same put. Each input is taken as JSON text, and as choices
 * that build an object, or chance would hardly ever write one.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "node/json.h"
#include "node/profile.h"
#include "replication/merge/record.h"
#include "replication/record/msgpack_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char records_profile[] = "{\"version\":1,\"help\":\"records\",\"records\":true}";

static const char mapping_profile[] =
    "{\"version\":1,\"help\":\"all\",\"type\":\"project\","
    "\"id\":{\"prefix\":\"p:\",\"from\":[\"id\"]},\"fields\":{"
    "\"id\":[\"title\",{\"to\":\"origin\",\"part\":\"ref\",\"with\":{\"kind\":\"import\"},"
    "\"prefix\":\"p:\"}],"
    "\"en\":{\"to\":\"status\",\"codes\":{\"a\":\"closed\",\"7\":null},\"else\":\"unknown\"},"
    "\"role\":[{\"to\":\"tags\",\"split\":\"-\"},{\"to\":\"objective\",\"if_empty\":true}],"
    "\"name\":\"objective\",\"value\":[\"start\",\"total_cost\"],"
    "\"entries\":{\"to\":\"x\",\"spread\":true},\"elements\":{\"to\":\"results\",\"id\":true},"
    "\"key\":{\"to\":\"participants\",\"parts\":{\"en\":\"org\",\"role\":\"role\",\"name\":\"url\","
    "\"id\":{\"to\":\"pic\",\"id\":true}},\"skip\":[\"value\"]}},"
    "\"join\":[{\"to\":\"body\",\"from\":[\"60\",\"33\"],\"with\":\"; \"}],"
    "\"constant\":{\"lang\":\"en\",\"areas\":[\"a\"]},\"ignore\":[\"60\"],\"others\":\"extra\","
    "\"keep\":[\"tags\"]}";

/* Made once: they are large. A fuzz target runs in one thread. */
struct fuzz {
    struct ilea_profile *records, *mapping;
    struct ilea_put_builder builder, second;
    uint8_t bytes[2 * 1024 * 1024];
    struct ilea_put decoded;
};

static struct fuzz *
fuzz_of_process(void)
{
    static struct fuzz *fuzz;
    char reason[ILEA_REASON_SIZE];
    if (fuzz != NULL) return fuzz;
    fuzz = calloc(1, sizeof *fuzz);
    ilea_assert(fuzz != NULL);
    struct ilea_span text = { (const uint8_t *)records_profile, sizeof records_profile - 1 };
    ilea_assert(ilea_profile_parse(text, &fuzz->records, reason) == ILEA_ERROR_NONE);
    text = (struct ilea_span){ (const uint8_t *)mapping_profile, sizeof mapping_profile - 1 };
    ilea_assert(ilea_profile_parse(text, &fuzz->mapping, reason) == ILEA_ERROR_NONE);
    ilea_assert(ilea_put_builder_init(&fuzz->builder) == ILEA_ERROR_NONE);
    ilea_assert(ilea_put_builder_init(&fuzz->second) == ILEA_ERROR_NONE);
    return fuzz;
}

static bool
is_equal(struct ilea_span a, struct ilea_span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static const struct ilea_put_entry *
find_set(const struct ilea_put *put, const struct ilea_put_entry *like)
{
    for (uint32_t i = 0; i < put->entry_count; i++) {
        const struct ilea_put_entry *entry = &put->entries[i];
        if (entry->action == ILEA_PUT_SET && entry->field == like->field
            && is_equal(entry->key, like->key)) {
            return entry;
        }
    }
    return NULL;
}

static int
compare_entries(const void *left, const void *right)
{
    const struct ilea_entry *a = left, *b = right;
    if (a->field != b->field) return a->field < b->field ? -1 : 1;
    size_t size = a->key.size < b->key.size ? a->key.size : b->key.size;
    int order = size > 0 ? memcmp(a->key.data, b->key.data, size) : 0;
    if (order != 0 || a->key.size == b->key.size) return order;
    return a->key.size < b->key.size ? -1 : 1;
}

/* The record that the put makes, printed: it must be read as the same put. */
static void
check_print(struct fuzz *fuzz, const struct ilea_put *put)
{
    static const struct ilea_agency_id agency_id;
    struct ilea_record record;
    char reason[ILEA_REASON_SIZE];
    uint32_t count = 0;
    ilea_record_init(&record);
    record.entries = calloc(put->entry_count + 1, sizeof *record.entries);
    ilea_assert(record.entries != NULL);
    for (uint32_t i = 0; i < put->entry_count; i++) {
        const struct ilea_put_entry *from = &put->entries[i];
        if (from->action != ILEA_PUT_SET) continue;
        record.entries[count++] = (struct ilea_entry){ .field = from->field, .depth = 1,
                                                       .key = from->key, .value = from->value };
    }
    if (count > 1) qsort(record.entries, count, sizeof *record.entries, compare_entries);
    record.entry_count = record.entry_capacity = count;
    struct ilea_json_meta meta = { .agency = "X", .agency_id = &agency_id, .id = &put->id,
                                   .type = put->type, .scope = ILEA_SCOPE_AGENCY };
    json_t *json = ilea_json_from_record(&meta, &record);
    ilea_assert(json != NULL);
    ilea_assert(ilea_json_to_put(json, &fuzz->second, reason) == ILEA_ERROR_NONE);
    uint32_t set_count = 0;
    for (uint32_t i = 0; i < fuzz->second.put->entry_count; i++) {
        if (fuzz->second.put->entries[i].action == ILEA_PUT_SET) set_count++;
    }
    ilea_assert(set_count == count);
    for (uint32_t i = 0; i < put->entry_count; i++) {
        if (put->entries[i].action != ILEA_PUT_SET) continue;
        const struct ilea_put_entry *again = find_set(fuzz->second.put, &put->entries[i]);
        ilea_assert(again != NULL);
        ilea_assert(is_equal(again->value, put->entries[i].value));
    }
    json_decref(json);
    ilea_record_deinit(&record);
}

static void
check(struct fuzz *fuzz, const struct ilea_profile *profile, const json_t *object)
{
    char reason[ILEA_REASON_SIZE] = "";
    if (!json_is_object(object)) return;
    enum ilea_error error = ilea_profile_map(profile, object, &fuzz->builder, reason);
    if (error != ILEA_ERROR_NONE) {
        ilea_assert(error == ILEA_ERROR_INVALID || error == ILEA_ERROR_LIMIT);
        ilea_assert(strlen(reason) > 0 && strlen(reason) < ILEA_REASON_SIZE);
        ilea_assert(ilea_text_is_valid((struct ilea_span){ (uint8_t *)reason, strlen(reason) }));
        return;
    }
    const struct ilea_put *put = fuzz->builder.put;
    size_t size = 0;
    ilea_assert(ilea_put_encode(put, fuzz->bytes, sizeof fuzz->bytes, &size) == ILEA_ERROR_NONE);
    error = ilea_put_decode((struct ilea_span){ fuzz->bytes, size }, &fuzz->decoded);
    ilea_assert(error == ILEA_ERROR_NONE);
    ilea_assert(fuzz->decoded.entry_count == put->entry_count);
    check_print(fuzz, put);
}

/* ---- an object by choices ---- */

struct choices {
    const uint8_t *data;
    size_t size, at;
};

static uint8_t
choose(struct choices *choices, uint8_t count)
{
    if (choices->at == choices->size) return 0;
    return choices->data[choices->at++] % count;
}

static json_t *
make_text(struct choices *choices)
{
    static const char *const texts[] = { "", "a", "2024-02-29", "12.50", "-0", "red", "draft", "en",
                                         "01890000-0000-7000-8000-000000000001", " x\r\ny\t",
                                         "e\xcc\x81", "\xe2\x84\xab", "\x1b[2J", "7", "other" };
    uint8_t which = choose(choices, 20);
    if (which < sizeof texts / sizeof texts[0]) return json_string(texts[which]);
    size_t size = choose(choices, 64);
    if (size > choices->size - choices->at) size = choices->size - choices->at;
    json_t *text = json_stringn((const char *)choices->data + choices->at, size);
    choices->at += size;
    if (text != NULL && strlen(json_string_value(text)) == size) return text;
    json_decref(text);
    return json_string("not UTF-8");
}

static const char *const names[] = { "en", "role", "name", "id", "value", "entries", "elements",
                                     "$bin", "$uint", "60", "33", "key" };

static json_t *
make_value(struct choices *choices, uint8_t depth)
{
    uint8_t what = choose(choices, depth < 4 ? 10 : 7);
    if (what < 3) return make_text(choices);
    if (what == 3) return json_integer((json_int_t)choose(choices, 255) - 3);
    if (what == 4) return json_real((double)choose(choices, 255) / 8.0 - 1.0);
    if (what == 5) return json_boolean(choose(choices, 2));
    if (what == 6) return json_null();
    uint8_t count = choose(choices, 4);
    json_t *json = what == 7 ? json_object() : json_array();
    for (uint8_t i = 0; i < count; i++) {
        if (what == 7) {
            const char *name = names[choose(choices, sizeof names / sizeof names[0])];
            json_object_set_new(json, name, make_value(choices, depth + 1));
        } else {
            json_array_append_new(json, make_value(choices, depth + 1));
        }
    }
    return json;
}

/* A type, its id, and values for some of its fields: half of the time of a likely shape. */
static json_t *
make_object(struct choices *choices)
{
    uint8_t type_count = 0, field_count = 0, common_count = 0;
    while (ilea_types[type_count] != NULL) type_count++;
    const struct ilea_type *type = ilea_types[choose(choices, type_count)];
    while (type->fields[field_count].number != 0) field_count++;
    while (ilea_common_fields[common_count].number != 0) common_count++;
    json_t *object = json_object();
    const char *type_name = choose(choices, 8) == 7 ? "type-77" : type->name;
    json_object_set_new(object, "type", json_string(type_name));
    json_object_set_new(object, "id", json_string("01890000-0000-7000-8000-000000000001"));
    while (choices->at < choices->size) {
        uint8_t which = choose(choices, (uint8_t)(field_count + common_count + 1));
        if (which == field_count + common_count) {
            json_object_set_new(object, "unknown", make_value(choices, 0));
            continue;
        }
        const struct ilea_field *field = which < field_count
            ? &type->fields[which] : &ilea_common_fields[which - field_count];
        json_t *value = choose(choices, 2) == 0 ? make_value(choices, 0) : make_text(choices);
        if (ilea_field_has_key(field) && json_is_string(value)) {
            value = field->merge == ILEA_MERGE_KEYED ? json_pack("{s:o}", "en", value)
                                                     : json_pack("[o]", value);
        }
        json_object_set_new(object, field->name, value);
    }
    return object;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz *fuzz = fuzz_of_process();
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    check(fuzz, fuzz->records, json);
    check(fuzz, fuzz->mapping, json);
    json_decref(json);
    struct choices choices = { data, size, 0 };
    json = make_object(&choices);
    check(fuzz, fuzz->records, json);
    json_decref(json);
    choices.at = 0;
    json = json_object();
    json_object_set_new(json, "id", make_text(&choices));
    while (choices.at < choices.size) {
        const char *name = names[choose(&choices, sizeof names / sizeof names[0])];
        json_object_set_new(json, name, make_value(&choices, 0));
    }
    check(fuzz, fuzz->mapping, json);
    json_decref(json);
    return 0;
}
