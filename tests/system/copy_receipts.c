/*
 * copy_receipts.c - `copy_receipts FROM TO`: put the receipts that one log holds into another, whose daemon does not
 * run. So a node knows of commits that nobody near it holds any more. `copy_receipts LOG`: print how long the feeds of
 * others are, as their receipts for this agency say.
 */
#include <stdio.h>
#include <stdlib.h>

#include "crypto/random.h"
#include "replication/record/receipt.h"
#include "replication/store/log_store.h"

static enum ilea_error
copy(struct ilea_transaction *from, struct ilea_transaction *to)
{
    struct ilea_receipt_row row, last;
    const struct ilea_receipt_row *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_receipt_walk(from, after, &row)) == ILEA_ERROR_NONE) {
        last = row;
        after = &last;
        error = ilea_log_put_receipt(to, row.stamp, &row);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static enum ilea_error
print(struct ilea_transaction *txn)
{
    struct ilea_receipt_row row, last;
    const struct ilea_receipt_row *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_receipt_walk(txn, after, &row)) == ILEA_ERROR_NONE) {
        struct ilea_receipt_body body;
        last = row;
        after = &last;
        if (row.body.size == 0) continue;
        if (ilea_receipt_body_decode(row.body, &body) != ILEA_ERROR_NONE) return ILEA_ERROR_CORRUPT;
        for (uint32_t i = 0; i < body.own_count; i++) {
            struct ilea_receipt_own feed;
            ilea_receipt_own_next(&body.own, &feed);
            (void)printf("%02x%02x: %llu\n", feed.feed.bytes[0], feed.feed.bytes[1], (unsigned long long)feed.seq);
        }
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

int
main(int argc, char **argv)
{
    struct ilea_log *from = NULL, *to = NULL;
    struct ilea_transaction *reading = NULL, *writing = NULL;
    if (argc != 2 && argc != 3) return 64;
    enum ilea_error error = ilea_crypto_init();
    if (error == ILEA_ERROR_NONE) error = ilea_log_open(argv[1], true, &from);
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(ilea_log_environment(from), false, &reading);
    if (error == ILEA_ERROR_NONE && argc == 2) error = print(reading);
    if (error == ILEA_ERROR_NONE && argc == 3) {
        error = ilea_log_open(argv[2], false, &to);
        if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(ilea_log_environment(to), true, &writing);
        if (error == ILEA_ERROR_NONE) error = copy(reading, writing);
        if (error == ILEA_ERROR_NONE) {
            error = ilea_transaction_commit(writing);
        } else {
            ilea_transaction_abort(writing);
        }
    }
    ilea_transaction_abort(reading);
    ilea_log_close(from);
    ilea_log_close(to);
    if (error != ILEA_ERROR_NONE) (void)fprintf(stderr, "copy_receipts: %s\n", ilea_error_text(error));
    return error == ILEA_ERROR_NONE ? 0 : 1;
}
