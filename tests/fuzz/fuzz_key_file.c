/*
 * fuzz_key_file.c - the decoder of key files: whatever it accepts is within the
 * limits and encodes to the same bytes; whatever it refuses, it leaves alone.
 * Half of the inputs get a true magic, or chance would never pass it.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/key_file_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
decode(const uint8_t *data, size_t size)
{
    struct ilea_key_file file;
    uint8_t again[ILEA_KEY_FILE_SIZE_MAX];

    if (ilea_key_file_decode((struct ilea_span){ data, size }, &file) != ILEA_ERROR_NONE) return;
    ilea_assert(file.opslimit <= ILEA_KEY_FILE_OPSLIMIT_MAX);
    ilea_assert(file.memlimit_kib <= ILEA_KEY_FILE_MEMLIMIT_KIB_MAX);
    ilea_assert(ilea_key_file_encode(&file, again) == size);
    ilea_assert(memcmp(again, data, size) == 0);
}

/* The same input as the body of a file that begins and ends well. */
static void
decode_framed(const uint8_t *data, size_t size)
{
    uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX] = { 0 };
    if (size < 2) return;
    bool is_sealed = (data[0] & 1) != 0;
    size_t length = is_sealed ? ILEA_KEY_FILE_SIZE_MAX : ILEA_KEY_FILE_PLAIN_SIZE;
    size_t body = is_sealed ? 10 : ILEA_KEY_FILE_HEAD_SIZE;

    memcpy(bytes, "ILEAKEY1", 8);
    bytes[8] = data[1] & 7;
    bytes[9] = is_sealed;
    size_t count = size - 2 < length - body ? size - 2 : length - body;
    memcpy(bytes + body, data + 2, count);
    if (is_sealed && (data[0] & 2) != 0) { /* limits that are small enough to be allowed */
        memset(bytes + 10, 0, 3);
        memset(bytes + 14, 0, 2);
    }
    decode(bytes, length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size);
    decode_framed(data, size);
    return 0;
}
