#include "tests/sim/archive.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/hash.h"
#include "tests/sim/storage.h"
#include "tests/sim/trust.h"

/* Is it named at its end by an opening that the node holds? */
static bool
is_closed(const struct sim_node *node, const struct sim_feed *feed)
{
    const struct sim_log *log = &node->storage.logs[feed->index];
    if (log->durable == 0 || feed->origin.scope == ILEA_SCOPE_AUDIENCE || sim_trust_is_forked(node, feed)) return false;
    const struct sim_commit *last = log->commits[log->durable - 1];
    for (uint32_t i = 0; i < feed->naming_count; i++) {
        const struct sim_naming *naming = &feed->namings[i];
        const struct sim_log *namer = &node->storage.logs[naming->opening->feed->index];
        if (namer->durable > 0 && namer->commits[0] == naming->opening && naming->seq == last->seq
            && memcmp(naming->id.bytes, last->id.bytes, sizeof last->id.bytes) == 0) {
            return true;
        }
    }
    return false;
}

static void
hash_end(const struct sim_node *node, const struct sim_feed *feed, uint8_t hash[ILEA_HASH_SIZE])
{
    const struct sim_log *log = &node->storage.logs[feed->index];
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_FRONTIER);
    ilea_hash_add(&hasher, feed->id.bytes, sizeof feed->id.bytes);
    ilea_hash_add_u64(&hasher, log->durable);
    ilea_hash_add(&hasher, log->commits[log->durable - 1]->id.bytes, ILEA_ID_SIZE);
    ilea_hash_end(&hasher, hash);
}

/* How many of the archive's feeds come before the id, or are it. */
static uint32_t
place_of(const struct sim_archive *archive, const struct ilea_feed_id *id)
{
    uint32_t low = 0, high = archive->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (memcmp(archive->feeds[middle]->id.bytes, id->bytes, sizeof id->bytes) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The sum is made anew: a feed that was cut no longer has the end that was counted in. */
static void
sum_up(struct sim_node *node, struct sim_archive *archive)
{
    memset(archive->sum, 0, sizeof archive->sum);
    for (uint32_t i = 0; i < archive->count; i++) {
        if (node->storage.logs[archive->feeds[i]->index].durable == 0) continue; /* cut away: taken out next */
        uint8_t hash[ILEA_HASH_SIZE];
        hash_end(node, archive->feeds[i], hash);
        ilea_hash_sum_add(archive->sum, hash);
    }
}

static void
put(struct sim_archive *archive, struct sim_feed *feed)
{
    uint32_t at = place_of(archive, &feed->id);
    archive->feeds = sim_grow(archive->feeds, archive->count, &archive->capacity, sizeof(struct sim_feed *));
    memmove(archive->feeds + at + 1, archive->feeds + at, (archive->count - at) * sizeof(struct sim_feed *));
    archive->feeds[at] = feed;
    archive->count++;
}

static void
take(struct sim_archive *archive, const struct sim_feed *feed)
{
    uint32_t at = place_of(archive, &feed->id) - 1;
    ilea_assert(archive->feeds[at] == feed);
    archive->count--;
    memmove(archive->feeds + at, archive->feeds + at + 1, (archive->count - at) * sizeof(struct sim_feed *));
}

bool
sim_archive_update(struct sim_node *node, struct sim_feed *feed)
{
    struct sim_archive *archive = &node->archives[feed->author];
    struct sim_log *log = &node->storage.logs[feed->index];
    bool is_now = is_closed(node, feed);
    if (is_now == log->archived) return false;
    log->archived = is_now;
    uint8_t hash[ILEA_HASH_SIZE];
    if (is_now) {
        put(archive, feed);
        hash_end(node, feed, hash);
        ilea_hash_sum_add(archive->sum, hash);
    } else {
        take(archive, feed);
        sum_up(node, archive);
    }
    return true;
}

void
sim_archive_update_all(struct sim_node *node, uint32_t author)
{
    for (uint32_t i = 0; i < node->world->feed_count; i++) {
        if (node->world->feeds[i]->author == author) (void)sim_archive_update(node, node->world->feeds[i]);
    }
    sum_up(node, &node->archives[author]);
}

static void
tell(struct sim_node *node, struct sim_feed *feed)
{
    if (!node->storage.logs[feed->index].archived) {
        sim_storage_flush(node); /* FEED is about what is durable, all of it */
        sim_tell_feed(node, feed);
        sim_tell_agency(node, feed->author);
        return;
    }
    struct ilea_event event = { .type = ILEA_EVENT_ARCHIVED };
    event.archived.agency = feed->origin.agency;
    event.archived.feed = feed->id;
    sim_archive_describe(node, feed->author, &event.archived.archive);
    sim_step(node, event);
}

void
sim_archive_settle(struct sim_node *node, struct sim_commit *const *commits, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (sim_archive_update(node, commits[i]->feed)) tell(node, commits[i]->feed);
        for (uint32_t j = 0; j < commits[i]->named_count; j++) {
            struct sim_feed *feed = sim_find_feed(node->world, &commits[i]->named[j].feed);
            if (feed != NULL && sim_archive_update(node, feed)) tell(node, feed);
        }
    }
}

void
sim_archive_describe(const struct sim_node *node, uint32_t author, struct ilea_archive *archive)
{
    archive->count = node->archives[author].count;
    memcpy(archive->sum, node->archives[author].sum, sizeof archive->sum);
}

bool
sim_archive_next(void *context, const struct ilea_agency_id *agency, const struct ilea_feed_id *after,
                 struct ilea_position *position)
{
    const struct sim_node *node = context;
    uint32_t author = sim_find_agency(node->world, agency);
    if (author == SIM_NONE) return false;
    const struct sim_archive *archive = &node->archives[author];
    uint32_t at = after != NULL ? place_of(archive, after) : 0;
    if (at == archive->count) return false;
    const struct sim_feed *feed = archive->feeds[at];
    const struct sim_log *log = &node->storage.logs[feed->index];
    *position = (struct ilea_position){ feed->id, log->durable, log->commits[log->durable - 1]->id };
    return true;
}
