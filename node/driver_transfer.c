/*
 * driver_transfer.c - chunks of documents on links (PROTOCOL.md, "Documents"): what peers ask for and are entitled to
 * is sent, a chunk a turn; what we asked for is put together, checked and kept. Which chunk is asked of whom is
 * decided in core/transfer.h.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "node/driver_state.h"

enum { CHUNK_COST = ILEA_BLOB_SEALED_MAX + 2 * (ILEA_CHUNK_BODY_MAX - ILEA_CHUNK_PART_MAX) }; /* on a link, at most */

_Static_assert(ILEA_ASK_CHUNKS_MAX * CHUNK_COST <= ILEA_SIDE_CREDIT_MAX, "a window of chunks fits the credit");
_Static_assert((int)ILEA_CHUNK_BODY_MAX <= (int)ILEA_SIDE_SIZE_MAX, "a part fits a SIDE body");

static bool
is_open(const struct driver *driver, uint32_t link, size_t size)
{
    struct ilea_side_status status;
    ilea_replicator_side(driver->replicator, link, ilea_monotonic_ms(), &status);
    return status.open && status.room >= size;
}

/* What the peer asked for, or that we do not have it: on its credit. */
static void
answer(struct driver *driver, uint32_t link, struct ilea_span body)
{
    struct ilea_event event = { .type = ILEA_EVENT_SIDE, .link = link };
    event.side.bytes = body;
    event.side.asked = true;
    ilea_driver_step(driver, &event);
}

static void
answer_none(struct driver *driver, uint32_t link, const struct ilea_chunk_ask *ask)
{
    uint8_t bytes[64 + ILEA_ASK_RANGES_MAX * 12];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_chunk_ask_put(&writer, ILEA_DOCUMENT_NONE, ask);
    ilea_assert(!writer.failed);
    answer(driver, link, ilea_msgpack_written(&writer));
}

void
ilea_driver_close_served(struct driver *driver, const struct ilea_blob_id *root)
{
    struct documents *documents = &driver->documents;
    for (uint32_t i = 0; i < DOCUMENTS_OPEN_MAX; i++) {
        bool is_it = root == NULL || memcmp(documents->open[i].root.bytes, root->bytes, sizeof root->bytes) == 0;
        if (documents->open[i].file == NULL || !is_it) continue;
        ilea_blob_file_close(documents->open[i].file);
        documents->open[i].file = NULL;
    }
}

/* A document's files, with its list opened: the one being fetched, or one of the few that are kept open. */
static struct ilea_blob_file *
open_served(struct driver *driver, const struct ilea_blob_id *root)
{
    struct documents *documents = &driver->documents;
    uint32_t oldest = 0;
    if (documents->file != NULL && memcmp(documents->row.root.bytes, root->bytes, sizeof root->bytes) == 0) {
        return ilea_blob_file_has_list(documents->file) ? documents->file : NULL;
    }
    for (uint32_t i = 0; i < DOCUMENTS_OPEN_MAX; i++) {
        if (documents->open[i].file != NULL
            && memcmp(documents->open[i].root.bytes, root->bytes, sizeof root->bytes) == 0) {
            documents->open[i].used_ms = ilea_monotonic_ms();
            return documents->open[i].file;
        }
        if (documents->open[i].file == NULL || documents->open[i].used_ms < documents->open[oldest].used_ms) oldest = i;
    }
    struct ilea_blob_file *file = NULL;
    if (ilea_blob_file_open(driver->node->home, root, false, &file) != ILEA_ERROR_NONE) return NULL;
    if (ilea_driver_open_list(driver, file, root, (struct ilea_span){ NULL, 0 }) != ILEA_ERROR_NONE) {
        ilea_blob_file_close(file);
        return NULL;
    }
    ilea_blob_file_close(documents->open[oldest].file);
    documents->open[oldest].root = *root;
    documents->open[oldest].file = file;
    documents->open[oldest].used_ms = ilea_monotonic_ms();
    return file;
}

static enum ilea_error
take_ask(struct driver *driver, uint32_t link, struct ilea_span body)
{
    struct document_link *state = &driver->documents.links[link];
    struct ilea_chunk_ask ask;
    struct ilea_document_row row;
    struct ilea_transaction *own, *txn;
    if (ilea_chunk_ask_decode(body, ILEA_DOCUMENT_ASK, &ask) != ILEA_ERROR_NONE) return ILEA_ERROR_MALFORMED;
    txn = ilea_driver_read(driver, &own);
    bool is_known = txn != NULL && ilea_log_document(txn, &ask.root, &row) == ILEA_ERROR_NONE;
    ilea_transaction_abort(own);
    const struct ilea_blob_file *file = NULL;
    if (is_known && ilea_driver_may_have(driver, link, &row)) file = open_served(driver, &ask.root);
    if (file == NULL) {
        if (!is_known && !ilea_driver_names_document(driver, &ask.root)) {
            ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "unknown_document", "peer", driver->peers[link].code,
                              NULL);
        }
        answer_none(driver, link, &ask);
        return ILEA_ERROR_NONE;
    }
    struct ilea_chunk_ask lacks = { .root = ask.root };
    for (uint32_t i = 0; i < ask.range_count; i++) {
        for (uint32_t k = 0; k < ask.ranges[i].count; k++) {
            uint64_t index = ask.ranges[i].first + k;
            const uint8_t *have = ilea_blob_file_have(file);
            bool held = index == ILEA_BLOB_LIST
                || (index < ilea_blob_file_count(file) && (have[index / 8] >> (index % 8) & 1) != 0);
            if (!held) {
                lacks.ranges[lacks.range_count++] = (struct ilea_chunk_range){ index, 1 };
            } else if (state->queue_count < ILEA_ASK_CHUNKS_MAX) { /* more than its credit: it will ask again */
                state->queue[state->queue_count].root = ask.root;
                state->queue[state->queue_count++].index = index;
            }
        }
    }
    if (lacks.range_count > 0) answer_none(driver, link, &lacks);
    return ILEA_ERROR_NONE;
}

/* Read it from the disk, and send it in parts. */
static void
send_chunk(struct driver *driver, uint32_t link, const struct ilea_blob_id *root, uint64_t index)
{
    struct documents *documents = &driver->documents;
    struct ilea_blob_file *file = open_served(driver, root);
    struct ilea_span sealed = { documents->sealed, 0 };
    enum ilea_error error = file != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NOT_FOUND;
    if (error == ILEA_ERROR_NONE && index == ILEA_BLOB_LIST) {
        sealed = ilea_blob_file_sealed_list(file);
    } else if (error == ILEA_ERROR_NONE) {
        error = ilea_blob_file_get(file, (uint32_t)index, documents->sealed, &sealed.size);
    }
    if (error != ILEA_ERROR_NONE) {
        const struct ilea_chunk_ask none = { .root = *root, .range_count = 1, .ranges = { { index, 1 } } };
        if (error == ILEA_ERROR_BAD_HASH) { /* fetched anew from others */
            struct ilea_control_document ignored;
            ilea_driver_log_error(driver, "document_damaged", ILEA_ERROR_CORRUPT);
            ilea_driver_want_document(driver, root, (uint32_t)index + 1, &ignored);
        }
        answer_none(driver, link, &none);
        return;
    }
    for (size_t offset = 0; offset < sealed.size; offset += ILEA_CHUNK_PART_MAX) {
        size_t left = sealed.size - offset;
        const struct ilea_chunk_part part = {
            .root = *root, .index = index, .offset = (uint32_t)offset, .total = (uint32_t)sealed.size,
            .bytes = { sealed.data + offset, left < ILEA_CHUNK_PART_MAX ? left : ILEA_CHUNK_PART_MAX } };
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, driver->message, ILEA_CHUNK_BODY_MAX);
        ilea_chunk_part_put(&writer, &part);
        ilea_assert(!writer.failed);
        answer(driver, link, ilea_msgpack_written(&writer));
    }
}

bool
ilea_driver_has_chunks_to_serve(const struct driver *driver)
{
    if (ilea_link_pipe_queued(&driver->pipe) >= DOCUMENT_OUT_MAX) return false; /* POLLOUT wakes us */
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (driver->documents.links[i].queue_count > 0) return true;
    }
    return false;
}

/* One chunk a turn: what else is to be sent goes between. */
void
ilea_driver_serve_chunks(struct driver *driver)
{
    struct documents *documents = &driver->documents;
    if (!ilea_driver_has_chunks_to_serve(driver)) return;
    if (documents->sealed == NULL) documents->sealed = malloc(ILEA_BLOB_SEALED_MAX);
    if (documents->sealed == NULL) return;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        uint32_t link = documents->turn;
        struct document_link *state = &documents->links[link];
        documents->turn = (documents->turn + 1) % ILEA_LINKS_MAX;
        if (state->queue_count == 0) continue;
        struct ilea_blob_id root = state->queue[0].root;
        uint64_t index = state->queue[0].index;
        memmove(state->queue, state->queue + 1, --state->queue_count * sizeof state->queue[0]);
        send_chunk(driver, link, &root, index);
        return;
    }
}

/* Keep what was put together, or find that it is not what it should be. */
static void
take_chunk(struct driver *driver, uint32_t link, uint64_t index, struct ilea_span sealed)
{
    struct documents *documents = &driver->documents;
    uint64_t now = ilea_monotonic_ms();
    bool is_list = index == ILEA_BLOB_LIST;
    enum ilea_error error = is_list
        ? ilea_driver_open_list(driver, documents->file, &documents->row.root, sealed)
        : ilea_blob_file_put(documents->file, (uint32_t)index, sealed);
    switch ((int)error) {
    case ILEA_ERROR_NONE:
        ilea_transfer_chunk(documents->transfer, now, link, index, true);
        if (is_list) {
            ilea_transfer_list(documents->transfer, ilea_blob_file_count(documents->file),
                               ilea_blob_file_have(documents->file));
        }
        break;
    case ILEA_ERROR_BAD_HASH:
        ilea_transfer_chunk(documents->transfer, now, link, index, false);
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "wrong_chunk", "peer", driver->peers[link].code, NULL);
        break;
    case ILEA_ERROR_INVALID: /* it is the list, and no record that names it has the key */
        ilea_driver_stop_document(driver, ILEA_DOCUMENT_LIES);
        break;
    default:
        ilea_driver_log_error(driver, "document_write", error);
        ilea_driver_stop_document(driver, ILEA_DOCUMENT_DISK_FULL);
        break;
    }
}

static enum ilea_error
take_part(struct driver *driver, uint32_t link, struct ilea_span body)
{
    struct documents *documents = &driver->documents;
    struct document_link *state = &documents->links[link];
    struct ilea_chunk_part part;
    if (ilea_chunk_part_decode(body, &part) != ILEA_ERROR_NONE) return ILEA_ERROR_MALFORMED;
    if (documents->file == NULL || memcmp(part.root.bytes, documents->row.root.bytes, sizeof part.root.bytes) != 0
        || !ilea_transfer_expects(documents->transfer, link, part.index)) {
        return ILEA_ERROR_NONE; /* it came too late */
    }
    if (part.offset == 0) {
        if (state->bytes == NULL) state->bytes = malloc(ILEA_BLOB_SEALED_MAX);
        if (state->bytes == NULL) return ILEA_ERROR_NONE;
        state->index = part.index;
        state->total = part.total;
        state->got = 0;
    } else if (state->bytes == NULL || part.index != state->index || part.total != state->total
               || part.offset != state->got) {
        return ILEA_ERROR_NONE;
    }
    memcpy(state->bytes + part.offset, part.bytes.data, part.bytes.size);
    state->got += (uint32_t)part.bytes.size;
    ilea_transfer_heard(documents->transfer, ilea_monotonic_ms(), link);
    if (state->got < state->total) return ILEA_ERROR_NONE;
    state->got = 0;
    take_chunk(driver, link, part.index, (struct ilea_span){ state->bytes, state->total });
    return ILEA_ERROR_NONE;
}

static enum ilea_error
take_none(struct driver *driver, uint32_t link, struct ilea_span body)
{
    struct documents *documents = &driver->documents;
    struct ilea_chunk_ask none;
    if (ilea_chunk_ask_decode(body, ILEA_DOCUMENT_NONE, &none) != ILEA_ERROR_NONE) return ILEA_ERROR_MALFORMED;
    if (documents->file == NULL || memcmp(none.root.bytes, documents->row.root.bytes, sizeof none.root.bytes) != 0) {
        return ILEA_ERROR_NONE;
    }
    for (uint32_t i = 0; i < none.range_count; i++) {
        ilea_transfer_none(documents->transfer, ilea_monotonic_ms(), link, &none.ranges[i]);
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_driver_document_side(struct driver *driver, uint32_t link, uint32_t form, struct ilea_span body)
{
    ilea_driver_follow_document_sessions(driver, ilea_monotonic_ms());
    if (form == ILEA_DOCUMENT_ASK) return take_ask(driver, link, body);
    return form == ILEA_DOCUMENT_CHUNK ? take_part(driver, link, body) : take_none(driver, link, body);
}

void
ilea_driver_ask_chunks(struct driver *driver, uint64_t now)
{
    struct documents *documents = &driver->documents;
    struct ilea_chunk_ask ask;
    uint32_t link;
    while (documents->file != NULL && ilea_transfer_next(documents->transfer, now, &link, &ask)) {
        uint8_t bytes[64 + ILEA_ASK_RANGES_MAX * 12];
        struct ilea_msgpack_writer writer;
        uint32_t chunks = 0;
        ask.root = documents->row.root;
        for (uint32_t i = 0; i < ask.range_count; i++) chunks += ask.ranges[i].count;
        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_chunk_ask_put(&writer, ILEA_DOCUMENT_ASK, &ask);
        ilea_assert(!writer.failed);
        if (!ilea_driver_may_ask(driver, link, &documents->row)) { /* not any more */
            ilea_transfer_link_down(documents->transfer, now, link);
            continue;
        }
        if (!is_open(driver, link, writer.size)) {
            ilea_transfer_unasked(documents->transfer, link, &ask);
            continue;
        }
        struct ilea_event event = { .type = ILEA_EVENT_SIDE, .link = link };
        event.side.bytes = ilea_msgpack_written(&writer);
        event.side.expects = chunks * CHUNK_COST;
        ilea_driver_step(driver, &event);
    }
}

/* Follow the replicator's sessions: with one, what was on its way and what was asked for is gone. */
void
ilea_driver_follow_document_sessions(struct driver *driver, uint64_t now)
{
    struct documents *documents = &driver->documents;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        struct document_link *state = &documents->links[i];
        struct ilea_side_status status = { .session = 0 };
        if (driver->peers[i].exists) ilea_replicator_side(driver->replicator, i, now, &status);
        uint64_t session = status.open ? status.session : 0;
        if (session == state->session) continue;
        state->session = session;
        state->queue_count = 0;
        state->got = 0;
        if (session == 0) {
            free(state->bytes);
            state->bytes = NULL;
        }
        documents->rest_ms = 0; /* somebody new may have it */
        if (documents->file == NULL) continue;
        if (session != 0 && ilea_driver_may_ask(driver, i, &documents->row)) {
            ilea_transfer_link_up(documents->transfer, now, i);
        } else {
            ilea_transfer_link_down(documents->transfer, now, i);
        }
    }
}
