#include "node/reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "replication/record/limits.h"
#include "replication/record/msgpack_reader.h"

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
