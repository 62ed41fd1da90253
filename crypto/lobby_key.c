#include <sodium.h>

#include "crypto/assert.h"
#include "crypto/lobby_key.h"
#include "crypto/random.h"
#include "crypto/secret.h"

struct ilea_lobby_secret {
    uint8_t bytes[ILEA_BOX_SECRET_SIZE]; /* clamped */
    struct ilea_lobby_public public_key;
};

enum ilea_error
ilea_lobby_generate(struct ilea_lobby_secret **secret, struct ilea_lobby_public *public_key)
{
    struct ilea_lobby_secret *fresh = ilea_secret_alloc(sizeof *fresh);
    if (fresh == NULL) return ILEA_ERROR_NO_MEMORY;
    ilea_random_bytes(fresh->bytes, sizeof fresh->bytes);
    ilea_box_secret_clamp(fresh->bytes);
    int failed = crypto_scalarmult_base(fresh->public_key.bytes, fresh->bytes);
    ilea_assert(failed == 0);
    *public_key = fresh->public_key;
    *secret = fresh;
    return ILEA_ERROR_NONE;
}

void
ilea_lobby_secret_free(struct ilea_lobby_secret *secret)
{
    sodium_free(secret);
}

bool
ilea_lobby_seal(const struct ilea_lobby_public *to, struct ilea_span message, uint8_t *sealed)
{
    return crypto_box_seal(sealed, message.data, message.size, to->bytes) == 0;
}

bool
ilea_lobby_unseal(const struct ilea_lobby_secret *secret, struct ilea_span sealed, uint8_t *opened)
{
    if (sealed.size < ILEA_SEAL_OVERHEAD) return false;
    return crypto_box_seal_open(opened, sealed.data, sealed.size, secret->public_key.bytes,
                                secret->bytes) == 0;
}
