/*
 * replica.h - read the local replica: every record that this node may read.
 *
 * The daemon's view worker is the only writer; any number of processes may read
 * at the same time, with no lock and no message to the daemon. Nothing here can
 * change a record.
 *
 * Ownership   Spans and pointers returned here are borrowed from a snapshot and valid
 *             until the next call on that snapshot, or its end. Nothing is yours to free.
 * Threads     A replica may be shared; a snapshot belongs to one thread at a time.
 * Processes   Open a home once per process, and not across fork().
 * Time        Keep a snapshot for seconds: while it lives the file it reads can only grow.
 * Errors      Every fallible call returns enum ilea_error; on failure no output is written.
 *
 * Print the titles of all needs:
 *
 *     struct ilea_replica *replica;
 *     struct ilea_snapshot *snapshot;
 *     struct ilea_record_info info = { .number = 0 };
 *     if (ilea_replica_open("/var/lib/ilea", &replica) != ILEA_ERROR_NONE) return 1;
 *     if (ilea_snapshot_begin(replica, &snapshot) == ILEA_ERROR_NONE) {
 *         while (ilea_snapshot_next(snapshot, "need", NULL, &info) == ILEA_ERROR_NONE) {
 *             struct ilea_value title;
 *             if (ilea_snapshot_value(snapshot, "title", 0, &title) == ILEA_ERROR_NONE) {
 *                 printf("%s %.*s\n", info.ref, (int)title.text.size, (const char *)title.text.data);
 *             }
 *         }
 *         ilea_snapshot_end(snapshot);
 *     }
 *     ilea_replica_close(replica);
 */
#ifndef ILEA_REPLICA_H
#define ILEA_REPLICA_H

#include "error.h"
#include "id.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ilea_replica;
struct ilea_snapshot;

enum { ILEA_REF_SIZE = 48 };

/* One record: what names it. */
struct ilea_record_info {
    uint64_t number;               /* local, rises with arrival; 0: none yet */
    struct ilea_agency_id agency;  /* its owner: only this agency changes it */
    char agency_code[20];          /* "FR-PN" */
    uint32_t type_number;
    char type[24];                 /* "need"; "type-77" if this version does not know it */
    struct ilea_record_id id;
    char ref[ILEA_REF_SIZE];       /* "FR-PN-N42"; empty if it has none */
    bool shared;                   /* for others: all agencies its owner approved, or ilea_record_audience();
                                    * else for ours alone */
    uint32_t conflicts;            /* fields with several concurrent values */
};

/* A closed audience: agencies that its owner chose. */
struct ilea_audience_name {
    uint8_t id[16];
    char owner_code[20];           /* "FR-PN"; this and name are empty while we know nothing of it */
    struct ilea_span name;         /* UTF-8: "GANGS"; people write FR-PN/GANGS */
};

enum ilea_value_form {
    ILEA_VALUE_TEXT = 1,   /* text */
    ILEA_VALUE_NUMBER,     /* number */
    ILEA_VALUE_ID,         /* bytes: a record id */
    ILEA_VALUE_PARTS       /* several texts: ilea_snapshot_part() */
};

struct ilea_value {
    enum ilea_value_form form;
    struct ilea_span key;      /* of a keyed field: its key ("en"); else empty */
    struct ilea_span text;     /* TEXT: UTF-8; ID: 16 bytes */
    uint64_t number;
    uint32_t part_count;
    struct ilea_span encoded;  /* the value as canonical MessagePack */
};

/* One visible change. */
struct ilea_change_info {
    uint64_t lsn;                  /* rises by one; never reused; the cursor */
    uint64_t record;               /* ilea_record_info.number */
    bool created;                  /* the record's first change seen here; else an update, or: */
    bool erased;                   /* a change that was shown is erased by its author; what it said is gone */
    bool has_id;                   /* of an erased one: its record is known, and the next two name it */
    struct ilea_record_id id;      /* the record may be gone with its last change: ilea_snapshot_by_number() */
    char type[24];
    uint64_t author_time_ms;       /* the author's clock, ms since 1970 UTC: a claim, not a fact */
    uint8_t feed[16];              /* first half of the feed id, then where in it: names the change for ever */
    uint64_t seq;
    uint32_t index;
    uint32_t field_count;          /* fields it wrote: ilea_snapshot_change_field() */
};

struct ilea_replica_status {
    uint64_t lsn;                  /* of the last change */
    uint64_t records;
    uint64_t position;             /* in the node's log, up to which the view has come */
    uint64_t parked;               /* items whose key has not come: not readable (yet) */
    uint64_t hidden;               /* items that this version cannot decode, or whose authors might not write them */
    uint64_t stale;                /* of closed audiences: shown, but written before their authors knew that somebody
                                    * had been removed, who may read them */
    uint8_t view[32];              /* equal on two nodes exactly when the records for all peers are the same */
};

/*
 * Open the replica of the node whose home directory is `home`. Gives *replica.
 *   ILEA_ERROR_NOT_FOUND   no home, or no view yet: start the node once
 *   ILEA_ERROR_VERSION     written in another format: use the library of the node's version
 *   ILEA_ERROR_PERMISSION  not readable by this user
 *   ILEA_ERROR_CORRUPT     damaged: the node rebuilds it; open again
 *   ILEA_ERROR_NO_MEMORY, ILEA_ERROR_IO
 */
ILEA_API ILEA_MUST_USE enum ilea_error ilea_replica_open(const char *home,
                                                         struct ilea_replica **replica);
/* All snapshots must have ended. NULL does nothing. */
ILEA_API void ilea_replica_close(struct ilea_replica *replica);

/*
 * One consistent state of everything, unmoved by later writes. Gives *snapshot.
 *   ILEA_ERROR_BUSY  too many readers: end some
 */
ILEA_API ILEA_MUST_USE enum ilea_error ilea_snapshot_begin(struct ilea_replica *replica,
                                                           struct ilea_snapshot **snapshot);
ILEA_API void ilea_snapshot_end(struct ilea_snapshot *snapshot);

ILEA_API ILEA_MUST_USE enum ilea_error ilea_snapshot_status(struct ilea_snapshot *snapshot,
                                                            struct ilea_replica_status *status);

/*
 * Make a record the snapshot's current one and describe it.
 *   next     the one after info->number (0: the first) in the order of type, agency, arrival; `type`
 *            and `agency` (a code) limit it and may be NULL
 *   by_ref   "FR-PN-N42", or a record id as UUID text; the first, where several agencies use one id
 *   by_number  as a change names it
 * ILEA_ERROR_NOT_FOUND (next: past the last), ILEA_ERROR_INVALID (unknown type or agency, or not a
 * ref), ILEA_ERROR_CORRUPT (the view is damaged and will be rebuilt: try again later).
 */
ILEA_API ILEA_MUST_USE enum ilea_error ilea_snapshot_next(struct ilea_snapshot *snapshot,
                                                          const char *type, const char *agency,
                                                          struct ilea_record_info *info);
ILEA_API ILEA_MUST_USE enum ilea_error ilea_snapshot_by_ref(struct ilea_snapshot *snapshot,
                                                            const char *ref,
                                                            struct ilea_record_info *info);
ILEA_API ILEA_MUST_USE enum ilea_error ilea_snapshot_by_number(struct ilea_snapshot *snapshot,
                                                               uint64_t number,
                                                               struct ilea_record_info *info);

/*
 * The closed audience that the current record is for; what it gives is borrowed like values.
 *   ILEA_ERROR_NOT_FOUND  none: it is for all peers, or for our agency alone
 */
ILEA_API ILEA_MUST_USE enum ilea_error ilea_record_audience(struct ilea_snapshot *snapshot,
                                                            struct ilea_audience_name *audience);

/*
 * The index-th value (from 0) of a field of the current record: elements of a set, keys of a keyed
 * field; of a field with concurrent values the one shown, once.
 *   ILEA_ERROR_NOT_FOUND  no (more) value; ILEA_ERROR_INVALID  its type has no such field
 */
ILEA_API ILEA_MUST_USE enum ilea_error ilea_snapshot_value(struct ilea_snapshot *snapshot,
                                                           const char *field, uint32_t index,
                                                           struct ilea_value *value);
/* The index-th of value->part_count texts. */
ILEA_API ILEA_MUST_USE enum ilea_error ilea_snapshot_part(const struct ilea_value *value,
                                                          uint32_t index, struct ilea_span *text);

/*
 * The first change whose lsn is above `since`. ILEA_ERROR_NOT_FOUND: none yet; ask again later with
 * the same `since`. No change is ever skipped. After an erasure a rebuilt view may give higher numbers than before:
 * then some changes come again.
 */
ILEA_API ILEA_MUST_USE enum ilea_error ilea_snapshot_change(struct ilea_snapshot *snapshot,
                                                            uint64_t since,
                                                            struct ilea_change_info *change);
/* Name of the index-th field of the change last returned, valid until the next call. */
ILEA_API ILEA_MUST_USE enum ilea_error ilea_snapshot_change_field(struct ilea_snapshot *snapshot,
                                                                  uint32_t index,
                                                                  const char **name);

#ifdef __cplusplus
}
#endif

#endif
