#include "tests/sim/audience.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/audience/membership.h"
#include "replication/record/audience.h"
#include "tests/sim/erase.h"
#include "tests/sim/storage.h"
#include "tests/sim/writer.h"

/* --- the oracle: DESIGN's rules over a plain set of statements --- */

static const struct sim_act *
act_on(const struct sim_control *control, uint32_t member)
{
    for (uint32_t i = 0; i < control->act_count; i++) {
        if (control->acts[i].member == member) return &control->acts[i];
    }
    return NULL;
}

/* All in `known` that do this to the member. */
static struct sim_set
acts_on(const struct sim_world *world, const struct sim_set *known, uint32_t audience, uint32_t member,
        enum ilea_member_act_kind kind)
{
    struct sim_set found = { { 0 } };
    for (uint32_t i = 0; i < world->control_count; i++) {
        const struct sim_control *control = world->controls[i];
        const struct sim_act *act = control->audience == audience ? act_on(control, member) : NULL;
        if (sim_set_has(known, i) && act != NULL && act->kind == kind) sim_set_add(&found, i);
    }
    return found;
}

/* The access that a member has by what is known; NONE: it is none. */
static enum ilea_access
access_of(const struct sim_world *world, const struct sim_set *known, uint32_t audience, uint32_t member)
{
    if (world->audiences[audience].owner == member) return ILEA_ACCESS_ADMIN;
    struct sim_set removals = acts_on(world, known, audience, member, ILEA_MEMBER_REMOVE);
    const struct sim_control *best = NULL;
    for (uint32_t i = 0; i < world->control_count; i++) {
        const struct sim_control *control = world->controls[i];
        const struct sim_act *act = control->audience == audience ? act_on(control, member) : NULL;
        if (!sim_set_has(known, i) || act == NULL || act->kind != ILEA_MEMBER_ADD) continue;
        struct sim_set before = control->before;
        if (!sim_set_is_within(&removals, &before)) continue;
        if (best == NULL || control->rank > best->rank
            || (control->rank == best->rank && memcmp(control->commit->id.bytes, best->commit->id.bytes, 32) > 0)) {
            best = control;
        }
    }
    return best != NULL ? act_on(best, member)->access : ILEA_ACCESS_NONE;
}

/* Suspensions of the member that stand by what is known. */
static struct sim_set
suspensions(const struct sim_world *world, const struct sim_set *known, uint32_t audience, uint32_t member)
{
    struct sim_set standing = { { 0 } };
    if (world->audiences[audience].owner == member) return standing;
    if (access_of(world, known, audience, member) == ILEA_ACCESS_NONE) return standing;
    for (uint32_t i = 0; i < world->control_count; i++) {
        const struct sim_control *suspend = world->controls[i];
        if (!sim_set_has(known, i) || suspend->audience != audience || suspend->kind != ILEA_STATEMENT_SUSPEND
            || suspend->subject != member
            || access_of(world, known, audience, suspend->commit->feed->author) != ILEA_ACCESS_ADMIN) {
            continue;
        }
        bool ended = false;
        for (uint32_t j = 0; j < world->control_count && !ended; j++) {
            const struct sim_control *control = world->controls[j];
            const struct sim_act *act = control->audience == audience ? act_on(control, member) : NULL;
            ended = sim_set_has(known, j) && act != NULL && act->kind != ILEA_MEMBER_REMOVE
                && sim_set_has(&control->before, i);
        }
        if (!ended) sim_set_add(&standing, i);
    }
    return standing;
}

static bool
is_allowed(const struct sim_world *world, const struct sim_set *known, uint32_t audience, uint32_t member)
{
    static const struct sim_set none;
    struct sim_set standing = suspensions(world, known, audience, member);
    return access_of(world, known, audience, member) != ILEA_ACCESS_NONE && sim_set_is_within(&standing, &none);
}

/* --- what a node holds, and the engine's view of it --- */

static struct sim_set
held_set(const struct sim_node *node, uint32_t audience)
{
    struct sim_set held = { { 0 } };
    for (uint32_t i = 0; i < node->world->control_count; i++) {
        const struct sim_control *control = node->world->controls[i];
        if (control->audience == audience && sim_is_held(node, control->commit)) sim_set_add(&held, i);
    }
    return held;
}

/* The engine, fed with what the node holds now, in the order in which the statements were made. */
static struct ilea_membership *
engine(const struct sim_node *node, uint32_t audience)
{
    struct sim_world *world = node->world;
    struct sim_seen *seen = &world->seen[node->index][audience];
    struct sim_set held = held_set(node, audience);
    if (seen->membership != NULL && memcmp(&seen->held, &held, sizeof held) == 0) return seen->membership;
    ilea_membership_free(seen->membership);
    const struct sim_audience *of = &world->audiences[audience];
    enum ilea_error error = ilea_membership_new(&world->nodes[of->owner].agency, &of->id, &seen->membership);
    ilea_assert(error == ILEA_ERROR_NONE);
    seen->held = held;
    for (uint32_t i = 0; i < world->control_count; i++) {
        const struct sim_control *control = world->controls[i];
        if (!sim_set_has(&held, i)) continue;
        error = ilea_membership_take(seen->membership, &world->nodes[control->commit->feed->author].agency,
                                     &control->commit->id, (struct ilea_span){ control->content, control->size });
        if (error != ILEA_ERROR_NONE) sim_fail(world, node, "the engine refuses statement %u", i);
    }
    return seen->membership;
}

static struct ilea_membership_state
state_of(const struct sim_node *node, uint32_t audience)
{
    struct ilea_membership_state state;
    enum ilea_error error = ilea_membership_state(engine(node, audience), &state);
    if (error != ILEA_ERROR_NONE) sim_fail(node->world, node, "no state of audience %u", audience);
    return state;
}

static uint32_t
find_audience(const struct sim_world *world, const struct ilea_audience_id *id)
{
    for (uint32_t i = 0; i < world->audience_count; i++) {
        if (memcmp(world->audiences[i].id.bytes, id->bytes, sizeof id->bytes) == 0) return i;
    }
    return SIM_NONE;
}

bool
sim_audience_allows(const struct sim_node *at, uint32_t audience, uint32_t node)
{
    struct ilea_membership_state state = state_of(at, audience);
    const struct ilea_member *member = ilea_membership_find(&state, &at->world->nodes[node].agency);
    return state.statement_count > 0 && member != NULL && !member->suspended;
}

bool
sim_audience_entitled(void *context, const struct ilea_agency_id *agency, const struct ilea_audience_id *id)
{
    const struct sim_node *node = context;
    uint32_t audience = find_audience(node->world, id), other = sim_find_agency(node->world, agency);
    return audience != SIM_NONE && other != SIM_NONE && sim_audience_allows(node, audience, other);
}

bool
sim_audience_may_tell(const struct sim_node *node, uint32_t to, const struct sim_feed *feed)
{
    uint32_t audience = find_audience(node->world, &feed->origin.audience);
    for (uint32_t i = 0; i < node->world->control_count; i++) {
        const struct sim_control *control = node->world->controls[i];
        const struct sim_log *log = &node->storage.logs[control->commit->feed->index];
        if (control->audience != audience || !sim_is_held(node, control->commit)) continue;
        if (log->durable < control->commit->seq) return true;
    }
    return audience != SIM_NONE && sim_audience_allows(node, audience, to);
}

static bool
is_followed(void *context, const struct ilea_agency_id *agency)
{
    const struct sim_node *node = context;
    uint32_t other = sim_find_agency(node->world, agency);
    return other != SIM_NONE && (other == node->index || node->follows[other]);
}

bool
sim_audience_holds(void *context, const struct ilea_audience_id *id, const struct ilea_commit_id *statement)
{
    const struct sim_node *node = context;
    uint32_t audience = find_audience(node->world, id);
    return audience != SIM_NONE && ilea_membership_is_whole(engine(node, audience), statement, is_followed, context);
}

/* --- writing --- */

/* The next commit of the node's feed in the audience is begun; a feed is opened if it has none. */
static struct sim_feed *
begin_commit(struct sim_node *node, uint32_t audience)
{
    struct sim_world *world = node->world;
    const struct sim_audience *of = &world->audiences[audience];
    struct sim_feed *feed = node->closed[audience].feed;
    if (feed != NULL) {
        const struct sim_log *log = &node->storage.logs[feed->index];
        ilea_commit_begin(world->builder, &world->network, &feed->id, log->count + 1,
                          &log->commits[log->count - 1]->id);
        return feed;
    }
    struct ilea_opening opening = { .owner = world->nodes[of->owner].agency };
    memcpy(opening.salt, of->salt, sizeof opening.salt);
    feed = sim_writer_feed(node, node->secret, ILEA_SCOPE_AUDIENCE, &of->id);
    node->closed[audience] = (struct sim_line){ .feed = feed };
    opening.origin = feed->origin;
    uint8_t bytes[512];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_opening_put(&writer, &opening, NULL, 0);
    ilea_commit_begin(world->builder, &world->network, &feed->id, 1, &(struct ilea_commit_id){ { 0 } });
    uint8_t aek_commit[ILEA_HASH_SIZE];
    enum ilea_error error = ilea_keyring_generate(node->ring, &world->network, &of->id, aek_commit);
    ilea_assert(error == ILEA_ERROR_NONE);
    memcpy(node->closed[audience].epoch.bytes, aek_commit, sizeof node->closed[audience].epoch.bytes);
    error = ilea_commit_add_statement(world->builder, ilea_msgpack_written(&writer));
    ilea_assert(error == ILEA_ERROR_NONE);
    return feed;
}

/* What the commit being made was written by the light of. */
static struct sim_commit *
end_commit(struct sim_node *node, struct sim_feed *feed, const struct sim_set *known, struct sim_control *control)
{
    struct sim_world *world = node->world;
    struct ilea_span bytes;
    struct ilea_commit_id id;
    ilea_commit_end(world->builder, node->secret, &bytes, &id);
    struct sim_commit *commit = sim_writer_register(feed, node->storage.logs[feed->index].count + 1, &id, bytes);
    commit->known = malloc(sizeof *commit->known);
    ilea_assert(commit->known != NULL);
    *commit->known = *known;
    if (control != NULL) {
        if (world->control_count == SIM_CONTROLS_MAX) sim_fail(world, node, "too many statements");
        control->commit = commit;
        world->controls[world->control_count++] = control;
    }
    sim_storage_put(node, commit, true);
    sim_storage_flush(node); /* the author waits for its own */
    return commit;
}

/* A statement of this content; `before`: all that it names, and what those name. */
static void
state_it(struct sim_node *node, uint32_t audience, struct sim_control *control, struct ilea_span content)
{
    struct sim_feed *feed = begin_commit(node, audience);
    enum ilea_error error = ilea_commit_add_statement(node->world->builder, content);
    ilea_assert(error == ILEA_ERROR_NONE);
    control->audience = audience;
    control->content = malloc(content.size);
    ilea_assert(control->content != NULL);
    memcpy(control->content, content.data, content.size);
    control->size = content.size;
    end_commit(node, feed, &control->before, control);
    node->closed[audience].named = control->before; /* a statement names what its author knew, and is known then */
    sim_set_add(&node->closed[audience].named, node->world->control_count - 1);
}

static void
owner_states(struct sim_node *owner, uint32_t audience, const struct sim_act *acts, uint32_t count)
{
    struct sim_world *world = owner->world;
    struct ilea_membership_state state = state_of(owner, audience);
    struct sim_control *control = calloc(1, sizeof *control);
    ilea_assert(control != NULL && count <= SIM_NODES_MAX);
    control->kind = ILEA_STATEMENT_AUDIENCE;
    control->before = held_set(owner, audience);
    control->rank = state.next_number;
    control->act_count = count;
    if (count > 0) memcpy(control->acts, acts, count * sizeof *acts);

    struct ilea_member_act member_acts[SIM_NODES_MAX];
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE], bytes[16 * 1024];
    for (uint32_t i = 0; i < count; i++) {
        bool adds = acts[i].kind == ILEA_MEMBER_ADD;
        member_acts[i] = (struct ilea_member_act){ .kind = acts[i].kind, .agency = world->nodes[acts[i].member].agency,
                                                   .level = adds ? acts[i].access : ILEA_ACCESS_NONE,
                                                   .code = { (const uint8_t *)"XX", adds ? 2 : 0 } };
    }
    struct ilea_audience_statement statement = {
        .audience = world->audiences[audience].id, .number = state.next_number, .head_count = state.head_count,
        .wrapped_count = 1, .act_count = count, .time_ms = world->now, .has_info = state.head_count == 0,
        .name = { (const uint8_t *)"N", 1 }, .tlp = 3, .history_ms = ILEA_HISTORY_ALL };
    sim_fill(&world->random, statement.aek_commit, sizeof statement.aek_commit);
    sim_fill(&world->random, wrapped, sizeof wrapped);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_audience_statement_put(&writer, &statement, state.heads, wrapped, member_acts);
    ilea_assert(!writer.failed);
    state_it(owner, audience, control, ilea_msgpack_written(&writer));
}

uint32_t
sim_audience_new(struct sim_node *owner, const uint32_t *members, uint32_t count)
{
    struct sim_world *world = owner->world;
    if (world->audience_count == SIM_AUDIENCES_MAX) return SIM_NONE;
    struct sim_audience *audience = &world->audiences[world->audience_count];
    audience->owner = owner->index;
    sim_fill(&world->random, audience->salt, sizeof audience->salt);
    ilea_audience_of_salt(&world->network, &owner->agency, audience->salt, &audience->id);
    struct sim_act acts[SIM_NODES_MAX];
    for (uint32_t i = 0; i < count; i++) {
        acts[i] = (struct sim_act){ ILEA_MEMBER_ADD, members[i],
                                    sim_chance(&world->random, 300) ? ILEA_ACCESS_ADMIN : ILEA_ACCESS_WRITE };
    }
    owner_states(owner, world->audience_count++, acts, count);
    return world->audience_count - 1;
}

void
sim_audience_change(struct sim_node *owner, uint32_t audience, enum ilea_member_act_kind kind, uint32_t member)
{
    const struct sim_act act = { kind, member,
                                 sim_chance(&owner->world->random, 300) ? ILEA_ACCESS_ADMIN : ILEA_ACCESS_WRITE };
    sim_say(owner->world, owner, "%s %c in audience %u",
            kind == ILEA_MEMBER_ADD ? "adds" : kind == ILEA_MEMBER_REMOVE ? "removes" : "lifts", (char)('a' + member),
            audience);
    owner_states(owner, audience, &act, 1);
}

void
sim_audience_suspend(struct sim_node *node, uint32_t audience, uint32_t member)
{
    struct sim_world *world = node->world;
    struct ilea_membership_state state = state_of(node, audience);
    struct sim_control *control = calloc(1, sizeof *control);
    ilea_assert(control != NULL && state.head_count > 0);
    control->kind = ILEA_STATEMENT_SUSPEND;
    control->before = held_set(node, audience);
    control->subject = member;
    const struct ilea_suspend_statement statement = { .audience = world->audiences[audience].id,
                                                      .head_count = state.head_count,
                                                      .subject = world->nodes[member].agency };
    uint8_t bytes[8 * 1024];
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
    ilea_suspend_put(&writer, &statement, state.heads);
    ilea_assert(!writer.failed);
    sim_say(world, node, "suspends %c in audience %u", (char)('a' + member), audience);
    state_it(node, audience, control, ilea_msgpack_written(&writer));
}

/* Whoever carries it cannot tell what is in it. */
static void
add_items(struct sim_node *node, uint32_t audience)
{
    struct sim_world *world = node->world;
    uint8_t noise[400];
    for (uint64_t i = sim_between(&world->random, 1, 3); i > 0; i--) {
        size_t size = (size_t)sim_between(&world->random, 40, sizeof noise);
        sim_fill(&world->random, noise, sizeof noise);
        enum ilea_error error =
            ilea_commit_add_change(world->builder, node->ring, 0, &world->audiences[audience].id,
                                   &node->closed[audience].epoch, (struct ilea_span){ noise, size }, NULL);
        ilea_assert(error == ILEA_ERROR_NONE);
    }
}

bool
sim_audience_write(struct sim_node *node, uint32_t audience)
{
    struct sim_world *world = node->world;
    struct ilea_membership_state state = state_of(node, audience);
    const struct ilea_member *self = ilea_membership_find(&state, &node->agency);
    if (state.statement_count == 0 || self == NULL || self->suspended || self->level < ILEA_ACCESS_WRITE) return false;
    struct sim_set known = held_set(node, audience);
    struct sim_feed *feed = begin_commit(node, audience);
    if (memcmp(&node->closed[audience].named, &known, sizeof known) != 0) {
        const struct ilea_use_statement use = { .audience = world->audiences[audience].id,
                                                .head_count = state.head_count };
        uint8_t bytes[8 * 1024];
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, bytes, sizeof bytes);
        ilea_use_put(&writer, &use, state.heads);
        enum ilea_error error = ilea_commit_add_statement(world->builder, ilea_msgpack_written(&writer));
        ilea_assert(error == ILEA_ERROR_NONE);
        node->closed[audience].named = known;
    }
    add_items(node, audience);
    end_commit(node, feed, &known, NULL);
    return true;
}

/* What the owner does with one agency, or with the whole. */
static void
owner_acts(struct sim_node *node, uint32_t audience)
{
    struct sim_world *world = node->world;
    uint32_t other = (uint32_t)sim_below(&world->random, world->node_count);
    if (other == node->index) {
        owner_states(node, audience, NULL, 0);
        return;
    }
    struct ilea_membership_state state = state_of(node, audience);
    const struct ilea_member *member = ilea_membership_find(&state, &world->nodes[other].agency);
    enum ilea_member_act_kind kind = ILEA_MEMBER_REMOVE;
    if (member == NULL || sim_chance(&world->random, 200)) kind = ILEA_MEMBER_ADD;
    else if (member->suspended && sim_chance(&world->random, 500)) kind = ILEA_MEMBER_LIFT;
    sim_audience_change(node, audience, kind, other);
}

void
sim_audience_act(struct sim_node *node)
{
    struct sim_world *world = node->world;
    if (node->byzantine || !node->up) return;
    if (sim_chance(&world->random, 100)) {
        sim_erase_act(node);
        return;
    }
    if (world->control_count + 2 >= SIM_CONTROLS_MAX) return;
    if (world->audience_count == 0 || (world->audience_count < SIM_AUDIENCES_MAX && sim_chance(&world->random, 100))) {
        uint32_t members[SIM_NODES_MAX], count = 0;
        for (uint32_t i = 0; i < world->node_count; i++) {
            if (i != node->index && sim_chance(&world->random, 500)) members[count++] = i;
        }
        (void)sim_audience_new(node, members, count);
        return;
    }
    uint32_t audience = (uint32_t)sim_below(&world->random, world->audience_count);
    struct ilea_membership_state state = state_of(node, audience);
    const struct ilea_member *self = ilea_membership_find(&state, &node->agency);
    bool owns = world->audiences[audience].owner == node->index;
    if (owns && (state.statement_count == 0 || sim_chance(&world->random, 400))) {
        owner_acts(node, audience);
    } else if (!owns && self != NULL && self->level == ILEA_ACCESS_ADMIN && sim_chance(&world->random, 200)) {
        uint32_t other = (uint32_t)sim_below(&world->random, state.member_count);
        uint32_t member = sim_find_agency(world, &state.members[other].agency);
        if (member != node->index) sim_audience_suspend(node, audience, member);
    } else {
        (void)sim_audience_write(node, audience);
    }
}

/* --- what must hold --- */

uint32_t
sim_audience_held(const struct sim_node *node, uint32_t audience)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->world->feed_count; i++) {
        const struct sim_feed *feed = node->world->feeds[i];
        if (feed->origin.scope != ILEA_SCOPE_AUDIENCE
            || find_audience(node->world, &feed->origin.audience) != audience) {
            continue;
        }
        count += node->storage.logs[i].durable;
    }
    return count;
}

/* Did the owner add the node again, by the light of all removals that are known? */
static bool
is_added_again(const struct sim_world *world, const struct sim_set *known, uint32_t audience, uint32_t node)
{
    struct sim_set removals = acts_on(world, known, audience, node, ILEA_MEMBER_REMOVE);
    for (uint32_t i = 0; i < world->control_count; i++) {
        const struct sim_control *control = world->controls[i];
        const struct sim_act *act = control->audience == audience ? act_on(control, node) : NULL;
        if (act != NULL && act->kind == ILEA_MEMBER_ADD && sim_set_is_within(&removals, &control->before)) return true;
    }
    return false;
}

/* Did the owner lift or add the node by the light of this suspension, or change its author, who may be no admin now? */
static bool
is_ended(const struct sim_world *world, const struct sim_set *known, uint32_t number, uint32_t node)
{
    const struct sim_control *suspend = world->controls[number];
    for (uint32_t i = 0; i < world->control_count; i++) {
        const struct sim_control *control = world->controls[i];
        if (control->audience != suspend->audience || sim_set_has(known, i)) continue;
        const struct sim_act *act = act_on(control, node);
        if (act != NULL && act->kind != ILEA_MEMBER_REMOVE && sim_set_has(&control->before, number)) return true;
        if (act_on(control, suspend->commit->feed->author) != NULL) return true;
    }
    return false;
}

/* Is what this commit's author knew against the node taken back elsewhere? Who sent it may have known that, too. */
static bool
is_taken_back(const struct sim_world *world, const struct sim_set *known, uint32_t audience, uint32_t node)
{
    if (access_of(world, known, audience, node) == ILEA_ACCESS_NONE) {
        return is_added_again(world, known, audience, node);
    }
    struct sim_set standing = suspensions(world, known, audience, node);
    for (uint32_t i = 0; i < world->control_count; i++) {
        if (sim_set_has(&standing, i) && !is_ended(world, known, i, node)) return false;
    }
    return true;
}

void
sim_audience_check_put(const struct sim_node *node, const struct sim_commit *commit)
{
    const struct sim_world *world = node->world;
    const struct sim_feed *feed = commit->feed;
    if (feed->origin.scope != ILEA_SCOPE_AUDIENCE || node->byzantine) return;
    uint32_t audience = find_audience(world, &feed->origin.audience);
    for (uint32_t i = 0; feed->author != node->index && i < world->control_count; i++) {
        if (sim_set_has(commit->known, i) && !sim_is_held(node, world->controls[i]->commit)) {
            sim_fail(world, node, "holds commit %lu of feed %u before statement %u, which it names",
                     (unsigned long)commit->seq, feed->index, i);
        }
    }
    if (feed->author == node->index || is_allowed(world, commit->known, audience, node->index)) return;
    if (is_taken_back(world, commit->known, audience, node->index)) return;
    sim_fail(world, node, "gets commit %lu of feed %u in audience %u, whose author knew that it is out",
             (unsigned long)commit->seq, feed->index, audience);
}

void
sim_audience_durable(struct sim_node *node, const struct sim_commit *commit)
{
    if (commit->feed->origin.scope != ILEA_SCOPE_AUDIENCE) return;
    bool is_control = false;
    for (uint32_t i = 0; i < node->world->control_count; i++) {
        is_control = is_control || node->world->controls[i]->commit == commit;
    }
    if (!is_control) return;
    struct ilea_event event = { .type = ILEA_EVENT_AUDIENCE };
    event.audience = commit->feed->origin.audience;
    sim_step(node, event);
}

void
sim_audience_abandon(struct sim_node *node)
{
    for (uint32_t i = 0; i < SIM_AUDIENCES_MAX; i++) node->closed[i] = (struct sim_line){ .feed = NULL };
    node->control = NULL;
}

/* Does an honest neighbour that may tell the node of it hold this commit? */
static bool
comes_back(const struct sim_node *node, const struct sim_commit *commit)
{
    const struct sim_world *world = node->world;
    for (uint32_t i = 0; i < world->node_count; i++) {
        const struct sim_node *other = &world->nodes[i];
        if (i == node->index || other->byzantine || world->link_between[node->index][i] == SIM_NONE) continue;
        if (commit->seq <= other->storage.logs[commit->feed->index].durable && commit->feed->author == node->index) {
            return true;
        }
    }
    return commit->feed->author != node->index;
}

void
sim_audience_restore(struct sim_node *node)
{
    struct sim_world *world = node->world;
    uint32_t least = (uint32_t)sim_below(&world->random, node->taken_count + 1), at = node->taken_count;
    for (; at > least; at--) { /* a backup is the beginning of all that the log took, in order */
        const struct sim_commit *commit = node->taken[at - 1];
        const struct sim_log *log = &node->storage.logs[commit->feed->index];
        if (commit->seq > log->durable) continue; /* a crash had forgotten it */
        if (!comes_back(node, commit)) break;
        sim_storage_cut(node, commit->feed, (uint32_t)commit->seq - 1);
    }
    node->taken_count = at;
    sim_audience_abandon(node);
}

/* Does the node hold a commit without what it names? Its own that came back, from who had left it out since. */
static bool
is_loose(const struct sim_node *node, const struct sim_feed *feed)
{
    const struct sim_log *log = &node->storage.logs[feed->index];
    for (uint32_t seq = 0; feed->author == node->index && seq < log->count; seq++) {
        for (uint32_t i = 0; i < node->world->control_count; i++) {
            const struct sim_commit *named = node->world->controls[i]->commit;
            if (sim_set_has(log->commits[seq]->known, i) && !sim_is_held(node, named)) return true;
        }
    }
    return false;
}

bool
sim_audience_is_loose(const struct sim_world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        for (uint32_t j = 0; j < world->feed_count; j++) {
            const struct sim_feed *feed = world->feeds[j];
            if (feed->origin.scope == ILEA_SCOPE_AUDIENCE && is_loose(&world->nodes[i], feed)) return true;
        }
    }
    return false;
}

const char *
sim_audience_compare(const struct sim_node *from, const struct sim_node *to, const struct sim_feed *feed)
{
    uint32_t audience = find_audience(from->world, &feed->origin.audience);
    uint32_t told = from->storage.logs[feed->index].durable, held = to->storage.logs[feed->index].durable;
    if (held >= told) return NULL;
    if (feed->author != to->index && !sim_audience_allows(from, audience, to->index)) return NULL;
    if (is_loose(from, feed)) return NULL; /* who keeps the rules waits for what it names */
    return "it may hear of more of an audience's feed";
}

void
sim_audience_check_rest(const struct sim_world *world)
{
    if (sim_audience_is_loose(world)) return;
    for (uint32_t i = 0; i < world->node_count; i++) {
        const struct sim_node *node = &world->nodes[i];
        for (uint32_t link = 0; link < world->node_count && !node->byzantine; link++) {
            struct ilea_link_status status;
            ilea_replicator_link_status(node->replicator, link, &status);
            if (status.exists && status.waiting + status.withheld > 0) {
                sim_fail(world, node, "%u feeds still wait", status.waiting + status.withheld);
            }
        }
    }
}

void
sim_audience_check_end(const struct sim_world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        const struct sim_node *node = &world->nodes[i];
        if (node->byzantine || !node->up) continue;
        for (uint32_t audience = 0; audience < world->audience_count; audience++) {
            struct sim_set held = held_set(node, audience);
            for (uint32_t other = 0; other < world->node_count; other++) {
                struct ilea_membership_state state = state_of(node, audience);
                const struct ilea_member *member = ilea_membership_find(&state, &world->nodes[other].agency);
                enum ilea_access access = member != NULL ? member->level : ILEA_ACCESS_NONE;
                if (access != access_of(world, &held, audience, other)
                    || (member != NULL && !member->suspended) != is_allowed(world, &held, audience, other)) {
                    sim_fail(world, node, "is wrong about %c in audience %u", (char)('a' + other), audience);
                }
            }
        }
    }
}

void
sim_audience_free(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->control_count; i++) {
        free(world->controls[i]->content);
        free(world->controls[i]);
    }
    for (uint32_t i = 0; i < world->node_count; i++) {
        for (uint32_t j = 0; j < SIM_AUDIENCES_MAX; j++) ilea_membership_free(world->seen[i][j].membership);
        free(world->nodes[i].taken);
    }
}
