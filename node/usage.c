/* usage.c - what `ilea --help` says of each command, and so which options it takes. */
#include "node/usage.h"

#include <stdio.h>
#include <string.h>

/* Of an act that an admin signs, or of what may have to be put before one. */
#define DECISION " --admin --admin-passphrase-file --clock-is-right "
#define ROOTS " --roots "
/* Of every command. */
#define ALWAYS " --home --json --passphrase-file --help --version "

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
    "\n"
    "Usage: ilea [--home DIR] [--json] [--passphrase-file FILE] COMMAND ...\n";

/* In the order of the help. A heading has no command. Each line names the options that the command takes; `more` those
 * that the end of the help explains for many. */
static const struct usage {
    const char *command; /* TYPE: the name of any type */
    const char *verbs;   /* with blanks around each; NULL: none, or any that no other line has */
    const char *text;
    const char *more;
} usages[] = {
    { "init", NULL,
      "  init --agency CODE --country CC [--name TEXT] [--listen ENDPOINT]\n"
      "       [--network NAME] [--passphrase | --passphrase-file FILE]\n"
      "       [--admin NAME] [--roots N] [--threshold K]\n", "" },
    { "id", NULL, "  id                                  who this node is\n", "" },
    { "card", NULL, "  card [--out FILE]                   the identity card to hand to others\n", "" },
    { "TYPE", " new ",
      "  TYPE new [--title T] [--tlp LABEL] [--set FIELD=VALUE]... [--to AUDIENCE]\n", DECISION },
    { "TYPE", " list ", "  TYPE list [--agency CODE] [--limit N]\n", "" },
    { "TYPE", NULL,
      "   TYPE: org person term challenge need item project solution comment link vouch\n", "" },
    { "show", NULL, "  show REF-OR-ID                      one record\n", "" },
    { "set", NULL, "  set REF FIELD=VALUE...              FIELD+=V, FIELD-=V: sets; FIELD= removes\n",
      " --title --tlp --set " DECISION },
    { "publish", NULL, "  publish REF --to AUDIENCE [--tlp LABEL] [--dry-run] [--confirm]\n", DECISION },
    { "retract", NULL, "  retract REF --reason TEXT           still there, marked as withdrawn\n", DECISION },
    { "review", " list show ", "  review list | show N\n", "" },
    { "review", " approve ", "  review approve N...\n", DECISION },
    { "review", " return ", "  review return N --reason TEXT\n", DECISION },
    { "where", NULL, "  where REF-OR-ID                     which agencies have it and can read it\n", "" },
    { "attach", NULL, "  attach REF FILE [--name NAME] [--media TYPE]\n", DECISION },
    { "detach", NULL, "  detach REF NAME                     take a file off again\n", DECISION },
    { "fetch", NULL, "  fetch REF [--name NAME] [--out DIR] [--wait SECONDS]\n", "" },
    { "erase", NULL, "  erase REF... --reason TEXT [--basis TEXT] [--confirm]\n", DECISION },
    { "erasures", NULL, "  erasures                            who has confirmed\n", "" },
    { "import", NULL,
      "  import FILE --profile NAME [--to AUDIENCE]\n"
      "    NAME: records cordis-project h2020-topic misp-galaxy org; FILE: also .gz, -\n", DECISION },
    { "export", NULL, "  export [--type TYPE] [--agency CODE]\n", "" },
    { "changes", NULL, "  changes [--since LSN] [--follow]\n", "" },
    { "status", NULL, "  status                              is all well, and what is to be decided\n", "" },
    { "verify", NULL, "  verify                              check hashes and signatures\n", "" },
    { NULL, NULL, "Closed audiences\n", NULL },
    { "audience", " new ",
      "  audience new NAME --members CODE,CODE [--levels CODE=LEVEL,...]\n"
      "       [--tlp LABEL] [--history all|none|DAY]   LEVEL: read write admin\n", "" },
    { "audience", " list show ", "  audience list | show AUD\n", "" },
    { "audience", " add ", "  audience add AUD CODE [--level LEVEL]\n", "" },
    { "audience", " remove ", "  audience remove AUD CODE [--erase] [--confirm]\n", DECISION },
    { "audience", " suspend ", "  audience suspend AUD CODE --reason TEXT\n", "" },
    { "audience", " confirm ", "  audience confirm AUD CODE [--erase] [--confirm]\n", DECISION },
    { "audience", " lift ", "  audience lift AUD CODE\n", "" },
    { "audience", NULL, "       AUD: NAME of ours, or OWNER/NAME\n", "" },
    { NULL, NULL, "Peers\n", NULL },
    { "peer", " add list pending show ", "  peer add CARDFILE | list | pending | show AGENCY\n", "" },
    { "peer", " request ",
      "  peer request tcp://HOST:PORT [--invite INVITE] [--note TEXT] [--wait SECONDS]\n", "" },
    { "peer", " invite ", "  peer invite [--days N]              one agency may ask, whatever the crowd\n", DECISION },
    { "peer", " verify ", "  peer verify AGENCY [--wait SECONDS] the code that both sides show\n", "" },
    { "peer", " approve ",
      "  peer approve AGENCY (--code CODE | --yes) [--scope LIST] [--tlp-max LABEL]\n"
      "       [--areas LIST] [--expires DATE] [--reason TEXT]\n", DECISION },
    { "peer", " decline suspend resume revoke ",
      "  peer decline | suspend | resume | revoke AGENCY [--reason TEXT]\n", DECISION },
    { "peer", " vouch ", "  peer vouch AGENCY --how phone|in-person|document [--withdraw]\n", DECISION },
    { "peer", NULL, "       LIST of scopes: connect,follow,relay,invite (all); LABEL: clear green ...\n", "" },
    { NULL, NULL,
      "Decisions: each is signed by an admin: [--admin NAME]\n"
      "       [--admin-passphrase-file FILE]\n", NULL },
    { "admin", " add ",
      "  admin add NAME [--out FILE | --key HEX]\n"
      "       [--passphrase | --new-passphrase-file FILE]\n", DECISION ROOTS },
    { "admin", " list ", "  admin list\n", "" },
    { "admin", " remove ", "  admin remove NAME\n", DECISION ROOTS },
    { "admin", " policy ", "  admin policy [--approvals N] [--unverified yes|no]\n", DECISION },
    { "admin", " pending ", "  admin pending\n", "" },
    { "admin", " sign ", "  admin sign NUMBER\n", DECISION },
    { "admin", " reject ", "  admin reject NUMBER [--reason TEXT]\n", DECISION },
    { "audit", " verify ", "  audit verify\n", "" },
    { "audit", NULL, "  audit [--since SEQ-OR-DATE]\n", "" },
    { "fork", " list ", "  fork list\n", "" },
    { "fork", " resolve ", "  fork resolve FEED --keep SEQ:ID|ours\n", DECISION ROOTS },
    { "key", " status ", "  key status\n", "" },
    { "key", " rotate ", "  key rotate [--only node,transport,reading]\n", DECISION ROOTS },
    { "key", " revoke ", "  key revoke [--last-good FEED:SEQ]... [--reason TEXT] --yes\n", DECISION ROOTS },
    { "key", " recover ",
      "  key recover [--from INDEX] [--new-admin NAME] [--last-good FEED:SEQ]...\n"
      "       [--out DIR] [--reason TEXT] --yes\n", DECISION ROOTS },
    { NULL, NULL,
      "       admin add and remove, fork and key sign with the roots: [--roots DIR]...\n"
      "       --clock-is-right: decide though the clock seems wrong\n", NULL },
    { "compact", NULL, "  compact                             free what was deleted\n", "" },
    { NULL, NULL, "Files instead of links\n", NULL },
    { "bundle", " export ", "  bundle export --for AGENCY FILE [--since FILE] [--split SIZE]\n", "" },
    { "bundle", " inspect import ", "  bundle inspect FILE | import FILE...\n", "" },
    { "frontier", NULL, "  frontier --out FILE --for AGENCY    how far we are, for their bundle\n", "" },
    { NULL, NULL, "Copies\n", NULL },
    { "backup", NULL, "  backup DIR                          a copy of log, keys and settings\n", "" },
    { "restore", NULL, "  restore DIR [--yes] [--peers-unchanged]\n", "" },
};
enum { USAGES = sizeof usages / sizeof usages[0] };

static const char end_of_help[] =
    "\n"
    "AUDIENCE is agency (the default), all-peers, AUD, or a list CODE,CODE: nothing\n"
    "leaves the agency unless you say so.\n"
    "DIR is --home, else $ILEA_HOME, else /var/lib/ilea.\n"
    "Protected keys, no daemon: the passphrase is the first line of FILE,\n"
    "else it is asked for. Exit codes are those of sysexits(3):\n"
    "64 usage, 65 bad data, 66 not there, 69 not reached, 73 exists already,\n"
    "74 disk, 75 busy, 76 protocol, 77 not allowed, 78 configuration.\n"
    "One command: ilea COMMAND --help. Manual: man ilea, man ilea-node.\n";

/* Whether `word` stands in `list` between blanks, as an option its dashes before it. */
static bool
stands_in(const char *list, const char *dashes, const char *word)
{
    size_t before = strlen(dashes), length = strlen(word);
    for (const char *at = list; length > 0 && (at = strstr(at, word)) != NULL; at++) {
        char after = at[length];
        bool begins = at >= list + before && strncmp(at - before, dashes, before) == 0;
        bool ends = after != '-' && (after < 'a' || after > 'z');
        if (begins && ends && (before > 0 || (at > list && at[-1] == ' '))) return true;
    }
    return false;
}

static bool
is_of(const struct usage *usage, const struct ilea_usage_words *words)
{
    return usage->command != NULL && strcmp(usage->command, words->is_type ? "TYPE" : words->command) == 0;
}

/* No command, but what explains the lines before it, and stands further in. */
static bool
explains(const struct usage *usage)
{
    return usage->verbs == NULL && strncmp(usage->text, "   ", 3) == 0;
}

/* The line of exactly this verb; else the one without verbs; NULL: none. */
static const struct usage *
find(const struct ilea_usage_words *words)
{
    const struct usage *found = NULL;
    for (unsigned i = 0; i < USAGES; i++) {
        if (!is_of(&usages[i], words) || explains(&usages[i])) continue;
        if (usages[i].verbs == NULL) {
            found = &usages[i];
        } else if (words->verb != NULL && stands_in(usages[i].verbs, "", words->verb)) {
            return &usages[i];
        }
    }
    return found;
}

bool
ilea_usage_takes(const struct ilea_usage_words *words, const char *option)
{
    const struct usage *usage = find(words);
    return usage == NULL || stands_in(usage->text, "--", option) || stands_in(usage->more, "--", option)
        || stands_in(ALWAYS, "--", option);
}

bool
ilea_usage_has_verbs(const struct ilea_usage_words *words)
{
    const struct usage *usage = find(words);
    return usage != NULL && usage->verbs != NULL;
}

bool
ilea_usage_print_all(void)
{
    bool printed = fputs(examples, stdout) >= 0;
    for (unsigned i = 0; i < USAGES; i++) printed = printed && fputs(usages[i].text, stdout) >= 0;
    return printed && fputs(end_of_help, stdout) >= 0;
}

bool
ilea_usage_print(const struct ilea_usage_words *words)
{
    const struct usage *found = find(words);
    bool one = found != NULL && found->verbs != NULL, printed = true;
    bool any = false, decides = false, takes_roots = false;
    for (unsigned i = 0; i < USAGES && printed; i++) {
        /* Of one verb its own line, and what explains all. */
        if (!is_of(&usages[i], words) || (one && &usages[i] != found && !explains(&usages[i]))) continue;
        if (!any) printed = fputs("Usage: ilea [--home DIR] [--json] COMMAND ...\n", stdout) >= 0;
        printed = printed && fputs(usages[i].text, stdout) >= 0;
        decides = decides || strstr(usages[i].more, DECISION) != NULL;
        takes_roots = takes_roots || strstr(usages[i].more, ROOTS) != NULL;
        any = true;
    }
    if (!any || !printed) return false;
    static const char decided[] = "Where an admin signs: [--admin NAME] [--admin-passphrase-file FILE]\n";
    if (decides && fputs(decided, stdout) < 0) return false;
    if (takes_roots && fputs("Signed with the roots: [--roots DIR]...\n", stdout) < 0) return false;
    return fputs("All commands: ilea --help. Manual: man ilea.\n", stdout) >= 0;
}
