/*
 * value_text.h - text in the one form in which it is stored: NFC, with '\n' line ends. In one-line
 * text a line break or tab becomes a space, and spaces around it go; see value.h.
 */
#ifndef ILEA_NODE_VALUE_TEXT_H
#define ILEA_NODE_VALUE_TEXT_H

#include <stdbool.h>

#include "node/put_builder.h"

/*
 * Make *text what is stored: itself, or in the builder's buffers until the next text is
 * normalised. What is plain ASCII costs one look. `lines`: it may have more than one line.
 *   ILEA_ERROR_INVALID  not UTF-8, or control characters   ILEA_ERROR_LIMIT  too long
 */
ILEA_MUST_USE enum ilea_error ilea_value_text_normalise(struct ilea_put_builder *builder,
                                                        const struct ilea_field *field,
                                                        struct ilea_span *text, bool lines,
                                                        char *reason);

/* Without the spaces around it. */
struct ilea_span ilea_value_text_trim(struct ilea_span text);

#endif
