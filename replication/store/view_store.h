/*
 * view_store.h - the view: what the feeds add up to. Folder view/<generation>/, rebuildable at any
 * time from log/, never replicated. Tools read it; only the view's own worker writes it.
 *
 *   meta       "format", "meta"                  position in the log, counters, digest
 *   records    record number u64                 -> hash 32 | agency u32 | type u32 | scope u8 | id 16 | ref u32 |
 *                                                   record bytes   (raw)
 *   ids        id 16 | agency u32 | type u32     -> record number u64
 *   types      type u32 | agency u32 | record number u64 -> nothing
 *   refs       agency u32 | type u32 | ref u32 | id 16   -> record number u64
 *   changes    lsn u64                           -> one visible change
 *   parked     epoch id 16 | position u64 | index u32    -> nothing: items whose key has not come
 *   epochs     epoch id 16                       -> agency, audience, aek_commit, the key sealed to us
 *   unread     feed number u32 | seq u64 | index u32     -> why u8: items that cannot be read
 *   history    record number u64 | lsn u64       -> nothing: the changes of records of our own agency
 *   documents  root 32 | record number u64       -> size u64 | key 32: of a document that a record names
 *   agencies   agency number u32                 -> agency id, code, country, name, hash of its manifest
 *   epoch_places audience 16 | epoch id 16 | feed number u32 -> position u64: where an AUDIENCE (feed 0) or a WRITER
 *                                                   stated an epoch of a closed audience first, whether or not its key
 *                                                   is ours. Epoch id zeros: the feed's first naming statement
 *   statements audience 16 | position u64        -> commit id 32 | 1 if it removes somebody: its owner's AUDIENCEs
 *   audiences  audience 16                       -> owner's number, tlp, our level, name: what readers are told
 *   record_changes record number u64 | position u64 | index u32 -> lsn u64, 0: not shown     all changes of a record
 *   change_records position u64 | index u32      -> record number u64; of a parked item: epoch id 16
 *   strays     position u64 | index u32          -> nothing: changes of our own that are to be erased, never shown
 *   stale      position u64 | index u32          -> nothing: changes of closed audiences whose writers did not know yet
 *                                                   that somebody was removed
 *   orphans    record number u64                 -> nothing: own records about a record that was erased: to be, too
 *   concealed  record number u64                 -> nothing: records of others about one that was erased; readers pass
 *                                                   over them until their agencies erase them. Not so after a rebuild,
 *                                                   so they count in the digest
 *
 * The hash in a record's row is H(RECORD, agency id || type u64 || scope u64 || id || record bytes): a
 * checksum of the row, and what the view's digest adds up.
 *
 * lsn rises by one for each change that becomes visible, in the order of the log, so that a rebuild
 * gives every change the lsn it had: keys are used from the log position on where they arrived. Only what
 * was cut off its feed since is left out. What is erased leaves its lsn behind: in a rebuild an lsn is given out for it
 * as well, and perhaps for more than were shown, so that a cursor never misses a change but may see one again.
 */
#ifndef ILEA_STORE_VIEW_STORE_H
#define ILEA_STORE_VIEW_STORE_H

#include "crypto/blob.h"
#include "crypto/keyring.h"
#include "include/ilea/id.h"
#include "replication/record/audience.h"
#include "replication/record/change.h"
#include "replication/record/put.h"
#include "replication/store/environment.h"

enum { ILEA_VIEW_FORMAT = 5, ILEA_CHANGE_FIELDS_MAX = 256, ILEA_VIEW_AGENCIES_MAX = 1024 };

/* In memory during a write transaction: load, change, store. */
struct ilea_view_meta {
    uint8_t database[16];      /* of the log it was made from */
    uint64_t position;         /* of the log: all up to here is in the view */
    uint64_t lsn;              /* last given out */
    uint64_t record;           /* last record number */
    uint64_t records;          /* how many records there are */
    uint64_t shared;           /* how many of them are for all peers and never were for others */
    uint64_t parked;           /* items whose key is not held */
    uint64_t hidden;           /* items that do not decode, of a newer format, or of who might not write them */
    uint64_t stale;            /* items of closed audiences whose writers lacked a removal that was here before */
    uint64_t documents;        /* how often a row of documents came or went */
    uint64_t truncations;      /* ilea_log_truncations() when it was begun */
    uint8_t digest[ILEA_HASH_SIZE]; /* sum mod 2^256 of the hashes of those */
};

struct ilea_view_row {
    uint64_t number;           /* 0: not in the view yet */
    uint32_t agency;           /* its number in agencies */
    uint32_t type;
    enum ilea_scope scope;     /* as it says itself who it is for */
    bool closed;               /* some of what it is made of is, or replaces what was, for a closed audience */
    struct ilea_record_id id;
    uint32_t ref;              /* number in its ref; 0: none */
    uint8_t hash[ILEA_HASH_SIZE];
    struct ilea_span state;    /* record bytes, borrowed */
};

enum ilea_view_change_kind { ILEA_VIEW_UPDATED = 0, ILEA_VIEW_CREATED, ILEA_VIEW_ERASED };

struct ilea_view_change {
    uint64_t lsn;
    uint64_t record;           /* 0: of an erased one that is not known any more */
    struct ilea_dot dot;
    uint64_t time_ms;          /* the author's claim; 0 of an erased one */
    enum ilea_view_change_kind kind;
    uint32_t type;             /* of an erased one, if its record is known: these two name it, its row may be gone */
    struct ilea_record_id id;
    uint32_t field_count;
    uint32_t fields[ILEA_CHANGE_FIELDS_MAX]; /* that the change wrote; at most so many are named */
};

/* Where in the log an item stands. */
struct ilea_view_place {
    uint64_t position;
    uint32_t index;
};

/* One change of a record, shown or not. */
struct ilea_view_record_change {
    uint64_t record;           /* 0: a parked item */
    struct ilea_view_place place;
    uint64_t lsn;              /* 0: it is not shown */
};

struct ilea_view_agency {
    uint32_t number;
    struct ilea_agency_id id;
    struct ilea_span code, country, name; /* borrowed */
    uint8_t manifest[ILEA_HASH_SIZE];     /* of the bytes that say so: names may change with the next one */
};

/* An epoch key we can open, as its statement gave it. */
struct ilea_view_epoch {
    uint32_t agency;           /* whose statement it was */
    struct ilea_audience_id audience;
    uint8_t aek_commit[ILEA_HASH_SIZE];
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE];
};

/* An AUDIENCE of its owner. */
struct ilea_view_statement {
    uint64_t position;
    struct ilea_commit_id id;
    bool removes;              /* somebody */
};

/* A closed audience, as readers are told of it. */
struct ilea_view_audience {
    struct ilea_audience_id id;
    uint32_t owner;            /* its number in agencies */
    uint32_t tlp;              /* the widest label it takes; 0: not known yet */
    uint32_t level;            /* ours (enum ilea_access) by its owner's statements, as far as the view has come */
    struct ilea_span name;     /* borrowed; may be empty */
};

/* Errors as ilea_environment_open(). */
ILEA_MUST_USE enum ilea_error ilea_view_open(const char *path, bool read_only, bool create,
                                             struct ilea_environment **environment);

ILEA_MUST_USE enum ilea_error ilea_view_load_meta(struct ilea_transaction *txn,
                                                  struct ilea_view_meta *meta);
ILEA_MUST_USE enum ilea_error ilea_view_store_meta(struct ilea_transaction *txn,
                                                   const struct ilea_view_meta *meta);

/* All reads: NOT_FOUND, CORRUPT (rebuild the view). */
ILEA_MUST_USE enum ilea_error ilea_view_get(struct ilea_transaction *txn, uint64_t number,
                                            struct ilea_view_row *row);
/* As get, and checks the row's hash; agency is the id of row->agency. */
ILEA_MUST_USE enum ilea_error ilea_view_check(const struct ilea_view_row *row,
                                              const struct ilea_agency_id *agency);
ILEA_MUST_USE enum ilea_error ilea_view_find(struct ilea_transaction *txn, uint32_t agency,
                                             uint32_t type, const struct ilea_record_id *id,
                                             struct ilea_view_row *row);
/* The index-th record (from 0) with this id, whoever's it is and of whatever type. */
ILEA_MUST_USE enum ilea_error ilea_view_find_id(struct ilea_transaction *txn,
                                                const struct ilea_record_id *id, uint32_t index,
                                                struct ilea_view_row *row);
/* The index-th record (from 0) with this ref number; after a restore there may be several. */
ILEA_MUST_USE enum ilea_error ilea_view_find_ref(struct ilea_transaction *txn, uint32_t agency,
                                                 uint32_t type, uint32_t ref, uint32_t index,
                                                 struct ilea_view_row *row);
/* Which of the records with its ref number this is, from 0: the letter after the number; at most
 * ILEA_REF_INDEX_MAX, from where on records are told apart by their ids alone. */
enum { ILEA_REF_INDEX_MAX = 26 };
ILEA_MUST_USE enum ilea_error ilea_view_ref_index(struct ilea_transaction *txn,
                                                  const struct ilea_view_row *row,
                                                  uint32_t *index);
/* Next record of a type (0: of any) after (agency, record number); both 0 for the first. `agency_only`
 * not 0: of this agency alone. In the order of type, agency, record number. */
ILEA_MUST_USE enum ilea_error ilea_view_next(struct ilea_transaction *txn, uint32_t type,
                                             uint32_t agency_only, struct ilea_view_row *row);
ILEA_MUST_USE enum ilea_error ilea_view_change(struct ilea_transaction *txn, uint64_t lsn,
                                               struct ilea_view_change *change);
ILEA_MUST_USE enum ilea_error ilea_view_agency(struct ilea_transaction *txn, uint32_t number,
                                               struct ilea_view_agency *agency);
ILEA_MUST_USE enum ilea_error ilea_view_agency_by_code(struct ilea_transaction *txn,
                                                       struct ilea_span code,
                                                       struct ilea_view_agency *agency);

/*
 * Put a record's new state: row->number 0 gives it a number and its index rows; else it replaces what
 * was there (`before`, its old row, is needed for the digest). Updates *meta; computes row->hash.
 */
ILEA_MUST_USE enum ilea_error ilea_view_put(struct ilea_transaction *txn,
                                            struct ilea_view_meta *meta,
                                            const struct ilea_agency_id *agency,
                                            struct ilea_view_row *row,
                                            const struct ilea_view_row *before);
/* change->lsn is set to the next one. */
ILEA_MUST_USE enum ilea_error ilea_view_add_change(struct ilea_transaction *txn,
                                                   struct ilea_view_meta *meta,
                                                   struct ilea_view_change *change);
/* A change that was shown is no more: what it said goes, its lsn, dot and record stay. */
ILEA_MUST_USE enum ilea_error ilea_view_bury_change(struct ilea_transaction *txn, uint64_t lsn, uint32_t type,
                                                    const struct ilea_record_id *id);
/* A record whose changes are all erased. */
ILEA_MUST_USE enum ilea_error ilea_view_drop_record(struct ilea_transaction *txn, struct ilea_view_meta *meta,
                                               const struct ilea_view_row *row);

ILEA_MUST_USE enum ilea_error ilea_view_put_record_change(struct ilea_transaction *txn,
                                                          const struct ilea_view_record_change *change);
ILEA_MUST_USE enum ilea_error ilea_view_note_parked(struct ilea_transaction *txn, const struct ilea_view_place *place,
                                                    const struct ilea_epoch_id *epoch);
/* The change at a place; record 0: it is parked under *epoch. NOT_FOUND: nothing that can be read. */
ILEA_MUST_USE enum ilea_error ilea_view_change_at(struct ilea_transaction *txn, const struct ilea_view_place *place,
                                                  struct ilea_view_record_change *change,
                                                  struct ilea_epoch_id *epoch);
ILEA_MUST_USE enum ilea_error ilea_view_drop_change(struct ilea_transaction *txn,
                                                    const struct ilea_view_record_change *change);
/* The next one of change->record in the order of the log, after the place in *change. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_view_record_change_next(struct ilea_transaction *txn,
                                                           struct ilea_view_record_change *change);

/* Walk with *place and *record zero at first. NOT_FOUND at the end. */
ILEA_MUST_USE enum ilea_error ilea_view_put_stray(struct ilea_transaction *txn, const struct ilea_view_place *place);
ILEA_MUST_USE enum ilea_error ilea_view_drop_stray(struct ilea_transaction *txn, const struct ilea_view_place *place);
ILEA_MUST_USE enum ilea_error ilea_view_stray_next(struct ilea_transaction *txn, struct ilea_view_place *place);
/* A change whose writer did not know of a removal yet; dropping what is not there is success. */
ILEA_MUST_USE enum ilea_error ilea_view_put_stale(struct ilea_transaction *txn, struct ilea_view_meta *meta,
                                                  const struct ilea_view_place *place);
ILEA_MUST_USE enum ilea_error ilea_view_drop_stale(struct ilea_transaction *txn, struct ilea_view_meta *meta,
                                                   const struct ilea_view_place *place);
ILEA_MUST_USE enum ilea_error ilea_view_put_orphan(struct ilea_transaction *txn, uint64_t record);
ILEA_MUST_USE enum ilea_error ilea_view_orphan_next(struct ilea_transaction *txn, uint64_t *record);
ILEA_MUST_USE enum ilea_error ilea_view_conceal(struct ilea_transaction *txn, uint64_t record);
bool ilea_view_is_concealed(struct ilea_transaction *txn, uint64_t record);

ILEA_MUST_USE enum ilea_error ilea_view_put_agency(struct ilea_transaction *txn,
                                                   const struct ilea_view_agency *agency);
ILEA_MUST_USE enum ilea_error ilea_view_put_epoch(struct ilea_transaction *txn,
                                                  const struct ilea_view_epoch *epoch);
/* The index-th epoch, from 0. */
ILEA_MUST_USE enum ilea_error ilea_view_epoch(struct ilea_transaction *txn, uint32_t index,
                                              struct ilea_view_epoch *epoch);
/* Take back a parked item that was erased. */
ILEA_MUST_USE enum ilea_error ilea_view_drop_parked(struct ilea_transaction *txn, struct ilea_view_meta *meta,
                                                    const struct ilea_epoch_id *epoch,
                                                    const struct ilea_view_place *place);
ILEA_MUST_USE enum ilea_error ilea_view_park(struct ilea_transaction *txn,
                                             struct ilea_view_meta *meta,
                                             const struct ilea_epoch_id *epoch, uint64_t position,
                                             uint32_t index);
/* Take the first item parked under an epoch, in the order of the log. NOT_FOUND: none. */
ILEA_MUST_USE enum ilea_error ilea_view_unpark(struct ilea_transaction *txn,
                                               struct ilea_view_meta *meta,
                                               const struct ilea_epoch_id *epoch,
                                               uint64_t *position, uint32_t *index);

/* An item that cannot be read, and why (enum ilea_unread); or no longer. */
struct ilea_view_unread {
    uint32_t feed;             /* its number in the log */
    uint64_t seq;
    uint32_t index;
    uint32_t why;
};
ILEA_MUST_USE enum ilea_error ilea_view_put_unread(struct ilea_transaction *txn,
                                                   const struct ilea_view_unread *item);
ILEA_MUST_USE enum ilea_error ilea_view_drop_unread(struct ilea_transaction *txn, uint32_t feed,
                                                    uint64_t seq, uint32_t index);
/* Why the item at (feed, seq, index) in *item cannot be read. NOT_FOUND: it can, or is none. */
ILEA_MUST_USE enum ilea_error ilea_view_get_unread(struct ilea_transaction *txn, struct ilea_view_unread *item);
/* The first one that comes after (feed, seq, index) in *item. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_view_unread_next(struct ilea_transaction *txn,
                                                    struct ilea_view_unread *item);

/* A change of a record of our own agency; the lsn of its next one after *lsn (0: the first). NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_view_put_history(struct ilea_transaction *txn, uint64_t record,
                                                    uint64_t lsn);
ILEA_MUST_USE enum ilea_error ilea_view_drop_history(struct ilea_transaction *txn, uint64_t record,
                                                     uint64_t lsn);
ILEA_MUST_USE enum ilea_error ilea_view_history_next(struct ilea_transaction *txn, uint64_t record,
                                                     uint64_t *lsn);

/* That a record names a document. *meta counts what changes. Dropping what is not there is success. */
struct ilea_view_document {
    struct ilea_blob_id root;
    uint64_t record;
    uint64_t size;
    struct ilea_blob_key key;
};
ILEA_MUST_USE enum ilea_error ilea_view_put_document(struct ilea_transaction *txn, struct ilea_view_meta *meta,
                                                     const struct ilea_view_document *document);
ILEA_MUST_USE enum ilea_error ilea_view_drop_document(struct ilea_transaction *txn, struct ilea_view_meta *meta,
                                                      const struct ilea_blob_id *root, uint64_t record);
/* The first row that comes after (root, record) in *document; zeros: the first of all. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_view_document_next(struct ilea_transaction *txn,
                                                      struct ilea_view_document *document);

/* Where an epoch of an audience stands; `feed` 0: of an AUDIENCE. The first place stays. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_view_put_epoch_place(struct ilea_transaction *txn,
                                                        const struct ilea_audience_id *audience,
                                                        const struct ilea_epoch_id *epoch, uint32_t feed,
                                                        uint64_t position);
ILEA_MUST_USE enum ilea_error ilea_view_epoch_place(struct ilea_transaction *txn,
                                                    const struct ilea_audience_id *audience,
                                                    const struct ilea_epoch_id *epoch, uint32_t feed,
                                                    uint64_t *position);
/* The owner's next one after statement->position (0: the first). NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_view_put_statement(struct ilea_transaction *txn,
                                                      const struct ilea_audience_id *audience,
                                                      const struct ilea_view_statement *statement);
ILEA_MUST_USE enum ilea_error ilea_view_statement_next(struct ilea_transaction *txn,
                                                       const struct ilea_audience_id *audience,
                                                       struct ilea_view_statement *statement);
/* What readers are told. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_view_audience(struct ilea_transaction *txn, const struct ilea_audience_id *id,
                                                 struct ilea_view_audience *audience);
ILEA_MUST_USE enum ilea_error ilea_view_put_audience(struct ilea_transaction *txn,
                                                     const struct ilea_view_audience *audience);

/* Equal on two nodes exactly when the records are the same that are for all peers and never were for a closed audience:
 * H(VIEW, number of them || digest). */
void ilea_view_digest(const struct ilea_view_meta *meta, uint8_t hash[ILEA_HASH_SIZE]);

#endif
