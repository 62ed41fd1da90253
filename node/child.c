#include "node/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

void
ilea_child_path(const char *name, char *path, size_t size)
{
    char self[512];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length > 0) {
        self[length] = '\0';
        char *slash = strrchr(self, '/');
        if (slash != NULL) {
            *slash = '\0';
            if (snprintf(path, size, "%s/%s", self, name) < (int)size && access(path, X_OK) == 0) return;
        }
    }
    (void)snprintf(path, size, "%s/%s", ILEA_LIBEXEC_DIR, name);
}

/* posix_spawn's argument types are not const, but it does not write. */
static char *const *
as_argv(const char *const argv[])
{
    union { const char *const *from; char *const *to; } pointer = { .from = argv };
    return pointer.to;
}

enum ilea_error
ilea_child_start(const char *const argv[], struct ilea_child *child)
{
    int pair[2];
    if (access(argv[0], X_OK) != 0) return ILEA_ERROR_NOT_FOUND;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return ILEA_ERROR_IO;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    (void)sigemptyset(&none);
    int code = posix_spawn_file_actions_init(&actions);
    if (code == 0) code = posix_spawnattr_init(&attributes);
    if (code == 0) code = posix_spawnattr_setsigmask(&attributes, &none);
    if (code == 0) code = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    /* dup2 of a descriptor onto itself would keep its close-on-exec flag. */
    int theirs = pair[1] == ILEA_CHILD_FD ? fcntl(pair[1], F_DUPFD_CLOEXEC, ILEA_CHILD_FD + 1) : pair[1];
    if (code == 0) code = posix_spawn_file_actions_adddup2(&actions, theirs, ILEA_CHILD_FD);
    pid_t pid = 0;
    if (code == 0) code = posix_spawn(&pid, argv[0], &actions, &attributes, as_argv(argv), environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    if (theirs != pair[1]) close(theirs);
    close(pair[1]);
    if (code != 0) {
        close(pair[0]);
        return code == ENOENT ? ILEA_ERROR_NOT_FOUND : ILEA_ERROR_IO;
    }
    (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
    *child = (struct ilea_child){ .pid = pid, .fd = pair[0] };
    return ILEA_ERROR_NONE;
}

bool
ilea_child_has_ended(struct ilea_child *child, int *code)
{
    int status;
    if (child->pid == 0 || waitpid(child->pid, &status, WNOHANG) != child->pid) return false;
    *code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    child->pid = 0;
    close(child->fd);
    child->fd = -1;
    return true;
}

void
ilea_child_end(struct ilea_child *child)
{
    if (child->pid == 0) return;
    close(child->fd); /* they leave when it closes; if not: */
    int status;
    for (int waited = 0; waited < 100; waited++) {
        if (waitpid(child->pid, &status, WNOHANG) == child->pid) {
            *child = (struct ilea_child){ .fd = -1 };
            return;
        }
        (void)usleep(10 * 1000);
    }
    (void)kill(child->pid, SIGKILL);
    (void)waitpid(child->pid, &status, 0);
    *child = (struct ilea_child){ .fd = -1 };
}
