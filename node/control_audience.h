/*
 * control_audience.h - the frame of control.h that changes closed audiences (audience.h).
 *
 *   AUDIENCE   [ verb, audience: bin 16, name: str, tlp, history_ms, reason: str, [ [agency: bin 32, level] ... ] ]
 *     answer   [ error, reason: str, audience: bin 16, new 0/1, epoch ]
 */
#ifndef ILEA_NODE_CONTROL_AUDIENCE_H
#define ILEA_NODE_CONTROL_AUDIENCE_H

#include "node/audience.h"
#include "node/control.h"

void ilea_control_put_audience(struct ilea_msgpack_writer *writer, const struct ilea_audience_request *request);
/* The texts borrow the body. MALFORMED */
ILEA_MUST_USE enum ilea_error ilea_control_get_audience(struct ilea_span body, struct ilea_audience_request *request);

struct ilea_control_audience {
    enum ilea_error error;          /* NONE, or result.reason says what to do */
    struct ilea_audience_result result;
};
void ilea_control_put_audience_answer(struct ilea_msgpack_writer *writer, const struct ilea_control_audience *answer);
ILEA_MUST_USE enum ilea_error ilea_control_get_audience_answer(struct ilea_span body,
                                                               struct ilea_control_audience *answer);

#endif
