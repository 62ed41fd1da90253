/*
 * schema.h - record types as data: a table of fields each, no code.
 *
 * A new type is one table in schema/<type>.c and one row in schema.c. Decode,
 * validate, merge and print are each written once over the tables. Numbers are
 * part of the protocol: never reused, never changed. Unknown types and fields
 * are kept, passed on and merged all the same, because how an operation merges
 * is told by its shape (record/change.h); the tables only say what our own
 * writers may write and which of several concurrent values is shown.
 */
#ifndef ILEA_RECORD_SCHEMA_H
#define ILEA_RECORD_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "include/ilea/error.h"
#include "include/ilea/span.h"

enum ilea_kind {
    ILEA_KIND_TEXT = 1, /* str, NFC; one line or many (ILEA_FIELD_LINES) */
    ILEA_KIND_CODE,     /* str: one of `codes` when written here; others' unknown codes are kept */
    ILEA_KIND_UINT,     /* uint, at most `limit` */
    ILEA_KIND_DATE,     /* str YYYY-MM-DD, a real day */
    ILEA_KIND_DECIMAL,  /* str: optional '-', digits without leading 0, optional '.' and 1-6 digits not ending in 0 */
    ILEA_KIND_ID,       /* bin 16: a record id; the record need not exist here */
    ILEA_KIND_STRUCT,   /* array of str, one for each of `parts`, "" where absent */
    ILEA_KIND_EXTRA     /* str, or array of str: extension values */
};

/* How concurrent values of a field are shown. All are kept until a write covers them. */
enum ilea_merge {
    ILEA_MERGE_IMMUTABLE = 1, /* the lowest (depth, dot) */
    ILEA_MERGE_ONE_WRITER,    /* the highest (depth, dot) */
    ILEA_MERGE_REGISTER,      /* the highest (depth, dot); several: a conflict */
    ILEA_MERGE_KEYED,         /* a register for each key (languages, extension names) */
    ILEA_MERGE_SET,           /* add-wins: an element stays while one add of it is uncovered */
    ILEA_MERGE_GROW,          /* a set that is never removed from */
    ILEA_MERGE_RESTRICTIVE,   /* of the concurrent values the last in `codes` */
    ILEA_MERGE_STATE          /* of the concurrent values the last in `codes`; several: a conflict */
};

enum {
    ILEA_FIELD_LINES = 1,   /* TEXT may hold line breaks */
    ILEA_FIELD_REQUIRED = 2,
    ILEA_FIELD_INTERNAL = 4, /* set by the node alone */
    ILEA_FIELD_ATTACHED = 8  /* documents: written by attach and detach alone, and never printed whole */
};

struct ilea_field {
    uint32_t number;         /* 1..31 common to all types, 32.. the type's own */
    const char *name;        /* lower-case snake_case, as in JSON */
    enum ilea_kind kind;
    enum ilea_merge merge;
    uint32_t limit;          /* bytes of text, or highest UINT; bytes a part for STRUCT */
    uint32_t flags;
    const char *const *codes; /* NULL-terminated; least restrictive, earliest state first. NULL: any */
    const char *const *parts; /* NULL-terminated names, for STRUCT */
    const char *help;        /* one short line for people */
};

struct ilea_type {
    uint32_t number;
    const char *name;          /* "need": also the command's name */
    char letter;               /* in refs: FR-PN-N42 */
    const char *help;
    const struct ilea_field *fields; /* the type's own; ends with number 0 */
};

/* Common to all types; ends with number 0. */
extern const struct ilea_field ilea_common_fields[];

enum {
    ILEA_FIELD_REF = 1,
    ILEA_FIELD_TITLE = 2,
    ILEA_FIELD_AREAS = 5,
    ILEA_FIELD_TLP = 11,
    ILEA_FIELD_EXTRA = 19,
    ILEA_FIELD_WITHDRAWN = 20,
    ILEA_FIELD_DOCUMENTS = 21,
    ILEA_FIELD_AUDIENCE = 24
};

/* All types in order of number; ends with NULL. */
extern const struct ilea_type *const ilea_types[];

/* NULL if unknown. */
const struct ilea_type *ilea_type_by_number(uint32_t number);
const struct ilea_type *ilea_type_by_name(struct ilea_span name);
const struct ilea_type *ilea_type_by_letter(char letter);

/* Field of a type, or common field; `type` may be NULL (unknown type: common fields only). NULL if unknown. */
const struct ilea_field *ilea_field_by_number(const struct ilea_type *type, uint32_t number);
const struct ilea_field *ilea_field_by_name(const struct ilea_type *type, struct ilea_span name);

/* True if entries of the field are told apart by a key (KEYED, SET, GROW). */
bool ilea_field_has_key(const struct ilea_field *field);

/*
 * Check one key and value, both canonical MessagePack (record/change.h), as our
 * own writers must form them. For SET and GROW the element is the key and the
 * value is uint 1; for KEYED the key is a str; else the key is empty.
 *   ILEA_ERROR_INVALID  wrong kind or form    ILEA_ERROR_LIMIT  over the field's limit
 */
ILEA_MUST_USE enum ilea_error ilea_field_check(const struct ilea_field *field, struct ilea_span key,
                                               struct ilea_span value);

#endif
