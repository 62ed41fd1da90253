/*
 * fuzz_card.c - the decoder of cards and of their text: neither accepts what was
 * not signed, and a text that is accepted is, but for blanks, the one that the
 * card's bytes give. The input is tried as it is and as changes to a good text.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "replication/record/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t good[ILEA_CARD_SIZE_MAX];
static char good_text[2 * ILEA_CARD_SIZE_MAX];
static size_t good_size, good_text_size;

/* A card of one agency with one root, fresh keys and two manifests, and its text. */
static void
make_good(void)
{
    static uint8_t signed_manifest[ILEA_MANIFEST_SIZE_MAX];
    struct ilea_manifest manifest = { .threshold = 1, .root_count = 1 };
    struct ilea_sign_secret *root = NULL, *node = NULL;
    struct ilea_reading_secret *reading = NULL;
    struct ilea_transport_secret *transport = NULL;
    struct ilea_card card;
    size_t size = 0;
    ilea_assert(ilea_crypto_init() == ILEA_ERROR_NONE);
    ilea_assert(ilea_sign_generate(&root, &manifest.roots[0]) == ILEA_ERROR_NONE);
    ilea_assert(ilea_sign_generate(&node, &manifest.node) == ILEA_ERROR_NONE);
    ilea_assert(ilea_reading_generate(&reading, &manifest.reading) == ILEA_ERROR_NONE);
    ilea_assert(ilea_transport_generate(&transport, &manifest.transport) == ILEA_ERROR_NONE);
    manifest.code = (struct ilea_span){ (const uint8_t *)"FR-PN", 5 };
    manifest.country = (struct ilea_span){ (const uint8_t *)"FR", 2 };
    manifest.name = (struct ilea_span){ (const uint8_t *)"name", 4 };
    const struct ilea_sign_secret *roots[] = { root };
    ilea_assert(ilea_manifest_encode(&manifest, node, roots, signed_manifest,
                                     sizeof signed_manifest, &size) == ILEA_ERROR_NONE);
    struct ilea_span endpoint = { (const uint8_t *)"tcp://a:1", 9 }, lobby = { (const uint8_t *)"tcp://a:2", 9 };
    uint8_t second[2048];
    struct ilea_span chain[2] = { { signed_manifest, size }, { second, 0 } };
    manifest.index = 1;
    manifest.agency = manifest.id;
    memcpy(manifest.prev, manifest.hash, sizeof manifest.prev);
    ilea_assert(ilea_manifest_encode(&manifest, node, roots, second, sizeof second, &chain[1].size)
                == ILEA_ERROR_NONE);
    ilea_assert(ilea_card_encode(chain, 2, endpoint, lobby, 1, node, good, sizeof good, &good_size)
                == ILEA_ERROR_NONE);
    struct ilea_span bytes = { good, good_size };
    ilea_assert(ilea_card_decode(bytes, &card) == ILEA_ERROR_NONE);
    ilea_assert(ilea_card_format(&card, bytes, good_text, sizeof good_text, &good_text_size)
                == ILEA_ERROR_NONE);
    ilea_sign_secret_free(root);
    ilea_sign_secret_free(node);
    ilea_reading_secret_free(reading);
    ilea_transport_secret_free(transport);
}

/* Accepted, and then its text is read as the same card. */
static bool
decodes(const uint8_t *data, size_t size)
{
    static uint8_t bytes[ILEA_CARD_SIZE_MAX];
    static char text[2 * ILEA_CARD_SIZE_MAX];
    struct ilea_card card, again;
    size_t text_size = 0;
    struct ilea_span input = { data, size };
    if (ilea_card_decode(input, &card) != ILEA_ERROR_NONE) return false;
    ilea_assert(ilea_card_format(&card, input, text, sizeof text, &text_size) == ILEA_ERROR_NONE);
    ilea_assert(ilea_card_parse((struct ilea_span){(const uint8_t *)text, text_size}, bytes,
                                &again) == ILEA_ERROR_NONE);
    ilea_assert(memcmp(bytes, data, size) == 0);
    return true;
}

static void
check_changed(const uint8_t *data, size_t size)
{
    if (decodes(data, size)) ilea_assert(size == good_size && memcmp(data, good, size) == 0);
}

static size_t
without_white(const uint8_t *text, size_t size, uint8_t *out)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        if (memchr(" \t\r\n", text[i], 4) == NULL) out[count++] = text[i];
    }
    return count;
}

static bool
parses(const uint8_t *data, size_t size, uint8_t bytes[ILEA_CARD_SIZE_MAX])
{
    struct ilea_card card;
    return ilea_card_parse((struct ilea_span){ data, size }, bytes, &card) == ILEA_ERROR_NONE;
}

static void
check_changed_text(const uint8_t *data, size_t size)
{
    static uint8_t bytes[ILEA_CARD_SIZE_MAX];
    static uint8_t ours[sizeof good_text], theirs[sizeof good_text];
    if (!parses(data, size, bytes)) return;
    ilea_assert(memcmp(bytes, good, good_size) == 0);
    size_t count = without_white((const uint8_t *)good_text, good_text_size, ours);
    ilea_assert(without_white(data, size, theirs) == count);
    ilea_assert(memcmp(ours, theirs, count) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (good_size == 0) make_good();
    static uint8_t bytes[ILEA_CARD_SIZE_MAX];
    (void)decodes(data, size);
    (void)parses(data, size, bytes);

    uint8_t changed[4096];
    ilea_assert(good_text_size <= sizeof changed && good_size <= sizeof changed);
    memcpy(changed, good_text, good_text_size);
    for (size_t i = 0; i + 3 <= size; i += 3) { /* two bytes of place, one that is there then */
        changed[(size_t)(data[i] << 8 | data[i + 1]) % good_text_size] = data[i + 2];
    }
    check_changed_text(changed, good_text_size);
    memcpy(changed, good, good_size);
    for (size_t i = 0; i + 3 <= size; i += 3) {
        changed[(size_t)(data[i] << 8 | data[i + 1]) % good_size] = data[i + 2];
    }
    check_changed(changed, good_size);
    return 0;
}
