/*
 * vectors.h - test vectors as files (tests/vectors/README.md has the format):
 * JSON objects, one a line, every byte string in hex.
 */
#ifndef ILEA_TEST_VECTORS_H
#define ILEA_TEST_VECTORS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "include/ilea/span.h"

/* All lines of tests/vectors/NAME as a JSON array; fails the test if it cannot be read. Caller decrefs. */
json_t *ilea_vectors_load(const char *name);

/* The bytes of the hex text under `key`; fails the test if absent. Gives heap memory of exactly
 * *size bytes (so that a sanitizer sees a one-byte overread); the caller frees it. */
uint8_t *ilea_vector_bytes(const json_t *vector, const char *key, size_t *size);

/* A heap copy of exactly `size` bytes; the caller frees it. */
uint8_t *ilea_exact_copy(const void *bytes, size_t size);

#endif
