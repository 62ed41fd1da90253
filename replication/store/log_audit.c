/* log_audit.c - the audit feed, decisions that wait for signatures, and invitations. */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/act.h"
#include "replication/store/log_rows.h"

enum { PROPOSAL_FIELDS = 7, PROPOSAL_MAX = ILEA_ACT_SIZE_MAX + ILEA_PAYLOAD_SIZE_MAX + 16 * 1024,
       INVITE_FIELDS = 4 };

enum ilea_error
ilea_log_audit(struct ilea_transaction *txn, uint64_t seq, struct ilea_span *entry)
{
    uint8_t key[8];
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, LOG_AUDIT, log_key_u64(key, seq), &value);
    if (error != ILEA_ERROR_NONE) return error;
    if (value.size < ILEA_HASH_SIZE) return ILEA_ERROR_CORRUPT;
    *entry = (struct ilea_span){ value.data + ILEA_HASH_SIZE, value.size - ILEA_HASH_SIZE };
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_log_audit_last(struct ilea_transaction *txn, uint64_t *seq, uint8_t hash[ILEA_HASH_SIZE])
{
    *seq = 0;
    memset(hash, 0, ILEA_HASH_SIZE);
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_AUDIT, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, stored, value;
    error = ilea_cursor_last(cursor, &key, &stored);
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_AUDIT, key, stored, &value);
    if (error == ILEA_ERROR_NONE && (key.size != 8 || value.size < ILEA_HASH_SIZE)) {
        error = ILEA_ERROR_CORRUPT;
    }
    if (error == ILEA_ERROR_NONE) {
        *seq = ilea_key_u64(key.data);
        memcpy(hash, value.data, ILEA_HASH_SIZE);
    }
    ilea_cursor_close(cursor);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

enum ilea_error
ilea_log_audit_has_act(struct ilea_transaction *txn, const uint8_t act_hash[ILEA_HASH_SIZE])
{
    struct ilea_span value;
    return ilea_get(txn, LOG_AUDIT_ACTS, (struct ilea_span){ act_hash, ILEA_HASH_SIZE }, &value);
}

enum ilea_error
ilea_log_put_audit(struct ilea_transaction *txn, uint64_t seq, const uint8_t hash[ILEA_HASH_SIZE],
                   struct ilea_span bytes)
{
    struct ilea_audit_entry *entry = malloc(sizeof *entry);
    uint8_t *value = malloc(ILEA_HASH_SIZE + ILEA_ENTRY_SIZE_MAX);
    uint64_t last = 0;
    uint8_t last_hash[ILEA_HASH_SIZE], key[8], place[8];
    enum ilea_error error =
        entry != NULL && value != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE && ilea_entry_decode(bytes, entry) != ILEA_ERROR_NONE) {
        error = ILEA_ERROR_MALFORMED;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_log_audit_last(txn, &last, last_hash);
    if (error == ILEA_ERROR_NONE && seq <= last) error = ILEA_ERROR_EXISTS;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_log_audit_has_act(txn, entry->act.hash);
        if (error == ILEA_ERROR_NONE) {
            error = ILEA_ERROR_EXISTS;
        } else if (error == ILEA_ERROR_NOT_FOUND) {
            error = ILEA_ERROR_NONE;
        }
    }
    if (error == ILEA_ERROR_NONE) {
        memcpy(value, hash, ILEA_HASH_SIZE);
        memcpy(value + ILEA_HASH_SIZE, bytes.data, bytes.size);
        error = ilea_put(txn, LOG_AUDIT, log_key_u64(key, seq),
                         (struct ilea_span){ value, ILEA_HASH_SIZE + bytes.size });
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_put(txn, LOG_AUDIT_ACTS, (struct ilea_span){ entry->act.hash, ILEA_HASH_SIZE },
                         log_key_u64(place, seq));
    }
    free(entry);
    free(value);
    return error;
}

static enum ilea_error
decode_proposal(uint32_t number, struct ilea_span value, struct ilea_proposal_row *proposal)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, PROPOSAL_FIELDS);
    proposal->number = number;
    proposal->made_ms = ilea_msgpack_get_uint(&reader);
    proposal->act = ilea_msgpack_get_bin(&reader, ILEA_ACT_SIZE_MAX);
    proposal->payload = ilea_msgpack_get_bin(&reader, ILEA_PAYLOAD_SIZE_MAX);
    proposal->sigs = ilea_msgpack_get_bin(&reader, ILEA_ACT_SIGS_MAX * ILEA_PROPOSAL_SIG_SIZE);
    proposal->sig_count = (uint32_t)(proposal->sigs.size / ILEA_PROPOSAL_SIG_SIZE);
    proposal->returned_ms = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, proposal->returned_by, sizeof proposal->returned_by);
    proposal->reason = ilea_msgpack_get_str(&reader, ILEA_ACT_VALUE_MAX);
    return log_decoded(&reader);
}

enum ilea_error
ilea_log_proposal(struct ilea_transaction *txn, uint32_t number, struct ilea_proposal_row *proposal)
{
    uint8_t key[4];
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, LOG_PROPOSALS, log_key_u32(key, number), &value);
    return error == ILEA_ERROR_NONE ? decode_proposal(number, value, proposal) : error;
}

enum ilea_error
ilea_log_proposal_next(struct ilea_transaction *txn, uint32_t after, struct ilea_proposal_row *proposal)
{
    if (after == UINT32_MAX) return ILEA_ERROR_NOT_FOUND;
    uint8_t from[4];
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_PROPOSALS, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, stored, value;
    error = ilea_cursor_seek(cursor, log_key_u32(from, after + 1), &key, &stored);
    if (error == ILEA_ERROR_NONE && key.size != 4) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_PROPOSALS, key, stored, &value);
    if (error == ILEA_ERROR_NONE) error = decode_proposal(ilea_key_u32(key.data), value, proposal);
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_log_put_proposal(struct ilea_transaction *txn, struct ilea_proposal_row *proposal)
{
    if (proposal->act.size > ILEA_ACT_SIZE_MAX || proposal->payload.size > ILEA_PAYLOAD_SIZE_MAX
        || proposal->sig_count > ILEA_ACT_SIGS_MAX || proposal->reason.size > ILEA_ACT_VALUE_MAX) {
        return ILEA_ERROR_LIMIT;
    }
    ilea_assert(proposal->sigs.size == (size_t)proposal->sig_count * ILEA_PROPOSAL_SIG_SIZE);
    uint8_t *bytes = malloc(PROPOSAL_MAX), key[4];
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, PROPOSAL_MAX);
    ilea_msgpack_put_array(&writer, PROPOSAL_FIELDS);
    ilea_msgpack_put_uint(&writer, proposal->made_ms);
    ilea_msgpack_put_bin(&writer, proposal->act.data, proposal->act.size);
    ilea_msgpack_put_bin(&writer, proposal->payload.data, proposal->payload.size);
    ilea_msgpack_put_bin(&writer, proposal->sigs.data, proposal->sigs.size);
    ilea_msgpack_put_uint(&writer, proposal->returned_ms);
    ilea_msgpack_put_bin(&writer, proposal->returned_by, sizeof proposal->returned_by);
    ilea_msgpack_put_str(&writer, proposal->reason);
    ilea_assert(!writer.failed);
    uint64_t last = 0;
    enum ilea_error error = ILEA_ERROR_NONE;
    uint32_t number = proposal->number;
    if (number == 0) {
        /* Never one that was given before: people say "number 3" to each other. */
        error = ilea_log_meta_u64(txn, "proposals", &last);
        if (error == ILEA_ERROR_NONE && last >= UINT32_MAX - 1) error = ILEA_ERROR_FULL;
        if (error == ILEA_ERROR_NONE) error = ilea_log_put_meta_u64(txn, "proposals", last + 1);
        number = (uint32_t)last + 1;
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_put(txn, LOG_PROPOSALS, log_key_u32(key, number), ilea_msgpack_written(&writer));
    }
    if (error == ILEA_ERROR_NONE) proposal->number = number;
    free(bytes);
    return error;
}

enum ilea_error
ilea_log_delete_proposal(struct ilea_transaction *txn, uint32_t number)
{
    uint8_t key[4];
    return ilea_delete(txn, LOG_PROPOSALS, log_key_u32(key, number));
}

static enum ilea_error
decode_invite(struct ilea_span key, struct ilea_span value, struct ilea_invite_row *invite)
{
    if (key.size != sizeof invite->id) return ILEA_ERROR_CORRUPT;
    memcpy(invite->id, key.data, sizeof invite->id);
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, INVITE_FIELDS);
    ilea_msgpack_get_bytes(&reader, invite->key, sizeof invite->key);
    invite->made_ms = ilea_msgpack_get_uint(&reader);
    invite->expires_ms = ilea_msgpack_get_uint(&reader);
    invite->used = ilea_msgpack_get_uint32(&reader, 1) == 1;
    return log_decoded(&reader);
}

enum ilea_error
ilea_log_invite(struct ilea_transaction *txn, const uint8_t id[ILEA_INVITE_ID_SIZE],
                struct ilea_invite_row *invite)
{
    const struct ilea_span key = { id, ILEA_INVITE_ID_SIZE };
    struct ilea_span value;
    enum ilea_error error = ilea_get(txn, LOG_INVITES, key, &value);
    return error == ILEA_ERROR_NONE ? decode_invite(key, value, invite) : error;
}

enum ilea_error
ilea_log_invite_next(struct ilea_transaction *txn, const uint8_t *after, struct ilea_invite_row *invite)
{
    struct ilea_cursor *cursor = NULL;
    enum ilea_error error = ilea_cursor_open(txn, LOG_INVITES, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_span key, stored, value;
    struct ilea_span from = { after, after != NULL ? ILEA_INVITE_ID_SIZE : 0 };
    error = ilea_cursor_seek(cursor, from, &key, &stored);
    if (error == ILEA_ERROR_NONE && after != NULL && key.size == from.size
        && memcmp(key.data, after, from.size) == 0) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_INVITES, key, stored, &value);
    if (error == ILEA_ERROR_NONE) error = decode_invite(key, value, invite);
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_log_put_invite(struct ilea_transaction *txn, const struct ilea_invite_row *invite)
{
    uint8_t bytes[96];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, INVITE_FIELDS);
    ilea_msgpack_put_bin(&writer, invite->key, sizeof invite->key);
    ilea_msgpack_put_uint(&writer, invite->made_ms);
    ilea_msgpack_put_uint(&writer, invite->expires_ms);
    ilea_msgpack_put_uint(&writer, invite->used ? 1 : 0);
    ilea_assert(!writer.failed);
    return ilea_put(txn, LOG_INVITES, (struct ilea_span){ invite->id, sizeof invite->id },
                    ilea_msgpack_written(&writer));
}

enum ilea_error
ilea_log_delete_invite(struct ilea_transaction *txn, const uint8_t id[ILEA_INVITE_ID_SIZE])
{
    return ilea_delete(txn, LOG_INVITES, (struct ilea_span){ id, ILEA_INVITE_ID_SIZE });
}
