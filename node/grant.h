/*
 * grant.h - what an approval allows, as people write it: connect,follow / amber / cybercrime,terrorism. Pure.
 */
#ifndef ILEA_NODE_GRANT_H
#define ILEA_NODE_GRANT_H

#include <stdbool.h>
#include <stdint.h>

#define ILEA_GRANT_SCOPES_ALL "connect,follow,relay,invite"

enum { ILEA_GRANT_SCOPES_SIZE = sizeof ILEA_GRANT_SCOPES_ALL };

/* Scopes separated by commas, to bits ILEA_GRANT_CONNECT ...; false if one is unknown. */
bool ilea_grant_scopes_parse(const char *text, uint32_t *bits);
void ilea_grant_scopes_format(uint32_t bits, char text[ILEA_GRANT_SCOPES_SIZE]);

/* A label of TLP 2.0 as a code of the field tlp, to 1 CLEAR ... 5 RED; 0: none. */
uint32_t ilea_grant_tlp_parse(const char *text);
/* "" for what is none. */
const char *ilea_grant_tlp_name(uint32_t tlp);

/* Codes of areas separated by commas, none of them empty; "": all areas. */
bool ilea_grant_areas_are_valid(const char *text);

#endif
