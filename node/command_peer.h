/*
 * command_peer.h - the verbs of `ilea peer`, and what others say of an agency.
 */
#ifndef ILEA_NODE_COMMAND_PEER_H
#define ILEA_NODE_COMMAND_PEER_H

#include "node/command.h"

int ilea_command_peer_approve(const struct ilea_command *command);
int ilea_command_peer_decide(const struct ilea_command *command); /* decline, suspend, resume, revoke */
int ilea_command_peer_invite(const struct ilea_command *command);
int ilea_command_peer_request(const struct ilea_command *command);
int ilea_command_peer_verify(const struct ilea_command *command);
int ilea_command_peer_vouch(const struct ilea_command *command);

/* --wait in milliseconds, or the default. Exit code, after a message. */
int ilea_command_wait(const struct ilea_command *command, uint64_t seconds, uint64_t *wait_ms);
void ilea_command_pause(long ms);

/* All vouches of approved agencies that stand: an object of agency ids in hex, each with an array (new
 * reference). What the view does not show is not told. */
json_t *ilea_command_vouches(const struct ilea_command *command, struct ilea_log *log);

#endif
