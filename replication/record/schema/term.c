#include "replication/record/schema/types.h"

static const char *const mapping_parts[] = { "scheme", "code", "relation", NULL };

/* Everybody refers to a term by vocabulary and code: a wrong one is replaced, not changed. */
static const struct ilea_field fields[] = {
    { 32, "vocabulary", ILEA_KIND_CODE, ILEA_MERGE_IMMUTABLE, 100, ILEA_FIELD_REQUIRED,
      NULL, NULL, "area, theme, topic, function, barrier, ..." },
    { 33, "code", ILEA_KIND_CODE, ILEA_MERGE_IMMUTABLE, ILEA_CODE_LIMIT, ILEA_FIELD_REQUIRED,
      NULL, NULL, "what records hold, as financial-investigations" },
    { 34, "labels", ILEA_KIND_TEXT, ILEA_MERGE_KEYED, ILEA_LINE_LIMIT, 0,
      NULL, NULL, "what people read, by language: labels.en" },
    { 35, "broader", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, ILEA_CODE_LIMIT, 0,
      NULL, NULL, "code of the wider term in the same vocabulary" },
    { 36, "mappings", ILEA_KIND_STRUCT, ILEA_MERGE_SET, 300, 0,
      NULL, mapping_parts, "the same elsewhere: scheme; code; relation exact, close or broad" },
    { 37, "valid_from", ILEA_KIND_DATE, ILEA_MERGE_REGISTER, ILEA_DATE_LIMIT, 0,
      NULL, NULL, "first day of use" },
    { 38, "valid_to", ILEA_KIND_DATE, ILEA_MERGE_REGISTER, ILEA_DATE_LIMIT, 0,
      NULL, NULL, "last day of use" },
    { 39, "replaced_by", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, ILEA_CODE_LIMIT, 0,
      NULL, NULL, "code to use instead" },
    { .number = 0 },
};

const struct ilea_type ilea_type_term = {
    .number = 4, .name = "term", .letter = 'V', .fields = fields,
    .help = "vocabulary entry: a code, its labels and its place",
};
