/* ilea.c - the command line: options, the table of subcommands. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "crypto/random.h"
#include "node/command.h"
#include "node/damage.h"

static const char examples[] =
    "Examples:\n"
    "  ilea init --agency FR-PN --country FR --name 'Police nationale' \\\n"
    "            --listen tcp://127.0.0.1:7101\n"
    "  ilea card --out fr-pn.card          for another agency's admin\n"
    "  ilea-node &                         run the daemon\n"
    "  ilea peer add nl-po.card            take theirs\n"
    "  ilea peer verify NL-PO              both admins: compare the codes by phone\n"
    "  ilea peer approve NL-PO --code 12345678\n"
    "  ilea need new --title 'Plates at night' --set areas=organised-crime\n"
    "  ilea publish FR-PN-N1 --to all-peers\n"
    "  ilea import topics.jsonl --profile h2020-topic --to all-peers\n"
    "\n";
static const char help[] =
    "Usage: ilea [--home DIR] [--json] [--passphrase-file FILE] COMMAND ...\n"
    "  init --agency CODE --country CC [--name TEXT] [--listen ENDPOINT]\n"
    "       [--network NAME] [--passphrase | --passphrase-file FILE]\n"
    "       [--admin NAME] [--roots N] [--threshold K]\n"
    "  id                                  who this node is\n"
    "  card [--out FILE]                   the identity card to hand to others\n"
    "  TYPE new [--title T] [--tlp LABEL] [--set FIELD=VALUE]... [--to AUDIENCE]\n"
    "  TYPE list [--agency CODE] [--limit N]\n"
    "   TYPE: org person term challenge need item project solution comment link vouch\n"
    "  show REF-OR-ID                      one record\n"
    "  set REF FIELD=VALUE...              FIELD+=V, FIELD-=V: sets; FIELD= removes\n"
    "  publish REF --to AUDIENCE [--tlp LABEL] [--dry-run] [--confirm]\n"
    "  retract REF --reason TEXT           still there, marked as withdrawn\n"
    "  review list | show N | approve N... | return N --reason TEXT\n"
    "  where REF-OR-ID                     which agencies have it and can read it\n"
    "  attach REF FILE [--name NAME] [--media TYPE]\n"
    "  detach REF NAME                     take a file off again\n"
    "  fetch REF [--name NAME] [--out DIR] [--wait SECONDS]\n"
    "  erase REF... --reason TEXT [--basis TEXT] [--confirm]\n"
    "  erasures                            who has confirmed\n"
    "  import FILE --profile NAME [--to AUDIENCE]\n"
    "    NAME: records cordis-project h2020-topic misp-galaxy org; FILE: also .gz, -\n"
    "  export [--type TYPE] [--agency CODE]\n"
    "  changes [--since LSN] [--follow]\n"
    "  status                              is all well, and what is to be decided\n"
    "  verify                              check hashes and signatures\n"
    "Closed audiences\n"
    "  audience new NAME --members CODE,CODE [--levels CODE=LEVEL,...]\n"
    "       [--tlp LABEL] [--history all|none|DAY]   LEVEL: read write admin\n"
    "  audience list | show AUD\n"
    "  audience add AUD CODE [--level LEVEL]\n"
    "  audience remove AUD CODE [--erase] [--confirm]\n"
    "  audience suspend AUD CODE --reason TEXT | confirm AUD CODE | lift AUD CODE\n"
    "       AUD: NAME of ours, or OWNER/NAME\n"
    "Peers\n"
    "  peer add CARDFILE | list | pending | show AGENCY\n"
    "  peer request tcp://HOST:PORT [--invite INVITE] [--note TEXT] [--wait SECONDS]\n"
    "  peer invite [--days N]              one agency may ask, whatever the crowd\n"
    "  peer verify AGENCY [--wait SECONDS] the code that both sides show\n"
    "  peer approve AGENCY (--code CODE | --yes) [--scope LIST] [--tlp-max LABEL]\n"
    "       [--areas LIST] [--expires DATE]\n"
    "  peer decline | suspend | resume | revoke AGENCY [--reason TEXT]\n"
    "  peer vouch AGENCY --how phone|in-person|document [--withdraw]\n"
    "       LIST of scopes: connect,follow,relay,invite (all); LABEL: clear green ...\n";
static const char more_help[] =
    "Decisions: each is signed by an admin: [--admin NAME]\n"
    "       [--admin-passphrase-file FILE]\n"
    "  admin add NAME [--out FILE | --key HEX]\n"
    "       [--passphrase | --new-passphrase-file FILE]\n"
    "  admin list | remove NAME\n"
    "  admin policy [--approvals N] [--unverified yes|no]\n"
    "  admin pending | sign NUMBER | reject NUMBER\n"
    "  audit [--since SEQ-OR-DATE]\n"
    "  audit verify\n"
    "  fork list | resolve FEED --keep SEQ:ID|ours\n"
    "  key status | rotate [--only node,transport,reading]\n"
    "  key revoke [--last-good FEED:SEQ]... --yes\n"
    "  key recover [--from INDEX] [--new-admin NAME] [--last-good FEED:SEQ]... --yes\n"
    "       admin add and remove, fork and key sign with the roots: [--roots DIR]...\n"
    "       --clock-is-right: decide though the clock seems wrong\n"
    "  compact                             free what was deleted\n"
    "Files instead of links\n"
    "  bundle export --for AGENCY FILE [--since FILE] [--split SIZE]\n"
    "  bundle inspect FILE | import FILE...\n"
    "  frontier --out FILE --for AGENCY    how far we are, for their --since\n"
    "Copies\n"
    "  backup DIR                          a copy of log, keys and settings\n"
    "  restore DIR [--yes] [--peers-unchanged]\n"
    "\n"
    "AUDIENCE is agency (the default), all-peers, AUD, or a list CODE,CODE: nothing\n"
    "leaves the agency unless you say so.\n"
    "DIR is --home, else $ILEA_HOME, else /var/lib/ilea.\n"
    "Protected keys, no daemon: the passphrase is the first line of FILE,\n"
    "else it is asked for. Exit codes are those of sysexits(3):\n"
    "64 usage, 65 bad data, 66 not there, 69 not reached, 73 exists already,\n"
    "74 disk, 75 busy, 76 protocol, 77 not allowed, 78 configuration.\n"
    "Manual: man ilea, man ilea-node.\n";

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

/* Options by which people keep something from being done, or let it be done, given to a command that does not look at
 * them: it would do what they do not expect. */
static const char *
find_misplaced(const struct ilea_command *command)
{
    const char *word = command->words[0];
    bool is_audience = strcmp(word, "audience") == 0, is_publish = strcmp(word, "publish") == 0;
    if (command->dry_run && !is_publish) return "--dry-run";
    if (command->confirm && !is_publish && !is_audience && strcmp(word, "erase") != 0 && strcmp(word, "import") != 0) {
        return "--confirm";
    }
    if (command->erase && !is_audience) return "--erase";
    bool makes_one = is_audience && command->word_count > 1 && strcmp(command->words[1], "new") == 0;
    return command->history != NULL && !makes_one ? "--history" : NULL;
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
    if (command.help) {
        return fputs(examples, stdout) >= 0 && fputs(help, stdout) >= 0 && fputs(more_help, stdout) >= 0 ? 0 : EX_IOERR;
    }
    if (command.word_count == 0) return ilea_command_usage("no command");
    if (ilea_crypto_init() != ILEA_ERROR_NONE) {
        return ilea_command_fail(EX_CONFIG, "this libsodium fails its self-test; upgrade the package");
    }
    ilea_damage_watch("ilea", command.home);
    const char *misplaced = find_misplaced(&command);
    if (misplaced != NULL) {
        return ilea_command_fail(EX_USAGE, "%s takes no %s; nothing was done; see ilea --help", command.words[0],
                                 misplaced);
    }
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, command.words[0]) == 0) return finish(commands[i].run(&command));
    }
    const struct ilea_span name = { (const uint8_t *)command.words[0], strlen(command.words[0]) };
    if (ilea_type_by_name(name) != NULL) return finish(ilea_command_type(&command));
    return ilea_command_fail(EX_USAGE, "unknown command %s; see ilea --help", command.words[0]);
}
