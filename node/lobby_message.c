#include "node/lobby_message.h"

#include <string.h>

#include "crypto/assert.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/msgpack_writer.h"

enum { REQUEST_FIELDS = 6, CEREMONY_FIELDS = 7 };

static void
hash_signed(const struct ilea_lobby_challenge *challenge, struct ilea_span before,
            uint8_t hash[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_LOBBY);
    ilea_hash_add(&hasher, challenge->key.bytes, sizeof challenge->key.bytes);
    ilea_hash_add(&hasher, challenge->nonce, sizeof challenge->nonce);
    ilea_hash_add(&hasher, before.data, before.size);
    ilea_hash_end(&hasher, hash);
}

static bool
is_signed(const struct ilea_lobby_challenge *challenge, struct ilea_span before,
          const struct ilea_network_id *network, const struct ilea_sign_public *node,
          const struct ilea_signature *sig)
{
    uint8_t hash[ILEA_HASH_SIZE];
    hash_signed(challenge, before, hash);
    return ilea_sign_verify(node, ILEA_DOMAIN_LOBBY_SIG, network, (struct ilea_span){ hash, sizeof hash },
                            sig);
}

static void
put_signature(struct ilea_msgpack_writer *writer, const struct ilea_lobby_challenge *challenge,
              const struct ilea_network_id *network, const struct ilea_sign_secret *node,
              struct ilea_signature *sig)
{
    uint8_t hash[ILEA_HASH_SIZE];
    hash_signed(challenge, ilea_msgpack_written(writer), hash);
    ilea_sign(node, ILEA_DOMAIN_LOBBY_SIG, network, (struct ilea_span){ hash, sizeof hash }, sig);
    ilea_msgpack_put_bin(writer, sig->bytes, sizeof sig->bytes);
}

/* Of valid UTF-8: the code point at *at, which moves behind it. */
static uint32_t
next_codepoint(struct ilea_span text, size_t *at)
{
    uint8_t first = text.data[(*at)++];
    if (first < 0x80) return first;
    unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    uint32_t codepoint = first & (0x3fU >> more);
    for (unsigned i = 0; i < more; i++) codepoint = codepoint << 6 | (text.data[(*at)++] & 0x3fU);
    return codepoint;
}

/* Characters that do not show, or make others show elsewhere. */
static bool
is_deceptive(uint32_t codepoint)
{
    static const struct { uint32_t first, last; } ranges[] = {
        { 0x00, 0x1f },     { 0xad, 0xad },     { 0x034f, 0x034f }, { 0x061c, 0x061c },
        { 0x115f, 0x1160 }, { 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x200b, 0x200f },
        { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0x3164, 0x3164 }, { 0xfe00, 0xfe0f },
        { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb }, { 0x1d173, 0x1d17a },
        { 0xe0000, 0xe0fff }
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (codepoint >= ranges[i].first && codepoint <= ranges[i].last) return true;
    }
    return false;
}

bool
ilea_note_is_plain(struct ilea_span note)
{
    if (note.size > ILEA_NOTE_SIZE_MAX || !ilea_text_is_valid(note)) return false;
    for (size_t at = 0; at < note.size;) {
        if (is_deceptive(next_codepoint(note, &at))) return false;
    }
    return true;
}

enum ilea_error
ilea_lobby_request_decode(struct ilea_span message, const struct ilea_lobby_challenge *challenge,
                          struct ilea_lobby_request *request)
{
    struct ilea_msgpack_reader reader;
    struct ilea_signature sig;
    struct ilea_lobby_request found = { .made_ms = 0 };
    ilea_msgpack_reader_init(&reader, message);
    ilea_msgpack_expect_array(&reader, REQUEST_FIELDS);
    uint32_t kind = ilea_msgpack_get_uint32(&reader, ILEA_LOBBY_KIND_REQUEST);
    found.card_bytes = ilea_msgpack_get_bin(&reader, ILEA_LOBBY_MESSAGE_MAX);
    found.note = ilea_msgpack_get_str(&reader, ILEA_NOTE_SIZE_MAX);
    found.made_ms = ilea_msgpack_get_uint(&reader);
    struct ilea_span invite = ilea_msgpack_get_bin(&reader, sizeof found.invite);
    if (reader.failed) return ILEA_ERROR_MALFORMED;
    struct ilea_span before = { message.data, (size_t)(reader.next - message.data) };
    ilea_msgpack_get_bytes(&reader, sig.bytes, sizeof sig.bytes);
    if (!ilea_msgpack_reader_done(&reader) || kind != ILEA_LOBBY_KIND_REQUEST) return ILEA_ERROR_MALFORMED;
    if (!ilea_note_is_plain(found.note)) return ILEA_ERROR_MALFORMED;
    if (invite.size != 0 && invite.size != sizeof found.invite) return ILEA_ERROR_MALFORMED;
    found.has_invite = invite.size != 0;
    if (found.has_invite) memcpy(found.invite, invite.data, sizeof found.invite);
    enum ilea_error error = ilea_card_decode(found.card_bytes, &found.card);
    if (error != ILEA_ERROR_NONE) return error;
    if (!is_signed(challenge, before, &found.card.manifest.network, &found.card.manifest.node, &sig)) {
        return ILEA_ERROR_BAD_SIGNATURE;
    }
    *request = found;
    return ILEA_ERROR_NONE;
}

enum ilea_error
ilea_lobby_request_encode(const struct ilea_lobby_request *request,
                          const struct ilea_lobby_challenge *challenge,
                          const struct ilea_network_id *network, const struct ilea_sign_secret *node,
                          uint8_t *bytes, size_t capacity, size_t *size)
{
    if (!ilea_note_is_plain(request->note)) return ILEA_ERROR_INVALID;
    struct ilea_msgpack_writer writer;
    struct ilea_signature sig;
    ilea_msgpack_writer_init(&writer, bytes, capacity);
    ilea_msgpack_put_array(&writer, REQUEST_FIELDS);
    ilea_msgpack_put_uint(&writer, ILEA_LOBBY_KIND_REQUEST);
    ilea_msgpack_put_bin(&writer, request->card_bytes.data, request->card_bytes.size);
    ilea_msgpack_put_str(&writer, request->note);
    ilea_msgpack_put_uint(&writer, request->made_ms);
    ilea_msgpack_put_bin(&writer, request->invite, request->has_invite ? sizeof request->invite : 0);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    put_signature(&writer, challenge, network, node, &sig);
    if (writer.failed) return ILEA_ERROR_LIMIT;
    *size = writer.size;
    return ILEA_ERROR_NONE;
}

static bool
is_zero(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++) sum |= bytes[i];
    return sum == 0;
}

static bool
is_answer(enum ilea_lobby_kind kind)
{
    return kind == ILEA_LOBBY_KIND_NONCE || kind == ILEA_LOBBY_KIND_DONE;
}

enum ilea_error
ilea_lobby_ceremony_decode(struct ilea_span message, struct ilea_lobby_ceremony *ceremony)
{
    struct ilea_msgpack_reader reader;
    struct ilea_lobby_ceremony found;
    ilea_msgpack_reader_init(&reader, message);
    ilea_msgpack_expect_array(&reader, CEREMONY_FIELDS);
    found.kind = (enum ilea_lobby_kind)ilea_msgpack_get_uint32(&reader, ILEA_LOBBY_KIND_DONE);
    ilea_msgpack_get_bytes(&reader, found.from.bytes, sizeof found.from.bytes);
    ilea_msgpack_get_bytes(&reader, found.to.bytes, sizeof found.to.bytes);
    ilea_msgpack_get_bytes(&reader, found.manifest, sizeof found.manifest);
    ilea_msgpack_get_bytes(&reader, found.value, sizeof found.value);
    ilea_msgpack_get_bytes(&reader, found.reply.bytes, sizeof found.reply.bytes);
    ilea_msgpack_get_bytes(&reader, found.sig.bytes, sizeof found.sig.bytes);
    if (!ilea_msgpack_reader_done(&reader) || found.kind < ILEA_LOBBY_KIND_COMMIT) {
        return ILEA_ERROR_MALFORMED;
    }
    if (is_answer(found.kind) != is_zero(found.reply.bytes, sizeof found.reply.bytes)) {
        return ILEA_ERROR_MALFORMED;
    }
    *ceremony = found;
    return ILEA_ERROR_NONE;
}

bool
ilea_lobby_ceremony_verify(struct ilea_span message, const struct ilea_lobby_ceremony *ceremony,
                           const struct ilea_lobby_challenge *challenge,
                           const struct ilea_network_id *network, const struct ilea_sign_public *node)
{
    enum { SIG_FIELD = 2 + ILEA_SIGNATURE_SIZE }; /* the head of a bin of this size takes two bytes */
    if (message.size < SIG_FIELD) return false;
    const struct ilea_span before = { message.data, message.size - SIG_FIELD };
    return is_signed(challenge, before, network, node, &ceremony->sig);
}

size_t
ilea_lobby_ceremony_encode(struct ilea_lobby_ceremony *ceremony,
                           const struct ilea_lobby_challenge *challenge,
                           const struct ilea_network_id *network, const struct ilea_sign_secret *node,
                           uint8_t *bytes)
{
    struct ilea_msgpack_writer writer;
    ilea_assert(ceremony->kind >= ILEA_LOBBY_KIND_COMMIT);
    ilea_msgpack_writer_init(&writer, bytes, ILEA_CEREMONY_SIZE_MAX);
    ilea_msgpack_put_array(&writer, CEREMONY_FIELDS);
    ilea_msgpack_put_uint(&writer, ceremony->kind);
    ilea_msgpack_put_bin(&writer, ceremony->from.bytes, sizeof ceremony->from.bytes);
    ilea_msgpack_put_bin(&writer, ceremony->to.bytes, sizeof ceremony->to.bytes);
    ilea_msgpack_put_bin(&writer, ceremony->manifest, sizeof ceremony->manifest);
    ilea_msgpack_put_bin(&writer, ceremony->value, sizeof ceremony->value);
    ilea_msgpack_put_bin(&writer, ceremony->reply.bytes, sizeof ceremony->reply.bytes);
    put_signature(&writer, challenge, network, node, &ceremony->sig);
    ilea_assert(!writer.failed);
    return writer.size;
}
