#include "replication/record/schema/types.h"

static const char *const kind_codes[] = {
    "software", "hardware", "method", "dataset", "training", "best-practice", "standard",
    "guidance", "service", "platform", NULL
};
static const char *const trl_source_codes[] = { "self-declared", "assessed", "unknown", NULL };
static const char *const availability_codes[] = {
    "concept", "prototype", "pilotable", "free-for-lea", "commercial", "in-use", "discontinued",
    NULL
};

static const struct ilea_field fields[] = {
    ILEA_TITLE_FIELD(ILEA_FIELD_REQUIRED),
    { 32, "kind", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 50, 0,
      kind_codes, NULL, "what sort of solution" },
    { 33, "summary_for_officer", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_NOTE_LIMIT,
      ILEA_FIELD_LINES, NULL, NULL, "what it does, for the person who would use it" },
    { 34, "provider_org", ILEA_KIND_ID, ILEA_MERGE_REGISTER, ILEA_ID_LIMIT, 0,
      NULL, NULL, "the organisation that offers it" },
    { 35, "from_project", ILEA_KIND_ID, ILEA_MERGE_REGISTER, ILEA_ID_LIMIT, 0,
      NULL, NULL, "the project it came out of" },
    { 36, "trl", ILEA_KIND_UINT, ILEA_MERGE_REGISTER, 9, 0,
      NULL, NULL, "technology readiness level, 1 to 9" },
    { 37, "trl_source", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 50, 0,
      trl_source_codes, NULL, "who says so" },
    { 38, "trl_date", ILEA_KIND_DATE, ILEA_MERGE_REGISTER, ILEA_DATE_LIMIT, 0,
      NULL, NULL, "and when" },
    { 39, "srl", ILEA_KIND_UINT, ILEA_MERGE_REGISTER, 9, 0,
      NULL, NULL, "societal readiness level, 1 to 9" },
    { 40, "availability", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 50, 0,
      availability_codes, NULL, "how far one can have it" },
    { 41, "licence", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_LINE_LIMIT, 0,
      NULL, NULL, "terms of use" },
    { 42, "cost_note", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_NOTE_LIMIT, ILEA_FIELD_LINES,
      NULL, NULL, "what it costs" },
    { 43, "languages", ILEA_KIND_CODE, ILEA_MERGE_SET, ILEA_LANG_LIMIT, 0,
      NULL, NULL, "languages it comes in" },
    { 44, "requirements", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_NOTE_LIMIT, ILEA_FIELD_LINES,
      NULL, NULL, "what one needs to run it" },
    { 45, "interoperability", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_NOTE_LIMIT,
      ILEA_FIELD_LINES, NULL, NULL, "formats and standards it speaks" },
    { 46, "legal_note", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_NOTE_LIMIT, ILEA_FIELD_LINES,
      NULL, NULL, "legal basis and limits" },
    { 47, "data_protection_note", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_NOTE_LIMIT,
      ILEA_FIELD_LINES, NULL, NULL, "data protection" },
    { 48, "standards", ILEA_KIND_TEXT, ILEA_MERGE_SET, ILEA_CODE_LIMIT, 0,
      NULL, NULL, "standards it follows" },
    { 49, "where_used", ILEA_KIND_CODE, ILEA_MERGE_SET, 8, 0,
      NULL, NULL, "countries: ISO 3166-1 alpha-2, EU or INT" },
    { 50, "contacts", ILEA_KIND_ID, ILEA_MERGE_SET, ILEA_ID_LIMIT, 0,
      NULL, NULL, "persons to ask" },
    { 51, "maintainer", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_LINE_LIMIT, 0,
      NULL, NULL, "who keeps it going" },
    { 52, "support_until", ILEA_KIND_DATE, ILEA_MERGE_REGISTER, ILEA_DATE_LIMIT, 0,
      NULL, NULL, "last day of support" },
    { .number = 0 },
};

const struct ilea_type ilea_type_solution = {
    .number = 9, .name = "solution", .letter = 'S', .fields = fields,
    .help = "tool, method, practice, training or standard that answers needs",
};
