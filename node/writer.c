#include "node/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/agency.h"
#include "node/compact.h"
#include "node/driver.h"
#include "node/lobby_desk.h"
#include "node/trust.h"

enum {
    WINDOW = 32, /* frames on their way to the daemon: more than one of its group commits */
    LOCK_WAIT_MS = 10000,
    LOCK_TRY_MS = 100,
    LOCAL_COMMIT_BYTES = 4 * 1024 * 1024,
    BUNDLE_WINDOW = 64, BUNDLE_WINDOW_BYTES = 2 * 1024 * 1024 /* chunks on their way: less than a client may send */
};

/* One PUTS frame being filled, or waiting for its answer. */
struct batch {
    uint8_t *frame;          /* ILEA_CONTROL_FRAME_MAX */
    size_t size;             /* bytes of encoded puts behind the header and array header */
    uint32_t count;
    uint64_t tags[ILEA_CONTROL_PUTS_MAX];
};

enum { ARRAY_HEADER = 3, BATCH_START = ILEA_CONTROL_HEADER + ARRAY_HEADER };

struct ilea_writer {
    int fd;                  /* to the daemon; -1: local */
    struct ilea_node node;   /* local */
    ilea_writer_answer *answer;
    void *context;
    struct batch batches[WINDOW + 1]; /* a ring: [first .. first + sent) are on their way, then one is filled */
    uint32_t first, sent;
    uint8_t *buffer;         /* ILEA_CONTROL_FRAME_MAX */
    uint8_t *encoded;
    struct ilea_put *put;
    /* Local: answers are due when the group commit is durable. */
    struct { uint64_t tag; enum ilea_error error; struct ilea_put_result result; } *due;
    uint32_t due_count, due_capacity;
    size_t local_bytes;
    struct driver *alone;    /* locally: takes bundles in */
    uint32_t chunk_count;    /* remotely: chunks on their way, and their bytes */
    size_t chunk_bytes, chunk_sizes[BUNDLE_WINDOW];
    uint32_t chunk_first;
    bool has_written;        /* locally, and the view does not show it yet */
};

static enum ilea_error
allocate(struct ilea_writer *writer)
{
    writer->buffer = malloc(ILEA_CONTROL_FRAME_MAX);
    writer->encoded = malloc(ILEA_CONTROL_FRAME_MAX);
    writer->put = malloc(sizeof *writer->put);
    bool complete = writer->buffer != NULL && writer->encoded != NULL && writer->put != NULL;
    for (unsigned i = 0; writer->fd >= 0 && i <= WINDOW; i++) {
        writer->batches[i].frame = malloc(ILEA_CONTROL_FRAME_MAX);
        complete = complete && writer->batches[i].frame != NULL;
    }
    return complete ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
}

/* Approvals that are over end before anything is written that they would let somebody read. */
static enum ilea_error
expire(struct ilea_writer *writer)
{
    const struct ilea_author_commit *commits;
    uint32_t count;
    struct ilea_agency_id agency;
    for (;;) {
        enum ilea_error error = ilea_author_begin(writer->node.author, ilea_wall_ms());
        if (error == ILEA_ERROR_NONE) error = ilea_trust_expire(&writer->node, ilea_wall_ms(), &agency);
        if (error == ILEA_ERROR_NONE) error = ilea_author_commit(writer->node.author, &commits, &count);
        if (error == ILEA_ERROR_NONE) {
            ilea_node_note_audit(&writer->node);
            continue;
        }
        ilea_author_abort(writer->node.author);
        return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
    }
}

/* What ilea.conf says of four eyes, if it is news. */
static enum ilea_error
note_four_eyes(struct ilea_writer *writer)
{
    const struct ilea_author_commit *commits;
    uint32_t count;
    enum ilea_error error = ilea_author_begin(writer->node.author, ilea_wall_ms());
    if (error == ILEA_ERROR_NONE) error = ilea_node_note_four_eyes(&writer->node);
    if (error == ILEA_ERROR_NONE && ilea_author_was_audited(writer->node.author)) {
        error = ilea_author_commit(writer->node.author, &commits, &count);
        if (error == ILEA_ERROR_NONE) ilea_node_note_audit(&writer->node);
    }
    ilea_author_abort(writer->node.author);
    return error;
}

static enum ilea_error
open_local(struct ilea_writer *writer, const char *home, const struct ilea_span *passphrase,
           char *reason)
{
    enum ilea_error error =
        ilea_node_open(&writer->node, home, passphrase, LOCK_TRY_MS, reason);
    if (error != ILEA_ERROR_NONE) return error;
    error = expire(writer);
    if (error == ILEA_ERROR_NONE) error = note_four_eyes(writer);
    if (error == ILEA_ERROR_NONE) error = ilea_node_build_view(&writer->node);
    if (error == ILEA_ERROR_NONE) error = ilea_node_erase_strays(&writer->node);
    if (error != ILEA_ERROR_NONE) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "the view cannot be built: %s",
                       error == ILEA_ERROR_FULL ? "no space left" : "run ilea verify");
    }
    return error;
}

enum ilea_error
ilea_writer_open(const char *home, const struct ilea_span *passphrase, ilea_writer_answer *answer,
                 void *context, struct ilea_writer **writer, char *reason)
{
    struct ilea_writer *opened = calloc(1, sizeof *opened);
    if (opened == NULL) return ILEA_ERROR_NO_MEMORY;
    opened->answer = answer;
    opened->context = context;
    opened->node.lock = -1;
    opened->fd = -1;
    (void)snprintf(reason, ILEA_REASON_SIZE, "out of memory");
    /* Somebody else may hold the lock because a daemon is starting: look for its socket again. */
    enum ilea_error error = ILEA_ERROR_BUSY;
    for (uint64_t end = ilea_monotonic_ms() + LOCK_WAIT_MS; error == ILEA_ERROR_BUSY;) {
        error = ilea_control_connect(home, &opened->fd);
        if (error == ILEA_ERROR_NONE) break;
        opened->fd = -1;
        error = open_local(opened, home, passphrase, reason);
        if (error != ILEA_ERROR_BUSY || ilea_monotonic_ms() >= end) break;
        ilea_node_close(&opened->node);
    }
    if (error == ILEA_ERROR_NONE) error = allocate(opened);
    if (error != ILEA_ERROR_NONE) {
        ilea_writer_close(opened);
        return error;
    }
    *writer = opened;
    return ILEA_ERROR_NONE;
}

void
ilea_writer_close(struct ilea_writer *writer)
{
    if (writer == NULL) return;
    if (writer->fd >= 0) close(writer->fd);
    ilea_driver_alone_end(writer->alone);
    /* Tools that read the view see what was written; if that fails, the next command tries again. */
    if (writer->has_written) (void)!ilea_node_build_view(&writer->node);
    ilea_node_close(&writer->node);
    for (unsigned i = 0; i <= WINDOW; i++) free(writer->batches[i].frame);
    free(writer->buffer);
    free(writer->encoded);
    free(writer->put);
    free(writer->due);
    free(writer);
}

/* Remote. */

static struct batch *
filling(struct ilea_writer *writer)
{
    return &writer->batches[(writer->first + writer->sent) % (WINDOW + 1)];
}

/* The answer to the oldest frame on its way. */
static enum ilea_error
receive_batch(struct ilea_writer *writer)
{
    struct batch *batch = &writer->batches[writer->first];
    struct ilea_control_frame frame;
    enum ilea_error error = ilea_control_receive(writer->fd, writer->buffer, &frame);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, frame.body);
    if (frame.kind != ILEA_CONTROL_PUTS
        || ilea_msgpack_get_array(&reader, ILEA_CONTROL_PUTS_MAX) != batch->count) {
        return ILEA_ERROR_MALFORMED;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        struct ilea_put_result result;
        enum ilea_error outcome;
        ilea_control_get_result(&reader, &outcome, &result);
        if (reader.failed) return ILEA_ERROR_MALFORMED;
        writer->answer(writer->context, batch->tags[i], outcome, &result);
    }
    batch->count = 0;
    batch->size = 0;
    writer->first = (writer->first + 1) % (WINDOW + 1);
    writer->sent--;
    return ILEA_ERROR_NONE;
}

static enum ilea_error
send_batch(struct ilea_writer *writer)
{
    struct batch *batch = filling(writer);
    if (batch->count == 0) return ILEA_ERROR_NONE;
    /* The array header has room for its longest form; the shortest one goes right before the puts. */
    struct ilea_msgpack_writer header;
    uint8_t bytes[8];
    ilea_msgpack_writer_init(&header, bytes, sizeof bytes);
    ilea_msgpack_put_array(&header, batch->count);
    uint8_t *frame = batch->frame + ARRAY_HEADER - header.size;
    memcpy(frame + ILEA_CONTROL_HEADER, bytes, header.size);
    ilea_control_put_header(frame, ILEA_CONTROL_PUTS, header.size + batch->size);
    enum ilea_error error =
        ilea_control_send(writer->fd, frame, ILEA_CONTROL_HEADER + header.size + batch->size);
    if (error != ILEA_ERROR_NONE) return error;
    writer->sent++;
    return writer->sent == WINDOW ? receive_batch(writer) : ILEA_ERROR_NONE;
}

static enum ilea_error
put_remote(struct ilea_writer *writer, uint64_t tag, struct ilea_span encoded)
{
    struct batch *batch = filling(writer);
    if (batch->count == ILEA_CONTROL_PUTS_MAX
        || (batch->count > 0 && batch->size + encoded.size > ILEA_CONTROL_BATCH_BYTES)) {
        enum ilea_error error = send_batch(writer);
        if (error != ILEA_ERROR_NONE) return error;
        batch = filling(writer);
    }
    struct ilea_msgpack_writer body;
    ilea_msgpack_writer_init(&body, batch->frame + BATCH_START + batch->size,
                             ILEA_CONTROL_FRAME_MAX - BATCH_START - batch->size);
    ilea_msgpack_put_bin(&body, encoded.data, encoded.size);
    if (body.failed) return ILEA_ERROR_LIMIT;
    batch->size += body.size;
    batch->tags[batch->count++] = tag;
    return ILEA_ERROR_NONE;
}

/* Local. */

static enum ilea_error
commit_local(struct ilea_writer *writer)
{
    struct ilea_author *author = writer->node.author;
    if (ilea_author_transaction(author) == NULL) return ILEA_ERROR_NONE;
    const struct ilea_author_commit *commits;
    uint32_t count;
    enum ilea_error error = ilea_author_commit(author, &commits, &count);
    if (count > 0 && error == ILEA_ERROR_NONE) writer->has_written = true;
    if (error == ILEA_ERROR_NONE) ilea_node_note_audit(&writer->node);
    writer->local_bytes = 0;
    for (uint32_t i = 0; i < writer->due_count; i++) {
        enum ilea_error outcome = writer->due[i].error != ILEA_ERROR_NONE ? writer->due[i].error : error;
        writer->answer(writer->context, writer->due[i].tag, outcome, &writer->due[i].result);
    }
    writer->due_count = 0;
    return error;
}

static enum ilea_error
put_local(struct ilea_writer *writer, uint64_t tag, const struct ilea_put *put, size_t size)
{
    struct ilea_author *author = writer->node.author;
    if (writer->due_count == writer->due_capacity) {
        uint32_t larger = writer->due_capacity == 0 ? 64 : writer->due_capacity * 2;
        void *moved = realloc(writer->due, larger * sizeof *writer->due);
        if (moved == NULL) return ILEA_ERROR_NO_MEMORY;
        writer->due = moved;
        writer->due_capacity = larger;
    }
    struct ilea_put_result result;
    enum ilea_error error = ILEA_ERROR_NONE;
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        if (ilea_author_transaction(author) == NULL) error = ilea_author_begin(author, ilea_wall_ms());
        if (error == ILEA_ERROR_NONE) error = ilea_author_put(author, put, &result);
        if (error != ILEA_ERROR_BUSY) break;
        error = commit_local(writer); /* it was written a moment ago: let the view show it first */
        if (error == ILEA_ERROR_NONE) error = ilea_node_build_view(&writer->node);
        if (error != ILEA_ERROR_NONE) break;
    }
    if (error != ILEA_ERROR_NONE && !ilea_author_refuses(error)) {
        ilea_author_abort(author);
        return error;
    }
    writer->due[writer->due_count].tag = tag;
    writer->due[writer->due_count].error = error;
    writer->due[writer->due_count++].result = result;
    writer->local_bytes += size;
    return writer->local_bytes >= LOCAL_COMMIT_BYTES ? commit_local(writer) : ILEA_ERROR_NONE;
}

enum ilea_error
ilea_writer_put(struct ilea_writer *writer, uint64_t tag, const struct ilea_put *put)
{
    size_t size = 0;
    enum ilea_error error =
        ilea_put_encode(put, writer->encoded, ILEA_CHANGE_SIZE_MAX, &size);
    if (error != ILEA_ERROR_NONE) return error;
    if (writer->fd < 0) return put_local(writer, tag, put, size);
    return put_remote(writer, tag, (struct ilea_span){ writer->encoded, size });
}

enum ilea_error
ilea_writer_flush(struct ilea_writer *writer)
{
    if (writer->fd < 0) return commit_local(writer);
    enum ilea_error error = send_batch(writer);
    while (error == ILEA_ERROR_NONE && writer->sent > 0) error = receive_batch(writer);
    return error;
}

/* Send the request whose body was written behind the header in writer->encoded; the answer's body. */
static enum ilea_error
ask(struct ilea_writer *writer, enum ilea_control_kind kind, const struct ilea_msgpack_writer *request,
    struct ilea_span *answer)
{
    if (request->failed) return ILEA_ERROR_LIMIT;
    struct ilea_control_frame frame;
    ilea_control_put_header(writer->encoded, kind, request->size);
    enum ilea_error error =
        ilea_control_send(writer->fd, writer->encoded, ILEA_CONTROL_HEADER + request->size);
    if (error == ILEA_ERROR_NONE) error = ilea_control_receive(writer->fd, writer->buffer, &frame);
    if (error == ILEA_ERROR_NONE && frame.kind != kind) error = ILEA_ERROR_MALFORMED;
    if (error == ILEA_ERROR_NONE) *answer = frame.body;
    return error;
}

static struct ilea_msgpack_writer
request_writer(struct ilea_writer *writer)
{
    struct ilea_msgpack_writer body;
    ilea_msgpack_writer_init(&body, writer->encoded + ILEA_CONTROL_HEADER,
                             ILEA_CONTROL_FRAME_MAX - ILEA_CONTROL_HEADER);
    return body;
}

/* A group commit of its own, in this process: it may fail alone. */
static enum ilea_error
begin_local(struct ilea_writer *writer)
{
    enum ilea_error error = commit_local(writer);
    return error == ILEA_ERROR_NONE ? ilea_author_begin(writer->node.author, ilea_wall_ms()) : error;
}

static enum ilea_error
end_local(struct ilea_writer *writer, enum ilea_error error, enum ilea_error refused)
{
    if (error == ILEA_ERROR_NONE && refused == ILEA_ERROR_NONE) return commit_local(writer);
    ilea_author_abort(writer->node.author);
    return error;
}

enum ilea_error
ilea_writer_card(struct ilea_writer *writer, struct ilea_span text,
                 struct ilea_control_agency *agency)
{
    if (writer->fd < 0) {
        enum ilea_error error = begin_local(writer);
        if (error != ILEA_ERROR_NONE) return error;
        error = ilea_agency_card(&writer->node, text, ilea_wall_ms(), agency);
        return end_local(writer, error, agency->error);
    }
    struct ilea_msgpack_writer body = request_writer(writer);
    struct ilea_span answer;
    ilea_msgpack_put_array(&body, 1);
    ilea_msgpack_put_bin(&body, text.data, text.size);
    enum ilea_error error = ask(writer, ILEA_CONTROL_CARD, &body, &answer);
    return error == ILEA_ERROR_NONE ? ilea_control_get_agency(answer, agency) : error;
}

static enum ilea_error
decide_local(struct ilea_writer *writer, const struct ilea_trust_request *request,
             struct ilea_control_decision *answer)
{
    enum ilea_error error = ILEA_ERROR_BUSY;
    for (unsigned attempt = 0; error == ILEA_ERROR_BUSY && attempt < 2; attempt++) {
        if (attempt > 0) error = ilea_node_build_view(&writer->node);
        if (attempt == 0 || error == ILEA_ERROR_NONE) error = begin_local(writer);
        if (error != ILEA_ERROR_NONE) return error;
        error = ilea_trust_decide(&writer->node, request, ilea_wall_ms(), answer);
        error = end_local(writer, error, answer->error);
    }
    writer->has_written = true;
    return error;
}

enum ilea_error
ilea_writer_decide(struct ilea_writer *writer, const struct ilea_trust_request *request,
                   struct ilea_control_decision *answer)
{
    if (writer->fd < 0) return decide_local(writer, request, answer);
    struct ilea_msgpack_writer body = request_writer(writer);
    struct ilea_span bytes;
    ilea_control_put_request(&body, request);
    enum ilea_error error = ask(writer, ILEA_CONTROL_DECIDE, &body, &bytes);
    return error == ILEA_ERROR_NONE ? ilea_control_get_decision(bytes, answer) : error;
}

/* The view was built when the writer was opened; what this process wrote since makes it BUSY once. */
static enum ilea_error
erase_local(struct ilea_writer *writer, const struct ilea_control_erase *erase, struct ilea_control_erased *erased)
{
    const struct ilea_erase_request request = ilea_control_erase_request(erase, writer->node.config.erase_day);
    enum ilea_error error = commit_local(writer);
    if (error == ILEA_ERROR_NONE) error = ilea_node_build_view(&writer->node);
    if (error == ILEA_ERROR_NONE) error = begin_local(writer);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_author_erase(writer->node.author, &request, &erased->result);
    erased->error = ILEA_ERROR_NONE;
    if (erased->result.reason[0] != '\0') {
        erased->error = error;
        error = ILEA_ERROR_NONE;
    }
    error = end_local(writer, error, erased->error);
    writer->has_written = true;
    return error;
}

enum ilea_error
ilea_writer_erase(struct ilea_writer *writer, const struct ilea_control_erase *erase,
                  struct ilea_control_erased *erased)
{
    if (writer->fd < 0) return erase_local(writer, erase, erased);
    struct ilea_msgpack_writer body = request_writer(writer);
    struct ilea_span answer;
    ilea_control_put_erase(&body, erase);
    enum ilea_error error = ask(writer, ILEA_CONTROL_ERASE, &body, &answer);
    return error == ILEA_ERROR_NONE ? ilea_control_get_erased(answer, erased) : error;
}

static enum ilea_error
audience_local(struct ilea_writer *writer, const struct ilea_audience_request *request,
               struct ilea_control_audience *answer)
{
    enum ilea_error error = begin_local(writer);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_author_change_audience(writer->node.author, request, &answer->result);
    answer->error = ILEA_ERROR_NONE;
    if (answer->result.reason[0] != '\0') {
        answer->error = error;
        error = ILEA_ERROR_NONE;
    }
    error = end_local(writer, error, answer->error);
    writer->has_written = true;
    return error;
}

enum ilea_error
ilea_writer_audience(struct ilea_writer *writer, const struct ilea_audience_request *request,
                     struct ilea_control_audience *answer)
{
    if (writer->fd < 0) return audience_local(writer, request, answer);
    struct ilea_msgpack_writer body = request_writer(writer);
    struct ilea_span bytes;
    ilea_control_put_audience(&body, request);
    enum ilea_error error = ask(writer, ILEA_CONTROL_AUDIENCE, &body, &bytes);
    return error == ILEA_ERROR_NONE ? ilea_control_get_audience_answer(bytes, answer) : error;
}

enum ilea_error
ilea_writer_compact(struct ilea_writer *writer, struct ilea_control_compacted *compacted)
{
    if (writer->fd < 0) {
        compacted->error = ilea_compact(&writer->node, &compacted->sizes);
        return ILEA_ERROR_NONE;
    }
    struct ilea_msgpack_writer body = request_writer(writer);
    struct ilea_span answer;
    ilea_msgpack_put_array(&body, 0);
    enum ilea_error error = ask(writer, ILEA_CONTROL_COMPACT, &body, &answer);
    return error == ILEA_ERROR_NONE ? ilea_control_get_compacted(answer, compacted) : error;
}

enum ilea_error
ilea_writer_seal(struct ilea_writer *writer, const struct ilea_control_seal *seal,
                 struct ilea_control_sealed *sealed)
{
    enum ilea_error error;
    if (writer->fd < 0) {
        struct ilea_transaction *txn = NULL;
        error = ilea_transaction_begin(ilea_log_environment(writer->node.log), false, &txn);
        if (error == ILEA_ERROR_NONE) ilea_desk_seal(&writer->node, txn, seal, ilea_wall_ms(), sealed);
        ilea_transaction_abort(txn);
        return error;
    }
    struct ilea_msgpack_writer body = request_writer(writer);
    struct ilea_span answer;
    ilea_control_put_seal(&body, seal);
    error = ask(writer, ILEA_CONTROL_SEAL, &body, &answer);
    return error == ILEA_ERROR_NONE ? ilea_control_get_sealed(answer, sealed) : error;
}

/* The answer to the oldest chunk on its way. */
static enum ilea_error
receive_chunk(struct ilea_writer *writer, ilea_writer_bundle_answer *answer, void *context)
{
    struct ilea_control_frame frame;
    struct ilea_control_bundle bundle;
    enum ilea_error error = ilea_control_receive(writer->fd, writer->buffer, &frame);
    if (error == ILEA_ERROR_NONE && frame.kind != ILEA_CONTROL_BUNDLE) error = ILEA_ERROR_MALFORMED;
    if (error == ILEA_ERROR_NONE) error = ilea_control_get_bundle(frame.body, &bundle);
    if (error != ILEA_ERROR_NONE) return error;
    writer->chunk_bytes -= writer->chunk_sizes[writer->chunk_first];
    writer->chunk_first = (writer->chunk_first + 1) % BUNDLE_WINDOW;
    writer->chunk_count--;
    answer(context, &bundle);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
send_chunk(struct ilea_writer *writer, const struct ilea_control_chunk *chunk, ilea_writer_bundle_answer *answer,
           void *context)
{
    while (writer->chunk_count > 0
           && (writer->chunk_count == BUNDLE_WINDOW || writer->chunk_bytes + chunk->bytes.size > BUNDLE_WINDOW_BYTES)) {
        enum ilea_error error = receive_chunk(writer, answer, context);
        if (error != ILEA_ERROR_NONE) return error;
    }
    struct ilea_msgpack_writer body = request_writer(writer);
    ilea_control_put_chunk(&body, chunk);
    if (body.failed) return ILEA_ERROR_LIMIT;
    ilea_control_put_header(writer->encoded, ILEA_CONTROL_BUNDLE, body.size);
    enum ilea_error error = ilea_control_send(writer->fd, writer->encoded, ILEA_CONTROL_HEADER + body.size);
    if (error != ILEA_ERROR_NONE) return error;
    writer->chunk_sizes[(writer->chunk_first + writer->chunk_count) % BUNDLE_WINDOW] = chunk->bytes.size;
    writer->chunk_count++;
    writer->chunk_bytes += chunk->bytes.size;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_writer_bundle(struct ilea_writer *writer, const struct ilea_control_chunk *chunk,
                   ilea_writer_bundle_answer *answer, void *context)
{
    if (writer->fd >= 0) return send_chunk(writer, chunk, answer, context);
    enum ilea_error error = ILEA_ERROR_NONE;
    if (writer->alone == NULL) error = ilea_driver_alone(&writer->node, &writer->alone);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_control_bundle bundle;
    ilea_driver_bundle(writer->alone, 0, chunk, &bundle);
    if (bundle.counts.taken > 0) writer->has_written = true;
    answer(context, &bundle);
    writer->local_bytes += chunk->bytes.size;
    if (writer->local_bytes < LOCAL_COMMIT_BYTES) return ILEA_ERROR_NONE;
    writer->local_bytes = 0;
    return ilea_driver_alone_commit(writer->alone);
}

enum ilea_error
ilea_writer_bundle_flush(struct ilea_writer *writer, ilea_writer_bundle_answer *answer, void *context)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    while (error == ILEA_ERROR_NONE && writer->chunk_count > 0) error = receive_chunk(writer, answer, context);
    if (writer->alone != NULL) error = ilea_driver_alone_commit(writer->alone);
    writer->local_bytes = 0;
    return error;
}

enum ilea_error
ilea_writer_settle(struct ilea_writer *writer, int wait_ms)
{
    if (writer->fd < 0) return ilea_node_build_view(&writer->node);
    for (int waited = 0;; waited += 5) {
        uint8_t request[ILEA_CONTROL_HEADER + 1];
        request[ILEA_CONTROL_HEADER] = 0x90; /* an empty array */
        ilea_control_put_header(request, ILEA_CONTROL_STATUS, 1);
        struct ilea_control_frame frame;
        struct ilea_control_status status;
        enum ilea_error error = ilea_control_send(writer->fd, request, sizeof request);
        if (error == ILEA_ERROR_NONE) error = ilea_control_receive(writer->fd, writer->buffer, &frame);
        if (error == ILEA_ERROR_NONE) error = ilea_control_get_status(frame.body, &status);
        if (error != ILEA_ERROR_NONE) return error;
        if (status.view_position >= status.position) return ILEA_ERROR_NONE;
        if (waited >= wait_ms) return ILEA_ERROR_BUSY;
        const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
        (void)nanosleep(&pause, NULL);
    }
}
