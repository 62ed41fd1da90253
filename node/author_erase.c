/*
 * author_erase.c - erasing records of our own.
 *
 * Order: the view has come to all that was written, so that every change of the record is known; then rows of the
 * side file, rows of the log with their markers, the statement in the control feed. The group commit syncs the side
 * file, then the log, then the guard; then the statement is passed on.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "node/audit.h"
#include "node/author_state.h"
#include "node/erase.h"
#include "node/erase_dots.h"
#include "node/erased_file.h"
#include "node/own_keys.h"
#include "replication/record/uuid.h"

static enum ilea_error __attribute__((format(printf, 3, 4)))
refuse(struct ilea_erase_result *result, enum ilea_error error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(result->reason, sizeof result->reason, format, arguments);
    va_end(arguments);
    return error;
}

/* One statement of at most ILEA_ERASE_DOTS_MAX dots, and its rows. *erasing says where it stands. */
static enum ilea_error
state_some(struct ilea_author *author, struct ilea_erased_dot *dots, uint32_t count,
           const struct ilea_erase_request *request, struct ilea_erasing *erasing)
{
    static const struct ilea_span nothing;
    uint8_t *bytes = malloc(ILEA_ITEM_SIZE_MAX);
    if (bytes == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_msgpack_writer writer;
    uint32_t changed;
    ilea_msgpack_writer_init(&writer, bytes, ILEA_ITEM_SIZE_MAX);
    ilea_erase_put(&writer, dots, count, request != NULL ? request->act : nothing,
                   request != NULL ? request->sigs : NULL, request != NULL ? request->sig_count : 0);
    ilea_assert(!writer.failed); /* erase.h's limits see to it */
    enum ilea_error error = ilea_author_add_statement(author, ILEA_LINE_CONTROL, ilea_msgpack_written(&writer));
    free(bytes);
    const struct ilea_feed_row *feed = &author->lines[ILEA_LINE_CONTROL].feed;
    *erasing = (struct ilea_erasing){ .agency = author->identity->agency, .feed = feed->number,
                                      .seq = feed->seq + 1 };
    return error == ILEA_ERROR_NONE ? ilea_log_erase(author->txn, erasing, dots, count, &changed) : error;
}

/* Sorted dots that others may have. */
static enum ilea_error
state(struct ilea_author *author, struct ilea_erased_dot *dots, uint32_t count,
      const struct ilea_erase_request *request, struct ilea_erasing *erasing)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t at = 0; at < count && error == ILEA_ERROR_NONE;) {
        uint32_t some = count - at < ILEA_ERASE_DOTS_MAX ? count - at : ILEA_ERASE_DOTS_MAX;
        error = state_some(author, dots + at, some, request, erasing);
        at += some;
    }
    return error;
}

/* Side file, log, statement. *erasing: where the last statement stands; feed 0: there is none. */
static enum ilea_error
erase_dots(struct ilea_author *author, struct ilea_erase_dots *dots, const struct ilea_erase_request *request,
           struct ilea_erasing *erasing)
{
    const struct ilea_agency_id *own = &author->identity->agency;
    const struct ilea_erasing silent = { .agency = *own, .silent = true };
    uint32_t changed;
    *erasing = (struct ilea_erasing){ .agency = *own };
    enum ilea_error error = ilea_erased_file_add_dots(author->erased, own, dots->shared, dots->shared_count, false);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_erased_file_add_dots(author->erased, own, dots->silent, dots->silent_count, true);
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_log_erase(author->txn, &silent, dots->silent, dots->silent_count, &changed);
    }
    if (error == ILEA_ERROR_NONE) error = state(author, dots->shared, dots->shared_count, request, erasing);
    if (error == ILEA_ERROR_NONE && dots->silent_count > 0) error = ilea_log_last(author->txn, &author->position);
    return error;
}

static enum ilea_error
put_gone(struct ilea_author *author, struct ilea_gone_row *gone)
{
    struct ilea_gone_row before;
    enum ilea_error error = ilea_log_gone(author->txn, gone->type, &gone->record, &before);
    if (error == ILEA_ERROR_NONE && before.time_ms >= gone->time_ms) gone->time_ms = before.time_ms + 1;
    if (error == ILEA_ERROR_NONE || error == ILEA_ERROR_NOT_FOUND) {
        error = ilea_erased_file_add_gone(author->erased, gone);
    }
    return error == ILEA_ERROR_NONE ? ilea_log_put_gone(author->txn, gone) : error;
}

/* Everything written before is in the view that we look into. */
static bool
is_view_current(const struct ilea_author *author, uint64_t position)
{
    return author->view_txn != NULL && author->view_position >= position;
}

/* One record of ours that is to go. */
struct target {
    struct ilea_gone_row gone;
    uint64_t number;
    bool is_own;
};

static enum ilea_error
find_target(struct ilea_author *author, const struct ilea_erase_record *record, struct target *target,
            struct ilea_erase_result *result)
{
    struct ilea_view_row row;
    char id[ILEA_UUID_TEXT_SIZE];
    *target = (struct target){ .gone = { .type = record->type, .record = record->id, .time_ms = author->now_ms } };
    enum ilea_error error = ilea_view_find(author->view_txn, author->agency, record->type, &record->id, &row);
    if (error == ILEA_ERROR_NONE) {
        target->number = row.number;
        target->gone.ref = row.ref;
        return ILEA_ERROR_NONE;
    }
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    ilea_uuid_print(&record->id, id);
    error = ilea_view_find_id(author->view_txn, &record->id, 0, &row);
    if (error == ILEA_ERROR_NONE) {
        return refuse(result, ILEA_ERROR_NOT_OWNER, "%s belongs to another agency: only they can erase it", id);
    }
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    return refuse(result, ILEA_ERROR_NOT_FOUND, "no record %s here; nothing was erased", id);
}

/* How many records were erased within a day. */
static enum ilea_error
count_day(struct ilea_author *author, uint32_t *count)
{
    static const struct ilea_audience_id none;
    struct ilea_gone_row gone;
    *count = 0;
    enum ilea_error error = ilea_log_gone_next(author->txn, NULL, &gone);
    for (; error == ILEA_ERROR_NONE; error = ilea_log_gone_next(author->txn, &gone, &gone)) {
        bool is_erased = memcmp(gone.audience.bytes, none.bytes, sizeof none.bytes) == 0;
        if (is_erased && gone.time_ms + ILEA_DAY_MS > author->now_ms) (*count)++;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static enum ilea_error
check_day(struct ilea_author *author, const struct ilea_erase_request *request, struct ilea_erase_result *result)
{
    uint32_t count = 0;
    if (request->sig_count > 0) return ILEA_ERROR_NONE;
    enum ilea_error error = count_day(author, &count);
    if (error != ILEA_ERROR_NONE || (uint64_t)count + request->count <= request->day_max) return error;
    return refuse(result, ILEA_ERROR_PERMISSION,
                  "%u records in 24 hours are as many as may be erased unsigned (erase_day = %u): let two admins sign: "
                  "add --admin NAME", count, request->day_max);
}

/* An act that admins signed names exactly these dots, all in one statement. */
static enum ilea_error
check_act(const struct ilea_erase_request *request, const struct ilea_erase_dots *dots,
          const uint8_t hash[ILEA_HASH_SIZE], struct ilea_erase_result *result)
{
    struct ilea_act act;
    char hex[2 * ILEA_HASH_SIZE + 1];
    if (request->sig_count == 0) return ILEA_ERROR_NONE;
    if (dots->shared_count > ILEA_ERASE_DOTS_MAX) {
        return refuse(result, ILEA_ERROR_LIMIT,
                      "these records are made of %u changes, and %d is what one decision can erase: erase fewer at a "
                      "time", dots->shared_count, ILEA_ERASE_DOTS_MAX);
    }
    if (ilea_act_decode(request->act, &act) != ILEA_ERROR_NONE) return ILEA_ERROR_MALFORMED;
    struct ilea_span named = ilea_act_value(&act, "dots");
    ilea_hex_format(hash, ILEA_HASH_SIZE, hex);
    if (named.size == sizeof hex - 1 && memcmp(named.data, hex, named.size) == 0) return ILEA_ERROR_NONE;
    return refuse(result, ILEA_ERROR_INVALID, "the records have changed since it was signed: decide anew");
}

static enum ilea_error
note_erased(struct ilea_author *author, const struct ilea_gone_row *gone, const struct ilea_erase_request *request)
{
    char id[ILEA_UUID_TEXT_SIZE], reason[ILEA_ERASE_TEXT_MAX + 1], basis[ILEA_ERASE_TEXT_MAX + 1], type[16], dots[16];
    ilea_uuid_print(&gone->record, id);
    (void)snprintf(type, sizeof type, "%u", gone->type);
    (void)snprintf(dots, sizeof dots, "%u", gone->dots);
    (void)snprintf(reason, sizeof reason, "%.*s", (int)request->reason.size, (const char *)request->reason.data);
    (void)snprintf(basis, sizeof basis, "%.*s", (int)request->basis.size,
                   request->basis.size > 0 ? (const char *)request->basis.data : "");
    const struct ilea_audit_pair pairs[] = { { "basis", basis[0] != '\0' ? basis : NULL }, { "id", id },
                                             { "reason", reason }, { "shared-changes", dots }, { "type", type },
                                             { NULL, NULL } };
    return ilea_audit_note(author, "record.erased", NULL, pairs);
}

static enum ilea_error
erase_targets(struct ilea_author *author, const struct ilea_erase_request *request, struct target *targets,
              struct ilea_erase_result *result)
{
    struct ilea_erase_dots dots = { .shared = NULL };
    struct ilea_erasing erasing = { .feed = 0 };
    uint8_t hash[ILEA_HASH_SIZE];
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; i < request->count && error == ILEA_ERROR_NONE; i++) {
        const uint32_t before = dots.shared_count;
        error = find_target(author, &request->records[i], &targets[i], result);
        if (error == ILEA_ERROR_NONE) {
            error = ilea_erase_dots_of(&dots, author->txn, author->view_txn, targets[i].number, false);
        }
        targets[i].gone.dots = dots.shared_count - before;
        targets[i].gone.reason = request->reason;
    }
    if (error == ILEA_ERROR_NONE) {
        ilea_erase_dots_sort(&dots, hash);
        error = check_act(request, &dots, hash, result);
    }
    if (error == ILEA_ERROR_NONE) error = erase_dots(author, &dots, request, &erasing);
    for (uint32_t i = 0; i < request->count && error == ILEA_ERROR_NONE; i++) {
        struct ilea_gone_row *gone = &targets[i].gone;
        if (gone->dots > 0) {
            gone->feed = erasing.feed;
            gone->seq = erasing.seq;
        }
        error = put_gone(author, gone);
        if (error == ILEA_ERROR_NONE) error = note_erased(author, gone, request);
    }
    result->records = request->count;
    result->shared_dots = dots.shared_count;
    result->dots = dots.shared_count + dots.silent_count;
    ilea_erase_dots_free(&dots);
    return error;
}

static bool
is_line(struct ilea_span text)
{
    if (text.size == 0) return true;
    return text.size <= ILEA_ERASE_TEXT_MAX && ilea_text_is_valid(text) && memchr(text.data, '\n', text.size) == NULL
        && memchr(text.data, '\t', text.size) == NULL;
}

static int
compare_records(const void *a, const void *b)
{
    const struct ilea_erase_record *one = a, *other = b;
    if (one->type != other->type) return one->type < other->type ? -1 : 1;
    return memcmp(one->id.bytes, other->id.bytes, sizeof one->id.bytes);
}

/* Each record once. */
static enum ilea_error
check_records(const struct ilea_erase_request *request, struct ilea_erase_record *sorted,
              struct ilea_erase_result *result)
{
    memcpy(sorted, request->records, request->count * sizeof *sorted);
    qsort(sorted, request->count, sizeof *sorted, compare_records);
    for (uint32_t i = 1; i < request->count; i++) {
        if (compare_records(&sorted[i - 1], &sorted[i]) == 0) {
            return refuse(result, ILEA_ERROR_INVALID, "one record is named twice; nothing was erased");
        }
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_author_erase(struct ilea_author *author, const struct ilea_erase_request *request,
                  struct ilea_erase_result *result)
{
    ilea_assert(author->txn != NULL && author->erased != NULL);
    *result = (struct ilea_erase_result){ .records = 0 };
    if (request->count == 0 || request->count > ILEA_ERASE_RECORDS_MAX) {
        return refuse(result, ILEA_ERROR_INVALID, "1 to %d records can be erased at a time", ILEA_ERASE_RECORDS_MAX);
    }
    if (request->reason.size == 0 || !is_line(request->reason) || !is_line(request->basis)) {
        return refuse(result, ILEA_ERROR_INVALID, "a reason is one line of text, at most %d bytes",
                      ILEA_ERASE_TEXT_MAX);
    }
    if (author->is_open || author->commit_count > 0 || !is_view_current(author, author->position)) {
        return ILEA_ERROR_BUSY;
    }
    struct target *targets = calloc(request->count, sizeof *targets);
    struct ilea_erase_record *sorted = calloc(request->count, sizeof *sorted);
    enum ilea_error error = targets != NULL && sorted != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = check_records(request, sorted, result);
    if (error == ILEA_ERROR_NONE) error = check_day(author, request, result);
    if (error == ILEA_ERROR_NONE) error = erase_targets(author, request, targets, result);
    free(targets);
    free(sorted);
    return error;
}

enum ilea_error
ilea_author_narrow(struct ilea_author *author, const struct ilea_erase_record *record,
                   const struct ilea_audience_id *audience, struct ilea_span reason, uint32_t *dots)
{
    ilea_assert(author->txn != NULL && author->erased != NULL && is_line(reason));
    struct ilea_erase_dots older = { .shared = NULL };
    struct ilea_erase_result ignored;
    struct ilea_erasing erasing;
    struct target target;
    uint8_t hash[ILEA_HASH_SIZE];
    *dots = 0;
    if (!is_view_current(author, author->saved_position)) return ILEA_ERROR_BUSY;
    enum ilea_error error = find_target(author, record, &target, &ignored);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_erase_dots_of(&older, author->txn, author->view_txn, target.number, true);
    }
    if (error == ILEA_ERROR_NONE && older.shared_count == 0) error = ILEA_ERROR_NOT_FOUND;
    if (error == ILEA_ERROR_NONE) {
        ilea_erase_dots_sort(&older, hash);
        error = erase_dots(author, &older, NULL, &erasing);
    }
    if (error == ILEA_ERROR_NONE) {
        target.gone.audience = *audience;
        target.gone.dots = *dots = older.shared_count;
        target.gone.feed = erasing.feed;
        target.gone.seq = erasing.seq;
        target.gone.reason = reason;
        error = put_gone(author, &target.gone);
    }
    ilea_erase_dots_free(&older);
    return error;
}

bool
ilea_erase_has_strays(struct ilea_transaction *view)
{
    struct ilea_view_place place = { .position = 0 };
    uint64_t record = 0;
    return ilea_view_stray_next(view, &place) == ILEA_ERROR_NONE
        || ilea_view_orphan_next(view, &record) == ILEA_ERROR_NONE;
}

/* Own records about records that are gone. */
static enum ilea_error
erase_orphans(struct ilea_author *author, uint32_t *count)
{
    static const char reason[] = "what it is about was erased";
    struct ilea_erase_record *records = calloc(ILEA_ERASE_STRAYS_MAX, sizeof *records);
    struct ilea_erase_request request = { .records = records, .day_max = UINT32_MAX,
                                          .reason = { (const uint8_t *)reason, sizeof reason - 1 } };
    struct ilea_erase_result result = { .records = 0 };
    uint64_t number = 0;
    enum ilea_error error = records != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    while (error == ILEA_ERROR_NONE && request.count < ILEA_ERASE_STRAYS_MAX) {
        struct ilea_view_row row;
        struct ilea_gone_row gone;
        error = ilea_view_orphan_next(author->view_txn, &number);
        if (error == ILEA_ERROR_NONE) error = ilea_view_get(author->view_txn, number, &row);
        if (error != ILEA_ERROR_NONE) break;
        enum ilea_error known = ilea_log_gone(author->txn, row.type, &row.id, &gone);
        if (known == ILEA_ERROR_NOT_FOUND) {
            records[request.count++] = (struct ilea_erase_record){ row.type, row.id };
        } else if (known != ILEA_ERROR_NONE) {
            error = known;
        }
    }
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && request.count > 0) error = ilea_author_erase(author, &request, &result);
    *count += request.count;
    free(records);
    return error;
}

enum ilea_error
ilea_author_erase_strays(struct ilea_author *author, uint32_t *count)
{
    ilea_assert(author->txn != NULL && author->erased != NULL);
    struct ilea_erase_dots dots = { .shared = NULL };
    struct ilea_erasing erasing;
    struct ilea_view_place place = { .position = 0 };
    uint8_t hash[ILEA_HASH_SIZE];
    *count = 0;
    if (author->is_open || author->commit_count > 0 || !is_view_current(author, author->position)) {
        return ILEA_ERROR_BUSY;
    }
    enum ilea_error error = erase_orphans(author, count);
    while (error == ILEA_ERROR_NONE && dots.shared_count + dots.silent_count < ILEA_ERASE_STRAYS_MAX) {
        error = ilea_view_stray_next(author->view_txn, &place);
        if (error == ILEA_ERROR_NONE) error = ilea_erase_dots_add(&dots, author->txn, &place);
    }
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && dots.shared_count + dots.silent_count > 0) {
        ilea_erase_dots_sort(&dots, hash);
        error = erase_dots(author, &dots, NULL, &erasing);
    }
    *count += dots.shared_count + dots.silent_count;
    ilea_erase_dots_free(&dots);
    return error;
}

/* Whether a statement that a row or a record names still stands in the log. */
static enum ilea_error
is_stated(struct ilea_author *author, uint32_t number, uint64_t seq, bool *stated)
{
    struct ilea_feed_row feed;
    *stated = false;
    if (number == 0) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_log_feed(author->txn, number, &feed);
    if (error == ILEA_ERROR_NONE) *stated = feed.seq >= seq;
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* Our erased records whose statement was lost: the new one holds for all of them. */
static enum ilea_error
restate_gone(struct ilea_author *author, const struct ilea_erasing *erasing)
{
    struct ilea_gone_row gone;
    enum ilea_error error = ilea_log_gone_next(author->txn, NULL, &gone);
    for (; error == ILEA_ERROR_NONE; error = ilea_log_gone_next(author->txn, &gone, &gone)) {
        uint8_t reason[ILEA_GONE_REASON_MAX];
        bool stated = false;
        error = is_stated(author, gone.feed, gone.seq, &stated);
        if (error != ILEA_ERROR_NONE) return error;
        if (stated || gone.dots == 0) continue;
        if (gone.reason.size > 0) memcpy(reason, gone.reason.data, gone.reason.size);
        gone.reason.data = reason;
        gone.feed = erasing->feed;
        gone.seq = erasing->seq;
        error = ilea_log_put_gone(author->txn, &gone);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

enum ilea_error
ilea_author_restate(struct ilea_author *author, uint32_t *count)
{
    struct ilea_erased_row row = { .agency = author->identity->agency };
    struct ilea_erased_dot *dots = calloc(ILEA_ERASE_DOTS_MAX, sizeof *dots);
    struct ilea_erasing erasing = { .feed = 0 };
    uint32_t some = 0;
    *count = 0;
    enum ilea_error error = dots != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    while (error == ILEA_ERROR_NONE) {
        error = ilea_log_erased_next(author->txn, &row, &row);
        bool is_own = error == ILEA_ERROR_NONE
            && memcmp(row.agency.bytes, author->identity->agency.bytes, ILEA_ID_SIZE) == 0;
        bool stated = true;
        if (is_own) error = is_stated(author, row.feed, row.seq, &stated);
        if (is_own && !row.silent && !stated) dots[some++] = row.dot;
        if (some > 0 && (!is_own || some == ILEA_ERASE_DOTS_MAX)) {
            enum ilea_error failed = state_some(author, dots, some, NULL, &erasing);
            *count += some;
            some = 0;
            if (failed != ILEA_ERROR_NONE) error = failed;
        }
        if (!is_own) break;
    }
    free(dots);
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    return error == ILEA_ERROR_NONE && erasing.feed != 0 ? restate_gone(author, &erasing) : error;
}
