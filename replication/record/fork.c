#include "replication/record/fork.h"

#include <string.h>

#include "replication/record/msgpack_writer.h"

enum { FORK_VERSION = 1, FORK_FIELDS = 10 };

/* Room for the fields beside the headers: 3 bins of 32, 32 and 16, two signatures, the rest. */
_Static_assert(2 * ILEA_HEADER_SIZE_MAX + 2 * (64 + 2) + 34 + 34 + 18 + 18 + 16 <= ILEA_FORK_SIZE_MAX,
               "two headers of any size fit a proof");

static int
compare_ids(const struct ilea_commit_id *one, const struct ilea_commit_id *other)
{
    return memcmp(one->bytes, other->bytes, sizeof one->bytes);
}

/* A header and its signature at the reader. */
static struct ilea_span
get_side(struct ilea_msgpack_reader *reader, struct ilea_signature *signature)
{
    struct ilea_span header = ilea_msgpack_get_bin(reader, ILEA_HEADER_SIZE_MAX);
    ilea_msgpack_get_bytes(reader, signature->bytes, sizeof signature->bytes);
    return header;
}

static bool
side_is_signed(const struct ilea_commit_id *id, const struct ilea_signature *signature,
               const struct ilea_network_id *network, const struct ilea_sign_public *node)
{
    return ilea_sign_verify(node, ILEA_DOMAIN_COMMIT_SIG, network,
                            (struct ilea_span){ id->bytes, sizeof id->bytes }, signature);
}

enum ilea_error
ilea_fork_decode(struct ilea_span proof, const struct ilea_network_id *network, struct ilea_fork *fork)
{
    if (proof.size > ILEA_FORK_SIZE_MAX) return ILEA_ERROR_LIMIT;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, proof);
    uint32_t fields = ilea_msgpack_get_array(&reader, 32);
    uint64_t version = ilea_msgpack_get_uint(&reader);
    if (!reader.failed && version != FORK_VERSION) return ILEA_ERROR_UNKNOWN;
    if (fields != FORK_FIELDS) return ILEA_ERROR_MALFORMED;
    struct ilea_feed_origin *origin = &fork->origin;
    ilea_msgpack_get_bytes(&reader, origin->agency.bytes, sizeof origin->agency.bytes);
    ilea_msgpack_get_bytes(&reader, origin->node.bytes, sizeof origin->node.bytes);
    ilea_msgpack_get_bytes(&reader, origin->incarnation, sizeof origin->incarnation);
    uint32_t scope = ilea_msgpack_get_uint32(&reader, ILEA_SCOPE_CONTROL);
    struct ilea_span audience = ilea_msgpack_get_bin(&reader, sizeof origin->audience.bytes);
    struct ilea_signature sig_a, sig_b;
    struct ilea_span bytes_a = get_side(&reader, &sig_a), bytes_b = get_side(&reader, &sig_b);
    size_t audience_size = scope == ILEA_SCOPE_AUDIENCE ? sizeof origin->audience.bytes : 0;
    if (!ilea_msgpack_reader_done(&reader) || scope == 0 || audience.size != audience_size) {
        return ILEA_ERROR_MALFORMED;
    }
    origin->scope = (enum ilea_scope)scope;
    memset(&origin->audience, 0, sizeof origin->audience);
    if (audience_size > 0) memcpy(origin->audience.bytes, audience.data, audience_size);

    struct ilea_header a, b;
    enum ilea_error error = ilea_header_decode(bytes_a, &a);
    if (error == ILEA_ERROR_NONE) error = ilea_header_decode(bytes_b, &b);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_commit_id_of(bytes_a, &fork->a);
    ilea_commit_id_of(bytes_b, &fork->b);
    if (a.seq != b.seq || compare_ids(&fork->a, &fork->b) >= 0) return ILEA_ERROR_MALFORMED;

    ilea_feed_id_of(network, origin, &fork->feed);
    if (memcmp(a.feed.bytes, fork->feed.bytes, sizeof fork->feed.bytes) != 0
        || memcmp(b.feed.bytes, fork->feed.bytes, sizeof fork->feed.bytes) != 0) {
        return ILEA_ERROR_BAD_HASH;
    }
    if (!side_is_signed(&fork->a, &sig_a, network, &origin->node)
        || !side_is_signed(&fork->b, &sig_b, network, &origin->node)) {
        return ILEA_ERROR_BAD_SIGNATURE;
    }
    fork->seq = a.seq;
    fork->prev = a.prev;
    ilea_hash_once(ILEA_DOMAIN_FORK, proof.data, proof.size, fork->hash);
    fork->size = proof.size;
    return ILEA_ERROR_NONE;
}

static void
put_side(struct ilea_msgpack_writer *writer, const struct ilea_commit *commit)
{
    ilea_msgpack_put_bin(writer, commit->header_bytes.data, commit->header_bytes.size);
    ilea_msgpack_put_bin(writer, commit->signature.bytes, sizeof commit->signature.bytes);
}

enum ilea_error
ilea_fork_encode(const struct ilea_feed_origin *origin, const struct ilea_commit *one,
                 const struct ilea_commit *other, uint8_t *bytes, size_t capacity, size_t *size)
{
    struct ilea_commit_id one_id, other_id;
    ilea_commit_id_of(one->header_bytes, &one_id);
    ilea_commit_id_of(other->header_bytes, &other_id);
    int order = compare_ids(&one_id, &other_id);
    if (order == 0 || one->header.seq != other->header.seq
        || memcmp(one->header.feed.bytes, other->header.feed.bytes, sizeof one->header.feed.bytes) != 0) {
        return ILEA_ERROR_INVALID;
    }
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    ilea_msgpack_put_array(&writer, FORK_FIELDS);
    ilea_msgpack_put_uint(&writer, FORK_VERSION);
    ilea_msgpack_put_bin(&writer, origin->agency.bytes, sizeof origin->agency.bytes);
    ilea_msgpack_put_bin(&writer, origin->node.bytes, sizeof origin->node.bytes);
    ilea_msgpack_put_bin(&writer, origin->incarnation, sizeof origin->incarnation);
    ilea_msgpack_put_uint(&writer, origin->scope);
    ilea_msgpack_put_bin(&writer, origin->audience.bytes,
                         origin->scope == ILEA_SCOPE_AUDIENCE ? sizeof origin->audience.bytes : 0);
    put_side(&writer, order < 0 ? one : other);
    put_side(&writer, order < 0 ? other : one);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

bool
ilea_fork_is_better(const struct ilea_fork *one, const struct ilea_fork *other)
{
    if (one->seq != other->seq) return one->seq < other->seq;
    return memcmp(one->hash, other->hash, sizeof one->hash) < 0;
}
