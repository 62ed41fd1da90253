/*
 * vouch.h - whether somebody vouches for an agency, as far as the view shows it.
 */
#ifndef ILEA_NODE_VOUCH_H
#define ILEA_NODE_VOUCH_H

#include "replication/store/log_store.h"

/* An approved agency that may be heard on this (ILEA_GRANT_INVITE) says so, and did not withdraw it. Reads all
 * vouches; false where the view of the home cannot be read. `txn`: of the log. */
bool ilea_vouch_stands(const char *home, struct ilea_transaction *txn, const struct ilea_agency_id *subject);

#endif
