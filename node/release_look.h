/*
 * release_look.h - what an item of a release comes to, for whoever decides about it.
 */
#ifndef ILEA_NODE_RELEASE_LOOK_H
#define ILEA_NODE_RELEASE_LOOK_H

#include <jansson.h>

#include "node/agency.h"
#include "node/reach.h"
#include "replication/reader/snapshot.h"
#include "replication/record/release.h"

/*
 * { ref, id, type, title, tlp, areas, is_update, stale } as it will be for others (new reference); `stale`: the record
 * of ours is another than the release was asked for. With `details` of what is new to others "fields", of an update
 * "changes": { field: { now, then } }, null where there is nothing.
 */
json_t *ilea_release_look(struct ilea_snapshot *snapshot, const struct ilea_agency_id *own,
                          const struct ilea_release_item *item, bool details);

/* Whether the agency gets a record that was looked at: `what` says to whom it goes, and no more. */
enum ilea_reach ilea_release_reach(const struct ilea_reach_agency *agency, const struct ilea_reach_what *what,
                                   json_t *look);

#endif
