#include "node/put_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "node/reason.h"
#include "replication/record/limits.h"

enum ilea_error
ilea_put_builder_init(struct ilea_put_builder *builder)
{
    *builder = (struct ilea_put_builder){ 0 };
    builder->put = calloc(1, sizeof *builder->put);
    builder->arena = malloc(ILEA_BUILDER_ARENA_SIZE);
    builder->text = malloc(ILEA_BUILDER_TEXT_MAX);
    /* A code point decomposes into at most twice as many as it has bytes; one more for the end. */
    builder->codepoints = malloc((2 * ILEA_BUILDER_TEXT_MAX + 1) * sizeof *builder->codepoints);
    if (builder->put == NULL || builder->arena == NULL || builder->text == NULL
        || builder->codepoints == NULL) {
        ilea_put_builder_deinit(builder);
        return ILEA_ERROR_NO_MEMORY;
    }
    return ILEA_ERROR_NONE;
}

void
ilea_put_builder_deinit(struct ilea_put_builder *builder)
{
    free(builder->put);
    free(builder->arena);
    free(builder->text);
    free(builder->codepoints);
    *builder = (struct ilea_put_builder){ 0 };
}

void
ilea_put_builder_begin(struct ilea_put_builder *builder, enum ilea_put_mode mode, uint32_t type)
{
    builder->arena_used = 0;
    builder->put->mode = mode;
    builder->put->scope = 0;
    builder->put->type = type;
    builder->put->has_id = false;
    builder->put->entry_count = 0;
}

void
ilea_put_builder_set_id(struct ilea_put_builder *builder, const struct ilea_record_id *id)
{
    builder->put->has_id = true;
    builder->put->id = *id;
}

struct ilea_msgpack_writer
ilea_put_builder_writer(struct ilea_put_builder *builder)
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, builder->arena + builder->arena_used,
                             ILEA_BUILDER_ARENA_SIZE - builder->arena_used);
    return writer;
}

enum ilea_error
ilea_put_builder_keep(struct ilea_put_builder *builder, const struct ilea_msgpack_writer *writer,
                      struct ilea_span *encoded, char *reason)
{
    if (writer->failed) {
        ilea_reason(reason, "the record is too large");
        return ILEA_ERROR_LIMIT;
    }
    *encoded = ilea_msgpack_written(writer);
    builder->arena_used += writer->size;
    return ILEA_ERROR_NONE;
}

static bool
is_equal(struct ilea_span a, struct ilea_span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static void
reason_of_codes(const struct ilea_field *field, char *reason)
{
    char list[ILEA_REASON_SIZE] = "";
    size_t size = 0;
    for (const char *const *code = field->codes; *code != NULL && size < sizeof list; code++) {
        const char *comma = size > 0 ? ", " : "";
        int written = snprintf(list + size, sizeof list - size, "%s%s", comma, *code);
        if (written < 0) break;
        size += (size_t)written;
    }
    ilea_reason(reason, "%s: allowed are %s", field->name, list);
}

void
ilea_put_builder_explain(const struct ilea_field *field, enum ilea_error error, char *reason)
{
    bool is_limit = error == ILEA_ERROR_LIMIT;
    if (is_limit && field->kind == ILEA_KIND_UINT) {
        ilea_reason(reason, "%s: at most %u", field->name, field->limit);
    } else if (is_limit && field->kind == ILEA_KIND_STRUCT) {
        ilea_reason(reason, "%s: a part is longer than %u bytes, or all together than %u",
                    field->name, field->limit, (unsigned)ILEA_KEY_SIZE_MAX);
    } else if (is_limit) {
        ilea_reason(reason, "%s: longer than %u bytes", field->name, field->limit);
    } else if (field->codes != NULL) {
        reason_of_codes(field, reason);
    } else if (field->merge == ILEA_MERGE_KEYED && field->kind == ILEA_KIND_TEXT) {
        ilea_reason(reason, "%s: needs a language, as %s.en, and a text", field->name, field->name);
    } else if (field->kind == ILEA_KIND_DATE) {
        ilea_reason(reason, "%s: not a day, as 2026-01-31", field->name);
    } else if (field->kind == ILEA_KIND_DECIMAL) {
        ilea_reason(reason, "%s: not a number, as 1234.5", field->name);
    } else if (field->kind == ILEA_KIND_ID) {
        ilea_reason(reason, "%s: not the id of a record", field->name);
    } else if (field->kind == ILEA_KIND_UINT) {
        ilea_reason(reason, "%s: not a whole number", field->name);
    } else {
        ilea_reason(reason, "%s: empty, or not of the right form", field->name);
    }
}

/* An entry of the put for the same field and key, other than ONLY. */
static const struct ilea_put_entry *
find_entry(const struct ilea_put *put, const struct ilea_put_entry *like)
{
    for (uint32_t i = put->entry_count; i > 0; i--) {
        const struct ilea_put_entry *entry = &put->entries[i - 1];
        if (entry->field != like->field) continue;
        if ((entry->action == ILEA_PUT_ONLY) != (like->action == ILEA_PUT_ONLY)) continue;
        if (is_equal(entry->key, like->key)) return entry;
    }
    return NULL;
}

static enum ilea_error
append_entry(struct ilea_put *put, const struct ilea_put_entry *entry, char *reason)
{
    if (put->entry_count == ILEA_PUT_ENTRIES_MAX) {
        ilea_reason(reason, "more than %u values in one record", (unsigned)ILEA_PUT_ENTRIES_MAX);
        return ILEA_ERROR_LIMIT;
    }
    put->entries[put->entry_count++] = *entry;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_put_builder_add(struct ilea_put_builder *builder, const struct ilea_field *field,
                     const struct ilea_put_entry *entry, char *reason)
{
    ilea_assert(entry->field == field->number);
    const struct ilea_put_entry *other = find_entry(builder->put, entry);
    if (other != NULL) {
        bool is_same = other->action == entry->action && is_equal(other->value, entry->value);
        if (is_same && ilea_field_has_key(field)) return ILEA_ERROR_NONE;
        ilea_reason(reason, "%s: given twice", field->name);
        return ILEA_ERROR_INVALID;
    }
    if (entry->action == ILEA_PUT_SET) {
        enum ilea_error error = ilea_field_check(field, entry->key, entry->value);
        if (error != ILEA_ERROR_NONE) {
            ilea_put_builder_explain(field, error, reason);
            return error;
        }
    }
    return append_entry(builder->put, entry, reason);
}

enum ilea_error
ilea_put_builder_add_unknown(struct ilea_put_builder *builder, const struct ilea_put_entry *entry,
                             char *reason)
{
    if (find_entry(builder->put, entry) != NULL) {
        ilea_reason(reason, "field %u: given twice", entry->field);
        return ILEA_ERROR_INVALID;
    }
    if (entry->key.size > ILEA_KEY_SIZE_MAX || entry->value.size > ILEA_VALUE_SIZE_MAX) {
        ilea_reason(reason, "field %u: too long", entry->field);
        return ILEA_ERROR_LIMIT;
    }
    return append_entry(builder->put, entry, reason);
}
