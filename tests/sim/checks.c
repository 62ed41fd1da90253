#include "tests/sim/checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "tests/sim/audience.h"
#include "tests/sim/erase.h"
#include "tests/sim/side.h"
#include "tests/sim/trust.h"
#include "tests/sim/view.h"

enum { REST_MS = 60000, MINUTE_MS = 60000, QUIET_BYTES = 700 };

/* Both ends let the author's feeds over the link. */
static bool
carries(const struct sim_world *world, uint32_t author, uint32_t a, uint32_t b)
{
    if (author == a || author == b) return true;
    return world->nodes[a].ends[b].relays && world->nodes[b].ends[a].relays;
}

bool
sim_is_carried(const struct sim_world *world, uint32_t author, uint32_t a, uint32_t b)
{
    uint32_t link = world->link_between[a][b];
    return link != SIM_NONE && !world->links[link].severed && !world->nodes[a].byzantine && !world->nodes[b].byzantine
        && world->nodes[a].follows[author] && world->nodes[b].follows[author] && carries(world, author, a, b);
}

bool
sim_can_reach(const struct sim_world *world, uint32_t author, uint32_t from, uint32_t to)
{
    bool reached[SIM_NODES_MAX] = { false };
    uint32_t queue[SIM_NODES_MAX], head = 0, tail = 0;
    if (world->nodes[from].byzantine || !world->nodes[from].follows[author]) return false;
    reached[from] = true;
    queue[tail++] = from;
    while (head < tail) {
        uint32_t at = queue[head++];
        for (uint32_t i = 0; i < world->node_count; i++) {
            const struct sim_node *node = &world->nodes[i];
            uint32_t link = world->link_between[at][i];
            if (reached[i] || link == SIM_NONE || world->links[link].severed || node->byzantine
                || !node->follows[author] || !carries(world, author, at, i)) {
                continue;
            }
            reached[i] = true;
            queue[tail++] = i;
        }
    }
    return reached[to];
}

/* What a node tells of a feed is durable there, and is what it holds. */
static void
check_position(struct sim_node *node, const struct ilea_feed_id *id, uint64_t seq,
               const struct ilea_commit_id *head)
{
    const struct sim_feed *feed = sim_find_feed(node->world, id);
    if (feed == NULL && seq == 0) return; /* announced to it by a liar */
    if (feed == NULL) sim_fail(node->world, node, "tells %lu of no feed", (unsigned long)seq);
    const struct sim_log *log = &node->storage.logs[feed->index];
    if (seq > log->durable) {
        sim_fail(node->world, node, "tells %lu of feed %u: %u are durable", (unsigned long)seq,
                 feed->index, log->durable);
    }
    if (head != NULL && memcmp(log->commits[seq - 1]->id.bytes, head->bytes, 32) != 0) {
        sim_fail(node->world, node, "tells another head of feed %u", feed->index);
    }
}

static void
check_positions(struct sim_node *node, struct ilea_msgpack_reader *reader, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_position position;
        ilea_position_get(reader, &position);
        check_position(node, &position.feed, position.seq, &position.id);
    }
}

static void
check_frontier(struct sim_node *node, struct ilea_span body)
{
    struct ilea_frontier frontier;
    if (ilea_frontier_decode(body, &frontier) != ILEA_ERROR_NONE) {
        sim_fail(node->world, node, "sends a FRONTIER that does not decode");
    }
    if (frontier.form == ILEA_FRONTIER_ARCHIVE) {
        check_positions(node, &frontier.archive.entries, frontier.archive.entry_count);
    }
    if (frontier.form != ILEA_FRONTIER_LIST) return;
    for (uint32_t i = 0; i < frontier.list.group_count; i++) {
        struct ilea_frontier_group group;
        ilea_frontier_group_next(&frontier.list.groups, &group);
        check_positions(node, &group.entries, group.entry_count);
    }
}

static void
check_credit(struct sim_node *node, struct sim_end *end, struct ilea_span body)
{
    struct ilea_credit credit;
    if (ilea_credit_decode(body, &credit) != ILEA_ERROR_NONE) {
        sim_fail(node->world, node, "sends a CREDIT that does not decode");
    }
    end->granted = credit.limit;
    for (uint32_t i = 0; i < credit.position_count; i++) {
        struct ilea_feed_id id;
        uint64_t seq;
        ilea_credit_position_next(&credit.positions, &id, &seq);
        check_position(node, &id, seq, NULL);
    }
}

static void
check_notes(struct sim_node *node, struct ilea_span body)
{
    uint32_t count;
    struct ilea_msgpack_reader notes;
    if (ilea_notes_decode(body, &count, &notes) != ILEA_ERROR_NONE) {
        sim_fail(node->world, node, "sends a NOTE that does not decode");
    }
}

static void
check_data(struct sim_node *node, uint32_t to, struct ilea_span body)
{
    struct ilea_feed_id id;
    uint32_t count;
    struct ilea_msgpack_reader commits;
    if (ilea_commits_decode(body, &id, &count, &commits) != ILEA_ERROR_NONE) {
        sim_fail(node->world, node, "sends COMMITS that do not decode");
    }
    struct sim_end *end = &node->ends[to];
    for (uint32_t i = 0; i < count; i++) end->sent += ilea_commits_next(&commits).size;
    if (end->sent > end->limit) {
        sim_fail(node->world, node, "sends %lu bytes, granted %lu", (unsigned long)end->sent,
                 (unsigned long)end->limit);
    }
}

/* To name a feed of a closed audience is to tell that it is there: its author, who is allowed and who had some of it
 * alone may hear of it. Not looked at: manifests, which name all feeds that a revoked key wrote; what is sealed; what
 * stands in commits. */
static void
check_told(const struct sim_node *node, uint32_t to, const struct ilea_frame *frame)
{
    enum { COMMITS_HEAD = 64 };
    const struct sim_world *world = node->world;
    size_t size = frame->body.size;
    if (frame->type == ILEA_MESSAGE_MANIFEST || frame->type == ILEA_MESSAGE_SIDE) return;
    if (frame->type == ILEA_MESSAGE_COMMITS && size > COMMITS_HEAD) size = COMMITS_HEAD;
    for (uint32_t i = 0; i < world->feed_count; i++) {
        const struct sim_feed *feed = world->feeds[i];
        if (feed->origin.scope != ILEA_SCOPE_AUDIENCE || feed->author == to) continue;
        if (world->nodes[to].storage.logs[i].was_held) continue;
        if (memmem(frame->body.data, size, feed->id.bytes, sizeof feed->id.bytes) == NULL) continue;
        if (!sim_audience_may_tell(node, to, feed)) {
            sim_fail(node->world, node, "tells %c of a closed feed of %c, in a message %u", (char)('a' + to),
                     (char)('a' + feed->author), (unsigned)frame->type);
        }
    }
}

void
sim_check_sent(struct sim_node *node, uint32_t to, struct ilea_span input)
{
    struct ilea_frame frame;
    if (ilea_frame_decode(input, &frame) != ILEA_ERROR_NONE) {
        sim_fail(node->world, node, "sends a frame that does not decode");
    }
    struct sim_end *end = &node->ends[to];
    check_told(node, to, &frame);
    switch (frame.type) {
    case ILEA_MESSAGE_HELLO: break;
    case ILEA_MESSAGE_BIND:
        memcpy(end->session, frame.session, sizeof end->session);
        end->sent = end->limit = end->taken = end->before = end->granted = 0;
        end->number = 0;
        break;
    case ILEA_MESSAGE_FRONTIER: check_frontier(node, frame.body); break;
    case ILEA_MESSAGE_COMMITS: check_data(node, to, frame.body); break;
    case ILEA_MESSAGE_CREDIT: check_credit(node, end, frame.body); break;
    case ILEA_MESSAGE_NOTE: check_notes(node, frame.body); break;
    case ILEA_MESSAGE_MANIFEST:
    case ILEA_MESSAGE_FORK:
    case ILEA_MESSAGE_SIDE:
    case ILEA_MESSAGE_WANT: break;
    }
}

static void
take_data(struct sim_end *end, struct ilea_span body)
{
    struct ilea_feed_id id;
    uint32_t count;
    struct ilea_msgpack_reader commits;
    if (ilea_commits_decode(body, &id, &count, &commits) != ILEA_ERROR_NONE) return;
    end->before = end->taken;
    for (uint32_t i = 0; i < count; i++) end->taken += ilea_commits_next(&commits).size;
}

void
sim_check_received(struct sim_node *node, uint32_t from, struct ilea_span input)
{
    struct ilea_frame frame;
    struct ilea_credit credit;
    struct sim_end *end = &node->ends[from];
    if (ilea_frame_decode(input, &frame) != ILEA_ERROR_NONE) return;
    if (frame.type == ILEA_MESSAGE_COMMITS) end->commit_bytes_in += frame.body.size;
    if (memcmp(frame.session, end->session, sizeof end->session) != 0) return;
    if (frame.number <= end->number) return; /* a repeat */
    end->number = frame.number;
    if (frame.type == ILEA_MESSAGE_COMMITS) take_data(end, frame.body);
    if (frame.type != ILEA_MESSAGE_CREDIT
        || ilea_credit_decode(frame.body, &credit) != ILEA_ERROR_NONE) {
        return;
    }
    if (credit.limit > end->limit) end->limit = credit.limit;
}

void
sim_check_stored(const struct sim_node *node, uint32_t from, size_t size)
{
    const struct sim_end *end = &node->ends[from];
    if (end->before + size <= end->granted) return; /* the commits before the one that is too much are taken */
    sim_fail(node->world, node, "takes %lu bytes, granted %lu", (unsigned long)end->taken,
             (unsigned long)end->granted);
}

static bool
is_same_proof(const struct sim_node *a, const struct sim_node *b, const struct sim_feed *feed)
{
    bool a_forked = sim_trust_is_forked(a, feed), b_forked = sim_trust_is_forked(b, feed);
    if (!a_forked || !b_forked) return a_forked == b_forked;
    return memcmp(a->storage.logs[feed->index].proof->fork.hash, b->storage.logs[feed->index].proof->fork.hash,
                  ILEA_HASH_SIZE) == 0;
}

/* What is wrong between two nodes that can pass the feed to each other; NULL: nothing. */
static const char *
compare(const struct sim_node *a, const struct sim_node *b, const struct sim_feed *feed)
{
    if (sim_trust_newest(a, feed->author) != sim_trust_newest(b, feed->author)) return "other manifests";
    if (!is_same_proof(a, b, feed)) return "other proofs of its fork";
    uint32_t told = sim_trust_told(a, feed);
    if (told != sim_trust_told(b, feed)) return "another number of commits";
    if (told == 0) return NULL;
    const struct sim_log *a_log = &a->storage.logs[feed->index], *b_log = &b->storage.logs[feed->index];
    return a_log->commits[told - 1] != b_log->commits[told - 1] ? "another history" : NULL;
}

bool
sim_has_converged(const struct sim_world *world, bool say)
{
    bool equal = true;
    for (uint32_t i = 0; i < world->node_count; i++) {
        const struct sim_node *node = &world->nodes[i];
        if (node->byzantine) continue;
        if (!node->up || node->storage.pending_count > 0) return false;
        for (uint32_t j = 0; j < world->feed_count; j++) {
            const struct sim_feed *feed = world->feeds[j];
            for (uint32_t k = 0; k < i; k++) {
                const struct sim_node *other = &world->nodes[k];
                bool is_closed = feed->origin.scope == ILEA_SCOPE_AUDIENCE;
                if (is_closed ? !sim_is_carried(world, feed->author, i, k)
                              : !sim_can_reach(world, feed->author, i, k)) {
                    continue;
                }
                const char *wrong = is_closed ? sim_audience_compare(node, other, feed) : compare(node, other, feed);
                if (is_closed && wrong == NULL) wrong = sim_audience_compare(other, node, feed);
                if (wrong == NULL) continue;
                if (!say) return false;
                equal = false;
                (void)fprintf(stderr, "node %c and %c hold %u and %u of feed %u by %c: %s\n",
                              (char)('a' + i), (char)('a' + k), sim_trust_told(node, feed),
                              sim_trust_told(other, feed), j, (char)('a' + feed->author), wrong);
            }
        }
    }
    return equal;
}

/* Nothing that a thief made counts where the roots have spoken. */
static void
check_forged(const struct sim_world *world, const struct sim_feed *feed)
{
    if (!world->nodes[feed->author].recovered) return;
    for (uint32_t i = 0; i < world->node_count; i++) {
        const struct sim_node *node = &world->nodes[i];
        if (node->byzantine || !sim_can_reach(world, feed->author, i, feed->author)) continue;
        for (uint32_t j = 0; j < node->storage.logs[feed->index].durable; j++) {
            if (!node->storage.logs[feed->index].commits[j]->forged) continue;
            sim_fail(world, node, "holds the thief's commit %u of feed %u", j + 1, feed->index);
        }
    }
}

static void
check_feed(const struct sim_world *world, const struct sim_feed *feed)
{
    const struct sim_node *author = &world->nodes[feed->author];
    check_forged(world, feed);
    if (author->byzantine || author->robbed) return;
    if (feed->forked) sim_fail(world, author, "an honest author forked feed %u", feed->index);
    uint32_t held = author->storage.logs[feed->index].durable;
    if (held < feed->acknowledged) {
        sim_fail(world, author, "acknowledged %lu of feed %u, holds %u",
                 (unsigned long)feed->acknowledged, feed->index, held);
    }
}

/* A restored author that went on with a feed was told, if any neighbour holds more of it. */
static void
check_taken(const struct sim_world *world, const struct sim_node *node)
{
    const struct sim_feed *taken = node->writer.taken;
    if (taken == NULL) return;
    sim_fail(world, node, "feed %u is taken and nobody said so", taken->index);
}

void
sim_check_end(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->feed_count; i++) check_feed(world, world->feeds[i]);
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (!world->nodes[i].byzantine) check_taken(world, &world->nodes[i]);
    }
    sim_check_views(world);
    sim_audience_check_end(world);
    sim_erase_check_end(world);
}

void
sim_check_quiet(struct sim_world *world)
{
    sim_run_until(world, world->now + REST_MS);
    uint64_t before[SIM_LINKS_MAX][2];
    for (uint32_t i = 0; i < world->link_count; i++) {
        for (int way = 0; way < 2; way++) before[i][way] = world->links[i].ways[way].bytes;
    }
    sim_run_until(world, world->now + MINUTE_MS);
    for (uint32_t i = 0; i < world->link_count; i++) {
        for (int way = 0; way < 2; way++) {
            uint64_t bytes = world->links[i].ways[way].bytes - before[i][way];
            if (bytes > 0 && (bytes <= QUIET_BYTES || sim_audience_is_loose(world))) continue;
            sim_fail(world, &world->nodes[world->links[i].nodes[way]],
                     "sends %lu bytes in a quiet minute", (unsigned long)bytes);
        }
    }
    sim_check_receipts(world);
    sim_audience_check_rest(world);
}

void
sim_check_repeats(const struct sim_world *world, uint32_t permille_max)
{
    uint64_t came = 0, stored = 0;
    for (uint32_t i = 0; i < world->node_count; i++) {
        for (uint32_t j = 0; j < world->node_count; j++) {
            came += world->nodes[i].ends[j].commit_bytes_in;
        }
        for (uint32_t j = 0; j < world->feed_count; j++) {
            const struct sim_log *log = &world->nodes[i].storage.logs[j];
            if (world->feeds[j]->author == i) continue;
            for (uint32_t k = 0; k < log->durable; k++) stored += log->commits[k]->size + 45;
        }
    }
    if (came * 1000 > stored * permille_max) {
        sim_fail(world, NULL, "%lu bytes of commits came, %lu were new", (unsigned long)came,
                 (unsigned long)stored);
    }
}
