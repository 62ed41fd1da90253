/*
 * driver_documents.c - which documents are here, which are to be, and which no longer: the log's rows are brought in
 * line with the records that the view shows; the ones that are wanted are fetched, one at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/random.h"
#include "node/driver_state.h"
#include "node/reach.h"
#include "replication/merge/record.h"

static bool
is_root(const struct ilea_blob_id *a, const struct ilea_blob_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* The view, if it can be asked now. */
static struct ilea_transaction *
read_view(const struct driver *driver)
{
    struct ilea_transaction *txn = NULL;
    if (driver->node->view == NULL || driver->next_generation != 0) return NULL;
    return ilea_transaction_begin(driver->node->view, false, &txn) == ILEA_ERROR_NONE ? txn : NULL;
}

/* Whether no record names a document. An error is no answer. */
static enum ilea_error
is_unnamed(struct ilea_transaction *view, const struct ilea_blob_id *root, bool *unnamed)
{
    struct ilea_view_document row = { .root = *root };
    enum ilea_error error = ilea_view_document_next(view, &row);
    *unnamed = error == ILEA_ERROR_NOT_FOUND || (error == ILEA_ERROR_NONE && !is_root(&row.root, root));
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* The next record that names a document, after `row`. */
static bool
next_naming(struct ilea_transaction *view, const struct ilea_blob_id *root, struct ilea_view_document *row)
{
    return ilea_view_document_next(view, row) == ILEA_ERROR_NONE && is_root(&row->root, root);
}

/* Whether an agency is allowed in the closed audience that a record is in. */
static bool
is_in_audience(struct driver *driver, const struct ilea_record *record, const struct ilea_agency_id *agency)
{
    struct ilea_audience_id audience;
    return ilea_record_audience_of(record, &audience) && ilea_driver_is_entitled(driver, agency, &audience);
}

/* Whether a record reaches an agency with this grant. */
static bool
reaches(struct driver *driver, const struct ilea_view_row *row, const struct ilea_agency_row *agency)
{
    struct ilea_record record;
    char list[ILEA_AGENCY_TEXT_MAX + 1];
    if (!ilea_scope_is_shared(row->scope)) return false;
    ilea_record_init(&record);
    bool gets = ilea_record_decode(row->state, &record) == ILEA_ERROR_NONE
        && (row->scope == ILEA_SCOPE_PEERS || is_in_audience(driver, &record, &agency->id));
    size_t size = agency->grant.areas.size < sizeof list ? agency->grant.areas.size : sizeof list - 1;
    if (size > 0) memcpy(list, agency->grant.areas.data, size);
    list[size] = '\0';
    gets = gets
        && ilea_reach_of(agency->state, agency->grant.tlp_max, size > 0 ? list : NULL,
                         ilea_record_label(&record, row->scope), ilea_reach_record_within, &record) == ILEA_REACH_GETS;
    ilea_record_deinit(&record);
    return gets;
}

bool
ilea_driver_may_have(struct driver *driver, uint32_t link, const struct ilea_document_row *row)
{
    const struct ilea_agency_id *peer = &driver->peers[link].agency;
    if (memcmp(peer->bytes, ilea_log_identity(driver->node->log)->agency.bytes, ILEA_ID_SIZE) == 0) return true;
    if (!ilea_replicator_carries(driver->replicator, link, &row->agency)) return false;
    struct ilea_transaction *own, *txn = ilea_driver_read(driver, &own), *view = read_view(driver);
    struct ilea_agency_row agency;
    struct ilea_view_document naming = { .root = row->root };
    bool may = false;
    if (txn != NULL && view != NULL && ilea_log_agency(txn, peer, &agency) == ILEA_ERROR_NONE) {
        while (!may && next_naming(view, &row->root, &naming)) {
            struct ilea_view_row record;
            may = ilea_view_get(view, naming.record, &record) == ILEA_ERROR_NONE
                && reaches(driver, &record, &agency);
        }
    }
    ilea_transaction_abort(view);
    ilea_transaction_abort(own);
    return may;
}

bool
ilea_driver_may_ask(struct driver *driver, uint32_t link, const struct ilea_document_row *row)
{
    const struct ilea_agency_id *peer = &driver->peers[link].agency;
    const struct ilea_agency_id *self = &ilea_log_identity(driver->node->log)->agency;
    if (!ilea_replicator_carries(driver->replicator, link, &row->agency)) return false;
    if (memcmp(peer->bytes, row->agency.bytes, sizeof peer->bytes) == 0) return true;
    if (memcmp(peer->bytes, self->bytes, sizeof peer->bytes) == 0) return true;
    struct ilea_transaction *view = read_view(driver);
    struct ilea_view_document naming = { .root = row->root };
    bool may = false;
    while (view != NULL && !may && next_naming(view, &row->root, &naming)) {
        struct ilea_view_row found;
        struct ilea_record record;
        if (ilea_view_get(view, naming.record, &found) != ILEA_ERROR_NONE) break;
        ilea_record_init(&record);
        may = found.scope == ILEA_SCOPE_PEERS
            || (found.scope == ILEA_SCOPE_AUDIENCE && ilea_record_decode(found.state, &record) == ILEA_ERROR_NONE
                && is_in_audience(driver, &record, peer));
        ilea_record_deinit(&record);
    }
    ilea_transaction_abort(view);
    ilea_wipe(&naming, sizeof naming);
    return may;
}

bool
ilea_driver_names_document(const struct driver *driver, const struct ilea_blob_id *root)
{
    struct ilea_transaction *view = read_view(driver);
    bool unnamed = false;
    bool names = view == NULL || is_unnamed(view, root, &unnamed) != ILEA_ERROR_NONE || !unnamed;
    ilea_transaction_abort(view);
    return names;
}

enum ilea_error
ilea_driver_open_list(struct driver *driver, struct ilea_blob_file *file, const struct ilea_blob_id *root,
                      struct ilea_span sealed)
{
    struct ilea_transaction *view = read_view(driver);
    struct ilea_view_document row = { .root = *root };
    enum ilea_error error = ILEA_ERROR_INVALID;
    if (view == NULL) return ILEA_ERROR_BUSY;
    while (error == ILEA_ERROR_INVALID && next_naming(view, root, &row)) {
        error = ilea_blob_file_list(file, &ilea_log_identity(driver->node->log)->network, &row.key, sealed);
        bool fits = error != ILEA_ERROR_NONE || ilea_blob_file_count(file) == ilea_document_chunks(row.size);
        if (!fits) error = ILEA_ERROR_INVALID;
    }
    ilea_transaction_abort(view);
    ilea_wipe(&row, sizeof row);
    return error;
}

/* What the log is to say of a document that a record names. */
static enum ilea_error
make_row(struct ilea_transaction *view, const struct ilea_view_document *naming, bool wanted,
         struct ilea_document_row *row)
{
    struct ilea_view_row record;
    struct ilea_view_agency agency;
    enum ilea_error error = ilea_view_get(view, naming->record, &record);
    if (error == ILEA_ERROR_NONE) error = ilea_view_agency(view, record.agency, &agency);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    *row = (struct ilea_document_row){ .root = naming->root, .size = naming->size, .agency = agency.id,
                                       .wanted = wanted };
    return ILEA_ERROR_NONE;
}

static enum ilea_error
put_row(struct driver *driver, const struct ilea_document_row *row)
{
    enum ilea_error error = ilea_driver_transaction(driver);
    if (error == ILEA_ERROR_NONE) error = ilea_log_put_document(ilea_author_transaction(driver->node->author), row);
    return error;
}

static void
close_file(struct driver *driver)
{
    struct documents *documents = &driver->documents;
    ilea_blob_file_close(documents->file);
    documents->file = NULL;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        free(documents->links[i].bytes);
        documents->links[i].bytes = NULL;
        documents->links[i].got = 0;
    }
}

/* How it went, for the commands that wait for it. */
static void
note_state(struct documents *documents, const struct ilea_blob_id *root, enum ilea_document_state state)
{
    for (uint32_t i = 0; i < documents->asked_count; i++) {
        if (!is_root(&documents->asked[i].root, root)) continue;
        documents->asked[i].state = state;
        documents->asked[i].retry_ms = ilea_monotonic_ms() + DOCUMENT_REST_MS;
    }
}

void
ilea_driver_stop_document(struct driver *driver, enum ilea_document_state state)
{
    struct documents *documents = &driver->documents;
    if (documents->file == NULL) return;
    enum ilea_error error = ilea_blob_file_sync(documents->file);
    if (error != ILEA_ERROR_NONE) ilea_driver_log_error(driver, "document_write", error);
    note_state(documents, &documents->row.root, error == ILEA_ERROR_FULL ? ILEA_DOCUMENT_DISK_FULL : state);
    uint64_t rest_ms = state == ILEA_DOCUMENT_NOBODY ? DOCUMENT_REST_MS : DOCUMENT_IDLE_MS;
    if (state != ILEA_DOCUMENT_QUEUED) documents->rest_ms = ilea_monotonic_ms() + rest_ms;
    close_file(driver);
}

enum ilea_error
ilea_driver_drop_document(struct driver *driver, const struct ilea_blob_id *root)
{
    struct documents *documents = &driver->documents;
    if (documents->file != NULL && is_root(&documents->row.root, root)) close_file(driver);
    ilea_driver_close_served(driver, root);
    note_state(documents, root, ILEA_DOCUMENT_UNKNOWN);
    /* The files first: a row that is left finds them again. */
    enum ilea_error error = ilea_blob_file_remove(driver->node->home, root);
    if (error != ILEA_ERROR_NONE) {
        ilea_driver_log_error(driver, "document_remove", error);
        return ILEA_ERROR_BUSY;
    }
    error = ilea_driver_transaction(driver);
    if (error == ILEA_ERROR_NONE) error = ilea_log_delete_document(ilea_author_transaction(driver->node->author), root);
    if (error == ILEA_ERROR_NONE) ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "document_dropped", NULL);
    return error;
}

void
ilea_driver_reset_documents(struct driver *driver)
{
    struct documents *documents = &driver->documents;
    ilea_driver_stop_document(driver, ILEA_DOCUMENT_QUEUED);
    ilea_driver_close_served(driver, NULL);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) documents->links[i] = (struct document_link){ .session = 0 };
    documents->seen = UINT64_MAX;
    documents->sweep = SWEEP_NOT;
    documents->was_current = false;
}

void
ilea_driver_end_documents(struct driver *driver)
{
    ilea_driver_reset_documents(driver);
    free(driver->documents.transfer);
    free(driver->documents.sealed);
}

/* A document that a record names: in the log, if it is here or is to be. */
static enum ilea_error
settle_named(struct driver *driver, struct ilea_transaction *log, struct ilea_transaction *view,
             const struct ilea_view_document *naming)
{
    struct ilea_document_row row;
    uint32_t held, count;
    enum ilea_error error = ilea_log_document(log, &naming->root, &row);
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    ilea_blob_file_progress(driver->node->home, &naming->root, &held, &count);
    if (count == 0 && !driver->node->config.all_documents) return ILEA_ERROR_NONE;
    error = make_row(view, naming, count == 0 || held < count, &row);
    return error == ILEA_ERROR_NONE ? put_row(driver, &row) : error;
}

/* One that the log has: gone, if no record names it any more; to be fetched, if the log came back without the files. */
static enum ilea_error
settle_held(struct driver *driver, struct ilea_transaction *view, struct ilea_document_row *row)
{
    bool unnamed = false;
    enum ilea_error error = is_unnamed(view, &row->root, &unnamed);
    if (error != ILEA_ERROR_NONE) return error;
    if (unnamed) {
        error = ilea_driver_drop_document(driver, &row->root);
        return error == ILEA_ERROR_BUSY ? ILEA_ERROR_NONE : error; /* the next sweep tries again */
    }
    if (row->wanted || ilea_blob_file_is_whole(driver->node->home, &row->root)) return ILEA_ERROR_NONE;
    row->wanted = true;
    return put_row(driver, row);
}

/* What lies in blobs/ though nothing names it: of attaching that ended in the middle. */
static void
clean_disk(struct driver *driver, struct ilea_transaction *log, struct ilea_transaction *view)
{
    struct ilea_blob_id *roots = NULL;
    uint32_t count, leftover;
    enum ilea_error error = ilea_blob_file_roots(driver->node->home, &roots, &count, &leftover);
    for (uint32_t i = 0; i < count && error == ILEA_ERROR_NONE; i++) {
        struct ilea_document_row row;
        bool unnamed = false;
        error = is_unnamed(view, &roots[i], &unnamed);
        if (error != ILEA_ERROR_NONE || !unnamed || ilea_log_document(log, &roots[i], &row) != ILEA_ERROR_NOT_FOUND
            || ilea_blob_file_is_fresh(driver->node->home, &roots[i], SWEEP_FRESH_S)) {
            continue;
        }
        error = ilea_blob_file_remove(driver->node->home, &roots[i]);
    }
    free(roots);
    if (error != ILEA_ERROR_NONE) ilea_driver_log_error(driver, "document_remove", error);
}

/* Some rows more of what is being looked at. */
static enum ilea_error
sweep_some(struct driver *driver, struct ilea_transaction *log, struct ilea_transaction *view, uint64_t now)
{
    struct documents *documents = &driver->documents;
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; i < SWEEP_ROWS && error == ILEA_ERROR_NONE; i++) {
        if (documents->sweep == SWEEP_VIEW) {
            error = ilea_view_document_next(view, &documents->sweep_view);
            if (error == ILEA_ERROR_NONE) error = settle_named(driver, log, view, &documents->sweep_view);
            if (error == ILEA_ERROR_NOT_FOUND) {
                error = ILEA_ERROR_NONE;
                documents->sweep = SWEEP_LOG;
                documents->sweep_log = (struct ilea_blob_id){ { 0 } };
            }
        } else if (documents->sweep == SWEEP_LOG) {
            struct ilea_document_row row;
            error = ilea_log_document_next(log, &documents->sweep_log, &row);
            if (error == ILEA_ERROR_NONE) {
                documents->sweep_log = row.root;
                error = settle_held(driver, view, &row);
            } else if (error == ILEA_ERROR_NOT_FOUND) {
                error = ILEA_ERROR_NONE;
                documents->sweep = now >= documents->sweep_disk_ms ? SWEEP_DISK : SWEEP_NOT;
                documents->seen = documents->sweep_count;
            }
        } else if (documents->sweep == SWEEP_DISK) {
            clean_disk(driver, log, view);
            documents->sweep = SWEEP_NOT;
            documents->sweep_disk_ms = now + SWEEP_MS;
        } else {
            break;
        }
    }
    return error;
}

/* Only a view that came as far as the log can say that nothing names a document: of one that is being made the log may
 * know more. From then on it can, though it lags: what it showed once it still shows, or it was taken off. */
static void
sweep(struct driver *driver, uint64_t now)
{
    struct documents *documents = &driver->documents;
    struct ilea_view_meta meta;
    bool is_current = driver->view_position > 0 && driver->view_position >= ilea_author_position(driver->node->author);
    if (is_current) documents->was_current = true;
    struct ilea_transaction *view = documents->was_current ? read_view(driver) : NULL;
    if (view == NULL || ilea_view_load_meta(view, &meta) != ILEA_ERROR_NONE) {
        documents->sweep = SWEEP_NOT; /* it begins again */
        ilea_transaction_abort(view);
        return;
    }
    if (documents->sweep == SWEEP_NOT && (meta.documents != documents->seen || now >= documents->sweep_disk_ms)) {
        documents->sweep = SWEEP_VIEW;
        documents->sweep_view = (struct ilea_view_document){ .record = 0 };
        documents->sweep_count = meta.documents;
        documents->rest_ms = 0;
    }
    enum ilea_error error = ILEA_ERROR_NONE;
    if (documents->sweep != SWEEP_NOT) error = ilea_driver_transaction(driver);
    if (documents->sweep != SWEEP_NOT && error == ILEA_ERROR_NONE) {
        error = sweep_some(driver, ilea_author_transaction(driver->node->author), view, now);
    }
    ilea_transaction_abort(view);
    if (error == ILEA_ERROR_NONE) return;
    documents->sweep = SWEEP_NOT;
    ilea_driver_recover(driver, "documents", error);
}

/* Bytes that documents take here, but for those of one of them. */
static uint64_t
bytes_used(struct driver *driver, struct ilea_transaction *log, const struct ilea_blob_id *but)
{
    struct ilea_document_row row;
    const struct ilea_blob_id *after = NULL;
    struct ilea_blob_id last;
    uint64_t used = 0;
    while (ilea_log_document_next(log, after, &row) == ILEA_ERROR_NONE) {
        uint32_t held, count;
        last = row.root;
        after = &last;
        if (is_root(&row.root, but)) continue;
        if (row.wanted) ilea_blob_file_progress(driver->node->home, &row.root, &held, &count);
        used += row.wanted ? (uint64_t)held * ILEA_BLOB_CHUNK_SIZE : row.size;
    }
    return used;
}

/* Begin fetching; what is here already is not fetched again. */
static void
start(struct driver *driver, const struct ilea_document_row *row, uint64_t now)
{
    struct documents *documents = &driver->documents;
    if (documents->transfer == NULL) documents->transfer = malloc(sizeof *documents->transfer);
    if (documents->transfer == NULL) {
        note_state(documents, &row->root, ILEA_DOCUMENT_NOBODY);
        return;
    }
    uint32_t author = 0;
    while (author < ILEA_LINKS_MAX
           && (!driver->peers[author].exists
               || memcmp(driver->peers[author].agency.bytes, row->agency.bytes, ILEA_ID_SIZE) != 0)) {
        author++;
    }
    ilea_driver_close_served(driver, &row->root);
    documents->row = *row;
    documents->last = row->root;
    enum ilea_error error = ilea_blob_file_open(driver->node->home, &row->root, true, &documents->file);
    if (error != ILEA_ERROR_NONE) {
        ilea_driver_log_error(driver, "document_write", error);
        note_state(documents, &row->root, ILEA_DOCUMENT_DISK_FULL);
        documents->rest_ms = now + DOCUMENT_REST_MS;
        return;
    }
    note_state(documents, &row->root, ILEA_DOCUMENT_COMING);
    ilea_transfer_init(documents->transfer, now, author);
    if (ilea_driver_open_list(driver, documents->file, &row->root, (struct ilea_span){ NULL, 0 }) == ILEA_ERROR_NONE) {
        ilea_transfer_list(documents->transfer, ilea_blob_file_count(documents->file),
                           ilea_blob_file_have(documents->file));
    }
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (documents->links[i].session == 0) continue;
        if (ilea_driver_may_ask(driver, i, row)) ilea_transfer_link_up(documents->transfer, now, i);
    }
}

static bool
fits(struct driver *driver, struct ilea_transaction *log, const struct ilea_document_row *row)
{
    uint64_t max = driver->node->config.documents_max;
    if (row->size <= max && bytes_used(driver, log, &row->root) <= max - row->size) return true;
    note_state(&driver->documents, &row->root, ILEA_DOCUMENT_QUOTA);
    return false;
}

/* What somebody waits for comes first. */
static bool
choose_asked(struct driver *driver, struct ilea_transaction *log, uint64_t now, struct ilea_document_row *row)
{
    struct documents *documents = &driver->documents;
    for (uint32_t i = 0; i < documents->asked_count; i++) {
        bool waits = documents->asked[i].state == ILEA_DOCUMENT_QUEUED
            || (documents->asked[i].state >= ILEA_DOCUMENT_NOBODY && now >= documents->asked[i].retry_ms);
        if (!waits) continue;
        const struct ilea_blob_id root = documents->asked[i].root;
        enum ilea_error error = log != NULL ? ilea_log_document(log, &root, row) : ILEA_ERROR_BUSY;
        if (error == ILEA_ERROR_NONE && row->wanted && fits(driver, log, row)) return true;
        if (error == ILEA_ERROR_NONE && !row->wanted) note_state(documents, &root, ILEA_DOCUMENT_HELD);
        if (error == ILEA_ERROR_NOT_FOUND) note_state(documents, &root, ILEA_DOCUMENT_UNKNOWN);
        if (error == ILEA_ERROR_BUSY || error == ILEA_ERROR_CORRUPT) note_state(documents, &root, ILEA_DOCUMENT_NOBODY);
    }
    return false;
}

/* Commands that do not ask any more. What they wanted is fetched all the same, in its turn. */
static void
forget_asked(struct documents *documents, uint64_t now)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < documents->asked_count; i++) {
        if (now < documents->asked[i].heard_ms + DOCUMENT_ASKED_MS) documents->asked[kept++] = documents->asked[i];
    }
    documents->asked_count = kept;
}

/* The next one that is wanted, in the order of the roots, round and round. */
static bool
choose_next(struct driver *driver, struct ilea_transaction *log, struct ilea_document_row *row)
{
    struct documents *documents = &driver->documents;
    struct ilea_blob_id at = documents->last;
    bool is_second = false;
    for (;;) {
        if (ilea_log_document_next(log, &at, row) != ILEA_ERROR_NONE) {
            if (is_second) return false;
            is_second = true;
            at = (struct ilea_blob_id){ { 0 } };
            continue;
        }
        if (is_second && memcmp(row->root.bytes, documents->last.bytes, sizeof row->root.bytes) > 0) return false;
        at = row->root;
        if (row->wanted && fits(driver, log, row)) return true;
    }
}

static void
choose(struct driver *driver, uint64_t now)
{
    struct documents *documents = &driver->documents;
    struct ilea_document_row row;
    struct ilea_transaction *own, *log = ilea_driver_read(driver, &own);
    bool has_link = false;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) has_link = has_link || documents->links[i].session != 0;
    forget_asked(documents, now);
    bool is_found = choose_asked(driver, log, now, &row);
    if (!is_found && documents->file == NULL && now >= documents->rest_ms) {
        is_found = has_link && log != NULL && choose_next(driver, log, &row);
        documents->rest_ms = now + (is_found ? DOCUMENT_REST_MS : DOCUMENT_IDLE_MS);
    }
    ilea_transaction_abort(own);
    if (!is_found) return;
    ilea_driver_stop_document(driver, ILEA_DOCUMENT_QUEUED);
    start(driver, &row, now);
}

/* All of it is here, durable and as its hashes say. */
static void
finish(struct driver *driver)
{
    struct documents *documents = &driver->documents;
    enum ilea_error error = ilea_blob_file_sync(documents->file);
    documents->row.wanted = false;
    if (error == ILEA_ERROR_NONE) error = put_row(driver, &documents->row);
    if (error != ILEA_ERROR_NONE) {
        ilea_driver_log_error(driver, "document_write", error);
        ilea_driver_stop_document(driver, ILEA_DOCUMENT_DISK_FULL);
        return;
    }
    note_state(documents, &documents->row.root, ILEA_DOCUMENT_HELD);
    ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "document_fetched", NULL);
    documents->rest_ms = 0;
    close_file(driver);
}

/* A command waits for another one than that which is being fetched. */
static bool
is_preempted(const struct documents *documents, uint64_t now)
{
    for (uint32_t i = 0; i < documents->asked_count; i++) {
        if (is_root(&documents->asked[i].root, &documents->row.root)) return false;
    }
    for (uint32_t i = 0; i < documents->asked_count; i++) {
        if (documents->asked[i].state == ILEA_DOCUMENT_QUEUED) return true;
        if (documents->asked[i].state == ILEA_DOCUMENT_NOBODY && now >= documents->asked[i].retry_ms) return true;
    }
    return false;
}

void
ilea_driver_tend_documents(struct driver *driver, uint64_t now)
{
    struct documents *documents = &driver->documents;
    if (driver->trouble || driver->reloading) return;
    ilea_driver_follow_document_sessions(driver, now);
    sweep(driver, now);
    if (driver->trouble) return;
    bool may_choose = documents->file == NULL ? ilea_driver_documents_due(driver) <= now : is_preempted(documents, now);
    if (may_choose) choose(driver, now);
    if (documents->file != NULL) ilea_driver_ask_chunks(driver, now);
    if (documents->file != NULL && ilea_transfer_is_done(documents->transfer)) finish(driver);
    if (documents->file != NULL && ilea_transfer_is_stuck(documents->transfer)) {
        ilea_driver_stop_document(driver, ilea_transfer_met_liar(documents->transfer) ? ILEA_DOCUMENT_LIES
                                                                                      : ILEA_DOCUMENT_NOBODY);
    }
    ilea_driver_serve_chunks(driver);
}

uint64_t
ilea_driver_documents_due(const struct driver *driver)
{
    const struct documents *documents = &driver->documents;
    if (driver->trouble || driver->reloading) return ILEA_TIME_NEVER;
    if (documents->sweep != SWEEP_NOT || ilea_driver_has_chunks_to_serve(driver)) return 0;
    if (documents->file != NULL) return ilea_transfer_deadline(documents->transfer);
    uint64_t due = documents->rest_ms;
    for (uint32_t i = 0; i < documents->asked_count; i++) {
        if (documents->asked[i].state == ILEA_DOCUMENT_QUEUED) return 0;
        if (documents->asked[i].state >= ILEA_DOCUMENT_NOBODY && documents->asked[i].retry_ms < due) {
            due = documents->asked[i].retry_ms;
        }
    }
    return due;
}

/* Put it first among those that commands wait for. */
static enum ilea_document_state
ask_first(struct documents *documents, const struct ilea_blob_id *root)
{
    uint32_t at = 0;
    while (at < documents->asked_count && !is_root(&documents->asked[at].root, root)) at++;
    if (at < documents->asked_count) documents->asked[at].heard_ms = ilea_monotonic_ms();
    if (at < documents->asked_count && documents->asked[at].state != ILEA_DOCUMENT_HELD
        && documents->asked[at].state != ILEA_DOCUMENT_UNKNOWN) {
        return documents->asked[at].state;
    }
    if (at == documents->asked_count && at < DOCUMENTS_ASKED_MAX) documents->asked_count++;
    if (at == DOCUMENTS_ASKED_MAX) at--;
    memmove(documents->asked + 1, documents->asked, at * sizeof documents->asked[0]);
    documents->asked[0].root = *root;
    documents->asked[0].state = ILEA_DOCUMENT_QUEUED;
    documents->asked[0].heard_ms = ilea_monotonic_ms();
    return ILEA_DOCUMENT_QUEUED;
}

/* A chunk of it did not open: look, and if that is so, it is no longer held. */
static enum ilea_error
check_damage(struct driver *driver, const struct ilea_blob_id *root, uint32_t index)
{
    struct ilea_blob_file *file = NULL;
    uint8_t *sealed = malloc(ILEA_BLOB_SEALED_MAX);
    size_t size;
    ilea_driver_close_served(driver, root);
    enum ilea_error error = sealed != NULL ? ilea_blob_file_open(driver->node->home, root, true, &file)
                                           : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_driver_open_list(driver, file, root, (struct ilea_span){ NULL, 0 });
    if (error == ILEA_ERROR_BAD_HASH) error = ilea_blob_file_forget_list(file);
    if (error == ILEA_ERROR_NONE && ilea_blob_file_get(file, index, sealed, &size) == ILEA_ERROR_BAD_HASH) {
        ilea_blob_file_forget(file, index);
        error = ilea_blob_file_sync(file);
    }
    ilea_blob_file_close(file);
    free(sealed);
    return error;
}

void
ilea_driver_want_document(struct driver *driver, const struct ilea_blob_id *root, uint32_t damaged,
                          struct ilea_control_document *answer)
{
    struct documents *documents = &driver->documents;
    struct ilea_view_document naming = { .root = *root };
    struct ilea_document_row row = { .root = *root };
    struct ilea_transaction *view = read_view(driver), *own, *log = ilea_driver_read(driver, &own);
    bool is_active = documents->file != NULL && is_root(&documents->row.root, root);
    *answer = (struct ilea_control_document){ .state = ILEA_DOCUMENT_QUEUED };
    bool is_named = view != NULL && next_naming(view, root, &naming);
    bool is_current = driver->view_position >= ilea_author_position(driver->node->author);
    if (view != NULL && !is_named && is_current) answer->state = ILEA_DOCUMENT_UNKNOWN;
    enum ilea_error error = is_named && log != NULL ? make_row(view, &naming, true, &row) : ILEA_ERROR_NOT_FOUND;
    struct ilea_document_row before = { .wanted = false };
    if (error == ILEA_ERROR_NONE) (void)!ilea_log_document(log, root, &before);
    ilea_transaction_abort(own);
    ilea_transaction_abort(view);
    if (error != ILEA_ERROR_NONE) return;
    if (damaged > 0 && !is_active) (void)!check_damage(driver, root, damaged - 1);
    ilea_blob_file_progress(driver->node->home, root, &answer->held, &answer->count);
    if (is_active) answer->held = ilea_blob_file_held(documents->file);
    if (answer->count > 0 && answer->held == answer->count && !is_active) {
        answer->state = ILEA_DOCUMENT_HELD;
        return;
    }
    if (!before.wanted) error = put_row(driver, &row);
    if (error != ILEA_ERROR_NONE) {
        ilea_driver_recover(driver, "documents", error);
        return;
    }
    answer->state = ask_first(documents, root);
    if (is_active) answer->state = ILEA_DOCUMENT_COMING;
}
