/* The lobby's thread, over real connections on loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/lobby.h"
#include "tests/support/codec.h"

struct door {
    struct ilea_lobby *lobby;
    struct sockaddr_in address;
    struct ilea_lobby_public key;
};

static void
open_door(struct door *door)
{
    door->address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof door->address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&door->address, size), 0);
    assert_int_equal(listen(listener, 128), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&door->address, &size), 0);
    assert_int_equal(ilea_lobby_open(listener, &door->lobby), ILEA_ERROR_NONE);
    ilea_random_bytes(door->key.bytes, sizeof door->key.bytes);
    ilea_lobby_set_key(door->lobby, &door->key, false);
}

/* From 127.0.0.`host`: a source of its own. */
static int
enter(const struct door *door, unsigned host)
{
    struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000 + host) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = { .tv_sec = 10 };
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&door->address, sizeof door->address), 0);
    return fd;
}

/* False: it was closed without one. */
static bool
hear(int fd, struct ilea_lobby_frame *frame)
{
    static uint8_t bytes[ILEA_LOBBY_FRAME_MAX];
    size_t size = 0, taken;
    for (;;) {
        enum ilea_error error = ilea_lobby_frame_decode((struct ilea_span){ bytes, size }, frame, &taken);
        if (error == ILEA_ERROR_NONE) return true;
        assert_int_equal(error, ILEA_ERROR_NOT_FOUND);
        ssize_t got = recv(fd, bytes + size, size < 2 ? 2 - size : 1, 0);
        if (got <= 0) return false;
        size += (size_t)got;
    }
}

static void
say(int fd, const struct ilea_lobby_frame *frame)
{
    uint8_t bytes[ILEA_LOBBY_FRAME_MAX];
    size_t size = ilea_lobby_frame_encode(frame, bytes);
    (void)!send(fd, bytes, size, MSG_NOSIGNAL);
}

static void
greet(const struct door *door, int fd, struct ilea_lobby_challenge *challenge)
{
    struct ilea_lobby_frame frame;
    assert_true(hear(fd, &frame));
    assert_int_equal(frame.type, ILEA_LOBBY_GREETING);
    assert_memory_equal(frame.challenge.key.bytes, door->key.bytes, sizeof door->key.bytes);
    *challenge = frame.challenge;
}

static const uint8_t text[100] = "not really sealed";

/* Ask on a connection; 0: closed without an answer. */
static int
ask(const struct door *door, int fd, const struct ilea_invite *invite, enum ilea_lobby_type type)
{
    struct ilea_lobby_frame request = { .type = type, .sealed = { text, sizeof text } }, answer;
    struct ilea_lobby_challenge challenge;
    greet(door, fd, &challenge);
    if (invite != NULL) {
        ilea_invite_tag(invite->key, &challenge.key, challenge.nonce, request.sealed, request.tag);
    }
    say(fd, &request);
    int status = hear(fd, &answer) ? (int)answer.status : 0;
    close(fd);
    return status;
}

static int
enter_and_ask(const struct door *door, unsigned host, const struct ilea_invite *invite)
{
    int fd = enter(door, host);
    if (invite != NULL) {
        struct ilea_lobby_frame pass = { .type = ILEA_LOBBY_PASS };
        memcpy(pass.invite, invite->id, sizeof pass.invite);
        say(fd, &pass);
    }
    return ask(door, fd, invite, ILEA_LOBBY_REQUEST);
}

static unsigned
take_all(const struct door *door)
{
    static struct ilea_lobby_arrival arrival;
    unsigned count = 0;
    while (ilea_lobby_take(door->lobby, &arrival)) count++;
    return count;
}

static void
make_invite(struct ilea_invite *invite)
{
    struct ilea_invite_token token;
    ilea_invite_generate(&token);
    ilea_invite_derive(&token, invite);
}

static void
test_request(void **state)
{
    (void)state;
    struct door door;
    static struct ilea_lobby_arrival arrival;
    open_door(&door);
    assert_false(ilea_lobby_take(door.lobby, &arrival));
    assert_int_equal(enter_and_ask(&door, 2, NULL), ILEA_LOBBY_QUEUED);
    struct pollfd ready = { .fd = ilea_lobby_fd(door.lobby), .events = POLLIN };
    assert_int_equal(poll(&ready, 1, 1000), 1);
    assert_true(ilea_lobby_take(door.lobby, &arrival));
    assert_int_equal(poll(&ready, 1, 0), 0);
    assert_int_equal(arrival.type, ILEA_LOBBY_REQUEST);
    assert_int_equal(arrival.size, sizeof text);
    assert_memory_equal(arrival.sealed, text, sizeof text);
    assert_memory_equal(arrival.challenge.key.bytes, door.key.bytes, 32);
    assert_false(arrival.has_invite);
    assert_int_equal(strncmp(arrival.address, "127.0.0.2:", 10), 0);
    /* The nonce is another one each time. */
    int one = enter(&door, 3), other = enter(&door, 3);
    struct ilea_lobby_challenge a, b;
    greet(&door, one, &a);
    greet(&door, other, &b);
    assert_memory_not_equal(a.nonce, b.nonce, sizeof a.nonce);
    close(one);
    close(other);
    ilea_lobby_close(door.lobby);
}

static void
test_limits(void **state)
{
    (void)state;
    struct door door;
    struct ilea_lobby_counts counts;
    open_door(&door);
    unsigned queued = 0;
    for (unsigned i = 0; i < 6; i++) queued += enter_and_ask(&door, 2, NULL) == ILEA_LOBBY_QUEUED ? 1 : 0;
    assert_int_equal(queued, 4); /* of one source */
    for (unsigned i = 0; i < 30; i++) {
        queued += enter_and_ask(&door, 10 + i, NULL) == ILEA_LOBBY_QUEUED ? 1 : 0;
    }
    assert_true(queued == 8 || queued == 9); /* of all */
    assert_true(take_all(&door) <= 8);
    /* An invite goes before them. */
    struct ilea_invite invites[2], wrong;
    make_invite(&invites[0]);
    make_invite(&invites[1]);
    make_invite(&wrong);
    ilea_lobby_set_invites(door.lobby, invites, 2);
    assert_int_equal(enter_and_ask(&door, 2, NULL), ILEA_LOBBY_BUSY);
    assert_int_equal(enter_and_ask(&door, 2, &wrong), ILEA_LOBBY_BUSY);
    assert_int_equal(enter_and_ask(&door, 2, &invites[1]), ILEA_LOBBY_QUEUED);
    static struct ilea_lobby_arrival arrival;
    assert_true(ilea_lobby_take(door.lobby, &arrival));
    assert_true(arrival.has_invite);
    assert_memory_equal(arrival.invite, invites[1].id, sizeof arrival.invite);
    /* Not without end. */
    queued = 1;
    for (unsigned i = 0; i < 5; i++) {
        queued += enter_and_ask(&door, 2, &invites[1]) == ILEA_LOBBY_QUEUED ? 1 : 0;
    }
    assert_int_equal(queued, 3);
    assert_int_equal(take_all(&door), 2);
    /* Told again, an invite has used what it has used; and one that is no more told is wrong. */
    ilea_lobby_set_invites(door.lobby, invites + 1, 1);
    assert_int_equal(enter_and_ask(&door, 2, &invites[1]), ILEA_LOBBY_BUSY);
    assert_int_equal(enter_and_ask(&door, 3, &invites[0]), ILEA_LOBBY_BUSY);
    ilea_lobby_count(door.lobby, &counts);
    assert_true(counts.requests >= 11 && counts.busy > 20 && counts.invited == 3);
    ilea_lobby_close(door.lobby);
}

/* Wrong invites get the answer of right ones, and ilea-node never hears of them. */
static void
test_wrong_invites(void **state)
{
    (void)state;
    struct door door;
    struct ilea_invite invite, wrong;
    struct ilea_lobby_counts counts;
    open_door(&door);
    make_invite(&invite);
    make_invite(&wrong);
    ilea_lobby_set_invites(door.lobby, &invite, 1);
    assert_int_equal(enter_and_ask(&door, 2, &wrong), ILEA_LOBBY_QUEUED);
    wrong = invite;
    wrong.key[0] ^= 1;
    assert_int_equal(enter_and_ask(&door, 3, &wrong), ILEA_LOBBY_QUEUED);
    /* A tag without a pass. */
    assert_int_equal(ask(&door, enter(&door, 4), &invite, ILEA_LOBBY_REQUEST), ILEA_LOBBY_QUEUED);
    assert_int_equal(take_all(&door), 0);
    ilea_lobby_count(door.lobby, &counts);
    assert_int_equal(counts.wrong_invite, 3);
    assert_int_equal(counts.requests, 0);
    ilea_lobby_close(door.lobby);
}

static void
send_bytes(const struct door *door, const void *bytes, size_t size)
{
    struct ilea_lobby_challenge challenge;
    struct ilea_lobby_frame frame;
    int fd = enter(door, 5);
    greet(door, fd, &challenge);
    (void)!send(fd, bytes, size, MSG_NOSIGNAL);
    assert_false(hear(fd, &frame));
    close(fd);
}

static void
test_nonsense(void **state)
{
    (void)state;
    struct door door;
    struct ilea_lobby_counts counts;
    open_door(&door);
    send_bytes(&door, "GET / HTTP/1.0\r\n\r\n", 18);
    send_bytes(&door, "\0\0\0", 3);
    send_bytes(&door, "\0\1\5\1", 4);
    static uint8_t much[20000];
    memset(much, 0xff, sizeof much);
    send_bytes(&door, much, sizeof much);
    /* A pass comes first, and once. */
    uint8_t passes[2 * ILEA_LOBBY_PASS_SIZE];
    struct ilea_lobby_frame pass = { .type = ILEA_LOBBY_PASS };
    (void)ilea_lobby_frame_encode(&pass, passes);
    (void)ilea_lobby_frame_encode(&pass, passes + ILEA_LOBBY_PASS_SIZE);
    send_bytes(&door, passes, sizeof passes);
    ilea_lobby_count(door.lobby, &counts);
    assert_int_equal(counts.malformed, 5);
    /* Byte by byte is no nonsense. */
    int fd = enter(&door, 6);
    struct ilea_lobby_challenge challenge;
    struct ilea_lobby_frame request = { .type = ILEA_LOBBY_REQUEST, .sealed = { text, sizeof text } }, answer;
    uint8_t bytes[ILEA_LOBBY_FRAME_MAX];
    size_t size = ilea_lobby_frame_encode(&request, bytes);
    greet(&door, fd, &challenge);
    for (size_t i = 0; i < size; i++) assert_int_equal(send(fd, bytes + i, 1, MSG_NOSIGNAL), 1);
    assert_true(hear(fd, &answer));
    assert_int_equal(answer.status, ILEA_LOBBY_QUEUED);
    close(fd);
    ilea_lobby_close(door.lobby);
}

static uint64_t
now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
pause_ms(long ms)
{
    const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    (void)nanosleep(&pause, NULL);
}

static void
test_deadline(void **state)
{
    (void)state;
    struct door door;
    struct ilea_lobby_frame frame;
    struct ilea_lobby_challenge challenge;
    open_door(&door);
    uint64_t start_ms = now_ms();
    int fd = enter(&door, 2);
    greet(&door, fd, &challenge);
    assert_int_equal(send(fd, "\0", 1, MSG_NOSIGNAL), 1);
    assert_false(hear(fd, &frame));
    uint64_t taken_ms = now_ms() - start_ms;
    assert_true(taken_ms >= 2900 && taken_ms < 6000);
    close(fd);
    ilea_lobby_close(door.lobby);
}

static bool
is_gone(int fd)
{
    uint8_t byte;
    ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return got == 0 || (got < 0 && errno == ECONNRESET);
}

/* The house is full: whoever comes from where most come from has to go first, and nobody with a pass. */
static void
test_crowd(void **state)
{
    (void)state;
    struct door door;
    struct ilea_invite invite;
    struct ilea_lobby_challenge challenge;
    open_door(&door);
    make_invite(&invite);
    ilea_lobby_set_invites(door.lobby, &invite, 1);
    int lonely = enter(&door, 9), invited = enter(&door, 2), crowd[ILEA_LOBBY_GUESTS_MAX + 10];
    struct ilea_lobby_frame pass = { .type = ILEA_LOBBY_PASS };
    memcpy(pass.invite, invite.id, sizeof pass.invite);
    say(invited, &pass);
    greet(&door, lonely, &challenge);
    for (unsigned i = 0; i < ILEA_LOBBY_GUESTS_MAX - 2; i++) {
        crowd[i] = enter(&door, 2);
        greet(&door, crowd[i], &challenge);
    }
    pause_ms(50);
    for (unsigned i = ILEA_LOBBY_GUESTS_MAX - 2; i < ILEA_LOBBY_GUESTS_MAX + 8; i++) {
        crowd[i] = enter(&door, 2);
        greet(&door, crowd[i], &challenge);
    }
    assert_false(is_gone(lonely));
    unsigned gone = 0;
    for (unsigned i = 0; i < ILEA_LOBBY_GUESTS_MAX + 8; i++) gone += is_gone(crowd[i]) ? 1 : 0;
    assert_int_equal(gone, 10);
    assert_true(is_gone(crowd[0]) && !is_gone(crowd[ILEA_LOBBY_GUESTS_MAX + 7]));
    assert_int_equal(ask(&door, invited, &invite, ILEA_LOBBY_REQUEST), ILEA_LOBBY_QUEUED);
    for (unsigned i = 0; i < ILEA_LOBBY_GUESTS_MAX + 8; i++) close(crowd[i]);
    close(lonely);
    ilea_lobby_close(door.lobby);
}

struct reply_later {
    const struct door *door;
    bool replies;
};

static void *
reply(void *context)
{
    const struct reply_later *later = context;
    static struct ilea_lobby_arrival arrival;
    struct pollfd ready = { .fd = ilea_lobby_fd(later->door->lobby), .events = POLLIN };
    if (poll(&ready, 1, 2000) == 1 && ilea_lobby_take(later->door->lobby, &arrival) && later->replies) {
        ilea_lobby_reply(later->door->lobby, arrival.number, (struct ilea_span){ text, 10 });
    }
    return NULL;
}

/* With a reply, with an open ceremony and no reply, and without one: what a stranger sees is "queued". */
static void
test_ceremony(void **state)
{
    (void)state;
    struct door door;
    open_door(&door);
    for (unsigned i = 0; i < 3; i++) {
        pthread_t thread;
        struct reply_later later = { &door, i == 0 };
        ilea_lobby_set_key(door.lobby, &door.key, i != 2);
        assert_int_equal(pthread_create(&thread, NULL, reply, &later), 0);
        struct ilea_lobby_challenge challenge;
        struct ilea_lobby_frame message = { .type = ILEA_LOBBY_CEREMONY, .sealed = { text, sizeof text } }, answer;
        int fd = enter(&door, 2);
        greet(&door, fd, &challenge);
        uint64_t start_ms = now_ms();
        say(fd, &message);
        assert_true(hear(fd, &answer));
        uint64_t taken_ms = now_ms() - start_ms;
        assert_int_equal(answer.status, ILEA_LOBBY_QUEUED);
        assert_int_equal(answer.reply.size, i == 0 ? 10 : 0);
        if (i > 0) assert_true(taken_ms >= 490);
        close(fd);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    struct ilea_lobby_counts counts;
    ilea_lobby_count(door.lobby, &counts);
    assert_int_equal(counts.ceremonies, 2);
    ilea_lobby_close(door.lobby);
}

/* Without a key nobody is greeted. */
static void
test_no_key(void **state)
{
    (void)state;
    struct door door;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    door.address = address;
    assert_int_equal(ilea_lobby_open(listener, &door.lobby), ILEA_ERROR_NONE);
    struct ilea_lobby_frame frame;
    int fd = enter(&door, 2);
    assert_false(hear(fd, &frame));
    close(fd);
    ilea_lobby_close(door.lobby);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),       cmocka_unit_test(test_limits),
        cmocka_unit_test(test_wrong_invites), cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_deadline),      cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_ceremony),      cmocka_unit_test(test_no_key),
    };
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
