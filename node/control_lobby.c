#include "node/control_lobby.h"

#include <string.h>

enum { SEAL_FIELDS = 4, SEALED_FIELDS = 3, ASK_FIELDS = 3, CEREMONY_FIELDS = 10, LOBBY_FIELDS = 4 };

static enum ilea_error
end(const struct ilea_msgpack_reader *reader)
{
    return ilea_msgpack_reader_done(reader) ? ILEA_ERROR_NONE : ILEA_ERROR_MALFORMED;
}

void
ilea_control_put_seal(struct ilea_msgpack_writer *writer, const struct ilea_control_seal *seal)
{
    ilea_msgpack_put_array(writer, SEAL_FIELDS);
    ilea_msgpack_put_bin(writer, seal->challenge.key.bytes, sizeof seal->challenge.key.bytes);
    ilea_msgpack_put_bin(writer, seal->challenge.nonce, sizeof seal->challenge.nonce);
    ilea_msgpack_put_str(writer, seal->note);
    ilea_msgpack_put_bin(writer, seal->invite, seal->has_invite ? sizeof seal->invite : 0);
}

enum ilea_error
ilea_control_get_seal(struct ilea_span body, struct ilea_control_seal *seal)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, SEAL_FIELDS);
    ilea_msgpack_get_bytes(&reader, seal->challenge.key.bytes, sizeof seal->challenge.key.bytes);
    ilea_msgpack_get_bytes(&reader, seal->challenge.nonce, sizeof seal->challenge.nonce);
    seal->note = ilea_msgpack_get_str(&reader, ILEA_CONTROL_FRAME_MAX);
    struct ilea_span invite = ilea_msgpack_get_bin(&reader, sizeof seal->invite);
    seal->has_invite = invite.size == sizeof seal->invite;
    if (seal->has_invite) memcpy(seal->invite, invite.data, invite.size);
    return end(&reader);
}

void
ilea_control_put_sealed(struct ilea_msgpack_writer *writer, const struct ilea_control_sealed *sealed)
{
    ilea_msgpack_put_array(writer, SEALED_FIELDS);
    ilea_msgpack_put_uint(writer, sealed->error);
    ilea_control_put_text(writer, sealed->reason);
    ilea_msgpack_put_bin(writer, sealed->sealed, sealed->size);
}

enum ilea_error
ilea_control_get_sealed(struct ilea_span body, struct ilea_control_sealed *sealed)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, SEALED_FIELDS);
    sealed->error = (enum ilea_error)ilea_msgpack_get_uint32(&reader, ILEA_ERROR_UNKNOWN);
    ilea_control_get_text(&reader, sealed->reason, sizeof sealed->reason);
    struct ilea_span bytes = ilea_msgpack_get_bin(&reader, sizeof sealed->sealed);
    sealed->size = bytes.size;
    if (bytes.size > 0) memcpy(sealed->sealed, bytes.data, bytes.size);
    return end(&reader);
}

void
ilea_control_put_ask(struct ilea_msgpack_writer *writer, const struct ilea_control_ask *ask)
{
    ilea_msgpack_put_array(writer, ASK_FIELDS);
    ilea_msgpack_put_uint(writer, ask->verb);
    ilea_control_put_text(writer, ask->name);
    ilea_msgpack_put_bin(writer, ask->bytes.data, ask->bytes.size);
}

enum ilea_error
ilea_control_get_ask(struct ilea_span body, struct ilea_control_ask *ask)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, ASK_FIELDS);
    ask->verb = (enum ilea_ceremony_verb)ilea_msgpack_get_uint32(&reader, ILEA_VERB_END);
    ilea_control_get_text(&reader, ask->name, sizeof ask->name);
    ask->bytes = ilea_msgpack_get_bin(&reader, ILEA_LOBBY_REPLY_MAX);
    return end(&reader);
}

void
ilea_control_put_ceremony(struct ilea_msgpack_writer *writer, const struct ilea_control_ceremony *ceremony)
{
    ilea_msgpack_put_array(writer, CEREMONY_FIELDS);
    ilea_msgpack_put_uint(writer, ceremony->error);
    ilea_control_put_text(writer, ceremony->reason);
    ilea_msgpack_put_bin(writer, ceremony->agency.bytes, sizeof ceremony->agency.bytes);
    ilea_control_put_text(writer, ceremony->code);
    ilea_msgpack_put_uint(writer, ceremony->state);
    ilea_msgpack_put_uint(writer, ceremony->is_other_card ? 1 : 0);
    ilea_control_put_text(writer, ceremony->endpoint);
    ilea_control_put_text(writer, ceremony->digits);
    ilea_control_put_text(writer, ceremony->words);
    ilea_msgpack_put_bin(writer, ceremony->sealed, ceremony->size);
}

enum ilea_error
ilea_control_get_ceremony(struct ilea_span body, struct ilea_control_ceremony *ceremony)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, CEREMONY_FIELDS);
    ceremony->error = (enum ilea_error)ilea_msgpack_get_uint32(&reader, ILEA_ERROR_UNKNOWN);
    ilea_control_get_text(&reader, ceremony->reason, sizeof ceremony->reason);
    ilea_msgpack_get_bytes(&reader, ceremony->agency.bytes, sizeof ceremony->agency.bytes);
    ilea_control_get_text(&reader, ceremony->code, sizeof ceremony->code);
    ceremony->state = (enum ilea_ceremony_state)ilea_msgpack_get_uint32(&reader, ILEA_CEREMONY_BROKEN);
    ceremony->is_other_card = ilea_msgpack_get_uint32(&reader, 1) == 1;
    ilea_control_get_text(&reader, ceremony->endpoint, sizeof ceremony->endpoint);
    ilea_control_get_text(&reader, ceremony->digits, sizeof ceremony->digits);
    ilea_control_get_text(&reader, ceremony->words, sizeof ceremony->words);
    struct ilea_span bytes = ilea_msgpack_get_bin(&reader, sizeof ceremony->sealed);
    ceremony->size = bytes.size;
    if (bytes.size > 0) memcpy(ceremony->sealed, bytes.data, bytes.size);
    return end(&reader);
}

static void
put_counts(struct ilea_msgpack_writer *writer, const void *counts, uint32_t count)
{
    uint64_t values[ILEA_DESK_COUNTS > ILEA_LOBBY_COUNTS ? ILEA_DESK_COUNTS : ILEA_LOBBY_COUNTS];
    memcpy(values, counts, count * sizeof values[0]);
    ilea_msgpack_put_array(writer, count);
    for (uint32_t i = 0; i < count; i++) ilea_msgpack_put_uint(writer, values[i]);
}

static void
get_counts(struct ilea_msgpack_reader *reader, void *counts, uint32_t count)
{
    uint64_t values[ILEA_DESK_COUNTS > ILEA_LOBBY_COUNTS ? ILEA_DESK_COUNTS : ILEA_LOBBY_COUNTS];
    ilea_msgpack_expect_array(reader, count);
    for (uint32_t i = 0; i < count; i++) values[i] = ilea_msgpack_get_uint(reader);
    memcpy(counts, values, count * sizeof values[0]);
}

void
ilea_control_put_lobby(struct ilea_msgpack_writer *writer, const struct ilea_control_lobby *lobby)
{
    ilea_msgpack_put_array(writer, LOBBY_FIELDS);
    ilea_control_put_text(writer, lobby->state);
    ilea_control_put_text(writer, lobby->text);
    put_counts(writer, &lobby->door, ILEA_LOBBY_COUNTS);
    put_counts(writer, &lobby->desk, ILEA_DESK_COUNTS);
}

enum ilea_error
ilea_control_get_lobby(struct ilea_span body, struct ilea_control_lobby *lobby)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, LOBBY_FIELDS);
    ilea_control_get_text(&reader, lobby->state, sizeof lobby->state);
    ilea_control_get_text(&reader, lobby->text, sizeof lobby->text);
    get_counts(&reader, &lobby->door, ILEA_LOBBY_COUNTS);
    get_counts(&reader, &lobby->desk, ILEA_DESK_COUNTS);
    return end(&reader);
}
