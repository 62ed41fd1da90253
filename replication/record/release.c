#include "replication/record/release.h"

#include <stdlib.h>
#include <string.h>

#include "replication/record/change.h"
#include "replication/record/msgpack_writer.h"

enum { RELEASE_VERSION = 1, RELEASE_FIELDS = 4, ITEM_FIELDS = 5 };

static int
compare_items(const void *a, const void *b)
{
    const struct ilea_release_item *one = a, *other = b;
    int order = memcmp(one->record.bytes, other->record.bytes, sizeof one->record.bytes);
    return order != 0 ? order : (one->type > other->type) - (one->type < other->type);
}

static void
get_item(struct ilea_msgpack_reader *reader, struct ilea_release_item *item)
{
    ilea_msgpack_expect_array(reader, ITEM_FIELDS);
    item->type = ilea_msgpack_get_uint32(reader, UINT32_MAX);
    ilea_msgpack_get_bytes(reader, item->record.bytes, sizeof item->record.bytes);
    item->label = ilea_msgpack_get_uint32(reader, ILEA_LABEL_RED);
    ilea_msgpack_get_bytes(reader, item->base, sizeof item->base);
    item->put = ilea_msgpack_get_bin(reader, ILEA_CHANGE_SIZE_MAX);
}

enum ilea_error
ilea_release_decode(struct ilea_span input, struct ilea_release *release)
{
    if (input.size > ILEA_RELEASE_SIZE_MAX) return ILEA_ERROR_LIMIT;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    uint32_t fields = ilea_msgpack_get_array(&reader, 32);
    uint64_t version = ilea_msgpack_get_uint(&reader);
    if (!reader.failed && version != RELEASE_VERSION) return ILEA_ERROR_UNKNOWN;
    if (fields != RELEASE_FIELDS) return ILEA_ERROR_MALFORMED;
    uint32_t scope = ilea_msgpack_get_uint32(&reader, ILEA_SCOPE_AUDIENCE);
    ilea_msgpack_get_bytes(&reader, release->audience.bytes, sizeof release->audience.bytes);
    release->count = ilea_msgpack_get_array(&reader, ILEA_RELEASE_RECORDS_MAX);
    release->items = reader;
    if (reader.failed || scope < ILEA_SCOPE_PEERS || release->count == 0) return ILEA_ERROR_MALFORMED;
    for (size_t i = 0; i < sizeof release->audience.bytes && scope == ILEA_SCOPE_PEERS; i++) {
        if (release->audience.bytes[i] != 0) return ILEA_ERROR_MALFORMED;
    }
    release->scope = (enum ilea_scope)scope;
    struct ilea_release_item items[2]; /* the one at hand and the one before it */
    for (uint32_t i = 0; i < release->count; i++) {
        struct ilea_release_item *item = &items[i % 2];
        get_item(&reader, item);
        if (reader.failed || item->type == 0 || item->label == 0
            || (i > 0 && compare_items(&items[1 - i % 2], item) >= 0)) {
            return ILEA_ERROR_MALFORMED;
        }
    }
    if (!ilea_msgpack_reader_done(&reader)) return ILEA_ERROR_MALFORMED;
    ilea_hash_once(ILEA_DOMAIN_RELEASE, input.data, input.size, release->hash);
    return ILEA_ERROR_NONE;
}

bool
ilea_release_next(struct ilea_release *release, struct ilea_release_item *item)
{
    if (release->count == 0) return false;
    release->count--;
    get_item(&release->items, item);
    return !release->items.failed;
}

bool
ilea_release_names(struct ilea_release release, uint32_t type, const struct ilea_record_id *record)
{
    struct ilea_release_item item;
    while (ilea_release_next(&release, &item)) {
        if (item.type == type && memcmp(item.record.bytes, record->bytes, sizeof record->bytes) == 0) return true;
    }
    return false;
}

enum ilea_error
ilea_release_encode(enum ilea_scope scope, const struct ilea_audience_id *audience, struct ilea_release_item *items,
                    uint32_t count, uint8_t *bytes, size_t capacity, size_t *size)
{
    static const struct ilea_audience_id none;
    bool is_closed = scope == ILEA_SCOPE_AUDIENCE;
    if ((scope != ILEA_SCOPE_PEERS && !is_closed) || is_closed != (audience != NULL)) return ILEA_ERROR_INVALID;
    if (count == 0) return ILEA_ERROR_INVALID;
    if (count > ILEA_RELEASE_RECORDS_MAX) return ILEA_ERROR_LIMIT;
    qsort(items, count, sizeof *items, compare_items);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity < ILEA_RELEASE_SIZE_MAX ? capacity : ILEA_RELEASE_SIZE_MAX);
    ilea_msgpack_put_array(&writer, RELEASE_FIELDS);
    ilea_msgpack_put_uint(&writer, RELEASE_VERSION);
    ilea_msgpack_put_uint(&writer, scope);
    ilea_msgpack_put_bin(&writer, is_closed ? audience->bytes : none.bytes, sizeof none.bytes);
    ilea_msgpack_put_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct ilea_release_item *item = &items[i];
        if (item->type == 0 || item->label == 0 || item->label > ILEA_LABEL_RED
            || item->put.size > ILEA_CHANGE_SIZE_MAX || (i > 0 && compare_items(item - 1, item) == 0)) {
            return ILEA_ERROR_INVALID;
        }
        ilea_msgpack_put_array(&writer, ITEM_FIELDS);
        ilea_msgpack_put_uint(&writer, item->type);
        ilea_msgpack_put_bin(&writer, item->record.bytes, sizeof item->record.bytes);
        ilea_msgpack_put_uint(&writer, item->label);
        ilea_msgpack_put_bin(&writer, item->base, sizeof item->base);
        ilea_msgpack_put_bin(&writer, item->put.data, item->put.size);
    }
    if (writer.failed) return ILEA_ERROR_LIMIT;
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

void
ilea_release_base(enum ilea_scope scope, struct ilea_span state, uint8_t base[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_RELEASE_BASE);
    ilea_hash_add_u64(&hasher, scope);
    ilea_hash_add(&hasher, state.data, state.size);
    ilea_hash_end(&hasher, base);
}
