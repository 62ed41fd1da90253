/*
 * release.h - what somebody wants sent to others, in the form in which another admin approves it: which records, for
 * whom, and for each what is written over what.
 *
 *   release = [ 1, scope, audience: bin 16, [ [ type, record: bin 16, label, base: bin 32, put: bin ] ... ] ]
 *             hash = H(RELEASE, release)
 *   base    = H(RELEASE_BASE, u64 scope || state)     the record of ours as it stands, as the view has it
 *
 * Scope 2 (all peers), whose audience is zeros, or 3 (a closed audience). An item whose put is empty publishes a draft
 * as it stands; else put (record/put.h) updates what is shared already. Items ascend by record, then type. As the base
 * is part of it, a hash stands for the exact content: where the record has changed since, the release is stale.
 * It never leaves the node.
 */
#ifndef ILEA_RECORD_RELEASE_H
#define ILEA_RECORD_RELEASE_H

#include "crypto/hash.h"
#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/put.h"

enum {
    ILEA_RELEASE_SIZE_MAX = 256 * 1024,
    ILEA_RELEASE_RECORDS_MAX = 4096
};

struct ilea_release_item {
    uint32_t type;
    struct ilea_record_id record;
    uint32_t label;                  /* enum ilea_label: what others will see on it */
    uint8_t base[ILEA_HASH_SIZE];
    struct ilea_span put;            /* borrowed; empty: the draft as it stands */
};

struct ilea_release {
    enum ilea_scope scope;
    struct ilea_audience_id audience; /* of scope AUDIENCE; zeros else */
    uint32_t count;                  /* items left for ilea_release_next() */
    struct ilea_msgpack_reader items;
    uint8_t hash[ILEA_HASH_SIZE];
};

/* *release borrows `input`. Puts are decoded by whoever uses them. ILEA_ERROR_MALFORMED, ILEA_ERROR_LIMIT,
 * ILEA_ERROR_UNKNOWN */
ILEA_MUST_USE enum ilea_error ilea_release_decode(struct ilea_span input, struct ilea_release *release);

/* The next item of a decoded release; false: there is none left. */
bool ilea_release_next(struct ilea_release *release, struct ilea_release_item *item);

/* Whether a release names a record of a type. */
bool ilea_release_names(struct ilea_release release, uint32_t type, const struct ilea_record_id *record);

/*
 * Encode what goes to a scope, and an audience (NULL: of no closed one); sorts the items.
 *   ILEA_ERROR_INVALID  what decode would refuse: no item, one twice
 *   ILEA_ERROR_LIMIT    capacity, ILEA_RELEASE_RECORDS_MAX or ILEA_RELEASE_SIZE_MAX */
ILEA_MUST_USE enum ilea_error ilea_release_encode(enum ilea_scope scope, const struct ilea_audience_id *audience,
                                                  struct ilea_release_item *items, uint32_t count, uint8_t *bytes,
                                                  size_t capacity, size_t *size);

/* The base of a record whose state, as the view has it, is this. */
void ilea_release_base(enum ilea_scope scope, struct ilea_span state, uint8_t base[ILEA_HASH_SIZE]);

#endif
