/*
 * lobby.h - the door for strangers: plain TCP in a thread of ilea-link, with fixed memory and limits of its
 * own, so that whatever happens here costs the peers' connections nothing.
 *
 * A guest is greeted at once with a key and a nonce, and may send one message (node/lobby_frame.h). What is
 * well formed and within the limits goes to ilea-node, sealed as it is: nothing in it is looked at here. The
 * answer is "queued" whatever ilea-node makes of it, or "busy".
 *
 *   guests            32 at once, 3 seconds each. A newcomer takes the place of the one that is longest here
 *                     from the source that has most guests, unless that one came with a pass or less than
 *                     20 ms ago; then it is the newcomer who has to go
 *   a pass            the id of an open invite: keeps its place; two guests an invite
 *   requests          of one source 4, then one in 5 s; of all 8, then 2 a second
 *   with an invite    a right tag goes before all of these; of one invite 3, then one in 10 s
 *   ceremony          only while one is open; of one source 8, then 1 a second; of all 16, then 4 a second
 *   to ilea-node      16 wait at most, the last 8 places are for the invited
 *
 * Threads: all functions but those of the thread itself are called by the one that opened the lobby.
 */
#ifndef ILEA_NODE_LOBBY_H
#define ILEA_NODE_LOBBY_H

#include "node/lobby_frame.h"

enum {
    ILEA_LOBBY_GUESTS_MAX = 32,
    ILEA_LOBBY_INVITES_MAX = 64,
    ILEA_LOBBY_ADDRESS_SIZE = 64 /* "192.0.2.1:40000", "[2001:db8::1]:40000" */
};

/* A guest's message. */
struct ilea_lobby_arrival {
    uint32_t number;              /* of the connection: a ceremony is answered by it */
    enum ilea_lobby_type type;    /* REQUEST or CEREMONY */
    struct ilea_lobby_challenge challenge;
    bool has_invite;              /* with a right tag */
    uint8_t invite[ILEA_INVITE_ID_BYTES];
    char address[ILEA_LOBBY_ADDRESS_SIZE];
    uint16_t size;
    uint8_t sealed[ILEA_LOBBY_SEALED_MAX];
};

/* What happened since the lobby was opened. */
struct ilea_lobby_counts {
    uint64_t guests;       /* connections */
    uint64_t requests;     /* passed on to ilea-node */
    uint64_t invited;      /* of these, with an invite */
    uint64_t ceremonies;   /* messages of ceremonies, passed on */
    uint64_t busy;         /* refused by a limit */
    uint64_t crowded_out;  /* guests that had to go before they had asked */
    uint64_t late;         /* guests that did not ask in time */
    uint64_t malformed;
    uint64_t wrong_invite; /* unknown, used or expired invites, and wrong tags */
};

struct ilea_lobby;

/* Start the thread on a listening socket (non-blocking; owned from here on, also on failure). Gives *lobby.
 *   ILEA_ERROR_NO_MEMORY
 *   ILEA_ERROR_IO  no descriptor or thread to be had */
ILEA_MUST_USE enum ilea_error ilea_lobby_open(int listener, struct ilea_lobby **lobby);
/* End the thread and forget everything. NULL: nothing. */
void ilea_lobby_close(struct ilea_lobby *lobby);

/* Readable when there is an arrival to take. */
int ilea_lobby_fd(const struct ilea_lobby *lobby);
/* False: there is none. */
bool ilea_lobby_take(struct ilea_lobby *lobby, struct ilea_lobby_arrival *arrival);

/* The key to greet with from now on. Nobody is greeted without one, or with one older than 30 seconds. */
void ilea_lobby_set_key(struct ilea_lobby *lobby, const struct ilea_lobby_public *key,
                        bool has_ceremony);
/* The invites that are open. */
void ilea_lobby_set_invites(struct ilea_lobby *lobby, const struct ilea_invite *invites, unsigned count);
/* The reply to a ceremony's message; without one "queued" is all it gets, after half a second. */
void ilea_lobby_reply(struct ilea_lobby *lobby, uint32_t number, struct ilea_span reply);
void ilea_lobby_count(struct ilea_lobby *lobby, struct ilea_lobby_counts *counts);

#endif
