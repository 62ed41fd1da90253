#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/put_builder.h"
#include "node/reason.h"
#include "node/value.h"
#include "replication/record/uuid.h"
#include "tests/support/vectors.h"

static struct ilea_put_builder builder;

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

static const struct ilea_type *
type_of(const char *name)
{
    struct ilea_span span = { (const uint8_t *)name, strlen(name) };
    return ilea_type_by_name(span);
}

static const struct ilea_field *
field_of(const char *type, const char *name)
{
    struct ilea_span span = { (const uint8_t *)name, strlen(name) };
    const struct ilea_field *field = ilea_field_by_name(type_of(type), span);
    assert_non_null(field);
    return field;
}

static void
begin(const char *type)
{
    ilea_put_builder_begin(&builder, ILEA_PUT_UPDATE, type_of(type)->number);
}

/* Assign, and the JSON of the value of entry `at` must be `json`. */
static void
assert_assigned(const char *type, const char *text, const char *json)
{
    char reason[ILEA_REASON_SIZE] = "";
    begin(type);
    if (ilea_value_assign(&builder, type_of(type), text, reason) != ILEA_ERROR_NONE) {
        fail_msg("%s: %s", text, reason);
    }
    json_t *shown = json_array();
    for (uint32_t i = 0; i < builder.put->entry_count; i++) {
        const struct ilea_put_entry *entry = &builder.put->entries[i];
        const struct ilea_field *field = ilea_field_by_number(type_of(type), entry->field);
        const struct ilea_field *key_field =
            field->merge == ILEA_MERGE_KEYED ? NULL : field; /* a key is a plain text */
        bool is_set = ilea_field_has_key(field) && field->merge != ILEA_MERGE_KEYED;
        json_t *line = json_array();
        json_array_append_new(line, json_integer(entry->action));
        if (entry->key.size > 0) {
            json_array_append_new(line, ilea_value_to_json(key_field, entry->key));
        }
        if (entry->value.size > 0 && !is_set) {
            json_array_append_new(line, ilea_value_to_json(field, entry->value));
        }
        json_array_append_new(shown, line);
    }
    char *dump = json_dumps(shown, JSON_COMPACT);
    assert_string_equal(dump, json);
    free(dump);
    json_decref(shown);
}

static void
assert_refused(const char *type, const char *text, const char *why)
{
    char reason[ILEA_REASON_SIZE] = "";
    begin(type);
    enum ilea_error error = ilea_value_assign(&builder, type_of(type), text, reason);
    assert_true(error == ILEA_ERROR_INVALID || error == ILEA_ERROR_LIMIT);
    if (strstr(reason, why) == NULL) fail_msg("%s: '%s' does not say '%s'", text, reason, why);
}

/* 1 is SET, 2 REMOVE, 3 ONLY. */
static void
test_value_assign(void **state)
{
    (void)state;
    assert_assigned("need", "title=Plates, at night = hard", "[[1,\"Plates, at night = hard\"]]");
    assert_assigned("need", "title=  a\tb\n", "[[1,\"a b\"]]");
    assert_assigned("need", "problem= a\r\nb\rc\td ", "[[1,\" a\\nb\\nc\\td \"]]");
    assert_assigned("need", "title=", "[[2]]");
    assert_assigned("need", "state=in-review", "[[1,\"in-review\"]]");
    assert_assigned("need", "tags=a, b ,a", "[[3],[1,\"a\"],[1,\"b\"]]");
    assert_assigned("need", "tags=a\\,b\\\\c", "[[3],[1,\"a,b\\\\c\"]]");
    assert_assigned("need", "tags=", "[[3]]");
    assert_assigned("need", "tags+=a,b", "[[1,\"a\"],[1,\"b\"]]");
    assert_assigned("need", "tags-=a", "[[2,\"a\"]]");
    assert_assigned("need", "review_by=2024-02-29", "[[1,\"2024-02-29\"]]");
    assert_assigned("need", "challenge=01890000-0000-7000-8000-0000000000FF",
                    "[[1,\"01890000-0000-7000-8000-0000000000ff\"]]");
    assert_assigned("need", "evaluation=scheme=4x4, source=A,info=1",
                    "[[1,{\"scheme\":\"4x4\",\"source\":\"A\",\"info\":\"1\"}]]");
    assert_assigned("person", "roles=role=inc,from=2024-01-01;role=expert\\;x",
                    "[[3],[1,{\"role\":\"inc\",\"from\":\"2024-01-01\"}],"
                    "[1,{\"role\":\"expert;x\"}]]");
    assert_assigned("person", "roles-=role=inc", "[[2,{\"role\":\"inc\"}]]");
    assert_assigned("org", "name.en=Police", "[[1,\"en\",\"Police\"]]");
    assert_assigned("org", "name.en=", "[[2,\"en\"]]");
    assert_assigned("org", "name=", "[[3]]");
    assert_assigned("org", "x.case no=a=b", "[[1,\"case no\",\"a=b\"]]");
    assert_assigned("solution", "trl=7", "[[1,7]]");
    assert_assigned("project", "total_cost=0012.500", "[[1,\"12.5\"]]");
    assert_assigned("project", "total_cost=-0.0", "[[1,\"0\"]]");
    assert_assigned("project", "total_cost=-3.10", "[[1,\"-3.1\"]]");
    assert_assigned("project", "total_cost=100", "[[1,\"100\"]]");
}

static void
test_value_assign_refuses(void **state)
{
    (void)state;
    assert_refused("need", "title", "not field=value");
    assert_refused("need", "title-x=a", "not field=value");
    assert_refused("need", "foo=a", "no field 'foo'");
    assert_refused("need", "ref=4", "node alone");
    assert_refused("need", "title= ", "title");
    assert_refused("need", "title=a\x07" "b", "control character U+0007 at byte 1");
    assert_refused("need", "title=a\xc2\x85", "control character U+0085");
    assert_refused("need", "title=a\x1b[31m", "U+001B");
    assert_refused("need", "title=a\xff", "UTF-8");
    assert_refused("need", "title=a\xed\xa0\x80", "UTF-8");
    assert_refused("need", "title.en=a", "no keys");
    assert_refused("need", "title+=a", "not a set");
    assert_refused("need", "state=open", "allowed are draft, in-review, published");
    assert_refused("need", "review_by=2023-02-29", "not a day");
    assert_refused("need", "challenge=FR-PN-C3", "no record 'FR-PN-C3'");
    assert_refused("need", "evaluation=source", "not part=value");
    assert_refused("need", "evaluation=colour=red", "not part=value");
    assert_refused("need", "evaluation=source=", "empty");
    assert_refused("need", "tags=a,,b", "tags");
    assert_refused("org", "name=Police", "needs a key, as name.en=");
    assert_refused("org", "name.e=Police", "language");
    assert_refused("org", "x.=Police", "x");
    assert_refused("org", "x.a+=b", "write x.a=");
    assert_refused("solution", "trl=10", "at most 9");
    assert_refused("solution", "trl=-1", "whole number");
    assert_refused("solution", "trl=99999999999", "whole number");
    assert_refused("project", "total_cost=1e5", "not a number");
    assert_refused("project", "total_cost=.", "not a number");
    assert_refused("project", "total_cost=1.1234567", "not a number");
    assert_refused("org", "country=FRANCE-PLUS", "longer than 8 bytes");
}

static void
test_value_given_twice(void **state)
{
    (void)state;
    char reason[ILEA_REASON_SIZE] = "";
    const struct ilea_type *need = type_of("need");
    begin("need");
    assert_int_equal(ilea_value_assign(&builder, need, "title=a", reason), ILEA_ERROR_NONE);
    assert_int_equal(ilea_value_assign(&builder, need, "title=b", reason), ILEA_ERROR_INVALID);
    assert_string_equal(reason, "title: given twice");
    assert_int_equal(ilea_value_assign(&builder, need, "tags+=a", reason), ILEA_ERROR_NONE);
    assert_int_equal(ilea_value_assign(&builder, need, "tags+=a", reason), ILEA_ERROR_NONE);
    assert_int_equal(ilea_value_assign(&builder, need, "tags-=a", reason), ILEA_ERROR_INVALID);
    assert_int_equal(builder.put->entry_count, 2);
}

/* Different ways to write a letter are one; NFC agrees with Unicode's own tests. */
static void
test_value_normalises(void **state)
{
    (void)state;
    assert_assigned("need", "title=Zoe\xcc\x81", "[[1,\"Zo\xc3\xa9\"]]");
    assert_assigned("need", "title=\xe2\x84\xab", "[[1,\"\xc3\x85\"]]"); /* ANGSTROM SIGN */
    assert_assigned("need", "title=\xe2\x80\x80x", "[[1,\"\xe2\x80\x82x\"]]"); /* EN QUAD */
    assert_assigned("need", "title=\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "[[1,\"\xed\x95\x9c\"]]");
    assert_assigned("need", "title=q\xcc\x87\xcc\xa3", "[[1,\"q\xcc\xa3\xcc\x87\"]]");
    assert_assigned("need", "title=\xe2\x80\x9cx\xe2\x80\x9d",
                    "[[1,\"\xe2\x80\x9cx\xe2\x80\x9d\"]]");
    assert_assigned("need", "title=\xd8\xb4\xd8\xb1\xd8\xb7\xd8\xa9",
                    "[[1,\"\xd8\xb4\xd8\xb1\xd8\xb7\xd8\xa9\"]]");
}

/* A text at the limit is taken, one byte more is not, even where normalising makes it longer. */
static void
test_value_limits(void **state)
{
    (void)state;
    char reason[ILEA_REASON_SIZE] = "";
    size_t limit = field_of("need", "title")->limit;
    char *text = malloc(ILEA_BUILDER_TEXT_MAX + 16);
    assert_non_null(text);
    memcpy(text, "title=", 6);
    memset(text + 6, 'a', limit + 1);
    text[6 + limit] = '\0';
    begin("need");
    assert_int_equal(ilea_value_assign(&builder, type_of("need"), text, reason), ILEA_ERROR_NONE);
    memcpy(text + 6 + limit, "a", 2);
    begin("need");
    assert_int_equal(ilea_value_assign(&builder, type_of("need"), text, reason), ILEA_ERROR_LIMIT);
    memset(text + 6, 'a', ILEA_BUILDER_TEXT_MAX + 1);
    text[6 + ILEA_BUILDER_TEXT_MAX + 1] = '\0';
    begin("need");
    assert_int_equal(ilea_value_assign(&builder, type_of("need"), text, reason), ILEA_ERROR_LIMIT);
    memcpy(text, "body=", 5); /* each of these is three code points when taken apart */
    for (size_t i = 5; i + 2 <= ILEA_BUILDER_TEXT_MAX; i += 2) memcpy(text + i, "\xce\x90", 2);
    text[ILEA_BUILDER_TEXT_MAX - 1] = '\0';
    begin("need");
    enum ilea_error error = ilea_value_assign(&builder, type_of("need"), text, reason);
    assert_true(error == ILEA_ERROR_LIMIT || error == ILEA_ERROR_INVALID);
    free(text);
}

static void
test_value_put_is_bounded(void **state)
{
    (void)state;
    char reason[ILEA_REASON_SIZE] = "", text[32];
    begin("need");
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; i < ILEA_PUT_ENTRIES_MAX && error == ILEA_ERROR_NONE; i++) {
        (void)snprintf(text, sizeof text, "tags+=t%u", i);
        error = ilea_value_assign(&builder, type_of("need"), text, reason);
    }
    assert_int_equal(error, ILEA_ERROR_NONE);
    error = ilea_value_assign(&builder, type_of("need"), "tags+=last", reason);
    assert_int_equal(error, ILEA_ERROR_LIMIT);
    assert_non_null(strstr(reason, "more than 4096 values"));
}

static enum ilea_error
resolve(void *context, struct ilea_span text, struct ilea_record_id *id)
{
    if (text.size != 9 || memcmp(text.data, "FR-PN-N42", 9) != 0) return ILEA_ERROR_NOT_FOUND;
    memset(id->bytes, *(int *)context, sizeof id->bytes);
    return ILEA_ERROR_NONE;
}

static void
test_value_resolves_refs(void **state)
{
    (void)state;
    int fill = 0x11;
    builder.resolve = resolve;
    builder.resolve_context = &fill;
    assert_assigned("comment", "about=FR-PN-N42", "[[1,\"11111111-1111-1111-1111-111111111111\"]]");
    assert_refused("comment", "about=FR-PN-N43", "no record 'FR-PN-N43'");
    builder.resolve = NULL;
}

/* The field from JSON, and back: the text of what was stored, or NULL if refused. */
static char *
through_json(const char *type, const char *name, const char *text)
{
    char reason[ILEA_REASON_SIZE] = "";
    struct ilea_span encoded;
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    begin(type);
    enum ilea_error error =
        ilea_value_from_json(&builder, field_of(type, name), json, &encoded, reason);
    json_decref(json);
    if (error != ILEA_ERROR_NONE) {
        assert_true(strlen(reason) > 0);
        return NULL;
    }
    json_t *shown = ilea_value_to_json(field_of(type, name), encoded);
    char *dump = json_dumps(shown, JSON_ENCODE_ANY | JSON_COMPACT);
    json_decref(shown);
    return dump;
}

static void
assert_json(const char *type, const char *name, const char *text, const char *expected)
{
    char *dump = through_json(type, name, text);
    if (expected == NULL) {
        if (dump != NULL) fail_msg("%s: %s is taken", name, text);
        return;
    }
    if (dump == NULL) fail_msg("%s: %s is refused", name, text);
    assert_string_equal(dump, expected);
    free(dump);
}

static void
test_value_json(void **state)
{
    (void)state;
    assert_json("project", "total_cost", "7475830", "\"7475830\"");
    assert_json("project", "total_cost", "4020018.75", "\"4020018.75\"");
    assert_json("project", "total_cost", "619776.79", "\"619776.79\"");
    assert_json("project", "total_cost", "0.1", "\"0.1\"");
    assert_json("project", "total_cost", "1193120.0", "\"1193120\"");
    assert_json("project", "total_cost", "-0.001", "\"0\"");
    assert_json("project", "total_cost", "-12.345", "\"-12.35\"");
    assert_json("project", "total_cost", "1e300", NULL);
    assert_json("project", "total_cost", "\"12.50\"", "\"12.5\"");
    assert_json("project", "total_cost", "true", NULL);
    assert_json("solution", "trl", "7", "7");
    assert_json("solution", "trl", "\"7\"", "7");
    assert_json("solution", "trl", "7.5", NULL);
    assert_json("solution", "trl", "-1", NULL);
    assert_json("need", "title", "\"a\\nb\"", "\"a b\"");
    assert_json("need", "title", "7", NULL);
    assert_json("need", "title", "[\"a\"]", NULL);
    assert_json("need", "title", "{}", NULL);
    assert_json("need", "x", "\" a\\nb \"", "\" a\\nb \"");
    assert_json("need", "x", "7", "\"7\"");
    assert_json("need", "x", "2.5", "\"2.5\"");
    assert_json("need", "x", "0.1234567890123", "\"0.1234567890123\"");
    assert_json("need", "x", "1e100", "\"1e+100\"");
    assert_json("need", "x", "true", "\"true\"");
    assert_json("need", "x", "[\"a\",1,false]", "[\"a\",\"1\",\"false\"]");
    assert_json("need", "x", "[]", "[]");
    assert_json("need", "x", "[[]]", NULL);
    assert_json("need", "x", "[null]", NULL);
    assert_json("need", "x", "{}", NULL);
    assert_json("need", "evaluation", "{\"source\":\"A\",\"info\":2,\"scheme\":null}",
                "{\"source\":\"A\",\"info\":\"2\"}");
    assert_json("need", "evaluation", "{\"colour\":\"A\"}", NULL);
    assert_json("need", "evaluation", "{\"source\":[]}", NULL);
    assert_json("need", "evaluation", "\"A\"", NULL);
}

/* A foreign value of the wrong kind is shown all the same. */
static void
test_value_json_of_odd_values(void **state)
{
    (void)state;
    static const struct {
        const char *name, *bytes;
        size_t size;
        const char *json;
    } odd[] = {
        { "title", "\x07", 1, "7" },
        { "challenge", "\xc4\x02\xab\xcd", 4, "{\"$bin\":\"abcd\"}" },
        { "challenge", "\xa1" "a", 2, "\"a\"" },
        { "evaluation", "\x92\xa1" "a\xa1" "b", 5, "[\"a\",\"b\"]" },
        { "evaluation", "\x93\xa1" "a\xa1" "b\x01", 6, "[\"a\",\"b\",1]" },
        { "evaluation", "\xa1" "a", 2, "\"a\"" },
        { "kind", "\xa5other", 6, "\"other\"" },
    };
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct ilea_span value = { (const uint8_t *)odd[i].bytes, odd[i].size };
        json_t *json = ilea_value_to_json(field_of("need", odd[i].name), value);
        char *dump = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
        assert_string_equal(dump, odd[i].json);
        free(dump);
        json_decref(json);
    }
}

/* Any value of an unknown field comes back from its JSON as the same bytes. */
static void
test_value_generic_round_trip(void **state)
{
    (void)state;
    static const struct { const char *bytes; size_t size; const char *json; } values[] = {
        { "\x00", 1, "0" },
        { "\xcc\x80", 2, "128" },
        { "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9, "9223372036854775807" },
        { "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, "{\"$uint\":\"18446744073709551615\"}" },
        { "\xa0", 1, "\"\"" },
        { "\xa3" "a\nb", 4, "\"a\\nb\"" },
        { "\xc4\x00", 2, "{\"$bin\":\"\"}" },
        { "\xc4\x03\x00\xff\x10", 5, "{\"$bin\":\"00ff10\"}" },
        { "\x90", 1, "[]" },
        { "\x92\x91\x91\xc4\x01\x07\xa1" "a", 8, "[[[{\"$bin\":\"07\"}]],\"a\"]" },
    };
    char reason[ILEA_REASON_SIZE] = "";
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t *copy = ilea_exact_copy(values[i].bytes, values[i].size);
        json_t *json = ilea_value_to_json(NULL, (struct ilea_span){ copy, values[i].size });
        char *dump = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
        assert_string_equal(dump, values[i].json);
        begin("need");
        struct ilea_span again;
        assert_int_equal(ilea_value_from_generic(&builder, json, &again, reason), ILEA_ERROR_NONE);
        assert_int_equal(again.size, values[i].size);
        assert_memory_equal(again.data, values[i].bytes, again.size);
        free(dump);
        json_decref(json);
        free(copy);
    }
    static const char *const refused[] = { "-1", "1.5", "null", "true", "{}", "{\"$bin\":\"0\"}",
                                           "{\"$bin\":\"0g\"}", "{\"$uint\":\"\"}",
                                           "{\"$uint\":\"18446744073709551616\"}", "[[[[1]]]]",
                                           "{\"$bin\":\"00\",\"a\":1}", "\"\\u0007\"" };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        json_t *json = json_loads(refused[i], JSON_DECODE_ANY, NULL);
        struct ilea_span encoded;
        begin("need");
        assert_int_equal(ilea_value_from_generic(&builder, json, &encoded, reason),
                         ILEA_ERROR_INVALID);
        json_decref(json);
    }
}

static void
test_value_uuid(void **state)
{
    (void)state;
    static const char text[] = "01890000-abcd-7000-8000-0000000000ff";
    struct ilea_record_id id;
    char printed[ILEA_UUID_TEXT_SIZE];
    assert_true(ilea_uuid_parse((struct ilea_span){ (const uint8_t *)text, 36 }, &id));
    ilea_uuid_print(&id, printed);
    assert_string_equal(printed, text);
    for (size_t size = 0; size < 36; size++) {
        uint8_t *prefix = ilea_exact_copy(text, size);
        assert_false(ilea_uuid_parse((struct ilea_span){ prefix, size }, &id));
        free(prefix);
    }
    for (size_t at = 0; at < 36; at++) {
        char broken[sizeof text];
        memcpy(broken, text, sizeof text);
        broken[at] = 'g';
        assert_false(ilea_uuid_parse((struct ilea_span){ (uint8_t *)broken, 36 }, &id));
    }
}

/* A reason is one printable line of valid UTF-8 whatever it quotes. */
static void
test_value_reason_is_clean(void **state)
{
    (void)state;
    char reason[ILEA_REASON_SIZE], many[400];
    ilea_reason(reason, "'%s'", "\x1b[2J\n\x7f\xc2\x9b" "31m");
    assert_string_equal(reason, "'?[2J????31m'");
    for (size_t i = 0; i + 3 <= sizeof many; i += 3) memcpy(many + i, "\xe2\x82\xac", 3);
    many[399] = '\0';
    ilea_reason(reason, "%s", many);
    assert_true(strlen(reason) % 3 == 0 && strlen(reason) < ILEA_REASON_SIZE);
    ilea_reason(reason, "'%.4s'", many);
    assert_true(strlen(reason) >= 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_assign),
        cmocka_unit_test(test_value_assign_refuses),
        cmocka_unit_test(test_value_given_twice),
        cmocka_unit_test(test_value_normalises),
        cmocka_unit_test(test_value_limits),
        cmocka_unit_test(test_value_put_is_bounded),
        cmocka_unit_test(test_value_resolves_refs),
        cmocka_unit_test(test_value_json),
        cmocka_unit_test(test_value_json_of_odd_values),
        cmocka_unit_test(test_value_generic_round_trip),
        cmocka_unit_test(test_value_uuid),
        cmocka_unit_test(test_value_reason_is_clean),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
