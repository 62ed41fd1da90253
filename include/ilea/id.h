/*
 * id.h - names of things: fixed-size byte strings, each a type of its own so
 * that one cannot be passed for another. replication/PROTOCOL.md says how each
 * is computed.
 */
#ifndef ILEA_ID_H
#define ILEA_ID_H

#include <stdint.h>

enum {
    ILEA_ID_SIZE = 32,       /* bytes of a hash-derived id */
    ILEA_RECORD_ID_SIZE = 16 /* bytes of a record id, a UUID in network order */
};

struct ilea_network_id { uint8_t bytes[ILEA_ID_SIZE]; };  /* the federation: no key or signature crosses it */
struct ilea_agency_id { uint8_t bytes[ILEA_ID_SIZE]; };   /* an organisation; never changes */
struct ilea_feed_id { uint8_t bytes[ILEA_ID_SIZE]; };     /* one writer's chain of commits */
struct ilea_commit_id { uint8_t bytes[ILEA_ID_SIZE]; };   /* one commit header */
struct ilea_record_id { uint8_t bytes[ILEA_RECORD_ID_SIZE]; };

#endif
