#include "node/erased_file.h"

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

enum { KIND_DOT = 1, KIND_GONE = 2, KIND_SILENT = 3, TAG_SIZE = 8, DOT_BODY = 1 + 32 + 16 + 8 + 4 + 32,
       GONE_HEAD = 1 + 4 + 16 + 16 + 8 + 4 + 4 + 2, GONE_BODY = GONE_HEAD + ILEA_GONE_REASON_MAX,
       WINDOW = 64 * 1024, DAMAGE_MAX = 1024 * 1024, /* bytes that are no row: the rest is not looked at */
       SPARE_ROWS = 1000 };

struct ilea_erased_file {
    char home[ILEA_PATH_SIZE];
    int fd;
    uint64_t size;
    uint8_t *pending;           /* rows of the next sync */
    size_t pending_size, pending_capacity;
};

/* One dot of the file. */
struct dot_row {
    struct ilea_agency_id agency;
    struct ilea_erased_dot dot;
    bool silent;
};

struct gone_row {
    struct ilea_gone_row row;   /* its reason is in `reason` */
    uint8_t reason[ILEA_GONE_REASON_MAX];
};

/* All that the file says. */
struct content {
    struct dot_row *dots;
    size_t dot_count, dot_capacity;
    struct gone_row *gone;
    size_t gone_count, gone_capacity;
    bool is_damaged;
    size_t repeated;            /* rows that say nothing new */
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
make_tag(const uint8_t *body, size_t size, uint8_t tag[TAG_SIZE])
{
    uint8_t hash[ILEA_HASH_SIZE];
    ilea_hash_once(ILEA_DOMAIN_SIDE, body, size, hash);
    memcpy(tag, hash, TAG_SIZE);
}

static bool
is_zero(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (at < size && bytes[at] == 0) at++;
    return at == size;
}

static enum ilea_error
decode_gone(const uint8_t *body, struct ilea_gone_row *gone)
{
    const uint8_t *at = body + 1;
    *gone = (struct ilea_gone_row){ .type = ilea_key_u32(at) };
    memcpy(gone->record.bytes, at + 4, sizeof gone->record.bytes);
    memcpy(gone->audience.bytes, at + 20, sizeof gone->audience.bytes);
    gone->time_ms = ilea_key_u64(at + 36);
    gone->ref = ilea_key_u32(at + 44);
    gone->dots = ilea_key_u32(at + 48);
    size_t size = (size_t)at[52] << 8 | at[53];
    if (size > ILEA_GONE_REASON_MAX) return ILEA_ERROR_CORRUPT;
    gone->reason = (struct ilea_span){ body + GONE_HEAD, size };
    bool good = ilea_text_is_valid(gone->reason) && is_zero(gone->reason.data + size, ILEA_GONE_REASON_MAX - size);
    return good ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

enum ilea_error
ilea_erased_record_decode(struct ilea_span input, struct ilea_erased_record *record)
{
    *record = (struct ilea_erased_record){ .size = 0 };
    if (input.size == 0) return ILEA_ERROR_NOT_FOUND;
    uint8_t kind = input.data[0], tag[TAG_SIZE];
    if (kind != KIND_DOT && kind != KIND_GONE && kind != KIND_SILENT) return ILEA_ERROR_CORRUPT;
    size_t size = kind == KIND_GONE ? GONE_BODY : DOT_BODY;
    if (input.size < size + TAG_SIZE) return ILEA_ERROR_NOT_FOUND;
    make_tag(input.data, size, tag);
    if (memcmp(tag, input.data + size, sizeof tag) != 0) return ILEA_ERROR_CORRUPT;
    record->size = size + TAG_SIZE;
    if (kind == KIND_GONE) {
        record->is_gone = true;
        return decode_gone(input.data, &record->gone);
    }
    const uint8_t *at = input.data + 1;
    record->silent = kind == KIND_SILENT;
    memcpy(record->agency.bytes, at, ILEA_ID_SIZE);
    memcpy(record->dot.feed, at + 32, sizeof record->dot.feed);
    record->dot.seq = ilea_key_u64(at + 48);
    record->dot.index = ilea_key_u32(at + 56);
    memcpy(record->dot.leaf, at + 60, sizeof record->dot.leaf);
    bool good = record->dot.seq > 0 && record->dot.index < ILEA_COMMIT_ITEMS_MAX;
    return good ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

/* Room for one more of `size` bytes. */
static bool
reserve(void **array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return true;
    size_t larger = *capacity == 0 ? 64 : *capacity * 2;
    void *moved = realloc(*array, larger * size);
    if (moved == NULL) return false;
    *array = moved;
    *capacity = larger;
    return true;
}

static enum ilea_error
take_gone(struct content *content, const struct ilea_gone_row *gone)
{
    void *array = content->gone;
    if (!reserve(&array, content->gone_count, &content->gone_capacity, sizeof *content->gone)) {
        return ILEA_ERROR_NO_MEMORY;
    }
    content->gone = array;
    struct gone_row *row = &content->gone[content->gone_count++];
    row->row = *gone;
    if (gone->reason.size > 0) memcpy(row->reason, gone->reason.data, gone->reason.size);
    row->row.reason.data = NULL; /* the array moves: whoever uses it sets it */
    return ILEA_ERROR_NONE;
}

static enum ilea_error
take(struct content *content, const struct ilea_erased_record *record)
{
    if (record->is_gone) return take_gone(content, &record->gone);
    void *array = content->dots;
    if (!reserve(&array, content->dot_count, &content->dot_capacity, sizeof *content->dots)) {
        return ILEA_ERROR_NO_MEMORY;
    }
    content->dots = array;
    content->dots[content->dot_count++] = (struct dot_row){ record->agency, record->dot, record->silent };
    return ILEA_ERROR_NONE;
}

static int
compare_dots(const struct dot_row *one, const struct ilea_agency_id *agency, const struct ilea_erased_dot *dot)
{
    int order = memcmp(one->agency.bytes, agency->bytes, ILEA_ID_SIZE);
    if (order == 0) order = memcmp(one->dot.feed, dot->feed, sizeof dot->feed);
    if (order != 0) return order;
    if (one->dot.seq != dot->seq) return one->dot.seq < dot->seq ? -1 : 1;
    if (one->dot.index != dot->index) return one->dot.index < dot->index ? -1 : 1;
    return memcmp(one->dot.leaf, dot->leaf, sizeof dot->leaf);
}

static int
compare_rows(const void *a, const void *b)
{
    const struct dot_row *other = b;
    return compare_dots(a, &other->agency, &other->dot);
}

static int
compare_ids(const struct ilea_gone_row *one, const struct ilea_gone_row *other)
{
    if (one->type != other->type) return one->type < other->type ? -1 : 1;
    return memcmp(one->record.bytes, other->record.bytes, sizeof one->record.bytes);
}

/* Of two rows of one record the later one first. */
static int
compare_gone(const void *a, const void *b)
{
    const struct gone_row *one = a, *other = b;
    int order = compare_ids(&one->row, &other->row);
    if (order != 0) return order;
    return (one->row.time_ms < other->row.time_ms) - (one->row.time_ms > other->row.time_ms);
}

/* In order, each once. */
static void
sort(struct content *content)
{
    size_t kept = 0, gone = 0;
    if (content->dot_count > 0) qsort(content->dots, content->dot_count, sizeof *content->dots, compare_rows);
    for (size_t i = 0; i < content->dot_count; i++) {
        const struct dot_row *row = &content->dots[i];
        if (kept > 0 && compare_dots(&content->dots[kept - 1], &row->agency, &row->dot) == 0) continue;
        content->dots[kept++] = *row;
    }
    if (content->gone_count > 0) qsort(content->gone, content->gone_count, sizeof *content->gone, compare_gone);
    for (size_t i = 0; i < content->gone_count; i++) {
        if (gone > 0 && compare_ids(&content->gone[gone - 1].row, &content->gone[i].row) == 0) continue;
        content->gone[gone++] = content->gone[i];
    }
    content->repeated = content->dot_count - kept + content->gone_count - gone;
    content->dot_count = kept;
    content->gone_count = gone;
}

/* Read the whole file through a window. */
static enum ilea_error
read_content(struct ilea_erased_file *file, struct content *content)
{
    uint8_t *window = malloc(WINDOW);
    size_t filled = 0, damage = 0;
    uint64_t offset = 0;
    enum ilea_error error = window != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    bool is_end = false;
    while (error == ILEA_ERROR_NONE) {
        ssize_t part = is_end ? 0 : pread(file->fd, window + filled, WINDOW - filled, (off_t)offset);
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) error = from_errno();
        if (error != ILEA_ERROR_NONE) break;
        if (part == 0) is_end = true;
        filled += (size_t)part;
        offset += (uint64_t)part;
        size_t at = 0;
        while (at < filled && error == ILEA_ERROR_NONE && damage < DAMAGE_MAX) {
            struct ilea_erased_record record;
            enum ilea_error form =
                ilea_erased_record_decode((struct ilea_span){ window + at, filled - at }, &record);
            if (form == ILEA_ERROR_NOT_FOUND && !is_end) break;
            if (form == ILEA_ERROR_NONE) error = take(content, &record);
            at += form == ILEA_ERROR_NONE ? record.size : 1;
            if (form != ILEA_ERROR_NONE) damage++;
        }
        memmove(window, window + at, filled - at);
        filled -= at;
        if ((is_end && filled == 0) || damage >= DAMAGE_MAX) break;
    }
    free(window);
    content->is_damaged = damage > 0;
    sort(content);
    return error;
}

static void
free_content(struct content *content)
{
    free(content->dots);
    free(content->gone);
}

enum ilea_error
ilea_erased_file_open(const char *home, struct ilea_erased_file **file)
{
    char path[ILEA_PATH_SIZE];
    struct stat info;
    struct ilea_erased_file *opened = calloc(1, sizeof *opened);
    if (opened == NULL) return ILEA_ERROR_NO_MEMORY;
    memcpy(opened->home, home, strlen(home) + 1);
    ilea_home_path(home, "state/erased", path);
    opened->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    enum ilea_error error = opened->fd >= 0 ? ilea_home_sync(home, "state") : from_errno();
    if (error == ILEA_ERROR_NONE && fstat(opened->fd, &info) != 0) error = from_errno();
    if (error != ILEA_ERROR_NONE) {
        ilea_erased_file_close(opened);
        return error;
    }
    opened->size = (uint64_t)info.st_size;
    *file = opened;
    return ILEA_ERROR_NONE;
}

void
ilea_erased_file_close(struct ilea_erased_file *file)
{
    if (file == NULL) return;
    if (file->fd >= 0) close(file->fd);
    free(file->pending);
    free(file);
}

/* The body's place in what is pending; NULL: no memory. end_row() makes it count. */
static uint8_t *
begin_row(struct ilea_erased_file *file)
{
    if (file->pending_capacity - file->pending_size < ILEA_ERASED_ROW_MAX) {
        size_t larger = file->pending_capacity == 0 ? 16 * 1024 : file->pending_capacity * 2;
        uint8_t *moved = realloc(file->pending, larger);
        if (moved == NULL) return NULL;
        file->pending = moved;
        file->pending_capacity = larger;
    }
    return file->pending + file->pending_size;
}

static void
end_row(struct ilea_erased_file *file, size_t size)
{
    uint8_t *body = file->pending + file->pending_size;
    make_tag(body, size, body + size);
    file->pending_size += size + TAG_SIZE;
}

enum ilea_error
ilea_erased_file_add_dots(struct ilea_erased_file *file, const struct ilea_agency_id *agency,
                          const struct ilea_erased_dot *dots, uint32_t count, bool silent)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *body = begin_row(file);
        if (body == NULL) return ILEA_ERROR_NO_MEMORY;
        body[0] = silent ? KIND_SILENT : KIND_DOT;
        memcpy(body + 1, agency->bytes, ILEA_ID_SIZE);
        memcpy(body + 33, dots[i].feed, sizeof dots[i].feed);
        ilea_key_put_u64(body + 49, dots[i].seq);
        ilea_key_put_u32(body + 57, dots[i].index);
        memcpy(body + 61, dots[i].leaf, sizeof dots[i].leaf);
        end_row(file, DOT_BODY);
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_erased_file_add_gone(struct ilea_erased_file *file, const struct ilea_gone_row *gone)
{
    ilea_assert(gone->reason.size <= ILEA_GONE_REASON_MAX);
    uint8_t *body = begin_row(file);
    if (body == NULL) return ILEA_ERROR_NO_MEMORY;
    memset(body, 0, GONE_BODY);
    body[0] = KIND_GONE;
    ilea_key_put_u32(body + 1, gone->type);
    memcpy(body + 5, gone->record.bytes, sizeof gone->record.bytes);
    memcpy(body + 21, gone->audience.bytes, sizeof gone->audience.bytes);
    ilea_key_put_u64(body + 37, gone->time_ms);
    ilea_key_put_u32(body + 45, gone->ref);
    ilea_key_put_u32(body + 49, gone->dots);
    body[53] = (uint8_t)(gone->reason.size >> 8);
    body[54] = (uint8_t)gone->reason.size;
    if (gone->reason.size > 0) memcpy(body + GONE_HEAD, gone->reason.data, gone->reason.size);
    end_row(file, GONE_BODY);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_erased_file_sync(struct ilea_erased_file *file)
{
    size_t done = 0;
    enum ilea_error error = ILEA_ERROR_NONE;
    if (file->pending_size == 0) return ILEA_ERROR_NONE;
    while (done < file->pending_size) {
        ssize_t part = pwrite(file->fd, file->pending + done, file->pending_size - done, (off_t)(file->size + done));
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) {
            error = part < 0 ? from_errno() : ILEA_ERROR_IO;
            break;
        }
        done += (size_t)part;
    }
    if (error == ILEA_ERROR_NONE && fsync(file->fd) != 0) error = from_errno();
    if (error == ILEA_ERROR_NONE) {
        file->size += file->pending_size;
    } else {
        (void)!ftruncate(file->fd, (off_t)file->size);
    }
    file->pending_size = 0;
    return error;
}

void
ilea_erased_file_drop(struct ilea_erased_file *file)
{
    file->pending_size = 0;
}

static const struct dot_row *
find_dot(const struct content *content, const struct ilea_erased_row *row)
{
    size_t low = 0, high = content->dot_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_dots(&content->dots[middle], &row->agency, &row->dot);
        if (order == 0) return &content->dots[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

static const struct gone_row *
find_gone(const struct content *content, const struct ilea_gone_row *row)
{
    size_t low = 0, high = content->gone_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_ids(&content->gone[middle].row, row);
        if (order == 0) return &content->gone[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

/* What the log knows and the file does not, or not so. */
static enum ilea_error
add_from_log(struct ilea_erased_file *file, struct ilea_transaction *txn, const struct content *content)
{
    struct ilea_erased_row row;
    struct ilea_gone_row gone;
    enum ilea_error error = ilea_log_erased_next(txn, NULL, &row);
    for (; error == ILEA_ERROR_NONE; error = ilea_log_erased_next(txn, &row, &row)) {
        if (row.due || find_dot(content, &row) != NULL) continue;
        error = ilea_erased_file_add_dots(file, &row.agency, &row.dot, 1, row.silent);
        if (error != ILEA_ERROR_NONE) return error;
    }
    if (error == ILEA_ERROR_NOT_FOUND) error = ilea_log_gone_next(txn, NULL, &gone);
    for (; error == ILEA_ERROR_NONE; error = ilea_log_gone_next(txn, &gone, &gone)) {
        const struct gone_row *known = find_gone(content, &gone);
        if (known != NULL && known->row.time_ms >= gone.time_ms) continue;
        error = ilea_erased_file_add_gone(file, &gone);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* What the file knows and the log does not, or not any more. */
static enum ilea_error
add_to_log(struct ilea_transaction *txn, const struct content *content, uint32_t *changed)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    struct ilea_erased_row row;
    uint32_t count = 0;
    for (size_t i = 0; i < content->dot_count && error == ILEA_ERROR_NONE; i++) {
        const struct dot_row *dot = &content->dots[i];
        error = ilea_log_erased(txn, &dot->agency, &dot->dot, &row);
        if (error == ILEA_ERROR_NONE && !row.due) continue;
        if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) break;
        const struct ilea_erasing erasing = { .agency = dot->agency, .silent = dot->silent };
        error = ilea_log_erase(txn, &erasing, &dot->dot, 1, &count);
        (*changed)++;
    }
    for (size_t i = 0; i < content->gone_count && error == ILEA_ERROR_NONE; i++) {
        struct ilea_gone_row known, gone = content->gone[i].row;
        error = ilea_log_gone(txn, gone.type, &gone.record, &known);
        if (error == ILEA_ERROR_NONE && known.time_ms >= gone.time_ms) continue;
        if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) break;
        gone.reason.data = content->gone[i].reason;
        error = ilea_log_put_gone(txn, &gone);
        (*changed)++;
    }
    return error;
}

/* All that is known, in a new file in place of the old one. */
static enum ilea_error
rewrite(struct ilea_erased_file *file, const struct content *content)
{
    char path[ILEA_PATH_SIZE], fresh[ILEA_PATH_SIZE];
    ilea_home_path(file->home, "state/erased", path);
    ilea_home_path(file->home, "state/erased.new", fresh);
    (void)unlink(fresh);
    const int old = file->fd;
    const uint64_t size = file->size;
    file->fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    enum ilea_error error = file->fd >= 0 ? ILEA_ERROR_NONE : from_errno();
    file->size = 0;
    for (size_t i = 0; i < content->dot_count && error == ILEA_ERROR_NONE; i++) {
        const struct dot_row *dot = &content->dots[i];
        error = ilea_erased_file_add_dots(file, &dot->agency, &dot->dot, 1, dot->silent);
        if (error == ILEA_ERROR_NONE && file->pending_size >= WINDOW) error = ilea_erased_file_sync(file);
    }
    for (size_t i = 0; i < content->gone_count && error == ILEA_ERROR_NONE; i++) {
        struct ilea_gone_row gone = content->gone[i].row;
        gone.reason.data = content->gone[i].reason;
        error = ilea_erased_file_add_gone(file, &gone);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_erased_file_sync(file);
    if (error == ILEA_ERROR_NONE && rename(fresh, path) != 0) error = from_errno();
    if (error != ILEA_ERROR_NONE) {
        if (file->fd >= 0) close(file->fd);
        file->fd = old;
        file->size = size;
        file->pending_size = 0;
        return error;
    }
    close(old);
    return ilea_home_sync(file->home, "state");
}

enum ilea_error
ilea_erased_file_merge(struct ilea_erased_file *file, struct ilea_transaction *txn, uint32_t *changed)
{
    struct content content = { .dot_count = 0 };
    *changed = 0;
    enum ilea_error error = read_content(file, &content);
    bool is_long = content.repeated > SPARE_ROWS && content.repeated > content.dot_count + content.gone_count;
    if (error == ILEA_ERROR_NONE && (content.is_damaged || is_long)) error = rewrite(file, &content);
    if (error == ILEA_ERROR_NONE) error = add_from_log(file, txn, &content);
    if (error == ILEA_ERROR_NONE) error = ilea_erased_file_sync(file);
    if (error == ILEA_ERROR_NONE) error = add_to_log(txn, &content, changed);
    free_content(&content);
    return error;
}
