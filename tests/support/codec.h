/*
 * codec.h - what the tests of codecs share: damage that every decoder must
 * stand, the comparison with msgpack-c, and the fields of a vector.
 *
 * A decoder under test is a function of its input alone. It is handed heap
 * copies of the exact size, so that a sanitizer sees a one-byte overread.
 */
#ifndef ILEA_TEST_CODEC_H
#define ILEA_TEST_CODEC_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "include/ilea/error.h"
#include "include/ilea/span.h"
#include "replication/record/msgpack_writer.h"
#include "tests/support/vectors.h"

static inline enum ilea_error
decode_copy(enum ilea_error (*decode)(struct ilea_span), const uint8_t *bytes, size_t size)
{
    uint8_t *copy = ilea_exact_copy(bytes, size);
    enum ilea_error error = decode((struct ilea_span){ copy, size });
    free(copy);
    return error;
}

/* No strict prefix is accepted, and no byte more. */
static inline void
check_cuts(enum ilea_error (*decode)(struct ilea_span), const uint8_t *bytes, size_t size)
{
    for (size_t cut = 0; cut < size; cut++) {
        if (decode_copy(decode, bytes, cut) == ILEA_ERROR_NONE) fail_msg("prefix of %zu", cut);
    }
    uint8_t *longer = malloc(size + 1);
    assert_non_null(longer);
    memcpy(longer, bytes, size);
    for (unsigned value = 0; value < 256; value++) {
        longer[size] = (uint8_t)value;
        if (decode((struct ilea_span){ longer, size + 1 }) == ILEA_ERROR_NONE) {
            fail_msg("trailing %02x", value);
        }
    }
    free(longer);
}

/* Every `step`th other value of every byte: refused, or decoded without a finding of a sanitizer
 * and of the decoder's own checks. Returns how many were accepted. */
static inline size_t
check_mutations(enum ilea_error (*decode)(struct ilea_span), const uint8_t *bytes, size_t size,
                unsigned step)
{
    size_t accepted = 0;
    uint8_t *copy = ilea_exact_copy(bytes, size);
    for (size_t i = 0; i < size; i++) {
        for (unsigned change = 1; change < 256; change += step) {
            copy[i] = (uint8_t)(bytes[i] ^ change);
            if (decode((struct ilea_span){ copy, size }) == ILEA_ERROR_NONE) accepted++;
        }
        copy[i] = bytes[i];
    }
    free(copy);
    return accepted;
}

static inline int
append_packed(void *context, const char *bytes, size_t size)
{
    ilea_msgpack_put_raw(context, (struct ilea_span){ (const uint8_t *)bytes, size });
    return 0;
}

/* What we accept, msgpack-c decodes to the same: all of it, and packed again it is the same bytes.
 */
static inline void
check_msgpack_c_agrees(struct ilea_span input)
{
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t offset = 0;
    assert_int_equal(
        msgpack_unpack_next(&unpacked, (const char *)input.data, input.size, &offset),
        MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(offset, input.size);

    uint8_t *again = malloc(input.size);
    assert_non_null(again);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, input.size);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &writer, append_packed);
    assert_int_equal(msgpack_pack_object(&packer, unpacked.data), 0);
    assert_false(writer.failed);
    assert_int_equal(writer.size, input.size);
    assert_memory_equal(again, input.data, input.size);
    free(again);
    msgpack_unpacked_destroy(&unpacked);
}

static inline const char *
vector_text(const json_t *vector, const char *key)
{
    const char *text = json_string_value(json_object_get(vector, key));
    return text != NULL ? text : "";
}

static inline uint64_t
vector_number(const json_t *vector, const char *key)
{
    const json_t *number = json_object_get(vector, key);
    if (!json_is_integer(number)) fail_msg("%s: no number %s", vector_text(vector, "name"), key);
    return (uint64_t)json_integer_value(number);
}

static inline void
vector_fixed(const json_t *vector, const char *key, void *bytes, size_t size)
{
    size_t found;
    uint8_t *copy = ilea_vector_bytes(vector, key, &found);
    assert_int_equal(found, size);
    memcpy(bytes, copy, size);
    free(copy);
}

/* The error that a vector expects; NONE for one that is to be accepted. */
static inline enum ilea_error
vector_error(const json_t *vector)
{
    static const struct { const char *name; enum ilea_error error; } errors[] = {
        { "", ILEA_ERROR_NONE },         { "malformed", ILEA_ERROR_MALFORMED },
        { "unknown", ILEA_ERROR_UNKNOWN }, { "limit", ILEA_ERROR_LIMIT },
        { "bad_hash", ILEA_ERROR_BAD_HASH }, { "bad_signature", ILEA_ERROR_BAD_SIGNATURE }
    };
    const char *name = vector_text(vector, "error");
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (strcmp(errors[i].name, name) == 0) return errors[i].error;
    }
    fail_msg("unknown error name %s", name);
    return ILEA_ERROR_NONE;
}

static inline void
check_vector_bytes(const json_t *vector, const char *key, const void *bytes, size_t size)
{
    size_t expected_size;
    uint8_t *expected = ilea_vector_bytes(vector, key, &expected_size);
    if (expected_size != size || (size > 0 && memcmp(expected, bytes, size) != 0)) {
        fail_msg("%s: %s differs", vector_text(vector, "name"), key);
    }
    free(expected);
}

/* The same for an element of an array of hex texts. */
static inline void
check_hex(const json_t *text, const void *bytes, size_t size)
{
    json_t *vector = json_object();
    json_object_set_new(vector, "hex", json_string(json_string_value(text)));
    check_vector_bytes(vector, "hex", bytes, size);
    json_decref(vector);
}

/* Run `check` over all vectors of a file. */
static inline void
for_each_vector(const char *file, void (*check)(const json_t *vector))
{
    json_t *vectors = ilea_vectors_load(file);
    size_t index;
    json_t *vector;
    json_array_foreach(vectors, index, vector) check(vector);
    json_decref(vectors);
}

static inline void
expect_error(const json_t *vector, enum ilea_error error)
{
    if (error != vector_error(vector)) {
        fail_msg("%s: %s", vector_text(vector, "name"), ilea_error_text(error));
    }
}

/* A small generator of its own, so that a failure comes again: xorshift64. */
static inline uint64_t
draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

#endif
