#include "tests/support/statement.h"

#include <string.h>

#include "crypto/assert.h"

const struct ilea_network_id ilea_test_statement_network = { { 9 } };

static void
put_opening(struct ilea_msgpack_writer *writer, const struct ilea_opening *opening)
{
    static struct ilea_position positions[ILEA_PREDECESSORS_MAX];
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, opening->predecessors);
    for (uint32_t i = 0; i < opening->predecessor_count; i++) ilea_position_get(&reader, &positions[i]);
    ilea_assert(ilea_msgpack_reader_done(&reader));
    ilea_opening_put(writer, opening, positions, opening->predecessor_count);
}

/* Backwards, to see that they are sorted. */
static uint8_t *
wrapped_of(struct ilea_span list, uint32_t count)
{
    static uint8_t wrapped[ILEA_MEMBERS_MAX * ILEA_WRAPPED_KEY_SIZE];
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, list);
    for (uint32_t i = 0; i < count; i++) {
        ilea_msgpack_get_bytes(&reader, wrapped + (size_t)(count - 1 - i) * ILEA_WRAPPED_KEY_SIZE,
                               ILEA_WRAPPED_KEY_SIZE);
    }
    ilea_assert(ilea_msgpack_reader_done(&reader));
    return wrapped;
}

static struct ilea_head *
heads_of(struct ilea_span list, uint32_t count)
{
    static struct ilea_head heads[ILEA_HEADS_MAX];
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, list);
    for (uint32_t i = 0; i < count; i++) ilea_head_get(&reader, &heads[count - 1 - i]);
    ilea_assert(ilea_msgpack_reader_done(&reader));
    return heads;
}

static void
put_epoch(struct ilea_msgpack_writer *writer, const struct ilea_epoch_statement *epoch)
{
    static struct ilea_commit_id heads[ILEA_HEADS_MAX];
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, epoch->heads);
    for (uint32_t i = 0; i < epoch->head_count; i++) {
        ilea_msgpack_get_bytes(&reader, heads[i].bytes, sizeof heads[i].bytes);
    }
    ilea_assert(ilea_msgpack_reader_done(&reader));
    ilea_epoch_put(writer, &epoch->audience, epoch->number, epoch->aek_commit, heads, epoch->head_count,
                   wrapped_of(epoch->wrapped, epoch->wrapped_count), epoch->wrapped_count);
}

static void
put_history(struct ilea_msgpack_writer *writer, const struct ilea_history_statement *history)
{
    struct ilea_msgpack_reader reader;
    ilea_history_put_head(writer, &history->audience, history->key_count);
    ilea_msgpack_reader_init(&reader, history->keys);
    for (uint32_t i = 0; i < history->key_count; i++) {
        uint8_t aek_commit[ILEA_HASH_SIZE], wrapped[ILEA_WRAPPED_KEY_SIZE];
        ilea_history_get_key(&reader, aek_commit, wrapped);
        ilea_history_put_key(writer, aek_commit, wrapped);
    }
    ilea_assert(ilea_msgpack_reader_done(&reader));
}

static void
put_audience(struct ilea_msgpack_writer *writer, const struct ilea_audience_statement *statement)
{
    static struct ilea_member_act acts[ILEA_MEMBER_ACTS_MAX];
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, statement->acts);
    for (uint32_t i = 0; i < statement->act_count; i++) {
        ilea_member_act_get(&reader, &acts[statement->act_count - 1 - i]);
    }
    ilea_assert(ilea_msgpack_reader_done(&reader));
    ilea_audience_statement_put(writer, statement, heads_of(statement->heads, statement->head_count),
                                wrapped_of(statement->wrapped, statement->wrapped_count), acts);
}

static void
put_erase(struct ilea_msgpack_writer *writer, const struct ilea_erase_statement *statement)
{
    static struct ilea_erased_dot dots[ILEA_ERASE_DOTS_MAX];
    struct ilea_msgpack_reader reader;
    uint8_t hash[ILEA_HASH_SIZE];
    ilea_msgpack_reader_init(&reader, statement->dots);
    for (uint32_t i = 0; i < statement->dot_count; i++) {
        ilea_erased_dot_get(&reader, &dots[statement->dot_count - 1 - i]);
    }
    ilea_assert(ilea_msgpack_reader_done(&reader));
    ilea_erase_hash(dots, statement->dot_count, hash);
    ilea_assert(memcmp(hash, statement->hash, sizeof hash) == 0);
    ilea_erase_put(writer, dots, statement->dot_count, statement->act, statement->sigs, statement->sig_count);
}

/* The decoders of closed audiences; NULL writer: only whether they accept. */
static enum ilea_error
audience_again(struct ilea_span input, enum ilea_statement_kind kind, struct ilea_msgpack_writer *writer)
{
    struct ilea_audience_statement audience;
    struct ilea_suspend_statement suspend;
    struct ilea_use_statement use;
    struct ilea_writer_epoch own;
    struct ilea_msgpack_reader heads;
    uint32_t count = 0, named = 0;
    enum ilea_error error = ILEA_ERROR_MALFORMED;
    if (kind == ILEA_STATEMENT_AUDIENCE) {
        error = ilea_audience_statement_decode(input, &audience);
        if (error == ILEA_ERROR_NONE) put_audience(writer, &audience);
        count = audience.head_count;
    } else if (kind == ILEA_STATEMENT_SUSPEND) {
        error = ilea_suspend_decode(input, &suspend);
        if (error == ILEA_ERROR_NONE) ilea_suspend_put(writer, &suspend, heads_of(suspend.heads, suspend.head_count));
        count = suspend.head_count;
    } else if (kind == ILEA_STATEMENT_USE) {
        error = ilea_use_decode(input, &use);
        if (error == ILEA_ERROR_NONE) ilea_use_put(writer, &use, heads_of(use.heads, use.head_count));
        count = use.head_count;
    } else {
        error = ilea_writer_epoch_decode(input, &own);
        if (error == ILEA_ERROR_NONE) {
            ilea_writer_epoch_put(writer, &own, heads_of(own.heads, own.head_count),
                            wrapped_of(own.wrapped, own.wrapped_count));
        }
        count = own.head_count;
    }
    ilea_statement_heads(input, &named, &heads);
    ilea_assert(named == (error == ILEA_ERROR_NONE ? count : 0));
    for (uint32_t i = 0; i < named; i++) {
        struct ilea_head head;
        ilea_head_get(&heads, &head);
    }
    ilea_assert(ilea_msgpack_reader_done(&heads));
    return error;
}

/* How many of the decoders accept the input. */
static unsigned
accepting(struct ilea_span input)
{
    static struct ilea_erase_statement erase;
    struct ilea_opening opening;
    struct ilea_epoch_statement epoch;
    struct ilea_history_statement history;
    struct ilea_audience_statement audience;
    struct ilea_suspend_statement suspend;
    struct ilea_use_statement use;
    struct ilea_writer_epoch own;
    const bool accepts[] = {
        ilea_opening_decode(input, NULL, &opening) == ILEA_ERROR_NONE,
        ilea_epoch_decode(input, &epoch) == ILEA_ERROR_NONE,
        ilea_history_decode(input, &history) == ILEA_ERROR_NONE,
        ilea_audience_statement_decode(input, &audience) == ILEA_ERROR_NONE,
        ilea_suspend_decode(input, &suspend) == ILEA_ERROR_NONE,
        ilea_use_decode(input, &use) == ILEA_ERROR_NONE,
        ilea_erase_decode(input, &erase) == ILEA_ERROR_NONE,
        ilea_writer_epoch_decode(input, &own) == ILEA_ERROR_NONE
    };
    unsigned count = 0;
    for (size_t i = 0; i < sizeof accepts / sizeof accepts[0]; i++) count += accepts[i];
    return count;
}

enum ilea_error
ilea_test_statement_again(struct ilea_span input, struct ilea_msgpack_writer *writer)
{
    static struct ilea_erase_statement erase;
    struct ilea_opening opening;
    struct ilea_epoch_statement epoch;
    struct ilea_history_statement history;
    enum ilea_statement_kind kind;
    unsigned accepted = accepting(input);
    enum ilea_error error = ilea_statement_kind_of(input, &kind);
    if (error == ILEA_ERROR_NONE) {
        switch (kind) {
        case ILEA_STATEMENT_OPENING:
            error = ilea_opening_decode(input, &ilea_test_statement_network, &opening);
            if (error == ILEA_ERROR_NONE) put_opening(writer, &opening);
            break;
        case ILEA_STATEMENT_EPOCH:
            error = ilea_epoch_decode(input, &epoch);
            if (error == ILEA_ERROR_NONE) put_epoch(writer, &epoch);
            break;
        case ILEA_STATEMENT_HISTORY:
            error = ilea_history_decode(input, &history);
            if (error == ILEA_ERROR_NONE) put_history(writer, &history);
            break;
        case ILEA_STATEMENT_ERASE:
            error = ilea_erase_decode(input, &erase);
            if (error == ILEA_ERROR_NONE) put_erase(writer, &erase);
            break;
        case ILEA_STATEMENT_AUDIENCE:
        case ILEA_STATEMENT_SUSPEND:
        case ILEA_STATEMENT_USE:
        case ILEA_STATEMENT_WRITER: error = audience_again(input, kind, writer); break;
        }
    }
    ilea_assert(accepted == (error == ILEA_ERROR_NONE));
    return error;
}
