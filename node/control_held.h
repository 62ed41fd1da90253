/*
 * control_held.h - the frame of control.h that asks how far peers acknowledged feeds over their own links.
 *
 *   HELD       [ feed: bin 32 ... ]
 *     answer   [ [agency: bin 32, [ seq ... ]] ... ]      one for each link, with one number for each feed
 */
#ifndef ILEA_NODE_CONTROL_HELD_H
#define ILEA_NODE_CONTROL_HELD_H

#include "node/control.h"

enum { ILEA_HELD_FEEDS_MAX = 64, ILEA_HELD_LINKS_MAX = 64 };

struct ilea_control_held {
    uint32_t feed_count, link_count;
    struct {
        struct ilea_agency_id agency;
        uint64_t seqs[ILEA_HELD_FEEDS_MAX];
    } links[ILEA_HELD_LINKS_MAX];
};

void ilea_control_put_held(struct ilea_msgpack_writer *writer, const struct ilea_control_held *held);
ILEA_MUST_USE enum ilea_error ilea_control_get_held(struct ilea_span body, struct ilea_control_held *held);
/* Ask the daemon of a home. NOT_FOUND: none runs. */
ILEA_MUST_USE enum ilea_error ilea_control_ask_held(const char *home, const struct ilea_feed_id *feeds,
                                                    uint32_t count, struct ilea_control_held *held);

#endif
