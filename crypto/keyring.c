#include <sodium.h>
#include <stdlib.h>

#include "crypto/assert.h"
#include "crypto/keyring.h"
#include "crypto/random.h"
#include "crypto/secret.h"

enum {
    KEY_COUNT_MAX = 65536,
    DATA_SIZE_MAX = 256,
    WRAP_PREFIX_SIZE = 12 + ILEA_ID_SIZE + ILEA_AUDIENCE_ID_SIZE,
    WRAP_SIZE = WRAP_PREFIX_SIZE + ILEA_EPOCH_KEY_SIZE
};

_Static_assert(WRAP_SIZE + ILEA_SEAL_OVERHEAD == ILEA_WRAPPED_KEY_SIZE, "wrapped key size");
_Static_assert((int)ILEA_EPOCH_KEY_SIZE == (int)ILEA_KEY_SIZE, "an epoch key keys the hash, too");
_Static_assert(ILEA_EPOCH_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key size");
_Static_assert(ILEA_NONCE_SIZE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce size");
_Static_assert(ILEA_AEAD_OVERHEAD == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag size");

struct ilea_keyring {
    uint32_t count, count_max;
    struct ilea_epoch_id *ids; /* ids[slot] names key `slot`; slots are never moved */
    uint32_t *order;           /* slots by ascending id: epoch ids come from peers, so a hash
                                  table could be made slow by whoever grinds them */
    uint8_t *keys;             /* one guarded block of count_max keys */
};

enum ilea_error
ilea_keyring_new(uint32_t count_max, struct ilea_keyring **ring)
{
    ilea_assert(count_max >= 1);
    ilea_assert(count_max <= KEY_COUNT_MAX);

    struct ilea_keyring *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) return ILEA_ERROR_NO_MEMORY;
    fresh->count_max = count_max;
    fresh->ids = calloc(count_max, sizeof *fresh->ids);
    fresh->order = calloc(count_max, sizeof *fresh->order);
    fresh->keys = ilea_secret_alloc((size_t)count_max * ILEA_EPOCH_KEY_SIZE);
    if (fresh->ids == NULL || fresh->order == NULL || fresh->keys == NULL) {
        ilea_keyring_free(fresh);
        return ILEA_ERROR_NO_MEMORY;
    }
    *ring = fresh;
    return ILEA_ERROR_NONE;
}

void
ilea_keyring_free(struct ilea_keyring *ring)
{
    if (ring == NULL) return;
    sodium_free(ring->keys);
    free(ring->order);
    free(ring->ids);
    free(ring);
}

static uint64_t
load_u64(const uint8_t bytes[8])
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value = value << 8 | bytes[i];
    return value;
}

/* Epoch ids are public: no constant time. */
static bool
id_is_below(const struct ilea_epoch_id *a, const struct ilea_epoch_id *b)
{
    uint64_t a_high = load_u64(a->bytes);
    uint64_t b_high = load_u64(b->bytes);
    if (a_high != b_high) return a_high < b_high;
    return load_u64(a->bytes + 8) < load_u64(b->bytes + 8);
}

/* The place in `order` of the first id that is not below `epoch`; `count` if there is none. */
static uint32_t
find_place(const struct ilea_keyring *ring, const struct ilea_epoch_id *epoch)
{
    uint32_t low = 0;
    uint32_t high = ring->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (id_is_below(&ring->ids[ring->order[middle]], epoch)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The key named `epoch`, NULL if it is not held. */
static const uint8_t *
find_key(const struct ilea_keyring *ring, const struct ilea_epoch_id *epoch)
{
    uint32_t place = find_place(ring, epoch);
    if (place == ring->count) return NULL;
    uint32_t slot = ring->order[place];
    if (id_is_below(epoch, &ring->ids[slot])) return NULL;
    return ring->keys + (size_t)slot * ILEA_EPOCH_KEY_SIZE;
}

/* The ring must not be full and must not hold `epoch`. */
static void
insert(struct ilea_keyring *ring, const struct ilea_epoch_id *epoch,
       const uint8_t key[ILEA_EPOCH_KEY_SIZE])
{
    ilea_assert(ring->count < ring->count_max);
    uint32_t slot = ring->count;
    uint32_t place = find_place(ring, epoch);

    memcpy(ring->keys + (size_t)slot * ILEA_EPOCH_KEY_SIZE, key, ILEA_EPOCH_KEY_SIZE);
    ring->ids[slot] = *epoch;
    memmove(ring->order + place + 1, ring->order + place,
            (ring->count - place) * sizeof *ring->order);
    ring->order[place] = slot;
    ring->count++;
}

static void
commit_to_key(const uint8_t key[ILEA_EPOCH_KEY_SIZE], const struct ilea_network_id *network,
              const struct ilea_audience_id *audience, uint8_t aek_commit[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin_keyed(&hasher, ILEA_DOMAIN_EPOCH_COMMIT, key);
    ilea_hash_add(&hasher, network->bytes, sizeof network->bytes);
    ilea_hash_add(&hasher, audience->bytes, sizeof audience->bytes);
    ilea_hash_end(&hasher, aek_commit);
    ilea_wipe(&hasher, sizeof hasher);
}

static struct ilea_epoch_id
epoch_of(const uint8_t aek_commit[ILEA_HASH_SIZE])
{
    struct ilea_epoch_id epoch;
    memcpy(epoch.bytes, aek_commit, sizeof epoch.bytes);
    return epoch;
}

enum ilea_error
ilea_keyring_generate(struct ilea_keyring *ring, const struct ilea_network_id *network,
                      const struct ilea_audience_id *audience, uint8_t aek_commit[ILEA_HASH_SIZE])
{
    enum ilea_error error = ILEA_ERROR_NONE;
    uint8_t key[ILEA_EPOCH_KEY_SIZE];
    uint8_t fresh_commit[ILEA_HASH_SIZE];
    if (ring->count == ring->count_max) return ILEA_ERROR_FULL;

    ilea_random_bytes(key, sizeof key);
    commit_to_key(key, network, audience, fresh_commit);
    struct ilea_epoch_id epoch = epoch_of(fresh_commit);
    /* A machine put back with its memory may draw an old key, which others hold already. */
    if (find_key(ring, &epoch) != NULL) {
        error = ILEA_ERROR_EXISTS;
        goto out;
    }
    insert(ring, &epoch, key);
    memcpy(aek_commit, fresh_commit, sizeof fresh_commit);
out:
    ilea_wipe(key, sizeof key);
    return error;
}

bool
ilea_keyring_holds(const struct ilea_keyring *ring, const struct ilea_epoch_id *epoch)
{
    return find_key(ring, epoch) != NULL;
}

/* The domain, network and audience that stand before a wrapped key. */
static void
put_wrap_prefix(const struct ilea_network_id *network, const struct ilea_audience_id *audience,
                uint8_t prefix[WRAP_PREFIX_SIZE])
{
    struct ilea_span text = ilea_domain_text(ILEA_DOMAIN_EPOCH_SEAL);
    ilea_assert(1 + text.size + ILEA_ID_SIZE + ILEA_AUDIENCE_ID_SIZE == WRAP_PREFIX_SIZE);

    prefix[0] = (uint8_t)text.size;
    memcpy(prefix + 1, text.data, text.size);
    memcpy(prefix + 1 + text.size, network->bytes, ILEA_ID_SIZE);
    memcpy(prefix + 1 + text.size + ILEA_ID_SIZE, audience->bytes, ILEA_AUDIENCE_ID_SIZE);
}

enum ilea_error
ilea_keyring_wrap(const struct ilea_keyring *ring, const struct ilea_epoch_id *epoch,
                  const struct ilea_network_id *network, const struct ilea_audience_id *audience,
                  const struct ilea_reading_public *to, uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE])
{
    uint8_t plain[WRAP_SIZE];
    const uint8_t *key = find_key(ring, epoch);
    if (key == NULL) return ILEA_ERROR_KEY_MISSING;

    put_wrap_prefix(network, audience, plain);
    memcpy(plain + WRAP_PREFIX_SIZE, key, ILEA_EPOCH_KEY_SIZE);
    bool is_sealed = ilea_seal(to, (struct ilea_span){ plain, sizeof plain }, wrapped);
    ilea_wipe(plain, sizeof plain);
    return is_sealed ? ILEA_ERROR_NONE : ILEA_ERROR_INVALID;
}

enum ilea_error
ilea_keyring_unwrap(struct ilea_keyring *ring, const struct ilea_reading_secret *reading,
                    const struct ilea_network_id *network, const struct ilea_audience_id *audience,
                    const uint8_t aek_commit[ILEA_HASH_SIZE],
                    const uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE])
{
    enum ilea_error error = ILEA_ERROR_NONE;
    uint8_t plain[WRAP_SIZE] = { 0 };
    uint8_t prefix[WRAP_PREFIX_SIZE];
    uint8_t own_commit[ILEA_HASH_SIZE];
    struct ilea_epoch_id epoch = epoch_of(aek_commit);

    /* The id is half of the commitment: a held key must fit the other half, too. */
    const uint8_t *held = find_key(ring, &epoch);
    if (held != NULL) {
        commit_to_key(held, network, audience, own_commit);
        return ilea_equal_secret(own_commit, aek_commit, ILEA_HASH_SIZE) ? ILEA_ERROR_NONE
                                                                         : ILEA_ERROR_BAD_HASH;
    }
    if (!ilea_unseal(reading, (struct ilea_span){ wrapped, ILEA_WRAPPED_KEY_SIZE }, plain)) {
        error = ILEA_ERROR_NOT_FOUND;
        goto out;
    }
    put_wrap_prefix(network, audience, prefix);
    commit_to_key(plain + WRAP_PREFIX_SIZE, network, audience, own_commit);
    if (!ilea_equal_secret(plain, prefix, WRAP_PREFIX_SIZE)
        || !ilea_equal_secret(own_commit, aek_commit, ILEA_HASH_SIZE)) {
        error = ILEA_ERROR_BAD_HASH;
        goto out;
    }
    if (ring->count == ring->count_max) {
        error = ILEA_ERROR_FULL;
        goto out;
    }
    insert(ring, &epoch, plain + WRAP_PREFIX_SIZE);
out:
    ilea_wipe(plain, sizeof plain);
    return error;
}

/* The domain before the caller's data: what the AEAD authenticates. Returns its size. */
static size_t
put_associated(struct ilea_span data, uint8_t associated[static 64 + DATA_SIZE_MAX])
{
    struct ilea_span text = ilea_domain_text(ILEA_DOMAIN_ITEM_AEAD);
    ilea_assert(data.size <= DATA_SIZE_MAX);

    associated[0] = (uint8_t)text.size;
    memcpy(associated + 1, text.data, text.size);
    if (data.size > 0) memcpy(associated + 1 + text.size, data.data, data.size);
    return 1 + text.size + data.size;
}

static void
choose_nonce(struct ilea_span data, struct ilea_span plaintext, uint8_t nonce[ILEA_NONCE_SIZE])
{
    struct ilea_hasher hasher;
    uint8_t fresh[ILEA_KEY_SIZE];
    uint8_t hash[ILEA_HASH_SIZE];

    ilea_random_bytes(fresh, sizeof fresh);
    ilea_hash_begin_keyed(&hasher, ILEA_DOMAIN_NONCE, fresh);
    ilea_hash_add(&hasher, data.data, data.size);
    ilea_hash_add(&hasher, plaintext.data, plaintext.size);
    ilea_hash_end(&hasher, hash);
    memcpy(nonce, hash, ILEA_NONCE_SIZE);
    ilea_wipe(&hasher, sizeof hasher);
    ilea_wipe(fresh, sizeof fresh);
}

enum ilea_error
ilea_keyring_encrypt(const struct ilea_keyring *ring, const struct ilea_epoch_id *epoch,
                     struct ilea_span data, struct ilea_span plaintext,
                     uint8_t nonce[ILEA_NONCE_SIZE], uint8_t *ciphertext)
{
    uint8_t associated[64 + DATA_SIZE_MAX];
    const uint8_t *key = find_key(ring, epoch);
    if (key == NULL) return ILEA_ERROR_KEY_MISSING;

    size_t associated_size = put_associated(data, associated);
    choose_nonce(data, plaintext, nonce);
    int failed = crypto_aead_xchacha20poly1305_ietf_encrypt(ciphertext, NULL, plaintext.data,
                                                            plaintext.size, associated,
                                                            associated_size, NULL, nonce, key);
    ilea_assert(failed == 0);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_keyring_decrypt(const struct ilea_keyring *ring, const struct ilea_epoch_id *epoch,
                     struct ilea_span data, const uint8_t nonce[ILEA_NONCE_SIZE],
                     struct ilea_span ciphertext, uint8_t *plaintext)
{
    uint8_t associated[64 + DATA_SIZE_MAX];
    const uint8_t *key = find_key(ring, epoch);
    if (key == NULL) return ILEA_ERROR_KEY_MISSING;
    if (ciphertext.size < ILEA_AEAD_OVERHEAD) return ILEA_ERROR_BAD_HASH;

    size_t associated_size = put_associated(data, associated);
    int failed = crypto_aead_xchacha20poly1305_ietf_decrypt(plaintext, NULL, NULL, ciphertext.data,
                                                            ciphertext.size, associated,
                                                            associated_size, nonce, key);
    return failed == 0 ? ILEA_ERROR_NONE : ILEA_ERROR_BAD_HASH;
}
