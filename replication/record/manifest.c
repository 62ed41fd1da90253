#include "replication/record/manifest.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum { MANIFEST_VERSION = 2, MANIFEST_FIELDS = 18, SIGNED_FIELDS = 2, SIGNATURE_FIELDS = 2 };

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

/* Up to count_max keys in a row. */
static uint32_t
get_keys(struct ilea_msgpack_reader *reader, struct ilea_sign_public *keys, uint32_t count_max)
{
    uint32_t count = ilea_msgpack_get_array(reader, count_max);
    for (uint32_t i = 0; i < count; i++) {
        ilea_msgpack_get_bytes(reader, keys[i].bytes, sizeof keys[i].bytes);
    }
    return count;
}

static void
get_manifest(struct ilea_msgpack_reader *reader, struct ilea_manifest *manifest,
             struct ilea_signature *pop)
{
    ilea_msgpack_get_bytes(reader, manifest->network.bytes, sizeof manifest->network.bytes);
    ilea_msgpack_get_bytes(reader, manifest->agency.bytes, sizeof manifest->agency.bytes);
    manifest->index = ilea_msgpack_get_uint(reader);
    ilea_msgpack_get_bytes(reader, manifest->prev, sizeof manifest->prev);
    manifest->code = ilea_msgpack_get_str(reader, ILEA_CODE_SIZE_MAX);
    manifest->country = ilea_msgpack_get_str(reader, 3);
    manifest->name = ilea_msgpack_get_str(reader, ILEA_NAME_SIZE_MAX);
    manifest->threshold = ilea_msgpack_get_uint32(reader, ILEA_ROOTS_MAX);
    manifest->root_count = get_keys(reader, manifest->roots, ILEA_ROOTS_MAX);
    ilea_msgpack_get_bytes(reader, manifest->next_roots, sizeof manifest->next_roots);
    ilea_msgpack_get_bytes(reader, manifest->node.bytes, sizeof manifest->node.bytes);
    ilea_msgpack_get_bytes(reader, manifest->transport.bytes, sizeof manifest->transport.bytes);
    ilea_msgpack_get_bytes(reader, manifest->reading.bytes, sizeof manifest->reading.bytes);
    manifest->admin_count = get_keys(reader, manifest->admins, ILEA_ADMINS_MAX);
    manifest->revoked_count = get_keys(reader, manifest->revoked, ILEA_REVOKED_MAX);
    manifest->position_count = ilea_msgpack_get_array(reader, ILEA_POSITIONS_MAX);
    manifest->positions = ilea_positions_get(reader, manifest->position_count);
    ilea_msgpack_get_bytes(reader, pop->bytes, sizeof pop->bytes);
}

static bool
keys_ascend(const struct ilea_sign_public *keys, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        if (compare_keys(&keys[i - 1], &keys[i]) >= 0) return false;
    }
    return true;
}

static bool
keys_contain(const struct ilea_sign_public *keys, uint32_t count, const struct ilea_sign_public *key)
{
    for (uint32_t i = 0; i < count; i++) {
        if (compare_keys(&keys[i], key) == 0) return true;
    }
    return false;
}

/* Each job has a key of its own. */
static bool
keys_are_sound(const struct ilea_manifest *manifest)
{
    if (manifest->root_count == 0 || manifest->root_count > ILEA_ROOTS_MAX || manifest->threshold == 0
        || manifest->threshold > manifest->root_count || manifest->admin_count > ILEA_ADMINS_MAX
        || manifest->revoked_count > ILEA_REVOKED_MAX
        || !keys_ascend(manifest->roots, manifest->root_count)
        || !keys_ascend(manifest->admins, manifest->admin_count)
        || !keys_ascend(manifest->revoked, manifest->revoked_count)
        || keys_contain(manifest->roots, manifest->root_count, &manifest->node)
        || keys_contain(manifest->admins, manifest->admin_count, &manifest->node)
        || keys_contain(manifest->revoked, manifest->revoked_count, &manifest->node)) {
        return false;
    }
    for (uint32_t i = 0; i < manifest->admin_count; i++) {
        if (keys_contain(manifest->roots, manifest->root_count, &manifest->admins[i])) return false;
    }
    return true;
}

void
ilea_manifest_roots_hash(const struct ilea_manifest *manifest, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_sign_public roots[ILEA_ROOTS_MAX];
    memcpy(roots, manifest->roots, manifest->root_count * sizeof roots[0]);
    ilea_roots_hash(manifest->threshold, roots, manifest->root_count, hash);
}

/* All but the positions, of which the reader knows. */
static bool
manifest_is_sound(const struct ilea_manifest *manifest)
{
    bool first = manifest->index == 0;
    if (first != sodium_is_zero(manifest->prev, sizeof manifest->prev)
        || first != sodium_is_zero(manifest->agency.bytes, sizeof manifest->agency.bytes)
        || (first && (manifest->revoked_count > 0 || manifest->position_count > 0))
        || !ilea_code_is_valid(manifest->code) || !country_is_valid(manifest->country)
        || !name_is_valid(manifest->name) || !keys_are_sound(manifest)) {
        return false;
    }
    /* Else the roots could go on to any others in two steps, and who stole them, too. */
    uint8_t roots_hash[ILEA_HASH_SIZE];
    ilea_manifest_roots_hash(manifest, roots_hash);
    return memcmp(roots_hash, manifest->next_roots, sizeof roots_hash) != 0;
}

static bool
keys_are_acceptable(const struct ilea_manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->root_count; i++) {
        if (!ilea_sign_public_is_acceptable(&manifest->roots[i])) return false;
    }
    for (uint32_t i = 0; i < manifest->admin_count; i++) {
        if (!ilea_sign_public_is_acceptable(&manifest->admins[i])) return false;
    }
    return ilea_sign_public_is_acceptable(&manifest->node)
        && ilea_box_public_is_acceptable(manifest->transport.bytes)
        && ilea_box_public_is_acceptable(manifest->reading.bytes)
        && memcmp(manifest->transport.bytes, manifest->reading.bytes, 32) != 0;
}

/* What identifies a manifest: the next one names it, the roots sign it, and of index 0 it is the agency's id. */
static void
set_hash(struct ilea_manifest *manifest, struct ilea_span body)
{
    ilea_hash_once(ILEA_DOMAIN_AGENCY, body.data, body.size, manifest->hash);
    manifest->id = manifest->agency;
    if (manifest->index == 0) memcpy(manifest->id.bytes, manifest->hash, sizeof manifest->hash);
}

/* Threshold signatures at the reader, ascending by root index. */
static bool
signatures_suffice(struct ilea_msgpack_reader *reader, const struct ilea_manifest *manifest)
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
                              (struct ilea_span){ manifest->hash, sizeof manifest->hash },
                              &signature)) {
            return false;
        }
        good++;
    }
    return !reader->failed && good >= manifest->threshold;
}

enum ilea_error
ilea_manifest_decode(struct ilea_span input, struct ilea_manifest *manifest)
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
    set_hash(manifest, body);
    if (!signatures_suffice(&outer, manifest)) return ILEA_ERROR_BAD_SIGNATURE;
    return ilea_msgpack_reader_done(&outer) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

static bool
spans_are_equal(struct ilea_span a, struct ilea_span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

enum ilea_succession
ilea_manifest_succession(const struct ilea_manifest *prev, const struct ilea_manifest *next)
{
    if (prev->index == UINT64_MAX || next->index != prev->index + 1
        || memcmp(next->prev, prev->hash, sizeof prev->hash) != 0
        || memcmp(next->agency.bytes, prev->id.bytes, sizeof prev->id.bytes) != 0
        || memcmp(next->network.bytes, prev->network.bytes, sizeof prev->network.bytes) != 0
        || !spans_are_equal(next->code, prev->code)) {
        return ILEA_SUCCESSION_NONE;
    }
    if (next->threshold == prev->threshold && next->root_count == prev->root_count
        && memcmp(next->roots, prev->roots, prev->root_count * sizeof prev->roots[0]) == 0
        && memcmp(next->next_roots, prev->next_roots, sizeof prev->next_roots) == 0) {
        return ILEA_SUCCESSION_ORDINARY;
    }
    uint8_t roots_hash[ILEA_HASH_SIZE];
    ilea_manifest_roots_hash(next, roots_hash);
    bool committed = memcmp(roots_hash, prev->next_roots, sizeof roots_hash) == 0;
    return committed ? ILEA_SUCCESSION_ROOTS : ILEA_SUCCESSION_NONE;
}

bool
ilea_manifest_position(const struct ilea_manifest *manifest, const struct ilea_feed_id *feed,
                       struct ilea_position *position)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, manifest->positions);
    for (uint32_t i = 0; i < manifest->position_count; i++) {
        struct ilea_position stated;
        ilea_position_get(&reader, &stated);
        if (reader.failed || memcmp(stated.feed.bytes, feed->bytes, sizeof feed->bytes) != 0) continue;
        *position = stated;
        return true;
    }
    return false;
}

static void
put_keys(struct ilea_msgpack_writer *writer, const struct ilea_sign_public *keys, uint32_t count)
{
    ilea_msgpack_put_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        ilea_msgpack_put_bin(writer, keys[i].bytes, sizeof keys[i].bytes);
    }
}

static void
put_manifest(struct ilea_msgpack_writer *writer, const struct ilea_manifest *manifest,
             const struct ilea_signature *pop)
{
    ilea_msgpack_put_array(writer, MANIFEST_FIELDS);
    ilea_msgpack_put_uint(writer, MANIFEST_VERSION);
    ilea_msgpack_put_bin(writer, manifest->network.bytes, sizeof manifest->network.bytes);
    ilea_msgpack_put_bin(writer, manifest->agency.bytes, sizeof manifest->agency.bytes);
    ilea_msgpack_put_uint(writer, manifest->index);
    ilea_msgpack_put_bin(writer, manifest->prev, sizeof manifest->prev);
    ilea_msgpack_put_str(writer, manifest->code);
    ilea_msgpack_put_str(writer, manifest->country);
    ilea_msgpack_put_str(writer, manifest->name);
    ilea_msgpack_put_uint(writer, manifest->threshold);
    put_keys(writer, manifest->roots, manifest->root_count);
    ilea_msgpack_put_bin(writer, manifest->next_roots, sizeof manifest->next_roots);
    ilea_msgpack_put_bin(writer, manifest->node.bytes, sizeof manifest->node.bytes);
    ilea_msgpack_put_bin(writer, manifest->transport.bytes, sizeof manifest->transport.bytes);
    ilea_msgpack_put_bin(writer, manifest->reading.bytes, sizeof manifest->reading.bytes);
    put_keys(writer, manifest->admins, manifest->admin_count);
    put_keys(writer, manifest->revoked, manifest->revoked_count);
    ilea_msgpack_put_array(writer, manifest->position_count);
    ilea_msgpack_put_raw(writer, manifest->positions);
    ilea_msgpack_put_bin(writer, pop->bytes, sizeof pop->bytes);
}

/* The body and the signatures of all roots at hand. */
static void
put_signed(struct ilea_msgpack_writer *writer, const struct ilea_manifest *manifest,
           struct ilea_span body, const struct ilea_sign_secret *const *roots, uint32_t signers)
{
    ilea_msgpack_put_array(writer, SIGNED_FIELDS);
    ilea_msgpack_put_bin(writer, body.data, body.size);
    ilea_msgpack_put_array(writer, signers);
    for (uint32_t i = 0; i < manifest->root_count; i++) {
        if (roots[i] == NULL) continue;
        struct ilea_signature signature;
        ilea_sign(roots[i], ILEA_DOMAIN_MANIFEST_SIG, &manifest->network,
                  (struct ilea_span){ manifest->hash, sizeof manifest->hash }, &signature);
        ilea_msgpack_put_array(writer, SIGNATURE_FIELDS);
        ilea_msgpack_put_uint(writer, i);
        ilea_msgpack_put_bin(writer, signature.bytes, sizeof signature.bytes);
    }
}

enum ilea_error
ilea_manifest_encode(struct ilea_manifest *manifest, const struct ilea_sign_secret *node,
                     const struct ilea_sign_secret *const *roots, uint8_t *bytes, size_t capacity,
                     size_t *size)
{
    if (!manifest_is_sound(manifest)) return ILEA_ERROR_INVALID;
    uint32_t signers = 0;
    for (uint32_t i = 0; i < manifest->root_count; i++) signers += roots[i] != NULL ? 1 : 0;
    if (signers < manifest->threshold) return ILEA_ERROR_INVALID;

    uint8_t message[(ILEA_ROOTS_MAX + 3) * 32];
    size_t message_size = possession_message(manifest, message);
    struct ilea_signature pop;
    ilea_sign(node, ILEA_DOMAIN_MANIFEST_POP, &manifest->network,
              (struct ilea_span){ message, message_size }, &pop);

    uint8_t *body = malloc(ILEA_MANIFEST_SIZE_MAX);
    if (body == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_msgpack_writer inner, outer;
    ilea_msgpack_writer_init(&inner, body, ILEA_MANIFEST_SIZE_MAX);
    put_manifest(&inner, manifest, &pop);
    if (!inner.failed) set_hash(manifest, ilea_msgpack_written(&inner));
    ilea_msgpack_writer_init(&outer, bytes, capacity);
    if (!inner.failed) put_signed(&outer, manifest, ilea_msgpack_written(&inner), roots, signers);
    free(body);
    if (inner.failed || outer.failed || outer.size > ILEA_MANIFEST_SIZE_MAX) return ILEA_ERROR_LIMIT;

    /* Positions out of order, a secret that belongs to another key: better noticed by us than by all others. */
    struct ilea_manifest made;
    if (ilea_manifest_decode(ilea_msgpack_written(&outer), &made) != ILEA_ERROR_NONE) {
        return ILEA_ERROR_INVALID;
    }
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
