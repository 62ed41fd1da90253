/* session.c - HELLO and BIND, keep-alive, and the end of sessions (PROTOCOL.md, "Session"). */
#include <string.h>

#include "crypto/assert.h"
#include "crypto/hash.h"
#include "replication/core/state.h"

#define BIT(state) (1u << (state))

/* Allowed next states: the diagram in state.h, as data. */
static const unsigned next_states[] = {
    [SESSION_DOWN] = BIT(SESSION_GREETING) | BIT(SESSION_DOWN),
    [SESSION_GREETING] = BIT(SESSION_BINDING) | BIT(SESSION_BACKOFF) | BIT(SESSION_DOWN)
                         | BIT(SESSION_GREETING),
    [SESSION_BINDING] = BIT(SESSION_READY) | BIT(SESSION_BACKOFF) | BIT(SESSION_DOWN)
                        | BIT(SESSION_BINDING) | BIT(SESSION_GREETING),
    [SESSION_READY] = BIT(SESSION_BACKOFF) | BIT(SESSION_DOWN) | BIT(SESSION_GREETING),
    [SESSION_BACKOFF] = BIT(SESSION_GREETING) | BIT(SESSION_DOWN),
};

/* The only assignment to a link's state. */
static void
set_state(struct link *link, enum session_state state)
{
    ilea_assert((next_states[link->state] & BIT(state)) != 0);
    link->state = state;
}

/* Everything that belongs to a session and must not outlive it. */
static void
clear_session(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    if (link->synced) end_fanout(r, index);
    link->sent_number = link->received_number = 0;
    link->bound = link->synced = link->list_cut = false;
    link->hash_received = link->list_begun = link->list_sent = false;
    link->sent_bytes = link->sent_limit = 0;
    link->received_bytes = link->received_durable = link->received_limit = 0;
    link->notes_deadline_ms = ILEA_TIME_NEVER;
    link->trust_due = link->asked = false;
    link->want_ms = 0;
    link->session_number = 0;
    link->asked_agency = NO_INDEX;
    memset(link->session, 0, sizeof link->session);
    memset(r->link_agencies[index], 0, r->agency_count * sizeof r->link_agencies[index][0]);
    for (uint32_t i = 0; i < r->feed_count; i++) {
        struct link_feed *state = &r->link_feeds[index][i];
        if (state->paused) state->shunned_ms = 0; /* asked anew: what it waits for may come first */
        state->out_eager = state->note_due = state->credit_due = state->refused = false;
        state->fork_known = state->in_archive = state->withheld = state->paused = state->urged = state->doubted = false;
        state->sent_seq = state->probed_back = 0;
        state->probed_seq = ILEA_SEQ_NEVER;
    }
}

static void
send_hello(struct ilea_replicator *r, uint32_t index)
{
    if (!has_room(r, 1, 256)) return; /* the deadline tries again */
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, r->effects->bytes + r->effects->byte_count, 256);
    ilea_message_put_hello(&writer, &r->links[index].ours);
    end_frame(r, index, &writer);
}

void
start_session(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    const struct agency *peer = &r->agencies[link->agency];
    clear_session(r, index);
    set_state(link, SESSION_GREETING);
    link->ours = (struct ilea_hello){ .version_min = ILEA_PROTOCOL_VERSION,
                                      .version_max = ILEA_PROTOCOL_VERSION,
                                      .agency = r->config.agency,
                                      .own_index = r->agencies[0].manifest_index,
                                      .known_index = peer->manifest_index };
    memcpy(link->ours.known_hash, peer->manifest_hash, sizeof link->ours.known_hash);
    memcpy(link->ours.nonce, r->random, sizeof link->ours.nonce);
    link->ours.nonce[0] ^= (uint8_t)index; /* sessions begun in one step share no nonce */
    link->deadline_ms = r->now_ms + ILEA_GREETING_MS;
    link->heard_ms = r->now_ms;
    send_hello(r, index);
}

void
end_session(struct ilea_replicator *r, uint32_t index, enum ilea_error why)
{
    struct link *link = &r->links[index];
    if (link->state == SESSION_DOWN || link->state == SESSION_BACKOFF) return;
    trace(r, index, ILEA_TRACE_SESSION_ENDED, why, NULL);
    clear_session(r, index);
    set_state(link, SESSION_BACKOFF);
    link->backoff_ms = link->backoff_ms == 0 ? ILEA_BACKOFF_MS_MIN : link->backoff_ms * 2;
    if (link->backoff_ms > ILEA_BACKOFF_MS_MAX) link->backoff_ms = ILEA_BACKOFF_MS_MAX;
    link->deadline_ms = r->now_ms + link->backoff_ms;
    if (why == ILEA_ERROR_SILENT && has_room(r, 1, 0)) emit(r, ILEA_EFFECT_LINK_RESET, index);
}

void
drop_session(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    if (link->state == SESSION_DOWN) return;
    clear_session(r, index);
    set_state(link, SESSION_DOWN);
    link->deadline_ms = ILEA_TIME_NEVER;
}

static void
session_id(struct link *link)
{
    const uint8_t *low = link->ours.nonce, *high = link->theirs.nonce;
    if (memcmp(low, high, ILEA_NONCE_HELLO_SIZE) > 0) {
        low = link->theirs.nonce;
        high = link->ours.nonce;
    }
    uint8_t hash[ILEA_HASH_SIZE];
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_SESSION);
    ilea_hash_add(&hasher, low, ILEA_NONCE_HELLO_SIZE);
    ilea_hash_add(&hasher, high, ILEA_NONCE_HELLO_SIZE);
    ilea_hash_end(&hasher, hash);
    memcpy(link->session, hash, sizeof link->session);
    link->session[0] |= 1; /* never all zeros, which means HELLO */
}

static void
send_bind(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    if (!has_room(r, 1, ILEA_BIND_MESSAGE_SIZE)) return;
    uint8_t *message = r->effects->bytes + r->effects->byte_count;
    ilea_bind_message(&r->config.transport, &link->transport, &link->ours, &link->theirs, message);
    r->effects->byte_count += ILEA_BIND_MESSAGE_SIZE;

    struct ilea_effect *effect = emit(r, ILEA_EFFECT_SEND_BIND, index);
    memcpy(effect->bind.session, link->session, sizeof effect->bind.session);
    effect->bind.number = ++link->sent_number;
    effect->bind.message = (struct ilea_span){ message, ILEA_BIND_MESSAGE_SIZE };
    link->sent_ms = r->now_ms;
}

enum ilea_error
on_hello(struct ilea_replicator *r, uint32_t index, struct ilea_span body)
{
    struct link *link = &r->links[index];
    struct ilea_hello hello;
    enum ilea_error error = ilea_hello_decode(body, &hello);
    if (error != ILEA_ERROR_NONE) return error;
    if (memcmp(hello.agency.bytes, r->agencies[link->agency].id.bytes, ILEA_ID_SIZE) != 0) {
        return ILEA_ERROR_UNEXPECTED;
    }
    if (hello.version_min > ILEA_PROTOCOL_VERSION || hello.version_max < ILEA_PROTOCOL_VERSION) {
        return ILEA_ERROR_UNKNOWN;
    }
    bool repeated = memcmp(hello.nonce, link->theirs.nonce, sizeof hello.nonce) == 0;
    if (repeated && (link->state == SESSION_READY || link->state == SESSION_BINDING)) {
        return ILEA_ERROR_NONE;
    }
    if (memcmp(hello.nonce, link->ours.nonce, sizeof hello.nonce) == 0) return ILEA_ERROR_UNEXPECTED;

    /* The peer starts anew. Our HELLO that is still unanswered serves, but it may have been lost with
     * the connection before: it is said again, and ignored by who has it. */
    if (link->state == SESSION_GREETING || link->state == SESSION_BINDING) {
        send_hello(r, index);
    } else {
        start_session(r, index);
    }
    link->theirs = hello;
    link->sent_number = link->received_number = 0;
    link->bound = false;
    link->heard_ms = r->now_ms;
    session_id(link);
    set_state(link, SESSION_BINDING);
    link->deadline_ms = r->now_ms + ILEA_GREETING_MS;
    send_own_manifests(r, index);
    send_bind(r, index);
    return ILEA_ERROR_NONE;
}

enum ilea_error
on_bind(struct ilea_replicator *r, uint32_t index, struct ilea_span body)
{
    struct link *link = &r->links[index];
    if (link->state != SESSION_BINDING || link->bound) return ILEA_ERROR_UNEXPECTED;
    struct ilea_signature signature;
    enum ilea_error error = ilea_bind_decode(body, &signature);
    if (error != ILEA_ERROR_NONE) return error;

    uint8_t message[ILEA_BIND_MESSAGE_SIZE];
    ilea_bind_message(&link->transport, &r->config.transport, &link->theirs, &link->ours, message);
    if (!ilea_sign_verify(&r->agencies[link->agency].node, ILEA_DOMAIN_BIND_SIG, &r->config.network,
                          (struct ilea_span){ message, sizeof message }, &signature)) {
        return ILEA_ERROR_BAD_SIGNATURE;
    }
    link->bound = true;
    set_state(link, SESSION_READY);
    link->deadline_ms = ILEA_TIME_NEVER;
    link->data_ms = r->now_ms;
    begin_side(r, index);
    trace(r, index, ILEA_TRACE_SESSION_READY, ILEA_ERROR_NONE, NULL);
    send_credit(r, index);
    send_frontier_hash(r, index);
    return ILEA_ERROR_NONE;
}

/* The frontier told of more new feeds than we take from a peer at once, and those have come since. */
static bool
has_list_to_ask(const struct link *link)
{
    return link->list_cut && link->unverified_feeds <= ILEA_UNVERIFIED_FEEDS_MAX / 2;
}

void
session_timer(struct ilea_replicator *r, uint32_t index)
{
    struct link *link = &r->links[index];
    switch (link->state) {
    case SESSION_DOWN:
        break;
    case SESSION_GREETING:
    case SESSION_BINDING:
        if (r->now_ms >= link->deadline_ms) end_session(r, index, ILEA_ERROR_SILENT);
        break;
    case SESSION_BACKOFF:
        if (r->now_ms >= link->deadline_ms) start_session(r, index);
        break;
    case SESSION_READY:
        if (has_list_to_ask(link)) {
            start_session(r, index);
        } else if (r->now_ms >= link->heard_ms + ILEA_SILENCE_MS) {
            end_session(r, index, ILEA_ERROR_SILENT);
        } else if (r->now_ms >= link->sent_ms + ILEA_KEEPALIVE_MS) {
            send_credit(r, index);
        }
        break;
    }
}

uint64_t
session_deadline(const struct link *link)
{
    if (link->state != SESSION_READY) return link->deadline_ms;
    if (has_list_to_ask(link) || link->trust_due) return link->heard_ms;
    uint64_t silent = link->heard_ms + ILEA_SILENCE_MS, quiet = link->sent_ms + ILEA_KEEPALIVE_MS;
    uint64_t deadline = silent < quiet ? silent : quiet;
    return link->notes_deadline_ms < deadline ? link->notes_deadline_ms : deadline;
}
