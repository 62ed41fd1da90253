#include "node/value.h"

#include <string.h>

#include "crypto/assert.h"
#include "node/reason.h"
#include "node/value_text.h"
#include "replication/record/uuid.h"

static const struct ilea_span nothing = { NULL, 0 };
static const uint8_t present_byte = 1; /* the value of an element of a set: uint 1 */
static const struct ilea_span present = { &present_byte, 1 };

static enum ilea_error
normalise_line(struct ilea_put_builder *builder, const struct ilea_field *field,
               struct ilea_span *text, char *reason)
{
    return ilea_value_text_normalise(builder, field, text, false, reason);
}

enum ilea_error
ilea_value_put_encoded(struct ilea_put_builder *builder, const struct ilea_field *field,
                       struct ilea_span encoded, char *reason)
{
    ilea_assert(field->merge != ILEA_MERGE_KEYED);
    bool is_set = ilea_field_has_key(field);
    struct ilea_put_entry entry = { .field = field->number, .action = ILEA_PUT_SET,
                                    .key = is_set ? encoded : nothing,
                                    .value = is_set ? present : encoded };
    return ilea_put_builder_add(builder, field, &entry, reason);
}

static enum ilea_error
encode_name(struct ilea_put_builder *builder, const struct ilea_field *field, struct ilea_span name,
            struct ilea_span *key, char *reason)
{
    enum ilea_error error = normalise_line(builder, field, &name, reason);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_msgpack_writer writer = ilea_put_builder_writer(builder);
    ilea_msgpack_put_str(&writer, name);
    return ilea_put_builder_keep(builder, &writer, key, reason);
}

enum ilea_error
ilea_value_put_keyed(struct ilea_put_builder *builder, const struct ilea_field *field,
                     struct ilea_span name, struct ilea_span encoded, char *reason)
{
    ilea_assert(field->merge == ILEA_MERGE_KEYED);
    struct ilea_put_entry entry = { .field = field->number, .action = ILEA_PUT_SET,
                                    .value = encoded };
    enum ilea_error error = encode_name(builder, field, name, &entry.key, reason);
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_put_builder_add(builder, field, &entry, reason);
}

enum ilea_error
ilea_value_remove_keyed(struct ilea_put_builder *builder, const struct ilea_field *field,
                        struct ilea_span name, char *reason)
{
    struct ilea_put_entry entry = { .field = field->number, .action = ILEA_PUT_REMOVE };
    enum ilea_error error = encode_name(builder, field, name, &entry.key, reason);
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_put_builder_add(builder, field, &entry, reason);
}

enum ilea_error
ilea_value_put_only(struct ilea_put_builder *builder, const struct ilea_field *field, char *reason)
{
    struct ilea_put_entry entry = { .field = field->number, .action = ILEA_PUT_ONLY };
    return ilea_put_builder_add(builder, field, &entry, reason);
}

enum ilea_error
ilea_value_put_nothing(struct ilea_put_builder *builder, const struct ilea_field *field,
                       char *reason)
{
    if (ilea_field_has_key(field)) return ilea_value_put_only(builder, field, reason);
    struct ilea_put_entry entry = { .field = field->number, .action = ILEA_PUT_REMOVE };
    return ilea_put_builder_add(builder, field, &entry, reason);
}

/* Leading and trailing zeros go, minus zero too; what is no number is left to the check. */
static struct ilea_span
trim_decimal(struct ilea_span text, char bytes[ILEA_SCALAR_SIZE])
{
    bool negative = text.size > 0 && text.data[0] == '-';
    struct ilea_span digits = text;
    if (negative) digits = (struct ilea_span){ text.data + 1, text.size - 1 };
    if (digits.size == 0 || digits.size >= ILEA_SCALAR_SIZE - 1) return text;
    while (digits.size > 1 && digits.data[0] == '0' && digits.data[1] != '.') {
        digits.data++;
        digits.size--;
    }
    if (memchr(digits.data, '.', digits.size) != NULL) {
        while (digits.data[digits.size - 1] == '0') digits.size--;
        if (digits.data[digits.size - 1] == '.') digits.size--;
    }
    if (digits.size == 0) return text;
    bool is_zero = digits.size == 1 && digits.data[0] == '0';
    if (!negative || is_zero) return digits;
    bytes[0] = '-';
    memcpy(bytes + 1, digits.data, digits.size);
    return (struct ilea_span){ (uint8_t *)bytes, digits.size + 1 };
}

static enum ilea_error
encode_uint(struct ilea_put_builder *builder, const struct ilea_field *field, struct ilea_span text,
            struct ilea_span *encoded, char *reason)
{
    uint64_t number = 0;
    bool bad = text.size == 0 || text.size > 10; /* UINT32_MAX has ten digits */
    for (size_t i = 0; i < text.size && !bad; i++) {
        bad = text.data[i] < '0' || text.data[i] > '9';
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (bad) {
        ilea_put_builder_explain(field, ILEA_ERROR_INVALID, reason);
        return ILEA_ERROR_INVALID;
    }
    struct ilea_msgpack_writer writer = ilea_put_builder_writer(builder);
    ilea_msgpack_put_uint(&writer, number);
    return ilea_put_builder_keep(builder, &writer, encoded, reason);
}

static enum ilea_error
encode_id(struct ilea_put_builder *builder, const struct ilea_field *field, struct ilea_span text,
          struct ilea_span *encoded, char *reason)
{
    struct ilea_record_id id;
    if (!ilea_uuid_parse(text, &id)) {
        enum ilea_error error = ILEA_ERROR_NOT_FOUND;
        if (builder->resolve != NULL) error = builder->resolve(builder->resolve_context, text, &id);
        if (error != ILEA_ERROR_NONE) {
            ilea_reason(reason, "%s: no record '%.*s'", field->name,
                        (int)(text.size < 60 ? text.size : 60), (const char *)text.data);
            return ILEA_ERROR_INVALID;
        }
    }
    struct ilea_msgpack_writer writer = ilea_put_builder_writer(builder);
    ilea_msgpack_put_bin(&writer, id.bytes, sizeof id.bytes);
    return ilea_put_builder_keep(builder, &writer, encoded, reason);
}

enum ilea_error
ilea_value_from_text(struct ilea_put_builder *builder, const struct ilea_field *field,
                     struct ilea_span text, struct ilea_span *encoded, char *reason)
{
    ilea_assert(field->kind != ILEA_KIND_STRUCT);
    bool lines = (field->flags & ILEA_FIELD_LINES) != 0 || field->kind == ILEA_KIND_EXTRA;
    enum ilea_error error = ilea_value_text_normalise(builder, field, &text, lines, reason);
    if (error != ILEA_ERROR_NONE) return error;
    if (field->kind == ILEA_KIND_UINT) return encode_uint(builder, field, text, encoded, reason);
    if (field->kind == ILEA_KIND_ID) return encode_id(builder, field, text, encoded, reason);

    char bytes[ILEA_SCALAR_SIZE];
    if (field->kind == ILEA_KIND_DECIMAL) text = trim_decimal(text, bytes);
    struct ilea_msgpack_writer writer = ilea_put_builder_writer(builder);
    ilea_msgpack_put_str(&writer, text);
    return ilea_put_builder_keep(builder, &writer, encoded, reason);
}

uint32_t
ilea_value_part_count(const struct ilea_field *field)
{
    uint32_t count = 0;
    while (field->parts[count] != NULL) count++;
    return count;
}

int
ilea_value_part_index(const struct ilea_field *field, const char *name)
{
    for (int i = 0; field->parts[i] != NULL; i++) {
        if (strcmp(field->parts[i], name) == 0) return i;
    }
    return -1;
}

enum ilea_error
ilea_value_from_parts(struct ilea_put_builder *builder, const struct ilea_field *field,
                      const struct ilea_span *parts, struct ilea_span *encoded, char *reason)
{
    uint32_t count = ilea_value_part_count(field);
    struct ilea_msgpack_writer writer = ilea_put_builder_writer(builder);
    ilea_msgpack_put_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_span text = parts[i];
        enum ilea_error error = normalise_line(builder, field, &text, reason);
        if (error != ILEA_ERROR_NONE) return error;
        ilea_msgpack_put_str(&writer, text);
    }
    return ilea_put_builder_keep(builder, &writer, encoded, reason);
}
