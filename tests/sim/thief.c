#include "tests/sim/thief.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "tests/sim/storage.h"
#include "tests/sim/trust.h"
#include "tests/sim/writer.h"

/* The node signs with a fresh key from now on. */
static void
renew_secret(struct sim_node *node)
{
    if (node->old_secret_count == SIM_SECRETS_MAX) sim_fail(node->world, node, "too many keys");
    node->old_secrets[node->old_secret_count++] = node->secret;
    enum ilea_error error = ilea_sign_generate(&node->secret, &node->public_key);
    ilea_assert(error == ILEA_ERROR_NONE);
    sim_writer_abandon(node);
}

void
sim_rotate(struct sim_node *node)
{
    const struct sim_manifest *prev = sim_trust_newest(node, node->index);
    if (node->robbed || prev->manifest.index + 4 > SIM_CHAIN_MAX) return;
    if (node->up) sim_storage_flush(node);
    renew_secret(node);
    struct sim_statement statement = { .agency = node->index, .prev = prev, .root = node->root,
                                       .node_key = node->secret };
    sim_say(node->world, node, "rotates its key");
    sim_trust_adopt(node, sim_trust_make(node->world, &statement));
}

/* A feed of the victim under the stolen key that the thief's node holds `min` commits of; NULL: none. */
static struct sim_feed *
choose_feed(struct sim_node *thief, const struct sim_node *victim, uint32_t min)
{
    struct sim_world *world = thief->world;
    struct sim_feed *chosen = NULL;
    uint64_t seen = 0;
    struct ilea_sign_public stolen;
    ilea_sign_secret_public(victim->stolen, &stolen);
    for (uint32_t i = 0; i < world->feed_count; i++) {
        struct sim_feed *feed = world->feeds[i];
        if (feed->author != victim->index || thief->storage.logs[i].durable < min) continue;
        if (memcmp(feed->origin.node.bytes, stolen.bytes, sizeof stolen.bytes) != 0) continue;
        if (sim_below(&world->random, ++seen) == 0) chosen = feed;
    }
    return chosen;
}

static void
append(struct sim_node *thief, struct sim_feed *feed, uint64_t count)
{
    const struct sim_log *log = &thief->storage.logs[feed->index];
    for (uint64_t i = 0; i < count; i++) {
        const struct ilea_commit_id *prev = log->count > 0 ? &log->commits[log->count - 1]->id : NULL;
        sim_storage_put_durable(thief, sim_writer_forge_blank(thief->world, feed, log->count + 1u, prev));
    }
}

static void
forge_commits(struct sim_node *thief, struct sim_node *victim, enum sim_deed deed)
{
    struct sim_random *random = &thief->world->random;
    struct sim_feed *feed = deed == SIM_DEED_OPEN ? sim_writer_feed(victim, victim->stolen, ILEA_SCOPE_PEERS, NULL)
                                                  : choose_feed(thief, victim, 1);
    if (feed == NULL) return;
    const struct sim_log *log = &thief->storage.logs[feed->index];
    if (deed == SIM_DEED_FORK) sim_storage_cut(thief, feed, (uint32_t)sim_below(random, log->durable));
    append(thief, feed, sim_between(random, 1, 4));
    sim_say(thief->world, thief, "forges feed %u of %c from %lu to %u", feed->index,
            (char)('a' + victim->index), (unsigned long)(log->count > 0), log->count);
}

/* The thief's own node key in the victim's place; and nothing of the victim's is to count behind seq 1. */
static void
forge_manifest(struct sim_node *thief, struct sim_node *victim)
{
    struct sim_world *world = thief->world;
    const struct sim_manifest *prev = sim_trust_newest(thief, victim->index);
    if (prev->manifest.index + 3 > SIM_CHAIN_MAX || victim->recovered) return;
    if (victim->old_secret_count == SIM_SECRETS_MAX) return;
    struct ilea_sign_secret *secret = NULL;
    struct ilea_sign_public public_key;
    enum ilea_error error = ilea_sign_generate(&secret, &public_key);
    ilea_assert(error == ILEA_ERROR_NONE);
    victim->old_secrets[victim->old_secret_count++] = secret;
    struct sim_feed *feed = choose_feed(thief, victim, 2);
    struct ilea_position position;
    if (feed != NULL) {
        position = (struct ilea_position){ feed->id, 1, thief->storage.logs[feed->index].commits[0]->id };
    }
    struct sim_statement statement = { .agency = victim->index, .prev = prev, .root = victim->root,
                                       .node_key = secret, .positions = &position,
                                       .position_count = feed != NULL ? 1 : 0, .forged = true };
    sim_say(world, thief, "forges a manifest of %c", (char)('a' + victim->index));
    sim_trust_adopt(thief, sim_trust_make(world, &statement));
    victim->stolen = secret;
}

void
sim_thief_act(struct sim_node *thief, uint32_t victim_index, enum sim_deed deed)
{
    struct sim_node *victim = &thief->world->nodes[victim_index];
    ilea_assert(thief->byzantine && victim != thief);
    victim->robbed = true;
    if (victim->stolen == NULL) victim->stolen = victim->secret;
    bool was_up = thief->up;
    if (was_up) sim_node_stop(thief);
    if (deed == SIM_DEED_ROOTS) {
        forge_manifest(thief, victim);
    } else {
        forge_commits(thief, victim, deed);
    }
    if (was_up) sim_node_start(thief);
}

static int
compare_positions(const void *a, const void *b)
{
    const struct ilea_position *left = a, *right = b;
    return memcmp(left->feed.bytes, right->feed.bytes, sizeof left->feed.bytes);
}

/* Where the victim's feeds under the key end well, as its own node holds them. */
static uint32_t
collect_good(const struct sim_node *victim, const struct ilea_sign_public *key, struct ilea_position *positions)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < victim->world->feed_count; i++) {
        const struct sim_feed *feed = victim->world->feeds[i];
        const struct sim_log *log = &victim->storage.logs[i];
        if (feed->author != victim->index || memcmp(feed->origin.node.bytes, key->bytes, sizeof key->bytes) != 0) {
            continue;
        }
        uint32_t good = 0;
        while (good < log->durable && !log->commits[good]->forged) good++;
        if (good == 0) continue;
        ilea_assert(count < ILEA_POSITIONS_MAX);
        positions[count++] = (struct ilea_position){ feed->id, good, log->commits[good - 1]->id };
    }
    if (count > 1) qsort(positions, count, sizeof *positions, compare_positions);
    return count;
}

/* The manifest that a new one follows: before the first forged one, if there is any. */
static const struct sim_manifest *
last_good(const struct sim_node *victim, bool *roots_are_stolen)
{
    uint64_t first = victim->manifest_counts[victim->index];
    *roots_are_stolen = false;
    for (uint32_t i = 0; i < victim->world->manifest_count; i++) {
        const struct sim_manifest *manifest = victim->world->manifests[i];
        if (manifest->agency != victim->index || !manifest->forged) continue;
        *roots_are_stolen = true;
        if (manifest->manifest.index < first) first = manifest->manifest.index;
    }
    return victim->manifests[victim->index][first - 1];
}

void
sim_recover(struct sim_node *victim)
{
    struct sim_world *world = victim->world;
    if (!victim->robbed || victim->recovered || victim->byzantine) return;
    if (victim->up) sim_storage_flush(victim);
    bool roots_are_stolen;
    const struct sim_manifest *prev = last_good(victim, &roots_are_stolen);
    struct ilea_position *positions = calloc(ILEA_POSITIONS_MAX, sizeof *positions);
    ilea_assert(positions != NULL);
    struct sim_statement statement = { .agency = victim->index, .prev = prev, .root = victim->root };
    ilea_sign_secret_public(victim->secret, &statement.revoked[0]);
    statement.position_count = collect_good(victim, &statement.revoked[0], positions);
    statement.positions = positions;
    if (victim->stolen != NULL) { /* else its key is good, and only feeds forked */
        statement.revoked_count = 1;
        renew_secret(victim);
    }
    struct ilea_sign_secret *next = NULL;
    if (roots_are_stolen) {
        struct ilea_sign_public public_key;
        enum ilea_error error = ilea_sign_generate(&next, &public_key);
        ilea_assert(error == ILEA_ERROR_NONE);
        statement.root = victim->next_root;
        statement.new_roots = true;
        statement.next = next;
    }
    statement.node_key = victim->secret;
    sim_say(world, victim, "recovers: %u positions%s", statement.position_count,
            roots_are_stolen ? ", by the next roots" : "");
    sim_trust_adopt(victim, sim_trust_make(world, &statement));
    if (roots_are_stolen) {
        ilea_sign_secret_free(victim->root);
        victim->root = victim->next_root;
        victim->next_root = next;
    }
    if (victim->stolen == NULL) sim_writer_abandon(victim);
    victim->recovered = true;
    free(positions);
}
