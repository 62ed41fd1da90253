#include "node/erasures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/agency.h"
#include "node/where.h"
#include "replication/reader/snapshot.h"
#include "replication/record/schema.h"
#include "replication/record/uuid.h"

bool
ilea_erasure_is_narrowing(const struct ilea_gone_row *gone)
{
    static const struct ilea_audience_id none;
    return memcmp(gone->audience.bytes, none.bytes, sizeof none.bytes) != 0;
}

/* The control feed with the statement that all have to see; NOT_FOUND: it was cut off, and is stated again at the next
 * start. */
static enum ilea_error
add_agency(struct ilea_transaction *log, const struct ilea_log_identity *identity, const struct ilea_agency *agency,
           const struct ilea_feed_row *feed, struct ilea_erasure *erasure)
{
    const struct ilea_agency_row *row = &agency->row;
    struct ilea_receipt_row receipt;
    enum ilea_error error = ilea_log_receipt(log, &identity->agency, &row->id, &receipt);
    bool has_receipt = error == ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    bool counts = row->state != ILEA_AGENCY_SELF && (row->state == ILEA_AGENCY_APPROVED || has_receipt);
    if (error != ILEA_ERROR_NONE || !counts) return error;
    struct ilea_erasure_agency *agencies =
        realloc(erasure->agencies, (erasure->count + 1) * sizeof *erasure->agencies);
    if (agencies == NULL) return ILEA_ERROR_NO_MEMORY;
    erasure->agencies = agencies;
    struct ilea_erasure_agency *entry = &erasure->agencies[erasure->count++];
    *entry = (struct ilea_erasure_agency){ .id = row->id };
    (void)snprintf(entry->code, sizeof entry->code, "%.*s", (int)agency->manifest.code.size,
                   (const char *)agency->manifest.code.data);
    if (!has_receipt) return ILEA_ERROR_NONE;
    entry->heard_ms = receipt.arrived_ms;
    error = ilea_where_is_seen(log, identity, receipt.body, feed, erasure->gone.seq, &entry->confirmed);
    if (entry->confirmed) erasure->confirmed++;
    return error;
}

static enum ilea_error
name_record(struct ilea_transaction *log, const struct ilea_log_identity *identity, struct ilea_agency *own,
            struct ilea_erasure *erasure)
{
    const struct ilea_type *type = ilea_type_by_number(erasure->gone.type);
    enum ilea_error error = ilea_agency_load(log, &identity->agency, own);
    if (error == ILEA_ERROR_NONE && type != NULL && erasure->gone.ref != 0) {
        ilea_ref_format(own->manifest.code, type->letter, erasure->gone.ref, 0, erasure->ref);
    }
    return error;
}

enum ilea_error
ilea_erasure_make(struct ilea_transaction *log, const struct ilea_log_identity *identity,
                  const struct ilea_gone_row *gone, struct ilea_erasure *erasure)
{
    struct ilea_feed_row feed = { .number = 0 };
    struct ilea_agency_id after;
    *erasure = (struct ilea_erasure){ .gone = *gone };
    struct ilea_agency *agency = malloc(sizeof *agency);
    if (agency == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = name_record(log, identity, agency, erasure);
    bool is_stated = gone->feed != 0;
    if (error == ILEA_ERROR_NONE && is_stated) error = ilea_log_feed(log, gone->feed, &feed);
    for (bool first = true; error == ILEA_ERROR_NONE && is_stated; first = false) {
        error = ilea_agency_next(log, first ? NULL : &after, agency);
        if (error == ILEA_ERROR_NONE) error = add_agency(log, identity, agency, &feed, erasure);
        if (error == ILEA_ERROR_NONE) after = agency->row.id;
    }
    free(agency);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

void
ilea_erasure_free(struct ilea_erasure *erasure)
{
    free(erasure->agencies);
    erasure->agencies = NULL;
}

/* Whether a ref names records of ours. */
static enum ilea_error
is_own_code(struct ilea_transaction *log, const struct ilea_log_identity *identity, struct ilea_span code, bool *is_own)
{
    struct ilea_agency *own = malloc(sizeof *own);
    enum ilea_error error = own != NULL ? ilea_agency_load(log, &identity->agency, own) : ILEA_ERROR_NO_MEMORY;
    *is_own = error == ILEA_ERROR_NONE && own->manifest.code.size == code.size
        && memcmp(own->manifest.code.data, code.data, code.size) == 0;
    free(own);
    return error;
}

enum ilea_error
ilea_erasure_find(struct ilea_transaction *log, const struct ilea_log_identity *identity, const char *name,
                  struct ilea_gone_row *gone)
{
    const struct ilea_span text = { (const uint8_t *)name, strlen(name) };
    struct ilea_record_id id;
    struct ilea_span code;
    char letter = 0;
    uint32_t number = 0, index = 0;
    bool is_id = ilea_uuid_parse(text, &id), is_own = is_id;
    if (!is_id && !ilea_ref_parse(name, &code, &letter, &number, &index)) return ILEA_ERROR_NOT_FOUND;
    const struct ilea_type *type = is_id ? NULL : ilea_type_by_letter(letter);
    enum ilea_error error = is_id ? ILEA_ERROR_NONE : is_own_code(log, identity, code, &is_own);
    if (error == ILEA_ERROR_NONE && !is_own) error = ILEA_ERROR_NOT_FOUND;
    if (error == ILEA_ERROR_NONE) error = ilea_log_gone_next(log, NULL, gone);
    for (; error == ILEA_ERROR_NONE; error = ilea_log_gone_next(log, gone, gone)) {
        if (ilea_erasure_is_narrowing(gone)) continue;
        if (is_id && memcmp(gone->record.bytes, id.bytes, sizeof id.bytes) == 0) return ILEA_ERROR_NONE;
        if (!is_id && type != NULL && gone->type == type->number && gone->ref == number) return ILEA_ERROR_NONE;
    }
    return error;
}
