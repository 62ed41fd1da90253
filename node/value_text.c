#include "node/value_text.h"

#include <string.h>
#include <utf8proc.h>

#include "node/reason.h"
#include "replication/record/msgpack_reader.h"

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

struct ilea_span
ilea_value_text_trim(struct ilea_span text)
{
    while (text.size > 0 && text.data[0] == ' ') {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && text.data[text.size - 1] == ' ') text.size--;
    return text;
}

enum ilea_error
ilea_value_text_normalise(struct ilea_put_builder *builder, const struct ilea_field *field,
                          struct ilea_span *text, bool lines, char *reason)
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
    if (!lines) *text = ilea_value_text_trim(*text);
    return ILEA_ERROR_NONE;
}
