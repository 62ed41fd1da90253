/*
 * command_attention.h - what waits for an admin, each thing with the command that settles it.
 */
#ifndef ILEA_NODE_COMMAND_ATTENTION_H
#define ILEA_NODE_COMMAND_ATTENTION_H

#include "node/command.h"

/* An array of { what, text, command } (new reference): what: proposals, review, returned, requests, fork, suspended,
 * expires, clock, keys, audience. Empty where nothing is to be done. */
json_t *ilea_command_attention(const struct ilea_command *command);

#endif
