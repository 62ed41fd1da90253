/*
 * driver_requests.c - what the command line asks over the control socket.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/control_audience.h"
#include "node/control_erase.h"
#include "node/control_held.h"
#include "node/driver_state.h"
#include "node/trust.h"

/* What ilea.conf says of four eyes counts from now on. What is wrong with it the command line, which reads it too,
 * says. */
static bool
look_at_policy(struct driver *driver)
{
    char reason[ILEA_REASON_SIZE];
    if (ilea_node_policy_again(driver->node, reason) != ILEA_ERROR_NONE) return true;
    enum ilea_error error = ilea_driver_transaction(driver);
    if (error == ILEA_ERROR_NONE) error = ilea_node_note_four_eyes(driver->node);
    if (error != ILEA_ERROR_NONE) ilea_driver_recover(driver, "note", error);
    return error == ILEA_ERROR_NONE;
}

/* Go on with a PUTS request; false if it has to wait. */
static bool
do_puts(struct driver *driver, struct ilea_control_client *client, struct ilea_span body,
        struct ilea_put *put)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    uint32_t count = ilea_msgpack_get_array(&reader, ILEA_CONTROL_PUTS_MAX);
    if (!client->is_answering) {
        if (!look_at_policy(driver)) return false;
        client->is_answering = true;
        client->put_index = 0;
        ilea_msgpack_put_array(&client->answer, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct ilea_span bytes = ilea_msgpack_get_bin(&reader, ILEA_CONTROL_FRAME_MAX);
        if (i < client->put_index) continue;
        struct ilea_put_result result = { .outcome = 0 };
        enum ilea_error error = reader.failed ? ILEA_ERROR_MALFORMED : ilea_put_decode(bytes, put);
        if (error == ILEA_ERROR_NONE) {
            error = ilea_driver_transaction(driver);
            if (error == ILEA_ERROR_NONE) error = ilea_author_put(driver->node->author, put, &result);
            if (error == ILEA_ERROR_BUSY && driver->view_is_full) error = ILEA_ERROR_FULL;
            if (error == ILEA_ERROR_BUSY) {
                client->waits_for_view = true;
                return false;
            }
            if (error != ILEA_ERROR_NONE && !ilea_author_refuses(error)) {
                ilea_driver_recover(driver, "write", error);
                return false;
            }
        }
        ilea_control_put_result(&client->answer, error, &result);
        client->put_index = i + 1;
    }
    return true;
}

static void
answer_status(struct driver *driver, struct ilea_control_client *client)
{
    struct ilea_control_status status = { .position = ilea_author_position(driver->node->author),
                                          .view_position = driver->view_position,
                                          .link_restarts = driver->link_restarts };
    struct ilea_transaction *txn = NULL;
    if (ilea_transaction_begin(ilea_log_environment(driver->node->log), false, &txn) == ILEA_ERROR_NONE) {
        (void)!ilea_log_last(txn, &status.position);
        ilea_driver_tell_gaps(driver, txn, &status);
        ilea_transaction_abort(txn);
    }
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        struct ilea_link_status link;
        ilea_replicator_link_status(driver->replicator, i, &link);
        if (!link.exists) continue;
        status.links[status.link_count++] = (struct ilea_control_link){
            link.agency, link.ready, link.known, link.lag_commits, link.missing_commits,
            link.waiting };
    }
    ilea_control_put_status(&client->answer, &status);
}

/* How far the peers that have links acknowledged some feeds. */
static void
answer_held(struct driver *driver, struct ilea_control_client *client, struct ilea_span body)
{
    struct ilea_control_held held = { .feed_count = 0 };
    struct ilea_feed_id feeds[ILEA_HELD_FEEDS_MAX];
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    held.feed_count = ilea_msgpack_get_array(&reader, ILEA_HELD_FEEDS_MAX);
    for (uint32_t i = 0; i < held.feed_count; i++) {
        ilea_msgpack_get_bytes(&reader, feeds[i].bytes, sizeof feeds[i].bytes);
    }
    for (uint32_t i = 0; i < ILEA_LINKS_MAX && ilea_msgpack_reader_done(&reader); i++) {
        if (!driver->peers[i].exists) continue;
        uint32_t at = held.link_count++;
        held.links[at].agency = driver->peers[i].agency;
        for (uint32_t j = 0; j < held.feed_count; j++) {
            held.links[at].seqs[j] = ilea_replicator_acknowledged(driver->replicator, i, &feeds[j]);
        }
    }
    ilea_control_put_held(&client->answer, &held);
}

/* End a decision's own transaction. What failed for reasons of ours goes into `reason`. */
static enum ilea_error
end_decision(struct driver *driver, enum ilea_error error, enum ilea_error refused, const struct ilea_agency_id *agency,
             char *reason)
{
    if (error == ILEA_ERROR_NONE && refused == ILEA_ERROR_NONE) {
        ilea_driver_commit_turn(driver);
        if (driver->trouble) error = ILEA_ERROR_IO;
        if (error == ILEA_ERROR_NONE && agency != NULL) error = ilea_driver_apply(driver, agency);
    } else {
        ilea_author_abort(driver->node->author);
    }
    if (error == ILEA_ERROR_NONE) return refused;
    (void)snprintf(reason, ILEA_REASON_SIZE, "not done: %s", ilea_error_text(error));
    return error;
}

static void
do_card(struct driver *driver, struct ilea_control_client *client, struct ilea_span body)
{
    struct ilea_control_agency answer = { .error = ILEA_ERROR_NONE };
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    ilea_msgpack_expect_array(&reader, 1);
    struct ilea_span text = ilea_msgpack_get_bin(&reader, ILEA_CONTROL_FRAME_MAX);
    ilea_driver_commit_turn(driver); /* a transaction of its own: it may fail alone */
    enum ilea_error error = reader.failed ? ILEA_ERROR_MALFORMED : ilea_driver_transaction(driver);
    if (error == ILEA_ERROR_NONE) error = ilea_agency_card(driver->node, text, ilea_wall_ms(), &answer);
    answer.error = end_decision(driver, error, answer.error, &answer.id, answer.reason);
    ilea_control_put_agency(&client->answer, &answer);
}

/* Whether a request is to be asked again once the view has come further. */
static bool
has_to_wait(struct driver *driver, struct ilea_control_client *client, enum ilea_error *error)
{
    if (*error != ILEA_ERROR_BUSY) return false;
    if (driver->view_is_full) *error = ILEA_ERROR_FULL;
    if (*error != ILEA_ERROR_BUSY) return false;
    ilea_author_abort(driver->node->author);
    client->waits_for_view = true;
    return true;
}

/* False: it has to wait. */
static bool
do_decide(struct driver *driver, struct ilea_control_client *client, struct ilea_span body)
{
    struct ilea_control_decision answer = { .error = ILEA_ERROR_NONE };
    struct ilea_trust_request *request = malloc(sizeof *request);
    ilea_driver_commit_turn(driver);
    enum ilea_error error =
        request != NULL ? ilea_control_get_request(body, request) : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) answer.error = ilea_node_policy_again(driver->node, answer.reason);
    if (error == ILEA_ERROR_NONE && answer.error == ILEA_ERROR_NONE) {
        error = ilea_driver_transaction(driver);
        if (error == ILEA_ERROR_NONE) error = ilea_trust_decide(driver->node, request, ilea_wall_ms(), &answer);
    }
    free(request);
    if (has_to_wait(driver, client, &error)) return false;
    answer.error = end_decision(driver, error, answer.error, answer.has_agency ? &answer.agency : NULL, answer.reason);
    if (answer.error == ILEA_ERROR_NONE) {
        ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "decided", "what", answer.kind, "agency", answer.code,
                          "outcome", answer.outcome == ILEA_DECISION_DONE ? "done" : "waiting", NULL);
    }
    if (answer.error == ILEA_ERROR_NONE && answer.own_changed) driver->reloading = true;
    if (answer.error == ILEA_ERROR_NONE && strcmp(answer.kind, "peer.invite") == 0) ilea_driver_tell_invites(driver);
    ilea_control_put_decision(&client->answer, &answer);
    return true;
}

/* False: it has to wait. */
static bool
do_erase(struct driver *driver, struct ilea_control_client *client, struct ilea_span body)
{
    struct ilea_control_erased answer = { .error = ILEA_ERROR_NONE };
    struct ilea_control_erase *erase = malloc(sizeof *erase);
    ilea_driver_commit_turn(driver); /* a transaction of its own: it may fail alone */
    enum ilea_error error = erase != NULL ? ilea_control_get_erase(body, erase) : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) answer.error = ilea_node_policy_again(driver->node, answer.result.reason);
    if (error == ILEA_ERROR_NONE && answer.error == ILEA_ERROR_NONE) {
        const struct ilea_erase_request request =
            ilea_control_erase_request(erase, driver->node->config.erase_day);
        error = ilea_driver_transaction(driver);
        if (error == ILEA_ERROR_NONE) error = ilea_author_erase(driver->node->author, &request, &answer.result);
        if (answer.result.reason[0] != '\0') {
            answer.error = error;
            error = ILEA_ERROR_NONE;
        }
    }
    free(erase);
    if (has_to_wait(driver, client, &error)) return false;
    answer.error = end_decision(driver, error, answer.error, NULL, answer.result.reason);
    if (answer.error == ILEA_ERROR_NONE) {
        ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "erased", NULL);
    }
    ilea_control_put_erased(&client->answer, &answer);
    return true;
}

static void
do_audience(struct driver *driver, struct ilea_control_client *client, struct ilea_span body)
{
    struct ilea_control_audience answer = { .error = ILEA_ERROR_NONE };
    struct ilea_audience_request *request = malloc(sizeof *request);
    ilea_driver_commit_turn(driver); /* a transaction of its own: it may fail alone */
    enum ilea_error error =
        request != NULL ? ilea_control_get_audience(body, request) : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_driver_transaction(driver);
    if (error == ILEA_ERROR_NONE) error = ilea_author_change_audience(driver->node->author, request, &answer.result);
    if (answer.result.reason[0] != '\0') {
        answer.error = error;
        error = ILEA_ERROR_NONE;
    }
    free(request);
    answer.error = end_decision(driver, error, answer.error, NULL, answer.result.reason);
    if (answer.error == ILEA_ERROR_NONE) ilea_logger_write(&driver->logger, ILEA_LEVEL_INFO, "audience_changed", NULL);
    ilea_control_put_audience_answer(&client->answer, &answer);
}

/* Approvals that are over end; as long as the clock cannot be right, none does. */
void
ilea_driver_check_grants(struct driver *driver)
{
    struct ilea_agency_id agency;
    enum ilea_error error = ILEA_ERROR_NONE;
    ilea_driver_commit_turn(driver);
    while (error == ILEA_ERROR_NONE && !driver->trouble) {
        error = ilea_driver_transaction(driver);
        if (error == ILEA_ERROR_NONE) error = ilea_trust_expire(driver->node, ilea_wall_ms(), &agency);
        if (error != ILEA_ERROR_NONE) break;
        ilea_driver_commit_turn(driver);
        if (!driver->trouble) error = ilea_driver_apply(driver, &agency);
        ilea_logger_write(&driver->logger, ILEA_LEVEL_WARNING, "approval_expired", NULL);
    }
    ilea_author_abort(driver->node->author);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) ilea_driver_log_error(driver, "expire", error);
}

/* It may commit in the middle: until it is done the client is answering, so that earlier answers that are sent then do
 * not move the place of this one. */
static void
do_bundle(struct driver *driver, struct ilea_control_client *client, struct ilea_span body)
{
    struct ilea_control_chunk chunk;
    struct ilea_control_bundle answer = { .error = ilea_control_get_chunk(body, &chunk) };
    client->is_answering = true;
    if (answer.error == ILEA_ERROR_NONE) ilea_driver_bundle(driver, client->serial, &chunk, &answer);
    if (client->fd >= 0) ilea_control_put_bundle(&client->answer, &answer); /* else dropped by trouble */
}

static void
do_document(struct driver *driver, struct ilea_control_client *client, struct ilea_span body)
{
    struct ilea_blob_id root;
    uint32_t damaged;
    struct ilea_control_document answer = { .state = ILEA_DOCUMENT_UNKNOWN };
    if (ilea_control_get_wanted(body, &root, &damaged) == ILEA_ERROR_NONE) {
        ilea_driver_want_document(driver, &root, damaged, &answer);
    }
    if (client->fd >= 0) ilea_control_put_document(&client->answer, &answer); /* else dropped by trouble */
}

void
ilea_driver_serve_client(struct driver *driver, struct ilea_control_client *client, struct ilea_put *put,
             size_t *budget)
{
    struct ilea_control_frame frame;
    size_t size;
    while (*budget > 0 && !client->waits_for_view && !driver->reloading
           && ilea_control_client_request(client, &frame, &size)) {
        switch (frame.kind) {
        case ILEA_CONTROL_PUTS:
            if (!do_puts(driver, client, frame.body, put)) return;
            break;
        case ILEA_CONTROL_STATUS: answer_status(driver, client); break;
        case ILEA_CONTROL_CARD: do_card(driver, client, frame.body); break;
        case ILEA_CONTROL_DECIDE:
            if (!do_decide(driver, client, frame.body)) return;
            break;
        case ILEA_CONTROL_ERASE:
            if (!do_erase(driver, client, frame.body)) return;
            break;
        case ILEA_CONTROL_AUDIENCE: do_audience(driver, client, frame.body); break;
        case ILEA_CONTROL_SEAL: ilea_driver_seal(driver, client, frame.body); break;
        case ILEA_CONTROL_CEREMONY: ilea_driver_ceremony(driver, client, frame.body); break;
        case ILEA_CONTROL_LOBBY: ilea_driver_lobby_status(driver, client); break;
        case ILEA_CONTROL_COMPACT:
            if (!client->is_compacted) { /* once everything is closed; the request is still here afterwards */
                client->wants_compacting = driver->reloading = true;
                return;
            }
            client->is_compacted = false;
            ilea_control_put_compacted(&client->answer, &client->compacted);
            break;
        case ILEA_CONTROL_BUNDLE: do_bundle(driver, client, frame.body); break;
        case ILEA_CONTROL_DOCUMENT: do_document(driver, client, frame.body); break;
        case ILEA_CONTROL_HELD: answer_held(driver, client, frame.body); break;
        }
        if (client->fd < 0) return; /* dropped by trouble */
        if (client->answer.failed) {
            ilea_control_client_drop(client);
            return;
        }
        ilea_control_client_finish(client, frame.kind, size);
        *budget -= size < *budget ? size : *budget;
    }
}
