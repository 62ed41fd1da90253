#include "replication/core/transfer.h"

#include <string.h>

#include "crypto/assert.h"
#include "replication/core/event.h"

static bool
is_set(const uint8_t *bits, uint64_t index)
{
    return (bits[index / 8] >> (index % 8) & 1) != 0;
}

static void
set(uint8_t *bits, uint64_t index, bool value)
{
    uint8_t bit = (uint8_t)(1u << (index % 8));
    if (value) {
        bits[index / 8] |= bit;
    } else {
        bits[index / 8] &= (uint8_t)~bit;
    }
}

void
ilea_transfer_init(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t author)
{
    memset(transfer, 0, sizeof *transfer);
    transfer->now_ms = now_ms;
    transfer->author = author;
}

void
ilea_transfer_list(struct ilea_transfer *transfer, uint32_t count, const uint8_t *have)
{
    ilea_assert(!transfer->has_list && count > 0 && count <= ILEA_BLOB_CHUNKS_MAX);
    transfer->has_list = true;
    transfer->count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_set(have, i)) continue;
        set(transfer->have, i, true);
        transfer->held++;
    }
}

/* Take an ask off a link; false: there was none of that index. */
static bool
take_ask(struct ilea_transfer *transfer, struct ilea_transfer_link *link, uint64_t index, uint64_t *asked_ms)
{
    for (uint32_t i = 0; i < link->ask_count; i++) {
        if (link->asks[i].index != index) continue;
        *asked_ms = link->asks[i].asked_ms;
        link->asks[i] = link->asks[--link->ask_count];
        if (index == ILEA_BLOB_LIST) {
            transfer->list_asked = false;
        } else {
            set(transfer->asked, index, false);
        }
        return true;
    }
    return false;
}

static void
drop_asks(struct ilea_transfer *transfer, struct ilea_transfer_link *link)
{
    uint64_t asked_ms;
    while (link->ask_count > 0) (void)take_ask(transfer, link, link->asks[0].index, &asked_ms);
}

static void
forget_lacks(struct ilea_transfer_link *link)
{
    memset(link->lacks, 0, sizeof link->lacks);
    link->lacks_list = link->lacks_some = false;
}

void
ilea_transfer_link_up(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t index)
{
    struct ilea_transfer_link *link = &transfer->links[index];
    drop_asks(transfer, link);
    forget_lacks(link);
    transfer->now_ms = now_ms;
    link->up = true;
    link->window = ILEA_TRANSFER_WINDOW_START;
    link->rest_ms = link->again_ms = 0;
}

void
ilea_transfer_link_down(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t index)
{
    transfer->now_ms = now_ms;
    drop_asks(transfer, &transfer->links[index]);
    transfer->links[index].up = false;
}

bool
ilea_transfer_expects(const struct ilea_transfer *transfer, uint32_t index, uint64_t chunk)
{
    const struct ilea_transfer_link *link = &transfer->links[index];
    for (uint32_t i = 0; i < link->ask_count; i++) {
        if (link->asks[i].index == chunk) return true;
    }
    return false;
}

void
ilea_transfer_heard(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t link)
{
    transfer->now_ms = now_ms;
    transfer->links[link].heard_ms = now_ms;
}

void
ilea_transfer_chunk(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t index, uint64_t chunk, bool good)
{
    struct ilea_transfer_link *link = &transfer->links[index];
    uint64_t asked_ms;
    transfer->now_ms = now_ms;
    if (!take_ask(transfer, link, chunk, &asked_ms)) return;
    link->heard_ms = now_ms;
    if (!good) {
        link->lied = true;
        drop_asks(transfer, link);
        return;
    }
    uint64_t took = now_ms - asked_ms;
    if (took <= ILEA_TRANSFER_QUICK_MS && link->window < ILEA_ASK_CHUNKS_MAX) link->window++;
    if (took > ILEA_TRANSFER_SLOW_MS && link->window > 1) link->window /= 2;
    if (chunk == ILEA_BLOB_LIST || is_set(transfer->have, chunk)) return;
    set(transfer->have, chunk, true);
    transfer->held++;
}

void
ilea_transfer_none(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t index,
                   const struct ilea_chunk_range *range)
{
    struct ilea_transfer_link *link = &transfer->links[index];
    uint64_t asked_ms;
    transfer->now_ms = now_ms;
    for (uint32_t i = 0; i < range->count; i++) {
        if (!take_ask(transfer, link, range->first + i, &asked_ms)) continue;
        link->heard_ms = now_ms;
        link->again_ms = now_ms + ILEA_TRANSFER_AGAIN_MS;
        link->lacks_some = true;
        if (range->first == ILEA_BLOB_LIST) {
            link->lacks_list = true;
        } else {
            set(link->lacks, range->first + i, true);
        }
    }
}

static bool
has_other(const struct ilea_transfer *transfer, const struct ilea_transfer_link *than)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        const struct ilea_transfer_link *link = &transfer->links[i];
        if (link != than && link->up && !link->lied) return true;
    }
    return false;
}

static uint64_t
stall_ms(const struct ilea_transfer *transfer, const struct ilea_transfer_link *link)
{
    if (link->ask_count == 0) return ILEA_TIME_NEVER;
    return link->heard_ms + (has_other(transfer, link) ? ILEA_TRANSFER_STALL_MS : ILEA_TRANSFER_STALL_ONLY_MS);
}

/* What time alone changes. */
static void
pass_time(struct ilea_transfer *transfer)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        struct ilea_transfer_link *link = &transfer->links[i];
        if (!link->up) continue;
        if (link->lacks_some && transfer->now_ms >= link->again_ms) forget_lacks(link);
        if (transfer->now_ms < stall_ms(transfer, link)) continue;
        drop_asks(transfer, link);
        link->window = 1;
        link->rest_ms = transfer->now_ms + ILEA_TRANSFER_STALL_MS;
    }
}

/* Not for each chunk alone: half a window at a time. */
static bool
may_be_asked(const struct ilea_transfer *transfer, const struct ilea_transfer_link *link)
{
    return link->up && !link->lied && transfer->now_ms >= link->rest_ms && link->ask_count <= link->window / 2;
}

static bool
wants(const struct ilea_transfer *transfer, const struct ilea_transfer_link *link, uint32_t chunk)
{
    return !is_set(transfer->have, chunk) && !is_set(transfer->asked, chunk) && !is_set(link->lacks, chunk);
}

static void
note_ask(struct ilea_transfer *transfer, struct ilea_transfer_link *link, uint64_t chunk)
{
    if (link->ask_count == 0) link->heard_ms = transfer->now_ms;
    link->asks[link->ask_count++] = (struct ilea_transfer_ask){ chunk, transfer->now_ms };
    if (chunk == ILEA_BLOB_LIST) {
        transfer->list_asked = true;
    } else {
        set(transfer->asked, chunk, true);
    }
}

static bool
ask_list(struct ilea_transfer *transfer, uint32_t *index, struct ilea_chunk_ask *ask)
{
    uint32_t best = ILEA_LINKS_MAX;
    if (transfer->list_asked) return false;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        const struct ilea_transfer_link *link = &transfer->links[i];
        if (!may_be_asked(transfer, link) || link->lacks_list) continue;
        if (best == ILEA_LINKS_MAX || i == transfer->author) best = i;
    }
    if (best == ILEA_LINKS_MAX) return false;
    note_ask(transfer, &transfer->links[best], ILEA_BLOB_LIST);
    ask->range_count = 1;
    ask->ranges[0] = (struct ilea_chunk_range){ ILEA_BLOB_LIST, 1 };
    *index = best;
    return true;
}

/* As many chunks as the link's window has room for. */
static bool
ask_chunks(struct ilea_transfer *transfer, struct ilea_transfer_link *link, struct ilea_chunk_ask *ask)
{
    ask->range_count = 0;
    for (uint32_t chunk = 0; chunk < transfer->count && link->ask_count < link->window; chunk++) {
        if (!wants(transfer, link, chunk)) continue;
        struct ilea_chunk_range *last = ask->range_count > 0 ? &ask->ranges[ask->range_count - 1] : NULL;
        if (last != NULL && last->first + last->count == chunk) {
            last->count++;
        } else {
            ask->ranges[ask->range_count++] = (struct ilea_chunk_range){ chunk, 1 };
        }
        note_ask(transfer, link, chunk);
    }
    return ask->range_count > 0;
}

bool
ilea_transfer_next(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t *index, struct ilea_chunk_ask *ask)
{
    transfer->now_ms = now_ms;
    pass_time(transfer);
    if (!transfer->has_list) return ask_list(transfer, index, ask);
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        *index = transfer->turn;
        transfer->turn = (transfer->turn + 1) % ILEA_LINKS_MAX;
        struct ilea_transfer_link *link = &transfer->links[*index];
        if (may_be_asked(transfer, link) && ask_chunks(transfer, link, ask)) return true;
    }
    return false;
}

void
ilea_transfer_unasked(struct ilea_transfer *transfer, uint32_t index, const struct ilea_chunk_ask *ask)
{
    struct ilea_transfer_link *link = &transfer->links[index];
    uint64_t asked_ms;
    for (uint32_t i = 0; i < ask->range_count; i++) {
        const struct ilea_chunk_range *range = &ask->ranges[i];
        for (uint32_t k = 0; k < range->count; k++) (void)take_ask(transfer, link, range->first + k, &asked_ms);
    }
    link->rest_ms = transfer->now_ms + ILEA_TRANSFER_QUICK_MS;
}

uint64_t
ilea_transfer_deadline(const struct ilea_transfer *transfer)
{
    uint64_t due = ILEA_TIME_NEVER;
    if (ilea_transfer_is_done(transfer)) return due;
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        const struct ilea_transfer_link *link = &transfer->links[i];
        if (!link->up || link->lied) continue;
        uint64_t stall = stall_ms(transfer, link);
        if (stall < due) due = stall;
        if (link->lacks_some && link->again_ms < due) due = link->again_ms;
        if (link->rest_ms > transfer->now_ms && link->rest_ms < due) due = link->rest_ms;
    }
    return due;
}

bool
ilea_transfer_is_done(const struct ilea_transfer *transfer)
{
    return transfer->has_list && transfer->held == transfer->count;
}

bool
ilea_transfer_is_stuck(const struct ilea_transfer *transfer)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        const struct ilea_transfer_link *link = &transfer->links[i];
        if (!link->up || link->lied) continue;
        if (link->ask_count > 0 || link->rest_ms > transfer->now_ms) return false;
        if (!transfer->has_list && !link->lacks_list) return false;
        for (uint32_t chunk = 0; chunk < transfer->count; chunk++) {
            if (!is_set(transfer->have, chunk) && !is_set(link->lacks, chunk)) return false;
        }
    }
    return !ilea_transfer_is_done(transfer);
}

bool
ilea_transfer_met_liar(const struct ilea_transfer *transfer)
{
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        if (transfer->links[i].lied) return true;
    }
    return false;
}
