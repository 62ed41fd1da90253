#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/record/manifest.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum { CARD_VERSION = 2, CARD_FIELDS = 6, LINE_SIZE = 72, TEXT_SIZE_MAX = 2 * ILEA_CARD_SIZE_MAX };

/* Does each of the `count` manifests follow the one before, from index 0? The last is decoded into *last. */
static enum ilea_error
check_chain(struct ilea_span chain, uint32_t count, struct ilea_manifest *last)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, chain);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_manifest prev = { .index = 0 };
        if (i > 0) prev = *last;
        struct ilea_span manifest = ilea_msgpack_get_bin(&reader, ILEA_MANIFEST_SIZE_MAX);
        enum ilea_error error = ilea_manifest_decode(manifest, last);
        if (error != ILEA_ERROR_NONE) return error;
        bool follows = i == 0 ? last->index == 0
                              : ilea_manifest_succession(&prev, last) != ILEA_SUCCESSION_NONE;
        if (!follows) return ILEA_ERROR_MALFORMED;
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_card_encode(const struct ilea_span *chain, uint32_t count, struct ilea_span endpoint,
                 struct ilea_span lobby, uint64_t made_ms, const struct ilea_sign_secret *node,
                 uint8_t *bytes, size_t capacity, size_t *size)
{
    if (count == 0 || count > ILEA_CARD_CHAIN_MAX || !ilea_endpoint_is_valid(endpoint)
        || !ilea_endpoint_is_valid(lobby)) {
        return ILEA_ERROR_INVALID;
    }
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity < ILEA_CARD_SIZE_MAX ? capacity : ILEA_CARD_SIZE_MAX);
    ilea_msgpack_put_array(&writer, CARD_FIELDS);
    ilea_msgpack_put_uint(&writer, CARD_VERSION);
    ilea_msgpack_put_array(&writer, count);
    size_t start = writer.size;
    for (uint32_t i = 0; i < count; i++) ilea_msgpack_put_bin(&writer, chain[i].data, chain[i].size);
    size_t end = writer.size;
    ilea_msgpack_put_str(&writer, endpoint);
    ilea_msgpack_put_str(&writer, lobby);
    ilea_msgpack_put_uint(&writer, made_ms);
    if (writer.failed) return ILEA_ERROR_LIMIT;

    struct ilea_manifest last;
    struct ilea_sign_public node_public;
    ilea_sign_secret_public(node, &node_public);
    if (check_chain((struct ilea_span){ bytes + start, end - start }, count, &last) != ILEA_ERROR_NONE
        || memcmp(last.node.bytes, node_public.bytes, sizeof node_public.bytes) != 0) {
        return ILEA_ERROR_INVALID;
    }
    uint8_t hash[ILEA_HASH_SIZE];
    ilea_hash_once(ILEA_DOMAIN_CARD, bytes, writer.size, hash);
    struct ilea_signature signature;
    ilea_sign(node, ILEA_DOMAIN_CARD, &last.network, (struct ilea_span){ hash, sizeof hash }, &signature);
    ilea_msgpack_put_bin(&writer, signature.bytes, sizeof signature.bytes);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

/* The signed manifests at the reader, unread but for where they end. */
static void
get_chain(struct ilea_msgpack_reader *reader, struct ilea_card *card)
{
    card->chain_count = ilea_msgpack_get_array(reader, ILEA_CARD_CHAIN_MAX);
    const uint8_t *start = reader->next;
    for (uint32_t i = 0; i < card->chain_count; i++) {
        (void)ilea_msgpack_get_bin(reader, ILEA_MANIFEST_SIZE_MAX);
    }
    card->chain = (struct ilea_span){ start, (size_t)(reader->next - start) };
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
    get_chain(&reader, card);
    card->endpoint = ilea_msgpack_get_str(&reader, ILEA_ENDPOINT_SIZE_MAX);
    card->lobby = ilea_msgpack_get_str(&reader, ILEA_ENDPOINT_SIZE_MAX);
    card->made_ms = ilea_msgpack_get_uint(&reader);
    card->size = input.size;
    size_t signed_size = (size_t)(reader.next - input.data);
    struct ilea_signature signature;
    ilea_msgpack_get_bytes(&reader, signature.bytes, sizeof signature.bytes);
    if (!ilea_msgpack_reader_done(&reader) || card->chain_count == 0
        || !ilea_endpoint_is_valid(card->endpoint) || !ilea_endpoint_is_valid(card->lobby)) {
        return ILEA_ERROR_MALFORMED;
    }
    enum ilea_error error = check_chain(card->chain, card->chain_count, &card->manifest);
    if (error != ILEA_ERROR_NONE) return error;
    card->agency = card->manifest.id;
    ilea_manifest_roots_hash(&card->manifest, card->roots_hash);

    uint8_t hash[ILEA_HASH_SIZE];
    ilea_hash_once(ILEA_DOMAIN_CARD, input.data, signed_size, hash);
    bool good = ilea_sign_verify(&card->manifest.node, ILEA_DOMAIN_CARD, &card->manifest.network,
                                 (struct ilea_span){ hash, sizeof hash }, &signature);
    return good ? ILEA_ERROR_NONE : ILEA_ERROR_BAD_SIGNATURE;
}

/* An endpoint as people read it. */
static struct ilea_span
shown(struct ilea_span endpoint)
{
    return endpoint.size > 0 ? endpoint : (struct ilea_span){ (const uint8_t *)"none", 4 };
}

enum ilea_error
ilea_card_format(const struct ilea_card *card, struct ilea_span bytes, char *text, size_t capacity,
                 size_t *size)
{
    char fingerprint[ILEA_FINGERPRINT_SIZE];
    ilea_fingerprint(card->agency.bytes, fingerprint);
    const struct ilea_manifest *manifest = &card->manifest;
    struct ilea_span endpoint = shown(card->endpoint), lobby = shown(card->lobby);
    int length = snprintf(text, capacity,
                          "-----BEGIN ILEANET CARD-----\n"
                          "Agency:      %.*s (%.*s) %.*s\n"
                          "Fingerprint: %s\n"
                          "Endpoint:    %.*s\n"
                          "Lobby:       %.*s\n\n",
                          (int)manifest->code.size, (const char *)manifest->code.data,
                          (int)manifest->country.size, (const char *)manifest->country.data,
                          (int)manifest->name.size, (const char *)manifest->name.data, fingerprint,
                          (int)endpoint.size, (const char *)endpoint.data, (int)lobby.size,
                          (const char *)lobby.data);
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

/* `plain`: normalised, `size` bytes and a NUL. `again` has room for a text. */
static enum ilea_error
parse_plain(const char *plain, size_t size, char *again, uint8_t *bytes, struct ilea_card *card)
{
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
    error = ilea_card_format(card, card_bytes, again, TEXT_SIZE_MAX, &again_size);
    if (error != ILEA_ERROR_NONE) return error;
    bool same = again_size == size + 1 && memcmp(plain, again, size) == 0;
    return same ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

enum ilea_error
ilea_card_parse(struct ilea_span text, uint8_t *bytes, struct ilea_card *card)
{
    if (text.size >= TEXT_SIZE_MAX) return ILEA_ERROR_LIMIT;
    char *plain = malloc(2 * (size_t)TEXT_SIZE_MAX);
    if (plain == NULL) return ILEA_ERROR_NO_MEMORY;
    size_t size = normalise(text, plain);
    plain[size] = '\0';
    enum ilea_error error = parse_plain(plain, size, plain + TEXT_SIZE_MAX, bytes, card);
    free(plain);
    return error;
}
