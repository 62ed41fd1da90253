#include "node/value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "crypto/assert.h"
#include "replication/record/limits.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"
#include "replication/record/uuid.h"

static const struct ilea_span nothing = { NULL, 0 };
static const uint8_t present_byte = 1; /* the value of an element of a set: uint 1 */
static const struct ilea_span present = { &present_byte, 1 };

void
ilea_reason(char *reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(reason, ILEA_REASON_SIZE, format, arguments);
    va_end(arguments);
    size_t size = written < 0 ? 0 : strlen(reason);
    reason[size] = '\0';
    for (size_t i = 0; i < size; i++) { /* quoted input goes to terminals: no escape sequences */
        uint8_t byte = (uint8_t)reason[i];
        if (byte < 0x20 || byte == 0x7f) reason[i] = '?';
        if (byte == 0xc2 && (uint8_t)reason[i + 1] < 0xa0) reason[i] = reason[i + 1] = '?';
    }
    while (size > 0 && !ilea_text_is_valid((struct ilea_span){ (uint8_t *)reason, size })) {
        reason[--size] = '\0';
    }
}

/* ---- the builder ---- */

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

static struct ilea_msgpack_writer
arena_writer(struct ilea_put_builder *builder)
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, builder->arena + builder->arena_used,
                             ILEA_BUILDER_ARENA_SIZE - builder->arena_used);
    return writer;
}

/* Keep what the writer wrote. */
static enum ilea_error
arena_keep(struct ilea_put_builder *builder, const struct ilea_msgpack_writer *writer,
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

/* Why ilea_field_check() refused. */
static void
reason_of_check(const struct ilea_field *field, enum ilea_error error, char *reason)
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
            reason_of_check(field, error, reason);
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

static enum ilea_error normalise_line(struct ilea_put_builder *builder,
                                      const struct ilea_field *field, struct ilea_span *text,
                                      char *reason);

static enum ilea_error
encode_name(struct ilea_put_builder *builder, const struct ilea_field *field, struct ilea_span name,
            struct ilea_span *key, char *reason)
{
    enum ilea_error error = normalise_line(builder, field, &name, reason);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_msgpack_writer writer = arena_writer(builder);
    ilea_msgpack_put_str(&writer, name);
    return arena_keep(builder, &writer, key, reason);
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
ilea_value_put_only(struct ilea_put_builder *builder, const struct ilea_field *field, char *reason)
{
    struct ilea_put_entry entry = { .field = field->number, .action = ILEA_PUT_ONLY };
    return ilea_put_builder_add(builder, field, &entry, reason);
}

/* A register: no value. A field with keys: no key. */
static enum ilea_error
put_nothing(struct ilea_put_builder *builder, const struct ilea_field *field, char *reason)
{
    if (ilea_field_has_key(field)) return ilea_value_put_only(builder, field, reason);
    struct ilea_put_entry entry = { .field = field->number, .action = ILEA_PUT_REMOVE };
    return ilea_put_builder_add(builder, field, &entry, reason);
}

/* ---- text ---- */

/* True if the text is what normalising would make of it: printable ASCII, with lines if allowed. */
static bool
is_plain(struct ilea_span text, bool lines)
{
    const uint64_t high = UINT64_C(0x8080808080808080), ones = UINT64_C(0x0101010101010101);
    size_t at = 0;
    while (at < text.size) {
        if (text.size - at >= sizeof high) { /* eight bytes at a time */
            uint64_t word;
            memcpy(&word, text.data + at, sizeof word);
            uint64_t below_space = (word - ones * 0x20) & ~word;
            uint64_t flipped = word ^ (ones * 0x7f), is_del = (flipped - ones) & ~flipped;
            if (((word | below_space | is_del) & high) == 0) {
                at += sizeof word;
                continue;
            }
        }
        uint8_t byte = text.data[at++];
        bool is_break = byte == '\n' || byte == '\t';
        if (is_break ? !lines : byte < 0x20 || byte >= 0x7f) return false;
    }
    return true;
}

/*
 * True if valid UTF-8 is in NFC for certain: nothing below U+0300 composes or
 * moves, nor do the dashes and quotation marks U+2002 to U+203F.
 */
static bool
is_surely_nfc(struct ilea_span text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte < 0xcc) continue;
        if (byte != 0xe2 || text.data[i + 1] != 0x80 || text.data[i + 2] < 0x82) return false;
        i += 2;
    }
    return true;
}

static void
reason_of_bytes(const struct ilea_field *field, struct ilea_span text, char *reason)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned byte = text.data[i], next = i + 1 < text.size ? text.data[i + 1] : 0;
        bool is_c0 = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f;
        bool is_c1 = byte == 0xc2 && next >= 0x80 && next < 0xa0;
        if (is_c0 || is_c1) {
            ilea_reason(reason, "%s: control character U+%04X at byte %zu", field->name,
                        is_c0 ? byte : next, i);
            return;
        }
    }
    ilea_reason(reason, "%s: not valid UTF-8", field->name);
}

/* The text with '\n' line ends, or with none, in builder->text. */
static struct ilea_span
fold_breaks(struct ilea_put_builder *builder, struct ilea_span text, bool lines)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '\r') {
            if (i + 1 < text.size && text.data[i + 1] == '\n') continue;
            byte = '\n';
        }
        if (!lines && (byte == '\n' || byte == '\t')) byte = ' ';
        builder->text[size++] = byte;
    }
    return (struct ilea_span){ builder->text, size };
}

static struct ilea_span
trim(struct ilea_span text)
{
    while (text.size > 0 && text.data[0] == ' ') {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && text.data[text.size - 1] == ' ') text.size--;
    return text;
}

/*
 * *text as it is stored: itself, or in the builder's buffers until the next text
 * is normalised. What is plain ASCII costs one look.
 */
static enum ilea_error
normalise(struct ilea_put_builder *builder, const struct ilea_field *field, struct ilea_span *text,
          bool lines, char *reason)
{
    if (text->size > ILEA_BUILDER_TEXT_MAX) {
        ilea_reason(reason, "%s: longer than %u bytes", field->name, field->limit);
        return ILEA_ERROR_LIMIT;
    }
    if (!is_plain(*text, lines)) {
        *text = fold_breaks(builder, *text, lines);
        if (!ilea_text_is_valid(*text)) {
            reason_of_bytes(field, *text, reason);
            return ILEA_ERROR_INVALID;
        }
        if (!is_surely_nfc(*text)) {
            const utf8proc_option_t form = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
            utf8proc_ssize_t count = utf8proc_decompose(text->data, (utf8proc_ssize_t)text->size,
                                                        builder->codepoints,
                                                        2 * ILEA_BUILDER_TEXT_MAX, form);
            if (count >= 0 && count <= 2 * ILEA_BUILDER_TEXT_MAX) {
                count = utf8proc_reencode(builder->codepoints, count, form);
            } else {
                count = -1;
            }
            if (count < 0) {
                ilea_reason(reason, "%s: cannot be normalised", field->name);
                return ILEA_ERROR_INVALID;
            }
            *text = (struct ilea_span){ (const uint8_t *)builder->codepoints, (size_t)count };
        }
    }
    if (!lines) *text = trim(*text);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
normalise_line(struct ilea_put_builder *builder, const struct ilea_field *field,
               struct ilea_span *text, char *reason)
{
    return normalise(builder, field, text, false, reason);
}

static int
hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
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
        reason_of_check(field, ILEA_ERROR_INVALID, reason);
        return ILEA_ERROR_INVALID;
    }
    struct ilea_msgpack_writer writer = arena_writer(builder);
    ilea_msgpack_put_uint(&writer, number);
    return arena_keep(builder, &writer, encoded, reason);
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
    struct ilea_msgpack_writer writer = arena_writer(builder);
    ilea_msgpack_put_bin(&writer, id.bytes, sizeof id.bytes);
    return arena_keep(builder, &writer, encoded, reason);
}

enum ilea_error
ilea_value_from_text(struct ilea_put_builder *builder, const struct ilea_field *field,
                     struct ilea_span text, struct ilea_span *encoded, char *reason)
{
    ilea_assert(field->kind != ILEA_KIND_STRUCT);
    bool lines = (field->flags & ILEA_FIELD_LINES) != 0 || field->kind == ILEA_KIND_EXTRA;
    enum ilea_error error = normalise(builder, field, &text, lines, reason);
    if (error != ILEA_ERROR_NONE) return error;
    if (field->kind == ILEA_KIND_UINT) return encode_uint(builder, field, text, encoded, reason);
    if (field->kind == ILEA_KIND_ID) return encode_id(builder, field, text, encoded, reason);

    char bytes[ILEA_SCALAR_SIZE];
    if (field->kind == ILEA_KIND_DECIMAL) text = trim_decimal(text, bytes);
    struct ilea_msgpack_writer writer = arena_writer(builder);
    ilea_msgpack_put_str(&writer, text);
    return arena_keep(builder, &writer, encoded, reason);
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
    struct ilea_msgpack_writer writer = arena_writer(builder);
    ilea_msgpack_put_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_span text = parts[i];
        enum ilea_error error = normalise_line(builder, field, &text, reason);
        if (error != ILEA_ERROR_NONE) return error;
        ilea_msgpack_put_str(&writer, text);
    }
    return arena_keep(builder, &writer, encoded, reason);
}

/* ---- the command line ---- */

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
        *rest = nothing;
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
        name = trim(name);
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
        struct ilea_put_entry entry = { .field = field->number, .action = action, .key = encoded,
                                        .value = action == ILEA_PUT_SET ? present : nothing };
        error = ilea_put_builder_add(builder, field, &entry, reason);
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
    struct ilea_span encoded;
    if (value.size == 0) {
        struct ilea_put_entry entry = { .field = field->number, .action = ILEA_PUT_REMOVE };
        enum ilea_error error = encode_name(builder, field, name, &entry.key, reason);
        return error != ILEA_ERROR_NONE ? error
                                        : ilea_put_builder_add(builder, field, &entry, reason);
    }
    enum ilea_error error = ilea_value_from_text(builder, field, value, &encoded, reason);
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_value_put_keyed(builder, field, name, encoded, reason);
}

static enum ilea_error
assign_whole(struct ilea_put_builder *builder, const struct ilea_field *field,
             struct ilea_span value, char *reason)
{
    if (value.size == 0) return put_nothing(builder, field, reason);
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

/* ---- JSON in ---- */

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
    struct ilea_msgpack_writer writer = arena_writer(builder);
    if (count > ILEA_VALUE_SIZE_MAX) writer.failed = true;
    ilea_msgpack_put_array(&writer, (uint32_t)count);
    for (size_t i = 0; i < count && !writer.failed; i++) {
        char bytes[ILEA_SCALAR_SIZE];
        struct ilea_span text;
        const json_t *element = json_array_get(array, i);
        if (!ilea_value_scalar(element, bytes, &text)) return wrong_type(field, element, reason);
        enum ilea_error error = normalise(builder, field, &text, true, reason);
        if (error != ILEA_ERROR_NONE) return error;
        ilea_msgpack_put_str(&writer, text);
    }
    return arena_keep(builder, &writer, encoded, reason);
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
    if (json_is_null(json)) return put_nothing(builder, field, reason);
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
    struct ilea_msgpack_writer writer = arena_writer(builder);
    if (!put_generic(&writer, builder, json, ILEA_VALUE_DEPTH_MAX)) {
        ilea_reason(reason, "a value of an unknown field cannot be this");
        return ILEA_ERROR_INVALID;
    }
    enum ilea_error error = arena_keep(builder, &writer, encoded, reason);
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
        if (part.size == 0) continue;
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
