/*
 * fuzz_statement.c - the decoders of statements: at most the one of its kind accepts an input, and what it accepts
 * can be walked to its end and put again gives the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "tests/support/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *again = malloc(size > 0 ? size : 1);
    if (again == NULL) abort();
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, size);
    if (ilea_test_statement_again((struct ilea_span){ data, size }, &writer) == ILEA_ERROR_NONE) {
        ilea_assert(!writer.failed && writer.size == size);
        ilea_assert(memcmp(again, data, size) == 0);
    }
    free(again);
    return 0;
}
