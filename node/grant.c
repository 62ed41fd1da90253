#include "node/grant.h"

#include <stdio.h>
#include <string.h>

#include "replication/record/change.h"
#include "replication/record/schema.h"
#include "replication/store/log_store.h"

static const struct {
    const char *name;
    uint32_t bit;
} scopes[] = { { "connect", ILEA_GRANT_CONNECT },
               { "follow", ILEA_GRANT_FOLLOW },
               { "relay", ILEA_GRANT_RELAY },
               { "invite", ILEA_GRANT_INVITE } };

bool
ilea_grant_scopes_parse(const char *text, uint32_t *bits)
{
    *bits = 0;
    for (const char *at = text; at != NULL;) {
        const char *end = strchr(at, ',');
        size_t size = end != NULL ? (size_t)(end - at) : strlen(at);
        uint32_t bit = 0;
        for (unsigned i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
            if (strlen(scopes[i].name) == size && memcmp(scopes[i].name, at, size) == 0) bit = scopes[i].bit;
        }
        if (bit == 0) return false;
        *bits |= bit;
        at = end != NULL ? end + 1 : NULL;
    }
    return true;
}

void
ilea_grant_scopes_format(uint32_t bits, char text[ILEA_GRANT_SCOPES_SIZE])
{
    size_t at = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        if ((bits & scopes[i].bit) == 0) continue;
        (void)snprintf(text + at, ILEA_GRANT_SCOPES_SIZE - at, "%s%s", at > 0 ? "," : "", scopes[i].name);
        at = strlen(text);
    }
}

/* 1 CLEAR ... 5 RED, as codes of the field tlp; 0: none. */
uint32_t
ilea_grant_tlp_parse(const char *text)
{
    const struct ilea_field *field = ilea_field_by_number(NULL, ILEA_FIELD_TLP);
    for (uint32_t i = 0; field->codes[i] != NULL; i++) {
        if (strcmp(field->codes[i], text) == 0) return i + ILEA_LABEL_CLEAR;
    }
    return 0;
}

const char *
ilea_grant_tlp_name(uint32_t tlp)
{
    const struct ilea_field *field = ilea_field_by_number(NULL, ILEA_FIELD_TLP);
    for (uint32_t i = 0; field->codes[i] != NULL; i++) {
        if (i + ILEA_LABEL_CLEAR == tlp) return field->codes[i];
    }
    return "";
}

/* Codes of areas, separated by commas, none of them empty. */
bool
ilea_grant_areas_are_valid(const char *text)
{
    bool empty = true; /* the code before this character */
    if (strlen(text) > ILEA_AGENCY_TEXT_MAX) return false;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == ',' && (empty || at[1] == '\0')) return false;
        if ((unsigned char)*at <= ' ' || *at == '"') return false;
        empty = *at == ',';
    }
    return true;
}
