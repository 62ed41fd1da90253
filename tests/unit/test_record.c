#include "replication/merge/record.h"
#include "replication/record/schema.h"
#include "tests/support/codec.h"

/* A change with its bytes; spans borrow them. */
struct made {
    struct ilea_dot dot;
    uint8_t bytes[2048];
    size_t size;
    struct ilea_change change;
};

static void
merge(struct ilea_record *record, const struct made *made)
{
    assert_int_equal(ilea_record_merge(record, &made->change, &made->dot), ILEA_ERROR_NONE);
}

/* Encoded into heap memory of exactly *size bytes; the caller frees it. */
static uint8_t *
encode(struct ilea_record *record, size_t *size)
{
    size_t size_max = ilea_record_encoded_size_max(record);
    uint8_t *bytes = malloc(size_max);
    assert_non_null(bytes);
    assert_int_equal(ilea_record_encode(record, bytes, size_max, size), ILEA_ERROR_NONE);
    uint8_t *exact = ilea_exact_copy(bytes, *size);
    free(bytes);
    return exact;
}

/* What decodes encodes to no more bytes, and from then on to the same. */
static enum ilea_error
decode(struct ilea_span input)
{
    struct ilea_record record;
    ilea_record_init(&record);
    enum ilea_error error = ilea_record_decode(input, &record);
    if (error == ILEA_ERROR_NONE) {
        size_t size = 0, again_size = 0;
        uint8_t *bytes = encode(&record, &size);
        assert_true(size <= input.size); /* less, where a dot was named for nothing */
        assert_int_equal(ilea_record_decode((struct ilea_span){ bytes, size }, &record),
                         ILEA_ERROR_NONE);
        uint8_t *again = encode(&record, &again_size);
        assert_int_equal(again_size, size);
        assert_memory_equal(again, bytes, size);
        check_msgpack_c_agrees(input);
        free(again);
        free(bytes);
    }
    ilea_record_deinit(&record);
    return error;
}

static enum ilea_merge
class_named(const char *name)
{
    static const char *const names[] = { "immutable", "one_writer", "register", "keyed",
                                         "set", "grow", "restrictive", "state" };
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) return (enum ilea_merge)(ILEA_MERGE_IMMUTABLE + i);
    }
    fail_msg("no merge class %s", name);
    return ILEA_MERGE_REGISTER;
}

static void
check_shown(const json_t *question, const struct ilea_record *record)
{
    const char *codes[16] = { NULL };
    const json_t *listed = json_object_get(question, "codes");
    for (size_t i = 0; i < json_array_size(listed); i++) {
        codes[i] = json_string_value(json_array_get(listed, i));
    }
    struct ilea_field field = { .number = (uint32_t)vector_number(question, "field"),
                                .merge = class_named(vector_text(question, "merge")),
                                .codes = codes };
    size_t key_size;
    uint8_t *key = ilea_vector_bytes(question, "key", &key_size);
    uint32_t first = 0;
    uint32_t count =
        ilea_record_find(record, field.number, (struct ilea_span){key, key_size}, &first);
    assert_true(count > 0);
    uint32_t at = ilea_record_shown(record, &field, first, count);
    check_vector_bytes(question, "value", record->entries[at].value.data,
                       record->entries[at].value.size);
    free(key);
}

static void
read_change(const json_t *vector, struct made *made)
{
    const json_t *dot = json_object_get(vector, "dot");
    json_t *feed = json_object();
    json_object_set_new(feed, "feed", json_string(json_string_value(json_array_get(dot, 0))));
    vector_fixed(feed, "feed", made->dot.feed, sizeof made->dot.feed);
    json_decref(feed);
    made->dot.seq = (uint64_t)json_integer_value(json_array_get(dot, 1));
    made->dot.index = (uint32_t)json_integer_value(json_array_get(dot, 2));
    uint8_t *bytes = ilea_vector_bytes(vector, "bytes", &made->size);
    assert_true(made->size <= sizeof made->bytes);
    memcpy(made->bytes, bytes, made->size);
    free(bytes);
    assert_int_equal(ilea_change_decode((struct ilea_span){made->bytes, made->size}, &made->change),
                     ILEA_ERROR_NONE);
}

/* Merge in each order that `seed` draws; every order gives the vector's bytes. */
static void
check_merge_vector(const json_t *vector)
{
    static struct made changes[8];
    const json_t *listed = json_object_get(vector, "changes");
    size_t count = json_array_size(listed), order[8];
    assert_true(count <= 8);
    for (size_t i = 0; i < count; i++) {
        read_change(json_array_get(listed, i), &changes[i]);
        order[i] = i;
    }
    uint64_t seed = 99;
    struct ilea_record record;
    ilea_record_init(&record);
    for (unsigned round = 0; round < 50; round++) {
        ilea_record_clear(&record);
        for (size_t i = 0; i < count; i++) merge(&record, &changes[order[i]]);
        size_t size = 0, index;
        uint8_t *bytes = encode(&record, &size);
        check_vector_bytes(vector, "record", bytes, size);
        const json_t *question;
        json_t *questions = json_object_get(vector, "shown");
        json_array_foreach(questions, index, question) check_shown(question, &record);
        if (round == 0) {
            assert_int_equal(decode_copy(decode, bytes, size), ILEA_ERROR_NONE);
            check_cuts(decode, bytes, size);
            check_mutations(decode, bytes, size, 5);
        }
        free(bytes);
        for (size_t i = count; i > 1; i--) {
            size_t k = draw(&seed) % i, moved = order[k];
            order[k] = order[i - 1];
            order[i - 1] = moved;
        }
    }
    ilea_record_deinit(&record);
}

static void
check_vector(const json_t *vector)
{
    if (strcmp(vector_text(vector, "check"), "merge") == 0) {
        check_merge_vector(vector);
        return;
    }
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "record", &size);
    expect_error(vector, decode((struct ilea_span){ bytes, size }));
    free(bytes);
}

static void
test_record_vectors(void **state)
{
    (void)state;
    for_each_vector("record.jsonl", check_vector);
}

/* --- random histories ---------------------------------------------------------------------------
 */

enum { CHANGES_MAX = 40, PLACES = 7, FEEDS = 4 };

struct place { uint32_t field; uint8_t key[3]; size_t key_size; };

/* Ascending, as a change must write them. */
static const struct place places[PLACES] = {
    { 1, { 0 }, 0 }, { 2, { 0 }, 0 }, { 5, { 0xa1, 'a' }, 2 }, { 5, { 0xa1, 'b' }, 2 },
    { 5, { 0xa2, 'a', 'a' }, 3 }, { 9, { 0 }, 0 }, { 70000, { 7 }, 1 }
};

struct history {
    uint32_t count;
    struct made changes[CHANGES_MAX];
};

/* Dots of earlier changes to replace, ascending; now and then one that nobody ever wrote. */
static void
put_replaces(struct ilea_msgpack_writer *writer, const struct history *history, uint64_t *seed)
{
    struct ilea_dot dots[5];
    uint32_t count = 0;
    for (uint64_t left = draw(seed) % 4; left > 0; left--) {
        struct ilea_dot dot = { { 9 }, 1 + draw(seed) % 3, 0 };
        if (history->count > 0 && draw(seed) % 10 != 0) {
            dot = history->changes[draw(seed) % history->count].dot;
        }
        uint32_t at = count;
        while (at > 0 && ilea_dot_compare(&dots[at - 1], &dot) > 0) at--;
        if (at > 0 && ilea_dot_compare(&dots[at - 1], &dot) == 0) continue;
        memmove(&dots[at + 1], &dots[at], (count - at) * sizeof dots[0]);
        dots[at] = dot;
        count++;
    }
    ilea_msgpack_put_array(writer, count);
    for (uint32_t i = 0; i < count; i++) ilea_dot_put(writer, &dots[i]);
}

/* One more change at random: values, removals, replacements of what came, was replaced or never
 * was. */
static void
add_change(struct history *history, uint64_t *seed)
{
    struct made *made = &history->changes[history->count];
    *made = (struct made){ .dot = { { (uint8_t)(draw(seed) % FEEDS) }, 1 + history->count / 3,
                                    history->count % 3 } };
    struct ilea_change head = { .type = 6, .label = 1, .run = 1 };
    uint32_t chosen = (uint32_t)(draw(seed) % (1u << PLACES));
    for (uint32_t i = 0; i < PLACES; i++) head.op_count += chosen >> i & 1;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, made->bytes, sizeof made->bytes);
    ilea_change_put_head(&writer, &head);
    for (uint32_t i = 0; i < PLACES; i++) {
        if ((chosen >> i & 1) == 0) continue;
        uint8_t value[2] = { 0xcc, (uint8_t)(0x80 + draw(seed) % 100) }, dots[256];
        struct ilea_msgpack_writer replaces;
        ilea_msgpack_writer_init(&replaces, dots, sizeof dots);
        put_replaces(&replaces, history, seed);
        struct ilea_op op = { .field = places[i].field, .depth = 1 + (uint32_t)(draw(seed) % 3),
                              .key = { places[i].key, places[i].key_size },
                              .value = { value, draw(seed) % 4 == 0 ? 0 : sizeof value },
                              .replaces = ilea_msgpack_written(&replaces) };
        ilea_op_put(&writer, &op);
    }
    assert_false(writer.failed);
    made->size = writer.size;
    assert_int_equal(ilea_change_decode(ilea_msgpack_written(&writer), &made->change),
                     ILEA_ERROR_NONE);
    history->count++;
}

/* How many ops of the history replace `dot` at a place, or (wrote) whether the dot wrote a value
 * there. */
static uint32_t
count_covers(const struct history *history, const struct place *place, const struct ilea_dot *dot,
             bool *wrote)
{
    uint32_t covers = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        struct ilea_msgpack_reader ops;
        ilea_msgpack_reader_init(&ops, history->changes[i].change.ops);
        for (uint32_t k = 0; k < history->changes[i].change.op_count; k++) {
            struct ilea_op op;
            ilea_op_next(&ops, &op);
            if (op.field != place->field || op.key.size != place->key_size
                || (op.key.size > 0 && memcmp(op.key.data, place->key, op.key.size) != 0)) {
                continue;
            }
            if (ilea_dot_compare(&history->changes[i].dot, dot) == 0 && op.value.size > 0)
                *wrote = true;
            struct ilea_msgpack_reader dots;
            uint32_t count = ilea_op_replaces(&op, &dots);
            for (uint32_t d = 0; d < count; d++) {
                struct ilea_dot replaced;
                ilea_dot_get(&dots, &replaced);
                if (ilea_dot_compare(&replaced, dot) == 0) covers++;
            }
        }
    }
    return covers;
}

/* Goal: what remains is exactly what no change has replaced, told without any order. */
static void
check_meaning(const struct history *history, const struct ilea_record *record)
{
    uint32_t entries = 0, covered = 0;
    struct ilea_dot dots[CHANGES_MAX + 3];
    uint32_t dot_count = 0;
    for (uint32_t i = 0; i < history->count; i++) dots[dot_count++] = history->changes[i].dot;
    for (uint64_t seq = 1; seq <= 3; seq++) dots[dot_count++] = (struct ilea_dot){ { 9 }, seq, 0 };
    for (uint32_t p = 0; p < PLACES; p++) {
        struct ilea_span key = { places[p].key, places[p].key_size };
        uint32_t first = 0;
        uint32_t siblings = ilea_record_find(record, places[p].field, key, &first);
        for (uint32_t i = 0; i < dot_count; i++) {
            bool wrote = false, is_there = false;
            uint32_t covers = count_covers(history, &places[p], &dots[i], &wrote);
            for (uint32_t k = first; k < first + siblings; k++) {
                if (ilea_dot_compare(&record->entries[k].dot, &dots[i]) == 0) is_there = true;
            }
            assert_int_equal(is_there, wrote && covers == 0);
            entries += is_there ? 1 : 0;
            covered += covers > 0 && wrote ? covers - 1 : covers;
        }
    }
    assert_int_equal(record->entry_count, entries);
    assert_int_equal(record->covered_count, covered);
    assert_false(ilea_record_is_overfull(record));
}

/* Goal: any order of merging any set of changes gives the same bytes, and they mean what they
 * should. */
static void
test_record_order_does_not_matter(void **state)
{
    (void)state;
    static struct history history;
    struct ilea_record record, decoded;
    uint64_t seed = 7;
    ilea_record_init(&record);
    ilea_record_init(&decoded);
    for (unsigned round = 0; round < 200; round++) {
        uint32_t count = 1 + (uint32_t)(draw(&seed) % (round % 10 == 0 ? CHANGES_MAX : 8));
        uint32_t order[CHANGES_MAX];
        size_t size = 0, again_size = 0;
        history.count = 0;
        while (history.count < count) add_change(&history, &seed);
        ilea_record_clear(&record);
        for (uint32_t i = 0; i < count; i++) {
            merge(&record, &history.changes[i]);
            order[i] = i;
        }
        check_meaning(&history, &record);
        uint8_t *bytes = encode(&record, &size);
        assert_int_equal(decode_copy(decode, bytes, size), ILEA_ERROR_NONE);

        for (unsigned permutation = 0; permutation < 20; permutation++) {
            for (uint32_t i = count; i > 1; i--) {
                uint32_t k = (uint32_t)(draw(&seed) % i), moved = order[k];
                order[k] = order[i - 1];
                order[i - 1] = moved;
            }
            /* Half of the way, through bytes and back: as a view does between two commits. */
            uint8_t *half = NULL;
            uint32_t cut = (uint32_t)(draw(&seed) % count);
            ilea_record_clear(&record);
            for (uint32_t i = 0; i < count; i++) {
                if (i == cut) {
                    size_t half_size = 0;
                    half = encode(&record, &half_size);
                    assert_int_equal(ilea_record_decode((struct ilea_span){ half, half_size },
                                                        &record), ILEA_ERROR_NONE);
                }
                merge(&record, &history.changes[order[i]]);
            }
            uint8_t *again = encode(&record, &again_size);
            assert_int_equal(again_size, size);
            assert_memory_equal(again, bytes, size);
            free(again);
            free(half);
        }
        assert_int_equal(ilea_record_decode((struct ilea_span){ bytes, size }, &decoded),
                         ILEA_ERROR_NONE);
        check_meaning(&history, &decoded);
        free(bytes);
    }
    ilea_record_deinit(&record);
    ilea_record_deinit(&decoded);
}

/* --- the rules, one by one ----------------------------------------------------------------------
 */

static const uint8_t no_dots[] = { 0x90 };

/* A change of one op. `value` NULL: a removal. `replaces`: at most one dot. */
static void
make(struct made *made, uint8_t feed, uint64_t seq, uint32_t field, const char *key,
     const char *value, uint32_t depth, const struct ilea_dot *replaces)
{
    uint8_t encoded[2][128], dots[64];
    struct ilea_msgpack_writer keys, values, covers, writer;
    *made = (struct made){ .dot = { { feed }, seq, 0 } };
    ilea_msgpack_writer_init(&keys, encoded[0], sizeof encoded[0]);
    ilea_msgpack_writer_init(&values, encoded[1], sizeof encoded[1]);
    ilea_msgpack_writer_init(&covers, dots, sizeof dots);
    if (key != NULL)
        ilea_msgpack_put_str(&keys, (struct ilea_span){(const uint8_t *)key, strlen(key)});
    if (value != NULL) {
        ilea_msgpack_put_str(&values, (struct ilea_span){ (const uint8_t *)value, strlen(value) });
    }
    if (replaces != NULL) {
        ilea_msgpack_put_array(&covers, 1);
        ilea_dot_put(&covers, replaces);
    } else {
        ilea_msgpack_put_raw(&covers, (struct ilea_span){ no_dots, sizeof no_dots });
    }
    struct ilea_change head = { .type = 6, .label = 1, .run = 1, .op_count = 1 };
    struct ilea_op op = { .field = field, .depth = depth, .key = ilea_msgpack_written(&keys),
                          .value = ilea_msgpack_written(&values),
                          .replaces = ilea_msgpack_written(&covers) };
    ilea_msgpack_writer_init(&writer, made->bytes, sizeof made->bytes);
    ilea_change_put_head(&writer, &head);
    ilea_op_put(&writer, &op);
    assert_false(writer.failed);
    made->size = writer.size;
    assert_int_equal(ilea_change_decode(ilea_msgpack_written(&writer), &made->change),
                     ILEA_ERROR_NONE);
}

/* How many siblings a keyless field has, and the text of the one that is shown. */
static uint32_t
shown_text(const struct ilea_record *record, const struct ilea_field *field, uint32_t number,
           const char *expected)
{
    uint32_t first = 0;
    uint32_t count = ilea_record_find(record, number, (struct ilea_span){ NULL, 0 }, &first);
    if (count == 0) return 0;
    uint32_t at = ilea_record_shown(record, field, first, count);
    struct ilea_span value = record->entries[at].value;
    assert_int_equal(value.size, strlen(expected) + 1);
    assert_memory_equal(value.data + 1, expected, strlen(expected));
    return count;
}

/* Goal: concurrent values all stay; one that covers both settles it; the deepest is shown, and of
 * equally deep ones that of the highest dot, whatever the order. */
static void
test_record_conflict(void **state)
{
    (void)state;
    const struct ilea_field *title = ilea_field_by_number(NULL, ILEA_FIELD_TITLE);
    struct made a, b, settled;
    struct ilea_record record;
    ilea_record_init(&record);
    make(&a, 1, 1, ILEA_FIELD_TITLE, NULL, "zebra", 1, NULL);
    make(&b, 2, 1, ILEA_FIELD_TITLE, NULL, "ant", 1, NULL);
    merge(&record, &b);
    assert_int_equal(shown_text(&record, title, ILEA_FIELD_TITLE, "ant"), 1);
    merge(&record, &a);
    assert_int_equal(shown_text(&record, title, ILEA_FIELD_TITLE, "ant"), 2);
    assert_int_equal(shown_text(&record, NULL, ILEA_FIELD_TITLE, "ant"), 2);
    make(&settled, 1, 2, ILEA_FIELD_TITLE, NULL, "cow", 2, &b.dot);
    merge(&record, &settled); /* covers one of the two, and is deeper than the other */
    assert_int_equal(shown_text(&record, title, ILEA_FIELD_TITLE, "cow"), 2);
    make(&settled, 1, 3, ILEA_FIELD_TITLE, NULL, "dog", 3, &settled.dot);
    merge(&record, &settled);
    assert_int_equal(shown_text(&record, title, ILEA_FIELD_TITLE, "dog"), 2);
    make(&b, 1, 4, ILEA_FIELD_TITLE, NULL, NULL, 3, &a.dot);
    merge(&record, &b);
    assert_int_equal(shown_text(&record, title, ILEA_FIELD_TITLE, "dog"), 1);
    ilea_record_deinit(&record);
}

/* Goal: an element stays while one add of it is uncovered; a remover covers what it saw and no
 * more. */
static void
test_record_set_add_wins(void **state)
{
    (void)state;
    struct made added, added_too, removed, removed_too;
    struct ilea_record record;
    uint32_t first = 0;
    static const uint8_t key[] = { 0xa1, 'x' };
    struct ilea_span place = { key, sizeof key };
    ilea_record_init(&record);
    make(&added, 1, 1, 9, "x", "1", 1, NULL);
    make(&added_too, 2, 1, 9, "x", "1", 1, NULL);
    make(&removed, 1, 2, 9, "x", NULL, 2, &added.dot);
    make(&removed_too, 2, 2, 9, "x", NULL, 2, &added_too.dot);
    merge(&record, &removed); /* before the add that it covers */
    assert_int_equal(ilea_record_find(&record, 9, place, &first), 0);
    assert_int_equal(record.covered_count, 1);
    merge(&record, &added);
    assert_int_equal(record.covered_count, 0);
    assert_int_equal(ilea_record_find(&record, 9, place, &first), 0);
    merge(&record, &added_too);
    assert_int_equal(ilea_record_find(&record, 9, place, &first), 1);
    merge(&record, &removed_too);
    assert_int_equal(record.entry_count + record.covered_count, 0);
    ilea_record_deinit(&record);
}

/* Goal: two who replace the same dot, and the dot, give the same in all six orders; what is left
 * over keeps the dot from coming back, and a replacement of a replaced dot changes no entry. */
static void
test_record_dot_replaced_twice(void **state)
{
    (void)state;
    static const unsigned orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                           { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
    struct made changes[3];
    struct ilea_record record;
    ilea_record_init(&record);
    make(&changes[0], 1, 1, 2, NULL, "one", 1, NULL);
    make(&changes[1], 2, 1, 2, NULL, "two", 2, &changes[0].dot);
    make(&changes[2], 3, 1, 2, NULL, "three", 2, &changes[0].dot);
    for (unsigned i = 0; i < 6; i++) {
        ilea_record_clear(&record);
        for (unsigned k = 0; k < 3; k++) merge(&record, &changes[orders[i][k]]);
        assert_int_equal(record.entry_count, 2);
        assert_int_equal(record.covered_count, 1);
        assert_int_equal(ilea_dot_compare(&record.covered[0].dot, &changes[0].dot), 0);
    }
    ilea_record_deinit(&record);
}

static const char *const codes[] = { "clear", "green", "red", NULL };

/* Goal: each merge class shows what its comment in schema.h says, whichever comes first. */
static void
test_record_shown_by_class(void **state)
{
    (void)state;
    static const struct {
        enum ilea_merge merge;
        const char *low, *high; /* written at depth 1 and 5 */
        const char *shown;
    } cases[] = {
        { ILEA_MERGE_IMMUTABLE, "first", "later", "first" },
        { ILEA_MERGE_ONE_WRITER, "first", "later", "later" },
        { ILEA_MERGE_REGISTER, "first", "later", "later" },
        { ILEA_MERGE_KEYED, "first", "later", "later" },
        { ILEA_MERGE_SET, "first", "later", "later" },
        { ILEA_MERGE_GROW, "first", "later", "later" },
        { ILEA_MERGE_RESTRICTIVE, "red", "clear", "red" },
        { ILEA_MERGE_RESTRICTIVE, "green", "red", "red" },
        { ILEA_MERGE_RESTRICTIVE, "unheard-of", "red", "unheard-of" },
        { ILEA_MERGE_RESTRICTIVE, "unheard-of", "another", "another" },
        { ILEA_MERGE_RESTRICTIVE, "", "red", "" },
        { ILEA_MERGE_STATE, "red", "green", "red" },
        { ILEA_MERGE_STATE, "clear", "green", "green" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ilea_field field = { .number = 40, .merge = cases[i].merge, .codes = codes };
        struct made low, high;
        struct ilea_record record;
        ilea_record_init(&record);
        make(&low, 9, 1, 40, NULL, cases[i].low, 1, NULL);
        make(&high, 1, 1, 40, NULL, cases[i].high, 5, NULL);
        merge(&record, &low);
        merge(&record, &high);
        assert_int_equal(shown_text(&record, &field, 40, cases[i].shown), 2);
        ilea_record_clear(&record);
        merge(&record, &high);
        merge(&record, &low);
        assert_int_equal(shown_text(&record, &field, 40, cases[i].shown), 2);
        field.codes = NULL; /* any code: all rank alike, the deeper one is shown */
        if (cases[i].merge == ILEA_MERGE_RESTRICTIVE) {
            assert_int_equal(shown_text(&record, &field, 40, cases[i].high), 2);
        }
        ilea_record_deinit(&record);
    }
    /* The label's own table: red is the most restrictive. */
    const struct ilea_field *tlp = ilea_field_by_number(NULL, ILEA_FIELD_TLP);
    struct made a, b;
    struct ilea_record record;
    ilea_record_init(&record);
    make(&a, 1, 1, ILEA_FIELD_TLP, NULL, "red", 1, NULL);
    make(&b, 2, 1, ILEA_FIELD_TLP, NULL, "amber+strict", 3, NULL);
    merge(&record, &a);
    merge(&record, &b);
    assert_int_equal(shown_text(&record, tlp, ILEA_FIELD_TLP, "red"), 2);
    ilea_record_deinit(&record);
}

static void
test_record_find(void **state)
{
    (void)state;
    struct made changes[4];
    struct ilea_record record;
    uint32_t first = 77;
    static const uint8_t key[] = { 0xa1, 'b' };
    ilea_record_init(&record);
    assert_int_equal(ilea_record_find(&record, 1, (struct ilea_span){ NULL, 0 }, &first), 0);
    make(&changes[0], 1, 1, 5, "a", "1", 1, NULL);
    make(&changes[1], 1, 2, 5, "b", "1", 1, NULL);
    make(&changes[2], 2, 1, 5, "b", "1", 1, NULL);
    make(&changes[3], 1, 3, 6, "b", "1", 1, NULL);
    for (unsigned i = 0; i < 4; i++) merge(&record, &changes[3 - i]);
    assert_int_equal(ilea_record_find(&record, 5, (struct ilea_span){key, sizeof key}, &first), 2);
    assert_int_equal(first, 1);
    assert_int_equal(ilea_record_find(&record, 6, (struct ilea_span){key, sizeof key}, &first), 1);
    assert_int_equal(first, 3);
    assert_int_equal(ilea_record_find(&record, 5, (struct ilea_span){ NULL, 0 }, &first), 0);
    assert_int_equal(ilea_record_find(&record, 7, (struct ilea_span){key, sizeof key}, &first), 0);

    /* No room less than what is written is enough, and encode says so. */
    size_t size = 0;
    uint8_t *bytes = encode(&record, &size);
    for (size_t capacity = 0; capacity < size; capacity++) {
        uint8_t *small = malloc(capacity > 0 ? capacity : 1);
        assert_non_null(small);
        size_t written = 5;
        assert_int_equal(ilea_record_encode(&record, small, capacity, &written), ILEA_ERROR_LIMIT);
        assert_int_equal(written, 5);
        free(small);
    }
    free(bytes);
    ilea_record_deinit(&record);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_vectors),
        cmocka_unit_test(test_record_order_does_not_matter),
        cmocka_unit_test(test_record_conflict),
        cmocka_unit_test(test_record_set_add_wins),
        cmocka_unit_test(test_record_dot_replaced_twice),
        cmocka_unit_test(test_record_shown_by_class),
        cmocka_unit_test(test_record_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
