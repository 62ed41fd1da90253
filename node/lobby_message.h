/*
 * lobby_message.h - what is sealed to a lobby's key, and what it answers to a ceremony.
 *
 *   request  = [ 1, card: bin, note: str, made_ms, invite: bin 0 or 16, sig: bin 64 ]
 *   ceremony = [ kind, from: bin 32, to: bin 32, manifest: bin 32, value: bin 32, reply: bin 32, sig: bin 64 ]
 *              kind 2 COMMIT   value: commitment (crypto/sas.h)    reply: key that the answer is sealed to
 *                   3 NONCE    value: the answering side's nonce   reply: zeros
 *                   4 REVEAL   value: the nonce committed to       reply: key that the answer is sealed to
 *                   5 DONE     value: the commitment again         reply: zeros
 *              from, to: agencies; manifest: hash of the sender's newest
 *   sig      = of the sender's node key over LOBBY_SIG, network,
 *              H(LOBBY, lobby key 32 || nonce 16 || what stands before sig)
 *
 * Key and nonce are those of the greeting, so a message is of use on one connection alone. The answers are
 * sealed to the key in what they answer, and signed over the same greeting.
 *
 * Pure. Decoders verify form, and request_decode the card and the signature too.
 */
#ifndef ILEA_NODE_LOBBY_MESSAGE_H
#define ILEA_NODE_LOBBY_MESSAGE_H

#include "node/lobby_frame.h"
#include "replication/record/manifest.h"

enum { ILEA_NOTE_SIZE_MAX = 500, ILEA_CEREMONY_SIZE_MAX = 256 };

enum ilea_lobby_kind {
    ILEA_LOBBY_KIND_REQUEST = 1,
    ILEA_LOBBY_KIND_COMMIT,
    ILEA_LOBBY_KIND_NONCE,
    ILEA_LOBBY_KIND_REVEAL,
    ILEA_LOBBY_KIND_DONE
};

/* Spans borrow what was decoded. */
struct ilea_lobby_request {
    struct ilea_span card_bytes;
    struct ilea_card card;
    struct ilea_span note;
    uint64_t made_ms;
    bool has_invite;
    uint8_t invite[ILEA_INVITE_ID_BYTES];
};

struct ilea_lobby_ceremony {
    enum ilea_lobby_kind kind;
    struct ilea_agency_id from, to;
    uint8_t manifest[ILEA_HASH_SIZE];
    uint8_t value[32];
    struct ilea_lobby_public reply;
    struct ilea_signature sig;
};

/* One line of at most ILEA_NOTE_SIZE_MAX bytes that shows as what it is: UTF-8, no control characters, none
 * that are invisible or change the direction of text. May be empty. */
bool ilea_note_is_plain(struct ilea_span note);

/* *request borrows `message`.
 *   ILEA_ERROR_BAD_SIGNATURE  altered, or made for another greeting
 *   errors of ilea_card_decode() */
ILEA_MUST_USE enum ilea_error
ilea_lobby_request_decode(struct ilea_span message, const struct ilea_lobby_challenge *challenge,
                          struct ilea_lobby_request *request);
/* Of *request: card_bytes, note, made_ms, has_invite and invite. `node`: the key of the card.
 *   ILEA_ERROR_LIMIT    it does not fit `capacity`
 *   ILEA_ERROR_INVALID  a note that is not plain */
ILEA_MUST_USE enum ilea_error
ilea_lobby_request_encode(const struct ilea_lobby_request *request,
                          const struct ilea_lobby_challenge *challenge,
                          const struct ilea_network_id *network, const struct ilea_sign_secret *node,
                          uint8_t *bytes, size_t capacity, size_t *size);

/* ILEA_ERROR_MALFORMED. Who signed it is ilea_lobby_ceremony_verify()'s to say. */
ILEA_MUST_USE enum ilea_error ilea_lobby_ceremony_decode(struct ilea_span message,
                                                         struct ilea_lobby_ceremony *ceremony);
ILEA_MUST_USE bool ilea_lobby_ceremony_verify(struct ilea_span message,
                                              const struct ilea_lobby_ceremony *ceremony,
                                              const struct ilea_lobby_challenge *challenge,
                                              const struct ilea_network_id *network,
                                              const struct ilea_sign_public *node);
/* Fills in sig; `bytes` has ILEA_CEREMONY_SIZE_MAX. Returns the size. */
size_t ilea_lobby_ceremony_encode(struct ilea_lobby_ceremony *ceremony,
                                  const struct ilea_lobby_challenge *challenge,
                                  const struct ilea_network_id *network,
                                  const struct ilea_sign_secret *node, uint8_t *bytes);

#endif
