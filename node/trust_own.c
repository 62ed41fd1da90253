/* trust_own.c - decisions about ourselves: policy, admins, keys, forks of our own feeds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/own_keys.h"
#include "node/trust_state.h"

static bool
is_kind(const struct decide *decide, const char *name)
{
    return strcmp(decide->kind->name, name) == 0;
}

static bool
has_admin(const struct ilea_manifest *manifest, const struct ilea_sign_public *admin)
{
    for (uint32_t i = 0; i < manifest->admin_count; i++) {
        if (memcmp(manifest->admins[i].bytes, admin->bytes, sizeof admin->bytes) == 0) return true;
    }
    return false;
}

static bool
same_admins(const struct ilea_manifest *one, const struct ilea_manifest *other)
{
    return one->admin_count == other->admin_count
        && memcmp(one->admins, other->admins, one->admin_count * sizeof *one->admins) == 0;
}

static bool
same_keys(const struct ilea_manifest *one, const struct ilea_manifest *other)
{
    return memcmp(&one->node, &other->node, sizeof one->node) == 0
        && memcmp(&one->transport, &other->transport, sizeof one->transport) == 0
        && memcmp(&one->reading, &other->reading, sizeof one->reading) == 0;
}

static enum ilea_error
refuse_manifest(struct decide *decide, const char *why)
{
    return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "the manifest that goes with the decision %s", why);
}

/* The files of the keys that it names must be here: without them the node could not go on. */
static enum ilea_error
check_files(struct decide *decide)
{
    char folder[ILEA_PATH_SIZE], name[ILEA_KEY_NAME_SIZE];
    const struct { enum ilea_key_kind kind; const uint8_t *key; const char *what; } wanted[] = {
        { ILEA_KEY_NODE, decide->next.node.bytes, "node" },
        { ILEA_KEY_TRANSPORT, decide->next.transport.bytes, "transport" },
        { ILEA_KEY_READING, decide->next.reading.bytes, "reading" } };
    ilea_home_path(decide->node->home, "keys", folder);
    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        enum ilea_error error = ilea_keys_find(folder, wanted[i].kind, wanted[i].key, name);
        if (error != ILEA_ERROR_NONE) {
            return ilea_trust_refuse(decide, ILEA_ERROR_NOT_FOUND, "no file in keys/ holds the new %s key",
                                     wanted[i].what);
        }
    }
    return ILEA_ERROR_NONE;
}

/* The manifest in the payload: the one that the act names, ours, and in its place of our chain. */
static enum ilea_error
check_manifest(struct decide *decide)
{
    struct ilea_own_keys stated, brought;
    const struct ilea_span bytes = { decide->payload, decide->payload_size };
    if (ilea_manifest_decode(bytes, &decide->next) != ILEA_ERROR_NONE) {
        return refuse_manifest(decide, "is damaged or was altered");
    }
    ilea_own_keys_of_manifest(&decide->next, &brought);
    if (!ilea_own_keys_of_act(&decide->act, &stated) || !ilea_own_keys_equal(&stated, &brought)) {
        return refuse_manifest(decide, "is another than it says");
    }
    if (memcmp(decide->next.id.bytes, decide->identity->agency.bytes, ILEA_ID_SIZE) != 0 || decide->next.index == 0) {
        return refuse_manifest(decide, "is not ours");
    }
    bool recovers = is_kind(decide, "key.recover");
    if (decide->next.index > decide->own.index + 1 || (!recovers && decide->next.index != decide->own.index + 1)) {
        return refuse_manifest(decide, "does not follow our newest: another change came first; make it anew");
    }
    struct ilea_manifest *prev = malloc(sizeof *prev);
    if (prev == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error =
        ilea_chain_at(decide->txn, &decide->identity->agency, decide->next.index - 1, prev);
    enum ilea_succession wanted = recovers ? ILEA_SUCCESSION_ROOTS : ILEA_SUCCESSION_ORDINARY;
    if (error == ILEA_ERROR_NONE && ilea_manifest_succession(prev, &decide->next) != wanted) {
        error = refuse_manifest(decide, recovers ? "is not signed by the next roots that we committed to"
                                                 : "is not signed by our roots, or does not follow our newest");
    }
    free(prev);
    return error == ILEA_ERROR_NONE ? check_files(decide) : error;
}

static enum ilea_error
check_admin(struct decide *decide)
{
    const struct ilea_manifest *own = &decide->own, *next = &decide->next;
    bool adds = is_kind(decide, "admin.add");
    const struct ilea_manifest *fewer = adds ? own : next, *more = adds ? next : own;
    bool one_differs = more->admin_count == fewer->admin_count + 1;
    for (uint32_t i = 0; i < fewer->admin_count; i++) one_differs = one_differs && has_admin(more, &fewer->admins[i]);
    if (!one_differs || !same_keys(own, next) || next->revoked_count > 0 || next->position_count > 0) {
        return refuse_manifest(decide, adds ? "does more than add one admin" : "does more than remove one admin");
    }
    if (adds) return ILEA_ERROR_NONE;
    if (next->admin_count == 0) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "the last admin key cannot be removed: nobody could "
                                                             "decide anything any more");
    }
    if (next->admin_count >= decide->policy.approvals) return ILEA_ERROR_NONE;
    return ilea_trust_refuse(decide, ILEA_ERROR_INVALID,
                             "%u admins must sign each decision and fewer would be left: add another first, or lower "
                             "it: ilea admin policy --approvals N", decide->policy.approvals);
}

static bool
revokes(const struct ilea_manifest *manifest, const struct ilea_sign_public *node)
{
    for (uint32_t i = 0; i < manifest->revoked_count; i++) {
        if (memcmp(manifest->revoked[i].bytes, node->bytes, sizeof node->bytes) == 0) return true;
    }
    return false;
}

static enum ilea_error
check_keys(struct decide *decide)
{
    const struct ilea_manifest *own = &decide->own, *next = &decide->next;
    if (is_kind(decide, "key.recover")) return ILEA_ERROR_NONE;
    if (!same_admins(own, next)) return refuse_manifest(decide, "names other admins");
    if (is_kind(decide, "key.rotate")) {
        if (next->revoked_count > 0 || next->position_count > 0)
            return refuse_manifest(decide, "does more than rotate");
        return same_keys(own, next) ? refuse_manifest(decide, "changes no key") : ILEA_ERROR_NONE;
    }
    return revokes(next, &own->node) ? ILEA_ERROR_NONE : refuse_manifest(decide, "does not revoke our node key");
}

static enum ilea_error
check_fork(struct decide *decide)
{
    const struct ilea_manifest *own = &decide->own, *next = &decide->next;
    struct ilea_feed_id feed;
    struct ilea_feed_row row;
    struct ilea_position position;
    if (!same_keys(own, next) || !same_admins(own, next) || next->revoked_count > 0 || next->position_count != 1) {
        return refuse_manifest(decide, "does more than settle one fork");
    }
    if (!ilea_hex_parse(ilea_act_value(&decide->act, "feed"), feed.bytes, sizeof feed.bytes)
        || !ilea_manifest_position(next, &feed, &position)) {
        return refuse_manifest(decide, "is about another feed than it says");
    }
    enum ilea_error error = ilea_log_feed_by_id(decide->txn, &feed, &row);
    if (error == ILEA_ERROR_NOT_FOUND) return ilea_trust_refuse(decide, error, "no such feed; see: ilea fork list");
    if (error != ILEA_ERROR_NONE) return error;
    if (memcmp(row.origin.agency.bytes, decide->identity->agency.bytes, ILEA_ID_SIZE) == 0) return ILEA_ERROR_NONE;
    return ilea_trust_refuse(decide, ILEA_ERROR_NOT_OWNER, "only the roots of its own agency settle a fork");
}

static enum ilea_error
read_approvals(struct decide *decide, uint32_t *approvals)
{
    char text[8];
    ilea_trust_text(decide, "approvals", text, sizeof text);
    *approvals = decide->policy.approvals;
    if (text[0] == '\0') return ILEA_ERROR_NONE;
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || number < 1 || number > ILEA_APPROVALS_MAX) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "approvals is a number from 1 to %d", ILEA_APPROVALS_MAX);
    }
    *approvals = (uint32_t)number;
    return ILEA_ERROR_NONE;
}

static enum ilea_error
check_policy(struct decide *decide)
{
    uint32_t approvals;
    char unverified[8];
    enum ilea_error error = read_approvals(decide, &approvals);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_trust_text(decide, "unverified", unverified, sizeof unverified);
    if (unverified[0] != '\0' && strcmp(unverified, "yes") != 0 && strcmp(unverified, "no") != 0) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "unverified is yes or no");
    }
    if (approvals > decide->own.admin_count) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID,
                                 "%u admins could not sign: there are %u; add one first: ilea admin add NAME",
                                 approvals, decide->own.admin_count);
    }
    if (approvals >= decide->node->config.approvals) return ILEA_ERROR_NONE;
    return ilea_trust_refuse(decide, ILEA_ERROR_INVALID,
                             "ilea.conf says approvals = %u, and the stricter counts: lower it there first",
                             decide->node->config.approvals);
}

enum ilea_error
ilea_trust_find_named(struct decide *decide, bool is_release, uint32_t *number)
{
    uint8_t hash[ILEA_HASH_SIZE];
    *number = 0;
    if (!ilea_hex_parse(ilea_act_value(&decide->act, "act"), hash, sizeof hash)) return ILEA_ERROR_NONE;
    struct ilea_act *act = malloc(sizeof *act);
    if (act == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_proposal_row row = { .number = 0 };
    enum ilea_error error;
    while ((error = ilea_log_proposal_next(decide->txn, row.number, &row)) == ILEA_ERROR_NONE) {
        if (ilea_act_decode(row.act, act) != ILEA_ERROR_NONE || memcmp(act->hash, hash, sizeof hash) != 0
            || ilea_trust_is_release(row.act) != is_release) {
            continue;
        }
        *number = row.number;
        break;
    }
    free(act);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static enum ilea_error
check_reject(struct decide *decide)
{
    uint32_t number;
    enum ilea_error error = ilea_trust_find_named(decide, false, &number);
    if (error != ILEA_ERROR_NONE || number != 0) return error;
    return ilea_trust_refuse(decide, ILEA_ERROR_NOT_FOUND, "no such proposal; see: ilea admin pending");
}

enum ilea_error
ilea_trust_check_own(struct decide *decide)
{
    if (is_kind(decide, "policy.set")) return check_policy(decide);
    if (is_kind(decide, "admin.reject")) return check_reject(decide);
    if (is_kind(decide, "peer.invite")) return ilea_trust_check_invite(decide);
    if (is_kind(decide, "record.release")) return ilea_trust_check_release(decide);
    if (is_kind(decide, "record.return")) return ilea_trust_check_return(decide);
    if (is_kind(decide, "record.erase")) return ilea_trust_check_erase(decide);
    if (!decide->kind->has_manifest) {
        return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "this decision is not known here");
    }
    enum ilea_error error = check_manifest(decide);
    if (error != ILEA_ERROR_NONE) return error;
    if (is_kind(decide, "admin.add") || is_kind(decide, "admin.remove")) return check_admin(decide);
    return is_kind(decide, "fork.resolve") ? check_fork(decide) : check_keys(decide);
}

/* Feeds of ours that end by this manifest, or whose node key it replaces, are never written to again. */
static enum ilea_error
close_feeds(struct decide *decide)
{
    const struct ilea_feed_row *current;
    for (uint32_t i = 0; (current = ilea_author_feed_at(decide->author, i)) != NULL; i++) {
        if (current->number == 0) continue;
        struct ilea_feed_row feed = *current, row;
        bool replaced = memcmp(feed.origin.node.bytes, decide->next.node.bytes, sizeof feed.origin.node.bytes) != 0;
        enum ilea_error error = ilea_log_feed(decide->txn, feed.number, &row);
        if (error != ILEA_ERROR_NONE) return error;
        if (!replaced && row.limit_seq == ILEA_SEQ_NONE) continue;
        error = ilea_author_close_feed(decide->author, &feed.id);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
do_manifest(struct decide *decide)
{
    const struct ilea_span bytes = { decide->payload, decide->payload_size };
    bool anew = decide->next.index <= decide->own.index, truncated = false;
    enum ilea_error error =
        ilea_log_put_manifest(decide->txn, &decide->identity->agency, decide->next.index, bytes);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_chain_settle(decide->txn, &decide->identity->agency, anew, &truncated);
    }
    if (error == ILEA_ERROR_NONE) error = close_feeds(decide);
    decide->answer->own_changed = true;
    return error;
}

static enum ilea_error
do_policy(struct decide *decide)
{
    struct ilea_policy policy;
    char unverified[8];
    enum ilea_error error = ilea_log_policy(decide->txn, &policy);
    if (error == ILEA_ERROR_NONE) error = read_approvals(decide, &policy.approvals);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_trust_text(decide, "unverified", unverified, sizeof unverified);
    if (unverified[0] != '\0') policy.unverified = strcmp(unverified, "yes") == 0;
    return ilea_log_put_policy(decide->txn, &policy);
}

enum ilea_error
ilea_trust_do_own(struct decide *decide)
{
    if (is_kind(decide, "policy.set")) return do_policy(decide);
    if (is_kind(decide, "peer.invite")) return ilea_trust_do_invite(decide);
    if (is_kind(decide, "record.release")) return ilea_trust_do_release(decide);
    if (is_kind(decide, "record.return")) return ilea_trust_do_return(decide);
    if (is_kind(decide, "record.erase")) return ilea_trust_do_erase(decide);
    if (!is_kind(decide, "admin.reject")) return do_manifest(decide);
    uint32_t number;
    enum ilea_error error = ilea_trust_find_named(decide, false, &number);
    return error == ILEA_ERROR_NONE ? ilea_log_delete_proposal(decide->txn, number) : error;
}
