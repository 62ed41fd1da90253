#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/jsonl.h"
#include "node/profile.h"
#include "node/value.h"
#include "replication/record/uuid.h"
#include "tests/support/vectors.h"

static struct ilea_put_builder builder;

static int
setup(void **state)
{
    (void)state;
    if (setenv("ILEA_IMPORT_DIR", ILEA_TEST_VECTORS "/../../config/import", 1) != 0) return -1;
    return ilea_put_builder_init(&builder) == ILEA_ERROR_NONE ? 0 : -1;
}

static int
teardown(void **state)
{
    (void)state;
    ilea_put_builder_deinit(&builder);
    return 0;
}

static struct ilea_span
span(const char *text)
{
    return (struct ilea_span){ (const uint8_t *)text, strlen(text) };
}

/* The same ids as any other program computes from the namespace (RFC 9562, section 5.5). */
static void
test_profile_ids(void **state)
{
    (void)state;
    static const struct { const char *name, *id; } ids[] = {
        { "cordis:740714", "822e4eec-b886-5e5d-ba33-96a1f5b269cb" },
        { "misp-galaxy:dfa2eeeb-6b66-422d-b146-94ce51de90a1",
          "cdee2976-a1ec-5c58-b015-b0860ccf0d51" },
        { "pic:888897696", "360431f3-a410-53b6-828e-e7cfd23401b9" },
        { "", "488182eb-f1b6-54fb-93ad-ac64e00ea0eb" },
    };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct ilea_record_id id;
        char text[ILEA_UUID_TEXT_SIZE];
        ilea_profile_id(span(ids[i].name), &id);
        ilea_uuid_print(&id, text);
        assert_string_equal(text, ids[i].id);
    }
}

static struct ilea_profile *
open_profile(const char *name)
{
    char reason[ILEA_REASON_SIZE] = "";
    struct ilea_profile *profile = NULL;
    if (ilea_profile_open(name, &profile, reason) != ILEA_ERROR_NONE) fail_msg("%s", reason);
    return profile;
}

/* What the put sets, as an object of the fields' JSON; what it replaces under "only". */
static json_t *
put_to_json(const struct ilea_put *put)
{
    const struct ilea_type *type = ilea_type_by_number(put->type);
    json_t *object = json_object(), *only = json_array();
    for (uint32_t i = 0; i < put->entry_count; i++) {
        const struct ilea_put_entry *entry = &put->entries[i];
        const struct ilea_field *field = ilea_field_by_number(type, entry->field);
        if (entry->action == ILEA_PUT_ONLY) {
            json_array_append_new(only, json_string(field->name));
        } else if (!ilea_field_has_key(field)) {
            json_object_set_new(object, field->name, ilea_value_to_json(field, entry->value));
        } else if (field->merge == ILEA_MERGE_KEYED) {
            json_t *keys = json_object_get(object, field->name);
            if (keys == NULL) json_object_set_new(object, field->name, keys = json_object());
            json_t *key = ilea_value_to_json(NULL, entry->key);
            json_t *value = ilea_value_to_json(field, entry->value);
            json_object_set_new(keys, json_string_value(key), value);
            json_decref(key);
        } else {
            json_t *elements = json_object_get(object, field->name);
            if (elements == NULL) json_object_set_new(object, field->name, elements = json_array());
            json_array_append_new(elements, ilea_value_to_json(field, entry->key));
        }
    }
    json_object_set_new(object, "only", only);
    return object;
}

static void
assert_mapped(const struct ilea_profile *profile, const char *source, const char *expected)
{
    char reason[ILEA_REASON_SIZE] = "";
    json_t *object = json_loads(source, 0, NULL), *wanted = json_loads(expected, 0, NULL);
    assert_non_null(object);
    assert_non_null(wanted);
    if (ilea_profile_map(profile, object, &builder, reason) != ILEA_ERROR_NONE) {
        fail_msg("%s", reason);
    }
    json_t *mapped = put_to_json(builder.put);
    if (!json_equal(mapped, wanted)) {
        fail_msg("%s", json_dumps(mapped, JSON_COMPACT | JSON_SORT_KEYS));
    }
    assert_int_equal(builder.put->mode, ILEA_PUT_UPSERT);
    assert_true(builder.put->has_id);
    json_decref(mapped);
    json_decref(wanted);
    json_decref(object);
}

static void
assert_not_mapped(const struct ilea_profile *profile, const char *source, const char *why)
{
    char reason[ILEA_REASON_SIZE] = "";
    json_t *object = json_loads(source, 0, NULL);
    enum ilea_error error = ilea_profile_map(profile, object, &builder, reason);
    assert_true(error == ILEA_ERROR_INVALID || error == ILEA_ERROR_LIMIT);
    if (strstr(reason, why) == NULL) fail_msg("%s: '%s' does not say '%s'", source, reason, why);
    json_decref(object);
}

static void
test_profile_cordis_project(void **state)
{
    (void)state;
    struct ilea_profile *profile = open_profile("cordis-project");
    assert_string_equal(ilea_profile_type(profile)->name, "project");
    assert_mapped(profile,
        "{\"id\":\"740714\",\"rcn\":\"210000\",\"framework\":\"H2020\",\"acronym\":\"ILEAnet\","
        "\"title\":\"A\\nB \",\"status\":\"ONG\",\"programme\":[\"a\",\"b\"],\"topic\":\"S-1;S-2\","
        "\"start_date\":\"2017-06-01T00:00:00\",\"end_date\":null,\"total_cost\":4020018.75,"
        "\"ec_max_contribution\":12,\"project_url\":\"\",\"cordis_url\":\"https://c\",\"tags\":[],"
        "\"participants\":[{\"pic\":\"1\",\"name\":\"X\",\"short_name\":null,\"ended\":false,"
        "\"ec_contribution\":1.5},{\"name\":\"Y\",\"ended\":true}]}",
        "{\"acronym\":\"ILEAnet\",\"eu_contribution\":\"12\",\"grant_id\":\"740714\","
        "\"lang\":\"en\","
        "\"links\":[\"https://c\"],\"origin\":{\"kind\":\"import\",\"ref\":\"cordis:740714\"},"
        "\"participants\":[{\"org\":\"X\",\"ec_contribution\":\"1.5\",\"pic\":\"1\"},"
        "{\"org\":\"Y\",\"ended\":\"true\"}],\"programme\":\"H2020\",\"start\":\"2017-06-01\","
        "\"status\":\"signed\",\"title\":\"A B\",\"topic_codes\":[\"S-1\",\"S-2\"],"
        "\"total_cost\":\"4020018.75\",\"x\":{\"rcn\":\"210000\",\"programme\":[\"a\",\"b\"]},"
        "\"only\":[\"x\",\"topic_codes\",\"links\",\"participants\"]}");
    assert_not_mapped(profile, "{\"title\":\"A\"}", "no id");
    assert_not_mapped(profile, "{\"id\":\"\",\"title\":\"A\"}", "no id");
    assert_not_mapped(profile, "{\"id\":\"1\"}", "title: missing");
    assert_not_mapped(profile, "{\"id\":\"1\",\"title\":\"A\",\"more\":{\"a\":1}}", "more");
    assert_not_mapped(profile, "{\"id\":\"1\",\"title\":[\"A\"]}", "title");
    assert_not_mapped(profile, "{\"id\":\"1\",\"title\":\"A\",\"start_date\":\"soon\"}", "start");
    assert_not_mapped(profile, "{\"id\":\"1\",\"participants\":[{\"age\":1}]}", "'age'");
    assert_not_mapped(profile, "{\"id\":\"1\",\"participants\":[7]}", "not an object");
    ilea_profile_close(profile);
}

static void
test_profile_topic_galaxy_org(void **state)
{
    (void)state;
    struct ilea_profile *profile = open_profile("h2020-topic");
    assert_mapped(profile, "{\"code\":\"S-1\",\"title\":\"T\",\"challenge\":null,\"rcn\":null}",
                  "{\"title\":\"T\",\"problem\":\"T\",\"lang\":\"en\",\"x\":{\"code\":\"S-1\"},"
                  "\"origin\":{\"kind\":\"import\",\"ref\":\"cordis-topic:S-1\"},"
                  "\"only\":[\"x\"]}");
    assert_mapped(profile, "{\"title\":\"T\",\"code\":\"S-1\",\"challenge\":\"P\",\"n\":2,"
                           "\"challenge_html\":\"<p>\"}",
                  "{\"title\":\"T\",\"problem\":\"P\",\"lang\":\"en\","
                  "\"x\":{\"code\":\"S-1\",\"n\":\"2\"},"
                  "\"origin\":{\"kind\":\"import\",\"ref\":\"cordis-topic:S-1\"},"
                  "\"only\":[\"x\"]}");
    ilea_profile_close(profile);

    profile = open_profile("misp-galaxy");
    assert_mapped(profile,
        "{\"galaxy\":\"firearms\",\"uuid\":\"u\",\"value\":\"V\",\"description\":null,"
        "\"meta\":{\"refs\":[\"a\",\"b\"],\"rate\":1.25},\"related\":[{\"dest-uuid\":"
        "\"dfa2eeeb-6b66-422d-b146-94ce51de90a1\",\"type\":\"similar\",\"tags\":[\"p\",\"q\"]},"
        "{\"dest-uuid\":\"\",\"type\":\"uses\"},{\"dest-uuid\":\"\",\"type\":\"uses\"},{}]}",
        "{\"kind\":\"other\",\"title\":\"V\",\"tags\":[\"firearms\"],"
        "\"origin\":{\"kind\":\"import\",\"ref\":\"misp-galaxy:u\"},"
        "\"x\":{\"refs\":[\"a\",\"b\"],\"rate\":\"1.25\"},"
        "\"related\":[{\"id\":\"cdee2976-a1ec-5c58-b015-b0860ccf0d51\",\"rel\":\"similar\","
        "\"tags\":\"p, q\"},{\"rel\":\"uses\"}],"
        "\"only\":[\"x\",\"related\"]}");
    assert_not_mapped(profile, "{\"uuid\":\"u\",\"value\":\"V\",\"extra\":1}", "extra: not mapped");
    ilea_profile_close(profile);

    profile = open_profile("org");
    assert_mapped(profile, "{\"type\":\"HES\",\"pic\":\"7\",\"name\":\"N\",\"kind\":\"police\"}",
                  "{\"name\":{\"und\":\"N\"},\"kind\":\"lea\",\"only\":[],"
                  "\"identifiers\":[{\"scheme\":\"pic\",\"value\":\"7\"}],"
                  "\"origin\":{\"kind\":\"import\",\"ref\":\"pic:7\"},"
                  "\"x\":{\"type\":\"HES\",\"kind\":\"police\"}}");
    assert_mapped(profile, "{\"type\":\"PUB\",\"pic\":\"7\",\"name\":\"N\"}",
                  "{\"name\":{\"und\":\"N\"},\"only\":[],"
                  "\"identifiers\":[{\"scheme\":\"pic\",\"value\":\"7\"}],"
                  "\"origin\":{\"kind\":\"import\",\"ref\":\"pic:7\"},\"x\":{\"type\":\"PUB\"}}");
    ilea_profile_close(profile);
}

#define HEAD                                                                                       \
    "{\"version\":1,\"help\":\"h\",\"type\":\"need\","                                            \
    "\"id\":{\"prefix\":\"p:\",\"from\":[\"a\"]},"

static struct ilea_profile *
parse(const char *text)
{
    char reason[ILEA_REASON_SIZE] = "";
    struct ilea_profile *profile = NULL;
    if (ilea_profile_parse(span(text), &profile, reason) != ILEA_ERROR_NONE) {
        fail_msg("%s", reason);
    }
    return profile;
}

static void
test_profile_transforms(void **state)
{
    (void)state;
    struct ilea_profile *profile = parse(HEAD
        "\"fields\":{\"a\":[\"title\",{\"to\":\"tags\",\"split\":\",\",\"prefix\":\"t:\"}],"
        "\"k\":{\"to\":\"kind\",\"codes\":{\"T\":\"technology\",\"none\":null}},"
        "\"c\":{\"to\":\"challenge\",\"id\":true}},"
        "\"join\":[{\"to\":\"body\",\"from\":[\"b\",\"d\"],\"with\":\" / \"}],"
        "\"constant\":{\"state\":\"published\",\"areas\":[\"cybercrime\"],\"x\":{\"src\":\"s\"}},"
        "\"ignore\":[\"b\",\"d\"],\"keep\":[\"tags\"]}");
    assert_string_equal(ilea_profile_help(profile), "h");
    assert_mapped(profile, "{\"a\":\"1, 2,\",\"k\":\"T\",\"c\":7,\"b\":\"B\",\"d\":4}",
                  "{\"title\":\"1, 2,\",\"tags\":[\"t:1\",\"t:2\"],\"kind\":\"technology\","
                  "\"challenge\":\"f0a90583-5c61-55ac-b215-36af4a2eda84\",\"body\":\"B / 4\","
                  "\"state\":\"published\",\"areas\":[\"cybercrime\"],\"x\":{\"src\":\"s\"},"
                  "\"only\":[\"areas\",\"x\"]}");
    assert_mapped(profile, "{\"a\":true,\"k\":\"none\",\"d\":\"D\"}",
                  "{\"title\":\"true\",\"tags\":[\"t:true\"],\"body\":\"D\","
                  "\"state\":\"published\",\"areas\":[\"cybercrime\"],"
                  "\"x\":{\"src\":\"s\"},\"only\":[\"areas\",\"x\"]}");
    assert_not_mapped(profile, "{\"a\":\"1\",\"k\":\"Z\"}", "k: 'Z' is not mapped");
    assert_not_mapped(profile, "{\"a\":\"1\",\"z\":1}", "z: not mapped");
    assert_not_mapped(profile, "{\"a\":\"1\",\"b\":[]}", "b: not a text");
    ilea_profile_close(profile);
}

/* A profile that makes no sense is refused when it is opened, not line by line. */
static void
test_profile_parse_refuses(void **state)
{
    (void)state;
    static const struct { const char *text, *why; } bad[] = {
        { "", "line" },
        { "[]", "not an object" },
        { "{\"version\":2,\"help\":\"h\"}", "version" },
        { "{\"version\":1}", "help" },
        { "{\"version\":1,\"help\":\"h\",\"colour\":1}", "'colour' means nothing" },
        { "{\"version\":1,\"help\":\"h\",\"type\":\"nothing\"}", "type" },
        { "{\"version\":1,\"help\":\"h\",\"type\":\"need\"}", "id" },
        { HEAD "\"fields\":7}", "fields" },
        { HEAD "\"fields\":{\"a\":7}}", "a: not a rule" },
        { HEAD "\"fields\":{\"a\":{}}}", "a: \"to\" is missing" },
        { HEAD "\"fields\":{\"a\":\"colour\"}}", "no such field" },
        { HEAD "\"fields\":{\"a\":\"ref\"}}", "no such field" },
        { HEAD "\"fields\":{\"a\":\"title.en\"}}", "no keys" },
        { HEAD "\"fields\":{\"a\":\"x.\"}}", "no keys" },
        { HEAD "\"fields\":{\"a\":\"x\"}}", "needs a key" },
        { HEAD "\"fields\":{\"a\":\"evaluation\"}}", "parts" },
        { HEAD "\"fields\":{\"a\":{\"to\":\"title\",\"colour\":1}}}", "'colour'" },
        { HEAD "\"fields\":{\"a\":{\"to\":\"title\",\"split\":\";\"}}}", "into a set" },
        { HEAD "\"fields\":{\"a\":{\"to\":\"tags\",\"split\":\"\"}}}", "split" },
        { HEAD "\"fields\":{\"a\":{\"to\":\"title\",\"prefix\":1}}}", "prefix" },
        { HEAD "\"fields\":{\"a\":{\"to\":\"title\",\"parts\":{}}}}", "no parts" },
        { HEAD "\"fields\":{\"a\":{\"to\":\"title\",\"spread\":true}}}", "x alone" },
        { HEAD "\"fields\":{\"a\":{\"to\":\"title\",\"codes\":[]}}}", "codes" },
        { HEAD "\"fields\":{\"a\":{\"to\":\"title\",\"codes\":{\"a\":1}}}}", "codes" },
        { HEAD "\"fields\":{\"a\":{\"to\":\"title\",\"codes\":{},\"else\":1}}}", "else" },
        { HEAD "\"fields\":{\"a\":{\"to\":\"evaluation\",\"parts\":{\"b\":\"c\"}}}}",
          "no such part" },
        { HEAD "\"fields\":{\"a\":{\"to\":\"evaluation\",\"part\":\"c\"}}}", "no such part" },
        { HEAD "\"fields\":{\"a\":{\"to\":\"evaluation\",\"part\":\"info\","
               "\"with\":{\"info\":\"\"}}}}", "with" },
        { HEAD "\"fields\":{\"a\":\"title\"},\"ignore\":[\"a\"]}", "both" },
        { HEAD "\"fields\":{\"a\":\"title\"},\"ignore\":[1]}", "ignore" },
        { HEAD "\"fields\":{\"a\":\"title\"},\"others\":\"drop\"}", "others" },
        { HEAD "\"fields\":{\"a\":\"title\"},\"keep\":[\"z\"]}", "keep" },
        { HEAD "\"fields\":{\"a\":\"title\"},\"constant\":{\"z\":1}}", "constant" },
        { HEAD "\"fields\":{\"a\":\"title\"},\"constant\":{\"kind\":\"z\"}}", "kind" },
        { HEAD "\"fields\":{\"a\":\"title\"},\"join\":[{}]}", "join" },
        { HEAD "\"fields\":{\"a\":\"title\"},"
               "\"join\":[{\"to\":\"tags\",\"from\":[],\"with\":\"\"}]}", "join" },
        { HEAD "\"fields\":{\"a\":\"title\",\"a\":\"body\"}}", "duplicate" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char reason[ILEA_REASON_SIZE] = "";
        struct ilea_profile *profile = NULL;
        uint8_t *copy = ilea_exact_copy(bad[i].text, strlen(bad[i].text));
        struct ilea_span text = { copy, strlen(bad[i].text) };
        assert_int_equal(ilea_profile_parse(text, &profile, reason), ILEA_ERROR_INVALID);
        assert_null(profile);
        if (strstr(reason, bad[i].why) == NULL) fail_msg("%s: '%s'", bad[i].text, reason);
        free(copy);
    }
}

static void
test_profile_open_refuses(void **state)
{
    (void)state;
    static const char *const names[] = { "", "../org", "a/b", ".", "Org", "a b", "org.json" };
    char reason[ILEA_REASON_SIZE];
    struct ilea_profile *profile = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(ilea_profile_open(names[i], &profile, reason), ILEA_ERROR_INVALID);
    }
    assert_int_equal(ilea_profile_open("nothing", &profile, reason), ILEA_ERROR_NOT_FOUND);
    assert_string_equal(reason, "no import profile 'nothing'");
    assert_null(profile);
}

/* Every line of the real files maps; they are not part of the repository. */
static void
test_profile_real_files(void **state)
{
    (void)state;
    static const struct { const char *profile, *file; } files[] = {
        { "cordis-project", "cordis-security.jsonl.gz" },
        { "h2020-topic", "topics.jsonl" },
        { "misp-galaxy", "misp-galaxy.jsonl.gz" },
        { "org", "organisations.jsonl" },
        { "org", "agencies.jsonl" },
    };
    if (access(ILEA_SHARED_DATA "/topics.jsonl", R_OK) != 0) skip();
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[1024], reason[ILEA_REASON_SIZE] = "";
        struct ilea_profile *profile = open_profile(files[i].profile);
        struct ilea_jsonl input;
        (void)snprintf(path, sizeof path, "%s/%s", ILEA_SHARED_DATA, files[i].file);
        assert_int_equal(ilea_jsonl_open(&input, path, reason), ILEA_ERROR_NONE);
        for (;;) {
            json_t *object = NULL;
            enum ilea_error error = ilea_jsonl_next_object(&input, &object, reason);
            if (error == ILEA_ERROR_NOT_FOUND) break;
            if (error == ILEA_ERROR_NONE) {
                error = ilea_profile_map(profile, object, &builder, reason);
            }
            if (error != ILEA_ERROR_NONE) {
                fail_msg("%s, line %u: %s", path, (unsigned)input.line_number, reason);
            }
            json_decref(object);
        }
        assert_true(input.line_number > 100);
        ilea_jsonl_close(&input);
        ilea_profile_close(profile);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profile_ids),
        cmocka_unit_test(test_profile_cordis_project),
        cmocka_unit_test(test_profile_topic_galaxy_org),
        cmocka_unit_test(test_profile_transforms),
        cmocka_unit_test(test_profile_parse_refuses),
        cmocka_unit_test(test_profile_open_refuses),
        cmocka_unit_test(test_profile_real_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
