#include <string.h>

#include "crypto/assert.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

static void
begin(struct ilea_hasher *hasher, enum ilea_domain domain, const uint8_t *key, size_t key_size)
{
    struct ilea_span text = ilea_domain_text(domain);
    uint8_t text_size = (uint8_t)text.size;

    int failed = crypto_generichash_init(&hasher->state, key, key_size, ILEA_HASH_SIZE);
    ilea_assert(failed == 0);
    ilea_hash_add(hasher, &text_size, 1);
    ilea_hash_add(hasher, text.data, text.size);
}

void
ilea_hash_begin(struct ilea_hasher *hasher, enum ilea_domain domain)
{
    begin(hasher, domain, NULL, 0);
}

void
ilea_hash_begin_keyed(struct ilea_hasher *hasher, enum ilea_domain domain,
                      const uint8_t key[ILEA_KEY_SIZE])
{
    begin(hasher, domain, key, ILEA_KEY_SIZE);
}

void
ilea_hash_add(struct ilea_hasher *hasher, const void *data, size_t size)
{
    ilea_assert(data != NULL || size == 0);
    int failed = crypto_generichash_update(&hasher->state, data, size);
    ilea_assert(failed == 0);
}

void
ilea_hash_add_u64(struct ilea_hasher *hasher, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (56 - 8 * i));
    ilea_hash_add(hasher, bytes, sizeof bytes);
}

void
ilea_hash_end(struct ilea_hasher *hasher, uint8_t hash[ILEA_HASH_SIZE])
{
    int failed = crypto_generichash_final(&hasher->state, hash, ILEA_HASH_SIZE);
    ilea_assert(failed == 0);
}

void
ilea_hash_once(enum ilea_domain domain, const void *data, size_t size, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, domain);
    ilea_hash_add(&hasher, data, size);
    ilea_hash_end(&hasher, hash);
}

static void
add_to_sum(uint8_t sum[ILEA_HASH_SIZE], const uint8_t hash[ILEA_HASH_SIZE], bool subtract)
{
    unsigned carry = subtract ? 1 : 0;
    for (int i = ILEA_HASH_SIZE - 1; i >= 0; i--) {
        uint8_t term = subtract ? (uint8_t)~hash[i] : hash[i];
        unsigned digit = (unsigned)sum[i] + term + carry;
        sum[i] = (uint8_t)digit;
        carry = digit >> 8;
    }
}

void
ilea_hash_sum_add(uint8_t sum[ILEA_HASH_SIZE], const uint8_t hash[ILEA_HASH_SIZE])
{
    add_to_sum(sum, hash, false);
}

void
ilea_hash_sum_subtract(uint8_t sum[ILEA_HASH_SIZE], const uint8_t hash[ILEA_HASH_SIZE])
{
    add_to_sum(sum, hash, true);
}
