/* fuzz_receipt_frame.c - the decoders of ASK and GIVE: what decodes is put again and gives the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "replication/record/receipt_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_ask(struct ilea_span input)
{
    uint8_t again[ILEA_RECEIPT_HEAD_MAX];
    struct ilea_receipt_ask ask;
    struct ilea_msgpack_writer writer;
    if (ilea_receipt_ask_decode(input, &ask) != ILEA_ERROR_NONE) return;
    ilea_msgpack_writer_init(&writer, again, sizeof again);
    ilea_receipt_put_ask(&writer, &ask);
    ilea_assert(!writer.failed && writer.size == input.size && memcmp(again, input.data, input.size) == 0);
}

static void
check_give(struct ilea_span input)
{
    struct ilea_receipt_give give;
    struct ilea_msgpack_writer writer;
    if (ilea_receipt_give_decode(input, &give) != ILEA_ERROR_NONE) return;
    uint8_t *again = malloc(input.size);
    ilea_assert(again != NULL && give.count <= ILEA_RECEIPTS_GIVEN_MAX);
    ilea_msgpack_writer_init(&writer, again, input.size);
    ilea_receipt_put_give(&writer, &give);
    ilea_assert(writer.size <= ILEA_RECEIPT_HEAD_MAX);
    for (uint32_t i = 0; i < give.count; i++) {
        struct ilea_span receipt = ilea_receipt_given_next(&give.receipts);
        ilea_msgpack_put_bin(&writer, receipt.data, receipt.size);
    }
    ilea_assert(!writer.failed && writer.size == input.size && memcmp(again, input.data, input.size) == 0);
    free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t ask[] = { 0x93, 0x01, 0xc4, 0x10 }, give[] = { 0x95, 0x02, 0xc4, 0x10 };
    struct ilea_span input = { data, size };
    check_ask(input);
    check_give(input);
    if (size < sizeof ask) return 0;
    uint8_t *copy = malloc(size); /* the rest is behind a good beginning, too */
    ilea_assert(copy != NULL);
    memcpy(copy, data, size);
    memcpy(copy, ask, sizeof ask);
    check_ask((struct ilea_span){ copy, size });
    memcpy(copy, give, sizeof give);
    check_give((struct ilea_span){ copy, size });
    free(copy);
    return 0;
}
