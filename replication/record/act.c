#include "replication/record/act.h"

#include <stdlib.h>
#include <string.h>

#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum {
    ACT_VERSION = 1, ACT_FIELDS = 7, PAIR_FIELDS = 2,
    ENTRY_VERSION = 1, ENTRY_FIELDS = 7, SIGNATURE_FIELDS = 2,
    NODE_SIG_SIZE = 2 + ILEA_SIGNATURE_SIZE /* as encoded, at the end of an entry */
};

_Static_assert(ILEA_ACT_SIZE_MAX + ILEA_ACT_SIGS_MAX * (1 + 34 + 66) + 256 <= ILEA_ENTRY_SIZE_MAX,
               "any act fits an entry with all its signatures");

static bool
word_is_valid(struct ilea_span word)
{
    if (word.size == 0 || word.size > ILEA_ACT_KIND_MAX) return false;
    for (size_t i = 0; i < word.size; i++) {
        uint8_t c = word.data[i];
        if ((c < 'a' || c > 'z') && c != '.' && c != '-') return false;
    }
    return true;
}

static int
compare_words(struct ilea_span a, struct ilea_span b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int
compare_pairs(const void *a, const void *b)
{
    return compare_words(((const struct ilea_act_pair *)a)->key, ((const struct ilea_act_pair *)b)->key);
}

/* All but the size as a whole. */
static bool
act_is_sound(const struct ilea_act *act)
{
    if (!word_is_valid(act->kind)) return false;
    for (uint32_t i = 0; i < act->pair_count; i++) {
        const struct ilea_act_pair *pair = &act->pairs[i];
        if (!word_is_valid(pair->key) || pair->value.size > ILEA_ACT_VALUE_MAX
            || !ilea_text_is_valid(pair->value)
            || (i > 0 && compare_pairs(&act->pairs[i - 1], pair) >= 0)) {
            return false;
        }
    }
    return true;
}

enum ilea_error
ilea_act_decode(struct ilea_span input, struct ilea_act *act)
{
    if (input.size > ILEA_ACT_SIZE_MAX) return ILEA_ERROR_LIMIT;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    uint32_t fields = ilea_msgpack_get_array(&reader, 32);
    uint64_t version = ilea_msgpack_get_uint(&reader);
    if (!reader.failed && version != ACT_VERSION) return ILEA_ERROR_UNKNOWN;
    if (fields != ACT_FIELDS) return ILEA_ERROR_MALFORMED;
    ilea_msgpack_get_bytes(&reader, act->agency.bytes, sizeof act->agency.bytes);
    ilea_msgpack_get_bytes(&reader, act->nonce, sizeof act->nonce);
    act->made_ms = ilea_msgpack_get_uint(&reader);
    act->kind = ilea_msgpack_get_str(&reader, ILEA_ACT_KIND_MAX);
    struct ilea_span subject = ilea_msgpack_get_bin(&reader, sizeof act->subject.bytes);
    act->pair_count = ilea_msgpack_get_array(&reader, ILEA_ACT_PAIRS_MAX);
    for (uint32_t i = 0; i < act->pair_count; i++) {
        ilea_msgpack_expect_array(&reader, PAIR_FIELDS);
        act->pairs[i].key = ilea_msgpack_get_str(&reader, ILEA_ACT_KIND_MAX);
        act->pairs[i].value = ilea_msgpack_get_str(&reader, ILEA_ACT_VALUE_MAX);
    }
    act->has_subject = subject.size > 0;
    act->subject = (struct ilea_agency_id){ { 0 } };
    if (!ilea_msgpack_reader_done(&reader) || !act_is_sound(act)
        || (act->has_subject && subject.size != sizeof act->subject.bytes)) {
        return ILEA_ERROR_MALFORMED;
    }
    if (act->has_subject) memcpy(act->subject.bytes, subject.data, subject.size);
    ilea_hash_once(ILEA_DOMAIN_ACT, input.data, input.size, act->hash);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_act_encode(struct ilea_act *act, uint8_t *bytes, size_t capacity, size_t *size)
{
    if (act->pair_count > ILEA_ACT_PAIRS_MAX) return ILEA_ERROR_INVALID;
    qsort(act->pairs, act->pair_count, sizeof act->pairs[0], compare_pairs);
    if (!act_is_sound(act)) return ILEA_ERROR_INVALID;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity < ILEA_ACT_SIZE_MAX ? capacity : ILEA_ACT_SIZE_MAX);
    ilea_msgpack_put_array(&writer, ACT_FIELDS);
    ilea_msgpack_put_uint(&writer, ACT_VERSION);
    ilea_msgpack_put_bin(&writer, act->agency.bytes, sizeof act->agency.bytes);
    ilea_msgpack_put_bin(&writer, act->nonce, sizeof act->nonce);
    ilea_msgpack_put_uint(&writer, act->made_ms);
    ilea_msgpack_put_str(&writer, act->kind);
    ilea_msgpack_put_bin(&writer, act->subject.bytes, act->has_subject ? sizeof act->subject.bytes : 0);
    ilea_msgpack_put_array(&writer, act->pair_count);
    for (uint32_t i = 0; i < act->pair_count; i++) {
        ilea_msgpack_put_array(&writer, PAIR_FIELDS);
        ilea_msgpack_put_str(&writer, act->pairs[i].key);
        ilea_msgpack_put_str(&writer, act->pairs[i].value);
    }
    if (writer.failed) return ILEA_ERROR_LIMIT;
    ilea_hash_once(ILEA_DOMAIN_ACT, bytes, writer.size, act->hash);
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

struct ilea_span
ilea_act_value(const struct ilea_act *act, const char *key)
{
    const struct ilea_span wanted = { (const uint8_t *)key, strlen(key) };
    for (uint32_t i = 0; i < act->pair_count; i++) {
        if (compare_words(act->pairs[i].key, wanted) != 0) continue;
        struct ilea_span value = act->pairs[i].value;
        return value.data != NULL ? value : (struct ilea_span){ (const uint8_t *)"", 0 };
    }
    return (struct ilea_span){ NULL, 0 };
}

void
ilea_act_sign(const struct ilea_act *act, const struct ilea_network_id *network,
              const struct ilea_sign_secret *admin, struct ilea_signature *sig)
{
    ilea_sign(admin, ILEA_DOMAIN_ADMIN_SIG, network, (struct ilea_span){ act->hash, sizeof act->hash }, sig);
}

bool
ilea_act_verify(const struct ilea_act *act, const struct ilea_network_id *network,
                const struct ilea_sign_public *admin, const struct ilea_signature *sig)
{
    return ilea_sign_verify(admin, ILEA_DOMAIN_ADMIN_SIG, network,
                            (struct ilea_span){ act->hash, sizeof act->hash }, sig);
}

static int
compare_admins(const void *a, const void *b)
{
    return memcmp(((const struct ilea_act_signature *)a)->admin.bytes,
                  ((const struct ilea_act_signature *)b)->admin.bytes, ILEA_SIGN_PUBLIC_SIZE);
}

/* All but the act. */
static bool
entry_is_sound(const struct ilea_audit_entry *entry)
{
    if (entry->seq == 0 || (entry->seq == 1) != sodium_is_zero(entry->prev, sizeof entry->prev)) return false;
    for (uint32_t i = 1; i < entry->sig_count; i++) {
        if (compare_admins(&entry->sigs[i - 1], &entry->sigs[i]) >= 0) return false;
    }
    return true;
}

enum ilea_error
ilea_entry_decode(struct ilea_span input, struct ilea_audit_entry *entry)
{
    if (input.size > ILEA_ENTRY_SIZE_MAX) return ILEA_ERROR_LIMIT;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    uint32_t fields = ilea_msgpack_get_array(&reader, 32);
    uint64_t version = ilea_msgpack_get_uint(&reader);
    if (!reader.failed && version != ENTRY_VERSION) return ILEA_ERROR_UNKNOWN;
    if (fields != ENTRY_FIELDS) return ILEA_ERROR_MALFORMED;
    entry->seq = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, entry->prev, sizeof entry->prev);
    entry->time_ms = ilea_msgpack_get_uint(&reader);
    entry->act_bytes = ilea_msgpack_get_bin(&reader, ILEA_ACT_SIZE_MAX);
    entry->sig_count = ilea_msgpack_get_array(&reader, ILEA_ACT_SIGS_MAX);
    for (uint32_t i = 0; i < entry->sig_count; i++) {
        ilea_msgpack_expect_array(&reader, SIGNATURE_FIELDS);
        ilea_msgpack_get_bytes(&reader, entry->sigs[i].admin.bytes, sizeof entry->sigs[i].admin.bytes);
        ilea_msgpack_get_bytes(&reader, entry->sigs[i].sig.bytes, sizeof entry->sigs[i].sig.bytes);
    }
    ilea_msgpack_get_bytes(&reader, entry->node_sig.bytes, sizeof entry->node_sig.bytes);
    if (!ilea_msgpack_reader_done(&reader) || !entry_is_sound(entry)) return ILEA_ERROR_MALFORMED;
    ilea_hash_once(ILEA_DOMAIN_AUDIT, input.data, input.size, entry->hash);
    return ilea_act_decode(entry->act_bytes, &entry->act);
}

/* What the node signs: the hash of the entry's bytes before the signature. */
static void
signed_hash(const uint8_t *bytes, size_t size, uint8_t hash[ILEA_HASH_SIZE])
{
    ilea_hash_once(ILEA_DOMAIN_AUDIT, bytes, size, hash);
}

bool
ilea_entry_verify(const struct ilea_audit_entry *entry, struct ilea_span input,
                  const struct ilea_network_id *network, const struct ilea_sign_public *node)
{
    if (input.size < NODE_SIG_SIZE) return false;
    uint8_t hash[ILEA_HASH_SIZE];
    signed_hash(input.data, input.size - NODE_SIG_SIZE, hash);
    return ilea_sign_verify(node, ILEA_DOMAIN_AUDIT_SIG, network, (struct ilea_span){ hash, sizeof hash },
                            &entry->node_sig);
}

enum ilea_error
ilea_entry_encode(struct ilea_audit_entry *entry, const struct ilea_network_id *network,
                  const struct ilea_sign_secret *node, uint8_t *bytes, size_t capacity, size_t *size)
{
    if (entry->sig_count > ILEA_ACT_SIGS_MAX) return ILEA_ERROR_INVALID;
    qsort(entry->sigs, entry->sig_count, sizeof entry->sigs[0], compare_admins);
    if (!entry_is_sound(entry) || ilea_act_decode(entry->act_bytes, &entry->act) != ILEA_ERROR_NONE) {
        return ILEA_ERROR_INVALID;
    }
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    ilea_msgpack_put_array(&writer, ENTRY_FIELDS);
    ilea_msgpack_put_uint(&writer, ENTRY_VERSION);
    ilea_msgpack_put_uint(&writer, entry->seq);
    ilea_msgpack_put_bin(&writer, entry->prev, sizeof entry->prev);
    ilea_msgpack_put_uint(&writer, entry->time_ms);
    ilea_msgpack_put_bin(&writer, entry->act_bytes.data, entry->act_bytes.size);
    ilea_msgpack_put_array(&writer, entry->sig_count);
    for (uint32_t i = 0; i < entry->sig_count; i++) {
        ilea_msgpack_put_array(&writer, SIGNATURE_FIELDS);
        ilea_msgpack_put_bin(&writer, entry->sigs[i].admin.bytes, sizeof entry->sigs[i].admin.bytes);
        ilea_msgpack_put_bin(&writer, entry->sigs[i].sig.bytes, sizeof entry->sigs[i].sig.bytes);
    }
    if (writer.failed) return ILEA_ERROR_LIMIT;
    uint8_t hash[ILEA_HASH_SIZE];
    signed_hash(bytes, writer.size, hash);
    ilea_sign(node, ILEA_DOMAIN_AUDIT_SIG, network, (struct ilea_span){ hash, sizeof hash },
              &entry->node_sig);
    ilea_msgpack_put_bin(&writer, entry->node_sig.bytes, sizeof entry->node_sig.bytes);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    ilea_hash_once(ILEA_DOMAIN_AUDIT, bytes, writer.size, entry->hash);
    *size = writer.size;
    return ILEA_ERROR_NONE;
}
