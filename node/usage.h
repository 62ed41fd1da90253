/*
 * usage.h - what `ilea --help` says of each command, and so which options it takes.
 *
 * One table is both: an option that a command's own lines do not name is refused, for a command that does not look at
 * it would do something else than was asked. Text only; nothing here is freed.
 */
#ifndef ILEA_NODE_USAGE_H
#define ILEA_NODE_USAGE_H

#include <stdbool.h>

/* The first words of a command line, the command's own (borrowed, no copies). */
struct ilea_usage_words {
    const char *command;
    const char *verb;       /* NULL: there is no second word */
    bool is_type;           /* the command is the name of a type of records: need, org ... */
};

/* Whether a command takes --option (without the dashes). True of a command that the table does not know: it says
 * itself what it is not. */
bool ilea_usage_takes(const struct ilea_usage_words *words, const char *option);

/* Whether the second word is a verb of the command's, not a name or ref. */
bool ilea_usage_has_verbs(const struct ilea_usage_words *words);

/* All of the help, on stdout; or one command's part. False: it could not be printed, or there is no such command. */
bool ilea_usage_print_all(void);
bool ilea_usage_print(const struct ilea_usage_words *words);

#endif
