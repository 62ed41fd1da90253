/*
 * driver_requests.c - what the command line asks over the control socket.
 */
#include <stdio.h>
#include <stdlib.h>

#include "node/driver_state.h"

/* Go on with a PUTS request; false if it has to wait. */
static bool
do_puts(struct driver *driver, struct ilea_control_client *client, struct ilea_span body,
        struct ilea_put *put)
{
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, body);
    uint32_t count = ilea_msgpack_get_array(&reader, ILEA_CONTROL_PUTS_MAX);
    if (!client->is_answering) {
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
        ilea_transaction_abort(txn);
    }
    for (uint32_t i = 0; i < ILEA_LINKS_MAX; i++) {
        struct ilea_link_status link;
        ilea_replicator_link_status(driver->replicator, i, &link);
        if (!link.exists) continue;
        status.links[status.link_count++] = (struct ilea_control_link){
            link.agency, link.ready, link.known, link.lag_commits, link.missing_commits };
    }
    ilea_control_put_status(&client->answer, &status);
}

static void
do_agency(struct driver *driver, struct ilea_control_client *client,
          const struct ilea_control_frame *frame)
{
    struct ilea_control_agency answer = { .error = ILEA_ERROR_NONE };
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, frame->body);
    ilea_msgpack_expect_array(&reader, 1);
    struct ilea_span argument = ilea_msgpack_get_bin(&reader, ILEA_CONTROL_FRAME_MAX);
    ilea_driver_commit_turn(driver); /* a decision has a transaction of its own: it may fail alone */
    enum ilea_error error = ilea_driver_transaction(driver);
    if (error == ILEA_ERROR_NONE && !reader.failed) {
        error = ilea_agency_control(driver->node->author, ilea_log_identity(driver->node->log),
                                    frame->kind, argument, ilea_wall_ms(), &answer);
    }
    struct ilea_agency *agency = malloc(sizeof *agency);
    if (agency == NULL && error == ILEA_ERROR_NONE) error = ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE && answer.error == ILEA_ERROR_NONE) {
        error = ilea_agency_load(ilea_author_transaction(driver->node->author), &answer.id, agency);
        ilea_driver_commit_turn(driver);
        if (error == ILEA_ERROR_NONE) ilea_driver_apply_agency(driver, agency);
    } else {
        ilea_author_abort(driver->node->author);
    }
    if (error != ILEA_ERROR_NONE) {
        answer.error = error;
        (void)snprintf(answer.reason, sizeof answer.reason, "not done: %s", ilea_error_text(error));
    }
    free(agency);
    ilea_control_put_agency(&client->answer, &answer);
}

void
ilea_driver_serve_client(struct driver *driver, struct ilea_control_client *client, struct ilea_put *put,
             size_t *budget)
{
    struct ilea_control_frame frame;
    size_t size;
    while (*budget > 0 && !client->waits_for_view && ilea_control_client_request(client, &frame, &size)) {
        switch (frame.kind) {
        case ILEA_CONTROL_PUTS:
            if (!do_puts(driver, client, frame.body, put)) return;
            break;
        case ILEA_CONTROL_STATUS: answer_status(driver, client); break;
        case ILEA_CONTROL_CARD:
        case ILEA_CONTROL_APPROVE: do_agency(driver, client, &frame); break;
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
