#include "node/lobby_client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/node.h"
#include "replication/record/manifest.h"

enum { CONNECT_MS = 5000, RETRY_MS = 100, ANSWER_MS = 3000, HOST_SIZE = 256 };

/* Host and port of an endpoint that is valid. */
static bool
split(const char *endpoint, char host[HOST_SIZE], char port[8])
{
    const char *from = endpoint + strlen("tcp://");
    const char *colon = strrchr(from, ':');
    size_t size = (size_t)(colon - from);
    if (size >= 2 && from[0] == '[' && from[size - 1] == ']') {
        from++;
        size -= 2;
    }
    if (size == 0 || size >= HOST_SIZE) return false;
    (void)snprintf(host, HOST_SIZE, "%.*s", (int)size, from);
    (void)snprintf(port, 8, "%s", colon + 1);
    return true;
}

/* Until the socket has what is waited for; false: not in time. */
static bool
wait_for(int fd, short events, uint64_t end_ms)
{
    uint64_t now_ms = ilea_monotonic_ms();
    struct pollfd poll_fd = { .fd = fd, .events = events };
    return poll(&poll_fd, 1, now_ms < end_ms ? (int)(end_ms - now_ms) : 0) == 1;
}

/* BUSY: somebody listens there, who cut the connection at once. NOT_FOUND: nobody does. */
static enum ilea_error
dial(const struct addrinfo *address, int *fd)
{
    *fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0) return ILEA_ERROR_NOT_FOUND;
    int failure = connect(*fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    socklen_t size = sizeof failure;
    if (failure == EINPROGRESS && wait_for(*fd, POLLOUT, ilea_monotonic_ms() + CONNECT_MS)
        && getsockopt(*fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) {
        failure = errno;
    }
    if (failure == 0) return ILEA_ERROR_NONE;
    close(*fd);
    *fd = -1;
    return failure == ECONNRESET ? ILEA_ERROR_BUSY : ILEA_ERROR_NOT_FOUND;
}

/* A frame is small and the socket's buffer empty. */
static bool
send_frame(int fd, const struct ilea_lobby_frame *frame)
{
    uint8_t bytes[ILEA_LOBBY_FRAME_MAX];
    size_t size = ilea_lobby_frame_encode(frame, bytes), sent = 0;
    uint64_t end_ms = ilea_monotonic_ms() + ANSWER_MS;
    while (sent < size && wait_for(fd, POLLOUT, end_ms)) {
        ssize_t part = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);
        if (part < 0 && errno != EAGAIN && errno != EINTR) return false;
        if (part > 0) sent += (size_t)part;
    }
    return sent == size;
}

static enum ilea_error
receive_frame(struct ilea_lobby_connection *connection, enum ilea_lobby_type type, struct ilea_lobby_frame *frame)
{
    uint64_t end_ms = ilea_monotonic_ms() + ANSWER_MS;
    connection->size = 0;
    for (;;) {
        size_t taken;
        enum ilea_error error =
            ilea_lobby_frame_decode((struct ilea_span){ connection->in, connection->size }, frame, &taken);
        if (error == ILEA_ERROR_NONE) return frame->type == type ? error : ILEA_ERROR_MALFORMED;
        if (error != ILEA_ERROR_NOT_FOUND) return error;
        if (!wait_for(connection->fd, POLLIN, end_ms)) return ILEA_ERROR_BUSY;
        ssize_t got = recv(connection->fd, connection->in + connection->size,
                           sizeof connection->in - connection->size, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (got <= 0) return ILEA_ERROR_BUSY;
        connection->size += (size_t)got;
    }
}

static enum ilea_error
explain(enum ilea_error error, const char *endpoint, char *reason)
{
    const char *why = "nobody answers there: check address and port, and that their node runs";
    if (error == ILEA_ERROR_INVALID) why = "not tcp://HOST:PORT, or no such host";
    if (error == ILEA_ERROR_BUSY) why = "the lobby is full: try again";
    if (error == ILEA_ERROR_UNKNOWN) why = "that lobby is of a newer version: upgrade this node";
    if (error == ILEA_ERROR_MALFORMED) why = "that is not a lobby: check the port";
    (void)snprintf(reason, ILEA_CALL_REASON_SIZE, "%.100s: %s", endpoint, why);
    return error;
}

/* Call, show the invite if there is one, and wait to be greeted. BUSY leaves no connection behind. */
static enum ilea_error
greet(struct ilea_lobby_connection *connection, const struct addrinfo *found, const uint8_t *invite,
      struct ilea_lobby_frame *frame)
{
    enum ilea_error error = ILEA_ERROR_NOT_FOUND;
    for (const struct addrinfo *at = found; at != NULL && error == ILEA_ERROR_NOT_FOUND; at = at->ai_next) {
        error = dial(at, &connection->fd);
    }
    if (error != ILEA_ERROR_NONE) return error;
    *frame = (struct ilea_lobby_frame){ .type = ILEA_LOBBY_PASS };
    if (invite != NULL) {
        memcpy(frame->invite, invite, sizeof frame->invite);
        if (!send_frame(connection->fd, frame)) error = ILEA_ERROR_BUSY;
    }
    if (error == ILEA_ERROR_NONE) error = receive_frame(connection, ILEA_LOBBY_GREETING, frame);
    if (error == ILEA_ERROR_BUSY) ilea_lobby_disconnect(connection);
    return error;
}

enum ilea_error
ilea_lobby_connect(struct ilea_lobby_connection *connection, const char *endpoint, const uint8_t *invite,
                   char *reason)
{
    char host[HOST_SIZE], port[8];
    const struct ilea_span span = { (const uint8_t *)endpoint, strlen(endpoint) };
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    connection->fd = -1;
    if (span.size == 0 || !ilea_endpoint_is_valid(span) || !split(endpoint, host, port)
        || getaddrinfo(host, port, &hints, &found) != 0) {
        return explain(ILEA_ERROR_INVALID, endpoint, reason);
    }
    struct ilea_lobby_frame frame;
    enum ilea_error error = greet(connection, found, invite, &frame);
    /* In a crowd the door is shut before an invite can be shown: it is worth another try. */
    uint64_t end_ms = ilea_monotonic_ms() + CONNECT_MS;
    while (error == ILEA_ERROR_BUSY && invite != NULL && ilea_monotonic_ms() < end_ms) {
        (void)poll(NULL, 0, RETRY_MS);
        error = greet(connection, found, invite, &frame);
    }
    freeaddrinfo(found);
    if (error != ILEA_ERROR_NONE) return explain(error, endpoint, reason);
    connection->challenge = frame.challenge;
    connection->minutes = frame.minutes;
    return ILEA_ERROR_NONE;
}

void
ilea_lobby_disconnect(struct ilea_lobby_connection *connection)
{
    if (connection->fd >= 0) close(connection->fd);
    connection->fd = -1;
}

enum ilea_error
ilea_lobby_exchange(struct ilea_lobby_connection *connection, const struct ilea_lobby_frame *message,
                    struct ilea_lobby_frame *answer)
{
    if (!send_frame(connection->fd, message)) return ILEA_ERROR_BUSY;
    return receive_frame(connection, ILEA_LOBBY_ANSWER, answer);
}
