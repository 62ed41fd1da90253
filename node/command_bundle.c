/* command_bundle.c - bundle export, inspect and import, frontier: files in place of a link. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "node/bundle_export.h"
#include "node/chain.h"
#include "node/command.h"
#include "node/date.h"
#include "replication/core/message.h"

enum { SPLIT_MIN = 1024 * 1024 };

/* "4G": bytes, or K, M, G, T of 1024. */
static bool
parse_size(const char *text, uint64_t *size)
{
    static const char units[] = "KMGT";
    char digits[24];
    size_t length = strlen(text);
    const char *unit = length > 0 ? strchr(units, text[length - 1]) : NULL;
    if (unit != NULL) length--;
    if (length == 0 || length >= sizeof digits) return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (!ilea_command_number(digits, size)) return false;
    for (const char *at = units; unit != NULL && at <= unit; at++) {
        if (*size > UINT64_MAX / 1024) return false;
        *size *= 1024;
    }
    return true;
}

static void
show_commits(void *context, uint64_t commits)
{
    ilea_progress_show(context, "commits", commits);
}

/* Log, keys and what goes to --for; end with end_export(). */
struct exporting {
    struct ilea_log *log;
    struct ilea_keys keys;
    struct ilea_bundle_export *export;
    char reason[ILEA_REASON_SIZE];
};

static int
begin_export(const struct ilea_command *command, struct exporting *exporting)
{
    *exporting = (struct exporting){ .log = NULL };
    int code = ilea_command_log(command, &exporting->log);
    if (code == 0) code = ilea_command_keys(command, exporting->log, &exporting->keys);
    if (code != 0) return code;
    exporting->export = calloc(1, sizeof *exporting->export);
    if (exporting->export == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    enum ilea_error error = ilea_bundle_export_begin(exporting->export, exporting->log, &exporting->keys,
                                                     command->for_agency, exporting->reason);
    return error == ILEA_ERROR_NONE ? 0 : ilea_command_fail(ilea_exit_code(error), "%s", exporting->reason);
}

static void
end_export(struct exporting *exporting)
{
    if (exporting->export != NULL) ilea_bundle_export_end(exporting->export);
    free(exporting->export);
    ilea_keys_free(&exporting->keys);
    ilea_log_close(exporting->log);
}

static void
say_exported(const struct ilea_command *command, const struct ilea_bundle_export *export)
{
    const struct ilea_bundle_writer *writer = &export->writer;
    char code[ILEA_CODE_SIZE_MAX + 1];
    (void)snprintf(code, sizeof code, "%.*s", (int)export->peer.manifest.code.size,
                   (const char *)export->peer.manifest.code.data);
    if (command->json) {
        json_t *files = json_array();
        for (uint32_t part = 1; part <= writer->part; part++) {
            char name[ILEA_BUNDLE_PATH_SIZE];
            ilea_bundle_part_path(writer->path, part, name);
            json_array_append_new(files, json_string(name));
        }
        ilea_command_print(json_pack("{s:{s:s,s:i,s:I,s:I,s:o,s:s}}", "export", "for", code, "parts", (int)writer->part,
                                     "commits", (json_int_t)export->commits, "bytes",
                                     (json_int_t)(writer->size_total + writer->size), "files", files, "next",
                                     export->next.path));
        return;
    }
    (void)printf("%llu commits for %s in %s", (unsigned long long)export->commits, code, writer->path);
    if (writer->part > 1) (void)printf(" and %u more parts, to %s.%u", writer->part - 1, writer->path, writer->part);
    (void)printf("\nwhere nothing comes back, the next bundle goes on with: --since %s\n", export->next.path);
}

static int
bundle_export(const struct ilea_command *command)
{
    uint64_t split = 0;
    if (command->word_count != 3) return ilea_command_usage("bundle export takes one new file");
    if (command->for_agency == NULL) return ilea_command_usage("bundle export needs --for AGENCY");
    if (command->split != NULL && (!parse_size(command->split, &split) || split < SPLIT_MIN)) {
        return ilea_command_usage("--split takes a size such as 100M or 4G, at least 1M");
    }
    struct exporting exporting;
    struct ilea_progress progress;
    ilea_progress_begin(&progress);
    int code = begin_export(command, &exporting);
    if (code == 0) {
        enum ilea_error error = ILEA_ERROR_NONE;
        exporting.export->progress = show_commits;
        exporting.export->context = &progress;
        if (command->since != NULL) {
            error = ilea_bundle_export_since(exporting.export, command->since, exporting.reason);
        }
        if (error == ILEA_ERROR_NONE) {
            error = ilea_bundle_export_write(exporting.export, command->words[2], split, exporting.reason);
        }
        ilea_progress_end(&progress);
        if (error == ILEA_ERROR_NONE) say_exported(command, exporting.export);
        else code = ilea_command_fail(ilea_exit_code(error), "%s", exporting.reason);
    }
    end_export(&exporting);
    return code;
}

int
ilea_command_frontier(const struct ilea_command *command)
{
    if (command->word_count != 1) return ilea_command_usage("frontier takes no words");
    if (command->for_agency == NULL || command->out == NULL) {
        return ilea_command_usage("frontier needs --out FILE and --for AGENCY");
    }
    struct exporting exporting;
    uint32_t feeds = 0;
    int code = begin_export(command, &exporting);
    if (code == 0) {
        enum ilea_error error =
            ilea_bundle_export_frontier(exporting.export, command->out, &feeds, exporting.reason);
        if (error != ILEA_ERROR_NONE) code = ilea_command_fail(ilea_exit_code(error), "%s", exporting.reason);
    }
    if (code == 0 && command->json) {
        ilea_command_print(json_pack("{s:{s:s,s:s,s:i}}", "frontier", "for", command->for_agency, "file", command->out,
                                     "feeds", (int)feeds));
    } else if (code == 0) {
        (void)printf("%s tells %s how far %u feeds are here: ilea bundle export --since it\n", command->out,
                     command->for_agency, feeds);
    }
    end_export(&exporting);
    return code;
}

static int
fail_open(const char *path, enum ilea_error error)
{
    switch ((int)error) {
    case ILEA_ERROR_NOT_FOUND: return ilea_command_fail(EX_NOINPUT, "%s: there is no such file", path);
    case ILEA_ERROR_INVALID:
    case ILEA_ERROR_MALFORMED:
        return ilea_command_fail(EX_DATAERR, "%s is not a whole, unaltered bundle: nothing was changed", path);
    case ILEA_ERROR_UNKNOWN:
        return ilea_command_fail(EX_DATAERR, "%s is of a newer version: upgrade this node", path);
    default: return ilea_command_fail(ilea_exit_code(error), "%s: %s", path, ilea_error_text(error));
    }
}

enum { PASSES_MAX = 8 };

/* Bundles being taken in. */
struct importing {
    struct ilea_writer *writer;
    struct ilea_bundle_reader reader;
    struct ilea_progress progress;
    struct ilea_imported counts;
    char code[ILEA_CODE_SIZE_MAX + 1];
    enum ilea_error error;           /* the first that was answered, and why */
    char reason[ILEA_REASON_SIZE];
    struct ilea_audience_id id;      /* of the part before */
    uint32_t part, parts;
    uint64_t bytes;
};

static void
take_answer(void *context, const struct ilea_control_bundle *answer)
{
    struct importing *importing = context;
    importing->counts.taken += answer->counts.taken;
    importing->counts.known += answer->counts.known;
    importing->counts.refused += answer->counts.refused;
    importing->counts.waiting += answer->counts.waiting;
    if (answer->code[0] != '\0') (void)snprintf(importing->code, sizeof importing->code, "%s", answer->code);
    if (answer->error == ILEA_ERROR_NONE || importing->error != ILEA_ERROR_NONE) return;
    importing->error = answer->error;
    (void)snprintf(importing->reason, sizeof importing->reason, "%s",
                   answer->reason[0] != '\0' ? answer->reason : ilea_error_text(answer->error));
}

static enum ilea_error
send(struct importing *importing, enum ilea_bundle_verb verb, bool flag, struct ilea_span bytes)
{
    const struct ilea_control_chunk chunk = { .verb = verb, .flag = flag, .bytes = bytes };
    return ilea_writer_bundle(importing->writer, &chunk, take_answer, importing);
}

static enum ilea_error
flush(struct importing *importing)
{
    return ilea_writer_bundle_flush(importing->writer, take_answer, importing);
}

/* All chunks, once. What the file itself is to blame for goes into importing->error. */
static enum ilea_error
send_chunks(struct importing *importing, enum ilea_bundle_verb verb)
{
    struct ilea_bundle_reader *reader = &importing->reader;
    enum ilea_error found = ilea_bundle_reader_rewind(reader), error = ILEA_ERROR_NONE;
    while (found == ILEA_ERROR_NONE && error == ILEA_ERROR_NONE && importing->error == ILEA_ERROR_NONE) {
        found = ilea_bundle_reader_next(reader);
        if (found == ILEA_ERROR_NONE) error = send(importing, verb, reader->last, reader->chunk);
        ilea_progress_show(&importing->progress, verb == ILEA_BUNDLE_CHECK ? "bytes checked" : "bytes taken in",
                           reader->size);
    }
    enum ilea_error ended = flush(importing);
    if (error == ILEA_ERROR_NONE) error = ended;
    if (found == ILEA_ERROR_NONE || found == ILEA_ERROR_NOT_FOUND || importing->error != ILEA_ERROR_NONE) return error;
    importing->error = found;
    (void)snprintf(importing->reason, sizeof importing->reason, "%s",
                   found == ILEA_ERROR_MALFORMED ? "the bundle was altered or cut off" : ilea_error_text(found));
    return error;
}

static int
import_file(struct importing *importing, const char *path)
{
    struct ilea_bundle_reader *reader = &importing->reader;
    enum ilea_error error = ilea_bundle_reader_open(reader, path);
    if (error != ILEA_ERROR_NONE) return fail_open(path, error);
    const struct ilea_bundle_header *header = &reader->header;
    bool follows = importing->parts > 0 && header->part == importing->part + 1
        && memcmp(header->id.bytes, importing->id.bytes, sizeof header->id.bytes) == 0;
    bool is_taking = false;
    error = send(importing, ILEA_BUNDLE_OPEN, follows, (struct ilea_span){ reader->header_bytes, reader->header_size });
    if (error == ILEA_ERROR_NONE) error = flush(importing);
    if (error == ILEA_ERROR_NONE && importing->error == ILEA_ERROR_NONE) {
        error = send_chunks(importing, ILEA_BUNDLE_CHECK);
    }
    if (error == ILEA_ERROR_NONE && importing->error == ILEA_ERROR_NONE) {
        is_taking = true;
        error = send_chunks(importing, ILEA_BUNDLE_TAKE);
    }
    ilea_progress_end(&importing->progress);
    if (error == ILEA_ERROR_NONE && importing->error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(importing->error), "%s: %s%s", path, importing->reason,
                                 is_taking ? "" : "; nothing was changed");
    }
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "%s: interrupted: %s; what was taken in stays, import it again",
                                 path, ilea_error_text(error));
    }
    importing->id = header->id;
    importing->part = header->part;
    importing->parts++;
    importing->bytes += reader->size;
    return 0;
}

static void
say_imported(const struct ilea_command *command, const struct importing *importing)
{
    const struct ilea_imported *counts = &importing->counts;
    if (command->json) {
        ilea_command_print(json_pack("{s:{s:s,s:i,s:I,s:I,s:I,s:I,s:I}}", "import", "from", importing->code, "parts",
                                     (int)importing->parts, "taken", (json_int_t)counts->taken, "known",
                                     (json_int_t)counts->known, "refused", (json_int_t)counts->refused, "waiting",
                                     (json_int_t)counts->waiting, "bytes", (json_int_t)importing->bytes));
        return;
    }
    if (counts->taken == 0 && counts->refused == 0 && counts->waiting == 0) {
        (void)printf("nothing new from %s: %llu commits are known\n", importing->code,
                     (unsigned long long)counts->known);
        return;
    }
    (void)printf("from %s: %llu commits taken in, %llu known\n", importing->code, (unsigned long long)counts->taken,
                 (unsigned long long)counts->known);
    if (counts->refused > 0) {
        (void)printf("%llu refused: of agencies that are not followed, or void\n", (unsigned long long)counts->refused);
    }
    if (counts->waiting > 0) {
        (void)printf("%llu not taken in, for what comes before them is missing: import the earlier bundle, then this "
                     "one again\n",
                     (unsigned long long)counts->waiting);
    }
}

/* All files, once: what stands in them, as counted in this pass. */
static int
import_files(struct importing *importing, const struct ilea_command *command)
{
    int code = 0;
    importing->counts = (struct ilea_imported){ .taken = 0 };
    importing->parts = 0;
    importing->bytes = 0;
    for (int i = 2; code == 0 && i < command->word_count; i++) {
        code = import_file(importing, command->words[i]);
        ilea_bundle_reader_close(&importing->reader);
    }
    return code;
}

/* Commits that come before what they name, as feeds do that their own author got back, or before the erasure of what
 * they leave out: again, as long as that brings anything. */
static int
import_all(struct importing *importing, const struct ilea_command *command)
{
    uint64_t taken = 0, known = 0;
    int code = 0;
    for (unsigned pass = 0; code == 0 && pass < PASSES_MAX; pass++) {
        code = import_files(importing, command);
        if (pass == 0) known = importing->counts.known;
        taken += importing->counts.taken;
        if (importing->counts.waiting == 0 || importing->counts.taken == 0) break;
    }
    importing->counts.taken = taken;
    importing->counts.known = known;
    return code;
}

static int
bundle_import(const struct ilea_command *command)
{
    if (command->word_count < 3) return ilea_command_usage("bundle import takes the files of a bundle, in order");
    struct importing *importing = calloc(1, sizeof *importing);
    if (importing == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = 0;
    for (int i = 2; code == 0 && i < command->word_count; i++) { /* before anything else is waited for */
        enum ilea_error error = ilea_bundle_reader_open(&importing->reader, command->words[i]);
        ilea_bundle_reader_close(&importing->reader);
        if (error != ILEA_ERROR_NONE) code = fail_open(command->words[i], error);
    }
    if (code == 0) code = ilea_command_writer(command, NULL, NULL, &importing->writer);
    ilea_progress_begin(&importing->progress);
    if (code == 0) code = import_all(importing, command);
    if (code == 0) say_imported(command, importing);
    ilea_writer_close(importing->writer);
    free(importing);
    return code;
}

/* What a bundle says of itself, and holds. */
struct inspecting {
    struct ilea_bundle_reader reader;
    struct ilea_log *log;            /* NULL: there is no home */
    struct ilea_keys keys;
    struct ilea_keyring *ring;
    char from[ILEA_CODE_SIZE_MAX + 1], to[ILEA_CODE_SIZE_MAX + 1];
    const char *signature;           /* in words */
    bool is_ours;                    /* sealed to us */
    bool is_whole, is_frontier;
    struct ilea_bundle_totals totals;
    uint64_t commits, bytes, manifests, forks, positions;
    uint8_t plain[ILEA_BUNDLE_CHUNK_MAX];
    struct ilea_manifest manifest;
};

/* Who its agencies are to us, and whether it is signed by the one it names. */
static enum ilea_error
look_up(struct inspecting *inspecting)
{
    const struct ilea_bundle_header *header = &inspecting->reader.header;
    struct ilea_manifest *manifest = &inspecting->manifest;
    struct ilea_transaction *txn = NULL;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(inspecting->log), false, &txn);
    if (error != ILEA_ERROR_NONE) return error;
    if (ilea_chain_last(txn, &header->from, manifest) == ILEA_ERROR_NONE) {
        (void)snprintf(inspecting->from, sizeof inspecting->from, "%.*s", (int)manifest->code.size,
                       (const char *)manifest->code.data);
    }
    if (ilea_chain_last(txn, &header->to, manifest) == ILEA_ERROR_NONE) {
        (void)snprintf(inspecting->to, sizeof inspecting->to, "%.*s", (int)manifest->code.size,
                       (const char *)manifest->code.data);
    }
    struct ilea_sign_public node;
    error = ilea_chain_signer(txn, &header->from, header->manifest, &node);
    if (error == ILEA_ERROR_NONE || error == ILEA_ERROR_PERMISSION) {
        inspecting->signature = !ilea_bundle_header_verify(header, &node) ? "bad"
            : error == ILEA_ERROR_NONE                                    ? "good"
                                                                          : "by a revoked key";
    }
    ilea_transaction_abort(txn);
    const struct ilea_log_identity *own = ilea_log_identity(inspecting->log);
    inspecting->is_ours = memcmp(own->agency.bytes, header->to.bytes, ILEA_ID_SIZE) == 0
        && memcmp(own->network.bytes, header->network.bytes, ILEA_ID_SIZE) == 0;
    return ILEA_ERROR_NONE;
}

static enum ilea_error
count_content(struct inspecting *inspecting, struct ilea_span plain)
{
    uint32_t type, count = 0;
    struct ilea_span body;
    struct ilea_feed_id feed;
    struct ilea_agency_id agency;
    struct ilea_msgpack_reader list;
    struct ilea_bundle_frontier frontier;
    enum ilea_error error = ilea_bundle_content_decode(plain, &type, &body);
    if (error != ILEA_ERROR_NONE) return error;
    switch (type) {
    case ILEA_BUNDLE_TOTALS: return ilea_bundle_totals_decode(body, &inspecting->totals);
    case ILEA_BUNDLE_FRONTIER:
        error = ilea_bundle_frontier_decode(body, &frontier);
        inspecting->is_frontier = true;
        if (error == ILEA_ERROR_NONE) inspecting->positions += frontier.count;
        return error;
    case ILEA_BUNDLE_MANIFEST:
        error = ilea_manifests_decode(body, &agency, &count, &list);
        if (error == ILEA_ERROR_NONE) inspecting->manifests += count;
        return error;
    case ILEA_BUNDLE_FORK: inspecting->forks++; return ILEA_ERROR_NONE;
    case ILEA_BUNDLE_COMMITS:
        error = ilea_commits_decode(body, &feed, &count, &list);
        if (error != ILEA_ERROR_NONE) return error;
        inspecting->commits += count;
        for (uint32_t i = 0; i < count; i++) inspecting->bytes += ilea_commits_next(&list).size;
        return ILEA_ERROR_NONE;
    default: return ILEA_ERROR_NONE;
    }
}

/* All of it, as far as it opens. */
static enum ilea_error
look_inside(struct inspecting *inspecting)
{
    struct ilea_bundle_reader *reader = &inspecting->reader;
    const struct ilea_bundle_header *header = &reader->header;
    enum ilea_error error = ilea_keyring_new(1, &inspecting->ring);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_keys_unwrap(&inspecting->keys, inspecting->ring, &header->network, &header->id,
                                 header->aek_commit, header->wrapped);
        if (error == ILEA_ERROR_NOT_FOUND) error = ILEA_ERROR_BAD_HASH;
    }
    if (error == ILEA_ERROR_NONE) error = ilea_bundle_reader_rewind(reader);
    for (uint64_t number = 0; error == ILEA_ERROR_NONE; number++) {
        struct ilea_span plain = { inspecting->plain, 0 };
        error = ilea_bundle_reader_next(reader);
        if (error != ILEA_ERROR_NONE) break;
        error = ilea_bundle_chunk_open(inspecting->ring, header, number, reader->last, reader->chunk,
                                       inspecting->plain, &plain.size);
        if (error == ILEA_ERROR_NONE) error = count_content(inspecting, plain);
    }
    inspecting->is_whole = error == ILEA_ERROR_NOT_FOUND;
    return inspecting->is_whole ? ILEA_ERROR_NONE : error;
}

static void
say_inspected(const struct ilea_command *command, const struct inspecting *inspecting)
{
    const struct ilea_bundle_header *header = &inspecting->reader.header;
    char from[65], to[65], id[33], made[ILEA_TIME_SIZE];
    ilea_command_hex(header->from.bytes, sizeof header->from.bytes, from);
    ilea_command_hex(header->to.bytes, sizeof header->to.bytes, to);
    ilea_command_hex(header->id.bytes, sizeof header->id.bytes, id);
    ilea_time_format(header->made_ms, made);
    const char *kind = !inspecting->is_ours ? "sealed" : inspecting->is_frontier ? "frontier" : "bundle";
    if (command->json) {
        json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:I,s:s}", "kind", kind, "from", inspecting->from,
                                 "from_id", from, "to", inspecting->to, "to_id", to, "id", id, "part",
                                 (int)header->part, "made_ms", (json_int_t)header->made_ms, "signature",
                                 inspecting->signature);
        if (inspecting->is_ours) {
            json_t *content = json_pack(
                "{s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "whole", inspecting->is_whole ? 1 : 0, "commits",
                (json_int_t)inspecting->commits, "commit_bytes", (json_int_t)inspecting->bytes, "manifests",
                (json_int_t)inspecting->manifests, "forks", (json_int_t)inspecting->forks, "positions",
                (json_int_t)inspecting->positions, "all_commits", (json_int_t)inspecting->totals.commits,
                "all_bytes", (json_int_t)inspecting->totals.bytes);
            json_object_update(json, content);
            json_decref(content);
        }
        ilea_command_print(json_pack("{s:o}", "bundle", json));
        return;
    }
    (void)printf("from       %s %.16s, signature %s\nfor        %s %.16s\nmade       %s UTC by its maker's clock\n"
                 "part       %u of bundle %s\n",
                 inspecting->from, from, inspecting->signature, inspecting->to, to, made, header->part, id);
    if (!inspecting->is_ours) {
        (void)puts("contents   sealed: only that agency can open it");
    } else if (inspecting->is_frontier) {
        (void)printf("contents   a frontier of %llu feeds\n", (unsigned long long)inspecting->positions);
    } else {
        (void)printf("contents   %llu commits of %llu bytes (all parts: %llu of %llu), %llu manifests, %llu proofs of "
                     "forks\n",
                     (unsigned long long)inspecting->commits, (unsigned long long)inspecting->bytes,
                     (unsigned long long)inspecting->totals.commits, (unsigned long long)inspecting->totals.bytes,
                     (unsigned long long)inspecting->manifests, (unsigned long long)inspecting->forks);
    }
}

static int
inspect(const struct ilea_command *command, struct inspecting *inspecting)
{
    const char *path = command->words[2];
    inspecting->signature = "unknown";
    enum ilea_error error = ilea_bundle_reader_open(&inspecting->reader, path);
    if (error != ILEA_ERROR_NONE) return fail_open(path, error);
    int code = 0;
    if (ilea_home_exists(command->home)) code = ilea_command_log(command, &inspecting->log);
    if (code != 0) return code;
    if (inspecting->log != NULL) error = look_up(inspecting);
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "the log cannot be read: %s", ilea_error_text(error));
    }
    if (inspecting->is_ours) {
        code = ilea_command_keys(command, inspecting->log, &inspecting->keys);
        if (code != 0) return code;
        error = look_inside(inspecting);
    }
    say_inspected(command, inspecting);
    if (error != ILEA_ERROR_NONE && !ilea_error_is_peer_fault(error)) {
        return ilea_command_fail(ilea_exit_code(error), "%s: %s", path, ilea_error_text(error));
    }
    bool is_bad = error != ILEA_ERROR_NONE || strcmp(inspecting->signature, "bad") == 0;
    return is_bad ? ilea_command_fail(EX_DATAERR, "%s was altered or cut off", path) : 0;
}

static int
bundle_inspect(const struct ilea_command *command)
{
    if (command->word_count != 3) return ilea_command_usage("bundle inspect takes one file");
    struct inspecting *inspecting = calloc(1, sizeof *inspecting);
    if (inspecting == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    int code = inspect(command, inspecting);
    ilea_bundle_reader_close(&inspecting->reader);
    ilea_keyring_free(inspecting->ring);
    ilea_keys_free(&inspecting->keys);
    ilea_log_close(inspecting->log);
    free(inspecting);
    return code;
}

int
ilea_command_bundle(const struct ilea_command *command)
{
    const char *verb = command->word_count > 1 ? command->words[1] : "";
    if (strcmp(verb, "export") == 0) return bundle_export(command);
    if (strcmp(verb, "inspect") == 0) return bundle_inspect(command);
    if (strcmp(verb, "import") == 0) return bundle_import(command);
    return ilea_command_usage("bundle takes export, inspect or import");
}
