#include <sodium.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "crypto/self_test.h"

enum ilea_error
ilea_crypto_init(void)
{
    /* 1: done before, for instance by libzmq. */
    if (sodium_init() < 0) return ILEA_ERROR_VERSION;
    return ilea_self_test_passes() ? ILEA_ERROR_NONE : ILEA_ERROR_VERSION;
}

void
ilea_random_bytes(void *bytes, size_t size)
{
    ilea_assert(bytes != NULL || size == 0);
    if (size > 0) randombytes_buf(bytes, size);
}

void
ilea_wipe(void *bytes, size_t size)
{
    if (size > 0) sodium_memzero(bytes, size);
}

bool
ilea_equal_secret(const void *a, const void *b, size_t size)
{
    return sodium_memcmp(a, b, size) == 0;
}

void *
ilea_secret_alloc(size_t size)
{
    void *secret = sodium_malloc(size);
    if (secret == NULL) return NULL;
    /* Locking what is locked already costs nothing and tells whether it was. */
    if (sodium_mlock(secret, size) != 0) {
        sodium_free(secret);
        return NULL;
    }
    return secret;
}
