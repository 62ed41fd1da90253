/* verify_audience.c - verify: closed audiences, their control statements, and epochs. */
#include <string.h>

#include "node/audience_log.h"
#include "node/verify.h"
#include "replication/record/commit.h"

/* The commit that a row names counts, and stands where the row says. */
static enum ilea_error
check_place(struct ilea_verify *verify, uint32_t number, uint64_t seq, const struct ilea_commit_id *id,
            const struct ilea_audience_id *audience)
{
    struct ilea_feed_row feed;
    struct ilea_chain_row chain;
    enum ilea_error error = ilea_log_feed(verify->txn, number, &feed);
    if (error == ILEA_ERROR_NONE) error = ilea_log_chain(verify->txn, number, seq, &chain);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    bool is_there = memcmp(chain.id.bytes, id->bytes, sizeof id->bytes) == 0
        && (audience == NULL || memcmp(feed.origin.audience.bytes, audience->bytes, sizeof audience->bytes) == 0);
    return is_there ? ILEA_ERROR_NONE : ILEA_ERROR_CORRUPT;
}

/* All statements of an audience are those of commits; *count: how many. */
static enum ilea_error
verify_controls(struct ilea_verify *verify, const struct ilea_audience_row *row, uint64_t *count)
{
    struct ilea_audience_id id;
    struct ilea_control_row control;
    struct ilea_commit_id last;
    const struct ilea_commit_id *after = NULL;
    enum ilea_error error = ILEA_ERROR_NONE;
    ilea_audience_of_salt(&ilea_log_identity(verify->log)->network, &row->owner, row->salt, &id);
    if (memcmp(id.bytes, row->audience.bytes, sizeof id.bytes) != 0) return ILEA_ERROR_BAD_HASH;
    while (error == ILEA_ERROR_NONE) {
        error = ilea_log_control_next(verify->txn, &row->audience, after, &control);
        if (error != ILEA_ERROR_NONE) break;
        last = control.id;
        after = &last;
        (*count)++;
        error = check_place(verify, control.feed, control.seq, &control.id, &row->audience);
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* How many commits of a feed state something that counts. What is damaged is told elsewhere. */
static uint64_t
count_stated(struct ilea_verify *verify, const struct ilea_feed_row *feed)
{
    struct ilea_audience_row row;
    uint64_t count = 0;
    if (ilea_log_audience(verify->txn, &feed->origin.audience, &row) != ILEA_ERROR_NONE) {
        if (feed->seq > 0) ilea_verify_fault(verify, "feed %u: its audience is not noted", feed->number);
        return 0;
    }
    for (uint64_t seq = 1; seq <= feed->seq; seq++) {
        struct ilea_chain_row chain;
        struct ilea_log_commit at;
        struct ilea_commit commit;
        bool is_read = ilea_log_chain(verify->txn, feed->number, seq, &chain) == ILEA_ERROR_NONE
            && ilea_log_commit_at(verify->txn, chain.position, &at) == ILEA_ERROR_NONE
            && ilea_commit_decode(at.bytes, &commit) == ILEA_ERROR_NONE;
        if (is_read && ilea_audience_is_control(&row, &feed->origin.agency, ilea_naming_statement(&commit))) count++;
    }
    return count;
}

static void
verify_epochs(struct ilea_verify *verify)
{
    struct ilea_epoch_row row;
    const struct ilea_epoch_row *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_epoch_next(verify->txn, after, &row)) == ILEA_ERROR_NONE) {
        after = &row;
        error = check_place(verify, row.feed, row.seq, &row.statement, NULL);
        if (error == ILEA_ERROR_NONE) continue;
        ilea_verify_fault(verify, "an epoch of feed %u commit %llu: %s", row.feed, (unsigned long long)row.seq,
                          ilea_error_text(error));
    }
    if (error != ILEA_ERROR_NOT_FOUND) ilea_verify_fault(verify, "an epoch: %s", ilea_error_text(error));
}

void
ilea_verify_audiences(struct ilea_verify *verify)
{
    struct ilea_audience_row row;
    struct ilea_audience_id last;
    struct ilea_feed_row feed;
    const struct ilea_audience_id *after = NULL;
    uint64_t noted = 0, stated = 0;
    enum ilea_error error;
    while ((error = ilea_log_audience_next(verify->txn, after, &row)) == ILEA_ERROR_NONE) {
        last = row.audience;
        after = &last;
        error = verify_controls(verify, &row, &noted);
        if (error == ILEA_ERROR_NONE) continue;
        char id[2 * ILEA_AUDIENCE_ID_SIZE + 1];
        ilea_command_hex(last.bytes, sizeof last.bytes, id);
        ilea_verify_fault(verify, "audience %.16s: %s", id, ilea_error_text(error));
    }
    if (error != ILEA_ERROR_NOT_FOUND) ilea_verify_fault(verify, "an audience: %s", ilea_error_text(error));
    for (uint32_t number = 1; (error = ilea_log_feed(verify->txn, number, &feed)) != ILEA_ERROR_NOT_FOUND; number++) {
        if (error != ILEA_ERROR_NONE || feed.origin.scope != ILEA_SCOPE_AUDIENCE) continue;
        stated += count_stated(verify, &feed);
    }
    if (noted != stated) {
        ilea_verify_fault(verify, "%llu statements about members of audiences are noted as %llu",
                          (unsigned long long)stated, (unsigned long long)noted);
    }
    verify_epochs(verify);
}
