/*
 * fuzz_statement.c - the decoders of statements: whatever they accept can be
 * walked to its end and put again gives the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put_opening(struct ilea_msgpack_writer *writer, const struct ilea_opening *opening)
{
    static struct ilea_position positions[ILEA_PREDECESSORS_MAX];
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, opening->predecessors);
    for (uint32_t i = 0; i < opening->predecessor_count; i++) {
        ilea_position_get(&reader, &positions[i]);
    }
    ilea_assert(ilea_msgpack_reader_done(&reader));
    ilea_opening_put(writer, &opening->origin, positions, opening->predecessor_count);
}

static void
put_epoch(struct ilea_msgpack_writer *writer, const struct ilea_epoch_statement *epoch)
{
    static struct ilea_commit_id heads[ILEA_HEADS_MAX];
    static uint8_t wrapped[ILEA_MEMBERS_MAX * ILEA_WRAPPED_KEY_SIZE];
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, epoch->heads);
    for (uint32_t i = 0; i < epoch->head_count; i++) {
        ilea_msgpack_get_bytes(&reader, heads[i].bytes, sizeof heads[i].bytes);
    }
    ilea_assert(ilea_msgpack_reader_done(&reader));
    ilea_msgpack_reader_init(&reader, epoch->wrapped);
    for (uint32_t i = 0; i < epoch->wrapped_count; i++) {
        ilea_msgpack_get_bytes(&reader, wrapped + (size_t)i * ILEA_WRAPPED_KEY_SIZE,
                               ILEA_WRAPPED_KEY_SIZE);
    }
    ilea_assert(ilea_msgpack_reader_done(&reader));
    ilea_epoch_put(writer, &epoch->audience, epoch->number, epoch->aek_commit, heads,
                   epoch->head_count, wrapped, epoch->wrapped_count);
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ilea_span input = { data, size };
    struct ilea_opening opening;
    struct ilea_epoch_statement epoch;
    struct ilea_history_statement history;
    enum ilea_statement_kind kind;
    uint8_t *again = malloc(size > 0 ? size : 1);
    if (again == NULL) abort();
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, size);

    enum ilea_error of_kind = ilea_statement_kind_of(input, &kind);
    unsigned accepted = 0;
    if (ilea_opening_decode(input, &opening) == ILEA_ERROR_NONE) {
        ilea_assert(of_kind == ILEA_ERROR_NONE && kind == ILEA_STATEMENT_OPENING);
        put_opening(&writer, &opening);
        accepted++;
    }
    if (ilea_epoch_decode(input, &epoch) == ILEA_ERROR_NONE) {
        ilea_assert(of_kind == ILEA_ERROR_NONE && kind == ILEA_STATEMENT_EPOCH);
        put_epoch(&writer, &epoch);
        accepted++;
    }
    if (ilea_history_decode(input, &history) == ILEA_ERROR_NONE) {
        ilea_assert(of_kind == ILEA_ERROR_NONE && kind == ILEA_STATEMENT_HISTORY);
        put_history(&writer, &history);
        accepted++;
    }
    ilea_assert(accepted <= 1);
    if (accepted == 1) {
        ilea_assert(!writer.failed && writer.size == size);
        ilea_assert(memcmp(again, data, size) == 0);
    }
    free(again);
    return 0;
}
