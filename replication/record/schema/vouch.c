#include "replication/record/schema/types.h"

static const char *const how_codes[] = { "phone", "in-person", "document", NULL };
static const char *const status_codes[] = { "current", "withdrawn", NULL };

enum { HEX_LIMIT = 64 }; /* 32 bytes in hex digits */

static const struct ilea_field fields[] = {
    { 32, "subject", ILEA_KIND_TEXT, ILEA_MERGE_IMMUTABLE, HEX_LIMIT, ILEA_FIELD_REQUIRED,
      NULL, NULL, "id of the agency that it is about, in hex" },
    { 33, "manifest", ILEA_KIND_TEXT, ILEA_MERGE_IMMUTABLE, HEX_LIMIT, ILEA_FIELD_REQUIRED,
      NULL, NULL, "hash of its newest manifest at that time, in hex" },
    { 34, "how", ILEA_KIND_CODE, ILEA_MERGE_IMMUTABLE, 50, ILEA_FIELD_REQUIRED,
      how_codes, NULL, "how they made sure" },
    { 35, "date", ILEA_KIND_DATE, ILEA_MERGE_IMMUTABLE, ILEA_DATE_LIMIT, ILEA_FIELD_REQUIRED,
      NULL, NULL, "day of the statement" },
    { 36, "status", ILEA_KIND_CODE, ILEA_MERGE_STATE, 50, ILEA_FIELD_REQUIRED,
      status_codes, NULL, "whether they still say so" },
    { .number = 0 },
};

const struct ilea_type ilea_type_vouch = {
    .number = 22, .name = "vouch", .letter = 'A', .fields = fields,
    .help = "an agency's word that it knows another; shown beside requests",
};
