/*
 * value.h - between what people and tools write (text, JSON) and encoded values.
 *
 * Text of the command line, one field each:
 *
 *   title=Read number plates at night    set a field; everything after the first '=' is the value
 *   tags=drone,night                     a set: exactly these elements
 *   tags+=dusk   tags-=drone             add, remove elements
 *   name.en=Police   x.case=4711         one key of a field with keys
 *   title=   tags=   x=   x.case=        remove
 *   source=name=Europol,url=https://...  parts of a field that has parts
 *   roles=role=inc,from=2024-01-01;role=expert    elements with parts: ';' between them
 *
 * In sets and parts a backslash takes ',' ';' '=' '\' as they are.
 *
 * Text is made NFC, with '\n' line ends. In one-line text and codes a line break
 * or tab becomes a space, and spaces around it go. Other control characters are
 * refused. DECIMAL is a JSON string, as JSON numbers are rounded by many readers;
 * numbers are taken, to two decimals. ID is UUID text. STRUCT is an object of its
 * non-empty parts. EXTRA takes any scalar, or an array of scalars, as text.
 *
 * Values of fields that are not in the tables: uint as number, str as string,
 * array as array, bin as {"$bin": hex}, uint above 2^63-1 as {"$uint": digits}.
 *
 * Errors: ILEA_ERROR_INVALID and ILEA_ERROR_LIMIT are about the input, and then
 * `reason` (ILEA_REASON_SIZE bytes) says in one printable line what is wrong.
 */
#ifndef ILEA_NODE_VALUE_H
#define ILEA_NODE_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "include/ilea/error.h"
#include "include/ilea/span.h"
#include "node/put_builder.h"
#include "replication/record/schema.h"

/* One `field=value` as above. */
ILEA_MUST_USE enum ilea_error ilea_value_assign(struct ilea_put_builder *builder,
                                                const struct ilea_type *type, const char *text,
                                                char *reason);

/* A whole field from JSON: null removes; what an array or object does not name is removed. */
ILEA_MUST_USE enum ilea_error ilea_value_put_json(struct ilea_put_builder *builder,
                                                  const struct ilea_field *field,
                                                  const json_t *json, char *reason);

/* Set a register, or add an element, from its encoding. */
ILEA_MUST_USE enum ilea_error ilea_value_put_encoded(struct ilea_put_builder *builder,
                                                     const struct ilea_field *field,
                                                     struct ilea_span encoded, char *reason);
/* Set one key of a KEYED field. */
ILEA_MUST_USE enum ilea_error ilea_value_put_keyed(struct ilea_put_builder *builder,
                                                   const struct ilea_field *field,
                                                   struct ilea_span name, struct ilea_span encoded,
                                                   char *reason);
/* Remove one key of a KEYED field. */
ILEA_MUST_USE enum ilea_error ilea_value_remove_keyed(struct ilea_put_builder *builder,
                                                      const struct ilea_field *field,
                                                      struct ilea_span name, char *reason);
/* Say that a field with keys has those alone that this put sets. */
ILEA_MUST_USE enum ilea_error ilea_value_put_only(struct ilea_put_builder *builder,
                                                  const struct ilea_field *field, char *reason);
/* A register: no value. A field with keys: no key. */
ILEA_MUST_USE enum ilea_error ilea_value_put_nothing(struct ilea_put_builder *builder,
                                                     const struct ilea_field *field, char *reason);

/* Encode one value (an element, for sets) into the builder's arena. Text: not for STRUCT. */
ILEA_MUST_USE enum ilea_error ilea_value_from_text(struct ilea_put_builder *builder,
                                                   const struct ilea_field *field,
                                                   struct ilea_span text, struct ilea_span *encoded,
                                                   char *reason);
ILEA_MUST_USE enum ilea_error ilea_value_from_json(struct ilea_put_builder *builder,
                                                   const struct ilea_field *field,
                                                   const json_t *json, struct ilea_span *encoded,
                                                   char *reason);
/* `parts` holds one text for each part of the field, empty where absent. */
ILEA_MUST_USE enum ilea_error ilea_value_from_parts(struct ilea_put_builder *builder,
                                                    const struct ilea_field *field,
                                                    const struct ilea_span *parts,
                                                    struct ilea_span *encoded, char *reason);
/* Any value, as ilea_value_to_json(NULL, ...) prints it. */
ILEA_MUST_USE enum ilea_error ilea_value_from_generic(struct ilea_put_builder *builder,
                                                      const json_t *json, struct ilea_span *encoded,
                                                      char *reason);

/* Gives a new reference, NULL if out of memory. `field` may be NULL; a value not of its kind is
 * printed as one of an unknown field. */
json_t *ilea_value_to_json(const struct ilea_field *field, struct ilea_span value);

/* The text of a JSON string, number or boolean, borrowed from `json` or written to `bytes`; false
 * if it is none of these. */
enum { ILEA_SCALAR_SIZE = 40 };
bool ilea_value_scalar(const json_t *json, char bytes[ILEA_SCALAR_SIZE], struct ilea_span *text);

/* Number of the parts of a STRUCT, and which of them has this name (-1: none). */
uint32_t ilea_value_part_count(const struct ilea_field *field);
int ilea_value_part_index(const struct ilea_field *field, const char *name);
enum { ILEA_PARTS_MAX = 16 };

#endif
