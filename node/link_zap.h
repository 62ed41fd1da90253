/*
 * link_zap.h - who may come in: the handler of ZeroMQ's authentication protocol
 * (ZAP, RFC 27). libzmq asks it once for each handshake, after the client has
 * proven that it holds the secret half of its CURVE key.
 *
 * It runs in the loop that owns the other sockets, not in a thread of its own.
 * The handshakes are done by libzmq's I/O threads, which wait for no answer: a
 * slow reply delays newcomers and nobody else. The loop never blocks, so a
 * reply is never slow; the table of peers has one owner and needs no lock; and
 * if the loop did hang, handshakes would time out: it fails closed.
 *
 * The answer is yes for CURVE with a key that the caller knows, and then the
 * key, in hex, is the "User-Id" of every message of that connection. All else
 * is no. "Not known" is 300, on which a client tries again (its admins may be
 * quicker than ours); a request of any other form is 400.
 */
#ifndef ILEA_NODE_LINK_ZAP_H
#define ILEA_NODE_LINK_ZAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/ilea/error.h"
#include "node/link_socket.h"

enum {
    ILEA_LINK_ZAP_ID_MAX = 255,
    ILEA_LINK_ZAP_ADDRESS_MAX = 63,
    ILEA_LINK_KEY_HEX_SIZE = 2 * ILEA_LINK_KEY_SIZE + 1 /* with its NUL */
};

struct ilea_link_zap {
    struct ilea_link_socket socket;
};

struct ilea_link_zap_request {
    bool is_valid; /* CURVE, and every frame as it should be: the key is set */
    size_t id_size;
    uint8_t id[ILEA_LINK_ZAP_ID_MAX];
    uint8_t key[ILEA_LINK_KEY_SIZE];
    char address[ILEA_LINK_ZAP_ADDRESS_MAX + 1]; /* where it came from; printable, may be empty */
};

ILEA_MUST_USE enum ilea_error ilea_link_zap_open(struct ilea_link_zap *zap, void *context);
void ilea_link_zap_close(struct ilea_link_zap *zap);
bool ilea_link_zap_is_open(const struct ilea_link_zap *zap);

/* Take the next request; false: there is none. Each must be answered before the next is taken. */
bool ilea_link_zap_receive(struct ilea_link_zap *zap, struct ilea_link_zap_request *request);

/* Answer it. `allowed` counts only if the request is valid. */
void ilea_link_zap_answer(struct ilea_link_zap *zap, const struct ilea_link_zap_request *request,
                          bool allowed);

/* The User-Id of a key, and the key of a User-Id; false: it is not one of ours. */
void ilea_link_zap_user_id(const uint8_t key[ILEA_LINK_KEY_SIZE],
                           char user_id[ILEA_LINK_KEY_HEX_SIZE]);
bool ilea_link_zap_key(const char *user_id, uint8_t key[ILEA_LINK_KEY_SIZE]);

#endif
