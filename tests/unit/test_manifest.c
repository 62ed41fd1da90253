#include "tests/support/agency.h"

static enum ilea_error
decode(struct ilea_span input)
{
    struct ilea_manifest manifest;
    enum ilea_error error = ilea_manifest_decode(input, &manifest);
    if (error == ILEA_ERROR_NONE) check_msgpack_c_agrees(input);
    return error;
}

/* Encoded again with the vector's keys it is the same bytes, and no room less is enough. */
static void
check_encode(const json_t *vector, const struct ilea_manifest *decoded, size_t size)
{
    const json_t *seeds = json_object_get(vector, "root_seeds");
    struct ilea_sign_secret *roots[ILEA_ROOTS_MAX],
        *node = secret_of(json_object_get(vector, "node_seed"));
    const struct ilea_sign_secret *borrowed[ILEA_ROOTS_MAX];
    for (uint32_t i = 0; i < decoded->root_count; i++) {
        borrowed[i] = roots[i] = secret_of(json_array_get(seeds, i));
    }
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    size_t written = 0;
    struct ilea_manifest manifest = *decoded;
    memset(manifest.hash, 0, sizeof manifest.hash);
    memset(&manifest.id, 0, sizeof manifest.id);
    assert_int_equal(ilea_manifest_encode(&manifest, node, borrowed, bytes, size, &written),
                     ILEA_ERROR_NONE);
    check_vector_bytes(vector, "signed", bytes, written);
    check_vector_bytes(vector, "hash", manifest.hash, sizeof manifest.hash);
    check_vector_bytes(vector, "agency", manifest.id.bytes, sizeof manifest.id.bytes);
    for (size_t capacity = 0; capacity < size; capacity += 41) {
        assert_int_equal(ilea_manifest_encode(&manifest, node, borrowed, bytes, capacity, &written),
                         ILEA_ERROR_LIMIT);
    }
    free(bytes);
    for (uint32_t i = 0; i < decoded->root_count; i++) ilea_sign_secret_free(roots[i]);
    ilea_sign_secret_free(node);
}

static void
check_keys(const json_t *vector, const char *name, const struct ilea_sign_public *keys, uint32_t count)
{
    const json_t *expected = json_object_get(vector, name);
    assert_int_equal(count, json_array_size(expected));
    for (uint32_t i = 0; i < count; i++) check_hex(json_array_get(expected, i), keys[i].bytes, 32);
}

/* Walked, and looked up by feed. */
static void
check_positions(const json_t *vector, const struct ilea_manifest *manifest)
{
    const json_t *expected = json_object_get(vector, "positions");
    assert_int_equal(manifest->position_count, json_array_size(expected));
    struct ilea_msgpack_reader reader;
    struct ilea_position position, found;
    ilea_msgpack_reader_init(&reader, manifest->positions);
    for (uint32_t i = 0; i < manifest->position_count; i++) {
        const json_t *one = json_array_get(expected, i);
        ilea_position_get(&reader, &position);
        check_hex(json_array_get(one, 0), position.feed.bytes, 32);
        assert_true(position.seq == (uint64_t)json_integer_value(json_array_get(one, 1)));
        check_hex(json_array_get(one, 2), position.id.bytes, 32);
        assert_true(ilea_manifest_position(manifest, &position.feed, &found));
        assert_memory_equal(found.feed.bytes, position.feed.bytes, 32);
        assert_memory_equal(found.id.bytes, position.id.bytes, 32);
        assert_true(found.seq == position.seq);
    }
    assert_true(ilea_msgpack_reader_done(&reader));
    memset(&position, 0xee, sizeof position);
    assert_false(ilea_manifest_position(manifest, &position.feed, &found));
}

static void
check_fields(const json_t *vector, const struct ilea_manifest *manifest)
{
    check_vector_bytes(vector, "agency", manifest->id.bytes, 32);
    check_vector_bytes(vector, "agency_field", manifest->agency.bytes, 32);
    check_vector_bytes(vector, "hash", manifest->hash, 32);
    check_vector_bytes(vector, "prev", manifest->prev, 32);
    check_vector_bytes(vector, "network", manifest->network.bytes, 32);
    check_vector_bytes(vector, "code", manifest->code.data, manifest->code.size);
    check_vector_bytes(vector, "country", manifest->country.data, manifest->country.size);
    check_vector_bytes(vector, "name_text", manifest->name.data, manifest->name.size);
    check_vector_bytes(vector, "next_roots", manifest->next_roots, 32);
    check_vector_bytes(vector, "node", manifest->node.bytes, 32);
    check_vector_bytes(vector, "transport", manifest->transport.bytes, 32);
    check_vector_bytes(vector, "reading", manifest->reading.bytes, 32);
    assert_int_equal(manifest->threshold, vector_number(vector, "threshold"));
    assert_true(manifest->index == vector_number(vector, "index"));
    check_keys(vector, "roots", manifest->roots, manifest->root_count);
    check_keys(vector, "admins", manifest->admins, manifest->admin_count);
    check_keys(vector, "revoked", manifest->revoked, manifest->revoked_count);
    check_positions(vector, manifest);
    char fingerprint[ILEA_FINGERPRINT_SIZE];
    ilea_fingerprint(manifest->id.bytes, fingerprint);
    assert_string_equal(fingerprint, vector_text(vector, "fingerprint"));
}

static void
check_manifest_vector(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "signed", &size);
    struct ilea_span input = { bytes, size };
    enum ilea_error error = decode(input);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_manifest manifest;
        assert_int_equal(ilea_manifest_decode(input, &manifest), ILEA_ERROR_NONE);
        check_fields(vector, &manifest);
        if (json_object_get(vector, "root_seeds") != NULL) check_encode(vector, &manifest, size);
        check_cuts(decode, bytes, size);
        assert_int_equal(check_mutations(decode, bytes, size, 83), 0); /* all of it is signed */
    }
    free(bytes);
}

static void
check_succession_vector(const json_t *vector)
{
    static const char *const names[] = { "none", "ordinary", "roots" };
    struct ilea_manifest before, after;
    size_t before_size, after_size;
    uint8_t *before_bytes = ilea_vector_bytes(vector, "before", &before_size);
    uint8_t *after_bytes = ilea_vector_bytes(vector, "after", &after_size);
    assert_int_equal(ilea_manifest_decode((struct ilea_span){ before_bytes, before_size }, &before),
                     ILEA_ERROR_NONE);
    assert_int_equal(ilea_manifest_decode((struct ilea_span){ after_bytes, after_size }, &after),
                     ILEA_ERROR_NONE);
    enum ilea_succession succession = ilea_manifest_succession(&before, &after);
    if (strcmp(names[succession], vector_text(vector, "succession")) != 0) {
        fail_msg("%s: %s", vector_text(vector, "name"), names[succession]);
    }
    if (succession != ILEA_SUCCESSION_NONE) {
        assert_int_equal(ilea_manifest_succession(&after, &before), ILEA_SUCCESSION_NONE);
        after.network.bytes[0] ^= 1;
        assert_int_equal(ilea_manifest_succession(&before, &after), ILEA_SUCCESSION_NONE);
    }
    free(before_bytes);
    free(after_bytes);
}

static void
check_vector(const json_t *vector)
{
    const char *check = vector_text(vector, "check");
    if (strcmp(check, "manifest") == 0) check_manifest_vector(vector);
    if (strcmp(check, "succession") == 0) check_succession_vector(vector);
    if (strcmp(check, "endpoint") == 0) {
        size_t size;
        uint8_t *endpoint = ilea_vector_bytes(vector, "endpoint", &size);
        bool is_valid = ilea_endpoint_is_valid((struct ilea_span){ endpoint, size });
        expect_error(vector, is_valid ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED);
        free(endpoint);
    }
    if (strcmp(check, "roots") == 0) {
        const json_t *texts = json_object_get(vector, "roots");
        struct ilea_sign_public roots[ILEA_ROOTS_MAX];
        uint8_t hash[ILEA_HASH_SIZE];
        uint32_t count = (uint32_t)json_array_size(texts);
        for (uint32_t i = 0; i < count; i++) {
            json_t *one = json_object();
            json_object_set_new(one, "root",
                                json_string(json_string_value(json_array_get(texts, i))));
            vector_fixed(one, "root", roots[i].bytes, sizeof roots[i].bytes);
            json_decref(one);
        }
        ilea_roots_hash((uint32_t)vector_number(vector, "threshold"), roots, count, hash);
        check_vector_bytes(vector, "hash", hash, sizeof hash);
    }
}

static void
test_manifest_vectors(void **state)
{
    (void)state;
    for_each_vector("manifest.jsonl", check_vector);
}

/* `count` positions of feeds that ascend, encoded into `bytes`. */
static struct ilea_span
many_positions(uint32_t count, uint8_t *bytes, size_t capacity)
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_position position = { .seq = UINT64_MAX - i };
        position.feed.bytes[0] = (uint8_t)(i >> 8);
        position.feed.bytes[1] = (uint8_t)i;
        position.id.bytes[31] = (uint8_t)i;
        ilea_position_put(&writer, &position);
    }
    assert_false(writer.failed);
    return ilea_msgpack_written(&writer);
}

/* Goal: all that a manifest may hold fits it, and nothing beyond. */
static void
test_limits(void **state)
{
    (void)state;
    static struct agency agency;
    static uint8_t positions[(ILEA_POSITIONS_MAX + 1) * 80], over[ILEA_MANIFEST_SIZE_MAX + 1];
    struct keys admins, revoked;
    make_agency(&agency, ILEA_ROOTS_MAX);
    make_keys(&admins, ILEA_ADMINS_MAX);
    make_keys(&revoked, ILEA_REVOKED_MAX);
    struct ilea_manifest *manifest = &agency.manifest;
    static char name[ILEA_NAME_SIZE_MAX + 1];
    memset(name, 'n', ILEA_NAME_SIZE_MAX);
    manifest->name = span_of(name);
    manifest->code = span_of("ABCDEFGHIJKLMN-9");
    manifest->country = span_of("INT");
    manifest->threshold = ILEA_ROOTS_MAX;
    manifest->admin_count = ILEA_ADMINS_MAX;
    memcpy(manifest->admins, admins.publics, sizeof manifest->admins);
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_NONE);
    next_manifest(&agency);
    manifest->index = UINT64_MAX;
    manifest->revoked_count = ILEA_REVOKED_MAX;
    memcpy(manifest->revoked, revoked.publics, sizeof manifest->revoked);
    manifest->position_count = ILEA_POSITIONS_MAX;
    manifest->positions = many_positions(ILEA_POSITIONS_MAX, positions, sizeof positions);
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_NONE);
    assert_in_range(agency.size, 80 * 1024, ILEA_MANIFEST_SIZE_MAX);

    struct ilea_manifest decoded;
    assert_int_equal(ilea_manifest_decode((struct ilea_span){ agency.bytes, agency.size }, &decoded),
                     ILEA_ERROR_NONE);
    struct ilea_position found;
    struct ilea_feed_id feed = { { (ILEA_POSITIONS_MAX - 1) >> 8, (ILEA_POSITIONS_MAX - 1) & 255 } };
    assert_true(ilea_manifest_position(&decoded, &feed, &found));
    assert_true(found.seq == UINT64_MAX - (ILEA_POSITIONS_MAX - 1));
    assert_int_equal(ilea_manifest_succession(&decoded, &decoded), ILEA_SUCCESSION_NONE);

    manifest->positions = many_positions(ILEA_POSITIONS_MAX + 1, positions, sizeof positions);
    manifest->position_count = ILEA_POSITIONS_MAX + 1;
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_INVALID);
    manifest->position_count = ILEA_POSITIONS_MAX; /* fewer than there are */
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_INVALID);
    manifest->position_count = 0;
    manifest->positions.size = 0;
    manifest->admin_count = ILEA_ADMINS_MAX + 1;
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_INVALID);
    manifest->admin_count = ILEA_ADMINS_MAX;
    manifest->revoked_count = ILEA_REVOKED_MAX + 1;
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_INVALID);
    manifest->revoked_count = 0;
    manifest->root_count = ILEA_ROOTS_MAX + 1;
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_INVALID);
    assert_int_equal(decode((struct ilea_span){ over, ILEA_MANIFEST_SIZE_MAX }), ILEA_ERROR_MALFORMED);
    assert_int_equal(decode((struct ilea_span){ over, sizeof over }), ILEA_ERROR_LIMIT);
    free_keys(&admins);
    free_keys(&revoked);
    free_agency(&agency);
}

/* Goal: our own mistakes are refused before anything is read out of bounds. */
static void
test_encode_refuses(void **state)
{
    (void)state;
    static struct agency agency;
    make_agency(&agency, 2);
    struct ilea_manifest *manifest = &agency.manifest;
    const struct ilea_manifest good = *manifest;
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_NONE);
#define REFUSED(change)                                                        \
    do {                                                                       \
        *manifest = good;                                                      \
        change;                                                                \
        assert_int_equal(sign_manifest(&agency), ILEA_ERROR_INVALID);          \
    } while (0)
    REFUSED(manifest->root_count = 0);
    REFUSED(manifest->threshold = 0);
    REFUSED(manifest->threshold = 3);
    REFUSED(manifest->index = 1);
    REFUSED(manifest->prev[31] = 1);
    REFUSED(manifest->agency.bytes[31] = 1);
    REFUSED(manifest->code.size = 1);
    REFUSED(manifest->name.size = 0);
    REFUSED(manifest->country.size = 1);
    REFUSED(manifest->roots[1] = manifest->roots[0]);
    REFUSED(manifest->roots[0] = manifest->roots[1]; manifest->roots[1] = good.roots[0]);
    REFUSED(manifest->admins[0] = manifest->node; manifest->admin_count = 1);
    REFUSED(manifest->admins[0] = manifest->roots[1]; manifest->admin_count = 1);
    REFUSED(memset(&manifest->admins[0], 0, sizeof manifest->admins[0]); manifest->admin_count = 1);
    REFUSED(manifest->revoked[0] = manifest->node; manifest->revoked_count = 1);
    REFUSED(ilea_manifest_roots_hash(manifest, manifest->next_roots));
    REFUSED(memset(&manifest->reading, 0, sizeof manifest->reading));
    REFUSED(manifest->node.bytes[5] ^= 1); /* not the secret's */
#undef REFUSED
    *manifest = good;
    free_agency(&agency);
}

/* Goal: a manifest needs its threshold of secrets, and they must be those of its roots. */
static void
test_some_roots_sign(void **state)
{
    (void)state;
    static struct agency agency;
    make_agency(&agency, 3);
    agency.manifest.threshold = 2;
    struct keys all = agency.roots;
    agency.roots.secrets[1] = NULL;
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_NONE);
    assert_int_equal(decode((struct ilea_span){ agency.bytes, agency.size }), ILEA_ERROR_NONE);
    agency.roots.secrets[0] = NULL;
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_INVALID);
    agency.roots.secrets[0] = all.secrets[1];
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_INVALID);
    agency.roots = all;
    free_agency(&agency);
}

static void
decode_last(const struct agency *agency, struct ilea_manifest *manifest)
{
    assert_int_equal(ilea_manifest_decode((struct ilea_span){ agency->bytes, agency->size }, manifest),
                     ILEA_ERROR_NONE);
}

/* Goal: who has the roots alone can go on for a while and can never put other roots in their place; the agency
 * takes its place back with those it committed to. */
static void
test_stolen_roots(void **state)
{
    (void)state;
    static struct agency agency, thief;
    struct ilea_manifest first, stolen, further, recovered;
    make_agency(&agency, 1);
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_NONE);
    decode_last(&agency, &first);
    next_manifest(&agency);

    thief = agency; /* has the roots, has a node key of its own */
    thief.node = NULL;
    rotate_node(&thief);
    assert_int_equal(sign_manifest(&thief), ILEA_ERROR_NONE);
    decode_last(&thief, &stolen);
    assert_int_equal(ilea_manifest_succession(&first, &stolen), ILEA_SUCCESSION_ORDINARY);
    struct keys own;
    make_keys(&own, 1);
    struct agency *taken = malloc(sizeof *taken);
    assert_non_null(taken);
    *taken = thief; /* roots of its own, and a commitment of its own: neither follows */
    taken->roots = own;
    taken->manifest.roots[0] = own.publics[0];
    assert_int_equal(sign_manifest(taken), ILEA_ERROR_NONE);
    decode_last(taken, &further);
    assert_int_equal(ilea_manifest_succession(&first, &further), ILEA_SUCCESSION_NONE);
    *taken = thief;
    ilea_roots_hash(1, own.publics, 1, taken->manifest.next_roots);
    assert_int_equal(sign_manifest(taken), ILEA_ERROR_NONE);
    decode_last(taken, &further);
    assert_int_equal(ilea_manifest_succession(&first, &further), ILEA_SUCCESSION_NONE);

    rotate_roots(&agency); /* of the same index as the thief's */
    rotate_node(&agency);
    assert_int_equal(sign_manifest(&agency), ILEA_ERROR_NONE);
    decode_last(&agency, &recovered);
    assert_true(recovered.index == stolen.index);
    assert_memory_equal(recovered.prev, stolen.prev, sizeof recovered.prev);
    assert_int_equal(ilea_manifest_succession(&first, &recovered), ILEA_SUCCESSION_ROOTS);
    assert_int_equal(ilea_manifest_succession(&stolen, &recovered), ILEA_SUCCESSION_NONE);

    free(taken);
    free_keys(&own);
    ilea_sign_secret_free(thief.node);
    free_agency(&agency);
}

static void
test_code_is_valid(void **state)
{
    (void)state;
    static const char *const good[] = { "FR", "FR-PN", "A1", "A-1-B", "ABCDEFGHIJKLMNOP" };
    static const char *const bad[] = { "", "F", "1A", "-A", "A-", "Fr", "F R", "FR_PN", "F\xc3\x89",
                                       "ABCDEFGHIJKLMNOPQ" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(ilea_code_is_valid(span_of(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(ilea_code_is_valid(span_of(bad[i])));
    }
    assert_false(ilea_code_is_valid((struct ilea_span){ NULL, 0 }));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest_vectors),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_encode_refuses),
        cmocka_unit_test(test_some_roots_sign),
        cmocka_unit_test(test_stolen_roots),
        cmocka_unit_test(test_code_is_valid),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
