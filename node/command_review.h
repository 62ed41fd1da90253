/*
 * command_review.h - what a record's page says of releases; review itself is command_review.c's.
 */
#ifndef ILEA_NODE_COMMAND_REVIEW_H
#define ILEA_NODE_COMMAND_REVIEW_H

#include "node/command.h"

/* Whether the snapshot's current record, if it is ours, waits for review, or was returned, and why (new reference);
 * NULL: neither, or the log cannot be read. */
json_t *ilea_command_review_of(const struct ilea_command *command, struct ilea_snapshot *snapshot,
                               const struct ilea_agency_id *owner);
/* The same in words on stdout; nothing if it is NULL. */
void ilea_command_review_print(const json_t *review);

#endif
