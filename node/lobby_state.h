/*
 * lobby_state.h - the memory of the lobby, shared by lobby*.c alone.
 *
 *   lobby.c        the thread, and what the other thread asks of it
 *   lobby_guest.c  one guest: what it sent, what it gets
 *
 * `lock` guards what both threads use; the rest is the lobby thread's own.
 */
#ifndef ILEA_NODE_LOBBY_STATE_H
#define ILEA_NODE_LOBBY_STATE_H

#include <pthread.h>

#include "node/lobby.h"
#include "node/lobby_bucket.h"

enum {
    DEADLINE_MS = 3000,
    GRACE_MS = 20,
    REPLY_MS = 500,
    KEY_MS_MAX = 30000,
    DESK_SIZE = 16,
    DESK_SIZE_UNINVITED = 8,
    GUESTS_AN_INVITE = 2
};

enum guest_state {
    GUEST_NONE = 0,
    GUEST_READS,  /* greeted, has to say what it wants */
    GUEST_WAITS,  /* for ilea-node's reply */
    GUEST_LEAVES  /* answered: until it closes */
};

struct guest {
    enum guest_state state;
    int fd;
    uint32_t number;
    uint64_t source;
    uint64_t since_ms;
    uint64_t reply_ms;       /* GUEST_WAITS: until when */
    bool has_pass;           /* one that is open */
    bool has_spoken;         /* its first frame has come: no pass any more */
    bool is_wrong;           /* its pass is not */
    uint8_t pass[ILEA_INVITE_ID_BYTES];
    struct ilea_lobby_challenge challenge;
    size_t size;
    uint8_t in[ILEA_LOBBY_FRAME_MAX];
};

struct open_invite {
    struct ilea_invite invite;
    struct ilea_bucket bucket;
};

struct ilea_lobby {
    pthread_t thread;
    pthread_mutex_t lock;
    int listener, wake, ready; /* wake: for the thread; ready: for the other one */

    /* Under the lock. */
    bool is_closing;
    bool has_key, has_ceremony;
    struct ilea_lobby_public key;
    uint64_t key_ms;
    unsigned invite_count;
    struct open_invite invites[ILEA_LOBBY_INVITES_MAX];
    struct ilea_lobby_arrival desk[DESK_SIZE]; /* a ring */
    unsigned desk_first, desk_count;
    struct {
        uint32_t number; /* 0: none */
        uint16_t size;
        uint8_t bytes[ILEA_LOBBY_REPLY_MAX];
    } replies[ILEA_LOBBY_GUESTS_MAX];
    struct ilea_lobby_counts counts;

    /* The thread's. */
    uint64_t now_ms;
    uint32_t guest_number;
    struct ilea_bucket requests, ceremonies;
    struct ilea_sources request_sources, ceremony_sources;
    struct guest guests[ILEA_LOBBY_GUESTS_MAX];
};

/* lobby_guest.c; the lock is held */
void ilea_lobby_admit(struct ilea_lobby *lobby, int fd, const struct ilea_lobby_challenge *challenge,
                      uint64_t source);
void ilea_lobby_dismiss(struct guest *guest, bool at_once);
void ilea_lobby_hear(struct ilea_lobby *lobby, struct guest *guest);
void ilea_lobby_tend(struct ilea_lobby *lobby, struct guest *guest);

#endif
