#include "node/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/decision.h"
#include "node/own_keys.h"
#include "replication/record/manifest.h"

enum ilea_error
ilea_audit_append(struct ilea_author *author, struct ilea_span act, const struct ilea_act_signature *sigs,
                  uint32_t sig_count, uint64_t *seq)
{
    struct ilea_transaction *txn = ilea_author_transaction(author);
    ilea_assert(txn != NULL && sig_count <= ILEA_ACT_SIGS_MAX);
    struct ilea_audit_entry *entry = calloc(1, sizeof *entry);
    uint8_t *bytes = malloc(ILEA_ENTRY_SIZE_MAX);
    enum ilea_error error = entry != NULL && bytes != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    uint64_t last = 0;
    size_t size = 0;
    if (error == ILEA_ERROR_NONE) error = ilea_log_audit_last(txn, &last, entry->prev);
    if (error == ILEA_ERROR_NONE) {
        entry->seq = last + 1;
        entry->time_ms = ilea_author_now(author);
        entry->act_bytes = act;
        entry->sig_count = sig_count;
        if (sig_count > 0) memcpy(entry->sigs, sigs, sig_count * sizeof *sigs);
        error = ilea_entry_encode(entry, &ilea_author_identity(author)->network,
                                  ilea_author_keys(author)->node, bytes, ILEA_ENTRY_SIZE_MAX, &size);
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_log_put_audit(txn, entry->seq, entry->hash, (struct ilea_span){ bytes, size });
    }
    if (error == ILEA_ERROR_NONE && seq != NULL) *seq = entry->seq;
    free(entry);
    free(bytes);
    return error;
}

/* As much of a text as a value holds, whole characters, without line breaks of any kind. */
static struct ilea_span
cut_value(const char *text, char room[ILEA_ACT_VALUE_MAX + 1])
{
    size_t size = 0;
    for (; text[size] != '\0' && size < ILEA_ACT_VALUE_MAX; size++) {
        room[size] = (unsigned char)text[size] < 0x20 || text[size] == 0x7f ? ' ' : text[size];
    }
    while (text[size] != '\0' && size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80) size--;
    return (struct ilea_span){ (const uint8_t *)room, size };
}

enum ilea_error
ilea_audit_note(struct ilea_author *author, const char *kind, const struct ilea_agency_id *subject,
                const struct ilea_audit_pair *pairs)
{
    struct ilea_act act = { .agency = ilea_author_identity(author)->agency, .made_ms = ilea_author_now(author),
                            .kind = { (const uint8_t *)kind, strlen(kind) }, .has_subject = subject != NULL };
    if (subject != NULL) act.subject = *subject;
    ilea_random_bytes(act.nonce, sizeof act.nonce);
    uint8_t *bytes = malloc(ILEA_ACT_SIZE_MAX);
    char *rooms = calloc(ILEA_ACT_PAIRS_MAX, ILEA_ACT_VALUE_MAX + 1);
    size_t size = 0;
    enum ilea_error error = bytes != NULL && rooms != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    for (; error == ILEA_ERROR_NONE && pairs != NULL && pairs->key != NULL; pairs++) {
        if (pairs->value == NULL) continue;
        ilea_assert(act.pair_count < ILEA_ACT_PAIRS_MAX);
        char *room = rooms + (size_t)act.pair_count * (ILEA_ACT_VALUE_MAX + 1);
        act.pairs[act.pair_count].key = (struct ilea_span){ (const uint8_t *)pairs->key, strlen(pairs->key) };
        act.pairs[act.pair_count++].value = cut_value(pairs->value, room);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_act_encode(&act, bytes, ILEA_ACT_SIZE_MAX, &size);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_audit_append(author, (struct ilea_span){ bytes, size }, NULL, 0, NULL);
    }
    free(bytes);
    free(rooms);
    return error;
}

enum ilea_error
ilea_audit_last_time(struct ilea_transaction *txn, uint64_t *time_ms)
{
    enum { LOOKED_AT_MAX = 5000 };
    uint64_t last = 0;
    uint8_t hash[ILEA_HASH_SIZE];
    *time_ms = 0;
    struct ilea_audit_entry *entry = malloc(sizeof *entry);
    if (entry == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ilea_log_audit_last(txn, &last, hash);
    for (uint64_t seq = last; seq > 0 && last - seq < LOOKED_AT_MAX && error == ILEA_ERROR_NONE; seq--) {
        struct ilea_span bytes;
        error = ilea_log_audit(txn, seq, &bytes);
        if (error == ILEA_ERROR_NONE && ilea_entry_decode(bytes, entry) != ILEA_ERROR_NONE) error = ILEA_ERROR_CORRUPT;
        if (error != ILEA_ERROR_NONE || entry->sig_count == 0) continue;
        *time_ms = entry->time_ms;
        break;
    }
    free(entry);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
}

/* What the feed says so far: whose signatures count at the next entry. */
struct check {
    struct ilea_transaction *txn;
    const struct ilea_log_identity *identity;
    ilea_audit_fault *fault;
    void *context;
    struct ilea_own_keys keys;  /* in force */
    uint32_t approvals;
    uint64_t seq;               /* of the entry at hand */
    uint8_t prev[ILEA_HASH_SIZE];
    struct ilea_audit_entry entry;
};

static void
report(const struct check *check, const char *what)
{
    check->fault(check->context, check->seq, what);
}

static bool
is_admin(const struct ilea_own_keys *keys, const struct ilea_sign_public *admin)
{
    for (uint32_t i = 0; i < keys->admin_count; i++) {
        if (memcmp(keys->admins[i].bytes, admin->bytes, sizeof admin->bytes) == 0) return true;
    }
    return false;
}

/* A number in a pair; 0 if there is none. */
static uint32_t
number_of(const struct ilea_act *act, const char *key)
{
    struct ilea_span value = ilea_act_value(act, key);
    uint32_t number = 0;
    for (size_t i = 0; i < value.size && value.size <= 4; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') return 0;
        number = number * 10 + (uint32_t)(value.data[i] - '0');
    }
    return number;
}

static void
check_admins(struct check *check, const struct ilea_decision_kind *kind)
{
    const struct ilea_audit_entry *entry = &check->entry;
    for (uint32_t i = 0; i < entry->sig_count; i++) {
        if (!is_admin(&check->keys, &entry->sigs[i].admin)) {
            report(check, "signed by a key that was no admin's then");
        } else if (!ilea_act_verify(&entry->act, &check->identity->network, &entry->sigs[i].admin,
                                    &entry->sigs[i].sig)) {
            report(check, "an admin's signature does not match");
        }
    }
    uint32_t approvals = number_of(&entry->act, "approvals");
    bool raised = kind != NULL && strcmp(kind->name, "policy.set") == 0 && entry->sig_count == 0
        && approvals > check->approvals; /* by a stricter configuration: nobody's signature is asked for */
    uint32_t needed =
        kind != NULL ? ilea_decision_needed(kind, check->approvals, check->keys.admin_count) : 0;
    if (!raised && entry->sig_count < needed) report(check, "fewer admins signed it than the policy asked for");
    if (kind != NULL && strcmp(kind->name, "policy.set") == 0 && approvals > 0) check->approvals = approvals;
}

/* What an entry with a manifest of ours brings; if that manifest is still held it must say the same. */
static void
take_keys(struct check *check)
{
    struct ilea_own_keys stated, held;
    if (!ilea_own_keys_of_act(&check->entry.act, &stated)) {
        report(check, "does not say which keys it brings");
        return;
    }
    enum ilea_error error = ilea_own_keys_by_hash(check->txn, &check->identity->agency, stated.manifest, &held);
    if (error == ILEA_ERROR_NONE && !ilea_own_keys_equal(&stated, &held)) {
        report(check, "says other keys than its manifest");
    } else if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) { /* not found: superseded since */
        report(check, "its manifest cannot be read");
    }
    check->keys = stated;
}

static void
check_entry(struct check *check, struct ilea_span bytes)
{
    struct ilea_audit_entry *entry = &check->entry;
    if (ilea_entry_decode(bytes, entry) != ILEA_ERROR_NONE) {
        report(check, "is damaged");
        memset(check->prev, 0, sizeof check->prev);
        return;
    }
    if (entry->seq != check->seq) report(check, "stands in another's place");
    if (memcmp(entry->prev, check->prev, sizeof check->prev) != 0) {
        report(check, "does not follow the entry before it");
    }
    if (!ilea_entry_verify(entry, bytes, &check->identity->network, &check->keys.node)) {
        report(check, "the node's signature does not match");
    }
    if (memcmp(entry->act.agency.bytes, check->identity->agency.bytes, ILEA_ID_SIZE) != 0) {
        report(check, "is another agency's");
    }
    const struct ilea_decision_kind *kind = ilea_decision_kind(entry->act.kind);
    check_admins(check, kind);
    bool own = kind != NULL && kind->has_manifest;
    bool came_back = ilea_act_value(&entry->act, "node").data != NULL && entry->sig_count == 0; /* from a peer */
    if (own || came_back) take_keys(check);
    memcpy(check->prev, entry->hash, sizeof check->prev);
}

static void
check_head(struct check *check, uint64_t last, const uint8_t hash[ILEA_HASH_SIZE],
           const struct ilea_audit_head *head)
{
    char text[120];
    uint64_t checked = check->seq;
    check->seq = 0;
    if (checked > 0 && memcmp(hash, check->prev, sizeof check->prev) != 0) {
        report(check, "the last entry is not the one noted");
    }
    if (head == NULL || head->seq == 0) return;
    if (head->seq > last) {
        (void)snprintf(text, sizeof text, "ends at %llu and was known to have come to %llu",
                       (unsigned long long)last, (unsigned long long)head->seq);
        report(check, text);
    } else if (head->seq < last || memcmp(head->hash, hash, sizeof head->hash) != 0) {
        report(check, "its end is not the one noted outside the log");
    }
}

enum ilea_error
ilea_audit_verify(struct ilea_transaction *txn, const struct ilea_log_identity *identity,
                  const struct ilea_audit_head *head, ilea_audit_fault *fault, void *context, uint64_t *entries)
{
    struct check *check = calloc(1, sizeof *check);
    if (check == NULL) return ILEA_ERROR_NO_MEMORY;
    *check = (struct check){ .txn = txn, .identity = identity, .fault = fault, .context = context, .approvals = 1 };
    uint64_t last = 0;
    uint8_t hash[ILEA_HASH_SIZE];
    *entries = 0;
    enum ilea_error error = ilea_log_audit_last(txn, &last, hash);
    if (error == ILEA_ERROR_NONE) error = ilea_own_keys_at(txn, &identity->agency, 0, &check->keys);
    for (uint64_t seq = 1; error == ILEA_ERROR_NONE && seq <= last; seq++) {
        struct ilea_span bytes;
        check->seq = seq;
        error = ilea_log_audit(txn, seq, &bytes);
        if (error == ILEA_ERROR_NONE) {
            (*entries)++;
            check_entry(check, bytes);
        } else if (error == ILEA_ERROR_NOT_FOUND) {
            report(check, "is missing");
            error = ILEA_ERROR_NONE;
        } else if (error == ILEA_ERROR_CORRUPT) {
            report(check, "is damaged");
            error = ILEA_ERROR_NONE;
        }
    }
    if (error == ILEA_ERROR_NONE) check_head(check, last, hash, head);
    free(check);
    return error;
}
