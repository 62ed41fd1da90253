#include "node/chain.h"

#include <stdlib.h>
#include <string.h>

#include "replication/record/msgpack_reader.h"

static enum ilea_error
decode_held(struct ilea_span bytes, struct ilea_manifest *manifest)
{
    return ilea_manifest_decode(bytes, manifest) == ILEA_ERROR_NONE ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

enum ilea_error
ilea_chain_last(struct ilea_transaction *txn, const struct ilea_agency_id *agency, struct ilea_manifest *manifest)
{
    struct ilea_span bytes;
    uint64_t index;
    enum ilea_error error = ilea_log_manifest_last(txn, agency, &index, &bytes);
    return error == ILEA_ERROR_NONE ? decode_held(bytes, manifest) : error;
}

enum ilea_error
ilea_chain_at(struct ilea_transaction *txn, const struct ilea_agency_id *agency, uint64_t index,
              struct ilea_manifest *manifest)
{
    struct ilea_span bytes;
    enum ilea_error error = ilea_log_manifest(txn, agency, index, &bytes);
    return error == ILEA_ERROR_NONE ? decode_held(bytes, manifest) : error;
}

/* A chain being taken in. Manifests are large: one allocation for all that are looked at. */
struct take {
    struct ilea_transaction *txn;
    const struct ilea_agency_id *agency;
    struct ilea_chain_change *change;
    struct ilea_manifest next, prev, held, before;
    bool has_before;     /* `before`: what was newest at the beginning */
};

/* How the held manifest of next's index gives way to it. */
static enum ilea_error
compare(struct take *take, enum ilea_succession succession, bool *replaces)
{
    *replaces = false;
    enum ilea_error error = ilea_chain_at(take->txn, take->agency, take->next.index, &take->held);
    if (error == ILEA_ERROR_NOT_FOUND) {
        *replaces = true;
        return ILEA_ERROR_NONE;
    }
    if (error != ILEA_ERROR_NONE) return error;
    if (memcmp(take->held.hash, take->next.hash, sizeof take->held.hash) == 0) return ILEA_ERROR_NONE;
    enum ilea_succession ours = ilea_manifest_succession(&take->prev, &take->held);
    if (succession == ILEA_SUCCESSION_ROOTS && ours == ILEA_SUCCESSION_ORDINARY) {
        *replaces = true;
        take->change->outcome = ILEA_CHAIN_REPLACED;
    } else if (succession == ILEA_SUCCESSION_ORDINARY && ours == ILEA_SUCCESSION_ROOTS) {
        take->change->outcome = ILEA_CHAIN_OLDER;
    } else {
        take->change->outcome = ILEA_CHAIN_CONFLICT;
        take->change->index = take->next.index;
    }
    return ILEA_ERROR_NONE;
}

/* The first manifest is the agency: equal or of another. */
static enum ilea_error
take_first(struct take *take, struct ilea_span bytes)
{
    if (memcmp(take->next.id.bytes, take->agency->bytes, ILEA_ID_SIZE) != 0) return ILEA_ERROR_INVALID;
    if (take->has_before) return ILEA_ERROR_NONE;
    take->change->outcome = ILEA_CHAIN_NEWER;
    return ilea_log_put_manifest(take->txn, take->agency, 0, bytes);
}

static enum ilea_error
take_one(struct take *take, struct ilea_span bytes)
{
    if (take->next.index == 0) return take_first(take, bytes);
    enum ilea_error error = ilea_chain_at(take->txn, take->agency, take->next.index - 1, &take->prev);
    if (error != ILEA_ERROR_NONE) return error;
    enum ilea_succession succession = ilea_manifest_succession(&take->prev, &take->next);
    bool replaces;
    if (succession == ILEA_SUCCESSION_NONE) return ILEA_ERROR_INVALID;
    error = compare(take, succession, &replaces);
    if (error != ILEA_ERROR_NONE || !replaces) return error;
    if (take->change->outcome != ILEA_CHAIN_REPLACED) take->change->outcome = ILEA_CHAIN_NEWER;
    return ilea_log_put_manifest(take->txn, take->agency, take->next.index, bytes);
}

static bool
is_settled(enum ilea_chain_outcome outcome)
{
    return outcome == ILEA_CHAIN_CONFLICT || outcome == ILEA_CHAIN_OLDER;
}

static enum ilea_error
take_all(struct take *take, const struct ilea_network_id *network, struct ilea_span manifests, uint32_t count)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, manifests);
    uint64_t index = 0;
    for (uint32_t i = 0; i < count && !is_settled(take->change->outcome); i++) {
        struct ilea_span bytes = ilea_msgpack_get_bin(&reader, ILEA_MANIFEST_SIZE_MAX);
        if (reader.failed) return ILEA_ERROR_MALFORMED;
        enum ilea_error error = ilea_manifest_decode(bytes, &take->next);
        if (error != ILEA_ERROR_NONE) return error;
        if (i > 0 && take->next.index != index + 1) return ILEA_ERROR_INVALID;
        index = take->next.index;
        if (memcmp(take->next.network.bytes, network->bytes, ILEA_ID_SIZE) != 0
            || memcmp(take->next.id.bytes, take->agency->bytes, ILEA_ID_SIZE) != 0) {
            return ILEA_ERROR_INVALID;
        }
        error = take_one(take, bytes);
        if (error != ILEA_ERROR_NONE) return error;
    }
    if (take->change->outcome == ILEA_CHAIN_SAME && take->has_before && index < take->before.index) {
        take->change->outcome = ILEA_CHAIN_OLDER;
    }
    return ILEA_ERROR_NONE;
}

static bool
keys_differ(const struct ilea_manifest *one, const struct ilea_manifest *other)
{
    return memcmp(&one->node, &other->node, sizeof one->node) != 0
        || memcmp(&one->transport, &other->transport, sizeof one->transport) != 0
        || memcmp(&one->reading, &other->reading, sizeof one->reading) != 0;
}

/* `before` borrows bytes that a put may move; what is compared afterwards are its own fields. */
static enum ilea_error
finish(struct take *take)
{
    struct ilea_chain_change *change = take->change;
    enum ilea_error error = ilea_chain_last(take->txn, take->agency, &take->held);
    if (error != ILEA_ERROR_NONE) return error;
    if (change->outcome != ILEA_CHAIN_CONFLICT) change->index = take->held.index;
    if (change->outcome != ILEA_CHAIN_NEWER && change->outcome != ILEA_CHAIN_REPLACED) return ILEA_ERROR_NONE;
    change->node_changed = !take->has_before || keys_differ(&take->before, &take->held);
    return ilea_chain_settle(take->txn, take->agency, change->outcome == ILEA_CHAIN_REPLACED, &change->truncated);
}

enum ilea_error
ilea_chain_take(struct ilea_transaction *txn, const struct ilea_network_id *network,
                const struct ilea_agency_id *agency, struct ilea_span manifests, uint32_t count,
                struct ilea_chain_change *change)
{
    *change = (struct ilea_chain_change){ .outcome = ILEA_CHAIN_SAME };
    struct take *take = calloc(1, sizeof *take);
    if (take == NULL) return ILEA_ERROR_NO_MEMORY;
    take->txn = txn;
    take->agency = agency;
    take->change = change;
    enum ilea_error error = ilea_chain_last(txn, agency, &take->before);
    take->has_before = error == ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE && count == 0) error = ILEA_ERROR_INVALID;
    if (error == ILEA_ERROR_NONE) error = take_all(take, network, manifests, count);
    if (error == ILEA_ERROR_NONE) error = finish(take);
    free(take);
    return error;
}

/* What one manifest says of a feed, into the lowest limit so far. */
static void
lower(const struct ilea_manifest *manifest, const struct ilea_feed_origin *origin, const struct ilea_feed_id *feed,
      uint64_t *seq, struct ilea_commit_id *id)
{
    struct ilea_position position;
    if (ilea_manifest_position(manifest, feed, &position)) {
        if (position.seq >= *seq) return;
        *seq = position.seq;
        *id = position.id;
        return;
    }
    for (uint32_t i = 0; i < manifest->revoked_count; i++) {
        if (memcmp(manifest->revoked[i].bytes, origin->node.bytes, sizeof origin->node.bytes) != 0) continue;
        *seq = 0;
        memset(id, 0, sizeof *id);
    }
}

enum ilea_error
ilea_chain_limit(struct ilea_transaction *txn, const struct ilea_feed_origin *origin, const struct ilea_feed_id *feed,
                 uint64_t *seq, struct ilea_commit_id *id)
{
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    if (manifest == NULL) return ILEA_ERROR_NO_MEMORY;
    *seq = ILEA_SEQ_NONE;
    memset(id, 0, sizeof *id);
    bool named = false;
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint64_t index = 0; error == ILEA_ERROR_NONE; index++) {
        error = ilea_chain_at(txn, &origin->agency, index, manifest);
        if (error != ILEA_ERROR_NONE) break;
        named = named || memcmp(manifest->node.bytes, origin->node.bytes, sizeof origin->node.bytes) == 0;
        lower(manifest, origin, feed, seq, id);
    }
    free(manifest);
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    return named && *seq > 0 ? ILEA_ERROR_NONE : ILEA_ERROR_NOT_FOUND;
}

enum ilea_error
ilea_chain_signer(struct ilea_transaction *txn, const struct ilea_agency_id *agency, uint64_t index,
                  struct ilea_sign_public *node)
{
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    if (manifest == NULL) return ILEA_ERROR_NO_MEMORY;
    struct ilea_feed_origin origin = { .agency = *agency, .scope = ILEA_SCOPE_PEERS };
    const struct ilea_feed_id none = { { 0 } }; /* no feed that was to be kept */
    struct ilea_commit_id id;
    uint64_t seq;
    enum ilea_error error = ilea_chain_at(txn, agency, index, manifest);
    if (error == ILEA_ERROR_NONE) *node = origin.node = manifest->node;
    free(manifest);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_chain_limit(txn, &origin, &none, &seq, &id);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_PERMISSION : error;
}

enum ilea_error
ilea_chain_settle(struct ilea_transaction *txn, const struct ilea_agency_id *agency, bool anew, bool *truncated)
{
    *truncated = false;
    for (uint32_t number = 1;; number++) {
        struct ilea_feed_row feed;
        enum ilea_error error = ilea_log_feed(txn, number, &feed);
        if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
        if (error != ILEA_ERROR_NONE) return error;
        if (memcmp(feed.origin.agency.bytes, agency->bytes, ILEA_ID_SIZE) != 0) continue;
        if (!ilea_scope_is_shared(feed.origin.scope)) continue; /* nobody else has it, and no manifest tells of it */
        uint64_t seq = 0;
        struct ilea_commit_id id;
        bool cut = false;
        if (anew) error = ilea_log_lift_limit(txn, &feed);
        if (error == ILEA_ERROR_NONE) error = ilea_chain_limit(txn, &feed.origin, &feed.id, &seq, &id);
        if (error == ILEA_ERROR_NOT_FOUND) {
            error = ILEA_ERROR_NONE;
            seq = 0;
            memset(&id, 0, sizeof id);
        }
        if (error == ILEA_ERROR_NONE && seq != ILEA_SEQ_NONE) {
            error = ilea_log_limit_feed(txn, &feed, seq, &id, &cut);
        }
        if (error != ILEA_ERROR_NONE) return error;
        *truncated = *truncated || cut;
    }
}

static bool
share_a_root(const struct ilea_manifest *one, const struct ilea_manifest *other)
{
    for (uint32_t i = 0; i < one->root_count; i++) {
        for (uint32_t k = 0; k < other->root_count; k++) {
            if (memcmp(one->roots[i].bytes, other->roots[k].bytes, sizeof one->roots[i].bytes) == 0) return true;
        }
    }
    return false;
}

enum ilea_error
ilea_chain_shares_root(struct ilea_transaction *txn, const struct ilea_agency_id *one,
                       const struct ilea_agency_id *other, bool *shares)
{
    struct ilea_manifest *manifests = malloc(2 * sizeof *manifests);
    if (manifests == NULL) return ILEA_ERROR_NO_MEMORY;
    *shares = false;
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint64_t i = 0; error == ILEA_ERROR_NONE && !*shares; i++) {
        error = ilea_chain_at(txn, one, i, &manifests[0]);
        for (uint64_t k = 0; error == ILEA_ERROR_NONE && !*shares; k++) {
            error = ilea_chain_at(txn, other, k, &manifests[1]);
            if (error == ILEA_ERROR_NONE) *shares = share_a_root(&manifests[0], &manifests[1]);
        }
        if (error == ILEA_ERROR_NOT_FOUND && !*shares) {
            struct ilea_span bytes; /* the other's end, or this one's? */
            error = ilea_log_manifest(txn, one, i + 1, &bytes);
        }
    }
    free(manifests);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}
