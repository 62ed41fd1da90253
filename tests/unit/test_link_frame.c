/* The pipe between ilea-node and ilea-link: frames, bounds, and bytes that come in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/link_frame.h"
#include "tests/support/vectors.h"

enum { OUT_MAX = 64 * 1024 * 1024 };

static const struct ilea_span nothing = { NULL, 0 };

/* Body sizes of each kind: the smallest, the largest, and whether it names a peer. */
static const struct {
    enum ilea_link_kind kind;
    uint32_t size_min, size_max;
    bool has_peer;
} kinds[] = {
    { ILEA_LINK_CONFIG, 34, 34 + 256, false },
    { ILEA_LINK_PEER, 33, 33 + 256, true },
    { ILEA_LINK_FORGET, 0, 0, true },
    { ILEA_LINK_SEND, 0, 256 * 1024, true },
    { ILEA_LINK_RESET, 0, 0, true },
    { ILEA_LINK_PING, 0, 0, false },
    { ILEA_LINK_READY, 1, 257, false },
    { ILEA_LINK_UP, 0, 0, true },
    { ILEA_LINK_DOWN, 0, 256, true },
    { ILEA_LINK_RECV, 0, 256 * 1024, true },
    { ILEA_LINK_REFUSED, 0, 256, false },
    { ILEA_LINK_PONG, 0, 0, false },
    { ILEA_LINK_LOBBY, 1, 256, false },
    { ILEA_LINK_LOBBY_KEY, 33, 33, false },
    { ILEA_LINK_LOBBY_INVITES, 0, 64 * 48, false },
    { ILEA_LINK_LOBBY_REPLY, 0, 512, true },
    { ILEA_LINK_LOBBY_READY, 1, 257, false },
    { ILEA_LINK_LOBBY_ASK, 66, 66 + 64 + 8157, true },
    { ILEA_LINK_LOBBY_COUNTS, 72, 72, false },
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

static void
put_header(uint8_t *bytes, uint32_t size, uint8_t kind, uint32_t peer)
{
    const uint8_t header[] = {
        (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8),
        (uint8_t)size,         kind,                  (uint8_t)(peer >> 24),
        (uint8_t)(peer >> 16), (uint8_t)(peer >> 8),  (uint8_t)peer,
    };
    memcpy(bytes, header, sizeof header);
}

/* Decode from a heap copy of the exact size, so that a sanitizer sees a one-byte overread. */
static enum ilea_error
decode(const uint8_t *bytes, size_t size, struct ilea_link_frame *frame, size_t *taken)
{
    uint8_t *copy = ilea_exact_copy(bytes, size);
    enum ilea_error error =
        ilea_link_frame_decode((struct ilea_span){ copy, size }, frame, taken);
    free(copy);
    return error;
}

static void
open_pair(struct ilea_link_pipe *a, struct ilea_link_pipe *b)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ilea_link_pipe_init(a, fds[0]);
    ilea_link_pipe_init(b, fds[1]);
}

static void
close_end(struct ilea_link_pipe *pipe)
{
    close(pipe->fd);
    ilea_link_pipe_deinit(pipe);
}

static void
fill_pattern(uint8_t *bytes, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

/* Goal: no prefix of a frame is a frame, and what follows it is not touched. */
static void
test_link_frame_prefixes(void **state)
{
    (void)state;
    uint8_t bytes[ILEA_LINK_HEADER_SIZE + 300];
    for (size_t i = 0; i < KIND_COUNT; i++) {
        uint32_t size = kinds[i].size_max < 300 ? kinds[i].size_max : 290;
        uint32_t peer = kinds[i].has_peer ? 0x01020304 : 0;
        put_header(bytes, size, (uint8_t)kinds[i].kind, peer);
        fill_pattern(bytes + ILEA_LINK_HEADER_SIZE, size, 7);
        struct ilea_link_frame frame;
        size_t taken = 0;
        for (size_t cut = 0; cut < ILEA_LINK_HEADER_SIZE + size; cut++) {
            assert_int_equal(decode(bytes, cut, &frame, &taken), ILEA_ERROR_NOT_FOUND);
        }
        struct ilea_span input = { bytes, sizeof bytes };
        assert_int_equal(ilea_link_frame_decode(input, &frame, &taken), ILEA_ERROR_NONE);
        assert_int_equal(taken, ILEA_LINK_HEADER_SIZE + size);
        assert_int_equal(frame.kind, kinds[i].kind);
        assert_int_equal(frame.peer, peer);
        assert_int_equal(frame.body.size, size);
        assert_ptr_equal(frame.body.data, bytes + ILEA_LINK_HEADER_SIZE);
    }
}

/* Goal: a lie in the header is found at once, before any of the body has come. */
static void
test_link_frame_bounds(void **state)
{
    (void)state;
    uint8_t bytes[ILEA_LINK_HEADER_SIZE];
    struct ilea_link_frame frame;
    size_t taken;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        uint8_t kind = (uint8_t)kinds[i].kind;
        put_header(bytes, kinds[i].size_max, kind, 0);
        enum ilea_error whole = kinds[i].size_max == 0 ? ILEA_ERROR_NONE : ILEA_ERROR_NOT_FOUND;
        assert_int_equal(decode(bytes, sizeof bytes, &frame, &taken), whole);
        put_header(bytes, kinds[i].size_max + 1, kind, 0);
        assert_int_equal(decode(bytes, sizeof bytes, &frame, &taken), ILEA_ERROR_MALFORMED);
        put_header(bytes, UINT32_MAX, kind, 0);
        assert_int_equal(decode(bytes, sizeof bytes, &frame, &taken), ILEA_ERROR_MALFORMED);
        if (kinds[i].size_min > 0) {
            put_header(bytes, kinds[i].size_min - 1, kind, 0);
            assert_int_equal(decode(bytes, sizeof bytes, &frame, &taken), ILEA_ERROR_MALFORMED);
        }
        if (!kinds[i].has_peer) {
            put_header(bytes, kinds[i].size_min, kind, 1);
            assert_int_equal(decode(bytes, sizeof bytes, &frame, &taken), ILEA_ERROR_MALFORMED);
        }
    }
}

static void
test_link_frame_unknown_kinds(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 256; kind++) {
        bool is_known = false;
        for (size_t i = 0; i < KIND_COUNT; i++) {
            if ((unsigned)kinds[i].kind == kind) is_known = true;
        }
        if (is_known) continue;
        uint8_t bytes[ILEA_LINK_HEADER_SIZE];
        put_header(bytes, 0, (uint8_t)kind, 0);
        struct ilea_link_frame frame;
        size_t taken;
        assert_int_equal(decode(bytes, sizeof bytes, &frame, &taken), ILEA_ERROR_MALFORMED);
    }
}

/* Goal: the two parts of a body arrive as one, in order, whatever their sizes. */
static void
test_link_pipe_round_trip(void **state)
{
    (void)state;
    static const size_t sizes[][2] = { { 0, 0 },   { 1, 0 },      { 0, 1 },           { 8, 1000 },
                                       { 300, 5 }, { 256, 65280 }, { 100, 262144 - 100 } };
    static uint8_t body[ILEA_LINK_MESSAGE_MAX];
    fill_pattern(body, sizeof body, 1);
    struct ilea_link_pipe a, b;
    open_pair(&a, &b);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ilea_span first = { body, sizes[i][0] };
        struct ilea_span second = { body + sizes[i][0], sizes[i][1] };
        assert_int_equal(
            ilea_link_pipe_send(&a, ILEA_LINK_SEND, (uint32_t)i, first, second, OUT_MAX),
            ILEA_ERROR_NONE);
        struct ilea_link_frame frame;
        enum ilea_error error;
        while ((error = ilea_link_pipe_next(&b, &frame)) == ILEA_ERROR_NOT_FOUND) {
            assert_int_equal(ilea_link_pipe_flush(&a), ILEA_ERROR_NONE);
            assert_int_equal(ilea_link_pipe_fill(&b), ILEA_ERROR_NONE);
        }
        assert_int_equal(error, ILEA_ERROR_NONE);
        assert_int_equal(frame.kind, ILEA_LINK_SEND);
        assert_int_equal(frame.peer, i);
        assert_int_equal(frame.body.size, first.size + second.size);
        if (frame.body.size > 0) assert_memory_equal(frame.body.data, body, frame.body.size);
    }
    assert_int_equal(ilea_link_pipe_queued(&a), 0);
    close_end(&a);
    close_end(&b);
}

/* Goal: frames survive a reader that gets one byte at a time. */
static void
test_link_pipe_split_reads(void **state)
{
    (void)state;
    struct ilea_link_pipe a, b;
    open_pair(&a, &b);
    uint8_t bytes[3 * (ILEA_LINK_HEADER_SIZE + 20)];
    for (size_t i = 0; i < 3; i++) {
        uint8_t *start = bytes + i * (ILEA_LINK_HEADER_SIZE + 20);
        put_header(start, 20, ILEA_LINK_RECV, (uint32_t)i);
        memset(start + ILEA_LINK_HEADER_SIZE, (int)i, 20);
    }
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        assert_int_equal(write(a.fd, bytes + i, 1), 1);
        assert_int_equal(ilea_link_pipe_fill(&b), ILEA_ERROR_NONE);
        struct ilea_link_frame frame;
        enum ilea_error error = ilea_link_pipe_next(&b, &frame);
        if (error == ILEA_ERROR_NOT_FOUND) continue;
        assert_int_equal(error, ILEA_ERROR_NONE);
        assert_int_equal(frame.peer, count);
        assert_int_equal(frame.body.size, 20);
        assert_int_equal(frame.body.data[19], count);
        count++;
    }
    assert_int_equal(count, 3);
    close_end(&a);
    close_end(&b);
}

/* Goal: a full queue refuses whole frames, loses nothing of what it took, and empties again. */
static void
test_link_pipe_busy(void **state)
{
    (void)state;
    static uint8_t body[ILEA_LINK_MESSAGE_MAX];
    const size_t out_max = 3 * 1024 * 1024;
    struct ilea_link_pipe a, b;
    open_pair(&a, &b);
    uint32_t sent = 0;
    enum ilea_error error = ILEA_ERROR_NONE;
    while (sent < 1000) {
        size_t size = sizeof body - sent % 1000;
        fill_pattern(body, size, sent);
        size_t before = ilea_link_pipe_queued(&a);
        error = ilea_link_pipe_send(&a, ILEA_LINK_RECV, sent, (struct ilea_span){ body, size },
                                    nothing, out_max);
        assert_true(ilea_link_pipe_queued(&a) <= out_max);
        if (error != ILEA_ERROR_NONE) {
            assert_int_equal(ilea_link_pipe_queued(&a), before);
            break;
        }
        sent++;
    }
    assert_int_equal(error, ILEA_ERROR_BUSY);
    assert_true(sent >= 11);
    uint32_t taken = 0;
    for (int round = 0; round < 1000 && taken < sent; round++) {
        assert_int_equal(ilea_link_pipe_flush(&a), ILEA_ERROR_NONE);
        assert_int_equal(ilea_link_pipe_fill(&b), ILEA_ERROR_NONE);
        struct ilea_link_frame frame;
        while (ilea_link_pipe_next(&b, &frame) == ILEA_ERROR_NONE) {
            assert_int_equal(frame.peer, taken);
            assert_int_equal(frame.body.size, sizeof body - taken % 1000);
            fill_pattern(body, frame.body.size, taken);
            assert_memory_equal(frame.body.data, body, frame.body.size);
            taken++;
        }
    }
    assert_int_equal(taken, sent);
    assert_int_equal(ilea_link_pipe_queued(&a), 0);
    close_end(&a);
    close_end(&b);
}

/* Goal: a reader that takes nothing does not make its buffer grow for ever. */
static void
test_link_pipe_in_bound(void **state)
{
    (void)state;
    static uint8_t body[1000];
    struct ilea_link_pipe a, b;
    open_pair(&a, &b);
    struct ilea_span span = { body, sizeof body };
    uint32_t sent = 0;
    for (int round = 0; round < 20000; round++) {
        if (ilea_link_pipe_send(&a, ILEA_LINK_RECV, sent, span, nothing, OUT_MAX) ==
            ILEA_ERROR_NONE) {
            sent++;
        }
        assert_int_equal(ilea_link_pipe_fill(&b), ILEA_ERROR_NONE);
    }
    assert_true(b.in_capacity <= 2 * 1024 * 1024);
    uint32_t taken = 0;
    for (int round = 0; round < 100000 && taken < sent; round++) {
        struct ilea_link_frame frame;
        while (ilea_link_pipe_next(&b, &frame) == ILEA_ERROR_NONE) {
            assert_int_equal(frame.peer, taken++);
        }
        assert_int_equal(ilea_link_pipe_flush(&a), ILEA_ERROR_NONE);
        assert_int_equal(ilea_link_pipe_fill(&b), ILEA_ERROR_NONE);
    }
    assert_int_equal(taken, sent);
    close_end(&a);
    close_end(&b);
}

/* Goal: what was written before the other end closed is still read, then the end is told. */
static void
test_link_pipe_closed(void **state)
{
    (void)state;
    struct ilea_link_pipe a, b;
    open_pair(&a, &b);
    assert_int_equal(ilea_link_pipe_send(&a, ILEA_LINK_PING, 0, nothing, nothing, OUT_MAX),
                     ILEA_ERROR_NONE);
    close_end(&a);
    struct ilea_link_frame frame;
    assert_int_equal(ilea_link_pipe_fill(&b), ILEA_ERROR_NONE);
    assert_int_equal(ilea_link_pipe_next(&b, &frame), ILEA_ERROR_NONE);
    assert_int_equal(frame.kind, ILEA_LINK_PING);
    assert_int_equal(ilea_link_pipe_next(&b, &frame), ILEA_ERROR_NOT_FOUND);
    assert_int_equal(ilea_link_pipe_fill(&b), ILEA_ERROR_IO);
    assert_int_equal(ilea_link_pipe_send(&b, ILEA_LINK_PONG, 0, nothing, nothing, OUT_MAX),
                     ILEA_ERROR_IO);
    close_end(&b);
}

static void
test_link_pipe_malformed(void **state)
{
    (void)state;
    struct ilea_link_pipe a, b;
    open_pair(&a, &b);
    uint8_t bytes[ILEA_LINK_HEADER_SIZE];
    put_header(bytes, ILEA_LINK_MESSAGE_MAX + 1, ILEA_LINK_SEND, 1);
    assert_int_equal(write(a.fd, bytes, sizeof bytes), sizeof bytes);
    struct ilea_link_frame frame;
    assert_int_equal(ilea_link_pipe_fill(&b), ILEA_ERROR_NONE);
    assert_int_equal(ilea_link_pipe_next(&b, &frame), ILEA_ERROR_MALFORMED);
    assert_int_equal(ilea_link_pipe_next(&b, &frame), ILEA_ERROR_MALFORMED);
    close_end(&a);
    close_end(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_frame_prefixes),
        cmocka_unit_test(test_link_frame_bounds),
        cmocka_unit_test(test_link_frame_unknown_kinds),
        cmocka_unit_test(test_link_pipe_round_trip),
        cmocka_unit_test(test_link_pipe_split_reads),
        cmocka_unit_test(test_link_pipe_busy),
        cmocka_unit_test(test_link_pipe_in_bound),
        cmocka_unit_test(test_link_pipe_closed),
        cmocka_unit_test(test_link_pipe_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
