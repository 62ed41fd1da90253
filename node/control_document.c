#include "node/control_document.h"

#include <stdlib.h>

enum { WANTED_FIELDS = 2, DOCUMENT_FIELDS = 3 };

enum ilea_error
ilea_control_get_wanted(struct ilea_span body, struct ilea_blob_id *root, uint32_t *damaged)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, WANTED_FIELDS);
    ilea_msgpack_get_bytes(&reader, root->bytes, sizeof root->bytes);
    *damaged = ilea_msgpack_get_uint32(&reader, ILEA_BLOB_CHUNKS_MAX);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_control_put_document(struct ilea_msgpack_writer *writer, const struct ilea_control_document *document)
{
    ilea_msgpack_put_array(writer, DOCUMENT_FIELDS);
    ilea_msgpack_put_uint(writer, document->state);
    ilea_msgpack_put_uint(writer, document->held);
    ilea_msgpack_put_uint(writer, document->count);
}

enum ilea_error
ilea_control_ask_document(const char *home, const struct ilea_blob_id *root, uint32_t damaged,
                          struct ilea_control_document *document)
{
    uint8_t *buffer = malloc(ILEA_CONTROL_FRAME_MAX);
    if (buffer == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_msgpack_writer writer;
    struct ilea_control_frame frame;
    ilea_msgpack_writer_init(&writer, buffer + ILEA_CONTROL_HEADER, ILEA_CONTROL_FRAME_MAX - ILEA_CONTROL_HEADER);
    ilea_msgpack_put_array(&writer, WANTED_FIELDS);
    ilea_msgpack_put_bin(&writer, root->bytes, sizeof root->bytes);
    ilea_msgpack_put_uint(&writer, damaged);
    enum ilea_error error = ilea_control_ask(home, ILEA_CONTROL_DOCUMENT, buffer, writer.size, &frame);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_msgpack_reader reader;
        ilea_msgpack_reader_init(&reader, frame.body);
        ilea_msgpack_expect_array(&reader, DOCUMENT_FIELDS);
        document->state = (enum ilea_document_state)ilea_msgpack_get_uint32(&reader, ILEA_DOCUMENT_LAST);
        document->held = ilea_msgpack_get_uint32(&reader, ILEA_BLOB_CHUNKS_MAX);
        document->count = ilea_msgpack_get_uint32(&reader, ILEA_BLOB_CHUNKS_MAX);
        if (!ilea_msgpack_reader_done(&reader)) error = ILEA_ERROR_MALFORMED;
    }
    free(buffer);
    return error;
}
