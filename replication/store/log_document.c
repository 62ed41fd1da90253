/* log_document.c - documents that are held or wanted. */
#include "replication/store/log_rows.h"

enum { DOCUMENT_FIELDS = 4, DOCUMENT_ROW_MAX = 128 };

static struct ilea_span
root_key(const struct ilea_blob_id *root)
{
    return (struct ilea_span){ root->bytes, sizeof root->bytes };
}

static enum ilea_error
decode_document(struct ilea_span key, struct ilea_span value, struct ilea_document_row *document)
{
    if (key.size != ILEA_ID_SIZE) return ILEA_ERROR_CORRUPT;
    struct ilea_msgpack_reader reader;
    memcpy(document->root.bytes, key.data, ILEA_ID_SIZE);
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, DOCUMENT_FIELDS);
    document->size = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, document->audience.bytes, sizeof document->audience.bytes);
    ilea_msgpack_get_bytes(&reader, document->agency.bytes, sizeof document->agency.bytes);
    document->wanted = ilea_msgpack_get_uint32(&reader, 1) == 1;
    return log_decoded(&reader);
}

enum ilea_error
ilea_log_document(struct ilea_transaction *txn, const struct ilea_blob_id *root, struct ilea_document_row *document)
{
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, LOG_DOCUMENTS, root_key(root), &value);
    return error == ILEA_ERROR_NONE ? decode_document(root_key(root), value, document) : error;
}

enum ilea_error
ilea_log_document_next(struct ilea_transaction *txn, const struct ilea_blob_id *after,
                       struct ilea_document_row *document)
{
    static const struct ilea_blob_id lowest;
    struct ilea_span from = root_key(after != NULL ? after : &lowest), key, stored, value;
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_DOCUMENTS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_cursor_seek(cursor, from, &key, &stored);
    if (error == ILEA_ERROR_NONE && after != NULL && key.size == from.size
        && memcmp(key.data, from.data, key.size) == 0) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_DOCUMENTS, key, stored, &value);
    if (error == ILEA_ERROR_NONE) error = decode_document(key, value, document);
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_log_put_document(struct ilea_transaction *txn, const struct ilea_document_row *document)
{
    uint8_t bytes[DOCUMENT_ROW_MAX];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, DOCUMENT_FIELDS);
    ilea_msgpack_put_uint(&writer, document->size);
    ilea_msgpack_put_bin(&writer, document->audience.bytes, sizeof document->audience.bytes);
    ilea_msgpack_put_bin(&writer, document->agency.bytes, sizeof document->agency.bytes);
    ilea_msgpack_put_uint(&writer, document->wanted ? 1 : 0);
    return ilea_put(txn, LOG_DOCUMENTS, root_key(&document->root), ilea_msgpack_written(&writer));
}

enum ilea_error
ilea_log_delete_document(struct ilea_transaction *txn, const struct ilea_blob_id *root)
{
    return ilea_delete(txn, LOG_DOCUMENTS, root_key(root));
}
