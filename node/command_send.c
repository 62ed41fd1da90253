/* command_send.c - writing records: straight through, or gathered and asked for. */
#include "node/command_send.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "crypto/random.h"
#include "replication/record/label.h"

struct ilea_command_kept {
    struct ilea_command_kept *next;
    uint32_t type;
    bool publishes;
    size_t size;
    uint8_t bytes[];
};

/* Room for one more in an array that grows; false: out of memory. */
static bool
grow(void **rows, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity) return true;
    uint32_t larger = *capacity == 0 ? 64 : *capacity * 2;
    void *moved = realloc(*rows, larger * size);
    if (moved == NULL) return false;
    *rows = moved;
    *capacity = larger;
    return true;
}

/* `put` is kept: an update of a record that is shared; NULL: a draft is published. */
static enum ilea_error
add_item(struct ilea_command_send *send, uint32_t type, const struct ilea_put_result *result,
         const struct ilea_command_kept *put)
{
    void *items = send->items;
    bool has_room = grow(&items, send->item_count, &send->item_capacity, sizeof *send->items);
    send->items = items;
    uint8_t *copy = has_room && put != NULL ? malloc(put->size) : NULL;
    if (!has_room || (put != NULL && copy == NULL)) return ILEA_ERROR_NO_MEMORY;
    if (put != NULL) memcpy(copy, put->bytes, put->size);
    struct ilea_command_item *row = &send->items[send->item_count++];
    struct ilea_release_item *item = &row->item;
    row->waits = false;
    row->scope = result->scope;
    row->audience = result->audience;
    (void)snprintf(row->ref, sizeof row->ref, "%s", result->ref);
    *item = (struct ilea_release_item){ .type = type, .record = result->id, .label = result->label,
                                        .put = { copy, put != NULL ? put->size : 0 } };
    memcpy(item->base, result->base, sizeof item->base);
    return ILEA_ERROR_NONE;
}

static enum ilea_error
add_draft(struct ilea_command_send *send, uint32_t type, const struct ilea_put_result *result)
{
    void *drafts = send->drafts;
    if (!grow(&drafts, send->draft_count, &send->draft_capacity, sizeof *send->drafts)) return ILEA_ERROR_NO_MEMORY;
    send->drafts = drafts;
    send->drafts[send->draft_count].type = type;
    send->drafts[send->draft_count].id = result->id;
    (void)snprintf(send->drafts[send->draft_count++].ref, sizeof send->drafts[0].ref, "%s", result->ref);
    return ILEA_ERROR_NONE;
}

/* The answer to a put of the command's. */
static void
take_put(struct ilea_command_send *send, uint64_t tag, enum ilea_error error, const struct ilea_put_result *result)
{
    struct ilea_command_kept *kept = send->first;
    if (error == ILEA_ERROR_NONE && result->outcome == ILEA_PUT_REVIEW && kept == NULL) { /* it is news */
        struct ilea_put_result refused = *result;
        (void)snprintf(refused.reason, sizeof refused.reason, "four_eyes is on since this moment: try again");
        send->answer(send->context, tag, ILEA_ERROR_PERMISSION, &refused);
        return;
    }
    if (kept != NULL) {
        send->first = kept->next;
        if (send->first == NULL) send->last = NULL;
    }
    enum ilea_error failure = ILEA_ERROR_NONE;
    if (kept != NULL && error == ILEA_ERROR_NONE) {
        if (result->outcome == ILEA_PUT_REVIEW) failure = add_item(send, kept->type, result, kept);
        else if (kept->publishes) failure = add_draft(send, kept->type, result);
    }
    if (failure != ILEA_ERROR_NONE) send->failure = failure;
    free(kept);
    send->answer(send->context, tag, error, result);
}

/* The answer to the question what publishing a draft would come to. */
static void
take_draft(struct ilea_command_send *send, enum ilea_error error, const struct ilea_put_result *result)
{
    const struct ilea_command_draft *draft = &send->drafts[send->draft_at++];
    bool is_asked = error == ILEA_ERROR_NONE && result->outcome == ILEA_PUT_REVIEW;
    if (is_asked) error = add_item(send, draft->type, result, NULL);
    if (error == ILEA_ERROR_NONE) return;
    (void)ilea_command_fail(EX_DATAERR, "%s is a draft and was not asked for: %s", draft->ref,
                            result->reason[0] != '\0' ? result->reason : ilea_error_text(error));
    if (send->failure == ILEA_ERROR_NONE) send->failure = error;
}

static void
take_answer(void *context, uint64_t tag, enum ilea_error error, const struct ilea_put_result *result)
{
    struct ilea_command_send *send = context;
    if (tag == UINT64_MAX) take_draft(send, error, result);
    else take_put(send, tag, error, result);
}

/* Who asks: loaded before anything is written. */
static int
begin_act(struct ilea_command_send *send)
{
    struct ilea_command_act *act = &send->act;
    if (send->act_begun) { /* a long import later: what is there now */
        enum ilea_error error = ilea_transaction_begin(ilea_log_environment(act->log), false, &act->txn);
        if (error == ILEA_ERROR_NONE) error = ilea_chain_last(act->txn, &act->act.agency, &act->own);
        act->act.made_ms = ilea_wall_ms();
        return error == ILEA_ERROR_NONE ? 0 : ilea_command_fail(ilea_exit_code(error), "the log cannot be read: %s",
                                                               ilea_error_text(error));
    }
    send->act_begun = true;
    int code = ilea_command_act_begin(act, send->command, "record.release", true);
    if (code != 0 || act->own.admin_count > 1) return code;
    return ilea_command_fail(EX_NOPERM, "four_eyes = yes and there is one admin: nobody else could approve; add one "
                                        "first: ilea admin add NAME");
}

/* Whether the puts are for others, by what the command line says. */
static bool
goes_out(const struct ilea_command_send *send)
{
    return send->place != NULL && send->place->scope > ILEA_SCOPE_AGENCY;
}

static void
set_place(const struct ilea_command_send *send, struct ilea_put *put)
{
    static const struct ilea_audience_id none;
    put->scope = send->place != NULL ? send->place->scope : 0;
    put->audience = put->scope == ILEA_SCOPE_AUDIENCE ? send->place->audience : none;
    if (send->command->confirm && put->mode == ILEA_PUT_UPDATE && goes_out(send)) put->mode = ILEA_PUT_NARROW;
}

int
ilea_command_send_begin(struct ilea_command_send *send, const struct ilea_command *command,
                        struct ilea_command_place *place, ilea_writer_answer *answer, void *context)
{
    char reason[ILEA_REASON_SIZE] = "ilea.conf cannot be read";
    struct ilea_config config;
    *send = (struct ilea_command_send){ .command = command, .place = place, .answer = answer, .context = context };
    enum ilea_error error = ilea_home_config(command->home, &config, reason);
    if (error != ILEA_ERROR_NONE) return ilea_command_fail(EX_CONFIG, "nothing was written: %s", reason);
    send->four_eyes = config.four_eyes;
    if (send->four_eyes && goes_out(send)) {
        int code = begin_act(send);
        if (code != 0) return code;
        ilea_transaction_abort(send->act.txn); /* not for as long as an import takes */
        send->act.txn = NULL;
    }
    int code = ilea_command_writer(command, take_answer, send, &send->writer);
    return code == 0 && place != NULL ? ilea_command_place_make(place, send->writer) : code;
}

enum ilea_error
ilea_command_send_put(struct ilea_command_send *send, uint64_t tag, struct ilea_put *put)
{
    set_place(send, put);
    if (!send->four_eyes) return ilea_writer_put(send->writer, tag, put);
    struct ilea_command_kept *kept = malloc(sizeof *kept + ILEA_CHANGE_SIZE_MAX);
    if (kept == NULL) return ILEA_ERROR_NO_MEMORY;
    *kept = (struct ilea_command_kept){ .type = put->type, .publishes = goes_out(send) };
    if (kept->publishes) put->scope = 0;
    if (kept->publishes && put->mode == ILEA_PUT_NARROW) put->mode = ILEA_PUT_UPDATE; /* what is asked for narrows */
    enum ilea_put_mode mode = put->mode;
    if (put->has_id) put->mode = ILEA_PUT_UPDATE; /* if it waits, it is of a record that is there */
    enum ilea_error error = ilea_put_encode(put, kept->bytes, ILEA_CHANGE_SIZE_MAX, &kept->size);
    put->mode = mode;
    if (error == ILEA_ERROR_NONE) {
        struct ilea_command_kept *smaller = realloc(kept, sizeof *kept + kept->size);
        if (smaller != NULL) kept = smaller;
        if (send->last != NULL) send->last->next = kept;
        else send->first = kept;
        send->last = kept;
        return ilea_writer_put(send->writer, tag, put); /* of the same size: it is not refused as too large */
    }
    free(kept);
    return error;
}

enum ilea_error
ilea_command_send_flush(struct ilea_command_send *send)
{
    enum ilea_error error = ilea_writer_flush(send->writer);
    return error == ILEA_ERROR_NONE ? send->failure : error;
}

static int
compare_drafts(const void *a, const void *b)
{
    const struct ilea_command_draft *one = a, *other = b;
    int order = memcmp(one->id.bytes, other->id.bytes, sizeof one->id.bytes);
    return order != 0 ? order : (one->type > other->type) - (one->type < other->type);
}

static enum ilea_error
look_at_drafts(struct ilea_command_send *send)
{
    uint32_t kept = 0;
    if (send->draft_count > 1) qsort(send->drafts, send->draft_count, sizeof *send->drafts, compare_drafts);
    for (uint32_t i = 0; i < send->draft_count; i++) { /* each once, however often it was written */
        if (kept == 0 || compare_drafts(&send->drafts[kept - 1], &send->drafts[i]) != 0) {
            send->drafts[kept++] = send->drafts[i];
        }
    }
    send->draft_count = kept;
    struct ilea_put *put = calloc(1, sizeof *put);
    enum ilea_error error = put != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    for (uint32_t i = 0; error == ILEA_ERROR_NONE && i < send->draft_count; i++) {
        put->mode = ILEA_PUT_UPDATE;
        set_place(send, put);
        put->type = send->drafts[i].type;
        put->has_id = true;
        put->id = send->drafts[i].id;
        error = ilea_writer_put(send->writer, UINT64_MAX, put);
    }
    free(put);
    if (error == ILEA_ERROR_NONE) error = ilea_writer_flush(send->writer);
    return error;
}

static bool
same_place(const struct ilea_command_item *one, const struct ilea_command_item *other)
{
    return one->scope == other->scope
        && memcmp(one->audience.bytes, other->audience.bytes, sizeof one->audience.bytes) == 0;
}

/* As many of the items from `from` on as one release holds, which is for one place. */
static enum ilea_error
encode(struct ilea_command_send *send, uint32_t from, uint32_t *count, uint8_t *bytes, size_t *size)
{
    size_t used = 64;
    uint32_t most = send->item_count - from < ILEA_RELEASE_RECORDS_MAX ? send->item_count - from
                                                                       : ILEA_RELEASE_RECORDS_MAX;
    struct ilea_release_item *items = calloc(most, sizeof *items);
    *count = 0;
    if (items == NULL) return ILEA_ERROR_NO_MEMORY;
    const struct ilea_command_item *head = &send->items[from];
    for (; *count < most && same_place(head, &send->items[from + *count]); (*count)++) {
        items[*count] = send->items[from + *count].item;
        used += 1 + 5 + 18 + 1 + 34 + 5 + items[*count].put.size;
        if (used > ILEA_RELEASE_SIZE_MAX) break;
    }
    enum ilea_error error = *count == 0 ? ILEA_ERROR_LIMIT
                                        : ilea_release_encode(head->scope,
                                                              head->scope == ILEA_SCOPE_AUDIENCE ? &head->audience
                                                                                                 : NULL,
                                                              items, *count, bytes, ILEA_RELEASE_SIZE_MAX, size);
    free(items);
    return error;
}

static int
compare_items(const void *a, const void *b)
{
    const struct ilea_release_item *one = a, *other = b;
    int order = memcmp(one->record.bytes, other->record.bytes, sizeof one->record.bytes);
    return order != 0 ? order : (one->type > other->type) - (one->type < other->type);
}

static void
free_put(struct ilea_command_item *item)
{
    union { const uint8_t *from; void *to; } put = { .from = item->item.put.data };
    free(put.to);
}

/* Take an item out that waits in a release already; a message if there it has another content. */
static void
drop_waiting(struct ilea_command_send *send, struct ilea_command_item *item, const struct ilea_release_item *waiting,
             uint32_t number)
{
    bool is_same = waiting->label == item->item.label && waiting->put.size == item->item.put.size
        && memcmp(waiting->base, item->item.base, sizeof waiting->base) == 0
        && (waiting->put.size == 0 || memcmp(waiting->put.data, item->item.put.data, waiting->put.size) == 0);
    if (is_same) {
        struct ilea_command_request *last = &send->requests[send->request_count > 0 ? send->request_count - 1 : 0];
        bool is_listed = send->request_count > 0 && last->number == number;
        if (is_listed) last->records++;
        else if (send->request_count < ILEA_COMMAND_REQUESTS_MAX) {
            send->requests[send->request_count++] = (struct ilea_command_request){ number, 1, false };
        }
    } else {
        (void)ilea_command_fail(EX_CANTCREAT, "%s waits in release %u as it was before: take that back first with ilea "
                                              "review return %u --reason TEXT", item->ref, number, number);
        send->failure = ILEA_ERROR_EXISTS;
    }
    item->waits = true;
}

/* What waits already is not asked for again. */
static enum ilea_error
drop_all_waiting(struct ilea_command_send *send)
{
    struct ilea_proposal_row row = { .number = 0 };
    struct ilea_release release;
    struct ilea_release_item waiting;
    enum ilea_error error;
    qsort(send->items, send->item_count, sizeof *send->items, compare_items); /* the item comes first in each */
    while ((error = ilea_log_proposal_next(send->act.txn, row.number, &row)) == ILEA_ERROR_NONE) {
        if (!ilea_trust_is_release(row.act) || row.returned_ms != 0
            || ilea_release_decode(row.payload, &release) != ILEA_ERROR_NONE) {
            continue;
        }
        while (ilea_release_next(&release, &waiting)) {
            struct ilea_command_item *item =
                bsearch(&waiting, send->items, send->item_count, sizeof *send->items, compare_items);
            if (item != NULL) drop_waiting(send, item, &waiting, row.number);
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < send->item_count; i++) {
        if (send->items[i].waits) free_put(&send->items[i]);
        else send->items[kept++] = send->items[i];
    }
    send->item_count = kept;
    return error == ILEA_ERROR_NOT_FOUND ? ILEA_ERROR_NONE : error;
}

static int
compare_places(const void *a, const void *b)
{
    const struct ilea_command_item *one = a, *other = b;
    if (one->scope != other->scope) return one->scope < other->scope ? -1 : 1;
    int order = memcmp(one->audience.bytes, other->audience.bytes, sizeof one->audience.bytes);
    return order != 0 ? order : compare_items(a, b);
}

/* How people call what a release is for. */
static void
name_place(struct ilea_command_send *send, const struct ilea_release *release, char text[ILEA_AUDIENCE_TEXT_SIZE])
{
    struct ilea_command_act *act = &send->act;
    struct ilea_audience_cache *cache = NULL;
    struct ilea_audience_found found;
    (void)snprintf(text, ILEA_AUDIENCE_TEXT_SIZE, "%s", ilea_scope_name(release->scope));
    if (release->scope == ILEA_SCOPE_AUDIENCE && ilea_audience_cache_new(&cache) == ILEA_ERROR_NONE
        && ilea_audience_load(cache, act->txn, &release->audience, &found) == ILEA_ERROR_NONE) {
        ilea_audience_text(&found, &ilea_log_identity(act->log)->agency, text);
    }
    ilea_audience_cache_free(cache);
}

/* `first`: how its first record is called. */
static int
request(struct ilea_command_send *send, struct ilea_span payload, const char *first, uint32_t count)
{
    struct ilea_command_act *act = &send->act;
    struct ilea_release release;
    struct ilea_control_decision answer;
    char author[2 * ILEA_SIGN_PUBLIC_SIZE + 1], hash[2 * ILEA_HASH_SIZE + 1], number[12];
    char to[ILEA_AUDIENCE_TEXT_SIZE];
    if (ilea_release_decode(payload, &release) != ILEA_ERROR_NONE) {
        return ilea_command_fail(EX_SOFTWARE, "the request cannot be made");
    }
    act->act.pair_count = 0; /* each is an act of its own */
    act->texts_used = 0;
    ilea_random_bytes(act->act.nonce, sizeof act->act.nonce);
    ilea_command_hex(act->admin_public.bytes, sizeof act->admin_public.bytes, author);
    ilea_command_hex(release.hash, sizeof release.hash, hash);
    (void)snprintf(number, sizeof number, "%u", count);
    if (send->command->clock_is_right) ilea_command_act_add(act, "clock", "right");
    ilea_command_act_add(act, "author", author);
    ilea_command_act_add(act, "record", first);
    ilea_command_act_add(act, "records", number);
    ilea_command_act_add(act, "release", hash);
    name_place(send, &release, to);
    ilea_command_act_add(act, "to", to);
    int code = ilea_command_act_send(act, payload, &answer);
    if (code == 0) {
        send->requests[send->request_count++] =
            (struct ilea_command_request){ .number = answer.proposal, .records = count, .is_new = true };
    }
    return code;
}

static int
request_all(struct ilea_command_send *send)
{
    uint8_t *bytes = malloc(ILEA_RELEASE_SIZE_MAX);
    int code = bytes != NULL ? begin_act(send) : ilea_command_fail(EX_OSERR, "out of memory");
    uint32_t count = 0;
    if (code == 0 && drop_all_waiting(send) != ILEA_ERROR_NONE) {
        code = ilea_command_fail(EX_DATAERR, "what waits for review cannot be read; run ilea verify");
    }
    if (send->item_count > 1) qsort(send->items, send->item_count, sizeof *send->items, compare_places);
    for (uint32_t from = 0; code == 0 && from < send->item_count; from += count) {
        size_t size = 0;
        const char *first = send->items[from].ref;
        if (send->request_count == ILEA_COMMAND_REQUESTS_MAX) {
            code = ilea_command_fail(EX_DATAERR, "more records than %d releases hold: approve these, and run the same "
                                                 "again for the rest", ILEA_COMMAND_REQUESTS_MAX);
            break;
        }
        enum ilea_error error = encode(send, from, &count, bytes, &size);
        if (error != ILEA_ERROR_NONE) {
            code = ilea_command_fail(ilea_exit_code(error), "%s cannot be asked for: %s", first,
                                     error == ILEA_ERROR_INVALID ? "it is written twice here" : ilea_error_text(error));
        } else {
            code = request(send, (struct ilea_span){ bytes, size }, first, count);
        }
    }
    free(bytes);
    return code;
}

int
ilea_command_send_ask(struct ilea_command_send *send)
{
    enum ilea_error error = look_at_drafts(send);
    ilea_writer_close(send->writer); /* the request is handed over by another */
    send->writer = NULL;
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "drafts are written, and not asked for: %s",
                                 ilea_error_text(error));
    }
    int code = send->item_count > 0 ? request_all(send) : 0;
    return code == 0 && send->failure != ILEA_ERROR_NONE ? ilea_exit_code(send->failure) : code;
}

void
ilea_command_send_end(struct ilea_command_send *send)
{
    ilea_writer_close(send->writer);
    if (send->act_begun) ilea_command_act_end(&send->act);
    while (send->first != NULL) {
        struct ilea_command_kept *next = send->first->next;
        free(send->first);
        send->first = next;
    }
    for (uint32_t i = 0; i < send->item_count; i++) free_put(&send->items[i]);
    free(send->items);
    free(send->drafts);
    *send = (struct ilea_command_send){ .command = NULL };
}

void
ilea_command_send_print(const struct ilea_command_send *send)
{
    if (send->request_count == 0) return;
    for (uint32_t i = 0; i < send->request_count; i++) {
        const struct ilea_command_request *made = &send->requests[i];
        (void)printf("release %u, %u record%s, waits%s for another admin\n", made->number, made->records,
                     made->records == 1 ? "" : "s", made->is_new ? "" : " already");
    }
    (void)puts("They look: ilea review show NUMBER; and say: ilea review approve NUMBER...");
}

json_t *
ilea_command_send_json(const struct ilea_command_send *send)
{
    if (send->request_count == 0) return NULL;
    json_t *list = json_array();
    for (uint32_t i = 0; i < send->request_count; i++) {
        const struct ilea_command_request *made = &send->requests[i];
        json_array_append_new(list, json_pack("{s:I,s:I,s:b}", "release", (json_int_t)made->number, "records",
                                              (json_int_t)made->records, "new", made->is_new ? 1 : 0));
    }
    return list;
}
