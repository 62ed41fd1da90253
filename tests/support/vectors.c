#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/vectors.h"

json_t *
ilea_vectors_load(const char *name)
{
    char path[1024];
    assert_true(snprintf(path, sizeof path, "%s/%s", ILEA_TEST_VECTORS, name) < (int)sizeof path);
    FILE *file = fopen(path, "r");
    if (file == NULL) fail_msg("cannot open %s", path);

    json_t *vectors = json_array();
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) > 0) {
        json_error_t error;
        json_t *vector = json_loads(line, 0, &error);
        if (vector == NULL) fail_msg("%s: %s", path, error.text);
        json_array_append_new(vectors, vector);
    }
    free(line);
    fclose(file);
    assert_true(json_array_size(vectors) > 0);
    return vectors;
}

static uint8_t
digit(char c)
{
    if (c >= '0' && c <= '9') return (uint8_t)(c - '0');
    if (c >= 'a' && c <= 'f') return (uint8_t)(c - 'a' + 10);
    fail_msg("not lower-case hex: %c", c);
    return 0;
}

uint8_t *
ilea_vector_bytes(const json_t *vector, const char *key, size_t *size)
{
    const char *text = json_string_value(json_object_get(vector, key));
    if (text == NULL) fail_msg("vector without \"%s\"", key);
    *size = strlen(text) / 2;
    uint8_t *bytes = malloc(*size > 0 ? *size : 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < *size; i++) {
        bytes[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
    }
    return bytes;
}

uint8_t *
ilea_exact_copy(const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    if (size > 0) memcpy(copy, bytes, size);
    return copy;
}
