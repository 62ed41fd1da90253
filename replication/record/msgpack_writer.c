#include "replication/record/msgpack_writer.h"

#include <msgpack.h>
#include <string.h>

static int
append(void *context, const char *bytes, size_t size)
{
    struct ilea_msgpack_writer *writer = context;
    if (writer->failed || size > writer->capacity - writer->size) {
        writer->failed = true;
        return -1;
    }
    if (size > 0) memcpy(writer->data + writer->size, bytes, size);
    writer->size += size;
    return 0;
}

static msgpack_packer
packer(struct ilea_msgpack_writer *writer)
{
    msgpack_packer result;
    msgpack_packer_init(&result, writer, append);
    return result;
}

void
ilea_msgpack_writer_init(struct ilea_msgpack_writer *writer, void *data, size_t capacity)
{
    *writer = (struct ilea_msgpack_writer){ .data = data, .capacity = capacity };
}

void
ilea_msgpack_put_array(struct ilea_msgpack_writer *writer, uint32_t count)
{
    msgpack_packer to = packer(writer);
    if (msgpack_pack_array(&to, count) != 0) writer->failed = true;
}

void
ilea_msgpack_put_uint(struct ilea_msgpack_writer *writer, uint64_t value)
{
    msgpack_packer to = packer(writer);
    if (msgpack_pack_uint64(&to, value) != 0) writer->failed = true;
}

void
ilea_msgpack_put_bin(struct ilea_msgpack_writer *writer, const void *data, size_t size)
{
    msgpack_packer to = packer(writer);
    if (msgpack_pack_bin(&to, size) != 0 || msgpack_pack_bin_body(&to, data, size) != 0) {
        writer->failed = true;
    }
}

void
ilea_msgpack_put_str(struct ilea_msgpack_writer *writer, struct ilea_span text)
{
    msgpack_packer to = packer(writer);
    if (msgpack_pack_str(&to, text.size) != 0
        || msgpack_pack_str_body(&to, text.data, text.size) != 0) {
        writer->failed = true;
    }
}

void
ilea_msgpack_put_raw(struct ilea_msgpack_writer *writer, struct ilea_span encoded)
{
    if (append(writer, (const char *)encoded.data, encoded.size) != 0) writer->failed = true;
}

struct ilea_span
ilea_msgpack_written(const struct ilea_msgpack_writer *writer)
{
    return (struct ilea_span){ writer->data, writer->size };
}
