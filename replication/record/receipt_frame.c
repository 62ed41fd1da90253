#include "replication/record/receipt_frame.h"

#include <string.h>

#include "replication/record/receipt.h"

enum { ASK_FIELDS = 3, GIVE_FIELDS = 5 };

enum ilea_error
ilea_receipt_ask_decode(struct ilea_span input, struct ilea_receipt_ask *ask)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    ilea_msgpack_expect_array(&reader, ASK_FIELDS);
    if (ilea_msgpack_get_uint(&reader) != ILEA_RECEIPT_ASK) reader.failed = true;
    struct ilea_span database = ilea_msgpack_get_bin(&reader, sizeof ask->database);
    ask->stamp = ilea_msgpack_get_uint(&reader);
    ask->has_database = database.size > 0;
    memset(ask->database, 0, sizeof ask->database);
    if (!ilea_msgpack_reader_done(&reader)) return ILEA_ERROR_MALFORMED;
    if (ask->has_database && database.size != sizeof ask->database) return ILEA_ERROR_MALFORMED;
    if (ask->has_database) memcpy(ask->database, database.data, sizeof ask->database);
    return ILEA_ERROR_NONE;
}

struct ilea_span
ilea_receipt_given_next(struct ilea_msgpack_reader *receipts)
{
    return ilea_msgpack_get_bin(receipts, ILEA_RECEIPT_SIZE_MAX);
}

enum ilea_error
ilea_receipt_give_decode(struct ilea_span input, struct ilea_receipt_give *give)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    ilea_msgpack_expect_array(&reader, GIVE_FIELDS);
    if (ilea_msgpack_get_uint(&reader) != ILEA_RECEIPT_GIVE) reader.failed = true;
    ilea_msgpack_get_bytes(&reader, give->database, sizeof give->database);
    give->stamp = ilea_msgpack_get_uint(&reader);
    give->more = ilea_msgpack_get_uint32(&reader, 1) == 1;
    give->count = ilea_msgpack_get_array(&reader, ILEA_RECEIPTS_GIVEN_MAX);
    give->receipts = reader;
    for (uint32_t i = 0; i < give->count && !reader.failed; i++) (void)ilea_receipt_given_next(&reader);
    return ilea_msgpack_reader_done(&reader) && give->stamp > 0 ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_receipt_put_ask(struct ilea_msgpack_writer *writer, const struct ilea_receipt_ask *ask)
{
    ilea_msgpack_put_array(writer, ASK_FIELDS);
    ilea_msgpack_put_uint(writer, ILEA_RECEIPT_ASK);
    ilea_msgpack_put_bin(writer, ask->database, ask->has_database ? sizeof ask->database : 0);
    ilea_msgpack_put_uint(writer, ask->stamp);
}

void
ilea_receipt_put_give(struct ilea_msgpack_writer *writer, const struct ilea_receipt_give *give)
{
    ilea_msgpack_put_array(writer, GIVE_FIELDS);
    ilea_msgpack_put_uint(writer, ILEA_RECEIPT_GIVE);
    ilea_msgpack_put_bin(writer, give->database, sizeof give->database);
    ilea_msgpack_put_uint(writer, give->stamp);
    ilea_msgpack_put_uint(writer, give->more ? 1 : 0);
    ilea_msgpack_put_array(writer, give->count);
}
