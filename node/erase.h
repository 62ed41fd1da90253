/*
 * erase.h - erasure as a node carries it out (PROTOCOL.md, "Erasure"): records of ours, what turns up of them later,
 * and what other agencies erase.
 *
 * All inside the author's group commit, and only where it has the file that remembers what is erased
 * (ilea_author_use_erased()).
 */
#ifndef ILEA_NODE_ERASE_H
#define ILEA_NODE_ERASE_H

#include "node/author.h"
#include "replication/record/act.h"

enum {
    ILEA_ERASE_FREE = 1000,      /* items that an agency may have deleted here a day without its admins' signatures */
    ILEA_ERASE_RECORDS_MAX = 2048,
    ILEA_ERASE_STRAYS_MAX = 1024, /* done at once */
    ILEA_ERASE_TEXT_MAX = ILEA_GONE_REASON_MAX,
    ILEA_DAY_MS = 24 * 60 * 60 * 1000
};

struct ilea_erase_record {
    uint32_t type;
    struct ilea_record_id id;
};

struct ilea_erase_request {
    const struct ilea_erase_record *records;
    uint32_t count;
    struct ilea_span reason, basis;  /* one line each, at most ILEA_ERASE_TEXT_MAX bytes; basis may be empty */
    uint32_t day_max;                /* more records than this in 24 hours: only with signatures */
    struct ilea_span act;            /* empty: unsigned */
    const struct ilea_act_signature *sigs; /* good ones, ascending by admin */
    uint32_t sig_count;
};

struct ilea_erase_result {
    uint32_t records, dots;          /* changes of them, and how many of these others may have */
    uint32_t shared_dots;
    char reason[ILEA_REASON_SIZE];   /* on failure: one line for people */
};

/*
 * Erase records of ours: all that they are made of, here and, by a statement, wherever it went.
 *   ILEA_ERROR_BUSY        the view has not caught up with what was written: commit, wait until it has come to
 *                          ilea_author_position(), and ask again
 *   ILEA_ERROR_NOT_FOUND, NOT_OWNER, INVALID
 *   ILEA_ERROR_PERMISSION  more than a day's records: signatures are needed
 *   ILEA_ERROR_LIMIT       with signatures: more changes than one statement takes
 *   others: abort
 * Where one is refused, nothing is erased. */
ILEA_MUST_USE enum ilea_error ilea_author_erase(struct ilea_author *author, const struct ilea_erase_request *request,
                                                struct ilea_erase_result *result);

/*
 * A record of ours stays and is for fewer from now on: erase what was shared of it up to now. Its new state, for
 * `audience`, is written in the same group commit, before or after this call; what turns up of it in any other
 * audience is erased as a stray. BUSY: the view has not caught up with what was written before this group commit.
 * NOT_FOUND: nothing of it was shared. */
ILEA_MUST_USE enum ilea_error ilea_author_narrow(struct ilea_author *author, const struct ilea_erase_record *record,
                                                 const struct ilea_audience_id *audience, struct ilea_span reason,
                                                 uint32_t *dots);

/* Erase what the view found to be left over of erased records: changes that came later, and what we ourselves said
 * about records that are gone. At most ILEA_ERASE_STRAYS_MAX; *count: how many there were. BUSY as above. */
ILEA_MUST_USE enum ilea_error ilea_author_erase_strays(struct ilea_author *author, uint32_t *count);

/* Whether there is anything for ilea_author_erase_strays() in a view. */
bool ilea_erase_has_strays(struct ilea_transaction *view);

/* State again what we erased and no statement in the log says any more: a restore or a cut lost it. *count: of how
 * many items. */
ILEA_MUST_USE enum ilea_error ilea_author_restate(struct ilea_author *author, uint32_t *count);

/*
 * A commit of a control feed is about to be appended at `seq`: carry out what it states. Before ilea_log_append(), so
 * that a view that has come past the commit has come past what it erased. Statements that do not decode, or not of
 * control feeds, say nothing. */
ILEA_MUST_USE enum ilea_error ilea_erase_take(struct ilea_author *author, const struct ilea_feed_row *feed,
                                              uint64_t seq, struct ilea_span commit);

/* Carry out what is due, as far as the agencies' allowances permit. *count: items deleted. */
ILEA_MUST_USE enum ilea_error ilea_erase_due(struct ilea_author *author, uint32_t *count);

#endif
