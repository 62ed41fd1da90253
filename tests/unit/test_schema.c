#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/json.h"
#include "node/value.h"
#include "replication/record/limits.h"
#include "replication/record/msgpack_writer.h"
#include "replication/record/schema.h"
#include "tests/support/vectors.h"

static struct ilea_span
span(const char *text)
{
    return (struct ilea_span){ (const uint8_t *)text, strlen(text) };
}

static uint32_t
count_of(const char *const *texts)
{
    uint32_t count = 0;
    while (texts != NULL && texts[count] != NULL) count++;
    return count;
}

static void
check_list_is_unique(const char *const *texts)
{
    for (uint32_t i = 0; i < count_of(texts); i++) {
        assert_true(texts[i][0] != '\0');
        for (uint32_t k = 0; k < i; k++) assert_string_not_equal(texts[i], texts[k]);
    }
}

/* What may be said of a field does not contradict itself. */
static void
check_field(const struct ilea_field *field)
{
    bool is_code = field->kind == ILEA_KIND_CODE, is_struct = field->kind == ILEA_KIND_STRUCT;
    bool is_ranked = field->merge == ILEA_MERGE_RESTRICTIVE || field->merge == ILEA_MERGE_STATE;
    assert_true(field->number > 0 && field->number < 64);
    assert_true(field->limit > 0);
    assert_non_null(field->help);
    size_t name_size = strspn(field->name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    assert_true(name_size > 0 && field->name[name_size] == '\0');
    assert_true(field->codes == NULL || is_code);
    assert_true((field->parts != NULL) == is_struct);
    assert_true(!is_ranked || (is_code && count_of(field->codes) >= 2));
    assert_true(field->kind != ILEA_KIND_EXTRA || field->merge == ILEA_MERGE_KEYED);
    bool takes_lines = field->kind == ILEA_KIND_TEXT && !ilea_field_has_key(field);
    assert_true((field->flags & ILEA_FIELD_LINES) == 0 || takes_lines);
    if (field->kind == ILEA_KIND_UINT) return;
    assert_true(field->limit <= ILEA_VALUE_SIZE_MAX - 8);
    /* An element is a key: its longest text must fit one, with the five bytes of its head. */
    if (ilea_field_has_key(field) && field->merge != ILEA_MERGE_KEYED) {
        assert_true(field->limit + 5 <= ILEA_KEY_SIZE_MAX);
    }
    if (is_struct) assert_true(count_of(field->parts) <= ILEA_PARTS_MAX);
    check_list_is_unique(field->codes);
    check_list_is_unique(field->parts);
}

static void
test_schema_fields_are_coherent(void **state)
{
    (void)state;
    uint32_t previous = 0;
    for (const struct ilea_field *field = ilea_common_fields; field->number != 0; field++) {
        check_field(field);
        assert_true(field->number > previous && field->number < 32);
        previous = field->number;
    }
    for (uint32_t t = 0; ilea_types[t] != NULL; t++) {
        previous = 0;
        for (const struct ilea_field *f = ilea_types[t]->fields; f->number != 0; f++) {
            check_field(f);
            assert_true(f->number > previous);
            previous = f->number;
            if (f->number >= 32) continue;
            /* A common field that the type requires. */
            const struct ilea_field *common = ilea_field_by_number(NULL, f->number);
            assert_non_null(common);
            assert_string_equal(f->name, common->name);
            assert_int_equal(f->kind, common->kind);
            assert_int_equal(f->merge, common->merge);
            assert_int_equal(f->limit, common->limit);
            assert_int_equal(f->flags & ~(uint32_t)ILEA_FIELD_REQUIRED, common->flags);
        }
    }
}

/* No name means two things, nor is one the name of something that is no field in JSON. */
static void
test_schema_names_are_unique(void **state)
{
    (void)state;
    static const char *const reserved[] = { "id", "type", "agency", "agency_id", "audience",
                                            "conflicts", "unknown", "created", "lsn", "label" };
    for (uint32_t t = 0; ilea_types[t] != NULL; t++) {
        const struct ilea_type *type = ilea_types[t];
        for (const struct ilea_field *field = type->fields; field->number != 0; field++) {
            assert_ptr_equal(ilea_field_by_number(type, field->number), field);
            assert_ptr_equal(ilea_field_by_name(type, span(field->name)), field);
            const struct ilea_field *common = ilea_field_by_name(NULL, span(field->name));
            assert_true(common == NULL || common->number == field->number);
            for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
                assert_string_not_equal(field->name, reserved[i]);
            }
        }
        for (uint32_t k = 0; k < t; k++) {
            assert_true(ilea_types[k]->number < type->number);
            assert_true(ilea_types[k]->letter != type->letter);
            assert_string_not_equal(ilea_types[k]->name, type->name);
        }
        assert_ptr_equal(ilea_type_by_number(type->number), type);
        assert_ptr_equal(ilea_type_by_name(span(type->name)), type);
        assert_ptr_equal(ilea_type_by_letter(type->letter), type);
        assert_non_null(type->help);
    }
    assert_null(ilea_type_by_number(3)); /* reserved */
    assert_null(ilea_type_by_number(0));
    assert_null(ilea_type_by_name(span("nee")));
    assert_null(ilea_type_by_name(span("needs")));
    assert_null(ilea_type_by_name((struct ilea_span){ NULL, 0 }));
    assert_null(ilea_field_by_number(ilea_type_by_number(6), 17));
    assert_null(ilea_field_by_number(NULL, 0));
}

/* TLP labels are numbered in a change in the order in which the table ranks them. */
static void
test_schema_tlp_order(void **state)
{
    (void)state;
    static const char *const codes[] = { "clear", "green", "amber", "amber+strict", "red" };
    const struct ilea_field *tlp = ilea_field_by_number(NULL, ILEA_FIELD_TLP);
    assert_int_equal(count_of(tlp->codes), 5);
    for (uint32_t i = 0; i < 5; i++) assert_string_equal(tlp->codes[i], codes[i]);
    const struct ilea_field *need_state = ilea_field_by_name(ilea_type_by_number(6), span("state"));
    assert_string_equal(need_state->codes[0], "draft");
    assert_string_equal(need_state->codes[6], "withdrawn");
}

/* Each type has a vector that sets each of its fields, encoded by another program. */
static void
test_schema_vectors(void **state)
{
    (void)state;
    json_t *vectors = ilea_vectors_load("schema.jsonl");
    struct ilea_put_builder builder;
    char reason[ILEA_REASON_SIZE] = "";
    static uint8_t bytes[64 * 1024];
    assert_int_equal(ilea_put_builder_init(&builder), ILEA_ERROR_NONE);
    uint32_t type_count = 0;
    while (ilea_types[type_count] != NULL) type_count++;
    assert_int_equal(json_array_size(vectors), type_count);
    for (uint32_t t = 0; t < type_count; t++) {
        const json_t *vector = json_array_get(vectors, t);
        const json_t *object = json_object_get(vector, "json");
        const char *name = json_string_value(json_object_get(vector, "name"));
        assert_string_equal(name, ilea_types[t]->name);
        for (const struct ilea_field *f = ilea_types[t]->fields; f->number != 0; f++) {
            if (json_object_get(object, f->name) == NULL) fail_msg("no vector has %s", f->name);
        }
        enum ilea_error error = ilea_json_to_put(object, &builder, reason);
        if (error != ILEA_ERROR_NONE) fail_msg("%s: %s", ilea_types[t]->name, reason);
        size_t size = 0, expected_size = 0;
        assert_int_equal(ilea_put_encode(builder.put, bytes, sizeof bytes, &size), ILEA_ERROR_NONE);
        uint8_t *expected = ilea_vector_bytes(vector, "put", &expected_size);
        assert_int_equal(size, expected_size);
        assert_memory_equal(bytes, expected, size);
        free(expected);
    }
    ilea_put_builder_deinit(&builder);
    json_decref(vectors);
}

/* ilea_field_check() of a str as the value of a register. */
static enum ilea_error
check_text(uint32_t type, const char *name, const char *text)
{
    uint8_t bytes[4096];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_msgpack_put_str(&writer, span(text));
    assert_false(writer.failed);
    const struct ilea_field *field = ilea_field_by_name(ilea_type_by_number(type), span(name));
    assert_non_null(field);
    return ilea_field_check(field, (struct ilea_span){ NULL, 0 }, ilea_msgpack_written(&writer));
}

static void
test_schema_check_texts(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        const char *name, *text;
        enum ilea_error error;
    } cases[] = {
        { 6, "title", "a", ILEA_ERROR_NONE },
        { 6, "title", "", ILEA_ERROR_INVALID },
        { 6, "title", "a\nb", ILEA_ERROR_INVALID },
        { 6, "title", "a\tb", ILEA_ERROR_INVALID },
        { 6, "problem", "a\n\tb", ILEA_ERROR_NONE },
        { 6, "kind", "method", ILEA_ERROR_NONE },
        { 6, "kind", "metho", ILEA_ERROR_INVALID },
        { 6, "kind", "methods", ILEA_ERROR_INVALID },
        { 6, "review_by", "2024-02-29", ILEA_ERROR_NONE },
        { 6, "review_by", "2023-02-29", ILEA_ERROR_INVALID },
        { 6, "review_by", "1900-02-29", ILEA_ERROR_INVALID },
        { 6, "review_by", "2000-02-29", ILEA_ERROR_NONE },
        { 6, "review_by", "2024-04-31", ILEA_ERROR_INVALID },
        { 6, "review_by", "2024-13-01", ILEA_ERROR_INVALID },
        { 6, "review_by", "2024-00-01", ILEA_ERROR_INVALID },
        { 6, "review_by", "2024-01-00", ILEA_ERROR_INVALID },
        { 6, "review_by", "0000-01-01", ILEA_ERROR_INVALID },
        { 6, "review_by", "2024-1-01", ILEA_ERROR_INVALID },
        { 6, "review_by", "2024-01-01T", ILEA_ERROR_INVALID },
        { 8, "total_cost", "0", ILEA_ERROR_NONE },
        { 8, "total_cost", "-1.5", ILEA_ERROR_NONE },
        { 8, "total_cost", "1.123456", ILEA_ERROR_NONE },
        { 8, "total_cost", "-0.1", ILEA_ERROR_NONE },
        { 8, "total_cost", "1.1234567", ILEA_ERROR_INVALID },
        { 8, "total_cost", "-0", ILEA_ERROR_INVALID },
        { 8, "total_cost", "01", ILEA_ERROR_INVALID },
        { 8, "total_cost", "1.0", ILEA_ERROR_INVALID },
        { 8, "total_cost", "1.", ILEA_ERROR_INVALID },
        { 8, "total_cost", ".5", ILEA_ERROR_INVALID },
        { 8, "total_cost", "1e5", ILEA_ERROR_INVALID },
        { 8, "total_cost", "", ILEA_ERROR_INVALID },
        { 8, "total_cost", "-", ILEA_ERROR_INVALID },
        { 8, "total_cost", "1234567890123456789012345678901", ILEA_ERROR_LIMIT },
        { 1, "country", "FRANCE-PLUS", ILEA_ERROR_LIMIT },
        { 9, "trl", "7", ILEA_ERROR_INVALID }, /* a number is not a text */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum ilea_error error = check_text(cases[i].type, cases[i].name, cases[i].text);
        if (error != cases[i].error) fail_msg("%s: '%s'", cases[i].name, cases[i].text);
    }
}

static void
check_bytes(const char *name, const char *key, size_t key_size, const char *value,
            size_t value_size, enum ilea_error expected)
{
    const struct ilea_field *field = ilea_field_by_name(ilea_type_by_name(span("org")), span(name));
    struct ilea_span key_span = { (const uint8_t *)key, key_size };
    struct ilea_span value_span = { (const uint8_t *)value, value_size };
    assert_int_equal(ilea_field_check(field, key_span, value_span), expected);
}

/* Keys where there are keys, and nothing after the value. */
static void
test_schema_check_shapes(void **state)
{
    (void)state;
    char long_name[1 + 2 + 201] = "\xd9\xc9";
    memset(long_name + 2, 'a', 201);
    check_bytes("title", "\xa1" "a", 2, "\xa1" "b", 2, ILEA_ERROR_INVALID);
    check_bytes("title", NULL, 0, "\xa1" "b\x01", 3, ILEA_ERROR_INVALID);
    check_bytes("title", NULL, 0, NULL, 0, ILEA_ERROR_INVALID);
    check_bytes("title", NULL, 0, "\xd9\x01" "b", 3, ILEA_ERROR_INVALID); /* not shortest */
    check_bytes("name", "\xa2" "en", 3, "\xa1" "b", 2, ILEA_ERROR_NONE);
    check_bytes("name", "\xa5" "pt-BR", 6, "\xa1" "b", 2, ILEA_ERROR_NONE);
    check_bytes("name", "\xa1" "e", 2, "\xa1" "b", 2, ILEA_ERROR_INVALID);
    check_bytes("name", "\xa2" "e ", 3, "\xa1" "b", 2, ILEA_ERROR_INVALID);
    check_bytes("name", "\xa3" "en-", 4, "\xa1" "b", 2, ILEA_ERROR_INVALID);
    check_bytes("name", NULL, 0, "\xa1" "b", 2, ILEA_ERROR_INVALID);
    check_bytes("name", "\x01", 1, "\xa1" "b", 2, ILEA_ERROR_INVALID);
    check_bytes("tags", "\xa1" "a", 2, "\x01", 1, ILEA_ERROR_NONE);
    check_bytes("tags", "\xa1" "a", 2, "\x02", 1, ILEA_ERROR_INVALID);
    check_bytes("tags", NULL, 0, "\x01", 1, ILEA_ERROR_INVALID);
    check_bytes("x", "\xa1" "a", 2, "\x92\xa1" "b\xa0", 4, ILEA_ERROR_NONE);
    check_bytes("x", "\xa1" "a", 2, "\x92\xa1" "b\x01", 4, ILEA_ERROR_INVALID);
    check_bytes("x", "\xa1" "a", 2, "\xa0", 1, ILEA_ERROR_NONE);
    check_bytes("x", "\xa2" "a\n", 3, "\xa0", 1, ILEA_ERROR_INVALID);
    check_bytes("x", long_name, 203, "\xa0", 1, ILEA_ERROR_LIMIT);
    check_bytes("identifiers", "\x92\xa1" "a\xa1" "b", 5, "\x01", 1, ILEA_ERROR_NONE);
    check_bytes("identifiers", "\x92\xa0\xa0", 3, "\x01", 1, ILEA_ERROR_INVALID);
    check_bytes("identifiers", "\x91\xa1" "a", 3, "\x01", 1, ILEA_ERROR_INVALID);
    check_bytes("identifiers", "\x93\xa1" "a\xa0\xa0", 5, "\x01", 1, ILEA_ERROR_INVALID);
    check_bytes("identifiers", "\x92\xa1\n\xa0", 4, "\x01", 1, ILEA_ERROR_INVALID);
    check_bytes("parent", NULL, 0, "\xc4\x10" "0123456789abcdef", 18, ILEA_ERROR_NONE);
    check_bytes("parent", NULL, 0, "\xc4\x0f" "0123456789abcde", 17, ILEA_ERROR_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema_fields_are_coherent),
        cmocka_unit_test(test_schema_names_are_unique),
        cmocka_unit_test(test_schema_tlp_order),
        cmocka_unit_test(test_schema_vectors),
        cmocka_unit_test(test_schema_check_texts),
        cmocka_unit_test(test_schema_check_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
