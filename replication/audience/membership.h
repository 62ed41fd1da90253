/*
 * membership.h - who is a member of a closed audience, who is suspended, and which epoch is current: by what its
 * control statements say (record/audience.h), in whatever order they came. Pure, and a function of the set of
 * statements alone: two nodes that hold the same set agree.
 *
 * K: the control statements held of one audience, of agencies that we follow. anc(s): s and all that it names,
 * through what that names; what is named and not held is skipped.
 *
 *   1. removals(m), adds(m): the AUDIENCEs in K that remove, add m.
 *   2. m is a member if it is the owner, or some s of adds(m) has all removals(m) in anc(s). Level, reading key and
 *      code: of the s of these with the highest (number, id). The owner's level is admin.
 *   3. A SUSPEND x of m by a stands if m is not the owner, m and a are members, a's level is admin, and no AUDIENCE s
 *      that lifts or adds m has x in anc(s). Whether a is suspended itself does not matter.
 *   4. Allowed: members of whom no suspension stands.
 *   5. must: removals(m) of all m that are no members, adds(m) of all members, all suspensions that stand.
 *   6. An AUDIENCE s is usable if must is in anc(s). The current epoch is that of the usable s with the highest
 *      (number, id).
 *   7. The number of a new AUDIENCE: 1 + the highest in K that its heads are or have as ancestor; 1 without heads.
 *   8. Who may write under an epoch: by position alone, that is rule 2 over anc of its AUDIENCE, or over the ancestors
 *      of what its WRITER names; level write or more. Without suspensions: all readers judge alike.
 *
 * PROTOCOL.md 31 says why each is needed.
 *
 * Memory grows with what is taken, to at most 2 MiB of ancestor sets, 6 MiB of acts and 16 MiB of names that are not
 * held. Threads: one at a time.
 */
#ifndef ILEA_AUDIENCE_MEMBERSHIP_H
#define ILEA_AUDIENCE_MEMBERSHIP_H

#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"
#include "replication/record/audience.h"

enum {
    ILEA_CONTROLS_MAX = 4096,            /* statements of one audience */
    ILEA_CONTROL_ACTS_MAX = 64 * 1024,   /* acts of all of them: each of 1,023 members changed 64 times */
    ILEA_CONTROL_AGENCIES_MAX = 4096     /* agencies that they ever named, as members, subjects or authors */
};

struct ilea_membership;

/* Nothing is held yet: the owner alone is a member. Gives *membership; end it with ilea_membership_free().
 *   ILEA_ERROR_NO_MEMORY */
ILEA_MUST_USE enum ilea_error ilea_membership_new(const struct ilea_agency_id *owner,
                                                  const struct ilea_audience_id *audience,
                                                  struct ilea_membership **membership);
void ilea_membership_free(struct ilea_membership *membership); /* NULL is fine */

/*
 * Take one control statement, content of a naming slot in a feed of `author`. Any order will do: what is named and
 * comes later is joined then. Nothing is borrowed. On failure K is as before.
 *   ILEA_ERROR_EXISTS     this id is held
 *   ILEA_ERROR_MALFORMED  neither an AUDIENCE nor a SUSPEND, or it does not decode: hide it
 *   ILEA_ERROR_INVALID    of another audience; an AUDIENCE that is not the owner's, or a SUSPEND that is: hide it
 *   ILEA_ERROR_LIMIT      more than K holds. From now on ilea_membership_state() says LIMIT too: the audience is
 *                         frozen, nobody writes into it any more. What is held still answers the other questions.
 *   ILEA_ERROR_NO_MEMORY
 */
ILEA_MUST_USE enum ilea_error ilea_membership_take(struct ilea_membership *membership,
                                                   const struct ilea_agency_id *author,
                                                   const struct ilea_commit_id *id,
                                                   struct ilea_span content);

struct ilea_member {
    struct ilea_agency_id agency;
    enum ilea_access level;
    struct ilea_reading_public reading;  /* zeros of the owner: its manifest says it */
    char code[ILEA_CODE_SIZE_MAX + 1];   /* empty of the owner */
    bool suspended;
    struct ilea_agency_id suspended_by;  /* if suspended; of several, the one with the lowest id */
    struct ilea_commit_id suspension;    /* if suspended: that statement */
};

struct ilea_membership_state {           /* borrowed until the next take */
    uint32_t member_count;               /* at most ILEA_MEMBERS_MAX */
    const struct ilea_member *members;   /* ascending by agency, the owner among them, suspended ones too */
    bool has_epoch;                      /* some AUDIENCE is usable */
    struct ilea_commit_id epoch;         /* the current one's; number and key name as it states them */
    uint64_t epoch_number;
    uint8_t aek_commit[ILEA_HASH_SIZE];
    uint32_t statement_count;            /* K */
    uint64_t next_number;                /* of an AUDIENCE that names these heads */
    uint32_t head_count;
    /* Ascending by id: the AUDIENCEs that no held AUDIENCE names, and the SUSPENDs that no held AUDIENCE names. */
    struct ilea_head heads[ILEA_HEADS_MAX];
    bool has_info;                       /* the first statement is held */
    struct ilea_span name;
    uint32_t tlp;
    uint64_t history_ms;
    bool list;
};

/*
 * All of the rules, computed anew when K has grown. Fills *state, of LIMIT too.
 *   ILEA_ERROR_LIMIT  frozen (see take), more than 64 heads, or more than ILEA_MEMBERS_MAX members: nobody writes.
 *                     Of heads, AUDIENCEs are given first: one more AUDIENCE that names what is given, or removes
 *                     members, ends the latter two.
 *   ILEA_ERROR_NO_MEMORY
 */
ILEA_MUST_USE enum ilea_error ilea_membership_state(struct ilea_membership *membership,
                                                    struct ilea_membership_state *state);

/* In a state: the member, or NULL. Allowed: there, and not suspended. */
const struct ilea_member *ilea_membership_find(const struct ilea_membership_state *state,
                                               const struct ilea_agency_id *agency);

/*
 * K as it would be after one more AUDIENCE of the owner with these acts, one an agency, that names the heads of the
 * state: its key is to be sealed to those who are allowed there. Its id there is zeros. Free *after like any.
 *   ILEA_ERROR_LIMIT, ILEA_ERROR_NO_MEMORY
 */
ILEA_MUST_USE enum ilea_error ilea_membership_after(struct ilea_membership *membership,
                                                    const struct ilea_member_act *acts, uint32_t act_count,
                                                    struct ilea_membership **after);

ILEA_MUST_USE bool ilea_membership_holds(const struct ilea_membership *membership,
                                         const struct ilea_commit_id *id);

/* Is it held, and all that is within its ancestors? Names of agencies that do not count (that we do not follow) need
 * not be. What others stated is whole, for it was waited for; our own that came back after a restore may not be. */
ILEA_MUST_USE bool ilea_membership_is_whole(const struct ilea_membership *membership,
                                            const struct ilea_commit_id *id,
                                            bool (*counts)(void *context, const struct ilea_agency_id *agency),
                                            void *context);

/* Is `what` in anc(of)? False if either is not held. */
ILEA_MUST_USE bool ilea_membership_is_ancestor(const struct ilea_membership *membership,
                                               const struct ilea_commit_id *what,
                                               const struct ilea_commit_id *of);

/*
 * The level of an agency by the ancestors of these ids alone (rule 2; with_suspensions: NONE too while one of these
 * ancestors suspends it, rule 3). An epoch is asked for with the id of its AUDIENCE, or with the heads of its WRITER.
 * Ids that are not held are skipped.
 *   ILEA_ERROR_NOT_FOUND  none is held
 */
ILEA_MUST_USE enum ilea_error ilea_membership_at(const struct ilea_membership *membership,
                                                 const struct ilea_commit_id *ids, uint32_t count,
                                                 bool with_suspensions, const struct ilea_agency_id *agency,
                                                 enum ilea_access *level);

/*
 * May this agency, which is allowed now, have the key of an epoch that is older than its joining? By the history that
 * the audience gives: all; or it was a member by the ancestors of these ids (as for ilea_membership_at); or the
 * latest time_ms of the AUDIENCEs among them is not before the audience's. False if none of the ids is held.
 */
ILEA_MUST_USE bool ilea_membership_may_have(const struct ilea_membership *membership,
                                            const struct ilea_commit_id *ids, uint32_t count,
                                            const struct ilea_agency_id *agency);

#endif
