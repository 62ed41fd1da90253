#include "node/node.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/audit.h"
#include "node/damage.h"
#include "node/erase.h"
#include "node/own_card.h"
#include "node/view.h"

enum { BUILD_BYTES = 16 * 1024 * 1024, LOCK_NONE = -1 };

static uint64_t
read_clock(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t
ilea_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME);
}

uint64_t
ilea_monotonic_ms(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* What a person can do about it. */
static void
explain(enum ilea_error error, const char *what, char *reason)
{
    const char *hint = "";
    switch ((int)error) {
    case ILEA_ERROR_VERSION: hint = ": it was written by another version, in another format; use that version"; break;
    case ILEA_ERROR_PASSPHRASE: hint = ": wrong or missing passphrase"; break;
    case ILEA_ERROR_PERMISSION:
        hint = ": permission denied; it must belong to you, with no access for others (chmod -R go= DIR)";
        break;
    case ILEA_ERROR_CORRUPT: hint = ": damaged; run ilea verify, or restore it from a backup"; break;
    case ILEA_ERROR_FULL: hint = ": no space left on the disk; free some and try again"; break;
    case ILEA_ERROR_NO_MEMORY: hint = ": not enough memory"; break;
    case ILEA_ERROR_NOT_FOUND: hint = ": missing"; break;
    default: hint = ": cannot be opened"; break;
    }
    (void)snprintf(reason, ILEA_REASON_SIZE, "%s%s", what, hint);
}

/* Before anything is served: what was refused or withdrawn after the time of a restored log. */
static enum ilea_error
open_side(struct ilea_node *node)
{
    struct ilea_transaction *txn = NULL;
    uint32_t changed = 0;
    enum ilea_error error = ilea_side_open(node->home, &node->side);
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(ilea_log_environment(node->log), true, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_side_merge(node->side, txn, &changed);
    if (error == ILEA_ERROR_NONE && changed > 0) return ilea_transaction_commit(txn);
    ilea_transaction_abort(txn);
    return error;
}

/* So too: what was erased after that time, or could not be carried out before a crash. */
static enum ilea_error
open_erased(struct ilea_node *node)
{
    struct ilea_transaction *txn = NULL;
    uint32_t changed = 0;
    enum ilea_error error = ilea_erased_file_open(node->home, &node->erased);
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(ilea_log_environment(node->log), true, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_erased_file_merge(node->erased, txn, &changed);
    if (error == ILEA_ERROR_NONE && changed > 0) return ilea_transaction_commit(txn);
    ilea_transaction_abort(txn);
    return error;
}

static enum ilea_error
put_head(struct ilea_node *node, struct ilea_audit_head *head)
{
    struct ilea_transaction *txn = NULL;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(node->log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_log_audit_last(txn, &head->seq, head->hash);
    ilea_transaction_abort(txn);
    if (error == ILEA_ERROR_NONE && head->seq > 0) error = ilea_side_put_head(node->side, head->seq, head->hash);
    return error;
}

void
ilea_node_note_audit(struct ilea_node *node)
{
    struct ilea_audit_head head;
    if (node->side == NULL || !ilea_author_was_audited(node->author)) return;
    (void)!put_head(node, &head);
}

/* An audit feed that is shorter than it was known to be says so before anything else is entered. */
static enum ilea_error
settle_audit(struct ilea_node *node)
{
    const struct ilea_author_commit *commits;
    uint32_t count;
    struct ilea_audit_head known, last = { .seq = 0 };
    struct ilea_transaction *txn = NULL;
    ilea_side_head(node->side, &known.seq, known.hash);
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(node->log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_log_audit_last(txn, &last.seq, last.hash);
    ilea_transaction_abort(txn);
    if (error == ILEA_ERROR_NONE && known.seq > last.seq) {
        error = ilea_author_begin(node->author, ilea_wall_ms());
        if (error == ILEA_ERROR_NONE) error = ilea_audit_restored(node->author, &known);
        if (error == ILEA_ERROR_NONE) error = ilea_author_commit(node->author, &commits, &count);
        ilea_author_abort(node->author);
    }
    return error == ILEA_ERROR_NONE ? put_head(node, &last) : error;
}

/* What a restore, a cut or a crash took back of our own statements is stated again, before anybody asks. */
static enum ilea_error
restate(struct ilea_node *node)
{
    const struct ilea_author_commit *commits;
    uint32_t count, stated = 0;
    enum ilea_error error = ilea_author_begin(node->author, ilea_wall_ms());
    if (error == ILEA_ERROR_NONE) error = ilea_author_restate(node->author, &stated);
    if (error == ILEA_ERROR_NONE && stated > 0) error = ilea_author_commit(node->author, &commits, &count);
    ilea_author_abort(node->author);
    return error;
}

enum ilea_error
ilea_node_open(struct ilea_node *node, const char *home, const struct ilea_span *passphrase,
               int lock_wait_ms, char *reason)
{
    *node = (struct ilea_node){ .lock = LOCK_NONE };
    (void)snprintf(node->home, sizeof node->home, "%s", home);
    if (!ilea_home_exists(home)) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "%.100s is not a node's home; make one: ilea init",
                       home);
        return ILEA_ERROR_NOT_FOUND;
    }
    if (!ilea_home_is_local(home)) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "%.100s is on a network file system; use a local disk", home);
        return ILEA_ERROR_INVALID;
    }
    enum ilea_error error = ilea_home_config(home, &node->config, reason);
    if (error != ILEA_ERROR_NONE) {
        if (error != ILEA_ERROR_INVALID) explain(error, "ilea.conf", reason);
        return error;
    }
    error = ilea_home_lock(home, lock_wait_ms, &node->lock);
    if (error == ILEA_ERROR_BUSY) {
        (void)snprintf(reason, ILEA_REASON_SIZE,
                       "another daemon or command writes to %.100s: nothing was written; try again", home);
        return error;
    }
    if (error != ILEA_ERROR_NONE) {
        explain(error, "state/lock", reason);
        return error;
    }
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home, "log", path);
    error = ilea_log_open(path, false, &node->log);
    if (error != ILEA_ERROR_NONE) {
        explain(error, "log", reason);
        return error;
    }
    error = open_side(node);
    if (error != ILEA_ERROR_NONE) {
        explain(error, "state/trust.side", reason);
        return error;
    }
    error = open_erased(node);
    if (error != ILEA_ERROR_NONE) {
        explain(error, "state/erased", reason);
        return error;
    }
    error = ilea_keys_load(home, node->log, passphrase, &node->keys);
    if (error != ILEA_ERROR_NONE) {
        explain(error, "keys", reason);
        return error;
    }
    node->guard_error = ilea_guard_open(node->config.guard, node->config.generation,
                                        ilea_log_identity(node->log)->database, &node->guard);
    error = ilea_author_new(node->log, &node->keys, node->guard, &node->author);
    if (error == ILEA_ERROR_NONE) {
        ilea_author_set_four_eyes(node->author, node->config.four_eyes);
        ilea_author_use_erased(node->author, node->erased);
        ilea_keys_retire(home, node->log); /* after a change of keys: those that are no more of use */
        error = ilea_own_card_refresh(node, ilea_wall_ms());
        if (error == ILEA_ERROR_NONE) error = settle_audit(node);
        if (error == ILEA_ERROR_NONE) error = restate(node);
    }
    if (error != ILEA_ERROR_NONE) explain(error, "log", reason);
    return error;
}

void
ilea_node_drop_view(struct ilea_node *node)
{
    if (node->author != NULL) ilea_author_use_view(node->author, NULL);
    ilea_view_builder_free(node->builder);
    ilea_environment_close(node->view);
    node->builder = NULL;
    node->view = NULL;
}

void
ilea_node_close(struct ilea_node *node)
{
    if (node->author != NULL) ilea_author_abort(node->author);
    ilea_node_drop_view(node);
    ilea_author_free(node->author);
    ilea_guard_close(node->guard);
    ilea_side_close(node->side);
    ilea_erased_file_close(node->erased);
    ilea_log_close(node->log);
    ilea_keys_free(&node->keys);
    if (node->lock != LOCK_NONE) close(node->lock);
    *node = (struct ilea_node){ .lock = LOCK_NONE };
}

enum ilea_error
ilea_node_watch_view(struct ilea_node *node)
{
    ilea_node_drop_view(node);
    enum ilea_error error = ilea_view_current(node->home, &node->generation);
    char path[ILEA_PATH_SIZE];
    ilea_view_generation_path(node->home, node->generation, path);
    if (error == ILEA_ERROR_NONE) error = ilea_view_open(path, true, false, &node->view);
    if (error == ILEA_ERROR_NONE) ilea_author_use_view(node->author, node->view);
    return error;
}

static enum ilea_error
build(struct ilea_node *node)
{
    char path[ILEA_PATH_SIZE];
    ilea_view_generation_path(node->home, node->generation, path);
    enum ilea_error error = ILEA_ERROR_NONE;
    if (node->view == NULL) error = ilea_view_open(path, false, false, &node->view);
    if (error == ILEA_ERROR_NONE && node->builder == NULL) {
        error = ilea_view_builder_new(node->log, node->view, &node->keys, &node->builder);
    }
    bool caught_up = false;
    while (error == ILEA_ERROR_NONE && !caught_up) {
        struct ilea_view_meta meta;
        error = ilea_view_builder_run(node->builder, BUILD_BYTES, UINT64_MAX, &caught_up, &meta);
    }
    return error;
}

enum ilea_error
ilea_node_build_view(struct ilea_node *node)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    if (node->view == NULL) error = ilea_view_current(node->home, &node->generation);
    if (error == ILEA_ERROR_NONE) error = ilea_damage_is_marked(node->home) ? ILEA_ERROR_CORRUPT : build(node);
    if (error == ILEA_ERROR_CORRUPT || error == ILEA_ERROR_VERSION) { /* abandon it, begin beside it */
        uint32_t before = node->generation;
        ilea_node_drop_view(node);
        error = ilea_view_make(node->home, ++node->generation);
        if (error == ILEA_ERROR_NONE) error = build(node);
        if (error == ILEA_ERROR_NONE) error = ilea_view_switch(node->home, node->generation, before);
        if (error == ILEA_ERROR_NONE) ilea_damage_unmark(node->home);
    }
    if (error == ILEA_ERROR_NONE) {
        ilea_author_use_view(node->author, node->view);
    } else {
        ilea_node_drop_view(node);
    }
    return error;
}

enum ilea_error
ilea_node_note_four_eyes(struct ilea_node *node)
{
    struct ilea_policy policy;
    struct ilea_transaction *txn = ilea_author_transaction(node->author);
    enum ilea_error error = ilea_log_policy(txn, &policy);
    if (error != ILEA_ERROR_NONE || policy.four_eyes == node->config.four_eyes) return error;
    policy.four_eyes = node->config.four_eyes;
    error = ilea_log_put_policy(txn, &policy);
    const struct ilea_audit_pair pairs[] = { { "by", "configuration" },
                                             { "four-eyes", policy.four_eyes ? "yes" : "no" },
                                             { NULL, NULL } };
    return error == ILEA_ERROR_NONE ? ilea_audit_note(node->author, "policy.four-eyes", NULL, pairs) : error;
}

enum ilea_error
ilea_node_erase_strays(struct ilea_node *node)
{
    const struct ilea_author_commit *commits;
    uint32_t count, strays = 1;
    enum ilea_error error = ILEA_ERROR_NONE;
    while (error == ILEA_ERROR_NONE && strays > 0) {
        struct ilea_transaction *txn = NULL;
        error = ilea_transaction_begin(node->view, false, &txn);
        bool has = error == ILEA_ERROR_NONE && ilea_erase_has_strays(txn);
        ilea_transaction_abort(txn);
        if (!has) return error;
        error = ilea_author_begin(node->author, ilea_wall_ms());
        if (error == ILEA_ERROR_NONE) error = ilea_author_erase_strays(node->author, &strays);
        if (error == ILEA_ERROR_NONE) error = ilea_author_commit(node->author, &commits, &count);
        ilea_author_abort(node->author);
        if (error == ILEA_ERROR_NONE) error = ilea_node_build_view(node);
    }
    return error == ILEA_ERROR_BUSY ? ILEA_ERROR_NONE : error;
}

enum ilea_error
ilea_node_policy_again(struct ilea_node *node, char *reason)
{
    struct ilea_config config;
    enum ilea_error error = ilea_home_config(node->home, &config, reason);
    node->config.four_eyes = error != ILEA_ERROR_NONE || config.four_eyes;
    ilea_author_set_four_eyes(node->author, node->config.four_eyes);
    if (error != ILEA_ERROR_NONE) return error;
    node->config.approvals = config.approvals;
    node->config.unverified = config.unverified;
    node->config.erase_day = config.erase_day;
    return ILEA_ERROR_NONE;
}
