#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/json.h"
#include "replication/record/msgpack_writer.h"
#include "tests/support/vectors.h"

static struct ilea_put_builder builder;
static const struct ilea_agency_id agency_id = { { 0xab, 0xcd } };

static int
setup(void **state)
{
    (void)state;
    return ilea_put_builder_init(&builder) == ILEA_ERROR_NONE ? 0 : -1;
}

static int
teardown(void **state)
{
    (void)state;
    ilea_put_builder_deinit(&builder);
    return 0;
}

/* A change under construction, and the record that it is merged into. */
struct fixture {
    struct ilea_record record;
    uint8_t bytes[8][64 * 1024]; /* ops of each change: borrowed by the record */
    uint32_t change_count;
};

struct test_op {
    uint32_t field, depth;
    struct ilea_span key, value;
};

/* Merge one change by feed `feed`, with its ops in order of (field, key). */
static void
merge(struct fixture *fixture, uint8_t feed, const struct test_op *ops, uint32_t count)
{
    struct ilea_msgpack_writer writer;
    uint8_t *bytes = fixture->bytes[fixture->change_count];
    ilea_msgpack_writer_init(&writer, bytes, sizeof fixture->bytes[0]);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_op op = { .field = ops[i].field, .depth = ops[i].depth, .key = ops[i].key,
                              .value = ops[i].value,
                              .replaces = { (const uint8_t *)"\x90", 1 } };
        ilea_op_put(&writer, &op);
    }
    assert_false(writer.failed);
    struct ilea_change change = { .op_count = count, .ops = ilea_msgpack_written(&writer) };
    struct ilea_dot dot = { .feed = { feed }, .seq = ++fixture->change_count };
    assert_int_equal(ilea_record_merge(&fixture->record, &change, &dot), ILEA_ERROR_NONE);
}

/* The record that a put would make. */
static void
merge_put(struct fixture *fixture, const struct ilea_put *put)
{
    for (uint32_t i = 0; i < put->entry_count; i++) {
        const struct ilea_put_entry *entry = &put->entries[i];
        if (entry->action != ILEA_PUT_SET) continue;
        struct ilea_entry *grown = realloc(fixture->record.entries,
                                           (fixture->record.entry_count + 1) * sizeof *grown);
        assert_non_null(grown);
        fixture->record.entries = grown;
        uint32_t at = fixture->record.entry_count++;
        for (; at > 0; at--) { /* by (field, key) */
            const struct ilea_entry *before = &grown[at - 1];
            size_t size = before->key.size < entry->key.size ? before->key.size : entry->key.size;
            int order = size > 0 ? memcmp(before->key.data, entry->key.data, size) : 0;
            if (order == 0) order = before->key.size < entry->key.size ? -1 : 1;
            if (before->field < entry->field || (before->field == entry->field && order < 0)) break;
            grown[at] = *before;
        }
        grown[at] = (struct ilea_entry){ .field = entry->field, .depth = 1, .key = entry->key,
                                         .value = entry->value };
    }
    fixture->record.entry_capacity = fixture->record.entry_count;
}

static struct fixture *
new_fixture(void)
{
    struct fixture *fixture = malloc(sizeof *fixture);
    assert_non_null(fixture);
    ilea_record_init(&fixture->record);
    fixture->change_count = 0;
    return fixture;
}

static void
free_fixture(struct fixture *fixture)
{
    ilea_record_deinit(&fixture->record);
    free(fixture);
}

static json_t *
print(const struct fixture *fixture, uint32_t type, const struct ilea_record_id *id)
{
    struct ilea_json_meta meta = { .agency = "FR-PN", .agency_id = &agency_id, .id = id,
                                   .ref = "FR-PN-N42", .type = type, .scope = ILEA_SCOPE_PEERS };
    json_t *json = ilea_json_from_record(&meta, &fixture->record);
    assert_non_null(json);
    return json;
}

static bool
same_entries(const struct ilea_put *put, const struct ilea_record *record)
{
    uint32_t set_count = 0;
    for (uint32_t i = 0; i < put->entry_count; i++) {
        const struct ilea_put_entry *entry = &put->entries[i];
        if (entry->action != ILEA_PUT_SET) continue;
        uint32_t first, count = ilea_record_find(record, entry->field, entry->key, &first);
        if (count != 1) return false;
        struct ilea_span value = record->entries[first].value;
        if (value.size != entry->value.size) return false;
        if (memcmp(value.data, entry->value.data, value.size) != 0) return false;
        set_count++;
    }
    return set_count == record->entry_count;
}

/* Each type, with every field: JSON to record to JSON to record gives the same. */
static void
test_json_round_trip(void **state)
{
    (void)state;
    char reason[ILEA_REASON_SIZE] = "";
    struct ilea_put_builder second;
    assert_int_equal(ilea_put_builder_init(&second), ILEA_ERROR_NONE);
    json_t *vectors = ilea_vectors_load("schema.jsonl");
    for (size_t i = 0; i < json_array_size(vectors); i++) {
        json_t *object = json_object_get(json_array_get(vectors, i), "json");
        assert_int_equal(ilea_json_to_put(object, &builder, reason), ILEA_ERROR_NONE);
        assert_int_equal(builder.put->mode, ILEA_PUT_UPSERT);
        struct fixture *fixture = new_fixture();
        merge_put(fixture, builder.put);
        json_t *json = print(fixture, builder.put->type, &builder.put->id);
        assert_null(json_object_get(json, "unknown"));
        assert_null(json_object_get(json, "conflicts"));
        void *at = json_object_iter(object);
        for (; at != NULL; at = json_object_iter_next(object, at)) {
            const char *key = json_object_iter_key(at);
            if (strcmp(key, "audience") == 0 || json_is_array(json_object_iter_value(at))) continue;
            if (!json_equal(json_object_iter_value(at), json_object_get(json, key))) {
                fail_msg("%s differs", key);
            }
        }
        assert_int_equal(ilea_json_to_put(json, &second, reason), ILEA_ERROR_NONE);
        assert_true(same_entries(second.put, &fixture->record));
        json_decref(json);
        free_fixture(fixture);
    }
    json_decref(vectors);
    ilea_put_builder_deinit(&second);
}

#define SPAN(text) { (const uint8_t *)(text), sizeof(text) - 1 }

static void
test_json_dump(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture();
    const struct test_op ops[] = {
        { 1, 1, { NULL, 0 }, SPAN("\x2a") },
        { 2, 1, { NULL, 0 }, SPAN("\xa1" "a") },
        { 9, 1, SPAN("\xa1" "b"), SPAN("\x01") },
        { 9, 1, SPAN("\xa2" "aa"), SPAN("\x01") },
        { 19, 1, SPAN("\xa1" "k"), SPAN("\x91\xa1" "v") },
        { 33, 1, { NULL, 0 }, SPAN("\xa3" "p\nq") },
    };
    merge(fixture, 1, ops, 6);
    struct ilea_record_id id = { { 0 } };
    json_t *json = print(fixture, 6, &id);
    char *dump = ilea_json_dump(json);
    assert_string_equal(dump,
        "{\"agency\":\"FR-PN\",\"agency_id\":\"abcd000000000000000000000000000000000000000000000000"
        "000000000000\",\"audience\":\"all-peers\",\"id\":\"00000000-0000-0000-0000-000000000000\","
        "\"label\":\"green\",\"problem\":\"p\\nq\",\"ref\":\"FR-PN-N42\",\"tags\":[\"b\",\"aa\"],\"title\":\"a\","
        "\"type\":\"need\",\"x\":{\"k\":[\"v\"]}}");
    free(dump);
    json_decref(json);
    free_fixture(fixture);
}

/* Two writers at once: one value is shown, all are listed, unless they agree or a rule decides. */
static void
test_json_conflicts(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture();
    const struct test_op ours[] = {
        { 2, 1, { NULL, 0 }, SPAN("\xa1" "a") },
        { 4, 1, { NULL, 0 }, SPAN("\xa2" "en") },
        { 11, 1, { NULL, 0 }, SPAN("\xa3" "red") },
        { 32, 1, { NULL, 0 }, SPAN("\xa9" "withdrawn") },
        { 60, 1, { NULL, 0 }, SPAN("\x07") },
    };
    const struct test_op theirs[] = {
        { 2, 2, { NULL, 0 }, SPAN("\xa1" "b") },
        { 4, 1, { NULL, 0 }, SPAN("\xa2" "en") },
        { 11, 1, { NULL, 0 }, SPAN("\xa5" "green") },
        { 32, 1, { NULL, 0 }, SPAN("\xa9" "published") },
        { 60, 1, { NULL, 0 }, SPAN("\x08") },
    };
    merge(fixture, 1, ours, 5);
    merge(fixture, 2, theirs, 5);
    struct ilea_record_id id = { { 0 } };
    json_t *json = print(fixture, 6, &id);
    assert_string_equal(json_string_value(json_object_get(json, "title")), "b");
    assert_string_equal(json_string_value(json_object_get(json, "tlp")), "red");
    assert_string_equal(json_string_value(json_object_get(json, "state")), "withdrawn");
    char *dump = ilea_json_dump(json_object_get(json, "conflicts"));
    assert_string_equal(dump, "{\"60\":[7,8],\"state\":[\"withdrawn\",\"published\"],"
                              "\"title\":[\"a\",\"b\"]}");
    free(dump);
    json_decref(json);
    free_fixture(fixture);

    fixture = new_fixture();
    const struct test_op name[] = { { 32, 1, SPAN("\xa2" "en"), SPAN("\xa1" "a") },
                                    { 32, 1, SPAN("\xa2" "fr"), SPAN("\xa1" "c") } };
    const struct test_op other[] = { { 32, 1, SPAN("\xa2" "en"), SPAN("\xa1" "b") } };
    merge(fixture, 1, name, 2);
    merge(fixture, 2, other, 1);
    json = print(fixture, 1, &id);
    dump = ilea_json_dump(json_object_get(json, "conflicts"));
    assert_string_equal(dump, "{\"name\":{\"en\":[\"a\",\"b\"]}}");
    free(dump);
    json_decref(json);
    free_fixture(fixture);
}

/* Types and fields from the future, and known fields of an odd shape, come back as they were. */
static void
test_json_unknown_round_trip(void **state)
{
    (void)state;
    static const uint32_t types[] = { 6, 77 };
    const struct test_op ops[] = {
        { 2, 1, { NULL, 0 }, SPAN("\xa1" "t") },
        { 17, 1, { NULL, 0 }, SPAN("\xa1" "s") },
        { 60, 1, { NULL, 0 }, SPAN("\x92\x01\xc4\x02\x00\x01") },
        { 61, 1, SPAN("\xa2" "de"), SPAN("\xa1" "v") },
        { 61, 1, SPAN("\xa2" "en"), SPAN("\x01") },
        { 62, 1, SPAN("\x91\x05"), SPAN("\x01") },
        { 62, 1, SPAN("\xa1" "e"), SPAN("\x01") },
        { 4000000000u, 1, { NULL, 0 }, SPAN("\xcf\xff\xff\xff\xff\xff\xff\xff\xff") },
    };
    for (size_t t = 0; t < 2; t++) {
        struct fixture *fixture = new_fixture();
        char reason[ILEA_REASON_SIZE] = "";
        merge(fixture, 1, ops, sizeof ops / sizeof ops[0]);
        struct ilea_record_id id = { { 9 } };
        json_t *json = print(fixture, types[t], &id);
        assert_string_equal(json_string_value(json_object_get(json, "type")),
                            types[t] == 6 ? "need" : "type-77");
        assert_string_equal(json_string_value(json_object_get(json, "title")), "t");
        assert_int_equal(json_object_size(json_object_get(json, "unknown")), 5);
        enum ilea_error error = ilea_json_to_put(json, &builder, reason);
        if (error != ILEA_ERROR_NONE) fail_msg("%s", reason);
        assert_int_equal(builder.put->type, types[t]);
        assert_memory_equal(builder.put->id.bytes, id.bytes, sizeof id.bytes);
        assert_true(same_entries(builder.put, &fixture->record));
        json_decref(json);
        free_fixture(fixture);
    }
    /* A field that has become known since is read as if it had been written by its name. */
    char reason[ILEA_REASON_SIZE] = "";
    json_t *older = json_loads("{\"type\":\"org\",\"unknown\":{\"33\":{\"value\":\"e\\u0301\"},"
                               "\"9\":{\"elements\":[\" a \"]},"
                               "\"32\":{\"entries\":[[\"en\",\"n\"]]}}}", 0, NULL);
    assert_int_equal(ilea_json_to_put(older, &builder, reason), ILEA_ERROR_NONE);
    json_decref(older);
    assert_int_equal(builder.put->entry_count, 5);
    assert_memory_equal(builder.put->entries[0].value.data, "\xa2\xc3\xa9", 3);
    assert_memory_equal(builder.put->entries[2].key.data, "\xa1" "a", 2);
    assert_memory_equal(builder.put->entries[4].key.data, "\xa2" "en", 3);

    struct fixture *fixture = new_fixture();
    const struct test_op odd[] = {
        { 2, 1, { NULL, 0 }, SPAN("\xa1" "t") },
        { 2, 1, SPAN("\xa1" "k"), SPAN("\xa1" "u") },
        { 9, 1, { NULL, 0 }, SPAN("\xa1" "n") },
        { 19, 1, SPAN("\x05"), SPAN("\xa1" "n") },
    };
    merge(fixture, 1, odd, 4);
    struct ilea_record_id id = { { 0 } };
    json_t *json = print(fixture, 6, &id);
    char *dump = ilea_json_dump(json_object_get(json, "unknown"));
    assert_string_equal(dump, "{\"19\":{\"entries\":[[5,\"n\"]]},"
                              "\"2\":{\"entries\":[[\"k\",\"u\"]]},"
                              "\"9\":{\"value\":\"n\"}}");
    free(dump);
    json_decref(json);
    free_fixture(fixture);
}

static void
assert_refused(const char *text, const char *why)
{
    char reason[ILEA_REASON_SIZE] = "";
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    enum ilea_error error = ilea_json_to_put(json, &builder, reason);
    assert_true(error == ILEA_ERROR_INVALID || error == ILEA_ERROR_LIMIT);
    if (strstr(reason, why) == NULL) fail_msg("%s: '%s' does not say '%s'", text, reason, why);
    json_decref(json);
}

static void
test_json_refuses(void **state)
{
    (void)state;
    assert_refused("{}", "type");
    assert_refused("{\"type\":\"nothing\"}", "type");
    assert_refused("{\"type\":\"type-0\"}", "type");
    assert_refused("{\"type\":\"type-07\"}", "type");
    assert_refused("{\"type\":\"type-4294967296\"}", "type");
    assert_refused("{\"type\":6}", "type");
    assert_refused("{\"type\":\"need\",\"id\":\"7\"}", "id");
    assert_refused("{\"type\":\"need\",\"foo\":1}", "unknown field 'foo' for type need");
    assert_refused("{\"type\":\"need\",\"title\":{}}", "title: cannot be an object");
    assert_refused("{\"type\":\"need\",\"tags\":\"a\"}", "tags: cannot be a string");
    assert_refused("{\"type\":\"need\",\"tags\":[null]}", "tags: cannot be null");
    assert_refused("{\"type\":\"need\",\"x\":[]}", "x: cannot be an array");
    assert_refused("{\"type\":\"org\",\"name\":{\"english\\n\":\"a b\",\"e\":\"a\"}}", "name");
    assert_refused("{\"type\":\"need\",\"unknown\":[]}", "unknown");
    assert_refused("{\"type\":\"need\",\"unknown\":{\"a\":{}}}", "not the number");
    assert_refused("{\"type\":\"need\",\"unknown\":{\"60\":{\"values\":1}}}", "unknown field 60");
    assert_refused("{\"type\":\"need\",\"unknown\":{\"60\":{\"value\":null}}}", "unknown field");
    assert_refused("{\"type\":\"need\",\"unknown\":{\"60\":{\"entries\":[[1]]}}}", "field 60");
    assert_refused("{\"type\":\"need\",\"unknown\":{\"60\":7}}", "unknown field 60");
    assert_refused("{\"type\":\"need\",\"unknown\":{\"33\":{\"value\":7}}}", "problem");
}

/* What is not a field is passed over; null and empty sets remove; no id means a new record. */
static void
test_json_to_put(void **state)
{
    (void)state;
    char reason[ILEA_REASON_SIZE] = "";
    json_t *json = json_loads("{\"agency\":\"X\",\"agency_id\":1,\"ref\":\"X-N1\","
                              "\"audience\":\"agency\","
                              "\"conflicts\":{},\"created\":1,\"lsn\":2,\"type\":\"need\","
                              "\"title\":null,\"tags\":[],\"x\":{\"a\":null,\"b\":1}}", 0, NULL);
    assert_int_equal(ilea_json_to_put(json, &builder, reason), ILEA_ERROR_NONE);
    const struct ilea_put *put = builder.put;
    assert_int_equal(put->mode, ILEA_PUT_CREATE);
    assert_false(put->has_id);
    assert_int_equal(put->scope, 0);
    assert_int_equal(put->entry_count, 4);
    assert_int_equal(put->entries[0].action, ILEA_PUT_REMOVE);
    assert_int_equal(put->entries[1].action, ILEA_PUT_ONLY);
    assert_int_equal(put->entries[2].action, ILEA_PUT_ONLY);
    assert_int_equal(put->entries[3].action, ILEA_PUT_SET);
    json_decref(json);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_round_trip),
        cmocka_unit_test(test_json_dump),
        cmocka_unit_test(test_json_conflicts),
        cmocka_unit_test(test_json_unknown_round_trip),
        cmocka_unit_test(test_json_refuses),
        cmocka_unit_test(test_json_to_put),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
