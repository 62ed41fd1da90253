/*
 * control_bundle.h - the frames of control.h that bring a bundle (record/bundle.h), a chunk each.
 *
 *   BUNDLE   [ verb, flag 0/1, bytes: bin ]    verb 0 OPEN   the header; flag: the part before it was taken just now
 *                                                   1 CHECK  a chunk; flag: it is the last one. Nothing is taken
 *                                                   2 TAKE   a chunk, from the first one again, after all were checked
 *     answer [ error, reason, code, [ taken, known, refused, waiting ] ]     code: of who made it; the counts of this
 *                                                   chunk alone; after they are durable
 *
 * A bundle that a request failed for is given up: what follows is answered with BUSY.
 */
#ifndef ILEA_NODE_CONTROL_BUNDLE_H
#define ILEA_NODE_CONTROL_BUNDLE_H

#include "node/control.h"
#include "replication/core/event.h"
#include "replication/record/bundle.h"

enum ilea_bundle_verb { ILEA_BUNDLE_OPEN = 0, ILEA_BUNDLE_CHECK, ILEA_BUNDLE_TAKE };

_Static_assert(ILEA_BUNDLE_CHUNK_MAX + 64 <= ILEA_CONTROL_FRAME_MAX, "a chunk fits a frame");

struct ilea_control_chunk {
    enum ilea_bundle_verb verb;
    bool flag;
    struct ilea_span bytes; /* borrowed */
};

struct ilea_control_bundle {
    enum ilea_error error;
    char reason[ILEA_REASON_SIZE];
    char code[ILEA_CODE_SIZE_MAX + 1];
    struct ilea_imported counts;
};

void ilea_control_put_chunk(struct ilea_msgpack_writer *writer, const struct ilea_control_chunk *chunk);
ILEA_MUST_USE enum ilea_error ilea_control_get_chunk(struct ilea_span body, struct ilea_control_chunk *chunk);
void ilea_control_put_bundle(struct ilea_msgpack_writer *writer, const struct ilea_control_bundle *bundle);
ILEA_MUST_USE enum ilea_error ilea_control_get_bundle(struct ilea_span body, struct ilea_control_bundle *bundle);

#endif
