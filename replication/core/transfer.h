/*
 * transfer.h - one document being fetched: which chunk is asked of whom, and when it is asked of somebody else. Pure:
 * the driver has the bytes, the hashes and the clock.
 *
 * The list comes first, from the author's link if there is one. Then the chunks are dealt out to all links that did not
 * say that they have them not. A link has a window of chunks on their way: it opens as long as they come soon, and
 * closes when they do not, so that commits and receipts, which take their turn behind them, never wait long. A link
 * that brings nothing for a while is passed over, and what was asked of it is asked of another; one that brought a
 * chunk with the wrong hash is not asked again.
 *
 * Losing this costs nothing: what is held is on the disk, and a new one begins with that.
 */
#ifndef ILEA_CORE_TRANSFER_H
#define ILEA_CORE_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "replication/core/limits.h"
#include "replication/record/document.h"

enum {
    ILEA_TRANSFER_WINDOW_START = 2,
    ILEA_TRANSFER_QUICK_MS = 1000,      /* a chunk that came within it: one more at a time */
    ILEA_TRANSFER_SLOW_MS = 3000,       /* and one that took longer: half as many */
    ILEA_TRANSFER_STALL_MS = 10000,     /* a link that brought nothing for so long rests for as long */
    ILEA_TRANSFER_STALL_ONLY_MS = 60000, /* if there is no other */
    ILEA_TRANSFER_AGAIN_MS = 30000      /* who had it not is asked again */
};

struct ilea_transfer_ask {
    uint64_t index;                     /* ILEA_BLOB_LIST: the list */
    uint64_t asked_ms;
};

struct ilea_transfer_link {
    bool up, lied, lacks_list, lacks_some;
    uint32_t window, ask_count;
    struct ilea_transfer_ask asks[ILEA_ASK_CHUNKS_MAX];
    uint64_t heard_ms;                  /* when it last brought something that was asked for, or was first asked */
    uint64_t rest_ms;                   /* it is not asked before */
    uint64_t again_ms;                  /* what it lacked is forgotten then */
    uint8_t lacks[ILEA_BLOB_CHUNKS_MAX / 8];
};

/* The caller's memory, about 100 KiB. Nothing in it is the caller's to write. */
struct ilea_transfer {
    uint64_t now_ms;
    uint32_t author;                    /* its link, or ILEA_LINKS_MAX */
    bool has_list;
    uint32_t count, held;
    uint32_t turn;                      /* the link that is dealt to next */
    uint8_t have[ILEA_BLOB_CHUNKS_MAX / 8];
    uint8_t asked[ILEA_BLOB_CHUNKS_MAX / 8];
    bool list_asked;
    struct ilea_transfer_link links[ILEA_LINKS_MAX];
};

/* `author`: the link to whose document it is; ILEA_LINKS_MAX: there is none. */
void ilea_transfer_init(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t author);
/* The list is held: so many chunks, of which those in `have` are held too. At most once. */
void ilea_transfer_list(struct ilea_transfer *transfer, uint32_t count, const uint8_t *have);

/* A link came up, or its session is over: what was asked of it is lost. */
void ilea_transfer_link_up(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t link);
void ilea_transfer_link_down(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t link);

/* Whether this chunk (or the list) is on its way from this link. */
bool ilea_transfer_expects(const struct ilea_transfer *transfer, uint32_t link, uint64_t index);
/* A part of what is expected came: the link lives. */
void ilea_transfer_heard(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t link);
/* All of what was expected came. `good`: it is what its hash says, and is kept. */
void ilea_transfer_chunk(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t link, uint64_t index, bool good);
/* The peer has these not, or not for us. Whatever it says that was not asked is passed over. */
void ilea_transfer_none(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t link,
                        const struct ilea_chunk_range *range);

/* The next thing to ask: call it until it is false, after any of the above and at the deadline. *ask is without root.
 * */
bool ilea_transfer_next(struct ilea_transfer *transfer, uint64_t now_ms, uint32_t *link, struct ilea_chunk_ask *ask);
/* It could not be sent: as if it had not been asked, and the link rests a moment. */
void ilea_transfer_unasked(struct ilea_transfer *transfer, uint32_t link, const struct ilea_chunk_ask *ask);
uint64_t ilea_transfer_deadline(const struct ilea_transfer *transfer);

bool ilea_transfer_is_done(const struct ilea_transfer *transfer);
/* Nothing is on its way, and no link is known to have anything that is missing. */
bool ilea_transfer_is_stuck(const struct ilea_transfer *transfer);
/* Some link brought what is not of this document. */
bool ilea_transfer_met_liar(const struct ilea_transfer *transfer);

#endif
