#include "node/vouch.h"

#include <stdlib.h>
#include <string.h>

#include "node/own_keys.h"
#include "replication/reader/snapshot.h"

enum { AUTHORS_MAX = 64 };

/* The newest word of each author about the subject: ids of records rise with time. */
struct words {
    unsigned count;
    struct {
        struct ilea_agency_id author;
        struct ilea_record_id id;
        bool is_current;
    } of[AUTHORS_MAX];
};

static bool
is_text(struct ilea_snapshot *snapshot, const char *field, const char *expected)
{
    struct ilea_value value;
    return ilea_snapshot_value(snapshot, field, 0, &value) == ILEA_ERROR_NONE && value.form == ILEA_VALUE_TEXT
        && value.text.size == strlen(expected) && memcmp(value.text.data, expected, value.text.size) == 0;
}

static void
take(struct words *words, struct ilea_snapshot *snapshot, const struct ilea_record_info *info)
{
    unsigned place = 0;
    while (place < words->count
           && memcmp(words->of[place].author.bytes, info->agency.bytes, ILEA_ID_SIZE) != 0) {
        place++;
    }
    if (place == AUTHORS_MAX) return;
    if (place == words->count) {
        words->count++;
    } else if (memcmp(words->of[place].id.bytes, info->id.bytes, sizeof info->id.bytes) > 0) {
        return;
    }
    words->of[place].author = info->agency;
    words->of[place].id = info->id;
    words->of[place].is_current = is_text(snapshot, "status", "current");
}

static bool
is_heard(struct ilea_transaction *txn, const struct ilea_agency_id *author)
{
    struct ilea_agency_row row;
    return ilea_log_agency(txn, author, &row) == ILEA_ERROR_NONE && row.state == ILEA_AGENCY_APPROVED
        && (row.grant.scopes & ILEA_GRANT_INVITE) != 0;
}

bool
ilea_vouch_stands(const char *home, struct ilea_transaction *txn, const struct ilea_agency_id *subject)
{
    char hex[2 * ILEA_ID_SIZE + 1];
    struct words words = { .count = 0 };
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_record_info info = { .number = 0 };
    ilea_hex_format(subject->bytes, ILEA_ID_SIZE, hex);
    if (ilea_replica_open(home, &replica) != ILEA_ERROR_NONE) return false;
    enum ilea_error error = ilea_snapshot_begin(replica, &snapshot);
    while (error == ILEA_ERROR_NONE) {
        error = ilea_snapshot_next(snapshot, "vouch", NULL, &info);
        if (error == ILEA_ERROR_NONE && info.shared && is_text(snapshot, "subject", hex)) {
            take(&words, snapshot, &info);
        }
    }
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    for (unsigned i = 0; i < words.count; i++) {
        if (words.of[i].is_current && is_heard(txn, &words.of[i].author)) return true;
    }
    return false;
}
