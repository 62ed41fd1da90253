/*
 * view_audience.c - closed audiences in the view: which statements count, and whether an item was written by somebody
 * who might (PROTOCOL.md, "Closed audiences").
 */
#include <string.h>

#include "node/view_builder_state.h"

/* Stands for a feed's first naming statement. */
static const struct ilea_epoch_id first_naming;

static bool
same_audience(const struct ilea_audience_id *a, const struct ilea_audience_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

enum ilea_error
ilea_builder_is_owner(struct ilea_view_builder *builder, bool *is_owner)
{
    struct ilea_audience_row row;
    const struct ilea_feed_origin *origin = &builder->feed.origin;
    enum ilea_error error = ilea_log_audience(builder->log_txn, &origin->audience, &row);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_BAD_HASH : error;
    *is_owner = memcmp(row.owner.bytes, origin->agency.bytes, sizeof row.owner.bytes) == 0;
    return ILEA_ERROR_NONE;
}

/* What readers are told of the audience, by all that the log holds. */
static enum ilea_error
describe(struct ilea_view_builder *builder, const struct ilea_audience_id *audience)
{
    struct ilea_audience_row row;
    struct ilea_agency_row owner;
    struct ilea_membership *membership;
    struct ilea_membership_state state;
    struct ilea_view_audience told = { .id = *audience };
    enum ilea_error error = ilea_log_audience(builder->log_txn, audience, &row);
    if (error == ILEA_ERROR_NONE) error = ilea_log_agency(builder->log_txn, &row.owner, &owner);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_audience_get(builder->audiences, builder->log_txn, audience, &membership);
    }
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE; /* its owner is not followed any more */
    if (error == ILEA_ERROR_NONE) error = ilea_membership_state(membership, &state);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_LIMIT) {
        return error == ILEA_ERROR_CORRUPT ? ILEA_ERROR_BAD_HASH : error;
    }
    const struct ilea_member *own = ilea_membership_find(&state, &ilea_log_identity(builder->log)->agency);
    told.owner = owner.number;
    told.level = own != NULL && !own->suspended ? (uint32_t)own->level : 0;
    if (state.has_info) {
        told.tlp = state.tlp;
        told.name = state.name;
    }
    return ilea_view_put_audience(builder->view_txn, &told);
}

static bool
removes_somebody(const struct ilea_audience_statement *statement)
{
    struct ilea_msgpack_reader acts;
    ilea_msgpack_reader_init(&acts, statement->acts);
    for (uint32_t i = 0; i < statement->act_count; i++) {
        struct ilea_member_act act;
        ilea_member_act_get(&acts, &act);
        if (act.kind == ILEA_MEMBER_REMOVE) return true;
    }
    return false;
}

/* What stands in a naming slot, if it counts there. */
struct naming {
    bool counts, is_control, removes;
    bool has_epoch;
    uint32_t feed;             /* of its place: 0 of an AUDIENCE */
    struct ilea_builder_epoch epoch;
};

static void
take_wrapped(struct naming *naming, const uint8_t aek_commit[ILEA_HASH_SIZE], struct ilea_span wrapped, uint32_t count)
{
    naming->has_epoch = true;
    memcpy(naming->epoch.aek_commit, aek_commit, ILEA_HASH_SIZE);
    naming->epoch.wrapped = wrapped;
    naming->epoch.wrapped_count = count;
}

static void
decode_naming(const struct ilea_view_builder *builder, enum ilea_statement_kind kind, struct ilea_span content,
              bool is_owner, struct naming *naming)
{
    const struct ilea_audience_id *audience = &builder->feed.origin.audience;
    struct ilea_audience_statement statement;
    struct ilea_suspend_statement suspend;
    struct ilea_use_statement use;
    struct ilea_writer_epoch writer;
    *naming = (struct naming){ .counts = false };
    if (kind == ILEA_STATEMENT_AUDIENCE && is_owner
        && ilea_audience_statement_decode(content, &statement) == ILEA_ERROR_NONE) {
        naming->counts = same_audience(&statement.audience, audience);
        naming->is_control = true;
        naming->removes = removes_somebody(&statement);
        take_wrapped(naming, statement.aek_commit, statement.wrapped, statement.wrapped_count);
    }
    if (kind == ILEA_STATEMENT_SUSPEND && !is_owner && ilea_suspend_decode(content, &suspend) == ILEA_ERROR_NONE) {
        naming->counts = same_audience(&suspend.audience, audience);
        naming->is_control = true;
    }
    if (kind == ILEA_STATEMENT_USE && ilea_use_decode(content, &use) == ILEA_ERROR_NONE) {
        naming->counts = same_audience(&use.audience, audience);
    }
    if (kind == ILEA_STATEMENT_WRITER && ilea_writer_epoch_decode(content, &writer) == ILEA_ERROR_NONE) {
        naming->counts = same_audience(&writer.audience, audience);
        naming->feed = builder->feed.number;
        take_wrapped(naming, writer.aek_commit, writer.wrapped, writer.wrapped_count);
    }
}

enum ilea_error
ilea_builder_take_naming(struct ilea_view_builder *builder, const struct ilea_log_commit *row, uint32_t index,
                         enum ilea_statement_kind kind, struct ilea_span content)
{
    struct naming naming = { .counts = false };
    struct ilea_epoch_id id;
    struct ilea_chain_row chain;
    bool is_owner = false;
    enum ilea_error error = ILEA_ERROR_NONE;
    if (builder->feed.origin.scope == ILEA_SCOPE_AUDIENCE && index == (row->seq == 1 ? 1 : 0)) {
        error = ilea_builder_is_owner(builder, &is_owner);
        if (error == ILEA_ERROR_NONE) decode_naming(builder, kind, content, is_owner, &naming);
    }
    if (error == ILEA_ERROR_NONE && !naming.counts) builder->meta.hidden++;
    if (error != ILEA_ERROR_NONE || !naming.counts) return error;
    const struct ilea_audience_id audience = builder->feed.origin.audience; /* a key may lead to other feeds */
    error = ilea_view_put_epoch_place(builder->view_txn, &audience, &first_naming, row->feed, row->position);
    if (error == ILEA_ERROR_NONE && naming.has_epoch) {
        memcpy(id.bytes, naming.epoch.aek_commit, sizeof id.bytes);
        error = ilea_view_put_epoch_place(builder->view_txn, &audience, &id, naming.feed, row->position);
    }
    if (error == ILEA_ERROR_NONE && naming.removes) {
        error = ilea_log_chain(builder->log_txn, row->feed, row->seq, &chain);
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_BAD_HASH;
        if (error == ILEA_ERROR_NONE) {
            error = ilea_view_put_removal(builder->view_txn, &audience, row->position, &chain.id);
        }
    }
    if (error == ILEA_ERROR_NONE && naming.is_control) {
        memset(builder->judged, 0, sizeof builder->judged);
        error = describe(builder, &audience);
    }
    if (error != ILEA_ERROR_NONE || !naming.has_epoch) return error;
    naming.epoch.audience = audience;
    return ilea_builder_try_keys(builder, &naming.epoch);
}

/* What the writer of an epoch knew: the statement itself, or what a WRITER names. */
static enum ilea_error
read_names(struct ilea_view_builder *builder, uint64_t position, bool is_audience,
           struct ilea_commit_id ids[ILEA_HEADS_MAX], uint32_t *count)
{
    struct ilea_log_commit row;
    struct ilea_commit commit;
    struct ilea_msgpack_reader heads;
    enum ilea_error error = ilea_log_commit_at(builder->log_txn, position, &row);
    if (error == ILEA_ERROR_NONE) error = ilea_builder_decode_commit(builder, &row, &commit);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    *count = 1;
    if (is_audience) {
        ilea_commit_id_of(commit.header_bytes, &ids[0]);
        return ILEA_ERROR_NONE;
    }
    ilea_statement_heads(ilea_naming_statement(&commit), count, &heads);
    for (uint32_t i = 0; i < *count; i++) {
        struct ilea_head head;
        ilea_head_get(&heads, &head);
        ids[i] = head.id;
    }
    return ILEA_ERROR_NONE;
}

/* The first removal in this log that is not among what the writer knew. */
static enum ilea_error
find_lacking(struct ilea_view_builder *builder, const struct ilea_membership *membership,
             const struct ilea_commit_id *ids, uint32_t count, uint64_t *lacks)
{
    uint64_t position = 0;
    struct ilea_commit_id removal;
    enum ilea_error error = ILEA_ERROR_NONE;
    *lacks = UINT64_MAX;
    while (error == ILEA_ERROR_NONE) {
        bool is_known = false;
        error = ilea_view_removal_next(builder->view_txn, &builder->feed.origin.audience, &position, &removal);
        if (error != ILEA_ERROR_NONE) break;
        for (uint32_t i = 0; i < count && !is_known; i++) {
            is_known = ilea_membership_is_ancestor(membership, &removal, &ids[i]);
        }
        if (is_known) continue;
        *lacks = position;
        return ILEA_ERROR_NONE;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* NOT_FOUND: it does not count, as far as is known. */
static enum ilea_error
judge_epoch(struct ilea_view_builder *builder, const struct ilea_epoch_id *epoch, struct ilea_judged *judged)
{
    const struct ilea_feed_row *feed = &builder->feed;
    const struct ilea_audience_id *audience = &feed->origin.audience;
    struct ilea_commit_id ids[ILEA_HEADS_MAX];
    struct ilea_membership *membership;
    enum ilea_access level = ILEA_ACCESS_NONE;
    uint64_t place;
    uint32_t count;
    enum ilea_error error = ilea_view_epoch_place(builder->view_txn, audience, &first_naming, feed->number,
                                                  &judged->from);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_view_epoch_place(builder->view_txn, audience, epoch, 0, &place);
    const bool is_audience = error == ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NOT_FOUND) {
        error = ilea_view_epoch_place(builder->view_txn, audience, epoch, feed->number, &place);
    }
    if (error != ILEA_ERROR_NONE) return error;
    error = read_names(builder, place, is_audience, ids, &count);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_audience_held(builder->audiences, builder->log_txn, audience, &membership);
        if (error == ILEA_ERROR_CORRUPT) error = ILEA_ERROR_BAD_HASH; /* the log's damage */
    }
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_membership_at(membership, ids, count, false, &feed->origin.agency, &level);
    if (error != ILEA_ERROR_NONE) return error;
    judged->counts = level >= ILEA_ACCESS_WRITE;
    return find_lacking(builder, membership, ids, count, &judged->lacks);
}

enum ilea_error
ilea_builder_judge(struct ilea_view_builder *builder, const struct ilea_epoch_id *epoch, uint64_t position,
                   bool *counts, bool *is_stale)
{
    struct ilea_judged *judged = &builder->judged[(epoch->bytes[0] + builder->feed.number) % ILEA_JUDGED_MAX];
    *counts = *is_stale = false;
    if (judged->feed != builder->feed.number
        || memcmp(judged->epoch.bytes, epoch->bytes, sizeof epoch->bytes) != 0) {
        struct ilea_judged fresh = { .feed = builder->feed.number, .epoch = *epoch };
        enum ilea_error error = judge_epoch(builder, epoch, &fresh);
        if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
        *judged = fresh;
    }
    *counts = judged->counts && judged->from <= position;
    *is_stale = *counts && judged->lacks < position;
    return ILEA_ERROR_NONE;
}

enum ilea_scope
ilea_builder_shown_scope(const struct ilea_record *record, bool is_shared)
{
    if (!is_shared) return ILEA_SCOPE_AGENCY;
    struct ilea_audience_id audience;
    return ilea_record_audience_of(record, &audience) ? ILEA_SCOPE_AUDIENCE : ILEA_SCOPE_PEERS;
}
