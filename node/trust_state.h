/*
 * trust_state.h - one decision being made, shared by trust*.c alone.
 */
#ifndef ILEA_NODE_TRUST_STATE_H
#define ILEA_NODE_TRUST_STATE_H

#include "node/agency.h"
#include "node/audit.h"
#include "node/chain.h"
#include "node/decision.h"
#include "node/trust.h"

struct decide {
    struct ilea_node *node;
    struct ilea_author *author;
    struct ilea_transaction *txn;
    const struct ilea_log_identity *identity;
    uint64_t now_ms;
    const struct ilea_trust_request *request;
    struct ilea_control_decision *answer;
    struct ilea_act act;
    const struct ilea_decision_kind *kind;
    struct ilea_policy policy;         /* what counts now */
    struct ilea_manifest own;          /* our newest; its spans are not to be used after a put */
    struct ilea_act_signature sigs[ILEA_ACT_SIGS_MAX]; /* good ones, of different admins */
    uint32_t sig_count;
    uint32_t proposal;                 /* that it completes; 0: it is new */
    uint8_t *payload;                  /* a copy (heap) */
    size_t payload_size;
    struct ilea_manifest next;         /* what the payload holds, where the kind brings a manifest */
    struct ilea_agency subject;        /* where the kind has one */
    enum ilea_verified verified;       /* how the code was compared */
};

/* The admin's to mend: says why; returns `error`. */
enum ilea_error ilea_trust_refuse(struct decide *decide, enum ilea_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The value of a pair as text, cut at `size`; "" if it is not there. */
void ilea_trust_text(const struct decide *decide, const char *key, char *text, size_t size);

/* trust_peer.c, trust_own.c: whether it can be done, and doing it. `audit_seq` is its place in the audit feed. */
enum ilea_error ilea_trust_check_peer(struct decide *decide);
enum ilea_error ilea_trust_do_peer(struct decide *decide, uint64_t audit_seq);
enum ilea_error ilea_trust_check_own(struct decide *decide);
enum ilea_error ilea_trust_do_own(struct decide *decide);

/* trust_own.c: the proposal, which is a release or is none, that the act names by its hash; 0: there is none. */
enum ilea_error ilea_trust_find_named(struct decide *decide, bool is_release, uint32_t *number);

/* trust_release.c */
enum ilea_error ilea_trust_check_release(struct decide *decide); /* BUSY: once the view shows all */
enum ilea_error ilea_trust_do_release(struct decide *decide);
/* A request was stored: say so in the audit feed. */
enum ilea_error ilea_trust_note_release(struct decide *decide);
enum ilea_error ilea_trust_check_return(struct decide *decide);
enum ilea_error ilea_trust_do_return(struct decide *decide);
/* trust_erase.c. BUSY: the view has to catch up first. */
enum ilea_error ilea_trust_check_erase(struct decide *decide);
enum ilea_error ilea_trust_do_erase(struct decide *decide);

/* trust_invite.c */
enum ilea_error ilea_trust_check_invite(struct decide *decide);
enum ilea_error ilea_trust_do_invite(struct decide *decide);

#endif
