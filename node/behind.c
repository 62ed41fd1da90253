#include "node/behind.h"

#include <stdlib.h>
#include <string.h>

#include "replication/record/manifest.h"

/* A receipt of before a key was revoked may name feeds that are void since. */
static enum ilea_error
check_signer(struct ilea_transaction *log, const struct ilea_log_identity *identity, const struct ilea_receipt_row *row,
             bool *is_newest)
{
    struct ilea_receipt receipt;
    struct ilea_span bytes;
    uint64_t index;
    *is_newest = false;
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    enum ilea_error error = manifest != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_log_manifest_last(log, &row->holder, &index, &bytes);
    if (error == ILEA_ERROR_NONE
        && (ilea_manifest_decode(bytes, manifest) != ILEA_ERROR_NONE
            || ilea_receipt_decode(row->bytes, &receipt) != ILEA_ERROR_NONE)) {
        error = ILEA_ERROR_CORRUPT;
    }
    if (error == ILEA_ERROR_NONE) *is_newest = ilea_receipt_verify(&receipt, &identity->network, &manifest->node);
    free(manifest);
    return error;
}

static enum ilea_error
compare(struct ilea_transaction *log, const struct ilea_agency_id *agency, const struct ilea_receipt_own *told,
        struct ilea_behind *behind)
{
    struct ilea_feed_row feed = { .seq = 0, .limit_seq = ILEA_SEQ_NONE };
    enum ilea_error error = ilea_log_feed_by_id(log, &told->feed, &feed);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) return error;
    bool is_held = error == ILEA_ERROR_NONE;
    if (is_held && memcmp(feed.origin.agency.bytes, agency->bytes, ILEA_ID_SIZE) != 0) return ILEA_ERROR_NONE;
    uint64_t seq = told->seq < feed.limit_seq ? told->seq : feed.limit_seq;
    if (seq > UINT64_MAX - behind->told) return ILEA_ERROR_NONE;
    behind->told += seq;
    behind->held += feed.seq < seq ? feed.seq : seq;
    if (feed.seq >= seq) return ILEA_ERROR_NONE;
    struct ilea_receipt_own *lacked = &behind->feeds[behind->count++];
    *lacked = *told;
    lacked->seq = seq;
    if (is_held) { /* its opening says it */
        lacked->is_closed = feed.origin.scope == ILEA_SCOPE_AUDIENCE;
        lacked->audience = feed.origin.audience;
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_behind_find(struct ilea_transaction *log, const struct ilea_log_identity *identity,
                 const struct ilea_agency_id *agency, struct ilea_behind *behind)
{
    struct ilea_receipt_row row;
    struct ilea_receipt_body body;
    bool is_newest;
    behind->told = behind->held = 0;
    behind->count = 0;
    enum ilea_error error = ilea_log_receipt(log, &identity->agency, agency, &row);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && ilea_receipt_body_decode(row.body, &body) != ILEA_ERROR_NONE) {
        error = ILEA_ERROR_CORRUPT;
    }
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < body.own_count; i++) {
        struct ilea_receipt_own told;
        ilea_receipt_own_next(&body.own, &told);
        error = compare(log, agency, &told, behind);
    }
    if (error == ILEA_ERROR_NONE && behind->count > 0) {
        error = check_signer(log, identity, &row, &is_newest);
        if (error == ILEA_ERROR_NONE && !is_newest) {
            behind->told = behind->held;
            behind->count = 0;
        }
    }
    return error;
}
