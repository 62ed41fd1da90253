#include "replication/record/schema/types.h"

static const char *const programme_codes[] = {
    "FP7", "H2020", "HORIZON", "ISF", "DIGITAL", "national", "other", NULL
};
static const char *const status_codes[] = { "unknown", "signed", "closed", "terminated", NULL };
static const char *const participant_parts[] = {
    "org", "role", "country", "ec_contribution", "pic", "short", "type", "city", "url", "ended",
    NULL
};
static const char *const involvement_codes[] = {
    "none", "advisory", "partner", "coordinator", "unknown", NULL
};

static const struct ilea_field fields[] = {
    ILEA_TITLE_FIELD(ILEA_FIELD_REQUIRED),
    { 32, "acronym", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_CODE_LIMIT, 0,
      NULL, NULL, "short title; not unique" },
    { 33, "grant_id", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 100, 0,
      NULL, NULL, "number of the grant agreement" },
    { 34, "programme", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 50, 0,
      programme_codes, NULL, "who funds it" },
    { 35, "call", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, ILEA_CODE_LIMIT, 0,
      NULL, NULL, "call for proposals" },
    { 36, "topic_codes", ILEA_KIND_CODE, ILEA_MERGE_SET, ILEA_CODE_LIMIT, 0,
      NULL, NULL, "topics of the call" },
    { 37, "scheme", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 100, 0,
      NULL, NULL, "type of action, as RIA or CSA" },
    { 38, "start", ILEA_KIND_DATE, ILEA_MERGE_REGISTER, ILEA_DATE_LIMIT, 0,
      NULL, NULL, "first day" },
    { 39, "end", ILEA_KIND_DATE, ILEA_MERGE_REGISTER, ILEA_DATE_LIMIT, 0,
      NULL, NULL, "last day" },
    { 40, "status", ILEA_KIND_CODE, ILEA_MERGE_STATE, 50, 0,
      status_codes, NULL, "of the grant agreement" },
    { 41, "objective", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, 60000, ILEA_FIELD_LINES,
      NULL, NULL, "what it wants to reach" },
    { 42, "coordinator", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_LINE_LIMIT, 0,
      NULL, NULL, "name of the coordinating organisation" },
    { 43, "participants", ILEA_KIND_STRUCT, ILEA_MERGE_SET, 300, 0,
      NULL, participant_parts, "who takes part: name, role, country, contribution, ..." },
    { 44, "total_cost", ILEA_KIND_DECIMAL, ILEA_MERGE_REGISTER, ILEA_DECIMAL_LIMIT, 0,
      NULL, NULL, "euro" },
    { 45, "eu_contribution", ILEA_KIND_DECIMAL, ILEA_MERGE_REGISTER, ILEA_DECIMAL_LIMIT, 0,
      NULL, NULL, "euro" },
    { 46, "euroscivoc", ILEA_KIND_TEXT, ILEA_MERGE_SET, ILEA_LINE_LIMIT, 0,
      NULL, NULL, "fields of science, as paths" },
    { 47, "links", ILEA_KIND_TEXT, ILEA_MERGE_SET, ILEA_URL_LIMIT, 0,
      NULL, NULL, "addresses on the web" },
    { 48, "results", ILEA_KIND_ID, ILEA_MERGE_SET, ILEA_ID_LIMIT, 0,
      NULL, NULL, "solutions and items that came out of it" },
    { 49, "watch_orgs", ILEA_KIND_ID, ILEA_MERGE_SET, ILEA_ID_LIMIT, 0,
      NULL, NULL, "organisations that follow it" },
    { 50, "lea_involvement", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 50, 0,
      involvement_codes, NULL, "part that law enforcement has in it" },
    { .number = 0 },
};

const struct ilea_type ilea_type_project = {
    .number = 8, .name = "project", .letter = 'R', .fields = fields,
    .help = "research or innovation project",
};
