/*
 * fuzz_receipt.c - the decoders of receipts and of what is sealed in them. The input is tried as it is, and as a list
 * of changes to a receipt that is good: what is then accepted under its signer's key must be that receipt.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "replication/record/receipt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ilea_network_id network = { { 1 } };
static struct ilea_sign_public node;
static uint8_t good[ILEA_RECEIPT_SIZE_MAX];
static size_t good_size;

static void
make_good(void)
{
    static uint8_t scratch[ILEA_RECEIPT_SIZE_MAX];
    const uint8_t body[] = { 0x94, 0x90, 0x90, 0x90, 0x90 };
    const struct ilea_receipt receipt = { .holder = { { 1 } }, .author = { { 2 } }, .counter = 1000 };
    struct ilea_reading_secret *reading = NULL;
    struct ilea_reading_public to;
    struct ilea_sign_secret *signer = NULL;
    ilea_assert(ilea_crypto_init() == ILEA_ERROR_NONE);
    ilea_assert(ilea_reading_generate(&reading, &to) == ILEA_ERROR_NONE);
    ilea_assert(ilea_sign_generate(&signer, &node) == ILEA_ERROR_NONE);
    ilea_assert(ilea_receipt_make(&receipt, (struct ilea_span){ body, sizeof body }, &network, &to, signer, scratch,
                                  good, &good_size) == ILEA_ERROR_NONE);
    ilea_reading_secret_free(reading);
    ilea_sign_secret_free(signer);
}

static bool
decodes(const uint8_t *data, size_t size)
{
    struct ilea_receipt receipt;
    if (ilea_receipt_decode((struct ilea_span){ data, size }, &receipt) != ILEA_ERROR_NONE) return false;
    ilea_assert(receipt.sealed.data >= data && receipt.sealed.data + receipt.sealed.size <= data + size);
    return ilea_receipt_verify(&receipt, &network, &node);
}

/* What is accepted keeps the rules. */
static void
decode_body(const uint8_t *data, size_t size)
{
    struct ilea_receipt_body body;
    if (ilea_receipt_body_decode((struct ilea_span){ data, size }, &body) != ILEA_ERROR_NONE) return;
    struct ilea_receipt_feed feed, last = { .held = 0 };
    for (uint32_t i = 0; i < body.feed_count; i++) {
        ilea_receipt_feed_next(&body.feeds, &feed);
        ilea_assert(feed.held > 0 && feed.seen <= feed.held);
        ilea_assert(i == 0 || memcmp(last.feed.bytes, feed.feed.bytes, sizeof feed.feed.bytes) < 0);
        last = feed;
    }
    for (uint32_t i = 0; i < body.unread_count; i++) {
        struct ilea_receipt_unread item;
        ilea_receipt_unread_next(&body.unread, &item);
        ilea_assert(item.why >= ILEA_UNREAD_KEY && item.why <= ILEA_UNREAD_REFUSED);
    }
    ilea_assert(!body.feeds.failed && !body.unread.failed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (good_size == 0) {
        make_good();
        ilea_assert(decodes(good, good_size));
    }
    ilea_assert(!decodes(data, size));
    decode_body(data, size);

    static uint8_t changed[sizeof good];
    memcpy(changed, good, good_size);
    for (size_t i = 0; i + 3 <= size; i += 3) { /* two bytes of place, one that is there then */
        changed[(size_t)(data[i] << 8 | data[i + 1]) % good_size] = data[i + 2];
    }
    if (decodes(changed, good_size)) ilea_assert(memcmp(changed, good, good_size) == 0);
    ilea_assert(!decodes(changed, size < good_size ? size : good_size - 1));
    return 0;
}
