/* command_fork.c - fork list and resolve: feeds with two histories, and which one their agency keeps. */
#include "node/command_fork.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "node/chain.h"
#include "replication/record/fork.h"

static bool
is_zero(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++) sum |= bytes[i];
    return sum == 0;
}

/* When and from whom the proof came: the entry about it. */
static void
add_history(struct ilea_command_act *act, const char *feed, json_t *json)
{
    uint64_t last = 0;
    uint8_t hash[ILEA_HASH_SIZE];
    struct ilea_audit_entry *entry = malloc(sizeof *entry);
    static const struct ilea_span seen = { (const uint8_t *)"fork.seen", 9 };
    if (entry == NULL || ilea_log_audit_last(act->txn, &last, hash) != ILEA_ERROR_NONE) last = 0;
    for (uint64_t seq = last; seq > 0; seq--) {
        struct ilea_span bytes;
        if (ilea_log_audit(act->txn, seq, &bytes) != ILEA_ERROR_NONE
            || ilea_entry_decode(bytes, entry) != ILEA_ERROR_NONE || entry->act.kind.size != seen.size
            || memcmp(entry->act.kind.data, seen.data, seen.size) != 0) {
            continue;
        }
        struct ilea_span value = ilea_act_value(&entry->act, "feed"), from = ilea_act_value(&entry->act, "from");
        if (value.size != strlen(feed) || memcmp(value.data, feed, value.size) != 0) continue;
        json_object_set_new(json, "seen_ms", json_integer((json_int_t)entry->time_ms));
        if (from.size > 0) json_object_set_new(json, "from", json_stringn((const char *)from.data, from.size));
        break;
    }
    free(entry);
}

static json_t *
fork_json(struct ilea_command_act *act, const struct ilea_feed_row *feed, const struct ilea_fork *fork, bool resolved)
{
    char id[65], a[65], b[65], code[ILEA_CODE_SIZE_MAX + 1] = "", advice[300];
    ilea_command_hex(feed->id.bytes, sizeof feed->id.bytes, id);
    ilea_command_hex(fork->a.bytes, sizeof fork->a.bytes, a);
    ilea_command_hex(fork->b.bytes, sizeof fork->b.bytes, b);
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    if (manifest != NULL && ilea_chain_last(act->txn, &feed->origin.agency, manifest) == ILEA_ERROR_NONE) {
        (void)snprintf(code, sizeof code, "%.*s", (int)manifest->code.size, (const char *)manifest->code.data);
    }
    free(manifest);
    bool own = memcmp(feed->origin.agency.bytes, act->own.id.bytes, ILEA_ID_SIZE) == 0;
    struct ilea_chain_row chain;
    const char *held = NULL;
    if (feed->seq >= fork->seq && ilea_log_chain(act->txn, feed->number, fork->seq, &chain) == ILEA_ERROR_NONE) {
        held = memcmp(chain.id.bytes, fork->a.bytes, ILEA_ID_SIZE) == 0 ? a : b;
    }
    if (resolved) {
        (void)snprintf(advice, sizeof advice, "settled: it ends at %llu", (unsigned long long)feed->limit_seq);
    } else if (own) {
        (void)snprintf(advice, sizeof advice, "decide which history counts: ilea fork resolve %.16s --keep ours, or "
                                              "--keep SEQ:ID", id);
    } else {
        (void)snprintf(advice, sizeof advice, "ask %s: their roots settle it; what is held of it stays", code);
    }
    json_t *json = json_pack("{s:s,s:s,s:b,s:I,s:s,s:s,s:s?,s:I,s:b,s:s}", "feed", id, "agency", code, "own",
                             own ? 1 : 0, "seq", (json_int_t)fork->seq, "one", a, "other", b, "held", held, "held_to",
                             (json_int_t)feed->seq, "resolved", resolved ? 1 : 0, "next", advice);
    add_history(act, id, json);
    return json;
}

json_t *
ilea_command_forks(struct ilea_command_act *act, bool resolved)
{
    json_t *list = json_array();
    struct ilea_feed_row feed;
    struct ilea_fork *fork = malloc(sizeof *fork);
    for (uint32_t number = 1; fork != NULL && ilea_log_feed(act->txn, number, &feed) == ILEA_ERROR_NONE; number++) {
        struct ilea_span proof;
        bool open = !is_zero(feed.fork, sizeof feed.fork);
        if ((!open && !resolved) || ilea_log_fork(act->txn, &feed.id, &proof) != ILEA_ERROR_NONE) continue;
        if (ilea_fork_decode(proof, &ilea_log_identity(act->log)->network, fork) != ILEA_ERROR_NONE) continue;
        json_array_append_new(list, fork_json(act, &feed, fork, !open));
    }
    free(fork);
    return list;
}

static int
fork_list(const struct ilea_command *command)
{
    if (command->word_count != 2) return ilea_command_usage("fork list takes no words");
    struct ilea_command_act act;
    int code = ilea_command_act_begin(&act, command, "fork.list", false);
    if (code == 0) {
        json_t *list = ilea_command_forks(&act, true), *fork;
        size_t i;
        if (!command->json && json_array_size(list) == 0) (void)puts("No feed has two histories.");
        json_array_foreach(list, i, fork) {
            const char *from = json_string_value(json_object_get(fork, "from"));
            if (command->json) break;
            (void)printf(
                "%.16s  %-16s two histories from %lld on%s%s, held to %lld\n    %.16s and %.16s\n    %s\n",
                json_string_value(json_object_get(fork, "feed")), json_string_value(json_object_get(fork, "agency")),
                (long long)json_integer_value(json_object_get(fork, "seq")), from != NULL ? ", told by " : "",
                from != NULL ? from : "", (long long)json_integer_value(json_object_get(fork, "held_to")),
                json_string_value(json_object_get(fork, "one")), json_string_value(json_object_get(fork, "other")),
                json_string_value(json_object_get(fork, "next")));
        }
        if (command->json) ilea_command_print(json_incref(list));
        json_decref(list);
    }
    ilea_command_act_end(&act);
    return code;
}

/* A feed of our own by the start of its id. */
static int
find_feed(struct ilea_command_act *act, const char *prefix, struct ilea_feed_row *found)
{
    unsigned matches = 0;
    struct ilea_feed_row feed;
    size_t size = strlen(prefix);
    if (size < 8 || size > 2 * ILEA_ID_SIZE)
        return ilea_command_usage("a feed is named by 8 hex digits of its id or more");
    for (uint32_t number = 1; ilea_log_feed(act->txn, number, &feed) == ILEA_ERROR_NONE; number++) {
        char hex[2 * ILEA_ID_SIZE + 1];
        ilea_command_hex(feed.id.bytes, sizeof feed.id.bytes, hex);
        if (strncmp(hex, prefix, size) != 0) continue;
        *found = feed;
        matches++;
    }
    if (matches != 1) {
        return ilea_command_fail(matches == 0 ? EX_NOINPUT : EX_DATAERR,
                                 "%s feed begins with %.64s; see: ilea fork list",
                                 matches == 0 ? "no" : "more than one", prefix);
    }
    if (memcmp(found->origin.agency.bytes, act->own.id.bytes, ILEA_ID_SIZE) == 0) return 0;
    return ilea_command_fail(EX_NOPERM, "the feed is another agency's: only its own roots settle it; ask them");
}

/* --keep ours, or SEQ:ID with an id of which 8 digits are enough if we hold it. */
static int
parse_keep(struct ilea_command_act *act, const struct ilea_feed_row *feed, struct ilea_position *position)
{
    const char *keep = act->command->keep, *colon = keep != NULL ? strchr(keep, ':') : NULL;
    *position = (struct ilea_position){ feed->id, feed->seq, feed->head };
    if (keep != NULL && strcmp(keep, "ours") == 0 && feed->seq > 0) return 0;
    char number[24], hex[2 * ILEA_ID_SIZE + 1];
    if (colon == NULL || colon - keep >= (int)sizeof number) {
        return ilea_command_usage("fork resolve takes --keep ours, or --keep SEQ:ID");
    }
    (void)snprintf(number, sizeof number, "%.*s", (int)(colon - keep), keep);
    const struct ilea_span id = { (const uint8_t *)colon + 1, strlen(colon + 1) };
    if (!ilea_command_number(number, &position->seq) || position->seq == 0) {
        return ilea_command_usage("fork resolve takes --keep ours, or --keep SEQ:ID");
    }
    if (ilea_hex_parse(id, position->id.bytes, sizeof position->id.bytes)) return 0;
    struct ilea_chain_row chain;
    if (ilea_log_chain(act->txn, feed->number, position->seq, &chain) == ILEA_ERROR_NONE && id.size >= 8) {
        ilea_command_hex(chain.id.bytes, sizeof chain.id.bytes, hex);
        position->id = chain.id;
        if (id.size < sizeof hex && strncmp(hex, colon + 1, id.size) == 0) return 0;
    }
    return ilea_command_fail(EX_DATAERR, "we hold no commit %s: give its whole id, 64 hex digits", keep);
}

static int
resolve(struct ilea_command_act *act, struct ilea_command_manifest *manifest)
{
    struct ilea_feed_row feed;
    struct ilea_position position;
    struct ilea_control_decision answer;
    char hex[2 * ILEA_ID_SIZE + 1], seq[24], id[2 * ILEA_ID_SIZE + 1], title[100];
    int code = find_feed(act, act->command->words[2], &feed);
    if (code == 0) code = parse_keep(act, &feed, &position);
    if (code != 0) return code;
    manifest->positions = malloc(128);
    if (manifest->positions == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, manifest->positions, 128);
    ilea_position_put(&writer, &position);
    manifest->next.positions = ilea_msgpack_written(&writer);
    manifest->next.position_count = 1;
    ilea_command_hex(feed.id.bytes, sizeof feed.id.bytes, hex);
    ilea_command_hex(position.id.bytes, sizeof position.id.bytes, id);
    (void)snprintf(seq, sizeof seq, "%llu", (unsigned long long)position.seq);
    ilea_command_act_add(act, "feed", hex);
    ilea_command_act_add(act, "seq", seq);
    ilea_command_act_add(act, "id", id);
    code = ilea_command_manifest_sign(act, manifest, manifest->keys.node);
    if (code == 0) {
        code = ilea_command_act_send(act, (struct ilea_span){ manifest->bytes, manifest->size }, &answer);
    }
    (void)snprintf(title, sizeof title, "feed %.16s ends at %s", hex, seq);
    return code == 0 ? ilea_command_act_print(act->command, &answer, title,
                                              "This node goes on in a new feed; peers follow by themselves") : code;
}

static int
fork_resolve(const struct ilea_command *command)
{
    if (command->word_count != 3) return ilea_command_usage("fork resolve takes one feed");
    struct ilea_command_act act;
    struct ilea_command_manifest *manifest = calloc(1, sizeof *manifest);
    if (manifest == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = ilea_command_act_begin(&act, command, "fork.resolve", true);
    if (code == 0) code = ilea_command_manifest_begin(&act, manifest);
    if (code == 0) code = resolve(&act, manifest);
    ilea_command_manifest_end(manifest);
    ilea_command_act_end(&act);
    free(manifest);
    return code;
}

int
ilea_command_fork(const struct ilea_command *command)
{
    const char *verb = command->word_count > 1 ? command->words[1] : "";
    if (strcmp(verb, "list") == 0) return fork_list(command);
    if (strcmp(verb, "resolve") == 0) return fork_resolve(command);
    return ilea_command_usage("fork takes list or resolve");
}
