#include "node/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 1024 };

/* Whether this event may be written now; how many were left out before it. */
static bool
may_write(struct ilea_logger *logger, const char *event, uint64_t second, uint32_t *suppressed)
{
    *suppressed = 0;
    for (unsigned i = 0; i < ILEA_LOG_EVENTS; i++) {
        if (logger->rates[i].event == NULL) logger->rates[i].event = event;
        if (strcmp(logger->rates[i].event, event) != 0) continue;
        if (logger->rates[i].second != second) {
            logger->rates[i].second = second;
            logger->rates[i].count = 0;
        }
        if (++logger->rates[i].count > ILEA_LOG_BURST) {
            logger->rates[i].suppressed++;
            return false;
        }
        *suppressed = logger->rates[i].suppressed;
        logger->rates[i].suppressed = 0;
        return true;
    }
    return true;
}

static size_t
put_text(char *line, size_t at, const char *text)
{
    bool quote = text[0] == '\0' || strpbrk(text, " \"=\\") != NULL;
    if (quote && at < LINE_SIZE - 8) line[at++] = '"';
    for (; *text != '\0' && at < LINE_SIZE - 8; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') line[at++] = '\\';
        /* Bytes beyond ASCII too: a terminal takes some of them for commands. */
        line[at++] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
    }
    if (quote) line[at++] = '"';
    return at;
}

void
ilea_logger_write(struct ilea_logger *logger, enum ilea_level level, const char *event, ...)
{
    static const char *const names[] = { "error", "warning", "info" };
    struct timespec now;
    uint32_t suppressed;
    if (logger->is_silent) return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (!may_write(logger, event, (uint64_t)now.tv_sec, &suppressed)) return;

    char line[LINE_SIZE];
    struct tm utc;
    (void)gmtime_r(&now.tv_sec, &utc);
    size_t at = strftime(line, sizeof line, "time=%Y-%m-%dT%H:%M:%S", &utc);
    at += (size_t)snprintf(line + at, sizeof line - at, ".%03ldZ level=%s event=%s",
                           now.tv_nsec / 1000000, names[level], event);
    va_list pairs;
    va_start(pairs, event);
    for (const char *key; (key = va_arg(pairs, const char *)) != NULL && at < LINE_SIZE - 64;) {
        at += (size_t)snprintf(line + at, sizeof line - at, " %s=", key);
        at = put_text(line, at, va_arg(pairs, const char *));
    }
    va_end(pairs);
    if (suppressed > 0 && at < LINE_SIZE - 32) {
        at += (size_t)snprintf(line + at, sizeof line - at, " suppressed=%u", suppressed);
    }
    line[at++] = '\n';
    (void)!write(STDERR_FILENO, line, at); /* nowhere to report that the report failed */
}
