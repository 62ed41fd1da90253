/*
 * fuzz_act.c - the decoders of acts and of audit entries: whatever they accept encodes to the same bytes, and
 * no entry verifies that the node did not sign. The input is tried as an act, as an entry, and as a list of
 * changes to an entry that is good.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "replication/record/act.h"
#include "replication/record/msgpack_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ilea_network_id network = { { 1 } };
static uint8_t good[ILEA_ENTRY_SIZE_MAX];
static size_t good_size;
static struct ilea_sign_secret *node;
static struct ilea_sign_public node_public;

static struct ilea_span
span_of(const char *text)
{
    return (struct ilea_span){ (const uint8_t *)text, strlen(text) };
}

/* An entry with one admin's signature. */
static void
make_good(void)
{
    static uint8_t act_bytes[ILEA_ACT_SIZE_MAX];
    static struct ilea_act act = { .has_subject = true, .subject = { { 2 } }, .pair_count = 2 };
    static struct ilea_audit_entry entry = { .seq = 2, .prev = { 3 }, .time_ms = 4, .sig_count = 1 };
    struct ilea_sign_secret *admin = NULL;
    act.kind = span_of("peer.approve");
    act.pairs[0] = (struct ilea_act_pair){ span_of("tlp-max"), span_of("amber") };
    act.pairs[1] = (struct ilea_act_pair){ span_of("areas"), span_of("") };
    ilea_assert(ilea_crypto_init() == ILEA_ERROR_NONE);
    ilea_assert(ilea_sign_generate(&node, &node_public) == ILEA_ERROR_NONE);
    ilea_assert(ilea_sign_generate(&admin, &entry.sigs[0].admin) == ILEA_ERROR_NONE);
    entry.act_bytes.data = act_bytes;
    ilea_assert(ilea_act_encode(&act, act_bytes, sizeof act_bytes, &entry.act_bytes.size) == ILEA_ERROR_NONE);
    ilea_act_sign(&act, &network, admin, &entry.sigs[0].sig);
    ilea_assert(ilea_entry_encode(&entry, &network, node, good, sizeof good, &good_size) == ILEA_ERROR_NONE);
    ilea_sign_secret_free(admin);
}

static void
decode_act(const uint8_t *data, size_t size)
{
    static struct ilea_act act;
    static uint8_t again[ILEA_ACT_SIZE_MAX];
    size_t again_size = 0;
    if (ilea_act_decode((struct ilea_span){ data, size }, &act) != ILEA_ERROR_NONE) return;
    ilea_assert(act.pair_count <= ILEA_ACT_PAIRS_MAX);
    ilea_assert(ilea_act_encode(&act, again, sizeof again, &again_size) == ILEA_ERROR_NONE);
    ilea_assert(again_size == size && memcmp(again, data, size) == 0);
}

/* Accepted, and signed by the node. */
static bool
verifies(const uint8_t *data, size_t size)
{
    static struct ilea_audit_entry entry;
    static uint8_t again[ILEA_ENTRY_SIZE_MAX];
    const struct ilea_span input = { data, size };
    if (ilea_entry_decode(input, &entry) != ILEA_ERROR_NONE) return false;
    ilea_assert(entry.sig_count <= ILEA_ACT_SIGS_MAX);
    decode_act(entry.act_bytes.data, entry.act_bytes.size);
    bool good_signature = ilea_entry_verify(&entry, input, &network, &node_public);
    size_t again_size = 0; /* but for the signature it is the same bytes */
    ilea_assert(ilea_entry_encode(&entry, &network, node, again, sizeof again, &again_size)
                == ILEA_ERROR_NONE);
    ilea_assert(again_size == size && memcmp(again, data, size - ILEA_SIGNATURE_SIZE) == 0);
    return good_signature;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (good_size == 0) {
        make_good();
        ilea_assert(verifies(good, good_size));
    }
    decode_act(data, size);
    (void)verifies(data, size);

    uint8_t changed[1024];
    ilea_assert(good_size <= sizeof changed);
    memcpy(changed, good, good_size);
    for (size_t i = 0; i + 3 <= size; i += 3) { /* two bytes of place, one that is there then */
        changed[(size_t)(data[i] << 8 | data[i + 1]) % good_size] = data[i + 2];
    }
    if (verifies(changed, good_size)) ilea_assert(memcmp(changed, good, good_size) == 0);
    return 0;
}
