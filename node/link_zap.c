#include "node/link_zap.h"

#include <string.h>
#include <zmq.h>

/* Frames of a request for CURVE, in this order. */
enum frame {
    FRAME_VERSION,
    FRAME_ID,
    FRAME_DOMAIN,
    FRAME_ADDRESS,
    FRAME_ROUTING_ID,
    FRAME_MECHANISM,
    FRAME_KEY,
    FRAME_COUNT
};

enum ilea_error
ilea_link_zap_open(struct ilea_link_zap *zap, void *context)
{
    return ilea_link_socket_zap(context, &zap->socket);
}

void
ilea_link_zap_close(struct ilea_link_zap *zap)
{
    ilea_link_socket_close(&zap->socket);
}

bool
ilea_link_zap_is_open(const struct ilea_link_zap *zap)
{
    return zap->socket.handle != NULL;
}

static bool
is_text(const void *data, size_t size, const char *text)
{
    return size == strlen(text) && memcmp(data, text, size) == 0;
}

/* Only characters of addresses are kept: the text ends in logs. */
static void
copy_address(struct ilea_link_zap_request *request, const char *data, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < size && length < ILEA_LINK_ZAP_ADDRESS_MAX; i++) {
        if (data[i] != '\0' && strchr("0123456789abcdefABCDEF.:%", data[i]) != NULL) {
            request->address[length++] = data[i];
        }
    }
    request->address[length] = '\0';
}

/* False: the frame is not what it must be. */
static bool
take_frame(struct ilea_link_zap_request *request, size_t index, const void *data, size_t size)
{
    switch (index) {
    case FRAME_VERSION:
        return is_text(data, size, "1.0");
    case FRAME_ID:
        if (size > sizeof request->id) return false;
        request->id_size = size;
        memcpy(request->id, data, size);
        return true;
    case FRAME_DOMAIN:
        return size > 0;
    case FRAME_ADDRESS:
        copy_address(request, data, size);
        return true;
    case FRAME_ROUTING_ID: /* ours, not the peer's: says nothing */
        return true;
    case FRAME_MECHANISM:
        return is_text(data, size, "CURVE");
    case FRAME_KEY:
        if (size != sizeof request->key) return false;
        memcpy(request->key, data, size);
        return true;
    default:
        return false;
    }
}

bool
ilea_link_zap_receive(struct ilea_link_zap *zap, struct ilea_link_zap_request *request)
{
    *request = (struct ilea_link_zap_request){ .is_valid = true };
    size_t count = 0;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    bool more = true;
    while (more && zmq_msg_recv(&frame, zap->socket.handle, ZMQ_DONTWAIT) >= 0) {
        more = zmq_msg_more(&frame) != 0;
        if (!take_frame(request, count, zmq_msg_data(&frame), zmq_msg_size(&frame))) {
            request->is_valid = false;
        }
        count++;
    }
    zmq_msg_close(&frame);
    if (count != FRAME_COUNT) request->is_valid = false;
    return count > 0;
}

static void
send_frame(struct ilea_link_zap *zap, const void *data, size_t size, int flags)
{
    /* It fails only if the asker has gone; then nobody is let in. */
    (void)zmq_send(zap->socket.handle, data, size, ZMQ_DONTWAIT | flags);
}

void
ilea_link_zap_answer(struct ilea_link_zap *zap, const struct ilea_link_zap_request *request,
                     bool allowed)
{
    const char *code = "400";
    const char *text = "Bad request";
    char user_id[ILEA_LINK_KEY_HEX_SIZE] = "";
    if (request->is_valid && allowed) {
        code = "200";
        text = "OK";
        ilea_link_zap_user_id(request->key, user_id);
    } else if (request->is_valid) {
        code = "300";
        text = "Not known";
    }
    send_frame(zap, "1.0", 3, ZMQ_SNDMORE);
    send_frame(zap, request->id, request->id_size, ZMQ_SNDMORE);
    send_frame(zap, code, 3, ZMQ_SNDMORE);
    send_frame(zap, text, strlen(text), ZMQ_SNDMORE);
    send_frame(zap, user_id, strlen(user_id), ZMQ_SNDMORE);
    send_frame(zap, "", 0, 0);
}

void
ilea_link_zap_user_id(const uint8_t key[ILEA_LINK_KEY_SIZE], char user_id[ILEA_LINK_KEY_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < ILEA_LINK_KEY_SIZE; i++) {
        user_id[2 * i] = digits[key[i] >> 4];
        user_id[2 * i + 1] = digits[key[i] & 0x0f];
    }
    user_id[ILEA_LINK_KEY_HEX_SIZE - 1] = '\0';
}

/* -1: not a lower-case hex digit */
static int
digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
ilea_link_zap_key(const char *user_id, uint8_t key[ILEA_LINK_KEY_SIZE])
{
    if (user_id == NULL || strlen(user_id) != ILEA_LINK_KEY_HEX_SIZE - 1) return false;
    for (size_t i = 0; i < ILEA_LINK_KEY_SIZE; i++) {
        int high = digit(user_id[2 * i]);
        int low = digit(user_id[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
