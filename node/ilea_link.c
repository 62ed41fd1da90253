/*
 * ilea_link.c - the program that owns ZeroMQ: `ilea-link FD`, where FD is the
 * number of an inherited end of ilea-node's socketpair (node/link_frame.h).
 *
 * It reads no configuration, opens no file and writes none; all that it knows
 * comes in frames, and when the socketpair closes it ends.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/link.h"
#include "node/link_sandbox.h"

enum { EXIT_USAGE = 64, FD_MAX = 65535 };

/* False: not the number of an open stream socket. */
static bool
parse_fd(const char *text, int *fd)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < 0 || number > FD_MAX) return false;
    int type;
    socklen_t size = sizeof type;
    if (getsockopt((int)number, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return false;
    *fd = (int)number;
    return type == SOCK_STREAM;
}

/* Block all signals, also for the threads of libzmq, so that none interrupts a call; those that
 * ask us to end are read from the descriptor. -1: failed */
static int
open_signals(void)
{
    sigset_t blocked, asked;
    sigfillset(&blocked);
    /* Faults of our own: a debugger or sanitizer may want to see them. */
    const int faults[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) sigdelset(&blocked, faults[i]);
    if (sigprocmask(SIG_SETMASK, &blocked, NULL) != 0) return -1;
    sigemptyset(&asked);
    sigaddset(&asked, SIGTERM);
    sigaddset(&asked, SIGINT);
    return signalfd(-1, &asked, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Descriptors that whoever started us left open by mistake are not to be ours. */
static void
close_others(int fd)
{
    if (fd > STDERR_FILENO + 1) close_range(STDERR_FILENO + 1, (unsigned)fd - 1, 0);
    close_range((unsigned)(fd > STDERR_FILENO ? fd : STDERR_FILENO) + 1, ~0U, 0);
}

int
main(int argc, char **argv)
{
    int fd;
    if (argc != 2 || !parse_fd(argv[1], &fd)) {
        fputs("ilea-link is started by ilea-node\n", stderr);
        return EXIT_USAGE;
    }
    umask(077);
    close_others(fd);
    enum ilea_error error = ilea_crypto_init();
    int signal_fd = open_signals();
    if (error == ILEA_ERROR_NONE && signal_fd < 0) error = ILEA_ERROR_IO;
    if (error == ILEA_ERROR_NONE) error = ilea_link_sandbox_enter();
    if (error != ILEA_ERROR_NONE) {
        fprintf(stderr, "ilea-link: cannot start: %s\n", ilea_error_text(error));
        return EXIT_FAILURE;
    }
    return ilea_link_run(fd, signal_fd);
}
