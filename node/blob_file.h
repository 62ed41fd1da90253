/*
 * blob_file.h - documents on the disk, as they travel: encrypted, and never in the clear.
 *
 *   blobs/ROOT/      ROOT: 64 hex digits
 *     list           the list's ciphertext
 *     data           chunk i at i * ILEA_BLOB_SEALED_MAX
 *     have           a bit for each chunk, the lowest first: those that lie in data, durable before they are marked
 *   blobs/new-*      being attached; renamed when it is whole
 *
 * Files and not LMDB: unlinking frees the space at once, and a gigabyte is not copied on write. A chunk is hashed
 * before it is used, so damage is noticed where it would matter.
 *
 * The daemon writes to blobs/ROOT; `ilea attach` makes new ones; everybody may read. Threads: a file belongs to one.
 */
#ifndef ILEA_NODE_BLOB_FILE_H
#define ILEA_NODE_BLOB_FILE_H

#include "include/ilea/error.h"
#include "replication/record/document.h"

enum { ILEA_BLOB_NAME_SIZE = 2 * ILEA_ID_SIZE + 1, ILEA_BLOB_HAVE_SIZE = ILEA_BLOB_CHUNKS_MAX / 8 };

struct ilea_blob_file;

/* Open blobs/ROOT, for writing too or not; `write` makes the folder if there is none. Gives *file; end with
 * ilea_blob_file_close().
 *   ILEA_ERROR_NOT_FOUND  nothing of it is here
 *   ILEA_ERROR_FULL, PERMISSION, IO, NO_MEMORY */
ILEA_MUST_USE enum ilea_error ilea_blob_file_open(const char *home, const struct ilea_blob_id *root, bool write,
                                                  struct ilea_blob_file **file);
/* What was not made durable is lost. NULL does nothing. */
void ilea_blob_file_close(struct ilea_blob_file *file);

/* Open the list with a key, from `sealed`, or from the disk if that is empty; then the number of chunks is known, and
 * the functions below can be called. From `sealed` it is durable on return.
 *   ILEA_ERROR_NOT_FOUND  the disk has none
 *   ILEA_ERROR_BAD_HASH   these bytes are not the root's: from the disk, damage
 *   ILEA_ERROR_INVALID    they are, and this key does not open them
 *   ILEA_ERROR_FULL, IO, NO_MEMORY */
ILEA_MUST_USE enum ilea_error ilea_blob_file_list(struct ilea_blob_file *file, const struct ilea_network_id *network,
                                                  const struct ilea_blob_key *key, struct ilea_span sealed);
bool ilea_blob_file_has_list(const struct ilea_blob_file *file);
/* The list's ciphertext, borrowed. */
struct ilea_span ilea_blob_file_sealed_list(const struct ilea_blob_file *file);
uint32_t ilea_blob_file_count(const struct ilea_blob_file *file);
uint32_t ilea_blob_file_held(const struct ilea_blob_file *file);
/* Bits as in `have`. */
const uint8_t *ilea_blob_file_have(const struct ilea_blob_file *file);

/* Keep one chunk. Durable after ilea_blob_file_sync(), which it calls now and then itself.
 *   ILEA_ERROR_BAD_HASH  it is not the chunk of that number
 *   ILEA_ERROR_FULL, IO */
ILEA_MUST_USE enum ilea_error ilea_blob_file_put(struct ilea_blob_file *file, uint32_t index, struct ilea_span sealed);
ILEA_MUST_USE enum ilea_error ilea_blob_file_sync(struct ilea_blob_file *file);
/* Read one chunk that is held into `sealed` (ILEA_BLOB_SEALED_MAX).
 *   ILEA_ERROR_NOT_FOUND  it is not held
 *   ILEA_ERROR_BAD_HASH   damaged
 *   ILEA_ERROR_IO */
ILEA_MUST_USE enum ilea_error ilea_blob_file_get(struct ilea_blob_file *file, uint32_t index, uint8_t *sealed,
                                                 size_t *size);
/* A damaged one: no longer held. */
void ilea_blob_file_forget(struct ilea_blob_file *file, uint32_t index);
/* A damaged list: it is to be fetched again, and the chunks stay. FULL, IO, PERMISSION */
ILEA_MUST_USE enum ilea_error ilea_blob_file_forget_list(struct ilea_blob_file *file);

/* How much of a document is here, without its key: chunks held, and all of them; 0 of 0 where that is not known. */
void ilea_blob_file_progress(const char *home, const struct ilea_blob_id *root, uint32_t *held, uint32_t *count);
bool ilea_blob_file_is_whole(const char *home, const struct ilea_blob_id *root);

/* Remove blobs/ROOT. What is not there is success. */
ILEA_MUST_USE enum ilea_error ilea_blob_file_remove(const char *home, const struct ilea_blob_id *root);
/* The roots of blobs/, in any order: *roots is to be freed. *leftover: folders of attaching that ended in the middle
 * more than a day ago, which are removed. */
ILEA_MUST_USE enum ilea_error ilea_blob_file_roots(const char *home, struct ilea_blob_id **roots, uint32_t *count,
                                                   uint32_t *leftover);
/* Whether it was last written to within `seconds`. */
bool ilea_blob_file_is_fresh(const char *home, const struct ilea_blob_id *root, unsigned seconds);
void ilea_blob_file_name(const struct ilea_blob_id *root, char name[ILEA_BLOB_NAME_SIZE]);

/*
 * Make one of an open plain file, from its start. *document gets size, root and key. `progress` may be NULL; it is told
 * the chunks that are done.
 *   ILEA_ERROR_INVALID  empty, or it changed while it was read
 *   ILEA_ERROR_LIMIT    larger than ILEA_DOCUMENT_SIZE_MAX
 *   ILEA_ERROR_FULL, PERMISSION, IO, NO_MEMORY
 */
typedef void ilea_blob_progress(void *context, uint32_t done);
ILEA_MUST_USE enum ilea_error ilea_blob_file_make(const char *home, const struct ilea_network_id *network, int from,
                                                  struct ilea_document *document, ilea_blob_progress *progress,
                                                  void *context);

#endif
