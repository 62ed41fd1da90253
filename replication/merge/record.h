/*
 * record.h - what the changes of a record add up to. Pure, and a function of
 * the set of changes alone: any order of merging gives the same bytes.
 *
 * A record is a list of entries, each a value for (field, key) written by the
 * change that its dot names. An operation that replaces dots removes those
 * entries; a dot that is replaced before it has been seen is remembered as
 * covered, and forgotten when it arrives; one that several changes replace
 * stands there once for each replacement but one. So what remains is exactly what no
 * change has replaced: concurrent values all stay (they are a conflict until
 * somebody covers them), and a set keeps an element while one add is uncovered.
 *
 * Entries are sorted by (field, key, depth, dot), covered dots by (field, key, dot).
 *
 * Ownership: keys and values are borrowed from the bytes they were decoded from.
 * Threads: one at a time.
 */
#ifndef ILEA_MERGE_RECORD_H
#define ILEA_MERGE_RECORD_H

#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"
#include "replication/record/change.h"
#include "replication/record/put.h"

struct ilea_entry {
    uint32_t field;
    uint32_t depth;         /* 1 + the highest depth replaced: the only order among siblings */
    struct ilea_span key;   /* encoded; empty for registers */
    struct ilea_span value; /* encoded; empty only in a covered dot */
    struct ilea_dot dot;
};

struct ilea_record {
    struct ilea_entry *entries;
    uint32_t entry_count, entry_capacity;
    struct ilea_entry *covered;
    uint32_t covered_count, covered_capacity;
    struct ilea_dot *dots;  /* scratch of encode and decode */
    uint32_t dot_capacity;
    struct ilea_entry *run; /* scratch of merge */
    uint32_t run_capacity;
    uint32_t writes;        /* ops merged and dots they replaced; above ILEA_RECORD_WRITES_MAX it stays one
                             * above and the record is overfull: without entries, for good */
};

void ilea_record_init(struct ilea_record *record);
void ilea_record_deinit(struct ilea_record *record);
/* Empty it, keeping its memory. */
void ilea_record_clear(struct ilea_record *record);

bool ilea_record_is_overfull(const struct ilea_record *record);

/*
 * Merge one change, whose own dot is `dot`. Each change exactly once. The
 * record borrows the change's bytes from now on.
 *   ILEA_ERROR_NO_MEMORY  the record is unusable; clear it
 */
ILEA_MUST_USE enum ilea_error ilea_record_merge(struct ilea_record *record,
                                                const struct ilea_change *change,
                                                const struct ilea_dot *dot);

/* First entry of (field, key) in *first and how many siblings it has; 0 if none. */
uint32_t ilea_record_find(const struct ilea_record *record, uint32_t field, struct ilea_span key,
                          uint32_t *first);

/* Which of `count` siblings at `first` is shown: by the field's merge class; NULL class: REGISTER. */
uint32_t ilea_record_shown(const struct ilea_record *record, const struct ilea_field *field,
                           uint32_t first, uint32_t count);

/* The value shown of a field without keys that all types have; empty: none. */
struct ilea_span ilea_record_common_value(const struct ilea_record *record, uint32_t field);

/* The closed audience that it says it is for; false: it names none. */
bool ilea_record_audience_of(const struct ilea_record *record, struct ilea_audience_id *audience);

/* Its label (enum ilea_label): the one that it says, else the usual one of those who may read it. */
uint32_t ilea_record_label(const struct ilea_record *record, enum ilea_scope scope);

/*
 * Canonical bytes: the same for the same set of changes on every node.
 *   [ 1, writes, [ dot ... ], [ [field, key: bin, value: bin, depth, dot index] ... ],
 *     [ [field, key: bin, dot index] ... ] ]      a dot is [feed: bin 16, seq, index]
 * Dots are sorted and each is named once.
 *   ILEA_ERROR_LIMIT  capacity too small: ilea_record_encoded_size_max() says how much is enough
 *   ILEA_ERROR_NO_MEMORY
 */
size_t ilea_record_encoded_size_max(const struct ilea_record *record);
ILEA_MUST_USE enum ilea_error ilea_record_encode(struct ilea_record *record, uint8_t *bytes,
                                                 size_t capacity, size_t *size);

/* Decode what encode wrote, in its order; spans borrow `input`. ILEA_ERROR_MALFORMED, ILEA_ERROR_NO_MEMORY. */
ILEA_MUST_USE enum ilea_error ilea_record_decode(struct ilea_span input, struct ilea_record *record);

#endif
