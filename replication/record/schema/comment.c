#include "replication/record/schema/types.h"

static const struct ilea_field fields[] = {
    ILEA_BODY_FIELD(ILEA_FIELD_REQUIRED),
    { 32, "about", ILEA_KIND_ID, ILEA_MERGE_IMMUTABLE, ILEA_ID_LIMIT, ILEA_FIELD_REQUIRED,
      NULL, NULL, "the record that it comments on" },
    { 33, "reply_to", ILEA_KIND_ID, ILEA_MERGE_IMMUTABLE, ILEA_ID_LIMIT, 0,
      NULL, NULL, "the comment that it answers" },
    { .number = 0 },
};

const struct ilea_type ilea_type_comment = {
    .number = 20, .name = "comment", .letter = 'T', .fields = fields,
    .help = "what somebody says about a record",
};
