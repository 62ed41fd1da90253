#include "replication/record/erase.h"

#include <stdlib.h>
#include <string.h>

enum { ERASE_FIELDS = 4, DOT_FIELDS = 4, SIG_FIELDS = 2, DOT_SIZE_MAX = 1 + 18 + 9 + 5 + 34 };

_Static_assert(ILEA_ERASE_DOTS_MAX * DOT_SIZE_MAX + ILEA_ACT_SIZE_MAX + ILEA_ACT_SIGS_MAX * 101 + 64
                   <= ILEA_ITEM_SIZE_MAX,
               "the largest statement fits an item");

static int
compare_dots(const void *a, const void *b)
{
    const struct ilea_erased_dot *one = a, *other = b;
    int order = memcmp(one->feed, other->feed, sizeof one->feed);
    if (order != 0) return order;
    if (one->seq != other->seq) return one->seq < other->seq ? -1 : 1;
    if (one->index != other->index) return one->index < other->index ? -1 : 1;
    return 0;
}

void
ilea_erased_dot_get(struct ilea_msgpack_reader *reader, struct ilea_erased_dot *dot)
{
    ilea_msgpack_expect_array(reader, DOT_FIELDS);
    ilea_msgpack_get_bytes(reader, dot->feed, sizeof dot->feed);
    dot->seq = ilea_msgpack_get_uint(reader);
    dot->index = ilea_msgpack_get_uint32(reader, ILEA_COMMIT_ITEMS_MAX - 1);
    ilea_msgpack_get_bytes(reader, dot->leaf, sizeof dot->leaf);
    if (dot->seq == 0) reader->failed = true;
}

enum ilea_error
ilea_erase_decode(struct ilea_span input, struct ilea_erase_statement *statement)
{
    struct ilea_msgpack_reader reader;
    memset(statement, 0, sizeof *statement);
    ilea_statement_begin(&reader, input, ERASE_FIELDS, ILEA_STATEMENT_ERASE);
    const uint8_t *list = reader.next;
    statement->dot_count = ilea_msgpack_get_array(&reader, ILEA_ERASE_DOTS_MAX);
    if (reader.failed || statement->dot_count == 0) return ILEA_ERROR_MALFORMED;
    const uint8_t *start = reader.next;
    struct ilea_erased_dot dots[2];
    for (uint32_t i = 0; i < statement->dot_count && !reader.failed; i++) {
        ilea_erased_dot_get(&reader, &dots[i % 2]);
        if (i > 0 && compare_dots(&dots[(i + 1) % 2], &dots[i % 2]) >= 0) reader.failed = true;
    }
    if (reader.failed) return ILEA_ERROR_MALFORMED;
    statement->dots = (struct ilea_span){ start, (size_t)(reader.next - start) };
    ilea_hash_once(ILEA_DOMAIN_ERASE, list, (size_t)(reader.next - list), statement->hash);

    statement->act = ilea_msgpack_get_bin(&reader, ILEA_ACT_SIZE_MAX);
    statement->sig_count = ilea_msgpack_get_array(&reader, ILEA_ACT_SIGS_MAX);
    for (uint32_t i = 0; i < statement->sig_count && !reader.failed; i++) {
        struct ilea_act_signature *sig = &statement->sigs[i];
        ilea_msgpack_expect_array(&reader, SIG_FIELDS);
        ilea_msgpack_get_bytes(&reader, sig->admin.bytes, sizeof sig->admin.bytes);
        ilea_msgpack_get_bytes(&reader, sig->sig.bytes, sizeof sig->sig.bytes);
        if (i > 0 && memcmp(statement->sigs[i - 1].admin.bytes, sig->admin.bytes, sizeof sig->admin.bytes) >= 0) {
            reader.failed = true;
        }
    }
    if ((statement->act.size == 0) != (statement->sig_count == 0)) reader.failed = true;
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

/* A dot's bytes. */
static struct ilea_span
encode_dot(const struct ilea_erased_dot *dot, uint8_t bytes[DOT_SIZE_MAX])
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, DOT_SIZE_MAX);
    ilea_msgpack_put_array(&writer, DOT_FIELDS);
    ilea_msgpack_put_bin(&writer, dot->feed, sizeof dot->feed);
    ilea_msgpack_put_uint(&writer, dot->seq);
    ilea_msgpack_put_uint(&writer, dot->index);
    ilea_msgpack_put_bin(&writer, dot->leaf, sizeof dot->leaf);
    return ilea_msgpack_written(&writer);
}

void
ilea_erase_put(struct ilea_msgpack_writer *writer, struct ilea_erased_dot *dots, uint32_t dot_count,
               struct ilea_span act, const struct ilea_act_signature *sigs, uint32_t sig_count)
{
    uint8_t bytes[DOT_SIZE_MAX];
    qsort(dots, dot_count, sizeof *dots, compare_dots);
    ilea_msgpack_put_array(writer, ERASE_FIELDS);
    ilea_msgpack_put_uint(writer, ILEA_STATEMENT_ERASE);
    ilea_msgpack_put_array(writer, dot_count);
    for (uint32_t i = 0; i < dot_count; i++) ilea_msgpack_put_raw(writer, encode_dot(&dots[i], bytes));
    ilea_msgpack_put_bin(writer, act.data, act.size);
    ilea_msgpack_put_array(writer, sig_count);
    for (uint32_t i = 0; i < sig_count; i++) {
        ilea_msgpack_put_array(writer, SIG_FIELDS);
        ilea_msgpack_put_bin(writer, sigs[i].admin.bytes, sizeof sigs[i].admin.bytes);
        ilea_msgpack_put_bin(writer, sigs[i].sig.bytes, sizeof sigs[i].sig.bytes);
    }
}

void
ilea_erase_hash(struct ilea_erased_dot *dots, uint32_t dot_count, uint8_t hash[ILEA_HASH_SIZE])
{
    uint8_t bytes[DOT_SIZE_MAX];
    struct ilea_msgpack_writer writer;
    struct ilea_hasher hasher;
    qsort(dots, dot_count, sizeof *dots, compare_dots);
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_array(&writer, dot_count);
    ilea_hash_begin(&hasher, ILEA_DOMAIN_ERASE);
    ilea_hash_add(&hasher, writer.data, writer.size);
    for (uint32_t i = 0; i < dot_count; i++) {
        struct ilea_span encoded = encode_dot(&dots[i], bytes);
        ilea_hash_add(&hasher, encoded.data, encoded.size);
    }
    ilea_hash_end(&hasher, hash);
}
