#include "node/release_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/json.h"
#include "replication/record/label.h"
#include "replication/record/uuid.h"

static int
compare_places(const void *a, const void *b)
{
    const struct ilea_entry *one = a, *other = b;
    if (one->field != other->field) return one->field < other->field ? -1 : 1;
    size_t size = one->key.size < other->key.size ? one->key.size : other->key.size;
    int order = size == 0 ? 0 : memcmp(one->key.data, other->key.data, size);
    return order != 0 ? order : (one->key.size > other->key.size) - (one->key.size < other->key.size);
}

static bool
is_place(const struct ilea_entry *entry, const struct ilea_put_entry *change)
{
    return entry->field == change->field && entry->key.size == change->key.size
        && (entry->key.size == 0 || memcmp(entry->key.data, change->key.data, entry->key.size) == 0);
}

static bool
sets_place(const struct ilea_put *put, const struct ilea_entry *entry)
{
    for (uint32_t i = 0; i < put->entry_count; i++) {
        if (put->entries[i].action == ILEA_PUT_SET && is_place(entry, &put->entries[i])) return true;
    }
    return false;
}

/* Whether one entry of the put takes a value away. */
static bool
removes(const struct ilea_put *put, const struct ilea_put_entry *change, const struct ilea_entry *entry,
        const struct ilea_type *type)
{
    const struct ilea_field *field = ilea_field_by_number(type, change->field);
    if (change->field != entry->field) return false;
    if (change->action == ILEA_PUT_ONLY) return !sets_place(put, entry);
    bool all = field != NULL && ilea_field_has_key(field) && change->key.size == 0
        && change->action == ILEA_PUT_REMOVE;
    return all ? !sets_place(put, entry) : is_place(entry, change);
}

/* The record as the put leaves it, one value a place. false: out of memory. */
static bool
apply(const struct ilea_record *record, const struct ilea_put *put, struct ilea_record *after)
{
    const struct ilea_type *type = ilea_type_by_number(put->type);
    uint32_t capacity = record->entry_count + put->entry_count + 1;
    ilea_record_init(after);
    after->entries = calloc(capacity, sizeof *after->entries);
    if (after->entries == NULL) return false;
    after->entry_capacity = capacity;
    for (uint32_t i = 0; i < record->entry_count;) {
        const struct ilea_entry *entry = &record->entries[i];
        uint32_t first, siblings = ilea_record_find(record, entry->field, entry->key, &first);
        const struct ilea_field *field = ilea_field_by_number(type, entry->field);
        bool goes = false;
        for (uint32_t k = 0; k < put->entry_count && !goes; k++) goes = removes(put, &put->entries[k], entry, type);
        uint32_t shown = ilea_record_shown(record, field, first, siblings);
        if (!goes) after->entries[after->entry_count++] = record->entries[shown];
        i = first + siblings;
    }
    uint32_t kept = after->entry_count;
    for (uint32_t i = 0; i < put->entry_count; i++) {
        const struct ilea_put_entry *change = &put->entries[i];
        if (change->action != ILEA_PUT_SET) continue;
        uint32_t at = kept; /* of two writes of one place the last counts */
        while (at < after->entry_count && !is_place(&after->entries[at], change)) at++;
        after->entries[at] = (struct ilea_entry){ .field = change->field, .key = change->key, .value = change->value };
        if (at == after->entry_count) after->entry_count++;
    }
    qsort(after->entries, after->entry_count, sizeof *after->entries, compare_places);
    return true;
}

static json_t *
fields_of(const struct ilea_record_info *info, const struct ilea_record *record)
{
    static const char *const meta_keys[] = { "agency", "agency_id", "audience", "id", "label", "ref", "type" };
    const struct ilea_json_meta meta = { .agency = info->agency_code, .agency_id = &info->agency, .id = &info->id,
                                         .type = info->type_number, .scope = ILEA_SCOPE_PEERS };
    json_t *json = ilea_json_from_record(&meta, record);
    for (unsigned i = 0; json != NULL && i < sizeof meta_keys / sizeof meta_keys[0]; i++) {
        json_object_del(json, meta_keys[i]);
    }
    return json;
}

/* What differs, by field. */
static json_t *
compare(json_t *now, json_t *then)
{
    const char *key;
    json_t *value, *changes = json_object();
    json_object_foreach(then, key, value) {
        json_t *was = json_object_get(now, key);
        if (was != NULL && json_equal(was, value)) continue;
        json_object_set_new(changes, key,
                            json_pack("{s:O,s:O}", "now", was != NULL ? was : json_null(), "then", value));
    }
    json_object_foreach(now, key, value) {
        if (json_object_get(then, key) != NULL) continue;
        json_object_set_new(changes, key, json_pack("{s:O,s:n}", "now", value, "then"));
    }
    return changes;
}

/* What stands for it in a line. */
static const char *
headline(const json_t *fields)
{
    static const char *const names[] = { "title", "acronym", "name", "code", "body", "rel" };
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = json_string_value(json_object_get(fields, names[i]));
        if (text != NULL) return text;
    }
    return "";
}

/* Put into the look what the record comes to; false: out of memory, or the put is none. */
static bool
describe(struct ilea_snapshot *snapshot, const struct ilea_record_info *info, const struct ilea_release_item *item,
         bool details, json_t *look)
{
    struct ilea_record after = { .entries = NULL };
    struct ilea_put *put = calloc(1, sizeof *put);
    const struct ilea_record *record = ilea_snapshot_record(snapshot);
    bool is_update = item->put.size > 0;
    bool good = put != NULL && (!is_update || ilea_put_decode(item->put, put) == ILEA_ERROR_NONE);
    if (good) put->type = item->type;
    good = good && apply(record, put, &after);
    json_t *now = good ? fields_of(info, record) : NULL, *then = good ? fields_of(info, &after) : NULL;
    if (now != NULL && then != NULL) {
        json_t *areas = json_object_get(then, "areas");
        json_object_set_new(look, "title", json_string(headline(then)));
        json_object_set(look, "areas", json_is_array(areas) ? areas : json_null());
        if (details && is_update) json_object_set_new(look, "changes", compare(now, then));
        if (details && !is_update) json_object_set(look, "fields", then);
    }
    good = now != NULL && then != NULL;
    json_decref(now);
    json_decref(then);
    ilea_record_deinit(&after);
    free(put);
    return good;
}

json_t *
ilea_release_look(struct ilea_snapshot *snapshot, const struct ilea_agency_id *own,
                  const struct ilea_release_item *item, bool details)
{
    char id[ILEA_UUID_TEXT_SIZE];
    uint8_t base[ILEA_HASH_SIZE];
    struct ilea_record_info info;
    ilea_uuid_print(&item->record, id);
    const struct ilea_type *type = ilea_type_by_number(item->type);
    json_t *look = json_pack("{s:s,s:s,s:s,s:s,s:b,s:b}", "ref", id, "id", id, "type", type != NULL ? type->name : "",
                             "tlp", ilea_label_name(item->label), "is_update", item->put.size > 0 ? 1 : 0, "stale", 1);
    if (ilea_snapshot_by_ref(snapshot, id, &info) != ILEA_ERROR_NONE || info.type_number != item->type
        || memcmp(info.agency.bytes, own->bytes, sizeof own->bytes) != 0) {
        return look;
    }
    const struct ilea_view_row *row = ilea_snapshot_row(snapshot);
    ilea_release_base(row->scope, row->state, base);
    if (info.ref[0] != '\0') json_object_set_new(look, "ref", json_string(info.ref));
    bool good = describe(snapshot, &info, item, details, look);
    bool is_stale = !good || memcmp(base, item->base, sizeof base) != 0;
    json_object_set_new(look, "stale", json_boolean(is_stale));
    return look;
}

static bool
is_within(const void *context, const char *areas)
{
    union { const void *from; json_t *look; } record = { .from = context };
    json_t *list = json_object_get(record.look, "areas"), *area;
    size_t i;
    json_array_foreach(list, i, area) {
        const char *code = json_string_value(area);
        if (code == NULL || !ilea_reach_is_listed((struct ilea_span){ (const uint8_t *)code, strlen(code) }, areas)) {
            return false;
        }
    }
    return json_array_size(list) > 0;
}

enum ilea_reach
ilea_release_reach(const struct ilea_reach_agency *agency, const struct ilea_reach_what *what, json_t *look)
{
    const char *tlp = json_string_value(json_object_get(look, "tlp"));
    const struct ilea_reach_what of = {
        .scope = what->scope, .members = what->members,
        .label = ilea_label_of_code((struct ilea_span){ (const uint8_t *)tlp, strlen(tlp) }), .is_within = is_within,
        .context = look };
    return ilea_reach_to(agency, &of);
}
