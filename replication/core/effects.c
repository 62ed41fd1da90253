/* effects.c - composing effects and frames in the driver's buffer. */
#include "crypto/assert.h"
#include "replication/core/state.h"

bool
has_room(const struct ilea_replicator *r, uint32_t effects, size_t bytes)
{
    return ILEA_EFFECTS_MAX - r->effects->count >= effects
        && sizeof r->effects->bytes - r->effects->byte_count >= bytes;
}

struct ilea_effect *
emit(struct ilea_replicator *r, enum ilea_effect_type type, uint32_t link)
{
    ilea_assert(r->effects->count < ILEA_EFFECTS_MAX);
    struct ilea_effect *effect = &r->effects->items[r->effects->count++];
    *effect = (struct ilea_effect){ .type = type, .link = link };
    return effect;
}

void
trace(struct ilea_replicator *r, uint32_t link, enum ilea_trace what, enum ilea_error error,
      const struct ilea_feed_id *feed)
{
    if (!has_room(r, 64, 0)) return; /* a trace is the first thing to do without */
    struct ilea_effect *effect = emit(r, ILEA_EFFECT_TRACE, link);
    effect->trace.what = what;
    effect->trace.error = error;
    if (feed != NULL) effect->trace.feed = *feed;
}

void
begin_frame(struct ilea_replicator *r, uint32_t link, enum ilea_message_type type,
            struct ilea_msgpack_writer *writer)
{
    struct link *to = &r->links[link];
    size_t room = sizeof r->effects->bytes - r->effects->byte_count;
    if (room > ILEA_MESSAGE_SIZE_MAX) room = ILEA_MESSAGE_SIZE_MAX;
    ilea_msgpack_writer_init(writer, r->effects->bytes + r->effects->byte_count, room);
    ilea_message_put_header(writer, to->session, ++to->sent_number, type);
}

void
end_frame(struct ilea_replicator *r, uint32_t link, struct ilea_msgpack_writer *writer)
{
    ilea_assert(!writer->failed); /* callers ask has_room() first */
    emit(r, ILEA_EFFECT_SEND, link)->send = ilea_msgpack_written(writer);
    r->effects->byte_count += writer->size;
    r->links[link].sent_ms = r->now_ms;
}
