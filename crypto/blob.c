#include "crypto/blob.h"

#include <sodium.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"

enum { NONCE_SIZE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, DATA_MAX = 64 + ILEA_ID_SIZE + 8 };

_Static_assert(ILEA_BLOB_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key size");
_Static_assert(ILEA_BLOB_OVERHEAD == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag size");
_Static_assert(NONCE_SIZE == 16 + 8, "nonce size");

static void
put_u64(uint8_t bytes[8], uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (56 - 8 * i));
}

static size_t
put_associated(const struct ilea_network_id *network, uint32_t count, uint8_t data[DATA_MAX])
{
    struct ilea_span text = ilea_domain_text(ILEA_DOMAIN_BLOB);
    data[0] = (uint8_t)text.size;
    memcpy(data + 1, text.data, text.size);
    memcpy(data + 1 + text.size, network->bytes, ILEA_ID_SIZE);
    put_u64(data + 1 + text.size + ILEA_ID_SIZE, count);
    return 1 + text.size + ILEA_ID_SIZE + 8;
}

void
ilea_blob_key_make(struct ilea_blob_key *key)
{
    ilea_random_bytes(key->bytes, sizeof key->bytes);
}

void
ilea_blob_seal(const struct ilea_blob_key *key, const struct ilea_network_id *network, uint32_t count, uint64_t index,
               struct ilea_span plain, uint8_t *sealed)
{
    uint8_t data[DATA_MAX], nonce[NONCE_SIZE] = { 0 };
    ilea_assert(plain.size <= ILEA_BLOB_CHUNK_SIZE);
    put_u64(nonce + 16, index);
    size_t data_size = put_associated(network, count, data);
    int failed = crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, plain.data, plain.size, data, data_size, NULL,
                                                            nonce, key->bytes);
    ilea_assert(failed == 0);
}

bool
ilea_blob_open(const struct ilea_blob_key *key, const struct ilea_network_id *network, uint32_t count, uint64_t index,
               struct ilea_span sealed, uint8_t *plain)
{
    uint8_t data[DATA_MAX], nonce[NONCE_SIZE] = { 0 };
    if (sealed.size < ILEA_BLOB_OVERHEAD || sealed.size > ILEA_BLOB_SEALED_MAX) return false;
    put_u64(nonce + 16, index);
    size_t data_size = put_associated(network, count, data);
    return crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, sealed.data, sealed.size, data, data_size,
                                                      nonce, key->bytes) == 0;
}

void
ilea_blob_name(struct ilea_span sealed, struct ilea_blob_id *id)
{
    ilea_hash_once(ILEA_DOMAIN_BLOB, sealed.data, sealed.size, id->bytes);
}
