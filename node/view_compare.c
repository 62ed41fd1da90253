/* view_compare.c - whether two views of one log say the same. */
#include "node/view_compare.h"

#include <string.h>

#include "crypto/random.h"

enum ilea_error
ilea_view_same_record(struct ilea_transaction *other, const struct ilea_view_row *row, struct ilea_view_row *same)
{
    return ilea_view_find(other, row->agency, row->type, &row->id, same);
}

/* Whether the record of `other` that names *one in ours names it there, too. */
static bool
has_document(struct ilea_transaction *ours, struct ilea_transaction *other, const struct ilea_view_document *one)
{
    struct ilea_view_row row, same;
    if (ilea_view_get(ours, one->record, &row) != ILEA_ERROR_NONE) return false;
    if (ilea_view_same_record(other, &row, &same) != ILEA_ERROR_NONE) return false;
    struct ilea_view_document found = { .root = one->root, .record = same.number - 1 };
    if (ilea_view_document_next(other, &found) != ILEA_ERROR_NONE) return false;
    bool equal = memcmp(found.root.bytes, one->root.bytes, sizeof one->root.bytes) == 0
        && found.record == same.number && found.size == one->size
        && ilea_equal_secret(found.key.bytes, one->key.bytes, sizeof one->key.bytes);
    ilea_wipe(&found, sizeof found);
    return equal;
}

bool
ilea_view_same_documents(struct ilea_transaction *ours, struct ilea_transaction *other)
{
    struct ilea_view_document one = { .record = 0 }, another = { .record = 0 };
    enum ilea_error error, beside;
    bool same = true;
    do {
        error = ilea_view_document_next(ours, &one);
        beside = ilea_view_document_next(other, &another);
        if (error == ILEA_ERROR_NONE && beside == error) same = has_document(ours, other, &one);
    } while (same && error == ILEA_ERROR_NONE && beside == error);
    ilea_wipe(&one, sizeof one);
    ilea_wipe(&another, sizeof another);
    /* As many here as there, each of ours there: none of them is another. */
    return same && error == ILEA_ERROR_NOT_FOUND && beside == error;
}
