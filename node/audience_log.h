/*
 * audience_log.h - closed audiences as the log has them: rows for what is stated in their feeds, and who is a member
 * by all of it (replication/audience/membership.h).
 */
#ifndef ILEA_NODE_AUDIENCE_LOG_H
#define ILEA_NODE_AUDIENCE_LOG_H

#include "replication/audience/membership.h"
#include "replication/store/log_store.h"

enum { ILEA_AUDIENCES_KEPT = 64 }; /* in memory; the one that was asked for longest ago goes first */

/* Computed once, and kept for as long as exactly the same statements count. */
struct ilea_audience_cache;

/* End it with ilea_audience_cache_free(). NO_MEMORY. */
ILEA_MUST_USE enum ilea_error ilea_audience_cache_new(struct ilea_audience_cache **cache);
void ilea_audience_cache_free(struct ilea_audience_cache *cache); /* NULL is fine */

/*
 * K: the statements of agencies that we follow or have suspended. For who may get what, from now on. Borrowed until the
 * cache is asked again, for whatever audience.
 *   ILEA_ERROR_NOT_FOUND  no such audience here, or its owner is not followed (any more)
 *   ILEA_ERROR_CORRUPT    a statement is damaged on the disk: nothing is to be judged without it */
ILEA_MUST_USE enum ilea_error ilea_audience_get(struct ilea_audience_cache *cache, struct ilea_transaction *log,
                                                const struct ilea_audience_id *audience,
                                                struct ilea_membership **membership);

/*
 * Enter what a commit of a feed states. For every commit that goes into the log, whoever wrote it, behind
 * ilea_log_append() and in its transaction. *changed: others may be allowed in its audience now, or (in one of ours)
 * there is another epoch whose key is to be handed over.
 */
ILEA_MUST_USE enum ilea_error ilea_audience_index(struct ilea_transaction *log, const struct ilea_feed_row *feed,
                                                  const struct ilea_commit_id *id, struct ilea_span commit,
                                                  bool *changed);

/* Whether content of a naming slot in a feed of `author` is a control statement that counts. */
bool ilea_audience_is_control(const struct ilea_audience_row *audience, const struct ilea_agency_id *author,
                              struct ilea_span content);

/* May this agency be told of the audience's feeds: is it allowed by K? Where we hold none, nobody is. */
bool ilea_audience_entitled(struct ilea_audience_cache *cache, struct ilea_transaction *log,
                            const struct ilea_agency_id *agency, const struct ilea_audience_id *audience);
/* Is this commit with a control statement held, and all that it names, through what that names? */
bool ilea_audience_holds(struct ilea_audience_cache *cache, struct ilea_transaction *log,
                         const struct ilea_audience_id *audience, const struct ilea_commit_id *id);

#endif
