/* compacted.h - what compacting (compact.h) came to: bytes of the files. */
#ifndef ILEA_NODE_COMPACTED_H
#define ILEA_NODE_COMPACTED_H

#include <stdint.h>

struct ilea_compacted {
    uint64_t log_before, log_after, view_before, view_after;
};

#endif
