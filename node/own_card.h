/*
 * own_card.h - our own card in the log: made anew when our manifest is another than the one on it.
 */
#ifndef ILEA_NODE_OWN_CARD_H
#define ILEA_NODE_OWN_CARD_H

#include "node/node.h"

/* Whether others can reach an endpoint as it stands: one numeric address that is not "any". Empty: yes. */
bool ilea_endpoint_is_dialable(const char *endpoint);

/* Whether the card in the log carries our newest manifest, and the lobby that the configuration has. */
bool ilea_own_card_is_current(struct ilea_transaction *txn, const struct ilea_agency_id *own,
                              const struct ilea_config *config);

/* Make it anew if it does not, in a transaction of its own. The node is open, nothing is being written. */
ILEA_MUST_USE enum ilea_error ilea_own_card_refresh(struct ilea_node *node, uint64_t now_ms);

#endif
