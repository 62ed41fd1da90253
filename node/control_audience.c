#include "node/control_audience.h"

#include <string.h>

enum { REQUEST_FIELDS = 7, ANSWER_FIELDS = 5 };

void
ilea_control_put_audience(struct ilea_msgpack_writer *writer, const struct ilea_audience_request *request)
{
    ilea_msgpack_put_array(writer, REQUEST_FIELDS);
    ilea_msgpack_put_uint(writer, request->verb);
    ilea_msgpack_put_bin(writer, request->audience.bytes, sizeof request->audience.bytes);
    ilea_msgpack_put_str(writer, request->name);
    ilea_msgpack_put_uint(writer, request->tlp);
    ilea_msgpack_put_uint(writer, request->history_ms);
    ilea_msgpack_put_str(writer, request->reason);
    ilea_msgpack_put_array(writer, request->member_count);
    for (uint32_t i = 0; i < request->member_count; i++) {
        const struct ilea_audience_member *member = &request->members[i];
        ilea_msgpack_put_array(writer, 2);
        ilea_msgpack_put_bin(writer, member->agency.bytes, sizeof member->agency.bytes);
        ilea_msgpack_put_uint(writer, member->level);
    }
}

enum ilea_error
ilea_control_get_audience(struct ilea_span body, struct ilea_audience_request *request)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, REQUEST_FIELDS);
    uint32_t verb = ilea_msgpack_get_uint32(&reader, ILEA_AUDIENCE_VERB_LAST);
    ilea_msgpack_get_bytes(&reader, request->audience.bytes, sizeof request->audience.bytes);
    request->name = ilea_msgpack_get_str(&reader, 1024);
    request->tlp = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    request->history_ms = ilea_msgpack_get_uint(&reader);
    request->reason = ilea_msgpack_get_str(&reader, 1024);
    request->member_count = ilea_msgpack_get_array(&reader, ILEA_MEMBER_ACTS_MAX);
    for (uint32_t i = 0; i < request->member_count && !reader.failed; i++) {
        struct ilea_audience_member *member = &request->members[i];
        ilea_msgpack_expect_array(&reader, 2);
        ilea_msgpack_get_bytes(&reader, member->agency.bytes, sizeof member->agency.bytes);
        member->level = (enum ilea_access)ilea_msgpack_get_uint32(&reader, ILEA_ACCESS_ADMIN);
    }
    if (!ilea_msgpack_reader_done(&reader) || verb == 0) return ILEA_ERROR_MALFORMED;
    request->verb = (enum ilea_audience_verb)verb;
    return ILEA_ERROR_NONE;
}

void
ilea_control_put_audience_answer(struct ilea_msgpack_writer *writer, const struct ilea_control_audience *answer)
{
    ilea_msgpack_put_array(writer, ANSWER_FIELDS);
    ilea_msgpack_put_uint(writer, answer->error);
    ilea_control_put_text(writer, answer->result.reason);
    ilea_msgpack_put_bin(writer, answer->result.audience.bytes, sizeof answer->result.audience.bytes);
    ilea_msgpack_put_uint(writer, answer->result.is_new ? 1 : 0);
    ilea_msgpack_put_uint(writer, answer->result.epoch);
}

enum ilea_error
ilea_control_get_audience_answer(struct ilea_span body, struct ilea_control_audience *answer)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, ANSWER_FIELDS);
    answer->error = (enum ilea_error)ilea_msgpack_get_uint32(&reader, ILEA_ERROR_UNKNOWN);
    ilea_control_get_text(&reader, answer->result.reason, sizeof answer->result.reason);
    ilea_msgpack_get_bytes(&reader, answer->result.audience.bytes, sizeof answer->result.audience.bytes);
    answer->result.is_new = ilea_msgpack_get_uint32(&reader, 1) == 1;
    answer->result.epoch = ilea_msgpack_get_uint(&reader);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}
