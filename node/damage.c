#include "node/damage.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sysexits.h>
#include <unistd.h>

#include "node/home.h"

/* What the handler needs, made before: it can make nothing. */
static char folder[ILEA_PATH_SIZE], mark[ILEA_PATH_SIZE], message[ILEA_PATH_SIZE + 128];
static const char no_space[] = "no space left on the disk; free some and try again\n";

static void
mark_path(const char *home, char path[ILEA_PATH_SIZE])
{
    ilea_home_path(home, "view/damaged", path);
}

static void
leave_mark(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

static void
on_signal(int number)
{
    /* On a memory-backed disk that is full, touching a page that has no place yet ends so. */
    struct statfs info;
    if (number == SIGBUS && statfs(folder, &info) == 0 && info.f_bavail == 0) {
        (void)!write(STDERR_FILENO, no_space, sizeof no_space - 1);
        _exit(EX_IOERR);
    }
    (void)!write(STDERR_FILENO, message, strlen(message));
    leave_mark(mark);
    _exit(EX_SOFTWARE);
}

void
ilea_damage_watch(const char *program, const char *home)
{
    mark_path(home, mark);
    (void)snprintf(folder, sizeof folder, "%s", home);
    (void)snprintf(message, sizeof message,
                   "%s: reading the files of %s failed: they may be damaged; run ilea verify\n", program, home);
#ifndef ILEA_SANITIZED
    static const int numbers[] = { SIGSEGV, SIGBUS, SIGABRT };
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    (void)sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)sigaction(numbers[i], &action, NULL);
    }
#else
    (void)on_signal; /* the sanitizer's own report says more */
#endif
}

void
ilea_damage_mark(const char *home)
{
    char path[ILEA_PATH_SIZE];
    mark_path(home, path);
    leave_mark(path);
}

bool
ilea_damage_is_marked(const char *home)
{
    char path[ILEA_PATH_SIZE];
    mark_path(home, path);
    return access(path, F_OK) == 0;
}

void
ilea_damage_unmark(const char *home)
{
    char path[ILEA_PATH_SIZE];
    mark_path(home, path);
    (void)unlink(path);
}
