/* command_compact.c - compact: log and view without what was deleted from them. */
#include <stdio.h>
#include <sysexits.h>

#include "node/command.h"

static void
ignore_answer(void *context, uint64_t tag, enum ilea_error error, const struct ilea_put_result *result)
{
    (void)context;
    (void)tag;
    (void)error;
    (void)result;
}

int
ilea_command_compact(const struct ilea_command *command)
{
    if (command->word_count != 1) return ilea_command_usage("compact takes no words");
    struct ilea_writer *writer = NULL;
    struct ilea_control_compacted answer;
    int code = ilea_command_writer(command, ignore_answer, NULL, &writer);
    if (code != 0) return code;
    enum ilea_error error = ilea_writer_compact(writer, &answer);
    if (error == ILEA_ERROR_NONE) error = answer.error;
    ilea_writer_close(writer);
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "not compacted: %s; what there was is whole%s",
                                 ilea_error_text(error),
                                 error == ILEA_ERROR_FULL ? ": make room for a second copy beside it" : "");
    }
    const struct ilea_compacted *sizes = &answer.sizes;
    if (command->json) {
        ilea_command_print(json_pack("{s:{s:I,s:I,s:I,s:I}}", "compact", "log_before", (json_int_t)sizes->log_before,
                                     "log_after", (json_int_t)sizes->log_after, "view_before",
                                     (json_int_t)sizes->view_before, "view_after", (json_int_t)sizes->view_after));
        return 0;
    }
    (void)printf("log   %llu KiB, was %llu\nview  %llu KiB, was %llu\n", (unsigned long long)sizes->log_after / 1024,
                 (unsigned long long)sizes->log_before / 1024, (unsigned long long)sizes->view_after / 1024,
                 (unsigned long long)sizes->view_before / 1024);
    ilea_command_say(stdout, "Backups, tools that have the old view open, and blocks that the disk gave free may still "
                             "hold what was deleted.");
    return 0;
}
