#include "tests/sim/byzantine.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/item.h"
#include "tests/sim/network.h"
#include "tests/sim/side.h"
#include "tests/sim/writer.h"

static const uint8_t no_session[ILEA_SESSION_ID_SIZE];

/* Number the frame as the next of its session and send it. */
static void
send_numbered(struct sim_node *node, uint32_t to, uint8_t *bytes, size_t size)
{
    struct sim_liar *liar = &node->liars[to];
    if (size >= ILEA_FRAME_HEADER_SIZE && memcmp(bytes, no_session, sizeof no_session) != 0) {
        uint32_t number = ++liar->number;
        for (int i = 0; i < 4; i++) bytes[8 + i] = (uint8_t)(number >> (24 - 8 * i));
    }
    sim_network_send(node, to, bytes, size);
}

static void
remember(struct sim_liar *liar, const uint8_t *bytes, size_t size)
{
    uint32_t at = liar->past_next++ % SIM_PAST_FRAMES;
    free(liar->past[at]);
    liar->past[at] = malloc(size);
    ilea_assert(liar->past[at] != NULL);
    memcpy(liar->past[at], bytes, size);
    liar->past_size[at] = size;
}

/* A frame of the link's session that the replicator did not want. */
static void
begin(struct sim_node *node, uint32_t to, enum ilea_message_type type, uint8_t *bytes, size_t size,
      struct ilea_msgpack_writer *writer)
{
    ilea_msgpack_writer_init(writer, bytes, size);
    ilea_message_put_header(writer, node->liars[to].session, 0, type);
}

static void
send_written(struct sim_node *node, uint32_t to, uint8_t *bytes, struct ilea_msgpack_writer *writer)
{
    if (!writer->failed) send_numbered(node, to, bytes, writer->size);
}

static uint64_t
some_seq(struct sim_random *random)
{
    static const uint64_t seqs[] = { 1, 2, 5, 1000, UINT64_C(1) << 40, UINT64_MAX };
    return seqs[sim_below(random, sizeof seqs / sizeof seqs[0])];
}

/* An id of a feed that exists, or of none. */
static struct ilea_feed_id
some_feed(struct sim_world *world)
{
    struct ilea_feed_id id;
    if (world->feed_count > 0 && sim_chance(&world->random, 700)) {
        return world->feeds[sim_below(&world->random, world->feed_count)]->id;
    }
    sim_fill(&world->random, id.bytes, sizeof id.bytes);
    return id;
}

static const struct ilea_agency_id *
some_agency(struct sim_world *world)
{
    return &world->nodes[sim_below(&world->random, world->node_count)].agency;
}

/* A list that claims to hold much of many feeds, or nothing. */
static void
lie_frontier(struct sim_node *node, uint32_t to)
{
    struct sim_world *world = node->world;
    uint8_t bytes[32 * 1024];
    struct ilea_msgpack_writer writer;
    begin(node, to, ILEA_MESSAGE_FRONTIER, bytes, sizeof bytes, &writer);
    ilea_msgpack_put_array(&writer, 4);
    ilea_msgpack_put_uint(&writer, 1);
    ilea_msgpack_put_uint(&writer, sim_chance(&world->random, 900) ? 1 : 0);
    ilea_msgpack_put_array(&writer, world->node_count);
    for (uint32_t i = 0; i < world->node_count; i++) {
        ilea_msgpack_put_bin(&writer, world->nodes[i].agency.bytes, 32);
    }
    uint32_t groups = (uint32_t)sim_below(&world->random, 4);
    ilea_msgpack_put_array(&writer, groups);
    for (uint32_t i = 0; i < groups; i++) {
        uint8_t hash[ILEA_HASH_SIZE];
        struct ilea_archive archive = { .count = sim_below(&world->random, 3) };
        sim_fill(&world->random, hash, sizeof hash);
        ilea_message_put_group_head(&writer, some_agency(world), sim_below(&world->random, 3), hash, &archive);
        uint32_t forks = (uint32_t)sim_below(&world->random, 4);
        ilea_msgpack_put_array(&writer, forks);
        for (uint32_t j = 0; j < forks; j++) {
            struct ilea_feed_id feed = some_feed(world);
            ilea_msgpack_put_array(&writer, 2);
            ilea_msgpack_put_bin(&writer, feed.bytes, sizeof feed.bytes);
            ilea_msgpack_put_bin(&writer, hash, sizeof hash);
        }
        uint32_t count = (uint32_t)sim_below(&world->random, 90);
        ilea_msgpack_put_array(&writer, count);
        for (uint32_t j = 0; j < count; j++) {
            struct ilea_feed_id feed = some_feed(world);
            struct ilea_commit_id head;
            sim_fill(&world->random, head.bytes, sizeof head.bytes);
            ilea_message_put_position(&writer, &feed, some_seq(&world->random), &head);
        }
    }
    send_written(node, to, bytes, &writer);
}

static void
lie_notes(struct sim_node *node, uint32_t to)
{
    struct sim_world *world = node->world;
    uint8_t bytes[16 * 1024];
    struct ilea_msgpack_writer writer;
    begin(node, to, ILEA_MESSAGE_NOTE, bytes, sizeof bytes, &writer);
    uint32_t count = 1 + (uint32_t)sim_below(&world->random, 90);
    ilea_msgpack_put_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_note note = { .feed = some_feed(world), .seq = some_seq(&world->random),
                                  .has_agency = sim_chance(&world->random, 500),
                                  .agency = *some_agency(world) };
        note.mode = sim_chance(&world->random, 500) ? ILEA_NOTE_EAGER : ILEA_NOTE_LAZY;
        ilea_message_put_note(&writer, &note);
    }
    send_written(node, to, bytes, &writer);
}

static void
lie_credit(struct sim_node *node, uint32_t to)
{
    struct sim_world *world = node->world;
    uint8_t bytes[1024];
    struct ilea_msgpack_writer writer;
    begin(node, to, ILEA_MESSAGE_CREDIT, bytes, sizeof bytes, &writer);
    ilea_msgpack_put_array(&writer, 2);
    ilea_msgpack_put_uint(&writer, sim_chance(&world->random, 500) ? some_seq(&world->random)
                                                                   : 3 * ILEA_CREDIT_WINDOW);
    ilea_msgpack_put_array(&writer, 1);
    struct ilea_feed_id feed = some_feed(world);
    ilea_message_put_position(&writer, &feed, some_seq(&world->random), NULL);
    send_written(node, to, bytes, &writer);
}

static void
babble(struct sim_node *node, uint32_t to)
{
    struct sim_random *random = &node->world->random;
    uint8_t bytes[400];
    sim_fill(random, bytes, sizeof bytes);
    memcpy(bytes, node->liars[to].session, ILEA_SESSION_ID_SIZE);
    if (sim_chance(random, 700)) bytes[12] = (uint8_t)sim_between(random, 0, ILEA_MESSAGE_LAST + 2);
    send_numbered(node, to, bytes, sim_between(random, 1, sizeof bytes));
}

/* COMMITS of one commit. */
static void
send_commit(struct sim_node *node, uint32_t to, const struct sim_commit *commit, bool spoil)
{
    uint8_t *bytes = malloc(ILEA_MESSAGE_SIZE_MAX);
    ilea_assert(bytes != NULL);
    struct ilea_msgpack_writer writer;
    begin(node, to, ILEA_MESSAGE_COMMITS, bytes, ILEA_MESSAGE_SIZE_MAX, &writer);
    ilea_msgpack_put_array(&writer, 2);
    ilea_msgpack_put_bin(&writer, commit->feed->id.bytes, 32);
    ilea_msgpack_put_array(&writer, 1);
    ilea_msgpack_put_bin(&writer, commit->bytes, commit->size);
    if (spoil) bytes[writer.size - 1 - sim_below(&node->world->random, commit->size)] ^= 4;
    send_written(node, to, bytes, &writer);
    free(bytes);
}

/* A commit of its own feed on top of nothing that exists, or beside the one that is known. */
static void
forge(struct sim_node *node, uint32_t to, bool fork)
{
    struct sim_random *random = &node->world->random;
    struct sim_feed *feed = node->writer.feed;
    if (feed == NULL || feed->count < 2) return;
    const struct sim_log *log = &node->storage.logs[feed->index];
    if (log->count < 2) return;
    uint64_t seq = fork ? sim_between(random, 2, log->count) : log->count + 1u;
    struct ilea_commit_id prev = log->commits[seq - 2]->id;
    if (!fork) sim_fill(random, prev.bytes, sizeof prev.bytes);
    if (seq > feed->count + 1u) return;
    struct sim_commit *commit = sim_writer_forge(node, seq, &prev);
    feed->forked = true;
    send_commit(node, to, commit, false);
}

/* A commit of anybody's feed, damaged; or an opening of a feed that its agency never opened. */
static void
spoil(struct sim_node *node, uint32_t to)
{
    struct sim_world *world = node->world;
    if (world->feed_count == 0) return;
    const struct sim_feed *feed = world->feeds[sim_below(&world->random, world->feed_count)];
    if (feed->count == 0) return;
    send_commit(node, to, feed->commits[sim_below(&world->random, feed->count)], true);
}

static void
replay(struct sim_node *node, uint32_t to)
{
    struct sim_random *random = &node->world->random;
    struct sim_liar *liar = &node->liars[to];
    uint32_t at = (uint32_t)sim_below(random, SIM_PAST_FRAMES);
    if (liar->past[at] == NULL) return;
    uint8_t *bytes = malloc(liar->past_size[at]);
    ilea_assert(bytes != NULL);
    memcpy(bytes, liar->past[at], liar->past_size[at]);
    if (sim_chance(random, 500) && liar->past_size[at] >= ILEA_FRAME_HEADER_SIZE) {
        memcpy(bytes, liar->session, sizeof liar->session);
        send_numbered(node, to, bytes, liar->past_size[at]);
    } else {
        sim_network_send(node, to, bytes, liar->past_size[at]);
    }
    free(bytes);
}

/* More data than was granted: the same commits that it holds over and over. */
static void
flood(struct sim_node *node, uint32_t to)
{
    struct sim_world *world = node->world;
    if (world->feed_count == 0) return;
    const struct sim_log *log = &node->storage.logs[sim_below(&world->random, world->feed_count)];
    for (uint32_t i = 0; log->count > 0 && i < 40; i++) send_commit(node, to, log->commits[i % log->count], false);
}

void
sim_liar_push_all(struct sim_node *node, uint32_t to)
{
    const struct sim_feed *feed = node->writer.feed;
    for (uint32_t i = 0; i < feed->count; i++) send_commit(node, to, feed->commits[i], false);
}

/* Manifests and proofs that are none, or are of somebody else; archives that do not exist. */
static void
lie_trust(struct sim_node *node, uint32_t to)
{
    struct sim_world *world = node->world;
    struct sim_random *random = &world->random;
    uint8_t bytes[8 * 1024], noise[64];
    struct ilea_msgpack_writer writer;
    sim_fill(random, noise, sizeof noise);
    struct ilea_span content = { noise, sizeof noise };
    uint32_t some = (uint32_t)sim_below(random, world->manifest_count);
    switch (sim_below(random, 4)) {
    case 0:
        begin(node, to, ILEA_MESSAGE_MANIFEST, bytes, sizeof bytes, &writer);
        ilea_msgpack_put_array(&writer, 2);
        ilea_msgpack_put_bin(&writer, some_agency(world)->bytes, ILEA_ID_SIZE);
        ilea_msgpack_put_array(&writer, 1);
        if (world->manifests[some]->size < 4096 && sim_chance(random, 700)) {
            content = (struct ilea_span){ world->manifests[some]->bytes, world->manifests[some]->size };
        }
        ilea_msgpack_put_bin(&writer, content.data, content.size);
        break;
    case 1:
        begin(node, to, ILEA_MESSAGE_FORK, bytes, sizeof bytes, &writer);
        ilea_msgpack_put_array(&writer, 1);
        if (world->proof_count > 0) {
            const struct sim_proof *proof = world->proofs[sim_below(random, world->proof_count)];
            content = (struct ilea_span){ proof->bytes, proof->size };
        }
        ilea_msgpack_put_bin(&writer, content.data, content.size);
        break;
    case 2: {
        struct ilea_frontier_ask ask = { .agency = *some_agency(world), .has_sums = sim_chance(random, 500),
                                         .has_after = sim_chance(random, 500), .after = some_feed(world) };
        begin(node, to, ILEA_MESSAGE_FRONTIER, bytes, sizeof bytes, &writer);
        ilea_message_put_ask(&writer, &ask);
        break;
    }
    default:
        begin(node, to, ILEA_MESSAGE_FRONTIER, bytes, sizeof bytes, &writer);
        ilea_msgpack_put_array(&writer, 4);
        ilea_msgpack_put_uint(&writer, ILEA_FRONTIER_ARCHIVE);
        ilea_msgpack_put_bin(&writer, some_agency(world)->bytes, ILEA_ID_SIZE);
        ilea_msgpack_put_uint(&writer, sim_below(random, 2));
        ilea_msgpack_put_array(&writer, 1);
        struct ilea_feed_id feed = some_feed(world);
        struct ilea_commit_id head;
        memcpy(head.bytes, noise, sizeof head.bytes);
        ilea_message_put_position(&writer, &feed, some_seq(random), &head);
        break;
    }
    send_written(node, to, bytes, &writer);
}

static void
lie_side(struct sim_node *node, uint32_t to)
{
    uint8_t *bytes = malloc(ILEA_MESSAGE_SIZE_MAX);
    ilea_assert(bytes != NULL);
    struct ilea_msgpack_writer writer;
    begin(node, to, ILEA_MESSAGE_SIDE, bytes, ILEA_MESSAGE_SIZE_MAX, &writer);
    sim_side_lie(node->world, &writer);
    send_written(node, to, bytes, &writer);
    free(bytes);
}

static void
misbehave(struct sim_node *node, uint32_t to)
{
    struct sim_random *random = &node->world->random;
    uint32_t habit = 1u << sim_below(random, 9);
    switch (node->liars[to].habits & habit) {
    case SIM_REPLAYS: replay(node, to); break;
    case SIM_FORGES:
        if (sim_chance(random, 500)) {
            spoil(node, to);
        } else {
            forge(node, to, false);
        }
        break;
    case SIM_FORKS: forge(node, to, true); break;
    case SIM_LIES_FRONTIER: lie_frontier(node, to); break;
    case SIM_BREAKS_CREDIT:
        if (sim_chance(random, 500)) {
            flood(node, to);
        } else {
            lie_credit(node, to);
        }
        break;
    case SIM_BABBLES:
        if (sim_chance(random, 300)) {
            lie_side(node, to);
        } else if (sim_chance(random, 500)) {
            babble(node, to);
        } else {
            lie_notes(node, to);
        }
        break;
    case SIM_LIES_TRUST: lie_trust(node, to); break;
    default: break;
    }
}

/* COMMITS of somebody else's feed: the peer gets in its place what says nothing, so that no number is missing. */
static bool
hide(struct sim_node *node, uint32_t to, const uint8_t *frame, size_t size)
{
    struct ilea_frame decoded;
    struct ilea_feed_id id;
    struct ilea_msgpack_reader commits;
    uint32_t count;
    if ((node->liars[to].habits & SIM_HIDES) == 0 || frame[12] != ILEA_MESSAGE_COMMITS) return false;
    if (ilea_frame_decode((struct ilea_span){ frame, size }, &decoded) != ILEA_ERROR_NONE) return false;
    if (ilea_commits_decode(decoded.body, &id, &count, &commits) != ILEA_ERROR_NONE) return false;
    const struct sim_feed *feed = sim_find_feed(node->world, &id);
    if (feed == NULL || feed->author == node->index) return false;
    uint8_t bytes[128];
    struct ilea_msgpack_writer writer;
    struct ilea_note note = { .mode = ILEA_NOTE_LAZY };
    begin(node, to, ILEA_MESSAGE_NOTE, bytes, sizeof bytes, &writer);
    ilea_msgpack_put_array(&writer, 1);
    ilea_message_put_note(&writer, &note);
    send_written(node, to, bytes, &writer);
    return true;
}

/* The commit with its last item left out: it verifies all the same. */
static void
put_blanked(struct ilea_msgpack_writer *writer, struct ilea_span bytes)
{
    static uint8_t blanked[ILEA_COMMIT_SIZE_MAX];
    struct ilea_commit commit;
    struct ilea_msgpack_reader slots;
    struct ilea_msgpack_writer to;
    enum ilea_error error = ilea_commit_decode(bytes, &commit);
    ilea_assert(error == ILEA_ERROR_NONE);
    ilea_msgpack_reader_init(&slots, commit.slots);
    ilea_msgpack_writer_init(&to, blanked, sizeof blanked);
    ilea_msgpack_put_array(&to, 3);
    ilea_msgpack_put_bin(&to, commit.header_bytes.data, commit.header_bytes.size);
    ilea_msgpack_put_bin(&to, commit.signature.bytes, sizeof commit.signature.bytes);
    ilea_msgpack_put_array(&to, commit.header.item_count);
    for (uint32_t i = 0; i < commit.header.item_count; i++) {
        struct ilea_span slot = ilea_slot_next(&slots);
        uint8_t leaf[ILEA_HASH_SIZE];
        ilea_item_leaf(i, slot, leaf);
        bool is_last = i + 1 == commit.header.item_count && i > 0;
        ilea_msgpack_put_bin(&to, is_last ? leaf : slot.data, is_last ? sizeof leaf : slot.size);
    }
    ilea_assert(!to.failed);
    ilea_msgpack_put_bin(writer, blanked, to.size);
}

static bool
blank(struct sim_node *node, uint32_t to, const uint8_t *frame, size_t size)
{
    struct ilea_frame decoded;
    struct ilea_feed_id id;
    struct ilea_msgpack_reader commits;
    uint32_t count;
    if ((node->liars[to].habits & SIM_BLANKS) == 0 || frame[12] != ILEA_MESSAGE_COMMITS) return false;
    if (ilea_frame_decode((struct ilea_span){ frame, size }, &decoded) != ILEA_ERROR_NONE) return false;
    if (ilea_commits_decode(decoded.body, &id, &count, &commits) != ILEA_ERROR_NONE) return false;
    const struct sim_feed *feed = sim_find_feed(node->world, &id);
    if (feed == NULL || feed->author == node->index) return false;
    uint8_t *bytes = malloc(ILEA_MESSAGE_SIZE_MAX);
    ilea_assert(bytes != NULL);
    struct ilea_msgpack_writer writer;
    begin(node, to, ILEA_MESSAGE_COMMITS, bytes, ILEA_MESSAGE_SIZE_MAX, &writer);
    ilea_msgpack_put_array(&writer, 2);
    ilea_msgpack_put_bin(&writer, id.bytes, sizeof id.bytes);
    ilea_msgpack_put_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) put_blanked(&writer, ilea_commits_next(&commits));
    send_written(node, to, bytes, &writer);
    free(bytes);
    return true;
}

void
sim_liar_send(struct sim_node *node, uint32_t to, const uint8_t *frame, size_t size)
{
    struct sim_random *random = &node->world->random;
    struct sim_liar *liar = &node->liars[to];
    bool hello = memcmp(frame, no_session, sizeof no_session) == 0;
    if (!hello && memcmp(frame, liar->session, sizeof liar->session) != 0) {
        memcpy(liar->session, frame, sizeof liar->session);
        liar->number = 0;
    }
    remember(liar, frame, size);
    if (hide(node, to, frame, size) || blank(node, to, frame, size)) return;
    bool withheld = (liar->habits & SIM_WITHHOLDS) != 0 && sim_chance(random, 300)
                    && (frame[12] == ILEA_MESSAGE_COMMITS || frame[12] == ILEA_MESSAGE_CREDIT);
    uint8_t *bytes = malloc(size);
    ilea_assert(bytes != NULL);
    memcpy(bytes, frame, size);
    if ((liar->habits & SIM_FLIPS) != 0 && sim_chance(random, 40)) {
        bytes[sim_below(random, size)] ^= (uint8_t)(1u << sim_below(random, 8));
    }
    if (!withheld) send_numbered(node, to, bytes, size);
    free(bytes);
    bool bound = !hello && liar->number > 1;
    if (bound && sim_chance(random, 150)) misbehave(node, to);
}

void
sim_liar_free(struct sim_liar *liar)
{
    for (uint32_t i = 0; i < SIM_PAST_FRAMES; i++) free(liar->past[i]);
}
