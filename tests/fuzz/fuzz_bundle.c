/*
 * fuzz_bundle.c - the decoders of bundles: the input is taken for each thing that a file holds, and as changes to a
 * whole file that is good: no changed file may open to anything but what was put in.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "replication/record/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHUNKS = 3, BODY = 50, CHUNK_SIZE = 4 + ILEA_NONCE_SIZE + 4 + BODY + ILEA_AEAD_OVERHEAD };

static uint8_t good[ILEA_BUNDLE_PRELUDE_SIZE + ILEA_BUNDLE_HEADER_MAX + CHUNKS * (CHUNK_SIZE + 8)];
static size_t good_size, header_end;
static struct ilea_sign_public node;
static struct ilea_keyring *ring;

static void
make_good(void)
{
    struct ilea_bundle_header header = { .network = { { 1 } }, .part = 3, .id = { { 9 } } };
    struct ilea_reading_secret *reading = NULL;
    struct ilea_sign_secret *secret = NULL;
    struct ilea_reading_public to;
    struct ilea_epoch_id key;
    uint8_t body[BODY] = { 0 }, plain[BODY + 16];
    size_t size = 0;
    ilea_assert(ilea_crypto_init() == ILEA_ERROR_NONE);
    ilea_assert(ilea_sign_generate(&secret, &node) == ILEA_ERROR_NONE);
    ilea_assert(ilea_reading_generate(&reading, &to) == ILEA_ERROR_NONE);
    ilea_assert(ilea_keyring_new(1, &ring) == ILEA_ERROR_NONE);
    ilea_assert(ilea_keyring_generate(ring, &header.network, &header.id, header.aek_commit) == ILEA_ERROR_NONE);
    memcpy(key.bytes, header.aek_commit, sizeof key.bytes);
    ilea_assert(ilea_keyring_wrap(ring, &key, &header.network, &header.id, &to, header.wrapped) == ILEA_ERROR_NONE);
    ilea_assert(ilea_bundle_header_encode(&header, secret, good + ILEA_BUNDLE_PRELUDE_SIZE, ILEA_BUNDLE_HEADER_MAX,
                                          &size) == ILEA_ERROR_NONE);
    ilea_bundle_prelude_encode(size, good);
    header_end = good_size = ILEA_BUNDLE_PRELUDE_SIZE + size;
    for (uint64_t i = 0; i < CHUNKS; i++) {
        body[0] = (uint8_t)i;
        ilea_assert(ilea_bundle_content_encode(ILEA_BUNDLE_FORK, (struct ilea_span){ body, sizeof body }, plain,
                                               sizeof plain, &size) == ILEA_ERROR_NONE);
        ilea_assert(ilea_bundle_chunk_seal(ring, &header, i, i + 1 == CHUNKS, (struct ilea_span){ plain, size },
                                           good + good_size + 4) == ILEA_ERROR_NONE);
        size += ILEA_NONCE_SIZE + ILEA_AEAD_OVERHEAD;
        good[good_size + 3] = (uint8_t)size;
        good_size += 4 + size;
    }
    ilea_reading_secret_free(reading);
    ilea_sign_secret_free(secret);
}

/* All of a file: header signed, chunks opened, contents as they were put in. */
static bool
opens(const uint8_t *data, size_t size)
{
    struct ilea_bundle_header header;
    size_t header_size = 0, at = ILEA_BUNDLE_PRELUDE_SIZE;
    if (size < at || ilea_bundle_prelude_decode(data, &header_size) != ILEA_ERROR_NONE) return false;
    if (size - at < header_size) return false;
    const struct ilea_span bytes = { data + at, header_size };
    if (ilea_bundle_header_decode(bytes, &header) != ILEA_ERROR_NONE) return false;
    if (!ilea_bundle_header_verify(&header, &node)) return false;
    at += header_size;
    for (uint64_t number = 0; at < size; number++) {
        uint8_t plain[1024];
        struct ilea_span text = { plain, 0 }, body;
        uint32_t type;
        if (size - at < 4) return false;
        size_t chunk = (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 | (size_t)data[at + 2] << 8 | data[at + 3];
        at += 4;
        if (chunk > size - at || chunk > sizeof plain) return false;
        const struct ilea_span sealed = { data + at, chunk };
        at += chunk;
        if (ilea_bundle_chunk_open(ring, &header, number, at == size, sealed, plain, &text.size) != ILEA_ERROR_NONE) {
            return false;
        }
        ilea_assert(ilea_bundle_content_decode(text, &type, &body) == ILEA_ERROR_NONE);
        ilea_assert(type == ILEA_BUNDLE_FORK && body.size == BODY && body.data[0] == number);
    }
    return at > header_end;
}

static void
decode_all(struct ilea_span input)
{
    struct ilea_bundle_header header;
    struct ilea_bundle_totals totals;
    struct ilea_bundle_frontier frontier;
    struct ilea_span body;
    uint32_t type;
    if (ilea_bundle_header_decode(input, &header) == ILEA_ERROR_NONE) ilea_assert(header.part > 0);
    if (ilea_bundle_content_decode(input, &type, &body) == ILEA_ERROR_NONE) ilea_assert(body.size < input.size);
    if (ilea_bundle_totals_decode(input, &totals) == ILEA_ERROR_NONE) {
        ilea_assert(!totals.has_after || totals.after.seq > 0);
    }
    if (ilea_bundle_frontier_decode(input, &frontier) != ILEA_ERROR_NONE) return;
    for (uint32_t i = 0; i < frontier.count; i++) {
        struct ilea_position position;
        ilea_position_get(&frontier.positions, &position);
        ilea_assert(!frontier.positions.failed);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (good_size == 0) {
        make_good();
        ilea_assert(opens(good, good_size));
    }
    decode_all((struct ilea_span){ data, size });
    (void)opens(data, size);

    uint8_t changed[sizeof good];
    memcpy(changed, good, good_size);
    for (size_t i = 0; i + 3 <= size; i += 3) { /* two bytes of place, one that is there then */
        changed[(size_t)(data[i] << 8 | data[i + 1]) % good_size] = data[i + 2];
    }
    if (opens(changed, good_size)) ilea_assert(memcmp(changed, good, good_size) == 0);
    ilea_assert(!opens(good, size < good_size ? size : good_size - 1));
    return 0;
}
