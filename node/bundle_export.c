#include "node/bundle_export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/chain.h"
#include "replication/record/fork.h"

enum {
    TURN_BYTES = 64 * 1024 * 1024,   /* read in one transaction: a reader keeps pages from being used again */
    TURN_POSITIONS = 200000,
    RUN_MAX = ILEA_MESSAGE_SIZE_MAX - 128, /* commits in one chunk, with room for what stands around them */
    COMMITS_MAX = 1024
};

static enum ilea_error
explain(enum ilea_error error, const char *what, char *reason)
{
    if (error != ILEA_ERROR_NONE && reason[0] == '\0') {
        (void)snprintf(reason, ILEA_REASON_SIZE, "%.120s: %s", what, ilea_error_text(error));
    }
    return error;
}

static bool
is_same(const struct ilea_agency_id *one, const struct ilea_agency_id *other)
{
    return memcmp(one->bytes, other->bytes, sizeof one->bytes) == 0;
}

static enum ilea_error
begin_reading(struct ilea_bundle_export *export)
{
    ilea_transaction_abort(export->txn);
    export->txn = NULL;
    return ilea_transaction_begin(ilea_log_environment(export->log), false, &export->txn);
}

/* Whose feeds a link would carry: our own, the peer's if we follow it, and of others that we follow if it may have
 * them. */
static enum ilea_error
choose_agencies(struct ilea_bundle_export *export)
{
    bool relays = (export->peer.row.grant.scopes & ILEA_GRANT_RELAY) != 0;
    struct ilea_agency_row row;
    struct ilea_agency_id at;
    const struct ilea_agency_id *after = NULL;
    enum ilea_error error;
    export->agencies[export->agency_count++] = export->own.row.id;
    while ((error = ilea_log_agency_next(export->txn, after, &row)) == ILEA_ERROR_NONE) {
        at = row.id;
        after = &at;
        bool follows = row.state == ILEA_AGENCY_APPROVED && (row.grant.scopes & ILEA_GRANT_FOLLOW) != 0;
        if (!follows || (!relays && !is_same(&row.id, &export->peer.row.id))) continue;
        if (export->agency_count == ILEA_AGENCIES_MAX + 1) return ILEA_ERROR_LIMIT;
        export->agencies[export->agency_count++] = row.id;
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static bool
is_chosen(const struct ilea_bundle_export *export, const struct ilea_agency_id *agency)
{
    for (uint32_t i = 0; i < export->agency_count; i++) {
        if (is_same(&export->agencies[i], agency)) return true;
    }
    return false;
}

static enum ilea_error
count_feeds(struct ilea_bundle_export *export)
{
    struct ilea_feed_row row;
    enum ilea_error error;
    while ((error = ilea_log_feed(export->txn, export->feed_count + 1, &row)) == ILEA_ERROR_NONE) export->feed_count++;
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    export->feeds = calloc(export->feed_count + 1u, sizeof *export->feeds);
    return export->feeds != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
}

/* Whether a link would carry it: of a closed audience, what its author or who is allowed in it may have. */
static bool
may_go(const struct ilea_bundle_export *export, const struct ilea_feed_row *feed)
{
    if (!ilea_scope_is_shared(feed->origin.scope) || !is_chosen(export, &feed->origin.agency)) return false;
    return feed->origin.scope != ILEA_SCOPE_AUDIENCE || is_same(&feed->origin.agency, &export->peer.row.id)
        || ilea_audience_entitled(export->audiences, export->txn, &export->peer.row.id, &feed->origin.audience);
}

/* What of the feeds counts at this moment; never more than when the export began. */
static enum ilea_error
look_at_feeds(struct ilea_bundle_export *export, bool first)
{
    static const uint8_t none[ILEA_HASH_SIZE];
    for (uint32_t i = 0; i < export->feed_count; i++) {
        struct ilea_bundle_feed *feed = &export->feeds[i];
        struct ilea_feed_row row;
        enum ilea_error error = ilea_log_feed(export->txn, i + 1, &row);
        if (error != ILEA_ERROR_NONE) return error;
        uint64_t told = row.seq < row.limit_seq ? row.seq : row.limit_seq;
        bool goes = may_go(export, &row);
        if (!goes) told = 0; /* perhaps not any more */
        if (first || told < feed->told) feed->told = told;
        if (!first) continue;
        feed->id = row.id;
        feed->agency = row.origin.agency;
        feed->goes = goes;
        feed->is_forked = memcmp(row.fork, none, sizeof none) != 0;
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_bundle_export_begin(struct ilea_bundle_export *export, struct ilea_log *log, const struct ilea_keys *keys,
                         const char *name, char *reason)
{
    export->log = log;
    export->keys = keys;
    enum ilea_error error = begin_reading(export);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_agency_load(export->txn, &ilea_log_identity(log)->agency, &export->own);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_agency_find(export->txn, name, &export->peer);
    if (error == ILEA_ERROR_NOT_FOUND) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "no agency %.80s is known here; see ilea peer list", name);
        return error;
    }
    if (error == ILEA_ERROR_EXISTS) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "several agencies are called %.80s: name it by its id", name);
        return ILEA_ERROR_INVALID;
    }
    if (error == ILEA_ERROR_NONE && export->peer.row.state != ILEA_AGENCY_APPROVED) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "%.80s is no approved peer; nothing was written", name);
        return ILEA_ERROR_PERMISSION;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_audience_cache_new(&export->audiences);
    if (error == ILEA_ERROR_NONE) error = choose_agencies(export);
    if (error == ILEA_ERROR_NONE) error = count_feeds(export);
    if (error == ILEA_ERROR_NONE) error = look_at_feeds(export, true);
    return explain(error, "the log cannot be read", reason);
}

void
ilea_bundle_export_end(struct ilea_bundle_export *export)
{
    ilea_transaction_abort(export->txn);
    ilea_bundle_writer_end(&export->writer);
    ilea_bundle_writer_end(&export->next);
    free(export->feeds);
    ilea_audience_cache_free(export->audiences);
    export->audiences = NULL;
    export->txn = NULL;
    export->feeds = NULL;
}

/* Where the peer stands in one of our feeds. */
static enum ilea_error
take_position(struct ilea_bundle_export *export, const struct ilea_position *position)
{
    struct ilea_feed_row row;
    struct ilea_chain_row chain;
    enum ilea_error error = ilea_log_feed_by_id(export->txn, &position->feed, &row);
    if (error == ILEA_ERROR_NOT_FOUND || row.number > export->feed_count) return ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_bundle_feed *feed = &export->feeds[row.number - 1];
    if (position->seq > feed->told) {
        feed->since = feed->told;
        return ILEA_ERROR_NONE;
    }
    error = ilea_log_chain(export->txn, row.number, position->seq, &chain);
    if (error != ILEA_ERROR_NONE) return error;
    bool is_ours = memcmp(chain.id.bytes, position->id.bytes, sizeof chain.id.bytes) == 0;
    feed->since = is_ours ? position->seq : 0; /* another history: all of ours shows where they part */
    return ILEA_ERROR_NONE;
}

static enum ilea_error
take_frontier(struct ilea_bundle_export *export, struct ilea_span plain, char *reason)
{
    uint32_t type;
    struct ilea_span body;
    struct ilea_bundle_frontier frontier;
    enum ilea_error error = ilea_bundle_content_decode(plain, &type, &body);
    if (error == ILEA_ERROR_NONE && type != ILEA_BUNDLE_FRONTIER) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "the file of --since is a bundle: give it a frontier");
        return ILEA_ERROR_INVALID;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_bundle_frontier_decode(body, &frontier);
    if (error != ILEA_ERROR_NONE) return error;
    if (!is_same(&frontier.agency, &export->peer.row.id)) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "the frontier tells of another agency than --for names");
        return ILEA_ERROR_INVALID;
    }
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < frontier.count; i++) {
        struct ilea_position position;
        ilea_position_get(&frontier.positions, &position);
        error = take_position(export, &position);
    }
    return error;
}

/* Is the frontier for us, by us or the peer, and signed? Gives the ring with its key. */
static enum ilea_error
check_frontier(struct ilea_bundle_export *export, const struct ilea_bundle_header *header,
               struct ilea_keyring **ring, char *reason)
{
    const char *fault = memcmp(header->network.bytes, ilea_log_identity(export->log)->network.bytes, ILEA_ID_SIZE) != 0
        ? "the frontier belongs to another network"
        : !is_same(&header->to, &export->own.row.id) ? "the frontier is for another agency"
        : !is_same(&header->from, &export->own.row.id) && !is_same(&header->from, &export->peer.row.id)
            ? "the frontier is from another agency than --for names"
            : NULL;
    if (fault != NULL) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "%s", fault);
        return ILEA_ERROR_INVALID;
    }
    struct ilea_sign_public node;
    enum ilea_error error = ilea_chain_signer(export->txn, &header->from, header->manifest, &node);
    if (error == ILEA_ERROR_NOT_FOUND) {
        (void)snprintf(reason, ILEA_REASON_SIZE,
                       "the frontier is signed with a key that is not known here: take their newest card first");
        error = ILEA_ERROR_INVALID;
    } else if (error == ILEA_ERROR_PERMISSION) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "the key that signed the frontier was revoked");
    } else if (error == ILEA_ERROR_NONE && !ilea_bundle_header_verify(header, &node)) {
        error = ILEA_ERROR_BAD_SIGNATURE;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_keyring_new(1, ring);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_keys_unwrap(export->keys, *ring, &header->network, &header->id, header->aek_commit,
                                 header->wrapped);
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_BAD_HASH : error;
}

enum ilea_error
ilea_bundle_export_since(struct ilea_bundle_export *export, const char *path, char *reason)
{
    struct ilea_bundle_reader *reader = malloc(sizeof *reader);
    uint8_t *plain = malloc(ILEA_BUNDLE_CHUNK_MAX);
    struct ilea_keyring *ring = NULL;
    enum ilea_error error = ILEA_ERROR_NO_MEMORY;
    if (reader != NULL && plain != NULL) {
        error = ilea_bundle_reader_open(reader, path);
        if (error == ILEA_ERROR_NONE) error = check_frontier(export, &reader->header, &ring, reason);
        if (error == ILEA_ERROR_NONE) error = ilea_bundle_reader_rewind(reader);
        for (uint64_t number = 0; error == ILEA_ERROR_NONE; number++) {
            struct ilea_span text = { plain, 0 };
            error = ilea_bundle_reader_next(reader);
            if (error != ILEA_ERROR_NONE) break;
            error = ilea_bundle_chunk_open(ring, &reader->header, number, reader->last, reader->chunk, plain,
                                           &text.size);
            if (error == ILEA_ERROR_NONE) error = take_frontier(export, text, reason);
        }
        bool is_missing = reader->file == NULL;
        if (error == ILEA_ERROR_NOT_FOUND && !is_missing) error = ILEA_ERROR_NONE; /* the end */
        ilea_bundle_reader_close(reader);
    }
    ilea_keyring_free(ring);
    free(reader);
    free(plain);
    if (error == ILEA_ERROR_NONE) return error;
    bool is_damaged = ilea_error_is_peer_fault(error) && error != ILEA_ERROR_UNKNOWN;
    return explain(error, is_damaged ? "the file of --since is no whole, unaltered frontier" : path, reason);
}

/* Our manifests of one agency, as many in a chunk as fit. */
static enum ilea_error
write_manifests(struct ilea_bundle_export *export, const struct ilea_agency_id *agency)
{
    uint64_t index = 0;
    bool more = true;
    while (more) {
        struct ilea_msgpack_writer run;
        struct ilea_span bytes;
        uint32_t count = 0;
        enum ilea_error error = ILEA_ERROR_NONE;
        ilea_msgpack_writer_init(&run, export->run, RUN_MAX);
        for (; count < ILEA_MANIFESTS_MAX; count++, index++) {
            error = ilea_log_manifest(export->txn, agency, index, &bytes);
            if (error != ILEA_ERROR_NONE || run.size + bytes.size + 8 > RUN_MAX) break;
            ilea_msgpack_put_bin(&run, bytes.data, bytes.size);
        }
        more = error == ILEA_ERROR_NONE;
        if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) return error;
        if (count == 0) break;
        struct ilea_msgpack_writer body;
        ilea_msgpack_writer_init(&body, export->body, sizeof export->body);
        ilea_msgpack_put_array(&body, 2);
        ilea_msgpack_put_bin(&body, agency->bytes, sizeof agency->bytes);
        ilea_msgpack_put_array(&body, count);
        ilea_msgpack_put_raw(&body, ilea_msgpack_written(&run));
        if (body.failed) return ILEA_ERROR_LIMIT;
        error = ilea_bundle_writer_add(&export->writer, ILEA_BUNDLE_MANIFEST, ilea_msgpack_written(&body), NULL, NULL);
        if (error != ILEA_ERROR_NONE) return error;
    }
    return ILEA_ERROR_NONE;
}

/* Who may write, and where feeds end, goes before what was written. */
static enum ilea_error
write_trust(struct ilea_bundle_export *export)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < export->agency_count; i++) {
        error = write_manifests(export, &export->agencies[i]);
    }
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < export->feed_count; i++) {
        struct ilea_span proof;
        if (!export->feeds[i].goes || !export->feeds[i].is_forked) continue;
        error = ilea_log_fork(export->txn, &export->feeds[i].id, &proof);
        if (error != ILEA_ERROR_NONE) break;
        struct ilea_msgpack_writer body;
        ilea_msgpack_writer_init(&body, export->body, sizeof export->body);
        ilea_msgpack_put_array(&body, 1);
        ilea_msgpack_put_bin(&body, proof.data, proof.size);
        error = ilea_bundle_writer_add(&export->writer, ILEA_BUNDLE_FORK, ilea_msgpack_written(&body), NULL, NULL);
    }
    return error;
}

/* The commits that were gathered, as one chunk. */
static enum ilea_error
write_run(struct ilea_bundle_export *export)
{
    if (export->run_count == 0) return ILEA_ERROR_NONE;
    const struct ilea_bundle_feed *feed = &export->feeds[export->run_feed - 1];
    struct ilea_msgpack_writer body;
    ilea_msgpack_writer_init(&body, export->body, sizeof export->body);
    ilea_msgpack_put_array(&body, 2);
    ilea_msgpack_put_bin(&body, feed->id.bytes, sizeof feed->id.bytes);
    ilea_msgpack_put_array(&body, export->run_count);
    ilea_msgpack_put_raw(&body, (struct ilea_span){ export->run, export->run_size });
    if (body.failed) return ILEA_ERROR_LIMIT;
    export->commits += export->run_count;
    export->run_count = 0;
    export->run_size = 0;
    if (export->progress != NULL) export->progress(export->context, export->commits);
    return ilea_bundle_writer_add(&export->writer, ILEA_BUNDLE_COMMITS, ilea_msgpack_written(&body), &feed->agency,
                                  &export->run_last);
}

/* One commit of the log, if it goes. */
static enum ilea_error
write_commit(struct ilea_bundle_export *export, const struct ilea_log_commit *row)
{
    if (row->feed == 0 || row->feed > export->feed_count) return ILEA_ERROR_NONE;
    const struct ilea_bundle_feed *feed = &export->feeds[row->feed - 1];
    if (!feed->goes || row->seq <= feed->since || row->seq > feed->told) return ILEA_ERROR_NONE;
    struct ilea_commit commit; /* what was damaged on our disk is not passed on */
    enum ilea_error error = ilea_log_check_commit(export->txn, row, &commit);
    if (error != ILEA_ERROR_NONE) return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
    bool fits = export->run_count < COMMITS_MAX && export->run_size + row->bytes.size + 8 <= RUN_MAX;
    if (export->run_count > 0 && (export->run_feed != row->feed || !fits)) error = write_run(export);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_msgpack_writer run;
    ilea_msgpack_writer_init(&run, export->run + export->run_size, RUN_MAX - export->run_size);
    ilea_msgpack_put_bin(&run, row->bytes.data, row->bytes.size);
    if (run.failed) return ILEA_ERROR_LIMIT;
    export->run_feed = row->feed;
    export->run_size += run.size;
    export->run_count++;
    export->run_last = (struct ilea_position){ .feed = feed->id, .seq = row->seq };
    ilea_commit_id_of(commit.header_bytes, &export->run_last.id);
    export->bytes += row->bytes.size;
    return ILEA_ERROR_NONE;
}

/* In the order of the log, so that nothing stands before what it names. */
static enum ilea_error
write_commits(struct ilea_bundle_export *export, uint64_t last)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    uint64_t turn_start = export->bytes, turn_position = 0;
    for (uint64_t position = 1; error == ILEA_ERROR_NONE && position <= last; position++) {
        struct ilea_log_commit row;
        error = ilea_log_commit_at(export->txn, position, &row);
        if (error == ILEA_ERROR_NONE) error = write_commit(export, &row);
        else if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE;
        bool is_over = export->bytes - turn_start >= TURN_BYTES || position - turn_position >= TURN_POSITIONS;
        if (error != ILEA_ERROR_NONE || !is_over) continue;
        error = begin_reading(export);
        if (error == ILEA_ERROR_NONE) error = look_at_feeds(export, false);
        turn_start = export->bytes;
        turn_position = position;
    }
    return error == ILEA_ERROR_NONE ? write_run(export) : error;
}

static enum ilea_error
add_up(struct ilea_bundle_export *export, struct ilea_bundle_totals *totals)
{
    for (uint32_t i = 0; i < export->feed_count; i++) {
        const struct ilea_bundle_feed *feed = &export->feeds[i];
        for (uint64_t seq = feed->since + 1; feed->goes && seq <= feed->told; seq++) {
            struct ilea_chain_row chain;
            enum ilea_error error = ilea_log_chain(export->txn, i + 1, seq, &chain);
            if (error != ILEA_ERROR_NONE) return error;
            totals->commits++;
            totals->bytes += chain.size;
        }
    }
    return ILEA_ERROR_NONE;
}

/* `to` is the peer, or we ourselves. */
static void
set_maker(const struct ilea_bundle_export *export, const struct ilea_agency *to, struct ilea_bundle_maker *maker)
{
    *maker = (struct ilea_bundle_maker){ .network = ilea_log_identity(export->log)->network,
                                         .from = export->own.row.id, .to = to->row.id,
                                         .manifest = export->own.manifest.index, .made_ms = ilea_wall_ms(),
                                         .node = export->keys->node, .reading = to->manifest.reading };
}

static int
compare_positions(const void *one, const void *other)
{
    const struct ilea_position *a = one, *b = other;
    return memcmp(a->feed.bytes, b->feed.bytes, sizeof a->feed.bytes);
}

/* What `agency` holds of all feeds that go, as the bundle says or as we do. */
static enum ilea_error
write_positions(struct ilea_bundle_export *export, struct ilea_bundle_writer *writer,
                const struct ilea_agency_id *agency, uint32_t *feeds)
{
    struct ilea_position *positions = calloc(export->feed_count + 1u, sizeof *positions);
    uint32_t count = 0;
    enum ilea_error error = positions != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < export->feed_count; i++) {
        const struct ilea_bundle_feed *feed = &export->feeds[i];
        struct ilea_chain_row chain;
        if (!feed->goes || feed->told == 0) continue;
        error = ilea_log_chain(export->txn, i + 1, feed->told, &chain);
        if (error != ILEA_ERROR_NONE) break;
        positions[count++] = (struct ilea_position){ .feed = feed->id, .seq = feed->told, .id = chain.id };
    }
    if (error == ILEA_ERROR_NONE) qsort(positions, count, sizeof *positions, compare_positions);
    const uint32_t most = ILEA_BUNDLE_POSITIONS_MAX;
    for (uint32_t from = 0; error == ILEA_ERROR_NONE && (from < count || from == 0); from += most) {
        uint32_t some = count - from < most ? count - from : most;
        struct ilea_span body = { export->body, 0 };
        error = ilea_bundle_frontier_encode(agency, positions + from, some, export->body, sizeof export->body,
                                            &body.size);
        if (error == ILEA_ERROR_NONE) {
            error = ilea_bundle_writer_add(writer, ILEA_BUNDLE_FRONTIER, body, NULL, NULL);
        }
    }
    free(positions);
    *feeds = count;
    return error;
}

static enum ilea_error
explain_writing(const struct ilea_bundle_writer *writer, enum ilea_error error, const char *path, char *reason)
{
    if (error == ILEA_ERROR_EXISTS) {
        char name[ILEA_BUNDLE_PATH_SIZE];
        ilea_bundle_part_path(path, writer->part + 1, name);
        (void)snprintf(reason, ILEA_REASON_SIZE, "%.160s exists already; nothing was written", name);
    }
    if (error == ILEA_ERROR_CORRUPT) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "the log is damaged: run ilea verify; nothing was written");
    }
    return explain(error, path, reason);
}

enum ilea_error
ilea_bundle_export_write(struct ilea_bundle_export *export, const char *path, uint64_t split, char *reason)
{
    struct ilea_bundle_totals totals = { .commits = 0 };
    struct ilea_bundle_maker maker;
    char next[ILEA_PATH_SIZE];
    uint64_t last = 0;
    uint32_t feeds;
    if (snprintf(next, sizeof next, "%s.next", path) >= (int)sizeof next) {
        return explain(ILEA_ERROR_INVALID, "the path is too long", reason);
    }
    enum ilea_error error = ilea_log_last(export->txn, &last);
    if (error == ILEA_ERROR_NONE) error = add_up(export, &totals);
    if (error != ILEA_ERROR_NONE) return explain_writing(&export->writer, error, path, reason);
    set_maker(export, &export->own, &maker); /* first, so that it is seen at once whether its name is free */
    error = ilea_bundle_writer_begin(&export->next, &maker, next, 0, NULL);
    if (error != ILEA_ERROR_NONE) return explain_writing(&export->next, error, next, reason);
    set_maker(export, &export->peer, &maker);
    error = ilea_bundle_writer_begin(&export->writer, &maker, path, split, &totals);
    if (error == ILEA_ERROR_NONE) error = write_trust(export);
    if (error == ILEA_ERROR_NONE) error = write_commits(export, last);
    if (error == ILEA_ERROR_NONE) error = ilea_bundle_writer_finish(&export->writer);
    if (error == ILEA_ERROR_NONE) error = write_positions(export, &export->next, &export->peer.row.id, &feeds);
    if (error == ILEA_ERROR_NONE) error = ilea_bundle_writer_finish(&export->next);
    if (error == ILEA_ERROR_NONE) error = ilea_bundle_writer_keep(&export->writer);
    if (error == ILEA_ERROR_NONE) error = ilea_bundle_writer_keep(&export->next);
    return explain_writing(&export->writer, error, path, reason);
}

enum ilea_error
ilea_bundle_export_frontier(struct ilea_bundle_export *export, const char *path, uint32_t *feeds, char *reason)
{
    struct ilea_bundle_maker maker;
    set_maker(export, &export->peer, &maker);
    enum ilea_error error = ilea_bundle_writer_begin(&export->writer, &maker, path, 0, NULL);
    if (error == ILEA_ERROR_NONE) error = write_positions(export, &export->writer, &export->own.row.id, feeds);
    if (error == ILEA_ERROR_NONE) error = ilea_bundle_writer_finish(&export->writer);
    if (error == ILEA_ERROR_NONE) error = ilea_bundle_writer_keep(&export->writer);
    return explain_writing(&export->writer, error, path, reason);
}
