#include "replication/record/schema/types.h"

/* Of two concurrent moves the later in this order is shown. */
static const char *const state_codes[] = {
    "draft", "in-review", "published", "expired", "addressed", "merged", "withdrawn", NULL
};
static const char *const kind_codes[] = {
    "technology", "method", "data", "training", "legal", "organisational", "standard",
    "cooperation", NULL
};
static const char *const horizon_codes[] = {
    "now", "short-1-3y", "medium-3-5y", "long-5y+", NULL
};

static const struct ilea_field fields[] = {
    ILEA_TITLE_FIELD(ILEA_FIELD_REQUIRED),
    { 32, "state", ILEA_KIND_CODE, ILEA_MERGE_STATE, 50, 0,
      state_codes, NULL, "where it is in its life" },
    { 33, "problem", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, 60000, ILEA_FIELD_LINES,
      NULL, NULL, "what cannot be done today" },
    { 34, "desired_outcome", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_NOTE_LIMIT, ILEA_FIELD_LINES,
      NULL, NULL, "how we would know that it is met" },
    { 35, "users", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_NOTE_LIMIT, ILEA_FIELD_LINES,
      NULL, NULL, "who would use it" },
    { 36, "context", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_NOTE_LIMIT, ILEA_FIELD_LINES,
      NULL, NULL, "legal, technical and ethical constraints" },
    { 37, "kind", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 50, 0,
      kind_codes, NULL, "what sort of thing is missing" },
    { 38, "horizon", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 50, 0,
      horizon_codes, NULL, "by when it is needed" },
    { 39, "current_workaround", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_NOTE_LIMIT,
      ILEA_FIELD_LINES, NULL, NULL, "what people do instead" },
    { 40, "challenge", ILEA_KIND_ID, ILEA_MERGE_REGISTER, ILEA_ID_LIMIT, 0,
      NULL, NULL, "the challenge it belongs to" },
    { 41, "duplicate_of", ILEA_KIND_ID, ILEA_MERGE_REGISTER, ILEA_ID_LIMIT, 0,
      NULL, NULL, "the need that says the same" },
    { 42, "merged_into", ILEA_KIND_ID, ILEA_MERGE_REGISTER, ILEA_ID_LIMIT, 0,
      NULL, NULL, "the need that took it over" },
    { 43, "shared_with_other_services", ILEA_KIND_CODE, ILEA_MERGE_SET, 100, 0,
      NULL, NULL, "who else has it: customs, border, justice, ..." },
    { 44, "publish_via", ILEA_KIND_ID, ILEA_MERGE_REGISTER, ILEA_ID_LIMIT, 0,
      NULL, NULL, "the organisation that publishes it as its own" },
    { .number = 0 },
};

const struct ilea_type ilea_type_need = {
    .number = 6, .name = "need", .letter = 'N', .fields = fields,
    .help = "one capability gap that can be tested",
};
