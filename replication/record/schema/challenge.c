#include "replication/record/schema/types.h"

static const char *const trend_codes[] = { "rising", "stable", "falling", "unknown", NULL };

static const struct ilea_field fields[] = {
    ILEA_TITLE_FIELD(ILEA_FIELD_REQUIRED),
    { 32, "trend", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 50, 0,
      trend_codes, NULL, "where it is going" },
    { 33, "affected_countries", ILEA_KIND_CODE, ILEA_MERGE_SET, 8, 0,
      NULL, NULL, "ISO 3166-1 alpha-2, EU or INT" },
    { .number = 0 },
};

const struct ilea_type ilea_type_challenge = {
    .number = 5, .name = "challenge", .letter = 'C', .fields = fields,
    .help = "broad problem that needs belong to",
};
