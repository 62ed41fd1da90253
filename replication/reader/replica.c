#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replication/reader/snapshot.h"
#include "replication/record/schema.h"
#include "replication/record/uuid.h"

struct ilea_replica {
    struct ilea_environment *environment;
};

struct ilea_snapshot {
    struct ilea_transaction *txn;
    struct ilea_record record;       /* the current one, merged */
    struct ilea_view_row row;
    const struct ilea_type *type;    /* of the current record; NULL if unknown */
    struct ilea_view_change change;  /* the last one returned */
    char name[24];                   /* of an unknown field */
};

static struct ilea_span
text_span(const char *text)
{
    return (struct ilea_span){ (const uint8_t *)text, strlen(text) };
}

enum ilea_error
ilea_view_path(const char *home, char *path, size_t capacity, uint32_t *generation)
{
    int length = snprintf(path, capacity, "%s/view/current", home);
    if (length < 0 || (size_t)length >= capacity) return ILEA_ERROR_INVALID;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ILEA_ERROR_NOT_FOUND;
    char text[16] = "";
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0) return ILEA_ERROR_NOT_FOUND;
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || value == 0 || value > UINT32_MAX) return ILEA_ERROR_CORRUPT;
    *generation = (uint32_t)value;
    length = snprintf(path, capacity, "%s/view/%u", home, *generation);
    return length > 0 && (size_t)length < capacity ? ILEA_ERROR_NONE : ILEA_ERROR_INVALID;
}

enum ilea_error
ilea_replica_open(const char *home, struct ilea_replica **replica)
{
    char path[1024];
    uint32_t generation;
    enum ilea_error error = ilea_view_path(home, path, sizeof path, &generation);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_replica *opened = calloc(1, sizeof *opened);
    if (opened == NULL) return ILEA_ERROR_NO_MEMORY;
    error = ilea_view_open(path, true, false, &opened->environment);
    if (error != ILEA_ERROR_NONE) {
        free(opened);
        return error;
    }
    *replica = opened;
    return ILEA_ERROR_NONE;
}

void
ilea_replica_close(struct ilea_replica *replica)
{
    if (replica == NULL) return;
    ilea_environment_close(replica->environment);
    free(replica);
}

enum ilea_error
ilea_snapshot_begin(struct ilea_replica *replica, struct ilea_snapshot **snapshot)
{
    struct ilea_snapshot *begun = calloc(1, sizeof *begun);
    if (begun == NULL) return ILEA_ERROR_NO_MEMORY;
    ilea_record_init(&begun->record);
    enum ilea_error error = ilea_transaction_begin(replica->environment, false, &begun->txn);
    if (error != ILEA_ERROR_NONE) {
        free(begun);
        return error;
    }
    *snapshot = begun;
    return ILEA_ERROR_NONE;
}

void
ilea_snapshot_end(struct ilea_snapshot *snapshot)
{
    if (snapshot == NULL) return;
    ilea_transaction_abort(snapshot->txn);
    ilea_record_deinit(&snapshot->record);
    free(snapshot);
}

const struct ilea_record *
ilea_snapshot_record(const struct ilea_snapshot *snapshot)
{
    return &snapshot->record;
}

struct ilea_transaction *
ilea_snapshot_transaction(const struct ilea_snapshot *snapshot)
{
    return snapshot->txn;
}

const struct ilea_view_row *
ilea_snapshot_row(const struct ilea_snapshot *snapshot)
{
    return &snapshot->row;
}

enum ilea_error
ilea_snapshot_status(struct ilea_snapshot *snapshot, struct ilea_replica_status *status)
{
    struct ilea_view_meta meta;
    enum ilea_error error = ilea_view_load_meta(snapshot->txn, &meta);
    if (error != ILEA_ERROR_NONE) return error;
    *status = (struct ilea_replica_status){ .lsn = meta.lsn, .records = meta.records,
                                            .position = meta.position, .parked = meta.parked,
                                            .hidden = meta.hidden, .stale = meta.stale };
    ilea_view_digest(&meta, status->view);
    return ILEA_ERROR_NONE;
}

static bool
merges_alone(enum ilea_merge merge)
{
    return merge == ILEA_MERGE_REGISTER || merge == ILEA_MERGE_KEYED || merge == ILEA_MERGE_STATE;
}

/* Fields that hold several concurrent values which a person should settle. */
static uint32_t
count_conflicts(const struct ilea_snapshot *snapshot)
{
    const struct ilea_record *record = &snapshot->record;
    uint32_t conflicts = 0;
    for (uint32_t i = 0; i < record->entry_count;) {
        uint32_t first, count = ilea_record_find(record, record->entries[i].field,
                                                 record->entries[i].key, &first);
        const struct ilea_field *field =
            ilea_field_by_number(snapshot->type, record->entries[i].field);
        if (count > 1 && (field == NULL || merges_alone(field->merge))) conflicts++;
        i += count > 0 ? count : 1;
    }
    return conflicts;
}

static void
name_type(uint32_t number, char name[24])
{
    const struct ilea_type *type = ilea_type_by_number(number);
    if (type != NULL) (void)snprintf(name, 24, "%s", type->name);
    else (void)snprintf(name, 24, "type-%u", number);
}

/* Make `row` the current record. */
static enum ilea_error
load(struct ilea_snapshot *snapshot, const struct ilea_view_row *row, struct ilea_record_info *info)
{
    struct ilea_view_agency agency;
    if (ilea_view_is_concealed(snapshot->txn, row->number)) return ILEA_ERROR_NOT_FOUND;
    enum ilea_error error = ilea_view_agency(snapshot->txn, row->agency, &agency);
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) error = ilea_view_check(row, &agency.id);
    if (error == ILEA_ERROR_NONE) error = ilea_record_decode(row->state, &snapshot->record);
    if (error == ILEA_ERROR_MALFORMED) error = ILEA_ERROR_CORRUPT;
    if (error != ILEA_ERROR_NONE) return error;
    snapshot->row = *row;
    snapshot->type = ilea_type_by_number(row->type);

    *info = (struct ilea_record_info){ .number = row->number, .agency = agency.id,
                                       .type_number = row->type, .id = row->id,
                                       .shared = ilea_scope_is_shared(row->scope) };
    (void)snprintf(info->agency_code, sizeof info->agency_code, "%.*s", (int)agency.code.size,
                   (const char *)agency.code.data);
    name_type(row->type, info->type);
    if (row->ref != 0 && snapshot->type != NULL) {
        uint32_t index = 0;
        error = ilea_view_ref_index(snapshot->txn, row, &index);
        if (error != ILEA_ERROR_NONE) return ILEA_ERROR_CORRUPT;
        ilea_ref_format(agency.code, snapshot->type->letter, row->ref, index, info->ref);
    }
    info->conflicts = count_conflicts(snapshot);
    return ILEA_ERROR_NONE;
}

/* A type by name, "type-77" included; 0 if there is none such. */
static uint32_t
type_number(const char *name)
{
    const struct ilea_type *type = ilea_type_by_name(text_span(name));
    if (type != NULL) return type->number;
    unsigned number = 0;
    return sscanf(name, "type-%u", &number) == 1 ? number : 0;
}

enum ilea_error
ilea_snapshot_next(struct ilea_snapshot *snapshot, const char *type, const char *agency,
                   struct ilea_record_info *info)
{
    uint32_t type_only = 0, agency_only = 0;
    if (type != NULL) {
        type_only = type_number(type);
        if (type_only == 0) return ILEA_ERROR_INVALID;
    }
    if (agency != NULL) {
        struct ilea_view_agency found;
        enum ilea_error error = ilea_view_agency_by_code(snapshot->txn, text_span(agency), &found);
        if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_INVALID;
        if (error != ILEA_ERROR_NONE) return error;
        agency_only = found.number;
    }
    struct ilea_view_row row = { .number = 0 };
    if (info->number != 0) {
        enum ilea_error error = ilea_view_get(snapshot->txn, info->number, &row);
        if (error != ILEA_ERROR_NONE) return error;
    }
    enum ilea_error error;
    do {
        error = ilea_view_next(snapshot->txn, type_only, agency_only, &row);
    } while (error == ILEA_ERROR_NONE && ilea_view_is_concealed(snapshot->txn, row.number));
    return error == ILEA_ERROR_NONE ? load(snapshot, &row, info) : error;
}

enum ilea_error
ilea_snapshot_by_ref(struct ilea_snapshot *snapshot, const char *ref, struct ilea_record_info *info)
{
    struct ilea_view_row row;
    struct ilea_record_id id;
    if (ilea_uuid_parse(text_span(ref), &id)) {
        enum ilea_error error = ilea_view_find_id(snapshot->txn, &id, 0, &row);
        return error == ILEA_ERROR_NONE ? load(snapshot, &row, info) : error;
    }
    struct ilea_span code;
    char letter;
    uint32_t number, index;
    if (!ilea_ref_parse(ref, &code, &letter, &number, &index)) return ILEA_ERROR_INVALID;
    const struct ilea_type *type = ilea_type_by_letter(letter);
    if (type == NULL) return ILEA_ERROR_INVALID;
    struct ilea_view_agency agency;
    enum ilea_error error = ilea_view_agency_by_code(snapshot->txn, code, &agency);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_view_find_ref(snapshot->txn, agency.number, type->number, number, index, &row);
    }
    return error == ILEA_ERROR_NONE ? load(snapshot, &row, info) : error;
}

enum ilea_error
ilea_snapshot_by_number(struct ilea_snapshot *snapshot, uint64_t number,
                        struct ilea_record_info *info)
{
    struct ilea_view_row row;
    enum ilea_error error = ilea_view_get(snapshot->txn, number, &row);
    return error == ILEA_ERROR_NONE ? load(snapshot, &row, info) : error;
}

enum ilea_error
ilea_record_audience(struct ilea_snapshot *snapshot, struct ilea_audience_name *audience)
{
    struct ilea_view_audience row;
    struct ilea_view_agency owner;
    struct ilea_msgpack_reader reader;
    struct ilea_audience_id id;
    struct ilea_audience_name found = { .owner_code = "" };
    if (snapshot->row.scope != ILEA_SCOPE_AUDIENCE) return ILEA_ERROR_NOT_FOUND;
    ilea_msgpack_reader_init(&reader, ilea_record_common_value(&snapshot->record, ILEA_FIELD_AUDIENCE));
    ilea_msgpack_get_bytes(&reader, id.bytes, sizeof id.bytes);
    if (ilea_msgpack_reader_done(&reader)) {
        enum ilea_error error = ilea_view_audience(snapshot->txn, &id, &row);
        memcpy(found.id, id.bytes, sizeof found.id);
        bool is_named = error == ILEA_ERROR_NONE && row.name.size > 0;
        if (is_named) error = ilea_view_agency(snapshot->txn, row.owner, &owner);
        if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) return error;
        if (is_named && error == ILEA_ERROR_NONE) {
            (void)snprintf(found.owner_code, sizeof found.owner_code, "%.*s", (int)owner.code.size,
                           (const char *)owner.code.data);
            found.name = row.name;
        }
    }
    *audience = found;
    return ILEA_ERROR_NONE;
}

static void
fill_value(struct ilea_span key, struct ilea_span encoded, const struct ilea_field *field,
           struct ilea_value *value)
{
    *value = (struct ilea_value){ .encoded = encoded };
    struct ilea_msgpack_reader reader;
    if (field->merge == ILEA_MERGE_KEYED) {
        ilea_msgpack_reader_init(&reader, key);
        value->key = ilea_msgpack_get_str(&reader, ILEA_KEY_SIZE_MAX);
    }
    ilea_msgpack_reader_init(&reader, encoded);
    uint8_t tag = encoded.size > 0 ? encoded.data[0] : 0;
    if (tag <= 0x7f || (tag >= 0xcc && tag <= 0xcf)) {
        value->form = ILEA_VALUE_NUMBER;
        value->number = ilea_msgpack_get_uint(&reader);
    } else if (tag >= 0xc4 && tag <= 0xc6) {
        value->form = ILEA_VALUE_ID;
        value->text = ilea_msgpack_get_bin(&reader, ILEA_VALUE_SIZE_MAX);
    } else if ((tag >= 0x90 && tag <= 0x9f) || tag == 0xdc || tag == 0xdd) {
        value->form = ILEA_VALUE_PARTS;
        value->part_count = ilea_msgpack_get_array(&reader, ILEA_VALUE_SIZE_MAX);
    } else {
        value->form = ILEA_VALUE_TEXT;
        value->text = ilea_msgpack_get_str(&reader, ILEA_VALUE_SIZE_MAX);
    }
}

enum ilea_error
ilea_snapshot_value(struct ilea_snapshot *snapshot, const char *name, uint32_t index,
                    struct ilea_value *value)
{
    const struct ilea_field *field = ilea_field_by_name(snapshot->type, text_span(name));
    if (field == NULL) return ILEA_ERROR_INVALID;
    const struct ilea_record *record = &snapshot->record;
    bool is_set = field->merge == ILEA_MERGE_SET || field->merge == ILEA_MERGE_GROW;
    for (uint32_t i = 0; i < record->entry_count;) {
        const struct ilea_entry *entry = &record->entries[i];
        uint32_t first, count = ilea_record_find(record, entry->field, entry->key, &first);
        if (entry->field == field->number && index-- == 0) {
            uint32_t shown = ilea_record_shown(record, field, first, count);
            fill_value(entry->key, is_set ? entry->key : record->entries[shown].value, field, value);
            return ILEA_ERROR_NONE;
        }
        i += count > 0 ? count : 1;
    }
    return ILEA_ERROR_NOT_FOUND;
}

enum ilea_error
ilea_snapshot_part(const struct ilea_value *value, uint32_t index, struct ilea_span *text)
{
    if (index >= value->part_count) return ILEA_ERROR_NOT_FOUND;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value->encoded);
    (void)ilea_msgpack_get_array(&reader, ILEA_VALUE_SIZE_MAX);
    struct ilea_span part = { NULL, 0 };
    for (uint32_t i = 0; i <= index; i++) part = ilea_msgpack_get_str(&reader, ILEA_VALUE_SIZE_MAX);
    if (reader.failed) return ILEA_ERROR_NOT_FOUND; /* not a text */
    *text = part;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_snapshot_history(struct ilea_snapshot *snapshot, uint64_t record, uint64_t *lsn)
{
    return ilea_view_history_next(snapshot->txn, record, lsn);
}

enum ilea_error
ilea_snapshot_change(struct ilea_snapshot *snapshot, uint64_t since, struct ilea_change_info *info)
{
    struct ilea_view_change *change = &snapshot->change;
    if (since == UINT64_MAX) return ILEA_ERROR_NOT_FOUND;
    enum ilea_error error = ilea_view_change(snapshot->txn, since + 1, change);
    if (error != ILEA_ERROR_NONE) return error;
    *info = (struct ilea_change_info){ .lsn = change->lsn, .record = change->record,
                                       .created = change->kind == ILEA_VIEW_CREATED,
                                       .erased = change->kind == ILEA_VIEW_ERASED,
                                       .has_id = change->type != 0, .id = change->id,
                                       .author_time_ms = change->time_ms, .seq = change->dot.seq,
                                       .index = change->dot.index,
                                       .field_count = change->field_count };
    memcpy(info->feed, change->dot.feed, sizeof info->feed);
    if (change->type != 0) name_type(change->type, info->type);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_snapshot_change_field(struct ilea_snapshot *snapshot, uint32_t index, const char **name)
{
    if (index >= snapshot->change.field_count) return ILEA_ERROR_NOT_FOUND;
    struct ilea_view_row row;
    enum ilea_error error = ilea_view_get(snapshot->txn, snapshot->change.record, &row);
    if (error != ILEA_ERROR_NONE) return error;
    uint32_t number = snapshot->change.fields[index];
    const struct ilea_field *field = ilea_field_by_number(ilea_type_by_number(row.type), number);
    if (field != NULL) {
        *name = field->name;
        return ILEA_ERROR_NONE;
    }
    (void)snprintf(snapshot->name, sizeof snapshot->name, "field-%u", number);
    *name = snapshot->name;
    return ILEA_ERROR_NONE;
}
