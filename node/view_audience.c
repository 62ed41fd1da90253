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

void
ilea_builder_free_audiences(struct ilea_view_builder *builder)
{
    for (uint32_t i = 0; i < ILEA_BUILDER_AUDIENCES; i++) ilea_membership_free(builder->audiences[i].membership);
}

/* Its place, or the one that is to make room. */
static struct ilea_builder_audience *
find_audience(struct ilea_view_builder *builder, const struct ilea_audience_id *id)
{
    struct ilea_builder_audience *oldest = &builder->audiences[0];
    for (uint32_t i = 0; i < ILEA_BUILDER_AUDIENCES; i++) {
        struct ilea_builder_audience *audience = &builder->audiences[i];
        if (audience->membership != NULL && same_audience(&audience->id, id)) return audience;
        if (audience->used < oldest->used) oldest = audience;
    }
    ilea_membership_free(oldest->membership);
    *oldest = (struct ilea_builder_audience){ .id = *id };
    return oldest;
}

/* The commit at a position that the view was built from, decoded. */
static enum ilea_error
read_commit(struct ilea_view_builder *builder, uint64_t position, struct ilea_commit *commit)
{
    struct ilea_log_commit row;
    enum ilea_error error = ilea_log_commit_at(builder->log_txn, position, &row);
    if (error == ILEA_ERROR_NONE) error = ilea_builder_decode_commit(builder, &row, commit);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
}

/*
 * The owner's statements that the view has met, and no others: so what is computed from them is the same in a rebuild,
 * for whoever follows whom. SUSPENDs are left out: an AUDIENCE that nothing else names is a head beside them, so an
 * honest writer names it itself. Borrowed until the next call.
 */
static enum ilea_error
load_membership(struct ilea_view_builder *builder, const struct ilea_audience_id *id,
                struct ilea_membership **membership)
{
    struct ilea_audience_row row;
    struct ilea_builder_audience *audience = find_audience(builder, id);
    enum ilea_error error = ilea_log_audience(builder->log_txn, id, &row);
    if (error == ILEA_ERROR_NONE && audience->membership == NULL) {
        error = ilea_membership_new(&row.owner, id, &audience->membership);
    }
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_BAD_HASH : error;
    struct ilea_view_statement statement = { .position = audience->position };
    while ((error = ilea_view_statement_next(builder->view_txn, id, &statement)) == ILEA_ERROR_NONE) {
        struct ilea_commit commit;
        error = read_commit(builder, statement.position, &commit);
        if (error != ILEA_ERROR_NONE) return error;
        error = ilea_membership_take(audience->membership, &row.owner, &statement.id, ilea_naming_statement(&commit));
        if (error == ILEA_ERROR_NO_MEMORY) return error; /* others: it is held, or there is no room for more */
        audience->position = statement.position;
    }
    audience->used = ++builder->clock;
    *membership = audience->membership;
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

/* What readers are told of the audience, by the owner's statements so far. */
static enum ilea_error
describe(struct ilea_view_builder *builder, const struct ilea_audience_id *audience)
{
    struct ilea_membership *membership;
    struct ilea_membership_state state;
    struct ilea_view_audience told = { .id = *audience, .owner = builder->agency };
    enum ilea_error error = load_membership(builder, audience, &membership);
    if (error == ILEA_ERROR_NONE) error = ilea_membership_state(membership, &state);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_LIMIT) return error;
    const struct ilea_member *own = ilea_membership_find(&state, &ilea_log_identity(builder->log)->agency);
    if (own != NULL) told.level = (uint32_t)own->level;
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
    bool counts;
    bool is_audience, removes; /* it is the owner's; somebody */
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
        naming->is_audience = true;
        naming->removes = removes_somebody(&statement);
        take_wrapped(naming, statement.aek_commit, statement.wrapped, statement.wrapped_count);
    }
    if (kind == ILEA_STATEMENT_SUSPEND && !is_owner && ilea_suspend_decode(content, &suspend) == ILEA_ERROR_NONE) {
        naming->counts = same_audience(&suspend.audience, audience);
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

/* One more statement of the owner. */
static enum ilea_error
take_audience(struct ilea_view_builder *builder, const struct ilea_log_commit *row, bool removes)
{
    struct ilea_chain_row chain;
    enum ilea_error error = ilea_log_chain(builder->log_txn, row->feed, row->seq, &chain);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_BAD_HASH : error;
    const struct ilea_view_statement statement = { row->position, chain.id, removes };
    error = ilea_view_put_statement(builder->view_txn, &builder->feed.origin.audience, &statement);
    memset(builder->judged, 0, sizeof builder->judged);
    return error == ILEA_ERROR_NONE ? describe(builder, &builder->feed.origin.audience) : error;
}

enum ilea_error
ilea_builder_take_naming(struct ilea_view_builder *builder, const struct ilea_log_commit *row, uint32_t index,
                         enum ilea_statement_kind kind, struct ilea_span content)
{
    struct naming naming = { .counts = false };
    struct ilea_epoch_id id;
    bool is_owner = false;
    enum ilea_error error = ILEA_ERROR_NONE;
    if (builder->feed.origin.scope == ILEA_SCOPE_AUDIENCE && index == (row->seq == 1 ? 1 : 0)) {
        error = ilea_builder_is_owner(builder, &is_owner);
        if (error == ILEA_ERROR_NONE) decode_naming(builder, kind, content, is_owner, &naming);
    }
    if (error == ILEA_ERROR_NONE && !naming.counts) builder->meta.hidden++;
    if (error != ILEA_ERROR_NONE || !naming.counts) return error;
    const struct ilea_audience_id audience = builder->feed.origin.audience;
    error = ilea_view_put_epoch_place(builder->view_txn, &audience, &first_naming, row->feed, row->position);
    if (error == ILEA_ERROR_NONE && naming.has_epoch) {
        memcpy(id.bytes, naming.epoch.aek_commit, sizeof id.bytes);
        error = ilea_view_put_epoch_place(builder->view_txn, &audience, &id, naming.feed, row->position);
    }
    if (error == ILEA_ERROR_NONE && naming.is_audience) error = take_audience(builder, row, naming.removes);
    if (error != ILEA_ERROR_NONE || !naming.has_epoch) return error;
    naming.epoch.audience = audience;
    return ilea_builder_try_keys(builder, &naming.epoch); /* which may lead to other feeds */
}

/* What the writer of an epoch knew: the statement itself, or what a WRITER names. */
static enum ilea_error
read_names(struct ilea_view_builder *builder, uint64_t position, bool is_audience,
           struct ilea_commit_id ids[ILEA_HEADS_MAX], uint32_t *count)
{
    struct ilea_commit commit;
    struct ilea_msgpack_reader heads;
    enum ilea_error error = read_commit(builder, position, &commit);
    if (error != ILEA_ERROR_NONE) return error;
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
    struct ilea_view_statement statement = { .position = 0 };
    enum ilea_error error;
    *lacks = UINT64_MAX;
    while ((error = ilea_view_statement_next(builder->view_txn, &builder->feed.origin.audience, &statement))
           == ILEA_ERROR_NONE) {
        bool is_known = !statement.removes;
        for (uint32_t i = 0; i < count && !is_known; i++) {
            is_known = ilea_membership_is_ancestor(membership, &statement.id, &ids[i]);
        }
        if (is_known) continue;
        *lacks = statement.position;
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
    if (error == ILEA_ERROR_NONE) error = load_membership(builder, audience, &membership);
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

void
ilea_builder_set_scope(const struct ilea_record *record, bool is_shared, bool has_closed, struct ilea_view_row *row)
{
    row->scope = ILEA_SCOPE_AGENCY;
    row->closed = false;
    if (!is_shared) return;
    bool names = ilea_record_common_value(record, ILEA_FIELD_AUDIENCE).size > 0;
    row->scope = names ? ILEA_SCOPE_AUDIENCE : ILEA_SCOPE_PEERS;
    row->closed = has_closed;
    for (uint32_t i = 0; i < record->covered_count && !row->closed; i++) {
        row->closed = record->covered[i].field == ILEA_FIELD_AUDIENCE;
    }
}
