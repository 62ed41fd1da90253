#include "replication/record/commit.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/msgpack_writer.h"

enum { HEADER_VERSION = 1, HEADER_SUITE = 1, HEADER_FIELDS = 9, COMMIT_FIELDS = 3 };

enum ilea_error
ilea_header_decode(struct ilea_span input, struct ilea_header *header)
{
    if (input.size > ILEA_HEADER_SIZE_MAX) return ILEA_ERROR_LIMIT;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);

    uint32_t fields = ilea_msgpack_get_array(&reader, 32);
    uint64_t version = ilea_msgpack_get_uint(&reader);
    uint64_t suite = ilea_msgpack_get_uint(&reader);
    if (reader.failed) return ILEA_ERROR_MALFORMED;
    if (version != HEADER_VERSION || suite != HEADER_SUITE) return ILEA_ERROR_UNKNOWN;
    if (fields != HEADER_FIELDS) return ILEA_ERROR_MALFORMED;

    ilea_msgpack_get_bytes(&reader, header->feed.bytes, sizeof header->feed.bytes);
    header->seq = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, header->prev.bytes, sizeof header->prev.bytes);
    ilea_msgpack_get_bytes(&reader, header->items_root, sizeof header->items_root);
    header->item_count = ilea_msgpack_get_uint32(&reader, ILEA_COMMIT_ITEMS_MAX);
    uint64_t kind = ilea_msgpack_get_uint(&reader);
    uint32_t crit_count = ilea_msgpack_get_array(&reader, ILEA_HEADER_CRIT_MAX);
    for (uint32_t i = 0; i < crit_count; i++) (void)ilea_msgpack_get_uint(&reader);
    if (!ilea_msgpack_reader_done(&reader)) return ILEA_ERROR_MALFORMED;
    if (crit_count > 0 || (kind != ILEA_COMMIT_OPEN && kind != ILEA_COMMIT_DATA)) {
        return ILEA_ERROR_UNKNOWN;
    }
    header->kind = (enum ilea_commit_kind)kind;

    bool first = header->seq == 1;
    if (header->seq == 0 || header->item_count == 0 || first != (kind == ILEA_COMMIT_OPEN)
        || first != sodium_is_zero(header->prev.bytes, sizeof header->prev.bytes)) {
        return ILEA_ERROR_MALFORMED;
    }
    return ILEA_ERROR_NONE;
}

struct ilea_span
ilea_slot_next(struct ilea_msgpack_reader *reader)
{
    struct ilea_span slot = ilea_msgpack_get_bin(reader, ILEA_ITEM_SIZE_MAX);
    if (slot.size < ILEA_HASH_SIZE) reader->failed = true;
    return slot;
}

enum ilea_error
ilea_commit_decode(struct ilea_span input, struct ilea_commit *commit)
{
    if (input.size > ILEA_COMMIT_SIZE_MAX) return ILEA_ERROR_LIMIT;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    ilea_msgpack_expect_array(&reader, COMMIT_FIELDS);
    commit->header_bytes = ilea_msgpack_get_bin(&reader, ILEA_HEADER_SIZE_MAX);
    if (reader.failed) return ILEA_ERROR_MALFORMED;
    /* The header first: in another suite the signature has another size. */
    enum ilea_error error = ilea_header_decode(commit->header_bytes, &commit->header);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_msgpack_get_bytes(&reader, commit->signature.bytes, sizeof commit->signature.bytes);
    uint32_t count = ilea_msgpack_get_array(&reader, ILEA_COMMIT_ITEMS_MAX);
    if (count != commit->header.item_count) return ILEA_ERROR_MALFORMED;

    commit->slots = (struct ilea_span){ reader.next, reader.left };
    for (uint32_t i = 0; i < count && !reader.failed; i++) (void)ilea_slot_next(&reader);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_commit_id_of(struct ilea_span header_bytes, struct ilea_commit_id *id)
{
    ilea_hash_once(ILEA_DOMAIN_COMMIT, header_bytes.data, header_bytes.size, id->bytes);
}

enum ilea_error
ilea_commit_check_items(const struct ilea_commit *commit)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, commit->slots);
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_ITEMS);
    for (uint32_t i = 0; i < commit->header.item_count; i++) {
        struct ilea_span slot = ilea_slot_next(&reader);
        if (reader.failed) return ILEA_ERROR_MALFORMED;
        uint8_t leaf[ILEA_HASH_SIZE];
        if (slot.size == ILEA_HASH_SIZE) {
            memcpy(leaf, slot.data, sizeof leaf);
        } else {
            ilea_item_leaf(i, slot, leaf);
        }
        ilea_hash_add(&hasher, leaf, sizeof leaf);
    }
    uint8_t root[ILEA_HASH_SIZE];
    ilea_hash_end(&hasher, root);
    bool equal = sodium_memcmp(root, commit->header.items_root, sizeof root) == 0;
    return equal ? ILEA_ERROR_NONE : ILEA_ERROR_BAD_HASH;
}

enum ilea_error
ilea_commit_blank(struct ilea_span input, const bool *blank, uint8_t *bytes, size_t *size, uint32_t *blanked)
{
    struct ilea_commit commit;
    if (ilea_commit_decode(input, &commit) != ILEA_ERROR_NONE) return ILEA_ERROR_MALFORMED;
    struct ilea_msgpack_writer writer;
    struct ilea_msgpack_reader slots;
    ilea_msgpack_writer_init(&writer, bytes, input.size);
    ilea_msgpack_put_raw(&writer, (struct ilea_span){ input.data, input.size - commit.slots.size });
    ilea_msgpack_reader_init(&slots, commit.slots);
    *blanked = 0;
    for (uint32_t i = 0; i < commit.header.item_count; i++) {
        struct ilea_span slot = ilea_slot_next(&slots);
        struct ilea_item item;
        uint8_t leaf[ILEA_HASH_SIZE];
        bool goes = blank[i] && slot.size > ILEA_HASH_SIZE
            && !(ilea_item_decode(slot, &item) == ILEA_ERROR_NONE && (item.flags & ILEA_ITEM_CONTROL) != 0);
        if (goes) {
            ilea_item_leaf(i, slot, leaf);
            slot = (struct ilea_span){ leaf, sizeof leaf };
            (*blanked)++;
        }
        ilea_msgpack_put_bin(&writer, slot.data, slot.size);
    }
    ilea_assert(!writer.failed); /* no slot grew */
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_commit_verify(const struct ilea_commit *commit, const struct ilea_commit_id *id,
                   const struct ilea_network_id *network, const struct ilea_sign_public *node)
{
    bool good = ilea_sign_verify(node, ILEA_DOMAIN_COMMIT_SIG, network,
                                 (struct ilea_span){ id->bytes, sizeof id->bytes },
                                 &commit->signature);
    return good ? ILEA_ERROR_NONE : ILEA_ERROR_BAD_SIGNATURE;
}

struct ilea_commit_builder {
    const struct ilea_network_id *network;
    struct ilea_header header;
    struct ilea_hasher leaves;
    uint32_t count;
    size_t slots_size;
    uint8_t slots[ILEA_COMMIT_SIZE_MAX];
    uint8_t commit[ILEA_COMMIT_SIZE_MAX];
    uint8_t item[ILEA_ITEM_SIZE_MAX];
};

/* Header, signature and the arrays around them take less than this. */
enum { COMMIT_FRAME_SIZE = ILEA_HEADER_SIZE_MAX + 128 };

enum ilea_error
ilea_commit_builder_new(struct ilea_commit_builder **builder)
{
    *builder = malloc(sizeof **builder);
    return *builder != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
}

void
ilea_commit_builder_free(struct ilea_commit_builder *builder)
{
    free(builder);
}

void
ilea_commit_begin(struct ilea_commit_builder *builder, const struct ilea_network_id *network,
                  const struct ilea_feed_id *feed, uint64_t seq, const struct ilea_commit_id *prev)
{
    builder->network = network;
    builder->header = (struct ilea_header){
        .feed = *feed, .seq = seq, .prev = *prev,
        .kind = seq == 1 ? ILEA_COMMIT_OPEN : ILEA_COMMIT_DATA };
    builder->count = 0;
    builder->slots_size = 0;
    ilea_hash_begin(&builder->leaves, ILEA_DOMAIN_ITEMS);
}

uint32_t
ilea_commit_item_count(const struct ilea_commit_builder *builder)
{
    return builder->count;
}

/* Append the item in builder->item as the next slot. */
static enum ilea_error
add_slot(struct ilea_commit_builder *builder, size_t size, uint8_t leaf[ILEA_HASH_SIZE])
{
    ilea_assert(size >= ILEA_ITEM_SIZE_MIN);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, builder->slots + builder->slots_size,
                             sizeof builder->slots - COMMIT_FRAME_SIZE - builder->slots_size);
    ilea_msgpack_put_bin(&writer, builder->item, size);
    if (writer.failed || builder->count == ILEA_COMMIT_ITEMS_MAX) return ILEA_ERROR_FULL;

    ilea_item_leaf(builder->count, (struct ilea_span){ builder->item, size }, leaf);
    ilea_hash_add(&builder->leaves, leaf, ILEA_HASH_SIZE);
    builder->slots_size += writer.size;
    builder->count++;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_commit_add_change(struct ilea_commit_builder *builder, const struct ilea_keyring *ring,
                       uint32_t flags, const struct ilea_audience_id *audience,
                       const struct ilea_epoch_id *epoch, struct ilea_span plaintext,
                       uint8_t leaf[ILEA_HASH_SIZE])
{
    /* Asked first, because encrypting what then does not fit would be work for nothing. */
    size_t room = sizeof builder->slots - COMMIT_FRAME_SIZE - builder->slots_size;
    if (builder->count > 0 && plaintext.size + ILEA_ITEM_OVERHEAD_MAX + 5 > room) {
        return ILEA_ERROR_FULL;
    }
    const struct ilea_place place = { builder->network, &builder->header.feed, builder->header.seq,
                                      builder->count };
    size_t size = 0;
    enum ilea_error error = ilea_item_encrypt(ring, &place, flags, audience, epoch, plaintext,
                                              builder->item, sizeof builder->item, &size);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t own_leaf[ILEA_HASH_SIZE];
    return add_slot(builder, size, leaf != NULL ? leaf : own_leaf);
}

enum ilea_error
ilea_commit_add_statement(struct ilea_commit_builder *builder, struct ilea_span statement)
{
    size_t size = 0;
    enum ilea_error error =
        ilea_item_put_statement(statement, builder->item, sizeof builder->item, &size);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t leaf[ILEA_HASH_SIZE];
    return add_slot(builder, size, leaf);
}

static void
put_header(struct ilea_msgpack_writer *writer, const struct ilea_header *header)
{
    ilea_msgpack_put_array(writer, HEADER_FIELDS);
    ilea_msgpack_put_uint(writer, HEADER_VERSION);
    ilea_msgpack_put_uint(writer, HEADER_SUITE);
    ilea_msgpack_put_bin(writer, header->feed.bytes, sizeof header->feed.bytes);
    ilea_msgpack_put_uint(writer, header->seq);
    ilea_msgpack_put_bin(writer, header->prev.bytes, sizeof header->prev.bytes);
    ilea_msgpack_put_bin(writer, header->items_root, sizeof header->items_root);
    ilea_msgpack_put_uint(writer, header->item_count);
    ilea_msgpack_put_uint(writer, header->kind);
    ilea_msgpack_put_array(writer, 0);
}

void
ilea_commit_end(struct ilea_commit_builder *builder, const struct ilea_sign_secret *node,
                struct ilea_span *commit, struct ilea_commit_id *id)
{
    ilea_assert(builder->count > 0);
    builder->header.item_count = builder->count;
    ilea_hash_end(&builder->leaves, builder->header.items_root);

    uint8_t header[ILEA_HEADER_SIZE_MAX];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, header, sizeof header);
    put_header(&writer, &builder->header);
    ilea_assert(!writer.failed);
    ilea_commit_id_of(ilea_msgpack_written(&writer), id);

    struct ilea_signature signature;
    ilea_sign(node, ILEA_DOMAIN_COMMIT_SIG, builder->network,
              (struct ilea_span){ id->bytes, sizeof id->bytes }, &signature);

    size_t header_size = writer.size;
    ilea_msgpack_writer_init(&writer, builder->commit, sizeof builder->commit);
    ilea_msgpack_put_array(&writer, COMMIT_FIELDS);
    ilea_msgpack_put_bin(&writer, header, header_size);
    ilea_msgpack_put_bin(&writer, signature.bytes, sizeof signature.bytes);
    ilea_msgpack_put_array(&writer, builder->count);
    ilea_msgpack_put_raw(&writer, (struct ilea_span){ builder->slots, builder->slots_size });
    ilea_assert(!writer.failed);
    *commit = ilea_msgpack_written(&writer);
}
