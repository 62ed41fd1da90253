#include "node/agency.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/audit.h"
#include "node/chain.h"
#include "node/date.h"
#include "node/trust.h"

/* Move a text out of the log's file. */
static bool
keep_text(struct ilea_agency *agency, size_t *used, struct ilea_span *text)
{
    if (text->size > sizeof agency->texts - *used) return false;
    if (text->size > 0) memcpy(agency->texts + *used, text->data, text->size);
    text->data = agency->texts + *used;
    *used += text->size;
    return true;
}

static enum ilea_error
complete(struct ilea_transaction *txn, struct ilea_agency *agency)
{
    struct ilea_agency_row *row = &agency->row;
    struct ilea_span *const texts[] = { &row->endpoint, &row->lobby, &row->grant.areas,
                                        &row->reason, &row->note, &row->address };
    size_t used = 0;
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!keep_text(agency, &used, texts[i])) return ILEA_ERROR_CORRUPT;
    }
    struct ilea_span bytes;
    uint64_t index;
    enum ilea_error error = ilea_log_manifest_last(txn, &row->id, &index, &bytes);
    if (error == ILEA_ERROR_NONE && bytes.size > sizeof agency->bytes) error = ILEA_ERROR_CORRUPT;
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    memcpy(agency->bytes, bytes.data, bytes.size);
    bytes.data = agency->bytes;
    return ilea_manifest_decode(bytes, &agency->manifest) == ILEA_ERROR_NONE ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

enum ilea_error
ilea_agency_load(struct ilea_transaction *txn, const struct ilea_agency_id *id,
                 struct ilea_agency *agency)
{
    enum ilea_error error = ilea_log_agency(txn, id, &agency->row);
    return error == ILEA_ERROR_NONE ? complete(txn, agency) : error;
}

enum ilea_error
ilea_agency_next(struct ilea_transaction *txn, const struct ilea_agency_id *after,
                 struct ilea_agency *agency)
{
    struct ilea_agency_id from;
    if (after != NULL) from = *after; /* `after` may lie in *agency */
    enum ilea_error error = ilea_log_agency_next(txn, after != NULL ? &from : NULL, &agency->row);
    return error == ILEA_ERROR_NONE ? complete(txn, agency) : error;
}

static bool
is_named(const struct ilea_agency *agency, const char *name)
{
    size_t size = strlen(name);
    struct ilea_span code = agency->manifest.code;
    if (code.size == size && memcmp(code.data, name, size) == 0) return true;
    if (size < 8 || size > 2 * ILEA_ID_SIZE) return false;
    for (size_t i = 0; i < size; i++) {
        static const char digits[] = "0123456789abcdef";
        uint8_t byte = agency->row.id.bytes[i / 2];
        if (name[i] != digits[i % 2 == 0 ? byte >> 4 : byte & 15]) return false;
    }
    return true;
}

enum ilea_error
ilea_agency_find(struct ilea_transaction *txn, const char *name, struct ilea_agency *agency)
{
    struct ilea_agency *candidate = malloc(sizeof *candidate);
    if (candidate == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_agency_id found;
    unsigned matches = 0;
    const struct ilea_agency_id *after = NULL;
    enum ilea_error error;
    while ((error = ilea_agency_next(txn, after, candidate)) == ILEA_ERROR_NONE) {
        after = &candidate->row.id;
        if (!is_named(candidate, name)) continue;
        found = candidate->row.id;
        matches++;
    }
    free(candidate);
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    if (matches == 0) return ILEA_ERROR_NOT_FOUND;
    if (matches > 1) return ILEA_ERROR_EXISTS;
    return ilea_agency_load(txn, &found, agency);
}

void
ilea_agency_words(const struct ilea_agency_row *row, char words[ILEA_STATE_WORDS_SIZE])
{
    bool unverified = row->state == ILEA_AGENCY_APPROVED && row->verified == ILEA_VERIFIED_NO;
    (void)snprintf(words, ILEA_STATE_WORDS_SIZE, "%s%s", ilea_agency_state_name(row->state),
                   unverified ? ", not verified" : "");
}

enum ilea_error
ilea_agency_check_code(struct ilea_transaction *txn, const struct ilea_agency *agency, char *reason)
{
    struct ilea_agency *other = malloc(sizeof *other);
    if (other == NULL) return ILEA_ERROR_NO_MEMORY;
    const struct ilea_agency_id *after = NULL;
    enum ilea_error error;
    struct ilea_span code = agency->manifest.code;
    while ((error = ilea_agency_next(txn, after, other)) == ILEA_ERROR_NONE) {
        after = &other->row.id;
        bool in_use = other->row.state == ILEA_AGENCY_SELF || other->row.state == ILEA_AGENCY_APPROVED
            || other->row.state == ILEA_AGENCY_SUSPENDED;
        struct ilea_span taken = other->manifest.code;
        if (in_use && memcmp(other->row.id.bytes, agency->row.id.bytes, ILEA_ID_SIZE) != 0
            && taken.size == code.size && memcmp(taken.data, code.data, code.size) == 0) {
            (void)snprintf(reason, ILEA_REASON_SIZE,
                           "the code %.*s is used by another agency here; ask them to choose another",
                           (int)code.size, (const char *)code.data);
            error = ILEA_ERROR_INVALID;
            break;
        }
    }
    free(other);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* A card being taken in. */
struct taking {
    struct ilea_node *node;
    struct ilea_transaction *txn;
    const struct ilea_log_identity *identity;
    uint64_t now_ms;
    char *reason;
    struct ilea_card card;
    uint8_t bytes[ILEA_CARD_SIZE_MAX];
    struct ilea_agency agency;
};

static enum ilea_error
refuse(struct taking *taking, enum ilea_error error, const char *why)
{
    (void)snprintf(taking->reason, ILEA_REASON_SIZE, "%s", why);
    return error;
}

static enum ilea_error
parse_card(struct taking *taking, struct ilea_span text)
{
    enum ilea_error error = ilea_card_parse(text, taking->bytes, &taking->card);
    switch ((int)error) {
    case ILEA_ERROR_NONE: break;
    case ILEA_ERROR_NO_MEMORY: return error;
    case ILEA_ERROR_BAD_SIGNATURE:
        return refuse(taking, error, "the card was altered: its signature does not match");
    case ILEA_ERROR_UNKNOWN: return refuse(taking, error, "the card is of a newer version: upgrade this node");
    default:
        return refuse(taking, ILEA_ERROR_MALFORMED, "not a whole, unaltered identity card: ask for the file again");
    }
    const struct ilea_manifest *manifest = &taking->card.manifest;
    if (memcmp(manifest->network.bytes, taking->identity->network.bytes, ILEA_ID_SIZE) != 0) {
        return refuse(taking, ILEA_ERROR_INVALID, "the card belongs to another network");
    }
    if (memcmp(taking->card.agency.bytes, taking->identity->agency.bytes, ILEA_ID_SIZE) == 0) {
        return refuse(taking, ILEA_ERROR_INVALID, "this is our own card");
    }
    if (taking->card.made_ms <= taking->now_ms + ILEA_ACT_FRESH_MS) return ILEA_ERROR_NONE;
    char made[ILEA_TIME_SIZE], now[ILEA_TIME_SIZE];
    ilea_time_format(taking->card.made_ms, made);
    ilea_time_format(taking->now_ms, now);
    (void)snprintf(taking->reason, ILEA_REASON_SIZE,
                   "the card was made at %s and it is %s here: their clock or ours is wrong", made, now);
    return ILEA_ERROR_INVALID;
}

static void
use_addresses(struct taking *taking, struct ilea_agency_row *row)
{
    row->endpoint = taking->card.endpoint;
    row->lobby = taking->card.lobby;
    row->made_ms = taking->card.made_ms;
}

static enum ilea_error
note(struct taking *taking, const char *kind, uint64_t index)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)index);
    const struct ilea_audit_pair pairs[] = { { "index", number }, { "by", "card" }, { NULL, NULL } };
    return ilea_audit_note(taking->node->author, kind, &taking->card.agency, pairs);
}

static enum ilea_error
take_new(struct taking *taking)
{
    taking->agency.row = (struct ilea_agency_row){ .id = taking->card.agency, .state = ILEA_AGENCY_PENDING,
                                                   .changed_ms = taking->now_ms, .origin = ILEA_FROM_CARD };
    taking->agency.manifest = taking->card.manifest;
    use_addresses(taking, &taking->agency.row);
    enum ilea_error error = ilea_agency_check_code(taking->txn, &taking->agency, taking->reason);
    if (error == ILEA_ERROR_NONE) error = ilea_log_put_agency(taking->txn, &taking->agency.row);
    struct ilea_chain_change change;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_chain_take(taking->txn, &taking->identity->network, &taking->card.agency, taking->card.chain,
                                taking->card.chain_count, &change);
    }
    return error == ILEA_ERROR_NONE ? note(taking, "peer.add", taking->card.manifest.index) : error;
}

static enum ilea_error
take_known(struct taking *taking)
{
    struct ilea_agency_row *row = &taking->agency.row;
    struct ilea_chain_change change;
    enum ilea_error error =
        ilea_chain_take(taking->txn, &taking->identity->network, &taking->card.agency, taking->card.chain,
                        taking->card.chain_count, &change);
    if (error != ILEA_ERROR_NONE) return error;
    if (change.outcome == ILEA_CHAIN_CONFLICT && row->state != ILEA_AGENCY_APPROVED) {
        return refuse(taking, ILEA_ERROR_DIVERGED,
                      "its roots signed other keys before: ask them which card counts; nothing was changed");
    }
    if (change.outcome == ILEA_CHAIN_CONFLICT) {
        return ilea_trust_conflict(taking->node, &taking->card.agency, change.index, taking->now_ms);
    }
    bool older = change.outcome == ILEA_CHAIN_OLDER
        || (change.outcome == ILEA_CHAIN_SAME && taking->card.made_ms < row->made_ms);
    if (older) return refuse(taking, ILEA_ERROR_INVALID, "a newer card of this agency is known already");
    if (taking->card.made_ms >= row->made_ms) use_addresses(taking, row);
    error = ilea_log_put_agency(taking->txn, row);
    if (error == ILEA_ERROR_NONE && change.outcome != ILEA_CHAIN_SAME) {
        error = note(taking, "peer.manifest", change.index);
    }
    if (error == ILEA_ERROR_NONE && change.node_changed && row->state == ILEA_AGENCY_APPROVED) {
        error = ilea_author_readers_changed(taking->node->author);
    }
    return error;
}

enum ilea_error
ilea_agency_card(struct ilea_node *node, struct ilea_span text, uint64_t now_ms, struct ilea_control_agency *answer)
{
    *answer = (struct ilea_control_agency){ .error = ILEA_ERROR_NONE };
    struct taking *taking = calloc(1, sizeof *taking);
    if (taking == NULL) return ILEA_ERROR_NO_MEMORY;
    taking->node = node;
    taking->txn = ilea_author_transaction(node->author);
    taking->identity = ilea_log_identity(node->log);
    taking->now_ms = now_ms;
    taking->reason = answer->reason;
    enum ilea_error error = parse_card(taking, text);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_agency_load(taking->txn, &taking->card.agency, &taking->agency);
        if (error == ILEA_ERROR_NONE) error = take_known(taking);
        else if (error == ILEA_ERROR_NOT_FOUND) error = take_new(taking);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_agency_load(taking->txn, &taking->card.agency, &taking->agency);
    if (error == ILEA_ERROR_NONE) {
        answer->id = taking->agency.row.id;
        (void)snprintf(answer->code, sizeof answer->code, "%.*s", (int)taking->agency.manifest.code.size,
                       (const char *)taking->agency.manifest.code.data);
        (void)snprintf(answer->state, sizeof answer->state, "%s",
                       ilea_agency_state_name(taking->agency.row.state));
        ilea_agency_words(&taking->agency.row, answer->words);
    } else if (answer->reason[0] != '\0') { /* the admin's to mend */
        answer->error = error;
        error = ILEA_ERROR_NONE;
    }
    free(taking);
    return error;
}
