/* ilea_node.c - the daemon's main: options, signals, the opened home. */
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/command.h"
#include "node/damage.h"
#include "node/driver.h"
#include "node/view_worker.h"

/* A command that writes without a daemon is done in a moment; another daemon is not. */
enum { LOCK_WAIT_MS = 2000 };

static const char help[] =
    "Examples:\n"
    "  ilea-node --home /var/lib/ilea\n"
    "  ilea-node --listen tcp://127.0.0.1:7101\n"
    "\n"
    "Usage: ilea-node [--home DIR] [--listen ENDPOINT] [--passphrase-file FILE]\n"
    "Runs in the foreground, logs key=value lines to stderr; SIGTERM ends it cleanly.\n"
    "ENDPOINT, tcp://ADDRESS:PORT with a numeric address, overrides `listen` in\n"
    "DIR/ilea.conf.\n"
    "Protected keys: the passphrase comes from the file, from systemd's credential\n"
    "\"passphrase\", or from the terminal. Exit codes are those of sysexits(3): 69 the port is\n"
    "in use, 75 another process writes to this home, 77 keys or passphrase,\n"
    "78 configuration.\n";

/* No core dumps and no tracing: this process holds keys. */
static void
protect_process(void)
{
    const struct rlimit none = { 0, 0 };
    (void)umask(0077);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
    /* LMDB takes and gives back a commit's worth of pages at a time: keep them instead of asking the
     * kernel for fresh zeroed ones each time (a third of the time of an import). */
    (void)mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
}

static int
parse(int argc, char **argv, struct ilea_command *command)
{
    for (int at = 1; at < argc; at++) {
        const char **value = strcmp(argv[at], "--home") == 0 ? &command->home_option
            : strcmp(argv[at], "--listen") == 0 ? &command->listen
            : strcmp(argv[at], "--passphrase-file") == 0 ? &command->passphrase_file : NULL;
        if (value != NULL && at + 1 < argc) {
            *value = argv[++at];
        } else if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            command->help = true;
        } else if (strcmp(argv[at], "--version") == 0) {
            command->version = true;
        } else {
            (void)fprintf(stderr, "ilea-node: what is %s? see ilea-node --help\n", argv[at]);
            return EX_USAGE;
        }
    }
    if (ilea_home_choose(command->home_option, command->home) == ILEA_ERROR_NONE) return 0;
    (void)fputs("ilea-node: the path of --home is too long\n", stderr);
    return EX_USAGE;
}

static int
fail(enum ilea_error error, const char *reason)
{
    (void)fprintf(stderr, "ilea-node: %s\n", reason);
    return error == ILEA_ERROR_INVALID ? EX_CONFIG : ilea_exit_code(error);
}

/* Open the home and run until the end, or until it is to be opened anew (ILEA_DRIVER_RELOAD). */
static int
run_once(const struct ilea_command *command, struct ilea_control_server *control, const struct ilea_span *passphrase,
         int signals)
{
    struct ilea_node node;
    char reason[ILEA_REASON_SIZE] = "";
    enum ilea_error error = ilea_node_open(&node, command->home, passphrase, LOCK_WAIT_MS, reason);
    int code = 0;
    if (error == ILEA_ERROR_PASSPHRASE) ilea_command_locked_reason(command, reason);
    if (error != ILEA_ERROR_NONE) code = fail(error, reason);
    const char *listen = command->listen != NULL ? command->listen : node.config.listen;
    const struct ilea_span endpoint = { (const uint8_t *)listen, strlen(listen) };
    if (code == 0 && !ilea_endpoint_is_valid(endpoint)) {
        code = fail(ILEA_ERROR_INVALID, "listen takes tcp://ADDRESS:PORT with a numeric address");
    }
    if (code == 0) code = ilea_driver_run(&node, control, listen, passphrase, signals);
    ilea_node_close(&node);
    return code;
}

static int
run(const struct ilea_command *command, int signals)
{
    uint8_t bytes[ILEA_PASSPHRASE_SIZE_MAX];
    struct ilea_span passphrase = { bytes, 0 };
    bool needed = false;
    if (ilea_keys_need_passphrase(command->home, &needed) == ILEA_ERROR_NONE && needed) {
        (void)ilea_command_passphrase(command, false, bytes, &passphrase.size);
    }
    struct ilea_control_server control;
    ilea_control_server_init(&control);
    int code;
    do {
        code = run_once(command, &control, passphrase.size > 0 ? &passphrase : NULL, signals);
    } while (code == ILEA_DRIVER_RELOAD);
    ilea_control_server_close(&control, command->home); /* if it could not be opened again */
    ilea_wipe(bytes, sizeof bytes);
    return code;
}

int
main(int argc, char **argv)
{
    protect_process();
    if (ilea_crypto_init() != ILEA_ERROR_NONE) {
        (void)fputs("ilea-node: this libsodium fails its self-test; upgrade the package\n", stderr);
        return EX_CONFIG;
    }
    if (argc == 4 && strcmp(argv[1], "--view-worker") == 0) { /* started by the daemon itself */
        return ilea_view_worker_main(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    }
    struct ilea_command command = { .json = false };
    int code = parse(argc, argv, &command);
    if (code != 0) return code;
    if (command.help) return fputs(help, stdout) >= 0 ? 0 : EX_IOERR;
    if (command.version) return printf("ilea-node %s\n", ILEA_VERSION) > 0 ? 0 : EX_IOERR;

    ilea_damage_watch("ilea-node", command.home);
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) return EX_OSERR;
    code = run(&command, signals);
    close(signals);
    return code;
}
