/*
 * jsonl.h - lines of a JSON Lines file, a gzip-compressed one (told by its
 * content, not its name), or standard input, in bounded memory.
 *
 * A bad line is an error of its own and reading goes on after it. Empty lines
 * are passed over but counted; a byte order mark and '\r' at line ends go.
 */
#ifndef ILEA_NODE_JSONL_H
#define ILEA_NODE_JSONL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "include/ilea/error.h"
#include "include/ilea/span.h"
#include "replication/record/limits.h"

enum { ILEA_JSONL_LINE_MAX = 1024 * 1024 };

/* Caller's memory; open/close. Threads: one. */
struct ilea_jsonl {
    void *file;            /* gzFile */
    uint8_t *buffer;
    size_t start, end;     /* what is read and not yet handed out */
    size_t searched;       /* from start: no line end in there */
    uint64_t line_number;  /* of the line handed out last, from 1 */
    bool is_over;          /* nothing more can be read */
    char failure[ILEA_REASON_SIZE]; /* why not, if that is not the end: said after the last line */
};

/* "-" is standard input. ILEA_ERROR_NOT_FOUND, _PERMISSION, _IO, _NO_MEMORY. */
ILEA_MUST_USE enum ilea_error ilea_jsonl_open(struct ilea_jsonl *input, const char *path,
                                              char *reason);
void ilea_jsonl_close(struct ilea_jsonl *input);

/*
 * The next line, without its end; borrowed until the next call. input->line_number says which.
 *   ILEA_ERROR_NOT_FOUND  the end
 *   ILEA_ERROR_LIMIT      a line over ILEA_JSONL_LINE_MAX, passed over; go on
 *   ILEA_ERROR_IO         unreadable or cut off here; nothing follows but the end
 */
ILEA_MUST_USE enum ilea_error ilea_jsonl_next(struct ilea_jsonl *input, struct ilea_span *line,
                                              char *reason);

/*
 * The next line as an object: gives a new reference. As ilea_jsonl_next(), and
 *   ILEA_ERROR_INVALID    not UTF-8, not JSON or not an object; go on
 */
ILEA_MUST_USE enum ilea_error ilea_jsonl_next_object(struct ilea_jsonl *input, json_t **object,
                                                     char *reason);

#endif
