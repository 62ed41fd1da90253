/*
 * audience_find.h - closed audiences by the names that people give them: NAME of one of ours, OWNER/NAME of any.
 */
#ifndef ILEA_NODE_AUDIENCE_FIND_H
#define ILEA_NODE_AUDIENCE_FIND_H

#include "node/audience_log.h"

struct ilea_audience_found {
    struct ilea_audience_row row;
    struct ilea_membership *membership;   /* borrows the cache; as `state` until the next call */
    struct ilea_membership_state state;
    bool is_frozen;                       /* nobody writes into it; the state is as far as that goes */
    char owner_code[ILEA_CODE_SIZE_MAX + 1]; /* empty: not known here */
};

/* By id. NOT_FOUND: it is not here, or nothing says yet how it is called. */
ILEA_MUST_USE enum ilea_error ilea_audience_load(struct ilea_audience_cache *cache, struct ilea_transaction *log,
                                                 const struct ilea_audience_id *id,
                                                 struct ilea_audience_found *found);
/* The next one after `after` (NULL: the first) in the order of ids. NOT_FOUND at the end. */
ILEA_MUST_USE enum ilea_error ilea_audience_next(struct ilea_audience_cache *cache, struct ilea_transaction *log,
                                                 const struct ilea_audience_id *after,
                                                 struct ilea_audience_found *found);
/* By name, as people write it, or by its id in hex. NOT_FOUND; EXISTS: several have the name, use the id. */
ILEA_MUST_USE enum ilea_error ilea_audience_find(struct ilea_audience_cache *cache, struct ilea_transaction *log,
                                                 const struct ilea_agency_id *own, const char *text,
                                                 struct ilea_audience_found *found);
/* A list of ours with exactly these members (ascending, without ourselves), none of them suspended. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_audience_find_list(struct ilea_audience_cache *cache, struct ilea_transaction *log,
                                                      const struct ilea_agency_id *own,
                                                      const struct ilea_agency_id *members, uint32_t count,
                                                      struct ilea_audience_found *found);

/* The reason of the suspension that state.members says of a member, on one line; empty: there is none, or it cannot be
 * read. */
void ilea_audience_suspension(struct ilea_transaction *log, const struct ilea_audience_found *found,
                              const struct ilea_member *member, char reason[ILEA_REASON_SIZE]);

/*
 * How many keys its current epoch was sealed to, and to how many that should be: to all who are allowed. More of them
 * than that: its owner lets somebody read who is no member. Both 0 where no epoch is current.
 *   ILEA_ERROR_CORRUPT  the statement is damaged on the disk */
ILEA_MUST_USE enum ilea_error ilea_audience_recipients(struct ilea_transaction *log,
                                                       const struct ilea_audience_found *found, uint32_t *sealed,
                                                       uint32_t *allowed);

/* How people write it: NAME of ours, else OWNER/NAME. */
enum { ILEA_AUDIENCE_TEXT_SIZE = ILEA_CODE_SIZE_MAX + 1 + ILEA_AUDIENCE_NAME_MAX + 1 };
void ilea_audience_text(const struct ilea_audience_found *found, const struct ilea_agency_id *own,
                        char text[ILEA_AUDIENCE_TEXT_SIZE]);

/* Whether a text can be a name that people can write: 1 to ILEA_AUDIENCE_NAME_MAX bytes on one line, without ',', '/',
 * and none of the words that --to takes. */
bool ilea_audience_name_is_valid(struct ilea_span name);

#endif
