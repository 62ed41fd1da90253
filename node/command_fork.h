/*
 * command_fork.h - what the commands about forks and the one about status tell of them.
 */
#ifndef ILEA_NODE_COMMAND_FORK_H
#define ILEA_NODE_COMMAND_FORK_H

#include "node/command_act.h"

/* Forks of which a proof is held, as a JSON array (new reference). `resolved`: those that are settled, too. */
json_t *ilea_command_forks(struct ilea_command_act *act, bool resolved);

#endif
