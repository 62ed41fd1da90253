/*
 * lobby_desk.h - the desk behind the lobby's door, in ilea-node: the keys that strangers seal to, what is made
 * of their requests, and the invites that are open.
 *
 *   keys       a new one every 5 seconds; the one before it opens what was on its way
 *   places     64 pending requests, of which those without an invite have 48 at most
 *   when full  the oldest without an invite goes, of those that nobody vouches for if there are any
 *   taken in   without an invite 24 at once, then one in ten minutes: so a flood costs little disk, and who was
 *              taken in keeps the place for hours
 *   expiry     14 days; of invites as their admin said
 *
 * Nothing of it answers: a stranger hears "queued" from the door, whatever becomes of the request.
 */
#ifndef ILEA_NODE_LOBBY_DESK_H
#define ILEA_NODE_LOBBY_DESK_H

#include "node/control_lobby.h"
#include "node/lobby_bucket.h"
#include "node/node.h"

enum {
    ILEA_DESK_KEYS = 2,
    ILEA_DESK_ROTATE_MS = 5000,
    ILEA_DESK_PENDING_MAX = 64,
    ILEA_DESK_UNINVITED_MAX = 48,
    ILEA_DESK_EXPIRY_DAYS = 14,
    ILEA_INVITE_DAYS_MAX = 90,
    ILEA_INVITE_DAYS_DEFAULT = 7
};

struct ilea_desk {
    struct ilea_lobby_secret *secrets[ILEA_DESK_KEYS]; /* the newest first; NULL: none */
    struct ilea_lobby_public publics[ILEA_DESK_KEYS];
    uint64_t rotated_ms;
    struct ilea_bucket taken;                          /* by requests without an invite */
    struct ilea_desk_counts counts;
};

/* A request as it came through the door, unsealed. */
struct ilea_desk_request {
    struct ilea_span message;
    struct ilea_lobby_challenge challenge;
    bool has_invite;               /* its tag was right */
    uint8_t invite[ILEA_INVITE_ID_BYTES];
    struct ilea_span address;
};

enum ilea_desk_outcome { ILEA_DESK_IGNORED = 0, ILEA_DESK_STORED };

void ilea_desk_end(struct ilea_desk *desk);
/* Make a new key if it is time for one; whether it was. Times are of a clock that never goes back. */
bool ilea_desk_rotate(struct ilea_desk *desk, uint64_t now_ms);
/* Open what was sealed to one of our keys; opened has room for sealed.size - ILEA_SEAL_OVERHEAD bytes. */
bool ilea_desk_unseal(struct ilea_desk *desk, const struct ilea_lobby_public *key, struct ilea_span sealed,
                      uint8_t *opened);

/*
 * Decide about a request and count what was decided, inside node->author's group commit. The caller commits if
 * the return value is NONE and *outcome is STORED, else aborts; an error tells of trouble of our own.
 * agency->id: who asked, where it was stored. wall_ms: of the wall clock.
 */
ILEA_MUST_USE enum ilea_error ilea_desk_take(struct ilea_desk *desk, struct ilea_node *node,
                                             const struct ilea_desk_request *request, uint64_t wall_ms,
                                             uint64_t now_ms, enum ilea_desk_outcome *outcome,
                                             struct ilea_control_agency *agency);

/* Drop one request or invite whose time is over, inside the author's group commit. NOT_FOUND: there is none, or
 * our clock cannot be right. */
ILEA_MUST_USE enum ilea_error ilea_desk_expire(struct ilea_node *node, uint64_t wall_ms);

/* The invites that are open, in ILEA_LOBBY_INVITES_MAX places; *count of them. Inside a transaction of the log. */
ILEA_MUST_USE enum ilea_error ilea_desk_invites(struct ilea_transaction *txn, uint64_t wall_ms,
                                                struct ilea_invite *invites, unsigned *count);

/* Make and seal a request of our own for another lobby's greeting: with our card, signed. sealed->error says how
 * it went, with a reason. */
void ilea_desk_seal(struct ilea_node *node, struct ilea_transaction *txn, const struct ilea_control_seal *seal,
                    uint64_t wall_ms, struct ilea_control_sealed *sealed);

#endif
