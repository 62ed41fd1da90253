/*
 * log.h - one event a line on stderr: `time=... level=info event=session_ready peer=FR-PN`.
 *
 * Values are printed between quotes where they hold blanks; control characters and quotes are escaped, so
 * that nothing a peer chose can forge a line. No keys, no texts of records. An event repeated within a
 * second more than a few times is counted instead (suppressed=N on its next line).
 *
 * Threads: one log, one thread.
 */
#ifndef ILEA_NODE_LOG_H
#define ILEA_NODE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "include/ilea/error.h"

enum ilea_level { ILEA_LEVEL_ERROR, ILEA_LEVEL_WARNING, ILEA_LEVEL_INFO };

enum { ILEA_LOG_EVENTS = 32, ILEA_LOG_BURST = 20 };

struct ilea_logger {
    bool is_silent; /* of a command, which says itself what happened */
    struct { const char *event; uint64_t second; uint32_t count, suppressed; } rates[ILEA_LOG_EVENTS];
};

/* `event` is a literal; then pairs of literal key and text value, ended by NULL. */
void ilea_logger_write(struct ilea_logger *logger, enum ilea_level level, const char *event, ...)
    __attribute__((sentinel));

#endif
