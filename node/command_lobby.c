/* command_lobby.c - peer request and peer invite: asking to be let in, and letting ask. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "crypto/random.h"
#include "node/command_act.h"
#include "node/command_peer.h"
#include "node/date.h"
#include "node/lobby_client.h"
#include "node/lobby_desk.h"

enum { REQUEST_WAIT_SECONDS = 20, WAIT_SECONDS_MAX = 600 };

static const uint64_t day_ms = 24 * 60 * 60 * 1000;

int
ilea_command_wait(const struct ilea_command *command, uint64_t seconds, uint64_t *wait_ms)
{
    if (command->wait != NULL && (!ilea_command_number(command->wait, &seconds) || seconds > WAIT_SECONDS_MAX)) {
        return ilea_command_usage("--wait takes seconds, at most 600");
    }
    *wait_ms = seconds * 1000;
    return 0;
}

void
ilea_command_pause(long ms)
{
    const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    (void)nanosleep(&pause, NULL);
}

/* Clocks that are a day apart would make them drop the request without a word. */
static int
check_clock(const struct ilea_lobby_connection *connection)
{
    uint64_t theirs = (uint64_t)connection->minutes * 60000, ours = ilea_wall_ms();
    if ((theirs > ours ? theirs - ours : ours - theirs) <= day_ms) return 0;
    char one[ILEA_TIME_SIZE], other[ILEA_TIME_SIZE];
    ilea_time_format(theirs, one);
    ilea_time_format(ours, other);
    return ilea_command_fail(EX_DATAERR,
                             "their clock says %s and ours %s (UTC): set the one that is wrong; nothing was "
                             "sent",
                             one, other);
}

/* A request being brought to a lobby. */
struct asking {
    const struct ilea_command *command;
    const char *endpoint;
    struct ilea_writer *writer;
    bool has_invite;
    struct ilea_invite invite;
    struct ilea_lobby_connection connection;
    struct ilea_control_sealed sealed;
    struct ilea_lobby_frame answer;
};

/* One try: EX_TEMPFAIL: the lobby had no time for us, and nothing was said about it yet. */
static int
ask_once(struct asking *asking, char *reason)
{
    const char *note = asking->command->note != NULL ? asking->command->note : "";
    enum ilea_error error = ilea_lobby_connect(&asking->connection, asking->endpoint,
                                               asking->has_invite ? asking->invite.id : NULL, reason);
    if (error == ILEA_ERROR_BUSY) return EX_TEMPFAIL;
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(error == ILEA_ERROR_NOT_FOUND ? EX_UNAVAILABLE : ilea_exit_code(error), "%s", reason);
    }
    int code = check_clock(&asking->connection);
    if (code != 0) return code;
    struct ilea_control_seal seal = { .challenge = asking->connection.challenge,
                                      .note = { (const uint8_t *)note, strlen(note) },
                                      .has_invite = asking->has_invite };
    memcpy(seal.invite, asking->invite.id, sizeof seal.invite);
    error = ilea_writer_seal(asking->writer, &seal, &asking->sealed);
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "not sent: %s", ilea_error_text(error));
    }
    if (asking->sealed.error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(asking->sealed.error), "%s", asking->sealed.reason);
    }
    struct ilea_lobby_frame message = { .type = ILEA_LOBBY_REQUEST,
                                        .sealed = { asking->sealed.sealed, asking->sealed.size } };
    if (asking->has_invite) {
        ilea_invite_tag(asking->invite.key, &seal.challenge.key, seal.challenge.nonce, message.sealed, message.tag);
    }
    error = ilea_lobby_exchange(&asking->connection, &message, &asking->answer);
    if (error == ILEA_ERROR_BUSY || (error == ILEA_ERROR_NONE && asking->answer.status == ILEA_LOBBY_BUSY)) {
        return EX_TEMPFAIL;
    }
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(EX_PROTOCOL, "%s answers in a way that this version does not know", asking->endpoint);
}

/* Until it is taken, or the time is over. In a crowd the door is open to few: so again and again. */
static int
ask_until(struct asking *asking, uint64_t wait_ms)
{
    char reason[ILEA_CALL_REASON_SIZE];
    uint64_t end_ms = ilea_monotonic_ms() + wait_ms;
    struct ilea_progress progress;
    ilea_progress_begin(&progress);
    int code;
    for (uint64_t tries = 1;; tries++) {
        code = ask_once(asking, reason);
        ilea_lobby_disconnect(&asking->connection);
        if (code != EX_TEMPFAIL || ilea_monotonic_ms() >= end_ms) break;
        ilea_progress_show(&progress, "the lobby is full; tries", tries);
        uint16_t jitter;
        ilea_random_bytes(&jitter, sizeof jitter);
        /* Who was not greeted tries at once; who was told "busy" waits for the limits to ease. */
        ilea_command_pause(asking->answer.status == ILEA_LOBBY_BUSY ? 500 + jitter % 500 : 10 + jitter % 40);
        asking->answer = (struct ilea_lobby_frame){ .type = ILEA_LOBBY_ANSWER };
    }
    ilea_progress_end(&progress);
    if (code != EX_TEMPFAIL) return code;
    return ilea_command_fail(EX_TEMPFAIL, "%s is busy: try again later%s", asking->endpoint,
                             asking->has_invite ? "" : ", or ask them for an invite (ilea peer invite)");
}

static int
finish_request(const struct asking *asking)
{
    if (asking->command->json) {
        ilea_command_print(json_pack("{s:s,s:s,s:b}", "lobby", asking->endpoint, "status", "queued", "invite",
                                     asking->has_invite ? 1 : 0));
        return 0;
    }
    (void)printf("Queued at %s. A lobby says no more than that; if it was\n"
                 "taken, their admins see it with: ilea peer pending\n"
                 "Take their card too (ilea peer add FILE), then compare codes on both sides:\n"
                 "  ilea peer verify THEM\n",
                 asking->endpoint);
    return 0;
}

int
ilea_command_peer_request(const struct ilea_command *command)
{
    uint64_t wait_ms = 0;
    if (command->word_count != 3) return ilea_command_usage("peer request takes one address, tcp://HOST:PORT");
    int code = ilea_command_wait(command, REQUEST_WAIT_SECONDS, &wait_ms);
    if (code != 0) return code;
    struct asking *asking = calloc(1, sizeof *asking);
    if (asking == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    asking->command = command;
    asking->endpoint = command->words[2];
    asking->has_invite = command->invite != NULL;
    asking->connection.fd = -1;
    if (asking->has_invite) {
        struct ilea_invite_token token;
        if (ilea_invite_parse(command->invite, &token) != ILEA_ERROR_NONE) {
            free(asking);
            return ilea_command_fail(EX_DATAERR, "the invite is mistyped: it has seven groups of four letters and "
                                                 "digits; nothing was sent");
        }
        ilea_invite_derive(&token, &asking->invite);
        ilea_wipe(&token, sizeof token);
    }
    /* Before the lobby waits for us: a passphrase may be asked for. */
    code = ilea_command_writer(command, NULL, NULL, &asking->writer);
    if (code == 0) code = ask_until(asking, wait_ms);
    if (code == 0) code = finish_request(asking);
    ilea_writer_close(asking->writer);
    ilea_wipe(asking, sizeof *asking);
    free(asking);
    return code;
}

static int
print_invite(const struct ilea_command *command, const char *text, const char *id, uint64_t expires_ms)
{
    char expires[ILEA_DATE_SIZE];
    ilea_date_format(expires_ms, expires);
    if (command->json) {
        ilea_command_print(json_pack("{s:s,s:s,s:s,s:I}", "invite", text, "invite_id", id, "expires", expires,
                                     "expires_ms", (json_int_t)expires_ms));
        return 0;
    }
    (void)printf(
        "%s\nGood for one request until %s, and shown only now. Give it to one agency, with your lobby's address:\n"
        "  ilea peer request tcp://HOST:PORT --invite %s\n",
        text, expires, text);
    return 0;
}

int
ilea_command_peer_invite(const struct ilea_command *command)
{
    uint64_t days = ILEA_INVITE_DAYS_DEFAULT;
    if (command->word_count != 2) return ilea_command_usage("peer invite takes no words");
    if (command->days != NULL
        && (!ilea_command_number(command->days, &days) || days < 1 || days > ILEA_INVITE_DAYS_MAX)) {
        return ilea_command_usage("--days takes a number from 1 to 90");
    }
    struct ilea_command_act act;
    struct ilea_control_decision answer;
    struct ilea_invite_token token;
    struct ilea_invite invite;
    char text[ILEA_INVITE_TEXT_SIZE], id[2 * ILEA_INVITE_ID_BYTES + 1], number[24];
    ilea_invite_generate(&token);
    ilea_invite_derive(&token, &invite);
    ilea_invite_format(&token, text);
    ilea_command_hex(invite.id, sizeof invite.id, id);
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)days);
    int code = ilea_command_act_begin(&act, command, "peer.invite", true);
    if (code == 0) {
        ilea_command_act_add(&act, "invite", id);
        ilea_command_act_add(&act, "days", number);
        code = ilea_command_act_send(&act, (struct ilea_span){ invite.key, sizeof invite.key }, &answer);
    }
    ilea_command_act_end(&act);
    if (code == 0) code = print_invite(command, text, id, ilea_wall_ms() + days * day_ms);
    ilea_wipe(&token, sizeof token);
    ilea_wipe(&invite, sizeof invite);
    ilea_wipe(text, sizeof text);
    return code;
}
