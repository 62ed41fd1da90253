/* command_verify.c - verify: every hash, signature and link of the log, and that the view equals a rebuild. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "node/agency.h"
#include "node/command.h"
#include "node/damage.h"
#include "node/verify.h"
#include "node/view.h"
#include "node/view_compare.h"

void
ilea_verify_fault(struct ilea_verify *verify, const char *format, ...)
{
    char line[300];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    verify->faults++;
    if (!verify->command->json) (void)printf("%s\n", line);
    json_array_append_new(verify->list, json_string(line));
}

/* One record of ours against the same one of the rebuilt view. */
static enum ilea_error
compare_record(struct ilea_transaction *ours, struct ilea_transaction *rebuilt, const struct ilea_view_row *one)
{
    struct ilea_view_row other;
    struct ilea_view_agency agency;
    enum ilea_error error = ilea_view_same_record(rebuilt, one, &other);
    if (error == ILEA_ERROR_NONE) error = ilea_view_agency(ours, one->agency, &agency);
    if (error == ILEA_ERROR_NONE) error = ilea_view_check(one, &agency.id);
    if (error == ILEA_ERROR_NONE && memcmp(one->hash, other.hash, sizeof one->hash) != 0) error = ILEA_ERROR_BAD_HASH;
    return error;
}

/* Compare two views record by record. What is erased leaves its lsn behind, in a rebuild perhaps more of them. */
static void
compare_views(struct ilea_verify *verify, struct ilea_transaction *ours, struct ilea_transaction *rebuilt)
{
    struct ilea_view_meta a, b;
    if (ilea_view_load_meta(ours, &a) != ILEA_ERROR_NONE || ilea_view_load_meta(rebuilt, &b) != ILEA_ERROR_NONE) {
        ilea_verify_fault(verify, "the view cannot be read");
        return;
    }
    bool counts = verify->erased > 0 ? a.lsn <= b.lsn : a.lsn == b.lsn;
    if (!counts || a.records != b.records || a.parked != b.parked || memcmp(a.digest, b.digest, sizeof a.digest) != 0) {
        ilea_verify_fault(verify,
                          "the view differs from a rebuild: %llu records and %llu changes, not %llu and %llu",
                          (unsigned long long)a.records, (unsigned long long)a.lsn,
                          (unsigned long long)b.records, (unsigned long long)b.lsn);
    }
    if (!ilea_view_same_documents(ours, rebuilt)) {
        ilea_verify_fault(verify, "the view's documents differ from a rebuild");
    }
    struct ilea_view_row row = { .number = 0 };
    uint64_t seen = 0;
    enum ilea_error error;
    while ((error = ilea_view_next(ours, 0, 0, &row)) == ILEA_ERROR_NONE) {
        error = compare_record(ours, rebuilt, &row);
        if (error != ILEA_ERROR_NONE) {
            ilea_verify_fault(verify, "record %llu of the view: %s", (unsigned long long)row.number,
                              ilea_error_text(error));
        }
        ilea_progress_show(&verify->progress, "records", ++seen);
    }
    if (error != ILEA_ERROR_NOT_FOUND) ilea_verify_fault(verify, "the view's records: %s", ilea_error_text(error));
}

/* Whether something was erased that the view at `position` still has: the log cannot say any more what that is. */
static bool
is_behind(struct ilea_verify *verify, uint64_t position)
{
    struct ilea_transaction *txn = NULL;
    uint64_t last = 0;
    bool found = false;
    if (ilea_transaction_begin(ilea_log_environment(verify->log), false, &txn) != ILEA_ERROR_NONE) return false;
    if (ilea_log_last(txn, &last) != ILEA_ERROR_NONE) last = 0;
    for (uint64_t at = position + 1; at <= last && !found; at++) {
        struct ilea_log_commit row;
        found = ilea_log_commit_at(txn, at, &row) == ILEA_ERROR_NONE && row.is_marker;
    }
    ilea_transaction_abort(txn);
    return found;
}

/* Build the view anew beside the current one, up to where that has come, and compare. BUSY: something was erased
 * meanwhile. */
static enum ilea_error
verify_view_once(struct ilea_verify *verify, const struct ilea_keys *keys)
{
    enum { SCRATCH = 2000000000 }; /* a generation nobody comes to */
    const char *home = verify->command->home;
    char path[ILEA_PATH_SIZE];
    uint32_t generation;
    struct ilea_environment *view = NULL, *rebuilt = NULL;
    struct ilea_transaction *ours = NULL, *theirs = NULL;
    struct ilea_view_builder *builder = NULL;
    struct ilea_view_meta meta;
    enum ilea_error error = ilea_view_current(home, &generation);
    if (error == ILEA_ERROR_NONE) {
        ilea_view_generation_path(home, generation, path);
        error = ilea_view_open(path, true, false, &view);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(view, false, &ours);
    if (error == ILEA_ERROR_NONE) error = ilea_view_load_meta(ours, &meta);
    if (error == ILEA_ERROR_NONE) error = ilea_view_make(home, SCRATCH);
    if (error == ILEA_ERROR_NONE) {
        ilea_view_generation_path(home, SCRATCH, path);
        error = ilea_view_open(path, false, false, &rebuilt);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_view_builder_new(verify->log, rebuilt, keys, &builder);
    uint64_t position = meta.position;
    bool caught_up = false;
    while (error == ILEA_ERROR_NONE && !caught_up) {
        error = ilea_view_builder_run(builder, 16 * 1024 * 1024, position, &caught_up, &meta);
        ilea_progress_show(&verify->progress, "rebuilding", meta.records);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_transaction_begin(rebuilt, false, &theirs);
    if (error == ILEA_ERROR_NONE && is_behind(verify, position)) error = ILEA_ERROR_BUSY;
    if (error == ILEA_ERROR_NONE) compare_views(verify, ours, theirs);
    if (error == ILEA_ERROR_NONE) error = ilea_verify_documents(verify, ours);
    ilea_transaction_abort(ours);
    ilea_transaction_abort(theirs);
    ilea_view_builder_free(builder);
    ilea_environment_close(view);
    ilea_environment_close(rebuilt);
    ilea_view_remove(home, SCRATCH);
    return error;
}

static enum ilea_error
verify_view(struct ilea_verify *verify, const struct ilea_keys *keys)
{
    enum { ATTEMPTS = 20, PAUSE_NS = 250 * 1000 * 1000 };
    enum ilea_error error = ILEA_ERROR_BUSY;
    for (unsigned attempt = 0; error == ILEA_ERROR_BUSY && attempt < ATTEMPTS; attempt++) {
        const struct timespec pause = { .tv_nsec = PAUSE_NS };
        if (attempt > 0) (void)nanosleep(&pause, NULL);
        error = verify_view_once(verify, keys);
    }
    return error;
}

int
ilea_command_verify(const struct ilea_command *command)
{
    if (command->word_count != 1) return ilea_command_usage("verify takes no words");
    struct ilea_verify verify = { .command = command };
    int code = ilea_command_log(command, &verify.log);
    if (code != 0) return code;
    struct ilea_keys keys = { .node = NULL };
    code = ilea_command_keys(command, verify.log, &keys);
    verify.list = json_array();
    ilea_progress_begin(&verify.progress);
    enum ilea_error error = ILEA_ERROR_NONE;
    uint64_t in_log = 0;
    if (code == 0) {
        error = ilea_transaction_begin(ilea_log_environment(verify.log), false, &verify.txn);
        if (error == ILEA_ERROR_NONE) {
            ilea_verify_log(&verify);
            ilea_transaction_abort(verify.txn);
            in_log = verify.faults;
            error = verify_view(&verify, &keys);
        }
        /* What keeps us from looking is no fault of what is looked at. */
        bool is_blind = error == ILEA_ERROR_BUSY || error == ILEA_ERROR_FULL || error == ILEA_ERROR_IO
            || error == ILEA_ERROR_NO_MEMORY;
        if (error != ILEA_ERROR_NONE && !is_blind) {
            ilea_verify_fault(&verify, "the view cannot be checked: %s", ilea_error_text(error));
        }
        bool view_is_bad = verify.faults > in_log + verify.document_faults
            && (error == ILEA_ERROR_NONE || error == ILEA_ERROR_CORRUPT);
        if (view_is_bad) ilea_damage_mark(command->home);
        ilea_progress_end(&verify.progress);
        if (command->json) {
            ilea_command_print(json_pack("{s:b,s:I,s:I,s:O}", "ok", verify.faults == 0 && !is_blind, "commits",
                                         (json_int_t)verify.commits, "documents", (json_int_t)verify.documents,
                                         "faults", verify.list));
        } else if (verify.faults == 0 && !is_blind) {
            (void)printf("ok: %llu commit%s, every hash, signature and link; the view equals a rebuild\n",
                         (unsigned long long)verify.commits, verify.commits == 1 ? "" : "s");
            if (verify.documents > 0) {
                (void)printf("ok: %llu document%s, every chunk\n", (unsigned long long)verify.documents,
                             verify.documents == 1 ? "" : "s");
            }
        }
        if (is_blind && verify.faults == 0) {
            code = ilea_command_fail(ilea_exit_code(error), "the log is sound; the view could not be checked: %s",
                                     ilea_error_text(error));
        }
        if (verify.faults > 0) {
            code = ilea_command_fail(EX_DATAERR, "%llu fault%s; %s", (unsigned long long)verify.faults,
                                     verify.faults == 1 ? "" : "s",
                                     in_log > 0 ? "commits come back from peers or a backup"
                                     : view_is_bad ? "the view will be rebuilt from the log"
                                     : verify.document_faults > 0 ? "ilea fetch brings damaged chunks back"
                                                                  : "try again");
        }
    }
    json_decref(verify.list);
    ilea_keys_free(&keys);
    ilea_log_close(verify.log);
    return code;
}
