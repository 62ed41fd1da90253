/*
 * command.h - what the subcommands of `ilea` share. Data on stdout, messages on stderr, one line an
 * error that says what to do, exit codes of sysexits(3).
 */
#ifndef ILEA_NODE_COMMAND_H
#define ILEA_NODE_COMMAND_H

#include <jansson.h>
#include <stdbool.h>

#include <stdio.h>

#include "node/audience_find.h"
#include "node/home.h"
#include "node/writer.h"
#include "replication/reader/snapshot.h"

enum { ILEA_ARGUMENTS_MAX = 64, ILEA_OPTIONS_MAX = 512, ILEA_SETS_MAX = 256, ILEA_ROOT_FOLDERS_MAX = 16,
       ILEA_LAST_GOOD_MAX = 64 };

/* The command line, parsed. Options may stand anywhere. */
struct ilea_command {
    char home[ILEA_PATH_SIZE];
    const char *words[ILEA_ARGUMENTS_MAX]; /* what is no option, the command's own words first */
    int word_count;
    const char *options[ILEA_OPTIONS_MAX]; /* names of those that were given, without dashes */
    int option_count;
    const char *sets[ILEA_SETS_MAX];       /* --set, in order */
    int sets_count;
    const char *roots[ILEA_ROOT_FOLDERS_MAX];     /* --roots, in order */
    int roots_count;
    const char *last_good[ILEA_LAST_GOOD_MAX];    /* --last-good, in order */
    int last_good_count;
    /* Other options; NULL or false where not given. */
    const char *home_option, *agency, *country, *name, *listen, *network, *out, *to, *profile, *title,
        *limit, *type, *since, *passphrase_file, *admin, *admin_passphrase_file, *new_passphrase_file, *threshold,
        *code, *scope, *tlp_max, *tlp, *areas, *expires, *reason, *how, *approvals, *unverified, *key, *only, *from,
        *members, *levels, *level, *history, *keep, *new_admin, *invite, *note,
        *days, *wait, *for_agency, *split, *media, *basis;
    bool json, help, version, yes, follow, passphrase, withdraw, clock_is_right, peers_unchanged, dry_run, confirm,
        erase;
};

/* One line on stderr, "ilea: ..."; returns `code`. */
int ilea_command_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The exit code for an error. */
int ilea_exit_code(enum ilea_error error);
/* EX_USAGE with a hint at --help. */
int ilea_command_usage(const char *what);

/* Lower-case hex, 2 * size + 1 characters. */
void ilea_command_hex(const uint8_t *bytes, size_t size, char *text);

/* A text for people, broken at blanks to lines of 80 columns. */
void ilea_command_say(FILE *to, const char *text);

/* Print a JSON value as one line on stdout, keys sorted; takes the reference. */
void ilea_command_print(json_t *json);

/* Open writer or replica; on failure the message is printed and the exit code returned, else 0. */
int ilea_command_writer(const struct ilea_command *command, ilea_writer_answer *answer,
                        void *context, struct ilea_writer **writer);
int ilea_command_replica(const struct ilea_command *command, struct ilea_replica **replica);
/* Replica and a snapshot of it; end both. */
int ilea_command_snapshot(const struct ilea_command *command, struct ilea_replica **replica,
                          struct ilea_snapshot **snapshot);
/* The view could not be read: says what to do; returns the exit code. */
int ilea_command_view_fault(const struct ilea_command *command, enum ilea_error error);
/* The log, for reading. */
int ilea_command_log(const struct ilea_command *command, struct ilea_log **log);

/* The node's keys, for what a command does itself; end with ilea_keys_free(). As ilea_command_writer(). */
int ilea_command_keys(const struct ilea_command *command, struct ilea_log *log, struct ilea_keys *keys);

/* The passphrase by --passphrase-file, systemd credential or terminal. `twice`: a new one, repeated. */
bool ilea_command_passphrase(const struct ilea_command *command, bool twice, uint8_t *bytes,
                             size_t *size);

/* Any secret: from `file`; NULL: systemd's credential, then the terminal with `prompt`. */
bool ilea_command_secret(const char *file, const char *credential, const char *prompt, bool twice, uint8_t *bytes,
                         size_t *size);

/* The keys did not open: what to do about it; said, and the exit code returned. */
void ilea_command_locked_reason(const struct ilea_command *command, char reason[ILEA_REASON_SIZE]);
int ilea_command_locked(const struct ilea_command *command);

/* A record by the ref or id that was given; on failure said, and the exit code returned. End both in any case. */
int ilea_command_find_record(const struct ilea_command *command, const char *ref, struct ilea_replica **replica,
                             struct ilea_snapshot **snapshot, struct ilea_record_info *info);
/* Write what the command line says of words[1], and `field` too if there is one, and print the answer. `place`: for
 * whom it is from now on; NULL: as it is. */
struct ilea_command_place; /* command_place.h */
int ilea_command_update_record(const struct ilea_command *command, struct ilea_command_place *place, int first_word,
                               const char *field, const char *value);

/* The documents of the snapshot's current record, with how much of each is here (new reference): an array of objects
 * with * --json, of lines without. */
json_t *ilea_command_documents(const struct ilea_command *command, struct ilea_snapshot *snapshot);

/* For whom the snapshot's record is, as people write it: agency, all-peers, or OWNER/NAME; the id in hex of a closed
 * audience that we know nothing of. */
enum ilea_scope ilea_command_readers(struct ilea_snapshot *snapshot, char text[ILEA_AUDIENCE_TEXT_SIZE]);

/* A record's JSON object (new reference); NULL: out of memory. */
json_t *ilea_command_record(struct ilea_snapshot *snapshot, const struct ilea_record_info *info);

/* A value of such an object, behind its name, wrapped to 80 columns. */
void ilea_command_print_value(const char *name, json_t *value);

/* A number without sign; false if `text` is none. */
bool ilea_command_number(const char *text, uint64_t *number);

/* Text cut to `columns` on a terminal, with an ellipsis; line breaks become blanks. */
void ilea_command_cut(struct ilea_span text, int columns, char *line, size_t size);

/* Progress on stderr, if it is a terminal and more than a second has passed. */
struct ilea_progress {
    uint64_t start_ms, shown_ms;
    bool is_terminal;
};
void ilea_progress_begin(struct ilea_progress *progress);
void ilea_progress_show(struct ilea_progress *progress, const char *what, uint64_t done);
void ilea_progress_end(struct ilea_progress *progress);

/* What the daemon says of itself; false: none runs. */
bool ilea_command_daemon(const char *home, struct ilea_control_status *status);
/* All peers as a JSON array (new reference); `status` NULL: no daemon. */
json_t *ilea_command_peers(struct ilea_log *log, const struct ilea_control_status *status);

/* The subcommands; each returns an exit code. */
int ilea_command_init(const struct ilea_command *command);
int ilea_command_id(const struct ilea_command *command);
int ilea_command_card(const struct ilea_command *command);
int ilea_command_peer(const struct ilea_command *command);
int ilea_command_type(const struct ilea_command *command); /* need, org, ...: new, list */
int ilea_command_show(const struct ilea_command *command);
int ilea_command_set(const struct ilea_command *command);
int ilea_command_bundle(const struct ilea_command *command);
int ilea_command_frontier(const struct ilea_command *command);
int ilea_command_attach(const struct ilea_command *command);
int ilea_command_detach(const struct ilea_command *command);
int ilea_command_fetch(const struct ilea_command *command);
int ilea_command_audience(const struct ilea_command *command);
int ilea_command_publish(const struct ilea_command *command);
int ilea_command_review(const struct ilea_command *command);
int ilea_command_retract(const struct ilea_command *command);
int ilea_command_erase(const struct ilea_command *command);
int ilea_command_erasures(const struct ilea_command *command);
int ilea_command_compact(const struct ilea_command *command);
int ilea_command_import(const struct ilea_command *command);
int ilea_command_export(const struct ilea_command *command);
int ilea_command_changes(const struct ilea_command *command);
int ilea_command_admin(const struct ilea_command *command);
int ilea_command_key(const struct ilea_command *command);
int ilea_command_fork(const struct ilea_command *command);
int ilea_command_audit(const struct ilea_command *command);
int ilea_command_status(const struct ilea_command *command);
int ilea_command_where(const struct ilea_command *command);
int ilea_command_verify(const struct ilea_command *command);
int ilea_command_backup(const struct ilea_command *command);
int ilea_command_restore(const struct ilea_command *command);

#endif
