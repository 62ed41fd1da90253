/*
 * receipt.h - what one agency holds and can read of another's feeds, said to that other one alone.
 *
 *   receipt = [ 1, holder: bin 32, author: bin 32, counter, sealed: bin, sig: bin 64 ]
 *   sig       the holder's node key, RECEIPT_SIG, over H(RECEIPT, the bytes before the signature's two-byte head)
 *   sealed    to the author's reading key: D(RECEIPT_SEAL) || network || holder || author || u64(counter) || body
 *   body    = [ [ [feed: bin 32, held, seen] ... ],                the author's shared feeds that are not archived
 *               [ [audience: bin 0|16, count, sum: bin 32] ... ],  those that are: how many, and what they add up to
 *               [ [feed: bin 16, seq, index, why] ... ],           items held that cannot be read
 *               [ [feed: bin 32, seq] ... ] ]                      feeds of the holder that the author may have
 *
 * held: durable in the holder's log up to there. seen: all up to there is durable in its view too, but for the items
 * of the third list. An archived feed counts as seen. Lists ascend and name nothing twice. The audience is empty for
 * what all peers get. Of the receipts of a pair of agencies the one with the highest counter counts.
 */
#ifndef ILEA_RECORD_RECEIPT_H
#define ILEA_RECORD_RECEIPT_H

#include "crypto/hash.h"
#include "crypto/seal.h"
#include "crypto/sign.h"
#include "replication/record/change.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum {
    ILEA_RECEIPT_SIZE_MAX = 64 * 1024,
    ILEA_RECEIPT_FEEDS_MAX = 960,
    ILEA_RECEIPT_ARCHIVES_MAX = 16,
    ILEA_RECEIPT_UNREAD_MAX = 256,
    ILEA_RECEIPT_OWN_MAX = 64,
    ILEA_RECEIPT_BODY_MAX = ILEA_RECEIPT_SIZE_MAX - 512
};

_Static_assert(ILEA_RECEIPT_FEEDS_MAX * (1 + 34 + 9 + 9) + ILEA_RECEIPT_ARCHIVES_MAX * (1 + 18 + 9 + 34)
                       + ILEA_RECEIPT_UNREAD_MAX * (1 + 18 + 9 + 5 + 1) + ILEA_RECEIPT_OWN_MAX * (1 + 34 + 9) + 16
                   <= ILEA_RECEIPT_BODY_MAX,
               "a receipt has room for all it may say");

/* Why an item cannot be read. */
enum ilea_unread { ILEA_UNREAD_KEY = 1, ILEA_UNREAD_NEWER, ILEA_UNREAD_BROKEN, ILEA_UNREAD_REFUSED };

struct ilea_receipt {
    struct ilea_agency_id holder, author;
    uint64_t counter;
    struct ilea_span sealed;
    struct ilea_signature sig;
    uint8_t hash[ILEA_HASH_SIZE]; /* that is signed */
};

struct ilea_receipt_feed {
    struct ilea_feed_id feed;
    uint64_t held, seen;
};

struct ilea_receipt_archive {
    bool has_audience;
    uint8_t audience[16];
    uint64_t count;
    uint8_t sum[ILEA_HASH_SIZE];
};

struct ilea_receipt_unread {
    uint8_t feed[ILEA_DOT_FEED_SIZE]; /* first half of the feed's id, as dots have it */
    uint64_t seq;
    uint32_t index;
    enum ilea_unread why;
};

/* A feed of the holder that the author may have, and how long it is. The audience is told so that the author, who may
 * never have heard of the feed, asks nobody for it who is outside. */
struct ilea_receipt_own {
    struct ilea_feed_id feed;
    uint64_t seq;
    bool is_closed;
    struct ilea_audience_id audience; /* of a closed one; zeros */
};

/* Walk each list with its getter, count times. */
struct ilea_receipt_body {
    uint32_t feed_count, archive_count, unread_count, own_count;
    struct ilea_msgpack_reader feeds, archives, unread, own;
};

/* MALFORMED; LIMIT: too large; UNKNOWN: of a newer version. Whose key signs it is the caller's to ask. */
ILEA_MUST_USE enum ilea_error ilea_receipt_decode(struct ilea_span input, struct ilea_receipt *receipt);
ILEA_MUST_USE bool ilea_receipt_verify(const struct ilea_receipt *receipt, const struct ilea_network_id *network,
                                       const struct ilea_sign_public *node);
/* Open what is sealed in it: `bytes` has room for ILEA_RECEIPT_SIZE_MAX, *body borrows them. NOT_FOUND: it is not
 * sealed to this key; BAD_HASH: it was made for other agencies, or as another receipt. */
ILEA_MUST_USE enum ilea_error ilea_receipt_open(const struct ilea_receipt *receipt,
                                                const struct ilea_network_id *network,
                                                const struct ilea_reading_secret *reading, uint8_t *bytes,
                                                struct ilea_span *body);
/* MALFORMED. All of it is checked before it returns. */
ILEA_MUST_USE enum ilea_error ilea_receipt_body_decode(struct ilea_span input, struct ilea_receipt_body *body);
void ilea_receipt_feed_next(struct ilea_msgpack_reader *feeds, struct ilea_receipt_feed *feed);
void ilea_receipt_archive_next(struct ilea_msgpack_reader *archives, struct ilea_receipt_archive *archive);
void ilea_receipt_unread_next(struct ilea_msgpack_reader *unread, struct ilea_receipt_unread *item);
void ilea_receipt_own_next(struct ilea_msgpack_reader *own, struct ilea_receipt_own *feed);

/* Seal and sign: holder, author and counter of *receipt are given. `bytes`: ILEA_RECEIPT_SIZE_MAX of them; the same
 * again in `scratch`. LIMIT: the body is too large; INVALID: the reading key is unusable. */
ILEA_MUST_USE enum ilea_error ilea_receipt_make(const struct ilea_receipt *receipt, struct ilea_span body,
                                                const struct ilea_network_id *network,
                                                const struct ilea_reading_public *to,
                                                const struct ilea_sign_secret *node, uint8_t *scratch,
                                                uint8_t *bytes, size_t *size);
/* The parts of a body, in this order: an array of four; then of each list its head and its elements, which ascend. */
void ilea_receipt_put_feed(struct ilea_msgpack_writer *writer, const struct ilea_receipt_feed *feed);
void ilea_receipt_put_archive(struct ilea_msgpack_writer *writer, const struct ilea_receipt_archive *archive);
void ilea_receipt_put_unread(struct ilea_msgpack_writer *writer, const struct ilea_receipt_unread *item);
void ilea_receipt_put_own(struct ilea_msgpack_writer *writer, const struct ilea_receipt_own *feed);

#endif
