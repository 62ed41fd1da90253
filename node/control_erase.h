/*
 * control_erase.h - the frame of control.h that erases records; a decision about that has the same body as its
 * payload (trust.h).
 *
 *   ERASE      [ reason: str, basis: str, [ [type, id: bin 16] ... ] ]
 *     answer   [ error, reason: str, records, dots, shared dots ]
 */
#ifndef ILEA_NODE_CONTROL_ERASE_H
#define ILEA_NODE_CONTROL_ERASE_H

#include "node/control.h"
#include "node/erase.h"

/* A body, decoded; the texts borrow it. */
struct ilea_control_erase {
    struct ilea_span reason, basis;
    uint32_t count;
    struct ilea_erase_record records[ILEA_ERASE_RECORDS_MAX];
};

void ilea_control_put_erase(struct ilea_msgpack_writer *writer, const struct ilea_control_erase *erase);
ILEA_MUST_USE enum ilea_error ilea_control_get_erase(struct ilea_span body, struct ilea_control_erase *erase);
/* What the author is to do: unsigned, and borrowing *erase. */
struct ilea_erase_request ilea_control_erase_request(const struct ilea_control_erase *erase, uint32_t day_max);

struct ilea_control_erased {
    enum ilea_error error;          /* NONE, or result.reason says what to do */
    struct ilea_erase_result result;
};
void ilea_control_put_erased(struct ilea_msgpack_writer *writer, const struct ilea_control_erased *erased);
ILEA_MUST_USE enum ilea_error ilea_control_get_erased(struct ilea_span body, struct ilea_control_erased *erased);

#endif
