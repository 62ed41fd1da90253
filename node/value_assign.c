/* value_assign.c - field=value of the command line. */
#include <string.h>

#include "node/reason.h"
#include "node/value.h"
#include "node/value_text.h"

static bool
span_is(struct ilea_span span, const char *text)
{
    return span.size == strlen(text) && memcmp(span.data, text, span.size) == 0;
}

/* Cut *rest at the first `separator` that no backslash takes; false when there is nothing left. */
static bool
next_piece(struct ilea_span *rest, char separator, struct ilea_span *piece)
{
    if (rest->data == NULL) return false;
    size_t size = 0;
    while (size < rest->size && rest->data[size] != (uint8_t)separator) {
        size += rest->data[size] == '\\' && size + 1 < rest->size ? 2 : 1;
    }
    *piece = (struct ilea_span){ rest->data, size };
    if (size == rest->size) {
        *rest = (struct ilea_span){ NULL, 0 };
    } else {
        *rest = (struct ilea_span){ rest->data + size + 1, rest->size - size - 1 };
    }
    return true;
}

/* The piece without its backslashes, in the arena. */
static enum ilea_error
unescape(struct ilea_put_builder *builder, struct ilea_span *piece, char *reason)
{
    if (piece->size == 0 || memchr(piece->data, '\\', piece->size) == NULL) return ILEA_ERROR_NONE;
    if (piece->size > ILEA_BUILDER_ARENA_SIZE - builder->arena_used) {
        ilea_reason(reason, "the record is too large");
        return ILEA_ERROR_LIMIT;
    }
    uint8_t *to = builder->arena + builder->arena_used;
    size_t size = 0;
    for (size_t i = 0; i < piece->size; i++) {
        if (piece->data[i] == '\\' && i + 1 < piece->size) i++;
        to[size++] = piece->data[i];
    }
    builder->arena_used += size;
    *piece = (struct ilea_span){ to, size };
    return ILEA_ERROR_NONE;
}

/* part=value,part=value */
static enum ilea_error
encode_parts_text(struct ilea_put_builder *builder, const struct ilea_field *field,
                  struct ilea_span rest, struct ilea_span *encoded, char *reason)
{
    struct ilea_span parts[ILEA_PARTS_MAX] = { { NULL, 0 } };
    struct ilea_span piece;
    while (next_piece(&rest, ',', &piece)) {
        struct ilea_span value = piece, name;
        (void)next_piece(&value, '=', &name);
        name = ilea_value_text_trim(name);
        int index = 0;
        while (field->parts[index] != NULL && !span_is(name, field->parts[index])) index++;
        if (field->parts[index] == NULL || value.data == NULL) {
            ilea_reason(reason, "%s: '%.*s' is not part=value; parts are %s, ...", field->name,
                        (int)(piece.size < 60 ? piece.size : 60), (const char *)piece.data,
                        field->parts[0]);
            return ILEA_ERROR_INVALID;
        }
        enum ilea_error error = unescape(builder, &value, reason);
        if (error != ILEA_ERROR_NONE) return error;
        parts[index] = value;
    }
    return ilea_value_from_parts(builder, field, parts, encoded, reason);
}

/* Elements to set or to remove. */
static enum ilea_error
assign_elements(struct ilea_put_builder *builder, const struct ilea_field *field,
                enum ilea_put_action action, struct ilea_span rest, char *reason)
{
    bool has_parts = field->kind == ILEA_KIND_STRUCT;
    struct ilea_span piece, encoded;
    while (next_piece(&rest, has_parts ? ';' : ',', &piece)) {
        enum ilea_error error = ILEA_ERROR_NONE;
        if (has_parts) {
            error = encode_parts_text(builder, field, piece, &encoded, reason);
        } else {
            error = unescape(builder, &piece, reason);
            if (error != ILEA_ERROR_NONE) return error;
            error = ilea_value_from_text(builder, field, piece, &encoded, reason);
        }
        if (error != ILEA_ERROR_NONE) return error;
        if (action == ILEA_PUT_SET) {
            error = ilea_value_put_encoded(builder, field, encoded, reason);
        } else {
            struct ilea_put_entry entry = { .field = field->number, .action = action,
                                            .key = encoded };
            error = ilea_put_builder_add(builder, field, &entry, reason);
        }
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
assign_keyed(struct ilea_put_builder *builder, const struct ilea_field *field,
             struct ilea_span name, struct ilea_span value, char *reason)
{
    if (field->merge != ILEA_MERGE_KEYED) {
        ilea_reason(reason, "%s: has no keys; write %s=", field->name, field->name);
        return ILEA_ERROR_INVALID;
    }
    uint8_t last = name.size > 0 ? name.data[name.size - 1] : 0;
    if (last == '+' || last == '-') { /* somebody means a list, not a key of that name */
        ilea_reason(reason, "%s: a key holds one text: write %s.%.*s=", field->name, field->name,
                    (int)(name.size - 1 < 60 ? name.size - 1 : 60), (const char *)name.data);
        return ILEA_ERROR_INVALID;
    }
    if (value.size == 0) return ilea_value_remove_keyed(builder, field, name, reason);
    struct ilea_span encoded;
    enum ilea_error error = ilea_value_from_text(builder, field, value, &encoded, reason);
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_value_put_keyed(builder, field, name, encoded, reason);
}

static enum ilea_error
assign_whole(struct ilea_put_builder *builder, const struct ilea_field *field,
             struct ilea_span value, char *reason)
{
    if (value.size == 0) return ilea_value_put_nothing(builder, field, reason);
    if (field->merge == ILEA_MERGE_KEYED) {
        ilea_reason(reason, "%s: needs a key, as %s.%s=", field->name, field->name,
                    field->kind == ILEA_KIND_TEXT ? "en" : "name");
        return ILEA_ERROR_INVALID;
    }
    if (ilea_field_has_key(field)) {
        enum ilea_error error = ilea_value_put_only(builder, field, reason);
        if (error != ILEA_ERROR_NONE) return error;
        return assign_elements(builder, field, ILEA_PUT_SET, value, reason);
    }
    struct ilea_span encoded;
    enum ilea_error error = field->kind == ILEA_KIND_STRUCT
        ? encode_parts_text(builder, field, value, &encoded, reason)
        : ilea_value_from_text(builder, field, value, &encoded, reason);
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_value_put_encoded(builder, field, encoded, reason);
}

enum ilea_error
ilea_value_assign(struct ilea_put_builder *builder, const struct ilea_type *type, const char *text,
                  char *reason)
{
    size_t name_size = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
    const char *equals = strchr(text + name_size, '=');
    char next = text[name_size];
    bool is_step = (next == '+' || next == '-') && text[name_size + 1] == '=';
    if (equals == NULL || (next != '=' && next != '.' && !is_step)) {
        ilea_reason(reason, "'%.60s' is not field=value", text);
        return ILEA_ERROR_INVALID;
    }
    struct ilea_span name = { (const uint8_t *)text, name_size };
    const struct ilea_field *field = ilea_field_by_name(type, name);
    if (field == NULL) {
        ilea_reason(reason, "%s has no field '%.*s'", type != NULL ? type->name : "this type",
                    (int)(name_size < 60 ? name_size : 60), text);
        return ILEA_ERROR_INVALID;
    }
    if ((field->flags & ILEA_FIELD_INTERNAL) != 0) {
        ilea_reason(reason, "%s: set by the node alone", field->name);
        return ILEA_ERROR_INVALID;
    }
    if ((field->flags & ILEA_FIELD_ATTACHED) != 0) {
        ilea_reason(reason, "%s: written by ilea attach and ilea detach", field->name);
        return ILEA_ERROR_INVALID;
    }
    struct ilea_span value = { (const uint8_t *)equals + 1, strlen(equals + 1) };
    if (next == '=') return assign_whole(builder, field, value, reason);
    if (next == '.') {
        const char *key = text + name_size + 1;
        struct ilea_span key_name = { (const uint8_t *)key, (size_t)(equals - key) };
        return assign_keyed(builder, field, key_name, value, reason);
    }
    if (!ilea_field_has_key(field) || field->merge == ILEA_MERGE_KEYED) {
        ilea_reason(reason, "%s: not a set; write %s=", field->name, field->name);
        return ILEA_ERROR_INVALID;
    }
    enum ilea_put_action action = next == '+' ? ILEA_PUT_SET : ILEA_PUT_REMOVE;
    return assign_elements(builder, field, action, value, reason);
}
