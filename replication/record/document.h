/*
 * document.h - documents: how a record names one, and what nodes say to each other about its chunks (PROTOCOL.md,
 * "Documents"). Pure.
 *
 *   element  [ name: str, media: str, size: str, root: str, key: str ]     of the field `documents`
 *            name 1 to 255 bytes, media 0 to 100, both on one line; size decimal digits; root and key 64 hex digits
 *   ASK      [ 3, root: bin 32, [ [first, count] ... ] ]                  1 to 64 ranges, ascending, 1 to 16 chunks
 *   CHUNK    [ 4, root: bin 32, index, offset, total, bytes: bin ]        a part of a chunk's ciphertext
 *   NONE     [ 5, root: bin 32, [ [first, count] ... ] ]                  as ASK: I have them not, or not for you
 *
 * ASK, CHUNK and NONE are bodies of SIDE. The list is chunk 2^32, asked for alone.
 */
#ifndef ILEA_RECORD_DOCUMENT_H
#define ILEA_RECORD_DOCUMENT_H

#include "crypto/blob.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum {
    ILEA_DOCUMENT_NAME_MAX = 255,
    ILEA_DOCUMENT_MEDIA_MAX = 100,
    ILEA_DOCUMENT_PARTS_SHOWN = 3,   /* name, media, size: the others are never printed */
    ILEA_DOCUMENTS_MAX = 32,         /* of one record; the rest is not looked at */
    ILEA_ASK_RANGES_MAX = 64,
    ILEA_ASK_CHUNKS_MAX = 16,
    ILEA_CHUNK_PART_MAX = 128 * 1024 + 8, /* two of them are a whole chunk */
    ILEA_CHUNK_BODY_MAX = ILEA_CHUNK_PART_MAX + 80
};
#define ILEA_DOCUMENT_SIZE_MAX ((uint64_t)ILEA_BLOB_CHUNKS_MAX * ILEA_BLOB_CHUNK_SIZE)

_Static_assert(2 * ILEA_CHUNK_PART_MAX >= ILEA_BLOB_SEALED_MAX, "two parts a chunk");

enum ilea_document_form { ILEA_DOCUMENT_ASK = 3, ILEA_DOCUMENT_CHUNK, ILEA_DOCUMENT_NONE };

struct ilea_document {
    struct ilea_span name, media; /* borrowed */
    uint64_t size;                /* 1 to ILEA_DOCUMENT_SIZE_MAX */
    struct ilea_blob_id root;
    struct ilea_blob_key key;
};

/* Chunks of a document of this size. */
uint32_t ilea_document_chunks(uint64_t size);

/* An element as it stands in a record. MALFORMED: a peer wrote something else there; then it is no document. */
ILEA_MUST_USE enum ilea_error ilea_document_decode(struct ilea_span element, struct ilea_document *document);

struct ilea_chunk_range {
    uint64_t first; /* ILEA_BLOB_LIST: the list */
    uint32_t count;
};

/* ASK and NONE. */
struct ilea_chunk_ask {
    struct ilea_blob_id root;
    uint32_t range_count;
    struct ilea_chunk_range ranges[ILEA_ASK_RANGES_MAX];
};

struct ilea_chunk_part {
    struct ilea_blob_id root;
    uint64_t index;
    uint32_t offset, total; /* of the ciphertext; the first part has offset 0, the second ILEA_CHUNK_PART_MAX */
    struct ilea_span bytes; /* borrowed */
};

/* All of a SIDE body whose first element is the form. MALFORMED. */
ILEA_MUST_USE enum ilea_error ilea_chunk_ask_decode(struct ilea_span body, enum ilea_document_form form,
                                                    struct ilea_chunk_ask *ask);
ILEA_MUST_USE enum ilea_error ilea_chunk_part_decode(struct ilea_span body, struct ilea_chunk_part *part);
void ilea_chunk_ask_put(struct ilea_msgpack_writer *writer, enum ilea_document_form form,
                        const struct ilea_chunk_ask *ask);
void ilea_chunk_part_put(struct ilea_msgpack_writer *writer, const struct ilea_chunk_part *part);

#endif
