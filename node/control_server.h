/*
 * control_server.h - the daemon's end of the control socket: clients, their requests in order, their
 * answers after what they report is durable.
 */
#ifndef ILEA_NODE_CONTROL_SERVER_H
#define ILEA_NODE_CONTROL_SERVER_H

#include <poll.h>

#include "node/control.h"

enum {
    ILEA_CLIENTS_MAX = 32,
    ILEA_CLIENT_IN_MAX = 4 * 1024 * 1024, /* requests that share one group commit */
    ILEA_CLIENT_OUT_MAX = 2 * 1024 * 1024
};

struct ilea_control_client {
    int fd;                      /* -1: no client */
    uint64_t serial;             /* another one for each client that there ever was */
    uint8_t *in;                 /* ILEA_CLIENT_IN_MAX */
    size_t in_start, in_end;     /* received and not done yet */
    uint8_t *out;                /* ILEA_CLIENT_OUT_MAX */
    size_t out_size;             /* answers built */
    size_t out_durable;          /* of them, what they say is durable: may be sent */
    size_t out_sent;
    /* A PUTS request under way. */
    bool is_answering;
    uint32_t put_index;          /* how many of its puts have been done */
    struct ilea_msgpack_writer answer;
    bool waits_for_view;         /* its next put has to wait */
    bool wants_compacting;       /* its request waits until the node is closed; then it is answered with: */
    bool is_compacted;
    struct ilea_control_compacted compacted;
};

struct ilea_control_server {
    int fd;
    uint64_t accepted;
    struct ilea_control_client clients[ILEA_CLIENTS_MAX];
};

void ilea_control_server_init(struct ilea_control_server *server);
/* Does nothing if it is open. ILEA_ERROR_IO: cannot listen. */
ILEA_MUST_USE enum ilea_error ilea_control_server_open(struct ilea_control_server *server,
                                                       const char *home);
void ilea_control_server_close(struct ilea_control_server *server, const char *home);

/* Take a new client, if it is one of us. */
void ilea_control_server_accept(struct ilea_control_server *server);
void ilea_control_client_drop(struct ilea_control_client *client);
/* Read what there is. False: gone or misbehaving, drop it. */
bool ilea_control_client_read(struct ilea_control_client *client);
/* The request at the front, whole, if there is room for its answer; client->answer is ready to take it
 * unless the request is under way already. */
bool ilea_control_client_request(struct ilea_control_client *client,
                                 struct ilea_control_frame *frame, size_t *size);
/* The request is done, with what client->answer wrote. */
void ilea_control_client_finish(struct ilea_control_client *client, enum ilea_control_kind kind,
                                size_t request_size);
/* What was answered so far is durable. */
void ilea_control_client_durable(struct ilea_control_client *client);
/* Send what may be sent. False: drop it. */
bool ilea_control_client_write(struct ilea_control_client *client);

#endif
