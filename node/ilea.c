/* ilea.c - the command line: options, the table of subcommands. What each takes: usage.c. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "crypto/random.h"
#include "node/command.h"
#include "node/damage.h"
#include "node/usage.h"

static const struct {
    const char *name;
    int (*run)(const struct ilea_command *command);
} commands[] = {
    { "init", ilea_command_init },       { "id", ilea_command_id },
    { "card", ilea_command_card },       { "peer", ilea_command_peer },
    { "admin", ilea_command_admin },     { "key", ilea_command_key },
    { "fork", ilea_command_fork },       { "audit", ilea_command_audit },
    { "show", ilea_command_show },       { "set", ilea_command_set },
    { "audience", ilea_command_audience },
    { "publish", ilea_command_publish }, { "review", ilea_command_review },
    { "retract", ilea_command_retract },
    { "import", ilea_command_import },
    { "attach", ilea_command_attach },   { "detach", ilea_command_detach },
    { "fetch", ilea_command_fetch },
    { "export", ilea_command_export },   { "changes", ilea_command_changes },
    { "status", ilea_command_status },   { "verify", ilea_command_verify },
    { "erase", ilea_command_erase },     { "erasures", ilea_command_erasures },
    { "compact", ilea_command_compact },
    { "bundle", ilea_command_bundle },   { "frontier", ilea_command_frontier },
    { "backup", ilea_command_backup },   { "restore", ilea_command_restore },
    { "where", ilea_command_where },
};

/* Where an option's value goes: one place, a flag, or a list that has room for `max`. */
struct option {
    const char *name;
    const char **value;
    bool *flag;
    int *count, max;
};

static int
set_option(const struct option *option, const char *equals, int argc, char **argv, int *at)
{
    if (option->flag != NULL) {
        if (equals != NULL) return ilea_command_usage("an option that takes no value was given one");
        *option->flag = true;
        return 0;
    }
    const char *value = equals != NULL ? equals + 1 : *at + 1 < argc ? argv[++*at] : NULL;
    if (value == NULL) return ilea_command_fail(EX_USAGE, "%s needs a value", argv[*at]);
    if (option->count == NULL) {
        *option->value = value;
    } else if (*option->count == option->max) {
        return ilea_command_fail(EX_USAGE, "too many --%s", option->name);
    } else {
        option->value[(*option->count)++] = value;
    }
    return 0;
}

static int
parse_option(struct ilea_command *command, int argc, char **argv, int *at)
{
#define VALUE(name, field) { name, &command->field, NULL, NULL, 0 }
#define FLAG(name, field) { name, NULL, &command->field, NULL, 0 }
#define LIST(name, field, max) { name, command->field, NULL, &command->field##_count, max }
    const struct option options[] = {
        VALUE("home", home_option), VALUE("agency", agency), VALUE("country", country), VALUE("name", name),
        VALUE("listen", listen), VALUE("network", network), VALUE("out", out), VALUE("to", to),
        VALUE("profile", profile), VALUE("title", title), VALUE("limit", limit), VALUE("type", type),
        VALUE("since", since), VALUE("passphrase-file", passphrase_file), VALUE("admin", admin),
        VALUE("admin-passphrase-file", admin_passphrase_file), VALUE("new-passphrase-file", new_passphrase_file),
        VALUE("threshold", threshold), VALUE("code", code), VALUE("scope", scope), VALUE("tlp-max", tlp_max),
        VALUE("tlp", tlp), VALUE("areas", areas), VALUE("expires", expires), VALUE("reason", reason), VALUE("how", how),
        VALUE("approvals", approvals), VALUE("unverified", unverified), VALUE("key", key), VALUE("only", only),
        VALUE("from", from), VALUE("keep", keep), VALUE("new-admin", new_admin),
        VALUE("invite", invite), VALUE("note", note), VALUE("days", days), VALUE("wait", wait),
        VALUE("for", for_agency), VALUE("split", split), VALUE("media", media), VALUE("basis", basis),
        VALUE("members", members), VALUE("levels", levels), VALUE("level", level), VALUE("history", history),
        LIST("set", sets, ILEA_SETS_MAX), LIST("roots", roots, ILEA_ROOT_FOLDERS_MAX),
        LIST("last-good", last_good, ILEA_LAST_GOOD_MAX), FLAG("json", json), FLAG("help", help),
        FLAG("version", version), FLAG("yes", yes), FLAG("follow", follow), FLAG("passphrase", passphrase),
        FLAG("withdraw", withdraw), FLAG("clock-is-right", clock_is_right),
        FLAG("peers-unchanged", peers_unchanged), FLAG("dry-run", dry_run),
        FLAG("confirm", confirm), FLAG("erase", erase) };
#undef VALUE
#undef FLAG
#undef LIST
    const char *text = argv[*at] + 2;
    const char *equals = strchr(text, '=');
    size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);
    for (unsigned i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strlen(options[i].name) != length || memcmp(options[i].name, text, length) != 0) continue;
        if (command->option_count == ILEA_OPTIONS_MAX) return ilea_command_usage("too many options");
        command->options[command->option_count++] = options[i].name;
        return set_option(&options[i], equals, argc, argv, at);
    }
    return ilea_command_fail(EX_USAGE, "unknown option %s; see ilea --help", argv[*at]);
}

static int
parse(struct ilea_command *command, int argc, char **argv)
{
    bool only_words = false;
    for (int at = 1; at < argc; at++) {
        if (!only_words && strcmp(argv[at], "--") == 0) {
            only_words = true;
        } else if (!only_words && strcmp(argv[at], "-h") == 0) {
            command->help = true;
        } else if (!only_words && strncmp(argv[at], "--", 2) == 0) {
            int code = parse_option(command, argc, argv, &at);
            if (code != 0) return code;
        } else if (command->word_count == ILEA_ARGUMENTS_MAX) {
            return ilea_command_usage("too many words");
        } else {
            command->words[command->word_count++] = argv[at];
        }
    }
    if (ilea_home_choose(command->home_option, command->home) != ILEA_ERROR_NONE) {
        return ilea_command_usage("the path of --home is too long");
    }
    return 0;
}

/* What could not be printed was not done, as far as whoever reads it can tell. */
static int
finish(int code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) return code;
    return code != 0 ? code : ilea_command_fail(EX_IOERR, "the output could not be written");
}

static struct ilea_usage_words
usage_words(const struct ilea_command *command)
{
    const struct ilea_span name = { (const uint8_t *)command->words[0], strlen(command->words[0]) };
    return (struct ilea_usage_words){ .command = command->words[0],
                                      .verb = command->word_count > 1 ? command->words[1] : NULL,
                                      .is_type = ilea_type_by_name(name) != NULL };
}

/* --help alone tells of all commands, with a command of that one. */
static int
print_help(const struct ilea_command *command)
{
    if (command->word_count > 0) {
        const struct ilea_usage_words words = usage_words(command);
        if (ilea_usage_print(&words)) return 0;
    }
    return ilea_usage_print_all() ? 0 : EX_IOERR;
}

/* A command that does not look at an option would do what was not asked for: --dry-run, and it would not be dry. */
static int
check_options(const struct ilea_command *command)
{
    const struct ilea_usage_words words = usage_words(command);
    for (int i = 0; i < command->option_count; i++) {
        if (ilea_usage_takes(&words, command->options[i])) continue;
        const bool is_verb = words.verb != NULL && ilea_usage_has_verbs(&words);
        return ilea_command_fail(EX_USAGE, "%s%s%s takes no --%s; nothing was done; see ilea %s --help", words.command,
                                 is_verb ? " " : "", is_verb ? words.verb : "", command->options[i], words.command);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    (void)umask(0077);
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    struct ilea_command command = { .json = false };
    int code = parse(&command, argc, argv);
    if (code != 0) return code;
    if (command.version) return printf("ilea %s\n", ILEA_VERSION) > 0 ? 0 : EX_IOERR;
    if (command.help) return print_help(&command);
    if (command.word_count == 0) return ilea_command_usage("no command");
    if (ilea_crypto_init() != ILEA_ERROR_NONE) {
        return ilea_command_fail(EX_CONFIG, "this libsodium fails its self-test; upgrade the package");
    }
    ilea_damage_watch("ilea", command.home);
    code = check_options(&command);
    if (code != 0) return code;
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, command.words[0]) == 0) return finish(commands[i].run(&command));
    }
    if (usage_words(&command).is_type) return finish(ilea_command_type(&command));
    return ilea_command_fail(EX_USAGE, "unknown command %s; see ilea --help", command.words[0]);
}
