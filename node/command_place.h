/*
 * command_place.h - what --to names: the agency, all peers, a closed audience, or a list of agencies, which is an
 * audience of its own that is made with the first write to it.
 */
#ifndef ILEA_NODE_COMMAND_PLACE_H
#define ILEA_NODE_COMMAND_PLACE_H

#include "node/audience_find.h"
#include "node/command.h"

struct ilea_command_place {
    enum ilea_scope scope;                 /* 0: not given */
    struct ilea_audience_id audience;      /* of scope AUDIENCE; zeros: a list that is not there yet */
    struct ilea_audience_request *list;    /* heap; NULL: it is none, or it is there */
    char text[ILEA_AUDIENCE_TEXT_SIZE];    /* "all-peers", "FR-PN/GANGS", "NL-PO,BE-FP" */
};

/* Look --to up; exit code, after a message. End it with ilea_command_place_end() in any case. */
int ilea_command_place(const struct ilea_command *command, struct ilea_command_place *place);
void ilea_command_place_end(struct ilea_command_place *place);

/* Make a list that is not there yet; exit code, after a message. */
int ilea_command_place_make(struct ilea_command_place *place, struct ilea_writer *writer);

/* Codes, separated by commas, into the members of a request, each with `level`. Exit code, after a message. */
int ilea_command_members(struct ilea_log *log, struct ilea_transaction *txn, const char *codes,
                         enum ilea_access level, struct ilea_audience_request *request);
/* An audience by name; exit code, after a message. */
int ilea_command_find_audience(struct ilea_audience_cache *cache, struct ilea_log *log, struct ilea_transaction *txn,
                               const char *text, struct ilea_audience_found *found);

#endif
