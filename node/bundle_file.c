#include "node/bundle_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/random.h"
#include "replication/store/environment.h"

enum { SIZE_BYTES = 4, CHUNK_MIN = ILEA_NONCE_SIZE + ILEA_AEAD_OVERHEAD };

static enum ilea_error
from_errno(void)
{
    switch (errno) {
    case ENOSPC:
    case EFBIG:
    case EDQUOT: return ILEA_ERROR_FULL;
    case EEXIST: return ILEA_ERROR_EXISTS;
    case ENOENT:
    case ENOTDIR: return ILEA_ERROR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS: return ILEA_ERROR_PERMISSION;
    default: return ILEA_ERROR_IO;
    }
}

/* Exactly `size` bytes. NOT_FOUND: the file ends before the first of them; MALFORMED: among them. */
static enum ilea_error
read_exact(struct ilea_bundle_reader *reader, uint8_t *bytes, size_t size)
{
    size_t got = fread(bytes, 1, size, reader->file);
    reader->size += got;
    if (got == size) return ILEA_ERROR_NONE;
    if (ferror(reader->file) != 0) return ILEA_ERROR_IO;
    return got == 0 ? ILEA_ERROR_NOT_FOUND : ILEA_ERROR_MALFORMED;
}

/* Whether a chunk follows, and its size. */
static enum ilea_error
read_size(struct ilea_bundle_reader *reader)
{
    uint8_t bytes[SIZE_BYTES];
    enum ilea_error error = read_exact(reader, bytes, sizeof bytes);
    reader->has_next = error == ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
    reader->next_size = ilea_key_u32(bytes);
    bool is_possible = reader->next_size >= CHUNK_MIN && reader->next_size <= ILEA_BUNDLE_CHUNK_MAX;
    return is_possible ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

enum ilea_error
ilea_bundle_reader_open(struct ilea_bundle_reader *reader, const char *path)
{
    memset(reader, 0, sizeof *reader);
    uint8_t prelude[ILEA_BUNDLE_PRELUDE_SIZE];
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not stop us */
    if (fd < 0) return from_errno();
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return ILEA_ERROR_INVALID;
    }
    reader->file = fdopen(fd, "rb");
    if (reader->file == NULL) {
        close(fd);
        return ILEA_ERROR_NO_MEMORY;
    }
    enum ilea_error error = read_exact(reader, prelude, sizeof prelude);
    if (error == ILEA_ERROR_NONE) error = ilea_bundle_prelude_decode(prelude, &reader->header_size);
    if (error == ILEA_ERROR_NONE) error = read_exact(reader, reader->header_bytes, reader->header_size);
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_MALFORMED;
    if (error != ILEA_ERROR_NONE) return error;
    const struct ilea_span header = { reader->header_bytes, reader->header_size };
    return ilea_bundle_header_decode(header, &reader->header);
}

enum ilea_error
ilea_bundle_reader_rewind(struct ilea_bundle_reader *reader)
{
    reader->size = ILEA_BUNDLE_PRELUDE_SIZE + reader->header_size;
    if (fseeko(reader->file, (off_t)reader->size, SEEK_SET) != 0) return ILEA_ERROR_IO;
    enum ilea_error error = read_size(reader);
    return error == ILEA_ERROR_NONE && !reader->has_next ? ILEA_ERROR_MALFORMED : error;
}

enum ilea_error
ilea_bundle_reader_next(struct ilea_bundle_reader *reader)
{
    if (!reader->has_next) return ILEA_ERROR_NOT_FOUND;
    size_t size = reader->next_size;
    enum ilea_error error = read_exact(reader, reader->bytes, size);
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_MALFORMED;
    if (error == ILEA_ERROR_NONE) error = read_size(reader);
    if (error != ILEA_ERROR_NONE) return error;
    reader->chunk = (struct ilea_span){ reader->bytes, size };
    reader->last = !reader->has_next;
    return ILEA_ERROR_NONE;
}

void
ilea_bundle_reader_close(struct ilea_bundle_reader *reader)
{
    if (reader->file != NULL) (void)fclose(reader->file);
    reader->file = NULL;
}

void
ilea_bundle_part_path(const char *path, uint32_t part, char name[ILEA_BUNDLE_PATH_SIZE])
{
    if (part == 1) {
        (void)snprintf(name, ILEA_BUNDLE_PATH_SIZE, "%s", path);
    } else {
        (void)snprintf(name, ILEA_BUNDLE_PATH_SIZE, "%s.%u", path, part);
    }
}

static void
partial_path(const char *path, uint32_t part, char name[ILEA_BUNDLE_PATH_SIZE])
{
    ilea_bundle_part_path(path, part, name);
    size_t size = strlen(name);
    (void)snprintf(name + size, ILEA_BUNDLE_PATH_SIZE - size, ".partial");
}

static enum ilea_error
write_bytes(struct ilea_bundle_writer *writer, const void *bytes, size_t size)
{
    if (fwrite(bytes, 1, size, writer->file) != size) return from_errno();
    writer->size += size;
    return ILEA_ERROR_NONE;
}

/* A key of its own, and the header with it. */
static enum ilea_error
write_header(struct ilea_bundle_writer *writer)
{
    struct ilea_bundle_header *header = &writer->header;
    const struct ilea_bundle_maker *maker = &writer->maker;
    struct ilea_epoch_id key;
    uint8_t bytes[ILEA_BUNDLE_HEADER_MAX], prelude[ILEA_BUNDLE_PRELUDE_SIZE];
    size_t size = 0;
    ilea_keyring_free(writer->ring);
    writer->ring = NULL;
    enum ilea_error error = ilea_keyring_new(1, &writer->ring);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_keyring_generate(writer->ring, &header->network, &header->id, header->aek_commit);
    }
    if (error != ILEA_ERROR_NONE) return error;
    memcpy(key.bytes, header->aek_commit, sizeof key.bytes);
    error = ilea_keyring_wrap(writer->ring, &key, &header->network, &header->id, &maker->reading, header->wrapped);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_bundle_header_encode(header, maker->node, bytes, sizeof bytes, &size);
    }
    if (error != ILEA_ERROR_NONE) return error;
    ilea_bundle_prelude_encode(size, prelude);
    error = write_bytes(writer, prelude, sizeof prelude);
    return error == ILEA_ERROR_NONE ? write_bytes(writer, bytes, size) : error;
}

static enum ilea_error
set_pending(struct ilea_bundle_writer *writer, enum ilea_bundle_type type, struct ilea_span body)
{
    return ilea_bundle_content_encode(type, body, writer->plain, sizeof writer->plain, &writer->pending);
}

static enum ilea_error
begin_part(struct ilea_bundle_writer *writer)
{
    char name[ILEA_BUNDLE_PATH_SIZE];
    if (writer->part == ILEA_BUNDLE_PARTS_MAX) return ILEA_ERROR_LIMIT;
    ilea_bundle_part_path(writer->path, writer->part + 1, name);
    if (access(name, F_OK) == 0) return ILEA_ERROR_EXISTS;
    partial_path(writer->path, writer->part + 1, name);
    (void)unlink(name); /* of an export that a crash cut short */
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return from_errno();
    writer->file = fdopen(fd, "wb");
    if (writer->file == NULL) {
        close(fd);
        (void)unlink(name);
        return ILEA_ERROR_NO_MEMORY;
    }
    writer->part++;
    writer->header.part = writer->part;
    writer->size_total += writer->size;
    writer->size = writer->number = 0;
    writer->pending = 0;
    enum ilea_error error = write_header(writer);
    if (error != ILEA_ERROR_NONE || !writer->has_totals) return error;
    uint8_t body[256];
    struct ilea_span totals = { body, 0 };
    error = ilea_bundle_totals_encode(&writer->totals, body, sizeof body, &totals.size);
    return error == ILEA_ERROR_NONE ? set_pending(writer, ILEA_BUNDLE_TOTALS, totals) : error;
}

enum ilea_error
ilea_bundle_writer_begin(struct ilea_bundle_writer *writer, const struct ilea_bundle_maker *maker, const char *path,
                         uint64_t split, const struct ilea_bundle_totals *totals)
{
    memset(writer, 0, sizeof *writer);
    if (strlen(path) >= sizeof writer->path) return ILEA_ERROR_LIMIT;
    (void)snprintf(writer->path, sizeof writer->path, "%s", path);
    writer->maker = *maker;
    writer->split = split;
    writer->has_totals = totals != NULL;
    if (totals != NULL) writer->totals = *totals;
    struct ilea_bundle_header *header = &writer->header;
    header->network = maker->network;
    header->from = maker->from;
    header->to = maker->to;
    header->manifest = maker->manifest;
    header->made_ms = maker->made_ms;
    ilea_random_bytes(header->id.bytes, sizeof header->id.bytes);
    return begin_part(writer);
}

static enum ilea_error
write_pending(struct ilea_bundle_writer *writer, bool last)
{
    uint8_t size[SIZE_BYTES];
    const struct ilea_span plain = { writer->plain, writer->pending };
    enum ilea_error error =
        ilea_bundle_chunk_seal(writer->ring, &writer->header, writer->number++, last, plain, writer->chunk);
    if (error != ILEA_ERROR_NONE) return error;
    uint32_t chunk_size = (uint32_t)(ILEA_NONCE_SIZE + plain.size + ILEA_AEAD_OVERHEAD);
    ilea_key_put_u32(size, chunk_size);
    error = write_bytes(writer, size, sizeof size);
    return error == ILEA_ERROR_NONE ? write_bytes(writer, writer->chunk, chunk_size) : error;
}

static enum ilea_error
end_part(struct ilea_bundle_writer *writer)
{
    enum ilea_error error = write_pending(writer, true);
    if (error == ILEA_ERROR_NONE && (fflush(writer->file) != 0 || fsync(fileno(writer->file)) != 0)) {
        error = from_errno();
    }
    if (fclose(writer->file) != 0 && error == ILEA_ERROR_NONE) error = from_errno();
    writer->file = NULL;
    return error;
}

enum ilea_error
ilea_bundle_writer_add(struct ilea_bundle_writer *writer, enum ilea_bundle_type type, struct ilea_span body,
                       const struct ilea_agency_id *agency, const struct ilea_position *last)
{
    const uint64_t around = SIZE_BYTES + CHUNK_MIN + 8;
    enum ilea_error error = ILEA_ERROR_NONE;
    bool is_full = writer->split > 0 && writer->number > 0
        && writer->size + writer->pending + body.size + 2 * around > writer->split;
    if (is_full) {
        error = end_part(writer);
        if (error == ILEA_ERROR_NONE) error = begin_part(writer);
        if (error != ILEA_ERROR_NONE) return error;
    }
    if (writer->pending > 0) error = write_pending(writer, false);
    if (error == ILEA_ERROR_NONE) error = set_pending(writer, type, body);
    if (error == ILEA_ERROR_NONE && last != NULL) {
        writer->totals.has_after = true;
        writer->totals.agency = *agency;
        writer->totals.after = *last;
    }
    return error;
}

enum ilea_error
ilea_bundle_writer_finish(struct ilea_bundle_writer *writer)
{
    return end_part(writer);
}

/* The folder that a file lies in. */
static enum ilea_error
sync_folder_of(const char *path)
{
    char folder[ILEA_PATH_SIZE];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        (void)snprintf(folder, sizeof folder, ".");
    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return from_errno();
    enum ilea_error error = fsync(fd) == 0 || errno == EINVAL ? ILEA_ERROR_NONE : from_errno();
    close(fd);
    return error;
}

enum ilea_error
ilea_bundle_writer_keep(const struct ilea_bundle_writer *writer)
{
    for (uint32_t part = 1; part <= writer->part; part++) {
        char from[ILEA_BUNDLE_PATH_SIZE], to[ILEA_BUNDLE_PATH_SIZE];
        partial_path(writer->path, part, from);
        ilea_bundle_part_path(writer->path, part, to);
        int failed = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
        if (failed != 0 && (errno == EINVAL || errno == ENOSYS)) failed = rename(from, to); /* the file system cannot */
        if (failed != 0) return from_errno();
    }
    return sync_folder_of(writer->path);
}

void
ilea_bundle_writer_end(struct ilea_bundle_writer *writer)
{
    if (writer->file != NULL) (void)fclose(writer->file);
    writer->file = NULL;
    for (uint32_t part = 1; part <= writer->part; part++) {
        char name[ILEA_BUNDLE_PATH_SIZE];
        partial_path(writer->path, part, name);
        (void)unlink(name); /* of those that were kept there is none */
    }
    ilea_keyring_free(writer->ring);
    writer->ring = NULL;
}
