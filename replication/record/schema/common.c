#include "replication/record/schema/types.h"

/* TLP 2.0, least restrictive first; the order of enum ilea_label. */
static const char *const tlp_codes[] = { "clear", "green", "amber", "amber+strict", "red", NULL };
static const char *const handling_codes[] = { "h0", "h1", "h2", "h3", NULL };
static const char *const attribution_codes[] = { "named", "agency-hidden", "chatham-house", NULL };
static const char *const evaluation_parts[] = { "scheme", "source", "info", NULL };
static const char *const origin_parts[] = { "kind", "ref", NULL };
static const char *const document_parts[] = { "name", "media", "size", "root", "key", NULL }; /* record/document.h */

/* 17 is reserved: the states of a lifecycle differ by type, so `state` is a field of the type. */
const struct ilea_field ilea_common_fields[] = {
    { ILEA_FIELD_REF, "ref", ILEA_KIND_UINT, ILEA_MERGE_IMMUTABLE, UINT32_MAX, ILEA_FIELD_INTERNAL,
      NULL, NULL, "number of the short name, as 42 in FR-PN-N42" },
    ILEA_TITLE_FIELD(0),
    ILEA_BODY_FIELD(0),
    { 4, "lang", ILEA_KIND_CODE, ILEA_MERGE_REGISTER, ILEA_LANG_LIMIT, 0,
      NULL, NULL, "language of the text, as en or pt-BR" },
    { ILEA_FIELD_AREAS, "areas", ILEA_KIND_CODE, ILEA_MERGE_SET, ILEA_CODE_LIMIT, 0,
      NULL, NULL, "terms of the vocabulary area" },
    { 6, "themes", ILEA_KIND_CODE, ILEA_MERGE_SET, ILEA_CODE_LIMIT, 0,
      NULL, NULL, "terms of the vocabulary theme" },
    { 7, "topics", ILEA_KIND_CODE, ILEA_MERGE_SET, ILEA_CODE_LIMIT, 0,
      NULL, NULL, "terms of the vocabulary topic" },
    { 8, "functions", ILEA_KIND_CODE, ILEA_MERGE_SET, ILEA_CODE_LIMIT, 0,
      NULL, NULL, "terms of the vocabulary function" },
    { 9, "tags", ILEA_KIND_CODE, ILEA_MERGE_SET, ILEA_CODE_LIMIT, 0, NULL, NULL, "free tags" },
    { 10, "countries", ILEA_KIND_CODE, ILEA_MERGE_SET, 8, 0,
      NULL, NULL, "countries concerned: ISO 3166-1 alpha-2, EU or INT" },
    { ILEA_FIELD_TLP, "tlp", ILEA_KIND_CODE, ILEA_MERGE_RESTRICTIVE, 16, 0,
      tlp_codes, NULL, "what a reader may do with it: TLP 2.0" },
    { 12, "handling", ILEA_KIND_CODE, ILEA_MERGE_RESTRICTIVE, 16, 0,
      handling_codes, NULL, "handling code of the source" },
    { 13, "attribution", ILEA_KIND_CODE, ILEA_MERGE_RESTRICTIVE, 16, 0,
      attribution_codes, NULL, "who may be named as the source" },
    { 14, "evaluation", ILEA_KIND_STRUCT, ILEA_MERGE_REGISTER, 50, 0,
      NULL, evaluation_parts, "how good: scheme 4x4 or admiralty, source, information" },
    { 15, "origin", ILEA_KIND_STRUCT, ILEA_MERGE_IMMUTABLE, ILEA_LINE_LIMIT, 0,
      NULL, origin_parts, "where it came from: import, survey, ... and the name there; set once" },
    { 16, "evidence", ILEA_KIND_ID, ILEA_MERGE_SET, ILEA_ID_LIMIT, 0,
      NULL, NULL, "records that support it" },
    { 18, "review_by", ILEA_KIND_DATE, ILEA_MERGE_REGISTER, ILEA_DATE_LIMIT, 0,
      NULL, NULL, "day by which somebody should look at it again" },
    { ILEA_FIELD_EXTRA, "x", ILEA_KIND_EXTRA, ILEA_MERGE_KEYED, ILEA_BODY_LIMIT, 0,
      NULL, NULL, "anything else, by name: x.name" },
    { ILEA_FIELD_WITHDRAWN, "withdrawn", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_LINE_LIMIT, 0,
      NULL, NULL, "its owner does not stand by it any more, and why" },
    { ILEA_FIELD_DOCUMENTS, "documents", ILEA_KIND_STRUCT, ILEA_MERGE_SET, ILEA_LINE_LIMIT, ILEA_FIELD_ATTACHED,
      NULL, document_parts, "files that belong to it: ilea attach, ilea fetch" },
    { ILEA_FIELD_AUDIENCE, "audience", ILEA_KIND_ID, ILEA_MERGE_REGISTER, ILEA_ID_LIMIT, ILEA_FIELD_INTERNAL,
      NULL, NULL, "the closed audience that it is for; none: the agency, or all peers" },
    { .number = 0 },
};
