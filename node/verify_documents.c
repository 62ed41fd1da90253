/* verify_documents.c - verify: every chunk of a document that is here is what its record says. */
#include <stdlib.h>
#include <string.h>

#include "crypto/random.h"
#include "node/blob_file.h"
#include "node/command_document.h"
#include "node/verify.h"
#include "replication/store/view_store.h"

/* For the fault's line: "plan.pdf of FR-PN-N42". */
static void
name_document(struct ilea_snapshot *snapshot, const struct ilea_view_document *row, char *text, size_t size)
{
    struct ilea_record_info info;
    struct ilea_listed_document listed[ILEA_DOCUMENTS_MAX];
    (void)snprintf(text, size, "a document of record %llu", (unsigned long long)row->record);
    if (ilea_snapshot_by_number(snapshot, row->record, &info) != ILEA_ERROR_NONE) return;
    uint32_t count = ilea_list_documents(snapshot, listed);
    for (uint32_t i = 0; i < count; i++) {
        const struct ilea_document *document = &listed[i].document;
        if (memcmp(document->root.bytes, row->root.bytes, sizeof row->root.bytes) != 0) continue;
        (void)snprintf(text, size, "document %.*s of %s", (int)(document->name.size < 100 ? document->name.size : 100),
                       (const char *)document->name.data, info.ref);
    }
    ilea_wipe(listed, sizeof listed);
}

static void
verify_document(struct ilea_verify *verify, struct ilea_snapshot *snapshot, const struct ilea_view_document *row,
                uint8_t *sealed)
{
    struct ilea_blob_file *file = NULL;
    char name[ILEA_REASON_SIZE];
    enum ilea_error error = ilea_blob_file_open(verify->command->home, &row->root, false, &file);
    if (error == ILEA_ERROR_NOT_FOUND) return; /* it was not fetched */
    name_document(snapshot, row, name, sizeof name);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_blob_file_list(file, &ilea_log_identity(verify->log)->network, &row->key,
                                    (struct ilea_span){ NULL, 0 });
    }
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) {
        ilea_verify_fault(verify, "%s: its list: %s", name, ilea_error_text(error));
        verify->document_faults++;
    }
    uint32_t count = error == ILEA_ERROR_NONE ? ilea_blob_file_count(file) : 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t size;
        error = ilea_blob_file_get(file, i, sealed, &size);
        ilea_progress_show(&verify->progress, "chunks", ++verify->chunks);
        if (error == ILEA_ERROR_NONE || error == ILEA_ERROR_NOT_FOUND) continue;
        ilea_verify_fault(verify, "%s: chunk %u of %u: %s", name, i + 1, count,
                          error == ILEA_ERROR_BAD_HASH ? "damaged" : ilea_error_text(error));
        verify->document_faults++;
    }
    if (count > 0 && ilea_blob_file_held(file) == count) verify->documents++;
    ilea_blob_file_close(file);
}

enum ilea_error
ilea_verify_documents(struct ilea_verify *verify, struct ilea_transaction *view)
{
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_view_document row = { .record = 0 };
    uint8_t *sealed = malloc(ILEA_BLOB_SEALED_MAX);
    enum ilea_error error = sealed != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_replica_open(verify->command->home, &replica);
    if (error == ILEA_ERROR_NONE) error = ilea_snapshot_begin(replica, &snapshot);
    while (error == ILEA_ERROR_NONE) {
        error = ilea_view_document_next(view, &row);
        if (error == ILEA_ERROR_NONE) verify_document(verify, snapshot, &row, sealed);
    }
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    ilea_wipe(&row, sizeof row);
    free(sealed);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}
