/* command_verify_peer.c - peer verify: the code that both sides show. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "node/ceremony_check.h"
#include "node/command_act.h"
#include "node/command_peer.h"
#include "node/lobby_client.h"

enum { VERIFY_WAIT_SECONDS = 20, ASK_MS = 250, UNDER_WAY_MS = 8000 };

/* A ceremony, as the daemon tells us of it. */
struct verifying {
    const struct ilea_command *command;
    const char *name;
    int fd;                               /* to the daemon; -1: none runs */
    uint8_t *buffer;                      /* ILEA_CONTROL_FRAME_MAX */
    struct ilea_control_ceremony now;
    struct ilea_lobby_connection connection;
    bool is_terminal, has_line;
};

static enum ilea_error
ask(struct verifying *verifying, enum ilea_ceremony_verb verb, struct ilea_span bytes)
{
    struct ilea_control_ask question = { .verb = verb, .bytes = bytes };
    struct ilea_msgpack_writer body;
    struct ilea_control_frame frame;
    (void)snprintf(question.name, sizeof question.name, "%s", verifying->name);
    ilea_msgpack_writer_init(&body, verifying->buffer + ILEA_CONTROL_HEADER, 4096);
    ilea_control_put_ask(&body, &question);
    if (body.failed) return ILEA_ERROR_LIMIT;
    ilea_control_put_header(verifying->buffer, ILEA_CONTROL_CEREMONY, body.size);
    enum ilea_error error = ilea_control_send(verifying->fd, verifying->buffer, ILEA_CONTROL_HEADER + body.size);
    if (error == ILEA_ERROR_NONE) error = ilea_control_receive(verifying->fd, verifying->buffer, &frame);
    if (error == ILEA_ERROR_NONE && frame.kind != ILEA_CONTROL_CEREMONY) error = ILEA_ERROR_MALFORMED;
    if (error == ILEA_ERROR_NONE) error = ilea_control_get_ceremony(frame.body, &verifying->now);
    return error;
}

/* Bring the daemon's message to the other side's lobby, and the answer back. Whatever fails is tried again. */
static void
carry(struct verifying *verifying, const char *endpoint)
{
    char reason[ILEA_CALL_REASON_SIZE];
    struct ilea_lobby_connection *connection = &verifying->connection;
    if (ilea_lobby_connect(connection, endpoint, NULL, reason) == ILEA_ERROR_NONE) {
        uint8_t greeting[sizeof connection->challenge.key.bytes + sizeof connection->challenge.nonce];
        memcpy(greeting, connection->challenge.key.bytes, sizeof connection->challenge.key.bytes);
        memcpy(greeting + sizeof connection->challenge.key.bytes, connection->challenge.nonce,
               sizeof connection->challenge.nonce);
        enum ilea_error error = ask(verifying, ILEA_VERB_GREET, (struct ilea_span){ greeting, sizeof greeting });
        const struct ilea_lobby_frame message = { .type = ILEA_LOBBY_CEREMONY,
                                                  .sealed = { verifying->now.sealed, verifying->now.size } };
        struct ilea_lobby_frame answer;
        if (error == ILEA_ERROR_NONE && verifying->now.size > 0
            && ilea_lobby_exchange(connection, &message, &answer) == ILEA_ERROR_NONE && answer.reply.size > 0) {
            (void)!ask(verifying, ILEA_VERB_ANSWER, answer.reply);
        }
    }
    ilea_lobby_disconnect(connection);
}

static void
show_progress(struct verifying *verifying, uint64_t left_ms)
{
    if (!verifying->is_terminal) return;
    verifying->has_line = true;
    bool exchanges = verifying->now.state == ILEA_CEREMONY_EXCHANGING;
    (void)fprintf(stderr, "\r%s %.40s: %llu s   ", exchanges ? "exchanging with" : "waiting for", verifying->now.code,
                  (unsigned long long)(left_ms / 1000));
    (void)fflush(stderr);
}

/* Ask and carry until there is a code, or nobody has answered in time. */
static enum ilea_error
wait_for_code(struct verifying *verifying, uint64_t wait_ms)
{
    const struct ilea_span nothing = { NULL, 0 };
    uint64_t now_ms = ilea_monotonic_ms(), end_ms = now_ms + wait_ms;
    enum ilea_error error = ask(verifying, ILEA_VERB_ASK, nothing);
    while (error == ILEA_ERROR_NONE && verifying->now.error == ILEA_ERROR_NONE
           && verifying->now.state != ILEA_CEREMONY_DONE && verifying->now.state != ILEA_CEREMONY_BROKEN) {
        now_ms = ilea_monotonic_ms();
        bool is_under_way = verifying->now.state == ILEA_CEREMONY_EXCHANGING;
        if (now_ms >= end_ms + (is_under_way ? UNDER_WAY_MS : 0)) break;
        show_progress(verifying, now_ms < end_ms ? end_ms - now_ms : 0);
        char endpoint[sizeof verifying->now.endpoint];
        memcpy(endpoint, verifying->now.endpoint, sizeof endpoint);
        if (endpoint[0] != '\0') carry(verifying, endpoint);
        else ilea_command_pause(ASK_MS);
        error = ask(verifying, ILEA_VERB_ASK, nothing);
    }
    if (verifying->has_line) (void)fputs("\r                                              \r", stderr);
    /* The answer says how it stood: it may have come to nonces at the last moment. */
    if (error == ILEA_ERROR_NONE && verifying->now.error == ILEA_ERROR_NONE) {
        error = ask(verifying, ILEA_VERB_END, nothing);
    }
    return error;
}

static int
print(const struct ilea_command *command, const char *code, const struct ilea_agency_id *agency, bool is_online,
      const char *digits, const char *words)
{
    char id[2 * ILEA_ID_SIZE + 1];
    ilea_command_hex(agency->bytes, ILEA_ID_SIZE, id);
    if (command->json) {
        ilea_command_print(json_pack("{s:s,s:s,s:s,s:s,s:s}", "agency", code, "agency_id", id, "code", digits, "words",
                                     words, "how", is_online ? "online" : "offline"));
        return 0;
    }
    (void)printf("%.4s %s\n%s\n", digits, digits + 4, words);
    if (is_online) {
        (void)printf("Read digits and words to %s's admin by phone, and let them\n"
                     "read theirs: both sides show the same.\n", code);
    } else {
        (void)printf("Offline: %s's node did not answer here. Read the words, too, and\n"
                     "let them read theirs; both must show an offline code.\n", code);
    }
    if (is_online) {
        (void)printf("If all is equal: ilea peer approve %s --code %s\n", code, digits);
    } else {
        (void)printf("If all is equal: ilea peer approve %s --code '%s %s'\n", code, digits, words);
    }
    (void)puts("If not, somebody stands between you: approve nothing, ask for the card again.");
    return 0;
}

/* The code of the two manifests, from the log. */
static int
print_offline(const struct ilea_command *command)
{
    struct ilea_command_act act;
    struct ilea_sas_side own, other;
    struct ilea_sas sas;
    char words[ILEA_SAS_WORDS * (ILEA_SAS_WORD_SIZE_MAX + 1)], code_text[ILEA_CODE_SIZE_MAX + 1];
    struct ilea_agency *agency = malloc(sizeof *agency);
    if (agency == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = ilea_command_act_begin(&act, command, "peer.verify", false);
    if (code == 0) code = ilea_command_act_agency(&act, command->words[2], agency);
    if (code == 0) {
        enum ilea_error error = ilea_ceremony_sides(act.txn, &ilea_log_identity(act.log)->agency, &agency->row.id, &own,
                                                    &other);
        if (error == ILEA_ERROR_NONE) error = ilea_sas_offline(&own, &other, &sas);
        if (error != ILEA_ERROR_NONE) {
            code = ilea_command_fail(ilea_exit_code(error), "no code: %s", ilea_error_text(error));
        }
    }
    if (code == 0) {
        (void)snprintf(words, sizeof words, "%s %s %s %s", sas.words[0], sas.words[1], sas.words[2], sas.words[3]);
        (void)snprintf(code_text, sizeof code_text, "%.*s", (int)agency->manifest.code.size,
                       (const char *)agency->manifest.code.data);
        code = print(command, code_text, &agency->row.id, false, sas.digits, words);
    }
    free(agency);
    ilea_command_act_end(&act);
    return code;
}

static int
report(struct verifying *verifying, enum ilea_error error)
{
    const struct ilea_control_ceremony *now = &verifying->now;
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(EX_TEMPFAIL, "the daemon ended meanwhile: try again");
    }
    if (now->error != ILEA_ERROR_NONE) return ilea_command_fail(ilea_exit_code(now->error), "%s", now->reason);
    if (now->state == ILEA_CEREMONY_DONE && now->digits[0] != '\0') {
        return print(verifying->command, now->code, &now->agency, true, now->digits, now->words);
    }
    if (now->is_other_card) {
        return ilea_command_fail(EX_DATAERR,
                                 "%s's node has other keys than the card that is known here: take its newest "
                                 "card (ilea peer add FILE), give it yours, and verify again",
                                 now->code);
    }
    if (now->state == ILEA_CEREMONY_BROKEN) {
        return ilea_command_fail(EX_PROTOCOL,
                                 "%s's node broke the rules of the exchange: make sure whom you talk to, then "
                                 "run this again on both sides",
                                 now->code);
    }
    if (now->state == ILEA_CEREMONY_EXCHANGING) {
        return ilea_command_fail(EX_TEMPFAIL, "the exchange with %s broke off: run this again on both sides",
                                 now->code);
    }
    return print_offline(verifying->command);
}

int
ilea_command_peer_verify(const struct ilea_command *command)
{
    uint64_t wait_ms = 0;
    if (command->word_count != 3) return ilea_command_usage("peer verify takes one agency");
    int code = ilea_command_wait(command, VERIFY_WAIT_SECONDS, &wait_ms);
    if (code != 0) return code;
    struct verifying *verifying = calloc(1, sizeof *verifying);
    if (verifying == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    verifying->command = command;
    verifying->name = command->words[2];
    verifying->is_terminal = isatty(STDERR_FILENO) == 1;
    verifying->fd = -1;
    verifying->buffer = malloc(ILEA_CONTROL_FRAME_MAX);
    bool has_daemon = verifying->buffer != NULL && wait_ms > 0
        && ilea_control_connect(command->home, &verifying->fd) == ILEA_ERROR_NONE;
    code = has_daemon ? report(verifying, wait_for_code(verifying, wait_ms)) : print_offline(command);
    if (has_daemon) close(verifying->fd);
    free(verifying->buffer);
    free(verifying);
    return code;
}
