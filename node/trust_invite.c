/* trust_invite.c - the decision to invite: the act says which invite and for how long, the payload is its key. */
#include <stdlib.h>
#include <string.h>

#include "crypto/random.h"
#include "node/lobby_desk.h"
#include "node/own_keys.h"
#include "node/trust_state.h"

static const uint64_t day_ms = 24 * 60 * 60 * 1000;

static enum ilea_error
read_days(struct decide *decide, uint64_t *days)
{
    char text[8];
    ilea_trust_text(decide, "days", text, sizeof text);
    char *end;
    *days = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && *days >= 1 && *days <= ILEA_INVITE_DAYS_MAX) {
        return ILEA_ERROR_NONE;
    }
    return ilea_trust_refuse(decide, ILEA_ERROR_INVALID, "an invite is good for 1 to %d days", ILEA_INVITE_DAYS_MAX);
}

enum ilea_error
ilea_trust_check_invite(struct decide *decide)
{
    struct ilea_invite invite, *open;
    struct ilea_invite_row row;
    uint64_t days;
    unsigned count = 0;
    if (decide->payload_size != sizeof invite.key
        || !ilea_hex_parse(ilea_act_value(&decide->act, "invite"), invite.id, sizeof invite.id)) {
        return ilea_trust_refuse(decide, ILEA_ERROR_MALFORMED, "not an invite");
    }
    enum ilea_error error = read_days(decide, &days);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_log_invite(decide->txn, invite.id, &row);
    if (error == ILEA_ERROR_NONE) return ilea_trust_refuse(decide, ILEA_ERROR_EXISTS, "this invite is known already");
    if (error != ILEA_ERROR_NOT_FOUND) return error;
    open = malloc(ILEA_LOBBY_INVITES_MAX * sizeof *open);
    if (open == NULL) return ILEA_ERROR_NO_MEMORY;
    error = ilea_desk_invites(decide->txn, decide->now_ms, open, &count);
    ilea_wipe(open, ILEA_LOBBY_INVITES_MAX * sizeof *open);
    free(open);
    if (error != ILEA_ERROR_NONE || count < ILEA_LOBBY_INVITES_MAX) return error;
    return ilea_trust_refuse(decide, ILEA_ERROR_FULL, "%u invites are open: wait until some are used or expire", count);
}

enum ilea_error
ilea_trust_do_invite(struct decide *decide)
{
    struct ilea_invite_row row = { .made_ms = decide->now_ms };
    uint64_t days;
    enum ilea_error error = read_days(decide, &days);
    if (error != ILEA_ERROR_NONE) return error;
    if (!ilea_hex_parse(ilea_act_value(&decide->act, "invite"), row.id, sizeof row.id)) return ILEA_ERROR_MALFORMED;
    row.expires_ms = decide->now_ms + days * day_ms;
    memcpy(row.key, decide->payload, sizeof row.key);
    error = ilea_log_put_invite(decide->txn, &row);
    ilea_wipe(&row, sizeof row);
    return error;
}
