/*
 * msgpack_reader.h - read untrusted MessagePack without allocating.
 *
 * A reader is a cursor over borrowed bytes that fails once and stays failed:
 * after the first bad get, every get returns zero and moves nothing. Decode
 * straight through and ask ilea_msgpack_reader_done() at the end, but check
 * `failed` before a value decides a loop count, an index or a copy.
 *
 * Accepted is one encoding of each value: shortest forms; unsigned integers,
 * str, bin and array only. So a value has one encoding and a signature covers
 * one byte string. (msgpack-c's own unpacker allocates what a sender announces
 * and takes any form; it is never used here.)
 */
#ifndef ILEA_RECORD_MSGPACK_READER_H
#define ILEA_RECORD_MSGPACK_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "include/ilea/span.h"

struct ilea_msgpack_reader {
    const uint8_t *next;
    size_t left;
    bool failed;
};

void ilea_msgpack_reader_init(struct ilea_msgpack_reader *reader, struct ilea_span input);

/* True if nothing failed and every byte was used. */
bool ilea_msgpack_reader_done(const struct ilea_msgpack_reader *reader);

uint64_t ilea_msgpack_get_uint(struct ilea_msgpack_reader *reader);

/* As get_uint, failing above value_max. */
uint32_t ilea_msgpack_get_uint32(struct ilea_msgpack_reader *reader, uint32_t value_max);

/* Array header. Fails if the count exceeds count_max, or the bytes left (an element takes >= 1). */
uint32_t ilea_msgpack_get_array(struct ilea_msgpack_reader *reader, uint32_t count_max);

/* Array header that must say exactly `count`. */
void ilea_msgpack_expect_array(struct ilea_msgpack_reader *reader, uint32_t count);

/* Binary of exactly `size` bytes, copied; on failure `bytes` is zeroed. */
void ilea_msgpack_get_bytes(struct ilea_msgpack_reader *reader, void *bytes, uint32_t size);

/* Binary of 0 to size_max bytes, borrowed from the input. */
struct ilea_span ilea_msgpack_get_bin(struct ilea_msgpack_reader *reader, uint32_t size_max);

/* Text of 0 to size_max bytes, borrowed: valid UTF-8 without control characters other than
 * line feed and tab. */
struct ilea_span ilea_msgpack_get_str(struct ilea_msgpack_reader *reader, uint32_t size_max);

/*
 * One value of any of the four kinds, arrays nested at most depth_max deep (0:
 * no array), at most size_max bytes: its encoding, borrowed.
 */
struct ilea_span ilea_msgpack_get_value(struct ilea_msgpack_reader *reader, uint32_t size_max,
                                        uint32_t depth_max);

/* True if `text` is valid UTF-8 (RFC 3629) free of control characters but line feed and tab. */
bool ilea_text_is_valid(struct ilea_span text);

#endif
