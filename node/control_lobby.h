/*
 * control_lobby.h - the frames of control.h that are about lobbies.
 *
 *   SEAL       [ lobby key: bin 32, nonce: bin 16, note, invite id: bin 0 or 16 ]   a request, for that greeting
 *     answer   [ error, reason, sealed: bin ]
 *   CEREMONY   [ verb, agency, bytes: bin ]    verb 0 ASK    how it stands; opens it. No bytes
 *                                                   1 GREET  the other lobby's greeting: lobby key 32 | nonce 16
 *                                                   2 ANSWER what that lobby answered with
 *                                                   3 END    the admin does not wait any more. No bytes
 *     answer   [ error, reason, agency: bin 32, code, state, other card 0/1, endpoint, digits, words, sealed: bin ]
 *              endpoint: to be dialled now, or empty; sealed: to be sent there, after GREET
 *   LOBBY      [ ]
 *     answer   [ state, text, [ what the door counted ], [ what the desk counted ] ]
 */
#ifndef ILEA_NODE_CONTROL_LOBBY_H
#define ILEA_NODE_CONTROL_LOBBY_H

#include "config/config.h"
#include "node/ceremony.h"
#include "node/control.h"
#include "node/lobby.h"

enum ilea_ceremony_verb {
    ILEA_VERB_ASK = 0,
    ILEA_VERB_GREET,
    ILEA_VERB_ANSWER,
    ILEA_VERB_END
};

struct ilea_control_seal {
    struct ilea_lobby_challenge challenge;
    struct ilea_span note;           /* borrowed */
    bool has_invite;
    uint8_t invite[ILEA_INVITE_ID_BYTES];
};
struct ilea_control_sealed {
    enum ilea_error error;
    char reason[ILEA_REASON_SIZE];
    size_t size;
    uint8_t sealed[ILEA_LOBBY_SEALED_MAX];
};

struct ilea_control_ask {
    enum ilea_ceremony_verb verb;
    char name[2 * ILEA_ID_SIZE + 1];
    struct ilea_span bytes;          /* borrowed */
};
struct ilea_control_ceremony {
    enum ilea_error error;
    char reason[ILEA_REASON_SIZE];
    struct ilea_agency_id agency;
    char code[ILEA_CODE_SIZE_MAX + 1];
    enum ilea_ceremony_state state;
    bool is_other_card;
    char endpoint[ILEA_ENDPOINT_SIZE_MAX + 1];
    char digits[ILEA_SAS_DIGITS + 1]; /* "" as long as it is not done */
    char words[ILEA_SAS_WORDS * (ILEA_SAS_WORD_SIZE_MAX + 1)];
    size_t size;
    uint8_t sealed[ILEA_CEREMONY_SIZE_MAX + ILEA_SEAL_OVERHEAD];
};

/* What ilea-node did with requests, since its start. */
struct ilea_desk_counts {
    uint64_t stored;       /* pending now, or were */
    uint64_t invited;      /* of these, with an invite */
    uint64_t unreadable;   /* sealed to a key that is over, not a request, altered, or made for another greeting */
    uint64_t foreign;      /* of another network */
    uint64_t mistimed;     /* made more than a day before or after our clock */
    uint64_t refused;      /* declined or revoked before, or with a root key of one that was */
    uint64_t known;        /* of agencies that are on the list already */
    uint64_t full;         /* no place left, or too many in a short time */
    uint64_t wrong_invite; /* used meanwhile, or expired */
};
enum { ILEA_DESK_COUNTS = 9, ILEA_LOBBY_COUNTS = 9 };
_Static_assert(sizeof(struct ilea_desk_counts) == ILEA_DESK_COUNTS * sizeof(uint64_t), "all are told");
_Static_assert(sizeof(struct ilea_lobby_counts) == ILEA_LOBBY_COUNTS * sizeof(uint64_t), "all are told");

struct ilea_control_lobby {
    char state[8];               /* "off", "open", "closed" */
    char text[ILEA_CONFIG_VALUE_SIZE]; /* where, or why not */
    struct ilea_lobby_counts door;
    struct ilea_desk_counts desk;
};

void ilea_control_put_seal(struct ilea_msgpack_writer *writer, const struct ilea_control_seal *seal);
ILEA_MUST_USE enum ilea_error ilea_control_get_seal(struct ilea_span body, struct ilea_control_seal *seal);
void ilea_control_put_sealed(struct ilea_msgpack_writer *writer, const struct ilea_control_sealed *sealed);
ILEA_MUST_USE enum ilea_error ilea_control_get_sealed(struct ilea_span body, struct ilea_control_sealed *sealed);

void ilea_control_put_ask(struct ilea_msgpack_writer *writer, const struct ilea_control_ask *ask);
ILEA_MUST_USE enum ilea_error ilea_control_get_ask(struct ilea_span body, struct ilea_control_ask *ask);
void ilea_control_put_ceremony(struct ilea_msgpack_writer *writer, const struct ilea_control_ceremony *ceremony);
ILEA_MUST_USE enum ilea_error ilea_control_get_ceremony(struct ilea_span body,
                                                        struct ilea_control_ceremony *ceremony);

void ilea_control_put_lobby(struct ilea_msgpack_writer *writer, const struct ilea_control_lobby *lobby);
ILEA_MUST_USE enum ilea_error ilea_control_get_lobby(struct ilea_span body, struct ilea_control_lobby *lobby);

#endif
