/*
 * trust_release.c - four eyes: what one admin asks to be sent to others and another one approves. The request is an
 * act that waits for its second signature as other proposals do, with the release (record/release.h) as its payload;
 * its second signature sends exactly that, in the transaction that enters it in the audit feed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/own_keys.h"
#include "node/trust_state.h"
#include "replication/record/uuid.h"

_Static_assert((int)ILEA_RELEASE_SIZE_MAX <= (int)ILEA_PAYLOAD_SIZE_MAX, "any release can wait");

/* What an item writes: `put` borrows it. */
static enum ilea_error
put_of(const struct ilea_release *release, const struct ilea_release_item *item, struct ilea_put *put)
{
    if (item->put.size > 0) {
        enum ilea_error error = ilea_put_decode(item->put, put);
        if (error != ILEA_ERROR_NONE) return error;
        bool fits = put->mode == ILEA_PUT_UPDATE && put->scope == 0 && put->type == item->type
            && memcmp(put->id.bytes, item->record.bytes, sizeof put->id.bytes) == 0;
        if (!fits) return ILEA_ERROR_MALFORMED;
    } else {
        put->mode = ILEA_PUT_NARROW; /* it was approved for those who get it then, and nobody else */
        put->type = item->type;
        put->has_id = true;
        put->id = item->record;
        put->entry_count = 0;
    }
    put->scope = release->scope;
    put->audience = release->audience;
    return ILEA_ERROR_NONE;
}

/* How people call the record: its ref, else its id. */
static void
name_of(const struct ilea_put_result *result, char name[ILEA_UUID_TEXT_SIZE + sizeof result->ref])
{
    if (result->ref[0] != '\0') {
        (void)snprintf(name, sizeof result->ref, "%s", result->ref);
    } else {
        ilea_uuid_print(&result->id, name);
    }
}

static enum ilea_error
check_item(struct decide *decide, const struct ilea_release *release, const struct ilea_release_item *item,
           struct ilea_put *put)
{
    struct ilea_put_result result;
    char name[ILEA_UUID_TEXT_SIZE + sizeof result.ref];
    if (put_of(release, item, put) != ILEA_ERROR_NONE) {
        return ilea_trust_refuse(decide, ILEA_ERROR_MALFORMED, "the release holds what is no update of its records");
    }
    enum ilea_error error = ilea_author_review(decide->author, put, &result);
    if (error != ILEA_ERROR_NONE && !ilea_author_refuses(error)) return error;
    name_of(&result, name);
    if (error != ILEA_ERROR_NONE) {
        return ilea_trust_refuse(decide, error, "nothing was sent: %s: %.120s", name, result.reason);
    }
    if (result.outcome == ILEA_PUT_REVIEW && result.label == item->label
        && memcmp(result.base, item->base, sizeof result.base) == 0) {
        return ILEA_ERROR_NONE;
    }
    return ilea_trust_refuse(decide, ILEA_ERROR_INVALID,
                             decide->proposal == 0 ? "%s was changed this moment: ask again"
                                                   : "stale: %s was changed since it was asked for; return it, and "
                                                     "whoever asked asks anew", name);
}

static enum ilea_error
check_items(struct decide *decide, struct ilea_release release)
{
    struct ilea_release_item item;
    struct ilea_put *put = malloc(sizeof *put);
    enum ilea_error error = put != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    while (error == ILEA_ERROR_NONE && ilea_release_next(&release, &item)) {
        error = check_item(decide, &release, &item, put);
    }
    free(put);
    return error;
}

static int
compare_records(const struct ilea_release_item *one, const struct ilea_release_item *other)
{
    int order = memcmp(one->record.bytes, other->record.bytes, sizeof one->record.bytes);
    return order != 0 ? order : (one->type > other->type) - (one->type < other->type);
}

/* Whether two releases name a record in common. Both ascend. */
static bool
overlap(struct ilea_release one, struct ilea_release other)
{
    struct ilea_release_item item, against;
    bool more = ilea_release_next(&one, &item) && ilea_release_next(&other, &against);
    while (more) {
        int order = compare_records(&item, &against);
        if (order == 0) return true;
        more = order < 0 ? ilea_release_next(&one, &item) : ilea_release_next(&other, &against);
    }
    return false;
}

/* A new request: what waits already is not asked for twice; what was given back is asked for anew by it. */
static enum ilea_error
check_others(struct decide *decide, const struct ilea_release *release, bool drop_returned)
{
    struct ilea_proposal_row row = { .number = 0 };
    struct ilea_release other;
    enum ilea_error error = ILEA_ERROR_NONE;
    while (error == ILEA_ERROR_NONE
           && (error = ilea_log_proposal_next(decide->txn, row.number, &row)) == ILEA_ERROR_NONE) {
        if (row.number == decide->answer->proposal || !ilea_trust_is_release(row.act)
            || ilea_release_decode(row.payload, &other) != ILEA_ERROR_NONE
            || !overlap(*release, other)) {
            continue;
        }
        if (row.returned_ms == 0) {
            return ilea_trust_refuse(decide, ILEA_ERROR_EXISTS,
                                     "release %u waits already for a record of these: take it back first with ilea "
                                     "review return %u --reason TEXT", row.number, row.number);
        }
        if (drop_returned) error = ilea_log_delete_proposal(decide->txn, row.number);
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

bool
ilea_trust_is_release(struct ilea_span act)
{
    struct ilea_act *decoded = malloc(sizeof *decoded);
    bool is_release = false;
    if (decoded != NULL && ilea_act_decode(act, decoded) == ILEA_ERROR_NONE) {
        const struct ilea_decision_kind *kind = ilea_decision_kind(decoded->kind);
        is_release = kind != NULL && kind->decider == ILEA_DECIDER_REVIEW;
    }
    free(decoded);
    return is_release;
}

/* The admin whose request it is: the act names it, and it must have signed. */
static enum ilea_error
check_author(struct decide *decide)
{
    struct ilea_sign_public author;
    if (!ilea_hex_parse(ilea_act_value(&decide->act, "author"), author.bytes, sizeof author.bytes)) {
        return ilea_trust_refuse(decide, ILEA_ERROR_MALFORMED, "the request does not say whose it is");
    }
    for (uint32_t i = 0; i < decide->sig_count; i++) {
        if (memcmp(decide->sigs[i].admin.bytes, author.bytes, sizeof author.bytes) == 0) return ILEA_ERROR_NONE;
    }
    return ilea_trust_refuse(decide, ILEA_ERROR_PERMISSION,
                             "the admin who asked for it is none any more: return it, and another one asks anew");
}

static enum ilea_error
decode_release(struct decide *decide, struct ilea_release *release)
{
    const struct ilea_span payload = { decide->payload, decide->payload_size };
    uint8_t stated[ILEA_HASH_SIZE];
    if (ilea_release_decode(payload, release) == ILEA_ERROR_NONE
        && ilea_hex_parse(ilea_act_value(&decide->act, "release"), stated, sizeof stated)
        && memcmp(stated, release->hash, sizeof stated) == 0) {
        return ILEA_ERROR_NONE;
    }
    return ilea_trust_refuse(decide, ILEA_ERROR_MALFORMED, "the release is damaged, or another than was signed");
}

enum ilea_error
ilea_trust_check_release(struct decide *decide)
{
    struct ilea_release release;
    enum ilea_error error = decode_release(decide, &release);
    if (error == ILEA_ERROR_NONE) error = check_author(decide);
    if (error == ILEA_ERROR_NONE && decide->proposal == 0) error = check_others(decide, &release, false);
    if (error == ILEA_ERROR_NONE && !ilea_author_sees_all(decide->author)) error = ILEA_ERROR_BUSY;
    return error == ILEA_ERROR_NONE ? check_items(decide, release) : error;
}

enum ilea_error
ilea_trust_note_release(struct decide *decide)
{
    struct ilea_release release;
    char release_hex[2 * ILEA_HASH_SIZE + 1], author[2 * ILEA_SIGN_PUBLIC_SIZE + 1], count[12], record[64], number[12];
    if (decide->proposal != 0) return ILEA_ERROR_NONE;
    enum ilea_error error = decode_release(decide, &release);
    if (error == ILEA_ERROR_NONE) error = check_others(decide, &release, true);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_hex_format(release.hash, sizeof release.hash, release_hex);
    ilea_trust_text(decide, "author", author, sizeof author);
    ilea_trust_text(decide, "record", record, sizeof record);
    (void)snprintf(count, sizeof count, "%u", release.count);
    (void)snprintf(number, sizeof number, "%u", decide->answer->proposal);
    const struct ilea_audit_pair pairs[] = { { "author", author }, { "number", number }, { "record", record },
                                             { "records", count }, { "release", release_hex }, { NULL, NULL } };
    return ilea_audit_note(decide->author, "record.asked", NULL, pairs);
}

enum ilea_error
ilea_trust_do_release(struct decide *decide)
{
    struct ilea_release release;
    struct ilea_release_item item;
    struct ilea_put_result result;
    struct ilea_put *put = malloc(sizeof *put);
    enum ilea_error error = put != NULL ? decode_release(decide, &release) : ILEA_ERROR_NO_MEMORY;
    while (error == ILEA_ERROR_NONE && ilea_release_next(&release, &item)) {
        error = put_of(&release, &item, put);
        if (error == ILEA_ERROR_NONE) error = ilea_author_release(decide->author, put, &result);
    }
    free(put);
    return error;
}

static enum ilea_error
load_returnable(struct decide *decide, struct ilea_proposal_row *row)
{
    uint32_t number;
    enum ilea_error error = ilea_trust_find_named(decide, true, &number);
    if (error == ILEA_ERROR_NONE && number != 0) error = ilea_log_proposal(decide->txn, number, row);
    if (error != ILEA_ERROR_NONE) return error;
    if (number != 0 && row->returned_ms == 0) return ILEA_ERROR_NONE;
    return ilea_trust_refuse(decide, ILEA_ERROR_NOT_FOUND, "no such release waits; see: ilea review list");
}

enum ilea_error
ilea_trust_check_return(struct decide *decide)
{
    struct ilea_proposal_row row;
    enum ilea_error error = load_returnable(decide, &row);
    if (error != ILEA_ERROR_NONE || ilea_act_value(&decide->act, "reason").size > 0) return error;
    return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "say why it is returned: --reason TEXT");
}

/* It stays, given back, until it is asked for anew. */
enum ilea_error
ilea_trust_do_return(struct decide *decide)
{
    struct ilea_proposal_row row;
    enum ilea_error error = load_returnable(decide, &row);
    if (error != ILEA_ERROR_NONE) return error;
    uint8_t *copy = malloc(row.act.size + row.payload.size + row.sigs.size);
    if (copy == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_span *const spans[] = { &row.act, &row.payload, &row.sigs }; /* the row is written over */
    uint8_t *to = copy;
    for (unsigned i = 0; i < sizeof spans / sizeof spans[0]; i++) {
        if (spans[i]->size > 0) memcpy(to, spans[i]->data, spans[i]->size);
        spans[i]->data = to;
        to += spans[i]->size;
    }
    row.returned_ms = decide->now_ms > 0 ? decide->now_ms : 1;
    memcpy(row.returned_by, decide->sigs[0].admin.bytes, sizeof row.returned_by);
    row.reason = ilea_act_value(&decide->act, "reason");
    error = ilea_log_put_proposal(decide->txn, &row);
    free(copy);
    return error;
}
