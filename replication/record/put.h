/*
 * put.h - a wish to write: what the command line hands to whoever holds the
 * store's lock (the daemon, or itself), which compares it with the record as it
 * stands and writes the difference as one change.
 *
 *   [ 1, mode, scope, audience: bin 0 or 16, type, id: bin 0 or 16, [ [ field, action, key: bin, value: bin ] ... ] ]
 *
 * key and value are themselves canonical MessagePack, as in a change's operation
 * (record/change.h); empty where there is none.
 */
#ifndef ILEA_RECORD_PUT_H
#define ILEA_RECORD_PUT_H

#include <stdbool.h>

#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"
#include "crypto/keyring.h"
#include "replication/record/limits.h"

/* Who may read: also the scope of a feed. */
enum ilea_scope {
    ILEA_SCOPE_AGENCY = 1, /* the agency alone; in a feed of its own that nobody hears of */
    ILEA_SCOPE_PEERS = 2,  /* all agencies the author approved ("all-peers") */
    ILEA_SCOPE_AUDIENCE = 3, /* the members of one closed audience; told to them alone */
    ILEA_SCOPE_CONTROL = 4 /* what every follower must know: statements of erasure; no data */
};

/* Told to somebody: all but what is for the agency alone. */
static inline bool
ilea_scope_is_shared(enum ilea_scope scope)
{
    return scope != ILEA_SCOPE_AGENCY;
}

/* Told to every follower. */
static inline bool
ilea_scope_is_open(enum ilea_scope scope)
{
    return scope == ILEA_SCOPE_PEERS || scope == ILEA_SCOPE_CONTROL;
}

enum ilea_put_mode {
    ILEA_PUT_CREATE = 1, /* a new record; refused if `id` exists */
    ILEA_PUT_UPDATE = 2, /* an existing record of ours */
    ILEA_PUT_UPSERT = 3, /* either: imports */
    ILEA_PUT_NARROW = 4  /* as UPDATE, and what was shared before is erased if somebody would not get it any more, or if
                            it stays where it is: asked for in so many words */
};

enum ilea_put_action {
    ILEA_PUT_SET = 1,     /* the register, the keyed value or the element has this value */
    ILEA_PUT_REMOVE = 2,  /* it has none (key empty and the field has keys: none at all) */
    ILEA_PUT_ONLY = 3     /* of a field with keys: remove every key that this put does not SET; key, value empty */
};

struct ilea_put_entry {
    uint32_t field;
    enum ilea_put_action action;
    struct ilea_span key;   /* borrowed */
    struct ilea_span value; /* borrowed */
};

struct ilea_put {
    enum ilea_put_mode mode;
    uint32_t scope;           /* enum ilea_scope; 0: AGENCY if new, unchanged if it exists */
    struct ilea_audience_id audience; /* of scope AUDIENCE; zeros else */
    uint32_t type;
    bool has_id;              /* false: a fresh id is made (CREATE only) */
    struct ilea_record_id id;
    uint32_t entry_count;
    struct ilea_put_entry entries[ILEA_PUT_ENTRIES_MAX];
};

/* Encode into `bytes`. ILEA_ERROR_LIMIT if `capacity` is too small. */
ILEA_MUST_USE enum ilea_error ilea_put_encode(const struct ilea_put *put, uint8_t *bytes,
                                              size_t capacity, size_t *size);

/* Decode; the spans in *put borrow `input`. ILEA_ERROR_MALFORMED. */
ILEA_MUST_USE enum ilea_error ilea_put_decode(struct ilea_span input, struct ilea_put *put);

#endif
