#include "replication/record/item.h"

#include <string.h>

#include "crypto/assert.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum { ITEM_FIELDS = 5, STATEMENT_FIELDS = 2 };

/* What the AEAD authenticates besides the text: an item moved elsewhere does not open. */
static void
associated_data(const struct ilea_place *place, const struct ilea_audience_id *audience,
                const struct ilea_epoch_id *epoch, uint8_t data[ILEA_ITEM_DATA_SIZE])
{
    uint8_t *at = data;
    memcpy(at, place->network->bytes, 32);
    at += 32;
    memcpy(at, place->feed->bytes, 32);
    at += 32;
    for (int shift = 56; shift >= 0; shift -= 8) *at++ = (uint8_t)(place->seq >> shift);
    for (int shift = 56; shift >= 0; shift -= 8) *at++ = (uint8_t)((uint64_t)place->index >> shift);
    memcpy(at, audience->bytes, sizeof audience->bytes);
    at += sizeof audience->bytes;
    memcpy(at, epoch->bytes, sizeof epoch->bytes);
    at += sizeof epoch->bytes;
    ilea_assert(at == data + ILEA_ITEM_DATA_SIZE);
}

enum ilea_error
ilea_item_decode(struct ilea_span input, struct ilea_item *item)
{
    if (input.size < ILEA_ITEM_SIZE_MIN) return ILEA_ERROR_MALFORMED;
    if (input.size > ILEA_ITEM_SIZE_MAX) return ILEA_ERROR_LIMIT;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    memset(item, 0, sizeof *item);

    uint32_t fields = ilea_msgpack_get_array(&reader, 16);
    item->flags = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    if (reader.failed) return ILEA_ERROR_MALFORMED;
    if ((item->flags & ~(uint32_t)(ILEA_ITEM_OPEN | ILEA_ITEM_CONTROL)) != 0) {
        return ILEA_ERROR_UNKNOWN;
    }
    if ((item->flags & ILEA_ITEM_CONTROL) != 0) {
        if (fields != STATEMENT_FIELDS || item->flags != ILEA_ITEM_CONTROL) {
            return ILEA_ERROR_MALFORMED;
        }
    } else {
        if (fields != ITEM_FIELDS) return ILEA_ERROR_MALFORMED;
        ilea_msgpack_get_bytes(&reader, item->audience.bytes, sizeof item->audience.bytes);
        ilea_msgpack_get_bytes(&reader, item->epoch.bytes, sizeof item->epoch.bytes);
        ilea_msgpack_get_bytes(&reader, item->nonce, sizeof item->nonce);
    }
    item->content = ilea_msgpack_get_bin(&reader, ILEA_ITEM_SIZE_MAX);
    if (!ilea_msgpack_reader_done(&reader)) return ILEA_ERROR_MALFORMED;
    if (fields == ITEM_FIELDS && item->content.size < ILEA_AEAD_OVERHEAD) {
        return ILEA_ERROR_MALFORMED;
    }
    return ILEA_ERROR_NONE;
}

/* Bytes of a bin header for `size` bytes of content. */
static size_t
bin_header(uint8_t header[5], size_t size)
{
    if (size <= UINT8_MAX) {
        header[0] = 0xc4;
        header[1] = (uint8_t)size;
        return 2;
    }
    if (size <= UINT16_MAX) {
        header[0] = 0xc5;
        header[1] = (uint8_t)(size >> 8);
        header[2] = (uint8_t)size;
        return 3;
    }
    header[0] = 0xc6;
    for (int i = 0; i < 4; i++) header[1 + i] = (uint8_t)(size >> (24 - 8 * i));
    return 5;
}

enum ilea_error
ilea_item_encrypt(const struct ilea_keyring *ring, const struct ilea_place *place, uint32_t flags,
                  const struct ilea_audience_id *audience, const struct ilea_epoch_id *epoch,
                  struct ilea_span plaintext, uint8_t *bytes, size_t capacity, size_t *size)
{
    ilea_assert((flags & ILEA_ITEM_CONTROL) == 0);
    if (plaintext.size > ILEA_CHANGE_SIZE_MAX) return ILEA_ERROR_LIMIT;
    uint8_t data[ILEA_ITEM_DATA_SIZE];
    associated_data(place, audience, epoch, data);

    /* The nonce is written after encrypting, so the fields are laid out by hand: fixed sizes all. */
    const size_t nonce_at = 1 + 1 + 18 + 18 + 2, content_at = nonce_at + ILEA_NONCE_SIZE;
    size_t content_size = plaintext.size + ILEA_AEAD_OVERHEAD;
    uint8_t header[5];
    size_t header_size = bin_header(header, content_size);
    if (capacity < content_at + header_size + content_size) return ILEA_ERROR_LIMIT;

    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    ilea_msgpack_put_array(&writer, ITEM_FIELDS);
    ilea_msgpack_put_uint(&writer, flags);
    ilea_msgpack_put_bin(&writer, audience->bytes, sizeof audience->bytes);
    ilea_msgpack_put_bin(&writer, epoch->bytes, sizeof epoch->bytes);
    bytes[writer.size] = 0xc4;
    bytes[writer.size + 1] = ILEA_NONCE_SIZE;
    ilea_assert(!writer.failed && writer.size + 2 == nonce_at);
    memcpy(bytes + content_at, header, header_size);

    enum ilea_error error =
        ilea_keyring_encrypt(ring, epoch, (struct ilea_span){ data, sizeof data }, plaintext,
                             bytes + nonce_at, bytes + content_at + header_size);
    if (error != ILEA_ERROR_NONE) return error;
    *size = content_at + header_size + content_size;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_item_decrypt(const struct ilea_keyring *ring, const struct ilea_place *place,
                  const struct ilea_item *item, uint8_t *plaintext, size_t *size)
{
    ilea_assert((item->flags & ILEA_ITEM_CONTROL) == 0);
    uint8_t data[ILEA_ITEM_DATA_SIZE];
    associated_data(place, &item->audience, &item->epoch, data);
    enum ilea_error error =
        ilea_keyring_decrypt(ring, &item->epoch, (struct ilea_span){ data, sizeof data },
                             item->nonce, item->content, plaintext);
    if (error != ILEA_ERROR_NONE) return error;
    *size = item->content.size - ILEA_AEAD_OVERHEAD;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_item_put_statement(struct ilea_span statement, uint8_t *bytes, size_t capacity, size_t *size)
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    ilea_msgpack_put_array(&writer, STATEMENT_FIELDS);
    ilea_msgpack_put_uint(&writer, ILEA_ITEM_CONTROL);
    ilea_msgpack_put_bin(&writer, statement.data, statement.size);
    if (writer.failed || writer.size > ILEA_ITEM_SIZE_MAX) return ILEA_ERROR_LIMIT;
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

void
ilea_item_leaf(uint32_t index, struct ilea_span item, uint8_t leaf[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_LEAF);
    ilea_hash_add_u64(&hasher, index);
    ilea_hash_add(&hasher, item.data, item.size);
    ilea_hash_end(&hasher, leaf);
}

static void
audience_of(struct ilea_span name, const struct ilea_network_id *network,
            const struct ilea_agency_id *agency, struct ilea_audience_id *audience)
{
    uint8_t hash[ILEA_HASH_SIZE];
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_AUDIENCE);
    ilea_hash_add(&hasher, network->bytes, sizeof network->bytes);
    ilea_hash_add(&hasher, agency->bytes, sizeof agency->bytes);
    ilea_hash_add(&hasher, name.data, name.size);
    ilea_hash_end(&hasher, hash);
    memcpy(audience->bytes, hash, sizeof audience->bytes);
}

void
ilea_audience_of_agency(const struct ilea_network_id *network, const struct ilea_agency_id *agency,
                        struct ilea_audience_id *audience)
{
    audience_of((struct ilea_span){ (const uint8_t *)"agency", 6 }, network, agency, audience);
}

void
ilea_audience_of_peers(const struct ilea_network_id *network, const struct ilea_agency_id *agency,
                       struct ilea_audience_id *audience)
{
    audience_of((struct ilea_span){ (const uint8_t *)"all-peers", 9 }, network, agency, audience);
}

void
ilea_audience_of_salt(const struct ilea_network_id *network, const struct ilea_agency_id *owner,
                      const uint8_t salt[ILEA_AUDIENCE_SALT_SIZE], struct ilea_audience_id *audience)
{
    audience_of((struct ilea_span){ salt, ILEA_AUDIENCE_SALT_SIZE }, network, owner, audience);
}
