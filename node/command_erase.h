/* command_erase.h - what commands say of erased records. */
#ifndef ILEA_NODE_COMMAND_ERASE_H
#define ILEA_NODE_COMMAND_ERASE_H

#include "node/command.h"
#include "node/erasures.h"

/* What `where` says of an erased record, as JSON (new reference). */
json_t *ilea_command_where_erased(const struct ilea_erasure *erasure);

/* Exit code, after the message that a record of ours was erased and when; 0: `ref` names none that was. */
int ilea_command_was_erased(struct ilea_log *log, struct ilea_transaction *txn, const char *ref);

#endif
