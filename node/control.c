#include "node/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/home.h"
#include "replication/record/change.h"

enum { RESULT_FIELDS = 10, AGENCY_FIELDS = 6, DECISION_FIELDS = 11, REQUEST_FIELDS = 3, STATUS_FIELDS = 8,
       BEHIND_FIELDS = 3, WITHHELD_FIELDS = 3, LINK_FIELDS = 6, COMPACTED_FIELDS = 5 };

void
ilea_control_put_text(struct ilea_msgpack_writer *writer, const char *text)
{
    ilea_msgpack_put_str(writer, (struct ilea_span){ (const uint8_t *)text, strlen(text) });
}

void
ilea_control_get_text(struct ilea_msgpack_reader *reader, char *text, size_t size)
{
    struct ilea_span span = ilea_msgpack_get_str(reader, (uint32_t)size - 1);
    if (span.size > 0) memcpy(text, span.data, span.size);
    text[span.size] = '\0';
}

enum ilea_error
ilea_control_decode(struct ilea_span input, struct ilea_control_frame *frame, size_t *size)
{
    if (input.size < ILEA_CONTROL_HEADER) return ILEA_ERROR_NOT_FOUND;
    uint32_t length = ilea_key_u32(input.data);
    uint8_t kind = input.data[4];
    if (length < 1 || length > ILEA_CONTROL_FRAME_MAX - 4 || kind < ILEA_CONTROL_PUTS
        || kind > ILEA_CONTROL_LAST) {
        return ILEA_ERROR_MALFORMED;
    }
    if (input.size - 4 < length) return ILEA_ERROR_NOT_FOUND;
    frame->kind = (enum ilea_control_kind)kind;
    frame->body = (struct ilea_span){ input.data + ILEA_CONTROL_HEADER, length - 1 };
    *size = 4 + (size_t)length;
    return ILEA_ERROR_NONE;
}

void
ilea_control_put_header(uint8_t *frame, enum ilea_control_kind kind, size_t body_size)
{
    ilea_key_put_u32(frame, (uint32_t)(body_size + 1));
    frame[4] = (uint8_t)kind;
}

void
ilea_control_put_result(struct ilea_msgpack_writer *writer, enum ilea_error error,
                        const struct ilea_put_result *result)
{
    ilea_msgpack_put_array(writer, RESULT_FIELDS);
    ilea_msgpack_put_uint(writer, error);
    ilea_msgpack_put_uint(writer, result->outcome);
    ilea_msgpack_put_bin(writer, result->id.bytes, sizeof result->id.bytes);
    ilea_control_put_text(writer, result->ref);
    ilea_msgpack_put_uint(writer, result->is_shared ? 1 : 0);
    ilea_msgpack_put_uint(writer, result->scope);
    ilea_msgpack_put_bin(writer, result->audience.bytes,
                         result->scope == ILEA_SCOPE_AUDIENCE ? sizeof result->audience.bytes : 0);
    ilea_msgpack_put_uint(writer, result->label);
    ilea_msgpack_put_bin(writer, result->base, result->outcome == ILEA_PUT_REVIEW ? sizeof result->base : 0);
    ilea_control_put_text(writer, result->reason);
}

void
ilea_control_get_result(struct ilea_msgpack_reader *reader, enum ilea_error *error,
                        struct ilea_put_result *result)
{
    ilea_msgpack_expect_array(reader, RESULT_FIELDS);
    *error = (enum ilea_error)ilea_msgpack_get_uint32(reader, ILEA_ERROR_UNKNOWN);
    result->outcome = (enum ilea_put_outcome)ilea_msgpack_get_uint32(reader, ILEA_PUT_REVIEW);
    ilea_msgpack_get_bytes(reader, result->id.bytes, sizeof result->id.bytes);
    ilea_control_get_text(reader, result->ref, sizeof result->ref);
    result->is_shared = ilea_msgpack_get_uint32(reader, 1) == 1;
    result->scope = (enum ilea_scope)ilea_msgpack_get_uint32(reader, ILEA_SCOPE_AUDIENCE);
    struct ilea_span audience = ilea_msgpack_get_bin(reader, sizeof result->audience.bytes);
    memset(&result->audience, 0, sizeof result->audience);
    if (audience.size == sizeof result->audience.bytes) memcpy(result->audience.bytes, audience.data, audience.size);
    result->label = ilea_msgpack_get_uint32(reader, ILEA_LABEL_RED);
    struct ilea_span base = ilea_msgpack_get_bin(reader, sizeof result->base);
    memset(result->base, 0, sizeof result->base);
    if (base.size == sizeof result->base) memcpy(result->base, base.data, base.size);
    ilea_control_get_text(reader, result->reason, sizeof result->reason);
}

void
ilea_control_put_agency(struct ilea_msgpack_writer *writer, const struct ilea_control_agency *agency)
{
    ilea_msgpack_put_array(writer, AGENCY_FIELDS);
    ilea_msgpack_put_uint(writer, agency->error);
    ilea_control_put_text(writer, agency->reason);
    ilea_msgpack_put_bin(writer, agency->id.bytes, sizeof agency->id.bytes);
    ilea_control_put_text(writer, agency->code);
    ilea_control_put_text(writer, agency->state);
    ilea_control_put_text(writer, agency->words);
}

enum ilea_error
ilea_control_get_agency(struct ilea_span body, struct ilea_control_agency *agency)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, AGENCY_FIELDS);
    agency->error = (enum ilea_error)ilea_msgpack_get_uint32(&reader, ILEA_ERROR_UNKNOWN);
    ilea_control_get_text(&reader, agency->reason, sizeof agency->reason);
    ilea_msgpack_get_bytes(&reader, agency->id.bytes, sizeof agency->id.bytes);
    ilea_control_get_text(&reader, agency->code, sizeof agency->code);
    ilea_control_get_text(&reader, agency->state, sizeof agency->state);
    ilea_control_get_text(&reader, agency->words, sizeof agency->words);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_control_put_compacted(struct ilea_msgpack_writer *writer, const struct ilea_control_compacted *compacted)
{
    const struct ilea_compacted *sizes = &compacted->sizes;
    ilea_msgpack_put_array(writer, COMPACTED_FIELDS);
    ilea_msgpack_put_uint(writer, compacted->error);
    ilea_msgpack_put_uint(writer, sizes->log_before);
    ilea_msgpack_put_uint(writer, sizes->log_after);
    ilea_msgpack_put_uint(writer, sizes->view_before);
    ilea_msgpack_put_uint(writer, sizes->view_after);
}

enum ilea_error
ilea_control_get_compacted(struct ilea_span body, struct ilea_control_compacted *compacted)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, COMPACTED_FIELDS);
    compacted->error = (enum ilea_error)ilea_msgpack_get_uint32(&reader, ILEA_ERROR_UNKNOWN);
    compacted->sizes.log_before = ilea_msgpack_get_uint(&reader);
    compacted->sizes.log_after = ilea_msgpack_get_uint(&reader);
    compacted->sizes.view_before = ilea_msgpack_get_uint(&reader);
    compacted->sizes.view_after = ilea_msgpack_get_uint(&reader);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_control_put_decision(struct ilea_msgpack_writer *writer, const struct ilea_control_decision *decision)
{
    ilea_msgpack_put_array(writer, DECISION_FIELDS);
    ilea_msgpack_put_uint(writer, decision->error);
    ilea_control_put_text(writer, decision->reason);
    ilea_control_put_text(writer, decision->kind);
    ilea_msgpack_put_uint(writer, decision->outcome);
    ilea_msgpack_put_uint(writer, decision->proposal);
    ilea_msgpack_put_uint(writer, decision->have);
    ilea_msgpack_put_uint(writer, decision->needed);
    ilea_msgpack_put_bin(writer, decision->agency.bytes, decision->has_agency ? ILEA_ID_SIZE : 0);
    ilea_control_put_text(writer, decision->code);
    ilea_control_put_text(writer, decision->state);
    ilea_control_put_text(writer, decision->words);
}

enum ilea_error
ilea_control_get_decision(struct ilea_span body, struct ilea_control_decision *decision)
{
    struct ilea_msgpack_reader reader;
    *decision = (struct ilea_control_decision){ .error = ILEA_ERROR_NONE };
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, DECISION_FIELDS);
    decision->error = (enum ilea_error)ilea_msgpack_get_uint32(&reader, ILEA_ERROR_UNKNOWN);
    ilea_control_get_text(&reader, decision->reason, sizeof decision->reason);
    ilea_control_get_text(&reader, decision->kind, sizeof decision->kind);
    decision->outcome = (enum ilea_decision_outcome)ilea_msgpack_get_uint32(&reader, ILEA_DECISION_WAITS);
    decision->proposal = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    decision->have = ilea_msgpack_get_uint32(&reader, ILEA_ACT_SIGS_MAX);
    decision->needed = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    struct ilea_span agency = ilea_msgpack_get_bin(&reader, ILEA_ID_SIZE);
    decision->has_agency = agency.size == ILEA_ID_SIZE;
    if (decision->has_agency) memcpy(decision->agency.bytes, agency.data, ILEA_ID_SIZE);
    ilea_control_get_text(&reader, decision->code, sizeof decision->code);
    ilea_control_get_text(&reader, decision->state, sizeof decision->state);
    ilea_control_get_text(&reader, decision->words, sizeof decision->words);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_control_put_request(struct ilea_msgpack_writer *writer, const struct ilea_trust_request *request)
{
    ilea_msgpack_put_array(writer, REQUEST_FIELDS);
    ilea_msgpack_put_bin(writer, request->act.data, request->act.size);
    ilea_msgpack_put_array(writer, request->sig_count);
    for (uint32_t i = 0; i < request->sig_count; i++) {
        ilea_msgpack_put_array(writer, 2);
        ilea_msgpack_put_bin(writer, request->sigs[i].admin.bytes, sizeof request->sigs[i].admin.bytes);
        ilea_msgpack_put_bin(writer, request->sigs[i].sig.bytes, sizeof request->sigs[i].sig.bytes);
    }
    ilea_msgpack_put_bin(writer, request->payload.data, request->payload.size);
}

enum ilea_error
ilea_control_get_request(struct ilea_span body, struct ilea_trust_request *request)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, REQUEST_FIELDS);
    request->act = ilea_msgpack_get_bin(&reader, ILEA_ACT_SIZE_MAX);
    request->sig_count = ilea_msgpack_get_array(&reader, ILEA_ACT_SIGS_MAX);
    for (uint32_t i = 0; i < request->sig_count; i++) {
        ilea_msgpack_expect_array(&reader, 2);
        ilea_msgpack_get_bytes(&reader, request->sigs[i].admin.bytes, sizeof request->sigs[i].admin.bytes);
        ilea_msgpack_get_bytes(&reader, request->sigs[i].sig.bytes, sizeof request->sigs[i].sig.bytes);
    }
    request->payload = ilea_msgpack_get_bin(&reader, ILEA_PAYLOAD_SIZE_MAX);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_control_put_status(struct ilea_msgpack_writer *writer, const struct ilea_control_status *status)
{
    ilea_msgpack_put_array(writer, STATUS_FIELDS);
    ilea_msgpack_put_uint(writer, status->position);
    ilea_msgpack_put_uint(writer, status->view_position);
    ilea_msgpack_put_uint(writer, status->link_restarts);
    ilea_msgpack_put_uint(writer, status->damaged);
    ilea_msgpack_put_uint(writer, status->repaired);
    ilea_msgpack_put_array(writer, status->behind_count);
    for (uint32_t i = 0; i < status->behind_count; i++) {
        ilea_msgpack_put_array(writer, BEHIND_FIELDS);
        ilea_msgpack_put_bin(writer, status->behind[i].agency.bytes, ILEA_ID_SIZE);
        ilea_msgpack_put_uint(writer, status->behind[i].told);
        ilea_msgpack_put_uint(writer, status->behind[i].held);
    }
    ilea_msgpack_put_array(writer, status->withheld_count);
    for (uint32_t i = 0; i < status->withheld_count; i++) {
        ilea_msgpack_put_array(writer, WITHHELD_FIELDS);
        ilea_msgpack_put_bin(writer, status->withheld[i].agency.bytes, ILEA_ID_SIZE);
        ilea_msgpack_put_bin(writer, status->withheld[i].by.bytes, ILEA_ID_SIZE);
        ilea_msgpack_put_uint(writer, status->withheld[i].items ? 1 : 0);
    }
    ilea_msgpack_put_array(writer, status->link_count);
    for (uint32_t i = 0; i < status->link_count; i++) {
        ilea_msgpack_put_array(writer, LINK_FIELDS);
        ilea_msgpack_put_bin(writer, status->links[i].agency.bytes, ILEA_ID_SIZE);
        ilea_msgpack_put_uint(writer, status->links[i].up ? 1 : 0);
        ilea_msgpack_put_uint(writer, status->links[i].known ? 1 : 0);
        ilea_msgpack_put_uint(writer, status->links[i].lag_commits);
        ilea_msgpack_put_uint(writer, status->links[i].missing_commits);
        ilea_msgpack_put_uint(writer, status->links[i].waiting);
    }
}

enum ilea_error
ilea_control_get_status(struct ilea_span body, struct ilea_control_status *status)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, STATUS_FIELDS);
    status->position = ilea_msgpack_get_uint(&reader);
    status->view_position = ilea_msgpack_get_uint(&reader);
    status->link_restarts = ilea_msgpack_get_uint(&reader);
    status->damaged = ilea_msgpack_get_uint(&reader);
    status->repaired = ilea_msgpack_get_uint(&reader);
    status->behind_count = ilea_msgpack_get_array(&reader, ILEA_CONTROL_BEHIND_MAX);
    for (uint32_t i = 0; i < status->behind_count; i++) {
        ilea_msgpack_expect_array(&reader, BEHIND_FIELDS);
        ilea_msgpack_get_bytes(&reader, status->behind[i].agency.bytes, ILEA_ID_SIZE);
        status->behind[i].told = ilea_msgpack_get_uint(&reader);
        status->behind[i].held = ilea_msgpack_get_uint(&reader);
    }
    status->withheld_count = ilea_msgpack_get_array(&reader, ILEA_CONTROL_WITHHELD_MAX);
    for (uint32_t i = 0; i < status->withheld_count; i++) {
        ilea_msgpack_expect_array(&reader, WITHHELD_FIELDS);
        ilea_msgpack_get_bytes(&reader, status->withheld[i].agency.bytes, ILEA_ID_SIZE);
        ilea_msgpack_get_bytes(&reader, status->withheld[i].by.bytes, ILEA_ID_SIZE);
        status->withheld[i].items = ilea_msgpack_get_uint32(&reader, 1) == 1;
    }
    status->link_count = ilea_msgpack_get_array(&reader, 64);
    for (uint32_t i = 0; i < status->link_count; i++) {
        ilea_msgpack_expect_array(&reader, LINK_FIELDS);
        ilea_msgpack_get_bytes(&reader, status->links[i].agency.bytes, ILEA_ID_SIZE);
        status->links[i].up = ilea_msgpack_get_uint32(&reader, 1) == 1;
        status->links[i].known = ilea_msgpack_get_uint32(&reader, 1) == 1;
        status->links[i].lag_commits = ilea_msgpack_get_uint(&reader);
        status->links[i].missing_commits = ilea_msgpack_get_uint(&reader);
        status->links[i].waiting = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    }
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

/* sun_path holds 107 bytes and homes may lie deeper: go by a descriptor of the folder. */
static enum ilea_error
socket_address(const char *home, int *folder, struct sockaddr_un *address)
{
    *folder = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder < 0) return errno == EACCES ? ILEA_ERROR_PERMISSION : ILEA_ERROR_NOT_FOUND;
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    (void)snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/control.sock", *folder);
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_control_connect(const char *home, int *fd)
{
    struct sockaddr_un address;
    int folder;
    enum ilea_error error = socket_address(home, &folder, &address);
    if (error != ILEA_ERROR_NONE) return error;
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0) error = ILEA_ERROR_IO;
    if (error == ILEA_ERROR_NONE && connect(*fd, (struct sockaddr *)&address, sizeof address) != 0) {
        error = errno == EACCES ? ILEA_ERROR_PERMISSION : ILEA_ERROR_NOT_FOUND;
        close(*fd);
    }
    close(folder);
    return error;
}

enum ilea_error
ilea_control_ask(const char *home, enum ilea_control_kind kind, uint8_t *buffer, size_t body_size,
                 struct ilea_control_frame *frame)
{
    int fd;
    enum ilea_error error = ilea_control_connect(home, &fd);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_control_put_header(buffer, kind, body_size);
    error = ilea_control_send(fd, buffer, ILEA_CONTROL_HEADER + body_size);
    if (error == ILEA_ERROR_NONE) error = ilea_control_receive(fd, buffer, frame);
    close(fd);
    return error;
}

enum ilea_error
ilea_control_listen(const char *home, int *fd)
{
    struct sockaddr_un address;
    int folder;
    enum ilea_error error = socket_address(home, &folder, &address);
    if (error != ILEA_ERROR_NONE) return error;
    (void)unlinkat(folder, "control.sock", 0);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&address, sizeof address) != 0
        || listen(*fd, 64) != 0) {
        error = ILEA_ERROR_IO;
        if (*fd >= 0) close(*fd);
    }
    close(folder);
    return error;
}

enum ilea_error
ilea_control_send(int fd, const uint8_t *frame, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, frame, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return ILEA_ERROR_IO;
        frame += sent;
        size -= (size_t)sent;
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
receive_bytes(int fd, uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t received = recv(fd, bytes, size, 0);
        if (received < 0 && errno == EINTR) continue;
        if (received <= 0) return ILEA_ERROR_IO;
        bytes += received;
        size -= (size_t)received;
    }
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_control_receive(int fd, uint8_t *buffer, struct ilea_control_frame *frame)
{
    enum ilea_error error = receive_bytes(fd, buffer, 4);
    if (error != ILEA_ERROR_NONE) return error;
    uint32_t length = ilea_key_u32(buffer);
    if (length < 1 || length > ILEA_CONTROL_FRAME_MAX - 4) return ILEA_ERROR_MALFORMED;
    error = receive_bytes(fd, buffer + 4, length);
    if (error != ILEA_ERROR_NONE) return error;
    size_t size;
    return ilea_control_decode((struct ilea_span){ buffer, 4 + (size_t)length }, frame, &size);
}
