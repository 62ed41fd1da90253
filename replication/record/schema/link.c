#include "replication/record/schema/types.h"

static const char *const rel_codes[] = {
    "addresses", "part-of", "depends-on", "derived-from", "duplicate-of", "supersedes", "cites",
    "discussed-at", "produced-by", "contradicts", "related", NULL
};

static const struct ilea_field fields[] = {
    { 32, "from", ILEA_KIND_ID, ILEA_MERGE_IMMUTABLE, ILEA_ID_LIMIT, ILEA_FIELD_REQUIRED,
      NULL, NULL, "the record that it says something about" },
    { 33, "to", ILEA_KIND_ID, ILEA_MERGE_IMMUTABLE, ILEA_ID_LIMIT, ILEA_FIELD_REQUIRED,
      NULL, NULL, "the other record; it need not exist here" },
    { 34, "rel", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 50, ILEA_FIELD_REQUIRED,
      rel_codes, NULL, "from ... to" },
    { .number = 0 },
};

const struct ilea_type ilea_type_link = {
    .number = 21, .name = "link", .letter = 'J', .fields = fields,
    .help = "typed relation between two records",
};
