/*
 * limits.h - what the replicator holds and how long it waits. Times in ms.
 */
#ifndef ILEA_CORE_LIMITS_H
#define ILEA_CORE_LIMITS_H

#include "replication/record/limits.h"

enum {
    ILEA_LINKS_MAX = 64,     /* peers with a link; more agencies are reached through them */
    ILEA_AGENCIES_MAX = 512, /* followed agencies */
    ILEA_FEEDS_MAX = 4096,   /* feeds of all of them */
    ILEA_AGENCY_FEEDS_MAX = 1024, /* of one other agency: it must not use up the room of all */
    ILEA_FEED_SLOTS = 8192,  /* hash slots: a power of two, at most half full */
    ILEA_UNVERIFIED_FEEDS_MAX = 64, /* feeds a peer announced and none of whose commits came yet */
    ILEA_EFFECTS_MAX = 2048,
    ILEA_EFFECT_BYTES_MAX = 3 * ILEA_MESSAGE_SIZE_MAX, /* messages composed in one step */

    /* What a peer may have on the way to us: enough to keep a disk and a core busy, small enough to
     * hold for 64 peers. */
    ILEA_CREDIT_WINDOW = 4 * 1024 * 1024,
    ILEA_NOTES_MAX = 2048, /* entries in one NOTE */
    ILEA_FRONTIER_ENTRIES_MAX = 2048, /* entries and forks in one FRONTIER message */
    ILEA_MANIFESTS_MAX = 256,         /* manifests in one MANIFEST */
    ILEA_ARCHIVE_BUCKETS = 256,       /* by the first byte of a feed's id */
    ILEA_ARCHIVE_PART_MAX = 64,       /* archived feeds told at once */
    ILEA_ARCHIVE_PLAIN_MAX = 64,      /* so few, and they are asked for without the buckets' sums */
    ILEA_REVIVED_FEEDS_MAX = 128,     /* archived feeds a peer asked for, at once */

    /* SIDE: what may be sent at once, and bytes a ms after that; and the same of what is taken, with room for
     * what was held up on the way. */
    ILEA_SIDE_SIZE_MAX = 132 * 1024,
    ILEA_SIDE_BURST = 160 * 1024,
    ILEA_SIDE_RATE = 16,
    ILEA_SIDE_BURST_IN = 640 * 1024,
    ILEA_SIDE_RATE_IN = 64,
    ILEA_SIDE_CREDIT_MAX = 16 * 257 * 1024, /* what a link may have asked for beyond that: 16 chunks of documents */

    ILEA_GREETING_MS = 5000,   /* no answer to HELLO or BIND: try again */
    ILEA_KEEPALIVE_MS = 5000,  /* nothing sent for so long: send an empty CREDIT */
    ILEA_SILENCE_MS = 15000,   /* nothing heard for so long: the link is dead */
    ILEA_STALL_MS = 2000,      /* a feed that should be coming does not: ask another link */
    ILEA_BUSY_MS = 60000,      /* the same of a link that brings other things meanwhile */
    ILEA_STALL_END_MS = 10000, /* and there is no other: the session is at fault */
    ILEA_ARCHIVE_MS = 60000,   /* an archived feed is held for a peer that lacks it, since it last took some */
    ILEA_ARCHIVE_CHECK_MS = 250,
    ILEA_NOTE_DELAY_MS = 250,  /* announcements to lazy links are gathered for so long */
    ILEA_WAIT_MS = 10000,      /* a commit that came too early is asked for again after so long; then twice as long */
    ILEA_WAIT_MS_MAX = 3600000,
    ILEA_SHUN_MS = 10000,      /* who brought a wrong branch of a feed is not asked for it again for so long */
    ILEA_WANTS_MAX = 16,       /* damaged commits being asked for at once */
    ILEA_WANT_MS = 1000,       /* between two WANTs on a link */
    ILEA_BACKOFF_MS_MIN = 200, /* before a session that ended badly is tried again; doubled each time */
    ILEA_BACKOFF_MS_MAX = 30000
};

_Static_assert(ILEA_FEEDS_MAX * 2 <= ILEA_FEED_SLOTS, "feed table at most half full");
_Static_assert((ILEA_FEED_SLOTS & (ILEA_FEED_SLOTS - 1)) == 0, "feed slots: a power of two");
_Static_assert(ILEA_CREDIT_WINDOW >= 2 * ILEA_MESSAGE_SIZE_MAX, "a window holds several messages");
_Static_assert(ILEA_FRONTIER_ENTRIES_MAX * (1 + 34 + 34 + 9)
               + ILEA_AGENCIES_MAX * (34 + 1 + 3 * 34 + 2 * 9 + 6) + 64 <= ILEA_MESSAGE_SIZE_MAX,
               "a FRONTIER message fits");
_Static_assert(ILEA_SIDE_SIZE_MAX + 64 <= ILEA_MESSAGE_SIZE_MAX && (int)ILEA_SIDE_SIZE_MAX <= (int)ILEA_SIDE_BURST
                   && (int)ILEA_SIDE_BURST < (int)ILEA_SIDE_BURST_IN,
               "a SIDE message fits, and whoever keeps to the rate is never blamed");
_Static_assert((int)ILEA_ARCHIVE_PART_MAX <= (int)ILEA_UNVERIFIED_FEEDS_MAX, "a part can be noted down");

#endif
