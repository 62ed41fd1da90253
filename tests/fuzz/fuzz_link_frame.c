/*
 * fuzz_link_frame.c - bytes that claim to come from the other end of the
 * socketpair: decoded frame by frame, the body stays inside the input and the
 * frame encodes to the same bytes again; and a pipe that reads them in two
 * pieces finds the same frames.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/assert.h"
#include "node/link_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Frames at the start of `input`; *error: what came after them. */
static size_t
count_frames(struct ilea_span input, enum ilea_error *error)
{
    size_t count = 0;
    for (;;) {
        struct ilea_link_frame frame;
        size_t taken;
        *error = ilea_link_frame_decode(input, &frame, &taken);
        if (*error != ILEA_ERROR_NONE) return count;
        ilea_assert(taken <= input.size);
        ilea_assert(taken == ILEA_LINK_HEADER_SIZE + frame.body.size);
        ilea_assert(frame.body.data == input.data + ILEA_LINK_HEADER_SIZE);
        const uint8_t header[ILEA_LINK_HEADER_SIZE] = {
            (uint8_t)(frame.body.size >> 24), (uint8_t)(frame.body.size >> 16),
            (uint8_t)(frame.body.size >> 8),  (uint8_t)frame.body.size,
            (uint8_t)frame.kind,              (uint8_t)(frame.peer >> 24),
            (uint8_t)(frame.peer >> 16),      (uint8_t)(frame.peer >> 8),
            (uint8_t)frame.peer
        };
        ilea_assert(memcmp(header, input.data, sizeof header) == 0);
        input = (struct ilea_span){ input.data + taken, input.size - taken };
        count++;
    }
}

static size_t
count_taken(struct ilea_link_pipe *pipe, enum ilea_error *error)
{
    struct ilea_link_frame frame;
    size_t count = 0;
    while ((*error = ilea_link_pipe_next(pipe, &frame)) == ILEA_ERROR_NONE) count++;
    return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum ilea_error expected;
    size_t count = count_frames((struct ilea_span){ data, size }, &expected);
    if (size > 64 * 1024) return 0; /* what a socket surely takes at once */

    int fds[2];
    ilea_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    struct ilea_link_pipe pipe;
    ilea_link_pipe_init(&pipe, fds[0]);
    size_t half = size / 2;
    enum ilea_error error = ILEA_ERROR_NOT_FOUND;
    size_t taken = 0;
    for (int part = 0; part < 2 && error == ILEA_ERROR_NOT_FOUND; part++) {
        const uint8_t *bytes = part == 0 ? data : data + half;
        size_t part_size = part == 0 ? half : size - half;
        if (part_size == 0) continue;
        ilea_assert(write(fds[1], bytes, part_size) == (ssize_t)part_size);
        ilea_assert(ilea_link_pipe_fill(&pipe) == ILEA_ERROR_NONE);
        taken += count_taken(&pipe, &error);
    }
    ilea_assert(taken == count);
    ilea_assert(error == expected);
    ilea_link_pipe_deinit(&pipe);
    close(fds[0]);
    close(fds[1]);
    return 0;
}
