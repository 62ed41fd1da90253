/*
 * view_compare.h - whether two views of one log say the same.
 *
 * Records are compared by what they are, never by number: a rebuild gives no number to what was erased before it, so
 * that the same record may have another one there. Reads only; both transactions stay the caller's.
 */
#ifndef ILEA_NODE_VIEW_COMPARE_H
#define ILEA_NODE_VIEW_COMPARE_H

#include "replication/store/view_store.h"

/* The record of `other` that *row of `ours` is. NOT_FOUND; CORRUPT: a view must be built again. */
ILEA_MUST_USE enum ilea_error ilea_view_same_record(struct ilea_transaction *other, const struct ilea_view_row *row,
                                                    struct ilea_view_row *same);

/* Whether the same records name the same documents, of the same sizes and under the same keys. */
bool ilea_view_same_documents(struct ilea_transaction *ours, struct ilea_transaction *other);

#endif
