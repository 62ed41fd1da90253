/*
 * where.h - where a record of ours is: for each agency what its receipts, our epochs and our decisions say.
 */
#ifndef ILEA_NODE_WHERE_H
#define ILEA_NODE_WHERE_H

#include "node/audience_find.h"
#include "node/control_held.h"
#include "replication/reader/snapshot.h"
#include "replication/store/log_store.h"

/* The same words on screens and in JSON. */
enum ilea_where_state {
    ILEA_WHERE_NOT_APPROVED = 0,
    ILEA_WHERE_NOT_IN_AUDIENCE,
    ILEA_WHERE_BLOCKED,    /* by its ceiling: as the epochs were chosen, or as it is where they do not say */
    ILEA_WHERE_QUEUED,     /* it is not known to be there, or not all of it */
    ILEA_WHERE_DELIVERED,  /* durable there */
    ILEA_WHERE_READABLE,   /* and shown in its view */
    ILEA_WHERE_UNREADABLE  /* it is there and cannot be read */
};
const char *ilea_where_state_name(enum ilea_where_state state);

struct ilea_where_agency {
    struct ilea_agency_id id;
    char code[ILEA_CODE_SIZE_MAX + 1];
    enum ilea_where_state state;
    bool held;             /* all of it is known to be there, whatever the state */
    uint64_t since_ms;     /* when the receipt that says so came; 0: none does */
    char why[ILEA_REASON_SIZE];
};

struct ilea_where {
    bool shared;
    char to[ILEA_AUDIENCE_TEXT_SIZE]; /* "agency", "all-peers", or OWNER/NAME as of its newest change */
    uint32_t label;        /* of its newest change; 0: not known */
    uint32_t change_count; /* that others may have */
    uint32_t count;
    struct ilea_where_agency *agencies; /* by id; heap */
};

/*
 * The snapshot's current record, which is our own agency's. The daemon of `home`, if one runs, is asked what its links
 * acknowledged. End with ilea_where_free(), after a failure too.
 */
ILEA_MUST_USE enum ilea_error ilea_where_make(struct ilea_transaction *log, const struct ilea_log_identity *identity,
                                              struct ilea_snapshot *snapshot, const struct ilea_record_info *info,
                                              const char *home, struct ilea_where *where);
/* Whether the body of a receipt says that its holder has seen a feed of ours up to seq. */
ILEA_MUST_USE enum ilea_error ilea_where_is_seen(struct ilea_transaction *log,
                                                 const struct ilea_log_identity *identity, struct ilea_span receipt,
                                                 const struct ilea_feed_row *feed, uint64_t seq, bool *seen);
void ilea_where_free(struct ilea_where *where);

#endif
