#include "replication/record/bundle.h"

#include <string.h>

#include "crypto/assert.h"
#include "replication/record/msgpack_writer.h"

enum { HEADER_VERSION = 1, HEADER_FIELDS = 11, FIELDS_MAX = 32, TOTALS_FIELDS = 3, AFTER_FIELDS = 4,
       DATA_SIZE_MAX = 64 + ILEA_ID_SIZE + ILEA_AUDIENCE_ID_SIZE + 8 + 8 + 1, TYPE_MAX = 1000 };

static const uint8_t magic[8] = { 'I', 'L', 'E', 'A', 'B', 'N', 'D', 'L' };

enum ilea_error
ilea_bundle_prelude_decode(const uint8_t prelude[ILEA_BUNDLE_PRELUDE_SIZE], size_t *header_size)
{
    if (memcmp(prelude, magic, sizeof magic) != 0) return ILEA_ERROR_MALFORMED;
    size_t size = 0;
    for (unsigned i = sizeof magic; i < ILEA_BUNDLE_PRELUDE_SIZE; i++) size = size << 8 | prelude[i];
    if (size == 0 || size > ILEA_BUNDLE_HEADER_MAX) return ILEA_ERROR_MALFORMED;
    *header_size = size;
    return ILEA_ERROR_NONE;
}

void
ilea_bundle_prelude_encode(size_t header_size, uint8_t prelude[ILEA_BUNDLE_PRELUDE_SIZE])
{
    ilea_assert(header_size <= ILEA_BUNDLE_HEADER_MAX);
    memcpy(prelude, magic, sizeof magic);
    for (unsigned i = 0; i < 4; i++) prelude[sizeof magic + i] = (uint8_t)(header_size >> (24 - 8 * i));
}

enum ilea_error
ilea_bundle_header_decode(struct ilea_span input, struct ilea_bundle_header *header)
{
    if (input.size > ILEA_BUNDLE_HEADER_MAX) return ILEA_ERROR_MALFORMED;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    uint32_t fields = ilea_msgpack_get_array(&reader, FIELDS_MAX);
    uint64_t version = ilea_msgpack_get_uint(&reader);
    if (!reader.failed && version != HEADER_VERSION) return ILEA_ERROR_UNKNOWN;
    if (fields != HEADER_FIELDS) return ILEA_ERROR_MALFORMED;
    ilea_msgpack_get_bytes(&reader, header->network.bytes, sizeof header->network.bytes);
    ilea_msgpack_get_bytes(&reader, header->from.bytes, sizeof header->from.bytes);
    header->manifest = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, header->to.bytes, sizeof header->to.bytes);
    ilea_msgpack_get_bytes(&reader, header->id.bytes, sizeof header->id.bytes);
    header->part = ilea_msgpack_get_uint32(&reader, ILEA_BUNDLE_PARTS_MAX);
    header->made_ms = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, header->aek_commit, sizeof header->aek_commit);
    ilea_msgpack_get_bytes(&reader, header->wrapped, sizeof header->wrapped);
    size_t signed_size = (size_t)(reader.next - input.data);
    ilea_msgpack_get_bytes(&reader, header->signature.bytes, sizeof header->signature.bytes);
    if (!ilea_msgpack_reader_done(&reader) || header->part == 0) return ILEA_ERROR_MALFORMED;
    ilea_hash_once(ILEA_DOMAIN_BUNDLE, input.data, signed_size, header->hash);
    return ILEA_ERROR_NONE;
}

bool
ilea_bundle_header_verify(const struct ilea_bundle_header *header, const struct ilea_sign_public *node)
{
    return ilea_sign_verify(node, ILEA_DOMAIN_BUNDLE_SIG, &header->network,
                            (struct ilea_span){ header->hash, sizeof header->hash }, &header->signature);
}

enum ilea_error
ilea_bundle_header_encode(struct ilea_bundle_header *header, const struct ilea_sign_secret *node, uint8_t *bytes,
                          size_t capacity, size_t *size)
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    ilea_msgpack_put_array(&writer, HEADER_FIELDS);
    ilea_msgpack_put_uint(&writer, HEADER_VERSION);
    ilea_msgpack_put_bin(&writer, header->network.bytes, sizeof header->network.bytes);
    ilea_msgpack_put_bin(&writer, header->from.bytes, sizeof header->from.bytes);
    ilea_msgpack_put_uint(&writer, header->manifest);
    ilea_msgpack_put_bin(&writer, header->to.bytes, sizeof header->to.bytes);
    ilea_msgpack_put_bin(&writer, header->id.bytes, sizeof header->id.bytes);
    ilea_msgpack_put_uint(&writer, header->part);
    ilea_msgpack_put_uint(&writer, header->made_ms);
    ilea_msgpack_put_bin(&writer, header->aek_commit, sizeof header->aek_commit);
    ilea_msgpack_put_bin(&writer, header->wrapped, sizeof header->wrapped);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    ilea_hash_once(ILEA_DOMAIN_BUNDLE, bytes, writer.size, header->hash);
    ilea_sign(node, ILEA_DOMAIN_BUNDLE_SIG, &header->network, (struct ilea_span){ header->hash, sizeof header->hash },
              &header->signature);
    ilea_msgpack_put_bin(&writer, header->signature.bytes, sizeof header->signature.bytes);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

static void
put_u64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) at[i] = (uint8_t)(value >> (56 - 8 * i));
}

/* Where a chunk belongs: what its encryption is bound to. */
static size_t
put_place(const struct ilea_bundle_header *header, uint64_t number, bool last, uint8_t data[static DATA_SIZE_MAX])
{
    struct ilea_span text = ilea_domain_text(ILEA_DOMAIN_BUNDLE);
    size_t at = 0;
    data[at++] = (uint8_t)text.size;
    memcpy(data + at, text.data, text.size);
    at += text.size;
    memcpy(data + at, header->network.bytes, ILEA_ID_SIZE);
    at += ILEA_ID_SIZE;
    memcpy(data + at, header->id.bytes, ILEA_AUDIENCE_ID_SIZE);
    at += ILEA_AUDIENCE_ID_SIZE;
    put_u64(data + at, header->part);
    put_u64(data + at + 8, number);
    at += 16;
    data[at++] = last ? 1 : 0;
    return at;
}

static struct ilea_epoch_id
key_of(const struct ilea_bundle_header *header)
{
    struct ilea_epoch_id key;
    memcpy(key.bytes, header->aek_commit, sizeof key.bytes);
    return key;
}

enum ilea_error
ilea_bundle_chunk_seal(const struct ilea_keyring *ring, const struct ilea_bundle_header *header, uint64_t number,
                       bool last, struct ilea_span plain, uint8_t *chunk)
{
    uint8_t data[DATA_SIZE_MAX];
    if (plain.size > ILEA_BUNDLE_PLAIN_MAX) return ILEA_ERROR_LIMIT;
    const struct ilea_span place = { data, put_place(header, number, last, data) };
    const struct ilea_epoch_id key = key_of(header);
    return ilea_keyring_encrypt(ring, &key, place, plain, chunk, chunk + ILEA_NONCE_SIZE);
}

enum ilea_error
ilea_bundle_chunk_open(const struct ilea_keyring *ring, const struct ilea_bundle_header *header, uint64_t number,
                       bool last, struct ilea_span chunk, uint8_t *plain, size_t *plain_size)
{
    uint8_t data[DATA_SIZE_MAX];
    if (chunk.size > ILEA_BUNDLE_CHUNK_MAX) return ILEA_ERROR_LIMIT;
    if (chunk.size < ILEA_NONCE_SIZE + ILEA_AEAD_OVERHEAD) return ILEA_ERROR_MALFORMED;
    const struct ilea_span place = { data, put_place(header, number, last, data) };
    const struct ilea_span ciphertext = { chunk.data + ILEA_NONCE_SIZE, chunk.size - ILEA_NONCE_SIZE };
    const struct ilea_epoch_id key = key_of(header);
    enum ilea_error error = ilea_keyring_decrypt(ring, &key, place, chunk.data, ciphertext, plain);
    if (error == ILEA_ERROR_NONE) *plain_size = ciphertext.size - ILEA_AEAD_OVERHEAD;
    return error;
}

enum ilea_error
ilea_bundle_content_decode(struct ilea_span plain, uint32_t *type, struct ilea_span *body)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, plain);
    ilea_msgpack_expect_array(&reader, 2);
    *type = ilea_msgpack_get_uint32(&reader, TYPE_MAX);
    *body = ilea_msgpack_get_bin(&reader, ILEA_BUNDLE_PLAIN_MAX);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

enum ilea_error
ilea_bundle_content_encode(enum ilea_bundle_type type, struct ilea_span body, uint8_t *plain, size_t capacity,
                           size_t *size)
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, plain, capacity < ILEA_BUNDLE_PLAIN_MAX ? capacity : ILEA_BUNDLE_PLAIN_MAX);
    ilea_msgpack_put_array(&writer, 2);
    ilea_msgpack_put_uint(&writer, type);
    ilea_msgpack_put_bin(&writer, body.data, body.size);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_bundle_totals_decode(struct ilea_span body, struct ilea_bundle_totals *totals)
{
    struct ilea_msgpack_reader reader;
    *totals = (struct ilea_bundle_totals){ .has_after = false };
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, TOTALS_FIELDS);
    totals->commits = ilea_msgpack_get_uint(&reader);
    totals->bytes = ilea_msgpack_get_uint(&reader);
    uint32_t fields = ilea_msgpack_get_array(&reader, AFTER_FIELDS);
    if (fields == AFTER_FIELDS) {
        totals->has_after = true;
        ilea_msgpack_get_bytes(&reader, totals->agency.bytes, sizeof totals->agency.bytes);
        ilea_msgpack_get_bytes(&reader, totals->after.feed.bytes, sizeof totals->after.feed.bytes);
        totals->after.seq = ilea_msgpack_get_uint(&reader);
        ilea_msgpack_get_bytes(&reader, totals->after.id.bytes, sizeof totals->after.id.bytes);
    }
    bool good = ilea_msgpack_reader_done(&reader) && (fields == 0 || fields == AFTER_FIELDS)
        && (!totals->has_after || totals->after.seq > 0);
    return good ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

enum ilea_error
ilea_bundle_totals_encode(const struct ilea_bundle_totals *totals, uint8_t *body, size_t capacity, size_t *size)
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, body, capacity);
    ilea_msgpack_put_array(&writer, TOTALS_FIELDS);
    ilea_msgpack_put_uint(&writer, totals->commits);
    ilea_msgpack_put_uint(&writer, totals->bytes);
    ilea_msgpack_put_array(&writer, totals->has_after ? AFTER_FIELDS : 0);
    if (totals->has_after) {
        ilea_msgpack_put_bin(&writer, totals->agency.bytes, sizeof totals->agency.bytes);
        ilea_msgpack_put_bin(&writer, totals->after.feed.bytes, sizeof totals->after.feed.bytes);
        ilea_msgpack_put_uint(&writer, totals->after.seq);
        ilea_msgpack_put_bin(&writer, totals->after.id.bytes, sizeof totals->after.id.bytes);
    }
    if (writer.failed) return ILEA_ERROR_LIMIT;
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_bundle_frontier_decode(struct ilea_span body, struct ilea_bundle_frontier *frontier)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, 2);
    ilea_msgpack_get_bytes(&reader, frontier->agency.bytes, sizeof frontier->agency.bytes);
    frontier->count = ilea_msgpack_get_array(&reader, ILEA_BUNDLE_POSITIONS_MAX);
    ilea_msgpack_reader_init(&frontier->positions, ilea_positions_get(&reader, frontier->count));
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

enum ilea_error
ilea_bundle_frontier_encode(const struct ilea_agency_id *agency, const struct ilea_position *positions,
                            uint32_t count, uint8_t *body, size_t capacity, size_t *size)
{
    struct ilea_msgpack_writer writer;
    if (count > ILEA_BUNDLE_POSITIONS_MAX) return ILEA_ERROR_LIMIT;
    ilea_msgpack_writer_init(&writer, body, capacity);
    ilea_msgpack_put_array(&writer, 2);
    ilea_msgpack_put_bin(&writer, agency->bytes, sizeof agency->bytes);
    ilea_msgpack_put_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) ilea_position_put(&writer, &positions[i]);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    *size = writer.size;
    return ILEA_ERROR_NONE;
}
