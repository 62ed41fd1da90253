#include "replication/merge/record.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/label.h"
#include "replication/record/schema.h"

enum { RECORD_VERSION = 1, RECORD_FIELDS = 5, ENTRY_FIELDS = 5, COVERED_FIELDS = 3 };

void
ilea_record_init(struct ilea_record *record)
{
    *record = (struct ilea_record){ .entries = NULL };
}

void
ilea_record_deinit(struct ilea_record *record)
{
    free(record->entries);
    free(record->covered);
    free(record->dots);
    free(record->run);
    *record = (struct ilea_record){ .entries = NULL };
}

void
ilea_record_clear(struct ilea_record *record)
{
    record->entry_count = record->covered_count = 0;
    record->writes = 0;
}

static int
compare_spans(struct ilea_span a, struct ilea_span b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size == 0 ? 0 : memcmp(a.data, b.data, size);
    if (order != 0) return order;
    return a.size == b.size ? 0 : a.size < b.size ? -1 : 1;
}

static int
compare_places(const struct ilea_entry *entry, uint32_t field, struct ilea_span key)
{
    if (entry->field != field) return entry->field < field ? -1 : 1;
    return compare_spans(entry->key, key);
}

/* By (field, key, depth, dot); covered entries all have depth 0. */
static int
compare_entries(const struct ilea_entry *a, const struct ilea_entry *b)
{
    int order = compare_places(a, b->field, b->key);
    if (order != 0) return order;
    if (a->depth != b->depth) return a->depth < b->depth ? -1 : 1;
    return ilea_dot_compare(&a->dot, &b->dot);
}

/* First of the sorted entries that is not before (field, key). */
static uint32_t
lower_bound(const struct ilea_entry *entries, uint32_t count, uint32_t field, struct ilea_span key)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare_places(&entries[middle], field, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool
ilea_record_is_overfull(const struct ilea_record *record)
{
    return record->writes > ILEA_RECORD_WRITES_MAX;
}

static bool
reserve(struct ilea_entry **entries, uint32_t *capacity, uint32_t count)
{
    if (count <= *capacity) return true;
    uint32_t larger = *capacity < 32 ? 32 : *capacity;
    while (larger < count) larger *= 2;
    struct ilea_entry *moved = realloc(*entries, larger * sizeof *moved);
    if (moved == NULL) return false;
    *entries = moved;
    *capacity = larger;
    return true;
}

/* An entry that is to go; live ones have a depth of at least 1, covered dots a field. */
static const struct ilea_entry gone;

static bool
is_gone(const struct ilea_entry *entry)
{
    return entry->field == 0;
}

/*
 * Bring a sorted run into a sorted list and leave out what is gone, in one pass from behind: a change of
 * thousands of ops costs no more than walking the record once.
 */
static void
join_run(struct ilea_entry *entries, uint32_t *count, const struct ilea_entry *run, uint32_t run_count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        if (!is_gone(&entries[i])) entries[kept++] = entries[i];
    }
    *count = kept + run_count;
    uint32_t to = *count;
    while (run_count > 0) {
        if (kept > 0 && compare_entries(&entries[kept - 1], &run[run_count - 1]) > 0) {
            entries[--to] = entries[--kept];
        } else {
            entries[--to] = run[--run_count];
        }
    }
}

/* Place of the live entry at (field, key) that `dot` wrote; `count` if there is none. `from`: where
 * (field, key) begins. */
static uint32_t
find_live(const struct ilea_entry *entries, uint32_t count, uint32_t from, const struct ilea_op *op,
          const struct ilea_dot *dot)
{
    for (uint32_t i = from; i < count; i++) {
        if (is_gone(&entries[i])) continue;
        if (compare_places(&entries[i], op->field, op->key) != 0) break;
        if (ilea_dot_compare(&entries[i].dot, dot) == 0) return i;
    }
    return count;
}

/* lower_bound() in a list in which some entries before (field, key) may be gone. */
static uint32_t
lower_bound_live(const struct ilea_entry *entries, uint32_t count, const struct ilea_op *op)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2, live = middle;
        while (live < high && is_gone(&entries[live])) live++;
        if (live < high && compare_places(&entries[live], op->field, op->key) < 0) {
            low = live + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* How much a change adds to a record's writes. */
static uint32_t
count_writes(const struct ilea_change *change)
{
    struct ilea_msgpack_reader ops, dots;
    ilea_msgpack_reader_init(&ops, change->ops);
    uint32_t writes = change->op_count;
    for (uint32_t i = 0; i < change->op_count; i++) {
        struct ilea_op op;
        ilea_op_next(&ops, &op);
        ilea_assert(!ops.failed); /* ilea_change_decode() walked them all */
        writes += ilea_op_replaces(&op, &dots);
    }
    return writes;
}

/*
 * First of two passes: what the change replaces goes. Each replaced dot takes its entry out, or is
 * remembered until it comes. If two changes replace the same dot it is remembered once more than it came,
 * whatever the order: so a covered dot may stand there several times, and merging needs no memory of what
 * came before. The covered dots of a change come in order, because its ops and their dots do.
 */
static uint32_t
cover_replaced(struct ilea_record *record, const struct ilea_change *change)
{
    struct ilea_msgpack_reader ops, dots;
    ilea_msgpack_reader_init(&ops, change->ops);
    uint32_t covered = 0;
    for (uint32_t i = 0; i < change->op_count; i++) {
        struct ilea_op op;
        ilea_op_next(&ops, &op);
        uint32_t count = ilea_op_replaces(&op, &dots);
        /* Nothing of this (field, key) is gone yet, so the search sees a sorted list. */
        uint32_t from = count > 0 ? lower_bound_live(record->entries, record->entry_count, &op) : 0;
        for (uint32_t j = 0; j < count; j++) {
            struct ilea_dot dot;
            ilea_dot_get(&dots, &dot);
            uint32_t at = find_live(record->entries, record->entry_count, from, &op, &dot);
            if (at < record->entry_count) {
                record->entries[at] = gone;
            } else {
                record->run[covered++] =
                    (struct ilea_entry){ .field = op.field, .key = op.key, .dot = dot };
            }
        }
    }
    return covered;
}

/* Second pass: what the change wrote comes in, unless it was replaced before it came. */
static uint32_t
write_values(struct ilea_record *record, const struct ilea_change *change, const struct ilea_dot *dot)
{
    struct ilea_msgpack_reader ops;
    ilea_msgpack_reader_init(&ops, change->ops);
    uint32_t written = 0;
    for (uint32_t i = 0; i < change->op_count; i++) {
        struct ilea_op op;
        ilea_op_next(&ops, &op);
        if (op.value.size == 0) continue; /* leaves no entry that a cover could meet */
        uint32_t from = record->covered_count > 0
            ? lower_bound_live(record->covered, record->covered_count, &op) : 0;
        uint32_t at = find_live(record->covered, record->covered_count, from, &op, dot);
        if (at < record->covered_count) {
            record->covered[at] = gone;
            continue;
        }
        record->run[written++] = (struct ilea_entry){ .field = op.field, .depth = op.depth,
                                                      .key = op.key, .value = op.value, .dot = *dot };
    }
    return written;
}

enum ilea_error
ilea_record_merge(struct ilea_record *record, const struct ilea_change *change,
                  const struct ilea_dot *dot)
{
    uint32_t writes = count_writes(change);
    if (record->writes + writes > ILEA_RECORD_WRITES_MAX) {
        record->entry_count = record->covered_count = 0;
        record->writes = ILEA_RECORD_WRITES_MAX + 1;
        return ILEA_ERROR_NONE;
    }
    record->writes += writes;
    if (!reserve(&record->run, &record->run_capacity, writes)
        || !reserve(&record->entries, &record->entry_capacity, record->entry_count + writes)
        || !reserve(&record->covered, &record->covered_capacity, record->covered_count + writes)) {
        return ILEA_ERROR_NO_MEMORY;
    }
    uint32_t count = cover_replaced(record, change);
    join_run(record->covered, &record->covered_count, record->run, count);
    count = write_values(record, change, dot);
    join_run(record->entries, &record->entry_count, record->run, count);
    join_run(record->covered, &record->covered_count, record->run, 0);
    return ILEA_ERROR_NONE;
}

uint32_t
ilea_record_find(const struct ilea_record *record, uint32_t field, struct ilea_span key,
                 uint32_t *first)
{
    uint32_t at = lower_bound(record->entries, record->entry_count, field, key);
    uint32_t end = at;
    while (end < record->entry_count && compare_places(&record->entries[end], field, key) == 0) end++;
    *first = at;
    return end - at;
}

/* Position of a value in the field's codes; unknown codes come after all known ones. */
static uint32_t
rank_of(const struct ilea_field *field, struct ilea_span value)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    struct ilea_span code = ilea_msgpack_get_str(&reader, ILEA_VALUE_SIZE_MAX);
    uint32_t rank = 0;
    for (; field->codes != NULL && field->codes[rank] != NULL; rank++) {
        if (strlen(field->codes[rank]) == code.size
            && (code.size == 0 || memcmp(field->codes[rank], code.data, code.size) == 0)) {
            break;
        }
    }
    return rank;
}

uint32_t
ilea_record_shown(const struct ilea_record *record, const struct ilea_field *field, uint32_t first,
                  uint32_t count)
{
    ilea_assert(count > 0 && first + count <= record->entry_count);
    enum ilea_merge merge = field != NULL ? field->merge : ILEA_MERGE_REGISTER;
    switch (merge) {
    case ILEA_MERGE_IMMUTABLE:
        return first;
    case ILEA_MERGE_RESTRICTIVE:
    case ILEA_MERGE_STATE: {
        uint32_t best = first;
        for (uint32_t i = first + 1; i < first + count; i++) { /* later of equals: higher (depth, dot) */
            if (rank_of(field, record->entries[i].value) >= rank_of(field, record->entries[best].value)) {
                best = i;
            }
        }
        return best;
    }
    case ILEA_MERGE_ONE_WRITER:
    case ILEA_MERGE_REGISTER:
    case ILEA_MERGE_KEYED:
    case ILEA_MERGE_SET:
    case ILEA_MERGE_GROW:
        return first + count - 1;
    }
    return first + count - 1;
}

struct ilea_span
ilea_record_common_value(const struct ilea_record *record, uint32_t field)
{
    const struct ilea_span no_key = { NULL, 0 };
    uint32_t first, count = ilea_record_find(record, field, no_key, &first);
    if (count == 0) return no_key;
    return record->entries[ilea_record_shown(record, ilea_field_by_number(NULL, field), first, count)].value;
}

bool
ilea_record_audience_of(const struct ilea_record *record, struct ilea_audience_id *audience)
{
    struct ilea_msgpack_reader reader;
    struct ilea_span value = ilea_record_common_value(record, ILEA_FIELD_AUDIENCE);
    if (value.size == 0) return false;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_get_bytes(&reader, audience->bytes, sizeof audience->bytes);
    return ilea_msgpack_reader_done(&reader);
}

uint32_t
ilea_record_label(const struct ilea_record *record, enum ilea_scope scope)
{
    return ilea_label_of_value(ilea_record_common_value(record, ILEA_FIELD_TLP), scope);
}

static int
compare_dots(const void *a, const void *b)
{
    return ilea_dot_compare(a, b);
}

static bool
reserve_dots(struct ilea_record *record, uint32_t count)
{
    if (count <= record->dot_capacity) return true;
    struct ilea_dot *dots = realloc(record->dots, count * sizeof *dots);
    if (dots == NULL) return false;
    record->dots = dots;
    record->dot_capacity = count;
    return true;
}

/* All dots of the record, sorted, each once, into record->dots; their number. */
static uint32_t
collect_dots(struct ilea_record *record)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < record->entry_count + record->covered_count; i++) {
        const struct ilea_dot *dot = i < record->entry_count
            ? &record->entries[i].dot : &record->covered[i - record->entry_count].dot;
        if (count > 0 && ilea_dot_compare(&record->dots[count - 1], dot) == 0) continue;
        record->dots[count++] = *dot;
    }
    if (count < 2) return count;
    qsort(record->dots, count, sizeof *record->dots, compare_dots);
    uint32_t unique = 1;
    for (uint32_t i = 1; i < count; i++) {
        if (ilea_dot_compare(&record->dots[unique - 1], &record->dots[i]) == 0) continue;
        record->dots[unique++] = record->dots[i];
    }
    return unique;
}

static uint32_t
dot_index(const struct ilea_record *record, uint32_t dot_count, const struct ilea_dot *dot)
{
    if (dot_count == 1) return 0;
    const struct ilea_dot *found =
        bsearch(dot, record->dots, dot_count, sizeof *record->dots, compare_dots);
    ilea_assert(found != NULL);
    return (uint32_t)(found - record->dots);
}

size_t
ilea_record_encoded_size_max(const struct ilea_record *record)
{
    size_t size = 32;
    for (uint32_t i = 0; i < record->entry_count; i++) {
        size += 32 + record->entries[i].key.size + record->entries[i].value.size + 32;
    }
    for (uint32_t i = 0; i < record->covered_count; i++) {
        size += 24 + record->covered[i].key.size + 32;
    }
    return size;
}

enum ilea_error
ilea_record_encode(struct ilea_record *record, uint8_t *bytes, size_t capacity, size_t *size)
{
    if (!reserve_dots(record, record->entry_count + record->covered_count + 1)) {
        return ILEA_ERROR_NO_MEMORY;
    }
    uint32_t dot_count = collect_dots(record);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    ilea_msgpack_put_array(&writer, RECORD_FIELDS);
    ilea_msgpack_put_uint(&writer, RECORD_VERSION);
    ilea_msgpack_put_uint(&writer, record->writes);
    ilea_msgpack_put_array(&writer, dot_count);
    for (uint32_t i = 0; i < dot_count; i++) ilea_dot_put(&writer, &record->dots[i]);
    ilea_msgpack_put_array(&writer, record->entry_count);
    for (uint32_t i = 0; i < record->entry_count; i++) {
        const struct ilea_entry *entry = &record->entries[i];
        ilea_msgpack_put_array(&writer, ENTRY_FIELDS);
        ilea_msgpack_put_uint(&writer, entry->field);
        ilea_msgpack_put_bin(&writer, entry->key.data, entry->key.size);
        ilea_msgpack_put_bin(&writer, entry->value.data, entry->value.size);
        ilea_msgpack_put_uint(&writer, entry->depth);
        ilea_msgpack_put_uint(&writer, dot_index(record, dot_count, &entry->dot));
    }
    ilea_msgpack_put_array(&writer, record->covered_count);
    for (uint32_t i = 0; i < record->covered_count; i++) {
        const struct ilea_entry *entry = &record->covered[i];
        ilea_msgpack_put_array(&writer, COVERED_FIELDS);
        ilea_msgpack_put_uint(&writer, entry->field);
        ilea_msgpack_put_bin(&writer, entry->key.data, entry->key.size);
        ilea_msgpack_put_uint(&writer, dot_index(record, dot_count, &entry->dot));
    }
    if (writer.failed) return ILEA_ERROR_LIMIT;
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

/* `entry` does not follow the last of `count`: out of order, or an entry for the second time. */
static bool
is_out_of_order(const struct ilea_entry *entries, uint32_t count, const struct ilea_entry *entry,
                bool covered)
{
    if (count == 0) return false;
    int order = compare_entries(&entries[count - 1], entry);
    return order > 0 || (order == 0 && !covered);
}

static enum ilea_error
decode_entries(struct ilea_msgpack_reader *reader, struct ilea_record *record, uint32_t dot_count,
               bool covered)
{
    struct ilea_entry **entries = covered ? &record->covered : &record->entries;
    uint32_t *used = covered ? &record->covered_count : &record->entry_count;
    uint32_t *capacity = covered ? &record->covered_capacity : &record->entry_capacity;
    uint32_t count = ilea_msgpack_get_array(reader, ILEA_RECORD_WRITES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_entry entry = { .depth = 0 };
        ilea_msgpack_expect_array(reader, covered ? COVERED_FIELDS : ENTRY_FIELDS);
        entry.field = ilea_msgpack_get_uint32(reader, UINT32_MAX);
        entry.key = ilea_msgpack_get_bin(reader, ILEA_KEY_SIZE_MAX);
        if (!covered) {
            entry.value = ilea_msgpack_get_bin(reader, ILEA_VALUE_SIZE_MAX);
            entry.depth = ilea_msgpack_get_uint32(reader, UINT32_MAX);
        }
        uint32_t dot = ilea_msgpack_get_uint32(reader, UINT32_MAX);
        if (reader->failed || dot >= dot_count || entry.field == 0) return ILEA_ERROR_MALFORMED;
        entry.dot = record->dots[dot];
        if (is_out_of_order(*entries, *used, &entry, covered)) return ILEA_ERROR_MALFORMED;
        if (!reserve(entries, capacity, *used + 1)) return ILEA_ERROR_NO_MEMORY;
        (*entries)[(*used)++] = entry;
    }
    return reader->failed ? ILEA_ERROR_MALFORMED : ILEA_ERROR_NONE;
}

enum ilea_error
ilea_record_decode(struct ilea_span input, struct ilea_record *record)
{
    ilea_record_clear(record);
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    ilea_msgpack_expect_array(&reader, RECORD_FIELDS);
    if (ilea_msgpack_get_uint(&reader) != RECORD_VERSION) return ILEA_ERROR_MALFORMED;
    record->writes = ilea_msgpack_get_uint32(&reader, ILEA_RECORD_WRITES_MAX + 1);
    uint32_t dot_count = ilea_msgpack_get_array(&reader, 2 * ILEA_RECORD_WRITES_MAX);
    if (reader.failed) return ILEA_ERROR_MALFORMED;
    if (!reserve_dots(record, dot_count + 1)) return ILEA_ERROR_NO_MEMORY;
    for (uint32_t i = 0; i < dot_count; i++) {
        ilea_dot_get(&reader, &record->dots[i]);
        if (reader.failed || (i > 0 && ilea_dot_compare(&record->dots[i - 1], &record->dots[i]) >= 0)) {
            return ILEA_ERROR_MALFORMED;
        }
    }
    enum ilea_error error = decode_entries(&reader, record, dot_count, false);
    if (error == ILEA_ERROR_NONE) error = decode_entries(&reader, record, dot_count, true);
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}
