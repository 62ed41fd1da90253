/*
 * ceremony.h - two admins see the same short code, because their nodes have exchanged nonces: one side
 * commits to its nonce, the other answers with its own, the first reveals (messages: node/lobby_message.h;
 * code: crypto/sas.h).
 *
 * A ceremony is open while an admin's `ilea peer verify` asks about it, for ten minutes at most. Each side
 * may begin a run if the other has a lobby: the lower agency id at once, the other after three seconds. If
 * both do, the lower one decides which run counts: the first in which it hears from the other. The higher one
 * takes the run in which the lower one goes on. So both end with the same code, or one of them with none.
 *
 * Who stands between two nodes can try a code each time that a nonce is given to a new commitment: at most
 * three times a ceremony, and once by the run of this side.
 *
 * Pure but for random nonces. Times are of a clock that never goes back. In ilea-node's memory alone: a
 * restart forgets codes, and the admins compare again.
 */
#ifndef ILEA_NODE_CEREMONY_H
#define ILEA_NODE_CEREMONY_H

#include "crypto/sas.h"
#include "node/lobby_message.h"

enum {
    ILEA_CEREMONIES_MAX = 8,          /* open at once */
    ILEA_CEREMONY_RESULTS_MAX = 64,
    ILEA_CEREMONY_COMMITMENTS_MAX = 3,
    ILEA_CEREMONY_MS = 600000,
    ILEA_CEREMONY_LEASE_MS = 5000,    /* after the last question of its admin */
    ILEA_CEREMONY_KEPT_MS = 24 * 3600 * 1000,
    ILEA_CEREMONY_SECOND_MS = 3000,   /* when the higher id begins too */
    ILEA_CEREMONY_UNHEARD_MS = 3000,  /* after a nonce without a DONE: the other side may have begun anew */
    ILEA_CEREMONY_PAUSE_MS = 1000     /* between two messages of ours */
};

enum ilea_ceremony_state {
    ILEA_CEREMONY_WAITING,   /* for the other side's admin, or for a way to its node */
    ILEA_CEREMONY_EXCHANGING,
    ILEA_CEREMONY_DONE,
    ILEA_CEREMONY_BROKEN     /* the other side broke the rules: open another */
};

/* Of a run. A nonce that may have been revealed in vain is never committed to again: the run is dead. */
enum ilea_ceremony_step {
    ILEA_STEP_NONE = 0,
    ILEA_STEP_COMMITTED,
    ILEA_STEP_NONCES,
    ILEA_STEP_REVEALED,
    ILEA_STEP_DEAD
};
struct ilea_ceremony_run {
    enum ilea_ceremony_step step;
    uint8_t commitment[ILEA_HASH_SIZE];
    uint8_t own[ILEA_SAS_NONCE_SIZE], other[ILEA_SAS_NONCE_SIZE];
};

struct ilea_ceremony {
    bool is_open;
    bool is_lower;               /* our agency id */
    bool is_broken;
    bool is_other_card;          /* the other side has another manifest than we know, or knows another of ours */
    struct ilea_sas_side own, other; /* nonces unused */
    uint64_t opened_ms, asked_ms, sent_ms;
    uint64_t nonce_ms;           /* when the other side answered our commitment */
    uint32_t commitments;        /* of the other side, answered */
    struct ilea_ceremony_run ours, theirs;
    const struct ilea_ceremony_run *chosen; /* NULL: not decided */
};

struct ilea_ceremony_result {
    bool is_set;
    struct ilea_agency_id agency;
    uint8_t own_manifest[ILEA_HASH_SIZE], manifest[ILEA_HASH_SIZE];
    uint64_t done_ms;
    struct ilea_sas sas;
};

/* Zeroed: none. */
struct ilea_ceremonies {
    struct ilea_ceremony open[ILEA_CEREMONIES_MAX];
    struct ilea_ceremony_result results[ILEA_CEREMONY_RESULTS_MAX];
};

/* The open one with an agency; opened if there is none, or one with other manifests. NULL: too many. `own` and
 * `other`: ids and hashes of the newest manifests. */
struct ilea_ceremony *ilea_ceremony_open(struct ilea_ceremonies *ceremonies,
                                         const struct ilea_sas_side *own,
                                         const struct ilea_sas_side *other, uint64_t now_ms);
/* NULL: none. Ends those whose time is over. */
struct ilea_ceremony *ilea_ceremony_find(struct ilea_ceremonies *ceremonies,
                                         const struct ilea_agency_id *agency, uint64_t now_ms);
bool ilea_ceremony_any(struct ilea_ceremonies *ceremonies, uint64_t now_ms);
void ilea_ceremony_close(struct ilea_ceremony *ceremony);
enum ilea_ceremony_state ilea_ceremony_state(const struct ilea_ceremony *ceremony);

/* Whether there is a message to send to the other side's lobby now. */
bool ilea_ceremony_has_next(const struct ilea_ceremony *ceremony, uint64_t now_ms);
/* A message to send to the other side's lobby now: kind, manifest and value of *message are set. False: none. */
bool ilea_ceremony_next(struct ilea_ceremony *ceremony, uint64_t now_ms,
                        struct ilea_lobby_ceremony *message);
/* The other side's COMMIT or REVEAL, its signature good: *answer's kind, manifest and value are set. False: no
 * answer. */
bool ilea_ceremony_receive(struct ilea_ceremonies *ceremonies, struct ilea_ceremony *ceremony,
                           const struct ilea_lobby_ceremony *message, uint64_t now_ms,
                           struct ilea_lobby_ceremony *answer);
/* The other side's NONCE or DONE to what next() gave, its signature good. */
void ilea_ceremony_answered(struct ilea_ceremonies *ceremonies, struct ilea_ceremony *ceremony,
                            const struct ilea_lobby_ceremony *message, uint64_t now_ms);

/* The code of the last ceremony of these two sides; false: none in the last 24 hours. */
bool ilea_ceremony_result(const struct ilea_ceremonies *ceremonies, const struct ilea_sas_side *own,
                          const struct ilea_sas_side *other, uint64_t now_ms, struct ilea_sas *sas);

enum ilea_ceremony_match {
    ILEA_CEREMONY_UNKNOWN = 0,   /* no memory to compute the offline code with: try again */
    ILEA_CEREMONY_ONLINE,
    ILEA_CEREMONY_OFFLINE,
    ILEA_CEREMONY_WORDS,         /* the digits of the offline code, without its words: they are too few to go by */
    ILEA_CEREMONY_WRONG,
    ILEA_CEREMONY_BAD_LENGTH     /* not eight digits, nor these and four words */
};

/*
 * Whether what an admin typed is the code of these two sides: of their last ceremony, or the offline code.
 * `ceremonies` NULL: no daemon, so no ceremony. If it is not an online code this takes 0.2 s and 64 MiB.
 */
enum ilea_ceremony_match ilea_ceremony_compare(const struct ilea_ceremonies *ceremonies,
                                               const struct ilea_sas_side *own,
                                               const struct ilea_sas_side *other, const char *typed,
                                               uint64_t now_ms);

#endif
