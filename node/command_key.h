/*
 * command_key.h - what the commands about keys and the one about status tell of them.
 */
#ifndef ILEA_NODE_COMMAND_KEY_H
#define ILEA_NODE_COMMAND_KEY_H

#include "node/command_act.h"

/* Our keys, their age, the root files that are here, and "due": lines with the command to run (new reference). */
json_t *ilea_command_key_facts(struct ilea_command_act *act);
int ilea_command_key_status(const struct ilea_command *command);

#endif
