/*
 * log_erased.c - the erasure set: which items of which agency's feeds are erased. Whatever comes into the log asks
 * it, because ilea_log_append() does; what is here when its erasure is learnt is deleted then.
 */
#include <stdlib.h>

#include "crypto/assert.h"
#include "replication/store/log_rows.h"

enum { ERASED_PREFIX = ILEA_ID_SIZE + ILEA_DOT_FEED_SIZE + 8, ERASED_KEY = ERASED_PREFIX + 4 + ILEA_HASH_SIZE,
       ERASED_VALUE = 1 + 4 + 8, ROW_DUE = 1, ROW_HELD = 2, ROW_SILENT = 4, GONE_KEY = 4 + 16, GONE_FIELDS = 7,
       DAYS_VALUE = 4 + 4 + 4 };

_Static_assert((int)ERASED_KEY <= (int)ILEA_KEY_MAX, "a dot with its leaf is a key");

static void
put_prefix(uint8_t key[ERASED_KEY], const struct ilea_agency_id *agency, const uint8_t feed[ILEA_DOT_FEED_SIZE],
           uint64_t seq)
{
    memcpy(key, agency->bytes, ILEA_ID_SIZE);
    memcpy(key + ILEA_ID_SIZE, feed, ILEA_DOT_FEED_SIZE);
    ilea_key_put_u64(key + ILEA_ID_SIZE + ILEA_DOT_FEED_SIZE, seq);
}

static struct ilea_span
erased_key(uint8_t key[ERASED_KEY], const struct ilea_agency_id *agency, const struct ilea_erased_dot *dot)
{
    put_prefix(key, agency, dot->feed, dot->seq);
    ilea_key_put_u32(key + ERASED_PREFIX, dot->index);
    memcpy(key + ERASED_PREFIX + 4, dot->leaf, ILEA_HASH_SIZE);
    return (struct ilea_span){ key, ERASED_KEY };
}

static enum ilea_error
decode_row(struct ilea_span key, struct ilea_span value, struct ilea_erased_row *row)
{
    if (key.size != ERASED_KEY || value.size != ERASED_VALUE || value.data[0] > (ROW_DUE | ROW_HELD | ROW_SILENT)) {
        return ILEA_ERROR_CORRUPT;
    }
    memcpy(row->agency.bytes, key.data, ILEA_ID_SIZE);
    memcpy(row->dot.feed, key.data + ILEA_ID_SIZE, ILEA_DOT_FEED_SIZE);
    row->dot.seq = ilea_key_u64(key.data + ILEA_ID_SIZE + ILEA_DOT_FEED_SIZE);
    row->dot.index = ilea_key_u32(key.data + ERASED_PREFIX);
    memcpy(row->dot.leaf, key.data + ERASED_PREFIX + 4, ILEA_HASH_SIZE);
    row->due = (value.data[0] & ROW_DUE) != 0;
    row->held = (value.data[0] & ROW_HELD) != 0;
    row->silent = (value.data[0] & ROW_SILENT) != 0;
    row->feed = ilea_key_u32(value.data + 1);
    row->seq = ilea_key_u64(value.data + 5);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
store_row(struct ilea_transaction *txn, const struct ilea_erased_row *row)
{
    uint8_t key[ERASED_KEY], value[ERASED_VALUE];
    value[0] = (uint8_t)((row->due ? ROW_DUE : 0) | (row->held ? ROW_HELD : 0) | (row->silent ? ROW_SILENT : 0));
    ilea_key_put_u32(value + 1, row->feed);
    ilea_key_put_u64(value + 5, row->seq);
    return ilea_put(txn, LOG_ERASED, erased_key(key, &row->agency, &row->dot),
                    (struct ilea_span){ value, sizeof value });
}

enum ilea_error
ilea_log_erased(struct ilea_transaction *txn, const struct ilea_agency_id *agency, const struct ilea_erased_dot *dot,
                struct ilea_erased_row *row)
{
    uint8_t bytes[ERASED_KEY];
    struct ilea_span key = erased_key(bytes, agency, dot), value;
    enum ilea_error error = ilea_get(txn, LOG_ERASED, key, &value);
    return error == ILEA_ERROR_NONE ? decode_row(key, value, row) : error;
}

bool
ilea_log_is_erased(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                   const uint8_t feed[ILEA_DOT_FEED_SIZE], uint64_t seq, uint32_t index,
                   const uint8_t leaf[ILEA_HASH_SIZE])
{
    struct ilea_erased_dot dot = { .seq = seq, .index = index };
    struct ilea_erased_row row;
    memcpy(dot.feed, feed, sizeof dot.feed);
    memcpy(dot.leaf, leaf, sizeof dot.leaf);
    return ilea_log_erased(txn, agency, &dot, &row) == ILEA_ERROR_NONE;
}

/* The first row whose key is `from` or, with `is_after`, comes after it. */
static enum ilea_error
seek_row(struct ilea_transaction *txn, struct ilea_span from, bool is_after, struct ilea_erased_row *row)
{
    struct ilea_cursor *cursor = NULL;
    struct ilea_span key, stored, value;
    enum ilea_error error = ilea_cursor_open(txn, LOG_ERASED, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_cursor_seek(cursor, from, &key, &stored);
    if (error == ILEA_ERROR_NONE && is_after && key.size == from.size && memcmp(key.data, from.data, key.size) == 0) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_ERASED, key, stored, &value);
    if (error == ILEA_ERROR_NONE) error = decode_row(key, value, row);
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_log_erased_next(struct ilea_transaction *txn, const struct ilea_erased_row *after, struct ilea_erased_row *row)
{
    uint8_t bytes[ERASED_KEY] = { 0 };
    struct ilea_span from = after != NULL ? erased_key(bytes, &after->agency, &after->dot)
                                          : (struct ilea_span){ bytes, sizeof bytes };
    return seek_row(txn, from, after != NULL, row);
}

/* Bytes of a commit from which the items that `blank` names are taken; heap. *size 0: there were none. */
static enum ilea_error
blank(struct ilea_span commit, const bool *which, uint8_t **bytes, size_t *size)
{
    uint32_t blanked = 0;
    *size = 0;
    *bytes = malloc(commit.size);
    if (*bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    if (ilea_commit_blank(commit, which, *bytes, size, &blanked) != ILEA_ERROR_NONE) return ILEA_ERROR_CORRUPT;
    if (blanked == 0) *size = 0;
    return ILEA_ERROR_NONE;
}

/* The leaves of a commit's slots. */
static enum ilea_error
read_leaves(struct ilea_span bytes, uint8_t (*leaves)[ILEA_HASH_SIZE], bool *is_item, uint32_t *count)
{
    struct ilea_commit commit;
    struct ilea_msgpack_reader slots;
    if (ilea_commit_decode(bytes, &commit) != ILEA_ERROR_NONE) return ILEA_ERROR_CORRUPT;
    ilea_msgpack_reader_init(&slots, commit.slots);
    *count = commit.header.item_count;
    for (uint32_t i = 0; i < *count; i++) {
        struct ilea_span slot = ilea_slot_next(&slots);
        struct ilea_item item;
        is_item[i] = slot.size > ILEA_HASH_SIZE
            && !(ilea_item_decode(slot, &item) == ILEA_ERROR_NONE && (item.flags & ILEA_ITEM_CONTROL) != 0);
        if (slot.size == ILEA_HASH_SIZE) memcpy(leaves[i], slot.data, ILEA_HASH_SIZE);
        else ilea_item_leaf(i, slot, leaves[i]);
    }
    return ILEA_ERROR_NONE;
}

/* What is known of one commit's slots: at the heap, for it is large. */
struct slots {
    uint8_t leaves[ILEA_COMMIT_ITEMS_MAX][ILEA_HASH_SIZE];
    bool is_item[ILEA_COMMIT_ITEMS_MAX]; /* there, and no statement */
    bool blank[ILEA_COMMIT_ITEMS_MAX];
    uint32_t count;
};

enum ilea_error
ilea_log_without_erased(struct ilea_transaction *txn, const struct ilea_feed_row *feed, uint64_t seq,
                        struct ilea_span commit, uint8_t **bytes, size_t *size)
{
    uint8_t key[ERASED_KEY] = { 0 };
    struct ilea_erased_row row;
    *bytes = NULL;
    *size = 0;
    put_prefix(key, &feed->origin.agency, feed->id.bytes, seq);
    enum ilea_error error = seek_row(txn, (struct ilea_span){ key, sizeof key }, false, &row);
    struct slots *slots = NULL;
    while (error == ILEA_ERROR_NONE && memcmp(row.agency.bytes, feed->origin.agency.bytes, ILEA_ID_SIZE) == 0
           && memcmp(row.dot.feed, feed->id.bytes, ILEA_DOT_FEED_SIZE) == 0 && row.dot.seq == seq) {
        if (slots == NULL) {
            slots = calloc(1, sizeof *slots);
            if (slots == NULL) return ILEA_ERROR_NO_MEMORY;
            error = read_leaves(commit, slots->leaves, slots->is_item, &slots->count);
            if (error != ILEA_ERROR_NONE) break;
        }
        uint32_t i = row.dot.index;
        if (!row.due && i < slots->count && memcmp(slots->leaves[i], row.dot.leaf, ILEA_HASH_SIZE) == 0) {
            slots->blank[i] = true;
        }
        error = ilea_log_erased_next(txn, &row, &row);
    }
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && slots != NULL && feed->origin.scope != ILEA_SCOPE_CONTROL) {
        error = blank(commit, slots->blank, bytes, size);
    }
    free(slots);
    return error;
}

enum ilea_error
ilea_log_erase_day(struct ilea_transaction *txn, const struct ilea_agency_id *agency, struct ilea_erase_day *day)
{
    struct ilea_span value;
    *day = (struct ilea_erase_day){ .day = 0 };
    enum ilea_error error =
        ilea_get(txn, LOG_ERASE_DAYS, (struct ilea_span){ agency->bytes, sizeof agency->bytes }, &value);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && value.size != DAYS_VALUE) error = ILEA_ERROR_CORRUPT;
    if (error != ILEA_ERROR_NONE) return error;
    *day = (struct ilea_erase_day){ ilea_key_u32(value.data), ilea_key_u32(value.data + 4),
                                    ilea_key_u32(value.data + 8) };
    return ILEA_ERROR_NONE;
}

static enum ilea_error
put_day(struct ilea_transaction *txn, const struct ilea_agency_id *agency, const struct ilea_erase_day *day)
{
    uint8_t value[DAYS_VALUE];
    ilea_key_put_u32(value, day->day);
    ilea_key_put_u32(value + 4, day->count);
    ilea_key_put_u32(value + 8, day->due);
    return ilea_put(txn, LOG_ERASE_DAYS, (struct ilea_span){ agency->bytes, sizeof agency->bytes },
                    (struct ilea_span){ value, sizeof value });
}

enum ilea_error
ilea_log_put_erase_day(struct ilea_transaction *txn, const struct ilea_agency_id *agency, uint32_t day,
                       uint32_t count)
{
    struct ilea_erase_day row;
    enum ilea_error error = ilea_log_erase_day(txn, agency, &row);
    row.day = day;
    row.count = count;
    return error == ILEA_ERROR_NONE ? put_day(txn, agency, &row) : error;
}

/* How many rows of an agency are due. */
static enum ilea_error
count_due(struct ilea_transaction *txn, const struct ilea_agency_id *agency, int more)
{
    struct ilea_erase_day row;
    enum ilea_error error = ilea_log_erase_day(txn, agency, &row);
    if (more > 0) row.due++;
    else if (row.due > 0) row.due--;
    return error == ILEA_ERROR_NONE ? put_day(txn, agency, &row) : error;
}

/* A row as it is stated now, in place of what is known of the dot. */
static enum ilea_error
state_row(struct ilea_transaction *txn, const struct ilea_erasing *erasing, const struct ilea_erased_dot *dot,
          struct ilea_erased_row *row, bool *is_new)
{
    enum ilea_error error = ilea_log_erased(txn, &erasing->agency, dot, row);
    *is_new = error == ILEA_ERROR_NOT_FOUND;
    if (error != ILEA_ERROR_NONE && !*is_new) return error;
    if (*is_new) {
        *row = (struct ilea_erased_row){ .agency = erasing->agency, .dot = *dot, .due = erasing->due,
                                         .silent = erasing->silent };
    }
    bool was_due = !*is_new && row->due;
    if (!erasing->due) row->due = false;
    if (row->due != was_due) {
        error = count_due(txn, &erasing->agency, row->due ? 1 : -1);
        if (error != ILEA_ERROR_NONE) return error;
    }
    if (erasing->feed != 0) {
        row->feed = erasing->feed;
        row->seq = erasing->seq;
    }
    return ILEA_ERROR_NONE;
}

/* The commit with some dots of one agency; NOT_FOUND: it is not here, or not in a feed that items are erased from.
 * A dot of a feed that another agency writes names nothing. */
static enum ilea_error
find_commit(struct ilea_transaction *txn, const struct ilea_agency_id *agency, const struct ilea_erased_dot *dot,
            struct ilea_feed_row *feed, struct ilea_log_commit *commit)
{
    struct ilea_chain_row chain;
    enum ilea_error error = ilea_log_feed_by_dot(txn, dot->feed, feed);
    if (error == ILEA_ERROR_NONE
        && (memcmp(feed->origin.agency.bytes, agency->bytes, ILEA_ID_SIZE) != 0
            || feed->origin.scope == ILEA_SCOPE_CONTROL)) {
        error = ILEA_ERROR_NOT_FOUND;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_log_chain(txn, feed->number, dot->seq, &chain);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_log_commit_at(txn, chain.position, commit);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
}

/* The rows of dots that stand in one commit, and what of it is here goes. */
static enum ilea_error
erase_in_commit(struct ilea_transaction *txn, const struct ilea_erasing *erasing, const struct ilea_erased_dot *dots,
                uint32_t count, struct slots *slots, uint32_t *changed)
{
    struct ilea_feed_row feed = { .number = 0 };
    struct ilea_log_commit commit;
    memset(slots, 0, sizeof *slots);
    enum ilea_error error = find_commit(txn, &erasing->agency, dots, &feed, &commit);
    bool is_here = error == ILEA_ERROR_NONE;
    if (is_here) error = read_leaves(commit.bytes, slots->leaves, slots->is_item, &slots->count);
    else if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    uint8_t *bytes = NULL;
    size_t size = 0;
    for (uint32_t i = 0; i < count && is_here && error == ILEA_ERROR_NONE; i++) {
        const struct ilea_erased_dot *dot = &dots[i];
        slots->blank[dot->index] = !erasing->due && dot->index < slots->count && slots->is_item[dot->index]
            && memcmp(slots->leaves[dot->index], dot->leaf, ILEA_HASH_SIZE) == 0;
    }
    if (is_here && error == ILEA_ERROR_NONE) error = blank(commit.bytes, slots->blank, &bytes, &size);
    if (error == ILEA_ERROR_NONE && size > 0) { /* the file's pages move under the writes: it was copied before */
        error = ilea_log_replace_commit(txn, feed.number, dots->seq, (struct ilea_span){ bytes, size });
    }
    free(bytes);
    for (uint32_t i = 0; i < count && error == ILEA_ERROR_NONE; i++) {
        const struct ilea_erased_dot *dot = &dots[i];
        struct ilea_erased_row row;
        bool is_new, was_hidden;
        error = state_row(txn, erasing, dot, &row, &is_new);
        if (error != ILEA_ERROR_NONE) break;
        was_hidden = !is_new && row.held;
        bool goes = is_here && dot->index < slots->count && slots->is_item[dot->index]
            && memcmp(slots->leaves[dot->index], dot->leaf, ILEA_HASH_SIZE) == 0;
        row.held = row.held || goes;
        error = store_row(txn, &row);
        if (error == ILEA_ERROR_NONE && goes && !was_hidden) {
            error = ilea_log_put_marker(txn, feed.number, dot->seq, dot->index);
        }
        if (is_new || goes) (*changed)++;
    }
    return error;
}

enum ilea_error
ilea_log_erase(struct ilea_transaction *txn, const struct ilea_erasing *erasing, const struct ilea_erased_dot *dots,
               uint32_t count, uint32_t *changed)
{
    struct slots *slots = malloc(sizeof *slots);
    if (slots == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ILEA_ERROR_NONE;
    *changed = 0;
    for (uint32_t at = 0, next; at < count && error == ILEA_ERROR_NONE; at = next) {
        next = at + 1;
        while (next < count && dots[next].seq == dots[at].seq
               && memcmp(dots[next].feed, dots[at].feed, sizeof dots[at].feed) == 0) {
            next++;
        }
        error = erase_in_commit(txn, erasing, dots + at, next - at, slots, changed);
    }
    free(slots);
    return error;
}

enum ilea_error
ilea_log_forget_due(struct ilea_transaction *txn, const struct ilea_feed_row *control, uint64_t seq)
{
    struct ilea_erase_day day;
    struct ilea_erased_row row = { .agency = control->origin.agency };
    enum ilea_error error = ilea_log_erase_day(txn, &control->origin.agency, &day);
    while (error == ILEA_ERROR_NONE && day.due > 0) {
        uint8_t key[ERASED_KEY];
        error = ilea_log_erased_next(txn, &row, &row);
        bool is_its = memcmp(row.agency.bytes, control->origin.agency.bytes, ILEA_ID_SIZE) == 0;
        if (error != ILEA_ERROR_NONE || !is_its) break;
        if (!row.due || row.feed != control->number || row.seq <= seq) continue;
        error = ilea_delete(txn, LOG_ERASED, erased_key(key, &row.agency, &row.dot));
        if (error == ILEA_ERROR_NONE) error = count_due(txn, &row.agency, -1);
        day.due--;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static struct ilea_span
gone_key(uint8_t key[GONE_KEY], uint32_t type, const struct ilea_record_id *record)
{
    ilea_key_put_u32(key, type);
    memcpy(key + 4, record->bytes, sizeof record->bytes);
    return (struct ilea_span){ key, GONE_KEY };
}

static enum ilea_error
decode_gone(struct ilea_span key, struct ilea_span value, struct ilea_gone_row *gone)
{
    if (key.size != GONE_KEY) return ILEA_ERROR_CORRUPT;
    gone->type = ilea_key_u32(key.data);
    memcpy(gone->record.bytes, key.data + 4, sizeof gone->record.bytes);
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    ilea_msgpack_expect_array(&reader, GONE_FIELDS);
    ilea_msgpack_get_bytes(&reader, gone->audience.bytes, sizeof gone->audience.bytes);
    gone->time_ms = ilea_msgpack_get_uint(&reader);
    gone->ref = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    gone->dots = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    gone->feed = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    gone->seq = ilea_msgpack_get_uint(&reader);
    gone->reason = ilea_msgpack_get_str(&reader, ILEA_GONE_REASON_MAX);
    return log_decoded(&reader);
}

enum ilea_error
ilea_log_gone(struct ilea_transaction *txn, uint32_t type, const struct ilea_record_id *record,
              struct ilea_gone_row *gone)
{
    uint8_t bytes[GONE_KEY];
    struct ilea_span key = gone_key(bytes, type, record), value;
    enum ilea_error error = ilea_get(txn, LOG_GONE, key, &value);
    return error == ILEA_ERROR_NONE ? decode_gone(key, value, gone) : error;
}

enum ilea_error
ilea_log_gone_next(struct ilea_transaction *txn, const struct ilea_gone_row *after, struct ilea_gone_row *gone)
{
    uint8_t bytes[GONE_KEY] = { 0 };
    struct ilea_span from = after != NULL ? gone_key(bytes, after->type, &after->record)
                                          : (struct ilea_span){ bytes, sizeof bytes };
    struct ilea_cursor *cursor = NULL;
    struct ilea_span key, stored, value;
    enum ilea_error error = ilea_cursor_open(txn, LOG_GONE, &cursor);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_cursor_seek(cursor, from, &key, &stored);
    if (error == ILEA_ERROR_NONE && after != NULL && key.size == from.size
        && memcmp(key.data, from.data, key.size) == 0) {
        error = ilea_cursor_next(cursor, &key, &stored);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_untag(LOG_GONE, key, stored, &value);
    if (error == ILEA_ERROR_NONE) error = decode_gone(key, value, gone);
    ilea_cursor_close(cursor);
    return error;
}

enum ilea_error
ilea_log_put_gone(struct ilea_transaction *txn, const struct ilea_gone_row *gone)
{
    uint8_t key[GONE_KEY], bytes[128 + ILEA_GONE_REASON_MAX];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, GONE_FIELDS);
    ilea_msgpack_put_bin(&writer, gone->audience.bytes, sizeof gone->audience.bytes);
    ilea_msgpack_put_uint(&writer, gone->time_ms);
    ilea_msgpack_put_uint(&writer, gone->ref);
    ilea_msgpack_put_uint(&writer, gone->dots);
    ilea_msgpack_put_uint(&writer, gone->feed);
    ilea_msgpack_put_uint(&writer, gone->seq);
    ilea_msgpack_put_str(&writer, gone->reason);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    return ilea_put(txn, LOG_GONE, gone_key(key, gone->type, &gone->record), ilea_msgpack_written(&writer));
}
