#include "node/control_held.h"

#include <stdlib.h>

void
ilea_control_put_held(struct ilea_msgpack_writer *writer, const struct ilea_control_held *held)
{
    ilea_msgpack_put_array(writer, held->link_count);
    for (uint32_t i = 0; i < held->link_count; i++) {
        ilea_msgpack_put_array(writer, 2);
        ilea_msgpack_put_bin(writer, held->links[i].agency.bytes, ILEA_ID_SIZE);
        ilea_msgpack_put_array(writer, held->feed_count);
        for (uint32_t j = 0; j < held->feed_count; j++) ilea_msgpack_put_uint(writer, held->links[i].seqs[j]);
    }
}

enum ilea_error
ilea_control_get_held(struct ilea_span body, struct ilea_control_held *held)
{
    struct ilea_msgpack_reader reader;
    *held = (struct ilea_control_held){ .feed_count = 0 };
    ilea_msgpack_reader_init(&reader, body);
    held->link_count = ilea_msgpack_get_array(&reader, ILEA_HELD_LINKS_MAX);
    for (uint32_t i = 0; i < held->link_count; i++) {
        ilea_msgpack_expect_array(&reader, 2);
        ilea_msgpack_get_bytes(&reader, held->links[i].agency.bytes, ILEA_ID_SIZE);
        uint32_t count = ilea_msgpack_get_array(&reader, ILEA_HELD_FEEDS_MAX);
        for (uint32_t j = 0; j < count; j++) held->links[i].seqs[j] = ilea_msgpack_get_uint(&reader);
        if (i > 0 && count != held->feed_count) return ILEA_ERROR_MALFORMED;
        held->feed_count = count;
    }
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

enum ilea_error
ilea_control_ask_held(const char *home, const struct ilea_feed_id *feeds, uint32_t count,
                      struct ilea_control_held *held)
{
    if (count > ILEA_HELD_FEEDS_MAX) count = ILEA_HELD_FEEDS_MAX;
    uint8_t *buffer = malloc(ILEA_CONTROL_FRAME_MAX);
    if (buffer == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, buffer + ILEA_CONTROL_HEADER, ILEA_CONTROL_FRAME_MAX - ILEA_CONTROL_HEADER);
    ilea_msgpack_put_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) ilea_msgpack_put_bin(&writer, feeds[i].bytes, sizeof feeds[i].bytes);
    struct ilea_control_frame frame;
    enum ilea_error error = ilea_control_ask(home, ILEA_CONTROL_HELD, buffer, writer.size, &frame);
    if (error == ILEA_ERROR_NONE) error = ilea_control_get_held(frame.body, held);
    free(buffer);
    return error;
}
