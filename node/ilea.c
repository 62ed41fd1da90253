/* ilea.c - the command line: options, the table of subcommands. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "crypto/random.h"
#include "node/command.h"
#include "node/damage.h"

static const char help[] =
    "Examples:\n"
    "  ilea init --agency FR-PN --country FR --name 'Police nationale' \\\n"
    "            --listen tcp://127.0.0.1:7101\n"
    "  ilea card --out fr-pn.card          give this file to another agency's admin\n"
    "  ilea peer add nl-po.card            take theirs; compare the fingerprint by phone\n"
    "  ilea peer approve NL-PO --yes\n"
    "  ilea-node &                         run the daemon\n"
    "  ilea need new --title 'Read plates at night' --set areas=organised-crime\n"
    "  ilea publish FR-PN-N1 --to all-peers\n"
    "  ilea need list --agency NL-PO\n"
    "  ilea import topics.jsonl --profile h2020-topic --to all-peers\n"
    "\n"
    "Usage: ilea [--home DIR] [--json] [--passphrase-file FILE] COMMAND ...\n"
    "  init --agency CODE --country CC [--name TEXT] [--listen ENDPOINT]\n"
    "       [--network NAME] [--passphrase | --passphrase-file FILE]\n"
    "  id                                  who this node is\n"
    "  card [--out FILE]                   the identity card to hand to others\n"
    "  peer add CARDFILE | approve AGENCY --yes | list\n"
    "  TYPE new [--title T] [--set FIELD=VALUE]... [--to AUDIENCE]\n"
    "  TYPE list [--agency CODE] [--limit N]\n"
    "       TYPE: org person term challenge need item project solution comment link\n"
    "  show REF-OR-ID                      one record\n"
    "  set REF FIELD=VALUE...              FIELD+=V and FIELD-=V for sets; FIELD= removes\n"
    "  publish REF --to all-peers\n"
    "  import FILE --profile NAME [--to AUDIENCE]\n"
    "       NAME: records cordis-project h2020-topic misp-galaxy org; FILE may be .gz or -\n"
    "  export [--type TYPE] [--agency CODE]\n"
    "  changes [--since LSN] [--follow]\n"
    "  status                              is all well\n"
    "  verify                              check every hash, signature and link\n"
    "  backup DIR                          a copy of log, keys and settings\n"
    "  restore DIR [--yes] [--peers-unchanged]\n"
    "\n"
    "AUDIENCE is agency (the default) or all-peers: nothing leaves the agency unless\n"
    "you say so. DIR is --home, else $ILEA_HOME, else /var/lib/ilea.\n"
    "Protected keys, where no daemon runs: the passphrase is the first line of FILE,\n"
    "else it is asked for. Exit codes are those of sysexits(3):\n"
    "64 usage, 65 bad data, 66 not there, 73 exists already, 74 disk, 75 busy,\n"
    "77 not allowed, 78 configuration.\n"
    "Manual: man ilea; the daemon: man ilea-node.\n";

static const struct {
    const char *name;
    int (*run)(const struct ilea_command *command);
} commands[] = {
    { "init", ilea_command_init },       { "id", ilea_command_id },
    { "card", ilea_command_card },       { "peer", ilea_command_peer },
    { "show", ilea_command_show },       { "set", ilea_command_set },
    { "publish", ilea_command_publish }, { "import", ilea_command_import },
    { "export", ilea_command_export },   { "changes", ilea_command_changes },
    { "status", ilea_command_status },   { "verify", ilea_command_verify },
    { "backup", ilea_command_backup },   { "restore", ilea_command_restore },
};

/* Where an option's value goes: one of the two, or the list of sets. */
struct option {
    const char *name;
    const char **value;
    bool *flag;
    bool repeated;
};

static int
parse_option(struct ilea_command *command, int argc, char **argv, int *at)
{
    const struct option options[] = {
        { "home", &command->home_option, NULL, false }, { "agency", &command->agency, NULL, false },
        { "country", &command->country, NULL, false },  { "name", &command->name, NULL, false },
        { "listen", &command->listen, NULL, false },    { "network", &command->network, NULL, false },
        { "out", &command->out, NULL, false },          { "to", &command->to, NULL, false },
        { "profile", &command->profile, NULL, false },  { "title", &command->title, NULL, false },
        { "limit", &command->limit, NULL, false },      { "type", &command->type, NULL, false },
        { "since", &command->since, NULL, false },
        { "passphrase-file", &command->passphrase_file, NULL, false },
        { "set", NULL, NULL, true },                    { "json", NULL, &command->json, false },
        { "help", NULL, &command->help, false },        { "version", NULL, &command->version, false },
        { "yes", NULL, &command->yes, false },          { "follow", NULL, &command->follow, false },
        { "passphrase", NULL, &command->passphrase, false },
        { "peers-unchanged", NULL, &command->peers_unchanged, false } };
    const char *text = argv[*at] + 2;
    const char *equals = strchr(text, '=');
    size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);
    for (unsigned i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strlen(options[i].name) != length || memcmp(options[i].name, text, length) != 0) continue;
        if (options[i].flag != NULL) {
            if (equals != NULL) return ilea_command_usage("an option that takes no value was given one");
            *options[i].flag = true;
            return 0;
        }
        const char *value = equals != NULL ? equals + 1 : *at + 1 < argc ? argv[++*at] : NULL;
        if (value == NULL) return ilea_command_fail(EX_USAGE, "%s needs a value", argv[*at]);
        if (!options[i].repeated) {
            *options[i].value = value;
        } else if (command->set_count == ILEA_SETS_MAX) {
            return ilea_command_usage("too many --set");
        } else {
            command->sets[command->set_count++] = value;
        }
        return 0;
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

int
main(int argc, char **argv)
{
    (void)umask(0077);
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    struct ilea_command command = { .json = false };
    int code = parse(&command, argc, argv);
    if (code != 0) return code;
    if (command.version) return printf("ilea %s\n", ILEA_VERSION) > 0 ? 0 : EX_IOERR;
    if (command.help) return fputs(help, stdout) >= 0 ? 0 : EX_IOERR;
    if (command.word_count == 0) return ilea_command_usage("no command");
    if (ilea_crypto_init() != ILEA_ERROR_NONE) {
        return ilea_command_fail(EX_CONFIG, "this libsodium fails its self-test; upgrade the package");
    }
    ilea_damage_watch("ilea", command.home);
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, command.words[0]) == 0) return finish(commands[i].run(&command));
    }
    const struct ilea_span name = { (const uint8_t *)command.words[0], strlen(command.words[0]) };
    if (ilea_type_by_name(name) != NULL) return finish(ilea_command_type(&command));
    return ilea_command_fail(EX_USAGE, "unknown command %s; see ilea --help", command.words[0]);
}
