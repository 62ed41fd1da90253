#include "replication/record/receipt.h"

#include <string.h>

#include "crypto/assert.h"

enum {
    VERSION = 1, FIELDS = 6, BODY_FIELDS = 4, FEED_FIELDS = 3, ARCHIVE_FIELDS = 3, UNREAD_FIELDS = 4, OWN_FIELDS = 3,
    SIG_SIZE = 2 + ILEA_SIGNATURE_SIZE /* as encoded, at the end */
};

enum ilea_error
ilea_receipt_decode(struct ilea_span input, struct ilea_receipt *receipt)
{
    if (input.size > ILEA_RECEIPT_SIZE_MAX) return ILEA_ERROR_LIMIT;
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    uint32_t fields = ilea_msgpack_get_array(&reader, 32);
    uint64_t version = ilea_msgpack_get_uint(&reader);
    if (!reader.failed && version != VERSION) return ILEA_ERROR_UNKNOWN;
    if (fields != FIELDS) return ILEA_ERROR_MALFORMED;
    ilea_msgpack_get_bytes(&reader, receipt->holder.bytes, sizeof receipt->holder.bytes);
    ilea_msgpack_get_bytes(&reader, receipt->author.bytes, sizeof receipt->author.bytes);
    receipt->counter = ilea_msgpack_get_uint(&reader);
    receipt->sealed = ilea_msgpack_get_bin(&reader, ILEA_RECEIPT_SIZE_MAX);
    ilea_msgpack_get_bytes(&reader, receipt->sig.bytes, sizeof receipt->sig.bytes);
    if (!ilea_msgpack_reader_done(&reader)
        || memcmp(receipt->holder.bytes, receipt->author.bytes, sizeof receipt->holder.bytes) == 0) {
        return ILEA_ERROR_MALFORMED;
    }
    ilea_hash_once(ILEA_DOMAIN_RECEIPT, input.data, input.size - SIG_SIZE, receipt->hash);
    return ILEA_ERROR_NONE;
}

bool
ilea_receipt_verify(const struct ilea_receipt *receipt, const struct ilea_network_id *network,
                    const struct ilea_sign_public *node)
{
    return ilea_sign_verify(node, ILEA_DOMAIN_RECEIPT_SIG, network,
                            (struct ilea_span){ receipt->hash, sizeof receipt->hash }, &receipt->sig);
}

/* What stands before the body in what is sealed. */
static size_t
put_prefix(const struct ilea_receipt *receipt, const struct ilea_network_id *network, uint8_t *bytes)
{
    struct ilea_span domain = ilea_domain_text(ILEA_DOMAIN_RECEIPT_SEAL);
    uint8_t *at = bytes;
    *at++ = (uint8_t)domain.size;
    memcpy(at, domain.data, domain.size);
    at += domain.size;
    memcpy(at, network->bytes, sizeof network->bytes);
    at += sizeof network->bytes;
    memcpy(at, receipt->holder.bytes, sizeof receipt->holder.bytes);
    at += sizeof receipt->holder.bytes;
    memcpy(at, receipt->author.bytes, sizeof receipt->author.bytes);
    at += sizeof receipt->author.bytes;
    for (int shift = 56; shift >= 0; shift -= 8) *at++ = (uint8_t)(receipt->counter >> shift);
    return (size_t)(at - bytes);
}

enum { PREFIX_MAX = 64 + 3 * ILEA_ID_SIZE + 8 };

enum ilea_error
ilea_receipt_open(const struct ilea_receipt *receipt, const struct ilea_network_id *network,
                  const struct ilea_reading_secret *reading, uint8_t *bytes, struct ilea_span *body)
{
    uint8_t prefix[PREFIX_MAX];
    if (receipt->sealed.size < ILEA_SEAL_OVERHEAD) return ILEA_ERROR_NOT_FOUND;
    if (!ilea_unseal(reading, receipt->sealed, bytes)) return ILEA_ERROR_NOT_FOUND;
    size_t size = receipt->sealed.size - ILEA_SEAL_OVERHEAD, prefix_size = put_prefix(receipt, network, prefix);
    if (size < prefix_size || memcmp(bytes, prefix, prefix_size) != 0) return ILEA_ERROR_BAD_HASH;
    *body = (struct ilea_span){ bytes + prefix_size, size - prefix_size };
    return ILEA_ERROR_NONE;
}

void
ilea_receipt_feed_next(struct ilea_msgpack_reader *feeds, struct ilea_receipt_feed *feed)
{
    ilea_msgpack_expect_array(feeds, FEED_FIELDS);
    ilea_msgpack_get_bytes(feeds, feed->feed.bytes, sizeof feed->feed.bytes);
    feed->held = ilea_msgpack_get_uint(feeds);
    feed->seen = ilea_msgpack_get_uint(feeds);
}

/* The id of a closed audience; false: none, and zeros. */
static bool
get_audience(struct ilea_msgpack_reader *reader, uint8_t audience[ILEA_AUDIENCE_ID_SIZE])
{
    struct ilea_span bytes = ilea_msgpack_get_bin(reader, ILEA_AUDIENCE_ID_SIZE);
    memset(audience, 0, ILEA_AUDIENCE_ID_SIZE);
    if (bytes.size == ILEA_AUDIENCE_ID_SIZE) memcpy(audience, bytes.data, bytes.size);
    else if (bytes.size > 0) reader->failed = true;
    return bytes.size > 0;
}

void
ilea_receipt_archive_next(struct ilea_msgpack_reader *archives, struct ilea_receipt_archive *archive)
{
    ilea_msgpack_expect_array(archives, ARCHIVE_FIELDS);
    archive->has_audience = get_audience(archives, archive->audience);
    archive->count = ilea_msgpack_get_uint(archives);
    ilea_msgpack_get_bytes(archives, archive->sum, sizeof archive->sum);
}

void
ilea_receipt_unread_next(struct ilea_msgpack_reader *unread, struct ilea_receipt_unread *item)
{
    ilea_msgpack_expect_array(unread, UNREAD_FIELDS);
    ilea_msgpack_get_bytes(unread, item->feed, sizeof item->feed);
    item->seq = ilea_msgpack_get_uint(unread);
    item->index = ilea_msgpack_get_uint32(unread, UINT32_MAX);
    item->why = (enum ilea_unread)ilea_msgpack_get_uint32(unread, ILEA_UNREAD_REFUSED);
}

void
ilea_receipt_own_next(struct ilea_msgpack_reader *own, struct ilea_receipt_own *feed)
{
    ilea_msgpack_expect_array(own, OWN_FIELDS);
    ilea_msgpack_get_bytes(own, feed->feed.bytes, sizeof feed->feed.bytes);
    feed->seq = ilea_msgpack_get_uint(own);
    feed->is_closed = get_audience(own, feed->audience.bytes);
}

static void
check_feeds(struct ilea_msgpack_reader *reader, struct ilea_receipt_body *body)
{
    struct ilea_receipt_feed feed, last = { .held = 0 };
    body->feed_count = ilea_msgpack_get_array(reader, ILEA_RECEIPT_FEEDS_MAX);
    body->feeds = *reader;
    for (uint32_t i = 0; i < body->feed_count && !reader->failed; i++) {
        ilea_receipt_feed_next(reader, &feed);
        if (feed.held == 0 || feed.seen > feed.held
            || (i > 0 && memcmp(last.feed.bytes, feed.feed.bytes, sizeof feed.feed.bytes) >= 0)) {
            reader->failed = true;
        }
        last = feed;
    }
}

static void
check_archives(struct ilea_msgpack_reader *reader, struct ilea_receipt_body *body)
{
    struct ilea_receipt_archive archive, last = { .count = 0 };
    body->archive_count = ilea_msgpack_get_array(reader, ILEA_RECEIPT_ARCHIVES_MAX);
    body->archives = *reader;
    for (uint32_t i = 0; i < body->archive_count && !reader->failed; i++) {
        ilea_receipt_archive_next(reader, &archive);
        bool ascends = i == 0 || last.has_audience < archive.has_audience
            || (last.has_audience && memcmp(last.audience, archive.audience, sizeof archive.audience) < 0);
        if (archive.count == 0 || !ascends) reader->failed = true;
        last = archive;
    }
}

static int
compare_unread(const struct ilea_receipt_unread *a, const struct ilea_receipt_unread *b)
{
    int order = memcmp(a->feed, b->feed, sizeof a->feed);
    if (order != 0) return order;
    if (a->seq != b->seq) return a->seq < b->seq ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

static void
check_unread(struct ilea_msgpack_reader *reader, struct ilea_receipt_body *body)
{
    struct ilea_receipt_unread item, last = { .seq = 0 };
    body->unread_count = ilea_msgpack_get_array(reader, ILEA_RECEIPT_UNREAD_MAX);
    body->unread = *reader;
    for (uint32_t i = 0; i < body->unread_count && !reader->failed; i++) {
        ilea_receipt_unread_next(reader, &item);
        if (item.seq == 0 || (int)item.why == 0 || (i > 0 && compare_unread(&last, &item) >= 0)) reader->failed = true;
        last = item;
    }
}

static void
check_own(struct ilea_msgpack_reader *reader, struct ilea_receipt_body *body)
{
    struct ilea_receipt_own feed, last = { .seq = 0 };
    body->own_count = ilea_msgpack_get_array(reader, ILEA_RECEIPT_OWN_MAX);
    body->own = *reader;
    for (uint32_t i = 0; i < body->own_count && !reader->failed; i++) {
        ilea_receipt_own_next(reader, &feed);
        if (feed.seq == 0 || (i > 0 && memcmp(last.feed.bytes, feed.feed.bytes, sizeof feed.feed.bytes) >= 0)) {
            reader->failed = true;
        }
        last = feed;
    }
}

enum ilea_error
ilea_receipt_body_decode(struct ilea_span input, struct ilea_receipt_body *body)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, input);
    ilea_msgpack_expect_array(&reader, BODY_FIELDS);
    check_feeds(&reader, body);
    check_archives(&reader, body);
    check_unread(&reader, body);
    check_own(&reader, body);
    return ilea_msgpack_reader_done(&reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

enum ilea_error
ilea_receipt_make(const struct ilea_receipt *receipt, struct ilea_span body, const struct ilea_network_id *network,
                  const struct ilea_reading_public *to, const struct ilea_sign_secret *node, uint8_t *scratch,
                  uint8_t *bytes, size_t *size)
{
    if (body.size > ILEA_RECEIPT_BODY_MAX) return ILEA_ERROR_LIMIT;
    size_t prefix = put_prefix(receipt, network, bytes); /* `bytes` holds what is sealed, then the receipt */
    memcpy(bytes + prefix, body.data, body.size);
    if (!ilea_seal(to, (struct ilea_span){ bytes, prefix + body.size }, scratch)) return ILEA_ERROR_INVALID;
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, bytes, ILEA_RECEIPT_SIZE_MAX);
    ilea_msgpack_put_array(&writer, FIELDS);
    ilea_msgpack_put_uint(&writer, VERSION);
    ilea_msgpack_put_bin(&writer, receipt->holder.bytes, sizeof receipt->holder.bytes);
    ilea_msgpack_put_bin(&writer, receipt->author.bytes, sizeof receipt->author.bytes);
    ilea_msgpack_put_uint(&writer, receipt->counter);
    ilea_msgpack_put_bin(&writer, scratch, prefix + body.size + ILEA_SEAL_OVERHEAD);
    uint8_t hash[ILEA_HASH_SIZE];
    struct ilea_signature sig;
    ilea_hash_once(ILEA_DOMAIN_RECEIPT, bytes, writer.size, hash);
    ilea_sign(node, ILEA_DOMAIN_RECEIPT_SIG, network, (struct ilea_span){ hash, sizeof hash }, &sig);
    ilea_msgpack_put_bin(&writer, sig.bytes, sizeof sig.bytes);
    ilea_assert(!writer.failed); /* the limits see to it */
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

void
ilea_receipt_put_feed(struct ilea_msgpack_writer *writer, const struct ilea_receipt_feed *feed)
{
    ilea_msgpack_put_array(writer, FEED_FIELDS);
    ilea_msgpack_put_bin(writer, feed->feed.bytes, sizeof feed->feed.bytes);
    ilea_msgpack_put_uint(writer, feed->held);
    ilea_msgpack_put_uint(writer, feed->seen);
}

void
ilea_receipt_put_archive(struct ilea_msgpack_writer *writer, const struct ilea_receipt_archive *archive)
{
    ilea_msgpack_put_array(writer, ARCHIVE_FIELDS);
    ilea_msgpack_put_bin(writer, archive->audience, archive->has_audience ? sizeof archive->audience : 0);
    ilea_msgpack_put_uint(writer, archive->count);
    ilea_msgpack_put_bin(writer, archive->sum, sizeof archive->sum);
}

void
ilea_receipt_put_unread(struct ilea_msgpack_writer *writer, const struct ilea_receipt_unread *item)
{
    ilea_msgpack_put_array(writer, UNREAD_FIELDS);
    ilea_msgpack_put_bin(writer, item->feed, sizeof item->feed);
    ilea_msgpack_put_uint(writer, item->seq);
    ilea_msgpack_put_uint(writer, item->index);
    ilea_msgpack_put_uint(writer, item->why);
}

void
ilea_receipt_put_own(struct ilea_msgpack_writer *writer, const struct ilea_receipt_own *feed)
{
    ilea_msgpack_put_array(writer, OWN_FIELDS);
    ilea_msgpack_put_bin(writer, feed->feed.bytes, sizeof feed->feed.bytes);
    ilea_msgpack_put_uint(writer, feed->seq);
    ilea_msgpack_put_bin(writer, feed->audience.bytes, feed->is_closed ? sizeof feed->audience.bytes : 0);
}
