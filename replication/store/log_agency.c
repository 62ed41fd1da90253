/* log_agency.c - the agencies that are known: what their cards say, what we decided, and their manifests. */
#include <string.h>

#include "crypto/assert.h"
#include "replication/store/log_rows.h"

enum { AGENCY_FIELDS = 17, AGENCY_ROW_MAX = 6 * (ILEA_AGENCY_TEXT_MAX + 3) + 128, MANIFEST_KEY = ILEA_ID_SIZE + 8 };

const char *
ilea_agency_state_name(enum ilea_agency_state state)
{
    switch (state) {
    case ILEA_AGENCY_SELF: return "self";
    case ILEA_AGENCY_PENDING: return "pending";
    case ILEA_AGENCY_APPROVED: return "approved";
    case ILEA_AGENCY_SUSPENDED: return "suspended";
    case ILEA_AGENCY_REVOKED: return "revoked";
    case ILEA_AGENCY_DECLINED: return "declined";
    }
    return "unknown";
}

bool
ilea_agency_counts(const struct ilea_agency_row *agency)
{
    switch (agency->state) {
    case ILEA_AGENCY_SELF:
    case ILEA_AGENCY_SUSPENDED: return true;
    case ILEA_AGENCY_APPROVED: return (agency->grant.scopes & ILEA_GRANT_FOLLOW) != 0;
    case ILEA_AGENCY_PENDING:
    case ILEA_AGENCY_REVOKED:
    case ILEA_AGENCY_DECLINED: break;
    }
    return false;
}

static enum ilea_error
decode_agency(struct ilea_span key, struct ilea_span value, struct ilea_agency_row *agency)
{
    if (key.size != sizeof agency->id.bytes) return ILEA_ERROR_CORRUPT;
    memcpy(agency->id.bytes, key.data, key.size);
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, AGENCY_FIELDS);
    agency->number = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    agency->state = (enum ilea_agency_state)ilea_msgpack_get_uint32(&reader, ILEA_AGENCY_DECLINED);
    agency->changed_ms = ilea_msgpack_get_uint(&reader);
    agency->endpoint = ilea_msgpack_get_bin(&reader, ILEA_AGENCY_TEXT_MAX);
    agency->lobby = ilea_msgpack_get_bin(&reader, ILEA_AGENCY_TEXT_MAX);
    agency->made_ms = ilea_msgpack_get_uint(&reader);
    agency->grant.scopes = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    agency->grant.tlp_max = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    agency->grant.areas = ilea_msgpack_get_bin(&reader, ILEA_AGENCY_TEXT_MAX);
    agency->grant.expires_ms = ilea_msgpack_get_uint(&reader);
    agency->verified = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    agency->decided = ilea_msgpack_get_uint(&reader);
    agency->reason = ilea_msgpack_get_bin(&reader, ILEA_AGENCY_TEXT_MAX);
    agency->origin = (enum ilea_agency_origin)ilea_msgpack_get_uint32(&reader, ILEA_FROM_INVITE);
    agency->asked_ms = ilea_msgpack_get_uint(&reader);
    agency->note = ilea_msgpack_get_bin(&reader, ILEA_AGENCY_TEXT_MAX);
    agency->address = ilea_msgpack_get_bin(&reader, ILEA_AGENCY_TEXT_MAX);
    return log_decoded(&reader);
}

enum ilea_error
ilea_log_agency(struct ilea_transaction *txn, const struct ilea_agency_id *id,
                struct ilea_agency_row *agency)
{
    const struct ilea_span key = { id->bytes, sizeof id->bytes };
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, LOG_AGENCIES, key, &value);
    return error == ILEA_ERROR_NONE ? decode_agency(key, value, agency) : error;
}

enum ilea_error
ilea_log_agency_next(struct ilea_transaction *txn, const struct ilea_agency_id *after,
                     struct ilea_agency_row *agency)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_AGENCIES, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, stored, value;
    struct ilea_span from = { after != NULL ? after->bytes : NULL, after != NULL ? ILEA_ID_SIZE : 0 };
    error = ilea_cursor_seek(cursor, from, &key, &stored);
    if (error == ILEA_ERROR_NONE && after != NULL && key.size == ILEA_ID_SIZE
        && memcmp(key.data, after->bytes, key.size) == 0) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_AGENCIES, key, stored, &value);
    if (error == ILEA_ERROR_NONE) error = decode_agency(key, value, agency);
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_log_put_agency(struct ilea_transaction *txn, struct ilea_agency_row *agency)
{
    const struct ilea_span texts[] = { agency->endpoint, agency->lobby, agency->grant.areas,
                                       agency->reason, agency->note, agency->address };
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].size > ILEA_AGENCY_TEXT_MAX) return ILEA_ERROR_LIMIT;
    }
    uint64_t last = 0;
    enum ilea_error error = ILEA_ERROR_NONE;
    uint8_t bytes[AGENCY_ROW_MAX];
    if (agency->number == 0) error = ilea_log_meta_u64(txn, "agencies", &last);
    if (last >= UINT32_MAX) error = ILEA_ERROR_FULL;
    if (error != ILEA_ERROR_NONE) return error;
    const bool is_new = agency->number == 0;
    struct ilea_agency_row before = { .state = ILEA_AGENCY_PENDING };
    error = ilea_log_agency(txn, &agency->id, &before);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) return error;
    const bool counts_changed = ilea_agency_counts(agency) != ilea_agency_counts(&before);
    if (is_new) agency->number = (uint32_t)last + 1;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, AGENCY_FIELDS);
    ilea_msgpack_put_uint(&writer, agency->number);
    ilea_msgpack_put_uint(&writer, agency->state);
    ilea_msgpack_put_uint(&writer, agency->changed_ms);
    ilea_msgpack_put_bin(&writer, agency->endpoint.data, agency->endpoint.size);
    ilea_msgpack_put_bin(&writer, agency->lobby.data, agency->lobby.size);
    ilea_msgpack_put_uint(&writer, agency->made_ms);
    ilea_msgpack_put_uint(&writer, agency->grant.scopes);
    ilea_msgpack_put_uint(&writer, agency->grant.tlp_max);
    ilea_msgpack_put_bin(&writer, agency->grant.areas.data, agency->grant.areas.size);
    ilea_msgpack_put_uint(&writer, agency->grant.expires_ms);
    ilea_msgpack_put_uint(&writer, agency->verified);
    ilea_msgpack_put_uint(&writer, agency->decided);
    ilea_msgpack_put_bin(&writer, agency->reason.data, agency->reason.size);
    ilea_msgpack_put_uint(&writer, agency->origin);
    ilea_msgpack_put_uint(&writer, agency->asked_ms);
    ilea_msgpack_put_bin(&writer, agency->note.data, agency->note.size);
    ilea_msgpack_put_bin(&writer, agency->address.data, agency->address.size);
    ilea_assert(!writer.failed);
    /* Its texts may lie in the file, so they are encoded before the first put. */
    error = is_new ? ilea_log_put_meta_u64(txn, "agencies", last + 1) : ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && counts_changed) error = ilea_log_controls_changed(txn);
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_put(txn, LOG_AGENCIES, (struct ilea_span){ agency->id.bytes, sizeof agency->id.bytes },
                    ilea_msgpack_written(&writer));
}

enum ilea_error
ilea_log_manifest(struct ilea_transaction *txn, const struct ilea_agency_id *agency, uint64_t index,
                  struct ilea_span *signed_bytes)
{
    uint8_t key[MANIFEST_KEY];
    return ilea_get(txn, LOG_MANIFESTS, log_key_id_u64(key, agency->bytes, index), signed_bytes);
}

enum ilea_error
ilea_log_manifest_last(struct ilea_transaction *txn, const struct ilea_agency_id *agency, uint64_t *index,
                       struct ilea_span *signed_bytes)
{
    uint8_t beyond[MANIFEST_KEY];
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_MANIFESTS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, stored;
    error = ilea_cursor_below(cursor, log_key_id_u64(beyond, agency->bytes, UINT64_MAX), &key, &stored);
    if (error == ILEA_ERROR_NONE
        && (key.size != MANIFEST_KEY || memcmp(key.data, agency->bytes, ILEA_ID_SIZE) != 0)) {
        error = ILEA_ERROR_NOT_FOUND;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_MANIFESTS, key, stored, signed_bytes);
    if (error == ILEA_ERROR_NONE) *index = ilea_key_u64(key.data + ILEA_ID_SIZE);
    ilea_cursor_close(cursor);
    return error;
}

/* Delete an agency's manifests from the last one down to index `from`. */
static enum ilea_error
drop_manifests(struct ilea_transaction *txn, const struct ilea_agency_id *agency, uint64_t from)
{
    for (;;) {
        uint64_t last = 0;
        uint8_t key[MANIFEST_KEY];
        struct ilea_span bytes;
        enum ilea_error error = ilea_log_manifest_last(txn, agency, &last, &bytes);
        if (error == ILEA_ERROR_NOT_FOUND || (error == ILEA_ERROR_NONE && last < from)) {
            return ILEA_ERROR_NONE;
        }
        if (error == ILEA_ERROR_NONE) {
            error = ilea_delete(txn, LOG_MANIFESTS, log_key_id_u64(key, agency->bytes, last));
        }
        if (error != ILEA_ERROR_NONE) return error;
    }
}

enum ilea_error
ilea_log_put_manifest(struct ilea_transaction *txn, const struct ilea_agency_id *agency, uint64_t index,
                      struct ilea_span signed_bytes)
{
    uint8_t key[MANIFEST_KEY];
    if (index >= UINT64_MAX - 1 || signed_bytes.size > ILEA_MANIFEST_SIZE_MAX) return ILEA_ERROR_LIMIT;
    enum ilea_error error =
        ilea_put(txn, LOG_MANIFESTS, log_key_id_u64(key, agency->bytes, index), signed_bytes);
    return error == ILEA_ERROR_NONE ? drop_manifests(txn, agency, index + 1) : error;
}

enum ilea_error
ilea_log_delete_agency(struct ilea_transaction *txn, const struct ilea_agency_id *id)
{
    enum ilea_error error = drop_manifests(txn, id, 0);
    if (error != ILEA_ERROR_NONE) return error;
    return ilea_delete(txn, LOG_AGENCIES, (struct ilea_span){ id->bytes, sizeof id->bytes });
}
