#include "node/control_erase.h"

void
ilea_control_put_erase(struct ilea_msgpack_writer *writer, const struct ilea_control_erase *erase)
{
    ilea_msgpack_put_array(writer, 3);
    ilea_msgpack_put_str(writer, erase->reason);
    ilea_msgpack_put_str(writer, erase->basis);
    ilea_msgpack_put_array(writer, erase->count);
    for (uint32_t i = 0; i < erase->count; i++) {
        ilea_msgpack_put_array(writer, 2);
        ilea_msgpack_put_uint(writer, erase->records[i].type);
        ilea_msgpack_put_bin(writer, erase->records[i].id.bytes, sizeof erase->records[i].id.bytes);
    }
}

enum ilea_error
ilea_control_get_erase(struct ilea_span body, struct ilea_control_erase *erase)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, 3);
    erase->reason = ilea_msgpack_get_str(&reader, ILEA_ERASE_TEXT_MAX);
    erase->basis = ilea_msgpack_get_str(&reader, ILEA_ERASE_TEXT_MAX);
    erase->count = ilea_msgpack_get_array(&reader, ILEA_ERASE_RECORDS_MAX);
    for (uint32_t i = 0; i < erase->count; i++) {
        ilea_msgpack_expect_array(&reader, 2);
        erase->records[i].type = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
        ilea_msgpack_get_bytes(&reader, erase->records[i].id.bytes, sizeof erase->records[i].id.bytes);
    }
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

struct ilea_erase_request
ilea_control_erase_request(const struct ilea_control_erase *erase, uint32_t day_max)
{
    return (struct ilea_erase_request){ .records = erase->records, .count = erase->count, .reason = erase->reason,
                                        .basis = erase->basis, .day_max = day_max };
}

void
ilea_control_put_erased(struct ilea_msgpack_writer *writer, const struct ilea_control_erased *erased)
{
    ilea_msgpack_put_array(writer, 5);
    ilea_msgpack_put_uint(writer, (uint64_t)erased->error);
    ilea_control_put_text(writer, erased->result.reason);
    ilea_msgpack_put_uint(writer, erased->result.records);
    ilea_msgpack_put_uint(writer, erased->result.dots);
    ilea_msgpack_put_uint(writer, erased->result.shared_dots);
}

enum ilea_error
ilea_control_get_erased(struct ilea_span body, struct ilea_control_erased *erased)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, 5);
    erased->error = (enum ilea_error)ilea_msgpack_get_uint32(&reader, INT32_MAX);
    ilea_control_get_text(&reader, erased->result.reason, sizeof erased->result.reason);
    erased->result.records = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    erased->result.dots = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    erased->result.shared_dots = ilea_msgpack_get_uint32(&reader, UINT32_MAX);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}
