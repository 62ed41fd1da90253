#include "node/link_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/lobby.h"

enum {
    KEY_SIZE = 32,
    BUFFER_SIZE_MIN = 64 * 1024,
    READ_SIZE_MIN = 64 * 1024,        /* less room than this at the end: make some first */
    READ_SIZE_MAX = 1024 * 1024,      /* one read: enough to be cheap, little enough to be fair */
    IN_SIZE_MAX = 2 * 1024 * 1024,    /* what is read and not taken */
    OUT_KEPT_MAX = 4 * 1024 * 1024    /* an empty buffer that grew beyond this is given back */
};

_Static_assert(IN_SIZE_MAX >= ILEA_LINK_HEADER_SIZE + ILEA_LINK_MESSAGE_MAX + READ_SIZE_MIN,
               "the longest frame fits, with room to read on");

/* Body sizes that `kind` may have, and whether it names a peer. */
struct bounds {
    uint32_t size_min, size_max;
    bool has_peer;
};

/* The lobby's kinds. */
static bool
lobby_bounds_of(uint8_t kind, struct bounds *bounds)
{
    switch (kind) {
    case ILEA_LINK_LOBBY:
        *bounds = (struct bounds){ 1, ILEA_LINK_TEXT_MAX, false };
        return true;
    case ILEA_LINK_LOBBY_KEY:
        *bounds = (struct bounds){ KEY_SIZE + 1, KEY_SIZE + 1, false };
        return true;
    case ILEA_LINK_LOBBY_INVITES:
        *bounds = (struct bounds){ 0, ILEA_LOBBY_INVITES_MAX * sizeof(struct ilea_invite), false };
        return true;
    case ILEA_LINK_LOBBY_REPLY:
        *bounds = (struct bounds){ 0, ILEA_LOBBY_REPLY_MAX, true };
        return true;
    case ILEA_LINK_LOBBY_READY:
        *bounds = (struct bounds){ 1, 1 + ILEA_LINK_TEXT_MAX, false };
        return true;
    case ILEA_LINK_LOBBY_ASK:
        *bounds = (struct bounds){
            ILEA_LINK_ASK_HEAD, ILEA_LINK_ASK_HEAD + ILEA_LOBBY_ADDRESS_SIZE + ILEA_LOBBY_SEALED_MAX, true
        };
        return true;
    case ILEA_LINK_LOBBY_COUNTS:
        *bounds = (struct bounds){ 8 * ILEA_LINK_COUNTS, 8 * ILEA_LINK_COUNTS, false };
        return true;
    default:
        return false;
    }
}

/* False: there is no such kind. The values come from outside, so they are no enum yet. */
static bool
bounds_of(uint8_t kind, struct bounds *bounds)
{
    switch (kind) {
    case ILEA_LINK_CONFIG:
        *bounds = (struct bounds){ KEY_SIZE + 2, KEY_SIZE + 2 + ILEA_LINK_TEXT_MAX, false };
        return true;
    case ILEA_LINK_PEER:
        *bounds = (struct bounds){ KEY_SIZE + 1, KEY_SIZE + 1 + ILEA_LINK_TEXT_MAX, true };
        return true;
    case ILEA_LINK_SEND:
    case ILEA_LINK_RECV:
        *bounds = (struct bounds){ 0, ILEA_LINK_MESSAGE_MAX, true };
        return true;
    case ILEA_LINK_FORGET:
    case ILEA_LINK_RESET:
    case ILEA_LINK_UP:
        *bounds = (struct bounds){ 0, 0, true };
        return true;
    case ILEA_LINK_DOWN:
        *bounds = (struct bounds){ 0, ILEA_LINK_TEXT_MAX, true };
        return true;
    case ILEA_LINK_PING:
    case ILEA_LINK_PONG:
        *bounds = (struct bounds){ 0, 0, false };
        return true;
    case ILEA_LINK_READY:
        *bounds = (struct bounds){ 1, 1 + ILEA_LINK_TEXT_MAX, false };
        return true;
    case ILEA_LINK_REFUSED:
        *bounds = (struct bounds){ 0, ILEA_LINK_TEXT_MAX, false };
        return true;
    default:
        return lobby_bounds_of(kind, bounds);
    }
}

static uint32_t
get_uint32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
           (uint32_t)bytes[3];
}

static void
put_uint32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

enum ilea_error
ilea_link_frame_decode(struct ilea_span input, struct ilea_link_frame *frame, size_t *size)
{
    if (input.size < ILEA_LINK_HEADER_SIZE) return ILEA_ERROR_NOT_FOUND;
    uint32_t body_size = get_uint32(input.data);
    uint8_t kind = input.data[4];
    uint32_t peer = get_uint32(input.data + 5);
    struct bounds bounds;
    if (!bounds_of(kind, &bounds)) return ILEA_ERROR_MALFORMED;
    if (body_size < bounds.size_min || body_size > bounds.size_max) return ILEA_ERROR_MALFORMED;
    if (!bounds.has_peer && peer != 0) return ILEA_ERROR_MALFORMED;
    if (input.size - ILEA_LINK_HEADER_SIZE < body_size) return ILEA_ERROR_NOT_FOUND;
    *frame = (struct ilea_link_frame){
        .kind = (enum ilea_link_kind)kind,
        .peer = peer,
        .body = { .data = input.data + ILEA_LINK_HEADER_SIZE, .size = body_size },
    };
    *size = ILEA_LINK_HEADER_SIZE + (size_t)body_size;
    return ILEA_ERROR_NONE;
}

void
ilea_link_pipe_init(struct ilea_link_pipe *pipe, int fd)
{
    *pipe = (struct ilea_link_pipe){ .fd = fd };
}

static void
discard(uint8_t *buffer, size_t capacity)
{
    if (buffer == NULL) return;
    ilea_wipe(buffer, capacity);
    free(buffer);
}

void
ilea_link_pipe_deinit(struct ilea_link_pipe *pipe)
{
    discard(pipe->in, pipe->in_capacity);
    discard(pipe->out, pipe->out_capacity);
    ilea_link_pipe_init(pipe, -1);
}

/* Move what a buffer holds to the start of a larger one. Not realloc: it could leave a copy of a
 * secret in memory that is no longer ours to wipe. */
static enum ilea_error
grow(uint8_t **buffer, size_t *start, size_t *end, size_t *capacity, size_t capacity_new)
{
    uint8_t *larger = malloc(capacity_new);
    if (larger == NULL) return ILEA_ERROR_NO_MEMORY;
    size_t used = *end - *start;
    if (used > 0) memcpy(larger, *buffer + *start, used);
    discard(*buffer, *capacity);
    *buffer = larger;
    *start = 0;
    *end = used;
    *capacity = capacity_new;
    return ILEA_ERROR_NONE;
}

size_t
ilea_link_pipe_queued(const struct ilea_link_pipe *pipe)
{
    return pipe->out_end - pipe->out_start;
}

/* Make room for `size` bytes behind what is queued. Moving costs no more than what has already
 * gone out, and growing doubles: either way a byte is moved a bounded number of times. */
static enum ilea_error
reserve_out(struct ilea_link_pipe *pipe, size_t size)
{
    if (pipe->out_capacity - pipe->out_end >= size) return ILEA_ERROR_NONE;
    size_t used = ilea_link_pipe_queued(pipe);
    if (pipe->out_start >= used && pipe->out_capacity - used >= size) {
        if (used > 0) memmove(pipe->out, pipe->out + pipe->out_start, used);
        pipe->out_start = 0;
        pipe->out_end = used;
        return ILEA_ERROR_NONE;
    }
    size_t capacity = 2 * (used + size);
    if (capacity < BUFFER_SIZE_MIN) capacity = BUFFER_SIZE_MIN;
    return grow(&pipe->out, &pipe->out_start, &pipe->out_end, &pipe->out_capacity, capacity);
}

/* Write once; *written is 0 when the socket takes nothing now. */
static enum ilea_error
write_some(int fd, struct iovec *parts, size_t count, size_t *written)
{
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = count };
    for (;;) {
        ssize_t size = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size >= 0) {
            *written = (size_t)size;
            return ILEA_ERROR_NONE;
        }
        if (errno == EINTR) continue;
        *written = 0;
        return errno == EAGAIN || errno == EWOULDBLOCK ? ILEA_ERROR_NONE : ILEA_ERROR_IO;
    }
}

enum ilea_error
ilea_link_pipe_flush(struct ilea_link_pipe *pipe)
{
    while (pipe->out_start < pipe->out_end) {
        struct iovec part = { .iov_base = pipe->out + pipe->out_start,
                              .iov_len = ilea_link_pipe_queued(pipe) };
        size_t written;
        enum ilea_error error = write_some(pipe->fd, &part, 1, &written);
        if (error != ILEA_ERROR_NONE) return error;
        if (written == 0) return ILEA_ERROR_NONE;
        pipe->out_start += written;
    }
    pipe->out_start = pipe->out_end = 0;
    if (pipe->out_capacity > OUT_KEPT_MAX) {
        discard(pipe->out, pipe->out_capacity);
        pipe->out = NULL;
        pipe->out_capacity = 0;
    }
    return ILEA_ERROR_NONE;
}

/* Queue what is left of the part after its first `skip` bytes; returns what is left of `skip`. */
static size_t
append_out(struct ilea_link_pipe *pipe, struct ilea_span part, size_t skip)
{
    if (skip >= part.size) return skip - part.size;
    memcpy(pipe->out + pipe->out_end, part.data + skip, part.size - skip);
    pipe->out_end += part.size - skip;
    return 0;
}

/* sendmsg takes a pointer to non-const and does not write through it. */
static struct iovec
to_iovec(struct ilea_span span)
{
    union {
        const uint8_t *in;
        void *out;
    } pointer = { .in = span.data };
    return (struct iovec){ .iov_base = pointer.out, .iov_len = span.size };
}

enum ilea_error
ilea_link_pipe_send(struct ilea_link_pipe *pipe, enum ilea_link_kind kind, uint32_t peer,
                    struct ilea_span first, struct ilea_span second, size_t out_max)
{
    struct bounds bounds;
    ilea_assert(bounds_of((uint8_t)kind, &bounds));
    ilea_assert(first.size <= bounds.size_max);
    ilea_assert(second.size <= bounds.size_max - first.size);
    ilea_assert(first.size + second.size >= bounds.size_min);
    ilea_assert(bounds.has_peer || peer == 0);

    size_t size = ILEA_LINK_HEADER_SIZE + first.size + second.size;
    enum ilea_error error = ILEA_ERROR_NONE;
    if (ilea_link_pipe_queued(pipe) > 0) {
        error = ilea_link_pipe_flush(pipe);
        if (error != ILEA_ERROR_NONE) return error;
    }
    size_t queued = ilea_link_pipe_queued(pipe);
    if (size > out_max || queued > out_max - size) return ILEA_ERROR_BUSY;
    /* Before the first byte goes out: half a frame could not be taken back. */
    error = reserve_out(pipe, size);
    if (error != ILEA_ERROR_NONE) return error;

    uint8_t header_bytes[ILEA_LINK_HEADER_SIZE];
    put_uint32(header_bytes, (uint32_t)(first.size + second.size));
    header_bytes[4] = (uint8_t)kind;
    put_uint32(header_bytes + 5, peer);
    struct ilea_span header = { header_bytes, sizeof header_bytes };
    size_t written = 0;
    if (queued == 0) {
        struct iovec parts[] = { to_iovec(header), to_iovec(first), to_iovec(second) };
        error = write_some(pipe->fd, parts, sizeof parts / sizeof parts[0], &written);
        if (error != ILEA_ERROR_NONE) return error;
    }
    written = append_out(pipe, header, written);
    written = append_out(pipe, first, written);
    written = append_out(pipe, second, written);
    ilea_assert(written == 0);
    return ILEA_ERROR_NONE;
}

/* Leave room to read into. False in *has_room: the buffer is full of frames not yet taken. */
static enum ilea_error
reserve_in(struct ilea_link_pipe *pipe, bool *has_room)
{
    size_t used = pipe->in_end - pipe->in_start;
    bool was_filled = pipe->in_end == pipe->in_capacity;
    if (used == 0) {
        pipe->in_start = pipe->in_end = 0;
    }
    /* Reads that fill the buffer to the brim ask for a larger one. */
    if (was_filled && pipe->in_capacity < IN_SIZE_MAX) {
        size_t capacity = pipe->in_capacity == 0 ? BUFFER_SIZE_MIN : 2 * pipe->in_capacity;
        enum ilea_error error =
            grow(&pipe->in, &pipe->in_start, &pipe->in_end, &pipe->in_capacity, capacity);
        if (error != ILEA_ERROR_NONE) return error;
    }
    if (pipe->in_start > 0 && pipe->in_capacity - pipe->in_end < READ_SIZE_MIN) {
        memmove(pipe->in, pipe->in + pipe->in_start, used);
        pipe->in_start = 0;
        pipe->in_end = used;
    }
    *has_room = pipe->in_end < pipe->in_capacity;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_link_pipe_fill(struct ilea_link_pipe *pipe)
{
    bool has_room;
    enum ilea_error error = reserve_in(pipe, &has_room);
    if (error != ILEA_ERROR_NONE) return error;
    if (!has_room) return ILEA_ERROR_NONE;
    size_t room = pipe->in_capacity - pipe->in_end;
    if (room > READ_SIZE_MAX) room = READ_SIZE_MAX;
    for (;;) {
        ssize_t size = recv(pipe->fd, pipe->in + pipe->in_end, room, MSG_DONTWAIT);
        if (size > 0) {
            pipe->in_end += (size_t)size;
            return ILEA_ERROR_NONE;
        }
        if (size == 0) return ILEA_ERROR_IO;
        if (errno == EINTR) continue;
        return errno == EAGAIN || errno == EWOULDBLOCK ? ILEA_ERROR_NONE : ILEA_ERROR_IO;
    }
}

enum ilea_error
ilea_link_pipe_next(struct ilea_link_pipe *pipe, struct ilea_link_frame *frame)
{
    if (pipe->in_start == pipe->in_end) return ILEA_ERROR_NOT_FOUND;
    struct ilea_span input = { pipe->in + pipe->in_start, pipe->in_end - pipe->in_start };
    size_t size;
    enum ilea_error error = ilea_link_frame_decode(input, frame, &size);
    if (error != ILEA_ERROR_NONE) return error;
    pipe->in_start += size;
    ilea_assert(pipe->in_start <= pipe->in_end);
    return ILEA_ERROR_NONE;
}
