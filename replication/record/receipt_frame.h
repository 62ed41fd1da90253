/*
 * receipt_frame.h - how two nodes ask each other for receipts: bodies of SIDE (PROTOCOL.md, "Receipts").
 *
 *   ASK   [ 1, database: bin 0|16, stamp ]                                       what came to you after this stamp
 *   GIVE  [ 2, database: bin 16, stamp, more 0|1, [ receipt: bin ... ] ]         this stamp is to be asked with next
 *
 * The first element tells the form; other forms are not receipts.
 */
#ifndef ILEA_RECORD_RECEIPT_FRAME_H
#define ILEA_RECORD_RECEIPT_FRAME_H

#include "include/ilea/error.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum {
    ILEA_RECEIPT_ASK = 1, ILEA_RECEIPT_GIVE = 2,
    ILEA_RECEIPT_DATABASE_SIZE = 16,
    ILEA_RECEIPTS_GIVEN_MAX = 1024,
    ILEA_RECEIPT_HEAD_MAX = 64      /* bytes of an ASK, or of a GIVE before its first receipt */
};

struct ilea_receipt_ask {
    bool has_database;
    uint8_t database[ILEA_RECEIPT_DATABASE_SIZE]; /* whose stamp it is; zeros if not */
    uint64_t stamp;
};

struct ilea_receipt_give {
    uint8_t database[ILEA_RECEIPT_DATABASE_SIZE];
    uint64_t stamp;                        /* at least 1 */
    bool more;                             /* the sender has more at once */
    uint32_t count;
    struct ilea_msgpack_reader receipts;   /* ilea_receipt_given_next(), count times */
};

/* MALFORMED. All of it is checked before they return, but for what the receipts are. */
ILEA_MUST_USE enum ilea_error ilea_receipt_ask_decode(struct ilea_span input, struct ilea_receipt_ask *ask);
ILEA_MUST_USE enum ilea_error ilea_receipt_give_decode(struct ilea_span input, struct ilea_receipt_give *give);
struct ilea_span ilea_receipt_given_next(struct ilea_msgpack_reader *receipts);

void ilea_receipt_put_ask(struct ilea_msgpack_writer *writer, const struct ilea_receipt_ask *ask);
/* Then `count` bins. */
void ilea_receipt_put_give(struct ilea_msgpack_writer *writer, const struct ilea_receipt_give *give);

#endif
