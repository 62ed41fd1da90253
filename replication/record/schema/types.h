/*
 * types.h - the tables of schema/, one a file; schema.c lists them.
 *
 * A type may restate a common field to make it required: same number, name,
 * kind, merge class and limit. Its own row then stands for the common one.
 */
#ifndef ILEA_RECORD_SCHEMA_TYPES_H
#define ILEA_RECORD_SCHEMA_TYPES_H

#include "replication/record/schema.h"

extern const struct ilea_type ilea_type_org;
extern const struct ilea_type ilea_type_person;
extern const struct ilea_type ilea_type_term;
extern const struct ilea_type ilea_type_challenge;
extern const struct ilea_type ilea_type_need;
extern const struct ilea_type ilea_type_item;
extern const struct ilea_type ilea_type_project;
extern const struct ilea_type ilea_type_solution;
extern const struct ilea_type ilea_type_comment;
extern const struct ilea_type ilea_type_link;
extern const struct ilea_type ilea_type_vouch;

enum {
    ILEA_TITLE_LIMIT = 1000,  /* bytes; research topics exceed the 120 characters of a good title */
    ILEA_BODY_LIMIT = 120000,
    ILEA_NOTE_LIMIT = 20000,  /* one answer of a form */
    ILEA_LINE_LIMIT = 500,
    ILEA_URL_LIMIT = 1000,    /* an element of a set is a key: at most ILEA_KEY_SIZE_MAX */
    ILEA_CODE_LIMIT = 200,
    ILEA_LANG_LIMIT = 35,     /* the longest tag that BCP 47 tells readers to expect */
    ILEA_DATE_LIMIT = 10,
    ILEA_DECIMAL_LIMIT = 30,
    ILEA_ID_LIMIT = 16
};

/* flags is 0 or ILEA_FIELD_REQUIRED. */
#define ILEA_TITLE_FIELD(flags)                                                                    \
    { ILEA_FIELD_TITLE, "title", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_TITLE_LIMIT, flags,     \
      NULL, NULL, "one line, best within 120 characters" }
#define ILEA_BODY_FIELD(flags)                                                                     \
    { 3, "body", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_BODY_LIMIT, ILEA_FIELD_LINES | (flags), \
      NULL, NULL, "the text, in a subset of Markdown" }

#endif
