#include "replication/record/manifest.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum { MANIFEST_VERSION = 1, MANIFEST_FIELDS = 14, SIGNED_FIELDS = 2, SIGNATURE_FIELDS = 2 };

bool
ilea_code_is_valid(struct ilea_span code)
{
    if (code.size < 2 || code.size > ILEA_CODE_SIZE_MAX) return false;
    for (size_t i = 0; i < code.size; i++) {
        uint8_t c = code.data[i];
        bool letter = c >= 'A' && c <= 'Z';
        bool other = (c >= '0' && c <= '9') || (c == '-' && i + 1 < code.size);
        if (!letter && (i == 0 || !other)) return false;
    }
    return true;
}

static bool
country_is_valid(struct ilea_span country)
{
    if (country.size < 2 || country.size > 3) return false;
    for (size_t i = 0; i < country.size; i++) {
        if (country.data[i] < 'A' || country.data[i] > 'Z') return false;
    }
    return true;
}

/* One line of readable text, not empty. */
static bool
name_is_valid(struct ilea_span name)
{
    return name.size > 0 && name.size <= ILEA_NAME_SIZE_MAX && ilea_text_is_valid(name)
        && memchr(name.data, '\n', name.size) == NULL && memchr(name.data, '\t', name.size) == NULL;
}

bool
ilea_endpoint_is_valid(struct ilea_span endpoint)
{
    static const char scheme[] = "tcp://";
    const size_t scheme_size = sizeof scheme - 1;
    if (endpoint.size == 0) return true;
    if (endpoint.size > ILEA_ENDPOINT_SIZE_MAX || endpoint.size < scheme_size + 3
        || memcmp(endpoint.data, scheme, scheme_size) != 0) {
        return false;
    }
    size_t colon = 0;
    for (size_t i = scheme_size; i < endpoint.size; i++) {
        uint8_t c = endpoint.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
            || c == '.' || c == '-' || c == ':' || c == '[' || c == ']' || c == '*';
        if (!plain) return false;
        if (c == ':') colon = i;
    }
    if (colon <= scheme_size || colon + 1 == endpoint.size || endpoint.size - colon > 6) return false;
    uint32_t port = 0;
    for (size_t i = colon + 1; i < endpoint.size; i++) {
        if (endpoint.data[i] < '0' || endpoint.data[i] > '9') return false;
        port = port * 10 + (uint32_t)(endpoint.data[i] - '0');
    }
    return port >= 1 && port <= 65535;
}

static int
compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, ILEA_SIGN_PUBLIC_SIZE);
}

void
ilea_roots_hash(uint32_t threshold, struct ilea_sign_public *roots, uint32_t count,
                uint8_t hash[ILEA_HASH_SIZE])
{
    qsort(roots, count, sizeof *roots, compare_keys);
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_ROOTS);
    ilea_hash_add_u64(&hasher, threshold);
    for (uint32_t i = 0; i < count; i++) ilea_hash_add(&hasher, roots[i].bytes, sizeof roots[i].bytes);
    ilea_hash_end(&hasher, hash);
}

/* What the node key signs to show that it is held by whoever made the manifest. */
static size_t
possession_message(const struct ilea_manifest *manifest, uint8_t message[(ILEA_ROOTS_MAX + 3) * 32])
{
    size_t size = 0;
    for (uint32_t i = 0; i < manifest->root_count; i++, size += 32) {
        memcpy(message + size, manifest->roots[i].bytes, 32);
    }
    memcpy(message + size, manifest->node.bytes, 32);
    memcpy(message + size + 32, manifest->transport.bytes, 32);
    memcpy(message + size + 64, manifest->reading.bytes, 32);
    return size + 96;
}

static void
get_manifest(struct ilea_msgpack_reader *reader, struct ilea_manifest *manifest,
             struct ilea_signature *pop)
{
    ilea_msgpack_get_bytes(reader, manifest->network.bytes, sizeof manifest->network.bytes);
    manifest->index = ilea_msgpack_get_uint(reader);
    ilea_msgpack_get_bytes(reader, manifest->prev, sizeof manifest->prev);
    manifest->code = ilea_msgpack_get_str(reader, ILEA_CODE_SIZE_MAX);
    manifest->country = ilea_msgpack_get_str(reader, 3);
    manifest->name = ilea_msgpack_get_str(reader, ILEA_NAME_SIZE_MAX);
    manifest->threshold = ilea_msgpack_get_uint32(reader, ILEA_ROOTS_MAX);
    manifest->root_count = ilea_msgpack_get_array(reader, ILEA_ROOTS_MAX);
    for (uint32_t i = 0; i < manifest->root_count; i++) {
        ilea_msgpack_get_bytes(reader, manifest->roots[i].bytes, sizeof manifest->roots[i].bytes);
    }
    ilea_msgpack_get_bytes(reader, manifest->next_roots, sizeof manifest->next_roots);
    ilea_msgpack_get_bytes(reader, manifest->node.bytes, sizeof manifest->node.bytes);
    ilea_msgpack_get_bytes(reader, manifest->transport.bytes, sizeof manifest->transport.bytes);
    ilea_msgpack_get_bytes(reader, manifest->reading.bytes, sizeof manifest->reading.bytes);
    ilea_msgpack_get_bytes(reader, pop->bytes, sizeof pop->bytes);
}

static bool
manifest_is_sound(const struct ilea_manifest *manifest)
{
    if (manifest->index != 0 || !sodium_is_zero(manifest->prev, sizeof manifest->prev)
        || !ilea_code_is_valid(manifest->code) || !country_is_valid(manifest->country)
        || !name_is_valid(manifest->name) || manifest->root_count == 0
        || manifest->root_count > ILEA_ROOTS_MAX || manifest->threshold == 0
        || manifest->threshold > manifest->root_count) {
        return false;
    }
    for (uint32_t i = 0; i < manifest->root_count; i++) {
        if (i > 0 && compare_keys(&manifest->roots[i - 1], &manifest->roots[i]) >= 0) return false;
        if (compare_keys(&manifest->roots[i], &manifest->node) == 0) return false;
    }
    return true;
}

static bool
keys_are_acceptable(const struct ilea_manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->root_count; i++) {
        if (!ilea_sign_public_is_acceptable(&manifest->roots[i])) return false;
    }
    return ilea_sign_public_is_acceptable(&manifest->node)
        && ilea_box_public_is_acceptable(manifest->transport.bytes)
        && ilea_box_public_is_acceptable(manifest->reading.bytes)
        && memcmp(manifest->transport.bytes, manifest->reading.bytes, 32) != 0;
}

/* The manifest's hash: the agency's id where the index is 0, and what the roots sign. */
static void
manifest_hash(struct ilea_span manifest, struct ilea_agency_id *agency)
{
    ilea_hash_once(ILEA_DOMAIN_AGENCY, manifest.data, manifest.size, agency->bytes);
}

/* Threshold signatures at the reader, ascending by root index. */
static bool
signatures_suffice(struct ilea_msgpack_reader *reader, const struct ilea_manifest *manifest,
                   const struct ilea_agency_id *agency)
{
    uint32_t count = ilea_msgpack_get_array(reader, ILEA_ROOTS_MAX);
    uint32_t good = 0, next_index = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_signature signature;
        ilea_msgpack_expect_array(reader, SIGNATURE_FIELDS);
        uint32_t index = ilea_msgpack_get_uint32(reader, ILEA_ROOTS_MAX - 1);
        ilea_msgpack_get_bytes(reader, signature.bytes, sizeof signature.bytes);
        if (reader->failed || index < next_index || index >= manifest->root_count) return false;
        next_index = index + 1;
        if (!ilea_sign_verify(&manifest->roots[index], ILEA_DOMAIN_MANIFEST_SIG, &manifest->network,
                              (struct ilea_span){ agency->bytes, sizeof agency->bytes },
                              &signature)) {
            return false;
        }
        good++;
    }
    return !reader->failed && good >= manifest->threshold;
}

enum ilea_error
ilea_manifest_decode(struct ilea_span input, struct ilea_manifest *manifest,
                     struct ilea_agency_id *agency)
{
    if (input.size > ILEA_MANIFEST_SIZE_MAX) return ILEA_ERROR_LIMIT;
    struct ilea_msgpack_reader outer, reader;
    ilea_msgpack_reader_init(&outer, input);
    ilea_msgpack_expect_array(&outer, SIGNED_FIELDS);
    struct ilea_span body = ilea_msgpack_get_bin(&outer, ILEA_MANIFEST_SIZE_MAX);
    if (outer.failed) return ILEA_ERROR_MALFORMED;

    ilea_msgpack_reader_init(&reader, body);
    uint32_t fields = ilea_msgpack_get_array(&reader, 32);
    uint64_t version = ilea_msgpack_get_uint(&reader);
    if (!reader.failed && version != MANIFEST_VERSION) return ILEA_ERROR_UNKNOWN;
    if (fields != MANIFEST_FIELDS) return ILEA_ERROR_MALFORMED;
    struct ilea_signature pop;
    get_manifest(&reader, manifest, &pop);
    if (!ilea_msgpack_reader_done(&reader) || !manifest_is_sound(manifest)) {
        return ILEA_ERROR_MALFORMED;
    }
    if (!keys_are_acceptable(manifest)) return ILEA_ERROR_BAD_SIGNATURE;

    uint8_t message[(ILEA_ROOTS_MAX + 3) * 32];
    size_t size = possession_message(manifest, message);
    if (!ilea_sign_verify(&manifest->node, ILEA_DOMAIN_MANIFEST_POP, &manifest->network,
                          (struct ilea_span){ message, size }, &pop)) {
        return ILEA_ERROR_BAD_SIGNATURE;
    }
    manifest_hash(body, agency);
    if (!signatures_suffice(&outer, manifest, agency)) return ILEA_ERROR_BAD_SIGNATURE;
    return ilea_msgpack_reader_done(&outer) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

static void
put_manifest(struct ilea_msgpack_writer *writer, const struct ilea_manifest *manifest,
             const struct ilea_signature *pop)
{
    ilea_msgpack_put_array(writer, MANIFEST_FIELDS);
    ilea_msgpack_put_uint(writer, MANIFEST_VERSION);
    ilea_msgpack_put_bin(writer, manifest->network.bytes, sizeof manifest->network.bytes);
    ilea_msgpack_put_uint(writer, manifest->index);
    ilea_msgpack_put_bin(writer, manifest->prev, sizeof manifest->prev);
    ilea_msgpack_put_str(writer, manifest->code);
    ilea_msgpack_put_str(writer, manifest->country);
    ilea_msgpack_put_str(writer, manifest->name);
    ilea_msgpack_put_uint(writer, manifest->threshold);
    ilea_msgpack_put_array(writer, manifest->root_count);
    for (uint32_t i = 0; i < manifest->root_count; i++) {
        ilea_msgpack_put_bin(writer, manifest->roots[i].bytes, sizeof manifest->roots[i].bytes);
    }
    ilea_msgpack_put_bin(writer, manifest->next_roots, sizeof manifest->next_roots);
    ilea_msgpack_put_bin(writer, manifest->node.bytes, sizeof manifest->node.bytes);
    ilea_msgpack_put_bin(writer, manifest->transport.bytes, sizeof manifest->transport.bytes);
    ilea_msgpack_put_bin(writer, manifest->reading.bytes, sizeof manifest->reading.bytes);
    ilea_msgpack_put_bin(writer, pop->bytes, sizeof pop->bytes);
}

enum ilea_error
ilea_manifest_encode(const struct ilea_manifest *manifest, const struct ilea_sign_secret *node,
                     const struct ilea_sign_secret *const *roots, uint8_t *bytes, size_t capacity,
                     size_t *size)
{
    if (!manifest_is_sound(manifest)) return ILEA_ERROR_INVALID;
    uint8_t message[(ILEA_ROOTS_MAX + 3) * 32];
    size_t message_size = possession_message(manifest, message);
    struct ilea_signature signature;
    ilea_sign(node, ILEA_DOMAIN_MANIFEST_POP, &manifest->network,
              (struct ilea_span){ message, message_size }, &signature);

    uint8_t body[ILEA_MANIFEST_SIZE_MAX];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, body, sizeof body);
    put_manifest(&writer, manifest, &signature);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    struct ilea_span encoded = ilea_msgpack_written(&writer);
    struct ilea_agency_id agency;
    manifest_hash(encoded, &agency);

    struct ilea_msgpack_writer outer;
    ilea_msgpack_writer_init(&outer, bytes, capacity);
    ilea_msgpack_put_array(&outer, SIGNED_FIELDS);
    ilea_msgpack_put_bin(&outer, encoded.data, encoded.size);
    ilea_msgpack_put_array(&outer, manifest->root_count);
    for (uint32_t i = 0; i < manifest->root_count; i++) {
        ilea_sign(roots[i], ILEA_DOMAIN_MANIFEST_SIG, &manifest->network,
                  (struct ilea_span){ agency.bytes, sizeof agency.bytes }, &signature);
        ilea_msgpack_put_array(&outer, SIGNATURE_FIELDS);
        ilea_msgpack_put_uint(&outer, i);
        ilea_msgpack_put_bin(&outer, signature.bytes, sizeof signature.bytes);
    }
    if (outer.failed || outer.size > ILEA_MANIFEST_SIZE_MAX) return ILEA_ERROR_LIMIT;
    *size = outer.size;
    return ILEA_ERROR_NONE;
}

void
ilea_fingerprint(const uint8_t id[ILEA_ID_SIZE], char text[ILEA_FINGERPRINT_SIZE])
{
    uint8_t hash[ILEA_HASH_SIZE];
    ilea_hash_once(ILEA_DOMAIN_FINGERPRINT, id, ILEA_ID_SIZE, hash);
    for (unsigned group = 0; group < 8; group++) {
        unsigned value = (unsigned)(hash[2 * group] << 8 | hash[2 * group + 1]);
        for (unsigned digit = 5; digit-- > 0; value /= 10) {
            text[group * 6 + digit] = (char)('0' + value % 10);
        }
        text[group * 6 + 5] = group < 7 ? ' ' : '\0';
    }
}
