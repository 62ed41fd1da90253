/* value_json.c - JSON in and out; also of fields that are not in the tables. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/reason.h"
#include "node/value.h"
#include "node/value_text.h"
#include "replication/record/limits.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/document.h"
#include "replication/record/uuid.h"

static const char *
type_name(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    case JSON_NULL: return "null";
    }
    return "?";
}

static enum ilea_error
wrong_type(const struct ilea_field *field, const json_t *json, char *reason)
{
    ilea_reason(reason, "%s: cannot be %s", field->name, type_name(json));
    return ILEA_ERROR_INVALID;
}

static struct ilea_span
string_span(const json_t *string)
{
    return (struct ilea_span){ (const uint8_t *)json_string_value(string),
                               json_string_length(string) };
}

/* Hundredths as text, without trailing zeros; returns how many bytes. */
static size_t
print_hundredths(int64_t hundredths, char bytes[ILEA_SCALAR_SIZE])
{
    uint64_t size = hundredths < 0 ? 0 - (uint64_t)hundredths : (uint64_t)hundredths;
    unsigned cents = (unsigned)(size % 100);
    const char *sign = hundredths < 0 ? "-" : "";
    unsigned long long whole = size / 100;
    int written = 0;
    if (cents == 0) {
        written = snprintf(bytes, ILEA_SCALAR_SIZE, "%s%llu", sign, whole);
    } else if (cents % 10 == 0) {
        written = snprintf(bytes, ILEA_SCALAR_SIZE, "%s%llu.%u", sign, whole, cents / 10);
    } else {
        written = snprintf(bytes, ILEA_SCALAR_SIZE, "%s%llu.%02u", sign, whole, cents);
    }
    return (size_t)written;
}

static const double hundredths_max = 1e15; /* doubles count them exactly up to here */

/* Shortest text that reads back as the same number; most amounts have at most two decimals. */
static size_t
print_real(double real, char bytes[ILEA_SCALAR_SIZE])
{
    if (fabs(real) < hundredths_max / 100) {
        int64_t hundredths = llround(real * 100);
        if ((double)hundredths / 100 == real) return print_hundredths(hundredths, bytes);
    }
    int written = snprintf(bytes, ILEA_SCALAR_SIZE, "%.15g", real);
    if (strtod(bytes, NULL) != real) written = snprintf(bytes, ILEA_SCALAR_SIZE, "%.17g", real);
    for (int i = 0; i < written; i++) { /* the locale's decimal sign */
        if (bytes[i] == ',') bytes[i] = '.';
    }
    return (size_t)written;
}

bool
ilea_value_scalar(const json_t *json, char bytes[ILEA_SCALAR_SIZE], struct ilea_span *text)
{
    size_t size = 0;
    switch (json_typeof(json)) {
    case JSON_STRING: *text = string_span(json); return true;
    case JSON_INTEGER:
        size = (size_t)snprintf(bytes, ILEA_SCALAR_SIZE, "%" JSON_INTEGER_FORMAT,
                                json_integer_value(json));
        break;
    case JSON_REAL: size = print_real(json_real_value(json), bytes); break;
    case JSON_TRUE: *text = (struct ilea_span){ (const uint8_t *)"true", 4 }; return true;
    case JSON_FALSE: *text = (struct ilea_span){ (const uint8_t *)"false", 5 }; return true;
    case JSON_OBJECT:
    case JSON_ARRAY:
    case JSON_NULL: return false;
    }
    *text = (struct ilea_span){ (const uint8_t *)bytes, size };
    return true;
}

static enum ilea_error
encode_decimal(struct ilea_put_builder *builder, const struct ilea_field *field,
               const json_t *number, struct ilea_span *encoded, char *reason)
{
    char bytes[ILEA_SCALAR_SIZE];
    struct ilea_span text;
    if (json_is_integer(number)) {
        (void)ilea_value_scalar(number, bytes, &text);
    } else {
        double real = json_real_value(number);
        if (!(fabs(real) < hundredths_max / 100)) {
            ilea_reason(reason, "%s: too large for a number; write it as a string", field->name);
            return ILEA_ERROR_INVALID;
        }
        size_t size = print_hundredths(llround(real * 100), bytes);
        text = (struct ilea_span){ (uint8_t *)bytes, size };
    }
    return ilea_value_from_text(builder, field, text, encoded, reason);
}

static enum ilea_error
encode_extra_array(struct ilea_put_builder *builder, const struct ilea_field *field,
                   const json_t *array, struct ilea_span *encoded, char *reason)
{
    size_t count = json_array_size(array);
    struct ilea_msgpack_writer writer = ilea_put_builder_writer(builder);
    if (count > ILEA_VALUE_SIZE_MAX) writer.failed = true;
    ilea_msgpack_put_array(&writer, (uint32_t)count);
    for (size_t i = 0; i < count && !writer.failed; i++) {
        char bytes[ILEA_SCALAR_SIZE];
        struct ilea_span text;
        const json_t *element = json_array_get(array, i);
        if (!ilea_value_scalar(element, bytes, &text)) return wrong_type(field, element, reason);
        enum ilea_error error = ilea_value_text_normalise(builder, field, &text, true, reason);
        if (error != ILEA_ERROR_NONE) return error;
        ilea_msgpack_put_str(&writer, text);
    }
    return ilea_put_builder_keep(builder, &writer, encoded, reason);
}

/* jansson's iterators do not change what they walk, but are not const. */
static json_t *
walkable(const json_t *object)
{
    union { const json_t *in; json_t *out; } cast = { .in = object };
    return cast.out;
}

static enum ilea_error
encode_parts_json(struct ilea_put_builder *builder, const struct ilea_field *field,
                  const json_t *object, struct ilea_span *encoded, char *reason)
{
    struct ilea_span parts[ILEA_PARTS_MAX] = { { NULL, 0 } };
    char bytes[ILEA_PARTS_MAX][ILEA_SCALAR_SIZE];
    json_t *members = walkable(object);
    void *at = json_object_iter(members);
    for (; at != NULL; at = json_object_iter_next(members, at)) {
        int index = ilea_value_part_index(field, json_object_iter_key(at));
        if (index < 0) {
            ilea_reason(reason, "%s: has no part '%.60s'", field->name, json_object_iter_key(at));
            return ILEA_ERROR_INVALID;
        }
        const json_t *value = json_object_iter_value(at);
        if (json_is_null(value)) continue;
        if (!ilea_value_scalar(value, bytes[index], &parts[index])) {
            return wrong_type(field, value, reason);
        }
    }
    return ilea_value_from_parts(builder, field, parts, encoded, reason);
}

enum ilea_error
ilea_value_from_json(struct ilea_put_builder *builder, const struct ilea_field *field,
                     const json_t *json, struct ilea_span *encoded, char *reason)
{
    char bytes[ILEA_SCALAR_SIZE];
    struct ilea_span text;
    enum ilea_kind kind = field->kind;
    if (kind == ILEA_KIND_STRUCT) {
        if (!json_is_object(json)) return wrong_type(field, json, reason);
        return encode_parts_json(builder, field, json, encoded, reason);
    }
    if (json_is_string(json)) {
        return ilea_value_from_text(builder, field, string_span(json), encoded, reason);
    }
    if (kind == ILEA_KIND_DECIMAL && json_is_number(json)) {
        return encode_decimal(builder, field, json, encoded, reason);
    }
    if (kind == ILEA_KIND_EXTRA && json_is_array(json)) {
        return encode_extra_array(builder, field, json, encoded, reason);
    }
    bool takes = kind == ILEA_KIND_EXTRA || (kind == ILEA_KIND_UINT && json_is_integer(json));
    if (!takes || !ilea_value_scalar(json, bytes, &text)) return wrong_type(field, json, reason);
    return ilea_value_from_text(builder, field, text, encoded, reason);
}

static enum ilea_error
put_json_object(struct ilea_put_builder *builder, const struct ilea_field *field,
                const json_t *object, char *reason)
{
    json_t *members = walkable(object);
    void *at = json_object_iter(members);
    for (; at != NULL; at = json_object_iter_next(members, at)) {
        const json_t *value = json_object_iter_value(at);
        if (json_is_null(value)) continue;
        struct ilea_span name = { (const uint8_t *)json_object_iter_key(at),
                                  json_object_iter_key_len(at) };
        struct ilea_span encoded;
        enum ilea_error error = ilea_value_from_json(builder, field, value, &encoded, reason);
        if (error != ILEA_ERROR_NONE) return error;
        error = ilea_value_put_keyed(builder, field, name, encoded, reason);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_value_put_json(struct ilea_put_builder *builder, const struct ilea_field *field,
                    const json_t *json, char *reason)
{
    if (json_is_null(json)) return ilea_value_put_nothing(builder, field, reason);
    struct ilea_span encoded;
    if (!ilea_field_has_key(field)) {
        enum ilea_error error = ilea_value_from_json(builder, field, json, &encoded, reason);
        if (error != ILEA_ERROR_NONE) return error;
        return ilea_value_put_encoded(builder, field, encoded, reason);
    }
    bool is_keyed = field->merge == ILEA_MERGE_KEYED;
    if (is_keyed ? !json_is_object(json) : !json_is_array(json)) {
        return wrong_type(field, json, reason);
    }
    enum ilea_error error = ilea_value_put_only(builder, field, reason);
    if (error != ILEA_ERROR_NONE) return error;
    if (is_keyed) return put_json_object(builder, field, json, reason);
    for (size_t i = 0; i < json_array_size(json); i++) {
        error = ilea_value_from_json(builder, field, json_array_get(json, i), &encoded, reason);
        if (error != ILEA_ERROR_NONE) return error;
        error = ilea_value_put_encoded(builder, field, encoded, reason);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

/* ---- values of fields that are not in the tables ---- */

static int
hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

/* {"$bin": hex} */
static bool
put_generic_bin(struct ilea_msgpack_writer *writer, struct ilea_put_builder *builder,
                struct ilea_span hex)
{
    if (hex.size % 2 != 0 || hex.size / 2 > ILEA_BUILDER_TEXT_MAX) return false;
    for (size_t i = 0; i < hex.size / 2; i++) {
        int high = hex_digit(hex.data[2 * i]), low = hex_digit(hex.data[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        builder->text[i] = (uint8_t)(high << 4 | low);
    }
    ilea_msgpack_put_bin(writer, builder->text, hex.size / 2);
    return true;
}

/* {"$uint": digits} */
static bool
put_generic_uint(struct ilea_msgpack_writer *writer, struct ilea_span digits)
{
    uint64_t number = 0;
    if (digits.size == 0) return false;
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') return false;
        if (__builtin_mul_overflow(number, 10, &number)) return false;
        if (__builtin_add_overflow(number, (uint64_t)(digits.data[i] - '0'), &number)) return false;
    }
    ilea_msgpack_put_uint(writer, number);
    return true;
}

static bool
put_generic(struct ilea_msgpack_writer *writer, struct ilea_put_builder *builder,
            const json_t *json, uint32_t depth_max)
{
    if (json_is_string(json)) {
        struct ilea_span text = string_span(json);
        if (!ilea_text_is_valid(text)) return false;
        ilea_msgpack_put_str(writer, text);
        return true;
    }
    if (json_is_integer(json)) {
        if (json_integer_value(json) < 0) return false;
        ilea_msgpack_put_uint(writer, (uint64_t)json_integer_value(json));
        return true;
    }
    if (json_is_object(json) && json_object_size(json) == 1) {
        const json_t *bin = json_object_get(json, "$bin"), *uint = json_object_get(json, "$uint");
        if (json_is_string(bin)) return put_generic_bin(writer, builder, string_span(bin));
        return json_is_string(uint) && put_generic_uint(writer, string_span(uint));
    }
    if (!json_is_array(json) || depth_max == 0) return false;
    size_t count = json_array_size(json);
    if (count > ILEA_VALUE_SIZE_MAX) return false;
    ilea_msgpack_put_array(writer, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        if (!put_generic(writer, builder, json_array_get(json, i), depth_max - 1)) return false;
    }
    return true;
}

enum ilea_error
ilea_value_from_generic(struct ilea_put_builder *builder, const json_t *json,
                        struct ilea_span *encoded, char *reason)
{
    struct ilea_msgpack_writer writer = ilea_put_builder_writer(builder);
    if (!put_generic(&writer, builder, json, ILEA_VALUE_DEPTH_MAX)) {
        ilea_reason(reason, "a value of an unknown field cannot be this");
        return ILEA_ERROR_INVALID;
    }
    enum ilea_error error = ilea_put_builder_keep(builder, &writer, encoded, reason);
    if (error == ILEA_ERROR_NONE && encoded->size > ILEA_VALUE_SIZE_MAX) {
        ilea_reason(reason, "a value is longer than %u bytes", (unsigned)ILEA_VALUE_SIZE_MAX);
        error = ILEA_ERROR_LIMIT;
    }
    return error;
}

/* ---- JSON out ---- */

static json_t *
bin_to_json(struct ilea_span bin)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = malloc(2 * bin.size + 1);
    if (hex == NULL) return NULL;
    for (size_t i = 0; i < bin.size; i++) {
        hex[2 * i] = digits[bin.data[i] >> 4];
        hex[2 * i + 1] = digits[bin.data[i] & 15];
    }
    json_t *json = json_pack("{s:s%}", "$bin", hex, 2 * bin.size);
    free(hex);
    return json;
}

static json_t *
uint_to_json(uint64_t number)
{
    if (number <= INT64_MAX) return json_integer((json_int_t)number);
    char digits[ILEA_SCALAR_SIZE];
    (void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    return json_pack("{s:s}", "$uint", digits);
}

static json_t *
text_to_json(struct ilea_span text)
{
    return json_stringn_nocheck(text.size > 0 ? (const char *)text.data : "", text.size);
}

static json_t *
generic_to_json(struct ilea_msgpack_reader *reader, uint32_t depth_max)
{
    if (reader->left == 0) return json_null();
    uint8_t tag = reader->next[0];
    if (tag >= 0xc4 && tag <= 0xc6) return bin_to_json(ilea_msgpack_get_bin(reader, UINT32_MAX));
    if ((tag >= 0xa0 && tag <= 0xbf) || (tag >= 0xd9 && tag <= 0xdb)) {
        return text_to_json(ilea_msgpack_get_str(reader, UINT32_MAX));
    }
    if ((tag >= 0x90 && tag <= 0x9f) || tag == 0xdc || tag == 0xdd) {
        uint32_t count = depth_max > 0 ? ilea_msgpack_get_array(reader, UINT32_MAX) : 0;
        json_t *array = json_array();
        for (uint32_t i = 0; i < count && !reader->failed; i++) {
            if (json_array_append_new(array, generic_to_json(reader, depth_max - 1)) != 0) {
                json_decref(array);
                return NULL;
            }
        }
        return array;
    }
    return uint_to_json(ilea_msgpack_get_uint(reader));
}

static json_t *
parts_to_json(const struct ilea_field *field, struct ilea_msgpack_reader *reader)
{
    json_t *object = json_object();
    ilea_msgpack_expect_array(reader, ilea_value_part_count(field));
    for (uint32_t i = 0; field->parts[i] != NULL && !reader->failed; i++) {
        struct ilea_span part = ilea_msgpack_get_str(reader, UINT32_MAX);
        bool is_secret = (field->flags & ILEA_FIELD_ATTACHED) != 0 && i >= ILEA_DOCUMENT_PARTS_SHOWN;
        if (part.size == 0 || is_secret) continue;
        if (json_object_set_new_nocheck(object, field->parts[i], text_to_json(part)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

json_t *
ilea_value_to_json(const struct ilea_field *field, struct ilea_span value)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    if (field != NULL && field->kind == ILEA_KIND_ID) {
        struct ilea_record_id id;
        char text[ILEA_UUID_TEXT_SIZE];
        ilea_msgpack_get_bytes(&reader, id.bytes, sizeof id.bytes);
        if (ilea_msgpack_reader_done(&reader)) {
            ilea_uuid_print(&id, text);
            return json_stringn_nocheck(text, sizeof text - 1);
        }
    } else if (field != NULL && field->kind == ILEA_KIND_STRUCT) {
        json_t *object = parts_to_json(field, &reader);
        if (object == NULL || ilea_msgpack_reader_done(&reader)) return object;
        json_decref(object);
    }
    ilea_msgpack_reader_init(&reader, value);
    return generic_to_json(&reader, ILEA_VALUE_DEPTH_MAX);
}
