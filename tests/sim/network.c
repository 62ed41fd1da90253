#include "tests/sim/network.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"

enum { RECONNECT_MS_MIN = 20, RECONNECT_MS_MAX = 800, RETRY_MS = 500, STALE_MS_MAX = 8000 };

struct sim_channel *
sim_network_channel(struct sim_world *world, uint32_t from, uint32_t to)
{
    uint32_t at = world->link_between[from][to];
    ilea_assert(at != SIM_NONE);
    struct sim_link *link = &world->links[at];
    return &link->ways[link->nodes[0] == from ? 0 : 1];
}

static void
put_under_way(struct sim_world *world, uint32_t at, uint32_t way, const uint8_t *bytes, size_t size)
{
    struct sim_link *link = &world->links[at];
    struct sim_channel *channel = &link->ways[way];
    uint64_t arrival = world->now + sim_between(&world->random, channel->delay_min,
                                                channel->delay_max);
    struct sim_event event = { .kind = SIM_DELIVER, .node = link->nodes[1 - way], .link = at,
                               .way = way, .generation = link->generation, .size = size };
    event.stale = sim_chance(&world->random, channel->stale);
    if (!link->up && !event.stale) return;
    if (!link->up) arrival += sim_between(&world->random, 500, STALE_MS_MAX);
    if (sim_chance(&world->random, channel->reorder)) {
        arrival += sim_between(&world->random, 0, 2 * channel->delay_max + 20);
    } else {
        if (arrival < channel->last_ms) arrival = channel->last_ms;
        if (link->up) channel->last_ms = arrival;
    }
    event.bytes = malloc(size);
    ilea_assert(event.bytes != NULL);
    memcpy(event.bytes, bytes, size);
    sim_push(world, arrival - world->now, event);
}

void
sim_network_send(struct sim_node *from, uint32_t to, const uint8_t *bytes, size_t size)
{
    struct sim_world *world = from->world;
    uint32_t at = world->link_between[from->index][to];
    ilea_assert(at != SIM_NONE);
    struct sim_link *link = &world->links[at];
    uint32_t way = link->nodes[0] == from->index ? 0 : 1;
    struct sim_channel *channel = &link->ways[way];
    bool data = size >= ILEA_FRAME_HEADER_SIZE && bytes[12] == ILEA_MESSAGE_COMMITS;
    channel->bytes += size;
    bool known = size >= ILEA_FRAME_HEADER_SIZE && bytes[12] <= ILEA_MESSAGE_LAST;
    channel->frames[known ? bytes[12] : 0]++;
    if (channel->cut || sim_chance(&world->random, channel->loss)) return;
    if (data && channel->drop_next > 0) {
        channel->drop_next--;
        return;
    }
    put_under_way(world, at, way, bytes, size);
    if (sim_chance(&world->random, channel->repeat)) put_under_way(world, at, way, bytes, size);
}

void
sim_network_reset(struct sim_world *world, uint32_t at)
{
    struct sim_link *link = &world->links[at];
    bool was_up = link->up;
    link->up = false;
    link->generation++;
    link->ways[0].last_ms = link->ways[1].last_ms = world->now;
    if (!was_up) return; /* its reconnecting is on the way */
    sim_push(world, 0, (struct sim_event){ .kind = SIM_LINK_DOWN, .node = link->nodes[0],
                                           .link = at, .generation = link->generation });
    if (link->listener_told) {
        sim_push(world, 0, (struct sim_event){ .kind = SIM_LINK_DOWN, .node = link->nodes[1],
                                               .link = at, .generation = link->generation });
    }
    sim_push(world, sim_between(&world->random, RECONNECT_MS_MIN, RECONNECT_MS_MAX),
             (struct sim_event){ .kind = SIM_CONNECT, .link = at });
}

void
sim_network_connect(struct sim_world *world, uint32_t at)
{
    struct sim_link *link = &world->links[at];
    if (link->up || link->severed) return;
    if (link->ways[0].cut || link->ways[1].cut || !world->nodes[link->nodes[0]].up
        || !world->nodes[link->nodes[1]].up) {
        sim_push(world, RETRY_MS, (struct sim_event){ .kind = SIM_CONNECT, .link = at });
        return;
    }
    link->up = true;
    link->generation++;
    sim_push(world, 0, (struct sim_event){ .kind = SIM_LINK_UP, .node = link->nodes[0],
                                           .link = at, .generation = link->generation });
}

void
sim_network_calm(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->link_count; i++) {
        for (int way = 0; way < 2; way++) {
            struct sim_channel *channel = &world->links[i].ways[way];
            channel->loss = channel->repeat = channel->reorder = channel->stale = 0;
            channel->cut = false;
            if (channel->delay_max > 200) channel->delay_max = 200;
            if (channel->delay_min > 200) channel->delay_min = 200;
        }
    }
}
