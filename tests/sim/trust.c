#include "tests/sim/trust.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "tests/sim/archive.h"
#include "tests/sim/storage.h"

static struct ilea_span
text(const char *bytes)
{
    return (struct ilea_span){ (const uint8_t *)bytes, strlen(bytes) };
}

/* Each manifest is decoded once in a world: the bytes decide what it is. NULL: they are bad. */
static const struct sim_manifest *
intern(struct sim_world *world, struct ilea_span bytes)
{
    for (uint32_t i = 0; i < world->manifest_count; i++) {
        const struct sim_manifest *known = world->manifests[i];
        if (known->size == bytes.size && memcmp(known->bytes, bytes.data, bytes.size) == 0) return known;
    }
    struct sim_manifest *fresh = calloc(1, sizeof *fresh);
    ilea_assert(fresh != NULL);
    fresh->bytes = malloc(bytes.size + 1);
    ilea_assert(fresh->bytes != NULL);
    memcpy(fresh->bytes, bytes.data, bytes.size);
    fresh->size = bytes.size;
    enum ilea_error error =
        ilea_manifest_decode((struct ilea_span){ fresh->bytes, fresh->size }, &fresh->manifest);
    fresh->agency = error == ILEA_ERROR_NONE ? sim_find_agency(world, &fresh->manifest.id) : SIM_NONE;
    if (error != ILEA_ERROR_NONE) {
        free(fresh->bytes);
        free(fresh);
        return NULL;
    }
    world->manifests = sim_grow(world->manifests, world->manifest_count, &world->manifest_capacity,
                                sizeof(struct sim_manifest *));
    world->manifests[world->manifest_count++] = fresh;
    return fresh;
}

static int
compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, ILEA_SIGN_PUBLIC_SIZE);
}

const struct sim_manifest *
sim_trust_make(struct sim_world *world, struct sim_statement *statement)
{
    const struct sim_node *node = &world->nodes[statement->agency];
    struct ilea_manifest manifest = { .network = world->network, .code = text("AA"), .country = text("INT"),
                                      .name = text("simulated"), .threshold = 1, .root_count = 1,
                                      .transport = node->transport, .reading = node->reading_public };
    ilea_sign_secret_public(statement->root, &manifest.roots[0]);
    ilea_sign_secret_public(statement->node_key, &manifest.node);
    if (statement->prev != NULL) {
        manifest.agency = node->agency;
        manifest.index = statement->prev->manifest.index + 1;
        memcpy(manifest.prev, statement->prev->manifest.hash, sizeof manifest.prev);
        memcpy(manifest.next_roots, statement->prev->manifest.next_roots, sizeof manifest.next_roots);
    }
    if (statement->prev == NULL || statement->new_roots) {
        struct ilea_sign_public next;
        ilea_sign_secret_public(statement->next, &next);
        ilea_roots_hash(1, &next, 1, manifest.next_roots);
    }
    manifest.revoked_count = statement->revoked_count;
    memcpy(manifest.revoked, statement->revoked, sizeof manifest.revoked);
    if (manifest.revoked_count > 1) {
        qsort(manifest.revoked, manifest.revoked_count, sizeof manifest.revoked[0], compare_keys);
    }
    size_t positions_max = 16 + (size_t)statement->position_count * 80, size = 0;
    uint8_t *positions = malloc(positions_max), *bytes = malloc(ILEA_MANIFEST_SIZE_MAX);
    ilea_assert(positions != NULL && bytes != NULL);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, positions, positions_max);
    for (uint32_t i = 0; i < statement->position_count; i++) {
        ilea_position_put(&writer, &statement->positions[i]);
    }
    ilea_assert(!writer.failed);
    manifest.positions = ilea_msgpack_written(&writer);
    manifest.position_count = statement->position_count;
    const struct ilea_sign_secret *roots[] = { statement->root };
    enum ilea_error error =
        ilea_manifest_encode(&manifest, statement->node_key, roots, bytes, ILEA_MANIFEST_SIZE_MAX, &size);
    if (error != ILEA_ERROR_NONE) sim_fail(world, node, "a manifest cannot be made: %s", ilea_error_text(error));
    const struct sim_manifest *made = intern(world, (struct ilea_span){ bytes, size });
    ilea_assert(made != NULL);
    world->manifests[world->manifest_count - 1]->forged = statement->forged;
    free(positions);
    free(bytes);
    return made;
}

static struct ilea_sign_secret *
fresh_secret(void)
{
    struct ilea_sign_secret *secret = NULL;
    struct ilea_sign_public public_key;
    enum ilea_error error = ilea_sign_generate(&secret, &public_key);
    ilea_assert(error == ILEA_ERROR_NONE);
    return secret;
}

void
sim_trust_found(struct sim_node *node)
{
    node->root = fresh_secret();
    node->next_root = fresh_secret();
    struct sim_statement statement = { .agency = node->index, .root = node->root, .node_key = node->secret,
                                       .next = node->next_root };
    const struct sim_manifest *first = sim_trust_make(node->world, &statement);
    node->agency = first->manifest.id;
    node->world->manifests[node->world->manifest_count - 1]->agency = node->index;
}

void
sim_trust_introduce(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        for (uint32_t j = 0; j < world->node_count; j++) {
            world->nodes[i].manifests[j][0] = world->manifests[j];
            world->nodes[i].manifest_counts[j] = 1;
        }
    }
}

void
sim_trust_free(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->manifest_count; i++) {
        free(world->manifests[i]->bytes);
        free(world->manifests[i]);
    }
    for (uint32_t i = 0; i < world->proof_count; i++) free(world->proofs[i]);
    free(world->manifests);
    free(world->proofs);
}

void
sim_trust_free_node(struct sim_node *node)
{
    ilea_sign_secret_free(node->root);
    ilea_sign_secret_free(node->next_root);
    for (uint32_t i = 0; i < node->old_secret_count; i++) ilea_sign_secret_free(node->old_secrets[i]);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) free(node->archives[i].feeds);
}

const struct sim_manifest *
sim_trust_newest(const struct sim_node *node, uint32_t agency)
{
    return node->manifests[agency][node->manifest_counts[agency] - 1];
}

static bool
is_same_key(const struct ilea_sign_public *a, const struct ilea_sign_public *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* Where the manifests that the node holds say that a feed ends; false: they say nothing. */
static bool
stated_limit(const struct sim_node *node, uint32_t agency, const struct ilea_feed_origin *origin,
             const struct ilea_feed_id *feed, struct ilea_position *limit)
{
    bool is_stated = false, is_known = false;
    *limit = (struct ilea_position){ .feed = *feed, .seq = ILEA_SEQ_NEVER };
    for (uint32_t i = 0; i < node->manifest_counts[agency]; i++) {
        const struct ilea_manifest *manifest = &node->manifests[agency][i]->manifest;
        struct ilea_position position;
        bool is_revoked = false;
        if (is_same_key(&manifest->node, &origin->node)) is_known = true;
        for (uint32_t j = 0; j < manifest->revoked_count; j++) {
            if (is_same_key(&manifest->revoked[j], &origin->node)) is_revoked = true;
        }
        if (!ilea_manifest_position(manifest, feed, &position)) {
            if (!is_revoked) continue;
            position = (struct ilea_position){ .feed = *feed };
        }
        if (position.seq < limit->seq) *limit = position;
        is_stated = true;
    }
    if (!is_known) *limit = (struct ilea_position){ .feed = *feed };
    return is_stated || !is_known;
}

static bool
limit_of(const struct sim_node *node, const struct sim_feed *feed, struct ilea_position *limit)
{
    return stated_limit(node, feed->author, &feed->origin, &feed->id, limit);
}

bool
sim_trust_is_forked(const struct sim_node *node, const struct sim_feed *feed)
{
    struct ilea_position limit;
    return node->storage.logs[feed->index].proof != NULL && !limit_of(node, feed, &limit);
}

void
sim_trust_describe(const struct sim_node *node, const struct sim_feed *feed, struct ilea_event_feed *state)
{
    const struct sim_log *log = &node->storage.logs[feed->index];
    struct ilea_position limit;
    *state = (struct ilea_event_feed){ .id = feed->id, .origin = feed->origin, .seq = log->durable,
                                       .limit_seq = ILEA_SEQ_NEVER, .archived = log->archived };
    state->current = feed == node->writer.feed;
    if (log->durable > 0) state->head = log->commits[log->durable - 1]->id;
    if (limit_of(node, feed, &limit)) {
        state->limit_seq = limit.seq;
        state->limit_id = limit.id;
    } else if (log->proof != NULL) {
        state->limit_seq = log->proof->fork.seq - 1;
        memcpy(state->fork, log->proof->fork.hash, sizeof state->fork);
        bool is_held = state->limit_seq > 0 && state->limit_seq <= log->durable;
        if (is_held) state->limit_id = log->commits[state->limit_seq - 1]->id;
    }
}

uint32_t
sim_trust_told(const struct sim_node *node, const struct sim_feed *feed)
{
    struct ilea_event_feed state;
    sim_trust_describe(node, feed, &state);
    return state.seq < state.limit_seq ? (uint32_t)state.seq : (uint32_t)state.limit_seq;
}

/* Where the roots say how the feed ends, what the node holds beyond, or instead, is cut off: to the limit, or to
 * before the fork that it has a proof of, or whole. */
static void
cut(struct sim_node *node, struct sim_feed *feed)
{
    struct sim_log *log = &node->storage.logs[feed->index];
    struct ilea_position limit;
    if (log->durable == 0 || !limit_of(node, feed, &limit) || log->durable < limit.seq) return;
    uint32_t keep = (uint32_t)limit.seq;
    if (keep > 0 && memcmp(log->commits[keep - 1]->id.bytes, limit.id.bytes, ILEA_ID_SIZE) != 0) {
        uint32_t whole = log->proof != NULL ? (uint32_t)log->proof->fork.seq - 1 : 0;
        keep = whole < keep ? whole : 0;
    }
    if (keep < log->durable) sim_storage_cut(node, feed, keep);
}

/* What the replicator was told of the feeds of an agency. */
static struct ilea_event_feed *
describe_all(const struct sim_node *node, uint32_t agency)
{
    struct ilea_event_feed *states = calloc(node->world->feed_count + 1, sizeof *states);
    ilea_assert(states != NULL);
    for (uint32_t i = 0; i < node->world->feed_count; i++) {
        const struct sim_feed *feed = node->world->feeds[i];
        if (feed->author == agency) sim_trust_describe(node, feed, &states[i]);
    }
    return states;
}

static bool
is_equal(const struct ilea_event_feed *a, const struct ilea_event_feed *b)
{
    return a->seq == b->seq && a->limit_seq == b->limit_seq && a->archived == b->archived
        && memcmp(a->head.bytes, b->head.bytes, sizeof a->head.bytes) == 0
        && memcmp(a->limit_id.bytes, b->limit_id.bytes, sizeof a->limit_id.bytes) == 0
        && memcmp(a->fork, b->fork, sizeof a->fork) == 0;
}

/* The logs are as they are now: tell the replicator of every feed that it knows otherwise. */
static void
retell(struct sim_node *node, uint32_t agency, struct ilea_event_feed *before)
{
    sim_archive_update_all(node, agency);
    sim_tell_agency(node, agency);
    for (uint32_t i = 0; node->up && i < node->world->feed_count; i++) {
        const struct sim_feed *feed = node->world->feeds[i];
        struct ilea_event_feed now;
        if (feed->author != agency) continue;
        sim_trust_describe(node, feed, &now);
        bool is_nothing = before[i].seq == 0 && now.seq == 0 && node->storage.logs[i].proof == NULL
            && before[i].limit_seq == now.limit_seq;
        if (is_nothing || is_equal(&before[i], &now)) continue;
        if (now.archived) {
            struct ilea_event event = { .type = ILEA_EVENT_ARCHIVED };
            event.archived.agency = feed->origin.agency;
            event.archived.feed = feed->id;
            sim_archive_describe(node, agency, &event.archived.archive);
            sim_step(node, event);
        } else {
            sim_tell_feed(node, feed);
        }
    }
    free(before);
}

static bool
take(struct sim_node *node, const struct sim_manifest *next)
{
    uint32_t *count = &node->manifest_counts[next->agency];
    const struct sim_manifest **chain = node->manifests[next->agency];
    uint64_t index = next->manifest.index;
    if (index == 0 || index > *count) return false;
    const struct ilea_manifest *prev = &chain[index - 1]->manifest;
    enum ilea_succession how = ilea_manifest_succession(prev, &next->manifest);
    if (how == ILEA_SUCCESSION_NONE) return false;
    if (index < *count) { /* one of ROOTS takes the place of an ORDINARY one, and of all above it */
        if (chain[index] == next || how != ILEA_SUCCESSION_ROOTS) return false;
        if (ilea_manifest_succession(prev, &chain[index]->manifest) == ILEA_SUCCESSION_ROOTS) return false;
    }
    if (index == SIM_CHAIN_MAX) sim_fail(node->world, node, "a chain is too long");
    chain[index] = next;
    *count = (uint32_t)index + 1;
    return true;
}

static void
apply(struct sim_node *node, uint32_t agency)
{
    for (uint32_t i = 0; i < node->world->feed_count; i++) {
        if (node->world->feeds[i]->author == agency) cut(node, node->world->feeds[i]);
    }
}

void
sim_trust_apply_all(struct sim_node *node)
{
    for (uint32_t i = 0; i < node->world->node_count; i++) {
        apply(node, i);
        sim_archive_update_all(node, i);
    }
}

void
sim_trust_adopt(struct sim_node *node, const struct sim_manifest *manifest)
{
    if (node->up) sim_storage_flush(node);
    struct ilea_event_feed *before = describe_all(node, manifest->agency);
    if (!take(node, manifest)) sim_fail(node->world, node, "does not take its own manifest");
    apply(node, manifest->agency);
    if (node->up) {
        retell(node, manifest->agency, before);
    } else {
        free(before);
    }
}

void
sim_trust_on_manifests(struct sim_node *node, const struct ilea_effect *effect)
{
    uint32_t agency = sim_find_agency(node->world, &effect->manifest.agency);
    if (agency == SIM_NONE) sim_fail(node->world, node, "MANIFEST of no agency");
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, effect->manifest.manifests);
    uint32_t count = effect->manifest.count, link = effect->link;
    sim_storage_flush(node);
    struct ilea_event_feed *before = describe_all(node, agency);
    bool is_changed = false, is_bad = false;
    for (uint32_t i = 0; i < count && !is_bad; i++) {
        const struct sim_manifest *next = intern(node->world, ilea_manifests_next(&reader));
        is_bad = next == NULL || next->agency != agency;
        if (!is_bad && !node->stubborn && take(node, next)) is_changed = true;
    }
    if (is_changed) {
        sim_say(node->world, node, "takes manifest %lu of %c",
                (unsigned long)sim_trust_newest(node, agency)->manifest.index, (char)('a' + agency));
        apply(node, agency);
        retell(node, agency, before);
    } else {
        free(before);
    }
    if (!is_bad || link == ILEA_NO_LINK) return;
    struct ilea_event blame = { .type = ILEA_EVENT_BLAME, .link = link, .blame = ILEA_ERROR_BAD_SIGNATURE };
    sim_step(node, blame);
}

/* Keep the proof, if it is better than the one kept; and cut what it shows to be doubtful, where the roots
 * said already how the feed ends and the node has not come there. */
static void
keep_proof(struct sim_node *node, struct ilea_span bytes, const struct ilea_fork *fork)
{
    struct sim_world *world = node->world;
    struct sim_feed *feed = sim_find_feed(world, &fork->feed);
    if (feed == NULL) sim_fail(world, node, "proof of a fork of a feed that nobody opened");
    if (!node->follows[feed->author]) return;
    struct sim_log *log = &node->storage.logs[feed->index];
    struct ilea_event_feed *before = describe_all(node, feed->author);
    if (log->proof == NULL || ilea_fork_is_better(fork, &log->proof->fork)) {
        struct sim_proof *proof = malloc(sizeof *proof);
        ilea_assert(proof != NULL);
        memcpy(proof->bytes, bytes.data, bytes.size);
        proof->size = bytes.size;
        proof->fork = *fork;
        world->proofs = sim_grow(world->proofs, world->proof_count, &world->proof_capacity,
                                 sizeof(struct sim_proof *));
        world->proofs[world->proof_count++] = proof;
        log->proof = proof;
        sim_say(world, node, "keeps the proof that feed %u forked at %lu", feed->index,
                (unsigned long)fork->seq);
    }
    struct ilea_position limit;
    bool is_doubtful = limit_of(node, feed, &limit) && log->durable < limit.seq && fork->seq <= log->durable;
    if (is_doubtful) sim_storage_cut(node, feed, (uint32_t)fork->seq - 1);
    retell(node, feed->author, before);
}

void
sim_trust_on_fork(struct sim_node *node, const struct ilea_effect *effect)
{
    struct ilea_fork fork;
    struct ilea_span bytes = effect->fork;
    uint32_t link = effect->link;
    sim_storage_flush(node);
    if (ilea_fork_decode(bytes, &node->world->network, &fork) == ILEA_ERROR_NONE) {
        keep_proof(node, bytes, &fork);
        return;
    }
    if (link == ILEA_NO_LINK) return;
    struct ilea_event blame = { .type = ILEA_EVENT_BLAME, .link = link, .blame = ILEA_ERROR_BAD_SIGNATURE };
    sim_step(node, blame);
}

void
sim_trust_on_fork_found(struct sim_node *node, const struct ilea_effect *effect)
{
    struct sim_world *world = node->world;
    const struct sim_feed *feed = sim_find_feed(world, &effect->fork_found.feed);
    uint64_t seq = effect->fork_found.seq;
    struct ilea_span other = effect->fork_found.commit;
    sim_storage_flush(node);
    if (feed == NULL || seq > node->storage.logs[feed->index].durable) {
        sim_fail(world, node, "FORK_FOUND of what it does not hold");
    }
    const struct sim_commit *own = node->storage.logs[feed->index].commits[seq - 1];
    struct ilea_commit commits[2];
    struct ilea_fork fork;
    uint8_t bytes[ILEA_FORK_SIZE_MAX];
    size_t size = 0;
    enum ilea_error error = ilea_commit_decode((struct ilea_span){ own->bytes, own->size }, &commits[0]);
    ilea_assert(error == ILEA_ERROR_NONE);
    error = ilea_commit_decode(other, &commits[1]);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_fork_encode(&feed->origin, &commits[0], &commits[1], bytes, sizeof bytes, &size);
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_fork_decode((struct ilea_span){ bytes, size }, &world->network, &fork);
    }
    if (error != ILEA_ERROR_NONE) sim_fail(world, node, "FORK_FOUND and no proof: %s", ilea_error_text(error));
    node->forks_found++;
    keep_proof(node, (struct ilea_span){ bytes, size }, &fork);
}

static void
send_written(struct sim_node *node, uint32_t to, const struct ilea_msgpack_writer *writer)
{
    if (writer->failed) sim_fail(node->world, node, "a frame does not fit");
    sim_send(node, to, ilea_msgpack_written(writer));
}

void
sim_trust_send_manifests(struct sim_node *node, const struct ilea_effect *effect)
{
    uint32_t agency = sim_find_agency(node->world, &effect->send_manifests.agency);
    uint64_t from = effect->send_manifests.from, count = effect->send_manifests.count;
    if (agency == SIM_NONE || from == 0 || count == 0 || from + count > node->manifest_counts[agency]) {
        sim_fail(node->world, node, "SEND_MANIFESTS %lu + %lu", (unsigned long)from, (unsigned long)count);
    }
    uint8_t *frame = malloc(ILEA_MESSAGE_SIZE_MAX);
    ilea_assert(frame != NULL);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, frame, ILEA_MESSAGE_SIZE_MAX);
    ilea_message_put_manifests_head(&writer, effect->send_manifests.session, effect->send_manifests.number,
                                    &effect->send_manifests.agency, effect->send_manifests.count);
    for (uint64_t i = from; i < from + count; i++) {
        const struct sim_manifest *manifest = node->manifests[agency][i];
        ilea_msgpack_put_bin(&writer, manifest->bytes, manifest->size);
    }
    send_written(node, effect->link, &writer);
    free(frame);
}

void
sim_trust_send_fork(struct sim_node *node, const struct ilea_effect *effect)
{
    const struct sim_feed *feed = sim_find_feed(node->world, &effect->send_fork.feed);
    const struct sim_proof *proof = feed != NULL ? node->storage.logs[feed->index].proof : NULL;
    if (proof == NULL) sim_fail(node->world, node, "SEND_FORK without a proof");
    uint8_t frame[ILEA_FORK_SIZE_MAX + 64];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, frame, sizeof frame);
    ilea_message_put_fork(&writer, effect->send_fork.session, effect->send_fork.number,
                          (struct ilea_span){ proof->bytes, proof->size });
    send_written(node, effect->link, &writer);
}

enum ilea_error
sim_trust_feed_limit(void *context, const struct ilea_feed_origin *origin, const struct ilea_feed_id *feed,
                     uint64_t *limit_seq, struct ilea_commit_id *limit_id)
{
    const struct sim_node *node = context;
    uint32_t agency = sim_find_agency(node->world, &origin->agency);
    struct ilea_position limit;
    if (agency == SIM_NONE) return ILEA_ERROR_NOT_FOUND;
    bool is_stated = stated_limit(node, agency, origin, feed, &limit);
    if (is_stated && limit.seq == 0) return ILEA_ERROR_NOT_FOUND;
    *limit_seq = limit.seq;
    *limit_id = limit.id;
    return ILEA_ERROR_NONE;
}

static const struct sim_manifest *
find_manifest(const struct sim_node *node, const struct ilea_agency_id *id, uint64_t index)
{
    uint32_t agency = sim_find_agency(node->world, id);
    if (agency == SIM_NONE || index >= node->manifest_counts[agency]) return NULL;
    return node->manifests[agency][index];
}

uint32_t
sim_trust_manifest_size(void *context, const struct ilea_agency_id *agency, uint64_t index)
{
    const struct sim_manifest *manifest = find_manifest(context, agency, index);
    return manifest != NULL ? (uint32_t)manifest->size : 0;
}

bool
sim_trust_manifest_hash(void *context, const struct ilea_agency_id *agency, uint64_t index,
                        uint8_t hash[ILEA_HASH_SIZE])
{
    const struct sim_manifest *manifest = find_manifest(context, agency, index);
    if (manifest == NULL) return false;
    memcpy(hash, manifest->manifest.hash, ILEA_HASH_SIZE);
    return true;
}
