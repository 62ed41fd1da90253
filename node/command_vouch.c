/* command_vouch.c - what approved agencies say of others, as far as the view shows it. */
#include <stdlib.h>
#include <string.h>

#include "node/agency.h"
#include "node/command.h"
#include "node/command_peer.h"
#include "node/own_keys.h"

static bool
text_of(struct ilea_snapshot *snapshot, const char *field, char *text, size_t size)
{
    struct ilea_value value;
    if (ilea_snapshot_value(snapshot, field, 0, &value) != ILEA_ERROR_NONE || value.form != ILEA_VALUE_TEXT
        || value.text.size >= size) {
        return false;
    }
    memcpy(text, value.text.data, value.text.size);
    text[value.text.size] = '\0';
    return true;
}

/* Vouches are shown of agencies that are approved, and may be heard on this. */
static bool
is_heard(struct ilea_transaction *txn, const struct ilea_agency_id *agency)
{
    struct ilea_agency_row row;
    return ilea_log_agency(txn, agency, &row) == ILEA_ERROR_NONE && row.state == ILEA_AGENCY_APPROVED
        && (row.grant.scopes & ILEA_GRANT_INVITE) != 0;
}

/* The one before of the same agency about the same subject gives way to a newer one. */
static void
put_vouch(json_t *subjects, const char *subject, json_t *vouch)
{
    json_t *list = json_object_get(subjects, subject), *other;
    size_t i;
    if (list == NULL) {
        list = json_array();
        json_object_set_new(subjects, subject, list);
    }
    json_array_foreach(list, i, other) {
        if (strcmp(json_string_value(json_object_get(other, "agency")),
                   json_string_value(json_object_get(vouch, "agency"))) != 0) {
            continue;
        }
        bool newer = strcmp(json_string_value(json_object_get(other, "id")),
                            json_string_value(json_object_get(vouch, "id"))) < 0;
        if (newer) {
            json_array_set_new(list, i, vouch);
        } else {
            json_decref(vouch);
        }
        return;
    }
    json_array_append_new(list, vouch);
}

/* Withdrawn ones hid older ones until now; they themselves are not shown. */
static void
drop_withdrawn(json_t *subjects)
{
    const char *subject;
    json_t *list;
    json_object_foreach(subjects, subject, list) {
        for (size_t i = json_array_size(list); i-- > 0;) {
            json_t *vouch = json_array_get(list, i);
            if (strcmp(json_string_value(json_object_get(vouch, "status")), "current") != 0) json_array_remove(list, i);
            else json_object_del(vouch, "status");
        }
    }
}

json_t *
ilea_command_vouches(const struct ilea_command *command, struct ilea_log *log)
{
    json_t *subjects = json_object();
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_transaction *txn = NULL;
    struct ilea_record_info info = { .number = 0 };
    if (ilea_replica_open(command->home, &replica) != ILEA_ERROR_NONE) return subjects;
    enum ilea_error error = ilea_snapshot_begin(replica, &snapshot);
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    while (error == ILEA_ERROR_NONE
           && (error = ilea_snapshot_next(snapshot, "vouch", NULL, &info)) == ILEA_ERROR_NONE) {
        char subject[65], manifest[65], how[20], date[11], status[20], id[33];
        if (!info.shared || !is_heard(txn, &info.agency) || !text_of(snapshot, "subject", subject, sizeof subject)
            || !text_of(snapshot, "manifest", manifest, sizeof manifest) || !text_of(snapshot, "how", how, sizeof how)
            || !text_of(snapshot, "date", date, sizeof date) || !text_of(snapshot, "status", status, sizeof status)) {
            continue;
        }
        ilea_command_hex(info.id.bytes, sizeof info.id.bytes, id);
        put_vouch(subjects, subject, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "agency", info.agency_code, "how", how,
                                               "date", date, "manifest", manifest, "status", status, "id", id));
    }
    drop_withdrawn(subjects);
    ilea_transaction_abort(txn);
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    return subjects;
}
