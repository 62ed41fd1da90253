#include "node/control_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/home.h"

void
ilea_control_server_init(struct ilea_control_server *server)
{
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) {
        server->clients[i] = (struct ilea_control_client){ .fd = -1 };
    }
    server->fd = -1;
    server->accepted = 0;
}

enum ilea_error
ilea_control_server_open(struct ilea_control_server *server, const char *home)
{
    return server->fd >= 0 ? ILEA_ERROR_NONE : ilea_control_listen(home, &server->fd);
}

void
ilea_control_client_drop(struct ilea_control_client *client)
{
    if (client->fd >= 0) close(client->fd);
    free(client->in);
    free(client->out);
    *client = (struct ilea_control_client){ .fd = -1 };
}

void
ilea_control_server_close(struct ilea_control_server *server, const char *home)
{
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) ilea_control_client_drop(&server->clients[i]);
    if (server->fd >= 0) {
        char path[ILEA_PATH_SIZE];
        ilea_home_path(home, "control.sock", path);
        (void)unlink(path);
        close(server->fd);
    }
    server->fd = -1;
}

/* Only our own user and root may ask anything; the folder's mode says so too. */
static bool
is_one_of_us(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0
        && (peer.uid == geteuid() || peer.uid == 0);
}

void
ilea_control_server_accept(struct ilea_control_server *server)
{
    int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX && is_one_of_us(fd); i++) {
        struct ilea_control_client *client = &server->clients[i];
        if (client->fd >= 0) continue;
        client->in = malloc(ILEA_CLIENT_IN_MAX);
        client->out = malloc(ILEA_CLIENT_OUT_MAX);
        client->fd = fd;
        client->serial = ++server->accepted;
        if (client->in == NULL || client->out == NULL) ilea_control_client_drop(client);
        return;
    }
    close(fd);
}

bool
ilea_control_client_read(struct ilea_control_client *client)
{
    if (client->in_start > 0 && ILEA_CLIENT_IN_MAX - client->in_end < ILEA_CONTROL_FRAME_MAX) {
        memmove(client->in, client->in + client->in_start, client->in_end - client->in_start);
        client->in_end -= client->in_start;
        client->in_start = 0;
    }
    if (client->in_end == ILEA_CLIENT_IN_MAX) return true; /* it waits for its turn */
    ssize_t got =
        recv(client->fd, client->in + client->in_end, ILEA_CLIENT_IN_MAX - client->in_end, 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    client->in_end += (size_t)got;
    struct ilea_control_frame frame;
    size_t size;
    const struct ilea_span input = { client->in + client->in_start, client->in_end - client->in_start };
    return got > 0 && ilea_control_decode(input, &frame, &size) != ILEA_ERROR_MALFORMED;
}

bool
ilea_control_client_request(struct ilea_control_client *client, struct ilea_control_frame *frame,
                            size_t *size)
{
    if (client->fd < 0) return false;
    const struct ilea_span input = { client->in + client->in_start, client->in_end - client->in_start };
    if (ilea_control_decode(input, frame, size) != ILEA_ERROR_NONE) return false;
    if (client->is_answering) return true;
    if (ILEA_CLIENT_OUT_MAX - client->out_size < ILEA_CONTROL_FRAME_MAX) return false;
    ilea_msgpack_writer_init(&client->answer, client->out + client->out_size + ILEA_CONTROL_HEADER,
                             ILEA_CONTROL_FRAME_MAX - ILEA_CONTROL_HEADER);
    return true;
}

void
ilea_control_client_finish(struct ilea_control_client *client, enum ilea_control_kind kind,
                           size_t request_size)
{
    ilea_control_put_header(client->out + client->out_size, kind, client->answer.size);
    client->out_size += ILEA_CONTROL_HEADER + client->answer.size;
    client->is_answering = false;
    client->in_start += request_size;
    if (client->in_start == client->in_end) client->in_start = client->in_end = 0;
}

void
ilea_control_client_durable(struct ilea_control_client *client)
{
    client->out_durable = client->out_size;
}

bool
ilea_control_client_write(struct ilea_control_client *client)
{
    while (client->out_sent < client->out_durable) {
        ssize_t sent = send(client->fd, client->out + client->out_sent,
                            client->out_durable - client->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return errno == EAGAIN;
        client->out_sent += (size_t)sent;
    }
    if (client->out_sent == client->out_size && !client->is_answering) {
        client->out_size = client->out_durable = client->out_sent = 0;
    }
    return true;
}
