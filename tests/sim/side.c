#include "tests/sim/side.h"

#include <string.h>

#include "crypto/assert.h"
#include "tests/sim/checks.h"

/* Head: from, to, serial, form, run, stamp. ASK: send what came to you after this stamp. GIVE: entries follow, and this
 * is the stamp to ask with next. As a driver does it, but for what is durable: a process forgets all of it. */
enum { TICK_MS = 1000, ENTRY_SIZE = 1 + 1 + 8 + 8 + 8, FORM_AT = 1 + 1 + 8, RUN_AT = FORM_AT + 1, STAMP_AT = RUN_AT + 8,
       HEAD_SIZE = STAMP_AT + 8, ASK = 1, GIVE };

static uint64_t
get_u64(const uint8_t *at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value = value << 8 | at[i];
    return value;
}

static void
put_u64(uint8_t *at, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8) at[i] = (uint8_t)value;
}

static uint64_t
count_held(const struct sim_node *node, uint32_t author)
{
    uint64_t held = 0;
    for (uint32_t i = 0; i < node->world->feed_count; i++) {
        const struct sim_feed *feed = node->world->feeds[i];
        bool counts = feed->author == author && feed->origin.scope != ILEA_SCOPE_AUDIENCE;
        if (counts) held += node->storage.logs[i].durable;
    }
    return held;
}

uint64_t
sim_behind(const struct sim_node *node, uint32_t other)
{
    uint64_t told = node->side.receipts[node->index][other].own, held = count_held(node, other);
    return told > held ? told - held : 0;
}

/* What it wrote itself, as far as it counts: of a forked feed what comes before the fork. */
static uint64_t
count_own(const struct sim_node *node)
{
    uint64_t own = 0;
    for (uint32_t i = 0; i < node->world->feed_count; i++) {
        const struct sim_log *log = &node->storage.logs[i];
        const struct sim_feed *feed = node->world->feeds[i];
        if (feed->author != node->index || feed->origin.scope == ILEA_SCOPE_AUDIENCE) continue;
        bool is_cut = log->proof != NULL && log->proof->fork.seq <= log->durable;
        own += is_cut ? log->proof->fork.seq - 1 : log->durable;
    }
    return own;
}

void
sim_side_start(struct sim_node *node)
{
    memset(&node->side, 0, sizeof node->side);
    sim_push(node->world, TICK_MS, (struct sim_event){ .kind = SIM_SIDE, .node = node->index, .run = node->run });
}

/* What it claims is durable: a crash cannot make it a lie. */
static void
make_receipts(struct sim_node *node)
{
    struct sim_world *world = node->world;
    for (uint32_t author = 0; author < world->node_count; author++) {
        uint64_t held = count_held(node, author), own = count_own(node);
        struct sim_receipt *last = &node->side.receipts[author][node->index];
        if (author == node->index || (last->counter != 0 && last->held == held && last->own == own)) continue;
        struct sim_made *made = &world->made[node->index][author];
        ilea_assert(made->count < SIM_MADE_MAX);
        made->held[made->count] = held;
        made->own[made->count++] = own;
        *last = (struct sim_receipt){ made->count, held, own, node->index, ++node->side.stamp };
    }
}

static void
put_head(struct sim_node *node, uint32_t to, uint8_t form, uint64_t run, uint64_t stamp, uint8_t *bytes)
{
    bytes[0] = (uint8_t)node->index;
    bytes[1] = (uint8_t)to;
    put_u64(bytes + 2, ++node->side.serials[to]);
    bytes[FORM_AT] = form;
    put_u64(bytes + RUN_AT, run);
    put_u64(bytes + STAMP_AT, stamp);
}

static void
send_side(struct sim_node *node, uint32_t to, const uint8_t *bytes, size_t size, bool asked)
{
    struct ilea_event event = { .type = ILEA_EVENT_SIDE, .link = to };
    event.side.bytes = (struct ilea_span){ bytes, size };
    event.side.asked = asked;
    sim_step(node, event);
}

/* What was passed over because it was not for us then is not for us now: else from the beginning. */
static void
ask(struct sim_node *node, uint32_t to)
{
    const struct sim_heard *heard = &node->side.heard[to];
    uint8_t shared[ILEA_HASH_SIZE], bytes[HEAD_SIZE];
    ilea_replicator_shared(node->replicator, to, shared);
    bool counts = memcmp(heard->shared, shared, sizeof shared) == 0;
    put_head(node, to, ASK, counts ? heard->run : 0, counts ? heard->stamp : 0, bytes);
    send_side(node, to, bytes, sizeof bytes, false);
}

static bool
is_for(const struct sim_node *node, uint32_t to, uint32_t author, uint32_t holder)
{
    const struct sim_world *world = node->world;
    return holder != to && node->side.receipts[author][holder].from != to
        && ilea_replicator_carries(node->replicator, to, &world->nodes[author].agency)
        && ilea_replicator_carries(node->replicator, to, &world->nodes[holder].agency);
}

static void
give(struct sim_node *node, uint32_t to)
{
    struct sim_world *world = node->world;
    struct sim_side *side = &node->side;
    uint8_t bytes[HEAD_SIZE + SIM_NODES_MAX * SIM_NODES_MAX * ENTRY_SIZE];
    size_t size = HEAD_SIZE;
    for (uint32_t author = 0; author < world->node_count; author++) {
        for (uint32_t holder = 0; holder < world->node_count; holder++) {
            const struct sim_receipt *receipt = &side->receipts[author][holder];
            if (receipt->stamp <= side->after[to] || !is_for(node, to, author, holder)) continue;
            bytes[size] = (uint8_t)author;
            bytes[size + 1] = (uint8_t)holder;
            put_u64(bytes + size + 2, receipt->counter);
            put_u64(bytes + size + 10, receipt->held);
            put_u64(bytes + size + 18, receipt->own);
            size += ENTRY_SIZE;
        }
    }
    side->after[to] = side->stamp;
    if (size == HEAD_SIZE) return;
    put_head(node, to, GIVE, node->run, side->stamp, bytes);
    side->in_flight[to] = true;
    send_side(node, to, bytes, size, false);
}

/* What a neighbour is to be told now. */
static void
tend(struct sim_node *node, uint32_t to)
{
    struct sim_side *side = &node->side;
    struct ilea_side_status status;
    ilea_replicator_side(node->replicator, to, node->world->now + node->clock_ms, &status);
    if (!status.open || status.room < ILEA_SIDE_BURST / 2) return;
    if (side->asks[to] != status.session) {
        side->asks[to] = status.session;
        ask(node, to);
    }
    if (side->asked[to] == status.session && !side->in_flight[to]) give(node, to);
}

void
sim_side_tick(struct sim_node *node)
{
    struct sim_world *world = node->world;
    make_receipts(node);
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world->link_between[node->index][i] != SIM_NONE) tend(node, i);
    }
    sim_push(world, TICK_MS, (struct sim_event){ .kind = SIM_SIDE, .node = node->index, .run = node->run });
}

/* From an honest neighbour each comes once, in order, and to whom it was sent. */
static void
check_frame(struct sim_node *node, uint32_t from, const uint8_t *bytes)
{
    struct sim_side *side = &node->side;
    struct ilea_side_status status;
    ilea_replicator_side(node->replicator, from, node->world->now + node->clock_ms, &status);
    uint64_t serial = get_u64(bytes + 2);
    if (bytes[0] != from || bytes[1] != node->index) sim_fail(node->world, node, "a SIDE frame of another link");
    if (status.session == side->came_sessions[from] && serial <= side->came[from]) {
        sim_fail(node->world, node, "SIDE %lu came after %lu", (unsigned long)serial,
                 (unsigned long)side->came[from]);
    }
    side->came_sessions[from] = status.session;
    side->came[from] = serial;
}

/* Nobody, liars neither, gets more through than is allowed. */
static void
check_flow(struct sim_node *node, uint32_t from, size_t size)
{
    struct sim_flow *flow = &node->side.flows[from];
    struct ilea_side_status status;
    uint64_t now = node->world->now;
    ilea_replicator_side(node->replicator, from, now + node->clock_ms, &status);
    if (status.session != flow->session) *flow = (struct sim_flow){ .session = status.session, .since_ms = now };
    flow->bytes += size;
    if (flow->bytes > flow->asked + ILEA_SIDE_BURST_IN + (now - flow->since_ms) * ILEA_SIDE_RATE_IN) {
        sim_fail(node->world, node, "takes %lu bytes of SIDE", (unsigned long)flow->bytes);
    }
}

static void
take(struct sim_node *node, uint32_t from, const uint8_t *entry)
{
    struct sim_world *world = node->world;
    uint32_t author = entry[0], holder = entry[1];
    uint64_t counter = get_u64(entry + 2), held = get_u64(entry + 10), own = get_u64(entry + 18);
    if (author >= world->node_count || holder >= world->node_count || holder == node->index) return;
    const struct sim_made *made = &world->made[holder][author];
    bool is_signed = counter > 0 && counter <= made->count && made->held[counter - 1] == held
        && made->own[counter - 1] == own;
    if (!is_signed) {
        if (!world->nodes[from].byzantine) sim_fail(world, node, "an honest node passed on what nobody signed");
        return;
    }
    if (!ilea_replicator_carries(node->replicator, from, &world->nodes[author].agency)
        || !ilea_replicator_carries(node->replicator, from, &world->nodes[holder].agency)) {
        return;
    }
    struct sim_receipt *known = &node->side.receipts[author][holder];
    if (counter > known->counter) *known = (struct sim_receipt){ counter, held, own, from, ++node->side.stamp };
}

static void
take_ask(struct sim_node *node, uint32_t from, const uint8_t *bytes)
{
    struct sim_side *side = &node->side;
    struct ilea_side_status status;
    ilea_replicator_side(node->replicator, from, node->world->now + node->clock_ms, &status);
    uint64_t stamp = get_u64(bytes + STAMP_AT);
    side->after[from] = get_u64(bytes + RUN_AT) == node->run && stamp <= side->stamp ? stamp : 0;
    side->asked[from] = status.session;
    side->in_flight[from] = false;
}

static void
take_given(struct sim_node *node, uint32_t from, struct ilea_span body)
{
    struct sim_heard *heard = &node->side.heard[from];
    for (size_t at = HEAD_SIZE; at < body.size; at += ENTRY_SIZE) take(node, from, body.data + at);
    heard->run = get_u64(body.data + RUN_AT);
    heard->stamp = get_u64(body.data + STAMP_AT);
    ilea_replicator_shared(node->replicator, from, heard->shared);
    node->side.asks[from] = 0; /* so it is acknowledged */
}

void
sim_side_came(struct sim_node *node, const struct ilea_effect *effect)
{
    struct sim_world *world = node->world;
    uint32_t from = effect->link;
    struct ilea_span body = effect->side;
    if (body.size == 0 || body.size > ILEA_SIDE_SIZE_MAX) sim_fail(world, node, "SIDE of %zu bytes", body.size);
    check_flow(node, from, body.size);
    if (body.size < HEAD_SIZE || (body.size - HEAD_SIZE) % ENTRY_SIZE != 0) {
        if (!world->nodes[from].byzantine) sim_fail(world, node, "an honest node sent noise");
        struct ilea_event event = { .type = ILEA_EVENT_BLAME, .link = from };
        event.blame = ILEA_ERROR_MALFORMED;
        sim_step(node, event);
        return;
    }
    if (!world->nodes[from].byzantine) check_frame(node, from, body.data);
    if (body.data[FORM_AT] == ASK) take_ask(node, from, body.data);
    if (body.data[FORM_AT] == GIVE) take_given(node, from, body);
}

void
sim_side_ask(struct sim_node *node, uint32_t to, uint32_t expects)
{
    struct sim_flow *flow = &node->side.flows[to];
    struct ilea_side_status status;
    uint8_t bytes[HEAD_SIZE];
    ilea_replicator_side(node->replicator, to, node->world->now + node->clock_ms, &status);
    if (status.session != flow->session) {
        *flow = (struct sim_flow){ .session = status.session, .since_ms = node->world->now };
    }
    flow->asked += expects;
    put_head(node, to, 0, 0, 0, bytes);
    struct ilea_event event = { .type = ILEA_EVENT_SIDE, .link = to };
    event.side.bytes = (struct ilea_span){ bytes, sizeof bytes };
    event.side.expects = expects;
    sim_step(node, event);
}

void
sim_side_crowd(struct sim_node *node, uint32_t to, bool asked)
{
    static uint8_t bytes[HEAD_SIZE + 5000 * ENTRY_SIZE];
    put_head(node, to, GIVE, node->run, node->side.stamp, bytes);
    for (size_t at = HEAD_SIZE; at < sizeof bytes; at += ENTRY_SIZE) bytes[at + 1] = (uint8_t)to; /* by itself */
    send_side(node, to, bytes, sizeof bytes, asked);
}

void
sim_side_lie(struct sim_world *world, struct ilea_msgpack_writer *writer)
{
    uint8_t bytes[HEAD_SIZE + 50 * ENTRY_SIZE];
    sim_fill(&world->random, bytes, sizeof bytes);
    bytes[FORM_AT] %= GIVE + 1;
    for (size_t at = HEAD_SIZE; at < sizeof bytes; at += ENTRY_SIZE) { /* nearly good */
        bytes[at] %= SIM_NODES_MAX;
        bytes[at + 1] %= SIM_NODES_MAX;
        put_u64(bytes + at + 2, sim_below(&world->random, 40));
        put_u64(bytes + at + 10, 1000 + sim_below(&world->random, 1000000));
    }
    size_t parts = sim_chance(&world->random, 200) ? 98 : 1; /* nearly a whole frame */
    size_t size = sim_chance(&world->random, 700) ? sizeof bytes : 1 + sim_below(&world->random, sizeof bytes - 1);
    for (size_t i = 0; i < parts; i++) ilea_msgpack_put_raw(writer, (struct ilea_span){ bytes, size });
}

static bool
can_travel(const struct sim_world *world, uint32_t author, uint32_t holder)
{
    bool reached[SIM_NODES_MAX] = { false };
    uint32_t queue[SIM_NODES_MAX], head = 0, tail = 0;
    reached[holder] = true;
    queue[tail++] = holder;
    while (head < tail) {
        uint32_t at = queue[head++];
        for (uint32_t i = 0; i < world->node_count; i++) {
            if (reached[i] || !sim_is_carried(world, author, at, i) || !sim_is_carried(world, holder, at, i)) continue;
            reached[i] = true;
            queue[tail++] = i;
        }
    }
    return reached[author];
}

void
sim_check_receipts(const struct sim_world *world)
{
    for (uint32_t author = 0; author < world->node_count; author++) {
        for (uint32_t holder = 0; holder < world->node_count; holder++) {
            if (author == holder || !can_travel(world, author, holder)) continue;
            const struct sim_receipt *known = &world->nodes[author].side.receipts[author][holder];
            uint64_t held = count_held(&world->nodes[holder], author);
            if (known->counter != 0 && known->held == held && sim_behind(&world->nodes[author], holder) == 0) continue;
            sim_fail(world, &world->nodes[author], "knows of %lu commits at %c, which holds %lu, and is %lu behind it",
                     (unsigned long)known->held, (char)('a' + holder), (unsigned long)held,
                     (unsigned long)sim_behind(&world->nodes[author], holder));
        }
    }
}
