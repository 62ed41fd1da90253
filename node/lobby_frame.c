#include "node/lobby_frame.h"

#include <string.h>

#include "crypto/assert.h"

enum { LENGTH_SIZE = 2, GREETING_BODY = ILEA_LOBBY_GREETING_SIZE - ILEA_LOBBY_HEADER };

static enum ilea_error
decode_greeting(const uint8_t *body, size_t size, struct ilea_lobby_frame *frame)
{
    if (size < 1) return ILEA_ERROR_MALFORMED;
    frame->version = body[0];
    if (frame->version != ILEA_LOBBY_VERSION) return ILEA_ERROR_UNKNOWN;
    if (size != GREETING_BODY) return ILEA_ERROR_MALFORMED;
    for (int i = 1; i <= 4; i++) frame->minutes = frame->minutes << 8 | body[i];
    memcpy(frame->challenge.key.bytes, body + 5, sizeof frame->challenge.key.bytes);
    memcpy(frame->challenge.nonce, body + 5 + ILEA_BOX_PUBLIC_SIZE, sizeof frame->challenge.nonce);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
decode_body(const uint8_t *body, size_t size, uint8_t type, struct ilea_lobby_frame *frame)
{
    switch (type) {
    case ILEA_LOBBY_PASS:
        if (size != sizeof frame->invite) return ILEA_ERROR_MALFORMED;
        memcpy(frame->invite, body, size);
        return ILEA_ERROR_NONE;
    case ILEA_LOBBY_GREETING: return decode_greeting(body, size, frame);
    case ILEA_LOBBY_REQUEST:
        if (size <= sizeof frame->tag + ILEA_SEAL_OVERHEAD) return ILEA_ERROR_MALFORMED;
        memcpy(frame->tag, body, sizeof frame->tag);
        frame->sealed = (struct ilea_span){ body + sizeof frame->tag, size - sizeof frame->tag };
        return ILEA_ERROR_NONE;
    case ILEA_LOBBY_CEREMONY:
        if (size <= ILEA_SEAL_OVERHEAD || size > ILEA_LOBBY_SEALED_MAX) return ILEA_ERROR_MALFORMED;
        frame->sealed = (struct ilea_span){ body, size };
        return ILEA_ERROR_NONE;
    case ILEA_LOBBY_ANSWER:
        if (size < 1 || size > 1 + ILEA_LOBBY_REPLY_MAX) return ILEA_ERROR_MALFORMED;
        if (body[0] != ILEA_LOBBY_QUEUED && body[0] != ILEA_LOBBY_BUSY) return ILEA_ERROR_MALFORMED;
        frame->status = (enum ilea_lobby_status)body[0];
        frame->reply = (struct ilea_span){ body + 1, size - 1 };
        return ILEA_ERROR_NONE;
    default: return ILEA_ERROR_MALFORMED;
    }
}

enum ilea_error
ilea_lobby_frame_decode(struct ilea_span input, struct ilea_lobby_frame *frame, size_t *size)
{
    if (input.size < LENGTH_SIZE) return ILEA_ERROR_NOT_FOUND;
    size_t length = (size_t)input.data[0] << 8 | input.data[1];
    if (length < 1 || length > ILEA_LOBBY_FRAME_MAX - LENGTH_SIZE) return ILEA_ERROR_MALFORMED;
    if (input.size < ILEA_LOBBY_HEADER) return ILEA_ERROR_NOT_FOUND;
    uint8_t type = input.data[LENGTH_SIZE];
    /* What can never become a frame is not waited for. */
    if (type < ILEA_LOBBY_PASS || type > ILEA_LOBBY_ANSWER) return ILEA_ERROR_MALFORMED;
    if (input.size - LENGTH_SIZE < length) return ILEA_ERROR_NOT_FOUND;
    struct ilea_lobby_frame found = { .type = (enum ilea_lobby_type)type };
    enum ilea_error error = decode_body(input.data + ILEA_LOBBY_HEADER, length - 1, type, &found);
    if (error != ILEA_ERROR_NONE) return error;
    *frame = found;
    *size = LENGTH_SIZE + length;
    return ILEA_ERROR_NONE;
}

struct writer {
    uint8_t *bytes;
    size_t size;
};

static void
put(struct writer *writer, const void *data, size_t size)
{
    ilea_assert(size <= ILEA_LOBBY_FRAME_MAX - writer->size);
    if (size > 0) memcpy(writer->bytes + writer->size, data, size);
    writer->size += size;
}

size_t
ilea_lobby_frame_encode(const struct ilea_lobby_frame *frame, uint8_t *bytes)
{
    struct writer writer = { bytes, ILEA_LOBBY_HEADER };
    uint8_t status = (uint8_t)frame->status;
    switch (frame->type) {
    case ILEA_LOBBY_PASS: put(&writer, frame->invite, sizeof frame->invite); break;
    case ILEA_LOBBY_GREETING: {
        const uint8_t head[5] = { ILEA_LOBBY_VERSION, (uint8_t)(frame->minutes >> 24),
                                  (uint8_t)(frame->minutes >> 16), (uint8_t)(frame->minutes >> 8),
                                  (uint8_t)frame->minutes };
        put(&writer, head, sizeof head);
        put(&writer, frame->challenge.key.bytes, sizeof frame->challenge.key.bytes);
        put(&writer, frame->challenge.nonce, sizeof frame->challenge.nonce);
        break;
    }
    case ILEA_LOBBY_REQUEST:
        put(&writer, frame->tag, sizeof frame->tag);
        put(&writer, frame->sealed.data, frame->sealed.size);
        break;
    case ILEA_LOBBY_CEREMONY: put(&writer, frame->sealed.data, frame->sealed.size); break;
    case ILEA_LOBBY_ANSWER:
        ilea_assert(frame->reply.size <= ILEA_LOBBY_REPLY_MAX);
        put(&writer, &status, 1);
        put(&writer, frame->reply.data, frame->reply.size);
        break;
    }
    size_t length = writer.size - LENGTH_SIZE;
    bytes[0] = (uint8_t)(length >> 8);
    bytes[1] = (uint8_t)length;
    bytes[2] = (uint8_t)frame->type;
    return writer.size;
}
