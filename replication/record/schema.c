#include "replication/record/schema.h"

#include <string.h>

#include "replication/record/limits.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/schema/types.h"

enum {
    EXTRA_NAME_LIMIT = 200, /* bytes of a key in x */
    ID_SIZE = 16,
    DATE_SIZE = 10,
    DECIMALS_MAX = 6
};

const struct ilea_type *const ilea_types[] = {
    &ilea_type_org,     &ilea_type_person,   &ilea_type_term,    &ilea_type_challenge,
    &ilea_type_need,    &ilea_type_item,     &ilea_type_project, &ilea_type_solution,
    &ilea_type_comment, &ilea_type_link,     &ilea_type_vouch,    NULL
};

/* First byte first: almost every comparison ends there. */
static bool
is_text(struct ilea_span span, const char *text)
{
    return span.size > 0 && span.data[0] == (uint8_t)text[0]
        && strncmp(text, (const char *)span.data, span.size) == 0 && text[span.size] == '\0';
}

const struct ilea_type *
ilea_type_by_number(uint32_t number)
{
    for (uint32_t i = 0; ilea_types[i] != NULL; i++) {
        if (ilea_types[i]->number == number) return ilea_types[i];
    }
    return NULL;
}

const struct ilea_type *
ilea_type_by_name(struct ilea_span name)
{
    for (uint32_t i = 0; ilea_types[i] != NULL; i++) {
        if (is_text(name, ilea_types[i]->name)) return ilea_types[i];
    }
    return NULL;
}

const struct ilea_type *
ilea_type_by_letter(char letter)
{
    for (uint32_t i = 0; ilea_types[i] != NULL; i++) {
        if (ilea_types[i]->letter == letter) return ilea_types[i];
    }
    return NULL;
}

static const struct ilea_field *
find_number(const struct ilea_field *fields, uint32_t number)
{
    for (; fields->number != 0; fields++) {
        if (fields->number == number) return fields;
    }
    return NULL;
}

static const struct ilea_field *
find_name(const struct ilea_field *fields, struct ilea_span name)
{
    for (; fields->number != 0; fields++) {
        if (is_text(name, fields->name)) return fields;
    }
    return NULL;
}

const struct ilea_field *
ilea_field_by_number(const struct ilea_type *type, uint32_t number)
{
    const struct ilea_field *field = NULL;
    if (number == 0) return NULL;
    if (type != NULL) field = find_number(type->fields, number);
    return field != NULL ? field : find_number(ilea_common_fields, number);
}

const struct ilea_field *
ilea_field_by_name(const struct ilea_type *type, struct ilea_span name)
{
    const struct ilea_field *field = NULL;
    if (type != NULL) field = find_name(type->fields, name);
    return field != NULL ? field : find_name(ilea_common_fields, name);
}

bool
ilea_field_has_key(const struct ilea_field *field)
{
    return field->merge == ILEA_MERGE_KEYED || field->merge == ILEA_MERGE_SET
        || field->merge == ILEA_MERGE_GROW;
}

static bool
is_one_line(struct ilea_span text)
{
    if (text.size == 0) return true;
    return memchr(text.data, '\n', text.size) == NULL && memchr(text.data, '\t', text.size) == NULL;
}

static enum ilea_error
check_size(struct ilea_span text, size_t limit)
{
    return text.size <= limit ? ILEA_ERROR_NONE : ILEA_ERROR_LIMIT;
}

static enum ilea_error
check_text(const struct ilea_field *field, struct ilea_span text)
{
    if (text.size == 0) return ILEA_ERROR_INVALID;
    if ((field->flags & ILEA_FIELD_LINES) == 0 && !is_one_line(text)) return ILEA_ERROR_INVALID;
    return check_size(text, field->limit);
}

static enum ilea_error
check_code(const struct ilea_field *field, struct ilea_span code)
{
    if (code.size == 0 || !is_one_line(code)) return ILEA_ERROR_INVALID;
    if (field->codes == NULL) return check_size(code, field->limit);
    for (const char *const *allowed = field->codes; *allowed != NULL; allowed++) {
        if (is_text(code, *allowed)) return ILEA_ERROR_NONE;
    }
    return ILEA_ERROR_INVALID;
}

static bool
is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static uint32_t
number_at(const uint8_t *digits, uint32_t count)
{
    uint32_t number = 0;
    for (uint32_t i = 0; i < count; i++) number = number * 10 + (uint32_t)(digits[i] - '0');
    return number;
}

/* YYYY-MM-DD in the Gregorian calendar, from year 1. */
static enum ilea_error
check_date(struct ilea_span date)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (date.size != DATE_SIZE) return ILEA_ERROR_INVALID;
    for (uint32_t i = 0; i < DATE_SIZE; i++) {
        bool is_dash = i == 4 || i == 7;
        if (is_dash ? date.data[i] != '-' : !is_digit(date.data[i])) return ILEA_ERROR_INVALID;
    }
    uint32_t year = number_at(date.data, 4), month = number_at(date.data + 5, 2);
    uint32_t day = number_at(date.data + 8, 2);
    if (year == 0 || month == 0 || month > 12 || day == 0) return ILEA_ERROR_INVALID;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    uint32_t day_max = month == 2 && leap ? 29 : days[month - 1];
    return day <= day_max ? ILEA_ERROR_NONE : ILEA_ERROR_INVALID;
}

/* One form of each number: no leading or trailing zeros, no minus zero. */
static enum ilea_error
check_decimal(const struct ilea_field *field, struct ilea_span decimal)
{
    const uint8_t *at = decimal.data, *end = decimal.data + decimal.size;
    bool negative = at < end && *at == '-';
    if (negative) at++;
    const uint8_t *whole = at;
    while (at < end && is_digit(*at)) at++;
    if (at == whole || (*whole == '0' && at - whole > 1)) return ILEA_ERROR_INVALID;
    if (at == end) {
        if (negative && *whole == '0') return ILEA_ERROR_INVALID;
        return check_size(decimal, field->limit);
    }
    if (*at++ != '.') return ILEA_ERROR_INVALID;
    const uint8_t *fraction = at;
    while (at < end && is_digit(*at)) at++;
    if (at != end || at == fraction || at - fraction > DECIMALS_MAX || at[-1] == '0') {
        return ILEA_ERROR_INVALID;
    }
    return check_size(decimal, field->limit);
}

static enum ilea_error
check_struct(const struct ilea_field *field, struct ilea_msgpack_reader *reader)
{
    uint32_t part_count = 0;
    while (field->parts[part_count] != NULL) part_count++;
    ilea_msgpack_expect_array(reader, part_count);
    bool empty = true;
    for (uint32_t i = 0; i < part_count; i++) {
        struct ilea_span part = ilea_msgpack_get_str(reader, ILEA_VALUE_SIZE_MAX);
        if (reader->failed || !is_one_line(part)) return ILEA_ERROR_INVALID;
        if (part.size > field->limit) return ILEA_ERROR_LIMIT;
        if (part.size > 0) empty = false;
    }
    return empty ? ILEA_ERROR_INVALID : ILEA_ERROR_NONE;
}

static enum ilea_error
check_extra(const struct ilea_field *field, struct ilea_msgpack_reader *reader)
{
    uint8_t tag = reader->left > 0 ? reader->next[0] : 0;
    bool is_array = (tag >= 0x90 && tag <= 0x9f) || tag == 0xdc || tag == 0xdd;
    uint32_t count = is_array ? ilea_msgpack_get_array(reader, ILEA_VALUE_SIZE_MAX) : 1;
    size_t left = field->limit;
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_span text = ilea_msgpack_get_str(reader, ILEA_VALUE_SIZE_MAX);
        if (reader->failed) return ILEA_ERROR_INVALID;
        if (text.size > left) return ILEA_ERROR_LIMIT;
        left -= text.size;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
check_str(const struct ilea_field *field, struct ilea_msgpack_reader *reader)
{
    struct ilea_span text = ilea_msgpack_get_str(reader, ILEA_VALUE_SIZE_MAX);
    if (reader->failed) return ILEA_ERROR_INVALID;
    if (field->kind == ILEA_KIND_TEXT) return check_text(field, text);
    if (field->kind == ILEA_KIND_CODE) return check_code(field, text);
    if (field->kind == ILEA_KIND_DATE) return check_date(text);
    return check_decimal(field, text);
}

/* One value by the field's kind, or one element of a set. */
static enum ilea_error
check_value(const struct ilea_field *field, struct ilea_span value)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    enum ilea_error error = ILEA_ERROR_NONE;
    uint8_t id[ID_SIZE];
    switch (field->kind) {
    case ILEA_KIND_TEXT:
    case ILEA_KIND_CODE:
    case ILEA_KIND_DATE:
    case ILEA_KIND_DECIMAL: error = check_str(field, &reader); break;
    case ILEA_KIND_UINT:
        if (ilea_msgpack_get_uint(&reader) > field->limit) error = ILEA_ERROR_LIMIT;
        break;
    case ILEA_KIND_ID: ilea_msgpack_get_bytes(&reader, id, sizeof id); break;
    case ILEA_KIND_STRUCT: error = check_struct(field, &reader); break;
    case ILEA_KIND_EXTRA: error = check_extra(field, &reader); break;
    }
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_INVALID;
}

/* A language tag by its letters (BCP 47 without its registry), or any one-line name. */
static enum ilea_error
check_name(const struct ilea_field *field, struct ilea_span key)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, key);
    struct ilea_span name = ilea_msgpack_get_str(&reader, ILEA_KEY_SIZE_MAX);
    if (!ilea_msgpack_reader_done(&reader) || name.size == 0) return ILEA_ERROR_INVALID;
    if (field->kind != ILEA_KIND_TEXT) {
        return is_one_line(name) ? check_size(name, EXTRA_NAME_LIMIT) : ILEA_ERROR_INVALID;
    }
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i], lower = byte | 0x20;
        bool letter = lower >= 'a' && lower <= 'z';
        if (!letter && (i == 0 || (byte != '-' && !is_digit(byte)))) return ILEA_ERROR_INVALID;
    }
    if (name.size < 2 || name.data[name.size - 1] == '-') return ILEA_ERROR_INVALID;
    return check_size(name, ILEA_LANG_LIMIT);
}

enum ilea_error
ilea_field_check(const struct ilea_field *field, struct ilea_span key, struct ilea_span value)
{
    if (key.size > ILEA_KEY_SIZE_MAX || value.size > ILEA_VALUE_SIZE_MAX) return ILEA_ERROR_LIMIT;
    if (!ilea_field_has_key(field)) {
        return key.size == 0 ? check_value(field, value) : ILEA_ERROR_INVALID;
    }
    if (field->merge == ILEA_MERGE_KEYED) {
        enum ilea_error error = check_name(field, key);
        return error != ILEA_ERROR_NONE ? error : check_value(field, value);
    }
    /* An element is its own key; its value says no more than that it is there. */
    if (value.size != 1 || value.data[0] != 1) return ILEA_ERROR_INVALID;
    return check_value(field, key);
}
