#include "replication/record/statement.h"

#include <stdlib.h>
#include <string.h>

enum {
    OPENING_FIELDS = 6,
    CLOSED_OPENING_FIELDS = 8, /* of scope 3 */
    POSITION_FIELDS = 3,
    EPOCH_FIELDS = 6,
    HISTORY_FIELDS = 3,
    KEY_FIELDS = 2
};

void
ilea_feed_id_of(const struct ilea_network_id *network, const struct ilea_feed_origin *origin,
                struct ilea_feed_id *feed)
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FEED);
    ilea_hash_add(&hasher, network->bytes, sizeof network->bytes);
    ilea_hash_add(&hasher, origin->agency.bytes, sizeof origin->agency.bytes);
    ilea_hash_add(&hasher, origin->node.bytes, sizeof origin->node.bytes);
    ilea_hash_add(&hasher, origin->incarnation, sizeof origin->incarnation);
    ilea_hash_add_u64(&hasher, origin->scope);
    if (origin->scope == ILEA_SCOPE_AUDIENCE) {
        ilea_hash_add(&hasher, origin->audience.bytes, sizeof origin->audience.bytes);
    }
    ilea_hash_end(&hasher, feed->bytes);
}

void
ilea_dot_feed_of(const struct ilea_feed_id *feed, uint8_t dot_feed[16])
{
    memcpy(dot_feed, feed->bytes, 16);
}

enum ilea_error
ilea_statement_kind_of(struct ilea_span input, enum ilea_statement_kind *kind)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    (void)ilea_msgpack_get_array(&reader, 64);
    uint64_t value = ilea_msgpack_get_uint(&reader);
    if (reader.failed || value == 0) return ILEA_ERROR_MALFORMED;
    if (value > ILEA_STATEMENT_WRITER) return ILEA_ERROR_UNKNOWN;
    *kind = (enum ilea_statement_kind)value;
    return ILEA_ERROR_NONE;
}

void
ilea_statement_begin(struct ilea_msgpack_reader *reader, struct ilea_span input, uint32_t fields,
                     enum ilea_statement_kind kind)
{
    ilea_msgpack_reader_init(reader, input);
    ilea_msgpack_expect_array(reader, fields);
    if (ilea_msgpack_get_uint(reader) != kind) reader->failed = true;
}

void
ilea_position_get(struct ilea_msgpack_reader *reader, struct ilea_position *position)
{
    ilea_msgpack_expect_array(reader, POSITION_FIELDS);
    ilea_msgpack_get_bytes(reader, position->feed.bytes, sizeof position->feed.bytes);
    position->seq = ilea_msgpack_get_uint(reader);
    ilea_msgpack_get_bytes(reader, position->id.bytes, sizeof position->id.bytes);
    if (position->seq == 0) reader->failed = true;
}

struct ilea_span
ilea_positions_get(struct ilea_msgpack_reader *reader, uint32_t count)
{
    const uint8_t *start = reader->next;
    struct ilea_position positions[2];
    for (uint32_t i = 0; i < count && !reader->failed; i++) {
        ilea_position_get(reader, &positions[i % 2]);
        if (i > 0 && memcmp(positions[(i + 1) % 2].feed.bytes, positions[i % 2].feed.bytes,
                            sizeof positions[0].feed.bytes) >= 0) {
            reader->failed = true;
        }
    }
    if (reader->failed) return (struct ilea_span){ NULL, 0 };
    return (struct ilea_span){ start, (size_t)(reader->next - start) };
}

void
ilea_position_put(struct ilea_msgpack_writer *writer, const struct ilea_position *position)
{
    ilea_msgpack_put_array(writer, POSITION_FIELDS);
    ilea_msgpack_put_bin(writer, position->feed.bytes, sizeof position->feed.bytes);
    ilea_msgpack_put_uint(writer, position->seq);
    ilea_msgpack_put_bin(writer, position->id.bytes, sizeof position->id.bytes);
}

enum ilea_error
ilea_opening_decode(struct ilea_span input, const struct ilea_network_id *network,
                    struct ilea_opening *opening)
{
    struct ilea_msgpack_reader reader;
    memset(opening, 0, sizeof *opening);
    ilea_msgpack_reader_init(&reader, input);
    uint32_t fields = ilea_msgpack_get_array(&reader, CLOSED_OPENING_FIELDS);
    if (ilea_msgpack_get_uint(&reader) != ILEA_STATEMENT_OPENING) return ILEA_ERROR_MALFORMED;
    struct ilea_feed_origin *origin = &opening->origin;
    ilea_msgpack_get_bytes(&reader, origin->agency.bytes, sizeof origin->agency.bytes);
    ilea_msgpack_get_bytes(&reader, origin->node.bytes, sizeof origin->node.bytes);
    ilea_msgpack_get_bytes(&reader, origin->incarnation, sizeof origin->incarnation);
    uint32_t scope = ilea_msgpack_get_uint32(&reader, ILEA_SCOPE_CONTROL);
    opening->predecessor_count = ilea_msgpack_get_array(&reader, ILEA_PREDECESSORS_MAX);
    bool closed = scope == ILEA_SCOPE_AUDIENCE;
    if (reader.failed || scope == 0 || fields != (closed ? CLOSED_OPENING_FIELDS : OPENING_FIELDS)) {
        return ILEA_ERROR_MALFORMED;
    }
    origin->scope = (enum ilea_scope)scope;

    opening->predecessors = ilea_positions_get(&reader, opening->predecessor_count);
    if (closed) {
        ilea_msgpack_get_bytes(&reader, opening->owner.bytes, sizeof opening->owner.bytes);
        ilea_msgpack_get_bytes(&reader, opening->salt, sizeof opening->salt);
        if (network != NULL) ilea_audience_of_salt(network, &opening->owner, opening->salt, &origin->audience);
    }
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

struct ilea_span
ilea_ascending_bins_get(struct ilea_msgpack_reader *reader, uint32_t count, uint32_t size)
{
    const uint8_t *start = reader->next;
    struct ilea_span before = { NULL, 0 };
    for (uint32_t i = 0; i < count && !reader->failed; i++) {
        struct ilea_span bin = ilea_msgpack_get_bin(reader, size);
        if (bin.size != size || (i > 0 && memcmp(before.data, bin.data, size) >= 0)) {
            reader->failed = true;
        }
        before = bin;
    }
    if (reader->failed) return (struct ilea_span){ NULL, 0 };
    return (struct ilea_span){ start, (size_t)(reader->next - start) };
}

enum ilea_error
ilea_epoch_decode(struct ilea_span input, struct ilea_epoch_statement *epoch)
{
    struct ilea_msgpack_reader reader;
    ilea_statement_begin(&reader, input, EPOCH_FIELDS, ILEA_STATEMENT_EPOCH);
    ilea_msgpack_get_bytes(&reader, epoch->audience.bytes, sizeof epoch->audience.bytes);
    epoch->number = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, epoch->aek_commit, sizeof epoch->aek_commit);
    epoch->head_count = ilea_msgpack_get_array(&reader, ILEA_HEADS_MAX);
    epoch->heads = ilea_ascending_bins_get(&reader, epoch->head_count, 32);
    epoch->wrapped_count = ilea_msgpack_get_array(&reader, ILEA_MEMBERS_MAX);
    epoch->wrapped = ilea_ascending_bins_get(&reader, epoch->wrapped_count, ILEA_WRAPPED_KEY_SIZE);
    if (epoch->number == 0) reader.failed = true;
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_history_get_key(struct ilea_msgpack_reader *reader, uint8_t aek_commit[ILEA_HASH_SIZE],
                     uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE])
{
    ilea_msgpack_expect_array(reader, KEY_FIELDS);
    ilea_msgpack_get_bytes(reader, aek_commit, ILEA_HASH_SIZE);
    ilea_msgpack_get_bytes(reader, wrapped, ILEA_WRAPPED_KEY_SIZE);
}

enum ilea_error
ilea_history_decode(struct ilea_span input, struct ilea_history_statement *history)
{
    struct ilea_msgpack_reader reader;
    ilea_statement_begin(&reader, input, HISTORY_FIELDS, ILEA_STATEMENT_HISTORY);
    ilea_msgpack_get_bytes(&reader, history->audience.bytes, sizeof history->audience.bytes);
    history->key_count = ilea_msgpack_get_array(&reader, ILEA_HISTORY_KEYS_MAX);
    history->keys = (struct ilea_span){ reader.next, reader.left };
    for (uint32_t i = 0; i < history->key_count && !reader.failed; i++) {
        uint8_t aek_commit[ILEA_HASH_SIZE], wrapped[ILEA_WRAPPED_KEY_SIZE];
        ilea_history_get_key(&reader, aek_commit, wrapped);
    }
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_opening_put(struct ilea_msgpack_writer *writer, const struct ilea_opening *opening,
                 const struct ilea_position *predecessors, uint32_t count)
{
    const struct ilea_feed_origin *origin = &opening->origin;
    bool closed = origin->scope == ILEA_SCOPE_AUDIENCE;
    ilea_msgpack_put_array(writer, closed ? CLOSED_OPENING_FIELDS : OPENING_FIELDS);
    ilea_msgpack_put_uint(writer, ILEA_STATEMENT_OPENING);
    ilea_msgpack_put_bin(writer, origin->agency.bytes, sizeof origin->agency.bytes);
    ilea_msgpack_put_bin(writer, origin->node.bytes, sizeof origin->node.bytes);
    ilea_msgpack_put_bin(writer, origin->incarnation, sizeof origin->incarnation);
    ilea_msgpack_put_uint(writer, origin->scope);
    ilea_msgpack_put_array(writer, count);
    for (uint32_t i = 0; i < count; i++) ilea_position_put(writer, &predecessors[i]);
    if (!closed) return;
    ilea_msgpack_put_bin(writer, opening->owner.bytes, sizeof opening->owner.bytes);
    ilea_msgpack_put_bin(writer, opening->salt, sizeof opening->salt);
}

static int
compare_wrapped(const void *a, const void *b)
{
    return memcmp(a, b, ILEA_WRAPPED_KEY_SIZE);
}

void
ilea_wrapped_put(struct ilea_msgpack_writer *writer, uint8_t *wrapped, uint32_t count)
{
    if (count > 0) qsort(wrapped, count, ILEA_WRAPPED_KEY_SIZE, compare_wrapped);
    ilea_msgpack_put_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        ilea_msgpack_put_bin(writer, wrapped + (size_t)i * ILEA_WRAPPED_KEY_SIZE, ILEA_WRAPPED_KEY_SIZE);
    }
}

void
ilea_epoch_put(struct ilea_msgpack_writer *writer, const struct ilea_audience_id *audience,
               uint64_t number, const uint8_t aek_commit[ILEA_HASH_SIZE],
               const struct ilea_commit_id *heads, uint32_t head_count, uint8_t *wrapped,
               uint32_t wrapped_count)
{
    ilea_msgpack_put_array(writer, EPOCH_FIELDS);
    ilea_msgpack_put_uint(writer, ILEA_STATEMENT_EPOCH);
    ilea_msgpack_put_bin(writer, audience->bytes, sizeof audience->bytes);
    ilea_msgpack_put_uint(writer, number);
    ilea_msgpack_put_bin(writer, aek_commit, ILEA_HASH_SIZE);
    ilea_msgpack_put_array(writer, head_count);
    for (uint32_t i = 0; i < head_count; i++) ilea_msgpack_put_bin(writer, heads[i].bytes, 32);
    ilea_wrapped_put(writer, wrapped, wrapped_count);
}

void
ilea_history_put_head(struct ilea_msgpack_writer *writer, const struct ilea_audience_id *audience,
                      uint32_t key_count)
{
    ilea_msgpack_put_array(writer, HISTORY_FIELDS);
    ilea_msgpack_put_uint(writer, ILEA_STATEMENT_HISTORY);
    ilea_msgpack_put_bin(writer, audience->bytes, sizeof audience->bytes);
    ilea_msgpack_put_array(writer, key_count);
}

void
ilea_history_put_key(struct ilea_msgpack_writer *writer, const uint8_t aek_commit[ILEA_HASH_SIZE],
                     const uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE])
{
    ilea_msgpack_put_array(writer, KEY_FIELDS);
    ilea_msgpack_put_bin(writer, aek_commit, ILEA_HASH_SIZE);
    ilea_msgpack_put_bin(writer, wrapped, ILEA_WRAPPED_KEY_SIZE);
}
