#include "node/agency.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum ilea_error
decode(struct ilea_agency *agency)
{
    if (agency->row.card.size > sizeof agency->bytes) return ILEA_ERROR_CORRUPT;
    memcpy(agency->bytes, agency->row.card.data, agency->row.card.size);
    agency->row.card.data = agency->bytes;
    return ilea_card_decode(agency->row.card, &agency->card) == ILEA_ERROR_NONE ? ILEA_ERROR_NONE
                                                                                : ILEA_ERROR_CORRUPT;
}

enum ilea_error
ilea_agency_load(struct ilea_transaction *txn, const struct ilea_agency_id *id,
                 struct ilea_agency *agency)
{
    enum ilea_error error = ilea_log_agency(txn, id, &agency->row);
    return error == ILEA_ERROR_NONE ? decode(agency) : error;
}

enum ilea_error
ilea_agency_next(struct ilea_transaction *txn, const struct ilea_agency_id *after,
                 struct ilea_agency *agency)
{
    struct ilea_agency_id from;
    if (after != NULL) from = *after; /* `after` may lie in *agency */
    enum ilea_error error = ilea_log_agency_next(txn, after != NULL ? &from : NULL, &agency->row);
    return error == ILEA_ERROR_NONE ? decode(agency) : error;
}

static bool
is_named(const struct ilea_agency *agency, const char *name)
{
    size_t size = strlen(name);
    struct ilea_span code = agency->card.manifest.code;
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
check_code(struct ilea_transaction *txn, const struct ilea_agency *agency, char *reason)
{
    struct ilea_agency *other = malloc(sizeof *other);
    if (other == NULL) return ILEA_ERROR_NO_MEMORY;
    const struct ilea_agency_id *after = NULL;
    enum ilea_error error;
    struct ilea_span code = agency->card.manifest.code;
    while ((error = ilea_agency_next(txn, after, other)) == ILEA_ERROR_NONE) {
        after = &other->row.id;
        bool in_use = other->row.state == ILEA_AGENCY_SELF || other->row.state == ILEA_AGENCY_APPROVED
            || other->row.state == ILEA_AGENCY_SUSPENDED;
        struct ilea_span taken = other->card.manifest.code;
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

static enum ilea_error
parse_card(const struct ilea_log_identity *identity, struct ilea_span text,
           struct ilea_agency *agency, char *reason)
{
    enum ilea_error error = ilea_card_parse(text, agency->bytes, &agency->card);
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
    if (memcmp(agency->card.manifest.network.bytes, identity->network.bytes, ILEA_ID_SIZE) != 0) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "the card belongs to another network");
        return ILEA_ERROR_INVALID;
    }
    if (memcmp(agency->card.agency.bytes, identity->agency.bytes, ILEA_ID_SIZE) == 0) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "this is our own card");
        return ILEA_ERROR_INVALID;
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_agency_add(struct ilea_author *author, const struct ilea_log_identity *identity,
                struct ilea_span card_text, uint64_t now_ms, struct ilea_agency *agency, char *reason)
{
    enum ilea_error error = parse_card(identity, card_text, agency, reason);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_transaction *txn = ilea_author_transaction(author);
    agency->row.id = agency->card.agency;
    error = check_code(txn, agency, reason);
    if (error != ILEA_ERROR_NONE) return error;
    /* The card's bytes end where its last field ends. */
    struct ilea_span bytes = { agency->bytes, agency->card.size };
    struct ilea_agency_row known;
    error = ilea_log_agency(txn, &agency->card.agency, &known);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_card older;
        if (ilea_card_decode(known.card, &older) != ILEA_ERROR_NONE) return ILEA_ERROR_CORRUPT;
        agency->row = known;
        if (older.made_ms > agency->card.made_ms) {
            (void)snprintf(reason, ILEA_REASON_SIZE, "a newer card of this agency is known already");
            return ILEA_ERROR_INVALID;
        }
    } else if (error == ILEA_ERROR_NOT_FOUND) {
        agency->row = (struct ilea_agency_row){ .id = agency->card.agency,
                                                .state = ILEA_AGENCY_PENDING, .changed_ms = now_ms };
    } else {
        return error;
    }
    agency->row.card = bytes;
    return ilea_log_put_agency(txn, &agency->row);
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
    error = check_code(txn, agency, reason);
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
        (void)snprintf(answer->code, sizeof answer->code, "%.*s", (int)agency->card.manifest.code.size,
                       (const char *)agency->card.manifest.code.data);
        (void)snprintf(answer->state, sizeof answer->state, "%s",
                       ilea_agency_state_name(agency->row.state));
    } else if (answer->reason[0] != '\0') { /* the admin's to mend */
        answer->error = error;
        error = ILEA_ERROR_NONE;
    }
    free(agency);
    return error;
}
