#include "crypto/random.h"
#include "crypto/sas.h"
#include "tests/support/codec.h"

static void
side_of(const json_t *fields, struct ilea_sas_side *side)
{
    vector_fixed(fields, "agency", side->agency.bytes, sizeof side->agency.bytes);
    vector_fixed(fields, "manifest", side->manifest, sizeof side->manifest);
    vector_fixed(fields, "nonce", side->nonce, sizeof side->nonce);
}

static void
check_code(const json_t *vector)
{
    struct ilea_sas_side one, other;
    struct ilea_sas sas;
    uint8_t commitment[ILEA_HASH_SIZE];
    side_of(json_object_get(vector, "one"), &one);
    side_of(json_object_get(vector, "other"), &other);
    ilea_sas_commitment(&one, commitment);
    check_vector_bytes(vector, "commitment", commitment, sizeof commitment);
    if (json_is_true(json_object_get(vector, "offline"))) {
        assert_int_equal(ilea_sas_offline(&one, &other, &sas), ILEA_ERROR_NONE);
    } else {
        ilea_sas_online(&one, &other, &sas);
    }
    assert_string_equal(sas.digits, vector_text(vector, "digits"));
    for (size_t i = 0; i < ILEA_SAS_WORDS; i++) {
        assert_string_equal(sas.words[i], json_string_value(json_array_get(json_object_get(vector, "words"), i)));
    }
}

static void
check(const json_t *vector)
{
    if (strcmp(vector_text(vector, "check"), "code") == 0) check_code(vector);
    if (strcmp(vector_text(vector, "check"), "words") != 0) return;
    const json_t *words = json_object_get(vector, "words");
    for (size_t i = 0; i < 256; i++) {
        assert_string_equal(ilea_sas_word((uint8_t)i), json_string_value(json_array_get(words, i)));
    }
}

static void
test_vectors(void **state)
{
    (void)state;
    for_each_vector("lobby.jsonl", check);
}

static size_t
distance(const char *a, const char *b)
{
    size_t row[ILEA_SAS_WORD_SIZE_MAX + 1], size_b = strlen(b);
    for (size_t j = 0; j <= size_b; j++) row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < size_b; j++) {
            size_t other = diagonal + (a[i] != b[j] ? 1 : 0);
            diagonal = row[j + 1];
            if (row[j + 1] + 1 < other) other = row[j + 1] + 1;
            row[j + 1] = row[j] + 1 < other ? row[j] + 1 : other;
        }
    }
    return row[size_b];
}

/* Heard over a bad line, no word passes for another. */
static void
test_words_are_unlike(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        const char *word = ilea_sas_word((uint8_t)i);
        size_t size = strlen(word);
        assert_true(size >= 4 && size <= ILEA_SAS_WORD_SIZE_MAX);
        assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz"), size);
        for (unsigned j = 0; j < i; j++) {
            const char *other = ilea_sas_word((uint8_t)j);
            if (strncmp(word, other, 4) == 0 || distance(word, other) < 3) fail_msg("%s, %s", word, other);
        }
    }
}

static void
test_everything_counts(void **state)
{
    (void)state;
    struct ilea_sas_side one = { .nonce = { 1 } }, other = { .nonce = { 2 } };
    struct ilea_sas sas, changed;
    uint8_t commitment[ILEA_HASH_SIZE], second[ILEA_HASH_SIZE];
    ilea_sas_online(&one, &other, &sas);
    ilea_sas_commitment(&one, commitment);
    uint8_t *const places[] = { &one.agency.bytes[31], &one.manifest[0], &one.nonce[31] };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        *places[i] ^= 0x80;
        ilea_sas_online(&one, &other, &changed);
        assert_string_not_equal(sas.digits, changed.digits);
        ilea_sas_commitment(&one, second);
        assert_memory_not_equal(commitment, second, sizeof second);
        *places[i] ^= 0x80;
    }
}

static void
test_typed(void **state)
{
    (void)state;
    const struct ilea_sas sas = { .digits = "01234567", .words = { "actor", "zodiac", "mosaic", "album" } };
    static const struct { const char *typed; enum ilea_sas_match expected; } cases[] = {
        { "01234567", ILEA_SAS_EQUAL },
        { " 0123 4567 ", ILEA_SAS_EQUAL },
        { "0123-4567", ILEA_SAS_EQUAL },
        { "0123 4567 actor zodiac mosaic album", ILEA_SAS_EQUAL },
        { "01234567-Actor-ZODIAC-mosaic-album", ILEA_SAS_EQUAL },
        { "01234568", ILEA_SAS_DIFFERENT },
        { "11234567", ILEA_SAS_DIFFERENT },
        { "01234567 actor zodiac mosaic actor", ILEA_SAS_DIFFERENT },
        { "01234567 actor zodiac mosaic albums", ILEA_SAS_DIFFERENT },
        { "01234567 actor zodiac mosaic albu", ILEA_SAS_DIFFERENT },
        { "01234568 actor zodiac mosaic album", ILEA_SAS_DIFFERENT },
        { "0123456", ILEA_SAS_BAD_LENGTH },
        { "012345678", ILEA_SAS_BAD_LENGTH },
        { "01234567 actor", ILEA_SAS_BAD_LENGTH },
        { "01234567actor zodiac mosaic album", ILEA_SAS_BAD_LENGTH },
        { "01234567 actor zodiac mosaic album album", ILEA_SAS_BAD_LENGTH },
        { "", ILEA_SAS_BAD_LENGTH },
        { "actor zodiac mosaic album", ILEA_SAS_BAD_LENGTH },
        { "0123\n4567", ILEA_SAS_BAD_LENGTH },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (ilea_sas_compare(&sas, cases[i].typed) != cases[i].expected) fail_msg("%s", cases[i].typed);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_words_are_unlike),
        cmocka_unit_test(test_everything_counts),
        cmocka_unit_test(test_typed),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
