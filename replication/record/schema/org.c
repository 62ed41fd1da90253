#include "replication/record/schema/types.h"

static const char *const kind_codes[] = {
    "lea", "ministry", "research", "academia", "solution-developer", "policy-maker", "eu-agency",
    "network", "standards-body", "other", NULL
};
static const char *const identifier_parts[] = { "scheme", "value", NULL };
static const char *const status_codes[] = { "active", "left", NULL };

static const struct ilea_field fields[] = {
    { 32, "name", ILEA_KIND_TEXT, ILEA_MERGE_KEYED, ILEA_LINE_LIMIT, ILEA_FIELD_REQUIRED,
      NULL, NULL, "its name, by language: name.en; und where that is unknown" },
    { 33, "short", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_CODE_LIMIT, 0,
      NULL, NULL, "short name" },
    { 34, "country", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 8, 0,
      NULL, NULL, "ISO 3166-1 alpha-2, EU or INT" },
    { 35, "kind", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 50, 0,
      kind_codes, NULL, "what sort of organisation" },
    { 36, "parent", ILEA_KIND_ID, ILEA_MERGE_REGISTER, ILEA_ID_LIMIT, 0,
      NULL, NULL, "the organisation it is part of" },
    { 37, "url", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_URL_LIMIT, 0,
      NULL, NULL, "address on the web" },
    { 38, "languages", ILEA_KIND_CODE, ILEA_MERGE_SET, ILEA_LANG_LIMIT, 0,
      NULL, NULL, "languages it works in" },
    { 39, "identifiers", ILEA_KIND_STRUCT, ILEA_MERGE_SET, ILEA_CODE_LIMIT, 0,
      NULL, identifier_parts, "names elsewhere: scheme pic, vat, ror, ... and value" },
    { 40, "verified_by", ILEA_KIND_ID, ILEA_MERGE_REGISTER, ILEA_ID_LIMIT, 0,
      NULL, NULL, "the organisation that checked this record" },
    { 41, "status", ILEA_KIND_CODE, ILEA_MERGE_STATE, 50, 0,
      status_codes, NULL, "is it still there" },
    { .number = 0 },
};

const struct ilea_type ilea_type_org = {
    .number = 1, .name = "org", .letter = 'O', .fields = fields,
    .help = "organisation: agency, university, company, ministry, standards body",
};
