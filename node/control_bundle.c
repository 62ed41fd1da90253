#include "node/control_bundle.h"

enum { CHUNK_FIELDS = 3, BUNDLE_FIELDS = 4, COUNT_FIELDS = 4 };

void
ilea_control_put_chunk(struct ilea_msgpack_writer *writer, const struct ilea_control_chunk *chunk)
{
    ilea_msgpack_put_array(writer, CHUNK_FIELDS);
    ilea_msgpack_put_uint(writer, chunk->verb);
    ilea_msgpack_put_uint(writer, chunk->flag ? 1 : 0);
    ilea_msgpack_put_bin(writer, chunk->bytes.data, chunk->bytes.size);
}

enum ilea_error
ilea_control_get_chunk(struct ilea_span body, struct ilea_control_chunk *chunk)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, CHUNK_FIELDS);
    chunk->verb = (enum ilea_bundle_verb)ilea_msgpack_get_uint32(&reader, ILEA_BUNDLE_TAKE);
    chunk->flag = ilea_msgpack_get_uint32(&reader, 1) == 1;
    chunk->bytes = ilea_msgpack_get_bin(&reader, ILEA_BUNDLE_CHUNK_MAX);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_control_put_bundle(struct ilea_msgpack_writer *writer, const struct ilea_control_bundle *bundle)
{
    ilea_msgpack_put_array(writer, BUNDLE_FIELDS);
    ilea_msgpack_put_uint(writer, bundle->error);
    ilea_control_put_text(writer, bundle->reason);
    ilea_control_put_text(writer, bundle->code);
    ilea_msgpack_put_array(writer, COUNT_FIELDS);
    ilea_msgpack_put_uint(writer, bundle->counts.taken);
    ilea_msgpack_put_uint(writer, bundle->counts.known);
    ilea_msgpack_put_uint(writer, bundle->counts.refused);
    ilea_msgpack_put_uint(writer, bundle->counts.waiting);
}

enum ilea_error
ilea_control_get_bundle(struct ilea_span body, struct ilea_control_bundle *bundle)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, BUNDLE_FIELDS);
    bundle->error = (enum ilea_error)ilea_msgpack_get_uint32(&reader, ILEA_ERROR_UNKNOWN);
    ilea_control_get_text(&reader, bundle->reason, sizeof bundle->reason);
    ilea_control_get_text(&reader, bundle->code, sizeof bundle->code);
    ilea_msgpack_expect_array(&reader, COUNT_FIELDS);
    bundle->counts.taken = ilea_msgpack_get_uint(&reader);
    bundle->counts.known = ilea_msgpack_get_uint(&reader);
    bundle->counts.refused = ilea_msgpack_get_uint(&reader);
    bundle->counts.waiting = ilea_msgpack_get_uint(&reader);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}
