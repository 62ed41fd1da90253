/* command_erase.h - what commands say of erased records. */
#ifndef ILEA_NODE_COMMAND_ERASE_H
#define ILEA_NODE_COMMAND_ERASE_H

#include "node/command.h"
#include "node/erasures.h"

/* Those that have confirmed an erasure, or those that have not, as JSON (new reference). */
json_t *ilea_command_erasure_agencies(const struct ilea_erasure *erasure, bool confirmed);

#endif
