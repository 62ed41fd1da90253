/*
 * erase_dots.h - which items a record of ours is made of: what is to be erased with it. Reading alone.
 */
#ifndef ILEA_NODE_ERASE_DOTS_H
#define ILEA_NODE_ERASE_DOTS_H

#include "replication/store/log_store.h"
#include "replication/store/view_store.h"

/* On the heap; begin with zeros, end with ilea_erase_dots_free(). Both lists ascend after ilea_erase_dots_sort(). */
struct ilea_erase_dots {
    struct ilea_erased_dot *shared, *silent; /* silent: for the agency alone, nobody else ever had them */
    uint32_t shared_count, silent_count, shared_capacity, silent_capacity;
};

/* Add the change at a place of the log, unless it is erased already. NO_MEMORY, CORRUPT. */
ILEA_MUST_USE enum ilea_error ilea_erase_dots_add(struct ilea_erase_dots *dots, struct ilea_transaction *log,
                                                  const struct ilea_view_place *place);
/* Add all changes of a record, or the shared ones alone. */
ILEA_MUST_USE enum ilea_error ilea_erase_dots_of(struct ilea_erase_dots *dots, struct ilea_transaction *log,
                                                 struct ilea_transaction *view, uint64_t record, bool shared_alone);
/* *hash: what an act that erases the shared ones names (record/erase.h). */
void ilea_erase_dots_sort(struct ilea_erase_dots *dots, uint8_t hash[ILEA_HASH_SIZE]);
void ilea_erase_dots_free(struct ilea_erase_dots *dots);

#endif
