/*
 * driver_ceremony.c - ceremonies in the daemon: what an admin's command asks, what the other side's node sends,
 * and the messages of both, signed and sealed. The command carries ours to the other lobby: this process makes
 * no connections.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/random.h"
#include "node/ceremony_check.h"
#include "node/chain.h"
#include "node/driver_state.h"

static struct call *
call_of(struct driver *driver, const struct ilea_agency_id *agency)
{
    struct call *free_place = NULL;
    for (unsigned i = 0; i < ILEA_CEREMONIES_MAX; i++) {
        struct call *call = &driver->lobby.calls[i];
        if (call->reply != NULL && memcmp(call->agency.bytes, agency->bytes, ILEA_ID_SIZE) == 0) return call;
        if (call->reply == NULL) free_place = call;
    }
    /* Of a ceremony that is over. */
    if (free_place == NULL) free_place = &driver->lobby.calls[0];
    return free_place;
}

static void
end_call(struct call *call)
{
    ilea_lobby_secret_free(call->reply);
    *call = (struct call){ .reply = NULL };
}

void
ilea_driver_end_ceremonies(struct driver *driver)
{
    for (unsigned i = 0; i < ILEA_CEREMONIES_MAX; i++) end_call(&driver->lobby.calls[i]);
    ilea_wipe(&driver->lobby.ceremonies, sizeof driver->lobby.ceremonies);
}

/* Sign a message of ours for a greeting; returns its size. */
static size_t
put_message(struct driver *driver, struct ilea_lobby_ceremony *message, const struct ilea_agency_id *to,
            const struct ilea_lobby_challenge *challenge, uint8_t bytes[ILEA_CEREMONY_SIZE_MAX])
{
    const struct ilea_log_identity *identity = ilea_log_identity(driver->node->log);
    message->from = identity->agency;
    message->to = *to;
    return ilea_lobby_ceremony_encode(message, challenge, &identity->network, driver->node->keys.node, bytes);
}

/* A message to us, from whom it says and for that greeting. */
static bool
is_genuine(struct driver *driver, struct ilea_span bytes, const struct ilea_lobby_ceremony *message,
           const struct ilea_lobby_challenge *challenge)
{
    const struct ilea_log_identity *identity = ilea_log_identity(driver->node->log);
    if (memcmp(message->to.bytes, identity->agency.bytes, ILEA_ID_SIZE) != 0) return false;
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    struct ilea_transaction *txn = NULL;
    bool genuine = manifest != NULL
        && ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn) == ILEA_ERROR_NONE
        && ilea_chain_last(txn, &message->from, manifest) == ILEA_ERROR_NONE
        && ilea_lobby_ceremony_verify(bytes, message, challenge, &identity->network, &manifest->node);
    ilea_transaction_abort(txn);
    free(manifest);
    return genuine;
}

/* Through our lobby. Who has no ceremony open with us hears nothing but "queued". */
void
ilea_driver_ceremony_came(struct driver *driver, uint32_t number, const struct ilea_lobby_challenge *challenge,
                          struct ilea_span bytes)
{
    struct ilea_lobby_ceremony message, answer = { .kind = ILEA_LOBBY_KIND_DONE };
    struct ilea_ceremonies *ceremonies = &driver->lobby.ceremonies;
    uint64_t now = ilea_monotonic_ms();
    if (ilea_lobby_ceremony_decode(bytes, &message) != ILEA_ERROR_NONE) {
        driver->lobby.desk.counts.unreadable++;
        return;
    }
    struct ilea_ceremony *ceremony = ilea_ceremony_find(ceremonies, &message.from, now);
    if (ceremony == NULL || !is_genuine(driver, bytes, &message, challenge)) return;
    if (!ilea_ceremony_receive(ceremonies, ceremony, &message, now, &answer)) return;
    uint8_t plain[ILEA_CEREMONY_SIZE_MAX], sealed[sizeof plain + ILEA_SEAL_OVERHEAD];
    size_t size = put_message(driver, &answer, &message.from, challenge, plain);
    if (!ilea_lobby_seal(&message.reply, (struct ilea_span){ plain, size }, sealed)) return;
    ilea_driver_send_link(driver, ILEA_LINK_LOBBY_REPLY, number,
                          (struct ilea_span){ sealed, size + ILEA_SEAL_OVERHEAD }, (struct ilea_span){ NULL, 0 });
}

/* The other lobby has greeted: what we have to say there. */
static void
greet(struct driver *driver, struct ilea_ceremony *ceremony, struct ilea_span bytes,
      struct ilea_control_ceremony *answer)
{
    struct call *call = call_of(driver, &ceremony->other.agency);
    struct ilea_lobby_ceremony message = { .kind = ILEA_LOBBY_KIND_DONE };
    uint8_t plain[ILEA_CEREMONY_SIZE_MAX];
    if (bytes.size != sizeof call->challenge.key.bytes + sizeof call->challenge.nonce) return;
    if (!ilea_ceremony_next(ceremony, ilea_monotonic_ms(), &message)) return;
    end_call(call);
    if (ilea_lobby_generate(&call->reply, &message.reply) != ILEA_ERROR_NONE) return;
    call->agency = ceremony->other.agency;
    memcpy(call->challenge.key.bytes, bytes.data, sizeof call->challenge.key.bytes);
    memcpy(call->challenge.nonce, bytes.data + sizeof call->challenge.key.bytes, sizeof call->challenge.nonce);
    size_t size = put_message(driver, &message, &ceremony->other.agency, &call->challenge, plain);
    if (!ilea_lobby_seal(&call->challenge.key, (struct ilea_span){ plain, size }, answer->sealed)) return;
    answer->size = size + ILEA_SEAL_OVERHEAD;
}

/* What it answered with. */
static void
take_answer(struct driver *driver, struct ilea_ceremony *ceremony, struct ilea_span bytes)
{
    struct call *call = call_of(driver, &ceremony->other.agency);
    uint8_t plain[ILEA_CEREMONY_SIZE_MAX];
    struct ilea_lobby_ceremony message;
    bool is_ours = call->reply != NULL
        && memcmp(call->agency.bytes, ceremony->other.agency.bytes, ILEA_ID_SIZE) == 0;
    if (!is_ours || bytes.size < ILEA_SEAL_OVERHEAD || bytes.size > sizeof plain + ILEA_SEAL_OVERHEAD) return;
    const struct ilea_span opened = { plain, bytes.size - ILEA_SEAL_OVERHEAD };
    if (ilea_lobby_unseal(call->reply, bytes, plain)
        && ilea_lobby_ceremony_decode(opened, &message) == ILEA_ERROR_NONE
        && memcmp(message.from.bytes, ceremony->other.agency.bytes, ILEA_ID_SIZE) == 0
        && is_genuine(driver, opened, &message, &call->challenge)) {
        ilea_ceremony_answered(&driver->lobby.ceremonies, ceremony, &message, ilea_monotonic_ms());
    }
    end_call(call);
}

/* Both sides of the ceremony, and where the other one's lobby is. `agency` is large. */
static enum ilea_error
find_sides(struct driver *driver, const char *name, struct ilea_agency *agency, struct ilea_sas_side *own,
           struct ilea_sas_side *other, char *reason)
{
    struct ilea_transaction *txn = NULL;
    const struct ilea_agency_id *own_id = &ilea_log_identity(driver->node->log)->agency;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_agency_find(txn, name, agency);
    if (error == ILEA_ERROR_NONE && agency->row.state == ILEA_AGENCY_SELF) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "that is this node itself");
        error = ILEA_ERROR_INVALID;
    } else if (error == ILEA_ERROR_NOT_FOUND) {
        (void)snprintf(reason, ILEA_REASON_SIZE, "no agency %.40s; see: ilea peer list", name);
    } else if (error == ILEA_ERROR_EXISTS) {
        (void)snprintf(reason, ILEA_REASON_SIZE,
                       "several agencies are called %.40s; name it by its id (ilea peer list)", name);
        error = ILEA_ERROR_INVALID;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_ceremony_sides(txn, own_id, &agency->row.id, own, other);
    ilea_transaction_abort(txn);
    return error;
}

static void
fill_answer(struct driver *driver, struct ilea_ceremony *ceremony, const struct ilea_agency *agency,
            struct ilea_control_ceremony *answer)
{
    struct ilea_sas sas;
    uint64_t now = ilea_monotonic_ms();
    answer->agency = agency->row.id;
    (void)snprintf(answer->code, sizeof answer->code, "%.*s", (int)agency->manifest.code.size,
                   (const char *)agency->manifest.code.data);
    answer->state = ilea_ceremony_state(ceremony);
    answer->is_other_card = ceremony->is_other_card;
    if (agency->row.lobby.size > 0 && ilea_ceremony_has_next(ceremony, now)) {
        (void)snprintf(answer->endpoint, sizeof answer->endpoint, "%.*s", (int)agency->row.lobby.size,
                       (const char *)agency->row.lobby.data);
    }
    if (answer->state != ILEA_CEREMONY_DONE
        || !ilea_ceremony_result(&driver->lobby.ceremonies, &ceremony->own, &ceremony->other, now, &sas)) {
        return;
    }
    memcpy(answer->digits, sas.digits, sizeof answer->digits);
    (void)snprintf(answer->words, sizeof answer->words, "%s %s %s %s", sas.words[0], sas.words[1], sas.words[2],
                   sas.words[3]);
}

static void
serve(struct driver *driver, const struct ilea_control_ask *ask, struct ilea_agency *agency,
      struct ilea_control_ceremony *answer)
{
    struct ilea_sas_side own, other;
    answer->error = find_sides(driver, ask->name, agency, &own, &other, answer->reason);
    if (answer->error != ILEA_ERROR_NONE) return;
    struct ilea_ceremony *ceremony =
        ilea_ceremony_open(&driver->lobby.ceremonies, &own, &other, ilea_monotonic_ms());
    if (ceremony == NULL) {
        answer->error = ILEA_ERROR_BUSY;
        (void)snprintf(answer->reason, sizeof answer->reason, "codes are being compared with %d agencies: wait",
                       ILEA_CEREMONIES_MAX);
        return;
    }
    if (ask->verb == ILEA_VERB_GREET) greet(driver, ceremony, ask->bytes, answer);
    if (ask->verb == ILEA_VERB_ANSWER) take_answer(driver, ceremony, ask->bytes);
    fill_answer(driver, ceremony, agency, answer);
    /* Once nonces are exchanged, ending it here could leave the other side alone with its code. */
    bool is_under_way = answer->state == ILEA_CEREMONY_EXCHANGING || answer->state == ILEA_CEREMONY_DONE;
    if (ask->verb == ILEA_VERB_END && !is_under_way) ilea_ceremony_close(ceremony);
}

void
ilea_driver_ceremony(struct driver *driver, struct ilea_control_client *client, struct ilea_span body)
{
    struct ilea_control_ask ask;
    struct ilea_control_ceremony answer = { .error = ilea_control_get_ask(body, &ask) };
    struct ilea_agency *agency = malloc(sizeof *agency);
    if (answer.error == ILEA_ERROR_NONE && agency == NULL) answer.error = ILEA_ERROR_NO_MEMORY;
    if (answer.error == ILEA_ERROR_NONE) serve(driver, &ask, agency, &answer);
    if (answer.error != ILEA_ERROR_NONE && answer.reason[0] == '\0') {
        (void)snprintf(answer.reason, sizeof answer.reason, "no code: %s", ilea_error_text(answer.error));
    }
    free(agency);
    ilea_control_put_ceremony(&client->answer, &answer);
    ilea_driver_tend_lobby(driver, ilea_monotonic_ms()); /* the door knows at once that one is open */
}
