/* command_backup.c - backup and restore: a copy of a home, and a home made of one. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "node/backup.h"
#include "node/command.h"
#include "node/restore.h"

static void
date_of(uint64_t ms, char text[32])
{
    const time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL || strftime(text, 32, "%Y-%m-%d %H:%M UTC", &parts) == 0) text[0] = '\0';
}

int
ilea_command_backup(const struct ilea_command *command)
{
    if (command->word_count != 2) return ilea_command_usage("backup takes one new folder");
    if (!ilea_home_exists(command->home)) {
        return ilea_command_fail(EX_NOINPUT, "%s is no node's home; name it with --home", command->home);
    }
    struct ilea_backup backup;
    char reason[ILEA_REASON_SIZE];
    enum ilea_error error = ilea_backup_make(command->home, command->words[1], &backup, reason);
    if (error != ILEA_ERROR_NONE) return ilea_command_fail(ilea_exit_code(error), "no backup was made: %s", reason);
    if (command->json) {
        ilea_command_print(json_pack("{s:s,s:s,s:I,s:I,s:i,s:b,s:i}", "backup", command->words[1], "agency",
                                     backup.code, "made_ms", (json_int_t)backup.made_ms, "position",
                                     (json_int_t)backup.position, "key_files", (int)backup.key_files,
                                     "keys_protected", (int)backup.keys_protected, "documents",
                                     (int)backup.documents));
        return 0;
    }
    (void)printf("backup of %s up to change %llu in %s\n", backup.code, (unsigned long long)backup.position,
                 command->words[1]);
    if (backup.documents > 0) {
        (void)printf("%u documents of our own are in it; those of others are fetched again\n", backup.documents);
    }
    (void)printf("%u key files are in it, %s: keep it like the keys themselves\n", backup.key_files,
                 backup.keys_protected ? "each with a passphrase" : "not all with a passphrase");
    return 0;
}

static int
say_restored(const struct ilea_command *command, const struct ilea_backup *backup, const char *aside,
             const struct ilea_restored *restored)
{
    char date[32];
    date_of(backup->made_ms, date);
    if (command->json) {
        json_t *waiting = json_array();
        for (uint32_t i = 0; i < restored->waiting_count; i++) {
            json_array_append_new(waiting, json_string(restored->waiting[i]));
        }
        ilea_command_print(json_pack("{s:s,s:I,s:I,s:s,s:i,s:o}", "agency", backup->code, "made_ms",
                                     (json_int_t)backup->made_ms, "position", (json_int_t)backup->position, "aside",
                                     aside, "kept_decisions", (int)restored->merged, "waiting", waiting));
        return 0;
    }
    (void)printf("%s is as it was on %s\n", backup->code, date);
    if (aside[0] != '\0') (void)printf("what was here before is in %s/%s\n", command->home, aside);
    if (restored->merged > 0) {
        (void)printf("%u refusals or withdrawn approvals since then were kept\n", restored->merged);
    }
    if (restored->waiting_count > 0) {
        (void)printf("%u peers wait for your word, because nobody here knows what was decided since:\n",
                     restored->waiting_count);
        for (uint32_t i = 0; i < restored->waiting_count; i++) {
            (void)printf("  ilea peer resume %s\n", restored->waiting[i]);
        }
    }
    (void)puts("Start ilea-node: what was written since comes back from the peers that hold it.");
    return 0;
}

int
ilea_command_restore(const struct ilea_command *command)
{
    if (command->word_count != 2) return ilea_command_usage("restore takes one folder that ilea backup made");
    struct ilea_backup backup;
    char reason[ILEA_REASON_SIZE], aside[64];
    enum ilea_error error = ilea_backup_check(command->words[1], &backup, reason);
    if (error != ILEA_ERROR_NONE) return ilea_command_fail(ilea_exit_code(error), "nothing was restored: %s", reason);
    bool exists = ilea_home_exists(command->home);
    if (exists && !command->yes) {
        return ilea_command_fail(EX_CANTCREAT, "%s holds a node; to put it aside and restore, add --yes",
                                 command->home);
    }
    int lock = -1;
    if (exists) {
        error = ilea_home_lock(command->home, 0, &lock);
        if (error != ILEA_ERROR_NONE) {
            return ilea_command_fail(EX_TEMPFAIL, "a daemon or command is using %s: stop it first", command->home);
        }
    }
    error = ilea_backup_restore(command->words[1], command->home, aside, reason);
    if (lock >= 0) close(lock);
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "not restored: %s%s%s", reason,
                                 aside[0] != '\0' ? "; what was here is in " : "", aside);
    }
    struct ilea_restored restored;
    error = ilea_restore_settle(command->home, command->peers_unchanged, &restored);
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "restored, but the peers' states could not be settled: %s",
                                 ilea_error_text(error));
    }
    return say_restored(command, &backup, aside, &restored);
}
