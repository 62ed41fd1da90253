/*
 * lobby_frame.h - what goes over a connection to a lobby: frames of at most ILEA_LOBBY_FRAME_MAX bytes.
 *
 *   frame:  uint16 size of what follows, most significant byte first | uint8 type | body
 *
 *   1 PASS      client   invite id 16. The first frame if there is one, and may come before the greeting
 *   2 GREETING  server   version u8 (1) | minutes since 1970 u32 | lobby key 32 | nonce 16. At once
 *   3 REQUEST   client   tag 32, zeros without an invite | a message sealed to the lobby key
 *   4 CEREMONY  client   a message sealed to the lobby key
 *   5 ANSWER    server   status u8 (1 queued, 2 busy) | reply, empty but to a ceremony
 *
 * One REQUEST or CEREMONY a connection. Tag: crypto/invite.h; messages: node/lobby_message.h.
 *
 * Pure. The process that strangers reach decodes no more than this.
 */
#ifndef ILEA_NODE_LOBBY_FRAME_H
#define ILEA_NODE_LOBBY_FRAME_H

#include "crypto/invite.h"
#include "include/ilea/error.h"
#include "include/ilea/span.h"

enum {
    ILEA_LOBBY_FRAME_MAX = 8192,
    ILEA_LOBBY_HEADER = 3,
    ILEA_LOBBY_VERSION = 1,
    ILEA_LOBBY_GREETING_SIZE = ILEA_LOBBY_HEADER + 1 + 4 + ILEA_BOX_PUBLIC_SIZE + ILEA_LOBBY_NONCE_SIZE,
    ILEA_LOBBY_PASS_SIZE = ILEA_LOBBY_HEADER + ILEA_INVITE_ID_BYTES,
    ILEA_LOBBY_SEALED_MAX = ILEA_LOBBY_FRAME_MAX - ILEA_LOBBY_HEADER - ILEA_INVITE_TAG_SIZE,
    ILEA_LOBBY_MESSAGE_MAX = ILEA_LOBBY_SEALED_MAX - ILEA_SEAL_OVERHEAD,
    ILEA_LOBBY_REPLY_MAX = 512,
    ILEA_LOBBY_ANSWER_MAX = ILEA_LOBBY_HEADER + 1 + ILEA_LOBBY_REPLY_MAX
};

enum ilea_lobby_type {
    ILEA_LOBBY_PASS = 1,
    ILEA_LOBBY_GREETING,
    ILEA_LOBBY_REQUEST,
    ILEA_LOBBY_CEREMONY,
    ILEA_LOBBY_ANSWER
};

enum ilea_lobby_status { ILEA_LOBBY_QUEUED = 1, ILEA_LOBBY_BUSY };

/* What a request must be made for, so that it is of use nowhere else. */
struct ilea_lobby_challenge {
    struct ilea_lobby_public key;
    uint8_t nonce[ILEA_LOBBY_NONCE_SIZE];
};

/* Fields of other types than `type` are zero. */
struct ilea_lobby_frame {
    enum ilea_lobby_type type;
    uint8_t invite[ILEA_INVITE_ID_BYTES];      /* PASS */
    uint8_t version;                           /* GREETING */
    uint32_t minutes;
    struct ilea_lobby_challenge challenge;
    uint8_t tag[ILEA_INVITE_TAG_SIZE];         /* REQUEST */
    struct ilea_span sealed;                   /* REQUEST, CEREMONY: borrowed from the input */
    enum ilea_lobby_status status;             /* ANSWER */
    struct ilea_span reply;                    /* borrowed */
};

/* Decode one frame from the start of `input`; *size: its bytes.
 *   ILEA_ERROR_NOT_FOUND  not whole yet
 *   ILEA_ERROR_UNKNOWN    a greeting of another version
 *   ILEA_ERROR_MALFORMED */
ILEA_MUST_USE enum ilea_error ilea_lobby_frame_decode(struct ilea_span input,
                                                      struct ilea_lobby_frame *frame, size_t *size);

/* Encode into `bytes` (ILEA_LOBBY_FRAME_MAX); sizes beyond the limits are the caller's mistake. Returns the
 * size. */
size_t ilea_lobby_frame_encode(const struct ilea_lobby_frame *frame, uint8_t *bytes);

#endif
