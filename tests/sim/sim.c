#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "tests/sim/archive.h"
#include "tests/sim/audience.h"
#include "tests/sim/byzantine.h"
#include "tests/sim/checks.h"
#include "tests/sim/erase.h"
#include "tests/sim/network.h"
#include "tests/sim/scenario.h"
#include "tests/sim/side.h"
#include "tests/sim/storage.h"
#include "tests/sim/thief.h"
#include "tests/sim/trust.h"
#include "tests/sim/writer.h"

enum { TIMER_REPEATS_MAX = 1000 };

void
sim_say(const struct sim_world *world, const struct sim_node *node, const char *format, ...)
{
    if (!world->verbose) return;
    printf("[%8lu] ", (unsigned long)world->now);
    if (node != NULL) printf("%c ", (char)('a' + node->index));
    va_list arguments;
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

void
sim_fail(const struct sim_world *world, const struct sim_node *node, const char *format, ...)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "FAILED at %lu ms", (unsigned long)world->now);
    if (node != NULL) (void)fprintf(stderr, ", node %c", (char)('a' + node->index));
    (void)fprintf(stderr, ": ");
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "\n");
    abort(); /* main prints how to replay it */
}

/* FNV-1a over words: equal traces, equal runs. */
void
sim_mix(struct sim_world *world, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        uint64_t word = 0;
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(&word, at, part);
        world->trace = (world->trace ^ word) * UINT64_C(0x100000001b3);
        world->trace ^= world->trace >> 29;
        at += part;
        size -= part;
    }
}

void *
sim_grow(void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity) return array;
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    array = realloc(array, *capacity * size);
    ilea_assert(array != NULL);
    return array;
}

static bool
comes_first(const struct sim_event *a, const struct sim_event *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

static void
push(struct sim_world *world, struct sim_event event)
{
    world->heap = sim_grow(world->heap, world->heap_count, &world->heap_capacity, sizeof *world->heap);
    uint32_t at = world->heap_count++;
    while (at > 0 && comes_first(&event, &world->heap[(at - 1) / 2])) {
        world->heap[at] = world->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    world->heap[at] = event;
}

void
sim_push(struct sim_world *world, uint64_t delay, struct sim_event event)
{
    event.time = world->now + delay;
    event.order = world->order++;
    push(world, event);
}

static struct sim_event
pop(struct sim_world *world)
{
    struct sim_event first = world->heap[0], last = world->heap[--world->heap_count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= world->heap_count) break;
        if (child + 1 < world->heap_count
            && comes_first(&world->heap[child + 1], &world->heap[child])) {
            child++;
        }
        if (!comes_first(&world->heap[child], &last)) break;
        world->heap[at] = world->heap[child];
        at = child;
    }
    world->heap[at] = last;
    return first;
}

struct sim_world *
sim_world_new(uint64_t seed, bool verbose)
{
    struct sim_world *world = calloc(1, sizeof *world);
    ilea_assert(world != NULL);
    sim_random_init(&world->random, seed);
    sim_random_use(&world->random);
    world->verbose = verbose;
    world->trace = UINT64_C(0xcbf29ce484222325);
    world->effects = malloc(sizeof *world->effects);
    enum ilea_error error = ilea_commit_builder_new(&world->builder);
    ilea_assert(world->effects != NULL && error == ILEA_ERROR_NONE);
    sim_fill(&world->random, world->network.bytes, sizeof world->network.bytes);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        for (uint32_t j = 0; j < SIM_NODES_MAX; j++) world->link_between[i][j] = SIM_NONE;
    }
    return world;
}

static void
clear_deferred(struct sim_node *node)
{
    for (uint32_t i = 0; i < node->deferred_count; i++) free(node->deferred[i].bytes);
    node->deferred_count = 0;
}

static void
free_node(struct sim_node *node)
{
    clear_deferred(node);
    free(node->deferred);
    free(node->memory);
    sim_storage_free(&node->storage);
    sim_trust_free_node(node);
    ilea_keyring_free(node->ring);
    ilea_sign_secret_free(node->secret);
    ilea_reading_secret_free(node->reading);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) sim_liar_free(&node->liars[i]);
}

void
sim_world_free(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) free_node(&world->nodes[i]);
    for (uint32_t i = 0; i < world->feed_count; i++) sim_feed_free(world->feeds[i]);
    for (uint32_t i = 0; i < world->heap_count; i++) free(world->heap[i].bytes);
    free(world->heap);
    sim_trust_free(world);
    sim_audience_free(world);
    free(world->effects);
    ilea_commit_builder_free(world->builder);
    free(world);
}

void
sim_add_nodes(struct sim_world *world, uint32_t count)
{
    ilea_assert(count <= SIM_NODES_MAX);
    world->node_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct sim_node *node = &world->nodes[i];
        node->world = world;
        node->index = i;
        node->timer_ms = ILEA_TIME_NEVER;
        node->clock_ms = sim_below(&world->random, UINT64_C(1) << (1 + 6 * i));
        node->storage.latency_min = 1;
        node->storage.latency_max = 4;
        node->writer.value_size = 60;
        node->writer.items_max = 4;
        sim_fill(&world->random, node->transport.bytes, sizeof node->transport.bytes);
        enum ilea_error error = ilea_sign_generate(&node->secret, &node->public_key);
        ilea_assert(error == ILEA_ERROR_NONE);
        error = ilea_reading_generate(&node->reading, &node->reading_public);
        ilea_assert(error == ILEA_ERROR_NONE);
        error = ilea_keyring_new(SIM_FEEDS_MAX, &node->ring);
        ilea_assert(error == ILEA_ERROR_NONE);
        sim_trust_found(node);
        ilea_audience_of_peers(&world->network, &node->agency, &node->audience);
        for (uint32_t j = 0; j < count; j++) {
            node->follows[j] = true;
            node->ends[j].relays = true;
        }
    }
    sim_trust_introduce(world);
}

void
sim_add_link(struct sim_world *world, uint32_t dialer, uint32_t listener)
{
    uint32_t at = world->link_count++;
    ilea_assert(at < SIM_LINKS_MAX && dialer != listener);
    world->links[at] = (struct sim_link){ .nodes = { dialer, listener } };
    for (int way = 0; way < 2; way++) {
        world->links[at].ways[way].delay_min = 10;
        world->links[at].ways[way].delay_max = 10;
    }
    world->link_between[dialer][listener] = world->link_between[listener][dialer] = at;
}

bool
sim_is_held(const struct sim_node *node, const struct sim_commit *commit)
{
    const struct sim_log *log = &node->storage.logs[commit->feed->index];
    return commit->seq <= log->count && log->commits[commit->seq - 1] == commit;
}

struct sim_feed *
sim_find_feed(const struct sim_world *world, const struct ilea_feed_id *id)
{
    uint32_t slot = 0;
    memcpy(&slot, id->bytes, sizeof slot);
    for (slot %= SIM_FEED_SLOTS; world->feed_slots[slot] != 0; slot = (slot + 1) % SIM_FEED_SLOTS) {
        struct sim_feed *feed = world->feeds[world->feed_slots[slot] - 1];
        if (memcmp(feed->id.bytes, id->bytes, sizeof id->bytes) == 0) return feed;
    }
    return NULL;
}

uint32_t
sim_find_agency(const struct sim_world *world, const struct ilea_agency_id *id)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (memcmp(world->nodes[i].agency.bytes, id->bytes, sizeof id->bytes) == 0) return i;
    }
    return SIM_NONE;
}

/* What the node holds at seq, durable or not. */
static const struct sim_commit *
held_commit(const struct sim_node *node, const struct ilea_feed_id *id, uint64_t seq)
{
    const struct sim_feed *feed = sim_find_feed(node->world, id);
    if (feed == NULL) return NULL;
    const struct sim_log *log = &node->storage.logs[feed->index];
    return seq == 0 || seq > log->count ? NULL : log->commits[seq - 1];
}

static uint32_t
commit_size(void *context, const struct ilea_feed_id *id, uint64_t seq)
{
    const struct sim_commit *commit = held_commit(context, id, seq);
    return commit != NULL ? sim_erase_size(context, commit) : 0;
}

static bool
commit_id(void *context, const struct ilea_feed_id *feed, uint64_t seq, struct ilea_commit_id *id)
{
    const struct sim_commit *commit = held_commit(context, feed, seq);
    if (commit != NULL) *id = commit->id;
    return commit != NULL;
}

static bool
archived(void *context, const struct ilea_feed_id *id, struct ilea_event_feed *answer)
{
    const struct sim_node *node = context;
    const struct sim_feed *feed = sim_find_feed(node->world, id);
    if (feed == NULL) return false;
    const struct sim_log *log = &node->storage.logs[feed->index];
    if (log->count == 0 && log->proof == NULL) return false;
    sim_trust_describe(node, feed, answer);
    return true;
}

static int
feed_number(const struct sim_world *world, const struct ilea_feed_id *id)
{
    const struct sim_feed *feed = sim_find_feed(world, id);
    return feed != NULL ? (int)feed->index : -1;
}

/* What a frame says, as far as a reader of the log wants to know. */
static void
describe(const struct sim_world *world, const struct ilea_frame *frame, char *text, size_t size)
{
    uint32_t count;
    struct ilea_msgpack_reader reader;
    struct ilea_note note;
    struct ilea_feed_id id;
    struct ilea_commit commit;
    text[0] = '\0';
    if (frame->type == ILEA_MESSAGE_NOTE
        && ilea_notes_decode(frame->body, &count, &reader) == ILEA_ERROR_NONE) {
        ilea_note_next(&reader, &note);
        (void)snprintf(text, size, "%u, first: feed %d seq %lu %s", count,
                       feed_number(world, &note.feed), (unsigned long)note.seq,
                       note.mode == ILEA_NOTE_EAGER ? "eager" : "lazy");
    } else if (frame->type == ILEA_MESSAGE_COMMITS
               && ilea_commits_decode(frame->body, &id, &count, &reader) == ILEA_ERROR_NONE
               && ilea_commit_decode(ilea_commits_next(&reader), &commit) == ILEA_ERROR_NONE) {
        (void)snprintf(text, size, "feed %d seq %lu + %u", feed_number(world, &id),
                       (unsigned long)commit.header.seq, count);
    }
}

static void
say_frame(const struct sim_node *node, uint32_t to, struct ilea_span bytes)
{
    static const char *const names[] = { "",       "HELLO", "BIND",     "FRONTIER", "COMMITS",
                                         "CREDIT", "NOTE",  "MANIFEST", "FORK", "SIDE" };
    struct ilea_frame frame;
    char text[120];
    if (!node->world->verbose || ilea_frame_decode(bytes, &frame) != ILEA_ERROR_NONE) return;
    describe(node->world, &frame, text, sizeof text);
    sim_say(node->world, node, "-> %c %s %u, %zu bytes %s", (char)('a' + to), names[frame.type],
            frame.number, bytes.size, text);
}

void
sim_send(struct sim_node *node, uint32_t to, struct ilea_span frame)
{
    struct sim_world *world = node->world;
    if (to >= world->node_count || world->link_between[node->index][to] == SIM_NONE
        || !node->ends[to].approved) {
        sim_fail(world, node, "an effect names link %u, which does not exist", to);
    }
    if (frame.size > ILEA_MESSAGE_SIZE_MAX) {
        sim_fail(world, node, "a frame of %zu bytes", frame.size);
    }
    sim_mix(world, frame.data, frame.size);
    sim_check_sent(node, to, frame);
    say_frame(node, to, frame);
    if (node->byzantine && !world->faultless) {
        sim_liar_send(node, to, frame.data, frame.size);
    } else {
        sim_network_send(node, to, frame.data, frame.size);
    }
}

static void
send_bind(struct sim_node *node, const struct ilea_effect *effect)
{
    uint8_t frame[256];
    struct ilea_signature signature;
    ilea_sign(node->secret, ILEA_DOMAIN_BIND_SIG, &node->world->network, effect->bind.message,
              &signature);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, frame, sizeof frame);
    ilea_message_put_bind(&writer, effect->bind.session, effect->bind.number, &signature);
    ilea_assert(!writer.failed);
    sim_send(node, effect->link, ilea_msgpack_written(&writer));
}

static void
send_commits(struct sim_node *node, const struct ilea_effect *effect)
{
    struct sim_world *world = node->world;
    const struct sim_feed *feed = sim_find_feed(world, &effect->commits.feed);
    if (feed == NULL) sim_fail(world, node, "SEND_COMMITS of an unknown feed");
    const struct sim_log *log = &node->storage.logs[feed->index];
    uint64_t first = effect->commits.seq_first, count = effect->commits.count;
    if (first == 0 || count == 0 || first + count - 1 > log->durable) {
        sim_fail(world, node, "SEND_COMMITS %lu + %lu of feed %u: %u are durable",
                 (unsigned long)first, (unsigned long)count, feed->index, log->durable);
    }
    uint8_t *frame = malloc(ILEA_MESSAGE_SIZE_MAX), *scratch = malloc(ILEA_COMMIT_SIZE_MAX);
    ilea_assert(frame != NULL && scratch != NULL);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, frame, ILEA_MESSAGE_SIZE_MAX);
    ilea_message_put_commits_head(&writer, effect->commits.session, effect->commits.number,
                                  &feed->id, effect->commits.count);
    for (uint64_t seq = first; seq < first + count; seq++) {
        struct ilea_span form = sim_erase_form(node, log->commits[seq - 1], scratch);
        ilea_msgpack_put_bin(&writer, form.data, form.size);
    }
    free(scratch);
    if (writer.failed) sim_fail(world, node, "SEND_COMMITS does not fit a message");
    sim_send(node, effect->link, ilea_msgpack_written(&writer));
    free(frame);
}

static void
store(struct sim_node *node, const struct ilea_effect *effect)
{
    struct sim_world *world = node->world;
    struct sim_feed *feed = sim_find_feed(world, &effect->store.feed);
    if (feed == NULL) sim_fail(world, node, "STORE of a feed that nobody opened");
    if (memcmp(&feed->origin, &effect->store.origin, sizeof feed->origin) != 0) {
        sim_fail(world, node, "STORE of feed %u with a wrong origin", feed->index);
    }
    if (!node->follows[feed->author]) sim_fail(world, node, "STORE of what it does not follow");
    struct sim_commit *commit =
        sim_find_commit(feed, effect->store.seq, &effect->store.id, effect->store.commit);
    if (commit == NULL) {
        commit = sim_erase_find(node, feed, effect->store.seq, &effect->store.id, effect->store.commit);
    }
    if (commit == NULL) {
        sim_fail(world, node, "STORE of feed %u seq %lu, which its author did not make",
                 feed->index, (unsigned long)effect->store.seq);
    }
    if (!node->byzantine && effect->link != ILEA_NO_LINK) {
        sim_check_stored(node, effect->link, effect->store.commit.size);
    }
    sim_storage_put(node, commit, false);
}

static void
repair(struct sim_node *node, const struct ilea_effect *effect)
{
    const struct sim_commit *rotten = node->rotten;
    if (rotten == NULL || memcmp(rotten->feed->id.bytes, effect->repair.feed.bytes, ILEA_ID_SIZE) != 0
        || rotten->seq != effect->repair.seq || rotten->size != effect->repair.commit.size
        || memcmp(rotten->bytes, effect->repair.commit.data, rotten->size) != 0) {
        sim_fail(node->world, node, "REPAIR of what was not damaged, or by something else");
    }
    sim_say(node->world, node, "repairs feed %u seq %lu", rotten->feed->index, (unsigned long)rotten->seq);
    node->rotten = NULL;
}

static void
reincarnate(struct sim_node *node, const struct ilea_effect *effect)
{
    struct sim_feed *feed = sim_find_feed(node->world, &effect->reincarnate.feed);
    if (feed == NULL || feed->author != node->index) {
        sim_fail(node->world, node, "REINCARNATE of a feed that is not ours");
    }
    node->reincarnations++;
    sim_say(node->world, node, "feed %u is taken: a new incarnation", feed->index);
    if (node->writer.feed == feed) sim_writer_abandon(node);
}

static void
tell_trace(struct sim_node *node, const struct ilea_effect *effect)
{
    static const char *const names[] = { "ready", "ended", "diverged", "refused", "waits" };
    if (effect->trace.what == ILEA_TRACE_SESSION_READY) node->sessions++;
    if (effect->trace.what == ILEA_TRACE_DIVERGED) node->diverged++;
    if (effect->trace.what == ILEA_TRACE_REFUSED) node->refused++;
    sim_say(node->world, node, "%s %c %s feed %d", names[effect->trace.what],
            effect->link == ILEA_NO_LINK ? '-' : (char)('a' + effect->link), ilea_error_text(effect->trace.error),
            feed_number(node->world, &effect->trace.feed));
}

static void
note_imported(struct sim_node *node, const struct ilea_imported *imported)
{
    node->imported.taken += imported->taken;
    node->imported.known += imported->known;
    node->imported.refused += imported->refused;
    node->imported.waiting += imported->waiting;
}

static void
perform(struct sim_node *node, const struct ilea_effect *effect)
{
    switch (effect->type) {
    case ILEA_EFFECT_SEND: sim_send(node, effect->link, effect->send); break;
    case ILEA_EFFECT_SEND_BIND: send_bind(node, effect); break;
    case ILEA_EFFECT_SEND_COMMITS: send_commits(node, effect); break;
    case ILEA_EFFECT_SEND_MANIFESTS: sim_trust_send_manifests(node, effect); break;
    case ILEA_EFFECT_SEND_FORK: sim_trust_send_fork(node, effect); break;
    case ILEA_EFFECT_MANIFEST: sim_trust_on_manifests(node, effect); break;
    case ILEA_EFFECT_FORK: sim_trust_on_fork(node, effect); break;
    case ILEA_EFFECT_FORK_FOUND: sim_trust_on_fork_found(node, effect); break;
    case ILEA_EFFECT_IMPORTED: note_imported(node, &effect->imported); break;
    case ILEA_EFFECT_SIDE: sim_side_came(node, effect); break;
    case ILEA_EFFECT_STORE: store(node, effect); break;
    case ILEA_EFFECT_REPAIR: repair(node, effect); break;
    case ILEA_EFFECT_LINK_RESET:
        sim_say(node->world, node, "resets link %c", (char)('a' + effect->link));
        sim_network_reset(node->world, node->world->link_between[node->index][effect->link]);
        break;
    case ILEA_EFFECT_REINCARNATE: reincarnate(node, effect); break;
    case ILEA_EFFECT_TRACE: tell_trace(node, effect); break;
    }
}

static bool
is_judged(const struct ilea_effect *effect)
{
    return effect->type == ILEA_EFFECT_MANIFEST || effect->type == ILEA_EFFECT_FORK
        || effect->type == ILEA_EFFECT_FORK_FOUND || effect->type == ILEA_EFFECT_SIDE;
}

static void
set_timer(struct sim_node *node)
{
    struct sim_world *world = node->world;
    uint64_t deadline = ilea_replicator_deadline(node->replicator);
    if (deadline == ILEA_TIME_NEVER) {
        node->timer_ms = ILEA_TIME_NEVER;
        return;
    }
    uint64_t at = deadline < world->now + node->clock_ms ? world->now : deadline - node->clock_ms;
    if (at == node->timer_ms && at > world->now) return; /* it is set */
    node->timer_ms = at;
    sim_push(world, at - world->now, (struct sim_event){ .kind = SIM_TIMER, .node = node->index,
                                                         .run = node->run, .generation = at });
}

void
sim_step(struct sim_node *node, struct ilea_event event)
{
    struct sim_world *world = node->world;
    event.now_ms = world->now + node->clock_ms;
    sim_fill(&world->random, event.random, sizeof event.random);
    ilea_replicator_step(node->replicator, &event, world->effects);
    /* What is judged comes last, and leads to more steps, which use the same effects. */
    uint32_t count = world->effects->count;
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_effect effect = world->effects->items[i];
        if (i + 1 < count && is_judged(&effect)) sim_fail(world, node, "more effects after one to be judged");
        perform(node, &effect);
    }
    set_timer(node);
}

void
sim_tell_agency(struct sim_node *node, uint32_t other)
{
    const struct ilea_manifest *newest = &sim_trust_newest(node, other)->manifest;
    struct ilea_event event = { .type = ILEA_EVENT_AGENCY };
    event.agency.id = node->world->nodes[other].agency;
    event.agency.node = newest->node;
    event.agency.followed = node->follows[other];
    event.agency.manifest_index = newest->index;
    memcpy(event.agency.manifest_hash, newest->hash, sizeof newest->hash);
    sim_archive_describe(node, other, &event.agency.archive);
    sim_step(node, event);
}

void
sim_tell_feed(struct sim_node *node, const struct sim_feed *feed)
{
    struct ilea_event event = { .type = ILEA_EVENT_FEED };
    sim_trust_describe(node, feed, &event.feed);
    sim_step(node, event);
}

static void
tell_feeds(struct sim_node *node)
{
    for (uint32_t i = 0; i < node->world->feed_count; i++) {
        const struct sim_log *log = &node->storage.logs[i];
        if ((log->durable > 0 && !log->archived) || log->proof != NULL) sim_tell_feed(node, node->world->feeds[i]);
    }
}

static void
tell_peer(struct sim_node *node, uint32_t other, bool approved)
{
    node->ends[other].approved = approved;
    struct ilea_event event = { .type = ILEA_EVENT_PEER, .link = other };
    event.peer.agency = node->world->nodes[other].agency;
    event.peer.transport = node->world->nodes[other].transport;
    event.peer.approved = approved;
    event.peer.relays = node->ends[other].relays;
    sim_step(node, event);
}

void
sim_node_start(struct sim_node *node)
{
    struct sim_world *world = node->world;
    ilea_assert(!node->up);
    node->up = true;
    node->memory = calloc(1, ilea_replicator_size());
    ilea_assert(node->memory != NULL);
    const struct ilea_replicator_config config = {
        .network = world->network, .agency = node->agency, .node = node->public_key,
        .transport = node->transport,
        .log = { .commit_size = commit_size, .commit_id = commit_id, .feed_limit = sim_trust_feed_limit,
                 .archived = archived, .archived_next = sim_archive_next, .entitled = sim_audience_entitled,
                 .holds = sim_audience_holds, .erased = sim_erase_explains,
                 .manifest_size = sim_trust_manifest_size, .manifest_hash = sim_trust_manifest_hash,
                 .context = node } };
    node->replicator = ilea_replicator_init(node->memory, &config);
    sim_trust_apply_all(node);
    for (uint32_t i = 0; i < world->node_count; i++) sim_tell_agency(node, i);
    sim_writer_resume(node);
    tell_feeds(node);
    sim_erase_resume(node);
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world->link_between[node->index][i] == SIM_NONE) continue;
        tell_peer(node, i, true);
    }
    sim_side_start(node);
}

void
sim_node_stop(struct sim_node *node)
{
    struct sim_world *world = node->world;
    if (!node->up) return;
    node->up = false;
    node->run++;
    node->timer_ms = ILEA_TIME_NEVER;
    clear_deferred(node);
    sim_storage_crash(node);
    free(node->memory);
    node->memory = NULL;
    node->replicator = NULL;
    for (uint32_t i = 0; i < world->node_count; i++) {
        uint32_t link = world->link_between[node->index][i];
        if (link != SIM_NONE) sim_network_reset(world, link);
    }
}

void
sim_follow(struct sim_node *node, uint32_t other, bool followed)
{
    node->follows[other] = followed;
    if (!node->up) return;
    sim_tell_agency(node, other);
}

void
sim_approve(struct sim_node *node, uint32_t other, bool approved)
{
    if (!node->up) return; /* it approves all when it starts */
    tell_peer(node, other, approved);
    sim_network_reset(node->world, node->world->link_between[node->index][other]);
}

void
sim_start(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) sim_node_start(&world->nodes[i]);
    for (uint32_t i = 0; i < world->link_count; i++) {
        sim_push(world, sim_below(&world->random, 50),
                 (struct sim_event){ .kind = SIM_CONNECT, .link = i });
    }
}

static uint32_t
other_end(const struct sim_world *world, const struct sim_event *event)
{
    const struct sim_link *link = &world->links[event->link];
    return link->nodes[0] == event->node ? link->nodes[1] : link->nodes[0];
}

static void
deliver(struct sim_node *node, const struct sim_event *event)
{
    struct sim_world *world = node->world;
    const struct sim_link *link = &world->links[event->link];
    if (event->generation != link->generation && !event->stale) return; /* lost in a reset */
    uint32_t from = other_end(world, event);
    struct ilea_event message = { .type = ILEA_EVENT_MESSAGE, .link = from };
    message.message = (struct ilea_span){ event->bytes, event->size };
    sim_mix(world, event->bytes, event->size);
    sim_check_received(node, from, message.message);
    sim_step(node, message);
}

static void
on_timer(struct sim_node *node, const struct sim_event *event)
{
    if (event->generation != node->timer_ms) return; /* set anew since */
    node->timer_ms = ILEA_TIME_NEVER;
    sim_step(node, (struct ilea_event){ .type = ILEA_EVENT_TIMER });
    node->timer_repeats = node->timer_ms == node->world->now ? node->timer_repeats + 1 : 0;
    if (node->timer_repeats > TIMER_REPEATS_MAX) {
        sim_fail(node->world, node, "the timer is set to now for ever");
    }
}

static void
on_link(struct sim_node *node, const struct sim_event *event)
{
    enum ilea_event_type type = ILEA_EVENT_LINK_DOWN;
    if (event->kind == SIM_LINK_UP) {
        if (event->generation != node->world->links[event->link].generation) return;
        type = ILEA_EVENT_LINK_UP;
    }
    sim_step(node, (struct ilea_event){ .type = type, .link = other_end(node->world, event) });
}

static void
restart(struct sim_node *node)
{
    if (node->up) return;
    sim_say(node->world, node, "starts");
    sim_node_start(node);
}

static void
calm(struct sim_world *world)
{
    sim_say(world, NULL, "calm");
    world->calm = true;
    sim_network_calm(world);
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct sim_node *node = &world->nodes[i];
        node->storage.latency_max = 20;
        node->storage.latency_min = 1;
        restart(node);
    }
}

static void
defer(struct sim_node *node, struct sim_event *event)
{
    if (node->deferred_count == node->deferred_capacity) {
        node->deferred_capacity = node->deferred_capacity == 0 ? 16 : node->deferred_capacity * 2;
        node->deferred = realloc(node->deferred, node->deferred_capacity * sizeof *node->deferred);
        ilea_assert(node->deferred != NULL);
    }
    node->deferred[node->deferred_count++] = *event;
    event->bytes = NULL;
}

static void
hear(struct sim_node *node, const struct sim_event *event)
{
    switch ((int)event->kind) {
    case SIM_DELIVER: deliver(node, event); break;
    case SIM_TIMER: on_timer(node, event); break;
    case SIM_WRITE: sim_write(node); break;
    case SIM_ROTATE: sim_rotate(node); break;
    case SIM_SIDE: sim_side_tick(node); break;
    case SIM_AUDIENCE: sim_audience_act(node); break;
    default: on_link(node, event); break;
    }
}

/* What waited for a sync to end, in order, until the next sync. */
static void
hear_deferred(struct sim_node *node)
{
    uint32_t heard = 0;
    if (node->deferred_count == 0) return;
    while (heard < node->deferred_count && !sim_storage_is_blocking(node)) {
        hear(node, &node->deferred[heard]);
        free(node->deferred[heard++].bytes);
    }
    node->deferred_count -= heard;
    memmove(node->deferred, node->deferred + heard, node->deferred_count * sizeof *node->deferred);
}

/* A node that is down, or was started anew since, hears nothing; one in a sync hears it later. */
static void
dispatch_to_node(struct sim_world *world, struct sim_event *event)
{
    struct sim_node *node = &world->nodes[event->node];
    bool of_a_run = event->kind == SIM_SYNC || event->kind == SIM_SIDE || event->kind == SIM_TIMER;
    if (!node->up || (of_a_run && event->run != node->run)) return;
    if (event->kind == SIM_SYNC && event->generation != node->storage.sync_number) return;
    if (event->kind == SIM_SYNC) {
        sim_storage_synced(node);
        hear_deferred(node);
    } else if (sim_storage_is_blocking(node)) {
        defer(node, event);
    } else {
        hear(node, event);
    }
}

static void
dispatch(struct sim_world *world, struct sim_event *event)
{
    switch (event->kind) {
    case SIM_DELIVER:
    case SIM_TIMER:
    case SIM_SYNC:
    case SIM_LINK_UP:
    case SIM_LINK_DOWN:
    case SIM_ROTATE:
    case SIM_SIDE:
    case SIM_AUDIENCE:
    case SIM_WRITE: dispatch_to_node(world, event); break;
    case SIM_CONNECT: sim_network_connect(world, event->link); break;
    case SIM_RESET:
        if (!world->calm) sim_network_reset(world, event->link);
        break;
    case SIM_CRASH: sim_fault_crash(world, event); break;
    case SIM_RESTART: restart(&world->nodes[event->node]); break;
    case SIM_RESTORE: sim_fault_restore(world, event); break;
    case SIM_CUT:
        if (!world->calm) world->links[event->link].ways[event->way].cut = true;
        break;
    case SIM_HEAL: world->links[event->link].ways[event->way].cut = false; break;
    case SIM_FOLLOW:
        sim_follow(&world->nodes[event->node], event->way, event->run != 0);
        break;
    case SIM_APPROVE:
        sim_approve(&world->nodes[event->node], event->way, event->run != 0);
        break;
    case SIM_ROB: sim_thief_act(&world->nodes[event->node], event->way, (enum sim_deed)event->run); break;
    case SIM_RECOVER: sim_recover(&world->nodes[event->node]); break;
    case SIM_CALM: calm(world); break;
    }
}

void
sim_run_until(struct sim_world *world, uint64_t time)
{
    while (world->heap_count > 0 && world->heap[0].time <= time) {
        struct sim_event event = pop(world);
        ilea_assert(event.time >= world->now);
        world->now = event.time;
        world->event_count++;
        const uint64_t words[4] = { event.time, (uint64_t)event.kind, event.node, event.size };
        sim_mix(world, words, sizeof words);
        dispatch(world, &event);
        free(event.bytes);
    }
    world->now = time;
}
