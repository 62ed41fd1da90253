/*
 * invite.h - invitations: a token of 128 random bits that an admin hands to one agency, and what is made
 * of it.
 *
 *   id  = the first 16 bytes of H(INVITE, u64(1) || token)   names it
 *   key = H(INVITE, u64(2) || token)                         who has it can make tags
 *   tag = H[key](INVITE, u64(3) || lobby key 32 || nonce 16 || sealed request)
 *   text = the token's 128 bits, then the first 12 bits of H(INVITE, u64(4) || token), in base 32 (digits and
 *          capital letters without I, L, O and U), in seven groups of four
 *
 * The token is shown once and kept nowhere; the issuer keeps id and key. Neither tells the token, but the key
 * makes tags: it is a secret.
 */
#ifndef ILEA_CRYPTO_INVITE_H
#define ILEA_CRYPTO_INVITE_H

#include "crypto/lobby_key.h"
#include "include/ilea/error.h"
#include "include/ilea/span.h"

enum {
    ILEA_INVITE_TOKEN_SIZE = 16,
    ILEA_INVITE_ID_BYTES = 16,
    ILEA_INVITE_KEY_BYTES = 32,
    ILEA_INVITE_TAG_SIZE = 32,
    ILEA_INVITE_TEXT_SIZE = 7 * 5, /* its NUL included */
    ILEA_LOBBY_NONCE_SIZE = 16     /* of one connection */
};

struct ilea_invite_token { uint8_t bytes[ILEA_INVITE_TOKEN_SIZE]; };
/* What the issuer keeps. Wipe both after use. */
struct ilea_invite {
    uint8_t id[ILEA_INVITE_ID_BYTES];
    uint8_t key[ILEA_INVITE_KEY_BYTES];
};

void ilea_invite_generate(struct ilea_invite_token *token);
void ilea_invite_derive(const struct ilea_invite_token *token, struct ilea_invite *invite);

void ilea_invite_format(const struct ilea_invite_token *token, char text[ILEA_INVITE_TEXT_SIZE]);
/* Case, blanks and '-' do not matter; I and L are read as 1, O as 0.
 *   ILEA_ERROR_INVALID  mistyped */
ILEA_MUST_USE enum ilea_error ilea_invite_parse(const char *text, struct ilea_invite_token *token);

void ilea_invite_tag(const uint8_t key[ILEA_INVITE_KEY_BYTES], const struct ilea_lobby_public *lobby,
                     const uint8_t nonce[ILEA_LOBBY_NONCE_SIZE], struct ilea_span sealed,
                     uint8_t tag[ILEA_INVITE_TAG_SIZE]);
/* Of 8 KiB: 10 us. */
ILEA_MUST_USE bool ilea_invite_tag_is_right(const uint8_t key[ILEA_INVITE_KEY_BYTES],
                                            const struct ilea_lobby_public *lobby,
                                            const uint8_t nonce[ILEA_LOBBY_NONCE_SIZE],
                                            struct ilea_span sealed,
                                            const uint8_t tag[ILEA_INVITE_TAG_SIZE]);

#endif
