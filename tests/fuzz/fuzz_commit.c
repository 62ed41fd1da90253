/*
 * fuzz_commit.c - the decoder of commits: whatever it accepts can be walked to
 * its end and encodes to the same bytes; a signature that nobody made does not
 * verify; what is left of it without some items is as good; what the builder makes of any items is accepted.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "replication/record/commit.h"
#include "replication/record/msgpack_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ilea_network_id network = { { 1 } };
static const struct ilea_feed_id feed = { { 2 } };

static struct ilea_sign_secret *
node_secret(struct ilea_sign_public *public_key)
{
    static struct ilea_sign_secret *node;
    if (node == NULL) {
        ilea_assert(ilea_crypto_init() == ILEA_ERROR_NONE);
        ilea_assert(ilea_sign_generate(&node, public_key) == ILEA_ERROR_NONE);
    }
    ilea_sign_secret_public(node, public_key);
    return node;
}

static enum ilea_error
verify(const struct ilea_commit *commit)
{
    struct ilea_sign_public node;
    struct ilea_commit_id id;
    (void)node_secret(&node);
    ilea_commit_id_of(commit->header_bytes, &id);
    return ilea_commit_verify(commit, &id, &network, &node);
}

static void
decode(const uint8_t *data, size_t size)
{
    struct ilea_commit commit;
    if (ilea_commit_decode((struct ilea_span){ data, size }, &commit) != ILEA_ERROR_NONE) return;
    const struct ilea_header *header = &commit.header;
    ilea_assert(header->seq > 0 && (header->seq == 1) == (header->kind == ILEA_COMMIT_OPEN));
    ilea_assert(header->item_count >= 1 && header->item_count <= ILEA_COMMIT_ITEMS_MAX);

    uint8_t *again = malloc(size);
    if (again == NULL) abort();
    struct ilea_msgpack_writer writer;
    struct ilea_msgpack_reader slots;
    ilea_msgpack_writer_init(&writer, again, size);
    ilea_msgpack_put_array(&writer, 3);
    ilea_msgpack_put_bin(&writer, commit.header_bytes.data, commit.header_bytes.size);
    ilea_msgpack_put_bin(&writer, commit.signature.bytes, sizeof commit.signature.bytes);
    ilea_msgpack_put_array(&writer, header->item_count);
    ilea_msgpack_reader_init(&slots, commit.slots);
    for (uint32_t i = 0; i < header->item_count; i++) {
        struct ilea_span slot = ilea_slot_next(&slots);
        ilea_assert(slot.size >= ILEA_HASH_SIZE);
        ilea_msgpack_put_bin(&writer, slot.data, slot.size);
    }
    ilea_assert(ilea_msgpack_reader_done(&slots));
    ilea_assert(!writer.failed && writer.size == size);
    ilea_assert(memcmp(again, data, size) == 0);
    free(again);
    enum ilea_error error = ilea_commit_check_items(&commit);
    ilea_assert(error == ILEA_ERROR_NONE || error == ILEA_ERROR_BAD_HASH);
    ilea_assert(verify(&commit) == ILEA_ERROR_BAD_SIGNATURE);
}

/* Without some of its items a commit is as good as before, and no longer. */
static void
blank(const uint8_t *data, size_t size)
{
    struct ilea_commit commit;
    bool which[ILEA_COMMIT_ITEMS_MAX];
    size_t left = 0;
    uint32_t blanked = 0;
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL) abort();
    for (uint32_t i = 0; i < ILEA_COMMIT_ITEMS_MAX; i++) which[i] = size > 0 && (data[i % size] & 1) != 0;
    const struct ilea_span input = { data, size };
    enum ilea_error error = ilea_commit_blank(input, which, bytes, &left, &blanked);
    ilea_assert((error == ILEA_ERROR_NONE) == (ilea_commit_decode(input, &commit) == ILEA_ERROR_NONE));
    if (error == ILEA_ERROR_NONE) {
        enum ilea_error before = ilea_commit_check_items(&commit);
        ilea_assert(left <= size);
        ilea_assert(ilea_commit_decode((struct ilea_span){ bytes, left }, &commit) == ILEA_ERROR_NONE);
        ilea_assert(ilea_commit_check_items(&commit) == before);
    }
    free(bytes);
}

/* The input cut into statements; the commit of them verifies. */
static void
build(const uint8_t *data, size_t size)
{
    static struct ilea_commit_builder *builder;
    struct ilea_commit_id prev = { { 3 } }, id;
    struct ilea_sign_public node;
    struct ilea_span bytes;
    struct ilea_commit commit;
    if (builder == NULL) ilea_assert(ilea_commit_builder_new(&builder) == ILEA_ERROR_NONE);
    ilea_commit_begin(builder, &network, &feed, 2, &prev);
    uint32_t count = 0;
    while (size > 64 && count < 64) {
        size_t part = 40 + data[0];
        if (part > size) part = size;
        ilea_assert(ilea_commit_add_statement(builder, (struct ilea_span){ data, part })
                    == ILEA_ERROR_NONE);
        data += part;
        size -= part;
        count++;
    }
    if (count == 0) return;
    ilea_commit_end(builder, node_secret(&node), &bytes, &id);
    ilea_assert(ilea_commit_decode(bytes, &commit) == ILEA_ERROR_NONE);
    ilea_assert(commit.header.item_count == count);
    ilea_assert(ilea_commit_check_items(&commit) == ILEA_ERROR_NONE);
    ilea_assert(verify(&commit) == ILEA_ERROR_NONE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size);
    blank(data, size);
    build(data, size);
    return 0;
}
