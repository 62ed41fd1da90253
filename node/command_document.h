/*
 * command_document.h - the documents of a record, for the commands that show, attach and fetch them.
 */
#ifndef ILEA_NODE_COMMAND_DOCUMENT_H
#define ILEA_NODE_COMMAND_DOCUMENT_H

#include "replication/reader/snapshot.h"
#include "replication/record/document.h"

struct ilea_listed_document {
    struct ilea_document document;
    struct ilea_span element; /* as it stands in the record */
};

/* Of the snapshot's current record; borrowed from it. Their number. */
uint32_t ilea_list_documents(struct ilea_snapshot *snapshot, struct ilea_listed_document listed[ILEA_DOCUMENTS_MAX]);
/* The one of that name; `count`: there is none. */
uint32_t ilea_find_document(const struct ilea_listed_document *listed, uint32_t count, const char *name);

#endif
