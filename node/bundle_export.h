/*
 * bundle_export.h - what goes into a bundle for a peer: what a link to it would carry, and it does not hold yet.
 */
#ifndef ILEA_NODE_BUNDLE_EXPORT_H
#define ILEA_NODE_BUNDLE_EXPORT_H

#include "node/agency.h"
#include "node/audience_log.h"
#include "node/bundle_file.h"
#include "replication/core/limits.h"

/* What is known of one of our feeds. */
struct ilea_bundle_feed {
    bool goes;             /* a link would carry it */
    bool is_forked;        /* and there is an open proof */
    struct ilea_feed_id id;
    struct ilea_agency_id agency;
    uint64_t since, told;  /* held by the peer; what of it counts here */
};

struct ilea_bundle_export {
    struct ilea_log *log;
    const struct ilea_keys *keys;      /* borrowed */
    struct ilea_agency own, peer;
    struct ilea_transaction *txn;
    struct ilea_audience_cache *audiences;      /* a short one; it is begun anew every now and then */
    uint32_t agency_count;             /* whose feeds go */
    struct ilea_agency_id agencies[ILEA_AGENCIES_MAX + 1];
    uint32_t feed_count;
    struct ilea_bundle_feed *feeds;    /* by number - 1 */
    uint64_t commits, bytes;           /* written */
    /* Called after each chunk of commits; may be NULL. */
    void (*progress)(void *context, uint64_t commits);
    void *context;
    struct ilea_bundle_writer writer, next;
    size_t run_size;                   /* commits of one feed that are gathered: encoded bins */
    uint32_t run_count, run_feed;
    struct ilea_position run_last;
    uint8_t run[ILEA_MESSAGE_SIZE_MAX], body[ILEA_MESSAGE_SIZE_MAX];
};

/*
 * Begin; *export is large: on the heap, and ended also after a failure. `name`: a code or the start of an id. All that
 * follow write a `reason` (ILEA_REASON_SIZE) that says what to do.
 *   ILEA_ERROR_NOT_FOUND  no such agency     ILEA_ERROR_PERMISSION  it is no approved peer
 */
ILEA_MUST_USE enum ilea_error ilea_bundle_export_begin(struct ilea_bundle_export *export, struct ilea_log *log,
                                                       const struct ilea_keys *keys, const char *name, char *reason);
void ilea_bundle_export_end(struct ilea_bundle_export *export);

/* A frontier, from the peer or written beside an earlier bundle for it: what it tells of is left out.
 *   ILEA_ERROR_NOT_FOUND, INVALID (not for us, or not about this peer), BAD_HASH, BAD_SIGNATURE */
ILEA_MUST_USE enum ilea_error ilea_bundle_export_since(struct ilea_bundle_export *export, const char *path,
                                                       char *reason);
/* The bundle, in parts of at most `split` bytes (0: one), and PATH.next. EXISTS: one of the files. */
ILEA_MUST_USE enum ilea_error ilea_bundle_export_write(struct ilea_bundle_export *export, const char *path,
                                                       uint64_t split, char *reason);
/* A frontier of ours for the peer. */
ILEA_MUST_USE enum ilea_error ilea_bundle_export_frontier(struct ilea_bundle_export *export, const char *path,
                                                          uint32_t *feeds, char *reason);

#endif
