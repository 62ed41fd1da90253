#include "node/lobby_desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/random.h"
#include "node/agency.h"
#include "node/audit.h"
#include "node/chain.h"
#include "node/trust.h"
#include "node/vouch.h"

_Static_assert((int)ILEA_INVITE_ID_SIZE == (int)ILEA_INVITE_ID_BYTES, "as the log keeps it");
_Static_assert((int)ILEA_INVITE_KEY_SIZE == (int)ILEA_INVITE_KEY_BYTES, "as the log keeps it");

static const uint64_t day_ms = 24 * 60 * 60 * 1000;
static const struct ilea_rate uninvited = { 24, 10 * 60 * 1000 };

void
ilea_desk_end(struct ilea_desk *desk)
{
    for (unsigned i = 0; i < ILEA_DESK_KEYS; i++) ilea_lobby_secret_free(desk->secrets[i]);
    *desk = (struct ilea_desk){ .rotated_ms = 0 };
}

bool
ilea_desk_rotate(struct ilea_desk *desk, uint64_t now_ms)
{
    if (desk->secrets[0] != NULL && now_ms - desk->rotated_ms < ILEA_DESK_ROTATE_MS) return false;
    struct ilea_lobby_secret *secret;
    struct ilea_lobby_public public_key;
    /* Without memory for one the door closes by itself: a key is good for half a minute. */
    if (ilea_lobby_generate(&secret, &public_key) != ILEA_ERROR_NONE) return false;
    ilea_lobby_secret_free(desk->secrets[1]);
    desk->secrets[1] = desk->secrets[0];
    desk->publics[1] = desk->publics[0];
    desk->secrets[0] = secret;
    desk->publics[0] = public_key;
    desk->rotated_ms = now_ms;
    return true;
}

bool
ilea_desk_unseal(struct ilea_desk *desk, const struct ilea_lobby_public *key, struct ilea_span sealed,
                 uint8_t *opened)
{
    for (unsigned i = 0; i < ILEA_DESK_KEYS; i++) {
        if (desk->secrets[i] != NULL && memcmp(desk->publics[i].bytes, key->bytes, sizeof key->bytes) == 0) {
            return ilea_lobby_unseal(desk->secrets[i], sealed, opened);
        }
    }
    return false;
}

/* One request being decided about. Large: on the heap. */
struct taking {
    struct ilea_desk *desk;
    struct ilea_node *node;
    struct ilea_transaction *txn;
    const struct ilea_log_identity *identity;
    const struct ilea_desk_request *came;
    uint64_t wall_ms, now_ms;
    uint64_t *refusal;               /* the count that this falls under; NULL: none yet */
    struct ilea_lobby_request request;
    struct ilea_invite_row invite;
    struct ilea_agency agency;
};

static bool
refuse(struct taking *taking, uint64_t *count)
{
    taking->refusal = count;
    return false;
}

static bool
is_far(uint64_t one, uint64_t other)
{
    return (one > other ? one - other : other - one) > day_ms;
}

/* What can be said without the log. */
static bool
is_acceptable(struct taking *taking)
{
    struct ilea_desk_counts *counts = &taking->desk->counts;
    const struct ilea_desk_request *came = taking->came;
    enum ilea_error error = ilea_lobby_request_decode(came->message, &came->challenge, &taking->request);
    if (error != ILEA_ERROR_NONE) return refuse(taking, &counts->unreadable);
    const struct ilea_card *card = &taking->request.card;
    if (memcmp(card->manifest.network.bytes, taking->identity->network.bytes, ILEA_ID_SIZE) != 0) {
        return refuse(taking, &counts->foreign);
    }
    if (memcmp(card->agency.bytes, taking->identity->agency.bytes, ILEA_ID_SIZE) == 0) {
        return refuse(taking, &counts->known);
    }
    if (is_far(taking->request.made_ms, taking->wall_ms) || card->made_ms > taking->wall_ms + day_ms) {
        return refuse(taking, &counts->mistimed);
    }
    if (taking->request.has_invite != came->has_invite
        || memcmp(taking->request.invite, came->invite, sizeof came->invite) != 0) {
        return refuse(taking, &counts->wrong_invite);
    }
    return true;
}

/* False in the answer: refused. */
static enum ilea_error
check_invite(struct taking *taking, bool *good)
{
    *good = !taking->came->has_invite;
    if (*good) return ILEA_ERROR_NONE;
    enum ilea_error error = ilea_log_invite(taking->txn, taking->came->invite, &taking->invite);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) return error;
    *good = error == ILEA_ERROR_NONE && !taking->invite.used && taking->invite.expires_ms > taking->wall_ms;
    if (!*good) (void)refuse(taking, &taking->desk->counts.wrong_invite);
    return ILEA_ERROR_NONE;
}

static bool
is_refused(enum ilea_agency_state state)
{
    return state == ILEA_AGENCY_DECLINED || state == ILEA_AGENCY_REVOKED;
}

/* Who is known already has nothing to ask for; but an invite brings a request among the invited. */
static enum ilea_error
check_known(struct taking *taking, bool *good)
{
    struct ilea_agency_row *row = &taking->agency.row;
    enum ilea_error error = ilea_agency_load(taking->txn, &taking->request.card.agency, &taking->agency);
    *good = true;
    if (error == ILEA_ERROR_NOT_FOUND) {
        *row = (struct ilea_agency_row){ .id = taking->request.card.agency, .state = ILEA_AGENCY_PENDING };
        return ILEA_ERROR_NONE;
    }
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_desk_counts *counts = &taking->desk->counts;
    if (is_refused(row->state)) {
        *good = refuse(taking, &counts->refused);
    } else if (row->state != ILEA_AGENCY_PENDING || row->origin != ILEA_FROM_LOBBY || !taking->came->has_invite) {
        *good = refuse(taking, &counts->known);
    }
    return ILEA_ERROR_NONE;
}

/* The requests that wait, without the one that is being taken in. */
struct queue {
    unsigned uninvited, invited;
    struct { struct ilea_agency_id id; uint64_t asked_ms; } of[ILEA_DESK_PENDING_MAX]; /* without an invite */
};

static enum ilea_error
read_queue(struct taking *taking, struct queue *queue)
{
    struct ilea_agency_row row;
    struct ilea_agency_id last;
    const struct ilea_agency_id *after = NULL;
    enum ilea_error error;
    *queue = (struct queue){ .uninvited = 0 };
    while ((error = ilea_log_agency_next(taking->txn, after, &row)) == ILEA_ERROR_NONE) {
        last = row.id;
        after = &last;
        bool is_own = memcmp(row.id.bytes, taking->agency.row.id.bytes, ILEA_ID_SIZE) == 0;
        if (row.state != ILEA_AGENCY_PENDING || row.origin == ILEA_FROM_CARD || is_own) continue;
        if (row.origin == ILEA_FROM_INVITE) {
            queue->invited++;
        } else if (queue->uninvited < ILEA_DESK_PENDING_MAX) {
            queue->of[queue->uninvited].id = row.id;
            queue->of[queue->uninvited++].asked_ms = row.asked_ms;
        }
    }
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static int
compare_asked(const void *a, const void *b)
{
    uint64_t one, other;
    memcpy(&one, (const uint8_t *)a + sizeof(struct ilea_agency_id), sizeof one);
    memcpy(&other, (const uint8_t *)b + sizeof(struct ilea_agency_id), sizeof other);
    return one < other ? -1 : one > other ? 1 : 0;
}

/* Forget a request, with a word in the audit feed. */
static enum ilea_error
drop(struct ilea_node *node, const struct ilea_agency_id *id, const char *why)
{
    const struct ilea_audit_pair pairs[] = { { "what", "request" }, { "why", why }, { NULL, NULL } };
    enum ilea_error error = ilea_log_delete_agency(ilea_author_transaction(node->author), id);
    return error == ILEA_ERROR_NONE ? ilea_audit_note(node->author, "peer.expired", id, pairs) : error;
}

static enum ilea_error
make_room(struct taking *taking, bool *good)
{
    struct queue *queue = malloc(sizeof *queue);
    if (queue == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = read_queue(taking, queue);
    bool is_full = queue->uninvited + queue->invited >= ILEA_DESK_PENDING_MAX
        || (!taking->came->has_invite && queue->uninvited >= ILEA_DESK_UNINVITED_MAX);
    *good = !is_full;
    if (error == ILEA_ERROR_NONE && is_full && queue->uninvited > 0) {
        qsort(queue->of, queue->uninvited, sizeof queue->of[0], compare_asked);
        unsigned victim = 0;
        while (victim < queue->uninvited
               && ilea_vouch_stands(taking->node->home, taking->txn, &queue->of[victim].id)) {
            victim++;
        }
        /* All are vouched for: only an invite goes before that. */
        if (victim == queue->uninvited && taking->came->has_invite) victim = 0;
        *good = victim < queue->uninvited;
        if (*good) error = drop(taking->node, &queue->of[victim].id, "crowded out");
    }
    if (!*good) (void)refuse(taking, &taking->desk->counts.full);
    free(queue);
    return error;
}

static enum ilea_error
note_request(struct taking *taking)
{
    char code[ILEA_CODE_SIZE_MAX + 1], address[ILEA_LOBBY_ADDRESS_SIZE], text[ILEA_NOTE_SIZE_MAX + 1];
    const struct ilea_lobby_request *request = &taking->request;
    (void)snprintf(code, sizeof code, "%.*s", (int)request->card.manifest.code.size,
                   (const char *)request->card.manifest.code.data);
    (void)snprintf(address, sizeof address, "%.*s", (int)taking->came->address.size,
                   (const char *)taking->came->address.data);
    (void)snprintf(text, sizeof text, "%.*s", (int)request->note.size,
                   request->note.size > 0 ? (const char *)request->note.data : "");
    const struct ilea_audit_pair pairs[] = {
        { "by", taking->came->has_invite ? "invite" : "lobby" }, { "code", code }, { "address", address },
        { "note", text[0] != '\0' ? text : NULL }, { NULL, NULL }
    };
    return ilea_audit_note(taking->node->author, "peer.request", &taking->agency.row.id, pairs);
}

/* Write it. Whether it shares a root with who was refused can be told when its chain is there: the caller
 * aborts. */
static enum ilea_error
store(struct taking *taking, bool *good)
{
    const struct ilea_card *card = &taking->request.card;
    struct ilea_agency_row *row = &taking->agency.row;
    row->origin = taking->came->has_invite ? ILEA_FROM_INVITE : ILEA_FROM_LOBBY;
    row->changed_ms = row->asked_ms = taking->wall_ms;
    row->note = taking->request.note;
    row->address = taking->came->address;
    if (card->made_ms >= row->made_ms) {
        row->endpoint = card->endpoint;
        row->lobby = card->lobby;
        row->made_ms = card->made_ms;
    }
    enum ilea_error error = ilea_log_put_agency(taking->txn, row);
    struct ilea_chain_change change = { .outcome = ILEA_CHAIN_SAME };
    if (error == ILEA_ERROR_NONE) {
        error = ilea_chain_take(taking->txn, &taking->identity->network, &row->id, card->chain, card->chain_count,
                                &change);
    }
    if (error != ILEA_ERROR_NONE && ilea_error_is_peer_fault(error)) {
        *good = refuse(taking, &taking->desk->counts.unreadable);
        return ILEA_ERROR_NONE;
    }
    if (error != ILEA_ERROR_NONE) return error;
    *good = change.outcome != ILEA_CHAIN_CONFLICT || refuse(taking, &taking->desk->counts.known);
    if (!*good) return ILEA_ERROR_NONE;
    struct ilea_agency_id refused;
    error = ilea_trust_refusal(taking->txn, &row->id, &refused);
    if (error == ILEA_ERROR_NONE) *good = refuse(taking, &taking->desk->counts.refused);
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    taking->invite.used = true;
    error = taking->came->has_invite ? ilea_log_put_invite(taking->txn, &taking->invite) : ILEA_ERROR_NONE;
    return error == ILEA_ERROR_NONE ? note_request(taking) : error;
}

static enum ilea_error
take(struct taking *taking, bool *good)
{
    char reason[ILEA_REASON_SIZE];
    *good = is_acceptable(taking);
    enum ilea_error error = ILEA_ERROR_NONE;
    if (*good) error = check_invite(taking, good);
    if (error == ILEA_ERROR_NONE && *good) error = check_known(taking, good);
    if (error != ILEA_ERROR_NONE || !*good) return error;
    taking->agency.manifest = taking->request.card.manifest;
    error = ilea_agency_check_code(taking->txn, &taking->agency, reason);
    if (error == ILEA_ERROR_INVALID) { /* it bears the name of one that we know */
        *good = refuse(taking, &taking->desk->counts.known);
        return ILEA_ERROR_NONE;
    }
    if (error != ILEA_ERROR_NONE) return error;
    if (!taking->came->has_invite && !ilea_bucket_take(&taking->desk->taken, &uninvited, taking->now_ms)) {
        *good = refuse(taking, &taking->desk->counts.full);
        return ILEA_ERROR_NONE;
    }
    error = make_room(taking, good);
    return error == ILEA_ERROR_NONE && *good ? store(taking, good) : error;
}

enum ilea_error
ilea_desk_take(struct ilea_desk *desk, struct ilea_node *node, const struct ilea_desk_request *request,
               uint64_t wall_ms, uint64_t now_ms, enum ilea_desk_outcome *outcome,
               struct ilea_control_agency *agency)
{
    struct taking *taking = calloc(1, sizeof *taking);
    *outcome = ILEA_DESK_IGNORED;
    if (taking == NULL) return ILEA_ERROR_NO_MEMORY;
    taking->desk = desk;
    taking->node = node;
    taking->txn = ilea_author_transaction(node->author);
    taking->identity = ilea_log_identity(node->log);
    taking->came = request;
    taking->wall_ms = wall_ms;
    taking->now_ms = now_ms;
    bool good;
    enum ilea_error error = take(taking, &good);
    if (error == ILEA_ERROR_NONE && good) {
        *outcome = ILEA_DESK_STORED;
        desk->counts.stored++;
        if (request->has_invite) desk->counts.invited++;
        *agency = (struct ilea_control_agency){ .id = taking->agency.row.id };
        (void)snprintf(agency->code, sizeof agency->code, "%.*s", (int)taking->request.card.manifest.code.size,
                       (const char *)taking->request.card.manifest.code.data);
    } else if (error == ILEA_ERROR_NONE) {
        (*taking->refusal)++;
    }
    ilea_wipe(&taking->invite, sizeof taking->invite);
    free(taking);
    return error;
}

static enum ilea_error
expire_invite(struct ilea_transaction *txn, uint64_t wall_ms)
{
    struct ilea_invite_row row;
    const uint8_t *after = NULL;
    enum ilea_error error;
    while ((error = ilea_log_invite_next(txn, after, &row)) == ILEA_ERROR_NONE) {
        after = row.id;
        if (row.expires_ms <= wall_ms) return ilea_log_delete_invite(txn, row.id);
    }
    return error;
}

enum ilea_error
ilea_desk_expire(struct ilea_node *node, uint64_t wall_ms)
{
    struct ilea_transaction *txn = ilea_author_transaction(node->author);
    enum ilea_clock clock;
    uint64_t last = 0;
    enum ilea_error error = ilea_trust_clock(txn, wall_ms, &clock, &last);
    if (error != ILEA_ERROR_NONE) return error;
    if (clock != ILEA_CLOCK_PLAUSIBLE) return ILEA_ERROR_NOT_FOUND;
    struct ilea_agency_row row;
    struct ilea_agency_id id;
    const struct ilea_agency_id *after = NULL;
    while ((error = ilea_log_agency_next(txn, after, &row)) == ILEA_ERROR_NONE) {
        id = row.id;
        after = &id;
        bool is_request = row.state == ILEA_AGENCY_PENDING && row.origin != ILEA_FROM_CARD;
        if (is_request && row.asked_ms + ILEA_DESK_EXPIRY_DAYS * day_ms <= wall_ms) {
            return drop(node, &id, "nobody decided");
        }
    }
    return error == ILEA_ERROR_NOT_FOUND ? expire_invite(txn, wall_ms) : error;
}

enum ilea_error
ilea_desk_invites(struct ilea_transaction *txn, uint64_t wall_ms, struct ilea_invite *invites, unsigned *count)
{
    struct ilea_invite_row row;
    const uint8_t *after = NULL;
    enum ilea_error error;
    *count = 0;
    while ((error = ilea_log_invite_next(txn, after, &row)) == ILEA_ERROR_NONE) {
        after = row.id;
        if (row.used || row.expires_ms <= wall_ms || *count == ILEA_LOBBY_INVITES_MAX) continue;
        memcpy(invites[*count].id, row.id, sizeof invites[*count].id);
        memcpy(invites[(*count)++].key, row.key, sizeof row.key);
    }
    ilea_wipe(&row, sizeof row);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

void
ilea_desk_seal(struct ilea_node *node, struct ilea_transaction *txn, const struct ilea_control_seal *seal,
               uint64_t wall_ms, struct ilea_control_sealed *sealed)
{
    uint8_t message[ILEA_LOBBY_MESSAGE_MAX];
    size_t size = 0;
    struct ilea_lobby_request request = { .note = seal->note, .made_ms = wall_ms, .has_invite = seal->has_invite };
    memcpy(request.invite, seal->invite, sizeof request.invite);
    *sealed = (struct ilea_control_sealed){ .error = ilea_log_card(txn, &request.card_bytes) };
    if (sealed->error == ILEA_ERROR_NONE) {
        sealed->error = ilea_lobby_request_encode(&request, &seal->challenge, &ilea_log_identity(node->log)->network,
                                                  node->keys.node, message, sizeof message, &size);
    }
    if (sealed->error == ILEA_ERROR_NONE
        && !ilea_lobby_seal(&seal->challenge.key, (struct ilea_span){ message, size }, sealed->sealed)) {
        sealed->error = ILEA_ERROR_MALFORMED;
    }
    if (sealed->error == ILEA_ERROR_NONE) {
        sealed->size = size + ILEA_SEAL_OVERHEAD;
    } else if (sealed->error == ILEA_ERROR_LIMIT) {
        (void)snprintf(sealed->reason, sizeof sealed->reason,
                       "our card has %lu bytes, too many for a lobby: send it as a file (ilea card --out FILE)",
                       (unsigned long)request.card_bytes.size);
    } else if (sealed->error == ILEA_ERROR_INVALID) {
        (void)snprintf(sealed->reason, sizeof sealed->reason,
                       "a note is one line of at most %d bytes, without control or invisible characters",
                       ILEA_NOTE_SIZE_MAX);
    } else {
        (void)snprintf(sealed->reason, sizeof sealed->reason, "no request was made: %s",
                       ilea_error_text(sealed->error));
    }
}
