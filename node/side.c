#include "node/side.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/assert.h"
#include "crypto/hash.h"
#include "node/home.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum { HEAD_SIZE = 4 + 4, TAG_SIZE = 16, KIND_DECISION = 1, KIND_HEAD = 2, MANIFESTS_MAX = 1024,
       LONG_FILE = 256 * 1024, HEAD_BODY_MAX = 64, DECISION_ROOM = 128 };

/* The newest decision about an agency, as its record's body. */
struct decision {
    struct ilea_agency_id agency;
    uint64_t seq;
    uint8_t *body;
    size_t size;
};

struct ilea_side {
    char home[ILEA_PATH_SIZE];
    int fd;
    uint64_t size;              /* of the file, as far as it is good */
    uint8_t tag[TAG_SIZE];      /* of its last record */
    struct decision *decisions;
    uint32_t count, capacity;
    uint64_t head_seq;
    uint8_t head[ILEA_HASH_SIZE];
};

static enum ilea_error
from_errno(void)
{
    switch (errno) {
    case ENOSPC:
    case EDQUOT: return ILEA_ERROR_FULL;
    case EACCES:
    case EPERM:
    case EROFS: return ILEA_ERROR_PERMISSION;
    case ENOMEM: return ILEA_ERROR_NO_MEMORY;
    default: return ILEA_ERROR_IO;
    }
}

static void
tag_of(const uint8_t before[TAG_SIZE], struct ilea_span body, uint8_t tag[TAG_SIZE])
{
    uint8_t hash[ILEA_HASH_SIZE];
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_SIDE);
    ilea_hash_add(&hasher, before, TAG_SIZE);
    ilea_hash_add(&hasher, body.data, body.size);
    ilea_hash_end(&hasher, hash);
    memcpy(tag, hash, TAG_SIZE);
}

/* What stands before a body: its size, and a check of that, so that a damaged one is not taken for a tail that a
 * crash tore off. */
static void
put_size(const uint8_t before[TAG_SIZE], uint32_t size, uint8_t head[HEAD_SIZE])
{
    uint8_t tag[TAG_SIZE];
    ilea_key_put_u32(head, size);
    tag_of(before, (struct ilea_span){ head, 4 }, tag);
    memcpy(head + 4, tag, 4);
}

static bool
is_state(uint32_t state)
{
    return state == ILEA_AGENCY_SUSPENDED || state == ILEA_AGENCY_REVOKED || state == ILEA_AGENCY_DECLINED;
}

static enum ilea_error
decode_body(struct ilea_span body, struct ilea_side_record *record)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    uint32_t fields = ilea_msgpack_get_array(&reader, 5);
    uint64_t kind = ilea_msgpack_get_uint(&reader);
    if (kind == KIND_HEAD && fields == 3) {
        record->is_head = true;
        record->seq = ilea_msgpack_get_uint(&reader);
        ilea_msgpack_get_bytes(&reader, record->hash, sizeof record->hash);
    } else if (kind == KIND_DECISION && fields == 5) {
        ilea_msgpack_get_bytes(&reader, record->agency.bytes, sizeof record->agency.bytes);
        uint32_t state = ilea_msgpack_get_uint32(&reader, ILEA_AGENCY_DECLINED);
        record->seq = ilea_msgpack_get_uint(&reader);
        record->manifest_count = ilea_msgpack_get_array(&reader, MANIFESTS_MAX);
        record->manifests = (struct ilea_span){ reader.next, reader.left };
        for (uint32_t i = 0; i < record->manifest_count; i++) {
            (void)ilea_msgpack_get_bin(&reader, ILEA_MANIFEST_SIZE_MAX);
        }
        if (!is_state(state)) return ILEA_ERROR_CORRUPT;
        record->state = (enum ilea_agency_state)state;
    } else {
        return ILEA_ERROR_CORRUPT;
    }
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

enum ilea_error
ilea_side_decode(struct ilea_span input, const uint8_t before[16], struct ilea_side_record *record)
{
    *record = (struct ilea_side_record){ .size = 0 };
    if (input.size < HEAD_SIZE) return ILEA_ERROR_NOT_FOUND;
    uint32_t size = ilea_key_u32(input.data);
    uint8_t head[HEAD_SIZE];
    put_size(before, size, head);
    if (size > ILEA_SIDE_BODY_MAX || memcmp(head, input.data, sizeof head) != 0) return ILEA_ERROR_CORRUPT;
    if (input.size - HEAD_SIZE < (size_t)size + TAG_SIZE) return ILEA_ERROR_NOT_FOUND;
    const struct ilea_span body = { input.data + HEAD_SIZE, size };
    tag_of(before, body, record->tag);
    if (memcmp(record->tag, body.data + size, TAG_SIZE) != 0) return ILEA_ERROR_CORRUPT;
    record->size = HEAD_SIZE + (size_t)size + TAG_SIZE;
    return decode_body(body, record);
}

/* Remember what a record says, in place of what an earlier one said. */
static enum ilea_error
take(struct ilea_side *side, const struct ilea_side_record *record, struct ilea_span body)
{
    if (record->is_head) {
        side->head_seq = record->seq;
        memcpy(side->head, record->hash, sizeof side->head);
        return ILEA_ERROR_NONE;
    }
    uint32_t at = 0;
    while (at < side->count && memcmp(side->decisions[at].agency.bytes, record->agency.bytes, ILEA_ID_SIZE) != 0) at++;
    if (at == side->count && side->count == side->capacity) {
        uint32_t larger = side->capacity == 0 ? 16 : side->capacity * 2;
        struct decision *moved = realloc(side->decisions, larger * sizeof *moved);
        if (moved == NULL) return ILEA_ERROR_NO_MEMORY;
        side->decisions = moved;
        side->capacity = larger;
    }
    uint8_t *copy = malloc(body.size);
    if (copy == NULL) return ILEA_ERROR_NO_MEMORY;
    memcpy(copy, body.data, body.size);
    if (at == side->count) {
        side->count++;
    } else {
        free(side->decisions[at].body);
    }
    side->decisions[at] = (struct decision){ record->agency, record->seq, copy, body.size };
    return ILEA_ERROR_NONE;
}

/* A crash may leave a file its new length and none of the bytes. */
static bool
is_zero(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (at < size && bytes[at] == 0) at++;
    return at == size;
}

/* All records of the file. What a crash tore off at the end was never relied on, and is cut. */
static enum ilea_error
read_all(struct ilea_side *side, const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (at < size) {
        struct ilea_side_record record;
        const struct ilea_span rest = { bytes + at, size - at };
        enum ilea_error error = ilea_side_decode(rest, side->tag, &record);
        if (error == ILEA_ERROR_NOT_FOUND || is_zero(rest.data, rest.size)) break;
        if (error != ILEA_ERROR_NONE) return error;
        const struct ilea_span body = { rest.data + HEAD_SIZE, record.size - HEAD_SIZE - TAG_SIZE };
        error = take(side, &record, body);
        if (error != ILEA_ERROR_NONE) return error;
        memcpy(side->tag, record.tag, sizeof side->tag);
        at += record.size;
    }
    side->size = at;
    return at < size && ftruncate(side->fd, (off_t)at) != 0 ? from_errno() : ILEA_ERROR_NONE;
}

static enum ilea_error
append(struct ilea_side *side, struct ilea_span body)
{
    uint8_t *bytes = malloc(HEAD_SIZE + body.size + TAG_SIZE);
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    size_t size = HEAD_SIZE + body.size + TAG_SIZE, done = 0;
    put_size(side->tag, (uint32_t)body.size, bytes);
    memcpy(bytes + HEAD_SIZE, body.data, body.size);
    tag_of(side->tag, body, bytes + HEAD_SIZE + body.size);
    enum ilea_error error = ILEA_ERROR_NONE;
    while (done < size) {
        ssize_t part = pwrite(side->fd, bytes + done, size - done, (off_t)(side->size + done));
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) {
            error = from_errno();
            break;
        }
        done += (size_t)part;
    }
    if (error == ILEA_ERROR_NONE && fsync(side->fd) != 0) error = from_errno();
    if (error == ILEA_ERROR_NONE) {
        memcpy(side->tag, bytes + HEAD_SIZE + body.size, TAG_SIZE);
        side->size += size;
    } else {
        (void)!ftruncate(side->fd, (off_t)side->size);
    }
    free(bytes);
    return error;
}

static size_t
put_head(uint64_t seq, const uint8_t hash[ILEA_HASH_SIZE], uint8_t body[HEAD_BODY_MAX])
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, body, HEAD_BODY_MAX);
    ilea_msgpack_put_array(&writer, 3);
    ilea_msgpack_put_uint(&writer, KIND_HEAD);
    ilea_msgpack_put_uint(&writer, seq);
    ilea_msgpack_put_bin(&writer, hash, ILEA_HASH_SIZE);
    ilea_assert(!writer.failed);
    return writer.size;
}

/* The newest decision about each agency and the head alone, in a new file in place of the old one. */
static enum ilea_error
shorten(struct ilea_side *side)
{
    char path[ILEA_PATH_SIZE], fresh[ILEA_PATH_SIZE];
    ilea_home_path(side->home, "state/trust.side", path);
    ilea_home_path(side->home, "state/trust.side.new", fresh);
    int old = side->fd;
    const uint64_t size = side->size;
    uint8_t tag[TAG_SIZE], head[HEAD_BODY_MAX];
    memcpy(tag, side->tag, sizeof tag);
    (void)unlink(fresh);
    side->fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    enum ilea_error error = side->fd >= 0 ? ILEA_ERROR_NONE : from_errno();
    side->size = 0;
    memset(side->tag, 0, sizeof side->tag);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < side->count; i++) {
        error = append(side, (struct ilea_span){ side->decisions[i].body, side->decisions[i].size });
    }
    if (error == ILEA_ERROR_NONE && side->head_seq > 0) {
        error = append(side, (struct ilea_span){ head, put_head(side->head_seq, side->head, head) });
    }
    if (error == ILEA_ERROR_NONE && rename(fresh, path) != 0) error = from_errno();
    if (error != ILEA_ERROR_NONE) { /* the long one serves as well */
        if (side->fd >= 0) close(side->fd);
        side->fd = old;
        side->size = size;
        memcpy(side->tag, tag, sizeof tag);
        return error;
    }
    close(old);
    return ilea_home_sync(side->home, "state");
}

static enum ilea_error
load(struct ilea_side *side)
{
    struct stat info;
    if (fstat(side->fd, &info) != 0) return from_errno();
    if (info.st_size > ILEA_SIDE_FILE_MAX) return ILEA_ERROR_CORRUPT;
    size_t size = (size_t)info.st_size, done = 0;
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    ssize_t part = 1;
    while (done < size && (part = pread(side->fd, bytes + done, size - done, (off_t)done)) > 0) done += (size_t)part;
    enum ilea_error error = part < 0 ? from_errno() : read_all(side, bytes, done);
    free(bytes);
    return error;
}

enum ilea_error
ilea_side_open(const char *home, struct ilea_side **side)
{
    char path[ILEA_PATH_SIZE];
    struct ilea_side *opened = calloc(1, sizeof *opened);
    if (opened == NULL) return ILEA_ERROR_NO_MEMORY;
    memcpy(opened->home, home, strlen(home) + 1);
    ilea_home_path(home, "state/trust.side", path);
    opened->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    enum ilea_error error = opened->fd >= 0 ? ilea_home_sync(home, "state") : from_errno();
    if (error == ILEA_ERROR_NONE) error = load(opened);
    if (error != ILEA_ERROR_NONE) {
        ilea_side_close(opened);
        return error;
    }
    if (opened->size > LONG_FILE) (void)!shorten(opened); /* if there is no room now, the next start tries again */
    *side = opened;
    return ILEA_ERROR_NONE;
}

void
ilea_side_close(struct ilea_side *side)
{
    if (side == NULL) return;
    if (side->fd >= 0) close(side->fd);
    for (uint32_t i = 0; i < side->count; i++) free(side->decisions[i].body);
    free(side->decisions);
    free(side);
}

bool
ilea_side_is_empty(const struct ilea_side *side)
{
    return side->size == 0;
}

/* The agency's manifests from index 0, as many as fit: enough to know it again by its roots. */
static enum ilea_error
put_chain(struct ilea_msgpack_writer *writer, struct ilea_transaction *txn, const struct ilea_agency_id *agency)
{
    uint32_t count = 0;
    size_t total = 0;
    enum ilea_error error = ILEA_ERROR_NONE;
    struct ilea_span bytes;
    while (count < MANIFESTS_MAX && (error = ilea_log_manifest(txn, agency, count, &bytes)) == ILEA_ERROR_NONE
           && total + bytes.size + 8 <= ILEA_SIDE_BODY_MAX - DECISION_ROOM) {
        total += bytes.size + 8;
        count++;
    }
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) return error;
    ilea_msgpack_put_array(writer, count);
    error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; i < count && error == ILEA_ERROR_NONE; i++) {
        error = ilea_log_manifest(txn, agency, i, &bytes);
        if (error == ILEA_ERROR_NONE) ilea_msgpack_put_bin(writer, bytes.data, bytes.size);
    }
    return error;
}

enum ilea_error
ilea_side_put_decision(struct ilea_side *side, struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                       enum ilea_agency_state state, uint64_t seq)
{
    ilea_assert(is_state(state));
    uint8_t *bytes = malloc(ILEA_SIDE_BODY_MAX);
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, ILEA_SIDE_BODY_MAX);
    ilea_msgpack_put_array(&writer, 5);
    ilea_msgpack_put_uint(&writer, KIND_DECISION);
    ilea_msgpack_put_bin(&writer, agency->bytes, sizeof agency->bytes);
    ilea_msgpack_put_uint(&writer, (uint64_t)state);
    ilea_msgpack_put_uint(&writer, seq);
    enum ilea_error error = put_chain(&writer, txn, agency);
    ilea_assert(error != ILEA_ERROR_NONE || !writer.failed);
    if (error == ILEA_ERROR_NONE) error = append(side, ilea_msgpack_written(&writer));
    if (error == ILEA_ERROR_NONE) {
        const struct ilea_side_record record = { .agency = *agency, .state = state, .seq = seq };
        error = take(side, &record, ilea_msgpack_written(&writer));
    }
    free(bytes);
    return error;
}

enum ilea_error
ilea_side_put_head(struct ilea_side *side, uint64_t seq, const uint8_t hash[ILEA_HASH_SIZE])
{
    if (seq == side->head_seq && memcmp(hash, side->head, sizeof side->head) == 0) return ILEA_ERROR_NONE;
    uint8_t body[HEAD_BODY_MAX];
    enum ilea_error error = append(side, (struct ilea_span){ body, put_head(seq, hash, body) });
    if (error != ILEA_ERROR_NONE) return error;
    side->head_seq = seq;
    memcpy(side->head, hash, sizeof side->head);
    return ILEA_ERROR_NONE;
}

void
ilea_side_head(const struct ilea_side *side, uint64_t *seq, uint8_t hash[ILEA_HASH_SIZE])
{
    *seq = side->head_seq;
    memcpy(hash, side->head, sizeof side->head);
}

enum ilea_error
ilea_side_look(const char *home, uint64_t *seq, uint8_t hash[ILEA_HASH_SIZE])
{
    char path[ILEA_PATH_SIZE];
    struct stat info;
    uint8_t before[TAG_SIZE] = { 0 };
    *seq = 0;
    memset(hash, 0, ILEA_HASH_SIZE);
    ilea_home_path(home, "state/trust.side", path);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? ILEA_ERROR_NONE : from_errno();
    size_t size = fstat(fd, &info) == 0 && info.st_size <= ILEA_SIDE_FILE_MAX ? (size_t)info.st_size : 0, done = 0;
    uint8_t *bytes = malloc(size + 1);
    ssize_t part = 1;
    while (bytes != NULL && done < size && (part = pread(fd, bytes + done, size - done, (off_t)done)) > 0) {
        done += (size_t)part;
    }
    close(fd);
    enum ilea_error error = bytes == NULL ? ILEA_ERROR_NO_MEMORY : ILEA_ERROR_NONE;
    for (size_t at = 0; error == ILEA_ERROR_NONE && at < done;) {
        struct ilea_side_record record;
        const struct ilea_span rest = { bytes + at, done - at };
        error = ilea_side_decode(rest, before, &record);
        if (error == ILEA_ERROR_NOT_FOUND || is_zero(rest.data, rest.size)) break; /* being written */
        if (error == ILEA_ERROR_NONE && record.is_head) {
            *seq = record.seq;
            memcpy(hash, record.hash, ILEA_HASH_SIZE);
        }
        memcpy(before, record.tag, sizeof before);
        at += record.size;
    }
    free(bytes);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* An agency that the log forgot, with its chain. */
static enum ilea_error
bring_back(struct ilea_transaction *txn, const struct ilea_side_record *record)
{
    if (record->manifest_count == 0) return ILEA_ERROR_NONE;
    struct ilea_agency_row row = { .id = record->agency, .state = record->state, .decided = record->seq };
    enum ilea_error error = ilea_log_put_agency(txn, &row);
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, record->manifests);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < record->manifest_count; i++) {
        struct ilea_span bytes = ilea_msgpack_get_bin(&reader, ILEA_MANIFEST_SIZE_MAX);
        error = ilea_log_put_manifest(txn, &record->agency, i, bytes);
    }
    return error;
}

enum ilea_error
ilea_side_merge(struct ilea_side *side, struct ilea_transaction *txn, uint32_t *changed)
{
    static const char why[] = "refused or withdrawn after the time of the restored database";
    enum ilea_error error = ILEA_ERROR_NONE;
    *changed = 0;
    for (uint32_t i = 0; i < side->count && error == ILEA_ERROR_NONE; i++) {
        struct ilea_side_record record = { .size = 0 };
        error = decode_body((struct ilea_span){ side->decisions[i].body, side->decisions[i].size }, &record);
        if (error != ILEA_ERROR_NONE) break;
        struct ilea_agency_row row;
        error = ilea_log_agency(txn, &record.agency, &row);
        if (error == ILEA_ERROR_NOT_FOUND) {
            error = bring_back(txn, &record);
            (*changed)++;
        } else if (error == ILEA_ERROR_NONE && row.state != ILEA_AGENCY_SELF && row.decided < record.seq) {
            row.state = record.state;
            row.decided = record.seq;
            row.reason = (struct ilea_span){ (const uint8_t *)why, sizeof why - 1 };
            error = ilea_log_put_agency(txn, &row);
            (*changed)++;
        }
    }
    return error;
}
