/*
 * uuid.h - record ids as text and the making of new ones (RFC 9562).
 */
#ifndef ILEA_RECORD_UUID_H
#define ILEA_RECORD_UUID_H

#include <stdbool.h>

#include "include/ilea/id.h"
#include "include/ilea/span.h"

enum { ILEA_UUID_TEXT_SIZE = 37 /* with its NUL */ };

bool ilea_uuid_parse(struct ilea_span text, struct ilea_record_id *id);
void ilea_uuid_print(const struct ilea_record_id *id, char text[ILEA_UUID_TEXT_SIZE]);

/* Version 7: begins with the time (ms since 1970 UTC), so that new records lie side by side in the
 * indexes; the rest is random. */
void ilea_uuid_make(uint64_t now_ms, struct ilea_record_id *id);

#endif
