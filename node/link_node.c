/* link_node.c - ilea-node's side: what it is told, and what it asks for. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node/link_state.h"

enum { REFUSED_MS_MIN = 1000 };

/* Bytes that wait for ilea-node: beyond the first no message is read, so that the senders wait
 * too; beyond the second even small frames find no room, and ilea-node must have hung. */
static const size_t pause_bytes = 16 * 1024 * 1024;
static const size_t out_bytes_max = 17 * 1024 * 1024;

static const struct ilea_span nothing = { NULL, 0 };

/* The first failure is the one that is told. */
void
ilea_link_fail(struct link *link, const char *reason)
{
    if (link->state != STATE_RUNNING) return;
    link->state = STATE_FAILED;
    fprintf(stderr, "ilea-link: %s\n", reason);
}

void
ilea_link_tell(struct link *link, enum ilea_link_kind kind, uint32_t peer, struct ilea_span first,
               struct ilea_span second)
{
    if (link->state != STATE_RUNNING) return;
    enum ilea_error error =
        ilea_link_pipe_send(&link->pipe, kind, peer, first, second, out_bytes_max);
    if (error == ILEA_ERROR_NONE) return;
    if (error == ILEA_ERROR_IO) {
        link->state = STATE_ENDED; /* ilea-node has gone: nothing to complain about */
    } else if (error == ILEA_ERROR_BUSY) {
        ilea_link_fail(link, "ilea-node does not read");
    } else {
        ilea_link_fail(link, ilea_error_text(error));
    }
}

static struct ilea_span
text_span(const char *text)
{
    size_t size = strlen(text);
    if (size > ILEA_LINK_TEXT_MAX) size = ILEA_LINK_TEXT_MAX;
    return (struct ilea_span){ (const uint8_t *)text, size };
}

void
ilea_link_tell_ready(struct link *link, bool ok, const char *text)
{
    uint8_t flag = ok ? 1 : 0;
    struct ilea_span first = { &flag, 1 };
    ilea_link_tell(link, ILEA_LINK_READY, 0, first, text_span(text));
}

void
ilea_link_tell_down(struct link *link, struct peer *peer, const char *reason)
{
    if (peer->is_down_told) return;
    peer->is_down_told = true;
    ilea_link_tell(link, ILEA_LINK_DOWN, peer->number, text_span(reason), nothing);
}

/* At most one a second: strangers decide how often there would be something to tell. */
void
ilea_link_tell_refused(struct link *link, const char *format, ...)
{
    if (link->refused_ms != 0 && link->now_ms - link->refused_ms < REFUSED_MS_MIN) {
        link->refused_unsaid++;
        return;
    }
    char text[ILEA_LINK_TEXT_MAX + 1];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < sizeof text && link->refused_unsaid > 0) {
        snprintf(text + length, sizeof text - (size_t)length, " (and %u more)",
                 link->refused_unsaid);
    }
    link->refused_unsaid = 0;
    link->refused_ms = link->now_ms;
    ilea_link_tell(link, ILEA_LINK_REFUSED, 0, text_span(text), nothing);
}

bool
ilea_link_has_room(const struct link *link)
{
    return link->state == STATE_RUNNING && !link->is_paused &&
           ilea_link_pipe_queued(&link->pipe) < pause_bytes;
}

/* Stop reading while ilea-node is behind, and go on when half is gone. */
void
ilea_link_tend_pause(struct link *link)
{
    size_t queued = ilea_link_pipe_queued(&link->pipe);
    if (!link->is_paused) {
        link->is_paused = queued >= pause_bytes;
        return;
    }
    if (queued > pause_bytes / 2) return;
    link->is_paused = false;
    for (size_t i = 0; i < ILEA_LINK_PEERS_MAX; i++) {
        struct peer *peer = &link->peers[i];
        peer->dealer_heard_ms = peer->route_heard_ms = link->now_ms;
    }
}

/* Copy text that must hold no NUL. */
static bool
copy_text(struct ilea_link_endpoint *text, struct ilea_span span)
{
    if (span.size > ILEA_LINK_TEXT_MAX) return false;
    if (span.size > 0 && memchr(span.data, '\0', span.size) != NULL) return false;
    *text = (struct ilea_link_endpoint){ { 0 } };
    if (span.size > 0) memcpy(text->text, span.data, span.size);
    return true;
}

static void
on_config(struct link *link, const struct ilea_link_frame *frame)
{
    struct ilea_span body = frame->body;
    size_t size = (size_t)body.data[ILEA_LINK_KEY_SIZE] << 8 | body.data[ILEA_LINK_KEY_SIZE + 1];
    struct ilea_span endpoint = { body.data + ILEA_LINK_KEY_SIZE + 2,
                                  body.size - ILEA_LINK_KEY_SIZE - 2 };
    if (link->is_configured || endpoint.size != size ||
        !copy_text(&link->bound, endpoint)) {
        ilea_link_fail(link, "CONFIG is malformed or was sent before");
        return;
    }
    if (!ilea_link_take_secret(link, body)) {
        ilea_link_fail(link, "the transport key cannot be used");
        return;
    }
    if (!ilea_link_open_context(link)) {
        ilea_link_fail(link, "this libzmq has no CURVE, or cannot start");
        return;
    }
    link->is_configured = true;
    ilea_link_open_router(link);
}

static void
on_peer(struct link *link, const struct ilea_link_frame *frame)
{
    const uint8_t *key = frame->body.data;
    uint8_t dial_flag = frame->body.data[ILEA_LINK_KEY_SIZE];
    struct ilea_span span = { frame->body.data + ILEA_LINK_KEY_SIZE + 1,
                              frame->body.size - ILEA_LINK_KEY_SIZE - 1 };
    struct ilea_link_endpoint endpoint;
    if (dial_flag > 1 || !copy_text(&endpoint, span)) {
        ilea_link_fail(link, "PEER is malformed");
        return;
    }
    struct peer *peer = ilea_link_add_peer(link, frame->peer, key);
    if (peer == NULL) {
        struct peer unknown = { .number = frame->peer };
        ilea_link_tell_down(link, &unknown, "too many peers, or another has the same key");
        return;
    }
    bool is_dialled = dial_flag == 1 && endpoint.text[0] != '\0';
    if (is_dialled == peer->is_dialled && strcmp(endpoint.text, peer->endpoint.text) == 0) return;
    peer->is_dialled = is_dialled;
    peer->endpoint = endpoint;
    ilea_link_redial(link, peer);
}

static void
on_reset(struct link *link, struct peer *peer)
{
    ilea_link_redial(link, peer);
    if (!peer->has_route) return;
    /* The peer dialled us, and makes its connection anew when its next message finds it cut. */
    memcpy(peer->reset_route, peer->route, ROUTE_SIZE);
    peer->has_reset_route = true;
    peer->has_route = false;
}

static void
on_frame(struct link *link, const struct ilea_link_frame *frame)
{
    if (!link->is_configured && frame->kind != ILEA_LINK_CONFIG) {
        ilea_link_fail(link, "the first frame must be CONFIG");
        return;
    }
    if (ilea_link_on_lobby(link, frame)) return;
    struct peer *peer = ilea_link_find_number(link, frame->peer);
    switch ((int)frame->kind) {
    case ILEA_LINK_CONFIG:
        on_config(link, frame);
        return;
    case ILEA_LINK_PEER:
        on_peer(link, frame);
        return;
    case ILEA_LINK_FORGET:
        if (peer != NULL) ilea_link_forget(link, peer);
        return;
    case ILEA_LINK_SEND:
        ilea_link_send(link, frame);
        return;
    case ILEA_LINK_RESET:
        if (peer != NULL) on_reset(link, peer);
        return;
    case ILEA_LINK_PING:
        ilea_link_tell(link, ILEA_LINK_PONG, 0, nothing, nothing);
        return;
    default:
        break;
    }
    ilea_link_fail(link, "a frame that only ilea-link sends");
}

void
ilea_link_serve_pipe(struct link *link)
{
    enum ilea_error error = ilea_link_pipe_fill(&link->pipe);
    struct ilea_link_frame frame;
    while (link->state == STATE_RUNNING) {
        enum ilea_error next = ilea_link_pipe_next(&link->pipe, &frame);
        if (next == ILEA_ERROR_MALFORMED) ilea_link_fail(link, "a malformed frame");
        if (next != ILEA_ERROR_NONE) break;
        on_frame(link, &frame);
    }
    if (error == ILEA_ERROR_NO_MEMORY) ilea_link_fail(link, ilea_error_text(error));
    if (error == ILEA_ERROR_IO && link->state == STATE_RUNNING) link->state = STATE_ENDED;
}
