/*
 * driver_receipts.c - receipts on links (PROTOCOL.md, "Receipts"): each end asks the other for what came after a stamp
 * of its log; the answer waits until there is something. What is asked for next says that the last is durable.
 *
 * A receipt goes to its author where we have a link with it, else to all that follow both agencies: so a mesh passes
 * each one once, and a chain passes it on.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "node/driver_state.h"
#include "replication/record/receipt_frame.h"

enum { SCAN_MAX = 4096, ISSUE_MAX = 32 /* authors told in one turn */ };

_Static_assert((int)ILEA_RECEIPT_DATABASE_SIZE == (int)ILEA_DATABASE_ID_SIZE, "a log is named by its database id");

static struct ilea_transaction *
read_log(struct driver *driver)
{
    struct ilea_transaction *txn = NULL;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn);
    return error == ILEA_ERROR_NONE ? txn : NULL;
}

void
ilea_driver_reset_receipts(struct driver *driver)
{
    struct receipts *receipts = &driver->receipts;
    memset(receipts->links, 0, sizeof receipts->links);
    receipts->due_count = 0;
    receipts->stamp = 0;
    struct ilea_transaction *txn = read_log(driver);
    if (txn != NULL) (void)!ilea_log_receipt_stamp(txn, &receipts->stamp);
    ilea_transaction_abort(txn);
}

void
ilea_driver_touch_receipt(struct driver *driver, const struct ilea_agency_id *author)
{
    struct receipts *receipts = &driver->receipts;
    uint64_t now = ilea_monotonic_ms();
    if (memcmp(author->bytes, ilea_log_identity(driver->node->log)->agency.bytes, ILEA_ID_SIZE) == 0) return;
    uint32_t at = 0;
    while (at < receipts->due_count && memcmp(receipts->dues[at].author.bytes, author->bytes, ILEA_ID_SIZE) != 0) at++;
    if (at == ILEA_AGENCIES_MAX) return; /* it is followed by no replicator either */
    if (at == receipts->due_count) receipts->dues[receipts->due_count++] = (struct receipt_due){ .author = *author };
    struct receipt_due *due = &receipts->dues[at];
    if (!due->due) due->changed_ms = now;
    due->due = true;
}

void
ilea_driver_own_changed(struct driver *driver)
{
    struct receipts *receipts = &driver->receipts;
    uint64_t now = ilea_monotonic_ms();
    for (uint32_t i = 0; i < receipts->due_count; i++) {
        if (receipts->dues[i].own_ms == 0) receipts->dues[i].own_ms = now;
    }
}

/* Soon after a change, but not so often. */
static uint64_t
soon_ms(const struct receipt_due *due, uint64_t changed_ms, uint64_t rest_ms)
{
    uint64_t soon = changed_ms + RECEIPT_GATHER_MS, rest = due->issued_ms + rest_ms;
    return due->issued_ms != 0 && rest > soon ? rest : soon;
}

/* When an author is told. */
static uint64_t
due_ms(const struct receipt_due *due)
{
    uint64_t held = due->due ? soon_ms(due, due->changed_ms, RECEIPT_MS) : ILEA_TIME_NEVER;
    uint64_t own = due->own_ms != 0 ? soon_ms(due, due->own_ms, RECEIPT_OWN_MS) : ILEA_TIME_NEVER;
    return held < own ? held : own;
}

/* Send a frame's body to a link; false: there is no room for it now. */
static bool
send_side(struct driver *driver, uint32_t link, struct ilea_span body)
{
    struct ilea_side_status status;
    ilea_replicator_side(driver->replicator, link, ilea_monotonic_ms(), &status);
    if (!status.open || body.size > status.room) return false;
    struct ilea_event event = { .type = ILEA_EVENT_SIDE, .link = link };
    event.side.bytes = body;
    ilea_driver_step(driver, &event);
    return true;
}

/* Say how far we have what the peer gives; false: not now. What it passed over is held to be given only while the link
 * shares the same agencies: else from the beginning. */
static bool
ask(struct driver *driver, uint32_t link)
{
    uint8_t bytes[ILEA_RECEIPT_HEAD_MAX], shared[ILEA_HASH_SIZE];
    struct ilea_receipt_source source;
    struct ilea_transaction *txn = read_log(driver);
    if (txn == NULL) return false;
    enum ilea_error error = ilea_log_receipt_from(txn, &driver->peers[link].agency, &source);
    ilea_transaction_abort(txn);
    if (error != ILEA_ERROR_NONE) return false;
    ilea_replicator_shared(driver->replicator, link, shared);
    if (memcmp(source.shared, shared, sizeof shared) != 0) source.stamp = 0;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    struct ilea_receipt_ask said = { .has_database = source.stamp > 0, .stamp = source.stamp };
    memcpy(said.database, source.database, sizeof said.database);
    ilea_receipt_put_ask(&writer, &said);
    ilea_assert(!writer.failed);
    return send_side(driver, link, ilea_msgpack_written(&writer));
}

/* Follow the replicator's session with the peer. */
static void
follow_session(struct driver *driver, uint32_t link, uint64_t now)
{
    struct receipt_link *state = &driver->receipts.links[link];
    struct ilea_side_status status;
    ilea_replicator_side(driver->replicator, link, now, &status);
    if (status.session == 0) {
        if (state->asked) state->detour_ms = now + RECEIPT_DETOUR_MS; /* others were not given what is for it */
        state->asked = false;
        if (state->detour_ms == 0) state->session = 0;
        return;
    }
    if (status.session == state->session && state->detour_ms == 0) return;
    *state = (struct receipt_link){ .session = status.session, .ack_due = true };
}

/* Both agencies of a receipt are shared over the link. */
static bool
is_shared(const struct driver *driver, uint32_t link, const struct ilea_receipt_row *row)
{
    return ilea_replicator_carries(driver->replicator, link, &row->author)
        && ilea_replicator_carries(driver->replicator, link, &row->holder);
}

/* The author gets it from us. */
static bool
has_own_link(const struct driver *driver, const struct ilea_receipt_row *row)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (driver->peers[i].exists && driver->receipts.links[i].asked
            && memcmp(driver->peers[i].agency.bytes, row->author.bytes, ILEA_ID_SIZE) == 0) {
            return is_shared(driver, i, row);
        }
    }
    return false;
}

static bool
is_for(const struct driver *driver, uint32_t link, const struct ilea_receipt_row *row)
{
    const struct ilea_agency_id *peer = &driver->peers[link].agency;
    const struct ilea_agency_id *own = &ilea_log_identity(driver->node->log)->agency;
    if (memcmp(row->author.bytes, own->bytes, ILEA_ID_SIZE) == 0) return false; /* it has come to whom it is for */
    if (memcmp(row->holder.bytes, peer->bytes, ILEA_ID_SIZE) == 0) return false;
    if (row->has_from && memcmp(row->from.bytes, peer->bytes, ILEA_ID_SIZE) == 0) return false;
    bool is_author = memcmp(row->author.bytes, peer->bytes, ILEA_ID_SIZE) == 0;
    return is_shared(driver, link, row) && (is_author || !has_own_link(driver, row));
}

/* Put what the peer lacks behind ILEA_RECEIPT_HEAD_MAX bytes of `bytes`. *stamp: it has all up to there then. */
static uint32_t
gather(struct driver *driver, uint32_t link, struct ilea_transaction *txn, size_t room,
       struct ilea_msgpack_writer *writer, uint64_t *stamp)
{
    struct ilea_receipt_row row;
    uint32_t count = 0;
    ilea_msgpack_writer_init(writer, driver->message + ILEA_RECEIPT_HEAD_MAX, room - ILEA_RECEIPT_HEAD_MAX);
    for (uint32_t scanned = 0; scanned < SCAN_MAX && count < ILEA_RECEIPTS_GIVEN_MAX; scanned++) {
        if (ilea_log_receipt_after(txn, *stamp, &row) != ILEA_ERROR_NONE) break;
        if (is_for(driver, link, &row)) {
            if (writer->size + row.bytes.size + 5 > room - ILEA_RECEIPT_HEAD_MAX) break;
            ilea_msgpack_put_bin(writer, row.bytes.data, row.bytes.size);
            count++;
        }
        *stamp = row.stamp;
    }
    return count;
}

/* What the peer lacks, as far as there is room. */
static void
give(struct driver *driver, uint32_t link)
{
    struct receipt_link *state = &driver->receipts.links[link];
    struct ilea_side_status status;
    ilea_replicator_side(driver->replicator, link, ilea_monotonic_ms(), &status);
    /* For any receipt. */
    bool has_room = status.open && status.room > ILEA_RECEIPT_SIZE_MAX + 2 * ILEA_RECEIPT_HEAD_MAX;
    struct ilea_transaction *txn = has_room ? read_log(driver) : NULL;
    state->retry_ms = ilea_monotonic_ms() + RETRY_MS;
    if (txn == NULL) return;
    struct ilea_msgpack_writer receipts, writer;
    uint64_t stamp = state->after;
    uint32_t count = gather(driver, link, txn, status.room, &receipts, &stamp);
    ilea_transaction_abort(txn);
    if (count == 0) {
        state->after = stamp;
        return;
    }
    uint8_t head[ILEA_RECEIPT_HEAD_MAX];
    struct ilea_receipt_give said = { .stamp = stamp, .more = stamp < driver->receipts.stamp, .count = count };
    memcpy(said.database, ilea_log_identity(driver->node->log)->database, sizeof said.database);
    ilea_msgpack_writer_init(&writer, head, sizeof head);
    ilea_receipt_put_give(&writer, &said);
    size_t size = writer.size;
    memmove(driver->message + size, driver->message + ILEA_RECEIPT_HEAD_MAX, receipts.size);
    memcpy(driver->message, head, size);
    if (stamp > driver->receipts.stamp) driver->receipts.stamp = stamp; /* read just now, and newer */
    state->in_flight = send_side(driver, link, (struct ilea_span){ driver->message, size + receipts.size });
}

/* The author's link is gone, and it did not say that it has all that is for it: let others carry the rest. */
static void
take_detour(struct driver *driver, uint32_t link)
{
    struct receipt_link *state = &driver->receipts.links[link];
    const struct ilea_agency_id *author = &driver->peers[link].agency;
    struct ilea_receipt_row row, copy;
    const struct ilea_agency_id *after = NULL;
    struct ilea_agency_id last;
    uint64_t acknowledged = state->after;
    uint8_t *bytes = malloc(ILEA_RECEIPT_SIZE_MAX);
    *state = (struct receipt_link){ .session = 0 };
    enum ilea_error error = bytes != NULL ? ilea_driver_transaction(driver) : ILEA_ERROR_NO_MEMORY;
    struct ilea_transaction *txn = ilea_author_transaction(driver->node->author);
    while (error == ILEA_ERROR_NONE) {
        error = ilea_log_receipt_next(txn, author, after, &row);
        if (error != ILEA_ERROR_NONE) break;
        last = row.holder;
        after = &last;
        if (row.stamp <= acknowledged || memcmp(row.holder.bytes, author->bytes, ILEA_ID_SIZE) == 0) continue;
        copy = row; /* its body is empty: it is not for us */
        copy.body = (struct ilea_span){ NULL, 0 };
        memcpy(bytes, row.bytes.data, row.bytes.size);
        copy.bytes.data = bytes;
        error = ilea_log_put_receipt(txn, ilea_wall_ms(), &copy);
    }
    free(bytes);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) ilea_driver_recover(driver, "receipts", error);
}

static enum ilea_error
take_ask(struct driver *driver, uint32_t link, struct ilea_span body)
{
    struct receipt_link *state = &driver->receipts.links[link];
    struct ilea_receipt_ask said;
    enum ilea_error error = ilea_receipt_ask_decode(body, &said);
    if (error != ILEA_ERROR_NONE) return error;
    bool is_ours = said.has_database
        && memcmp(said.database, ilea_log_identity(driver->node->log)->database, sizeof said.database) == 0;
    state->after = is_ours && said.stamp <= driver->receipts.stamp ? said.stamp : 0;
    state->asked = true;
    state->in_flight = false;
    return ILEA_ERROR_NONE;
}

/* One was not signed by whom it names, or cannot be opened: once a session, for a liar must not fill the disk. */
static void
warn(struct driver *driver, uint32_t link, enum ilea_error error)
{
    if (driver->receipts.links[link].warned) return;
    driver->receipts.links[link].warned = true;
    ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "receipt_dropped", "peer", driver->peers[link].code,
                      "reason", ilea_error_text(error), NULL);
}

/* Trouble of ours, in *trouble, is told from what the peer did wrong. */
static enum ilea_error
take_given(struct driver *driver, uint32_t link, struct ilea_span body, enum ilea_error *trouble)
{
    const struct ilea_log_identity *identity = ilea_log_identity(driver->node->log);
    const struct ilea_agency_id *peer = &driver->peers[link].agency;
    struct ilea_receipt_source source;
    struct ilea_receipt_give given;
    if (ilea_receipt_give_decode(body, &given) != ILEA_ERROR_NONE) return ILEA_ERROR_MALFORMED;
    memcpy(source.database, given.database, sizeof source.database);
    source.stamp = given.stamp;
    ilea_replicator_shared(driver->replicator, link, source.shared);
    *trouble = ilea_driver_transaction(driver);
    struct ilea_transaction *txn = ilea_author_transaction(driver->node->author);
    for (uint32_t i = 0; i < given.count && *trouble == ILEA_ERROR_NONE; i++) {
        struct ilea_span bytes = ilea_receipt_given_next(&given.receipts);
        struct ilea_receipt receipt;
        enum ilea_error error = ilea_receipt_decode(bytes, &receipt);
        if (error == ILEA_ERROR_MALFORMED || error == ILEA_ERROR_LIMIT) return error;
        if (error == ILEA_ERROR_NONE && memcmp(receipt.holder.bytes, identity->agency.bytes, ILEA_ID_SIZE) != 0
            && ilea_replicator_carries(driver->replicator, link, &receipt.author)
            && ilea_replicator_carries(driver->replicator, link, &receipt.holder)) {
            error = ilea_receipts_take(txn, identity, &driver->node->keys, peer, &receipt, bytes, ilea_wall_ms());
        }
        switch ((int)error) {
        case ILEA_ERROR_NONE:
        case ILEA_ERROR_EXISTS:
        case ILEA_ERROR_UNKNOWN: break;
        case ILEA_ERROR_NOT_FOUND:
        case ILEA_ERROR_BAD_SIGNATURE:
        case ILEA_ERROR_INVALID: warn(driver, link, error); break;
        default: *trouble = error; break;
        }
    }
    if (*trouble == ILEA_ERROR_NONE) *trouble = ilea_log_put_receipt_from(txn, peer, &source);
    driver->receipts.links[link].ack_due = true;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_driver_side(struct driver *driver, uint32_t link, struct ilea_span body)
{
    struct ilea_msgpack_reader reader;
    enum ilea_error trouble = ILEA_ERROR_NONE, error = ILEA_ERROR_NONE;
    follow_session(driver, link, ilea_monotonic_ms());
    ilea_msgpack_reader_init(&reader, body);
    (void)ilea_msgpack_get_array(&reader, 32);
    uint32_t form = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    if (reader.failed) {
        error = ILEA_ERROR_MALFORMED;
    } else if (form == ILEA_RECEIPT_ASK) {
        error = take_ask(driver, link, body);
    } else if (form == ILEA_RECEIPT_GIVE) {
        error = take_given(driver, link, body, &trouble);
    } else if (form >= ILEA_DOCUMENT_ASK && form <= ILEA_DOCUMENT_NONE) {
        error = ilea_driver_document_side(driver, link, form, body);
    } /* another one is of a newer version */
    if (error != ILEA_ERROR_NONE) ilea_driver_blame(driver, link, error);
    return trouble;
}

/* Only those that we follow are told anything. */
static bool
is_followed(struct ilea_transaction *txn, const struct ilea_agency_id *id)
{
    struct ilea_agency_row row;
    return ilea_log_agency(txn, id, &row) == ILEA_ERROR_NONE && row.state == ILEA_AGENCY_APPROVED
        && (row.grant.scopes & ILEA_GRANT_FOLLOW) != 0;
}

static int
compare_claims(const void *a, const void *b)
{
    return memcmp(((const struct ilea_claim *)a)->author.bytes, ((const struct ilea_claim *)b)->author.bytes,
                  ILEA_ID_SIZE);
}

/* What is claimed, and to which key it is sealed: our own do not change while this process runs. */
static void
hash_claim(const struct ilea_claim *claim, uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_RECEIPT);
    ilea_hash_add(&hasher, claim->to.bytes, sizeof claim->to.bytes);
    ilea_hash_add(&hasher, claim->body, claim->size);
    ilea_hash_end(&hasher, hash);
}

static enum ilea_error
tell(struct driver *driver, struct receipt_due *due, const struct ilea_claim *claim, uint64_t now)
{
    uint8_t content[ILEA_HASH_SIZE];
    hash_claim(claim, content);
    bool is_said = due->issued && memcmp(content, due->content, sizeof content) == 0;
    due->due = !claim->seen; /* the rest is told when the view shows it */
    due->changed_ms = now;
    due->own_ms = 0;
    if (is_said) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_driver_transaction(driver);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_receipts_issue(ilea_author_transaction(driver->node->author),
                                    ilea_log_identity(driver->node->log), &driver->node->keys, claim, ilea_wall_ms());
    }
    due->issued = true;
    due->issued_ms = now;
    memcpy(due->content, content, sizeof content);
    return error;
}

/* The authors that are to be told now, ascending. */
static uint32_t
collect(struct driver *driver, struct ilea_transaction *txn, uint64_t now, struct ilea_claim *claims)
{
    struct receipts *receipts = &driver->receipts;
    uint32_t count = 0;
    for (uint32_t i = 0; i < receipts->due_count && count < ISSUE_MAX; i++) {
        struct receipt_due *due = &receipts->dues[i];
        if (due_ms(due) > now) continue;
        if (is_followed(txn, &due->author)) {
            claims[count++] = (struct ilea_claim){ .author = due->author };
        } else {
            due->due = due->issued = false; /* if it is followed again, it is told anew */
            due->own_ms = 0;
        }
    }
    qsort(claims, count, sizeof *claims, compare_claims);
    return count;
}

/* Nothing is said that is not durable and shown: no view, no receipts. */
static void
issue(struct driver *driver, uint64_t now)
{
    struct receipts *receipts = &driver->receipts;
    struct ilea_claim claims[ISSUE_MAX];
    struct ilea_transaction *view = NULL, *log = NULL;
    uint32_t count = 0;
    receipts->retry_ms = now + RETRY_MS;
    if (driver->node->view == NULL || driver->next_generation != 0) return;
    enum ilea_error error = ilea_transaction_begin(driver->node->view, false, &view);
    if (error == ILEA_ERROR_NONE) log = read_log(driver);
    if (log != NULL) count = collect(driver, log, now, claims);
    if (count > 0) {
        error = ilea_claims_make(log, view, ilea_log_identity(driver->node->log), driver->audiences.durable, claims,
                                 count);
    }
    ilea_transaction_abort(log);
    ilea_transaction_abort(view);
    for (uint32_t j = 0; j < count && error == ILEA_ERROR_NONE; j++) {
        uint32_t i = 0;
        while (memcmp(receipts->dues[i].author.bytes, claims[j].author.bytes, ILEA_ID_SIZE) != 0) i++;
        error = tell(driver, &receipts->dues[i], &claims[j], now);
    }
    for (uint32_t j = 0; j < count; j++) free(claims[j].body);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_BUSY) ilea_driver_recover(driver, "receipts", error);
}

/* Receipts that became durable since the last look. */
static void
look_at_stamp(struct driver *driver, uint64_t now)
{
    uint64_t stamp = 0;
    struct ilea_transaction *txn = read_log(driver);
    if (txn == NULL) return;
    enum ilea_error error = ilea_log_receipt_stamp(txn, &stamp);
    ilea_transaction_abort(txn);
    if (error != ILEA_ERROR_NONE || stamp == driver->receipts.stamp) return;
    driver->receipts.stamp = stamp;
    driver->receipts.stamp_ms = now;
}

/* When a peer is given what it lacks. */
static uint64_t
give_ms(const struct receipts *receipts, const struct receipt_link *state)
{
    if (!state->asked || state->in_flight || receipts->stamp <= state->after) return ILEA_TIME_NEVER;
    uint64_t gathered = receipts->stamp_ms + RECEIPT_GATHER_MS;
    return gathered > state->retry_ms ? gathered : state->retry_ms;
}

static bool
has_due(const struct driver *driver, uint64_t now)
{
    for (uint32_t i = 0; i < driver->receipts.due_count; i++) {
        if (due_ms(&driver->receipts.dues[i]) <= now) return true;
    }
    return false;
}

void
ilea_driver_tend_receipts(struct driver *driver, uint64_t now)
{
    struct receipts *receipts = &driver->receipts;
    if (driver->trouble || driver->reloading) return;
    bool is_durable = ilea_author_transaction(driver->node->author) == NULL;
    if (is_durable) look_at_stamp(driver, now);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX && !driver->trouble; i++) {
        struct receipt_link *state = &receipts->links[i];
        if (!driver->peers[i].exists) {
            *state = (struct receipt_link){ .session = 0 };
            continue;
        }
        follow_session(driver, i, now);
        if (state->detour_ms != 0 && now >= state->detour_ms) take_detour(driver, i);
        if (state->session == 0 || state->detour_ms != 0) continue;
        if (state->ack_due && is_durable && ask(driver, i)) state->ack_due = false;
        if (give_ms(receipts, state) <= now) give(driver, i);
    }
    if (!driver->trouble && now >= receipts->retry_ms && has_due(driver, now)) issue(driver, now);
}

uint64_t
ilea_driver_receipts_due(const struct driver *driver)
{
    const struct receipts *receipts = &driver->receipts;
    uint64_t due = ILEA_TIME_NEVER;
    if (driver->trouble || driver->reloading) return due;
    for (uint32_t i = 0; i < receipts->due_count; i++) {
        uint64_t next = due_ms(&receipts->dues[i]);
        if (next < due) due = next;
    }
    if (due < receipts->retry_ms) due = receipts->retry_ms;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        const struct receipt_link *state = &receipts->links[i];
        if (state->detour_ms != 0 && state->detour_ms < due) due = state->detour_ms;
        uint64_t next = give_ms(receipts, state);
        if (next < due) due = next;
    }
    return due;
}
