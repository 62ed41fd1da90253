/*
 * control_document.h - the frame of control.h that asks the daemon to fetch a document, and how that goes.
 *
 *   DOCUMENT   [ root: bin 32, damaged ]        damaged: 0, or 1 + the number of a chunk that did not open
 *     answer   [ state, held, count ]           chunks; count 0: not known yet
 */
#ifndef ILEA_NODE_CONTROL_DOCUMENT_H
#define ILEA_NODE_CONTROL_DOCUMENT_H

#include "node/control.h"
#include "replication/record/document.h"

enum ilea_document_state {
    ILEA_DOCUMENT_UNKNOWN = 0, /* no record that is shown here names it */
    ILEA_DOCUMENT_HELD,
    ILEA_DOCUMENT_COMING,
    ILEA_DOCUMENT_QUEUED,      /* others come first */
    ILEA_DOCUMENT_NOBODY,      /* no link has it now */
    ILEA_DOCUMENT_LIES,        /* who said to have it brought something else */
    ILEA_DOCUMENT_QUOTA,       /* documents_max is reached */
    ILEA_DOCUMENT_DISK_FULL,
    ILEA_DOCUMENT_LAST = ILEA_DOCUMENT_DISK_FULL
};

struct ilea_control_document {
    enum ilea_document_state state;
    uint32_t held, count;
};

ILEA_MUST_USE enum ilea_error ilea_control_get_wanted(struct ilea_span body, struct ilea_blob_id *root,
                                                      uint32_t *damaged);
void ilea_control_put_document(struct ilea_msgpack_writer *writer, const struct ilea_control_document *document);
/* Ask the daemon of a home. NOT_FOUND: none runs. */
ILEA_MUST_USE enum ilea_error ilea_control_ask_document(const char *home, const struct ilea_blob_id *root,
                                                        uint32_t damaged, struct ilea_control_document *document);

#endif
