/* view_documents.c - which documents the records of the view name. */
#include <string.h>

#include "node/view_builder_state.h"
#include "replication/record/document.h"

uint32_t
ilea_builder_collect_documents(const struct ilea_record *record, struct ilea_view_document *rows)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < record->entry_count && count < ILEA_DOCUMENTS_MAX; i++) {
        const struct ilea_entry *entry = &record->entries[i];
        struct ilea_document document;
        if (entry->field != ILEA_FIELD_DOCUMENTS || entry->key.size == 0) continue;
        bool is_repeat = i > 0 && entry[-1].field == entry->field && entry[-1].key.size == entry->key.size
            && memcmp(entry[-1].key.data, entry->key.data, entry->key.size) == 0;
        if (is_repeat) continue;
        if (ilea_document_decode(entry->key, &document) != ILEA_ERROR_NONE) continue;
        rows[count++] = (struct ilea_view_document){ document.root, 0, document.size, document.key };
    }
    return count;
}

enum ilea_error
ilea_builder_index_documents(struct ilea_view_builder *builder, uint64_t number, struct ilea_builder_named *named)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; i < named->old_count && error == ILEA_ERROR_NONE; i++) {
        error = ilea_view_drop_document(builder->view_txn, &builder->meta, &named->old[i].root, number);
    }
    for (uint32_t i = 0; i < named->count && error == ILEA_ERROR_NONE; i++) {
        named->rows[i].record = number;
        error = ilea_view_put_document(builder->view_txn, &builder->meta, &named->rows[i]);
    }
    return error;
}
