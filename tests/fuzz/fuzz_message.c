/*
 * fuzz_message.c - the decoders of link messages: whatever they accept can be
 * walked to its end with the getters, and put again gives the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/core/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put_positions(struct ilea_msgpack_writer *writer, struct ilea_msgpack_reader *reader, uint32_t count)
{
    ilea_msgpack_put_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_position position;
        ilea_position_get(reader, &position);
        ilea_message_put_position(writer, &position.feed, position.seq, &position.id);
    }
}

static void
put_list(struct ilea_msgpack_writer *writer, struct ilea_frontier_list *list)
{
    ilea_msgpack_put_uint(writer, list->last ? 1 : 0);
    ilea_msgpack_put_array(writer, list->follow_count);
    for (uint32_t i = 0; i < list->follow_count; i++) {
        uint8_t agency[ILEA_ID_SIZE];
        ilea_msgpack_get_bytes(&list->follows, agency, sizeof agency);
        ilea_msgpack_put_bin(writer, agency, sizeof agency);
    }
    ilea_msgpack_put_array(writer, list->group_count);
    for (uint32_t i = 0; i < list->group_count; i++) {
        struct ilea_frontier_group group;
        ilea_frontier_group_next(&list->groups, &group);
        ilea_message_put_group_head(writer, &group.agency, group.manifest_index, group.manifest_hash,
                                    &group.archive);
        ilea_msgpack_put_array(writer, group.fork_count);
        for (uint32_t k = 0; k < group.fork_count; k++) {
            struct ilea_feed_id feed;
            uint8_t hash[ILEA_HASH_SIZE];
            ilea_frontier_fork_next(&group.forks, &feed, hash);
            ilea_msgpack_put_array(writer, 2);
            ilea_msgpack_put_bin(writer, feed.bytes, sizeof feed.bytes);
            ilea_msgpack_put_bin(writer, hash, sizeof hash);
        }
        put_positions(writer, &group.entries, group.entry_count);
    }
    ilea_assert(ilea_msgpack_reader_done(&list->groups));
}

static bool
put_frontier(struct ilea_msgpack_writer *writer, struct ilea_span body)
{
    struct ilea_frontier frontier;
    if (ilea_frontier_decode(body, &frontier) != ILEA_ERROR_NONE) return false;
    if (frontier.form == ILEA_FRONTIER_ASK) {
        ilea_message_put_ask(writer, &frontier.ask);
        return true;
    }
    ilea_msgpack_put_array(writer, frontier.form == ILEA_FRONTIER_HASH ? 3 : 4);
    ilea_msgpack_put_uint(writer, frontier.form);
    if (frontier.form == ILEA_FRONTIER_HASH) {
        ilea_msgpack_put_bin(writer, frontier.hash.follows, sizeof frontier.hash.follows);
        ilea_msgpack_put_bin(writer, frontier.hash.entries, sizeof frontier.hash.entries);
    } else if (frontier.form == ILEA_FRONTIER_ARCHIVE) {
        struct ilea_frontier_archive *archive = &frontier.archive;
        ilea_msgpack_put_bin(writer, archive->agency.bytes, sizeof archive->agency.bytes);
        ilea_msgpack_put_uint(writer, archive->last ? 1 : 0);
        put_positions(writer, &archive->entries, archive->entry_count);
        ilea_assert(ilea_msgpack_reader_done(&archive->entries));
    } else {
        put_list(writer, &frontier.list);
    }
    return true;
}

static bool
put_credit(struct ilea_msgpack_writer *writer, struct ilea_span body)
{
    struct ilea_credit credit;
    if (ilea_credit_decode(body, &credit) != ILEA_ERROR_NONE) return false;
    ilea_msgpack_put_array(writer, 2);
    ilea_msgpack_put_uint(writer, credit.limit);
    ilea_msgpack_put_array(writer, credit.position_count);
    for (uint32_t i = 0; i < credit.position_count; i++) {
        struct ilea_feed_id feed;
        uint64_t seq = 0;
        ilea_credit_position_next(&credit.positions, &feed, &seq);
        ilea_message_put_position(writer, &feed, seq, NULL);
    }
    ilea_assert(ilea_msgpack_reader_done(&credit.positions));
    return true;
}

static bool
put_notes(struct ilea_msgpack_writer *writer, struct ilea_span body)
{
    struct ilea_msgpack_reader notes;
    uint32_t count = 0;
    if (ilea_notes_decode(body, &count, &notes) != ILEA_ERROR_NONE) return false;
    ilea_msgpack_put_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_note note;
        ilea_note_next(&notes, &note);
        ilea_message_put_note(writer, &note);
    }
    ilea_assert(ilea_msgpack_reader_done(&notes));
    return true;
}

static void
put_bins(struct ilea_msgpack_writer *writer, struct ilea_msgpack_reader *reader, uint32_t count,
         struct ilea_span (*next)(struct ilea_msgpack_reader *))
{
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_span bytes = next(reader);
        ilea_msgpack_put_bin(writer, bytes.data, bytes.size);
    }
    ilea_assert(ilea_msgpack_reader_done(reader));
}

/* Putters that write the frame's header, too. */
static bool
put_whole(struct ilea_msgpack_writer *writer, const struct ilea_frame *frame)
{
    struct ilea_hello hello;
    struct ilea_signature signature;
    struct ilea_feed_id feed;
    struct ilea_agency_id agency;
    struct ilea_span proof;
    struct ilea_msgpack_reader reader;
    uint32_t count = 0;
    switch ((int)frame->type) {
    case ILEA_MESSAGE_HELLO:
        if (ilea_hello_decode(frame->body, &hello) != ILEA_ERROR_NONE) return false;
        ilea_message_put_hello(writer, &hello);
        return true;
    case ILEA_MESSAGE_BIND:
        if (ilea_bind_decode(frame->body, &signature) != ILEA_ERROR_NONE) return false;
        ilea_message_put_bind(writer, frame->session, frame->number, &signature);
        return true;
    case ILEA_MESSAGE_MANIFEST:
        if (ilea_manifests_decode(frame->body, &agency, &count, &reader) != ILEA_ERROR_NONE) return false;
        ilea_message_put_manifests_head(writer, frame->session, frame->number, &agency, count);
        put_bins(writer, &reader, count, ilea_manifests_next);
        return true;
    case ILEA_MESSAGE_FORK:
        if (ilea_fork_message_decode(frame->body, &proof) != ILEA_ERROR_NONE) return false;
        ilea_message_put_fork(writer, frame->session, frame->number, proof);
        return true;
    default:
        if (ilea_commits_decode(frame->body, &feed, &count, &reader) != ILEA_ERROR_NONE) return false;
        ilea_message_put_commits_head(writer, frame->session, frame->number, &feed, count);
        put_bins(writer, &reader, count, ilea_commits_next);
        return true;
    }
}

static bool
put_frame(struct ilea_msgpack_writer *writer, const struct ilea_frame *frame)
{
    switch (frame->type) {
    case ILEA_MESSAGE_HELLO:
    case ILEA_MESSAGE_BIND:
    case ILEA_MESSAGE_COMMITS:
    case ILEA_MESSAGE_MANIFEST:
    case ILEA_MESSAGE_FORK:
        return put_whole(writer, frame);
    case ILEA_MESSAGE_FRONTIER:
    case ILEA_MESSAGE_CREDIT:
    case ILEA_MESSAGE_NOTE:
    case ILEA_MESSAGE_SIDE:
    case ILEA_MESSAGE_WANT:
        break;
    }
    ilea_message_put_header(writer, frame->session, frame->number, frame->type);
    if (frame->type == ILEA_MESSAGE_SIDE) {
        ilea_msgpack_put_raw(writer, frame->body);
        return true;
    }
    if (frame->type == ILEA_MESSAGE_WANT) {
        struct ilea_feed_id feed;
        uint64_t seq;
        if (ilea_want_decode(frame->body, &feed, &seq) != ILEA_ERROR_NONE) return false;
        ilea_message_put_want(writer, &feed, seq);
        return true;
    }
    if (frame->type == ILEA_MESSAGE_FRONTIER) return put_frontier(writer, frame->body);
    if (frame->type == ILEA_MESSAGE_CREDIT) return put_credit(writer, frame->body);
    return put_notes(writer, frame->body);
}

static void
decode(const uint8_t *data, size_t size)
{
    struct ilea_frame frame;
    if (ilea_frame_decode((struct ilea_span){ data, size }, &frame) != ILEA_ERROR_NONE) return;
    uint8_t *again = malloc(size);
    if (again == NULL) abort();
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, again, size);
    if (put_frame(&writer, &frame)) {
        ilea_assert(!writer.failed && writer.size == size);
        ilea_assert(memcmp(again, data, size) == 0);
    }
    free(again);
}

/* The input as it is, and as the body of a frame of each type. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size);
    uint8_t *bytes = calloc(1, ILEA_FRAME_HEADER_SIZE + size);
    if (bytes == NULL) abort();
    if (size > 0) memcpy(bytes + ILEA_FRAME_HEADER_SIZE, data, size);
    for (uint8_t type = ILEA_MESSAGE_HELLO; type <= ILEA_MESSAGE_LAST; type++) {
        bytes[0] = bytes[ILEA_FRAME_HEADER_SIZE - 2] = type != ILEA_MESSAGE_HELLO;
        bytes[ILEA_FRAME_HEADER_SIZE - 1] = type;
        decode(bytes, ILEA_FRAME_HEADER_SIZE + size);
    }
    free(bytes);
    return 0;
}
