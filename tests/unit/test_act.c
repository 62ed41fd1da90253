#include "replication/record/act.h"
#include "tests/support/agency.h"

static enum ilea_error
decode_act(struct ilea_span input)
{
    struct ilea_act act;
    enum ilea_error error = ilea_act_decode(input, &act);
    if (error == ILEA_ERROR_NONE) check_msgpack_c_agrees(input);
    return error;
}

static enum ilea_error
decode_entry(struct ilea_span input)
{
    struct ilea_audit_entry entry;
    enum ilea_error error = ilea_entry_decode(input, &entry);
    if (error == ILEA_ERROR_NONE) check_msgpack_c_agrees(input);
    return error;
}

/* Encoded again it is the same bytes; the pairs may come in any order; no room less is enough. */
static void
check_act_encode(const json_t *vector, const struct ilea_act *decoded, size_t size)
{
    struct ilea_act act = *decoded;
    uint8_t *bytes = malloc(size);
    size_t written = 0;
    assert_non_null(bytes);
    memset(act.hash, 0, sizeof act.hash);
    for (uint32_t i = 0; i < act.pair_count; i++) act.pairs[i] = decoded->pairs[act.pair_count - 1 - i];
    assert_int_equal(ilea_act_encode(&act, bytes, size, &written), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "act", bytes, written);
    check_vector_bytes(vector, "hash", act.hash, sizeof act.hash);
    for (size_t capacity = 0; capacity < size; capacity++) {
        assert_int_equal(ilea_act_encode(&act, bytes, capacity, &written), ILEA_ERROR_LIMIT);
    }
    free(bytes);
}

static void
check_act_signature(const json_t *vector, const struct ilea_act *act)
{
    struct ilea_network_id network;
    struct ilea_signature signature;
    struct ilea_sign_public public_key;
    struct ilea_sign_secret *admin = secret_of(json_object_get(vector, "admin_seed"));
    vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
    ilea_sign_secret_public(admin, &public_key);
    ilea_act_sign(act, &network, admin, &signature);
    check_vector_bytes(vector, "signature", signature.bytes, sizeof signature.bytes);
    assert_true(ilea_act_verify(act, &network, &public_key, &signature));
    network.bytes[0] ^= 1;
    assert_false(ilea_act_verify(act, &network, &public_key, &signature));
    network.bytes[0] ^= 1;
    struct ilea_act other = *act;
    other.hash[31] ^= 1;
    assert_false(ilea_act_verify(&other, &network, &public_key, &signature));
    public_key.bytes[1] ^= 1;
    assert_false(ilea_act_verify(act, &network, &public_key, &signature));
    ilea_sign_secret_free(admin);
}

static void
check_pairs(const json_t *vector, const struct ilea_act *act)
{
    const json_t *pairs = json_object_get(vector, "pairs");
    assert_int_equal(act->pair_count, json_array_size(pairs));
    for (uint32_t i = 0; i < act->pair_count; i++) {
        const json_t *pair = json_array_get(pairs, i);
        check_hex(json_array_get(pair, 0), act->pairs[i].key.data, act->pairs[i].key.size);
        check_hex(json_array_get(pair, 1), act->pairs[i].value.data, act->pairs[i].value.size);
        char key[ILEA_ACT_KIND_MAX + 1] = "";
        memcpy(key, act->pairs[i].key.data, act->pairs[i].key.size);
        struct ilea_span value = ilea_act_value(act, key);
        assert_non_null(value.data);
        check_hex(json_array_get(pair, 1), value.data, value.size);
    }
    assert_null(ilea_act_value(act, "no-such-key").data);
    assert_null(ilea_act_value(act, "").data);
}

static void
check_act_vector(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "act", &size);
    struct ilea_span input = { bytes, size };
    enum ilea_error error = decode_act(input);
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_act act;
        assert_int_equal(ilea_act_decode(input, &act), ILEA_ERROR_NONE);
        check_vector_bytes(vector, "agency", act.agency.bytes, 32);
        check_vector_bytes(vector, "nonce", act.nonce, sizeof act.nonce);
        assert_true(act.made_ms == vector_number(vector, "made_ms"));
        check_vector_bytes(vector, "kind", act.kind.data, act.kind.size);
        check_vector_bytes(vector, "subject", act.subject.bytes, act.has_subject ? 32 : 0);
        check_vector_bytes(vector, "hash", act.hash, sizeof act.hash);
        check_pairs(vector, &act);
        check_act_encode(vector, &act, size);
        check_act_signature(vector, &act);
        check_cuts(decode_act, bytes, size);
        (void)check_mutations(decode_act, bytes, size, 7);
    }
    free(bytes);
}

/* Encoded again with the vector's key it is the same bytes; no room less is enough. */
static void
check_entry_encode(const json_t *vector, const struct ilea_audit_entry *decoded, size_t size)
{
    struct ilea_audit_entry entry = { .seq = decoded->seq, .time_ms = decoded->time_ms,
                                .act_bytes = decoded->act_bytes, .sig_count = decoded->sig_count };
    struct ilea_sign_secret *node = secret_of(json_object_get(vector, "node_seed"));
    struct ilea_network_id network;
    uint8_t *bytes = malloc(size);
    size_t written = 0;
    assert_non_null(bytes);
    vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
    memcpy(entry.prev, decoded->prev, sizeof entry.prev);
    for (uint32_t i = 0; i < entry.sig_count; i++) {
        entry.sigs[i] = decoded->sigs[entry.sig_count - 1 - i];
    }
    assert_int_equal(ilea_entry_encode(&entry, &network, node, bytes, size, &written), ILEA_ERROR_NONE);
    check_vector_bytes(vector, "entry", bytes, written);
    check_vector_bytes(vector, "hash", entry.hash, sizeof entry.hash);
    check_vector_bytes(vector, "node_signature", entry.node_sig.bytes, sizeof entry.node_sig.bytes);
    assert_memory_equal(entry.act.hash, decoded->act.hash, sizeof entry.act.hash);
    for (size_t capacity = 0; capacity < size; capacity += 7) {
        assert_int_equal(ilea_entry_encode(&entry, &network, node, bytes, capacity, &written),
                         ILEA_ERROR_LIMIT);
    }
    assert_int_equal(ilea_entry_encode(&entry, &network, node, bytes, size - 1, &written),
                     ILEA_ERROR_LIMIT);
    free(bytes);
    ilea_sign_secret_free(node);
}

/* Every other value of a byte is refused, or does not verify. */
static void
check_entry_is_signed(const struct ilea_network_id *network, const struct ilea_sign_public *node,
                      uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        struct ilea_audit_entry entry;
        struct ilea_span input = { bytes, size };
        bytes[i] ^= 1;
        assert_false(ilea_entry_decode(input, &entry) == ILEA_ERROR_NONE
                     && ilea_entry_verify(&entry, input, network, node));
        bytes[i] ^= 1;
    }
}

static void
check_entry_vector(const json_t *vector)
{
    size_t size;
    uint8_t *bytes = ilea_vector_bytes(vector, "entry", &size);
    struct ilea_span input = { bytes, size };
    struct ilea_network_id network;
    struct ilea_sign_public node;
    vector_fixed(vector, "network", network.bytes, sizeof network.bytes);
    vector_fixed(vector, "node", node.bytes, sizeof node.bytes);
    struct ilea_audit_entry entry;
    enum ilea_error error = ilea_entry_decode(input, &entry);
    if (error == ILEA_ERROR_NONE && !ilea_entry_verify(&entry, input, &network, &node)) {
        error = ILEA_ERROR_BAD_SIGNATURE;
    }
    expect_error(vector, error);
    if (error == ILEA_ERROR_NONE) {
        assert_true(entry.seq == vector_number(vector, "seq"));
        check_vector_bytes(vector, "prev", entry.prev, sizeof entry.prev);
        assert_true(entry.time_ms == vector_number(vector, "time_ms"));
        check_vector_bytes(vector, "act", entry.act_bytes.data, entry.act_bytes.size);
        check_vector_bytes(vector, "hash", entry.hash, sizeof entry.hash);
        check_vector_bytes(vector, "node_signature", entry.node_sig.bytes, sizeof entry.node_sig.bytes);
        const json_t *signatures = json_object_get(vector, "signatures");
        assert_int_equal(entry.sig_count, json_array_size(signatures));
        for (uint32_t i = 0; i < entry.sig_count; i++) {
            const json_t *one = json_array_get(signatures, i);
            check_hex(json_array_get(one, 0), entry.sigs[i].admin.bytes, 32);
            check_hex(json_array_get(one, 1), entry.sigs[i].sig.bytes, 64);
            assert_true(ilea_act_verify(&entry.act, &network, &entry.sigs[i].admin, &entry.sigs[i].sig));
        }
        check_entry_encode(vector, &entry, size);
        check_entry_is_signed(&network, &node, bytes, size);
        check_cuts(decode_entry, bytes, size);
        (void)check_mutations(decode_entry, bytes, size, 17);
    }
    free(bytes);
}

static void
check_vector(const json_t *vector)
{
    if (strcmp(vector_text(vector, "check"), "act") == 0) check_act_vector(vector);
    if (strcmp(vector_text(vector, "check"), "entry") == 0) check_entry_vector(vector);
}

static void
test_act_vectors(void **state)
{
    (void)state;
    for_each_vector("act.jsonl", check_vector);
}

/* Goal: an act of exactly the largest size is one, and one byte more is not; our own mistakes are refused. */
static void
test_act_limits(void **state)
{
    (void)state;
    static uint8_t bytes[2 * ILEA_ACT_SIZE_MAX];
    static char text[ILEA_ACT_VALUE_MAX + 2], keys[ILEA_ACT_PAIRS_MAX + 2];
    static struct ilea_act act;
    size_t size = 0;
    memset(text, 'v', sizeof text);
    memset(keys, 'k', sizeof keys);
    act.kind = span_of("policy.set");
    act.pair_count = 17;
    for (uint32_t i = 0; i < ILEA_ACT_PAIRS_MAX; i++) {
        act.pairs[i].key = (struct ilea_span){ (const uint8_t *)keys, i + 1 };
        act.pairs[i].value = (struct ilea_span){ (const uint8_t *)text, 900 };
    }
    assert_int_equal(ilea_act_encode(&act, bytes, sizeof bytes, &size), ILEA_ERROR_NONE);
    size_t room = ILEA_ACT_SIZE_MAX - size;
    for (uint32_t i = 0; room > 0; i++) { /* to the brim */
        size_t more = room < 100 ? room : 100;
        act.pairs[i].value.size += more;
        room -= more;
    }
    assert_int_equal(ilea_act_encode(&act, bytes, sizeof bytes, &size), ILEA_ERROR_NONE);
    assert_int_equal(size, ILEA_ACT_SIZE_MAX);
    assert_int_equal(decode_act((struct ilea_span){ bytes, size }), ILEA_ERROR_NONE);
    act.pairs[16].value.size++;
    assert_int_equal(ilea_act_encode(&act, bytes, sizeof bytes, &size), ILEA_ERROR_LIMIT);
    assert_int_equal(decode_act((struct ilea_span){ bytes, ILEA_ACT_SIZE_MAX + 1 }), ILEA_ERROR_LIMIT);

    act.pair_count = 1;
    act.pairs[0].value.size = ILEA_ACT_VALUE_MAX;
    assert_int_equal(ilea_act_encode(&act, bytes, sizeof bytes, &size), ILEA_ERROR_NONE);
    act.pairs[0].value.size = ILEA_ACT_VALUE_MAX + 1;
    assert_int_equal(ilea_act_encode(&act, bytes, sizeof bytes, &size), ILEA_ERROR_INVALID);
    act.pairs[0].value = span_of("a\x1b");
    assert_int_equal(ilea_act_encode(&act, bytes, sizeof bytes, &size), ILEA_ERROR_INVALID);
    act.pairs[0].value = (struct ilea_span){ NULL, 0 };
    assert_int_equal(ilea_act_encode(&act, bytes, sizeof bytes, &size), ILEA_ERROR_NONE);
    assert_non_null(ilea_act_value(&act, "k").data); /* there, and empty */
    act.pairs[0].key.size = ILEA_ACT_KIND_MAX + 1;
    assert_int_equal(ilea_act_encode(&act, bytes, sizeof bytes, &size), ILEA_ERROR_INVALID);
    act.pairs[0].key = (struct ilea_span){ NULL, 0 };
    assert_int_equal(ilea_act_encode(&act, bytes, sizeof bytes, &size), ILEA_ERROR_INVALID);
    act.pairs[0].key = act.pairs[1].key;
    act.pair_count = 2;
    assert_int_equal(ilea_act_encode(&act, bytes, sizeof bytes, &size), ILEA_ERROR_INVALID);
    act.pair_count = ILEA_ACT_PAIRS_MAX + 1;
    assert_int_equal(ilea_act_encode(&act, bytes, sizeof bytes, &size), ILEA_ERROR_INVALID);
    act.pair_count = 0;
    act.kind = span_of("Policy");
    assert_int_equal(ilea_act_encode(&act, bytes, sizeof bytes, &size), ILEA_ERROR_INVALID);
}

/* Goal: any act fits an entry with all the signatures there may be; our own mistakes are refused. */
static void
test_entry_limits(void **state)
{
    (void)state;
    static uint8_t act_bytes[ILEA_ACT_SIZE_MAX], bytes[ILEA_ENTRY_SIZE_MAX + 1];
    static struct ilea_audit_entry entry;
    static struct ilea_act act;
    static char text[ILEA_ACT_VALUE_MAX + 1], keys[] = "aaaaaaaaaaaaaaaa";
    const struct ilea_network_id network = { { 1 } };
    struct keys admins;
    struct ilea_sign_secret *node = NULL;
    struct ilea_sign_public node_public;
    size_t act_size = 0, size = 0;
    make_keys(&admins, ILEA_ACT_SIGS_MAX);
    assert_int_equal(ilea_sign_generate(&node, &node_public), ILEA_ERROR_NONE);
    memset(text, 'v', ILEA_ACT_VALUE_MAX);
    act.kind = span_of("policy.set");
    act.pair_count = 16;
    for (uint32_t i = 0; i < act.pair_count; i++) {
        act.pairs[i] = (struct ilea_act_pair){ { (const uint8_t *)keys, i + 1 }, span_of(text) };
    }
    assert_int_equal(ilea_act_encode(&act, act_bytes, sizeof act_bytes, &act_size), ILEA_ERROR_NONE);
    entry = (struct ilea_audit_entry){ .seq = UINT64_MAX, .prev = { 1 }, .time_ms = UINT64_MAX,
                                 .act_bytes = { act_bytes, act_size }, .sig_count = ILEA_ACT_SIGS_MAX };
    for (uint32_t i = 0; i < entry.sig_count; i++) { /* in the wrong order */
        entry.sigs[i].admin = admins.publics[ILEA_ACT_SIGS_MAX - 1 - i];
        ilea_act_sign(&act, &network, admins.secrets[ILEA_ACT_SIGS_MAX - 1 - i], &entry.sigs[i].sig);
    }
    assert_int_equal(ilea_entry_encode(&entry, &network, node, bytes, ILEA_ENTRY_SIZE_MAX, &size),
                     ILEA_ERROR_NONE);
    struct ilea_audit_entry decoded;
    const struct ilea_span made = { bytes, size };
    assert_int_equal(ilea_entry_decode(made, &decoded), ILEA_ERROR_NONE);
    assert_true(ilea_entry_verify(&decoded, made, &network, &node_public));
    for (uint32_t i = 0; i < decoded.sig_count; i++) {
        assert_true(ilea_act_verify(&decoded.act, &network, &decoded.sigs[i].admin, &decoded.sigs[i].sig));
    }
    assert_false(ilea_entry_verify(&decoded, (struct ilea_span){ bytes, 60 }, &network, &node_public));

    const struct ilea_audit_entry good = entry;
#define REFUSED(change)                                                                                  \
    do {                                                                                                 \
        entry = good;                                                                                    \
        change;                                                                                          \
        assert_int_equal(ilea_entry_encode(&entry, &network, node, bytes, sizeof bytes, &size),          \
                         ILEA_ERROR_INVALID);                                                            \
    } while (0)
    REFUSED(entry.seq = 0);
    REFUSED(entry.seq = 1);
    REFUSED(memset(entry.prev, 0, sizeof entry.prev));
    REFUSED(entry.act_bytes.size--);
    REFUSED(entry.act_bytes.size = 0);
    REFUSED(entry.sig_count++);
    REFUSED(entry.sigs[1] = entry.sigs[0]);
#undef REFUSED
    assert_int_equal(decode_entry((struct ilea_span){ bytes, sizeof bytes }), ILEA_ERROR_LIMIT);
    ilea_sign_secret_free(node);
    free_keys(&admins);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_act_vectors),
        cmocka_unit_test(test_act_limits),
        cmocka_unit_test(test_entry_limits),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
