/*
 * log_store.h - the log: everything that must not be lost. Folder log/, mode 0700.
 *
 *   meta        "format", "identity"          network, our agency, database id; our card; policy; counters
 *   feeds       feed number u32               -> whose it is, last seq and commit id, limit, the writer's own state
 *   feed_ids    feed id 32                    -> feed number
 *   commits     log position u64, appended    -> feed number u32 | seq u64 | the commit's bytes     (raw)
 *   chain       feed number u32 | seq u64     -> log position u64 | size u32 | commit id 32
 *   agencies    agency id 32                  -> number, what its card says beside the manifests, what we decided
 *   manifests   agency id 32 | index u64      -> signed manifest
 *   epochs      audience 16 | number u64 | epoch id 16 -> who has its key: our own epochs, and in our closed audiences
 *                                                those of all other writers, which have number 0
 *   audiences   audience 16                   -> owner 32 | salt 16 of each closed audience that we have a feed of
 *   statements  audience 16 | commit id 32    -> feed number u32 | seq u64: its control statements
 *   counters    type u32                      -> last number given out in a ref
 *   forks       feed id 32                    -> hash 32 | seq u64 | the proof kept of it
 *   namings     feed id 32 | seq u64 | feed number u32 -> commit id 32: the last feed's opening names this position
 *   archive     agency id 32                  -> count u32 | sum 32 of its archived feeds
 *               agency id 32 | feed id 32     -> seq u64 | commit id 32 of one
 *   audit       seq u64                       -> hash 32 | entry
 *   audit_acts  hash of an act 32             -> seq u64 of its entry
 *   proposals   number u32                    -> an act that waits for signatures
 *   invites     id 16                         -> an invitation
 *   receipts    author 32 | holder 32         -> the newest receipt of that pair; what it says, if it is for us
 *   receipt_stamps stamp u64                  -> author 32 | holder 32, in the order in which they came or were made
 *   receipt_from   agency id 32               -> how far we have taken the receipts of that peer
 *   documents   root 32                       -> a document that is held in blobs/, or is to be
 *   erased      agency id 32 | feed 16 | seq u64 | index u32 | leaf 32
 *                                             -> flags u8 | feed number u32 | seq u64: an item that is erased
 *   gone        type u32 | record id 16       -> our own records that were erased or narrowed: since when, why, how far
 *                                                that is stated
 *   erase_days  agency id 32                  -> day u32 | count u32 | due u32: items erased for it that day
 *
 * A commit is one value under an ever rising position: sequential writing costs an eighth of random
 * writing in LMDB, and readers of the log (the view) walk it in the order of arrival.
 *
 * *A commit counts if its row in `chain` points to its position.* A feed that is cut off (log_feed.c) loses
 * rows of `chain` alone: its commits stay where they are as evidence, and whoever walks `commits` asks
 * ilea_log_counts().
 *
 * *An item that is erased leaves its leaf in its commit's slot*; where it was here before, a marker at the end of
 * `commits` tells those who follow the log, in place of a commit's bytes: 0x01 | index u32, under feed and seq of the
 * commit that it was in.
 *
 * A write transaction covers many commits (group commit). Nothing is visible or durable before its
 * commit returns. One writer a process, one process a log: guarded by the home's lock.
 */
#ifndef ILEA_STORE_LOG_STORE_H
#define ILEA_STORE_LOG_STORE_H

#include "crypto/blob.h"
#include "crypto/keyring.h"
#include "include/ilea/id.h"
#include "replication/record/change.h"
#include "replication/record/commit.h"
#include "replication/record/erase.h"
#include "replication/record/manifest.h"
#include "replication/record/statement.h"
#include "replication/store/environment.h"

enum { ILEA_LOG_FORMAT = 6, ILEA_DATABASE_ID_SIZE = 16, ILEA_INVITE_ID_SIZE = 16, ILEA_INVITE_KEY_SIZE = 32,
       ILEA_EPOCH_READER_SIZE = 64, ILEA_PROPOSAL_SIG_SIZE = 96, ILEA_PAYLOAD_SIZE_MAX = 256 * 1024,
       ILEA_AGENCY_TEXT_MAX = 1000, ILEA_GONE_REASON_MAX = 200, ILEA_CONTROLS_STAMP_SIZE = 16 };

#define ILEA_SEQ_NONE UINT64_MAX /* of a limit: there is none */

struct ilea_log_identity {
    struct ilea_network_id network;
    struct ilea_agency_id agency;
    uint8_t database[ILEA_DATABASE_ID_SIZE]; /* random, made with the log: a copy has the same */
};

struct ilea_feed_row {
    uint32_t number;
    struct ilea_feed_id id;
    struct ilea_feed_origin origin;
    uint64_t seq;                     /* last held; 0: opened and empty */
    struct ilea_commit_id head;
    uint64_t run;                     /* of our own: the last running number written, and its leaf */
    uint8_t last_leaf[ILEA_HASH_SIZE];
    bool closed;                      /* of our own: never written to again */
    /* The log's own, which writing a row does not change: */
    uint64_t limit_seq;               /* nothing beyond it counts or is accepted; ILEA_SEQ_NONE: no limit */
    struct ilea_commit_id limit_id;   /* the commit at limit_seq; zeros where that is 0 or none, or (of a fork)
                                         not held */
    uint8_t fork[ILEA_HASH_SIZE];     /* hash of the proof of a fork that nobody resolved; zeros: none */
    uint64_t named_seq;               /* highest seq at which a held opening of the same agency and scope names
                                         it with the id that we hold; 0: none does */
    bool archived;                    /* shared, not forked, and named at its last seq: somebody went on elsewhere */
};

/* The same words everywhere: on screens, in JSON, in the log. */
enum ilea_agency_state {
    ILEA_AGENCY_SELF = 0,
    ILEA_AGENCY_PENDING,
    ILEA_AGENCY_APPROVED,
    ILEA_AGENCY_SUSPENDED,
    ILEA_AGENCY_REVOKED,
    ILEA_AGENCY_DECLINED
};
const char *ilea_agency_state_name(enum ilea_agency_state state);
struct ilea_agency_row;
/* Whether what it says of members of closed audiences counts here: we follow it, or will again. */
bool ilea_agency_counts(const struct ilea_agency_row *agency);

/* How an agency's fingerprint or code was compared. */
enum ilea_verified { ILEA_VERIFIED_NO = 0, ILEA_VERIFIED_CODE, ILEA_VERIFIED_OFFLINE_CODE };

enum ilea_agency_origin { ILEA_FROM_CARD = 0, ILEA_FROM_LOBBY, ILEA_FROM_INVITE };

/* What an approval lets the other agency do. */
enum {
    ILEA_GRANT_CONNECT = 1, /* hold a link with us */
    ILEA_GRANT_FOLLOW = 2,  /* we follow its feeds */
    ILEA_GRANT_RELAY = 4,   /* feeds of third agencies go over the link */
    ILEA_GRANT_INVITE = 8   /* its vouches are shown */
};

struct ilea_grant {
    uint32_t scopes;        /* ILEA_GRANT_ */
    uint32_t tlp_max;       /* 1 CLEAR ... 5 RED */
    struct ilea_span areas; /* codes, separated by commas; empty: all */
    uint64_t expires_ms;    /* wall clock; 0: never */
};

/* Texts are at most ILEA_AGENCY_TEXT_MAX bytes each; spans borrow the transaction. */
struct ilea_agency_row {
    struct ilea_agency_id id;
    uint32_t number;                  /* small and local: in keys of the view */
    enum ilea_agency_state state;
    uint64_t changed_ms;              /* wall clock, for people */
    struct ilea_span endpoint, lobby; /* of its newest card, as made_ms */
    uint64_t made_ms;
    struct ilea_grant grant;          /* means something from approved on */
    uint32_t verified;                /* enum ilea_verified */
    uint64_t decided;                 /* audit seq of the decision that made `state`; 0: none */
    struct ilea_span reason;          /* why suspended, declined or revoked: one line, may be empty */
    enum ilea_agency_origin origin;
    uint64_t asked_ms;                /* of a request, as note and address */
    struct ilea_span note, address;
};

struct ilea_policy {
    uint32_t approvals; /* how many admins sign a decision: 1..16 */
    bool unverified;    /* approval without a compared code is allowed */
    bool four_eyes;     /* as the configuration was seen last, so that a change of it is noted */
};

struct ilea_epoch_row {
    struct ilea_audience_id audience; /* implicit ones have ids too */
    uint32_t label;                   /* TLP that it is for; 0: any that its audience takes */
    uint64_t number;                  /* of a WRITER 0 */
    uint8_t aek_commit[ILEA_HASH_SIZE];
    struct ilea_commit_id statement;  /* the commit that carries it */
    struct ilea_agency_id agency;     /* whose feed that is in, its number, and where */
    uint32_t feed;
    uint64_t seq;
    bool restricted;                  /* a WRITER that is sealed to fewer than its writer knew to be allowed */
    uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE]; /* to our own reading key; zeros: not looked for yet (a WRITER's) */
    uint32_t reader_count;
    struct ilea_span readers;         /* agency id || reading key of each, ascending, 64 bytes: borrowed */
};

/* A closed audience that we have a feed of. */
struct ilea_audience_row {
    struct ilea_audience_id audience;
    struct ilea_agency_id owner;
    uint8_t salt[ILEA_AUDIENCE_SALT_SIZE];
};

/* A commit with an AUDIENCE or SUSPEND, and where it stands. */
struct ilea_control_row {
    struct ilea_audience_id audience;
    struct ilea_commit_id id;
    uint32_t feed;
    uint64_t seq;
};

/* A document that is held, in whole or in part, or that somebody wants. */
struct ilea_document_row {
    struct ilea_blob_id root;
    uint64_t size;                    /* as its record says */
    struct ilea_audience_id audience; /* of its record; zeros: the agency, or all peers */
    struct ilea_agency_id agency;     /* whose record it is */
    bool wanted;                      /* parts of it are missing, and are to be fetched */
};

struct ilea_chain_row {
    uint64_t position;
    uint32_t size;
    struct ilea_commit_id id;
};

struct ilea_log_commit {
    uint64_t position;
    uint32_t feed;
    uint64_t seq;
    bool is_marker;                   /* no commit: the item `index` of the commit at (feed, seq) was erased */
    uint32_t index;
    struct ilea_span bytes;           /* borrowed from the transaction */
};

/* An item that is erased, here or as soon as it comes. */
struct ilea_erased_row {
    struct ilea_agency_id agency;     /* that says so: it counts for its feeds alone */
    struct ilea_erased_dot dot;
    bool due;                         /* hidden, and deleted once the agency's allowance permits */
    bool silent;                      /* of our own, for the agency alone: nobody else ever had it, nothing states it */
    bool held;                        /* it was here when its erasure was learnt, and a marker says so */
    uint32_t feed;                    /* number of the control feed that states it, and where; 0: no statement is */
    uint64_t seq;                     /* here: it is known from the side file, or silent */
};

/* What a list of dots is erased with. */
struct ilea_erasing {
    struct ilea_agency_id agency;
    bool due, silent;
    uint32_t feed;                    /* as in a row; 0 changes nothing of one that there is */
    uint64_t seq;
};

/* How much was erased for an agency without its admins' signatures. */
struct ilea_erase_day {
    uint32_t day;                     /* the last one on which there was something, since 1970 */
    uint32_t count;                   /* that day */
    uint32_t due;                     /* rows that are due */
};

/* One of our own records, erased; or narrowed: what was shared before with more than `audience` is erased. */
struct ilea_gone_row {
    uint32_t type;
    struct ilea_record_id record;
    struct ilea_audience_id audience; /* zeros: erased */
    uint64_t time_ms;                 /* wall clock, for people */
    uint32_t ref;                     /* number in its ref; 0: none */
    uint32_t dots;                    /* how many changes of it that others may have */
    uint32_t feed;                    /* number of the control feed, and where the last statement about it stands; */
    uint64_t seq;                     /* 0: nobody else ever had it */
    struct ilea_span reason;          /* one line, at most ILEA_GONE_REASON_MAX bytes; borrowed */
};

struct ilea_proposal_row {
    uint32_t number;
    uint64_t made_ms;
    struct ilea_span act, payload;    /* payload at most ILEA_PAYLOAD_SIZE_MAX */
    struct ilea_span sigs;            /* sig_count of admin key || signature, in the order in which they came */
    uint32_t sig_count;
    uint64_t returned_ms;             /* a release that was given back, when; 0: it was not */
    uint8_t returned_by[ILEA_SIGN_PUBLIC_SIZE]; /* and by which admin, why */
    struct ilea_span reason;          /* text of at most ILEA_ACT_VALUE_MAX bytes */
};

struct ilea_invite_row {
    uint8_t id[ILEA_INVITE_ID_SIZE];
    uint8_t key[ILEA_INVITE_KEY_SIZE];
    uint64_t made_ms, expires_ms;
    bool used;
};

/* A receipt (record/receipt.h) as it lies here. */
struct ilea_receipt_row {
    struct ilea_agency_id author, holder;
    uint64_t counter;                 /* its own */
    uint64_t stamp;                   /* given here: rises with every receipt that comes or is made */
    uint64_t arrived_ms;              /* wall clock, for people */
    bool has_from;
    struct ilea_agency_id from;       /* the peer that gave it to us */
    struct ilea_span body;            /* opened, if we are its author; else empty */
    struct ilea_span bytes;           /* as it goes over links */
};

/* How far we have what a peer gave of the receipts that came to it. */
struct ilea_receipt_source {
    uint8_t database[ILEA_DATABASE_ID_SIZE]; /* of the peer's log, which gave the stamp */
    uint64_t stamp;                          /* 0: nothing */
    uint8_t shared[ILEA_HASH_SIZE];          /* of which agencies its link gave us all up to there */
};

struct ilea_log;

/* Make a new log with our own agency's row, its manifest of index 0 and its card. EXISTS if there is one. */
ILEA_MUST_USE enum ilea_error ilea_log_create(const char *path,
                                              const struct ilea_log_identity *identity,
                                              const struct ilea_agency_row *own,
                                              struct ilea_span signed_manifest,
                                              struct ilea_span card);
/* Errors as ilea_environment_open(). */
ILEA_MUST_USE enum ilea_error ilea_log_open(const char *path, bool read_only,
                                            struct ilea_log **log);
void ilea_log_close(struct ilea_log *log);
const struct ilea_log_identity *ilea_log_identity(const struct ilea_log *log);
struct ilea_environment *ilea_log_environment(struct ilea_log *log);

/* Reading: inside any transaction of the log's environment. */
ILEA_MUST_USE enum ilea_error ilea_log_feed(struct ilea_transaction *txn, uint32_t number,
                                            struct ilea_feed_row *feed);
ILEA_MUST_USE enum ilea_error ilea_log_feed_by_id(struct ilea_transaction *txn,
                                                  const struct ilea_feed_id *id,
                                                  struct ilea_feed_row *feed);
/* By the first half of its id, as dots name it. */
ILEA_MUST_USE enum ilea_error ilea_log_feed_by_dot(struct ilea_transaction *txn,
                                                   const uint8_t half[ILEA_ID_SIZE / 2],
                                                   struct ilea_feed_row *feed);
/* Feeds in the order of their numbers: 1, 2, ... NOT_FOUND past the last. */
ILEA_MUST_USE enum ilea_error ilea_log_chain(struct ilea_transaction *txn, uint32_t feed,
                                             uint64_t seq, struct ilea_chain_row *row);
ILEA_MUST_USE enum ilea_error ilea_log_commit_at(struct ilea_transaction *txn, uint64_t position,
                                                 struct ilea_log_commit *commit);
/* Whether the commit at a position counts: NOT_FOUND if it was cut off its feed, and of a marker. CORRUPT. */
ILEA_MUST_USE enum ilea_error ilea_log_counts(struct ilea_transaction *txn,
                                              const struct ilea_log_commit *row);
/* Decode a commit that was read and check it against the id in its chain and its own items: LMDB checks
 * nothing. NOT_FOUND: it does not count, or is a marker. CORRUPT: damaged on the disk. */
ILEA_MUST_USE enum ilea_error ilea_log_check_commit(struct ilea_transaction *txn,
                                                    const struct ilea_log_commit *row,
                                                    struct ilea_commit *commit);
/* Last position used; 0 if the log is empty. */
ILEA_MUST_USE enum ilea_error ilea_log_last(struct ilea_transaction *txn, uint64_t *position);
/* How often feeds were cut off: a view that was begun at another number may show what does not count. */
ILEA_MUST_USE enum ilea_error ilea_log_truncations(struct ilea_transaction *txn, uint64_t *count);
ILEA_MUST_USE enum ilea_error ilea_log_agency(struct ilea_transaction *txn,
                                              const struct ilea_agency_id *id,
                                              struct ilea_agency_row *agency);
/* Walk all agencies by id: `after` NULL for the first. NOT_FOUND at the end. */
ILEA_MUST_USE enum ilea_error ilea_log_agency_next(struct ilea_transaction *txn,
                                                   const struct ilea_agency_id *after,
                                                   struct ilea_agency_row *agency);
/* A signed manifest of an agency, and the newest one held. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_log_manifest(struct ilea_transaction *txn,
                                                const struct ilea_agency_id *agency, uint64_t index,
                                                struct ilea_span *signed_bytes);
ILEA_MUST_USE enum ilea_error ilea_log_manifest_last(struct ilea_transaction *txn,
                                                     const struct ilea_agency_id *agency,
                                                     uint64_t *index, struct ilea_span *signed_bytes);
/* Our own card's bytes: only the node key can make it. */
ILEA_MUST_USE enum ilea_error ilea_log_card(struct ilea_transaction *txn, struct ilea_span *card);
/* { 1, true } where nothing was set. */
ILEA_MUST_USE enum ilea_error ilea_log_policy(struct ilea_transaction *txn, struct ilea_policy *policy);
/* The proof kept of a feed's fork, resolved or not. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_log_fork(struct ilea_transaction *txn,
                                            const struct ilea_feed_id *feed, struct ilea_span *proof);
/* H(FRONTIER, feed id || seq as u64 || commit id): what a position adds to the sum of an archive. */
void ilea_position_hash(const struct ilea_position *position, uint8_t hash[ILEA_HASH_SIZE]);
/* How many feeds of an agency are archived, and the sum of their last positions' hashes mod 2^256. */
ILEA_MUST_USE enum ilea_error ilea_log_archive_sum(struct ilea_transaction *txn,
                                                   const struct ilea_agency_id *agency,
                                                   uint32_t *count, uint8_t sum[ILEA_HASH_SIZE]);
/* The first archived feed of an agency after `after` (NULL: the first of all), by feed id. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_log_archive_next(struct ilea_transaction *txn,
                                                    const struct ilea_agency_id *agency,
                                                    const struct ilea_feed_id *after,
                                                    struct ilea_position *position);
/* Epochs of an audience, by index from 0 in the order of (number, id). NOT_FOUND past the last. */
ILEA_MUST_USE enum ilea_error ilea_log_epoch(struct ilea_transaction *txn, const struct ilea_audience_id *audience,
                                             uint32_t index, struct ilea_epoch_row *epoch);
/* Walk those of all audiences: `after` NULL for the first; it may be `epoch`. NOT_FOUND at the end. */
ILEA_MUST_USE enum ilea_error ilea_log_epoch_next(struct ilea_transaction *txn, const struct ilea_epoch_row *after,
                                                  struct ilea_epoch_row *epoch);
/* Whether there is one of this audience, number and key. NONE, NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_log_has_epoch(struct ilea_transaction *txn, const struct ilea_epoch_row *epoch);
/* A closed audience; the first one by id after `after` (NULL: the first of all). NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_log_audience(struct ilea_transaction *txn, const struct ilea_audience_id *id,
                                                struct ilea_audience_row *audience);
ILEA_MUST_USE enum ilea_error ilea_log_audience_next(struct ilea_transaction *txn,
                                                     const struct ilea_audience_id *after,
                                                     struct ilea_audience_row *audience);
/* A control statement of an audience; the first one by commit id after `after` (NULL: the first). NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_log_control(struct ilea_transaction *txn, const struct ilea_audience_id *audience,
                                               const struct ilea_commit_id *id, struct ilea_control_row *control);
ILEA_MUST_USE enum ilea_error ilea_log_control_next(struct ilea_transaction *txn,
                                                    const struct ilea_audience_id *audience,
                                                    const struct ilea_commit_id *after,
                                                    struct ilea_control_row *control);
/* Random, and another one whenever a control statement comes or goes or others begin to count: as long as it is the
 * same, so is what all closed audiences come to. Also after a write that was given up. */
ILEA_MUST_USE enum ilea_error ilea_log_controls_stamp(struct ilea_transaction *txn,
                                                      uint8_t stamp[ILEA_CONTROLS_STAMP_SIZE]);
ILEA_MUST_USE enum ilea_error ilea_log_counter(struct ilea_transaction *txn, uint32_t type,
                                               uint64_t *last);

/* One entry of the audit feed, from 1; the last one's seq and hash (0 and zeros: none yet). */
ILEA_MUST_USE enum ilea_error ilea_log_audit(struct ilea_transaction *txn, uint64_t seq,
                                             struct ilea_span *entry);
ILEA_MUST_USE enum ilea_error ilea_log_audit_last(struct ilea_transaction *txn, uint64_t *seq,
                                                  uint8_t hash[ILEA_HASH_SIZE]);
/* NONE: an entry with this act is there. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_log_audit_has_act(struct ilea_transaction *txn,
                                                     const uint8_t act_hash[ILEA_HASH_SIZE]);
ILEA_MUST_USE enum ilea_error ilea_log_proposal(struct ilea_transaction *txn, uint32_t number,
                                                struct ilea_proposal_row *proposal);
/* The first one whose number is above `after`. */
ILEA_MUST_USE enum ilea_error ilea_log_proposal_next(struct ilea_transaction *txn, uint32_t after,
                                                     struct ilea_proposal_row *proposal);
ILEA_MUST_USE enum ilea_error ilea_log_invite(struct ilea_transaction *txn,
                                              const uint8_t id[ILEA_INVITE_ID_SIZE],
                                              struct ilea_invite_row *invite);
/* By id; `after` NULL for the first. */
ILEA_MUST_USE enum ilea_error ilea_log_invite_next(struct ilea_transaction *txn, const uint8_t *after,
                                                   struct ilea_invite_row *invite);

/* The receipt of a pair; the first one of an author whose holder comes after `after` (NULL: the first of all); the
 * one with the lowest stamp above `stamp`. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_log_receipt(struct ilea_transaction *txn,
                                               const struct ilea_agency_id *author,
                                               const struct ilea_agency_id *holder,
                                               struct ilea_receipt_row *receipt);
ILEA_MUST_USE enum ilea_error ilea_log_receipt_next(struct ilea_transaction *txn,
                                                    const struct ilea_agency_id *author,
                                                    const struct ilea_agency_id *after,
                                                    struct ilea_receipt_row *receipt);
ILEA_MUST_USE enum ilea_error ilea_log_receipt_after(struct ilea_transaction *txn, uint64_t stamp,
                                                     struct ilea_receipt_row *receipt);
/* The last stamp given; 0: none yet. */
ILEA_MUST_USE enum ilea_error ilea_log_receipt_stamp(struct ilea_transaction *txn, uint64_t *stamp);
/* The receipt whose pair (author, holder) comes after that of `after` (NULL: the first). NOT_FOUND at the end. */
ILEA_MUST_USE enum ilea_error ilea_log_receipt_walk(struct ilea_transaction *txn,
                                                    const struct ilea_receipt_row *after,
                                                    struct ilea_receipt_row *receipt);
/* Zeros: nothing was taken from this peer. */
ILEA_MUST_USE enum ilea_error ilea_log_receipt_from(struct ilea_transaction *txn,
                                                    const struct ilea_agency_id *peer,
                                                    struct ilea_receipt_source *source);

/* A document; the first one by root after `after` (NULL: the first of all). NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_log_document(struct ilea_transaction *txn, const struct ilea_blob_id *root,
                                                struct ilea_document_row *document);
ILEA_MUST_USE enum ilea_error ilea_log_document_next(struct ilea_transaction *txn, const struct ilea_blob_id *after,
                                                     struct ilea_document_row *document);

/* The row of one dot with one leaf. NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_log_erased(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                                              const struct ilea_erased_dot *dot, struct ilea_erased_row *row);
/* Whether the erasure set names a slot with this leaf, due or not: the reason why there may be no item in it. */
ILEA_MUST_USE bool ilea_log_is_erased(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                                      const uint8_t feed[ILEA_DOT_FEED_SIZE], uint64_t seq, uint32_t index,
                                      const uint8_t leaf[ILEA_HASH_SIZE]);
/* A commit of a feed without what is erased and not due; *bytes: heap, free in any case. *size 0: nothing of it is. */
ILEA_MUST_USE enum ilea_error ilea_log_without_erased(struct ilea_transaction *txn, const struct ilea_feed_row *feed,
                                                      uint64_t seq, struct ilea_span commit, uint8_t **bytes,
                                                      size_t *size);
/* Walk them by agency, dot and leaf: `after` NULL for the first; it may be `row`. NOT_FOUND at the end. */
ILEA_MUST_USE enum ilea_error ilea_log_erased_next(struct ilea_transaction *txn, const struct ilea_erased_row *after,
                                                   struct ilea_erased_row *row);
/* NOT_FOUND. */
ILEA_MUST_USE enum ilea_error ilea_log_gone(struct ilea_transaction *txn, uint32_t type,
                                            const struct ilea_record_id *record, struct ilea_gone_row *gone);
/* Walk them by type and id: `after` NULL for the first; it may be `gone`. NOT_FOUND at the end. */
ILEA_MUST_USE enum ilea_error ilea_log_gone_next(struct ilea_transaction *txn, const struct ilea_gone_row *after,
                                                 struct ilea_gone_row *gone);
/* All zero where there is nothing. */
ILEA_MUST_USE enum ilea_error ilea_log_erase_day(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                                                 struct ilea_erase_day *day);

/* Writing: inside a write transaction. */

ILEA_MUST_USE enum ilea_error ilea_log_put_document(struct ilea_transaction *txn,
                                                    const struct ilea_document_row *document);
ILEA_MUST_USE enum ilea_error ilea_log_delete_document(struct ilea_transaction *txn, const struct ilea_blob_id *root);
/*
 * Put dots into the erasure set; they ascend, each once. Unless they are due, the items that are here are replaced by
 * their leaves, wherever the feed is that agency's; what comes later is taken in without them. A marker follows for
 * each item that was here and is hidden from now on. A dot that was due and is not any more is carried out; one that
 * is known with another leaf is another row. *changed: how many were new, or had their item deleted.
 */
ILEA_MUST_USE enum ilea_error ilea_log_erase(struct ilea_transaction *txn, const struct ilea_erasing *erasing,
                                             const struct ilea_erased_dot *dots, uint32_t count, uint32_t *changed);
/* In place of what was there. LIMIT: the reason is too long. It must not lie in the log's file. */
ILEA_MUST_USE enum ilea_error ilea_log_put_gone(struct ilea_transaction *txn, const struct ilea_gone_row *gone);
ILEA_MUST_USE enum ilea_error ilea_log_put_erase_day(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                                                     uint32_t day, uint32_t count);

/* In place of the one of that pair before. Its stamp is given here: above all before it and not below now_ms, so that
 * stamps rise over a restore too. Neither span may lie in the log's file. */
ILEA_MUST_USE enum ilea_error ilea_log_put_receipt(struct ilea_transaction *txn, uint64_t now_ms,
                                                   struct ilea_receipt_row *receipt);
ILEA_MUST_USE enum ilea_error ilea_log_put_receipt_from(struct ilea_transaction *txn,
                                                        const struct ilea_agency_id *peer,
                                                        const struct ilea_receipt_source *source);
/* An agency is revoked: drop the receipts for it, those that it gave, and how far we had what it passed on. What it
 * said that it holds of ours, the agency `own`, is kept: it does not hold less of it for that. */
ILEA_MUST_USE enum ilea_error ilea_log_drop_receipts(struct ilea_transaction *txn,
                                                     const struct ilea_agency_id *agency,
                                                     const struct ilea_agency_id *own);

/* A feed new to the log: gives it a number; it has no limit, and nothing that names it is known. */
ILEA_MUST_USE enum ilea_error ilea_log_add_feed(struct ilea_transaction *txn,
                                                struct ilea_feed_row *feed);
/* Store run, last_leaf and closed. */
ILEA_MUST_USE enum ilea_error ilea_log_put_feed(struct ilea_transaction *txn,
                                                const struct ilea_feed_row *feed);
/* The next commit of *feed, which is updated here and in the log; what its opening names is noted. Items that are
 * erased and not due are taken out first: there is no way into the log but this one.
 *   ILEA_ERROR_EXISTS  seq is not the next one, or *feed is not what the log holds (any more)
 *   ILEA_ERROR_LIMIT   beyond the feed's limit */
ILEA_MUST_USE enum ilea_error ilea_log_append(struct ilea_transaction *txn,
                                              struct ilea_feed_row *feed, uint64_t seq,
                                              const struct ilea_commit_id *id,
                                              struct ilea_span commit, uint64_t *position);
/*
 * Put a commit in the place of the one that is damaged: of the same id, checked by the caller. Where not even whose it
 * is could be read, a view may have passed it over, and is to be built anew, as if something had been cut off.
 *   ILEA_ERROR_INVALID, NOT_FOUND  it is another commit than the feed has there, or the feed is not that long
 */
ILEA_MUST_USE enum ilea_error ilea_log_repair(struct ilea_transaction *txn, const struct ilea_feed_id *id,
                                              uint64_t seq, struct ilea_span commit);
/*
 * The agency's roots say that a feed ends at `seq` with `id` (0 and zeros: it is void). Limits of that kind
 * only ever fall: one that is not lower than the present one changes nothing. Any settles a fork. Where our
 * chain goes beyond the limit or has another commit there, it is cut off: to the limit, or to before the fork
 * of which a proof is kept, or whole. *feed is updated; *truncated: something was cut.
 */
ILEA_MUST_USE enum ilea_error ilea_log_limit_feed(struct ilea_transaction *txn,
                                                  struct ilea_feed_row *feed, uint64_t seq,
                                                  const struct ilea_commit_id *id, bool *truncated);
/* Take back what limit_feed() stated: the manifest that said so is void. A fork is one again. What was cut off
 * comes back from peers. */
ILEA_MUST_USE enum ilea_error ilea_log_lift_limit(struct ilea_transaction *txn,
                                                  struct ilea_feed_row *feed);
/*
 * Keep a proof that a feed forks at seq limit + 1, in place of one kept before (the caller knows which is
 * better). Nothing beyond `limit` is accepted from here on; what is held stays until the roots decide. Where
 * they did already, the proof is kept as evidence alone; only, a chain that has not come to the commit that they keep
 * may be the other branch, and is cut off before the fork.
 *   ILEA_ERROR_NOT_FOUND  no such feed: add it first, its origin is in the proof
 */
ILEA_MUST_USE enum ilea_error ilea_log_put_fork(struct ilea_transaction *txn,
                                                const struct ilea_feed_id *feed,
                                                struct ilea_span proof,
                                                const uint8_t hash[ILEA_HASH_SIZE], uint64_t limit);
/* agency->number 0: a new number is given. LIMIT: a text is too long. */
ILEA_MUST_USE enum ilea_error ilea_log_put_agency(struct ilea_transaction *txn,
                                                  struct ilea_agency_row *agency);
/* It and its manifests: of a request that nobody answered. Its number is never given again. */
ILEA_MUST_USE enum ilea_error ilea_log_delete_agency(struct ilea_transaction *txn,
                                                     const struct ilea_agency_id *id);
/* Those of a higher index are dropped. The bytes are the caller's to check. */
ILEA_MUST_USE enum ilea_error ilea_log_put_manifest(struct ilea_transaction *txn,
                                                    const struct ilea_agency_id *agency,
                                                    uint64_t index, struct ilea_span signed_bytes);
ILEA_MUST_USE enum ilea_error ilea_log_put_card(struct ilea_transaction *txn, struct ilea_span card);
ILEA_MUST_USE enum ilea_error ilea_log_put_policy(struct ilea_transaction *txn,
                                                  const struct ilea_policy *policy);
ILEA_MUST_USE enum ilea_error ilea_log_put_epoch(struct ilea_transaction *txn,
                                                 const struct ilea_epoch_row *epoch);
ILEA_MUST_USE enum ilea_error ilea_log_put_audience(struct ilea_transaction *txn,
                                                    const struct ilea_audience_row *audience);
ILEA_MUST_USE enum ilea_error ilea_log_put_control(struct ilea_transaction *txn,
                                                   const struct ilea_control_row *control);
ILEA_MUST_USE enum ilea_error ilea_log_put_counter(struct ilea_transaction *txn, uint32_t type,
                                                   uint64_t last);

/* The next entry of the audit feed; its act is noted. After a restore it may leave out what was lost. EXISTS: seq is
 * not above the last one, or the act was entered before. MALFORMED */
ILEA_MUST_USE enum ilea_error ilea_log_put_audit(struct ilea_transaction *txn, uint64_t seq,
                                                 const uint8_t hash[ILEA_HASH_SIZE],
                                                 struct ilea_span entry);
/* proposal->number 0: a new number is given. Spans must not point into what the transaction wrote. LIMIT */
ILEA_MUST_USE enum ilea_error ilea_log_put_proposal(struct ilea_transaction *txn,
                                                    struct ilea_proposal_row *proposal);
ILEA_MUST_USE enum ilea_error ilea_log_delete_proposal(struct ilea_transaction *txn, uint32_t number);
ILEA_MUST_USE enum ilea_error ilea_log_put_invite(struct ilea_transaction *txn,
                                                  const struct ilea_invite_row *invite);
ILEA_MUST_USE enum ilea_error ilea_log_delete_invite(struct ilea_transaction *txn,
                                                     const uint8_t id[ILEA_INVITE_ID_SIZE]);

/* Equal on two nodes exactly when they hold the same shared feeds to the same heads and know the same forks:
 * H(FRONTIER, feed id || seq as u64 || head of every shared feed with commits, by feed id); of one with an
 * unresolved fork: feed id || 0 as u64 || hash of the proof. */
ILEA_MUST_USE enum ilea_error ilea_log_frontier(struct ilea_transaction *txn,
                                                uint8_t hash[ILEA_HASH_SIZE]);

#endif
