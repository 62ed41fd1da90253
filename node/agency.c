#include "node/agency.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Codes are what people read: two agencies with one code would be told apart by nobody. */
static enum ilea_error
check_code(struct ilea_transaction *txn, const struct ilea_agency_id *id, struct ilea_span code, char *reason)
{
    struct ilea_agency *other = malloc(sizeof *other);
    if (other == NULL) return ILEA_ERROR_NO_MEMORY;
    const struct ilea_agency_id *after = NULL;
    enum ilea_error error;
    while ((error = ilea_agency_next(txn, after, other)) == ILEA_ERROR_NONE) {
        after = &other->row.id;
        bool in_use = other->row.state == ILEA_AGENCY_SELF || other->row.state == ILEA_AGENCY_APPROVED
            || other->row.state == ILEA_AGENCY_SUSPENDED;
        struct ilea_span taken = other->manifest.code;
        if (in_use && memcmp(other->row.id.bytes, id->bytes, ILEA_ID_SIZE) != 0 && taken.size == code.size
            && memcmp(taken.data, code.data, code.size) == 0) {
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

static enum ilea_error
parse_card(const struct ilea_log_identity *identity, struct ilea_span text, uint8_t *bytes,
           struct ilea_card *card, char *reason)
{
    enum ilea_error error = ilea_card_parse(text, bytes, card);
    switch ((int)error) {
    case ILEA_ERROR_NONE: break;
    case ILEA_ERROR_NO_MEMORY: return error;
    case ILEA_ERROR_BAD_SIGNATURE:
        (void)snprintf(reason, ILEA_REASON_SIZE, "the card was altered: its signature does not match");
        return error;
    case ILEA_ERROR_UNKNOWN:
        (void)snprintf(reason, ILEA_REASON_SIZE, "the card is of a newer version: upgrade this node");
        return error;
    default:
        (void)snprintf(reason, ILEA_REASON_SIZE,
                       "not a whole, unaltered identity card: ask for the file again");
        return ILEA_ERROR_MALFORMED;
    }
    if (memcmp(card->manifest.network.bytes, identity->network.bytes, ILEA_ID_SIZE) != 0) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "the card belongs to another network");
        return ILEA_ERROR_INVALID;
    }
    if (memcmp(card->agency.bytes, identity->agency.bytes, ILEA_ID_SIZE) == 0) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "this is our own card");
        return ILEA_ERROR_INVALID;
    }
    return ILEA_ERROR_NONE;
}

/* The manifests of a card that are new here, behind those known. */
static enum ilea_error
store_chain(struct ilea_transaction *txn, const struct ilea_card *card, char *reason)
{
    struct ilea_msgpack_reader chain;
    ilea_msgpack_reader_init(&chain, card->chain);
    for (uint64_t index = 0; index < card->chain_count; index++) {
        struct ilea_span held, given = ilea_msgpack_get_bin(&chain, ILEA_MANIFEST_SIZE_MAX);
        enum ilea_error error = ilea_log_manifest(txn, &card->agency, index, &held);
        if (error == ILEA_ERROR_NOT_FOUND) {
            error = ilea_log_put_manifest(txn, &card->agency, index, given);
        } else if (error == ILEA_ERROR_NONE) {
            struct ilea_manifest one, other;
            if (ilea_manifest_decode(held, &one) != ILEA_ERROR_NONE) return ILEA_ERROR_CORRUPT;
            error = ilea_manifest_decode(given, &other);
            if (error == ILEA_ERROR_NONE && memcmp(one.hash, other.hash, sizeof one.hash) != 0) {
                (void)snprintf(reason, ILEA_REASON_SIZE, "the card's keys contradict those known of this agency");
                error = ILEA_ERROR_INVALID;
            }
        }
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
store_card(struct ilea_transaction *txn, const struct ilea_card *card, uint64_t now_ms, char *reason)
{
    enum ilea_error error = check_code(txn, &card->agency, card->manifest.code, reason);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_agency_row row;
    error = ilea_log_agency(txn, &card->agency, &row);
    if (error == ILEA_ERROR_NONE && row.made_ms > card->made_ms) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "a newer card of this agency is known already");
        return ILEA_ERROR_INVALID;
    }
    if (error == ILEA_ERROR_NOT_FOUND) {
        row = (struct ilea_agency_row){ .id = card->agency, .state = ILEA_AGENCY_PENDING,
                                        .changed_ms = now_ms };
        error = ILEA_ERROR_NONE;
    }
    if (error != ILEA_ERROR_NONE) return error;
    row.endpoint = card->endpoint;
    row.lobby = card->lobby;
    row.made_ms = card->made_ms;
    error = ilea_log_put_agency(txn, &row); /* first: what is left of it lies in the file */
    return error == ILEA_ERROR_NONE ? store_chain(txn, card, reason) : error;
}

enum ilea_error
ilea_agency_add(struct ilea_author *author, const struct ilea_log_identity *identity,
                struct ilea_span card_text, uint64_t now_ms, struct ilea_agency *agency, char *reason)
{
    uint8_t *bytes = malloc(ILEA_CARD_SIZE_MAX);
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_transaction *txn = ilea_author_transaction(author);
    struct ilea_card card;
    enum ilea_error error = parse_card(identity, card_text, bytes, &card, reason);
    if (error == ILEA_ERROR_NONE) error = store_card(txn, &card, now_ms, reason);
    if (error == ILEA_ERROR_NONE) error = ilea_agency_load(txn, &card.agency, agency);
    free(bytes);
    return error;
}

enum ilea_error
ilea_agency_approve(struct ilea_author *author, const char *name, uint64_t now_ms,
                    struct ilea_agency *agency, char *reason)
{
    struct ilea_transaction *txn = ilea_author_transaction(author);
    enum ilea_error error = ilea_agency_find(txn, name, agency);
    if (error == ILEA_ERROR_NOT_FOUND) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "no agency %.40s; add its card first: ilea peer add FILE",
                       name);
        return error;
    }
    if (error == ILEA_ERROR_EXISTS) {
        (void)snprintf(reason, ILEA_REASON_SIZE,
                       "several agencies are called %.40s; name it by its id (ilea peer list)", name);
        return ILEA_ERROR_INVALID;
    }
    if (error != ILEA_ERROR_NONE) return error;
    if (agency->row.state == ILEA_AGENCY_SELF) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "%.40s is this node itself", name);
        return ILEA_ERROR_INVALID;
    }
    if (agency->row.state == ILEA_AGENCY_APPROVED) return ILEA_ERROR_NONE;
    error = check_code(txn, &agency->row.id, agency->manifest.code, reason);
    if (error != ILEA_ERROR_NONE) return error;
    agency->row.state = ILEA_AGENCY_APPROVED;
    agency->row.changed_ms = now_ms;
    error = ilea_log_put_agency(txn, &agency->row);
    return error == ILEA_ERROR_NONE ? ilea_author_readers_changed(author) : error;
}

enum ilea_error
ilea_agency_control(struct ilea_author *author, const struct ilea_log_identity *identity,
                    enum ilea_control_kind kind, struct ilea_span argument, uint64_t now_ms,
                    struct ilea_control_agency *answer)
{
    struct ilea_agency *agency = malloc(sizeof *agency);
    if (agency == NULL) return ILEA_ERROR_NO_MEMORY;
    *answer = (struct ilea_control_agency){ .error = ILEA_ERROR_NONE };
    enum ilea_error error;
    if (kind == ILEA_CONTROL_CARD) {
        error = ilea_agency_add(author, identity, argument, now_ms, agency, answer->reason);
    } else {
        char name[2 * ILEA_ID_SIZE + 1] = "";
        if (argument.size < sizeof name) memcpy(name, argument.data, argument.size);
        error = ilea_agency_approve(author, name, now_ms, agency, answer->reason);
    }
    if (error == ILEA_ERROR_NONE) {
        answer->id = agency->row.id;
        (void)snprintf(answer->code, sizeof answer->code, "%.*s", (int)agency->manifest.code.size,
                       (const char *)agency->manifest.code.data);
        (void)snprintf(answer->state, sizeof answer->state, "%s",
                       ilea_agency_state_name(agency->row.state));
    } else if (answer->reason[0] != '\0') { /* the admin's to mend */
        answer->error = error;
        error = ILEA_ERROR_NONE;
    }
    free(agency);
    return error;
}
