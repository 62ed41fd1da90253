#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "node/lobby_state.h"

static const struct ilea_rate source_requests = { 4, 5000 }, all_requests = { 8, 500 },
                              invite_requests = { 3, 10000 }, source_ceremonies = { 8, 1000 },
                              all_ceremonies = { 16, 250 };

/* `at_once`: without the state that TCP keeps for a while after an orderly end, so that a flood leaves
 * nothing behind in the kernel either. */
void
ilea_lobby_dismiss(struct guest *guest, bool at_once)
{
    const struct linger none = { .l_onoff = 1, .l_linger = 0 };
    if (at_once) (void)setsockopt(guest->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(guest->fd);
    guest->state = GUEST_NONE;
}

/* What fits an empty socket buffer goes out whole, or the guest is gone. */
static void
send_frame(struct guest *guest, const struct ilea_lobby_frame *frame)
{
    uint8_t bytes[ILEA_LOBBY_FRAME_MAX];
    size_t size = ilea_lobby_frame_encode(frame, bytes);
    if (send(guest->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size) return;
    ilea_lobby_dismiss(guest, true);
}

static void
answer(struct guest *guest, enum ilea_lobby_status status, struct ilea_span reply)
{
    const struct ilea_lobby_frame frame = { .type = ILEA_LOBBY_ANSWER, .status = status, .reply = reply };
    send_frame(guest, &frame);
    if (guest->state == GUEST_NONE) return;
    /* It closes when it has read this; closing first could take the answer back. */
    (void)shutdown(guest->fd, SHUT_WR);
    guest->state = GUEST_LEAVES;
}

static void
answer_plain(struct ilea_lobby *lobby, struct guest *guest, enum ilea_lobby_status status)
{
    if (status == ILEA_LOBBY_BUSY) lobby->counts.busy++;
    answer(guest, status, (struct ilea_span){ NULL, 0 });
}

/* Who has to go for a newcomer; NULL: nobody. Of a crowd from one place the one that is longest here. */
static struct guest *
find_victim(struct ilea_lobby *lobby)
{
    struct guest *victim = NULL;
    unsigned victim_crowd = 0;
    for (unsigned i = 0; i < ILEA_LOBBY_GUESTS_MAX; i++) {
        struct guest *guest = &lobby->guests[i];
        if (guest->has_pass || lobby->now_ms - guest->since_ms < GRACE_MS) continue;
        unsigned crowd = 0;
        for (unsigned j = 0; j < ILEA_LOBBY_GUESTS_MAX; j++) {
            if (lobby->guests[j].source == guest->source) crowd++;
        }
        if (victim != NULL && (crowd < victim_crowd
                               || (crowd == victim_crowd && guest->since_ms >= victim->since_ms))) {
            continue;
        }
        victim = guest;
        victim_crowd = crowd;
    }
    return victim;
}

static struct guest *
find_place(struct ilea_lobby *lobby)
{
    for (unsigned i = 0; i < ILEA_LOBBY_GUESTS_MAX; i++) {
        if (lobby->guests[i].state == GUEST_NONE) return &lobby->guests[i];
    }
    struct guest *victim = find_victim(lobby);
    if (victim == NULL) return NULL;
    if (victim->state != GUEST_LEAVES) lobby->counts.crowded_out++;
    ilea_lobby_dismiss(victim, true);
    return victim;
}

void
ilea_lobby_admit(struct ilea_lobby *lobby, int fd, const struct ilea_lobby_challenge *challenge,
                 uint64_t source)
{
    lobby->counts.guests++;
    struct guest *guest = challenge != NULL ? find_place(lobby) : NULL;
    if (guest == NULL) {
        struct guest nobody = { .fd = fd };
        lobby->counts.busy++;
        ilea_lobby_dismiss(&nobody, true);
        return;
    }
    guest->state = GUEST_READS;
    guest->fd = fd;
    if (++lobby->guest_number == 0) lobby->guest_number = 1;
    guest->number = lobby->guest_number;
    guest->source = source;
    guest->since_ms = lobby->now_ms;
    guest->has_pass = guest->has_spoken = guest->is_wrong = false;
    guest->challenge = *challenge;
    guest->size = 0;
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    const struct ilea_lobby_frame greeting = { .type = ILEA_LOBBY_GREETING, .challenge = *challenge,
                                               .minutes = (uint32_t)(now.tv_sec / 60) };
    send_frame(guest, &greeting);
}

/* NULL: not open. Looks at all, each in constant time. */
static struct open_invite *
find_invite(struct ilea_lobby *lobby, const uint8_t id[ILEA_INVITE_ID_BYTES])
{
    struct open_invite *found = NULL;
    for (unsigned i = 0; i < lobby->invite_count; i++) {
        if (ilea_equal_secret(lobby->invites[i].invite.id, id, ILEA_INVITE_ID_BYTES)) {
            found = &lobby->invites[i];
        }
    }
    return found;
}

static void
on_pass(struct ilea_lobby *lobby, struct guest *guest, const struct ilea_lobby_frame *frame)
{
    if (find_invite(lobby, frame->invite) == NULL) {
        guest->is_wrong = true;
        return;
    }
    struct guest *oldest = NULL;
    unsigned count = 0;
    for (unsigned i = 0; i < ILEA_LOBBY_GUESTS_MAX; i++) {
        struct guest *other = &lobby->guests[i];
        if (other->state == GUEST_NONE || !other->has_pass
            || memcmp(other->pass, frame->invite, sizeof other->pass) != 0) {
            continue;
        }
        count++;
        if (oldest == NULL || other->since_ms < oldest->since_ms) oldest = other;
    }
    if (count >= GUESTS_AN_INVITE) ilea_lobby_dismiss(oldest, true);
    guest->has_pass = true;
    memcpy(guest->pass, frame->invite, sizeof guest->pass);
}

static void
name_address(int fd, char text[ILEA_LOBBY_ADDRESS_SIZE])
{
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } address = { .any = { .sa_family = AF_UNSPEC } };
    socklen_t size = sizeof address;
    char host[INET6_ADDRSTRLEN] = "?";
    text[0] = '\0';
    if (getpeername(fd, &address.any, &size) != 0) return;
    bool is_ipv6 = address.any.sa_family == AF_INET6;
    (void)inet_ntop(address.any.sa_family, is_ipv6 ? (const void *)&address.ipv6.sin6_addr
                                                   : (const void *)&address.ipv4.sin_addr, host, sizeof host);
    (void)snprintf(text, ILEA_LOBBY_ADDRESS_SIZE, is_ipv6 ? "[%s]:%u" : "%s:%u", host,
                   (unsigned)ntohs(is_ipv6 ? address.ipv6.sin6_port : address.ipv4.sin_port));
}

/* Put it on the desk for ilea-node; false: there is no room. */
static bool
pass_on(struct ilea_lobby *lobby, const struct guest *guest, const struct ilea_lobby_frame *frame,
        const struct open_invite *invite)
{
    if (lobby->desk_count >= (invite != NULL ? DESK_SIZE : DESK_SIZE_UNINVITED)) return false;
    struct ilea_lobby_arrival *arrival =
        &lobby->desk[(lobby->desk_first + lobby->desk_count++) % DESK_SIZE];
    arrival->number = guest->number;
    arrival->type = frame->type;
    arrival->challenge = guest->challenge;
    arrival->has_invite = invite != NULL;
    memset(arrival->invite, 0, sizeof arrival->invite);
    if (invite != NULL) memcpy(arrival->invite, invite->invite.id, sizeof arrival->invite);
    name_address(guest->fd, arrival->address);
    ilea_assert(frame->sealed.size <= sizeof arrival->sealed);
    arrival->size = (uint16_t)frame->sealed.size;
    memcpy(arrival->sealed, frame->sealed.data, frame->sealed.size);
    const uint64_t one = 1;
    (void)!write(lobby->ready, &one, sizeof one);
    return true;
}

/* Both or none. */
static bool
take_both(struct ilea_bucket *source, const struct ilea_rate *source_rate, struct ilea_bucket *all,
          const struct ilea_rate *all_rate, uint64_t now_ms)
{
    if (!ilea_bucket_take(source, source_rate, now_ms)) return false;
    if (ilea_bucket_take(all, all_rate, now_ms)) return true;
    ilea_bucket_return(source, source_rate);
    return false;
}

static void
on_request(struct ilea_lobby *lobby, struct guest *guest, const struct ilea_lobby_frame *frame)
{
    static const uint8_t no_tag[ILEA_INVITE_TAG_SIZE];
    struct open_invite *invite = guest->has_pass ? find_invite(lobby, guest->pass) : NULL;
    bool claims = guest->has_pass || guest->is_wrong || memcmp(frame->tag, no_tag, sizeof no_tag) != 0;
    if (invite != NULL && !ilea_invite_tag_is_right(invite->invite.key, &guest->challenge.key,
                                                    guest->challenge.nonce, frame->sealed, frame->tag)) {
        invite = NULL;
    }
    bool is_passed = false;
    if (invite != NULL) {
        is_passed = ilea_bucket_take(&invite->bucket, &invite_requests, lobby->now_ms)
            && pass_on(lobby, guest, frame, invite);
    } else {
        struct ilea_bucket *source =
            ilea_sources_bucket(&lobby->request_sources, guest->source, lobby->now_ms);
        is_passed = take_both(source, &source_requests, &lobby->requests, &all_requests, lobby->now_ms);
        /* A wrong invite gets the answers of a right one, and goes no further. */
        if (is_passed && claims) {
            lobby->counts.wrong_invite++;
            answer_plain(lobby, guest, ILEA_LOBBY_QUEUED);
            return;
        }
        is_passed = is_passed && pass_on(lobby, guest, frame, NULL);
    }
    if (is_passed) lobby->counts.requests++;
    if (is_passed && invite != NULL) lobby->counts.invited++;
    answer_plain(lobby, guest, is_passed ? ILEA_LOBBY_QUEUED : ILEA_LOBBY_BUSY);
}

static void
on_ceremony(struct ilea_lobby *lobby, struct guest *guest, const struct ilea_lobby_frame *frame)
{
    struct ilea_bucket *source =
        ilea_sources_bucket(&lobby->ceremony_sources, guest->source, lobby->now_ms);
    if (!take_both(source, &source_ceremonies, &lobby->ceremonies, &all_ceremonies, lobby->now_ms)) {
        answer_plain(lobby, guest, ILEA_LOBBY_BUSY);
        return;
    }
    /* Whether one is open is nobody's business: the answer comes as late as if it were. */
    if (lobby->has_ceremony && pass_on(lobby, guest, frame, NULL)) lobby->counts.ceremonies++;
    guest->state = GUEST_WAITS;
    guest->reply_ms = lobby->now_ms + REPLY_MS;
}

static void
on_frame(struct ilea_lobby *lobby, struct guest *guest, const struct ilea_lobby_frame *frame)
{
    bool is_first = !guest->has_spoken;
    guest->has_spoken = true;
    if (frame->type == ILEA_LOBBY_PASS && is_first) {
        on_pass(lobby, guest, frame);
    } else if (frame->type == ILEA_LOBBY_REQUEST) {
        on_request(lobby, guest, frame);
    } else if (frame->type == ILEA_LOBBY_CEREMONY) {
        on_ceremony(lobby, guest, frame);
    } else {
        lobby->counts.malformed++;
        ilea_lobby_dismiss(guest, true);
    }
}

static void
take_frames(struct ilea_lobby *lobby, struct guest *guest)
{
    while (guest->state == GUEST_READS) {
        struct ilea_lobby_frame frame;
        size_t size;
        enum ilea_error error =
            ilea_lobby_frame_decode((struct ilea_span){ guest->in, guest->size }, &frame, &size);
        if (error == ILEA_ERROR_NOT_FOUND) return;
        if (error != ILEA_ERROR_NONE) {
            lobby->counts.malformed++;
            ilea_lobby_dismiss(guest, true);
            return;
        }
        on_frame(lobby, guest, &frame);
        guest->size -= size;
        memmove(guest->in, guest->in + size, guest->size);
    }
}

/* The socket has something, or has ended. */
void
ilea_lobby_hear(struct ilea_lobby *lobby, struct guest *guest)
{
    uint8_t rest[ILEA_LOBBY_FRAME_MAX];
    bool reads = guest->state == GUEST_READS;
    uint8_t *to = reads ? guest->in + guest->size : rest;
    ssize_t got = recv(guest->fd, to, reads ? sizeof guest->in - guest->size : sizeof rest, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        ilea_lobby_dismiss(guest, false);
        return;
    }
    if (!reads) return; /* said after its message: of no interest */
    guest->size += (size_t)got;
    take_frames(lobby, guest);
}

/* What ilea-node or the clock decides. */
void
ilea_lobby_tend(struct ilea_lobby *lobby, struct guest *guest)
{
    if (guest->state == GUEST_WAITS) {
        for (unsigned i = 0; i < ILEA_LOBBY_GUESTS_MAX; i++) {
            if (lobby->replies[i].number != guest->number) continue;
            lobby->replies[i].number = 0;
            answer(guest, ILEA_LOBBY_QUEUED,
                   (struct ilea_span){ lobby->replies[i].bytes, lobby->replies[i].size });
            return;
        }
        if (lobby->now_ms >= guest->reply_ms) answer_plain(lobby, guest, ILEA_LOBBY_QUEUED);
    }
    if (guest->state == GUEST_NONE || lobby->now_ms - guest->since_ms < DEADLINE_MS) return;
    if (guest->state == GUEST_READS) lobby->counts.late++;
    ilea_lobby_dismiss(guest, true);
}
