/*
 * flood_lobby.c - `flood_lobby PORT NETWORK CONNECTIONS SECONDS`: strangers without end. Connects to a lobby on
 * 127.0.0.1 from many addresses of that network, as fast as it can, until it has made so many connections or the
 * time is over. Of those that are greeted one in four sends a request that is right in every way, by an agency
 * that nobody knows; the others send noise of the same size, half a frame, or nothing. Prints what came of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/lobby_message.h"

enum { GUESTS = 96, AGENCIES = 300, HOSTS = 200, CARD_MAX = 2048 };

struct agency {
    struct ilea_sign_secret *node;
    uint8_t card[CARD_MAX];
    size_t size;
};

struct guest {
    int fd;
    size_t size;
    uint8_t in[ILEA_LOBBY_ANSWER_MAX];
    bool has_asked;
};

struct flood {
    struct ilea_network_id network;
    struct agency agencies[AGENCIES];
    struct guest guests[GUESTS];
    int epoll;
    in_port_t port;
    unsigned long made, greeted, asked, queued, busy, closed, failed;
};

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

static void
make_agency(struct flood *flood, struct agency *agency, unsigned number)
{
    struct ilea_manifest manifest = { .network = flood->network, .threshold = 1, .root_count = 1 };
    struct ilea_sign_secret *root, *next;
    struct ilea_sign_public next_public;
    struct ilea_transport_secret *transport;
    struct ilea_reading_secret *reading;
    char code[8];
    uint8_t bytes[CARD_MAX];
    size_t size = 0;
    (void)snprintf(code, sizeof code, "XX-%u", number % 10000);
    if (ilea_sign_generate(&root, &manifest.roots[0]) != ILEA_ERROR_NONE
        || ilea_sign_generate(&next, &next_public) != ILEA_ERROR_NONE
        || ilea_sign_generate(&agency->node, &manifest.node) != ILEA_ERROR_NONE
        || ilea_transport_generate(&transport, &manifest.transport) != ILEA_ERROR_NONE
        || ilea_reading_generate(&reading, &manifest.reading) != ILEA_ERROR_NONE) {
        fail("keys");
    }
    ilea_roots_hash(1, &next_public, 1, manifest.next_roots);
    manifest.code = manifest.name = (struct ilea_span){ (const uint8_t *)code, strlen(code) };
    manifest.country = (struct ilea_span){ (const uint8_t *)"XX", 2 };
    const struct ilea_sign_secret *const roots[] = { root };
    struct ilea_span chain = { bytes, 0 }, empty = { NULL, 0 };
    enum ilea_error error = ilea_manifest_encode(&manifest, agency->node, roots, bytes, sizeof bytes, &size);
    chain.size = size;
    if (error == ILEA_ERROR_NONE) {
        error = ilea_card_encode(&chain, 1, empty, empty, (uint64_t)time(NULL) * 1000, agency->node, agency->card,
                                 sizeof agency->card, &agency->size);
    }
    if (error != ILEA_ERROR_NONE) {
        (void)fprintf(stderr, "card: %s\n", ilea_error_text(error));
        exit(1);
    }
    ilea_sign_secret_free(root);
    ilea_sign_secret_free(next);
    ilea_transport_secret_free(transport);
    ilea_reading_secret_free(reading);
}

static void
enter(struct flood *flood, struct guest *guest)
{
    const int one = 1;
    const struct linger none = { .l_onoff = 1, .l_linger = 0 };
    struct sockaddr_in from = { .sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(0x7f000001 + (uint32_t)(flood->made % HOSTS)) };
    const struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = flood->port,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    guest->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (guest->fd < 0) fail("socket");
    (void)setsockopt(guest->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    (void)setsockopt(guest->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    guest->size = 0;
    guest->has_asked = false;
    flood->made++;
    struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = guest };
    if (bind(guest->fd, (struct sockaddr *)&from, sizeof from) != 0
        || (connect(guest->fd, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
        || epoll_ctl(flood->epoll, EPOLL_CTL_ADD, guest->fd, &event) != 0) {
        flood->failed++;
        close(guest->fd);
        guest->fd = -1;
    }
}

static void
leave(struct guest *guest)
{
    close(guest->fd);
    guest->fd = -1;
}

/* What a guest says; 0: nothing. */
static size_t
put_message(struct flood *flood, const struct ilea_lobby_challenge *challenge, uint8_t bytes[ILEA_LOBBY_FRAME_MAX])
{
    static uint8_t message[ILEA_LOBBY_MESSAGE_MAX], sealed[ILEA_LOBBY_SEALED_MAX];
    const struct agency *agency = &flood->agencies[flood->asked % AGENCIES];
    struct ilea_lobby_request request = { .card_bytes = { agency->card, agency->size },
                                          .note = { (const uint8_t *)"let me in", 9 },
                                          .made_ms = (uint64_t)time(NULL) * 1000 };
    struct ilea_lobby_frame frame = { .type = ILEA_LOBBY_REQUEST };
    size_t size = 700;
    if (flood->asked % 4 == 0) {
        if (ilea_lobby_request_encode(&request, challenge, &flood->network, agency->node, message, sizeof message,
                                      &size) != ILEA_ERROR_NONE
            || !ilea_lobby_seal(&challenge->key, (struct ilea_span){ message, size }, sealed)) {
            fail("request");
        }
    } else {
        ilea_random_bytes(sealed, 64);
    }
    frame.sealed = (struct ilea_span){ sealed, size + ILEA_SEAL_OVERHEAD };
    size = ilea_lobby_frame_encode(&frame, bytes);
    if (flood->asked % 16 == 5) return size / 2;
    return flood->asked % 16 == 9 ? 0 : size;
}

static void
hear(struct flood *flood, struct guest *guest)
{
    struct ilea_lobby_frame frame;
    size_t taken;
    ssize_t got = recv(guest->fd, guest->in + guest->size, sizeof guest->in - guest->size, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        flood->closed++;
        leave(guest);
        return;
    }
    guest->size += (size_t)got;
    if (ilea_lobby_frame_decode((struct ilea_span){ guest->in, guest->size }, &frame, &taken) != ILEA_ERROR_NONE) {
        return;
    }
    guest->size = 0;
    if (frame.type == ILEA_LOBBY_GREETING && !guest->has_asked) {
        uint8_t bytes[ILEA_LOBBY_FRAME_MAX];
        flood->greeted++;
        size_t size = put_message(flood, &frame.challenge, bytes);
        flood->asked++;
        guest->has_asked = true;
        if (size > 0) (void)!send(guest->fd, bytes, size, MSG_NOSIGNAL);
        return;
    }
    if (frame.status == ILEA_LOBBY_QUEUED) flood->queued++;
    if (frame.status == ILEA_LOBBY_BUSY) flood->busy++;
    leave(guest);
}

int
main(int argc, char **argv)
{
    if (argc != 5 || ilea_crypto_init() != ILEA_ERROR_NONE) {
        (void)fputs("usage: flood_lobby PORT NETWORK CONNECTIONS SECONDS\n", stderr);
        return 64;
    }
    struct flood *flood = calloc(1, sizeof *flood);
    if (flood == NULL) return 71;
    flood->port = htons((in_port_t)strtoul(argv[1], NULL, 10));
    ilea_hash_once(ILEA_DOMAIN_NETWORK, argv[2], strlen(argv[2]), flood->network.bytes);
    unsigned long wanted = strtoul(argv[3], NULL, 10);
    flood->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < AGENCIES; i++) make_agency(flood, &flood->agencies[i], i);
    for (unsigned i = 0; i < GUESTS; i++) flood->guests[i].fd = -1;
    (void)puts("ready");
    (void)fflush(stdout);
    time_t end = time(NULL) + (time_t)strtoul(argv[4], NULL, 10);
    while (time(NULL) < end) {
        unsigned here = 0;
        for (unsigned i = 0; i < GUESTS; i++) {
            if (flood->guests[i].fd < 0 && flood->made < wanted) enter(flood, &flood->guests[i]);
            if (flood->guests[i].fd >= 0) here++;
        }
        if (here == 0 && flood->made >= wanted) break;
        struct epoll_event events[GUESTS];
        int count = epoll_wait(flood->epoll, events, GUESTS, 100);
        for (int i = 0; i < count; i++) hear(flood, events[i].data.ptr);
    }
    (void)printf(
        "{\"made\":%lu,\"greeted\":%lu,\"asked\":%lu,\"queued\":%lu,\"busy\":%lu,\"closed\":%lu,\"failed\":%lu}\n",
        flood->made, flood->greeted, flood->asked, flood->queued, flood->busy, flood->closed, flood->failed);
    for (unsigned i = 0; i < AGENCIES; i++) ilea_sign_secret_free(flood->agencies[i].node);
    close(flood->epoll);
    free(flood);
    return 0;
}
