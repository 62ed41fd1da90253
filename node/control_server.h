/*
 * control_server.h - the daemon's end of the control socket: clients, their requests in order, their
 * answers after what they report is durable.
 */
#ifndef ILEA_NODE_CONTROL_SERVER_H
#define ILEA_NODE_CONTROL_SERVER_H

#include <poll.h>

#include "node/control.h"

enum { ILEA_CLIENTS_MAX = 32 };

struct ilea_control_client {
    int fd;                      /* -1: no client */
    uint8_t *in;                 /* ILEA_CONTROL_FRAME_MAX */
    size_t in_size;
    uint8_t *out;                /* the answer being built or sent, ILEA_CONTROL_FRAME_MAX */
    size_t out_size, out_sent;
    bool answer_ready;           /* out may be sent: what it says is durable */
    /* A PUTS request under way. */
    uint32_t put_index;          /* how many of its puts have been done */
    struct ilea_msgpack_writer answer;
    bool waits_for_view;         /* its next put has to wait */
};

struct ilea_control_server {
    int fd;
    struct ilea_control_client clients[ILEA_CLIENTS_MAX];
};

/* ILEA_ERROR_IO: cannot listen. */
ILEA_MUST_USE enum ilea_error ilea_control_server_open(struct ilea_control_server *server,
                                                       const char *home);
void ilea_control_server_close(struct ilea_control_server *server, const char *home);

/* Take a new client, if it is one of us. */
void ilea_control_server_accept(struct ilea_control_server *server);
void ilea_control_client_drop(struct ilea_control_client *client);
/* Read what there is. False: gone or misbehaving, drop it. */
bool ilea_control_client_read(struct ilea_control_client *client);
/* The request at the front, whole. */
bool ilea_control_client_request(const struct ilea_control_client *client,
                                 struct ilea_control_frame *frame, size_t *size);
/* The request is done: its answer is `kind` with what `answer` wrote behind the header; it is sent when
 * answer_ready is set. */
void ilea_control_client_finish(struct ilea_control_client *client, enum ilea_control_kind kind,
                                size_t request_size);
/* Send what may be sent. False: drop it. */
bool ilea_control_client_write(struct ilea_control_client *client);

#endif
