/*
 * json.h - records as JSON objects, for tools and for backups that people can read.
 *
 *   {"agency":"FR-PN","agency_id":"9f..","audience":"all-peers","id":"0190..","label":"green","ref":"FR-PN-N42",
 *    "type":"need","title":"..","tags":["a","b"],"x":{"case":"4711"}}
 *
 * "audience" is agency, all-peers, or OWNER/NAME of a closed audience.
 * "label" is the one that counts: field tlp, else the usual one of those who may read it.
 *
 * A set is an array in the order of its elements' encoding (shorter text first),
 * a field with keys an object; what has no value is absent. One value of each is
 * shown (merge/record.h); where concurrent ones differ and somebody should
 * choose, "conflicts" holds them all: {"title":["..",".."],"name":{"en":["..",".."]}}.
 *
 * What the tables do not know is kept: a type is "type-77", a field goes under
 * "unknown" by its number, as {"value":v}, {"entries":[[key,v],..]} or
 * {"elements":[key,..]}, with values as in value.h. Reading it back gives the
 * same entries.
 */
#ifndef ILEA_NODE_JSON_H
#define ILEA_NODE_JSON_H

#include <jansson.h>

#include "include/ilea/id.h"
#include "node/put_builder.h"
#include "replication/merge/record.h"

/* What the record's entries do not say. All borrowed. */
struct ilea_json_meta {
    const char *agency; /* code of the owner */
    const struct ilea_agency_id *agency_id;
    const struct ilea_record_id *id;
    const char *ref;    /* FR-PN-N42; NULL: left out */
    uint32_t type;
    enum ilea_scope scope;
    const char *audience; /* of scope AUDIENCE: OWNER/NAME */
};

/* Gives a new reference; NULL if out of memory. */
json_t *ilea_json_from_record(const struct ilea_json_meta *meta, const struct ilea_record *record);

/* One line, keys sorted; gives heap memory, ended with free(). NULL if out of memory. */
char *ilea_json_dump(const json_t *object);

/*
 * The reverse: what the object says about one record. With an id the put is an
 * UPSERT of it, without one it creates. Who owns it, who may read it and what
 * the node derives ("conflicts", "created", "lsn", ..) is not read. A field that
 * is absent stays as it is; sets and fields with keys become what is said here.
 *   ILEA_ERROR_INVALID, ILEA_ERROR_LIMIT  see `reason`
 */
ILEA_MUST_USE enum ilea_error ilea_json_to_put(const json_t *object,
                                               struct ilea_put_builder *builder, char *reason);

#endif
