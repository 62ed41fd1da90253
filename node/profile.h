/*
 * profile.h - import profiles: how objects of another source become records.
 * A profile is data, one JSON file NAME.json:
 *
 *   version   1
 *   help      one line
 *   records   true: lines are records as node/json.h prints them; nothing else applies
 *   type      the record type
 *   id        {"prefix": "cordis:", "from": ["id"]}: the record's id is the version 5 UUID
 *             (RFC 9562) of prefix and the values of these keys, joined with ':', in
 *             ILEA_PROFILE_NAMESPACE; so all nodes that import a source give its rows the same ids
 *   fields    {source key: rule or [rules]}
 *   join      [{"to": field, "from": [source keys], "with": text between}]
 *   constant  {field: value as JSON}
 *   ignore    [source keys dropped on purpose]
 *   others    "extra": other keys go under x, scalars and lists of scalars; "error" (default)
 *   keep      [fields with keys whose other elements stay]; of the rest a record has afterwards
 *             what the source said
 *
 * A rule is the name of a field, or of a key as "name.und", or an object with "to" and any of
 *
 *   codes     {source text: code}; null drops it. "else": code for all others (default: an error)
 *   split     one character that separates elements in a text
 *   prefix    text to put in front
 *   id        true: the text names a row of the same source; becomes its id
 *   parts     {source key: part, or {"to": part, "id": true}}: an object, or a list of them,
 *             becomes STRUCT; a list in it one text; "skip": [its keys to drop]
 *   part      a scalar becomes this part of a STRUCT; "with": {part: text} gives others
 *   spread    true: each member of an object goes under x by its name
 *   if_empty  true: only if no other rule gave the field a value
 *
 * null and, but for x, empty text are skipped; a false in a part is absent; a day
 * may have a clock time, which is cut off; line breaks in one-line text become a
 * space. A record without a required field is an error of its line.
 *
 * Threads: an open profile is not changed by use; each thread needs its own builder.
 */
#ifndef ILEA_NODE_PROFILE_H
#define ILEA_NODE_PROFILE_H

#include <jansson.h>

#include "include/ilea/error.h"
#include "include/ilea/id.h"
#include "include/ilea/span.h"
#include "node/put_builder.h"
#include "replication/record/schema.h"

/* Random; fixed for ever: with it the ids of all imported rows would change. */
#define ILEA_PROFILE_NAMESPACE "042bcd6c-50e0-41d1-bafd-c7be245236b0"

struct ilea_profile;

/*
 * Open by name ([a-z0-9-]+) from $ILEA_IMPORT_DIR if set, else from config/import
 * beside or above the program's folder, else from where it was installed.
 *   ILEA_ERROR_NOT_FOUND  no such profile   ILEA_ERROR_INVALID  `reason` says what is wrong in it
 */
ILEA_MUST_USE enum ilea_error ilea_profile_open(const char *name, struct ilea_profile **profile,
                                                char *reason);
/* The same from the text of a profile. */
ILEA_MUST_USE enum ilea_error ilea_profile_parse(struct ilea_span text,
                                                 struct ilea_profile **profile, char *reason);
void ilea_profile_close(struct ilea_profile *profile);

/* One line for people; borrowed from the profile. */
const char *ilea_profile_help(const struct ilea_profile *profile);
/* The record type; NULL: any (records). */
const struct ilea_type *ilea_profile_type(const struct ilea_profile *profile);

/*
 * One object into builder->put, whose entries borrow from the builder, the
 * profile and `object`.
 *   ILEA_ERROR_INVALID, ILEA_ERROR_LIMIT  not this one: see `reason`; the next may do
 */
ILEA_MUST_USE enum ilea_error ilea_profile_map(const struct ilea_profile *profile,
                                               const json_t *object,
                                               struct ilea_put_builder *builder, char *reason);

/* Version 5 UUID of `name` in ILEA_PROFILE_NAMESPACE. */
void ilea_profile_id(struct ilea_span name, struct ilea_record_id *id);

#endif
