/*
 * author_line.c - which feeds are being written: one for each audience that one writes for.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/author_state.h"

static bool
is_for(const struct ilea_feed_origin *origin, enum ilea_scope scope, const struct ilea_audience_id *audience)
{
    return origin->scope == scope && memcmp(origin->audience.bytes, audience->bytes, sizeof audience->bytes) == 0;
}

/* The feed a guard entry allows us to go on with: number 0 if none. */
static enum ilea_error
feed_of_guard(struct ilea_transaction *txn, const struct ilea_guard_entry *entry,
              const struct ilea_sign_public *node, struct ilea_feed_row *feed)
{
    *feed = (struct ilea_feed_row){ .number = 0 };
    if (entry->seq == 0) return ILEA_ERROR_NONE;
    struct ilea_feed_row row;
    enum ilea_error error = ilea_log_feed_by_id(txn, &entry->feed, &row);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_chain_row chain;
    error = ilea_log_chain(txn, row.number, entry->seq, &chain);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE; /* the log is older than the guard */
    if (error != ILEA_ERROR_NONE) return error;
    bool matches = memcmp(chain.id.bytes, entry->id.bytes, sizeof chain.id.bytes) == 0
        && memcmp(row.origin.node.bytes, node->bytes, sizeof node->bytes) == 0 /* else the key was replaced */
        && is_for(&row.origin, entry->scope, &entry->audience) && !row.closed && row.limit_seq == ILEA_SEQ_NONE;
    if (matches) *feed = row;
    return ILEA_ERROR_NONE;
}

/* Whose items a line takes. */
static void
set_line(struct ilea_author *author, uint32_t number, enum ilea_scope scope, const struct ilea_audience_id *audience)
{
    struct ilea_author_line *line = &author->lines[number];
    const struct ilea_log_identity *identity = author->identity;
    *line = (struct ilea_author_line){ .scope = scope };
    if (scope == ILEA_SCOPE_AGENCY) ilea_audience_of_agency(&identity->network, &identity->agency, &line->audience);
    if (scope == ILEA_SCOPE_PEERS) ilea_audience_of_peers(&identity->network, &identity->agency, &line->audience);
    if (scope == ILEA_SCOPE_AUDIENCE) line->audience = *audience;
    if (number >= author->line_count) author->line_count = number + 1;
}

enum ilea_error
ilea_author_load_lines(struct ilea_author *author, struct ilea_transaction *txn)
{
    set_line(author, ILEA_LINE_AGENCY, ILEA_SCOPE_AGENCY, NULL);
    set_line(author, ILEA_LINE_PEERS, ILEA_SCOPE_PEERS, NULL);
    set_line(author, ILEA_LINE_CONTROL, ILEA_SCOPE_CONTROL, NULL);
    for (uint32_t i = 0; author->guard != NULL && i < ILEA_OWN_LINES_MAX; i++) {
        struct ilea_guard_entry entry;
        struct ilea_feed_row feed;
        ilea_guard_read(author->guard, i, &entry);
        enum ilea_error error = feed_of_guard(txn, &entry, &author->node, &feed);
        if (error != ILEA_ERROR_NONE) return error;
        if (feed.number == 0) continue;
        if (i >= ILEA_LINES_FIXED) set_line(author, i, entry.scope, &entry.audience);
        if (author->lines[i].scope == entry.scope) author->lines[i].feed = feed;
    }
    return ILEA_ERROR_NONE;
}

uint32_t
ilea_author_line(struct ilea_author *author, enum ilea_scope scope, const struct ilea_audience_id *audience)
{
    switch (scope) {
    case ILEA_SCOPE_AGENCY: return ILEA_LINE_AGENCY;
    case ILEA_SCOPE_PEERS: return ILEA_LINE_PEERS;
    case ILEA_SCOPE_CONTROL: return ILEA_LINE_CONTROL;
    case ILEA_SCOPE_AUDIENCE: break;
    }
    uint32_t oldest = 0, i = ILEA_LINES_FIXED;
    for (; i < author->line_count; i++) {
        const struct ilea_author_line *line = &author->lines[i];
        if (line->scope == 0) break;
        if (memcmp(line->audience.bytes, audience->bytes, sizeof audience->bytes) == 0) return i;
        if (author->is_open && author->open_line == i) continue;
        if (oldest == 0 || line->written < author->lines[oldest].written) oldest = i;
    }
    if (i == ILEA_OWN_LINES_MAX) i = oldest;
    set_line(author, i, scope, audience);
    return i;
}

const struct ilea_feed_row *
ilea_author_feed(const struct ilea_author *author, enum ilea_scope scope)
{
    ilea_assert(scope != ILEA_SCOPE_AUDIENCE);
    uint32_t line = scope == ILEA_SCOPE_AGENCY ? ILEA_LINE_AGENCY
        : scope == ILEA_SCOPE_PEERS            ? ILEA_LINE_PEERS
                                               : ILEA_LINE_CONTROL;
    return &author->lines[line].feed;
}

const struct ilea_feed_row *
ilea_author_feed_at(const struct ilea_author *author, uint32_t index)
{
    return index < author->line_count ? &author->lines[index].feed : NULL;
}

bool
ilea_author_writes(const struct ilea_author *author, uint32_t feed)
{
    for (uint32_t i = 0; i < author->line_count; i++) {
        if (author->lines[i].feed.number == feed) return true;
    }
    return false;
}

void
ilea_author_drop_feeds(struct ilea_author *author)
{
    for (uint32_t i = 0; i < author->line_count; i++) author->lines[i].feed = (struct ilea_feed_row){ .number = 0 };
}

void
ilea_author_save_lines(struct ilea_author *author)
{
    memcpy(author->saved_lines, author->lines, author->line_count * sizeof author->lines[0]);
    author->saved_line_count = author->line_count;
}

void
ilea_author_restore_lines(struct ilea_author *author)
{
    memcpy(author->lines, author->saved_lines, author->saved_line_count * sizeof author->lines[0]);
    author->line_count = author->saved_line_count;
}

enum ilea_error
ilea_author_write_guard(struct ilea_author *author)
{
    if (author->guard == NULL) return ILEA_ERROR_NONE;
    for (uint32_t i = 0; i < author->line_count; i++) {
        const struct ilea_author_line *line = &author->lines[i];
        if (line->written <= author->saved_position) continue;
        const struct ilea_guard_entry entry = { line->scope, line->feed.origin.audience, line->feed.id, line->feed.seq,
                                                line->feed.head };
        enum ilea_error error = ilea_guard_write(author->guard, i, &entry);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

/* The last positions of our other feeds of this line that no opening of ours names yet, by feed id, into
 * *positions (heap). What is named once need not be again: a thousand starts leave one feed to name. */
static enum ilea_error
predecessors(struct ilea_author *author, const struct ilea_feed_origin *origin, struct ilea_position **positions,
             uint32_t *count)
{
    *positions = calloc(ILEA_PREDECESSORS_MAX, sizeof **positions);
    if (*positions == NULL) return ILEA_ERROR_NO_MEMORY;
    *count = 0;
    for (uint32_t number = 1; *count < ILEA_PREDECESSORS_MAX; number++) {
        struct ilea_feed_row row;
        enum ilea_error error = ilea_log_feed(author->txn, number, &row);
        if (error == ILEA_ERROR_NOT_FOUND) break;
        if (error != ILEA_ERROR_NONE) return error;
        uint64_t seq = row.seq < row.limit_seq ? row.seq : row.limit_seq; /* of a fork: what all agree on */
        if (!is_for(&row.origin, origin->scope, &origin->audience) || seq <= row.named_seq
            || memcmp(row.origin.agency.bytes, author->identity->agency.bytes, ILEA_ID_SIZE) != 0) {
            continue;
        }
        struct ilea_chain_row chain;
        error = ilea_log_chain(author->txn, number, seq, &chain);
        if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
        uint32_t at = (*count)++;
        for (; at > 0 && memcmp((*positions)[at - 1].feed.bytes, row.id.bytes, ILEA_ID_SIZE) > 0; at--) {
            (*positions)[at] = (*positions)[at - 1];
        }
        (*positions)[at] = (struct ilea_position){ row.id, seq, chain.id };
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_author_open_feed(struct ilea_author *author, uint32_t line)
{
    struct ilea_author_line *to = &author->lines[line];
    struct ilea_feed_row row = { .origin = { .agency = author->identity->agency, .node = author->node,
                                             .scope = to->scope } };
    struct ilea_audience_row audience = { .owner = { { 0 } } };
    to->has_named = false; /* the feed says nothing yet */
    to->writer_count = 0;
    if (to->scope == ILEA_SCOPE_AUDIENCE) {
        enum ilea_error found = ilea_log_audience(author->txn, &to->audience, &audience);
        if (found != ILEA_ERROR_NONE) return found;
        row.origin.audience = to->audience;
    }
    ilea_random_bytes(row.origin.incarnation, sizeof row.origin.incarnation);
    ilea_feed_id_of(&author->identity->network, &row.origin, &row.id);
    struct ilea_position *positions = NULL;
    uint32_t count = 0;
    enum ilea_error error = predecessors(author, &row.origin, &positions, &count);
    if (error == ILEA_ERROR_NONE) error = ilea_log_add_feed(author->txn, &row);
    uint8_t *bytes = malloc(OPENING_SIZE_MAX);
    if (bytes == NULL) error = ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) {
        struct ilea_msgpack_writer writer;
        ilea_msgpack_writer_init(&writer, bytes, OPENING_SIZE_MAX);
        struct ilea_opening opening = { .origin = row.origin, .owner = audience.owner };
        memcpy(opening.salt, audience.salt, sizeof opening.salt);
        ilea_opening_put(&writer, &opening, positions, count);
        ilea_assert(!writer.failed);
        ilea_commit_begin(author->builder, &author->identity->network, &row.id, 1, &row.head);
        error = ilea_commit_add_statement(author->builder, ilea_msgpack_written(&writer));
    }
    if (error == ILEA_ERROR_NONE) to->feed = row;
    free(positions);
    free(bytes);
    return error;
}

enum ilea_error
ilea_author_close_feed(struct ilea_author *author, const struct ilea_feed_id *id)
{
    for (uint32_t i = 0; i < author->line_count; i++) {
        struct ilea_feed_row *feed = &author->lines[i].feed;
        if (feed->number == 0 || memcmp(feed->id.bytes, id->bytes, sizeof id->bytes) != 0) continue;
        if (author->is_open && author->open_line == i) {
            enum ilea_error error = ilea_author_end_commit(author);
            if (error != ILEA_ERROR_NONE) return error;
        }
        feed->closed = true;
        enum ilea_error error = ilea_log_put_feed(author->txn, feed);
        *feed = (struct ilea_feed_row){ .number = 0 };
        return error;
    }
    return ILEA_ERROR_NONE;
}
