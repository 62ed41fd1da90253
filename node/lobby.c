#include "node/lobby.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/lobby_state.h"

enum {
    ACCEPTS_A_TURN = 4,   /* then those who are in are heard: else none would have time to say a word */
    ACCEPT_PAUSE_MS = 100, /* no descriptor was left */
    NICE = 10,
    STACK_SIZE = 256 * 1024
};

static uint64_t
read_clock(void)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);
    ilea_assert(rc == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
lock(struct ilea_lobby *lobby)
{
    int rc = pthread_mutex_lock(&lobby->lock);
    ilea_assert(rc == 0);
}

static void
unlock(struct ilea_lobby *lobby)
{
    int rc = pthread_mutex_unlock(&lobby->lock);
    ilea_assert(rc == 0);
}

static void
wake(struct ilea_lobby *lobby)
{
    const uint64_t one = 1;
    (void)!write(lobby->wake, &one, sizeof one);
}

static void
clear(int event)
{
    uint64_t count;
    (void)!read(event, &count, sizeof count);
}

/* False: nobody is waiting. */
static bool
accept_guest(struct ilea_lobby *lobby)
{
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } address;
    socklen_t size = sizeof address;
    int fd = accept4(lobby->listener, &address.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return errno == ECONNABORTED || errno == EINTR;
    uint64_t source = address.any.sa_family == AF_INET6
        ? ilea_source_of(address.ipv6.sin6_addr.s6_addr, 16)
        : ilea_source_of((const uint8_t *)&address.ipv4.sin_addr, 4);
    struct ilea_lobby_challenge challenge;
    ilea_random_bytes(challenge.nonce, sizeof challenge.nonce);
    lock(lobby);
    challenge.key = lobby->key;
    bool greets = lobby->has_key && lobby->now_ms - lobby->key_ms < KEY_MS_MAX;
    ilea_lobby_admit(lobby, fd, greets ? &challenge : NULL, source);
    unlock(lobby);
    return true;
}

/* Milliseconds until the clock decides something about a guest; -1: nothing. */
static int
wait_ms(const struct ilea_lobby *lobby)
{
    uint64_t due_ms = UINT64_MAX;
    for (unsigned i = 0; i < ILEA_LOBBY_GUESTS_MAX; i++) {
        const struct guest *guest = &lobby->guests[i];
        if (guest->state == GUEST_NONE) continue;
        uint64_t guest_ms = guest->since_ms + DEADLINE_MS;
        if (guest->state == GUEST_WAITS && guest->reply_ms < guest_ms) guest_ms = guest->reply_ms;
        if (guest_ms < due_ms) due_ms = guest_ms;
    }
    if (due_ms == UINT64_MAX) return -1;
    return due_ms > lobby->now_ms ? (int)(due_ms - lobby->now_ms) : 0;
}

/* One turn; false: the lobby is being closed. */
static bool
turn(struct ilea_lobby *lobby, uint64_t *accept_ms)
{
    enum { WAKE, LISTENER, GUESTS };
    struct pollfd polls[GUESTS + ILEA_LOBBY_GUESTS_MAX];
    bool accepts = lobby->now_ms >= *accept_ms;
    polls[WAKE] = (struct pollfd){ .fd = lobby->wake, .events = POLLIN };
    polls[LISTENER] = (struct pollfd){ .fd = accepts ? lobby->listener : -1, .events = POLLIN };
    for (unsigned i = 0; i < ILEA_LOBBY_GUESTS_MAX; i++) {
        const struct guest *guest = &lobby->guests[i];
        polls[GUESTS + i] =
            (struct pollfd){ .fd = guest->state != GUEST_NONE ? guest->fd : -1, .events = POLLIN };
    }
    int wait = wait_ms(lobby);
    if (!accepts && (wait < 0 || wait > ACCEPT_PAUSE_MS)) wait = ACCEPT_PAUSE_MS;
    (void)poll(polls, GUESTS + ILEA_LOBBY_GUESTS_MAX, wait);
    lobby->now_ms = read_clock();
    if (polls[WAKE].revents != 0) clear(lobby->wake);
    lock(lobby);
    for (unsigned i = 0; i < ILEA_LOBBY_GUESTS_MAX; i++) {
        struct guest *guest = &lobby->guests[i];
        /* An earlier one may have made it go. */
        if (guest->state != GUEST_NONE && polls[GUESTS + i].revents != 0) ilea_lobby_hear(lobby, guest);
        if (guest->state != GUEST_NONE) ilea_lobby_tend(lobby, guest);
    }
    bool goes_on = !lobby->is_closing;
    unlock(lobby);
    if (polls[LISTENER].revents == 0) return goes_on;
    for (unsigned i = 0; goes_on && i < ACCEPTS_A_TURN; i++) {
        if (accept_guest(lobby)) continue;
        /* Without descriptors the listener would stay readable for ever. */
        if (errno != EAGAIN) *accept_ms = lobby->now_ms + ACCEPT_PAUSE_MS;
        break;
    }
    return goes_on;
}

static void *
run(void *context)
{
    struct ilea_lobby *lobby = context;
    uint64_t accept_ms = 0;
    (void)prctl(PR_SET_NAME, "lobby");
    /* On Linux of this thread alone. The peers come first. */
    (void)setpriority(PRIO_PROCESS, 0, NICE);
    lobby->now_ms = read_clock();
    while (turn(lobby, &accept_ms)) {}
    for (unsigned i = 0; i < ILEA_LOBBY_GUESTS_MAX; i++) {
        if (lobby->guests[i].state != GUEST_NONE) ilea_lobby_dismiss(&lobby->guests[i], true);
    }
    return NULL;
}

static bool
start_thread(struct ilea_lobby *lobby)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    bool started = pthread_attr_setstacksize(&attributes, STACK_SIZE) == 0
        && pthread_create(&lobby->thread, &attributes, run, lobby) == 0;
    (void)pthread_attr_destroy(&attributes);
    return started;
}

static void
release(struct ilea_lobby *lobby)
{
    if (lobby->wake >= 0) close(lobby->wake);
    if (lobby->ready >= 0) close(lobby->ready);
    close(lobby->listener);
    (void)pthread_mutex_destroy(&lobby->lock);
    ilea_wipe(lobby, sizeof *lobby); /* it held the keys of invites */
    free(lobby);
}

enum ilea_error
ilea_lobby_open(int listener, struct ilea_lobby **lobby)
{
    struct ilea_lobby *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        close(listener);
        return ILEA_ERROR_NO_MEMORY;
    }
    opened->listener = listener;
    opened->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    opened->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ilea_random_bytes(&opened->request_sources.seed, sizeof opened->request_sources.seed);
    ilea_random_bytes(&opened->ceremony_sources.seed, sizeof opened->ceremony_sources.seed);
    int rc = pthread_mutex_init(&opened->lock, NULL);
    ilea_assert(rc == 0);
    if (opened->wake < 0 || opened->ready < 0 || !start_thread(opened)) {
        release(opened);
        return ILEA_ERROR_IO;
    }
    *lobby = opened;
    return ILEA_ERROR_NONE;
}

void
ilea_lobby_close(struct ilea_lobby *lobby)
{
    if (lobby == NULL) return;
    lock(lobby);
    lobby->is_closing = true;
    unlock(lobby);
    wake(lobby);
    int rc = pthread_join(lobby->thread, NULL);
    ilea_assert(rc == 0);
    release(lobby);
}

int
ilea_lobby_fd(const struct ilea_lobby *lobby)
{
    return lobby->ready;
}

bool
ilea_lobby_take(struct ilea_lobby *lobby, struct ilea_lobby_arrival *arrival)
{
    lock(lobby);
    bool found = lobby->desk_count > 0;
    if (found) {
        *arrival = lobby->desk[lobby->desk_first];
        lobby->desk_first = (lobby->desk_first + 1) % DESK_SIZE;
        lobby->desk_count--;
    }
    if (lobby->desk_count == 0) clear(lobby->ready);
    unlock(lobby);
    return found;
}

void
ilea_lobby_set_key(struct ilea_lobby *lobby, const struct ilea_lobby_public *key, bool has_ceremony)
{
    lock(lobby);
    lobby->key = *key;
    lobby->key_ms = read_clock();
    lobby->has_key = true;
    lobby->has_ceremony = has_ceremony;
    unlock(lobby);
}

/* What an invite has used of its rate stays used. */
void
ilea_lobby_set_invites(struct ilea_lobby *lobby, const struct ilea_invite *invites, unsigned count)
{
    ilea_assert(count <= ILEA_LOBBY_INVITES_MAX);
    struct open_invite open[ILEA_LOBBY_INVITES_MAX] = { 0 };
    lock(lobby);
    for (unsigned i = 0; i < count; i++) {
        open[i].invite = invites[i];
        for (unsigned j = 0; j < lobby->invite_count; j++) {
            if (ilea_equal_secret(lobby->invites[j].invite.id, invites[i].id, ILEA_INVITE_ID_BYTES)) {
                open[i].bucket = lobby->invites[j].bucket;
            }
        }
    }
    memcpy(lobby->invites, open, sizeof open);
    lobby->invite_count = count;
    unlock(lobby);
    ilea_wipe(open, sizeof open);
}

void
ilea_lobby_reply(struct ilea_lobby *lobby, uint32_t number, struct ilea_span reply)
{
    if (number == 0 || reply.size > ILEA_LOBBY_REPLY_MAX) return;
    lock(lobby);
    /* As many places as guests: the one of a guest that has left meanwhile is taken again. */
    unsigned place = number % ILEA_LOBBY_GUESTS_MAX;
    lobby->replies[place].number = number;
    lobby->replies[place].size = (uint16_t)reply.size;
    if (reply.size > 0) memcpy(lobby->replies[place].bytes, reply.data, reply.size);
    unlock(lobby);
    wake(lobby);
}

void
ilea_lobby_count(struct ilea_lobby *lobby, struct ilea_lobby_counts *counts)
{
    lock(lobby);
    *counts = lobby->counts;
    unlock(lobby);
}
