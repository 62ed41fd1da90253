#include "replication/record/schema/types.h"

static const char *const role_parts[] = { "role", "from", "to", NULL };
static const char *const contact_parts[] = { "email", "phone", "secure_channel", NULL };
static const char *const available_codes[] = {
    "advice", "review", "trial", "speaking", "mentoring", NULL
};
static const char *const consent_parts[] = { "basis", "date", "scope", NULL };
static const char *const status_codes[] = { "active", "veteran", "left", "erased", NULL };

static const struct ilea_field fields[] = {
    { 32, "name", ILEA_KIND_TEXT, ILEA_MERGE_REGISTER, ILEA_LINE_LIMIT, ILEA_FIELD_REQUIRED,
      NULL, NULL, "full name" },
    { 33, "org", ILEA_KIND_ID, ILEA_MERGE_REGISTER, ILEA_ID_LIMIT, 0,
      NULL, NULL, "the organisation" },
    { 34, "roles", ILEA_KIND_STRUCT, ILEA_MERGE_SET, 100, 0,
      NULL, role_parts, "role: inc, inc-deputy, practitioner, expert, ...; from; to" },
    { 35, "skills", ILEA_KIND_CODE, ILEA_MERGE_SET, ILEA_CODE_LIMIT, 0,
      NULL, NULL, "what to ask this person about" },
    { 36, "languages", ILEA_KIND_CODE, ILEA_MERGE_SET, ILEA_LANG_LIMIT, 0,
      NULL, NULL, "languages spoken" },
    { 37, "contact", ILEA_KIND_STRUCT, ILEA_MERGE_ONE_WRITER, 300, 0,
      NULL, contact_parts, "how to reach this person" },
    { 38, "available_for", ILEA_KIND_CODE, ILEA_MERGE_SET, 50, 0,
      available_codes, NULL, "what this person offers" },
    { 39, "consent", ILEA_KIND_STRUCT, ILEA_MERGE_REGISTER, ILEA_CODE_LIMIT, 0,
      NULL, consent_parts, "basis; date; scope: own, trusted or public" },
    { 40, "status", ILEA_KIND_CODE, ILEA_MERGE_STATE, 50, 0,
      status_codes, NULL, "in the network" },
    { .number = 0 },
};

const struct ilea_type ilea_type_person = {
    .number = 2, .name = "person", .letter = 'P', .fields = fields,
    .help = "contact: innovation contact, deputy, expert",
};
