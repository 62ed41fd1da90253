#include "node/jsonl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "node/reason.h"

enum {
    READ_SIZE = 256 * 1024,
    /* Room for the longest line, its end, and a read beyond it. */
    BUFFER_SIZE = ILEA_JSONL_LINE_MAX + 2 + READ_SIZE
};

static enum ilea_error
error_of_errno(int number)
{
    switch (number) {
    case ENOENT: return ILEA_ERROR_NOT_FOUND;
    case EACCES: return ILEA_ERROR_PERMISSION;
    case ENOMEM: return ILEA_ERROR_NO_MEMORY;
    default: return ILEA_ERROR_IO;
    }
}

static gzFile
open_file(const char *path)
{
    if (strcmp(path, "-") != 0) return gzopen(path, "rbe");
    int fd = dup(STDIN_FILENO); /* gzclose() closes what it was given */
    gzFile file = fd >= 0 ? gzdopen(fd, "rb") : NULL;
    if (file == NULL && fd >= 0) close(fd);
    return file;
}

enum ilea_error
ilea_jsonl_open(struct ilea_jsonl *input, const char *path, char *reason)
{
    *input = (struct ilea_jsonl){ .file = NULL };
    errno = 0;
    gzFile file = open_file(path);
    if (file == NULL) {
        int number = errno != 0 ? errno : ENOMEM;
        ilea_reason(reason, "%.100s: %s", path, strerror(number));
        return error_of_errno(number);
    }
    struct stat info;
    if (strcmp(path, "-") != 0 && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        gzclose(file);
        ilea_reason(reason, "%.100s is a folder", path);
        return ILEA_ERROR_NOT_FOUND;
    }
    input->file = file;
    input->buffer = malloc(BUFFER_SIZE);
    if (input->buffer == NULL || gzbuffer(file, READ_SIZE) != 0) {
        ilea_jsonl_close(input);
        return ILEA_ERROR_NO_MEMORY;
    }
    return ILEA_ERROR_NONE;
}

void
ilea_jsonl_close(struct ilea_jsonl *input)
{
    if (input->file != NULL) gzclose(input->file);
    free(input->buffer);
    *input = (struct ilea_jsonl){ .file = NULL };
}

/* Read more behind what is there; input->is_over if there is no more. */
static void
fill(struct ilea_jsonl *input)
{
    if (input->start > 0 && BUFFER_SIZE - input->end < READ_SIZE) {
        memmove(input->buffer, input->buffer + input->start, input->end - input->start);
        input->end -= input->start;
        input->start = 0;
    }
    int count = gzread(input->file, input->buffer + input->end, READ_SIZE);
    if (count > 0) input->end += (size_t)count;
    if (count == READ_SIZE) return;
    int error = Z_OK;
    const char *text = gzerror(input->file, &error);
    if (error == Z_OK || error == Z_STREAM_END) {
        if (count <= 0) input->is_over = true;
        return;
    }
    input->is_over = true;
    if (error == Z_BUF_ERROR) {
        ilea_reason(input->failure, "the compressed data is cut off");
    } else {
        text = error == Z_ERRNO ? strerror(errno) : text;
        ilea_reason(input->failure, "cannot read on: %s", text);
    }
}

/* Length of the line at input->start without its end; false if the end is not there yet. */
static bool
find_end(struct ilea_jsonl *input, size_t *size)
{
    const uint8_t *from = input->buffer + input->start + input->searched;
    const uint8_t *end = memchr(from, '\n', input->end - input->start - input->searched);
    if (end == NULL) {
        input->searched = input->end - input->start;
        return false;
    }
    *size = (size_t)(end - (input->buffer + input->start));
    return true;
}

/* The line is over: what follows it is next. */
static void
advance(struct ilea_jsonl *input, size_t size)
{
    input->start += size;
    input->searched = 0;
}

/* Pass over the rest of a line that is too long. */
static enum ilea_error
skip_line(struct ilea_jsonl *input, char *reason)
{
    size_t size;
    while (!find_end(input, &size)) {
        advance(input, input->end - input->start);
        if (input->is_over) break;
        fill(input);
    }
    if (input->start < input->end) advance(input, size + 1);
    ilea_reason(reason, "longer than %u bytes", (unsigned)ILEA_JSONL_LINE_MAX);
    return ILEA_ERROR_LIMIT;
}

static enum ilea_error
next_raw(struct ilea_jsonl *input, struct ilea_span *line, char *reason)
{
    size_t size = 0;
    while (!find_end(input, &size)) {
        size_t held = input->end - input->start;
        if (input->is_over && input->failure[0] != '\0') {
            ilea_reason(reason, "%s", input->failure);
            input->failure[0] = '\0';
            input->line_number++;
            advance(input, held);
            return ILEA_ERROR_IO;
        }
        if (input->is_over && held == 0) return ILEA_ERROR_NOT_FOUND;
        if (held > ILEA_JSONL_LINE_MAX + 1 || input->is_over) {
            size = held; /* too long, or the last line has no end */
            break;
        }
        fill(input);
    }
    input->line_number++;
    *line = (struct ilea_span){ input->buffer + input->start, size };
    if (size > 0 && line->data[size - 1] == '\r') line->size--;
    if (line->size > ILEA_JSONL_LINE_MAX) return skip_line(input, reason);
    advance(input, input->start + size < input->end ? size + 1 : size);
    return ILEA_ERROR_NONE;
}

static bool
is_blank(struct ilea_span line)
{
    for (size_t i = 0; i < line.size; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t') return false;
    }
    return true;
}

enum ilea_error
ilea_jsonl_next(struct ilea_jsonl *input, struct ilea_span *line, char *reason)
{
    for (;;) {
        enum ilea_error error = next_raw(input, line, reason);
        if (error != ILEA_ERROR_NONE) return error;
        bool has_mark = line->size >= 3 && memcmp(line->data, "\xef\xbb\xbf", 3) == 0;
        if (has_mark && input->line_number == 1) {
            line->data += 3;
            line->size -= 3;
        }
        if (!is_blank(*line)) return ILEA_ERROR_NONE;
    }
}

enum ilea_error
ilea_jsonl_next_object(struct ilea_jsonl *input, json_t **object, char *reason)
{
    struct ilea_span line;
    enum ilea_error error = ilea_jsonl_next(input, &line, reason);
    if (error != ILEA_ERROR_NONE) return error;
    json_error_t parse;
    json_t *json = json_loadb((const char *)line.data, line.size, JSON_REJECT_DUPLICATES, &parse);
    if (json == NULL) {
        ilea_reason(reason, "%s, at byte %d", parse.text, parse.position);
        return ILEA_ERROR_INVALID;
    }
    if (!json_is_object(json)) {
        json_decref(json);
        ilea_reason(reason, "not an object");
        return ILEA_ERROR_INVALID;
    }
    *object = json;
    return ILEA_ERROR_NONE;
}
