#include "replication/record/audience.h"

#include <stdlib.h>
#include <string.h>

#include "replication/record/label.h"

enum {
    AUDIENCE_FIELDS = 9,
    SUSPEND_FIELDS = 5,
    USE_FIELDS = 3,
    WRITER_FIELDS = 6,
    HEAD_FIELDS = 2,
    ACT_FIELDS = 5,
    INFO_FIELDS = 4
};

_Static_assert(ILEA_MEMBERS_MAX * (ILEA_WRAPPED_KEY_SIZE + 3) + ILEA_HEADS_MAX * 70
                       + ILEA_MEMBER_ACTS_MAX * (1 + 1 + 34 + 1 + 34 + 1 + ILEA_CODE_SIZE_MAX) + 512
                   <= ILEA_ITEM_SIZE_MAX,
               "the largest statement fits an item");

void
ilea_head_get(struct ilea_msgpack_reader *reader, struct ilea_head *head)
{
    ilea_msgpack_expect_array(reader, HEAD_FIELDS);
    ilea_msgpack_get_bytes(reader, head->id.bytes, sizeof head->id.bytes);
    ilea_msgpack_get_bytes(reader, head->agency.bytes, sizeof head->agency.bytes);
}

static bool
is_one_line(struct ilea_span text)
{
    return memchr(text.data, '\n', text.size) == NULL && memchr(text.data, '\t', text.size) == NULL;
}

void
ilea_member_act_get(struct ilea_msgpack_reader *reader, struct ilea_member_act *act)
{
    memset(act, 0, sizeof *act);
    ilea_msgpack_expect_array(reader, ACT_FIELDS);
    uint32_t kind = ilea_msgpack_get_uint32(reader, ILEA_MEMBER_LIFT);
    ilea_msgpack_get_bytes(reader, act->agency.bytes, sizeof act->agency.bytes);
    uint32_t level = ilea_msgpack_get_uint32(reader, ILEA_ACCESS_ADMIN);
    struct ilea_span reading = ilea_msgpack_get_bin(reader, sizeof act->reading.bytes);
    act->code = ilea_msgpack_get_str(reader, ILEA_CODE_SIZE_MAX);
    if (reader->failed) return;
    bool adds = kind == ILEA_MEMBER_ADD;
    if (kind == 0 || adds != (level != ILEA_ACCESS_NONE) || adds != (act->code.size > 0)
        || reading.size != (adds ? sizeof act->reading.bytes : 0)
        || (adds && !is_one_line(act->code))) {
        reader->failed = true;
        return;
    }
    act->kind = (enum ilea_member_act_kind)kind;
    act->level = (enum ilea_access)level;
    if (adds) memcpy(act->reading.bytes, reading.data, sizeof act->reading.bytes);
}

/* At most count_max heads that ascend by id. */
static struct ilea_span
get_heads(struct ilea_msgpack_reader *reader, uint32_t count_min, uint32_t *count)
{
    *count = ilea_msgpack_get_array(reader, ILEA_HEADS_MAX);
    if (*count < count_min) reader->failed = true;
    const uint8_t *start = reader->next;
    struct ilea_head heads[2];
    for (uint32_t i = 0; i < *count && !reader->failed; i++) {
        ilea_head_get(reader, &heads[i % 2]);
        if (i > 0 && memcmp(heads[(i + 1) % 2].id.bytes, heads[i % 2].id.bytes, sizeof heads[0].id.bytes) >= 0) {
            reader->failed = true;
        }
    }
    if (reader->failed) return (struct ilea_span){ NULL, 0 };
    return (struct ilea_span){ start, (size_t)(reader->next - start) };
}

static struct ilea_span
get_wrapped(struct ilea_msgpack_reader *reader, uint32_t *count)
{
    *count = ilea_msgpack_get_array(reader, ILEA_MEMBERS_MAX);
    if (*count == 0) reader->failed = true; /* its author can always read it */
    return ilea_ascending_bins_get(reader, *count, ILEA_WRAPPED_KEY_SIZE);
}

static struct ilea_span
get_acts(struct ilea_msgpack_reader *reader, uint32_t *count)
{
    *count = ilea_msgpack_get_array(reader, ILEA_MEMBER_ACTS_MAX);
    const uint8_t *start = reader->next;
    struct ilea_member_act acts[2];
    for (uint32_t i = 0; i < *count && !reader->failed; i++) {
        ilea_member_act_get(reader, &acts[i % 2]);
        if (i > 0
            && memcmp(acts[(i + 1) % 2].agency.bytes, acts[i % 2].agency.bytes, sizeof acts[0].agency.bytes) >= 0) {
            reader->failed = true;
        }
    }
    if (reader->failed) return (struct ilea_span){ NULL, 0 };
    return (struct ilea_span){ start, (size_t)(reader->next - start) };
}

static void
get_info(struct ilea_msgpack_reader *reader, struct ilea_audience_statement *statement)
{
    uint32_t fields = ilea_msgpack_get_array(reader, INFO_FIELDS);
    statement->has_info = fields != 0;
    if (statement->has_info != (statement->head_count == 0)) reader->failed = true;
    if (fields == 0) return;
    if (fields != INFO_FIELDS) reader->failed = true;
    statement->name = ilea_msgpack_get_str(reader, ILEA_AUDIENCE_NAME_MAX);
    statement->tlp = ilea_msgpack_get_uint32(reader, ILEA_LABEL_AMBER_STRICT);
    statement->history_ms = ilea_msgpack_get_uint(reader);
    statement->list = ilea_msgpack_get_uint32(reader, 1) == 1;
    if (reader->failed) return;
    if (statement->name.size == 0 || !is_one_line(statement->name) || statement->tlp == 0
        || statement->history_ms > ILEA_HISTORY_ALL) {
        reader->failed = true;
    }
}

enum ilea_error
ilea_audience_statement_decode(struct ilea_span input, struct ilea_audience_statement *statement)
{
    struct ilea_msgpack_reader reader;
    memset(statement, 0, sizeof *statement);
    ilea_statement_begin(&reader, input, AUDIENCE_FIELDS, ILEA_STATEMENT_AUDIENCE);
    ilea_msgpack_get_bytes(&reader, statement->audience.bytes, sizeof statement->audience.bytes);
    statement->number = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, statement->aek_commit, sizeof statement->aek_commit);
    statement->heads = get_heads(&reader, 0, &statement->head_count);
    statement->wrapped = get_wrapped(&reader, &statement->wrapped_count);
    statement->time_ms = ilea_msgpack_get_uint(&reader);
    statement->acts = get_acts(&reader, &statement->act_count);
    get_info(&reader, statement);
    if (statement->number == 0) reader.failed = true;
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

enum ilea_error
ilea_suspend_decode(struct ilea_span input, struct ilea_suspend_statement *suspend)
{
    struct ilea_msgpack_reader reader;
    ilea_statement_begin(&reader, input, SUSPEND_FIELDS, ILEA_STATEMENT_SUSPEND);
    ilea_msgpack_get_bytes(&reader, suspend->audience.bytes, sizeof suspend->audience.bytes);
    suspend->heads = get_heads(&reader, 1, &suspend->head_count);
    ilea_msgpack_get_bytes(&reader, suspend->subject.bytes, sizeof suspend->subject.bytes);
    suspend->reason = ilea_msgpack_get_str(&reader, ILEA_SUSPEND_REASON_MAX);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

enum ilea_error
ilea_use_decode(struct ilea_span input, struct ilea_use_statement *use)
{
    struct ilea_msgpack_reader reader;
    ilea_statement_begin(&reader, input, USE_FIELDS, ILEA_STATEMENT_USE);
    ilea_msgpack_get_bytes(&reader, use->audience.bytes, sizeof use->audience.bytes);
    use->heads = get_heads(&reader, 1, &use->head_count);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

enum ilea_error
ilea_writer_epoch_decode(struct ilea_span input, struct ilea_writer_epoch *statement)
{
    struct ilea_msgpack_reader reader;
    ilea_statement_begin(&reader, input, WRITER_FIELDS, ILEA_STATEMENT_WRITER);
    ilea_msgpack_get_bytes(&reader, statement->audience.bytes, sizeof statement->audience.bytes);
    statement->restricted = ilea_msgpack_get_uint32(&reader, 1) == 1;
    ilea_msgpack_get_bytes(&reader, statement->aek_commit, sizeof statement->aek_commit);
    statement->heads = get_heads(&reader, 1, &statement->head_count);
    statement->wrapped = get_wrapped(&reader, &statement->wrapped_count);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

static int
compare_heads(const void *a, const void *b)
{
    return memcmp(((const struct ilea_head *)a)->id.bytes, ((const struct ilea_head *)b)->id.bytes, 32);
}

static int
compare_acts(const void *a, const void *b)
{
    return memcmp(((const struct ilea_member_act *)a)->agency.bytes,
                  ((const struct ilea_member_act *)b)->agency.bytes, 32);
}

static void
put_heads(struct ilea_msgpack_writer *writer, struct ilea_head *heads, uint32_t count)
{
    if (count > 0) qsort(heads, count, sizeof *heads, compare_heads);
    ilea_msgpack_put_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        ilea_msgpack_put_array(writer, HEAD_FIELDS);
        ilea_msgpack_put_bin(writer, heads[i].id.bytes, sizeof heads[i].id.bytes);
        ilea_msgpack_put_bin(writer, heads[i].agency.bytes, sizeof heads[i].agency.bytes);
    }
}

static void
put_acts(struct ilea_msgpack_writer *writer, struct ilea_member_act *acts, uint32_t count)
{
    if (count > 0) qsort(acts, count, sizeof *acts, compare_acts);
    ilea_msgpack_put_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        bool adds = acts[i].kind == ILEA_MEMBER_ADD;
        ilea_msgpack_put_array(writer, ACT_FIELDS);
        ilea_msgpack_put_uint(writer, acts[i].kind);
        ilea_msgpack_put_bin(writer, acts[i].agency.bytes, sizeof acts[i].agency.bytes);
        ilea_msgpack_put_uint(writer, adds ? acts[i].level : ILEA_ACCESS_NONE);
        ilea_msgpack_put_bin(writer, acts[i].reading.bytes, adds ? sizeof acts[i].reading.bytes : 0);
        ilea_msgpack_put_str(writer, adds ? acts[i].code : (struct ilea_span){ NULL, 0 });
    }
}

void
ilea_audience_statement_put(struct ilea_msgpack_writer *writer,
                            const struct ilea_audience_statement *statement, struct ilea_head *heads,
                            uint8_t *wrapped, struct ilea_member_act *acts)
{
    ilea_msgpack_put_array(writer, AUDIENCE_FIELDS);
    ilea_msgpack_put_uint(writer, ILEA_STATEMENT_AUDIENCE);
    ilea_msgpack_put_bin(writer, statement->audience.bytes, sizeof statement->audience.bytes);
    ilea_msgpack_put_uint(writer, statement->number);
    ilea_msgpack_put_bin(writer, statement->aek_commit, ILEA_HASH_SIZE);
    put_heads(writer, heads, statement->head_count);
    ilea_wrapped_put(writer, wrapped, statement->wrapped_count);
    ilea_msgpack_put_uint(writer, statement->time_ms);
    put_acts(writer, acts, statement->act_count);
    ilea_msgpack_put_array(writer, statement->has_info ? INFO_FIELDS : 0);
    if (!statement->has_info) return;
    ilea_msgpack_put_str(writer, statement->name);
    ilea_msgpack_put_uint(writer, statement->tlp);
    ilea_msgpack_put_uint(writer, statement->history_ms);
    ilea_msgpack_put_uint(writer, statement->list ? 1 : 0);
}

void
ilea_suspend_put(struct ilea_msgpack_writer *writer, const struct ilea_suspend_statement *suspend,
                 struct ilea_head *heads)
{
    ilea_msgpack_put_array(writer, SUSPEND_FIELDS);
    ilea_msgpack_put_uint(writer, ILEA_STATEMENT_SUSPEND);
    ilea_msgpack_put_bin(writer, suspend->audience.bytes, sizeof suspend->audience.bytes);
    put_heads(writer, heads, suspend->head_count);
    ilea_msgpack_put_bin(writer, suspend->subject.bytes, sizeof suspend->subject.bytes);
    ilea_msgpack_put_str(writer, suspend->reason);
}

void
ilea_use_put(struct ilea_msgpack_writer *writer, const struct ilea_use_statement *use, struct ilea_head *heads)
{
    ilea_msgpack_put_array(writer, USE_FIELDS);
    ilea_msgpack_put_uint(writer, ILEA_STATEMENT_USE);
    ilea_msgpack_put_bin(writer, use->audience.bytes, sizeof use->audience.bytes);
    put_heads(writer, heads, use->head_count);
}

void
ilea_writer_epoch_put(struct ilea_msgpack_writer *writer, const struct ilea_writer_epoch *statement,
                struct ilea_head *heads, uint8_t *wrapped)
{
    ilea_msgpack_put_array(writer, WRITER_FIELDS);
    ilea_msgpack_put_uint(writer, ILEA_STATEMENT_WRITER);
    ilea_msgpack_put_bin(writer, statement->audience.bytes, sizeof statement->audience.bytes);
    ilea_msgpack_put_uint(writer, statement->restricted ? 1 : 0);
    ilea_msgpack_put_bin(writer, statement->aek_commit, ILEA_HASH_SIZE);
    put_heads(writer, heads, statement->head_count);
    ilea_wrapped_put(writer, wrapped, statement->wrapped_count);
}

void
ilea_statement_heads(struct ilea_span content, uint32_t *count, struct ilea_msgpack_reader *heads)
{
    struct ilea_audience_statement audience;
    struct ilea_suspend_statement suspend;
    struct ilea_use_statement use;
    struct ilea_writer_epoch writer;
    struct ilea_span list = { NULL, 0 };
    enum ilea_statement_kind kind;
    *count = 0;
    if (ilea_statement_kind_of(content, &kind) != ILEA_ERROR_NONE) return;
    if (kind == ILEA_STATEMENT_AUDIENCE
        && ilea_audience_statement_decode(content, &audience) == ILEA_ERROR_NONE) {
        *count = audience.head_count;
        list = audience.heads;
    } else if (kind == ILEA_STATEMENT_SUSPEND && ilea_suspend_decode(content, &suspend) == ILEA_ERROR_NONE) {
        *count = suspend.head_count;
        list = suspend.heads;
    } else if (kind == ILEA_STATEMENT_USE && ilea_use_decode(content, &use) == ILEA_ERROR_NONE) {
        *count = use.head_count;
        list = use.heads;
    } else if (kind == ILEA_STATEMENT_WRITER && ilea_writer_epoch_decode(content, &writer) == ILEA_ERROR_NONE) {
        *count = writer.head_count;
        list = writer.heads;
    }
    ilea_msgpack_reader_init(heads, list);
}

uint32_t
ilea_naming_slot(const struct ilea_commit *commit)
{
    return commit->header.seq == 1 ? 1 : 0;
}

struct ilea_span
ilea_naming_statement(const struct ilea_commit *commit)
{
    struct ilea_msgpack_reader slots;
    struct ilea_item item;
    struct ilea_span slot = { NULL, 0 };
    uint32_t at = ilea_naming_slot(commit);
    ilea_msgpack_reader_init(&slots, commit->slots);
    if (at >= commit->header.item_count) return (struct ilea_span){ NULL, 0 };
    for (uint32_t i = 0; i <= at; i++) slot = ilea_slot_next(&slots);
    if (ilea_item_decode(slot, &item) != ILEA_ERROR_NONE || (item.flags & ILEA_ITEM_CONTROL) == 0) {
        return (struct ilea_span){ NULL, 0 };
    }
    return item.content;
}
