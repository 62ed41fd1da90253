#include "replication/record/put.h"

#include <string.h>

#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum { PUT_VERSION = 1, PUT_FIELDS = 7, ENTRY_FIELDS = 4 };

enum ilea_error
ilea_put_encode(const struct ilea_put *put, uint8_t *bytes, size_t capacity, size_t *size)
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    ilea_msgpack_put_array(&writer, PUT_FIELDS);
    ilea_msgpack_put_uint(&writer, PUT_VERSION);
    ilea_msgpack_put_uint(&writer, put->mode);
    ilea_msgpack_put_uint(&writer, put->scope);
    ilea_msgpack_put_bin(&writer, put->audience.bytes,
                         put->scope == ILEA_SCOPE_AUDIENCE ? sizeof put->audience.bytes : 0);
    ilea_msgpack_put_uint(&writer, put->type);
    ilea_msgpack_put_bin(&writer, put->id.bytes, put->has_id ? sizeof put->id.bytes : 0);
    ilea_msgpack_put_array(&writer, put->entry_count);
    for (uint32_t i = 0; i < put->entry_count; i++) {
        const struct ilea_put_entry *entry = &put->entries[i];
        ilea_msgpack_put_array(&writer, ENTRY_FIELDS);
        ilea_msgpack_put_uint(&writer, entry->field);
        ilea_msgpack_put_uint(&writer, entry->action);
        ilea_msgpack_put_bin(&writer, entry->key.data, entry->key.size);
        ilea_msgpack_put_bin(&writer, entry->value.data, entry->value.size);
    }
    if (writer.failed) return ILEA_ERROR_LIMIT;
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

/* A key or value: canonical MessagePack of its own, or nothing. */
static struct ilea_span
get_encoded(struct ilea_msgpack_reader *reader, uint32_t size_max)
{
    struct ilea_span encoded = ilea_msgpack_get_bin(reader, size_max);
    if (encoded.size == 0) return (struct ilea_span){ NULL, 0 };
    struct ilea_msgpack_reader inner;
    ilea_msgpack_reader_init(&inner, encoded);
    (void)ilea_msgpack_get_value(&inner, size_max, ILEA_VALUE_DEPTH_MAX);
    if (!ilea_msgpack_reader_done(&inner)) reader->failed = true;
    return encoded;
}

static void
get_entry(struct ilea_msgpack_reader *reader, struct ilea_put_entry *entry)
{
    ilea_msgpack_expect_array(reader, ENTRY_FIELDS);
    entry->field = ilea_msgpack_get_uint32(reader, UINT32_MAX);
    uint32_t action = ilea_msgpack_get_uint32(reader, ILEA_PUT_ONLY);
    entry->key = get_encoded(reader, ILEA_KEY_SIZE_MAX);
    entry->value = get_encoded(reader, ILEA_VALUE_SIZE_MAX);
    if (action == 0 || entry->field == 0 || (action == ILEA_PUT_SET) != (entry->value.size > 0)
        || (action == ILEA_PUT_ONLY && entry->key.size > 0)) {
        reader->failed = true;
        return;
    }
    entry->action = (enum ilea_put_action)action;
}

enum ilea_error
ilea_put_decode(struct ilea_span input, struct ilea_put *put)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    ilea_msgpack_expect_array(&reader, PUT_FIELDS);
    if (ilea_msgpack_get_uint(&reader) != PUT_VERSION) return ILEA_ERROR_MALFORMED;
    uint32_t mode = ilea_msgpack_get_uint32(&reader, ILEA_PUT_NARROW);
    put->scope = ilea_msgpack_get_uint32(&reader, ILEA_SCOPE_AUDIENCE);
    struct ilea_span audience = ilea_msgpack_get_bin(&reader, sizeof put->audience.bytes);
    if (audience.size != (put->scope == ILEA_SCOPE_AUDIENCE ? sizeof put->audience.bytes : 0)) {
        return ILEA_ERROR_MALFORMED;
    }
    memset(&put->audience, 0, sizeof put->audience);
    if (audience.size > 0) memcpy(put->audience.bytes, audience.data, audience.size);
    put->type = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    struct ilea_span id = ilea_msgpack_get_bin(&reader, sizeof put->id.bytes);
    put->entry_count = ilea_msgpack_get_array(&reader, ILEA_PUT_ENTRIES_MAX);
    if (reader.failed || mode == 0 || put->type == 0) return ILEA_ERROR_MALFORMED;
    if (id.size != 0 && id.size != sizeof put->id.bytes) return ILEA_ERROR_MALFORMED;
    if (id.size == 0 && mode != ILEA_PUT_CREATE) return ILEA_ERROR_MALFORMED;

    put->mode = (enum ilea_put_mode)mode;
    put->has_id = id.size != 0;
    memset(put->id.bytes, 0, sizeof put->id.bytes);
    if (put->has_id) memcpy(put->id.bytes, id.data, id.size);
    for (uint32_t i = 0; i < put->entry_count && !reader.failed; i++) {
        get_entry(&reader, &put->entries[i]);
    }
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}
