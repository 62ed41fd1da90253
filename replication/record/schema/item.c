#include "replication/record/schema/types.h"

static const char *const kind_codes[] = {
    "research-result", "tool-news", "best-practice", "lesson", "threat-trend", "publication",
    "call-for-proposals", "dataset", "legal-change", "event-report", "other", NULL
};
static const char *const source_parts[] = { "name", "url", "date", "doi", NULL };
static const char *const related_parts[] = { "id", "rel", "tags", NULL };

static const struct ilea_field fields[] = {
    ILEA_TITLE_FIELD(ILEA_FIELD_REQUIRED),
    { 32, "kind", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, 50, 0,
      kind_codes, NULL, "what sort of knowledge" },
    { 33, "summary", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_NOTE_LIMIT, ILEA_FIELD_LINES,
      NULL, NULL, "what a colleague should know" },
    { 34, "source", ILEA_KIND_STRUCT, ILEA_MERGE_REGISTER, ILEA_URL_LIMIT, 0,
      NULL, source_parts, "name; url; date; doi" },
    { 35, "related", ILEA_KIND_STRUCT, ILEA_MERGE_SET, 300, 0,
      NULL, related_parts, "other records: id; rel; tags. They need not exist here" },
    { 36, "expires", ILEA_KIND_DATE, ILEA_MERGE_REGISTER, ILEA_DATE_LIMIT, 0,
      NULL, NULL, "last day of interest" },
    { .number = 0 },
};

const struct ilea_type ilea_type_item = {
    .number = 7, .name = "item", .letter = 'K', .fields = fields,
    .help = "piece of knowledge: news, practice, lesson, publication, call",
};
