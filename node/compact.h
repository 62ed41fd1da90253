/*
 * compact.h - log and view written anew without free pages: what was deleted or replaced stays readable in a file
 * until then, and the file never shrinks by itself.
 */
#ifndef ILEA_NODE_COMPACT_H
#define ILEA_NODE_COMPACT_H

#include "node/compacted.h"
#include "node/node.h"

/*
 * Replace both files by compact copies, each at one stroke: after a crash there is the old one or the new one. The
 * node is open, nothing is being written, and nobody builds the view; close the node afterwards and open it again,
 * whatever this returns: what it has open is the old log.
 *   ILEA_ERROR_FULL  no room for the copies beside what is there; ILEA_ERROR_IO, ILEA_ERROR_CORRUPT
 */
ILEA_MUST_USE enum ilea_error ilea_compact(struct ilea_node *node, struct ilea_compacted *compacted);

#endif
