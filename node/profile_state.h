/*
 * profile_state.h - an open profile, shared by profile*.c alone.
 *
 *   profile.c        finding, opening and closing; the ids of rows
 *   profile_parse.c  the text of a profile becomes its tables
 *   profile_map.c    an object of the source becomes a put
 */
#ifndef ILEA_NODE_PROFILE_STATE_H
#define ILEA_NODE_PROFILE_STATE_H

#include "node/profile.h"
#include "node/value.h"

enum { ID_PARTS_MAX = 4, REQUIRED_MAX = 8 };

struct code {
    struct ilea_span from;
    struct ilea_span to; /* data NULL: no value */
};

/* A key of a source object and the part of a STRUCT that it becomes; part -1: dropped. */
struct part {
    struct ilea_span from;
    int part;
    bool is_id;
};

enum shape { SHAPE_VALUE, SHAPE_PARTS, SHAPE_PART, SHAPE_SPREAD };

struct rule {
    const struct ilea_field *field;
    const char *source;
    struct ilea_span name; /* of a field with keys: the one that is set; empty otherwise */
    enum shape shape;
    char split;            /* 0: none */
    bool is_id, if_empty, has_codes, has_fallback;
    struct code *codes;
    uint32_t code_count;
    struct ilea_span fallback, prefix;
    struct part *parts;
    uint32_t part_count;
    struct ilea_span with[ILEA_PARTS_MAX]; /* SHAPE_PART: the source's own place holds nothing */
    int part;
    int next;              /* another rule for the same source key; -1: none */
};

/* Source key -> first rule; rule -1: dropped on purpose. */
struct slot {
    const char *key; /* NULL: free */
    size_t size;
    int rule;
};

struct join {
    const struct ilea_field *field;
    const json_t *from;
    struct ilea_span with;
};

/*
 * All tables are made when the profile is opened; texts are borrowed from `spec`.
 * Mapping an object allocates nothing.
 */
struct ilea_profile {
    json_t *spec;
    const char *help;
    const struct ilea_type *type; /* NULL: records */
    struct ilea_span id_prefix;
    const char *id_from[ID_PARTS_MAX];
    uint32_t id_from_count;
    struct rule *rules;
    uint32_t rule_count;
    struct slot *table;
    uint32_t table_size;          /* a power of two, at least twice the keys */
    struct join *joins;
    uint32_t join_count;
    struct ilea_put_entry *constants;
    uint32_t constant_count;
    uint8_t *constant_bytes;
    const struct ilea_field *required[REQUIRED_MAX];
    uint32_t required_count;
    bool others_extra;
    uint64_t keep;                /* bit n: field number n keeps what it has */
};

/* profile.c: the slot of a source key, or the free one where it belongs. */
struct slot *ilea_profile_find_slot(const struct ilea_profile *profile, const char *key,
                                    size_t size);

/* profile_parse.c: takes `spec`. */
enum ilea_error ilea_profile_of_spec(json_t *spec, struct ilea_profile **profile, char *reason);

#endif
