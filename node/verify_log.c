/* verify_log.c - verify: commits and their chains, manifests, proofs of forks, the archive, receipts, audit. */
#include <stdlib.h>
#include <string.h>

#include "node/audit.h"
#include "node/verify.h"
#include "replication/record/act.h"
#include "replication/record/commit.h"
#include "replication/record/fork.h"
#include "replication/record/receipt.h"

/* One commit of a feed, at its place in the chain. */
static void
verify_commit(struct ilea_verify *verify, const struct ilea_feed_row *feed, uint64_t seq,
              struct ilea_commit_id *prev)
{
    struct ilea_chain_row chain;
    struct ilea_log_commit row;
    struct ilea_commit commit;
    struct ilea_commit_id id = { { 0 } };
    enum ilea_error error = ilea_log_chain(verify->txn, feed->number, seq, &chain);
    if (error == ILEA_ERROR_NONE) error = ilea_log_commit_at(verify->txn, chain.position, &row);
    if (error == ILEA_ERROR_NONE && (row.feed != feed->number || row.seq != seq)) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) error = ilea_commit_decode(row.bytes, &commit);
    if (error == ILEA_ERROR_NONE) {
        ilea_commit_id_of(commit.header_bytes, &id);
        if (memcmp(id.bytes, chain.id.bytes, ILEA_ID_SIZE) != 0 || commit.header.seq != seq
            || memcmp(commit.header.feed.bytes, feed->id.bytes, ILEA_ID_SIZE) != 0
            || memcmp(commit.header.prev.bytes, prev->bytes, ILEA_ID_SIZE) != 0) {
            error = ILEA_ERROR_BAD_HASH;
        }
    }
    if (error == ILEA_ERROR_NONE) error = ilea_commit_check_items(&commit);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_commit_verify(&commit, &id, &ilea_log_identity(verify->log)->network,
                                   &feed->origin.node);
    }
    if (error != ILEA_ERROR_NONE) {
        ilea_verify_fault(verify, "feed %u commit %llu: %s", feed->number, (unsigned long long)seq,
                          ilea_error_text(error));
    }
    *prev = id;
    verify->commits++;
    ilea_progress_show(&verify->progress, "commits", verify->commits);
}

static void
verify_feed(struct ilea_verify *verify, const struct ilea_feed_row *feed)
{
    struct ilea_feed_id id;
    ilea_feed_id_of(&ilea_log_identity(verify->log)->network, &feed->origin, &id);
    if (memcmp(id.bytes, feed->id.bytes, sizeof id.bytes) != 0) {
        ilea_verify_fault(verify, "feed %u: its id does not match its origin", feed->number);
    }
    struct ilea_commit_id prev = { { 0 } };
    for (uint64_t seq = 1; seq <= feed->seq; seq++) verify_commit(verify, feed, seq, &prev);
    if (feed->seq > 0 && memcmp(prev.bytes, feed->head.bytes, sizeof prev.bytes) != 0) {
        ilea_verify_fault(verify, "feed %u: its last commit is not the one noted", feed->number);
    }
}

/* Every position holds a commit, and those that count are as many as the feeds are long. */
static void
verify_positions(struct ilea_verify *verify, uint64_t total)
{
    uint64_t last = 0, counted = 0;
    enum ilea_error error = ilea_log_last(verify->txn, &last);
    if (error != ILEA_ERROR_NONE) ilea_verify_fault(verify, "the log's end: %s", ilea_error_text(error));
    for (uint64_t position = 1; position <= last; position++) {
        struct ilea_log_commit row;
        error = ilea_log_commit_at(verify->txn, position, &row);
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_CORRUPT;
        if (error == ILEA_ERROR_NONE) error = ilea_log_counts(verify->txn, &row);
        if (error == ILEA_ERROR_NONE) counted++;
        if (error == ILEA_ERROR_NONE || error == ILEA_ERROR_NOT_FOUND) continue; /* NOT_FOUND: cut off */
        ilea_verify_fault(verify, "position %llu: %s", (unsigned long long)position, ilea_error_text(error));
    }
    if (counted != total) {
        ilea_verify_fault(verify, "the log has %llu positions for %llu commits", (unsigned long long)counted,
                          (unsigned long long)total);
    }
}

static void
verify_fork(struct ilea_verify *verify, const struct ilea_feed_row *feed)
{
    struct ilea_span proof;
    struct ilea_fork fork;
    enum ilea_error error = ilea_log_fork(verify->txn, &feed->id, &proof);
    if (error == ILEA_ERROR_NOT_FOUND) return;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_fork_decode(proof, &ilea_log_identity(verify->log)->network, &fork);
    }
    if (error == ILEA_ERROR_NONE && memcmp(fork.feed.bytes, feed->id.bytes, ILEA_ID_SIZE) != 0) {
        error = ILEA_ERROR_BAD_HASH;
    }
    if (error != ILEA_ERROR_NONE) {
        ilea_verify_fault(verify, "feed %u: the proof of its fork: %s", feed->number, ilea_error_text(error));
    }
}

static uint64_t
verify_feeds(struct ilea_verify *verify)
{
    uint64_t total = 0;
    for (uint32_t number = 1;; number++) {
        struct ilea_feed_row feed;
        enum ilea_error error = ilea_log_feed(verify->txn, number, &feed);
        if (error == ILEA_ERROR_NOT_FOUND) return total;
        if (error != ILEA_ERROR_NONE) {
            ilea_verify_fault(verify, "feed %u: %s", number, ilea_error_text(error));
            continue;
        }
        verify_feed(verify, &feed);
        verify_fork(verify, &feed);
        total += feed.seq;
    }
}

/* The chain of an agency's manifests, from the first. */
static enum ilea_error
verify_manifests(struct ilea_verify *verify, const struct ilea_agency_id *id)
{
    struct ilea_manifest manifests[2];
    struct ilea_span bytes;
    uint64_t last = 0;
    enum ilea_error error = ilea_log_manifest_last(verify->txn, id, &last, &bytes);
    for (uint64_t index = 0; error == ILEA_ERROR_NONE && index <= last; index++) {
        struct ilea_manifest *manifest = &manifests[index % 2];
        error = ilea_log_manifest(verify->txn, id, index, &bytes);
        if (error == ILEA_ERROR_NONE) error = ilea_manifest_decode(bytes, manifest);
        if (error != ILEA_ERROR_NONE) break;
        bool follows = index == 0
            || ilea_manifest_succession(&manifests[(index + 1) % 2], manifest) != ILEA_SUCCESSION_NONE;
        if (!follows || manifest->index != index || memcmp(manifest->id.bytes, id->bytes, ILEA_ID_SIZE) != 0) {
            error = ILEA_ERROR_BAD_HASH;
        }
    }
    return error;
}

/* The archive of an agency holds exactly the feeds that say so, and its sum is theirs. */
static enum ilea_error
verify_archive(struct ilea_verify *verify, const struct ilea_agency_id *id)
{
    uint32_t count = 0, counted = 0;
    uint8_t sum[ILEA_HASH_SIZE], summed[ILEA_HASH_SIZE] = { 0 }, hash[ILEA_HASH_SIZE];
    enum ilea_error error = ilea_log_archive_sum(verify->txn, id, &count, sum);
    struct ilea_position position;
    const struct ilea_feed_id *after = NULL;
    while (error == ILEA_ERROR_NONE) {
        struct ilea_feed_row feed;
        error = ilea_log_archive_next(verify->txn, id, after, &position);
        after = &position.feed;
        if (error == ILEA_ERROR_NOT_FOUND) break;
        if (error == ILEA_ERROR_NONE) error = ilea_log_feed_by_id(verify->txn, &position.feed, &feed);
        if (error != ILEA_ERROR_NONE) return error;
        if (!feed.archived || feed.seq != position.seq
            || memcmp(feed.head.bytes, position.id.bytes, ILEA_ID_SIZE) != 0) {
            return ILEA_ERROR_CORRUPT;
        }
        ilea_position_hash(&position, hash);
        ilea_hash_sum_add(summed, hash);
        counted++;
    }
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    return counted == count && memcmp(sum, summed, sizeof sum) == 0 ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

static void
verify_agencies(struct ilea_verify *verify)
{
    struct ilea_agency_row agency;
    struct ilea_agency_id id;
    const struct ilea_agency_id *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_agency_next(verify->txn, after, &agency)) == ILEA_ERROR_NONE) {
        id = agency.id;
        after = &id;
        error = verify_manifests(verify, &id);
        if (error != ILEA_ERROR_NONE) {
            ilea_verify_fault(verify, "agency %u: its manifests: %s", agency.number, ilea_error_text(error));
        }
        error = verify_archive(verify, &id);
        if (error != ILEA_ERROR_NONE) {
            ilea_verify_fault(verify, "agency %u: its archived feeds: %s", agency.number, ilea_error_text(error));
        }
    }
    if (error != ILEA_ERROR_NOT_FOUND) ilea_verify_fault(verify, "an agency: %s", ilea_error_text(error));
}

/* One receipt, and its place among the stamps. Its signature was checked when it came, and its row has a checksum; the
 * key may be one that the holder's roots have taken back since. */
static enum ilea_error
verify_receipt(struct ilea_verify *verify, const struct ilea_receipt_row *row)
{
    struct ilea_receipt receipt;
    struct ilea_receipt_body body;
    struct ilea_receipt_row stamped;
    enum ilea_error error = ilea_receipt_decode(row->bytes, &receipt);
    if (error != ILEA_ERROR_NONE) return error;
    if (receipt.counter != row->counter || memcmp(receipt.author.bytes, row->author.bytes, ILEA_ID_SIZE) != 0
        || memcmp(receipt.holder.bytes, row->holder.bytes, ILEA_ID_SIZE) != 0) {
        return ILEA_ERROR_BAD_HASH;
    }
    bool is_ours = memcmp(row->author.bytes, ilea_log_identity(verify->log)->agency.bytes, ILEA_ID_SIZE) == 0;
    if (is_ours != (row->body.size > 0)) return ILEA_ERROR_CORRUPT;
    if (is_ours) error = ilea_receipt_body_decode(row->body, &body);
    if (error == ILEA_ERROR_NONE) error = ilea_log_receipt_after(verify->txn, row->stamp - 1, &stamped);
    if (error == ILEA_ERROR_NONE
        && (stamped.stamp != row->stamp || memcmp(stamped.author.bytes, row->author.bytes, ILEA_ID_SIZE) != 0
            || memcmp(stamped.holder.bytes, row->holder.bytes, ILEA_ID_SIZE) != 0)) {
        error = ILEA_ERROR_CORRUPT;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
}

static void
verify_receipts(struct ilea_verify *verify)
{
    uint64_t receipts = 0, stamps = 0, stamp = 0;
    struct ilea_receipt_row row, last;
    const struct ilea_receipt_row *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_receipt_walk(verify->txn, after, &row)) == ILEA_ERROR_NONE) {
        last = row;
        after = &last;
        receipts++;
        error = verify_receipt(verify, &row);
        if (error == ILEA_ERROR_NONE) continue;
        char author[2 * ILEA_ID_SIZE + 1], holder[2 * ILEA_ID_SIZE + 1];
        ilea_command_hex(row.author.bytes, ILEA_ID_SIZE, author);
        ilea_command_hex(row.holder.bytes, ILEA_ID_SIZE, holder);
        ilea_verify_fault(verify, "the receipt of %.16s for %.16s: %s", holder, author, ilea_error_text(error));
    }
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
    while (error == ILEA_ERROR_NONE) {
        error = ilea_log_receipt_after(verify->txn, stamp, &row);
        if (error != ILEA_ERROR_NONE) break;
        stamp = row.stamp > stamp ? row.stamp : UINT64_MAX;
        stamps++;
    }
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) {
        ilea_verify_fault(verify, "a receipt: %s", ilea_error_text(error));
    } else if (stamps != receipts) {
        ilea_verify_fault(verify, "%llu receipts have %llu places in the order in which they came",
                          (unsigned long long)receipts, (unsigned long long)stamps);
    }
}

static void
take_audit_fault(void *context, uint64_t seq, const char *what)
{
    ilea_verify_fault(context, "audit entry %llu: %s", (unsigned long long)seq, what);
}

/* What is erased and not due is not in the log. */
static void
verify_erased(struct ilea_verify *verify)
{
    struct ilea_erased_row row;
    enum ilea_error error = ilea_log_erased_next(verify->txn, NULL, &row);
    for (; error == ILEA_ERROR_NONE; error = ilea_log_erased_next(verify->txn, &row, &row)) {
        struct ilea_feed_row feed;
        struct ilea_chain_row chain;
        struct ilea_log_commit commit;
        uint8_t *without = NULL;
        size_t size = 0;
        verify->erased++;
        error = ilea_log_feed_by_dot(verify->txn, row.dot.feed, &feed);
        if (error == ILEA_ERROR_NONE) error = ilea_log_chain(verify->txn, feed.number, row.dot.seq, &chain);
        if (error == ILEA_ERROR_NONE) error = ilea_log_commit_at(verify->txn, chain.position, &commit);
        if (error == ILEA_ERROR_NONE) {
            error = ilea_log_without_erased(verify->txn, &feed, row.dot.seq, commit.bytes, &without, &size);
        }
        free(without);
        if (error == ILEA_ERROR_NONE && size > 0) {
            ilea_verify_fault(verify, "feed %u commit %llu: holds what is erased", feed.number,
                              (unsigned long long)row.dot.seq);
        }
        if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) break; /* NOT_FOUND: it never came here */
    }
    if (error != ILEA_ERROR_NOT_FOUND) ilea_verify_fault(verify, "what is erased: %s", ilea_error_text(error));
}

/* All but how long the feed should be: that is told outside the log, see ilea audit verify. */
static void
verify_audit(struct ilea_verify *verify)
{
    uint64_t entries = 0;
    enum ilea_error error =
        ilea_audit_verify(verify->txn, ilea_log_identity(verify->log), NULL, take_audit_fault, verify, &entries);
    if (error != ILEA_ERROR_NONE) ilea_verify_fault(verify, "the audit feed: %s", ilea_error_text(error));
}

void
ilea_verify_log(struct ilea_verify *verify)
{
    uint64_t total = verify_feeds(verify);
    verify_positions(verify, total);
    verify_agencies(verify);
    verify_receipts(verify);
    verify_erased(verify);
    ilea_verify_audiences(verify);
    verify_audit(verify);
}
