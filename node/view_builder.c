#include "node/view_builder.h"

#include <stdlib.h>
#include <string.h>

#include "node/view_builder_state.h"
#include "replication/record/commit.h"
#include "replication/record/receipt.h"

/* One agency that states epochs without end must not use up the room of the others. */
enum { KEYS_MAX = 32768, AGENCY_KEYS_MAX = 4096, STATE_SIZE_START = 256 * 1024 };

/* The keys this view was built with so far. */
static enum ilea_error
load_keys(struct ilea_view_builder *builder, struct ilea_transaction *txn)
{
    for (uint32_t i = 0;; i++) {
        struct ilea_view_epoch epoch;
        enum ilea_error error = ilea_view_epoch(txn, i, &epoch);
        if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
        if (error != ILEA_ERROR_NONE) return error;
        error = ilea_keys_unwrap(builder->keys, builder->ring, &ilea_log_identity(builder->log)->network,
                                 &epoch.audience, epoch.aek_commit, epoch.wrapped);
        if (error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_BAD_HASH) return ILEA_ERROR_CORRUPT;
        if (error != ILEA_ERROR_NONE) return error;
        builder->key_counts[epoch.agency % ILEA_VIEW_AGENCIES_MAX]++;
    }
}

enum ilea_error
ilea_view_builder_new(struct ilea_log *log, struct ilea_environment *view,
                      const struct ilea_keys *keys,
                      struct ilea_view_builder **builder)
{
    struct ilea_view_builder *made = calloc(1, sizeof *made);
    if (made == NULL) return ILEA_ERROR_NO_MEMORY;
    made->log = log;
    made->view = view;
    made->keys = keys;
    ilea_record_init(&made->record);
    made->state_capacity = STATE_SIZE_START;
    made->state = malloc(made->state_capacity);
    enum ilea_error error = made->state != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_keyring_new(KEYS_MAX, &made->ring);
    struct ilea_transaction *txn = NULL;
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(view, false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_view_load_meta(txn, &made->meta);
    if (error == ILEA_ERROR_NONE) error = load_keys(made, txn);
    ilea_transaction_abort(txn);

    const uint8_t *database = ilea_log_identity(log)->database;
    if (error == ILEA_ERROR_NONE && made->meta.position > 0
        && memcmp(made->meta.database, database, sizeof made->meta.database) != 0) {
        error = ILEA_ERROR_CORRUPT;
    }
    if (error != ILEA_ERROR_NONE) {
        ilea_view_builder_free(made);
        return error;
    }
    memcpy(made->meta.database, database, sizeof made->meta.database);
    *builder = made;
    return ILEA_ERROR_NONE;
}

void
ilea_view_builder_free(struct ilea_view_builder *builder)
{
    if (builder == NULL) return;
    ilea_keyring_free(builder->ring);
    ilea_builder_free_audiences(builder);
    ilea_record_deinit(&builder->record);
    free(builder->state);
    free(builder);
}

/* Codes and names of the agencies, for readers of the view alone. */
static enum ilea_error
copy_agencies(struct ilea_view_builder *builder)
{
    struct ilea_agency_row row;
    const struct ilea_agency_id *after = NULL;
    struct ilea_agency_id last;
    for (;;) {
        enum ilea_error error = ilea_log_agency_next(builder->log_txn, after, &row);
        if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
        if (error != ILEA_ERROR_NONE) return error;
        last = row.id;
        after = &last;
        struct ilea_view_agency agency;
        struct ilea_span bytes;
        struct ilea_manifest manifest;
        uint8_t hash[ILEA_HASH_SIZE];
        uint64_t index;
        error = ilea_log_manifest_last(builder->log_txn, &row.id, &index, &bytes);
        if (error != ILEA_ERROR_NONE) return ILEA_ERROR_BAD_HASH;
        ilea_hash_once(ILEA_DOMAIN_STORED, bytes.data, bytes.size, hash);
        error = ilea_view_agency(builder->view_txn, row.number, &agency);
        if (error == ILEA_ERROR_NONE && memcmp(agency.id.bytes, row.id.bytes, ILEA_ID_SIZE) == 0
            && memcmp(agency.manifest, hash, sizeof hash) == 0) {
            continue;
        }
        error = ilea_manifest_decode(bytes, &manifest);
        if (error == ILEA_ERROR_NO_MEMORY) return error;
        if (error != ILEA_ERROR_NONE) return ILEA_ERROR_BAD_HASH;
        agency = (struct ilea_view_agency){ .number = row.number, .id = row.id, .code = manifest.code,
                                            .country = manifest.country, .name = manifest.name };
        memcpy(agency.manifest, hash, sizeof hash);
        error = ilea_view_put_agency(builder->view_txn, &agency);
        if (error != ILEA_ERROR_NONE) return error;
    }
}

uint32_t
ilea_builder_ref(const struct ilea_record *record, uint32_t type)
{
    uint32_t first;
    const struct ilea_span no_key = { NULL, 0 };
    uint32_t count = ilea_record_find(record, ILEA_FIELD_REF, no_key, &first);
    if (count == 0) return 0;
    const struct ilea_field *field = ilea_field_by_number(ilea_type_by_number(type), ILEA_FIELD_REF);
    uint32_t shown = ilea_record_shown(record, field, first, count);
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, record->entries[shown].value);
    uint32_t number = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    return ilea_msgpack_reader_done(&reader) ? number : 0;
}

static bool
reserve_state(struct ilea_view_builder *builder)
{
    size_t needed = ilea_record_encoded_size_max(&builder->record);
    if (needed <= builder->state_capacity) return true;
    uint8_t *larger = realloc(builder->state, needed * 2);
    if (larger == NULL) return false;
    builder->state = larger;
    builder->state_capacity = needed * 2;
    return true;
}

/* The fields a change wrote, each once. */
static void
name_fields(const struct ilea_change *change, struct ilea_view_change *row)
{
    struct ilea_msgpack_reader ops;
    ilea_msgpack_reader_init(&ops, change->ops);
    for (uint32_t i = 0; i < change->op_count; i++) {
        struct ilea_op op;
        ilea_op_next(&ops, &op);
        if (row->field_count > 0 && row->fields[row->field_count - 1] == op.field) continue;
        if (row->field_count == ILEA_CHANGE_FIELDS_MAX) return;
        row->fields[row->field_count++] = op.field;
    }
}

static bool
writes_documents(const struct ilea_change *change)
{
    struct ilea_msgpack_reader ops;
    ilea_msgpack_reader_init(&ops, change->ops);
    for (uint32_t i = 0; i < change->op_count; i++) {
        struct ilea_op op;
        ilea_op_next(&ops, &op);
        if (op.field == ILEA_FIELD_DOCUMENTS) return true;
    }
    return false;
}

/* The record that a change is merged into, and the documents that it names so far. What was for the agency alone is no
 * part of what is shared. */
static enum ilea_error
begin_record(struct ilea_view_builder *builder, const struct ilea_view_row *before, enum ilea_scope scope,
             struct ilea_builder_named *named)
{
    ilea_record_clear(&builder->record);
    enum ilea_error error = ilea_view_check(before, &builder->feed.origin.agency);
    if (error == ILEA_ERROR_NONE) error = ilea_record_decode(before->state, &builder->record);
    if (error == ILEA_ERROR_MALFORMED) error = ILEA_ERROR_CORRUPT;
    if (error != ILEA_ERROR_NONE) return error;
    named->old_count = ilea_builder_collect_documents(&builder->record, named->old);
    if (ilea_scope_is_shared(before->scope) != ilea_scope_is_shared(scope)) ilea_record_clear(&builder->record);
    return ILEA_ERROR_NONE;
}

/*
 * One change becomes visible. A record that was published is what its shared changes say, whoever each of them was
 * shared with; what was written for the agency alone before no longer counts, and later such changes do not either.
 */
static enum ilea_error
apply_change(struct ilea_view_builder *builder, const struct ilea_change *change,
             const struct ilea_dot *dot, const struct ilea_view_place *place)
{
    const enum ilea_scope scope = builder->feed.origin.scope;
    const bool is_shared = ilea_scope_is_shared(scope);
    struct ilea_view_row before, row = { .agency = builder->agency, .type = change->type, .id = change->record };
    enum ilea_error error =
        ilea_view_find(builder->view_txn, row.agency, row.type, &row.id, &before);
    bool exists = error == ILEA_ERROR_NONE;
    if (!exists && error != ILEA_ERROR_NOT_FOUND) return error;
    struct ilea_view_record_change noted = { .record = exists ? before.number : 0, .place = *place };
    if (exists && ilea_scope_is_shared(before.scope) && !is_shared) {
        return ilea_view_put_record_change(builder->view_txn, &noted);
    }
    struct ilea_builder_named named;
    named.old_count = 0;
    error = exists ? begin_record(builder, &before, scope, &named) : ILEA_ERROR_NONE;
    if (!exists) ilea_record_clear(&builder->record);
    if (error == ILEA_ERROR_NONE) error = ilea_record_merge(&builder->record, change, dot);
    if (error != ILEA_ERROR_NONE) return error;
    if (!reserve_state(builder)) return ILEA_ERROR_NO_MEMORY;
    size_t size = 0;
    error = ilea_record_encode(&builder->record, builder->state, builder->state_capacity, &size);
    if (error != ILEA_ERROR_NONE) return error;

    bool is_other = exists
        && (ilea_scope_is_shared(before.scope) != is_shared || ilea_record_is_overfull(&builder->record));
    /* The record borrows what is overwritten next. */
    named.count = ilea_builder_collect_documents(&builder->record, named.rows);
    row.state = (struct ilea_span){ builder->state, size };
    row.ref = ilea_builder_ref(&builder->record, row.type);
    ilea_builder_set_scope(&builder->record, is_shared,
                           scope == ILEA_SCOPE_AUDIENCE || (exists && before.closed), &row);
    row.number = exists ? before.number : 0;
    error = ilea_view_put(builder->view_txn, &builder->meta, &builder->feed.origin.agency, &row,
                          exists ? &before : NULL);
    if (error == ILEA_ERROR_NONE && (writes_documents(change) || (is_other && named.old_count > 0))) {
        error = ilea_builder_index_documents(builder, row.number, &named);
    }
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_view_change changed = { .record = row.number, .dot = *dot, .time_ms = change->time_ms,
                                        .kind = exists ? ILEA_VIEW_UPDATED : ILEA_VIEW_CREATED };
    name_fields(change, &changed);
    error = ilea_view_add_change(builder->view_txn, &builder->meta, &changed);
    noted.record = row.number;
    noted.lsn = changed.lsn;
    if (error == ILEA_ERROR_NONE) error = ilea_view_put_record_change(builder->view_txn, &noted);
    if (error != ILEA_ERROR_NONE || !ilea_builder_is_own(builder)) return error;
    return ilea_view_put_history(builder->view_txn, changed.record, changed.lsn);
}

bool
ilea_builder_is_own(const struct ilea_view_builder *builder)
{
    const struct ilea_agency_id *own = &ilea_log_identity(builder->log)->agency;
    return memcmp(builder->feed.origin.agency.bytes, own->bytes, sizeof own->bytes) == 0;
}

/* Keys and items count only in their audience's own feeds. */
static bool
is_own_audience(const struct ilea_view_builder *builder, const struct ilea_audience_id *audience)
{
    const struct ilea_feed_origin *origin = &builder->feed.origin;
    struct ilea_audience_id own = origin->audience;
    const struct ilea_network_id *network = &ilea_log_identity(builder->log)->network;
    switch (origin->scope) {
    case ILEA_SCOPE_AGENCY: ilea_audience_of_agency(network, &origin->agency, &own); break;
    case ILEA_SCOPE_PEERS: ilea_audience_of_peers(network, &origin->agency, &own); break;
    case ILEA_SCOPE_AUDIENCE: break;
    case ILEA_SCOPE_CONTROL: return false;
    }
    return memcmp(own.bytes, audience->bytes, sizeof own.bytes) == 0;
}

/* An item stays invisible. */
static enum ilea_error
note_unread(struct ilea_view_builder *builder, const struct ilea_log_commit *commit, uint32_t index,
            enum ilea_unread why)
{
    const struct ilea_view_unread item = { .feed = commit->feed, .seq = commit->seq, .index = index, .why = why };
    return ilea_view_put_unread(builder->view_txn, &item);
}

/* An item that is bad hides itself alone. */
static enum ilea_error
hide(struct ilea_view_builder *builder, const struct ilea_log_commit *commit, uint32_t index, enum ilea_error why)
{
    builder->meta.hidden++;
    return note_unread(builder, commit, index,
                       why == ILEA_ERROR_UNKNOWN      ? ILEA_UNREAD_NEWER
                       : why == ILEA_ERROR_PERMISSION ? ILEA_UNREAD_REFUSED
                                                      : ILEA_UNREAD_BROKEN);
}

/* One encrypted item: readable, parked until its key comes, or never readable. */
static enum ilea_error
take_item(struct ilea_view_builder *builder, const struct ilea_item *item,
          const struct ilea_log_commit *commit, uint32_t index)
{
    if (item->content.size > sizeof builder->plaintext || !is_own_audience(builder, &item->audience)) {
        return hide(builder, commit, index, ILEA_ERROR_MALFORMED);
    }
    const struct ilea_place place = { &ilea_log_identity(builder->log)->network, &builder->feed.id,
                                      commit->seq, index };
    size_t size = 0;
    enum ilea_error error =
        ilea_item_decrypt(builder->ring, &place, item, builder->plaintext, &size);
    const struct ilea_view_place at = { commit->position, index };
    if (error == ILEA_ERROR_KEY_MISSING) {
        error = ilea_view_park(builder->view_txn, &builder->meta, &item->epoch, commit->position, index);
        if (error == ILEA_ERROR_NONE) error = ilea_view_note_parked(builder->view_txn, &at, &item->epoch);
        return error == ILEA_ERROR_NONE ? note_unread(builder, commit, index, ILEA_UNREAD_KEY) : error;
    }
    struct ilea_change change;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_change_decode((struct ilea_span){ builder->plaintext, size }, &change);
    }
    bool counts = true, is_stale = false, is_stray = false;
    if (error == ILEA_ERROR_NONE && builder->feed.origin.scope == ILEA_SCOPE_AUDIENCE) {
        enum ilea_error judged = ilea_builder_judge(builder, &item->epoch, commit->position, &counts, &is_stale);
        if (judged != ILEA_ERROR_NONE) return judged;
        if (!counts) error = ILEA_ERROR_PERMISSION;
    }
    if (error != ILEA_ERROR_NONE) return hide(builder, commit, index, error);
    error = ilea_builder_catch_stray(builder, &change, &at, &is_stray);
    if (error != ILEA_ERROR_NONE || is_stray) return error;
    if (is_stale) error = ilea_view_put_stale(builder->view_txn, &builder->meta, &at);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_dot dot = { .seq = commit->seq, .index = index };
    ilea_dot_feed_of(&builder->feed.id, dot.feed);
    return apply_change(builder, &change, &dot, &at);
}

/* Whose feed the commit is of, and its number in the view. */
enum ilea_error
ilea_builder_load_feed(struct ilea_view_builder *builder, uint32_t number)
{
    if (builder->feed.number == number) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_log_feed(builder->log_txn, number, &builder->feed);
    struct ilea_agency_row agency;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_log_agency(builder->log_txn, &builder->feed.origin.agency, &agency);
    }
    if (error != ILEA_ERROR_NONE) {
        builder->feed.number = 0;
        return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    }
    builder->agency = agency.number;
    return ILEA_ERROR_NONE;
}

/* It was checked when it came; what does not match its hash now was damaged since. The log's damage, not
 * the view's: told apart, because building the view again would not help. */
enum ilea_error
ilea_builder_decode_commit(struct ilea_view_builder *builder, const struct ilea_log_commit *row,
                           struct ilea_commit *commit)
{
    enum ilea_error error = ilea_log_check_commit(builder->log_txn, row, commit);
    return error == ILEA_ERROR_CORRUPT ? ILEA_ERROR_BAD_HASH : error;
}

/* The item that was parked earlier in the log and whose key has come now. */
static enum ilea_error
take_parked(struct ilea_view_builder *builder, uint64_t position, uint32_t index)
{
    struct ilea_log_commit row;
    struct ilea_commit commit;
    enum ilea_error error = ilea_log_commit_at(builder->log_txn, position, &row);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) error = ilea_builder_decode_commit(builder, &row, &commit);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE; /* cut off meanwhile */
    if (error == ILEA_ERROR_NONE) error = ilea_view_drop_unread(builder->view_txn, row.feed, row.seq, index);
    const struct ilea_view_record_change parked = { .place = { position, index } };
    if (error == ILEA_ERROR_NONE) error = ilea_view_drop_change(builder->view_txn, &parked);
    if (error == ILEA_ERROR_NONE) error = ilea_builder_load_feed(builder, row.feed);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_CORRUPT : error;
    struct ilea_msgpack_reader slots;
    ilea_msgpack_reader_init(&slots, commit.slots);
    struct ilea_span slot = { NULL, 0 };
    for (uint32_t i = 0; i <= index && !slots.failed; i++) slot = ilea_slot_next(&slots);
    struct ilea_item item;
    if (slot.size <= ILEA_HASH_SIZE || ilea_item_decode(slot, &item) != ILEA_ERROR_NONE) {
        return ILEA_ERROR_NONE; /* erased meanwhile */
    }
    return take_item(builder, &item, &row, index);
}

/* A wrapped key: is it for us? Then everything that waited for it becomes visible. */
static enum ilea_error
try_key(struct ilea_view_builder *builder, const struct ilea_view_epoch *epoch, bool *opened)
{
    struct ilea_epoch_id id;
    memcpy(id.bytes, epoch->aek_commit, sizeof id.bytes);
    *opened = true;
    if (ilea_keyring_holds(builder->ring, &id)) return ILEA_ERROR_NONE;
    uint32_t *held = &builder->key_counts[builder->agency % ILEA_VIEW_AGENCIES_MAX];
    if (*held >= AGENCY_KEYS_MAX) return ILEA_ERROR_NONE; /* what is under it stays parked */
    enum ilea_error error =
        ilea_keys_unwrap(builder->keys, builder->ring, &ilea_log_identity(builder->log)->network,
                         &epoch->audience, epoch->aek_commit, epoch->wrapped);
    *opened = error == ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_BAD_HASH || error == ILEA_ERROR_FULL) {
        return ILEA_ERROR_NONE;
    }
    if (error == ILEA_ERROR_NONE) {
        (*held)++;
        error = ilea_view_put_epoch(builder->view_txn, epoch);
    }
    while (error == ILEA_ERROR_NONE) {
        uint64_t position;
        uint32_t index;
        error = ilea_view_unpark(builder->view_txn, &builder->meta, &id, &position, &index);
        if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE;
        if (error == ILEA_ERROR_NONE) error = take_parked(builder, position, index);
    }
    return error;
}

enum ilea_error
ilea_builder_try_keys(struct ilea_view_builder *builder, const struct ilea_builder_epoch *stated)
{
    struct ilea_view_epoch epoch = { .agency = builder->agency, .audience = stated->audience };
    memcpy(epoch.aek_commit, stated->aek_commit, sizeof epoch.aek_commit);
    struct ilea_msgpack_reader wrapped;
    ilea_msgpack_reader_init(&wrapped, stated->wrapped);
    bool opened = false;
    for (uint32_t i = 0; i < stated->wrapped_count && !opened; i++) {
        ilea_msgpack_get_bytes(&wrapped, epoch.wrapped, sizeof epoch.wrapped);
        enum ilea_error error = try_key(builder, &epoch, &opened);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
take_epoch(struct ilea_view_builder *builder, struct ilea_span content)
{
    struct ilea_epoch_statement statement;
    if (builder->feed.origin.scope == ILEA_SCOPE_AUDIENCE || ilea_epoch_decode(content, &statement) != ILEA_ERROR_NONE
        || !is_own_audience(builder, &statement.audience)) {
        builder->meta.hidden++;
        return ILEA_ERROR_NONE;
    }
    struct ilea_builder_epoch stated = { .audience = statement.audience, .wrapped = statement.wrapped,
                                         .wrapped_count = statement.wrapped_count };
    memcpy(stated.aek_commit, statement.aek_commit, sizeof stated.aek_commit);
    return ilea_builder_try_keys(builder, &stated);
}

static enum ilea_error
take_history(struct ilea_view_builder *builder, struct ilea_span content)
{
    struct ilea_history_statement statement;
    bool may = true; /* in a closed audience its owner alone hands out the keys of others */
    if (builder->feed.origin.scope == ILEA_SCOPE_AUDIENCE) {
        enum ilea_error error = ilea_builder_is_owner(builder, &may);
        if (error != ILEA_ERROR_NONE) return error;
    }
    if (!may || ilea_history_decode(content, &statement) != ILEA_ERROR_NONE
        || !is_own_audience(builder, &statement.audience)) {
        builder->meta.hidden++;
        return ILEA_ERROR_NONE;
    }
    struct ilea_view_epoch epoch = { .agency = builder->agency, .audience = statement.audience };
    struct ilea_msgpack_reader keys;
    ilea_msgpack_reader_init(&keys, statement.keys);
    for (uint32_t i = 0; i < statement.key_count; i++) {
        bool opened;
        ilea_history_get_key(&keys, epoch.aek_commit, epoch.wrapped);
        enum ilea_error error = try_key(builder, &epoch, &opened);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
take_statement(struct ilea_view_builder *builder, const struct ilea_log_commit *row, uint32_t index,
               struct ilea_span content)
{
    enum ilea_statement_kind kind;
    if (ilea_statement_kind_of(content, &kind) != ILEA_ERROR_NONE) {
        builder->meta.hidden++;
        return ILEA_ERROR_NONE;
    }
    switch (kind) {
    case ILEA_STATEMENT_OPENING: return ILEA_ERROR_NONE;
    case ILEA_STATEMENT_EPOCH: return take_epoch(builder, content);
    case ILEA_STATEMENT_HISTORY: return take_history(builder, content);
    case ILEA_STATEMENT_AUDIENCE:
    case ILEA_STATEMENT_SUSPEND:
    case ILEA_STATEMENT_USE:
    case ILEA_STATEMENT_WRITER: return ilea_builder_take_naming(builder, row, index, kind, content);
    case ILEA_STATEMENT_ERASE: /* in a control feed it is no news here: the log was told when it came */
        if (builder->feed.origin.scope != ILEA_SCOPE_CONTROL) builder->meta.hidden++;
        break;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
take_slot(struct ilea_view_builder *builder, const struct ilea_log_commit *row, uint32_t index, struct ilea_span slot)
{
    struct ilea_item item;
    if (slot.size == ILEA_HASH_SIZE) return ILEA_ERROR_NONE; /* withheld */
    enum ilea_error why = ilea_item_decode(slot, &item);
    if (why != ILEA_ERROR_NONE) return hide(builder, row, index, why);
    if ((item.flags & ILEA_ITEM_CONTROL) != 0) return take_statement(builder, row, index, item.content);
    return take_item(builder, &item, row, index);
}

static enum ilea_error
take_commit(struct ilea_view_builder *builder, const struct ilea_log_commit *row)
{
    struct ilea_commit commit;
    bool has_erased = false;
    enum ilea_error error = ilea_builder_decode_commit(builder, row, &commit);
    if (error == ILEA_ERROR_NOT_FOUND) return ILEA_ERROR_NONE; /* evidence alone */
    struct ilea_msgpack_reader slots;
    if (error == ILEA_ERROR_NONE) ilea_msgpack_reader_init(&slots, commit.slots);
    if (error == ILEA_ERROR_NONE) error = ilea_builder_load_feed(builder, row->feed);
    if (error == ILEA_ERROR_NONE) error = ilea_builder_has_erased(builder, row->seq, &has_erased);
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < commit.header.item_count; i++) {
        bool skip = false;
        struct ilea_span slot = ilea_slot_next(&slots);
        error = ilea_builder_load_feed(builder, row->feed); /* a key may have led elsewhere */
        if (error == ILEA_ERROR_NONE && has_erased) {
            error = ilea_builder_pass_erased(builder, row->seq, i, slot, &skip);
        }
        if (error == ILEA_ERROR_NONE && !skip) error = take_slot(builder, row, i, slot);
    }
    return error;
}

/* One position of the log. */
static enum ilea_error
take_row(struct ilea_view_builder *builder, const struct ilea_log_commit *row)
{
    if (row->is_marker) return ilea_builder_take_marker(builder, row);
    enum ilea_error error = ilea_builder_settle_erased(builder);
    return error == ILEA_ERROR_NONE ? take_commit(builder, row) : error;
}

/* Commits were cut off since this view was begun, and it may show them: it cannot take them back. */
static enum ilea_error
check_truncations(struct ilea_view_builder *builder)
{
    uint64_t count = 0;
    enum ilea_error error = ilea_log_truncations(builder->log_txn, &count);
    if (error != ILEA_ERROR_NONE) return error;
    if (builder->meta.position > 0 && builder->meta.truncations != count) return ILEA_ERROR_CORRUPT;
    builder->meta.truncations = count;
    return ILEA_ERROR_NONE;
}

static enum ilea_error
take_commits(struct ilea_view_builder *builder, uint64_t bytes_max, uint64_t position_max,
             bool *caught_up)
{
    uint64_t last = 0, bytes = 0;
    enum ilea_error error = ilea_log_last(builder->log_txn, &last);
    if (error == ILEA_ERROR_NONE && builder->meta.position > last) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE) error = check_truncations(builder);
    if (last > position_max) last = position_max;
    if (error == ILEA_ERROR_NONE) error = copy_agencies(builder);
    while (error == ILEA_ERROR_NONE && builder->meta.position < last && bytes < bytes_max) {
        struct ilea_log_commit row;
        error = ilea_log_commit_at(builder->log_txn, builder->meta.position + 1, &row);
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_CORRUPT;
        if (error == ILEA_ERROR_NONE) error = take_row(builder, &row);
        if (error != ILEA_ERROR_NONE) break;
        builder->meta.position++;
        bytes += row.bytes.size;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_builder_settle_erased(builder);
    *caught_up = error == ILEA_ERROR_NONE && builder->meta.position == last;
    return error;
}

enum ilea_error
ilea_view_builder_run(struct ilea_view_builder *builder, uint64_t bytes_max, uint64_t position_max,
                      bool *caught_up, struct ilea_view_meta *meta)
{
    const struct ilea_view_meta before = builder->meta;
    builder->feed.number = 0; /* feeds' rows change under us */
    builder->dirty_count = 0;
    memset(builder->judged, 0, sizeof builder->judged);
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(builder->log), false,
                                                   &builder->log_txn);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_transaction_begin(builder->view, true, &builder->view_txn);
    if (error != ILEA_ERROR_NONE) {
        ilea_transaction_abort(builder->log_txn);
        return error;
    }
    error = take_commits(builder, bytes_max, position_max, caught_up);
    if (error == ILEA_ERROR_NONE) error = ilea_view_store_meta(builder->view_txn, &builder->meta);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_transaction_commit(builder->view_txn);
    } else {
        ilea_transaction_abort(builder->view_txn);
    }
    ilea_transaction_abort(builder->log_txn);
    if (error != ILEA_ERROR_NONE) {
        builder->meta = before;
        return error;
    }
    *meta = builder->meta;
    return ILEA_ERROR_NONE;
}
