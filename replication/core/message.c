#include "replication/core/message.h"

#include <string.h>

enum { HELLO_FIELDS = 8, HASH_FIELDS = 3, LIST_FIELDS = 4, GROUP_FIELDS = 7, CREDIT_FIELDS = 2, WANT_FIELDS = 2,
       NOTE_FIELDS = 3, NOTE_AGENCY_FIELDS = 4, SUMS_SIZE = ILEA_ARCHIVE_BUCKETS * 8 };

static const uint8_t no_session[ILEA_SESSION_ID_SIZE];

enum ilea_error
ilea_frame_decode(struct ilea_span input, struct ilea_frame *frame)
{
    if (input.size < ILEA_FRAME_HEADER_SIZE || input.size > ILEA_MESSAGE_SIZE_MAX) {
        return ILEA_ERROR_MALFORMED;
    }
    memcpy(frame->session, input.data, sizeof frame->session);
    frame->number = 0;
    for (int i = 8; i < 12; i++) frame->number = frame->number << 8 | input.data[i];
    uint8_t type = input.data[12];
    if (type < ILEA_MESSAGE_HELLO || type > ILEA_MESSAGE_LAST) return ILEA_ERROR_MALFORMED;
    frame->type = (enum ilea_message_type)type;
    frame->body = (struct ilea_span){ input.data + ILEA_FRAME_HEADER_SIZE,
                                      input.size - ILEA_FRAME_HEADER_SIZE };
    bool is_first = memcmp(frame->session, no_session, sizeof no_session) == 0;
    if (is_first != (type == ILEA_MESSAGE_HELLO) || is_first != (frame->number == 0)) {
        return ILEA_ERROR_MALFORMED;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
done(const struct ilea_msgpack_reader *reader)
{
    return ilea_msgpack_reader_done(reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

enum ilea_error
ilea_hello_decode(struct ilea_span body, struct ilea_hello *hello)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, HELLO_FIELDS);
    hello->version_min = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    hello->version_max = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    hello->features = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, hello->agency.bytes, sizeof hello->agency.bytes);
    ilea_msgpack_get_bytes(&reader, hello->nonce, sizeof hello->nonce);
    hello->own_index = ilea_msgpack_get_uint(&reader);
    hello->known_index = ilea_msgpack_get_uint(&reader);
    ilea_msgpack_get_bytes(&reader, hello->known_hash, sizeof hello->known_hash);
    if (hello->version_min == 0 || hello->version_min > hello->version_max) return ILEA_ERROR_MALFORMED;
    return done(&reader);
}

enum ilea_error
ilea_bind_decode(struct ilea_span body, struct ilea_signature *sig)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, 1);
    ilea_msgpack_get_bytes(&reader, sig->bytes, sizeof sig->bytes);
    return done(&reader);
}

void
ilea_frontier_fork_next(struct ilea_msgpack_reader *forks, struct ilea_feed_id *feed,
                        uint8_t hash[ILEA_HASH_SIZE])
{
    ilea_msgpack_expect_array(forks, 2);
    ilea_msgpack_get_bytes(forks, feed->bytes, sizeof feed->bytes);
    ilea_msgpack_get_bytes(forks, hash, ILEA_HASH_SIZE);
}

static uint32_t
skip_positions(struct ilea_msgpack_reader *reader, uint32_t max, struct ilea_msgpack_reader *at)
{
    uint32_t count = ilea_msgpack_get_array(reader, max);
    *at = *reader;
    for (uint32_t i = 0; i < count && !reader->failed; i++) {
        struct ilea_position position;
        ilea_position_get(reader, &position);
    }
    return count;
}

void
ilea_frontier_group_next(struct ilea_msgpack_reader *groups, struct ilea_frontier_group *group)
{
    ilea_msgpack_expect_array(groups, GROUP_FIELDS);
    ilea_msgpack_get_bytes(groups, group->agency.bytes, sizeof group->agency.bytes);
    group->manifest_index = ilea_msgpack_get_uint(groups);
    ilea_msgpack_get_bytes(groups, group->manifest_hash, sizeof group->manifest_hash);
    group->archive.count = ilea_msgpack_get_uint(groups);
    ilea_msgpack_get_bytes(groups, group->archive.sum, sizeof group->archive.sum);
    group->fork_count = ilea_msgpack_get_array(groups, ILEA_FRONTIER_ENTRIES_MAX);
    group->forks = *groups;
    for (uint32_t i = 0; i < group->fork_count && !groups->failed; i++) {
        struct ilea_feed_id feed;
        uint8_t hash[ILEA_HASH_SIZE];
        ilea_frontier_fork_next(groups, &feed, hash);
    }
    group->entry_count = skip_positions(groups, ILEA_FRONTIER_ENTRIES_MAX, &group->entries);
}

static void
read_list(struct ilea_msgpack_reader *reader, struct ilea_frontier_list *list)
{
    list->last = ilea_msgpack_get_uint32(reader, 1) == 1;
    list->follow_count = ilea_msgpack_get_array(reader, ILEA_AGENCIES_MAX);
    list->follows = *reader;
    for (uint32_t i = 0; i < list->follow_count; i++) {
        uint8_t agency[ILEA_ID_SIZE];
        ilea_msgpack_get_bytes(reader, agency, sizeof agency);
    }
    list->group_count = ilea_msgpack_get_array(reader, ILEA_AGENCIES_MAX);
    list->groups = *reader;
    for (uint32_t i = 0; i < list->group_count && !reader->failed; i++) {
        struct ilea_frontier_group group;
        ilea_frontier_group_next(reader, &group);
    }
}

/* Feeds must ascend: an asker goes on behind the last one. */
static void
read_archive(struct ilea_msgpack_reader *reader, struct ilea_frontier_archive *archive)
{
    ilea_msgpack_get_bytes(reader, archive->agency.bytes, sizeof archive->agency.bytes);
    archive->last = ilea_msgpack_get_uint32(reader, 1) == 1;
    archive->entry_count = ilea_msgpack_get_array(reader, ILEA_ARCHIVE_PART_MAX);
    archive->entries = *reader;
    struct ilea_feed_id before;
    for (uint32_t i = 0; i < archive->entry_count && !reader->failed; i++) {
        struct ilea_position position;
        ilea_position_get(reader, &position);
        if (i > 0 && memcmp(before.bytes, position.feed.bytes, sizeof before.bytes) >= 0) {
            reader->failed = true;
        }
        before = position.feed;
    }
}

static uint64_t
get_u64(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value = value << 8 | bytes[i];
    return value;
}

static void
read_ask(struct ilea_msgpack_reader *reader, struct ilea_frontier_ask *ask)
{
    ilea_msgpack_get_bytes(reader, ask->agency.bytes, sizeof ask->agency.bytes);
    struct ilea_span after = ilea_msgpack_get_bin(reader, sizeof ask->after.bytes);
    ask->has_after = after.size > 0;
    if (ask->has_after && after.size != sizeof ask->after.bytes) reader->failed = true;
    if (ask->has_after && !reader->failed) memcpy(ask->after.bytes, after.data, after.size);
    struct ilea_span sums = ilea_msgpack_get_bin(reader, SUMS_SIZE);
    ask->has_sums = sums.size > 0;
    if (ask->has_sums && sums.size != SUMS_SIZE) reader->failed = true;
    if (!ask->has_sums || reader->failed) return;
    for (uint32_t i = 0; i < ILEA_ARCHIVE_BUCKETS; i++) ask->sums[i] = get_u64(sums.data + (size_t)8 * i);
}

enum ilea_error
ilea_frontier_decode(struct ilea_span body, struct ilea_frontier *frontier)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    uint32_t fields = ilea_msgpack_get_array(&reader, LIST_FIELDS);
    uint32_t form = ilea_msgpack_get_uint32(&reader, ILEA_FRONTIER_ASK);
    if (reader.failed || fields != (form == ILEA_FRONTIER_HASH ? HASH_FIELDS : LIST_FIELDS)) {
        return ILEA_ERROR_MALFORMED;
    }
    frontier->form = (enum ilea_frontier_form)form;
    switch (frontier->form) {
    case ILEA_FRONTIER_HASH:
        ilea_msgpack_get_bytes(&reader, frontier->hash.follows, sizeof frontier->hash.follows);
        ilea_msgpack_get_bytes(&reader, frontier->hash.entries, sizeof frontier->hash.entries);
        break;
    case ILEA_FRONTIER_LIST: read_list(&reader, &frontier->list); break;
    case ILEA_FRONTIER_ARCHIVE: read_archive(&reader, &frontier->archive); break;
    case ILEA_FRONTIER_ASK: read_ask(&reader, &frontier->ask); break;
    }
    return done(&reader);
}

struct ilea_span
ilea_commits_next(struct ilea_msgpack_reader *commits)
{
    return ilea_msgpack_get_bin(commits, ILEA_COMMIT_SIZE_MAX);
}

enum ilea_error
ilea_commits_decode(struct ilea_span body, struct ilea_feed_id *feed, uint32_t *count,
                    struct ilea_msgpack_reader *commits)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, 2);
    ilea_msgpack_get_bytes(&reader, feed->bytes, sizeof feed->bytes);
    *count = ilea_msgpack_get_array(&reader, ILEA_EFFECTS_MAX / 2);
    *commits = reader;
    for (uint32_t i = 0; i < *count && !reader.failed; i++) (void)ilea_commits_next(&reader);
    if (*count == 0) return ILEA_ERROR_MALFORMED;
    return done(&reader);
}

struct ilea_span
ilea_manifests_next(struct ilea_msgpack_reader *manifests)
{
    return ilea_msgpack_get_bin(manifests, ILEA_MANIFEST_SIZE_MAX);
}

enum ilea_error
ilea_manifests_decode(struct ilea_span body, struct ilea_agency_id *agency, uint32_t *count,
                      struct ilea_msgpack_reader *manifests)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, 2);
    ilea_msgpack_get_bytes(&reader, agency->bytes, sizeof agency->bytes);
    *count = ilea_msgpack_get_array(&reader, ILEA_MANIFESTS_MAX);
    *manifests = reader;
    for (uint32_t i = 0; i < *count && !reader.failed; i++) (void)ilea_manifests_next(&reader);
    if (*count == 0) return ILEA_ERROR_MALFORMED;
    return done(&reader);
}

enum ilea_error
ilea_fork_message_decode(struct ilea_span body, struct ilea_span *proof)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, 1);
    *proof = ilea_msgpack_get_bin(&reader, ILEA_FORK_SIZE_MAX);
    return done(&reader);
}

void
ilea_credit_position_next(struct ilea_msgpack_reader *positions, struct ilea_feed_id *feed,
                          uint64_t *seq)
{
    ilea_msgpack_expect_array(positions, 2);
    ilea_msgpack_get_bytes(positions, feed->bytes, sizeof feed->bytes);
    *seq = ilea_msgpack_get_uint(positions);
}

enum ilea_error
ilea_credit_decode(struct ilea_span body, struct ilea_credit *credit)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, CREDIT_FIELDS);
    credit->limit = ilea_msgpack_get_uint(&reader);
    credit->position_count = ilea_msgpack_get_array(&reader, ILEA_NOTES_MAX);
    credit->positions = reader;
    for (uint32_t i = 0; i < credit->position_count && !reader.failed; i++) {
        struct ilea_feed_id feed;
        uint64_t seq;
        ilea_credit_position_next(&reader, &feed, &seq);
    }
    return done(&reader);
}

void
ilea_note_next(struct ilea_msgpack_reader *notes, struct ilea_note *note)
{
    uint32_t fields = ilea_msgpack_get_array(notes, NOTE_AGENCY_FIELDS);
    ilea_msgpack_get_bytes(notes, note->feed.bytes, sizeof note->feed.bytes);
    note->seq = ilea_msgpack_get_uint(notes);
    note->mode = ilea_msgpack_get_uint32(notes, ILEA_NOTE_EAGER) == 1 ? ILEA_NOTE_EAGER
                                                                      : ILEA_NOTE_LAZY;
    note->has_agency = fields == NOTE_AGENCY_FIELDS;
    if (note->has_agency) {
        ilea_msgpack_get_bytes(notes, note->agency.bytes, sizeof note->agency.bytes);
    } else if (fields != NOTE_FIELDS) {
        notes->failed = true;
    }
}

enum ilea_error
ilea_notes_decode(struct ilea_span body, uint32_t *count, struct ilea_msgpack_reader *notes)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    *count = ilea_msgpack_get_array(&reader, ILEA_NOTES_MAX);
    *notes = reader;
    for (uint32_t i = 0; i < *count && !reader.failed; i++) {
        struct ilea_note note;
        ilea_note_next(&reader, &note);
    }
    if (*count == 0) return ILEA_ERROR_MALFORMED;
    return done(&reader);
}

void
ilea_message_put_header(struct ilea_msgpack_writer *writer,
                        const uint8_t session[ILEA_SESSION_ID_SIZE], uint32_t number,
                        enum ilea_message_type type)
{
    uint8_t header[ILEA_FRAME_HEADER_SIZE];
    memcpy(header, session, ILEA_SESSION_ID_SIZE);
    for (int i = 0; i < 4; i++) header[8 + i] = (uint8_t)(number >> (24 - 8 * i));
    header[12] = (uint8_t)type;
    ilea_msgpack_put_raw(writer, (struct ilea_span){ header, sizeof header });
}

void
ilea_message_put_hello(struct ilea_msgpack_writer *writer, const struct ilea_hello *hello)
{
    ilea_message_put_header(writer, no_session, 0, ILEA_MESSAGE_HELLO);
    ilea_msgpack_put_array(writer, HELLO_FIELDS);
    ilea_msgpack_put_uint(writer, hello->version_min);
    ilea_msgpack_put_uint(writer, hello->version_max);
    ilea_msgpack_put_uint(writer, hello->features);
    ilea_msgpack_put_bin(writer, hello->agency.bytes, sizeof hello->agency.bytes);
    ilea_msgpack_put_bin(writer, hello->nonce, sizeof hello->nonce);
    ilea_msgpack_put_uint(writer, hello->own_index);
    ilea_msgpack_put_uint(writer, hello->known_index);
    ilea_msgpack_put_bin(writer, hello->known_hash, sizeof hello->known_hash);
}

void
ilea_message_put_bind(struct ilea_msgpack_writer *writer,
                      const uint8_t session[ILEA_SESSION_ID_SIZE], uint32_t number,
                      const struct ilea_signature *sig)
{
    ilea_message_put_header(writer, session, number, ILEA_MESSAGE_BIND);
    ilea_msgpack_put_array(writer, 1);
    ilea_msgpack_put_bin(writer, sig->bytes, sizeof sig->bytes);
}

void
ilea_message_put_commits_head(struct ilea_msgpack_writer *writer,
                              const uint8_t session[ILEA_SESSION_ID_SIZE], uint32_t number,
                              const struct ilea_feed_id *feed, uint32_t count)
{
    ilea_message_put_header(writer, session, number, ILEA_MESSAGE_COMMITS);
    ilea_msgpack_put_array(writer, 2);
    ilea_msgpack_put_bin(writer, feed->bytes, sizeof feed->bytes);
    ilea_msgpack_put_array(writer, count);
}

void
ilea_message_put_note(struct ilea_msgpack_writer *writer, const struct ilea_note *note)
{
    ilea_msgpack_put_array(writer, note->has_agency ? NOTE_AGENCY_FIELDS : NOTE_FIELDS);
    ilea_msgpack_put_bin(writer, note->feed.bytes, sizeof note->feed.bytes);
    ilea_msgpack_put_uint(writer, note->seq);
    ilea_msgpack_put_uint(writer, note->mode);
    if (note->has_agency) {
        ilea_msgpack_put_bin(writer, note->agency.bytes, sizeof note->agency.bytes);
    }
}

void
ilea_message_put_position(struct ilea_msgpack_writer *writer, const struct ilea_feed_id *feed,
                          uint64_t seq, const struct ilea_commit_id *id)
{
    ilea_msgpack_put_array(writer, id != NULL ? 3 : 2);
    ilea_msgpack_put_bin(writer, feed->bytes, sizeof feed->bytes);
    ilea_msgpack_put_uint(writer, seq);
    if (id != NULL) ilea_msgpack_put_bin(writer, id->bytes, sizeof id->bytes);
}

void
ilea_message_put_manifests_head(struct ilea_msgpack_writer *writer,
                                const uint8_t session[ILEA_SESSION_ID_SIZE], uint32_t number,
                                const struct ilea_agency_id *agency, uint32_t count)
{
    ilea_message_put_header(writer, session, number, ILEA_MESSAGE_MANIFEST);
    ilea_msgpack_put_array(writer, 2);
    ilea_msgpack_put_bin(writer, agency->bytes, sizeof agency->bytes);
    ilea_msgpack_put_array(writer, count);
}

void
ilea_message_put_fork(struct ilea_msgpack_writer *writer,
                      const uint8_t session[ILEA_SESSION_ID_SIZE], uint32_t number,
                      struct ilea_span proof)
{
    ilea_message_put_header(writer, session, number, ILEA_MESSAGE_FORK);
    ilea_msgpack_put_array(writer, 1);
    ilea_msgpack_put_bin(writer, proof.data, proof.size);
}

void
ilea_message_put_group_head(struct ilea_msgpack_writer *writer, const struct ilea_agency_id *agency,
                            uint64_t manifest_index, const uint8_t manifest_hash[ILEA_HASH_SIZE],
                            const struct ilea_archive *archive)
{
    ilea_msgpack_put_array(writer, GROUP_FIELDS);
    ilea_msgpack_put_bin(writer, agency->bytes, sizeof agency->bytes);
    ilea_msgpack_put_uint(writer, manifest_index);
    ilea_msgpack_put_bin(writer, manifest_hash, ILEA_HASH_SIZE);
    ilea_msgpack_put_uint(writer, archive->count);
    ilea_msgpack_put_bin(writer, archive->sum, sizeof archive->sum);
}

static uint8_t *
put_u64(uint8_t *at, uint64_t value)
{
    for (int shift = 56; shift >= 0; shift -= 8) *at++ = (uint8_t)(value >> shift);
    return at;
}

void
ilea_message_put_ask(struct ilea_msgpack_writer *writer, const struct ilea_frontier_ask *ask)
{
    uint8_t sums[SUMS_SIZE], *at = sums;
    for (uint32_t i = 0; ask->has_sums && i < ILEA_ARCHIVE_BUCKETS; i++) at = put_u64(at, ask->sums[i]);
    ilea_msgpack_put_array(writer, LIST_FIELDS);
    ilea_msgpack_put_uint(writer, ILEA_FRONTIER_ASK);
    ilea_msgpack_put_bin(writer, ask->agency.bytes, sizeof ask->agency.bytes);
    ilea_msgpack_put_bin(writer, ask->after.bytes, ask->has_after ? sizeof ask->after.bytes : 0);
    ilea_msgpack_put_bin(writer, sums, ask->has_sums ? sizeof sums : 0);
}

void
ilea_bind_message(const struct ilea_transport_public *sender,
                  const struct ilea_transport_public *receiver,
                  const struct ilea_hello *sender_hello, const struct ilea_hello *receiver_hello,
                  uint8_t message[ILEA_BIND_MESSAGE_SIZE])
{
    memcpy(message, sender->bytes, 32);
    memcpy(message + 32, receiver->bytes, 32);
    memcpy(message + 64, sender_hello->nonce, 32);
    memcpy(message + 96, receiver_hello->nonce, 32);
    uint8_t *at = message + 128;
    const struct ilea_hello *const hellos[] = { sender_hello, receiver_hello };
    for (unsigned i = 0; i < 2; i++) {
        at = put_u64(at, hellos[i]->version_min);
        at = put_u64(at, hellos[i]->version_max);
        at = put_u64(at, hellos[i]->features);
        at = put_u64(at, hellos[i]->own_index);
        at = put_u64(at, hellos[i]->known_index);
        memcpy(at, hellos[i]->known_hash, ILEA_HASH_SIZE);
        at += ILEA_HASH_SIZE;
    }
}

enum ilea_error
ilea_want_decode(struct ilea_span body, struct ilea_feed_id *feed, uint64_t *seq)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, WANT_FIELDS);
    ilea_msgpack_get_bytes(&reader, feed->bytes, sizeof feed->bytes);
    *seq = ilea_msgpack_get_uint(&reader);
    if (*seq == 0) reader.failed = true;
    return done(&reader);
}

void
ilea_message_put_want(struct ilea_msgpack_writer *writer, const struct ilea_feed_id *feed, uint64_t seq)
{
    ilea_msgpack_put_array(writer, WANT_FIELDS);
    ilea_msgpack_put_bin(writer, feed->bytes, sizeof feed->bytes);
    ilea_msgpack_put_uint(writer, seq);
}
