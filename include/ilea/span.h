/*
 * span.h - borrowed bytes.
 *
 * A span never owns what it points to. Whoever hands one out says how long
 * the bytes live; text in a span is UTF-8 and has no terminating NUL.
 */
#ifndef ILEA_SPAN_H
#define ILEA_SPAN_H

#include <stddef.h>
#include <stdint.h>

struct ilea_span {
    const uint8_t *data; /* NULL only if size is 0 */
    size_t size;         /* bytes */
};

#endif
