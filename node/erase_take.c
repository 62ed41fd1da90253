/*
 * erase_take.c - carrying out what agencies state to be erased: ours, come back from a peer, and others.
 *
 * A stolen node key must not empty the network: without signatures of the agency's admins no more than a day's
 * allowance is deleted; the rest is hidden at once and due.
 */
#include <stdlib.h>
#include <string.h>

#include "node/chain.h"
#include "node/erase.h"
#include "node/erased_file.h"
#include "node/own_keys.h"

/* What is to happen with the dots of one statement. */
struct taking {
    struct ilea_author *author;
    struct ilea_transaction *txn;
    struct ilea_erasing erasing;
    struct ilea_erased_dot now[ILEA_ERASE_DOTS_MAX], due[ILEA_ERASE_DOTS_MAX];
    uint32_t now_count, due_count;
};

static bool
is_own(struct ilea_author *author, const struct ilea_agency_id *agency)
{
    return memcmp(ilea_author_identity(author)->agency.bytes, agency->bytes, sizeof agency->bytes) == 0;
}

/* Two admins by the newest manifest that we hold, or the only one, signed that these very dots are erased. */
static enum ilea_error
check_signatures(const struct taking *taking, const struct ilea_erase_statement *statement, bool *good)
{
    struct ilea_act act;
    char hex[2 * ILEA_HASH_SIZE + 1];
    uint32_t valid = 0;
    *good = false;
    if (statement->act.size == 0 || ilea_act_decode(statement->act, &act) != ILEA_ERROR_NONE) return ILEA_ERROR_NONE;
    struct ilea_span named = ilea_act_value(&act, "dots");
    ilea_hex_format(statement->hash, sizeof statement->hash, hex);
    static const char kind[] = "record.erase";
    if (act.kind.size != sizeof kind - 1 || memcmp(act.kind.data, kind, act.kind.size) != 0
        || memcmp(act.agency.bytes, taking->erasing.agency.bytes, ILEA_ID_SIZE) != 0 || named.size != sizeof hex - 1
        || memcmp(named.data, hex, named.size) != 0) {
        return ILEA_ERROR_NONE;
    }
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    if (manifest == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ilea_chain_last(taking->txn, &taking->erasing.agency, manifest);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < statement->sig_count; i++) {
        const struct ilea_act_signature *sig = &statement->sigs[i];
        bool is_admin = false;
        for (uint32_t j = 0; j < manifest->admin_count; j++) {
            if (memcmp(manifest->admins[j].bytes, sig->admin.bytes, sizeof sig->admin.bytes) == 0) is_admin = true;
        }
        if (is_admin
            && ilea_act_verify(&act, &ilea_author_identity(taking->author)->network, &sig->admin, &sig->sig)) {
            valid++;
        }
    }
    if (error == ILEA_ERROR_NONE) *good = valid > 0 && valid >= (manifest->admin_count < 2 ? 1u : 2u);
    free(manifest);
    return error;
}

/* How many more items may be deleted for an agency today. */
static enum ilea_error
allowance(struct ilea_transaction *txn, const struct ilea_agency_id *agency, uint32_t today, uint32_t *left)
{
    struct ilea_erase_day day;
    enum ilea_error error = ilea_log_erase_day(txn, agency, &day);
    uint32_t used = day.day >= today ? day.count : 0; /* a clock that was put back gives nothing new */
    *left = used < ILEA_ERASE_FREE ? ILEA_ERASE_FREE - used : 0;
    return error;
}

static enum ilea_error
use_allowance(struct ilea_transaction *txn, const struct ilea_agency_id *agency, uint32_t today, uint32_t count)
{
    struct ilea_erase_day day;
    enum ilea_error error = ilea_log_erase_day(txn, agency, &day);
    if (error != ILEA_ERROR_NONE || count == 0) return error;
    if (day.day < today) day = (struct ilea_erase_day){ .day = today };
    return ilea_log_put_erase_day(txn, agency, day.day, day.count + count);
}

/* Which dots are deleted now. What was so before costs nothing: statements are made again after a restore. */
static enum ilea_error
sort_out(struct taking *taking, const struct ilea_erase_statement *statement, uint32_t left, uint32_t *used)
{
    struct ilea_msgpack_reader dots;
    enum ilea_error error = ILEA_ERROR_NONE;
    ilea_msgpack_reader_init(&dots, statement->dots);
    taking->now_count = taking->due_count = *used = 0;
    for (uint32_t i = 0; i < statement->dot_count && error == ILEA_ERROR_NONE; i++) {
        struct ilea_erased_dot dot;
        struct ilea_erased_row row;
        ilea_erased_dot_get(&dots, &dot);
        error = ilea_log_erased(taking->txn, &taking->erasing.agency, &dot, &row);
        bool is_done = error == ILEA_ERROR_NONE && !row.due;
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
        if (!is_done && *used == left) {
            taking->due[taking->due_count++] = dot;
            continue;
        }
        if (!is_done) (*used)++;
        taking->now[taking->now_count++] = dot;
    }
    return error;
}

static enum ilea_error
take_statement(struct taking *taking, const struct ilea_erase_statement *statement)
{
    const struct ilea_agency_id *agency = &taking->erasing.agency;
    const uint32_t today = (uint32_t)(ilea_author_now(taking->author) / ILEA_DAY_MS);
    uint32_t left = UINT32_MAX, used = 0, changed;
    bool is_free = is_own(taking->author, agency);
    enum ilea_error error = is_free ? ILEA_ERROR_NONE : check_signatures(taking, statement, &is_free);
    if (error == ILEA_ERROR_NONE && !is_free) error = allowance(taking->txn, agency, today, &left);
    if (error == ILEA_ERROR_NONE) error = sort_out(taking, statement, left, &used);
    if (error == ILEA_ERROR_NONE && !is_free) error = use_allowance(taking->txn, agency, today, used);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_erased_file_add_dots(ilea_author_erased(taking->author), agency, taking->now, taking->now_count,
                                          false);
    }
    if (error == ILEA_ERROR_NONE) {
        taking->erasing.due = false;
        error = ilea_log_erase(taking->txn, &taking->erasing, taking->now, taking->now_count, &changed);
    }
    if (error == ILEA_ERROR_NONE) {
        taking->erasing.due = true;
        error = ilea_log_erase(taking->txn, &taking->erasing, taking->due, taking->due_count, &changed);
    }
    return error;
}

enum ilea_error
ilea_erase_take(struct ilea_author *author, const struct ilea_feed_row *feed, uint64_t seq, struct ilea_span bytes)
{
    struct ilea_commit commit;
    if (feed->origin.scope != ILEA_SCOPE_CONTROL || ilea_author_erased(author) == NULL) return ILEA_ERROR_NONE;
    if (ilea_commit_decode(bytes, &commit) != ILEA_ERROR_NONE) return ILEA_ERROR_NONE;
    struct taking *taking = calloc(1, sizeof *taking);
    struct ilea_erase_statement *statement = calloc(1, sizeof *statement);
    enum ilea_error error = taking != NULL && statement != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    struct ilea_msgpack_reader slots;
    ilea_msgpack_reader_init(&slots, commit.slots);
    for (uint32_t i = 0; i < commit.header.item_count && error == ILEA_ERROR_NONE; i++) {
        struct ilea_span slot = ilea_slot_next(&slots);
        struct ilea_item item;
        enum ilea_statement_kind kind;
        if (ilea_item_decode(slot, &item) != ILEA_ERROR_NONE || (item.flags & ILEA_ITEM_CONTROL) == 0
            || ilea_statement_kind_of(item.content, &kind) != ILEA_ERROR_NONE || kind != ILEA_STATEMENT_ERASE
            || ilea_erase_decode(item.content, statement) != ILEA_ERROR_NONE) {
            continue;
        }
        taking->author = author;
        taking->txn = ilea_author_transaction(author);
        taking->erasing = (struct ilea_erasing){ .agency = feed->origin.agency, .feed = feed->number, .seq = seq };
        error = take_statement(taking, statement);
    }
    free(taking);
    free(statement);
    return error;
}

/* The due rows of one agency, as far as its allowance goes; *row is left at the last one seen. */
static enum ilea_error
carry_out(struct ilea_author *author, const struct ilea_erased_row *due, uint32_t today, uint32_t *count)
{
    struct ilea_transaction *txn = ilea_author_transaction(author);
    const struct ilea_erasing erasing = { .agency = due->agency };
    uint32_t left, changed;
    enum ilea_error error = allowance(txn, &due->agency, today, &left);
    if (error != ILEA_ERROR_NONE || left == 0) return error;
    error = ilea_erased_file_add_dots(ilea_author_erased(author), &due->agency, &due->dot, 1, false);
    if (error == ILEA_ERROR_NONE) error = ilea_log_erase(txn, &erasing, &due->dot, 1, &changed);
    if (error == ILEA_ERROR_NONE) error = use_allowance(txn, &due->agency, today, 1);
    (*count)++;
    return error;
}

enum ilea_error
ilea_erase_due(struct ilea_author *author, uint32_t *count)
{
    struct ilea_transaction *txn = ilea_author_transaction(author);
    const uint32_t today = (uint32_t)(ilea_author_now(author) / ILEA_DAY_MS);
    struct ilea_erased_row row;
    struct ilea_agency_row agency;
    *count = 0;
    enum ilea_error error = ilea_log_agency_next(txn, NULL, &agency);
    while (error == ILEA_ERROR_NONE) {
        const struct ilea_agency_id id = agency.id;
        struct ilea_erase_day day;
        error = ilea_log_erase_day(txn, &id, &day);
        row = (struct ilea_erased_row){ .agency = id };
        while (error == ILEA_ERROR_NONE && day.due > 0) {
            error = ilea_log_erased_next(txn, &row, &row);
            if (error != ILEA_ERROR_NONE || memcmp(row.agency.bytes, id.bytes, sizeof id.bytes) != 0) break;
            if (!row.due) continue;
            day.due--;
            error = carry_out(author, &row, today, count);
        }
        if (error == ILEA_ERROR_NONE || error == ILEA_ERROR_NOT_FOUND) {
            error = ilea_log_agency_next(txn, &id, &agency);
        }
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}
