/*
 * msgpack_writer.h - write canonical MessagePack into a caller's buffer, over
 * msgpack-c's packer. Fails once and stays failed rather than truncate.
 */
#ifndef ILEA_RECORD_MSGPACK_WRITER_H
#define ILEA_RECORD_MSGPACK_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "include/ilea/span.h"

struct ilea_msgpack_writer {
    uint8_t *data;   /* the caller's */
    size_t capacity;
    size_t size;
    bool failed;     /* something did not fit */
};

void ilea_msgpack_writer_init(struct ilea_msgpack_writer *writer, void *data, size_t capacity);
void ilea_msgpack_put_array(struct ilea_msgpack_writer *writer, uint32_t count);
void ilea_msgpack_put_uint(struct ilea_msgpack_writer *writer, uint64_t value);
void ilea_msgpack_put_bin(struct ilea_msgpack_writer *writer, const void *data, size_t size);
void ilea_msgpack_put_str(struct ilea_msgpack_writer *writer, struct ilea_span text);
/* Bytes that are canonical MessagePack already. */
void ilea_msgpack_put_raw(struct ilea_msgpack_writer *writer, struct ilea_span encoded);
struct ilea_span ilea_msgpack_written(const struct ilea_msgpack_writer *writer);

#endif
