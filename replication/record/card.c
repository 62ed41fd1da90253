#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "replication/record/manifest.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum { CARD_VERSION = 1, CARD_FIELDS = 5, LINE_SIZE = 72 };

static void
put_unsigned(struct ilea_msgpack_writer *writer, struct ilea_span signed_manifest,
             struct ilea_span endpoint, uint64_t made_ms)
{
    ilea_msgpack_put_array(writer, CARD_FIELDS);
    ilea_msgpack_put_uint(writer, CARD_VERSION);
    ilea_msgpack_put_bin(writer, signed_manifest.data, signed_manifest.size);
    ilea_msgpack_put_str(writer, endpoint);
    ilea_msgpack_put_uint(writer, made_ms);
}

enum ilea_error
ilea_card_encode(struct ilea_span signed_manifest, struct ilea_span endpoint, uint64_t made_ms,
                 const struct ilea_network_id *network, const struct ilea_sign_secret *node,
                 uint8_t *bytes, size_t capacity, size_t *size)
{
    if (!ilea_endpoint_is_valid(endpoint)) return ILEA_ERROR_INVALID;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    put_unsigned(&writer, signed_manifest, endpoint, made_ms);
    if (writer.failed) return ILEA_ERROR_LIMIT;

    uint8_t hash[ILEA_HASH_SIZE];
    ilea_hash_once(ILEA_DOMAIN_CARD, bytes, writer.size, hash);
    struct ilea_signature signature;
    ilea_sign(node, ILEA_DOMAIN_CARD, network, (struct ilea_span){ hash, sizeof hash }, &signature);
    ilea_msgpack_put_bin(&writer, signature.bytes, sizeof signature.bytes);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_card_decode(struct ilea_span input, struct ilea_card *card)
{
    if (input.size > ILEA_CARD_SIZE_MAX) return ILEA_ERROR_LIMIT;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    uint32_t fields = ilea_msgpack_get_array(&reader, 32);
    uint64_t version = ilea_msgpack_get_uint(&reader);
    if (!reader.failed && version != CARD_VERSION) return ILEA_ERROR_UNKNOWN;
    if (fields != CARD_FIELDS) return ILEA_ERROR_MALFORMED;
    card->signed_manifest = ilea_msgpack_get_bin(&reader, ILEA_MANIFEST_SIZE_MAX);
    card->endpoint = ilea_msgpack_get_str(&reader, ILEA_ENDPOINT_SIZE_MAX);
    card->made_ms = ilea_msgpack_get_uint(&reader);
    card->size = input.size;
    size_t signed_size = (size_t)(reader.next - input.data);
    struct ilea_signature signature;
    ilea_msgpack_get_bytes(&reader, signature.bytes, sizeof signature.bytes);
    if (!ilea_msgpack_reader_done(&reader) || !ilea_endpoint_is_valid(card->endpoint)) {
        return ILEA_ERROR_MALFORMED;
    }
    enum ilea_error error =
        ilea_manifest_decode(card->signed_manifest, &card->manifest, &card->agency);
    if (error != ILEA_ERROR_NONE) return error;

    uint8_t hash[ILEA_HASH_SIZE];
    ilea_hash_once(ILEA_DOMAIN_CARD, input.data, signed_size, hash);
    bool good = ilea_sign_verify(&card->manifest.node, ILEA_DOMAIN_CARD, &card->manifest.network,
                                 (struct ilea_span){ hash, sizeof hash }, &signature);
    return good ? ILEA_ERROR_NONE : ILEA_ERROR_BAD_SIGNATURE;
}

enum ilea_error
ilea_card_format(const struct ilea_card *card, struct ilea_span bytes, char *text, size_t capacity,
                 size_t *size)
{
    char fingerprint[ILEA_FINGERPRINT_SIZE];
    ilea_fingerprint(card->agency.bytes, fingerprint);
    const struct ilea_manifest *manifest = &card->manifest;
    int length = snprintf(text, capacity,
                          "-----BEGIN ILEANET CARD-----\n"
                          "Agency:      %.*s (%.*s) %.*s\n"
                          "Fingerprint: %s\n"
                          "Endpoint:    %.*s\n\n",
                          (int)manifest->code.size, (const char *)manifest->code.data,
                          (int)manifest->country.size, (const char *)manifest->country.data,
                          (int)manifest->name.size, (const char *)manifest->name.data, fingerprint,
                          card->endpoint.size > 0 ? (int)card->endpoint.size : 4,
                          card->endpoint.size > 0 ? (const char *)card->endpoint.data : "none");
    if (length < 0 || (size_t)length >= capacity) return ILEA_ERROR_LIMIT;
    size_t at = (size_t)length;

    char line[sodium_base64_ENCODED_LEN(LINE_SIZE / 4 * 3, sodium_base64_VARIANT_ORIGINAL)];
    for (size_t from = 0; from < bytes.size; from += LINE_SIZE / 4 * 3) {
        size_t part = bytes.size - from;
        if (part > LINE_SIZE / 4 * 3) part = LINE_SIZE / 4 * 3;
        sodium_bin2base64(line, sizeof line, bytes.data + from, part,
                          sodium_base64_VARIANT_ORIGINAL);
        length = snprintf(text + at, capacity - at, "%s\n", line);
        if (length < 0 || (size_t)length >= capacity - at) return ILEA_ERROR_LIMIT;
        at += (size_t)length;
    }
    length = snprintf(text + at, capacity - at, "-----END ILEANET CARD-----\n");
    if (length < 0 || (size_t)length >= capacity - at) return ILEA_ERROR_LIMIT;
    *size = at + (size_t)length;
    return ILEA_ERROR_NONE;
}

/* Copy without carriage returns and without blanks at the end of lines or file: mail adds those. */
static size_t
normalise(struct ilea_span text, char *plain)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = (char)text.data[i];
        if (c == '\n') {
            while (size > 0 && (plain[size - 1] == ' ' || plain[size - 1] == '\t')) size--;
        }
        if (c != '\r') plain[size++] = c;
    }
    while (size > 0 && memchr(" \t\n", plain[size - 1], 3) != NULL) size--;
    return size;
}

enum ilea_error
ilea_card_parse(struct ilea_span text, uint8_t *bytes, struct ilea_card *card)
{
    char plain[2 * ILEA_CARD_SIZE_MAX], again[2 * ILEA_CARD_SIZE_MAX];
    if (text.size >= sizeof plain) return ILEA_ERROR_LIMIT;
    size_t size = normalise(text, plain);
    plain[size] = '\0';
    if (memchr(plain, '\0', size) != NULL) return ILEA_ERROR_MALFORMED;

    const char *begin = strstr(plain, "\n\n");
    const char *end = begin != NULL ? strstr(begin, "-----END") : NULL; /* a name may say it, too */
    if (end == NULL) return ILEA_ERROR_MALFORMED;
    size_t decoded = 0;
    if (sodium_base642bin(bytes, ILEA_CARD_SIZE_MAX, begin, (size_t)(end - begin), "\n", &decoded,
                          NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
        return ILEA_ERROR_MALFORMED;
    }
    struct ilea_span card_bytes = { bytes, decoded };
    enum ilea_error error = ilea_card_decode(card_bytes, card);
    if (error != ILEA_ERROR_NONE) return error;

    size_t again_size = 0;
    error = ilea_card_format(card, card_bytes, again, sizeof again, &again_size);
    if (error != ILEA_ERROR_NONE) return error;
    bool same = again_size == size + 1 && memcmp(plain, again, size) == 0;
    return same ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}
