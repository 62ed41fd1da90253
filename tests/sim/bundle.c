#include "tests/sim/bundle.h"

#include <string.h>

#include "crypto/assert.h"
#include "tests/sim/trust.h"

static void
import(struct sim_node *from, struct sim_node *to, enum ilea_message_type type,
       const struct ilea_msgpack_writer *body)
{
    ilea_assert(!body->failed);
    struct ilea_event event = { .type = ILEA_EVENT_IMPORT };
    event.import.from = from->agency;
    event.import.relays = to->ends[from->index].relays;
    event.import.type = type;
    event.import.body = ilea_msgpack_written(body);
    sim_step(to, event);
}

static void
carry_manifests(struct sim_node *from, struct sim_node *to, uint32_t agency, uint8_t *bytes)
{
    struct ilea_msgpack_writer body;
    uint32_t count = from->manifest_counts[agency];
    ilea_msgpack_writer_init(&body, bytes, ILEA_MESSAGE_SIZE_MAX);
    ilea_msgpack_put_array(&body, 2);
    ilea_msgpack_put_bin(&body, from->world->nodes[agency].agency.bytes, ILEA_ID_SIZE);
    ilea_msgpack_put_array(&body, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct sim_manifest *manifest = from->manifests[agency][i];
        ilea_msgpack_put_bin(&body, manifest->bytes, manifest->size);
    }
    if (count > 0) import(from, to, ILEA_MESSAGE_MANIFEST, &body);
}

static void
carry_feed(struct sim_node *from, struct sim_node *to, uint32_t index, uint32_t first, uint8_t *bytes)
{
    const struct sim_log *log = &from->storage.logs[index];
    const struct sim_feed *feed = from->world->feeds[index];
    struct ilea_msgpack_writer body;
    struct ilea_event_feed state;
    if (log->proof != NULL) {
        ilea_msgpack_writer_init(&body, bytes, ILEA_MESSAGE_SIZE_MAX);
        ilea_msgpack_put_array(&body, 1);
        ilea_msgpack_put_bin(&body, log->proof->bytes, log->proof->size);
        import(from, to, ILEA_MESSAGE_FORK, &body);
    }
    sim_trust_describe(from, feed, &state);
    for (uint32_t i = first; i <= log->durable && i <= state.limit_seq; i++) {
        ilea_msgpack_writer_init(&body, bytes, ILEA_MESSAGE_SIZE_MAX);
        ilea_msgpack_put_array(&body, 2);
        ilea_msgpack_put_bin(&body, feed->id.bytes, sizeof feed->id.bytes);
        ilea_msgpack_put_array(&body, 1);
        ilea_msgpack_put_bin(&body, log->commits[i - 1]->bytes, log->commits[i - 1]->size);
        import(from, to, ILEA_MESSAGE_COMMITS, &body);
    }
}

struct ilea_imported
sim_carry(struct sim_node *from, struct sim_node *to, uint32_t first)
{
    struct sim_world *world = from->world;
    uint8_t *bytes = malloc(ILEA_MESSAGE_SIZE_MAX);
    ilea_assert(bytes != NULL && from->up && to->up);
    to->imported = (struct ilea_imported){ .taken = 0 };
    for (uint32_t agency = 0; agency < world->node_count; agency++) {
        if (from->follows[agency]) carry_manifests(from, to, agency, bytes);
    }
    for (uint32_t i = 0; i < world->feed_count; i++) {
        if (from->follows[world->feeds[i]->author]) carry_feed(from, to, i, first, bytes);
    }
    free(bytes);
    return to->imported;
}
