/*
 * view_builder.h - from the log to the view: decrypts what this node may read, merges it, and gives
 * every visible change its lsn. Walks the log in the order of arrival and uses a key from the place on
 * where it arrived, so that a rebuild ends in the same bytes and the same lsns.
 *
 * Used by the daemon's view worker, by the command line when no daemon runs, and by verify.
 * Threads: one at a time. The log may be written by another process or the same one meanwhile.
 */
#ifndef ILEA_NODE_VIEW_BUILDER_H
#define ILEA_NODE_VIEW_BUILDER_H

#include "node/keys.h"
#include "replication/store/log_store.h"
#include "replication/store/view_store.h"

struct ilea_view_builder;

/*
 * Build into `view`, which must be empty or made from this log. Borrows all three until free.
 *   ILEA_ERROR_CORRUPT  the view is of another log, ahead of it, or damaged: rebuild it elsewhere
 *   ILEA_ERROR_NO_MEMORY
 */
ILEA_MUST_USE enum ilea_error ilea_view_builder_new(struct ilea_log *log,
                                                    struct ilea_environment *view,
                                                    const struct ilea_keys *keys,
                                                    struct ilea_view_builder **builder);
void ilea_view_builder_free(struct ilea_view_builder *builder);

/*
 * Take in commits until about `bytes_max` of them are done, or the log's end or `position_max` is
 * reached, in one transaction. *caught_up: the end, or that position, was reached. *meta: where the view stands now.
 *   ILEA_ERROR_CORRUPT  the view is damaged, or a feed was cut off since it was begun: build another
 *   ILEA_ERROR_BAD_HASH the log is damaged: ilea verify says where
 *   ILEA_ERROR_FULL     the disk is full: nothing was done
 * After an error nothing of the run is in the view and the builder is of no more use: free it.
 */
ILEA_MUST_USE enum ilea_error ilea_view_builder_run(struct ilea_view_builder *builder,
                                                    uint64_t bytes_max, uint64_t position_max,
                                                    bool *caught_up, struct ilea_view_meta *meta);

#endif
