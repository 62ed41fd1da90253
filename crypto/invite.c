#include <string.h>

#include "crypto/assert.h"
#include "crypto/hash.h"
#include "crypto/invite.h"
#include "crypto/random.h"
#include "crypto/secret.h"

enum {
    FOR_ID = 1, FOR_KEY = 2, FOR_TAG = 3, FOR_CHECK = 4, /* what a hash of this domain is for */
    CHARACTERS = 28, GROUP = 4, CHARACTER_BITS = 5, CHECK_BITS = 12
};

_Static_assert(CHARACTERS * CHARACTER_BITS == ILEA_INVITE_TOKEN_SIZE * 8 + CHECK_BITS, "all bits are shown");
_Static_assert((int)ILEA_INVITE_KEY_BYTES == (int)ILEA_KEY_SIZE, "a key of the keyed hash");

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void
derive(const struct ilea_invite_token *token, unsigned purpose, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_INVITE);
    ilea_hash_add_u64(&hasher, purpose);
    ilea_hash_add(&hasher, token->bytes, sizeof token->bytes);
    ilea_hash_end(&hasher, hash);
    ilea_wipe(&hasher, sizeof hasher);
}

void
ilea_invite_generate(struct ilea_invite_token *token)
{
    ilea_random_bytes(token->bytes, sizeof token->bytes);
}

void
ilea_invite_derive(const struct ilea_invite_token *token, struct ilea_invite *invite)
{
    uint8_t hash[ILEA_HASH_SIZE];
    derive(token, FOR_ID, hash);
    memcpy(invite->id, hash, sizeof invite->id);
    derive(token, FOR_KEY, invite->key);
    ilea_wipe(hash, sizeof hash);
}

/* Token and check as they are shown, 140 bits and four of no meaning at the end. */
static void
put_shown(const struct ilea_invite_token *token, uint8_t shown[ILEA_INVITE_TOKEN_SIZE + 2])
{
    uint8_t hash[ILEA_HASH_SIZE];
    derive(token, FOR_CHECK, hash);
    memcpy(shown, token->bytes, ILEA_INVITE_TOKEN_SIZE);
    shown[ILEA_INVITE_TOKEN_SIZE] = hash[0];
    shown[ILEA_INVITE_TOKEN_SIZE + 1] = hash[1] & 0xf0;
    ilea_wipe(hash, sizeof hash);
}

void
ilea_invite_format(const struct ilea_invite_token *token, char text[ILEA_INVITE_TEXT_SIZE])
{
    uint8_t shown[ILEA_INVITE_TOKEN_SIZE + 2];
    put_shown(token, shown);
    for (size_t i = 0; i < CHARACTERS; i++) {
        size_t bit = i * CHARACTER_BITS;
        unsigned pair = (unsigned)shown[bit / 8] << 8 | (bit / 8 + 1 < sizeof shown ? shown[bit / 8 + 1] : 0U);
        *text++ = alphabet[pair >> (16 - CHARACTER_BITS - bit % 8) & 31];
        *text++ = '-';
        if (i % GROUP != GROUP - 1) text--;
    }
    text[-1] = '\0';
    ilea_wipe(shown, sizeof shown);
}

/* -1: none of the characters. */
static int
value_of(char c)
{
    if (c >= 'a' && c <= 'z') c = (char)(c - 'a' + 'A');
    if (c == 'I' || c == 'L') c = '1';
    if (c == 'O') c = '0';
    const char *found = c != '\0' ? strchr(alphabet, c) : NULL;
    return found != NULL ? (int)(found - alphabet) : -1;
}

enum ilea_error
ilea_invite_parse(const char *text, struct ilea_invite_token *token)
{
    uint8_t shown[ILEA_INVITE_TOKEN_SIZE + 2] = { 0 }, expected[sizeof shown];
    size_t count = 0;
    for (; *text != '\0'; text++) {
        if (*text == ' ' || *text == '-') continue;
        int value = value_of(*text);
        if (value < 0 || count == CHARACTERS) return ILEA_ERROR_INVALID;
        size_t bit = count++ * CHARACTER_BITS;
        unsigned pair = (unsigned)value << (16 - CHARACTER_BITS - bit % 8);
        shown[bit / 8] |= (uint8_t)(pair >> 8);
        if (bit / 8 + 1 < sizeof shown) shown[bit / 8 + 1] |= (uint8_t)pair;
    }
    if (count != CHARACTERS) return ILEA_ERROR_INVALID;
    memcpy(token->bytes, shown, sizeof token->bytes);
    put_shown(token, expected);
    bool same = ilea_equal_secret(shown, expected, sizeof shown);
    ilea_wipe(shown, sizeof shown);
    ilea_wipe(expected, sizeof expected);
    if (!same) ilea_wipe(token, sizeof *token);
    return same ? ILEA_ERROR_NONE : ILEA_ERROR_INVALID;
}

void
ilea_invite_tag(const uint8_t key[ILEA_INVITE_KEY_BYTES], const struct ilea_lobby_public *lobby,
                const uint8_t nonce[ILEA_LOBBY_NONCE_SIZE], struct ilea_span sealed,
                uint8_t tag[ILEA_INVITE_TAG_SIZE])
{
    _Static_assert((int)ILEA_INVITE_TAG_SIZE == (int)ILEA_HASH_SIZE, "a tag is a hash");
    struct ilea_hasher hasher;
    ilea_hash_begin_keyed(&hasher, ILEA_DOMAIN_INVITE, key);
    ilea_hash_add_u64(&hasher, FOR_TAG);
    ilea_hash_add(&hasher, lobby->bytes, sizeof lobby->bytes);
    ilea_hash_add(&hasher, nonce, ILEA_LOBBY_NONCE_SIZE);
    ilea_hash_add(&hasher, sealed.data, sealed.size);
    ilea_hash_end(&hasher, tag);
    ilea_wipe(&hasher, sizeof hasher);
}

bool
ilea_invite_tag_is_right(const uint8_t key[ILEA_INVITE_KEY_BYTES], const struct ilea_lobby_public *lobby,
                         const uint8_t nonce[ILEA_LOBBY_NONCE_SIZE], struct ilea_span sealed,
                         const uint8_t tag[ILEA_INVITE_TAG_SIZE])
{
    uint8_t expected[ILEA_INVITE_TAG_SIZE];
    ilea_invite_tag(key, lobby, nonce, sealed, expected);
    return ilea_equal_secret(expected, tag, sizeof expected);
}
