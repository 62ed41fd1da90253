/*
 * fuzz_item.c - the decoder of items: whatever it accepts encodes to the same
 * bytes from the fields that were found, and does not open under any key.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "replication/record/item.h"
#include "replication/record/msgpack_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ilea_network_id network = { { 1 } };
static const struct ilea_feed_id feed = { { 2 } };

/* Under a key that the ring does hold: nobody made this item with it. */
static void
check_does_not_open(struct ilea_item item)
{
    static struct ilea_keyring *ring;
    static struct ilea_epoch_id epoch;
    if (ring == NULL) {
        uint8_t aek_commit[ILEA_HASH_SIZE];
        ilea_assert(ilea_crypto_init() == ILEA_ERROR_NONE);
        ilea_assert(ilea_keyring_new(1, &ring) == ILEA_ERROR_NONE);
        ilea_assert(ilea_keyring_generate(ring, &network, &item.audience, aek_commit)
                    == ILEA_ERROR_NONE);
        memcpy(epoch.bytes, aek_commit, sizeof epoch.bytes);
    }
    const struct ilea_place place = { &network, &feed, 7, 3 };
    uint8_t *plaintext = malloc(item.content.size);
    if (plaintext == NULL) abort();
    size_t size = 0;
    item.epoch = epoch;
    ilea_assert(ilea_item_decrypt(ring, &place, &item, plaintext, &size) == ILEA_ERROR_BAD_HASH);
    free(plaintext);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ilea_item item;
    if (ilea_item_decode((struct ilea_span){ data, size }, &item) != ILEA_ERROR_NONE) return 0;
    bool is_statement = item.flags == ILEA_ITEM_CONTROL;
    ilea_assert(size >= ILEA_ITEM_SIZE_MIN && size <= ILEA_ITEM_SIZE_MAX);
    uint8_t *again = malloc(size);
    if (again == NULL) abort();
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, size);
    ilea_msgpack_put_array(&writer, is_statement ? 2 : 5);
    ilea_msgpack_put_uint(&writer, item.flags);
    if (!is_statement) {
        ilea_msgpack_put_bin(&writer, item.audience.bytes, sizeof item.audience.bytes);
        ilea_msgpack_put_bin(&writer, item.epoch.bytes, sizeof item.epoch.bytes);
        ilea_msgpack_put_bin(&writer, item.nonce, sizeof item.nonce);
        check_does_not_open(item);
    }
    ilea_msgpack_put_bin(&writer, item.content.data, item.content.size);
    ilea_assert(!writer.failed && writer.size == size);
    ilea_assert(memcmp(again, data, size) == 0);
    free(again);
    return 0;
}
