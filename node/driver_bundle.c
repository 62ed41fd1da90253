/*
 * driver_bundle.c - taking a bundle in. It is looked at twice: first all of it is decrypted and nothing else, so that
 * a file that was altered or cut off changes nothing; then its messages become IMPORT events, and go the way of
 * those that come over links.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/chain.h"
#include "node/driver_state.h"
#include "replication/core/message.h"

enum { REFUSED_MAX = 1024, ARCHIVE_DUE_MAX = 128 };

struct bundle {
    uint64_t owner;
    struct ilea_bundle_header header;
    char code[ILEA_CODE_SIZE_MAX + 1];
    bool relays;             /* feeds of third agencies may come from its maker */
    bool follows;            /* the part before it was taken just now */
    bool is_proven;          /* the signature is good, under a key of its maker */
    bool is_checked;         /* all chunks were: they are being taken now */
    uint64_t number;         /* of the chunk that comes next */
    struct ilea_keyring *ring;
    uint32_t refused_count;  /* feeds of which a commit was refused: what follows stands on it */
    struct ilea_feed_id refused[REFUSED_MAX];
    uint8_t plain[ILEA_BUNDLE_CHUNK_MAX];
};

static enum ilea_error refuse(struct ilea_control_bundle *answer, enum ilea_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum ilea_error
refuse(struct ilea_control_bundle *answer, enum ilea_error error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(answer->reason, sizeof answer->reason, format, arguments);
    va_end(arguments);
    return error;
}

void
ilea_driver_end_bundle(struct driver *driver)
{
    if (driver->bundle == NULL) return;
    ilea_keyring_free(driver->bundle->ring);
    free(driver->bundle);
    driver->bundle = NULL;
}

/* Is whoever brings the present bundle still there? */
static bool
is_owned(const struct driver *driver)
{
    for (unsigned i = 0; i < ILEA_CLIENTS_MAX; i++) {
        const struct ilea_control_client *client = &driver->control->clients[i];
        if (client->fd >= 0 && client->serial == driver->bundle->owner) return true;
    }
    return false;
}

/* The signature, if the manifest that it names is held. NOT_FOUND: it is not. */
static enum ilea_error
prove(struct bundle *bundle, struct ilea_transaction *txn, struct ilea_control_bundle *answer)
{
    struct ilea_sign_public node;
    enum ilea_error error = ilea_chain_signer(txn, &bundle->header.from, bundle->header.manifest, &node);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_PERMISSION) return error;
    if (!ilea_bundle_header_verify(&bundle->header, &node)) {
        return refuse(answer, ILEA_ERROR_BAD_SIGNATURE, "the bundle was altered: its signature does not match");
    }
    if (error == ILEA_ERROR_PERMISSION) {
        return refuse(answer, error, "the key that signed the bundle was revoked by %s", bundle->code);
    }
    bundle->is_proven = error == ILEA_ERROR_NONE;
    return error;
}

/* Whether we take bundles from its maker. */
static enum ilea_error
check_maker(struct driver *driver, struct bundle *bundle, struct ilea_control_bundle *answer)
{
    struct ilea_transaction *own, *txn = ilea_driver_read(driver, &own);
    struct ilea_agency *agency = malloc(sizeof *agency);
    enum ilea_error error = txn == NULL ? ILEA_ERROR_IO : agency == NULL ? ILEA_ERROR_NO_MEMORY : ILEA_ERROR_NONE;
    if (error == ILEA_ERROR_NONE) error = ilea_agency_load(txn, &bundle->header.from, agency);
    if (error == ILEA_ERROR_NOT_FOUND) {
        error = refuse(answer, ILEA_ERROR_PERMISSION, "the bundle is from an agency that is not known here");
    } else if (error == ILEA_ERROR_NONE) {
        bundle->relays = (agency->row.grant.scopes & ILEA_GRANT_RELAY) != 0;
        (void)snprintf(bundle->code, sizeof bundle->code, "%.*s", (int)agency->manifest.code.size,
                       (const char *)agency->manifest.code.data);
        if (agency->row.state != ILEA_AGENCY_APPROVED) {
            error = refuse(answer, ILEA_ERROR_PERMISSION, "the bundle is from %s, which is no approved peer",
                           bundle->code);
        }
    }
    if (error == ILEA_ERROR_NONE) error = prove(bundle, txn, answer);
    if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_NONE; /* its own manifests in the bundle may tell */
    ilea_transaction_abort(own);
    free(agency);
    return error;
}

static enum ilea_error
open_bundle(struct driver *driver, struct bundle *bundle, const struct ilea_control_chunk *chunk,
            struct ilea_control_bundle *answer)
{
    const struct ilea_log_identity *identity = ilea_log_identity(driver->node->log);
    enum ilea_error error = ilea_bundle_header_decode(chunk->bytes, &bundle->header);
    if (error == ILEA_ERROR_UNKNOWN) {
        return refuse(answer, error, "the bundle is of a newer version: upgrade this node");
    }
    if (error != ILEA_ERROR_NONE) return refuse(answer, error, "not a whole, unaltered bundle");
    const struct ilea_bundle_header *header = &bundle->header;
    if (memcmp(header->network.bytes, identity->network.bytes, ILEA_ID_SIZE) != 0) {
        return refuse(answer, ILEA_ERROR_INVALID, "the bundle belongs to another network");
    }
    if (memcmp(header->to.bytes, identity->agency.bytes, ILEA_ID_SIZE) != 0) {
        return refuse(answer, ILEA_ERROR_INVALID, "the bundle is for another agency");
    }
    error = check_maker(driver, bundle, answer);
    if (error == ILEA_ERROR_NONE) error = ilea_keyring_new(1, &bundle->ring);
    if (error != ILEA_ERROR_NONE) return error;
    error = ilea_keys_unwrap(&driver->node->keys, bundle->ring, &header->network, &header->id, header->aek_commit,
                             header->wrapped);
    if (error == ILEA_ERROR_NOT_FOUND || error == ILEA_ERROR_BAD_HASH) {
        return refuse(answer, ILEA_ERROR_BAD_HASH,
                      "the bundle does not open with our reading key: it was altered, or made for a key that we never "
                      "had");
    }
    return error;
}

/* Is the end of the part before this one held? Of what we do not follow nobody can tell. */
static enum ilea_error
check_order(struct driver *driver, const struct bundle *bundle, struct ilea_span body,
            struct ilea_control_bundle *answer)
{
    struct ilea_bundle_totals totals;
    enum ilea_error error = ilea_bundle_totals_decode(body, &totals);
    if (error != ILEA_ERROR_NONE) return error;
    if (bundle->header.part == 1 || bundle->follows || !totals.has_after) return ILEA_ERROR_NONE;
    struct ilea_transaction *own, *txn = ilea_driver_read(driver, &own);
    struct ilea_agency_row agency;
    struct ilea_feed_row feed = { .limit_seq = ILEA_SEQ_NONE };
    error = txn == NULL ? ILEA_ERROR_IO : ilea_log_agency(txn, &totals.agency, &agency);
    bool is_followed = error == ILEA_ERROR_NONE
        && (agency.state == ILEA_AGENCY_SELF
            || (agency.state == ILEA_AGENCY_APPROVED && (agency.grant.scopes & ILEA_GRANT_FOLLOW) != 0));
    if (is_followed) error = ilea_log_feed_by_id(txn, &totals.after.feed, &feed);
    ilea_transaction_abort(own);
    if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) return error;
    if (!is_followed || feed.seq >= totals.after.seq || feed.limit_seq < totals.after.seq) return ILEA_ERROR_NONE;
    return refuse(answer, ILEA_ERROR_BUSY, "this is part %u: import the parts before it first", bundle->header.part);
}

/* The maker's own manifests may hold the key that signed: try them, and keep nothing. */
static enum ilea_error
try_manifests(struct driver *driver, struct bundle *bundle, struct ilea_span body, struct ilea_control_bundle *answer)
{
    struct ilea_agency_id id;
    uint32_t count;
    struct ilea_msgpack_reader reader;
    struct ilea_chain_change change;
    enum ilea_error error = ilea_manifests_decode(body, &id, &count, &reader);
    if (error != ILEA_ERROR_NONE || memcmp(id.bytes, bundle->header.from.bytes, ILEA_ID_SIZE) != 0) return error;
    ilea_driver_commit_turn(driver);
    error = driver->trouble ? ILEA_ERROR_IO : ilea_driver_transaction(driver);
    if (error != ILEA_ERROR_NONE) return error;
    struct ilea_transaction *txn = ilea_author_transaction(driver->node->author);
    error = ilea_chain_take(txn, &bundle->header.network, &id, (struct ilea_span){ reader.next, reader.left }, count,
                            &change);
    if (error == ILEA_ERROR_NONE) error = prove(bundle, txn, answer);
    else if (ilea_error_is_peer_fault(error) || error == ILEA_ERROR_INVALID) error = ILEA_ERROR_NOT_FOUND;
    ilea_author_abort(driver->node->author);
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static enum ilea_error
check_chunk(struct driver *driver, struct bundle *bundle, uint32_t type, struct ilea_span body, bool last,
            struct ilea_control_bundle *answer)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    if (type == ILEA_BUNDLE_FRONTIER) {
        return refuse(answer, ILEA_ERROR_INVALID, "this is a frontier: it goes to ilea bundle export --since");
    }
    if ((bundle->number == 0) != (type == ILEA_BUNDLE_TOTALS)) return ILEA_ERROR_MALFORMED;
    if (type == ILEA_BUNDLE_TOTALS) error = check_order(driver, bundle, body, answer);
    if (type == ILEA_BUNDLE_MANIFEST && !bundle->is_proven) error = try_manifests(driver, bundle, body, answer);
    if (error != ILEA_ERROR_NONE || !last) return error;
    if (!bundle->is_proven) {
        return refuse(answer, ILEA_ERROR_INVALID,
                      "the bundle is signed with a key of %s that is not known here: take their newest card first",
                      bundle->code);
    }
    bundle->is_checked = true;
    return ILEA_ERROR_NONE;
}

/* Commits of a feed that an earlier chunk was refused of; *count: how many. */
static bool
is_refused(const struct bundle *bundle, struct ilea_span body, struct ilea_feed_id *feed, uint32_t *count)
{
    struct ilea_msgpack_reader commits;
    if (ilea_commits_decode(body, feed, count, &commits) != ILEA_ERROR_NONE) return false;
    for (uint32_t i = 0; i < bundle->refused_count; i++) {
        if (memcmp(bundle->refused[i].bytes, feed->bytes, sizeof feed->bytes) == 0) return true;
    }
    return false;
}

static enum ilea_error
take_chunk(struct driver *driver, struct bundle *bundle, uint32_t type, struct ilea_span body,
           struct ilea_control_bundle *answer)
{
    struct ilea_feed_id feed;
    uint32_t count = 0;
    if (type != ILEA_BUNDLE_COMMITS && type != ILEA_BUNDLE_MANIFEST && type != ILEA_BUNDLE_FORK) {
        return ILEA_ERROR_NONE;
    }
    if (type == ILEA_BUNDLE_COMMITS && is_refused(bundle, body, &feed, &count)) {
        answer->counts.refused = count;
        return ILEA_ERROR_NONE;
    }
    driver->imported = (struct ilea_imported){ .taken = 0 };
    struct ilea_event event = { .type = ILEA_EVENT_IMPORT };
    event.import.from = bundle->header.from;
    event.import.relays = bundle->relays;
    event.import.type = type;
    event.import.body = body;
    ilea_driver_step(driver, &event);
    if (driver->trouble || driver->stopping) {
        return refuse(answer, ILEA_ERROR_IO, "the log cannot be written: what was imported before stays");
    }
    answer->counts = driver->imported;
    if (driver->imported.refused > 0 && count > 0 && bundle->refused_count < REFUSED_MAX) {
        bundle->refused[bundle->refused_count++] = feed;
    }
    if (driver->archive_count > ARCHIVE_DUE_MAX) { /* many small feeds: their places are wanted for others */
        ilea_driver_commit_turn(driver);
        struct ilea_event timer = { .type = ILEA_EVENT_TIMER };
        ilea_driver_step(driver, &timer);
    }
    if (driver->reloading) {
        return refuse(answer, ILEA_ERROR_BUSY, "the bundle brought a newer manifest of our own: import it again");
    }
    return ILEA_ERROR_NONE;
}

static enum ilea_error
on_chunk(struct driver *driver, struct bundle *bundle, const struct ilea_control_chunk *chunk,
         struct ilea_control_bundle *answer)
{
    struct ilea_span plain = { bundle->plain, 0 }, body;
    uint32_t type;
    if ((chunk->verb == ILEA_BUNDLE_TAKE) != bundle->is_checked) return ILEA_ERROR_UNEXPECTED;
    enum ilea_error error = ilea_bundle_chunk_open(bundle->ring, &bundle->header, bundle->number, chunk->flag,
                                                   chunk->bytes, bundle->plain, &plain.size);
    if (error == ILEA_ERROR_NONE) error = ilea_bundle_content_decode(plain, &type, &body);
    if (error == ILEA_ERROR_NONE) {
        error = bundle->is_checked ? take_chunk(driver, bundle, type, body, answer)
                                   : check_chunk(driver, bundle, type, body, chunk->flag, answer);
    }
    if (error != ILEA_ERROR_NONE && answer->reason[0] == '\0' && ilea_error_is_peer_fault(error)) {
        return refuse(answer, error, "the bundle was altered or cut off");
    }
    bundle->number = chunk->flag ? 0 : bundle->number + 1;
    return error;
}

void
ilea_driver_bundle(struct driver *driver, uint64_t owner, const struct ilea_control_chunk *chunk,
                   struct ilea_control_bundle *answer)
{
    *answer = (struct ilea_control_bundle){ .error = ILEA_ERROR_NONE };
    struct bundle *bundle = driver->bundle;
    bool is_others = bundle != NULL && bundle->owner != owner && is_owned(driver);
    if (chunk->verb == ILEA_BUNDLE_OPEN && !is_others) {
        ilea_driver_end_bundle(driver);
        bundle = driver->bundle = calloc(1, sizeof *bundle);
        if (bundle == NULL) {
            answer->error = ILEA_ERROR_NO_MEMORY;
            return;
        }
        bundle->owner = owner;
        bundle->follows = chunk->flag;
        answer->error = open_bundle(driver, bundle, chunk, answer);
    } else if (bundle == NULL || bundle->owner != owner) {
        answer->error = refuse(answer, ILEA_ERROR_BUSY, is_others ? "another bundle is being imported: try again"
                                                                  : "the import was interrupted: begin it again");
        return;
    } else {
        answer->error = on_chunk(driver, bundle, chunk, answer);
    }
    (void)snprintf(answer->code, sizeof answer->code, "%s", bundle->code);
    bool is_done = chunk->verb == ILEA_BUNDLE_TAKE && chunk->flag;
    if (answer->error != ILEA_ERROR_NONE || is_done) ilea_driver_end_bundle(driver);
}
